/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_STATE_H
#define ENGINE_STATE_H

/* A vCPU's registers as its guest sees them, whichever engine runs it: for those who look. */

#include "kernel/types.h"

struct vcpu_state {
	uint64_t x[32];
	uint64_t pc;
	bool user; /* it is in U-mode, else in S-mode */
	uint64_t sstatus, sie, sip, stvec, sscratch, sepc, scause, stval, satp;
};

#endif
