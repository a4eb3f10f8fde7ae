/* SPDX-License-Identifier: MIT */
#include "guests/minikernel/user/user.h"

int main(int argc, char **argv)
{
	struct system_info info;
	uint64_t us = (uint64_t)uptime();

	(void)argc;
	(void)argv;
	system_info(&info);
	print("up %lu.%03lu s, %u harts, clock at %lu Hz\n", us / 1000000, us / 1000 % 1000,
	      info.harts, info.timebase);
	return 0;
}
