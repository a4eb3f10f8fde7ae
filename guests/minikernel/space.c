/* SPDX-License-Identifier: MIT */

/*
 * The user half of the address space: one for each process, made of 4 KiB pages.
 *
 * Little is done in advance. The heap and the stack are nothing but a promise until they are
 * touched, and a forked process shares all pages with its parent until either of them writes.
 * Both are kept up by space_fault(), which decides what a page fault means.
 *
 * A TLB may hold what a page table said earlier. Entries are tagged with the ASID of their
 * address space, so that they can stay when a hart goes on to another process; but then, when
 * a page is taken away or loses rights, they have to go from every hart that the process has
 * run on. `cached` says which ones those are. Only the hart that a process runs on ever
 * changes its page table, and only that hart's TLB sees new uses of it meanwhile: so after
 * one flush of all others they hold nothing of it, until the process runs there again.
 */

#include "guests/minikernel/kernel.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

#define USER_DATA (PTE_V | PTE_R | PTE_W | PTE_U | PTE_A | PTE_D)

#define HEAP_MAX GIB(1)

static bool asids;

void space_probe_asids(void)
{
	uint64_t satp = csr_read(CSR_SATP);

	/* Priv. 1.13, 10.1.11: bits of ASID that are not implemented read as zero. */
	csr_write(CSR_SATP, satp | (uint64_t)MAX_PROCS << SATP_ASID_SHIFT);
	asids = csr_read(CSR_SATP) != satp;
	csr_write(CSR_SATP, satp);
	__asm__ volatile("sfence.vma" ::: "memory");
}

bool space_has_asids(void)
{
	return asids;
}

/* TLBs of this hart. */

static void flush_page(const struct space *s, uint64_t va)
{
	__asm__ volatile("sfence.vma %0, %1" ::"r"(va), "r"((uint64_t)s->asid) : "memory");
}

static void flush_all(const struct space *s)
{
	__asm__ volatile("sfence.vma zero, %0" ::"r"((uint64_t)s->asid) : "memory");
}

/* TLBs of the others. Without ASIDs, they flush when the process gets there. */
static void flush_others(struct space *s)
{
	uint64_t self = hart_self()->id;

	for (uint64_t word = 0; asids && word < ARRAY_SIZE(s->cached); word++) {
		uint64_t kept = word == self / 64 ? s->cached[word] & BIT(self % 64) : 0;

		if (s->cached[word] != kept) {
			struct sbi_ret ret =
			    sbi_call(SBI_EXT_RFENCE, SBI_RFENCE_SFENCE_VMA_ASID,
				     s->cached[word] & ~kept, word * 64, 0, ~UINT64_C(0), s->asid);

			if (ret.error != SBI_SUCCESS)
				panic("SBI remote fence: error %ld", ret.error);
		}
		s->cached[word] = kept;
	}
}

int space_create(struct space *s, uint32_t asid)
{
	uint64_t *root;

	*s = (struct space){.root = page_alloc_zeroed(), .asid = asids ? asid : 0};
	if (s->root == 0)
		return ERR_NOMEM;
	root = page_virt(s->root);
	memcpy(root + PTE_ENTRIES / 2, (uint64_t *)page_virt(kernel_root) + PTE_ENTRIES / 2,
	       PAGE_SIZE / 2);
	return 0;
}

static void use_root(uint64_t root, uint64_t asid)
{
	if (hart_self()->root == root)
		return;
	hart_self()->root = root;
	csr_write(CSR_SATP, (uint64_t)ATP_MODE_SV39 << ATP_MODE_SHIFT | asid << SATP_ASID_SHIFT |
				root >> PAGE_SHIFT);
	/* The register named, not x0: translations of the kernel's half, which are global, stay. */
	if (!asids)
		__asm__ volatile("sfence.vma zero, %0" ::"r"(asid) : "memory");
}

