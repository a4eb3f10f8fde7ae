/* SPDX-License-Identifier: MIT */
/* Instructions are replaced, by each kind of store, through each mapping, from each mode and hart.
 */
#include "guests/selftest/code.h"

/* What the instruction under test may be, all of 4 bytes, and what it leaves in a0. */
static const struct {
	uint32_t bits;
	uint64_t result;
	const char *name;
} targets[] = {
    {0x14202573, 5, "csrr of scause"},
    {0x14302573, 0x1234567, "csrr of stval"},
    {0x04d00513, 77, "addi"},
    {0x00014555, 21, "c.li and c.nop"},
};

/* A hart that is told to look again has done so long before. */
#define ENOUGH_ROUNDS 1000

#define TARGET_CODE 0x200 /* a multiple of 8, where the target is */

void code_emit_target(struct code *code, uint64_t frame, size_t target)
{
	*code = (struct code){.frame = frame, .at = TARGET_CODE - 16};
	emit(code, insn_csrw(CSR_SCAUSE, S2));
	emit(code, insn_csrw(CSR_STVAL, S3));
	emit(code, insn_addi(T5, 0, 60));
	emit(code, INSN_NOP);
	code->loop = code->at;
	*(volatile uint32_t *)(frame + code->at) = targets[target].bits;
	code->at += 4;
	emit(code, insn_csrr(A4, CSR_SSCRATCH));
	code_end(code);
}

void code_expect_target(const struct code *code, uint64_t va, size_t target, const char *how)
{
	const uint64_t x[32] = {[S2] = 5, [S3] = 0x1234567};

	code_run(va, TARGET_CODE - 16, x, false);
	code_expect_end(code, va, how);
	expect_eq(hart_self()->trap.x[A0], targets[target].result, "%s, written by %s",
		  targets[target].name, how);
	expect_eq(hart_self()->trap.x[A4], hart_self(), "sscratch, after %s", how);
}

static void by_sb(uint64_t at, uint32_t bits)
{
	for (uint64_t i = 0; i < 4; i++)
		((volatile uint8_t *)at)[i] = (uint8_t)(bits >> 8 * i);
}

static void by_sh(uint64_t at, uint32_t bits)
{
	((volatile uint16_t *)at)[1] = (uint16_t)(bits >> 16);
	((volatile uint16_t *)at)[0] = (uint16_t)bits;
}

static void by_sw(uint64_t at, uint32_t bits)
{
	*(volatile uint32_t *)at = bits;
}

static uint64_t with_next(uint64_t at, uint32_t bits)
{
	return bits | (uint64_t)((volatile uint32_t *)at)[1] << 32;
}

static void by_sd(uint64_t at, uint32_t bits)
{
	*(volatile uint64_t *)at = with_next(at, bits);
}

/* Both halves of a store that is not aligned. */
static void by_misaligned_sd(uint64_t at, uint32_t bits)
{
	uint64_t before = ((volatile uint32_t *)at)[-1];

	__asm__ volatile("sd %0, -3(%1)" ::"r"(before >> 8 | (uint64_t)bits << 24 |
					       (with_next(at, bits) >> 32 & 0xff) << 56),
			 "r"(at)
			 : "memory");
}

static void by_amoswap_w(uint64_t at, uint32_t bits)
{
	__atomic_exchange_n((uint32_t *)at, bits, __ATOMIC_SEQ_CST);
}

static void by_amo_d(uint64_t at, uint32_t bits)
{
	uint64_t change = with_next(at, bits) ^ *(volatile uint64_t *)at;

	__atomic_fetch_xor((uint64_t *)at, change, __ATOMIC_SEQ_CST);
}

static void by_sc_w(uint64_t at, uint32_t bits)
{
	uint64_t old, failed;

	__asm__ volatile("1: lr.w %0, (%2)\n sc.w %1, %3, (%2)\n bnez %1, 1b"
			 : "=&r"(old), "=&r"(failed)
			 : "r"(at), "r"(bits)
			 : "memory");
}

static void by_fp(uint64_t at, uint32_t bits)
{
	csr_set(CSR_SSTATUS, SSTATUS_FS);
	__asm__ volatile(".insn r 0x53, 0, 0x79, x0, %1, x0\n" /* fmv.d.x f0 */
			 ".insn s 0x27, 3, x0, 0(%0)\n"        /* fsd f0 */
			 ::"r"(at),
			 "r"(with_next(at, bits))
			 : "memory");
}

/* A store of U-mode, through its own mapping. */
static void user_store(uint64_t number, uint64_t at, uint64_t value)
{
	uint64_t x[32] = {[A0] = CODE_USER + (at & (PAGE_SIZE - 1)), [A1] = value};

	trap_exec(CODE_STORES + 8 * number, x, true);
	expect_eq(hart_self()->trap.epc, CODE_STORES + 8 * number + 4, "end of a store in U");
}

