/* SPDX-License-Identifier: MIT */
/* unit: device/machine_virtio.c device/virtio/blk.c device/virtio/blk_image.c device/virtio/console.c device/virtio/rng.c device/virtio/device.c device/virtio/mmio.c device/virtio/vring.c vmm/copy.c vmm/bus.c */
#include "tests/unit/virtio_fixture.h"

#include "device/machine_virtio.h"
#include "device/plic.h"
#include "device/virtio/blk_disk.h"
#include "device/virtio/blk_image.h"
#include "device/virtio/net.h"
#include "kernel/arena.h"
#include "kernel/log.h"
#include "kernel/page.h"
#include "kernel/pool.h"
#include "vmm/vmconfig_device.h"

#include <stdio.h>
#include <stdlib.h>

/* Which devices a description puts into which slots. */
static struct machine_virtio virtio;
static struct vmconfig *config = &ring_vm.config;
static struct plic plic;
static char message[512];
static uint8_t image[5000];
static uint64_t taken_bytes; /* of the arena */
static void *blocks[64];
static unsigned block_count;
static unsigned output_count, drained_count;

void log_at(enum log_level level, const char *format, ...)
{
	va_list arguments;

	(void)level;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
}

/* As the arena does: a block of pages for what is large. */
void *arena_alloc(struct arena *arena, size_t size)
{
	size_t whole = PAGE_SIZE;

	(void)arena;
	while (whole < size)
		whole *= 2;
	taken_bytes += size < PAGE_SIZE ? size : whole;
	assert_in_range(block_count, 0, ARRAY_SIZE(blocks) - 1);
	return blocks[block_count++] = calloc(1, whole);
}

void *page_alloc(unsigned order)
{
	(void)order;
	return NULL;
}

bool pool_reclaim(void)
{
	return false;
}

void arena_adopt_pages(struct arena *arena, void *block, unsigned order, enum arena_use use)
{
	(void)arena, (void)block, (void)order, (void)use;
}

struct irq_line plic_line(struct plic *of, unsigned source)
{
	assert_ptr_equal(of, &plic);
	return (struct irq_line){set_line, NULL, source};
}

bool vmconfig_is_virtio(enum vmconfig_device_kind kind)
{
	return kind >= VMCONFIG_VIRTIO_BLK && kind <= VMCONFIG_VIRTIO_RNG;
}

unsigned console_output(struct vm *vm, const uint8_t *bytes, unsigned count)
{
	assert_ptr_equal(vm, &ring_vm);
	assert_non_null(bytes);
	output_count += count;
	return count;
}

void console_drained(struct vm *vm)
{
	assert_ptr_equal(vm, &ring_vm);
	drained_count++;
}

/*
 * A switch with one port.
 */

static struct net lan;
static uint64_t plugged; /* the address that was plugged in */
static unsigned quits;

struct net *net_by_name(const char *name)
{
	return strcmp(name, "lan0") == 0 ? &lan : NULL;
}

uint64_t net_make_address(const char *vm, const char *name)
{
	assert_string_equal(vm, "web");
	assert_string_equal(name, "device");
	return 0x020000000001;
}

uint64_t mac_read(const uint8_t bytes[MAC_BYTES])
{
	return bytes[5];
}

static void note_quit(struct virtio_device *device)
{
	assert_ptr_equal(device, virtio.slots[0].device);
	quits++;
}

int net_device_init(struct net_device *net, struct net *to, const char *name, uint64_t address,
		    struct vm *vm, struct irq_line irq, bool legacy)
{
	static const struct virtio_ops ops = {.id = 1, .quit = note_quit};
	struct virtio_type type = {.ops = &ops, .queues = 1};

	assert_ptr_equal(to, &lan);
	assert_string_equal(name, "device");
	if (plugged)
		return address == plugged ? ERR_EXIST : ERR_NOMEM;
	plugged = address;
	virtio_device_init(&net->device, &type, vm, irq, legacy);
	return 0;
}

static bool has_entropy;
static unsigned entropy_users;

bool host_entropy_attach(void)
{
	entropy_users += has_entropy;
	return has_entropy;
}

void host_entropy_detach(void)
{
	entropy_users--;
}

void host_entropy_read(struct entropy_request *request)
{
	(void)request;
}

bool host_entropy_cancel(struct entropy_request *request)
{
	(void)request;
	return false;
}

/*
 * Disks of the host's.
 */

static int open_error;
static unsigned opened;

static void close_disk(struct blk_backend *backend)
{
	blk_disk_close(container_of(backend, struct blk_disk, backend));
}

int blk_disk_open(struct blk_disk *disk, struct vm *vm, const struct vmconfig_device *of)
{
	static const struct blk_backend_ops ops = {.close = close_disk};

	assert_ptr_equal(vm, &ring_vm);
	assert_string_equal(of->host, "virtio-blk0");
	if (opened == 1 && open_error)
		return open_error;
	disk->backend = (struct blk_backend){.ops = &ops, .sectors = 77, .depth = 32};
	opened++;
	return 0;
}

