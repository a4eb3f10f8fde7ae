/* SPDX-License-Identifier: MIT */
/* Tables in odd places, reserved bits, ASIDs, fences, devices and borders behind paging. */
#include "guests/selftest/mmio.h"
#include "guests/selftest/paging.h"

static void expect_all(uint64_t va, uint64_t (*cause)(enum access access), const char *what,
		       uint64_t detail)
{
	for (enum access a = 0; a < ACCESS_KINDS; a++)
		expect_eq(paging_try(a, va, false), cause ? cause(a) : 0, "access %d, %s 0x%lx", a,
			  what, detail);
}

/*
 * A walk that reads what cannot be read: an access fault. QEMU says page fault, and to a guest
 * of the H extension QEMU 7.2 gives all walks the cause of a load.
 */
static void expect_walk_fault(uint64_t va, uint64_t place)
{
	for (enum access a = 0; a < ACCESS_KINDS; a++) {
		uint64_t cause = paging_try(a, va, false);

		expect(cause == paging_access_fault(a) || cause == paging_page_fault(a) ||
			   (!machine.native && cause == EXC_LOAD_ACCESS),
		       "access %d, table at 0x%lx: cause %lu", a, place, cause);
	}
}

/* A table, or the page itself, where no memory is. */
static void unbacked_in(struct paging *tables)
{
	const uint64_t places[] = {NOWHERE, machine.ram_base + machine.ram_size, BIT(40), BIT(55)};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		for (unsigned int level = 1; level < tables->levels; level++) {
			uint64_t va = (level < 2 ? WINDOW + GIB(3) : 0) + 41 * paging_size(level);

			*paging_pte(tables, va, level) = pte_make(places[i], PTE_V);
			sfence_all();
			expect_walk_fault(va, places[i]);
			*paging_pte(tables, va, level) = 0;
		}
		paging_map(tables, WINDOW, places[i], 0, PTE_RWX);
		sfence_all();
		expect_all(WINDOW, paging_access_fault, "page at", places[i]);
	}
}

static void unbacked(void)
{
	paging_each_mode(unbacked_in);
}

/* What a walk reads from a device is up to the machine. */
static void table_in_device_in(struct paging *tables)
{
	const uint64_t places[] = {UART_BASE, PLIC_BASE, RTC_BASE, FINISHER_BASE, VIRTIO_BASE};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		uint64_t va = WINDOW + GIB(3) + 43 * paging_size(1);

		*paging_pte(tables, va, 1) = pte_make(places[i], PTE_V);
		sfence_all();
		expect_walk_fault(va, places[i]);
		*paging_pte(tables, va, 1) = 0;
	}
}

static void table_in_device(void)
{
	paging_each_mode(table_in_device_in);
}

static void reserved_in(struct paging *tables)
{
	uint64_t page = paging_new_page(), table_va = WINDOW + GIB(5);
	uint64_t table;

	for (unsigned int bit = 54; bit < 64; bit++) {
		if ((bit == 63 && machine_has("svnapot")) ||
		    ((bit == 61 || bit == 62) && machine_has("svpbmt")) ||
		    ((bit == 59 || bit == 60) && machine_has("svrsw60t59b")))
			continue;
		*paging_pte(tables, WINDOW, 0) = pte_make(page, PTE_RWX) | BIT(bit);
		sfence_all();
		expect_all(WINDOW, paging_page_fault, "PTE bit", bit);
	}
	paging_map(tables, table_va, page, 0, PTE_RWX);
	sfence_all();
	expect_all(table_va, NULL, "before", 0);
	table = *paging_pte(tables, table_va, 1);
	for (unsigned int bit = 4; bit < 64; bit = bit == 7 ? 54 : bit + 1) {
		if (bit == 5) /* G */
			continue;
		*paging_pte(tables, table_va, 1) = table | BIT(bit);
		sfence_all();
		expect_all(table_va, paging_page_fault, "bit of a table's PTE", bit);
	}
	*paging_pte(tables, table_va, 1) = table | PTE_G | BIT(8) | BIT(9);
	sfence_all();
	expect_all(table_va, NULL, "G and RSW in a table's PTE", 0);
}

static void reserved(void)
{
	paging_each_mode(reserved_in);
}

/* A PTE in the lowest table that is no leaf. */
static void too_deep_in(struct paging *tables)
{
	paging_map(tables, WINDOW, paging_new_page(), 0, PTE_V);
	sfence_all();
	expect_all(WINDOW, paging_page_fault, "table at level", 0);
}

