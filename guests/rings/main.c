/* SPDX-License-Identifier: MIT */
/* A guest that treats virtio disks as badly as it can. See README.md. */
#include "guests/lib/console.h"
#include "guests/lib/machine.h"
#include "guests/lib/memory.h"
#include "guests/lib/sync.h"

#define REG_VERSION      0x004
#define REG_DEVICE_ID    0x008
#define REG_ACCEPTED     0x020
#define REG_ACCEPTED_SEL 0x024
#define REG_PAGE_SIZE    0x028
#define REG_QUEUE_SEL    0x030
#define REG_QUEUE_SIZE   0x038
#define REG_QUEUE_ALIGN  0x03c
#define REG_QUEUE_PFN    0x040
#define REG_QUEUE_READY  0x044
#define REG_NOTIFY       0x050
#define REG_INTERRUPTS   0x060
#define REG_ACK          0x064
#define REG_STATUS       0x070
#define REG_QUEUE_DESC   0x080
#define REG_QUEUE_DRIVER 0x090
#define REG_QUEUE_DEVICE 0x0a0

#define STATUS_READY       (1 | 2 | 4 | 8)
#define STATUS_NEEDS_RESET 64

#define FEATURES 0x30000000 /* INDIRECT_DESC, EVENT_IDX */

#define SIZE       64 /* of a ring */
#define DISKS_MAX  8
#define BUFFERS    (512 * UINT64_C(1024))
#define GUARD      (64 * UINT64_C(1024))
#define GUARD_BYTE 0xa5
#define TABLE      256 /* entries of the indirect one */

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

struct disk {
	uint64_t base;
	bool legacy;
	struct rings *rings;
};

static struct disk disks[DISKS_MAX];
static unsigned disk_count;
static uint64_t buffers; /* BUFFERS bytes between two guards */
static volatile bool ending;
static uint64_t resets, used;

static __noreturn void fail(const char *why)
{
	print("rings: not ok: %s\n", why);
	machine_shutdown(false);
}

static uint64_t option(const char *name, uint64_t otherwise)
{
	char text[24];
	uint64_t value = 0;

	if (!machine_option(name, text, sizeof(text)))
		return otherwise;
	for (const char *s = text; *s >= '0' && *s <= '9'; s++)
		value = value * 10 + (uint64_t)(*s - '0');
	return value;
}

static uint32_t rd(const struct disk *disk, uint64_t offset)
{
	return *(volatile uint32_t *)(disk->base + offset);
}

static void wr(const struct disk *disk, uint64_t offset, uint32_t value)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*(volatile uint32_t *)(disk->base + offset) = value;
}

static void wr_address(const struct disk *disk, uint64_t offset, uint64_t address)
{
	wr(disk, offset, (uint32_t)address);
	wr(disk, offset + 4, (uint32_t)(address >> 32));
}

/*
 * Setting a disk up as it is meant to be.
 */

static void place_rings(const struct disk *disk)
{
	uint64_t at = (uint64_t)disk->rings;

	wr(disk, REG_QUEUE_SEL, 0);
	wr(disk, REG_QUEUE_SIZE, SIZE);
	if (disk->legacy) {
		wr(disk, REG_QUEUE_ALIGN, 4096);
		wr(disk, REG_QUEUE_PFN, (uint32_t)(at / 4096));
		return;
	}
	wr_address(disk, REG_QUEUE_DESC, at);
	wr_address(disk, REG_QUEUE_DRIVER, at + offsetof(struct rings, flags));
	wr_address(disk, REG_QUEUE_DEVICE, at + offsetof(struct rings, used_flags));
	wr(disk, REG_QUEUE_READY, 1);
}

static void set_up(const struct disk *disk, uint32_t features)
{
	wr(disk, REG_STATUS, 0);
	if (rd(disk, REG_STATUS) != 0)
		fail("the status is not 0 after a reset");
	resets++;
	disk->rings->index = disk->rings->used_index = disk->rings->flags = 0;
	wr(disk, REG_STATUS, 1);
	wr(disk, REG_STATUS, 3);
	wr(disk, REG_PAGE_SIZE, 4096);
	wr(disk, REG_ACCEPTED_SEL, 0);
	wr(disk, REG_ACCEPTED, features);
	wr(disk, REG_ACCEPTED_SEL, 1);
	wr(disk, REG_ACCEPTED, disk->legacy ? 0 : 1);
	wr(disk, REG_STATUS, 3 | 8);
	place_rings(disk);
	wr(disk, REG_STATUS, STATUS_READY);
}

/* A read of the first sector, in which nothing goes wrong. */
static void check_works(const struct disk *disk)
{
	volatile uint8_t *status = (volatile uint8_t *)(buffers + 4096);
	uint64_t *header = (uint64_t *)buffers;

	set_up(disk, 0);
	header[0] = header[1] = 0;
	*status = 0xee;
	disk->rings->descriptors[0] = (struct descriptor){buffers, 16, F_NEXT, 1};
	disk->rings->descriptors[1] = (struct descriptor){buffers + 512, 512, F_NEXT | F_WRITE, 2};
	disk->rings->descriptors[2] = (struct descriptor){buffers + 4096, 1, F_WRITE, 0};
	disk->rings->available[0] = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	disk->rings->index = 1;
	wr(disk, REG_NOTIFY, 0);
	if (!wait_until(disk->rings->used_index == 1, 5000))
		fail("a request is not answered any more");
	if (*status != 0 || disk->rings->used[0] != 0 || disk->rings->used[1] != 513)
		fail("a request is answered wrongly");
	/* The interrupt follows the index, maybe on another hart. */
	if (!wait_until(rd(disk, REG_INTERRUPTS) & 1, 5000))
		fail("an answer does not interrupt");
}

