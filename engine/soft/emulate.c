/* SPDX-License-Identifier: MIT */

/* Privileged instructions of the guest's S-mode, alone and in runs. */

#include "engine/soft/block.h"
#include "engine/soft/code.h"
#include "engine/soft/interp.h"
#include "engine/soft/soft.h"
#include "engine/soft/walk.h"
#include "kernel/mmu.h"
#include "kernel/timer.h"
#include "riscv/csr.h"
#include "riscv/insn.h"

/* Blocks that are run after one trap, at most: they may be a guest's endless loop. */
#define BLOCKS_MAX 16

/* How often the hart is asked again what it refuses at one pc. */
#define DOUBTS_MAX 16

#define INSN_MRET     0x30200073
#define INSN_EBREAK   0x00100073
#define INSN_C_EBREAK 0x9002

static enum step step_behind(struct vcpu *vcpu, const struct uop *uop)
{
	vcpu->pc += uop->length;
	return STEP_MOVED;
}

/* An instruction at pc has been executed, with these effects, and goes on at vcpu->pc. */
static void apply(struct vcpu *vcpu, unsigned effects)
{
	uint64_t interrupt;

	if (effects & EFFECT_INTERRUPTS && (interrupt = soft_pending_interrupt(vcpu))) {
		soft_count_interrupt(vcpu, interrupt);
		soft_trap_enter(vcpu, interrupt, 0);
	}
	soft_update(vcpu);
}

static enum step execute_csr(struct vcpu *vcpu, const struct uop *uop)
{
	unsigned effects = 0;

	vcpu->soft->shadow.work++;
	if (soft_csr_instruction(vcpu, (uint32_t)uop->imm, &effects) != 0)
		return STEP_REFUSE;
	if (!effects)
		return STEP_NEXT;
	if (effects & EFFECT_ENVIRONMENT)
		soft_update_environment(vcpu);
	if (effects & EFFECT_INTERRUPTS && soft_pending_interrupt(vcpu)) {
		step_behind(vcpu, uop);
		apply(vcpu, effects);
		return STEP_MOVED;
	}
	soft_update(vcpu);
	/* With another satp, what follows is to be fetched anew. */
	return effects & EFFECT_SATP ? step_behind(vcpu, uop) : STEP_NEXT;
}

static enum step execute_sret(struct vcpu *vcpu)
{
	unsigned effects = 0;

	soft_sret(vcpu, &effects);
	apply(vcpu, effects);
	return STEP_MOVED;
}

static enum step execute_wfi(struct vcpu *vcpu, const struct uop *uop)
{
	vcpu->pc += uop->length;
	/* It ends when an interrupt is pending and enabled in sie, whatever sstatus.SIE says. */
	if (!(vcpu->irq & vcpu->soft->csrs.sie))
		vcpu->soft->waits = true;
	return STEP_STOP;
}

static enum step execute_sfence(struct vcpu *vcpu, const struct uop *uop)
{
	struct shadow *shadow = &vcpu->soft->shadow;
	struct shadow_fence fence = {
	    .all_addresses = uop->rs1 == 0,
	    .all_asids = uop->rs2 == 0,
	    .address = GVA(vcpu->x[uop->rs1]),
	    .asid = vcpu->x[uop->rs2] & SOFT_ASID_MASK,
	};

	uint64_t generation = shadow->code_generation;

	shadow_fence(shadow, &fence);
	if (fence.all_addresses)
		soft_update_after_flush(vcpu);
	/* What follows is to be fetched through the translations as they are now. */
	return shadow->code_generation != generation ? step_behind(vcpu, uop) : STEP_NEXT;
}

static enum step execute_privileged(struct vcpu *vcpu, const struct uop *uop)
{
	switch (uop->kind) {
	case UOP_CSR:
		return execute_csr(vcpu, uop);
	case UOP_SRET:
		return execute_sret(vcpu);
	case UOP_WFI:
		return execute_wfi(vcpu, uop);
	case UOP_SFENCE_VMA:
		return execute_sfence(vcpu, uop);
	case UOP_SFENCE_ORDER:
		/* SINVAL.VMA is as strong as SFENCE.VMA here: nothing is left to be ordered. */
		return STEP_NEXT;
	default:
		return STEP_REFUSE;
	}
}

