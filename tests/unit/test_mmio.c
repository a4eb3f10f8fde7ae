/* SPDX-License-Identifier: MIT */
/* unit: vmm/mmio.c vmm/bus.c riscv/insn.c */
#include "tests/unit/fake_kernel.h"

#include "riscv/insn.h"
#include "vmm/exit.h"
#include "vmm/vm.h"

#define BASE  UINT64_C(0x10000000)
#define PC    UINT64_C(0x80200000)
#define FRESH UINT64_C(0x1111111111111111) /* in every register before */

/* Instructions, with their registers; rs1 is x0 and the immediate 0. */
#define LOAD(funct3, rd)      (0x03U | (funct3) << 12 | (rd) << 7)
#define LOAD_FP(funct3, rd)   (0x07U | (funct3) << 12 | (rd) << 7)
#define STORE(funct3, rs2)    (0x23U | (funct3) << 12 | (rs2) << 20)
#define STORE_FP(funct3, rs2) (0x27U | (funct3) << 12 | (rs2) << 20)
#define AMO(funct5, funct3, rd, rs2) \
	(0x2fU | (funct3) << 12 | (rd) << 7 | (rs2) << 20 | (uint32_t)(funct5) << 27)
#define LR(funct3, rd)      AMO(0x02U, funct3, rd, 0U)
#define SC(funct3, rd, rs2) AMO(0x03U, funct3, rd, rs2)
#define C_LW(rd)            (0x4000U | ((rd) - 8) << 2)
#define C_SD(rs2)           (0xe000U | ((rs2) - 8) << 2)

#define W 2U
#define D 3U

/* A device of plain memory; what is above its first half is read-only. */
static struct {
	struct mmio_device device;
	uint8_t bytes[128];
	unsigned reads, writes;
} ram;

static bool ram_busy; /* it has to finish something first */

static struct vm vm;
static struct vcpu vcpu, *vcpus[1] = {&vcpu};
static struct exit_access exit_access;
static uint32_t instruction;
static int fetch_error;
static unsigned fetches, faults, flushes;
static uint64_t fault_offset; /* of the faulting byte in the access */
static uint64_t fp[32];

static int ram_read(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t *value)
{
	(void)device;
	*value = 0;
	memcpy(value, &ram.bytes[offset], size);
	ram.reads++;
	return 0;
}

static int ram_write(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t value)
{
	(void)device;
	if (ram_busy)
		return ERR_AGAIN;
	if (offset >= sizeof(ram.bytes) / 2)
		return ERR_FAULT;
	memcpy(&ram.bytes[offset], &value, size);
	ram.writes++;
	return 0;
}

static const struct mmio_ops ram_ops = {ram_read, ram_write};

static int fake_fetch(struct vcpu *of, uint32_t *bits)
{
	assert_ptr_equal(of, &vcpu);
	fetches++;
	*bits = instruction;
	return fetch_error;
}

static uint64_t fake_read_fp(struct vcpu *of, unsigned n)
{
	assert_ptr_equal(of, &vcpu);
	return fp[n];
}

static void fake_write_fp(struct vcpu *of, unsigned n, uint64_t value)
{
	assert_ptr_equal(of, &vcpu);
	fp[n] = value;
}

static void fake_flush(struct vcpu *of)
{
	assert_ptr_equal(of, &vcpu);
	flushes++;
}

static const struct engine engine = {
    .fetch = fake_fetch, .read_fp = fake_read_fp, .write_fp = fake_write_fp, .flush = fake_flush};

void exit_access_fault(struct vcpu *of, const struct exit_access *what)
{
	assert_ptr_equal(of, &vcpu);
	assert_int_equal(what->kind, exit_access.kind);
	assert_int_equal(what->gpa.v, exit_access.gpa.v);
	fault_offset = what->gva.v - exit_access.gva.v;
	faults++;
}

static int setup(void **state)
{
	(void)state;
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&ram, 0, sizeof(ram));
	vm.guest.engine = &engine;
	vm.guest.vcpus = vcpus;
	vm.guest.vcpu_count = 1;
	vm.ram_base = 0x80000000;
	vm.ram_size = MIB(2);
	vcpu.guest = &vm.guest;
	vcpu.pc = PC;
	vcpu.mmio_reservation = UINT64_MAX;
	for (unsigned i = 1; i < 32; i++)
		vcpu.x[i] = FRESH;
	ram.device = (struct mmio_device){"ram", &ram_ops, BASE, sizeof(ram.bytes)};
	for (unsigned i = 0; i < sizeof(ram.bytes); i++)
		ram.bytes[i] = (uint8_t)(0x80 + i);
	assert_int_equal(bus_add(&vm.bus, &ram.device), 0);
	vm.guest.isa.letters = 1 << ('d' - 'a');
	fetches = faults = flushes = 0;
	fetch_error = 0;
	return 0;
}

