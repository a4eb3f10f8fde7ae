/* SPDX-License-Identifier: MIT */
/* Modes, page sizes, permissions, canonical addresses, A and D. */
#include "guests/selftest/paging.h"

enum { INSN_LW = 0x00052603, INSN_SW = 0x00b52023 }; /* lw a2, (a0); sw a1, (a0) */

uint64_t paging_page_fault(enum access access)
{
	static const uint8_t causes[] = {EXC_LOAD_PAGE, EXC_STORE_PAGE, EXC_INSN_PAGE};

	return causes[access];
}

uint64_t paging_access_fault(enum access access)
{
	static const uint8_t causes[] = {EXC_LOAD_ACCESS, EXC_STORE_ACCESS, EXC_INSN_ACCESS};

	return causes[access];
}

static uint32_t *user_code(void)
{
	static uint32_t page[PAGE_SIZE / 4] __aligned(4096);

	page[0] = INSN_LW;
	page[1] = INSN_EBREAK;
	page[2] = INSN_SW;
	page[3] = INSN_EBREAK;
	__asm__ volatile("fence.i" ::: "memory");
	return page;
}

uint64_t paging_try(enum access access, uint64_t va, bool user)
{
	const struct trap_frame *trap = &hart_self()->trap;
	uint64_t x[32] = {0}, pc = va, done = va;

	x[REG_A0] = va;
	x[REG_A1] = INSN_EBREAK;
	if (access == ACCESS_FETCH) {
		trap_exec(va, x, user);
	} else if (user) {
		pc = USER_CODE + (access == ACCESS_STORE ? 8 : 0);
		done = pc + 4;
		trap_exec(pc, x, true);
	} else {
		insn_exec(access == ACCESS_LOAD ? INSN_LW : INSN_SW, x, false);
		pc = insn_address();
		done = pc + 4;
	}
	if (trap->cause == EXC_BREAKPOINT && trap->epc == done)
		return 0;
	if (trap->epc != pc || trap->tval != va)
		test_fail("access %d at 0x%lx, user %d: cause %lu epc 0x%lx stval 0x%lx", access,
			  va, user, trap->cause, trap->epc, trap->tval);
	return trap->cause;
}

uint64_t paging_new_page(void)
{
	uint32_t *page = heap_take(PAGE_SIZE);

	for (size_t i = 0; i < PAGE_SIZE / 4; i++)
		page[i] = INSN_EBREAK;
	__asm__ volatile("fence.i" ::: "memory");
	return (uint64_t)page;
}

void paging_each_mode(void (*test)(struct paging *tables))
{
	for (unsigned int levels = 3; levels <= 5; levels++) {
		struct paging tables;

		if (!paging_supported(levels))
			continue;
		paging_init_identity(&tables, levels);
		paging_map(&tables, USER_CODE, (uint64_t)user_code(), 0,
			   PTE_V | PTE_R | PTE_X | PTE_U | PTE_A | PTE_D);
		paging_on(&tables, 0);
		test(&tables);
		paging_off();
	}
}

/* A mode that is not there leaves all of satp as it was. */
static void keep_satp(struct paging *tables)
{
	uint64_t satp = csr_read(CSR_SATP);

	expect_eq(satp, paging_satp(tables, 0), "satp");
	for (uint64_t mode = 1; mode < 16; mode++) {
		if (mode >= ATP_MODE_SV39 && mode <= ATP_MODE_SV57 &&
		    paging_supported((unsigned int)mode - 5))
			continue;
		csr_write(CSR_SATP, satp);
		csr_write(CSR_SATP,
			  mode << ATP_MODE_SHIFT | UINT64_C(5) << SATP_ASID_SHIFT | 0x12345);
		expect_eq(csr_read(CSR_SATP), satp, "satp after mode %lu was written", mode);
		csr_write(CSR_SATP, satp);
	}
	paging_on(tables, 0);
}

static void modes(void)
{
	expect(paging_supported(3), "no Sv39");
	expect(!paging_supported(5) || paging_supported(4), "Sv57 without Sv48");
	paging_each_mode(keep_satp);
	expect_eq(csr_read(CSR_SATP), 0, "satp at the end");
}

/* An address that a leaf at this level can map, where tables are not in the way. */
static uint64_t unused(unsigned int level)
{
	return (level < 2 ? WINDOW + GIB(3) : 0) + 37 * paging_size(level);
}

