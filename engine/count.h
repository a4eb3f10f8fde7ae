/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_COUNT_H
#define ENGINE_COUNT_H

/* The assembly's part of engine/statistics.h. */

#include "riscv/csr.h"

#ifdef __ASSEMBLER__

/*
 * An exit begins: s11 = instret. The hypervisor's own trap vector and stack are in place, and the
 * CSRs of the guest's trap have been read: see statistics_begin().
 */
.macro	count_begin
#ifndef PILAE_NO_STATISTICS
898:	csrr	s11, CSR_INSTRET
899:
	.pushsection .exception_table, "a"
	.balign	8
	.dword	898b, 899b
	.popsection
#endif
	.endm

/* One more at this offset of the vCPU, which tp points at; t0 is lost. */
	.macro	count offset
#ifndef PILAE_NO_STATISTICS
	ld	t0, \offset(tp)
	addi	t0, t0, 1
	sd	t0, \offset(tp)
#endif
	.endm

#endif
#endif
