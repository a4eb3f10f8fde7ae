/* SPDX-License-Identifier: MIT */
/* unit: vmm/exit.c kernel/trace.c */
#include "tests/unit/fake_kernel.h"

#include "kernel/page.h"
#include "riscv/csr.h"
#include "vmm/exit.h"
#include "vmm/gmem.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_SIZE MIB(4)
#define RAM_END  (RAM_BASE + RAM_SIZE)
#define PC       UINT64_C(0x80200000)
#define WHO      TRACE_WHO(3, 1)
#define RECORDS  128

static struct vm vm;
static struct vcpu vcpu;
static struct trace_ring ring;
static struct trace_record records[RECORDS];
static uint64_t now;
static jmp_buf run_loop;

static char calls[256];           /* all that was done since an exit, in order */
static int gmem_error, map_error; /* what the fakes answer */

static void called(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void called(const char *format, ...)
{
	size_t used = strlen(calls);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(calls + used, sizeof(calls) - used, format, arguments);
	va_end(arguments);
}

/* Whoever deals with an exit may change the registers: what is noted is what they were. */
static void change_registers(struct vcpu *of)
{
	assert_ptr_equal(of, &vcpu);
	vcpu.pc += 4;
	vcpu.x[16] = ~vcpu.x[16];
	vcpu.x[17] = ~vcpu.x[17];
}

void sbi_handle(struct vcpu *of)
{
	change_registers(of);
	called("sbi;");
}

void mmio_emulate(struct vcpu *of, const struct exit_access *access)
{
	change_registers(of);
	called("mmio %lx %lx;", access->gpa.v, access->transformed);
}

int gmem_fault(struct vcpu *of, gpa_t gpa)
{
	assert_ptr_equal(of, &vcpu);
	assert_true(vm_is_ram(&vm, gpa, 1));
	called("back %lx;", gpa.v);
	return gmem_error;
}

int machine_map(struct vm *of, gpa_t gpa)
{
	assert_ptr_equal(of, &vm);
	called("map %lx;", gpa.v);
	return map_error;
}

void vm_crash(struct vm *of, const char *format, ...)
{
	va_list arguments;
	char reason[128];

	assert_ptr_equal(of, &vm);
	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	called("crash: %s;", reason);
}

void interrupt_dispatch(uint64_t number)
{
	called("interrupt %lu;", number);
}

void schedule_look(struct vcpu *of)
{
	assert_ptr_equal(of, &vcpu);
	called("look;");
}

void schedule_block(struct vcpu *of)
{
	assert_ptr_equal(of, &vcpu);
	called("block;");
}

void schedule_yield(struct vcpu *of)
{
	assert_ptr_equal(of, &vcpu);
	called("yield;");
}

void schedule_run(void)
{
	longjmp(run_loop, 1);
}

static void inject(struct vcpu *of, uint64_t cause, uint64_t value)
{
	assert_ptr_equal(of, &vcpu);
	called("inject %lu %lx;", cause, value);
}

static void mapped(struct vcpu *of, gpa_t gpa)
{
	assert_ptr_equal(of, &vcpu);
	called("mapped %lx;", gpa.v);
}

static const struct engine engine = {.inject = inject, .mapped = mapped};

uint64_t time_now(void)
{
	return now;
}

void *page_alloc(unsigned order)
{
	fail_msg("page_alloc(%u)", order);
	return NULL;
}

void page_free(void *block, unsigned order)
{
	fail_msg("page_free(%p, %u)", block, order);
}

void hart_notify(struct hart *hart)
{
	fail_msg("hart_notify(%u)", hart->index);
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	vm.guest.engine = &engine;
	vm.ram_base = RAM_BASE;
	vm.ram_size = RAM_SIZE;
	vcpu.guest = &vm.guest;
	vcpu.trace_id = WHO;
	harts[0].statistics = &vcpu.statistics;
	ring = (struct trace_ring){.records = records, .size = RECORDS, .kinds = UINT32_MAX};
	calls[0] = '\0';
	gmem_error = 0;
	map_error = ERR_FAULT;
	return 0;
}

/* An exit, after which the run loop is entered anew. */
static void leave_guest(const struct exit *exit)
{
	calls[0] = '\0';
	vcpu.pc = PC;
	if (setjmp(run_loop) == 0)
		vcpu_exited(&vcpu, exit);
}

/* What an exit is to lead to: what is called, and as what it is counted (EXIT_CLASSES: not at all).
 */
struct outcome {
	char calls[256];
	enum exit_class class;
	struct exit_note note;
	struct trace_record record;
};

static uint64_t fault_cause(enum access_kind kind)
{
	return kind == ACCESS_FETCH  ? EXC_INSN_ACCESS
	       : kind == ACCESS_LOAD ? EXC_LOAD_ACCESS
				     : EXC_STORE_ACCESS;
}

static void memory_outcome(struct outcome *outcome, const struct exit_access *access)
{
	char *at = outcome->calls;
	size_t size = sizeof(outcome->calls);
	char fault[64];

	snprintf(fault, sizeof(fault), "inject %lu %lx;", fault_cause(access->kind), access->gva.v);
	outcome->class = EXITS_MEMORY;
	if (access->gpa.v >= RAM_BASE && access->gpa.v < RAM_END) {
		int used = snprintf(at, size, "back %lx;", access->gpa.v);

		if (gmem_error == ERR_NOMEM)
			snprintf(at + used, size - (size_t)used,
				 "crash: no memory left for the guest's RAM at 0x%lx;",
				 access->gpa.v);
	} else if (access->walk && access->transformed & ACCESS_WALK_WRITES) {
		/* Nothing but RAM takes A and D bits. */
		snprintf(at, size, "%s", fault);
	} else if (map_error) {
		snprintf(at, size, "map %lx;%s", access->gpa.v, fault);
	} else {
		snprintf(at, size, "map %lx;mapped %lx;", access->gpa.v, access->gpa.v);
	}
}

static void access_outcome(struct outcome *outcome, const struct exit_access *access)
{
	bool is_ram = access->gpa.v >= RAM_BASE && access->gpa.v < RAM_END;

	outcome->note.what |= (uint64_t)access->kind << EXIT_NOTE_SHIFT;
	outcome->note.detail = access->gpa.v;
	outcome->record.kind = TRACE_ACCESS;
	outcome->record.detail = (uint16_t)(access->kind == ACCESS_FETCH  ? TRACE_ACCESS_FETCH
					    : access->kind == ACCESS_LOAD ? TRACE_ACCESS_LOAD
									  : TRACE_ACCESS_STORE);
	if (access->walk)
		outcome->record.detail |= TRACE_ACCESS_WALK;
	if (is_ram)
		outcome->record.detail |= TRACE_ACCESS_RAM;
	outcome->record.a = access->gpa.v;
	outcome->record.b = access->gva.v;
	if (is_ram || access->walk || access->kind == ACCESS_FETCH) {
		memory_outcome(outcome, access);
		return;
	}
	outcome->class = EXITS_MMIO;
	snprintf(outcome->calls, sizeof(outcome->calls), "mmio %lx %lx;", access->gpa.v,
		 access->transformed);
}

static void other_outcome(struct outcome *outcome, enum exit_class class, enum trace_kind kind,
			  const char *what)
{
	outcome->class = class;
	outcome->record.kind = (uint8_t)kind;
	snprintf(outcome->calls, sizeof(outcome->calls), "%s", what);
}

static void interrupt_outcome(struct outcome *outcome, uint64_t number)
{
	other_outcome(outcome, EXITS_INTERRUPT, TRACE_INTERRUPT, "");
	snprintf(outcome->calls, sizeof(outcome->calls), "interrupt %lu;look;", number);
	outcome->note.detail = number;
	outcome->record.detail = (uint16_t)number;
}

static void sbi_outcome(struct outcome *outcome)
{
	other_outcome(outcome, EXITS_SBI, TRACE_SBI, "sbi;");
	outcome->note.what |= vcpu.x[16] << EXIT_NOTE_SHIFT;
	outcome->note.detail = vcpu.x[17];
	outcome->record.a = vcpu.x[17];
	outcome->record.b = vcpu.x[16];
}

/* What has to come of it, with vCPU and fakes as they are before. */
static struct outcome expected(const struct exit *exit)
{
	struct outcome outcome = {
	    .note = {.pc = PC, .what = exit->reason},
	    .record = {.time = now, .who = WHO},
	};

	switch (exit->reason) {
	case EXIT_SBI:
		sbi_outcome(&outcome);
		break;
	case EXIT_ACCESS:
		access_outcome(&outcome, &exit->access);
		break;
	case EXIT_INTERRUPT:
		interrupt_outcome(&outcome, exit->number);
		break;
	case EXIT_WFI:
		other_outcome(&outcome, EXITS_WFI, TRACE_WFI, "block;");
		break;
	case EXIT_WRS:
		other_outcome(&outcome, EXITS_OTHER, TRACE_OTHER, "yield;");
		break;
	case EXIT_COUNTED:
		other_outcome(&outcome, EXIT_CLASSES, TRACE_OTHER, "");
		break;
	default:
		other_outcome(&outcome, EXITS_OTHER, TRACE_OTHER, "");
		break;
	}
	return outcome;
}

static void check_record(const struct trace_record *record, const struct trace_record *want)
{
	assert_int_equal(record->time, want->time);
	assert_int_equal(record->kind, want->kind);
	assert_int_equal(record->detail, want->detail);
	assert_int_equal(record->who, want->who);
	assert_int_equal(record->a, want->a);
	assert_int_equal(record->b, want->b);
}

/* Does it, and checks everything that it leaves: calls, the note, the counts, the trace. */
static void check_exit(const struct exit *exit)
{
	struct outcome outcome = expected(exit);
	struct vcpu_statistics counts = vcpu.statistics;
	uint64_t exits = vcpu.exit_count, written = ring.written;
	struct exit_note notes[EXIT_NOTES];
	bool records_it = harts[0].trace && ring.kinds >> outcome.record.kind & 1;

	memcpy(notes, vcpu.exits, sizeof(notes));
	notes[exits % EXIT_NOTES] = outcome.note;
	if (outcome.class < EXIT_CLASSES)
		counts.exits[outcome.class].count++;
	leave_guest(exit);
	assert_string_equal(calls, outcome.calls);
	assert_int_equal(vcpu.exit_count, exits + 1);
	assert_memory_equal(vcpu.exits, notes, sizeof(notes));
	assert_memory_equal(&vcpu.statistics, &counts, sizeof(counts));
	assert_int_equal(ring.written, written + records_it);
	if (records_it)
		check_record(&records[written % RECORDS], &outcome.record);
	assert_false(harts[0].trace_busy);
}

static struct exit access_exit(enum access_kind kind, uint64_t gpa)
{
	return (struct exit){
	    .reason = EXIT_ACCESS,
	    .access = {.kind = kind, .gpa = GPA(gpa), .gva = GVA(gpa ^ 0xff00)},
	};
}

/* Said once more in words, so that the model is not all there is. */
static void test_reasons(void **state)
{
	struct exit exit = {.reason = EXIT_SBI};

	(void)state;
	vcpu.x[16] = 3;
	vcpu.x[17] = 0x10;
	leave_guest(&exit);
	assert_string_equal(calls, "sbi;");
	assert_int_equal(vcpu.exits[0].pc, PC);
	assert_int_equal(vcpu.exits[0].what, EXIT_SBI | 3 << EXIT_NOTE_SHIFT);
	assert_int_equal(vcpu.exits[0].detail, 0x10);
	assert_int_equal(vcpu.statistics.exits[EXITS_SBI].count, 1);

	exit = (struct exit){.reason = EXIT_INTERRUPT, .number = IRQ_S_TIMER};
	leave_guest(&exit);
	assert_string_equal(calls, "interrupt 5;look;");
	assert_int_equal(vcpu.exits[1].detail, IRQ_S_TIMER);
	assert_int_equal(vcpu.statistics.exits[EXITS_INTERRUPT].count, 1);

	exit.reason = EXIT_WFI;
	leave_guest(&exit);
	assert_string_equal(calls, "block;");
	assert_int_equal(vcpu.exits[2].detail, 0);
	exit.reason = EXIT_WRS;
	leave_guest(&exit);
	assert_string_equal(calls, "yield;");
	/* The engine has counted it, or there was nothing to count it as. */
	exit.reason = EXIT_COUNTED;
	leave_guest(&exit);
	exit.reason = EXIT_NONE;
	leave_guest(&exit);
	assert_string_equal(calls, "");
	assert_int_equal(vcpu.statistics.exits[EXITS_OTHER].count, 2);
	assert_int_equal(vcpu.exit_count, 6);
}

static void test_ram(void **state)
{
	static const uint64_t within[] = {RAM_BASE, RAM_BASE + 0x1234, RAM_END - 1};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(within); i++) {
		for (unsigned kind = ACCESS_FETCH; kind <= ACCESS_STORE; kind++) {
			struct exit exit = access_exit(kind, within[i]);
			char back[32];

			snprintf(back, sizeof(back), "back %lx;", within[i]);
			gmem_error = 0;
			leave_guest(&exit);
			assert_string_equal(calls, back);
			/* The guest tries again, until the page is ready. */
			gmem_error = ERR_AGAIN;
			leave_guest(&exit);
			assert_string_equal(calls, back);
		}
	}
	assert_int_equal(vcpu.statistics.exits[EXITS_MEMORY].count, 18);
}

