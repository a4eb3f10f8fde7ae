/* SPDX-License-Identifier: MIT */

#include "riscv/insn.h"

#include "kernel/error.h"

#define OPCODE_LOAD     0x03
#define OPCODE_LOAD_FP  0x07
#define OPCODE_STORE    0x23
#define OPCODE_STORE_FP 0x27
#define OPCODE_AMO      0x2f

#define FUNCT5_LR 0x02
#define FUNCT5_SC 0x03

static uint8_t field(uint32_t bits, unsigned shift, unsigned width)
{
	return (uint8_t)(bits >> shift & ((1U << width) - 1));
}

static int decode_load(uint32_t bits, struct insn *insn)
{
	uint8_t funct3 = field(bits, 12, 3);

	if (funct3 == 7)
		return ERR_NOSYS;
	insn->kind = INSN_LOAD;
	insn->size = (uint8_t)(1U << (funct3 & 3));
	insn->is_signed = !(funct3 & 4);
	return 0;
}

static int decode_store(uint32_t bits, struct insn *insn)
{
	uint8_t funct3 = field(bits, 12, 3);

	if (funct3 > 3)
		return ERR_NOSYS;
	insn->kind = INSN_STORE;
	insn->size = (uint8_t)(1U << funct3);
	return 0;
}

/* FLH, FLW, FLD and their stores; the other widths of these opcodes are vector's. */
static int decode_fp(uint32_t bits, struct insn *insn, enum insn_kind kind)
{
	uint8_t funct3 = field(bits, 12, 3);

	if (funct3 < 1 || funct3 > 3)
		return ERR_NOSYS;
	insn->kind = (uint8_t)kind;
	insn->size = (uint8_t)(1U << funct3);
	return 0;
}

static bool is_amo(uint8_t funct5)
{
	return (funct5 & 3) == 0 || funct5 == AMO_SWAP || funct5 == AMO_CAS;
}

static int decode_atomic(uint32_t bits, struct insn *insn)
{
	uint8_t funct3 = field(bits, 12, 3);
	uint8_t funct5 = field(bits, 27, 5);

	/* Bytes and halfwords are Zabha's. */
	if (funct3 > 3)
		return ERR_NOSYS;
	insn->size = (uint8_t)(1U << funct3);
	insn->is_signed = true;
	if (funct5 == FUNCT5_LR || funct5 == FUNCT5_SC)
		insn->kind = funct5 == FUNCT5_LR ? INSN_LR : INSN_SC;
	else if (is_amo(funct5))
		insn->kind = INSN_AMO;
	else
		return ERR_NOSYS;
	insn->operation = funct5;
	return insn->kind != INSN_AMO && insn->size < 4 ? ERR_NOSYS : 0;
}

static int decode_full(uint32_t bits, struct insn *insn)
{
	insn->length = 4;
	insn->rd = field(bits, 7, 5);
	insn->rs2 = field(bits, 20, 5);
	switch (bits & 0x7f) {
	case OPCODE_LOAD:
		return decode_load(bits, insn);
	case OPCODE_LOAD_FP:
		return decode_fp(bits, insn, INSN_LOAD_FP);
	case OPCODE_STORE:
		return decode_store(bits, insn);
	case OPCODE_STORE_FP:
		return decode_fp(bits, insn, INSN_STORE_FP);
	case OPCODE_AMO:
		return decode_atomic(bits, insn);
	default:
		return ERR_NOSYS;
	}
}

static int set_compressed(struct insn *insn, enum insn_kind kind, uint8_t size, uint8_t reg)
{
	insn->kind = (uint8_t)kind;
	insn->size = size;
	insn->is_signed = true;
	insn->rd = insn->rs2 = reg;
	return 0;
}

/* Zcb: C.LBU, C.LHU, C.LH, C.SB, C.SH. */
static int decode_zcb(uint32_t bits, struct insn *insn, uint8_t reg)
{
	switch (field(bits, 10, 3)) {
	case 0:
		set_compressed(insn, INSN_LOAD, 1, reg);
		insn->is_signed = false;
		return 0;
	case 1:
		set_compressed(insn, INSN_LOAD, 2, reg);
		insn->is_signed = field(bits, 6, 1);
		return 0;
	case 2:
		return set_compressed(insn, INSN_STORE, 1, reg);
	case 3:
		return field(bits, 6, 1) ? ERR_NOSYS : set_compressed(insn, INSN_STORE, 2, reg);
	default:
		return ERR_NOSYS;
	}
}

