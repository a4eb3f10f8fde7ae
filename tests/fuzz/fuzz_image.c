/* SPDX-License-Identifier: MIT */
/* unit: vmm/image.c */

/*
 * A kernel of any contents, and a ramdisk: a plan that is made lies in the VM's RAM, takes no byte
 * from outside the files, and puts nothing twice in a place.
 */
#include "tests/fuzz/fenced.h"

#include "vmm/image.h"

struct head {
	uint64_t load, entry;
	uint32_t ramdisk;   /* bytes; 0: none */
	uint16_t ram_pages; /* of 2 MiB */
	uint8_t base_pages; /* of 2 MiB, from 0x80000000 */
	uint8_t flags;      /* has load, has entry */
};

static const uint8_t *file;
static size_t file_size;
static const uint8_t ramdisk_data[1]; /* only its place matters */

static void check_segment(const struct load_plan *plan, unsigned n,
			  const struct load_request *request)
{
	const struct load_segment *segment = &plan->segments[n];
	const uint8_t *src = segment->src;

	check(segment->size > 0);
	check(range_within(segment->gpa.v, segment->size, request->ram_base, request->ram_size));
	if (src && src != ramdisk_data)
		check(range_within((uintptr_t)src, segment->size, (uintptr_t)file, file_size));
	check(!ranges_overlap(segment->gpa.v, segment->size, plan->fdt.v, request->fdt_size));
	for (unsigned i = 0; i < n; i++)
		check(!ranges_overlap(segment->gpa.v, segment->size, plan->segments[i].gpa.v,
				      plan->segments[i].size));
}

static void check_plan(const struct load_plan *plan, const struct load_request *request)
{
	check(plan->count > 0 && plan->count <= LOAD_SEGMENTS_MAX);
	check(range_within(plan->fdt.v, request->fdt_size, request->ram_base, request->ram_size));
	check(range_within(plan->entry.v, 1, request->ram_base, request->ram_size));
	check(is_aligned(plan->fdt.v, 8));
	for (unsigned i = 0; i < plan->count; i++)
		check_segment(plan, i, request);
	if (plan->ramdisk_size)
		check(is_aligned(plan->ramdisk.v, PAGE_SIZE) &&
		      range_within(plan->ramdisk.v, plan->ramdisk_size, request->ram_base,
				   request->ram_size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct load_plan plan;
	struct head head;

	if (size <= sizeof(head) || size > FENCED_MAX)
		return 0;
	memcpy(&head, data, sizeof(head));
	file_size = size - sizeof(head);
	file = fenced_copy(data + sizeof(head), file_size, 8);

	const struct fit_image kernel = {.name = "kernel",
					 .data = file,
					 .size = file_size,
					 .type = "",
					 .has_load = head.flags & 1,
					 .has_entry = head.flags & 2,
					 .load = head.load,
					 .entry = head.entry};
	const struct fit_image ramdisk = {
	    .name = "ramdisk", .data = ramdisk_data, .size = head.ramdisk, .type = ""};
	const struct load_request request = {
	    .path = "/configurations/web",
	    .kernel = &kernel,
	    .ramdisk = head.ramdisk ? &ramdisk : NULL,
	    .fdt_size = 10000,
	    .ram_base = 0x80000000 + MIB(2) * head.base_pages,
	    .ram_size = MIB(2) * ((uint64_t)head.ram_pages + 1),
	};

	if (image_plan(&plan, &request) == 0)
		check_plan(&plan, &request);
	return 0;
}
