/* SPDX-License-Identifier: MIT */
#include "device/flash.h"

#include "engine/vcpu.h"
#include "kernel/error.h"
#include "kernel/mmu.h"
#include "kernel/page.h"
#include "kernel/pool.h"
#include "kernel/trap.h"
#include "vmm/copy.h"
#include "vmm/vm.h"

#define PAGES           (MACHINE_FLASH_SIZE / PAGE_SIZE)
#define SECTOR_PAGES    (FLASH_SECTOR_SIZE / PAGE_SIZE)
#define DEVICES         2  /* side by side */
#define BANK_WIDTH      4  /* bytes */
#define VCPUS_A_STRETCH 32 /* that are asked between two preemption points */

/* Intel's command set 1 (JEDEC JEP137: 0x0001), as in the data sheet of StrataFlash P30. */
enum {
	PROGRAM_OLD = 0x10,
	ERASE = 0x20,
	PROGRAM = 0x40,
	CLEAR_STATUS = 0x50,
	LOCK = 0x60,
	READ_STATUS = 0x70,
	READ_ID = 0x90,
	QUERY = 0x98,
	CONFIRM = 0xd0,
	PROGRAM_BUFFER = 0xe8,
	READ_ARRAY = 0xff,
};

#define LOCK_SET 0x01 /* after LOCK; CONFIRM unlocks */

#define STATUS_PROGRAM_ERROR 0x10
#define STATUS_ERASE_ERROR   0x20
#define STATUS_READY         0x80

#define ID_MANUFACTURER 0x89
#define ID_DEVICE       0x18

#define NO_BLOCK UINT64_MAX

/* JESD68.01: what is found by QUERY, from 0x10 on, of each of the two devices. */
#define QUERY_FIRST   0x10
#define QUERY_LONGEST 0x23 /* for a word; then for a buffer */
static const uint8_t query[] = {
    'Q', 'R', 'Y', 0x01, 0x00, 0x31, 0x00, 0, 0, 0, 0,
    /* Voltages, in 100 mV. */
    0x45, 0x55, 0, 0,
    /* Times to program a word and a buffer, to erase, and how much longer they may take: 2^n. */
    0x07, 0x07, 0x0a, 0, 0x04, 0x04, 0x04, 0,
    /* 2^24 bytes, x8 and x16, a buffer of 2^11 bytes. */
    0x18, 0x02, 0, 0x0b, 0,
    /* One region of 128 blocks of 128 KiB. */
    0x01, 0x7f, 0x00, 0x00, 0x02,
    /* Intel's own table, version 1.0: no features, one field for protection. */
    'P', 'R', 'I', '1', '0', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01};

_Static_assert(sizeof(query) == 0x30, "up to 0x3f");
_Static_assert(MACHINE_FLASH_SIZE == DEVICES << 0x18, "as the table says");
_Static_assert(PAGE_SIZE == DEVICES << 0x0b, "a buffer is a page");

/*
 * Contents.
 */

static void fill_blank(char *page)
{
	uint64_t *words = (uint64_t *)page;

	for (unsigned i = 0; i < PAGE_SIZE / sizeof(*words); i++)
		words[i] = UINT64_MAX;
}

/* Its contents are to be written; NULL: there is no memory. */
static char *take_page(struct flash *flash)
{
	char *page = flash->spare;

	if (page) {
		flash->spare = *(char **)page;
		return page;
	}
	page = page_alloc(0);
	/* What idle harts keep aside is there to be used. */
	if (!page && pool_reclaim())
		page = page_alloc(0);
	if (page)
		arena_adopt_pages(&flash->vm->arena, page, 0, ARENA_OBJECTS);
	return page;
}

/* It stays the VM's: a vCPU that is emulated may be reading what it found there a moment ago. */
static void give_page(struct flash *flash, char *page)
{
	*(char **)page = flash->spare;
	flash->spare = page;
}

/* The page around `offset`, to be read; NULL: there is no memory. */
static char *read_page(struct flash *flash, uint64_t offset)
{
	char **slot = &flash->pages[offset / PAGE_SIZE];
	uint64_t start = align_down(offset, PAGE_SIZE);
	char *page = *slot;

	if (page)
		return page;
	page = flash->blank;
	if (start < flash->image_size) {
		uint64_t size = min_u64(PAGE_SIZE, flash->image_size - start);

		page = take_page(flash);
		if (!page)
			return NULL;
		if (size < PAGE_SIZE)
			fill_blank(page);
		copy_bytes(page, flash->image + start, size);
	}
	*slot = page;
	return page;
}

