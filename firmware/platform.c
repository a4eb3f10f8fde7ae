/* SPDX-License-Identifier: MIT */

#include "firmware/platform.h"

#include "firmware/hart.h"

#include <libfdt.h>
#include <string.h>

/* Registers of an APLIC (AIA 4.5), in bytes, and their fields. */
#define APLIC_SOURCECFG   0x0004
#define APLIC_MMSIADDRCFG 0x1bc0
#define APLIC_SMSIADDRCFG 0x1bc8
#define APLIC_SOURCES     1024
#define APLIC_DELEGATED   0x400
#define APLIC_PPN_HIGH    0xfff
#define APLIC_LHXW_SHIFT  12
#define APLIC_HHXW_SHIFT  16
#define APLIC_LHXS_SHIFT  20
#define APLIC_HHXS_SHIFT  24

struct platform platform;

/* The phandle of each hart's own interrupt controller. */
static uint32_t intc_phandle[FW_HARTS_MAX];

static const fdt32_t *cells(const void *fdt, int node, const char *name, unsigned *count)
{
	int size;
	const fdt32_t *value = fdt_getprop(fdt, node, name, &size);

	*count = value ? (unsigned)size / 4 : 0;
	return value;
}

static uint32_t cell(const void *fdt, int node, const char *name, uint32_t otherwise)
{
	unsigned count;
	const fdt32_t *value = cells(fdt, node, name, &count);

	return count ? fdt32_to_cpu(value[0]) : otherwise;
}

static uint64_t number(const fdt32_t *value, unsigned count)
{
	uint64_t result = 0;

	while (count--)
		result = result << 32 | fdt32_to_cpu(*value++);
	return result;
}

/* A property that is a string, or NULL. */
static const char *text(const void *fdt, int node, const char *name)
{
	int size;
	const char *value = fdt_getprop(fdt, node, name, &size);

	return value && size > 0 && value[size - 1] == '\0' ? value : NULL;
}

/* Where the walk is, and what is above: libfdt would look for a parent from the tree's beginning.
 */
#define DEPTH_MAX 16

static struct walk {
	int depth;
	int nodes[DEPTH_MAX];
} walk;

/* The nth range of `reg` of the node that the walk is at. false: there is none. */
static bool read_reg(const void *fdt, int node, unsigned n, struct range *range)
{
	int parent = walk.depth ? walk.nodes[walk.depth - 1] : -1;
	int address = fdt_address_cells(fdt, parent), size = fdt_size_cells(fdt, parent);
	unsigned count;
	const fdt32_t *reg = cells(fdt, node, "reg", &count);

	if (address < 1 || size < 0 || count < (n + 1) * (unsigned)(address + size))
		return false;
	reg += (size_t)n * (unsigned)(address + size);
	range->base = number(reg, (unsigned)address);
	range->size = number(reg + address, (unsigned)size);
	return true;
}

static uint64_t base_of(const void *fdt, int node)
{
	struct range range;

	return read_reg(fdt, node, 0, &range) ? range.base : 0;
}

static bool is_available(const void *fdt, int node)
{
	const char *status = text(fdt, node, "status");

	return !status || strcmp(status, "okay") == 0 || strcmp(status, "ok") == 0;
}

static void add_memory(const void *fdt, int node)
{
	for (unsigned n = 0; platform.memory_count < PLATFORM_MEMORY_MAX; n++) {
		struct range *range = &platform.memory[platform.memory_count];

		if (!read_reg(fdt, node, n, range))
			return;
		/* What is empty or wraps is none. */
		platform.memory_count += range->base + range->size > range->base;
	}
}

static bool has_extension(const void *fdt, int cpu, const char *name)
{
	int size;
	const char *list = fdt_getprop(fdt, cpu, "riscv,isa-extensions", &size);

	if (list)
		return fdt_stringlist_contains(list, size, name);
	list = text(fdt, cpu, "riscv,isa");
	return list && strstr(list, name);
}

