/* SPDX-License-Identifier: MIT */

#include "engine/soft/interp.h"

#include "engine/soft/access.h"
#include "engine/soft/soft.h"
#include "kernel/layout.h"
#include "riscv/insn.h"

/*
 * Each kind of uop has a handler, which ends with a call of the next uop's: the compiler makes
 * jumps of these calls, and what all handlers use stays in the registers for arguments. (Without
 * optimization the stack grows by one frame for each uop of the block.)
 *
 * What can be known before is done by block_build(): register numbers are offsets in bytes into
 * vcpu->x (where it is not privileged_execute() that reads them), and a uop says where its handler
 * is.
 */
#define HANDLER_PARAMETERS \
	const struct uop *uop, struct vcpu *vcpu, const struct block *block, struct soft_csrs *csrs
#define HANDLER_ARGUMENTS uop, vcpu, block, csrs

typedef bool handler_function(HANDLER_PARAMETERS);

/* What handlers consist of, whatever the options they are compiled with. */
#define HANDLER_PART static inline __attribute__((always_inline))
/* What handlers seldom end with: a part of them, it would cost them moves and a frame. */
#ifdef __clang__
#define HANDLER_END static __attribute__((noinline))
#else
#define HANDLER_END static __attribute__((noipa))
#endif

/* What is added to uop->handler to get an address. */
#ifdef __riscv
_Static_assert(IMAGE_BASE >= UINT64_C(0xffffffff80000000), "an address is 32 bits and their sign");
#define HANDLER_ORIGIN ((uintptr_t)0)
#else
#define HANDLER_ORIGIN ((uintptr_t)interp_run)
#endif

/* A handler that calls nothing but the next one has no use for a frame. */
#if defined(__riscv) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("omit-frame-pointer")
#endif

HANDLER_PART uint64_t *reg(struct vcpu *vcpu, uint8_t offset)
{
	return (uint64_t *)((char *)vcpu->x + offset);
}

HANDLER_PART uint64_t immediate(const struct uop *uop)
{
	return (uint64_t)(int64_t)uop->imm;
}

HANDLER_PART uint64_t word(uint64_t value)
{
	return (uint64_t)(int32_t)value;
}

HANDLER_PART bool run(HANDLER_PARAMETERS)
{
	uintptr_t handler = HANDLER_ORIGIN + (uintptr_t)(intptr_t)uop->handler;

	return ((handler_function *)handler)(HANDLER_ARGUMENTS);
}

HANDLER_PART bool next(HANDLER_PARAMETERS)
{
	uop++;
	return run(HANDLER_ARGUMENTS);
}

HANDLER_PART uint64_t pc_of(const struct uop *uop, const struct block *block)
{
	return block->pc + uop->offset;
}

/* Ends the run before this instruction. */
HANDLER_END bool op_leave(HANDLER_PARAMETERS)
{
	(void)csrs;
	vcpu->pc = pc_of(uop, block);
	return uop == block->uops;
}

static bool op_nop(HANDLER_PARAMETERS)
{
	return next(HANDLER_ARGUMENTS);
}

/* Device memory may be among what the guest's sets name. */
static bool op_fence(HANDLER_PARAMETERS)
{
#ifdef __riscv
	__asm__ volatile("fence iorw, iorw" ::: "memory");
#endif
	return next(HANDLER_ARGUMENTS);
}

static bool op_lui(HANDLER_PARAMETERS)
{
	*reg(vcpu, uop->rd) = immediate(uop);
	return next(HANDLER_ARGUMENTS);
}

static bool op_auipc(HANDLER_PARAMETERS)
{
	*reg(vcpu, uop->rd) = pc_of(uop, block) + immediate(uop);
	return next(HANDLER_ARGUMENTS);
}

/* One that block_build() followed: the next uop is its target. */
static bool op_jal(HANDLER_PARAMETERS)
{
	*reg(vcpu, uop->rd) = pc_of(uop, block) + uop->length;
	return next(HANDLER_ARGUMENTS);
}

/* x[rd] = expression of a = x[rs1] and b, which is the immediate or x[rs2]. */
#define HANDLER_ARITHMETIC(name, operand, expression)             \
	static bool op_##name(HANDLER_PARAMETERS)                 \
	{                                                         \
		uint64_t a = *reg(vcpu, uop->rs1), b = (operand); \
                                                                  \
		*reg(vcpu, uop->rd) = (expression);               \
		return next(HANDLER_ARGUMENTS);                   \
	}
#define HANDLER_IMMEDIATE(name, expression) HANDLER_ARITHMETIC(name, immediate(uop), expression)
#define HANDLER_REGISTERS(name, expression) \
	HANDLER_ARITHMETIC(name, *reg(vcpu, uop->rs2), expression)

