/* SPDX-License-Identifier: MIT */

#include "engine/soft/code.h"

#include "engine/soft/soft.h"
#include "engine/soft/uop.h"
#include "engine/vcpu.h"
#include "kernel/arena.h"
#include "kernel/error.h"
#include "kernel/list.h"
#include "kernel/mmu.h"
#include "kernel/page.h"
#include "kernel/random.h"
#include "kernel/trap.h"
#include "riscv/hint.h"

#include <string.h>

#define BUCKETS_SHIFT 10
#define BUCKETS       (1U << BUCKETS_SHIFT)
#define PAGES_MIN     64   /* that may have copies, even in the smallest VM */
#define PAGES_MOST    8192 /* and in the largest */
#define TRAPS         2    /* privileged instructions trapped in a page before it is worth a copy */

/*
 * After n drops it takes 2^n times as many traps; so many for either reason. One that lasts until
 * it is written has not been read too often: what is beyond that is taken back again.
 */
#define DROPS_WRITTEN 6
#define DROPS_READ    10

#define C_EBREAK      0x9002
#define OPCODE_MASK   0x7f
#define OPCODE_SYSTEM 0x73

enum code_state {
	CODE_NONE,   /* no copy: traps are counted */
	CODE_MAKING, /* protected; vCPUs are forgetting their writable translations */
	CODE_READY,  /* protected; the copy may be mapped */
	CODE_DYING,  /* protected; vCPUs are forgetting the copy */
};

struct code_page {
	struct code_page *next; /* in its bucket */
	struct list link;       /* among the idle ones (NONE) or those with a copy (READY) */
	uint64_t frame;         /* number of the guest's page */
	uint8_t state;          /* enum code_state */
	uint8_t drops;
	struct reads reads;
	uint32_t traps;
	uint16_t *copy; /* in states READY and DYING */
};

/* Filters by hashed frame number: for what is not in one there is nothing to look up. */
#define FILTER 4096

struct code {
	struct spinlock lock; /* guards all but what is atomic: the filters, and `writers` */
	struct arena *arena;
	uint64_t epoch;
	uint32_t writers;    /* atomic: that are between code_begin_write() and code_end_write() */
	unsigned forgetting; /* who makes all vCPUs forget what they may write */
	unsigned copies, copies_max, copies_most; /* now; the bound; at any time */
	unsigned own_pages;                       /* of this, and of `pages` */
	uint64_t factor; /* odd, and not known to guests: which pages are in one bucket */
	unsigned known, known_max;
	struct code_page *buckets[BUCKETS];
	struct code_page *pages; /* known_max of them, `known` in use */
	struct list idle, ready; /* of them: the one first that has been so for longest */
	uint32_t protected_4k[FILTER], protected_2m[FILTER]; /* how many are */
	uint8_t writable_4k[FILTER], writable_2m[FILTER];    /* somebody may have a translation */
};

static unsigned filter_4k(gpa_t gpa)
{
	uint64_t frame = gpa.v >> PAGE_SHIFT;

	return (unsigned)(frame ^ frame >> 12) & (FILTER - 1);
}

static unsigned filter_2m(gpa_t gpa)
{
	return filter_4k(GPA(gpa.v >> 9));
}

/* Two sides look at each other's flag after setting their own: one of them sees the other's. */
static bool is_set(const uint32_t *count)
{
	return __atomic_load_n(count, __ATOMIC_SEQ_CST) != 0;
}

int code_init(struct guest *guest)
{
	unsigned copies = (unsigned)(soft_table_pages(guest) / 4);
	unsigned order = page_order(sizeof(struct code));
	struct code *code;

	code = arena_alloc_pages(guest->arena, order, ARENA_TABLES);
	if (!code)
		return ERR_NOMEM;
	code->arena = guest->arena;
	list_init(&code->idle);
	list_init(&code->ready);
	random_bytes(&code->factor, sizeof(code->factor));
	code->factor |= 1;
	code->own_pages = 1U << order;
	code->copies_max = copies < PAGES_MIN    ? PAGES_MIN
			   : copies > PAGES_MOST ? PAGES_MOST
						 : copies;
	/* What is cleared for the pages may take all of one stretch. */
	preempt_point();
	order = page_order(2 * sizeof(*code->pages) * code->copies_max);
	code->pages = arena_alloc_pages(guest->arena, order, ARENA_TABLES);
	if (!code->pages)
		return ERR_NOMEM;
	code->own_pages += 1U << order;
	code->known_max = (unsigned)((PAGE_SIZE << order) / sizeof(*code->pages));
	guest->code = code;
	return 0;
}

uint64_t code_pages(const struct guest *guest)
{
	const struct code *code = guest->code;

	return code ? code->own_pages + code->copies_most : 0;
}