static void add_cpu(const void *fdt, int cpu)
{
	unsigned count;
	const fdt32_t *reg = cells(fdt, cpu, "reg", &count);
	uint64_t id = count ? number(reg, count) : FW_HARTS_MAX;
	int child;

	if (id >= FW_HARTS_MAX || !is_available(fdt, cpu))
		return;
	platform.harts |= BIT(id);
	if (has_extension(fdt, cpu, "svadu") && !has_extension(fdt, cpu, "svade"))
		platform.adue |= BIT(id);
	fdt_for_each_subnode(child, fdt, cpu)
	{
		if (fdt_getprop(fdt, child, "interrupt-controller", NULL))
			intc_phandle[id] = fdt_get_phandle(fdt, child);
	}
}

static struct fw_hart *hart_of_intc(uint32_t phandle)
{
	for (unsigned i = 0; i < FW_HARTS_MAX; i++) {
		if (platform.harts & BIT(i) && intc_phandle[i] == phandle)
			return &fw_harts[i];
	}
	return NULL;
}

/* Registers, one for each hart from the `first`th on, `stride` bytes from one another. */
struct bank {
	struct range range;
	uint64_t stride, first;
};

/* Calls `set` for each hart that the device interrupts in such a way, and has a register for. */
static void for_harts(const void *fdt, int node, uint32_t irq, const struct bank *bank,
		      void (*set)(struct fw_hart *hart, uint64_t address))
{
	unsigned count;
	const fdt32_t *list = cells(fdt, node, "interrupts-extended", &count);
	uint64_t offset = -bank->first * bank->stride;

	for (unsigned i = 0; i + 1 < count; i += 2) {
		struct fw_hart *hart = hart_of_intc(fdt32_to_cpu(list[i]));

		if (fdt32_to_cpu(list[i + 1]) != irq)
			continue;
		if (hart && offset < bank->range.size)
			set(hart, bank->range.base + offset);
		offset += bank->stride;
	}
}

static void set_msip(struct fw_hart *hart, uint64_t address)
{
	hart->msip = address;
}

static void set_mtimecmp(struct fw_hart *hart, uint64_t address)
{
	hart->mtimecmp = address;
}

static void set_imsic(struct fw_hart *hart, uint64_t address)
{
	hart->imsic = address;
}

static void add_clint(const void *fdt, int node)
{
	uint64_t base = base_of(fdt, node);
	struct bank msip = {{base, 0x4000}, 4, 0}, mtimecmp = {{base + 0x4000, 0x7ff8}, 8, 0};

	if (!base)
		return;
	for_harts(fdt, node, IRQ_M_SOFT, &msip, set_msip);
	for_harts(fdt, node, IRQ_M_TIMER, &mtimecmp, set_mtimecmp);
	platform.mtime = base + 0xbff8;
}

static void add_mtimer(const void *fdt, int node)
{
	struct bank mtimecmp = {.stride = 8};

	if (!read_reg(fdt, node, 1, &mtimecmp.range))
		return;
	for_harts(fdt, node, IRQ_M_TIMER, &mtimecmp, set_mtimecmp);
	platform.mtime = base_of(fdt, node);
}

static void add_mswi(const void *fdt, int node)
{
	struct bank msip = {.stride = 4};

	if (read_reg(fdt, node, 0, &msip.range))
		for_harts(fdt, node, IRQ_M_SOFT, &msip, set_msip);
}

/* So many, to the power of 2, are the pages of a hart in an IMSIC: 7 at most. */
static uint32_t guest_bits(const void *fdt, int imsics)
{
	return cell(fdt, imsics, "riscv,guest-index-bits", 0) & 7;
}

/* There are interrupt controllers, of which S-mode is not to see all. */
static bool has_aia;

/*
 * A range of `reg` for each group of harts (AIA 3.6), one behind the other in the order of the
 * harts. A hart's own interrupt file is in the first of the pages that it has.
 */
static void add_imsics(const void *fdt, int node)
{
	struct bank files = {.stride = PAGE_SIZE << guest_bits(fdt, node)};

	has_aia = true;
	for (unsigned group = 0; read_reg(fdt, node, group, &files.range); group++) {
		for_harts(fdt, node, IRQ_M_EXT, &files, set_imsic);
		files.first += (files.range.size + files.stride - 1) / files.stride;
	}
}

