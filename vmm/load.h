/* SPDX-License-Identifier: MIT */
#ifndef VMM_LOAD_H
#define VMM_LOAD_H

/* Filling a VM's memory with what it boots, step by step. */

#include "vmm/fit.h"
#include "vmm/image.h"

struct vm;

#define LOAD_SEED_SIZE 64

/* Where the loading of a VM has got to. */
struct loader {
	int (*phase)(struct vm *vm); /* ERR_AGAIN until it is done; it sets the next one */
	struct fit_verify verify;
	bool verifying;        /* an image is being checked */
	struct load_plan plan; /* it holds while the VM lives: gmem_segment() */
	unsigned segment;      /* of the plan; before that, a device */
	size_t fdt_size; /* of the device tree, at most; to count it takes as long as to write it */
	uint8_t seed[LOAD_SEED_SIZE]; /* for the guest's random numbers, while it is loaded */
	uint64_t offset;              /* in the segment, or in RAM while that is populated */
};

/* Begins anew. `fit` outlives the loading. */
void load_begin(struct vm *vm, struct fit *fit);

/*
 * One step of at most 20,000 instructions or with preemption points of its own. ERR_AGAIN until
 * it is finished; then 0, with the entry and the device tree's address in the plan, or an error
 * that has been reported.
 */
int load_step(struct vm *vm);

#endif
