/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_LIB_PLIC_H
#define GUESTS_LIB_PLIC_H

/* The PLIC's registers (RISC-V PLIC specification 1.0.0), where `virt` has them. */

#include "guests/lib/machine.h"

#define PLIC_PRIORITY(source) (*(volatile uint32_t *)(PLIC_BASE + 4 * (uint64_t)(source)))
#define PLIC_PENDING(word)    (*(volatile uint32_t *)(PLIC_BASE + 0x1000 + 4 * (uint64_t)(word)))
#define PLIC_ENABLE(context, word)                                                \
	(*(volatile uint32_t *)(PLIC_BASE + 0x2000 + 0x80 * (uint64_t)(context) + \
				4 * (uint64_t)(word)))
#define PLIC_THRESHOLD(context) \
	(*(volatile uint32_t *)(PLIC_BASE + 0x200000 + 0x1000 * (uint64_t)(context)))
#define PLIC_CLAIM(context) \
	(*(volatile uint32_t *)(PLIC_BASE + 0x200004 + 0x1000 * (uint64_t)(context)))

/* The S context of a hart: M and S alternate. */
static inline uint64_t plic_context(uint64_t hart_id)
{
	return 2 * hart_id + 1;
}

#endif
