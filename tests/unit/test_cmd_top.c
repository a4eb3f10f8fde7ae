/* SPDX-License-Identifier: MIT */
/* unit: shell/cmd_top.c shell/statistics.c engine/statistics.c shell/command.c shell/print.c shell/completion.c */
#include "tests/unit/command_fixture.h"

#include "tests/unit/fake_time.h"

#include "kernel/page.h"
#include "shell/shell.h"
#include "vmm/vm.h"

#define VMS    2
#define VCPUS  400 /* of one, at most */
#define SECOND 10000000ULL

static const struct command table[] = {
    {"top", "", NULL, COMMAND_JSON, cmd_top},
    {NULL, NULL, NULL, 0, NULL},
};

static struct vm vms[VMS];
static struct vcpu vcpus[VMS][VCPUS], *pointers[VMS][VCPUS];
static struct entity entities[VMS][VCPUS];
static unsigned vm_total;

struct vm *vm_next(const struct vm *vm)
{
	unsigned next = vm ? (unsigned)(vm - vms) + 1 : 0;

	return next < vm_total ? &vms[next] : NULL;
}

unsigned vm_count(void)
{
	return vm_total;
}

uint64_t time_ticks_to_ns(uint64_t ticks)
{
	return ticks * 100;
}

/* Pages. */
static bool has_memory;
static unsigned blocks;

void *page_alloc(unsigned order)
{
	if (!has_memory)
		return NULL;
	blocks++;
	return malloc(PAGE_SIZE << order);
}

void page_free(void *page, unsigned order)
{
	(void)order;
	blocks--;
	free(page);
}

/* The shell. */
static bool is_script;
static void (*live_show)(void), (*live_end)(void);

bool shell_is_script(void)
{
	return is_script;
}

void shell_begin_live(void (*show)(void), void (*end)(void))
{
	live_show = show;
	live_end = end;
}

static void begin(void)
{
	live_show = NULL;
	expect("top", "");
	assert_non_null(live_show);
}

/* What is shown then: rows, with what clears the rest of each left out. */
static const char *show(void)
{
	static char text[sizeof(printed)];
	size_t length = 0;

	printed_length = 0;
	live_show();
	assert_true(strncmp(printed, "\033[H", 3) == 0);
	assert_string_equal(printed + printed_length - 3, "\033[J");
	for (const char *c = printed + 3; *c; c++) {
		if (strncmp(c, "\033[K\n", 4) == 0 || strncmp(c, "\033[J", 3) == 0)
			c += 2;
		else
			text[length++] = *c;
	}
	text[length] = '\0';
	return text;
}

/* The numbers of a row. */
struct row {
	unsigned run, wait;
	unsigned long long all, exits[EXIT_CLASSES], millions;
};

static struct row row_of(const char *text, const char *name)
{
	struct row row = {0};
	char begin[32];
	const char *at;
	int length;

	snprintf(begin, sizeof(begin), "\n%-12.12s ", name);
	at = strstr(text, begin);
	if (!at)
		fail_msg("no row of %s in \"%s\"", name, text);
	at += strlen(begin);
	assert_int_equal(sscanf(at, "%u %u %llu%n", &row.run, &row.wait, &row.all, &length), 3);
	for (unsigned i = 0; i < EXIT_CLASSES; i++) {
		at += length;
		assert_int_equal(sscanf(at, "%llu%n", &row.exits[i], &length), 1);
	}
	assert_int_equal(sscanf(at + length, "%llu", &row.millions), 1);
	return row;
}

