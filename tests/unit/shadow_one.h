/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHADOW_ONE_H
#define TESTS_UNIT_SHADOW_ONE_H

/* One vCPU's shadow tables, as a guest with Sv39 uses them. */

#include "tests/unit/shadow_fixture.h"

#define VIEW_U   0
#define VIEW_S   1
#define VIEW_SUM 2

#define KERNEL 0xffffffff80000000
#define USER   0x10000

static struct shadow shadow;

static inline uint64_t satp_of(unsigned asid, unsigned table)
{
	return (uint64_t)ATP_MODE_SV39 << ATP_MODE_SHIFT | (uint64_t)asid << SATP_ASID_SHIFT |
	       table;
}

static inline void start(unsigned root_level, uint64_t pages_max)
{
	memset(&model, 0, sizeof(model));
	fill_layout(root_level, true, 0, 0xffff);
	assert_int_equal(shadow_init(&shadow, &arena, &layout, pages_max), 0);
}

static inline void use(unsigned asid, unsigned table, unsigned view)
{
	unsigned flags = view == VIEW_U ? 0 : SHADOW_SHARE | SHADOW_SUPERVISOR;

	shadow.work = 0;
	model.satp = shadow_select(&shadow, satp_of(asid, table), view, 3, flags);
}

static inline uint64_t find(uint64_t va)
{
	unsigned level = 0;
	uint64_t found = model_translate(va, &level);

	assert_int_equal(shadow_find(&shadow, GVA(va), &level), found);
	return found;
}

static inline uint64_t leaf(uint64_t number)
{
	return number << PTE_PPN_SHIFT | LEAF;
}

static inline void map(uint64_t va, uint64_t pte, bool global)
{
	shadow_map(&shadow, GVA(va), 0, pte, global);
}

static inline void fence(const uint64_t *va, const unsigned *asid)
{
	struct shadow_fence f = {
	    .all_addresses = !va,
	    .all_asids = !asid,
	    .address = GVA(va ? *va : 0),
	    .asid = asid ? *asid : 0,
	};

	shadow_fence(&shadow, &f);
}

static inline void fence_page(uint64_t va)
{
	fence(&va, NULL);
}

#endif
