/* SPDX-License-Identifier: MIT */

/* Page faults of the guest: filling its shadow tables, or letting it have the fault. */

#include "engine/soft/code.h"
#include "engine/soft/read.h"
#include "engine/soft/soft.h"
#include "engine/soft/trampoline.h"
#include "engine/soft/walk.h"
#include "kernel/error.h"
#include "kernel/irqoff.h"
#include "kernel/layout.h"
#include "kernel/mmu.h"
#include "kernel/trace.h"
#include "riscv/csr.h"
#include "riscv/insn.h"

#define LEAF (PTE_V | PTE_U | PTE_A | PTE_D)

/* How many entries beside the one that is missing are entered along with it. */
#define PREFILL 8

/* CBO.INVAL, CLEAN and FLUSH need a page that can be loaded from or stored to (Zicbom). */
#define INSN_CBO_MASK 0xffc07fff
#define INSN_CBO      0x0000200f

struct walk_context soft_walk_context(const struct vcpu *vcpu)
{
	const struct soft_vcpu *soft = vcpu->soft;

	return (struct walk_context){
	    .guest = vcpu->guest,
	    .backing = &vcpu->soft->backing,
	    .satp = soft->csrs.satp,
	    .user = soft->privilege == SOFT_U,
	    .sum = soft->csrs.sstatus & SSTATUS_SUM,
	    .mxr = soft->csrs.sstatus & SSTATUS_MXR,
	    .svnapot = isa_has(&vcpu->guest->isa, ISA_svnapot),
	};
}

void soft_leave_for_access(struct vcpu *vcpu, enum access_kind kind, gpa_t gpa, gva_t gva)
{
	struct exit exit = {
	    .reason = EXIT_ACCESS,
	    .access = {.kind = kind, .gpa = gpa, .gva = gva},
	};

	soft_leave(vcpu, &exit);
}

static void __noreturn leave_for_walk(struct vcpu *vcpu, enum access_kind kind, gpa_t gpa,
				      gva_t gva, uint64_t writes)
{
	struct exit exit = {
	    .reason = EXIT_ACCESS,
	    .access = {.kind = kind, .walk = true, .gpa = gpa, .gva = gva, .transformed = writes},
	};

	soft_leave(vcpu, &exit);
}

/* What the view allows of a guest's leaf: R, W and X of the shadow leaf. */
static uint64_t allowed(const struct walk_context *context, uint64_t entry)
{
	uint64_t rights = entry & (PTE_R | PTE_W | PTE_X);

	if (context->mxr && rights & PTE_X)
		rights |= PTE_R;
	/* Not before D is set may there be a store that does not come by here. */
	if (!(entry & PTE_D))
		rights &= ~(uint64_t)PTE_W;
	if (!context->user && entry & PTE_U)
		rights &= ~(uint64_t)PTE_X;
	return rights;
}

/*
 * The shadow leaf for the 4 KiB page at `gpa`, which lies at `hpa`. A page with rewritten code is
 * fetched from its copy and read where it is. An instruction that reads its own page has the
 * original for both, in which what is privileged is trapped as illegal: rewrite() then has the copy
 * again.
 */
static uint64_t page_leaf(struct vcpu *vcpu, gva_t va, gpa_t gpa, hpa_t hpa, uint64_t rights,
			  enum access_kind kind)
{
	struct guest *guest = vcpu->guest;
	hpa_t copy;

	/* Code that is written to now and then is best not opened for it before. */
	if (rights & PTE_X && kind != ACCESS_STORE)
		rights &= ~(uint64_t)PTE_W;
	if (rights & PTE_W)
		code_note_writable(guest, gpa, 0);
	if (!code_is_protected(guest, gpa))
		return pte_make(hpa, LEAF | rights);
	rights &= ~(uint64_t)PTE_W;
	if (vcpu->soft->privilege == SOFT_S && rights & PTE_X) {
		if (kind == ACCESS_FETCH && code_find_copy(guest, gpa, &copy)) {
			/* This hart may have fetched what was in the copy's page before. */
			__asm__ volatile("fence.i" ::: "memory");
			return pte_make(copy, LEAF | PTE_X | SHADOW_CODE);
		}
		if (kind != ACCESS_FETCH && !read_is_own(vcpu, va))
			rights &= ~(uint64_t)PTE_X;
	}
	return pte_make(hpa, LEAF | rights);
}

