/* SPDX-License-Identifier: MIT */
/* unit: vmm/mmio.c vmm/bus.c riscv/insn.c */

/*
 * A guest's access to a device, by any instruction or hint: registers change as they may, the
 * device is touched inside its registers, and the guest goes on behind the instruction, has a
 * fault, or does it once more.
 */
#include "tests/fuzz/fenced.h"

#include "kernel/error.h"
#include "vmm/exit.h"
#include "vmm/vm.h"

#define BASE  UINT64_C(0x10000000)
#define PC    UINT64_C(0x80200000)
#define BYTES 64

struct input {
	uint32_t bits, hint;
	uint16_t offset; /* of the address from BASE, less 256 */
	uint8_t flags;
	uint8_t seed;
};

static struct vm vm;
static struct vcpu vcpu, *vcpus[1] = {&vcpu};
static struct mmio_device device;
static uint8_t memory[BYTES];
static struct input input;
static unsigned faults, flushes;

enum {
	FLAG_LOAD = 1,
	FLAG_HINT = 2,
	FLAG_REFUSES = 4,
	FLAG_AGAIN = 8,
	FLAG_NO_D = 16,
	FLAG_FETCH = 32
};

static int answer(uint64_t offset, unsigned size)
{
	check(range_within(offset, size, 0, device.size) && is_aligned(offset, size) && size <= 8);
	return input.flags & FLAG_AGAIN                            ? ERR_AGAIN
	       : input.flags & FLAG_REFUSES && offset >= BYTES / 2 ? ERR_FAULT
								   : 0;
}

static int device_read(struct mmio_device *of, uint64_t offset, unsigned size, uint64_t *value)
{
	(void)of;
	*value = 0;
	memcpy(value, memory + offset, size);
	return answer(offset, size);
}

static int device_write(struct mmio_device *of, uint64_t offset, unsigned size, uint64_t value)
{
	int error = answer(offset, size);

	(void)of;
	if (!error)
		memcpy(memory + offset, &value, size);
	return error;
}

static const struct mmio_ops ops = {device_read, device_write};

static int fetch(struct vcpu *of, uint32_t *bits)
{
	(void)of;
	*bits = input.bits;
	return input.flags & FLAG_FETCH ? ERR_FAULT : 0;
}

static uint64_t read_fp(struct vcpu *of, unsigned n)
{
	(void)of;
	/* The hint comes from the hart, which would not tell of what it does not have. */
	check(n < 32 && (input.flags & FLAG_HINT || !(input.flags & FLAG_NO_D)));
	return n;
}

static void write_fp(struct vcpu *of, unsigned n, uint64_t value)
{
	(void)of;
	(void)value;
	check(n < 32 && (input.flags & FLAG_HINT || !(input.flags & FLAG_NO_D)));
}

static void flush(struct vcpu *of)
{
	(void)of;
	flushes++;
}

static const struct engine engine = {
    .fetch = fetch, .read_fp = read_fp, .write_fp = write_fp, .flush = flush};

void exit_access_fault(struct vcpu *of, const struct exit_access *access)
{
	check(of == &vcpu && access->gva.v - PC < 8);
	faults++;
}

static void set_up(void)
{
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	vm.guest.engine = &engine;
	vm.guest.vcpus = vcpus;
	vm.guest.vcpu_count = 1;
	vm.guest.isa.letters = input.flags & FLAG_NO_D ? 0 : 1 << ('d' - 'a');
	vm.ram_base = 0x80000000;
	vm.ram_size = MIB(2);
	vcpu.guest = &vm.guest;
	vcpu.pc = PC;
	vcpu.mmio_reservation = UINT64_MAX;
	for (unsigned i = 1; i < 32; i++)
		vcpu.x[i] = (uint64_t)input.seed * i * UINT64_C(0x9e3779b97f4a7c15);
	device = (struct mmio_device){"device", &ops, BASE, BYTES};
	check(bus_add(&vm.bus, &device) == 0);
	faults = flushes = 0;
}

static unsigned changed_registers(const uint64_t *before)
{
	unsigned count = 0;

	for (unsigned i = 0; i < 32; i++)
		count += vcpu.x[i] != before[i];
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct exit_access access = {.gva = GVA(PC)};
	uint64_t before[32];

	set_up();
	for (; size >= sizeof(input); data += sizeof(input), size -= sizeof(input)) {
		memcpy(&input, data, sizeof(input));
		set_up();
		memcpy(before, vcpu.x, sizeof(before));
		access.kind = input.flags & FLAG_LOAD ? ACCESS_LOAD : ACCESS_STORE;
		access.gpa = GPA(BASE - 256 + input.offset);
		access.transformed = input.flags & FLAG_HINT ? input.hint : 0;
		mmio_emulate(&vcpu, &access);

		bool went_on = vcpu.pc == PC + 2 || vcpu.pc == PC + 4;

		check(went_on || vcpu.pc == PC);
		check(faults + flushes + went_on <= 1 && vcpu.x[0] == 0);
		check(faults + flushes + went_on == 1 || input.flags & FLAG_AGAIN);
		check(changed_registers(before) <= went_on);
	}
	return 0;
}
