/* SPDX-License-Identifier: MIT */
#include "vmm/vmconfig.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "kernel/error.h"
#include "kernel/log.h"
#include "vmm/machine.h"
#include "vmm/vmconfig_device.h"
#include "vmm/vmconfig_property.h"

#define VM_COMPATIBLE     "pilae,vm"
#define SWITCH_COMPATIBLE "pilae,switch"

#define DEFAULT_VCPUS  1
#define DEFAULT_WEIGHT 100
#define WEIGHT_MAX     10000
/* Shorter ones would be spent on switching. */
#define BUDGET_US_MIN 50
#define PERIOD_US_MIN 500
#define PERIOD_US_MAX 10000000
#define PHYSICAL_BITS 56 /* Priv. 1.13, 12.3 to 12.6: all of Sv39 to Sv57 have 56 */

#define FIELD(member) .offset = offsetof(struct vmconfig, member)

static const char *const engine_words[] = {"auto", "hext", "soft", NULL};
static const char *const populate_words[] = {"demand", "eager", NULL};
static const char *const on_crash_words[] = {"stop", "restart", "pause", NULL};

static const struct property vm_properties[] = {
    {.name = "compatible", .kind = PROPERTY_IGNORED},
    {.name = "description", .kind = PROPERTY_IGNORED},
    {.name = "phandle", .kind = PROPERTY_IGNORED},
    {.name = "kernel", .kind = PROPERTY_STRING, FIELD(kernel_name)},
    {.name = "ramdisk", .kind = PROPERTY_STRING, FIELD(ramdisk_name)},
    {.name = "fdt", .kind = PROPERTY_STRING, FIELD(fdt_name)},
    {.name = "bootargs", .kind = PROPERTY_STRING, FIELD(bootargs)},
    {.name = "pilae,vcpus", .kind = PROPERTY_U32, FIELD(vcpus), .min = 1, .max = MACHINE_HARTS_MAX},
    {.name = "pilae,memory",
     .kind = PROPERTY_U64,
     FIELD(memory),
     .min = MEGAPAGE_SIZE,
     .max = BIT(PHYSICAL_BITS),
     .unit = MEGAPAGE_SIZE},
    {.name = "pilae,ram-base",
     .kind = PROPERTY_U64,
     FIELD(ram_base),
     .max = BIT(PHYSICAL_BITS) - MEGAPAGE_SIZE,
     .unit = MEGAPAGE_SIZE},
    {.name = "pilae,identity-map", .kind = PROPERTY_FLAG, FIELD(identity_map)},
    {.name = "pilae,engine", .kind = PROPERTY_CHOICE, FIELD(engine), .words = engine_words},
    {.name = "pilae,cpus",
     .kind = PROPERTY_CELLS,
     FIELD(cpus),
     .count = offsetof(struct vmconfig, cpu_count)},
    {.name = "pilae,weight", .kind = PROPERTY_U32, FIELD(weight), .min = 1, .max = WEIGHT_MAX},
    {.name = "pilae,budget-us",
     .kind = PROPERTY_U32,
     FIELD(budget_us),
     .min = BUDGET_US_MIN,
     .max = PERIOD_US_MAX},
    {.name = "pilae,period-us",
     .kind = PROPERTY_U32,
     FIELD(period_us),
     .min = PERIOD_US_MIN,
     .max = PERIOD_US_MAX},
    {.name = "pilae,populate", .kind = PROPERTY_CHOICE, FIELD(populate), .words = populate_words},
    {.name = "pilae,on-crash", .kind = PROPERTY_CHOICE, FIELD(on_crash), .words = on_crash_words},
    {.name = "pilae,manual", .kind = PROPERTY_FLAG, FIELD(manual)},
    {.name = "pilae,fast-csr", .kind = PROPERTY_FLAG, FIELD(fast_csr)},
};

static const struct property switch_properties[] = {
    {.name = "compatible", .kind = PROPERTY_IGNORED},
    {.name = "phandle", .kind = PROPERTY_IGNORED},
    {.name = "pilae,uplink",
     .kind = PROPERTY_STRING,
     .offset = offsetof(struct vmconfig_switch, uplink)},
};

static int next_compatible(const struct fit *fit, int parent, int node, const char *compatible)
{
	node = node == 0 ? fdt_first_subnode(fit->fdt, parent) : fdt_next_subnode(fit->fdt, node);
	while (node >= 0 && fdt_node_check_compatible(fit->fdt, node, compatible) != 0)
		node = fdt_next_subnode(fit->fdt, node);
	return node;
}

int vmconfig_next(const struct fit *fit, int node)
{
	return next_compatible(fit, fit->configurations, node, VM_COMPATIBLE);
}

int vmconfig_next_switch(const struct fit *fit, int node)
{
	return next_compatible(fit, 0, node, SWITCH_COMPATIBLE);
}

/* A VM's name is shown on terminals and typed into the shell. */
static bool is_of_name(char c)
{
	return c > ' ' && c <= '~' && c != '/';
}

