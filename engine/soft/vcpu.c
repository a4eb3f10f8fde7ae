/* SPDX-License-Identifier: MIT */

/* A vCPU of the soft engine: its beginning, its way into a hart and out of it. */

#include "engine/fp.h"
#include "engine/open_csrs.h"
#include "engine/soft/block.h"
#include "engine/soft/code.h"
#include "engine/soft/fast.h"
#include "engine/soft/soft.h"
#include "engine/soft/trampoline.h"
#include "engine/soft/walk.h"
#include "kernel/error.h"
#include "kernel/hart.h"
#include "kernel/layout.h"
#include "kernel/log.h"
#include "kernel/mmu.h"
#include "kernel/trap.h"
#include "riscv/csr.h"
#include "riscv/tlb.h"

/* By hart index: whose translations its TLB may hold. Each hart uses its own. */
static const struct vcpu *last_vcpu[HARTS_MAX];

/* Of the guest's RAM, what its shadow tables and rewritten code may take: one in so many. */
#define TABLE_SHARE 32

/* For each vCPU, what does not depend on the RAM: its decoded blocks, and what is rounded up. */
#define VCPU_BYTES KIB(512)

static uint64_t table_pages(uint64_t ram_size, uint32_t vcpus)
{
	uint64_t pages = ram_size / TABLE_SHARE >> PAGE_SHIFT;

	/* Three quarters are for shadow tables; see soft_vcpu_init(). */
	return pages * 3 / 4 < (uint64_t)SHADOW_PAGES_MIN * vcpus
		   ? (uint64_t)2 * SHADOW_PAGES_MIN * vcpus
		   : pages;
}

uint64_t soft_table_pages(const struct guest *guest)
{
	return table_pages(guest->ram_size, guest->vcpu_count);
}

uint64_t soft_overhead(uint64_t ram_size, uint32_t vcpus)
{
	return gspace_table_bytes(ram_size) + (table_pages(ram_size, vcpus) << PAGE_SHIFT) +
	       VCPU_BYTES * vcpus + MIB(1);
}

int soft_guest_init(struct guest *guest, unsigned address_bits)
{
	/* The format of the second stage, which no hardware walks here. */
	unsigned level = 2, root_level;

	/* A guest without translation has its addresses in the lower half of the harts' mode. */
	mmu_root(&root_level);
	if (address_bits > pte_level_shift(root_level + 1) - 1)
		return ERR_RANGE;
	/* Where the hypervisor is not in the guest's tables, all of them are the guest's. */
	if (root_level == 2)
		guest->fast_csr = false;
	while (level < 4 && gspace_address_bits(level) < address_bits)
		level++;
	if (gspace_address_bits(level) < address_bits)
		return ERR_RANGE;

	int error = gspace_init(&guest->space, guest->arena, level);

	return error ? error : code_init(guest);
}

void soft_log_use(const struct guest *guest, const char *name)
{
	uint64_t pages = code_pages(guest), evictions = 0;

	for (unsigned i = 0; i < guest->vcpu_count; i++) {
		const struct vcpu *vcpu = guest->vcpus[i];

		if (vcpu && vcpu->soft) {
			pages += vcpu->soft->shadow.pages;
			evictions += vcpu->soft->shadow.evictions;
		}
	}
	log_debug("%s: shadow tables: %llu of %llu pages at most, %llu evictions", name,
		  (unsigned long long)pages, (unsigned long long)soft_table_pages(guest),
		  (unsigned long long)evictions);
}

/* Where the hypervisor is mapped, for shadow roots to contain it. */
static void find_layout(struct shadow_layout *layout)
{
	const uint64_t *table = mmu_root(&layout->root_level);

	layout->root = table;
	layout->asid_max = soft_asid_max();
	layout->resident = layout->root_level > 2;
	for (unsigned l = layout->root_level; l > 2; l--)
		table = mmu_table(table[IMAGE_BASE >> pte_level_shift(l) & (PTE_ENTRIES - 1)]);
	layout->top_entry = table[PTE_ENTRIES - 1];
}

