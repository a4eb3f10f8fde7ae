/* SPDX-License-Identifier: MIT */
#ifndef RISCV_MACHINE_H
#define RISCV_MACHINE_H

/*
 * Machine-level control and status registers, beside those of riscv/csr.h. Section numbers are of
 * the RISC-V Privileged Architecture, version 1.13. Usable from assembly.
 */

#include "riscv/csr.h"

#define CSR_MSTATUS       0x300
#define CSR_MISA          0x301
#define CSR_MEDELEG       0x302
#define CSR_MIDELEG       0x303
#define CSR_MIE           0x304
#define CSR_MTVEC         0x305
#define CSR_MCOUNTEREN    0x306
#define CSR_MENVCFG       0x30a
#define CSR_MSTATEEN0     0x30c
#define CSR_MCOUNTINHIBIT 0x320
#define CSR_MHPMEVENT3    0x323
#define CSR_MSCRATCH      0x340
#define CSR_MEPC          0x341
#define CSR_MCAUSE        0x342
#define CSR_MTVAL         0x343
#define CSR_MIP           0x344
#define CSR_MTINST        0x34a
#define CSR_MTVAL2        0x34b
#define CSR_MISELECT      0x350
#define CSR_MIREG         0x351
#define CSR_MTOPEI        0x35c
#define CSR_PMPCFG0       0x3a0
#define CSR_PMPADDR0      0x3b0
#define CSR_PMPADDR1      0x3b1
#define CSR_MNSTATUS      0x744
#define CSR_MSECCFG       0x747
#define CSR_MCYCLE        0xb00
#define CSR_MINSTRET      0xb02
#define CSR_MHPMCOUNTER3  0xb03
#define CSR_MVENDORID     0xf11
#define CSR_MARCHID       0xf12
#define CSR_MIMPID        0xf13
#define CSR_MHARTID       0xf14

/* mstatus (3.1.6) */
#define MSTATUS_MIE       (1 << 3)
#define MSTATUS_MPP_SHIFT 11
#define MSTATUS_MPP       (3 << 11)
#define MSTATUS_MPP_S     (1 << 11)
#define MSTATUS_FS_FIRST  (1 << 13)
#define MSTATUS_VS_FIRST  (1 << 9)
#define MSTATUS_MPRV      (1 << 17)
#define MSTATUS_MDT_SHIFT 42

/* Interrupts: numbers in mcause, bits in mip, mie. */
#define IRQ_M_SOFT  3
#define IRQ_M_TIMER 7
#define IRQ_M_EXT   11

#define EXC_DOUBLE_TRAP 16

/* pmpcfg (3.7.1) */
#define PMP_R     0x01
#define PMP_W     0x02
#define PMP_X     0x04
#define PMP_NAPOT 0x18

/* mseccfg (Zkr): S-mode may read `seed`. */
#define MSECCFG_SSEED (1 << 9)
/* mnstatus (Smrnmi) */
#define MNSTATUS_NMIE (1 << 3)

/* IMSIC registers, through miselect and mireg (AIA 3.8). */
#define IMSIC_EIDELIVERY  0x70
#define IMSIC_EITHRESHOLD 0x72
#define IMSIC_EIE0        0xc0

#ifndef __ASSEMBLER__

#define MSTATUS_GVA BIT(38)
#define MSTATUS_MPV BIT(39)

#endif
#endif
