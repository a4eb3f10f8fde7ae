/* SPDX-License-Identifier: MIT */

/* SBI 2.0, chapters 7 and 8: interrupts between harts, and what they ask each other for. */

#include "firmware/fences.h"
#include "firmware/firmware.h"
#include "riscv/hint.h"
#include "riscv/tlb.h"

/* Beside SBI_RFENCE_…: the hart does nothing any more. */
#define FENCE_HALT 0x100

/* A longer range is flushed by everything. */
#define FENCE_PAGES_MAX 64

int64_t harts_select(uint64_t mask, uint64_t base, uint64_t *set)
{
	uint64_t present = harts_present;

	*set = present;
	if (base == ~UINT64_C(0))
		return SBI_SUCCESS;
	*set = base < FW_HARTS_MAX ? mask << base : 0;
	if ((base < FW_HARTS_MAX ? *set >> base : 0) != mask || *set & ~present)
		return SBI_ERR_INVALID_PARAM;
	return SBI_SUCCESS;
}

void hart_kick(struct fw_hart *hart)
{
	/* Orders what it is to find before the interrupt. */
	fence_memory_before_output();
	if (hart->msip)
		*(volatile uint32_t *)hart->msip = 1;
	else if (hart->imsic)
		*(volatile uint32_t *)hart->imsic = 1;
}

/* Calls for each hart of a set. */
#define for_each_hart(hart, set)                                                                  \
	for (uint64_t left_ = (set); left_ && ((hart) = &fw_harts[__builtin_ctzll(left_)], true); \
	     left_ &= left_ - 1)

/* A hart that is stopped begins with what an interrupt or fence could tell it. */
static bool is_stopped(const struct fw_hart *hart)
{
	return __atomic_load_n(&hart->state, __ATOMIC_SEQ_CST) == SBI_HSM_STOPPED;
}

void ipi_send(uint64_t set)
{
	const struct fw_hart *self = this_hart();
	struct fw_hart *hart;

	if (set & self->bit)
		csr_set(CSR_MIP, BIT(IRQ_S_SOFT));
	for_each_hart(hart, set & ~self->bit)
	{
		if (is_stopped(hart))
			continue;
		__atomic_store_n(&hart->ipi, 1, __ATOMIC_SEQ_CST);
		hart_kick(hart);
	}
}

static void fence_all(const struct fence *fence)
{
	switch (fence->function) {
	case SBI_RFENCE_SFENCE_VMA:
		tlb_flush_all();
		break;
	case SBI_RFENCE_SFENCE_VMA_ASID:
		tlb_flush_asid(fence->id);
		break;
	case SBI_RFENCE_HFENCE_GVMA_VMID:
		hfence_id(HFENCE_GVMA, fence->id);
		break;
	case SBI_RFENCE_HFENCE_GVMA:
		hfence_all(HFENCE_GVMA);
		break;
	case SBI_RFENCE_HFENCE_VVMA_ASID:
		hfence_id(HFENCE_VVMA, fence->id);
		break;
	default:
		hfence_all(HFENCE_VVMA);
		break;
	}
}

static void fence_page(const struct fence *fence, uint64_t address)
{
	switch (fence->function) {
	case SBI_RFENCE_SFENCE_VMA:
		tlb_flush_page_all(address);
		break;
	case SBI_RFENCE_SFENCE_VMA_ASID:
		tlb_flush_page(address, fence->id);
		break;
	case SBI_RFENCE_HFENCE_GVMA_VMID:
		/* Guest-physical addresses are given shifted right by 2 (Priv. 1.13, 18.3.2). */
		hfence(HFENCE_GVMA, address >> 2, fence->id);
		break;
	case SBI_RFENCE_HFENCE_GVMA:
		hfence_address(HFENCE_GVMA, address >> 2);
		break;
	case SBI_RFENCE_HFENCE_VVMA_ASID:
		hfence(HFENCE_VVMA, address, fence->id);
		break;
	default:
		hfence_address(HFENCE_VVMA, address);
		break;
	}
}

static void fence_range(const struct fence *fence)
{
	uint64_t first = align_down(fence->start, PAGE_SIZE);
	uint64_t last = fence->start + fence->size - 1;

	if (fence->size == 0)
		return;
	if (fence->size == ~UINT64_C(0) || (last - first) / PAGE_SIZE >= FENCE_PAGES_MAX) {
		fence_all(fence);
		return;
	}
	for (uint64_t n = 0; n <= (last - first) / PAGE_SIZE; n++)
		fence_page(fence, first + n * PAGE_SIZE);
}

