/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_CSR_H
#define ENGINE_SOFT_CSR_H

/*
 * A guest's supervisor CSRs as memory: what S-mode software sees of them (Priv. 1.13, 12.1),
 * and what trap entry, SRET and interrupts do to them. Plain C: nothing here touches the hart.
 *
 * sstatus is in two places. FS and VS are the hart's own fields and lie in vcpu->sstatus,
 * with which the guest runs, so that the hart itself marks them dirty. All other fields lie in
 * struct soft_csrs. sip is vcpu->irq.
 */

#include "engine/state.h"
#include "engine/vcpu.h"
#include "kernel/types.h"

/*
 * With pilae,fast-csr the guest's S-mode has the first page of these at the end of its address
 * space, and may have put anything there at any time.
 */
struct soft_csrs {
	uint64_t unused[PAGE_SIZE / sizeof(uint64_t) - 4];
	uint64_t sscratch, sepc, scause, stval;

	/* The next page. */
	uint64_t sstatus; /* SIE, SPIE, SPP, SUM and MXR; no other bit is ever set */
	uint64_t sie, stvec, satp, scounteren, senvcfg;
};

_Static_assert(offsetof(struct soft_csrs, sstatus) == PAGE_SIZE, "the guest has one page");

/*
 * What changed that someone has to act on before the guest goes on. VIEW by SRET, and traps,
 * which change the privilege too, also change what soft_hart_counteren() and _envcfg() say.
 */
#define EFFECT_VIEW        0x1 /* SUM, MXR or (SRET) the privilege: other translations */
#define EFFECT_SATP        0x2 /* satp */
#define EFFECT_INTERRUPTS  0x4 /* soft_pending_interrupt() has one */
#define EFFECT_ENVIRONMENT 0x8 /* scounteren or senvcfg was written */

/* The bits of satp's ASID field that can be written: all of them. */
#define SOFT_ASID_MASK 0xffff

/*
 * Resets to what a hart that has just started has: S-mode, satp 0, interrupts off, counters open.
 * vcpu->sstatus and vcpu->irq stay as they are.
 */
void soft_csr_reset(struct vcpu *vcpu);

/*
 * Reads and writes a CSR as the guest's S-mode. ERR_NOSYS: there is no such CSR for it (or a
 * read-only one is written), the instruction is illegal. *effects gets bits added, EFFECT_….
 * A value that is not legal is dealt with as the field is defined (WARL): an unsupported
 * satp.MODE leaves satp as it was (12.1.11).
 */
int soft_csr_read(struct vcpu *vcpu, unsigned number, uint64_t *value);
int soft_csr_write(struct vcpu *vcpu, unsigned number, uint64_t value, unsigned *effects);

/*
 * Executes one of CSRRW, CSRRS, CSRRC and their immediate forms (`bits`, a SYSTEM instruction
 * with funct3 not 0 or 4) as the guest's S-mode: reads only where the instruction reads and
 * writes only where it writes (Unpriv., Zicsr). x0 stays 0; pc is not changed. ERR_NOSYS.
 */
int soft_csr_instruction(struct vcpu *vcpu, uint32_t bits, unsigned *effects);

/*
 * Takes a trap into the guest's S-mode from its present privilege and pc: `cause` as in scause,
 * with its interrupt bit. The view, and what the hart has, are the caller's to change.
 */
void soft_trap_enter(struct vcpu *vcpu, uint64_t cause, uint64_t value);

/* SRET in the guest's S-mode: privilege, sstatus and pc change. */
void soft_sret(struct vcpu *vcpu, unsigned *effects);

/* engine.h: read_state. It is all in memory, loaded or not. */
void soft_read_state(struct vcpu *vcpu, bool loaded, struct vcpu_state *state);

/*
 * The interrupt that is to be taken now, as scause has it (bit 63 set), by priority
 * (12.1.3: external, software, timer); 0 if there is none.
 */
uint64_t soft_pending_interrupt(const struct vcpu *vcpu);

/* scounteren and senvcfg as the hart needs them for the guest at that privilege (SOFT_…). */
uint64_t soft_hart_counteren(const struct vcpu *vcpu, uint64_t privilege);
uint64_t soft_hart_envcfg(const struct vcpu *vcpu, uint64_t privilege);

#endif
