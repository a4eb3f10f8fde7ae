/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_PIN_H
#define ENGINE_SOFT_PIN_H

/*
 * Where the two pages of the trampoline (trampoline.h) may lie. The addresses are canonical in
 * every mode, in the lower half, which the hypervisor does not use otherwise, and far from what
 * programs and kernels usually have there. No two are close together: an instruction, which uses
 * four pages at most, leaves most of them free.
 */

#include "kernel/types.h"

#define PIN_PAGES      2
#define PIN_CANDIDATES 16

/* `index` below PIN_CANDIDATES. The pages are in one and the same 2 MiB. */
static inline uint64_t pin_candidate(unsigned index)
{
	return UINT64_C(0x1d54355000) + index % 4 * GIB(7) + index / 4 * MIB(102);
}

#endif