/* Every size of page, at both ends of the address space. */
static void size(struct paging *tables)
{
	uint64_t page = paging_new_page();

	for (unsigned int level = 0; level < tables->levels; level++) {
		uint64_t base = align_down(page, paging_size(level)), offset = page - base;
		uint64_t top = ~UINT64_C(0) << (11 + 9 * tables->levels);
		const uint64_t vas[] = {unused(level), top};

		for (size_t i = 0; i < ARRAY_SIZE(vas); i++) {
			uint64_t va = vas[i] + offset;

			paging_map(tables, vas[i], base, level, PTE_RWX);
			sfence_all();
			*(volatile uint32_t *)va = 0x12340000 + level;
			expect_eq(*(volatile uint32_t *)page, 0x12340000 + level,
				  "level %u at 0x%lx", level, va);
			*(volatile uint32_t *)page = INSN_EBREAK;
			__asm__ volatile("fence.i" ::: "memory");
			for (enum access a = 0; a < ACCESS_KINDS; a++)
				expect_eq(paging_try(a, va, false), 0,
					  "access %d at level %u, 0x%lx", a, level, va);
			paging_map(tables, vas[i], 0, level, 0);
			sfence_all();
			for (enum access a = 0; a < ACCESS_KINDS; a++)
				expect_eq(paging_try(a, va, false), paging_page_fault(a),
					  "access %d at 0x%lx after it was unmapped", a, va);
		}
	}
}

static void sizes(void)
{
	paging_each_mode(size);
}

static void misaligned_size(struct paging *tables)
{
	for (unsigned int level = 1; level < tables->levels; level++) {
		uint64_t va = unused(level);

		for (unsigned int bit = 0; bit < 9 * level; bit += 4) {
			*paging_pte(tables, va, level) =
			    pte_make(align_down(machine.ram_base, paging_size(level)), PTE_RWX) |
			    BIT(10 + bit);
			sfence_all();
			for (enum access a = 0; a < ACCESS_KINDS; a++)
				expect_eq(paging_try(a, va, false), paging_page_fault(a),
					  "access %d, level %u, PPN bit %u", a, level, bit);
		}
		*paging_pte(tables, va, level) = 0;
		sfence_all();
	}
}

static void misaligned_sizes(void)
{
	paging_each_mode(misaligned_size);
}

/* Whether the access is allowed: Priv. 1.13, 10.3.2. */
static bool allowed(enum access access, uint64_t flags, bool user, bool sum, bool mxr)
{
	if (!(flags & PTE_V) || (!(flags & PTE_R) && (flags & PTE_W)) || !(flags & PTE_LEAF))
		return false;
	if (user && !(flags & PTE_U))
		return false;
	if (!user && (flags & PTE_U) && (!sum || access == ACCESS_FETCH))
		return false;
	if (access == ACCESS_LOAD)
		return (flags & PTE_R) || (mxr && (flags & PTE_X));
	return flags & (access == ACCESS_STORE ? PTE_W : PTE_X);
}

static void permission(struct paging *tables)
{
	uint64_t page = paging_new_page();

	for (uint64_t flags = 0; flags < 32; flags++) {
		paging_map(tables, WINDOW, page, 0, flags | PTE_A | PTE_D);
		if (!(flags & PTE_LEAF)) /* that would be a table, and A and D are reserved there */
			paging_map(tables, WINDOW, 0, 0, 0);
		sfence_va(WINDOW);
		for (int state = 0; state < 8; state++) {
			bool user = state & 1, sum = state & 2, mxr = state & 4;

			csr_clear(CSR_SSTATUS, SSTATUS_SUM | SSTATUS_MXR);
			csr_set(CSR_SSTATUS, (sum ? SSTATUS_SUM : 0) | (mxr ? SSTATUS_MXR : 0));
			for (enum access a = 0; a < ACCESS_KINDS; a++) {
				/* QEMU 7.2 lets a fetch use what a load under SUM put into the TLB.
				 */
				sfence_va(WINDOW);
				expect_eq(paging_try(a, WINDOW, user),
					  allowed(a, flags, user, sum, mxr) ? 0
									    : paging_page_fault(a),
					  "access %d to flags 0x%lx, user %d sum %d mxr %d", a,
					  flags, user, sum, mxr);
			}
		}
		csr_clear(CSR_SSTATUS, SSTATUS_SUM | SSTATUS_MXR);
	}
}

static void permissions(void)
{
	paging_each_mode(permission);
}

