/* SPDX-License-Identifier: MIT */
/* unit: engine/soft/interp.c engine/soft/uop.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/soft_compare.h"

#define PC UINT64_C(0xffffffe000123100)

/* Instructions, by their encodings. */
#define ADDI(rd, rs1, imm)     enc_i(0x13, 0, rd, rs1, (unsigned)(imm) & 0xfff)
#define BEQ(rs1, rs2, imm)     enc_b(0, rs1, rs2, (unsigned)(imm) & 0x1fff)
#define JAL(rd, imm)           enc_j(rd, (unsigned)(imm) & 0x1fffff)
#define JALR(rd, rs1)          enc_i(0x67, 0, rd, rs1, 0)
#define LD(rd, rs1, imm)       enc_i(0x03, 3, rd, rs1, (unsigned)(imm) & 0xfff)
#define SD(rs2, rs1, imm)      enc_s(0x23, 3, rs1, rs2, (unsigned)(imm) & 0xfff)
#define CSRRW(rd, number, rs1) enc_i(0x73, 1, rd, rs1, number)
#define CSRRS(rd, number, rs1) enc_i(0x73, 2, rd, rs1, number)
#define SRET                   0x10200073U
#define ECALL                  0x00000073U
#define C_NOP                  0x0001U
#define SSTATUS                0x100
#define SSCRATCH               0x140
#define SEPC                   0x141

/* A vCPU and a block under test, apart from what compare_run() uses. */
static struct vcpu vcpu;
static struct soft_vcpu soft;
static struct block block;
static uint16_t code[2048];
static unsigned code_size;

static void put(uint32_t insn)
{
	code[code_size / 2] = (uint16_t)insn;
	code_size += 2;
	if ((insn & 3) == 3) {
		code[code_size / 2] = (uint16_t)(insn >> 16);
		code_size += 2;
	}
}

static void put_list(const uint32_t *insns, unsigned count)
{
	code_size = 0;
	for (unsigned i = 0; i < count; i++)
		put(insns[i]);
}

#define PUT(...) \
	put_list((const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4U)

/* Builds the block of what was put; the steps of privileged instructions are STEP_NEXT. */
static int setup(void **state)
{
	(void)state;
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&soft, 0, sizeof(soft));
	memset(&tested, 0, sizeof(tested));
	memset(reference_script, STEP_NEXT, sizeof(reference_script));
	vcpu.soft = &soft;
	vcpu.pc = PC;
	for (unsigned i = 1; i < 32; i++)
		vcpu.x[i] = 0x1000 + i;
	tested_complaint = NULL;
	return 0;
}

static unsigned build(void)
{
	block_build(&block, PC, (const uint8_t *)code, code_size);
	assert_null(check_block(&block, PC, code_size));
	return block.count;
}

static bool run(void)
{
	bool stopped = interp_run(&vcpu, &block);

	assert_null(tested_complaint);
	assert_int_equal(vcpu.x[0], 0);
	return stopped;
}

static void runs_a_stretch(void **state)
{
	(void)state;
	PUT(CSRRW(4, SSCRATCH, 4), ADDI(5, 4, 1), CSRRS(6, SEPC, 0), CSRRW(0, SEPC, 5), C_NOP,
	    CSRRS(7, SSTATUS, 8), ADDI(9, 9, 9));
	soft.csrs.sscratch = 0x1111222233334444;
	soft.csrs.sepc = 0x5556;
	assert_int_equal(build(), 6);
	assert_false(run());
	assert_int_equal(vcpu.pc, PC + 22);
	assert_int_equal(soft.csrs.sscratch, 0x1004);
	assert_int_equal(vcpu.x[4], 0x1111222233334444);
	assert_int_equal(vcpu.x[6], 0x5556);
	assert_int_equal(soft.csrs.sepc, 0x1111222233334444);
	assert_int_equal(vcpu.x[9], 0x1009);
	assert_int_equal(tested.calls, 1);
}

static void keeps_bit_0_of_sepc_clear(void **state)
{
	(void)state;
	PUT(CSRRW(0, SEPC, 1), CSRRS(2, SEPC, 0), CSRRW(3, SEPC, 5));
	build();
	assert_false(run());
	assert_int_equal(vcpu.x[2], 0x1000);
	assert_int_equal(vcpu.x[3], 0x1000);
	assert_int_equal(soft.csrs.sepc, 0x1004);
}

