/* SPDX-License-Identifier: MIT */
/* unit: riscv/insn.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/error.h"
#include "riscv/insn.h"

/* clang-format off: made by the assembler, an instruction a line. */
static const struct {
	const char *text;
	uint32_t bits;
	struct insn insn;
} assembled[] = {
    {"lb x31,-5(x7)",
     0xffb38f83,
     {.kind = INSN_LOAD, .length = 4, .size = 1, .is_signed = true, .rd = 31}},
    {"lh x31,-5(x7)",
     0xffb39f83,
     {.kind = INSN_LOAD, .length = 4, .size = 2, .is_signed = true, .rd = 31}},
    {"lw x31,-5(x7)",
     0xffb3af83,
     {.kind = INSN_LOAD, .length = 4, .size = 4, .is_signed = true, .rd = 31}},
    {"ld x31,-5(x7)",
     0xffb3bf83,
     {.kind = INSN_LOAD, .length = 4, .size = 8, .is_signed = true, .rd = 31}},
    {"lbu x31,-5(x7)", 0xffb3cf83, {.kind = INSN_LOAD, .length = 4, .size = 1, .rd = 31}},
    {"lhu x31,-5(x7)", 0xffb3df83, {.kind = INSN_LOAD, .length = 4, .size = 2, .rd = 31}},
    {"lwu x31,-5(x7)", 0xffb3ef83, {.kind = INSN_LOAD, .length = 4, .size = 4, .rd = 31}},
    {"sb x30,-2048(x1)", 0x81e08023, {.kind = INSN_STORE, .length = 4, .size = 1, .rs2 = 30}},
    {"sh x30,-2048(x1)", 0x81e09023, {.kind = INSN_STORE, .length = 4, .size = 2, .rs2 = 30}},
    {"sw x30,-2048(x1)", 0x81e0a023, {.kind = INSN_STORE, .length = 4, .size = 4, .rs2 = 30}},
    {"sd x30,-2048(x1)", 0x81e0b023, {.kind = INSN_STORE, .length = 4, .size = 8, .rs2 = 30}},
    {"flh f29,2047(x9)", 0x7ff49e87, {.kind = INSN_LOAD_FP, .length = 4, .size = 2, .rd = 29}},
    {"flw f29,2047(x9)", 0x7ff4ae87, {.kind = INSN_LOAD_FP, .length = 4, .size = 4, .rd = 29}},
    {"fld f29,2047(x9)", 0x7ff4be87, {.kind = INSN_LOAD_FP, .length = 4, .size = 8, .rd = 29}},
    {"fsh f17,12(x9)", 0x01149627, {.kind = INSN_STORE_FP, .length = 4, .size = 2, .rs2 = 17}},
    {"fsw f17,12(x9)", 0x0114a627, {.kind = INSN_STORE_FP, .length = 4, .size = 4, .rs2 = 17}},
    {"fsd f17,12(x9)", 0x0114b627, {.kind = INSN_STORE_FP, .length = 4, .size = 8, .rs2 = 17}},
    {"lr.w.aqrl x5,(x6)",
     0x160322af,
     {.kind = INSN_LR, .length = 4, .size = 4, .is_signed = true, .rd = 5}},
    {"sc.w.rl x5,x19,(x6)",
     0x1b3322af,
     {.kind = INSN_SC, .length = 4, .size = 4, .rd = 5, .rs2 = 19}},
    {"amoswap.w.aq x27,x13,(x4)",
     0x0cd22daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 4,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_SWAP}},
    {"amoadd.w.aq x27,x13,(x4)",
     0x04d22daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 4,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_ADD}},
    {"amoxor.w.aq x27,x13,(x4)",
     0x24d22daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 4,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_XOR}},
    {"amoand.w.aq x27,x13,(x4)",
     0x64d22daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 4,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_AND}},
    {"amoor.w.aq x27,x13,(x4)",
     0x44d22daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 4,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_OR}},
    {"amomin.w.aq x27,x13,(x4)",
     0x84d22daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 4,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_MIN}},
    {"amomax.w.aq x27,x13,(x4)",
     0xa4d22daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 4,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_MAX}},
    {"amominu.w.aq x27,x13,(x4)",
     0xc4d22daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 4,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_MINU}},
    {"amomaxu.w.aq x27,x13,(x4)",
     0xe4d22daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 4,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_MAXU}},
    {"lr.d.aqrl x5,(x6)",
     0x160332af,
     {.kind = INSN_LR, .length = 4, .size = 8, .is_signed = true, .rd = 5}},
    {"sc.d.rl x5,x19,(x6)",
     0x1b3332af,
     {.kind = INSN_SC, .length = 4, .size = 8, .rd = 5, .rs2 = 19}},
    {"amoswap.d.aq x27,x13,(x4)",
     0x0cd23daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 8,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_SWAP}},
    {"amoadd.d.aq x27,x13,(x4)",
     0x04d23daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 8,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_ADD}},
    {"amoxor.d.aq x27,x13,(x4)",
     0x24d23daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 8,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_XOR}},
    {"amoand.d.aq x27,x13,(x4)",
     0x64d23daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 8,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_AND}},
    {"amoor.d.aq x27,x13,(x4)",
     0x44d23daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 8,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_OR}},
    {"amomin.d.aq x27,x13,(x4)",
     0x84d23daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 8,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_MIN}},
    {"amomax.d.aq x27,x13,(x4)",
     0xa4d23daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 8,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_MAX}},
    {"amominu.d.aq x27,x13,(x4)",
     0xc4d23daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 8,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_MINU}},
    {"amomaxu.d.aq x27,x13,(x4)",
     0xe4d23daf,
     {.kind = INSN_AMO,
      .length = 4,
      .size = 8,
      .is_signed = true,
      .rd = 27,
      .rs2 = 13,
      .operation = AMO_MAXU}},
    {"c.lw x8,4(x15)",
     0x43c0,
     {.kind = INSN_LOAD, .length = 2, .size = 4, .is_signed = true, .rd = 8}},
    {"c.ld x15,248(x8)",
     0x7c7c,
     {.kind = INSN_LOAD, .length = 2, .size = 8, .is_signed = true, .rd = 15}},
    {"c.sw x9,124(x10)", 0xdd64, {.kind = INSN_STORE, .length = 2, .size = 4, .rs2 = 9}},
    {"c.sd x14,8(x10)", 0xe518, {.kind = INSN_STORE, .length = 2, .size = 8, .rs2 = 14}},
    {"c.fld f12,8(x10)", 0x2510, {.kind = INSN_LOAD_FP, .length = 2, .size = 8, .rd = 12}},
    {"c.fsd f13,8(x10)", 0xa514, {.kind = INSN_STORE_FP, .length = 2, .size = 8, .rs2 = 13}},
    {"c.lwsp x31,252(x2)",
     0x5ffe,
     {.kind = INSN_LOAD, .length = 2, .size = 4, .is_signed = true, .rd = 31}},
    {"c.ldsp x1,504(x2)",
     0x70fe,
     {.kind = INSN_LOAD, .length = 2, .size = 8, .is_signed = true, .rd = 1}},
    {"c.swsp x30,4(x2)", 0xc27a, {.kind = INSN_STORE, .length = 2, .size = 4, .rs2 = 30}},
    {"c.sdsp x17,504(x2)", 0xffc6, {.kind = INSN_STORE, .length = 2, .size = 8, .rs2 = 17}},
    {"c.fldsp f27,8(x2)", 0x2da2, {.kind = INSN_LOAD_FP, .length = 2, .size = 8, .rd = 27}},
    {"c.fsdsp f26,8(x2)", 0xa46a, {.kind = INSN_STORE_FP, .length = 2, .size = 8, .rs2 = 26}},
};
/* clang-format on */

