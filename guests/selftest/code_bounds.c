/* SPDX-License-Identifier: MIT */
/*
 * Few instructions and faults that leave a hypervisor with page tables of its own as much to do as
 * can be: pages that become parts of a larger one and are fenced, and more address spaces than
 * there is room for. What they find is checked here; how long it takes is for whoever measures
 * that to see.
 */
#include "guests/selftest/code.h"

/* Where this is done: so many GiB that nothing else uses. */
#define WINDOW UINT64_C(0x2800000000)
#define GIBS   90

#define TOP_GIB UINT64_C(0xffffffffc0000000)

#define ROUNDS 6 /* the first ones make the code hot */

/* The code, which runs in all address spaces, as does all else that is mapped to itself. */
static struct code setup(void)
{
	struct code code = {.frame = code_setup(1)};

	for (uint64_t va = 0; va < GIB(4); va += GIB(1))
		*paging_pte(&code_tables, va, 2) |= PTE_G;
	*paging_pte(&code_tables, CODE, 0) |= PTE_G;
	sfence_all();
	return code;
}

/* The last table of all windows: pages at both ends of each half of it, which are one frame. */
static uint64_t *common_table(uint64_t flags)
{
	static const unsigned int places[] = {0, 1, 255, 256, 510, 511};
	uint64_t *table = heap_take(PAGE_SIZE);
	uint64_t *frame = heap_take(PAGE_SIZE);

	*frame = WINDOW;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		table[places[i]] = pte_make((uint64_t)frame, PTE_RW | flags);
	return table;
}

/* All pages of the common table that lie at `va` are there. */
static void touch_table(uint64_t va)
{
	expect_eq(*(volatile uint64_t *)va, WINDOW, "at 0x%lx", va);
	*(volatile uint64_t *)(va + 255 * PAGE_SIZE);
	*(volatile uint64_t *)(va + 256 * PAGE_SIZE);
	expect_eq(*(volatile uint64_t *)(va + 511 * PAGE_SIZE), WINDOW, "at 0x%lx and on", va);
}

/* `count` fences, one for each `step` bytes from the window on. */
static void emit_fences(struct code *code, unsigned int count)
{
	code->at = 0;
	for (unsigned int i = 0; i < count; i++) {
		emit(code, INSN_SFENCE | S2 << 15);
		emit(code, insn_r(0x33, 0, 0, S2, S2, S3)); /* add */
	}
	emit(code, INSN_EBREAK);
	__asm__ volatile("fence.i" ::: "memory");
}

static void run_fences(const struct code *code, uint64_t step)
{
	const uint64_t x[32] = {[S2] = WINDOW, [S3] = step};

	code_run(CODE, 0, x, false);
	expect_eq(hart_self()->trap.cause, EXC_BREAKPOINT, "cause");
	expect_eq(hart_self()->trap.epc, CODE + code->at - 4, "sepc");
}

/* A page where the common table has none near it. */
static uint64_t page_between(void)
{
	uint64_t page;

	do
		page = (uint64_t)heap_take(PAGE_SIZE);
	while ((page >> PAGE_SHIFT & 255) < 8 || (page >> PAGE_SHIFT & 255) >= 248);
	return page;
}

/*
 * In each of some GiB `count` tables, evenly spread, with a few global pages each; then each
 * becomes one page, of which something is used that was not before, and is fenced.
 */
static void become_one_page(uint64_t gibs, uint64_t count)
{
	struct code code = setup();
	uint64_t *tables = heap_take(PAGE_SIZE);
	uint64_t table = pte_make((uint64_t)common_table(PTE_G), PTE_V);
	uint64_t step = 511 / (count - 1);
	uint64_t page = page_between();

	for (uint64_t i = 0; i < count; i++)
		tables[i * step] = table;
	emit_fences(&code, (unsigned int)gibs);
	for (int round = 0; round < ROUNDS && !test_failed(); round++) {
		for (uint64_t g = 0; g < gibs; g++)
			paging_map(&code_tables, WINDOW + g * GIB(1), (uint64_t)tables, 2, PTE_V);
		run_fences(&code, GIB(1));
		for (uint64_t i = 0; i < gibs * count; i++)
			touch_table(WINDOW + i / count * GIB(1) + i % count * step * MIB(2));
		for (uint64_t g = 0; g < gibs; g++) {
			paging_map(&code_tables, WINDOW + g * GIB(1), align_down(page, GIB(1)), 2,
				   PTE_RW | PTE_G);
			*(volatile uint64_t *)(WINDOW + g * GIB(1) + page % GIB(1)) = g;
		}
		run_fences(&code, GIB(1));
		for (uint64_t g = 0; g < gibs; g++)
			expect_eq(*(volatile uint64_t *)(WINDOW + g * GIB(1) + page % GIB(1)),
				  gibs - 1, "GiB %lu as one page", g);
	}
}