static void by_user_sb(uint64_t at, uint32_t bits)
{
	for (uint64_t i = 0; i < 4; i++)
		user_store(0, at + i, bits >> 8 * i);
}

static void by_user_sw(uint64_t at, uint32_t bits)
{
	user_store(1, at, bits);
}

static void by_user_amo(uint64_t at, uint32_t bits)
{
	user_store(2, at, bits);
}

static const struct {
	const char *name;
	void (*write)(uint64_t at, uint32_t bits);
} writers[] = {
    {"sb", by_sb},
    {"sh", by_sh},
    {"sw", by_sw},
    {"sd", by_sd},
    {"sd, misaligned", by_misaligned_sd},
    {"amoswap.w", by_amoswap_w},
    {"amoxor.d", by_amo_d},
    {"sc.w", by_sc_w},
    {"fsd", by_fp},
    {"sb in U", by_user_sb},
    {"sw in U", by_user_sw},
    {"amoswap.w in U", by_user_amo},
};

/* From each instruction to each other one, by each kind of store, through each mapping. */
static void modified(void)
{
	uint64_t frame = code_setup(1);
	struct code code;

	for (size_t w = 0; w < ARRAY_SIZE(writers); w++)
		for (size_t from = 0; from < ARRAY_SIZE(targets); from++)
			for (size_t to = 0; to < ARRAY_SIZE(targets); to++) {
				uint64_t through = to & 1 ? CODE : CODE_ALIAS;

				code_emit_target(&code, frame, from);
				code_expect_target(&code, CODE, from, "sw to the frame");
				writers[w].write(through + TARGET_CODE, targets[to].bits);
				__asm__ volatile("fence.i" ::: "memory");
				code_expect_target(&code, CODE, to, writers[w].name);
				code_expect_target(&code, CODE_ALIAS, to, writers[w].name);
			}
}

/* Hart 1 runs code that the boot hart modifies. */
static struct {
	struct code code;
	volatile uint64_t asked, answered, seen;
	volatile bool stop;
} other;

static void run_when_asked(void *argument)
{
	const uint64_t x[32] = {[S2] = 5, [S3] = 0x1234567};

	(void)argument;
	paging_on(&code_tables, 1);
	while (!other.stop) {
		uint64_t asked = __atomic_load_n(&other.asked, __ATOMIC_SEQ_CST);

		if (asked == other.answered)
			continue;
		code_run(CODE, TARGET_CODE - 16, x, false);
		code_expect_end(&other.code, CODE, "loop of the other hart");
		other.seen = hart_self()->trap.x[A0];
		__atomic_store_n(&other.answered, asked, __ATOMIC_SEQ_CST);
	}
	paging_off();
}

static void modified_for_other(void)
{
	uint64_t frame = code_setup(1);

	if (machine.hart_count < 2) {
		test_skip("one hart");
		return;
	}
	memset(&other, 0, sizeof(other));
	code_emit_target(&other.code, frame, 0);
	expect_eq(hart_run(1, run_when_asked, NULL), 0, "start");
	for (uint64_t i = 1; i < 240 && !test_failed(); i++) {
		uint64_t to = (i * 7 >> 2) % ARRAY_SIZE(targets);

		writers[i % ARRAY_SIZE(writers)].write(CODE_ALIAS + TARGET_CODE, targets[to].bits);
		__asm__ volatile("fence.i" ::: "memory");
		expect_eq(
		    sbi_call(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, 1, harts[1].id, 0, 0, 0).error, 0,
		    "remote fence.i");
		__atomic_store_n(&other.asked, i, __ATOMIC_SEQ_CST);
		if (i % 3 == 0)
			code_expect_target(&other.code, CODE, to, "the same hart");
		expect(wait_until(__atomic_load_n(&other.answered, __ATOMIC_SEQ_CST) == i, 20000),
		       "no answer");
		expect_eq(other.seen, targets[to].result, "%s, by %s, at the other hart",
			  targets[to].name, writers[i % ARRAY_SIZE(writers)].name);
	}
	other.stop = true;
	expect(hart_join(1, 20000), "did not finish");
}

/*
 * Whether the other hart has fetched one half of an instruction before it changed, and one after.
 * QEMU's harts do that now and then. With fetch=whole in bootargs it is taken for an error: where
 * whoever runs this fetches again what such a hart could not execute.
 */
static bool is_torn_by_machine(const struct trap_frame *trap)
{
	char fetch[8] = "";

	machine_option("fetch", fetch, sizeof(fetch));
	if (strcmp(fetch, "whole") == 0 || trap->cause != EXC_ILLEGAL_INSN ||
	    trap->epc != CODE + TARGET_CODE)
		return false;
	for (size_t low = 0; low < ARRAY_SIZE(targets); low++)
		for (size_t high = 0; high < ARRAY_SIZE(targets); high++)
			if (low != high && trap->tval == ((targets[low].bits & 0xffff) |
							  (targets[high].bits & ~0xffffU)))
				return true;
	return false;
}

