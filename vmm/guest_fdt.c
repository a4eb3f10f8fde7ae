/* SPDX-License-Identifier: MIT */
#include "vmm/guest_fdt.h"

#include <libfdt.h>
#include <string.h>

#include "kernel/error.h"
#include "vmm/guest_fdt_host.h"
#include "vmm/machine.h"
#include "vmm/tree_writer.h"

#define ISA_BASE    "rv64"
#define SERIAL_PATH "/soc/serial@10000000"

/* Harts whose interrupts the PLIC's property lists in one stretch. */
#define CONTEXT_BATCH 64

enum { PHANDLE_PLIC = 1, PHANDLE_TEST = 2, PHANDLE_HARTS = 3 };

/* Priv. 1.13, 3.1.9: the numbers of a hart's external interrupts. */
#define IRQ_S_EXTERNAL 9
#define IRQ_M_EXTERNAL 11

/*
 * All names are known beforehand, so that they make the strings block as it stands, and a name is
 * its offset there.
 */
#define PROPERTY_NAMES(NAME)                               \
	NAME(address_cells, "#address-cells")              \
	NAME(size_cells, "#size-cells")                    \
	NAME(interrupt_cells, "#interrupt-cells")          \
	NAME(compatible, "compatible")                     \
	NAME(model, "model")                               \
	NAME(value, "value")                               \
	NAME(offset, "offset")                             \
	NAME(regmap, "regmap")                             \
	NAME(device_type, "device_type")                   \
	NAME(reg, "reg")                                   \
	NAME(timebase_frequency, "timebase-frequency")     \
	NAME(phandle, "phandle")                           \
	NAME(status, "status")                             \
	NAME(cbop_block_size, "riscv,cbop-block-size")     \
	NAME(cboz_block_size, "riscv,cboz-block-size")     \
	NAME(cbom_block_size, "riscv,cbom-block-size")     \
	NAME(isa_extensions, "riscv,isa-extensions")       \
	NAME(isa_base, "riscv,isa-base")                   \
	NAME(isa, "riscv,isa")                             \
	NAME(mmu_type, "mmu-type")                         \
	NAME(interrupt_controller, "interrupt-controller") \
	NAME(cpu, "cpu")                                   \
	NAME(serial0, "serial0")                           \
	NAME(bootargs, "bootargs")                         \
	NAME(stdout_path, "stdout-path")                   \
	NAME(initrd_start, "linux,initrd-start")           \
	NAME(initrd_end, "linux,initrd-end")               \
	NAME(rng_seed, "rng-seed")                         \
	NAME(ranges, "ranges")                             \
	NAME(interrupts, "interrupts")                     \
	NAME(interrupt_parent, "interrupt-parent")         \
	NAME(clock_frequency, "clock-frequency")           \
	NAME(ndev, "riscv,ndev")                           \
	NAME(bank_width, "bank-width")                     \
	NAME(interrupts_extended, "interrupts-extended")

struct names {
#define NAME_MEMBER(member, string) char member[sizeof(string)];
	PROPERTY_NAMES(NAME_MEMBER)
};

static const struct names names = {
#define NAME_VALUE(member, string) .member = string,
    PROPERTY_NAMES(NAME_VALUE)};

#define NAME(member) ((uint32_t)offsetof(struct names, member))

struct writer {
	struct tree_writer tree;
	const struct guest_fdt_info *info;
	/* The host's devices that have been written, and how long the names of what is copied are.
	 */
	unsigned device_count;
	const struct guest_fdt_device *devices[GUEST_FDT_DEVICES_MAX];
	size_t copied_names;
};

static void put_ranges(struct writer *writer, const struct range *ranges, unsigned count)
{
	tree_begin_property(&writer->tree, NAME(reg), 2 * sizeof(fdt64_t) * count);
	for (unsigned i = 0; i < count; i++) {
		fdt64_t reg[2] = {cpu_to_fdt64(ranges[i].base), cpu_to_fdt64(ranges[i].size)};

		tree_put_raw(&writer->tree, reg, sizeof(reg));
	}
}

static void put_range(struct writer *writer, uint64_t base, uint64_t size)
{
	put_ranges(writer, &(struct range){base, size}, 1);
}

static void put_interrupt(struct writer *writer, uint32_t source)
{
	tree_put_cell(&writer->tree, NAME(interrupts), source);
	tree_put_cell(&writer->tree, NAME(interrupt_parent), PHANDLE_PLIC);
}

