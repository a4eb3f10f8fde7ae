/* SPDX-License-Identifier: MIT */
#ifndef RISCV_GUEST_TLB_H
#define RISCV_GUEST_TLB_H

/*
 * What this hart remembers of guests' translations, with the H extension (Priv. 1.13, 18.3.2). On
 * the host these are functions of the test.
 */

#include "kernel/types.h"
#include "riscv/csr.h"

#ifdef __riscv

/* hgatp: the guest with this VMID; `table` are the other fields. */
static inline void tlb_use_guest(uint64_t vmid, uint64_t table)
{
	csr_write(CSR_HGATP, table | vmid << HGATP_VMID_SHIFT);
}

/* HFENCE.GVMA: where guest-physical addresses lead, for all guests. */
static inline void tlb_flush_guests(void)
{
	__asm__ volatile(".word 0x62000073" ::: "memory");
}

/* HFENCE.VVMA, and FENCE.I: where virtual addresses lead, under the VMID that hgatp has. */
static inline void tlb_flush_guest_addresses(void)
{
	__asm__ volatile(".word 0x22000073\n"
			 "fence.i" ::
			     : "memory");
}

#else

void tlb_use_guest(uint64_t vmid, uint64_t table);
void tlb_flush_guests(void);
void tlb_flush_guest_addresses(void);

#endif
#endif
