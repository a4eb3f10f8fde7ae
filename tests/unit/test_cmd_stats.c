/* SPDX-License-Identifier: MIT */
/* unit: shell/cmd_stats.c shell/statistics.c engine/statistics.c shell/command.c shell/print.c shell/completion.c */
#include "tests/unit/command_vm_fixture.h"

#include "tests/unit/fake_time.h"

#include "driver/plic.h"
#include "kernel/platform.h"

#define VCPUS   2
#define SOURCES 97

static const struct command vm_group[] = {
    {"stats", "", NULL, COMMAND_NAME | COMMAND_JSON, cmd_vm_stats},
    {NULL, NULL, NULL, 0, NULL},
};

static const struct command table[] = {
    {"vm", "VMs", vm_group, 0, NULL},
    {"irq", "", NULL, COMMAND_JSON, cmd_irq},
    {NULL, NULL, NULL, 0, NULL},
};

static struct entity entities[VCPUS];
static uint64_t interrupts[SOURCES];

struct vm *vm_next(const struct vm *after)
{
	return after ? NULL : &vm;
}

uint64_t time_ticks_to_ns(uint64_t ticks)
{
	return ticks * 100;
}

uint32_t host_plic_source_count(void)
{
	return SOURCES;
}

uint64_t host_plic_interrupts(uint32_t source)
{
	assert_in_range(source, 1, SOURCES - 1);
	return interrupts[source];
}

static int setup(void **state)
{
	(void)state;
	begin(table, VCPUS);
	memset(entities, 0, sizeof(entities));
	memset(interrupts, 0, sizeof(interrupts));
	for (unsigned i = 0; i < FAKE_HARTS; i++)
		harts[i].id = 10 + i;
	for (unsigned i = 0; i < VCPUS; i++) {
		vcpus[i].hart = &harts[i + 1];
		vcpus[i].entity = &entities[i];
	}
	platform.uart.interrupt = 10;
	return 0;
}

static void test_documented(void **state)
{
	(void)state;
	check_documented(vm_group, "vm ");
	check_documented(table, "");
}

static void test_vm_stats(void **state)
{
	struct vcpu_statistics *counts = &vcpus[1].statistics;

	(void)state;
	entities[1].run_ticks = 12345678;
	entities[1].wait_ticks = 10004;
	counts->exits[EXITS_MMIO] = (struct exit_count){4, 1000};
	counts->quick_sbi = 7;
	counts->injected[INJECTED_TIMER] = 3;
	expect("vm stats web",
	       "vCPU 0 on hart 11:  ran 0.000 s  waited 0.000 s\n"
	       "  interrupts injected: 0 software, 0 timer, 0 external\n"
	       "  exits               count        quick     instructions       each\n"
	       "vCPU 1 on hart 12:  ran 1.234 s  waited 0.001 s\n"
	       "  interrupts injected: 0 software, 3 timer, 0 external\n"
	       "  exits               count        quick     instructions       each\n"
	       "  sbi                     7            7\n"
	       "  mmio                    4            0             1000        250\n");
	run_json("vm stats web --json");
	expect_part("\"vcpu\": 1, \"hart\": 12, \"run_ns\": 1234567800, \"wait_ns\": 1000400, "
		    "\"injected_software\": 0, \"injected_timer\": 3, \"injected_external\": 0, "
		    "\"sbi_exits\": 7, \"sbi_quick\": 7, \"sbi_instructions\": 0, "
		    "\"mmio_exits\": 4, \"mmio_quick\": 0, \"mmio_instructions\": 1000, ");
}

static void test_states(void **state)
{
	(void)state;
	vm.state = VM_OFF;
	vm.vcpus = NULL;
	expect_refusal("vm stats web", "web: it does not run\n");
	run_json("vm stats web --json");
	assert_string_equal(printed, "[]\n");
	run("irq");
	expect_part("  web                         0                         0            0\n");
}

/* It ends while it is shown. */
static void end_vm(void)
{
	vm.state = VM_STOPPING;
	vm.vcpus = NULL;
	memset(pointers, 0, sizeof(pointers));
}

static void test_vm_ends(void **state)
{
	static const char *const lines[] = {"vm stats web", "irq"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		setup(NULL);
		preempt_hook = end_vm;
		run(lines[i]);
		setup(NULL);
		preempt_hook = end_vm;
		run(i ? "irq --json" : "vm stats web --json");
		assert_non_null(skip_json(printed));
	}
}

static void test_irq(void **state)
{
	(void)state;
	harts[2].counts = (struct hart_counts){1, 2, 3, 4, 5};
	interrupts[10] = 77;
	interrupts[SOURCES - 1] = 5;
	vcpus[0].statistics.injected[INJECTED_SOFT] = 1;
	vcpus[1].statistics.injected[INJECTED_SOFT] = 2;
	vcpus[1].statistics.injected[INJECTED_EXTERNAL] = 9;
	run("irq");
	expect_part("\n  12                          1            4            2            3\n");
	expect_part(" 77  UART\n");
	assert_null(strstr(printed, "source 1 "));
	expect_part("  source 96 ");
	expect_part("  web                         3                         0            9\n");
	run_json("irq --json");
	expect_part(
	    "{\"hart\": 12, \"ipis\": 1, \"ipis_sent\": 4, \"timers\": 2, \"externals\": 3}");
	expect_part("{\"source\": 10, \"interrupts\": 77}");
	assert_null(strstr(printed, "\"source\": 11"));
	expect_part("{\"vm\": \"web\", \"injected_software\": 3, \"injected_timer\": 0, "
		    "\"injected_external\": 9}");
}

/* Numbers as large as can be: rows are whole. */
static void test_extremes(void **state)
{
	(void)state;
	memset(&vcpus[0].statistics, 0xff, sizeof(vcpus[0].statistics));
	for (unsigned i = 0; i < EXIT_CLASSES; i++)
		vcpus[0].statistics.exits[i].count = UINT64_MAX - 1;
	memset(&harts[1].counts, 0xff, sizeof(harts[1].counts));
	memset(interrupts, 0xff, sizeof(interrupts));
	memset(vm.config.name, 'n', VMCONFIG_NAME_MAX - 1);
	entities[0].run_ticks = UINT64_MAX;
	run("irq");
	run_json("irq --json");
	memset(vm.config.name, 0, sizeof(vm.config.name));
	strcpy(vm.config.name, "web");
	run("vm stats web");
	run_json("vm stats web --json");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_documented, setup),
	    cmocka_unit_test_setup(test_vm_stats, setup),
	    cmocka_unit_test_setup(test_states, setup),
	    cmocka_unit_test_setup(test_vm_ends, setup),
	    cmocka_unit_test_setup(test_irq, setup),
	    cmocka_unit_test_setup(test_extremes, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
