/* SPDX-License-Identifier: MIT */

#include "engine/statistics.h"

static bool has_instructions = true;

bool statistics_has_instructions(void)
{
	return has_instructions;
}

void statistics_init_hart(void)
{
	uint64_t value;

	if (!csr_try_read(CSR_INSTRET, &value))
		has_instructions = false;
}