static void too_deep(void)
{
	paging_each_mode(too_deep_in);
}

/* Svnapot: 16 pages in one. */
static void napot_in(struct paging *tables)
{
	uint64_t pages = heap_reserve(KIB(64), KIB(64));

	for (uint64_t i = 0; i < 16; i++) {
		*(volatile uint64_t *)(pages + i * PAGE_SIZE) = 0x700 + i;
		*paging_pte(tables, WINDOW + i * PAGE_SIZE, 0) =
		    pte_make(pages | 0x8000, PTE_RW) | PTE_N;
	}
	sfence_all();
	for (uint64_t i = 0; i < 16; i++)
		expect_eq(*(volatile uint64_t *)(WINDOW + i * PAGE_SIZE), 0x700 + i,
			  "page %lu of 16", i);
	for (uint64_t bits = 0; bits < 16; bits++) {
		if (bits == 8)
			continue;
		*paging_pte(tables, WINDOW, 0) = pte_make(pages | bits << 12, PTE_RWX) | PTE_N;
		sfence_all();
		expect_all(WINDOW, paging_page_fault, "N with PPN bits", bits);
	}
	/* The window is used again. */
	for (uint64_t i = 0; i < 16; i++)
		*paging_pte(tables, WINDOW + i * PAGE_SIZE, 0) = 0;
	sfence_all();
}

static void napot(void)
{
	if (!machine_has("svnapot"))
		test_skip("no Svnapot");
	else
		paging_each_mode(napot_in);
}

static uint64_t asid_mask(void)
{
	uint64_t satp = csr_read(CSR_SATP), mask;

	csr_write(CSR_SATP, satp | UINT64_C(0xffff) << SATP_ASID_SHIFT);
	mask = csr_read(CSR_SATP) >> SATP_ASID_SHIFT & 0xffff;
	csr_write(CSR_SATP, satp);
	sfence_all();
	return mask;
}

/* `count` tables that map WINDOW each to a page of its own, which holds its number. */
static void make_spaces(struct paging *spaces, uint64_t count, unsigned int levels)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t *page = heap_take(PAGE_SIZE);

		*page = i;
		paging_init_identity(&spaces[i], levels);
		paging_map(&spaces[i], WINDOW, (uint64_t)page, 0, PTE_RW);
	}
}

static void asid_switch_in(struct paging *tables)
{
	struct paging spaces[4];
	uint64_t mask = asid_mask();

	make_spaces(spaces, 4, tables->levels);
	if (mask < 4)
		return;
	sfence_all();
	for (uint64_t round = 0; round < 2000; round++) {
		uint64_t i = round * 7 % 4;

		csr_write(CSR_SATP, paging_satp(&spaces[i], 1 + i % mask));
		expect_eq(*(volatile uint64_t *)WINDOW, i, "what address space %lu holds", i);
	}
	paging_on(tables, 0);
}

static void asid_switch(void)
{
	paging_each_mode(asid_switch_in);
}

/* One ASID used for another space must show the new one after a fence of that ASID. */
static void asid_reuse_in(struct paging *tables)
{
	struct paging spaces[4];
	uint64_t mask = asid_mask();

	make_spaces(spaces, 4, tables->levels);
	for (uint64_t round = 0; round < 400; round++) {
		uint64_t i = round * 5 % 4, asid = (3 + round % 2) & mask;

		csr_write(CSR_SATP, paging_satp(&spaces[i], asid));
		sfence_asid(asid);
		expect_eq(*(volatile uint64_t *)WINDOW, i, "what address space %lu holds", i);
	}
	paging_on(tables, 0);
}

static void asid_reuse(void)
{
	paging_each_mode(asid_reuse_in);
}

static void asid_all(void)
{
	struct paging spaces[2];
	uint64_t mask, step;

	make_spaces(spaces, 2, 3);
	paging_on(&spaces[0], 0);
	mask = asid_mask();
	step = mask > 8192 ? 3 : 1;
	for (uint64_t asid = 0; asid <= mask; asid += step) {
		csr_write(CSR_SATP, paging_satp(&spaces[asid & 1], asid));
		expect_eq(csr_read(CSR_SATP) >> SATP_ASID_SHIFT & 0xffff, asid, "ASID");
		expect_eq(*(volatile uint64_t *)WINDOW, asid & 1, "what ASID %lu sees", asid);
	}
	for (uint64_t asid = 0; asid <= mask; asid += step) {
		csr_write(CSR_SATP, paging_satp(&spaces[asid & 1], asid));
		expect_eq(*(volatile uint64_t *)WINDOW, asid & 1, "what ASID %lu sees again", asid);
	}
	paging_off();
}