void blk_disk_close(struct blk_disk *disk)
{
	assert_int_equal(disk->backend.sectors, 77);
	opened--;
}

const char *blk_disk_serial(const struct blk_disk *disk, const char *otherwise)
{
	assert_int_equal(disk->backend.sectors, 77);
	return otherwise;
}

uint64_t blk_disk_bytes(void)
{
	return 32 * sizeof(struct blk_request);
}

static int setup(void **state)
{
	static struct virtio_device nobody;

	(void)state;
	guest_reset();
	memset(&ring_vm.bus, 0, sizeof(ring_vm.bus));
	memset(config, 0, sizeof(*config));
	memset(&virtio, 0, sizeof(virtio));
	plugged = quits = entropy_users = 0;
	has_entropy = true;
	snprintf(config->name, sizeof(config->name), "web");
	snprintf(config->path, sizeof(config->path), "/configurations/web");
	message[0] = '\0';
	taken_bytes = 0;
	output_count = drained_count = 0;
	/* No device is set up before it is looked at: lines are set with nobody's lock held. */
	nobody.lock = (struct spinlock){1, 0};
	plug(&nobody);
	unlocked[0] = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	while (block_count)
		free(blocks[--block_count]);
	return 0;
}

static void add(enum vmconfig_device_kind kind, uint32_t in_slot)
{
	config->devices[config->device_count++] = (struct vmconfig_device){
	    .kind = kind,
	    .name = "device",
	    .slot = in_slot,
	    .image = {.data = image, .size = sizeof(image)},
	    .offset = 512,
	    .switch_name = "lan0",
	};
}

static int build(unsigned taken)
{
	return machine_virtio_build(&virtio, &ring_vm, &plic, taken);
}

static void assert_slot(unsigned n, uint32_t id)
{
	uint64_t value;

	assert_int_equal(bus_read(&ring_vm.bus, GPA(0x10001008 + 0x1000 * (uint64_t)n), 4, &value),
			 0);
	assert_int_equal(value, id);
	if (virtio.slots[n].device)
		assert_int_equal(virtio.slots[n].device->irq.source, n + 1);
}

static void test_in_order(void **state)
{
	(void)state;
	add(VMCONFIG_VIRTIO_BLK, VMCONFIG_SLOT_ANY);
	add(VMCONFIG_VIRTIO_CONSOLE, 1);
	add(VMCONFIG_PASSTHROUGH, 0);
	add(VMCONFIG_VIRTIO_RNG, VMCONFIG_SLOT_ANY);
	add(VMCONFIG_VIRTIO_BLK, 7);
	assert_int_equal(build(0), 0);
	assert_slot(0, 2);
	assert_slot(1, 3);
	assert_slot(2, 4);
	for (unsigned n = 3; n < 7; n++)
		assert_slot(n, 0);
	assert_slot(7, 2);
}

static void test_taken(void **state)
{
	uint64_t value;

	(void)state;
	add(VMCONFIG_VIRTIO_CONSOLE, VMCONFIG_SLOT_ANY);
	add(VMCONFIG_VIRTIO_CONSOLE, VMCONFIG_SLOT_ANY);
	assert_int_equal(build(0x05), 0);
	assert_slot(1, 3);
	assert_slot(3, 3);
	/* What is in the others is not ours. */
	assert_int_equal(bus_read(&ring_vm.bus, GPA(0x10001000), 4, &value), ERR_FAULT);
	assert_int_equal(bus_read(&ring_vm.bus, GPA(0x10003000), 4, &value), ERR_FAULT);
}

static void test_no_slot(void **state)
{
	(void)state;
	add(VMCONFIG_VIRTIO_CONSOLE, 3);
	assert_int_equal(build(0x08), ERR_TOO_LARGE);
	assert_non_null(strstr(message, "/configurations/web/device: pilae,slot = <3>: "));
	setup(state);
	for (unsigned n = 0; n < 8; n++)
		add(VMCONFIG_VIRTIO_CONSOLE, VMCONFIG_SLOT_ANY);
	assert_int_equal(build(0x80), ERR_TOO_LARGE);
	assert_non_null(strstr(message, "no virtio slot is left"));
}

static void test_no_entropy(void **state)
{
	(void)state;
	has_entropy = false;
	add(VMCONFIG_VIRTIO_RNG, VMCONFIG_SLOT_ANY);
	assert_int_equal(build(0), ERR_NOSYS);
	assert_non_null(strstr(message, "needs the host's entropy device"));
	machine_virtio_unbuild(&virtio);
	assert_int_equal(entropy_users, 0);
}

static void test_entropy(void **state)
{
	(void)state;
	add(VMCONFIG_VIRTIO_RNG, VMCONFIG_SLOT_ANY);
	assert_int_equal(build(0), 0);
	assert_slot(0, 4);
	assert_int_equal(entropy_users, 1);
	machine_virtio_unbuild(&virtio);
	assert_int_equal(entropy_users, 0);
}

