/* SPDX-License-Identifier: MIT */

#include "engine/soft/uop.h"

#include "engine/soft/csr.h"

#define OPCODE_LOAD      0x03
#define OPCODE_MISC_MEM  0x0f
#define OPCODE_OP_IMM    0x13
#define OPCODE_AUIPC     0x17
#define OPCODE_OP_IMM_32 0x1b
#define OPCODE_STORE     0x23
#define OPCODE_OP        0x33
#define OPCODE_LUI       0x37
#define OPCODE_OP_32     0x3b
#define OPCODE_BRANCH    0x63
#define OPCODE_JALR      0x67
#define OPCODE_JAL       0x6f
#define OPCODE_SYSTEM    0x73

#define FUNCT7_BASE        0x00
#define FUNCT7_MUL         0x01
#define FUNCT7_SFENCE_VMA  0x09
#define FUNCT7_SINVAL_VMA  0x0b
#define FUNCT7_ALTERNATIVE 0x20 /* SUB, SRA */

#define INSN_SRET            0x10200073
#define INSN_WFI             0x10500073
#define INSN_SFENCE_W_INVAL  0x18000073
#define INSN_SFENCE_INVAL_IR 0x18100073

#define FUNCT3_CSRRW 1
#define FUNCT3_CSRRS 2

#define REGISTER_RA 1
#define REGISTER_SP 2

static uint32_t field(uint32_t bits, unsigned shift, unsigned width)
{
	return bits >> shift & ((1U << width) - 1);
}

/* The same, as the bits from `to` up. */
static uint32_t place(uint32_t bits, unsigned shift, unsigned width, unsigned to)
{
	return field(bits, shift, width) << to;
}

static int32_t sign_extend(uint32_t value, unsigned width)
{
	return (int32_t)(value << (32 - width)) >> (32 - width);
}

static uint8_t rd_of(uint32_t bits)
{
	return (uint8_t)field(bits, 7, 5);
}

static uint8_t rs1_of(uint32_t bits)
{
	return (uint8_t)field(bits, 15, 5);
}

static uint8_t rs2_of(uint32_t bits)
{
	return (uint8_t)field(bits, 20, 5);
}

/* The register that a compressed instruction names by three bits. */
static uint8_t near_at(uint32_t bits, unsigned shift)
{
	return (uint8_t)(8 + field(bits, shift, 3));
}

static enum uop_kind set_registers(struct uop *uop, enum uop_kind kind, uint8_t rd, uint8_t rs1,
				   uint8_t rs2)
{
	uop->rd = rd;
	uop->rs1 = rs1;
	uop->rs2 = rs2;
	return kind;
}

static enum uop_kind set_immediate(struct uop *uop, enum uop_kind kind, uint8_t rd, uint8_t rs1,
				   int32_t imm)
{
	uop->rd = rd;
	uop->rs1 = rs1;
	uop->imm = imm;
	return kind;
}

/* Stores and branches. */
static enum uop_kind set_pair(struct uop *uop, enum uop_kind kind, uint8_t rs1, uint8_t rs2,
			      int32_t imm)
{
	uop->rs1 = rs1;
	uop->rs2 = rs2;
	uop->imm = imm;
	return kind;
}

/* The shift amount has `width` bits; what is above them in the immediate is a function code. */
static enum uop_kind decode_shift(uint32_t bits, struct uop *uop, unsigned width,
				  enum uop_kind base, enum uop_kind alternative)
{
	uint32_t function = bits >> (20 + width);
	uint32_t arithmetic = FUNCT7_ALTERNATIVE << 5 >> width;
	enum uop_kind kind = function == 0 ? base : alternative;

	if (function != 0 && function != arithmetic)
		return UOP_NONE;
	return set_immediate(uop, kind, rd_of(bits), rs1_of(bits), (int32_t)field(bits, 20, width));
}

static enum uop_kind decode_op_imm(uint32_t bits, struct uop *uop)
{
	static const uint8_t kinds[8] = {
	    [0] = UOP_ADDI, [2] = UOP_SLTI, [3] = UOP_SLTIU,
	    [4] = UOP_XORI, [6] = UOP_ORI,  [7] = UOP_ANDI,
	};
	uint32_t funct3 = field(bits, 12, 3);

	if (funct3 == 1)
		return decode_shift(bits, uop, 6, UOP_SLLI, UOP_NONE);
	if (funct3 == 5)
		return decode_shift(bits, uop, 6, UOP_SRLI, UOP_SRAI);
	return set_immediate(uop, kinds[funct3], rd_of(bits), rs1_of(bits),
			     sign_extend(bits >> 20, 12));
}

