/* SPDX-License-Identifier: MIT */
/* The HSM extension: starting, stopping and suspending harts. */
#include "guests/lib/paging.h"
#include "guests/selftest/sbi.h"

#define ENOUGH_MS 3000

static bool alone(void)
{
	if (machine.hart_count < 2)
		test_skip("one hart");
	return machine.hart_count < 2;
}

static void status(void)
{
	static const uint64_t absent[] = {4096,         0xffffffff, BIT(32), BIT(63),
					  ~UINT64_C(0), 512,        1000000};

	expect_eq(hart_status(0), SBI_HSM_STARTED, "self");
	for (size_t i = 1; i < machine.hart_count; i++)
		expect_eq(hart_status(i), SBI_HSM_STOPPED, "hart %lu", harts[i].id);
	/* OpenSBI looks at the low 32 bits of a hart id. */
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		if (!machine.opensbi || (uint32_t)absent[i] != 0)
			expect_eq(sbi1(SBI_EXT_HSM, SBI_HSM_HART_GET_STATUS, absent[i]).error,
				  SBI_ERR_INVALID_PARAM, "hart %lu", absent[i]);
}

static void start_errors(void)
{
	static const uint64_t absent[] = {4096, 0xffffffff, BIT(32), BIT(63), ~UINT64_C(0), 512};
	uint64_t good = (uint64_t)hart_entry;

	expect_eq(sbi3(SBI_EXT_HSM, SBI_HSM_HART_START, hart_self()->id, good, 0).error,
		  SBI_ERR_ALREADY_AVAILABLE, "self");
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		if (!machine.opensbi || (uint32_t)absent[i] != 0)
			expect_eq(sbi3(SBI_EXT_HSM, SBI_HSM_HART_START, absent[i], good, 0).error,
				  SBI_ERR_INVALID_PARAM, "hart 0x%lx", absent[i]);
}

static void start_addresses(void)
{
	uint64_t end = machine.ram_base + machine.ram_size;
	const uint64_t bad[] = {0,
				NOWHERE,
				UART_BASE,
				PLIC_BASE,
				FINISHER_BASE,
				end,
				BIT(40),
				BIT(56),
				BIT(63),
				~UINT64_C(0) - 1,
				machine.ram_base - 4,
				VIRTIO_BASE,
				BIT(63) + machine.ram_base};

	if (machine.opensbi) {
		test_skip("the firmware starts harts anywhere");
		return;
	}
	if (alone())
		return;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect_eq(sbi3(SBI_EXT_HSM, SBI_HSM_HART_START, harts[1].id, bad[i], 0).error,
			  SBI_ERR_INVALID_ADDRESS, "address 0x%lx", bad[i]);
	expect_eq(hart_status(1), SBI_HSM_STOPPED, "status afterwards");
}

struct seen {
	uint64_t id, satp, sstatus;
	volatile uint64_t count;
};

static void look(void *argument)
{
	struct seen *seen = argument;

	seen->id = hart_self()->id;
	seen->satp = csr_read(CSR_SATP);
	seen->sstatus = csr_read(CSR_SSTATUS);
	seen->count++;
}

static void start_state(void)
{
	if (alone())
		return;
	for (size_t i = 1; i < machine.hart_count; i++) {
		struct seen seen = {.id = 99};

		expect_eq(hart_run(i, look, &seen), 0, "start of hart %lu", harts[i].id);
		expect(hart_join(i, ENOUGH_MS), "hart %lu did not finish", harts[i].id);
		expect_eq(seen.count, 1, "runs of hart %lu", harts[i].id);
		expect_eq(seen.satp, 0, "satp");
		expect_eq(seen.sstatus & SSTATUS_SIE, 0, "sstatus.SIE");
	}
}

/* What a hart finds at its first instruction; it goes on at hart_entry with its struct hart. */
struct found {
	uint64_t a0, satp, sstatus, sip;
	struct hart *hart;
};

