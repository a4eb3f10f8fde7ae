/* SPDX-License-Identifier: MIT */
/* unit: shell/cmd_disk.c shell/command.c shell/print.c shell/completion.c */
#include "tests/unit/command_fixture.h"

#include "driver/disk.h"

#define DISKS   2
#define CLIENTS 2

static const struct command table[] = {
    {"disk", "", disk_commands, 0, NULL},
    {NULL, NULL, NULL, 0, NULL},
};

struct host_disk {
	struct host_disk_info info;
	struct host_disk_counts counts;
	struct disk_client clients[CLIENTS];
	unsigned client_count;
};

static struct host_disk disks[DISKS];
static unsigned count;

unsigned host_disk_count(void)
{
	return count;
}

struct host_disk *host_disk_by_index(unsigned index)
{
	assert_in_range(index, 0, count - 1);
	return &disks[index];
}

const struct host_disk_info *host_disk_info(const struct host_disk *disk)
{
	return &disk->info;
}

void host_disk_counts(struct host_disk *disk, struct host_disk_counts *counts)
{
	*counts = disk->counts;
}

const struct disk_client *host_disk_next_client(const struct host_disk *disk,
						const struct disk_client *client)
{
	unsigned next = client ? (unsigned)(client - disk->clients) + 1 : 0;

	return next < disk->client_count ? &disk->clients[next] : NULL;
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	typed_at = table;
	memset(disks, 0, sizeof(disks));
	count = DISKS;
	disks[0] = (struct host_disk){
	    .info = {.name = "virtio-blk0",
		     .path = "/soc/virtio_mmio@10008000",
		     .sectors = 4096,
		     .block_size = 512,
		     .serial = "disk\"1"},
	    .counts = {10, 20480, 1023, 1},
	    .clients =
		{{.name = "web", .first = 0, .sectors = 2048, .weight = 100},
		 {.name = "db", .first = 2048, .sectors = 1, .weight = 5, .read_only = true}},
	    .client_count = 2,
	};
	disks[1] = (struct host_disk){
	    .info = {.name = "virtio-blk1",
		     .path = "pci:00:02.0",
		     .sectors = UINT64_MAX / DISK_SECTOR,
		     .block_size = 4096,
		     .read_only = true},
	    .counts = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX},
	};
	return 0;
}

static void test_documented(void **state)
{
	(void)state;
	check_documented(disk_commands, "disk ");
}

static void test_list(void **state)
{
	(void)state;
	expect("disk list", "virtio-blk0  /soc/virtio_mmio@10008000, 2 MiB, serial disk\"1\n"
			    "  10 requests, 20 KiB read, 0 KiB written, 1 errors\n"
			    "  web: sectors 0 to 2047, weight 100\n"
			    "  db: sectors 2048 to 2048, read-only, weight 5\n"
			    "virtio-blk1  pci:00:02.0, 17592186044415 MiB, read-only\n"
			    "  18446744073709551615 requests, 18014398509481983 KiB read, "
			    "18014398509481983 KiB written, 18446744073709551615 errors\n");
	count = 0;
	expect("disk list", "there are none\n");
	run_json("disk list --json");
	assert_string_equal(printed, "[]\n");
}

static void test_json(void **state)
{
	(void)state;
	count = 1;
	run_json("disk list --json");
	assert_string_equal(
	    printed,
	    "[{\"disk\": \"virtio-blk0\", \"path\": \"/soc/virtio_mmio@10008000\", "
	    "\"serial\": \"disk\\\"1\", \"bytes\": 2097152, \"block_size\": 512, "
	    "\"read_only\": false, \"requests\": 10, \"read_bytes\": 20480, "
	    "\"written_bytes\": 1023, \"errors\": 1},\n"
	    " {\"client\": \"web\", \"of\": \"virtio-blk0\", \"first\": 0, \"sectors\": 2048, "
	    "\"read_only\": false, \"weight\": 100},\n"
	    " {\"client\": \"db\", \"of\": \"virtio-blk0\", \"first\": 2048, \"sectors\": 1, "
	    "\"read_only\": true, \"weight\": 5}]\n");
	count = 2;
	run_json("disk list --json");
}

/* Names as long as can be. */
static void test_long_names(void **state)
{
	static char name[64], path[100];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	memset(path, 'p', sizeof(path) - 1);
	memset(disks[0].info.serial, 's', DISK_SERIAL_MAX - 1);
	disks[0].info.path = path;
	disks[0].clients[0] = (struct disk_client){.name = name,
						   .first = UINT64_MAX / 2,
						   .sectors = UINT64_MAX / 2,
						   .weight = UINT32_MAX,
						   .read_only = true};
	run("disk list");
	expect_part("ppp, 2 MiB, serial ssssssssssssssssssss\n");
	expect_part("nnn: sectors 9223372036854775807 to 18446744073709551613, read-only, "
		    "weight 4294967295\n");
	run_json("disk list --json");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_documented, setup),
	    cmocka_unit_test_setup(test_list, setup),
	    cmocka_unit_test_setup(test_json, setup),
	    cmocka_unit_test_setup(test_long_names, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
