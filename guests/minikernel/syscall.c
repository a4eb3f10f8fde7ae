/* SPDX-License-Identifier: MIT */

/*
 * System calls. Every argument is the program's word and nothing more: numbers are checked,
 * and its memory is only reached through space_read() and space_write().
 */

#include "guests/minikernel/kernel.h"

static uint64_t argument(const struct proc *p, int n)
{
	return p->frame->x[REG_A0 + n];
}

static int64_t sys_exit(struct proc *p)
{
	proc_exit((int)(argument(p, 0) & 0xff));
}

static int64_t sys_fork(struct proc *p)
{
	(void)p;
	return proc_fork();
}

/* The array at argv, up to a null pointer, and the strings that it points to. */
static int read_args(struct proc *p, uint64_t argv, char *text, struct args *args)
{
	for (uint64_t i = 0;; i++) {
		uint64_t pointer;
		int error = space_read(&p->space, &pointer, argv + 8 * i, sizeof(pointer));

		if (error == 0 && pointer == 0)
			return 0;
		if (error == 0)
			error = space_read_string(&p->space, text, pointer, sizeof(args->text));
		if (error >= 0)
			error = args_add(args, text);
		if (error < 0)
			return error;
	}
}

/* Takes more memory than a kernel stack has to offer: a page. */
static int64_t sys_exec(struct proc *p)
{
	uint64_t page = page_alloc_zeroed();
	struct args *args;
	char *text, name[NAME_SIZE];
	int error;

	if (page == 0)
		return ERR_NOMEM;
	args = page_virt(page);
	text = (char *)(args + 1);
	_Static_assert(sizeof(*args) + sizeof(args->text) <= PAGE_SIZE, "one page for both");
	error = space_read_string(&p->space, name, argument(p, 0), sizeof(name));
	if (error >= 0)
		error = read_args(p, argument(p, 1), text, args);
	if (error == 0)
		error = exec_program(p, name, args);
	page_release(page);
	/* It starts with the number of its arguments in a0. */
	return error == 0 ? (int64_t)argument(p, 0) : error;
}

static int64_t sys_wait(struct proc *p)
{
	uint64_t where = argument(p, 1);
	int status = 0;
	int64_t pid = proc_wait((uint32_t)argument(p, 0), argument(p, 2) != 0, &status);

	if (pid > 0 && where != 0) {
		int error = space_write(&p->space, where, &status, sizeof(status));

		if (error != 0)
			return error;
	}
	return pid;
}

static int64_t sys_kill(struct proc *p)
{
	struct proc *target = proc_find((uint32_t)argument(p, 0));

	if (target == NULL)
		return ERR_NOENT;
	if (target->parent == NULL)
		return ERR_DENIED;
	proc_kill(target, STATUS_KILLED);
	return 0;
}

static int64_t sys_getpid(struct proc *p)
{
	return p->pid;
}

static int64_t sys_yield(struct proc *p)
{
	(void)p;
	sched_yield();
	return 0;
}

static int64_t sys_sleep(struct proc *p)
{
	uint64_t ms = min_u64(argument(p, 0), UINT32_MAX);

	sched_sleep_until(time_now() + time_from_ms(ms));
	return p->killed ? ERR_DENIED : 0;
}

static int64_t sys_sbrk(struct proc *p)
{
	uint64_t old;
	int error = space_sbrk(&p->space, (int64_t)argument(p, 0), &old);

	return error == 0 ? (int64_t)old : error;
}

static int64_t sys_read(struct proc *p)
{
	return console_read(p, argument(p, 0), argument(p, 1));
}

static int64_t sys_write(struct proc *p)
{
	return console_write(p, argument(p, 0), argument(p, 1));
}

static int64_t sys_uptime(struct proc *p)
{
	(void)p;
	return (int64_t)time_to_us(time_uptime());
}

static int64_t sys_foreground(struct proc *p)
{
	(void)p;
	console_set_foreground((uint32_t)argument(p, 0));
	return 0;
}

static int64_t sys_ps(struct proc *p)
{
	uint64_t to = argument(p, 0), room = argument(p, 1), count = 0;

	for (uint32_t i = 0; i < MAX_PROCS && count < room; i++) {
		struct proc_info info;
		int error;

		if (proc_list(&info, i) == PROC_FREE)
			continue;
		error = space_write(&p->space, to + count * sizeof(info), &info, sizeof(info));
		if (error != 0)
			return error;
		count++;
	}
	return (int64_t)count;
}

static int64_t sys_system(struct proc *p)
{
	struct system_info info = {.pages = page_total(),
				   .free_pages = page_free_count(),
				   .timebase = machine.timebase,
				   .harts = hart_count,
				   .processes = MAX_PROCS};

	return space_write(&p->space, argument(p, 0), &info, sizeof(info));
}

static int64_t sys_poweroff(struct proc *p)
{
	(void)p;
	machine_poweroff();
}

static int64_t sys_reboot(struct proc *p)
{
	(void)p;
	machine_reboot();
}

/* A bug for those who want to see what becomes of one: follows the program's pointer. */
static int64_t sys_panic(struct proc *p)
{
	return *(volatile int8_t *)argument(p, 0);
}

void syscall_dispatch(struct proc *p)
{
	static int64_t (*const calls[SYSCALLS])(struct proc *) = {
	    [SYS_EXIT] = sys_exit,     [SYS_FORK] = sys_fork,
	    [SYS_EXEC] = sys_exec,     [SYS_WAIT] = sys_wait,
	    [SYS_KILL] = sys_kill,     [SYS_GETPID] = sys_getpid,
	    [SYS_YIELD] = sys_yield,   [SYS_SLEEP] = sys_sleep,
	    [SYS_SBRK] = sys_sbrk,     [SYS_READ] = sys_read,
	    [SYS_WRITE] = sys_write,   [SYS_UPTIME] = sys_uptime,
	    [SYS_PS] = sys_ps,         [SYS_FOREGROUND] = sys_foreground,
	    [SYS_SYSTEM] = sys_system, [SYS_POWEROFF] = sys_poweroff,
	    [SYS_REBOOT] = sys_reboot, [SYS_PANIC] = sys_panic,
	};
	uint64_t number = p->frame->x[REG_A7];
	int64_t result = number < SYSCALLS ? calls[number](p) : ERR_NOSYS;

	p->frame->x[REG_A0] = (uint64_t)result;
}