static void needs_something_privileged(void **state)
{
	(void)state;
	PUT(ADDI(1, 1, 1), ADDI(2, 2, 2), JALR(0, 1), CSRRS(7, SEPC, 0));
	assert_int_equal(build(), 0);
	assert_true(run());
	assert_int_equal(vcpu.pc, PC);
	assert_int_equal(vcpu.x[1], 0x1001);
	/* Nothing at all, and half an instruction. */
	PUT(CSRRS(7, SEPC, 0));
	code_size = 0;
	assert_int_equal(build(), 0);
	code_size = 2;
	assert_int_equal(build(), 0);
	assert_true(run());
}

static void bounds_the_gap(void **state)
{
	(void)state;
	for (unsigned gap = BLOCK_GAP; gap <= BLOCK_GAP + 1; gap++) {
		code_size = 0;
		put(CSRRS(7, SEPC, 0));
		for (unsigned i = 0; i < gap; i++)
			put(C_NOP);
		put(CSRRS(8, SEPC, 0));
		assert_int_equal(build(), gap == BLOCK_GAP ? gap + 2 : 1);
		/* The same where the block begins with plain ones. */
		memmove(code, code + 2, code_size - 4);
		code_size -= 4;
		assert_int_equal(build(), gap == BLOCK_GAP ? gap + 1 : 0);
	}
}

static void bounds_the_block(void **state)
{
	(void)state;
	code_size = 0;
	for (unsigned i = 0; i < BLOCK_UOPS + 5; i++)
		put(CSRRS(7, SEPC, 0));
	assert_int_equal(build(), BLOCK_UOPS);
	assert_false(run());
	assert_int_equal(vcpu.pc, PC + 4UL * BLOCK_UOPS);
}

static void ends_at_the_page(void **state)
{
	(void)state;
	code_size = 0;
	for (unsigned i = 0; i < 3; i++)
		put(CSRRS(7, SEPC, 0));
	for (unsigned cut = 1; cut <= 4; cut++) {
		code_size = 12 - cut;
		assert_int_equal(build(), 2);
		assert_false(run());
		assert_int_equal(vcpu.pc, PC + 8);
	}
	code_size = sizeof(code);
	memset(code, 0, sizeof(code));
	for (unsigned i = 0; i < 2048; i++)
		code[i] = C_NOP;
	/* A branch over all of the page, to its last instruction. */
	code_size = 0;
	put(JAL(0, 4094 - 2));
	code_size = 4092;
	put(CSRRS(7, SEPC, 0));
	assert_int_equal(code_size, 4096);
	assert_int_equal(build(), 2);
	assert_false(run());
	assert_int_equal(vcpu.pc, PC + 4096);
	/* The first byte beyond it is none. */
	code_size = 0;
	put(JAL(0, 4096));
	code_size = 4096;
	assert_int_equal(build(), 0);
}

static void refused_accesses_end_the_run_before_them(void **state)
{
	(void)state;
	PUT(CSRRS(7, SEPC, 0), SD(9, 5, 8), LD(6, 5, 8), LD(10, 5, 9), CSRRS(8, SEPC, 0));
	assert_int_equal(build(), 5);
	vcpu.x[5] = 0x2000;
	vcpu.x[9] = 0x8877665544332211;
	assert_false(run());
	assert_int_equal(vcpu.pc, PC + 12);
	assert_int_equal(vcpu.x[6], 0x8877665544332211);
	assert_int_equal(vcpu.x[10], 0x100a);

	/* Nowhere to store; nothing was executed if that is the first. */
	vcpu.x[5] = 0x2600;
	assert_false(run());
	assert_int_equal(vcpu.pc, PC + 4);
	PUT(SD(9, 5, 0), CSRRS(8, SEPC, 0));
	assert_int_equal(build(), 2);
	assert_true(run());
	assert_int_equal(vcpu.pc, PC);
}

static void does_what_steps_say(void **state)
{
	static const struct {
		enum step step;
		bool first, others;
	} cases[] = {
	    {STEP_MOVED, false, false}, {STEP_STOP, true, true}, {STEP_REFUSE, true, false}};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		PUT(CSRRS(7, SSTATUS, 0), CSRRS(8, SSTATUS, 0), CSRRS(9, SEPC, 0));
		assert_int_equal(build(), 3);
		reference_script[1] = (uint8_t)cases[i].step;
		assert_int_equal(run(), cases[i].others);
		assert_int_equal(vcpu.x[9], 0x1009);
		if (cases[i].step == STEP_REFUSE)
			assert_int_equal(vcpu.pc, PC + 4);
		else
			assert_int_not_equal(vcpu.pc, PC + 8);

		setup(state);
		reference_script[0] = (uint8_t)cases[i].step;
		assert_int_equal(run(), cases[i].first);
		assert_int_equal(vcpu.x[8], 0x1008);
	}
}

