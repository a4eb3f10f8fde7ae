/* SPDX-License-Identifier: MIT */

#include "engine/soft/fast.h"

#include "engine/soft/soft.h"
#include "engine/soft/uop.h"
#include "kernel/error.h"
#include "kernel/page.h"
#include "riscv/csr.h"
#include "riscv/insn.h"

#include <string.h>

/* The handlers of fast_ops.S; those for each register lie 32 bytes apart. */
#define HANDLER_BYTES 32
extern const char soft_fast_get[], soft_fast_put[], soft_fast_read[], soft_fast_write[];
extern const char soft_fast_end[], soft_fast_immediate[], soft_fast_exchange[], soft_fast_even[];
extern const char soft_fast_put_value[];
extern const char soft_fast_sie_set[], soft_fast_sie_clear[], soft_fast_sie_clear_read[];
extern const char soft_fast_status_read[], soft_fast_status_set[], soft_fast_status_clear[];
extern const char soft_fast_status_write[], soft_fast_sret[], soft_fast_fence[];

/* Of a CSR instruction. */
#define FUNCT3(bits) ((bits) >> 12 & 7)
#define RD(bits)     ((bits) >> 7 & 31)
#define RS1(bits)    ((bits) >> 15 & 31)
#define CSR(bits)    ((bits) >> 20)
#define OP_WRITE     1
#define OP_SET       2
#define OP_CLEAR     3
#define OP_IMMEDIATE 4

/* In a site's pc: nothing is known there. No instruction lies at an odd address. */
#define SITE_NONE UINT64_C(1)

/* Ops that one instruction needs at most, and the end. */
#define OPS_MOST 4
#define OPS_END  2

struct builder {
	struct soft_fast_op *next;
	uint16_t offset; /* of the instruction at hand */
};

static void emit(struct builder *builder, const char *handler, int csr)
{
	*builder->next++ = (struct soft_fast_op){
	    .handler = (int32_t)(uintptr_t)handler,
	    .csr = (int16_t)csr,
	    .offset = builder->offset,
	};
}

/* The guest goes on at `pc`: kept in place of an op, so that it is loaded at once. */
static void emit_end(struct builder *builder, uint64_t pc)
{
	_Static_assert(sizeof(pc) == sizeof(*builder->next), "it takes the place of an op");
	emit(builder, soft_fast_end, 0);
	memcpy(builder->next++, &pc, sizeof(pc));
}

static void emit_register(struct builder *builder, const char *handlers, unsigned n, int csr)
{
	emit(builder, handlers + (size_t)n * HANDLER_BYTES, csr);
}

/* csrr sstatus, or csrrci with SIE alone: what kernels do most. */
static bool build_status_simple(struct builder *builder, uint32_t bits)
{
	unsigned funct3 = FUNCT3(bits);
	bool sie = RS1(bits) == SSTATUS_SIE && funct3 & OP_IMMEDIATE;

	if ((funct3 & 3) != OP_WRITE && RS1(bits) == 0) {
		emit(builder, soft_fast_status_read, 0);
		emit_register(builder, soft_fast_write, RD(bits), 0);
	} else if (sie && (funct3 & 3) == OP_CLEAR && RD(bits)) {
		emit(builder, soft_fast_sie_clear_read, 0);
		emit_register(builder, soft_fast_write, RD(bits), 0);
	} else if (sie && (funct3 & 3) == OP_CLEAR) {
		emit(builder, soft_fast_sie_clear, 0);
	} else if (sie && (funct3 & 3) == OP_SET && !RD(bits)) {
		emit(builder, soft_fast_sie_set, 0);
	} else {
		return false;
	}
	return true;
}

static void build_status(struct builder *builder, uint32_t bits)
{
	static const char *const writes[] = {
	    [OP_WRITE] = soft_fast_status_write,
	    [OP_SET] = soft_fast_status_set,
	    [OP_CLEAR] = soft_fast_status_clear,
	};
	unsigned funct3 = FUNCT3(bits);

	if (build_status_simple(builder, bits))
		return;
	if (RD(bits))
		emit(builder, soft_fast_status_read, 0);
	if (funct3 & OP_IMMEDIATE)
		emit(builder, soft_fast_immediate, (int)RS1(bits));
	else
		emit_register(builder, soft_fast_read, RS1(bits), 0);
	emit(builder, writes[funct3 & 3], 0);
	if (RD(bits))
		emit_register(builder, soft_fast_write, RD(bits), 0);
}

