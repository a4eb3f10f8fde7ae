/* SPDX-License-Identifier: MIT */
/* unit: shell/cmd_inspect.c shell/command.c shell/print.c shell/completion.c */
#include "tests/unit/command_vm_fixture.h"

#include "vmm/gmem.h"
#include "vmm/gvmem.h"

#define SATP  0x8000000000080123
#define PAGES 32
#define BASE  0x80000000ULL /* of the memory below, by physical addresses */

static const struct command vm_group[] = {
    {"regs", "", NULL, COMMAND_NAME | COMMAND_NUMBER | COMMAND_JSON, inspect_regs},
    {"dump", "", NULL, COMMAND_NAME | COMMAND_NUMBER, inspect_dump},
    {"mem", "", NULL, COMMAND_NAME | COMMAND_NUMBERS | COMMAND_WORD | COMMAND_JSON, inspect_mem},
    {NULL, NULL, NULL, 0, NULL},
};

static const struct command table[] = {
    {"vm", "VMs", vm_group, 0, NULL},
    {"log", "messages", NULL, COMMAND_JSON, inspect_log},
    {NULL, NULL, NULL, 0, NULL},
};

static unsigned captured; /* the vCPU whose registers were taken last */

/* The registers. */
void report_capture(struct vcpu *vcpu, struct vcpu_state *state)
{
	captured = (unsigned)vcpu->id;
	memset(state, 0, sizeof(*state));
	state->pc = 0xffffffff80000000 + vcpu->id;
	for (unsigned n = 0; n < 32; n++)
		state->x[n] = n * 0x100;
	state->satp = SATP;
	state->user = vcpu->id == 1;
	preempt_point();
}

void report_registers(struct vcpu *vcpu, const struct report_sink *sink)
{
	char line[32];

	snprintf(line, sizeof(line), "registers of %llu", (unsigned long long)vcpu->id);
	sink->put(sink->context, line);
}

void report_dump(struct vcpu *vcpu, const struct report_sink *sink)
{
	char line[32];

	snprintf(line, sizeof(line), "screen of %llu", (unsigned long long)vcpu->id);
	sink->put(sink->context, line);
}

const char *report_vcpu_word(const struct vcpu *vcpu)
{
	(void)vcpu;
	return "running";
}

const char *report_register_name(unsigned n)
{
	static char name[4];

	snprintf(name, sizeof(name), "x%u", n);
	return name;
}

/*
 * Memory, a page at a time: with an error, or with bytes. Physical addresses count from BASE,
 * virtual ones from 0; there the last page of all is the last one.
 */
static int errors[2][PAGES];
static unsigned reads;

static uint8_t byte_at(uint64_t address)
{
	return (uint8_t)(address * 31 + (address >> 8));
}

static int error_at(bool is_virtual, uint64_t address)
{
	uint64_t page = (address - (is_virtual ? 0 : BASE)) / PAGE_SIZE;

	if (is_virtual && address >= -(uint64_t)PAGE_SIZE)
		return 0;
	return page < PAGES ? errors[is_virtual][page] : is_virtual ? ERR_FAULT : ERR_RANGE;
}

static int read_memory(bool is_virtual, uint64_t address, uint8_t *bytes, uint64_t size)
{
	reads++;
	assert_int_not_equal(size, 0);
	if (address + size < address && address + size != 0)
		return ERR_RANGE;
	for (uint64_t i = 0; i < size; i++) {
		if (error_at(is_virtual, address + i))
			return error_at(is_virtual, address + i);
		bytes[i] = byte_at(address + i);
	}
	return 0;
}

int gmem_peek(const struct vm *of, gpa_t gpa, void *to, uint64_t size)
{
	assert_ptr_equal(of, &vm);
	return read_memory(false, gpa.v, to, size);
}

int gvmem_read(const struct vm *of, uint64_t satp, gva_t address, void *to, uint64_t size)
{
	assert_ptr_equal(of, &vm);
	assert_int_equal(satp, SATP);
	assert_int_equal(captured, 0);
	return read_memory(true, address.v, to, size);
}

const char *report_memory_error(int error)
{
	static char text[32];

	snprintf(text, sizeof(text), "error %d", error);
	return text;
}

/* The log. */
static unsigned log_lines;

bool log_next(uint64_t *position, char *line, size_t size)
{
	if (*position == log_lines)
		return false;
	snprintf(line, size, "pilae: line %llu \"%*s\"", (unsigned long long)*position,
		 *position == 1 ? 400 : 1, "x");
	++*position;
	return true;
}

