/* SPDX-License-Identifier: MIT */

#include "engine/soft/fast.h"

#include "engine/soft/soft.h"
#include "engine/soft/uop.h"
#include "kernel/error.h"
#include "kernel/page.h"
#include "riscv/csr.h"
#include "riscv/insn.h"

#include <string.h>

/*
 * The handlers: fast_ops.S, fast_status.S, fast_registers.S. Those that are named _last do, as a
 * rule, what soft_fast_end does, too, which has to follow them.
 */
extern const char soft_fast_end[], soft_fast_immediate[], soft_fast_exchange[], soft_fast_even[];
extern const char soft_fast_get_value[];
extern const char soft_fast_sie_set[], soft_fast_sie_clear[];
extern const char soft_fast_sie_set_last[], soft_fast_sie_clear_last[];
extern const char soft_fast_status_keep[], soft_fast_status_kept[];
extern const char soft_fast_status_set[], soft_fast_status_set_last[];
extern const char soft_fast_status_clear[], soft_fast_status_clear_last[];
extern const char soft_fast_status_clear_read[], soft_fast_status_write[];
extern const char soft_fast_sret[], soft_fast_fence[];
extern const char soft_fast_read[], soft_fast_write[], soft_fast_swap_sscratch[];
extern const char soft_fast_get_sscratch[], soft_fast_get_sepc[];
extern const char soft_fast_get_scause[], soft_fast_get_stval[];
extern const char soft_fast_put_sscratch[], soft_fast_put_sepc[];
extern const char soft_fast_put_scause[], soft_fast_put_stval[];
extern const char soft_fast_get_status[], soft_fast_save_sie[], soft_fast_restore_sie[];
extern const char soft_fast_clear_bits[];

/* Those for each register, so many bytes apart; and the same that are the last one, behind these.
 */
struct register_ops {
	const char *first;
	unsigned stride, last_stride;
};

static const struct register_ops read_ops = {soft_fast_read, 16, 16};
static const struct register_ops write_ops = {soft_fast_write, 16, 16};
static const struct register_ops swap_ops = {soft_fast_swap_sscratch, 24, 56};
static const struct register_ops get_status_ops = {soft_fast_get_status, 32, 64};
static const struct register_ops save_sie_ops = {soft_fast_save_sie, 40, 72};
static const struct register_ops restore_sie_ops = {soft_fast_restore_sie, 56, 88};
static const struct register_ops clear_bits_ops = {soft_fast_clear_bits, 8, 8};

/* From sscratch on, in the order of struct soft_csrs. */
static const struct register_ops get_ops[] = {
    {soft_fast_get_sscratch, 16, 48},
    {soft_fast_get_sepc, 16, 16},
    {soft_fast_get_scause, 16, 16},
    {soft_fast_get_stval, 16, 16},
};
static const struct register_ops put_ops[] = {
    {soft_fast_put_sscratch, 16, 48},
    {soft_fast_put_sepc, 24, 56},
    {soft_fast_put_scause, 16, 16},
    {soft_fast_put_stval, 16, 16},
};

/* Of a CSR instruction. */
#define FUNCT3(bits) ((bits) >> 12 & 7)
#define RD(bits)     ((bits) >> 7 & 31)
#define RS1(bits)    ((bits) >> 15 & 31)
#define CSR(bits)    ((bits) >> 20)
#define OP_WRITE     1
#define OP_SET       2
#define OP_CLEAR     3
#define OP_IMMEDIATE 4

/* In a site's pc: there is nothing that could be done there. No instruction lies at an odd address.
 */
#define NOTHING UINT64_C(1)

/* Ops that one instruction needs at most, and the end. */
#define OPS_MOST 5
#define OPS_END  2

struct builder {
	struct soft_fast_op *next;
	uint16_t offset;  /* of the instruction at hand */
	const char *last; /* for the op before `next`, if it is the last; or NULL */
};

static int32_t low_address(const char *handler)
{
	return (int32_t)(uintptr_t)handler;
}

static void emit_finishing(struct builder *builder, const char *handler, const char *last, int csr)
{
	*builder->next++ = (struct soft_fast_op){
	    .handler = low_address(handler),
	    .csr = (int16_t)csr,
	    .offset = builder->offset,
	};
	builder->last = last;
}

static void emit(struct builder *builder, const char *handler, int csr)
{
	emit_finishing(builder, handler, NULL, csr);
}

/* The guest goes on at `pc`: kept in place of an op, so that it is loaded at once. */
static void emit_end(struct builder *builder, uint64_t pc)
{
	_Static_assert(sizeof(pc) == sizeof(*builder->next), "it takes the place of an op");
	if (builder->last)
		builder->next[-1].handler = low_address(builder->last);
	emit(builder, soft_fast_end, 0);
	memcpy(builder->next++, &pc, sizeof(pc));
}

