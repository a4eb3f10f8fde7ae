/* SPDX-License-Identifier: MIT */
/* A guest that drives the host's devices, and checks what they do. See README.md. */
#include "guests/devices/virtio.h"
#include "guests/lib/console.h"
#include "guests/lib/machine.h"
#include "guests/lib/memory.h"
#include "guests/lib/paging.h"
#include "guests/lib/sync.h"
#include "guests/lib/trap.h"

#define ID_BLOCK 2
#define ID_RNG   4

#define BLK_IN  0
#define BLK_OUT 1

#define SECTOR      512
#define BUFFER_SIZE (16 * SECTOR)

#define RTC_REG(offset)     (*(volatile uint32_t *)(RTC_BASE + (offset)))
#define RTC_TIME_LOW        0x00
#define RTC_TIME_HIGH       0x04
#define RTC_ALARM_LOW       0x08
#define RTC_ALARM_HIGH      0x0c
#define RTC_IRQ_ENABLED     0x10
#define RTC_CLEAR_INTERRUPT 0x1c
#define RTC_NS_PER_SECOND   UINT64_C(1000000000)

#define FW_CFG_SELECTOR 8

/* l… a0, (a1) */
#define INSN_LW  0x0005a503
#define INSN_LHU 0x0005d503

static unsigned failures;

static void report(const char *name, const char *wrong)
{
	if (wrong) {
		failures++;
		print("not ok %s: %s\n", name, wrong);
	} else {
		print("ok %s\n", name);
	}
}

/* Whether the device begins; then it is checked. */
static bool test_virtio(struct virtio *device, uint32_t id, const char *name,
			const char *(*check)(struct virtio *device))
{
	const char *wrong = virtio_begin(device, id);

	report(name, wrong ? wrong : check(device));
	return !wrong;
}

static uint64_t number(const char **text)
{
	const char *s = *text;
	uint64_t value = 0, base = 10;

	if (s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	}
	for (;; s++) {
		uint64_t digit = (uint64_t)(*s >= 'a' ? *s - 'a' + 10 : *s - '0');

		if (digit >= base)
			break;
		value = value * base + digit;
	}
	*text = *s ? s + 1 : s;
	return value;
}

static bool option(const char *name, uint64_t *first, uint64_t *second)
{
	char text[48];
	const char *s = text;

	if (!machine_option(name, text, sizeof(text)))
		return false;
	*first = number(&s);
	*second = number(&s);
	return true;
}

/*
 * A disk.
 */

static struct {
	uint32_t type, reserved;
	uint64_t sector;
} header;
static volatile uint8_t status;
static uint8_t buffer[BUFFER_SIZE] __aligned(4096);

static const char *transfer(struct virtio *disk, uint32_t type, uint64_t sector, uint32_t size)
{
	struct virtio_desc *desc = disk->ring->desc;
	const char *wrong;

	header.type = type;
	header.sector = sector;
	status = 0xff;
	desc[0] = (struct virtio_desc){(uint64_t)&header, sizeof(header), 0, 0};
	desc[1] =
	    (struct virtio_desc){(uint64_t)buffer, size, type == BLK_IN ? VIRTIO_DESC_WRITE : 0, 0};
	desc[2] = (struct virtio_desc){(uint64_t)&status, 1, VIRTIO_DESC_WRITE, 0};
	wrong = virtio_do(disk, 3);
	return wrong ? wrong : status != 0 ? "the request fails" : NULL;
}

static uint8_t pattern(uint64_t sector, uint64_t i, uint64_t seed)
{
	return (uint8_t)(sector * 7 + i * 13 + (i >> 8) + seed * 31);
}

static const char *write_and_read(struct virtio *disk, uint64_t sector, uint64_t seed)
{
	const char *wrong;

	for (uint64_t i = 0; i < BUFFER_SIZE; i++)
		buffer[i] = pattern(sector, i, seed);
	wrong = transfer(disk, BLK_OUT, sector, BUFFER_SIZE);
	if (wrong)
		return wrong;
	memset(buffer, 0, BUFFER_SIZE);
	wrong = transfer(disk, BLK_IN, sector, BUFFER_SIZE);
	for (uint64_t i = 0; i < BUFFER_SIZE && !wrong; i++) {
		if (buffer[i] != pattern(sector, i, seed))
			wrong = "it reads something else than was written";
	}
	return wrong;
}

