/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SOFT_REFERENCE_H
#define TESTS_UNIT_SOFT_REFERENCE_H

/*
 * A second interpreter of raw instructions, as plain as can be, and a comparison of what
 * engine/soft/interp.c does with it. Compressed instructions become the full ones that the
 * specification gives as their expansion.
 */

#include <stdio.h>
#include <string.h>

#include "engine/soft/access.h"
#include "engine/soft/interp.h"
#include "engine/soft/soft.h"

#define REFERENCE_MEMORY 256
#define REFERENCE_SCRIPT 16

/* What both interpreters work on. */
struct machine {
	uint64_t x[32], pc;
	struct soft_csrs csrs;
	uint8_t memory[REFERENCE_MEMORY];
	uint64_t calls, log; /* of privileged_execute() */
};

enum outcome {
	PLAIN,      /* done */
	PRIVILEGED, /* done; no plain instruction */
	MOVED,      /* the same, STEP_MOVED */
	STOPPED,    /* the same, STEP_STOP */
	REFUSED,    /* not done: STEP_REFUSE */
	FAULT,      /* not done: the memory refuses */
	UNKNOWN,    /* not one that is interpreted */
};

/* How the privileged instructions end, one after the other. */
static uint8_t reference_script[REFERENCE_SCRIPT];

static uint64_t ref_mix(uint64_t a, uint64_t b)
{
	uint64_t mixed = (a ^ b) * UINT64_C(0x9e3779b97f4a7c15);

	return mixed ^ mixed >> 29;
}

/* A privileged instruction with its operands; `*rd` and `*pc` are changed. */
static enum step ref_privileged(struct machine *machine, uint32_t bits, uint64_t a, uint64_t b,
				uint64_t *rd, uint64_t *pc)
{
	unsigned word = reference_script[machine->calls % REFERENCE_SCRIPT] & 0xf;
	uint64_t mixed = ref_mix(ref_mix(bits, a), ref_mix(b, *pc));

	if (word == STEP_REFUSE)
		return STEP_REFUSE;
	machine->calls++;
	machine->log = ref_mix(machine->log, mixed);
	*rd = mixed;
	if (word != STEP_MOVED && word != STEP_STOP)
		return STEP_NEXT;
	*pc = mixed & ~UINT64_C(1);
	return (enum step)word;
}

/* All of the address space is the same few bytes; some of it refuses loads, or stores. */
static uint8_t *ref_access(struct machine *machine, uint64_t address, unsigned size, bool store)
{
	unsigned place = address >> 8 & 7;

	if (address % size != 0 || place == 7 || (store && place == 6))
		return NULL;
	return &machine->memory[address % REFERENCE_MEMORY];
}

/* Encodings, from their fields. */
static uint32_t enc_r(unsigned opcode, unsigned f3, unsigned f7, unsigned rd, unsigned rs1,
		      unsigned rs2)
{
	return opcode | rd << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | f7 << 25;
}

static uint32_t enc_i(unsigned opcode, unsigned f3, unsigned rd, unsigned rs1, unsigned imm)
{
	return opcode | rd << 7 | f3 << 12 | rs1 << 15 | imm << 20;
}

static uint32_t enc_s(unsigned opcode, unsigned f3, unsigned rs1, unsigned rs2, unsigned imm)
{
	return enc_r(opcode, f3, imm >> 5 & 0x7f, imm & 0x1f, rs1, rs2);
}

static uint32_t enc_b(unsigned f3, unsigned rs1, unsigned rs2, unsigned imm)
{
	return enc_r(0x63, f3, (imm >> 12 & 1) << 6 | (imm >> 5 & 0x3f),
		     (imm & 0x1e) | (imm >> 11 & 1), rs1, rs2);
}

static uint32_t enc_j(unsigned rd, unsigned imm)
{
	return 0x6f | rd << 7 | (imm & 0xff000) | (imm >> 11 & 1) << 20 | (imm >> 1 & 0x3ff) << 21 |
	       imm >> 20 << 31;
}

/*
 * Gathers an immediate: `places` names, from the instruction's bit 12 down to bit 2, the bit of
 * the immediate that each is: '0' to '9', 'a' (10), 'b' (11), or '.'. Bit 12 is the sign if
 * `sign` is not 0: the number of the sign bit.
 */