static uint32_t hart_phandle(unsigned hart)
{
	return PHANDLE_HARTS + 2 * hart;
}

static uint32_t hart_intc_phandle(unsigned hart)
{
	return hart_phandle(hart) + 1;
}

/* poweroff or reboot: a value that the syscon's driver writes to the test finisher. */
static void write_syscon(struct writer *writer, const char *name, const char *compatible,
			 uint32_t value)
{
	tree_begin_node(&writer->tree, name);
	tree_put_cell(&writer->tree, NAME(value), value);
	tree_put_cell(&writer->tree, NAME(offset), 0);
	tree_put_cell(&writer->tree, NAME(regmap), PHANDLE_TEST);
	tree_put_string(&writer->tree, NAME(compatible), compatible);
	tree_end_node(&writer->tree);
}

/* Both banks are one node, which has the name of the first. */
static void write_flash(struct writer *writer)
{
	struct range banks[MACHINE_FLASH_BANKS];
	unsigned count = 0;

	for (unsigned bank = 0; bank < MACHINE_FLASH_BANKS; bank++) {
		if (writer->info->flash_banks & 1U << bank)
			banks[count++] =
			    (struct range){MACHINE_FLASH_BASE((uint64_t)bank), MACHINE_FLASH_SIZE};
	}
	if (count == 0)
		return;
	tree_begin_unit(&writer->tree, "flash", banks[0].base);
	tree_put_cell(&writer->tree, NAME(bank_width), 4);
	put_ranges(writer, banks, count);
	tree_put_string(&writer->tree, NAME(compatible), "cfi-flash");
	tree_end_node(&writer->tree);
}

static void write_memory(struct writer *writer)
{
	tree_begin_unit(&writer->tree, "memory", writer->info->ram_base);
	tree_put_string(&writer->tree, NAME(device_type), "memory");
	put_range(writer, writer->info->ram_base, writer->info->ram_size);
	tree_end_node(&writer->tree);
}

static void put_extension(struct writer *writer, const char *name, size_t length)
{
	tree_put_raw(&writer->tree, name, length);
	tree_put_raw(&writer->tree, "", 1);
}

/*
 * Unpriv., "ISA Extension Naming Conventions": letters one by one up to the first underscore
 * or long name, then long names with underscores between them.
 */
static void put_extensions(struct writer *writer, const char *isa)
{
	const char *name = isa + strlen(ISA_BASE);

	for (; *name && !strchr("_zsx", *name); name++)
		put_extension(writer, name, 1);
	while (*name) {
		const char *end = strchr(name, '_');
		size_t length = end ? (size_t)(end - name) : strlen(name);

		if (length != 0)
			put_extension(writer, name, length);
		name += end ? length + 1 : length;
	}
}

/* The hart's own interrupt controller. */
static void write_hart_intc(struct writer *writer, unsigned hart)
{
	tree_begin_node(&writer->tree, "interrupt-controller");
	tree_put_cell(&writer->tree, NAME(interrupt_cells), 1);
	tree_put_flag(&writer->tree, NAME(interrupt_controller));
	tree_put_string(&writer->tree, NAME(compatible), "riscv,cpu-intc");
	tree_put_cell(&writer->tree, NAME(phandle), hart_intc_phandle(hart));
	tree_end_node(&writer->tree);
}

static void write_isa(struct writer *writer)
{
	const char *isa = writer->info->isa;
	size_t start = writer->tree.used;

	tree_begin_property(&writer->tree, NAME(isa_extensions), 0);
	put_extensions(writer, isa);
	tree_end_property(&writer->tree, start);
	tree_put_string(&writer->tree, NAME(isa_base), "rv64i");
	tree_put_string(&writer->tree, NAME(isa), isa);
	tree_preempt(&writer->tree);
}

static void write_hart(struct writer *writer, unsigned hart)
{
	const struct guest_fdt_info *info = writer->info;

	tree_begin_unit(&writer->tree, "cpu", hart);
	tree_put_cell(&writer->tree, NAME(phandle), hart_phandle(hart));
	tree_put_string(&writer->tree, NAME(device_type), "cpu");
	tree_put_cell(&writer->tree, NAME(reg), hart);
	tree_put_string(&writer->tree, NAME(status), "okay");
	tree_put_string(&writer->tree, NAME(compatible), "riscv");
	if (info->cbop_block_size)
		tree_put_cell(&writer->tree, NAME(cbop_block_size), info->cbop_block_size);
	if (info->cboz_block_size)
		tree_put_cell(&writer->tree, NAME(cboz_block_size), info->cboz_block_size);
	if (info->cbom_block_size)
		tree_put_cell(&writer->tree, NAME(cbom_block_size), info->cbom_block_size);
	write_isa(writer);
	tree_put_string(&writer->tree, NAME(mmu_type), info->mmu_type);
	write_hart_intc(writer, hart);
	tree_end_node(&writer->tree);
}

