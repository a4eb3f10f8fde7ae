/* SPDX-License-Identifier: MIT */
#include "guests/lib/irq.h"

#include "guests/lib/hart.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

static enum { UNKNOWN, SIP_TELLS, SIP_IS_BLIND } sip_state;

static void mask_taken(struct trap_frame *frame)
{
	csr_write(CSR_SIE, 0);
	hart_self()->vector = frame->cause & 15;
}

/* Whether the interrupt is taken when it alone is enabled. */
static bool taken(unsigned int number)
{
	struct hart *hart = hart_self();
	void (*handler)(struct trap_frame *frame) = hart->on_interrupt;
	uint64_t sie = csr_read(CSR_SIE), status = csr_read(CSR_SSTATUS), order = hart->order_count;
	uint64_t vector = hart->vector, count = hart->interrupts[number];
	bool was_taken;

	csr_write(CSR_SIE, 0);
	hart->on_interrupt = mask_taken;
	hart->vector = 0;
	csr_set(CSR_SSTATUS, SSTATUS_SIE);
	csr_write(CSR_SIE, BIT(number));
	for (int i = 0; i < 8; i++)
		__asm__ volatile("nop");
	csr_write(CSR_SIE, 0);
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	was_taken = hart->vector == number;
	hart->vector = vector;
	hart->order_count = order;
	hart->interrupts[number] = count;
	hart->on_interrupt = handler;
	csr_write(CSR_SIE, sie);
	csr_set(CSR_SSTATUS, status & SSTATUS_SIE);
	return was_taken;
}

bool irq_pending(unsigned int number)
{
	if (csr_read(CSR_SIP) & BIT(number)) {
		if (number != IRQ_S_SOFT)
			sip_state = SIP_TELLS;
		return true;
	}
	if (number == IRQ_S_SOFT || sip_state == SIP_TELLS)
		return false;
	if (!taken(number))
		return false;
	/* It may have come between the two looks. */
	if (sip_state == UNKNOWN)
		sip_state = csr_read(CSR_SIP) & BIT(number) ? SIP_TELLS : SIP_IS_BLIND;
	return true;
}
