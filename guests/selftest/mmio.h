/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_SELFTEST_MMIO_H
#define GUESTS_SELFTEST_MMIO_H

#include "guests/selftest/test.h"

#define UART_RBR 0
#define UART_IER 1
#define UART_IIR 2
#define UART_LCR 3
#define UART_MCR 4
#define UART_LSR 5
#define UART_MSR 6
#define UART_SCR 7

#define UART_REG(n) (*(volatile uint8_t *)(UART_BASE + (n)))

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

/* What an empty virtio slot reads as at its first 8 bytes: magic, and legacy version. */
#define VIRTIO_MAGIC UINT32_C(0x74726976)

/* The first slot without a device, or 0. */
uint64_t virtio_empty_slot(void);

#endif
