/* SPDX-License-Identifier: MIT */
/* Accesses, and whether what they gave is one of the things that they may give. */
#include "guests/torture/probe.h"
#include "guests/torture/torture.h"

enum access { ACCESS_LOAD, ACCESS_STORE, ACCESS_FETCH };
enum outcome { WORKS, PAGE_FAULT, ACCESS_FAULT };
enum stub { STUB_PLAIN, STUB_CSR, STUB_OWN, STUBS, STUB_ANY = STUBS };

struct probe {
	const char *name;
	uint8_t size, fault_at; /* bytes from its start to the access */
	bool store, is_signed, atomic;
};

static const struct probe probes[PROBE_COUNT] = {
    {"lb", 1, 0, false, true, false},       {"lh", 2, 0, false, true, false},
    {"lw", 4, 0, false, true, false},       {"ld", 8, 0, false, true, false},
    {"lbu", 1, 0, false, false, false},     {"lhu", 2, 0, false, false, false},
    {"lwu", 4, 0, false, false, false},     {"lr.w", 4, 0, false, true, true},
    {"lr.d", 8, 0, false, true, true},      {"c.ld", 8, 0, false, true, false},
    {"fld", 8, 0, false, true, false},      {"sw", 4, 0, true, false, false},
    {"sd", 8, 0, true, false, false},       {"c.sd", 8, 0, true, false, false},
    {"amoswap.w", 4, 0, true, false, true}, {"amoswap.d", 8, 0, true, false, true},
    {"fsd", 8, 4, true, false, false},
};

enum { PROBE_LD = 3, PROBE_LWU = 6 };

/* One access and what came of it. */
struct attempt {
	enum access access;
	const struct probe *probe; /* of a load or store */
	enum stub stub;            /* of a fetch */
	bool user;
	uint64_t va, offset; /* in the page */
	uint64_t second_va;  /* of an access across a border: a fault may name that */
	uint64_t value;      /* loaded, to be stored, or returned by a stub */
	uint64_t cause;      /* of the exception, 0 if there was none */
	bool began;          /* a fetch that faulted behind the first instruction */
};

/* What may be used for it: versions from `first` to `last`, of a root; only global ones. */
struct source {
	struct slot *slot;
	uint64_t first, last;
	bool global_only;
};

#define SOURCES (CONTEXTS + ROOTS)

struct sources {
	struct source list[SOURCES];
	unsigned int count;
};

static const char *attempt_name(const struct attempt *attempt)
{
	static const char *const stub_names[] = {"fetch", "fetch with CSRs", "fetch of own code"};

	return attempt->probe ? attempt->probe->name : stub_names[attempt->stub];
}

static uint64_t page_fault_cause(enum access access)
{
	static const uint8_t causes[] = {EXC_LOAD_PAGE, EXC_STORE_PAGE, EXC_INSN_PAGE};

	return causes[access];
}

static uint64_t access_fault_cause(enum access access)
{
	static const uint8_t causes[] = {EXC_LOAD_ACCESS, EXC_STORE_ACCESS, EXC_INSN_ACCESS};

	return causes[access];
}

/* The exception must name the instruction and the address. */
static void take_fault(struct worker *w, struct attempt *attempt, uint64_t pc)
{
	const struct trap_frame *trap = &hart_self()->trap;

	attempt->cause = trap->cause;
	attempt->began = attempt->access == ACCESS_FETCH && trap->epc > pc &&
			 trap->epc - pc <= 16 && trap->tval == trap->epc;
	if (attempt->began)
		return;
	if (trap->epc != pc || (trap->tval != attempt->va &&
				!(attempt->second_va && trap->tval == attempt->second_va)))
		fail(w, "%s at 0x%lx, user %d: cause %lu epc 0x%lx stval 0x%lx, expected epc 0x%lx",
		     attempt_name(attempt), attempt->va, attempt->user, trap->cause, trap->epc,
		     trap->tval, pc);
}

