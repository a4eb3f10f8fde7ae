/* SPDX-License-Identifier: MIT */
/* unit: firmware/emulate.c firmware/trap.c riscv/insn.c */

/* Traps that Pilae's firmware keeps: instructions emulated, and what S-mode is told of the others.
 */

#include "firmware/firmware.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY   0x80400000
#define CODE     0x80300000
#define LD       0x0005b503 /* ld a0, (a1) */
#define LW       0x0005a503
#define LWU      0x0005e503
#define LH       0x00059503
#define SD       0x00a5b023 /* sd a0, (a1) */
#define C_SW     0xc188     /* c.sw a0, (a1) */
#define FLD      0x0005b507 /* fld fa0, (a1) */
#define FLW      0x0005a507
#define FSD      0x00a5b027
#define LD_X0    0x0005b003
#define AMOADD_W 0x00a5a02f
#define RDTIME   0xc0102573 /* csrrs a0, time, x0 */
#define RDCYCLE  0xc0002573
#define CSRW     0xc0151073 /* csrrw x0, time, a0 */

struct fw_hart fw_harts[FW_HARTS_MAX];

static uint64_t csrs[4096];
static uint64_t f[32];
static uint8_t memory[64];
static uint64_t memory_end; /* accesses from there on fault */
static uint32_t code;
static unsigned served;

uint64_t csr_read(unsigned csr)
{
	return csrs[csr];
}

void csr_write(unsigned csr, uint64_t value)
{
	csrs[csr] = value;
}

void csr_set(unsigned csr, uint64_t bits)
{
	csrs[csr] |= bits;
}

void interrupts_serve(struct fw_hart *hart)
{
	(void)hart;
	served++;
}

uint64_t fp_read(unsigned reg)
{
	return f[reg];
}

void fp_write(unsigned reg, uint64_t value)
{
	f[reg] = value;
}

uint64_t time_now(void)
{
	return 1000;
}

static bool fault(uint64_t address, uint64_t cause, struct trap *trap)
{
	if (address < memory_end)
		return false;
	*trap = (struct trap){.cause = cause, .tval = address, .tval2 = 77, .gva = true};
	return true;
}

bool access_load(struct fw_hart *hart, uint64_t address, uint8_t *byte, struct trap *trap)
{
	(void)hart;
	if (fault(address, EXC_LOAD_GUEST_PAGE, trap))
		return false;
	*byte = memory[address - MEMORY];
	return true;
}

bool access_store(struct fw_hart *hart, uint64_t address, uint8_t byte, struct trap *trap)
{
	(void)hart;
	if (fault(address, EXC_STORE_PAGE, trap))
		return false;
	memory[address - MEMORY] = byte;
	return true;
}

bool access_fetch(struct fw_hart *hart, uint32_t *bits, struct trap *trap)
{
	(void)trap;
	assert_int_equal(hart->mepc, CODE);
	*bits = code;
	return true;
}

static int setup(void **state)
{
	struct fw_hart *hart = &fw_harts[0];

	memset(hart, 0, sizeof(*hart));
	memset(csrs, 0, sizeof(csrs));
	for (unsigned i = 0; i < sizeof(memory); i++)
		memory[i] = (uint8_t)(0x80 + i);
	for (unsigned i = 0; i < 32; i++)
		hart->x[i] = f[i] = 0x1111111111111111 * (i & 7);
	memory_end = MEMORY + sizeof(memory);
	hart->mepc = CODE;
	hart->mstatus = MSTATUS_MPP_S;
	hart->has_h = 1;
	csrs[CSR_MISA] = BIT('D' - 'A');
	csrs[CSR_STVEC] = 0x80200101;
	csrs[CSR_VSTVEC] = 0x90200101;
	csrs[CSR_SCOUNTEREN] = csrs[CSR_HCOUNTEREN] = 7;
	served = 0;
	*state = hart;
	return 0;
}

