/* SPDX-License-Identifier: MIT */
/* unit: engine/soft/csr.c */
#include "tests/unit/soft_csr_fixture.h"

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
	    cmocka_unit_test(test_instruction_without_csr),
	    cmocka_unit_test(test_sip_is_atomic),
	};

	return cmocka_run_group_tests_name("soft_csr", tests, NULL, NULL);
}