static void test_no_memory(void **state)
{
	struct exit exit = access_exit(ACCESS_STORE, RAM_BASE + 0x1000);

	(void)state;
	gmem_error = ERR_NOMEM;
	leave_guest(&exit);
	assert_string_equal(calls, "back 80001000;"
				   "crash: no memory left for the guest's RAM at 0x80001000;");
}

static void test_no_ram(void **state)
{
	struct exit fetch = access_exit(ACCESS_FETCH, RAM_END);
	struct exit load = access_exit(ACCESS_LOAD, RAM_BASE - 1);
	struct exit walk = access_exit(ACCESS_STORE, 0x20000000);

	(void)state;
	leave_guest(&load);
	assert_string_equal(calls, "mmio 7fffffff 0;");
	leave_guest(&fetch);
	assert_string_equal(calls, "map 80400000;inject 1 8040ff00;");
	/* A walk's fault is of the kind of the access that it was made for (Priv. 1.13, 12.3.2). */
	walk.access.walk = true;
	leave_guest(&walk);
	assert_string_equal(calls, "map 20000000;inject 7 2000ff00;");
	/* Flash holds code and page tables, but no A and D bits are written there. */
	map_error = 0;
	leave_guest(&walk);
	assert_string_equal(calls, "map 20000000;mapped 20000000;");
	leave_guest(&fetch);
	assert_string_equal(calls, "map 80400000;mapped 80400000;");
	walk.access.transformed = 0x3000 | ACCESS_WALK_WRITES;
	leave_guest(&walk);
	assert_string_equal(calls, "inject 7 2000ff00;");
	/* The same bit of an access that is no walk is a part of its instruction. */
	load.access.transformed = 0x3000 | ACCESS_WALK_WRITES;
	leave_guest(&load);
	assert_string_equal(calls, "mmio 7fffffff 3020;");
	assert_int_equal(vcpu.statistics.exits[EXITS_MMIO].count, 2);
	assert_int_equal(vcpu.statistics.exits[EXITS_MEMORY].count, 5);
}

