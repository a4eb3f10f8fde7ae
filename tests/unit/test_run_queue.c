/* SPDX-License-Identifier: MIT */
/* unit: vmm/run_queue.c kernel/heap.c */

#include "tests/unit/fake_kernel.h"
#include "vmm/run_queue.h"

#define FREQUENCY 10000000
#define MS        (FREQUENCY / 1000)
#define ENTITIES  64

static struct run_queue queue;
static struct entity_group groups[ENTITIES];
static struct entity entities[ENTITIES];
static uint64_t now;

static int setup(void **state)
{
	(void)state;
	memset(groups, 0, sizeof(groups));
	memset(entities, 0, sizeof(entities));
	run_queue_init(&queue, FREQUENCY);
	now = 12345;
	return 0;
}

static struct entity *make(unsigned i, uint32_t weight, uint64_t budget, uint64_t period)
{
	struct entity *entity = &entities[i];

	groups[i].weight = weight;
	*entity = (struct entity){
	    .vcpu = (struct vcpu *)(uintptr_t)(i + 1),
	    .group = &groups[i],
	    .harts = budget ? 0 : UINT64_MAX,
	    .load = 1,
	    .budget = budget,
	    .period = period,
	};
	entity_init(entity);
	return entity;
}

static struct entity *start(unsigned i, uint32_t weight)
{
	struct entity *entity = make(i, weight, 0, 0);

	run_queue_wake(&queue, entity, now);
	return entity;
}

/* Turns, as long as they may be, of those that always want the hart; up to `end`. */
static void run_until(uint64_t end)
{
	while (now < end) {
		assert_non_null(run_queue_next(&queue, now));

		uint64_t turn_end = run_queue_turn_end(&queue, now);

		assert_true(turn_end > now);
		now = min_u64(turn_end, end);
		run_queue_end_turn(&queue, now, false);
	}
}

static void assert_share(const struct entity *entity, uint64_t of, double share)
{
	double got = (double)entity->run_ticks, due = (double)of * share;

	/* There is no part of a turn; and who is new comes first. */
	if (got < due * 0.98 - 4 * MS || got > due * 1.02 + 10 * MS)
		fail_msg("entity %td got %f ticks, not %f", entity - entities, got, due);
}

static void test_empty(void **state)
{
	(void)state;
	assert_null(run_queue_next(&queue, now));
	assert_true(run_queue_preempts(&queue, make(0, 100, 0, 0), now));
}

static void test_alone(void **state)
{
	(void)state;
	start(0, 100);
	assert_ptr_equal(run_queue_next(&queue, now), &entities[0]);
	assert_true(queue.alone);
	assert_true(run_queue_turn_end(&queue, now) == TIME_NEVER);
	/* For a year; whoever comes then is not shut out for as long. */
	now += UINT64_C(365) * 86400 * FREQUENCY;
	start(1, 100);
	assert_true(run_queue_preempts(&queue, &entities[1], now));
	run_queue_end_turn(&queue, now, false);
	entities[0].run_ticks = 0;

	uint64_t begin = now;

	run_until(now + 500 * MS);
	assert_share(&entities[0], now - begin, 0.5);
	assert_share(&entities[1], now - begin, 0.5);
}

static void test_weights(void **state)
{
	const uint32_t weights[] = {1, 10000, 100, 50, 2500, 7, 333};
	uint64_t begin = now, sum = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(weights); i++) {
		start(i, weights[i]);
		sum += weights[i];
	}
	run_until(now + UINT64_C(600000) * MS);
	for (unsigned i = 0; i < ARRAY_SIZE(weights); i++)
		assert_share(&entities[i], now - begin, (double)weights[i] / (double)sum);
}

