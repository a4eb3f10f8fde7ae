/* SPDX-License-Identifier: MIT */
/* unit: shell/system_disk.c kernel/fdt.c kernel/string_error.c */
/* libs: -lfdt */
#include "tests/unit/fake_jobs.h"

#include "driver/disk.h"
#include "kernel/fdt.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "shell/system_disk.h"

#define DISK_MAX (2 << 20)
#define TREE_MAX 8192

/* The disk. */
static uint8_t contents[DISK_MAX];
static struct host_disk_info info;
static struct disk_request *request; /* that it has, or NULL */
static unsigned requests;
static unsigned fails_at;                   /* this one comes back with an error; 0: none */
static void (*at_request)(unsigned number); /* what happens before it is carried out */
static bool in_use, client_there;

struct host_disk *host_disk_by_name(const char *name)
{
	return strcmp(name, "virtio-blk0") == 0 ? (struct host_disk *)contents : NULL;
}

const struct host_disk_info *host_disk_info(const struct host_disk *disk)
{
	assert_ptr_equal(disk, contents);
	return &info;
}

int disk_client_init(struct disk_client *client, const char **other)
{
	assert_ptr_equal(client->disk, contents);
	assert_true(client->read_only);
	assert_int_equal(client->first, 0);
	assert_int_equal(client->sectors, 0);
	if (in_use)
		*other = "web";
	client_there = !in_use;
	return in_use ? ERR_EXIST : 0;
}

void disk_client_quit(struct disk_client *client)
{
	assert_ptr_equal(client->disk, contents);
	assert_null(request);
	client_there = false;
}

void disk_submit(struct disk_client *client, struct disk_request *submitted)
{
	uint64_t block = info.block_size / DISK_SECTOR;

	(void)client;
	assert_true(client_there);
	assert_null(request);
	assert_int_equal(submitted->operation, DISK_READ);
	/* As driver/disk.h wants them. */
	assert_int_equal(submitted->sector % block, 0);
	assert_int_equal(submitted->sectors % block, 0);
	assert_in_range(submitted->sectors, 1, info.sectors_max);
	assert_true(submitted->sector + submitted->sectors <= info.sectors);
	assert_int_equal(submitted->piece_count, 1);
	assert_int_equal(submitted->pieces->length, submitted->sectors * DISK_SECTOR);
	assert_in_range(submitted->pieces->length, 1, info.piece_max);
	request = submitted;
}

static void carry_out(void)
{
	struct disk_request *its = request;

	request = NULL;
	requests++;
	if (at_request)
		at_request(requests);
	if (requests != fails_at)
		memcpy(hpa_to_pointer(its->pieces->address), contents + its->sector * DISK_SECTOR,
		       its->sectors * DISK_SECTOR);
	its->done(its, requests == fails_at ? ERR_IO : 0);
}

/* Pages, of which the one that was read last stays. */
static unsigned blocks, blocks_most;
static bool has_memory;

void *page_alloc(unsigned order)
{
	if (!has_memory)
		return NULL;
	blocks++;
	if (blocks > blocks_most)
		blocks_most = blocks;
	/* What was there before is in it still. */
	return memset(aligned_alloc(PAGE_SIZE, PAGE_SIZE << order), 0xd0, PAGE_SIZE << order);
}

void page_free(void *page, unsigned order)
{
	(void)order;
	free(page);
	blocks--;
}

/* The end, and the beginning. */
static jmp_buf ended;
static void *system_file;
static uint64_t system_size;

void machine_end(bool failure)
{
	assert_true(failure);
	longjmp(ended, 1);
}

static void start(const void *system, uint64_t size)
{
	assert_null(system_file);
	system_file = (void *)system;
	system_size = size;
}

/* Whether there is a system, which is what the disk begins with. */
static bool read_disk(const char *name)
{
	system_file = NULL;
	system_size = 0;
	requests = blocks_most = 0;
	request = NULL;
	queued_job = NULL;
	messages[0] = '\0';
	if (setjmp(ended))
		return false;
	system_disk_begin(name, start);
	for (unsigned i = 0; request || queued_job; i++) {
		assert_true(i < 100000);
		if (request)
			carry_out();
		run_jobs();
	}
	assert_non_null(system_file);
	assert_false(client_there);
	assert_int_equal(blocks, 1);
	return true;
}

static void expect_system(uint64_t size)
{
	assert_true(read_disk("virtio-blk0"));
	assert_int_equal(system_size, size);
	assert_memory_equal(system_file, contents, size);
	assert_string_equal(messages, "");
}

static void expect_failure(const char *why)
{
	char text[256];

	assert_false(read_disk("virtio-blk0"));
	snprintf(text, sizeof(text), "command line: pilae.system=virtio-blk0: %s\n", why);
	assert_string_equal(messages, text);
}

