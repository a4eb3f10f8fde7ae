/* SPDX-License-Identifier: MIT */
/* Every instruction that can access a device, with every register. */
#include "guests/selftest/mmio.h"

#define SOURCE           13 /* a PLIC source whose priority nobody minds */
#define PRIORITY_ADDRESS (PLIC_BASE + 4 * SOURCE)

static void fill(uint64_t x[32])
{
	for (uint64_t i = 0; i < 32; i++)
		x[i] = UINT64_C(0xbad0000000000000) | i << 8 | 1;
}

/* The instruction completed; register rd is `want` and all others are as they were. */
static void expect_registers(uint32_t insn, const uint64_t x[32], uint32_t rd, uint64_t want)
{
	const struct trap_frame *trap = insn_exec(insn, x, false);

	if (!insn_completed()) {
		test_fail("insn 0x%x: cause %lu stval 0x%lx", insn, trap->cause, trap->tval);
		return;
	}
	for (uint32_t r = 1; r < 32; r++)
		expect_eq(trap->x[r], r == rd ? want : x[r], "insn 0x%x: x%u", insn, r);
}

static void load_registers(void)
{
	uint64_t x[32];

	PLIC_PRIORITY(SOURCE) = 5;
	for (uint32_t f3 = 2; f3 < 7; f3 += 4)
		for (uint32_t rs1 = 1; rs1 < 32; rs1++)
			for (uint32_t rd = 0; rd < 32; rd++) {
				fill(x);
				x[rs1] = PRIORITY_ADDRESS + 0x7fc;
				expect_registers(insn_i(OP_LOAD, f3, rd, rs1, 0xfff & -0x7fcU), x,
						 rd, 5);
			}
}

static void load_bytes(void)
{
	uint64_t x[32];

	UART_REG(UART_SCR) = 0xa5;
	for (uint32_t rd = 0; rd < 32; rd++) {
		uint32_t rs1 = rd == 31 ? 1 : rd + 1;

		fill(x);
		x[rs1] = UART_BASE;
		expect_registers(insn_i(OP_LOAD, 4, rd, rs1, UART_SCR), x, rd, 0xa5);
		expect_registers(insn_i(OP_LOAD, 0, rd, rs1, UART_SCR), x, rd, ~UINT64_C(0x5a));
	}
}

static void store_registers(void)
{
	uint64_t x[32];

	for (uint32_t rs1 = 1; rs1 < 32; rs1++)
		for (uint32_t rs2 = 0; rs2 < 32; rs2++) {
			uint32_t want = (rs1 + rs2) & 7;

			fill(x);
			x[rs2] = UINT64_C(0xffffffff00000000) | want;
			x[rs1] = PRIORITY_ADDRESS - 0x7ff;
			if (rs1 == rs2)
				continue;
			PLIC_PRIORITY(SOURCE) = want ^ 7;
			expect_registers(insn_s(OP_STORE, 2, rs1, rs2, 0x7ff), x, 0, 0);
			expect_eq(PLIC_PRIORITY(SOURCE), rs2 ? want : 0, "sw x%u, (x%u)", rs2, rs1);
		}
}

static void compressed(void)
{
	uint64_t x[32];

	for (uint32_t rs1 = 8; rs1 < 16; rs1++)
		for (uint32_t r = 8; r < 16; r++)
			for (uint32_t offset = 0; offset < 128; offset += 4) {
				fill(x);
				x[rs1] = PRIORITY_ADDRESS - offset;
				PLIC_PRIORITY(SOURCE) = 3;
				expect_registers(insn_c_mem(2, r, rs1, offset), x, r, 3);
				if (r == rs1)
					continue;
				x[r] = 6;
				expect_registers(insn_c_mem(6, r, rs1, offset), x, 0, 0);
				expect_eq(PLIC_PRIORITY(SOURCE), 6, "c.sw x%u, %u(x%u)", r, offset,
					  rs1);
			}
}

static void compressed_sp(void)
{
	uint64_t x[32];

	for (uint32_t r = 0; r < 32; r++)
		for (uint32_t offset = 0; offset < 256; offset += 4) {
			fill(x);
			x[REG_SP] = PRIORITY_ADDRESS - offset;
			PLIC_PRIORITY(SOURCE) = 3;
			if (r != 0)
				expect_registers(insn_c_loadsp(2, r, offset), x, r, 3);
			if (r == REG_SP)
				continue;
			x[r] = 6;
			expect_registers(insn_c_storesp(6, r, offset), x, 0, 0);
			expect_eq(PLIC_PRIORITY(SOURCE), r ? 6 : 0, "c.swsp x%u, %u", r, offset);
		}
}

