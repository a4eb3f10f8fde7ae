/* SPDX-License-Identifier: MIT */

#include "device/passthrough.h"

#include "device/plic.h"
#include "driver/host_device.h"
#include "driver/plic.h"
#include "kernel/error.h"
#include "kernel/log.h"
#include "kernel/start.h"
#include "kernel/trap.h"
#include "vmm/vm.h"
#include "vmm/vmconfig_device.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#define NAMES_MAX   64 /* that the system file has for devices */
#define PARTS_MAX   (2 * HOST_DEVICE_RANGES)
#define MAPS_A_STEP 32

_Static_assert(VMCONFIG_DEVICES_MAX <= GUEST_FDT_DEVICES_MAX, "all are told to the guest");

/* What a name stands for. Found out once: reading the host's tree takes long. */
static struct named {
	const char *name; /* in the system file */
	int error;
	struct host_device host;
	char why[HOST_DEVICE_WHY_MAX];
} names[NAMES_MAX];
static unsigned name_count;

/* Registers that are forwarded. */
struct part {
	struct mmio_device device;
	volatile char *registers;
};

struct line {
	struct irq_line irq;
	uint32_t source;
};

struct passed {
	const struct vmconfig_device *config;
	const struct host_device *host;
	bool claimed;
	unsigned part_count, line_count;
	struct part parts[PARTS_MAX];
	struct line lines[HOST_DEVICE_INTERRUPTS];
};

/*
 * At boot.
 */

static struct named *find_name(const char *name)
{
	for (unsigned i = 0; i < name_count; i++) {
		if (strcmp(names[i].name, name) == 0)
			return &names[i];
	}
	return NULL;
}

static void note_name(const char *name)
{
	struct named *named = &names[name_count];

	if (find_name(name) || name_count == NAMES_MAX)
		return;
	named->name = name;
	named->error = host_device_find(name, &named->host, named->why);
	if (!named->error)
		host_device_map(&named->host);
	name_count++;
}

static void note_names(const struct fit *fit, int vm)
{
	const char *compatible = vmconfig_device_compatible(VMCONFIG_PASSTHROUGH);
	const char *name;
	int node;

	fdt_for_each_subnode(node, fit->fdt, vm)
	{
		if (fdt_node_check_compatible(fit->fdt, node, compatible) == 0 &&
		    fit_get_string(fit, node, "pilae,host", &name) == 0)
			note_name(name);
	}
}

void passthrough_init(void)
{
	const void *system;
	uint64_t size;
	struct fit fit;

	host_device_init();
	name_count = 0;
	if (!kernel_initrd(&system, &size) || !fit_peek(&fit, system, size))
		return;
	for (int node = 0; (node = vmconfig_next(&fit, node)) >= 0;)
		note_names(&fit, node);
}

/*
 * Building.
 */

static int refuse(const struct vm *vm, const struct passed *passed, const char *why)
{
	log_error("%s/%s: pilae,host = \"%s\": %s", vm->config.path, passed->config->name,
		  passed->config->host, why);
	return ERR_INVAL;
}

static int find_host(const struct vm *vm, struct passed *passed)
{
	const struct named *named = find_name(passed->config->host);

	if (!named)
		return refuse(vm, passed, "the system file names too many devices");
	if (named->error)
		return refuse(vm, passed, named->why);
	passed->host = &named->host;
	return 0;
}

/* Without an IOMMU it is the guest who decides where its device reads and writes. */
static int check_dma(const struct vm *vm, const struct passed *passed)
{
	enum host_dma dma = passed->host->dma;
	bool allowed = passed->config->allow_dma;

	if (dma == HOST_DMA_DOES && (!allowed || !vm->config.identity_map))
		return refuse(
		    vm, passed,
		    "it does DMA, and as there is no IOMMU it can reach all memory, Pilae's too: "
		    "if "
		    "that guest is to be trusted so far, give the VM pilae,identity-map, and this "
		    "node pilae,allow-dma");
	if (dma == HOST_DMA_UNKNOWN && !allowed)
		return refuse(
		    vm, passed,
		    "it may be one that does DMA, and as there is no IOMMU it could reach all "
		    "memory, Pilae's too: if that guest is to be trusted so far, give this node "
		    "pilae,allow-dma");
	return 0;
}