void space_enter(struct space *s)
{
	uint64_t id = hart_self()->id;

	if (s == NULL) {
		use_root(kernel_root, 0);
		return;
	}
	s->cached[id / 64] |= BIT(id % 64);
	use_root(s->root, s->asid);
}

/* Releases what the `count` entries of a table map, or point to, and the table itself. */
static void free_table(uint64_t pa, uint32_t count, int level)
{
	const uint64_t *table = page_virt(pa);

	for (uint32_t i = 0; i < count; i++) {
		if ((table[i] & PTE_V) == 0)
			continue;
		if (level != 0)
			free_table(pte_pa(table[i]), PTE_ENTRIES, level - 1);
		else
			page_release(pte_pa(table[i]));
	}
	page_release(pa);
}

void space_destroy(struct space *s)
{
	/* First no TLB may know the pages any more, then they may be used for something else. */
	flush_others(s);
	flush_all(s);
	free_table(s->root, PTE_ENTRIES / 2, 2);
	*s = (struct space){0};
}

int space_map(struct space *s, uint64_t va, uint64_t pa, uint64_t flags)
{
	uint64_t *pte = vm_find_pte(s->root, va, true);

	if (pte == NULL)
		return ERR_NOMEM;
	*pte = pte_make(pa, flags);
	s->pages++;
	return 0;
}

/* One page for both, which neither may write from now on. */
static int share_page(struct space *to, uint64_t va, uint64_t *pte)
{
	int error;

	if ((*pte & PTE_W) != 0)
		*pte = (*pte & ~PTE_W) | PTE_COW;
	error = space_map(to, va, pte_pa(*pte), *pte & PTE_FLAGS);
	if (error == 0)
		page_hold(pte_pa(*pte));
	return error;
}

static int share_table(struct space *to, uint64_t table_pa, uint64_t va, int level)
{
	uint64_t *table = page_virt(table_pa);
	uint32_t count = level == 2 ? PTE_ENTRIES / 2 : PTE_ENTRIES;
	int error = 0;

	for (uint32_t i = 0; i < count && error == 0; i++, va += PAGE_SIZE << 9 * level) {
		if ((table[i] & PTE_V) == 0)
			continue;
		error = level != 0 ? share_table(to, pte_pa(table[i]), va, level - 1)
				   : share_page(to, va, &table[i]);
	}
	return error;
}

int space_fork(struct space *to, struct space *from, uint32_t asid)
{
	int error = space_create(to, asid);

	if (error != 0)
		return error;
	to->heap = from->heap;
	to->heap_end = from->heap_end;
	error = share_table(to, from->root, 0, 2);
	flush_others(from);
	flush_all(from);
	if (error != 0)
		space_destroy(to);
	return error;
}

/* A write to a page that was shared by a fork, or with the kernel's image (see exec.c). */
static int unshare_page(struct space *s, uint64_t va, uint64_t *pte)
{
	uint64_t old = pte_pa(*pte);
	uint64_t pa = old;

	if (page_users(old) != 1) {
		pa = page_alloc();
		if (pa == 0)
			return ERR_NOMEM;
		memcpy(page_virt(pa), page_virt(old), PAGE_SIZE);
	}
	*pte = pte_make(pa, USER_DATA);
	if (pa != old) {
		flush_others(s);
		page_release(old);
	}
	flush_page(s, va);
	return 0;
}

static bool may_grow(const struct space *s, uint64_t va)
{
	return (va >= s->heap && va < s->heap_end) ||
	       (va >= USER_TOP - USER_STACK_SIZE && va < USER_TOP);
}

static int fill_page(struct space *s, uint64_t va)
{
	uint64_t pa = page_alloc_zeroed();
	int error;

	if (pa == 0)
		return ERR_NOMEM;
	error = space_map(s, va, pa, USER_DATA);
	if (error != 0)
		page_release(pa);
	/* A TLB may remember that there was nothing. Elsewhere, the fault would come once more. */
	flush_page(s, va);
	return error;
}

