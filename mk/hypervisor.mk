# SPDX-License-Identifier: MIT
# The hypervisor: build/pilae.elf and build/pilae.bin.

CROSS ?= riscv64-unknown-elf-

src_dirs := boot riscv virtio kernel engine engine/hext engine/soft vmm sbi device device/virtio \
	driver driver/virtio shell
offsets_c := engine/asm-offsets.c
offsets_h := $(if $(wildcard $(offsets_c)),$(B)/gen/asm-offsets.h)
hv_c := $(filter-out $(offsets_c),$(wildcard $(addsuffix /*.c,$(src_dirs))))
hv_S := $(wildcard $(addsuffix /*.S,$(src_dirs)))
hv_objs := $(hv_c:%.c=$(B)/%.o) $(hv_S:%.S=$(B)/%.o)
hv_lds := boot/pilae.lds

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wundef \
	-Werror
# gcc 12 wants the CSR instructions named; the multilib of the libraries has the plain name.
HV_ARCH := -march=rv64imac_zicsr_zifencei -mabi=lp64 -mcmodel=medany
HV_INCLUDES := -I. -I$(B)/gen -isystem $(CACHE)/sysroot/usr/include
HV_CPPFLAGS := --specs=picolibc.specs $(HV_INCLUDES)
# gcc would give each string an address that is a multiple of 8.
HV_CFLAGS := $(HV_ARCH) -std=gnu17 -ffreestanding -O2 -g -ffunction-sections -fdata-sections \
	-malign-data=natural -fno-omit-frame-pointer -fno-common -msmall-data-limit=0 -ffixed-s11 $(WARNINGS) $(EXTRA_CFLAGS)
# libfdt.a is built for lp64d: none of its functions passes floating point, hence no mismatch.
HV_LDFLAGS := --specs=picolibc.specs -march=rv64imac -mabi=lp64 -nostartfiles -static \
	-Wl,--gc-sections -Wl,--no-warn-mismatch -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
	-Wl,--no-warn-rwx-segments $(EXTRA_LDFLAGS)
HV_LIBS := $(CACHE)/sysroot/usr/lib/riscv64-linux-gnu/libfdt.a

# What runs when somebody types, or when a VM is built, is made small instead of fast.
hv_small := $(filter shell/%,$(hv_c)) $(wildcard driver/*_check.c driver/host_device.c \
	driver/pci*.c driver/virtio/pci.c driver/virtio/registry.c device/passthrough.c \
	device/disk_slice.c device/machine*.c kernel/fdt.c kernel/isa.c kernel/platform*.c kernel/boot_memory.c \
	vmm/fit.c vmm/guest_fdt*.c vmm/identity.c vmm/image.c vmm/load.c vmm/report*.c \
	vmm/vm_build.c vmm/vmconfig*.c)
$(hv_small:%.c=$(B)/%.o): hv_optimize := -Os

hv_cflags_file := $(B)/gen/hypervisor.cflags
hv_link_file := $(B)/gen/hypervisor.link
$(call keep,$(hv_cflags_file),$(CROSS) $(HV_CPPFLAGS) $(HV_CFLAGS) -Os: $(hv_small))
$(call keep,$(hv_link_file),$(CROSS) $(HV_LDFLAGS) $(HV_LIBS) $(hv_objs))

$(B)/pilae.elf: $(hv_objs) $(hv_lds) $(hv_link_file) $(HV_LIBS)
	$(call say,LD,$@)$(CROSS)gcc $(HV_LDFLAGS) -T $(hv_lds) -Wl,-Map=$(@:.elf=.map) \
		-o $@ $(hv_objs) $(HV_LIBS)

$(B)/pilae.bin: $(B)/pilae.elf
	$(call say,OBJCOPY,$@)$(CROSS)objcopy -O binary $< $@

$(B)/%.o: %.c $(hv_cflags_file) | $(offsets_h)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CROSS)gcc $(HV_CPPFLAGS) $(HV_CFLAGS) $(hv_optimize) -MMD -MP -c $< -o $@

$(B)/%.o: %.S $(hv_cflags_file) | $(offsets_h)
	@mkdir -p $(@D)
	$(call say,AS,$@)$(CROSS)gcc $(HV_CPPFLAGS) $(HV_CFLAGS) -MMD -MP -c $< -o $@

# Offsets of structure members for assembly: lines `.ascii "->NAME VALUE"` of a compilation.
$(B)/gen/asm-offsets.h: $(offsets_c) $(hv_cflags_file)
	@mkdir -p $(@D)
	$(call say,GEN,$@)$(CROSS)gcc $(HV_CPPFLAGS) $(HV_CFLAGS) -MMD -MP -MF $(@:.h=.d) -MT $@ \
		-fno-lto -S $< -o $(@:.h=.s)
	@{ echo '/* Made from $<. */'; \
	   sed -n 's/^[[:space:]]*\.ascii[[:space:]]*"->\([^ ]*\) \(.*\)"$$/#define \1 \2/p' \
		$(@:.h=.s); } > $@.tmp && mv $@.tmp $@

-include $(hv_objs:.o=.d) $(offsets_h:.h=.d)
