/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_LIB_PAGING_H
#define GUESTS_LIB_PAGING_H

#include "kernel/types.h"
#include "riscv/csr.h"

#define PTE_V BIT(0)
#define PTE_R BIT(1)
#define PTE_W BIT(2)
#define PTE_X BIT(3)
#define PTE_U BIT(4)
#define PTE_G BIT(5)
#define PTE_A BIT(6)
#define PTE_D BIT(7)
#define PTE_N BIT(63)

#define PTE_RWX  (PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D)
#define PTE_RW   (PTE_V | PTE_R | PTE_W | PTE_A | PTE_D)
#define PTE_LEAF (PTE_R | PTE_W | PTE_X)

/* A guest's page table: Sv39 has 3 levels, Sv48 4, Sv57 5. */
struct paging {
	uint64_t *root;
	unsigned int levels;
};

/* The PTE of a physical address with these flags. */
static inline uint64_t pte_make(uint64_t address, uint64_t flags)
{
	return address >> PAGE_SHIFT << 10 | flags;
}

/* Bytes that a leaf at `level` maps; level 0 has pages of 4 KiB. */
static inline uint64_t paging_size(unsigned int level)
{
	return PAGE_SIZE << (9 * level);
}

/*
 * An empty table, or one with RAM and the devices mapped to themselves for S-mode: the
 * first 4 GiB in 1 GiB pages. Tables are never freed.
 */
void paging_init(struct paging *paging, unsigned int levels);
void paging_init_identity(struct paging *paging, unsigned int levels);

/* The PTE for `va` at `level`; tables above it are made where there are none. */
volatile uint64_t *paging_pte(struct paging *paging, uint64_t va, unsigned int level);

void paging_map(struct paging *paging, uint64_t va, uint64_t pa, unsigned int level,
		uint64_t flags);

/* The value of satp for it. */
uint64_t paging_satp(const struct paging *paging, uint64_t asid);

/* Writes satp and executes sfence.vma; the code that runs must be mapped to itself. */
void paging_on(const struct paging *paging, uint64_t asid);
void paging_off(void);

/* Whether satp takes the mode with so many levels. */
bool paging_supported(unsigned int levels);

static inline void sfence_all(void)
{
	__asm__ volatile("sfence.vma" ::: "memory");
}

static inline void sfence_va(uint64_t va)
{
	__asm__ volatile("sfence.vma %0" ::"r"(va) : "memory");
}

static inline void sfence_asid(uint64_t asid)
{
	__asm__ volatile("sfence.vma zero, %0" ::"r"(asid) : "memory");
}

static inline void sfence_va_asid(uint64_t va, uint64_t asid)
{
	__asm__ volatile("sfence.vma %0, %1" ::"r"(va), "r"(asid) : "memory");
}

#endif
