/* SPDX-License-Identifier: MIT */
#ifndef RISCV_TLB_H
#define RISCV_TLB_H

/*
 * SFENCE.VMA on this hart, by what it covers (Priv. 1.13, 12.2.1). One for an address covers
 * leaf entries only: when a table is taken out of a tree, the others are needed.
 * On the host these are functions of the test.
 */

#include "kernel/types.h"

#ifdef __riscv

static inline void tlb_flush_page(uint64_t va, uint64_t asid)
{
	__asm__ volatile("sfence.vma %0, %1" ::"r"(va), "r"(asid) : "memory");
}

static inline void tlb_flush_page_all(uint64_t va)
{
	__asm__ volatile("sfence.vma %0, zero" ::"r"(va) : "memory");
}

static inline void tlb_flush_asid(uint64_t asid)
{
	__asm__ volatile("sfence.vma zero, %0" ::"r"(asid) : "memory");
}

static inline void tlb_flush_all(void)
{
	__asm__ volatile("sfence.vma" ::: "memory");
}

#else

void tlb_flush_page(uint64_t va, uint64_t asid);
void tlb_flush_page_all(uint64_t va);
void tlb_flush_asid(uint64_t asid);
void tlb_flush_all(void);

#endif
#endif
