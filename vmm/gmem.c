/* SPDX-License-Identifier: MIT */

#include "vmm/gmem.h"

#include "kernel/error.h"
#include "kernel/mmu.h"
#include "kernel/page.h"
#include "kernel/pool.h"
#include "kernel/trap.h"
#include "vmm/copy.h"
#include "vmm/gmem_window.h"
#include "vmm/vm.h"

#define LEVEL_4K 0
#define LEVEL_2M 1

/* Bytes of an image that are copied in one stretch: 20,000 instructions are the most. */
#define COPY_STEP KIB(16)

const struct load_segment *gmem_segment(const struct vm *vm, gpa_t gpa)
{
	const struct load_plan *plan = &vm->loader.plan;
	uint64_t page = align_down(gpa.v, MEGAPAGE_SIZE);

	for (unsigned i = 0; i < plan->count; i++) {
		const struct load_segment *segment = &plan->segments[i];

		if (range_within(page, MEGAPAGE_SIZE, segment->gpa.v, segment->size))
			return segment;
	}
	return NULL;
}

/* What the 2 MiB around gpa hold before the guest has touched them; NULL: zeroes. */
static const char *first_contents(const struct vm *vm, gpa_t gpa)
{
	const struct load_segment *segment = gmem_segment(vm, gpa);

	if (!segment || !segment->src)
		return NULL;
	return (const char *)segment->src + (align_down(gpa.v, MEGAPAGE_SIZE) - segment->gpa.v);
}

/*
 * What was copied may be code, and a guest that begins with it in RAM does no FENCE.I for it: all
 * its vCPUs do one before they go on. `wait` for those that are in the guest where the caller is
 * surely not: two that waited for each other from quick accesses would never end.
 */
static void fetch_anew(struct vm *vm, bool wait)
{
	struct guest *guest = &vm->guest;

	for (unsigned i = 0; i < guest->vcpu_count; i++) {
		if (guest->vcpus[i])
			vcpu_request(guest->vcpus[i], VCPU_FENCE_I);
	}
	for (unsigned i = 0; wait && i < guest->vcpu_count; i++) {
		if (guest->vcpus[i])
			vcpu_wait_request(guest->vcpus[i], VCPU_FENCE_I);
	}
}

static void *alloc_block(unsigned order)
{
	void *block = page_alloc(order);

	/* What idle harts keep aside is there to be used. */
	if (!block && pool_reclaim())
		block = page_alloc(order);
	return block;
}

/* Maps a block that is ready; if another vCPU was quicker, gives it back: 0 all the same. */
static int map_block(struct vm *vm, gpa_t gpa, void *block, unsigned level)
{
	unsigned order = level == LEVEL_2M ? PAGE_ORDER_2M : 0;
	gpa_t page = GPA(align_down(gpa.v, PAGE_SIZE << order));
	int error;

	arena_adopt_pages(&vm->arena, block, order, ARENA_RAM);
	error = gspace_map(&vm->guest.space, page, pointer_to_hpa(block), level);
	if (error)
		arena_free_pages(&vm->arena, block, order, ARENA_RAM);
	return error == ERR_EXIST ? 0 : error;
}

static int back_small(struct vm *vm, gpa_t gpa)
{
	const char *contents = first_contents(vm, gpa);
	void *block = alloc_block(0);

	if (!block)
		return ERR_NOMEM;
	if (contents) {
		copy_bytes(block, contents + align_down(gpa.v % MEGAPAGE_SIZE, PAGE_SIZE),
			   PAGE_SIZE);
		fetch_anew(vm, false);
	} else {
		page_clear(block, 0);
	}
	return map_block(vm, gpa, block, LEVEL_4K);
}

/*
 * Whether the 2 MiB around gpa have a table of small pages already: then memory was short
 * once, and the rest of them is backed in small pages too.
 */
static bool has_small_pages(struct vm *vm, gpa_t gpa)
{
	return !gspace_is_free(&vm->guest.space, gpa, LEVEL_2M);
}

static int map_for(struct vcpu *vcpu, gpa_t gpa, void *block, unsigned level)
{
	int error = map_block(vm_of(vcpu), gpa, block, level);

	vcpu->guest->engine->mapped(vcpu, gpa);
	return error;
}

/*
 * A vCPU may touch memory, be given a page to be cleared for it, and never come back for that: all
 * that a VM can have so is a part of what it was promised.
 */
