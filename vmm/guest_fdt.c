/* SPDX-License-Identifier: MIT */
#include "vmm/guest_fdt.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "kernel/error.h"
#include "vmm/guest_fdt_host.h"
#include "vmm/machine.h"

#define NODE_NAME_MAX 40
#define ISA_BASE      "rv64"
#define SERIAL_PATH   "/soc/serial@10000000"

/* Harts whose interrupts the PLIC's property lists in one stretch. */
#define CONTEXT_BATCH 64

enum { PHANDLE_PLIC = 1, PHANDLE_TEST = 2, PHANDLE_HARTS = 3 };

/* Priv. 1.13, 3.1.9: the numbers of a hart's external interrupts. */
#define IRQ_S_EXTERNAL 9
#define IRQ_M_EXTERNAL 11

/*
 * The tree is written without libfdt: its fdt_finish() visits every property in one stretch,
 * which takes five million instructions for 512 harts. All names are known beforehand, so that
 * they make the strings block as it stands, and a name is its offset there.
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

/* What is written beyond the buffer's end is only counted. */
struct writer {
	uint8_t *buf;
	size_t size, used;
	const struct guest_fdt_info *info;
	/* The host's devices that have been written, and how long the names of what is copied are.
	 */
	unsigned device_count;
	const struct guest_fdt_device *devices[GUEST_FDT_DEVICES_MAX];
	size_t copied_names;
};

static void preempt(const struct writer *writer)
{
	if (writer->info->preempt)
		writer->info->preempt();
}

static void put_raw(struct writer *writer, const void *data, size_t size)
{
	if (writer->used <= writer->size && size <= writer->size - writer->used)
		memcpy(writer->buf + writer->used, data, size);
	writer->used += size;
}

static void put_raw_u32(struct writer *writer, uint32_t value)
{
	fdt32_t cell = cpu_to_fdt32(value);

	put_raw(writer, &cell, sizeof(cell));
}

/* Devicetree Specification 0.4, 5.4: tokens are aligned to four bytes. */
static void put_padding(struct writer *writer)
{
	static const uint8_t zeroes[FDT_TAGSIZE];

	put_raw(writer, zeroes, align_up(writer->used, FDT_TAGSIZE) - writer->used);
}

static void begin_node(struct writer *writer, const char *name)
{
	put_raw_u32(writer, FDT_BEGIN_NODE);
	put_raw(writer, name, strlen(name) + 1);
	put_padding(writer);
}

static void begin_unit(struct writer *writer, const char *name, uint64_t address)
{
	char full[NODE_NAME_MAX];

	snprintf(full, sizeof(full), "%s@%lx", name, address);
	begin_node(writer, full);
}

static void begin_numbered(struct writer *writer, const char *name, unsigned number)
{
	char full[NODE_NAME_MAX];

	snprintf(full, sizeof(full), "%s%u", name, number);
	begin_node(writer, full);
}

static void end_node(struct writer *writer)
{
	put_raw_u32(writer, FDT_END_NODE);
	preempt(writer);
}

static void begin_property(struct writer *writer, uint32_t name, size_t size)
{
	put_raw_u32(writer, FDT_PROP);
	put_raw_u32(writer, (uint32_t)size);
	put_raw_u32(writer, name);
}

static void put_bytes(struct writer *writer, uint32_t name, const void *data, size_t size)
{
	begin_property(writer, name, size);
	put_raw(writer, data, size);
	put_padding(writer);
}

static void put_flag(struct writer *writer, uint32_t name)
{
	begin_property(writer, name, 0);
}

static void put_string(struct writer *writer, uint32_t name, const char *string)
{
	put_bytes(writer, name, string, strlen(string) + 1);
}

/* A list of strings, given as a literal with "\0" between them. */
#define put_strings(writer, name, literal) put_bytes(writer, name, literal, sizeof(literal))

static void put_cell(struct writer *writer, uint32_t name, uint32_t cell)
{
	begin_property(writer, name, sizeof(cell));
	put_raw_u32(writer, cell);
}

static void put_u64(struct writer *writer, uint32_t name, uint64_t value)
{
	fdt64_t number = cpu_to_fdt64(value);

	put_bytes(writer, name, &number, sizeof(number));
}

