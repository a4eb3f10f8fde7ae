/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_MMU_H
#define KERNEL_MMU_H

/*
 * The hypervisor's own address space (kernel/layout.h): built once at boot, W^X. Later only
 * device registers, stacks and single pages of code are added, by the boot hart.
 */

#include "kernel/layout.h"
#include "kernel/platform.h"
#include "kernel/types.h"

/* hpa = va - direct_map_offset, for addresses of the direct map. */
extern uint64_t direct_map_offset;

static inline void *hpa_to_pointer(hpa_t address)
{
	return (void *)(address.v + direct_map_offset);
}

static inline hpa_t pointer_to_hpa(const void *pointer)
{
	return HPA((uint64_t)pointer - direct_map_offset);
}

/* Where a symbol of the image lies in memory. */
hpa_t image_to_hpa(const void *symbol);

/*
 * Builds the tables in the largest mode the hart has, maps image and direct map, and turns
 * them on. `load_address`: where the image lies.
 */
void mmu_init(hpa_t load_address);

/* Maps what later allocations need: call once the page allocator works. */
void mmu_use_page_allocator(void);

/* Turns the same tables on, on a hart that has just started: the value for its satp. */
uint64_t mmu_satp(void);

/* The root of these tables, and its level: 2, 3, 4 in Sv39, Sv48, Sv57. */
const uint64_t *mmu_root(unsigned *level);

/* The table that an entry of one of these tables points to. */
const uint64_t *mmu_table(uint64_t entry);

/*
 * Copies the table of the top GiB, of 2 MiB entries; the last of them is not used. Once there is a
 * copy nothing may be mapped in the top GiB for which there is no table yet (panics).
 */
void mmu_copy_top_table(uint64_t *copy);

/* Whether the range, host-physical, lies in the direct map. */
bool mmu_is_mapped(hpa_t address, uint64_t size);

/* What is left unmapped around a range that must not be mapped: whole 2 MiB pages. */
struct range mmu_unmapped_range(struct range range);

/* Maps device registers; never fails (panics when out of its window: boot only). */
volatile void *mmu_map_registers(hpa_t address, uint64_t size);

/* Maps a page of the image's code at `va` too, in the lower half. Boot only. */
void mmu_map_code(uint64_t va, const void *code);

/* A new guarded stack; returns its top. Boot only. */
char *mmu_map_stack(void);

#endif