static void write_cpu_map(struct writer *writer)
{
	tree_begin_node(&writer->tree, "cpu-map");
	tree_begin_node(&writer->tree, "cluster0");
	for (unsigned hart = 0; hart < writer->info->hart_count; hart++) {
		tree_begin_numbered(&writer->tree, "core", hart);
		tree_put_cell(&writer->tree, NAME(cpu), hart_phandle(hart));
		tree_end_node(&writer->tree);
	}
	tree_end_node(&writer->tree);
	tree_end_node(&writer->tree);
}

static void write_cpus(struct writer *writer)
{
	tree_begin_node(&writer->tree, "cpus");
	tree_put_cell(&writer->tree, NAME(address_cells), 1);
	tree_put_cell(&writer->tree, NAME(size_cells), 0);
	tree_put_cell(&writer->tree, NAME(timebase_frequency), writer->info->timebase);
	for (unsigned hart = 0; hart < writer->info->hart_count; hart++)
		write_hart(writer, hart);
	write_cpu_map(writer);
	tree_end_node(&writer->tree);
}

static void write_aliases(struct writer *writer)
{
	tree_begin_node(&writer->tree, "aliases");
	tree_put_string(&writer->tree, NAME(serial0), SERIAL_PATH);
	tree_end_node(&writer->tree);
}

static void write_chosen(struct writer *writer)
{
	const struct guest_fdt_info *info = writer->info;

	tree_begin_node(&writer->tree, "chosen");
	if (info->bootargs)
		tree_put_string(&writer->tree, NAME(bootargs), info->bootargs);
	tree_put_string(&writer->tree, NAME(stdout_path), SERIAL_PATH);
	if (info->ramdisk_size) {
		tree_put_u64(&writer->tree, NAME(initrd_start), info->ramdisk);
		tree_put_u64(&writer->tree, NAME(initrd_end), info->ramdisk + info->ramdisk_size);
	}
	if (info->rng_seed_size)
		tree_put_bytes(&writer->tree, NAME(rng_seed), info->rng_seed, info->rng_seed_size);
	tree_end_node(&writer->tree);
}

/*
 * The names of properties that are copied follow the known ones in the strings block, in the order
 * in which the devices were written.
 */
static void copy_properties(struct writer *writer, const struct guest_fdt_device *device)
{
	struct guest_fdt_copy copy = {0};

	while (guest_fdt_next_copy(device, &copy)) {
		tree_put_bytes(&writer->tree, (uint32_t)(sizeof(names) + writer->copied_names),
			       copy.value, copy.size);
		writer->copied_names += strlen(copy.name) + 1;
	}
}

static void write_copied_names(struct writer *writer, const struct guest_fdt_device *device)
{
	struct guest_fdt_copy copy = {0};

	while (guest_fdt_next_copy(device, &copy))
		tree_put_raw(&writer->tree, copy.name, strlen(copy.name) + 1);
	tree_preempt(&writer->tree);
}

static void put_host_interrupts(struct writer *writer, const struct guest_fdt_device *device)
{
	tree_begin_property(&writer->tree, NAME(interrupts),
			    sizeof(fdt32_t) * device->interrupt_count);
	for (unsigned i = 0; i < device->interrupt_count; i++)
		tree_put_raw_u32(&writer->tree, device->interrupts[i]);
	tree_put_cell(&writer->tree, NAME(interrupt_parent), PHANDLE_PLIC);
}

/* Writes it unless it is there already. */
static void write_host_device(struct writer *writer, const struct guest_fdt_device *device)
{
	for (unsigned i = 0; i < writer->device_count; i++) {
		if (writer->devices[i] == device)
			return;
	}
	writer->devices[writer->device_count++] = device;
	tree_begin_node(&writer->tree, fdt_get_name(device->host, device->node, NULL));
	put_ranges(writer, device->ranges, device->range_count);
	if (device->interrupt_count > 0)
		put_host_interrupts(writer, device);
	copy_properties(writer, device);
	tree_end_node(&writer->tree);
}

