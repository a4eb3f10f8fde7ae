/* SPDX-License-Identifier: MIT */
#include "guests/minikernel/user/user.h"

int main(int argc, char **argv)
{
	struct system_info info;

	(void)argc;
	(void)argv;
	system_info(&info);
	print("memory: %lu KiB, %lu KiB free\n", info.pages * 4, info.free_pages * 4);
	return 0;
}
