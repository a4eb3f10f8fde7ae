/* SPDX-License-Identifier: MIT */
/* unit: sbi/sbi.c sbi/base.c sbi/time.c sbi/ipi.c sbi/rfence.c sbi/hsm.c sbi/dbcn.c sbi/srst.c sbi/legacy.c engine/vcpu.c */
/* libs: -lcmocka */

/*
 * SBI calls with any arguments, by one hart of a VM. What they act on are the unit test's fakes,
 * which see to it that nothing outside the VM is touched.
 */
#include "tests/unit/sbi_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARGUMENTS 5
#define WORDS     (2 + ARGUMENTS) /* extension, function, arguments */

static const uint8_t *next;
static size_t left;

static void check(bool holds)
{
	if (!holds)
		abort();
}

static uint64_t take(unsigned bytes)
{
	uint64_t value = 0;

	bytes = (unsigned)min_u64(bytes, left);
	memcpy(&value, next, bytes);
	next += bytes;
	left -= bytes;
	return value;
}

/* A byte tells what kind of number it is: small ones, addresses and borders find more. */
static uint64_t number(void)
{
	static const uint64_t bases[] = {0,       RAM_BASE, RAM_BASE + RAM_SIZE, UINT64_MAX, HARTS,
					 BIT(63), 0x1000,   UINT32_MAX};
	uint8_t kind = (uint8_t)take(1);

	if (kind & 0x80)
		return take(8);
	return bases[kind & 7] + take(2) - (kind & 0x40 ? 0x8000 : 0);
}

static uint64_t extension(void)
{
	uint8_t kind = (uint8_t)take(1);
	unsigned count = 0;

	while (sbi_extension_ids[count])
		count++;
	if (kind < 2 * count)
		return sbi_extension_ids[kind / 2];
	return kind & 1 ? number() : kind & 15;
}

static bool is_legacy(uint64_t id)
{
	return id <= SBI_EXT_SHUTDOWN;
}

/* The hart does not go on after the call. */
static bool has_gone(void)
{
	return reset || parks || ends || crashes || suspends;
}

/* What every call keeps to (SBI 2.0, chapter 3). */
static void check_answer(uint64_t id, const uint64_t arguments[ARGUMENTS])
{
	bool gone = has_gone();
	int64_t error = (int64_t)caller->x[10];

	check(vm.lock.next == vm.lock.owner);
	/* SBI 2.0, 10.1: a shutdown may be said to be for a failure. */
	check(crashes == 0 || id == SBI_EXT_SRST);
	check(caller->pc == PC + 4 || gone || memory_exits || word_error);
	if (gone || caller->pc != PC + 4)
		return;
	for (unsigned i = 2; i < ARGUMENTS; i++)
		check(caller->x[10 + i] == arguments[i]);
	if (is_legacy(id)) {
		check(caller->x[11] == arguments[1]);
		return;
	}
	check(error <= 0 && error >= SBI_ERR_ALREADY_STOPPED - 1);
	check(error == 0 || caller->x[11] == 0);
}

/* Returns whether the hart goes on. */
static bool one_call(void)
{
	uint64_t id = extension(), function = take(1), arguments[ARGUMENTS];

	if (function & 0x80)
		function = number();
	for (unsigned i = 0; i < ARGUMENTS; i++)
		caller->x[10 + i] = arguments[i] = number();
	caller->x[15] = UNTOUCHED;
	caller->x[16] = function;
	caller->x[17] = id;
	caller->pc = PC;
	output_count = word_reads = 0;
	reset = NULL;
	sbi_handle(caller);
	check(caller->x[15] == UNTOUCHED && caller->x[16] == function && caller->x[17] == id);
	check_answer(id, arguments);
	return !has_gone() && !memory_exits;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned counts[] = {4, 64, 65, HARTS};
	uint8_t how;

	next = data;
	left = size;
	how = (uint8_t)take(1);
	set_up(counts[how & 3]);
	input = how & 4 ? "typed" : "";
	gmem_error = how & 8 ? -1 : 0;
	word_error = how & 16 ? ERR_FAULT : how & 32 ? ERR_AGAIN : 0;
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = take(8);
	for (unsigned calls = 0; left > 0 && calls < 32; calls++) {
		if (!one_call())
			break;
	}
	return 0;
}
