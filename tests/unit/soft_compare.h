/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SOFT_COMPARE_H
#define TESTS_UNIT_SOFT_COMPARE_H

/* Runs the same code by engine/soft/interp.c and by the reference, and tells how they differ. */

#include "tests/unit/soft_reference.h"

/* What the interpreter under test works on, and who gets its privileged instructions. */
static struct machine tested;
static const char *tested_complaint;

bool guest_load(struct vcpu *vcpu, uint64_t address, unsigned size, uint64_t *value)
{
	const uint8_t *from = ref_access(&tested, address, size, false);

	(void)vcpu;
	*value = ~UINT64_C(0);
	if (!from)
		return false;
	*value = 0;
	memcpy(value, from, size);
	return true;
}

bool guest_store(struct vcpu *vcpu, uint64_t address, unsigned size, uint64_t value)
{
	uint8_t *to = ref_access(&tested, address, size, true);

	(void)vcpu;
	if (!to)
		return false;
	memcpy(to, &value, size);
	return true;
}

enum step privileged_execute(struct vcpu *vcpu, const struct uop *uop)
{
	uint64_t result = 0;
	bool csr = uop->kind == UOP_CSR;

	if (!uop_is_privileged(uop) || uop->rd > 31 || uop->rs1 > 31 || uop->rs2 > 31)
		tested_complaint = "privileged_execute() got something else";

	enum step step = ref_privileged(&tested, (uint32_t)uop->imm, vcpu->x[uop->rs1],
					vcpu->x[uop->rs2], &result, &vcpu->pc);

	if (step != STEP_REFUSE && csr && uop->rd != 0)
		vcpu->x[uop->rd] = result;
	return step;
}

static bool same_machine(const struct machine *a, const struct machine *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* The uop of the block that is at `offset`, or NULL. */
static const struct uop *uop_at(const struct block *block, uint64_t offset)
{
	for (unsigned i = 0; i < block->count; i++)
		if (block->uops[i].offset == offset)
			return &block->uops[i];
	return NULL;
}

static const char *check_block(const struct block *block, uint64_t pc, unsigned size)
{
	if (block->pc != pc || block->count > BLOCK_UOPS)
		return "block: pc or count";
	if (block->count == 0)
		return NULL;
	for (unsigned i = 0; i + 1 < block->count; i++)
		if (block->uops[i].offset + block->uops[i].length > block->uops[i + 1].offset)
			return "block: offsets";

	const struct uop *last = &block->uops[block->count - 1];

	/* A branch closes a loop: it leads to the block's beginning. */
	bool closes =
	    last->kind >= UOP_BEQ && last->kind <= UOP_BGEU && last->offset + last->imm == 0;

	if ((!uop_is_privileged(last) && !closes) || last->offset + last->length > size)
		return "block: its end";
	return NULL;
}

/* Whether the interpreter had a reason to stop in this state, which it did not jump back to. */
static bool may_stop(const struct block *block, const struct machine *machine, const uint8_t *code,
		     unsigned size)
{
	struct machine next = *machine;
	const struct uop *uop = uop_at(block, machine->pc - block->pc);

	/* Jumps that are not followed are among what is left to the hart. */
	if (!uop || uop->kind == UOP_NONE)
		return true;
	return ref_step(&next, block->pc, code, size) >= REFUSED;
}

/*
 * Runs `code`, which is at start->pc, once with each. NULL: as it should be. What the
 * interpreter did must be some first steps of what the reference does, and it must have stopped
 * for a reason.
 */
static const char *compare_run(const struct machine *start, const uint8_t *code, unsigned size)
{
	static struct vcpu vcpu;
	static struct soft_vcpu soft;
	struct block block;
	struct machine machine = *start, from = *start;
	enum outcome outcome = PLAIN;

	memset(&block, 0xa5, sizeof(block));
	block_build(&block, start->pc, code, size);

	const char *complaint = check_block(&block, start->pc, size);

	if (complaint)
		return complaint;
	tested = *start;
	tested_complaint = NULL;
	vcpu.soft = &soft;
	memcpy(vcpu.x, start->x, sizeof(vcpu.x));
	vcpu.pc = ~start->pc;
	soft.csrs = start->csrs;

	bool stopped = interp_run(&vcpu, &block);

	if (tested_complaint)
		return tested_complaint;
	memcpy(tested.x, vcpu.x, sizeof(vcpu.x));
	tested.pc = vcpu.pc;
	tested.csrs = soft.csrs;
	for (unsigned steps = 0; steps <= BLOCK_UOPS; steps++) {
		/* The code may lie across the end of the address space. */
		bool back = steps > 0 && machine.pc - start->pc <= from.pc - start->pc;

		if (same_machine(&machine, &tested) &&
		    stopped == (steps == 0 || outcome == STOPPED) &&
		    (back || outcome >= MOVED || may_stop(&block, &machine, code, size)))
			return NULL;
		if (outcome >= MOVED)
			break;
		from = machine;
		outcome = ref_step(&machine, start->pc, code, size);
		if (outcome >= REFUSED)
			break;
	}
	return stopped ? "another end (true)" : "another end (false)";
}

#endif
