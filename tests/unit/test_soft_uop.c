/* SPDX-License-Identifier: MIT */
/* unit: engine/soft/uop.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/soft/csr.h"
#include "engine/soft/uop.h"
#include "tests/unit/soft_reference.h"

/* The bits are the assembler's. */
/* clang-format off */
static const struct {
	const char *text;
	uint32_t bits;
	struct uop uop; /* without its length */
} assembled[] = {
    {"addi x5,x20,-2048", 0x800a0293, {.kind = UOP_ADDI, .rd = 5, .rs1 = 20, .imm = -2048}},
    {"slti x6,x21,2047", 0x7ffaa313, {.kind = UOP_SLTI, .rd = 6, .rs1 = 21, .imm = 2047}},
    {"sltiu x7,x22,-1", 0xfffb3393, {.kind = UOP_SLTIU, .rd = 7, .rs1 = 22, .imm = -1}},
    {"xori x8,x23,1", 0x001bc413, {.kind = UOP_XORI, .rd = 8, .rs1 = 23, .imm = 1}},
    {"ori x9,x24,-3", 0xffdc6493, {.kind = UOP_ORI, .rd = 9, .rs1 = 24, .imm = -3}},
    {"andi x10,x25,1365", 0x555cf513, {.kind = UOP_ANDI, .rd = 10, .rs1 = 25, .imm = 1365}},
    {"slli x1,x31,63", 0x03ff9093, {.kind = UOP_SLLI, .rd = 1, .rs1 = 31, .imm = 63}},
    {"srli x2,x31,32", 0x020fd113, {.kind = UOP_SRLI, .rd = 2, .rs1 = 31, .imm = 32}},
    {"srai x3,x31,33", 0x421fd193, {.kind = UOP_SRAI, .rd = 3, .rs1 = 31, .imm = 33}},
    {"addiw x9,x17,-7", 0xff98849b, {.kind = UOP_ADDIW, .rd = 9, .rs1 = 17, .imm = -7}},
    {"slliw x11,x30,31", 0x01ff159b, {.kind = UOP_SLLIW, .rd = 11, .rs1 = 30, .imm = 31}},
    {"srliw x12,x30,16", 0x010f561b, {.kind = UOP_SRLIW, .rd = 12, .rs1 = 30, .imm = 16}},
    {"sraiw x13,x30,1", 0x401f569b, {.kind = UOP_SRAIW, .rd = 13, .rs1 = 30, .imm = 1}},
    {"add x1,x31,x9", 0x009f80b3, {.kind = UOP_ADD, .rd = 1, .rs1 = 31, .rs2 = 9}},
    {"sub x2,x30,x10", 0x40af0133, {.kind = UOP_SUB, .rd = 2, .rs1 = 30, .rs2 = 10}},
    {"sll x3,x29,x11", 0x00be91b3, {.kind = UOP_SLL, .rd = 3, .rs1 = 29, .rs2 = 11}},
    {"slt x4,x28,x12", 0x00ce2233, {.kind = UOP_SLT, .rd = 4, .rs1 = 28, .rs2 = 12}},
    {"sltu x5,x27,x13", 0x00ddb2b3, {.kind = UOP_SLTU, .rd = 5, .rs1 = 27, .rs2 = 13}},
    {"xor x6,x26,x14", 0x00ed4333, {.kind = UOP_XOR, .rd = 6, .rs1 = 26, .rs2 = 14}},
    {"srl x7,x25,x15", 0x00fcd3b3, {.kind = UOP_SRL, .rd = 7, .rs1 = 25, .rs2 = 15}},
    {"sra x8,x24,x16", 0x410c5433, {.kind = UOP_SRA, .rd = 8, .rs1 = 24, .rs2 = 16}},
    {"or x9,x23,x17", 0x011be4b3, {.kind = UOP_OR, .rd = 9, .rs1 = 23, .rs2 = 17}},
    {"and x10,x22,x18", 0x012b7533, {.kind = UOP_AND, .rd = 10, .rs1 = 22, .rs2 = 18}},
    {"addw x11,x21,x19", 0x013a85bb, {.kind = UOP_ADDW, .rd = 11, .rs1 = 21, .rs2 = 19}},
    {"subw x12,x20,x20", 0x414a063b, {.kind = UOP_SUBW, .rd = 12, .rs1 = 20, .rs2 = 20}},
    {"sllw x13,x19,x21", 0x015996bb, {.kind = UOP_SLLW, .rd = 13, .rs1 = 19, .rs2 = 21}},
    {"srlw x14,x18,x22", 0x0169573b, {.kind = UOP_SRLW, .rd = 14, .rs1 = 18, .rs2 = 22}},
    {"sraw x15,x17,x23", 0x4178d7bb, {.kind = UOP_SRAW, .rd = 15, .rs1 = 17, .rs2 = 23}},
    {"mul x16,x16,x24", 0x03880833, {.kind = UOP_MUL, .rd = 16, .rs1 = 16, .rs2 = 24}},
    {"lb x1,-2048(x20)", 0x800a0083, {.kind = UOP_LB, .rd = 1, .rs1 = 20, .imm = -2048}},
    {"lh x2,2047(x21)", 0x7ffa9103, {.kind = UOP_LH, .rd = 2, .rs1 = 21, .imm = 2047}},
    {"lw x3,-4(x22)", 0xffcb2183, {.kind = UOP_LW, .rd = 3, .rs1 = 22, .imm = -4}},
    {"ld x4,8(x23)", 0x008bb203, {.kind = UOP_LD, .rd = 4, .rs1 = 23, .imm = 8}},
    {"lbu x5,0(x24)", 0x000c4283, {.kind = UOP_LBU, .rd = 5, .rs1 = 24}},
    {"lhu x6,1024(x25)", 0x400cd303, {.kind = UOP_LHU, .rd = 6, .rs1 = 25, .imm = 1024}},
    {"lwu x7,-1024(x26)", 0xc00d6383, {.kind = UOP_LWU, .rd = 7, .rs1 = 26, .imm = -1024}},
    {"sb x1,-2048(x20)", 0x801a0023, {.kind = UOP_SB, .rs1 = 20, .rs2 = 1, .imm = -2048}},
    {"sh x2,2047(x21)", 0x7e2a9fa3, {.kind = UOP_SH, .rs1 = 21, .rs2 = 2, .imm = 2047}},
    {"sw x3,-33(x22)", 0xfc3b2fa3, {.kind = UOP_SW, .rs1 = 22, .rs2 = 3, .imm = -33}},
    {"sd x4,1992(x23)", 0x7c4bb423, {.kind = UOP_SD, .rs1 = 23, .rs2 = 4, .imm = 1992}},
    {"beq x1,x20,.-4096", 0x81408063, {.kind = UOP_BEQ, .rs1 = 1, .rs2 = 20, .imm = -4096}},
    {"bne x2,x21,.+4094", 0x7f511fe3, {.kind = UOP_BNE, .rs1 = 2, .rs2 = 21, .imm = 4094}},
    {"blt x3,x22,.-2", 0xff61cfe3, {.kind = UOP_BLT, .rs1 = 3, .rs2 = 22, .imm = -2}},
    {"bge x4,x23,.+2730", 0x2b7255e3, {.kind = UOP_BGE, .rs1 = 4, .rs2 = 23, .imm = 2730}},
    {"bltu x5,x24,.+1364", 0x5582ea63, {.kind = UOP_BLTU, .rs1 = 5, .rs2 = 24, .imm = 1364}},
    {"bgeu x6,x25,.-2048", 0x819370e3, {.kind = UOP_BGEU, .rs1 = 6, .rs2 = 25, .imm = -2048}},
    {"lui x31,0x80000", 0x80000fb7, {.kind = UOP_LUI, .rd = 31, .imm = INT32_MIN}},
    {"lui x3,0x12345", 0x123451b7, {.kind = UOP_LUI, .rd = 3, .imm = 305418240}},
    {"auipc x7,0xfffff", 0xfffff397, {.kind = UOP_AUIPC, .rd = 7, .imm = -4096}},
    {"jal x1,.+1048574", 0x7ffff0ef, {.kind = UOP_JAL, .rd = 1, .imm = 1048574}},
    {"jal x0,.-1048576", 0x8000006f, {.kind = UOP_JAL, .imm = -1048576}},
    {"jal x5,.+349524", 0x554552ef, {.kind = UOP_JAL, .rd = 5, .imm = 349524}},
    {"jalr x1,-9(x6)", 0xff7300e7, {.kind = UOP_JALR, .rd = 1, .rs1 = 6, .imm = -9}},
    {"jalr x0,2047(x31)", 0x7fff8067, {.kind = UOP_JALR, .rs1 = 31, .imm = 2047}},
    {"fence iorw,iorw", 0x0ff0000f, {.kind = UOP_FENCE}},
    {"fence w,r", 0x0120000f, {.kind = UOP_FENCE}},
    {"fence.tso", 0x8330000f, {.kind = UOP_FENCE}},
    {"fence w,0", 0x0100000f, {.kind = UOP_FENCE}},
    {"add x0,x1,x2", 0x00208033, {.kind = UOP_NOP}},
    {"lui x0,5", 0x00005037, {.kind = UOP_NOP}},
    {"addi x0,x0,0", 0x00000013, {.kind = UOP_NOP}},
    {"slli x0,x1,31", 0x01f09013, {.kind = UOP_NOP}},
    {"ori x0,x5,1", 0x0012e013, {.kind = UOP_NOP}},
    {"c.addi4spn x8,x2,1020", 0x1fe0, {.kind = UOP_ADDI, .rd = 8, .rs1 = 2, .imm = 1020}},
    {"c.addi4spn x15,x2,4", 0x005c, {.kind = UOP_ADDI, .rd = 15, .rs1 = 2, .imm = 4}},
    {"c.addi4spn x9,x2,680", 0x1524, {.kind = UOP_ADDI, .rd = 9, .rs1 = 2, .imm = 680}},
    {"c.lw x8,124(x15)", 0x5fe0, {.kind = UOP_LW, .rd = 8, .rs1 = 15, .imm = 124}},
    {"c.lw x9,68(x10)", 0x4164, {.kind = UOP_LW, .rd = 9, .rs1 = 10, .imm = 68}},
    {"c.ld x15,248(x8)", 0x7c7c, {.kind = UOP_LD, .rd = 15, .rs1 = 8, .imm = 248}},
    {"c.ld x11,72(x12)", 0x662c, {.kind = UOP_LD, .rd = 11, .rs1 = 12, .imm = 72}},
    {"c.sw x14,64(x9)", 0xc0b8, {.kind = UOP_SW, .rs1 = 9, .rs2 = 14, .imm = 64}},
    {"c.sw x8,60(x15)", 0xdfc0, {.kind = UOP_SW, .rs1 = 15, .rs2 = 8, .imm = 60}},
    {"c.sd x12,128(x13)", 0xe2d0, {.kind = UOP_SD, .rs1 = 13, .rs2 = 12, .imm = 128}},
    {"c.nop", 0x0001, {.kind = UOP_NOP}},
    {"c.addi x31,-32", 0x1f81, {.kind = UOP_ADDI, .rd = 31, .rs1 = 31, .imm = -32}},
    {"c.addi x1,31", 0x00fd, {.kind = UOP_ADDI, .rd = 1, .rs1 = 1, .imm = 31}},
    {"c.addiw x20,-1", 0x3a7d, {.kind = UOP_ADDIW, .rd = 20, .rs1 = 20, .imm = -1}},
    {"c.addiw x5,0", 0x2281, {.kind = UOP_ADDIW, .rd = 5, .rs1 = 5}},
    {"c.li x10,-32", 0x5501, {.kind = UOP_ADDI, .rd = 10, .imm = -32}},
    {"c.li x11,21", 0x45d5, {.kind = UOP_ADDI, .rd = 11, .imm = 21}},
    {"c.addi16sp x2,-512", 0x7101, {.kind = UOP_ADDI, .rd = 2, .rs1 = 2, .imm = -512}},
    {"c.addi16sp x2,496", 0x617d, {.kind = UOP_ADDI, .rd = 2, .rs1 = 2, .imm = 496}},
    {"c.addi16sp x2,-176", 0x7171, {.kind = UOP_ADDI, .rd = 2, .rs1 = 2, .imm = -176}},
    {"c.lui x31,1", 0x6f85, {.kind = UOP_LUI, .rd = 31, .imm = 4096}},
    {"c.lui x1,0xfffe0", 0x7081, {.kind = UOP_LUI, .rd = 1, .imm = -131072}},
    {"c.lui x7,0xfffff", 0x73fd, {.kind = UOP_LUI, .rd = 7, .imm = -4096}},
    {"c.srli x8,63", 0x907d, {.kind = UOP_SRLI, .rd = 8, .rs1 = 8, .imm = 63}},
    {"c.srli x9,1", 0x8085, {.kind = UOP_SRLI, .rd = 9, .rs1 = 9, .imm = 1}},
    {"c.srai x15,32", 0x9781, {.kind = UOP_SRAI, .rd = 15, .rs1 = 15, .imm = 32}},
    {"c.andi x10,-32", 0x9901, {.kind = UOP_ANDI, .rd = 10, .rs1 = 10, .imm = -32}},
    {"c.andi x13,21", 0x8ad5, {.kind = UOP_ANDI, .rd = 13, .rs1 = 13, .imm = 21}},
    {"c.sub x8,x15", 0x8c1d, {.kind = UOP_SUB, .rd = 8, .rs1 = 8, .rs2 = 15}},
    {"c.xor x9,x14", 0x8cb9, {.kind = UOP_XOR, .rd = 9, .rs1 = 9, .rs2 = 14}},
    {"c.or x10,x13", 0x8d55, {.kind = UOP_OR, .rd = 10, .rs1 = 10, .rs2 = 13}},
    {"c.and x11,x12", 0x8df1, {.kind = UOP_AND, .rd = 11, .rs1 = 11, .rs2 = 12}},
    {"c.subw x12,x11", 0x9e0d, {.kind = UOP_SUBW, .rd = 12, .rs1 = 12, .rs2 = 11}},
    {"c.addw x13,x10", 0x9ea9, {.kind = UOP_ADDW, .rd = 13, .rs1 = 13, .rs2 = 10}},
    {"c.j .+2046", 0xaffd, {.kind = UOP_JAL, .imm = 2046}},
    {"c.j .-2048", 0xb001, {.kind = UOP_JAL, .imm = -2048}},
    {"c.j .+1364", 0xab91, {.kind = UOP_JAL, .imm = 1364}},
    {"c.j .-1366", 0xb46d, {.kind = UOP_JAL, .imm = -1366}},
    {"c.beqz x8,.+254", 0xcc7d, {.kind = UOP_BEQ, .rs1 = 8, .imm = 254}},
    {"c.beqz x15,.-256", 0xd381, {.kind = UOP_BEQ, .rs1 = 15, .imm = -256}},
    {"c.bnez x10,.+170", 0xe54d, {.kind = UOP_BNE, .rs1 = 10, .imm = 170}},
    {"c.bnez x11,.-86", 0xf5cd, {.kind = UOP_BNE, .rs1 = 11, .imm = -86}},
    {"c.slli x31,63", 0x1ffe, {.kind = UOP_SLLI, .rd = 31, .rs1 = 31, .imm = 63}},
    {"c.slli x1,32", 0x1082, {.kind = UOP_SLLI, .rd = 1, .rs1 = 1, .imm = 32}},
    {"c.lwsp x1,252(x2)", 0x50fe, {.kind = UOP_LW, .rd = 1, .rs1 = 2, .imm = 252}},
    {"c.lwsp x31,128(x2)", 0x4f8a, {.kind = UOP_LW, .rd = 31, .rs1 = 2, .imm = 128}},
    {"c.ldsp x2,504(x2)", 0x717e, {.kind = UOP_LD, .rd = 2, .rs1 = 2, .imm = 504}},
    {"c.ldsp x17,168(x2)", 0x78aa, {.kind = UOP_LD, .rd = 17, .rs1 = 2, .imm = 168}},
    {"c.jr x1", 0x8082, {.kind = UOP_JALR, .rs1 = 1}},
    {"c.jalr x31", 0x9f82, {.kind = UOP_JALR, .rd = 1, .rs1 = 31}},
    {"c.mv x1,x31", 0x80fe, {.kind = UOP_ADD, .rd = 1, .rs2 = 31}},
    {"c.add x30,x3", 0x9f0e, {.kind = UOP_ADD, .rd = 30, .rs1 = 30, .rs2 = 3}},
    {"c.swsp x0,252(x2)", 0xdf82, {.kind = UOP_SW, .rs1 = 2, .imm = 252}},
    {"c.swsp x31,84(x2)", 0xcafe, {.kind = UOP_SW, .rs1 = 2, .rs2 = 31, .imm = 84}},
    {"c.sdsp x1,504(x2)", 0xff86, {.kind = UOP_SD, .rs1 = 2, .rs2 = 1, .imm = 504}},
    {"c.sdsp x21,336(x2)", 0xead6, {.kind = UOP_SD, .rs1 = 2, .rs2 = 21, .imm = 336}},
    {"csrrs x8,sie,x0", 0x10402473, {.kind = UOP_CSR_GET, .rd = 8, .imm = offsetof(struct soft_csrs, sie)}},
    {"csrrs x9,stvec,x0", 0x105024f3, {.kind = UOP_CSR_GET, .rd = 9, .imm = offsetof(struct soft_csrs, stvec)}},
    {"csrrs x10,sscratch,x0", 0x14002573, {.kind = UOP_CSR_GET, .rd = 10, .imm = offsetof(struct soft_csrs, sscratch)}},
    {"csrrs x11,sepc,x0", 0x141025f3, {.kind = UOP_CSR_GET, .rd = 11, .imm = offsetof(struct soft_csrs, sepc)}},
    {"csrrs x12,scause,x0", 0x14202673, {.kind = UOP_CSR_GET, .rd = 12, .imm = offsetof(struct soft_csrs, scause)}},
    {"csrrs x13,stval,x0", 0x143026f3, {.kind = UOP_CSR_GET, .rd = 13, .imm = offsetof(struct soft_csrs, stval)}},
    {"csrrs x14,satp,x0", 0x18002773, {.kind = UOP_CSR_GET, .rd = 14, .imm = offsetof(struct soft_csrs, satp)}},
    {"csrrw x0,sscratch,x3", 0x14019073, {.kind = UOP_CSR_PUT, .rs1 = 3, .imm = offsetof(struct soft_csrs, sscratch)}},
    {"csrrw x3,sscratch,x3", 0x140191f3, {.kind = UOP_CSR_EXCHANGE, .rd = 3, .rs1 = 3, .imm = offsetof(struct soft_csrs, sscratch)}},
    {"csrrw x0,sepc,x4", 0x14121073, {.kind = UOP_CSR_PUT, .rs1 = 4, .rs2 = 1, .imm = offsetof(struct soft_csrs, sepc)}},
    {"csrrw x4,sepc,x4", 0x14121273, {.kind = UOP_CSR_EXCHANGE, .rd = 4, .rs1 = 4, .rs2 = 1, .imm = offsetof(struct soft_csrs, sepc)}},
    {"csrrw x0,scause,x5", 0x14229073, {.kind = UOP_CSR_PUT, .rs1 = 5, .imm = offsetof(struct soft_csrs, scause)}},
    {"csrrw x5,scause,x5", 0x142292f3, {.kind = UOP_CSR_EXCHANGE, .rd = 5, .rs1 = 5, .imm = offsetof(struct soft_csrs, scause)}},
    {"csrrw x0,stval,x6", 0x14331073, {.kind = UOP_CSR_PUT, .rs1 = 6, .imm = offsetof(struct soft_csrs, stval)}},
    {"csrrw x6,stval,x6", 0x14331373, {.kind = UOP_CSR_EXCHANGE, .rd = 6, .rs1 = 6, .imm = offsetof(struct soft_csrs, stval)}},
    {"csrrw x0,sscratch,x0", 0x14001073, {.kind = UOP_CSR_PUT, .imm = offsetof(struct soft_csrs, sscratch)}},
    {"csrrs x0,sscratch,x0", 0x14002073, {.kind = UOP_CSR, .imm = (int32_t)0x14002073}},
    {"csrrs x5,sscratch,x6", 0x140322f3, {.kind = UOP_CSR, .rd = 5, .rs1 = 6, .imm = (int32_t)0x140322f3}},
    {"csrrc x5,sepc,x0", 0x141032f3, {.kind = UOP_CSR, .rd = 5, .imm = (int32_t)0x141032f3}},
    {"csrrwi x0,scause,3", 0x1421d073, {.kind = UOP_CSR, .rs1 = 3, .imm = (int32_t)0x1421d073}},
    {"csrrwi x9,stval,31", 0x143fd4f3, {.kind = UOP_CSR, .rd = 9, .rs1 = 31, .imm = (int32_t)0x143fd4f3}},
    {"csrrsi x8,sstatus,2", 0x10016473, {.kind = UOP_CSR, .rd = 8, .rs1 = 2, .imm = (int32_t)0x10016473}},
    {"csrrci x9,sstatus,2", 0x100174f3, {.kind = UOP_CSR, .rd = 9, .rs1 = 2, .imm = (int32_t)0x100174f3}},
    {"csrrw x0,satp,x10", 0x18051073, {.kind = UOP_CSR, .rs1 = 10, .imm = (int32_t)0x18051073}},
    {"csrrw x10,stvec,x11", 0x10559573, {.kind = UOP_CSR, .rd = 10, .rs1 = 11, .imm = (int32_t)0x10559573}},
    {"csrrw x0,sie,x12", 0x10461073, {.kind = UOP_CSR, .rs1 = 12, .imm = (int32_t)0x10461073}},
    {"csrrs x10,sstatus,x0", 0x10002573, {.kind = UOP_CSR, .rd = 10, .imm = (int32_t)0x10002573}},
    {"csrrs x10,sip,x0", 0x14402573, {.kind = UOP_CSR, .rd = 10, .imm = (int32_t)0x14402573}},
    {"csrrs x3,mstatus,x0", 0x300021f3, {.kind = UOP_CSR, .rd = 3, .imm = (int32_t)0x300021f3}},
    {"csrrs x3,hstatus,x0", 0x600021f3, {.kind = UOP_CSR, .rd = 3, .imm = (int32_t)0x600021f3}},
    {"csrrc x0,senvcfg,x4", 0x10a23073, {.kind = UOP_CSR, .rs1 = 4, .imm = (int32_t)0x10a23073}},
    {"csrrs x1,mhartid,x0", 0xf14020f3, {.kind = UOP_CSR, .rd = 1, .imm = (int32_t)0xf14020f3}},
    {"sret", 0x10200073, {.kind = UOP_SRET, .imm = (int32_t)0x10200073}},
    {"wfi", 0x10500073, {.kind = UOP_WFI, .imm = (int32_t)0x10500073}},
    {"sfence.vma x0,x0", 0x12000073, {.kind = UOP_SFENCE_VMA, .imm = (int32_t)0x12000073}},
    {"sfence.vma x7,x31", 0x13f38073, {.kind = UOP_SFENCE_VMA, .rs1 = 7, .rs2 = 31, .imm = (int32_t)0x13f38073}},
    {"sinval.vma x6,x9", 0x16930073, {.kind = UOP_SFENCE_VMA, .rs1 = 6, .rs2 = 9, .imm = (int32_t)0x16930073}},
    {"sfence.w.inval", 0x18000073, {.kind = UOP_SFENCE_ORDER, .imm = (int32_t)0x18000073}},
    {"sfence.inval.ir", 0x18100073, {.kind = UOP_SFENCE_ORDER, .imm = (int32_t)0x18100073}},
    {"mul x0,x1,x2", 0x02208033, {.kind = UOP_NOP}},
};