/* As what the hart executed: a load or a store. */
static void emulate_as(enum access_kind kind, uint32_t bits, uint64_t gpa)
{
	instruction = bits;
	exit_access = (struct exit_access){.kind = kind, .gpa = GPA(gpa)};
	mmio_emulate(&vcpu, &exit_access);
}

static enum access_kind kind_of(uint32_t bits)
{
	struct insn insn;
	bool load = insn_decode(bits, &insn) == 0 &&
		    (insn.kind == INSN_LOAD || insn.kind == INSN_LOAD_FP || insn.kind == INSN_LR);

	return load ? ACCESS_LOAD : ACCESS_STORE;
}

static void emulate(uint32_t bits, uint64_t gpa)
{
	emulate_as(kind_of(bits), bits, gpa);
}

/* Performs it and wants it to succeed, as an instruction of 4 bytes. */
static void execute(uint32_t bits, uint64_t offset)
{
	vcpu.pc = PC;
	emulate(bits, BASE + offset);
	assert_int_equal(vcpu.pc, PC + 4);
	assert_int_equal(faults, 0);
	assert_int_equal(vcpu.x[0], 0);
}

static void refuse(uint32_t bits, uint64_t gpa)
{
	uint64_t before[32];

	memcpy(before, vcpu.x, sizeof(before));
	vcpu.pc = PC;
	faults = 0;
	emulate(bits, gpa);
	assert_int_equal(faults, 1);
	assert_int_equal(vcpu.pc, PC);
	assert_memory_equal(before, vcpu.x, sizeof(before));
	faults = 0;
}

static uint64_t memory(unsigned offset, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, &ram.bytes[offset], size);
	return value;
}

static void put(unsigned offset, unsigned size, uint64_t value)
{
	memcpy(&ram.bytes[offset], &value, size);
}

static void test_loads(void **state)
{
	static const uint64_t values[] = {
	    UINT64_C(0xffffffffffffff81),
	    UINT64_C(0xffffffffffff8281),
	    UINT64_C(0xffffffff84838281),
	    UINT64_C(0x8887868584838281),
	    0x81,
	    0x8281,
	    0x84838281,
	};

	(void)state;
	/* Misaligned too. */
	for (unsigned funct3 = 0; funct3 < ARRAY_SIZE(values); funct3++) {
		execute(LOAD(funct3, 9U), 1);
		assert_int_equal(vcpu.x[9], values[funct3]);
		vcpu.x[9] = FRESH;
	}
	for (unsigned i = 1; i < 32; i++)
		assert_int_equal(vcpu.x[i], FRESH);
	ram.reads = 0;
	execute(LOAD(W, 0U), 0);
	assert_int_equal(ram.reads, 1);
}

static void test_stores(void **state)
{
	(void)state;
	vcpu.x[31] = UINT64_C(0x0102030405060708);
	for (unsigned funct3 = 0; funct3 < 4; funct3++) {
		unsigned size = 1U << funct3;

		put(16, 8, UINT64_MAX);
		execute(STORE(funct3, 31U), 16);
		assert_int_equal(memory(16, size), vcpu.x[31] & BITS(8 * size - 1, 0));
		assert_int_equal(ram.bytes[16 + size], size < 8 ? 0xff : 0x80 + 24);
	}
	execute(STORE(D, 0U), 16);
	assert_int_equal(memory(16, 8), 0);
}

static void test_floating_point(void **state)
{
	(void)state;
	execute(LOAD_FP(1U, 3U), 2);
	assert_int_equal(fp[3], UINT64_C(0xffffffffffff8382));
	execute(LOAD_FP(W, 0U), 4);
	assert_int_equal(fp[0], UINT64_C(0xffffffff87868584));
	execute(LOAD_FP(D, 31U), 8);
	assert_int_equal(fp[31], UINT64_C(0x8f8e8d8c8b8a8988));
	for (unsigned i = 1; i < 32; i++)
		assert_int_equal(vcpu.x[i], FRESH);
	fp[5] = UINT64_C(0xffffffff3f800000);
	execute(STORE_FP(D, 5U), 16);
	assert_int_equal(memory(16, 8), fp[5]);
	execute(STORE_FP(W, 5U), 20);
	assert_int_equal(memory(16, 8), UINT64_C(0x3f8000003f800000));
	execute(STORE_FP(1U, 5U), 18);
	assert_int_equal(memory(16, 4), 0x00000000);
}

