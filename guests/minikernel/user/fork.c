/* SPDX-License-Identifier: MIT */

/*
 * Makes N processes, up to 16 at a time. Each finds the memory of its parent as it was at the
 * fork, whatever the parent wrote since, and writes to it without the parent seeing it.
 */

#include "guests/minikernel/user/user.h"

#define AT_A_TIME 16
#define WORDS     2048

/* Four pages: more than one, and not so many that only copying is measured. */
static volatile uint64_t memory[WORDS];

static void fill(uint64_t value)
{
	for (uint32_t i = 0; i < WORDS; i += 64)
		memory[i] = value;
}

static bool holds(uint64_t value)
{
	for (uint32_t i = 0; i < WORDS; i += 64)
		if (memory[i] != value)
			return false;
	return true;
}

static void child(uint64_t n)
{
	bool right = holds(n);

	fill(~n);
	yield();
	exit(right && holds(~n) ? 0 : 1);
}

/* Waits for one of them; false if it has seen what it should not. */
static bool wait_for_one(void)
{
	int status;

	return wait(0, &status, 0) > 0 && status == 0;
}

/* Makes all of them; returns the number of those that failed. */
static uint64_t run(uint64_t n)
{
	uint64_t running = 0, failed = 0, made = 0;

	while (made < n || running != 0) {
		int64_t pid = ERR_AGAIN;

		if (made < n && running < AT_A_TIME) {
			fill(made);
			pid = fork();
		}
		if (pid == 0)
			child(made);
		if (pid > 0) {
			made++;
			running++;
		} else if (running == 0) {
			print("fork: error %ld\n", pid);
			return failed + n - made;
		} else {
			failed += !wait_for_one();
			running--;
		}
	}
	return failed;
}

int main(int argc, char **argv)
{
	int64_t start = uptime();
	uint64_t n, failed;

	if (argc != 2 || !parse_number(argv[1], &n)) {
		print("usage: fork N\n");
		return 2;
	}
	failed = run(n);
	print("fork: %lu processes, %lu wrong, in %ld us\n", n, failed, uptime() - start);
	return failed == 0 ? 0 : 1;
}
