# SPDX-License-Identifier: MIT
# A flat binary, which begins with its first instruction: entry.S comes first.
SCALE_OBJECTS := $(patsubst guests/scale/%,build/guests/scale/%.o, \
	$(wildcard guests/scale/*.S guests/scale/*.c))

build/guests/scale.elf: $(SCALE_OBJECTS) $(GUEST_LIB_OBJECTS) guests/lib/guest.ld
	$(GUEST_LINK) -Wl,-e,scale_start

build/guests/scale.bin: build/guests/scale.elf
	$(call say,OBJCOPY,$@)$(CROSS)objcopy -O binary $< $@

GUESTS += build/guests/scale.bin
-include $(SCALE_OBJECTS:.o=.d)
