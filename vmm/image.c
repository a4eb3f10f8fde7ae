/* SPDX-License-Identifier: MIT */
#include "vmm/image.h"

#include <string.h>

#include "kernel/error.h"
#include "kernel/log.h"
#include "vmm/machine.h"

/* The ramdisk takes a segment, the rest are the kernel's. */
#define KERNEL_SEGMENTS_MAX (LOAD_SEGMENTS_MAX - 1)
#define FLAT_OFFSET         MIB(2)

/* Device tree and ramdisk lie where `virt` puts them, in case a guest relies on it. */
#define FDT_LIMIT      GIB(1) /* from the start of RAM: 3 GiB of the address space */
#define RAMDISK_OFFSET MIB(512)

/* Documentation/arch/riscv/boot-image-header.rst of Linux. */
struct linux_header {
	uint32_t code[2];
	uint64_t text_offset; /* from the start of RAM */
	uint64_t image_size;  /* in memory, .bss included */
	uint64_t flags;
	uint32_t version;
	uint32_t reserved1;
	uint64_t reserved2;
	uint64_t magic; /* deprecated */
	uint32_t magic2;
	uint32_t reserved3;
};

#define LINUX_MAGIC2   0x05435352 /* "RSC\x05" */
#define LINUX_FLAG_BIG BIT(0)     /* the kernel is big endian */

_Static_assert(sizeof(struct linux_header) == 64, "as Linux defines it");

/* The ELF-64 object file format, version 1.5. */
struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

_Static_assert(sizeof(struct elf_header) == 64, "as ELF defines it");
_Static_assert(sizeof(struct elf_segment) == 56, "as ELF defines it");

#define ELF_CLASS_64      2
#define ELF_DATA_LITTLE   1
#define ELF_TYPE_EXEC     2
#define ELF_TYPE_DYN      3
#define ELF_MACHINE_RISCV 243
#define ELF_SEGMENT_LOAD  1
#define ELF_PHNUM_MAX     64

static int add_segment(struct load_plan *plan, const void *src, uint64_t gpa, uint64_t size)
{
	if (size == 0)
		return 0;
	if (plan->count == KERNEL_SEGMENTS_MAX)
		return ERR_NOMEM;
	plan->segments[plan->count++] = (struct load_segment){src, GPA(gpa), size};
	return 0;
}

/* Adds what the kernel's file has, and zeroes up to its size in memory. */
static int add_kernel_part(struct load_plan *plan, const struct load_request *request,
			   const void *src, uint64_t file_size, uint64_t gpa, uint64_t memory_size)
{
	const char *name = request->kernel->name;

	if (!range_within(gpa, memory_size, request->ram_base, request->ram_size)) {
		log_error(
		    "%s: kernel = \"%s\": needs %lu KiB at %#lx, but RAM is the %lu KiB at %#lx: "
		    "raise pilae,memory or set pilae,ram-base",
		    request->path, name, (memory_size >> 10) + (memory_size % 1024 != 0), gpa,
		    request->ram_size >> 10, request->ram_base);
		return range_within(gpa, 0, request->ram_base, request->ram_size) ? ERR_TOO_LARGE
										  : ERR_RANGE;
	}
	for (unsigned i = 0; i < plan->count; i++) {
		const struct load_segment *other = &plan->segments[i];

		if (ranges_overlap(gpa, memory_size, other->gpa.v, other->size)) {
			log_error(
			    "%s: kernel = \"%s\": two of its segments overlap at %#lx: link it "
			    "again",
			    request->path, name, max_u64(gpa, other->gpa.v));
			return ERR_INVAL;
		}
	}
	if (add_segment(plan, src, gpa, file_size) ||
	    add_segment(plan, NULL, gpa + file_size, memory_size - file_size)) {
		log_error("%s: kernel = \"%s\": has too many segments: link it into fewer",
			  request->path, name);
		return ERR_INVAL;
	}
	return 0;
}

