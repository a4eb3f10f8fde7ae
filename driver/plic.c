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
} handlers[SOURCES_MAX];

static volatile uint32_t *reg(uint64_t offset)
{
	return (volatile uint32_t *)(plic + offset);
}

static void handle_external(void)
{
	for (unsigned i = 0; i < CLAIMS_AN_INTERRUPT; i++) {
		uint32_t source = *reg(CONTEXT(context) + CLAIM);

		if (source == 0)
			return;
		if (source < SOURCES_MAX) {
			counts[source]++;
			if (handlers[source].handle)
				handlers[source].handle(handlers[source].argument);
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

int host_plic_enable(uint32_t source, void (*handler)(void *argument), void *argument)
{
	volatile uint32_t *enable;

	if (!plic || source == 0 || source > platform.plic_sources || source >= SOURCES_MAX)
		return ERR_NOENT;
	handlers[source].handle = handler;
	handlers[source].argument = argument;
	*reg(PRIORITY(source)) = 1;
	enable = reg(ENABLE(context) + 4 * (uint64_t)(source / 32));
	*enable = *enable | (uint32_t)1 << source % 32;
	return 0;
}

uint32_t host_plic_source_count(void)
{
	return (uint32_t)min_u64(platform.plic_sources + UINT64_C(1), SOURCES_MAX);
}

uint64_t host_plic_interrupts(uint32_t source)
{
	return counts[source];
}