/* Whether all 2 MiB around gpa may be one leaf with these rights. */
static bool superpage_fits(struct vcpu *vcpu, gpa_t gpa, uint64_t rights)
{
	if (rights & PTE_W)
		code_note_writable(vcpu->guest, gpa, 1);
	return !code_is_protected_2m(vcpu->guest, gpa);
}

/* Whether a leaf may be in all roots: a page of U-mode is not in those for S-mode without SUM. */
static bool may_share(const struct walk_context *context, uint64_t entry, bool global)
{
	return global && (context->user || !(entry & PTE_U));
}

/*
 * Enters what lies beside a leaf in its table, as far as accesses would find it without setting
 * A, and only where that is backed: unless that page alone took long.
 */
static void prefill(struct vcpu *vcpu, const struct walk_context *context, gva_t va,
		    const struct walk *walk, enum access_kind kind, const uint64_t *entered)
{
	const uint64_t bytes = PREFILL * sizeof(uint64_t);
	struct shadow *shadow = &vcpu->soft->shadow;
	uint64_t first = align_down(va.v, PREFILL * PAGE_SIZE);
	const uint64_t *group = (const uint64_t *)align_down((uint64_t)walk->leaf, bytes);
	const uint64_t *present = (const uint64_t *)align_down((uint64_t)entered, bytes);

	if (kind == ACCESS_STORE)
		kind = ACCESS_LOAD;
	for (unsigned i = 0; i < PREFILL && shadow->work <= SOFT_WORK_MAX / 2; i++) {
		gva_t beside = GVA(first + i * PAGE_SIZE);
		uint64_t entry = __atomic_load_n(&group[i], __ATOMIC_RELAXED);
		gpa_t gpa = GPA(pte_address(entry).v);
		unsigned level;
		hpa_t hpa;

		if (!(entry & PTE_A) || ((entry ^ walk->entry) & PTE_G) || present[i] ||
		    !walk_entry_allows(context, entry, kind) ||
		    gspace_lookup_cached(&vcpu->guest->space, context->backing, gpa, &hpa,
					 &level) != 0)
			continue;
		shadow_map(shadow, beside, 0,
			   page_leaf(vcpu, beside, gpa, hpa, allowed(context, entry), kind),
			   may_share(context, entry, walk->global));
	}
}

/* What the page may be used for; to be entered. */
static uint64_t begin_fill(struct vcpu *vcpu, const struct walk_context *context, gva_t va,
			   const struct walk *walk)
{
	if (!context->user && !(walk->entry & PTE_U) && va.v >> 63 == 0)
		vcpu->soft->low_pages = true;
	return allowed(context, walk->bare ? walk->entry & ~(uint64_t)PTE_U : walk->entry);
}

/* Enters a leaf of 4 KiB; as shadow_map(). */
static const uint64_t *enter_page(struct vcpu *vcpu, const struct walk_context *context, gva_t va,
				  const struct walk *walk, hpa_t hpa, uint64_t rights,
				  enum access_kind kind)
{
	return shadow_map(
	    &vcpu->soft->shadow, va, 0,
	    page_leaf(vcpu, va, walk->gpa, HPA(align_down(hpa.v, PAGE_SIZE)), rights, kind),
	    may_share(context, walk->entry, walk->global));
}

/* Whether the guest's own page is larger than 4 KiB. */
static inline bool is_larger(const struct walk *walk)
{
	return walk->level > 0 || walk->entry & PTE_N;
}

/* A leaf of 4 KiB was entered, which may be a part of the guest's page. */
static inline void note_larger(struct shadow *shadow, gva_t va, const struct walk *walk)
{
	if (!walk->bare && is_larger(walk))
		shadow_note_piece(shadow, va, walk->level ? walk->level : 1);
}

/* Returns the entry of a leaf that others may be entered beside, or NULL. */
static const uint64_t *fill_one(struct vcpu *vcpu, const struct walk_context *context, gva_t va,
				const struct walk *walk, hpa_t hpa, unsigned backed_level,
				enum access_kind kind)
{
	struct shadow *shadow = &vcpu->soft->shadow;
	uint64_t rights = begin_fill(vcpu, context, va, walk);

	/* Code that is written to now and then is best not opened for it before. */
	if (rights & PTE_X && kind != ACCESS_STORE)
		rights &= ~(uint64_t)PTE_W;
	if (walk->level >= 1 && backed_level >= 1 && superpage_fits(vcpu, walk->gpa, rights)) {
		shadow_map(shadow, va, 1,
			   pte_make(HPA(align_down(hpa.v, MEGAPAGE_SIZE)), LEAF | rights),
			   may_share(context, walk->entry, walk->global));
		if (walk->level > 1 && !walk->bare)
			shadow_note_piece(shadow, va, walk->level);
		return NULL;
	}

