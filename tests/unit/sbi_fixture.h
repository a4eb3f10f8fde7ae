/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SBI_FIXTURE_H
#define TESTS_UNIT_SBI_FIXTURE_H

/* A VM whose vCPU makes SBI calls, and fakes of all that these act on. */

#include "tests/unit/fake_kernel.h"

#include "engine/engine.h"
#include "riscv/csr.h"
#include "sbi/sbi.h"
#include "vmm/exit.h"
#include "vmm/gmem.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"

#define RAM_BASE  UINT64_C(0x80000000)
#define RAM_SIZE  MIB(4)
#define HARTS     512
#define PC        UINT64_C(0x80200000)
#define UNTOUCHED UINT64_C(0x5a5a5a5a)

static struct vm vm;
static struct vcpu vcpus[HARTS], *pointers[HARTS];
static struct vcpu *const caller = &vcpus[1];
static uint8_t ram[RAM_SIZE];

/* What has been done to the fakes. */
static uint64_t timer_deadline;
static struct vcpu *started, *reset;
static uint64_t reset_pc, reset_argument;
static bool reset_resumed;
static unsigned starts, parks, suspends, unloads, loads, ends, crashes, clears, memory_exits;
static enum vm_end end;
static char output[1024];
static unsigned output_count;
static const char *input;
static int gmem_error, word_error;
static uint64_t words[HARTS / 64];
static uint64_t word_addresses[HARTS / 64 + 1];
static unsigned word_reads;

static void fake_reset_vcpu(struct vcpu *vcpu, uint64_t pc, uint64_t argument, bool resumed)
{
	reset = vcpu;
	reset_pc = pc;
	reset_argument = argument;
	reset_resumed = resumed;
}

static void fake_put(struct vcpu *vcpu)
{
	assert_null(reset);
	(void)vcpu;
	unloads++;
}

static void fake_load(struct vcpu *vcpu)
{
	assert_ptr_equal(reset, vcpu);
	loads++;
}

static void fake_set_timer(struct vcpu *vcpu, uint64_t deadline)
{
	assert_ptr_equal(vcpu, caller);
	timer_deadline = deadline;
}

static bool fake_clear_ipi(struct vcpu *vcpu)
{
	assert_ptr_equal(vcpu, caller);
	return clears++ == 0;
}

/* The vector's words, at their addresses from 0x1000 on; pc is at the ECALL. */
static int fake_read_word(struct vcpu *vcpu, gva_t address, uint64_t *word,
			  struct exit_access *fault)
{
	assert_ptr_equal(vcpu, caller);
	assert_int_equal(vcpu->pc, PC);
	word_addresses[word_reads++] = address.v;
	*fault = (struct exit_access){.gva = address};
	if (word_error && word_reads > 1)
		return word_error;
	*word = words[(address.v - 0x1000) / 8 % ARRAY_SIZE(words)];
	return 0;
}

static const struct engine engine = {
    .vcpu_reset = fake_reset_vcpu,
    .put = fake_put,
    .load = fake_load,
    .set_timer = fake_set_timer,
    .clear_ipi = fake_clear_ipi,
    .read_word = fake_read_word,
};

void ipi_send_again(const struct hart *hart)
{
	fail_msg("ipi_send_again(%u)", hart->index);
}

void ipi_send(struct hart *hart, enum ipi reason)
{
	(void)hart;
	(void)reason;
}

void vcpu_wake(struct vcpu *vcpu)
{
	vcpu->mode = VCPU_HOST;
}

void schedule_start(struct vcpu *vcpu)
{
	assert_ptr_equal(reset, vcpu);
	started = vcpu;
	starts++;
}

void schedule_park(struct vcpu *vcpu)
{
	assert_ptr_equal(vcpu, caller);
	parks++;
}

void schedule_suspend(struct vcpu *vcpu)
{
	assert_ptr_equal(vcpu, caller);
	suspends++;
}

void vm_end(struct vm *ended, enum vm_end how)
{
	assert_ptr_equal(ended, &vm);
	end = how;
	ends++;
}

void vm_crash(struct vm *crashed, const char *format, ...)
{
	assert_ptr_equal(crashed, &vm);
	assert_non_null(format);
	crashes++;
}