static unsigned ref_scatter(unsigned insn, const char *places, unsigned sign)
{
	unsigned imm = 0;

	for (unsigned i = 0; places[i]; i++) {
		unsigned to =
		    places[i] >= 'a' ? (unsigned)places[i] - 'a' + 10 : (unsigned)places[i] - '0';

		if (places[i] != '.')
			imm |= (insn >> (12 - i) & 1) << to;
	}
	return sign && imm >> sign & 1 ? imm | ~0U << sign : imm;
}

static uint32_t ref_expand_0(unsigned insn)
{
	unsigned near = 8 + (insn >> 2 & 7), base = 8 + (insn >> 7 & 7);
	unsigned w = ref_scatter(insn, "543...26...", 0), d = ref_scatter(insn, "543...76...", 0);
	unsigned frame = ref_scatter(insn, "54987623...", 0);

	switch (insn >> 13) {
	case 0:
		return frame ? enc_i(0x13, 0, near, 2, frame) : 0;
	case 2:
		return enc_i(0x03, 2, near, base, w);
	case 3:
		return enc_i(0x03, 3, near, base, d);
	case 6:
		return enc_s(0x23, 2, base, near, w);
	case 7:
		return enc_s(0x23, 3, base, near, d);
	default:
		return 0;
	}
}

static uint32_t ref_expand_arithmetic(unsigned insn)
{
	unsigned rd = 8 + (insn >> 7 & 7), rs2 = 8 + (insn >> 2 & 7);
	unsigned imm = ref_scatter(insn, "5.....43210", 5);

	switch (insn >> 10 & 3) {
	case 0:
		return enc_i(0x13, 5, rd, rd, imm & 63);
	case 1:
		return enc_i(0x13, 5, rd, rd, (imm & 63) | 0x400);
	case 2:
		return enc_i(0x13, 7, rd, rd, imm);
	}
	switch (insn >> 12 & 1 ? 4 + (insn >> 5 & 3) : insn >> 5 & 3) {
	case 0:
		return enc_r(0x33, 0, 0x20, rd, rd, rs2);
	case 1:
		return enc_r(0x33, 4, 0, rd, rd, rs2);
	case 2:
		return enc_r(0x33, 6, 0, rd, rd, rs2);
	case 3:
		return enc_r(0x33, 7, 0, rd, rd, rs2);
	case 4:
		return enc_r(0x3b, 0, 0x20, rd, rd, rs2);
	case 5:
		return enc_r(0x3b, 0, 0, rd, rd, rs2);
	default:
		return 0;
	}
}

static uint32_t ref_expand_1(unsigned insn)
{
	unsigned rd = insn >> 7 & 31, near = 8 + (insn >> 7 & 7);
	unsigned imm = ref_scatter(insn, "5.....43210", 5);
	unsigned frame = ref_scatter(insn, "9.....46875", 9);

	switch (insn >> 13) {
	case 0:
		return enc_i(0x13, 0, rd, rd, imm);
	case 1:
		return rd ? enc_i(0x1b, 0, rd, rd, imm) : 0;
	case 2:
		return enc_i(0x13, 0, rd, 0, imm);
	case 3:
		if (imm == 0)
			return 0;
		return rd == 2 ? enc_i(0x13, 0, 2, 2, frame) : (0x37 | rd << 7 | imm << 12);
	case 4:
		return ref_expand_arithmetic(insn);
	case 5:
		return enc_j(0, ref_scatter(insn, "b498a673215", 11));
	case 6:
		return enc_b(0, near, 0, ref_scatter(insn, "843...76215", 8));
	default:
		return enc_b(1, near, 0, ref_scatter(insn, "843...76215", 8));
	}
}