static void follows_branches_ahead(void **state)
{
	(void)state;
	/* Over a call, an ecall and a return, none of which is in the way. */
	PUT(BEQ(1, 2, 20), JALR(1, 5), ECALL, SRET, JAL(0, -16), CSRRS(7, SEPC, 0), BEQ(1, 2, 8),
	    CSRRS(8, SEPC, 0), CSRRS(9, SEPC, 0));
	soft.csrs.sepc = 0x77;
	assert_int_equal(build(), 9);
	vcpu.x[2] = vcpu.x[1];
	assert_false(run());
	assert_int_equal(vcpu.pc, PC + 36);
	assert_int_equal(vcpu.x[7], 0x77);
	assert_int_equal(vcpu.x[8], 0x1008);
	assert_int_equal(vcpu.x[9], 0x77);
	/* Not taken, it runs into the call. */
	vcpu.x[2]++;
	assert_false(run());
	assert_int_equal(vcpu.pc, PC + 4);
}

static void leaves_at_other_targets(void **state)
{
	static const int targets[] = {-256, -2, 0, 2, 6, 16, 18, 64, 4094, -4096};

	for (unsigned i = 0; i < ARRAY_SIZE(targets); i++) {
		setup(state);
		PUT(BEQ(0, 0, targets[i]), ADDI(1, 1, 1), CSRRS(7, SEPC, 0));
		assert_int_equal(build(), 3);
		assert_false(run());
		assert_int_equal(vcpu.pc, PC + (uint64_t)(int64_t)targets[i]);
		assert_int_equal(vcpu.x[1], 0x1001);
	}
}

/* Both to what follows the last instruction and to the last itself. */
static void branches_to_the_end(void **state)
{
	(void)state;
	PUT(BEQ(1, 2, 12), ADDI(3, 3, 1), CSRRS(7, SEPC, 0), C_NOP);
	assert_int_equal(build(), 3);
	vcpu.x[2] = vcpu.x[1];
	assert_false(run());
	assert_int_equal(vcpu.pc, PC + 12);
	assert_int_equal(vcpu.x[7], 0x1007);
}

static void follows_jumps_ahead(void **state)
{
	(void)state;
	PUT(JAL(0, 8), ECALL, JAL(5, 8), ECALL, CSRRS(7, SEPC, 0));
	assert_int_equal(build(), 3);
	assert_false(run());
	assert_int_equal(vcpu.pc, PC + 20);
	assert_int_equal(vcpu.x[5], PC + 12);
	assert_int_equal(vcpu.x[7], 0);
}

static void ends_at_sret(void **state)
{
	(void)state;
	PUT(CSRRW(0, SEPC, 1), LD(1, 2, 0), SRET, CSRRS(7, SEPC, 0));
	assert_int_equal(build(), 3);
	vcpu.x[2] = 0;
	reference_script[0] = STEP_MOVED;
	assert_false(run());
	assert_int_equal(tested.calls, 1);
}

/* Random programs. */

static uint64_t seed = 1;

static unsigned pick(unsigned below)
{
	seed = ref_mix(seed, 0x2545f491);
	return (unsigned)(seed >> 33) % below;
}

static uint32_t random_insn(bool branches)
{
	static const uint8_t arithmetic[] = {0x13, 0x17, 0x1b, 0x33, 0x37, 0x3b};
	static const uint16_t numbers[] = {0x104, 0x105, 0x140, 0x141, 0x142, 0x143, 0x180, 0x100};
	static const uint32_t privileged[] = {SRET, 0x10500073, 0x12208073, 0x16b50073, 0x18000073};
	unsigned rd = pick(32), rs1 = pick(32), rs2 = pick(32), f3 = pick(8);

	switch (pick(branches ? 12 : 9)) {
	case 0:
	case 1: /* OP's function codes are 0, 0x20 or 1. */
		return enc_r(arithmetic[pick(6)], f3,
			     pick(3)   ? 0
			     : pick(2) ? 0x20
				       : 1,
			     rd, rs1, rs2);
	case 2:
		return enc_i(0x03, f3, rd, rs1, pick(4096));
	case 3:
		return enc_s(0x23, f3 & 3, rs1, rs2, pick(4096));
	case 4:
	case 5:
		return enc_i(0x73, 1 + pick(2), pick(4) ? rd : 0, pick(2) ? rs1 : 0,
			     numbers[pick(8)]);
	case 6:
		return pick(2) ? enc_i(0x73, f3, rd, rs1, numbers[pick(8)]) : privileged[pick(5)];
	case 7:
		return pick(0x10000) & ~3U;
	case 8:
		return branches ? 1 + pick(0x8000) * 2 : 1 + (pick(0x2800) & ~1U) * 2;
	case 9:
		return enc_b(f3, rs1, pick(2) ? rs1 : rs2, pick(48) & ~1U);
	case 10:
		return enc_j(rd & 1, pick(32) & ~1U);
	default:
		return pick(0x40) ? 0x0001 : (uint32_t)seed;
	}
}

