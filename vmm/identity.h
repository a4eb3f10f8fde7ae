/* SPDX-License-Identifier: MIT */
#ifndef VMM_IDENTITY_H
#define VMM_IDENTITY_H

/*
 * VMs whose RAM has the same addresses in the machine (pilae,identity-map). It is set apart when
 * Pilae boots, before anything allocates memory (hypervisor_reserve() of kernel/start.h), for every
 * VM of the system file that wants it, and stays so: whether the VM runs or is known or not, nobody
 * else gets any of it. So a device that goes on writing there does no harm to others.
 *
 * All on the boot hart, in a job or at boot.
 */

#include "kernel/types.h"

struct identity;
struct vm;

/*
 * Finds what was reserved for a VM that is being built: its ram_base. 0 for any other VM as well;
 * ERR_INVAL: nothing could be reserved, and why has been reported.
 */
int identity_find(struct vm *vm);

/*
 * Clears the RAM and maps it, a step at a time; before anything is loaded there. 0 when that is
 * done, and at once for any other VM and for one that restarts; ERR_AGAIN; ERR_NOMEM.
 */
int identity_prepare_step(struct vm *vm);

/* When the VM has ended, and its devices are quiet: clears what it has left. 0 or ERR_AGAIN. */
int identity_scrub_step(struct vm *vm);

/* How many bytes of memory are reserved in all, and how many of them are a VM's that runs. */
uint64_t identity_total_bytes(void);
uint64_t identity_used_bytes(const struct vm *vm);

#endif
