/* SPDX-License-Identifier: MIT */

/* What the soft engine needs of a hart, and what of it it can give to guests. */

#include "kernel/hart.h"
#include "engine/soft/soft.h"
#include "engine/soft/trampoline.h"
#include "kernel/log.h"
#include "kernel/mmu.h"
#include "kernel/platform.h"
#include "kernel/timer.h"
#include "kernel/trap.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

/* What a hart lets its U-mode have, probed on that hart. */
struct soft_hart {
	bool usable;
	uint64_t asid_max;
	bool has_cbo_zero, has_cbo_clean;
	bool has_envcfg; /* senvcfg; harts of Priv. 1.11 have none */
};

static struct soft_hart soft_harts[HARTS_MAX];
static char scratch_line[PAGE_SIZE] __aligned(PAGE_SIZE);

static uint64_t probe_asid_max(void)
{
	uint64_t satp = csr_read(CSR_SATP);
	uint64_t ones = UINT64_C(0xffff) << SATP_ASID_SHIFT;
	uint64_t found;

	/* ASIDLEN is found by writing ones (Priv. 1.13, 12.1.11). */
	csr_write(CSR_SATP, satp | ones);
	found = (csr_read(CSR_SATP) & ones) >> SATP_ASID_SHIFT;
	csr_write(CSR_SATP, satp);
	__asm__ volatile("sfence.vma" ::: "memory");
	return found;
}

/* Whether an instruction on the line at `address` can be executed: menvcfg may forbid it. */
#define try_cbo(word, address)                                         \
	({                                                             \
		register uint64_t try_failed_ __asm__("t0");           \
		register uint64_t try_line_ __asm__("a0") = (address); \
		__asm__ volatile("   li t0, 0\n"                       \
				 "1: .word " word "\n"                 \
				 "2:\n" EXCEPTION_ENTRY(1b, 2b)        \
				 : "=&r"(try_failed_)                  \
				 : "r"(try_line_)                      \
				 : "memory");                          \
		!try_failed_;                                          \
	})

/* The boot hart maps it for all. */
static bool find_mtime(struct hart *hart)
{
	static const volatile uint64_t *mtime;
	uint64_t address = platform_mtime();

	if (!mtime && address && hart->index == 0) {
		mtime = mmu_map_registers(HPA(address), sizeof(*mtime));
		log_info("the harts have no time: the machine's is read, and illegal instructions "
			 "are taken over from the firmware");
	}
	hart->time_register = mtime;
	return mtime;
}

/*
 * Each of a guest's privileged instructions is an illegal one at first. Pilae's firmware keeps them
 * where it has to emulate `time`, unless it is told that this is done here (docs/boot.md). With H
 * it is better at that: guests of the hext engine would get these traps themselves.
 */
static void take_illegal_instructions(struct hart *hart)
{
	struct sbi_ret ret = sbi_call(SBI_EXT_BASE, SBI_BASE_GET_IMPL_ID, 0, 0, 0, 0, 0);

	if (hart->has_h || ret.error || ret.value != FW_IMPLEMENTATION_ID)
		return;
	ret = sbi_call(FW_EXT_PILAE, FW_PILAE_DELEGATE_ILLEGAL, 1, 0, 0, 0, 0);
	/* No error, and 0: it has kept them until now. */
	if (ret.error == SBI_SUCCESS && ret.value == 0 && !find_mtime(hart))
		sbi_call(FW_EXT_PILAE, FW_PILAE_DELEGATE_ILLEGAL, 0, 0, 0, 0, 0);
}

bool soft_init_hart(void)
{
	struct hart *hart = this_hart();
	struct soft_hart *soft = &soft_harts[hart->index];
	uint64_t line = (uint64_t)scratch_line;

	soft->asid_max = probe_asid_max();
	soft->has_envcfg = csr_try_write(CSR_SENVCFG, ENVCFG_CBZE | ENVCFG_CBCFE | 1 << 4);
	soft->has_cbo_zero = try_cbo("0x0045200f", line);  /* cbo.zero (a0) */
	soft->has_cbo_clean = try_cbo("0x0015200f", line); /* cbo.clean (a0) */
	if (hart->index == 0)
		trampoline_init();
	take_illegal_instructions(hart);
	soft->usable = true;
	return true;
}

void soft_write_envcfg(uint64_t value)
{
	if (soft_harts[this_hart()->index].has_envcfg)
		csr_write(CSR_SENVCFG, value);
}

bool soft_can_use(const struct hart *hart)
{
	return soft_harts[hart->index].usable;
}

static void remove_letter(struct isa *isa, char letter)
{
	isa->letters &= ~((uint32_t)1 << (letter - 'a'));
}

static void limit_to_hart(struct isa *isa, const struct soft_hart *hart)
{
	if (!hart->has_cbo_zero)
		isa_remove(isa, ISA_zicboz);
	if (!hart->has_cbo_clean)
		isa_remove(isa, ISA_zicbom);
}

uint64_t soft_asid_max(void)
{
	uint64_t max = soft_harts[0].asid_max;

	for (unsigned i = 1; i < hart_count(); i++) {
		if (soft_harts[i].asid_max < max)
			max = soft_harts[i].asid_max;
	}
	return max;
}

void soft_limit_isa(struct isa *isa)
{
	/* A mode smaller than the harts' own, so that Pilae has a place beside it. */
	static const uint8_t address_bits[] = {39, 39, 48};
	unsigned root_level;

	remove_letter(isa, 'h');
	/* State that is not switched is not offered: f without d, and parts of vector. */
	if (!isa_has_letter(isa, 'd'))
		remove_letter(isa, 'f');
	for (unsigned e = ISA_zvbb; e <= ISA_zvkt && !isa_has_letter(isa, 'v'); e++)
		isa_remove(isa, (enum isa_extension)e);
	for (unsigned i = 0; i < hart_count(); i++)
		limit_to_hart(isa, &soft_harts[i]);
	mmu_root(&root_level);
	isa->virtual_address_bits = address_bits[root_level - 2];
	/* Supervisor extensions are the engine's own doing: those that it does. */
	isa_remove(isa, ISA_sstc);
	isa_remove(isa, ISA_svpbmt);
	isa_remove(isa, ISA_svvptc);
	isa_remove(isa, ISA_ssstateen);
	isa_remove(isa, ISA_smstateen);
	isa_remove(isa, ISA_svade);
	isa_add(isa, ISA_svadu);
	isa_add(isa, ISA_svinval);
	isa_add(isa, ISA_svnapot);
}
