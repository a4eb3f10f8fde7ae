/* SPDX-License-Identifier: MIT */

/* What a hart's H extension offers, and the CSRs that are the same for all guests. */

#include "kernel/hart.h"
#include "engine/hext/hext.h"
#include "kernel/trap.h"
#include "riscv/csr.h"
#include "riscv/pte.h"

/*
 * Everything is delegated that a guest would get from its own machine. Not: ECALL from VS
 * (SBI calls), guest page faults and virtual instructions, which are the hypervisor's.
 */
#define HEDELEG                                                                                    \
	(BIT(EXC_INSN_MISALIGNED) | BIT(EXC_INSN_ACCESS) | BIT(EXC_ILLEGAL_INSN) |                 \
	 BIT(EXC_BREAKPOINT) | BIT(EXC_LOAD_MISALIGNED) | BIT(EXC_LOAD_ACCESS) |                   \
	 BIT(EXC_STORE_MISALIGNED) | BIT(EXC_STORE_ACCESS) | BIT(EXC_ECALL_U) |                    \
	 BIT(EXC_INSN_PAGE) | BIT(EXC_LOAD_PAGE) | BIT(EXC_STORE_PAGE) | BIT(EXC_SOFTWARE_CHECK) | \
	 BIT(EXC_HARDWARE_ERROR))

#define HIDELEG (BIT(IRQ_VS_SOFT) | BIT(IRQ_VS_TIMER) | BIT(IRQ_VS_EXT))

/* Of henvcfg, what guests are given where the hart and the firmware allow it. */
#define HENVCFG                                                   \
	(ENVCFG_STCE | ENVCFG_ADUE | ENVCFG_CBZE | ENVCFG_CBCFE | \
	 (1 << 4)) /* CBIE = 1: an invalidation flushes, so that nothing lost reappears */

struct hext_hart hext_harts[HARTS_MAX];

static void probe_hgatp(struct hext_hart *hext)
{
	for (unsigned mode = ATP_MODE_SV39; mode <= ATP_MODE_SV57; mode++) {
		uint64_t value = (uint64_t)mode << ATP_MODE_SHIFT;

		csr_write(CSR_HGATP, value);
		if (csr_read(CSR_HGATP) == value)
			hext->gspace_modes |= (uint32_t)BIT(mode);
	}
	/* VMIDLEN is found by writing ones (Priv. 1.13, 18.2.10). */
	csr_write(CSR_HGATP, (uint64_t)ATP_MODE_SV39 << ATP_MODE_SHIFT | (uint64_t)HGATP_VMID_MAX
									     << HGATP_VMID_SHIFT);
	hext->vmid_mask = csr_read(CSR_HGATP) >> HGATP_VMID_SHIFT & HGATP_VMID_MAX;
	csr_write(CSR_HGATP, 0);
	__asm__ volatile(".word 0x62000073" ::: "memory"); /* hfence.gvma zero, zero */
}

static void init_state_enables(struct hext_hart *hext)
{
	uint64_t value;

	/* Closed but for what has no state of its own to hide: envcfg and fcsr. */
	hext->has_hstateen = csr_try_read(CSR_HSTATEEN0, &value);
	if (hext->has_hstateen) {
		csr_write(CSR_HSTATEEN0, STATEEN0_SE0 | STATEEN0_ENVCFG);
		/* Closed by the firmware already where they cannot be written. */
		csr_try_write(CSR_HSTATEEN1, 0);
		csr_try_write(CSR_HSTATEEN2, 0);
		csr_try_write(CSR_HSTATEEN3, 0);
	}
}

bool hext_init_hart(void)
{
	struct hart *hart = this_hart();
	struct hext_hart *hext = hext_this_hart();

	if (!hart->has_h)
		return false;
	probe_hgatp(hext);

	csr_write(CSR_HENVCFG, HENVCFG);
	hext->henvcfg = csr_read(CSR_HENVCFG) & HENVCFG;
	/* QEMU 7.2 lets STCE be set without Sstc. */
	if (!hart->has_sstc)
		hext->henvcfg &= ~ENVCFG_STCE;
	csr_write(CSR_HEDELEG, HEDELEG);
	csr_write(CSR_HIDELEG, HIDELEG);
	csr_write(CSR_HIE, 0);
	csr_write(CSR_HGEIE, 0);
	csr_write(CSR_HVIP, 0);
	csr_write(CSR_HTIMEDELTA, 0);
	csr_write(CSR_VSATP, 0);
	if (hext->henvcfg & ENVCFG_STCE)
		csr_write(CSR_VSTIMECMP, UINT64_MAX);
	csr_write(CSR_HCOUNTEREN, COUNTEREN_CY | COUNTEREN_TM | COUNTEREN_IR);
	csr_write(CSR_HSTATUS, HSTATUS_VSXL_64);
	init_state_enables(hext);
	hext->usable = hext->gspace_modes & BIT(ATP_MODE_SV39);
	return hext->usable;
}

bool hext_can_use(const struct hart *hart)
{
	return hext_harts[hart->index].usable;
}

static void limit_to_hart(struct isa *isa, const struct hext_hart *hext)
{
	if (!(hext->henvcfg & ENVCFG_STCE))
		isa_remove(isa, ISA_sstc);
	if (!(hext->henvcfg & ENVCFG_ADUE))
		isa_remove(isa, ISA_svadu);
	if (!(hext->henvcfg & ENVCFG_CBZE))
		isa_remove(isa, ISA_zicboz);
	if (!(hext->henvcfg & ENVCFG_CBCFE))
		isa_remove(isa, ISA_zicbom);
}

uint32_t hext_common_modes(void)
{
	uint32_t modes = UINT32_MAX;

	for (unsigned i = 0; i < hart_count(); i++) {
		if (hext_harts[i].usable)
			modes &= hext_harts[i].gspace_modes;
	}
	return modes;
}

static void remove_letter(struct isa *isa, char letter)
{
	isa->letters &= ~((uint32_t)1 << (letter - 'a'));
}

void hext_limit_isa(struct isa *isa)
{
	remove_letter(isa, 'h');
	/* State that is not switched is not offered: f without d, and parts of vector. */
	if (!isa_has_letter(isa, 'd'))
		remove_letter(isa, 'f');
	for (unsigned e = ISA_zvbb; e <= ISA_zvkt && !isa_has_letter(isa, 'v'); e++)
		isa_remove(isa, (enum isa_extension)e);
	/*
	 * A guest that reads its memory uncached could see what was there before it was cleared
	 * through the cache.
	 */
	isa_remove(isa, ISA_svpbmt);
	for (unsigned i = 0; i < hart_count(); i++) {
		if (hext_harts[i].usable)
			limit_to_hart(isa, &hext_harts[i]);
	}
	/* hstateen0 is not passed on to guests, nor anything that only it would open. */
	isa_remove(isa, ISA_ssstateen);
	isa_remove(isa, ISA_smstateen);
	/* A and D are set by hardware whenever it can: guests do not see the faults of Svade. */
	if (isa_has(isa, ISA_svadu))
		isa_remove(isa, ISA_svade);
}
