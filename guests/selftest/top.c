/* SPDX-License-Identifier: MIT */
/*
 * Addresses where a hypervisor may be that shares the guest's page tables: the top GiB, and pages
 * in the lower half that Pilae pins when it has nothing else (engine/soft/pin.h). All of them are
 * the guest's.
 */
#include "engine/soft/pin.h"
#include "guests/selftest/code.h"
#include "guests/selftest/paging.h"

#define PLACE_PAGES 2
#define PLACE_SIZE  (PLACE_PAGES * PAGE_SIZE)
#define TOP_PLACES  10
#define TOP_GIB     UINT64_C(0xffffffffc0000000)

/* Each is the first of PLACE_PAGES pages. */
static uint64_t places[TOP_PLACES + PIN_CANDIDATES] = {
    TOP_GIB,
    TOP_GIB + 0x7f000,
    TOP_GIB + 0x1fff000,
    UINT64_C(0xffffffffd0003000),
    UINT64_C(0xffffffffd000c000),
    UINT64_C(0xffffffffe0000000),
    UINT64_C(0xffffffffe01ff000),
    UINT64_C(0xfffffffff0000000),
    UINT64_C(0xffffffffffbff000),
    UINT64_C(0xffffffffffffe000),
};

typedef uint64_t __attribute__((aligned(1))) misaligned_t;

/* What is mapped there, and the physical address of its first page. */
static uint64_t frames[ARRAY_SIZE(places)];

extern const char top_runner[], top_runner_end[], top_handler[], top_handler_end[];

static void find_places(void)
{
	if (frames[0])
		return;
	for (unsigned int i = 0; i < PIN_CANDIDATES; i++)
		places[TOP_PLACES + i] = pin_candidate(i);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		frames[i] = (uint64_t)heap_take(PLACE_SIZE);
}

static void map_place(struct paging *tables, size_t place, uint64_t frame, uint64_t flags)
{
	for (uint64_t page = 0; page < PLACE_SIZE; page += PAGE_SIZE) {
		paging_map(tables, places[place] + page, frame + page, 0, flags);
		sfence_va(places[place] + page);
	}
}

static void map_places(struct paging *tables, uint64_t flags)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		map_place(tables, i, frames[i], flags);
}

/* What a word of a frame holds. */
static uint64_t mark(size_t place, uint64_t offset)
{
	return (uint64_t)place << 32 | offset << 8 | 0x5a;
}

static void fill_frames(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		for (uint64_t offset = 0; offset < PLACE_SIZE; offset += 8)
			*(volatile uint64_t *)(frames[i] + offset) = mark(i, offset);
}

static void each_mode(void (*test)(struct paging *tables))
{
	find_places();
	paging_each_mode(test);
}

/* Nothing is to be seen of what is not the guest's. */
static void faults_in(struct paging *tables)
{
	(void)tables;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		for (uint64_t offset = 0; offset < PLACE_SIZE; offset += 0x7f8)
			for (int state = 0; state < 4; state++) {
				uint64_t va = places[i] + offset;

				csr_clear(CSR_SSTATUS, SSTATUS_SUM);
				csr_set(CSR_SSTATUS, state & 2 ? SSTATUS_SUM : 0);
				for (enum access a = 0; a < ACCESS_KINDS; a++)
					expect_eq(paging_try(a, va, state & 1),
						  paging_page_fault(a),
						  "access %d at 0x%lx, user %d", a, va, state & 1);
			}
	csr_clear(CSR_SSTATUS, SSTATUS_SUM);
}

static void faults(void)
{
	each_mode(faults_in);
}

/* Without translation these are physical addresses, where nothing is. */
static void bare(void)
{
	find_places();
	for (size_t i = TOP_PLACES; i < ARRAY_SIZE(places); i++)
		for (enum access a = 0; a < ACCESS_KINDS; a++)
			expect_eq(paging_try(a, places[i], false), paging_access_fault(a),
				  "access %d at 0x%lx", a, places[i]);
}

static void data_at(size_t place)
{
	uint64_t va = places[place];

	for (uint64_t offset = 0; offset < PLACE_SIZE; offset += 8)
		expect_eq(*(volatile uint64_t *)(va + offset), mark(place, offset), "at 0x%lx",
			  va + offset);
	*(volatile misaligned_t *)(va + PAGE_SIZE - 3) = UINT64_C(0x1122334455667788);
	expect_eq(*(volatile misaligned_t *)(frames[place] + PAGE_SIZE - 3),
		  UINT64_C(0x1122334455667788), "across the pages at 0x%lx", va);
	for (uint64_t offset = 0; offset < PAGE_SIZE - 8; offset += 0x3f8) {
		volatile uint8_t *byte = (volatile uint8_t *)(va + offset + 3);

		*byte = 0xa5;
		expect_eq(*(volatile uint8_t *)(frames[place] + offset + 3), 0xa5, "byte 0x%lx",
			  (uint64_t)byte);
		__atomic_fetch_add((uint64_t *)(va + offset), 0x111, __ATOMIC_RELAXED);
		expect_eq(*(volatile uint64_t *)(frames[place] + offset),
			  (mark(place, offset) | UINT64_C(0xa5000000)) + 0x111, "AMO at 0x%lx",
			  va + offset);
	}
}