uint64_t code_epoch(const struct guest *guest)
{
	return __atomic_load_n(&guest->code->epoch, __ATOMIC_RELAXED);
}

static struct code_page **bucket_of(struct code *code, uint64_t frame)
{
	return &code->buckets[frame * code->factor >> (64 - BUCKETS_SHIFT)];
}

static struct code_page *find(struct code *code, gpa_t gpa)
{
	uint64_t frame = gpa.v >> PAGE_SHIFT;
	struct code_page *page = *bucket_of(code, frame);

	while (page && page->frame != frame)
		page = page->next;
	return page;
}

bool code_is_protected(const struct guest *guest, gpa_t gpa)
{
	struct code *code = guest->code;

	if (likely(!is_set(&code->protected_4k[filter_4k(gpa)])))
		return false;
	spin_lock(&code->lock);

	const struct code_page *page = find(code, gpa);
	bool protected = page && page->state != CODE_NONE;

	spin_unlock(&code->lock);
	return protected;
}

bool code_is_protected_2m(const struct guest *guest, gpa_t gpa)
{
	return is_set(&guest->code->protected_2m[filter_2m(gpa)]);
}

void code_note_writable(struct guest *guest, gpa_t gpa, unsigned level)
{
	struct code *code = guest->code;
	uint8_t *flag =
	    level ? &code->writable_2m[filter_2m(gpa)] : &code->writable_4k[filter_4k(gpa)];

	__atomic_store_n(flag, 1, __ATOMIC_SEQ_CST);
}

bool code_find_copy(const struct guest *guest, gpa_t gpa, hpa_t *copy)
{
	struct code *code = guest->code;

	spin_lock(&code->lock);

	const struct code_page *page = find(code, gpa);
	bool found = page && page->state == CODE_READY;

	if (found)
		*copy = pointer_to_hpa(page->copy);
	spin_unlock(&code->lock);
	return found;
}

enum read_way code_note_read(struct guest *guest, gpa_t gpa, const struct read_terms *terms)
{
	struct code *code = guest->code;
	enum read_way way = READ_MAPPED;

	spin_lock(&code->lock);

	struct code_page *page = find(code, gpa);

	if (page && page->state == CODE_READY)
		way = read_choose(&page->reads, terms);
	spin_unlock(&code->lock);
	return way;
}

/* Takes a page that has no copy out of its bucket, for another one to be known. */
static struct code_page *reuse(struct code *code)
{
	struct code_page *page, **link;

	if (list_empty(&code->idle))
		return NULL;
	page = list_entry(code->idle.next, struct code_page, link);
	link = bucket_of(code, page->frame);
	while (*link != page)
		link = &(*link)->next;
	*link = page->next;
	list_remove(&page->link);
	return page;
}

/* There are twice as many as may have copies, so one can always be found. */
static struct code_page *find_or_add(struct code *code, gpa_t gpa)
{
	struct code_page *page = find(code, gpa);
	struct code_page **bucket = bucket_of(code, gpa.v >> PAGE_SHIFT);

	if (page)
		return page;
	page = code->known < code->known_max ? &code->pages[code->known++] : reuse(code);
	if (page) {
		*page = (struct code_page){.frame = gpa.v >> PAGE_SHIFT, .next = *bucket};
		list_push_back(&code->idle, &page->link);
		*bucket = page;
	}
	return page;
}

static void store_parcel(uint16_t *parcel, uint32_t value)
{
	__atomic_store_n(parcel, (uint16_t)value, __ATOMIC_RELEASE);
}

/*
 * Replaces the instruction at `gpa`, which was privileged when it was decoded, unless the guest has
 * changed it before its page was copied. Of one that goes on in the next page the first half has to
 * do; the breakpoint is looked at again.
 */
static void replace(struct code_page *page, gpa_t gpa)
{
	uint16_t *parcel = &page->copy[(gpa.v & (PAGE_SIZE - 1)) / 2];
	bool is_last = (gpa.v & (PAGE_SIZE - 1)) == PAGE_SIZE - 2;
	struct uop uop;

	uop_decode(is_last ? parcel[0] : parcel[0] | (uint32_t)parcel[1] << 16, &uop);
	if (uop_is_privileged(&uop) || (is_last && (parcel[0] & OPCODE_MASK) == OPCODE_SYSTEM))
		store_parcel(parcel, C_EBREAK);
}

bool code_replace(struct guest *guest, gpa_t gpa, bool *wanted)
{
	struct code *code = guest->code;
	bool replaced = false;

	spin_lock(&code->lock);

	struct code_page *page = find_or_add(code, gpa);

	if (page && page->state == CODE_READY) {
		replace(page, gpa);
		replaced = true;
	} else if (page && page->state == CODE_NONE) {
		*wanted = ++page->traps >= (uint32_t)TRAPS << page->drops;
	}
	spin_unlock(&code->lock);
	return replaced;
}

