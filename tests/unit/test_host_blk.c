/* SPDX-License-Identifier: MIT */
/* unit: driver/virtio/blk.c vmm/copy.c driver/virtio/device.c driver/virtio/queue.c driver/virtio/packed.c driver/disk.c kernel/heap.c */
#include "tests/unit/fake_jobs.h"
#include "tests/unit/fake_plic.h"
#include "tests/unit/fake_time.h"
#include "tests/unit/fake_virtio_device.h"

#include "driver/disk_driver.h"
#include "driver/virtio/registry.h"
#include "kernel/page.h"

#define SECTORS 512
#define EACH    300

static struct host_virtio virtio;
static uint8_t medium[SECTORS * DISK_SECTOR];
static struct disk_client client;
static struct disk_request requests[EACH];
static unsigned back_count;
static int last_error;
static uint8_t answer; /* status that the device gives */
static bool out_of_memory;
static unsigned left_out; /* blocks of memory that were allocated */
static void *blocks[64];

void *page_alloc_zeroed(unsigned order)
{
	void *block;

	if (out_of_memory)
		return NULL;
	block = aligned_alloc(PAGE_SIZE, PAGE_SIZE << order);
	assert_non_null(block);
	memset(block, 0, PAGE_SIZE << order);
	assert_true(left_out < ARRAY_SIZE(blocks));
	blocks[left_out++] = block;
	return block;
}

static void interrupt(void)
{
	plic_handler(plic_argument);
	run_jobs();
}

static void config(unsigned offset, unsigned size, uint64_t value)
{
	memcpy(fake_device.config + offset, &value, size);
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	fake_device_reset();
	platform.timebase = 10000000;
	memset(&virtio, 0, sizeof(virtio));
	virtio.transport = &fake_transport;
	virtio.id = VIRTIO_ID_BLOCK;
	virtio.interrupt = PLIC_SOURCE;
	strcpy(virtio.name, "virtio-blk0");
	queued_job = NULL;
	back_count = 0;
	answer = 0;
	out_of_memory = false;
	for (unsigned i = 0; i < sizeof(medium); i++)
		medium[i] = (uint8_t)(i * 7 + i / 512);
	config(0, 8, SECTORS);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	host_virtio_reset(&virtio);
	while (host_disk_count()) {
		list_init(&host_disk_by_index(0)->clients);
		host_disk_remove(host_disk_by_index(0));
	}
	while (left_out)
		free(blocks[--left_out]);
	return 0;
}

/* The bytes of the pieces in a row; the last of the writable ones is the status. */
static void transfer(const struct fake_chain *chain, unsigned first, unsigned count, uint8_t *bytes,
		     bool to_driver)
{
	for (unsigned i = first; i < first + count; i++) {
		void *memory = (void *)chain->pieces[i].address.v;

		memcpy(to_driver ? memory : bytes, to_driver ? bytes : memory,
		       chain->pieces[i].length);
		bytes += chain->pieces[i].length;
	}
}

/* Virtio 1.3, 5.2.6: what a device does with a request. Returns how much it has written. */
static uint32_t carry_out(const struct fake_chain *chain)
{
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header;
	struct {
		uint64_t sector;
		uint32_t sectors, flags;
	} range;
	unsigned count = chain->readable + chain->writable;
	uint8_t *status = (uint8_t *)chain->pieces[count - 1].address.v;

	assert_int_equal(chain->pieces[0].length, 16);
	assert_int_equal(chain->pieces[count - 1].length, 1);
	assert_true(chain->readable >= 1 && chain->writable >= 1);
	memcpy(&header, (void *)chain->pieces[0].address.v, sizeof(header));
	assert_int_equal(header.reserved, 0);
	switch (header.type) {
	case 0:
		assert_int_equal(chain->readable, 1);
		transfer(chain, 1, count - 2, medium + header.sector * DISK_SECTOR, true);
		break;
	case 1:
		assert_int_equal(chain->writable, 1);
		transfer(chain, 1, count - 2, medium + header.sector * DISK_SECTOR, false);
		break;
	case 4:
		assert_int_equal(count, 2);
		break;
	case 8:
		assert_int_equal(count, 3);
		assert_int_equal(chain->pieces[1].length, 20);
		memcpy((void *)chain->pieces[1].address.v, "serial \x01number\0garbage", 20);
		break;
	case 11:
	case 13:
		assert_int_equal(count, 3);
		assert_int_equal(chain->pieces[1].length, 16);
		memcpy(&range, (void *)chain->pieces[1].address.v, sizeof(range));
		memset(medium + range.sector * DISK_SECTOR, header.type == 13 ? 0 : 0xdd,
		       range.sectors * DISK_SECTOR);
		assert_true(header.type == 13 || range.flags == 0);
		break;
	default:
		assert_true(false);
	}
	*status = answer;
	return 1;
}

