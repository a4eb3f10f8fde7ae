/* SPDX-License-Identifier: MIT */
/* unit: vmm/report.c vmm/report_text.c */
#include "tests/unit/fake_kernel.h"

#include "riscv/csr.h"
#include "riscv/sbi.h"
#include "vmm/gvmem.h"
#include "vmm/vm.h"

#define VCPUS 8

static struct vm vm, other_vm;
static struct vcpu vcpus[VCPUS], foreign;
static struct vcpu *vm_vcpus[VCPUS], *foreign_vcpus[1];
static struct vcpu *current;
static uint64_t now;
static unsigned moves; /* how often a vCPU has just left when its hart is asked */

static char screen[32][256];
static unsigned lines;

/* What there is to read at guest addresses from MEMORY on; the rest is not mapped. */
#define MEMORY UINT64_C(0xffffffff80000000)
static uint8_t memory[2 * PAGE_SIZE];

int gvmem_read(const struct vm *of, uint64_t satp, gva_t address, void *to, uint64_t size)
{
	assert_ptr_equal(of, &vm);
	assert_int_equal(satp, 0x55);
	if (!range_within(address.v, size, MEMORY, sizeof(memory)))
		return ERR_FAULT;
	memcpy(to, memory + (address.v - MEMORY), size);
	return 0;
}

uint64_t time_now(void)
{
	return now;
}

struct vcpu *schedule_current(void)
{
	return current;
}

int schedule_read_state(struct vcpu *vcpu, struct vcpu_state *state)
{
	if (moves > 0) {
		moves--;
		vcpu->hart = &harts[(vcpu->hart->index + 1) % FAKE_HARTS];
	}
	if (vcpu->hart != this_hart())
		return ERR_AGAIN;
	vcpu->guest->engine->read_state(vcpu, false, state);
	return 0;
}

void hart_call(struct hart *hart, void (*function)(void *argument), void *argument)
{
	struct hart *caller = present_hart;

	present_hart = hart;
	function(argument);
	present_hart = caller;
}

static bool was_loaded;

static void read_state(struct vcpu *vcpu, bool loaded, struct vcpu_state *state)
{
	was_loaded = loaded;
	*state = (struct vcpu_state){.pc = vcpu->pc, .satp = 0x55};
	memcpy(state->x, vcpu->x, sizeof(state->x));
}

static const struct engine engine = {.name = "hext", .read_state = read_state};

static void put(void *context, const char *line)
{
	assert_ptr_equal(context, &lines);
	assert_true(lines < ARRAY_SIZE(screen));
	assert_true(strlen(line) <= REPORT_WIDTH);
	assert_null(strchr(line, '\n'));
	snprintf(screen[lines++], sizeof(screen[0]), "%s", line);
}

static const struct report_sink sink = {put, &lines};

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memset(&vm, 0, sizeof(vm));
	memset(&other_vm, 0, sizeof(other_vm));
	memset(vcpus, 0, sizeof(vcpus));
	memset(&foreign, 0, sizeof(foreign));
	memset(memory, 0, sizeof(memory));
	vm.guest.engine = other_vm.guest.engine = &engine;
	strcpy(vm.config.name, "web");
	vm.config.vcpus = VCPUS;
	vm.vcpus = vm_vcpus;
	vm.crashed = true;
	for (unsigned i = 0; i < VCPUS; i++) {
		vm_vcpus[i] = &vcpus[i];
		vcpus[i].id = i;
		vcpus[i].guest = &vm.guest;
		vcpus[i].hart = &harts[i % FAKE_HARTS];
		vcpus[i].mode = VCPU_PARKED;
		vcpus[i].pc = MEMORY + 0x100 + i;
	}
	vcpus[2].pc = MEMORY + 0x100;
	foreign_vcpus[0] = &foreign;
	other_vm.vcpus = foreign_vcpus;
	other_vm.config.vcpus = 1;
	foreign.guest = &other_vm.guest;
	current = NULL;
	now = 1000;
	platform.timebase = 1000;
	lines = moves = 0;
	return 0;
}