/*
 * And as it is not. What a device may write to is `buffers` and its own rings.
 */

static uint64_t random_address(uint64_t *random, const struct disk *disk, uint32_t length)
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
		return (uint64_t)disk->rings + random_next(random) % 8192;
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

static struct descriptor random_descriptor(uint64_t *random, const struct disk *disk, unsigned n)
{
	uint32_t length = random_length(random);
	uint64_t flags = random_next(random) % 32;
	struct descriptor made = {random_address(random, disk, length), length,
				  (uint16_t)(flags & F_WRITE ? F_WRITE : 0), (uint16_t)(n + 1)};

	if (flags & 0x0c)
		made.flags |= F_NEXT;
	if (flags >= 30) {
		made.flags = F_INDIRECT;
		made.address = (uint64_t)disk->rings->table;
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
static void random_request(uint64_t *random, const struct disk *disk, unsigned n)
{
	struct descriptor *d = disk->rings->descriptors;
	uint32_t size = (uint32_t)(512 * (1 + random_next(random) % 100));
	uint64_t at = buffers + random_next(random) % 256 * 16;

	d[n % SIZE] = (struct descriptor){at, 16, F_NEXT, (uint16_t)((n + 1) % SIZE)};
	d[(n + 1) % SIZE] = (struct descriptor){
	    random_address(random, disk, size), size,
	    (uint16_t)(F_NEXT | (random_next(random) & F_WRITE)), (uint16_t)((n + 2) % SIZE)};
	d[(n + 2) % SIZE] = (struct descriptor){random_address(random, disk, 1), 1, F_WRITE, 0};
}

/* What another hart does while the device works. */
static void change_something(uint64_t *random)
{
	struct disk *disk = &disks[random_next(random) % disk_count];
	struct rings *rings = disk->rings;
	unsigned n = (unsigned)(random_next(random) % SIZE);

	switch (random_next(random) % 8) {
	case 0:
		rings->available[n] = (uint16_t)random_next(random);
		break;
	case 1:
		rings->table[n] = random_descriptor(random, disk, n);
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
		rings->descriptors[n] = random_descriptor(random, disk, n);
		break;
	}
}

static void change_on(void *argument)
{
	uint64_t random = (uint64_t)argument;

	while (!ending)
		change_something(&random);
}

static void random_register(uint64_t *random, const struct disk *disk)
{
	uint64_t offset = random_next(random) % 64 * 4;

	/* Rings that the device takes to lie elsewhere may lie in the guest's own code. */
	if (offset >= REG_QUEUE_DESC && offset < REG_QUEUE_DEVICE + 8)
		wr_address(disk, offset & ~UINT64_C(15), random_next(random) | BIT(62));
	else if (offset == REG_QUEUE_PFN)
		wr(disk, offset, (uint32_t)(random_next(random) | BIT(31)));
	else if (offset != REG_PAGE_SIZE && offset != REG_QUEUE_ALIGN)
		wr(disk, offset, (uint32_t)(random_next(random) >> random_next(random) % 40));
}

static void operate(uint64_t *random)
{
	const struct disk *disk = &disks[random_next(random) % disk_count];
	struct rings *rings = disk->rings;
	unsigned n = (unsigned)(random_next(random) % SIZE);
	uint64_t choice = random_next(random) % 128;

	random_header(random);
	random_request(random, disk, n);
	rings->available[rings->index % SIZE] = (uint16_t)n;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	rings->index++;
	wr(disk, REG_NOTIFY, choice % 16 ? 0 : (uint32_t)random_next(random));
	if (choice == 0)
		random_register(random, disk);
	if (rd(disk, REG_STATUS) != STATUS_READY || choice == 1) {
		used += rings->used_index;
		set_up(disk, (uint32_t)random_next(random) & FEATURES);
	}
	wr(disk, REG_ACK, rd(disk, REG_INTERRUPTS));
}

static void find_disks(void)
{
	for (unsigned slot = 0; slot < VIRTIO_SLOTS; slot++) {
		struct disk disk = {.base = VIRTIO_BASE + slot * VIRTIO_STRIDE};

		if (rd(&disk, REG_DEVICE_ID) != 2)
			continue;
		disk.legacy = rd(&disk, REG_VERSION) == 1;
		disk.rings = (struct rings *)heap_take(sizeof(*disk.rings));
		disks[disk_count++] = disk;
	}
	if (disk_count == 0)
		fail("there is no disk");
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

void guest_main(void)
{
	uint64_t count = option("n", 20000), random = option("seed", 1) * 0x9e3779b97f4a7c15;

	buffers = (uint64_t)heap_take(BUFFERS + 2 * GUARD) + GUARD;
	memset((void *)(buffers - GUARD), GUARD_BYTE, GUARD);
	memset((void *)(buffers + BUFFERS), GUARD_BYTE, GUARD);
	find_disks();
	for (unsigned i = 0; i < disk_count; i++) {
		check_works(&disks[i]);
		set_up(&disks[i], FEATURES);
	}
	for (size_t i = 1; i < machine.hart_count; i++)
		hart_run(i, change_on, (void *)(random + i));
	for (uint64_t i = 0; i < count; i++)
		operate(&random);
	ending = true;
	for (size_t i = 1; i < machine.hart_count; i++) {
		if (!hart_join(i, 10000))
			fail("a hart does not end");
	}
	for (unsigned i = 0; i < disk_count; i++)
		check_works(&disks[i]);
	check_guards();
	print("rings: ok %lu operations, %lu resets, %lu used\n", count, resets, used);
	machine_shutdown(true);
}