/* Carries out all that was given to it, the last first if so. */
static unsigned work(bool backwards)
{
	static struct fake_chain chains[EACH];
	unsigned count = 0;

	for (unsigned i = 0; i < FAKE_QUEUES; i++) {
		while (fake_pop(i, &chains[count]))
			count++;
	}
	for (unsigned i = 0; i < count; i++) {
		const struct fake_chain *chain = &chains[backwards ? count - 1 - i : i];

		fake_push(chain, carry_out(chain));
	}
	interrupt();
	return count;
}

static struct host_disk *begin(uint64_t features)
{
	const char *other;
	struct host_disk *disk;

	fake_device.offered |= features;
	assert_int_equal(host_blk_driver.bind(&virtio), 0);
	assert_true(fake_device.status & 4);
	disk = host_disk_by_index(0);
	client = (struct disk_client){.disk = disk, .name = "web", .weight = 100};
	assert_int_equal(disk_client_init(&client, &other), 0);
	return disk;
}

static void done(struct disk_request *request, int error)
{
	(void)request;
	back_count++;
	last_error = error;
}

static void submit(unsigned i, enum disk_operation operation, uint64_t sector, uint32_t sectors,
		   const struct virtqueue_buffer *pieces, unsigned count)
{
	requests[i] = (struct disk_request){.operation = operation,
					    .sector = sector,
					    .sectors = sectors,
					    .pieces = pieces,
					    .piece_count = count,
					    .done = done};
	disk_submit(&client, &requests[i]);
}

static struct virtqueue_buffer piece_of(void *start, uint32_t length)
{
	return (struct virtqueue_buffer){HPA((uint64_t)start), length};
}

static void test_info(void **state)
{
	const struct host_disk_info *info;

	(void)state;
	config(8, 4, 4096);
	config(12, 4, 30);
	config(20, 4, 2048);
	config(36, 4, 99);
	config(44, 4, 8);
	config(48, 4, 77);
	config(0, 8, SECTORS + 3);
	info = host_disk_info(begin(BIT(1) | BIT(2) | BIT(6) | BIT(9) | BIT(13) | BIT(14)));
	assert_int_equal(info->sectors, SECTORS);
	assert_int_equal(info->block_size, 2048);
	assert_int_equal(info->piece_max, 4096);
	assert_int_equal(info->segments_max, 30);
	assert_true(info->can_flush && info->can_discard && info->can_write_zeroes);
	assert_false(info->read_only);
	assert_int_equal(info->discard_max, 99);
	assert_int_equal(info->discard_alignment, 8);
	assert_int_equal(info->write_zeroes_max, 77);
	assert_string_equal(info->serial, "");
	assert_int_equal(work(false), 1);
	assert_string_equal(info->serial, "serialnumber");
	assert_int_equal(client.sectors, SECTORS);
}

/* One that says nothing of itself can be given a piece at a time. */
static void test_plain(void **state)
{
	const struct host_disk_info *info;

	(void)state;
	fake_device.legacy = virtio.legacy = true;
	fake_device.offered = 0;
	fake_device.queue_max = 8;
	info = host_disk_info(begin(0));
	assert_int_equal(info->block_size, 512);
	assert_int_equal(info->segments_max, 1);
	assert_false(info->can_flush || info->can_discard || info->can_write_zeroes);
	assert_int_equal(fake_device.queues[0].size, 8);
}

