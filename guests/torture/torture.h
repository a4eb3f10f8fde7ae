/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_TORTURE_TORTURE_H
#define GUESTS_TORTURE_TORTURE_H

/*
 * Workers, one on each hart, change page tables at random, and check every access against a
 * model of what the specification allows it to see (Priv. 1.13, 12.2.1: any translation that was
 * valid at any time since the last fence that covers it).
 */

#include "guests/lib/console.h"
#include "guests/lib/insn.h"
#include "guests/lib/machine.h"
#include "guests/lib/memory.h"
#include "guests/lib/paging.h"
#include "guests/lib/sync.h"
#include "guests/lib/trap.h"
#include "guests/torture/pool.h"
#include "guests/torture/space.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

#define WORKERS_MAX     8
#define ROOTS           5              /* that a worker uses: shared ones, then its own */
#define CONTEXTS        8              /* pairs of a root and an ASID */
#define CONTEXT_OFF     CONTEXTS       /* paging is off */
#define CONTEXT_GARBAGE (CONTEXTS + 1) /* tables of the worker's own, not of a root */
#define GARBAGE_ASID    6
#define TRACE           24
#define STUBS_STALE     8

#define USER_CODE UINT64_C(0x1800000000)

/* Something that a worker did, for the report of a failure. */
struct trace {
	const char *what;
	uint64_t a, b, c;
};

/*
 * What this worker's hart may still use. Numbers are those of slots' versions, of which the hart
 * may hold all since low[context][page]; where a page was global at any of them, those since
 * low_global[root][page] in every context. Bits of `maybe` say that it may hold anything at all
 * of a context or root that is not the current one. Other workers raise low and low_global.
 */
struct window {
	uint64_t low[CONTEXTS][PAGES], low_global[ROOTS][PAGES];
	uint64_t maybe[CONTEXTS], maybe_global[ROOTS];
};

struct worker {
	unsigned int index;
	uint64_t random, ops, done;
	struct root *roots[ROOTS];
	unsigned int context;
	unsigned int hot; /* the page changed last */
	bool sum, mxr;
	struct window window;
	uint64_t counter;                 /* makes values that are stored unique */
	uint16_t *stub_now, *stub_fenced; /* versions of its stub in each frame */
	uint16_t stub_stale[STUBS_STALE];
	unsigned int stub_stale_count;
	struct paging garbage;
	uint64_t *garbage_tables;
	uint64_t accesses, faults, exact, inconclusive, ticks;
	struct trace trace[TRACE];
	uint64_t traced;
};

struct settings {
	uint64_t seed, ops, timer_us;
	unsigned int levels;
	uint64_t asid_mask;
	bool sets_accessed; /* the machine sets A and D by itself */
	bool svinval;
};

extern struct settings settings;
extern struct worker workers[WORKERS_MAX];
extern size_t worker_count;

/* Below `n`, which is not 0. */
static inline uint64_t random_below(struct worker *w, uint64_t n)
{
	return (random_next(&w->random) >> 11) % n;
}

/* True `percent` times in a hundred. */
static inline bool chance(struct worker *w, uint64_t percent)
{
	return random_below(w, 100) < percent;
}

static inline void trace(struct worker *w, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
	w->trace[w->traced++ % TRACE] = (struct trace){what, a, b, c};
}

/* report.c */

/* Reports that the machine did wrong, with what the worker did last; once, and all workers end. */
__printf(2, 3) void fail(struct worker *w, const char *format, ...);
bool failed(void);

/* context.c */

uint64_t context_root(unsigned int context);
uint64_t context_asid(unsigned int context);

/* Writes satp for a context, or CONTEXT_OFF or _GARBAGE. */
void context_switch(struct worker *w, unsigned int context);
void context_set_status(struct worker *w, bool sum, bool mxr);

/* fence.c: fences, which the model follows. */

struct fence {
	bool all_addresses, all_asids;
	uint64_t start, size; /* unless all_addresses */
	uint64_t asid;        /* unless all_asids */
};

void fence_here(struct worker *w, const struct fence *fence, bool sinval);
void fence_everything(struct worker *w);

/* By SBI, on the workers whose bits are in `mask`; `legacy` uses the call of SBI 0.1. */
void fence_remote(struct worker *w, uint64_t mask, const struct fence *fence, bool legacy);

/* fence.i, after which the worker's own stubs are what was written last. */
void fence_code(struct worker *w);

/* access.c */

/* One access of a random kind to a page (0 to PAGES - 1) in the current context, and its check. */
void access_page(struct worker *w, unsigned int page);
/* A load of 8 bytes half in this page of a slot, half in the next. */
void access_across(struct worker *w, unsigned int page);
/* An access of a random kind that must end in a page fault or an access fault. */
void access_forbidden(struct worker *w, uint64_t va, bool access_fault);
/* A load of 8 bytes: the cause of the exception, which names `va`, or 0, and *value. */
uint64_t access_load(struct worker *w, uint64_t va, bool user, uint64_t *value);

/* ops.c, garbage.c, scan.c */

void torture_op(struct worker *w);
void garbage_init(struct worker *w);
void garbage_op(struct worker *w);
void scan_op(struct worker *w);
void bare_op(struct worker *w);

#endif
