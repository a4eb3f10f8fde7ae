/* SPDX-License-Identifier: MIT */
/* unit: engine/soft/csr.c */
#include "tests/unit/fake_kernel.h"

#include <pthread.h>

#include "engine/guest.h"
#include "engine/soft/csr.h"
#include "engine/soft/soft.h"
#include "riscv/csr.h"

static struct guest guest;
static struct soft_vcpu soft;
static struct vcpu vcpu;

/* Bits of sstatus, and interrupts (Priv. 1.13, 12.1.1, 12.1.3). */
enum { SIE = 1, SPIE = 5, SPP = 8, VS = 9, FS = 13, SUM = 18, MXR = 19 };
#define UXL (UINT64_C(2) << 32)
#define SD  BIT(63)

/* What a guest may have. */
#define HAS_D    0x01
#define HAS_F    0x02
#define HAS_V    0x04
#define HAS_CBOM 0x08
#define HAS_CBOZ 0x10
#define HAS_SV48 0x20
#define HAS_SV57 0x40

static void reset_with(unsigned has)
{
	memset(&guest, 0, sizeof(guest));
	memset(&soft, 0, sizeof(soft));
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.guest = &guest;
	vcpu.soft = &soft;
	guest.isa.letters = 1 << ('i' - 'a');
	if (has & HAS_D)
		guest.isa.letters |= 1 << ('d' - 'a');
	if (has & HAS_F)
		guest.isa.letters |= 1 << ('f' - 'a');
	if (has & HAS_V)
		guest.isa.letters |= 1 << ('v' - 'a');
	if (has & HAS_CBOM)
		isa_add(&guest.isa, ISA_zicbom);
	if (has & HAS_CBOZ)
		isa_add(&guest.isa, ISA_zicboz);
	if (has & HAS_SV57)
		guest.isa.virtual_address_bits = 57;
	else if (has & HAS_SV48)
		guest.isa.virtual_address_bits = 48;
	soft_csr_reset(&vcpu);
}

static uint64_t get(unsigned number)
{
	uint64_t value;

	assert_int_equal(soft_csr_read(&vcpu, number, &value), 0);
	return value;
}

static unsigned put(unsigned number, uint64_t value)
{
	unsigned effects = 0;

	assert_int_equal(soft_csr_write(&vcpu, number, value, &effects), 0);
	return effects;
}

static void test_reset(void **state)
{
	(void)state;
	reset_with(HAS_D | HAS_V);
	memset(&soft.csrs, 0x5a, sizeof(soft.csrs));
	soft.privilege = SOFT_U;
	soft.unsaved = SSTATUS_FS;
	vcpu.irq = 0x220;
	soft_csr_reset(&vcpu);
	assert_int_equal(get(CSR_SSTATUS), UXL);
	assert_int_equal(get(CSR_SATP), 0);
	assert_int_equal(get(CSR_SIE), 0);
	assert_int_equal(get(CSR_SCOUNTEREN), 7);
	assert_int_equal(get(CSR_SENVCFG), 0);
	assert_int_equal(get(CSR_STVEC), 0);
	assert_int_equal(get(CSR_SIP), 0x220);
	assert_int_equal(soft.privilege, SOFT_S);
	assert_int_equal(soft.unsaved, 0);
	assert_int_equal(soft_pending_interrupt(&vcpu), 0);
}