static void run(struct fw_hart *hart, uint64_t cause, uint64_t tval, uint32_t bits)
{
	code = bits;
	csrs[CSR_MCAUSE] = cause;
	csrs[CSR_MTVAL] = tval;
	trap_handle(hart);
}

static void loads(void **state)
{
	struct fw_hart *hart = *state;
	static const struct {
		uint32_t bits;
		uint64_t value;
	} cases[] = {
	    {LD, 0x8887868584838281},
	    {LW, 0xffffffff84838281},
	    {LWU, 0x84838281},
	    {LH, 0xffffffffffff8281},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		hart->mepc = CODE;
		run(hart, EXC_LOAD_MISALIGNED, MEMORY + 1, cases[i].bits);
		assert_int_equal(hart->x[10], cases[i].value);
		assert_int_equal(hart->mepc, CODE + 4);
	}
	hart->mepc = CODE;
	run(hart, EXC_LOAD_MISALIGNED, MEMORY + 1, LD_X0);
	assert_int_equal(hart->x[0], 0);
	assert_int_equal(hart->mepc, CODE + 4);
}

static void stores(void **state)
{
	struct fw_hart *hart = *state;

	hart->x[10] = 0x0102030405060708;
	run(hart, EXC_STORE_MISALIGNED, MEMORY + 3, SD);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(memory[3 + i], 8 - i);
	assert_int_equal(memory[2], 0x82);
	assert_int_equal(memory[11], 0x8b);
	hart->mepc = CODE;
	run(hart, EXC_STORE_MISALIGNED, MEMORY + 21, C_SW);
	assert_int_equal(hart->mepc, CODE + 2);
	assert_int_equal(memory[21], 8);
	assert_int_equal(memory[24], 5);
	assert_int_equal(memory[25], 0x80 + 25);
}

static void floating_point(void **state)
{
	struct fw_hart *hart = *state;

	hart->mstatus |= MSTATUS_FS_FIRST;
	run(hart, EXC_LOAD_MISALIGNED, MEMORY + 1, FLD);
	assert_int_equal(f[10], 0x8887868584838281);
	assert_int_equal(hart->mstatus & SSTATUS_FS, SSTATUS_FS);
	hart->mepc = CODE;
	run(hart, EXC_LOAD_MISALIGNED, MEMORY + 1, FLW);
	assert_int_equal(f[10], 0xffffffff84838281);
	hart->mepc = CODE;
	f[10] = 0x1122334455667788;
	run(hart, EXC_STORE_MISALIGNED, MEMORY + 1, FSD);
	assert_int_equal(memory[1], 0x88);
	assert_int_equal(memory[8], 0x11);
	/* In a guest, its own FS too. */
	hart->mepc = CODE;
	hart->mstatus |= MSTATUS_MPV;
	csrs[CSR_VSSTATUS] = MSTATUS_FS_FIRST;
	run(hart, EXC_LOAD_MISALIGNED, MEMORY + 1, FLD);
	assert_int_equal(csrs[CSR_VSSTATUS] & SSTATUS_FS, SSTATUS_FS);
}

/* Nothing happens, and the hart goes on at the same instruction. */
static void expect_again(struct fw_hart *hart, uint64_t cause, uint32_t bits)
{
	uint64_t x[32];
	uint8_t was[sizeof(memory)];

	memcpy(x, hart->x, sizeof(x));
	memcpy(was, memory, sizeof(was));
	run(hart, cause, MEMORY + 1, bits);
	assert_int_equal(hart->mepc, CODE);
	assert_int_equal(csrs[CSR_SCAUSE], 0);
	assert_memory_equal(hart->x, x, sizeof(x));
	assert_memory_equal(memory, was, sizeof(was));
	assert_int_equal(f[10], 0x2222222222222222);
}

