# SPDX-License-Identifier: MIT
# The runtime of our own guests, and what builds them. Included by the top makefile, which
# sets CROSS; adds to GUESTS.

CROSS ?= riscv64-unknown-elf-

GUEST_LIB_CFLAGS := -std=gnu17 -ffreestanding -O2 -g -mabi=lp64 -mcmodel=medany -mno-relax \
	-fno-common -fno-tree-loop-distribute-patterns -I. \
	-Wall -Wextra -Wconversion -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wundef -Werror
# Compiled code leaves the floating-point and vector registers to the assembly, which tests them.
GUEST_LIB_CARCH := -march=rv64imac_zicsr_zifencei
GUEST_LIB_SARCH := -march=rv64imafdcv_zicsr_zifencei

GUEST_LIB_OBJECTS := $(patsubst guests/lib/%,build/guests/lib/%.o, \
	$(wildcard guests/lib/*.c guests/lib/*.S))

build/guests/%.c.o: guests/%.c guests/lib/build.mk
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CROSS)gcc $(GUEST_LIB_CARCH) $(GUEST_LIB_CFLAGS) -MMD -MP -c -o $@ $<

build/guests/%.S.o: guests/%.S guests/lib/build.mk
	@mkdir -p $(@D)
	$(call say,AS,$<)$(CROSS)gcc $(GUEST_LIB_SARCH) $(GUEST_LIB_CFLAGS) -MMD -MP -c -o $@ $<

# $(call GUEST_LINK): links a guest from its objects and the runtime's.
define GUEST_LINK
	$(call say,LD,$@)$(CROSS)gcc $(GUEST_LIB_CARCH) -mabi=lp64 -nostdlib -static -Wl,--build-id=none \
		-Wl,-z,max-page-size=4096 -T guests/lib/guest.ld -o $@ $(filter %.o,$^)
endef

-include $(GUEST_LIB_OBJECTS:.o=.d)