static void data_in(struct paging *tables)
{
	fill_frames();
	map_places(tables, PTE_RWX);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		data_at(i);
}

static void data(void)
{
	each_mode(data_in);
}

/* As they are used, one after the other is taken away, and another frame put there. */
static void unmapped_in(struct paging *tables)
{
	uint64_t other = (uint64_t)heap_take(PLACE_SIZE);

	fill_frames();
	map_places(tables, PTE_RWX);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		volatile uint64_t *word = (volatile uint64_t *)(places[i] + PAGE_SIZE);

		expect_eq(*word, mark(i, PAGE_SIZE), "0x%lx", (uint64_t)word);
		map_place(tables, i, 0, 0);
		for (enum access a = 0; a < ACCESS_KINDS; a++)
			expect_eq(paging_try(a, (uint64_t)word, false), paging_page_fault(a),
				  "access %d at 0x%lx, unmapped", a, (uint64_t)word);
		map_place(tables, i, other, PTE_RW);
		*word = i;
		expect_eq(*(volatile uint64_t *)(other + PAGE_SIZE), i, "0x%lx, mapped anew",
			  (uint64_t)word);
	}
}

static void unmapped(void)
{
	each_mode(unmapped_in);
}

/* A page there is for U-mode or for S-mode, like any other. */
static void user_in(struct paging *tables)
{
	uint64_t page = paging_new_page();

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		for (int state = 0; state < 4; state++) {
			bool user = state & 1, user_page = state & 2;

			paging_map(tables, places[i], page, 0, PTE_RWX | (user_page ? PTE_U : 0));
			sfence_va(places[i]);
			for (enum access a = 0; a < ACCESS_KINDS; a++)
				expect_eq(paging_try(a, places[i], user),
					  user == user_page ? 0 : paging_page_fault(a),
					  "access %d at 0x%lx, user %d, of the page %d", a,
					  places[i], user, user_page);
		}
}

static void user(void)
{
	each_mode(user_in);
}

/* A loop with all kinds of privileged instructions, across the border of the two pages. */
static void emit_loop(struct code *code, uint64_t frame, uint64_t offset)
{
	code_begin(code, frame, offset, HOT);
	emit(code, insn_csrr(A2, CSR_SSCRATCH));
	emit(code, insn_csrw(CSR_SSCRATCH, A1));
	emit(code, insn_csrr(A6, CSR_SSCRATCH));
	emit(code, insn_csrw(CSR_SSCRATCH, A2));
	emit(code, 0x0001); /* c.nop: what follows is not aligned */
	emit(code, insn_csr(2, CSR_SSTATUS, A3, S2));
	emit(code, insn_csr(3, CSR_SSTATUS, A3, S2));
	emit(code, INSN_SFENCE | A0 << 15);
	emit(code, insn_i(OP_LOAD, 3, A4, A0, 0));
	emit(code, insn_addi(A4, A4, 1));
	emit(code, insn_s(OP_STORE, 3, A0, A4, 0));
	emit(code, insn_csrw(CSR_SEPC, A4));
	emit(code, insn_csrr(A5, CSR_SEPC));
	code_end(code);
}

static void execute_at(size_t place, uint64_t offset, uint64_t counter)
{
	const struct trap_frame *trap = &hart_self()->trap;
	uint64_t x[32] = {0};
	struct code code;

	x[A0] = counter;
	x[A1] = places[place];
	x[S2] = SSTATUS_SUM;
	*(volatile uint64_t *)counter = 0;
	emit_loop(&code, frames[place], offset);
	code_run(places[place], offset, x, false);
	code_expect_end(&code, places[place], "loop");
	expect_eq(trap->x[A6], places[place], "sscratch");
	expect_eq(trap->x[A5], HOT & ~1, "sepc");
	expect_eq(*(volatile uint64_t *)counter, HOT, "stores from 0x%lx", places[place]);
}

