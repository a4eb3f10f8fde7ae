/* SPDX-License-Identifier: MIT */

/* The guest's supervisor CSRs. Section numbers are of the Privileged Architecture, 1.13. */

#include "engine/soft/csr.h"

#include "engine/guest.h"
#include "engine/soft/soft.h"
#include "kernel/error.h"
#include "riscv/csr.h"

#define SSTATUS_PLAIN \
	((uint64_t)(SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP | SSTATUS_SUM | SSTATUS_MXR))
#define SSTATUS_VIEW ((uint64_t)(SSTATUS_SUM | SSTATUS_MXR))

#define IRQ_ALL (BIT(IRQ_S_SOFT) | BIT(IRQ_S_TIMER) | BIT(IRQ_S_EXT))

#define COUNTEREN_ALL (COUNTEREN_CY | COUNTEREN_TM | COUNTEREN_IR)

#define STVEC_MODE     3
#define STVEC_VECTORED 1

#define CBIE_FLUSH    (UINT64_C(1) << 4)
#define CBIE_RESERVED (UINT64_C(2) << 4)

/* A CSR instruction's operation: the low two bits of funct3 (Unpriv., Zicsr). */
#define OPERATION_WRITE     1
#define OPERATION_SET       2
#define OPERATION_CLEAR     3
#define OPERATION_IMMEDIATE BIT(14)

/* FS and VS as far as the guest has them. */
static uint64_t extension_fields(const struct vcpu *vcpu)
{
	const struct isa *isa = &vcpu->guest->isa;
	uint64_t fields = 0;

	if (isa_has_letter(isa, 'f') || isa_has_letter(isa, 'd'))
		fields |= SSTATUS_FS;
	if (isa_has_letter(isa, 'v'))
		fields |= SSTATUS_VS;
	return fields;
}

void soft_csr_reset(struct vcpu *vcpu)
{
	struct soft_vcpu *soft = vcpu->soft;

	soft->csrs = (struct soft_csrs){
	    /* As firmware leaves it: user mode may read `time` before a kernel has said so. */
	    .scounteren = COUNTEREN_ALL,
	};
	soft->privilege = SOFT_S;
	soft->unsaved = 0;
}

static uint64_t read_sstatus(const struct vcpu *vcpu)
{
	uint64_t fields = vcpu->sstatus & extension_fields(vcpu);
	uint64_t value = vcpu->soft->csrs.sstatus | fields | SSTATUS_UXL_64;

	/* 12.1.1: SD sums up whether a field is Dirty. */
	if ((fields & SSTATUS_FS) == SSTATUS_FS || (fields & SSTATUS_VS) == SSTATUS_VS)
		value |= SSTATUS_SD;
	return value;
}

/* Writes FS or VS. */
static void write_field(struct vcpu *vcpu, uint64_t field, uint64_t value)
{
	/*
	 * A guest that calls its registers clean has saved them for itself. In the hart there
	 * is still the only copy that we have.
	 */
	if ((vcpu->sstatus & field) == field && (value & field) != field)
		vcpu->soft->unsaved |= field;
	vcpu->sstatus = (vcpu->sstatus & ~field) | (value & field);
}

static void note_interrupts(const struct vcpu *vcpu, unsigned *effects)
{
	if (soft_pending_interrupt(vcpu))
		*effects |= EFFECT_INTERRUPTS;
}

static void write_sstatus(struct vcpu *vcpu, uint64_t value, unsigned *effects)
{
	struct soft_csrs *csrs = &vcpu->soft->csrs;
	uint64_t fields = extension_fields(vcpu);

	if ((csrs->sstatus ^ value) & SSTATUS_VIEW)
		*effects |= EFFECT_VIEW;
	csrs->sstatus = value & SSTATUS_PLAIN;
	if (fields & SSTATUS_FS)
		write_field(vcpu, SSTATUS_FS, value);
	if (fields & SSTATUS_VS)
		write_field(vcpu, SSTATUS_VS, value);
	note_interrupts(vcpu, effects);
}

