/* SPDX-License-Identifier: MIT */

#include "driver/host_device.h"

#include "driver/virtio/registry.h"
#include "kernel/error.h"
#include "kernel/fdt.h"
#include "kernel/log.h"
#include "kernel/mmu.h"
#include "kernel/panic.h"

#include <stdio.h>
#include <string.h>

#define CLAIMS_MAX 128
#define PIECES_MAX 64

/* Who has registers: of a VM its name, else a reason in words. */
static struct claim {
	struct range range; /* size 0: unused */
	const char *vm, *why;
} claims[CLAIMS_MAX];

/* What was mapped of pages that are not all of one device's registers. */
static struct {
	struct range range;
	volatile char *registers;
} pieces[PIECES_MAX];
static unsigned piece_count;

void host_device_init(void)
{
	host_device_keep(platform.uart.registers, "it is Pilae's console");
	host_device_keep(platform.plic, "it is the interrupt controller, which Pilae needs");
	host_device_keep(platform.finisher, "Pilae ends the machine by it");
}

/*
 * Names.
 */

static int refuse(char *why, int error, const char *text)
{
	snprintf(why, HOST_DEVICE_WHY_MAX, "%s", text);
	return error;
}

/* How many there are whose names begin like that and go on with a number. */
static unsigned count_named(const char *name)
{
	size_t length = strcspn(name, "0123456789");
	unsigned count = 0;

	for (const struct host_virtio *v = host_virtio_next(NULL); v; v = host_virtio_next(v))
		count +=
		    strcspn(v->name, "0123456789") == length && strncmp(v->name, name, length) == 0;
	return count;
}

static int find_virtio(const char *name, int *node, char *why)
{
	const struct host_virtio *virtio = host_virtio_by_name(name);

	if (!virtio && name[0] != 'p') {
		snprintf(why, HOST_DEVICE_WHY_MAX,
			 "there is no such device; this machine has %u of the kind, from %.*s0 up",
			 count_named(name), (int)strcspn(name, "0123456789"), name);
		return ERR_NOENT;
	}
	if (!virtio || virtio->path[0] != '/')
		return refuse(why, ERR_NOSYS, "PCI devices cannot be given to VMs");
	*node = fdt_path_offset(platform.fdt, virtio->path);
	return *node >= 0 ? 0 : refuse(why, ERR_NOENT, "it is not in the device tree any more");
}

static int find_node(const char *name, int *node, char *why)
{
	if (name[0] != '/')
		return find_virtio(name, node, why);
	*node = fdt_path_offset(platform.fdt, name);
	return *node >= 0 ? 0
			  : refuse(why, ERR_NOENT,
				   "there is no such node in this machine's device tree; the "
				   "shell's dt shows it");
}

/*
 * What a node is.
 */

static bool is_one_of(int node, const char *const *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (fdt_node_check_compatible(platform.fdt, node, list[i]) == 0)
			return true;
	}
	return false;
}

/* Parts of the machine that it cannot do without, or that are more than one device. */
static bool is_of_the_machine(int node)
{
	static const char *const list[] = {
	    "riscv,clint0",      "sifive,clint0", "riscv,aclint-mtimer",   "riscv,aclint-mswi",
	    "riscv,aclint-sswi", "riscv,imsics",  "riscv,aplic",           "riscv,iommu",
	    "simple-bus",        "simple-mfd",    "pci-host-ecam-generic", "pci-host-cam-generic",
	};
	const char *type = fdt_getprop(platform.fdt, node, "device_type", NULL);

	return (type && (strcmp(type, "pci") == 0 || strcmp(type, "cpu") == 0 ||
			 strcmp(type, "memory") == 0)) ||
	       is_one_of(node, list, ARRAY_SIZE(list));
}

/* What is not known to leave memory alone may not. */
static enum host_dma dma_of(int node)
{
	static const char *const none[] = {
	    "google,goldfish-rtc", "ns16550a",     "ns16550",      "snps,dw-apb-uart",
	    "sifive,uart0",        "sifive,gpio0", "sifive,test0", "cfi-flash",
	};
	static const char *const does[] = {"virtio,mmio", "qemu,fw-cfg-mmio"};

	if (is_one_of(node, does, ARRAY_SIZE(does)))
		return HOST_DMA_DOES;
	return is_one_of(node, none, ARRAY_SIZE(none)) ? HOST_DMA_NONE : HOST_DMA_UNKNOWN;
}

static bool is_in_memory(const struct range *range)
{
	for (unsigned i = 0; i < platform.memory_count; i++) {
		const struct range *memory = &platform.memory[i];

		if (ranges_overlap(range->base, range->size, memory->base, memory->size))
			return true;
	}
	return false;
}