void exit_memory(struct vcpu *vcpu, const struct exit_access *access)
{
	assert_ptr_equal(vcpu, caller);
	assert_int_equal(access->gva.v, word_addresses[word_reads - 1]);
	memory_exits++;
}

int gmem_read(struct vm *of, gpa_t gpa, void *to, uint64_t size)
{
	assert_ptr_equal(of, &vm);
	assert_true(vm_is_ram(of, gpa, size));
	memcpy(to, ram + (gpa.v - RAM_BASE), size);
	return gmem_error;
}

int gmem_write(struct vm *of, gpa_t gpa, const void *from, uint64_t size)
{
	assert_ptr_equal(of, &vm);
	assert_true(vm_is_ram(of, gpa, size));
	memcpy(ram + (gpa.v - RAM_BASE), from, size);
	return gmem_error;
}

/* Takes 100 bytes at a time. */
unsigned console_output(struct vm *of, const uint8_t *bytes, unsigned count)
{
	unsigned taken = count < 100 ? count : 100;

	assert_ptr_equal(of, &vm);
	assert_true(count > 0);
	memcpy(output + output_count, bytes, taken);
	output_count += taken;
	return taken;
}

bool machine_console_take(struct vm *of, uint8_t *byte)
{
	assert_ptr_equal(of, &vm);
	if (!*input)
		return false;
	*byte = (uint8_t)*input++;
	return true;
}

/* `count` harts, all running but hart 3, if there is one. */
static void set_up(unsigned count)
{
	fake_reset();
	memset(&vm, 0, sizeof(vm));
	memset(vcpus, 0, sizeof(vcpus));
	vm.guest.engine = &engine;
	vm.guest.vcpus = vm.vcpus = pointers;
	vm.guest.vcpu_count = vm.config.vcpus = count;
	vm.ram_base = RAM_BASE;
	vm.ram_size = RAM_SIZE;
	vm.state = VM_RUNNING;
	for (unsigned i = 0; i < HARTS; i++) {
		pointers[i] = &vcpus[i];
		vcpus[i].id = i;
		vcpus[i].guest = &vm.guest;
		vcpus[i].hart = &harts[0];
		vcpus[i].mode = VCPU_HOST;
	}
	vcpus[3].mode = VCPU_PARKED;
	vcpus[3].hsm_state = SBI_HSM_STOPPED;
	vm.active = count - 1;
	started = reset = NULL;
	starts = parks = suspends = unloads = loads = ends = crashes = clears = memory_exits = 0;
	output_count = word_reads = 0;
	input = "";
	gmem_error = word_error = 0;
	timer_deadline = 0;
}

static inline int setup(void **state)
{
	(void)state;
	set_up(4);
	return 0;
}

static int64_t call5(uint64_t extension, uint64_t function, uint64_t a0, uint64_t a1, uint64_t a2,
		     uint64_t a3, uint64_t a4)
{
	caller->pc = PC;
	caller->x[10] = a0;
	caller->x[11] = a1;
	caller->x[12] = a2;
	caller->x[13] = a3;
	caller->x[14] = a4;
	caller->x[15] = UNTOUCHED;
	caller->x[16] = function;
	caller->x[17] = extension;
	sbi_handle(caller);
	assert_int_equal(vm.lock.next, vm.lock.owner);
	/* All but a0 and a1 is kept (SBI 2.0, chapter 3). */
	assert_int_equal(caller->x[12], a2);
	assert_int_equal(caller->x[15], UNTOUCHED);
	assert_int_equal(caller->x[16], function);
	assert_int_equal(caller->x[17], extension);
	return (int64_t)caller->x[10];
}

static int64_t call(uint64_t extension, uint64_t function, uint64_t a0, uint64_t a1, uint64_t a2)
{
	int64_t error = call5(extension, function, a0, a1, a2, 0, 0);

	assert_int_equal(caller->pc, PC + 4);
	if (error)
		assert_int_equal(caller->x[11], 0);
	return error;
}

static inline uint64_t value_of(uint64_t extension, uint64_t function, uint64_t a0)
{
	assert_int_equal(call(extension, function, a0, UNTOUCHED, 0), SBI_SUCCESS);
	return caller->x[11];
}

#endif
