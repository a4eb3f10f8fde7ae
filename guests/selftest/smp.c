/* SPDX-License-Identifier: MIT */
/* Several harts at once. */
#include "guests/lib/paging.h"
#include "guests/selftest/mmio.h"
#include "guests/selftest/sbi.h"

#define ENOUGH_MS 20000

static bool alone(void)
{
	if (machine.hart_count < 2)
		test_skip("one hart");
	return machine.hart_count < 2;
}

static uint64_t arrived;

/* Waits until all harts are here; `arrived` was 0 before. */
static void meet(void)
{
	__atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
	expect(wait_until(__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) >= machine.hart_count,
			  ENOUGH_MS),
	       "%lu of %lu harts came", arrived, machine.hart_count);
}

static void only_meet(void *argument)
{
	(void)argument;
	meet();
}

static void all_started(void)
{
	if (alone())
		return;
	arrived = 0;
	test_everywhere(only_meet, NULL);
	expect_eq(arrived, machine.hart_count, "harts");
}

static uint64_t counter, locked_counter, sc_counter, all_rounds;
static struct spinlock lock;

/*
 * For a second at most: where fewer harts run at a time than there are, each handing over of the
 * lock may last until the next one's turn.
 */
static void count(void *argument)
{
	uint64_t done = 0;

	(void)argument;
	meet();
	for (uint64_t end = time_now() + machine.timebase; done < 5000 && time_now() < end;
	     done++) {
		uint64_t old;
		uint32_t failed;

		__atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
		spin_lock(&lock);
		locked_counter++;
		spin_unlock(&lock);
		__asm__ volatile(
		    "1: lr.d %0, (%2)\n addi %0, %0, 1\n sc.d %1, %0, (%2)\n bnez %1, 1b"
		    : "=&r"(old), "=&r"(failed)
		    : "r"(&sc_counter)
		    : "memory");
	}
	__atomic_fetch_add(&all_rounds, done, __ATOMIC_RELAXED);
}

static void counters(void)
{
	if (alone())
		return;
	arrived = counter = locked_counter = sc_counter = all_rounds = 0;
	test_everywhere(count, NULL);
	expect(all_rounds > machine.hart_count, "%lu rounds", all_rounds);
	expect_eq(counter, all_rounds, "AMO counter");
	expect_eq(locked_counter, all_rounds, "counter under a lock");
	expect_eq(sc_counter, all_rounds, "LR/SC counter");
}

struct ball {
	volatile uint64_t sent[2], got[2];
	bool with_wfi;
	volatile bool ready; /* the other side is there */
	uint64_t rounds;
};

static void wait_ipi(struct ball *ball, int me)
{
	uint64_t end = time_now() + machine.timebase * 20;

	while (!(csr_read(CSR_SIP) & BIT(IRQ_S_SOFT)) && time_now() < end)
		if (ball->with_wfi)
			__asm__ volatile("wfi");
	csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	ball->got[me]++;
	expect_eq(ball->got[me], ball->sent[!me], "IPIs got by player %d, and sent", me);
}

static void play(struct ball *ball, int me, uint64_t other)
{
	/* The timer is there so that a lost IPI ends the test and not the guest. */
	csr_write(CSR_SIE, BIT(IRQ_S_SOFT) | BIT(IRQ_S_TIMER));
	sbi1(SBI_EXT_TIME, 0, time_now() + machine.timebase * 20);
	for (uint64_t i = 0; i < ball->rounds && !test_failed(); i++) {
		if (me == 1)
			wait_ipi(ball, me);
		ball->sent[me]++;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		sbi2(SBI_EXT_IPI, 0, 1, other);
		if (me == 0)
			wait_ipi(ball, me);
	}
}

static void play_other(void *argument)
{
	__atomic_store_n(&((struct ball *)argument)->ready, true, __ATOMIC_SEQ_CST);
	play(argument, 1, harts[0].id);
}

/* Harts of a busy machine that spin for each other take a turn of its scheduler's for each ball. */
#define ROUNDS      500
#define ROUNDS_SPUN 150

static void ping_pong(bool with_wfi)
{
	const uint64_t rounds = with_wfi ? ROUNDS : ROUNDS_SPUN;

	for (size_t i = 1; i < machine.hart_count && i < 4; i++) {
		struct ball ball = {.with_wfi = with_wfi, .rounds = rounds};

		csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
		expect_eq(hart_run(i, play_other, &ball), 0, "start");
		expect(wait_until(ball.ready, ENOUGH_MS), "hart %lu is not ready", harts[i].id);
		play(&ball, 0, harts[i].id);
		expect(hart_join(i, ENOUGH_MS), "hart %lu did not finish", harts[i].id);
		expect_eq(ball.got[0], rounds, "IPIs");
		expect_eq(ball.got[1], rounds, "IPIs");
	}
}

