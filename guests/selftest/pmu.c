/* SPDX-License-Identifier: MIT */
/* The PMU extension, where there is one: natively. */
#include "guests/selftest/sbi.h"

#define EVENT_CYCLES 1
#define CLEAR_VALUE  2
#define WILD         BIT(62)

static bool absent(void)
{
	bool there = sbi1(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, SBI_EXT_PMU).value != 0;

	/* It starts counters that nobody has configured, and takes numbers that wrap. */
	if (machine.opensbi)
		test_skip("OpenSBI is not strict here");
	else if (!there)
		test_skip("no PMU");
	return !there || machine.opensbi;
}

static bool is_hardware(uint64_t n)
{
	struct sbi_ret ret = sbi1(SBI_EXT_PMU, SBI_PMU_GET_INFO, n);

	return ret.error == 0 && !(ret.value >> 63);
}

static void counters(void)
{
	struct sbi_ret ret = sbi0(SBI_EXT_PMU, SBI_PMU_NUM_COUNTERS);

	if (absent())
		return;
	expect(ret.error == 0 && ret.value >= 2, "%lu counters, %ld", ret.value, ret.error);
	for (uint64_t n = 0; n < ret.value; n++) {
		struct sbi_ret info = sbi1(SBI_EXT_PMU, SBI_PMU_GET_INFO, n);

		if (info.error || info.value >> 63)
			continue;
		expect(info.value >> 5 == (63 << 12 | CSR_CYCLE) >> 5, "counter %lu: 0x%lx", n,
		       info.value);
	}
	expect_eq(sbi1(SBI_EXT_PMU, SBI_PMU_GET_INFO, ret.value).error, SBI_ERR_INVALID_PARAM,
		  "last");
	expect_eq(sbi1(SBI_EXT_PMU, SBI_PMU_GET_INFO, WILD).error, SBI_ERR_INVALID_PARAM, "wild");
}

static uint64_t configure(uint64_t event)
{
	uint64_t mask = 0;

	for (uint64_t n = 0; n < 32; n++)
		mask |= is_hardware(n) ? BIT(n) : 0;

	struct sbi_ret ret =
	    sbi5(SBI_EXT_PMU, SBI_PMU_CONFIG_MATCHING, 0, mask, CLEAR_VALUE, event, 0);

	expect_eq(ret.error, 0, "event 0x%lx", event);
	return ret.value;
}

static void states(void)
{
	uint64_t n;

	if (absent())
		return;
	n = configure(EVENT_CYCLES);
	expect_eq(sbi5(SBI_EXT_PMU, SBI_PMU_START, n, 1, 1, 1000, 0).error, 0, "start");
	if (n == 0)
		expect(csr_read(CSR_CYCLE) - 1000 < 1000000, "cycle %lu", csr_read(CSR_CYCLE));
	expect_eq(sbi5(SBI_EXT_PMU, SBI_PMU_START, n, 1, 0, 0, 0).error, SBI_ERR_ALREADY_STARTED,
		  "second start");
	expect_eq(sbi3(SBI_EXT_PMU, SBI_PMU_STOP, n, 1, 0).error, 0, "stop");
	expect_eq(sbi3(SBI_EXT_PMU, SBI_PMU_STOP, n, 1, 1).error, SBI_ERR_ALREADY_STOPPED,
		  "second stop");
	/* That gave it back. */
	expect_eq(configure(EVENT_CYCLES), n, "counter");
	sbi3(SBI_EXT_PMU, SBI_PMU_STOP, n, 1, 1);
}

#define PERIOD 100000

/* A counter that is started again after it has overflowed interrupts each time (Sscofpmf). */
static void overflow(void)
{
	uint64_t n;

	if (!sbi1(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, SBI_EXT_PMU).value ||
	    !machine_has("sscofpmf")) {
		test_skip("no PMU, or no interrupts of it");
		return;
	}
	n = configure(EVENT_CYCLES);
	for (int i = 0; i < 5 && !test_failed(); i++) {
		expect_eq(sbi5(SBI_EXT_PMU, SBI_PMU_START, n, 1, 1, -(uint64_t)PERIOD, 0).error, 0,
			  "start");
		expect(wait_until(csr_read(CSR_SIP) & BIT(IRQ_LCOF), 1000), "no interrupt %d", i);
		expect_eq(sbi3(SBI_EXT_PMU, SBI_PMU_STOP, n, 1, 0).error, 0, "stop");
		expect_eq(csr_read(CSR_SCOUNTOVF) >> n & 1, 1, "scountovf");
		/* Started again before it is looked at, it is still told of. */
		sbi5(SBI_EXT_PMU, SBI_PMU_START, n, 1, 1, 0, 0);
		sbi3(SBI_EXT_PMU, SBI_PMU_STOP, n, 1, 0);
		expect_eq(csr_read(CSR_SCOUNTOVF) >> n & 1, 1, "scountovf, while it is pending");
		csr_clear(CSR_SIP, BIT(IRQ_LCOF));
	}
	sbi3(SBI_EXT_PMU, SBI_PMU_STOP, n, 1, 1);
	csr_clear(CSR_SIP, BIT(IRQ_LCOF));
}

static void errors(void)
{
	if (absent())
		return;
	expect_eq(sbi5(SBI_EXT_PMU, SBI_PMU_CONFIG_MATCHING, WILD, 1, 0, EVENT_CYCLES, 0).error,
		  SBI_ERR_INVALID_PARAM, "wild counter");
	expect_eq(sbi5(SBI_EXT_PMU, SBI_PMU_CONFIG_MATCHING, 0, 1, 0, 0x123, 0).error,
		  SBI_ERR_NOT_SUPPORTED, "no such event");
	expect_eq(sbi5(SBI_EXT_PMU, SBI_PMU_START, WILD, 1, 0, 0, 0).error, SBI_ERR_INVALID_PARAM,
		  "start of a wild counter");
	expect_eq(sbi3(SBI_EXT_PMU, SBI_PMU_STOP, WILD, 1, 0).error, SBI_ERR_INVALID_PARAM,
		  "stop of a wild counter");
	expect_eq(sbi5(SBI_EXT_PMU, SBI_PMU_START, 0, 1, 2, 0, 0).error, SBI_ERR_NO_SHMEM,
		  "start with a snapshot");
	expect_eq(sbi3(SBI_EXT_PMU, SBI_PMU_STOP, 0, 1, 2).error, SBI_ERR_NO_SHMEM,
		  "stop with a snapshot");
	expect_eq(sbi3(SBI_EXT_PMU, SBI_PMU_STOP, 0, 1, 4).error, SBI_ERR_INVALID_PARAM,
		  "stop with an unknown flag");
	expect_eq(sbi1(SBI_EXT_PMU, SBI_PMU_FW_READ, 0).error, SBI_ERR_INVALID_PARAM,
		  "hardware counter read as firmware's");
	expect_eq(sbi0(SBI_EXT_PMU, 99).error, SBI_ERR_NOT_SUPPORTED, "function 99");
}

static const struct test tests[] = {
    {"counters", counters},
    {"states", states},
    {"overflow", overflow},
    {"errors", errors},
};
TEST_GROUP(pmu, tests);