static void test_access_faults(void **state)
{
	struct exit_access access = {.gpa = GPA(1), .gva = GVA(UINT64_MAX)};

	(void)state;
	access.kind = ACCESS_FETCH;
	exit_access_fault(&vcpu, &access);
	access.kind = ACCESS_LOAD;
	exit_access_fault(&vcpu, &access);
	access.kind = ACCESS_STORE;
	exit_access_fault(&vcpu, &access);
	assert_string_equal(calls, "inject 1 ffffffffffffffff;inject 5 ffffffffffffffff;"
				   "inject 7 ffffffffffffffff;");
}

static uint64_t random_address(void)
{
	static const uint64_t edges[] = {0, RAM_BASE, RAM_END, UINT64_C(0x20000000),
					 RAM_BASE + MIB(2)};

	switch (fake_random_below(4)) {
	case 0:
		return fake_random();
	case 1:
		return RAM_BASE + fake_random() % RAM_SIZE;
	default:
		return edges[fake_random_below(ARRAY_SIZE(edges))] + fake_random_below(16) - 8;
	}
}

static struct exit random_exit(void)
{
	/* Every reason there is, and one that there is not. */
	struct exit exit = {.reason = fake_random_below(EXIT_WRS + 2)};

	if (exit.reason == EXIT_ACCESS)
		exit.access = (struct exit_access){
		    .kind = fake_random_below(ACCESS_STORE + 1),
		    .walk = fake_random_below(2),
		    .gpa = GPA(random_address()),
		    .gva = GVA(fake_random()),
		    .transformed = fake_random_below(2) ? fake_random() & 0x3020 : fake_random(),
		};
	else
		exit.number = fake_random_below(64);
	return exit;
}

