/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_PLIC_FIXTURE_H
#define TESTS_UNIT_PLIC_FIXTURE_H

/* A PLIC, its harts, and a guest that reads and writes its registers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/plic.h"
#include "engine/vcpu.h"
#include "kernel/arena.h"
#include "kernel/error.h"

#define REG_PENDING(word)     (0x1000 + 4 * (word))
#define REG_ENABLE(ctx, word) (0x2000 + 0x80 * (ctx) + 4 * (word))
#define REG_THRESHOLD(ctx)    (0x200000 + 0x1000 * (ctx))
#define REG_CLAIM(ctx)        (0x200004 + 0x1000 * (ctx))
#define S(hart)               (2 * (hart) + 1)
#define M(hart)               (2 * (hart))

static struct vcpu vcpus[MACHINE_HARTS_MAX];
static struct vcpu *vcpu_list[MACHINE_HARTS_MAX];
static bool notified[MACHINE_HARTS_MAX];
static unsigned notifications;

static struct plic plic;
static void *allocated[8];
static unsigned allocations, allocations_allowed;

void *arena_alloc(struct arena *arena, size_t size)
{
	(void)arena;
	if (allocations >= allocations_allowed)
		return NULL;
	return allocated[allocations++] = calloc(1, size);
}

/* Only changes are told, only of S contexts, and only while the lock is held. */
static void notify(struct vcpu *vcpu, unsigned irq, bool level)
{
	size_t hart = (size_t)(vcpu - vcpus);

	assert_true(hart < MACHINE_HARTS_MAX);
	assert_int_equal(irq, IRQ_S_EXT);
	assert_int_not_equal(notified[hart], level);
	assert_false(spin_trylock(&plic.lock));
	notified[hart] = level;
	notifications++;
}

void vcpu_raise(struct vcpu *vcpu, unsigned irq)
{
	notify(vcpu, irq, true);
}

void vcpu_lower(struct vcpu *vcpu, unsigned irq)
{
	notify(vcpu, irq, false);
}

static void start(unsigned harts)
{
	for (unsigned i = 0; i < MACHINE_HARTS_MAX; i++)
		vcpu_list[i] = &vcpus[i];
	memset(notified, 0, sizeof(notified));
	allocations = 0;
	allocations_allowed = 8;
	notifications = 0;
	assert_int_equal(plic_init(&plic, NULL, harts, vcpu_list), 0);
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < allocations; i++)
		free(allocated[i]);
	allocations = 0;
	return 0;
}

static inline uint32_t rd(uint64_t offset)
{
	uint64_t value = ~UINT64_C(0);

	assert_int_equal(plic.device.ops->read(&plic.device, offset, 4, &value), 0);
	assert_true(spin_trylock(&plic.lock));
	spin_unlock(&plic.lock);
	return (uint32_t)value;
}

static inline void wr(uint64_t offset, uint32_t value)
{
	assert_int_equal(plic.device.ops->write(&plic.device, offset, 4, value), 0);
	assert_true(spin_trylock(&plic.lock));
	spin_unlock(&plic.lock);
}

static void set(unsigned source, bool level)
{
	struct irq_line line = plic_line(&plic, source);

	irq_line_set(&line, level);
}

static unsigned completions, completed_source;

/* The host asks for service again as soon as it has been completed. */
static inline void host_completed(void *context, unsigned source)
{
	assert_true(spin_trylock(&plic.lock));
	spin_unlock(&plic.lock);
	completed_source = source;
	completions++;
	if (context == &completions && completions == 1)
		set(source, true);
}

#endif