static void execute_in(struct paging *tables)
{
	map_places(tables, PTE_RWX);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		/* The counter is in the page behind, in one that code is fetched from, or
		 * elsewhere. */
		execute_at(i, 0, places[i] + PAGE_SIZE);
		execute_at(i, PAGE_SIZE - 0x20, places[i] + PAGE_SIZE + 0x800);
		execute_at(i, 0x800, places[(i + 7) % ARRAY_SIZE(places)] + 0xff8);
	}
}

static void execute(void)
{
	each_mode(execute_in);
}

static void copy_code(size_t place, const char *start, const char *end)
{
	memcpy((void *)frames[place], start, (size_t)(end - start));
}

/* The trap handler, its stack, and what is interrupted, each in a place of its own. */
static void handlers_in(struct paging *tables)
{
	map_places(tables, PTE_RWX);
	for (size_t i = 0; i < 3 * ARRAY_SIZE(places); i++) {
		size_t runner = i % ARRAY_SIZE(places);
		size_t handler = (i + 1 + i / ARRAY_SIZE(places)) % ARRAY_SIZE(places);
		size_t stack = (i + 5) % ARRAY_SIZE(places);
		uint64_t (*run)(uint64_t count, uint64_t handler, uint64_t stack) =
		    (uint64_t (*)(uint64_t, uint64_t, uint64_t))places[runner];

		copy_code(runner, top_runner, top_runner_end);
		copy_code(handler, top_handler, top_handler_end);
		__asm__ volatile("fence.i" ::: "memory");
		expect_eq(run(20, places[handler], places[stack] + PAGE_SIZE + 16), 40,
			  "exceptions at 0x%lx, handled at 0x%lx", places[runner], places[handler]);
	}
}

static void handlers(void)
{
	each_mode(handlers_in);
}

/* A load across two pages, itself in two pages, with a breakpoint behind it. */
#define ACROSS_CODE (PAGE_SIZE - 2)
#define ACROSS_DATA (PAGE_SIZE - 7)

static void emit_across(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct code code = {.frame = frames[i], .at = ACROSS_CODE};

		emit(&code, insn_i(OP_LOAD, 3, A2, A0, 0));
		emit(&code, INSN_EBREAK);
	}
	__asm__ volatile("fence.i" ::: "memory");
}

static void load_across(size_t code, size_t data)
{
	const struct trap_frame *trap = &hart_self()->trap;
	uint64_t pc = places[code] + ACROSS_CODE;
	uint64_t x[32] = {0};

	x[A0] = places[data] + ACROSS_DATA;
	trap_exec(pc, x, false);
	expect(trap->cause == EXC_BREAKPOINT && trap->epc == pc + 4,
	       "load at 0x%lx from 0x%lx: cause %lu epc 0x%lx stval 0x%lx", pc, x[A0], trap->cause,
	       trap->epc, trap->tval);
	expect_eq(trap->x[A2], *(volatile misaligned_t *)(frames[data] + ACROSS_DATA),
		  "loaded at 0x%lx from 0x%lx", pc, x[A0]);
}

static void across_in(struct paging *tables)
{
	fill_frames();
	emit_across();
	map_places(tables, PTE_RWX);
	for (size_t code = 0; code < ARRAY_SIZE(places); code++)
		for (size_t data = 0; data < ARRAY_SIZE(places); data++)
			load_across(code, data);
}

static void across(void)
{
	each_mode(across_in);
}

/* Two address spaces have different frames there, and nothing is fenced in between. */
static void spaces_in(struct paging *tables)
{
	struct paging others = {.levels = tables->levels};
	uint64_t flags = PTE_RWX;

	paging_init_identity(&others, tables->levels);
	fill_frames();
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		map_place(tables, i, frames[i], flags);
		map_place(&others, i, frames[ARRAY_SIZE(places) - 1 - i], flags);
	}
	for (int round = 0; round < 4; round++)
		for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
			csr_write(CSR_SATP, paging_satp(&others, 1));
			expect_eq(*(volatile uint64_t *)(places[i] + 8),
				  mark(ARRAY_SIZE(places) - 1 - i, 8), "0x%lx in the other space",
				  places[i]);
			csr_write(CSR_SATP, paging_satp(tables, 0));
			expect_eq(*(volatile uint64_t *)(places[i] + 8), mark(i, 8), "0x%lx",
				  places[i]);
		}
}

static void spaces(void)
{
	each_mode(spaces_in);
}

/* As many address spaces as there may be translations kept for, and then one more of these pages.
 */
static void many_spaces_in(struct paging *tables)
{
	fill_frames();
	for (size_t i = 0; i < ARRAY_SIZE(places); i += 3) {
		map_places(tables, 0);
		for (uint64_t asid = 0; asid < 300; asid++) {
			csr_write(CSR_SATP, paging_satp(tables, asid));
			sfence_asid(asid);
		}
		map_places(tables, PTE_RWX);
		expect_eq(*(volatile uint64_t *)(places[i] + 8), mark(i, 8), "0x%lx", places[i]);
	}
	sfence_all();
}

