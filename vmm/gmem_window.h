/* SPDX-License-Identifier: MIT */
#ifndef VMM_GMEM_WINDOW_H
#define VMM_GMEM_WINDOW_H

/*
 * A range of a VM's RAM that is read and written again and again, as a ring is. Where it lies in
 * one piece of the host's memory it is found once, as what is mapped there stays so until the VM
 * ends. Else each access goes through vmm/gmem.h.
 *
 * Offsets, and what is accessed there, lie in the range: the caller sees to that. Each value is
 * read from memory once, for the guest may change it at any moment. Errors are those of gmem_read()
 * and gmem_write(), and come only from ranges that are not in one piece.
 */

#include "vmm/gmem.h"

struct gmem_window {
	struct vm *vm;
	gpa_t gpa;
	uint64_t size;
	char *host; /* NULL: in several pieces, or not aligned */
};

/*
 * `size` is not 0. `align`: of the largest access, a power of two up to 8, which offsets are
 * multiples of; what does not begin at a multiple of it is accessed as if it were in pieces.
 * ERR_RANGE if not all of it is in RAM, ERR_NOMEM where it cannot be backed. Passes preemption
 * points: no lock held.
 */
int gmem_window_open(struct gmem_window *window, struct vm *vm, gpa_t gpa, uint64_t size,
		     unsigned align);

static inline gpa_t gmem_window_gpa(const struct gmem_window *window, uint64_t offset)
{
	return GPA(window->gpa.v + offset);
}

/* gmem_load_u16(). */
static inline int gmem_window_load_u16(const struct gmem_window *window, uint64_t offset,
				       uint16_t *value)
{
	if (unlikely(!window->host))
		return gmem_load_u16(window->vm, gmem_window_gpa(window, offset), value);
	*value = __atomic_load_n((uint16_t *)(window->host + offset), __ATOMIC_ACQUIRE);
	return 0;
}

/* Reads two words of 8 bytes. */
static inline int gmem_window_load_pair(const struct gmem_window *window, uint64_t offset,
					uint64_t pair[2])
{
	const volatile uint64_t *words;

	if (unlikely(!window->host))
		return gmem_read(window->vm, gmem_window_gpa(window, offset), pair, 16);
	words = (const volatile uint64_t *)(window->host + offset);
	pair[0] = words[0];
	pair[1] = words[1];
	return 0;
}

/*
 * What is written to a window is written between these two, which do not nest. They are for what
 * the engine has derived from the old contents, as gmem_note_written() is.
 */
static inline void gmem_window_begin_write(const struct gmem_window *window)
{
	if (window->host)
		gmem_begin_write(window->vm, window->gpa, window->size);
}

static inline void gmem_window_end_write(const struct gmem_window *window)
{
	if (window->host)
		gmem_end_write(window->vm);
}

/* gmem_store_u16(). */
static inline int gmem_window_store_u16(const struct gmem_window *window, uint64_t offset,
					uint16_t value)
{
	if (unlikely(!window->host))
		return gmem_store_u16(window->vm, gmem_window_gpa(window, offset), value);
	__atomic_store_n((uint16_t *)(window->host + offset), value, __ATOMIC_RELEASE);
	return 0;
}

/* Writes `count` words of 4 bytes. */
static inline int gmem_window_store_words(const struct gmem_window *window, uint64_t offset,
					  const uint32_t *words, unsigned count)
{
	volatile uint32_t *to;

	if (unlikely(!window->host))
		return gmem_write(window->vm, gmem_window_gpa(window, offset), words,
				  count * sizeof(*words));
	to = (volatile uint32_t *)(window->host + offset);
	for (unsigned i = 0; i < count; i++)
		to[i] = words[i];
	return 0;
}

#endif