static int set_entry(struct load_plan *plan, const struct load_request *request, uint64_t entry)
{
	/* Instructions are aligned to two bytes at least. */
	if (!is_aligned(entry, 2) ||
	    !range_within(entry, 2, request->ram_base, request->ram_size)) {
		log_error("%s: kernel = \"%s\": its entry, %#lx, is odd or outside RAM",
			  request->path, request->kernel->name, entry);
		return ERR_RANGE;
	}
	plan->entry = GPA(entry);
	return 0;
}

static bool is_linux(const struct fit_image *kernel, struct linux_header *header)
{
	if (kernel->size < sizeof(*header))
		return false;
	memcpy(header, kernel->data, sizeof(*header));
	return header->magic2 == LINUX_MAGIC2;
}

static int plan_linux(struct load_plan *plan, const struct load_request *request,
		      const struct linux_header *header)
{
	const struct fit_image *kernel = request->kernel;
	uint64_t gpa;
	int error;

	if (header->flags & LINUX_FLAG_BIG) {
		log_error("%s: kernel = \"%s\": is a big-endian kernel: use a little-endian one",
			  request->path, kernel->name);
		return ERR_NOSYS;
	}
	if (__builtin_add_overflow(request->ram_base, header->text_offset, &gpa)) {
		log_error("%s: kernel = \"%s\": its text_offset, %#lx, makes no sense",
			  request->path, kernel->name, header->text_offset);
		return ERR_INVAL;
	}
	error = add_kernel_part(plan, request, kernel->data, kernel->size, gpa,
				max_u64(kernel->size, header->image_size));
	return error ? error : set_entry(plan, request, gpa);
}

static bool is_elf(const struct fit_image *kernel)
{
	return kernel->size >= 4 && memcmp(kernel->data, "\177ELF", 4) == 0;
}

static int refuse_elf(const struct load_request *request, const char *why)
{
	log_error("%s: kernel = \"%s\": an ELF file that %s", request->path, request->kernel->name,
		  why);
	return ERR_NOSYS;
}

static int read_elf_header(const struct load_request *request, struct elf_header *header)
{
	const struct fit_image *kernel = request->kernel;

	if (kernel->size < sizeof(*header))
		return refuse_elf(request, "is truncated");
	memcpy(header, kernel->data, sizeof(*header));
	if (header->ident[4] != ELF_CLASS_64 || header->ident[5] != ELF_DATA_LITTLE ||
	    header->machine != ELF_MACHINE_RISCV)
		return refuse_elf(request, "is not for 64-bit RISC-V");
	if (header->type != ELF_TYPE_EXEC && header->type != ELF_TYPE_DYN)
		return refuse_elf(request, "is not a program: link it");
	if (header->phentsize != sizeof(struct elf_segment) || header->phnum == 0 ||
	    header->phnum > ELF_PHNUM_MAX)
		return refuse_elf(request,
				  "has no program headers, too many, or some of a wrong size");
	if (!range_within(header->phoff, header->phnum * sizeof(struct elf_segment), 0,
			  kernel->size))
		return refuse_elf(request, "is truncated: its program headers lie behind its end");
	return 0;
}

static struct elf_segment read_elf_segment(const struct fit_image *kernel,
					   const struct elf_header *header, unsigned index)
{
	struct elf_segment segment;

	memcpy(&segment,
	       (const char *)kernel->data + header->phoff + index * sizeof(struct elf_segment),
	       sizeof(segment));
	return segment;
}

static int plan_elf_segment(struct load_plan *plan, const struct load_request *request,
			    const struct elf_segment *segment)
{
	const struct fit_image *kernel = request->kernel;

	if (segment->filesz > segment->memsz)
		return refuse_elf(request, "has a segment larger in the file than in memory");
	if (!range_within(segment->offset, segment->filesz, 0, kernel->size))
		return refuse_elf(request, "is truncated: a segment lies behind its end");
	return add_kernel_part(plan, request, (const char *)kernel->data + segment->offset,
			       segment->filesz, segment->paddr, segment->memsz);
}