/* Fields that the kind of instruction has no use for may be anything. */
static void check_insn(const struct insn *insn, const struct insn *expected)
{
	bool loads =
	    expected->kind == INSN_LOAD || expected->kind == INSN_AMO || expected->kind == INSN_LR;
	bool has_rd = loads || expected->kind == INSN_LOAD_FP || expected->kind == INSN_SC;
	bool has_rs2 = expected->kind == INSN_STORE || expected->kind == INSN_STORE_FP ||
		       expected->kind == INSN_AMO || expected->kind == INSN_SC;

	assert_int_equal(insn->kind, expected->kind);
	assert_int_equal(insn->length, expected->length);
	assert_int_equal(insn->size, expected->size);
	if (loads)
		assert_int_equal(insn->is_signed, expected->is_signed);
	if (has_rd)
		assert_int_equal(insn->rd, expected->rd);
	if (has_rs2)
		assert_int_equal(insn->rs2, expected->rs2);
	if (expected->kind == INSN_AMO)
		assert_int_equal(insn->operation, expected->operation);
}

static void test_assembled(void **state)
{
	struct insn insn;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(assembled); i++) {
		if (insn_decode(assembled[i].bits, &insn) != 0)
			fail_msg("%s is not decoded", assembled[i].text);
		check_insn(&insn, &assembled[i].insn);
		/* What follows a compressed one in memory does not matter. */
		if (assembled[i].insn.length == 2) {
			assert_int_equal(insn_decode(assembled[i].bits | 0xabcd0000, &insn), 0);
			check_insn(&insn, &assembled[i].insn);
		}
	}
}

