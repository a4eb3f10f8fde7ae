/* SPDX-License-Identifier: MIT */
#ifndef FIRMWARE_FENCES_H
#define FIRMWARE_FENCES_H

/*
 * Instructions that order things, beside those of riscv/tlb.h, and the one that waits. On the host
 * the test has them.
 */

#include "kernel/types.h"

#ifdef __riscv

/* HFENCE.VVMA and HFENCE.GVMA, by their funct7, as the assembler need not know them. */
#define HFENCE_VVMA "0x11"
#define HFENCE_GVMA "0x31"

#define hfence(funct7, rs1, rs2)                                                        \
	__asm__ volatile(".insn r 0x73, 0, " funct7 ", x0, %0, %1" ::"r"(rs1), "r"(rs2) \
			 : "memor"                                                      \
			   "y")
#define hfence_address(funct7, rs1) \
	__asm__ volatile(".insn r 0x73, 0, " funct7 ", x0, %0, x0" ::"r"(rs1) : "memory")
#define hfence_id(funct7, rs2) \
	__asm__ volatile(".insn r 0x73, 0, " funct7 ", x0, x0, %0" ::"r"(rs2) : "memory")
#define hfence_all(funct7) __asm__ volatile(".insn r 0x73, 0, " funct7 ", x0, x0, x0" ::: "memory")

#define fence_i()                    __asm__ volatile("fence.i" ::: "memory")
#define fence_memory_before_output() __asm__ volatile("fence rw, ow" ::: "memory")
#define fence_output_before_memory() __asm__ volatile("fence ow, rw" ::: "memory")
#define wfi()                        __asm__ volatile("wfi" ::: "memory")

#else

enum { HFENCE_VVMA = 0x11, HFENCE_GVMA = 0x31 };

void hfence(unsigned funct7, uint64_t address, uint64_t id);
void hfence_address(unsigned funct7, uint64_t address);
void hfence_id(unsigned funct7, uint64_t id);
void hfence_all(unsigned funct7);
void fence_i(void);
void fence_memory_before_output(void);
void fence_output_before_memory(void);
void wfi(void);

#endif
#endif
