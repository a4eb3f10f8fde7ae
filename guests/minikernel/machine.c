/* SPDX-License-Identifier: MIT */

/*
 * What this machine has, from its device tree. The tree is the only source: the same kernel
 * runs wherever there are an ns16550a, a PLIC and SBI.
 */

#include "guests/minikernel/kernel.h"
#include "riscv/csr.h"

struct machine machine;

/* Needed once: the PLIC's list of (interrupt controller of a hart, interrupt) pairs. */
static const uint32_t *plic_outputs;
static uint32_t plic_output_count;

static void reserve(uint64_t base, uint64_t size)
{
	if (size == 0)
		return;
	if (machine.reserved_count == MAX_RANGES)
		panic("more than %u reserved ranges", MAX_RANGES);
	machine.reserved[machine.reserved_count++] = (struct range){base, size};
}

/* /memory: of several banks, the one that this kernel was loaded into. */
static void probe_memory(const struct fdt_walk *w)
{
	struct range bank;

	for (uint32_t i = 0; fdt_reg(w, i, &bank.base, &bank.size); i++)
		if (range_within(machine.image, 1, bank.base, bank.size))
			machine.ram = bank;
}

static void probe_reserved_memory(const struct fdt_walk *w)
{
	struct range range;

	for (uint32_t i = 0; fdt_reg(w, i, &range.base, &range.size); i++)
		reserve(range.base, range.size);
}

/* A name in the older form, "rv64imafdch_zicsr_sstc_svadu": is `extension` among the parts? */
static bool isa_has(const char *isa, const char *extension)
{
	size_t length = strlen(extension);

	while ((isa = strchr(isa, '_')) != NULL) {
		isa++;
		if (strncmp(isa, extension, length) == 0 &&
		    (isa[length] == '_' || isa[length] == '\0'))
			return true;
	}
	return false;
}

static void probe_cpu(const struct fdt_walk *w)
{
	const char *isa = fdt_property(w, "riscv,isa", NULL);
	uint64_t id, size;

	if (!fdt_reg(w, 0, &id, &size) || fdt_has_string(w, "status", "disabled") ||
	    machine.hart_count == MAX_HARTS)
		return;
	if (!fdt_has_string(w, "riscv,isa-extensions", "sstc") &&
	    (isa == NULL || !isa_has(isa, "sstc")))
		machine.sstc = false;
	machine.harts[machine.hart_count++].id = id;
}

/* A node inside the cpu's, hence the first one after it. (That of a disabled cpu is not used.) */
static void probe_cpu_interrupts(const struct fdt_walk *w)
{
	if (machine.hart_count != 0 && machine.harts[machine.hart_count - 1].interrupts == 0)
		machine.harts[machine.hart_count - 1].interrupts = fdt_cell(w, "phandle", 0);
}

static uint64_t cell_or_two(const struct fdt_walk *w, const char *name)
{
	uint32_t length;
	const uint32_t *value = fdt_property(w, name, &length);

	if (value == NULL)
		return 0;
	return length == 4 ? fdt_be32(value)
			   : (uint64_t)fdt_be32(value) << 32 | fdt_be32(value + 1);
}

static void probe_chosen(const struct fdt_walk *w)
{
	const char *bootargs = fdt_property(w, "bootargs", NULL);
	uint64_t initrd = cell_or_two(w, "linux,initrd-start");

	if (bootargs != NULL)
		string_copy(machine.bootargs, bootargs, sizeof(machine.bootargs));
	if (initrd != 0)
		reserve(initrd, cell_or_two(w, "linux,initrd-end") - initrd);
}

static void probe_uart(const struct fdt_walk *w)
{
	if (machine.uart.size != 0 || !fdt_reg(w, 0, &machine.uart.base, &machine.uart.size))
		return;
	machine.uart_irq = fdt_cell(w, "interrupts", 0);
	machine.uart_shift = fdt_cell(w, "reg-shift", 0);
}

static void probe_plic(const struct fdt_walk *w)
{
	uint32_t length;

	if (machine.plic.size != 0 || !fdt_reg(w, 0, &machine.plic.base, &machine.plic.size))
		return;
	plic_outputs = fdt_property(w, "interrupts-extended", &length);
	plic_output_count = plic_outputs != NULL ? length / 8 : 0;
}

static void probe_node(const struct fdt_walk *w)
{
	const char *parent = w->name[w->depth - 1];

	if (w->depth == 3 && strcmp(parent, "reserved-memory") == 0)
		probe_reserved_memory(w);
	else if (w->depth == 2 && strcmp(w->name[2], "chosen") == 0)
		probe_chosen(w);
	else if (w->depth == 2 && strcmp(w->name[2], "cpus") == 0)
		machine.timebase = fdt_cell(w, "timebase-frequency", 0);
	else if (fdt_has_string(w, "device_type", "memory"))
		probe_memory(w);
	else if (fdt_has_string(w, "device_type", "cpu"))
		probe_cpu(w);
	else if (fdt_has_string(w, "compatible", "riscv,cpu-intc"))
		probe_cpu_interrupts(w);
	else if (fdt_has_string(w, "compatible", "ns16550a"))
		probe_uart(w);
	else if (fdt_has_string(w, "compatible", "riscv,plic0") ||
		 fdt_has_string(w, "compatible", "sifive,plic-1.0.0"))
		probe_plic(w);
}

/* The PLIC has an output for each mode of each hart: which one is the boot hart's S-mode? */
static void find_plic_context(uint64_t hart_id)
{
	uint32_t interrupts = 0;

	for (uint32_t i = 0; i < machine.hart_count; i++)
		if (machine.harts[i].id == hart_id)
			interrupts = machine.harts[i].interrupts;
	for (uint32_t i = 0; i < plic_output_count; i++) {
		if (fdt_be32(&plic_outputs[2 * i]) == interrupts &&
		    fdt_be32(&plic_outputs[2 * i + 1]) == IRQ_S_EXT) {
			machine.plic_context = i;
			return;
		}
	}
	panic("no PLIC context for hart %lu", hart_id);
}

void machine_probe(uint64_t image, uint64_t hart_id)
{
	struct fdt_walk w = fdt_begin();
	struct range range;

	machine.image = image;
	machine.sstc = true;
	while (fdt_next(&w))
		probe_node(&w);
	for (uint32_t i = 0; fdt_reserved(i, &range.base, &range.size); i++)
		reserve(range.base, range.size);
	if (machine.ram.size == 0)
		panic("the device tree has no memory at 0x%lx, where the kernel is", image);
	if (machine.timebase == 0)
		panic("the device tree does not tell the timebase-frequency");
	if (machine.uart.size == 0 || machine.plic.size == 0)
		panic("the device tree has no ns16550a, or no PLIC");
	find_plic_context(hart_id);
}