static void set_vm(unsigned n, const char *name, unsigned count)
{
	vms[n].number = n + 1;
	vms[n].state = VM_RUNNING;
	vms[n].vcpus = pointers[n];
	vms[n].guest.vcpu_count = vms[n].config.vcpus = count;
	snprintf(vms[n].config.name, sizeof(vms[n].config.name), "%s", name);
	for (unsigned i = 0; i < VCPUS; i++) {
		pointers[n][i] = &vcpus[n][i];
		vcpus[n][i].entity = &entities[n][i];
		vcpus[n][i].hart = &harts[i % 2];
	}
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	typed_at = table;
	memset(vms, 0, sizeof(vms));
	memset(vcpus, 0, sizeof(vcpus));
	memset(entities, 0, sizeof(entities));
	for (unsigned i = 0; i < FAKE_HARTS; i++)
		harts[i].id = 10 + i;
	set_vm(0, "web", 2);
	set_vm(1, "db", 1);
	vm_total = VMS;
	has_memory = true;
	is_script = false;
	now = 100 * SECOND;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	preempt_hook = NULL;
	if (blocks > 0)
		live_end();
	assert_int_equal(blocks, 0);
	return 0;
}

static void test_documented(void **state)
{
	(void)state;
	check_documented(table, "");
}

static void test_refusals(void **state)
{
	(void)state;
	is_script = true;
	expect_refusal("top", "top: it needs a terminal; expected: top --json\n");
	run_json("top --json");
	is_script = false;
	has_memory = false;
	expect_refusal("top", "top: no memory left\n");
	has_memory = true;
	begin();
	expect_refusal("top", "top: it is shown in another shell\n");
	live_end();
	begin();
}

/* What was before `top` does not count. */
static void test_shares(void **state)
{
	struct row row;
	const char *text;

	(void)state;
	entities[0][0].run_ticks = 5 * SECOND;
	vcpus[0][0].statistics.quick_sbi = 12345;
	harts[0].counts.idle_ticks = 7 * SECOND;
	begin();
	now += SECOND / 100;
	text = show();
	row = row_of(text, "web");
	assert_int_equal(row.run, 0);
	assert_int_equal(row.all, 0);
	row = row_of(text, "10");
	assert_int_equal(row.run, 100);
	assert_int_equal(row.all, 0);

	now += SECOND;
	entities[0][0].run_ticks += SECOND / 2;
	entities[0][1].run_ticks += SECOND;
	entities[0][1].wait_ticks += SECOND / 4;
	entities[1][0].wait_ticks += SECOND;
	vcpus[0][0].statistics.quick_sbi += 100;
	vcpus[0][1].statistics.exits[EXITS_WFI] = (struct exit_count){50, 3000000};
	harts[0].counts.idle_ticks += SECOND * 4 / 10;
	text = show();
	assert_true(strncmp(text, "up 101 s, 4 harts, 2 VMs; any key ends this\n", 44) == 0);
	/* Of the time of one hart: a VM of two vCPUs can have 200 of a hundred. */
	row = row_of(text, "web");
	assert_int_equal(row.run, 150);
	assert_int_equal(row.wait, 25);
	assert_int_equal(row.all, 150);
	assert_int_equal(row.exits[EXITS_SBI], 100);
	assert_int_equal(row.exits[EXITS_WFI], 50);
	assert_int_equal(row.millions, 3);
	assert_int_equal(row_of(text, "db").wait, 100);
	/* Harts by where the vCPUs are, but their time by when they are idle. */
	row = row_of(text, "10");
	assert_int_equal(row.run, 60);
	assert_int_equal(row.wait, 100);
	assert_int_equal(row.exits[EXITS_SBI], 100);
	row = row_of(text, "11");
	assert_int_equal(row.run, 100);
	assert_int_equal(row.wait, 25);
	assert_int_equal(row.exits[EXITS_WFI], 50);

	/* Nothing since. */
	now += SECOND;
	text = show();
	row = row_of(text, "web");
	assert_int_equal(row.run + row.wait + row.all, 0);
	row = row_of(text, "10");
	assert_int_equal(row.run, 100);
	assert_int_equal(row.wait + row.all, 0);
	/* No time has passed at all. */
	row = row_of(show(), "web");
	assert_int_equal(row.run + row.wait + row.all, 0);
}