static void add_uart(const void *fdt, int node)
{
	int stdout_node = fdt_path_offset(fdt, "/chosen");
	const char *path = text(fdt, stdout_node, "stdout-path");

	/* Options may follow the path, after a colon. */
	if (path)
		stdout_node = fdt_path_offset_namelen(fdt, path, (int)strcspn(path, ":"));
	if (platform.uart && stdout_node != node)
		return;
	platform.uart = base_of(fdt, node);
	platform.uart_shift = cell(fdt, node, "reg-shift", 0) & 7;
	platform.uart_wide = cell(fdt, node, "reg-io-width", 1) == 4;
}

/* The finisher's, which mostly is what a syscon is named for. */
static uint32_t finisher_phandle;

static void add_finisher(const void *fdt, int node)
{
	platform.finisher = base_of(fdt, node);
	finisher_phandle = fdt_get_phandle(fdt, node);
}

/* Where the registers of a node are that the walk is not at; 0: nowhere. */
static uint64_t base_of_phandle(const void *fdt, uint32_t phandle)
{
	int node = fdt_node_offset_by_phandle(fdt, phandle);
	int address = fdt_address_cells(fdt, fdt_parent_offset(fdt, node));
	unsigned count;
	const fdt32_t *reg = cells(fdt, node, "reg", &count);

	if (node < 0 || address < 1 || count < (unsigned)address)
		return 0;
	return number(reg, (unsigned)address);
}

/* What is at the phandle comes later in the tree, perhaps. */
static void add_syscon(const void *fdt, int node, struct reset *reset)
{
	reset->phandle = cell(fdt, node, "regmap", 0);
	reset->address = cell(fdt, node, "offset", 0);
	reset->value = cell(fdt, node, "value", 0);
}

static void find_syscon(const void *fdt, struct reset *reset)
{
	uint64_t base;

	base = platform.finisher && reset->phandle == finisher_phandle
		   ? platform.finisher
		   : base_of_phandle(fdt, reset->phandle);
	reset->address = base ? base + reset->address : 0;
}

static void add_poweroff(const void *fdt, int node)
{
	add_syscon(fdt, node, &platform.poweroff);
}

static void add_reboot(const void *fdt, int node)
{
	add_syscon(fdt, node, &platform.reboot);
}

static void add_pmu(const void *fdt, int node)
{
	unsigned count;
	const fdt32_t *list = cells(fdt, node, "riscv,event-to-mhpmcounters", &count);

	for (unsigned i = 0; i + 2 < count && platform.event_count < PLATFORM_EVENTS_MAX; i += 3)
		platform.events[platform.event_count++] = (struct event){
		    fdt32_to_cpu(list[i]), fdt32_to_cpu(list[i + 1]), fdt32_to_cpu(list[i + 2])};
}

/*
 * Where an APLIC's messages go (AIA 4.5.3, 4.5.4). The fields that say how harts and groups of them
 * are numbered in the addresses hold for S-mode's, too; QEMU wants them in both registers.
 */
static uint32_t msi_fields(const void *fdt, int imsics)
{
	uint32_t hart_bits = 0, group_bits = cell(fdt, imsics, "riscv,group-index-bits", 0);
	uint32_t group_shift = cell(fdt, imsics, "riscv,group-index-shift", 24);
	unsigned count;

	cells(fdt, imsics, "interrupts-extended", &count);
	while (count / 2 > BIT(hart_bits))
		hart_bits++;
	hart_bits = cell(fdt, imsics, "riscv,hart-index-bits", hart_bits);
	return ((group_shift - 24) & 31) << APLIC_HHXS_SHIFT |
	       guest_bits(fdt, imsics) << APLIC_LHXS_SHIFT | (group_bits & 7) << APLIC_HHXW_SHIFT |
	       (hart_bits & 15) << APLIC_LHXW_SHIFT;
}

static void set_msi_target(const void *fdt, int aplic, volatile uint32_t *target)
{
	uint32_t phandle = cell(fdt, aplic, "msi-parent", 0);
	uint64_t page = base_of_phandle(fdt, phandle) >> PAGE_SHIFT;

	if (!page)
		return;
	target[0] = (uint32_t)page;
	target[1] = msi_fields(fdt, fdt_node_offset_by_phandle(fdt, phandle)) |
		    ((uint32_t)(page >> 32) & APLIC_PPN_HIGH);
}