/* What is on it: "disk" at its start; each part is written, 16 sectors at a time. */
static const char *check_disk(struct virtio *disk)
{
	uint64_t capacity = virtio_config(disk, 0) | (uint64_t)virtio_config(disk, 4) << 32;
	const char *wrong = transfer(disk, BLK_IN, 0, SECTOR);

	if (wrong)
		return wrong;
	if (memcmp(buffer, "disk", 4) != 0)
		return "it does not hold what it should";
	for (uint64_t sector = 16; sector + 16 <= capacity && !wrong; sector += 16)
		wrong = write_and_read(disk, sector, 1);
	/* To be seen from outside. */
	memset(buffer, 'w', SECTOR);
	if (!wrong)
		wrong = transfer(disk, BLK_OUT, 1, SECTOR);
	return wrong || disk->interrupts > 0 ? wrong : "it did not interrupt";
}

static void do_rounds(struct virtio *disk, uint64_t requests)
{
	for (uint64_t round = 0;; round++) {
		const char *wrong = NULL;

		for (uint64_t i = 0; i < requests && !wrong; i++)
			wrong = write_and_read(disk, 16 * (1 + i % 8), round);
		if (wrong) {
			report("round", wrong);
			return;
		}
		print("devices: round %lu\n", round);
	}
}

static void test_disk(uint64_t base, uint64_t interrupt)
{
	static struct virtio disk;
	uint64_t requests, unused;

	disk.base = base;
	disk.interrupt = (uint32_t)interrupt;
	if (test_virtio(&disk, ID_BLOCK, "blk", check_disk) && option("rounds", &requests, &unused))
		do_rounds(&disk, requests);
}

/*
 * A disk that code is read from.
 */

#define CODE_SECTOR 16
#define CODE_READS  48
#define CODE_CALLS  300 /* enough for any engine to see that the page holds privileged code */

/* stval is written and read back, and `version` added to it. */
static void make_code(uint32_t version)
{
	uint32_t *insns = (uint32_t *)buffer;

	insns[0] = 0x14351073;                 /* csrw stval, a0 */
	insns[1] = 0x14302573;                 /* csrr a0, stval */
	insns[2] = 0x00050513 | version << 20; /* addi a0, a0, version */
	insns[3] = 0x00008067;                 /* ret */
}

/* What the device wrote is what is executed, as soon as there was a FENCE.I. */
static const char *call_code(uint64_t version)
{
	uint64_t (*code)(uint64_t) = (uint64_t (*)(uint64_t))(uintptr_t)buffer;
	const char *wrong = NULL;

	__asm__ volatile("fence.i" ::: "memory");
	for (uint64_t i = 0; i < CODE_CALLS && !wrong; i++) {
		uint64_t result = code(i);

		if (result != i + version)
			wrong = "code that was read over by other code is executed";
	}
	return wrong;
}

static const char *check_code(struct virtio *disk)
{
	const char *wrong = NULL;

	for (uint32_t version = 0; version < 2 && !wrong; version++) {
		make_code(version + 1);
		wrong = transfer(disk, BLK_OUT, CODE_SECTOR + version, SECTOR);
	}
	for (uint32_t i = 0; i < CODE_READS && !wrong; i++) {
		wrong = transfer(disk, BLK_IN, CODE_SECTOR + i % 2, SECTOR);
		if (!wrong)
			wrong = call_code(i % 2 + 1);
	}
	return wrong;
}

static void test_code(uint64_t base, uint64_t interrupt)
{
	static struct virtio disk;

	disk.base = base;
	disk.interrupt = (uint32_t)interrupt;
	test_virtio(&disk, ID_BLOCK, "blk-code", check_code);
}

/*
 * Others.
 */

static const char *check_rng(struct virtio *rng)
{
	uint8_t first[64];
	const char *wrong = NULL;

	for (unsigned i = 0; i < 2 && !wrong; i++) {
		memcpy(first, buffer, sizeof(first));
		memset(buffer, 0, sizeof(first));
		rng->ring->desc[0] =
		    (struct virtio_desc){(uint64_t)buffer, sizeof(first), VIRTIO_DESC_WRITE, 0};
		wrong = virtio_do(rng, 1);
	}
	if (wrong)
		return wrong;
	return memcmp(first, buffer, 8) == 0 || first[0] + first[1] + first[2] + first[3] == 0
		   ? "it is not random"
		   : NULL;
}

