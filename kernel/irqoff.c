/* SPDX-License-Identifier: MIT */

#include "kernel/irqoff.h"

#ifdef PILAE_MEASURE_IRQOFF

#include "kernel/hart.h"
#include "kernel/lock.h"
#include "kernel/log.h"
#include "riscv/csr.h"

static struct {
	struct spinlock lock; /* guards the rest */
	bool measuring;
	uint64_t longest;
	void *end;
} irqoff;

static void note(uint64_t since, void *end)
{
	uint64_t length = csr_read(CSR_INSTRET) - since;

	if (!since || !irqoff.measuring || length <= irqoff.longest)
		return;
	spin_lock(&irqoff.lock);
	if (length > irqoff.longest) {
		irqoff.longest = length;
		irqoff.end = end;
	}
	spin_unlock(&irqoff.lock);
}

void irqoff_begin(void)
{
	if (!this_hart()->interrupts_off_since)
		this_hart()->interrupts_off_since = csr_read(CSR_INSTRET);
}

void irqoff_note(void)
{
	note(this_hart()->interrupts_off_since, __builtin_return_address(0));
}

void irqoff_end(void)
{
	note(this_hart()->interrupts_off_since, __builtin_return_address(0));
	this_hart()->interrupts_off_since = 0;
}

void irqoff_start_measuring(void)
{
	this_hart()->interrupts_off_since = csr_read(CSR_INSTRET);
	irqoff.measuring = true;
}

void irqoff_report(void)
{
	irqoff.measuring = false;
	if (irqoff.end)
		log_raw("pilae: longest stretch with interrupts off: %llu instructions, up to %p\n",
			(unsigned long long)irqoff.longest, irqoff.end);
}

#endif
