/* SPDX-License-Identifier: MIT */

/* The machine's boot: its tree, its harts, and the program that is to run in S-mode. */

#include "firmware/console.h"
#include "firmware/firmware.h"
#include "firmware/platform.h"
#include "riscv/hint.h"

#define DYNAMIC_MAGIC   0x4942534f
#define DYNAMIC_S_MODE  1
#define DEFAULT_ADDRESS 0x80200000 /* where `virt` puts a kernel behind firmware of this size */

/* `virt`'s, for a last message where there is no tree to tell. */
#define VIRT_UART     0x10000000
#define VIRT_FINISHER 0x100000

#define SECONDS_FOR_HARTS 2
#define WAIT_TURNS_MAX    100000000

extern uint32_t boot_done;

void firmware_refuse(const char *why)
{
	console_print("Pilae firmware: %s\n", why);
	machine_reset(SBI_SRST_SHUTDOWN, SBI_SRST_REASON_FAILURE);
	hart_halt();
}

void firmware_fault(struct fw_hart *hart)
{
	console_print("Pilae firmware: hart %u: trap %x in machine mode at %x, value %x\n",
		      (unsigned)hart->id, hart->cause, csr_read(CSR_MEPC), hart->tval);
	firmware_refuse("this is a fault of the firmware");
}

uint64_t time_now(void)
{
	uint64_t now = 0;

	if (this_hart()->has_time)
		return csr_read(CSR_TIME);
	return platform.mtime ? *(volatile uint64_t *)platform.mtime : now;
}

/* All harts of the tree, or those that come in some time. */
static void wait_for_harts(void)
{
	uint64_t start = time_now();

	/* There need not be a clock. */
	for (unsigned turn = 0; turn < WAIT_TURNS_MAX; turn++) {
		if (!(platform.harts & ~__atomic_load_n(&harts_arrived, __ATOMIC_SEQ_CST)) ||
		    time_now() - start >= SECONDS_FOR_HARTS * platform.timebase)
			return;
		cpu_pause();
	}
}

static uint64_t find_next(const struct fw_dynamic_info *info)
{
	uint8_t byte;

	if (!info || (uint64_t)info % 8 != 0 || !access_physical_load((uint64_t)info, &byte) ||
	    info->magic != DYNAMIC_MAGIC)
		return DEFAULT_ADDRESS;
	if (info->next_address && info->next_mode != DYNAMIC_S_MODE)
		firmware_refuse("what is to be started does not run in S-mode");
	return info->next_address;
}

static void read_platform(void *fdt)
{
	if (platform_read(fdt))
		return;
	if (!platform.uart)
		platform.uart = VIRT_UART;
	if (!platform.finisher)
		platform.finisher = VIRT_FINISHER;
	firmware_refuse("there is no device tree, or it is broken");
}

static unsigned count_bits(uint64_t set)
{
	unsigned count = 0;

	for (; set; set &= set - 1)
		count++;
	return count;
}

void firmware_boot(uint64_t id, void *fdt, const struct fw_dynamic_info *info)
{
	struct fw_hart *hart = &fw_harts[id];
	uint64_t next;

	harts_prepare();
	read_platform(fdt);
	hart_init();
	next = find_next(info);
	if (!platform_is_code(next))
		firmware_refuse("there is no kernel (QEMU: -kernel)");
	if (!(harts_present & hart->bit))
		firmware_refuse("the device tree does not have the hart that boots");
	if (!platform_hand_on(fdt))
		firmware_refuse("there is no room for the device tree");
	__atomic_store_n(&boot_done, 1, __ATOMIC_SEQ_CST);
	wait_for_harts();
	console_print("Pilae firmware: SBI 2.0, %u harts; hart %u boots 0x%x\n",
		      count_bits(harts_present), (unsigned)id, next);
	hart->start_address = next;
	hart->start_argument = (uint64_t)fdt;
	hart_begin();
}

void firmware_join(void)
{
	hart_init();
	hart_wait();
}

/* libfdt.a is built with stack protection. */
uintptr_t __stack_chk_guard = 0x595e9fbd94fda766;
void __stack_chk_fail(void) __noreturn;

void __stack_chk_fail(void)
{
	firmware_refuse("a stack was overrun");
}