void found_entry(void);
__asm__(".pushsection .text\n"
	"found_entry:\n"
	" sd a0, 0(a1)\n"
	" csrr t0, satp\n sd t0, 8(a1)\n"
	" csrr t0, sstatus\n sd t0, 16(a1)\n"
	" csrr t0, sip\n sd t0, 24(a1)\n"
	" ld a1, 32(a1)\n"
	" la t0, hart_entry\n jr t0\n"
	".popsection");

/* Ends with its own page tables, all interrupts enabled, and some pending. */
static void leave_dirty(void *argument)
{
	csr_write(CSR_SIE, BIT(IRQ_S_TIMER) | BIT(IRQ_S_SOFT) | BIT(IRQ_S_EXT) | BIT(IRQ_LCOF));
	csr_set(CSR_SIP, BIT(IRQ_S_SOFT) | BIT(IRQ_LCOF));
	sbi1(SBI_EXT_TIME, 0, 0);
	csr_set(CSR_SSTATUS, SSTATUS_SUM | SSTATUS_MXR | SSTATUS_SPIE | SSTATUS_SPP);
	paging_on(argument, 7);
	__atomic_store_n(&hart_self()->done, true, __ATOMIC_RELEASE);
	sbi0(SBI_EXT_HSM, SBI_HSM_HART_STOP);
}

/* Started again, a hart has nothing of what it had when it stopped. */
static void start_clean(void)
{
	struct paging tables;
	struct found found = {.a0 = 99, .satp = 99, .sstatus = ~UINT64_C(0)};
	struct seen seen = {.id = 99};

	if (alone())
		return;
	paging_init_identity(&tables, 3);
	expect_eq(hart_run(1, leave_dirty, &tables), 0, "first start");
	expect(hart_join(1, ENOUGH_MS), "did not stop");
	hart_init(&harts[1], harts[1].id);
	harts[1].work = look;
	harts[1].argument = &seen;
	found.hart = &harts[1];
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	expect_eq(sbi3(SBI_EXT_HSM, SBI_HSM_HART_START, harts[1].id, (uint64_t)found_entry,
		       (uint64_t)&found)
		      .error,
		  0, "second start");
	expect(hart_join(1, ENOUGH_MS), "did not finish");
	expect_eq(seen.count, 1, "runs");
	expect_eq(found.a0, harts[1].id, "a0");
	expect_eq(found.satp, 0, "satp");
	expect_eq(found.sstatus & SSTATUS_SIE, 0, "sstatus.SIE");
	if (machine.opensbi)
		return;
	expect_eq(found.sstatus & (SSTATUS_SUM | SSTATUS_MXR), 0, "sstatus");
	expect_eq(found.sip, 0, "sip");
}

struct stay {
	bool there, over;
};

static void stay(void *argument)
{
	struct stay *stay = argument;

	__atomic_store_n(&stay->there, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&stay->over, __ATOMIC_ACQUIRE))
		;
}

static void start_started(void)
{
	struct stay other = {0};

	if (alone())
		return;
	expect_eq(hart_run(1, stay, &other), 0, "start");
	expect(wait_until(hart_status(1) == SBI_HSM_STARTED, ENOUGH_MS), "status %ld",
	       hart_status(1));
	/* It says that a hart has started when that has yet to get ready for another start. */
	if (machine.opensbi)
		expect(wait_until(__atomic_load_n(&other.there, __ATOMIC_ACQUIRE), ENOUGH_MS),
		       "does not run");
	expect_eq(sbi3(SBI_EXT_HSM, SBI_HSM_HART_START, harts[1].id, (uint64_t)hart_entry, 0).error,
		  SBI_ERR_ALREADY_AVAILABLE, "second start");
	__atomic_store_n(&other.over, true, __ATOMIC_RELEASE);
	expect(hart_join(1, ENOUGH_MS), "did not stop");
}

