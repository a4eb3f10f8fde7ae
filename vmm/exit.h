/* SPDX-License-Identifier: MIT */
#ifndef VMM_EXIT_H
#define VMM_EXIT_H

/* The one place where exits are dealt with, whichever engine they come from. */

#include "engine/exit.h"

struct vcpu;

/* On the hart that has the vCPU loaded; no lock held. */
void exit_handle(struct vcpu *vcpu, const struct exit *exit);

/* vmm/mmio.c: performs the access to a device that the vCPU is at, or injects its fault. */
void mmio_emulate(struct vcpu *vcpu, const struct exit_access *access);

/* Injects the access fault of that kind of access. */
void exit_access_fault(struct vcpu *vcpu, const struct exit_access *access);

#endif
