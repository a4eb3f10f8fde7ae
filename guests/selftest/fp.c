/* SPDX-License-Identifier: MIT */
/* Floating-point and vector state outlives whatever happens between two instructions. */
#include "guests/selftest/sbi.h"

#define VLENB_MAX 512

void vector_load(const void *registers, const uint64_t csrs[4]);
void vector_save(void *registers, uint64_t csrs[4]);

struct vector_state {
	uint8_t registers[32 * VLENB_MAX] __aligned(16);
	uint64_t csrs[4];
};

/* Interrupts, calls and sleep; other vCPUs get to run on this hart. */
static void be_disturbed(uint64_t round)
{
	csr_write(CSR_SIE, BIT(IRQ_S_TIMER) | BIT(IRQ_S_SOFT));
	sbi1(SBI_EXT_TIME, 0, time_now() + machine.timebase / 5000);
	switch (round % 5) {
	case 0:
		sbi2(SBI_EXT_IPI, 0, 0, ~UINT64_C(0));
		break;
	case 1:
		sbi2(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, BIT(hart_self()->id), 0);
		break;
	case 2:
		while (!irq_pending(IRQ_S_TIMER))
			__asm__ volatile("wfi");
		break;
	case 3:
		csr_set(CSR_SSTATUS, SSTATUS_SIE);
		for (volatile int i = 0; i < 3000; i++)
			;
		csr_clear(CSR_SSTATUS, SSTATUS_SIE);
		break;
	default:
		(void)*(volatile uint8_t *)(UART_BASE + 5);
	}
	sbi1(SBI_EXT_TIME, 0, ~UINT64_C(0));
	csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
}

static void keep_fp(void *argument)
{
	uint64_t seed = (hart_self()->id + 1) * UINT64_C(0x9e3779b97f4a7c15), want[33], got[33];

	(void)argument;
	csr_set(CSR_SSTATUS, SSTATUS_FS);
	for (uint64_t round = 0; round < 150 && !test_failed(); round++) {
		for (int i = 0; i < 32; i++)
			want[i] = random_next(&seed);
		want[32] = random_next(&seed) % 5 << 5 | (random_next(&seed) & 31);
		fp_load(want);
		be_disturbed(round);
		fp_save(got);
		for (int i = 0; i < 33; i++)
			expect_eq(got[i], want[i], "hart %lu round %lu f%d", hart_self()->id, round,
				  i);
	}
}

static void run_everywhere(void (*work)(void *argument))
{
	for (size_t i = 1; i < machine.hart_count; i++)
		expect_eq(hart_run(i, work, NULL), 0, "start of hart %lu", harts[i].id);
	work(NULL);
	for (size_t i = 1; i < machine.hart_count; i++)
		expect(hart_join(i, 20000), "hart %lu did not finish", harts[i].id);
}

static void fp_kept(void)
{
	run_everywhere(keep_fp);
}

/* The state that the registers had when FS was switched off is there when it is on again. */
static void fp_off_and_on(void)
{
	uint64_t want[33], got[33];

	for (uint64_t i = 0; i < 32; i++)
		want[i] = i * 0x0101010101010101;
	want[32] = 0x60;
	csr_set(CSR_SSTATUS, SSTATUS_FS);
	fp_load(want);
	csr_clear(CSR_SSTATUS, SSTATUS_FS);
	for (uint64_t round = 0; round < 5; round++)
		be_disturbed(round);
	csr_set(CSR_SSTATUS, XS_CLEAN << SSTATUS_FS_SHIFT);
	fp_save(got);
	for (int i = 0; i < 33; i++)
		expect_eq(got[i], want[i], "f%d", i);
}

/* Clean stays clean when nothing writes. */
static void fp_stays_clean(void)
{
	uint64_t state[33];

	csr_clear(CSR_SSTATUS, SSTATUS_FS);
	csr_set(CSR_SSTATUS, XS_CLEAN << SSTATUS_FS_SHIFT);
	for (uint64_t round = 0; round < 10; round++)
		be_disturbed(round);
	expect_eq(csr_read(CSR_SSTATUS) & SSTATUS_FS, XS_CLEAN << SSTATUS_FS_SHIFT,
		  "FS when disturbed");
	fp_save(state);
	expect_eq(csr_read(CSR_SSTATUS) & SSTATUS_FS, XS_CLEAN << SSTATUS_FS_SHIFT,
		  "FS after reading");
	fp_load(state);
	expect_eq(csr_read(CSR_SSTATUS) & SSTATUS_FS, SSTATUS_FS, "FS after writing");
}