/*
 * Makes every vCPU forget its translations, before it executes one more instruction. Those that
 * are not in the guest do it before they enter it.
 */
static void forget_translations(struct guest *guest, struct vcpu *self)
{
	for (unsigned i = 0; i < guest->vcpu_count; i++) {
		if (guest->vcpus[i] && guest->vcpus[i] != self)
			vcpu_request(guest->vcpus[i], VCPU_FLUSH);
	}
	if (self)
		guest->engine->flush(self);
	for (unsigned i = 0; i < guest->vcpu_count; i++) {
		if (guest->vcpus[i] && guest->vcpus[i] != self)
			vcpu_wait_request(guest->vcpus[i], VCPU_FLUSH);
	}
}

static void protect(struct code *code, gpa_t gpa, int change)
{
	__atomic_fetch_add(&code->protected_4k[filter_4k(gpa)], (uint32_t)change, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&code->protected_2m[filter_2m(gpa)], (uint32_t)change, __ATOMIC_SEQ_CST);
}

/* Protects a page, unless there are writers; one that comes from now on sees that it is. */
static bool protect_from_writers(struct code *code, gpa_t gpa)
{
	protect(code, gpa, 1);
	if (!is_set(&code->writers))
		return true;
	protect(code, gpa, -1);
	return false;
}

static bool may_be_writable(const struct code *code, gpa_t gpa)
{
	return __atomic_load_n(&code->writable_4k[filter_4k(gpa)], __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&code->writable_2m[filter_2m(gpa)], __ATOMIC_SEQ_CST);
}

/* The page that has had a copy for longest. */
static bool choose_victim(const struct code *code, gpa_t *gpa)
{
	if (list_empty(&code->ready))
		return false;
	*gpa = GPA(list_entry(code->ready.next, struct code_page, link)->frame << PAGE_SHIFT);
	return true;
}

/* Makes room for one more copy. */
static void make_room(struct guest *guest, struct vcpu *self)
{
	struct code *code = guest->code;
	bool full;
	gpa_t victim;

	spin_lock(&code->lock);
	full = code->copies >= code->copies_max && choose_victim(code, &victim);
	spin_unlock(&code->lock);
	if (full)
		code_drop(guest, victim, self, CODE_EVICTED);
}

void code_create(struct guest *guest, gpa_t gpa, hpa_t original, struct vcpu *self)
{
	struct code *code = guest->code;
	struct code_page *page;
	bool writable;

	make_room(guest, self);
	spin_lock(&code->lock);
	page = find(code, gpa);
	if (!page || page->state != CODE_NONE || code->copies >= code->copies_max ||
	    !protect_from_writers(code, gpa)) {
		if (page)
			page->traps = 0;
		spin_unlock(&code->lock);
		return;
	}
	page->state = CODE_MAKING;
	list_remove(&page->link);
	if (++code->copies > code->copies_most)
		code->copies_most = code->copies;
	/* Who has been told to forget need not have done it yet. */
	writable = code->forgetting || may_be_writable(code, gpa);
	if (writable) {
		code->forgetting++;
		/* Nobody has any writable translation afterwards. */
		memset(code->writable_4k, 0, sizeof(code->writable_4k));
		memset(code->writable_2m, 0, sizeof(code->writable_2m));
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	}
	spin_unlock(&code->lock);
	if (writable)
		forget_translations(guest, self);

	uint16_t *copy = arena_alloc_pages(code->arena, 0, ARENA_TABLES);

	if (copy)
		memcpy(copy, hpa_to_pointer(original), PAGE_SIZE);
	spin_lock(&code->lock);
	code->forgetting -= writable;
	page->copy = copy;
	page->reads = (struct reads){0};
	page->traps = 0;
	page->state = copy ? CODE_READY : CODE_NONE;
	list_push_back(copy ? &code->ready : &code->idle, &page->link);
	if (copy) {
		replace(page, gpa);
	} else {
		code->copies--;
		protect(code, gpa, -1);
	}
	spin_unlock(&code->lock);
}

/* Every vCPU fetches anew before it executes one more instruction. */
static void fetch_anew(struct guest *guest, struct vcpu *self)
{
	for (unsigned i = 0; i < guest->vcpu_count; i++) {
		if (guest->vcpus[i] && guest->vcpus[i] != self)
			vcpu_request(guest->vcpus[i], VCPU_FENCE_I);
	}
	__asm__ volatile("fence.i" ::: "memory");
	for (unsigned i = 0; i < guest->vcpu_count; i++) {
		if (guest->vcpus[i] && guest->vcpus[i] != self)
			vcpu_wait_request(guest->vcpus[i], VCPU_FENCE_I);
	}
}