	const uint64_t *entered = enter_page(vcpu, context, va, walk, hpa, rights, kind);

	note_larger(shadow, va, walk);
	return walk->bare || is_larger(walk) ? NULL : entered;
}

static void fill(struct vcpu *vcpu, const struct walk_context *context, gva_t va,
		 const struct walk *walk, hpa_t hpa, unsigned backed_level, enum access_kind kind)
{
	const uint64_t *entered = fill_one(vcpu, context, va, walk, hpa, backed_level, kind);

	if (entered)
		prefill(vcpu, context, va, walk, kind, entered);
}

/* What is at `gpa` instead of RAM, and what of PTE_W and PTE_X it lacks. false: not for this. */
static bool find_other(const struct guest *guest, gpa_t gpa, enum access_kind kind, hpa_t *hpa,
		       uint64_t *lacks)
{
	if (kind != ACCESS_STORE && gspace_find_rom(&guest->space, gpa, hpa) == 0) {
		*lacks = PTE_W;
		return true;
	}
	*lacks = PTE_X;
	return kind != ACCESS_FETCH && gspace_find_device(&guest->space, gpa, hpa) == 0;
}

/*
 * Where registers of a device that the guest has lie, enters their page: never to be executed, and
 * what the hypervisor reads as code or as a table is not found there (engine/gspace.h). Or a page
 * that is never to be written. false: there is none.
 */
static bool fill_other(struct vcpu *vcpu, const struct walk_context *context, gva_t va,
		       const struct walk *walk, enum access_kind kind)
{
	struct shadow *shadow = &vcpu->soft->shadow;
	uint64_t lacks;
	hpa_t hpa;

	if (!find_other(vcpu->guest, walk->gpa, kind, &hpa, &lacks))
		return false;
	if (unlikely(trampoline_is_in_the_way(vcpu, va))) {
		trampoline_give_way(vcpu);
		soft_leave_for_nothing(vcpu);
	}

	uint64_t rights = begin_fill(vcpu, context, va, walk) & ~lacks;

	/* This hart may have fetched what was in its place before. */
	if (kind == ACCESS_FETCH)
		__asm__ volatile("fence.i" ::: "memory");

	shadow_map(shadow, va, 0, pte_make(HPA(align_down(hpa.v, PAGE_SIZE)), LEAF | rights),
		   may_share(context, walk->entry, walk->global));
	note_larger(shadow, va, walk);
	return true;
}

/*
 * RAM that is not backed yet, nothing, or a device that the hypervisor emulates. One that answers
 * stays where it is, so that other accesses need not be looked up in the guest's tables:
 * soft_quick_access().
 */
static void access_emulated(struct vcpu *vcpu, const struct walk_context *context, gva_t va,
			    const struct walk *walk, enum access_kind kind)
{
	const struct guest *guest = vcpu->guest;
	struct soft_vcpu *soft = vcpu->soft;

	if (kind == ACCESS_FETCH || range_within(walk->gpa.v, 1, guest->ram_base, guest->ram_size))
		soft_leave_for_access(vcpu, kind, walk->gpa, va);
	*soft_device_place(soft, va) = va.v >> PAGE_SHIFT;
	if (!soft_access_device(vcpu, kind, walk->gpa))
		soft_leave_for_access(vcpu, kind, walk->gpa, va);
	shadow_map_device(&soft->shadow, va, walk->gpa, begin_fill(vcpu, context, va, walk),
			  may_share(context, walk->entry, walk->global));
	note_larger(&soft->shadow, va, walk);
}

static void __noreturn drop_copy(struct vcpu *vcpu, gpa_t gpa, enum code_reason reason)
{
	__atomic_store_n(&vcpu->mode, VCPU_HOST, __ATOMIC_RELEASE);
	code_drop(vcpu->guest, gpa, vcpu, reason);
	soft_leave_for_nothing(vcpu);
}

/* Whether the guest's S-mode may execute what is there: what it executes may be a copy. */
static bool is_code(const struct walk_context *context, const struct walk *walk)
{
	return !context->user && walk->entry & PTE_X && (walk->bare || !(walk->entry & PTE_U));
}

