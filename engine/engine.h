/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

/*
 * What an engine does: run a vCPU until something happens that is not its own business.
 * Everything else is written once, above. All functions run with interrupts off; those that
 * take a vCPU run on the hart that has it loaded, unless said otherwise.
 */

#include "engine/exit.h"
#include "engine/guest.h"
#include "engine/state.h"
#include "engine/vcpu.h"

struct engine {
	const char *name;

	/* How many bytes of its own it has in front of each struct vcpu, zeroed with it. */
	size_t vcpu_front;

	/* Prepares this hart. false if it cannot run this engine's guests. */
	bool (*init_hart)(void);

	/* Whether init_hart() said yes there. Any hart. */
	bool (*can_use)(const struct hart *hart);

	/* Takes from `isa` what this engine cannot give a guest on the harts there are. */
	void (*limit_isa)(struct isa *isa);

	/*
	 * How many bytes a guest with so much RAM and so many vCPUs takes at most for tables and
	 * the like, besides its RAM. Any hart.
	 */
	uint64_t (*overhead)(uint64_t ram_size, uint32_t vcpus);

	/* Logs, for debugging, what a guest that has ended took. NULL: nothing. No lock held. */
	void (*log_use)(const struct guest *guest, const char *name);

	/*
	 * Readies a guest whose arena, isa, ram_size and vcpus are set, so that guest-physical
	 * addresses below 2^address_bits can be mapped. ERR_NOMEM, ERR_RANGE. Any hart, no lock
	 * held: it passes preemption points.
	 */
	int (*guest_init)(struct guest *guest, unsigned address_bits);

	/* Readies a vCPU whose id and guest are set. ERR_NOMEM. As guest_init(). */
	int (*vcpu_init)(struct vcpu *vcpu);

	/*
	 * Sets the registers of a vCPU that is not loaded: a hart that starts in S-mode at
	 * `pc` with satp 0, interrupts off, a0 = its id and a1 = `argument`. `resumed`: what is
	 * pending and the timer stay as they are. Any hart.
	 */
	void (*vcpu_reset)(struct vcpu *vcpu, uint64_t pc, uint64_t argument, bool resumed);

	/* Brings the vCPU's state into this hart, where none is loaded; takes it out again. */
	void (*load)(struct vcpu *vcpu);
	void (*put)(struct vcpu *vcpu);

	/*
	 * Runs the vCPU. Its next exit goes to vcpu_exited(), on an empty stack: this returns
	 * only if the vCPU has not been entered, because a request is pending. `trap_wfi`: let
	 * WFI exit, as others want the hart.
	 */
	void (*run)(struct vcpu *vcpu, bool trap_wfi);

	/*
	 * Lets the guest take an exception at its present pc, or at the ECALL it is at. `cause`
	 * and `value` as the guest's scause and stval have them.
	 */
	void (*inject)(struct vcpu *vcpu, uint64_t cause, uint64_t value);

	/*
	 * The instruction at pc, which caused this exit: 2 or 4 bytes in *bits. ERR_AGAIN if it
	 * cannot be read any more: entering the guest again shows it why.
	 */
	int (*fetch)(struct vcpu *vcpu, uint32_t *bits);

	/*
	 * Reads 8 bytes as an instruction of the guest at pc would. ERR_AGAIN: it got the fault
	 * of that instruction. ERR_FAULT: *fault tells what page of its space is missing.
	 */
	int (*read_word)(struct vcpu *vcpu, gva_t address, uint64_t *word,
			 struct exit_access *fault);

	/*
	 * Whether the guest is about at a WRS in S-mode, after an exit for an interrupt: it waits
	 * for another of its harts. NULL: EXIT_WRS tells.
	 */
	bool (*waits_at_wrs)(struct vcpu *vcpu);

	/* Clears sip.SSIP; what it was before. */
	bool (*clear_ipi)(struct vcpu *vcpu);

	/* Whether the guest would leave WFI: an interrupt is pending and enabled in its sie. */
	bool (*has_interrupt)(struct vcpu *vcpu);

	/* Sets the guest's timer to expire at `deadline`, as SBI's set_timer does. */
	void (*set_timer)(struct vcpu *vcpu, uint64_t deadline);

	/* When the guest's timer wakes it, if nothing else does; TIME_NEVER: it does not. */
	uint64_t (*timer_deadline)(struct vcpu *vcpu);

	/* Executes a fence of the guest's own translations; fence.i is the same for all. */
	void (*fence)(struct vcpu *vcpu, const struct fence *fence);

	/*
	 * Does what VCPU_FLUSH asks for: the hart, on which the vCPU is loaded, forgets what it was
	 * told by the guest's tables and by its space's, and fetches anew.
	 */
	void (*flush)(struct vcpu *vcpu);

	/* A page of the guest's space has been mapped that was not. */
	void (*mapped)(struct vcpu *vcpu, gpa_t gpa);

	/*
	 * The hypervisor is going to write to these bytes of guest RAM: what is derived from
	 * them (decoded code) is dropped first, and nothing of the kind is made until it has
	 * written. Any hart, no lock held, no vCPU of it in the guest there. NULL where nothing is.
	 */
	void (*begin_write)(struct guest *guest, gpa_t gpa, uint64_t size);
	void (*end_write)(struct guest *guest);

	/* A host's device has written to these bytes: likewise. NULL where begin_write is. */
	void (*note_written)(struct guest *guest, gpa_t gpa, uint64_t size);

	/* The guest's f register n, as 64 bits (NaN-boxed where narrower). */
	uint64_t (*read_fp)(struct vcpu *vcpu, unsigned n);
	void (*write_fp)(struct vcpu *vcpu, unsigned n, uint64_t value);

	/*
	 * What its guest would read now. `loaded`: on this hart, where it may be dealing with an
	 * exit; else nowhere. Changes nothing.
	 */
	void (*read_state)(struct vcpu *vcpu, bool loaded, struct vcpu_state *state);
};

extern const struct engine hext_engine;
extern const struct engine soft_engine;

/*
 * For engines, before an exit: performs a plain load or store (riscv/insn.h: insn_is_plain) at
 * a guest-physical address, with the registers in *vcpu, if a device answers there. pc is the
 * engine's to change. false: nothing has been done. vmm/mmio.c.
 */
bool vcpu_quick_access(struct vcpu *vcpu, gpa_t gpa, uint64_t transformed);

/* Where every exit arrives: vmm/exit.c. */
void vcpu_exited(struct vcpu *vcpu, const struct exit *exit) __noreturn;

#endif