/* A tree with two images, whose nodes are told by their paths. */
static int node(const char *path)
{
	int found = fdt_path_offset(contents, path);

	assert_true(found >= 0);
	return found;
}

static uint64_t tree_size(void)
{
	return fdt_totalsize(contents);
}

static void set_u32(const char *path, const char *name, uint32_t value)
{
	assert_int_equal(fdt_setprop_u32(contents, node(path), name, value), 0);
}

static void set_u64(const char *path, const char *name, uint64_t value)
{
	assert_int_equal(fdt_setprop_u64(contents, node(path), name, value), 0);
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	has_memory = true;
	in_use = client_there = false;
	fails_at = 0;
	at_request = NULL;
	info = (struct host_disk_info){
	    .name = "virtio-blk0",
	    .sectors = DISK_MAX / DISK_SECTOR,
	    .block_size = 512,
	    .sectors_max = UINT32_MAX,
	    .piece_max = UINT32_MAX,
	};
	for (unsigned i = 0; i < DISK_MAX; i++)
		contents[i] = (uint8_t)(i * 7 + i / 4096);
	assert_int_equal(fdt_create_empty_tree(contents, TREE_MAX), 0);
	assert_true(fdt_add_subnode(contents, 0, "configurations") >= 0);
	assert_true(fdt_add_subnode(contents, 0, "images") >= 0);
	assert_true(fdt_add_subnode(contents, node("/images"), "linux") >= 0);
	assert_true(fdt_add_subnode(contents, node("/images"), "initrd") >= 0);
	assert_int_equal(
	    fdt_setprop(contents, node("/images/linux"), "data", contents + TREE_MAX, 1001), 0);
	return 0;
}

static void test_in_the_tree(void **state)
{
	(void)state;
	fdt_pack(contents);
	expect_system(tree_size());
	/* The header, and then the tree. */
	assert_int_equal(requests, 2);
	assert_int_equal(blocks_most, 1);
}

static void test_behind_the_tree(void **state)
{
	(void)state;
	set_u32("/images/linux", "data-offset", 100);
	set_u32("/images/linux", "data-size", 900000);
	set_u32("/images/initrd", "data-offset", 16);
	set_u32("/images/initrd", "data-size", 5);
	expect_system(tree_size() + 100 + 900000);
	/* Not all at once. */
	assert_in_range(requests, 2 + 4, 2 + 6);
	/* An offset counts from the next four bytes on. */
	fdt_pack(contents);
	for (unsigned i = 0; i < 4; i++) {
		fdt_set_totalsize(contents, (uint32_t)tree_size() + 1);
		expect_system(((tree_size() + 3) & ~(uint64_t)3) + 100 + 900000);
	}
}

static void test_positions(void **state)
{
	(void)state;
	set_u64("/images/initrd", "data-position", DISK_MAX - 1000);
	set_u64("/images/initrd", "data-size", 1000);
	expect_system(DISK_MAX);
	/* With both, which is wrong, the offset counts; who opens the file says so. */
	set_u32("/images/initrd", "data-offset", 8);
	expect_system(tree_size() + 8 + 1000);
}

/* Disks that take little at a time, and such with large blocks. */
static void test_kinds_of_disks(void **state)
{
	static const struct {
		uint32_t block_size, sectors_max, piece_max;
	} kinds[] = {
	    {512, 1, UINT32_MAX},           {512, UINT32_MAX, 512}, {4096, 8, 4096},
	    {4096, 13, UINT32_MAX},         {4096, 100, 10000},     {65536, 128, UINT32_MAX},
	    {1024, UINT32_MAX, UINT32_MAX}, {512, 3, 5000},
	};

	(void)state;
	set_u32("/images/linux", "data-offset", 0);
	set_u32("/images/linux", "data-size", 123457);
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		info.block_size = kinds[i].block_size;
		info.sectors_max = kinds[i].sectors_max;
		info.piece_max = kinds[i].piece_max;
		expect_system(tree_size() + 123457);
	}
}

static void test_no_disk(void **state)
{
	(void)state;
	assert_false(read_disk("virtio-blk1"));
	assert_string_equal(messages, "command line: pilae.system=virtio-blk1: "
				      "there is no such disk\n");
	in_use = true;
	expect_failure("it cannot be used");
	in_use = false;
	has_memory = false;
	expect_failure("no memory left for the system file");
}

static void test_errors(void **state)
{
	(void)state;
	set_u32("/images/linux", "data-offset", 0);
	set_u32("/images/linux", "data-size", 900000);
	for (fails_at = 1; fails_at <= 4; fails_at++) {
		expect_failure(error_string(ERR_IO));
		assert_int_equal(requests, fails_at);
	}
}

static void test_no_tree(void **state)
{
	(void)state;
	memset(contents, 0, 512);
	expect_failure("there is no system file at its beginning");
	memset(contents, 0xff, 512);
	expect_failure("there is no system file at its beginning");
	setup(NULL);
	fdt_set_totalsize(contents, 8);
	expect_failure("there is no system file at its beginning");
	setup(NULL);
	memset(contents + 512, 0xff, TREE_MAX - 512);
	expect_failure("the system file is broken");
}