/* An APLIC of machine mode gives all its interrupts to S-mode's, and says where messages go. */
static void add_aplic(const void *fdt, int node)
{
	volatile uint32_t *aplic = (volatile uint32_t *)base_of(fdt, node);
	uint32_t sources = cell(fdt, node, "riscv,num-sources", 0);
	int child = fdt_node_offset_by_phandle(fdt, cell(fdt, node, "riscv,children", 0));

	has_aia = true;
	if (!aplic || child < 0)
		return;
	aplic[0] = 0;
	/* The index of the child is in the lower bits: the first. */
	for (uint32_t i = 1; i <= sources && i < APLIC_SOURCES; i++)
		aplic[APLIC_SOURCECFG / 4 + i - 1] = APLIC_DELEGATED;
	set_msi_target(fdt, node, &aplic[APLIC_MMSIADDRCFG / 4]);
	set_msi_target(fdt, child, &aplic[APLIC_SMSIADDRCFG / 4]);
}

static const struct device {
	const char *compatible;
	void (*add)(const void *fdt, int node);
} devices[] = {
    {"riscv,clint0", add_clint},
    {"sifive,clint0", add_clint},
    {"riscv,aclint-mtimer", add_mtimer},
    {"riscv,aclint-mswi", add_mswi},
    {"riscv,imsics", add_imsics},
    {"riscv,aplic", add_aplic},
    {"ns16550a", add_uart},
    {"sifive,test0", add_finisher},
    {"sifive,test1", add_finisher},
    {"syscon-poweroff", add_poweroff},
    {"syscon-reboot", add_reboot},
    {"riscv,pmu", add_pmu},
    {"cfi-flash", add_memory},
};

static void add_device(const void *fdt, int node)
{
	int size;
	const char *compatible = fdt_getprop(fdt, node, "compatible", &size);

	for (unsigned i = 0; compatible && i < ARRAY_SIZE(devices); i++) {
		if (!fdt_stringlist_contains(compatible, size, devices[i].compatible) ||
		    !is_available(fdt, node))
			continue;
		devices[i].add(fdt, node);
		return;
	}
}

/* Calls for each node, with `walk` for what is above it. */
static void for_nodes(const void *fdt, void (*use)(const void *fdt, int node))
{
	int depth = 0;

	for (int node = 0; node >= 0 && depth >= 0; node = fdt_next_node(fdt, node, &depth)) {
		if (depth >= DEPTH_MAX)
			continue;
		walk.depth = depth;
		walk.nodes[depth] = node;
		use(fdt, node);
	}
}

static void add_memory_or_cpu(const void *fdt, int node)
{
	const char *type = text(fdt, node, "device_type");

	if (type && strcmp(type, "memory") == 0 && is_available(fdt, node))
		add_memory(fdt, node);
	else if (type && strcmp(type, "cpu") == 0)
		add_cpu(fdt, node);
}

static void read_chosen(const void *fdt)
{
	int chosen = fdt_path_offset(fdt, "/chosen");
	unsigned first, last;
	const fdt32_t *start = cells(fdt, chosen, "linux,initrd-start", &first);
	const fdt32_t *end = cells(fdt, chosen, "linux,initrd-end", &last);
	struct range initrd = {number(start, first), 0};

	/* One that ends before it begins is S-mode's to refuse. */
	if (number(end, last) > initrd.base)
		initrd.size = number(end, last) - initrd.base;
	platform.initrd = initrd;
}

bool platform_read(const void *fdt)
{
	if (!fdt || (uint64_t)fdt % 8 != 0 || fdt_check_header(fdt) != 0 ||
	    fdt_check_full(fdt, fdt_totalsize(fdt)) != 0)
		return false;
	platform.timebase =
	    cell(fdt, fdt_path_offset(fdt, "/cpus"), "timebase-frequency", 10000000);
	for_nodes(fdt, add_memory_or_cpu);
	platform.ram_count = platform.memory_count;
	for_nodes(fdt, add_device);
	find_syscon(fdt, &platform.poweroff);
	find_syscon(fdt, &platform.reboot);
	read_chosen(fdt);
	return platform.ram_count && platform.harts;
}

