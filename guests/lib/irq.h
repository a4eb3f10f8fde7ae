/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_LIB_IRQ_H
#define GUESTS_LIB_IRQ_H

#include "kernel/types.h"

/*
 * Whether interrupt `number` is pending for this hart. sip says so, except that under QEMU 7.2
 * a guest of the H extension sees SSIP there and nothing else: then it is found out by taking
 * the interrupt for a moment, which leaves sie, the counts and the source as they were.
 */
bool irq_pending(unsigned int number);

#endif