/*
 * pilae,fast-csr: in the roots for S-mode the last page is the one that struct soft_csrs begins
 * with. ERR_NOMEM.
 */
static int map_fast_csrs(struct vcpu *vcpu, struct shadow_layout *layout)
{
	const uint64_t flags = PTE_V | PTE_R | PTE_W | PTE_U | PTE_A | PTE_D;
	uint64_t *top = arena_alloc_pages(vcpu->guest->arena, 0, ARENA_TABLES);
	uint64_t *last = arena_alloc_pages(vcpu->guest->arena, 0, ARENA_TABLES);

	if (!top || !last)
		return ERR_NOMEM;
	mmu_copy_top_table(top);
	last[PTE_ENTRIES - 1] = pte_make(pointer_to_hpa(&vcpu->soft->csrs), flags);
	top[PTE_ENTRIES - 1] = pte_make(pointer_to_hpa(last), PTE_V);
	layout->top_entry_s = pte_make(pointer_to_hpa(top), PTE_V);
	return 0;
}

int soft_vcpu_init(struct vcpu *vcpu)
{
	struct guest *guest = vcpu->guest;
	struct shadow_layout layout = {.resident = false};
	uint64_t pages = soft_table_pages(guest) * 3 / 4 / guest->vcpu_count;
	int error;

	vcpu->has_sstc = false;
	vcpu->soft = &container_of(vcpu, struct soft_block, vcpu)->soft;
	find_layout(&layout);
	error = trampoline_init_vcpu(vcpu, &layout);
	if (!error && guest->fast_csr)
		error = map_fast_csrs(vcpu, &layout);
	if (!error)
		error = shadow_init(&vcpu->soft->shadow, guest->arena, &layout, pages);
	/* Each of these clears memory for as long as one stretch may last. */
	preempt_point();
	if (!error)
		error = block_cache_init(vcpu);
	preempt_point();
	if (!error)
		error = fast_init(vcpu);
	preempt_point();
	return error ? error : fp_init(vcpu);
}

/* Versions are never so large. */
static void forget_fast_roots(struct soft_vcpu *soft)
{
	for (unsigned view = 0; view < VIEW_MXR; view++)
		soft->fast[view].version = UINT64_MAX;
}

static void set_status_fields(struct vcpu *vcpu)
{
	struct soft_vcpu *soft = vcpu->soft;
	const struct isa *isa = &vcpu->guest->isa;

	soft->fp_fields = (isa_has_letter(isa, 'd') ? SSTATUS_FS : 0) |
			  (isa_has_letter(isa, 'v') ? SSTATUS_VS : 0);
	soft->read_fields = soft->fp_fields | SSTATUS_UXL_64 | SSTATUS_SD;
	soft->writable =
	    soft->fp_fields | SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP | SSTATUS_SUM | SSTATUS_MXR;
}

void soft_vcpu_reset(struct vcpu *vcpu, uint64_t pc, uint64_t argument, bool resumed)
{
	struct isa *isa = &vcpu->guest->isa;

	vcpu_reset_registers(vcpu, pc, argument);
	/* The guest runs in U-mode: SPP is clear. */
	vcpu->sstatus = SSTATUS_UXL_64 | SSTATUS_SPIE;
	if (isa_has_letter(isa, 'd'))
		vcpu->sstatus |= (uint64_t)XS_INITIAL << SSTATUS_FS_SHIFT;
	if (isa_has_letter(isa, 'v'))
		vcpu->sstatus |= (uint64_t)XS_INITIAL << SSTATUS_VS_SHIFT;
	soft_csr_reset(vcpu);
	vcpu->soft->privilege = SOFT_S;
	vcpu->soft->host_satp = 0;
	trampoline_reset(vcpu);
	vcpu->soft->unsaved_fp = 0;
	vcpu->soft->opened = false;
	vcpu->soft->low_pages = 0;
	vcpu->soft->fence_count = 0;
	forget_fast_roots(vcpu->soft);
	set_status_fields(vcpu);
	if (!resumed)
		vcpu->irq_loaded = 0;
	fp_reset(vcpu);
}

