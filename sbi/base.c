/* SPDX-License-Identifier: MIT */

/* SBI 2.0, chapter 4: the base extension. engine/hext/switch.S answers most probes itself. */

#include "sbi/sbi.h"
#include "vmm/hooks.h"

/* Not one of the registered ids: "Pila". */
#define IMPLEMENTATION_ID      0x50696c61
#define IMPLEMENTATION_VERSION 0x00010000

static uint64_t probe(uint64_t id)
{
	for (const uint64_t *known = sbi_extension_ids; *known; known++) {
		if (*known == id)
			return 1;
	}
	return id == SBI_EXT_SET_TIMER;
}

static int64_t call(struct vcpu *vcpu, uint64_t *value)
{
	switch (sbi_function(vcpu)) {
	case SBI_BASE_GET_SPEC_VERSION:
		*value = SBI_VERSION_2_0;
		return SBI_SUCCESS;
	case SBI_BASE_GET_IMPL_ID:
		*value = IMPLEMENTATION_ID;
		return SBI_SUCCESS;
	case SBI_BASE_GET_IMPL_VERSION:
		*value = IMPLEMENTATION_VERSION;
		return SBI_SUCCESS;
	case SBI_BASE_PROBE_EXTENSION:
		*value = probe(sbi_argument(vcpu, 0));
		return SBI_SUCCESS;
	case SBI_BASE_GET_MVENDORID:
	case SBI_BASE_GET_MARCHID:
	case SBI_BASE_GET_MIMPID:
		/* 0 is a legal value of all three: "not a particular implementation". */
		*value = 0;
		return SBI_SUCCESS;
	default:
		return SBI_ERR_NOT_SUPPORTED;
	}
}

const struct sbi_extension sbi_base = {SBI_EXT_BASE, call};