/* What a write makes of a register that was `old`, in a guest that has something. */
static const struct warl {
	unsigned number, has;
	uint64_t old, value, expected;
	unsigned effects;
} warl_table[] = {
    {CSR_SSTATUS, 0, 0, UINT64_MAX, UXL | 0xc0122, EFFECT_VIEW},
    {CSR_SSTATUS, HAS_D, 0, UINT64_MAX, SD | UXL | 0xc6122, EFFECT_VIEW},
    {CSR_SSTATUS, HAS_F, 0, UINT64_MAX, SD | UXL | 0xc6122, EFFECT_VIEW},
    {CSR_SSTATUS, HAS_V, 0, UINT64_MAX, SD | UXL | 0xc0722, EFFECT_VIEW},
    {CSR_SSTATUS, HAS_D | HAS_V, 0, UINT64_MAX, SD | UXL | 0xc6722, EFFECT_VIEW},
    {CSR_SSTATUS, HAS_D | HAS_V, UINT64_MAX, 0, UXL, EFFECT_VIEW},
    {CSR_SSTATUS, HAS_D | HAS_V, 0, 0x4400, UXL | 0x4400, 0},
    {CSR_SSTATUS, HAS_D, 0, 0x2400, UXL | 0x2000, 0},
    {CSR_SSTATUS, 0, 0, BIT(SUM), UXL | BIT(SUM), EFFECT_VIEW},
    {CSR_SSTATUS, 0, BIT(SUM), BIT(SUM) | BIT(SIE), UXL | BIT(SUM) | BIT(SIE), 0},
    {CSR_SSTATUS, 0, BIT(SUM), BIT(MXR), UXL | BIT(MXR), EFFECT_VIEW},
    {CSR_SIE, 0, 0, UINT64_MAX, 0x222, 0},
    {CSR_SIE, 0, 0x222, 0, 0, 0},
    {CSR_STVEC, 0, 0, UINT64_MAX - 3, UINT64_MAX - 3, 0},
    {CSR_STVEC, 0, 0, 0x1001, 0x1001, 0},
    {CSR_STVEC, 0, 0x1001, 0x2002, 0x2001, 0},
    {CSR_STVEC, 0, 0x1000, 0x2003, 0x2000, 0},
    {CSR_STVEC, 0, 0x1001, 0x2004, 0x2004, 0},
    {CSR_SCOUNTEREN, 0, 0, UINT64_MAX, 7, EFFECT_ENVIRONMENT},
    {CSR_SCOUNTEREN, 0, 7, 2, 2, EFFECT_ENVIRONMENT},
    {CSR_SENVCFG, 0, 0, UINT64_MAX, 1, EFFECT_ENVIRONMENT},
    {CSR_SENVCFG, HAS_CBOM, 0, UINT64_MAX, 0x71, EFFECT_ENVIRONMENT},
    {CSR_SENVCFG, HAS_CBOZ, 0, UINT64_MAX, 0x81, EFFECT_ENVIRONMENT},
    {CSR_SENVCFG, HAS_CBOM | HAS_CBOZ, 0, UINT64_MAX, 0xf1, EFFECT_ENVIRONMENT},
    {CSR_SENVCFG, HAS_CBOM, 0x10, 0x60, 0x50, EFFECT_ENVIRONMENT},
    {CSR_SENVCFG, HAS_CBOM, 0x30, 0x20, 0x30, EFFECT_ENVIRONMENT},
    {CSR_SENVCFG, HAS_CBOM, 0x30, 0x10, 0x10, EFFECT_ENVIRONMENT},
    {CSR_SSCRATCH, 0, 0, UINT64_MAX, UINT64_MAX, 0},
    {CSR_SEPC, 0, 0, UINT64_MAX, UINT64_MAX - 1, 0},
    {CSR_SEPC, 0, 0, 0x1002, 0x1002, 0},
    {CSR_SCAUSE, 0, 0, UINT64_MAX, UINT64_MAX, 0},
    {CSR_STVAL, 0, 0, UINT64_MAX, UINT64_MAX, 0},
    {CSR_SIP, 0, 0, UINT64_MAX, 0x2, 0},
    {CSR_SIP, 0, 0x2, 0, 0, 0},
    {CSR_SATP, 0, 0, 0x8fffffffffffffff, 0x8fffffffffffffff, EFFECT_SATP},
    {CSR_SATP, 0, 0x8000000000080000, 0x8000000000080000, 0x8000000000080000, 0},
    {CSR_SATP, 0, 0x8000000000080000, 0x8001000000080000, 0x8001000000080000, EFFECT_SATP},
    {CSR_SATP, 0, 0x8000000000080000, 0x9000000000012345, 0x8000000000080000, 0},
    {CSR_SATP, HAS_SV48, 0x8000000000080000, 0x9000000000012345, 0x9000000000012345, EFFECT_SATP},
    {CSR_SATP, HAS_SV57, 0x8000000000080000, 0x9000000000012345, 0x9000000000012345, EFFECT_SATP},
    {CSR_SATP, HAS_SV57, 0x8000000000080000, 0xa000000000012345, 0x8000000000080000, 0},
    {CSR_SATP, HAS_SV57, 0x8000000000080000, 0xb000000000012345, 0x8000000000080000, 0},
    {CSR_SATP, HAS_SV57, 0x8000000000080000, 0xf000000000012345, 0x8000000000080000, 0},
    {CSR_SATP, HAS_SV57, 0x8000000000080000, 0x1000000000012345, 0x8000000000080000, 0},
    {CSR_SATP, HAS_SV57, 0x8000000000080000, 0x7000000000012345, 0x8000000000080000, 0},
    {CSR_SATP, 0, 0x8000000000080000, 0, 0, EFFECT_SATP},
    {CSR_SATP, 0, 0x8000000000080000, 0x0fffffffffffffff, 0, EFFECT_SATP},
    {CSR_SATP, 0, 0, 0x0000000000012345, 0, 0},
};

