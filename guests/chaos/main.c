/* SPDX-License-Identifier: MIT */
/* A guest that does to a hypervisor whatever a guest can. See README.md. */
#include "guests/chaos/chaos.h"

#include "guests/lib/hostile.h"

#define WORKERS_MAX 16
#define PROGRESS    16

static const struct {
	const char *name;
	uint64_t (*turn)(struct worker *w);
	unsigned int weight; /* so that each takes a fair part of the time, on both engines */
} kinds[KINDS] = {
    [KIND_CODE] = {"code", code_turn, 2},       [KIND_CSR] = {"csr", csr_turn, 2},
    [KIND_SBI] = {"sbi", sbi_turn, 8},          [KIND_MMIO] = {"mmio", mmio_turn, 2},
    [KIND_TABLES] = {"tables", tables_turn, 6}, [KIND_MODIFY] = {"modify", modify_turn, 2},
    [KIND_STORM] = {"storm", storm_turn, 4},    [KIND_WFI] = {"wfi", wfi_turn, 1},
    [KIND_HSM] = {"hsm", hsm_turn, 3},          [KIND_RINGS] = {"rings", rings_turn, 4},
};

static struct worker workers[WORKERS_MAX];
static unsigned int chosen[64], chosen_count; /* kinds, as often as they weigh */
size_t worker_count;

void fail(const char *format_, ...)
{
	char text[PRINT_MAX];
	va_list args;

	va_start(args, format_);
	format_v(text, sizeof(text), format_, args);
	va_end(args);
	print_raw("\nnot ok chaos: %s\n", text);
	machine_shutdown(false);
}

struct worker *worker_self(void)
{
	return &workers[hart_self() - harts];
}

static void choose_kinds(void)
{
	char list[128];
	bool all = !machine_option("kinds", list, sizeof(list));

	for (unsigned int kind = 0; kind < KINDS; kind++)
		for (unsigned int i = 0; i < kinds[kind].weight; i++)
			if (all || machine_lists(list, kinds[kind].name))
				chosen[chosen_count++] = kind;
	if (chosen_count == 0)
		fail("kinds=%s: none of them is known", list);
}

static uint64_t total(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < worker_count; i++)
		sum += workers[i].total;
	return sum;
}

static void progress(const struct worker *w, uint64_t before)
{
	if (w->index == 0 && before * PROGRESS / w->share != w->total * PROGRESS / w->share)
		print("\nchaos: %lu operations\n", total());
}

/*
 * In what is left of its work nothing is free of tables of garbage, not even the addresses where a
 * hypervisor would be; until then it may be there. The two ways of serving a guest may differ.
 */
static void add_top(struct worker *w)
{
	w->top = true;
	tables_add_top(w);
}

static void work(void *argument)
{
	struct worker *w = argument;
	struct hart *hart = hart_self();

	hsm_woken(w);
	while (w->total < w->share) {
		unsigned int kind = chosen[random_below(w, chosen_count)];
		uint64_t before = w->total, begin = time_now(), done;

		hart->on_interrupt = run_interrupt;
		csr_write(CSR_STVEC, chaos_entry); /* which a resume has changed */
		w->kind = kind;
		done = kinds[kind].turn(w);
		w->done[kind] += done;
		w->total += done;
		w->time[kind] += time_now() - begin;
		progress(w, before);
		if (!w->top && w->total >= w->share / 4 * 3)
			add_top(w);
	}
	hsm_leave(w);
}

static void work_all(void)
{
	for (size_t i = 1; i < worker_count; i++) {
		int64_t error = hart_run(i, work, &workers[i]);

		if (error)
			fail("hart %lu does not start: %ld", harts[i].id, error);
	}
	work(&workers[0]);
	for (size_t i = 1; i < worker_count; i++) {
		while (!__atomic_load_n(&harts[i].done, __ATOMIC_ACQUIRE))
			hsm_start_stopped();
		if (!hart_join(i, 10000))
			fail("hart %lu did not stop", harts[i].id);
	}
}

/* What the kinds took of all workers' time. */
static void times(void)
{
	char line[PRINT_MAX];
	size_t length = format(line, sizeof(line), "chaos: milliseconds:");

	for (unsigned int kind = 0; kind < KINDS; kind++) {
		uint64_t time = 0;

		for (size_t i = 0; i < worker_count; i++)
			time += workers[i].time[kind];
		length += format(line + length, sizeof(line) - length, " %s %lu", kinds[kind].name,
				 time * 1000 / machine.timebase);
	}
	print("%s\n", line);
}

static void summary(uint64_t begin)
{
	char line[PRINT_MAX];
	size_t length = format(line, sizeof(line), "\nok chaos: %lu operations in %lu ms:", total(),
			       (time_now() - begin) * 1000 / machine.timebase);

	for (unsigned int kind = 0; kind < KINDS; kind++) {
		uint64_t done = 0;

		for (size_t i = 0; i < worker_count; i++)
			done += workers[i].done[kind];
		length +=
		    format(line + length, sizeof(line) - length, " %s %lu", kinds[kind].name, done);
	}
	print("%s\n", line);
}

static uint64_t load(uint64_t address, uint64_t a1, uint64_t a2)
{
	(void)a1;
	(void)a2;
	return *(volatile uint64_t *)address;
}

/*
 * Devices and SBI calls were given addresses beside RAM, and across its ends: nobody has made
 * memory there.
 */
static void check_outside(void)
{
	const uint64_t begin = machine.ram_base, end = machine.ram_base + machine.ram_size;
	const uint64_t addresses[] = {begin - 8, begin - MIB(2), end, end + MIB(2) - 8,
				      end + MIB(2)};

	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		if (!trap_run(load, addresses[i], 0, 0))
			fail("0x%lx is outside RAM, but can be read", addresses[i]);
		if (hart_self()->trap.cause != EXC_LOAD_ACCESS)
			fail("0x%lx: cause %lu", addresses[i], hart_self()->trap.cause);
	}
}

static void run_amok(void *argument)
{
	amok(argument);
}

static void prepare(void)
{
	uint64_t seed = machine_number("seed", 1), ops = machine_number("ops", 100000);

	tables_init();
	modify_init();
	for (unsigned int i = 0; i < worker_count; i++) {
		struct worker *w = &workers[i];

		w->index = i;
		w->random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + i * UINT64_C(0x1234567) + 1;
		w->share = max_u64(1, ops / worker_count);
		run_init(w);
		tables_add(w);
		modify_add(w);
	}
	print("\nchaos: seed %lu, %lu operations, %lu harts\n", seed, ops, worker_count);
}

void guest_main(void)
{
	uint64_t begin = time_now();

	worker_count = min_u64(machine.hart_count, WORKERS_MAX);
	choose_kinds();
	rings_init();
	prepare();
	work_all();
	hsm_check();
	hostile_check();
	check_outside();
	times();
	summary(begin);
	if (machine_number("amok", 0)) {
		for (size_t i = 1; i < worker_count; i++)
			hart_run(i, run_amok, &workers[i]);
		amok(&workers[0]);
	}
	machine_shutdown(true);
}