int space_fault(struct space *s, uint64_t va, enum access access)
{
	static const uint64_t right[] = {PTE_R, PTE_W, PTE_X};
	uint64_t page = align_down(va, PAGE_SIZE);
	uint64_t *pte;

	if (va >= USER_TOP)
		return ERR_FAULT;
	pte = vm_find_pte(s->root, page, false);
	if (pte == NULL || (*pte & PTE_V) == 0) {
		if (!may_grow(s, page) || access == ACCESS_EXECUTE)
			return ERR_FAULT;
		return fill_page(s, page);
	}
	/* The TLB of this hart remembered what was here before: a flush is all that it takes. */
	if ((*pte & right[access]) != 0) {
		flush_page(s, page);
		return 0;
	}
	if (access == ACCESS_WRITE && (*pte & PTE_COW) != 0)
		return unshare_page(s, page, pte);
	return ERR_FAULT;
}

static void unmap_page(struct space *s, uint64_t va)
{
	uint64_t *pte = vm_find_pte(s->root, va, false);
	uint64_t pa;

	if (pte == NULL || (*pte & PTE_V) == 0)
		return;
	pa = pte_pa(*pte);
	*pte = 0;
	flush_others(s);
	flush_page(s, va);
	page_release(pa);
	s->pages--;
}

int space_sbrk(struct space *s, int64_t change, uint64_t *old)
{
	uint64_t size = s->heap_end - s->heap;
	uint64_t shrink = -(uint64_t)change;

	*old = s->heap_end;
	if (change >= 0) {
		if ((uint64_t)change > HEAP_MAX - size)
			return ERR_NOMEM;
		s->heap_end += (uint64_t)change;
		return 0;
	}
	if (shrink > size)
		return ERR_INVAL;
	s->heap_end -= shrink;
	for (uint64_t va = align_up(s->heap_end, PAGE_SIZE); va < *old; va += PAGE_SIZE)
		unmap_page(s, va);
	return 0;
}

/* Where the kernel sees a program's byte at va, or an error if the program may not access it. */
static int find_byte(struct space *s, uint64_t va, enum access access, char **byte)
{
	const uint64_t *pte;
	int error;

	if (va >= USER_TOP)
		return ERR_FAULT;
	pte = vm_find_pte(s->root, va, false);
	if (pte == NULL || (*pte & PTE_U) == 0 || (access == ACCESS_WRITE && (*pte & PTE_W) == 0)) {
		error = space_fault(s, va, access);
		if (error != 0)
			return error;
		pte = vm_find_pte(s->root, va, false);
	}
	*byte = (char *)page_virt(pte_pa(*pte)) + va % PAGE_SIZE;
	return 0;
}

/* Bytes from va up to the end of its page, or `size` of them. */
static uint64_t piece(uint64_t va, uint64_t size)
{
	return min_u64(size, PAGE_SIZE - va % PAGE_SIZE);
}

int space_read(struct space *s, void *to, uint64_t va, uint64_t size)
{
	char *from;

	for (uint64_t done = 0, n; done < size; done += n) {
		int error = find_byte(s, va + done, ACCESS_READ, &from);

		if (error != 0)
			return error;
		n = piece(va + done, size - done);
		memcpy((char *)to + done, from, n);
	}
	return 0;
}

int space_write(struct space *s, uint64_t va, const void *from, uint64_t size)
{
	char *to;

	for (uint64_t done = 0, n; done < size; done += n) {
		int error = find_byte(s, va + done, ACCESS_WRITE, &to);

		if (error != 0)
			return error;
		n = piece(va + done, size - done);
		memcpy(to, (const char *)from + done, n);
	}
	return 0;
}

int space_read_string(struct space *s, char *to, uint64_t va, uint64_t size)
{
	for (uint64_t i = 0; i < size; i++) {
		int error = space_read(s, to + i, va + i, 1);

		if (error != 0)
			return error;
		if (to[i] == '\0')
			return (int)i;
	}
	return ERR_TOO_LARGE;
}
