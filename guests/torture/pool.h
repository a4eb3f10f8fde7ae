/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_TORTURE_POOL_H
#define GUESTS_TORTURE_POOL_H

#include "kernel/types.h"

/*
 * Frames that pages are mapped to. Each says which it is in every word that nothing else uses,
 * and in stubs of code. 512 frames in a row make a large page.
 */
#define POOL_LARGE  4
#define POOL_FRAMES (POOL_LARGE * UINT64_C(512))

/* Offsets in a frame. What lies below FRAME_FIXED and from FRAME_REST on never changes. */

#define FRAME_STUB         0x400 /* lui a0, FRAME; ebreak */
#define FRAME_STUB_CSR     0x420 /* the same between instructions that read and write sscratch */
#define CSRR_A1_SSCRATCH   0x140025f3U /* the first of the latter */
#define FRAME_FIXED        0x440
#define FRAME_STUB_OWN     0x480 /* 16 bytes for a worker: lui a0, FRAME | VERSION << 11; ebreak */
#define FRAME_SCRATCH      0x800 /* 64 bytes for a worker */
#define FRAME_SCRATCH_SIZE 64
#define FRAME_REST         0xc00
#define STUB_VERSIONS      256

/* Physical address of the pool, and so of a frame. */
extern uint64_t pool_base;

static inline uint64_t frame_address(uint64_t frame)
{
	return pool_base + frame * PAGE_SIZE;
}

/* The frame at a physical address; POOL_FRAMES if there is none. */
static inline uint64_t frame_at(uint64_t address)
{
	return range_within(address, 1, pool_base, POOL_FRAMES * PAGE_SIZE)
		   ? (address - pool_base) / PAGE_SIZE
		   : POOL_FRAMES;
}

/* What the word at `offset` (a multiple of 8, below FRAME_FIXED or behind FRAME_REST) holds. */
uint64_t frame_word(uint64_t frame, uint64_t offset);

void pool_init(void);

/* A worker's stub in a frame: what it returns from now on, when fence.i has been executed. */
void pool_write_stub(uint64_t frame, unsigned int worker, unsigned int version);
uint32_t pool_stub_insn(uint64_t frame, unsigned int version);

/* The first frame whose words or stubs are not what they were; POOL_FRAMES if all are. */
uint64_t pool_check(void);

#endif