static void put_ranges(struct writer *writer, const struct range *ranges, unsigned count)
{
	begin_property(writer, NAME(reg), 2 * sizeof(fdt64_t) * count);
	for (unsigned i = 0; i < count; i++) {
		fdt64_t reg[2] = {cpu_to_fdt64(ranges[i].base), cpu_to_fdt64(ranges[i].size)};

		put_raw(writer, reg, sizeof(reg));
	}
}

static void put_range(struct writer *writer, uint64_t base, uint64_t size)
{
	put_ranges(writer, &(struct range){base, size}, 1);
}

static void put_interrupt(struct writer *writer, uint32_t source)
{
	put_cell(writer, NAME(interrupts), source);
	put_cell(writer, NAME(interrupt_parent), PHANDLE_PLIC);
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
	begin_node(writer, name);
	put_cell(writer, NAME(value), value);
	put_cell(writer, NAME(offset), 0);
	put_cell(writer, NAME(regmap), PHANDLE_TEST);
	put_string(writer, NAME(compatible), compatible);
	end_node(writer);
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
	begin_unit(writer, "flash", banks[0].base);
	put_cell(writer, NAME(bank_width), 4);
	put_ranges(writer, banks, count);
	put_string(writer, NAME(compatible), "cfi-flash");
	end_node(writer);
}

static void write_memory(struct writer *writer)
{
	begin_unit(writer, "memory", writer->info->ram_base);
	put_string(writer, NAME(device_type), "memory");
	put_range(writer, writer->info->ram_base, writer->info->ram_size);
	end_node(writer);
}

static void put_extension(struct writer *writer, const char *name, size_t length)
{
	put_raw(writer, name, length);
	put_raw(writer, "", 1);
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
	begin_node(writer, "interrupt-controller");
	put_cell(writer, NAME(interrupt_cells), 1);
	put_flag(writer, NAME(interrupt_controller));
	put_string(writer, NAME(compatible), "riscv,cpu-intc");
	put_cell(writer, NAME(phandle), hart_intc_phandle(hart));
	end_node(writer);
}

static void write_isa(struct writer *writer)
{
	const char *isa = writer->info->isa;
	size_t start = writer->used, value;

	begin_property(writer, NAME(isa_extensions), 0);
	value = writer->used;
	put_extensions(writer, isa);
	if (writer->buf && writer->used <= writer->size)
		fdt32_st(writer->buf + start + offsetof(struct fdt_property, len),
			 (uint32_t)(writer->used - value));
	put_padding(writer);
	put_string(writer, NAME(isa_base), "rv64i");
	put_string(writer, NAME(isa), isa);
	preempt(writer);
}

static void write_hart(struct writer *writer, unsigned hart)
{
	const struct guest_fdt_info *info = writer->info;

	begin_unit(writer, "cpu", hart);
	put_cell(writer, NAME(phandle), hart_phandle(hart));
	put_string(writer, NAME(device_type), "cpu");
	put_cell(writer, NAME(reg), hart);
	put_string(writer, NAME(status), "okay");
	put_string(writer, NAME(compatible), "riscv");
	if (info->cbop_block_size)
		put_cell(writer, NAME(cbop_block_size), info->cbop_block_size);
	if (info->cboz_block_size)
		put_cell(writer, NAME(cboz_block_size), info->cboz_block_size);
	if (info->cbom_block_size)
		put_cell(writer, NAME(cbom_block_size), info->cbom_block_size);
	write_isa(writer);
	put_string(writer, NAME(mmu_type), info->mmu_type);
	write_hart_intc(writer, hart);
	end_node(writer);
}

static void write_cpu_map(struct writer *writer)
{
	begin_node(writer, "cpu-map");
	begin_node(writer, "cluster0");
	for (unsigned hart = 0; hart < writer->info->hart_count; hart++) {
		begin_numbered(writer, "core", hart);
		put_cell(writer, NAME(cpu), hart_phandle(hart));
		end_node(writer);
	}
	end_node(writer);
	end_node(writer);
}

