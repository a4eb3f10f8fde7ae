/* SPDX-License-Identifier: MIT */

#include "kernel/start.h"

#include "kernel/error.h"
#include "kernel/fdt.h"
#include "kernel/hart.h"
#include "kernel/log.h"
#include "kernel/mmu.h"
#include "kernel/options.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/platform.h"
#include "kernel/random.h"

#include <string.h>

#define TAKEN_MAX 64

extern char image_start[], image_end[];

/* What of the direct map is in use before the page allocator is. */
static struct range taken[TAKEN_MAX];
static unsigned taken_count;

static void take(struct range range, bool no_map)
{
	if (range.size == 0)
		return;
	if (no_map)
		range = mmu_unmapped_range(range);
	if (taken_count == TAKEN_MAX)
		panic("more than %u reserved memory ranges", TAKEN_MAX);
	taken[taken_count++] = range;
}

/* Calls `use` for each piece of [base, end) that is not taken. */
static bool for_free(uint64_t base, uint64_t end, bool (*use)(uint64_t base, uint64_t end))
{
	for (unsigned i = 0; i < taken_count; i++) {
		struct range *t = &taken[i];

		if (!ranges_overlap(base, end - base, t->base, t->size))
			continue;
		if (t->base > base && for_free(base, t->base, use))
			return true;
		return t->base + t->size < end && for_free(t->base + t->size, end, use);
	}
	return base < end && use(base, end);
}

static bool for_all_free(bool (*use)(uint64_t base, uint64_t end))
{
	for (unsigned i = 0; i < platform.memory_count; i++) {
		struct range *m = &platform.memory[i];

		if (for_free(m->base, m->base + m->size, use))
			return true;
	}
	return false;
}

static struct {
	uint64_t size;
	uint64_t found;
} wanted;

static bool use_for_table(uint64_t base, uint64_t end)
{
	base = align_up(base, PAGE_SIZE);
	if (base >= end || end - base < wanted.size)
		return false;
	wanted.found = base;
	return true;
}

static bool use_for_allocator(uint64_t base, uint64_t end)
{
	base = align_up(base, PAGE_SIZE);
	end = align_down(end, PAGE_SIZE);
	if (base < end)
		page_add(hpa_to_pointer(HPA(base)), (end - base) >> PAGE_SHIFT);
	return false;
}

static void init_page_allocator(void)
{
	const struct range *last = &platform.memory[platform.memory_count - 1];
	uint64_t first = align_down(platform.memory[0].base, GIGAPAGE_SIZE);
	uint64_t count = (last->base + last->size - first) >> PAGE_SHIFT;

	take((struct range){image_to_hpa(image_start).v, (uint64_t)(image_end - image_start)},
	     false);
	take(platform.fdt_range, false);
	take(platform.initrd, false);
	platform_for_reserved(platform.fdt, take);

	wanted.size = count * sizeof(struct page);
	if (count >= PAGE_NONE || !for_all_free(use_for_table))
		panic("no room for the table of all pages (%llu KiB)",
		      (unsigned long long)(wanted.size >> 10));
	take((struct range){wanted.found, wanted.size}, false);
	page_init(hpa_to_pointer(HPA(first)), (uint32_t)count, hpa_to_pointer(HPA(wanted.found)));
	for_all_free(use_for_allocator);
	mmu_use_page_allocator();
}

bool kernel_initrd(const void **start, uint64_t *size)
{
	if (platform.initrd.size == 0 ||
	    !mmu_is_mapped(HPA(platform.initrd.base), platform.initrd.size))
		return false;
	*start = hpa_to_pointer(HPA(platform.initrd.base));
	*size = platform.initrd.size;
	return true;
}

static void set_log_level(void)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	char value[16];

	if (!option_find(platform.bootargs, "pilae.loglevel", value, sizeof(value)))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(value, names[i]) == 0) {
			log_level = (enum log_level)i;
			return;
		}
	}
	log_warn("command line: pilae.loglevel=%s: not one of error, warn, info, debug", value);
}

/* On a guarded stack from here on; the boot stack is not used again. */
static void __noreturn __used on_guarded_stack(void)
{
	hypervisor_main();
}

static void __noreturn change_stack(char *top)
{
	__asm__ volatile("mv sp, %0\n"
			 "mv fp, zero\n"
			 "tail on_guarded_stack\n"
			 :
			 : "r"(top)
			 : "memory");
	__builtin_unreachable();
}

void __noreturn kernel_main(uint64_t hart_id, uint64_t fdt_address, uint64_t load_address)
{
	const char *fdt = (const char *)EARLY_FDT + (fdt_address & (MEGAPAGE_SIZE - 1));

	hart_init_boot(hart_id);
	if (platform_read_memory(fdt, HPA(fdt_address)) != 0)
		panic("no usable device tree at 0x%llx", (unsigned long long)fdt_address);
	mmu_init(HPA(load_address));
	if (!mmu_is_mapped(HPA(fdt_address), platform.fdt_range.size))
		panic("the device tree at 0x%llx does not lie in memory",
		      (unsigned long long)fdt_address);
	platform.fdt = hpa_to_pointer(HPA(fdt_address));
	platform_read_devices();
	init_page_allocator();
	if (platform.timebase == 0)
		panic("/cpus: no timebase-frequency");
	set_log_level();
	if (!platform.rng_seed)
		log_warn(
		    "/chosen has no rng-seed: the randomness of guests begins with the time alone");
	random_init(platform.rng_seed, platform.rng_seed_size, time_now());
	machine_init_end();
	change_stack(mmu_map_stack());
}
