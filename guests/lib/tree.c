/* SPDX-License-Identifier: MIT */
#include "guests/lib/tree.h"

#include "guests/lib/machine.h"
#include "guests/lib/memory.h"

enum { FDT_MAGIC = 0xd00dfeed, FDT_BEGIN_NODE = 1, FDT_END_NODE, FDT_PROP, FDT_NOP };

/* One property on the walk, with the node it is in. */
struct property {
	const char *node; /* name of the node it belongs to */
	const char *name;
	const unsigned char *data;
	uint32_t length;
};

/* What is known of the cpu node being read; it is taken when the node ends. */
static struct {
	uint64_t id;
	bool is_cpu, is_disabled;
} cpu;

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t be64(const unsigned char *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static void copy_string(char *to, size_t size, const struct property *property)
{
	size_t length = property->length < size ? property->length : size - 1;

	memcpy(to, property->data, length);
	to[length] = 0;
}

static void read_cpu_property(const struct property *property)
{
	if (strcmp(property->name, "reg") == 0) {
		cpu.is_cpu = true;
		cpu.id = be32(property->data + property->length - 4);
	} else if (strcmp(property->name, "status") == 0) {
		cpu.is_disabled = strncmp((const char *)property->data, "ok", 2) != 0;
	} else if (strcmp(property->name, "riscv,isa") == 0 && machine.isa[0] == 0) {
		copy_string(machine.isa, sizeof(machine.isa), property);
	}
}

/* Nodes of a machine in several parts, which stand one behind the other, are one. */
static void add_memory(uint64_t base, uint64_t size)
{
	if (machine.ram_size && base == machine.ram_base + machine.ram_size) {
		machine.ram_size += size;
	} else if (machine.ram_size && base + size == machine.ram_base) {
		machine.ram_base = base;
		machine.ram_size += size;
	} else {
		machine.ram_base = base;
		machine.ram_size = size;
	}
}

static void read_property(const struct property *property)
{
	if (strncmp(property->node, "cpu@", 4) == 0) {
		read_cpu_property(property);
	} else if (strncmp(property->node, "memory@", 7) == 0 &&
		   strcmp(property->name, "reg") == 0) {
		add_memory(be64(property->data), be64(property->data + 8));
	} else if (strcmp(property->name, "timebase-frequency") == 0) {
		machine.timebase = be32(property->data);
	} else if (strcmp(property->node, "chosen") == 0 &&
		   strcmp(property->name, "bootargs") == 0) {
		copy_string(machine.bootargs, sizeof(machine.bootargs), property);
	}
}

static void end_node(void)
{
	if (cpu.is_cpu && !cpu.is_disabled && cpu.id != harts[0].id &&
	    machine.hart_count < HARTS_MAX)
		hart_init(&harts[machine.hart_count++], cpu.id);
	memset(&cpu, 0, sizeof(cpu));
}

void tree_read(const void *tree)
{
	const unsigned char *blob = tree;
	const unsigned char *p = blob + be32(blob + 8);
	const char *strings = (const char *)blob + be32(blob + 12);
	const char *path[16] = {""};
	unsigned int depth = 0;

	if (be32(blob) != FDT_MAGIC)
		return;
	for (;;) {
		uint32_t token = be32(p);

		p += 4;
		if (token == FDT_BEGIN_NODE && depth < ARRAY_SIZE(path) - 1) {
			path[++depth] = (const char *)p;
			p += align_up(strlen((const char *)p) + 1, 4);
		} else if (token == FDT_END_NODE && depth > 0) {
			if (strncmp(path[depth--], "cpu@", 4) == 0)
				end_node();
		} else if (token == FDT_PROP) {
			struct property property = {path[depth], strings + be32(p + 4), p + 8,
						    be32(p)};

			read_property(&property);
			p += 8 + align_up(property.length, 4);
		} else if (token != FDT_NOP) {
			return;
		}
	}
}