/* Of a group of three that have one weight together, two go to sleep after a while. */
static void test_groups(void **state)
{
	uint64_t begin = now;

	(void)state;
	start(3, 100);
	for (unsigned i = 0; i < 3; i++) {
		make(i, 100, 0, 0);
		entities[i].group = &groups[0];
		run_queue_wake(&queue, &entities[i], now);
	}
	run_until(now + 5000 * MS);
	assert_share(&entities[3], now - begin, 0.5);
	for (unsigned i = 0; i < 3; i++)
		assert_share(&entities[i], now - begin, 1 / 6.0);

	for (unsigned asleep = 0; asleep < 2;) {
		const struct entity *next = run_queue_next(&queue, now);
		bool sleeps = next == &entities[1] || next == &entities[2];

		now += MS;
		run_queue_end_turn(&queue, now, sleeps);
		asleep += sleeps;
	}
	assert_int_equal(groups[0].active, 1);
	begin = now;
	entities[0].run_ticks = entities[3].run_ticks = 0;
	run_until(now + 5000 * MS);
	assert_share(&entities[0], now - begin, 0.5);
	assert_share(&entities[3], now - begin, 0.5);
}

/* Who slept goes first, but is not owed all the time that it slept. */
static void test_sleeper(void **state)
{
	(void)state;
	start(0, 100);
	start(1, 100);
	run_until(now + 100 * MS);
	start(2, 100);
	assert_ptr_equal(run_queue_next(&queue, now), &entities[2]);
	run_queue_end_turn(&queue, now, true);

	run_until(now + 10000 * MS);
	assert_non_null(run_queue_next(&queue, now));
	run_queue_wake(&queue, &entities[2], now);
	/* At the beginning of another's turn as at its end. */
	assert_true(run_queue_preempts(&queue, &entities[2], now));
	run_queue_end_turn(&queue, now, false);
	for (unsigned i = 0; i < 3; i++)
		entities[i].run_ticks = 0;

	uint64_t begin = now;

	run_until(now + 1000 * MS);
	assert_share(&entities[2], now - begin, 0.335);
}

static void test_turns_become_short(void **state)
{
	uint64_t last = TIME_NEVER;

	(void)state;
	for (unsigned i = 0; i < ENTITIES; i++) {
		start(i, 100);
		run_queue_next(&queue, now);

		uint64_t end = run_queue_turn_end(&queue, now);

		assert_true(end <= last);
		assert_true(i == 0 || (end - now >= MS / 2 && end - now <= 4 * MS));
		last = end;
		run_queue_end_turn(&queue, now, false);
	}
}

/* In each period the budget, not more, while others want the hart. */
static void test_budget(void **state)
{
	struct entity *entity = make(0, 1, 3 * MS, 10 * MS);

	(void)state;
	start(1, 10000);
	run_queue_wake(&queue, entity, now);
	for (unsigned i = 0; i < 100; i++) {
		uint64_t had = entity->run_ticks;

		run_until(now + 10 * MS);
		assert_int_equal(entity->run_ticks - had, 3 * MS);
	}
	/* A turn that ended late is paid for in the next period. */
	while (run_queue_next(&queue, now) != entity) {
		now += MS;
		run_queue_end_turn(&queue, now, false);
	}
	now += 4 * MS;
	run_queue_end_turn(&queue, now, false);
	assert_int_equal(entity->class, ENTITY_EXHAUSTED);
	assert_true(entity->left == -(int64_t)MS);

	uint64_t had = entity->run_ticks;

	run_until(entity->period_end + 10 * MS);
	assert_int_equal(entity->run_ticks - had, 2 * MS);
}

static void test_exhausted_has_the_rest(void **state)
{
	struct entity *entity = make(0, 100, MS, 10 * MS);

	(void)state;
	run_queue_wake(&queue, entity, now);
	/* Alone, for as long as it likes, and nothing is owed. */
	assert_ptr_equal(run_queue_next(&queue, now), entity);
	assert_true(run_queue_turn_end(&queue, now) == TIME_NEVER);
	now += 5 * MS;
	start(1, 100);
	assert_true(run_queue_preempts(&queue, &entities[1], now));
	run_queue_end_turn(&queue, now, false);
	assert_int_equal(entity->class, ENTITY_EXHAUSTED);
	assert_int_equal(entity->left, 0);
	assert_ptr_equal(run_queue_next(&queue, now), &entities[1]);
	/* When the other sleeps it runs, until its period ends. */
	run_queue_end_turn(&queue, now, true);
	assert_ptr_equal(run_queue_next(&queue, now), entity);
	now += MS;
	run_queue_wake(&queue, &entities[1], now);
	assert_true(run_queue_preempts(&queue, &entities[1], now));
	run_queue_end_turn(&queue, now, false);
	assert_ptr_equal(run_queue_next(&queue, now), &entities[1]);
	assert_true(run_queue_turn_end(&queue, now) <= entity->period_end);
}

