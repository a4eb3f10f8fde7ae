# SPDX-License-Identifier: MIT
SELFTEST_OBJECTS := $(patsubst guests/selftest/%,build/guests/selftest/%.o, \
	$(wildcard guests/selftest/*.c guests/selftest/*.S))

build/guests/selftest.elf: $(SELFTEST_OBJECTS) $(GUEST_LIB_OBJECTS) guests/lib/guest.ld
	$(GUEST_LINK)

GUESTS += build/guests/selftest.elf
-include $(SELFTEST_OBJECTS:.o=.d)
