/* SPDX-License-Identifier: MIT */
/* Interrupts through the PLIC, from the UART (transmitter empty) and the RTC (alarm). */
#include "guests/selftest/mmio.h"

#define RTC_ALARM_LOW       0x08
#define RTC_ALARM_HIGH      0x0c
#define RTC_IRQ_ENABLED     0x10
#define RTC_CLEAR_ALARM     0x14
#define RTC_ALARM_STATUS    0x18
#define RTC_CLEAR_INTERRUPT 0x1c
#define RTC_REG(offset)     (*(volatile uint32_t *)(RTC_BASE + (offset)))

static uint64_t context;

static bool external_pending(void)
{
	return irq_pending(IRQ_S_EXT);
}

static bool source_pending(uint32_t source)
{
	return PLIC_PENDING(source / 32) >> (source % 32) & 1;
}

static void quiet(void)
{
	uint32_t source;

	UART_REG(UART_IER) = 0;
	(void)UART_REG(UART_IIR);
	RTC_REG(RTC_IRQ_ENABLED) = 0;
	RTC_REG(RTC_CLEAR_ALARM) = 1;
	RTC_REG(RTC_CLEAR_INTERRUPT) = 1;
	for (size_t h = 0; h < machine.hart_count; h++) {
		PLIC_ENABLE(plic_context(harts[h].id), 0) = 0;
		PLIC_THRESHOLD(plic_context(harts[h].id)) = 0;
	}
	/* A source that went quiet may still be pending: claim it away. */
	PLIC_PRIORITY(UART_IRQ) = PLIC_PRIORITY(RTC_IRQ) = 1;
	context = plic_context(hart_self()->id);
	PLIC_ENABLE(context, 0) = BIT(UART_IRQ) | BIT(RTC_IRQ);
	PLIC_CLAIM(context) = UART_IRQ;
	PLIC_CLAIM(context) = RTC_IRQ;
	while ((source = PLIC_CLAIM(context)) != 0)
		PLIC_CLAIM(context) = source;
	PLIC_ENABLE(context, 0) = 0;
}

static void uart_raise(void)
{
	UART_REG(UART_IER) = 0;
	UART_REG(UART_IER) = 2;
}

static void rtc_raise(void)
{
	RTC_REG(RTC_IRQ_ENABLED) = 1;
	RTC_REG(RTC_ALARM_HIGH) = 0;
	RTC_REG(RTC_ALARM_LOW) = 1; /* long past */
}

static void uart_claim(void)
{
	quiet();
	expect(!external_pending(), "pending before");
	PLIC_ENABLE(context, 0) = BIT(UART_IRQ);
	uart_raise();
	expect(wait_until(external_pending(), 100), "SEIP does not rise");
	expect(source_pending(UART_IRQ), "the source is not pending");
	expect_eq(PLIC_CLAIM(context), UART_IRQ, "claim");
	expect(!source_pending(UART_IRQ), "pending after the claim");
	expect(!external_pending(), "SEIP after the claim");
	expect_eq(PLIC_CLAIM(context), 0, "second claim");
	expect_eq(UART_REG(UART_IIR) & 15, 2, "IIR");
	expect_eq(UART_REG(UART_IIR) & 15, 1, "IIR after it was read");
	PLIC_CLAIM(context) = UART_IRQ;
	expect(!external_pending(), "SEIP after completion");
	expect(!source_pending(UART_IRQ), "pending after completion");
	quiet();
}

/*
 * A level that stays up is not pending while it is claimed. Afterwards it is again, but not in
 * QEMU, where the line has to rise anew.
 */
