/* SPDX-License-Identifier: MIT */
#ifndef RISCV_CSR_H
#define RISCV_CSR_H

/*
 * Control and status registers: numbers, fields and accessors. Section numbers are of the
 * RISC-V Privileged Architecture, version 1.13. Usable from assembly.
 */

/* Unprivileged counters. */
#define CSR_CYCLE     0xc00
#define CSR_TIME      0xc01
#define CSR_INSTRET   0xc02
#define CSR_SCOUNTOVF 0xda0

/* Floating point and vector state. */
#define CSR_FCSR   0x003
#define CSR_JVT    0x017
#define CSR_VSTART 0x008
#define CSR_VXSAT  0x009
#define CSR_VXRM   0x00a
#define CSR_VCSR   0x00f
#define CSR_VL     0xc20
#define CSR_VTYPE  0xc21
#define CSR_VLENB  0xc22

/* Supervisor level. */
#define CSR_SSTATUS    0x100
#define CSR_SIE        0x104
#define CSR_STVEC      0x105
#define CSR_SCOUNTEREN 0x106
#define CSR_SENVCFG    0x10a
#define CSR_SSTATEEN0  0x10c
#define CSR_SSCRATCH   0x140
#define CSR_SEPC       0x141
#define CSR_SCAUSE     0x142
#define CSR_STVAL      0x143
#define CSR_SIP        0x144
#define CSR_STIMECMP   0x14d
#define CSR_SATP       0x180

/* Hypervisor level. */
#define CSR_HSTATUS    0x600
#define CSR_HEDELEG    0x602
#define CSR_HIDELEG    0x603
#define CSR_HIE        0x604
#define CSR_HTIMEDELTA 0x605
#define CSR_HCOUNTEREN 0x606
#define CSR_HGEIE      0x607
#define CSR_HENVCFG    0x60a
#define CSR_HSTATEEN0  0x60c
#define CSR_HSTATEEN1  0x60d
#define CSR_HSTATEEN2  0x60e
#define CSR_HSTATEEN3  0x60f
#define CSR_HTVAL      0x643
#define CSR_HIP        0x644
#define CSR_HVIP       0x645
#define CSR_HTINST     0x64a
#define CSR_HGATP      0x680
#define CSR_HGEIP      0xe12

/* Virtual supervisor level. */
#define CSR_VSSTATUS  0x200
#define CSR_VSIE      0x204
#define CSR_VSTVEC    0x205
#define CSR_VSSCRATCH 0x240
#define CSR_VSEPC     0x241
#define CSR_VSCAUSE   0x242
#define CSR_VSTVAL    0x243
#define CSR_VSIP      0x244
#define CSR_VSTIMECMP 0x24d
#define CSR_VSISELECT 0x250
#define CSR_VSATP     0x280

/* sstatus, vsstatus (10.1.1) */
#define SSTATUS_SIE      (1 << 1)
#define SSTATUS_SPIE     (1 << 5)
#define SSTATUS_UBE      (1 << 6)
#define SSTATUS_SPP      (1 << 8)
#define SSTATUS_VS_SHIFT 9
#define SSTATUS_VS       (3 << 9)
#define SSTATUS_FS_SHIFT 13
#define SSTATUS_FS       (3 << 13)
#define SSTATUS_XS       (3 << 15)
#define SSTATUS_SUM      (1 << 18)
#define SSTATUS_MXR      (1 << 19)
#define SSTATUS_UXL_64   (2 << 32)

/* The states of FS and VS. */
#define XS_OFF     0
#define XS_INITIAL 1
#define XS_CLEAN   2
#define XS_DIRTY   3

/* hstatus (18.2.1) */
#define HSTATUS_VSBE    (1 << 5)
#define HSTATUS_GVA     (1 << 6)
#define HSTATUS_SPV     (1 << 7)
#define HSTATUS_SPVP    (1 << 8)
#define HSTATUS_HU      (1 << 9)
#define HSTATUS_VTVM    (1 << 20)
#define HSTATUS_VTW     (1 << 21)
#define HSTATUS_VTSR    (1 << 22)
#define HSTATUS_VSXL_64 (2 << 32)

/* Interrupts: numbers in scause, bits in sip, sie, hip, hie, hvip. */
#define IRQ_S_SOFT   1
#define IRQ_VS_SOFT  2
#define IRQ_S_TIMER  5
#define IRQ_VS_TIMER 6
#define IRQ_S_EXT    9
#define IRQ_VS_EXT   10
#define IRQ_S_GEXT   12
#define IRQ_LCOF     13

/* Exceptions (10.1.8, table 18.7) */
#define EXC_INSN_MISALIGNED  0
#define EXC_INSN_ACCESS      1
#define EXC_ILLEGAL_INSN     2
#define EXC_BREAKPOINT       3
#define EXC_LOAD_MISALIGNED  4
#define EXC_LOAD_ACCESS      5
#define EXC_STORE_MISALIGNED 6
#define EXC_STORE_ACCESS     7
#define EXC_ECALL_U          8
#define EXC_ECALL_S          9
#define EXC_ECALL_VS         10
#define EXC_ECALL_M          11
#define EXC_INSN_PAGE        12
#define EXC_LOAD_PAGE        13
#define EXC_STORE_PAGE       15
#define EXC_SOFTWARE_CHECK   18
#define EXC_HARDWARE_ERROR   19
#define EXC_INSN_GUEST_PAGE  20
#define EXC_LOAD_GUEST_PAGE  21
#define EXC_VIRTUAL_INSN     22
#define EXC_STORE_GUEST_PAGE 23

