/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_EXIT_H
#define ENGINE_EXIT_H

/* Why a vCPU stopped running: the same whichever engine ran it. */

#include "kernel/types.h"

enum exit_reason {
	EXIT_NONE,      /* nothing for anyone above to do: the engine dealt with it */
	EXIT_COUNTED,   /* the same, and it is in the statistics already */
	EXIT_INTERRUPT, /* an interrupt of the host, `number` as in scause */
	EXIT_SBI,       /* ECALL from the guest's S-mode; pc is still at it */
	EXIT_ACCESS,    /* the guest touched a guest-physical page that is not mapped */
	EXIT_WFI,       /* the guest waits for an interrupt; pc is behind the instruction */
	EXIT_WRS,       /* it waits for another of its harts to write; pc is behind it, too */
};

enum access_kind { ACCESS_FETCH, ACCESS_LOAD, ACCESS_STORE };

struct exit_access {
	enum access_kind kind; /* of the guest's instruction */
	bool walk;             /* it was the page-table walk for it that touched the page */
	gpa_t gpa;             /* what was touched */
	gva_t gva;             /* the guest's address: its stval, if it gets a fault */
	uint64_t transformed;  /* the engine's hint at the instruction (htinst), or 0 */
};

/* In `transformed` of a walk: it was to set A or D in the page (Priv. 1.13, table 18.8). */
#define ACCESS_WALK_WRITES 0x20

struct exit {
	enum exit_reason reason;
	union {
		uint64_t number;
		struct exit_access access;
	};
};

#endif
