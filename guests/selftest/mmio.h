/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_SELFTEST_MMIO_H
#define GUESTS_SELFTEST_MMIO_H

#include "guests/lib/plic.h"
#include "guests/selftest/test.h"
#include "virtio/registers.h"

#define UART_RBR 0
#define UART_IER 1
#define UART_IIR 2
#define UART_LCR 3
#define UART_MCR 4
#define UART_LSR 5
#define UART_MSR 6
#define UART_SCR 7

#define UART_REG(n) (*(volatile uint8_t *)(UART_BASE + (n)))

/* The first slot without a device, or 0. */
uint64_t virtio_empty_slot(void);

#endif