/* What of the guest's own machine no device can take the place of, or NULL. */
static const char *find_fixed(const struct vm *vm, const struct range *range)
{
	static const struct {
		const char *name;
		uint64_t base, size;
	} fixed[] = {
	    {"test finisher", MACHINE_TEST_BASE, MACHINE_TEST_SIZE},
	    {"PLIC", MACHINE_PLIC_BASE, MACHINE_PLIC_SIZE},
	    {"UART", MACHINE_UART_BASE, MACHINE_UART_SIZE},
	};

	if (ranges_overlap(range->base, range->size, vm->ram_base, vm->ram_size))
		return "RAM";
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++) {
		if (ranges_overlap(range->base, range->size, fixed[i].base, fixed[i].size))
			return fixed[i].name;
	}
	for (uint32_t bank = 0; bank < MACHINE_FLASH_BANKS; bank++) {
		if (vmconfig_find_flash(&vm->config, bank) &&
		    ranges_overlap(range->base, range->size, MACHINE_FLASH_BASE((uint64_t)bank),
				   MACHINE_FLASH_SIZE))
			return "flash";
	}
	return NULL;
}

static int check_place(const struct vm *vm, const struct passed *passed)
{
	char why[HOST_DEVICE_WHY_MAX];

	for (unsigned i = 0; i < passed->host->range_count; i++) {
		const struct range *range = &passed->host->ranges[i];
		const char *fixed = find_fixed(vm, range);

		if (!fixed)
			continue;
		snprintf(why, sizeof(why), "its registers at %#llx are where the guest's %s is",
			 (unsigned long long)range->base, fixed);
		return refuse(vm, passed, why);
	}
	return 0;
}

static int take(const struct vm *vm, struct passed *passed)
{
	char why[HOST_DEVICE_WHY_MAX];
	int error = find_host(vm, passed);

	if (!error)
		error = check_dma(vm, passed);
	if (!error)
		error = check_place(vm, passed);
	if (error)
		return error;
	if (host_device_claim(passed->host, vm->config.name, why) != 0)
		return refuse(vm, passed, why);
	passed->claimed = true;
	return 0;
}

/*
 * Registers: whole pages are the guest's.
 */

static int part_read(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t *value)
{
	return host_register_read(container_of(device, struct part, device)->registers + offset,
				  size, value);
}

static int part_write(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t value)
{
	return host_register_write(container_of(device, struct part, device)->registers + offset,
				   size, value);
}

/*
 * Not on the bus that quick accesses look at: a fault of the hypervisor's would spoil what they
 * have left in the hart's CSRs.
 */
static int forward_part(struct vm *vm, struct passed *passed, uint64_t base, uint64_t end)
{
	static const struct mmio_ops ops = {part_read, part_write};
	struct part *part = &passed->parts[passed->part_count];

	if (base >= end)
		return 0;
	part->registers = host_device_register(base, end - base);
	part->device = (struct mmio_device){"passthrough", &ops, base, end - base};
	if (!part->registers || bus_add(&vm->forwarded, &part->device) != 0)
		return refuse(vm, passed,
			      "its registers cannot be forwarded: they do not fill whole pages, "
			      "and are at an odd place, or too many");
	passed->part_count++;
	return 0;
}

static int map_pages(struct vm *vm, const struct passed *passed, uint64_t base, uint64_t end)
{
	for (unsigned i = 0; base < end; i++) {
		bool mega = is_aligned(base, MEGAPAGE_SIZE) && end - base >= MEGAPAGE_SIZE;
		int error = gspace_map_device(&vm->guest.space, GPA(base), HPA(base), mega);

		if (error == ERR_NOMEM)
			return error;
		if (error)
			return refuse(vm, passed, "its registers are out of the VM's reach");
		base += mega ? MEGAPAGE_SIZE : PAGE_SIZE;
		if (i % MAPS_A_STEP == MAPS_A_STEP - 1)
			preempt_point();
	}
	return 0;
}

static int give_range(struct vm *vm, struct passed *passed, const struct range *range)
{
	uint64_t base = range->base, end = base + range->size;
	uint64_t first = align_up(base, PAGE_SIZE), last = align_down(end, PAGE_SIZE);
	int error;

	if (first >= last)
		return forward_part(vm, passed, base, end);
	error = forward_part(vm, passed, base, first);
	if (!error)
		error = map_pages(vm, passed, first, last);
	return error ? error : forward_part(vm, passed, last, end);
}

/*
 * Interrupts: one of the host's stays claimed until the guest completes its own.
 */

static void interrupted(void *argument)
{
	irq_line_set(&((struct line *)argument)->irq, true);
}

static void completed(void *context, unsigned source)
{
	(void)context;
	host_plic_complete(source);
}

static bool is_guests_own(const struct passthrough *pass, uint32_t source)
{
	return source == MACHINE_UART_IRQ ||
	       (source == MACHINE_RTC_IRQ &&
		!passthrough_takes(pass, MACHINE_RTC_BASE, MACHINE_RTC_SIZE, 0));
}

