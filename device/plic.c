/* SPDX-License-Identifier: MIT */
#include "device/plic.h"

#include "engine/vcpu.h"
#include "kernel/arena.h"
#include "kernel/error.h"
#include "riscv/csr.h"

/*
 * Where `virt` and the specification differ, guests are given what they find on `virt`:
 * - a claim returns only sources above the threshold (chapter 8 of the specification ignores it),
 * - a completion counts even if the context does not enable the source (chapter 9 ignores it;
 *   a driver that masks a source while it serves it would never hear of it again).
 * But a source whose level is still high when it is completed becomes pending again, and a
 * change of enable bits is signalled at once, which `virt` leaves to the next change.
 */

#define PRIORITY_END   ((uint64_t)PLIC_SOURCES * 4)
#define PENDING_BASE   0x1000
#define PENDING_END    (PENDING_BASE + (PLIC_SOURCES + 31) / 32 * 4)
#define ENABLE_BASE    0x2000
#define ENABLE_SHIFT   7
#define ENABLE_WORDS   ((PLIC_SOURCES + 31) / 32)
#define CONTEXT_BASE   0x200000
#define CONTEXT_SHIFT  12
#define CONTEXT_THRESH 0
#define CONTEXT_CLAIM  4

static inline bool set_has(const struct plic_set *set, size_t source)
{
	return set->word[source / 64] & BIT(source % 64);
}

static inline void set_put(struct plic_set *set, size_t source, bool in)
{
	uint64_t bit = BIT(source % 64);
	uint64_t *word = &set->word[source / 64];

	*word = in ? *word | bit : *word & ~bit;
}

/* The 32 sources of a register, and putting them back; `index` below ENABLE_WORDS. */
static uint32_t set_read(const struct plic_set *set, uint64_t index)
{
	return (uint32_t)(set->word[index / 2] >> (32 * (index % 2)));
}

static void set_write(struct plic_set *set, uint64_t index, uint32_t bits)
{
	unsigned shift = 32 * (index % 2);
	uint64_t *word = &set->word[index / 2];

	*word = (*word & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)bits << shift;
}

/*
 * The number of the only bit of a word, by a de Bruijn sequence: there is no instruction for
 * it without Zbb, and the compiler's library searches byte by byte.
 */
static inline size_t bit_number(uint64_t bit)
{
	static const uint8_t numbers[64] = {
	    0,  1,  48, 2,  57, 49, 28, 3,  61, 58, 50, 42, 38, 29, 17, 4,  62, 55, 59, 36, 53, 51,
	    43, 22, 45, 39, 33, 30, 24, 18, 12, 5,  63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21,
	    44, 32, 23, 11, 46, 26, 40, 15, 34, 20, 31, 10, 25, 14, 19, 9,  13, 8,  7,  6,
	};

	return numbers[(bit * UINT64_C(0x03f79d71b4cb0a89)) >> 58];
}

static inline uint64_t lowest_bit(uint64_t word)
{
	return word & -word;
}

/* Tells a hart's vCPU of a change. */
static inline void hart_flip(struct plic *plic, size_t hart, bool level)
{
	plic->raised[hart / 64] ^= BIT(hart % 64);
	if (level)
		vcpu_raise(plic->vcpus[hart], IRQ_S_EXT);
	else
		vcpu_lower(plic->vcpus[hart], IRQ_S_EXT);
}

/* What a context may claim: pending, enabled, and of a priority above its threshold. */
static inline struct plic_set context_claimable(const struct plic *plic,
						const struct plic_context *context)
{
	const struct plic_set *above = &plic->above[context->threshold];

	return (struct plic_set){{
	    plic->pending.word[0] & context->enable.word[0] & above->word[0],
	    plic->pending.word[1] & context->enable.word[1] & above->word[1],
	}};
}

/* Works out anew whether a hart is to be interrupted. */
static void hart_update(struct plic *plic, size_t hart)
{
	struct plic_set set = context_claimable(plic, &plic->contexts[2 * hart + 1]);
	bool level = (set.word[0] | set.word[1]) != 0;

	if (level != !!(plic->raised[hart / 64] & BIT(hart % 64)))
		hart_flip(plic, hart, level);
}

/* A source has become pending: tells the harts that it interrupts and that were quiet. */
static void source_request(struct plic *plic, size_t source)
{
	const uint64_t *enabled = &plic->enabled_by[source * plic->hart_words];

	set_put(&plic->pending, source, true);
	for (size_t i = 0; i < plic->hart_words; i++) {
		for (uint64_t harts = enabled[i] & ~plic->raised[i]; harts; harts &= harts - 1) {
			size_t hart = 64 * i + bit_number(lowest_bit(harts));

			if (plic->priority[source] > plic->contexts[2 * hart + 1].threshold)
				hart_flip(plic, hart, true);
		}
	}
}

static __attribute__((noinline)) void harts_update(struct plic *plic, size_t first, uint64_t harts)
{
	for (; harts; harts &= harts - 1)
		hart_update(plic, first + bit_number(lowest_bit(harts)));
}

