/* SPDX-License-Identifier: MIT */

/* The boot hart's way from its first C function to the first process. */

#include "guests/minikernel/kernel.h"

/*
 * The value of `script=` on the command line, up to the next space, or in double quotes:
 * commands for the shell. NULL if there is none.
 */
static const char *find_script(char *bootargs)
{
	static const char key[] = "script=";
	char *start = bootargs, *end;
	char terminator = ' ';

	while (strncmp(start, key, sizeof(key) - 1) != 0)
		if (*start++ == '\0')
			return NULL;
	start += sizeof(key) - 1;
	if (*start == '"')
		terminator = *start++;
	for (end = start; *end != '\0' && *end != terminator;)
		end++;
	*end = '\0';
	return start;
}

static void start_init(void)
{
	static struct args args;
	const char *script = find_script(machine.bootargs);

	args_add(&args, "init");
	if (script != NULL)
		args_add(&args, script);
	proc_start_init(&args);
}

void kernel_main(uint64_t hart_id, const void *tree, uint64_t image)
{
	kernel_lock();

	/* The tree is read once and not needed any more when the memory that it lies in is. */
	fdt_init(tree);
	machine_probe(image, hart_id);
	page_find_ranges();
	vm_init();
	page_init();

	hart_init_boot(hart_id);
	timer_init();
	space_probe_asids();
	plic_init();
	uart_init();
	proc_init();
	hart_start_others();

	print("\nminikernel: %u harts, %lu MiB, hart %lu\n", hart_count, machine.ram.size >> 20,
	      hart_id);
	print("minikernel: at 0x%lx, timer: %s, ASIDs: %s\n", image, machine.sstc ? "Sstc" : "SBI",
	      space_has_asids() ? "yes" : "no");
	start_init();
	sched_loop();
}
