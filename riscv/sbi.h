/* SPDX-License-Identifier: MIT */
#ifndef RISCV_SBI_H
#define RISCV_SBI_H

/*
 * The Supervisor Binary Interface, version 2.0: extension and function numbers and errors.
 * Used by the hypervisor as a caller (of the firmware), and by what it offers to guests.
 */

#define SBI_VERSION_2_0 0x02000000

#define SBI_EXT_SET_TIMER              0x00
#define SBI_EXT_CONSOLE_PUTCHAR        0x01
#define SBI_EXT_CONSOLE_GETCHAR        0x02
#define SBI_EXT_CLEAR_IPI              0x03
#define SBI_EXT_SEND_IPI               0x04
#define SBI_EXT_REMOTE_FENCE_I         0x05
#define SBI_EXT_REMOTE_SFENCE_VMA      0x06
#define SBI_EXT_REMOTE_SFENCE_VMA_ASID 0x07
#define SBI_EXT_SHUTDOWN               0x08

#define SBI_EXT_BASE   0x10
#define SBI_EXT_TIME   0x54494d45
#define SBI_EXT_IPI    0x735049
#define SBI_EXT_RFENCE 0x52464e43
#define SBI_EXT_HSM    0x48534d
#define SBI_EXT_SRST   0x53525354
#define SBI_EXT_PMU    0x504d55
#define SBI_EXT_DBCN   0x4442434e

#define SBI_BASE_GET_SPEC_VERSION 0
#define SBI_BASE_GET_IMPL_ID      1
#define SBI_BASE_GET_IMPL_VERSION 2
#define SBI_BASE_PROBE_EXTENSION  3
#define SBI_BASE_GET_MVENDORID    4
#define SBI_BASE_GET_MARCHID      5
#define SBI_BASE_GET_MIMPID       6

#define SBI_TIME_SET_TIMER 0
#define SBI_IPI_SEND_IPI   0

#define SBI_RFENCE_FENCE_I          0
#define SBI_RFENCE_SFENCE_VMA       1
#define SBI_RFENCE_SFENCE_VMA_ASID  2
#define SBI_RFENCE_HFENCE_GVMA_VMID 3
#define SBI_RFENCE_HFENCE_GVMA      4
#define SBI_RFENCE_HFENCE_VVMA_ASID 5
#define SBI_RFENCE_HFENCE_VVMA      6

#define SBI_HSM_HART_START      0
#define SBI_HSM_HART_STOP       1
#define SBI_HSM_HART_GET_STATUS 2
#define SBI_HSM_HART_SUSPEND    3

#define SBI_HSM_STARTED         0
#define SBI_HSM_STOPPED         1
#define SBI_HSM_START_PENDING   2
#define SBI_HSM_STOP_PENDING    3
#define SBI_HSM_SUSPENDED       4
#define SBI_HSM_SUSPEND_PENDING 5
#define SBI_HSM_RESUME_PENDING  6

#define SBI_HSM_SUSPEND_RETENTIVE     0x00000000
#define SBI_HSM_SUSPEND_NON_RETENTIVE 0x80000000

#define SBI_SRST_RESET          0
#define SBI_SRST_SHUTDOWN       0
#define SBI_SRST_COLD_REBOOT    1
#define SBI_SRST_WARM_REBOOT    2
#define SBI_SRST_REASON_NONE    0
#define SBI_SRST_REASON_FAILURE 1

#define SBI_DBCN_WRITE      0
#define SBI_DBCN_READ       1
#define SBI_DBCN_WRITE_BYTE 2

/* Performance monitoring (SBI 2.0, chapter 11). */
#define SBI_PMU_NUM_COUNTERS    0
#define SBI_PMU_GET_INFO        1
#define SBI_PMU_CONFIG_MATCHING 2
#define SBI_PMU_START           3
#define SBI_PMU_STOP            4
#define SBI_PMU_FW_READ         5
#define SBI_PMU_FW_READ_HI      6

/* Pilae's own firmware: "Pilf", none of the registered ids; and the calls for that implementation
 * alone (SBI 2.0, 18). */
#define FW_IMPLEMENTATION_ID      0x50696c66
#define FW_IMPLEMENTATION_VERSION 0x00010000
#define FW_EXT_PILAE              0x0a696c66
#define FW_PILAE_DELEGATE_ILLEGAL 0

#define SBI_SUCCESS               0
#define SBI_ERR_FAILED            -1
#define SBI_ERR_NOT_SUPPORTED     -2
#define SBI_ERR_INVALID_PARAM     -3
#define SBI_ERR_DENIED            -4
#define SBI_ERR_INVALID_ADDRESS   -5
#define SBI_ERR_ALREADY_AVAILABLE -6
#define SBI_ERR_ALREADY_STARTED   -7
#define SBI_ERR_ALREADY_STOPPED   -8
#define SBI_ERR_NO_SHMEM          -9

#ifndef __ASSEMBLER__

#include "kernel/types.h"

struct sbi_ret {
	int64_t error;
	uint64_t value;
};

#ifdef __riscv

/* One call to the supervisor execution environment below. */
static inline struct sbi_ret sbi_call(uint64_t extension, uint64_t function, uint64_t arg0,
				      uint64_t arg1, uint64_t arg2, uint64_t arg3, uint64_t arg4)
{
	register uint64_t a0 __asm__("a0") = arg0;
	register uint64_t a1 __asm__("a1") = arg1;
	register uint64_t a2 __asm__("a2") = arg2;
	register uint64_t a3 __asm__("a3") = arg3;
	register uint64_t a4 __asm__("a4") = arg4;
	register uint64_t a6 __asm__("a6") = function;
	register uint64_t a7 __asm__("a7") = extension;

	__asm__ volatile("ecall"
			 : "+r"(a0), "+r"(a1)
			 : "r"(a2), "r"(a3), "r"(a4), "r"(a6), "r"(a7)
			 : "memory");
	return (struct sbi_ret){(int64_t)a0, a1};
}

#else

struct sbi_ret sbi_call(uint64_t extension, uint64_t function, uint64_t arg0, uint64_t arg1,
			uint64_t arg2, uint64_t arg3, uint64_t arg4);

#endif /* __riscv */
#endif /* __ASSEMBLER__ */
#endif