static enum uop_kind decode_op_imm_32(uint32_t bits, struct uop *uop)
{
	switch (field(bits, 12, 3)) {
	case 0:
		return set_immediate(uop, UOP_ADDIW, rd_of(bits), rs1_of(bits),
				     sign_extend(bits >> 20, 12));
	case 1:
		return decode_shift(bits, uop, 5, UOP_SLLIW, UOP_NONE);
	case 5:
		return decode_shift(bits, uop, 5, UOP_SRLIW, UOP_SRAIW);
	default:
		return UOP_NONE;
	}
}

static enum uop_kind decode_op(uint32_t bits, struct uop *uop)
{
	static const uint8_t kinds[8] = {
	    UOP_ADD, UOP_SLL, UOP_SLT, UOP_SLTU, UOP_XOR, UOP_SRL, UOP_OR, UOP_AND,
	};
	static const uint8_t alternatives[8] = {[0] = UOP_SUB, [5] = UOP_SRA};
	uint32_t funct3 = field(bits, 12, 3);
	enum uop_kind kind = UOP_NONE;

	switch (bits >> 25) {
	case FUNCT7_BASE:
		kind = kinds[funct3];
		break;
	case FUNCT7_ALTERNATIVE:
		kind = alternatives[funct3];
		break;
	case FUNCT7_MUL:
		kind = funct3 == 0 ? UOP_MUL : UOP_NONE;
		break;
	}
	return set_registers(uop, kind, rd_of(bits), rs1_of(bits), rs2_of(bits));
}

static enum uop_kind decode_op_32(uint32_t bits, struct uop *uop)
{
	static const uint8_t kinds[8] = {[0] = UOP_ADDW, [1] = UOP_SLLW, [5] = UOP_SRLW};
	static const uint8_t alternatives[8] = {[0] = UOP_SUBW, [5] = UOP_SRAW};
	uint32_t funct3 = field(bits, 12, 3);
	enum uop_kind kind = UOP_NONE;

	if (bits >> 25 == FUNCT7_BASE)
		kind = kinds[funct3];
	else if (bits >> 25 == FUNCT7_ALTERNATIVE)
		kind = alternatives[funct3];
	return set_registers(uop, kind, rd_of(bits), rs1_of(bits), rs2_of(bits));
}

static enum uop_kind decode_load(uint32_t bits, struct uop *uop)
{
	static const uint8_t kinds[8] = {
	    UOP_LB, UOP_LH, UOP_LW, UOP_LD, UOP_LBU, UOP_LHU, UOP_LWU, UOP_NONE,
	};

	return set_immediate(uop, kinds[field(bits, 12, 3)], rd_of(bits), rs1_of(bits),
			     sign_extend(bits >> 20, 12));
}

static enum uop_kind decode_store(uint32_t bits, struct uop *uop)
{
	static const uint8_t kinds[8] = {UOP_SB, UOP_SH, UOP_SW, UOP_SD};
	uint32_t imm = place(bits, 25, 7, 5) | field(bits, 7, 5);

	return set_pair(uop, kinds[field(bits, 12, 3)], rs1_of(bits), rs2_of(bits),
			sign_extend(imm, 12));
}

static enum uop_kind decode_branch(uint32_t bits, struct uop *uop)
{
	static const uint8_t kinds[8] = {
	    UOP_BEQ, UOP_BNE, UOP_NONE, UOP_NONE, UOP_BLT, UOP_BGE, UOP_BLTU, UOP_BGEU,
	};
	uint32_t imm = place(bits, 31, 1, 12) | place(bits, 7, 1, 11) | place(bits, 25, 6, 5) |
		       place(bits, 8, 4, 1);

	return set_pair(uop, kinds[field(bits, 12, 3)], rs1_of(bits), rs2_of(bits),
			sign_extend(imm, 13));
}

static enum uop_kind decode_jal(uint32_t bits, struct uop *uop)
{
	uint32_t imm = place(bits, 31, 1, 20) | place(bits, 12, 8, 12) | place(bits, 20, 1, 11) |
		       place(bits, 21, 10, 1);

	return set_immediate(uop, UOP_JAL, rd_of(bits), 0, sign_extend(imm, 21));
}

static enum uop_kind decode_jalr(uint32_t bits, struct uop *uop)
{
	if (field(bits, 12, 3) != 0)
		return UOP_NONE;
	return set_immediate(uop, UOP_JALR, rd_of(bits), rs1_of(bits), sign_extend(bits >> 20, 12));
}

