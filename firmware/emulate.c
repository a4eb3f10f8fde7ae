/* SPDX-License-Identifier: MIT */

/* Instructions that a hart leaves to machine mode, executed for whoever met them. */

#include "firmware/firmware.h"
#include "riscv/insn.h"

static void write_register(struct fw_hart *hart, unsigned reg, uint64_t value)
{
	if (reg)
		hart->x[reg] = value;
}

static bool has_fp(void)
{
	return csr_read(CSR_MISA) >> ('D' - 'A') & 1;
}

/* Whether whoever trapped may use floating-point registers; they are another's, perhaps. */
static bool may_use_fp(const struct fw_hart *hart)
{
	bool is_virtual = hart->has_h && hart->mstatus & MSTATUS_MPV;

	return hart->mstatus & SSTATUS_FS && (!is_virtual || csr_read(CSR_VSSTATUS) & SSTATUS_FS);
}

static void fp_dirty(struct fw_hart *hart)
{
	hart->mstatus |= SSTATUS_FS;
	if (hart->has_h && hart->mstatus & MSTATUS_MPV)
		csr_set(CSR_VSSTATUS, SSTATUS_FS);
}

static bool load(struct fw_hart *hart, const struct insn *insn, uint64_t address, struct trap *trap)
{
	uint64_t value = 0;
	uint8_t byte;

	for (unsigned i = 0; i < insn->size; i++) {
		if (!access_load(hart, address + i, &byte, trap))
			return false;
		value |= (uint64_t)byte << 8 * i;
	}
	if (insn->kind == INSN_LOAD) {
		write_register(hart, insn->rd, insn_extend(insn, value));
		return true;
	}
	/* Narrower values are boxed: all ones above them (Unpriv., "D" extension). */
	fp_write(insn->rd, insn->size == 8 ? value : value | ~UINT64_C(0) << 8 * insn->size);
	fp_dirty(hart);
	return true;
}

static bool store(struct fw_hart *hart, const struct insn *insn, uint64_t address,
		  struct trap *trap)
{
	uint64_t value = insn->kind == INSN_STORE ? hart->x[insn->rs2] : fp_read(insn->rs2);

	for (unsigned i = 0; i < insn->size; i++) {
		if (!access_store(hart, address + i, (uint8_t)(value >> 8 * i), trap))
			return false;
	}
	return true;
}

bool emulate_misaligned(struct fw_hart *hart, struct trap *trap)
{
	uint64_t address = trap->tval;
	struct insn insn;
	uint32_t bits;
	bool is_load, done;

	if (!access_fetch(hart, &bits, trap))
		return false;
	/* What is atomic cannot be done in pieces. */
	if (insn_decode(bits, &insn) != 0 || insn.kind > INSN_STORE_FP)
		return false;
	if (insn.kind >= INSN_LOAD_FP && !has_fp())
		return false;
	/*
	 * Others may have written another instruction there meanwhile. What cannot have trapped so
	 * is left to the hart, which executes it.
	 */
	is_load = insn.kind == INSN_LOAD || insn.kind == INSN_LOAD_FP;
	if (is_load != (trap->cause == EXC_LOAD_MISALIGNED) ||
	    (insn.kind >= INSN_LOAD_FP && !may_use_fp(hart)))
		return true;
	/* x0 is 0, whatever was saved. */
	hart->x[0] = 0;
	if (is_load)
		done = load(hart, &insn, address, trap);
	else
		done = store(hart, &insn, address, trap);
	if (done)
		hart->mepc += insn.length;
	return done;
}

#define OPCODE_SYSTEM 0x73

/* csrrs, csrrc, csrrsi or csrrci that writes nothing, of a counter. */
static bool is_counter_read(uint32_t bits)
{
	uint32_t csr = bits >> 20;

	return (bits & 0x7f) == OPCODE_SYSTEM && (bits >> 12 & 2) && (bits >> 15 & 31) == 0 &&
	       csr >= CSR_CYCLE && csr <= CSR_INSTRET;
}

static uint64_t counter_value(const struct fw_hart *hart, uint32_t csr)
{
	switch (csr) {
	case CSR_CYCLE:
		return csr_read(CSR_MCYCLE);
	case CSR_INSTRET:
		return csr_read(CSR_MINSTRET);
	default:
		return time_now() +
		       (hart->has_h && hart->mstatus & MSTATUS_MPV ? csr_read(CSR_HTIMEDELTA) : 0);
	}
}

/* Whether those above let the mode that trapped read a counter (Priv. 1.13, 12.1.5, 18.2.6). */
static bool may_read(struct fw_hart *hart, uint32_t csr, struct trap *trap)
{
	uint64_t bit = BIT(csr - CSR_CYCLE);
	bool is_virtual = hart->has_h && hart->mstatus & MSTATUS_MPV;
	bool is_user = !(hart->mstatus & MSTATUS_MPP);

	if (!((is_virtual && !(csr_read(CSR_HCOUNTEREN) & bit)) ||
	      (is_user && !(csr_read(CSR_SCOUNTEREN) & bit))))
		return true;
	if (is_virtual)
		trap->cause = EXC_VIRTUAL_INSN;
	return false;
}

bool emulate_illegal(struct fw_hart *hart, struct trap *trap)
{
	uint32_t bits = (uint32_t)trap->tval;

	if (bits == 0 && !access_fetch(hart, &bits, trap))
		return false;
	trap->tval = bits;
	if (!is_counter_read(bits) || !may_read(hart, bits >> 20, trap))
		return false;
	write_register(hart, bits >> 7 & 31, counter_value(hart, bits >> 20));
	hart->mepc += 4;
	return true;
}