static void canonical_in(struct paging *tables)
{
	unsigned int bits = 12 + 9 * tables->levels;
	const uint64_t vas[] = {BIT(bits - 1),
				BIT(bits),
				BIT(bits) | WINDOW,
				BIT(63),
				BIT(63) | WINDOW,
				BIT(62),
				~BITS(bits - 1, bits - 1) & ~UINT64_C(0xfff),
				machine.heap | BIT(56) << 4};

	for (size_t i = 0; i < ARRAY_SIZE(vas); i++)
		for (int user = 0; user < 2; user++)
			for (enum access a = 0; a < ACCESS_KINDS; a++)
				expect_eq(paging_try(a, vas[i], user), paging_page_fault(a),
					  "access %d at 0x%lx, user %d", a, vas[i], user);
}

static void canonical(void)
{
	paging_each_mode(canonical_in);
}

/* One access to a page with these flags; gives the PTE afterwards, or the cause negated. */
static int64_t touch(struct paging *tables, uint64_t page, enum access access, uint64_t flags,
		     bool user)
{
	volatile uint64_t *pte = paging_pte(tables, WINDOW, 0);
	uint64_t cause;

	*pte = pte_make(page, flags | (user ? PTE_U : 0));
	sfence_va(WINDOW);
	cause = paging_try(access, WINDOW, user);
	return cause ? -(int64_t)cause : (int64_t)(*pte & BITS(9, 0));
}

static bool hardware_update;

/* A and D are either set by hardware, or their absence faults; both only where it has to be. */
static void accessed_dirty(struct paging *tables)
{
	const uint64_t flags = PTE_V | PTE_R | PTE_W | PTE_X;
	uint64_t page = paging_new_page();

	hardware_update = touch(tables, page, ACCESS_LOAD, flags, false) >= 0;
	for (int user = 0; user < 2; user++) {
		uint64_t u = user ? PTE_U : 0;

		for (enum access a = 0; a < ACCESS_KINDS; a++) {
			uint64_t dirty = a == ACCESS_STORE ? PTE_D : 0;
			int64_t fault = -(int64_t)paging_page_fault(a);

			expect_eq(touch(tables, page, a, flags, user),
				  hardware_update ? (int64_t)(flags | u | PTE_A | dirty) : fault,
				  "access %d without A, user %d", a, user);
			expect_eq(touch(tables, page, a, flags | PTE_A, user),
				  hardware_update || !dirty ? (int64_t)(flags | u | PTE_A | dirty)
							    : fault,
				  "access %d with A, user %d", a, user);
			expect_eq(touch(tables, page, a, flags | PTE_A | PTE_D, user),
				  flags | u | PTE_A | PTE_D, "access %d with A and D, user %d", a,
				  user);
		}
		/* A fault for another reason changes nothing. */
		expect_eq(touch(tables, page, ACCESS_STORE, flags & ~PTE_W, user), -EXC_STORE_PAGE,
			  "store to a read-only page");
		expect_eq(*paging_pte(tables, WINDOW, 0) & (PTE_A | PTE_D), 0,
			  "A and D after a fault");
	}
}

static void accessed_dirty_all(void)
{
	paging_each_mode(accessed_dirty);
	if (machine_has("svadu") && !machine_has("svade"))
		expect(hardware_update, "Svadu is there, but A is not set");
	if (machine_has("svade"))
		expect(!hardware_update || machine_has("svadu"), "Svade is there, but A is set");
}

/* A load leaves D clear, and the store that follows without a fence sets it. */
static void dirty_later(struct paging *tables)
{
	volatile uint64_t *pte = paging_pte(tables, WINDOW, 0);

	*pte = pte_make(paging_new_page(), PTE_V | PTE_R | PTE_W | PTE_A);
	sfence_va(WINDOW);
	for (int i = 0; i < 50; i++) {
		expect_eq(paging_try(ACCESS_LOAD, WINDOW, false), 0, "load");
		expect_eq(*pte & PTE_D, 0, "D after a load");
		if (paging_try(ACCESS_STORE, WINDOW, false) == 0)
			expect_eq(*pte & PTE_D, PTE_D, "D after a store");
		*pte &= ~PTE_D;
		sfence_va(WINDOW);
	}
}

static void dirty_later_all(void)
{
	paging_each_mode(dirty_later);
}

static const struct test tests[] = {
    {"modes", modes},
    {"sizes", sizes},
    {"misaligned-sizes", misaligned_sizes},
    {"permissions", permissions},
    {"canonical", canonical},
    {"accessed-dirty", accessed_dirty_all},
    {"dirty-later", dirty_later_all},
};
TEST_GROUP(paging, tests);
