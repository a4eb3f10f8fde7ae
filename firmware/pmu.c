/* SPDX-License-Identifier: MIT */

/*
 * SBI 2.0, chapter 11: performance monitoring, with the hart's counters. A counter's number is its
 * CSR's, less that of cycle; there is none for number 1, which would be time. No firmware counters.
 */

#include "firmware/firmware.h"
#include "firmware/platform.h"

#define CONFIG_SKIP_MATCH  BIT(0)
#define CONFIG_CLEAR_VALUE BIT(1)
#define CONFIG_AUTO_START  BIT(2)
#define CONFIG_INHIBIT     BITS(7, 3)
#define CONFIG_ALL         BITS(7, 0)
#define START_SET_VALUE    BIT(0)
#define START_SNAPSHOT     BIT(1)
#define STOP_RESET         BIT(0)
#define STOP_SNAPSHOT      BIT(1)

/* Of an event index: its type, and those that stand for themselves. */
#define EVENT_TYPE(event) ((event) >> 16)
#define EVENT_RAW         0x20000
#define EVENT_CYCLES      1
#define EVENT_INSTRETS    2

/* The lowest of the INH bits in mhpmevent (Sscofpmf): VUINH, VSINH, UINH, SINH, MINH upwards. */
#define EVENT_VUINH_SHIFT 58
#define EVENT_MINH        BIT(62)
#define EVENT_OF          BIT(63)

#define FIXED (BIT(0) | BIT(2))

/* registers.S */
void counter_write(uint64_t n, uint64_t value);
void event_write(uint64_t n, uint64_t value);
void event_clear(uint64_t n, uint64_t bits);

void pmu_init(struct fw_hart *hart)
{
	/* A bit of mcountinhibit can be set where there is a counter. */
	if (csr_try_write(CSR_MCOUNTINHIBIT, ~UINT64_C(0))) {
		hart->counters = csr_read(CSR_MCOUNTINHIBIT) & BITS(31, 0) & ~BIT(1);
		csr_write(CSR_MCOUNTINHIBIT, hart->counters & ~FIXED);
	}
	hart->counters |= FIXED;
}

/* The counters that a mask names. false: one of them is not there. */
static bool select_counters(const struct fw_hart *hart, uint64_t base, uint64_t mask, uint64_t *set)
{
	*set = base < 64 ? mask << base : 0;
	return mask && (base < 64 ? *set >> base : 0) == mask && !(*set & ~hart->counters);
}

/* Those that can count an event. */
static uint64_t able(const struct fw_hart *hart, uint64_t event)
{
	uint64_t set = 0;

	if (EVENT_TYPE(event) == EVENT_TYPE(EVENT_RAW))
		return hart->counters & ~FIXED;
	for (unsigned i = 0; i < platform.event_count; i++) {
		if (event >= platform.events[i].from && event <= platform.events[i].to)
			set |= platform.events[i].counters;
	}
	/* Where others can be told what not to count, they are better than the fixed ones. */
	set &= hart->counters & ~FIXED;
	if (event == EVENT_CYCLES && !(set && hart->has_sscofpmf))
		set |= BIT(0);
	if (event == EVENT_INSTRETS && !(set && hart->has_sscofpmf))
		set |= BIT(2);
	return set;
}

/*
 * One that has overflowed interrupts again only when its OF is cleared. S-mode sees OF in
 * scountovf: while the interrupt is pending it has not looked yet (Sscofpmf).
 */
static void start_one(struct fw_hart *hart, unsigned n)
{
	hart->counting |= BIT(n);
	/* The fixed ones always count; without mcountinhibit there are no others. */
	if (BIT(n) & FIXED)
		return;
	if (hart->has_sscofpmf && !(csr_read(CSR_MIP) & BIT(IRQ_LCOF)))
		event_clear(n, EVENT_OF);
	csr_clear(CSR_MCOUNTINHIBIT, BIT(n));
}

/* cycle and instret go on, for those who read them without having asked. */
static void stop_all(struct fw_hart *hart, uint64_t set)
{
	if (set & ~FIXED)
		csr_set(CSR_MCOUNTINHIBIT, set & ~FIXED);
	hart->counting &= ~set;
}

static void release_all(struct fw_hart *hart, uint64_t set)
{
	hart->configured &= ~set;
	for (set &= ~FIXED; set; set &= set - 1)
		event_write((unsigned)__builtin_ctzll(set), 0);
}

