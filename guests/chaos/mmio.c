/* SPDX-License-Identifier: MIT */
/* Every address, width, alignment and instruction. */
#include "guests/chaos/chaos.h"

#define RUNS          8
#define BASES         11 /* x1 to x11 are addresses, the others data */
#define CLINT         UINT64_C(0x02000000)
#define PCI_ECAM      UINT64_C(0x30000000)
#define FLASH         UINT64_C(0x20000000)
#define FINISHER_SIZE 0x1000

static uint32_t base_register(struct worker *w)
{
	return 1 + (uint32_t)random_below(w, BASES);
}

static uint32_t data_register(struct worker *w)
{
	return BASES + 1 + (uint32_t)random_below(w, 31 - BASES);
}

static uint32_t compressed_word(struct worker *w, bool stores)
{
	static const uint8_t loads[] = {1, 2, 3}, all[] = {1, 2, 3, 5, 6, 7};
	uint32_t f3 = stores ? all[random_below(w, 6)] : loads[random_below(w, 3)];
	uint32_t base = 8 + (uint32_t)random_below(w, 4), data = 12 + (uint32_t)random_below(w, 4);
	uint32_t offset = stores ? 0 : (uint32_t)random_below(w, 16) * 8;

	if (one_in(w, 2))
		return insn_c_mem(f3, data, base, offset);
	return f3 < 4 ? insn_c_loadsp(f3, data, offset) : insn_c_storesp(f3, data, offset);
}

static uint32_t atomic_word(struct worker *w, bool stores)
{
	static const uint8_t functions[] = {2, 3, 0, 1, 4, 5, 8, 12, 16, 20, 24, 28};
	uint32_t f5 = stores ? functions[random_below(w, sizeof(functions))] : 2;
	uint32_t word = insn_amo(
	    f5, one_in(w, 8) ? (uint32_t)random_below(w, 8) : 2 + (uint32_t)random_below(w, 2),
	    data_register(w), base_register(w), f5 == 2 ? 0 : data_register(w));

	return word | (uint32_t)random_below(w, 4) << 25;
}

/* Unit-stride, indexed and strided, of any width, with and without a mask. */
static uint32_t vector_word(struct worker *w, bool store)
{
	static const uint8_t widths[] = {0, 5, 6, 7};
	uint32_t r = (uint32_t)random_next(&w->random);

	if (one_in(w, 4)) /* vsetivli: of any element width and grouping */
		return 0xc0007057 | (r & 0x0e7f8000) | (uint32_t)data_register(w) << 7;
	return insn_i(store ? OP_STORE_FP : OP_LOAD_FP, widths[r & 3], r >> 2 & 31,
		      base_register(w), r >> 7 & 0xfff);
}

static uint32_t load_word(struct worker *w)
{
	uint32_t f3 = (uint32_t)random_below(w, 8), imm = (uint32_t)random_below(w, 4096);

	if (one_in(w, 8))
		return insn_i(OP_LOAD_FP, 1 + (uint32_t)random_below(w, 4), data_register(w),
			      base_register(w), imm);
	return insn_i(OP_LOAD, f3, data_register(w), base_register(w), one_in(w, 2) ? 0 : imm);
}

static uint32_t store_word(struct worker *w)
{
	uint32_t f3 = (uint32_t)random_below(w, 4);

	if (one_in(w, 8))
		return insn_s(OP_STORE_FP, 1 + (uint32_t)random_below(w, 4), base_register(w),
			      data_register(w), 0);
	if (one_in(w, 16)) /* cbo.inval, .clean, .flush, .zero */
		return insn_i(0x0f, 2, 0, base_register(w), (uint32_t)random_below(w, 5));
	return insn_s(OP_STORE, f3, base_register(w), data_register(w), 0);
}

static void make_words(struct worker *w, bool stores)
{
	uint32_t words[BATCH];

	for (size_t i = 0; i < BATCH; i++) {
		switch (random_below(w, 8)) {
		case 0:
			words[i] = compressed_word(w, stores);
			break;
		case 1:
			words[i] = atomic_word(w, stores);
			break;
		case 2:
			words[i] = vector_word(w, stores && one_in(w, 2));
			break;
		case 3:
		case 4:
			words[i] = stores ? store_word(w) : load_word(w);
			break;
		default:
			words[i] = load_word(w);
			break;
		}
	}
	run_write(w, words, BATCH);
}

/* Where rings lie stays as it is: they are KIND_RINGS's. */
static uint64_t virtio_address(struct worker *w, bool stores)
{
	static const uint16_t offsets[] = {0x00, 0x14, 0x24, 0x30, 0x34,  0x50,
					   0x60, 0x64, 0x70, 0xfc, 0x100, 0x108};
	uint64_t at = VIRTIO_BASE + random_below(w, VIRTIO_SLOTS) * VIRTIO_STRIDE;

	return at + (stores ? offsets[random_below(w, ARRAY_SIZE(offsets))]
			    : random_below(w, VIRTIO_STRIDE));
}

static uint64_t device_address(struct worker *w, bool stores)
{
	switch (random_below(w, 9)) {
	case 0:
		/* What is written to its first register is printed. */
		return UART_BASE + (stores && !one_in(w, 64) ? 1 : 0) + random_below(w, 7);
	case 1:
		return RTC_BASE + random_below(w, 0x1000);
	case 2:
		return stores ? FINISHER_BASE + FINISHER_SIZE
			      : FINISHER_BASE + random_below(w, FINISHER_SIZE);
	case 3:
		return virtio_address(w, stores);
	case 4:
		return FLASH + random_below(w, MIB(64));
	case 5:
		return one_in(w, 2) ? CLINT + random_below(w, 0x10000)
				    : PCI_ECAM + random_below(w, MIB(1));
	case 6:
		return PLIC_BASE + random_below(w, 0x4000);
	case 7:
		return PLIC_BASE + 0x200000 + random_below(w, 0x4000);
	default:
		return PLIC_BASE + random_below(w, 0x600000);
	}
}

/* Through the worker's tables the first GiB is there, without a finisher. */
static uint64_t any_address(struct worker *w, bool stores, bool paged)
{
	uint64_t address = one_in(w, 4) ? value_address(w) : device_address(w, stores);

	if (one_in(w, 2))
		address = align_down(address, 8);
	if (stores && ranges_overlap(address, 512, FINISHER_BASE, FINISHER_SIZE))
		address += FINISHER_SIZE + 512;
	return paged && one_in(w, 32) ? value_any(w) | BIT(40) : address;
}

uint64_t mmio_turn(struct worker *w)
{
	bool stores = one_in(w, 2), user = one_in(w, 4), paged = user || one_in(w, 2);
	uint64_t x[32] = {0}, done = 0;

	make_words(w, stores);
	run_paged(w, paged);
	csr_set(CSR_SSTATUS, SSTATUS_FS | (one_in(w, 2) ? SSTATUS_VS : 0));
	for (int i = 0; i < RUNS; i++) {
		for (int r = 1; r < 32; r++)
			x[r] = r <= BASES ? any_address(w, stores, paged) + (user ? U_ALIAS : 0)
					  : value_any(w);
		done += run_written(w, x, paged, user) ? BATCH : w->traps;
	}
	run_paged(w, false);
	return done;
}