/* satp, vsatp, hgatp (10.1.11, 18.2.10) */
#define ATP_MODE_SHIFT   60
#define ATP_MODE_BARE    0
#define ATP_MODE_SV39    8
#define ATP_MODE_SV48    9
#define ATP_MODE_SV57    10
#define SATP_ASID_SHIFT  44
#define SATP_ASID_MAX    0xffff
#define SATP_ASID(satp)  ((satp) >> SATP_ASID_SHIFT & SATP_ASID_MAX)
#define HGATP_VMID_SHIFT 44
#define HGATP_VMID_MAX   0x3fff

/* henvcfg, senvcfg (10.1.10, 18.2.5) */
#define ENVCFG_FIOM  (1 << 0)
#define ENVCFG_CBIE  (3 << 4)
#define ENVCFG_CBCFE (1 << 6)
#define ENVCFG_CBZE  (1 << 7)
#define ENVCFG_ADUE  (1 << 61)
#define ENVCFG_PBMTE (1 << 62)
#define ENVCFG_STCE  (1 << 63)

/* hstateen0 (Smstateen) */
#define STATEEN0_C      (1 << 0)
#define STATEEN0_FCSR   (1 << 1)
#define STATEEN0_JVT    (1 << 2)
#define STATEEN0_ENVCFG (1 << 62)
#define STATEEN0_SE0    (1 << 63)

/* scounteren, hcounteren (10.1.5) */
#define COUNTEREN_CY (1 << 0)
#define COUNTEREN_TM (1 << 1)
#define COUNTEREN_IR (1 << 2)

#ifndef __ASSEMBLER__

#include "kernel/types.h"

/* The same fields as 64-bit values, where a plain shift of 1 would not do in C. */
#undef SSTATUS_UXL_64
#undef HSTATUS_VSXL_64
#undef ENVCFG_ADUE
#undef ENVCFG_PBMTE
#undef ENVCFG_STCE
#undef STATEEN0_ENVCFG
#undef STATEEN0_SE0
#define SSTATUS_UXL_64  (UINT64_C(2) << 32)
#define SSTATUS_SD      BIT(63)
#define HSTATUS_VSXL_64 (UINT64_C(2) << 32)
#define ENVCFG_ADUE     BIT(61)
#define ENVCFG_PBMTE    BIT(62)
#define ENVCFG_STCE     BIT(63)
#define STATEEN0_ENVCFG BIT(62)
#define STATEEN0_SE0    BIT(63)

#define SCAUSE_INTERRUPT BIT(63)

#ifdef __riscv

#define CSR_STRING_(x) #x
#define CSR_STRING(x)  CSR_STRING_(x)

/* `csr` is one of the CSR_ numbers above. The accesses are ordered with memory accesses. */
#define csr_read(csr)                                                                       \
	({                                                                                  \
		uint64_t csr_value_;                                                        \
		__asm__ volatile("csrr %0, " CSR_STRING(csr) : "=r"(csr_value_)::"memory"); \
		csr_value_;                                                                 \
	})

#define csr_write(csr, value)                                                                   \
	({                                                                                      \
		uint64_t csr_value_ = (uint64_t)(value);                                        \
		__asm__ volatile("csrw " CSR_STRING(csr) ", %0" ::"rK"(csr_value_) : "memory"); \
	})

#define csr_set(csr, bits)                                                                      \
	({                                                                                      \
		uint64_t csr_value_ = (uint64_t)(bits);                                         \
		__asm__ volatile("csrs " CSR_STRING(csr) ", %0" ::"rK"(csr_value_) : "memory"); \
	})

#define csr_clear(csr, bits)                                                                    \
	({                                                                                      \
		uint64_t csr_value_ = (uint64_t)(bits);                                         \
		__asm__ volatile("csrc " CSR_STRING(csr) ", %0" ::"rK"(csr_value_) : "memory"); \
	})

#define csr_swap(csr, value)                                         \
	({                                                           \
		uint64_t csr_value_ = (uint64_t)(value);             \
		__asm__ volatile("csrrw %0, " CSR_STRING(csr) ", %0" \
				 : "+r"(csr_value_)::"memory");      \
		csr_value_;                                          \
	})

#else

/* Elsewhere, whoever tests the code brings the registers along. */
uint64_t csr_read(unsigned csr);
void csr_write(unsigned csr, uint64_t value);
void csr_set(unsigned csr, uint64_t bits);
void csr_clear(unsigned csr, uint64_t bits);
uint64_t csr_swap(unsigned csr, uint64_t value);

#endif /* __riscv */
#endif /* __ASSEMBLER__ */
#endif
