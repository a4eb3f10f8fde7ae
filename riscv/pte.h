/* SPDX-License-Identifier: MIT */
#ifndef RISCV_PTE_H
#define RISCV_PTE_H

/* Page-table entries of Sv39, Sv48, Sv57 and their x4 forms (Priv. 1.13, 12.4 to 12.6, 18.5). */

#define PTE_V 0x01
#define PTE_R 0x02
#define PTE_W 0x04
#define PTE_X 0x08
#define PTE_U 0x10
#define PTE_G 0x20
#define PTE_A 0x40
#define PTE_D 0x80

#define PTE_PPN_SHIFT 10
#define PTE_PPN_BITS  44

#ifndef __ASSEMBLER__

#include "kernel/types.h"

#define PTE_PPN_MASK   BITS(53, 10)
#define PTE_N          BIT(63) /* Svnapot */
#define PTE_ENTRIES    512
#define PTE_LEVELS_MAX 5

static inline uint64_t pte_make(hpa_t address, uint64_t flags)
{
	return (address.v >> PAGE_SHIFT << PTE_PPN_SHIFT) | flags;
}

static inline hpa_t pte_address(uint64_t pte)
{
	return HPA((pte & PTE_PPN_MASK) >> PTE_PPN_SHIFT << PAGE_SHIFT);
}

static inline bool pte_is_leaf(uint64_t pte)
{
	return (pte & (PTE_R | PTE_W | PTE_X)) != 0;
}

/* The lowest address bit that a table at `level` (0 = last) translates. */
static inline unsigned pte_level_shift(unsigned level)
{
	return PAGE_SHIFT + 9 * level;
}

#endif
#endif
