/* SPDX-License-Identifier: MIT */
/* unit: driver/disk.c kernel/heap.c */
#include "tests/unit/disk_fixture.h"

static void assert_refused(struct disk_request *request, int error)
{
	unsigned before = back_count, started = device.most;

	disk_submit(&clients[0], request);
	assert_int_equal(back_count, before);
	run_jobs();
	assert_int_equal(back_count, before + 1);
	assert_int_equal(last_error, error);
	assert_int_equal(device.most, started);
	assert_int_equal(disk_client_in_flight(&clients[0]), 0);
}

static void test_what_is_wrong(void **state)
{
	struct virtqueue_buffer pieces[5] = {
	    {{0x1000}, 512}, {{0x1000}, 512}, {{0x1000}, 512}, {{0x1000}, 512}, {{0x1000}, 512}};
	struct disk_request *request;

	(void)state;
#define REFUSED(operation, error, ...)            \
	do {                                      \
		request = make(0, 0, operation);  \
		__VA_ARGS__;                      \
		assert_refused(request, (error)); \
	} while (0)
	REFUSED(DISK_READ, ERR_RANGE, request->sector = 10000);
	REFUSED(DISK_READ, ERR_RANGE, request->sector = 9993);
	REFUSED(DISK_READ, ERR_RANGE, request->sector = UINT64_MAX);
	REFUSED(DISK_DISCARD, ERR_RANGE, request->sectors = UINT32_MAX);
	REFUSED(DISK_READ, ERR_INVAL, request->sectors = 0);
	REFUSED(DISK_READ, ERR_INVAL, request->sectors = 7);
	REFUSED(DISK_READ, ERR_INVAL, request->sectors = 9);
	REFUSED(DISK_READ, ERR_INVAL, request->piece_count = 0);
	REFUSED(DISK_READ, ERR_INVAL, request->pieces = pieces; request->piece_count = 5;
		request->sectors = 5);
	REFUSED(DISK_READ, ERR_INVAL, request->pieces = pieces; request->piece_count = 2;
		request->sectors = 1; pieces[1].length = 0);
	REFUSED(DISK_READ, ERR_INVAL, request->pieces = pieces; request->piece_count = 1;
		request->sectors = 17; pieces[0].length = 17 * 512);
	REFUSED(DISK_DISCARD, ERR_INVAL, request->sectors = 501);
	REFUSED(DISK_WRITE_ZEROES, ERR_NOSYS, (void)0);
	REFUSED((enum disk_operation)77, ERR_INVAL, (void)0);
	clients[0].read_only = true;
	REFUSED(DISK_WRITE, ERR_DENIED, (void)0);
	REFUSED(DISK_DISCARD, ERR_DENIED, (void)0);
	disk.info.block_size = 4096;
	REFUSED(DISK_READ, ERR_INVAL, request->sector = 4);
	disk.info.can_flush = false;
	REFUSED(DISK_FLUSH, 0, (void)0);
	assert_int_equal(device.told, 0);
#undef REFUSED
}

static void test_slices(void **state)
{
	struct disk_client client = {.disk = &disk, .name = "db", .weight = 1};
	struct disk_client reader = {.disk = &disk, .name = "x", .weight = 1, .read_only = true};

	(void)state;
	client.first = 100000;
	assert_int_equal(disk_client_init(&client, &other), ERR_RANGE);
	client.first = 99999;
	client.sectors = 2;
	assert_int_equal(disk_client_init(&client, &other), ERR_RANGE);
	client.sectors = UINT64_MAX;
	assert_int_equal(disk_client_init(&client, &other), ERR_RANGE);
	client.first = 29999;
	client.sectors = 0;
	assert_int_equal(disk_client_init(&client, &other), ERR_EXIST);
	assert_string_equal(other, "web");
	client.first = 30000;
	client.sectors = 0;
	client.read_only = true;
	assert_int_equal(disk_client_init(&client, &other), 0);
	assert_int_equal(client.sectors, 70000);
	reader.first = 29999;
	assert_int_equal(disk_client_init(&reader, &other), ERR_EXIST);
	reader.first = 30000;
	reader.sectors = 0;
	assert_int_equal(disk_client_init(&reader, &other), 0);
	assert_int_equal(host_disk_remove(&disk), ERR_EXIST);
	disk_client_quit(&client);
	disk_client_quit(&reader);
	disk.info.read_only = true;
	client.read_only = false;
	assert_int_equal(disk_client_init(&client, &other), ERR_DENIED);
	disk.info.read_only = false;
	disk.info.block_size = 4096;
	client.first = 30001;
	client.sectors = 0;
	assert_int_equal(disk_client_init(&client, &other), ERR_RANGE);
	assert_ptr_equal(host_disk_by_name("/soc/virtio@1000"), &disk);
	assert_ptr_equal(host_disk_by_name("virtio-blk0"), &disk);
	assert_null(host_disk_by_name("virtio-blk1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_what_is_wrong, setup),
	    cmocka_unit_test_setup(test_slices, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