enum step privileged_execute(struct vcpu *vcpu, const struct uop *uop)
{
	enum step step = execute_privileged(vcpu, uop);

	if (likely(vcpu->soft->shadow.work <= SOFT_WORK_MAX) || step == STEP_STOP ||
	    step == STEP_REFUSE)
		return step;
	if (step == STEP_NEXT)
		vcpu->pc += uop->length;
	return STEP_STOP;
}

static void leave_if_waiting(struct vcpu *vcpu)
{
	struct exit exit = {.reason = EXIT_WFI};

	if (vcpu->soft->waits) {
		vcpu->soft->waits = false;
		soft_leave(vcpu, &exit);
	}
}

/* Runs a block. true: something was executed; *stop: nothing more is to be interpreted. */
static bool run_block(struct vcpu *vcpu, const struct block *block, bool *stop)
{
	uint64_t pc = vcpu->pc;

	*stop = interp_run(vcpu, block);
	return !*stop || vcpu->pc != pc;
}

/* Executes one privileged instruction. false: it is none of the guest's. */
static bool execute(struct vcpu *vcpu, uint32_t bits)
{
	struct block block;
	bool stop, executed;

	block_build(&block, vcpu->pc, (const uint8_t *)&bits, sizeof(bits));
	if (!block.count)
		return false;
	executed = run_block(vcpu, &block, &stop);
	leave_if_waiting(vcpu);
	return executed;
}

bool soft_run_blocks(struct vcpu *vcpu)
{
	bool executed = false;
	bool stop = false;

	csr_set(CSR_SSTATUS, SSTATUS_SUM);
	for (unsigned i = 0; i < BLOCKS_MAX && !stop && vcpu->soft->privilege == SOFT_S &&
			     vcpu->soft->shadow.work <= SOFT_WORK_MAX;
	     i++) {
		const struct block *block = block_find(vcpu, vcpu->pc);

		if (!block || !block->count)
			break;
		executed |= run_block(vcpu, block, &stop);
	}
	csr_clear(CSR_SSTATUS, SSTATUS_SUM);
	leave_if_waiting(vcpu);
	return executed;
}

/*
 * A privileged instruction was trapped at pc, before it is executed: the next time it is to be a
 * breakpoint. It may be needed to leave the guest for that; then it will be trapped again.
 */
static void rewrite(struct vcpu *vcpu, const struct walk *walk, hpa_t hpa)
{
	const uint64_t leaf = PTE_V | PTE_U | PTE_A | PTE_D | PTE_X | SHADOW_CODE;
	struct shadow *shadow = &vcpu->soft->shadow;
	struct guest *guest = vcpu->guest;
	gva_t pc = GVA(vcpu->pc);
	bool wanted = false;
	hpa_t copy;

	/* It is changed by commands to a device, and nobody would drop the copy. */
	if (gspace_find_rom(&guest->space, walk->gpa, &copy) == 0)
		return;
	if (code_replace(guest, walk->gpa, &wanted)) {
		__asm__ volatile("fence.i" ::: "memory");
		/* This vCPU may have fetched from the original. */
		if (!code_find_copy(guest, walk->gpa, &copy))
			return;
		shadow_map(shadow, pc, 0, pte_make(copy, leaf), walk->global);
		if (!walk->bare && (walk->level > 0 || walk->entry & PTE_N))
			shadow_note_piece(shadow, pc, walk->level ? walk->level : 1);
	} else if (wanted) {
		__atomic_store_n(&vcpu->mode, VCPU_HOST, __ATOMIC_RELEASE);
		code_create(guest, walk->gpa, HPA(align_down(hpa.v, PAGE_SIZE)), vcpu);
		soft_leave_for_nothing(vcpu);
	}
}

/*
 * The instruction at pc, where the guest was allowed to fetch it: its first two bytes at *hpa.
 * false: this is not so any more.
 */