/* The hart's. */
static const struct {
	const char *text;
	uint32_t bits;
} left_alone[] = {
    {"ecall", 0x00000073},
    {"ebreak", 0x00100073},
    {"c.ebreak", 0x9002},
    {"fence.i", 0x0000100f},
    {"mret", 0x30200073},
    {"mulh x1,x2,x3", 0x023110b3},
    {"mulw x1,x2,x3", 0x023100bb},
    {"div x1,x2,x3", 0x023140b3},
    {"remw x1,x2,x3", 0x023160bb},
    {"lr.d x1,(x2)", 0x100130af},
    {"sc.w x1,x2,(x3)", 0x1821a0af},
    {"amoadd.d x1,x2,(x3)", 0x0021b0af},
    {"fld f1,8(x2)", 0x00813087},
    {"fsd f1,8(x2)", 0x00113427},
    {"fadd.d f1,f2,f3", 0x023170d3},
    {"c.fld f8,8(x9)", 0x2480},
    {"c.fsdsp f8,8(x2)", 0xa422},
    {"c.fldsp f8,8(x2)", 0x2422},
    {"c.fsd f8,8(x9)", 0xa480},
    {"lw x0,0(x1)", 0x0000a003},
    {"ld x0,8(x1)", 0x0080b003},
    {"csrrs x1,fflags,x0", 0x001020f3},
    {"csrrs x1,cycle,x0", 0xc00020f3},
    {"csrrs x1,time,x0", 0xc01020f3},
    {"csrrw x1,fcsr,x2", 0x003110f3},
    {"csrrs x1,0x15,x0", 0x015020f3},
    {"sh1add x1,x2,x3", 0x203120b3},
    {"andn x1,x2,x3", 0x403170b3},
    {"rori x1,x2,3", 0x60315093},
    {"clz x1,x2", 0x60011093},
    {"zext.h x1,x2", 0x080140bb},
    {"add.uw x1,x2,x3", 0x083100bb},
    {"hfence.vvma x1,x2", 0x22208073},
    {"hfence.gvma x1,x2", 0x62208073},
    {"hinval.vvma x1,x2", 0x26208073},
    {"hlv.w x1,(x2)", 0x680140f3},
    {"cbo.zero (x1)", 0x0040a00f},
    {"cbo.inval (x1)", 0x0000a00f},
    {"vsetvli x1,x2,e8,m1", 0x000170d7},
    {"wrs.nto", 0x00d00073},
    {"mop.r.0", 0x81c04073},
    {"sfence.vma with rd", 0x120000f3},
    {"hypervisor loads' space", 0x12004073},
    {"sret with rd", 0x10200173},
    {"sret with rs1", 0x10208073},
    {"sfence.w.inval with rs2 2", 0x18200073},
    {"slliw by 32", 0x0200101b},
    {"slliw, funct7 0x20", 0x4000101b},
    {"slli, funct6 0x10", 0x40001013},
    {"srl, funct7 0x11", 0x22005033},
    {"slt, funct7 0x20", 0x40002033},
    {"xor, funct7 0x20", 0x40004033},
    {"op-32, funct3 2", 0x0000203b},
    {"op-imm-32, funct3 2", 0x0000201b},
    {"branch, funct3 2", 0x00002063},
    {"branch, funct3 3", 0x00003063},
    {"load, funct3 7", 0x00007083},
    {"store, funct3 4", 0x00004023},
    {"jalr, funct3 1", 0x000010e7},
    {"misc-mem, funct3 2", 0x0000200f},
    {"all ones", 0xffffffff},
    {"custom-0", 0x0000000b},
    {"longer than 32 bits", 0x0000001f},
    {"defined illegal", 0x0000},
    {"c.addi4spn of 0", 0x0004},
    {"c.addiw x0", 0x2001},
    {"c.addi16sp of 0", 0x6101},
    {"c.lui of 0", 0x6281},
    {"c.mop.1", 0x6081},
    {"c.lwsp x0", 0x4002},
    {"c.ldsp x0", 0x6002},
    {"c.jr x0", 0x8002},
    {"c.mul", 0x9c41},
    {"c.zext.b", 0x9c61},
    {"c.not", 0x9c75},
    {"c.lbu", 0x8000},
    {"c.sh", 0x8c00},
};
/* clang-format on */

