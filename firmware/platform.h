/* SPDX-License-Identifier: MIT */
#ifndef FIRMWARE_PLATFORM_H
#define FIRMWARE_PLATFORM_H

/* The machine, as its device tree describes it. Written while it boots, and read from then on. */

#include "firmware/layout.h"
#include "kernel/types.h"

struct range {
	uint64_t base, size;
};

/* A register whose value ends or restarts the machine. */
struct reset {
	uint64_t address; /* 0: there is none */
	uint32_t value;
	uint32_t phandle; /* of what has the register */
};

#define PLATFORM_MEMORY_MAX 16
#define PLATFORM_EVENTS_MAX 32

/* Events that some counters can count: SBI event indices from..to, and which counters. */
struct event {
	uint32_t from, to, counters;
};

struct platform {
	struct range memory[PLATFORM_MEMORY_MAX]; /* RAM; from ram_count on: flash */
	unsigned ram_count, memory_count;
	uint64_t harts; /* those that the tree has, and does not call broken */
	uint64_t adue;  /* those whose A and D bits the hardware is to set from the beginning */
	uint64_t uart;  /* 0: none */
	unsigned uart_shift;
	bool uart_wide; /* its registers want 32-bit accesses */
	uint64_t mtime; /* address; 0: none */
	uint64_t timebase;
	uint64_t finisher; /* a sifive,test; 0: none */
	struct reset poweroff, reboot;
	struct event events[PLATFORM_EVENTS_MAX];
	unsigned event_count;
	struct range initrd;
};

extern struct platform platform;

/* Reads the tree, also what each hart has. false: it is none, or has no RAM or no hart. */
bool platform_read(const void *fdt);

/* The tree for S-mode, in place: without what is machine mode's, with the firmware's memory
 * reserved. false: there is no room for that. */
bool platform_hand_on(void *fdt);

/* Whether [base, base + size) is RAM that S-mode may use; or anything it may execute. */
bool platform_is_ram(uint64_t base, uint64_t size);
bool platform_is_code(uint64_t address);

#endif
