/* SPDX-License-Identifier: MIT */
/* unit: device/plic.c */
#include "tests/unit/plic_fixture.h"

/* The reference: a plain array for everything, and everything worked out anew each time. */
static struct {
	unsigned harts;
	unsigned priority[96], threshold[2 * MACHINE_HARTS_MAX];
	bool level[96], pending[96], claimed[96], forwarded[96], enable[2 * MACHINE_HARTS_MAX][96];
} model;

static unsigned model_best(unsigned ctx)
{
	unsigned best = 0, highest = model.threshold[ctx];

	for (unsigned i = 1; i < 96; i++) {
		if (model.pending[i] && model.enable[ctx][i] && model.priority[i] > highest) {
			best = i;
			highest = model.priority[i];
		}
	}
	return best;
}

static void model_set(unsigned source, bool level)
{
	model.level[source] = level;
	if (level && !model.claimed[source])
		model.pending[source] = true;
}

static unsigned model_claim(unsigned ctx)
{
	unsigned source = model_best(ctx);

	model.pending[source] = false;
	model.claimed[source] = source != 0;
	return source;
}

static void model_complete(unsigned source)
{
	if (source >= 96 || !model.claimed[source])
		return;
	model.claimed[source] = false;
	if (model.forwarded[source])
		model.level[source] = false;
	model_set(source, model.level[source]);
}

static void model_enable(unsigned ctx, unsigned word, uint32_t bits)
{
	for (unsigned i = 0; i < 32; i++)
		model.enable[ctx][32 * word + i] = bits >> i & 1;
}

static void model_start(unsigned harts)
{
	memset(&model, 0, sizeof(model));
	model.harts = harts;
	for (unsigned i = 0; i < 2 * harts; i++)
		model.threshold[i] = 7;
}

static void model_check(void)
{
	for (unsigned hart = 0; hart < model.harts; hart++)
		assert_int_equal(notified[hart], model_best(S(hart)) != 0);
	for (unsigned word = 0; word < 3; word++) {
		uint32_t bits = 0;

		for (unsigned i = 0; i < 32; i++)
			bits |= (uint32_t)model.pending[32 * word + i] << i;
		assert_int_equal(rd(REG_PENDING(word)), bits);
	}
}

static uint64_t random_state;

static unsigned pick(unsigned below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(random_state >> 33) % below;
}

static void random_step(void)
{
	static unsigned claimed;
	unsigned ctx = pick(2 * model.harts), source = 1 + pick(95), word = pick(3);
	uint32_t value;

	switch (pick(8)) {
	case 0:
	case 1:
		value = pick(2);
		set(source, value);
		model_set(source, value);
		break;
	case 2:
		value = pick(10);
		wr(4 * source, value);
		model.priority[source] = value % 8;
		break;
	case 3:
		value = pick(4) ? pick(3) : pick(8);
		wr(REG_THRESHOLD(ctx), value);
		model.threshold[ctx] = value;
		break;
	case 4:
		value = pick(2) ? 0 : pick(0x10000) << 16 | pick(0x10000);
		wr(REG_ENABLE(ctx, word), value);
		model_enable(ctx, word, value);
		assert_int_equal(rd(REG_ENABLE(ctx, word)), value);
		break;
	case 5:
	case 6:
		value = model_claim(ctx);
		assert_int_equal(rd(REG_CLAIM(ctx)), value);
		claimed = value ? value : claimed;
		break;
	case 7:
		source = pick(4) ? claimed : source;
		wr(REG_CLAIM(ctx), source);
		model_complete(source);
		break;
	}
}

static void test_random(void **state)
{
	static const unsigned harts[] = {1, 2, 5, 64, 65, 150};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(harts); i++) {
		random_state = i;
		start(harts[i]);
		model_start(harts[i]);
		for (unsigned source = 60; source < 70; source++) {
			plic_forward(&plic, source, host_completed, NULL);
			model.forwarded[source] = true;
		}
		for (unsigned step = 0; step < 20000 / harts[i] + 10000; step++) {
			random_step();
			model_check();
		}
		assert_true(notifications > 200);
		teardown(NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(test_random, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