/* A global page may be used in any space; one that is fenced away must not be. */
static void global_in(struct paging *tables)
{
	uint64_t page = paging_new_page(), other = paging_new_page();
	struct paging spaces[2];

	make_spaces(spaces, 2, tables->levels);
	*(volatile uint64_t *)page = 0xaaa;
	*(volatile uint64_t *)other = 0xbbb;
	for (uint64_t round = 0; round < 50; round++) {
		for (int i = 0; i < 2; i++)
			paging_map(&spaces[i], WINDOW + MIB(4), round & 1 ? other : page, 0,
				   PTE_RW | PTE_G);
		sfence_all();
		for (uint64_t i = 0; i < 4; i++) {
			csr_write(CSR_SATP, paging_satp(&spaces[i & 1], 1 + (i & 1)));
			expect_eq(*(volatile uint64_t *)(WINDOW + MIB(4)),
				  round & 1 ? 0xbbb : 0xaaa, "global page");
			expect_eq(*(volatile uint64_t *)WINDOW, i & 1, "page of space %lu", i & 1);
		}
		/* An ASID's fence leaves global pages alone, that of an address does not. */
		sfence_asid(1);
		sfence_va(WINDOW + MIB(4));
	}
	paging_on(tables, 0);
}

static void global_pages(void)
{
	paging_each_mode(global_in);
}

static void fence_forms_in(struct paging *tables)
{
	uint64_t pages[2] = {paging_new_page(), paging_new_page()};
	uint64_t asid = 5 & asid_mask();

	*(volatile uint64_t *)pages[0] = 0x100;
	*(volatile uint64_t *)pages[1] = 0x101;
	csr_write(CSR_SATP, paging_satp(tables, asid));
	for (uint64_t round = 0; round < 400; round++) {
		paging_map(tables, WINDOW, pages[round & 1], 0, PTE_RW);
		switch (round >> 1 & 3) {
		case 0:
			sfence_all();
			break;
		case 1:
			sfence_va(WINDOW + 0x123);
			break;
		case 2:
			sfence_asid(asid);
			break;
		default:
			sfence_va_asid(WINDOW + 0xff8, asid);
		}
		expect_eq(*(volatile uint64_t *)WINDOW, 0x100 + (round & 1), "round %lu", round);
	}
	/* Taken away, and given back with fewer rights. */
	paging_map(tables, WINDOW, 0, 0, 0);
	sfence_va(WINDOW);
	expect_all(WINDOW, paging_page_fault, "unmapped", 0);
	paging_map(tables, WINDOW, pages[0], 0, PTE_V | PTE_R | PTE_A);
	sfence_va(WINDOW);
	expect_eq(paging_try(ACCESS_LOAD, WINDOW, false), 0, "load");
	expect_eq(paging_try(ACCESS_STORE, WINDOW, false), EXC_STORE_PAGE, "store");
	paging_on(tables, 0);
}

static void fence_forms(void)
{
	paging_each_mode(fence_forms_in);
}

/* A leaf replaced by a table of smaller pages, and back. */
static void split_in(struct paging *tables)
{
	uint64_t big = heap_reserve(MIB(2), MIB(2)), other = paging_new_page(),
		 va = WINDOW + MIB(64);
	uint64_t *table = heap_take(PAGE_SIZE);

	for (uint64_t i = 0; i < 512; i++)
		table[i] = pte_make(big + i * PAGE_SIZE, PTE_RW);
	table[77] = pte_make(other, PTE_RW);
	*(volatile uint64_t *)(big + 77 * PAGE_SIZE) = 0x1;
	*(volatile uint64_t *)other = 0x2;
	for (int round = 0; round < 20; round++) {
		*paging_pte(tables, va, 1) = pte_make(big, PTE_RW);
		sfence_all();
		expect_eq(*(volatile uint64_t *)(va + 77 * PAGE_SIZE), 1, "through the large page");
		*paging_pte(tables, va, 1) = pte_make((uint64_t)table, PTE_V);
		sfence_all();
		expect_eq(*(volatile uint64_t *)(va + 77 * PAGE_SIZE), 2, "through the table");
	}
}

