/* SPDX-License-Identifier: MIT */
/*
 * crash=NAME in bootargs: one thing that ends a VM badly, or after which a real machine does
 * nothing useful for ever. The latter print a line first.
 */
#include "guests/selftest/test.h"

static void loop(void)
{
	for (;;)
		;
}

static void srst_failure(void)
{
	machine_shutdown(false);
}

static void finisher_fail(void)
{
	*(volatile uint32_t *)FINISHER_BASE = 0x13333;
}

static void finisher_fail_code(void)
{
	*(volatile uint32_t *)FINISHER_BASE = 7 << 16 | 0x3333;
}

static void finisher_pass(void)
{
	*(volatile uint32_t *)FINISHER_BASE = 0x5555;
}

static void legacy_shutdown(void)
{
	sbi_call(SBI_EXT_SHUTDOWN, 0, 0, 0, 0, 0, 0);
}

/* With stvec where nothing is, the fault at the handler's first instruction repeats for ever. */
static void jump_nowhere(void)
{
	csr_write(CSR_STVEC, NOWHERE);
	__asm__ volatile("jr %0" ::"r"(NOWHERE));
}

/* A handler that itself faults. */
static void fault_loop(void)
{
	__asm__ volatile("la t0, 1f\n csrw stvec, t0\n .balign 4\n 1: ld t1, (%0)" ::"r"(NOWHERE)
			 : "t0", "t1");
}

static void illegal_loop(void)
{
	__asm__ volatile("la t0, 1f\n csrw stvec, t0\n .balign 4\n 1: .word 0" ::: "t0");
}

/* The handler saves to a stack that is gone. */
static void stack_overflow(void)
{
	__asm__ volatile(
	    "la t0, 1f\n csrw stvec, t0\n mv sp, %0\n"
	    ".balign 4\n 1: addi sp, sp, -256\n sd ra, (sp)\n j 1b" ::"r"(machine.ram_base)
	    : "t0");
}

static void garbage_satp(void)
{
	csr_write(CSR_SATP, (uint64_t)ATP_MODE_SV39 << ATP_MODE_SHIFT | (BIT(44) - 1));
	__asm__ volatile("sfence.vma");
}

/* A root table in a device, with a mode of each size. */
static void satp_mmio(void)
{
	for (uint64_t mode = ATP_MODE_SV57; mode >= ATP_MODE_SV39; mode--) {
		csr_write(CSR_SATP, mode << ATP_MODE_SHIFT | PLIC_BASE >> PAGE_SHIFT);
		__asm__ volatile("sfence.vma");
	}
}

/* Everything that could wake it is masked. */
static void wfi_forever(void)
{
	csr_write(CSR_SIE, 0);
	for (;;)
		__asm__ volatile("wfi");
}

/* The last hart stops itself. */
static void stop_all(void)
{
	sbi_call(SBI_EXT_HSM, SBI_HSM_HART_STOP, 0, 0, 0, 0, 0);
}

static void ecall_loop(void)
{
	for (;;)
		sbi_call(0x12345678, 0, 0, 0, 0, 0, 0);
}

/* Everything it owns is overwritten, itself included. */
static void scribble(void)
{
	volatile uint64_t *end = (volatile uint64_t *)(machine.ram_base + machine.ram_size);

	for (volatile uint64_t *p = end - 1; (uint64_t)p > machine.ram_base + MIB(2); p--)
		*p = ~UINT64_C(0);
}

static const struct {
	const char *name;
	void (*run)(void);
	bool loops;
} crashes[] = {
    {"srst-failure", srst_failure, false},
    {"finisher-fail", finisher_fail, false},
    {"finisher-fail-code", finisher_fail_code, false},
    {"finisher-pass", finisher_pass, false},
    {"legacy-shutdown", legacy_shutdown, false},
    {"jump-nowhere", jump_nowhere, true},
    {"fault-loop", fault_loop, true},
    {"illegal-loop", illegal_loop, true},
    {"stack-overflow", stack_overflow, true},
    {"garbage-satp", garbage_satp, true},
    {"satp-mmio", satp_mmio, true},
    {"wfi-forever", wfi_forever, true},
    {"stop-all", stop_all, true},
    {"ecall-loop", ecall_loop, true},
    {"scribble", scribble, true},
    {"spin", loop, true},
};

void crash_if_asked(void)
{
	char name[32];

	if (!machine_option("crash", name, sizeof(name)))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(crashes); i++) {
		if (strcmp(name, crashes[i].name) != 0)
			continue;
		print("selftest: crash %s%s\n", name, crashes[i].loops ? ", then nothing" : "");
		crashes[i].run();
		print("selftest: crash %s did not happen\n", name);
		loop();
	}
	print("selftest: no such crash: %s\n", name);
	machine_shutdown(false);
}