static void emit_register(struct builder *builder, const struct register_ops *ops, unsigned n)
{
	const char *handler = ops->first + (size_t)n * ops->stride;

	emit_finishing(builder, handler,
		       ops->first + (size_t)32 * ops->stride + (size_t)n * ops->last_stride, 0);
}

/* What kernels do most: each by one op. */
static bool build_status_simple(struct builder *builder, uint32_t bits)
{
	unsigned funct3 = FUNCT3(bits);
	bool sie = RS1(bits) == SSTATUS_SIE && funct3 & OP_IMMEDIATE;

	if ((funct3 & 3) != OP_WRITE && RS1(bits) == 0) {
		emit_register(builder, &get_status_ops, RD(bits));
	} else if (funct3 == OP_SET && !RD(bits)) {
		emit_register(builder, &restore_sie_ops, RS1(bits));
	} else if (funct3 == OP_CLEAR && !RD(bits)) {
		emit_register(builder, &clear_bits_ops, RS1(bits));
	} else if (sie && (funct3 & 3) == OP_CLEAR && RD(bits)) {
		emit_register(builder, &save_sie_ops, RD(bits));
	} else if (sie && (funct3 & 3) == OP_CLEAR) {
		emit_finishing(builder, soft_fast_sie_clear, soft_fast_sie_clear_last, 0);
	} else if (sie && (funct3 & 3) == OP_SET && !RD(bits)) {
		emit_finishing(builder, soft_fast_sie_set, soft_fast_sie_set_last, 0);
	} else {
		return false;
	}
	return true;
}

/* What is to be done with the value that was read from a register, or is the immediate. */
static void build_status_change(struct builder *builder, unsigned operation, bool reads)
{
	if (operation == OP_WRITE)
		emit(builder, soft_fast_status_write, 0);
	else if (operation == OP_SET)
		emit(builder, soft_fast_status_set, 0);
	else
		emit(builder, reads ? soft_fast_status_clear_read : soft_fast_status_clear, 0);
}

static void build_status(struct builder *builder, uint32_t bits)
{
	unsigned funct3 = FUNCT3(bits), operation = funct3 & 3;
	/* soft_fast_status_clear_read does it by itself. */
	bool keeps = RD(bits) && operation != OP_CLEAR;

	if (build_status_simple(builder, bits))
		return;
	if (keeps)
		emit(builder, soft_fast_status_keep, 0);
	if (funct3 & OP_IMMEDIATE)
		emit(builder, soft_fast_immediate, (int)RS1(bits));
	else
		emit_register(builder, &read_ops, RS1(bits));
	build_status_change(builder, operation, RD(bits) != 0);
	if (keeps)
		emit(builder, soft_fast_status_kept, 0);
	if (RD(bits))
		emit_register(builder, &write_ops, RD(bits));
}

static int csr_offset(const struct uop *uop)
{
	return (int)offsetof(struct soft_block, soft.csrs) + uop->imm -
	       (int)offsetof(struct soft_block, vcpu);
}

/* Which of get_ops and put_ops the CSR has. */
static bool has_ops(const struct uop *uop, unsigned *index)
{
	int first = (int)offsetof(struct soft_csrs, sscratch);

	*index = (unsigned)(uop->imm - first) / sizeof(uint64_t);
	return uop->imm >= first && *index < sizeof(get_ops) / sizeof(get_ops[0]);
}

static void build_get(struct builder *builder, const struct uop *uop)
{
	unsigned index;

	if (has_ops(uop, &index)) {
		emit_register(builder, &get_ops[index], uop->rd);
		return;
	}
	emit(builder, soft_fast_get_value, csr_offset(uop));
	emit_register(builder, &write_ops, uop->rd);
}

static bool build_put(struct builder *builder, const struct uop *uop)
{
	unsigned index;

	if (!has_ops(uop, &index))
		return false;
	emit_register(builder, &put_ops[index], uop->rs1);
	return true;
}

static void build_exchange(struct builder *builder, const struct uop *uop)
{
	if (uop->imm == (int32_t)offsetof(struct soft_csrs, sscratch) && uop->rd == uop->rs1) {
		emit_register(builder, &swap_ops, uop->rd);
		return;
	}
	emit_register(builder, &read_ops, uop->rs1);
	if (uop->rs2)
		emit(builder, soft_fast_even, 0);
	emit(builder, soft_fast_exchange, csr_offset(uop));
	emit_register(builder, &write_ops, uop->rd);
}

