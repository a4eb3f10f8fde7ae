/* SPDX-License-Identifier: MIT */
#ifndef VMM_IRQ_H
#define VMM_IRQ_H

/* The wire between a device and its interrupt controller. */

#include "kernel/types.h"

struct irq_line {
	void (*set)(struct irq_line *line, bool level); /* any hart, any lock of the device held */
	void *controller;
	uint32_t source;
};

static inline void irq_line_set(struct irq_line *line, bool level)
{
	if (line->set)
		line->set(line, level);
}

#endif
