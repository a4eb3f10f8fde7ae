/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_UOP_H
#define ENGINE_SOFT_UOP_H

/*
 * Decoded instructions for the interpreter: the integer instructions of RV64IMC that kernels
 * have around their privileged ones, Zicsr, and the privileged instructions. Everything else is
 * left to the hart. Plain C.
 */

#include "kernel/types.h"

enum uop_kind {
	UOP_NONE, /* not interpreted: the hart executes it */

	/* Integer, in their full (not compressed) meaning. */
	/* clang-format off */
	UOP_LUI, UOP_AUIPC,
	UOP_ADDI, UOP_SLTI, UOP_SLTIU, UOP_XORI, UOP_ORI, UOP_ANDI, UOP_SLLI, UOP_SRLI, UOP_SRAI,
	UOP_ADDIW, UOP_SLLIW, UOP_SRLIW, UOP_SRAIW,
	UOP_ADD, UOP_SUB, UOP_SLL, UOP_SLT, UOP_SLTU, UOP_XOR, UOP_SRL, UOP_SRA, UOP_OR, UOP_AND,
	UOP_ADDW, UOP_SUBW, UOP_SLLW, UOP_SRLW, UOP_SRAW,
	UOP_MUL,
	UOP_LB, UOP_LH, UOP_LW, UOP_LD, UOP_LBU, UOP_LHU, UOP_LWU,
	UOP_SB, UOP_SH, UOP_SW, UOP_SD,
	UOP_BEQ, UOP_BNE, UOP_BLT, UOP_BGE, UOP_BLTU, UOP_BGEU,
	UOP_JAL, UOP_JALR,
	/* clang-format on */
	UOP_FENCE, /* whatever its sets are: a full one does */
	UOP_NOP,   /* hints, and what only writes x0 */

	/* Privileged: the hart would trap in U-mode. uop_is_privileged() from here on. */
	UOP_CSR_GET,      /* rd = the 64-bit word at offset imm of struct soft_csrs */
	UOP_CSR_PUT,      /* that word = x[rs1] & ~(uint64_t)rs2 (rs2: mask of low bits) */
	UOP_CSR_EXCHANGE, /* both, old value to rd; reads rs1 first */
	/* In these imm is the instruction itself. */
	UOP_CSR, /* any other CSR instruction */
	UOP_SRET,
	UOP_WFI,
	UOP_SFENCE_VMA,   /* SINVAL.VMA too: rs1, rs2 */
	UOP_SFENCE_ORDER, /* SFENCE.W.INVAL, SFENCE.INVAL.IR */
	UOP_KINDS
};

/*
 * Of integer instructions, rd is never 0 except in UOP_JAL and UOP_JALR. Fields that an
 * instruction does not have are 0.
 */

struct uop {
	uint8_t kind; /* enum uop_kind */
	uint8_t rd, rs1, rs2;
	uint8_t length;  /* of the instruction: 2 or 4 bytes */
	uint16_t offset; /* of the instruction from the block's first byte */
	int32_t imm;
	int32_t handler; /* interp.c's, as offset is */
};

static inline bool uop_is_privileged(const struct uop *uop)
{
	return uop->kind >= UOP_CSR_GET;
}

/*
 * pilae,fast-csr: whether a load or store of the first page of struct soft_csrs, at the end of the
 * address space, does what the uop does (but that bit 0 of sepc stays as it is written).
 */
static inline bool uop_has_access(const struct uop *uop)
{
	return (uop->kind == UOP_CSR_GET || uop->kind == UOP_CSR_PUT) &&
	       uop->imm < (int32_t)PAGE_SIZE;
}

/* That load or store, of 4 bytes, for a uop as decoded that has one. */
uint32_t uop_access(const struct uop *uop);

/*
 * Decodes an instruction as it stands in memory (a compressed one in the low 16 bits). `uop->kind`
 * is UOP_NONE for all that is not interpreted: illegal and reserved encodings, ECALL, EBREAK,
 * FENCE.I, A, F, D, V, Zb*, Zc* beyond Zca, DIV, loads into x0 and so on. A CSR instruction on an
 * unprivileged CSR (number bits 9:8 zero) is UOP_NONE. `length` is right even then; offset and
 * handler are left 0.
 */
void uop_decode(uint32_t bits, struct uop *uop);

#endif