static void many_spaces(void)
{
	each_mode(many_spaces_in);
}

static void gigapage_in(struct paging *tables)
{
	uint64_t ram = align_down(machine.ram_base, GIB(1));

	paging_map(tables, TOP_GIB, ram, 2, PTE_RWX);
	sfence_all();
	fill_frames();
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		for (uint64_t offset = 0; offset < PLACE_SIZE; offset += 0x7f8) {
			volatile uint64_t *word =
			    (volatile uint64_t *)(TOP_GIB + (frames[i] - ram) + offset);

			expect_eq(*word, mark(i, offset), "at 0x%lx", (uint64_t)word);
			*word = offset;
			expect_eq(*(volatile uint64_t *)(frames[i] + offset), offset, "at 0x%lx",
				  (uint64_t)word);
		}
	paging_map(tables, TOP_GIB, 0, 2, 0);
	sfence_va(TOP_GIB + 0x12345678);
	for (enum access a = 0; a < ACCESS_KINDS; a++)
		expect_eq(paging_try(a, TOP_GIB + 0x200000, false), paging_page_fault(a),
			  "access %d", a);
}

static void gigapage(void)
{
	each_mode(gigapage_in);
}

/* Two frames of 2 MiB, of which each page has a number in its first word. */
static uint64_t megapages;

static void number_megapages(void)
{
	if (!megapages)
		megapages = heap_reserve(2 * paging_size(1), paging_size(1));
	for (uint64_t page = 0; page < 1024; page++)
		*(volatile uint64_t *)(megapages + page * PAGE_SIZE) = page;
}

static void check_megapage(uint64_t base, uint64_t middle, uint64_t first)
{
	for (uint64_t page = 0; page < 512; page++) {
		/* All that is near, and some of the others. */
		if (page + 4 < middle && page % 37)
			continue;
		if (page > middle + 4 && page % 37)
			continue;
		expect_eq(*(volatile uint64_t *)(base + page * PAGE_SIZE), first + page,
			  "page %lu at 0x%lx", page, base);
	}
}

/* A large page around; a fence for any address in it is one for all of it. */
static void megapage_in(struct paging *tables)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		uint64_t base = align_down(places[i], paging_size(1));
		uint64_t middle = (places[i] - base) >> PAGE_SHIFT;

		paging_map(tables, base, megapages, 1, PTE_RWX);
		sfence_va(base);
		check_megapage(base, middle, 0);
		paging_map(tables, base, megapages + paging_size(1), 1, PTE_RWX);
		sfence_va(base + 0x54000);
		check_megapage(base, middle, 512);
	}
}

static void megapage(void)
{
	number_megapages();
	each_mode(megapage_in);
}

#define HART_ROUNDS 4

static struct paging *hart_tables;

static void add_everywhere(void *argument)
{
	(void)argument;
	paging_on(hart_tables, 0);
	for (int round = 0; round < HART_ROUNDS; round++)
		for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
			uint64_t *word = (uint64_t *)(places[i] + PAGE_SIZE);

			__atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
			expect_eq(*(volatile uint64_t *)(places[i] + 8), mark(i, 8), "0x%lx",
				  places[i]);
		}
	paging_off();
}

/* All harts at once. */
static void harts_in(struct paging *tables)
{
	fill_frames();
	map_places(tables, PTE_RWX);
	hart_tables = tables;
	for (size_t h = 1; h < machine.hart_count; h++)
		expect_eq(hart_run(h, add_everywhere, NULL), 0, "start of hart %lu", harts[h].id);
	add_everywhere(NULL);
	for (size_t h = 1; h < machine.hart_count; h++)
		expect(hart_join(h, 20000), "hart %lu does not end", harts[h].id);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		expect_eq(*(volatile uint64_t *)(frames[i] + PAGE_SIZE),
			  mark(i, PAGE_SIZE) + HART_ROUNDS * machine.hart_count, "0x%lx",
			  places[i]);
}

static void all_harts(void)
{
	each_mode(harts_in);
}

static const struct test tests[] = {
    {"faults", faults},           {"bare", bare},         {"data", data},
    {"unmapped", unmapped},       {"user", user},         {"execute", execute},
    {"handlers", handlers},       {"across", across},     {"spaces", spaces},
    {"many-spaces", many_spaces}, {"gigapage", gigapage}, {"megapage", megapage},
    {"harts", all_harts},
};
TEST_GROUP(top, tests);
