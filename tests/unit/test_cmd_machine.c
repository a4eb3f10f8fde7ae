/* SPDX-License-Identifier: MIT */
/* unit: shell/cmd_machine.c shell/command.c shell/print.c shell/completion.c kernel/isa.c kernel/fdt.c */
/* libs: -lfdt */
#include "tests/unit/command_fixture.h"

#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/pool.h"
#include "riscv/sbi.h"
#include "vmm/vm.h"

/* The commands of other files. */

const struct command vm_commands[] = {
    {"list", "all VMs", NULL, COMMAND_JSON, inspect_log},
    {NULL, NULL, NULL, 0, NULL},
};
const struct command trace_commands[] = {{NULL, NULL, NULL, 0, NULL}};
const struct command disk_commands[] = {{NULL, NULL, NULL, 0, NULL}};
const struct command net_commands[] = {{NULL, NULL, NULL, 0, NULL}};

static const char *ran;

void inspect_log(const struct command_call *call)
{
	(void)call;
	ran = "log";
}

void inspect_tree(const struct command_call *call)
{
	ran = call->word ? call->word : "dt";
}

void cmd_irq(const struct command_call *call)
{
	(void)call;
	ran = "irq";
}

void cmd_top(const struct command_call *call)
{
	ran = call->json ? "top --json" : "top";
}

/* The machine. */
static struct sbi_ret answers[8];
static uint64_t total, available, committed, reserved;
static bool crashed, can_reboot;
static jmp_buf ended;

struct sbi_ret sbi_call(uint64_t extension, uint64_t function, uint64_t a0, uint64_t a1,
			uint64_t a2, uint64_t a3, uint64_t a4)
{
	(void)a0, (void)a1, (void)a2, (void)a3, (void)a4;
	assert_int_equal(extension, SBI_EXT_BASE);
	assert_in_range(function, 0, 7);
	return answers[function];
}

static bool has_h(const struct hart *hart)
{
	return hart->has_h;
}

static bool any(const struct hart *hart)
{
	(void)hart;
	return true;
}

const struct engine hext_engine = {.name = "hext", .can_use = has_h};
const struct engine soft_engine = {.name = "soft", .can_use = any};

uint64_t page_total_bytes(void)
{
	return total;
}

uint64_t pool_free_bytes(void)
{
	return available;
}

uint64_t vm_committed_bytes(void)
{
	return committed;
}

uint64_t identity_total_bytes(void)
{
	return reserved;
}

bool vm_any_crashed(void)
{
	return crashed;
}

void machine_end(bool failure)
{
	longjmp(ended, failure ? 2 : 1);
}

void machine_reboot(void)
{
	if (can_reboot)
		longjmp(ended, 3);
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	typed_at = shell_commands;
	ran = NULL;
	for (unsigned i = 0; i < FAKE_HARTS; i++)
		harts[i].id = 10 * i;
	return 0;
}

static void test_documented(void **state)
{
	static const char *const groups[] = {"vm", "trace", "disk", "net", "hart"};
	unsigned commands = 0;

	(void)state;
	check_documented(shell_commands, "");
	for (const struct command *command = shell_commands; command->name; command++) {
		commands++;
		if (strcmp(command->name, "hart") == 0)
			check_documented(command->group, "hart ");
	}
	/* And the other way round. */
	for (const char *at = documentation(); (at = strstr(at, "\n| `")) != NULL; at++) {
		char word[32] = {0};
		bool known = false;

		snprintf(word, sizeof(word), "%.*s", (int)strcspn(at + 4, " `"), at + 4);
		for (unsigned i = 0; i < ARRAY_SIZE(groups); i++)
			known |= strcmp(word, groups[i]) == 0;
		for (const struct command *c = shell_commands; c->name; c++)
			known |= strcmp(word, c->name) == 0;
		/* The table of commands ends where that of states begins. */
		if (!known && strcmp(word, "not") == 0)
			break;
		if (!known)
			fail_msg("docs/shell.md has %s, and the shell has not", word);
	}
	assert_int_equal(commands, 14);
}

