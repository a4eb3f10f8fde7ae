/* SPDX-License-Identifier: MIT */
/* Random instruction words. */
#include "guests/chaos/chaos.h"

#define RUNS 8 /* of each code, with other registers */

static uint32_t privileged_word(struct worker *w)
{
	static const uint32_t words[] = {
	    INSN_MRET,  INSN_SRET, INSN_WFI, INSN_EBREAK, INSN_ECALL, 0x7b200073, /* dret */
	    0x70200073,                                                           /* mnret */
	    0x00d00073,                                                           /* wrs.nto */
	    0x01d00073,                                                           /* wrs.sto */
	    0x0100000f,                                                           /* pause */
	    0x0000100f,                                                           /* fence.i */
	    0x8330000f,                                                           /* fence.tso */
	    0x18000073, /* sfence.w.inval */
	    0x18100073, /* sfence.inval.ir */
	};
	/* funct7: sfence.vma, sinval.vma, hfence.vvma, hinval.vvma, hfence.gvma, hinval.gvma */
	static const uint8_t fences[] = {0x09, 0x0b, 0x11, 0x13, 0x31, 0x33};
	uint32_t r = (uint32_t)random_next(&w->random);

	switch (r >> 30) {
	case 0:
		return words[r % ARRAY_SIZE(words)];
	case 1: /* hlv, hlvx, hsv */
		return (r & 0x01ff8f80) | 0x60004073 | (r >> 5 & 0xf) << 25;
	case 2: /* cbo.*, prefetch.* */
		return one_in(w, 2) ? 0x0000200f | (r & 0x000f8000) | (r & 7) << 20
				    : 0x00006013 | (r & 0xfe0f8000) | (r & 3) << 20;
	default:
		return INSN_ECALL | (r & 0x01ff8000) | (uint32_t)fences[r % 6] << 25;
	}
}

static uint32_t random_word(struct worker *w)
{
	static const uint8_t opcodes[] = {
	    OP_LOAD,           OP_LOAD_FP, OP_STORE, OP_STORE_FP, OP_AMO, 0x57 /* vector */,
	    0x53 /* FP */,     0x0f,       0x1b,     0x3b,        0x33,   0x13,
	    0x0b /* custom */, 0x77 /* vector crypto */};
	uint32_t r = (uint32_t)random_next(&w->random);

	switch (random_below(w, 8)) {
	case 0:
		return privileged_word(w);
	case 1:
		return (r & ~0x7fU) | OP_SYSTEM;
	case 2:
	case 3:
		return (r & 0xfffc) | (uint32_t)random_below(w, 3);
	case 4:
		return r | 3;
	default:
		return (r & ~0x7fU) | opcodes[r % ARRAY_SIZE(opcodes)];
	}
}

static bool is_jump(uint32_t word)
{
	uint32_t op = word & 0x7f, f3 = word >> 13 & 7;

	if ((word & 3) == 3)
		return op == 0x6f || op == 0x67 || op == 0x63;
	if ((word & 3) == 1)
		return f3 >= 5;
	return (word & 3) == 2 && f3 == 4 && (word >> 2 & 31) == 0;
}

/* What would take S-mode away from the worker's code for good. */
static bool is_lethal(uint32_t word)
{
	uint32_t csr = word >> 20;

	if ((word & 0x7f) != OP_SYSTEM)
		return false;
	if ((word >> 12 & 3) == 0)
		return word == INSN_ECALL || word == INSN_SRET || word == INSN_WFI;
	return csr == CSR_SATP || csr == CSR_SSCRATCH || csr == CSR_STVEC;
}

static void any_registers(struct worker *w, uint64_t x[32], bool user)
{
	for (int i = 1; i < 32; i++) {
		switch (random_below(w, 8)) {
		case 0:
			x[i] = value_any(w);
			break;
		case 1:
			x[i] = run_address(w, true, user) + random_below(w, 4 * BATCH);
			break;
		case 2:
			x[i] = VA_SCRATCH + random_below(w, SCRATCH);
			break;
		default:
			x[i] = VA_SCRATCH + (user ? U_ALIAS : 0) +
			       align_down(random_below(w, SCRATCH), 16);
			break;
		}
	}
}

static void any_status(struct worker *w)
{
	csr_clear(CSR_SSTATUS, SSTATUS_FS | SSTATUS_VS | SSTATUS_SUM | SSTATUS_MXR);
	csr_set(CSR_SSTATUS,
		random_next(&w->random) & (SSTATUS_FS | SSTATUS_VS | SSTATUS_SUM | SSTATUS_MXR));
}

static void make_words(struct worker *w, bool user, bool jumps)
{
	uint32_t words[BATCH];

	for (size_t i = 0; i < BATCH; i++) {
		do
			words[i] = random_word(w);
		while ((!jumps && is_jump(words[i])) || (!user && is_lethal(words[i])));
	}
	run_write(w, words, BATCH);
}

/* S-mode does not jump: nothing would end its loops. */
uint64_t code_turn(struct worker *w)
{
	bool user = one_in(w, 2), jumps = user && one_in(w, 4);
	uint64_t x[32] = {0}, done = 0;

	make_words(w, user, jumps);
	run_paged(w, true);
	for (int i = 0; i < RUNS; i++) {
		bool whole;

		any_registers(w, x, user);
		any_status(w);
		whole = run_written(w, x, true, user);
		done += whole && !jumps ? BATCH : w->traps;
	}
	run_paged(w, false);
	return done;
}
