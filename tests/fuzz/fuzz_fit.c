/* SPDX-License-Identifier: MIT */
/* unit: vmm/fit.c vmm/hash.c vmm/vmconfig.c vmm/vmconfig_device.c vmm/vmconfig_property.c */
/* libs: -lfdt */
#include "tests/fuzz/fenced.h"

#include "kernel/error.h"
#include "vmm/fit.h"
#include "vmm/vmconfig.h"

static const uint8_t *start;
static size_t bound;
static volatile uint8_t sink;

/* An image lies in the file, and is hashed in steps that come to an end. */
static void check_image(struct fit *fit, const struct fit_image *image)
{
	struct fit_verify verify;
	unsigned steps = 0;

	check(range_within((uintptr_t)image->data, image->size, (uintptr_t)start, bound));
	check(image->size > 0);
	sink = ((const uint8_t *)image->data)[image->size - 1];
	fit_verify_begin(&verify, fit, image);
	while (fit_verify_step(&verify) == ERR_AGAIN)
		check(++steps < 100000);
}

static void check_config(struct fit *fit, const struct vmconfig *config)
{
	check(config->vcpus >= 1 && config->vcpus <= 512);
	check(config->memory > 0 && is_aligned(config->memory, MIB(2)));
	check(config->device_count <= VMCONFIG_DEVICES_MAX);
	if (config->kernel_name)
		check_image(fit, &config->kernel);
	if (config->ramdisk_name)
		check_image(fit, &config->ramdisk);
	if (config->fdt_name)
		check_image(fit, &config->fdt);
	for (unsigned i = 0; i < config->device_count; i++) {
		if (config->devices[i].image_name)
			check_image(fit, &config->devices[i].image);
	}
	for (uint32_t i = 0; i < config->cpu_count; i++)
		check(vmconfig_allows_cpu(config, vmconfig_cpu(config, i)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmconfig_switch lan;
	struct vmconfig config;
	char names[64];
	struct fit fit;

	if (size > FENCED_MAX)
		return 0;
	start = fenced_copy(data, size, 8);
	bound = size;
	if (fit_open(&fit, start, bound) != 0)
		return 0;
	vmconfig_check_system(&fit);
	fit_list_children(&fit, fit.configurations, NULL, names, sizeof(names));
	for (int node = vmconfig_next(&fit, 0); node >= 0; node = vmconfig_next(&fit, node)) {
		if (vmconfig_read(&config, &fit, node) == 0)
			check_config(&fit, &config);
	}
	for (int node = vmconfig_next_switch(&fit, 0); node >= 0;
	     node = vmconfig_next_switch(&fit, node))
		vmconfig_read_switch(&lan, &fit, node);
	return 0;
}
