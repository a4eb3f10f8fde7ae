/* SPDX-License-Identifier: MIT */
#include "guests/selftest/test.h"

extern const struct test_group group_sbi, group_dbcn, group_hsm, group_legacy, group_pmu,
    group_traps, group_priv, group_mmio, group_mmio_insns, group_mmio_paging, group_irq, group_plic,
    group_smp, group_paging, group_paging_more, group_code, group_code_modify, group_code_flow,
    group_code_hidden, group_code_stale, group_code_behind, group_code_fence, group_code_bounds,
    group_code_csr, group_code_site, group_code_read, group_top, group_memory, group_fp, group_kept,
    group_abuse;

static const struct test_group *const groups[] = {
    &group_sbi,         &group_hsm,         &group_dbcn,        &group_legacy,
    &group_pmu,         &group_traps,       &group_priv,        &group_mmio,
    &group_mmio_insns,  &group_mmio_paging, &group_irq,         &group_plic,
    &group_smp,         &group_paging,      &group_paging_more, &group_code,
    &group_code_modify, &group_code_flow,   &group_code_stale,  &group_code_behind,
    &group_code_fence,  &group_code_hidden, &group_code_bounds, &group_code_csr,
    &group_code_site,   &group_code_read,   &group_top,         &group_memory,
    &group_fp,          &group_kept,        &group_abuse,
};

uint64_t test_seed = 1;

static enum { PASSED, FAILED, SKIPPED } state;
static char reason[192];
static struct spinlock lock;
static unsigned int passed, failed, skipped;

static void set_state(int new_state, const char *format, va_list args)
{
	spin_lock(&lock);
	if (state == PASSED || (state == SKIPPED && new_state == FAILED)) {
		state = new_state;
		format_v(reason, sizeof(reason), format, args);
	}
	spin_unlock(&lock);
}

void test_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set_state(FAILED, format, args);
	va_end(args);
}

void test_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set_state(SKIPPED, format, args);
	va_end(args);
}

bool test_failed(void)
{
	return __atomic_load_n(&state, __ATOMIC_RELAXED) == FAILED;
}

void test_differs(uint64_t got, uint64_t want, const char *format, ...)
{
	char what[128];
	va_list args;

	va_start(args, format);
	format_v(what, sizeof(what), format, args);
	va_end(args);
	test_fail("%s: got 0x%lx, want 0x%lx", what, got, want);
}

void test_wrong_trap(uint64_t cause, uint64_t tval, const char *format, ...)
{
	const struct trap_frame *trap = &hart_self()->trap;
	char what[128];
	va_list args;

	va_start(args, format);
	format_v(what, sizeof(what), format, args);
	va_end(args);
	test_fail("%s: cause %lu tval 0x%lx, want cause %lu tval 0x%lx", what, trap->cause,
		  trap->tval, cause, tval);
}

void test_everywhere(void (*work)(void *argument), void *argument)
{
	for (size_t i = 1; i < machine.hart_count; i++)
		expect_eq(hart_run(i, work, argument), 0, "start of hart %lu", harts[i].id);
	work(argument);
	for (size_t i = 1; i < machine.hart_count; i++)
		expect(hart_join(i, 20000), "hart %lu did not finish", harts[i].id);
}

void test_delay(uint64_t ms)
{
	uint64_t end = time_now() + ms * (machine.timebase / 1000);

	while (time_now() < end)
		;
}

/* Everything that a test may have left behind. */
static void clean_up(void)
{
	csr_write(CSR_SIE, 0);
	csr_write(CSR_SATP, 0);
	__asm__ volatile("sfence.vma" ::: "memory");
	csr_write(CSR_STVEC, trap_entry);
	csr_write(CSR_SSCRATCH, hart_self());
	csr_write(CSR_SCOUNTEREN, 7);
	sbi_call(SBI_EXT_SET_TIMER, 0, ~UINT64_C(0), 0, 0, 0, 0);
	csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
	hart_self()->on_interrupt = NULL;
	hart_self()->vector = 0;
	for (int i = 0; i < 16; i++)
		hart_self()->interrupts[i] = 0;
	hart_self()->order_count = 0;
}

/* A hart that is stuck is lost, and those after it: later tests do with fewer. */
static void check_harts_stopped(void)
{
	for (size_t i = 1; i < machine.hart_count; i++)
		if (!wait_until(hart_status(i) == SBI_HSM_STOPPED, 1000)) {
			test_fail("hart %lu is left in state %ld", harts[i].id, hart_status(i));
			print("selftest: going on with %lu harts\n", i);
			machine.hart_count = i;
		}
}

static uint64_t call_test(uint64_t function, uint64_t a1, uint64_t a2)
{
	(void)a1;
	(void)a2;
	((void (*)(void))function)();
	return 0;
}

static void report(const char *group, const char *name)
{
	if (state == PASSED) {
		passed++;
		print("ok %s-%s\n", group, name);
	} else if (state == FAILED) {
		failed++;
		print("not ok %s-%s: %s\n", group, name, reason);
	} else {
		skipped++;
		print("skip %s-%s: %s\n", group, name, reason);
	}
}

static void run_test(const struct test_group *group, const struct test *test)
{
	const struct trap_frame *trap = &hart_self()->trap;

	state = PASSED;
	if (trap_run(call_test, (uint64_t)test->run, 0, 0))
		test_fail("unexpected exception: cause %lu epc 0x%lx tval 0x%lx ra 0x%lx",
			  trap->cause, trap->epc, trap->tval, trap->x[REG_RA]);
	clean_up();
	check_harts_stopped();
	report(group->name, test->name);
}

static void run_groups(const char *chosen, const char *only)
{
	char name[64];

	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		if (chosen[0] && !machine_lists(chosen, groups[g]->name))
			continue;
		for (size_t t = 0; t < groups[g]->count; t++) {
			format(name, sizeof(name), "%s-%s", groups[g]->name,
			       groups[g]->tests[t].name);
			if (!only[0] || machine_lists(only, name))
				run_test(groups[g], &groups[g]->tests[t]);
		}
	}
}

void guest_main(void)
{
	char chosen[128] = "", only[128] = "", seed[24];

	if (machine_option("seed", seed, sizeof(seed)))
		for (const char *s = seed; *s >= '0' && *s <= '9'; s++)
			test_seed = test_seed * 10 + (uint64_t)(*s - '0');
	machine_option("tests", chosen, sizeof(chosen));
	machine_option("only", only, sizeof(only));
	print("selftest: %lu harts, RAM 0x%lx+0x%lx, SBI %lu.%lu, implementation %lu 0x%lx\n",
	      machine.hart_count, machine.ram_base, machine.ram_size, machine.sbi_version >> 24,
	      machine.sbi_version & 0xffffff, machine.sbi_impl, machine.sbi_impl_version);
	for (const char *s = machine.isa; *s; s += strlen(s) < 500 ? strlen(s) : 500) {
		char part[501];

		format(part, sizeof(part), "%s", s);
		print("selftest: %s\n", part);
	}
	clean_up();
	crash_if_asked();
	run_groups(chosen, only);
	print("selftest: %u ok, %u not ok, %u skipped\n", passed, failed, skipped);
	machine_shutdown(failed == 0);
}