static unsigned length_of(uint32_t bits)
{
	return (bits & 3) == 3 ? 4 : 2;
}

static bool same_uop(const struct uop *a, const struct uop *b)
{
	return a->kind == b->kind && a->rd == b->rd && a->rs1 == b->rs1 && a->rs2 == b->rs2 &&
	       a->length == b->length && a->offset == b->offset && a->imm == b->imm;
}

static void decodes_what_the_assembler_makes(void **state)
{
	struct uop uop;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(assembled); i++) {
		struct uop expected = assembled[i].uop;

		uop_decode(assembled[i].bits, &uop);
		expected.length = (uint8_t)length_of(assembled[i].bits);
		/* Operands of what does nothing are not looked at. */
		if (uop.kind == UOP_NOP || uop.kind == UOP_FENCE)
			uop = (struct uop){.kind = uop.kind, .length = uop.length};
		if (!same_uop(&uop, &expected))
			fail_msg("%s: kind %u, rd %u, rs1 %u, rs2 %u, imm %d", assembled[i].text,
				 uop.kind, uop.rd, uop.rs1, uop.rs2, uop.imm);
	}
}

static void leaves_all_others_alone(void **state)
{
	struct uop uop;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(left_alone); i++) {
		uop_decode(left_alone[i].bits, &uop);
		if (uop.kind != UOP_NONE || uop.length != length_of(left_alone[i].bits))
			fail_msg("%s: kind %u", left_alone[i].text, uop.kind);
	}
}

