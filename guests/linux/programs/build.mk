# SPDX-License-Identifier: MIT
# The static Linux programs of the test and benchmark guests; they become /tests/NAME in the
# initial ramdisk.

LINUX_CC ?= riscv64-linux-gnu-gcc
LINUX_CFLAGS := -std=gnu17 -O2 -static -s -ffp-contract=off -Wl,--build-id=none -Wall -Wextra \
	-Wconversion -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wundef -Werror

linux_programs := $(B)/guests/linux/programs
linux_source := guests/linux/programs
load_sources := $(wildcard $(linux_source)/load*.c)

$(linux_programs)/load: $(load_sources) $(linux_source)/load.h
	@mkdir -p $(@D)
	$(call say,LINUXCC,$@)$(LINUX_CC) $(LINUX_CFLAGS) -o $@ $(load_sources) -lm

$(linux_programs)/lbench: $(linux_source)/lbench.c
	@mkdir -p $(@D)
	$(call say,LINUXCC,$@)$(LINUX_CC) $(LINUX_CFLAGS) -o $@ $<

$(linux_programs)/boottime: $(linux_source)/boottime.c
	@mkdir -p $(@D)
	$(call say,LINUXCC,$@)$(LINUX_CC) $(LINUX_CFLAGS) -nostdlib -ffreestanding -o $@ $<

INITRD_FILES += $(linux_programs)/load $(linux_programs)/lbench $(linux_programs)/boottime
