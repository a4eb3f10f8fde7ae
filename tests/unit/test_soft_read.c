/* SPDX-License-Identifier: MIT */
/* unit: engine/soft/read.c engine/soft/uop.c engine/statistics.c riscv/insn.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/soft/code.h"
#include "engine/soft/soft.h"
#include "kernel/error.h"
#include "kernel/mmu.h"

#define PC   0x10f00
#define PAGE UINT64_C(0x7000)

uint64_t direct_map_offset;

static uint8_t page[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
static uint32_t fetched;   /* by the hart's translation; 0: not so */
static uint32_t in_memory; /* found by the guest's tables; 0: not there */
static enum read_way way;  /* to be chosen */
static struct read_terms terms;
static struct guest guest;
static struct soft_vcpu soft;
static struct vcpu vcpu;

uint32_t soft_read_instruction(const struct vcpu *caller)
{
	assert_ptr_equal(caller, &vcpu);
	return fetched;
}

int soft_fetch(struct vcpu *caller, uint32_t *bits)
{
	assert_ptr_equal(caller, &vcpu);
	*bits = in_memory;
	return in_memory ? 0 : ERR_AGAIN;
}

enum read_way code_note_read(struct guest *of, gpa_t gpa, const struct read_terms *noted)
{
	assert_ptr_equal(of, &guest);
	assert_int_equal(gpa.v >> PAGE_SHIFT, 0x99);
	terms = *noted;
	return terms.is_simple ? way : READ_MAPPED;
}

/* A load from PAGE + offset, by the instruction `bits`, whose base has what its offset lacks. */
static enum read_way read_at(uint64_t offset)
{
	return soft_read_code(&vcpu, GVA(PAGE + offset), GPA(0x99000 + offset),
			      pointer_to_hpa(page + offset));
}

static int set_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		page[i] = (uint8_t)(i * 0x9d + (i >> 8) * 0x35 + 0x81);
	vcpu = (struct vcpu){.guest = &guest, .soft = &soft, .pc = PC};
	for (unsigned i = 1; i < 32; i++)
		vcpu.x[i] = UINT64_C(0x1111111111111111) * (i & 15) + i;
	soft = (struct soft_vcpu){0};
	way = READ_ALONE;
	in_memory = 0;
	return 0;
}

/* clang-format off: made by the assembler. */
static const struct {
	const char *text;
	uint32_t bits;
	uint8_t size, rd, rs1, length;
	bool is_signed;
	int16_t offset;
} loads[] = {
    {"lb a3,-7(a4)", 0xff970683, 1, 13, 14, 4, true, -7},
    {"lh a3,-7(a4)", 0xff971683, 2, 13, 14, 4, true, -7},
    {"lw t6,2047(s11)", 0x7ffdaf83, 4, 31, 27, 4, true, 2047},
    {"ld ra,0(ra)", 0x0000b083, 8, 1, 1, 4, false, 0},
    {"lbu a3,-7(a4)", 0xff974683, 1, 13, 14, 4, false, -7},
    {"lhu a3,-2048(a4)", 0x80075683, 2, 13, 14, 4, false, -2048},
    {"lwu a3,4(sp)", 0x00416683, 4, 13, 2, 4, false, 4},
    {"c.lw s0,124(a5)", 0x5fe0, 4, 8, 15, 2, true, 124},
    {"c.ld a5,248(s1)", 0x7cfc, 8, 15, 9, 2, false, 248},
    {"c.lwsp t6,252(sp)", 0x5ffe, 4, 31, 2, 2, true, 252},
    {"c.ldsp a0,504(sp)", 0x757e, 8, 10, 2, 2, false, 504},
};
/* clang-format on */

static uint64_t expected(const uint8_t *memory, unsigned size, bool is_signed)
{
	uint64_t value = is_signed && memory[size - 1] & 0x80 ? UINT64_MAX : 0;

	for (unsigned i = size; i-- > 0;)
		value = value << 8 | memory[i];
	return value;
}

static void test_loads(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(loads); i++) {
		for (uint64_t offset = 0; offset < PAGE_SIZE; offset += loads[i].size) {
			uint64_t x[32];

			set_up(state);
			fetched = loads[i].bits;
			vcpu.x[loads[i].rs1] = PAGE + offset - (uint64_t)loads[i].offset;
			memcpy(x, vcpu.x, sizeof(x));
			x[loads[i].rd] = expected(page + offset, loads[i].size, loads[i].is_signed);
			assert_int_equal(read_at(offset), READ_ALONE);
			if (memcmp(vcpu.x, x, sizeof(x)) != 0)
				fail_msg("%s at %lx: 0x%lx", loads[i].text, offset,
					 vcpu.x[loads[i].rd]);
			assert_int_equal(vcpu.pc, PC + loads[i].length);
		}
	}
}

/* What is not done alone leaves everything as it is. */
static void expect_untouched(uint64_t offset, bool is_simple)
{
	struct vcpu before = vcpu;

	assert_int_equal(read_at(offset), is_simple ? way : READ_MAPPED);
	assert_int_equal(terms.is_simple, is_simple);
	assert_memory_equal(before.x, vcpu.x, sizeof(before.x));
	assert_int_equal(vcpu.pc, before.pc);
}

static void test_other_ways(void **state)
{
	set_up(state);
	fetched = loads[0].bits;
	vcpu.x[14] = PAGE + 7;
	way = READ_MAPPED;
	expect_untouched(0, true);
	way = READ_TOO_OFTEN;
	expect_untouched(0, true);
}