/* What follows a compressed instruction in memory is none of its business. */
static void ignores_what_follows(void **state)
{
	struct uop plain, followed;

	(void)state;
	for (uint32_t bits = 0; bits < 0x10000; bits++) {
		if ((bits & 3) == 3)
			continue;
		uop_decode(bits, &plain);
		uop_decode(bits | 0xa5a50000, &followed);
		assert_true(same_uop(&plain, &followed));
	}
}

static void compressed_are_their_expansions(void **state)
{
	unsigned known = 0;

	(void)state;
	for (uint32_t bits = 0; bits < 0x10000; bits++) {
		uint32_t expansion = ref_expand((uint16_t)bits);
		struct uop compressed, full;

		if ((bits & 3) == 3)
			continue;
		uop_decode(bits, &compressed);
		assert_int_equal(compressed.length, 2);
		if (expansion == 0) {
			assert_int_equal(compressed.kind, UOP_NONE);
			continue;
		}
		uop_decode(expansion, &full);
		assert_int_equal(full.length, 4);
		full.length = 2;
		assert_true(same_uop(&compressed, &full));
		known += compressed.kind != UOP_NONE;
	}
	assert_true(known > 30000);
}

/* Every instruction of these opcodes is either known to both or to none. */
static void knows_what_the_reference_knows(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < 500000; i++) {
		static const uint8_t opcodes[] = {0x03, 0x0f, 0x13, 0x17, 0x1b, 0x23, 0x33,
						  0x37, 0x3b, 0x63, 0x67, 0x6f, 0x73, 0x2f};
		struct machine machine = {0};
		struct uop uop;

		seed = ref_mix(seed, i);

		uint32_t bits = (uint32_t)(seed >> 32 & ~UINT64_C(0x7f));
		uint64_t next = 4;

		/* Function codes that mean something are few. */
		if (seed & 1)
			bits &= ~0xbe000000U;
		bits |= opcodes[(seed >> 8) % ARRAY_SIZE(opcodes)];
		uop_decode(bits, &uop);

		bool known = ref_execute(&machine, bits, &next) != UNKNOWN;

		if (known != (uop.kind != UOP_NONE))
			fail_msg("%08x: kind %u", bits, uop.kind);
	}
}