static int read_ranges(struct host_device *device, char *why)
{
	struct range range;

	while (fdt_node_reg(platform.fdt, device->node, device->range_count, &range.base,
			    &range.size) == 0) {
		if (range.size == 0 || range.base + (range.size - 1) < range.base ||
		    is_in_memory(&range) || device->range_count == HOST_DEVICE_RANGES) {
			snprintf(why, HOST_DEVICE_WHY_MAX,
				 device->range_count == HOST_DEVICE_RANGES
				     ? "it has too many ranges of registers"
				     : "its reg names what are no registers");
			return ERR_NOSYS;
		}
		device->ranges[device->range_count++] = range;
	}
	if (device->range_count > 0)
		return 0;
	snprintf(why, HOST_DEVICE_WHY_MAX, "it has no registers");
	return ERR_NOSYS;
}

/* The nearest interrupt-parent above, as Devicetree Specification 0.4, 2.4.1 has it. */
static bool interrupts_go_to_plic(int node)
{
	uint32_t plic = platform.plic_node < 0 || platform.plic.size == 0
			    ? 0
			    : fdt_get_phandle(platform.fdt, platform.plic_node);

	for (; node >= 0; node = fdt_find_parent(platform.fdt, node)) {
		int length;
		const fdt32_t *parent =
		    fdt_getprop(platform.fdt, node, "interrupt-parent", &length);

		if (parent && length == sizeof(*parent))
			return plic != 0 && fdt32_to_cpu(*parent) == plic;
	}
	return false;
}

static int read_interrupts(struct host_device *device, char *why)
{
	const void *fdt = platform.fdt;
	uint32_t source;

	if (fdt_getprop(fdt, device->node, "interrupts-extended", NULL) ||
	    (fdt_getprop(fdt, device->node, "interrupts", NULL) &&
	     !interrupts_go_to_plic(device->node))) {
		snprintf(why, HOST_DEVICE_WHY_MAX, "its interrupts do not go to a PLIC");
		return ERR_NOSYS;
	}
	while (fdt_node_interrupt(fdt, device->node, device->interrupt_count, &source) == 0) {
		if (device->interrupt_count == HOST_DEVICE_INTERRUPTS) {
			snprintf(why, HOST_DEVICE_WHY_MAX, "it has too many interrupts");
			return ERR_NOSYS;
		}
		device->interrupts[device->interrupt_count++] = source;
	}
	return 0;
}

/* The virtio device there, if there is one: not in an empty place. */
static struct host_virtio *virtio_at(int node)
{
	char path[HOST_VIRTIO_PATH_MAX];

	if (fdt_node_check_compatible(platform.fdt, node, "virtio,mmio") != 0 ||
	    fdt_get_path(platform.fdt, node, path, sizeof(path)) != 0)
		return NULL;
	return host_virtio_by_name(path);
}

static const struct claim *find_claim(const struct range *range);

/* What is Pilae's own, or the machine's. */
static int check_kept(const struct host_device *device, char *why)
{
	for (unsigned i = 0; i < device->range_count; i++) {
		const struct claim *claim = find_claim(&device->ranges[i]);

		if (!claim || claim->vm)
			continue;
		snprintf(why, HOST_DEVICE_WHY_MAX, "%s", claim->why);
		return ERR_NOSYS;
	}
	return 0;
}

int host_device_find(const char *name, struct host_device *device, char why[HOST_DEVICE_WHY_MAX])
{
	int error;

	*device = (struct host_device){0};
	error = find_node(name, &device->node, why);
	if (error)
		return error;
	if (is_of_the_machine(device->node)) {
		snprintf(why, HOST_DEVICE_WHY_MAX,
			 "it is a part of the machine that no VM can have");
		return ERR_NOSYS;
	}
	if (!fdt_node_enabled(platform.fdt, device->node)) {
		snprintf(why, HOST_DEVICE_WHY_MAX, "it is disabled in this machine's device tree");
		return ERR_NOSYS;
	}
	error = read_ranges(device, why);
	if (!error)
		error = check_kept(device, why);
	if (!error)
		error = read_interrupts(device, why);
	if (error)
		return error;
	device->dma = dma_of(device->node);
	device->virtio = virtio_at(device->node);
	return 0;
}

/*
 * Registers that share their page with something else.
 */

static void map_piece(uint64_t base, uint64_t end)
{
	struct range piece = {base, end - base};

	if (base >= end || host_device_register(base, end - base))
		return;
	if (piece_count == PIECES_MAX) {
		log_warn("more than %u devices whose registers do not fill pages: the rest cannot "
			 "be given to VMs",
			 PIECES_MAX);
		return;
	}
	pieces[piece_count].range = piece;
	pieces[piece_count++].registers = mmu_map_registers(HPA(base), end - base);
}