/* A CSR that is a plain word in struct soft_csrs, at `offset`; -1: it is none. */
struct csr_word {
	int32_t offset;
	bool writable;
	uint8_t zero; /* bits of it that are always 0 */
};

static struct csr_word csr_word_of(uint32_t number)
{
	switch (number) {
	case CSR_SSCRATCH:
		return (struct csr_word){offsetof(struct soft_csrs, sscratch), true, 0};
	case CSR_SEPC: /* Priv. 1.13, 12.1.7: bit 0 is always zero */
		return (struct csr_word){offsetof(struct soft_csrs, sepc), true, 1};
	case CSR_SCAUSE:
		return (struct csr_word){offsetof(struct soft_csrs, scause), true, 0};
	case CSR_STVAL:
		return (struct csr_word){offsetof(struct soft_csrs, stval), true, 0};
	case CSR_STVEC:
		return (struct csr_word){offsetof(struct soft_csrs, stvec), false, 0};
	case CSR_SATP:
		return (struct csr_word){offsetof(struct soft_csrs, satp), false, 0};
	case CSR_SIE:
		return (struct csr_word){offsetof(struct soft_csrs, sie), false, 0};
	default:
		return (struct csr_word){-1, false, 0};
	}
}

/* Zicsr. What reads or writes one plain word is done without asking what the CSR means. */
static enum uop_kind decode_csr(uint32_t bits, struct uop *uop)
{
	uint32_t funct3 = field(bits, 12, 3);
	uint8_t rd = rd_of(bits), rs1 = rs1_of(bits);
	struct csr_word word = csr_word_of(bits >> 20);

	if (funct3 == 4 || field(bits, 28, 2) == 0)
		return UOP_NONE;
	if (word.offset >= 0 && funct3 == FUNCT3_CSRRS && rs1 == 0 && rd != 0)
		return set_immediate(uop, UOP_CSR_GET, rd, 0, word.offset);
	if (word.writable && funct3 == FUNCT3_CSRRW) {
		uop->rs2 = word.zero;
		return set_immediate(uop, rd == 0 ? UOP_CSR_PUT : UOP_CSR_EXCHANGE, rd, rs1,
				     word.offset);
	}
	return set_immediate(uop, UOP_CSR, rd, rs1, (int32_t)bits);
}

uint32_t uop_access(const struct uop *uop)
{
	uint32_t offset = (uint32_t)uop->imm - (uint32_t)PAGE_SIZE; /* from the end */

	if (uop->kind == UOP_CSR_GET) /* ld rd, offset(x0) */
		return offset << 20 | 3 << 12 | (uint32_t)uop->rd << 7 | 0x03;
	/* sd rs1, offset(x0) */
	return (offset >> 5 & 0x7f) << 25 | (uint32_t)uop->rs1 << 20 | 3 << 12 |
	       (offset & 31) << 7 | 0x23;
}

static enum uop_kind decode_system(uint32_t bits, struct uop *uop)
{
	uint32_t funct7 = bits >> 25;

	if (field(bits, 12, 3) != 0)
		return decode_csr(bits, uop);
	uop->imm = (int32_t)bits;
	switch (bits) {
	case INSN_SRET:
		return UOP_SRET;
	case INSN_WFI:
		return UOP_WFI;
	case INSN_SFENCE_W_INVAL:
	case INSN_SFENCE_INVAL_IR:
		return UOP_SFENCE_ORDER;
	}
	if (rd_of(bits) == 0 && (funct7 == FUNCT7_SFENCE_VMA || funct7 == FUNCT7_SINVAL_VMA))
		return set_registers(uop, UOP_SFENCE_VMA, 0, rs1_of(bits), rs2_of(bits));
	return UOP_NONE;
}

static enum uop_kind decode_full(uint32_t bits, struct uop *uop)
{
	switch (bits & 0x7f) {
	case OPCODE_LOAD:
		return decode_load(bits, uop);
	case OPCODE_MISC_MEM: /* FENCE: its reserved fields are to be ignored (Unpriv., 2.7). */
		return field(bits, 12, 3) == 0 ? UOP_FENCE : UOP_NONE;
	case OPCODE_OP_IMM:
		return decode_op_imm(bits, uop);
	case OPCODE_AUIPC:
		return set_immediate(uop, UOP_AUIPC, rd_of(bits), 0, (int32_t)(bits & 0xfffff000));
	case OPCODE_OP_IMM_32:
		return decode_op_imm_32(bits, uop);
	case OPCODE_STORE:
		return decode_store(bits, uop);
	case OPCODE_OP:
		return decode_op(bits, uop);
	case OPCODE_LUI:
		return set_immediate(uop, UOP_LUI, rd_of(bits), 0, (int32_t)(bits & 0xfffff000));
	case OPCODE_OP_32:
		return decode_op_32(bits, uop);
	case OPCODE_BRANCH:
		return decode_branch(bits, uop);
	case OPCODE_JALR:
		return decode_jalr(bits, uop);
	case OPCODE_JAL:
		return decode_jal(bits, uop);
	case OPCODE_SYSTEM:
		return decode_system(bits, uop);
	default:
		return UOP_NONE;
	}
}

