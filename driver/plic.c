/* SPDX-License-Identifier: MIT */

#include "driver/plic.h"

#include "kernel/error.h"
#include "kernel/hart.h"
#include "kernel/log.h"
#include "kernel/mmu.h"
#include "kernel/platform.h"
#include "kernel/trap.h"
#include "riscv/csr.h"

#define PRIORITY(source)    (4 * (uint64_t)(source))
#define ENABLE(context)     (0x2000 + 0x80 * (uint64_t)(context))
#define CONTEXT(context)    (0x200000 + 0x1000 * (uint64_t)(context))
#define THRESHOLD           0
#define CLAIM               4
#define SOURCES_MAX         1024
#define CLAIMS_AN_INTERRUPT 4 /* a device that never rests must not keep the hart */

static volatile char *plic;
static uint32_t context;
static uint64_t counts[SOURCES_MAX];
static struct {
	void (*handle)(void *argument);
	void *argument;
	bool forwarded;
	uint32_t claimed; /* a forwarded one is; atomic, as any hart may complete it */
} handlers[SOURCES_MAX];

static volatile uint32_t *reg(uint64_t offset)
{
	return (volatile uint32_t *)(plic + offset);
}

/* Whether it is somebody else who completes it. */
static bool dispatch(uint32_t source)
{
	bool forwarded = handlers[source].forwarded;

	/* Before it is told: it may be completed on another hart at once. */
	if (forwarded)
		__atomic_store_n(&handlers[source].claimed, true, __ATOMIC_RELEASE);
	if (handlers[source].handle)
		handlers[source].handle(handlers[source].argument);
	return forwarded;
}

static void handle_external(void)
{
	for (unsigned i = 0; i < CLAIMS_AN_INTERRUPT; i++) {
		uint32_t source = *reg(CONTEXT(context) + CLAIM);

		if (source == 0)
			return;
		if (source < SOURCES_MAX) {
			counts[source]++;
			if (dispatch(source))
				continue;
		}
		*reg(CONTEXT(context) + CLAIM) = source;
	}
}

void host_plic_init(void)
{
	if (platform.plic.size == 0 || platform_plic_context(this_hart()->id, &context) != 0 ||
	    CONTEXT(context) + PAGE_SIZE > platform.plic.size) {
		log_warn("no usable PLIC: devices are polled");
		return;
	}
	plic = mmu_map_registers(HPA(platform.plic.base), platform.plic.size);
	for (uint32_t word = 0; word <= platform.plic_sources / 32; word++)
		*reg(ENABLE(context) + 4 * (uint64_t)word) = 0;
	*reg(CONTEXT(context) + THRESHOLD) = 0;
	interrupt_set_external(handle_external);
	csr_set(CSR_SIE, BIT(IRQ_S_EXT));
}

static bool exists(uint32_t source)
{
	return plic && source != 0 && source <= platform.plic_sources && source < SOURCES_MAX;
}

/* On the boot hart alone, so that nothing comes between. */
static void set_enable(uint32_t source, bool on)
{
	volatile uint32_t *enable = reg(ENABLE(context) + 4 * (uint64_t)(source / 32));
	uint32_t bit = (uint32_t)1 << source % 32;

	*enable = on ? *enable | bit : *enable & ~bit;
}

int host_plic_enable(uint32_t source, void (*handler)(void *argument), void *argument)
{
	if (!exists(source))
		return ERR_NOENT;
	handlers[source].handle = handler;
	handlers[source].argument = argument;
	*reg(PRIORITY(source)) = 1;
	set_enable(source, true);
	return 0;
}

int host_plic_forward(uint32_t source, void (*handler)(void *argument), void *argument)
{
	if (!exists(source))
		return ERR_NOENT;
	if (handlers[source].handle)
		return ERR_EXIST;
	handlers[source].handle = handler;
	handlers[source].argument = argument;
	handlers[source].forwarded = true;
	*reg(PRIORITY(source)) = 1;
	return 0;
}

void host_plic_complete(uint32_t source)
{
	if (!__atomic_exchange_n(&handlers[source].claimed, false, __ATOMIC_ACQ_REL))
		return;
	/* What the guest told its device comes first (RISC-V, FENCE: o beside o). */
	__asm__ volatile("fence iorw, iorw" ::: "memory");
	*reg(CONTEXT(context) + CLAIM) = source;
}

void host_plic_mask(uint32_t source)
{
	/* In this order: the completion of a source that is not enabled is ignored (chapter 9). */
	host_plic_complete(source);
	set_enable(source, false);
}

void host_plic_unmask(uint32_t source)
{
	set_enable(source, true);
}

void host_plic_release(uint32_t source)
{
	host_plic_mask(source);
	handlers[source].forwarded = false;
	handlers[source].handle = NULL;
}

uint32_t host_plic_source_count(void)
{
	return (uint32_t)min_u64(platform.plic_sources + UINT64_C(1), SOURCES_MAX);
}

uint64_t host_plic_interrupts(uint32_t source)
{
	return counts[source];
}