static void test_warl(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(warl_table); i++) {
		const struct warl *w = &warl_table[i];
		unsigned effects;

		reset_with(w->has);
		put(w->number, w->old);
		effects = put(w->number, w->value);
		if (get(w->number) != w->expected || effects != w->effects)
			fail_msg("row %u: %#lx, effects %#x", i, get(w->number), effects);
	}
}

/* All 4096 numbers: these exist, and no other. */
static void test_numbers(void **state)
{
	static const unsigned there[] = {0x100, 0x104, 0x105, 0x106, 0x10a, 0x140,
					 0x141, 0x142, 0x143, 0x144, 0x180};
	unsigned count = 0;

	(void)state;
	reset_with(HAS_D | HAS_V | HAS_CBOM | HAS_CBOZ | HAS_SV57);
	for (unsigned number = 0; number < 4096; number++) {
		bool expected = false;
		unsigned effects = 0;
		uint64_t value;
		/* csrrs a0, number, zero */
		uint32_t bits = number << 20 | 2 << 12 | 10 << 7 | 0x73;

		for (unsigned i = 0; i < ARRAY_SIZE(there); i++)
			expected |= there[i] == number;
		vcpu.x[10] = 0x1234;
		assert_int_equal(soft_csr_read(&vcpu, number, &value), expected ? 0 : ERR_NOSYS);
		assert_int_equal(soft_csr_instruction(&vcpu, bits, &effects),
				 expected ? 0 : ERR_NOSYS);
		assert_int_equal(vcpu.x[10], expected ? value : 0x1234);
		assert_int_equal(effects, 0);
		assert_int_equal(soft_csr_write(&vcpu, number, 0, &effects),
				 expected ? 0 : ERR_NOSYS);
		count += expected;
	}
	assert_int_equal(count, 11);
}

/* FS and VS are the hart's: what it made dirty must not get lost when the guest says Clean. */
static void test_unsaved(void **state)
{
	static const unsigned shifts[] = {FS, VS};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t mask = UINT64_C(3) << shifts[i];

		for (uint64_t from = 0; from < 4; from++) {
			for (uint64_t to = 0; to < 4; to++) {
				reset_with(HAS_D | HAS_V);
				vcpu.sstatus = UXL | BIT(SPP) | from << shifts[i];
				put(CSR_SSTATUS, to << shifts[i]);
				assert_int_equal(vcpu.sstatus, UXL | BIT(SPP) | to << shifts[i]);
				assert_int_equal(soft.unsaved, from == 3 && to != 3 ? mask : 0);
				assert_int_equal(get(CSR_SSTATUS),
						 UXL | to << shifts[i] | (to == 3 ? SD : 0));
			}
		}
	}
	/* Once noted it stays; and a field that the guest has not got is not touched. */
	reset_with(HAS_D);
	vcpu.sstatus = 3 << FS | 3 << VS;
	put(CSR_SSTATUS, 2 << FS);
	put(CSR_SSTATUS, 3 << FS);
	assert_int_equal(soft.unsaved, 3 << FS);
	assert_int_equal(vcpu.sstatus, 3 << FS | 3 << VS);
	assert_int_equal(get(CSR_SSTATUS), SD | UXL | 3 << FS);
}