static void begin_backing(struct vcpu *vcpu)
{
	uint32_t *backing = &vm_of(vcpu)->backing;

	if (__atomic_add_fetch(backing, 1, __ATOMIC_RELAXED) <= GMEM_BACKING_MAX)
		vcpu->backing = alloc_block(PAGE_ORDER_2M);
	if (!vcpu->backing)
		__atomic_sub_fetch(backing, 1, __ATOMIC_RELAXED);
	vcpu->backing_done = 0;
	vcpu->backing_contents = NULL;
}

/* The page, which the vCPU does not have any more. */
static void *end_backing(struct vcpu *vcpu)
{
	void *page = vcpu->backing;

	vcpu->backing = NULL;
	__atomic_sub_fetch(&vm_of(vcpu)->backing, 1, __ATOMIC_RELAXED);
	return page;
}

/* Does a step of filling the vCPU's page: with zeroes or an image's bytes. */
static int fill_step(struct vcpu *vcpu, const char *contents)
{
	uint64_t step = contents ? COPY_STEP : page_clear_step();

	/* What another page's contents have begun is of no use for this one. */
	if (contents != vcpu->backing_contents)
		vcpu->backing_done = 0;
	vcpu->backing_contents = contents;
	if (contents)
		copy_bytes(vcpu->backing + vcpu->backing_done, contents + vcpu->backing_done, step);
	else
		page_clear_bytes(vcpu->backing + vcpu->backing_done, step);
	vcpu->backing_done += step;
	return vcpu->backing_done < MEGAPAGE_SIZE ? ERR_AGAIN : 0;
}

int gmem_fault(struct vcpu *vcpu, gpa_t gpa)
{
	struct vm *vm = vm_of(vcpu);
	const char *contents = first_contents(vm, gpa);
	hpa_t hpa;
	unsigned level;

	if (gspace_lookup(&vm->guest.space, gpa, &hpa, &level) == 0) {
		vcpu->guest->engine->mapped(vcpu, gpa);
		return 0;
	}
	if (!vcpu->backing) {
		void *page = contents || has_small_pages(vm, gpa) ? NULL : pool_take_megapage();

		if (page) {
			/* The stock is not full any more: there is something to do while it waits.
			 */
			schedule_trap_wfi();
			return map_for(vcpu, gpa, page, LEVEL_2M);
		}
		if (!has_small_pages(vm, gpa))
			begin_backing(vcpu);
		if (!vcpu->backing) {
			int error = back_small(vm, gpa);

			vcpu->guest->engine->mapped(vcpu, gpa);
			return error;
		}
	}
	if (fill_step(vcpu, contents) == ERR_AGAIN)
		return ERR_AGAIN;
	if (contents)
		fetch_anew(vm, true);
	return map_for(vcpu, gpa, end_backing(vcpu), LEVEL_2M);
}

void gmem_fault_abandon(struct vcpu *vcpu)
{
	if (vcpu->backing)
		page_free(end_backing(vcpu), PAGE_ORDER_2M);
}

/* With preemption points; the last part takes as long as what the caller is going to do there. */
static void fill_block(struct vm *vm, char *block, const char *contents)
{
	if (!contents)
		page_clear(block, PAGE_ORDER_2M);
	for (uint64_t done = 0; contents && done < MEGAPAGE_SIZE; done += COPY_STEP) {
		copy_bytes(block + done, contents + done, COPY_STEP);
		preempt_point();
	}
	if (contents)
		fetch_anew(vm, false);
	else
		preempt_point();
}

int gmem_back(struct vm *vm, gpa_t gpa)
{
	hpa_t hpa;
	unsigned level;

	if (gspace_lookup(&vm->guest.space, gpa, &hpa, &level) == 0)
		return 0;

	void *block = has_small_pages(vm, gpa) ? NULL : alloc_block(PAGE_ORDER_2M);

	if (!block)
		return back_small(vm, gpa);
	fill_block(vm, block, first_contents(vm, gpa));
	return map_block(vm, gpa, block, LEVEL_2M);
}

/*
 * What has been found lately: pages of 2 MiB. It stays true, as what is mapped stays mapped. An
 * entry is the guest's number of the page, plus 1, above the host's, in one word, as harts read and
 * write them at any time.
 */