static bool is_within(const struct range *ranges, unsigned count, uint64_t base, uint64_t size)
{
	unsigned i = 0;

	if (ranges_overlap(base, size ? size : 1, FW_BASE, FW_SIZE))
		return false;
	while (i < count) {
		const struct range *range = &ranges[i++];
		uint64_t offset = base - range->base;

		if (offset > range->size || (offset == range->size && size))
			continue;
		if (size <= range->size - offset)
			return true;
		/* It may go on where another begins: there is one for each NUMA node. */
		size -= range->size - offset;
		base = range->base + range->size;
		i = 0;
	}
	return false;
}

bool platform_is_ram(uint64_t base, uint64_t size)
{
	/* First, as the sum of the test for an overlap must not wrap. */
	return base + size >= base && is_within(platform.memory, platform.ram_count, base, size);
}

bool platform_is_code(uint64_t address)
{
	return address % 2 == 0 && is_within(platform.memory, platform.memory_count, address, 4);
}

/* S-mode must not take machine mode's interrupt controllers for its own. */
static void disable_machine_devices(void *fdt)
{
	int node = -1;

	while ((node = fdt_node_offset_by_compatible(fdt, node, "riscv,imsics")) >= 0) {
		unsigned count;
		const fdt32_t *list = cells(fdt, node, "interrupts-extended", &count);

		if (count > 1 && fdt32_to_cpu(list[1]) == IRQ_M_EXT)
			fdt_setprop(fdt, node, "status", "disabled", sizeof("disabled"));
	}
	node = -1;
	while ((node = fdt_node_offset_by_compatible(fdt, node, "riscv,aplic")) >= 0) {
		if (fdt_getprop(fdt, node, "riscv,children", NULL))
			fdt_setprop(fdt, node, "status", "disabled", sizeof("disabled"));
	}
}

static int append_number(void *fdt, int node, uint64_t value, int count)
{
	if (count == 1)
		return fdt_appendprop_u32(fdt, node, "reg", (uint32_t)value);
	return count == 2 ? fdt_appendprop_u64(fdt, node, "reg", value) : -FDT_ERR_BADNCELLS;
}

static int add_reserved_memory(void *fdt)
{
	int node = fdt_add_subnode(fdt, 0, "reserved-memory");

	if (node < 0)
		return node;
	fdt_setprop_u32(fdt, node, "#address-cells", 2);
	fdt_setprop_u32(fdt, node, "#size-cells", 2);
	fdt_setprop_empty(fdt, node, "ranges");
	return node;
}

#define RESERVED_NAME "mmode_resv0@80000000"

static int reserve(void *fdt)
{
	int parent = fdt_path_offset(fdt, "/reserved-memory");
	int node, error;

	if (parent < 0)
		parent = add_reserved_memory(fdt);
	/* A tree that a firmware has handed on before has one already. */
	node = fdt_subnode_offset(fdt, parent, RESERVED_NAME);
	if (node == -FDT_ERR_NOTFOUND)
		node = fdt_add_subnode(fdt, parent, RESERVED_NAME);
	if (node < 0)
		return node;
	fdt_delprop(fdt, node, "reg");
	error = append_number(fdt, node, FW_BASE, fdt_address_cells(fdt, parent));
	if (!error)
		error = append_number(fdt, node, FW_SIZE, fdt_size_cells(fdt, parent));
	return error ? error : fdt_setprop_empty(fdt, node, "no-map");
}

#define TREE_ROOM 1024

bool platform_hand_on(void *fdt)
{
	uint64_t base = (uint64_t)fdt, size = fdt_totalsize(fdt) + TREE_ROOM;

	if (!platform_is_ram(base, size) ||
	    ranges_overlap(base, size, platform.initrd.base, platform.initrd.size) ||
	    fdt_open_into(fdt, fdt, (int)size) != 0)
		return false;
	if (has_aia)
		disable_machine_devices(fdt);
	return reserve(fdt) == 0 && fdt_pack(fdt) == 0;
}