static void many_tables_become_one_page(void)
{
	become_one_page(1, 512);
	become_one_page(1, 200);
}

static void tables_become_pages(void)
{
	become_one_page(12, 18);
	become_one_page(30, 8);
}

/*
 * Parts of large global pages, `count` in each of some GiB: what lies in them has code beside it,
 * so that they are not large for a hypervisor. Before a fence of everything nothing changes, or
 * all.
 */
static void map_parts(uint64_t gibs, uint64_t count, uint64_t region, uint64_t flags)
{
	uint64_t step = 511 / count;

	for (uint64_t i = 0; i < gibs * count; i++)
		paging_map(&code_tables, WINDOW + i / count * GIB(1) + i % count * step * MIB(2),
			   region, 1, flags | PTE_G);
}

static void fence_parts(uint64_t gibs, uint64_t count)
{
	struct code code = setup();
	uint64_t region = align_down(code.frame, MIB(2)), step = 511 / count;
	const uint64_t x[32] = {0};

	map_parts(gibs, count, region, PTE_RW);
	emit(&code, insn_csrr(A0, CSR_SSCRATCH));
	emit(&code, INSN_SFENCE);
	emit(&code, INSN_EBREAK);
	__asm__ volatile("fence.i" ::: "memory");
	for (int round = 0; round < 3 * ROUNDS && !test_failed(); round++) {
		for (uint64_t i = 0; i < gibs * count; i++) {
			uint64_t va = WINDOW + i / count * GIB(1) + i % count * step * MIB(2) +
				      i % 512 * PAGE_SIZE;

			expect_eq(*(volatile uint64_t *)va,
				  *(volatile uint64_t *)(region + va % MIB(2)), "at 0x%lx", va);
		}
		if (round % 3 == 2)
			map_parts(gibs, count, region, round & 1 ? PTE_RW : PTE_RW & ~PTE_W);
		code_run(CODE, 0, x, false);
		expect_eq(hart_self()->trap.epc, CODE + code.at - 4, "sepc");
	}
}

static void parts_of_large_pages(void)
{
	fence_parts(1, 40);
	fence_parts(1, 255);
	fence_parts(3, 255);
	fence_parts(4, 4);
	fence_parts(12, 3);
	fence_parts(60, 1);
}

#define NAPOT_TABLES 60

/* Pages of 64 KiB at both ends of tables, each of which is fenced. */
static void fenced_napot(void)
{
	struct code code;
	uint64_t *table, *frames;

	if (!machine_has("svnapot")) {
		test_skip("no Svnapot");
		return;
	}
	code = setup();
	table = heap_take(PAGE_SIZE);
	frames = (uint64_t *)align_up((uint64_t)heap_take(2 * KIB(64)), KIB(64));
	*frames = WINDOW;
	for (unsigned int i = 0; i < 16; i++)
		table[i] = table[240 + i] = table[256 + i] = table[496 + i] =
		    pte_make((uint64_t)frames | KIB(32), PTE_RW | PTE_G | PTE_N);
	emit_fences(&code, NAPOT_TABLES);
	for (int round = 0; round < ROUNDS && !test_failed(); round++) {
		for (uint64_t i = 0; i < NAPOT_TABLES; i++)
			*paging_pte(&code_tables, WINDOW + i * MIB(2), 1) =
			    pte_make((uint64_t)table, PTE_V);
		for (uint64_t i = 0; i < 4 * NAPOT_TABLES; i++) {
			static const uint16_t places[] = {0, 240, 256, 496};
			uint64_t va = WINDOW + i / 4 * MIB(2) + places[i % 4] * PAGE_SIZE;

			expect_eq(*(volatile uint64_t *)va, WINDOW, "round %d, at 0x%lx", round,
				  va);
		}
		run_fences(&code, MIB(2));
	}
}

#define SPACES 256

static void use_space(uint64_t asid)
{
	csr_write(CSR_SATP, paging_satp(&code_tables, asid));
}

/*
 * Address spaces, which their ASIDs tell apart, of next to nothing each; then pages far apart in
 * one of them, and a few more spaces before each; and at last a page where a hypervisor may be
 * itself.
 */
static void spaces_of_nothing(void)
{
	uint64_t asid = 2;
	uint64_t *tables;

	setup();
	tables = heap_take(PAGE_SIZE);
	tables[0] = pte_make((uint64_t)common_table(0), PTE_V);
	for (uint64_t g = 0; g < GIBS; g++)
		paging_map(&code_tables, WINDOW + g * GIB(1), (uint64_t)tables, 2, PTE_V);
	for (int round = 0; round < ROUNDS && !test_failed(); round++) {
		for (uint64_t i = 0; i < SPACES; i++)
			use_space(asid++);
		for (uint64_t g = 0; g < GIBS; g++) {
			for (int i = 0; i < 4; i++)
				use_space(asid++);
			use_space(1);
			touch_table(WINDOW + g * GIB(1));
		}
		sfence_asid(1);
	}
	for (uint64_t i = 0; i < SPACES; i++)
		use_space(asid++);
	paging_map(&code_tables, TOP_GIB, (uint64_t)tables, 0, PTE_RW);
	expect_eq(*(volatile uint64_t *)TOP_GIB, tables[0], "in the top GiB");
}

