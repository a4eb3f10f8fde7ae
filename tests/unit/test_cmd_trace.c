/* SPDX-License-Identifier: MIT */
/* unit: shell/cmd_trace.c shell/trace_words.c kernel/trace_ring.c shell/command.c shell/print.c shell/completion.c */
#include "tests/unit/command_fixture.h"

#include "kernel/trace.h"
#include "vmm/vm.h"

#define SIZE 64 /* records of a ring */

static const struct command table[] = {
    {"trace", "tracing", trace_commands, 0, NULL},
    {NULL, NULL, NULL, 0, NULL},
};

static struct vm vms[2];

struct vm *vm_next(const struct vm *vm)
{
	return !vm ? &vms[0] : vm == &vms[0] ? &vms[1] : NULL;
}

struct vm *vm_by_number(unsigned number)
{
	return number == vms[0].number ? &vms[0] : number == vms[1].number ? &vms[1] : NULL;
}

uint64_t time_ticks_to_ns(uint64_t ticks)
{
	return ticks * 100;
}

/* Memory that can be promised, and pages that there are. */
static uint64_t committed, commit_most;
static unsigned order_most;

bool vm_commit_own(uint64_t bytes)
{
	if (bytes > commit_most)
		return false;
	committed += bytes;
	return true;
}

void vm_uncommit_own(uint64_t bytes)
{
	assert_true(bytes <= committed);
	committed -= bytes;
}

/* Tracing. */
static struct trace_record records[FAKE_HARTS][SIZE];
static struct trace_ring rings[FAKE_HARTS];
static unsigned order;
static bool allocated, recording;
static uint32_t kinds;

int trace_allocate(unsigned wanted)
{
	assert_false(allocated);
	if (wanted > order_most)
		return ERR_NOMEM;
	order = wanted;
	allocated = true;
	for (unsigned i = 0; i < FAKE_HARTS; i++)
		rings[i] = (struct trace_ring){.records = records[i], .size = SIZE};
	return 0;
}

void trace_free(void)
{
	assert_false(recording);
	allocated = false;
}

void trace_begin(uint32_t its_kinds)
{
	assert_true(allocated);
	kinds = its_kinds;
	recording = true;
	for (unsigned i = 0; i < FAKE_HARTS; i++)
		rings[i].written = 0;
}

void trace_stop(void)
{
	recording = false;
}

void trace_go_on(void)
{
	assert_false(recording);
	recording = true;
}

bool trace_is_recording(void)
{
	return recording;
}

const struct trace_ring *trace_rings(void)
{
	return rings;
}

uint64_t trace_ring_bytes(void)
{
	/* Nobody writes while they are read. */
	return allocated ? PAGE_SIZE << order : 0;
}

static void put(unsigned hart, uint64_t time, enum trace_kind kind, uint32_t who, uint64_t a)
{
	const struct trace_record record = {
	    .time = time, .kind = (uint8_t)kind, .who = who, .a = a};

	trace_ring_put(&rings[hart], &record);
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	typed_at = table;
	platform.timebase = 10000000;
	memset(vms, 0, sizeof(vms));
	snprintf(vms[0].config.name, sizeof(vms[0].config.name), "web");
	snprintf(vms[1].config.name, sizeof(vms[1].config.name), "db");
	vms[0].number = 1;
	vms[1].number = 4;
	vms[0].config.vcpus = 2;
	vms[1].config.vcpus = 1;
	for (unsigned i = 0; i < FAKE_HARTS; i++)
		harts[i].id = 10 + i;
	committed = 0;
	commit_most = UINT64_MAX;
	order_most = 20;
	allocated = recording = false;
	return 0;
}

static void test_documented(void **state)
{
	(void)state;
	check_documented(trace_commands, "trace ");
	assert_non_null(strstr(documentation(), "`exits`, `sbi`, `mmio`, `inject`, `schedule`, "
						"`ipi`, several with commas"));
}