static void test_words(void **state)
{
	char text[48];

	(void)state;
	assert_string_equal(report_register_name(0), "zero");
	assert_string_equal(report_register_name(8), "s0");
	assert_string_equal(report_register_name(27), "s11");
	assert_string_equal(report_register_name(31), "t6");
	report_cause(EXC_STORE_PAGE, text, sizeof(text));
	assert_string_equal(text, "store page fault (15)");
	report_cause(SCAUSE_INTERRUPT | IRQ_S_EXT, text, sizeof(text));
	assert_string_equal(text, "external interrupt (9)");
	for (uint64_t cause = 0; cause < 70; cause++) {
		report_cause(cause, text, sizeof(text));
		assert_true(strlen(text) > 8);
		report_cause(cause | SCAUSE_INTERRUPT, text, sizeof(text));
		assert_non_null(strstr(text, "interrupt"));
	}
	report_cause(14, text, sizeof(text));
	assert_string_equal(text, "unknown (14)");
	report_cause(UINT64_MAX, text, sizeof(text));
	assert_string_equal(text, "unknown (interrupt 9223372036854775807)");
	report_satp(0, text, sizeof(text));
	assert_string_equal(text, "bare");
	report_satp((uint64_t)ATP_MODE_SV57 << 60 | UINT64_C(0xffff) << 44 | BITS(43, 0), text,
		    sizeof(text));
	assert_string_equal(text, "Sv57, ASID 65535, table fffffffffff000");
	report_satp(UINT64_C(3) << 60, text, sizeof(text));
	assert_string_equal(text, "3000000000000000, of no mode");
}

/* The widest that can be: nothing is cut off. */
static void test_widths(void **state)
{
	struct vcpu_state widest;

	(void)state;
	memset(&widest, 0xff, sizeof(widest));
	widest.satp = (uint64_t)ATP_MODE_SV57 << 60 | BITS(59, 0);
	widest.sie = widest.sip = 0x222;
	widest.sstatus = ~(uint64_t)(SSTATUS_FS | SSTATUS_VS) | (1 << SSTATUS_FS_SHIFT) |
			 (1 << SSTATUS_VS_SHIFT);
	widest.scause = SCAUSE_INTERRUPT | IRQ_S_EXT;
	assert_int_equal(report_text_registers(&sink, &widest), 11);
	assert_int_equal(report_text_csrs(&sink, &widest), 4);
	assert_int_equal(lines, 15);
	assert_string_equal(screen[8],
			    "   s0 ffffffffffffffff   s3 ffffffffffffffff   t5 ffffffffffffffff");
	assert_string_equal(screen[11],
			    "  sstatus ffffffffffffbbff: SPP=S SIE SPIE SUM MXR FS=initial "
			    "VS=initial");
	assert_string_equal(screen[13], "  satp    Sv57, ASID 65535, table fffffffffff000, stval "
					"ffffffffffffffff");
	assert_string_equal(screen[14], "  stvec   ffffffffffffffff, sscratch ffffffffffffffff, "
					"sie 222, sip 222");
}

static void expect_code(uint64_t pc, const char *first, const char *second)
{
	struct vcpu_state state = {.pc = pc, .satp = 0x55};
	unsigned count = second ? 2 : 1;

	lines = 0;
	assert_int_equal(report_text_code(&sink, &vm, &state), count);
	assert_int_equal(lines, count);
	assert_string_equal(screen[0], first);
	if (second)
		assert_string_equal(screen[1], second);
}

static void test_code(void **state)
{
	static const uint16_t code[] = {0x4501, 0x0073, 0x0000, 0x8082, 0xffff};

	(void)state;
	memcpy(memory, code, sizeof(code));
	memcpy(memory + sizeof(memory) - sizeof(code), code, sizeof(code));
	expect_code(MEMORY,
		    "  code -> ffffffff80000000: 4501 00000073 8082 0000ffff 0000 0000 0000", NULL);
	expect_code(MEMORY + 2, "  code    ffffffff80000000: 4501",
		    "    pc -> ffffffff80000002: 00000073 8082 0000ffff 0000 0000 0000 0000");
	/* To the end of what there is; not half an instruction more. */
	expect_code(MEMORY + sizeof(memory) - 4,
		    "  code    ffffffff80001fea: 0000 0000 0000 0000 0000 0000 4501 0073 0000",
		    "    pc -> ffffffff80001ffc: 8082 ffff");
	expect_code(MEMORY + sizeof(memory), "  code    none at pc: not mapped", NULL);
	expect_code(UINT64_MAX, "  code    none at pc: not mapped", NULL);
	expect_code(0, "  code    none at pc: not mapped", NULL);
}

/* A frame that ends at `frame`: its caller's, and where it returns to. */
static void set_frame(uint64_t frame, uint64_t caller, uint64_t ra)
{
	memcpy(memory + (frame - MEMORY) - 16, &caller, 8);
	memcpy(memory + (frame - MEMORY) - 8, &ra, 8);
}