/* Another instruction stands there when the firmware looks. */
static void changed_meanwhile(void **state)
{
	struct fw_hart *hart = *state;

	hart->mstatus |= MSTATUS_FS_FIRST;
	expect_again(hart, EXC_LOAD_MISALIGNED, SD);
	expect_again(hart, EXC_LOAD_MISALIGNED, FSD);
	expect_again(hart, EXC_STORE_MISALIGNED, LD);
	expect_again(hart, EXC_STORE_MISALIGNED, FLD);
	/* Registers of floating point that are not its own, where its FS is off. */
	hart->mstatus &= ~(uint64_t)SSTATUS_FS;
	expect_again(hart, EXC_STORE_MISALIGNED, FSD);
	expect_again(hart, EXC_LOAD_MISALIGNED, FLD);
	/* Of a guest it is either. */
	hart->mstatus |= MSTATUS_MPV;
	csrs[CSR_VSSTATUS] = MSTATUS_FS_FIRST;
	expect_again(hart, EXC_STORE_MISALIGNED, FSD);
	hart->mstatus |= MSTATUS_FS_FIRST;
	csrs[CSR_VSSTATUS] = 0;
	expect_again(hart, EXC_STORE_MISALIGNED, FSD);
	expect_again(hart, EXC_LOAD_MISALIGNED, FLD);
	assert_int_equal(csrs[CSR_VSSTATUS], 0);
}

static void atomics_are_told_of(void **state)
{
	struct fw_hart *hart = *state;

	hart->mstatus |= SSTATUS_SIE;
	run(hart, EXC_STORE_MISALIGNED, MEMORY + 2, AMOADD_W);
	assert_int_equal(csrs[CSR_SCAUSE], EXC_STORE_MISALIGNED);
	assert_int_equal(csrs[CSR_STVAL], MEMORY + 2);
	assert_int_equal(csrs[CSR_SEPC], CODE);
	assert_int_equal(hart->mepc, 0x80200100);
	assert_int_equal(hart->mstatus & (SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP),
			 SSTATUS_SPIE | SSTATUS_SPP);
	assert_int_equal(hart->mstatus & MSTATUS_MPP, MSTATUS_MPP_S);
	assert_int_equal(memory[2], 0x82);
}

static void from_user_mode(void **state)
{
	struct fw_hart *hart = *state;

	hart->mstatus = SSTATUS_SPP;
	run(hart, EXC_LOAD_MISALIGNED, MEMORY + 2, AMOADD_W);
	assert_int_equal(hart->mstatus & (SSTATUS_SPIE | SSTATUS_SPP), 0);
	assert_int_equal(hart->mstatus & MSTATUS_MPP, MSTATUS_MPP_S);
}

/* An access faults half-way: S-mode is told of that, at the same instruction. */
static void fault_inside(void **state)
{
	struct fw_hart *hart = *state;
	uint64_t before = hart->x[10];

	memory_end = MEMORY + 4;
	hart->mstatus |= MSTATUS_MPV;
	csrs[CSR_HSTATUS] = HSTATUS_VTW;
	run(hart, EXC_LOAD_MISALIGNED, MEMORY + 1, LD);
	assert_int_equal(hart->x[10], before);
	assert_int_equal(csrs[CSR_SCAUSE], EXC_LOAD_GUEST_PAGE);
	assert_int_equal(csrs[CSR_STVAL], MEMORY + 4);
	assert_int_equal(csrs[CSR_HTVAL], 77);
	assert_int_equal(csrs[CSR_SEPC], CODE);
	assert_int_equal(csrs[CSR_HSTATUS], HSTATUS_VTW | HSTATUS_SPV | HSTATUS_SPVP | HSTATUS_GVA);
	assert_int_equal(hart->mstatus & MSTATUS_MPV, 0);
}

