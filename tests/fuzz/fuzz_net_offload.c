/* SPDX-License-Identifier: MIT */
/* unit: vmm/net_offload.c vmm/checksum.c vmm/copy.c */
#include "tests/fuzz/fenced.h"

#include "tests/unit/offload_reference.h"

/* What comes before the frame's bytes. */
struct input {
	struct net_header wish;
	uint8_t sender, receiver, seed;
	uint8_t lengths; /* odd: those in the IP header are made to fit */
	uint16_t more;   /* bytes that follow the input's */
};

static struct net_abilities abilities(uint8_t bits)
{
	return (struct net_abilities){
	    .csum = bits & 1,
	    .tso4 = bits & 2,
	    .tso6 = bits & 4,
	    .ecn = bits & 8,
	    .uso4 = bits & 16,
	    .uso6 = bits & 32,
	    .data_valid = bits & 64,
	};
}

/* So that inputs whose size changes are not all refused. */
static void fit_lengths(uint8_t *frame, uint32_t size, uint32_t transport)
{
	uint32_t network = 14;

	if (size >= 18 && ref_get(frame, 12, 2) == 0x8100)
		network = 18;
	if (size < network + 40)
		return;
	if (ref_get(frame, network - 2, 2) == 0x0800)
		ref_put(frame, network + 2, 2, size - network);
	else
		ref_put(frame, network + 4, 2, size - network - 40);
	if (frame[network + 9] == 17 && transport + 8 <= size)
		ref_put(frame, transport + 4, 2, size - transport);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t frame[NET_FRAME_MAX + 65536];
	struct net_abilities sender, receiver;
	const char *wrong;
	struct input input;
	uint32_t bytes;

	if (size < sizeof(input) || size - sizeof(input) > NET_FRAME_MAX)
		return 0;
	memcpy(&input, data, sizeof(input));
	bytes = (uint32_t)(size - sizeof(input));
	memcpy(frame, data + sizeof(input), bytes);
	for (uint32_t i = 0; i < input.more; i++)
		frame[bytes + i] = (uint8_t)(i * i + input.seed);
	bytes += input.more;
	if (input.lengths & 1)
		fit_lengths(frame, bytes, input.wish.csum_start);
	sender = abilities(input.sender);
	receiver = abilities(input.receiver);
	wrong = offload_try(frame, bytes, &input.wish, &sender, &receiver, input.seed);
	if (wrong)
		fprintf(stderr, "%s\n", wrong);
	check(!wrong);
	return 0;
}