/* The entry is a virtual address where segments are linked at other than physical ones. */
static uint64_t elf_physical_entry(const struct fit_image *kernel, const struct elf_header *header)
{
	for (unsigned i = 0; i < header->phnum; i++) {
		struct elf_segment segment = read_elf_segment(kernel, header, i);

		if (segment.type == ELF_SEGMENT_LOAD && header->entry >= segment.vaddr &&
		    header->entry - segment.vaddr < segment.memsz)
			return header->entry - segment.vaddr + segment.paddr;
	}
	return header->entry;
}

static int plan_elf(struct load_plan *plan, const struct load_request *request)
{
	struct elf_header header;
	int error = read_elf_header(request, &header);

	for (unsigned i = 0; !error && i < header.phnum; i++) {
		struct elf_segment segment = read_elf_segment(request->kernel, &header, i);

		if (segment.type == ELF_SEGMENT_LOAD && segment.memsz != 0)
			error = plan_elf_segment(plan, request, &segment);
	}
	if (!error && plan->count == 0)
		error = refuse_elf(request, "has nothing to load");
	return error ? error
		     : set_entry(plan, request, elf_physical_entry(request->kernel, &header));
}

/* Files that would be taken for flat binaries, but cannot be meant as such. */
static int refuse_packed(const struct load_request *request)
{
	static const struct {
		const char *magic;
		unsigned offset, length;
		const char *what;
	} packed[] = {
	    {"\x1f\x8b\x08", 0, 3, "compressed with gzip: unpack it with gunzip"},
	    {"\x28\xb5\x2f\xfd", 0, 4, "compressed with zstd: unpack it with unzstd"},
	    {"\xfd\x37zXZ", 0, 5, "compressed with xz: unpack it with unxz"},
	    {"BZh", 0, 3, "compressed with bzip2: unpack it with bunzip2"},
	    {"\x02\x21\x4c\x18", 0, 4, "compressed with lz4: unpack it with unlz4"},
	    {"\x04\x22\x4d\x18", 0, 4, "compressed with lz4: unpack it with unlz4"},
	    {"zimg", 4, 4, "a compressed EFI program: use the kernel's Image instead"},
	    {"\x27\x05\x19\x56", 0, 4, "a legacy uImage: use what it was made of"},
	    {"\xd0\x0d\xfe\xed", 0, 4, "a device tree or FIT: use an image inside it"},
	};
	const struct fit_image *kernel = request->kernel;

	for (unsigned i = 0; i < ARRAY_SIZE(packed); i++) {
		if (kernel->size < packed[i].offset + packed[i].length ||
		    memcmp((const char *)kernel->data + packed[i].offset, packed[i].magic,
			   packed[i].length) != 0)
			continue;
		log_error("%s: kernel = \"%s\": is %s", request->path, kernel->name,
			  packed[i].what);
		return ERR_NOSYS;
	}
	return 0;
}

static int plan_flat(struct load_plan *plan, const struct load_request *request)
{
	const struct fit_image *kernel = request->kernel;
	uint64_t load = kernel->has_load ? kernel->load : request->ram_base + FLAT_OFFSET;
	int error = refuse_packed(request);

	if (!error)
		error =
		    add_kernel_part(plan, request, kernel->data, kernel->size, load, kernel->size);
	return error ? error : set_entry(plan, request, kernel->has_entry ? kernel->entry : load);
}

/* The start of a segment that [start, start + size) overlaps, or NULL. */
static const struct load_segment *find_obstacle(const struct load_plan *plan, uint64_t start,
						uint64_t size)
{
	for (unsigned i = 0; i < plan->count; i++) {
		if (ranges_overlap(start, size, plan->segments[i].gpa.v, plan->segments[i].size))
			return &plan->segments[i];
	}
	return NULL;
}

/*
 * The highest free place of `size` bytes, not 0, that ends at or below `end`. Each obstacle
 * moves the search below it, so it ends after as many steps as there are segments.
 */
static int find_place_below(const struct load_plan *plan, uint64_t ram_base, uint64_t end,
			    uint64_t size, uint64_t align, uint64_t *place)
{
	const struct load_segment *obstacle;
	uint64_t start;

	do {
		if (end < ram_base || size > end - ram_base)
			return ERR_TOO_LARGE;
		start = align_down(end - size, align);
		if (start < ram_base)
			return ERR_TOO_LARGE;
		obstacle = find_obstacle(plan, start, size);
		if (obstacle)
			end = obstacle->gpa.v;
	} while (obstacle);
	*place = start;
	return 0;
}

