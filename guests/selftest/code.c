/* SPDX-License-Identifier: MIT */
/* Pages of privileged code are read and modified in every way. */
#include "guests/selftest/code.h"

struct paging code_tables;

/* Stores for U-mode, of a1 at a0. */
static void map_stores(void)
{
	static uint32_t page[PAGE_SIZE / 4] __aligned(4096);
	const uint32_t stores[] = {insn_s(OP_STORE, 0, A0, A1, 0), insn_s(OP_STORE, 2, A0, A1, 0),
				   insn_amo(1, 2, 0, A0, A1)};

	for (size_t i = 0; i < ARRAY_SIZE(stores); i++) {
		page[2 * i] = stores[i];
		page[2 * i + 1] = INSN_EBREAK;
	}
	paging_map(&code_tables, CODE_STORES, (uint64_t)page, 0,
		   PTE_V | PTE_R | PTE_X | PTE_U | PTE_A | PTE_D);
}

uint64_t code_setup(unsigned int pages)
{
	uint64_t frame = (uint64_t)heap_take(pages * PAGE_SIZE);

	paging_init_identity(&code_tables, 3);
	map_stores();
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t offset = i * PAGE_SIZE;

		paging_map(&code_tables, CODE + offset, frame + offset, 0, PTE_RWX);
		paging_map(&code_tables, CODE_ALIAS + offset, frame + offset, 0, PTE_RWX);
		paging_map(&code_tables, CODE_USER + offset, frame + offset, 0, PTE_RWX | PTE_U);
	}
	*paging_pte(&code_tables, CODE_HOLE, 0) = 0;
	paging_on(&code_tables, 1);
	return frame;
}

void code_begin(struct code *code, uint64_t frame, uint64_t offset, uint32_t times)
{
	*code = (struct code){.frame = frame, .at = offset};
	emit(code, 0x37 | T5 << 7 | (times + 0x800) >> 12 << 12); /* lui */
	emit(code, insn_addi(T5, T5, (int32_t)(times & 0xfff)));
	code->loop = code->at;
}

void code_end(struct code *code)
{
	emit(code, insn_addi(T5, T5, -1));
	emit(code, insn_branch(1, T5, 0, (int64_t)(code->loop - code->at)));
	emit(code, INSN_EBREAK);
	__asm__ volatile("fence.i" ::: "memory");
}

const struct trap_frame *code_run(uint64_t va, uint64_t offset, const uint64_t x[32], bool user)
{
	return trap_exec(va + offset, x, user);
}

void code_expect_end(const struct code *code, uint64_t va, const char *what)
{
	const struct trap_frame *trap = &hart_self()->trap;

	if (trap->cause != EXC_BREAKPOINT || trap->epc != va + code->at - 4)
		test_fail("%s: cause %lu epc 0x%lx stval 0x%lx, not the end at 0x%lx", what,
			  trap->cause, trap->epc, trap->tval, va + code->at - 4);
}

/* Of everything that is emulated. x18 is SUM. */
static void emit_mixture(struct code *code)
{
	emit(code, insn_csrr(A2, CSR_SSCRATCH));
	emit(code, insn_csrw(CSR_SSCRATCH, A2));
	emit(code, insn_csr(2, CSR_SSTATUS, 0, S2));
	emit(code, insn_csr(3, CSR_SSTATUS, A3, S2));
	emit(code, 0x0001); /* c.nop */
	emit(code, INSN_SFENCE);
	emit(code, insn_csrw(CSR_STVAL, T5));
	emit(code, insn_csrr(A4, CSR_STVAL));
	emit(code, insn_csr(5, CSR_SCAUSE, A5, 13));
	emit(code, insn_csr(1, CSR_SEPC, S3, T5));
	emit(code, insn_csr(2, CSR_SIE, S4, 0));
	emit(code, INSN_SFENCE | A2 << 15 | A3 << 20);
}

static uint8_t copy[PAGE_SIZE] __aligned(4096);

static uint64_t bytes_of(uint64_t offset, uint64_t size)
{
	uint64_t value = 0;

	for (uint64_t i = size; i-- > 0;)
		value = value << 8 | copy[offset + i];
	return value;
}