static unsigned present_view(const struct soft_vcpu *soft)
{
	uint64_t sstatus = soft->csrs.sstatus;
	unsigned view = soft->privilege == SOFT_U ? VIEW_U
			: sstatus & SSTATUS_SUM   ? VIEW_SUM
						  : VIEW_S;

	/* Without translation there is nothing to be allowed. */
	if (soft->csrs.satp >> ATP_MODE_SHIFT == ATP_MODE_BARE)
		return soft->privilege == SOFT_U ? VIEW_U : VIEW_S;
	return sstatus & SSTATUS_MXR ? view + VIEW_MXR : view;
}

/*
 * The guest's virtual addresses for the interpreter's own accesses. Bare mode has guest-physical
 * addresses, of which only low ones are memory; in its tables the hypervisor lies above those of
 * Sv39.
 */
static void set_access_limit(struct soft_vcpu *soft, unsigned levels)
{
	soft->access_bias = BIT(PAGE_SHIFT + 9 * (levels ? levels : 3) - 1);
	soft->access_limit = soft->shadow.layout.resident ? 2 * soft->access_bias : 0;
}

/* Lets fast_ops.S switch to the root in use, where a mere write to satp does that. */
static void note_fast_root(struct soft_vcpu *soft, unsigned levels)
{
	if (soft->view >= VIEW_MXR || !levels || soft->opened || !soft->shadow.layout.resident ||
	    SATP_ASID(soft->host_satp) == 0)
		return;
	soft->fast[soft->view] = (struct soft_fast_root){
	    .version = soft->shadow.version,
	    .host_satp = soft->host_satp,
	    .root = soft->shadow.selected,
	    .view = soft->view,
	};
}

static unsigned root_flags(uint64_t view)
{
	if (view == VIEW_S || view == VIEW_SUM)
		return SHADOW_SUPERVISOR | SHADOW_SHARE;
	return view == VIEW_U || view == VIEW_U + VIEW_MXR ? 0 : SHADOW_SUPERVISOR;
}

static void select_view(struct vcpu *vcpu, uint64_t view)
{
	struct soft_vcpu *soft = vcpu->soft;
	uint64_t satp = soft->csrs.satp;
	unsigned levels = 0;

	walk_mode_levels(satp, &levels);
	if (soft->satp != satp)
		forget_fast_roots(soft);
	soft->view = view;
	soft->satp = satp;
	soft->host_satp =
	    shadow_select(&soft->shadow, satp, (unsigned)view, levels, root_flags(view));
	if (view == VIEW_S)
		soft->low_pages = shadow_uses_low_half(&soft->shadow);
	note_fast_root(soft, levels);
	set_access_limit(soft, levels);
	if (!soft->shadow.layout.resident) {
		trampoline_select(vcpu);
		return;
	}
	csr_write(CSR_SATP, soft->host_satp);
	/* Several roots share ASID 0: until satp was written, another one's was being used. */
	if (SATP_ASID(soft->host_satp) == 0)
		tlb_flush_all();
}

/*
 * scounteren and senvcfg are changed as seldom as can be: S-mode runs with what its U-mode has,
 * until it needs more, and then with all until it returns to U-mode.
 */
static uint64_t environment_privilege(const struct soft_vcpu *soft)
{
	return soft->opened ? soft->privilege : SOFT_U;
}

void soft_update_environment(struct vcpu *vcpu)
{
	struct soft_vcpu *soft = vcpu->soft;

	if (soft->privilege == SOFT_U)
		soft->opened = false;

	uint64_t counteren = soft_hart_counteren(vcpu, environment_privilege(soft));
	uint64_t envcfg = soft_hart_envcfg(vcpu, environment_privilege(soft));

	if (soft->counteren != counteren)
		csr_write(CSR_SCOUNTEREN, counteren);
	if (soft->envcfg != envcfg)
		soft_write_envcfg(envcfg);
	soft->counteren = counteren;
	soft->envcfg = envcfg;
}