/* One instruction. false: it is not one that there are ops for. *last: nothing follows it. */
static bool build(struct builder *builder, const struct uop *uop, bool *last)
{
	*last = false;
	switch (uop->kind) {
	case UOP_CSR_GET:
		build_get(builder, uop);
		return true;
	case UOP_CSR_PUT:
		return build_put(builder, uop);
	case UOP_CSR_EXCHANGE:
		build_exchange(builder, uop);
		return true;
	case UOP_SRET:
		emit(builder, soft_fast_sret, 0);
		*last = true;
		return true;
	case UOP_SFENCE_VMA:
		if (!uop->rs1 || uop->rs2)
			return false;
		emit_register(builder, &read_ops, uop->rs1);
		emit(builder, soft_fast_fence, 0);
		/* One of them may take long. */
		*last = true;
		return true;
	case UOP_CSR:
		if (CSR((uint32_t)uop->imm) != CSR_SSTATUS)
			return false;
		build_status(builder, (uint32_t)uop->imm);
		return true;
	default:
		return false;
	}
}

/*
 * Where a site is follows from its pc, and from a pair of places that is another one in each
 * generation: the index of the one is flipped by the other's. So what was made in another
 * generation is not where it would be looked for. When a generation gets a pair, this is emptied:
 * by the time that the same pair comes again all others have had their turn, too, and nothing is
 * left of the generation that had it before.
 */
#define SITE_SIZE sizeof(struct soft_fast_site)

static struct soft_fast_site *first_site(const struct vcpu *vcpu, uint64_t pc)
{
	uint64_t index = pc >> 1 & (SOFT_FAST_SITES - 1);

	return (struct soft_fast_site *)(vcpu->soft->site_places ^ index * SITE_SIZE);
}

/* The other place of its pair. */
static struct soft_fast_site *other_site(struct soft_fast_site *site)
{
	return (struct soft_fast_site *)((uint64_t)site ^ SITE_SIZE);
}

static bool is_for(const struct soft_fast_site *site, uint64_t pc)
{
	return (site->pc & ~NOTHING) == pc;
}

bool fast_is_wanted(const struct vcpu *vcpu, uint64_t pc)
{
	const struct soft_vcpu *soft = vcpu->soft;
	struct soft_fast_site *first = first_site(vcpu, pc);

	/* Another generation that has begun with this trap gets its pair only when it has ended. */
	return soft->site_generation == soft->shadow.code_generation && !is_for(first, pc) &&
	       !is_for(other_site(first), pc);
}

/* Whether nothing that is true is known in a place. */
static bool is_free(const struct vcpu *vcpu, struct soft_fast_site *site)
{
	struct soft_fast_site *place = first_site(vcpu, site->pc);

	return site->pc & NOTHING || (site != place && site != other_site(place));
}

/* Where a site for pc is to be. */
static struct soft_fast_site *choose_site(const struct vcpu *vcpu, uint64_t pc)
{
	struct soft_fast_site *first = first_site(vcpu, pc), *second = other_site(first);

	if (is_free(vcpu, first))
		return first;
	return is_free(vcpu, second) || !(pc & 2) ? second : first;
}

/* pilae,fast-csr: better left for the guest, which then has it as an access to memory. */
static bool is_for_guest(const struct vcpu *vcpu, const struct uop *uop)
{
	return vcpu->guest->fast_csr && uop_has_access(uop);
}

void fast_build(struct vcpu *vcpu, uint64_t pc, const uint8_t *code, unsigned size)
{
	struct soft_fast_site *site = choose_site(vcpu, pc);
	struct soft_fast_op ops[SOFT_FAST_OPS + OPS_MOST];
	struct builder builder = {.next = ops};
	const char *finish = NULL;
	unsigned count = 0;
	bool last = false;
	struct uop uop;

	/* All that there are ops for have 4 bytes. Room is left for the end. */
	while (!last && builder.offset + 4U <= size) {
		uop_decode(insn_fetch(code + builder.offset, 4), &uop);
		if (is_for_guest(vcpu, &uop) || !build(&builder, &uop, &last) ||
		    builder.next - ops > SOFT_FAST_OPS - OPS_END)
			break;
		count = (unsigned)(builder.next - ops);
		finish = builder.last;
		builder.offset = (uint16_t)(builder.offset + 4);
	}
	builder.next = ops + count;
	builder.last = finish;
	emit_end(&builder, pc + builder.offset);
	memcpy(site->ops, ops, (size_t)(builder.next - ops) * sizeof(*ops));
	site->pc = count ? pc : pc | NOTHING;
}

int fast_init(struct vcpu *vcpu)
{
	unsigned order = page_order(SOFT_FAST_SITES * sizeof(struct soft_fast_site));

	vcpu->soft->sites = arena_alloc_pages(vcpu->guest->arena, order, ARENA_TABLES);
	if (!vcpu->soft->sites)
		return ERR_NOMEM;
	fast_clear(vcpu);
	return 0;
}

void fast_clear(struct vcpu *vcpu)
{
	for (unsigned i = 0; i < SOFT_FAST_SITES; i++)
		vcpu->soft->sites[i].pc = SOFT_SITE_NONE;
	vcpu->soft->site_places = (uint64_t)vcpu->soft->sites;
	vcpu->soft->site_generation = vcpu->soft->shadow.code_generation;
}
