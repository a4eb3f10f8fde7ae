/* SPDX-License-Identifier: MIT */
#include "guests/minikernel/user/user.h"

int main(int argc, char **argv)
{
	uint64_t ms;

	if (argc != 2 || !parse_number(argv[1], &ms)) {
		print("usage: sleep MILLISECONDS\n");
		return 2;
	}
	sleep(ms);
	return 0;
}