static uint32_t ref_expand_2(unsigned insn)
{
	unsigned rd = insn >> 7 & 31, rs2 = insn >> 2 & 31;
	bool high = insn >> 12 & 1;

	switch (insn >> 13) {
	case 0:
		return enc_i(0x13, 1, rd, rd, ref_scatter(insn, "5.....43210", 0));
	case 2:
		return rd ? enc_i(0x03, 2, rd, 2, ref_scatter(insn, "5.....43276", 0)) : 0;
	case 3:
		return rd ? enc_i(0x03, 3, rd, 2, ref_scatter(insn, "5.....43876", 0)) : 0;
	case 4:
		if (rs2)
			return enc_r(0x33, 0, 0, rd, high ? rd : 0, rs2);
		return rd ? enc_i(0x67, 0, high, rd, 0) : 0;
	case 6:
		return enc_s(0x23, 2, 2, rs2, ref_scatter(insn, "543276", 0));
	case 7:
		return enc_s(0x23, 3, 2, rs2, ref_scatter(insn, "543876", 0));
	default:
		return 0;
	}
}

/* The expansion of a compressed instruction; 0: it is reserved, or not Zca's, or C.EBREAK. */
static uint32_t ref_expand(uint16_t insn)
{
	switch (insn & 3) {
	case 0:
		return ref_expand_0(insn);
	case 1:
		return ref_expand_1(insn);
	default:
		return ref_expand_2(insn);
	}
}

static uint64_t ref_word(uint64_t value)
{
	return value & 0x80000000 ? value | ~UINT64_C(0xffffffff) : value & 0xffffffff;
}

static uint64_t ref_shift_right(uint64_t value, unsigned by, bool arithmetic)
{
	uint64_t sign = arithmetic && value >> 63 ? ~UINT64_C(0) : 0;

	return by == 0 ? value : value >> by | sign << (64 - by);
}

/* OP and OP-IMM, and with `narrow` OP-32 and OP-IMM-32; `function` is funct7 or what is like it. */
static bool ref_arithmetic(unsigned f3, unsigned function, bool narrow, uint64_t a, uint64_t b,
			   uint64_t *result)
{
	unsigned by = (unsigned)b & (narrow ? 31 : 63);

	if (function == 1) {
		*result = a * b;
		return f3 == 0 && !narrow;
	}
	if (function != 0 && (function != 0x20 || (f3 != 0 && f3 != 5)))
		return false;
	if (narrow && f3 != 0 && f3 != 1 && f3 != 5)
		return false;
	switch (f3) {
	case 0:
		*result = function ? a - b : a + b;
		break;
	case 1:
		*result = a << by;
		break;
	case 2:
		*result = (a ^ UINT64_C(1) << 63) < (b ^ UINT64_C(1) << 63);
		break;
	case 3:
		*result = a < b;
		break;
	case 4:
		*result = a ^ b;
		break;
	case 5:
		a = !narrow ? a : function ? ref_word(a) : a & 0xffffffff;
		*result = ref_shift_right(a, by, function);
		break;
	case 6:
		*result = a | b;
		break;
	case 7:
		*result = a & b;
		break;
	}
	*result = narrow ? ref_word(*result) : *result;
	return true;
}

static bool ref_taken(unsigned f3, uint64_t a, uint64_t b)
{
	bool less = f3 & 2 ? a < b : (int64_t)a < (int64_t)b;
	bool holds = f3 & 4 ? less : a == b;

	return holds != (f3 & 1);
}

static void ref_write(struct machine *machine, unsigned rd, uint64_t value)
{
	if (rd != 0)
		machine->x[rd] = value;
}

static enum outcome ref_load(struct machine *machine, unsigned f3, unsigned rd, uint64_t address)
{
	unsigned size = 1U << (f3 & 3);
	uint8_t *from = ref_access(machine, address, size, false);
	uint64_t value = 0;

	if (f3 == 7 || rd == 0)
		return UNKNOWN;
	if (!from)
		return FAULT;
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)from[i] << 8 * i;
	if (!(f3 & 4) && from[size - 1] & 0x80)
		for (unsigned i = size; i < 8; i++)
			value |= UINT64_C(0xff) << 8 * i;
	ref_write(machine, rd, value);
	return PLAIN;
}

static enum outcome ref_store(struct machine *machine, unsigned f3, uint64_t address,
			      uint64_t value)
{
	uint8_t *to = f3 <= 3 ? ref_access(machine, address, 1U << f3, true) : NULL;

	if (f3 > 3)
		return UNKNOWN;
	if (!to)
		return FAULT;
	for (unsigned i = 0; i < 1U << f3; i++)
		to[i] = (uint8_t)(value >> 8 * i);
	return PLAIN;
}