static enum uop_kind decode_addi4spn(uint32_t bits, struct uop *uop)
{
	uint32_t imm = place(bits, 11, 2, 4) | place(bits, 7, 4, 6) | place(bits, 6, 1, 2) |
		       place(bits, 5, 1, 3);

	if (imm == 0)
		return UOP_NONE;
	return set_immediate(uop, UOP_ADDI, near_at(bits, 2), REGISTER_SP, (int32_t)imm);
}

static enum uop_kind decode_quadrant_0(uint32_t bits, struct uop *uop)
{
	uint8_t base = near_at(bits, 7), reg = near_at(bits, 2);
	uint32_t low = place(bits, 10, 3, 3);
	int32_t word = (int32_t)(low | place(bits, 6, 1, 2) | place(bits, 5, 1, 6));
	int32_t doubleword = (int32_t)(low | place(bits, 5, 2, 6));

	switch (field(bits, 13, 3)) {
	case 0: /* C.ADDI4SPN */
		return decode_addi4spn(bits, uop);
	case 2: /* C.LW */
		return set_immediate(uop, UOP_LW, reg, base, word);
	case 3: /* C.LD */
		return set_immediate(uop, UOP_LD, reg, base, doubleword);
	case 6: /* C.SW */
		return set_pair(uop, UOP_SW, base, reg, word);
	case 7: /* C.SD */
		return set_pair(uop, UOP_SD, base, reg, doubleword);
	default:
		return UOP_NONE;
	}
}

/* C.ADDI16SP and C.LUI, with an immediate of 0 reserved in both. */
static enum uop_kind decode_c_lui(uint32_t bits, struct uop *uop)
{
	uint32_t imm = place(bits, 12, 1, 17) | place(bits, 2, 5, 12);
	uint32_t frame = place(bits, 12, 1, 9) | place(bits, 6, 1, 4) | place(bits, 5, 1, 6) |
			 place(bits, 3, 2, 7) | place(bits, 2, 1, 5);
	uint8_t rd = rd_of(bits);

	if (imm == 0)
		return UOP_NONE;
	if (rd == REGISTER_SP)
		return set_immediate(uop, UOP_ADDI, rd, rd, sign_extend(frame, 10));
	return set_immediate(uop, UOP_LUI, rd, 0, sign_extend(imm, 18));
}

/* C.SRLI, C.SRAI, C.ANDI, C.SUB to C.AND, C.SUBW, C.ADDW. */
static enum uop_kind decode_c_arithmetic(uint32_t bits, struct uop *uop)
{
	static const uint8_t kinds[8] = {UOP_SUB,  UOP_XOR,  UOP_OR,   UOP_AND,
					 UOP_SUBW, UOP_ADDW, UOP_NONE, UOP_NONE};
	uint8_t rd = near_at(bits, 7);
	uint32_t imm = place(bits, 12, 1, 5) | field(bits, 2, 5);

	switch (field(bits, 10, 2)) {
	case 0:
		return set_immediate(uop, UOP_SRLI, rd, rd, (int32_t)imm);
	case 1:
		return set_immediate(uop, UOP_SRAI, rd, rd, (int32_t)imm);
	case 2:
		return set_immediate(uop, UOP_ANDI, rd, rd, sign_extend(imm, 6));
	default:
		return set_registers(uop, kinds[place(bits, 12, 1, 2) | field(bits, 5, 2)], rd, rd,
				     near_at(bits, 2));
	}
}

static enum uop_kind decode_c_jump(uint32_t bits, struct uop *uop)
{
	uint32_t imm = place(bits, 12, 1, 11) | place(bits, 11, 1, 4) | place(bits, 9, 2, 8) |
		       place(bits, 8, 1, 10) | place(bits, 7, 1, 6) | place(bits, 6, 1, 7) |
		       place(bits, 3, 3, 1) | place(bits, 2, 1, 5);

	return set_immediate(uop, UOP_JAL, 0, 0, sign_extend(imm, 12));
}