/* A source is pending no more: works out anew those harts that it may have interrupted. */
static inline void source_retract(struct plic *plic, size_t source)
{
	const uint64_t *enabled = &plic->enabled_by[source * plic->hart_words];

	for (size_t i = 0; i < plic->hart_words; i++) {
		uint64_t harts = enabled[i] & plic->raised[i];

		if (unlikely(harts))
			harts_update(plic, 64 * i, harts);
	}
}

/* Of the pending sources that may interrupt a context, those of the highest priority. */
static inline struct plic_set set_highest(struct plic_set set, const struct plic_set *above)
{
	/* No source is above the highest priority, so this ends there. */
	for (;; above++) {
		uint64_t low = set.word[0] & above->word[0], high = set.word[1] & above->word[1];

		if (!(low | high))
			return set;
		set = (struct plic_set){{low, high}};
	}
}

/* `index` is the context's. */
static inline size_t context_claim(struct plic *plic, size_t index)
{
	const struct plic_context *context = &plic->contexts[index];
	struct plic_set set = context_claimable(plic, context), best;
	size_t word, source;
	uint64_t bit;

	if (!(set.word[0] | set.word[1]))
		return 0;
	best = set_highest(set, &plic->above[context->threshold + 1]);
	word = best.word[0] ? 0 : 1;
	bit = lowest_bit(best.word[0] ? best.word[0] : best.word[1]);
	source = 64 * word + bit_number(bit);
	plic->pending.word[word] ^= bit;
	plic->claimed.word[word] |= bit;
	/* Was this the only one? */
	if (index % 2 && (set.word[0] | set.word[1]) == bit && !(set.word[0] & set.word[1]))
		hart_flip(plic, index / 2, false);
	source_retract(plic, source);
	return source;
}

/* Returns whether the source's completion is to be forwarded. */
static bool source_complete(struct plic *plic, size_t source)
{
	bool forward;

	if (source >= PLIC_SOURCES || !set_has(&plic->claimed, source))
		return false;
	set_put(&plic->claimed, source, false);
	forward = set_has(&plic->forwarded, source);
	if (forward)
		set_put(&plic->level, source, false);
	else if (set_has(&plic->level, source))
		source_request(plic, source);
	return forward;
}

static void source_set_priority(struct plic *plic, size_t source, uint32_t value)
{
	uint8_t priority = value & PLIC_PRIORITY_MAX;

	if (source == 0)
		return;
	plic->priority[source] = priority;
	for (unsigned i = 0; i < PLIC_PRIORITY_MAX; i++)
		set_put(&plic->above[i], source, priority > i);
	source_retract(plic, source);
	if (set_has(&plic->pending, source))
		source_request(plic, source);
}

static void context_set_enable(struct plic *plic, uint64_t context, uint64_t index, uint32_t bits)
{
	struct plic_set *enable = &plic->contexts[context].enable;
	uint64_t changed = set_read(enable, index) ^ bits;
	size_t hart = context / 2;

	set_write(enable, index, bits);
	if (context % 2 == 0)
		return;
	for (; changed; changed &= changed - 1) {
		size_t source = 32 * index + bit_number(lowest_bit(changed));

		plic->enabled_by[source * plic->hart_words + hart / 64] ^= BIT(hart % 64);
	}
	hart_update(plic, hart);
}

static void context_set_threshold(struct plic *plic, uint64_t context, uint32_t value)
{
	plic->contexts[context].threshold = value & PLIC_PRIORITY_MAX;
	if (context % 2)
		hart_update(plic, context / 2);
}

/* The registers whose reading changes nothing, but for priorities. */
static uint64_t config_read(const struct plic *plic, uint64_t offset)
{
	uint64_t context = (offset - ENABLE_BASE) >> ENABLE_SHIFT;
	uint64_t index = offset % BIT(ENABLE_SHIFT) / 4;

	if (offset >= CONTEXT_BASE) {
		context = (offset - CONTEXT_BASE) >> CONTEXT_SHIFT;
		if (context < plic->context_count && offset % BIT(CONTEXT_SHIFT) == CONTEXT_THRESH)
			return plic->contexts[context].threshold;
	} else if (offset >= ENABLE_BASE) {
		if (context < plic->context_count && index < ENABLE_WORDS)
			return set_read(&plic->contexts[context].enable, index);
	} else if (offset >= PENDING_BASE && offset < PENDING_END) {
		return set_read(&plic->pending, (offset - PENDING_BASE) / 4);
	}
	return 0;
}

static __attribute__((noinline)) int plic_claim(struct plic *plic, size_t context, uint64_t *value)
{
	spin_lock(&plic->lock);
	*value = context_claim(plic, context);
	spin_unlock(&plic->lock);
	return 0;
}

