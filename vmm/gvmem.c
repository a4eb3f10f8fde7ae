/* SPDX-License-Identifier: MIT */

#include "vmm/gvmem.h"

#include "kernel/error.h"
#include "riscv/csr.h"
#include "riscv/pte.h"
#include "vmm/gmem.h"

#define SATP_PPN BITS(43, 0)

/* Of Svnapot there is one size, 16 pages, and one encoding in the page number. */
#define NAPOT_MASK ((uint64_t)0xf << PTE_PPN_SHIFT)
#define NAPOT_64K  ((uint64_t)0x8 << PTE_PPN_SHIFT)

/* Priv. 1.13, 12.4.1: bits 63 and below are all equal to the highest bit that is translated. */
static bool is_canonical(gva_t address, unsigned levels)
{
	unsigned unused = 64 - pte_level_shift(levels);

	return (uint64_t)((int64_t)(address.v << unused) >> unused) == address.v;
}

static int translate_leaf(uint64_t entry, unsigned level, gva_t address, gpa_t *gpa)
{
	uint64_t mask = BIT(pte_level_shift(level)) - 1;

	if (!(entry & PTE_R) && entry & PTE_W)
		return ERR_FAULT;
	if (entry & PTE_N) {
		if (level > 0 || (entry & NAPOT_MASK) != NAPOT_64K)
			return ERR_FAULT;
		mask = KIB(64) - 1;
	} else if (pte_address(entry).v & mask) {
		return ERR_FAULT;
	}
	*gpa = GPA((pte_address(entry).v & ~mask) | (address.v & mask));
	return 0;
}

int gvmem_translate(const struct vm *vm, uint64_t satp, gva_t address, gpa_t *gpa)
{
	uint64_t mode = satp >> ATP_MODE_SHIFT;
	uint64_t table = (satp & SATP_PPN) << PAGE_SHIFT;
	unsigned level = (unsigned)(mode - ATP_MODE_SV39) + 3;

	if (mode == ATP_MODE_BARE) {
		*gpa = GPA(address.v);
		return 0;
	}
	if (mode < ATP_MODE_SV39 || mode > ATP_MODE_SV57 || !is_canonical(address, level))
		return ERR_FAULT;
	while (level-- > 0) {
		uint64_t index = address.v >> pte_level_shift(level) & (PTE_ENTRIES - 1);
		uint64_t entry;

		if (gmem_peek(vm, GPA(table + index * sizeof(entry)), &entry, sizeof(entry)) != 0)
			return ERR_CORRUPT;
		if (!(entry & PTE_V))
			return ERR_FAULT;
		if (entry & (PTE_R | PTE_W | PTE_X))
			return translate_leaf(entry, level, address, gpa);
		table = pte_address(entry).v;
	}
	return ERR_FAULT;
}

int gvmem_read(const struct vm *vm, uint64_t satp, gva_t address, void *to, uint64_t size)
{
	char *bytes = to;
	int error;
	gpa_t gpa;

	if (size > 0 && address.v + (size - 1) < address.v)
		return ERR_RANGE;
	while (size > 0) {
		uint64_t piece = min_u64(size, PAGE_SIZE - (address.v & (PAGE_SIZE - 1)));

		error = gvmem_translate(vm, satp, address, &gpa);
		if (!error)
			error = gmem_peek(vm, gpa, bytes, piece);
		if (error)
			return error;
		bytes += piece;
		address.v += piece;
		size -= piece;
	}
	return 0;
}
