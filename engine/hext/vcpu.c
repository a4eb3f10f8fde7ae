/* SPDX-License-Identifier: MIT */

/* A vCPU's way into a hart and out of it. */

#include "engine/fp.h"
#include "engine/hext/hext.h"
#include "engine/hext/space.h"
#include "engine/open_csrs.h"
#include "kernel/error.h"
#include "kernel/hart.h"
#include "kernel/mmu.h"
#include "riscv/csr.h"

static unsigned smallest_level(uint32_t modes, unsigned address_bits)
{
	for (unsigned mode = ATP_MODE_SV39; mode <= ATP_MODE_SV57; mode++) {
		unsigned level = mode - ATP_MODE_SV39 + 2;

		if (modes & BIT(mode) && gspace_address_bits(level) >= address_bits)
			return level;
	}
	return 0;
}

uint64_t hext_overhead(uint64_t ram_size, uint32_t vcpus)
{
	(void)vcpus;
	return gspace_table_bytes(ram_size);
}

int hext_guest_init(struct guest *guest, unsigned address_bits)
{
	unsigned level = smallest_level(hext_common_modes(), address_bits);

	if (!level)
		return ERR_RANGE;
	guest->on_hart = arena_alloc(guest->arena, HARTS_MAX * sizeof(*guest->on_hart));
	if (!guest->on_hart)
		return ERR_NOMEM;
	return gspace_init(&guest->space, guest->arena, level);
}

int hext_vcpu_init(struct vcpu *vcpu)
{
	struct isa *isa = &vcpu->guest->isa;

	vcpu->has_sstc = isa_has(isa, ISA_sstc);
	return fp_init(vcpu);
}

void hext_vcpu_reset(struct vcpu *vcpu, uint64_t pc, uint64_t argument, bool resumed)
{
	struct isa *isa = &vcpu->guest->isa;

	vcpu_reset_registers(vcpu, pc, argument);
	vcpu->sstatus = SSTATUS_UXL_64 | SSTATUS_SPP;
	if (isa_has_letter(isa, 'd'))
		vcpu->sstatus |= (uint64_t)XS_CLEAN << SSTATUS_FS_SHIFT;
	if (isa_has_letter(isa, 'v'))
		vcpu->sstatus |= (uint64_t)XS_CLEAN << SSTATUS_VS_SHIFT;
	vcpu->csrs = (struct hext_csrs){
	    .vsstatus = SSTATUS_UXL_64,
	    /* As firmware leaves it: user mode may read `time` before a kernel has said so. */
	    .scounteren = COUNTEREN_CY | COUNTEREN_TM | COUNTEREN_IR,
	    .vstimecmp = resumed ? vcpu->csrs.vstimecmp : TIME_NEVER,
	    .hvip = resumed ? vcpu->csrs.hvip : 0,
	};
	if (!resumed)
		vcpu->irq_loaded = 0;
	fp_reset(vcpu);
}

void hext_forget_hidden(struct guest *guest)
{
	hext_space_forget_hidden(guest, &guest->on_hart[this_hart()->index]);
}

static void load_address_space(struct vcpu *vcpu)
{
	const struct gspace *space = &vcpu->guest->space;
	uint64_t mode = ATP_MODE_SV39 + space->root_level - 2;

	hext_space_load(vcpu, this_hart(),
			mode << ATP_MODE_SHIFT | pointer_to_hpa(space->root).v >> PAGE_SHIFT);
}

/*
 * Either level's field says that the state was written: both should (Priv. 1.13, 18.2.1), but
 * on QEMU, writes to fcsr, vcsr and the like only mark the guest's own.
 */
static bool is_dirty(const struct vcpu *vcpu, unsigned shift)
{
	return (vcpu->sstatus >> shift & 3) == XS_DIRTY ||
	       (vcpu->csrs.vsstatus >> shift & 3) == XS_DIRTY;
}

static void set_clean(struct vcpu *vcpu, unsigned shift)
{
	vcpu->sstatus &= ~((uint64_t)(XS_DIRTY ^ XS_CLEAN) << shift);
}

static void save_fp(struct vcpu *vcpu)
{
	uint64_t dirty = 0;

	if (is_dirty(vcpu, SSTATUS_FS_SHIFT)) {
		dirty |= SSTATUS_FS;
		set_clean(vcpu, SSTATUS_FS_SHIFT);
	}
	if (is_dirty(vcpu, SSTATUS_VS_SHIFT)) {
		dirty |= SSTATUS_VS;
		set_clean(vcpu, SSTATUS_VS_SHIFT);
	}
	if (dirty)
		fp_save(vcpu, dirty);
}