/* Interrupts must be off while registers are loaded for it; in U-mode they come all the same. */
static const struct trap_frame *execute_at(uint64_t pc, const uint64_t x[32], bool user)
{
	uint64_t enabled = csr_read(CSR_SSTATUS) & SSTATUS_SIE;

	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	trap_exec(pc, x, user);
	csr_set(CSR_SSTATUS, enabled);
	return &hart_self()->trap;
}

static void execute_probe(struct worker *w, struct attempt *attempt)
{
	const struct trap_frame *trap = &hart_self()->trap;
	uint64_t at = (uint64_t)(attempt->probe - probes) * PROBE_SIZE, x[32] = {0}, pc;

	attempt->cause = 0;
	if (!attempt->user) {
		pc = (uint64_t)probe_kernel + at;
		if (trap_run((uint64_t (*)(uint64_t, uint64_t, uint64_t))pc, attempt->va,
			     attempt->value, 0))
			take_fault(w, attempt, pc + attempt->probe->fault_at);
		else if (!attempt->probe->store)
			attempt->value = hart_self()->result;
		return;
	}
	pc = (w->context == CONTEXT_OFF ? (uint64_t)probe_user : USER_CODE) + at;
	x[REG_A0] = attempt->va;
	x[REG_A1] = attempt->value;
	execute_at(pc, x, true);
	if (trap->cause != EXC_BREAKPOINT || trap->epc - pc >= PROBE_SIZE)
		take_fault(w, attempt, pc + attempt->probe->fault_at);
	else if (!attempt->probe->store)
		attempt->value = trap->x[REG_A0];
}

/* The stub with CSR instructions works in S-mode, and is illegal in U-mode from its first one. */
static void execute_stub(struct worker *w, struct attempt *attempt)
{
	const struct trap_frame *trap = execute_at(attempt->va, NULL, attempt->user);
	uint64_t done = attempt->va + (attempt->stub == STUB_CSR ? 16 : 4);

	attempt->cause = 0;
	attempt->value = trap->x[REG_A0];
	if (attempt->stub == STUB_CSR && attempt->user && trap->cause == EXC_ILLEGAL_INSN) {
		if (trap->epc != attempt->va || (trap->tval != 0 && trap->tval != CSRR_A1_SSCRATCH))
			fail(w, "csrr in U at 0x%lx: epc 0x%lx stval 0x%lx", attempt->va, trap->epc,
			     trap->tval);
	} else if (trap->cause != EXC_BREAKPOINT || trap->epc != done) {
		take_fault(w, attempt, attempt->va);
	} else if (attempt->stub == STUB_CSR &&
		   (attempt->user || trap->x[REG_A1] != (uint64_t)hart_self() ||
		    trap->x[REG_A1 + 1] != trap->x[REG_A1])) {
		fail(w, "code at 0x%lx, user %d: sscratch 0x%lx, then 0x%lx", attempt->va,
		     attempt->user, trap->x[REG_A1], trap->x[REG_A1 + 1]);
	}
}

/* Priv. 1.13, 12.3.2, from step 3 on. */
static enum outcome predict(const struct worker *w, const struct attempt *attempt, uint64_t pte)
{
	bool fetch = attempt->access == ACCESS_FETCH, store = attempt->access == ACCESS_STORE;
	bool ok;

	if (!(pte & PTE_V) || (!(pte & PTE_R) && (pte & PTE_W)) || !(pte & PTE_LEAF))
		return PAGE_FAULT;
	if (attempt->user ? !(pte & PTE_U) : (pte & PTE_U) && (fetch || !w->sum))
		return PAGE_FAULT;
	if (attempt->access == ACCESS_LOAD)
		ok = (pte & PTE_R) || (w->mxr && (pte & PTE_X));
	else
		ok = pte & (store ? PTE_W : PTE_X);
	if (!ok)
		return PAGE_FAULT;
	if (!settings.sets_accessed && (!(pte & PTE_A) || (store && !(pte & PTE_D))))
		return PAGE_FAULT;
	return pte_frame(pte) < POOL_FRAMES ? WORKS : ACCESS_FAULT;
}

