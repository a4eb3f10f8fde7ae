/* SPDX-License-Identifier: MIT */
/* Code that changes itself while it runs, and that other harts change and run. */
#include "guests/chaos/chaos.h"

#define WORDS 128
#define RUNS  16

static uint32_t *code; /* a page: WORDS words, then an end */

/* Of four bytes each, without jumps, and leaving alone where x11 points to. */
static uint32_t any_word(struct worker *w)
{
	static const uint32_t words[] = {
	    INSN_NOP,   INSN_SFENCE, INSN_EBREAK, 0xffffffff, 0x0000100f, /* fence.i */
	    0xc0102573,                                                   /* rdtime a0 */
	    0x14002573,                                                   /* csrr a0, sscratch */
	    0x10002573,                                                   /* csrr a0, sstatus */
	    0x14102573,                                                   /* csrr a0, sepc */
	    0x14151573,                                                   /* csrrw a0, sepc, a0 */
	    0x10017073,                                                   /* csrci sstatus, 2 */
	    0x18002573,                                                   /* csrr a0, satp */
	    0x00150513,                                                   /* addi a0, a0, 1 */
	};
	uint32_t offset = 4 * (uint32_t)random_below(w, WORDS);

	if (one_in(w, 4))
		return insn_s(OP_STORE, 2, 11, 16 + (uint32_t)random_below(w, 16), offset);
	if (one_in(w, 8))
		return insn_i(OP_LOAD, 2, 10, 11, offset);
	return words[random_below(w, ARRAY_SIZE(words))];
}

void modify_init(void)
{
	struct worker w = {.random = 1};

	code = heap_take(PAGE_SIZE);
	for (size_t i = 0; i < PAGE_SIZE / 4; i++)
		code[i] = i < WORDS ? any_word(&w) : INSN_EBREAK;
}

void modify_add(struct worker *w)
{
	paging_map(&w->tables, (uint64_t)code, (uint64_t)code, 0, PTE_RW);
	paging_map(&w->tables, VA_SHARED, (uint64_t)code, 0, PTE_RWX);
	paging_map(&w->tables, VA_SHARED + U_ALIAS, (uint64_t)code, 0, PTE_RWX | PTE_U);
}

uint64_t modify_turn(struct worker *w)
{
	bool user = one_in(w, 4);
	uint64_t x[32] = {0}, done = 0, at = VA_SHARED + (user ? U_ALIAS : 0);

	run_paged(w, true);
	for (int i = 0; i < RUNS; i++) {
		x[11] = at;
		for (int r = 16; r < 32; r++)
			x[r] = any_word(w);
		for (int n = 0; n < 4; n++)
			__atomic_store_n(&code[random_below(w, WORDS)], any_word(w),
					 __ATOMIC_RELAXED);
		if (one_in(w, 2))
			__asm__ volatile("fence.i" ::: "memory");
		done +=
		    run_code(w, at, (const uint16_t *)code, 4 * WORDS, x, user) ? WORDS : w->traps;
	}
	run_paged(w, false);
	return done;
}