/*
 * An instruction of 4 bytes need not be fetched in one access: while its second half changes, the
 * first is C.EBREAK. Who still fetches an old first half with a new second one has a CSR
 * instruction for a CSR that U-mode has not: it traps, and looks again.
 */
void code_substitute(struct guest *guest, gpa_t gpa, const uint32_t *bits, unsigned count,
		     struct vcpu *self)
{
	unsigned first = (unsigned)(gpa.v & (PAGE_SIZE - 1)) / 2;
	struct code *code = guest->code;
	struct code_page *page;
	uint64_t epoch;

	spin_lock(&code->lock);
	page = find(code, gpa);
	if (!page || page->state != CODE_READY) {
		spin_unlock(&code->lock);
		return;
	}
	epoch = code->epoch;
	for (unsigned i = 0; i < count; i++) {
		store_parcel(&page->copy[first + 2 * i], C_EBREAK);
		store_parcel(&page->copy[first + 2 * i + 1], bits[i] >> 16);
	}
	spin_unlock(&code->lock);
	fetch_anew(guest, self);

	spin_lock(&code->lock);
	/* Meanwhile the copy may have been dropped, and others made. */
	for (unsigned i = 0; i < count && code->epoch == epoch; i++)
		store_parcel(&page->copy[first + 2 * i], bits[i]);
	spin_unlock(&code->lock);
	__asm__ volatile("fence.i" ::: "memory");
}

/* Waits until nobody else is making or dropping the page's copy; whether there is one. */
static struct code_page *await_copy(struct code *code, gpa_t gpa)
{
	struct code_page *page = find(code, gpa);

	while (page && (page->state == CODE_MAKING || page->state == CODE_DYING)) {
		spin_unlock(&code->lock);
		cpu_pause();
		spin_lock(&code->lock);
		page = find(code, gpa);
	}
	return page && page->state == CODE_READY ? page : NULL;
}

static void note_drop(struct code_page *page, enum code_reason reason)
{
	static const uint8_t most[] = {[CODE_WRITTEN] = DROPS_WRITTEN, [CODE_READ] = DROPS_READ};

	page->traps = 0;
	if (reason == CODE_EVICTED)
		return;
	if (page->drops < most[reason])
		page->drops++;
	else if (page->drops > most[reason])
		page->drops--;
}

void code_drop(struct guest *guest, gpa_t gpa, struct vcpu *self, enum code_reason reason)
{
	struct code *code = guest->code;
	struct code_page *page;

	spin_lock(&code->lock);
	page = await_copy(code, gpa);
	if (!page) {
		spin_unlock(&code->lock);
		return;
	}
	page->state = CODE_DYING;
	list_remove(&page->link);
	__atomic_fetch_add(&code->epoch, 1, __ATOMIC_RELAXED);
	spin_unlock(&code->lock);
	forget_translations(guest, self);

	spin_lock(&code->lock);

	uint16_t *copy = page->copy;

	page->copy = NULL;
	page->state = CODE_NONE;
	list_push_back(&code->idle, &page->link);
	note_drop(page, reason);
	code->copies--;
	protect(code, gpa, -1);
	spin_unlock(&code->lock);
	arena_free_pages(code->arena, copy, 0, ARENA_TABLES);
}

/* Seldom: not where there is but data. */
static __attribute__((noinline)) void drop_range(struct guest *guest, gpa_t gpa, uint64_t end)
{
	for (; gpa.v < end; gpa.v = align_down(gpa.v, PAGE_SIZE) + PAGE_SIZE) {
		if (code_is_protected(guest, gpa))
			code_drop(guest, gpa, NULL, CODE_WRITTEN);
	}
}

/*
 * A copy that is made from here on is made of what has been written: who makes one protects the
 * page before reading it.
 */
void code_note_written(struct guest *guest, gpa_t gpa, uint64_t size)
{
	uint64_t left = MEGAPAGE_SIZE - gpa.v % MEGAPAGE_SIZE;

	if (unlikely(size > left || code_is_protected_2m(guest, gpa)))
		drop_range(guest, gpa, gpa.v + size);
}

void code_begin_write(struct guest *guest, gpa_t gpa, uint64_t size)
{
	/* protect_from_writers() does it the other way round. */
	__atomic_fetch_add(&guest->code->writers, 1, __ATOMIC_SEQ_CST);
	code_note_written(guest, gpa, size);
}

void code_end_write(struct guest *guest)
{
	__atomic_fetch_sub(&guest->code->writers, 1, __ATOMIC_RELEASE);
}
