/* SPDX-License-Identifier: MIT */
/* Each exception a guest can get without paging, and what the CSRs then say. */
#include "guests/selftest/test.h"

static const uint64_t nowhere[] = {NOWHERE,    NOWHERE + 0xff8, 0x18000000,
				   0x10010000, BIT(40),         BIT(55)};

static void fetch_access(void)
{
	const uint64_t more[] = {machine.ram_base + machine.ram_size,
				 UART_BASE,
				 PLIC_BASE,
				 RTC_BASE,
				 FINISHER_BASE,
				 VIRTIO_BASE};
	/* QEMU executes what device registers read as. */
	size_t count = machine.native ? 1 : ARRAY_SIZE(more);

	for (int user = 0; user < 2; user++) {
		for (size_t i = 0; i < ARRAY_SIZE(nowhere); i++) {
			trap_exec(nowhere[i], NULL, user);
			expect_trap(EXC_INSN_ACCESS, nowhere[i], "user %d at 0x%lx", user,
				    nowhere[i]);
			expect_eq(hart_self()->trap.epc, nowhere[i], "sepc");
		}
		for (size_t i = 0; i < count; i++) {
			trap_exec(more[i], NULL, user);
			expect_trap(EXC_INSN_ACCESS, more[i], "user %d at 0x%lx", user, more[i]);
			expect_eq(hart_self()->trap.epc, more[i], "sepc");
		}
	}
}

static void illegal_words(void)
{
	static const uint32_t words[] = {
	    0x00000000,
	    0xffffffff,
	    0x0000707f,
	    0xfe00707f,
	    0x00003073 | 0x7c0U << 20,
	    0x0200707f,
	    0x0000600f | 0xfffU << 20,
	    0x02004033 | 0x7fU << 25,
	    0x0000007b,
	    0xffffe07f,
	    0x10200173 /* sret with rd */,
	    0x12345073,
	    0x00300073,
	    0x9ffff073,
	};
	static const uint16_t halves[] = {0x0000, 0x9c79, 0x9000, 0x6001, 0x4002, 0x6002};

	for (int user = 0; user < 2; user++) {
		for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
			uint32_t bits = (words[i] & 3) == 3 ? words[i] : words[i] & 0xffff;

			insn_exec(words[i], NULL, user);
			expect_trap(EXC_ILLEGAL_INSN, bits, "user %d 0x%x", user, words[i]);
			expect_eq(hart_self()->trap.epc, insn_address(), "sepc");
		}
		for (size_t i = 0; i < ARRAY_SIZE(halves); i++) {
			insn_exec(halves[i], NULL, user);
			expect_trap(EXC_ILLEGAL_INSN, halves[i], "user %d 0x%x", user, halves[i]);
		}
	}
}

static void breakpoint(void)
{
	const struct trap_frame *trap = &hart_self()->trap;

	for (int user = 0; user < 2; user++)
		for (int compressed = 0; compressed < 2; compressed++) {
			insn_exec(compressed ? INSN_C_EBREAK : INSN_EBREAK, NULL, user);
			expect_eq(trap->cause, EXC_BREAKPOINT, "cause");
			expect_eq(trap->epc, insn_address(), "sepc");
			expect(trap->tval == 0 || trap->tval == trap->epc, "stval 0x%lx",
			       trap->tval);
		}
}

static void ecall_user(void)
{
	uint64_t x[32];

	for (uint64_t i = 0; i < 32; i++)
		x[i] = i << 56 | 0x1234567;
	insn_exec(INSN_ECALL, x, true);
	expect_trap(EXC_ECALL_U, 0, "ecall");
	expect_eq(hart_self()->trap.epc, insn_address(), "sepc");
	expect_eq(hart_self()->trap.status & SSTATUS_SPP, 0, "SPP");
	for (int i = 1; i < 32; i++)
		expect_eq(hart_self()->trap.x[i], x[i], "x%d", i);
}

struct access {
	uint32_t insn; /* address in a0, data in a1 or f1 */
	uint8_t size, cause;
	bool atomic;
};

/* QEMU 7.2 gives an AMO the cause of a load. */
static uint64_t expected_cause(const struct access *access)
{
	uint64_t cause = hart_self()->trap.cause;

	return access->atomic && cause == EXC_LOAD_ACCESS ? cause : access->cause;
}