static uint64_t extend(uint64_t value, const struct probe *probe)
{
	unsigned int shift = 64 - 8U * probe->size;

	return probe->is_signed ? (uint64_t)((int64_t)(value << shift) >> shift)
				: value << shift >> shift;
}

static bool stub_fits(const struct worker *w, const struct attempt *attempt, uint64_t frame)
{
	uint64_t low = (uint64_t)(int64_t)(int32_t)((uint32_t)frame << 12);
	unsigned int version;

	if ((attempt->stub == STUB_CSR && attempt->user) || attempt->stub == STUB_ANY)
		return true;
	if (attempt->stub != STUB_OWN)
		return attempt->value == low;
	for (version = w->stub_fenced[frame];; version = (version + 1) % STUB_VERSIONS) {
		uint32_t insn = pool_stub_insn(frame, version);

		if (attempt->value == (uint64_t)(int64_t)(int32_t)(insn & 0xfffff000))
			return true;
		if (version == w->stub_now[frame])
			return false;
	}
}

/* Whether the access gave what it gives in this frame. */
static bool frame_fits(const struct worker *w, const struct attempt *attempt, uint64_t frame)
{
	uint64_t at = frame_address(frame) + attempt->offset, word;

	if (attempt->access == ACCESS_FETCH)
		return stub_fits(w, attempt, frame);
	if (attempt->access == ACCESS_STORE)
		return attempt->probe->size == 8
			   ? *(volatile uint64_t *)at == attempt->value
			   : *(volatile uint32_t *)at == (uint32_t)attempt->value;
	word = frame_word(frame, attempt->offset & ~UINT64_C(7)) >> 8 * (attempt->offset & 7);
	return attempt->value == extend(word, attempt->probe);
}

/* QEMU 7.2 gives an AMO the cause of a load. */
static bool is_access_fault(const struct attempt *attempt)
{
	return attempt->cause == access_fault_cause(attempt->access) ||
	       (attempt->probe && attempt->probe->atomic && attempt->cause == EXC_LOAD_ACCESS);
}

/* An AMO may read first: then it finds that nothing is there before it finds W clear. */
static bool read_of_amo_faults(const struct worker *w, const struct attempt *attempt, uint64_t pte)
{
	struct attempt read = *attempt;

	read.access = ACCESS_LOAD;
	return attempt->access == ACCESS_STORE && attempt->probe->atomic &&
	       predict(w, &read, pte) == ACCESS_FAULT && is_access_fault(attempt);
}

static bool explains(const struct worker *w, const struct attempt *attempt, uint64_t pte)
{
	switch (predict(w, attempt, pte)) {
	case WORKS:
		return attempt->cause == 0 && frame_fits(w, attempt, pte_frame(pte));
	case PAGE_FAULT:
		return attempt->cause == page_fault_cause(attempt->access) ||
		       read_of_amo_faults(w, attempt, pte);
	default:
		return is_access_fault(attempt);
	}
}

static void add_source(struct sources *sources, struct root *root, unsigned int page,
		       const uint64_t *low, bool global_only)
{
	sources->list[sources->count++] =
	    (struct source){&root->slots[page / SLOT_PAGES], __atomic_load_n(low, __ATOMIC_SEQ_CST),
			    0, global_only};
}

/*
 * What this worker's hart may use for a page in its context, the context's own root first;
 * `last` is not known yet.
 */
static void find_sources(const struct worker *w, unsigned int page, struct sources *sources)
{
	const struct window *window = &w->window;

	sources->count = 0;
	add_source(sources, w->roots[context_root(w->context)], page,
		   &window->low[w->context][page], false);
	for (unsigned int c = 0; c < CONTEXTS; c++)
		if (c != w->context && context_asid(c) == context_asid(w->context) &&
		    (window->maybe[c] >> page & 1))
			add_source(sources, w->roots[context_root(c)], page, &window->low[c][page],
				   false);
	for (unsigned int r = 0; r < ROOTS; r++)
		if (window->maybe_global[r] >> page & 1)
			add_source(sources, w->roots[r], page, &window->low_global[r][page], true);
}

