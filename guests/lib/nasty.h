/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_LIB_NASTY_H
#define GUESTS_LIB_NASTY_H

#include "kernel/types.h"

/* What somebody may trip over. `random` is a random_next() state. */

/* A value of any size: of a table of ends and powers, or random. */
uint64_t nasty_value(uint64_t *random);

/* An extension of SBI: known, legacy, of later versions, or none at all. */
uint32_t nasty_extension(uint64_t *random);

/* Those that Pilae does not offer. */
#define SBI_EXT_SUSP 0x53555350
#define SBI_EXT_CPPC 0x43505043
#define SBI_EXT_NACL 0x4e41434c
#define SBI_EXT_STA  0x535441
#define SBI_EXT_SSE  0x535345
#define SBI_EXT_FWFT 0x46574654
#define SBI_EXT_DBTR 0x44425452
#define SBI_EXT_MPXY 0x4d505859

#endif
