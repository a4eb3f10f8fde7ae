/* SPDX-License-Identifier: MIT */
#ifndef VMM_EXIT_H
#define VMM_EXIT_H

/* What the handling of exits is divided into; vcpu_exited() in vmm/exit.c is the one place. */

#include "engine/exit.h"

struct vcpu;

/* vmm/mmio.c: performs the access to a device that the vCPU is at, or injects its fault. */
void mmio_emulate(struct vcpu *vcpu, const struct exit_access *access);

/* Injects the access fault of that kind of access. */
void exit_access_fault(struct vcpu *vcpu, const struct exit_access *access);

/*
 * An access as to memory: backs the page if it is RAM, and injects an access fault if it is
 * none, since devices hold neither page tables nor code.
 */
void exit_memory(struct vcpu *vcpu, const struct exit_access *access);

#endif