static void test_random(void **state)
{
	static const int gmem_errors[] = {0, ERR_AGAIN, ERR_NOMEM};

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		struct exit exit = random_exit();

		now = fake_random();
		vcpu.x[16] = fake_random();
		vcpu.x[17] = fake_random();
		gmem_error = gmem_errors[fake_random_below(ARRAY_SIZE(gmem_errors))];
		map_error = fake_random_below(2) ? ERR_FAULT : 0;
		harts[0].trace = i / 1000 % 2 ? &ring : NULL;
		ring.kinds = i / 2000 % 2 ? UINT32_MAX : (uint32_t)fake_random();
		check_exit(&exit);
	}
}

/* One that is only noted and counted for the vCPU whose turn it is, not another's. */
static void test_counts_for_the_loaded(void **state)
{
	static struct vcpu_statistics others;
	struct exit exit = {.reason = EXIT_WFI};

	(void)state;
	harts[1].statistics = &others;
	present_hart = &harts[1];
	leave_guest(&exit);
	assert_int_equal(others.exits[EXITS_WFI].count, 1);
	assert_int_equal(vcpu.statistics.exits[EXITS_WFI].count, 0);
	assert_int_equal(vcpu.exit_count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_reasons, setup),
	    cmocka_unit_test_setup(test_ram, setup),
	    cmocka_unit_test_setup(test_no_memory, setup),
	    cmocka_unit_test_setup(test_no_ram, setup),
	    cmocka_unit_test_setup(test_access_faults, setup),
	    cmocka_unit_test_setup(test_random, setup),
	    cmocka_unit_test_setup(test_counts_for_the_loaded, setup),
	};

	return cmocka_run_group_tests_name("exit", tests, NULL, NULL);
}
