/* SPDX-License-Identifier: MIT */
#ifndef RISCV_INSN_H
#define RISCV_INSN_H

/* Decoding of the instructions that access memory, full and compressed. */

#include "kernel/types.h"

enum insn_kind { INSN_LOAD, INSN_STORE, INSN_LOAD_FP, INSN_STORE_FP, INSN_AMO, INSN_LR, INSN_SC };

/* The operations of AMOs: funct5 (Unpriv., "A" extension; Zacas for CAS). */
enum insn_amo {
	AMO_ADD = 0x00,
	AMO_SWAP = 0x01,
	AMO_XOR = 0x04,
	AMO_CAS = 0x05,
	AMO_OR = 0x08,
	AMO_AND = 0x0c,
	AMO_MIN = 0x10,
	AMO_MAX = 0x14,
	AMO_MINU = 0x18,
	AMO_MAXU = 0x1c,
};

/* In the opcode of a plain one (see below): it is a store. */
#define INSN_PLAIN_STORE 0x20

struct insn {
	uint8_t kind;      /* enum insn_kind */
	uint8_t length;    /* of the instruction: 2 or 4 bytes */
	uint8_t size;      /* of the access: 1, 2, 4 or 8 bytes */
	bool is_signed;    /* a load extends by the sign */
	uint8_t rd;        /* where a load, AMO or SC puts its result */
	uint8_t rs2;       /* what a store, AMO or SC writes */
	uint8_t operation; /* of an AMO: enum insn_amo */
	uint8_t offset;    /* of a transformed one: of the fault's address from the access's */
};

/*
 * The instruction at `code`, of which `left` bytes are there, as it is in memory that others write
 * to at the same time. One that is aligned is fetched at once (Ziccif); of another each parcel is.
 * Where there are only 2 bytes, the low 16 bits.
 */
static inline uint32_t insn_fetch(const void *code, uint64_t left)
{
	const uint16_t *parcels = (const uint16_t *)code;
	uint32_t bits;

	if ((uintptr_t)code % 4 == 0 && left >= 4) {
		bits = __atomic_load_n((const uint32_t *)code, __ATOMIC_RELAXED);
		return (bits & 3) == 3 ? bits : bits & 0xffff;
	}
	bits = __atomic_load_n(&parcels[0], __ATOMIC_RELAXED);
	if ((bits & 3) == 3 && left >= 4)
		bits |= (uint32_t)__atomic_load_n(&parcels[1], __ATOMIC_RELAXED) << 16;
	return bits;
}

/*
 * Decodes an instruction as it stands in memory (a compressed one in the low 16 bits).
 * ERR_NOSYS if it is none of the above.
 */
int insn_decode(uint32_t bits, struct insn *insn);

/* Decodes a transformed instruction of htinst (Priv. 1.13, 18.6.3). ERR_NOSYS as above. */
int insn_decode_transformed(uint64_t htinst, struct insn *insn);

/*
 * The transformed form of a load or store of an integer register as it stands in memory, with an
 * address offset of 0: one for which insn_is_plain() holds. 0 if it is none of these.
 */
uint64_t insn_transform(uint32_t bits);

/*
 * Whether a transformed instruction is a load or store of an integer register, of which every
 * byte is at fault alike: opcodes 0000011 and 0100011, address offset 0, a funct3 that exists.
 */
static inline bool insn_is_plain(uint64_t htinst)
{
	unsigned funct3 = (unsigned)htinst >> 12 & 7;
	unsigned last = htinst & INSN_PLAIN_STORE ? 3 : 6;

	return (htinst & (BITS(63, 32) | BITS(19, 15) | 0x5d)) == 0x01 && funct3 <= last;
}

/* The value that an AMO writes, of the `size` (4 or 8) of the insn. */
uint64_t insn_amo_result(const struct insn *insn, uint64_t memory, uint64_t operand);

/* What a load of insn->size puts into its register. */
uint64_t insn_extend(const struct insn *insn, uint64_t value);

#endif