static int plic_read(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t *value)
{
	struct plic *plic = container_of(device, struct plic, device);
	uint64_t context = (offset - CONTEXT_BASE) >> CONTEXT_SHIFT;

	if (size != 4)
		return ERR_FAULT;
	if (offset < PRIORITY_END) {
		*value = __atomic_load_n(&plic->priority[offset / 4], __ATOMIC_RELAXED);
		return 0;
	}
	/* Below CONTEXT_BASE the number wraps, and exceeds every count. */
	if (context < plic->context_count && offset % BIT(CONTEXT_SHIFT) == CONTEXT_CLAIM)
		return plic_claim(plic, context, value);
	spin_lock(&plic->lock);
	*value = config_read(plic, offset);
	spin_unlock(&plic->lock);
	return 0;
}

static void config_write(struct plic *plic, uint64_t offset, uint32_t value)
{
	uint64_t context = (offset - ENABLE_BASE) >> ENABLE_SHIFT;
	uint64_t index = offset % BIT(ENABLE_SHIFT) / 4;

	if (offset < PRIORITY_END)
		source_set_priority(plic, offset / 4, value);
	else if (offset >= ENABLE_BASE && context < plic->context_count && index < ENABLE_WORDS)
		context_set_enable(plic, context, index, value);
}

static int plic_write(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct plic *plic = container_of(device, struct plic, device);
	uint64_t context = (offset - CONTEXT_BASE) >> CONTEXT_SHIFT;
	uint64_t reg = offset % BIT(CONTEXT_SHIFT);
	bool forward = false;

	if (size != 4)
		return ERR_FAULT;
	spin_lock(&plic->lock);
	if (offset < CONTEXT_BASE)
		config_write(plic, offset, (uint32_t)value);
	else if (context < plic->context_count && reg == CONTEXT_CLAIM)
		forward = source_complete(plic, value);
	else if (context < plic->context_count && reg == CONTEXT_THRESH)
		context_set_threshold(plic, context, (uint32_t)value);
	spin_unlock(&plic->lock);
	if (unlikely(forward))
		plic->completed(plic->completed_context, (unsigned)value);
	return 0;
}

static void plic_set_line(struct irq_line *line, bool level)
{
	struct plic *plic = line->controller;
	size_t source = line->source;

	spin_lock(&plic->lock);
	set_put(&plic->level, source, level);
	/* Interrupt Gateways: a request once made is not retracted when the level falls. */
	if (level && !set_has(&plic->claimed, source) && !set_has(&plic->pending, source))
		source_request(plic, source);
	spin_unlock(&plic->lock);
}

struct irq_line plic_line(struct plic *plic, unsigned source)
{
	if (source == 0 || source >= PLIC_SOURCES)
		return (struct irq_line){0};
	return (struct irq_line){plic_set_line, plic, source};
}

int plic_forward(struct plic *plic, unsigned source,
		 void (*completed)(void *context, unsigned source), void *context)
{
	if (source == 0 || source >= PLIC_SOURCES)
		return ERR_RANGE;
	set_put(&plic->forwarded, source, true);
	plic->completed = completed;
	plic->completed_context = context;
	return 0;
}

void plic_reset(struct plic *plic)
{
	spin_lock(&plic->lock);
	for (unsigned i = 0; i < PLIC_SOURCES; i++)
		plic->priority[i] = 0;
	for (unsigned i = 0; i <= PLIC_PRIORITY_MAX; i++)
		plic->above[i] = (struct plic_set){0};
	for (unsigned i = 0; i < 2; i++)
		plic->level.word[i] &= ~plic->forwarded.word[i];
	plic->claimed = (struct plic_set){0};
	plic->pending = plic->level;
	for (size_t i = 0; i < (size_t)PLIC_SOURCES * plic->hart_words; i++)
		plic->enabled_by[i] = 0;
	/* The threshold is as the firmware of `virt` leaves it. */
	for (unsigned i = 0; i < plic->context_count; i++)
		plic->contexts[i] = (struct plic_context){.threshold = PLIC_PRIORITY_MAX};
	for (size_t i = 0; i < plic->context_count / 2; i++)
		hart_update(plic, i);
	spin_unlock(&plic->lock);
}

int plic_init(struct plic *plic, struct arena *arena, unsigned harts, struct vcpu *const *vcpus)
{
	static const struct mmio_ops ops = {plic_read, plic_write};
	unsigned words = (harts + 63) / 64;

	if (harts == 0 || harts > MACHINE_HARTS_MAX)
		return ERR_RANGE;
	*plic = (struct plic){
	    .device = {"plic", &ops, MACHINE_PLIC_BASE, MACHINE_PLIC_SIZE},
	    .context_count = 2 * (size_t)harts,
	    .hart_words = words,
	    .vcpus = vcpus,
	    .contexts = arena_alloc(arena, (size_t)2 * harts * sizeof(struct plic_context)),
	    .raised = arena_alloc(arena, words * sizeof(uint64_t)),
	    .enabled_by = arena_alloc(arena, (size_t)PLIC_SOURCES * words * sizeof(uint64_t)),
	};
	if (!plic->contexts || !plic->raised || !plic->enabled_by)
		return ERR_NOMEM;
	plic_reset(plic);
	return 0;
}
