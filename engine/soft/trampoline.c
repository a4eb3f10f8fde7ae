/* SPDX-License-Identifier: MIT */

#include "engine/soft/trampoline.h"

#include "kernel/error.h"
#include "kernel/mmu.h"
#include "riscv/csr.h"
#include "riscv/tlb.h"

/* engine/soft/trampoline_code.S */
extern const char trampoline_code[];
extern const char trampoline_vector[], trampoline_enter[];
extern const char trampoline_vector_flush[], trampoline_enter_flush[];

#define PIN_CODE (PTE_V | PTE_R | PTE_X | PTE_A)
#define PIN_DATA (PTE_V | PTE_R | PTE_W | PTE_A | PTE_D)

void trampoline_init(void)
{
	for (unsigned i = 0; i < PIN_CANDIDATES; i++)
		mmu_map_code(pin_candidate(i), trampoline_code);
}

static void pin(struct vcpu *vcpu, struct shadow_layout *layout)
{
	struct soft_vcpu *soft = vcpu->soft;

	layout->resident = false;
	layout->passing = layout->root_level > 2;
	layout->pin_count = PIN_PAGES;
	layout->pin_va = pin_candidate(soft->pin);
	layout->pin_pte[0] = pte_make(image_to_hpa(trampoline_code), PIN_CODE);
	layout->pin_pte[1] = pte_make(pointer_to_hpa(soft->trampoline), PIN_DATA);
	vcpu->trampoline = soft->trampoline;
}

int trampoline_init_vcpu(struct vcpu *vcpu, struct shadow_layout *layout)
{
	struct trampoline *trampoline = arena_alloc_pages(vcpu->guest->arena, 0, ARENA_TABLES);

	if (!trampoline)
		return ERR_NOMEM;
	trampoline->vcpu = (uint64_t)vcpu;
	trampoline->host_satp = mmu_satp();
	vcpu->soft->trampoline = trampoline;
	if (!layout->resident)
		pin(vcpu, layout);
	return 0;
}

void trampoline_reset(struct vcpu *vcpu)
{
	struct shadow *shadow = &vcpu->soft->shadow;
	struct shadow_layout layout = shadow->layout;

	if (!layout.passing)
		return;
	layout.resident = true;
	layout.passing = false;
	layout.pin_count = 0;
	vcpu->trampoline = NULL;
	shadow_change_layout(shadow, &layout);
}

void trampoline_select(struct vcpu *vcpu)
{
	const struct soft_vcpu *soft = vcpu->soft;
	struct trampoline *trampoline = soft->trampoline;
	uint64_t offset = soft->shadow.layout.pin_va - (uint64_t)trampoline_code;
	bool flush = SATP_ASID(soft->host_satp) == 0;

	trampoline->guest_satp = soft->host_satp;
	trampoline->vector =
	    (uint64_t)(flush ? trampoline_vector_flush : trampoline_vector) + offset;
	trampoline->enter = (uint64_t)(flush ? trampoline_enter_flush : trampoline_enter) + offset;
}

void trampoline_give_way(struct vcpu *vcpu)
{
	struct soft_vcpu *soft = vcpu->soft;
	struct shadow_layout layout = soft->shadow.layout;

	if (!shadow_prepare_change(&soft->shadow))
		return;
	/* The next one from those that the guest has used longest ago. */
	if (!layout.resident)
		soft->pin = (soft->pin + 1) % PIN_CANDIDATES;
	pin(vcpu, &layout);
	csr_write(CSR_SATP, mmu_satp());
	shadow_change_layout(&soft->shadow, &layout);
	soft_update_after_flush(vcpu);
}