HANDLER_IMMEDIATE(addi, a + b)
HANDLER_IMMEDIATE(slti, (int64_t)a < (int64_t)b)
HANDLER_IMMEDIATE(sltiu, a < b)
HANDLER_IMMEDIATE(xori, a ^ b)
HANDLER_IMMEDIATE(ori, a | b)
HANDLER_IMMEDIATE(andi, (a & b))
HANDLER_IMMEDIATE(slli, a << (b & 63))
HANDLER_IMMEDIATE(srli, a >> (b & 63))
HANDLER_IMMEDIATE(srai, (uint64_t)((int64_t)a >> (b & 63)))
HANDLER_IMMEDIATE(addiw, word(a + b))
HANDLER_IMMEDIATE(slliw, word((uint32_t)a << (b & 31)))
HANDLER_IMMEDIATE(srliw, word((uint32_t)a >> (b & 31)))
HANDLER_IMMEDIATE(sraiw, (uint64_t)((int32_t)a >> (b & 31)))
HANDLER_REGISTERS(add, a + b)
HANDLER_REGISTERS(sub, a - b)
HANDLER_REGISTERS(sll, a << (b & 63))
HANDLER_REGISTERS(slt, (int64_t)a < (int64_t)b)
HANDLER_REGISTERS(sltu, a < b)
HANDLER_REGISTERS(xor, a ^ b)
HANDLER_REGISTERS(srl, a >> (b & 63))
HANDLER_REGISTERS(sra, (uint64_t)((int64_t)a >> (b & 63)))
HANDLER_REGISTERS(or, a | b)
HANDLER_REGISTERS(and, (a & b))
HANDLER_REGISTERS(addw, word(a + b))
HANDLER_REGISTERS(subw, word(a - b))
HANDLER_REGISTERS(sllw, word((uint32_t)a << (b & 31)))
HANDLER_REGISTERS(srlw, word((uint32_t)a >> (b & 31)))
HANDLER_REGISTERS(sraw, (uint64_t)((int32_t)a >> (b & 31)))
HANDLER_REGISTERS(mul, (a * b))

/* Ends the run at the target of this branch. */
HANDLER_END bool jump(HANDLER_PARAMETERS)
{
	(void)csrs;
	vcpu->pc = pc_of(uop, block) + immediate(uop);
	return false;
}

/* rd is how many uops ahead the target is, 0 where it is not in the block. */
HANDLER_PART bool take_branch(HANDLER_PARAMETERS)
{
	if (unlikely(uop->rd == 0))
		return jump(HANDLER_ARGUMENTS);
	uop += uop->rd;
	return run(HANDLER_ARGUMENTS);
}

#define HANDLER_BRANCH(name, condition)                                                        \
	static bool op_##name(HANDLER_PARAMETERS)                                              \
	{                                                                                      \
		uint64_t a = *reg(vcpu, uop->rs1), b = *reg(vcpu, uop->rs2);                   \
                                                                                               \
		return (condition) ? take_branch(HANDLER_ARGUMENTS) : next(HANDLER_ARGUMENTS); \
	}

HANDLER_BRANCH(beq, a == b)
HANDLER_BRANCH(bne, a != b)
HANDLER_BRANCH(blt, (int64_t)a < (int64_t)b)
HANDLER_BRANCH(bge, (int64_t)a >= (int64_t)b)
HANDLER_BRANCH(bltu, a < b)
HANDLER_BRANCH(bgeu, a >= b)

HANDLER_PART uint64_t address_of(const struct uop *uop, struct vcpu *vcpu)
{
	return *reg(vcpu, uop->rs1) + immediate(uop);
}

#define HANDLER_LOAD(name, type, extend)                                                      \
	static bool op_##name(HANDLER_PARAMETERS)                                             \
	{                                                                                     \
		uint64_t value;                                                               \
                                                                                              \
		if (unlikely(!guest_load(vcpu, address_of(uop, vcpu), sizeof(type), &value))) \
			return op_leave(HANDLER_ARGUMENTS);                                   \
		*reg(vcpu, uop->rd) = (uint64_t)(extend)(type)value;                          \
		return next(HANDLER_ARGUMENTS);                                               \
	}
#define HANDLER_STORE(name, size)                                                       \
	static bool op_##name(HANDLER_PARAMETERS)                                       \
	{                                                                               \
		uint64_t value = *reg(vcpu, uop->rs2);                                  \
                                                                                        \
		if (unlikely(!guest_store(vcpu, address_of(uop, vcpu), (size), value))) \
			return op_leave(HANDLER_ARGUMENTS);                             \
		return next(HANDLER_ARGUMENTS);                                         \
	}

