/* SPDX-License-Identifier: MIT */
#include "device/virtio/blk_image.h"

#include "kernel/arena.h"
#include "kernel/error.h"
#include "kernel/page.h"
#include "kernel/pool.h"
#include "vmm/copy.h"

#define PHYSICAL_SHIFT 3 /* pages of 8 sectors */
#define TRANSFER_STEP  KIB(8)
#define ZERO_STEP      KIB(32)
#define RANGE_SECTORS  ((uint32_t)(GIB(1) / BLK_SECTOR))

/* In place of a page that has been cleared, and after the image's end. */
static const char zeroes[PAGE_SIZE] __aligned(4096);

/* What is at `offset`, and in *size, how much of that is in one piece. */
static const char *find(const struct blk_image *image, uint64_t offset, uint64_t *size)
{
	uint64_t within = offset % PAGE_SIZE;
	const char *page = image->pages ? image->pages[offset / PAGE_SIZE] : NULL;

	*size = min_u64(*size, PAGE_SIZE - within);
	if (page)
		return page + within;
	if (offset >= image->size)
		return zeroes + within;
	*size = min_u64(*size, image->size - offset);
	return image->data + offset;
}

static bool is_own(const char *page)
{
	return page && page != zeroes;
}

static char *alloc_page(struct blk_image *image)
{
	char *page = page_alloc(0);

	/* What idle harts keep aside is there to be used. */
	if (!page && pool_reclaim())
		page = page_alloc(0);
	if (page)
		arena_adopt_pages(image->arena, page, 0, ARENA_OBJECTS);
	return page;
}

/* The page around `offset`, to be written to; NULL if there is no memory. */
static char *own_page(struct blk_image *image, uint64_t offset)
{
	const char **slot = &image->pages[offset / PAGE_SIZE];
	uint64_t start = align_down(offset, PAGE_SIZE), piece;
	char *page;

	if (is_own(*slot))
		return (char *)(uintptr_t)*slot;
	page = alloc_page(image);
	for (uint64_t done = 0; page && done < PAGE_SIZE; done += piece) {
		piece = PAGE_SIZE - done;

		const char *old = find(image, start + done, &piece);

		copy_bytes(page + done, old, piece);
	}
	if (page)
		*slot = page;
	return page;
}

static int read_piece(struct blk_image *image, struct blk_request *request, uint64_t offset,
		      uint64_t *size)
{
	const char *from = find(image, offset, size);

	return vring_write(&request->queue->ring, &request->chain, request->data + request->done,
			   from, *size);
}

static int write_piece(struct blk_image *image, struct blk_request *request, uint64_t offset,
		       uint64_t *size)
{
	uint64_t within = offset % PAGE_SIZE;
	char *page = own_page(image, offset);

	if (!page)
		return ERR_NOMEM;
	*size = min_u64(*size, PAGE_SIZE - within);
	return vring_read(&request->queue->ring, &request->chain, request->data + request->done,
			  page + within, *size);
}

/* Whole pages take no memory, unless they have some already. */
static int zero_piece(struct blk_image *image, struct blk_request *request, uint64_t offset,
		      uint64_t *size)
{
	const char **slot = &image->pages[offset / PAGE_SIZE];
	uint64_t within = offset % PAGE_SIZE;
	char *page;

	(void)request;
	*size = min_u64(*size, PAGE_SIZE - within);
	if (*size == PAGE_SIZE && !is_own(*slot)) {
		*slot = zeroes;
		return 0;
	}
	page = own_page(image, offset);
	if (!page)
		return ERR_NOMEM;
	clear_bytes(page + within, *size);
	return 0;
}

/* Goes on with a request for `step` bytes. */
static int go_on(struct blk_image *image, struct blk_request *request, uint64_t step,
		 int (*piece)(struct blk_image *image, struct blk_request *request, uint64_t offset,
			      uint64_t *size))
{
	uint64_t end = min_u64(request->size, request->done + step);

	while (request->done < end) {
		uint64_t size = end - request->done;
		int error =
		    piece(image, request, request->sector * BLK_SECTOR + request->done, &size);

		if (error)
			return error;
		request->done += size;
	}
	return request->done < request->size ? ERR_AGAIN : 0;
}

static int perform(struct blk_backend *backend, struct blk_request *request)
{
	struct blk_image *image = container_of(backend, struct blk_image, backend);

	switch (request->operation) {
	case BLK_READ:
		return go_on(image, request, TRANSFER_STEP, read_piece);
	case BLK_WRITE:
		return go_on(image, request, TRANSFER_STEP, write_piece);
	case BLK_DISCARD:
	case BLK_WRITE_ZEROES:
		return go_on(image, request, ZERO_STEP, zero_piece);
	case BLK_FLUSH:
		break;
	}
	return ERR_NOSYS;
}

static uint64_t sectors_of(uint64_t size)
{
	return size / BLK_SECTOR + (size % BLK_SECTOR != 0);
}

static uint64_t pages_of(uint64_t size)
{
	return size / PAGE_SIZE + (size % PAGE_SIZE != 0);
}

uint64_t blk_image_bytes(uint64_t size, bool read_only)
{
	/* A table is a block of pages, up to twice as large as it needs to be. */
	return read_only ? 0 : pages_of(size) * (PAGE_SIZE + 2 * sizeof(char *)) + PAGE_SIZE;
}

int blk_image_init(struct blk_image *image, const void *data, uint64_t size, bool read_only,
		   struct arena *arena)
{
	static const struct blk_backend_ops ops = {.perform = perform};

	*image = (struct blk_image){
	    .data = data,
	    .size = size,
	    .arena = arena,
	    .backend = {.ops = &ops,
			.sectors = sectors_of(size),
			.block_size = BLK_SECTOR,
			.physical_shift = PHYSICAL_SHIFT,
			.read_only = read_only,
			.can_discard = !read_only,
			.can_write_zeroes = !read_only,
			.range_sectors = RANGE_SECTORS,
			.segments_max = BLK_SEGMENTS_MAX,
			.depth = 1},
	};
	if (!read_only) {
		image->pages = arena_alloc(arena, pages_of(size) * sizeof(*image->pages));
		if (!image->pages)
			return ERR_NOMEM;
	}
	return 0;
}