/*
 * Changes sip.SSIP, the only bit of sip that can be written (12.1.3), to what the masks say,
 * and returns sip as it was: in one step, for other harts raise interrupts meanwhile.
 */
static uint64_t modify_sip(struct vcpu *vcpu, uint64_t set, uint64_t clear, unsigned *effects)
{
	uint32_t ssip = (uint32_t)BIT(IRQ_S_SOFT);
	uint32_t old;

	if (set & ssip)
		old = __atomic_fetch_or(&vcpu->irq, ssip, __ATOMIC_SEQ_CST);
	else if (clear & ssip)
		old = __atomic_fetch_and(&vcpu->irq, ~ssip, __ATOMIC_SEQ_CST);
	else
		old = __atomic_load_n(&vcpu->irq, __ATOMIC_SEQ_CST);
	note_interrupts(vcpu, effects);
	return old & IRQ_ALL;
}

/* The modes a guest may use go by what its device tree says that it has. */
static bool is_satp_legal(const struct vcpu *vcpu, uint64_t value)
{
	switch (value >> ATP_MODE_SHIFT) {
	case ATP_MODE_BARE:
	case ATP_MODE_SV39:
		return true;
	case ATP_MODE_SV48:
		return vcpu->guest->isa.virtual_address_bits >= 48;
	default:
		return false;
	}
}

static void write_satp(struct vcpu *vcpu, uint64_t value, unsigned *effects)
{
	uint64_t *satp = &vcpu->soft->csrs.satp;

	/* 12.1.11: a write of an unsupported mode has no effect at all. */
	if (!is_satp_legal(vcpu, value))
		return;
	/* In Bare mode the other fields must be written as 0; what else they do is ours. */
	if (value >> ATP_MODE_SHIFT == ATP_MODE_BARE)
		value = 0;
	if (*satp != value)
		*effects |= EFFECT_SATP;
	*satp = value;
}

static void write_stvec(struct soft_csrs *csrs, uint64_t value)
{
	uint64_t mode = value & STVEC_MODE;

	if (mode > STVEC_VECTORED)
		mode = csrs->stvec & STVEC_MODE;
	csrs->stvec = (value & ~(uint64_t)STVEC_MODE) | mode;
}

/* The fields of senvcfg for instructions that the guest has. */
static uint64_t envcfg_instructions(const struct vcpu *vcpu)
{
	const struct isa *isa = &vcpu->guest->isa;
	uint64_t fields = 0;

	if (isa_has(isa, ISA_zicbom))
		fields |= ENVCFG_CBIE | ENVCFG_CBCFE;
	if (isa_has(isa, ISA_zicboz))
		fields |= ENVCFG_CBZE;
	return fields;
}

static void write_senvcfg(struct vcpu *vcpu, uint64_t value, unsigned *effects)
{
	uint64_t *senvcfg = &vcpu->soft->csrs.senvcfg;
	uint64_t mask = envcfg_instructions(vcpu) | ENVCFG_FIOM;

	if ((value & ENVCFG_CBIE) == CBIE_RESERVED)
		value = (value & ~(uint64_t)ENVCFG_CBIE) | (*senvcfg & ENVCFG_CBIE);
	*senvcfg = value & mask;
	*effects |= EFFECT_ENVIRONMENT;
}

int soft_csr_read(struct vcpu *vcpu, unsigned number, uint64_t *value)
{
	const struct soft_csrs *csrs = &vcpu->soft->csrs;

	switch (number) {
	case CSR_SSTATUS:
		*value = read_sstatus(vcpu);
		return 0;
	case CSR_SIE:
		*value = csrs->sie;
		return 0;
	case CSR_STVEC:
		*value = csrs->stvec;
		return 0;
	case CSR_SCOUNTEREN:
		*value = csrs->scounteren;
		return 0;
	case CSR_SENVCFG:
		*value = csrs->senvcfg;
		return 0;
	case CSR_SSCRATCH:
		*value = csrs->sscratch;
		return 0;
	case CSR_SEPC:
		*value = csrs->sepc;
		return 0;
	case CSR_SCAUSE:
		*value = csrs->scause;
		return 0;
	case CSR_STVAL:
		*value = csrs->stval;
		return 0;
	case CSR_SIP:
		*value = __atomic_load_n(&vcpu->irq, __ATOMIC_SEQ_CST) & IRQ_ALL;
		return 0;
	case CSR_SATP:
		*value = csrs->satp;
		return 0;
	default:
		return ERR_NOSYS;
	}
}