static bool find_code(struct vcpu *vcpu, struct walk *walk, hpa_t *hpa)
{
	struct walk_context context = soft_walk_context(vcpu);

	return walk_address(&context, GVA(vcpu->pc), ACCESS_FETCH, false, walk) == WALK_DONE &&
	       soft_find_memory(vcpu, walk->gpa, hpa);
}

/*
 * The hart executed something at pc that the guest's tables or memory do not have there now: it is
 * to look again, without the translation that it used.
 */
static void look_again(struct vcpu *vcpu)
{
	struct shadow_fence fence = {.all_asids = true, .address = GVA(vcpu->pc)};

	shadow_fence(&vcpu->soft->shadow, &fence);
	/* It may go on in the next page. */
	fence.address.v += 2;
	shadow_fence(&vcpu->soft->shadow, &fence);
	__asm__ volatile("fence.i" ::: "memory");
}

/*
 * At pc the hart finds a breakpoint that stands for nothing: it looks again, and if it was a copy
 * that it found this in, that goes.
 */
static void give_up_copy(struct vcpu *vcpu)
{
	struct walk walk;
	hpa_t hpa;

	look_again(vcpu);
	if (!find_code(vcpu, &walk, &hpa) || !code_is_protected(vcpu->guest, walk.gpa))
		return;
	__atomic_store_n(&vcpu->mode, VCPU_HOST, __ATOMIC_RELEASE);
	code_drop(vcpu->guest, walk.gpa, vcpu, CODE_WRITTEN);
	soft_leave_for_nothing(vcpu);
}

/* csrrs, csrrc, csrrsi or csrrci that writes nothing, of a counter that the guest may read. */
static bool reads_counter(const struct vcpu *vcpu, uint32_t bits)
{
	uint32_t csr = bits >> 20;

	return (bits & 0xfa07f) == 0x2073 && csr >= CSR_CYCLE && csr <= CSR_INSTRET &&
	       soft_hart_counteren(vcpu, vcpu->soft->privilege) >> (csr - CSR_CYCLE) & 1;
}

/*
 * Whether *bits is what the hart refused, as far as stval tells: else it fetched what was there
 * before, and is asked again. Not for ever: on QEMU stval is wrong for MRET, and perhaps for
 * others; and another vCPU may write there all the time. Then what it fetched is believed, if it
 * is an instruction to be emulated.
 */
static bool is_refused(struct vcpu *vcpu, uint64_t value, uint32_t *bits)
{
	struct soft_vcpu *soft = vcpu->soft;
	struct uop uop;

	if (value == 0 || value == ((*bits & 3) == 3 ? *bits : (*bits & 0xffff)) ||
	    *bits == INSN_MRET) {
		soft->doubts = 0;
		return true;
	}
	soft->doubts = soft->doubted_pc == vcpu->pc ? soft->doubts + 1 : 0;
	soft->doubted_pc = vcpu->pc;
	if (soft->doubts < DOUBTS_MAX)
		return false;
	uop_decode((uint32_t)value, &uop);
	if (uop_is_privileged(&uop) || reads_counter(vcpu, (uint32_t)value))
		*bits = (uint32_t)value;
	return true;
}

/* Instructions that are substituted at once, at most. */
#define SUBSTITUTES 8

/*
 * pilae,fast-csr: if the instruction at pc, which was trapped, can be done by an access to memory,
 * puts this in its place, and the same for those that follow it.
 */
static void substitute(struct vcpu *vcpu)
{
	uint32_t bits[SUBSTITUTES];
	uint64_t left = PAGE_SIZE - (vcpu->pc & (PAGE_SIZE - 1));
	unsigned count = 0;
	struct walk walk;
	struct uop uop;
	hpa_t hpa;

	if (!find_code(vcpu, &walk, &hpa))
		return;

	const char *code = hpa_to_pointer(hpa);

	for (; count < SUBSTITUTES && 4 * count + 4 <= left; code += 4) {
		uop_decode(insn_fetch(code, 4), &uop);
		if (!uop_has_access(&uop))
			break;
		bits[count++] = uop_access(&uop);
	}
	if (!count)
		return;
	__atomic_store_n(&vcpu->mode, VCPU_HOST, __ATOMIC_RELEASE);
	code_substitute(vcpu->guest, walk.gpa, bits, count, vcpu);
	soft_leave_for_nothing(vcpu);
}

