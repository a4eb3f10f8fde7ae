/* SPDX-License-Identifier: MIT */

/*
 * Page tables, and the kernel's half of the address space.
 *
 * An Sv39 page table has three levels of tables with 512 entries of 8 bytes. The virtual
 * address gives an index for each level (bits 38-30, 29-21, 20-12). An entry with none of R,
 * W, X set points to the next table; one with any of them is a leaf and maps a page of 1 GiB,
 * 2 MiB or 4 KiB, depending on the level at which it stands.
 *
 * Nothing that can be written can be executed, here and in programs. A and D are always set
 * in advance: whether a hart sets them by itself or faults then makes no difference.
 */

#include "guests/minikernel/kernel.h"
#include "riscv/csr.h"

#define KERNEL_TEXT (PTE_R | PTE_X | PTE_G | PTE_A)
#define KERNEL_READ (PTE_R | PTE_G | PTE_A)
#define KERNEL_DATA (PTE_R | PTE_W | PTE_G | PTE_A | PTE_D)

/* Before there is an allocator, page tables come from here. */
#define BOOT_TABLES 24

extern char rodata_start[], data_start[], image_end[];

uint64_t kernel_root;

static uint64_t boot_tables[BOOT_TABLES][PTE_ENTRIES] __section(".bss.pages");
static uint32_t boot_tables_used;
static bool ready;
static uint64_t device_next = DEVICE_BASE;
static uint64_t stack_next = STACK_BASE;

static uint64_t image_size(void)
{
	return (uint64_t)image_end - KERNEL_BASE;
}

/* RAM is mapped once: the image where it is linked, all that is free in the direct map. */
void *page_virt(uint64_t pa)
{
	if (pa - machine.image < image_size())
		return (void *)(KERNEL_BASE + (pa - machine.image));
	return (void *)(DIRECT_BASE + (pa - align_down(machine.ram.base, GIGAPAGE_SIZE)));
}

static uint64_t image_pa(const void *va)
{
	return (uint64_t)va - KERNEL_BASE + machine.image;
}

static uint64_t new_table(void)
{
	if (ready)
		return page_alloc_zeroed();
	if (boot_tables_used == BOOT_TABLES)
		panic("RAM is in too many pieces to map it");
	return image_pa(boot_tables[boot_tables_used++]);
}

/* The entry for va at `level` (2: 1 GiB, 1: 2 MiB, 0: 4 KiB); NULL as for vm_find_pte(). */
static uint64_t *find_entry(uint64_t root, uint64_t va, int level, bool create)
{
	uint64_t *table = page_virt(root);

	for (int l = 2;; l--) {
		uint64_t *entry = &table[va >> (PAGE_SHIFT + 9 * l) & (PTE_ENTRIES - 1)];

		if (l == level)
			return entry;
		if ((*entry & PTE_V) == 0) {
			uint64_t pa = create ? new_table() : 0;

			if (pa == 0)
				return NULL;
			*entry = pte_make(pa, PTE_V);
		}
		table = page_virt(pte_pa(*entry));
	}
}

uint64_t *vm_find_pte(uint64_t root, uint64_t va, bool create)
{
	return find_entry(root, va, 0, create);
}

/* The level of the largest page with which [va, va + size) and its pa may begin. */
static int largest_level(uint64_t va, uint64_t pa, uint64_t size)
{
	int level = 2;

	while (!is_aligned(va | pa, PAGE_SIZE << 9 * level) || size < PAGE_SIZE << 9 * level)
		level--;
	return level;
}

/* Whole pages. Panics when there is no memory for the tables. */
static void map(uint64_t va, uint64_t pa, uint64_t size, uint64_t flags)
{
	while (size != 0) {
		int level = largest_level(va, pa, size);
		uint64_t step = PAGE_SIZE << 9 * level;
		uint64_t *entry = find_entry(kernel_root, va, level, true);

		if (entry == NULL)
			panic("no memory for the kernel's page tables");
		*entry = pte_make(pa, flags | PTE_V);
		va += step;
		pa += step;
		size -= step;
	}
}

static void map_image(const char *from, const char *to, uint64_t flags)
{
	map((uint64_t)from, image_pa(from), (uint64_t)(to - from), flags);
}

void vm_init(void)
{
	kernel_root = new_table();
	map_image((char *)KERNEL_BASE, rodata_start, KERNEL_TEXT);
	map_image(rodata_start, data_start, KERNEL_READ);
	map_image(data_start, image_end, KERNEL_DATA);
	for (uint32_t i = 0; i < page_range_count; i++)
		map((uint64_t)page_virt(page_ranges[i].base), page_ranges[i].base,
		    page_ranges[i].size, KERNEL_DATA);
	/* Root entries are copied into every address space: let them be complete from now on. */
	for (uint64_t va = DEVICE_BASE; va <= STACK_BASE; va += GIGAPAGE_SIZE)
		find_entry(kernel_root, va, 1, true);

	csr_write(CSR_SATP, (uint64_t)ATP_MODE_SV39 << ATP_MODE_SHIFT | kernel_root >> PAGE_SHIFT);
	__asm__ volatile("sfence.vma" ::: "memory");
	ready = true;
}

/* Virtual and physical addresses agree in their lower 21 bits, for large pages to fit. */
void *vm_map_device(uint64_t pa, uint64_t size)
{
	uint64_t first = align_down(pa, PAGE_SIZE);
	uint64_t length = align_up(pa + size, PAGE_SIZE) - first;
	uint64_t va = device_next + (first & (MEGAPAGE_SIZE - 1));

	if (!range_within(va, length, DEVICE_BASE, DEVICE_SIZE))
		panic("a device's registers take %lu MiB", length >> 20);
	map(va, first, length, KERNEL_DATA);
	__asm__ volatile("sfence.vma" ::: "memory");
	device_next = align_up(va + length, MEGAPAGE_SIZE);
	return (void *)(va + (pa - first));
}

void *vm_new_stack(void)
{
	uint64_t pa = page_alloc();

	if (pa == 0)
		return NULL;
	map(stack_next + PAGE_SIZE, pa, PAGE_SIZE, KERNEL_DATA);
	__asm__ volatile("sfence.vma" ::: "memory");
	stack_next += 2 * PAGE_SIZE;
	return (void *)stack_next;
}
