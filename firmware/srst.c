/* SPDX-License-Identifier: MIT */

/* SBI 2.0, chapter 10: system reset. */

#include "firmware/firmware.h"
#include "firmware/platform.h"

/* What a sifive,test does: a failure has a status beside it. */
#define FINISHER_FAIL  0x13333
#define FINISHER_PASS  0x5555
#define FINISHER_RESET 0x7777

static void write_register(uint64_t address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
	__asm__ volatile("fence o, iorw" ::: "memory");
}

int64_t machine_reset(uint32_t type, uint32_t reason)
{
	const struct reset *reset =
	    type == SBI_SRST_SHUTDOWN ? &platform.poweroff : &platform.reboot;

	if (!platform.finisher && !reset->address)
		return SBI_ERR_NOT_SUPPORTED;
	/* One write: QEMU would heed the last one. A failure is one for who started the machine,
	 * too. */
	if (type == SBI_SRST_SHUTDOWN && reason == SBI_SRST_REASON_FAILURE && platform.finisher)
		write_register(platform.finisher, FINISHER_FAIL);
	else if (reset->address)
		write_register(reset->address, reset->value);
	else
		write_register(platform.finisher,
			       type == SBI_SRST_SHUTDOWN ? FINISHER_PASS : FINISHER_RESET);
	/* The machine takes its time. */
	hart_halt();
}

struct sbi_ret srst_call(struct fw_hart *hart)
{
	uint32_t type = (uint32_t)hart->x[10], reason = (uint32_t)hart->x[11];
	int64_t error;

	if (hart->x[16] != SBI_SRST_RESET)
		error = SBI_ERR_NOT_SUPPORTED;
	/* The others are reserved, or a platform's, of which none is there: the same (10.1). */
	else if (type > SBI_SRST_WARM_REBOOT || reason > SBI_SRST_REASON_FAILURE)
		error = SBI_ERR_INVALID_PARAM;
	else
		error = machine_reset(type, reason);
	return (struct sbi_ret){error, 0};
}
