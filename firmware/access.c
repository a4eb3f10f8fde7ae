/* SPDX-License-Identifier: MIT */

/*
 * Accesses that may fault. Those for S-mode and below are made through MPRV, with the privilege,
 * virtualization and translation of the hart when it trapped: PMP, page tables and a hypervisor's
 * second stage decide about them as about its own.
 */

#include "firmware/firmware.h"

/* An access by one instruction with `status` in mstatus meanwhile. */
#define guarded(instruction, status, address, value)                                               \
	({                                                                                         \
		uint64_t ok_, old_;                                                                \
		__asm__ volatile("la %0, 1f\n sd %0, %5(tp)\n csrrw %1, mstatus, %3\n" instruction \
				 " %2, (%4)\n csrw mstatus, %1\n li %0, 1\n"                       \
				 "sd zero, %5(tp)\n j 2f\n 1: li %0, 0\n 2:"                       \
				 : "=&r"(ok_), "=&r"(old_), "+&r"(value)                           \
				 : "r"(status), "r"(address), "i"(FW_RESUME)                       \
				 : "memory");                                                      \
		ok_ != 0;                                                                          \
	})

static uint64_t status_of(const struct fw_hart *hart)
{
	/* A double trap would be one if MDT were set. */
	return (hart->mstatus & ~BIT(MSTATUS_MDT_SHIFT)) | MSTATUS_MPRV;
}

/*
 * What S-mode is told of a fault. A transformed instruction would be the firmware's own: 0 is right
 * always, but for implicit accesses to page tables, which have a pseudoinstruction.
 */
static bool failed(const struct fw_hart *hart, struct trap *trap)
{
	bool is_pseudo = (hart->tinst & ~UINT64_C(0x1020)) == 0x2000;

	*trap = (struct trap){.cause = hart->cause,
			      .tval = hart->tval,
			      .tval2 = hart->tval2,
			      .tinst = is_pseudo ? hart->tinst : 0,
			      .gva = hart->has_h && hart->status & MSTATUS_GVA};
	return false;
}

bool access_load(struct fw_hart *hart, uint64_t address, uint8_t *byte, struct trap *trap)
{
	uint64_t value = 0;

	if (!guarded("lbu", status_of(hart), address, value))
		return failed(hart, trap);
	*byte = (uint8_t)value;
	return true;
}

bool access_store(struct fw_hart *hart, uint64_t address, uint8_t byte, struct trap *trap)
{
	uint64_t value = byte;

	return guarded("sb", status_of(hart), address, value) || failed(hart, trap);
}

/* MXR: what may be executed can be read. A fault is one of a fetch, then. */
static bool fetch_parcel(struct fw_hart *hart, uint64_t address, uint64_t *parcel,
			 struct trap *trap)
{
	*parcel = 0;
	if (guarded("lhu", status_of(hart) | SSTATUS_MXR, address, *parcel))
		return true;
	failed(hart, trap);
	if (trap->cause == EXC_LOAD_ACCESS)
		trap->cause = EXC_INSN_ACCESS;
	else if (trap->cause == EXC_LOAD_PAGE)
		trap->cause = EXC_INSN_PAGE;
	else if (trap->cause == EXC_LOAD_GUEST_PAGE)
		trap->cause = EXC_INSN_GUEST_PAGE;
	return false;
}

bool access_fetch(struct fw_hart *hart, uint32_t *bits, struct trap *trap)
{
	uint64_t low, high = 0;

	if (!fetch_parcel(hart, hart->mepc, &low, trap))
		return false;
	if ((low & 3) == 3 && !fetch_parcel(hart, hart->mepc + 2, &high, trap))
		return false;
	*bits = (uint32_t)(low | high << 16);
	return true;
}

bool access_physical_load(uint64_t address, uint8_t *byte)
{
	uint64_t value = 0;

	if (!guarded("lbu", csr_read(CSR_MSTATUS), address, value))
		return false;
	*byte = (uint8_t)value;
	return true;
}

bool access_physical_store(uint64_t address, uint8_t byte)
{
	uint64_t value = byte;

	return guarded("sb", csr_read(CSR_MSTATUS), address, value);
}
