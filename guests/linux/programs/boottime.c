/* SPDX-License-Identifier: MIT */
/*
 * Prints `boottime TICKS NS`: `time` when this program's first instruction ran, in ticks
 * since reset, and the kernel's own CLOCK_MONOTONIC just after. Started as init
 * (rdinit=/tests/boottime) it then turns the machine off. Uses no library: nothing of a
 * libc's start is counted.
 */
#include <linux/reboot.h>
#include <linux/time.h>
#include <stdint.h>
#include <sys/syscall.h>

void boottime_main(uint64_t ticks);

static long system_call(long number, long a, long b, long c)
{
	register long a0 __asm__("a0") = a;
	register long a1 __asm__("a1") = b;
	register long a2 __asm__("a2") = c;
	register long a7 __asm__("a7") = number;

	__asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
	return a0;
}

/* Writes the digits of `value` before `end` and returns where they start. */
static char *decimal(char *end, uint64_t value)
{
	do
		*--end = (char)('0' + value % 10);
	while (value /= 10);
	return end;
}

void boottime_main(uint64_t ticks)
{
	static const char label[] = "boottime ";
	struct timespec now = {0, 0};
	char line[64];
	char *p = line + sizeof(line);

	system_call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0);
	*--p = '\n';
	p = decimal(p, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
	*--p = ' ';
	p = decimal(p, ticks);
	for (unsigned i = sizeof(label) - 1; i-- > 0;)
		*--p = label[i];
	system_call(SYS_write, 1, (long)p, line + sizeof(line) - p);
	if (system_call(SYS_getpid, 0, 0, 0) == 1)
		system_call(SYS_reboot, (long)LINUX_REBOOT_MAGIC1, (long)LINUX_REBOOT_MAGIC2,
			    LINUX_REBOOT_CMD_POWER_OFF);
	system_call(SYS_exit, 0, 0, 0);
}

__asm__(".globl _start\n"
	"_start:\n"
	"	rdtime a0\n"
	"	call boottime_main\n");
