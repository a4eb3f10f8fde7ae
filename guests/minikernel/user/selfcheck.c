/* SPDX-License-Identifier: MIT */

/*
 * Checks that the kernel does what this directory promises, from where a program stands. Each
 * check prints "ok NAME", or "not ok NAME: why". Lines of the kernel about programs that it
 * killed are a part of it: some checks make it do so.
 */

#include "guests/minikernel/user/selfcheck.h"
#include "guests/minikernel/user/user.h"

#define SPINNERS_MAX 32
#define PATIENCE_MS  20000
#define HARTS_MAX    512

static struct system_info machine;
static struct proc_info list[64];

int status_of(void (*body)(void))
{
	int64_t child = fork();
	int status = -1;

	if (child == 0) {
		body();
		exit(0);
	}
	wait(child, &status, 0);
	return status;
}

static void spin(void)
{
	for (;;)
		__asm__ volatile("");
}

static void nap(void)
{
	sleep(1000000);
}

/* Returns how many of `n` children, which run `body`, there are. */
static uint32_t start_children(int64_t *children, uint32_t n, void (*body)(void))
{
	for (uint32_t i = 0; i < n; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			body();
			exit(0);
		}
		if (children[i] < 0)
			return i;
	}
	return n;
}

/* True if all of them have ended by being killed. */
static bool kill_children(const int64_t *children, uint32_t n)
{
	bool right = true;
	int status;

	for (uint32_t i = 0; i < n; i++)
		right &= kill(children[i]) == 0;
	for (uint32_t i = 0; i < n; i++)
		right &= wait(children[i], &status, 0) == children[i] && status == STATUS_KILLED;
	return right;
}

static const char *wait_and_exit(void)
{
	int64_t child = fork();
	int status;

	if (child == 0)
		exit(0x12345);
	if (wait(child + 1, &status, 0) != ERR_NOENT)
		return "somebody else's child can be waited for";
	if (wait(0, &status, 0) != child || status != 0x45)
		return "the child's status is not what it exited with";
	if (wait(0, &status, 0) != ERR_NOENT || wait(child, &status, 1) != ERR_NOENT)
		return "it can be waited for twice";
	child = fork();
	if (child == 0)
		spin();
	if (wait(0, &status, 1) != ERR_AGAIN)
		return "polling waits";
	return kill_children(&child, 1) ? NULL : "the child does not end";
}

static void be_another(void)
{
	static const char *const argv[] = {"selfcheck", "exec", "a b", "", NULL};

	exec("selfcheck", argv);
}

static const char *exec_check(void)
{
	static const char *const none[] = {NULL};

	if (exec("no-such-program", none) != ERR_NOENT)
		return "a program that is not there";
	if (exec("a name that is much too long", none) != ERR_TOO_LARGE)
		return "a name that is too long";
	return status_of(be_another) == 42 ? NULL : "arguments do not arrive";
}

/* What be_another() makes of this program. */
static int check_arguments(int argc, char **argv)
{
	bool right = argc == 4 && strcmp(argv[2], "a b") == 0 && strcmp(argv[3], "") == 0 &&
		     argv[4] == NULL && (uintptr_t)__builtin_frame_address(0) % 16 == 0;

	return right ? 42 : 1;
}

static const char *kill_check(void)
{
	int64_t children[4];

	if (start_children(children, 2, nap) != 2 || start_children(children + 2, 2, spin) != 2)
		return "fork fails";
	sleep(20);
	if (kill(1) != ERR_DENIED || kill(999999) != ERR_NOENT)
		return "anybody can be killed";
	return kill_children(children, 4) ? NULL : "they do not end";
}

/* A child whose parent ends first becomes init's, and can still end. */
static const char *orphans(void)
{
	int64_t grandchild = 0;
	int64_t child = fork();

	if (child == 0) {
		if (fork() == 0)
			nap();
		exit(0);
	}
	wait(child, NULL, 0);
	for (int64_t i = processes(list, 64) - 1; i >= 0; i--)
		if (list[i].parent == 1 && list[i].pid > child)
			grandchild = list[i].pid;
	if (grandchild == 0)
		return "init has not taken it over";
	return kill(grandchild) == 0 ? NULL : "it cannot be killed";
}

static const char *sleep_check(void)
{
	uint64_t start = ticks();

	sleep(30);
	if ((ticks() - start) * 1000 < 30 * machine.timebase)
		return "sleep() returns too early";
	return NULL;
}

/* Which of the children have run, and on which harts any of them has been seen to. */
struct progress {
	bool child_ran[SPINNERS_MAX];
	bool hart_used[HARTS_MAX];
};