/* The hart's environment by privilege. */
static void test_environment(void **state)
{
	(void)state;
	reset_with(HAS_CBOM | HAS_CBOZ);
	put(CSR_SCOUNTEREN, 5);
	assert_int_equal(soft_hart_counteren(&vcpu, vcpu.soft->privilege), 7);
	assert_int_equal(soft_hart_envcfg(&vcpu, vcpu.soft->privilege), 0xd1);
	soft.privilege = SOFT_U;
	assert_int_equal(soft_hart_counteren(&vcpu, vcpu.soft->privilege), 5);
	assert_int_equal(soft_hart_envcfg(&vcpu, vcpu.soft->privilege), 0x01);
	for (unsigned cbie = 0; cbie < 4; cbie++) {
		put(CSR_SENVCFG, 0);
		put(CSR_SENVCFG, cbie << 4);
		assert_int_equal(soft_hart_envcfg(&vcpu, vcpu.soft->privilege),
				 cbie & 1 ? 0x11 : 0x01);
	}
	put(CSR_SENVCFG, 0x40);
	assert_int_equal(soft_hart_envcfg(&vcpu, vcpu.soft->privilege), 0x41);
	put(CSR_SENVCFG, 0x80);
	assert_int_equal(soft_hart_envcfg(&vcpu, vcpu.soft->privilege), 0x81);
	reset_with(0);
	assert_int_equal(soft_hart_envcfg(&vcpu, vcpu.soft->privilege), 0x01);
	reset_with(HAS_CBOZ);
	assert_int_equal(soft_hart_envcfg(&vcpu, vcpu.soft->privilege), 0x81);
	reset_with(HAS_CBOM);
	assert_int_equal(soft_hart_envcfg(&vcpu, vcpu.soft->privilege), 0x51);
}

/* Every combination of what is pending and enabled, in every state. */
static void test_pending_interrupt(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 8 * 8 * 4; n++) {
		unsigned pending = n % 8, enabled = n / 8 % 8, both = pending & enabled;
		bool user = n / 64 % 2, sie = n / 128;
		uint64_t expected = 0;

		reset_with(0);
		soft.privilege = user ? SOFT_U : SOFT_S;
		/* Bits 1, 5, 9 from bits 0, 1, 2. */
		vcpu.irq = (pending & 1) << 1 | (pending & 2) << 4 | (pending & 4) << 7;
		put(CSR_SIE, (enabled & 1) << 1 | (enabled & 2) << 4 | (enabled & 4) << 7);
		unsigned effects = put(CSR_SSTATUS, sie ? BIT(SIE) : 0);

		if (user || sie)
			expected = both & 4 ? 9 : both & 1 ? 1 : both & 2 ? 5 : 0;
		if (expected)
			expected |= BIT(63);
		assert_int_equal(soft_pending_interrupt(&vcpu), expected);
		assert_int_equal(effects, expected ? EFFECT_INTERRUPTS : 0);
	}
}

