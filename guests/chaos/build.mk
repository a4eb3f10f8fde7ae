# SPDX-License-Identifier: MIT
CHAOS_OBJECTS := $(patsubst guests/chaos/%,build/guests/chaos/%.o, \
	$(wildcard guests/chaos/*.c guests/chaos/*.S))

build/guests/chaos.elf: $(CHAOS_OBJECTS) $(GUEST_LIB_OBJECTS) guests/lib/guest.ld
	$(GUEST_LINK)

GUESTS += build/guests/chaos.elf
-include $(CHAOS_OBJECTS:.o=.d)
