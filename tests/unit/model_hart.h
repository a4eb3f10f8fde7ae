/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_MODEL_HART_H
#define TESTS_UNIT_MODEL_HART_H

/*
 * A hart that translates as freely as Priv. 1.13, 12.2.1 allows, for one source file of a test
 * program: it keeps leaves and the tables above them, per ASID, until an SFENCE.VMA covers
 * them, and one for an address covers leaves only.
 */

#include "kernel/mmu.h"
#include "riscv/csr.h"
#include "riscv/pte.h"
#include "riscv/tlb.h"
#include "tests/unit/fake_kernel.h"

#define MODEL_LEAVES 64
#define MODEL_TABLES 64

struct model_entry {
	bool used;
	uint16_t asid;
	unsigned level; /* of the leaf, or of the table */
	uint64_t prefix;
	uint64_t pte;
};

static struct {
	uint64_t satp;
	struct model_entry leaves[MODEL_LEAVES], tables[MODEL_TABLES];
	unsigned fences;        /* how many there were */
	void (*at_fence)(void); /* called at each SFENCE.VMA, before it takes effect */
} model;

const uint64_t *mmu_table(uint64_t entry)
{
	return hpa_to_pointer(pte_address(entry));
}

static inline uint16_t model_asid(void)
{
	return (uint16_t)(model.satp >> SATP_ASID_SHIFT);
}

static inline unsigned model_root_level(void)
{
	return (unsigned)(model.satp >> ATP_MODE_SHIFT) - ATP_MODE_SV39 + 2;
}

static void model_flush(const uint64_t *va, const uint64_t *asid)
{
	model.fences++;
	if (model.at_fence)
		model.at_fence();
	for (unsigned i = 0; i < MODEL_LEAVES; i++) {
		struct model_entry *leaf = &model.leaves[i];

		if ((!asid || leaf->asid == *asid) &&
		    (!va || leaf->prefix == *va >> pte_level_shift(leaf->level)))
			leaf->used = false;
	}
	for (unsigned i = 0; i < MODEL_TABLES && !va; i++) {
		if (!asid || model.tables[i].asid == *asid)
			model.tables[i].used = false;
	}
}

void tlb_flush_page(uint64_t va, uint64_t asid)
{
	model_flush(&va, &asid);
}

void tlb_flush_page_all(uint64_t va)
{
	model_flush(&va, NULL);
}

void tlb_flush_asid(uint64_t asid)
{
	model_flush(NULL, &asid);
}

void tlb_flush_all(void)
{
	model_flush(NULL, NULL);
}

static void model_keep(struct model_entry *entries, unsigned count, unsigned level, uint64_t prefix,
		       uint64_t pte)
{
	entries[fake_random_below(count)] = (struct model_entry){
	    .used = true, .asid = model_asid(), .level = level, .prefix = prefix, .pte = pte};
}

/* The tables as they are in memory; 0: no leaf. */
static uint64_t model_walk_memory(uint64_t satp, uint64_t va, unsigned *level)
{
	const uint64_t *table = hpa_to_pointer(HPA((satp & BITS(43, 0)) << PAGE_SHIFT));

	*level = (unsigned)(satp >> ATP_MODE_SHIFT) - ATP_MODE_SV39 + 2;
	for (;; --*level) {
		uint64_t pte = table[va >> pte_level_shift(*level) & (PTE_ENTRIES - 1)];

		if (!(pte & PTE_V))
			return 0;
		if (pte_is_leaf(pte))
			return pte;
		assert_true(*level > 0);
		table = hpa_to_pointer(pte_address(pte));
	}
}

/* Where the hart's walk begins: at the root, or at a table that it remembers. */
static const uint64_t *model_start(uint64_t va, unsigned *level)
{
	*level = model_root_level();
	for (unsigned i = 0; i < MODEL_TABLES; i++) {
		struct model_entry *t = &model.tables[i];

		if (t->used && t->asid == model_asid() &&
		    t->prefix == va >> pte_level_shift(t->level + 1) && fake_random_below(2)) {
			*level = t->level;
			return hpa_to_pointer(pte_address(t->pte));
		}
	}
	return hpa_to_pointer(HPA((model.satp & BITS(43, 0)) << PAGE_SHIFT));
}

static uint64_t model_walk(uint64_t va, unsigned *level)
{
	const uint64_t *table = model_start(va, level);

	for (;; --*level) {
		uint64_t pte = table[va >> pte_level_shift(*level) & (PTE_ENTRIES - 1)];

		if (!(pte & PTE_V))
			return 0;
		if (pte_is_leaf(pte)) {
			model_keep(model.leaves, MODEL_LEAVES, *level,
				   va >> pte_level_shift(*level), pte);
			return pte;
		}
		assert_true(*level > 0);
		if (fake_random_below(2))
			model_keep(model.tables, MODEL_TABLES, *level - 1,
				   va >> pte_level_shift(*level), pte);
		table = hpa_to_pointer(pte_address(pte));
	}
}

/* What the hart finds for `va`, a canonical address: a leaf, or 0. */
static uint64_t model_translate(uint64_t va, unsigned *level)
{
	for (unsigned i = 0; i < MODEL_LEAVES; i++) {
		struct model_entry *leaf = &model.leaves[i];

		if (leaf->used && leaf->asid == model_asid() &&
		    leaf->prefix == va >> pte_level_shift(leaf->level)) {
			*level = leaf->level;
			return leaf->pte;
		}
	}
	return model_walk(va, level);
}

#endif
