/* SPDX-License-Identifier: MIT */
#include "guests/lib/paging.h"

#include "guests/lib/memory.h"

void paging_init(struct paging *paging, unsigned int levels)
{
	paging->levels = levels;
	paging->root = heap_take(PAGE_SIZE);
}

void paging_init_identity(struct paging *paging, unsigned int levels)
{
	paging_init(paging, levels);
	for (uint64_t address = 0; address < GIB(4); address += GIB(1))
		paging_map(paging, address, address, 2, PTE_RWX);
}

volatile uint64_t *paging_pte(struct paging *paging, uint64_t va, unsigned int level)
{
	volatile uint64_t *table = paging->root;

	for (unsigned int l = paging->levels - 1;; l--) {
		volatile uint64_t *pte = &table[va >> (PAGE_SHIFT + 9 * l) & 511];

		if (l == level)
			return pte;
		if (!(*pte & PTE_V))
			*pte = pte_make((uint64_t)heap_take(PAGE_SIZE), PTE_V);
		table = (volatile uint64_t *)(*pte >> 10 << PAGE_SHIFT);
	}
}

void paging_map(struct paging *paging, uint64_t va, uint64_t pa, unsigned int level, uint64_t flags)
{
	*paging_pte(paging, va, level) = pte_make(pa, flags);
}

uint64_t paging_satp(const struct paging *paging, uint64_t asid)
{
	return (uint64_t)(ATP_MODE_SV39 + paging->levels - 3) << ATP_MODE_SHIFT |
	       asid << SATP_ASID_SHIFT | (uint64_t)paging->root >> PAGE_SHIFT;
}

void paging_on(const struct paging *paging, uint64_t asid)
{
	csr_write(CSR_SATP, paging_satp(paging, asid));
	sfence_all();
}

void paging_off(void)
{
	csr_write(CSR_SATP, 0);
	sfence_all();
}

bool paging_supported(unsigned int levels)
{
	static uint64_t root[512] __aligned(4096);
	struct paging paging = {root, levels};
	bool supported;

	/* The mode must stay as it was where it is not supported, so this maps all it needs. */
	if (levels == 3)
		for (uint64_t i = 0; i < 4; i++)
			root[i] = pte_make(i * GIB(1), PTE_RWX);
	else
		paging_init_identity(&paging, levels);
	csr_write(CSR_SATP, paging_satp(&paging, 0));
	supported = csr_read(CSR_SATP) == paging_satp(&paging, 0);
	paging_off();
	return supported;
}