/* Every form of access; instructions without a width here are of 8 bytes. */
static size_t list_accesses(struct access *list)
{
	static const uint8_t amos[] = {0, 1, 4, 8, 12, 16, 20, 24, 28};
	size_t n = 0;

	for (uint32_t f3 = 0; f3 < 7; f3++)
		list[n++] = (struct access){insn_i(OP_LOAD, f3, 12, 10, 0),
					    (uint8_t)(1 << (f3 & 3)), EXC_LOAD_ACCESS, false};
	for (uint32_t f3 = 0; f3 < 4; f3++)
		list[n++] = (struct access){insn_s(OP_STORE, f3, 10, 11, 0), (uint8_t)(1 << f3),
					    EXC_STORE_ACCESS, false};
	for (uint32_t f3 = 2; f3 < 4; f3++) {
		uint8_t size = (uint8_t)(1 << f3);

		list[n++] =
		    (struct access){insn_i(OP_LOAD_FP, f3, 1, 10, 0), size, EXC_LOAD_ACCESS, false};
		list[n++] = (struct access){insn_s(OP_STORE_FP, f3, 10, 1, 0), size,
					    EXC_STORE_ACCESS, false};
		list[n++] =
		    (struct access){insn_amo(2, f3, 12, 10, 0), size, EXC_LOAD_ACCESS, true};
		for (size_t i = 0; i < ARRAY_SIZE(amos); i++)
			list[n++] = (struct access){insn_amo(amos[i], f3, 12, 10, 11), size,
						    EXC_STORE_ACCESS, true};
		list[n++] =
		    (struct access){insn_c_mem(f3, 12, 10, 0), size, EXC_LOAD_ACCESS, false};
		list[n++] =
		    (struct access){insn_c_mem(f3 + 4, 11, 10, 0), size, EXC_STORE_ACCESS, false};
	}
	list[n++] = (struct access){insn_c_mem(1, 12, 10, 0), 8, EXC_LOAD_ACCESS, false};
	list[n++] = (struct access){insn_c_mem(5, 12, 10, 0), 8, EXC_STORE_ACCESS, false};
	return n;
}

static void data_access(void)
{
	struct access list[64];
	size_t count = list_accesses(list);

	csr_set(CSR_SSTATUS, SSTATUS_FS);
	for (int user = 0; user < 2; user++)
		for (size_t a = 0; a < ARRAY_SIZE(nowhere); a++)
			for (size_t i = 0; i < count; i++) {
				uint64_t address = align_down(nowhere[a], list[i].size);

				insn_exec2(list[i].insn, address, 1, user);
				expect_trap(expected_cause(&list[i]), address, "user %d insn 0x%x",
					    user, list[i].insn);
				expect_eq(hart_self()->trap.epc, insn_address(), "sepc");
			}
}

static void data_access_end(void)
{
	uint64_t end = machine.ram_base + machine.ram_size;
	struct access list[64];
	size_t count = list_accesses(list);

	csr_set(CSR_SSTATUS, SSTATUS_FS);
	for (size_t i = 0; i < count; i++) {
		insn_exec2(list[i].insn, end, 1, false);
		expect_trap(expected_cause(&list[i]), end, "insn 0x%x after the end of RAM",
			    list[i].insn);
	}
}

/* rd, and the compared pair, are as before when the access faulted. */
static void data_access_keeps(void)
{
	struct access list[64];
	size_t count = list_accesses(list);
	uint64_t x[32];

	csr_set(CSR_SSTATUS, SSTATUS_FS);
	for (size_t i = 0; i < count; i++) {
		for (uint64_t r = 0; r < 32; r++)
			x[r] = r * 0x1111;
		x[10] = NOWHERE;
		insn_exec(list[i].insn, x, false);
		for (int r = 1; r < 32; r++)
			expect_eq(hart_self()->trap.x[r], x[r], "insn 0x%x: x%d", list[i].insn, r);
	}
}