static gpa_t address_of(const struct flash *flash, uint64_t offset)
{
	return GPA(flash->device.base + offset);
}

int flash_take_page(struct flash *flash, uint64_t offset)
{
	char *page = take_page(flash);

	if (!page)
		return ERR_NOMEM;
	fill_blank(page);
	flash->pages[offset / PAGE_SIZE] = page;
	return 0;
}

static bool is_blank(const char *page)
{
	const uint64_t *words = (const uint64_t *)page;

	for (unsigned i = 0; i < PAGE_SIZE / sizeof(*words); i++) {
		if (words[i] != UINT64_MAX)
			return false;
	}
	return true;
}

void flash_tidy(struct flash *flash, uint64_t start, uint64_t end)
{
	for (uint64_t i = start / PAGE_SIZE; i * PAGE_SIZE < end; i++) {
		char **slot = &flash->pages[i];

		if (*slot && *slot != flash->blank && is_blank(*slot)) {
			give_page(flash, *slot);
			*slot = flash->blank;
		}
		preempt_point();
	}
}

/* The same, to be programmed. */
static char *own_page(struct flash *flash, uint64_t offset)
{
	uint64_t start = align_down(offset, PAGE_SIZE);
	char *page = read_page(flash, offset);

	if (page != flash->blank)
		return page;
	page = take_page(flash);
	if (!page)
		return NULL;
	fill_blank(page);
	flash->pages[offset / PAGE_SIZE] = page;
	gspace_unmap_rom(&flash->vm->guest.space, address_of(flash, start), PAGE_SIZE);
	return page;
}

/* Its disk, if it has one, is to have what was changed. */
static void keep(struct flash *flash, uint64_t start, uint64_t size)
{
	if (flash->disk.open)
		flash->keep = flash_disk_begin(&flash->disk, start, size);
}

void flash_written(struct flash *flash, int error)
{
	spin_lock(&flash->lock);
	if (error)
		flash->status |=
		    flash->command == ERASE ? STATUS_ERASE_ERROR : STATUS_PROGRAM_ERROR;
	spin_unlock(&flash->lock);
}

/*
 * Commands that change the contents. Nothing is mapped then, or will be when the vCPU is done with
 * the write that it is at.
 */

static void erase(struct flash *flash, uint64_t offset)
{
	uint64_t start = align_down(offset, FLASH_SECTOR_SIZE);

	if (flash->read_only) {
		flash->status |= STATUS_ERASE_ERROR;
		return;
	}
	for (uint64_t i = 0; i < SECTOR_PAGES; i++) {
		char **slot = &flash->pages[start / PAGE_SIZE + i];

		if (*slot && *slot != flash->blank)
			give_page(flash, *slot);
		*slot = flash->blank;
	}
	gspace_unmap_rom(&flash->vm->guest.space, address_of(flash, start), FLASH_SECTOR_SIZE);
	keep(flash, start, FLASH_SECTOR_SIZE);
}

/* Programming makes zeroes of ones, and nothing else. */
static void program(struct flash *flash, uint64_t offset, unsigned size, uint32_t value)
{
	char *page = flash->read_only ? NULL : own_page(flash, offset);

	if (!page) {
		flash->status |= STATUS_PROGRAM_ERROR;
		return;
	}
	for (unsigned i = 0; i < size; i++)
		page[offset % PAGE_SIZE + i] &= (char)(value >> 8 * i);
	keep(flash, align_down(offset, PAGE_SIZE), PAGE_SIZE);
}

/* A write into the buffer: all are for one page. */
static void fill_buffer(struct flash *flash, uint64_t offset, unsigned size, uint32_t value)
{
	uint64_t block = align_down(offset, PAGE_SIZE);

	if (flash->block == NO_BLOCK) {
		flash->block = block;
		fill_blank((char *)flash->buffer);
	}
	if (flash->read_only || flash->block != block) {
		flash->status |= STATUS_PROGRAM_ERROR;
		return;
	}
	for (unsigned i = 0; i < size; i++)
		flash->buffer[offset % PAGE_SIZE + i] = (uint8_t)(value >> 8 * i);
}

static void program_buffer(struct flash *flash)
{
	const uint64_t *from = (const uint64_t *)flash->buffer;
	uint64_t *to = (uint64_t *)own_page(flash, flash->block);

	if (!to) {
		flash->status |= STATUS_PROGRAM_ERROR;
		return;
	}
	for (unsigned i = 0; i < PAGE_SIZE / sizeof(*to); i++)
		to[i] &= from[i];
	keep(flash, flash->block, PAGE_SIZE);
}