static void start_many(void)
{
	struct seen seen = {0};

	if (alone())
		return;
	for (uint64_t n = 1; n <= 200 && !test_failed(); n++) {
		size_t i = 1 + n % (machine.hart_count - 1);

		expect_eq(hart_run(i, look, &seen), 0, "start %lu", n);
		expect(hart_join(i, ENOUGH_MS), "start %lu did not finish", n);
		expect_eq(seen.count, n, "count");
		expect_eq(seen.id, harts[i].id, "id");
	}
}

static void ipi_to_stopped(void)
{
	struct seen seen = {0};

	if (alone())
		return;
	expect_eq(sbi2(SBI_EXT_IPI, 0, 1, harts[1].id).error, 0, "IPI");
	expect_eq(sbi2(SBI_EXT_RFENCE, 0, 1, harts[1].id).error, 0, "fence");
	expect_eq(hart_status(1), SBI_HSM_STOPPED, "status");
	expect_eq(hart_run(1, look, &seen), 0, "start");
	expect(hart_join(1, ENOUGH_MS), "did not finish");
	expect_eq(seen.count, 1, "runs");
}

static void await_ipi(void *argument)
{
	while (!(csr_read(CSR_SIP) & BIT(IRQ_S_SOFT)))
		;
	csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
	__atomic_add_fetch((uint64_t *)argument, 1, __ATOMIC_SEQ_CST);
}

static void fence_until(void *argument)
{
	while (!__atomic_load_n((bool *)argument, __ATOMIC_ACQUIRE))
		for (uint64_t f = SBI_RFENCE_FENCE_I; f <= SBI_RFENCE_SFENCE_VMA; f++)
			sbi5(SBI_EXT_RFENCE, f, 0, ~UINT64_C(0), 0, 0, 0);
}

/* A hart that comes and goes misses no IPI from when it is started, and delays nobody's fences. */
static void start_and_send(void)
{
	uint64_t count = 0;
	bool enough = false;

	if (alone())
		return;
	if (machine.hart_count > 2)
		expect_eq(hart_run(2, fence_until, &enough), 0, "start of the one that fences");
	for (uint64_t n = 1; n <= 200 && !test_failed(); n++) {
		expect_eq(hart_run(1, await_ipi, &count), 0, "start %lu", n);
		/* OpenSBI sends none to a hart whose start is pending. */
		if (machine.opensbi)
			wait_until(hart_status(1) == SBI_HSM_STARTED, ENOUGH_MS);
		sbi2(SBI_EXT_IPI, 0, 1, harts[1].id);
		expect(hart_join(1, ENOUGH_MS), "IPI %lu was lost", n);
		expect_eq(count, n, "count");
	}
	__atomic_store_n(&enough, true, __ATOMIC_RELEASE);
	if (machine.hart_count > 2)
		expect(hart_join(2, ENOUGH_MS), "a fence was not done");
}

static uint64_t suspend(uint64_t type, uint64_t address, uint64_t opaque)
{
	return (uint64_t)sbi3(SBI_EXT_HSM, SBI_HSM_HART_SUSPEND, type, address, opaque).error;
}

static void suspend_retentive(void)
{
	uint64_t start;

	csr_write(CSR_SIE, BIT(IRQ_S_TIMER) | BIT(IRQ_S_SOFT));
	for (int i = 0; i < 5; i++) {
		start = time_now();
		sbi1(SBI_EXT_TIME, 0, start + machine.timebase / 1000);
		expect_eq(suspend(0, 0, 0), 0, "timer wakes");
		expect(time_now() - start < machine.timebase, "woke after %lu ticks",
		       time_now() - start);
	}
	sbi1(SBI_EXT_TIME, 0, ~UINT64_C(0));
	sbi2(SBI_EXT_IPI, 0, BIT(hart_self()->id), 0);
	expect_eq(suspend(0, ~UINT64_C(0), ~UINT64_C(0)), 0, "with an IPI pending");
}