static void look(struct progress *seen, const int64_t *children, uint32_t n)
{
	int64_t count = processes(list, 64);

	for (int64_t i = 0; i < count; i++) {
		for (uint32_t j = 0; j < n; j++) {
			if (list[i].pid != children[j] || list[i].run_time == 0)
				continue;
			seen->child_ran[j] = true;
			seen->hart_used[list[i].hart % HARTS_MAX] = true;
		}
	}
}

static uint32_t count_true(const bool *values, uint32_t n)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++)
		count += values[i];
	return count;
}

/* More programs than harts, none of which ever calls the kernel. */
static const char *preemption(void)
{
	static struct progress seen;
	int64_t children[SPINNERS_MAX];
	uint32_t n = machine.harts * 2 < SPINNERS_MAX ? machine.harts * 2 : SPINNERS_MAX;
	uint32_t harts = machine.harts < n ? machine.harts : n;
	int64_t start = uptime();
	bool right = false;

	if (start_children(children, n, spin) != n)
		return "fork fails";
	while (!right && uptime() - start < PATIENCE_MS * INT64_C(1000)) {
		sleep(10);
		look(&seen, children, n);
		right = count_true(seen.child_ran, n) == n &&
			count_true(seen.hart_used, HARTS_MAX) >= harts;
	}
	if (!kill_children(children, n))
		return "they do not end";
	return right ? NULL : "not all of them run, or not on all harts";
}

static const char *registers(void)
{
	int64_t children[SPINNERS_MAX];
	uint32_t n = machine.harts < SPINNERS_MAX ? machine.harts : SPINNERS_MAX;
	bool kept;

	n = start_children(children, n, spin);
	kept = registers_keep_until(ticks() + machine.timebase / 20);
	if (!kill_children(children, n))
		return "the competitors do not end";
	return kept ? NULL : "a register has changed";
}

static const char *clock(void)
{
	uint64_t last = ticks();

	for (uint32_t i = 0; i < 2000; i++) {
		uint64_t now = ticks();

		if (now < last)
			return "time goes backwards";
		last = now;
		if (i % 4 == 0)
			yield();
	}
	return uptime() > 0 ? NULL : "the uptime is not positive";
}

static const struct check process_checks[] = {
    {"wait_and_exit", wait_and_exit},
    {"exec", exec_check},
    {"kill", kill_check},
    {"orphans", orphans},
    {"sleep", sleep_check},
    {"preemption", preemption},
    {"registers", registers},
    {"clock", clock},
};

/* Returns whether it has passed. */
static bool run_check(const struct check *check)
{
	int64_t child = fork();
	int status = -1;

	if (child == 0) {
		const char *why = check->run();

		if (why != NULL)
			print("not ok %s: %s\n", check->name, why);
		exit(why != NULL);
	}
	wait(child, &status, 0);
	if (status == 0)
		print("ok %s\n", check->name);
	else if (status != 1)
		print("not ok %s: ended with status %d\n", check->name, status);
	return status == 0;
}

static uint32_t run_checks(const struct check *checks, uint32_t n)
{
	uint32_t failed = 0;

	for (uint32_t i = 0; i < n; i++)
		failed += !run_check(&checks[i]);
	return failed;
}

/* All memory must be free again. Orphans take a moment to go; others may come meanwhile. */
static bool memory_returned(uint64_t free_before, int64_t processes_before)
{
	struct system_info now;

	for (uint32_t i = 0; i < PATIENCE_MS / 10; i++) {
		system_info(&now);
		if (now.free_pages == free_before || processes(list, 64) > processes_before)
			return true;
		sleep(10);
	}
	print("not ok memory_returned: %ld pages are missing\n", free_before - now.free_pages);
	return false;
}

int main(int argc, char **argv)
{
	struct system_info now;
	uint32_t failed;
	int64_t count = processes(list, 64);

	if (argc > 1)
		return check_arguments(argc, argv);
	system_info(&machine);
	/* After this line, this process has touched all the memory that it will need. */
	print("minikernel: self-check on %u harts\n", machine.harts);
	system_info(&now);
	failed = run_checks(memory_checks, memory_check_count);
	failed += run_checks(process_checks, ARRAY_SIZE(process_checks));
	if (memory_returned(now.free_pages, count))
		print("ok memory_returned\n");
	else
		failed++;
	if (failed == 0)
		print("minikernel: all checks passed\n");
	else
		print("minikernel: %u checks failed\n", failed);
	return failed != 0;
}
