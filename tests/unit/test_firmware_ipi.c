/* SPDX-License-Identifier: MIT */
/* unit: firmware/ipi.c */
/* libs: -lpthread */

/* IPIs and remote fences of Pilae's firmware: which harts, and which range. Each hart but the one
 * that calls is a thread, which looks at what is asked of it. */

#include "firmware/fences.h"
#include "firmware/firmware.h"
#include "riscv/tlb.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ALL   (~UINT64_C(0))
#define HARTS 4

struct fw_hart fw_harts[FW_HARTS_MAX];
uint64_t harts_present;

static uint32_t msip[HARTS];
static _Thread_local uint64_t mip, hgatp;
static _Thread_local unsigned self;
static volatile bool ended;

/* What a hart has executed. */
enum { FENCE_I = 1, SFENCE, SFENCE_ASID, SFENCE_PAGE, SFENCE_PAGE_ASID };
static struct {
	unsigned count;
	uint64_t kind, first, last, id, hgatp;
} did[HARTS];

struct fw_hart *this_hart(void)
{
	return &fw_harts[self];
}

void hart_halt(void)
{
	abort();
}

static void note(uint64_t kind, uint64_t address, uint64_t id)
{
	if (!did[self].count++)
		did[self].first = address;
	did[self].kind = kind;
	did[self].last = address;
	did[self].id = id;
	did[self].hgatp = hgatp;
}

void fence_i(void)
{
	note(FENCE_I, 0, 0);
}

void fence_memory_before_output(void)
{
}

void fence_output_before_memory(void)
{
}

void tlb_flush_all(void)
{
	note(SFENCE, 0, 0);
}

void tlb_flush_asid(uint64_t asid)
{
	note(SFENCE_ASID, 0, asid);
}

void tlb_flush_page_all(uint64_t va)
{
	note(SFENCE_PAGE, va, 0);
}

void tlb_flush_page(uint64_t va, uint64_t asid)
{
	note(SFENCE_PAGE_ASID, va, asid);
}

void hfence(unsigned funct7, uint64_t address, uint64_t id)
{
	note(funct7 | 0x300, address, id);
}

void hfence_address(unsigned funct7, uint64_t address)
{
	note(funct7 | 0x200, address, 0);
}

void hfence_id(unsigned funct7, uint64_t id)
{
	note(funct7 | 0x100, 0, id);
}

void hfence_all(unsigned funct7)
{
	note(funct7, 0, 0);
}

uint64_t csr_read(unsigned csr)
{
	if (csr == CSR_HGATP)
		return hgatp;
	/* What the others wait for is always pending here. */
	return csr == CSR_MIE ? ALL : mip | (csr == CSR_MIP ? BIT(IRQ_M_SOFT) : 0);
}

void csr_write(unsigned csr, uint64_t value)
{
	if (csr == CSR_HGATP)
		hgatp = value;
}

uint64_t csr_swap(unsigned csr, uint64_t value)
{
	uint64_t old = csr_read(csr);

	csr_write(csr, value);
	return old;
}

void csr_set(unsigned csr, uint64_t bits)
{
	if (csr == CSR_MIP)
		mip |= bits;
}

void csr_clear(unsigned csr, uint64_t bits)
{
	if (csr == CSR_MIP)
		mip &= ~bits;
}

static void *run_hart(void *argument)
{
	struct fw_hart *hart = argument;

	self = (unsigned)hart->id;
	hgatp = 0x1000 + hart->id;
	while (!ended) {
		if (__atomic_load_n(&msip[self], __ATOMIC_SEQ_CST))
			interrupts_serve(hart);
		else
			sched_yield();
	}
	assert_int_equal(hgatp, 0x1000 + hart->id);
	return (void *)(uintptr_t)mip;
}

static pthread_t threads[HARTS];

static void start_harts(void)
{
	ended = false;
	for (unsigned i = 1; i < HARTS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_hart, &fw_harts[i]), 0);
}

/* The mip of each in the end. */
static void end_harts(uint64_t mips[HARTS])
{
	void *result;

	ended = true;
	for (unsigned i = 1; i < HARTS; i++) {
		pthread_join(threads[i], &result);
		mips[i] = (uintptr_t)result;
	}
}