static enum uop_kind decode_c_branch(uint32_t bits, struct uop *uop, enum uop_kind kind)
{
	uint32_t imm = place(bits, 12, 1, 8) | place(bits, 10, 2, 3) | place(bits, 5, 2, 6) |
		       place(bits, 3, 2, 1) | place(bits, 2, 1, 5);

	return set_pair(uop, kind, near_at(bits, 7), 0, sign_extend(imm, 9));
}

static enum uop_kind decode_quadrant_1(uint32_t bits, struct uop *uop)
{
	int32_t imm = sign_extend(place(bits, 12, 1, 5) | field(bits, 2, 5), 6);
	uint8_t rd = rd_of(bits);

	switch (field(bits, 13, 3)) {
	case 0: /* C.ADDI */
		return set_immediate(uop, UOP_ADDI, rd, rd, imm);
	case 1: /* C.ADDIW: reserved for x0 */
		return set_immediate(uop, rd ? UOP_ADDIW : UOP_NONE, rd, rd, imm);
	case 2: /* C.LI */
		return set_immediate(uop, UOP_ADDI, rd, 0, imm);
	case 3:
		return decode_c_lui(bits, uop);
	case 4:
		return decode_c_arithmetic(bits, uop);
	case 5:
		return decode_c_jump(bits, uop);
	case 6:
		return decode_c_branch(bits, uop, UOP_BEQ);
	default:
		return decode_c_branch(bits, uop, UOP_BNE);
	}
}

/* C.JR, C.MV, C.JALR, C.ADD; C.EBREAK is the hart's. */
static enum uop_kind decode_c_jr(uint32_t bits, struct uop *uop)
{
	uint8_t rd = rd_of(bits), rs2 = (uint8_t)field(bits, 2, 5);
	bool second = field(bits, 12, 1);

	if (rs2 != 0)
		return set_registers(uop, UOP_ADD, rd, second ? rd : 0, rs2);
	if (rd == 0)
		return UOP_NONE;
	return set_immediate(uop, UOP_JALR, second ? REGISTER_RA : 0, rd, 0);
}

static enum uop_kind decode_quadrant_2(uint32_t bits, struct uop *uop)
{
	uint8_t rd = rd_of(bits), rs2 = (uint8_t)field(bits, 2, 5);
	uint32_t bit_5 = place(bits, 12, 1, 5);

	switch (field(bits, 13, 3)) {
	case 0: /* C.SLLI */
		return set_immediate(uop, UOP_SLLI, rd, rd, (int32_t)(bit_5 | field(bits, 2, 5)));
	case 2: /* C.LWSP */
		return set_immediate(
		    uop, UOP_LW, rd, REGISTER_SP,
		    (int32_t)(bit_5 | place(bits, 4, 3, 2) | place(bits, 2, 2, 6)));
	case 3: /* C.LDSP */
		return set_immediate(
		    uop, UOP_LD, rd, REGISTER_SP,
		    (int32_t)(bit_5 | place(bits, 5, 2, 3) | place(bits, 2, 3, 6)));
	case 4:
		return decode_c_jr(bits, uop);
	case 6: /* C.SWSP */
		return set_pair(uop, UOP_SW, REGISTER_SP, rs2,
				(int32_t)(place(bits, 9, 4, 2) | place(bits, 7, 2, 6)));
	case 7: /* C.SDSP */
		return set_pair(uop, UOP_SD, REGISTER_SP, rs2,
				(int32_t)(place(bits, 10, 3, 3) | place(bits, 7, 3, 6)));
	default:
		return UOP_NONE;
	}
}

static enum uop_kind decode_any(uint32_t bits, struct uop *uop)
{
	switch (bits & 3) {
	case 0:
		return decode_quadrant_0(bits, uop);
	case 1:
		return decode_quadrant_1(bits, uop);
	case 2:
		return decode_quadrant_2(bits, uop);
	default:
		return decode_full(bits, uop);
	}
}

void uop_decode(uint32_t bits, struct uop *uop)
{
	*uop = (struct uop){.length = (bits & 3) == 3 ? 4 : 2};

	enum uop_kind kind = decode_any(bits, uop);

	/*
	 * So that whoever executes uops need not look whether rd is x0. A load into x0 may still
	 * fault or reach a device; it is rare.
	 */
	if (uop->rd == 0 && kind >= UOP_LUI && kind <= UOP_MUL)
		kind = UOP_NOP;
	if (uop->rd == 0 && kind >= UOP_LB && kind <= UOP_LWU)
		kind = UOP_NONE;
	uop->kind = (uint8_t)kind;
}
