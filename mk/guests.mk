# SPDX-License-Identifier: MIT
# Guests and systems.
#
# A fragment guests/NAME/build.mk adds what it builds to GUESTS, with its own rules; guests/lib comes
# first. Programs for the Linux guest it adds to INITRD_FILES: FILE becomes /tests/FILE (without its
# folders). It may use B, CACHE, CROSS and say.

GUESTS :=
INITRD_FILES :=

guest_fragments := $(sort $(wildcard guests/*/build.mk))
-include $(filter guests/lib/%,$(guest_fragments)) $(filter-out guests/lib/%,$(guest_fragments))

# Debian's Linux: the kernel as it was packaged, and a small initial ramdisk.

linux_image := $(B)/linux/Image
linux_initrd := $(B)/linux/initrd.gz
initrd_dir := guests/linux/initrd
initrd_args_file := $(B)/gen/initrd.args
$(call keep,$(initrd_args_file),$(INITRD_FILES))

$(linux_image): $(CACHE)/linux/Image
	@mkdir -p $(@D)
	$(call say,LN,$@)ln -sf $< $@

$(linux_initrd): tools/mkinitrd $(wildcard $(initrd_dir)/*) $(CACHE)/busybox $(CACHE)/linux/Image \
		$(INITRD_FILES) $(initrd_args_file)
	@mkdir -p $(@D)
	$(call say,INITRD,$@)tools/mkinitrd -o $@ -D busybox=$(CACHE)/busybox \
		-D init=$(initrd_dir) -D linux=$(CACHE)/linux \
		$(initrd_dir)/contents $(INITRD_FILES)

# What tests of disks append to it.
linux_ext4 := $(B)/linux/ext4.gz

$(linux_ext4): tools/mkinitrd $(initrd_dir)/ext4-contents $(CACHE)/linux/Image $(wildcard $(CACHE)/linux/ext4)
	@mkdir -p $(@D)
	$(call say,INITRD,$@)tools/mkinitrd -o $@ -D linux=$(CACHE)/linux $(initrd_dir)/ext4-contents

# What the benchmarks append to it: programs of Debian's that are fetched when they are asked for.
linux_bench := $(B)/linux/bench.gz

$(CACHE)/bench/bin/stress-ng:
	@tools/deps bench-guest

$(linux_bench): tools/mkinitrd $(initrd_dir)/bench-contents $(initrd_dir)/stress \
		$(CACHE)/bench/bin/stress-ng
	@mkdir -p $(@D)
	$(call say,INITRD,$@)tools/mkinitrd -o $@ -D bench=$(CACHE)/bench \
		-D init=$(initrd_dir) $(initrd_dir)/bench-contents

# Firmware, and a disk that it boots from: Debian's kernel is an EFI program.

uefi_images := $(B)/uefi/code.fd $(B)/uefi/variables.fd

$(uefi_images): $(B)/uefi/%: $(CACHE)/uefi/%
	@mkdir -p $(@D)
	$(call say,LN,$@)ln -sf $< $@

$(B)/uefi/esp.img: tools/mkesp $(linux_image) $(linux_initrd) examples/uefi/startup.nsh
	@mkdir -p $(@D)
	$(call say,MKESP,$@)tools/mkesp $@ $(wordlist 2,4,$^)

# Debian on a disk, as guests/debian says: in the cache, made once, which takes minutes. Its kernel,
# ramdisk and disk are debian/Image, debian/initrd.gz and debian/disk.img for what needs them.

debian_key := $(B)/debian/key
debian_files := $(addprefix $(B)/debian/,Image initrd.gz disk.img)

.PHONY: debian
debian: $(debian_key)
$(debian_files): $(debian_key) ;
$(debian_key): always
	@tools/deps debian
	@mkdir -p $(@D)
	@ln -sf $(debian_files:$(B)/%=$(CACHE)/%) $(@D)
	@cmp -s $(CACHE)/debian/key $@ || cp $(CACHE)/debian/key $@
.PHONY: always
always: ;

.PHONY: guests
guests: $(GUESTS) $(linux_image) $(linux_initrd) $(linux_ext4)

# Systems: what an .its includes by /incbin/ is looked for beside it, then in build/, where it is
# made when there is a rule for it.

SYSTEM ?= examples/demo.its
# Empty: opensbi for what runs one system, half of the tests on each.
FIRMWARE ?=
export SYSTEM ENGINE SMP MEM FIRMWARE APPEND QEMU QEMUFLAGS CPU ICOUNT
export BUILD := $(B)

SYSTEM_IMAGE := $(if $(filter %.its,$(SYSTEM)),$(B)/$(SYSTEM:.its=.itb),$(SYSTEM))
export SYSTEM_IMAGE
run_needs := $(SYSTEM_IMAGE) \
	$(and $(filter own,$(FIRMWARE)),$(wildcard firmware/build.mk),$(B)/firmware.bin)
ifneq ($(filter run gdb,$(MAKECMDGOALS)),)
ifneq ($(SYSTEM),$(wildcard $(SYSTEM)))
$(error there is no system $(SYSTEM); have: $(wildcard examples/*.its))
endif
endif

# Those with a Debian are made when they are asked for.
debian_its := $(shell grep -l '/incbin/..debian/' examples/*.its)
examples_its := $(filter-out $(debian_its),$(sort $(wildcard examples/*.its)))
all_its := $(sort $(examples_its) $(debian_its) $(filter %.its,$(SYSTEM)))
MKIMAGE_DTC := -I dts -O dtb -p 500 -i $(B)

.PHONY: systems
systems: $(examples_its:%.its=$(B)/%.itb)

$(B)/%.itb: %.its
	@mkdir -p $(@D)
	$(call say,MKIMAGE,$@)mkimage -D "$(MKIMAGE_DTC)" -f $< $@.tmp > $@.log || \
		{ cat $@.log; rm -f $@.tmp; false; }
	@mv $@.tmp $@

# $(call its_needs,ITS): the files that it includes, as targets of this Makefile.
incbin_sed := s|.*/incbin/("\([^"]*\)".*|\1|p
its_needs = $(foreach f,$(shell sed -n '$(incbin_sed)' $(1)), \
	$(firstword $(wildcard $(dir $(1))$(f)) $(B)/$(f)))
$(foreach i,$(wildcard $(all_its)),$(eval $(B)/$(i:.its=.itb): $(call its_needs,$(i))))
