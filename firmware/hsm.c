/* SPDX-License-Identifier: MIT */

/* SBI 2.0, chapter 9: hart state management. */

#include "firmware/fences.h"
#include "firmware/firmware.h"
#include "firmware/platform.h"

static void set_state(struct fw_hart *hart, uint64_t state)
{
	__atomic_store_n(&hart->state, state, __ATOMIC_SEQ_CST);
}

void hart_begin(void)
{
	struct fw_hart *hart = this_hart();

	/*
	 * Before the fences here and in hart_enter(), which make up for those of others that found
	 * it stopped.
	 */
	set_state(hart, SBI_HSM_STARTED);
	if (hart->has_h) {
		hfence_all(HFENCE_GVMA);
		hfence_all(HFENCE_VVMA);
	}
	hart_enter(hart->id, hart->start_argument, hart->start_address, hart_first_mstatus());
}

void hart_wait(void)
{
	struct fw_hart *hart = this_hart();

	for (;;) {
		interrupts_serve(hart);
		if (__atomic_load_n(&hart->state, __ATOMIC_SEQ_CST) == SBI_HSM_START_PENDING)
			hart_begin();
		wfi();
	}
}

static struct fw_hart *find_hart(uint64_t id)
{
	return id < FW_HARTS_MAX && harts_present >> id & 1 ? &fw_harts[id] : NULL;
}

static int64_t start(uint64_t id, uint64_t address, uint64_t argument)
{
	struct fw_hart *target = find_hart(id);
	uint64_t expected = SBI_HSM_STOPPED;

	if (!target)
		return SBI_ERR_INVALID_PARAM;
	if (__atomic_load_n(&target->state, __ATOMIC_SEQ_CST) != SBI_HSM_STOPPED)
		return SBI_ERR_ALREADY_AVAILABLE;
	if (!platform_is_code(address))
		return SBI_ERR_INVALID_ADDRESS;
	/* Whoever comes first fills in where; RESUME_PENDING is a state that no stopped hart has.
	 */
	if (!__atomic_compare_exchange_n(&target->state, &expected, SBI_HSM_RESUME_PENDING, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return SBI_ERR_ALREADY_AVAILABLE;
	target->start_address = address;
	target->start_argument = argument;
	set_state(target, SBI_HSM_START_PENDING);
	hart_kick(target);
	return SBI_SUCCESS;
}

/*
 * S-mode's own interrupts would end each WFI, and are nothing to whom is started next, as what it
 * has asked for: illegal instructions, counters. They go before anybody can start this hart, and
 * send it others.
 */
static void stop(void)
{
	struct fw_hart *hart = this_hart();

	/* Those of sie and of hie. */
	csr_clear(CSR_MIE, ~(BIT(IRQ_M_SOFT) | BIT(IRQ_M_EXT)));
	if (!hart->mtimecmp)
		csr_write(CSR_STIMECMP, ~UINT64_C(0));
	__atomic_store_n(&hart->ipi, 0, __ATOMIC_SEQ_CST);
	hart_delegate(hart);
	pmu_reset(hart);
	csr_clear(CSR_MIP, BIT(IRQ_S_SOFT) | BIT(IRQ_S_TIMER) | BIT(IRQ_LCOF));
	set_state(hart, SBI_HSM_STOPPED);
	hart_wait();
}

/* Until an interrupt that S-mode has enabled is pending. */
static void wait_for_interrupt(struct fw_hart *hart)
{
	const uint64_t own = BIT(IRQ_M_SOFT) | BIT(IRQ_M_TIMER) | BIT(IRQ_M_EXT);

	for (;;) {
		interrupts_serve(hart);
		if (csr_read(CSR_MIP) & csr_read(CSR_MIE) & ~own)
			return;
		wfi();
	}
}

static int64_t suspend(struct fw_hart *hart, uint32_t type, uint64_t address, uint64_t argument)
{
	if (type != SBI_HSM_SUSPEND_RETENTIVE && type != SBI_HSM_SUSPEND_NON_RETENTIVE)
		/* Reserved, or a platform's, of which none is there: the same (9.4). */
		return SBI_ERR_INVALID_PARAM;
	if (type == SBI_HSM_SUSPEND_NON_RETENTIVE && !platform_is_code(address))
		return SBI_ERR_INVALID_ADDRESS;
	set_state(hart, SBI_HSM_SUSPENDED);
	wait_for_interrupt(hart);
	set_state(hart, SBI_HSM_STARTED);
	if (type == SBI_HSM_SUSPEND_NON_RETENTIVE)
		hart_enter(hart->id, argument, address, hart_first_mstatus());
	return SBI_SUCCESS;
}

static uint64_t status_of(const struct fw_hart *hart)
{
	uint64_t state = __atomic_load_n(&hart->state, __ATOMIC_SEQ_CST);

	return state == SBI_HSM_RESUME_PENDING ? SBI_HSM_START_PENDING : state;
}

struct sbi_ret hsm_call(struct fw_hart *hart)
{
	uint64_t *x = hart->x;

	switch (x[16]) {
	case SBI_HSM_HART_START:
		return (struct sbi_ret){start(x[10], x[11], x[12]), 0};
	case SBI_HSM_HART_STOP:
		hart_reset_stack(stop);
	case SBI_HSM_HART_GET_STATUS:
		if (!find_hart(x[10]))
			return (struct sbi_ret){SBI_ERR_INVALID_PARAM, 0};
		return (struct sbi_ret){SBI_SUCCESS, status_of(find_hart(x[10]))};
	case SBI_HSM_HART_SUSPEND:
		return (struct sbi_ret){suspend(hart, (uint32_t)x[10], x[11], x[12]), 0};
	default:
		return (struct sbi_ret){SBI_ERR_NOT_SUPPORTED, 0};
	}
}
