# SPDX-License-Identifier: MIT
# The static Linux programs of the test and benchmark guests; they become /tests/NAME in the
# initial ramdisk.

LINUX_CC ?= riscv64-linux-gnu-gcc
LINUX_CFLAGS := -std=gnu17 -O2 -static -s -ffp-contract=off -Wl,--build-id=none -Wall -Wextra \
	-Wconversion -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wundef -Werror

linux_programs := $(B)/guests/linux/programs
linux_source := guests/linux/programs
linux_headers := $(wildcard $(linux_source)/*.h)

# $(call linux_program,NAME,SOURCES)
define linux_program
$(linux_programs)/$(1): $(2:%=$(linux_source)/%) $(linux_headers)
	@mkdir -p $$(@D)
	$$(call say,LINUXCC,$$@)$(LINUX_CC) $(LINUX_CFLAGS) -o $$@ $(2:%=$(linux_source)/%) -lm
INITRD_FILES += $(linux_programs)/$(1)
endef
linux_parts = $(notdir $(wildcard $(linux_source)/$(1)*.c))
$(eval $(call linux_program,load,$(call linux_parts,load) child.c pattern.c))
$(eval $(call linux_program,debug,$(call linux_parts,debug) child.c load_fp.c pattern.c))
$(eval $(call linux_program,procs,procs.c pattern.c))
$(eval $(call linux_program,disk,disk.c))
$(eval $(call linux_program,traffic,traffic.c))
$(eval $(call linux_program,flood,flood.c))
$(eval $(call linux_program,keeps,keeps.c))
$(eval $(call linux_program,lbench,$(call linux_parts,lbench)))

$(linux_programs)/boottime: $(linux_source)/boottime.c
	@mkdir -p $(@D)
	$(call say,LINUXCC,$@)$(LINUX_CC) $(LINUX_CFLAGS) -nostdlib -ffreestanding -o $@ $<

INITRD_FILES += $(linux_programs)/boottime