static void test_interrupt_effects(void **state)
{
	unsigned effects = 0;

	(void)state;
	reset_with(0);
	put(CSR_SSTATUS, BIT(SIE));
	assert_int_equal(put(CSR_SIP, 2), 0);
	assert_int_equal(put(CSR_SIE, 0x20), 0);
	assert_int_equal(put(CSR_SIE, 0x2), EFFECT_INTERRUPTS);
	assert_int_equal(put(CSR_SIP, 0), 0);
	assert_int_equal(put(CSR_SIP, 2), EFFECT_INTERRUPTS);
	assert_int_equal(put(CSR_SSTATUS, BIT(SPP) | BIT(SPIE)), 0);
	soft_sret(&vcpu, &effects);
	assert_int_equal(effects, EFFECT_INTERRUPTS);
	/* To U-mode, where SIE does not matter. */
	put(CSR_SSTATUS, 0);
	effects = 0;
	soft_sret(&vcpu, &effects);
	assert_int_equal(effects, EFFECT_INTERRUPTS | EFFECT_VIEW);
	assert_int_equal(soft.privilege, SOFT_U);
}

static void test_trap_and_sret(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 256; n++) {
		bool user = n & 1, vectored = n & 16, interrupt = n & 32;
		uint64_t sie = n >> 1 & 1, spie = n >> 2 & 1, spp = n >> 3 & 1;
		uint64_t other = (n & 64 ? BIT(SUM) : 0) | (n & 128 ? BIT(MXR) : 0);
		uint64_t cause = interrupt ? BIT(63) | 9 : 13;
		unsigned effects = 0;

		reset_with(HAS_D);
		vcpu.sstatus = 2 << FS;
		put(CSR_SSTATUS, other | 2 << FS | sie << SIE | spie << SPIE | spp << SPP);
		put(CSR_STVEC, 0xffffffff80001000 | vectored);
		soft.privilege = user ? SOFT_U : SOFT_S;
		vcpu.pc = 0x1236;
		soft_trap_enter(&vcpu, cause, 0x5678);
		assert_int_equal(get(CSR_SEPC), 0x1236);
		assert_int_equal(get(CSR_SCAUSE), cause);
		assert_int_equal(get(CSR_STVAL), 0x5678);
		assert_int_equal(soft.privilege, SOFT_S);
		assert_int_equal(vcpu.pc, 0xffffffff80001000 + (vectored && interrupt ? 36 : 0));
		assert_int_equal(get(CSR_SSTATUS),
				 UXL | other | 2 << FS | sie << SPIE | (user ? 0 : BIT(SPP)));

		soft_sret(&vcpu, &effects);
		assert_int_equal(vcpu.pc, 0x1236);
		assert_int_equal(soft.privilege, user ? SOFT_U : SOFT_S);
		assert_int_equal(effects, user ? EFFECT_VIEW : 0);
		assert_int_equal(get(CSR_SSTATUS), UXL | other | 2 << FS | sie << SIE | BIT(SPIE));
	}
}

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

static void test_instruction_without_csr(void **state)
{
	unsigned effects = 0;

	(void)state;
	reset_with(0);
	vcpu.x[5] = 77;
	/* csrrw t0, stimecmp, t0; csrrs t0, sstateen0, zero; csrrci zero, vsstatus, 1 */
	assert_int_equal(soft_csr_instruction(&vcpu, 0x14d292f3, &effects), ERR_NOSYS);
	assert_int_equal(soft_csr_instruction(&vcpu, 0x10c022f3, &effects), ERR_NOSYS);
	assert_int_equal(soft_csr_instruction(&vcpu, 0x2000f073, &effects), ERR_NOSYS);
	/* funct3 0 and 4, which are no CSR instructions. */
	assert_int_equal(soft_csr_instruction(&vcpu, 0x10000073, &effects), ERR_NOSYS);
	assert_int_equal(soft_csr_instruction(&vcpu, 0x10004073, &effects), ERR_NOSYS);
	assert_int_equal(vcpu.x[5], 77);
	assert_int_equal(effects, 0);
}

#define RAISES 200000

static unsigned raised; /* how often SSIP was set when it was clear */
static bool raising;

static void *raise_often(void *argument)
{
	(void)argument;
	for (unsigned i = 0; i < RAISES; i++)
		raised += !(__atomic_fetch_or(&vcpu.irq, 2, __ATOMIC_SEQ_CST) & 2);
	__atomic_store_n(&raising, false, __ATOMIC_RELEASE);
	return NULL;
}