static void test_amos(void **state)
{
	(void)state;
	put(16, 8, UINT64_C(0x1122334480000005));
	vcpu.x[8] = 10;
	execute(AMO(AMO_ADD, W, 9U, 8U), 16);
	assert_int_equal(vcpu.x[9], UINT64_C(0xffffffff80000005));
	assert_int_equal(memory(16, 8), UINT64_C(0x112233448000000f));
	execute(AMO(AMO_ADD, D, 9U, 8U), 16);
	assert_int_equal(vcpu.x[9], UINT64_C(0x112233448000000f));
	assert_int_equal(memory(16, 8), UINT64_C(0x1122334480000019));
	/* The old value and the operand may share their register, and x0 takes none. */
	execute(AMO(AMO_SWAP, D, 8U, 8U), 16);
	assert_int_equal(vcpu.x[8], UINT64_C(0x1122334480000019));
	assert_int_equal(memory(16, 8), 10);
	execute(AMO(AMO_OR, W, 0U, 8U), 16);
	assert_int_equal(memory(16, 8), 0x8000001b);
	execute(AMO(AMO_MAX, W, 9U, 0U), 16);
	assert_int_equal(memory(16, 4), 0);
	put(24, 4, 0x80ff);
	vcpu.x[8] = 0x101;
	execute(AMO(AMO_ADD, 0U, 9U, 8U), 24);
	assert_int_equal(vcpu.x[9], UINT64_MAX);
	assert_int_equal(memory(24, 4), 0x8000);
}

static void test_cas(void **state)
{
	(void)state;
	put(16, 8, UINT64_C(0x5555555580000005));
	vcpu.x[8] = 7;
	/* Of a word, only the lower halves are compared. */
	vcpu.x[9] = UINT64_C(0x1280000005);
	execute(AMO(AMO_CAS, W, 9U, 8U), 16);
	assert_int_equal(vcpu.x[9], UINT64_C(0xffffffff80000005));
	assert_int_equal(memory(16, 8), UINT64_C(0x5555555500000007));
	ram.writes = 0;
	vcpu.x[9] = 6;
	execute(AMO(AMO_CAS, W, 9U, 8U), 16);
	assert_int_equal(vcpu.x[9], 7);
	execute(AMO(AMO_CAS, D, 9U, 8U), 16);
	assert_int_equal(vcpu.x[9], UINT64_C(0x5555555500000007));
	assert_int_equal(ram.writes, 0);
	execute(AMO(AMO_CAS, D, 9U, 8U), 16);
	assert_int_equal(memory(16, 8), 7);
	/* x0 stands for the value 0 that is expected. */
	put(16, 8, 0);
	execute(AMO(AMO_CAS, D, 0U, 8U), 16);
	assert_int_equal(memory(16, 8), 7);
}

static void test_lr_sc(void **state)
{
	(void)state;
	vcpu.x[8] = 77;
	execute(SC(W, 9U, 8U), 16);
	assert_int_equal(vcpu.x[9], 1);
	execute(LR(W, 9U), 16);
	assert_int_equal(vcpu.x[9], UINT64_C(0xffffffff93929190));
	execute(SC(W, 9U, 8U), 16);
	assert_int_equal(vcpu.x[9], 0);
	assert_int_equal(memory(16, 4), 77);
	execute(SC(W, 9U, 8U), 16);
	assert_int_equal(vcpu.x[9], 1);
	/* Elsewhere, it fails and takes the reservation with it. */
	execute(LR(D, 9U), 16);
	execute(SC(D, 9U, 8U), 24);
	assert_int_equal(vcpu.x[9], 1);
	assert_int_equal(memory(24, 1), 0x80 + 24);
	execute(SC(D, 0U, 8U), 16);
	assert_int_equal(memory(16, 8), UINT64_C(0x979695940000004d));
	execute(LR(D, 0U), 16);
	execute(SC(D, 0U, 8U), 16);
	assert_int_equal(memory(16, 8), 77);
}