static void close_sources(struct sources *sources)
{
	for (unsigned int i = 0; i < sources->count; i++)
		sources->list[i].last =
		    __atomic_load_n(&sources->list[i].slot->pending, __ATOMIC_SEQ_CST);
}

/* Whether versions that may have been used are not known any more. */
static bool lost_versions(const struct sources *sources)
{
	for (unsigned int i = 0; i < sources->count; i++)
		if (__atomic_load_n(&sources->list[i].slot->pending, __ATOMIC_SEQ_CST) -
			sources->list[i].first >=
		    RING - 1)
			return true;
	return false;
}

static bool explained(const struct worker *w, const struct attempt *attempt,
		      const struct sources *sources, unsigned int index)
{
	for (unsigned int i = 0; i < sources->count; i++) {
		const struct source *source = &sources->list[i];

		for (uint64_t n = source->first; n <= source->last; n++) {
			uint64_t pte = slot_version(source->slot, n)->pte[index];

			if ((!source->global_only || pte_is_global(pte)) &&
			    explains(w, attempt, pte))
				return true;
		}
	}
	return false;
}

/*
 * A page that loses its mapping under a stub, for want of a fence, may fault in the midst of it;
 * then there is also something that let it begin.
 */
static bool began_rightly(const struct worker *w, const struct attempt *attempt,
			  const struct sources *sources, unsigned int index)
{
	struct attempt first = *attempt;

	if (!attempt->began)
		return true;
	first.cause = 0;
	first.stub = STUB_ANY;
	return explained(w, &first, sources, index);
}

static void report(struct worker *w, const struct attempt *attempt, const struct sources *sources,
		   unsigned int page)
{
	char text[400];
	size_t n = 0;

	for (unsigned int i = 0; i < sources->count; i++) {
		const struct source *source = &sources->list[i];

		for (uint64_t v = source->first; v <= source->last; v++) {
			uint64_t pte = slot_version(source->slot, v)->pte[page % SLOT_PAGES];

			if ((!source->global_only || pte_is_global(pte)) && n < sizeof(text) - 48)
				n += format(text + n, sizeof(text) - n,
					    " 0x%lx (frame %lu, flags 0x%lx)", pte, pte_frame(pte),
					    pte & 0x3ff);
		}
	}
	fail(w,
	     "%s at 0x%lx, page %u, context %u, user %d sum %d mxr %d: cause %lu, value 0x%lx;"
	     " entries that allow it to be otherwise:%s",
	     attempt_name(attempt), attempt->va, page, w->context, attempt->user, w->sum, w->mxr,
	     attempt->cause, attempt->value, text);
}

/*
 * A and D when what was used is certain: an access that worked has set them, and D is not there
 * without a store (Priv. 1.13, 12.3.1).
 */
static void check_bits(struct worker *w, const struct attempt *attempt,
		       const struct sources *sources, unsigned int page)
{
	struct slot *slot = sources->list[0].slot;
	unsigned int index = page % SLOT_PAGES;
	uint64_t written = __atomic_load_n(&slot->written[index], __ATOMIC_SEQ_CST);
	uint64_t version = slot_version(slot, sources->list[0].last)->pte[index], now;
	bool stored;

	for (unsigned int i = 0; i < sources->count; i++)
		if (sources->list[i].slot != slot || sources->list[i].first < written)
			return;
	now = *slot_entry(slot, index);
	stored = __atomic_load_n(&slot->storing, __ATOMIC_SEQ_CST) != 0 ||
		 __atomic_load_n(&slot->stored, __ATOMIC_SEQ_CST) >= written;
	if (__atomic_load_n(&slot->written[index], __ATOMIC_SEQ_CST) != written ||
	    __atomic_load_n(&slot->pending, __ATOMIC_SEQ_CST) != sources->list[0].last)
		return;
	w->exact++;
	if (attempt->cause == 0 &&
	    (!(now & PTE_A) || (attempt->access == ACCESS_STORE && !(now & PTE_D))))
		fail(w, "%s at 0x%lx left the entry 0x%lx", attempt_name(attempt), attempt->va,
		     now);
	if (!stored && (now & PTE_D) && !(version & PTE_D))
		fail(w, "%s at 0x%lx: the entry is 0x%lx, but nobody has stored to the page",
		     attempt_name(attempt), attempt->va, now);
	if (!settings.sets_accessed && ((now ^ version) & (PTE_A | PTE_D)))
		fail(w, "%s at 0x%lx: the entry is 0x%lx, was 0x%lx", attempt_name(attempt),
		     attempt->va, now, version);
}

