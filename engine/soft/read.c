/* SPDX-License-Identifier: MIT */

#include "engine/soft/read.h"

#include "engine/soft/code.h"
#include "engine/soft/soft.h"
#include "engine/soft/uop.h"
#include "kernel/mmu.h"
#include "riscv/insn.h"

/*
 * Debt is counted in loads that are performed alone, 1,000 instructions each. A trap that a copy
 * has made short would have been one or more of illegal instructions, of 1,100 to 1,500 each.
 */
#define SPARED     2
#define MAP_OTHER  4  /* two faults; what is known of code is forgotten */
#define MAP_OWN    8  /* a fault and an illegal instruction; this page's is to be found out anew */
#define DEBT_LIMIT 64 /* then the copy does not pay */

/*
 * So often the original is mapped although it seems too dear: that the copy has not been executed
 * since is not seen else, as traps do not tell of which page they are.
 */
#define TRIAL 64

enum read_way read_choose(struct reads *reads, const struct read_terms *terms)
{
	uint16_t map = terms->is_own ? MAP_OWN : MAP_OTHER;
	uint64_t spared = min_u64(terms->executed, DEBT_LIMIT) * SPARED;

	reads->debt -= (uint16_t)min_u64(spared, reads->debt);
	if (reads->debt >= DEBT_LIMIT)
		return READ_TOO_OFTEN;
	/* Who has read for as much as mapping takes is likely to go on. */
	if (terms->is_simple && reads->debt < map && ++reads->count % TRIAL) {
		reads->debt++;
		return READ_ALONE;
	}
	reads->debt += map;
	return READ_MAPPED;
}

/* Traps of privileged instructions since this was asked for the last time. */
static uint64_t count_executed(struct vcpu *vcpu)
{
	const struct vcpu_statistics *statistics = &vcpu->statistics;
	uint64_t last = vcpu->soft->executed;

	vcpu->soft->executed = statistics->exits[EXITS_PRIVILEGED].count +
			       statistics_quick(statistics, EXITS_PRIVILEGED);
	return vcpu->soft->executed - last;
}

/* Of a load, whose kinds are in the order of funct3. */
static unsigned size_of(const struct uop *load)
{
	return 1U << ((load->kind - UOP_LB) & 3);
}

/*
 * Whether a load from `va` into an integer register is at pc, aligned to its size, so that nothing
 * of it is in another page. The guest may have put something else there: that is executed, then.
 */
static bool decode(struct vcpu *vcpu, gva_t va, struct uop *load)
{
	uint32_t bits = soft_read_instruction(vcpu);

	if (!bits && soft_fetch(vcpu, &bits) != 0)
		bits = 0; /* no instruction at all */
	uop_decode(bits, load);
	return load->kind >= UOP_LB && load->kind <= UOP_LWU &&
	       vcpu->x[load->rs1] + (uint64_t)(int64_t)load->imm == va.v &&
	       is_aligned(va.v, size_of(load));
}

static uint64_t load_from(const void *memory, unsigned size)
{
	switch (size) {
	case 1:
		return __atomic_load_n((const uint8_t *)memory, __ATOMIC_RELAXED);
	case 2:
		return __atomic_load_n((const uint16_t *)memory, __ATOMIC_RELAXED);
	case 4:
		return __atomic_load_n((const uint32_t *)memory, __ATOMIC_RELAXED);
	default:
		return __atomic_load_n((const uint64_t *)memory, __ATOMIC_RELAXED);
	}
}

static void perform(struct vcpu *vcpu, const struct uop *load, const void *memory)
{
	const struct insn insn = {.size = (uint8_t)size_of(load),
				  .is_signed = load->kind <= UOP_LD};

	vcpu->x[load->rd] = insn_extend(&insn, load_from(memory, insn.size));
	vcpu->pc += load->length;
}

enum read_way soft_read_code(struct vcpu *vcpu, gva_t va, gpa_t gpa, hpa_t hpa)
{
	struct uop load;
	struct read_terms terms = {
	    .executed = count_executed(vcpu),
	    .is_own = read_is_own(vcpu, va),
	    .is_simple = decode(vcpu, va, &load),
	};
	enum read_way way = code_note_read(vcpu->guest, gpa, &terms);

	/* Who wants to write to a page that has a copy waits for this vCPU to forget it. */
	if (way == READ_ALONE)
		perform(vcpu, &load, hpa_to_pointer(hpa));
	return way;
}