/* One load at each offset: f3 as in the load instructions. */
static void read_width(uint64_t va, uint32_t f3)
{
	uint64_t size = UINT64_C(1) << f3, got;

	for (uint64_t offset = 0; offset + size <= PAGE_SIZE; offset += offset & 0x80 ? 7 : 1) {
		switch (f3) {
		case 0:
			got = *(volatile uint8_t *)(va + offset);
			break;
		case 1:
			__asm__ volatile("lhu %0, (%1)" : "=r"(got) : "r"(va + offset) : "memory");
			break;
		case 2:
			__asm__ volatile("lwu %0, (%1)" : "=r"(got) : "r"(va + offset) : "memory");
			break;
		default:
			__asm__ volatile("ld %0, (%1)" : "=r"(got) : "r"(va + offset) : "memory");
		}
		expect_eq(got, bytes_of(offset, size), "%lu bytes at 0x%lx", size, va + offset);
	}
}

static void read_atomically(uint64_t va, bool amo)
{
	for (uint64_t offset = 0; offset < PAGE_SIZE; offset += 8) {
		uint64_t at = va + offset, got, low;

		if (amo)
			__asm__ volatile("amoadd.d %0, zero, (%2)\n amoor.w %1, zero, (%2)"
					 : "=&r"(got), "=&r"(low)
					 : "r"(at)
					 : "memory");
		else
			__asm__ volatile("lr.d %0, (%2)\n lr.w %1, (%2)"
					 : "=&r"(got), "=&r"(low)
					 : "r"(at)
					 : "memory");
		expect_eq(got, bytes_of(offset, 8), "8 bytes atomically at 0x%lx", at);
		expect_eq((uint32_t)low, bytes_of(offset, 4), "4 bytes atomically at 0x%lx", at);
	}
}

/* Loads between runs, so that the page is read while it is used as code. */
static void read_back_at(const struct code *code, uint64_t offset, uint64_t run_va, uint64_t va)
{
	uint64_t x[32] = {[S2] = SSTATUS_SUM};

	for (uint32_t way = 0; way < 6; way++) {
		code_run(run_va, offset, x, false);
		code_expect_end(code, run_va, "loop");
		expect_eq(hart_self()->trap.x[A2], hart_self(), "sscratch");
		expect_eq(hart_self()->trap.x[A4], 1, "stval");
		if (way < 4)
			read_width(va, way);
		else
			read_atomically(va, way == 5);
	}
}

static void reads_back(void)
{
	uint64_t frame = code_setup(1), seed = test_seed * 11 + 1;
	struct code code;

	for (uint64_t i = 0; i < PAGE_SIZE / 8; i++)
		((uint64_t *)frame)[i] = random_next(&seed);
	code_begin(&code, frame, 0x7f4, HOT);
	emit_mixture(&code);
	code_end(&code);
	memcpy(copy, (const void *)frame, PAGE_SIZE);
	read_back_at(&code, 0x7f4, CODE, CODE);
	read_back_at(&code, 0x7f4, CODE, CODE_ALIAS);
	csr_set(CSR_SSTATUS, SSTATUS_SUM);
	read_back_at(&code, 0x7f4, CODE_ALIAS, CODE_USER);
	csr_clear(CSR_SSTATUS, SSTATUS_SUM);
	paging_off();
	read_back_at(&code, 0x7f4, frame, frame);
}

/* The page's own data words, beside its code: 10,000 times round. */
static void data_beside(void)
{
	const uint64_t x[32] = {[A1] = CODE + 0x40, [A2] = 1, [S2] = CODE_ALIAS + 0x60};
	uint64_t frame = code_setup(1);
	struct code code;

	code_begin(&code, frame, 0x100, 10000);
	emit(&code, insn_csrr(A5, CSR_SSCRATCH));
	emit(&code, insn_i(OP_LOAD, 3, A3, A1, 0));
	emit(&code, insn_csrw(CSR_STVAL, A3));
	emit(&code, insn_addi(A3, A3, 3));
	emit(&code, insn_csrr(A4, CSR_STVAL));
	emit(&code, insn_s(OP_STORE, 3, A1, A3, 0));
	emit(&code, insn_amo(0, 3, S3, A1, A4));
	emit(&code, insn_s(OP_STORE, 1, S2, T5, 2));
	emit(&code, insn_csrw(CSR_SSCRATCH, A5));
	emit(&code, insn_i(OP_LOAD, 5, S4, S2, 2));
	code_end(&code);
	/* Each round n = n + 3 + n, which wraps. */
	*(volatile uint64_t *)(frame + 0x40) = 5;
	code_run(CODE, 0x100, x, false);
	code_expect_end(&code, CODE, "loop");
	{
		uint64_t want = 5;

		for (int i = 0; i < 10000; i++)
			want += want + 3;
		expect_eq(*(volatile uint64_t *)(frame + 0x40), want, "the word beside the code");
	}
	expect_eq(*(volatile uint16_t *)(frame + 0x62), 1, "halfword, through the alias");
	expect_eq(hart_self()->trap.x[S4], 1, "halfword loaded last");
}

