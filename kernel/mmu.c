/* SPDX-License-Identifier: MIT */

#include "kernel/mmu.h"

#include "kernel/log.h"
#include "kernel/page.h"
#include "kernel/platform.h"
#include "riscv/csr.h"
#include "riscv/pte.h"

#include <string.h>

/* Not G: a guest on shadow tables may have something else at these addresses. */
#define KERNEL_RW (PTE_V | PTE_R | PTE_W | PTE_A | PTE_D)
#define KERNEL_RO (PTE_V | PTE_R | PTE_A)
#define KERNEL_RX (PTE_V | PTE_R | PTE_X | PTE_A)

#define EARLY_TABLES 48

extern char image_start[], text_end[], rodata_end[], image_end[];

uint64_t direct_map_offset;

static uint64_t early_tables[EARLY_TABLES][PTE_ENTRIES] __aligned(4096);
static unsigned early_tables_used;
static bool page_allocator_ready;
static bool top_table_copied;

static uint64_t *root;
static unsigned root_level; /* 2, 3, 4 for Sv39, Sv48, Sv57 */
static uint64_t satp;
static uint64_t image_offset; /* link address minus physical address */
static uint64_t direct_map_first, direct_map_size;
static uint64_t next_stack = STACK_BASE;
static uint64_t next_register = IOMAP_BASE;

hpa_t image_to_hpa(const void *symbol)
{
	return HPA((uint64_t)symbol - image_offset);
}

static uint64_t *new_table(void)
{
	if (page_allocator_ready) {
		uint64_t *table = page_alloc_zeroed(0);

		if (!table)
			panic("no memory for the hypervisor's own page tables");
		return table;
	}
	if (early_tables_used == EARLY_TABLES)
		panic("the machine's memory is in too many pieces");
	return early_tables[early_tables_used++];
}

static hpa_t table_address(const uint64_t *table)
{
	bool early = (uint64_t)table >= IMAGE_BASE;

	return early ? image_to_hpa(table) : pointer_to_hpa(table);
}

static uint64_t *table_pointer(hpa_t address)
{
	hpa_t early = image_to_hpa(early_tables);

	if (range_within(address.v, PAGE_SIZE, early.v, sizeof(early_tables)))
		return (uint64_t *)(address.v + image_offset);
	return hpa_to_pointer(address);
}

/* The entry for `va` at `level`, with the tables above it made where they are missing. */
static uint64_t *find_entry(uint64_t va, unsigned level)
{
	uint64_t *table = root;

	for (unsigned l = root_level;; l--) {
		uint64_t *entry = &table[va >> pte_level_shift(l) & (PTE_ENTRIES - 1)];

		if (l == level)
			return entry;
		if (!(*entry & PTE_V)) {
			uint64_t *next = new_table();

			if (top_table_copied && va >= IMAGE_BASE)
				panic("a mapping at 0x%llx comes too late", (unsigned long long)va);
			*entry = pte_make(table_address(next), PTE_V);
		}
		table = table_pointer(pte_address(*entry));
	}
}

/* Maps [va, va + size) with the largest pages that fit; all page-aligned, and unmapped before. */
static void map_range(uint64_t va, hpa_t pa, uint64_t size, uint64_t flags)
{
	while (size > 0) {
		unsigned level = root_level < 2 ? root_level : 2;

		while (level > 0 && (!is_aligned(va | pa.v, BIT(pte_level_shift(level))) ||
				     size < BIT(pte_level_shift(level))))
			level--;
		*find_entry(va, level) = pte_make(pa, flags);

		uint64_t step = BIT(pte_level_shift(level));

		va += step;
		pa.v += step;
		size -= step;
	}
}

static void map_image(void)
{
	struct {
		char *start, *end;
		uint64_t flags;
	} parts[] = {
	    {image_start, text_end, KERNEL_RX},
	    {text_end, rodata_end, KERNEL_RO},
	    {rodata_end, image_end, KERNEL_RW},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
		map_range((uint64_t)parts[i].start, image_to_hpa(parts[i].start),
			  (uint64_t)(parts[i].end - parts[i].start), parts[i].flags);
}

/*
 * The direct map covers each range of memory by whole 2 MiB pages, less what must not be
 * mapped: speculative accesses could reach it.
 */
static struct range unmapped[32];
static unsigned unmapped_count;

struct range mmu_unmapped_range(struct range range)
{
	uint64_t base = align_down(range.base, MEGAPAGE_SIZE);

	return (struct range){base, align_up(range.base + range.size, MEGAPAGE_SIZE) - base};
}

static void note_unmapped(struct range range, bool no_map)
{
	if (!no_map || range.size == 0)
		return;
	if (unmapped_count == ARRAY_SIZE(unmapped))
		panic("more than %u reserved memory ranges", (unsigned)ARRAY_SIZE(unmapped));
	unmapped[unmapped_count++] = mmu_unmapped_range(range);
}

static void map_memory_piece(uint64_t base, uint64_t end)
{
	for (unsigned i = 0; i < unmapped_count; i++) {
		struct range *u = &unmapped[i];

		if (!ranges_overlap(base, end - base, u->base, u->size))
			continue;
		if (u->base > base)
			map_memory_piece(base, u->base);
		if (u->base + u->size < end)
			map_memory_piece(u->base + u->size, end);
		return;
	}
	map_range(base + direct_map_offset, HPA(base), end - base, KERNEL_RW);
}

static void map_memory(void)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < platform.memory_count; i++) {
		struct range *m = &platform.memory[i];
		uint64_t base = align_up(m->base, MEGAPAGE_SIZE);
		uint64_t end = align_down(m->base + m->size, MEGAPAGE_SIZE);

		if (base >= direct_map_first + direct_map_size) {
			log_warn("memory at 0x%llx is out of reach of this hart's paging mode",
				 (unsigned long long)base);
			end = base;
		}
		end = min_u64(end, direct_map_first + direct_map_size);
		if (base < end)
			map_memory_piece(base, end);
		/* Only what is mapped is memory from now on. */
		if (base < end)
			platform.memory[kept++] = (struct range){base, end - base};
	}
	platform.memory_count = kept;
}