static void test_on(void **state)
{
	static const struct {
		const char *line;
		uint32_t kinds;
	} cases[] = {
	    {"trace on", BIT(TRACE_KINDS) - 1},
	    {"trace on all", BIT(TRACE_KINDS) - 1},
	    {"trace on ipi", BIT(TRACE_IPI)},
	    {"trace on inject,ipi", BIT(TRACE_INJECT) | BIT(TRACE_IPI)},
	    {"trace on ipi,ipi,inject", BIT(TRACE_INJECT) | BIT(TRACE_IPI)},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		expect(cases[i].line, "the last 64 records of each hart are kept\n");
		assert_true(recording);
		assert_int_equal(kinds, cases[i].kinds);
	}
	/* Each kind of record is in one of the groups. */
	run("trace on exits,sbi,mmio,inject,schedule,ipi");
	assert_int_equal(kinds | BIT(TRACE_START), BIT(TRACE_KINDS) - 1);
}

static void test_wrong_words(void **state)
{
	static const char *const words[][2] = {
	    {"sb", "sb"},     {"SBI", "SBI"},       {",", ""},        {"sbi,", ""}, {",sbi", ""},
	    {"sbi,,ipi", ""}, {"sbi,mmi,x", "mmi"}, {"sbii", "sbii"}, {"%s", "%s"}};
	char line[64], text[128];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		snprintf(line, sizeof(line), "trace on %s", words[i][0]);
		snprintf(text, sizeof(text),
			 "%s: nothing that can be traced; have: "
			 "exits, sbi, mmio, inject, schedule, ipi, all\n",
			 words[i][1]);
		expect_refusal(line, text);
		assert_false(recording || allocated);
	}
	/* One that goes on keeps to what it was told. */
	run("trace on sbi");
	run("trace on mist");
	assert_true(recording);
	assert_int_equal(kinds, BIT(TRACE_ENTER) | BIT(TRACE_SBI));
}

/* Only memory that nobody is promised is taken, as much as is useful; and it comes back. */
static void test_memory(void **state)
{
	const uint64_t page = FAKE_HARTS * PAGE_SIZE;

	(void)state;
	run("trace on");
	assert_int_equal(order, 7);
	assert_int_equal(committed, page << 7);
	run("trace on sbi");
	assert_int_equal(committed, page << 7);
	expect("trace clear", "");
	assert_int_equal(committed, 0);
	assert_false(allocated);
	expect("trace clear", "");
	order_most = 3;
	run("trace on");
	assert_int_equal(committed, page << 3);
	run("trace clear");
	commit_most = (page << 2) - 1;
	run("trace on");
	assert_int_equal(committed, page << 1);
	run("trace clear");
	commit_most = page - 1;
	expect_refusal("trace on", "trace: no memory left that is not promised to VMs\n");
	commit_most = UINT64_MAX;
	trace_free();
	order_most = 0;
	run("trace on");
	assert_int_equal(committed, page);
}

static void test_nothing_recorded(void **state)
{
	static const char why[] = "nothing has been recorded; `trace on` begins to\n";

	(void)state;
	expect_refusal("trace show", why);
	expect_refusal("trace show 5", why);
	expect_refusal("trace dump", why);
	expect("trace off", "");
	expect("trace clear", "");
	run("trace on");
	expect("trace show", "");
	assert_true(recording);
}

static unsigned lines(void)
{
	unsigned count = 0;

	for (const char *c = printed; *c; c++)
		count += *c == '\n';
	return count;
}

static void test_show(void **state)
{
	(void)state;
	run("trace on");
	/* Of two harts, in the order of their times; one has more than it keeps. */
	for (unsigned i = 0; i < 100; i++)
		put(0, 1000 + 2 * i, TRACE_IDLE, 0, 0);
	for (unsigned i = 0; i < 10; i++)
		put(2, 1181 + 2 * i, TRACE_SBI, TRACE_WHO(4, 3), 0x10);
	run("trace show 3");
	assert_int_equal(lines(), 3);
	assert_true(strncmp(printed, "     0.000119700  hart 12  db/3 ", 31) == 0);
	expect_part("\n     0.000119800  hart 10  - ");
	expect_part("\n     0.000119900  hart 12  db/3 ");
	assert_true(recording);
	run("trace show");
	assert_int_equal(lines(), 40);
	run("trace show 0");
	assert_int_equal(lines(), 0);
	run("trace show 18446744073709551615");
	assert_int_equal(lines(), SIZE + 10);
	/* One that is stopped stays so. */
	run("trace off");
	assert_false(recording);
	run("trace show 1");
	assert_false(recording);
	/* A VM that is gone has no name. */
	put(2, 5000, TRACE_SBI, TRACE_WHO(65535, 65535), UINT64_MAX);
	run("trace show 1");
	expect_part(" ?/65535 ");
}

