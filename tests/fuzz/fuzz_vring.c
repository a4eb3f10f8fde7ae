/* SPDX-License-Identifier: MIT */
/* unit: device/virtio/vring.c */
#include "tests/fuzz/fenced.h"

#include "device/virtio/vring.h"
#include "kernel/error.h"
#include "kernel/trap.h"
#include "vmm/gmem_window.h"
#include "vmm/vm.h"

/*
 * The input is a guest's memory, and what a driver changes there between two requests. Whatever it
 * says, nothing outside its RAM is touched, and what is taken from the ring makes sense.
 */

#define BASE     UINT64_C(0x80000000)
#define REQUESTS 600

/* The beginning of the input: where the ring is, and how it is used. */
struct head {
	uint16_t log_size; /* a high bit: the ring's memory is in one piece of the host's */
	uint16_t features;
	uint16_t descriptors, available, used; /* from BASE on */
	uint16_t changes;                      /* of these, as many as there are requests */
};

struct change {
	uint16_t at, value;
};

static struct vm vm;
static uint8_t *ram;
static unsigned accesses;

void preempt_point(void)
{
}

static int translate(gpa_t gpa, uint64_t size, uint8_t **at)
{
	accesses++;
	if (!vm_is_ram(&vm, gpa, size))
		return ERR_RANGE;
	*at = ram + (gpa.v - BASE);
	return 0;
}

int gmem_read(struct vm *of, gpa_t gpa, void *to, uint64_t size)
{
	uint8_t *at;
	int error = translate(gpa, size, &at);

	check(of == &vm && size <= KIB(64));
	if (!error)
		memcpy(to, at, size);
	return error;
}

int gmem_write(struct vm *of, gpa_t gpa, const void *from, uint64_t size)
{
	uint8_t *at;
	int error = translate(gpa, size, &at);

	check(of == &vm && size <= KIB(64));
	if (!error)
		memcpy(at, from, size);
	return error;
}

int gmem_load_u16(struct vm *of, gpa_t gpa, uint16_t *value)
{
	check(is_aligned(gpa.v, 2));
	return gmem_read(of, gpa, value, sizeof(*value));
}

int gmem_store_u16(struct vm *of, gpa_t gpa, uint16_t value)
{
	check(is_aligned(gpa.v, 2));
	return gmem_write(of, gpa, &value, sizeof(value));
}

static bool in_one_piece;
static const char *written; /* the window that is being written to */

int gmem_window_open(struct gmem_window *window, struct vm *of, gpa_t gpa, uint64_t size,
		     unsigned align)
{
	uint8_t *at;
	int error = translate(gpa, size, &at);

	if (error)
		return error;
	*window = (struct gmem_window){of, gpa, size, NULL};
	if (in_one_piece && is_aligned(gpa.v, align))
		window->host = (char *)at;
	return 0;
}

void gmem_begin_write(struct vm *of, gpa_t gpa, uint64_t size)
{
	check(of == &vm && vm_is_ram(&vm, gpa, size) && !written);
	written = (const char *)ram + (gpa.v - BASE);
}

void gmem_end_write(struct vm *of)
{
	check(of == &vm && written);
	written = NULL;
}

static void check_chain(const struct vring_chain *chain)
{
	uint64_t bytes[2] = {0, 0};

	check(chain->count <= VRING_SIZE_MAX && chain->readable <= chain->count);
	for (unsigned i = 0; i < chain->count; i++) {
		check(chain->lengths[i] > 0);
		check(vm_is_ram(&vm, GPA(chain->gpas[i]), chain->lengths[i]));
		bytes[i >= chain->readable] += chain->lengths[i];
	}
	check(bytes[0] == chain->readable_bytes && bytes[1] == chain->writable_bytes);
	check(bytes[0] + bytes[1] <= GIB(4));
}

/* As a device does: reads what it may, and writes where it may. */
static int use(struct vring *ring, const struct vring_chain *chain)
{
	static uint8_t buffer[KIB(16)];
	uint64_t in = min_u64(chain->readable_bytes, sizeof(buffer));
	uint64_t out = min_u64(chain->writable_bytes, sizeof(buffer));
	bool must;
	int error;

	check(vring_read(ring, chain, chain->readable_bytes - in, buffer, in) == 0);
	check(vring_write(ring, chain, chain->writable_bytes - out, buffer, out) == 0);
	error = vring_push(ring, chain->head, (uint32_t)out);
	if (!error)
		error = vring_must_interrupt(ring, &must);
	vring_told(ring);
	return error;
}

static int serve(struct vring *ring)
{
	static struct vring_chain chain;
	unsigned before = accesses;
	int error = vring_pop(ring, &chain);

	/* Those of the ring, those of an indirect table, and the indices. */
	check(accesses - before <= ring->size + VRING_SIZE_MAX + 5U);
	if (error)
		return error;
	check_chain(&chain);
	return use(ring, &chain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vring_place place;
	struct vring ring;
	struct head head;
	uint64_t features;
	size_t changes;

	if (size < sizeof(head) || size > FENCED_MAX)
		return 0;
	memcpy(&head, data, sizeof(head));
	changes = min_u64(head.changes % REQUESTS, (size - sizeof(head)) / sizeof(struct change));
	data += sizeof(head);
	size -= sizeof(head) + changes * sizeof(struct change);
	in_one_piece = head.log_size & 0x8000;
	ram = fenced_copy(data + changes * sizeof(struct change), size, 16);
	vm.ram_base = BASE;
	vm.ram_size = size;
	place = (struct vring_place){1U << head.log_size % 10, BASE + head.descriptors,
				     BASE + head.available, BASE + head.used};
	features = (uint64_t)head.features << 28;
	if (vring_init(&ring, &vm, &place, features) != 0)
		return 0;
	for (size_t i = 0; i <= changes; i++) {
		int error = serve(&ring);
		struct change change;

		if (error && error != ERR_NOENT)
			return 0;
		if (i == changes)
			break;
		memcpy(&change, data + i * sizeof(change), sizeof(change));
		if (change.at + 2U <= size)
			memcpy(ram + change.at, &change.value, 2);
	}
	return 0;
}
