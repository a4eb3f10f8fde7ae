/* SPDX-License-Identifier: MIT */

/* The guest's memory, read as its own instructions read it. */

#include "engine/soft/code.h"
#include "engine/soft/soft.h"
#include "engine/soft/walk.h"
#include "kernel/error.h"
#include "kernel/mmu.h"
#include "riscv/insn.h"

bool soft_find_memory(struct vcpu *vcpu, gpa_t gpa, hpa_t *hpa)
{
	const struct gspace *space = &vcpu->guest->space;
	unsigned level;

	return gspace_lookup_cached(space, &vcpu->soft->backing, gpa, hpa, &level) == 0 ||
	       gspace_find_rom(space, gpa, hpa) == 0;
}

/* Where the guest's memory at `va` lies, for reading as `kind`. */
static enum walk_result find(struct vcpu *vcpu, gva_t va, enum access_kind kind, struct walk *walk,
			     const void **memory)
{
	struct walk_context context = soft_walk_context(vcpu);
	enum walk_result result = walk_address(&context, va, kind, true, walk);
	hpa_t hpa;

	if (result != WALK_DONE)
		return result;
	if (!soft_find_memory(vcpu, walk->gpa, &hpa))
		return WALK_MISSING;
	*memory = hpa_to_pointer(hpa);
	return WALK_DONE;
}

int soft_fetch(struct vcpu *vcpu, uint32_t *bits)
{
	const uint64_t left = PAGE_SIZE - (vcpu->pc & (PAGE_SIZE - 1));
	const void *code, *rest;
	struct walk walk;

	if (find(vcpu, GVA(vcpu->pc), ACCESS_FETCH, &walk, &code) != WALK_DONE)
		return ERR_AGAIN;
	*bits = insn_fetch(code, left);
	if ((*bits & 3) != 3 || left >= 4)
		return 0;
	if (find(vcpu, GVA(vcpu->pc + 2), ACCESS_FETCH, &walk, &rest) != WALK_DONE)
		return ERR_AGAIN;
	*bits |= (uint32_t)__atomic_load_n((const uint16_t *)rest, __ATOMIC_RELAXED) << 16;
	return 0;
}

/* wrs.nto and wrs.sto differ in one bit. */
#define INSN_WRS      0x00d00073
#define INSN_WRS_MASK (~UINT32_C(0x01000000))

/* How far from it a loop may be interrupted that looks at a word, waits, and looks again. */
#define WRS_NEAR 12

/* It does not trap in U-mode. A loop that has it at the end of a page may be overlooked. */
bool soft_waits_at_wrs(struct vcpu *vcpu)
{
	const uint64_t at = vcpu->pc & (PAGE_SIZE - 1);
	const uint64_t last = min_u64(at + WRS_NEAR, PAGE_SIZE - 4);
	const void *code;
	struct walk walk;

	if (vcpu->soft->privilege != SOFT_S ||
	    find(vcpu, GVA(vcpu->pc), ACCESS_FETCH, &walk, &code) != WALK_DONE)
		return false;
	for (uint64_t i = at - min_u64(at, WRS_NEAR); i <= last; i += 2) {
		const char *here = (const char *)code - at + i;

		if ((insn_fetch(here, PAGE_SIZE - i) & INSN_WRS_MASK) == INSN_WRS)
			return true;
	}
	return false;
}

/* A byte at a time: it may be misaligned, and in two pages. */
int soft_read_word(struct vcpu *vcpu, gva_t address, uint64_t *word, struct exit_access *fault)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < sizeof(value); i++) {
		gva_t va = GVA(address.v + i);
		const void *memory;
		struct walk walk;

		switch (find(vcpu, va, ACCESS_LOAD, &walk, &memory)) {
		case WALK_DONE:
			value |= (uint64_t)*(const volatile uint8_t *)memory << 8 * i;
			break;
		case WALK_PAGE_FAULT:
			soft_inject(vcpu, EXC_LOAD_PAGE, va.v);
			return ERR_AGAIN;
		case WALK_MISSING:
			*fault =
			    (struct exit_access){.kind = ACCESS_LOAD, .gpa = walk.gpa, .gva = va};
			return ERR_FAULT;
		case WALK_READ_ONLY:
			soft_inject(vcpu, EXC_LOAD_ACCESS, va.v);
			return ERR_AGAIN;
		case WALK_PROTECTED:
			code_drop(vcpu->guest, walk.gpa, vcpu, CODE_WRITTEN);
			return ERR_AGAIN;
		}
	}
	*word = value;
	return 0;
}
