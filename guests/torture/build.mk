# SPDX-License-Identifier: MIT
TORTURE_OBJECTS := $(patsubst guests/torture/%,build/guests/torture/%.o, \
	$(wildcard guests/torture/*.c guests/torture/*.S))

build/guests/torture.elf: $(TORTURE_OBJECTS) $(GUEST_LIB_OBJECTS) guests/lib/guest.ld
	$(GUEST_LINK)

GUESTS += build/guests/torture.elf
-include $(TORTURE_OBJECTS:.o=.d)