HANDLER_LOAD(lb, int8_t, int64_t)
HANDLER_LOAD(lh, int16_t, int64_t)
HANDLER_LOAD(lw, int32_t, int64_t)
HANDLER_LOAD(ld, uint64_t, uint64_t)
HANDLER_LOAD(lbu, uint8_t, uint64_t)
HANDLER_LOAD(lhu, uint16_t, uint64_t)
HANDLER_LOAD(lwu, uint32_t, uint64_t)
HANDLER_STORE(sb, 1)
HANDLER_STORE(sh, 2)
HANDLER_STORE(sw, 4)
HANDLER_STORE(sd, 8)

HANDLER_PART uint64_t *csr_word(const struct uop *uop, struct soft_csrs *csrs)
{
	return (uint64_t *)((char *)csrs + uop->imm);
}

static bool op_csr_get(HANDLER_PARAMETERS)
{
	*reg(vcpu, uop->rd) = *csr_word(uop, csrs);
	return next(HANDLER_ARGUMENTS);
}

static bool op_csr_put(HANDLER_PARAMETERS)
{
	*csr_word(uop, csrs) = *reg(vcpu, uop->rs1) & ~(uint64_t)uop->rs2;
	return next(HANDLER_ARGUMENTS);
}

static bool op_csr_exchange(HANDLER_PARAMETERS)
{
	uint64_t old = *csr_word(uop, csrs);

	*csr_word(uop, csrs) = *reg(vcpu, uop->rs1) & ~(uint64_t)uop->rs2;
	*reg(vcpu, uop->rd) = old;
	return next(HANDLER_ARGUMENTS);
}

#if defined(__riscv) && !defined(__clang__)
#pragma GCC pop_options
#endif

static bool op_privileged(HANDLER_PARAMETERS)
{
	(void)csrs; /* Looked up again, it need not be kept across the call. */
	vcpu->pc = pc_of(uop, block);

	enum step step = privileged_execute(vcpu, uop);

	if (likely(step == STEP_NEXT))
		return next(uop, vcpu, block, &vcpu->soft->csrs);
	return step == STEP_STOP || (step == STEP_REFUSE && uop == block->uops);
}

static handler_function *const handlers[UOP_KINDS] = {
    [UOP_NONE] = op_leave,
    [UOP_LUI] = op_lui,
    [UOP_AUIPC] = op_auipc,
    [UOP_ADDI] = op_addi,
    [UOP_SLTI] = op_slti,
    [UOP_SLTIU] = op_sltiu,
    [UOP_XORI] = op_xori,
    [UOP_ORI] = op_ori,
    [UOP_ANDI] = op_andi,
    [UOP_SLLI] = op_slli,
    [UOP_SRLI] = op_srli,
    [UOP_SRAI] = op_srai,
    [UOP_ADDIW] = op_addiw,
    [UOP_SLLIW] = op_slliw,
    [UOP_SRLIW] = op_srliw,
    [UOP_SRAIW] = op_sraiw,
    [UOP_ADD] = op_add,
    [UOP_SUB] = op_sub,
    [UOP_SLL] = op_sll,
    [UOP_SLT] = op_slt,
    [UOP_SLTU] = op_sltu,
    [UOP_XOR] = op_xor,
    [UOP_SRL] = op_srl,
    [UOP_SRA] = op_sra,
    [UOP_OR] = op_or,
    [UOP_AND] = op_and,
    [UOP_ADDW] = op_addw,
    [UOP_SUBW] = op_subw,
    [UOP_SLLW] = op_sllw,
    [UOP_SRLW] = op_srlw,
    [UOP_SRAW] = op_sraw,
    [UOP_MUL] = op_mul,
    [UOP_LB] = op_lb,
    [UOP_LH] = op_lh,
    [UOP_LW] = op_lw,
    [UOP_LD] = op_ld,
    [UOP_LBU] = op_lbu,
    [UOP_LHU] = op_lhu,
    [UOP_LWU] = op_lwu,
    [UOP_SB] = op_sb,
    [UOP_SH] = op_sh,
    [UOP_SW] = op_sw,
    [UOP_SD] = op_sd,
    [UOP_BEQ] = op_beq,
    [UOP_BNE] = op_bne,
    [UOP_BLT] = op_blt,
    [UOP_BGE] = op_bge,
    [UOP_BLTU] = op_bltu,
    [UOP_BGEU] = op_bgeu,
    [UOP_JAL] = op_jal,
    [UOP_JALR] = op_leave,
    [UOP_FENCE] = op_fence,
    [UOP_NOP] = op_nop,
    [UOP_CSR_GET] = op_csr_get,
    [UOP_CSR_PUT] = op_csr_put,
    [UOP_CSR_EXCHANGE] = op_csr_exchange,
    [UOP_CSR] = op_privileged,
    [UOP_SRET] = op_privileged,
    [UOP_WFI] = op_privileged,
    [UOP_SFENCE_VMA] = op_privileged,
    [UOP_SFENCE_ORDER] = op_privileged,
};