/*
 * The encodings, from the instruction listings of the specification: all that a bit pattern
 * can be, and nothing else. A register's field is given by its lowest bit, 0 for none; those
 * of three bits in compressed instructions count from x8.
 */
struct encoding {
	uint32_t mask, match;
	struct insn insn;
};

#define LOAD(n, bytes, sign) \
	{0x707f,             \
	 0x0003 | (n) << 12, \
	 {.kind = INSN_LOAD, .length = 4, .size = (bytes), .is_signed = (sign), .rd = 7}}
#define STORE(n, bytes) \
	{0x707f, 0x0023 | (n) << 12, {.kind = INSN_STORE, .length = 4, .size = (bytes), .rs2 = 20}}
#define FP(n, bytes)                                                                 \
	{0x707f,                                                                     \
	 0x0007 | (n) << 12,                                                         \
	 {.kind = INSN_LOAD_FP, .length = 4, .size = (bytes), .rd = 7}},             \
	{                                                                            \
		0x707f, 0x0027 | (n) << 12,                                          \
		    {.kind = INSN_STORE_FP, .length = 4, .size = (bytes), .rs2 = 20} \
	}
#define AMO_SIZE(op, n, bytes)                                                             \
	{                                                                                  \
		0xf800707f, 0x2fU | (n) << 12 | (uint32_t)(op) << 27,                      \
		{                                                                          \
			.kind = INSN_AMO, .length = 4, .size = (bytes), .is_signed = true, \
			.rd = 7, .rs2 = 20, .operation = (op)                              \
		}                                                                          \
	}
#define AMO(op) AMO_SIZE(op, 0, 1), AMO_SIZE(op, 1, 2), AMO_SIZE(op, 2, 4), AMO_SIZE(op, 3, 8)
#define LRSC(n, bytes)                                                                  \
	{0xf800707f,                                                                    \
	 0x1000002f | (n) << 12,                                                        \
	 {.kind = INSN_LR, .length = 4, .size = (bytes), .is_signed = true, .rd = 7}},  \
	{                                                                               \
		0xf800707f, 0x1800002f | (n) << 12,                                     \
		    {.kind = INSN_SC, .length = 4, .size = (bytes), .rd = 7, .rs2 = 20} \
	}
#define C(mask_, match_, kind_, bytes, sign, rd_, rs2_)                                     \
	{                                                                                   \
		mask_, match_,                                                              \
		{                                                                           \
			.kind = (kind_), .length = 2, .size = (bytes), .is_signed = (sign), \
			.rd = (rd_), .rs2 = (rs2_)                                          \
		}                                                                           \
	}