static void fp_computes(void)
{
	uint64_t state[33] = {[1] = 0x4008000000000000, [2] = 0x4000000000000000}; /* 3.0, 2.0 */

	csr_set(CSR_SSTATUS, SSTATUS_FS);
	for (int user = 0; user < 2; user++) {
		fp_load(state);
		insn_exec(0x0220f1d3, NULL, user); /* fadd.d f3, f1, f2 */
		insn_exec(0x1a20f253, NULL, user); /* fdiv.d f4, f1, f2 */
		insn_exec(0x1a0072d3, NULL, user); /* fdiv.d f5, f0, f0: invalid */
		fp_save(state);
		expect_eq(state[3], 0x4014000000000000, "3 + 2");
		expect_eq(state[4], 0x3ff8000000000000, "3 / 2");
		expect_eq(state[5], 0x7ff8000000000000, "0 / 0");
		expect_eq(state[32], 0x10, "fcsr");
	}
}

static bool no_vector(void)
{
	if (!machine_has("v")) {
		test_skip("no V");
		return true;
	}
	csr_set(CSR_SSTATUS, SSTATUS_VS);
	if (csr_read(CSR_VLENB) > VLENB_MAX) {
		test_skip("vlenb is %lu", csr_read(CSR_VLENB));
		return true;
	}
	return false;
}

static struct vector_state *vector_states; /* two for each hart */

static void keep_vector(void *argument)
{
	struct vector_state *want = &vector_states[2 * (hart_self() - harts)], *got = want + 1;
	uint64_t seed = (hart_self()->id + 7) * UINT64_C(0x9e3779b97f4a7c15), bytes;

	(void)argument;
	csr_set(CSR_SSTATUS, SSTATUS_VS | SSTATUS_FS);
	bytes = 32 * csr_read(CSR_VLENB);
	for (uint64_t round = 0; round < 100 && !test_failed(); round++) {
		for (uint64_t i = 0; i < bytes; i++)
			want->registers[i] = (uint8_t)random_next(&seed);
		want->csrs[0] =
		    1 + random_next(&seed) % (csr_read(CSR_VLENB) - 1); /* vl, with e8 and m1 */
		want->csrs[1] = (random_next(&seed) & 3) << 6;
		want->csrs[2] = random_next(&seed) & 7;
		want->csrs[3] = round & 1;
		vector_load(want->registers, want->csrs);
		be_disturbed(round);
		vector_save(got->registers, got->csrs);
		for (int i = 0; i < 4; i++)
			expect_eq(got->csrs[i], want->csrs[i], "hart %lu round %lu CSR %d",
				  hart_self()->id, round, i);
		for (uint64_t i = 0; i < bytes; i++)
			expect_eq(got->registers[i], want->registers[i],
				  "hart %lu round %lu byte %lu", hart_self()->id, round, i);
	}
	csr_write(CSR_VSTART, 0);
}

static void vector_kept(void)
{
	if (no_vector())
		return;
	vector_states = heap_take(2 * machine.hart_count * sizeof(struct vector_state));
	run_everywhere(keep_vector);
}

static void vector_status(void)
{
	static struct vector_state state;

	if (no_vector())
		return;
	csr_clear(CSR_SSTATUS, SSTATUS_VS | SSTATUS_FS);
	csr_set(CSR_SSTATUS, XS_CLEAN << SSTATUS_VS_SHIFT);
	for (uint64_t round = 0; round < 10; round++)
		be_disturbed(round);
	expect_eq(csr_read(CSR_SSTATUS) & SSTATUS_VS, XS_CLEAN << SSTATUS_VS_SHIFT,
		  "VS when disturbed");
	expect_eq(csr_read(CSR_SSTATUS) >> 63, 0, "SD");
	state.csrs[0] = 4;
	vector_load(state.registers, state.csrs);
	expect_eq(csr_read(CSR_SSTATUS) & SSTATUS_VS, SSTATUS_VS, "VS after writing");
	expect_eq(csr_read(CSR_SSTATUS) >> 63, 1, "SD after writing");
}

static const struct test tests[] = {
    {"kept", fp_kept},         {"off-and-on", fp_off_and_on}, {"stays-clean", fp_stays_clean},
    {"computes", fp_computes}, {"vector-kept", vector_kept},  {"vector-status", vector_status},
};
TEST_GROUP(fp, tests);
