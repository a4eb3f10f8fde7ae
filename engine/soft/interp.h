/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_INTERP_H
#define ENGINE_SOFT_INTERP_H

/*
 * Runs of privileged instructions with the plain ones between them, decoded once and executed
 * together, so that they cost one trap. The interpreter stops before whatever it cannot do or
 * what might fault: the hart then executes that instruction itself, and faults are exact.
 */

#include "engine/soft/uop.h"
#include "engine/vcpu.h"

#define BLOCK_UOPS 24
#define BLOCK_GAP  8 /* plain instructions between two privileged ones, at most */

struct block {
	uint64_t pc;         /* where it begins */
	uint64_t generation; /* block.c's: whether it is still true */
	uint16_t count;      /* of uops; 0: nothing to interpret here */
	/*
	 * As interp_run() wants them, with one more that ends the run. The fields of those that
	 * privileged_execute() gets are as uop_decode() made them.
	 */
	struct uop uops[BLOCK_UOPS + 1];
};

/*
 * Decodes what follows `pc`; `code` points at the `size` bytes of it that lie in the same page (as
 * the guest wrote them; 2-byte aligned, at most PAGE_SIZE). The block ends with its last privileged
 * instruction within reach: after that, or where none is within BLOCK_GAP, nothing is gained. (With
 * a branch to its beginning, if that comes within BLOCK_GAP: a loop.)
 * Instructions that always jump (JAL, JALR, SRET) and those that are not interpreted end it, too,
 * unless a branch before them leads beyond them. A JAL whose target lies ahead within the page is
 * followed in line. block->generation is left alone.
 */
void block_build(struct block *block, uint64_t pc, const uint8_t *code, unsigned size);

/* What privileged_execute() answers. */
enum step {
	STEP_NEXT,   /* done: go on behind the instruction */
	STEP_MOVED,  /* done, and vcpu->pc is set (SRET, a trap) */
	STEP_STOP,   /* done, vcpu->pc is set; the interpreter is to stop */
	STEP_REFUSE, /* not done: stop before it */
};

/*
 * Executes the privileged uops other than UOP_CSR_GET, PUT and EXCHANGE, which interp_run does
 * itself, as the guest's S-mode; vcpu->pc is at the instruction. engine/soft/emulate.c.
 */
enum step privileged_execute(struct vcpu *vcpu, const struct uop *uop);

/*
 * Executes the block, from its first uop, with vcpu->x and vcpu->pc. Afterwards vcpu->pc is
 * where the guest goes on. A taken branch whose target is a uop further ahead in the block goes
 * on there; any other taken branch ends the run at its target. Loads and stores are done by
 * guest_load() and guest_store() (engine/soft/access.h); one that they refuse ends the run before
 * it. Returns true if the run ended in STEP_STOP, or before anything was executed. It takes at most
 * BLOCK_UOPS steps.
 * The guest is in S-mode when it begins. After STEP_MOVED the run ends.
 */
bool interp_run(struct vcpu *vcpu, const struct block *block);

#endif
