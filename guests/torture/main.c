/* SPDX-License-Identifier: MIT */
#include "guests/torture/torture.h"

struct settings settings = {.seed = 1, .ops = 100000, .timer_us = 700, .levels = 3};
struct worker workers[WORKERS_MAX];
size_t worker_count;

static uint64_t load(uint64_t address, uint64_t a1, uint64_t a2)
{
	(void)a1;
	(void)a2;
	return *(volatile uint64_t *)address;
}

/* What of the machine the model depends on. */
static void probe_machine(void)
{
	uint64_t va = UINT64_C(0x1000000000), page = (uint64_t)heap_take(PAGE_SIZE);
	struct paging tables;

	paging_init_identity(&tables, settings.levels);
	paging_map(&tables, va, page, 0, PTE_V | PTE_R | PTE_W);
	paging_on(&tables, 0xffff);
	settings.asid_mask = csr_read(CSR_SATP) >> SATP_ASID_SHIFT & 0xffff;
	settings.sets_accessed = !trap_run(load, va, 0, 0);
	settings.svinval = machine_has("svinval");
	paging_off();
}

static void worker_init(struct worker *w, unsigned int index)
{
	w->index = index;
	w->random = settings.seed * UINT64_C(0x9e3779b97f4a7c15) + index * UINT64_C(0x1234567) + 1;
	w->ops = settings.ops / worker_count + (index < settings.ops % worker_count);
	for (unsigned int r = 0; r < ROOTS; r++) {
		if (r < SHARED_ROOTS) {
			w->roots[r] = &shared_roots[r];
			continue;
		}
		w->roots[r] = heap_take(sizeof(struct root));
		root_init(w->roots[r], false, r == ROOTS - 1);
	}
	w->stub_now = heap_take(POOL_FRAMES * sizeof(uint16_t));
	w->stub_fenced = heap_take(POOL_FRAMES * sizeof(uint16_t));
	garbage_init(w);
}

static struct worker *worker_self(void)
{
	return &workers[hart_self() - harts];
}

/* The timer comes at any point, so that traps are within everything. */
static void on_timer(struct trap_frame *frame)
{
	struct worker *w = worker_self();
	uint64_t ticks = settings.timer_us * machine.timebase / 1000000;

	(void)frame;
	w->ticks++;
	sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, time_now() + ticks / 2 + w->ticks * 7 % ticks, 0,
		 0, 0, 0);
}

static void timer_on(void)
{
	if (settings.timer_us == 0)
		return;
	hart_self()->on_interrupt = on_timer;
	sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, 0, 0, 0, 0, 0);
	csr_write(CSR_SIE, BIT(IRQ_S_TIMER));
	csr_set(CSR_SSTATUS, SSTATUS_SIE);
}

static void timer_off(void)
{
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	csr_write(CSR_SIE, 0);
	sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, ~UINT64_C(0), 0, 0, 0, 0);
}

static uint64_t ready, ended;

/* Workers fence each other: none may be gone while another is at it. */
static void wait_for_all(uint64_t *count)
{
	__atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(count, __ATOMIC_SEQ_CST) < worker_count)
		;
}

static uint64_t run_ops(uint64_t a0, uint64_t a1, uint64_t a2)
{
	struct worker *w = worker_self();

	(void)a0;
	(void)a1;
	(void)a2;
	context_switch(w, 0);
	fence_everything(w);
	context_set_status(w, false, false);
	for (; w->done < w->ops && !failed(); w->done++)
		torture_op(w);
	return 0;
}

static void work(void *argument)
{
	struct worker *w = worker_self();
	const struct trap_frame *trap = &hart_self()->trap;

	(void)argument;
	csr_set(CSR_SSTATUS, SSTATUS_FS);
	wait_for_all(&ready);
	timer_on();
	if (trap_run(run_ops, 0, 0, 0))
		fail(w, "unexpected exception: cause %lu epc 0x%lx stval 0x%lx ra 0x%lx",
		     trap->cause, trap->epc, trap->tval, trap->x[REG_RA]);
	wait_for_all(&ended);
	timer_off();
	paging_off();
}

static void run_workers(void)
{
	for (size_t i = 1; i < worker_count; i++) {
		int64_t error = hart_run(i, work, NULL);

		if (error) {
			print("not ok torture: hart %lu does not start: %ld\n", harts[i].id, error);
			machine_shutdown(false);
		}
	}
	work(NULL);
	for (size_t i = 1; i < worker_count; i++)
		if (!hart_join(i, 10000))
			fail(&workers[i], "hart %lu did not stop", harts[i].id);
}

static void summary(void)
{
	uint64_t done = 0, frame = pool_check();

	if (frame != POOL_FRAMES)
		fail(&workers[0], "frame %lu is not what it was", frame);
	for (size_t i = 0; i < worker_count; i++) {
		const struct worker *w = &workers[i];

		done += w->done;
		print("torture: worker %lu: %lu operations, %lu accesses, %lu faults, %lu exact, "
		      "%lu inconclusive, %lu ticks\n",
		      i, w->done, w->accesses, w->faults, w->exact, w->inconclusive, w->ticks);
	}
	if (!failed())
		print("ok torture: %lu operations\n", done);
	machine_shutdown(!failed());
}

void guest_main(void)
{
	settings.seed = max_u64(1, machine_number("seed", settings.seed));
	settings.ops = machine_number("ops", settings.ops);
	settings.timer_us = machine_number("timer", settings.timer_us);
	settings.levels = (unsigned int)machine_number("levels", settings.levels);
	worker_count = min_u64(min_u64(machine.hart_count, WORKERS_MAX),
			       max_u64(1, machine_number("workers", WORKERS_MAX)));
	if (settings.levels < 3 || settings.levels > 5 || !paging_supported(settings.levels)) {
		print("skip torture: no page tables of %u levels\n", settings.levels);
		machine_shutdown(true);
	}
	probe_machine();
	pool_init();
	for (unsigned int i = 0; i < SHARED_ROOTS; i++)
		root_init(&shared_roots[i], true, false);
	for (unsigned int i = 0; i < worker_count; i++)
		worker_init(&workers[i], i);
	print("torture: seed %lu, %lu operations, %lu workers, %u levels, ASIDs to %lu, A and D "
	      "set %s, svinval %d\n",
	      settings.seed, settings.ops, worker_count, settings.levels, settings.asid_mask,
	      settings.sets_accessed ? "by the machine" : "by software", settings.svinval);
	run_workers();
	summary();
}
