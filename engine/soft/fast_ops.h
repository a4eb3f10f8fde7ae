/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_FAST_OPS_H
#define ENGINE_SOFT_FAST_OPS_H

/* What fast_ops.S, which describes the registers, and fast_registers.S have in common. */

#include "asm-offsets.h"

#define X(n) ((n) * 8)

/* Of an op, from t1 on: where the site's first one is at hand, t1 is the site. */
#define OP_HANDLER SITE_OPS
#define OP_CSR     (SITE_OPS + 4)
#define OP_OFFSET  (SITE_OPS + 6)
#define OP_SIZE    8

/* clang-format off */
	.macro	next
	lw	t0, OP_HANDLER + OP_SIZE(t1)
	addi	t1, t1, OP_SIZE
	jr	t0
	.endm

/* In place of `next` where soft_fast_end follows: done at once. */
	.macro	finish
	j	soft_fast_finish
	.endm
/* clang-format on */

#endif