static int place_fdt(struct load_plan *plan, const struct load_request *request)
{
	uint64_t base = request->ram_base, size = request->fdt_size;
	uint64_t low_end = base + min_u64(request->ram_size, FDT_LIMIT);
	uint64_t ram_end = base + request->ram_size;

	if (find_place_below(plan, base, low_end, size, MEGAPAGE_SIZE, &plan->fdt.v) == 0 ||
	    find_place_below(plan, base, low_end, size, PAGE_SIZE, &plan->fdt.v) == 0 ||
	    find_place_below(plan, base, ram_end, size, PAGE_SIZE, &plan->fdt.v) == 0)
		return 0;
	log_error("%s: the kernel leaves no room for the device tree's %lu KiB: raise pilae,memory",
		  request->path, size >> 10);
	return ERR_TOO_LARGE;
}

static uint64_t kernel_end(const struct load_plan *plan)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < plan->count; i++)
		end = max_u64(end, plan->segments[i].gpa.v + plan->segments[i].size);
	return end;
}

/* As `virt` does, half of RAM or 512 MiB above the kernel, if that is free. */
static bool is_usual_place_free(const struct load_plan *plan, const struct load_request *request,
				uint64_t size, uint64_t *place)
{
	uint64_t start =
	    request->ram_base + FLAT_OFFSET + min_u64(request->ram_size / 2, RAMDISK_OFFSET);

	*place = max_u64(start, align_up(kernel_end(plan), PAGE_SIZE));
	return range_within(*place, size, request->ram_base, request->ram_size) &&
	       !ranges_overlap(*place, size, plan->fdt.v, request->fdt_size);
}

static int find_ramdisk_place(const struct load_plan *plan, const struct load_request *request,
			      uint64_t size, uint64_t *place)
{
	uint64_t fdt_end = plan->fdt.v + request->fdt_size;
	uint64_t ram_end = request->ram_base + request->ram_size;

	if (is_usual_place_free(plan, request, size, place) ||
	    find_place_below(plan, request->ram_base, plan->fdt.v, size, PAGE_SIZE, place) == 0)
		return 0;
	return find_place_below(plan, align_up(fdt_end, PAGE_SIZE), ram_end, size, PAGE_SIZE,
				place);
}

static int place_ramdisk(struct load_plan *plan, const struct load_request *request)
{
	const struct fit_image *ramdisk = request->ramdisk;
	uint64_t place;

	if (!ramdisk)
		return 0;
	if (find_ramdisk_place(plan, request, ramdisk->size, &place)) {
		log_error(
		    "%s: ramdisk = \"%s\": is too large for the VM: %zu KiB, beside the kernel, "
		    "in %lu KiB of RAM: raise pilae,memory",
		    request->path, ramdisk->name, ramdisk->size >> 10, request->ram_size >> 10);
		return ERR_TOO_LARGE;
	}
	plan->ramdisk = GPA(place);
	plan->ramdisk_size = ramdisk->size;
	plan->segments[plan->count++] =
	    (struct load_segment){ramdisk->data, GPA(place), ramdisk->size};
	return 0;
}

static int plan_kernel(struct load_plan *plan, const struct load_request *request)
{
	struct linux_header header;

	if (!request->kernel) {
		plan->entry = GPA(MACHINE_FLASH_BASE(0));
		return 0;
	}
	if (is_linux(request->kernel, &header))
		return plan_linux(plan, request, &header);
	return is_elf(request->kernel) ? plan_elf(plan, request) : plan_flat(plan, request);
}

int image_plan(struct load_plan *plan, const struct load_request *request)
{
	int error;

	memset(plan, 0, sizeof(*plan));
	error = plan_kernel(plan, request);
	if (!error)
		error = place_fdt(plan, request);
	if (!error)
		error = place_ramdisk(plan, request);
	return error;
}
