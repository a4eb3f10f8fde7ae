/* SPDX-License-Identifier: MIT */
/*
 * Devices at addresses that page tables choose, where a hypervisor may remember what it found: each
 * access is made twice.
 */
#include "guests/selftest/mmio.h"
#include "guests/selftest/paging.h"

#define OTHER (WINDOW + GIB(2)) /* a page of 2 MiB */

#define DEVICE_RW (PTE_V | PTE_R | PTE_W | PTE_A | PTE_D)
#define DEVICE_RO (PTE_V | PTE_R | PTE_A)

static void map_window(struct paging *tables, uint64_t pa, uint64_t flags)
{
	paging_map(tables, WINDOW, pa, 0, flags);
	sfence_va(WINDOW);
}

static uint8_t read_scratch(uint64_t page)
{
	return *(volatile uint8_t *)(page + UART_SCR);
}

static void expect_device(uint64_t page)
{
	for (uint8_t i = 0; i < 2; i++) {
		UART_REG(UART_SCR) = (uint8_t)(0x50 + i);
		expect_eq(read_scratch(page), 0x50 + i, "the device, read");
		*(volatile uint8_t *)(page + UART_SCR) = (uint8_t)(0xa0 + i);
		expect_eq(UART_REG(UART_SCR), 0xa0 + i, "the device, written");
	}
}

static void expect_memory(uint64_t page, uint64_t memory)
{
	UART_REG(UART_SCR) = 0x77;
	for (uint8_t i = 0; i < 2; i++) {
		*(volatile uint8_t *)(memory + UART_SCR) = (uint8_t)(0x10 + i);
		expect_eq(read_scratch(page), 0x10 + i, "memory, read");
		*(volatile uint8_t *)(page + UART_SCR) = (uint8_t)(0x20 + i);
		expect_eq(*(volatile uint8_t *)(memory + UART_SCR), 0x20 + i, "memory, written");
	}
	expect_eq(UART_REG(UART_SCR), 0x77, "the device meanwhile");
}

/* As each of the four fences says. */
static void remap(struct paging *tables)
{
	uint64_t memory = paging_new_page();

	for (unsigned way = 0; way < 4; way++)
		for (unsigned times = 0; times < 2; times++)
			for (unsigned device = 0; device < 2; device++) {
				paging_map(tables, WINDOW, device ? UART_BASE : memory, 0,
					   DEVICE_RW);
				if (way == 0)
					sfence_all();
				else if (way == 1)
					sfence_va(WINDOW);
				else if (way == 2)
					sfence_asid(0);
				else
					sfence_va_asid(WINDOW, 0);
				if (device)
					expect_device(WINDOW);
				else
					expect_memory(WINDOW, memory);
			}
}

static void remaps(void)
{
	paging_each_mode(remap);
}

static void expect_fault(uint64_t cause, uint32_t insn, uint64_t address)
{
	const struct trap_frame *trap = insn_exec2(insn, address, 0x33, false);

	expect_eq(trap->cause, cause, "cause");
	expect_eq(trap->tval, address, "stval");
}

enum { INSN_LBU = 0x00054603, INSN_SB = 0x00b50023 }; /* lbu a2, (a0); sb a1, (a0) */

static void permission(struct paging *tables)
{
	const uint64_t scratch = WINDOW + UART_SCR;

	map_window(tables, UART_BASE, DEVICE_RW);
	expect_device(WINDOW);
	map_window(tables, UART_BASE, DEVICE_RO);
	for (unsigned i = 0; i < 2; i++) {
		UART_REG(UART_SCR) = 0x44;
		expect_eq(read_scratch(WINDOW), 0x44, "a page that can be read");
		expect_fault(EXC_STORE_PAGE, INSN_SB, scratch);
		expect_eq(UART_REG(UART_SCR), 0x44, "after a store that is not allowed");
	}

	/* U-mode's: S-mode has it with SUM alone, which is no fence. */
	map_window(tables, UART_BASE, DEVICE_RW | PTE_U);
	for (unsigned i = 0; i < 2; i++) {
		expect_fault(EXC_LOAD_PAGE, INSN_LBU, scratch);
		expect_fault(EXC_STORE_PAGE, INSN_SB, scratch);
		csr_set(CSR_SSTATUS, SSTATUS_SUM);
		expect_device(WINDOW);
		csr_clear(CSR_SSTATUS, SSTATUS_SUM);
	}
	map_window(tables, UART_BASE, 0);
	expect_fault(EXC_LOAD_PAGE, INSN_LBU, scratch);
}

static void permissions(void)
{
	paging_each_mode(permission);
}

