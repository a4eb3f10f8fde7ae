/* SPDX-License-Identifier: MIT */
/*
 * The micro-benchmark guest: how many instructions one operation takes, everything below the
 * guest included, when QEMU runs with -icount shift=0,sleep=off. Each line is
 * "bench NAME VALUE", a median unless the name says otherwise, less the cost of measuring.
 */
#include "guests/lib/console.h"
#include "guests/lib/machine.h"
#include "guests/lib/memory.h"
#include "guests/lib/paging.h"
#include "guests/lib/sync.h"
#include "guests/lib/trap.h"
#include "riscv/sbi.h"

#define SAMPLES 64
#define WARM_UP 16
#define NEVER   (~UINT64_C(0))
#define HOLE    UINT64_C(0x2000000000) /* an address that the tables below do not map */

#define DECLARE(name, ...)                    \
	uint64_t name##_instret(__VA_ARGS__); \
	uint64_t name##_cycle(__VA_ARGS__)

DECLARE(read, void);
DECLARE(empty, void);
DECLARE(illegal, void);
DECLARE(page_fault, uint64_t address);
DECLARE(ecall_user, void);
DECLARE(ipi_self, uint64_t mask);
DECLARE(round, void);

static bool use_cycle; /* instret cannot be read */
static uint64_t call_overhead, trap_overhead;
static struct paging tables, other_tables;

#define PICK(name, ...) (use_cycle ? name##_cycle(__VA_ARGS__) : name##_instret(__VA_ARGS__))

static uint64_t now(void)
{
	return PICK(read);
}

/* The counter's difference over `statement`. */
#define MEASURE(statement)               \
	({                               \
		uint64_t start_ = now(); \
		statement;               \
		now() - start_;          \
	})

static uint64_t call(uint64_t extension, uint64_t function, uint64_t a0, uint64_t a1)
{
	return MEASURE(sbi_call(extension, function, a0, a1, 0, 0, 0));
}

static uint64_t mask_self(void)
{
	return BIT(hart_self()->id);
}

static uint64_t sample_nothing(void)
{
	return MEASURE((void)0);
}

static uint64_t sample_alu(void)
{
	return MEASURE(({
		uint64_t n = 1000;
		__asm__ volatile(".balign 4\n 1: addi %0, %0, -1\n bnez %0, 1b" : "+r"(n));
	}));
}

static uint64_t sample_probe(void)
{
	return call(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, SBI_EXT_TIME, 0);
}

static uint64_t sample_set_timer(void)
{
	return call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, NEVER - 1, 0);
}

static uint64_t sample_ipi(void)
{
	uint64_t cost = call(SBI_EXT_IPI, SBI_IPI_SEND_IPI, mask_self(), 0);

	csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
	return cost;
}

static uint64_t sample_fence_i(void)
{
	return call(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, mask_self(), 0);
}

static uint64_t sample_remote_sfence(void)
{
	return call(SBI_EXT_RFENCE, SBI_RFENCE_SFENCE_VMA, mask_self(), 0);
}

static uint64_t sample_getchar(void)
{
	return call(SBI_EXT_CONSOLE_GETCHAR, 0, 0, 0);
}

static uint64_t sample_uart(void)
{
	return MEASURE((void)*(volatile uint8_t *)(UART_BASE + 5));
}

static uint64_t sample_plic(void)
{
	return MEASURE((void)*(volatile uint32_t *)(PLIC_BASE + 4));
}

static uint64_t sample_plic_write(void)
{
	return MEASURE(*(volatile uint32_t *)(PLIC_BASE + 4 * 13) = 1);
}

static uint64_t sample_csr_read(void)
{
	return MEASURE(csr_read(CSR_SSTATUS));
}

static uint64_t sample_csr_toggle(void)
{
	return MEASURE(({
		csr_set(CSR_SSTATUS, SSTATUS_SIE);
		csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	}));
}

static uint64_t sample_csr_swap(void)
{
	return MEASURE(csr_swap(CSR_SSCRATCH, hart_self()));
}

/* Those with tables: the guest's own paging is on. */
static uint64_t sample_sfence(void)
{
	return MEASURE(sfence_all());
}

static uint64_t sample_sfence_page(void)
{
	return MEASURE(sfence_va(UART_BASE));
}

static uint64_t sample_satp(void)
{
	uint64_t satp = paging_satp(&other_tables, 2);
	uint64_t cost = MEASURE(csr_write(CSR_SATP, satp));

	csr_write(CSR_SATP, paging_satp(&tables, 1));
	return cost;
}

static uint64_t sample_page_fault(void)
{
	return PICK(page_fault, HOLE);
}

static uint64_t sample_illegal(void)
{
	return PICK(illegal);
}

static uint64_t sample_ecall_user(void)
{
	return PICK(ecall_user);
}