/* LR and SC on such a word, in the page itself and through the alias: SC succeeds before long. */
static void reserves_beside(void)
{
	const uint64_t x[32] = {[A1] = CODE + 0x40, [S2] = CODE_ALIAS + 0x40};
	uint64_t frame = code_setup(1), again;
	struct code code;

	code_begin(&code, frame, 0x100, 500);
	for (int i = 0; i < 2; i++) {
		emit(&code, insn_csrr(A5, CSR_SSCRATCH));
		again = code.at;
		emit(&code, insn_amo(2, 3, A3, i ? S2 : A1, 0));
		emit(&code, insn_addi(A3, A3, 1));
		emit(&code, insn_amo(3, 3, A4, i ? S2 : A1, A3));
		emit(&code, insn_branch(1, A4, 0, (int64_t)(again - code.at)));
		emit(&code, insn_csrw(CSR_SSCRATCH, A5));
	}
	code_end(&code);
	*(volatile uint64_t *)(frame + 0x40) = 5;
	code_run(CODE, 0x100, x, false);
	code_expect_end(&code, CODE, "loop");
	expect_eq(*(volatile uint64_t *)(frame + 0x40), 1005, "the word beside the code");
}

/* What U-mode sees of the same page: CSR instructions are illegal, bytes are what was written. */
static void user_view(void)
{
	const uint64_t x[32] = {[A0] = CODE_USER + 0x100, [S2] = SSTATUS_SUM};
	const uint64_t kernel_x[32] = {[A0] = CODE_ALIAS + 0x100, [S2] = SSTATUS_SUM};
	uint64_t frame = code_setup(1), privileged;
	struct code code;

	code_begin(&code, frame, 0x100, HOT);
	emit(&code, insn_i(OP_LOAD, 3, A1, A0, 8));
	privileged = code.at;
	emit_mixture(&code);
	code_end(&code);
	for (int round = 0; round < 40; round++) {
		code_run(CODE, 0x100, kernel_x, false);
		code_expect_end(&code, CODE, "loop in S");
		code_run(CODE_USER, 0x100, x, true);
		expect_trap(EXC_ILLEGAL_INSN, insn_csrr(A2, CSR_SSCRATCH), "csrr in U");
		expect_eq(hart_self()->trap.epc, CODE_USER + privileged, "sepc of csrr in U");
		expect_eq(hart_self()->trap.x[A1], *(volatile uint64_t *)(frame + 0x108),
			  "what U reads of the code");
		/* The S mapping of it is not for U, nor the U mapping for S to execute. */
		code_run(CODE, 0x100, x, true);
		expect_trap(EXC_INSN_PAGE, CODE + 0x100, "fetch in U");
		code_run(CODE_USER, 0x100, x, false);
		expect_trap(EXC_INSN_PAGE, CODE_USER + 0x100, "fetch in S of a U page");
	}
}

