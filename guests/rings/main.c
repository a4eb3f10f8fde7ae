/* SPDX-License-Identifier: MIT */
/* A guest that treats virtio disks as badly as it can. See README.md. */
#include "guests/lib/console.h"
#include "guests/lib/hostile.h"
#include "guests/lib/machine.h"
#include "guests/lib/sync.h"

static volatile bool ending;

static __noreturn void fail(const char *why)
{
	print("rings: not ok: %s\n", why);
	machine_shutdown(false);
}

static void change_on(void *argument)
{
	uint64_t random = (uint64_t)argument;

	while (!ending)
		hostile_change(&random);
}

void guest_main(void)
{
	uint64_t count = machine_number("n", 20000), resets, used;
	uint64_t random = machine_number("seed", 1) * 0x9e3779b97f4a7c15;

	if (hostile_init(true, false) == 0)
		fail("there is no disk");
	for (size_t i = 1; i < machine.hart_count; i++)
		hart_run(i, change_on, (void *)(random + i));
	for (uint64_t i = 0; i < count; i++)
		hostile_operate(&random);
	ending = true;
	for (size_t i = 1; i < machine.hart_count; i++) {
		if (!hart_join(i, 10000))
			fail("a hart does not end");
	}
	hostile_check();
	hostile_counts(&resets, &used);
	print("rings: ok %lu operations, %lu resets, %lu used\n", count, resets, used);
	machine_shutdown(true);
}
