/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHADOW_FIXTURE_H
#define TESTS_UNIT_SHADOW_FIXTURE_H

/* Memory, a hart and a hypervisor for tests of shadow page tables. */

#include "engine/soft/shadow_own.h"
#include "kernel/arena.h"
#include "kernel/layout.h"
#include "kernel/page.h"
#include "tests/unit/model_hart.h"

#define MEMORY_PAGES 16384
#define LEAF         (PTE_V | PTE_R | PTE_W | PTE_U | PTE_A | PTE_D)

static struct page pages[MEMORY_PAGES];
static char *memory;
static struct arena arena;
static struct shadow_layout layout;

/* The hypervisor's own tables: a direct map in the upper half, and the top GiB. */
static uint64_t host_tables[5][PTE_ENTRIES] __aligned(4096);
static const uint64_t *host_root;
/* For S-mode: the last page of the top GiB is another one. */
static uint64_t host_tables_s[2][PTE_ENTRIES] __aligned(4096);
#define FAST_LEAF pte_make(HPA(0x70000000), LEAF)

static void build_host_tables(unsigned root_level)
{
	memset(host_tables, 0, sizeof(host_tables));
	for (unsigned i = PTE_ENTRIES / 2; i < PTE_ENTRIES && root_level > 2; i++)
		host_tables[root_level][i] = pte_make(HPA(i * PAGE_SIZE), PTE_V | PTE_R);
	for (unsigned l = root_level; l > 0; l--)
		host_tables[l][PTE_ENTRIES - 1] =
		    pte_make(pointer_to_hpa(host_tables[l - 1]), PTE_V);
	for (unsigned i = 0; i < PTE_ENTRIES; i++)
		host_tables[0][i] =
		    pte_make(HPA(0x80000000 + i * PAGE_SIZE), PTE_V | PTE_R | PTE_X);
	host_root = host_tables[root_level];
	memcpy(host_tables_s, host_tables, sizeof(host_tables_s));
	host_tables_s[0][PTE_ENTRIES - 1] = FAST_LEAF;
	host_tables_s[1][PTE_ENTRIES - 1] = pte_make(pointer_to_hpa(host_tables_s[0]), PTE_V);
}

static void fill_layout(unsigned root_level, bool resident, uint64_t pin_va, uint64_t asid_max)
{
	build_host_tables(root_level);
	layout = (struct shadow_layout){
	    .root_level = root_level,
	    .resident = resident,
	    .root = host_root,
	    .top_entry = host_tables[2][PTE_ENTRIES - 1],
	    .top_entry_s = resident ? pte_make(pointer_to_hpa(host_tables_s[1]), PTE_V) : 0,
	    .asid_max = asid_max,
	    .pin_count = pin_va ? 2 : 0,
	    .pin_va = pin_va,
	    .pin_pte = {pte_make(HPA(0x90000000), PTE_V | PTE_R | PTE_X),
			pte_make(HPA(0x90001000), PTE_V | PTE_R | PTE_W)},
	};
}

static inline void use_host_tables(void)
{
	model.satp = (uint64_t)(ATP_MODE_SV39 + layout.root_level - 2) << ATP_MODE_SHIFT |
		     pointer_to_hpa(host_root).v >> PAGE_SHIFT;
	if (layout.asid_max == 0)
		tlb_flush_all();
}

/* The hypervisor is in the tables in use; `levels`: of the guest's mode. */
static void check_host(unsigned levels, bool supervisor)
{
	const uint64_t *root = hpa_to_pointer(HPA((model.satp & BITS(43, 0)) << PAGE_SHIFT));
	unsigned level;

	if (!model.satp || root == host_root)
		return;
	if (!layout.resident) {
		for (unsigned i = 0; i < layout.pin_count; i++)
			assert_int_equal(
			    model_walk_memory(model.satp, layout.pin_va + i * PAGE_SIZE, &level),
			    layout.pin_pte[i]);
		return;
	}
	assert_int_equal(model_walk_memory(model.satp, 0xffffffffffffa000, &level),
			 host_tables[0][PTE_ENTRIES - 6]);
	assert_int_equal(model_walk_memory(model.satp, 0xfffffffffffff000, &level),
			 supervisor ? FAST_LEAF : host_tables[0][PTE_ENTRIES - 1]);
	if (levels > layout.root_level)
		return;
	for (unsigned i = PTE_ENTRIES / 2; i < PTE_ENTRIES - 1; i++)
		assert_int_equal(root[i], host_root[i]);
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memory = aligned_alloc(MEMORY_PAGES * PAGE_SIZE, MEMORY_PAGES * PAGE_SIZE);
	page_init(memory, MEMORY_PAGES, pages);
	page_add(memory, MEMORY_PAGES);
	arena_init(&arena);
	return 0;
}

static void destroy(void)
{
	while (arena_destroy_step(&arena) == ERR_AGAIN)
		;
	assert_int_equal(page_free_bytes(), page_total_bytes());
}

static int teardown(void **state)
{
	(void)state;
	free(memory);
	return 0;
}

#endif