static void write_cpus(struct writer *writer)
{
	begin_node(writer, "cpus");
	put_cell(writer, NAME(address_cells), 1);
	put_cell(writer, NAME(size_cells), 0);
	put_cell(writer, NAME(timebase_frequency), writer->info->timebase);
	for (unsigned hart = 0; hart < writer->info->hart_count; hart++)
		write_hart(writer, hart);
	write_cpu_map(writer);
	end_node(writer);
}

static void write_aliases(struct writer *writer)
{
	begin_node(writer, "aliases");
	put_string(writer, NAME(serial0), SERIAL_PATH);
	end_node(writer);
}

static void write_chosen(struct writer *writer)
{
	const struct guest_fdt_info *info = writer->info;

	begin_node(writer, "chosen");
	if (info->bootargs)
		put_string(writer, NAME(bootargs), info->bootargs);
	put_string(writer, NAME(stdout_path), SERIAL_PATH);
	if (info->ramdisk_size) {
		put_u64(writer, NAME(initrd_start), info->ramdisk);
		put_u64(writer, NAME(initrd_end), info->ramdisk + info->ramdisk_size);
	}
	if (info->rng_seed_size)
		put_bytes(writer, NAME(rng_seed), info->rng_seed, info->rng_seed_size);
	end_node(writer);
}

/*
 * The names of properties that are copied follow the known ones in the strings block, in the order
 * in which the devices were written.
 */
static void copy_properties(struct writer *writer, const struct guest_fdt_device *device)
{
	struct guest_fdt_copy copy = {0};

	while (guest_fdt_next_copy(device, &copy)) {
		put_bytes(writer, (uint32_t)(sizeof(names) + writer->copied_names), copy.value,
			  copy.size);
		writer->copied_names += strlen(copy.name) + 1;
	}
}

static void write_copied_names(struct writer *writer, const struct guest_fdt_device *device)
{
	struct guest_fdt_copy copy = {0};

	while (guest_fdt_next_copy(device, &copy))
		put_raw(writer, copy.name, strlen(copy.name) + 1);
	preempt(writer);
}

static void put_host_interrupts(struct writer *writer, const struct guest_fdt_device *device)
{
	begin_property(writer, NAME(interrupts), sizeof(fdt32_t) * device->interrupt_count);
	for (unsigned i = 0; i < device->interrupt_count; i++)
		put_raw_u32(writer, device->interrupts[i]);
	put_cell(writer, NAME(interrupt_parent), PHANDLE_PLIC);
}

/* Writes it unless it is there already. */
static void write_host_device(struct writer *writer, const struct guest_fdt_device *device)
{
	for (unsigned i = 0; i < writer->device_count; i++) {
		if (writer->devices[i] == device)
			return;
	}
	writer->devices[writer->device_count++] = device;
	begin_node(writer, fdt_get_name(device->host, device->node, NULL));
	put_ranges(writer, device->ranges, device->range_count);
	if (device->interrupt_count > 0)
		put_host_interrupts(writer, device);
	copy_properties(writer, device);
	end_node(writer);
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
	begin_unit(writer, "rtc", MACHINE_RTC_BASE);
	put_interrupt(writer, MACHINE_RTC_IRQ);
	put_range(writer, MACHINE_RTC_BASE, MACHINE_RTC_SIZE);
	put_string(writer, NAME(compatible), "google,goldfish-rtc");
	end_node(writer);
}

static void write_uart(struct writer *writer)
{
	begin_unit(writer, "serial", MACHINE_UART_BASE);
	put_interrupt(writer, MACHINE_UART_IRQ);
	put_cell(writer, NAME(clock_frequency), MACHINE_UART_CLOCK);
	put_range(writer, MACHINE_UART_BASE, MACHINE_UART_SIZE);
	put_string(writer, NAME(compatible), "ns16550a");
	end_node(writer);
}

static void write_test(struct writer *writer)
{
	begin_unit(writer, "test", MACHINE_TEST_BASE);
	put_cell(writer, NAME(phandle), PHANDLE_TEST);
	put_range(writer, MACHINE_TEST_BASE, MACHINE_TEST_SIZE);
	put_strings(writer, NAME(compatible), "sifive,test1\0sifive,test0\0syscon");
	end_node(writer);
}

