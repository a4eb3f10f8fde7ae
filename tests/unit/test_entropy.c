/* SPDX-License-Identifier: MIT */
/* unit: driver/entropy.c driver/virtio/queue.c driver/virtio/packed.c driver/virtio/device.c */
#include "tests/unit/fake_jobs.h"
#include "tests/unit/fake_time.h"
#include "tests/unit/fake_virtio_device.h"

#include "driver/entropy.h"
#include "driver/plic.h"
#include "driver/virtio/registry.h"
#include "kernel/page.h"
#include "kernel/random.h"

#define USERS 3

static struct host_virtio virtio = {.transport = &fake_transport, .interrupt = 9};
static _Alignas(4096) uint8_t page[4096];
static struct entropy_request requests[USERS];
static unsigned served[USERS], last_count, mixed;
static uint8_t last[ENTROPY_BYTES_MAX];
static bool again;
static void (*plic_handler)(void *argument);
static void *plic_argument;

void *page_alloc_zeroed(unsigned order)
{
	assert_int_equal(order, 0);
	return page;
}

void random_mix(const void *bytes, size_t size)
{
	(void)bytes;
	mixed += (unsigned)size;
}

void host_plic_release(uint32_t source)
{
	assert_ptr_equal(plic_argument, (void *)(uintptr_t)source);
	plic_handler = NULL;
}

int host_plic_enable(uint32_t source, void (*handler)(void *argument), void *argument)
{
	(void)source;
	plic_handler = handler;
	plic_argument = argument;
	return 0;
}

static void done(struct entropy_request *request, const uint8_t *bytes, unsigned count)
{
	served[request - requests]++;
	last_count = count;
	memcpy(last, bytes, count);
	if (again)
		host_entropy_read(request);
}

static void ask(unsigned user, unsigned wanted)
{
	requests[user].wanted = wanted;
	requests[user].done = done;
	host_entropy_read(&requests[user]);
	run_jobs();
}

/* The device gives `count` bytes of this value to what it was given; whether it was. */
static bool give(uint8_t value, uint32_t count)
{
	struct fake_chain chain;

	if (!fake_pop(0, &chain))
		return false;
	assert_int_equal(chain.readable, 0);
	assert_int_equal(chain.writable, 1);
	assert_int_equal(chain.pieces[0].length, ENTROPY_BYTES_MAX);
	memset((void *)chain.pieces[0].address.v, value, min_u64(count, ENTROPY_BYTES_MAX));
	fake_push(&chain, count);
	plic_handler(plic_argument);
	run_jobs();
	return true;
}

/* The source is one, as the device: what it does in its life, in this order. */
static void test_life(void **state)
{
	(void)state;
	fake_reset();
	fake_device_reset();
	assert_false(host_entropy_available());
	ask(0, 10);
	assert_int_equal(served[0], 1);
	assert_int_equal(last_count, 0);

	assert_int_equal(host_entropy_driver.bind(&virtio), 0);
	assert_int_equal(host_entropy_driver.bind(&virtio), ERR_EXIST);
	assert_true(host_entropy_available());
	assert_true(give(1, 64));
	assert_int_equal(mixed, 32);
	assert_false(give(1, 64));

	ask(0, 10);
	assert_int_equal(served[0], 1);
	assert_true(give(0x55, 64));
	assert_int_equal(last_count, 10);
	assert_int_equal(last[9], 0x55);
	/* It gives less than was wanted, or says that it gave more than there was room for. */
	ask(0, 1000);
	assert_true(give(0x56, 3));
	assert_int_equal(last_count, 3);
	ask(0, 1000);
	assert_true(give(0x57, UINT32_MAX));
	assert_int_equal(last_count, ENTROPY_BYTES_MAX);
	/* What was given out is nowhere any more. The first half is the queue's, with addresses. */
	for (unsigned i = sizeof(page) / 2; i < sizeof(page); i++)
		assert_int_not_equal(page[i], 0x57);
}

/* Who asks again and again waits behind the others. */
static void test_turns(void **state)
{
	(void)state;
	memset(served, 0, sizeof(served));
	again = true;
	ask(0, 64);
	ask(1, 1);
	ask(2, 64);
	for (unsigned i = 0; i < 300; i++)
		assert_true(give((uint8_t)i, 64));
	again = false;
	for (unsigned i = 0; i < USERS; i++)
		assert_int_equal(served[i], 100);
	host_entropy_cancel(&requests[1]);
	host_entropy_cancel(&requests[1]);
	assert_true(give(0, 64));
	assert_true(give(0, 64));
	assert_int_equal(served[0] + served[2], 202);
	assert_int_equal(served[1], 100);
	/* Nobody waits for what is on its way. */
	ask(1, 5);
	host_entropy_cancel(&requests[1]);
	assert_true(give(0x58, 64));
	assert_int_equal(served[1], 100);
	assert_false(give(0, 64));
}

/* Nothing at all: it is given up, and all that wait are told. */
static void test_failure(void **state)
{
	(void)state;
	memset(served, 0, sizeof(served));
	for (unsigned i = 0; i < USERS; i++)
		ask(i, 20);
	assert_true(give(0, 0));
	for (unsigned i = 0; i < USERS; i++)
		assert_int_equal(served[i], 1);
	assert_int_equal(last_count, 0);
	assert_int_equal(fake_device.status, 128);
	assert_false(host_entropy_available());
	ask(0, 20);
	assert_int_equal(served[0], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_life),
	    cmocka_unit_test(test_turns),
	    cmocka_unit_test(test_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
