/* SPDX-License-Identifier: MIT */
/* unit: engine/soft/csr.c */
#include "tests/unit/soft_csr_fixture.h"

/*
 * The model for random instructions: each register as one number, with sstatus and sip whole,
 * and rules by masks.
 */
static const unsigned numbers[] = {0x100, 0x104, 0x105, 0x106, 0x10a, 0x140,
				   0x141, 0x142, 0x143, 0x144, 0x180};
static uint64_t model[4096];
static uint64_t model_x[32];

static uint64_t legal_satp(uint64_t old, uint64_t value, unsigned has)
{
	if (value >> 60 == 0)
		return 0;
	if (value >> 60 == 8 || (value >> 60 == 9 && has & (HAS_SV48 | HAS_SV57)))
		return value;
	return old;
}

static uint64_t legal(unsigned number, uint64_t old, uint64_t value, unsigned has)
{
	uint64_t mask;

	switch (number) {
	case 0x100:
		mask = 0xc0122 | (has & (HAS_D | HAS_F) ? 0x6000 : 0) | (has & HAS_V ? 0x600 : 0);
		value = (value & mask) | UXL;
		return value | ((value & 0x6000) == 0x6000 || (value & 0x600) == 0x600 ? SD : 0);
	case 0x104:
		return value & 0x222;
	case 0x105:
		return value & 2 ? (value & ~UINT64_C(3)) | (old & 3) : value;
	case 0x106:
		return value & 7;
	case 0x10a:
		mask = 1 | (has & HAS_CBOM ? 0x70 : 0) | (has & HAS_CBOZ ? 0x80 : 0);
		if ((value >> 4 & 3) == 2)
			value = (value & ~UINT64_C(0x30)) | (old & 0x30);
		return value & mask;
	case 0x141:
		return value & ~UINT64_C(1);
	case 0x144:
		return (old & ~UINT64_C(2)) | (value & 2);
	case 0x180:
		return legal_satp(old, value, has);
	default:
		return value;
	}
}

static bool model_interrupt(void)
{
	return model[0x100] & BIT(SIE) && model[0x104] & model[0x144];
}

static unsigned model_instruction(unsigned number, unsigned funct3, unsigned rd, unsigned rs1,
				  unsigned has)
{
	uint64_t operand = funct3 >= 5 ? rs1 : model_x[rs1];
	uint64_t old = model[number], value = old;
	unsigned effects = 0;

	if (funct3 % 4 == 1)
		value = operand;
	else if (funct3 % 4 == 2)
		value = old | operand;
	else
		value = old & ~operand;
	if (funct3 % 4 == 1 || rs1 != 0) {
		model[number] = value = legal(number, old, value, has);
		if (number == 0x100 && (old ^ value) & 0xc0000)
			effects |= EFFECT_VIEW;
		if (number == 0x180 && old != value)
			effects |= EFFECT_SATP;
		if (number == 0x106 || number == 0x10a)
			effects |= EFFECT_ENVIRONMENT;
		if ((number == 0x100 || number == 0x104 || number == 0x144) && model_interrupt())
			effects |= EFFECT_INTERRUPTS;
	}
	if (rd)
		model_x[rd] = old;
	return effects;
}

/* The hypervisor, the hart or another hart changes something between two instructions. */
static void disturb(unsigned has)
{
	uint64_t levels = fake_random() & 0x222;

	vcpu.irq = (uint32_t)levels | 0x8000; /* and a bit that sip has not */
	model[0x144] = levels;
	if (has & HAS_D && (model[0x100] & 0x6000) != 0) {
		vcpu.sstatus |= 3 << FS;
		model[0x100] |= SD | 3 << FS;
	}
}

static uint64_t random_operand(void)
{
	switch (fake_random_below(4)) {
	case 0:
		return fake_random() & fake_random() & fake_random();
	case 1:
		return BIT(fake_random_below(64));
	case 2:
		return (UINT64_C(7) + fake_random_below(5)) << 60 | (fake_random() & 0xfff);
	default:
		return fake_random();
	}
}

static void test_random_instructions(void **state)
{
	unsigned seen[16] = {0};

	(void)state;
	for (unsigned has = 0; has < 0x80; has++) {
		reset_with(has);
		memset(model, 0, sizeof(model));
		model[0x100] = UXL;
		model[0x106] = 7;
		vcpu.pc = 0x1000;
		for (unsigned i = 0; i < 4000; i++) {
			unsigned number = numbers[fake_random_below(ARRAY_SIZE(numbers))];
			unsigned funct3 = 1 + fake_random_below(3) + 4 * fake_random_below(2);
			unsigned rd = fake_random_below(4), rs1 = fake_random_below(4);
			unsigned effects = 0, expected;
			uint32_t bits;

			if (funct3 > 4 && fake_random_below(2))
				rs1 = fake_random_below(32);
			for (unsigned r = 1; r < 4; r++)
				vcpu.x[r] = model_x[r] = random_operand();
			if (fake_random_below(8) == 0)
				disturb(has);
			bits = number << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x73;
			expected = model_instruction(number, funct3, rd, rs1, has);
			assert_int_equal(soft_csr_instruction(&vcpu, bits, &effects), 0);
			assert_int_equal(effects, expected);
			assert_memory_equal(vcpu.x, model_x, 4 * sizeof(uint64_t));
			for (unsigned k = 0; k < ARRAY_SIZE(numbers); k++)
				assert_int_equal(get(numbers[k]), model[numbers[k]]);
			seen[effects]++;
		}
		assert_int_equal(vcpu.pc, 0x1000);
		assert_int_equal(vcpu.x[0], 0);
	}
	for (unsigned effect = 0; effect < 4; effect++)
		assert_in_range(seen[BIT(effect)], 100, 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_random_instructions),
	};

	return cmocka_run_group_tests_name("soft_csr_random", tests, NULL, NULL);
}
