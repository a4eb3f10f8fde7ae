/* SPDX-License-Identifier: MIT */
/* unit: vmm/guest_fdt.c vmm/guest_fdt_host.c vmm/tree_writer.c vmm/guest_fdt_patch.c */
/* libs: -lfdt */
#include "tests/fuzz/fenced.h"

#include <libfdt.h>

#include "vmm/guest_fdt.h"

#define SIZE_MAX_HERE (2 * FENCED_MAX)

/* A tree of the user's is patched: what comes out is a sound tree, in the room that was given. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[32] = "0123456789abcdef0123456789abcde";
	static _Alignas(8) uint8_t out[SIZE_MAX_HERE + 8];
	struct guest_fdt_info info = {
	    .path = "/configurations/web",
	    .hart_count = 2,
	    .ram_base = 0x80000000,
	    .ram_size = MIB(512),
	    .bootargs = "console=ttyS0",
	    .ramdisk = 0x84000000,
	    .ramdisk_size = 12345,
	    .rng_seed = seed,
	    .rng_seed_size = sizeof(seed),
	};

	if (size > FENCED_MAX)
		return 0;

	const void *tree = fenced_copy(data, size, 1);
	size_t room = guest_fdt_patch_size(&info, size);

	check(room >= size && room <= SIZE_MAX_HERE);
	memset(out + room, 0xa5, 8);
	if (guest_fdt_patch(out, room, tree, size, &info) == 0) {
		int chosen = fdt_path_offset(out, "/chosen");
		int length;

		check(fdt_check_full(out, room) == 0);
		check(fdt_getprop(out, chosen, "rng-seed", &length) && length == sizeof(seed));
		check(strcmp(fdt_getprop(out, chosen, "bootargs", NULL), info.bootargs) == 0);
	}
	for (unsigned i = 0; i < 8; i++)
		check(out[room + i] == 0xa5);
	return 0;
}
