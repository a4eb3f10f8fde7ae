/* SPDX-License-Identifier: MIT */

/* The hypervisor put together: what runs once the kernel is up. */

#include "device/passthrough.h"
#include "driver/disk_check.h"
#include "driver/nic_check.h"
#include "driver/plic.h"
#include "driver/rtc.h"
#include "driver/virtio/registry.h"
#include "engine/engine.h"
#include "engine/open_csrs.h"
#include "engine/statistics.h"
#include "kernel/hart.h"
#include "kernel/log.h"
#include "kernel/options.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/platform.h"
#include "kernel/start.h"
#include "shell/console.h"
#include "shell/port.h"
#include "shell/system_disk.h"
#include "vmm/copy.h"
#include "vmm/schedule.h"
#include "vmm/vm.h"

#include <string.h>

static const char *const known_options[] = {
    "pilae.engine", "pilae.loglevel", "pilae.color", "pilae.escape", "pilae.system",
};

static enum vmconfig_engine chosen_engine(void)
{
	char value[16] = "auto";

	option_find(platform.bootargs, "pilae.engine", value, sizeof(value));
	if (strcmp(value, "hext") == 0)
		return VMCONFIG_ENGINE_HEXT;
	if (strcmp(value, "soft") == 0)
		return VMCONFIG_ENGINE_SOFT;
	if (strcmp(value, "auto") != 0)
		log_warn("command line: pilae.engine=%s: not one of auto, hext, soft", value);
	return VMCONFIG_ENGINE_AUTO;
}

/* Engines that cannot run on this hart say so; the VMs are placed accordingly. */
static void prepare_hart(void)
{
	open_csrs_init_hart();
	hext_engine.init_hart();
	soft_engine.init_hart();
	copy_probe_hart();
	schedule_init_hart();
	statistics_init_hart();
}

/* A system that comes from a disk: what it passes through is known only now. */
static void start_from_disk(const void *system, uint64_t size)
{
	kernel_set_initrd(system, size);
	passthrough_init();
	vm_start_system(system, size, chosen_engine());
}

static void start_system(void)
{
	static char disk[128];
	const void *system;
	uint64_t size;

	if (option_find(platform.bootargs, "pilae.system", disk, sizeof(disk))) {
		system_disk_begin(disk, start_from_disk);
		return;
	}
	if (!kernel_initrd(&system, &size)) {
		log_error("no system to run: give one as initial ramdisk, such as QEMU's "
			  "-initrd build/examples/demo.itb");
		machine_end(true);
	}
	vm_start_system(system, size, chosen_engine());
}

void __noreturn hypervisor_main(void)
{
	host_plic_init();
	console_init(platform.bootargs);
	option_warn_unknown(platform.bootargs, known_options, ARRAY_SIZE(known_options));
	wall_clock_init();

	schedule_init();
	port_init();
	host_virtio_init();
	passthrough_init();
	hart_start_all(prepare_hart, schedule_run);
	log_info("%u hart%s, %llu MiB of memory", hart_count(), hart_count() == 1 ? "" : "s",
		 (unsigned long long)((page_total_bytes() + identity_total_bytes()) >> 20));

	disk_check_begin();
	nic_check_begin();
	start_system();
	console_begin();
	schedule_run();
}
