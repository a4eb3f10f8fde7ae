/* SPDX-License-Identifier: MIT */

/* Uses a hart without ever calling the kernel: only preemption lets others run beside it. */

#include "guests/minikernel/user/user.h"

int main(int argc, char **argv)
{
	struct system_info info;
	uint64_t ms = 0, start = ticks();

	if (argc > 1 && !parse_number(argv[1], &ms)) {
		print("usage: spin [MILLISECONDS]\n");
		return 2;
	}
	system_info(&info);
	while (argc == 1 || (ticks() - start) * 1000 / info.timebase < ms)
		;
	return 0;
}
