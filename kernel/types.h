/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_TYPES_H
#define KERNEL_TYPES_H

/*
 * The types every file uses. Addresses of different spaces are different types, so that
 * mixing them does not compile: gpa_t and gva_t are the guest's, hpa_t is the host's
 * physical space; the hypervisor's own virtual addresses are ordinary pointers.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
	uint64_t v;
} gpa_t;

typedef struct {
	uint64_t v;
} gva_t;

typedef struct {
	uint64_t v;
} hpa_t;

#define GPA(x) ((gpa_t){(x)})
#define GVA(x) ((gva_t){(x)})
#define HPA(x) ((hpa_t){(x)})

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define PAGE_SHIFT      12
#define PAGE_SIZE       (UINT64_C(1) << PAGE_SHIFT)
#define MEGAPAGE_SHIFT  21
#define MEGAPAGE_SIZE   (UINT64_C(1) << MEGAPAGE_SHIFT)
#define GIGAPAGE_SHIFT  30
#define GIGAPAGE_SIZE   (UINT64_C(1) << GIGAPAGE_SHIFT)
#define CACHE_LINE_SIZE 64

#define BIT(n) (UINT64_C(1) << (n))

/* The bits hi..lo of a 64-bit word; 63 >= hi >= lo >= 0. */
#define BITS(hi, lo) ((~UINT64_C(0) >> (63 - (hi))) & (~UINT64_C(0) << (lo)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define __packed       __attribute__((packed))
#define __aligned(n)   __attribute__((aligned(n)))
#define __noreturn     __attribute__((noreturn))
#define __printf(f, a) __attribute__((format(printf, f, a)))
#define __used         __attribute__((used))
#define __section(s)   __attribute__((section(s)))

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* `align` is a power of two. The result of align_up wraps to 0 at the top of the space. */
static inline uint64_t align_down(uint64_t x, uint64_t align)
{
	return x & ~(align - 1);
}

static inline uint64_t align_up(uint64_t x, uint64_t align)
{
	return (x + align - 1) & ~(align - 1);
}

static inline bool is_aligned(uint64_t x, uint64_t align)
{
	return (x & (align - 1)) == 0;
}

/* Whether [start, start + size) lies inside [base, base + length); no sum can overflow. */
static inline bool range_within(uint64_t start, uint64_t size, uint64_t base, uint64_t length)
{
	return start >= base && size <= length && start - base <= length - size;
}

/* Whether two ranges that do not wrap share a byte. */
static inline bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a_size != 0 && b_size != 0 && (a < b ? b - a < a_size : a - b < b_size);
}

#endif
