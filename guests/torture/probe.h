/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_TORTURE_PROBE_H
#define GUESTS_TORTURE_PROBE_H

/* Each probe is code of this size: one access at a0 (of a1, if it stores), its value in a0. */
#define PROBE_SIZE  16
#define PROBE_LOADS 11
#define PROBE_COUNT 17

#ifndef __ASSEMBLER__

/* They return, or end in a breakpoint. The latter fill a page. */
extern char probe_kernel[], probe_user[];

#endif
#endif