static int setup(void **state)
{
	(void)state;
	memset(fw_harts, 0, sizeof(fw_harts));
	memset(did, 0, sizeof(did));
	memset(msip, 0, sizeof(msip));
	for (unsigned i = 0; i < HARTS; i++) {
		fw_harts[i].id = i;
		fw_harts[i].bit = BIT(i);
		fw_harts[i].msip = (uint64_t)(uintptr_t)&msip[i];
		fw_harts[i].has_h = 1;
		fw_harts[i].state = SBI_HSM_STARTED;
	}
	harts_present = BIT(HARTS) - 1;
	mip = 0;
	hgatp = 0x999;
	return 0;
}

static void test_select(void **state)
{
	static const struct {
		uint64_t present, mask, base, set;
		int64_t error;
	} cases[] = {
	    {0xf, 1, 0, 1, 0},
	    {0xf, 0xf, 0, 0xf, 0},
	    {0xf, 3, 2, 0xc, 0},
	    {0xf, 0, 0, 0, 0},
	    {0xf, 0, 64, 0, 0},
	    {0xf, 0, ALL - 1, 0, 0},
	    /* All, whatever the mask. */
	    {0xf, 0, ALL, 0xf, 0},
	    {0xf, ALL, ALL, 0xf, 0},
	    {ALL, 5, ALL, ALL, 0},
	    {ALL, 1, 63, BIT(63), 0},
	    {ALL, ALL, 0, ALL, 0},
	    /* At least one of them is not there. */
	    {0xf, 0x1f, 0, 0, SBI_ERR_INVALID_PARAM},
	    {0xf, 1, 4, 0, SBI_ERR_INVALID_PARAM},
	    {0xb, 4, 0, 0, SBI_ERR_INVALID_PARAM},
	    {ALL, 3, 63, 0, SBI_ERR_INVALID_PARAM},
	    {ALL, ALL, 1, 0, SBI_ERR_INVALID_PARAM},
	    {ALL, 1, 64, 0, SBI_ERR_INVALID_PARAM},
	    {ALL, 1, 128, 0, SBI_ERR_INVALID_PARAM},
	    {ALL, BIT(63), 1, 0, SBI_ERR_INVALID_PARAM},
	    {ALL, 1, ALL - 1, 0, SBI_ERR_INVALID_PARAM},
	    {ALL, 1, BIT(63), 0, SBI_ERR_INVALID_PARAM},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t set = 0;

		harts_present = cases[i].present;
		assert_int_equal(harts_select(cases[i].mask, cases[i].base, &set), cases[i].error);
		if (!cases[i].error)
			assert_int_equal(set, cases[i].set);
	}
}

static void test_ipi(void **state)
{
	uint64_t mips[HARTS];

	(void)state;
	fw_harts[3].state = SBI_HSM_STOPPED;
	ipi_send(BIT(0) | BIT(2) | BIT(3));
	assert_int_equal(mip, BIT(IRQ_S_SOFT));
	assert_int_equal(msip[0], 0);
	assert_int_equal(msip[1], 0);
	assert_int_equal(msip[2], 1);
	/* Who is stopped is sent nothing. */
	assert_int_equal(msip[3], 0);
	assert_int_equal(fw_harts[3].ipi, 0);
	start_harts();
	while (__atomic_load_n(&fw_harts[2].ipi, __ATOMIC_SEQ_CST))
		sched_yield();
	end_harts(mips);
	assert_int_equal(mips[1], 0);
	assert_int_equal(mips[2], BIT(IRQ_S_SOFT));
	assert_int_equal(mips[3], 0);
	assert_int_equal(msip[2], 0);
}

static int64_t fence(uint64_t function, uint64_t start, uint64_t size, uint64_t id, uint64_t set)
{
	memset(did, 0, sizeof(did));
	fw_harts[0].fence =
	    (struct fence){.function = function, .start = start, .size = size, .id = id};
	return rfence_call(&fw_harts[0], set);
}

