# SPDX-License-Identifier: MIT
FLASH_OBJECTS := $(patsubst guests/flash/%,build/guests/flash/%.o, \
	$(wildcard guests/flash/*.c guests/flash/*.S))

build/guests/flash.elf: $(FLASH_OBJECTS) $(GUEST_LIB_OBJECTS) guests/lib/guest.ld
	$(GUEST_LINK)

GUESTS += build/guests/flash.elf
-include $(FLASH_OBJECTS:.o=.d)