/* No IPI gets lost between an instruction's read of sip and its write. */
static void test_sip_is_atomic(void **state)
{
	static const uint32_t taking[] = {
	    0x144132f3, /* csrrc t0, sip, sp (sp = 2) */
	    0x144012f3, /* csrrw t0, sip, zero */
	};
	static const uint32_t others[] = {
	    0x1441a073, /* csrrs zero, sip, gp (gp = 0x20) */
	    0x1441b073, /* csrrc zero, sip, gp */
	};
	unsigned effects = 0, taken = 0;
	bool finished = false;
	pthread_t thread;

	(void)state;
	reset_with(0);
	vcpu.x[2] = 2;
	vcpu.x[3] = 0x20;
	raised = 0;
	raising = true;
	assert_int_equal(pthread_create(&thread, NULL, raise_often, NULL), 0);
	for (unsigned i = 0; !finished; i++) {
		/* One more round after the last IPI. */
		finished = !__atomic_load_n(&raising, __ATOMIC_ACQUIRE);
		assert_int_equal(soft_csr_instruction(&vcpu, others[i / 2 % 2], &effects), 0);
		assert_int_equal(soft_csr_instruction(&vcpu, taking[i % 2], &effects), 0);
		assert_int_equal(vcpu.x[5] & ~UINT64_C(2), 0);
		taken += vcpu.x[5] == 2;
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(raised > 0);
	assert_int_equal(taken, raised);
	assert_int_equal(vcpu.irq, 0);
}

static void test_read_state(void **state)
{
	static const uint16_t shown[] = {CSR_SSTATUS, CSR_SIE,      CSR_SIP,
					 CSR_STVEC,   CSR_SSCRATCH, CSR_SEPC,
					 CSR_SCAUSE,  CSR_STVAL,    CSR_SATP};
	struct vcpu_state now;

	(void)state;
	reset_with(HAS_D | HAS_V | HAS_SV48);
	for (unsigned i = 0; i < ARRAY_SIZE(shown); i++) {
		unsigned effects = 0;

		assert_int_equal(soft_csr_write(&vcpu, shown[i], fake_random() >> 1, &effects), 0);
	}
	soft.csrs.satp = (uint64_t)ATP_MODE_SV48 << ATP_MODE_SHIFT | 0x1234;
	vcpu.irq = 1 << IRQ_S_EXT | 1 << 20;
	for (unsigned n = 1; n < 32; n++)
		vcpu.x[n] = n * 0x1111;
	vcpu.pc = 0x8000;
	soft_read_state(&vcpu, true, &now);
	uint64_t *values[] = {&now.sstatus, &now.sie,    &now.sip,   &now.stvec, &now.sscratch,
			      &now.sepc,    &now.scause, &now.stval, &now.satp};

	for (unsigned i = 0; i < ARRAY_SIZE(shown); i++)
		assert_int_equal(*values[i], get(shown[i]));
	assert_int_equal(now.sip, 1 << IRQ_S_EXT);
	assert_int_equal(now.pc, 0x8000);
	assert_int_equal(now.x[0], 0);
	assert_int_equal(now.x[31], 31 * 0x1111);
	assert_false(now.user);
	soft.privilege = SOFT_U;
	soft_read_state(&vcpu, false, &now);
	assert_true(now.user);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_read_state),
	    cmocka_unit_test(test_reset),
	    cmocka_unit_test(test_warl),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_unsaved),
	    cmocka_unit_test(test_environment),
	    cmocka_unit_test(test_pending_interrupt),
	    cmocka_unit_test(test_interrupt_effects),
	    cmocka_unit_test(test_trap_and_sret),
	    cmocka_unit_test(test_random_instructions),
	    cmocka_unit_test(test_instruction_without_csr),
	    cmocka_unit_test(test_sip_is_atomic),
	};

	return cmocka_run_group_tests_name("soft_csr", tests, NULL, NULL);
}