/*
 * Periodic ones, with all of the hart promised, beside those that always want it: each finishes
 * its work by the end of each period.
 */
static void test_earliest_deadline_first(void **state)
{
	static const struct {
		uint64_t work, period;
	} tasks[] = {{2 * MS, 10 * MS}, {1 * MS, 4 * MS}, {9 * MS, 36 * MS}, {3 * MS, 10 * MS}};
	uint64_t due[ARRAY_SIZE(tasks)], left[ARRAY_SIZE(tasks)] = {0};
	const uint64_t begin = now;

	(void)state;
	start(10, 10000);
	start(11, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(tasks); i++) {
		make(i, 100, tasks[i].work, tasks[i].period);
		due[i] = now + i * MS;
	}
	while (now < begin + 20000 * MS) {
		uint64_t next_due = TIME_NEVER;

		for (unsigned i = 0; i < ARRAY_SIZE(tasks); i++) {
			if (due[i] <= now) {
				assert_int_equal(left[i], 0);
				left[i] = tasks[i].work;
				due[i] += tasks[i].period;
				run_queue_wake(&queue, &entities[i], now);
			}
			next_due = min_u64(next_due, due[i]);
		}

		struct entity *entity = run_queue_next(&queue, now);
		unsigned i = (unsigned)(entity - entities);
		uint64_t end = min_u64(run_queue_turn_end(&queue, now), next_due);
		bool done = false;

		if (i < ARRAY_SIZE(tasks)) {
			end = min_u64(end, now + left[i]);
			left[i] -= end - now;
			done = left[i] == 0;
		}
		now = end;
		run_queue_end_turn(&queue, now, done);
	}
}

static void test_preemption(void **state)
{
	struct entity *early = make(0, 100, MS, 5 * MS), *late = make(1, 100, MS, 10 * MS);

	(void)state;
	start(2, 100);
	start(3, 10000);
	assert_non_null(run_queue_next(&queue, now));
	run_queue_wake(&queue, late, now);
	assert_true(run_queue_preempts(&queue, late, now));
	run_queue_end_turn(&queue, now, false);
	assert_ptr_equal(run_queue_next(&queue, now), late);
	run_queue_wake(&queue, early, now);
	assert_true(run_queue_preempts(&queue, early, now));
	start(4, 10000);
	assert_false(run_queue_preempts(&queue, &entities[4], now));
	run_queue_end_turn(&queue, now, false);
	assert_ptr_equal(run_queue_next(&queue, now), early);
	assert_false(run_queue_preempts(&queue, late, now));
}

static void test_movable(void **state)
{
	struct run_queue other;

	(void)state;
	run_queue_init(&other, FREQUENCY);
	other.virtual_time += 1000000000;
	start(0, 100);
	/* What is the only one on its hart is not moved, to where as much is done neither. */
	assert_null(run_queue_movable(&queue, 1, 0, NULL));
	start(1, 100);
	start(2, 100);
	entities[0].harts = BIT(0);
	entities[1].harts = BIT(0) | BIT(2);
	assert_ptr_equal(run_queue_movable(&queue, 1, 0, NULL), &entities[2]);
	assert_ptr_equal(run_queue_movable(&queue, 2, 0, NULL), &entities[1]);
	assert_ptr_equal(run_queue_movable(&queue, 2, 0, entities[1].vcpu), &entities[2]);
	assert_null(run_queue_movable(&queue, 1, 2, NULL));

	run_queue_leave(&queue, &entities[2]);
	run_queue_enter(&other, &entities[2], now);
	assert_int_equal(queue.load, 2);
	assert_int_equal(queue.count, 2);
	assert_int_equal(other.load, 1);
	assert_true(llabs((int64_t)(entities[2].virtual_time - other.virtual_time)) < 100 * MS);
	assert_ptr_equal(run_queue_next(&other, now), &entities[2]);
}