/* An instruction that privileged_execute() gets, with up to two operands. */
static enum outcome ref_call(struct machine *machine, uint32_t insn, unsigned rd, unsigned rs1,
			     unsigned rs2)
{
	uint64_t result = 0;

	switch (ref_privileged(machine, insn, machine->x[rs1], machine->x[rs2], &result,
			       &machine->pc)) {
	case STEP_NEXT:
		ref_write(machine, rd, result);
		return PRIVILEGED;
	case STEP_MOVED:
		ref_write(machine, rd, result);
		return MOVED;
	case STEP_STOP:
		ref_write(machine, rd, result);
		return STOPPED;
	default:
		return REFUSED;
	}
}

/* The CSRs that are read, and perhaps written, without a call. */
static uint64_t *ref_csr(struct machine *machine, unsigned number, bool *writable)
{
	*writable = number >= 0x140;
	switch (number) {
	case 0x104:
		return &machine->csrs.sie;
	case 0x105:
		return &machine->csrs.stvec;
	case 0x140:
		return &machine->csrs.sscratch;
	case 0x141:
		return &machine->csrs.sepc;
	case 0x142:
		return &machine->csrs.scause;
	case 0x143:
		return &machine->csrs.stval;
	case 0x180:
		*writable = false;
		return &machine->csrs.satp;
	default:
		return NULL;
	}
}

static enum outcome ref_zicsr(struct machine *machine, uint32_t insn)
{
	unsigned f3 = insn >> 12 & 7, rd = insn >> 7 & 31, rs1 = insn >> 15 & 31;
	bool writable;
	uint64_t *csr = ref_csr(machine, insn >> 20, &writable);
	uint64_t a = machine->x[rs1];

	if (f3 == 4 || (insn >> 28 & 3) == 0)
		return UNKNOWN;
	if (csr && f3 == 2 && rs1 == 0 && rd != 0) {
		ref_write(machine, rd, *csr);
		return PRIVILEGED;
	}
	if (csr && f3 == 1 && writable) {
		ref_write(machine, rd, *csr);
		*csr = insn >> 20 == 0x141 ? a - a % 2 : a;
		return PRIVILEGED;
	}
	return ref_call(machine, insn, rd, rs1, 0);
}

static enum outcome ref_system(struct machine *machine, uint32_t insn)
{
	unsigned f7 = insn >> 25;

	if (insn >> 12 & 7)
		return ref_zicsr(machine, insn);
	if (insn == 0x10200073 || insn == 0x10500073 || insn == 0x18000073 || insn == 0x18100073)
		return ref_call(machine, insn, 0, 0, 0);
	if ((f7 == 0x09 || f7 == 0x0b) && (insn >> 7 & 31) == 0)
		return ref_call(machine, insn, 0, insn >> 15 & 31, insn >> 20 & 31);
	return UNKNOWN;
}

/* Sign-extended fields of a full instruction. */
static uint64_t ref_imm_i(uint32_t insn)
{
	return ref_word(insn) >> 20 | (insn >> 31 ? ~UINT64_C(0) << 12 : 0);
}

static uint64_t ref_imm_s(uint32_t insn)
{
	return (ref_imm_i(insn) & ~UINT64_C(31)) | (insn >> 7 & 31);
}

static uint64_t ref_imm_b(uint32_t insn)
{
	return (ref_imm_s(insn) & ~UINT64_C(0x801)) | (insn >> 7 & 1) << 11;
}

static uint64_t ref_imm_j(uint32_t insn)
{
	return (ref_imm_i(insn) & (~UINT64_C(0xfffff) | 0x7fe)) | (insn & 0xff000) |
	       (insn >> 20 & 1) << 11;
}

/* Where there is no funct7, a shift's upper immediate bits are one. */
static enum outcome ref_op_imm(struct machine *machine, uint32_t insn, bool narrow)
{
	unsigned f3 = insn >> 12 & 7, rd = insn >> 7 & 31, function = 0;
	uint64_t imm = ref_imm_i(insn), result;