/*
 * A page that has rewritten code is going to be written, or is read by S-mode, which may execute
 * it. true: the load has been performed.
 */
static bool check_code(struct vcpu *vcpu, const struct walk_context *context,
		       const struct walk *walk, gva_t va, hpa_t hpa, enum access_kind kind)
{
	if (kind == ACCESS_STORE)
		drop_copy(vcpu, walk->gpa, CODE_WRITTEN);
	if (kind == ACCESS_FETCH || !is_code(context, walk))
		return false;
	switch (soft_read_code(vcpu, va, walk->gpa, hpa)) {
	case READ_ALONE:
		return true;
	case READ_MAPPED:
		return false;
	case READ_TOO_OFTEN:
		break;
	}
	drop_copy(vcpu, walk->gpa, CODE_READ);
}

static bool is_cache_block_operation(struct vcpu *vcpu)
{
	uint32_t bits;

	return soft_fetch(vcpu, &bits) == 0 && (bits & 0x7fff) == INSN_CBO && bits >> 20 <= 2;
}

static enum access_kind kind_of(uint64_t cause)
{
	return cause == EXC_INSN_PAGE   ? ACCESS_FETCH
	       : cause == EXC_LOAD_PAGE ? ACCESS_LOAD
					: ACCESS_STORE;
}

/* `refused`: the guest's leaf, 0 where there is none. */
static void no_translation(struct vcpu *vcpu, uint64_t cause, gva_t va, uint64_t refused)
{
	if (cause == EXC_STORE_PAGE && refused) {
		struct walk_context context = soft_walk_context(vcpu);
		struct walk walk;

		/* For some, one that can be loaded from is enough: entered as for a load. */
		if (walk_address(&context, va, ACCESS_LOAD, false, &walk) == WALK_DONE &&
		    is_cache_block_operation(vcpu)) {
			soft_page_fault(vcpu, EXC_LOAD_PAGE, va);
			return;
		}
	}
	if (vcpu->soft->privilege == SOFT_U) {
		vcpu->soft->refill = true;
		vcpu->soft->refill_kind = (uint8_t)kind_of(cause);
		vcpu->soft->refill_address = va;
	}
	soft_inject(vcpu, cause, va.v);
}

/*
 * What an access that may come would be translated to. Nothing is changed in the guest's memory: it
 * may not come after all. false: it is to come first.
 */
static bool foresee(struct vcpu *vcpu, const struct walk_context *context, gva_t va,
		    enum access_kind kind, struct walk *walk, hpa_t *hpa, unsigned *level)
{
	return walk_address(context, va, kind, false, walk) == WALK_DONE &&
	       gspace_lookup_cached(&vcpu->guest->space, context->backing, walk->gpa, hpa, level) ==
		   0 &&
	       !code_is_protected(vcpu->guest, walk->gpa);
}

void soft_refill(struct vcpu *vcpu)
{
	struct soft_vcpu *soft = vcpu->soft;
	struct walk_context context = soft_walk_context(vcpu);
	gva_t va = soft->refill_address;
	struct walk walk;
	unsigned level;
	hpa_t hpa;

	soft->refill = false;
	if (!foresee(vcpu, &context, va, soft->refill_kind, &walk, &hpa, &level))
		return;
	/* Beside a page that was made for a store there is seldom another one that is new. */
	if (soft->refill_kind == ACCESS_STORE)
		fill_one(vcpu, &context, va, &walk, hpa, level, ACCESS_STORE);
	else
		fill(vcpu, &context, va, &walk, hpa, level, soft->refill_kind);
}

/* A fence for a page that had no leaf: most likely it has been mapped, to be used now. */
static void fill_fenced(struct vcpu *vcpu, gva_t va)
{
	struct walk_context context = soft_walk_context(vcpu);
	struct walk walk;
	unsigned level;
	hpa_t hpa;

	if (foresee(vcpu, &context, va, ACCESS_LOAD, &walk, &hpa, &level) && walk.level == 0 &&
	    !(walk.entry & PTE_N))
		enter_page(vcpu, &context, va, &walk, hpa, begin_fill(vcpu, &context, va, &walk),
			   ACCESS_LOAD);
}