static void level(void)
{
	quiet();
	PLIC_ENABLE(context, 0) = BIT(UART_IRQ);
	uart_raise();
	for (int i = 0; i < 10; i++) {
		expect(wait_until(external_pending(), 100), "round %d: SEIP does not rise", i);
		expect_eq(PLIC_CLAIM(context), UART_IRQ, "claim %d", i);
		expect_eq(PLIC_CLAIM(context), 0, "claim %d again", i);
		expect(!external_pending(), "round %d: SEIP while claimed", i);
		PLIC_CLAIM(context) = UART_IRQ;
		if (!external_pending())
			uart_raise();
	}
	quiet();
	expect(!external_pending(), "SEIP when the level went down");
}

static void on_external(struct trap_frame *frame)
{
	uint32_t source = PLIC_CLAIM(context);

	(void)frame;
	hart_self()->interrupts[15] = source;
	if (source == UART_IRQ)
		(void)UART_REG(UART_IIR);
	PLIC_CLAIM(context) = source;
}

static void handler(void)
{
	struct hart *hart = hart_self();

	quiet();
	hart->on_interrupt = on_external;
	PLIC_ENABLE(context, 0) = BIT(UART_IRQ);
	csr_set(CSR_SIE, BIT(IRQ_S_EXT));
	csr_set(CSR_SSTATUS, SSTATUS_SIE);
	for (uint64_t n = 1; n <= 50; n++) {
		hart->interrupts[15] = 0;
		uart_raise();
		expect(wait_until(hart->interrupts[IRQ_S_EXT] == n, 100), "%lu taken of %lu",
		       hart->interrupts[IRQ_S_EXT], n);
		expect_eq(hart->interrupts[15], UART_IRQ, "source");
	}
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	quiet();
}

static void threshold(void)
{
	quiet();
	PLIC_ENABLE(context, 0) = BIT(UART_IRQ);
	for (uint32_t p = 0; p < 8; p++)
		for (uint32_t t = 0; t < 8; t++) {
			PLIC_PRIORITY(UART_IRQ) = p;
			PLIC_THRESHOLD(context) = t;
			uart_raise();
			expect_eq(source_pending(UART_IRQ), 1, "pending with priority %u", p);
			if (p > t)
				expect(wait_until(external_pending(), 100),
				       "no SEIP: priority %u, threshold %u", p, t);
			else
				expect(!external_pending(), "SEIP: priority %u, threshold %u", p,
				       t);
			quiet();
			PLIC_ENABLE(context, 0) = BIT(UART_IRQ);
		}
	/* Lowering the threshold lets a pending one through. */
	PLIC_PRIORITY(UART_IRQ) = 2;
	PLIC_THRESHOLD(context) = 5;
	uart_raise();
	expect(!external_pending(), "SEIP below the threshold");
	PLIC_THRESHOLD(context) = 1;
	expect(wait_until(external_pending(), 100), "no SEIP above it");
	quiet();
}

static void enables(void)
{
	quiet();
	uart_raise();
	expect_eq(source_pending(UART_IRQ), 1, "pending");
	expect(!external_pending(), "SEIP with the source disabled");
	expect_eq(PLIC_CLAIM(context), 0, "claim with the source disabled");
	/* QEMU looks at what is enabled when something else changes, here the threshold. */
	PLIC_ENABLE(context, 0) = BIT(UART_IRQ);
	PLIC_THRESHOLD(context) = 0;
	expect(wait_until(external_pending(), 100), "no SEIP when it is enabled");
	PLIC_ENABLE(context, 0) = 0;
	PLIC_THRESHOLD(context) = 0;
	expect(!external_pending(), "SEIP when it is disabled again");
	quiet();
}

static uint64_t rtc_now(void)
{
	uint64_t low = RTC_REG(0);

	return (uint64_t)RTC_REG(4) << 32 | low;
}

