/* SPDX-License-Identifier: MIT */
#ifndef FIRMWARE_LAYOUT_H
#define FIRMWARE_LAYOUT_H

/* What assembly and C have to agree on. firmware/hart.c checks it against struct fw_hart. */

#define FW_BASE      0x80000000
#define FW_SIZE      0x40000 /* a power of two, and aligned so: one entry of the PMP */
#define FW_HARTS_MAX 64

#define FW_STACK_SIZE      1536
#define FW_BOOT_STACK_SIZE 8192

#define FW_X(n)      (8 * (n))
#define FW_MEPC      256
#define FW_MSTATUS   264
#define FW_STACK     272
#define FW_BIT       280
#define FW_MTIMECMP  288
#define FW_MSIP      296
#define FW_IPI       304
#define FW_FENCES    312
#define FW_RESUME    320
#define FW_T0        328
#define FW_CAUSE     336
#define FW_TVAL      344
#define FW_TVAL2     352
#define FW_TINST     360
#define FW_STATUS    368
#define FW_HAS_H     376
#define FW_HART_SIZE 512

#endif