static int setup(void **state)
{
	(void)state;
	begin(table, 3);
	memset(errors, 0, sizeof(errors));
	captured = UINT32_MAX;
	reads = 0;
	return 0;
}

static void test_documented(void **state)
{
	(void)state;
	check_documented(vm_group, "vm ");
	check_documented(table, "");
}

static void test_vcpus(void **state)
{
	(void)state;
	expect("vm regs web", "registers of 0\n");
	expect("vm regs web 2", "registers of 2\n");
	expect("vm dump web", "screen of 0\n");
	expect("vm dump web 0x1", "screen of 1\n");
	expect_refusal("vm regs web 3", "3: no such vCPU; web has 3, numbered from 0\n");
	expect_refusal("vm dump web 4294967296",
		       "4294967296: no such vCPU; web has 3, numbered from 0\n");
	expect_refusal("vm regs web 0xffffffffffffffff --json",
		       "18446744073709551615: no such vCPU; web has 3, numbered from 0\n");
}

static void test_json(void **state)
{
	(void)state;
	run_json("vm regs web 1 --json");
	expect_part("[{\"vcpu\": 1, \"state\": \"running\", \"mode\": \"U\", "
		    "\"pc\": \"0xffffffff80000001\", \"x1\": \"0x100\", \"x2\": \"0x200\"");
	expect_part("\"x31\": \"0x1f00\", \"sstatus\": \"0x0\"");
	expect_part("\"satp\": \"0x8000000000080123\"}]\n");
	assert_null(strstr(printed, "\"x0\""));
	run_json("vm regs web --json");
	expect_part("\"mode\": \"S\"");
}

/* Nothing is kept of a VM that has been taken down. */
static void test_not_built(void **state)
{
	static const char *const lines[] = {"vm regs web", "vm regs web 7 --json", "vm dump web",
					    "vm mem web 0", "vm mem web 0 1 virtual --json"};

	(void)state;
	vm.vcpus = NULL;
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++)
		expect_refusal(lines[i], "web: it does not run, so nothing is kept of it\n");
	assert_int_equal(reads, 0);
}

static void test_wrong_ranges(void **state)
{
	static const char *const counts[] = {"0", "65537", "4294967297", "18446744073709551615"};
	char line[64], text[128];

	(void)state;
	expect_refusal("vm mem web", "expected: vm mem NAME ADDRESS [COUNT] [virtual]\n");
	expect_refusal("vm mem web virtual", "expected: vm mem NAME ADDRESS [COUNT] [virtual]\n");
	expect_refusal("vm mem web 0 physical",
		       "physical: not understood; expected virtual, or nothing\n");
	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
		snprintf(line, sizeof(line), "vm mem web 0x80000000 %s", counts[i]);
		snprintf(text, sizeof(text),
			 "%s: not a number of bytes to show; expected 1 to 65536\n", counts[i]);
		expect_refusal(line, text);
	}
	assert_int_equal(reads, 0);
}

static void test_bytes(void **state)
{
	(void)state;
	expect("vm mem web 0x80000040 16",
	       "0000000080000040:  c0 df fe 1d 3c 5b 7a 99  b8 d7 f6 15 34 53 72 91  "
	       "....<[z.....4Sr.\n");
	/* A line begins at a multiple of 16. */
	expect("vm mem web 0x8000004e 3", "000000008000004e:  72 91"
					  "                                             r.\n"
					  "0000000080000050:  b0 "
					  "                                               .\n");
	run("vm mem web 0x80000000");
	assert_int_equal(printed_length, 8 * (16 + 1 + 2 + 49 + 2 + 16));
	run_json("vm mem web 0x8000004e 3 --json");
	assert_string_equal(printed, "[{\"address\": \"0x8000004e\", \"bytes\": \"7291\"},\n"
				     " {\"address\": \"0x80000050\", \"bytes\": \"b0\"}]\n");
}

static void test_holes(void **state)
{
	(void)state;
	errors[0][1] = errors[0][2] = ERR_NOENT;
	errors[0][3] = ERR_FAULT;
	expect("vm mem web 0x80000ff8 12290",
	       "0000000080000ff8:  17 36 55 74 93 b2 d1 f0                           .6Ut....\n"
	       "0000000080001000: 8192 bytes error -4\n"
	       "0000000080003000: 4090 bytes error -7\n");
	expect("vm mem web 0 65536", "0000000000000000: 65536 bytes error -3\n");
	run_json("vm mem web 0x80001fff 3 --json");
	assert_string_equal(
	    printed, "[{\"address\": \"0x80001fff\", \"count\": 3, \"missing\": \"error -4\"}]\n");
}