/* What the hypervisor has delegated to its guest goes there. */
static void into_the_guest(void **state)
{
	struct fw_hart *hart = *state;

	hart->mstatus = MSTATUS_MPV;
	csrs[CSR_HEDELEG] = BIT(EXC_LOAD_MISALIGNED);
	csrs[CSR_VSSTATUS] = SSTATUS_SIE | SSTATUS_SPP;
	run(hart, EXC_LOAD_MISALIGNED, MEMORY + 2, AMOADD_W);
	assert_int_equal(csrs[CSR_VSCAUSE], EXC_LOAD_MISALIGNED);
	assert_int_equal(csrs[CSR_VSTVAL], MEMORY + 2);
	assert_int_equal(csrs[CSR_VSEPC], CODE);
	assert_int_equal(csrs[CSR_VSSTATUS], SSTATUS_SPIE);
	assert_int_equal(csrs[CSR_SCAUSE], 0);
	assert_int_equal(hart->mepc, 0x90200100);
	assert_true(hart->mstatus & MSTATUS_MPV);
	assert_int_equal(hart->mstatus & MSTATUS_MPP, MSTATUS_MPP_S);
}

static void counters(void **state)
{
	struct fw_hart *hart = *state;

	run(hart, EXC_ILLEGAL_INSN, RDTIME, 0);
	assert_int_equal(hart->x[10], 1000);
	assert_int_equal(hart->mepc, CODE + 4);
	/* A guest has its own; the hart need not tell the instruction. */
	hart->mepc = CODE;
	hart->mstatus |= MSTATUS_MPV;
	csrs[CSR_HTIMEDELTA] = 234;
	run(hart, EXC_ILLEGAL_INSN, 0, RDTIME);
	assert_int_equal(hart->x[10], 1234);
	hart->mepc = CODE;
	csrs[CSR_MCYCLE] = 42;
	run(hart, EXC_ILLEGAL_INSN, RDCYCLE, 0);
	assert_int_equal(hart->x[10], 42);
}

static void closed_counters(void **state)
{
	struct fw_hart *hart = *state;

	csrs[CSR_SCOUNTEREN] = 5;
	run(hart, EXC_ILLEGAL_INSN, RDTIME, 0);
	assert_int_equal(hart->mepc, CODE + 4);
	hart->mepc = CODE;
	hart->mstatus = 0;
	run(hart, EXC_ILLEGAL_INSN, RDTIME, 0);
	assert_int_equal(csrs[CSR_SCAUSE], EXC_ILLEGAL_INSN);
	assert_int_equal(csrs[CSR_STVAL], RDTIME);
	/* Closed by the hypervisor: it is to know. */
	hart->mepc = CODE;
	hart->mstatus = MSTATUS_MPV | MSTATUS_MPP_S;
	csrs[CSR_HCOUNTEREN] = 0;
	run(hart, EXC_ILLEGAL_INSN, RDTIME, 0);
	assert_int_equal(csrs[CSR_SCAUSE], EXC_VIRTUAL_INSN);
	assert_true(csrs[CSR_HSTATUS] & HSTATUS_SPV);
}

static void other_instructions(void **state)
{
	struct fw_hart *hart = *state;

	run(hart, EXC_ILLEGAL_INSN, CSRW, 0);
	assert_int_equal(csrs[CSR_SCAUSE], EXC_ILLEGAL_INSN);
	assert_int_equal(csrs[CSR_SEPC], CODE);
}

static void interrupts(void **state)
{
	run(*state, BIT(63) | IRQ_M_EXT, 0, 0);
	assert_int_equal(served, 1);
	assert_int_equal(csrs[CSR_SCAUSE], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(loads, setup),
	    cmocka_unit_test_setup(stores, setup),
	    cmocka_unit_test_setup(floating_point, setup),
	    cmocka_unit_test_setup(changed_meanwhile, setup),
	    cmocka_unit_test_setup(atomics_are_told_of, setup),
	    cmocka_unit_test_setup(from_user_mode, setup),
	    cmocka_unit_test_setup(fault_inside, setup),
	    cmocka_unit_test_setup(into_the_guest, setup),
	    cmocka_unit_test_setup(counters, setup),
	    cmocka_unit_test_setup(closed_counters, setup),
	    cmocka_unit_test_setup(other_instructions, setup),
	    cmocka_unit_test_setup(interrupts, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
