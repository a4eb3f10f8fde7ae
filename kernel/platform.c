/* SPDX-License-Identifier: MIT */

#include "kernel/platform.h"

#include "kernel/error.h"
#include "kernel/fdt.h"
#include "kernel/log.h"
#include "riscv/csr.h"

#include <string.h>

struct platform platform;

/* A property that is a string, which ends within it; else NULL. */
static const char *read_string(const void *fdt, int node, const char *name)
{
	return fdt_stringlist_get(fdt, node, name, 0, NULL);
}

static void read_chosen(const void *fdt)
{
	int chosen = fdt_path_offset(fdt, "/chosen");
	int length;

	platform.bootargs = "";
	if (chosen < 0)
		return;

	const char *bootargs = read_string(fdt, chosen, "bootargs");

	if (bootargs)
		platform.bootargs = bootargs;
	platform.rng_seed = fdt_getprop(fdt, chosen, "rng-seed", &length);
	platform.rng_seed_size = platform.rng_seed ? (unsigned)length : 0;
}

static void read_initrd(const void *fdt)
{
	int chosen = fdt_path_offset(fdt, "/chosen");
	uint64_t start, end;

	if (chosen < 0)
		return;
	start = fdt_node_u64(fdt, chosen, "linux,initrd-start", 0);
	end = fdt_node_u64(fdt, chosen, "linux,initrd-end", 0);
	if (end > start)
		platform.initrd = (struct range){start, end - start};
}

/* Ranges that wrap or are empty are dropped; what is left is kept ordered by address. */
static void add_memory(struct range range)
{
	if (range.size == 0 || range.base + range.size < range.base)
		return;
	for (unsigned i = 0; i < platform.memory_count; i++) {
		if (ranges_overlap(range.base, range.size, platform.memory[i].base,
				   platform.memory[i].size)) {
			log_warn("/memory: two ranges overlap; the second is not used");
			return;
		}
	}
	if (platform.memory_count == PLATFORM_MEMORY_MAX) {
		log_warn("/memory: more than %u ranges; the rest is not used", PLATFORM_MEMORY_MAX);
		return;
	}

	unsigned i = platform.memory_count++;

	for (; i > 0 && platform.memory[i - 1].base > range.base; i--)
		platform.memory[i] = platform.memory[i - 1];
	platform.memory[i] = range;
}

int platform_read_memory(const void *fdt, hpa_t fdt_address)
{
	if (fdt_check_header(fdt) != 0)
		return ERR_INVAL;
	platform.fdt = fdt;
	platform.fdt_range = (struct range){fdt_address.v, fdt_totalsize(fdt)};
	read_chosen(fdt);
	read_initrd(fdt);

	int node;

	fdt_for_each_subnode(node, fdt, 0)
	{
		const char *type = read_string(fdt, node, "device_type");
		struct range range;

		if (!type || strcmp(type, "memory") != 0 || !fdt_node_enabled(fdt, node))
			continue;
		for (unsigned i = 0; !fdt_node_reg(fdt, node, i, &range.base, &range.size); i++)
			add_memory(range);
	}
	return platform.memory_count ? 0 : ERR_NOENT;
}

void platform_for_reserved(const void *fdt, void (*visit)(struct range range, bool no_map))
{
	struct range range;

	for (int i = 0; fdt_get_mem_rsv(fdt, i, &range.base, &range.size) == 0 && range.size; i++)
		visit(range, false);

	int parent = fdt_path_offset(fdt, "/reserved-memory");
	int node;

	if (parent < 0)
		return;
	/* Its addresses are those of the root, even where it has no `ranges` that says so. */
	fdt_for_each_subnode(node, fdt, parent)
	{
		bool no_map = fdt_getprop(fdt, node, "no-map", NULL) != NULL;

		if (!fdt_node_enabled(fdt, node))
			continue;
		for (unsigned i = 0; !fdt_node_cells(fdt, node, i, &range.base, &range.size); i++)
			visit(range, no_map);
	}
}

/* A device's registers; size 0: it has none that the hypervisor could reach. */
static struct range read_registers(const void *fdt, int node)
{
	struct range range;

	if (fdt_node_reg(fdt, node, 0, &range.base, &range.size) != 0)
		return (struct range){0, 0};
	return range;
}

/* Its first interrupt, or 0. */
static uint32_t read_interrupt(const void *fdt, int node)
{
	uint32_t source;

	return fdt_node_interrupt(fdt, node, 0, &source) == 0 ? source : 0;
}

/* The first device of that kind that may be used, or a negative number. */
static int find_device(const void *fdt, const char *compatible)
{
	int node = -1;

	do
		node = fdt_node_offset_by_compatible(fdt, node, compatible);
	while (node >= 0 && !fdt_node_enabled(fdt, node));
	return node;
}

static struct range read_device(const void *fdt, const char *compatible)
{
	int node = find_device(fdt, compatible);

	return node < 0 ? (struct range){0, 0} : read_registers(fdt, node);
}