static void expect_callers(uint64_t frame, const char *first, const char *second)
{
	struct vcpu_state state = {.pc = MEMORY, .satp = 0x55};
	unsigned count = second ? 2 : 1;

	state.x[8] = frame;
	lines = 0;
	assert_int_equal(report_text_stack(&sink, &vm, &state), count);
	assert_int_equal(lines, count);
	assert_string_equal(screen[0], first);
	if (second)
		assert_string_equal(screen[1], second);
}

static void test_stack(void **state)
{
	const char *unknown = "  callers unknown: s0 is no frame pointer";

	(void)state;
	for (unsigned n = 1; n <= 9; n++)
		set_frame(MEMORY + n * 0x100, MEMORY + (n + 1) * 0x100, MEMORY + 2 * n);
	expect_callers(MEMORY + 0x100,
		       "  callers ffffffff80000002, ffffffff80000004, ffffffff80000006",
		       "          ffffffff80000008, ffffffff8000000a, ffffffff8000000c");
	expect_callers(MEMORY + 0x800, "  callers ffffffff80000010, ffffffff80000012", NULL);
	/* In a circle, downwards, to nowhere, from nowhere. */
	set_frame(MEMORY + 0x900, MEMORY + 0x900, MEMORY);
	expect_callers(MEMORY + 0x900, "  callers ffffffff80000000", NULL);
	set_frame(MEMORY + 0x900, MEMORY + 0x800, MEMORY);
	expect_callers(MEMORY + 0x900, "  callers ffffffff80000000", NULL);
	set_frame(MEMORY + 0x900, UINT64_MAX - 7, MEMORY);
	expect_callers(MEMORY + 0x900, "  callers ffffffff80000000", NULL);
	expect_callers(0, unknown, NULL);
	expect_callers(8, unknown, NULL);
	expect_callers(MEMORY + 0x104, unknown, NULL);
	expect_callers(MEMORY, unknown, NULL);
	expect_callers(MEMORY + sizeof(memory) + 16, unknown, NULL);
	expect_callers(UINT64_MAX - 7, unknown, NULL);
	/* Return addresses where no code is, or can be. */
	set_frame(MEMORY + 0x900, 0, 0x1000);
	expect_callers(MEMORY + 0x900, unknown, NULL);
	set_frame(MEMORY + 0x900, 0, MEMORY + 1);
	expect_callers(MEMORY + 0x900, unknown, NULL);
}

static void note(struct vcpu *vcpu, uint64_t what, uint64_t more, uint64_t detail)
{
	vcpu->exits[vcpu->exit_count++ % EXIT_NOTES] =
	    (struct exit_note){MEMORY, what | more << EXIT_NOTE_SHIFT, detail};
}

static void test_exits(void **state)
{
	(void)state;
	assert_int_equal(report_text_exits(&sink, &vcpus[0], 3), 1);
	assert_string_equal(screen[0], "  exits   none");
	note(&vcpus[0], EXIT_SBI, 0, SBI_EXT_SRST);
	note(&vcpus[0], EXIT_SBI, 2, 0x735049);
	note(&vcpus[0], EXIT_ACCESS, ACCESS_STORE, 0x10000000);
	note(&vcpus[0], EXIT_ACCESS, UINT64_MAX >> EXIT_NOTE_SHIFT, UINT64_MAX);
	note(&vcpus[0], EXIT_SBI, UINT64_MAX >> EXIT_NOTE_SHIFT, UINT64_MAX);
	note(&vcpus[0], EXIT_SBI, 7, 0x41005a0a);
	note(&vcpus[0], 77, 0, 0);
	lines = 0;
	assert_int_equal(report_text_exits(&sink, &vcpus[0], 5), 5);
	assert_string_equal(screen[0], "  exits   engine @ffffffff80000000, "
				       "SBI 0x41005a0a @ffffffff80000000");
	assert_string_equal(screen[1], "          SBI 0xffffffffffffffff @ffffffff80000000");
	assert_string_equal(screen[2], "          ? ffffffffffffffff @ffffffff80000000");
	assert_string_equal(screen[3], "          store 10000000 @ffffffff80000000, "
				       "SBI sPI 2 @ffffffff80000000");
	assert_string_equal(screen[4], "          SBI SRST 0 @ffffffff80000000");
	/* As many lines as there is room for, the last ones first. */
	for (unsigned i = 0; i < 3 * EXIT_NOTES; i++)
		note(&vcpus[0], EXIT_WFI, 0, 0);
	lines = 0;
	assert_int_equal(report_text_exits(&sink, &vcpus[0], 2), 2);
	assert_string_equal(screen[1], "          WFI @ffffffff80000000, WFI @ffffffff80000000");
}

