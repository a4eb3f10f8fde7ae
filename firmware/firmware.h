/* SPDX-License-Identifier: MIT */
#ifndef FIRMWARE_FIRMWARE_H
#define FIRMWARE_FIRMWARE_H

/* What the firmware's parts offer one another. All of it runs with interrupts off. */

#include "firmware/hart.h"
#include "riscv/sbi.h"

/* main.c */

/* What a loader says of the next stage, at a2: OpenSBI's fw_dynamic, as QEMU and U-Boot know it. */
struct fw_dynamic_info {
	uint64_t magic, version, next_address, next_mode, options, boot_hart;
};

/* From assembly: the hart that boots, the others, and a trap that nobody expected. */
void firmware_boot(uint64_t id, void *fdt, const struct fw_dynamic_info *info);
void firmware_join(void);
void firmware_fault(struct fw_hart *hart);

/* Says why this machine cannot be booted and ends it as failed. */
void firmware_refuse(const char *why) __noreturn;

/* ipi.c */

/* The harts of an SBI mask. SBI_ERR_INVALID_PARAM: at least one of them is not there. */
int64_t harts_select(uint64_t mask, uint64_t base, uint64_t *set);

void ipi_send(uint64_t set);

/* hart->fence, this hart's, on all harts of the set; returns when all have done it. */
int64_t rfence_call(struct fw_hart *hart, uint64_t set);

/* Ends all that S-mode does on any hart, this one too. */
void harts_halt(struct fw_hart *hart) __noreturn;

/* Makes a hart look at what it is asked for. */
void hart_kick(struct fw_hart *hart);

/* Does what machine-level interrupts ask for; with none it does nothing. */
void interrupts_serve(struct fw_hart *hart);

/* hsm.c, srst.c, dbcn.c, pmu.c: the calls of an extension. */
struct sbi_ret hsm_call(struct fw_hart *hart);
struct sbi_ret srst_call(struct fw_hart *hart);
struct sbi_ret dbcn_call(struct fw_hart *hart);
struct sbi_ret pmu_call(struct fw_hart *hart);
void pmu_init(struct fw_hart *hart);

/* All counters stand still, but for cycle and instret, and are nobody's. */
void pmu_reset(struct fw_hart *hart);

/* Ends or restarts the machine. SBI_ERR_NOT_SUPPORTED: it cannot. */
int64_t machine_reset(uint32_t type, uint32_t reason);

/* sbi.c: legacy calls are there too. From assembly. */
void sbi_handle(struct fw_hart *hart);

/* trap.c */

/* From assembly: all traps but calls. */
void trap_handle(struct fw_hart *hart);

/* Hands a trap to the S-mode (or VS-mode) that would have got it, had it been delegated. */
void trap_redirect(struct fw_hart *hart, const struct trap *trap);

/* access.c: memory as the hart's S- or U-mode sees it now. false: *trap is what it would get. */
bool access_load(struct fw_hart *hart, uint64_t address, uint8_t *byte, struct trap *trap);
bool access_store(struct fw_hart *hart, uint64_t address, uint8_t byte, struct trap *trap);
bool access_fetch(struct fw_hart *hart, uint32_t *bits, struct trap *trap);

/* Memory at a physical address, which may not be there. */
bool access_physical_load(uint64_t address, uint8_t *byte);
bool access_physical_store(uint64_t address, uint8_t byte);

/* emulate.c. false: no instruction that is emulated, or *trap is what it ends with instead. */
bool emulate_misaligned(struct fw_hart *hart, struct trap *trap);
bool emulate_illegal(struct fw_hart *hart, struct trap *trap);

/* fp.S: a register of D, as it is. */
uint64_t fp_read(unsigned reg);
void fp_write(unsigned reg, uint64_t value);

uint64_t time_now(void);

#endif