static void expect_did(unsigned hart, unsigned count, uint64_t kind, uint64_t first, uint64_t last,
		       uint64_t id)
{
	assert_int_equal(did[hart].count, count);
	assert_int_equal(did[hart].kind, kind);
	assert_int_equal(did[hart].first, first);
	assert_int_equal(did[hart].last, last);
	assert_int_equal(did[hart].id, id);
}

/* On this hart alone. */
static void test_ranges(void **state)
{
	enum { VMA = SBI_RFENCE_SFENCE_VMA, ASID = SBI_RFENCE_SFENCE_VMA_ASID };

	(void)state;
	assert_int_equal(fence(VMA, 0, 0, 7, 1), 0);
	expect_did(0, 1, SFENCE, 0, 0, 0);
	assert_int_equal(fence(VMA, 0x5000, ALL, 7, 1), 0);
	expect_did(0, 1, SFENCE, 0, 0, 0);
	assert_int_equal(fence(ASID, 0x5000, ALL, 7, 1), 0);
	expect_did(0, 1, SFENCE_ASID, 0, 0, 7);
	assert_int_equal(fence(VMA, 0x5000, 1, 7, 1), 0);
	expect_did(0, 1, SFENCE_PAGE, 0x5000, 0x5000, 0);
	/* Parts of pages at both ends. */
	assert_int_equal(fence(ASID, 0x5fff, 0x1002, 7, 1), 0);
	expect_did(0, 3, SFENCE_PAGE_ASID, 0x5000, 0x7000, 7);
	assert_int_equal(fence(VMA, 0x5000, 64 * PAGE_SIZE, 0, 1), 0);
	expect_did(0, 64, SFENCE_PAGE, 0x5000, 0x5000 + 63 * PAGE_SIZE, 0);
	assert_int_equal(fence(VMA, 0x5000, 64 * PAGE_SIZE + 1, 0, 1), 0);
	expect_did(0, 1, SFENCE, 0, 0, 0);
	/* To the end of all addresses, and beyond. */
	assert_int_equal(fence(VMA, -PAGE_SIZE, PAGE_SIZE, 0, 1), 0);
	expect_did(0, 1, SFENCE_PAGE, -PAGE_SIZE, -PAGE_SIZE, 0);
	assert_int_equal(fence(VMA, 1, ALL - 1, 0, 1), 0);
	expect_did(0, 1, SFENCE, 0, 0, 0);
	assert_int_equal(fence(VMA, -PAGE_SIZE, PAGE_SIZE + 1, 0, 1), SBI_ERR_INVALID_ADDRESS);
	assert_int_equal(did[0].count, 0);
	assert_int_equal(fence(VMA, 3, ALL - 1, 0, 1), SBI_ERR_INVALID_ADDRESS);
	/* Nothing, at an address; FENCE.I looks at no range; no hart. */
	assert_int_equal(fence(VMA, 0x5000, 0, 0, 1), 0);
	assert_int_equal(did[0].count, 0);
	assert_int_equal(fence(SBI_RFENCE_FENCE_I, 2, ALL - 1, 0, 1), 0);
	expect_did(0, 1, FENCE_I, 0, 0, 0);
	assert_int_equal(fence(VMA, 0, 0, 0, 0), 0);
	assert_int_equal(did[0].count, 0);
}

static void test_hypervisor(void **state)
{
	(void)state;
	assert_int_equal(fence(SBI_RFENCE_HFENCE_GVMA_VMID, 0x5000, PAGE_SIZE, 9, 1), 0);
	expect_did(0, 1, HFENCE_GVMA | 0x300, 0x1400, 0x1400, 9);
	assert_int_equal(fence(SBI_RFENCE_HFENCE_GVMA, 0x5000, PAGE_SIZE, 9, 1), 0);
	expect_did(0, 1, HFENCE_GVMA | 0x200, 0x1400, 0x1400, 0);
	assert_int_equal(fence(SBI_RFENCE_HFENCE_GVMA, 0, 0, 9, 1), 0);
	expect_did(0, 1, HFENCE_GVMA, 0, 0, 0);
	assert_int_equal(fence(SBI_RFENCE_HFENCE_GVMA_VMID, 0, 0, 9, 1), 0);
	expect_did(0, 1, HFENCE_GVMA | 0x100, 0, 0, 9);
	assert_int_equal(fence(SBI_RFENCE_HFENCE_VVMA_ASID, 0x5000, PAGE_SIZE, 9, 1), 0);
	expect_did(0, 1, HFENCE_VVMA | 0x300, 0x5000, 0x5000, 9);
	assert_int_equal(fence(SBI_RFENCE_HFENCE_VVMA, 0, ALL, 9, 1), 0);
	expect_did(0, 1, HFENCE_VVMA, 0, 0, 0);
}