static void names_the_privileged_ones(void **state)
{
	struct uop uop;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(assembled); i++) {
		uint32_t bits = assembled[i].bits;
		bool system = (bits & 0x7f) == 0x73 && (bits & 3) == 3;

		uop_decode(bits, &uop);
		assert_int_equal(uop_is_privileged(&uop), system);
	}
}

/* What is at the end of the address space: a CSR instruction, and the access in its place. */
static const struct {
	const char *text;
	uint32_t bits, access;
} accesses[] = {
    {"csrr a0,sscratch: ld a0,-32(x0)", 0x14002573, 0xfe003503},
    {"csrr t6,stval: ld t6,-8(x0)", 0x14302ff3, 0xff803f83},
    {"csrr s1,sepc: ld s1,-24(x0)", 0x141024f3, 0xfe803483},
    {"csrr a5,scause: ld a5,-16(x0)", 0x142027f3, 0xff003783},
    {"csrr ra,sscratch: ld ra,-32(x0)", 0x140020f3, 0xfe003083},
    {"csrw stval,t0: sd t0,-8(x0)", 0x14329073, 0xfe503c23},
    {"csrw sscratch,x0: sd x0,-32(x0)", 0x14001073, 0xfe003023},
    {"csrw sepc,s11: sd s11,-24(x0)", 0x141d9073, 0xffb03423},
    {"csrw scause,a1: sd a1,-16(x0)", 0x14259073, 0xfeb03823},
    {"csrw sscratch,t6: sd t6,-32(x0)", 0x140f9073, 0xfff03023},
};