static uint64_t sample_ipi_self(void)
{
	return PICK(ipi_self, mask_self());
}

static uint64_t sample_round(void)
{
	return PICK(round);
}

static uint64_t sample_empty(void)
{
	return PICK(empty);
}

static void sort(uint64_t *values, size_t count)
{
	for (size_t i = 1; i < count; i++)
		for (size_t j = i; j > 0 && values[j - 1] > values[j]; j--) {
			uint64_t swap = values[j];

			values[j] = values[j - 1];
			values[j - 1] = swap;
		}
}

static uint64_t median_of(uint64_t (*sample)(void))
{
	uint64_t values[SAMPLES];

	for (int i = 0; i < WARM_UP; i++)
		sample();
	for (int i = 0; i < SAMPLES; i++)
		values[i] = sample();
	sort(values, SAMPLES);
	return values[SAMPLES / 2];
}

static void report(const char *name, uint64_t value, uint64_t overhead)
{
	print("bench %s %lu\n", name, value > overhead ? value - overhead : 0);
}

static void run_calls(void)
{
	static const struct {
		const char *name;
		uint64_t (*sample)(void);
	} list[] = {
	    {"alu-loop-1000", sample_alu},
	    {"csr-read-sstatus", sample_csr_read},
	    {"csr-toggle-sie", sample_csr_toggle},
	    {"csr-swap-sscratch", sample_csr_swap},
	    {"sbi-probe", sample_probe},
	    {"sbi-set-timer", sample_set_timer},
	    {"sbi-ipi-self", sample_ipi},
	    {"sbi-remote-fence-i-self", sample_fence_i},
	    {"sbi-remote-sfence-self", sample_remote_sfence},
	    {"getchar-empty", sample_getchar},
	    {"mmio-uart-lsr", sample_uart},
	    {"mmio-plic-priority", sample_plic},
	    {"mmio-plic-priority-write", sample_plic_write},
	};

	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		report(list[i].name, median_of(list[i].sample), call_overhead);
}

static void run_traps(void)
{
	report("illegal-insn-to-handler", median_of(sample_illegal), trap_overhead);
	report("breakpoint-and-return", median_of(sample_round), trap_overhead);
	csr_write(CSR_SCOUNTEREN, 7);
	report("ecall-u-to-handler", median_of(sample_ecall_user), trap_overhead);
	csr_write(CSR_SIE, BIT(IRQ_S_SOFT));
	report("ipi-self-to-handler", median_of(sample_ipi_self), trap_overhead);
	csr_write(CSR_SIE, 0);
}

static void run_paging(void)
{
	paging_init_identity(&tables, 3);
	paging_init_identity(&other_tables, 3);
	paging_on(&tables, 1);
	report("page-fault-to-handler", median_of(sample_page_fault), trap_overhead);
	report("sfence-all", median_of(sample_sfence), call_overhead);
	report("sfence-page", median_of(sample_sfence_page), call_overhead);
	report("satp-switch", median_of(sample_satp), call_overhead);
	paging_off();
}

/* How far the counter goes in a tick of time: 100 under -icount shift=0, at 10 MHz. */
static uint64_t measure_tick(void)
{
	uint64_t start_time = csr_read(CSR_TIME), start = now();

	while (csr_read(CSR_TIME) - start_time < 20000)
		;
	return (now() - start + 10000) / 20000;
}

/*
 * From the deadline of a timer to the instruction after WFI. `time` is too coarse for this, and
 * the counter stands still in WFI: so the way is counted from WFI on to where the next tick
 * begins, at a known time. Right to the few instructions that a read of time takes.
 */
static uint64_t sample_wfi(uint64_t wait, uint64_t per_tick)
{
	uint64_t deadline = csr_read(CSR_TIME) + wait, awake, time, edge;

	sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, deadline, 0, 0, 0, 0);
	do {
		__asm__ volatile("wfi" ::: "memory");
		awake = now();
		time = csr_read(CSR_TIME);
	} while (time < deadline);
	do
		edge = csr_read(CSR_TIME);
	while (edge == time);
	awake = now() - awake;
	sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, NEVER, 0, 0, 0, 0);
	return (edge - deadline) * per_tick > awake ? (edge - deadline) * per_tick - awake : 0;
}

static void run_wfi(void)
{
	uint64_t values[SAMPLES], per_tick = measure_tick();

	print("bench: %lu per tick of time%s\n", per_tick,
	      per_tick == 100 ? "" : ": not under icount shift=0");
	csr_write(CSR_SIE, BIT(IRQ_S_TIMER));
	for (uint64_t i = 0; i < WARM_UP; i++)
		sample_wfi(2000, per_tick);
	for (uint64_t i = 0; i < SAMPLES; i++)
		values[i] = sample_wfi(2000 + i * 37, per_tick);
	csr_write(CSR_SIE, 0);
	sort(values, SAMPLES);
	report("wfi-timer-wake-late", values[SAMPLES / 2], 0);
	report("wfi-timer-wake-late-max", values[SAMPLES - 1], 0);
}