/* Virtual time is set back before it overflows. */
/* One that always lets the other pass has next to nothing, which is not for a third one to have. */
static void check_let_pass(uint64_t budget, double share)
{
	const uint64_t begin = now;

	for (unsigned i = 0; i < 3; i++) {
		make(i, 100, budget, budget ? 10 * MS : 0)->group = &groups[i / 2];
		run_queue_wake(&queue, &entities[i], now);
	}
	groups[1].weight = 100;
	while (now < begin + 5000 * MS) {
		struct entity *entity = run_queue_next(&queue, now);

		now += entity == &entities[0] ? MS / 100 : MS / 2;
		run_queue_end_turn(&queue, now, false);
		if (entity == &entities[0])
			run_queue_let_pass(&queue, entity, &entities[1], now);
	}
	assert_true(entities[0].run_ticks < (now - begin) / 40);
	assert_share(&entities[2], now - begin, share);
}

static void test_let_pass(void **state)
{
	(void)state;
	check_let_pass(0, 0.5);
}

/* Neither does the group take more than it has reserved, nor less. */
static void test_let_pass_reserved(void **state)
{
	(void)state;
	start(3, 100);
	check_let_pass(2 * MS, 0.2);
	assert_share(&entities[3], 5000 * MS, 0.4);
}

static void test_years(void **state)
{
	(void)state;
	queue.virtual_time = BIT(62) - MS;
	for (unsigned i = 0; i < 3; i++)
		start(i, 1);
	start(3, 10000);

	uint64_t begin = now;

	run_until(now + 3000000 * (uint64_t)MS);
	assert_true(queue.virtual_time < BIT(61));
	assert_share(&entities[3], now - begin, 10000 / 10003.0);
	assert_share(&entities[0], now - begin, 1 / 10003.0);
}

/* Whatever happens, what waits is what was put in, and each class in its order. */
static void test_random(void **state)
{
	bool asleep[ENTITIES];
	unsigned waiting = 0;

	(void)state;
	for (unsigned i = 0; i < ENTITIES; i++) {
		uint64_t period = (1 + fake_random_below(50)) * MS;

		make(i, 1 + fake_random_below(10000),
		     i % 3 ? 0 : 1 + fake_random_below((uint32_t)period), i % 3 ? 0 : period);
		asleep[i] = true;
	}
	for (unsigned step = 0; step < 200000; step++) {
		unsigned i = fake_random_below(ENTITIES);

		now += fake_random_below(MS);
		if (asleep[i]) {
			run_queue_wake(&queue, &entities[i], now);
			asleep[i] = false;
			waiting++;
		}
		if (fake_random_below(3))
			continue;

		struct entity *next = run_queue_next(&queue, now);

		assert_non_null(next);
		for (unsigned k = 0; k < ENTITIES; k++) {
			if (!entities[k].queued)
				continue;
			assert_true(next->class <= entities[k].class);
			if (next->class == entities[k].class)
				assert_true(next->node.key <= entities[k].node.key);
		}
		assert_int_equal(queue.count, --waiting);
		now += fake_random_below(5 * MS);
		asleep[next - entities] = fake_random_below(2);
		waiting += !asleep[next - entities];
		run_queue_end_turn(&queue, now, asleep[next - entities]);
		assert_int_equal(queue.load, waiting);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_empty, setup),
	    cmocka_unit_test_setup(test_alone, setup),
	    cmocka_unit_test_setup(test_weights, setup),
	    cmocka_unit_test_setup(test_groups, setup),
	    cmocka_unit_test_setup(test_sleeper, setup),
	    cmocka_unit_test_setup(test_turns_become_short, setup),
	    cmocka_unit_test_setup(test_budget, setup),
	    cmocka_unit_test_setup(test_exhausted_has_the_rest, setup),
	    cmocka_unit_test_setup(test_earliest_deadline_first, setup),
	    cmocka_unit_test_setup(test_preemption, setup),
	    cmocka_unit_test_setup(test_movable, setup),
	    cmocka_unit_test_setup(test_let_pass, setup),
	    cmocka_unit_test_setup(test_let_pass_reserved, setup),
	    cmocka_unit_test_setup(test_years, setup),
	    cmocka_unit_test_setup(test_random, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
