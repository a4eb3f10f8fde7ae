/* SPDX-License-Identifier: MIT */
/* unit: engine/soft/fast.c engine/soft/uop.c kernel/arena.c kernel/page.c */
#include "tests/unit/fake_kernel.h"

#include <stdlib.h>

#include "engine/guest.h"
#include "engine/soft/fast.h"
#include "engine/soft/soft.h"
#include "riscv/csr.h"

/* The handlers, which are told from one another by their addresses here. */
#define HANDLER(name)         \
	extern char name[16]; \
	char name[16]
/* One for each register, and once more those that end. */
#define HANDLERS(name, stride, last)            \
	extern char name[32 * (stride + last)]; \
	char name[32 * (stride + last)]

HANDLER(soft_fast_end);
HANDLER(soft_fast_immediate);
HANDLER(soft_fast_exchange);
HANDLER(soft_fast_even);
HANDLER(soft_fast_get_value);
HANDLER(soft_fast_sie_set);
HANDLER(soft_fast_sie_clear);
HANDLER(soft_fast_sie_set_last);
HANDLER(soft_fast_sie_clear_last);
HANDLER(soft_fast_status_keep);
HANDLER(soft_fast_status_kept);
HANDLER(soft_fast_status_set);
HANDLER(soft_fast_status_set_last);
HANDLER(soft_fast_status_clear);
HANDLER(soft_fast_status_clear_last);
HANDLER(soft_fast_status_clear_read);
HANDLER(soft_fast_status_write);
HANDLER(soft_fast_sret);
HANDLER(soft_fast_fence);
HANDLERS(soft_fast_read, 16, 16);
HANDLERS(soft_fast_write, 16, 16);
HANDLERS(soft_fast_get_status, 32, 64);
HANDLERS(soft_fast_save_sie, 40, 72);
HANDLERS(soft_fast_restore_sie, 56, 88);
HANDLERS(soft_fast_clear_bits, 8, 8);
HANDLERS(soft_fast_swap_sscratch, 24, 56);
HANDLERS(soft_fast_get_sscratch, 16, 48);
HANDLERS(soft_fast_get_sepc, 16, 16);
HANDLERS(soft_fast_get_scause, 16, 16);
HANDLERS(soft_fast_get_stval, 16, 16);
HANDLERS(soft_fast_put_sscratch, 16, 48);
HANDLERS(soft_fast_put_sepc, 24, 56);
HANDLERS(soft_fast_put_scause, 16, 16);
HANDLERS(soft_fast_put_stval, 16, 16);

/* Of switch.S and fast_ops.h. */
#define TABLE ((uint64_t)SOFT_FAST_SITES * sizeof(struct soft_fast_site))

static struct soft_vcpu soft;
static struct guest guest;
static struct vcpu vcpu = {.soft = &soft, .guest = &guest};

static int setup(void **state)
{
	(void)state;
	memset(&soft, 0, sizeof(soft));
	soft.sites = aligned_alloc(TABLE, TABLE);
	assert_non_null(soft.sites);
	soft.shadow.code_generation = 7;
	guest.fast_csr = false;
	fast_clear(&vcpu);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(soft.sites);
	return 0;
}

/* As the assembly finds a site: find_site. */
static const struct soft_fast_site *find(uint64_t pc)
{
	uint64_t at = (pc << 53 >> 47) ^ soft.site_places;

	if (((struct soft_fast_site *)at)->pc == pc)
		return (struct soft_fast_site *)at;
	at ^= sizeof(struct soft_fast_site);
	return ((struct soft_fast_site *)at)->pc == pc ? (struct soft_fast_site *)at : NULL;
}

/* And how it lets go of them: follow_code. */
static void follow(void)
{
	struct soft_fast_site *pair;

	if (soft.site_generation == soft.shadow.code_generation)
		return;
	soft.site_generation = soft.shadow.code_generation;
	soft.site_places += 2 * sizeof(*pair);
	if (soft.site_places % TABLE == 0)
		soft.site_places -= TABLE;
	pair = (struct soft_fast_site *)soft.site_places;
	pair[0].pc = pair[1].pc = SOFT_SITE_NONE;
}