static int give_interrupt(const struct passthrough *pass, struct passed *passed, struct plic *plic,
			  uint32_t source)
{
	struct line *line = &passed->lines[passed->line_count];
	char why[HOST_DEVICE_WHY_MAX];

	if (is_guests_own(pass, source) || plic_forward(plic, source, completed, NULL) != 0) {
		snprintf(why, sizeof(why), "its interrupt %u is %s", source,
			 source < PLIC_SOURCES ? "that of another device of the guest's"
					       : "beyond those of the guest's PLIC");
		return refuse(pass->vm, passed, why);
	}
	line->irq = plic_line(plic, source);
	line->source = source;
	if (host_plic_forward(source, interrupted, line) != 0) {
		snprintf(why, sizeof(why), "its interrupt %u is in use already", source);
		return refuse(pass->vm, passed, why);
	}
	passed->line_count++;
	return 0;
}

static int give(struct passthrough *pass, struct passed *passed, struct plic *plic)
{
	const struct host_device *host = passed->host;
	int error = 0;

	for (unsigned i = 0; i < host->range_count && !error; i++)
		error = give_range(pass->vm, passed, &host->ranges[i]);
	for (unsigned i = 0; i < host->interrupt_count && !error; i++)
		error = give_interrupt(pass, passed, plic, host->interrupts[i]);
	return error;
}

static void describe(struct passthrough *pass)
{
	for (unsigned i = 0; i < pass->count; i++) {
		const struct host_device *host = pass->devices[i].host;

		pass->described[i] = (struct guest_fdt_device){
		    .host = platform.fdt,
		    .node = host->node,
		    .range_count = host->range_count,
		    .ranges = host->ranges,
		    .interrupt_count = host->interrupt_count,
		    .interrupts = host->interrupts,
		};
	}
}

static unsigned count_devices(const struct vmconfig *config)
{
	unsigned count = 0;

	for (unsigned i = 0; i < config->device_count; i++)
		count += config->devices[i].kind == VMCONFIG_PASSTHROUGH;
	return count;
}

static int allocate(struct passthrough *pass, struct vm *vm)
{
	unsigned count = count_devices(&vm->config), next = 0;

	*pass = (struct passthrough){.vm = vm};
	if (count == 0)
		return 0;
	pass->devices = arena_alloc(&vm->arena, count * sizeof(*pass->devices));
	pass->described = arena_alloc(&vm->arena, count * sizeof(*pass->described));
	if (!pass->devices || !pass->described)
		return ERR_NOMEM;
	pass->count = count;
	for (unsigned i = 0; i < vm->config.device_count; i++) {
		if (vm->config.devices[i].kind == VMCONFIG_PASSTHROUGH)
			pass->devices[next++].config = &vm->config.devices[i];
	}
	return 0;
}

int passthrough_build(struct passthrough *pass, struct vm *vm, struct plic *plic)
{
	int error = allocate(pass, vm);

	/* All that is wrong with any of them is told. */
	for (unsigned i = 0; i < pass->count; i++) {
		int wrong = take(vm, &pass->devices[i]);

		error = error ? error : wrong;
		preempt_point();
	}
	if (error)
		return error;
	describe(pass);
	for (unsigned i = 0; i < pass->count && !error; i++) {
		error = give(pass, &pass->devices[i], plic);
		preempt_point();
	}
	if (!error)
		passthrough_open(pass);
	return error;
}

bool passthrough_takes(const struct passthrough *pass, uint64_t base, uint64_t size,
		       uint32_t interrupt)
{
	for (unsigned i = 0; i < pass->count; i++) {
		if (guest_fdt_takes(&pass->described[i], base, size, interrupt))
			return true;
	}
	return false;
}

/*
 * Reset, and the end.
 */

static void mask(const struct passed *passed)
{
	for (unsigned i = 0; i < passed->line_count; i++)
		host_plic_mask(passed->lines[i].source);
}

void passthrough_quiet(struct passthrough *pass)
{
	for (unsigned i = 0; i < pass->count; i++) {
		const struct passed *passed = &pass->devices[i];

		mask(passed);
		if (host_device_reset(passed->host) != 0)
			log_error("%s/%s: the host's device does not stop when it is reset: it is "
				  "given to nobody any more",
				  pass->vm->config.path, passed->config->name);
		preempt_point();
	}
}

void passthrough_open(struct passthrough *pass)
{
	for (unsigned i = 0; i < pass->count; i++) {
		const struct passed *passed = &pass->devices[i];

		for (unsigned j = 0; j < passed->line_count; j++)
			host_plic_unmask(passed->lines[j].source);
	}
}

void passthrough_release(struct passthrough *pass)
{
	for (unsigned i = 0; i < pass->count; i++) {
		struct passed *passed = &pass->devices[i];

		for (unsigned j = 0; j < passed->line_count; j++)
			host_plic_release(passed->lines[j].source);
		if (passed->claimed)
			host_device_release(passed->host);
		passed->line_count = 0;
		passed->claimed = false;
	}
}
