/* SPDX-License-Identifier: MIT */
/* More interrupts than anybody needs, and waiting for them. */
#include "guests/chaos/chaos.h"

#include "guests/lib/plic.h"

#define EVENTS   128
#define WAITS    16
#define UART_IER 1
#define IER_THRI 2

static void one_event(struct worker *w)
{
	uint64_t context = 2 * random_below(w, machine.hart_count) + 1;

	switch (random_below(w, 8)) {
	case 0:
		sbi_call(SBI_EXT_IPI, 0, ~UINT64_C(0), random_below(w, 2) - 1, 0, 0, 0);
		break;
	case 1:
		sbi_call(SBI_EXT_IPI, 0, random_next(&w->random) & (BIT(machine.hart_count) - 1), 0,
			 0, 0, 0);
		break;
	case 2:
		sbi_call(SBI_EXT_TIME, 0, one_in(w, 2) ? 0 : time_now() + random_below(w, 100), 0,
			 0, 0, 0);
		break;
	case 3:
		*(volatile uint8_t *)(UART_BASE + UART_IER) = one_in(w, 2) ? IER_THRI : 0;
		break;
	case 4:
		PLIC_ENABLE(context, 0) = (uint32_t)random_next(&w->random);
		PLIC_THRESHOLD(context) = (uint32_t)random_below(w, 3);
		PLIC_PRIORITY(random_below(w, 16)) = 1 + (uint32_t)random_below(w, 7);
		break;
	case 5:
		PLIC_CLAIM(context) = PLIC_CLAIM(context);
		break;
	default:
		csr_set(CSR_SIP, BIT(IRQ_S_SOFT));
		break;
	}
}

uint64_t storm_turn(struct worker *w)
{
	for (int i = 0; i < EVENTS; i++) {
		one_event(w);
		if (one_in(w, 4))
			csr_clear(CSR_SSTATUS, SSTATUS_SIE);
		else
			csr_set(CSR_SSTATUS, SSTATUS_SIE);
		csr_write(CSR_SIE, random_next(&w->random));
	}
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	csr_write(CSR_SIE, 0);
	return EVENTS;
}

/* With sstatus.SIE clear; the timer or another hart ends it, or it does not wait at all. */
uint64_t wfi_turn(struct worker *w)
{
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	for (int i = 0; i < WAITS; i++) {
		csr_write(CSR_SIE, BIT(IRQ_S_TIMER) | (one_in(w, 2) ? BIT(IRQ_S_SOFT) : 0) |
				       (one_in(w, 2) ? BIT(IRQ_S_EXT) : 0));
		run_timer(random_below(w, 50));
		if (one_in(w, 4))
			sbi_call(SBI_EXT_IPI, 0, ~UINT64_C(0), ~UINT64_C(0), 0, 0, 0);
		__asm__ volatile("wfi" ::: "memory");
		csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
	}
	csr_write(CSR_SIE, 0);
	run_timer(1000000000);
	return WAITS;
}