/* What that code stores its result to, where it is told to end, and how often it has gone round. */
static volatile uint64_t shared[3];

/*
 * Code that the other hart executes without a pause while this one writes to it. A try that ends
 * by a torn instruction is a round too: QEMU keeps that one like any other, until the next store.
 */
static void run_for_ever(void *argument)
{
	const uint64_t x[32] = {[A1] = (uint64_t)shared, [S2] = 5, [S3] = 0x1234567};
	bool is_torn;

	(void)argument;
	paging_on(&code_tables, 1);
	while ((is_torn = is_torn_by_machine(code_run(CODE, TARGET_CODE - 8, x, false))) &&
	       !shared[1])
		shared[2] = shared[2] + 1;
	if (!is_torn)
		code_expect_end(&other.code, CODE, "endless loop");
	paging_off();
}

static void emit_endless(struct code *code, uint64_t frame)
{
	*code = (struct code){.frame = frame, .at = TARGET_CODE - 8};
	emit(code, insn_csrw(CSR_SCAUSE, S2));
	emit(code, insn_csrw(CSR_STVAL, S3));
	code->loop = code->at;
	*(volatile uint32_t *)(frame + code->at) = targets[0].bits;
	code->at += 4;
	emit(code, insn_csrr(A4, CSR_SSCRATCH));
	emit(code, insn_s(OP_STORE, 3, A1, A0, 0));
	emit(code, insn_i(OP_LOAD, 3, S4, A1, 16));
	emit(code, insn_addi(S4, S4, 1));
	emit(code, insn_s(OP_STORE, 3, A1, S4, 16));
	emit(code, insn_i(OP_LOAD, 3, A5, A1, 8));
	emit(code, insn_csrw(CSR_SSCRATCH, A4));
	emit(code, insn_branch(0, A5, 0, (int64_t)(code->loop - code->at)));
	emit(code, INSN_EBREAK);
	__asm__ volatile("fence.i" ::: "memory");
}

/* false: there is no other hart. */
static bool start_endless(void)
{
	uint64_t frame = code_setup(1);

	if (machine.hart_count < 2) {
		test_skip("one hart");
		return false;
	}
	shared[0] = shared[1] = shared[2] = 0;
	emit_endless(&other.code, frame);
	expect_eq(hart_run(1, run_for_ever, NULL), 0, "start");
	return true;
}

static void stop_endless(void)
{
	shared[1] = 1;
	expect(hart_join(1, 20000), "did not finish");
}

/* Writes the instruction for the other hart; whether that then executes it, before long. */
static bool replace_under_way(uint64_t round, size_t target)
{
	static const uint8_t whole[] = {2, 3, 5, 6, 7, 10, 11}; /* writers of 4 bytes at once */
	uint64_t va = round & 8 ? CODE : CODE_ALIAS, begun;

	writers[whole[round % ARRAY_SIZE(whole)]].write(va + TARGET_CODE, targets[target].bits);
	expect_eq(sbi_call(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, 1, harts[1].id, 0, 0, 0).error, 0,
		  "remote fence.i");
	begun = shared[2];
	expect(wait_until(shared[0] == targets[target].result || shared[2] - begun > ENOUGH_ROUNDS,
			  20000),
	       "the other hart does not go on");
	return shared[0] == targets[target].result;
}

/*
 * QEMU keeps what it translated while another hart stored there, and fence.i does not make it look
 * again, only the next store does: of the rounds where the other hart is always about to translate
 * the instruction, every tenth needs another store.
 */
static void modified_under_way(void)
{
	if (!start_endless())
		return;
	for (uint64_t i = 0; i < 200 && !test_failed(); i++) {
		size_t to = i % ARRAY_SIZE(targets);
		unsigned stores = 1;

		while (!replace_under_way(i, to) && !test_failed() && stores++ < 20)
			;
		expect_eq(shared[0], targets[to].result, "what the other hart stores, round %lu",
			  i);
		for (int j = 0; j < 100; j++)
			expect_eq(shared[0], targets[to].result, "result after it was right");
	}
	stop_endless();
}

/*
 * An instruction is fetched as it was or as it is (Ziccif), however often another hart changes it,
 * with a fence now and then or with none.
 */
static void fetched_at_once(void)
{
	if (!start_endless())
		return;

	const uint64_t end = time_now() + machine.timebase / 2;

	for (uint64_t i = 0; time_now() < end && !harts[1].done; i++) {
		for (uint64_t j = 0; j < 1 + i % 40; j++)
			by_sw(CODE_ALIAS + TARGET_CODE, targets[(i + j) % 3].bits);
		if (i % 4096 == 0)
			sbi_call(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, 1, harts[1].id, 0, 0, 0);
	}
	stop_endless();
}

static const struct test tests[] = {
    {"stores", modified},
    {"for-other-hart", modified_for_other},
    {"under-way", modified_under_way},
    {"at-once", fetched_at_once},
};
TEST_GROUP(code_modify, tests);
