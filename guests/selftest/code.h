/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_SELFTEST_CODE_H
#define GUESTS_SELFTEST_CODE_H

#include "guests/lib/paging.h"
#include "guests/selftest/test.h"

/*
 * Code that tests write into pages: loops with privileged instructions, run so often that whoever
 * emulates these would do something about it. None of that may show.
 */

/* Where frames are mapped: for S-mode twice, and for U-mode. */
#define CODE        UINT64_C(0x1000000000)
#define CODE_ALIAS  UINT64_C(0x1000400000)
#define CODE_USER   UINT64_C(0x1000800000)
#define CODE_HOLE   UINT64_C(0x1000c00000) /* nothing is there */
#define CODE_STORES UINT64_C(0x1001400000)
#define HOT         120 /* times that a loop goes round */

enum { A0 = 10, A1, A2, A3, A4, A5, A6, A7, S2, S3, S4, S5, S6, S7, S8, T5 = 30, T6 };

/* Code in the making: where the next instruction goes. */
struct code {
	uint64_t frame, va; /* of one page, or two in a row */
	uint64_t at;        /* offset */
	uint64_t loop;      /* where the loop begins */
};

extern struct paging code_tables;

/* Sv39 with everything mapped to itself; `pages` in a row at CODE, CODE_ALIAS and CODE_USER. */
uint64_t code_setup(unsigned int pages);

static inline void emit(struct code *code, uint32_t insn)
{
	uint16_t *place = (uint16_t *)(code->frame + code->at);

	place[0] = (uint16_t)insn;
	code->at += 2;
	if ((insn & 3) == 3) {
		place[1] = (uint16_t)(insn >> 16);
		code->at += 2;
	}
}

static inline uint32_t insn_addi(uint32_t rd, uint32_t rs1, int32_t imm)
{
	return insn_i(0x13, 0, rd, rs1, (uint32_t)imm & 0xfff);
}

/* f3: 0 beq, 1 bne, 4 blt, 5 bge. */
static inline uint32_t insn_branch(uint32_t f3, uint32_t rs1, uint32_t rs2, int64_t offset)
{
	uint32_t o = (uint32_t)offset;

	return 0x63 | f3 << 12 | rs1 << 15 | rs2 << 20 | (o >> 11 & 1) << 7 | (o >> 1 & 15) << 8 |
	       (o >> 5 & 63) << 25 | (o >> 12 & 1) << 31;
}

static inline uint32_t insn_jal(uint32_t rd, int64_t offset)
{
	uint32_t o = (uint32_t)offset;

	return 0x6f | rd << 7 | (o >> 12 & 255) << 12 | (o >> 11 & 1) << 20 |
	       (o >> 1 & 1023) << 21 | (o >> 20 & 1) << 31;
}

static inline uint32_t insn_csrr(uint32_t rd, uint32_t csr)
{
	return insn_csr(2, csr, rd, 0);
}

static inline uint32_t insn_csrw(uint32_t csr, uint32_t rs1)
{
	return insn_csr(1, csr, 0, rs1);
}

/* The rest of the loop is emitted between these; it keeps T5, and ends in a breakpoint. */
void code_begin(struct code *code, uint64_t frame, uint64_t offset, uint32_t times);
void code_end(struct code *code);

/* Runs it from its offset on at `va` (the page's), in U-mode if `user`. */
const struct trap_frame *code_run(uint64_t va, uint64_t offset, const uint64_t x[32], bool user);

/* The run ended in the breakpoint that code_end() wrote. */
void code_expect_end(const struct code *code, uint64_t va, const char *what);

/*
 * A loop around one of several instructions, which leave something else each in a0, and whether it
 * is that one which is executed. `how` is what made it so.
 */
void code_emit_target(struct code *code, uint64_t frame, size_t target);
void code_expect_target(const struct code *code, uint64_t va, size_t target, const char *how);

#endif
