/* SPDX-License-Identifier: MIT */
#include "device/rtc.h"

#include "kernel/error.h"
#include "vmm/machine.h"

#define RTC_TIME_LOW        0x00
#define RTC_TIME_HIGH       0x04
#define RTC_ALARM_LOW       0x08
#define RTC_ALARM_HIGH      0x0c
#define RTC_IRQ_ENABLED     0x10
#define RTC_CLEAR_ALARM     0x14
#define RTC_ALARM_STATUS    0x18
#define RTC_CLEAR_INTERRUPT 0x1c
#define RTC_SIZE            0x24 /* bytes that answer, of its page */

static uint64_t rtc_time(const struct rtc *rtc)
{
	return rtc->wall_clock() + rtc->offset;
}

static void rtc_update_irq(struct rtc *rtc)
{
	irq_line_set(&rtc->irq, rtc->pending && rtc->enabled);
}

static void rtc_disarm(struct rtc *rtc)
{
	rtc->armed = false;
	timer_cancel(&rtc->timer);
}

static void rtc_fire(struct rtc *rtc)
{
	rtc->armed = false;
	rtc->pending = true;
	rtc_update_irq(rtc);
}

/* The alarm follows the time that passes: setting the clock later does not move it. */
static void rtc_arm(struct rtc *rtc)
{
	uint64_t time = rtc_time(rtc), now, ticks;

	rtc_disarm(rtc);
	/* Signed as on `virt`: the time 2^64 - 1 is long past. */
	if ((int64_t)rtc->alarm <= (int64_t)time) {
		rtc_fire(rtc);
		return;
	}
	now = time_now();
	ticks = time_ns_to_ticks(rtc->alarm - time);
	rtc->deadline = ticks < TIME_NEVER - now ? now + ticks : TIME_NEVER;
	rtc->armed = true;
	timer_set(&rtc->timer, rtc->deadline);
}

static void rtc_expired(struct timer *timer)
{
	struct rtc *rtc = container_of(timer, struct rtc, timer);

	spin_lock(&rtc->lock);
	/* The guest may have taken the alarm back, or set another, while the timer expired. */
	if (rtc->armed) {
		if (time_now() >= rtc->deadline)
			rtc_fire(rtc);
		else
			timer_set(&rtc->timer, rtc->deadline);
	}
	spin_unlock(&rtc->lock);
}

static uint32_t rtc_read_register(struct rtc *rtc, uint64_t offset)
{
	uint64_t time;

	switch (offset) {
	case RTC_TIME_LOW:
		time = rtc_time(rtc);
		rtc->time_high = (uint32_t)(time >> 32);
		return (uint32_t)time;
	case RTC_TIME_HIGH:
		return rtc->time_high;
	case RTC_ALARM_LOW:
		return (uint32_t)rtc->alarm;
	case RTC_ALARM_HIGH:
		return (uint32_t)(rtc->alarm >> 32);
	case RTC_IRQ_ENABLED:
		return rtc->enabled;
	case RTC_ALARM_STATUS:
		return rtc->armed;
	default:
		return 0;
	}
}

static uint64_t with_low(uint64_t old, uint32_t value)
{
	return (old & BITS(63, 32)) | value;
}

static uint64_t with_high(uint64_t old, uint32_t value)
{
	return (old & BITS(31, 0)) | (uint64_t)value << 32;
}

static void rtc_write_register(struct rtc *rtc, uint64_t offset, uint32_t value)
{
	uint64_t time;

	switch (offset) {
	case RTC_TIME_LOW:
		time = rtc_time(rtc);
		rtc->offset += with_low(time, value) - time;
		break;
	case RTC_TIME_HIGH:
		time = rtc_time(rtc);
		rtc->offset += with_high(time, value) - time;
		break;
	case RTC_ALARM_LOW:
		rtc->alarm = with_low(rtc->alarm, value);
		rtc_arm(rtc);
		break;
	case RTC_ALARM_HIGH:
		rtc->alarm = with_high(rtc->alarm, value);
		break;
	case RTC_IRQ_ENABLED:
		rtc->enabled = value & 1;
		rtc_update_irq(rtc);
		break;
	case RTC_CLEAR_ALARM:
		rtc_disarm(rtc);
		break;
	case RTC_CLEAR_INTERRUPT:
		rtc->pending = false;
		rtc_update_irq(rtc);
		break;
	}
}

/* As on `virt`: registers are 4 bytes wide, and an access of 8 is one of two of them. */
static int rtc_read(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t *value)
{
	struct rtc *rtc = container_of(device, struct rtc, device);

	if (size < 4)
		return ERR_FAULT;
	spin_lock(&rtc->lock);
	*value = rtc_read_register(rtc, offset);
	if (size == 8)
		*value |= (uint64_t)rtc_read_register(rtc, offset + 4) << 32;
	spin_unlock(&rtc->lock);
	return 0;
}

static int rtc_write(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct rtc *rtc = container_of(device, struct rtc, device);

	if (size < 4)
		return ERR_FAULT;
	spin_lock(&rtc->lock);
	rtc_write_register(rtc, offset, (uint32_t)value);
	if (size == 8)
		rtc_write_register(rtc, offset + 4, (uint32_t)(value >> 32));
	spin_unlock(&rtc->lock);
	return 0;
}

void rtc_reset(struct rtc *rtc)
{
	spin_lock(&rtc->lock);
	rtc_disarm(rtc);
	rtc->offset = 0;
	rtc->alarm = 0;
	rtc->time_high = 0;
	rtc->pending = false;
	rtc->enabled = false;
	rtc_update_irq(rtc);
	spin_unlock(&rtc->lock);
}

void rtc_init(struct rtc *rtc, struct irq_line irq, uint64_t (*wall_clock)(void))
{
	static const struct mmio_ops ops = {rtc_read, rtc_write};

	*rtc = (struct rtc){
	    .device = {"rtc", &ops, MACHINE_RTC_BASE, RTC_SIZE},
	    .irq = irq,
	    .wall_clock = wall_clock,
	};
	timer_init(&rtc->timer, rtc_expired);
}
