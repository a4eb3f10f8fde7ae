/* SPDX-License-Identifier: MIT */
/* unit: vmm/bus.c */
#include "tests/fuzz/fenced.h"

#include "kernel/error.h"
#include "vmm/bus.h"

#define DEVICES 8
#define SPACE   0x10000

/* Devices of plain memory, which is one array as far as a guest can see. */
static struct mmio_device devices[DEVICES];
static struct bus bus;
static uint8_t memory[SPACE], model[SPACE];
static uint64_t limit; /* devices refuse what begins at or above this address */

static int access(struct mmio_device *device, uint64_t offset, unsigned size)
{
	check(is_aligned(offset, size) && size <= 8);
	check(range_within(offset, size, 0, device->size));
	return device->base + offset >= limit ? ERR_FAULT : 0;
}

static int read(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t *value)
{
	*value = 0;
	memcpy(value, &memory[device->base + offset], size);
	return access(device, offset, size);
}

static int write(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t value)
{
	int error = access(device, offset, size);

	check(size == 8 || value >> 8 * size == 0);
	if (!error)
		memcpy(&memory[device->base + offset], &value, size);
	return error;
}

static const struct mmio_ops ops = {read, write};

static bool model_has(uint64_t address, uint64_t size)
{
	for (unsigned i = 0; i < bus.count; i++) {
		if (range_within(address, size, bus.devices[i]->base, bus.devices[i]->size))
			return true;
	}
	return false;
}

static void add(unsigned n, uint64_t base, uint64_t size)
{
	bool good = size > 0 && is_aligned(base, 8);

	for (unsigned i = 0; i < n; i++) {
		if (devices[i].ops && ranges_overlap(base, size, devices[i].base, devices[i].size))
			good = false;
	}
	devices[n] = (struct mmio_device){"memory", &ops, base, size};
	check((bus_add(&bus, &devices[n]) == 0) == good);
	if (!good)
		devices[n].ops = NULL;
}

/* How far an access gets, by its rule: pieces as large as its alignment allows. */
static unsigned expected_done(uint64_t address, unsigned size)
{
	unsigned piece = size;
	unsigned done = 0;

	while (!is_aligned(address, piece))
		piece /= 2;
	while (done < size && model_has(address + done, piece) && address + done < limit)
		done += piece;
	return done;
}

static void transfer(uint64_t address, unsigned size, uint64_t value, bool writes)
{
	unsigned expected = expected_done(address, size);
	uint64_t mask = BITS(8 * size - 1, 0);
	uint64_t found = 0, want = 0;
	int error;

	if (writes) {
		memcpy(&model[address], &value, expected);
		error = bus_write(&bus, GPA(address), size, value);
	} else {
		error = bus_read(&bus, GPA(address), size, &found);
		memcpy(&want, &model[address], size);
		check(error || (found == want && (found & ~mask) == 0));
	}
	check((error == 0) == (expected == size));
	check(error == 0 || error == ERR_FAULT);
}

/* Four bytes a device, then twelve an access. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2 + 4 * DEVICES)
		return 0;
	memset(&bus, 0, sizeof(bus));
	memset(devices, 0, sizeof(devices));
	memset(memory, 0, sizeof(memory));
	memset(model, 0, sizeof(model));
	limit = data[0] | (uint64_t)data[1] << 8;
	data += 2;
	size -= 2;
	for (unsigned i = 0; i < DEVICES; i++, data += 4, size -= 4) {
		uint64_t base = data[0] | (uint64_t)data[1] << 8;
		uint64_t length = data[2] | (uint64_t)data[3] << 8;

		add(i, base, min_u64(length, SPACE - base));
	}
	for (; size >= 12; data += 12, size -= 12) {
		unsigned bytes = 1U << (data[0] & 3);
		uint64_t address = data[2] | (uint64_t)data[3] << 8;
		uint64_t value;

		memcpy(&value, data + 4, sizeof(value));
		/* No access crosses a page. */
		if ((address & (PAGE_SIZE - 1)) + bytes <= PAGE_SIZE)
			transfer(address, bytes, value, data[1] & 1);
	}
	check(memcmp(memory, model, SPACE) == 0);
	return 0;
}