void host_device_map(const struct host_device *device)
{
	for (unsigned i = 0; i < device->range_count; i++) {
		uint64_t base = device->ranges[i].base, end = base + device->ranges[i].size;
		uint64_t first = align_up(base, PAGE_SIZE), last = align_down(end, PAGE_SIZE);

		if (first >= last) {
			map_piece(base, end);
			continue;
		}
		map_piece(base, first);
		map_piece(last, end);
	}
}

volatile void *host_device_register(uint64_t address, uint64_t size)
{
	for (unsigned i = 0; i < piece_count; i++) {
		if (range_within(address, size, pieces[i].range.base, pieces[i].range.size))
			return pieces[i].registers + (address - pieces[i].range.base);
	}
	return NULL;
}

/*
 * Who has what.
 */

static const struct claim *find_claim(const struct range *range)
{
	for (unsigned i = 0; i < CLAIMS_MAX; i++) {
		if (ranges_overlap(range->base, range->size, claims[i].range.base,
				   claims[i].range.size))
			return &claims[i];
	}
	return NULL;
}

static int note(struct range range, const char *vm, const char *why)
{
	for (unsigned i = 0; i < CLAIMS_MAX && range.size > 0; i++) {
		if (claims[i].range.size == 0) {
			claims[i] = (struct claim){range, vm, why};
			return 0;
		}
	}
	return range.size > 0 ? ERR_NOMEM : 0;
}

void host_device_keep(struct range registers, const char *why)
{
	if (note(registers, NULL, why) != 0)
		panic("more than %u host devices are in use", CLAIMS_MAX);
}

static bool is_free(const struct host_device *device, const char *vm, char *why)
{
	for (unsigned i = 0; i < device->range_count; i++) {
		const struct claim *claim = find_claim(&device->ranges[i]);

		if (!claim)
			continue;
		if (!claim->vm)
			snprintf(why, HOST_DEVICE_WHY_MAX, "%s", claim->why);
		else if (strcmp(claim->vm, vm) == 0)
			snprintf(why, HOST_DEVICE_WHY_MAX, "another node of this VM has it");
		else
			snprintf(why, HOST_DEVICE_WHY_MAX, "VM %s has it", claim->vm);
		return false;
	}
	return true;
}

static int note_all(const struct host_device *device, const char *vm)
{
	for (unsigned i = 0; i < device->range_count; i++) {
		int error = note(device->ranges[i], vm, NULL);

		if (error)
			return error;
	}
	return 0;
}

static void forget_all(const struct host_device *device)
{
	for (unsigned i = 0; i < CLAIMS_MAX; i++) {
		for (unsigned j = 0; j < device->range_count && claims[i].vm; j++) {
			if (claims[i].range.base == device->ranges[j].base)
				claims[i] = (struct claim){0};
		}
	}
}

/* From the driver that it has, if that is not using it. */
static int take_virtio(struct host_virtio *virtio, const char *vm, char *why)
{
	const struct host_virtio_driver *driver = virtio->driver;
	int error = host_virtio_take(virtio, vm);

	if (error)
		refuse(why, error,
		       error == ERR_EXIST && driver ? driver->in_use
						    : "it does not stop when it is reset");
	return error;
}

int host_device_claim(const struct host_device *device, const char *vm,
		      char why[HOST_DEVICE_WHY_MAX])
{
	int error = 0;

	if (!is_free(device, vm, why))
		return ERR_EXIST;
	if (device->virtio)
		error = take_virtio(device->virtio, vm, why);
	if (error)
		return error;
	if (note_all(device, vm) == 0)
		return 0;
	host_device_release(device);
	return refuse(why, ERR_NOMEM, "too many devices are given to VMs");
}

void host_device_release(const struct host_device *device)
{
	forget_all(device);
	if (device->virtio && device->virtio->owner && !device->virtio->driver)
		host_virtio_give_back(device->virtio);
}

/* Nobody gets it any more. */
static void give_up(const struct host_device *device)
{
	forget_all(device);
	for (unsigned i = 0; i < device->range_count; i++)
		host_device_keep(device->ranges[i], "it did not stop when it was reset");
}

int host_device_reset(const struct host_device *device)
{
	const struct claim *claim = find_claim(&device->ranges[0]);
	int error = device->virtio ? host_virtio_reset(device->virtio) : 0;

	if (error && claim && claim->vm)
		give_up(device);
	return error;
}
