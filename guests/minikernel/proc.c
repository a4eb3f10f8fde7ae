/* SPDX-License-Identifier: MIT */

/*
 * Processes: how they come to be, and how they end. A process is a slot in a table, an
 * address space, and a kernel stack on which its frame and the kernel's work for it lie.
 * The slot's number makes the ASID, and the stack stays with the slot.
 */

#include "guests/minikernel/kernel.h"
#include "riscv/csr.h"

struct proc procs[MAX_PROCS];

static uint32_t last_pid;
static struct proc *init;

void proc_init(void)
{
	for (uint32_t i = 0; i < MAX_PROCS; i++) {
		procs[i].slot = i;
		procs[i].stack = vm_new_stack();
		if (procs[i].stack == NULL)
			panic("no memory for kernel stacks");
	}
}

struct proc *proc_current(void)
{
	return hart_self()->current;
}

struct proc *proc_find(uint32_t pid)
{
	for (uint32_t i = 0; i < MAX_PROCS; i++)
		if (procs[i].state != PROC_FREE && procs[i].pid == pid)
			return &procs[i];
	return NULL;
}

static uint32_t new_pid(void)
{
	do
		last_pid = last_pid % 99999 + 1;
	while (proc_find(last_pid) != NULL);
	return last_pid;
}

/* A free slot, made into a process that will enter its program with the registers of its frame. */
static struct proc *proc_new(void)
{
	struct proc *p = procs;

	while (p < procs + MAX_PROCS && p->state != PROC_FREE)
		p++;
	if (p == procs + MAX_PROCS)
		return NULL;
	*p = (struct proc){.slot = p->slot, .stack = p->stack, .pid = new_pid()};
	p->frame = (struct frame *)p->stack - 1;
	p->context.ra = (uint64_t)process_entry;
	p->context.sp = (uint64_t)p->frame;
	p->hart = hart_self();
	return p;
}

/* The address space is set up. From here on, the process exists. */
static void proc_start(struct proc *p, struct proc *parent)
{
	p->parent = parent;
	sched_make_ready(p);
}

void proc_start_init(const struct args *args)
{
	init = proc_new();
	if (exec_program(init, "init", args) != 0)
		panic("there is no memory for the first process");
	proc_start(init, NULL);
}

int64_t proc_fork(void)
{
	struct proc *parent = proc_current();
	struct proc *p = proc_new();
	int error;

	if (p == NULL)
		return ERR_AGAIN;
	error = space_fork(&p->space, &parent->space, p->slot + 1);
	if (error != 0)
		return error;
	*p->frame = *parent->frame;
	p->frame->x[REG_A0] = 0;
	memcpy(p->name, parent->name, NAME_SIZE);
	proc_start(p, parent);
	return p->pid;
}

/* Its parent will not wait for it any more: let init do so. */
static void abandon_children(struct proc *parent)
{
	for (struct proc *p = procs; p < procs + MAX_PROCS; p++)
		if (p->state != PROC_FREE && p->parent == parent)
			p->parent = init;
	sched_wakeup(init);
}

void proc_exit(int status)
{
	struct proc *p = proc_current();

	if (p == init)
		panic("init ended with status %d", status);
	abandon_children(p);
	space_enter(NULL);
	space_destroy(&p->space);
	p->status = status;
	p->state = PROC_ZOMBIE;
	sched_wakeup(p->parent);
	sched_exit();
}

/* What is left of a zombie. */
static int64_t reap(struct proc *p, int *status)
{
	*status = p->status;
	p->state = PROC_FREE;
	return p->pid;
}

int64_t proc_wait(uint32_t pid, bool poll, int *status)
{
	struct proc *self = proc_current();

	for (;;) {
		bool children = false;

		for (struct proc *p = procs; p < procs + MAX_PROCS; p++) {
			if (p->state == PROC_FREE || p->parent != self ||
			    (pid != 0 && p->pid != pid))
				continue;
			if (p->state == PROC_ZOMBIE)
				return reap(p, status);
			children = true;
		}
		if (!children)
			return ERR_NOENT;
		if (poll)
			return ERR_AGAIN;
		if (self->killed)
			return ERR_DENIED;
		sched_sleep(self);
	}
}

void proc_kill(struct proc *p, int status)
{
	if (p == init || p->killed || p->state == PROC_ZOMBIE)
		return;
	p->killed = true;
	p->status = status;
	sched_unsleep(p);
	/* In its program it would not notice until the next timer interrupt. */
	if (p->state == PROC_RUNNING && p->hart != hart_self())
		hart_interrupt(p->hart);
}

static bool descends_from(const struct proc *p, const struct proc *root)
{
	while (p != NULL && p != root)
		p = p->parent;
	return p != NULL;
}

void proc_kill_tree(struct proc *root, int status)
{
	for (struct proc *p = procs; p < procs + MAX_PROCS; p++)
		if (p->state != PROC_FREE && descends_from(p, root))
			proc_kill(p, status);
}

struct proc *proc_largest(void)
{
	struct proc *largest = NULL;

	for (struct proc *p = procs; p < procs + MAX_PROCS; p++)
		if (p != init && p->state != PROC_FREE && p->state != PROC_ZOMBIE &&
		    (largest == NULL || p->space.pages > largest->space.pages))
			largest = p;
	if (largest == NULL)
		panic("init alone needs more memory than there is");
	return largest;
}

/* The index'th slot. What it tells of a free one is its state. */
uint32_t proc_list(struct proc_info *info, uint32_t index)
{
	const struct proc *p = &procs[index];
	uint64_t running = p->state == PROC_RUNNING ? time_now() - p->started : 0;

	*info = (struct proc_info){.pid = p->pid,
				   .parent = p->parent != NULL ? p->parent->pid : 0,
				   .state = p->state,
				   .hart = p->hart != NULL ? p->hart->index : 0,
				   .run_time = time_to_us(p->run_time + running),
				   .pages = p->space.pages};
	memcpy(info->name, p->name, NAME_SIZE);
	return info->state;
}