/* Writes and reads pieces of any alignment, many at a time, in any order of completion. */
static void read_and_write(uint64_t features)
{
	static uint8_t buffer[100][4096 + 8], expected[4096];
	static struct virtqueue_buffer pieces[100][3];
	struct host_disk *disk;

	config(12, 4, 62);
	disk = begin(features | BIT(2) | BIT(9));
	client.first = 50;
	client.sectors = 400;
	for (unsigned i = 0; i < 50; i++) {
		memset(buffer[i], (int)i, sizeof(buffer[i]));
		pieces[i][0] = piece_of(buffer[i] + i % 8, 1000 + i);
		pieces[i][1] = piece_of(buffer[i] + i % 8 + 1000 + i, 1);
		pieces[i][2] = piece_of(buffer[i] + i % 8 + 1001 + i, 4096 - 1001 - i);
		submit(i, DISK_WRITE, i * 8, 8, pieces[i], 3);
	}
	submit(50, DISK_FLUSH, 0, 0, NULL, 0);
	while (work(true))
		;
	assert_int_equal(back_count, 51);
	assert_int_equal(last_error, 0);
	for (unsigned i = 0; i < 50; i++) {
		memset(expected, (int)i, sizeof(expected));
		assert_memory_equal(medium + 50 * DISK_SECTOR + i * 4096, expected, 4096);
	}
	for (unsigned i = 0; i < 50; i++) {
		pieces[50 + i][0] = piece_of(buffer[50 + i] + 3, 4096);
		submit(i, DISK_READ, i * 8, 8, pieces[50 + i], 1);
	}
	while (work(false))
		;
	assert_int_equal(back_count, 101);
	for (unsigned i = 0; i < 50; i++) {
		memset(expected, (int)i, sizeof(expected));
		assert_memory_equal(buffer[50 + i] + 3, expected, 4096);
	}
	assert_int_equal(disk_client_in_flight(&client), 0);
	assert_int_equal(disk->started, 0);
}

static void test_read_and_write(void **state)
{
	static const uint64_t features[] = {VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX,
					    VIRTIO_F_RING_PACKED};

	for (unsigned set = 0; set < 8; set++) {
		uint64_t all = 0;

		for (unsigned i = 0; i < 3; i++)
			all |= set & BIT(i) ? features[i] : 0;
		read_and_write(all);
		teardown(state);
		setup(state);
	}
}

static void test_others(void **state)
{
	struct disk_request *request = &requests[0];

	(void)state;
	config(36, 4, 100);
	config(48, 4, 100);
	begin(BIT(13) | BIT(14));
	client.first = 16;
	client.sectors = 100;
	submit(0, DISK_WRITE_ZEROES, 8, 8, NULL, 0);
	work(false);
	for (unsigned i = 0; i < 8 * 512; i++)
		assert_int_equal(medium[24 * 512 + i], 0);
	assert_int_not_equal(medium[23 * 512 + 1] | medium[32 * 512 + 1], 0);
	request->unmap = true;
	disk_submit(&client, request);
	work(false);
	submit(0, DISK_DISCARD, 0, 1, NULL, 0);
	work(false);
	assert_int_equal(medium[16 * 512], 0xdd);
	assert_int_equal(back_count, 3);
	assert_int_equal(last_error, 0);
}

static void test_errors(void **state)
{
	static uint8_t buffer[512];
	struct virtqueue_buffer piece = piece_of(buffer, 512);

	(void)state;
	begin(0);
	work(false);
	answer = 1;
	submit(0, DISK_READ, 0, 1, &piece, 1);
	work(false);
	assert_int_equal(last_error, ERR_IO);
	answer = 2;
	submit(0, DISK_READ, 0, 1, &piece, 1);
	work(false);
	assert_int_equal(last_error, ERR_NOSYS);
	answer = 0;
	submit(0, DISK_READ, 0, 1, &piece, 1);
	work(false);
	assert_int_equal(last_error, 0);
	assert_int_equal(back_count, 3);
}

static void assert_given_up(unsigned count)
{
	struct virtqueue_buffer piece = piece_of(medium, 512);
	unsigned resets = fake_device.resets;

	assert_int_equal(back_count, count);
	assert_int_equal(last_error, ERR_IO);
	assert_int_equal(fake_device.status, 128);
	assert_int_equal(disk_client_in_flight(&client), 0);
	submit(0, DISK_READ, 0, 1, &piece, 1);
	run_jobs();
	assert_int_equal(back_count, count + 1);
	assert_int_equal(last_error, ERR_IO);
	assert_int_equal(fake_device.resets, resets);
}

