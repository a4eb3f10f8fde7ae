# SPDX-License-Identifier: MIT
# minikernel: build/guests/minikernel.elf and .bin. Its programs become ELF files of their own,
# which programs.S includes in the kernel's image.

B ?= build
CROSS ?= riscv64-unknown-elf-
Q ?= @

mini := guests/minikernel
mini_out := $(B)/$(mini)
mini_program_names := init sh echo ps free uptime sleep primes spin fork crash selfcheck

# Neither the kernel nor its programs use floating point: it need not be saved, then.
MINI_ARCH := -march=rv64imac_zicsr_zifencei -mabi=lp64 -mcmodel=medany
MINI_CFLAGS := $(GUEST_CFLAGS) $(MINI_ARCH) -std=gnu17 -ffreestanding -O2 -g -I. \
	-msmall-data-limit=0 -fno-common -fno-pic -fno-omit-frame-pointer \
	-fno-tree-loop-distribute-patterns -Wall -Wextra -Wconversion -Wshadow \
	-Wmissing-prototypes -Wstrict-prototypes -Wundef -Wframe-larger-than=1024 -Werror
MINI_LDFLAGS := -march=rv64imac -mabi=lp64 -nostdlib -static -Wl,--build-id=none \
	-Wl,-z,max-page-size=4096 -Wl,--no-warn-rwx-segments -Wl,--fatal-warnings

mini_objs := $(addprefix $(mini_out)/,start.o vector.o programs.o main.o string.o format.o print.o \
	fdt.o machine.o page.o vm.o space.o exec.o proc.o sched.o trap.o syscall.o hart.o timer.o \
	plic.o uart.o console.o)
mini_lib := $(addprefix $(mini_out)/,user/start.o user/lib.o string.o format.o)
mini_programs := $(mini_program_names:%=$(mini_out)/user/%.elf)
mini_program_objs := $(mini_program_names:%=$(mini_out)/user/%.o)
mini_c_objs := $(filter-out %/start.o %/vector.o %/programs.o,$(mini_objs)) \
	$(mini_out)/user/lib.o $(mini_program_objs) $(mini_out)/user/checks.o
mini_S_objs := $(addprefix $(mini_out)/,start.o vector.o programs.o user/start.o user/registers.o)

GUESTS += $(B)/guests/minikernel.elf $(B)/guests/minikernel.bin

$(mini_c_objs): $(mini_out)/%.o: $(mini)/%.c $(mini)/build.mk
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CROSS)gcc $(MINI_CFLAGS) -MMD -MP -c $< -o $@

$(mini_S_objs): $(mini_out)/%.o: $(mini)/%.S $(mini)/build.mk
	@mkdir -p $(@D)
	$(call say,AS,$@)$(CROSS)gcc $(MINI_CFLAGS) -Wa,-I$(mini_out)/user -MMD -MP -c $< -o $@

$(mini_out)/programs.o: $(mini_programs)

$(mini_out)/user/selfcheck.elf: $(mini_out)/user/checks.o $(mini_out)/user/registers.o

# Without symbols, which would be several times the size of the rest: those are in the .sym.
$(mini_programs): %.elf: %.o $(mini_lib) $(mini)/user/program.ld
	$(call say,LD,$@)$(CROSS)gcc $(MINI_LDFLAGS) -T $(mini)/user/program.ld \
		-o $(@:.elf=.sym) $(filter %.o,$^) && $(CROSS)objcopy -S $(@:.elf=.sym) $@

$(mini_out)/kernel.ld: $(mini)/kernel.ld.S $(mini)/build.mk
	@mkdir -p $(@D)
	$(call say,CPP,$@)$(CROSS)gcc -E -P -x c -D__ASSEMBLER__ -I. -MMD -MP -MT $@ \
		-MF $(mini_out)/kernel.d $< -o $@

$(B)/guests/minikernel.elf: $(mini_objs) $(mini_out)/kernel.ld
	$(call say,LD,$@)$(CROSS)gcc $(MINI_LDFLAGS) -T $(mini_out)/kernel.ld -o $@ $(mini_objs)

$(B)/guests/minikernel.bin: $(B)/guests/minikernel.elf
	$(call say,OBJCOPY,$@)$(CROSS)objcopy -O binary $< $@

-include $(mini_c_objs:.o=.d) $(mini_S_objs:.o=.d) $(mini_out)/kernel.d
