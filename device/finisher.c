/* SPDX-License-Identifier: MIT */
#include "device/finisher.h"

#include "kernel/error.h"
#include "vmm/machine.h"

#define FINISHER_WORD_FAIL 0x3333

/* As on `virt`: 2 and 4 bytes wide anywhere in its page, all of which reads as zero. */
static int finisher_read(struct mmio_device *device, uint64_t offset, unsigned size,
			 uint64_t *value)
{
	(void)device;
	(void)offset;
	if (size != 2 && size != 4)
		return ERR_FAULT;
	*value = 0;
	return 0;
}

static int finisher_write(struct mmio_device *device, uint64_t offset, unsigned size,
			  uint64_t value)
{
	struct finisher *finisher = container_of(device, struct finisher, device);
	unsigned code = (value >> 16) & 0xffff;

	if (size != 2 && size != 4)
		return ERR_FAULT;
	if (offset != 0)
		return 0;
	switch (value & 0xffff) {
	case MACHINE_TEST_POWEROFF:
		finisher->event(finisher->context, FINISHER_POWEROFF, code);
		break;
	case MACHINE_TEST_REBOOT:
		finisher->event(finisher->context, FINISHER_RESET, code);
		break;
	case FINISHER_WORD_FAIL:
		finisher->event(finisher->context, FINISHER_FAIL, code);
		break;
	}
	return 0;
}

void finisher_init(struct finisher *finisher, finisher_event_fn *event, void *context)
{
	static const struct mmio_ops ops = {finisher_read, finisher_write};

	*finisher = (struct finisher){
	    .device = {"finisher", &ops, MACHINE_TEST_BASE, MACHINE_TEST_SIZE},
	    .event = event,
	    .context = context,
	};
}
