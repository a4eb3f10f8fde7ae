# SPDX-License-Identifier: MIT
NEIGHBOUR_OBJECTS := $(patsubst guests/neighbour/%,build/guests/neighbour/%.o, \
	$(wildcard guests/neighbour/*.c guests/neighbour/*.S))

build/guests/neighbour.elf: $(NEIGHBOUR_OBJECTS) $(GUEST_LIB_OBJECTS) guests/lib/guest.ld
	$(GUEST_LINK)

GUESTS += build/guests/neighbour.elf
-include $(NEIGHBOUR_OBJECTS:.o=.d)