static void test_too_large(void **state)
{
	static const char why[] = "the system file is larger than the disk, or than 1 GiB";

	(void)state;
	/* By its header, */
	fdt_set_totalsize(contents, DISK_MAX + 1);
	expect_failure(why);
	fdt_set_totalsize(contents, INT32_MAX);
	expect_failure(why);
	/* by its images, */
	setup(NULL);
	set_u64("/images/linux", "data-position", DISK_MAX);
	set_u64("/images/linux", "data-size", 1);
	expect_failure(why);
	set_u64("/images/linux", "data-position", 0x7fffffffffffffff);
	expect_failure(why);
	set_u64("/images/linux", "data-position", UINT64_MAX - 1);
	expect_failure(why);
	/* or by the disk's block, behind the last of which nothing is. */
	setup(NULL);
	info.block_size = 4096;
	info.sectors = DISK_MAX / DISK_SECTOR - 4;
	set_u64("/images/linux", "data-position", (DISK_MAX - 4096) / 1);
	set_u64("/images/linux", "data-size", 100);
	expect_failure(why);
}

/* Sums that wrap: what lies outside the file is for those to find who read it. */
static void test_wrapping(void **state)
{
	(void)state;
	set_u64("/images/linux", "data-position", UINT64_MAX - 10);
	set_u64("/images/linux", "data-size", 100);
	expect_system(tree_size());
	set_u64("/images/linux", "data-offset", UINT64_MAX - 1000);
	expect_system(tree_size());
	/* Cells of another size than they have to be of. */
	assert_int_equal(fdt_setprop(contents, node("/images/linux"), "data-offset", "abc", 3), 0);
	assert_int_equal(fdt_setprop(contents, node("/images/linux"), "data-size", "", 0), 0);
	expect_system(tree_size());
	/* None at all. */
	assert_int_equal(fdt_del_node(contents, node("/images")), 0);
	expect_system(tree_size());
}

/* A disk that says something else each time it is read: its header before the tree is read, */
static void change_size(unsigned number)
{
	if (number == 2)
		fdt_set_totalsize(contents, TREE_MAX + 4096);
}

static void spoil(unsigned number)
{
	if (number == 3)
		memset(contents, 0xff, TREE_MAX);
}

static void test_changing_disk(void **state)
{
	(void)state;
	at_request = change_size;
	expect_failure("the system file is broken");
	/* or before all of it: who reads the system file looks at it again, within its size. */
	setup(NULL);
	set_u32("/images/linux", "data-offset", 0);
	set_u32("/images/linux", "data-size", 100);
	at_request = spoil;
	assert_true(read_disk("virtio-blk0"));
	assert_int_equal(system_size, TREE_MAX + 100);
	assert_int_not_equal(fdt_check_full(system_file, system_size), 0);
}

/* Spoiled files are refused, or read as far as they say, within the disk. */
static void test_spoiled(void **state)
{
	static uint8_t good[TREE_MAX];
	unsigned started = 0;

	(void)state;
	set_u32("/images/linux", "data-offset", 100);
	set_u32("/images/linux", "data-size", 20000);
	set_u32("/images/initrd", "data-position", 30000);
	set_u32("/images/initrd", "data-size", 40000);
	fdt_pack(contents);
	memcpy(good, contents, tree_size());
	for (unsigned n = 0; n < 3000; n++) {
		memcpy(contents, good, sizeof(good));
		for (unsigned i = fake_random_below(3) + 1; i > 0; i--)
			contents[fake_random_below(fdt_totalsize(good) - 1001)] =
			    (uint8_t)fake_random();
		/* Also the images' numbers, which are near the end. */
		contents[fdt_totalsize(good) - 1 - fake_random_below(300)] = (uint8_t)fake_random();
		if (!read_disk("virtio-blk0"))
			continue;
		started++;
		assert_in_range(system_size, sizeof(struct fdt_header), DISK_MAX);
		assert_memory_equal(system_file, contents, system_size);
	}
	assert_in_range(started, 100, 2999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_in_the_tree, setup),
	    cmocka_unit_test_setup(test_behind_the_tree, setup),
	    cmocka_unit_test_setup(test_positions, setup),
	    cmocka_unit_test_setup(test_kinds_of_disks, setup),
	    cmocka_unit_test_setup(test_no_disk, setup),
	    cmocka_unit_test_setup(test_errors, setup),
	    cmocka_unit_test_setup(test_no_tree, setup),
	    cmocka_unit_test_setup(test_too_large, setup),
	    cmocka_unit_test_setup(test_wrapping, setup),
	    cmocka_unit_test_setup(test_changing_disk, setup),
	    cmocka_unit_test_setup(test_spoiled, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
