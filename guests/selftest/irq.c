/* SPDX-License-Identifier: MIT */
/* Software and timer interrupts, WFI, and which of several interrupts comes first. */
#include "guests/selftest/mmio.h"
#include "guests/selftest/sbi.h"

#define NEVER (~UINT64_C(0))

static void wfi(void)
{
	__asm__ volatile("wfi" ::: "memory");
}

static void interrupts_on(void)
{
	csr_set(CSR_SSTATUS, SSTATUS_SIE);
}

static void interrupts_off(void)
{
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
}

static uint64_t taken(uint64_t number)
{
	return hart_self()->interrupts[number];
}

static void sip_fields(void)
{
	sbi1(SBI_EXT_TIME, 0, NEVER);
	csr_write(CSR_SIP, 0);
	expect_eq(csr_read(CSR_SIP) & 0x222, 0, "sip when quiet");
	csr_set(CSR_SIP, 0x222);
	expect_eq(csr_read(CSR_SIP) & 0x222, 0x002, "sip after setting all");
	csr_clear(CSR_SIP, 0x222);
	expect_eq(csr_read(CSR_SIP) & 0x222, 0, "sip after clearing all");
	csr_write(CSR_SIP, ~UINT64_C(0));
	expect_eq(csr_read(CSR_SIP) & 0x222, 0x002, "sip after writing ones");
	csr_write(CSR_SIP, 0);
	sbi1(SBI_EXT_TIME, 0, 0);
	expect(wait_until(irq_pending(IRQ_S_TIMER), 100), "no STIP");
	csr_write(CSR_SIP, 0);
	expect(irq_pending(IRQ_S_TIMER), "STIP was cleared by a write");
}

static void soft_self(void)
{
	csr_set(CSR_SIE, BIT(IRQ_S_SOFT));
	interrupts_on();
	for (uint64_t n = 1; n <= 200; n++) {
		if (n & 1)
			csr_set(CSR_SIP, BIT(IRQ_S_SOFT));
		else
			sbi2(SBI_EXT_IPI, 0, BIT(hart_self()->id), 0);
		expect(wait_until(taken(IRQ_S_SOFT) == n, 100), "%lu taken of %lu",
		       taken(IRQ_S_SOFT), n);
	}
	interrupts_off();
	expect_eq(csr_read(CSR_SIP) & BIT(IRQ_S_SOFT), 0, "SSIP");
}

static void soft_masked(void)
{
	sbi2(SBI_EXT_IPI, 0, BIT(hart_self()->id), 0);
	expect(wait_until(csr_read(CSR_SIP) & BIT(IRQ_S_SOFT), 100), "not pending");
	interrupts_on();
	test_delay(1);
	expect_eq(taken(IRQ_S_SOFT), 0, "taken with SSIE 0");
	csr_set(CSR_SIE, BIT(IRQ_S_SOFT));
	expect(wait_until(taken(IRQ_S_SOFT) == 1, 100), "not taken when SSIE became 1");
	interrupts_off();
	csr_set(CSR_SIP, BIT(IRQ_S_SOFT));
	test_delay(1);
	expect_eq(taken(IRQ_S_SOFT), 1, "taken with SIE 0");
	interrupts_on();
	expect(wait_until(taken(IRQ_S_SOFT) == 2, 100), "not taken when SIE became 1");
	interrupts_off();
}

/* Interrupts are always on in U-mode, whatever sstatus.SIE says. */
static void user_interrupted(void)
{
	csr_set(CSR_SIE, BIT(IRQ_S_SOFT));
	csr_set(CSR_SIP, BIT(IRQ_S_SOFT));
	insn_exec(INSN_NOP, NULL, true);
	expect(insn_completed(), "cause %lu", hart_self()->trap.cause);
	expect_eq(taken(IRQ_S_SOFT), 1, "taken");
}

static void set_sbi(uint64_t time)
{
	sbi1(SBI_EXT_TIME, 0, time);
}

static void set_stimecmp(uint64_t time)
{
	csr_write(CSR_STIMECMP, time);
}

static void timer_values(void (*set)(uint64_t time))
{
	uint64_t deadline, before;

	csr_set(CSR_SIE, BIT(IRQ_S_TIMER));
	set(NEVER);
	interrupts_on();
	test_delay(2);
	expect_eq(taken(IRQ_S_TIMER), 0, "taken after never");
	set(0);
	expect(wait_until(taken(IRQ_S_TIMER) == 1, 100), "not taken after 0");
	set(time_now() - 1);
	expect(wait_until(taken(IRQ_S_TIMER) == 2, 100), "not taken for the past");
	deadline = time_now() + machine.timebase / 50;
	set(deadline);
	before = taken(IRQ_S_TIMER);
	set(NEVER);
	/* A machine under load may have taken all that time for it. */
	if (time_now() < deadline) {
		expect_eq(before, 2, "taken at once");
		expect(!wait_until(time_now() > deadline && taken(IRQ_S_TIMER) != 2, 30),
		       "taken though cancelled");
	}
	interrupts_off();
}

static void timer_deadlines(void (*set)(uint64_t time))
{
	csr_set(CSR_SIE, BIT(IRQ_S_TIMER));
	interrupts_on();
	for (uint64_t n = 1; n <= 100 && !test_failed(); n++) {
		uint64_t deadline = time_now() + n * machine.timebase / 100000;

		set(deadline);
		expect(wait_until(taken(IRQ_S_TIMER) == n, 1000), "%lu taken of %lu",
		       taken(IRQ_S_TIMER), n);
		expect(time_now() >= deadline, "%lu ticks too early", deadline - time_now());
	}
	interrupts_off();
}

