/* SPDX-License-Identifier: MIT */
#include "guests/lib/hostile.h"

#include "guests/lib/console.h"
#include "guests/lib/machine.h"
#include "guests/lib/memory.h"
#include "guests/lib/sync.h"
#include "virtio/registers.h"

#define ID_NET  1
#define ID_DISK 2

#define STATUS_READY (1 | 2 | 4 | 8)

#define FEATURES 0x30000000 /* INDIRECT_DESC, EVENT_IDX */

#define SIZE        64 /* of a ring */
#define DEVICES_MAX 8
#define BUFFERS     (512 * UINT64_C(1024))
#define GUARD       (64 * UINT64_C(1024))
#define GUARD_BYTE  0xa5
#define TABLE       256 /* entries of the indirect one */

struct descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

#define F_NEXT     1
#define F_WRITE    2
#define F_INDIRECT 4

/* As a legacy device has it: pages for what the driver writes, and for what the device does. */
struct rings {
	struct descriptor descriptors[SIZE];
	volatile uint16_t flags, index, available[SIZE], used_event;
	uint8_t gap[4096 - SIZE * 16 - 6 - 2 * SIZE];
	volatile uint16_t used_flags, used_index;
	volatile uint32_t used[2 * SIZE];
	volatile uint16_t available_event;
	uint8_t gap2[4096 - 6 - 8 * SIZE];
	struct descriptor table[TABLE];
};

struct device {
	uint64_t base;
	bool legacy, is_disk;
	uint32_t queue; /* the one that is worked */
	struct rings *rings;
};

static struct device devices[DEVICES_MAX];
static unsigned device_count;
static uint64_t buffers; /* BUFFERS bytes between two guards */
static uint64_t resets, used;
static bool shared; /* others write to the devices' status */

static __noreturn void fail(const char *why)
{
	print("not ok: virtio: %s\n", why);
	machine_shutdown(false);
}

static uint32_t rd(const struct device *device, uint64_t offset)
{
	return *(volatile uint32_t *)(device->base + offset);
}

static void wr(const struct device *device, uint64_t offset, uint32_t value)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*(volatile uint32_t *)(device->base + offset) = value;
}

static void wr_address(const struct device *device, uint64_t offset, uint64_t address)
{
	wr(device, offset, (uint32_t)address);
	wr(device, offset + 4, (uint32_t)(address >> 32));
}

/*
 * Setting a disk up as it is meant to be.
 */

static void place_rings(const struct device *device)
{
	uint64_t at = (uint64_t)device->rings;

	wr(device, MMIO_QUEUE_SEL, device->queue);
	wr(device, MMIO_QUEUE_SIZE, SIZE);
	if (device->legacy) {
		wr(device, MMIO_QUEUE_ALIGN, 4096);
		wr(device, MMIO_QUEUE_PFN, (uint32_t)(at / 4096));
		return;
	}
	wr_address(device, MMIO_QUEUE_DESC_LOW, at);
	wr_address(device, MMIO_QUEUE_DRIVER_LOW, at + offsetof(struct rings, flags));
	wr_address(device, MMIO_QUEUE_DEVICE_LOW, at + offsetof(struct rings, used_flags));
	wr(device, MMIO_QUEUE_READY, 1);
}

static void set_up(const struct device *device, uint32_t features)
{
	wr(device, MMIO_STATUS, 0);
	if (!shared && rd(device, MMIO_STATUS) != 0)
		fail("the status is not 0 after a reset");
	resets++;
	device->rings->index = device->rings->used_index = device->rings->flags = 0;
	wr(device, MMIO_STATUS, 1);
	wr(device, MMIO_STATUS, 3);
	wr(device, MMIO_GUEST_PAGE_SIZE, 4096);
	wr(device, MMIO_DRIVER_FEATURES_SEL, 0);
	wr(device, MMIO_DRIVER_FEATURES, features);
	wr(device, MMIO_DRIVER_FEATURES_SEL, 1);
	wr(device, MMIO_DRIVER_FEATURES, device->legacy ? 0 : 1);
	wr(device, MMIO_STATUS, 3 | 8);
	place_rings(device);
	wr(device, MMIO_STATUS, STATUS_READY);
}

