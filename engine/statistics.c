/* SPDX-License-Identifier: MIT */

#include "engine/statistics.h"

static bool has_instructions = true;

bool statistics_has_instructions(void)
{
	return has_instructions;
}

#ifdef __riscv
void statistics_init_hart(void)
{
	uint64_t value;

	if (!csr_try_read(CSR_INSTRET, &value))
		has_instructions = false;
}
#endif

const char *const exit_class_names[EXIT_CLASSES] = {
    [EXITS_SBI] = "sbi",       [EXITS_MMIO] = "mmio",           [EXITS_MEMORY] = "memory",
    [EXITS_WFI] = "wfi",       [EXITS_INTERRUPT] = "interrupt", [EXITS_PRIVILEGED] = "privileged",
    [EXITS_SHADOW] = "shadow", [EXITS_OTHER] = "other",
};

uint64_t statistics_quick(const struct vcpu_statistics *statistics, enum exit_class class)
{
	switch (class) {
	case EXITS_SBI:
		return statistics->quick_sbi;
	case EXITS_MMIO:
		return statistics->quick_mmio;
	case EXITS_PRIVILEGED:
		return statistics->quick_privileged;
	case EXITS_SHADOW:
		return statistics->quick_shadow;
	default:
		return 0;
	}
}