static const struct encoding encodings[] = {
    LOAD(0, 1, true),
    LOAD(1, 2, true),
    LOAD(2, 4, true),
    LOAD(3, 8, true),
    LOAD(4, 1, false),
    LOAD(5, 2, false),
    LOAD(6, 4, false),
    STORE(0, 1),
    STORE(1, 2),
    STORE(2, 4),
    STORE(3, 8),
    FP(1, 2),
    FP(2, 4),
    FP(3, 8),
    AMO(AMO_ADD),
    AMO(AMO_SWAP),
    AMO(AMO_XOR),
    AMO(AMO_CAS),
    AMO(AMO_OR),
    AMO(AMO_AND),
    AMO(AMO_MIN),
    AMO(AMO_MAX),
    AMO(AMO_MINU),
    AMO(AMO_MAXU),
    LRSC(2, 4),
    LRSC(3, 8),
    C(0xe003, 0x2000, INSN_LOAD_FP, 8, false, 2, 0),  /* c.fld */
    C(0xe003, 0x4000, INSN_LOAD, 4, true, 2, 0),      /* c.lw */
    C(0xe003, 0x6000, INSN_LOAD, 8, true, 2, 0),      /* c.ld */
    C(0xe003, 0xa000, INSN_STORE_FP, 8, false, 0, 2), /* c.fsd */
    C(0xe003, 0xc000, INSN_STORE, 4, false, 0, 2),    /* c.sw */
    C(0xe003, 0xe000, INSN_STORE, 8, false, 0, 2),    /* c.sd */
    C(0xfc03, 0x8000, INSN_LOAD, 1, false, 2, 0),     /* c.lbu */
    C(0xfc43, 0x8400, INSN_LOAD, 2, false, 2, 0),     /* c.lhu */
    C(0xfc43, 0x8440, INSN_LOAD, 2, true, 2, 0),      /* c.lh */
    C(0xfc03, 0x8800, INSN_STORE, 1, false, 0, 2),    /* c.sb */
    C(0xfc43, 0x8c00, INSN_STORE, 2, false, 0, 2),    /* c.sh */
    C(0xe003, 0x2002, INSN_LOAD_FP, 8, false, 7, 0),  /* c.fldsp */
    C(0xe003, 0x4002, INSN_LOAD, 4, true, 7, 0),      /* c.lwsp */
    C(0xe003, 0x6002, INSN_LOAD, 8, true, 7, 0),      /* c.ldsp */
    C(0xe003, 0xa002, INSN_STORE_FP, 8, false, 0, 2), /* c.fsdsp */
    C(0xe003, 0xc002, INSN_STORE, 4, false, 0, 2),    /* c.swsp */
    C(0xe003, 0xe002, INSN_STORE, 8, false, 0, 2),    /* c.sdsp */
};

static uint8_t register_at(const struct encoding *encoding, uint32_t bits, uint8_t shift)
{
	bool near =
	    (encoding->mask & 3) == 3 && encoding->insn.length == 2 && (encoding->match & 3) == 0;

	return (uint8_t)(near ? 8 + (bits >> shift & 7) : bits >> shift & 31);
}

static void check_bits(uint32_t bits)
{
	const struct encoding *found = NULL;
	struct insn expected, insn;

	for (size_t i = 0; i < ARRAY_SIZE(encodings); i++) {
		if ((bits & encodings[i].mask) == encodings[i].match)
			found = &encodings[i];
	}
	if (!found) {
		assert_int_equal(insn_decode(bits, &insn), ERR_NOSYS);
		return;
	}
	expected = found->insn;
	expected.rd = register_at(found, bits, expected.rd);
	expected.rs2 = register_at(found, bits, expected.rs2);
	assert_int_equal(insn_decode(bits, &insn), 0);
	check_insn(&insn, &expected);
}

static void test_all_compressed(void **state)
{
	(void)state;
	for (uint32_t bits = 0; bits <= 0xffff; bits++) {
		if ((bits & 3) != 3)
			check_bits(bits);
	}
}

static void test_all_full(void **state)
{
	uint32_t noise = 1;

	(void)state;
	/* Every opcode, funct3 and funct7, with changing registers. */
	for (uint32_t i = 0; i < 1 << 15; i++) {
		for (unsigned n = 0; n < 8; n++) {
			noise = noise * 1664525 + 1013904223;
			check_bits(3 | (i & 31) << 2 | (i >> 5 & 7) << 12 | i >> 8 << 25 |
				   (noise & 0x01ff8f80));
		}
	}
}

/* The transformed form of an instruction (Priv. 1.13, figures 18.43 to 18.46). */
static uint32_t transform(const struct encoding *full, uint8_t rd, uint8_t rs2, uint32_t offset)
{
	uint32_t bits = full->match | offset << 15;

	if (full->insn.rd)
		bits |= (uint32_t)rd << 7;
	if (full->insn.rs2)
		bits |= (uint32_t)rs2 << 20;
	/* aq and rl are kept. */
	if ((bits & 0x7f) == 0x2f)
		bits |= 0x06000000;
	return bits;
}