	if (f3 == 1 || f3 == 5) {
		function = insn >> 25 & (narrow ? 0x7f : 0x7e);
		imm &= 63;
	}
	if ((f3 == 1 && function != 0) ||
	    !ref_arithmetic(f3, function, narrow, machine->x[insn >> 15 & 31], imm, &result))
		return UNKNOWN;
	ref_write(machine, rd, result);
	return PLAIN;
}

static enum outcome ref_op(struct machine *machine, uint32_t insn, bool narrow)
{
	uint64_t a = machine->x[insn >> 15 & 31], b = machine->x[insn >> 20 & 31], result;

	if (!ref_arithmetic(insn >> 12 & 7, insn >> 25, narrow, a, b, &result))
		return UNKNOWN;
	ref_write(machine, insn >> 7 & 31, result);
	return PLAIN;
}

/* Executes an instruction but for the step to the next, which is at *next unless it jumps. */
static enum outcome ref_execute(struct machine *machine, uint32_t insn, uint64_t *next)
{
	unsigned f3 = insn >> 12 & 7, rd = insn >> 7 & 31;
	uint64_t a = machine->x[insn >> 15 & 31], b = machine->x[insn >> 20 & 31];
	uint64_t link = *next, upper = ref_word(insn & 0xfffff000);

	switch (insn & 0x7f) {
	case 0x03:
		return ref_load(machine, f3, rd, a + ref_imm_i(insn));
	case 0x0f:
		return f3 == 0 ? PLAIN : UNKNOWN;
	case 0x13:
		return ref_op_imm(machine, insn, false);
	case 0x17:
		ref_write(machine, rd, machine->pc + upper);
		return PLAIN;
	case 0x1b:
		return ref_op_imm(machine, insn, true);
	case 0x23:
		return ref_store(machine, f3, a + ref_imm_s(insn), b);
	case 0x33:
		return ref_op(machine, insn, false);
	case 0x37:
		ref_write(machine, rd, upper);
		return PLAIN;
	case 0x3b:
		return ref_op(machine, insn, true);
	case 0x63:
		if (f3 == 2 || f3 == 3)
			return UNKNOWN;
		*next = ref_taken(f3, a, b) ? machine->pc + ref_imm_b(insn) : *next;
		return PLAIN;
	case 0x67:
		*next = (a + ref_imm_i(insn)) & ~UINT64_C(1);
		ref_write(machine, rd, link);
		return f3 == 0 ? PLAIN : UNKNOWN;
	case 0x6f:
		*next = machine->pc + ref_imm_j(insn);
		ref_write(machine, rd, link);
		return PLAIN;
	case 0x73:
		return ref_system(machine, insn);
	default:
		return UNKNOWN;
	}
}

/* The whole instruction at `offset`, compressed ones as full ones; false: there is none. */
static inline bool ref_fetch(const uint8_t *code, unsigned size, uint64_t offset, uint32_t *insn,
			     unsigned *length)
{
	if (offset >= size || size - offset < 2)
		return false;
	*insn = code[offset] | (uint32_t)code[offset + 1] << 8;
	*length = (*insn & 3) == 3 ? 4 : 2;
	if (*length > size - offset)
		return false;
	if (*length == 4)
		*insn |= (uint32_t)code[offset + 2] << 16 | (uint32_t)code[offset + 3] << 24;
	else
		*insn = ref_expand((uint16_t)*insn);
	return true;
}

/* One instruction of `code`, which is at `base`. The machine is as before unless it was done. */
static inline enum outcome ref_step(struct machine *machine, uint64_t base, const uint8_t *code,
				    unsigned size)
{
	struct machine before = *machine;
	unsigned length;
	uint32_t insn;

	if (!ref_fetch(code, size, machine->pc - base, &insn, &length))
		return UNKNOWN;

	uint64_t next = machine->pc + length;
	enum outcome outcome = ref_execute(machine, insn, &next);

	if (outcome == PLAIN || outcome == PRIVILEGED)
		machine->pc = next;
	if (outcome >= REFUSED)
		*machine = before;
	return outcome;
}

#endif