/* Misaligned AMOs and LR/SC fault, as misaligned or as access faults; never tear. */
static void amo_misaligned(void)
{
	static uint64_t words[4] __aligned(32);
	struct access list[64];
	size_t count = list_accesses(list);

	for (size_t i = 0; i < count; i++) {
		uint64_t cause;

		if (!list[i].atomic)
			continue;
		words[0] = words[1] = 0x1111;
		insn_exec2(list[i].insn, (uint64_t)words + 1, 1, false);
		/* Zama16b allows them within 16 bytes. */
		if (insn_completed())
			continue;
		cause = hart_self()->trap.cause;
		expect_eq(hart_self()->trap.tval, (uint64_t)words + 1, "stval of 0x%x",
			  list[i].insn);
		/* With one hart QEMU gives all of them the cause of a load. */
		expect(cause >= EXC_LOAD_MISALIGNED && cause <= EXC_STORE_ACCESS, "0x%x: cause %lu",
		       list[i].insn, cause);
		expect(words[0] == 0x1111 && words[1] == 0x1111, "0x%x wrote", list[i].insn);
	}
}

static void status_stack(void)
{
	uint64_t status;

	/* Interrupts on: a trap moves SIE to SPIE and SPP says S. */
	csr_set(CSR_SSTATUS, SSTATUS_SIE);
	insn_exec(INSN_EBREAK, NULL, false);
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	status = hart_self()->trap.status;
	expect(status & SSTATUS_SPP, "SPP is 0 after a trap from S");
	/* trap_exec() enters with SPIE 0, so SIE was 0. */
	expect_eq(status & SSTATUS_SPIE, 0, "SPIE after a trap with SIE 0");
	expect_eq(status & SSTATUS_SIE, 0, "SIE in the handler");
	insn_exec(INSN_EBREAK, NULL, true);
	expect_eq(hart_self()->trap.status & SSTATUS_SPP, 0, "SPP after a trap from U");
}

/* sret: SIE becomes SPIE, SPIE 1, SPP 0. */
static void sret_state(void)
{
	for (int spie = 0; spie < 2; spie++) {
		uint64_t status;

		csr_clear(CSR_SIE, ~UINT64_C(0));
		__asm__ volatile("la t0, 1f\n csrw sepc, t0\n"
				 "csrc sstatus, %1\n csrs sstatus, %2\n"
				 "sret\n"
				 ".balign 4\n 1: csrr %0, sstatus\n csrci sstatus, 2"
				 : "=&r"(status)
				 : "r"((uint64_t)(SSTATUS_SPIE | SSTATUS_SIE)),
				   "r"((uint64_t)(SSTATUS_SPP | (spie ? SSTATUS_SPIE : 0)))
				 : "t0", "memory");
		expect_eq(!!(status & SSTATUS_SIE), spie, "SIE");
		expect(status & SSTATUS_SPIE, "SPIE is 0");
		expect_eq(status & SSTATUS_SPP, 0, "SPP");
	}
}

static uint64_t run_nested(uint64_t depth, uint64_t a1, uint64_t a2)
{
	(void)a1;
	(void)a2;
	if (depth > 0) {
		expect(trap_run(run_nested, depth - 1, 0, 0), "level %lu did not trap", depth);
		expect_trap(EXC_LOAD_ACCESS, NOWHERE + 8 * (depth - 1), "level %lu", depth);
	}
	return *(volatile uint64_t *)(NOWHERE + 8 * depth);
}

static void on_interrupt_trap(struct trap_frame *frame)
{
	trap_interrupt_quiet(frame->cause & 15);
	expect(trap_run(run_nested, 2, 0, 0), "no exception in the handler");
	expect_trap(EXC_LOAD_ACCESS, NOWHERE + 16, "in the handler");
}

static void nested(void)
{
	uint64_t sp;

	expect(trap_run(run_nested, 8, 0, 0), "no exception");
	expect_trap(EXC_LOAD_ACCESS, NOWHERE + 64, "outermost");
	hart_self()->on_interrupt = on_interrupt_trap;
	csr_set(CSR_SIE, BIT(IRQ_S_SOFT));
	csr_set(CSR_SIP, BIT(IRQ_S_SOFT));
	csr_set(CSR_SSTATUS, SSTATUS_SIE);
	expect(wait_until(hart_self()->interrupts[IRQ_S_SOFT] > 0, 100), "no interrupt");
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	__asm__ volatile("mv %0, sp" : "=r"(sp));
	expect_eq(sp & 15, 0, "stack");
	expect_eq(csr_read(CSR_SSCRATCH), hart_self(), "sscratch");
}

