/* SPDX-License-Identifier: MIT */
/* unit: kernel/trace.c kernel/trace_ring.c */
/* libs: -lpthread */
#include "tests/unit/fake_kernel.h"

#include <pthread.h>
#include <sys/syscall.h>

#include "kernel/page.h"
#include "kernel/trace.h"

#define ALL_KINDS (BIT(TRACE_KINDS) - 1)
#define A_PAGE    (PAGE_SIZE / sizeof(struct trace_record))

static uint64_t now;
static void (*time_hook)(void); /* what happens while a record is being made, or NULL */
static void (*wait_hook)(void); /* what happens while trace_stop() waits, or NULL */
static unsigned waits;
static unsigned notified[FAKE_HARTS];

/* Blocks that have been given out, and which one is not: counted from 1, 0: none. */
static unsigned blocks, asked, failing;

uint64_t time_now(void)
{
	if (time_hook)
		time_hook();
	return now;
}

/* cpu_pause(), on the host. */
int sched_yield(void)
{
	waits++;
	if (wait_hook)
		wait_hook();
	return 0;
}

void hart_notify(struct hart *hart)
{
	/* All record by then, whatever this one does now. */
	assert_true(trace_is_recording());
	for (unsigned i = 0; i < FAKE_HARTS; i++)
		assert_ptr_equal(harts[i].trace, &trace_rings()[i]);
	notified[hart->index]++;
}

void *page_alloc(unsigned order)
{
	void *block;

	if (++asked == failing)
		return NULL;
	block = aligned_alloc(PAGE_SIZE, PAGE_SIZE << order);
	memset(block, 0xdb, PAGE_SIZE << order);
	blocks++;
	return block;
}

void page_free(void *block, unsigned order)
{
	/* As it was allocated: all of it can be written to. */
	memset(block, 0, PAGE_SIZE << order);
	free(block);
	blocks--;
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memset(notified, 0, sizeof(notified));
	time_hook = wait_hook = NULL;
	now = blocks = asked = failing = waits = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	time_hook = wait_hook = NULL;
	for (unsigned i = 0; i < FAKE_HARTS; i++)
		harts[i].trace_busy = false;
	trace_stop();
	trace_free();
	assert_int_equal(blocks, 0);
	assert_int_equal(trace_ring_bytes(), 0);
	return 0;
}

static void test_allocate(void **state)
{
	const struct trace_ring *rings = trace_rings();

	(void)state;
	assert_int_equal(trace_ring_bytes(), 0);
	for (unsigned order = 0; order < 6; order++) {
		assert_int_equal(trace_allocate(order), 0);
		assert_int_equal(blocks, FAKE_HARTS);
		assert_int_equal(trace_ring_bytes(), PAGE_SIZE << order);
		for (unsigned i = 0; i < FAKE_HARTS; i++) {
			assert_int_equal(rings[i].size, A_PAGE << order);
			assert_int_equal(trace_ring_count(&rings[i]), 0);
			for (unsigned k = 0; k < i; k++)
				assert_ptr_not_equal(rings[i].records, rings[k].records);
		}
		assert_false(trace_is_recording());
		trace_free();
		assert_int_equal(blocks, 0);
		assert_int_equal(trace_ring_bytes(), 0);
		for (unsigned i = 0; i < FAKE_HARTS; i++)
			assert_null(rings[i].records);
	}
	/* There is nothing to give back. */
	trace_free();
	assert_int_equal(blocks, 0);
}

/* Each allocation fails in turn: nothing is left, and it can be tried again. */
static void test_allocation_fails(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= FAKE_HARTS; n++) {
		asked = 0;
		failing = n;
		assert_int_equal(trace_allocate(1), ERR_NOMEM);
		assert_int_equal(asked, n);
		assert_int_equal(blocks, 0);
		assert_int_equal(trace_ring_bytes(), 0);
		for (unsigned i = 0; i < FAKE_HARTS; i++)
			assert_null(trace_rings()[i].records);
	}
	asked = 0;
	assert_int_equal(trace_allocate(1), ERR_NOMEM);
	failing = 0;
	assert_int_equal(trace_allocate(0), 0);
	assert_int_equal(trace_ring_bytes(), PAGE_SIZE);
	trace_begin(ALL_KINDS);
	assert_true(trace_is_recording());
}

/* What each hart has recorded since it began: the last `size` of these are to be there. */
#define MODEL_MAX 100000

static struct {
	struct trace_record records[MODEL_MAX];
	uint64_t count;
} model[FAKE_HARTS];
static uint32_t model_kinds;
static bool model_on;