/* A status that there is not, or none at all. */
static void test_nonsense(void **state)
{
	static uint8_t buffer[100][512];
	static struct virtqueue_buffer pieces[100];

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		pieces[i] = piece_of(buffer[i], 512);
	begin(VIRTIO_F_INDIRECT_DESC);
	work(false);
	for (unsigned i = 0; i < 100; i++)
		submit(i, DISK_READ, i, 1, &pieces[i], 1);
	answer = 3;
	work(false);
	assert_given_up(100);
}

static void test_broken_ring(void **state)
{
	struct virtqueue_buffer piece = piece_of(medium, 512);
	struct fake_chain chain;

	for (unsigned packed = 0; packed < 2; packed++) {
		begin(packed ? VIRTIO_F_RING_PACKED : 0);
		work(false);
		for (unsigned i = 0; i < 10; i++)
			submit(i, DISK_READ, i, 1, &piece, 1);
		assert_true(fake_pop(0, &chain));
		fake_push(&chain, carry_out(&chain));
		fake_push(&chain, 1);
		interrupt();
		assert_given_up(10);
		teardown(state);
		setup(state);
	}
}

/* Each hart has its queue. */
static void test_queues(void **state)
{
	struct virtqueue_buffer piece = piece_of(medium, 512);
	struct fake_chain chain;

	(void)state;
	fake_device.queue_count = 3;
	config(34, 2, 4);
	begin(BIT(12));
	work(false);
	for (unsigned i = 0; i < FAKE_HARTS; i++) {
		present_hart = &harts[i];
		submit(i, DISK_READ, i, 1, &piece, 1);
	}
	present_hart = &harts[0];
	assert_true(fake_pop(0, &chain));
	fake_push(&chain, carry_out(&chain));
	assert_true(fake_pop(0, &chain));
	fake_push(&chain, carry_out(&chain));
	assert_false(fake_pop(0, &chain));
	for (unsigned i = 1; i < 3; i++) {
		assert_int_equal(fake_device.queues[i].notices, 1);
		assert_true(fake_pop(i, &chain));
		fake_push(&chain, carry_out(&chain));
		assert_false(fake_pop(i, &chain));
	}
	interrupt();
	assert_int_equal(back_count, FAKE_HARTS);
	assert_int_equal(last_error, 0);
}

static void assert_unusable(int error)
{
	assert_int_equal(host_blk_driver.bind(&virtio), error);
	assert_int_equal(host_disk_count(), 0);
	assert_false(fake_device.status & 4);
	teardown(NULL);
	setup(NULL);
}

static void test_unusable(void **state)
{
	(void)state;
	fake_device.refuses_features = true;
	assert_unusable(ERR_IO);
	fake_device.offered = 0;
	assert_unusable(ERR_IO);
	out_of_memory = true;
	assert_unusable(ERR_NOMEM);
	fake_device.refuses_queues = true;
	assert_unusable(ERR_EXIST);
	fake_device.queue_count = 0;
	assert_unusable(ERR_NOENT);
	fake_device.queue_max = 2;
	assert_unusable(ERR_NOENT);
	config(0, 8, UINT64_MAX);
	assert_unusable(ERR_INVAL);
	for (unsigned i = 0; i < 4; i++) {
		static const uint32_t sizes[] = {0, 256, 1000, 1U << 31};

		fake_device.offered |= BIT(6);
		config(20, 4, sizes[i]);
		assert_unusable(ERR_INVAL);
	}
	fake_device.offered |= BIT(1);
	config(8, 4, 511);
	assert_unusable(ERR_INVAL);
}

static void test_unbind(void **state)
{
	(void)state;
	begin(0);
	assert_int_equal(host_blk_driver.unbind(&virtio), ERR_EXIST);
	disk_client_quit(&client);
	assert_int_equal(host_blk_driver.unbind(&virtio), 0);
	assert_int_equal(host_disk_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_info, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_read_and_write, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_others, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_broken_ring, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_queues, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_unusable, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_unbind, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
