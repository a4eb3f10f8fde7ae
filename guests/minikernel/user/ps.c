/* SPDX-License-Identifier: MIT */
#include "guests/minikernel/user/user.h"

#define MAX 64

int main(int argc, char **argv)
{
	static const char *const states[] = {"free", "ready", "running", "sleeping", "zombie"};
	static struct proc_info list[MAX];
	int64_t count = processes(list, MAX);

	(void)argc;
	(void)argv;
	print("  PID PARENT STATE     HART     TIME/ms    KiB NAME\n");
	for (int64_t i = 0; i < count; i++)
		print("%5u %6u %-8s %5u %11lu %6lu %s\n", list[i].pid, list[i].parent,
		      states[list[i].state], list[i].hart, list[i].run_time / 1000,
		      list[i].pages * 4, list[i].name);
	return 0;
}