/* A read of the first sector, in which nothing goes wrong. */
static void check_works(const struct device *device)
{
	volatile uint8_t *status = (volatile uint8_t *)(buffers + 4096);
	uint64_t *header = (uint64_t *)buffers;

	set_up(device, 0);
	header[0] = header[1] = 0;
	*status = 0xee;
	device->rings->descriptors[0] = (struct descriptor){buffers, 16, F_NEXT, 1};
	device->rings->descriptors[1] =
	    (struct descriptor){buffers + 512, 512, F_NEXT | F_WRITE, 2};
	device->rings->descriptors[2] = (struct descriptor){buffers + 4096, 1, F_WRITE, 0};
	device->rings->available[0] = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	device->rings->index = 1;
	wr(device, MMIO_QUEUE_NOTIFY, 0);
	if (!wait_until(device->rings->used_index == 1, 5000))
		fail("a request is not answered any more");
	if (*status != 0 || device->rings->used[0] != 0 || device->rings->used[1] != 513)
		fail("a request is answered wrongly");
	/* The interrupt follows the index, maybe on another hart. */
	if (!wait_until(rd(device, MMIO_INTERRUPT_STATUS) & 1, 5000))
		fail("an answer does not interrupt");
}

/*
 * And as it is not. What a device may write to is `buffers` and its own rings.
 */

static uint64_t random_address(uint64_t *random, const struct device *device, uint32_t length)
{
	const uint64_t end = machine.ram_base + machine.ram_size;
	uint64_t choice = random_next(random) % 64;

	switch (choice) {
	case 0:
		return random_next(random) % machine.ram_base;
	case 1:
		return -(uint64_t)(random_next(random) % 8192);
	case 2:
		return end - length / 2 + (length < 2);
	case 3:
		return random_next(random) | BIT(63);
	case 4:
		return machine.ram_base - 1;
	case 5:
		return (uint64_t)device->rings + random_next(random) % 8192;
	default:
		return buffers + random_next(random) % (BUFFERS - 65536);
	}
}

static uint32_t random_length(uint64_t *random)
{
	switch (random_next(random) % 16) {
	case 0:
		return 0;
	case 1:
		return (uint32_t)random_next(random) | BIT(30);
	case 2:
	case 3:
		return (uint32_t)(512 * (1 + random_next(random) % 64));
	case 4:
		return 1;
	default:
		return 16;
	}
}

static struct descriptor random_descriptor(uint64_t *random, const struct device *device,
					   unsigned n)
{
	uint32_t length = random_length(random);
	uint64_t flags = random_next(random) % 32;
	struct descriptor made = {random_address(random, device, length), length,
				  (uint16_t)(flags & F_WRITE ? F_WRITE : 0), (uint16_t)(n + 1)};

	if (flags & 0x0c)
		made.flags |= F_NEXT;
	if (flags >= 30) {
		made.flags = F_INDIRECT;
		made.address = (uint64_t)device->rings->table;
		made.length = (uint32_t)(16 * (random_next(random) % (TABLE + 2)));
	}
	if (random_next(random) % 16 == 0)
		made.next = (uint16_t)random_next(random);
	return made;
}

/* A header that often makes sense, so that there is work to do. */
static void random_header(uint64_t *random)
{
	static const uint32_t types[] = {0, 1, 0, 1, 4, 8, 11, 13, 99};
	uint64_t *header = (uint64_t *)(buffers + random_next(random) % 256 * 16);

	header[0] = types[random_next(random) % ARRAY_SIZE(types)];
	header[1] = random_next(random) % 16 ? random_next(random) % 64 : random_next(random);
}

/* Header, data and status, as they should be but for where they are. */
static void random_request(uint64_t *random, const struct device *device, unsigned n)
{
	struct descriptor *d = device->rings->descriptors;
	uint32_t size = (uint32_t)(512 * (1 + random_next(random) % 100));
	uint64_t at = buffers + random_next(random) % 256 * 16;

	d[n % SIZE] = (struct descriptor){at, 16, F_NEXT, (uint16_t)((n + 1) % SIZE)};
	d[(n + 1) % SIZE] = (struct descriptor){
	    random_address(random, device, size), size,
	    (uint16_t)(F_NEXT | (random_next(random) & F_WRITE)), (uint16_t)((n + 2) % SIZE)};
	d[(n + 2) % SIZE] = (struct descriptor){random_address(random, device, 1), 1, F_WRITE, 0};
}