/* What is promised is enough; of a disk's, that all of it is written. */
static void test_overhead(void **state)
{
	uint64_t promised, pages = 2 * PAGE_SIZE;

	(void)state;
	add(VMCONFIG_VIRTIO_BLK, VMCONFIG_SLOT_ANY);
	add(VMCONFIG_VIRTIO_CONSOLE, VMCONFIG_SLOT_ANY);
	add(VMCONFIG_VIRTIO_RNG, VMCONFIG_SLOT_ANY);
	promised = machine_virtio_overhead(config);
	assert_int_equal(build(0), 0);
	assert_in_range(taken_bytes + pages, 1, promised);
	config->device_count = 0;
	assert_int_equal(machine_virtio_overhead(config), 0);
	add(VMCONFIG_VIRTIO_BLK, VMCONFIG_SLOT_ANY);
	config->devices[0].image.size = GIB(1);
	promised = machine_virtio_overhead(config);
	assert_in_range(promised, GIB(1), GIB(1) + MIB(5));
	config->devices[0].read_only = true;
	assert_in_range(machine_virtio_overhead(config), 1, KIB(32));
}

static void test_slice(void **state)
{
	uint64_t value;

	(void)state;
	add(VMCONFIG_VIRTIO_BLK, VMCONFIG_SLOT_ANY);
	add(VMCONFIG_VIRTIO_BLK, VMCONFIG_SLOT_ANY);
	config->devices[1].size = 1024;
	assert_int_equal(build(0), 0);
	assert_int_equal(bus_read(&ring_vm.bus, GPA(0x10001100), 8, &value), 0);
	assert_int_equal(value, 9);
	assert_int_equal(bus_read(&ring_vm.bus, GPA(0x10002100), 8, &value), 0);
	assert_int_equal(value, 2);
}

static void test_host_disks(void **state)
{
	uint64_t value, promised;

	(void)state;
	opened = 0;
	open_error = 0;
	for (unsigned i = 0; i < 2; i++) {
		add(VMCONFIG_VIRTIO_BLK, VMCONFIG_SLOT_ANY);
		config->devices[i].host = "virtio-blk0";
	}
	promised = machine_virtio_overhead(config);
	assert_int_equal(build(0), 0);
	assert_in_range(taken_bytes, 1, promised);
	assert_int_equal(opened, 2);
	assert_int_equal(bus_read(&ring_vm.bus, GPA(0x10002100), 8, &value), 0);
	assert_int_equal(value, 77);
	machine_virtio_unbuild(&virtio);
	assert_int_equal(opened, 0);
	/* Of one that cannot be built what it had is given back. */
	teardown(state);
	memset(&virtio, 0, sizeof(virtio));
	open_error = ERR_EXIST;
	assert_int_equal(build(0), ERR_EXIST);
	assert_int_equal(opened, 1);
	machine_virtio_unbuild(&virtio);
	assert_int_equal(opened, 0);
}

/* Typed bytes go to the console that was written to last. */
static void test_console_output(void **state)
{
	(void)state;
	add(VMCONFIG_VIRTIO_CONSOLE, VMCONFIG_SLOT_ANY);
	assert_int_equal(build(0), 0);
	assert_null(virtio.input);
	assert_int_equal(bus_write(&ring_vm.bus, GPA(0x10001108), 4, 'x'), 0);
	assert_int_equal(output_count, 1);
	assert_ptr_equal(&virtio.input->device, virtio.slots[0].device);
	slot.device = virtio.slots[0].device;
	machine_virtio_reset(&virtio);
	assert_null(virtio.input);
	assert_int_equal(machine_virtio_quiesce(&virtio), 0);
	machine_virtio_work(&virtio);
}

static void test_net(void **state)
{
	static const uint8_t mac[] = {0, 0, 0, 0, 0, 5};

	(void)state;
	add(VMCONFIG_VIRTIO_NET, VMCONFIG_SLOT_ANY);
	assert_int_equal(build(0), 0);
	assert_slot(0, 1);
	assert_int_equal(plugged, 0x020000000001);
	machine_virtio_unbuild(&virtio);
	assert_int_equal(quits, 1);
	/* The same address again; another one, for which there is no port; no such switch. */
	assert_int_not_equal(build(0), 0);
	assert_string_equal(message, "/configurations/web/device: local-mac-address: another port "
				     "of its switch has it");
	config->devices[0].mac = mac;
	assert_int_not_equal(build(0), 0);
	assert_string_equal(message, "/configurations/web/device: pilae,switch: it has no port, or "
				     "its uplink no memory, left");
	config->devices[0].switch_name = "lan1";
	assert_int_not_equal(build(0), 0);
	assert_non_null(strstr(message, "/configurations/web/device: pilae,switch: "));
	machine_virtio_unbuild(&virtio);
	assert_int_equal(quits, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_in_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_taken, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_slot, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_entropy, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_entropy, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_overhead, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slice, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_host_disks, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_console_output, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_net, setup, teardown),
	};

	return cmocka_run_group_tests_name("machine_virtio", tests, NULL, NULL);
}
