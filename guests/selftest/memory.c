/* SPDX-License-Identifier: MIT */
/* All of RAM, and every way in which a page can be touched for the first time. */
#include "guests/lib/paging.h"
#include "guests/selftest/sbi.h"

#define LD insn_i(OP_LOAD, 3, 12, 10, 0)
#define SD insn_s(OP_STORE, 3, 10, 11, 0)

/*
 * The start of a 2 MiB page in the middle of free RAM that no test has touched, each time the
 * next; 0 when there is no more, after which the test is skipped.
 */
static uint64_t untouched(void)
{
	static uint64_t next;
	uint64_t page;

	if (next == 0)
		next = align_up(machine.heap + (machine.heap_end - machine.heap) / 2, MIB(2));
	page = next;
	if (page + MIB(8) > machine.heap_end) {
		test_skip("too little RAM");
		return 0;
	}
	next += MIB(2);
	return page;
}

static void expect_done(const char *what, uint64_t address)
{
	expect(insn_completed(), "%s at 0x%lx: cause %lu stval 0x%lx", what, address,
	       hart_self()->trap.cause, hart_self()->trap.tval);
}

static void touch_accesses(void)
{
	const uint32_t insns[] = {LD,
				  SD,
				  insn_i(OP_LOAD, 0, 12, 10, 0),
				  insn_s(OP_STORE, 1, 10, 11, 0),
				  insn_amo(0, 3, 12, 10, 11),
				  insn_amo(2, 2, 12, 10, 0),
				  insn_amo(1, 2, 0, 10, 11),
				  insn_i(OP_LOAD_FP, 3, 1, 10, 0),
				  insn_s(OP_STORE_FP, 3, 10, 1, 0),
				  insn_c_mem(3, 12, 10, 0),
				  insn_c_mem(7, 11, 10, 0)};

	csr_set(CSR_SSTATUS, SSTATUS_FS);
	for (size_t i = 0; i < ARRAY_SIZE(insns); i++) {
		uint64_t page = untouched();

		if (page == 0)
			return;
		insn_exec2(insns[i], page + 0x100 * i, 0, i & 1);
		expect_done("first access", page);
	}
}

/* Misaligned across the border of two pages, the lower or neither of which was touched. */
static void touch_across(void)
{
	for (uint64_t back = 1; back < 8; back += 2) {
		uint64_t low = untouched(), high = untouched();

		if (low == 0 || high == 0)
			return;
		if (high != low + MIB(2))
			continue;
		if (back & 2)
			*(volatile uint8_t *)low = 1;
		insn_exec2(back & 4 ? LD : SD, high - back, UINT64_C(0x1122334455667788), false);
		expect_done("access across", high - back);
		insn_exec2(SD, high - back, UINT64_C(0x1122334455667788), false);
		insn_exec2(LD, high - back, 0, false);
		expect_done("load across", high - back);
		expect_eq(hart_self()->trap.x[12], UINT64_C(0x1122334455667788), "value");
	}
}

static void touch_by_fetch(void)
{
	uint64_t page = untouched(), next;

	if (page == 0)
		return;
	/* Memory is zeroes at first, and those are no instruction. */
	trap_exec(page, NULL, false);
	if (machine.native && hart_self()->trap.cause != EXC_ILLEGAL_INSN) {
		test_skip("memory is in use");
		return;
	}
	expect_trap(EXC_ILLEGAL_INSN, 0, "fetch");
	page = untouched();
	next = untouched();
	if (page == 0 || next != page + MIB(2))
		return;
	*(volatile uint16_t *)(next - 2) =
	    (uint16_t)INSN_NOP | 0x3000; /* with zeroes: andi x0, x0, 0 */
	__asm__ volatile("fence.i");
	trap_exec(next - 2, NULL, true);
	expect_trap(EXC_ILLEGAL_INSN, 0, "after an instruction across the border");
	expect_eq(hart_self()->trap.epc, next + 2, "sepc");
}

static void touch_by_walk(void)
{
	uint64_t table = untouched();
	struct paging tables;

	if (table == 0)
		return;
	paging_init_identity(&tables, 3);
	*paging_pte(&tables, GIB(64), 2) = pte_make(table, PTE_V);
	paging_on(&tables, 0);
	insn_exec2(LD, GIB(64), 0, false);
	paging_off();
	expect_trap(EXC_LOAD_PAGE, GIB(64), "walk through a table of zeroes");
}

/* The trap handler's own frame and stack are what is touched. */
static void touch_by_trap(void)
{
	struct hart *hart = hart_self();
	uint64_t frame = hart->frame, page = untouched();

	if (page == 0)
		return;
	for (int i = 0; i < 3 && page; i++, page = untouched()) {
		hart->frame = page + MIB(1);
		insn_exec(INSN_EBREAK, NULL, i & 1);
		hart->frame = frame;
		expect_eq(hart->trap.cause, EXC_BREAKPOINT, "cause");
	}
}