/* It would reach into the next page, or need not be one access. */
static void test_misaligned(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(loads); i++) {
		for (unsigned past = 1; past < loads[i].size; past++) {
			uint64_t offset = PAGE_SIZE - loads[i].size + past;

			set_up(state);
			fetched = loads[i].bits;
			vcpu.x[loads[i].rs1] = PAGE + offset - (uint64_t)loads[i].offset;
			expect_untouched(offset, false);
		}
	}
}

/* The guest has put something else there. */
static void test_other_instructions(void **state)
{
	static const uint32_t others[] = {
	    0x00d73023, /* sd a3,0(a4) */
	    0x00072687, /* flw fa3,0(a4) */
	    0x100736af, /* lr.d a3,(a4) */
	    0x00d736af, /* amoadd.d a3,a3,(a4) */
	    0x00073003, /* ld zero,0(a4) */
	    0x00077683, /* funct3 7 */
	    0x2314,     /* c.fld fa3,0(a4) */
	    0x9002,     /* c.ebreak */
	    0x10200073, /* sret */
	    0x00873683, /* ld a3,8(a4): elsewhere */
	    0x00063683, /* ld a3,0(a2): elsewhere */
	};

	set_up(state);
	vcpu.x[14] = PAGE + 0x100;
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		fetched = others[i];
		expect_untouched(0x100, false);
	}
	fetched = 0;
	expect_untouched(0x100, false);
	in_memory = others[0];
	expect_untouched(0x100, false);
}

/* Where the hypervisor is not in the guest's tables. */
static void test_fetched_by_tables(void **state)
{
	set_up(state);
	fetched = 0;
	in_memory = 0x00073683; /* ld a3,0(a4) */
	vcpu.x[14] = PAGE + 0x100;
	assert_int_equal(read_at(0x100), READ_ALONE);
	assert_int_equal(vcpu.x[13], expected(page + 0x100, 8, false));
}

static void test_terms(void **state)
{
	set_up(state);
	fetched = 0x00073683; /* ld a3,0(a4) */
	vcpu.x[14] = PAGE + 0x100;
	vcpu.statistics.exits[EXITS_PRIVILEGED].count = 5;
	vcpu.statistics.quick_privileged = 30;
	read_at(0x100);
	assert_int_equal(terms.executed, 35);
	assert_false(terms.is_own);
	vcpu.statistics.quick_privileged = 37;
	vcpu.statistics.exits[EXITS_SBI].count = 50;
	read_at(0x100);
	assert_int_equal(terms.executed, 7);
	read_at(0x100);
	assert_int_equal(terms.executed, 0);

	/* It begins in the page before, in the page, and behind it. */
	for (uint64_t pc = PAGE - 4; pc <= PAGE + PAGE_SIZE; pc += 2) {
		vcpu.pc = pc;
		read_at(0x100);
		assert_int_equal(terms.is_own, pc >= PAGE - 2 && pc < PAGE + PAGE_SIZE);
	}
}

/* How often each way is chosen in `rounds` of so many loads and traps. */
static void choose(unsigned rounds, unsigned count, uint64_t executed, bool is_own, bool is_simple,
		   unsigned ways[3])
{
	struct reads reads = {0};

	memset(ways, 0, 3 * sizeof(*ways));
	for (unsigned i = 0; i < rounds * count; i++) {
		struct read_terms now = {
		    .executed = i % count ? 0 : executed, .is_own = is_own, .is_simple = is_simple};

		ways[read_choose(&reads, &now)]++;
	}
}

/* A handler that reads what it has been called for: for ever, with a trial now and then. */
static void test_beside_privileged(void **state)
{
	unsigned ways[3];

	(void)state;
	for (unsigned own = 0; own < 2; own++) {
		choose(100000, 1, 2, own, true, ways);
		assert_int_equal(ways[READ_TOO_OFTEN], 0);
		assert_in_range(ways[READ_MAPPED], 100, 10000);
		choose(100000, 1, UINT64_MAX, own, true, ways);
		assert_int_equal(ways[READ_TOO_OFTEN], 0);
		assert_in_range(ways[READ_MAPPED], 100, 10000);
		/* A load of another kind is never performed alone. */
		choose(1000, 1, 10, own, false, ways);
		assert_int_equal(ways[READ_MAPPED], 1000);
	}
}

/* In a row the original is mapped soon; and soon the copy goes, where nothing else is done. */
static void test_in_a_row(void **state)
{
	unsigned ways[3];

	(void)state;
	for (unsigned own = 0; own < 2; own++) {
		choose(1, 12, 0, own, true, ways);
		assert_in_range(ways[READ_ALONE], 2, 8);
		assert_int_equal(ways[READ_TOO_OFTEN], 0);
		choose(1, 100, 0, own, true, ways);
		assert_in_range(ways[READ_ALONE], 2, 8);
		assert_in_range(ways[READ_MAPPED], 4, 20);
		assert_in_range(ways[READ_TOO_OFTEN], 70, 100);
		choose(1, 100, 0, own, false, ways);
		assert_int_equal(ways[READ_ALONE], 0);
		assert_in_range(ways[READ_TOO_OFTEN], 70, 100);
		/* More reading than its privileged instructions are worth. */
		choose(1000, 20, 1, own, true, ways);
		assert_in_range(ways[READ_TOO_OFTEN], 1, 20000);
		/* Rows that they are worth. */
		choose(1000, 8, 100, own, true, ways);
		assert_int_equal(ways[READ_TOO_OFTEN], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_loads),
	    cmocka_unit_test(test_other_ways),
	    cmocka_unit_test(test_misaligned),
	    cmocka_unit_test(test_other_instructions),
	    cmocka_unit_test(test_fetched_by_tables),
	    cmocka_unit_test(test_terms),
	    cmocka_unit_test(test_beside_privileged),
	    cmocka_unit_test(test_in_a_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
