/* SPDX-License-Identifier: MIT */
/* CSR instructions in hot code: each register, sstatus's fields, and runs that end behind each. */
#include "guests/selftest/code.h"

#define INSN_C_NOP 0x0001
#define FIELDS     (SSTATUS_SPIE | SSTATUS_SPP | SSTATUS_SUM | SSTATUS_MXR | SSTATUS_FS | SSTATUS_VS)

/* Two rows of instructions, one of them with something plain behind each. */
static void emit_row(struct code *code, const uint32_t *insns, size_t count, bool apart)
{
	for (size_t i = 0; i < count; i++) {
		emit(code, insns[i]);
		if (apart)
			emit(code, INSN_C_NOP);
	}
}

static void run_row(const uint32_t *insns, size_t count, bool apart, const uint64_t x[32])
{
	uint64_t frame = code_setup(1);
	struct code code;

	code_begin(&code, frame, 0x80, HOT);
	emit_row(&code, insns, count, apart);
	code_end(&code);
	code_run(CODE, 0x80, x, false);
	code_expect_end(&code, CODE, "row");
	paging_off();
}

/* Each register is read from, written to, and changes places; all others stay. */
static void one_register(uint32_t n, bool apart, uint64_t *seed)
{
	const uint32_t other = n == A0 ? A1 : A0;
	const uint32_t insns[] = {
	    insn_csr(1, CSR_SSCRATCH, n, n),  insn_csrw(CSR_STVAL, n),
	    insn_csr(1, CSR_SSCRATCH, n, n),  insn_csrw(CSR_SEPC, n),
	    insn_csrr(other, CSR_SEPC),       insn_csrw(CSR_SCAUSE, n),
	    insn_csrw(CSR_SEPC, other),       insn_csrr(n, CSR_SEPC),
	    insn_csr(1, CSR_SCAUSE, n, n),    insn_csrw(CSR_STVAL, n),
	    insn_csrr(other, CSR_STVAL),      insn_csr(1, CSR_SEPC, n, n),
	    insn_csr(1, CSR_STVAL, n, other),
	};
	const struct trap_frame *trap = &hart_self()->trap;
	uint64_t x[32] = {0};

	for (uint32_t i = 1; i < 32; i++)
		x[i] = random_next(seed) & INT64_MAX >> 30;
	x[n] |= 1;
	run_row(insns, ARRAY_SIZE(insns), apart, x);
	for (uint32_t i = 1; i < 32; i++) {
		if (i == n || i == other)
			expect_eq(trap->x[i], x[n], "x%u of x%u", i, n);
		else if (i != T5)
			expect_eq(trap->x[i], x[i], "x%u beside x%u", i, n);
	}
}

static void registers(void)
{
	uint64_t seed = test_seed * 17 + 5;

	for (uint32_t n = 1; n < 32; n++) {
		if (n == T5)
			continue;
		one_register(n, false, &seed);
		one_register(n, true, &seed);
	}
}

/* What sstatus is after `value` was written there; `fixed` is what no write changes. */
static uint64_t status_of(uint64_t value, uint64_t writable, uint64_t fixed)
{
	uint64_t status = (value & writable) | fixed;

	if ((status & SSTATUS_FS) == SSTATUS_FS || (status & SSTATUS_VS) == SSTATUS_VS)
		status |= SSTATUS_SD;
	return status;
}

/* sstatus written, cleared, set and exchanged, with what was there read and not, as in the model.
 */
static void status_row(bool apart, uint64_t writable, uint64_t fixed, uint64_t *seed)
{
	const uint64_t before = csr_read(CSR_SSTATUS);
	const uint32_t insns[] = {
	    insn_csrw(CSR_SSTATUS, A0),
	    insn_csr(3, CSR_SSTATUS, S2, A1),
	    insn_csrr(S3, CSR_SSTATUS),
	    insn_csr(2, CSR_SSTATUS, 0, A2),
	    insn_csr(2, CSR_SSTATUS, S4, A3),
	    insn_csr(3, CSR_SSTATUS, 0, A4),
	    insn_csr(1, CSR_SSTATUS, S5, A5),
	    insn_csrr(S6, CSR_SSTATUS),
	    insn_csr(7, CSR_SSTATUS, S7, 0x1f & ~SSTATUS_SIE),
	    insn_csrw(CSR_SSTATUS, A6),
	};
	const struct trap_frame *trap = &hart_self()->trap;
	uint64_t x[32] = {[A6] = before & ~(uint64_t)SSTATUS_SIE}, status;

	for (uint32_t i = A0; i <= A5; i++)
		x[i] = random_next(seed) & random_next(seed) & FIELDS;
	run_row(insns, ARRAY_SIZE(insns), apart, x);
	status = status_of(x[A0], writable, fixed);
	expect_eq(trap->x[S2], status, "sstatus 0x%lx", x[A0]);
	status = status_of(status & ~x[A1], writable, fixed);
	expect_eq(trap->x[S3], status, "sstatus, 0x%lx cleared", x[A1]);
	status = status_of(status | x[A2], writable, fixed);
	expect_eq(trap->x[S4], status, "sstatus, 0x%lx set", x[A2]);
	status = status_of((status | x[A3]) & ~x[A4], writable, fixed);
	expect_eq(trap->x[S5], status, "sstatus, 0x%lx set, 0x%lx cleared", x[A3], x[A4]);
	status = status_of(x[A5], writable, fixed);
	expect_eq(trap->x[S6], status, "sstatus, exchanged for 0x%lx", x[A5]);
	expect_eq(trap->x[S7], status, "sstatus, with nothing cleared");
	csr_write(CSR_SSTATUS, before);
}

static void status(void)
{
	const uint64_t before = csr_read(CSR_SSTATUS);
	uint64_t seed = test_seed * 19 + 3, writable, fixed;

	csr_clear(CSR_SSTATUS, FIELDS);
	/* trap_exec() leaves interrupts off. */
	fixed = csr_read(CSR_SSTATUS) & ~(uint64_t)SSTATUS_SIE;
	csr_set(CSR_SSTATUS, FIELDS);
	writable = csr_read(CSR_SSTATUS) & FIELDS;
	csr_write(CSR_SSTATUS, before);
	for (unsigned int round = 0; round < 40; round++)
		status_row(round & 1, writable, fixed, &seed);
}

static const struct test tests[] = {
    {"registers", registers},
    {"status", status},
};
TEST_GROUP(code_csr, tests);
