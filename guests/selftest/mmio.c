/* SPDX-License-Identifier: MIT */
/* What the devices' registers answer, as on `virt` (measured on QEMU 7.2 and 10.0). */
#include "guests/selftest/mmio.h"

#define LOAD(f3)  insn_i(OP_LOAD, (f3), 12, 10, 0)
#define STORE(f3) insn_s(OP_STORE, (f3), 10, 11, 0)

uint64_t virtio_empty_slot(void)
{
	for (int i = 0; i < VIRTIO_SLOTS; i++) {
		uint64_t slot = VIRTIO_BASE + VIRTIO_STRIDE * (uint64_t)i;

		if (*(volatile uint32_t *)(slot + 8) == 0)
			return slot;
	}
	return 0;
}

/* Does a load of 1 << (f3 & 3) bytes; returns whether it completed. */
static bool load(uint32_t f3, uint64_t address, uint64_t *value)
{
	*value = insn_exec2(LOAD(f3), address, 0, false)->x[12];
	return insn_completed();
}

static void expect_load(uint32_t f3, uint64_t address, uint64_t want)
{
	uint64_t value;

	if (load(f3, address, &value))
		expect_eq(value, want, "load %u at 0x%lx", f3, address);
	else
		test_fail("load %u at 0x%lx: cause %lu", f3, address, hart_self()->trap.cause);
}

static void expect_load_fault(uint32_t f3, uint64_t address)
{
	uint64_t value;

	load(f3, address, &value);
	expect_trap(EXC_LOAD_ACCESS, address, "load %u at 0x%lx", f3, address);
}

static void expect_store(uint32_t f3, uint64_t address, uint64_t value)
{
	insn_exec2(STORE(f3), address, value, false);
	expect(insn_completed(), "store %u at 0x%lx: cause %lu", f3, address,
	       hart_self()->trap.cause);
}

static void expect_store_fault(uint32_t f3, uint64_t address)
{
	insn_exec2(STORE(f3), address, 0, false);
	expect_trap(EXC_STORE_ACCESS, address, "store %u at 0x%lx", f3, address);
}

static void uart_scratch(void)
{
	for (uint64_t v = 0; v < 256; v += 5) {
		expect_store(0, UART_BASE + UART_SCR, v | 0xabcd00);
		expect_load(4, UART_BASE + UART_SCR, v);
		expect_load(0, UART_BASE + UART_SCR, (uint64_t)(int8_t)v);
	}
}

/* A wide access reaches only the register at its address, and reads as a byte. */
static void uart_widths(void)
{
	uint8_t mcr = UART_REG(UART_MCR);

	expect_load(4, UART_BASE + UART_LSR, 0x60);
	expect_load(1, UART_BASE + UART_MSR, 0xb0);
	expect_load(5, UART_BASE + UART_MSR, 0xb0);
	for (uint32_t f3 = 0; f3 < 3; f3++) {
		expect_store(f3, UART_BASE + UART_MCR, 0xfffff03 - f3);
		for (uint32_t r = 0; r < 3; r++)
			expect_load(r, UART_BASE + UART_MCR, 3 - f3);
	}
	UART_REG(UART_MCR) = mcr;
	expect_load(2, UART_BASE + UART_RBR, 0);
	expect_load(3, UART_BASE + UART_RBR, 0);
	expect_load(6, UART_BASE + UART_RBR, 0);
}

static void uart_end(void)
{
	for (uint64_t offset = 8; offset < 0x1000; offset = offset < 0x18 ? offset + 8 : offset * 2)
		for (uint32_t f3 = 0; f3 < 4; f3++) {
			expect_load_fault(f3, UART_BASE + offset);
			expect_store_fault(f3, UART_BASE + offset);
		}
}

static void plic_widths(void)
{
	static const uint64_t registers[] = {0,      8,      0x178,    0x1000,
					     0x1008, 0x2080, 0x201000, 0x300000};

	for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
		uint64_t address = PLIC_BASE + registers[i];
		uint64_t value;

		expect(load(2, address, &value), "lw at 0x%lx: cause %lu", address,
		       hart_self()->trap.cause);
		for (uint32_t f3 = 0; f3 < 4; f3++)
			if (f3 != 2) {
				expect_load_fault(f3, address);
				expect_store_fault(f3, address);
			}
	}
}

static void plic_priorities(void)
{
	for (uint32_t source = 1; source <= 53; source++) {
		uint32_t before = PLIC_PRIORITY(source);

		for (uint32_t v = 0; v < 8; v++) {
			PLIC_PRIORITY(source) = v;
			expect_eq(PLIC_PRIORITY(source), v, "priority of %u", source);
		}
		PLIC_PRIORITY(source) = before;
	}
	PLIC_PRIORITY(0) = 7;
	expect_eq(PLIC_PRIORITY(0), 0, "priority of source 0");
}

