/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_FP_H
#define ENGINE_FP_H

/*
 * Floating-point and vector state, which a hart keeps for the vCPU that used it last, whatever
 * engine runs it. The hypervisor itself uses neither. All on the vCPU's hart, interrupts off.
 */

#include "engine/vcpu.h"

/* The state as a hart has it after reset; its registers are restored at the next fp_load(). */
void fp_reset(struct vcpu *vcpu);

/* Room for the vector registers, if the guest has vectors. ERR_NOMEM. */
int fp_init(struct vcpu *vcpu);

/* Brings the state into the registers, if they hold another's. sstatus.FS and VS change. */
void fp_load(struct vcpu *vcpu);

/* Saves the fields named by SSTATUS_FS and SSTATUS_VS in `dirty`. sstatus.FS and VS change. */
void fp_save(struct vcpu *vcpu, uint64_t dirty);

/* One f register as 64 bits; the vCPU is loaded. sstatus.FS changes. */
uint64_t fp_read(struct vcpu *vcpu, unsigned n);
void fp_write(struct vcpu *vcpu, unsigned n, uint64_t value);

/* engine/fp_registers.S */
void fp_registers_save(struct fp_state *state);
void fp_registers_restore(const struct fp_state *state);
void vector_registers_save(struct vector_state *state, void *registers);
void vector_registers_restore(const struct vector_state *state, const void *registers);

#endif
