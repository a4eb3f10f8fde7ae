/* SPDX-License-Identifier: MIT */
/* CSRs of every number, with values of any kind. */
#include "guests/chaos/chaos.h"

#define RUNS       8
#define RD_FIRST   16 /* what is read goes to these: the others keep their values */
#define REG_KEPT   5
#define REG_ASID   6 /* a satp with this worker's root */
#define REG_NOMODE 7 /* a satp that no hart takes */

static uint32_t any_csr(struct worker *w)
{
	static const uint16_t often[] = {
	    CSR_SSTATUS, CSR_SIE,        CSR_SIP,      CSR_SEPC,    CSR_SCAUSE, CSR_STVAL,
	    CSR_TIME,    CSR_CYCLE,      CSR_STIMECMP, CSR_SENVCFG, CSR_FCSR,   CSR_VSTART,
	    CSR_VL,      CSR_SCOUNTEREN, CSR_HGATP,    CSR_VSATP,   CSR_HVIP,   0x150,
	    0x151,       0x15c,          0x120,        0x5a8,       0x300,      0x7a0};

	if (one_in(w, 2))
		return often[random_below(w, ARRAY_SIZE(often))];
	return (uint32_t)random_below(w, 4096);
}

/* The three that must be what they were when something traps: written, and written back. */
static size_t write_and_restore(struct worker *w, uint32_t *words)
{
	static const uint16_t csrs[] = {CSR_STVEC, CSR_SSCRATCH, CSR_SATP};
	uint32_t csr = csrs[random_below(w, 3)], from = 8 + (uint32_t)random_below(w, 8);

	if (csr == CSR_SATP)
		from = one_in(w, 2) ? REG_ASID : REG_NOMODE;
	words[0] = insn_csr(7, CSR_SSTATUS, 0, SSTATUS_SIE);
	words[1] = insn_csr(1, csr, REG_KEPT, from);
	words[2] = insn_csr(1, csr, 0, REG_KEPT);
	return 3;
}

static void make_words(struct worker *w, bool user)
{
	uint32_t words[BATCH];

	for (size_t i = 0; i < BATCH; i++) {
		uint32_t f3 = 1 + (uint32_t)random_below(w, 3) + (one_in(w, 4) ? 4 : 0);
		uint32_t csr = any_csr(w), rd = RD_FIRST + (uint32_t)random_below(w, 16);
		bool kept = csr == CSR_SATP || csr == CSR_STVEC || csr == CSR_SSCRATCH;

		if ((kept || one_in(w, 16)) && i + 3 <= BATCH && !user)
			i += write_and_restore(w, words + i) - 1;
		else if (kept && !user)
			words[i] = insn_csr(2, csr, rd, 0);
		else
			words[i] =
			    insn_csr(f3, csr, one_in(w, 4) ? 0 : rd, (uint32_t)random_below(w, 32));
	}
	run_write(w, words, BATCH);
}

static void make_registers(struct worker *w, uint64_t x[32], bool paged)
{
	static const uint8_t modes[] = {1, 2, 5, 7, 11, 12, 14, 15};

	for (int i = 1; i < 32; i++)
		x[i] = value_any(w);
	x[REG_ASID] = paging_satp(&w->tables, random_next(&w->random) & SATP_ASID_MAX);
	x[REG_NOMODE] = (x[REG_NOMODE] & BITS(59, 0)) |
			(uint64_t)modes[random_below(w, sizeof(modes))] << ATP_MODE_SHIFT;
	if (!paged)
		x[REG_ASID] = x[REG_NOMODE];
}

uint64_t csr_turn(struct worker *w)
{
	bool user = one_in(w, 4), paged = user || one_in(w, 2);
	uint64_t x[32] = {0}, done = 0;

	make_words(w, user);
	run_paged(w, paged);
	for (int i = 0; i < RUNS; i++) {
		make_registers(w, x, paged);
		done += run_written(w, x, paged, user) ? BATCH : w->traps;
	}
	run_paged(w, false);
	return done;
}
