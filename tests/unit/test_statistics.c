/* SPDX-License-Identifier: MIT */
/* unit: shell/statistics.c engine/statistics.c */
#include "tests/unit/fake_kernel.h"

#include "tests/unit/fake_time.h"

#include "shell/statistics.h"

#define VCPUS 3
#define WORDS (sizeof(struct usage) / sizeof(uint64_t))

/* All of a usage are numbers that are added up, none of which may be forgotten. */
union words {
	struct usage usage;
	uint64_t words[WORDS];
};

static struct vm vm;
static struct vcpu vcpus[VCPUS], *pointers[VCPUS];
static struct entity entities[VCPUS];

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memset(&vm, 0, sizeof(vm));
	memset(vcpus, 0, sizeof(vcpus));
	memset(entities, 0, sizeof(entities));
	for (unsigned i = 0; i < VCPUS; i++) {
		pointers[i] = &vcpus[i];
		vcpus[i].entity = &entities[i];
	}
	vm.vcpus = pointers;
	vm.guest.vcpu_count = VCPUS;
	vm.state = VM_RUNNING;
	now = 1000;
	return 0;
}

static void test_states(void **state)
{
	static const struct {
		enum vm_state state;
		bool has;
	} cases[] = {
	    {VM_OFF, false},    {VM_CRASHED, false}, {VM_REFUSED, false}, {VM_LOADING, true},
	    {VM_RUNNING, true}, {VM_PAUSING, true},  {VM_PAUSED, true},   {VM_STOPPING, false},
	};
	struct usage usage;

	(void)state;
	vcpus[0].statistics.quick_sbi = 5;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		vm.state = cases[i].state;
		vm.vcpus = cases[i].has ? pointers : NULL;
		assert_int_equal(usage_has_vcpus(&vm), cases[i].has);
		memset(&usage, 0xff, sizeof(usage));
		usage_of_vm(&usage, &vm);
		assert_int_equal(usage_all_exits(&usage), cases[i].has ? 5 : 0);
		assert_int_equal(usage.run, 0);
	}
}

static void test_times(void **state)
{
	static const struct {
		bool active, queued;
		uint64_t since, run, wait;
	} cases[] = {
	    /* Asleep; it has its turn; it waits. */
	    {false, false, 400, 100, 20},
	    {true, false, 400, 700, 20},
	    {true, true, 400, 100, 620},
	    /* Its hart's clock is a little ahead, or its turn begins just now. */
	    {true, false, 1001, 100, 20},
	    {true, true, UINT64_MAX, 100, 20},
	    {true, false, 1000, 100, 20},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct usage usage = {.run = 1, .wait = 2};

		entities[0] = (struct entity){
		    .active = cases[i].active,
		    .queued = cases[i].queued,
		    .since = cases[i].since,
		    .run_ticks = 100,
		    .wait_ticks = 20,
		};
		usage_add_vcpu(&usage, &vcpus[0]);
		assert_int_equal(usage.run, 1 + cases[i].run);
		assert_int_equal(usage.wait, 2 + cases[i].wait);
	}
}

static void fill(struct vcpu *vcpu, struct entity *entity, union words *words)
{
	for (unsigned i = 0; i < WORDS; i++)
		words->words[i] = fake_random() >> 8;
	vcpu->statistics = words->usage.counts;
	entity->run_ticks = words->usage.run;
	entity->wait_ticks = words->usage.wait;
}

static void test_sums(void **state)
{
	union words sum, each, expected = {0};

	(void)state;
	for (unsigned i = 0; i < VCPUS; i++) {
		fill(&vcpus[i], &entities[i], &each);
		for (unsigned n = 0; n < WORDS; n++)
			expected.words[n] += each.words[n];
	}
	memset(&sum, 0xff, sizeof(sum));
	usage_of_vm(&sum.usage, &vm);
	assert_memory_equal(&sum, &expected, sizeof(sum));
	assert_int_equal(preemptions, VCPUS);
}

/* The VM ends while it is looked at: its vCPUs are not touched any more. */
static void end_vm(void)
{
	vm.state = VM_STOPPING;
	vm.vcpus = NULL;
	memset(pointers, 0, sizeof(pointers));
}

static void test_vm_ends(void **state)
{
	struct usage usage;

	(void)state;
	for (unsigned i = 0; i < VCPUS; i++)
		vcpus[i].statistics.quick_mmio = 7;
	preempt_hook = end_vm;
	usage_of_vm(&usage, &vm);
	assert_int_equal(usage_all_exits(&usage), 7);
}

static void test_differences(void **state)
{
	union words sum = {0}, now_words, before, expected = {0};

	(void)state;
	for (unsigned round = 0; round < 1000; round++) {
		for (unsigned n = 0; n < WORDS; n++) {
			before.words[n] = fake_random_below(1000);
			now_words.words[n] = fake_random_below(1000);
			/* A VM that was started anew has counted from 0 since. */
			expected.words[n] += now_words.words[n] < before.words[n]
						 ? now_words.words[n]
						 : now_words.words[n] - before.words[n];
		}
		usage_add_difference(&sum.usage, &now_words.usage, &before.usage);
		assert_memory_equal(&sum, &expected, sizeof(sum));
	}
}

static void test_exits(void **state)
{
	static const enum exit_class quick[] = {EXITS_SBI, EXITS_MMIO, EXITS_PRIVILEGED,
						EXITS_SHADOW};
	struct usage usage = {0};
	uint64_t sum = 0, instructions = 0;

	(void)state;
	for (unsigned i = 0; i < EXIT_CLASSES; i++) {
		usage.counts.exits[i] = (struct exit_count){1U << i, 3U << (2 * i)};
		sum += 1U << i;
		instructions += 3U << (2 * i);
		assert_non_null(exit_class_names[i]);
	}
	usage.counts.quick_sbi = 1000;
	usage.counts.quick_mmio = 2000;
	usage.counts.quick_privileged = 3000;
	usage.counts.quick_shadow = 4000;
	for (unsigned i = 0; i < EXIT_CLASSES; i++) {
		uint64_t expected = 1U << i;

		for (unsigned n = 0; n < ARRAY_SIZE(quick); n++)
			expected += quick[n] == i ? 1000 * (n + 1) : 0;
		assert_int_equal(usage_exits(&usage, i), expected);
	}
	assert_int_equal(usage_all_exits(&usage), sum + 10000);
	assert_int_equal(usage_all_instructions(&usage), instructions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_states, setup),
	    cmocka_unit_test_setup(test_times, setup),
	    cmocka_unit_test_setup(test_sums, setup),
	    cmocka_unit_test_setup(test_vm_ends, setup),
	    cmocka_unit_test_setup(test_differences, setup),
	    cmocka_unit_test_setup(test_exits, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