bool soft_emulate_access(struct vcpu *vcpu)
{
	struct uop uop;
	uint32_t bits;

	if (vcpu->soft->privilege != SOFT_S || soft_fetch(vcpu, &bits) != 0)
		return false;
	uop_decode(bits, &uop);
	return uop_has_access(&uop) && execute(vcpu, bits);
}

static bool is_breakpoint(uint32_t bits)
{
	return bits == INSN_EBREAK || (bits & 0xffff) == INSN_C_EBREAK;
}

/*
 * On a hart without counters: what reads one. There is none but time to be had here; the others go
 * on as it does. Where something else lies at pc by now, be it in U-mode, that is executed instead.
 */
static bool emulate_counter(struct vcpu *vcpu, uint64_t value)
{
	uint32_t bits;

	if (!time_register())
		return false;
	if (soft_fetch(vcpu, &bits) != 0 || !is_refused(vcpu, value, &bits)) {
		look_again(vcpu);
		return true;
	}
	if (!reads_counter(vcpu, bits))
		return false;
	if (bits >> 7 & 31)
		vcpu->x[bits >> 7 & 31] = time_now();
	vcpu->pc += 4;
	return true;
}

void soft_illegal_instruction(struct vcpu *vcpu, uint64_t value)
{
	struct walk walk;
	uint32_t bits;
	struct uop uop;
	hpa_t hpa;

	if (emulate_counter(vcpu, value))
		return;
	if (vcpu->soft->privilege != SOFT_S) {
		soft_inject(vcpu, EXC_ILLEGAL_INSN, value);
		soft_run_blocks(vcpu);
		return;
	}
	/* Fetched, as stval may be 0. What cannot be fetched (any more) is found out again. */
	if (soft_fetch(vcpu, &bits) != 0 || !find_code(vcpu, &walk, &hpa) ||
	    !is_refused(vcpu, value, &bits)) {
		look_again(vcpu);
		return;
	}
	uop_decode(bits, &uop);
	if (uop_is_privileged(&uop)) {
		rewrite(vcpu, &walk, hpa);
		if (execute(vcpu, bits))
			return;
	} else if (soft_open_environment(vcpu)) {
		return;
	}
	soft_inject(vcpu, EXC_ILLEGAL_INSN, value);
}

/*
 * A breakpoint was fetched, and there is nothing to interpret: what the guest has at pc decides
 * whether it is its own or stands for something else.
 */
static void emulate_replaced(struct vcpu *vcpu, uint64_t value)
{
	struct uop uop;
	uint32_t bits;

	if (soft_fetch(vcpu, &bits) != 0) {
		look_again(vcpu);
		return;
	}
	uop_decode(bits, &uop);
	if (is_breakpoint(bits))
		soft_inject(vcpu, EXC_BREAKPOINT, value);
	else if (!uop_is_privileged(&uop))
		give_up_copy(vcpu);
	else if (!execute(vcpu, bits))
		soft_inject(vcpu, EXC_ILLEGAL_INSN, bits);
}

void soft_breakpoint(struct vcpu *vcpu, uint64_t value)
{
	if (vcpu->soft->privilege != SOFT_S) {
		soft_inject(vcpu, EXC_BREAKPOINT, value);
		soft_run_blocks(vcpu);
		return;
	}

	const struct block *block = block_find(vcpu, vcpu->pc);

	if (!block) {
		emulate_replaced(vcpu, value);
		return;
	}
	if (vcpu->guest->fast_csr && vcpu->soft->shadow.layout.resident &&
	    uop_has_access(&block->uops[0]))
		substitute(vcpu);
	block_make_fast(vcpu, vcpu->pc);
	if (!soft_run_blocks(vcpu))
		emulate_replaced(vcpu, value);
}