static void timer_sbi(void)
{
	timer_values(set_sbi);
}

static void timer_sbi_deadlines(void)
{
	timer_deadlines(set_sbi);
}

static bool no_sstc(void)
{
	if (!machine_has("sstc"))
		test_skip("no Sstc");
	return !machine_has("sstc");
}

static void timer_stimecmp(void)
{
	if (no_sstc())
		return;
	timer_values(set_stimecmp);
	csr_write(CSR_STIMECMP, 0x123456789abcdef0);
	expect_eq(csr_read(CSR_STIMECMP), 0x123456789abcdef0, "stimecmp");
	csr_write(CSR_STIMECMP, NEVER);
	expect_eq(csr_read(CSR_STIMECMP), NEVER, "stimecmp");
}

static void timer_stimecmp_deadlines(void)
{
	if (!no_sstc())
		timer_deadlines(set_stimecmp);
}

static void timer_zero_loop(void)
{
	for (int i = 0; i < 500 && !test_failed(); i++) {
		set_sbi(0);
		expect(wait_until(irq_pending(IRQ_S_TIMER), 100), "round %d: not pending", i);
		set_sbi(NEVER);
		expect(!irq_pending(IRQ_S_TIMER), "round %d: pending", i);
	}
}

static void wfi_timer(void)
{
	csr_set(CSR_SIE, BIT(IRQ_S_TIMER));
	for (int masked = 0; masked < 2; masked++)
		for (uint64_t n = 1; n <= 20; n++) {
			uint64_t deadline = time_now() + n * machine.timebase / 10000;
			uint64_t before = taken(IRQ_S_TIMER);

			set_sbi(deadline);
			if (!masked)
				interrupts_on();
			/*
			 * It may end for no reason. Between a look at the time and WFI no interrupt
			 * may be taken: nothing would be left to end it.
			 */
			while (time_now() < deadline) {
				interrupts_off();
				if (time_now() < deadline)
					wfi();
				if (!masked)
					interrupts_on();
			}
			if (masked)
				expect(wait_until(irq_pending(IRQ_S_TIMER), 100), "no STIP");
			else
				expect(wait_until(taken(IRQ_S_TIMER) == before + 1, 100),
				       "not taken");
			interrupts_off();
			expect_eq(taken(IRQ_S_TIMER) - before, !masked, "taken, masked %d", masked);
			expect(time_now() - deadline < machine.timebase, "late by %lu ticks",
			       time_now() - deadline);
			set_sbi(NEVER);
		}
}

static void wfi_pending(void)
{
	csr_set(CSR_SIE, BIT(IRQ_S_SOFT));
	csr_set(CSR_SIP, BIT(IRQ_S_SOFT));
	for (int i = 0; i < 100; i++)
		wfi();
	expect_eq(taken(IRQ_S_SOFT), 0, "taken");
	expect(csr_read(CSR_SIP) & BIT(IRQ_S_SOFT), "not pending");
}

/*
 * With all three pending at once, the order is external, software, timer. QEMU takes the lowest
 * number first where there is no AIA.
 */
static void priority(void)
{
	struct hart *hart = hart_self();
	uint64_t context = plic_context(hart->id);

	PLIC_PRIORITY(UART_IRQ) = 1;
	PLIC_ENABLE(context, 0) = BIT(UART_IRQ);
	PLIC_THRESHOLD(context) = 0;
	UART_REG(UART_IER) = 2;
	set_sbi(0);
	csr_set(CSR_SIP, BIT(IRQ_S_SOFT));
	expect(wait_until(irq_pending(IRQ_S_SOFT) && irq_pending(IRQ_S_TIMER) &&
			      irq_pending(IRQ_S_EXT),
			  100),
	       "sip 0x%lx", csr_read(CSR_SIP));
	csr_write(CSR_SIE, 0x222);
	hart->order_count = 0;
	interrupts_on();
	wait_until(hart->order_count >= 3, 100);
	interrupts_off();
	UART_REG(UART_IER) = 0;
	PLIC_ENABLE(context, 0) = 0;
	expect_eq(hart->order_count, 3, "interrupts");
	expect((hart->order[0] == IRQ_S_EXT && hart->order[1] == IRQ_S_SOFT &&
		hart->order[2] == IRQ_S_TIMER) ||
		   (hart->order[0] == IRQ_S_SOFT && hart->order[1] == IRQ_S_TIMER &&
		    hart->order[2] == IRQ_S_EXT),
	       "order %lu %lu %lu", hart->order[0], hart->order[1], hart->order[2]);
}

static const struct test tests[] = {
    {"sip-fields", sip_fields},
    {"soft-self", soft_self},
    {"soft-masked", soft_masked},
    {"user-interrupted", user_interrupted},
    {"timer-sbi", timer_sbi},
    {"timer-sbi-deadlines", timer_sbi_deadlines},
    {"timer-stimecmp", timer_stimecmp},
    {"timer-stimecmp-deadlines", timer_stimecmp_deadlines},
    {"timer-zero-loop", timer_zero_loop},
    {"wfi-timer", wfi_timer},
    {"wfi-pending", wfi_pending},
    {"priority", priority},
};
TEST_GROUP(irq, tests);
