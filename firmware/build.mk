# SPDX-License-Identifier: MIT
# Pilae's machine-mode firmware: build/firmware.elf and build/firmware.bin. Included by the top
# makefile, with the flags of the hypervisor's files.

fw_src := $(wildcard firmware/*.c firmware/*.S)
fw_shared := riscv/insn.c
fw_out := $(B)/firmware-objects
fw_objs := $(patsubst %,$(fw_out)/%.o,$(fw_src) $(fw_shared))

FW_CFLAGS := $(filter-out -O2 -fno-omit-frame-pointer -ffixed-s11,$(HV_CFLAGS)) -Os \
	-fno-stack-protector -fno-tree-loop-distribute-patterns -Wframe-larger-than=512

all: $(B)/firmware.bin

$(fw_out)/%.o: % firmware/build.mk $(hv_cflags_file)
	@mkdir -p $(@D)
	$(call say,$(if $(filter %.S,$<),AS,CC),$@)$(CROSS)gcc $(HV_CPPFLAGS) $(FW_CFLAGS) -MMD -MP -c $< -o $@

$(B)/firmware.elf: $(fw_objs) firmware/firmware.lds $(HV_LIBS)
	$(call say,LD,$@)$(CROSS)gcc $(HV_LDFLAGS) -T firmware/firmware.lds -Wl,-Map=$(@:.elf=.map) \
		-o $@ $(fw_objs) $(HV_LIBS)

$(B)/firmware.bin: $(B)/firmware.elf
	$(call say,OBJCOPY,$@)$(CROSS)objcopy -O binary $< $@

-include $(fw_objs:.o=.d)
