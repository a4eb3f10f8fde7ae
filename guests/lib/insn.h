/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_LIB_INSN_H
#define GUESTS_LIB_INSN_H

#include "kernel/types.h"

/* Encodings of the instructions that tests make up as they run. */

enum {
	OP_LOAD = 0x03,
	OP_LOAD_FP = 0x07,
	OP_STORE = 0x23,
	OP_STORE_FP = 0x27,
	OP_AMO = 0x2f,
	OP_SYSTEM = 0x73,
};

#define INSN_NOP      0x00000013U
#define INSN_ECALL    0x00000073U
#define INSN_EBREAK   0x00100073U
#define INSN_SRET     0x10200073U
#define INSN_MRET     0x30200073U
#define INSN_WFI      0x10500073U
#define INSN_C_EBREAK 0x9002U
#define INSN_SFENCE   0x12000073U /* sfence.vma zero, zero */

static inline uint32_t insn_i(uint32_t op, uint32_t f3, uint32_t rd, uint32_t rs1, uint32_t imm)
{
	return op | rd << 7 | f3 << 12 | rs1 << 15 | imm << 20;
}

static inline uint32_t insn_s(uint32_t op, uint32_t f3, uint32_t rs1, uint32_t rs2, uint32_t imm)
{
	return op | (imm & 31) << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | (imm >> 5) << 25;
}

static inline uint32_t insn_r(uint32_t op, uint32_t f3, uint32_t f7, uint32_t rd, uint32_t rs1,
			      uint32_t rs2)
{
	return op | rd << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | f7 << 25;
}

/* f5 is the operation: 0 add, 1 swap, 2 lr, 3 sc, 4 xor, 8 or, 12 and, 16 min, 20 max, 24, 28. */
static inline uint32_t insn_amo(uint32_t f5, uint32_t f3, uint32_t rd, uint32_t rs1, uint32_t rs2)
{
	return insn_r(OP_AMO, f3, f5 << 2, rd, rs1, rs2);
}

/* f3 is 1 csrrw, 2 csrrs, 3 csrrc, and 4 more for the forms with an immediate. */
static inline uint32_t insn_csr(uint32_t f3, uint32_t csr, uint32_t rd, uint32_t rs1)
{
	return insn_i(OP_SYSTEM, f3, rd, rs1, csr);
}

/* c.lw, c.ld, c.fld (f3 2, 3, 1), c.sw, c.sd, c.fsd (6, 7, 5); registers are x8 to x15. */
static inline uint32_t insn_c_mem(uint32_t f3, uint32_t r, uint32_t rs1, uint32_t offset)
{
	uint32_t imm = (offset >> 3 & 7) << 10;

	if ((f3 & 3) == 2)
		imm |= (offset >> 2 & 1) << 6 | (offset >> 6 & 1) << 5;
	else
		imm |= (offset >> 6 & 3) << 5;
	return f3 << 13 | imm | (rs1 - 8) << 7 | (r - 8) << 2;
}

/* c.lwsp, c.ldsp, c.fldsp (f3 2, 3, 1); rd is not x0 for the integer ones. */
static inline uint32_t insn_c_loadsp(uint32_t f3, uint32_t rd, uint32_t offset)
{
	uint32_t imm = (offset >> 5 & 1) << 12;

	if (f3 == 2)
		imm |= (offset >> 2 & 7) << 4 | (offset >> 6 & 3) << 2;
	else
		imm |= (offset >> 3 & 3) << 5 | (offset >> 6 & 7) << 2;
	return f3 << 13 | imm | rd << 7 | 2;
}

/* c.swsp, c.sdsp, c.fsdsp (f3 6, 7, 5) */
static inline uint32_t insn_c_storesp(uint32_t f3, uint32_t rs2, uint32_t offset)
{
	uint32_t imm;

	if (f3 == 6)
		imm = (offset >> 2 & 15) << 9 | (offset >> 6 & 3) << 7;
	else
		imm = (offset >> 3 & 7) << 10 | (offset >> 6 & 7) << 7;
	return f3 << 13 | imm | rs2 << 2 | 2;
}

#endif