static void suspend_non_retentive(void)
{
	struct hart *hart = hart_self();

	for (int i = 0; i < 5; i++) {
		csr_write(CSR_SIE, BIT(IRQ_S_TIMER));
		hart->result = 99;
		hart->trap.cause = 0;
		sbi1(SBI_EXT_TIME, 0, time_now() + machine.timebase / 1000);
		if (!trap_run(suspend, SBI_HSM_SUSPEND_NON_RETENTIVE, (uint64_t)hart_resume,
			      (uint64_t)hart)) {
			if (machine.opensbi)
				test_skip("returned %ld", (int64_t)hart->result);
			else
				test_fail("returned %ld", (int64_t)hart->result);
			return;
		}
		expect_eq(hart->result, hart->id, "a0");
		expect_eq(hart->temp & SSTATUS_SIE, 0, "sstatus.SIE");
		expect_eq(hart->vector, 0, "satp");
		expect_eq(hart->trap.cause, 0, "an exception");
	}
}

static void suspend_errors(void)
{
	static const uint32_t reserved[] = {1, 2, 0xfffffff, 0x80000001, 0x8fffffff};
	static const uint32_t platform[] = {0x10000000, 0x7fffffff, 0x90000000, 0xffffffff};
	static const uint64_t addresses[] = {NOWHERE, UART_BASE, BIT(56), ~UINT64_C(0) - 1, 0};
	int64_t error;

	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		expect_eq(suspend(reserved[i], (uint64_t)hart_resume, 0), SBI_ERR_INVALID_PARAM,
			  "type 0x%x", reserved[i]);
	for (size_t i = 0; i < ARRAY_SIZE(platform); i++) {
		error = (int64_t)suspend(platform[i], (uint64_t)hart_resume, 0);
		/* OpenSBI 1.5 says of a platform's types that they are not supported. */
		if (!machine.opensbi || error != SBI_ERR_NOT_SUPPORTED)
			expect_eq(error, SBI_ERR_INVALID_PARAM, "type 0x%x", platform[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(addresses) && !machine.opensbi; i++)
		expect_eq(suspend(SBI_HSM_SUSPEND_NON_RETENTIVE, addresses[i], 0),
			  SBI_ERR_INVALID_ADDRESS, "address 0x%lx", addresses[i]);
}

static void suspend_once(void *argument)
{
	csr_write(CSR_SIE, BIT(IRQ_S_SOFT));
	*(int64_t *)argument = (int64_t)suspend(0, 0, 0);
}

static void suspend_other(void)
{
	volatile int64_t result = 99;
	int64_t error;

	if (alone())
		return;
	expect_eq(hart_run(1, suspend_once, (void *)(uintptr_t)&result), 0, "start");
	expect(wait_until(hart_status(1) == SBI_HSM_SUSPENDED, ENOUGH_MS), "status %ld",
	       hart_status(1));
	/* The specification has no error for just this; it must be one, and change nothing. */
	error = sbi3(SBI_EXT_HSM, SBI_HSM_HART_START, harts[1].id, (uint64_t)hart_entry, 0).error;
	expect(error == SBI_ERR_ALREADY_AVAILABLE || error == SBI_ERR_INVALID_PARAM,
	       "start of a suspended hart: %ld", error);
	expect_eq(result, 99, "returned before it was woken:");
	sbi2(SBI_EXT_IPI, 0, 1, harts[1].id);
	expect(hart_join(1, ENOUGH_MS), "an IPI did not wake it");
	expect_eq(result, 0, "result");
}

static const struct test tests[] = {
    {"status", status},
    {"start-errors", start_errors},
    {"start-addresses", start_addresses},
    {"start-state", start_state},
    {"start-clean", start_clean},
    {"start-started", start_started},
    {"start-many", start_many},
    {"ipi-to-stopped", ipi_to_stopped},
    {"start-and-send", start_and_send},
    {"suspend-retentive", suspend_retentive},
    {"suspend-non-retentive", suspend_non_retentive},
    {"suspend-errors", suspend_errors},
    {"suspend-other", suspend_other},
};
TEST_GROUP(hsm, tests);