/* A page of code, run with these registers from its beginning to the breakpoint at its end. */
static void run_page(struct code *code, const uint64_t x[32])
{
	emit(code, INSN_EBREAK);
	__asm__ volatile("fence.i" ::: "memory");
	for (int round = 0; round < ROUNDS && !test_failed(); round++) {
		code_run(CODE, 0, x, false);
		expect_eq(hart_self()->trap.cause, EXC_BREAKPOINT, "cause");
		expect_eq(hart_self()->trap.epc, CODE + code->at - 4, "sepc");
	}
}

/* CSRs that take the longest, with nothing between them. */
static void row_of_csrs(void)
{
	static const uint16_t csrs[] = {CSR_SENVCFG, CSR_SCOUNTEREN, CSR_SIP, CSR_SSTATUS};
	struct code code = setup();
	const uint64_t x[32] = {0};

	for (unsigned int i = 0; i < 600; i++)
		emit(&code, insn_csrw(csrs[i / 150], S2));
	run_page(&code, x);
	code.at = 0;
	for (unsigned int i = 0; i < 600; i++)
		emit(&code, insn_csr(2, csrs[i % 4], A0, 0));
	run_page(&code, x);
}

/* As many branches as there can be between privileged instructions, none of which is taken. */
static void row_of_branches(void)
{
	struct code code = setup();
	const uint64_t x[32] = {0};

	for (unsigned int i = 0; i < 900; i++) {
		bool is_branch = i % 9 < 8;

		emit(&code, is_branch ? insn_branch(1, 0, 0, 4 * (20 - i % 20) + 4)
				      : insn_csrw(CSR_SENVCFG, S2));
	}
	run_page(&code, x);
}

/* As many loads, and CSRs that are done quickly. */
static void row_of_loads(void)
{
	struct code code = setup();
	const uint64_t x[32] = {[S2] = (uint64_t)heap_take(PAGE_SIZE)};

	for (unsigned int i = 0; i < 900; i++)
		emit(&code, i % 9 < 8 ? insn_i(0x03, 3, A0, S2, 8 * (i % 9))
				      : insn_csrw(i % 16 ? CSR_STVAL : CSR_SENVCFG, A1));
	run_page(&code, x);
}

/* A function that gives scause and `number`, at the beginning of each page. */
static void put_function(uint32_t *page, uint32_t number)
{
	page[0] = insn_csrr(A0, CSR_SCAUSE);
	page[1] = insn_i(0x13, 0, A0, A0, number);
	page[2] = 0x00008067; /* ret */
}

static void call_function(uint8_t *pages, uint64_t i, uint64_t number)
{
	uint64_t cause = i << 16;

	csr_write(CSR_SCAUSE, cause);
	expect_eq(((uint64_t (*)(void))(pages + i * PAGE_SIZE))(), cause + number, "page %lu", i);
}

/* More pages with privileged code than a hypervisor has room for what it knows of them. */
static void many_pages(void)
{
	uint64_t count = machine.ram_size / 16 / PAGE_SIZE, seed = test_seed;
	uint8_t *pages = (uint8_t *)heap_reserve(count * PAGE_SIZE, PAGE_SIZE);

	for (uint64_t i = 0; i < count; i++)
		put_function((uint32_t *)(pages + i * PAGE_SIZE), (uint32_t)i % 2048);
	__asm__ volatile("fence.i" ::: "memory");
	for (int round = 0; round < 3 && !test_failed(); round++)
		for (uint64_t i = 0; i < count; i++)
			call_function(pages, i, i % 2048);
	for (uint64_t n = 0; n < count && !test_failed(); n++) {
		uint64_t i = random_next(&seed) % count, number = random_next(&seed) % 2048;

		put_function((uint32_t *)(pages + i * PAGE_SIZE), (uint32_t)number);
		__asm__ volatile("fence.i" ::: "memory");
		for (int call = 0; call < 4; call++)
			call_function(pages, i, number);
	}
}

static const struct test tests[] = {
    {"many-tables-become-one-page", many_tables_become_one_page},
    {"tables-become-pages", tables_become_pages},
    {"parts-of-large-pages", parts_of_large_pages},
    {"fenced-napot", fenced_napot},
    {"row-of-csrs", row_of_csrs},
    {"row-of-branches", row_of_branches},
    {"row-of-loads", row_of_loads},
    {"spaces-of-nothing", spaces_of_nothing},
    {"many-pages", many_pages},
};
TEST_GROUP(code_bounds, tests);
