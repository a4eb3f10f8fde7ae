/* SPDX-License-Identifier: MIT */

/* The guest's machine: which devices it has, and how they are wired. */

#include "vmm/machine.h"
#include "device/finisher.h"
#include "device/flash.h"
#include "device/machine_virtio.h"
#include "device/passthrough.h"
#include "device/plic.h"
#include "device/rtc.h"
#include "device/uart.h"
#include "driver/rtc.h"
#include "kernel/error.h"
#include "kernel/log.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"
#include "vmm/vmconfig_device.h"

struct machine {
	struct plic plic;
	struct uart uart;
	struct rtc rtc;
	struct finisher finisher;
	struct machine_virtio virtio;
	struct flash flash[MACHINE_FLASH_BANKS];
	unsigned flash_count;
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
	struct vm *vm = context;

	/* What is typed goes here from now on. */
	__atomic_store_n(&vm->machine->virtio.input, NULL, __ATOMIC_RELAXED);
	console_output(vm, bytes, count);
}

static void uart_drained(void *context)
{
	console_drained(context);
}

/* The virtio slots that the host's devices take which the VM has, a bit each; and the RTC. */
static unsigned taken_slots(const struct machine *machine)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < MACHINE_VIRTIO_SLOTS; i++) {
		if (passthrough_takes(&machine->passthrough, MACHINE_VIRTIO_BASE((uint64_t)i),
				      MACHINE_VIRTIO_SIZE, MACHINE_VIRTIO_IRQ(i)))
			taken |= 1U << i;
	}
	return taken;
}

static bool has_rtc(const struct machine *machine)
{
	return !passthrough_takes(&machine->passthrough, MACHINE_RTC_BASE, MACHINE_RTC_SIZE, 0);
}

static int build_flash(struct vm *vm, struct machine *machine)
{
	for (unsigned bank = 0; bank < MACHINE_FLASH_BANKS; bank++) {
		const struct vmconfig_device *config = vmconfig_find_flash(&vm->config, bank);
		int error =
		    config ? flash_build(&machine->flash[machine->flash_count], vm, config) : 0;

		if (error)
			return error;
		machine->flash_count += config != NULL;
	}
	return 0;
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
	if (!error)
		error = build_flash(vm, machine);
	return error ? error
		     : machine_virtio_build(&machine->virtio, vm, &machine->plic,
					    taken_slots(machine));
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
	if (!vm->machine)
		return;
	machine_virtio_unbuild(&vm->machine->virtio);
	passthrough_release(&vm->machine->passthrough);
	for (unsigned i = 0; i < vm->machine->flash_count; i++)
		flash_unbuild(&vm->machine->flash[i]);
}

const struct guest_fdt_device *machine_host_devices(const struct vm *vm, unsigned *count)
{
	*count = vm->machine->passthrough.count;
	return vm->machine->passthrough.described;
}

uint64_t machine_overhead(const struct vmconfig *config)
{
	uint64_t sum = machine_virtio_overhead(config);

	for (unsigned bank = 0; bank < MACHINE_FLASH_BANKS; bank++) {
		const struct vmconfig_device *flash = vmconfig_find_flash(config, bank);

		sum += flash ? flash_bytes(flash) : 0;
	}
	return sum;
}

int machine_map(struct vm *vm, gpa_t gpa)
{
	struct machine *machine = vm->machine;

	for (unsigned i = 0; i < machine->flash_count; i++) {
		const struct mmio_device *device = &machine->flash[i].device;

		if (gpa.v - device->base < device->size)
			return flash_map(&machine->flash[i], gpa);
	}
	return ERR_FAULT;
}

int machine_load(struct vm *vm)
{
	int result = 0;

	for (unsigned i = 0; i < vm->machine->flash_count && !result; i++)
		result = flash_disk_load(&vm->machine->flash[i].disk);
	return result;
}

void machine_work(struct vm *vm)
{
	machine_virtio_work(&vm->machine->virtio);
}

void machine_idle(struct vm *vm)
{
	__atomic_store_n(&vm->puts_off, 0, __ATOMIC_SEQ_CST);
	machine_virtio_idle(&vm->machine->virtio);
}

void machine_resume(struct vm *vm)
{
	machine_virtio_resume(&vm->machine->virtio);
}

int machine_quiesce(struct vm *vm)
{
	int result = machine_virtio_quiesce(&vm->machine->virtio);

	for (unsigned i = 0; i < vm->machine->flash_count; i++) {
		if (flash_disk_is_busy(&vm->machine->flash[i].disk))
			result = ERR_AGAIN;
	}
	return result;
}

void machine_reset(struct vm *vm)
{
	passthrough_quiet(&vm->machine->passthrough);
	/* Devices first: the PLIC takes over what their lines are at then. */
	uart_reset(&vm->machine->uart);
	rtc_reset(&vm->machine->rtc);
	machine_virtio_reset(&vm->machine->virtio);
	for (unsigned i = 0; i < vm->machine->flash_count; i++)
		flash_reset(&vm->machine->flash[i]);
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
	struct virtio_console *console =
	    __atomic_load_n(&vm->machine->virtio.input, __ATOMIC_RELAXED);

	return console ? virtio_console_receive(console, byte, more)
		       : uart_receive(&vm->machine->uart, byte, more);
}

bool machine_console_take(struct vm *vm, uint8_t *byte)
{
	struct virtio_console *console =
	    __atomic_load_n(&vm->machine->virtio.input, __ATOMIC_RELAXED);

	return uart_take(&vm->machine->uart, byte) ||
	       (console && virtio_console_take(console, byte));
}