static void test_transformed(void **state)
{
	struct insn insn, expected;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(encodings); i++) {
		if (encodings[i].insn.length != 4)
			continue;
		for (uint8_t reg = 0; reg < 32; reg++) {
			uint8_t rs2 = (uint8_t)(31 - reg);
			uint32_t bits = transform(&encodings[i], reg, rs2, reg / 4);

			expected = encodings[i].insn;
			expected.rd = reg;
			expected.rs2 = rs2;
			assert_int_equal(insn_decode_transformed(bits, &insn), 0);
			check_insn(&insn, &expected);
			assert_int_equal(insn.offset, reg / 4);
			/* Bit 1 clear: it was compressed. */
			expected.length = 2;
			assert_int_equal(insn_decode_transformed(bits & ~2U, &insn), 0);
			check_insn(&insn, &expected);
			assert_int_equal(insn.offset, reg / 4);
		}
	}
}

static void test_not_transformed(void **state)
{
	/* Nothing, pseudoinstructions of page-table walks, custom and unknown values. */
	static const uint64_t values[] = {
	    0,      0x2000, 0x2020, 0x3000, 0x3020, 0x100002003, UINT64_C(0x8000000000002003),
	    0x7003, 0x4023, 0x0033, 0x0013,
	};
	struct insn insn;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		assert_int_equal(insn_decode_transformed(values[i], &insn), ERR_NOSYS);
		assert_false(insn_is_plain(values[i]));
	}
}

/* insn_is_plain() says nothing but what decoding says too. */
static void test_plain(void **state)
{
	unsigned plain = 0;
	struct insn insn;

	(void)state;
	for (uint32_t i = 0; i < 1 << 15; i++) {
		uint32_t bits = (i & 0x7f) | (i >> 7 & 7) << 12 | (i >> 10 & 31) << 15 | 0x500;
		bool expected = insn_decode_transformed(bits, &insn) == 0 && insn.offset == 0 &&
				(insn.kind == INSN_LOAD || insn.kind == INSN_STORE);

		assert_int_equal(insn_is_plain(bits), expected);
		plain += expected;
		assert_false(insn_is_plain(bits | BIT(40)));
	}
	/* Seven loads and four stores, each full and compressed. */
	assert_int_equal(plain, 22);
}

/* What is decoded as a plain load or store is transformed to what is decoded as the same. */
static void check_transform(uint32_t bits, unsigned *plain)
{
	uint64_t transformed = insn_transform(bits);
	struct insn insn, again;

	if (insn_decode(bits, &insn) != 0 || (insn.kind != INSN_LOAD && insn.kind != INSN_STORE)) {
		assert_int_equal(transformed, 0);
		return;
	}
	assert_true(insn_is_plain(transformed));
	assert_int_equal(insn_decode_transformed(transformed, &again), 0);
	/* Which one there is does not matter where it is not used. */
	insn.rd = insn.kind == INSN_LOAD ? insn.rd : again.rd;
	insn.rs2 = insn.kind == INSN_STORE ? insn.rs2 : again.rs2;
	check_insn(&again, &insn);
	++*plain;
}

static void test_transform(void **state)
{
	unsigned plain = 0, compressed = 0;
	uint32_t noise = 1;

	(void)state;
	for (uint32_t bits = 0; bits <= 0xffff; bits++) {
		if ((bits & 3) != 3)
			check_transform(bits, &compressed);
	}
	for (uint32_t i = 0; i < 1 << 18; i++) {
		noise = noise * 1664525 + 1013904223;
		check_transform((noise & ~0x707fU) | 3 | (i & 31) << 2 | (i >> 5 & 7) << 12,
				&plain);
	}
	/* Eight and those of Zcb, each of 2^11 or so; seven loads and four stores of 2^8. */
	assert_true(compressed > 8 << 10);
	assert_int_equal(plain, 11 << 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_assembled),       cmocka_unit_test(test_all_compressed),
	    cmocka_unit_test(test_all_full),        cmocka_unit_test(test_transformed),
	    cmocka_unit_test(test_not_transformed), cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_transform),
	};

	return cmocka_run_group_tests_name("insn", tests, NULL, NULL);
}
