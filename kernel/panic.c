/* SPDX-License-Identifier: MIT */

#include "kernel/panic.h"

#include "kernel/hart.h"
#include "kernel/irqoff.h"
#include "kernel/layout.h"
#include "kernel/mmu.h"
#include "kernel/platform.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

#include <stdarg.h>
#include <stdio.h>

#define BACKTRACE_MAX 24

/* The test finisher's word for "failed, with code 1". */
#define FINISHER_FAIL_1 0x13333

static volatile uint32_t *finisher;

void machine_init_end(void)
{
	if (platform.finisher.size)
		finisher = mmu_map_registers(HPA(platform.finisher.base), platform.finisher.size);
}

void machine_end(bool failure)
{
	irqoff_report();
	log_flush();
	if (failure && finisher) {
		uint64_t start = time_now();

		*finisher = FINISHER_FAIL_1;
		/* QEMU takes a moment to stop; another request meanwhile would replace its status.
		 */
		while (time_now() - start < platform.timebase)
			;
	}
	sbi_call(SBI_EXT_SRST, SBI_SRST_RESET, SBI_SRST_SHUTDOWN,
		 failure ? SBI_SRST_REASON_FAILURE : SBI_SRST_REASON_NONE, 0, 0, 0);
	sbi_call(SBI_EXT_SHUTDOWN, 0, 0, 0, 0, 0, 0);
	for (;;)
		__asm__ volatile("wfi");
}

void machine_reboot(void)
{
	irqoff_report();
	log_flush();
	sbi_call(SBI_EXT_SRST, SBI_SRST_RESET, SBI_SRST_COLD_REBOOT, SBI_SRST_REASON_NONE, 0, 0, 0);
}

static bool is_frame_pointer(uint64_t fp, uint64_t stack_slot)
{
	return is_aligned(fp, 8) && fp >> (STACK_SHIFT + 1) == stack_slot;
}

/* The ABI with frame pointers: ra lies at fp - 8, the caller's fp at fp - 16. */
static void print_backtrace(uint64_t pc, uint64_t fp)
{
	uint64_t slot = (fp - 1) >> (STACK_SHIFT + 1);

	log_raw("pilae: backtrace, for addr2line -pfe build/pilae.elf:\n");
	log_raw("  0x%llx", (unsigned long long)pc);
	for (unsigned i = 0; i < BACKTRACE_MAX && is_frame_pointer(fp - 16, slot); i++) {
		const uint64_t *frame = (const uint64_t *)fp;

		if (frame[-1] == 0)
			break;
		log_raw(" 0x%llx", (unsigned long long)frame[-1]);
		if (frame[-2] <= fp)
			break;
		fp = frame[-2];
	}
	log_raw("\n");
}

static void begin_panic(void)
{
	static uint32_t panicking;

	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	if (__atomic_exchange_n(&panicking, 1, __ATOMIC_SEQ_CST)) {
		/* A second panic, here or elsewhere: the first one's report is what counts. */
		for (;;)
			__asm__ volatile("wfi");
	}
	ipi_halt_others();
	log_begin_last();
}

void panic(const char *format, ...)
{
	const uint64_t *frame = __builtin_frame_address(0);
	char message[256];
	va_list arguments;

	begin_panic();
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	log_raw("\npilae: PANIC on hart %llu: %s\n", (unsigned long long)this_hart()->id, message);
	print_backtrace(frame[-1], frame[-2]);
	machine_end(true);
}

void panic_trap(const char *message, const struct trap_frame *frame)
{
	static const char names[32][5] = {
	    "zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
	    "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
	    "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
	};

	begin_panic();
	log_raw("\npilae: PANIC on hart %llu: %s\n", (unsigned long long)this_hart()->id, message);
	log_raw("  scause %016llx  sepc %016llx  stval %016llx  sstatus %016llx\n",
		(unsigned long long)frame->scause, (unsigned long long)frame->sepc,
		(unsigned long long)frame->stval, (unsigned long long)frame->sstatus);
	for (unsigned i = 1; i < 32; i++)
		log_raw("  %4s %016llx%s", names[i], (unsigned long long)frame->x[i],
			i % 4 == 0 || i == 31 ? "\n" : "");
	print_backtrace(frame->sepc, frame->x[8]);
	machine_end(true);
}