static void test_rng(uint64_t base, uint64_t interrupt)
{
	static struct virtio rng;

	rng.base = base;
	rng.interrupt = (uint32_t)interrupt;
	test_virtio(&rng, ID_RNG, "rng", check_rng);
}

/* Whether an instruction that loads a0 from a1 gets the machine's access fault. */
static bool is_refused(uint32_t load, uint64_t address)
{
	const uint64_t x[32] = {[REG_A1] = address};
	const struct trap_frame *trap = insn_exec(load, x, false);

	return trap->cause == EXC_LOAD_ACCESS && trap->tval == address;
}

static uint64_t rtc_now(void)
{
	uint64_t low = RTC_REG(RTC_TIME_LOW);

	return (uint64_t)RTC_REG(RTC_TIME_HIGH) << 32 | low;
}

static const char *check_rtc(uint64_t expected)
{
	uint64_t now = rtc_now(), seconds = now / RTC_NS_PER_SECOND;
	uint64_t alarm = now + RTC_NS_PER_SECOND / 20;

	if (seconds + 600 < expected || seconds > expected + 600)
		return "its time is wrong";
	plic_begin(RTC_IRQ);
	RTC_REG(RTC_IRQ_ENABLED) = 1;
	RTC_REG(RTC_ALARM_HIGH) = (uint32_t)(alarm >> 32);
	RTC_REG(RTC_ALARM_LOW) = (uint32_t)alarm;
	if (!plic_wait(RTC_IRQ))
		return "its alarm does not come";
	if (rtc_now() < alarm)
		return "its alarm comes too early";
	RTC_REG(RTC_CLEAR_INTERRUPT) = 1;
	plic_complete(RTC_IRQ);
	return NULL;
}

/* The selector has 16 bits, the most significant byte first; 0 is the signature. */
static const char *check_fw_cfg(uint64_t base)
{
	volatile uint8_t *data = (volatile uint8_t *)base;
	char text[5] = {0};

	for (unsigned round = 0; round < 2; round++) {
		*(volatile uint16_t *)(base + FW_CFG_SELECTOR) = 0;
		for (unsigned i = 0; i < 4; i++)
			text[i] = (char)*data;
		if (strcmp(text, "QEMU") != 0)
			return "it does not answer";
	}
	*(volatile uint16_t *)(base + FW_CFG_SELECTOR) = 0;
	/* It can only be written. */
	if (!is_refused(INSN_LHU, base + FW_CFG_SELECTOR))
		return "its selector can be read";
	return *(volatile uint32_t *)base == 0x554d4551 ? NULL : "it does not answer 32 bits";
}

/* The last load is from an address whose page table is the device. */
static const char *check_hostile(uint64_t base)
{
	const struct trap_frame *trap = trap_exec(base, NULL, false);
	struct paging paging;
	uint64_t x[32] = {[REG_A1] = GIB(8)};

	if (trap->cause != EXC_INSN_ACCESS || trap->tval != base)
		return "code is fetched from it";
	/* Behind a virtio device's registers, in the same page. */
	if (!is_refused(INSN_LW, base + 0x800))
		return "something answers behind it";
	paging_init_identity(&paging, 3);
	*paging_pte(&paging, GIB(8), 2) = pte_make(base, PTE_V);
	paging_on(&paging, 0);
	trap = insn_exec(INSN_LW, x, false);
	paging_off();
	if (trap->cause != EXC_LOAD_ACCESS && trap->cause != EXC_LOAD_PAGE)
		return "it can be a page table";
	return trap->tval == GIB(8) ? NULL : "the fault is another";
}

void guest_main(void)
{
	uint64_t first, second;

	print("devices: started, RAM from 0x%lx\n", machine.ram_base);
	if (option("rtc", &first, &second))
		report("rtc", check_rtc(first));
	if (option("rng", &first, &second))
		test_rng(first, second);
	if (option("fw-cfg", &first, &second))
		report("fw-cfg", check_fw_cfg(first));
	if (option("hostile", &first, &second))
		report("hostile", check_hostile(first));
	if (option("blk", &first, &second))
		test_disk(first, second);
	if (option("blk-code", &first, &second))
		test_code(first, second);
	print("devices: %u not ok\n", failures);
	machine_shutdown(failures == 0);
}