static void touch_by_sbi(void)
{
	uint64_t page = untouched();
	struct sbi_ret ret;

	if (page == 0)
		return;
	if (sbi1(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, SBI_EXT_DBCN).value == 0) {
		test_skip("no DBCN");
		return;
	}
	ret = sbi3(SBI_EXT_DBCN, SBI_DBCN_READ, 64, page + MIB(2) - 32, 0);
	expect_eq(ret.error, 0, "DBCN read across a border");
	page = untouched();
	if (page == 0)
		return;
	expect_eq(sbi_call(SBI_EXT_SEND_IPI, 0, page, 0, 0, 0, 0).error, 0,
		  "legacy IPI with an empty mask");
}

static uint64_t range_start, range_pages;

static uint64_t pattern(uint64_t page)
{
	return page * UINT64_C(0x9e3779b97f4a7c15) ^ test_seed;
}

/* Pages go round among the harts, so that several touch each 2 MiB at the same time. */
static void fill_pages(void *argument)
{
	for (uint64_t i = (uint64_t)(hart_self() - harts); i < range_pages;
	     i += machine.hart_count) {
		volatile uint64_t *p = (volatile uint64_t *)(range_start + i * PAGE_SIZE);

		p[i & 511] = pattern(i);
	}
	(void)argument;
}

static void check_pages(void *argument)
{
	uint64_t first = (uint64_t)(hart_self() - harts) + 1;

	(void)argument;
	for (uint64_t i = first; i < range_pages; i += machine.hart_count) {
		volatile uint64_t *p = (volatile uint64_t *)(range_start + i * PAGE_SIZE);

		expect_eq(p[i & 511], pattern(i), "page at 0x%lx", (uint64_t)p);
	}
}

static void everywhere(void (*work)(void *argument))
{
	for (size_t i = 1; i < machine.hart_count; i++)
		expect_eq(hart_run(i, work, NULL), 0, "start of hart %lu", harts[i].id);
	work(NULL);
	for (size_t i = 1; i < machine.hart_count; i++)
		expect(hart_join(i, 60000), "hart %lu did not finish", harts[i].id);
}

static void all_of_it(void)
{
	uint64_t bytes;

	range_start = align_up(machine.heap, PAGE_SIZE);
	bytes = machine.heap_end - range_start;
	range_pages = min_u64(bytes, GIB(1)) / PAGE_SIZE;
	everywhere(fill_pages);
	everywhere(check_pages);
	/* The end, where RAM is larger than that. */
	*(volatile uint64_t *)(machine.heap_end - 8) = 0x1234;
	expect_eq(*(volatile uint64_t *)(machine.heap_end - 8), 0x1234, "last word");
}

static void misaligned_values(void)
{
	static uint8_t bytes[3 * PAGE_SIZE] __aligned(4096);

	for (uint64_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + (i >> 8));
	for (uint64_t at = PAGE_SIZE - 9; at < PAGE_SIZE + 9; at++)
		for (uint32_t f3 = 0; f3 < 4; f3++) {
			uint64_t size = UINT64_C(1) << f3, want = 0;

			for (uint64_t i = size; i-- > 0;)
				want = want << 8 | bytes[at + i];
			want = (uint64_t)((int64_t)(want << (64 - 8 * size)) >> (64 - 8 * size));
			insn_exec2(insn_i(OP_LOAD, f3, 12, 10, 0), (uint64_t)&bytes[at], 0, false);
			expect_done("load", at);
			expect_eq(hart_self()->trap.x[12], want, "load %u at %lu", f3, at);
			insn_exec2(insn_s(OP_STORE, f3, 10, 11, 0), (uint64_t)&bytes[at], ~want,
				   false);
			expect_done("store", at);
			for (uint64_t i = 0; i < size; i++)
				expect_eq(bytes[at + i], (uint8_t)(~want >> (8 * i)),
					  "store %u at %lu", f3, at);
		}
}

/* Across the end of RAM: the fault names a byte of the access, and nothing is written. */
static void end_of_ram(void)
{
	uint64_t end = machine.ram_base + machine.ram_size;
	const struct trap_frame *trap = &hart_self()->trap;

	*(volatile uint64_t *)(end - 8) = 0x5a5a;
	insn_exec2(LD, end - 8, 0, false);
	expect_done("load of the last word", end - 8);
	for (uint64_t back = 1; back < 8; back++) {
		insn_exec2(LD, end - back, 0, false);
		expect_eq(trap->cause, EXC_LOAD_ACCESS, "cause of ld %lu before the end", back);
		expect(trap->tval >= end - back && trap->tval <= end, "stval 0x%lx", trap->tval);
		insn_exec2(SD, end - back, ~UINT64_C(0), false);
		expect_eq(trap->cause, EXC_STORE_ACCESS, "cause of sd %lu before the end", back);
		expect(trap->tval >= end - back && trap->tval <= end, "stval 0x%lx", trap->tval);
	}
}

static const struct test tests[] = {
    {"touch-accesses", touch_accesses},
    {"touch-across", touch_across},
    {"touch-by-fetch", touch_by_fetch},
    {"touch-by-walk", touch_by_walk},
    {"touch-by-trap", touch_by_trap},
    {"touch-by-sbi", touch_by_sbi},
    {"all", all_of_it},
    {"misaligned-values", misaligned_values},
    {"end-of-ram", end_of_ram},
};
TEST_GROUP(memory, tests);
