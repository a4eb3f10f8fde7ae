/* SPDX-License-Identifier: MIT */

/* The kernel's own words, and its last ones. */

#include "guests/minikernel/kernel.h"
#include "riscv/sbi.h"

static void put(char c, void *arg)
{
	(void)arg;
	console_put(c);
}

void print(const char *text, ...)
{
	va_list args;

	va_start(args, text);
	format(put, NULL, text, args);
	va_end(args);
	if (uart_present())
		uart_start();
}

/* Sends all that is in the console's buffer; through SBI, as long as there is no UART. */
static void drain(void)
{
	int c;

	if (uart_present()) {
		uart_drain();
		return;
	}
	while ((c = console_next()) >= 0)
		sbi_call(SBI_EXT_DBCN, SBI_DBCN_WRITE_BYTE, (uint64_t)c, 0, 0, 0, 0);
}

static void reset(uint64_t type, uint64_t reason) __noreturn;
static void reset(uint64_t type, uint64_t reason)
{
	sbi_call(SBI_EXT_SRST, SBI_SRST_RESET, type, reason, 0, 0, 0);
	sbi_call(SBI_EXT_SHUTDOWN, 0, 0, 0, 0, 0, 0);
	for (;;)
		__asm__ volatile("wfi");
}

void machine_poweroff(void)
{
	print("minikernel: power off\n");
	drain();
	reset(SBI_SRST_SHUTDOWN, SBI_SRST_REASON_NONE);
}

void machine_reboot(void)
{
	print("minikernel: reboot\n");
	drain();
	reset(SBI_SRST_COLD_REBOOT, SBI_SRST_REASON_NONE);
}

void panic(const char *text, ...)
{
	static struct hart *first;
	struct hart *nobody = NULL;
	va_list args;

	if (!__atomic_compare_exchange_n(&first, &nobody, hart_self(), false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE)) {
		/* Another hart is at it; or this one, and it cannot even say what is wrong. */
		while (nobody != hart_self())
			__asm__ volatile("wfi");
		reset(SBI_SRST_SHUTDOWN, SBI_SRST_REASON_FAILURE);
	}
	va_start(args, text);
	print("minikernel: panic: ");
	format(put, NULL, text, args);
	print("\n");
	va_end(args);
	drain();
	reset(SBI_SRST_SHUTDOWN, SBI_SRST_REASON_FAILURE);
}