static bool find_again(const struct vm *vm, gpa_t gpa, hpa_t *hpa)
{
	uint64_t number = gpa.v / MEGAPAGE_SIZE;
	uint64_t entry = __atomic_load_n(&vm->found[number % VM_FOUND_PAGES], __ATOMIC_ACQUIRE);

	*hpa = HPA((entry & UINT32_MAX) * MEGAPAGE_SIZE + gpa.v % MEGAPAGE_SIZE);
	return entry >> 32 == number + 1;
}

static void note_found(struct vm *vm, gpa_t gpa, hpa_t hpa)
{
	uint64_t number = gpa.v / MEGAPAGE_SIZE, host = hpa.v / MEGAPAGE_SIZE;

	if (number < UINT32_MAX && host <= UINT32_MAX &&
	    vm_is_ram(vm, GPA(number * MEGAPAGE_SIZE), MEGAPAGE_SIZE))
		__atomic_store_n(&vm->found[number % VM_FOUND_PAGES], (number + 1) << 32 | host,
				 __ATOMIC_RELEASE);
}

/* Where all of the range is if it lies in a page of 2 MiB, of RAM, that was found lately; or NULL.
 */
static inline char *find_quickly(const struct vm *vm, gpa_t gpa, uint64_t size)
{
	hpa_t hpa;

	if (unlikely(size > MEGAPAGE_SIZE - gpa.v % MEGAPAGE_SIZE || !find_again(vm, gpa, &hpa)))
		return NULL;
	return hpa_to_pointer(hpa);
}

static __attribute__((noinline)) int find_slowly(struct vm *vm, gpa_t gpa, uint64_t size,
						 char **pointer, uint64_t *piece)
{
	hpa_t hpa;
	unsigned level;

	/* Found missing again, another vCPU's small pages came between: ours is one of these. */
	while (gspace_lookup(&vm->guest.space, gpa, &hpa, &level) != 0) {
		int error = gmem_back(vm, gpa);

		if (error)
			return error;
	}

	uint64_t page_size = level == LEVEL_4K ? PAGE_SIZE : MEGAPAGE_SIZE;

	if (level != LEVEL_4K)
		note_found(vm, gpa, hpa);
	*pointer = hpa_to_pointer(hpa);
	*piece = min_u64(size, page_size - (gpa.v & (page_size - 1)));
	return 0;
}

/*
 * The host's address of guest memory at gpa, backed, and how many of `size` bytes follow it
 * in one piece.
 */
static inline int find(struct vm *vm, gpa_t gpa, uint64_t size, char **pointer, uint64_t *piece)
{
	hpa_t hpa;

	if (unlikely(!find_again(vm, gpa, &hpa)))
		return find_slowly(vm, gpa, size, pointer, piece);
	*pointer = hpa_to_pointer(hpa);
	*piece = min_u64(size, MEGAPAGE_SIZE - gpa.v % MEGAPAGE_SIZE);
	return 0;
}

/* Calls `each` for every piece of host memory under the range. */
static int for_pieces(struct vm *vm, gpa_t gpa, uint64_t size,
		      void (*each)(char *guest, uint64_t length, void *argument), void *argument)
{
	if (!vm_is_ram(vm, gpa, size))
		return ERR_RANGE;
	while (size > 0) {
		char *guest;
		uint64_t piece;
		int error = find(vm, gpa, size, &guest, &piece);

		if (error)
			return error;
		each(guest, piece, argument);
		gpa.v += piece;
		size -= piece;
	}
	return 0;
}

static void copy_out(char *guest, uint64_t length, void *argument)
{
	char **to = argument;

	copy_bytes(*to, guest, length);
	*to += length;
}

static void copy_in(char *guest, uint64_t length, void *argument)
{
	const char **from = argument;

	copy_bytes(guest, *from, length);
	*from += length;
}

static void clear_piece(char *guest, uint64_t length, void *argument)
{
	(void)argument;
	clear_bytes(guest, length);
}

static __attribute__((noinline)) int read_pieces(struct vm *vm, gpa_t gpa, void *to, uint64_t size)
{
	return for_pieces(vm, gpa, size, copy_out, &to);
}

static __attribute__((noinline)) int write_pieces(struct vm *vm, gpa_t gpa, const void *from,
						  uint64_t size)
{
	return for_pieces(vm, gpa, size, copy_in, &from);
}

int gmem_read(struct vm *vm, gpa_t gpa, void *to, uint64_t size)
{
	const char *guest = find_quickly(vm, gpa, size);

	if (unlikely(!guest))
		return read_pieces(vm, gpa, to, size);
	copy_bytes(to, guest, size);
	return 0;
}

