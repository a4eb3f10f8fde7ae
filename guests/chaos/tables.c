/* SPDX-License-Identifier: MIT */
/*
 * Page tables of random entries, which all workers change while all use them: cyclic, shared
 * between levels, outside RAM, in devices, and pages at the same time.
 */
#include "guests/chaos/chaos.h"

#define TABLES    16
#define FRAMES    16
#define POOL_SIZE KIB(256)
#define ACCESSES  256
/* None of them has 2 bytes, so that skip() need not read what it skips. */
#define WIDE(insn) ".option push\n\t.option norvc\n\t" insn "\n\t.option pop"

static uint64_t *tables; /* TABLES of them, then FRAMES pages */

static uint64_t any_table(struct worker *w)
{
	return (uint64_t)tables + PAGE_SIZE * random_below(w, TABLES);
}

/* What nobody minds being written to. */
static uint64_t any_entry(struct worker *w)
{
	static const uint64_t devices[] = {UART_BASE, PLIC_BASE, VIRTIO_BASE, RTC_BASE, NOWHERE};
	uint64_t r = random_next(&w->random), device = devices[r % ARRAY_SIZE(devices)];
	uint64_t flags = (r >> 8 & (PTE_LEAF | PTE_U | PTE_G | PTE_A | PTE_D)) | PTE_V | PTE_R;

	switch (random_below(w, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
		return pte_make(any_table(w), PTE_V);
	case 4:
		return pte_make(any_table(w), PTE_V | PTE_R | (flags & (PTE_A | PTE_U)));
	case 5:
		return pte_make(device, flags & ~(uint64_t)PTE_W);
	case 6:
		return pte_make(device, PTE_V);
	case 7:
		return pte_make(any_table(w), flags & ~(uint64_t)PTE_W) | (r & BITS(63, 54));
	case 8:
		return pte_make(BIT(55) | any_table(w), one_in(w, 2) ? PTE_V : flags);
	case 9:
		return 0;
	case 10:
		return pte_make(machine.ram_base + machine.ram_size, one_in(w, 2) ? PTE_V : flags);
	default:
		return pte_make((uint64_t)tables + PAGE_SIZE * (TABLES + random_below(w, FRAMES)),
				flags);
	}
}

void tables_init(void)
{
	struct worker w = {.random = 1};

	/* Entries whose bytes have been spoiled lead to pages of this, or outside RAM. */
	do
		tables = (uint64_t *)heap_reserve(POOL_SIZE, POOL_SIZE);
	while (is_aligned((uint64_t)tables, MIB(2)));
	for (uint64_t i = 0; i < TABLES * PAGE_SIZE / 8; i++)
		tables[i] = any_entry(&w);
}

void tables_add(struct worker *w)
{
	w->tables.root[VA_GARBAGE_INDEX + 16] = pte_make((uint64_t)tables, PTE_V);
	w->tables.root[VA_GARBAGE_INDEX + 17] = pte_make((uint64_t)w->tables.root, PTE_V);
	for (uint64_t i = 0; i < (TABLES + FRAMES) * PAGE_SIZE; i += PAGE_SIZE)
		paging_map(&w->tables, (uint64_t)tables + i, (uint64_t)tables + i, 0, PTE_RW);
}

void tables_add_top(struct worker *w)
{
	w->tables.root[511] = pte_make((uint64_t)tables + PAGE_SIZE, PTE_V);
	sfence_all();
}

static uint64_t garbage_va(struct worker *w)
{
	unsigned int shift = 3 + 9 * w->tables.levels;
	uint64_t indexes[] = {VA_GARBAGE_INDEX + 16, VA_GARBAGE_INDEX + 16, VA_GARBAGE_INDEX + 17,
			      511};
	uint64_t va = indexes[random_below(w, 4)] << shift;

	va |= random_next(&w->random) & BITS(shift - 1, 0);
	/* Sign-extended, as addresses have to be. */
	return (uint64_t)((int64_t)(va << (64 - shift - 9)) >> (64 - shift - 9));
}

static bool skip(struct trap_frame *frame)
{
	frame->epc += 4;
	return frame->cause != EXC_ILLEGAL_INSN && frame->cause != EXC_BREAKPOINT;
}

static void change(struct worker *w)
{
	uint64_t *entry = &tables[random_below(w, TABLES * PAGE_SIZE / 8)];

	switch (random_below(w, 4)) {
	case 0:
		__atomic_fetch_and(entry, ~(uint64_t)(PTE_A | PTE_D), __ATOMIC_RELAXED);
		break;
	case 1:
		__atomic_fetch_xor(entry, BIT(random_below(w, 8)), __ATOMIC_RELAXED);
		break;
	default:
		__atomic_store_n(entry, any_entry(w), __ATOMIC_RELAXED);
		break;
	}
}

/* A store may hit a table: what is written is an entry, or makes one that leads nowhere. */
static void access(struct worker *w)
{
	uint64_t va = garbage_va(w), aligned = align_down(va, 8), value = any_entry(w);

	switch (random_below(w, 8)) {
	case 0:
		__asm__ volatile(WIDE("sb %0, (%1)")::"r"(~UINT64_C(0)), "r"(va) : "memory");
		break;
	case 1:
		value &= PTE_A | PTE_D | PTE_U | PTE_X;
		__asm__ volatile(WIDE("amoor.d %0, %0, (%1)")
				 : "+r"(value)
				 : "r"(aligned)
				 : "memory");
		break;
	case 2:
		__asm__ volatile(WIDE("lr.d t0, (%0)\n\tsc.d t0, %1, (%0)")::"r"(aligned),
				 "r"(value)
				 : "memory", "t0");
		break;
	case 3:
	case 4:
		__asm__ volatile(WIDE("sd %0, (%1)")::"r"(value), "r"(aligned) : "memory");
		break;
	case 5:
		__asm__ volatile(WIDE("ld %0, (%1)") : "+r"(value) : "r"(va));
		break;
	case 6:
		__asm__ volatile(WIDE("lbu %0, (%1)") : "+r"(value) : "r"(va));
		break;
	default:
		__asm__ volatile(WIDE("ld %0, (%1)") : "+r"(value) : "r"(aligned));
		break;
	}
}

static void fence(struct worker *w)
{
	uint64_t va = garbage_va(w), all = ~UINT64_C(0);

	switch (random_below(w, 16)) {
	case 0:
		sbi_call(SBI_EXT_RFENCE, SBI_RFENCE_SFENCE_VMA, all, 0, va, PAGE_SIZE, 0);
		break;
	case 1:
		sbi_call(SBI_EXT_RFENCE, SBI_RFENCE_SFENCE_VMA_ASID, all, all, va, value_any(w),
			 w->index + 1);
		break;
	case 2:
		sfence_all();
		break;
	case 3:
		run_paged(w, true);
		break;
	default:
		sfence_va(va);
		break;
	}
}

/* U-mode may execute whatever it finds: it always comes back. */
static void execute(struct worker *w)
{
	static const uint64_t x[32];
	bool (*handler)(struct trap_frame *frame) = hart_self()->on_exception;

	run_code(w, garbage_va(w) & ~UINT64_C(1), w->code, 0, x, true);
	hart_self()->on_exception = handler;
}

uint64_t tables_turn(struct worker *w)
{
	run_paged(w, true);
	hart_self()->on_exception = skip;
	csr_clear(CSR_SSTATUS, SSTATUS_SUM | SSTATUS_MXR);
	csr_set(CSR_SSTATUS, random_next(&w->random) & (SSTATUS_SUM | SSTATUS_MXR));
	for (int i = 0; i < ACCESSES; i++) {
		uint64_t choice = random_below(w, 16);

		if (choice < 4)
			change(w);
		else if (choice < 6)
			fence(w);
		else if (choice == 6 && one_in(w, 4))
			execute(w);
		else
			access(w);
	}
	hart_self()->on_exception = NULL;
	csr_clear(CSR_SSTATUS, SSTATUS_SUM | SSTATUS_MXR);
	run_paged(w, false);
	return ACCESSES;
}