/* In ascending order, so that guests, which number as they find, begin with slot 0. */
static void write_virtio_slots(struct writer *writer)
{
	for (unsigned slot = 0; slot < MACHINE_VIRTIO_SLOTS; slot++) {
		if (write_instead(writer, MACHINE_VIRTIO_BASE((uint64_t)slot), MACHINE_VIRTIO_SIZE,
				  MACHINE_VIRTIO_IRQ(slot)))
			continue;
		begin_unit(writer, "virtio_mmio", MACHINE_VIRTIO_BASE(slot));
		put_interrupt(writer, MACHINE_VIRTIO_IRQ(slot));
		put_range(writer, MACHINE_VIRTIO_BASE(slot), MACHINE_VIRTIO_SIZE);
		put_string(writer, NAME(compatible), "virtio,mmio");
		end_node(writer);
	}
}

/* Two contexts a hart: the one for M-mode first, as on `virt`. */
static void write_plic_contexts(struct writer *writer)
{
	unsigned hart_count = writer->info->hart_count;

	begin_property(writer, NAME(interrupts_extended), sizeof(fdt32_t) * 4 * hart_count);
	for (unsigned hart = 0; hart < hart_count; hart++) {
		put_raw_u32(writer, hart_intc_phandle(hart));
		put_raw_u32(writer, IRQ_M_EXTERNAL);
		put_raw_u32(writer, hart_intc_phandle(hart));
		put_raw_u32(writer, IRQ_S_EXTERNAL);
		if (hart % CONTEXT_BATCH == CONTEXT_BATCH - 1)
			preempt(writer);
	}
}

static void write_plic(struct writer *writer)
{
	begin_unit(writer, "plic", MACHINE_PLIC_BASE);
	put_cell(writer, NAME(phandle), PHANDLE_PLIC);
	put_cell(writer, NAME(ndev), MACHINE_PLIC_SOURCES);
	put_range(writer, MACHINE_PLIC_BASE, MACHINE_PLIC_SIZE);
	write_plic_contexts(writer);
	put_flag(writer, NAME(interrupt_controller));
	put_strings(writer, NAME(compatible), "sifive,plic-1.0.0\0riscv,plic0");
	put_cell(writer, NAME(address_cells), 0);
	put_cell(writer, NAME(interrupt_cells), 1);
	end_node(writer);
}

static void write_soc(struct writer *writer)
{
	begin_node(writer, "soc");
	put_cell(writer, NAME(address_cells), 2);
	put_cell(writer, NAME(size_cells), 2);
	put_string(writer, NAME(compatible), "simple-bus");
	put_flag(writer, NAME(ranges));
	write_rtc(writer);
	write_uart(writer);
	write_test(writer);
	write_virtio_slots(writer);
	for (unsigned i = 0; i < writer->info->device_count; i++)
		write_host_device(writer, &writer->info->devices[i]);
	write_plic(writer);
	end_node(writer);
}

static void write_root(struct writer *writer)
{
	begin_node(writer, "");
	put_cell(writer, NAME(address_cells), 2);
	put_cell(writer, NAME(size_cells), 2);
	put_string(writer, NAME(compatible), "riscv-virtio");
	put_string(writer, NAME(model), "riscv-virtio,qemu");
	write_syscon(writer, "poweroff", "syscon-poweroff", MACHINE_TEST_POWEROFF);
	write_syscon(writer, "reboot", "syscon-reboot", MACHINE_TEST_REBOOT);
	write_flash(writer);
	write_memory(writer);
	write_cpus(writer);
	write_aliases(writer);
	write_chosen(writer);
	write_soc(writer);
	end_node(writer);
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
	struct writer writer = {.buf = buf, .size = size, .info = info};
	size_t strings_offset;

	put_raw(&writer, zeroes, sizeof(zeroes));
	write_root(&writer);
	put_raw_u32(&writer, FDT_END);
	strings_offset = writer.used;
	put_raw(&writer, &names, sizeof(names));
	for (unsigned i = 0; i < writer.device_count; i++)
		write_copied_names(&writer, writer.devices[i]);
	if (buf && writer.used <= size)
		write_header(buf, strings_offset, writer.used - strings_offset, writer.used);
	return writer.used;
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