/* Whatever records hold, each line is whole. */
static void test_any_records(void **state)
{
	(void)state;
	memset(vms[0].config.name, 'n', VMCONFIG_NAME_MAX - 1);
	run("trace on");
	for (unsigned i = 0; i < SIZE; i++) {
		struct trace_record record = {
		    .time = i == SIZE - 1 ? UINT64_MAX : fake_random() >> fake_random_below(64),
		    .kind = (uint8_t)fake_random(),
		    .detail = (uint16_t)fake_random(),
		    .who = i % 2 ? TRACE_WHO(1, 65535) : (uint32_t)fake_random(),
		    .a = UINT64_MAX,
		    .b = UINT64_MAX - i};

		trace_ring_put(&rings[0], &record);
	}
	run("trace show 1000");
	assert_int_equal(lines(), SIZE);
	run("trace dump");
}

/* Reads a dump as tools/trace2json does. Returns how many records there are. */
static unsigned read_dump(void)
{
	unsigned count = 0, hart = 0, sum;
	int length;
	uint64_t time = 0;

	for (const char *line = printed; *line; line = strchr(line, '\n') + 1) {
		const char *end = strchr(line, '\n'), *at;
		uint8_t is = 0;

		assert_int_equal(sscanf(line, "pilae-trace %2x %n", &sum, &length), 1);
		for (at = line + length; at < end; at++)
			is = (uint8_t)(is + (uint8_t)*at);
		assert_int_equal(is, sum);
		at = line + length;
		if (strncmp(at, "hart ", 5) == 0)
			time = 0;
		if (sscanf(at, "r %u%n", &hart, &length) != 1)
			continue;
		for (at += length; *at == ' '; at += length) {
			unsigned long long fields[6] = {0};
			const struct trace_record *record;
			unsigned n = 0;

			do {
				assert_int_equal(
				    sscanf(at, n ? ",%llx%n" : " %llx%n", &fields[n], &length), 1);
				at += length;
			} while (++n < 6 && *at == ',');
			length = 0;
			time += fields[0];
			record = trace_ring_at(&rings[hart], count % SIZE);
			assert_int_equal(record->time, time);
			assert_int_equal(record->kind, fields[1]);
			assert_int_equal(record->detail, fields[2]);
			assert_int_equal(record->who, fields[3]);
			assert_int_equal(record->a, fields[4]);
			assert_int_equal(record->b, fields[5]);
			count++;
		}
	}
	return count;
}

static void test_dump(void **state)
{
	(void)state;
	run("trace on");
	for (unsigned hart = 0; hart < 2; hart++) {
		uint64_t time = 0;

		for (unsigned i = 0; i < SIZE + 5 * hart; i++) {
			struct trace_record record = {
			    .time = time += fake_random() >> (16 + fake_random_below(40)),
			    .kind = (uint8_t)fake_random_below(TRACE_KINDS),
			    .detail = fake_random_below(2) ? (uint16_t)fake_random() : 0,
			    .who = fake_random_below(2) ? (uint32_t)fake_random() : 0,
			    .a = fake_random_below(2) ? fake_random() : 0,
			    .b = fake_random_below(2) ? fake_random() : 0,
			};

			trace_ring_put(&rings[hart], &record);
		}
	}
	run("trace dump");
	assert_true(recording);
	expect_part(" begin version=1 timebase=10000000 harts=4 records=128\n");
	expect_part(" vm 1 vcpus=2 name=web\n");
	expect_part(" vm 4 vcpus=1 name=db\n");
	expect_part(" hart 0 id=10 records=64 lost=0\n");
	expect_part(" hart 1 id=11 records=64 lost=5\n");
	expect_part(" hart 3 id=13 records=0 lost=0\n");
	expect_part(" end records=128\n");
	assert_int_equal(read_dump(), 128);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_documented, setup),
	    cmocka_unit_test_setup(test_on, setup),
	    cmocka_unit_test_setup(test_wrong_words, setup),
	    cmocka_unit_test_setup(test_memory, setup),
	    cmocka_unit_test_setup(test_nothing_recorded, setup),
	    cmocka_unit_test_setup(test_show, setup),
	    cmocka_unit_test_setup(test_any_records, setup),
	    cmocka_unit_test_setup(test_dump, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