static int decode_compressed(uint32_t bits, struct insn *insn)
{
	uint8_t near = (uint8_t)(8 + field(bits, 2, 3)); /* rd' and rs2' of quadrant 0 */
	uint8_t rd = field(bits, 7, 5);
	uint8_t rs2 = field(bits, 2, 5);

	insn->length = 2;
	switch (field(bits, 0, 2) << 3 | field(bits, 13, 3)) {
	case 001: /* C.FLD */
		return set_compressed(insn, INSN_LOAD_FP, 8, near);
	case 002: /* C.LW */
		return set_compressed(insn, INSN_LOAD, 4, near);
	case 003: /* C.LD */
		return set_compressed(insn, INSN_LOAD, 8, near);
	case 004:
		return decode_zcb(bits, insn, near);
	case 005: /* C.FSD */
		return set_compressed(insn, INSN_STORE_FP, 8, near);
	case 006: /* C.SW */
		return set_compressed(insn, INSN_STORE, 4, near);
	case 007: /* C.SD */
		return set_compressed(insn, INSN_STORE, 8, near);
	case 021: /* C.FLDSP */
		return set_compressed(insn, INSN_LOAD_FP, 8, rd);
	case 022: /* C.LWSP */
		return set_compressed(insn, INSN_LOAD, 4, rd);
	case 023: /* C.LDSP */
		return set_compressed(insn, INSN_LOAD, 8, rd);
	case 025: /* C.FSDSP */
		return set_compressed(insn, INSN_STORE_FP, 8, rs2);
	case 026: /* C.SWSP */
		return set_compressed(insn, INSN_STORE, 4, rs2);
	case 027: /* C.SDSP */
		return set_compressed(insn, INSN_STORE, 8, rs2);
	default:
		return ERR_NOSYS;
	}
}

int insn_decode(uint32_t bits, struct insn *insn)
{
	*insn = (struct insn){0};
	return (bits & 3) == 3 ? decode_full(bits, insn) : decode_compressed(bits, insn);
}

int insn_decode_transformed(uint64_t htinst, struct insn *insn)
{
	uint32_t bits = (uint32_t)htinst;

	*insn = (struct insn){0};
	/* Bit 0 is set in every transformed instruction; custom values may have more bits. */
	if (!(bits & 1) || htinst >> 32)
		return ERR_NOSYS;

	int error = decode_full(bits | 2, insn);

	/* Bit 1 clear: this is the full form of a compressed instruction. */
	insn->length = bits & 2 ? 4 : 2;
	insn->offset = field(bits, 15, 5);
	return error;
}

/* Of these, address and offset are left out: 18.6.3, figures of a transformed load and store. */
#define TRANSFORMED_LOAD  0x00007fff
#define TRANSFORMED_STORE 0x01f0707f

/* Full forms of compressed ones, whose bit 1 is clear. */
static uint32_t expanded_load(uint32_t funct3, uint32_t rd)
{
	return funct3 << 12 | rd << 7 | (OPCODE_LOAD & ~2U);
}

static uint32_t expanded_store(uint32_t funct3, uint32_t rs2)
{
	return rs2 << 20 | funct3 << 12 | (OPCODE_STORE & ~2U);
}

/* C.LW, C.LD, C.SW, C.SD, which are what compilers make for a device's registers. */
static uint32_t expand_simple(uint32_t bits)
{
	uint32_t width = 2 | (bits >> 13 & 1), reg = 8 | (bits >> 2 & 7);

	return bits >> 15 ? expanded_store(width, reg) : expanded_load(width, reg);
}

static uint32_t expand(uint32_t bits)
{
	struct insn insn;

	if ((bits & 0x4003) == 0x4000)
		return expand_simple(bits);
	if (insn_decode(bits, &insn) != 0 || insn.kind > INSN_STORE)
		return 0;

	unsigned width = (unsigned)__builtin_ctz(insn.size);

	if (insn.kind == INSN_STORE)
		return expanded_store(width, insn.rs2);
	return expanded_load(insn.is_signed ? width : width | 4, insn.rd);
}

uint64_t insn_transform(uint32_t bits)
{
	uint32_t transformed = 0;

	if ((bits & 3) != 3)
		transformed = expand(bits);
	else if ((bits & 0x7f) == OPCODE_LOAD)
		transformed = bits & TRANSFORMED_LOAD;
	else if ((bits & 0x7f) == OPCODE_STORE)
		transformed = bits & TRANSFORMED_STORE;
	return insn_is_plain(transformed) ? transformed : 0;
}

uint64_t insn_extend(const struct insn *insn, uint64_t value)
{
	unsigned unused = 64 - 8U * insn->size;

	return insn->is_signed ? (uint64_t)((int64_t)(value << unused) >> unused)
			       : value << unused >> unused;
}

uint64_t insn_amo_result(const struct insn *insn, uint64_t memory, uint64_t operand)
{
	/* Extended by the sign, values of all sizes compare as their 64-bit forms do. */
	int64_t a = (int64_t)insn_extend(insn, memory);
	int64_t b = (int64_t)insn_extend(insn, operand);

	switch (insn->operation) {
	case AMO_ADD:
		return (uint64_t)a + (uint64_t)b;
	case AMO_XOR:
		return (uint64_t)(a ^ b);
	case AMO_OR:
		return (uint64_t)(a | b);
	case AMO_AND:
		return (uint64_t)(a & b);
	case AMO_MIN:
		return (uint64_t)(a < b ? a : b);
	case AMO_MAX:
		return (uint64_t)(a > b ? a : b);
	case AMO_MINU:
		return (uint64_t)a < (uint64_t)b ? (uint64_t)a : (uint64_t)b;
	case AMO_MAXU:
		return (uint64_t)a > (uint64_t)b ? (uint64_t)a : (uint64_t)b;
	default: /* AMO_SWAP, and AMO_CAS that found what it expected */
		return (uint64_t)b;
	}
}
