/* SPDX-License-Identifier: MIT */

/*
 * The platform-level interrupt controller (RISC-V PLIC Specification 1.0.0). It hands the
 * interrupts of devices to contexts, which are modes of harts. Here, all of them go to one:
 * the boot hart's S-mode. A context claims an interrupt by reading its claim register, and is
 * not told of it again until it has written the number back there.
 */

#include "guests/minikernel/kernel.h"

#define PRIORITY  0x0      /* a word for each interrupt */
#define ENABLE    0x2000   /* a bit for each interrupt, 0x80 bytes a context */
#define THRESHOLD 0x200000 /* 0x1000 bytes a context */
#define CLAIM     0x200004

static char *plic;

static volatile uint32_t *reg(uint64_t offset)
{
	return (volatile uint32_t *)(plic + offset);
}

static volatile uint32_t *enable_word(uint32_t irq)
{
	return reg(ENABLE + UINT64_C(0x80) * machine.plic_context + UINT64_C(4) * (irq / 32));
}

static volatile uint32_t *context_reg(uint64_t offset)
{
	return reg(offset + UINT64_C(0x1000) * machine.plic_context);
}

void plic_init(void)
{
	plic = vm_map_device(machine.plic.base, machine.plic.size);
	*context_reg(THRESHOLD) = 0;
}

void plic_enable(uint32_t irq)
{
	*reg(PRIORITY + UINT64_C(4) * irq) = 1;
	*enable_word(irq) |= UINT32_C(1) << irq % 32;
}

void plic_interrupt(void)
{
	uint32_t irq;

	while ((irq = *context_reg(CLAIM)) != 0) {
		if (irq == machine.uart_irq)
			uart_interrupt();
		*context_reg(CLAIM) = irq;
	}
}