void hext_load(struct vcpu *vcpu)
{
	struct hext_hart *hext = hext_this_hart();
	struct hext_csrs *csrs = &vcpu->csrs;

	csr_write(CSR_VSSTATUS, csrs->vsstatus);
	csr_write(CSR_VSIE, csrs->vsie);
	csr_write(CSR_VSTVEC, csrs->vstvec);
	csr_write(CSR_VSSCRATCH, csrs->vsscratch);
	csr_write(CSR_VSEPC, csrs->vsepc);
	csr_write(CSR_VSCAUSE, csrs->vscause);
	csr_write(CSR_VSTVAL, csrs->vstval);
	csr_write(CSR_SCOUNTEREN, csrs->scounteren);
	csr_write(CSR_SENVCFG, csrs->senvcfg);
	csr_write(CSR_HVIP, csrs->hvip);
	/* Without Sstc, stimecmp is no register of the guest's. */
	csr_write(CSR_HENVCFG, hext->henvcfg & (vcpu->has_sstc ? ~UINT64_C(0) : ~ENVCFG_STCE));
	if (vcpu->has_sstc)
		csr_write(CSR_VSTIMECMP, csrs->vstimecmp);
	vcpu->host_tp = (uint64_t)this_hart();
	this_hart()->statistics = &vcpu->statistics;
	/* Priv. 1.13, "Memory-Management Fences": vsatp is 0 while hgatp changes. */
	load_address_space(vcpu);
	csr_write(CSR_VSATP, csrs->vsatp);
	open_csrs_load(vcpu);
	fp_load(vcpu);
}

/* The guest's own, of the vCPU that is loaded. */
static inline void read_guest_csrs(struct hext_csrs *csrs)
{
	csrs->vsstatus = csr_read(CSR_VSSTATUS);
	csrs->vsie = csr_read(CSR_VSIE);
	csrs->vstvec = csr_read(CSR_VSTVEC);
	csrs->vsscratch = csr_read(CSR_VSSCRATCH);
	csrs->vsepc = csr_read(CSR_VSEPC);
	csrs->vscause = csr_read(CSR_VSCAUSE);
	csrs->vstval = csr_read(CSR_VSTVAL);
	csrs->vsatp = csr_read(CSR_VSATP);
}

void hext_put(struct vcpu *vcpu)
{
	struct hext_csrs *csrs = &vcpu->csrs;

	read_guest_csrs(csrs);
	csr_write(CSR_VSATP, 0);
	csr_write(CSR_HGATP, 0);
	/* An engine that does without H returns to U-mode, not VU-mode. */
	csr_write(CSR_HSTATUS, HSTATUS_VSXL_64);
	csrs->scounteren = csr_read(CSR_SCOUNTEREN);
	csrs->senvcfg = csr_read(CSR_SENVCFG);
	csrs->hvip = csr_read(CSR_HVIP);
	if (vcpu->has_sstc) {
		csrs->vstimecmp = csr_read(CSR_VSTIMECMP);
		/* The hart's comparator belongs to nobody now. */
		csr_write(CSR_VSTIMECMP, TIME_NEVER);
	}
	open_csrs_put(vcpu);
	save_fp(vcpu);
}

void hext_write_fp(struct vcpu *vcpu, unsigned n, uint64_t value)
{
	fp_write(vcpu, n, value);
	vcpu->sstatus |= SSTATUS_FS;
	/* Both levels' FS say so, as if the guest's own instruction had done it. */
	csr_set(CSR_VSSTATUS, SSTATUS_FS);
}

#define IRQ_ALL (BIT(IRQ_S_SOFT) | BIT(IRQ_S_TIMER) | BIT(IRQ_S_EXT))

static void set_guest_csrs(struct vcpu_state *state, const struct hext_csrs *csrs)
{
	state->sstatus = csrs->vsstatus;
	state->sie = csrs->vsie;
	state->stvec = csrs->vstvec;
	state->sscratch = csrs->vsscratch;
	state->sepc = csrs->vsepc;
	state->scause = csrs->vscause;
	state->stval = csrs->vstval;
	state->satp = csrs->vsatp;
}

static void read_loaded(const struct vcpu *vcpu, struct vcpu_state *state)
{
	uint64_t sstatus = vcpu->sstatus;
	struct hext_csrs csrs;

	/* In the quick way of an access these are still the hart's. */
	if (vcpu->mode == VCPU_GUEST) {
		state->pc = csr_read(CSR_SEPC);
		sstatus = csr_read(CSR_SSTATUS);
	}
	state->user = !(sstatus & SSTATUS_SPP);
	state->sip = csr_read(CSR_HIP) >> HVIP_SHIFT;
	read_guest_csrs(&csrs);
	set_guest_csrs(state, &csrs);
}

static void read_put(const struct vcpu *vcpu, struct vcpu_state *state)
{
	const struct hext_csrs *csrs = &vcpu->csrs;

	state->user = !(vcpu->sstatus & SSTATUS_SPP);
	state->sip = csrs->hvip >> HVIP_SHIFT;
	if (vcpu->has_sstc && csrs->vstimecmp <= time_now())
		state->sip |= BIT(IRQ_S_TIMER);
	set_guest_csrs(state, csrs);
}

void hext_read_state(struct vcpu *vcpu, bool loaded, struct vcpu_state *state)
{
	state->pc = vcpu->pc;
	if (loaded)
		read_loaded(vcpu, state);
	else
		read_put(vcpu, state);
	state->sip |= __atomic_load_n(&vcpu->irq, __ATOMIC_SEQ_CST);
	state->sip &= IRQ_ALL;
	for (unsigned i = 0; i < 32; i++)
		state->x[i] = vcpu->x[i];
}