/* A and D are set, or the access faults, whatever has been read there before. */
static void used(struct paging *tables)
{
	volatile uint64_t *pte = paging_pte(tables, WINDOW, 0);

	map_window(tables, UART_BASE, DEVICE_RW & ~(uint64_t)PTE_D);
	for (unsigned i = 0; i < 2; i++) {
		UART_REG(UART_SCR) = 0x66;
		expect_eq(read_scratch(WINDOW), 0x66, "a page that is not dirty");
	}
	expect(!(*pte & PTE_D), "D was set by a load");
	insn_exec2(INSN_SB, WINDOW + UART_SCR, 0x11, false);
	if (insn_completed()) {
		expect(*pte & PTE_D, "D is clear after a store");
		expect_eq(UART_REG(UART_SCR), 0x11, "what was stored");
	} else {
		expect_eq(hart_self()->trap.cause, EXC_STORE_PAGE, "cause of a store without D");
		expect_eq(UART_REG(UART_SCR), 0x66, "after a store without D");
	}
	map_window(tables, 0, 0);
}

static void dirty(void)
{
	paging_each_mode(used);
}

/* Other address spaces have something else there; a global page is in all of them. */
static void spaces(struct paging *tables)
{
	struct paging other;
	uint64_t memory = paging_new_page();

	paging_init_identity(&other, tables->levels);
	paging_map(&other, WINDOW, memory, 0, DEVICE_RW);
	map_window(tables, UART_BASE, DEVICE_RW);
	for (unsigned i = 0; i < 3; i++) {
		csr_write(CSR_SATP, paging_satp(tables, 1));
		sfence_asid(1);
		expect_device(WINDOW);
		csr_write(CSR_SATP, paging_satp(&other, 2));
		sfence_asid(2);
		expect_memory(WINDOW, memory);
	}
	paging_on(tables, 0);

	paging_map(&other, WINDOW, UART_BASE, 0, DEVICE_RW | PTE_G);
	map_window(tables, UART_BASE, DEVICE_RW | PTE_G);
	expect_device(WINDOW);
	csr_write(CSR_SATP, paging_satp(&other, 2));
	sfence_asid(2);
	expect_device(WINDOW);
	paging_map(&other, WINDOW, memory, 0, DEVICE_RW);
	sfence_va(WINDOW);
	expect_memory(WINDOW, memory);
	paging_on(tables, 0);
	map_window(tables, 0, 0);
}

static void address_spaces(void)
{
	paging_each_mode(spaces);
}

/* A fence anywhere in a larger page is for all of it. */
static void larger(struct paging *tables)
{
	const uint64_t size = paging_size(1);
	const uint64_t frame = align_down(machine.ram_base + size, size);

	for (unsigned i = 0; i < 2; i++) {
		paging_map(tables, OTHER, UART_BASE, 1, DEVICE_RW);
		sfence_va(OTHER + size - PAGE_SIZE);
		expect_device(OTHER);
		paging_map(tables, OTHER, frame, 1, DEVICE_RO);
		sfence_va(OTHER + size / 2);
		expect_eq(read_scratch(OTHER), *(volatile uint8_t *)(frame + UART_SCR),
			  "memory in a large page");
		expect_fault(EXC_STORE_PAGE, INSN_SB, OTHER + UART_SCR);
	}
	paging_map(tables, OTHER, 0, 1, 0);
	sfence_all();
}

static void large_pages(void)
{
	paging_each_mode(larger);
}

/* From one device to another. */
static void devices(struct paging *tables)
{
	for (unsigned i = 0; i < 2; i++) {
		map_window(tables, PLIC_BASE, DEVICE_RW);
		PLIC_PRIORITY(1) = 3;
		expect_eq(*(volatile uint32_t *)(WINDOW + 4), 3, "a source's priority");
		*(volatile uint32_t *)(WINDOW + 4) = 5;
		expect_eq(PLIC_PRIORITY(1), 5, "a source's priority");
		map_window(tables, UART_BASE, DEVICE_RW | PTE_U);
		UART_REG(UART_SCR) = 0x12;
		csr_set(CSR_SSTATUS, SSTATUS_SUM);
		expect_eq(read_scratch(WINDOW), 0x12, "the UART");
		csr_clear(CSR_SSTATUS, SSTATUS_SUM);
	}
	PLIC_PRIORITY(1) = 0;
	map_window(tables, 0, 0);
}

static void other_devices(void)
{
	paging_each_mode(devices);
}

static const struct test tests[] = {
    {"device-remapped", remaps},
    {"device-permissions", permissions},
    {"device-dirty", dirty},
    {"device-address-spaces", address_spaces},
    {"device-large-page", large_pages},
    {"device-others", other_devices},
};
TEST_GROUP(mmio_paging, tests);