static void test_faults(void **state)
{
	(void)state;
	refuse(LOAD(W, 9U), BASE + sizeof(ram.bytes));
	refuse(STORE(W, 9U), BASE - 4);
	refuse(STORE(D, 9U), BASE + 64);
	refuse(STORE_FP(D, 9U), BASE + 64);
	refuse(AMO(AMO_ADD, D, 9U, 8U), BASE + 64);
	refuse(AMO(AMO_SWAP, D, 9U, 8U), BASE + 4096);
	/* What is no access to memory, or one that leaves its page. */
	refuse(0x13, BASE);
	refuse(LOAD(7U, 9U), BASE);
	refuse(0x0001, BASE);
	refuse(LOAD(W, 9U), BASE + PAGE_SIZE - 2);
	assert_int_equal(fault_offset, 0);
	/* One that is not aligned: the part before the fault has been performed. */
	refuse(STORE(W, 9U), BASE + 62);
	assert_int_equal(fault_offset, 2);
	assert_int_equal(ram.bytes[62], FRESH & 0xff);
	/* A failing SC has lost the reservation all the same. */
	execute(LR(D, 0U), 64);
	refuse(SC(D, 9U, 8U), BASE + 64);
	execute(SC(D, 9U, 8U), 64);
	assert_int_equal(vcpu.x[9], 1);
}

static void test_last_bytes_of_page(void **state)
{
	static struct mmio_device whole = {"whole", &ram_ops, BASE + PAGE_SIZE - 64, 64};

	(void)state;
	assert_int_equal(bus_add(&vm.bus, &whole), 0);
	execute(LOAD(D, 9U), PAGE_SIZE - 8);
	assert_int_equal(vcpu.x[9], memory(56, 8));
}

static void test_instruction_gone(void **state)
{
	(void)state;
	fetch_error = ERR_AGAIN;
	emulate(LOAD(W, 9U), BASE);
	assert_int_equal(vcpu.pc, PC);
	assert_int_equal(faults + ram.reads, 0);
	assert_int_equal(vcpu.x[9], FRESH);
}

static void test_compressed(void **state)
{
	(void)state;
	emulate(C_LW(15U), BASE + 4);
	assert_int_equal(vcpu.pc, PC + 2);
	assert_int_equal(vcpu.x[15], UINT64_C(0xffffffff87868584));
	emulate(C_SD(15U), BASE + 16);
	assert_int_equal(vcpu.pc, PC + 4);
	assert_int_equal(memory(16, 8), vcpu.x[15]);
	assert_int_equal(faults, 0);
}

/* What is in memory by now is not what the hart executed: it is asked to look again. */
static void test_another_instruction(void **state)
{
	const uint32_t loads[] = {LOAD(0U, 9U), LOAD_FP(W, 9U), LR(W, 9U)};
	const uint32_t stores[] = {STORE(0U, 9U), STORE_FP(D, 9U)};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(loads); i++)
		emulate_as(ACCESS_STORE, loads[i], BASE + 8);
	for (unsigned i = 0; i < ARRAY_SIZE(stores); i++)
		emulate_as(ACCESS_LOAD, stores[i], BASE + 8);
	assert_int_equal(flushes, ARRAY_SIZE(loads) + ARRAY_SIZE(stores));

	/* Where there are no such registers, the hart executed something else. */
	vm.guest.isa.letters = 0;
	emulate_as(ACCESS_LOAD, LOAD_FP(W, 9U), BASE + 8);
	emulate_as(ACCESS_STORE, STORE_FP(D, 9U), BASE + 8);
	assert_int_equal(flushes, ARRAY_SIZE(loads) + ARRAY_SIZE(stores) + 2);
	assert_int_equal(vcpu.pc, PC);
	assert_int_equal(vcpu.x[9], FRESH);
	assert_int_equal(memory(8, 8), UINT64_C(0x8f8e8d8c8b8a8988));
	assert_int_equal(faults, 0);
}

static void hinted(uint64_t transformed, uint64_t gpa)
{
	vcpu.pc = PC;
	exit_access = (struct exit_access){
	    .kind = kind_of(instruction), .gpa = GPA(gpa), .transformed = transformed};
	mmio_emulate(&vcpu, &exit_access);
}