static void finds_the_access_for_a_csr(void **state)
{
	struct uop uop;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
		uop_decode(accesses[i].bits, &uop);
		if (!uop_has_access(&uop))
			fail_msg("%s: there is none", accesses[i].text);
		if (uop_access(&uop) != accesses[i].access)
			fail_msg("%s: %08x", accesses[i].text, uop_access(&uop));
	}
}

static bool is_csr_with_access(uint32_t number)
{
	return number == CSR_SSCRATCH || number == CSR_SEPC || number == CSR_SCAUSE ||
	       number == CSR_STVAL;
}

/* Each form of each CSR: csrr and csrw of those four alone have one, and no other instruction. */
static void has_no_other_access(void **state)
{
	struct uop uop;

	(void)state;
	for (uint32_t number = 0; number < 0x1000; number++)
		for (uint32_t form = 0; form < 8 * 4; form++) {
			uint32_t funct3 = form & 7;
			uint32_t rd = form & 8 ? 10 : 0, rs1 = form & 16 ? 11 : 0;
			bool csrr = funct3 == 2 && rd && !rs1, csrw = funct3 == 1 && !rd;

			uop_decode(number << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x73, &uop);
			if (uop_has_access(&uop) != ((csrr || csrw) && is_csr_with_access(number)))
				fail_msg("CSR %03x, funct3 %u, rd %u, rs1 %u", number, funct3, rd,
					 rs1);
		}
	for (size_t i = 0; i < ARRAY_SIZE(assembled); i++) {
		uop_decode(assembled[i].bits, &uop);
		if ((assembled[i].bits & 0x7f) != 0x73)
			assert_false(uop_has_access(&uop));
	}
	for (size_t i = 0; i < ARRAY_SIZE(left_alone); i++) {
		uop_decode(left_alone[i].bits, &uop);
		assert_false(uop_has_access(&uop));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(decodes_what_the_assembler_makes),
	    cmocka_unit_test(leaves_all_others_alone),
	    cmocka_unit_test(ignores_what_follows),
	    cmocka_unit_test(compressed_are_their_expansions),
	    cmocka_unit_test(knows_what_the_reference_knows),
	    cmocka_unit_test(names_the_privileged_ones),
	    cmocka_unit_test(finds_the_access_for_a_csr),
	    cmocka_unit_test(has_no_other_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