bool interp_run(struct vcpu *vcpu, const struct block *block)
{
	return run(block->uops, vcpu, block, &vcpu->soft->csrs);
}

/* Building a block. */

/* Where decoding is. */
struct cursor {
	const uint8_t *code;
	unsigned size, offset;
	unsigned reach; /* the farthest target ahead of the branches so far */
	unsigned count; /* of uops */
	unsigned gap;   /* of them, since the last privileged one */
};

static bool is_branch(const struct uop *uop)
{
	return uop->kind >= UOP_BEQ && uop->kind <= UOP_BGEU;
}

/* Decodes the instruction at the cursor. False if there is no whole one. */
static bool fetch(const struct cursor *cursor, struct uop *uop)
{
	unsigned left = cursor->size - cursor->offset;

	if (left < 2)
		return false;
	uop_decode(insn_fetch(cursor->code + cursor->offset, left), uop);
	uop->offset = (uint16_t)cursor->offset;
	return uop->length <= left;
}

static bool is_forward(const struct cursor *cursor, const struct uop *uop)
{
	return uop->imm >= uop->length && (unsigned)uop->imm < cursor->size - cursor->offset;
}

/*
 * Moves the cursor behind `uop`, or to where it jumps. False if nothing that follows in line is
 * reached from here.
 */
static bool advance(struct cursor *cursor, struct uop *uop)
{
	bool ahead = is_forward(cursor, uop);
	unsigned target = cursor->offset + (unsigned)uop->imm;

	cursor->offset += uop->length;
	if (uop->kind == UOP_JAL && ahead) {
		cursor->offset = target;
		uop->kind = uop->rd == 0 ? UOP_NOP : UOP_JAL;
		return true;
	}
	if (is_branch(uop)) {
		if (ahead && target > cursor->reach)
			cursor->reach = target;
		return true;
	}
	if (uop->kind == UOP_JAL || uop->kind == UOP_JALR)
		uop->kind = UOP_NONE;
	if (uop->kind == UOP_NONE || uop->kind == UOP_SRET)
		return cursor->reach >= cursor->offset;
	return true;
}

/* The uops as they are decoded, and how many of them, up to the last privileged one. */
static unsigned decode_uops(struct uop *uops, const uint8_t *code, unsigned size)
{
	struct cursor cursor = {.code = code, .size = size};
	unsigned used = 0;
	bool go_on = true;

	while (go_on && cursor.count < BLOCK_UOPS && fetch(&cursor, &uops[cursor.count])) {
		struct uop *uop = &uops[cursor.count++];

		go_on = advance(&cursor, uop);
		cursor.gap++;
		if (uop_is_privileged(uop)) {
			cursor.gap = 0;
			used = cursor.count;
		}
		/* A loop around what is privileged: its end leads to the block again. */
		if (used > 0 && is_branch(uop) && uop->offset + uop->imm == 0)
			used = cursor.count;
		go_on = go_on && cursor.gap <= BLOCK_GAP;
	}
	return used;
}

/* How many uops ahead of uops[from] the one at its target is; 0: it is not among them. */
static uint8_t distance_to_target(const struct uop *uops, unsigned from, unsigned count)
{
	int64_t target = (int64_t)uops[from].offset + uops[from].imm;
	unsigned i = from + 1;

	while (i < count && uops[i].offset < target)
		i++;
	return i < count && uops[i].offset == target ? (uint8_t)(i - from) : 0;
}

/* Makes of a decoded uop what its handler wants. */
static void prepare(struct uop *uop)
{
	if (handlers[uop->kind] != op_privileged) {
		uop->rs1 = (uint8_t)(uop->rs1 * sizeof(uint64_t));
		if (!is_branch(uop))
			uop->rd = (uint8_t)(uop->rd * sizeof(uint64_t));
		if (!uop_is_privileged(uop)) /* of these, rs2 is a mask */
			uop->rs2 = (uint8_t)(uop->rs2 * sizeof(uint64_t));
	}
	uop->handler = (int32_t)((uintptr_t)handlers[uop->kind] - HANDLER_ORIGIN);
}

void block_build(struct block *block, uint64_t pc, const uint8_t *code, unsigned size)
{
	struct uop *uops = block->uops;
	unsigned count = decode_uops(uops, code, size);
	struct uop end = {.kind = UOP_NONE};

	if (count > 0)
		end.offset = (uint16_t)(uops[count - 1].offset + uops[count - 1].length);
	uops[count] = end;
	for (unsigned i = 0; i <= count; i++) {
		if (is_branch(&uops[i]))
			uops[i].rd = distance_to_target(uops, i, count);
		prepare(&uops[i]);
	}
	block->pc = pc;
	block->count = (uint16_t)count;
}