int gmem_peek(const struct vm *vm, gpa_t gpa, void *to, uint64_t size)
{
	char *bytes = to;
	hpa_t hpa;
	unsigned level;

	if (!vm_is_ram(vm, gpa, size))
		return ERR_RANGE;
	while (size > 0) {
		if (gspace_lookup(&vm->guest.space, gpa, &hpa, &level) != 0)
			return ERR_NOENT;

		uint64_t piece = min_u64(size, PAGE_SIZE - (gpa.v & (PAGE_SIZE - 1)));

		copy_bytes(bytes, hpa_to_pointer(hpa), piece);
		bytes += piece;
		gpa.v += piece;
		size -= piece;
	}
	return 0;
}

void gmem_begin_write(struct vm *vm, gpa_t gpa, uint64_t size)
{
	struct guest *guest = &vm->guest;

	if (guest->engine->begin_write)
		guest->engine->begin_write(guest, gpa, size);
}

void gmem_end_write(struct vm *vm)
{
	struct guest *guest = &vm->guest;

	if (guest->engine->end_write)
		guest->engine->end_write(guest);
}

int gmem_write(struct vm *vm, gpa_t gpa, const void *from, uint64_t size)
{
	char *guest;
	int error = 0;

	gmem_begin_write(vm, gpa, size);
	guest = find_quickly(vm, gpa, size);
	if (likely(guest))
		copy_bytes(guest, from, size);
	else
		error = write_pieces(vm, gpa, from, size);
	gmem_end_write(vm);
	return error;
}

int gmem_clear(struct vm *vm, gpa_t gpa, uint64_t size)
{
	int error;

	gmem_begin_write(vm, gpa, size);
	error = for_pieces(vm, gpa, size, clear_piece, NULL);
	gmem_end_write(vm);
	return error;
}

int gmem_load_u16(struct vm *vm, gpa_t gpa, uint16_t *value)
{
	char *guest;
	uint64_t piece;
	int error;

	if (!is_aligned(gpa.v, sizeof(*value)) || !vm_is_ram(vm, gpa, sizeof(*value)))
		return ERR_RANGE;
	error = find(vm, gpa, sizeof(*value), &guest, &piece);
	if (!error)
		*value = __atomic_load_n((uint16_t *)guest, __ATOMIC_ACQUIRE);
	return error;
}

int gmem_store_u16(struct vm *vm, gpa_t gpa, uint16_t value)
{
	char *guest;
	uint64_t piece;
	int error;

	if (!is_aligned(gpa.v, sizeof(value)) || !vm_is_ram(vm, gpa, sizeof(value)))
		return ERR_RANGE;
	gmem_begin_write(vm, gpa, sizeof(value));
	error = find(vm, gpa, sizeof(value), &guest, &piece);
	if (!error)
		__atomic_store_n((uint16_t *)guest, value, __ATOMIC_RELEASE);
	gmem_end_write(vm);
	return error;
}

int gmem_find(struct vm *vm, gpa_t gpa, uint64_t size, hpa_t *hpa, uint64_t *piece)
{
	char *guest = find_quickly(vm, gpa, size);

	if (likely(guest && size > 0)) {
		*hpa = pointer_to_hpa(guest);
		*piece = size;
		return 0;
	}
	if (size == 0 || !vm_is_ram(vm, gpa, size))
		return ERR_RANGE;

	int error = find(vm, gpa, size, &guest, piece);

	if (!error)
		*hpa = pointer_to_hpa(guest);
	return error;
}

int gmem_window_open(struct gmem_window *window, struct vm *vm, gpa_t gpa, uint64_t size,
		     unsigned align)
{
	char *guest = find_quickly(vm, gpa, size);
	uint64_t piece = size;

	if (unlikely(!guest)) {
		int error;

		if (size == 0 || !vm_is_ram(vm, gpa, size))
			return ERR_RANGE;
		error = find(vm, gpa, size, &guest, &piece);
		if (error)
			return error;
	}
	if (piece < size || !is_aligned(gpa.v, align))
		guest = NULL;
	*window = (struct gmem_window){vm, gpa, size, guest};
	return 0;
}

bool gmem_is_derived_from(const struct vm *vm)
{
	return vm->guest.engine->note_written;
}

void gmem_note_written(struct vm *vm, gpa_t gpa, uint64_t size)
{
	if (gmem_is_derived_from(vm))
		vm->guest.engine->note_written(&vm->guest, gpa, size);
}
