/* SPDX-License-Identifier: MIT */

/* The guest's machine: which devices it has, and how they are wired. */

#include "vmm/machine.h"
#include "device/finisher.h"
#include "device/passthrough.h"
#include "device/plic.h"
#include "device/rtc.h"
#include "device/uart.h"
#include "device/virtio/slot.h"
#include "driver/rtc.h"
#include "kernel/error.h"
#include "kernel/log.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"

struct machine {
	struct plic plic;
	struct uart uart;
	struct rtc rtc;
	struct finisher finisher;
	struct virtio_slot slots[MACHINE_VIRTIO_SLOTS];
	struct passthrough passthrough;
};

static void finisher_event(void *context, enum finisher_event event, unsigned code)
{
	struct vm *vm = context;

	switch (event) {
	case FINISHER_POWEROFF:
		vm_end(vm, VM_END_POWEROFF);
		break;
	case FINISHER_RESET:
		vm_end(vm, VM_END_REBOOT);
		break;
	case FINISHER_FAIL:
		vm_crash(vm, "the guest reports a failure to its test finisher, code %u", code);
		break;
	}
}

static void uart_output(void *context, const uint8_t *bytes, unsigned count)
{
	console_output(context, bytes, count);
}

static void uart_drained(void *context)
{
	console_drained(context);
}

/* What the host's devices that the VM has leave of a virtio slot, and of the RTC. */
static bool has_slot(const struct machine *machine, unsigned slot)
{
	return !passthrough_takes(&machine->passthrough, MACHINE_VIRTIO_BASE((uint64_t)slot),
				  MACHINE_VIRTIO_SIZE, MACHINE_VIRTIO_IRQ(slot));
}

static bool has_rtc(const struct machine *machine)
{
	return !passthrough_takes(&machine->passthrough, MACHINE_RTC_BASE, MACHINE_RTC_SIZE, 0);
}

static int add_devices(struct vm *vm, struct machine *machine)
{
	int error = bus_add(&vm->bus, &machine->plic.device);

	if (!error)
		error = bus_add(&vm->bus, &machine->uart.device);
	if (!error && has_rtc(machine))
		error = bus_add(&vm->bus, &machine->rtc.device);
	if (!error)
		error = bus_add(&vm->bus, &machine->finisher.device);
	for (unsigned i = 0; i < MACHINE_VIRTIO_SLOTS && !error; i++) {
		if (!has_slot(machine, i))
			continue;
		virtio_slot_init(&machine->slots[i], i);
		error = bus_add(&vm->bus, &machine->slots[i].device);
	}
	return error;
}

int machine_build(struct vm *vm)
{
	struct machine *machine = arena_alloc(&vm->arena, sizeof(*machine));
	struct uart_line line = {uart_output, uart_drained, vm};
	int error;

	if (!machine)
		return ERR_NOMEM;
	error = plic_init(&machine->plic, &vm->arena, vm->config.vcpus, vm->guest.vcpus);
	if (error)
		return error;
	uart_init(&machine->uart, plic_line(&machine->plic, MACHINE_UART_IRQ), &line);
	rtc_init(&machine->rtc, plic_line(&machine->plic, MACHINE_RTC_IRQ), wall_clock_ns);
	finisher_init(&machine->finisher, finisher_event, vm);
	vm->machine = machine;
	error = passthrough_build(&machine->passthrough, vm, &machine->plic);
	return error ? error : add_devices(vm, machine);
}

void machine_unbuild(struct vm *vm)
{
	if (vm->machine)
		passthrough_release(&vm->machine->passthrough);
}

const struct guest_fdt_device *machine_host_devices(const struct vm *vm, unsigned *count)
{
	*count = vm->machine->passthrough.count;
	return vm->machine->passthrough.described;
}

void machine_reset(struct vm *vm)
{
	passthrough_quiet(&vm->machine->passthrough);
	/* Devices first: the PLIC takes over what their lines are at then. */
	uart_reset(&vm->machine->uart);
	rtc_reset(&vm->machine->rtc);
	plic_reset(&vm->machine->plic);
	passthrough_open(&vm->machine->passthrough);
}

/*
 * The power button of `virt` is a key on a GPIO controller, which this machine has not; and
 * neither the SBI nor another device here has a way to ask a guest for something.
 */
bool machine_request_shutdown(struct vm *vm)
{
	(void)vm;
	return false;
}

bool machine_console_input(struct vm *vm, uint8_t byte, bool more)
{
	return uart_receive(&vm->machine->uart, byte, more);
}

bool machine_console_take(struct vm *vm, uint8_t *byte)
{
	return uart_take(&vm->machine->uart, byte);
}
