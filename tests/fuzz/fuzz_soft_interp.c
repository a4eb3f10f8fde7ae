/* SPDX-License-Identifier: MIT */
/* unit: engine/soft/interp.c engine/soft/uop.c */
#include "tests/fuzz/fenced.h"

#include "tests/unit/soft_compare.h"

/* What lies before the code in the input. */
struct header {
	uint8_t script[REFERENCE_SCRIPT];
	uint64_t pc;
	uint64_t seed;     /* of the registers that the next do not say */
	uint64_t small[4]; /* x8 to x11, which compressed instructions have, and addresses */
};

static void fill_machine(struct machine *machine, const struct header *header)
{
	uint64_t *csrs = (uint64_t *)&machine->csrs;

	memset(machine, 0, sizeof(*machine));
	memcpy(reference_script, header->script, sizeof(reference_script));
	for (unsigned i = 1; i < 32; i++)
		machine->x[i] = ref_mix(header->seed, i) >> (header->seed + i) % 64;
	memcpy(&machine->x[8], header->small, sizeof(header->small));
	for (unsigned i = 0; i < sizeof(machine->csrs) / sizeof(uint64_t); i++)
		csrs[i] = ref_mix(header->seed, 32 + i);
	machine->csrs.sepc &= ~UINT64_C(1);
	for (unsigned i = 0; i < REFERENCE_MEMORY; i++)
		machine->memory[i] = (uint8_t)ref_mix(header->seed, 64 + i);
	machine->pc = header->pc & ~UINT64_C(1);
}

/* A header, and what follows it is the code; both interpreters must agree on what it does. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct machine machine;
	struct header header;

	if (size < sizeof(header) || size - sizeof(header) > PAGE_SIZE)
		return 0;
	memcpy(&header, data, sizeof(header));
	fill_machine(&machine, &header);
	size -= sizeof(header);

	const uint8_t *code = fenced_copy(data + sizeof(header), size, 2);
	const char *complaint = compare_run(&machine, code, (unsigned)size);

	if (complaint)
		puts(complaint);
	check(!complaint);
	return 0;
}
