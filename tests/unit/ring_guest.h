/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_RING_GUEST_H
#define TESTS_UNIT_RING_GUEST_H

/*
 * A guest's memory in a buffer of the test's, and the driver's side of a ring in it. For one source
 * file of a test program, in place of vmm/gmem.c.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "device/virtio/vring.h"
#include "kernel/error.h"
#include "kernel/trap.h"
#include "vmm/gmem_window.h"
#include "vmm/vm.h"

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_SIZE KIB(256)

/* A test may have several guests, of which one is looked at. */
#ifndef RING_GUESTS
#define RING_GUESTS 1
#endif

static struct vm ring_vms[RING_GUESTS];
static uint8_t rams[RING_GUESTS][RAM_SIZE] __aligned(8);
#if RING_GUESTS > 1
static unsigned ring_guest;
#else
#define ring_guest 0
#endif
#define ring_vm ring_vms[ring_guest]
#define ram     rams[ring_guest]

static bool short_of_memory;         /* nothing can be backed */
static void (*access_hook)(void);    /* what happens before each access, or NULL */
static struct spinlock *unlocked[4]; /* locks that must not be held at an access, or NULL */

void preempt_point(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(unlocked); i++) {
		if (unlocked[i]) {
			assert_true(spin_trylock(unlocked[i]));
			spin_unlock(unlocked[i]);
		}
	}
}

static uint8_t *ram_of(const struct vm *vm)
{
	assert_in_range(vm - ring_vms, 0, RING_GUESTS - 1);
	return rams[vm - ring_vms];
}

static int check_access(gpa_t gpa, uint64_t size)
{
	/* Backing passes them. */
	preempt_point();
	if (access_hook)
		access_hook();
	assert_true(size <= KIB(64));
	if (!vm_is_ram(&ring_vm, gpa, size))
		return ERR_RANGE;
	return short_of_memory ? ERR_NOMEM : 0;
}

int gmem_read(struct vm *vm, gpa_t gpa, void *to, uint64_t size)
{
	int error = check_access(gpa, size);

	if (!error)
		memcpy(to, ram_of(vm) + (gpa.v - RAM_BASE), size);
	return error;
}

int gmem_write(struct vm *vm, gpa_t gpa, const void *from, uint64_t size)
{
	int error = check_access(gpa, size);

	if (!error)
		memcpy(ram_of(vm) + (gpa.v - RAM_BASE), from, size);
	return error;
}

int gmem_load_u16(struct vm *vm, gpa_t gpa, uint16_t *value)
{
	assert_true(is_aligned(gpa.v, 2));
	return gmem_read(vm, gpa, value, sizeof(*value));
}

int gmem_store_u16(struct vm *vm, gpa_t gpa, uint16_t value)
{
	assert_true(is_aligned(gpa.v, 2));
	return gmem_write(vm, gpa, &value, sizeof(value));
}

static bool in_one_piece;   /* windows are: no hook, and nothing of the above, comes to them */
static bool window_written; /* one is being written to */

int gmem_window_open(struct gmem_window *window, struct vm *vm, gpa_t gpa, uint64_t size,
		     unsigned align)
{
	int error = check_access(gpa, 0);

	if (!error && !vm_is_ram(&ring_vm, gpa, size))
		error = ERR_RANGE;
	if (error)
		return error;
	*window = (struct gmem_window){vm, gpa, size, NULL};
	if (in_one_piece && is_aligned(gpa.v, align))
		window->host = (char *)ram_of(vm) + (gpa.v - RAM_BASE);
	return 0;
}

void gmem_begin_write(struct vm *vm, gpa_t gpa, uint64_t size)
{
	assert_ptr_equal(vm, &ring_vm);
	assert_true(in_one_piece && vm_is_ram(vm, gpa, size));
	assert_false(window_written);
	window_written = true;
}

void gmem_end_write(struct vm *vm)
{
	assert_ptr_equal(vm, &ring_vm);
	assert_true(window_written);
	window_written = false;
}

bool gmem_is_derived_from(const struct vm *vm)
{
	assert_ptr_equal(vm, &ring_vm);
	return true;
}

static uint64_t noted_bytes; /* that a device of the host's has written */

void gmem_note_written(struct vm *vm, gpa_t gpa, uint64_t size)
{
	assert_int_equal(check_access(gpa, size), 0);
	assert_ptr_equal(vm, &ring_vm);
	noted_bytes += size;
}

static inline void guest_put(uint64_t gpa, uint64_t value, unsigned size)
{
	memcpy(ram + (gpa - RAM_BASE), &value, size);
}

static inline uint64_t guest_get(uint64_t gpa, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, ram + (gpa - RAM_BASE), size);
	return value;
}

static inline void guest_reset(void)
{
	memset(ram, 0, sizeof(ram));
	ring_vm.ram_base = RAM_BASE;
	ring_vm.ram_size = RAM_SIZE;
	short_of_memory = false;
	noted_bytes = 0;
	access_hook = NULL;
	memset(unlocked, 0, sizeof(unlocked));
}

/*
 * The driver's side.
 */

#define D_NEXT     1
#define D_WRITE    2
#define D_INDIRECT 4

struct ring_driver {
	struct vring_place place;
	uint16_t available; /* what it has written to the index */
	uint16_t used;      /* what it has seen of the used ring */
};

static inline struct ring_driver driver_init(uint64_t base, uint32_t size)
{
	struct ring_driver driver = {.place = vring_legacy_place(base, size, 64)};

	return driver;
}

static inline void put_descriptor(uint64_t table, unsigned n, uint64_t gpa, uint32_t length,
				  unsigned flags, unsigned next)
{
	guest_put(table + 16 * n, gpa, 8);
	guest_put(table + 16 * n + 8, length, 4);
	guest_put(table + 16 * n + 12, flags, 2);
	guest_put(table + 16 * n + 14, next, 2);
}

static inline void driver_describe(struct ring_driver *driver, unsigned n, uint64_t gpa,
				   uint32_t length, unsigned flags, unsigned next)
{
	put_descriptor(driver->place.descriptors, n, gpa, length, flags, next);
}

static inline void driver_offer(struct ring_driver *driver, unsigned head)
{
	guest_put(driver->place.available + 4 + 2 * (driver->available % driver->place.size), head,
		  2);
	guest_put(driver->place.available + 2, ++driver->available, 2);
}

/* What it wants to be told of: the index of a used entry, with EVENT_IDX. */
static inline void driver_set_used_event(struct ring_driver *driver, uint16_t event)
{
	guest_put(driver->place.available + 4 + 2 * driver->place.size, event, 2);
}

static inline uint16_t driver_available_event(const struct ring_driver *driver)
{
	return (uint16_t)guest_get(driver->place.used + 4 + 8 * driver->place.size, 2);
}

static inline uint16_t driver_used_index(const struct ring_driver *driver)
{
	return (uint16_t)guest_get(driver->place.used + 2, 2);
}

/* Takes the next used entry; false if there is none. */
static inline bool driver_take(struct ring_driver *driver, uint32_t *head, uint32_t *written)
{
	uint64_t entry = driver->place.used + 4 + 8 * (driver->used % driver->place.size);

	if (driver->used == driver_used_index(driver))
		return false;
	*head = (uint32_t)guest_get(entry, 4);
	*written = (uint32_t)guest_get(entry + 4, 4);
	driver->used++;
	return true;
}

#endif