static void ping_pong_spin(void)
{
	if (!alone())
		ping_pong(false);
}

static void ping_pong_wfi(void)
{
	if (!alone())
		ping_pong(true);
}

static void take_one(void *argument)
{
	(void)argument;
	csr_write(CSR_SIE, BIT(IRQ_S_SOFT));
	__atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
	csr_set(CSR_SSTATUS, SSTATUS_SIE);
	expect(wait_until(hart_self()->interrupts[IRQ_S_SOFT] > 0, ENOUGH_MS), "no IPI at hart %lu",
	       hart_self()->id);
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
}

static void broadcast(void)
{
	if (alone())
		return;
	arrived = 0;
	for (size_t i = 1; i < machine.hart_count; i++)
		expect_eq(hart_run(i, take_one, NULL), 0, "start");
	expect(wait_until(__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) == machine.hart_count - 1,
			  ENOUGH_MS),
	       "%lu came", arrived);
	expect_eq(sbi2(SBI_EXT_IPI, 0, 0, ~UINT64_C(0)).error, 0, "IPI to all");
	for (size_t i = 1; i < machine.hart_count; i++)
		expect(hart_join(i, ENOUGH_MS), "hart %lu did not finish", harts[i].id);
	expect(csr_read(CSR_SIP) & BIT(IRQ_S_SOFT), "not here");
}

/* What two harts tell each other about code or a page: `turn` is odd while hart 1 looks. */
static struct {
	volatile uint64_t turn, seen;
	volatile bool stop;
} talk;

static uint32_t code[16] __aligned(64);

static void write_code(uint32_t value)
{
	code[0] = insn_i(0x13, 0, 10, 0, value); /* li a0, value */
	code[1] = 0x00008067;                    /* ret */
}

/* Has the other hart look once, and gives what it saw. */
static uint64_t ask(void)
{
	uint64_t turn = talk.turn;

	__atomic_store_n(&talk.turn, turn + 1, __ATOMIC_SEQ_CST);
	expect(wait_until(__atomic_load_n(&talk.turn, __ATOMIC_SEQ_CST) == turn + 2, ENOUGH_MS),
	       "no answer");
	return talk.seen;
}

static void answer(uint64_t (*look)(void))
{
	while (!talk.stop) {
		if (!(__atomic_load_n(&talk.turn, __ATOMIC_SEQ_CST) & 1))
			continue;
		talk.seen = look();
		__atomic_fetch_add(&talk.turn, 1, __ATOMIC_SEQ_CST);
	}
}

static uint64_t look_code(void)
{
	return ((uint64_t (*)(void))(uint64_t)code)();
}

static void answer_code(void *argument)
{
	(void)argument;
	answer(look_code);
}

static void remote_fence_i(void)
{
	if (alone())
		return;
	memset(&talk, 0, sizeof(talk));
	write_code(0);
	__asm__ volatile("fence.i");
	expect_eq(hart_run(1, answer_code, NULL), 0, "start");
	for (uint32_t i = 0; i < 300 && !test_failed(); i++) {
		write_code(i);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		expect_eq(sbi2(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, 1, harts[1].id).error, 0,
			  "fence");
		expect_eq(ask(), i, "code executed by the other hart");
	}
	talk.stop = true;
	expect(hart_join(1, ENOUGH_MS), "did not finish");
}

#define WINDOW UINT64_C(0x1000000000)

static struct paging tables;

static uint64_t look_page(void)
{
	return *(volatile uint64_t *)WINDOW;
}

static void answer_page(void *argument)
{
	paging_on(&tables, (uint64_t)argument);
	answer(look_page);
	paging_off();
}