static void test_dump(void **state)
{
	(void)state;
	for (unsigned i = 0; i < EXIT_NOTES; i++)
		note(&vcpus[1], EXIT_ACCESS, ACCESS_LOAD, UINT64_MAX);
	vcpus[1].pc = MEMORY + 0x102;
	vcpus[1].mode = VCPU_BLOCKED;
	vcpus[0].left_running = true;
	vcpus[2].mode = VCPU_GUEST;
	/* Where it was a moment ago, it is not any more. */
	moves = 3;
	report_dump(&vcpus[1], &sink);
	assert_true(lines <= 23);
	assert_string_equal(screen[0], "web: vCPU 1 of 8, hext, S-mode, waits");
	assert_string_equal(screen[19], "  others  0 parked S ffffffff80000100, "
					"2 runs S ffffffff80000100");
	assert_string_equal(screen[20], "          3 stopped S ffffffff80000103, and 4 more");
	assert_false(was_loaded);
	/* Alone. */
	vm.config.vcpus = 1;
	lines = 0;
	report_dump(&vcpus[0], &sink);
	assert_true(lines <= 23);
	assert_null(strstr(screen[19], "others"));
	lines = 0;
	vm.config.vcpus = 3;
	report_registers(&vcpus[2], &sink);
	assert_int_equal(lines, 16);
}

static unsigned count_logged(const char *text)
{
	unsigned count = 0;

	for (const char *s = messages; (s = strstr(s, text)) != NULL; s++)
		count++;
	return count;
}

static void test_crash(void **state)
{
	(void)state;
	/* By the vCPU itself: what it is now, not what it will be. */
	current = &vcpus[1];
	vcpus[1].x[10] = 0x1234;
	report_note_crash(&vm, "the first reason");
	assert_true(was_loaded);
	assert_string_equal(vm.report.reason, "the first reason");
	vcpus[1].x[10] = 0x5678;
	current = &vcpus[2];
	report_note_crash(&vm, "the second reason");
	assert_string_equal(vm.report.reason, "the first reason");
	current = NULL;
	vcpus[1].exit_count = 3;
	report_stopped(&vm);
	assert_int_equal(count_logged("vCPU 1 of 8"), 1);
	assert_int_equal(count_logged("a0 0000000000001234"), 1);
	assert_true(preemptions >= 20);
	assert_int_equal(vcpus[1].exit_count, 0);

	/* By one that has parked, a second later. */
	now += 1000;
	messages[0] = '\0';
	report_blame(&vcpus[3]);
	report_note_crash(&vm, "no hart is left");
	assert_false(vm.report.has_state);
	report_stopped(&vm);
	assert_int_equal(count_logged("vCPU 3 of 8"), 1);

	/* By nobody: the first one is shown. */
	now += 1000;
	messages[0] = '\0';
	current = &foreign;
	report_note_crash(&vm, "of another VM's vCPU");
	report_stopped(&vm);
	assert_int_equal(count_logged("vCPU 0 of 8"), 1);
}

static void test_no_report(void **state)
{
	(void)state;
	/* What is noted by one who comes too late is not of the next life. */
	current = &vcpus[0];
	vm.crashed = false;
	report_note_crash(&vm, "too late");
	report_stopped(&vm);
	assert_string_equal(messages, "");
	vm.crashed = true;
	report_stopped(&vm);
	assert_string_equal(messages, "");
	report_note_crash(&vm, "in time");
	report_stopped(&vm);
	assert_int_equal(count_logged("vCPU 0 of 8"), 1);
}

static void test_rate(void **state)
{
	(void)state;
	current = &vcpus[0];
	for (unsigned i = 0; i < 100; i++) {
		report_note_crash(&vm, "again");
		report_stopped(&vm);
		now += 50;
	}
	assert_int_equal(count_logged("vCPU 0 of 8"), 1 + 4);
	assert_int_equal(count_logged("web: 19 crashes before this one had no report"), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_words, setup),
	    cmocka_unit_test_setup(test_widths, setup),
	    cmocka_unit_test_setup(test_code, setup),
	    cmocka_unit_test_setup(test_stack, setup),
	    cmocka_unit_test_setup(test_exits, setup),
	    cmocka_unit_test_setup(test_dump, setup),
	    cmocka_unit_test_setup(test_crash, setup),
	    cmocka_unit_test_setup(test_no_report, setup),
	    cmocka_unit_test_setup(test_rate, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