void pmu_reset(struct fw_hart *hart)
{
	stop_all(hart, hart->counters);
	release_all(hart, hart->counters);
}

static uint64_t selector(const struct fw_hart *hart, uint64_t event, uint64_t data, uint64_t flags)
{
	uint64_t value = EVENT_TYPE(event) == EVENT_TYPE(EVENT_RAW) ? data & BITS(47, 0) : event;

	if (hart->has_sscofpmf)
		value |= (flags & CONFIG_INHIBIT) >> 3 << EVENT_VUINH_SHIFT | EVENT_MINH;
	return value;
}

static struct sbi_ret configure(struct fw_hart *hart, const uint64_t *x)
{
	uint64_t flags = x[12], event = x[13], set;
	unsigned n;

	if (!select_counters(hart, x[10], x[11], &set) || flags & ~CONFIG_ALL)
		return (struct sbi_ret){SBI_ERR_INVALID_PARAM, 0};
	if (flags & CONFIG_SKIP_MATCH)
		set &= -set;
	else
		set &= able(hart, event) & ~(hart->configured | hart->counting);
	if (!set)
		return (struct sbi_ret){SBI_ERR_NOT_SUPPORTED, 0};
	n = (unsigned)__builtin_ctzll(set);
	hart->configured |= BIT(n);
	if (!(flags & CONFIG_SKIP_MATCH) && !(BIT(n) & FIXED))
		event_write(n, selector(hart, event, x[14], flags));
	if (flags & CONFIG_CLEAR_VALUE)
		counter_write(n, 0);
	if (flags & CONFIG_AUTO_START)
		start_one(hart, n);
	return (struct sbi_ret){SBI_SUCCESS, n};
}

static int64_t start(struct fw_hart *hart, const uint64_t *x)
{
	uint64_t set;

	if (!select_counters(hart, x[10], x[11], &set) ||
	    x[12] & ~(START_SET_VALUE | START_SNAPSHOT))
		return SBI_ERR_INVALID_PARAM;
	/* No memory for snapshots can be set. */
	if (x[12] & START_SNAPSHOT)
		return SBI_ERR_NO_SHMEM;
	if (set & hart->counting)
		return SBI_ERR_ALREADY_STARTED;
	for (; set; set &= set - 1) {
		unsigned n = (unsigned)__builtin_ctzll(set);

		if (x[12] & START_SET_VALUE)
			counter_write(n, x[13]);
		start_one(hart, n);
	}
	return SBI_SUCCESS;
}

static int64_t stop(struct fw_hart *hart, const uint64_t *x)
{
	uint64_t set, stopped;

	if (!select_counters(hart, x[10], x[11], &set) || x[12] & ~(STOP_RESET | STOP_SNAPSHOT))
		return SBI_ERR_INVALID_PARAM;
	if (x[12] & STOP_SNAPSHOT)
		return SBI_ERR_NO_SHMEM;
	stopped = set & ~hart->counting;
	stop_all(hart, set);
	if (x[12] & STOP_RESET)
		release_all(hart, set);
	return stopped ? SBI_ERR_ALREADY_STOPPED : SBI_SUCCESS;
}

static struct sbi_ret info(const struct fw_hart *hart, uint64_t n)
{
	if (n >= 64 || !(hart->counters >> n & 1))
		return (struct sbi_ret){SBI_ERR_INVALID_PARAM, 0};
	/* Of 64 bits, given less one in bits 17..12. */
	return (struct sbi_ret){SBI_SUCCESS, (CSR_CYCLE + n) | 63 << 12};
}

struct sbi_ret pmu_call(struct fw_hart *hart)
{
	const uint64_t *x = hart->x;

	switch (x[16]) {
	case SBI_PMU_NUM_COUNTERS:
		return (struct sbi_ret){SBI_SUCCESS,
					64 - (uint64_t)__builtin_clzll(hart->counters)};
	case SBI_PMU_GET_INFO:
		return info(hart, x[10]);
	case SBI_PMU_CONFIG_MATCHING:
		return configure(hart, x);
	case SBI_PMU_START:
		return (struct sbi_ret){start(hart, x), 0};
	case SBI_PMU_STOP:
		return (struct sbi_ret){stop(hart, x), 0};
	case SBI_PMU_FW_READ:
	case SBI_PMU_FW_READ_HI:
		return (struct sbi_ret){SBI_ERR_INVALID_PARAM, 0};
	default:
		return (struct sbi_ret){SBI_ERR_NOT_SUPPORTED, 0};
	}
}