/*
 * The commands' writes. What makes no sense leads back to the array, as on QEMU.
 */

static void to_array(struct flash *flash)
{
	flash->command = READ_ARRAY;
	flash->cycle = 0;
}

static void begin(struct flash *flash, uint8_t command)
{
	switch (command) {
	case PROGRAM_OLD:
	case PROGRAM:
	case ERASE:
	case LOCK:
	case PROGRAM_BUFFER:
		flash->cycle = 1;
		flash->block = NO_BLOCK;
		break;
	case READ_STATUS:
	case READ_ID:
	case QUERY:
		break;
	case CLEAR_STATUS:
		flash->status = STATUS_READY;
		command = READ_ARRAY;
		break;
	default:
		command = READ_ARRAY;
		break;
	}
	flash->command = command;
}

static void second_write(struct flash *flash, uint64_t offset, unsigned size, uint32_t value)
{
	uint8_t command = (uint8_t)value;

	flash->cycle = 0;
	switch (flash->command) {
	case PROGRAM_BUFFER:
		/* For each device, in its words, less 1. */
		flash->count = (value & 0xffff) + 1;
		flash->cycle = 2;
		break;
	case ERASE:
		if (command == CONFIRM)
			erase(flash, offset);
		else
			to_array(flash);
		break;
	case LOCK:
		/* There are no locks, but nobody need know. */
		if (command != CONFIRM && command != LOCK_SET)
			to_array(flash);
		break;
	default:
		program(flash, offset, size, value);
		break;
	}
}

static void confirm_buffer(struct flash *flash, uint8_t command)
{
	if (command != CONFIRM || flash->status & STATUS_PROGRAM_ERROR)
		to_array(flash);
	else
		program_buffer(flash);
	flash->cycle = 0;
}

static void write_piece(struct flash *flash, uint64_t offset, unsigned size, uint32_t value)
{
	switch (flash->cycle) {
	case 0:
		begin(flash, (uint8_t)value);
		break;
	case 1:
		second_write(flash, offset, size, value);
		break;
	case 2:
		fill_buffer(flash, offset, size, value);
		if (--flash->count == 0)
			flash->cycle = 3;
		break;
	default:
		confirm_buffer(flash, (uint8_t)value);
		break;
	}
}

static uint32_t read_piece(const struct flash *flash, uint64_t offset, unsigned size)
{
	uint64_t index = offset / BANK_WIDTH;
	uint32_t answer = flash->status;

	if (flash_disk_is_busy(&flash->disk))
		answer &= ~(uint32_t)STATUS_READY;
	if (flash->command == READ_ID) {
		index &= 0xff;
		answer = index == 0 ? ID_MANUFACTURER : index == 1 ? ID_DEVICE : 0;
	} else if (flash->command == QUERY) {
		answer = index - QUERY_FIRST < sizeof(query) ? query[index - QUERY_FIRST] : 0;
		/* A disk may take longer: a second. */
		if (flash->disk.open && (index == QUERY_LONGEST || index == QUERY_LONGEST + 1))
			answer = 0x0d;
	}
	/* Both devices answer. */
	return size == BANK_WIDTH ? answer << 16 | answer : answer;
}

/*
 * The guest's accesses, and what it has mapped.
 */

static char *map_page(struct flash *flash, uint64_t offset)
{
	uint64_t start = align_down(offset, PAGE_SIZE);
	char *page = read_page(flash, offset);

	/* It may be there already; and without memory for a table the next access comes here, too.
	 */
	if (page)
		(void)gspace_map_rom(&flash->vm->guest.space, address_of(flash, start),
				     pointer_to_hpa(page));
	return page;
}

int flash_map(struct flash *flash, gpa_t gpa)
{
	bool mapped;

	spin_lock(&flash->lock);
	mapped =
	    flash->command == READ_ARRAY && map_page(flash, gpa.v - flash->device.base) != NULL;
	spin_unlock(&flash->lock);
	return mapped ? 0 : ERR_FAULT;
}

static int read_array(struct flash *flash, uint64_t offset, unsigned size, uint64_t *value)
{
	const char *page = map_page(flash, offset);

	*value = 0;
	if (!page)
		return ERR_FAULT;
	copy_bytes(value, page + offset % PAGE_SIZE, size);
	return 0;
}