static void plic_reserved(void)
{
	static const uint64_t registers[] = {0x400,        0xffc,    0x1010,   0x1ffc,
					     0x1f2000 - 4, 0x201008, 0x201ffc, 0x5ffffc};

	for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
		expect_store(2, PLIC_BASE + registers[i], 0xffffffff);
		expect_load(2, PLIC_BASE + registers[i], 0);
	}
	for (uint64_t word = 0; word < 3; word++) {
		uint32_t before = PLIC_PENDING(word);

		PLIC_PENDING(word) = ~before;
		expect_eq(PLIC_PENDING(word), before, "pending word %lu after a write", word);
	}
	expect_load_fault(2, PLIC_BASE + 0x600000);
	expect_store_fault(2, PLIC_BASE + 0x600000);
}

static void plic_contexts(void)
{
	for (size_t h = 0; h < machine.hart_count; h++) {
		uint64_t context = plic_context(harts[h].id);

		for (uint64_t word = 0; word < 2; word++) {
			uint32_t before = PLIC_ENABLE(context, word);

			PLIC_ENABLE(context, word) = 0x2a55aa54;
			expect_eq(PLIC_ENABLE(context, word) & 0x1fffff, 0x15aa54,
				  "enable %lu of hart %lu", word, harts[h].id);
			PLIC_ENABLE(context, word) = 0;
			expect_eq(PLIC_ENABLE(context, word), 0, "enable %lu of hart %lu", word,
				  harts[h].id);
			PLIC_ENABLE(context, word) = before;
		}
		for (uint32_t v = 0; v < 8; v++) {
			PLIC_THRESHOLD(context) = v;
			expect_eq(PLIC_THRESHOLD(context), v, "threshold of hart %lu", harts[h].id);
		}
		PLIC_THRESHOLD(context) = 0;
		expect_eq(PLIC_CLAIM(context), 0, "claim of hart %lu", harts[h].id);
		PLIC_CLAIM(context) = 5; /* completing what was not claimed does nothing */
	}
}

static uint64_t rtc_now(void)
{
	uint32_t low = *(volatile uint32_t *)RTC_BASE;

	return (uint64_t)*(volatile uint32_t *)(RTC_BASE + 4) << 32 | low;
}

static void rtc_time(void)
{
	uint64_t time = rtc_now(), wide, later;

	expect(time > UINT64_C(1577836800000000000), "0x%lx is before 2020", time);
	test_delay(2);
	later = rtc_now();
	expect(later > time && later - time < UINT64_C(60000000000), "advanced by %ld ns",
	       later - time);
	expect(load(3, RTC_BASE, &wide), "ld: cause %lu", hart_self()->trap.cause);
	expect(wide >= later && wide - later < UINT64_C(60000000000), "ld gives 0x%lx", wide);
}

static void rtc_registers(void)
{
	for (uint64_t offset = 8; offset < 0x24; offset += 4)
		if (offset != 0x10 && offset != 0x14)
			expect_load(2, RTC_BASE + offset, 0);
	for (uint32_t f3 = 0; f3 < 2; f3++) {
		expect_load_fault(f3, RTC_BASE);
		expect_store_fault(f3, RTC_BASE + 0x10);
	}
	expect_load_fault(2, RTC_BASE + 0x24);
	expect_load_fault(2, RTC_BASE + 0xffc);
}

static void finisher(void)
{
	for (uint64_t offset = 0; offset < 0x1000; offset += 0x7f8)
		for (uint32_t f3 = 0; f3 < 4; f3++)
			if (f3 == 1 || f3 == 2)
				expect_load(f3, FINISHER_BASE + offset, 0);
			else
				expect_load_fault(f3, FINISHER_BASE + offset);
	expect_store(2, FINISHER_BASE, 0x1234); /* no command */
	expect_store(2, FINISHER_BASE + 4, 0x5555);
	expect_store_fault(0, FINISHER_BASE);
	expect_store_fault(3, FINISHER_BASE);
}