static void do_fence(const struct fence *fence)
{
	uint64_t hgatp, vsatp;

	if (fence->function == SBI_RFENCE_FENCE_I) {
		fence_i();
		return;
	}
	if (fence->function < SBI_RFENCE_HFENCE_VVMA_ASID) {
		fence_range(fence);
		return;
	}
	if (fence->function == FENCE_HALT)
		hart_halt();
	/*
	 * Of the guest whose VMID the sender has in hgatp, whatever guest this hart has. Its vsatp
	 * must not be walked through the other one's second stage (Priv. 1.13, "Memory-Management
	 * Fences").
	 */
	vsatp = csr_swap(CSR_VSATP, 0);
	hgatp = csr_swap(CSR_HGATP, fence->hgatp);
	fence_range(fence);
	csr_write(CSR_HGATP, hgatp);
	csr_write(CSR_VSATP, vsatp);
}

static void do_fences(struct fw_hart *hart)
{
	uint64_t senders = __atomic_exchange_n(&hart->fences, 0, __ATOMIC_SEQ_CST);
	struct fw_hart *sender;

	for_each_hart(sender, senders)
	{
		do_fence(&sender->fence);
		__atomic_fetch_sub(&sender->fence_left, 1, __ATOMIC_SEQ_CST);
	}
}

/* 0 and -1 as size, with any start for -1, mean everything; a range may end where addresses do. */
static int64_t check_range(struct fence *fence)
{
	if (fence->start == 0 && fence->size == 0)
		fence->size = ~UINT64_C(0);
	if (fence->size == ~UINT64_C(0))
		fence->start = 0;
	else if (fence->size && fence->start + (fence->size - 1) < fence->start)
		return SBI_ERR_INVALID_ADDRESS;
	return SBI_SUCCESS;
}

/* Chapter 8: all of the targets must have what is to be fenced. */
static bool is_fence_known(uint64_t function, uint64_t set)
{
	struct fw_hart *target;

	for_each_hart(target, function >= SBI_RFENCE_HFENCE_GVMA_VMID ? set : 0)
	{
		if (!target->has_h)
			return false;
	}
	return true;
}

/* Asks another hart to do this one's fence. */
static void send_fence(struct fw_hart *hart, struct fw_hart *target)
{
	__atomic_fetch_add(&hart->fence_left, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&target->fences, hart->bit, __ATOMIC_SEQ_CST);
	hart_kick(target);
}

void harts_halt(struct fw_hart *hart)
{
	struct fw_hart *target;

	hart->fence.function = FENCE_HALT;
	/* Those that are stopped, too: one may be about to be started. */
	for_each_hart(target, harts_present & ~hart->bit) send_fence(hart, target);
	hart_halt();
}

int64_t rfence_call(struct fw_hart *hart, uint64_t set)
{
	struct fence *fence = &hart->fence;
	struct fw_hart *target;
	int64_t error = SBI_SUCCESS;

	if (!is_fence_known(fence->function, set))
		return SBI_ERR_NOT_SUPPORTED;
	if (fence->function != SBI_RFENCE_FENCE_I)
		error = check_range(fence);
	if (error)
		return error;
	if (fence->function >= SBI_RFENCE_HFENCE_VVMA_ASID)
		fence->hgatp = csr_read(CSR_HGATP);
	for_each_hart(target, set & ~hart->bit)
	{
		if (!is_stopped(target))
			send_fence(hart, target);
	}
	if (set & hart->bit)
		do_fence(fence);
	/* They may be waiting for this hart, too. */
	while (__atomic_load_n(&hart->fence_left, __ATOMIC_SEQ_CST)) {
		do_fences(hart);
		cpu_pause();
	}
	return SBI_SUCCESS;
}

/* Takes the interrupt back before what it stands for is looked at. */
static void acknowledge(struct fw_hart *hart)
{
	if (hart->msip)
		*(volatile uint32_t *)hart->msip = 0;
	else if (hart->imsic)
		csr_write(CSR_MTOPEI, 0);
	fence_output_before_memory();
}

void interrupts_serve(struct fw_hart *hart)
{
	uint64_t pending = csr_read(CSR_MIP) & csr_read(CSR_MIE);

	if (pending & BIT(IRQ_M_TIMER)) {
		csr_set(CSR_MIP, BIT(IRQ_S_TIMER));
		csr_clear(CSR_MIE, BIT(IRQ_M_TIMER));
	}
	if (pending & (BIT(IRQ_M_SOFT) | BIT(IRQ_M_EXT)))
		acknowledge(hart);
	if (__atomic_exchange_n(&hart->ipi, 0, __ATOMIC_SEQ_CST))
		csr_set(CSR_MIP, BIT(IRQ_S_SOFT));
	if (__atomic_load_n(&hart->fences, __ATOMIC_SEQ_CST))
		do_fences(hart);
}