/* X without R: not readable, unless MXR is set; never writable. */
static void execute_only(void)
{
	uint64_t frame = code_setup(1);
	const struct trap_frame *trap = &hart_self()->trap;
	struct code code;

	code_begin(&code, frame, 0x100, HOT);
	emit_mixture(&code);
	code_end(&code);
	memcpy(copy, (const void *)frame, PAGE_SIZE);
	paging_map(&code_tables, CODE, frame, 0, PTE_V | PTE_X | PTE_A | PTE_D);
	sfence_va(CODE);
	for (int round = 0; round < 30; round++) {
		const uint64_t x[32] = {[S2] = SSTATUS_SUM};

		code_run(CODE, 0x100, x, false);
		code_expect_end(&code, CODE, "loop");
		insn_exec2(insn_i(OP_LOAD, 3, 12, 10, 0), CODE + 0x100, 0, false);
		expect_trap(EXC_LOAD_PAGE, CODE + 0x100, "load without MXR");
		insn_exec2(insn_s(OP_STORE, 3, 10, 11, 0), CODE + 0x100, 0, false);
		expect_trap(EXC_STORE_PAGE, CODE + 0x100, "store");
		csr_set(CSR_SSTATUS, SSTATUS_MXR);
		insn_exec2(insn_i(OP_LOAD, 3, 12, 10, 0), CODE + 0x108, 0, false);
		expect(insn_completed(), "load with MXR: cause %lu", trap->cause);
		expect_eq(trap->x[12], bytes_of(0x108, 8), "load with MXR");
		if (round == 20)
			read_width(CODE, 3);
		code_run(CODE, 0x100, x, false);
		code_expect_end(&code, CODE, "loop with MXR");
		insn_exec2(insn_s(OP_STORE, 3, 10, 11, 0), CODE + 0x100, 0, false);
		expect_trap(EXC_STORE_PAGE, CODE + 0x100, "store with MXR");
		csr_clear(CSR_SSTATUS, SSTATUS_MXR);
	}
}

/* Another frame at the same address: by a fence, and by another address space. */
static void remapped(void)
{
	uint64_t frames[2] = {code_setup(1), (uint64_t)heap_take(PAGE_SIZE)};
	struct paging other;
	struct code code;

	for (size_t i = 0; i < 2; i++)
		code_emit_target(&code, frames[i], i);
	for (int round = 0; round < 200; round++) {
		paging_map(&code_tables, CODE, frames[round & 1], 0, PTE_RWX);
		sfence_va(CODE);
		code_expect_target(&code, CODE, round & 1, "a new mapping");
	}
	paging_init_identity(&other, 3);
	paging_map(&other, CODE, frames[0], 0, PTE_RWX);
	for (int round = 0; round < 200; round++) {
		code_expect_target(&code, CODE, 1, "one space");
		csr_write(CSR_SATP, paging_satp(&other, 2));
		code_expect_target(&code, CODE, 0, "the other space");
		csr_write(CSR_SATP, paging_satp(&code_tables, 1));
	}
}

/* A page that holds code and page-table entries, which change and get A and D set. */
static void table_beside(void)
{
	uint64_t frame = code_setup(1), data = (uint64_t)heap_take(2 * PAGE_SIZE);
	volatile uint64_t *entry = (volatile uint64_t *)frame;
	const uint64_t va = CODE_HOLE + MIB(2);
	struct code code;

	code_emit_target(&code, frame, 0);
	*paging_pte(&code_tables, va, 1) = pte_make(frame, PTE_V);
	*(volatile uint64_t *)data = 0x111;
	*(volatile uint64_t *)(data + PAGE_SIZE) = 0x222;
	sfence_all();
	for (uint64_t round = 0; round < 100; round++) {
		bool hardware;

		code_expect_target(&code, CODE, 0, "nothing");
		*entry = pte_make(data + (round & 1) * PAGE_SIZE, PTE_V | PTE_R | PTE_W);
		sfence_va(va);
		insn_exec2(insn_i(OP_LOAD, 3, 12, 10, 0), va, 0, false);
		hardware = insn_completed();
		if (!hardware)
			*entry |= PTE_A | PTE_D;
		sfence_va(va);
		expect(*entry & PTE_A, "A is clear after a load");
		expect_eq(*(volatile uint64_t *)va, round & 1 ? 0x222 : 0x111, "round %lu", round);
		code_expect_target(&code, CODE, 0, "nothing");
		*(volatile uint32_t *)(va + 0x20) = (uint32_t)round;
		expect((*entry & PTE_D) && (*entry & PTE_A), "entry 0x%lx after a store", *entry);
		expect_eq(*(volatile uint64_t *)(CODE + 0), *entry, "entry, read with the code");
	}
	*paging_pte(&code_tables, va, 1) = 0;
	sfence_all();
}

static const struct test tests[] = {
    {"reads-back", reads_back},           {"data-beside", data_beside},
    {"reserves-beside", reserves_beside}, {"user-view", user_view},
    {"execute-only", execute_only},       {"remapped", remapped},
    {"table-beside", table_beside},
};
TEST_GROUP(code, tests);
