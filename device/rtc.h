/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_RTC_H
#define DEVICE_RTC_H

/* Goldfish's real-time clock: nanoseconds since 1970, and one alarm, as on QEMU's `virt`. */

#include "kernel/lock.h"
#include "kernel/timer.h"
#include "kernel/types.h"
#include "vmm/bus.h"
#include "vmm/irq.h"

struct rtc {
	struct mmio_device device; /* for the VM's bus */
	struct spinlock lock;      /* guards all below */
	struct irq_line irq;
	uint64_t (*wall_clock)(void);
	uint64_t offset;    /* of the guest's time from the wall clock, in ns */
	uint64_t alarm;     /* ns of the guest's time */
	uint64_t deadline;  /* ticks, while armed */
	uint32_t time_high; /* latched when the low half is read */
	bool armed, pending, enabled;
	struct timer timer; /* queued while armed */
};

/*
 * `wall_clock` gives ns since 1970, on any hart, with the RTC's lock held; the line is set with
 * the lock held too.
 */
void rtc_init(struct rtc *rtc, struct irq_line irq, uint64_t (*wall_clock)(void));

/*
 * The alarm is off, and the time is the wall clock's. To be called before its memory is freed
 * as well: then nothing is queued. (Its timer may be expiring on another hart at this moment.)
 * No vCPU of the VM runs.
 */
void rtc_reset(struct rtc *rtc);

#endif