/* A VM that ends has no row, and one that is started anew counts from 0. */
static void test_lives(void **state)
{
	const char *text;

	(void)state;
	vcpus[0][0].statistics.quick_sbi = 1000;
	begin();
	show();
	vms[0].state = VM_STOPPING;
	vms[0].vcpus = NULL;
	now += SECOND;
	text = show();
	assert_null(strstr(text, "\nweb "));
	assert_int_equal(row_of(text, "db").run, 0);
	set_vm(0, "web", 2);
	vcpus[0][0].statistics.quick_sbi = 30;
	now += SECOND;
	assert_int_equal(row_of(show(), "web").all, 30);
	vcpus[0][0].statistics.quick_sbi += 5;
	now += SECOND;
	assert_int_equal(row_of(show(), "web").all, 5);
	/* The list changes, too. */
	vm_total = 0;
	text = show();
	assert_non_null(strstr(text, "0 VMs"));
	row_of(text, "13");
}

/* It ends amid its row. */
static void end_vm(void)
{
	vms[0].state = VM_STOPPING;
	vms[0].vcpus = NULL;
	memset(pointers[0], 0, sizeof(pointers[0]));
}

static void test_vm_ends(void **state)
{
	(void)state;
	begin();
	show();
	printed_length = 0;
	/* Behind the first vCPU that is looked at; the header has been printed by then. */
	for (unsigned skip = 0; skip < 30; skip++) {
		set_vm(0, "web", 2);
		preempt_hook = end_vm;
		show();
	}
	preempt_hook = NULL;
}

/* VMs that are started meanwhile: as many of their vCPUs are looked at as there is room for. */
static void test_many_vcpus(void **state)
{
	(void)state;
	begin();
	show();
	set_vm(0, "web", VCPUS);
	set_vm(1, "db", VCPUS);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned n = 0; n < VMS; n++) {
			for (unsigned i = 0; i < VCPUS; i++)
				vcpus[n][i].statistics.quick_mmio++;
		}
		now += SECOND;
		assert_in_range(row_of(show(), "web").all, 0, VCPUS);
	}
	live_end();
	/* When it is begun anew there is for all. */
	begin();
	show();
	for (unsigned i = 0; i < VCPUS; i++)
		vcpus[1][i].statistics.quick_mmio++;
	now += SECOND;
	assert_int_equal(row_of(show(), "db").all, VCPUS);
}

/* Numbers as large as can be, a moment after the last: rows are whole. */
static void test_extremes(void **state)
{
	(void)state;
	memset(vms[0].config.name, 'n', VMCONFIG_NAME_MAX - 1);
	begin();
	show();
	for (unsigned n = 0; n < 200; n++) {
		uint64_t *words = (uint64_t *)&vcpus[0][0].statistics;

		for (unsigned i = 0; i < sizeof(vcpus[0][0].statistics) / 8; i++)
			words[i] = fake_random();
		entities[0][0].run_ticks = fake_random();
		entities[0][0].wait_ticks = fake_random();
		harts[0].counts.idle_ticks = fake_random();
		now += 10;
		row_of(show(), "nnnnnnnnnnnn");
	}
}

static void test_json(void **state)
{
	(void)state;
	entities[1][0].run_ticks = 2 * SECOND;
	vcpus[1][0].statistics.exits[EXITS_SBI] = (struct exit_count){4, 400};
	vcpus[1][0].statistics.quick_sbi = 3;
	harts[3].counts.idle_ticks = 3 * SECOND;
	run_json("top --json");
	expect_part("[{\"time_ns\": 100000000000},\n {\"vm\": \"web\", \"run_ns\": 0, ");
	expect_part("{\"vm\": \"db\", \"run_ns\": 2000000000, \"wait_ns\": 0, \"sbi_exits\": 7, ");
	expect_part("\"instructions\": 400},\n {\"hart\": 10, \"idle_ns\": 0}");
	expect_part("{\"hart\": 13, \"idle_ns\": 3000000000}]\n");
	assert_int_equal(blocks, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_documented, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_shares, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_lives, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_vm_ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_many_vcpus, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_extremes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_json, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
