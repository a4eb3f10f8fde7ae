/* SPDX-License-Identifier: MIT */

#include "kernel/boot_memory.h"

#include "kernel/error.h"
#include "kernel/mmu.h"
#include "kernel/page.h"
#include "kernel/panic.h"

#include <string.h>

#define TAKEN_MAX 160

/* Beside the allocator's table, what must be left in one piece for Pilae to work with. */
#define OWN_ROOM MIB(16)

static struct taken taken[TAKEN_MAX];
static unsigned taken_count;

/* What can be moved while nobody has a pointer into it. */
static struct range *const movables[] = {&platform.initrd, &platform.fdt_range};

#define MOVABLES ARRAY_SIZE(movables)

void boot_memory_take(struct range range, const char *what)
{
	if (range.size == 0)
		return;
	if (taken_count == TAKEN_MAX)
		panic("more than %u reserved memory ranges", TAKEN_MAX);
	taken[taken_count++] = (struct taken){range, what};
}

static void take_reserved(struct range range, bool no_map)
{
	if (range.size == 0)
		return;
	boot_memory_take(no_map ? mmu_unmapped_range(range) : range,
			 "the firmware, or reserved memory");
}

void boot_memory_begin(struct range image)
{
	taken_count = 0;
	platform_for_reserved(platform.fdt, take_reserved);
	boot_memory_take(image, "Pilae itself");
}

static const struct taken *find_taken(struct range range)
{
	for (unsigned i = 0; i < taken_count; i++) {
		if (ranges_overlap(range.base, range.size, taken[i].range.base,
				   taken[i].range.size))
			return &taken[i];
	}
	return NULL;
}

/* The first address from `at` on, up to `end`, that is taken. */
static uint64_t next_taken(uint64_t at, uint64_t end)
{
	for (unsigned i = 0; i < taken_count; i++) {
		if (taken[i].range.base > at && taken[i].range.base < end)
			end = taken[i].range.base;
	}
	return end;
}

/* Where a taken range ends, or `end`, if that is before; it may wrap. */
static uint64_t end_of(const struct taken *here, uint64_t end)
{
	return here->range.base + min_u64(here->range.size, end - here->range.base);
}

static bool for_free_in(const struct range *memory,
			bool (*use)(uint64_t base, uint64_t end, void *argument), void *argument)
{
	uint64_t at = memory->base, end = memory->base + memory->size;

	while (at < end) {
		const struct taken *here = find_taken((struct range){at, 1});
		uint64_t next = here ? end_of(here, end) : next_taken(at, end);

		if (!here && use(at, next, argument))
			return true;
		at = next;
	}
	return false;
}

bool boot_memory_for_free(bool (*use)(uint64_t base, uint64_t end, void *argument), void *argument)
{
	for (unsigned i = 0; i < platform.memory_count; i++) {
		if (for_free_in(&platform.memory[i], use, argument))
			return true;
	}
	return false;
}

struct wanted {
	uint64_t size, align, floor;
	uint64_t base; /* of the last place that fits */
	bool found;
};

static bool note_place(uint64_t base, uint64_t end, void *argument)
{
	struct wanted *wanted = argument;
	uint64_t at;

	base = align_up(max_u64(base, wanted->floor), wanted->align);
	if (base >= end || end - base < wanted->size)
		return false;
	at = align_down(end - wanted->size, wanted->align);
	wanted->base = at;
	wanted->found = true;
	return false;
}

static int find(uint64_t size, uint64_t align, uint64_t floor, uint64_t *base)
{
	struct wanted wanted = {.size = size, .align = align, .floor = floor};

	boot_memory_for_free(note_place, &wanted);
	*base = wanted.base;
	return wanted.found ? 0 : ERR_NOENT;
}

static void take_movables(void)
{
	for (unsigned i = 0; i < MOVABLES; i++)
		boot_memory_take(*movables[i], "");
}

int boot_memory_find(uint64_t size, uint64_t align, uint64_t floor, bool movable, uint64_t *base)
{
	unsigned before = taken_count;
	int error;

	if (!movable)
		take_movables();
	error = find(size, align, floor, base);
	taken_count = before;
	return error;
}

uint64_t boot_memory_pages(uint64_t *first)
{
	const struct range *last = &platform.memory[platform.memory_count - 1];

	*first = align_down(platform.memory[0].base, GIGAPAGE_SIZE);
	return (last->base + last->size - *first) >> PAGE_SHIFT;
}

static bool has_own_room(void)
{
	uint64_t first, base, table = boot_memory_pages(&first) * sizeof(struct page);

	return find(table + OWN_ROOM, PAGE_SIZE, 0, &base) == 0;
}

/* Where what lies in the range, which is taken already, is to go; 0: it stays. */
static bool find_places(struct range range, uint64_t places[MOVABLES])
{
	for (unsigned i = 0; i < MOVABLES; i++) {
		const struct range *it = movables[i];

		places[i] = 0;
		if (!ranges_overlap(range.base, range.size, it->base, it->size))
			continue;
		if (find(it->size, PAGE_SIZE, 0, &places[i]) != 0)
			return false;
		boot_memory_take((struct range){places[i], it->size}, "");
	}
	return has_own_room();
}

static void move(struct range *range, uint64_t to)
{
	memcpy(hpa_to_pointer(HPA(to)), hpa_to_pointer(HPA(range->base)), range->size);
	range->base = to;
	if (range == &platform.fdt_range)
		platform.fdt = hpa_to_pointer(HPA(to));
}

/* Room that is only tried out stays free in the end. */
static bool make_way(struct range range)
{
	unsigned before = taken_count;
	uint64_t places[MOVABLES];
	bool fits;

	take_movables();
	fits = find_places(range, places);
	taken_count = before;
	for (unsigned i = 0; fits && i < MOVABLES; i++) {
		if (places[i])
			move(movables[i], places[i]);
	}
	return fits;
}

int boot_memory_reserve(struct range range, const char *what, const struct taken **other)
{
	*other = find_taken(range);
	if (*other)
		return ERR_EXIST;
	if (!mmu_is_mapped(HPA(range.base), range.size))
		return ERR_RANGE;
	/* What making way takes for a moment. */
	if (taken_count + 1 + 2 * MOVABLES > TAKEN_MAX)
		return ERR_NOMEM;
	boot_memory_take(range, what);
	if (make_way(range))
		return 0;
	taken_count--;
	return ERR_NOMEM;
}
