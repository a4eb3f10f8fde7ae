/* SPDX-License-Identifier: MIT */

#include "engine/fp.h"

#include "engine/guest.h"
#include "kernel/arena.h"
#include "kernel/error.h"
#include "kernel/hart.h"

/* By hart index: whose state the registers hold, or NULL. Each hart uses its own. */
static struct vcpu *owners[HARTS_MAX];

static bool hart_has(char letter)
{
	return isa_has_letter(this_hart()->isa, letter);
}

static void open_state(void)
{
	csr_set(CSR_SSTATUS, SSTATUS_FS | SSTATUS_VS);
}

void fp_reset(struct vcpu *vcpu)
{
	vcpu->fp = (struct fp_state){.fcsr = 0};
	vcpu->vector.vstart = vcpu->vector.vcsr = vcpu->vector.vl = 0;
	vcpu->vector.vtype = BIT(63); /* vill */
	vcpu->fp_hart = NULL;
}

int fp_init(struct vcpu *vcpu)
{
	uint64_t size;

	if (!isa_has_letter(&vcpu->guest->isa, 'v'))
		return 0;
	csr_set(CSR_SSTATUS, (uint64_t)XS_INITIAL << SSTATUS_VS_SHIFT);
	size = 32 * csr_read(CSR_VLENB);
	csr_clear(CSR_SSTATUS, SSTATUS_VS);
	vcpu->vector.registers = arena_alloc(vcpu->guest->arena, size);
	return vcpu->vector.registers ? 0 : ERR_NOMEM;
}

/* Registers that the guest is not offered are restored as well: no other's are left in them. */
void fp_load(struct vcpu *vcpu)
{
	struct vcpu **owner = &owners[this_hart()->index];

	if (*owner == vcpu && vcpu->fp_hart == this_hart())
		return;
	*owner = vcpu;
	vcpu->fp_hart = this_hart();
	open_state();
	if (hart_has('d'))
		fp_registers_restore(&vcpu->fp);
	if (vcpu->vector.registers)
		vector_registers_restore(&vcpu->vector, vcpu->vector.registers);
}

void fp_save(struct vcpu *vcpu, uint64_t dirty)
{
	open_state();
	if (dirty & SSTATUS_FS && hart_has('d'))
		fp_registers_save(&vcpu->fp);
	if (dirty & SSTATUS_VS && vcpu->vector.registers)
		vector_registers_save(&vcpu->vector, vcpu->vector.registers);
}

uint64_t fp_read(struct vcpu *vcpu, unsigned n)
{
	csr_set(CSR_SSTATUS, SSTATUS_FS);
	fp_registers_save(&vcpu->fp);
	return vcpu->fp.f[n];
}

void fp_write(struct vcpu *vcpu, unsigned n, uint64_t value)
{
	csr_set(CSR_SSTATUS, SSTATUS_FS);
	fp_registers_save(&vcpu->fp);
	vcpu->fp.f[n] = value;
	fp_registers_restore(&vcpu->fp);
}