static void vectored(void)
{
	struct hart *hart = hart_self();

	csr_write(CSR_STVEC, (uint64_t)trap_vectors | 1);
	if (csr_read(CSR_STVEC) != ((uint64_t)trap_vectors | 1)) {
		test_skip("stvec has no vectored mode");
		return;
	}
	insn_exec(INSN_ECALL, NULL, true);
	expect_eq(hart->vector, 1, "entry for an exception, plus 1");
	csr_set(CSR_SIE, BIT(IRQ_S_SOFT) | BIT(IRQ_S_TIMER));
	csr_set(CSR_SIP, BIT(IRQ_S_SOFT));
	csr_set(CSR_SSTATUS, SSTATUS_SIE);
	expect(wait_until(hart->interrupts[IRQ_S_SOFT] > 0, 100), "no software interrupt");
	expect_eq(hart->vector, IRQ_S_SOFT + 1, "entry for a software interrupt, plus 1");
	sbi_call(SBI_EXT_TIME, 0, 0, 0, 0, 0, 0);
	expect(wait_until(hart->interrupts[IRQ_S_TIMER] > 0, 100), "no timer interrupt");
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	expect_eq(hart->vector, IRQ_S_TIMER + 1, "entry for the timer, plus 1");
}

/* Values written to CSRs with reserved bits come back legal. */
static void warl(void)
{
	uint64_t sstatus = csr_read(CSR_SSTATUS);

	csr_write(CSR_SEPC, UINT64_C(0x80201236));
	expect_eq(csr_read(CSR_SEPC), 0x80201236, "sepc");
	csr_write(CSR_SSTATUS, sstatus | BIT(0) | BIT(2) | BIT(3) | BIT(4) | BIT(7) | BIT(40));
	expect_eq(csr_read(CSR_SSTATUS) & (BIT(0) | BIT(2) | BIT(3) | BIT(4) | BIT(7) | BIT(40)), 0,
		  "sstatus' reserved bits");
	expect_eq(csr_read(CSR_SSTATUS) & BITS(33, 32), SSTATUS_UXL_64, "UXL");
	csr_write(CSR_SSTATUS, sstatus);
	csr_write(CSR_SCAUSE, SCAUSE_INTERRUPT | 9);
	expect_eq(csr_read(CSR_SCAUSE), SCAUSE_INTERRUPT | 9, "scause");
	csr_write(CSR_STVAL, ~UINT64_C(0));
	expect_eq(csr_read(CSR_STVAL), ~UINT64_C(0), "stval");
	csr_write(CSR_SSCRATCH, UINT64_C(0x5555aaaa5555aaaa));
	expect_eq(csr_read(CSR_SSCRATCH), UINT64_C(0x5555aaaa5555aaaa), "sscratch");
	csr_write(CSR_SSCRATCH, hart_self());
	csr_write(CSR_SIE, ~UINT64_C(0));
	expect_eq(csr_read(CSR_SIE) & 0xfff, 0x222, "sie");
	csr_write(CSR_SIE, 0);
	csr_write(CSR_SCOUNTEREN, 7);
	expect_eq(csr_read(CSR_SCOUNTEREN) & 7, 7, "scounteren");
	csr_write(CSR_SCOUNTEREN, 0);
	expect_eq(csr_read(CSR_SCOUNTEREN) & 7, 0, "scounteren");
}

static const struct test tests[] = {
    {"fetch-access", fetch_access},
    {"illegal-words", illegal_words},
    {"breakpoint", breakpoint},
    {"ecall-user", ecall_user},
    {"data-access", data_access},
    {"data-access-end", data_access_end},
    {"data-access-keeps", data_access_keeps},
    {"amo-misaligned", amo_misaligned},
    {"status-stack", status_stack},
    {"sret-state", sret_state},
    {"nested", nested},
    {"vectored", vectored},
    {"warl", warl},
};
TEST_GROUP(traps, tests);