/* Others, with the VMID of who asks; none of them is left out, or asked twice. */
static void test_remote(void **state)
{
	uint64_t mips[HARTS];

	(void)state;
	start_harts();
	for (unsigned i = 0; i < 200; i++) {
		uint64_t set = i & (BIT(HARTS) - 1);

		assert_int_equal(fence(SBI_RFENCE_HFENCE_VVMA_ASID, 0x5000, PAGE_SIZE, i, set), 0);
		for (unsigned n = 0; n < HARTS; n++) {
			assert_int_equal(did[n].count, set >> n & 1);
			if (set >> n & 1) {
				expect_did(n, 1, HFENCE_VVMA | 0x300, 0x5000, 0x5000, i);
				assert_int_equal(did[n].hgatp, 0x999);
			}
		}
		assert_int_equal(fw_harts[0].fence_left, 0);
	}
	assert_int_equal(hgatp, 0x999);
	end_harts(mips);
	assert_int_equal(mips[1] | mips[2] | mips[3], 0);
}

/* A hart that is stopped is not waited for; one without H makes the call fail for all. */
static void test_others(void **state)
{
	(void)state;
	for (unsigned i = 1; i < HARTS; i++)
		fw_harts[i].state = SBI_HSM_STOPPED;
	assert_int_equal(fence(SBI_RFENCE_SFENCE_VMA, 0, 0, 0, 0xf), 0);
	expect_did(0, 1, SFENCE, 0, 0, 0);
	assert_int_equal(msip[1] | msip[2] | msip[3], 0);
	fw_harts[2].has_h = 0;
	assert_int_equal(fence(SBI_RFENCE_HFENCE_GVMA, 0, 0, 0, 0xf), SBI_ERR_NOT_SUPPORTED);
	assert_int_equal(did[0].count, 0);
	assert_int_equal(fence(SBI_RFENCE_HFENCE_GVMA, 0, 0, 0, 0xb), 0);
	assert_int_equal(did[0].count, 1);
	assert_int_equal(fence(SBI_RFENCE_FENCE_I, 0, 0, 0, 0xf), 0);
}

/* Two that fence each other: who waits does what it is asked meanwhile. */
static void test_each_other(void **state)
{
	(void)state;
	fw_harts[1].fence =
	    (struct fence){.function = SBI_RFENCE_SFENCE_VMA_ASID, .id = 4, .size = ALL};
	fw_harts[1].fence_left = 1;
	fw_harts[0].fences = BIT(1);
	start_harts();
	assert_int_equal(fence(SBI_RFENCE_FENCE_I, 0, 0, 0, 0xe), 0);
	interrupts_serve(&fw_harts[0]);
	expect_did(0, 1, SFENCE_ASID, 0, 0, 4);
	assert_int_equal(fw_harts[1].fence_left, 0);
	assert_int_equal(fw_harts[0].fences, 0);
	end_harts((uint64_t[HARTS]){0});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_select, setup),
	    cmocka_unit_test_setup(test_ipi, setup),
	    cmocka_unit_test_setup(test_ranges, setup),
	    cmocka_unit_test_setup(test_hypervisor, setup),
	    cmocka_unit_test_setup(test_remote, setup),
	    cmocka_unit_test_setup(test_others, setup),
	    cmocka_unit_test_setup(test_each_other, setup),
	};

	return cmocka_run_group_tests_name("firmware ipi", tests, NULL, NULL);
}