void hostile_change(uint64_t *random)
{
	struct device *device = &devices[random_next(random) % device_count];
	struct rings *rings = device->rings;
	unsigned n = (unsigned)(random_next(random) % SIZE);

	switch (random_next(random) % 8) {
	case 0:
		rings->available[n] = (uint16_t)random_next(random);
		break;
	case 1:
		rings->table[n] = random_descriptor(random, device, n);
		break;
	case 2:
		rings->used_event = (uint16_t)random_next(random);
		break;
	case 3:
		if (random_next(random) % 256 == 0)
			rings->index = (uint16_t)random_next(random);
		break;
	case 4:
		random_header(random);
		break;
	default:
		rings->descriptors[n] = random_descriptor(random, device, n);
		break;
	}
}

static void random_register(uint64_t *random, const struct device *device)
{
	uint64_t offset = random_next(random) % 64 * 4;

	/* Rings that the device takes to lie elsewhere may lie in the guest's own code. */
	if (offset >= MMIO_QUEUE_DESC_LOW && offset < MMIO_QUEUE_DEVICE_LOW + 8)
		wr_address(device, offset & ~UINT64_C(15), random_next(random) | BIT(62));
	else if (offset == MMIO_QUEUE_PFN)
		wr(device, offset, (uint32_t)(random_next(random) | BIT(31)));
	else if (offset != MMIO_GUEST_PAGE_SIZE && offset != MMIO_QUEUE_ALIGN)
		wr(device, offset, (uint32_t)(random_next(random) >> random_next(random) % 40));
}

void hostile_operate(uint64_t *random)
{
	const struct device *device = &devices[random_next(random) % device_count];
	struct rings *rings = device->rings;
	unsigned n = (unsigned)(random_next(random) % SIZE);
	uint64_t choice = random_next(random) % 128;

	random_header(random);
	random_request(random, device, n);
	rings->available[rings->index % SIZE] = (uint16_t)n;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	rings->index++;
	wr(device, MMIO_QUEUE_NOTIFY, choice % 16 ? device->queue : (uint32_t)random_next(random));
	if (choice == 0)
		random_register(random, device);
	if (rd(device, MMIO_STATUS) != STATUS_READY || choice == 1) {
		used += rings->used_index;
		set_up(device, (uint32_t)random_next(random) & FEATURES);
	}
	wr(device, MMIO_INTERRUPT_ACK, rd(device, MMIO_INTERRUPT_STATUS));
}

static bool is_wanted(uint32_t id, bool disks_only)
{
	return disks_only ? id == ID_DISK : id != 0;
}

static void find_devices(bool disks_only)
{
	for (unsigned slot = 0; slot < VIRTIO_SLOTS; slot++) {
		struct device device = {.base = VIRTIO_BASE + slot * VIRTIO_STRIDE};
		uint32_t id = rd(&device, MMIO_DEVICE_ID);

		if (!is_wanted(id, disks_only))
			continue;
		device.legacy = rd(&device, MMIO_VERSION) == 1;
		device.is_disk = id == ID_DISK;
		device.queue = id == ID_NET; /* it sends; a console would say too much */
		device.rings = (struct rings *)heap_take(sizeof(*device.rings));
		devices[device_count++] = device;
	}
}

unsigned hostile_init(bool disks_only, bool others_write)
{
	shared = others_write;
	buffers = (uint64_t)heap_take(BUFFERS + 2 * GUARD) + GUARD;
	memset((void *)(buffers - GUARD), GUARD_BYTE, GUARD);
	memset((void *)(buffers + BUFFERS), GUARD_BYTE, GUARD);
	find_devices(disks_only);
	for (unsigned i = 0; i < device_count; i++) {
		if (devices[i].is_disk)
			check_works(&devices[i]);
		set_up(&devices[i], FEATURES);
	}
	return device_count;
}

static void check_guards(void)
{
	const uint8_t *before = (const uint8_t *)(buffers - GUARD);
	const uint8_t *after = (const uint8_t *)(buffers + BUFFERS);

	for (uint64_t i = 0; i < GUARD; i++) {
		if (before[i] != GUARD_BYTE || after[i] != GUARD_BYTE)
			fail("memory that was never offered has been written to");
	}
}

void hostile_check(void)
{
	for (unsigned i = 0; i < device_count; i++) {
		if (devices[i].is_disk)
			check_works(&devices[i]);
	}
	check_guards();
}

void hostile_counts(uint64_t *reset_count, uint64_t *used_count)
{
	*reset_count = resets;
	*used_count = used;
}