static void test_transformed(void **state)
{
	(void)state;
	instruction = 0;
	hinted(LOAD(W, 9U), BASE + 4);
	assert_int_equal(vcpu.x[9], UINT64_C(0xffffffff87868584));
	assert_int_equal(vcpu.pc, PC + 4);
	hinted(LOAD(D, 9U) & ~2U, BASE + 8);
	assert_int_equal(vcpu.x[9], UINT64_C(0x8f8e8d8c8b8a8988));
	assert_int_equal(vcpu.pc, PC + 2);
	assert_int_equal(fetches + faults, 0);
	/* The fault is within the access. */
	hinted(LOAD(W, 9U) | 2U << 15, BASE + 4);
	assert_int_equal(faults, 1);
	assert_int_equal(vcpu.pc, PC);
	/* A hint that says nothing: the instruction is read. */
	instruction = LOAD(4U, 9U);
	hinted(0x3000, BASE);
	assert_int_equal(fetches, 1);
	assert_int_equal(vcpu.x[9], 0x80);
	assert_int_equal(faults, 1);
}

static void test_quick_access(void **state)
{
	static const uint64_t values[] = {
	    UINT64_C(0xffffffffffffff88),
	    UINT64_C(0xffffffffffff8988),
	    UINT64_C(0xffffffff8b8a8988),
	    UINT64_C(0x8f8e8d8c8b8a8988),
	    0x88,
	    0x8988,
	    0x8b8a8988,
	};

	(void)state;
	for (unsigned funct3 = 0; funct3 < ARRAY_SIZE(values); funct3++) {
		assert_true(vcpu_quick_access(&vcpu, GPA(BASE + 8), LOAD(funct3, 9U)));
		assert_int_equal(vcpu.x[9], values[funct3]);
	}
	assert_true(vcpu_quick_access(&vcpu, GPA(BASE), LOAD(W, 0U)));
	assert_int_equal(vcpu.x[0], 0);
	for (unsigned funct3 = 0; funct3 < 4; funct3++) {
		put(16, 8, 0);
		assert_true(vcpu_quick_access(&vcpu, GPA(BASE + 16), STORE(funct3, 31U)));
		assert_int_equal(memory(16, 8), FRESH & BITS((8U << funct3) - 1, 0));
	}
	/* The rest is left to mmio_emulate(). */
	vcpu.x[9] = FRESH;
	assert_false(vcpu_quick_access(&vcpu, GPA(BASE + 1), LOAD(W, 9U)));
	assert_false(vcpu_quick_access(&vcpu, GPA(BASE + 128), LOAD(W, 9U)));
	assert_false(vcpu_quick_access(&vcpu, GPA(0x80000000), LOAD(W, 9U)));
	assert_false(vcpu_quick_access(&vcpu, GPA(BASE + 64), STORE(W, 9U)));
	assert_int_equal(vcpu.x[9], FRESH);
	assert_int_equal(vcpu.pc, PC);
	assert_int_equal(faults, 0);
}

/* The device is not that far: nothing has happened, and the guest does it once more. */
static void test_busy_device(void **state)
{
	(void)state;
	ram_busy = true;
	emulate(STORE(W, 9U), BASE + 4);
	assert_false(vcpu_quick_access(&vcpu, GPA(BASE + 4), STORE(W, 9U)));
	assert_int_equal(vcpu.pc, PC);
	assert_int_equal(faults, 0);
	assert_int_equal(flushes, 0);
	assert_int_equal(memory(4, 4), 0x87868584);
	ram_busy = false;
	execute(STORE(W, 9U), 4);
	assert_int_equal(memory(4, 4), FRESH & BITS(31, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_loads, setup),
	    cmocka_unit_test_setup(test_stores, setup),
	    cmocka_unit_test_setup(test_another_instruction, setup),
	    cmocka_unit_test_setup(test_floating_point, setup),
	    cmocka_unit_test_setup(test_amos, setup),
	    cmocka_unit_test_setup(test_cas, setup),
	    cmocka_unit_test_setup(test_lr_sc, setup),
	    cmocka_unit_test_setup(test_faults, setup),
	    cmocka_unit_test_setup(test_last_bytes_of_page, setup),
	    cmocka_unit_test_setup(test_instruction_gone, setup),
	    cmocka_unit_test_setup(test_compressed, setup),
	    cmocka_unit_test_setup(test_transformed, setup),
	    cmocka_unit_test_setup(test_quick_access, setup),
	    cmocka_unit_test_setup(test_busy_device, setup),
	};

	return cmocka_run_group_tests_name("mmio", tests, NULL, NULL);
}