static void test_dispatch(void **state)
{
	static const char *const lines[][2] = {
	    {"top", "top"}, {"top --json", "top --json"}, {"irq", "irq"},  {"log", "log"},
	    {"dt", "dt"},   {"dt /soc", "/soc"},          {"vm l", "log"}, {"lo --json", "log"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		expect(lines[i][0], "");
		assert_string_equal(ran, lines[i][1]);
	}
	run("help");
	for (const struct command *command = shell_commands; command->name; command++) {
		if (!command->group)
			expect_part(command->help);
	}
	expect_part("vm list [--json]");
}

/* How a line ends the machine: as machine_end() and machine_reboot() say; 0: it does not. */
static int end_of(const char *line)
{
	int how = setjmp(ended);

	if (how == 0)
		run(line);
	return how;
}

static void test_end(void **state)
{
	static const char *const wrong[] = {"poweroff now", "poweroff --json", "reboot 1",
					    "poweroffs",    "re boot",         "power off"};

	(void)state;
	can_reboot = true;
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(end_of(wrong[i]), 0);
		assert_int_equal(refused, 1);
	}
	crashed = false;
	assert_int_equal(end_of("poweroff"), 1);
	assert_string_equal(messages, "the machine is powered off by the shell\n");
	crashed = true;
	assert_int_equal(end_of("poweroff"), 2);
	assert_int_equal(end_of("reboot"), 3);
	/* A firmware that cannot: who asked is told. */
	can_reboot = false;
	expect_refusal("reboot", "reboot: the firmware cannot do that\n");
}

static void test_version(void **state)
{
	(void)state;
	answers[SBI_BASE_GET_SPEC_VERSION].value = 2 << 24;
	answers[SBI_BASE_GET_IMPL_ID].value = 1;
	answers[SBI_BASE_GET_IMPL_VERSION].value = 0x10004;
	expect("version", "Pilae, on firmware with SBI 2.0: OpenSBI, 1, version 0x10004\n");
	/* Bit 31 is reserved. */
	answers[SBI_BASE_GET_SPEC_VERSION].value = 0xff000003;
	answers[SBI_BASE_GET_IMPL_ID].value = UINT64_MAX;
	expect("version", "Pilae, on firmware with SBI 127.3: implementation "
			  "18446744073709551615, version 0x10004\n");
}

static void test_mem(void **state)
{
	(void)state;
	total = 3ULL << 30;
	available = (5ULL << 20) + 4096;
	committed = 100ULL << 20;
	reserved = 1ULL << 30;
	expect("mem", "4096 MiB in all, 5 MiB free; 1124 MiB promised to VMs and Pilae\n");
	run_json("mem --json");
	assert_string_equal(printed, "[{\"total_bytes\": 4294967296, \"free_bytes\": 5246976, "
				     "\"promised_bytes\": 1178599424}]\n");
}

static void test_harts(void **state)
{
	static struct isa isa;

	(void)state;
	for (unsigned i = 0; i < FAKE_HARTS; i++)
		harts[i].isa = &isa;
	harts[1].has_h = harts[1].has_sstc = true;
	run("hart list");
	expect_part("  id  H     Sstc  engines\n   0  no    no    soft\n"
		    "  10  yes   yes   hext soft\n  20  no ");
	run_json("hart list --json");
	expect_part("{\"id\": 10, \"h\": true, \"sstc\": true, \"isa\": \"rv64");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_documented, setup),
	    cmocka_unit_test_setup(test_dispatch, setup),
	    cmocka_unit_test_setup(test_end, setup),
	    cmocka_unit_test_setup(test_version, setup),
	    cmocka_unit_test_setup(test_mem, setup),
	    cmocka_unit_test_setup(test_harts, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
