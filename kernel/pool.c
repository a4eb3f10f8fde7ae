/* SPDX-License-Identifier: MIT */

#include "kernel/pool.h"

#include "kernel/hart.h"
#include "kernel/lock.h"
#include "kernel/page.h"

#define STOCK_MAX 16
/* Less than this part of memory free: keep nothing aside. */
#define SHORT_SHARE 8

struct pool {
	struct spinlock lock; /* guards `cleared` and `count`; before the page allocator's */
	void *cleared[STOCK_MAX];
	unsigned count;
	void *clearing; /* the page that its hart is clearing, or NULL */
	uint64_t done;  /* bytes of it that are */
};

static struct pool pools[HARTS_MAX];

static bool begun;

void pool_begin(void)
{
	__atomic_store_n(&begun, true, __ATOMIC_RELEASE);
}

void *pool_take_megapage(void)
{
	struct pool *pool = &pools[this_hart()->index];

	if (pool->count == 0)
		return NULL;
	spin_lock(&pool->lock);

	void *page = pool->count ? pool->cleared[--pool->count] : NULL;

	spin_unlock(&pool->lock);
	return page;
}

bool pool_wants_refill(void)
{
	struct pool *pool = &pools[this_hart()->index];

	return __atomic_load_n(&begun, __ATOMIC_RELAXED) && pool->count < STOCK_MAX &&
	       page_free_bytes() >= page_total_bytes() / SHORT_SHARE;
}

bool pool_refill_step(void)
{
	struct pool *pool = &pools[this_hart()->index];
	uint64_t step = page_clear_step();

	if (!pool->clearing) {
		if (!pool_wants_refill())
			return false;
		pool->clearing = page_alloc(PAGE_ORDER_2M);
		pool->done = 0;
		if (!pool->clearing)
			return false;
	}
	page_clear_bytes((char *)pool->clearing + pool->done, step);
	pool->done += step;
	if (pool->done == MEGAPAGE_SIZE) {
		spin_lock(&pool->lock);
		pool->cleared[pool->count++] = pool->clearing;
		spin_unlock(&pool->lock);
		pool->clearing = NULL;
	}
	return true;
}

uint64_t pool_bytes(void)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < hart_count(); i++) {
		struct pool *pool = &pools[i];

		spin_lock(&pool->lock);
		bytes += (pool->count + (pool->clearing != NULL)) * MEGAPAGE_SIZE;
		spin_unlock(&pool->lock);
	}
	return bytes;
}

bool pool_reclaim(void)
{
	bool any = false;

	for (unsigned i = 0; i < hart_count(); i++) {
		struct pool *pool = &pools[i];

		spin_lock(&pool->lock);
		while (pool->count) {
			page_free(pool->cleared[--pool->count], PAGE_ORDER_2M);
			any = true;
		}
		spin_unlock(&pool->lock);
	}
	return any;
}