static void rtc_alarm(void)
{
	uint64_t now, alarm;
	uint32_t armed;

	quiet();
	PLIC_ENABLE(context, 0) = BIT(RTC_IRQ);
	rtc_raise();
	expect(wait_until(external_pending(), 100), "an alarm in the past does not come");
	expect_eq(PLIC_CLAIM(context), RTC_IRQ, "claim");
	RTC_REG(RTC_CLEAR_INTERRUPT) = 1;
	PLIC_CLAIM(context) = RTC_IRQ;
	expect(!external_pending(), "SEIP after it was cleared");
	alarm = rtc_now() + 20000000;
	RTC_REG(RTC_ALARM_HIGH) = (uint32_t)(alarm >> 32);
	RTC_REG(RTC_ALARM_LOW) = (uint32_t)alarm;
	armed = RTC_REG(RTC_ALARM_STATUS);
	expect(armed == 1 || rtc_now() >= alarm, "status when armed: %u", armed);
	expect(wait_until(external_pending(), 3000), "an alarm in 20 ms does not come");
	expect_eq(RTC_REG(RTC_ALARM_STATUS), 0, "status when it rang");
	now = rtc_now();
	expect(now >= alarm, "it rang %lu ns too early", alarm - now);
	quiet();
}

static void claim_order(void)
{
	quiet();
	PLIC_PRIORITY(UART_IRQ) = 1;
	PLIC_PRIORITY(RTC_IRQ) = 7;
	PLIC_ENABLE(context, 0) = BIT(UART_IRQ) | BIT(RTC_IRQ);
	uart_raise();
	rtc_raise();
	expect(wait_until(source_pending(RTC_IRQ) && source_pending(UART_IRQ), 100), "not pending");
	expect_eq(PLIC_CLAIM(context), RTC_IRQ, "the higher priority");
	expect_eq(PLIC_CLAIM(context), UART_IRQ, "then the other");
	expect_eq(PLIC_CLAIM(context), 0, "then none");
	quiet();
	PLIC_ENABLE(context, 0) = BIT(UART_IRQ) | BIT(RTC_IRQ);
	rtc_raise();
	uart_raise();
	expect(wait_until(source_pending(RTC_IRQ) && source_pending(UART_IRQ), 100),
	       "not pending again");
	expect_eq(PLIC_CLAIM(context), UART_IRQ, "the lower number among equals");
	expect_eq(PLIC_CLAIM(context), RTC_IRQ, "then the higher");
	quiet();
}

struct listener {
	volatile bool ready;
	volatile uint32_t source;
};

/* OpenSBI resets a hart's context when it starts the hart, so it is set up there. */
static void wait_external(void *argument)
{
	struct listener *listener = argument;
	uint64_t mine = plic_context(hart_self()->id);

	PLIC_ENABLE(mine, 0) = BIT(UART_IRQ);
	PLIC_THRESHOLD(mine) = 0;
	csr_write(CSR_SIE, BIT(IRQ_S_EXT));
	__atomic_store_n(&listener->ready, true, __ATOMIC_RELEASE);
	while (!external_pending())
		__asm__ volatile("wfi");
	listener->source = PLIC_CLAIM(mine);
	(void)UART_REG(UART_IIR);
	PLIC_CLAIM(mine) = UART_IRQ;
	PLIC_ENABLE(mine, 0) = 0;
}

static void other_hart(void)
{
	struct listener listener = {0};

	if (machine.hart_count < 2) {
		test_skip("one hart");
		return;
	}
	quiet();
	expect_eq(hart_run(1, wait_external, &listener), 0, "start");
	expect(wait_until(__atomic_load_n(&listener.ready, __ATOMIC_ACQUIRE), 3000), "not ready");
	test_delay(3);
	uart_raise();
	expect(hart_join(1, 3000), "the other hart did not wake");
	expect_eq(listener.source, UART_IRQ, "claim");
	expect(!external_pending(), "SEIP here");
	quiet();
}

static const struct test tests[] = {
    {"uart-claim", uart_claim},   {"level", level},           {"handler", handler},
    {"threshold", threshold},     {"enables", enables},       {"rtc-alarm", rtc_alarm},
    {"claim-order", claim_order}, {"other-hart", other_hart},
};
TEST_GROUP(plic, tests);
