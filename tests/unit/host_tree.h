/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_HOST_TREE_H
#define TESTS_UNIT_HOST_TREE_H

/* A machine's device tree, to be changed. For one source file of a test program. */

#include "tests/unit/fit_tree.h"

#include "kernel/fdt.h"
#include "kernel/platform.h"

#define RAM_BASE 0x80000000
#define FDT_AT   HPA(UINT64_C(0xbfe00000))
#define UART     "/soc/serial@10000000"
#define PLIC     "/soc/plic@c000000"

/* As on `virt`: two harts, one range of RAM, a bus with devices. */
static int setup(void **state)
{
	(void)state;
	tree_clear();
	fdt_index(NULL);
	memset(&platform, 0, sizeof(platform));
	set_sizes("/", 2, 2);
	add_node("/", "memory@80000000");
	set_string("/memory@80000000", "device_type", "memory");
	CELLS("/memory@80000000", "reg", 0, RAM_BASE, 0, 0x40000000);
	add_node("/", "cpus");
	set_sizes("/cpus", 1, 0);
	set_cell("/cpus", "timebase-frequency", 10000000);
	for (unsigned i = 0; i < 2; i++) {
		char path[64] = "/cpus/cpu@0";

		path[10] = (char)('0' + i);
		add_node("/cpus", path + 6);
		CELLS(path, "reg", i + 4);
		add_node(path, "interrupt-controller");
		strcat(path, "/interrupt-controller");
		set_cell(path, "phandle", i + 1);
	}
	add_node("/", "soc");
	set_sizes("/soc", 2, 2);
	set_flag("/soc", "ranges");
	add_node("/soc", "serial@10000000");
	set_string(UART, "compatible", "ns16550a");
	CELLS(UART, "reg", 0, 0x10000000, 0, 0x100);
	CELLS(UART, "interrupts", 10);
	add_node("/soc", "plic@c000000");
	set_bytes(PLIC, "compatible", "sifive,plic-1.0.0\0riscv,plic0", 30);
	CELLS(PLIC, "reg", 0, 0xc000000, 0, 0x600000);
	CELLS(PLIC, "interrupts-extended", 1, 11, 1, 9, 2, 11, 2, 9);
	set_cell(PLIC, "riscv,ndev", 95);
	add_node("/", "chosen");
	set_string("/chosen", "stdout-path", UART);
	return 0;
}

#endif
