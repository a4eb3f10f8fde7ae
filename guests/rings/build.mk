# SPDX-License-Identifier: MIT
RINGS_OBJECTS := $(patsubst guests/rings/%,build/guests/rings/%.o, \
	$(wildcard guests/rings/*.c guests/rings/*.S))

build/guests/rings.elf: $(RINGS_OBJECTS) $(GUEST_LIB_OBJECTS) guests/lib/guest.ld
	$(GUEST_LINK)

GUESTS += build/guests/rings.elf
-include $(RINGS_OBJECTS:.o=.d)
