/* SPDX-License-Identifier: MIT */

#include "kernel/pool.h"

#include "kernel/alloc_fault.h"
#include "kernel/hart.h"
#include "kernel/lock.h"
#include "kernel/page.h"

#define STOCK_MAX 16
/* Less than this part of memory free: keep nothing aside. */
#define SHORT_SHARE 8

struct pool {
	struct spinlock lock; /* guards the next three; before the page allocator's */
	void *cleared[STOCK_MAX];
	unsigned count;
	void *clearing; /* the page that its hart is clearing, or NULL; only that hart changes it */
	uint64_t done;  /* bytes of it that are */
	bool wanted;    /* somebody has taken a page, or found none, since it was full */
};

static struct pool pools[HARTS_MAX];

static void want(struct pool *pool)
{
	__atomic_store_n(&pool->wanted, true, __ATOMIC_RELAXED);
}

void pool_begin(void)
{
	for (unsigned i = 0; i < hart_count(); i++)
		want(&pools[i]);
}

void *pool_take_megapage(void)
{
	struct pool *pool = &pools[this_hart()->index];

	want(pool);
	if (pool->count == 0 || alloc_fault())
		return NULL;
	spin_lock(&pool->lock);

	void *page = pool->count ? pool->cleared[--pool->count] : NULL;

	spin_unlock(&pool->lock);
	return page;
}

bool pool_wants_refill(void)
{
	return __atomic_load_n(&pools[this_hart()->index].wanted, __ATOMIC_RELAXED);
}

static bool can_take_more(const struct pool *pool)
{
	return pool->count < STOCK_MAX && page_free_bytes() >= page_total_bytes() / SHORT_SHARE;
}

/* Under the lock, so that the page is free or in the stock whenever somebody counts. */
static void begin_page(struct pool *pool)
{
	spin_lock(&pool->lock);
	if (can_take_more(pool))
		pool->clearing = page_alloc(PAGE_ORDER_2M);
	spin_unlock(&pool->lock);
	pool->done = 0;
}

static void end_page(struct pool *pool)
{
	spin_lock(&pool->lock);
	pool->cleared[pool->count++] = pool->clearing;
	pool->clearing = NULL;
	spin_unlock(&pool->lock);
}

bool pool_refill_step(void)
{
	struct pool *pool = &pools[this_hart()->index];
	uint64_t step = page_clear_step();

	if (!pool_wants_refill())
		return false;
	if (!pool->clearing)
		begin_page(pool);
	if (!pool->clearing) {
		/* Who wants a page that is not there asks again. */
		__atomic_store_n(&pool->wanted, false, __ATOMIC_RELAXED);
		return false;
	}
	page_clear_bytes((char *)pool->clearing + pool->done, step);
	pool->done += step;
	if (pool->done == MEGAPAGE_SIZE)
		end_page(pool);
	return true;
}

uint64_t pool_free_bytes(void)
{
	uint64_t bytes;

	for (unsigned i = 0; i < hart_count(); i++)
		spin_lock(&pools[i].lock);
	bytes = page_free_bytes();
	for (unsigned i = hart_count(); i-- > 0;) {
		bytes += (pools[i].count + (pools[i].clearing != NULL)) * MEGAPAGE_SIZE;
		spin_unlock(&pools[i].lock);
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
		want(pool);
		spin_unlock(&pool->lock);
	}
	return any;
}