/* Writes what takes the place of the guest's own device, if there is something. */
static bool write_instead(struct writer *writer, uint64_t base, uint64_t size, uint32_t interrupt)
{
	const struct guest_fdt_info *info = writer->info;
	bool instead = false;

	for (unsigned i = 0; i < info->device_count; i++) {
		if (!guest_fdt_takes(&info->devices[i], base, size, interrupt))
			continue;
		instead = true;
		if (guest_fdt_takes(&info->devices[i], base, size, 0))
			write_host_device(writer, &info->devices[i]);
	}
	return instead;
}

static void write_rtc(struct writer *writer)
{
	if (write_instead(writer, MACHINE_RTC_BASE, MACHINE_RTC_SIZE, 0))
		return;
	tree_begin_unit(&writer->tree, "rtc", MACHINE_RTC_BASE);
	put_interrupt(writer, MACHINE_RTC_IRQ);
	put_range(writer, MACHINE_RTC_BASE, MACHINE_RTC_SIZE);
	tree_put_string(&writer->tree, NAME(compatible), "google,goldfish-rtc");
	tree_end_node(&writer->tree);
}

static void write_uart(struct writer *writer)
{
	tree_begin_unit(&writer->tree, "serial", MACHINE_UART_BASE);
	put_interrupt(writer, MACHINE_UART_IRQ);
	tree_put_cell(&writer->tree, NAME(clock_frequency), MACHINE_UART_CLOCK);
	put_range(writer, MACHINE_UART_BASE, MACHINE_UART_SIZE);
	tree_put_string(&writer->tree, NAME(compatible), "ns16550a");
	tree_end_node(&writer->tree);
}

static void write_test(struct writer *writer)
{
	tree_begin_unit(&writer->tree, "test", MACHINE_TEST_BASE);
	tree_put_cell(&writer->tree, NAME(phandle), PHANDLE_TEST);
	put_range(writer, MACHINE_TEST_BASE, MACHINE_TEST_SIZE);
	tree_put_strings(&writer->tree, NAME(compatible), "sifive,test1\0sifive,test0\0syscon");
	tree_end_node(&writer->tree);
}

/* In ascending order, so that guests, which number as they find, begin with slot 0. */
static void write_virtio_slots(struct writer *writer)
{
	for (unsigned slot = 0; slot < MACHINE_VIRTIO_SLOTS; slot++) {
		if (write_instead(writer, MACHINE_VIRTIO_BASE((uint64_t)slot), MACHINE_VIRTIO_SIZE,
				  MACHINE_VIRTIO_IRQ(slot)))
			continue;
		tree_begin_unit(&writer->tree, "virtio_mmio", MACHINE_VIRTIO_BASE(slot));
		put_interrupt(writer, MACHINE_VIRTIO_IRQ(slot));
		put_range(writer, MACHINE_VIRTIO_BASE(slot), MACHINE_VIRTIO_SIZE);
		tree_put_string(&writer->tree, NAME(compatible), "virtio,mmio");
		tree_end_node(&writer->tree);
	}
}

/* Two contexts a hart: the one for M-mode first, as on `virt`. */
static void write_plic_contexts(struct writer *writer)
{
	unsigned hart_count = writer->info->hart_count;

	tree_begin_property(&writer->tree, NAME(interrupts_extended),
			    sizeof(fdt32_t) * 4 * hart_count);
	for (unsigned hart = 0; hart < hart_count; hart++) {
		tree_put_raw_u32(&writer->tree, hart_intc_phandle(hart));
		tree_put_raw_u32(&writer->tree, IRQ_M_EXTERNAL);
		tree_put_raw_u32(&writer->tree, hart_intc_phandle(hart));
		tree_put_raw_u32(&writer->tree, IRQ_S_EXTERNAL);
		if (hart % CONTEXT_BATCH == CONTEXT_BATCH - 1)
			tree_preempt(&writer->tree);
	}
}

static void write_plic(struct writer *writer)
{
	tree_begin_unit(&writer->tree, "plic", MACHINE_PLIC_BASE);
	tree_put_cell(&writer->tree, NAME(phandle), PHANDLE_PLIC);
	tree_put_cell(&writer->tree, NAME(ndev), MACHINE_PLIC_SOURCES);
	put_range(writer, MACHINE_PLIC_BASE, MACHINE_PLIC_SIZE);
	write_plic_contexts(writer);
	tree_put_flag(&writer->tree, NAME(interrupt_controller));
	tree_put_strings(&writer->tree, NAME(compatible), "sifive,plic-1.0.0\0riscv,plic0");
	tree_put_cell(&writer->tree, NAME(address_cells), 0);
	tree_put_cell(&writer->tree, NAME(interrupt_cells), 1);
	tree_end_node(&writer->tree);
}