bool soft_fence_page(struct vcpu *vcpu, gva_t va)
{
	struct shadow *shadow = &vcpu->soft->shadow;
	struct soft_fast_root *fast = &vcpu->soft->fast[vcpu->soft->view];
	bool is_fast, found;

	/* Roots with MXR have nothing of the global set, and nothing to be fast with. */
	if (vcpu->soft->view >= VIEW_MXR)
		return false;
	is_fast = fast->version == shadow->version;
	soft_begin_quickly(vcpu);
	if (!shadow_fence_page(shadow, va, &found))
		return false;
	if (!found)
		fill_fenced(vcpu, va);
	/* It is the root in use that has followed. */
	if (is_fast)
		fast->version = shadow->version;
	irqoff_note();
	return true;
}

/* The guest has no translation that allows the access. */
static enum soft_fault_result give_quickly(struct vcpu *vcpu, uint64_t cause, gva_t va,
					   uint64_t refused)
{
	if (cause == EXC_STORE_PAGE && refused)
		return SOFT_FAULT_LEFT;
	vcpu->pc = csr_read(CSR_SEPC);
	no_translation(vcpu, cause, va, 0);
	csr_write(CSR_SEPC, vcpu->pc);
	return SOFT_FAULT_INJECTED;
}

/* As soft_page_fault(), but never leaves the guest, and has of its registers only what is in CSRs.
 */
static inline enum soft_fault_result deal_quickly(struct vcpu *vcpu, gva_t va)
{
	uint64_t cause = csr_read(CSR_SCAUSE);
	enum access_kind kind = kind_of(cause);
	struct walk_context context = soft_walk_context(vcpu);
	struct walk walk;
	unsigned level;
	hpa_t hpa;

	switch (walk_address(&context, va, kind, true, &walk)) {
	case WALK_DONE:
		break;
	case WALK_PAGE_FAULT:
		return give_quickly(vcpu, cause, va, walk.entry);
	default:
		return SOFT_FAULT_LEFT;
	}
	if (gspace_lookup_cached(&vcpu->guest->space, context.backing, walk.gpa, &hpa, &level) !=
		0 ||
	    code_is_protected(vcpu->guest, walk.gpa))
		return SOFT_FAULT_LEFT;
	fill(vcpu, &context, va, &walk, hpa, level, kind);
	return SOFT_FAULT_FILLED;
}

enum soft_fault_result soft_quick_fault(struct vcpu *vcpu)
{
	struct soft_vcpu *soft = vcpu->soft;
	gva_t va = GVA(csr_read(CSR_STVAL));
	enum soft_fault_result result;

	if (va.v >= IMAGE_BASE || soft_is_device(soft, va) || soft->fence_count || trace_is_on())
		return SOFT_FAULT_LEFT;
	soft->shadow.work = 0;
	result = deal_quickly(vcpu, va);
	irqoff_note();
	return result;
}

enum exit_class soft_page_fault(struct vcpu *vcpu, uint64_t cause, gva_t va)
{
	enum access_kind kind = kind_of(cause);
	struct walk_context context = soft_walk_context(vcpu);
	struct walk walk;
	unsigned level;
	hpa_t hpa;

	if (vcpu->guest->fast_csr && va.v >= FAST_CSRS && soft_emulate_access(vcpu))
		return EXITS_SHADOW;
	switch (walk_address(&context, va, kind, true, &walk)) {
	case WALK_DONE:
		break;
	case WALK_PAGE_FAULT:
		no_translation(vcpu, cause, va, walk.entry);
		return EXITS_SHADOW;
	case WALK_MISSING:
		leave_for_walk(vcpu, kind, walk.gpa, va, 0);
	case WALK_READ_ONLY:
		leave_for_walk(vcpu, kind, walk.gpa, va, ACCESS_WALK_WRITES);
	case WALK_PROTECTED:
		drop_copy(vcpu, walk.gpa, CODE_WRITTEN);
	}
	if (gspace_lookup_cached(&vcpu->guest->space, context.backing, walk.gpa, &hpa, &level) !=
	    0) {
		if (fill_other(vcpu, &context, va, &walk, kind))
			return EXITS_SHADOW;
		access_emulated(vcpu, &context, va, &walk, kind);
		return EXITS_MMIO;
	}
	if (code_is_protected(vcpu->guest, walk.gpa) &&
	    check_code(vcpu, &context, &walk, va, hpa, kind))
		return EXITS_SHADOW;
	if (unlikely(trampoline_is_in_the_way(vcpu, va))) {
		trampoline_give_way(vcpu);
		/* That took long enough. */
		soft_leave_for_nothing(vcpu);
	}
	fill(vcpu, &context, va, &walk, hpa, level, kind);
	return EXITS_SHADOW;
}
