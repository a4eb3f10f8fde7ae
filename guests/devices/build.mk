# SPDX-License-Identifier: MIT
# Linked where a machine of 512 MiB has memory that neither firmware nor Pilae uses.
DEVICES_OBJECTS := $(patsubst guests/devices/%,build/guests/devices/%.o, \
	$(wildcard guests/devices/*.c guests/devices/*.S))

build/guests/devices.elf: $(DEVICES_OBJECTS) $(GUEST_LIB_OBJECTS) guests/lib/guest.ld
	$(GUEST_LINK) -Wl,--defsym=guest_base=0x90200000

GUESTS += build/guests/devices.elf
-include $(DEVICES_OBJECTS:.o=.d)