bool vmconfig_is_name(const char *name)
{
	size_t length = 0;

	while (is_of_name(name[length]))
		length++;
	return length < VMCONFIG_NAME_MAX && name[length] == '\0';
}

static int read_name(struct vmconfig *config, const struct fit *fit)
{
	const char *name = fit_node_name(fit, config->node);

	snprintf(config->name, sizeof(config->name), "%s", name);
	for (char *c = config->name; *c; c++)
		*c = is_of_name(*c) ? *c : '?';
	snprintf(config->path, sizeof(config->path), "/configurations/%s", config->name);
	if (!vmconfig_is_name(name)) {
		log_error("%s: the name must have at most %zu characters, all of them plain",
			  config->path, sizeof(config->name) - 1);
		return ERR_INVAL;
	}
	for (int other = 0; (other = vmconfig_next(fit, other)) >= 0 && other != config->node;) {
		if (strcmp(fit_node_name(fit, other), name) == 0) {
			log_error("%s: there is another VM of this name: rename one", config->path);
			return ERR_EXIST;
		}
	}
	return 0;
}

/* An image of a type that tells it was meant for something else. */
static int check_type(const struct vmconfig *config, const char *property,
		      const struct fit_image *image)
{
	static const char *const known[][2] = {
	    {"kernel", "kernel"}, {"ramdisk", "ramdisk"}, {"flat_dt", "fdt"}};

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(image->type, known[i][0]) == 0 && strcmp(property, known[i][1]) != 0) {
			log_error("%s: %s = \"%s\": an image of type = \"%s\", which is for %s",
				  config->path, property, image->name, image->type, known[i][1]);
			return ERR_INVAL;
		}
	}
	return 0;
}

static int find_image(const struct vmconfig *config, const struct fit *fit, const char *property,
		      const char *name, struct fit_image *image)
{
	int error;

	if (!name)
		return 0;
	error = fit_find_image(fit, config->path, property, name, image);
	return error ? error : check_type(config, property, image);
}

static int find_images(struct vmconfig *config, const struct fit *fit)
{
	int kernel = find_image(config, fit, "kernel", config->kernel_name, &config->kernel);
	int ramdisk = find_image(config, fit, "ramdisk", config->ramdisk_name, &config->ramdisk);
	int fdt = find_image(config, fit, "fdt", config->fdt_name, &config->fdt);

	return kernel ? kernel : ramdisk ? ramdisk : fdt;
}

static int check_not_at(const struct vmconfig *config, const char *device, uint64_t base,
			uint64_t size)
{
	if (!ranges_overlap(config->ram_base, config->memory, base, size))
		return 0;
	log_error("%s: RAM, %#lx to %#lx, overlaps the %s at %#lx: change pilae,ram-base or "
		  "pilae,memory",
		  config->path, config->ram_base, config->ram_base + config->memory - 1, device,
		  base);
	return ERR_EXIST;
}

static int check_ram_devices(const struct vmconfig *config)
{
	static const struct {
		const char *name;
		uint64_t base, size;
	} devices[] = {
	    {"test finisher", MACHINE_TEST_BASE, MACHINE_TEST_SIZE},
	    {"RTC", MACHINE_RTC_BASE, MACHINE_RTC_SIZE},
	    {"PLIC", MACHINE_PLIC_BASE, MACHINE_PLIC_SIZE},
	    {"UART", MACHINE_UART_BASE, MACHINE_UART_SIZE},
	    {"virtio slots", MACHINE_VIRTIO_BASE(0),
	     (uint64_t)MACHINE_VIRTIO_SLOTS * MACHINE_VIRTIO_SIZE},
	};
	int error = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(devices) && !error; i++)
		error = check_not_at(config, devices[i].name, devices[i].base, devices[i].size);
	for (uint32_t bank = 0; bank < MACHINE_FLASH_BANKS && !error; bank++) {
		if (vmconfig_find_flash(config, bank))
			error = check_not_at(config, "flash", MACHINE_FLASH_BASE(bank),
					     MACHINE_FLASH_SIZE);
	}
	return error;
}

static int check_ram(struct vmconfig *config)
{
	config->ram_base_given = config->ram_base != UINT64_MAX;
	if (!config->ram_base_given)
		config->ram_base = MACHINE_RAM_BASE;
	if (config->ram_base > BIT(PHYSICAL_BITS) - config->memory) {
		log_error(
		    "%s: RAM, %#lx bytes from %#lx on, ends beyond 2^%d: lower pilae,memory or "
		    "pilae,ram-base",
		    config->path, config->memory, config->ram_base, PHYSICAL_BITS);
		return ERR_RANGE;
	}
	if (config->identity_map && !config->ram_base_given)
		return 0;
	return check_ram_devices(config);
}

