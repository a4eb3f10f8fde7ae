/* SPDX-License-Identifier: MIT */

/* SBI 2.0, chapter 6: the timer. engine/hext/switch.S answers it itself where it has Sstc. */

#include "engine/engine.h"
#include "sbi/sbi.h"

static int64_t call(struct vcpu *vcpu, uint64_t *value)
{
	(void)value;
	if (sbi_function(vcpu) != SBI_TIME_SET_TIMER)
		return SBI_ERR_NOT_SUPPORTED;
	vcpu->guest->engine->set_timer(vcpu, sbi_argument(vcpu, 0));
	return SBI_SUCCESS;
}

const struct sbi_extension sbi_time = {SBI_EXT_TIME, call};