/* An empty virtio slot takes 8 bytes: its magic and version are constant. */
static void doubles(void)
{
	uint64_t slot = virtio_empty_slot(), want, x[32];

	if (slot == 0) {
		test_skip("no slot is empty");
		return;
	}
	want = *(volatile uint64_t *)slot;
	expect_eq(want & 0xffffffff, VIRTIO_MAGIC, "magic");
	for (uint32_t r = 0; r < 32; r++)
		for (uint32_t offset = 0; offset < 512; offset += 8) {
			fill(x);
			x[REG_SP] = slot - offset;
			expect_registers(insn_i(OP_LOAD, 3, r, REG_SP, offset), x, r, want);
			expect_registers(insn_s(OP_STORE, 3, REG_SP, r, offset), x, 0, 0);
			if (r != 0)
				expect_registers(insn_c_loadsp(3, r, offset), x, r, want);
			expect_registers(insn_c_storesp(7, r, offset), x, 0, 0);
			if (r < 8 || r > 15 || offset > 248)
				continue;
			x[9] = slot - offset;
			expect_registers(insn_c_mem(3, r, 9, offset), x, r, want);
			expect_registers(insn_c_mem(7, r, 9, offset), x, 0, 0);
		}
}

/* Executes one floating-point access with the state given; then what it is. */
static void run_fp(uint32_t insn, uint64_t state[33], uint32_t rs1, uint64_t address)
{
	uint64_t x[32];

	fill(x);
	x[rs1] = address;
	fp_load(state);
	expect_registers(insn, x, 0, 0);
	fp_save(state);
}

static void fp_fill(uint64_t state[33])
{
	for (uint64_t i = 0; i < 32; i++)
		state[i] = UINT64_C(0xffffffff00000000) | (i & 7);
	state[32] = 0;
}

static void expect_fp(const uint64_t state[33], uint32_t rd, uint64_t want, uint32_t insn)
{
	for (uint32_t r = 0; r < 32; r++)
		expect_eq(state[r], r == rd ? want : (UINT64_C(0xffffffff00000000) | (r & 7)),
			  "insn 0x%x: f%u", insn, r);
	expect_eq(hart_self()->trap.status & SSTATUS_FS, SSTATUS_FS, "FS");
}

static void fp_single(void)
{
	uint64_t state[33];

	if (!machine_has("d")) {
		test_skip("no D");
		return;
	}
	csr_set(CSR_SSTATUS, SSTATUS_FS);
	for (uint32_t r = 0; r < 32; r++) {
		uint32_t flw = insn_i(OP_LOAD_FP, 2, r, 10, 0xffc),
			 fsw = insn_s(OP_STORE_FP, 2, 10, r, 4);

		PLIC_PRIORITY(SOURCE) = 4;
		fp_fill(state);
		run_fp(flw, state, 10, PRIORITY_ADDRESS + 4);
		expect_fp(state, r, UINT64_C(0xffffffff00000004), flw);
		fp_fill(state);
		run_fp(fsw, state, 10, PRIORITY_ADDRESS - 4);
		expect_fp(state, 99, 0, fsw);
		expect_eq(PLIC_PRIORITY(SOURCE), r & 7, "fsw f%u", r);
	}
}

static void fp_double(void)
{
	uint64_t slot = virtio_empty_slot(), want, state[33];

	if (slot == 0 || !machine_has("d")) {
		test_skip(slot ? "no D" : "no slot is empty");
		return;
	}
	want = *(volatile uint64_t *)slot;
	csr_set(CSR_SSTATUS, SSTATUS_FS);
	for (uint32_t r = 0; r < 32; r++) {
		const struct {
			uint32_t insn, rs1, offset;
			bool is_load;
		} forms[] = {
		    {insn_i(OP_LOAD_FP, 3, r, 17, 0x7f8), 17, 0x7f8, true},
		    {insn_s(OP_STORE_FP, 3, 17, r, 0x7f8), 17, 0x7f8, false},
		    {insn_c_loadsp(1, r, 0x1f8), REG_SP, 0x1f8, true},
		    {insn_c_storesp(5, r, 0x1f8), REG_SP, 0x1f8, false},
		    {insn_c_mem(1, 8 + (r & 7), 15, 0xf8), 15, 0xf8, true},
		    {insn_c_mem(5, 8 + (r & 7), 15, 0xf8), 15, 0xf8, false},
		};

		for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
			uint32_t rd = i < 4 ? r : 8 + (r & 7);

			fp_fill(state);
			run_fp(forms[i].insn, state, forms[i].rs1, slot - forms[i].offset);
			expect_fp(state, forms[i].is_load ? rd : 99, want, forms[i].insn);
		}
	}
}

static uint32_t amo_result(uint32_t f5, uint32_t old, uint32_t operand)
{
	int32_t a = (int32_t)old, b = (int32_t)operand;

	switch (f5) {
	case 0:
		return old + operand;
	case 1:
		return operand;
	case 4:
		return old ^ operand;
	case 8:
		return old | operand;
	case 12:
		return old & operand;
	case 16:
		return (uint32_t)(a < b ? a : b);
	case 20:
		return (uint32_t)(a > b ? a : b);
	case 24:
		return old < operand ? old : operand;
	default:
		return old > operand ? old : operand;
	}
}

static const uint8_t amos[] = {0, 1, 4, 8, 12, 16, 20, 24, 28};

