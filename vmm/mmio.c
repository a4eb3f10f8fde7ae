/* SPDX-License-Identifier: MIT */

/* Performing a guest's access to a device as its instruction would. */

#include "kernel/error.h"
#include "riscv/insn.h"
#include "vmm/exit.h"
#include "vmm/vm.h"

/*
 * Whether the instruction may be the one that the hart executed: a guest can put another one in its
 * place meanwhile, and has permission for the access only as it was.
 */
static bool may_be(const struct vcpu *vcpu, const struct exit_access *access,
		   const struct insn *insn)
{
	bool fp = insn->kind == INSN_LOAD_FP || insn->kind == INSN_STORE_FP;
	bool load = insn->kind == INSN_LOAD || insn->kind == INSN_LOAD_FP || insn->kind == INSN_LR;

	return load == (access->kind == ACCESS_LOAD) &&
	       (!fp || isa_has_letter(&vcpu->guest->isa, 'd'));
}

/*
 * What the instruction is: from the engine's hint where there is one, else read from the
 * guest's memory. Only the access's own first byte can be at fault here: if it was a later
 * one, the access begins in another page, which no device register does on real hardware.
 */
static int decode(struct vcpu *vcpu, const struct exit_access *access, struct insn *insn)
{
	uint32_t bits;

	if (access->transformed && insn_decode_transformed(access->transformed, insn) == 0)
		return insn->offset ? ERR_FAULT : 0;

	int error = vcpu->guest->engine->fetch(vcpu, &bits);

	if (!error)
		error = insn_decode(bits, insn);
	return !error && !may_be(vcpu, access, insn) ? ERR_AGAIN : error;
}

static void set_register(struct vcpu *vcpu, unsigned n, uint64_t value)
{
	if (n)
		vcpu->x[n] = value;
}

/* Loads and stores tell how many bytes they performed: the fault is at the next one. */
static int load(struct vcpu *vcpu, struct bus *bus, gpa_t gpa, const struct insn *insn,
		unsigned *done)
{
	uint64_t value;
	int error = bus_read_pieces(bus, gpa, insn->size, &value, done);

	if (error)
		return error;
	if (insn->kind != INSN_LOAD_FP) {
		set_register(vcpu, insn->rd, insn_extend(insn, value));
	} else {
		/* Narrower values are NaN-boxed (Unpriv., "D" extension). */
		uint64_t box = insn->size < 8 ? ~UINT64_C(0) << 8 * insn->size : 0;

		vcpu->guest->engine->write_fp(vcpu, insn->rd, value | box);
	}
	return 0;
}

static int amo(struct vcpu *vcpu, struct bus *bus, gpa_t gpa, const struct insn *insn)
{
	uint64_t operand = vcpu->x[insn->rs2];
	uint64_t old;
	int error = bus_read(bus, gpa, insn->size, &old);

	if (error)
		return error;
	old = insn_extend(insn, old);

	bool writes = insn->operation != AMO_CAS || old == insn_extend(insn, vcpu->x[insn->rd]);

	if (writes)
		error = bus_write(bus, gpa, insn->size, insn_amo_result(insn, old, operand));
	if (!error)
		set_register(vcpu, insn->rd, old);
	return error;
}

/* LR reserves, SC to the same place succeeds once: as on a device that has no other side. */
static int store_conditional(struct vcpu *vcpu, struct bus *bus, gpa_t gpa, const struct insn *insn)
{
	bool reserved = vcpu->mmio_reservation == gpa.v;
	int error = reserved ? bus_write(bus, gpa, insn->size, vcpu->x[insn->rs2]) : 0;

	vcpu->mmio_reservation = UINT64_MAX;
	if (!error)
		set_register(vcpu, insn->rd, !reserved);
	return error;
}

static int perform(struct vcpu *vcpu, gpa_t gpa, const struct insn *insn, unsigned *done)
{
	struct vm *vm = vm_of(vcpu);
	bool forwarded = unlikely(vm->forwarded.count) && bus_find(&vm->forwarded, gpa);
	struct bus *bus = forwarded ? &vm->forwarded : &vm->bus;

	/* An access that leaves its page is none that a device could answer. */
	if ((gpa.v & (PAGE_SIZE - 1)) + insn->size > PAGE_SIZE)
		return ERR_FAULT;
	switch ((enum insn_kind)insn->kind) {
	case INSN_LOAD:
	case INSN_LOAD_FP:
		return load(vcpu, bus, gpa, insn, done);
	case INSN_STORE:
		return bus_write_pieces(bus, gpa, insn->size, vcpu->x[insn->rs2], done);
	case INSN_STORE_FP:
		return bus_write_pieces(bus, gpa, insn->size,
					vcpu->guest->engine->read_fp(vcpu, insn->rs2), done);
	case INSN_AMO:
		return amo(vcpu, bus, gpa, insn);
	case INSN_LR:
		vcpu->mmio_reservation = gpa.v;
		return load(vcpu, bus, gpa, insn, done);
	case INSN_SC:
		return store_conditional(vcpu, bus, gpa, insn);
	}
	return ERR_FAULT;
}

void mmio_emulate(struct vcpu *vcpu, const struct exit_access *access)
{
	struct exit_access fault = *access;
	struct insn insn;
	unsigned done = 0;
	int error = decode(vcpu, access, &insn);

	if (error == ERR_AGAIN) {
		/* What the hart executed is not there any more: it is to fetch anew. */
		vcpu->guest->engine->flush(vcpu);
		return;
	}
	if (!error)
		error = perform(vcpu, access->gpa, &insn, &done);
	if (!error) {
		vcpu->pc += insn.length;
		return;
	}
	/* The device is not that far: the guest does it once more. */
	if (error == ERR_AGAIN)
		return;
	fault.gva.v += done;
	exit_access_fault(vcpu, &fault);
}

/* Kept short: this is most of what drivers do. */
bool vcpu_quick_access(struct vcpu *vcpu, gpa_t gpa, uint64_t transformed)
{
	struct vm *vm = vm_of(vcpu);
	unsigned funct3 = (unsigned)transformed >> 12 & 7;
	unsigned size = 1U << (funct3 & 3);
	unsigned unused = 64 - 8 * size;
	unsigned rd = (unsigned)transformed >> 7 & 31;
	uint64_t value;

	if (vm_is_ram(vm, gpa, 1) || !is_aligned(gpa.v, size))
		return false;
	if (transformed & INSN_PLAIN_STORE)
		return bus_write(&vm->bus, gpa, size, vcpu->x[transformed >> 20 & 31]) == 0;
	if (bus_read(&vm->bus, gpa, size, &value) != 0)
		return false;
	value <<= unused;
	value = funct3 & 4 ? value >> unused : (uint64_t)((int64_t)value >> unused);
	if (rd)
		vcpu->x[rd] = value;
	return true;
}
