/* SPDX-License-Identifier: MIT */

/*
 * The first process. It keeps a shell running, hands the first one the script from the kernel's
 * command line, and waits for those processes whose parents did not.
 */

#include "guests/minikernel/user/user.h"

static int64_t start_shell(const char *script)
{
	const char *argv[] = {"sh", script, NULL};
	int64_t pid;

	/* Without memory for it, somebody else will have to end first. */
	while ((pid = fork()) < 0)
		sleep(100);
	if (pid == 0) {
		exec("sh", argv);
		print("init: the shell does not start\n");
		sleep(100);
		exit(1);
	}
	return pid;
}

int main(int argc, char **argv)
{
	int64_t shell = start_shell(argc > 1 ? argv[1] : NULL);

	for (;;)
		if (wait(0, NULL, 0) == shell)
			shell = start_shell(NULL);
}