static void model_put(unsigned hart, const struct trace_record *record)
{
	assert_true(model[hart].count < MODEL_MAX);
	model[hart].records[model[hart].count++] = *record;
}

static void model_start(void)
{
	model_on = true;
	for (unsigned i = 0; i < FAKE_HARTS; i++)
		model_put(i, &(struct trace_record){.time = now, .kind = TRACE_START});
}

static void check_rings(void)
{
	const struct trace_ring *rings = trace_rings();

	for (unsigned i = 0; i < FAKE_HARTS; i++) {
		uint64_t count = min_u64(model[i].count, rings[i].size);
		uint64_t first = model[i].count - count;

		assert_int_equal(trace_ring_count(&rings[i]), count);
		assert_int_equal(trace_ring_lost(&rings[i]), first);
		for (uint64_t k = 0; k < count; k++)
			assert_memory_equal(trace_ring_at(&rings[i], k),
					    &model[i].records[first + k],
					    sizeof(struct trace_record));
	}
}

static unsigned evaluated;

static uint64_t evaluate(uint64_t value)
{
	evaluated++;
	return value;
}

static void random_record(void)
{
	struct trace_record record = {
	    .time = now += fake_random_below(100),
	    .kind = (uint8_t)fake_random_below(TRACE_KINDS),
	    .detail = (uint16_t)fake_random(),
	    .who = (uint32_t)fake_random(),
	    .a = fake_random(),
	    .b = fake_random(),
	};
	unsigned hart = fake_random_below(FAKE_HARTS);

	present_hart = &harts[hart];
	evaluated = 0;
	trace(record.kind, record.detail, record.who, record.a, evaluate(record.b));
	present_hart = &harts[0];
	/* A trace point costs nothing where nobody records. */
	assert_int_equal(evaluated, model_on);
	if (model_on && model_kinds >> record.kind & 1)
		model_put(hart, &record);
}

static void random_step(void)
{
	switch (fake_random_below(2000)) {
	case 0:
		memset(model, 0, sizeof(model));
		model_kinds = fake_random_below(2) ? ALL_KINDS : (uint32_t)fake_random();
		trace_begin(model_kinds);
		model_start();
		break;
	case 1:
	case 2:
		trace_stop();
		model_on = false;
		check_rings();
		break;
	case 3:
	case 4:
		if (model_on)
			break;
		trace_go_on();
		model_start();
		break;
	default:
		random_record();
		break;
	}
	assert_int_equal(trace_is_recording(), model_on);
}

static void test_random(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 4; order++) {
		assert_int_equal(trace_allocate(order), 0);
		memset(model, 0, sizeof(model));
		model_kinds = ALL_KINDS;
		trace_begin(ALL_KINDS);
		model_start();
		for (unsigned i = 0; i < 60000; i++)
			random_step();
		trace_stop();
		model_on = false;
		check_rings();
		trace_free();
	}
}

/* A start is recorded whatever is wanted, as what was before is not known; and each hart looks. */
static void test_begin(void **state)
{
	(void)state;
	assert_int_equal(trace_allocate(0), 0);
	now = 77;
	trace_begin(BIT(TRACE_WFI));
	for (unsigned i = 0; i < FAKE_HARTS; i++) {
		assert_int_equal(notified[i], 1);
		assert_int_equal(trace_ring_count(&trace_rings()[i]), 1);
		assert_int_equal(trace_ring_at(&trace_rings()[i], 0)->kind, TRACE_START);
		assert_int_equal(trace_ring_at(&trace_rings()[i], 0)->time, 77);
	}
	trace(TRACE_SBI, 1, 2, 3, 4);
	trace(TRACE_WFI, 1, 2, 3, 4);
	assert_int_equal(trace_rings()[0].written, 2);
	assert_int_equal(trace_ring_at(&trace_rings()[0], 1)->kind, TRACE_WFI);
	/* Begun anew without an end: what there was is forgotten. */
	trace_begin(BIT(TRACE_SBI));
	assert_int_equal(trace_rings()[0].written, 1);
	trace_stop();
	assert_false(trace_is_recording());
	for (unsigned i = 0; i < FAKE_HARTS; i++) {
		assert_null(harts[i].trace);
		assert_int_equal(notified[i], 2);
	}
}

static void finish_writing(void)
{
	/* Nobody begins another record meanwhile. */
	for (unsigned i = 0; i < FAKE_HARTS; i++)
		assert_null(harts[i].trace);
	if (waits == 3)
		harts[0].trace_busy = false;
	if (waits == 7)
		harts[2].trace_busy = false;
}