/* No range goes on from the last address to the first. */
static void test_last_address(void **state)
{
	(void)state;
	expect("vm mem web 0xffffffffffffffff virtual",
	       "ffffffffffffffff:  e0                                                .\n");
	run("vm mem web 0xfffffffffffffff8 65536 virtual");
	assert_int_equal(refused, 0);
	assert_string_equal(strchr(printed, '\n'), "\n");
	expect("vm mem web 0xffffffffffffffff 65536", "ffffffffffffffff: 1 bytes error -3\n");
	run_json("vm mem web 0xfffffffffffffff0 100 virtual --json");
	expect_part("[{\"address\": \"0xfffffffffffffff0\", \"bytes\": ");
}

/* A guest that changes its tables all the time: it is shown as it is, and it ends. */
static void change(void)
{
	errors[1][fake_random_below(PAGES)] = fake_random_below(2) ? ERR_FAULT : 0;
	preempt_hook = change;
}

static void test_changing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		preempt_hook = change;
		run("vm mem web 0 65536 virtual");
		assert_int_equal(refused, 0);
		assert_true(reads < 200000);
		reads = 0;
	}
	preempt_hook = NULL;
}

/* Every byte of a range is shown once, in order: as it is, or as missing for the right reason. */
static void check_shown(bool is_virtual, uint64_t address, uint64_t count)
{
	const uint64_t end = address + count;

	for (const char *line = printed; *line; line = strchr(line, '\n') + 1) {
		unsigned long long at, missing;
		int error, length = 0;

		assert_int_equal(sscanf(line, "%llx:%n", &at, &length), 1);
		assert_int_equal(at, address);
		if (sscanf(line + length, " %llu bytes error %d", &missing, &error) == 2) {
			for (; missing > 0; missing--)
				assert_int_equal(error_at(is_virtual, address++), error);
			continue;
		}
		line += length;
		for (unsigned n = 0; n < 16; n++, line += length) {
			unsigned byte;

			assert_int_equal(sscanf(line, " %2x%n", &byte, &length), 1);
			assert_int_equal(error_at(is_virtual, address), 0);
			assert_int_equal(byte, byte_at(address++));
		}
	}
	assert_int_equal(address, end);
}

static void test_random(void **state)
{
	static const int kinds[] = {0, 0, ERR_NOENT, ERR_FAULT, ERR_CORRUPT};
	char line[64];

	(void)state;
	for (unsigned n = 0; n < 300; n++) {
		bool is_virtual = fake_random_below(2);
		uint64_t address = is_virtual ? 0 : BASE;
		uint64_t count = fake_random_below(4) ? fake_random_below(9000) + 1
						      : fake_random_below(65536) + 1;

		for (unsigned i = 0; i < PAGES; i++)
			errors[is_virtual][i] = kinds[fake_random_below(ARRAY_SIZE(kinds))];
		/* Whole lines, as what is printed of others ends in blanks. */
		address += fake_random_below(PAGES * 256) * 16;
		count = (count + 15) & ~(uint64_t)15;
		count = count > 65536 ? 65536 : count;
		snprintf(line, sizeof(line), "vm mem web 0x%llx %llu%s",
			 (unsigned long long)address, (unsigned long long)count,
			 is_virtual ? " virtual" : "");
		run(line);
		assert_int_equal(refused, 0);
		check_shown(is_virtual, address, count);
	}
}

static void test_log(void **state)
{
	(void)state;
	log_lines = 0;
	expect("log", "");
	expect("log --json", "[]\n");
	log_lines = 3;
	run("log");
	/* Long ones are whole, too. */
	assert_int_equal(printed_length, 3 * 18 - 1 + 400);
	run_json("log --json");
	expect_part("{\"message\": \"pilae: line 0 \\\"x\\\"\"},\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_documented, setup),
	    cmocka_unit_test_setup(test_vcpus, setup),
	    cmocka_unit_test_setup(test_json, setup),
	    cmocka_unit_test_setup(test_not_built, setup),
	    cmocka_unit_test_setup(test_wrong_ranges, setup),
	    cmocka_unit_test_setup(test_bytes, setup),
	    cmocka_unit_test_setup(test_holes, setup),
	    cmocka_unit_test_setup(test_last_address, setup),
	    cmocka_unit_test_setup(test_changing, setup),
	    cmocka_unit_test_setup(test_random, setup),
	    cmocka_unit_test_setup(test_log, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