static void write_soc(struct writer *writer)
{
	tree_begin_node(&writer->tree, "soc");
	tree_put_cell(&writer->tree, NAME(address_cells), 2);
	tree_put_cell(&writer->tree, NAME(size_cells), 2);
	tree_put_string(&writer->tree, NAME(compatible), "simple-bus");
	tree_put_flag(&writer->tree, NAME(ranges));
	write_rtc(writer);
	write_uart(writer);
	write_test(writer);
	write_virtio_slots(writer);
	for (unsigned i = 0; i < writer->info->device_count; i++)
		write_host_device(writer, &writer->info->devices[i]);
	write_plic(writer);
	tree_end_node(&writer->tree);
}

static void write_root(struct writer *writer)
{
	tree_begin_node(&writer->tree, "");
	tree_put_cell(&writer->tree, NAME(address_cells), 2);
	tree_put_cell(&writer->tree, NAME(size_cells), 2);
	tree_put_string(&writer->tree, NAME(compatible), "riscv-virtio");
	tree_put_string(&writer->tree, NAME(model), "riscv-virtio,qemu");
	write_syscon(writer, "poweroff", "syscon-poweroff", MACHINE_TEST_POWEROFF);
	write_syscon(writer, "reboot", "syscon-reboot", MACHINE_TEST_REBOOT);
	write_flash(writer);
	write_memory(writer);
	write_cpus(writer);
	write_aliases(writer);
	write_chosen(writer);
	write_soc(writer);
	tree_end_node(&writer->tree);
}

/* Where the blocks lie: header, memory reservations (none, but their end), tree, names. */
#define RESERVE_OFFSET (sizeof(struct fdt_header))
#define STRUCT_OFFSET  (RESERVE_OFFSET + sizeof(struct fdt_reserve_entry))

_Static_assert(RESERVE_OFFSET % 8 == 0 && STRUCT_OFFSET % 4 == 0, "as the format aligns them");

/* Devicetree Specification 0.4, 5.2. */
static void write_header(void *buf, size_t strings_offset, size_t names_size, size_t size)
{
	fdt_set_magic(buf, FDT_MAGIC);
	fdt_set_totalsize(buf, (uint32_t)size);
	fdt_set_off_mem_rsvmap(buf, RESERVE_OFFSET);
	fdt_set_off_dt_struct(buf, STRUCT_OFFSET);
	fdt_set_size_dt_struct(buf, (uint32_t)(strings_offset - STRUCT_OFFSET));
	fdt_set_off_dt_strings(buf, (uint32_t)strings_offset);
	fdt_set_size_dt_strings(buf, (uint32_t)names_size);
	fdt_set_version(buf, 17);
	fdt_set_last_comp_version(buf, 16);
	fdt_set_boot_cpuid_phys(buf, 0);
}

/* Writes what fits of the tree, and returns the size of all of it. */
static size_t write_tree(void *buf, size_t size, const struct guest_fdt_info *info)
{
	static const uint8_t zeroes[STRUCT_OFFSET];
	struct writer writer = {.tree = {.buf = buf, .size = size, .preempt = info->preempt},
				.info = info};
	size_t strings_offset;

	tree_put_raw(&writer.tree, zeroes, sizeof(zeroes));
	write_root(&writer);
	tree_put_raw_u32(&writer.tree, FDT_END);
	strings_offset = writer.tree.used;
	tree_put_raw(&writer.tree, &names, sizeof(names));
	for (unsigned i = 0; i < writer.device_count; i++)
		write_copied_names(&writer, writer.devices[i]);
	if (buf && writer.tree.used <= size)
		write_header(buf, strings_offset, writer.tree.used - strings_offset,
			     writer.tree.used);
	return writer.tree.used;
}

size_t guest_fdt_size(const struct guest_fdt_info *info)
{
	struct guest_fdt_info largest = *info;

	largest.ramdisk_size = 1;
	return write_tree(NULL, 0, &largest);
}

int guest_fdt_write(void *buf, size_t size, const struct guest_fdt_info *info)
{
	return write_tree(buf, size, info) <= size ? 0 : ERR_TOO_LARGE;
}