static bool is_uart(const void *fdt, int node)
{
	return fdt_node_check_compatible(fdt, node, "ns16550a") == 0 ||
	       fdt_node_check_compatible(fdt, node, "ns16550") == 0 ||
	       fdt_node_check_compatible(fdt, node, "snps,dw-apb-uart") == 0;
}

static void read_uart(const void *fdt)
{
	int chosen = fdt_path_offset(fdt, "/chosen");
	const char *path = chosen >= 0 ? read_string(fdt, chosen, "stdout-path") : NULL;

	if (!path)
		return;

	/* Options may follow the path: "serial0:115200n8". */
	int node = fdt_path_offset_namelen(fdt, path, (int)strcspn(path, ":"));

	if (node < 0 || !is_uart(fdt, node) || !fdt_node_enabled(fdt, node))
		return;

	struct range registers = read_registers(fdt, node);
	uint64_t offset = fdt_node_u64(fdt, node, "reg-offset", 0);
	uint64_t shift = fdt_node_u64(fdt, node, "reg-shift", 0);

	if (offset >= registers.size)
		return;
	platform.uart = (struct platform_uart){
	    .registers = {registers.base + offset, registers.size - offset},
	    .stride = 1U << (shift & 7),
	    .width = fdt_node_u64(fdt, node, "reg-io-width", 1) == 4 ? 4 : 1,
	    .interrupt = read_interrupt(fdt, node),
	};
}

static void read_plic(const void *fdt)
{
	static const char *const names[] = {"riscv,plic0", "sifive,plic-1.0.0", "thead,c900-plic"};
	int node = -1;

	for (unsigned i = 0; i < ARRAY_SIZE(names) && node < 0; i++)
		node = find_device(fdt, names[i]);
	platform.plic_node = node;
	if (node < 0)
		return;
	platform.plic = read_registers(fdt, node);
	platform.plic_sources =
	    (uint32_t)min_u64(fdt_node_u64(fdt, node, "riscv,ndev", 0), PLATFORM_PLIC_SOURCES_MAX);
}

/* Keeps them ordered by address. */
static void add_virtio(struct platform_virtio place)
{
	unsigned i;

	if (platform.virtio_count == PLATFORM_VIRTIO_MAX)
		return;
	i = platform.virtio_count++;
	for (; i > 0 && platform.virtio[i - 1].registers.base > place.registers.base; i--)
		platform.virtio[i] = platform.virtio[i - 1];
	platform.virtio[i] = place;
}

static void read_virtio(const void *fdt)
{
	int node = -1;

	while ((node = fdt_node_offset_by_compatible(fdt, node, "virtio,mmio")) >= 0) {
		struct platform_virtio place = {
		    .registers = read_registers(fdt, node),
		    .interrupt = read_interrupt(fdt, node),
		    .node = node,
		};

		if (fdt_node_enabled(fdt, node) && place.registers.size)
			add_virtio(place);
	}
}

void platform_read_devices(void)
{
	const void *fdt = platform.fdt;
	int cpus = fdt_path_offset(fdt, "/cpus");

	fdt_index(fdt);
	read_chosen(fdt);
	platform.timebase = cpus >= 0 ? fdt_node_u64(fdt, cpus, "timebase-frequency", 0) : 0;
	read_uart(fdt);
	read_plic(fdt);
	read_virtio(fdt);
	platform.finisher = read_device(fdt, "sifive,test1");
	platform.rtc = read_device(fdt, "google,goldfish-rtc");
}

#define CLINT_MTIME 0xbff8

uint64_t platform_mtime(void)
{
	struct range range = read_device(platform.fdt, "riscv,aclint-mtimer");

	if (range.size)
		return range.base;
	range = read_device(platform.fdt, "sifive,clint0");
	return range.size >= CLINT_MTIME + sizeof(uint64_t) ? range.base + CLINT_MTIME : 0;
}

/* The hart id of the cpu node above an interrupt controller with this phandle. */
static int hart_of_controller(const void *fdt, uint32_t phandle, uint64_t *hart_id)
{
	int node = fdt_find_phandle(fdt, phandle);
	int cpu = node >= 0 ? fdt_find_parent(fdt, node) : -1;
	uint64_t size;

	return cpu >= 0 ? fdt_node_reg(fdt, cpu, 0, hart_id, &size) : ERR_NOENT;
}

int platform_plic_context(uint64_t hart_id, uint32_t *context)
{
	int length;
	const fdt32_t *entries =
	    platform.plic_node < 0
		? NULL
		: fdt_getprop(platform.fdt, platform.plic_node, "interrupts-extended", &length);

	if (!entries)
		return ERR_NOENT;
	for (uint32_t i = 0; i < (uint32_t)length / 8; i++) {
		uint64_t id;

		if (fdt32_to_cpu(entries[2 * (size_t)i + 1]) != IRQ_S_EXT ||
		    hart_of_controller(platform.fdt, fdt32_to_cpu(entries[2 * (size_t)i]), &id) !=
			0)
			continue;
		if (id == hart_id) {
			*context = i;
			return 0;
		}
	}
	return ERR_NOENT;
}
