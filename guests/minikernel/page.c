/* SPDX-License-Identifier: MIT */

/*
 * Physical memory. A page that has been in use and is free again is on a list, linked through
 * its own first word. Pages that have never been in use are on no list: they are what lies
 * beyond a frontier, which moves through the free ranges of RAM. So a machine with much RAM
 * starts as fast as one with little, and memory that nobody needs is never touched (a
 * hypervisor may not even have backed it yet).
 *
 * Each page of RAM has a count of its users: page tables that map it, or whoever got it from
 * page_alloc(). That is what lets processes share pages.
 */

#include "guests/minikernel/kernel.h"

extern char image_end[];

struct range page_ranges[MAX_RANGES];
uint32_t page_range_count;

static uint16_t *users; /* indexed by the number of the page in RAM */
static uint64_t free_list;
static uint64_t listed;          /* pages on the list */
static uint64_t beyond_frontier; /* pages never used yet */
static uint64_t total;
static uint32_t frontier_range;
static uint64_t frontier;

static uint64_t image_size(void)
{
	return (uint64_t)image_end - KERNEL_BASE;
}

static uint16_t *users_of(uint64_t pa)
{
	return &users[(pa - machine.ram.base) >> PAGE_SHIFT];
}

/* Cuts [base, end) out of the i'th range, which may leave nothing, one piece or two. */
static void cut_range(uint32_t i, uint64_t base, uint64_t end)
{
	struct range *r = &page_ranges[i];
	uint64_t r_end = r->base + r->size;

	if (end <= r->base || base >= r_end)
		return;
	if (base > r->base && end < r_end) {
		if (page_range_count == MAX_RANGES)
			panic("RAM is in too many pieces");
		page_ranges[page_range_count++] = (struct range){end, r_end - end};
	}
	if (base > r->base)
		r->size = base - r->base;
	else
		*r = end < r_end ? (struct range){end, r_end - end} : (struct range){end, 0};
}

static void cut(uint64_t base, uint64_t size)
{
	uint32_t count = page_range_count;

	for (uint32_t i = 0; i < count; i++)
		cut_range(i, align_down(base, PAGE_SIZE), align_up(base + size, PAGE_SIZE));
}

void page_find_ranges(void)
{
	uint64_t start = align_up(machine.ram.base, PAGE_SIZE);
	uint64_t end = align_down(machine.ram.base + machine.ram.size, PAGE_SIZE);
	uint64_t reach = align_down(machine.ram.base, GIGAPAGE_SIZE) + DIRECT_SIZE;

	machine.ram.base = start;
	machine.ram.size = min_u64(end, reach) - start;
	page_ranges[0] = machine.ram;
	page_range_count = 1;
	cut(machine.image, image_size());
	for (uint32_t i = 0; i < machine.reserved_count; i++)
		cut(machine.reserved[i].base, machine.reserved[i].size);
	if (start == 0)
		cut(0, PAGE_SIZE);
}

/* The counts of users, two bytes for each page of RAM, at the end of a range that has room. */
static void place_users(void)
{
	uint64_t size = align_up(machine.ram.size / PAGE_SIZE * sizeof(*users), PAGE_SIZE);

	for (uint32_t i = 0; i < page_range_count; i++) {
		if (page_ranges[i].size <= size)
			continue;
		page_ranges[i].size -= size;
		users = page_virt(page_ranges[i].base + page_ranges[i].size);
		return;
	}
	panic("not enough memory");
}

void page_init(void)
{
	place_users();
	for (uint32_t i = 0; i < page_range_count; i++)
		beyond_frontier += page_ranges[i].size >> PAGE_SHIFT;
	total = beyond_frontier;
	frontier = page_ranges[0].base;
	/* The programs in the image are mapped like other pages, but never become free. */
	for (uint64_t offset = 0; offset < image_size(); offset += PAGE_SIZE)
		*users_of(machine.image + offset) = 1;
}

static uint64_t take_beyond_frontier(void)
{
	const struct range *r = &page_ranges[frontier_range];

	if (beyond_frontier == 0)
		return 0;
	while (frontier == r->base + r->size) {
		r = &page_ranges[++frontier_range];
		frontier = r->base;
	}
	frontier += PAGE_SIZE;
	beyond_frontier--;
	return frontier - PAGE_SIZE;
}

uint64_t page_alloc(void)
{
	uint64_t pa = free_list;

	if (pa != 0) {
		free_list = *(uint64_t *)page_virt(pa);
		listed--;
	} else {
		pa = take_beyond_frontier();
	}
	if (pa != 0)
		*users_of(pa) = 1;
	return pa;
}

uint64_t page_alloc_zeroed(void)
{
	uint64_t pa = page_alloc();

	if (pa != 0)
		memset(page_virt(pa), 0, PAGE_SIZE);
	return pa;
}

void page_hold(uint64_t pa)
{
	++*users_of(pa);
}

void page_release(uint64_t pa)
{
	if (*users_of(pa) == 0)
		panic("page 0x%lx is released once too often", pa);
	if (--*users_of(pa) != 0)
		return;
	*(uint64_t *)page_virt(pa) = free_list;
	free_list = pa;
	listed++;
}

uint32_t page_users(uint64_t pa)
{
	return *users_of(pa);
}

uint64_t page_total(void)
{
	return total;
}

uint64_t page_free_count(void)
{
	return listed + beyond_frontier;
}