bool mmu_is_mapped(hpa_t address, uint64_t size)
{
	for (unsigned i = 0; i < unmapped_count; i++) {
		if (ranges_overlap(address.v, size, unmapped[i].base, unmapped[i].size))
			return false;
	}
	for (unsigned i = 0; i < platform.memory_count; i++) {
		if (range_within(address.v, size, platform.memory[i].base, platform.memory[i].size))
			return true;
	}
	return false;
}

/*
 * An unsupported mode leaves satp as it was (Priv. 1.13, 12.1.11), so the largest one is found
 * by trying; both tables map the code that runs here.
 */
static void turn_on_largest_mode(void)
{
	static const uint64_t modes[] = {ATP_MODE_SV57, ATP_MODE_SV48, ATP_MODE_SV39};
	uint64_t ppn = image_to_hpa(root).v >> PAGE_SHIFT;

	satp = modes[4 - root_level] << ATP_MODE_SHIFT | ppn;
	csr_write(CSR_SATP, satp);
	__asm__ volatile("sfence.vma" ::: "memory");
}

/*
 * Probing needs a table that works in each mode: the early root's last entry covers the top
 * GiB in Sv39; linked under itself, level by level, it does so in the larger modes too.
 */
static unsigned probe_root_level(void)
{
	extern uint64_t early_root[];
	uint64_t *table = early_root;
	unsigned level = 2;

	for (unsigned l = 3; l <= 4; l++) {
		uint64_t *upper = new_table();
		uint64_t mode = (uint64_t)(ATP_MODE_SV39 + l - 2) << ATP_MODE_SHIFT;
		uint64_t value = mode | image_to_hpa(upper).v >> PAGE_SHIFT;

		upper[PTE_ENTRIES - 1] = pte_make(image_to_hpa(table), PTE_V);
		csr_write(CSR_SATP, value);
		__asm__ volatile("sfence.vma" ::: "memory");
		if (csr_read(CSR_SATP) != value)
			break;
		level = l;
		table = upper;
	}
	return level;
}

void mmu_init(hpa_t load_address)
{
	image_offset = IMAGE_BASE - load_address.v;
	root_level = probe_root_level();
	root = new_table();

	static const uint64_t bases[] = {DIRECT_MAP_SV39, DIRECT_MAP_SV48, DIRECT_MAP_SV57};
	uint64_t base = bases[root_level - 2];

	direct_map_first = align_down(platform.memory[0].base, GIGAPAGE_SIZE);
	direct_map_size = root_level == 2 ? DIRECT_MAP_SV39_SIZE : DIRECT_MAP_SV48_SIZE;
	direct_map_offset = base - direct_map_first;

	platform_for_reserved(platform.fdt, note_unmapped);
	map_image();
	map_memory();
	turn_on_largest_mode();
}

void mmu_use_page_allocator(void)
{
	page_allocator_ready = true;
}

uint64_t mmu_satp(void)
{
	return satp;
}

const uint64_t *mmu_root(unsigned *level)
{
	*level = root_level;
	return root;
}

const uint64_t *mmu_table(uint64_t entry)
{
	return table_pointer(pte_address(entry));
}

void mmu_copy_top_table(uint64_t *copy)
{
	const uint64_t *table = root;

	for (unsigned l = root_level; l > 1; l--)
		table = mmu_table(table[IMAGE_BASE >> pte_level_shift(l) & (PTE_ENTRIES - 1)]);
	top_table_copied = true;
	memcpy(copy, table, PAGE_SIZE);
}

volatile void *mmu_map_registers(hpa_t address, uint64_t size)
{
	uint64_t first = align_down(address.v, PAGE_SIZE);
	uint64_t length = align_up(address.v + size, PAGE_SIZE) - first;
	uint64_t va = next_register;

	/* Large register files are mapped by large pages, at the same offset within them. */
	if (length >= MEGAPAGE_SIZE)
		va = align_up(va, MEGAPAGE_SIZE) + (first & (MEGAPAGE_SIZE - 1));
	if (length > IOMAP_END - va)
		panic("no room to map the registers at 0x%llx", (unsigned long long)address.v);
	next_register = va + length;
	map_range(va, HPA(first), length, KERNEL_RW);
	__asm__ volatile("sfence.vma" ::: "memory");
	return (volatile char *)va + (address.v - first);
}

void mmu_map_code(uint64_t va, const void *code)
{
	map_range(va, image_to_hpa(code), PAGE_SIZE, KERNEL_RX);
	__asm__ volatile("sfence.vma" ::: "memory");
}

char *mmu_map_stack(void)
{
	uint64_t base = next_stack + STACK_BYTES;

	next_stack += 2 * (uint64_t)STACK_BYTES;
	for (uint64_t offset = 0; offset < STACK_BYTES; offset += PAGE_SIZE) {
		void *page = page_alloc(0);

		if (!page)
			panic("no memory for a stack");
		map_range(base + offset, pointer_to_hpa(page), PAGE_SIZE, KERNEL_RW);
	}
	__asm__ volatile("sfence.vma" ::: "memory");
	return (char *)(base + STACK_BYTES);
}
