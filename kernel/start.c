/* SPDX-License-Identifier: MIT */

#include "kernel/start.h"

#include "kernel/boot_memory.h"
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

extern char image_start[], image_end[];

static bool use_for_allocator(uint64_t base, uint64_t end, void *argument)
{
	(void)argument;
	base = align_up(base, PAGE_SIZE);
	end = align_down(end, PAGE_SIZE);
	if (base < end)
		page_add(hpa_to_pointer(HPA(base)), (end - base) >> PAGE_SHIFT);
	return false;
}

/* Before anything has a pointer to the ramdisk, or into the device tree but to its start. */
static void reserve_memory(void)
{
	struct range image = {image_to_hpa(image_start).v, (uint64_t)(image_end - image_start)};

	boot_memory_begin(image);
	hypervisor_reserve();
	boot_memory_take(platform.fdt_range, "");
	boot_memory_take(platform.initrd, "");
}

static void init_page_allocator(void)
{
	uint64_t first, table, count = boot_memory_pages(&first);
	uint64_t size = count * sizeof(struct page);

	if (count >= PAGE_NONE || boot_memory_find(size, PAGE_SIZE, 0, true, &table) != 0)
		panic("no room for the table of all pages (%llu KiB)",
		      (unsigned long long)(size >> 10));
	boot_memory_take((struct range){table, size}, "");
	page_init(hpa_to_pointer(HPA(first)), (uint32_t)count, hpa_to_pointer(HPA(table)));
	boot_memory_for_free(use_for_allocator, NULL);
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

void kernel_set_initrd(const void *start, uint64_t size)
{
	platform.initrd = (struct range){pointer_to_hpa(start).v, size};
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
	reserve_memory();
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
	this_hart()->stack_top = mmu_map_stack();
	change_stack(this_hart()->stack_top);
}