static void split(void)
{
	paging_each_mode(split_in);
}

static void devices_in(struct paging *tables)
{
	uint64_t uart = WINDOW + MIB(8), plic = WINDOW + MIB(10);
	const struct trap_frame *trap = &hart_self()->trap;

	paging_map(tables, uart, UART_BASE, 0, PTE_RW);
	paging_map(tables, plic, PLIC_BASE, 1, PTE_RW);
	sfence_all();
	for (uint32_t i = 0; i < 50; i++) {
		*(volatile uint8_t *)(uart + UART_SCR) = (uint8_t)(i * 5);
		expect_eq(*(volatile uint8_t *)(uart + UART_SCR), (uint8_t)(i * 5), "scratch");
		*(volatile uint32_t *)(plic + 4 * 13) = i & 7;
		expect_eq(PLIC_PRIORITY(13), i & 7, "priority");
	}
	/* stval is the virtual address, also when it is the device that refuses. */
	insn_exec2(insn_i(OP_LOAD, 3, 12, 10, 0), plic + 8, 0, false);
	expect_trap(EXC_LOAD_ACCESS, plic + 8, "ld from the PLIC");
	insn_exec2(insn_s(OP_STORE, 0, 10, 11, 0), plic + 8, 0, false);
	expect_trap(EXC_STORE_ACCESS, plic + 8, "sb to the PLIC");
	insn_exec2(insn_i(OP_LOAD, 0, 12, 10, 0), uart + 0x80, 0, false);
	expect_trap(EXC_LOAD_ACCESS, uart + 0x80, "lb behind the UART");
	/* Read-only and U mappings of devices are checked first. */
	paging_map(tables, uart, UART_BASE, 0, PTE_V | PTE_R | PTE_A | PTE_U);
	sfence_all();
	insn_exec2(insn_i(OP_LOAD, 0, 12, 10, 0), uart, 0, false);
	expect_trap(EXC_LOAD_PAGE, uart, "U page");
	csr_set(CSR_SSTATUS, SSTATUS_SUM);
	insn_exec2(insn_s(OP_STORE, 0, 10, 11, 0), uart, 0, false);
	expect_trap(EXC_STORE_PAGE, uart, "read-only page");
	*(volatile uint8_t *)(UART_BASE + UART_SCR) = 0x77;
	insn_exec2(insn_i(OP_LOAD, 4, 12, 10, UART_SCR), uart, 0, false);
	csr_clear(CSR_SSTATUS, SSTATUS_SUM);
	expect(insn_completed(), "lbu under SUM: cause %lu", trap->cause);
	expect_eq(trap->x[12], 0x77, "lbu under SUM");
}

static void devices(void)
{
	paging_each_mode(devices_in);
}

/* Pages that are neighbours by address only; then the second is missing. */
static void borders_in(struct paging *tables)
{
	uint64_t second = paging_new_page(), first, border = WINDOW + MIB(16) + PAGE_SIZE;
	const struct trap_frame *trap = &hart_self()->trap;

	heap_take(3 * PAGE_SIZE);
	first = paging_new_page();
	paging_map(tables, border - PAGE_SIZE, first, 0, PTE_RWX);
	paging_map(tables, border, second, 0, PTE_RWX);
	sfence_all();
	for (uint64_t back = 1; back < 8; back++) {
		uint64_t va = border - back, value = UINT64_C(0x1122334455667788) * back;

		trap = insn_exec2(insn_s(OP_STORE, 3, 10, 11, 0), va, value, false);
		expect(insn_completed(), "sd %lu before the border: cause %lu", back, trap->cause);
		trap = insn_exec2(insn_i(OP_LOAD, 3, 12, 10, 0), va, 0, false);
		expect(insn_completed(), "ld %lu before the border: cause %lu", back, trap->cause);
		expect_eq(trap->x[12], value, "ld %lu before the border", back);
		expect_eq(*(volatile uint8_t *)(first + PAGE_SIZE - 1),
			  (uint8_t)(value >> (8 * back - 8)), "last byte of the first page");
		expect_eq(*(volatile uint8_t *)second, (uint8_t)(value >> (8 * back)),
			  "first of the second");
	}
	paging_map(tables, border, 0, 0, 0);
	sfence_all();
	for (uint64_t back = 1; back < 8; back++) {
		trap = insn_exec2(insn_i(OP_LOAD, 3, 12, 10, 0), border - back, 0, false);
		expect_eq(trap->cause, EXC_LOAD_PAGE, "cause of ld across");
		expect(trap->tval == border || trap->tval == border - back,
		       "stval 0x%lx of ld across", trap->tval);
		*(volatile uint8_t *)(first + PAGE_SIZE - 1) = 0x5a;
		trap =
		    insn_exec2(insn_s(OP_STORE, 3, 10, 11, 0), border - back, ~UINT64_C(0), false);
		expect_eq(trap->cause, EXC_STORE_PAGE, "cause of sd across");
		expect(trap->tval == border || trap->tval == border - back,
		       "stval 0x%lx of sd across", trap->tval);
		expect_eq(*(volatile uint8_t *)(first + PAGE_SIZE - 1), 0x5a,
			  "half of a store that faulted");
	}
	/* An instruction of 4 bytes with its second half in the missing page. */
	*(volatile uint16_t *)(first + PAGE_SIZE - 2) = (uint16_t)INSN_NOP;
	__asm__ volatile("fence.i");
	trap_exec(border - 2, NULL, false);
	expect_trap(EXC_INSN_PAGE, border, "fetch across");
	expect_eq(trap->epc, border - 2, "sepc of a fetch across");
}