static void build_all(uint64_t pc, const uint32_t *insns, unsigned count)
{
	assert_true(fast_is_wanted(&vcpu, pc));
	fast_build(&vcpu, pc, (const uint8_t *)insns, 4 * count);
	assert_false(fast_is_wanted(&vcpu, pc));
}

static void build(uint64_t pc, uint32_t insn)
{
	build_all(pc, &insn, 1);
}

static void expect_op(const struct soft_fast_op *op, const char *handler, unsigned offset)
{
	assert_int_equal(op->handler, (int32_t)(uintptr_t)handler);
	assert_int_equal(op->offset, offset);
}

static void expect_end(const struct soft_fast_op *op, uint64_t pc)
{
	uint64_t next;

	assert_int_equal(op->handler, (int32_t)(uintptr_t)soft_fast_end);
	memcpy(&next, op + 1, sizeof(next));
	assert_int_equal(next, pc);
}

/* What stands alone is one op, which ends by itself. */
static void test_alone(void **state)
{
	const struct {
		uint32_t insn;
		const char *handler;
	} alone[] = {
	    {0x100175f3, soft_fast_save_sie + 32 * 40 + 11 * 72},     /* csrrci a1, sstatus, 2 */
	    {0x1005a073, soft_fast_restore_sie + 32 * 56 + 11 * 88},  /* csrs sstatus, a1 */
	    {0x100fb073, soft_fast_clear_bits + 32 * 8 + 31 * 8},     /* csrc sstatus, t6 */
	    {0x100025f3, soft_fast_get_status + 32 * 32 + 11 * 64},   /* csrr a1, sstatus */
	    {0x10017073, soft_fast_sie_clear_last},                   /* csrci sstatus, 2 */
	    {0x10016073, soft_fast_sie_set_last},                     /* csrsi sstatus, 2 */
	    {0x14021273, soft_fast_swap_sscratch + 32 * 24 + 4 * 56}, /* csrrw tp, sscratch, tp */
	    {0x14061073, soft_fast_put_sscratch + 32 * 16 + 12 * 48}, /* csrw sscratch, a2 */
	    {0x142024f3, soft_fast_get_scause + 32 * 16 + 9 * 16},    /* csrr s1, scause */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++) {
		uint64_t pc = 0x80001000 + 4 * i;
		const struct soft_fast_site *site;

		build(pc, alone[i].insn);
		site = find(pc);
		assert_non_null(site);
		expect_op(&site->ops[0], alone[i].handler, 0);
		expect_end(&site->ops[1], pc + 4);
	}
}

/* A run: only its last one ends; it stops before what there are no ops for. */
static void test_run(void **state)
{
	const uint32_t insns[] = {
	    0x1002b4f3, /* csrrc s1, sstatus, t0 */
	    0x14102973, /* csrr s2, sepc */
	    0x143029f3, /* csrr s3, stval */
	    0x00000013, /* nop */
	    0x14202a73, /* csrr s4, scause */
	};
	const struct soft_fast_site *site;

	(void)state;
	build_all(0xffffffff80001002, insns, 5);
	site = find(0xffffffff80001002);
	assert_non_null(site);
	expect_op(&site->ops[0], soft_fast_read + 5 * 16, 0);
	expect_op(&site->ops[1], soft_fast_status_clear_read, 0);
	expect_op(&site->ops[2], soft_fast_write + 9 * 16, 0);
	expect_op(&site->ops[3], soft_fast_get_sepc + 18 * 16, 4);
	expect_op(&site->ops[4], soft_fast_get_stval + 32 * 16 + 19 * 16, 8);
	expect_end(&site->ops[5], 0xffffffff8000100e);
}