static void test_stop_waits(void **state)
{
	(void)state;
	assert_int_equal(trace_allocate(0), 0);
	trace_begin(ALL_KINDS);
	harts[0].trace_busy = harts[2].trace_busy = true;
	wait_hook = finish_writing;
	trace_stop();
	assert_int_equal(waits, 7);
	/* So it is when recording begins anew without an end. */
	trace_go_on();
	harts[0].trace_busy = harts[2].trace_busy = true;
	waits = 0;
	trace_begin(ALL_KINDS);
	assert_int_equal(waits, 7);
}

static void stop_meanwhile(void)
{
	assert_true(harts[1].trace_busy);
	assert_false(harts[0].trace_busy);
	/* The first half of trace_stop(), which then waits for this hart. */
	harts[1].trace = NULL;
}

/* A record that is under way is completed, in a ring that is there as long as it is said to be. */
static void test_stopped_while_writing(void **state)
{
	(void)state;
	assert_int_equal(trace_allocate(0), 0);
	trace_begin(ALL_KINDS);
	present_hart = &harts[1];
	time_hook = stop_meanwhile;
	trace(TRACE_WAKE, 1, 2, 3, 4);
	time_hook = NULL;
	assert_false(harts[1].trace_busy);
	assert_int_equal(trace_rings()[1].written, 2);
	/* One that saw that it is on, and then not: it writes nothing. */
	trace_record(TRACE_WAKE, 1, 2, 3, 4);
	assert_int_equal(trace_rings()[1].written, 2);
	assert_false(harts[1].trace_busy);
}

static bool over;
static uint64_t made[FAKE_HARTS];

static void *record_on(void *argument)
{
	present_hart = argument;
	for (uint64_t n = 1; !__atomic_load_n(&over, __ATOMIC_RELAXED); n++) {
		trace(TRACE_MMIO, n, present_hart->index, n, ~n);
		__atomic_store_n(&made[present_hart->index], n, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Until each has gone on for a while, as it records by then. */
static void wait_for_writers(void)
{
	for (unsigned i = 1; i < FAKE_HARTS; i++) {
		uint64_t before = __atomic_load_n(&made[i], __ATOMIC_RELAXED);

		while (__atomic_load_n(&made[i], __ATOMIC_RELAXED) < before + 2 * A_PAGE)
			syscall(SYS_sched_yield);
	}
}

/* What is in a ring that nobody writes: whole records, in their order. */
static void check_written(const struct trace_ring *ring, unsigned hart)
{
	uint64_t last = 0;

	assert_true(ring->written > A_PAGE);
	for (uint64_t i = 0; i < trace_ring_count(ring); i++) {
		const struct trace_record *record = trace_ring_at(ring, i);

		if (record->kind == TRACE_START)
			continue;
		assert_int_equal(record->kind, TRACE_MMIO);
		assert_int_equal(record->who, hart);
		assert_int_equal(record->detail, (uint16_t)record->a);
		assert_int_equal(record->b, ~record->a);
		assert_true(record->a > last);
		last = record->a;
	}
}

/* Harts that do not stop for it: while they are stopped nobody writes, and the memory can go. */
static void test_threads(void **state)
{
	pthread_t threads[FAKE_HARTS];

	(void)state;
	__atomic_store_n(&over, false, __ATOMIC_RELAXED);
	for (unsigned i = 1; i < FAKE_HARTS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, record_on, &harts[i]), 0);
	for (unsigned round = 0; round < 200; round++) {
		uint64_t written[FAKE_HARTS];

		assert_int_equal(trace_allocate(0), 0);
		trace_begin(ALL_KINDS);
		wait_for_writers();
		trace_stop();
		for (unsigned i = 1; i < FAKE_HARTS; i++) {
			written[i] = trace_rings()[i].written;
			check_written(&trace_rings()[i], i);
		}
		wait_for_writers();
		for (unsigned i = 1; i < FAKE_HARTS; i++)
			assert_int_equal(trace_rings()[i].written, written[i]);
		trace_free();
	}
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	for (unsigned i = 1; i < FAKE_HARTS; i++)
		pthread_join(threads[i], NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_allocate), TEST(test_allocation_fails), TEST(test_random),
	    TEST(test_begin),    TEST(test_stop_waits),       TEST(test_stopped_while_writing),
	    TEST(test_threads),
	};

	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