static void random_machine(struct machine *machine)
{
	memset(machine, 0, sizeof(*machine));
	for (unsigned i = 1; i < 32; i++)
		machine->x[i] = pick(4) ? pick(0x600) & ~7U : ref_mix(seed, i) >> pick(64);
	machine->csrs = (struct soft_csrs){.sie = pick(1024),
					   .stvec = ref_mix(seed, 1),
					   .sscratch = ref_mix(seed, 2),
					   .sepc = ref_mix(seed, 3) & ~1UL,
					   .scause = ref_mix(seed, 4),
					   .stval = ref_mix(seed, 5),
					   .satp = ref_mix(seed, 6)};
	for (unsigned i = 0; i < REFERENCE_MEMORY; i++)
		machine->memory[i] = (uint8_t)pick(256);
	machine->pc = PC;
	for (unsigned i = 0; i < REFERENCE_SCRIPT; i++)
		reference_script[i] = (uint8_t)pick(64);
}

static void random_code(bool branches)
{
	unsigned length = 4 + pick(300);

	code_size = 0;
	while (code_size < length)
		put(random_insn(branches));
	code_size -= pick(4);
}

static void runs_random_programs(void **state)
{
	struct machine machine;
	unsigned built = 0;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t began = seed;

		random_code(true);
		random_machine(&machine);

		const char *complaint = compare_run(&machine, (const uint8_t *)code, code_size);

		if (complaint)
			fail_msg("seed 0x%llx: %s", (unsigned long long)began, complaint);
		built += tested.pc != PC;
	}
	/* Not all of them stopped at once. */
	assert_true(built > 50000);
}

/* Without branches the reference alone can tell where the run has to end, or would be refused. */
static uint64_t expected_end(struct machine *machine)
{
	uint64_t end = PC;
	unsigned gap = 0;

	for (unsigned i = 0; i < BLOCK_UOPS && gap <= BLOCK_GAP; i++) {
		const uint16_t *insn = &code[(machine->pc - PC) / 2];
		enum outcome outcome = ref_step(machine, PC, (const uint8_t *)code, code_size);

		if (outcome == PRIVILEGED && (insn[0] | (uint32_t)insn[1] << 16) == SRET)
			return machine->pc;
		if (outcome == UNKNOWN)
			break;
		/* Those before it count only if something privileged follows. */
		if (outcome != PLAIN && outcome != PRIVILEGED)
			return UINT64_MAX;
		gap = outcome == PLAIN ? gap + 1 : 0;
		end = outcome == PLAIN ? end : machine->pc;
	}
	return end;
}

static void reaches_as_far_as_it_should(void **state)
{
	struct machine machine;
	unsigned checked = 0;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t began = seed;

		random_code(false);
		random_machine(&machine);
		memset(reference_script, STEP_NEXT, sizeof(reference_script));
		assert_null(compare_run(&machine, (const uint8_t *)code, code_size));

		uint64_t end = expected_end(&machine);

		if (end == UINT64_MAX)
			continue;
		if (tested.pc != end)
			fail_msg("seed 0x%llx: 0x%llx, not 0x%llx", (unsigned long long)began,
				 (unsigned long long)(tested.pc - PC),
				 (unsigned long long)(end - PC));
		checked += end != PC;
	}
	assert_true(checked > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(runs_a_stretch, setup),
	    cmocka_unit_test_setup(keeps_bit_0_of_sepc_clear, setup),
	    cmocka_unit_test_setup(needs_something_privileged, setup),
	    cmocka_unit_test_setup(bounds_the_gap, setup),
	    cmocka_unit_test_setup(bounds_the_block, setup),
	    cmocka_unit_test_setup(ends_at_the_page, setup),
	    cmocka_unit_test_setup(refused_accesses_end_the_run_before_them, setup),
	    cmocka_unit_test_setup(does_what_steps_say, setup),
	    cmocka_unit_test_setup(follows_branches_ahead, setup),
	    cmocka_unit_test_setup(leaves_at_other_targets, setup),
	    cmocka_unit_test_setup(branches_to_the_end, setup),
	    cmocka_unit_test_setup(follows_jumps_ahead, setup),
	    cmocka_unit_test_setup(ends_at_sret, setup),
	    cmocka_unit_test_setup(runs_random_programs, setup),
	    cmocka_unit_test_setup(reaches_as_far_as_it_should, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