/* What was there, where it is asked for, is kept while it is changed. */
static void test_kept(void **state)
{
	const uint32_t insns[] = {
	    0x1005a573, /* csrrs a0, sstatus, a1 */
	    0x1000d073, /* csrwi sstatus, 1 */
	};
	const struct soft_fast_site *site;

	(void)state;
	build_all(0x1000, insns, 2);
	site = find(0x1000);
	assert_non_null(site);
	expect_op(&site->ops[0], soft_fast_status_keep, 0);
	expect_op(&site->ops[1], soft_fast_read + 11 * 16, 0);
	expect_op(&site->ops[2], soft_fast_status_set, 0);
	expect_op(&site->ops[3], soft_fast_status_kept, 0);
	expect_op(&site->ops[4], soft_fast_write + 10 * 16, 0);
	expect_op(&site->ops[5], soft_fast_immediate, 4);
	assert_int_equal(site->ops[5].csr, 1);
	expect_op(&site->ops[6], soft_fast_status_write, 4);
	expect_end(&site->ops[7], 0x1008);
}

/* However long a run is, its site's end has room. */
static void test_long(void **state)
{
	uint32_t insns[40];
	const struct soft_fast_site *site;
	unsigned count = 0;

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		insns[i] =
		    i % 3 ? 0x14102973 : 0x1005a573; /* csrr s2, sepc; csrrs a0, sstatus, a1 */
	for (unsigned most = 1; most <= 40; most++) {
		uint64_t pc = 0x2000 + 0x100 * most;

		build_all(pc, insns, most);
		site = find(pc);
		assert_non_null(site);
		for (count = 0; site->ops[count].handler != (int32_t)(uintptr_t)soft_fast_end;
		     count++)
			assert_true(count < SOFT_FAST_OPS - 2);
		expect_end(&site->ops[count], pc + site->ops[count].offset);
		assert_true(site->ops[count].offset <= 4 * most);
	}
	assert_true(count > SOFT_FAST_OPS - 2 - 5);
}

/* That nothing can be done at an address is known as well, and it is no site. */
static void test_nothing(void **state)
{
	(void)state;
	build(0x3000, 0x00000013);
	assert_null(find(0x3000));
	build(0, 0x14102973);
	assert_non_null(find(0));
	/* pilae,fast-csr: it is the guest's. */
	guest.fast_csr = true;
	build(0x3004, 0x14102973);
	assert_null(find(0x3004));
}

/* Of those with the same index two have room; no address is taken for another. */
static void test_alike(void **state)
{
	uint64_t pc[6];

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		/* Also such as no guest can be at. */
		pc[i] = 0x104 + (i < 3 ? UINT64_C(0x800) << (13 * i) : ~UINT64_C(0x7ff) << (8 * i));
		build(pc[i], 0x14102973);
		for (unsigned j = 0; j <= i; j++)
			assert_true(!find(pc[j]) || find(pc[j])->pc == pc[j]);
		assert_non_null(find(pc[i]));
		if (i == 1)
			assert_non_null(find(pc[0]));
	}
	assert_null(find(0x104));
	assert_true(fast_is_wanted(&vcpu, 0x104));
}

/* What was found in one generation is not found in any other, however many there are. */
static void test_generations(void **state)
{
	enum { PCS = 3000 };
	static uint64_t made[PCS], pcs[PCS]; /* in which generation last */

	(void)state;
	for (unsigned i = 0; i < PCS; i++)
		pcs[i] = UINT64_C(0xffffffff80000000) + 4 * PCS * fake_random_below(100) + 2 * i;
	for (unsigned round = 0; round < 4000; round++) {
		unsigned count = fake_random_below(20) == 0 ? 200 : fake_random_below(4);

		for (unsigned n = 0; n < count; n++) {
			unsigned i = fake_random_below(PCS);

			assert_true(!find(pcs[i]) || !fast_is_wanted(&vcpu, pcs[i]));
			if (fast_is_wanted(&vcpu, pcs[i]))
				build(pcs[i], 0x14102973);
			made[i] = soft.shadow.code_generation;
			assert_non_null(find(pcs[i]));
		}
		for (unsigned i = 0; i < PCS; i++)
			assert_true(!find(pcs[i]) || made[i] == soft.shadow.code_generation);
		soft.shadow.code_generation += 1 + fake_random_below(3);
		/* Nothing is to be made until the trap has ended. */
		assert_false(fast_is_wanted(&vcpu, pcs[0]));
		follow();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_alone, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_run, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_long, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_alike, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_generations, setup, teardown),
	};

	return cmocka_run_group_tests_name("soft_fast", tests, NULL, NULL);
}