/* A machine that prepares pages while nothing runs has the time for it between the touches. */
static void run_first_touch(void)
{
	static uint64_t values[512];
	uint64_t page = align_up(machine.heap + MIB(2), MIB(2));
	uint64_t per_tick = measure_tick();
	size_t count = 0;

	csr_write(CSR_SIE, BIT(IRQ_S_TIMER));
	sample_wfi(1000000, per_tick);
	for (; page + MIB(2) <= machine.heap_end && count < ARRAY_SIZE(values); page += MIB(2)) {
		sample_wfi(20000, per_tick);
		values[count++] = MEASURE(*(volatile uint8_t *)page = 1);
	}
	csr_write(CSR_SIE, 0);
	if (count < 4) {
		print("bench: skip first-touch-2m: too little RAM\n");
		return;
	}
	sort(values, count);
	report("first-touch-2m", values[count / 2], call_overhead);
	report("first-touch-2m-max", values[count - 1], call_overhead);
}

/* Waits for an IPI in WFI and clears it. */
static void await_ipi(void)
{
	while (!(csr_read(CSR_SIP) & BIT(IRQ_S_SOFT)))
		__asm__ volatile("wfi" ::: "memory");
	csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
}

static void send_ipi(uint64_t hart_id)
{
	sbi_call(SBI_EXT_IPI, SBI_IPI_SEND_IPI, 1, hart_id, 0, 0, 0);
}

static void return_balls(void *argument)
{
	csr_write(CSR_SIE, BIT(IRQ_S_SOFT));
	__atomic_store_n((bool *)argument, true, __ATOMIC_SEQ_CST);
	for (int i = 0; i < WARM_UP + SAMPLES; i++) {
		await_ipi();
		send_ipi(harts[0].id);
	}
}

static uint64_t sample_roundtrip(void)
{
	return MEASURE(({
		send_ipi(harts[1].id);
		await_ipi();
	}));
}

static void run_other_hart(void)
{
	bool ready = false;

	if (machine.hart_count < 2) {
		print("bench: skip ipi-other-hart-roundtrip: one hart\n");
		return;
	}
	csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
	csr_write(CSR_SIE, BIT(IRQ_S_SOFT));
	hart_run(1, return_balls, &ready);
	while (!__atomic_load_n(&ready, __ATOMIC_SEQ_CST))
		;
	report("ipi-other-hart-roundtrip", median_of(sample_roundtrip), call_overhead);
	hart_join(1, 10000);
	csr_write(CSR_SIE, 0);
}

/*
 * Two vCPUs of one hart. One of them looks at the counter all the time; the other waits in WFI, and
 * what the first finds then is how long it took to come to it.
 */
static struct {
	volatile bool waits; /* or is about to */
	volatile uint64_t since, took;
} switching;

static void look_at_counter(void *argument)
{
	(void)argument;
	for (;;) {
		uint64_t present = now();

		/* It may have been put aside just when it had looked: then it looks again. */
		if (!switching.waits || present < switching.since)
			continue;
		switching.took = present - switching.since;
		switching.waits = false;
	}
}

static uint64_t sample_switch(void)
{
	const uint64_t ms = machine.timebase / 1000;

	/* Long enough for the other one to have its turn. */
	sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, time_now() + 20 * ms, 0, 0, 0, 0);
	switching.since = now();
	switching.waits = true;
	while (switching.waits)
		__asm__ volatile("wfi" ::: "memory");
	return switching.took;
}

static void run_switch(void)
{
	if (machine.hart_count < 2) {
		print("bench: skip switch: one hart\n");
		return;
	}
	csr_write(CSR_SIE, BIT(IRQ_S_TIMER));
	hart_run(1, look_at_counter, NULL);
	report("switch", median_of(sample_switch), 0);
}

static uint64_t try_instret(uint64_t a0, uint64_t a1, uint64_t a2)
{
	(void)a0;
	(void)a1;
	(void)a2;
	return read_instret();
}

void guest_main(void)
{
	char part[16];

	use_cycle = trap_run(try_instret, 0, 0, 0);
	print("bench: counter %s, SBI implementation %lu 0x%lx, %lu harts\n",
	      use_cycle ? "cycle" : "instret", machine.sbi_impl, machine.sbi_impl_version,
	      machine.hart_count);
	call_overhead = median_of(sample_nothing);
	trap_overhead = median_of(sample_empty);
	if (machine_option("part", part, sizeof(part)) && strcmp(part, "switch") == 0) {
		run_switch();
		print("bench: done\n");
		return;
	}
	run_calls();
	run_traps();
	run_paging();
	run_wfi();
	run_first_touch();
	run_other_hart();
	print("bench: done\n");
}