void soft_read_state(struct vcpu *vcpu, bool loaded, struct vcpu_state *state)
{
	const struct soft_vcpu *soft = vcpu->soft;
	const struct soft_csrs *csrs = &soft->csrs;

	(void)loaded;
	*state = (struct vcpu_state){
	    .pc = vcpu->pc,
	    .user = soft->privilege == SOFT_U,
	    .sstatus = read_sstatus(vcpu),
	    .sie = csrs->sie,
	    .sip = __atomic_load_n(&vcpu->irq, __ATOMIC_SEQ_CST) & IRQ_ALL,
	    .stvec = csrs->stvec,
	    .sscratch = csrs->sscratch,
	    .sepc = csrs->sepc,
	    .scause = csrs->scause,
	    .stval = csrs->stval,
	    .satp = csrs->satp,
	};
	for (unsigned i = 1; i < 32; i++)
		state->x[i] = vcpu->x[i];
}

int soft_csr_write(struct vcpu *vcpu, unsigned number, uint64_t value, unsigned *effects)
{
	struct soft_csrs *csrs = &vcpu->soft->csrs;

	switch (number) {
	case CSR_SSTATUS:
		write_sstatus(vcpu, value, effects);
		return 0;
	case CSR_SIE:
		csrs->sie = value & IRQ_ALL;
		note_interrupts(vcpu, effects);
		return 0;
	case CSR_STVEC:
		write_stvec(csrs, value);
		return 0;
	case CSR_SCOUNTEREN:
		csrs->scounteren = value & COUNTEREN_ALL;
		*effects |= EFFECT_ENVIRONMENT;
		return 0;
	case CSR_SENVCFG:
		write_senvcfg(vcpu, value, effects);
		return 0;
	case CSR_SSCRATCH:
		csrs->sscratch = value;
		return 0;
	case CSR_SEPC:
		csrs->sepc = value & ~UINT64_C(1);
		return 0;
	case CSR_SCAUSE:
		csrs->scause = value;
		return 0;
	case CSR_STVAL:
		csrs->stval = value;
		return 0;
	case CSR_SIP:
		modify_sip(vcpu, value, ~value, effects);
		return 0;
	case CSR_SATP:
		write_satp(vcpu, value, effects);
		return 0;
	default:
		return ERR_NOSYS;
	}
}

/* Of sip, SSIP is read and written in one step. */
static uint64_t sip_instruction(struct vcpu *vcpu, unsigned operation, uint64_t operand,
				unsigned *effects)
{
	switch (operation) {
	case OPERATION_SET:
		return modify_sip(vcpu, operand, 0, effects);
	case OPERATION_CLEAR:
		return modify_sip(vcpu, 0, operand, effects);
	default:
		return modify_sip(vcpu, operand, ~operand, effects);
	}
}

static uint64_t combine(unsigned operation, uint64_t old, uint64_t operand)
{
	switch (operation) {
	case OPERATION_SET:
		return old | operand;
	case OPERATION_CLEAR:
		return old & ~operand;
	default:
		return operand;
	}
}

int soft_csr_instruction(struct vcpu *vcpu, uint32_t bits, unsigned *effects)
{
	unsigned operation = bits >> 12 & 3;
	unsigned number = bits >> 20;
	unsigned rd = bits >> 7 & 31;
	unsigned rs1 = bits >> 15 & 31;
	uint64_t operand = bits & OPERATION_IMMEDIATE ? rs1 : vcpu->x[rs1];
	uint64_t old;
	int error = operation ? soft_csr_read(vcpu, number, &old) : ERR_NOSYS;

	if (error)
		return error;
	if (operation == OPERATION_WRITE || rs1 != 0) {
		if (number == CSR_SIP)
			old = sip_instruction(vcpu, operation, operand, effects);
		else
			soft_csr_write(vcpu, number, combine(operation, old, operand), effects);
	}
	if (rd != 0)
		vcpu->x[rd] = old;
	return 0;
}