static void virtio_empty(void)
{
	uint64_t slot = virtio_empty_slot(), version;

	if (slot == 0) {
		test_skip("no slot is empty");
		return;
	}
	expect_load(2, slot, VIRTIO_MAGIC);
	expect_load(0, slot, 0x76);
	expect_load(1, slot, 0x6976);
	expect(load(2, slot + 4, &version) && (version == 1 || version == 2), "version 0x%lx",
	       version);
	expect_load(3, slot, version << 32 | VIRTIO_MAGIC);
	expect_load(2, slot + 8, 0);
	expect_load(2, slot + 0xc, 0x554d4551);
	expect_load(3, slot + 8, UINT64_C(0x554d455100000000));
	for (uint64_t offset = 0x10; offset < 0x200; offset += 8)
		for (uint32_t f3 = 0; f3 < 4; f3++) {
			expect_store(f3, slot + offset, ~UINT64_C(0));
			expect_load(f3, slot + offset, 0);
		}
	expect_load_fault(2, slot + 0x200);
	expect_store_fault(2, slot + 0x200);
	expect_load_fault(3, slot + 0xff8);
	expect_load_fault(0, VIRTIO_BASE + VIRTIO_STRIDE * VIRTIO_SLOTS);
}

static void nothing_else(void)
{
	static const uint64_t addresses[] = {
	    FINISHER_BASE - 8,
	    RTC_BASE + 0x1000,
	    0x02000000,
	    0x0200bff8,
	    NOWHERE,
	    PLIC_BASE - 8,
	    0x0fff0000,
	    UART_BASE + 0x100,
	    UART_BASE + 0xff8,
	    0x10009000,
	    0x100ff000,
	    0x1f000000,
	    UINT64_C(0x1000000000),
	    BIT(39),
	    BIT(47),
	};
	/* Natively there are flash, PCI, fw_cfg and others. */
	static const uint64_t guest_only[] = {0,          8,          0x1000,     0x10000,
					      0x3000000,  0x10100000, 0x20000000, 0x22000000,
					      0x30000000, 0x40000000, 0x7ffffff8};

	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		for (uint32_t f3 = 0; f3 < 4; f3++) {
			/* A CLINT is there, and open, natively on firmware other than OpenSBI. */
			if (machine.native && !machine.opensbi && addresses[i] >> 16 == 0x200)
				continue;
			expect_load_fault(f3, addresses[i]);
			expect_store_fault(f3, addresses[i]);
		}
	for (size_t i = 0; i < ARRAY_SIZE(guest_only) && !machine.native; i++) {
		expect_load_fault(2, guest_only[i]);
		expect_store_fault(3, guest_only[i]);
	}
}

/* QEMU's answers differ between versions; each must come, and a fault name the access. */
static void misaligned(void)
{
	static const uint64_t bases[] = {UART_BASE,           PLIC_BASE + 8,     RTC_BASE,
					 VIRTIO_BASE + 0x100, FINISHER_BASE + 8, UART_BASE + 0xff8,
					 PLIC_BASE + 0x5ffff8};
	const struct trap_frame *trap = &hart_self()->trap;

	for (size_t b = 0; b < ARRAY_SIZE(bases); b++)
		for (uint64_t offset = 1; offset < 8; offset++)
			for (uint32_t f3 = 1; f3 < 4; f3++) {
				uint64_t address = bases[b] + offset, value;

				if (load(f3, address, &value))
					continue;
				expect(trap->cause == EXC_LOAD_ACCESS ||
					   trap->cause == EXC_LOAD_MISALIGNED,
				       "load %u at 0x%lx: cause %lu", f3, address, trap->cause);
				expect(trap->tval + 8 > address && trap->tval < address + 8,
				       "load %u at 0x%lx: stval 0x%lx", f3, address, trap->tval);
			}
}

static void user_mode(void)
{
	const struct trap_frame *trap;

	UART_REG(UART_SCR) = 0x9c;
	trap = insn_exec2(LOAD(4), UART_BASE + UART_SCR, 0, true);
	expect(insn_completed(), "lbu: cause %lu", trap->cause);
	expect_eq(trap->x[12], 0x9c, "lbu");
	insn_exec2(STORE(0), UART_BASE + UART_SCR, 0x55, true);
	expect(insn_completed(), "sb: cause %lu", trap->cause);
	expect_eq(UART_REG(UART_SCR), 0x55, "sb");
}

static const struct test tests[] = {
    {"uart-scratch", uart_scratch},
    {"uart-widths", uart_widths},
    {"uart-end", uart_end},
    {"plic-widths", plic_widths},
    {"plic-priorities", plic_priorities},
    {"plic-reserved", plic_reserved},
    {"plic-contexts", plic_contexts},
    {"rtc-time", rtc_time},
    {"rtc-registers", rtc_registers},
    {"finisher", finisher},
    {"virtio-empty", virtio_empty},
    {"nothing-else", nothing_else},
    {"misaligned", misaligned},
    {"user-mode", user_mode},
};
TEST_GROUP(mmio, tests);