/* Function: which RFENCE function; the mapping is changed under the other hart's eyes. */
static void remote_sfence(uint64_t function, uint64_t asid, uint64_t start, uint64_t size)
{
	uint64_t *pages = heap_take(2 * PAGE_SIZE);

	memset(&talk, 0, sizeof(talk));
	paging_init_identity(&tables, 3);
	pages[0] = 0x111;
	pages[512] = 0x222;
	paging_map(&tables, WINDOW, (uint64_t)pages, 0, PTE_RW);
	expect_eq(hart_run(1, answer_page, (void *)asid), 0, "start");
	for (uint64_t i = 0; i < 200 && !test_failed(); i++) {
		*paging_pte(&tables, WINDOW, 0) =
		    pte_make((uint64_t)pages + (i & 1) * PAGE_SIZE, PTE_RW);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		expect_eq(sbi5(SBI_EXT_RFENCE, function, 1, harts[1].id, start, size, asid).error,
			  0, "fence");
		expect_eq(ask(), i & 1 ? 0x222 : 0x111, "what the other hart reads");
	}
	talk.stop = true;
	expect(hart_join(1, ENOUGH_MS), "did not finish");
}

static void remote_sfence_all(void)
{
	if (!alone())
		remote_sfence(SBI_RFENCE_SFENCE_VMA, 0, 0, 0);
}

static void remote_sfence_page(void)
{
	if (!alone())
		remote_sfence(SBI_RFENCE_SFENCE_VMA, 0, WINDOW, PAGE_SIZE);
}

static void remote_sfence_asid(void)
{
	if (!alone())
		remote_sfence(SBI_RFENCE_SFENCE_VMA_ASID, 3, WINDOW - PAGE_SIZE, 3 * PAGE_SIZE);
}

static void watch_time(void *argument)
{
	volatile uint64_t *last = argument;

	meet();
	for (int i = 0; i < 20000; i++) {
		uint64_t before = __atomic_load_n(last, __ATOMIC_ACQUIRE);
		uint64_t now = time_now();

		expect(now >= before, "time of hart %lu is %lu ticks behind", hart_self()->id,
		       before - now);
		if (now > before)
			__atomic_store_n(last, now, __ATOMIC_RELEASE);
	}
}

static void time_agrees(void)
{
	uint64_t last = 0;

	if (alone())
		return;
	arrived = 0;
	test_everywhere(watch_time, &last);
}

static void hammer_devices(void *argument)
{
	size_t me = (size_t)(hart_self() - harts);
	uint32_t source = (uint32_t)(20 + me % 30);

	(void)argument;
	meet();
	for (uint32_t i = 0; i < 1200 / machine.hart_count; i++) {
		PLIC_PRIORITY(source) = i & 7;
		expect_eq(PLIC_PRIORITY(source), i & 7, "priority of %u", source);
		UART_REG(UART_SCR) = (uint8_t)i;
	}
}

static void devices(void)
{
	if (alone())
		return;
	arrived = 0;
	test_everywhere(hammer_devices, NULL);
}

static volatile uint64_t reserved, asked; /* odd: another hart is to write there */

static void write_twice_when_asked(void *argument)
{
	for (uint64_t last = (uint64_t)argument; asked < last;) {
		if (!(asked & 1))
			continue;
		reserved = 1;
		reserved = 0;
		__asm__ volatile("fence rw, rw" ::: "memory");
		asked = asked + 1;
	}
}

/*
 * SC fails after another hart has written there, though the same is there again (Unpriv. "Zalrsc").
 * QEMU's harts look at that alone, unless there has been a trap.
 */
static void reservation(void)
{
	const uint64_t rounds = 50, end = time_now() + 20 * machine.timebase;
	uint64_t old, failed;

	if (alone())
		return;
	reserved = asked = 0;
	expect_eq(hart_run(1, write_twice_when_asked, (void *)(2 * rounds)), 0, "start");
	while (asked < 2 * rounds && time_now() < end) {
		__asm__ volatile("lr.d %0, (%1)" : "=r"(old) : "r"(&reserved) : "memory");
		asked = asked + 1;
		while (asked & 1 && time_now() < end)
			sbi0(0x7777777, 0);
		__asm__ volatile("sc.d %0, %1, (%2)"
				 : "=&r"(failed)
				 : "r"(old + 2), "r"(&reserved)
				 : "memory");
		expect(failed, "SC succeeded in round %lu", asked / 2);
	}
	expect(hart_join(1, ENOUGH_MS), "did not finish");
}

static const struct test tests[] = {
    {"all-started", all_started},
    {"counters", counters},
    {"ping-pong-spin", ping_pong_spin},
    {"ping-pong-wfi", ping_pong_wfi},
    {"broadcast", broadcast},
    {"remote-fence-i", remote_fence_i},
    {"remote-sfence-all", remote_sfence_all},
    {"remote-sfence-page", remote_sfence_page},
    {"remote-sfence-asid", remote_sfence_asid},
    {"time-agrees", time_agrees},
    {"devices", devices},
    {"reservation", reservation},
};
TEST_GROUP(smp, tests);
