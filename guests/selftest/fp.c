/* SPDX-License-Identifier: MIT */
/* Floating-point and vector state outlives whatever happens between two instructions. */
#include "guests/selftest/kept.h"

#define VLENB_MAX 512

void vector_load(const void *registers, const uint64_t csrs[4]);
void vector_save(void *registers, uint64_t csrs[4]);

struct vector_state {
	uint8_t registers[32 * VLENB_MAX] __aligned(16);
	uint64_t csrs[4];
};

static void keep_fp(void *argument)
{
	uint64_t rounds = kept_rounds(150), seed = kept_seed(), want[33], got[33];

	(void)argument;
	csr_set(CSR_SSTATUS, SSTATUS_FS);
	for (uint64_t round = 0; round < rounds && !test_failed(); round++) {
		for (int i = 0; i < 32; i++)
			want[i] = random_next(&seed);
		want[32] = random_next(&seed) % 5 << 5 | (random_next(&seed) & 31);
		fp_load(want);
		kept_disturb(round, true);
		fp_save(got);
		for (int i = 0; i < 33; i++)
			expect_eq(got[i], want[i], "hart %lu round %lu f%d", hart_self()->id, round,
				  i);
	}
}

static void fp_kept(void)
{
	test_everywhere(keep_fp, NULL);
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
		kept_disturb(round, true);
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
		kept_disturb(round, true);
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

/* vl, vtype, vcsr and vstart: any that go together (V 1.0, 3.4 to 3.7), vill among them. */
static void choose_vector_csrs(uint64_t csrs[4], uint64_t *seed)
{
	uint64_t lmul = random_next(seed) & 3, sew = random_next(seed) & 3,
		 policy = random_next(seed) & 3;
	uint64_t most = (csr_read(CSR_VLENB) << lmul) >> sew;

	csrs[0] = 1 + random_next(seed) % most;
	csrs[1] = policy << 6 | sew << 3 | lmul;
	csrs[2] = random_next(seed) & 7;
	csrs[3] = random_next(seed) % csrs[0];
	if (random_next(seed) % 8 == 0) {
		csrs[0] = 0;
		csrs[1] = BIT(63);
		csrs[3] = 0;
	}
}

static void keep_vector(void *argument)
{
	struct vector_state *want = &vector_states[2 * (hart_self() - harts)], *got = want + 1;
	uint64_t rounds = kept_rounds(100), seed = kept_seed(), bytes;

	(void)argument;
	csr_set(CSR_SSTATUS, SSTATUS_VS | SSTATUS_FS);
	bytes = 32 * csr_read(CSR_VLENB);
	for (uint64_t round = 0; round < rounds && !test_failed(); round++) {
		for (uint64_t i = 0; i < bytes; i++)
			want->registers[i] = (uint8_t)random_next(&seed);
		choose_vector_csrs(want->csrs, &seed);
		vector_load(want->registers, want->csrs);
		kept_disturb(round, true);
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
	test_everywhere(keep_vector, NULL);
}

static void vector_status(void)
{
	static struct vector_state state;

	if (no_vector())
		return;
	csr_clear(CSR_SSTATUS, SSTATUS_VS | SSTATUS_FS);
	csr_set(CSR_SSTATUS, XS_CLEAN << SSTATUS_VS_SHIFT);
	for (uint64_t round = 0; round < 10; round++)
		kept_disturb(round, true);
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