void soft_trap_enter(struct vcpu *vcpu, uint64_t cause, uint64_t value)
{
	struct soft_vcpu *soft = vcpu->soft;
	struct soft_csrs *csrs = &soft->csrs;
	uint64_t status = csrs->sstatus & SSTATUS_VIEW;

	if (csrs->sstatus & SSTATUS_SIE)
		status |= SSTATUS_SPIE;
	if (soft->privilege == SOFT_S)
		status |= SSTATUS_SPP;
	csrs->sstatus = status;
	csrs->sepc = vcpu->pc & ~UINT64_C(1);
	csrs->scause = cause;
	csrs->stval = value;
	soft->privilege = SOFT_S;
	vcpu->pc = csrs->stvec & ~(uint64_t)STVEC_MODE;
	/* 12.1.2: in Vectored mode, exceptions still go to BASE. */
	if (cause & SCAUSE_INTERRUPT && (csrs->stvec & STVEC_MODE) == STVEC_VECTORED)
		vcpu->pc += 4 * (cause & ~SCAUSE_INTERRUPT);
}

void soft_sret(struct vcpu *vcpu, unsigned *effects)
{
	struct soft_vcpu *soft = vcpu->soft;
	struct soft_csrs *csrs = &soft->csrs;
	uint64_t status = (csrs->sstatus & SSTATUS_VIEW) | SSTATUS_SPIE;

	if (csrs->sstatus & SSTATUS_SPIE)
		status |= SSTATUS_SIE;
	if (!(csrs->sstatus & SSTATUS_SPP)) {
		soft->privilege = SOFT_U;
		*effects |= EFFECT_VIEW;
	}
	csrs->sstatus = status;
	/* Where the guest may have put it by itself, bit 0 may be set. */
	vcpu->pc = csrs->sepc & ~UINT64_C(1);
	note_interrupts(vcpu, effects);
}

uint64_t soft_pending_interrupt(const struct vcpu *vcpu)
{
	static const uint8_t by_priority[] = {IRQ_S_EXT, IRQ_S_SOFT, IRQ_S_TIMER};
	const struct soft_vcpu *soft = vcpu->soft;
	uint64_t irq = __atomic_load_n(&vcpu->irq, __ATOMIC_SEQ_CST) & soft->csrs.sie;

	if (likely(!irq) || (soft->privilege == SOFT_S && !(soft->csrs.sstatus & SSTATUS_SIE)))
		return 0;
	for (unsigned i = 0; i < ARRAY_SIZE(by_priority); i++) {
		if (irq & BIT(by_priority[i]))
			return SCAUSE_INTERRUPT | by_priority[i];
	}
	return 0;
}

uint64_t soft_hart_counteren(const struct vcpu *vcpu, uint64_t privilege)
{
	return privilege == SOFT_S ? COUNTEREN_ALL : vcpu->soft->csrs.scounteren;
}

/*
 * FIOM is for a hypervisor like this one (12.1.10): what a guest takes for a device is memory
 * of ours, and its fences have to order it, too.
 */
uint64_t soft_hart_envcfg(const struct vcpu *vcpu, uint64_t privilege)
{
	const struct soft_vcpu *soft = vcpu->soft;
	uint64_t value = envcfg_instructions(vcpu);

	if (privilege == SOFT_U)
		value &= soft->csrs.senvcfg;
	/* An invalidation flushes: what lay in memory before must not reappear. */
	if (value & ENVCFG_CBIE)
		value = (value & ~(uint64_t)ENVCFG_CBIE) | CBIE_FLUSH;
	return value | ENVCFG_FIOM;
}