static void end_store(struct slot *slot)
{
	uint64_t now = __atomic_load_n(&slot->pending, __ATOMIC_SEQ_CST);
	uint64_t old = __atomic_load_n(&slot->stored, __ATOMIC_SEQ_CST);

	while (old < now && !__atomic_compare_exchange_n(&slot->stored, &old, now, false,
							 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	__atomic_fetch_sub(&slot->storing, 1, __ATOMIC_SEQ_CST);
}

static void execute(struct worker *w, struct attempt *attempt, const struct sources *sources)
{
	if (attempt->access == ACCESS_FETCH) {
		execute_stub(w, attempt);
	} else if (attempt->access == ACCESS_LOAD) {
		execute_probe(w, attempt);
	} else {
		for (unsigned int i = 0; i < sources->count; i++)
			__atomic_fetch_add(&sources->list[i].slot->storing, 1, __ATOMIC_SEQ_CST);
		execute_probe(w, attempt);
		for (unsigned int i = 0; i < sources->count; i++)
			end_store(sources->list[i].slot);
	}
}

static void choose_load(struct worker *w, struct attempt *attempt)
{
	uint64_t places[] = {random_below(w, FRAME_FIXED),
			     FRAME_REST + random_below(w, PAGE_SIZE - FRAME_REST)};

	attempt->access = ACCESS_LOAD;
	attempt->probe = &probes[random_below(w, PROBE_LOADS)];
	attempt->offset = align_down(places[random_below(w, 2)], attempt->probe->size);
}

static void choose_store(struct worker *w, struct attempt *attempt)
{
	attempt->access = ACCESS_STORE;
	attempt->probe = &probes[PROBE_LOADS + random_below(w, PROBE_COUNT - PROBE_LOADS)];
	attempt->offset = FRAME_SCRATCH + FRAME_SCRATCH_SIZE * w->index +
			  align_down(random_below(w, FRAME_SCRATCH_SIZE), attempt->probe->size);
	attempt->value = ++w->counter | (uint64_t)(w->index + 1) << 56;
}

static void choose_fetch(struct worker *w, struct attempt *attempt)
{
	static const uint16_t offsets[STUBS] = {FRAME_STUB, FRAME_STUB_CSR, FRAME_STUB_OWN};

	attempt->access = ACCESS_FETCH;
	attempt->stub = (enum stub)random_below(w, STUBS);
	attempt->offset = offsets[attempt->stub] + (attempt->stub == STUB_OWN ? 16 * w->index : 0);
}

static void choose_any(struct worker *w, struct attempt *attempt)
{
	static void (*const choose[])(struct worker *w, struct attempt *attempt) = {
	    choose_load, choose_store, choose_fetch};

	choose[random_below(w, ARRAY_SIZE(choose))](w, attempt);
}

/* Mostly something that the entry allows. */
static void choose_for(struct worker *w, struct attempt *attempt, unsigned int page)
{
	const struct slot *slot = &w->roots[context_root(w->context)]->slots[page / SLOT_PAGES];
	uint64_t pte = slot_version(slot, slot->committed)->pte[page % SLOT_PAGES];

	attempt->user = chance(w, 75) ? (pte & PTE_U) != 0 : chance(w, 40);
	if (chance(w, 30))
		choose_any(w, attempt);
	else if ((pte & PTE_X) && !((pte & PTE_U) && !attempt->user) && chance(w, 40))
		choose_fetch(w, attempt);
	else if ((pte & PTE_W) && chance(w, 50))
		choose_store(w, attempt);
	else
		choose_load(w, attempt);
}

void access_page(struct worker *w, unsigned int page)
{
	struct attempt attempt = {0};
	struct sources sources;

	choose_for(w, &attempt, page);
	attempt.va = page_va(page) + attempt.offset;
	trace(w, attempt_name(&attempt), attempt.va, page, attempt.user);
	find_sources(w, page, &sources);
	execute(w, &attempt, &sources);
	close_sources(&sources);
	w->accesses++;
	if (attempt.cause)
		w->faults++;
	if (explained(w, &attempt, &sources, page % SLOT_PAGES) &&
	    began_rightly(w, &attempt, &sources, page % SLOT_PAGES))
		check_bits(w, &attempt, &sources, page);
	else if (lost_versions(&sources))
		w->inconclusive++;
	else
		report(w, &attempt, &sources, page);
}

/* One half of an access across a border, as an access of its own that gave `value`. */
static bool half_explained(struct worker *w, const struct attempt *whole, uint64_t offset,
			   uint64_t value, const struct sources *sources, unsigned int page)
{
	struct attempt half = *whole;

	half.probe = &probes[PROBE_LWU];
	half.offset = offset;
	half.value = value;
	return explained(w, &half, sources, page % SLOT_PAGES);
}

void access_across(struct worker *w, unsigned int page)
{
	struct attempt attempt = {.access = ACCESS_LOAD,
				  .probe = &probes[PROBE_LD],
				  .user = chance(w, 40),
				  .va = page_va(page) + PAGE_SIZE - 4,
				  .second_va = page_va(page + 1)};
	struct sources low, high;
	bool low_fits, high_fits;

	trace(w, "ld across", attempt.va, page, attempt.user);
	find_sources(w, page, &low);
	find_sources(w, page + 1, &high);
	execute_probe(w, &attempt);
	close_sources(&low);
	close_sources(&high);
	low_fits = half_explained(w, &attempt, PAGE_SIZE - 4, (uint32_t)attempt.value, &low, page);
	high_fits = half_explained(w, &attempt, 0, attempt.value >> 32, &high, page + 1);
	if (attempt.cause == 0 ? low_fits && high_fits : low_fits || high_fits)
		return;
	if (lost_versions(&low) || lost_versions(&high))
		w->inconclusive++;
	else
		report(w, &attempt, low_fits ? &high : &low, low_fits ? page + 1 : page);
}

void access_forbidden(struct worker *w, uint64_t va, bool access_fault)
{
	struct attempt attempt = {.user = chance(w, 50)};
	uint64_t expected;

	choose_any(w, &attempt);
	attempt.va = align_down(va, 8);
	trace(w, attempt_name(&attempt), attempt.va, attempt.user, access_fault);
	if (attempt.access == ACCESS_FETCH)
		execute_stub(w, &attempt);
	else
		execute_probe(w, &attempt);
	expected =
	    access_fault ? access_fault_cause(attempt.access) : page_fault_cause(attempt.access);
	if (access_fault ? !is_access_fault(&attempt) : attempt.cause != expected)
		fail(w,
		     "%s at 0x%lx, context %u, user %d sum %d mxr %d: cause %lu value 0x%lx, "
		     "expected cause %lu",
		     attempt_name(&attempt), attempt.va, w->context, attempt.user, w->sum, w->mxr,
		     attempt.cause, attempt.value, expected);
}

uint64_t access_load(struct worker *w, uint64_t va, bool user, uint64_t *value)
{
	struct attempt attempt = {
	    .access = ACCESS_LOAD, .probe = &probes[PROBE_LD], .user = user, .va = va};

	trace(w, "load", va, user, w->context);
	execute_probe(w, &attempt);
	*value = attempt.value;
	return attempt.cause;
}
