/* SPDX-License-Identifier: MIT */
#include "guests/torture/probe.h"

	.macro	probe end, insn:vararg
	.balign	PROBE_SIZE
	\insn
	\end
	.endm

	/* In the order of the table in access.c. */
	.macro	probes end
	probe	\end, lb	a0, (a0)
	probe	\end, lh	a0, (a0)
	probe	\end, lw	a0, (a0)
	probe	\end, ld	a0, (a0)
	probe	\end, lbu	a0, (a0)
	probe	\end, lhu	a0, (a0)
	probe	\end, lwu	a0, (a0)
	probe	\end, lr.w	a0, (a0)
	probe	\end, lr.d	a0, (a0)
	probe	\end, c.ld	a0, 0(a0)
	.balign	PROBE_SIZE
	fld	ft0, (a0)
	fmv.x.d	a0, ft0
	\end
	probe	\end, sw	a1, (a0)
	probe	\end, sd	a1, (a0)
	probe	\end, c.sd	a1, 0(a0)
	probe	\end, amoswap.w	a2, a1, (a0)
	probe	\end, amoswap.d	a2, a1, (a0)
	.balign	PROBE_SIZE
	fmv.d.x	ft0, a1
	fsd	ft0, (a0)
	\end
	.endm

	.text
	.balign	PROBE_SIZE
	.globl	probe_kernel
probe_kernel:
	probes	ret

	.section .text.probe_user, "ax"
	.balign	4096
	.globl	probe_user
probe_user:
	probes	ebreak
	.balign	4096