static int check_cpus(const struct vmconfig *config)
{
	if (config->cpu_count > MACHINE_HARTS_MAX) {
		log_error("%s: pilae,cpus: names more than %d harts", config->path,
			  MACHINE_HARTS_MAX);
		return ERR_TOO_LARGE;
	}
	for (uint32_t i = 0; i < config->cpu_count; i++) {
		for (uint32_t j = 0; j < i; j++) {
			if (vmconfig_cpu(config, i) == vmconfig_cpu(config, j)) {
				log_error("%s: pilae,cpus: names hart %u twice", config->path,
					  vmconfig_cpu(config, i));
				return ERR_EXIST;
			}
		}
	}
	return 0;
}

static int check_budget(const struct vmconfig *config)
{
	if ((config->budget_us == 0) != (config->period_us == 0)) {
		log_error("%s: pilae,budget-us and pilae,period-us: give both or none",
			  config->path);
		return ERR_INVAL;
	}
	if (config->budget_us > config->period_us) {
		log_error("%s: pilae,budget-us = <%u>: exceeds pilae,period-us = <%u>",
			  config->path, config->budget_us, config->period_us);
		return ERR_INVAL;
	}
	return 0;
}

static int check_presence(const struct vmconfig *config)
{
	int error = 0;

	if (!config->kernel_name && !vmconfig_find_flash(config, 0)) {
		log_error("%s: kernel: missing: name the image to boot", config->path);
		error = ERR_NOENT;
	}
	if (config->memory == 0) {
		log_error("%s: pilae,memory: missing: pilae,memory = /bits/ 64 <0x20000000>",
			  config->path);
		error = ERR_NOENT;
	}
	return error;
}

/* How the properties fit together; every check runs, and the first error counts. */
static int check_relations(struct vmconfig *config)
{
	int errors[] = {check_presence(config), check_ram(config), check_cpus(config),
			check_budget(config)};

	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		if (errors[i])
			return errors[i];
	}
	return 0;
}

int vmconfig_read(struct vmconfig *config, const struct fit *fit, int node)
{
	int error, devices_error, images_error, relations_error;

	memset(config, 0, sizeof(*config));
	config->node = node;
	config->vcpus = DEFAULT_VCPUS;
	config->weight = DEFAULT_WEIGHT;
	config->ram_base = UINT64_MAX;
	error = read_name(config, fit);
	if (error)
		return error;
	error = property_read_all(fit, node, config->path, vm_properties, ARRAY_SIZE(vm_properties),
				  config);
	devices_error = vmconfig_read_devices(config, fit);
	images_error = find_images(config, fit);
	if (error)
		return error;
	/* Not before: a value that cannot be read is no reason to complain that it is missing. */
	relations_error = check_relations(config);
	if (devices_error)
		return devices_error;
	return images_error ? images_error : relations_error;
}

int vmconfig_read_switch(struct vmconfig_switch *config, const struct fit *fit, int node)
{
	char path[VMCONFIG_PATH_MAX];

	config->node = node;
	config->name = fit_node_name(fit, node);
	config->uplink = NULL;
	snprintf(path, sizeof(path), "/%s", config->name);
	for (int other = 0; (other = vmconfig_next_switch(fit, other)) >= 0 && other != node;) {
		if (strcmp(fit_node_name(fit, other), config->name) == 0) {
			log_error("%s: there is another switch of this name: rename one", path);
			return ERR_EXIST;
		}
	}
	return property_read_all(fit, node, path, switch_properties, ARRAY_SIZE(switch_properties),
				 config);
}

/* Reports the children of `parent` that are Pilae's, but not of the kind that belongs there. */
static int check_children(const struct fit *fit, int parent, const char *prefix,
			  const char *expected)
{
	int node, error = 0;

	fdt_for_each_subnode(node, fit->fdt, parent)
	{
		const char *compatible = fdt_getprop(fit->fdt, node, "compatible", NULL);

		if (fit_get_string(fit, node, "compatible", &compatible) ||
		    strncmp(compatible, "pilae,", 6) != 0 || strcmp(compatible, expected) == 0)
			continue;
		log_error("%s/%s: compatible = \"%s\": must be \"%s\" here", prefix,
			  fit_node_name(fit, node), compatible, expected);
		error = ERR_INVAL;
	}
	return error;
}

int vmconfig_check_system(const struct fit *fit)
{
	int error = check_children(fit, fit->configurations, "/configurations", VM_COMPATIBLE);
	int root_error = check_children(fit, 0, "", SWITCH_COMPATIBLE);

	if (vmconfig_next(fit, 0) < 0) {
		log_error("/configurations: has no VM: give one a node with compatible = \"%s\"",
			  VM_COMPATIBLE);
		return ERR_NOENT;
	}
	return error ? error : root_error;
}

uint32_t vmconfig_cpu(const struct vmconfig *config, uint32_t index)
{
	return fdt32_ld((const fdt32_t *)config->cpus + index);
}

bool vmconfig_allows_cpu(const struct vmconfig *config, uint64_t hart_id)
{
	for (uint32_t i = 0; i < config->cpu_count; i++) {
		if (vmconfig_cpu(config, i) == hart_id)
			return true;
	}
	return config->cpu_count == 0;
}
