/* SPDX-License-Identifier: MIT */
#include "guests/torture/torture.h"

uint64_t pool_base;

enum {
	LUI_A0 = 0x00000537,
	CSRW_SSCRATCH_A1 = 0x14059073,
	CSRRW_A2_SSCRATCH_A1 = 0x14059673,
};

uint32_t pool_stub_insn(uint64_t frame, unsigned int version)
{
	return LUI_A0 | (uint32_t)frame << 12 | (uint32_t)version << 23;
}

void pool_write_stub(uint64_t frame, unsigned int worker, unsigned int version)
{
	volatile uint32_t *code =
	    (volatile uint32_t *)(frame_address(frame) + FRAME_STUB_OWN + 16 * worker);

	*code = pool_stub_insn(frame, version);
}

/* The instructions of the fixed stubs, by their number from FRAME_STUB on. */
static uint32_t stub_word(uint64_t frame, uint64_t number)
{
	switch (number) {
	case 0:
	case 9:
		return pool_stub_insn(frame, 0);
	case 1:
	case 12:
		return INSN_EBREAK;
	case 8:
		return CSRR_A1_SSCRATCH;
	case 10:
		return CSRRW_A2_SSCRATCH_A1;
	case 11:
		return CSRW_SSCRATCH_A1;
	default:
		return INSN_NOP;
	}
}

uint64_t frame_word(uint64_t frame, uint64_t offset)
{
	uint64_t number = (offset - FRAME_STUB) / 4;

	if (offset >= FRAME_STUB && offset < FRAME_FIXED)
		return stub_word(frame, number) | (uint64_t)stub_word(frame, number + 1) << 32;
	return UINT64_C(0xf4a3000000000000) | (frame * 37 & 0xff) << 36 | frame << 16 | offset;
}

static bool is_fixed(uint64_t offset)
{
	return offset < FRAME_FIXED || offset >= FRAME_REST;
}

void pool_init(void)
{
	pool_base = heap_reserve(POOL_FRAMES * PAGE_SIZE, MIB(2));
	for (uint64_t frame = 0; frame < POOL_FRAMES; frame++) {
		uint64_t *words = (uint64_t *)frame_address(frame);

		for (uint64_t offset = 0; offset < PAGE_SIZE; offset += 8)
			words[offset / 8] = is_fixed(offset) ? frame_word(frame, offset) : 0;
		for (unsigned int worker = 0; worker < WORKERS_MAX; worker++) {
			pool_write_stub(frame, worker, 0);
			*(uint32_t *)(frame_address(frame) + FRAME_STUB_OWN + 16 * worker + 4) =
			    INSN_EBREAK;
		}
	}
	__asm__ volatile("fence.i" ::: "memory");
}

uint64_t pool_check(void)
{
	uint64_t frame;

	for (frame = 0; frame < POOL_FRAMES; frame++) {
		const uint64_t *words = (const uint64_t *)frame_address(frame);

		for (uint64_t offset = 0; offset < PAGE_SIZE; offset += 8)
			if (is_fixed(offset) && words[offset / 8] != frame_word(frame, offset))
				return frame;
	}
	return frame;
}