static int csr_offset(const struct uop *uop)
{
	return (int)offsetof(struct soft_vcpu, csrs) + uop->imm - (int)SOFT_BASE;
}

static void build_put(struct builder *builder, const struct uop *uop)
{
	if (!uop->rs2) {
		emit_register(builder, soft_fast_put, uop->rs1, csr_offset(uop));
		return;
	}
	emit_register(builder, soft_fast_read, uop->rs1, 0);
	emit(builder, soft_fast_even, 0);
	emit(builder, soft_fast_put_value, csr_offset(uop));
}

static void build_exchange(struct builder *builder, const struct uop *uop)
{
	emit_register(builder, soft_fast_read, uop->rs1, 0);
	if (uop->rs2)
		emit(builder, soft_fast_even, 0);
	emit(builder, soft_fast_exchange, csr_offset(uop));
	emit_register(builder, soft_fast_write, uop->rd, 0);
}

/* One instruction. false: it is not one that fast_ops.S knows. *last: nothing follows it. */
static bool build(struct builder *builder, const struct uop *uop, bool *last)
{
	*last = false;
	switch (uop->kind) {
	case UOP_CSR_GET:
		emit_register(builder, soft_fast_get, uop->rd, csr_offset(uop));
		return true;
	case UOP_CSR_PUT:
		build_put(builder, uop);
		return true;
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
		emit_register(builder, soft_fast_read, uop->rs1, 0);
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

static struct soft_fast_site *first_site(const struct vcpu *vcpu, uint64_t pc)
{
	return &vcpu->soft->sites[pc >> 1 & (SOFT_FAST_SITES - 1)];
}

/* The other entry of its pair. */
static struct soft_fast_site *second_site(const struct vcpu *vcpu, uint64_t pc)
{
	struct soft_fast_site *sites = vcpu->soft->sites;

	return &sites[(first_site(vcpu, pc) - sites) ^ 1];
}

static bool is_current(const struct vcpu *vcpu, const struct soft_fast_site *site)
{
	return site->generation == vcpu->soft->shadow.code_generation;
}

static bool is_for(const struct vcpu *vcpu, const struct soft_fast_site *site, uint64_t pc)
{
	return (site->pc & ~SITE_NONE) == pc && is_current(vcpu, site);
}

bool fast_is_known(const struct vcpu *vcpu, uint64_t pc)
{
	return is_for(vcpu, first_site(vcpu, pc), pc) || is_for(vcpu, second_site(vcpu, pc), pc);
}

/* Where a site for pc is to be: in place of one that is good for nothing, if there is one. */
static struct soft_fast_site *choose_site(const struct vcpu *vcpu, uint64_t pc)
{
	struct soft_fast_site *first = first_site(vcpu, pc), *second = second_site(vcpu, pc);

	/* An old one for pc would be found before the new one. */
	if ((first->pc & ~SITE_NONE) == pc || !is_current(vcpu, first) || first->pc & SITE_NONE)
		return first;
	if ((second->pc & ~SITE_NONE) == pc || !is_current(vcpu, second) || second->pc & SITE_NONE)
		return second;
	return pc & 2 ? first : second;
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
	unsigned count = 0;
	bool last = false;
	struct uop uop;

	/* All that fast_ops.S knows have 4 bytes. Room is left for the end. */
	while (!last && builder.offset + 4U <= size) {
		uop_decode(insn_fetch(code + builder.offset, 4), &uop);
		if (is_for_guest(vcpu, &uop) || !build(&builder, &uop, &last) ||
		    builder.next - ops > SOFT_FAST_OPS - OPS_END)
			break;
		count = (unsigned)(builder.next - ops);
		builder.offset = (uint16_t)(builder.offset + 4);
	}
	builder.next = ops + count;
	emit_end(&builder, pc + builder.offset);
	memcpy(site->ops, ops, (count + OPS_END) * sizeof(*ops));
	site->generation = vcpu->soft->shadow.code_generation;
	site->pc = count ? pc : pc | SITE_NONE;
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
		vcpu->soft->sites[i].pc = SITE_NONE;
}