static void borders(void)
{
	paging_each_mode(borders_in);
}

/* Random PTEs that point into a scratch area, or where no memory is; only loads follow. */
static void garbage_in(struct paging *tables)
{
	uint64_t seed = test_seed * 77 + 1, scratch = (uint64_t)heap_take(KIB(64));
	volatile uint64_t *root = (volatile uint64_t *)scratch;

	for (uint64_t i = 0; i < KIB(64) / 8; i++) {
		uint64_t bits = random_next(&seed);
		uint64_t page = bits & BIT(40) ? scratch + (bits >> 12 & 15) * PAGE_SIZE : NOWHERE;

		root[i] = pte_make(page, bits & 0xff) | (bits & BIT(41) ? 0 : bits & ~BITS(53, 0));
	}
	*paging_pte(tables, WINDOW + GIB(6), 2) = pte_make(scratch, PTE_V);
	sfence_all();
	for (int i = 0; i < 2000; i++) {
		uint64_t va = WINDOW + GIB(6) + (random_next(&seed) & BITS(29, 3)), cause;

		insn_exec2(insn_i(OP_LOAD, 3, 12, 10, 0), va, 0, false);
		cause = hart_self()->trap.cause;
		if (insn_completed())
			continue;
		expect(cause == EXC_LOAD_PAGE || cause == EXC_LOAD_ACCESS, "cause %lu", cause);
		expect_eq(hart_self()->trap.tval, va, "stval");
	}
	*paging_pte(tables, WINDOW + GIB(6), 2) = 0;
	sfence_all();
}

static void garbage(void)
{
	paging_each_mode(garbage_in);
}

/* Bare and back, without a fence: the tables have not changed. */
static void bare_and_back_in(struct paging *tables)
{
	uint64_t page = paging_new_page();

	paging_map(tables, WINDOW, page, 0, PTE_RW);
	sfence_all();
	for (uint64_t i = 0; i < 300; i++) {
		*(volatile uint64_t *)WINDOW = i;
		csr_write(CSR_SATP, 0);
		expect_eq(*(volatile uint64_t *)page, i, "bare");
		*(volatile uint64_t *)page = i + 1000;
		csr_write(CSR_SATP, paging_satp(tables, 0));
		expect_eq(*(volatile uint64_t *)WINDOW, i + 1000, "paged");
	}
}

static void bare_and_back(void)
{
	paging_each_mode(bare_and_back_in);
}

static const struct test tests[] = {
    {"unbacked", unbacked},
    {"table-in-device", table_in_device},
    {"reserved", reserved},
    {"too-deep", too_deep},
    {"napot", napot},
    {"asid-switch", asid_switch},
    {"asid-reuse", asid_reuse},
    {"asid-all", asid_all},
    {"global-pages", global_pages},
    {"fence-forms", fence_forms},
    {"split", split},
    {"devices", devices},
    {"borders", borders},
    {"garbage", garbage},
    {"bare-and-back", bare_and_back},
};
TEST_GROUP(paging_more, tests);