/* Eight bytes are two accesses, the lower one first. */
static int read(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t *value)
{
	struct flash *flash = container_of(device, struct flash, device);
	int error = 0;

	spin_lock(&flash->lock);
	if (flash->command == READ_ARRAY) {
		error = read_array(flash, offset, size, value);
	} else {
		*value = read_piece(flash, offset, (unsigned)min_u64(size, BANK_WIDTH));
		if (size > BANK_WIDTH)
			*value |= (uint64_t)read_piece(flash, offset + BANK_WIDTH, BANK_WIDTH)
				  << 32;
	}
	spin_unlock(&flash->lock);
	return error;
}

/*
 * No vCPU finds any more what was hidden. The one that is writing has left the guest, and does the
 * same as the others before it enters it again.
 */
static void forget_hidden(const struct vm *vm)
{
	for (unsigned id = 0; id < vm->config.vcpus; id++) {
		vcpu_request(vm->vcpus[id], VCPU_FLUSH);
		if (id % VCPUS_A_STRETCH == VCPUS_A_STRETCH - 1)
			preempt_point();
	}
	for (unsigned id = 0; id < vm->config.vcpus; id++) {
		vcpu_wait_request(vm->vcpus[id], VCPU_FLUSH);
		if (id % VCPUS_A_STRETCH == VCPUS_A_STRETCH - 1)
			preempt_point();
	}
}

/* Hides it, or shows it again, as its mode wants. true: vCPUs may still have what was hidden. */
static bool update(struct flash *flash)
{
	bool hidden = flash->command != READ_ARRAY;

	if (hidden == flash->hidden)
		return false;
	flash->hidden = hidden;
	gspace_show_rom(&flash->vm->guest.space, address_of(flash, 0), MACHINE_FLASH_SIZE, !hidden);
	return hidden;
}

static int write(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct flash *flash = container_of(device, struct flash, device);
	bool forget, writes;

	spin_lock(&flash->lock);
	if (flash_disk_is_busy(&flash->disk)) {
		spin_unlock(&flash->lock);
		return ERR_AGAIN;
	}
	write_piece(flash, offset, (unsigned)min_u64(size, BANK_WIDTH), (uint32_t)value);
	/* A device that is busy takes no commands. */
	if (size > BANK_WIDTH && !flash_disk_is_busy(&flash->disk))
		write_piece(flash, offset + BANK_WIDTH, BANK_WIDTH, (uint32_t)(value >> 32));
	forget = update(flash);
	writes = flash->keep;
	flash->keep = false;
	spin_unlock(&flash->lock);
	if (forget)
		forget_hidden(flash->vm);
	if (writes)
		flash_disk_write(&flash->disk);
	return 0;
}

/*
 * Building.
 */

static uint64_t contents_size(const struct vmconfig_device *config)
{
	if (config->size)
		return config->size;
	return config->host ? MACHINE_FLASH_SIZE : config->image.size - config->offset;
}

uint64_t flash_bytes(const struct vmconfig_device *config)
{
	uint64_t contents =
	    config->read_only ? align_up(contents_size(config), PAGE_SIZE) : MACHINE_FLASH_SIZE;

	/* The list of pages, the blank one, the buffer; and what maps all that. */
	return contents + PAGES * sizeof(char *) + 2 * PAGE_SIZE +
	       (MACHINE_FLASH_SIZE / MEGAPAGE_SIZE + 2) * PAGE_SIZE;
}

void flash_reset(struct flash *flash)
{
	to_array(flash);
	flash->status = STATUS_READY;
	(void)update(flash);
}

int flash_build(struct flash *flash, struct vm *vm, const struct vmconfig_device *config)
{
	static const struct mmio_ops ops = {read, write};
	const char *data = config->image.data;
	int error;

	*flash = (struct flash){
	    .device = {"flash", &ops, MACHINE_FLASH_BASE((uint64_t)config->bank),
		       MACHINE_FLASH_SIZE},
	    .vm = vm,
	    .read_only = config->read_only,
	    .image = config->host ? NULL : data + config->offset,
	    .image_size = config->host ? 0 : contents_size(config),
	    .pages = arena_alloc(&vm->arena, PAGES * sizeof(char *)),
	    .blank = arena_alloc(&vm->arena, PAGE_SIZE),
	    .buffer = arena_alloc(&vm->arena, PAGE_SIZE),
	};
	if (!flash->pages || !flash->blank || !flash->buffer)
		return ERR_NOMEM;
	fill_blank(flash->blank);
	flash_reset(flash);
	error = bus_add(&vm->forwarded, &flash->device);
	return error || !config->host ? error : flash_disk_open(&flash->disk, flash, config);
}

void flash_unbuild(struct flash *flash)
{
	flash_disk_close(&flash->disk);
}