static void amo_words(void)
{
	uint64_t x[32];

	for (size_t i = 0; i < ARRAY_SIZE(amos); i++)
		for (uint32_t r = 0; r < 32; r++) {
			uint32_t rd = (r + 5) & 31, rs1 = 1 + r % 31,
				 operand = (r * 7 + 1) | 0xfffffff0;
			uint32_t insn = insn_amo(amos[i], 2, rd, rs1, r) | (r & 3) << 25;

			if (rs1 == r)
				continue;
			fill(x);
			x[rs1] = PRIORITY_ADDRESS;
			x[r] = operand;
			PLIC_PRIORITY(SOURCE) = 6;
			expect_registers(insn, x, rd, 6);
			expect_eq(PLIC_PRIORITY(SOURCE),
				  amo_result(amos[i], 6, r ? operand : 0) & 7,
				  "amo %u of 6 and 0x%x", amos[i], operand);
		}
}

static void amo_uart(void)
{
	uint8_t mcr = UART_REG(UART_MCR);
	uint64_t x[32];

	for (size_t i = 0; i < ARRAY_SIZE(amos); i++) {
		fill(x);
		x[10] = UART_BASE + UART_MCR;
		x[11] = 5;
		UART_REG(UART_MCR) = 3;
		expect_registers(insn_amo(amos[i], 2, 12, 10, 11), x, 12, 3);
		expect_eq(UART_REG(UART_MCR), amo_result(amos[i], 3, 5), "amo %u", amos[i]);
	}
	UART_REG(UART_MCR) = mcr;
}

static void amo_doubles(void)
{
	uint64_t slot = virtio_empty_slot(), x[32];

	fill(x);
	x[10] = slot;
	for (size_t i = 0; i < ARRAY_SIZE(amos) && slot != 0; i++)
		expect_registers(insn_amo(amos[i], 3, 12, 10, 11), x, 12,
				 *(volatile uint64_t *)slot);
	x[10] = PLIC_BASE + 8;
	for (size_t i = 0; i < ARRAY_SIZE(amos); i++) {
		uint64_t cause = insn_exec(insn_amo(amos[i], 3, 12, 10, 11), x, false)->cause;

		expect(cause == EXC_STORE_ACCESS || cause == EXC_LOAD_ACCESS,
		       "amo %u.d on the PLIC: cause %lu", amos[i], cause);
		expect_eq(hart_self()->trap.tval, PLIC_BASE + 8, "stval");
	}
}

/* LR reads; SC may or may not succeed, and writes when it says so. */
static void lr_sc(void)
{
	uint64_t x[32];
	const struct trap_frame *trap;

	PLIC_PRIORITY(SOURCE) = 2;
	fill(x);
	x[10] = PRIORITY_ADDRESS;
	x[11] = 7;
	trap = insn_exec(insn_amo(2, 2, 12, 10, 0), x, false);
	if (insn_completed())
		expect_eq(trap->x[12], 2, "lr.w");
	else
		expect_eq(trap->cause, EXC_LOAD_ACCESS, "cause of lr.w");
	trap = insn_exec(insn_amo(3, 2, 12, 10, 11), x, false);
	if (insn_completed())
		expect_eq(PLIC_PRIORITY(SOURCE), trap->x[12] ? 2 : 7, "after sc.w");
	else
		expect_eq(trap->cause, EXC_STORE_ACCESS, "cause of sc.w");
}

/* Instructions that lie across a page border, with 2 and with 4 bytes before it. */
static void across_pages(void)
{
	static uint8_t code[2 * PAGE_SIZE] __aligned(4096);
	uint64_t x[32];

	PLIC_PRIORITY(SOURCE) = 5;
	for (uint64_t before = 2; before <= 4; before += 2) {
		uint16_t *p = (uint16_t *)(code + PAGE_SIZE - before);
		uint32_t insn = insn_i(OP_LOAD, 2, 12, 10, 0);
		const struct trap_frame *trap;

		p[0] = (uint16_t)insn;
		p[1] = (uint16_t)(insn >> 16);
		p[2] = INSN_C_EBREAK;
		__asm__ volatile("fence.i" ::: "memory");
		fill(x);
		x[10] = PRIORITY_ADDRESS;
		trap = trap_exec((uint64_t)p, x, false);
		expect_eq(trap->epc, (uint64_t)(p + 2), "sepc");
		expect_eq(trap->cause, EXC_BREAKPOINT, "cause");
		expect_eq(trap->x[12], 5, "lw");
	}
}

static const struct test tests[] = {
    {"load-registers", load_registers},
    {"load-bytes", load_bytes},
    {"store-registers", store_registers},
    {"compressed", compressed},
    {"compressed-sp", compressed_sp},
    {"doubles", doubles},
    {"fp-single", fp_single},
    {"fp-double", fp_double},
    {"amo-words", amo_words},
    {"amo-uart", amo_uart},
    {"amo-doubles", amo_doubles},
    {"lr-sc", lr_sc},
    {"across-pages", across_pages},
};
TEST_GROUP(mmio_insns, tests);