bool soft_open_environment(struct vcpu *vcpu)
{
	struct soft_vcpu *soft = vcpu->soft;

	if (soft->opened || (soft->counteren == soft_hart_counteren(vcpu, SOFT_S) &&
			     soft->envcfg == soft_hart_envcfg(vcpu, SOFT_S)))
		return false;
	soft->opened = true;
	/* fast_ops.S changes neither. */
	forget_fast_roots(soft);
	soft_update_environment(vcpu);
	return true;
}

/* As fast_ops.S does it, if possible. */
static void switch_view(struct vcpu *vcpu, uint64_t view)
{
	struct soft_vcpu *soft = vcpu->soft;
	const struct soft_fast_root *fast = &soft->fast[view < VIEW_MXR ? view : VIEW_U];

	if (fast->version != soft->shadow.version || fast->view != view ||
	    soft->satp != soft->csrs.satp) {
		select_view(vcpu, view);
		return;
	}
	soft->view = view;
	soft->host_satp = fast->host_satp;
	soft->shadow.selected = fast->root;
	csr_write(CSR_SATP, fast->host_satp);
}

void soft_update(struct vcpu *vcpu)
{
	struct soft_vcpu *soft = vcpu->soft;
	uint64_t view = present_view(soft);

	if (unlikely(soft->opened))
		soft_update_environment(vcpu);
	if (soft->view != view || soft->satp != soft->csrs.satp)
		switch_view(vcpu, view);
	if (unlikely(soft->refill) && soft->privilege == SOFT_U &&
	    soft->shadow.work <= SOFT_WORK_MAX / 2)
		soft_refill(vcpu);
}

void soft_update_after_flush(struct vcpu *vcpu)
{
	select_view(vcpu, present_view(vcpu->soft));
}

void soft_load(struct vcpu *vcpu)
{
	struct soft_vcpu *soft = vcpu->soft;
	unsigned hart = this_hart()->index;

	vcpu->host_tp = (uint64_t)this_hart();
	this_hart()->statistics = &vcpu->statistics;
	soft->shadow.work = 0;
	if (!vcpu->last_hart) {
		/* Started (again): what it was told by its former life's memory is not so now. */
		shadow_flush(&soft->shadow);
		block_cache_clear(vcpu);
		fast_clear(vcpu);
	}
	if (last_vcpu[hart] != vcpu || vcpu->last_hart != this_hart()) {
		shadow_enter_hart(&soft->shadow);
		__asm__ volatile("fence.i" ::: "memory");
		last_vcpu[hart] = vcpu;
		vcpu->last_hart = this_hart();
	}
	soft->counteren = soft_hart_counteren(vcpu, environment_privilege(soft));
	soft->envcfg = soft_hart_envcfg(vcpu, environment_privilege(soft));
	csr_write(CSR_SCOUNTEREN, soft->counteren);
	soft_write_envcfg(soft->envcfg);
	select_view(vcpu, present_view(soft));
	open_csrs_load(vcpu);
	fp_load(vcpu);
}

/*
 * FS and VS are the guest's own fields, which it sees: that they say Dirty stays so, and the
 * state is saved each time.
 */
static uint64_t dirty_state(const struct vcpu *vcpu)
{
	/* Of each field that fast_ops.S noted, the low bit. */
	uint64_t dirty = vcpu->soft->unsaved | vcpu->soft->unsaved_fp * 3;

	if ((vcpu->sstatus & SSTATUS_FS) == SSTATUS_FS)
		dirty |= SSTATUS_FS;
	if ((vcpu->sstatus & SSTATUS_VS) == SSTATUS_VS)
		dirty |= SSTATUS_VS;
	return dirty;
}

void soft_put(struct vcpu *vcpu)
{
	csr_write(CSR_SATP, mmu_satp());
	/* Where there are not enough ASIDs, the hypervisor's and the guest's are the same. */
	if (SATP_ASID(vcpu->soft->host_satp) == 0)
		tlb_flush_all();
	open_csrs_put(vcpu);
	fp_save(vcpu, dirty_state(vcpu));
	vcpu->soft->unsaved = vcpu->soft->unsaved_fp = 0;
}

void soft_write_fp(struct vcpu *vcpu, unsigned n, uint64_t value)
{
	fp_write(vcpu, n, value);
	vcpu->sstatus |= SSTATUS_FS;
}
