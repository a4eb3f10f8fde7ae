/* SPDX-License-Identifier: MIT */

#include "engine/soft/block.h"

#include "engine/soft/code.h"
#include "engine/soft/fast.h"
#include "engine/soft/soft.h"
#include "engine/soft/walk.h"
#include "kernel/error.h"
#include "kernel/mmu.h"
#include "kernel/page.h"

#define BLOCK_COUNT 256 /* a power of two */

/*
 * A block is true as long as the shadow tables have the same copy at its pc. They change their
 * code_generation when that may not be so any more; then it is looked up again.
 */
struct cached_block {
	struct block block;
	hpa_t copy;     /* what its pc was translated to: a page's address */
	uint64_t epoch; /* code_epoch() when it was decoded */
};

struct block_cache {
	struct cached_block blocks[BLOCK_COUNT];
};

int block_cache_init(struct vcpu *vcpu)
{
	unsigned order = page_order(sizeof(struct block_cache));

	vcpu->soft->blocks = arena_alloc_pages(vcpu->guest->arena, order, ARENA_TABLES);
	if (!vcpu->soft->blocks)
		return ERR_NOMEM;
	block_cache_clear(vcpu);
	return 0;
}

void block_cache_clear(struct vcpu *vcpu)
{
	/* No instruction lies at an odd address. */
	for (unsigned i = 0; i < BLOCK_COUNT; i++)
		vcpu->soft->blocks->blocks[i].block.pc = 1;
}

/*
 * The original of the copy at pc, the page `fetched`. NULL: the guest's tables lead to something
 * else by now. What the hart fetched is for the guest to see by itself then.
 */
static const uint8_t *find_original(struct vcpu *vcpu, uint64_t pc, hpa_t fetched)
{
	struct walk_context context = soft_walk_context(vcpu);
	struct walk walk;
	unsigned level;
	hpa_t hpa, copy;

	if (walk_address(&context, GVA(pc), ACCESS_FETCH, false, &walk) != WALK_DONE ||
	    gspace_lookup_cached(&vcpu->guest->space, context.backing, walk.gpa, &hpa, &level) != 0)
		return NULL;
	if (!code_find_copy(vcpu->guest, walk.gpa, &copy) || copy.v != fetched.v)
		return NULL;
	return hpa_to_pointer(hpa);
}

/* Whether pc is in a copy, and which. */
static bool find_fetched(const struct vcpu *vcpu, uint64_t pc, hpa_t *fetched)
{
	unsigned level;
	uint64_t leaf = shadow_find(&vcpu->soft->shadow, GVA(pc), &level);

	*fetched = pte_address(leaf);
	return leaf & SHADOW_CODE;
}

static __attribute__((noinline)) const struct block *renew(struct vcpu *vcpu,
							   struct cached_block *cached, uint64_t pc)
{
	const struct shadow *shadow = &vcpu->soft->shadow;
	uint64_t epoch = code_epoch(vcpu->guest);
	const uint8_t *code;
	hpa_t fetched;

	if (!find_fetched(vcpu, pc, &fetched))
		return NULL;
	if (cached->block.pc != pc || cached->copy.v != fetched.v || cached->epoch != epoch) {
		cached->block.pc = 1;
		code = find_original(vcpu, pc, fetched);
		if (!code)
			return NULL;
		cached->copy = fetched;
		cached->epoch = epoch;
		vcpu->soft->shadow.work += SOFT_DECODING;
		block_build(&cached->block, pc, code,
			    (unsigned)(PAGE_SIZE - (pc & (PAGE_SIZE - 1))));
	}
	cached->block.generation = shadow->code_generation;
	return &cached->block;
}

void block_make_fast(struct vcpu *vcpu, uint64_t pc)
{
	const uint8_t *code;
	hpa_t fetched;

	if (!fast_is_wanted(vcpu, pc) || !find_fetched(vcpu, pc, &fetched))
		return;
	code = find_original(vcpu, pc, fetched);
	vcpu->soft->shadow.work += SOFT_DECODING;
	if (code)
		fast_build(vcpu, pc, code, (unsigned)(PAGE_SIZE - (pc & (PAGE_SIZE - 1))));
}

const struct block *block_find(struct vcpu *vcpu, uint64_t pc)
{
	struct cached_block *cached =
	    &vcpu->soft->blocks->blocks[(pc >> 1 ^ pc >> 8 ^ pc >> 14) & (BLOCK_COUNT - 1)];

	if (likely(cached->block.pc == pc &&
		   cached->block.generation == vcpu->soft->shadow.code_generation))
		return &cached->block;
	return renew(vcpu, cached, pc);
}
