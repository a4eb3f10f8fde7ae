/* SPDX-License-Identifier: MIT */
/* unit: vmm/fit.c vmm/hash.c */
/* libs: -lfdt */
#include <stdlib.h>

#include "kernel/error.h"
#include "tests/unit/fit_tree.h"
#include "vmm/fit.h"

#define DATA_SIZE 1000

static uint8_t data[DATA_SIZE];

static void set_hash(const char *path, const char *name, enum hash_algo algo)
{
	struct hash hash;
	uint8_t digest[HASH_SIZE_MAX];

	hash_begin(&hash, algo);
	hash_update(&hash, data, sizeof(data));
	hash_end(&hash, digest);
	set_string(path, "algo", name);
	set_bytes(path, "value", digest, hash_size(algo));
}

/* A system with an image "linux" of DATA_SIZE bytes and a configuration "web". */
static int build_tree(void **state)
{
	(void)state;
	tree_clear();
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 5 + 3);
	add_node("/", "configurations");
	add_node("/configurations", "web");
	add_node("/", "images");
	add_node("/images", "initrd");
	add_node("/images", "linux");
	add_node("/images/linux", "hash-1");
	add_node("/images/linux", "other");
	set_bytes("/images/linux", "data", data, sizeof(data));
	set_string("/images/linux", "type", "kernel");
	set_bytes("/images/initrd", "data", data, 1);
	return 0;
}

static int open_tree(struct fit *fit)
{
	return fit_open(fit, tree, fdt_totalsize(tree));
}

static int find(struct fit *fit, const char *name, struct fit_image *image)
{
	assert_int_equal(open_tree(fit), 0);
	return fit_find_image(fit, "/configurations/web", "kernel", name, image);
}

static int verify(struct fit *fit, const struct fit_image *image, unsigned *steps)
{
	struct fit_verify state;
	int error;

	*steps = 0;
	fit_verify_begin(&state, fit, image);
	while ((error = fit_verify_step(&state)) == ERR_AGAIN)
		++*steps;
	return error;
}

static int find_and_verify(const char *name)
{
	struct fit fit;
	struct fit_image image;
	unsigned steps;
	int error = find(&fit, name, &image);

	return error ? error : verify(&fit, &image, &steps);
}

static void test_inline_image(void **state)
{
	struct fit fit;
	struct fit_image image;
	uint64_t entry = cpu_to_fdt64(UINT64_C(0x123456789a));

	(void)state;
	assert_int_equal(find(&fit, "linux", &image), 0);
	assert_int_equal(image.size, sizeof(data));
	assert_memory_equal(image.data, data, sizeof(data));
	assert_string_equal(image.type, "kernel");
	assert_string_equal(image.name, "linux");
	assert_false(image.has_load);
	assert_false(image.has_entry);
	set_cell("/images/linux", "load", 0x80400000);
	set_bytes("/images/linux", "entry", &entry, sizeof(entry));
	assert_int_equal(find(&fit, "linux", &image), 0);
	assert_true(image.has_load && image.has_entry);
	assert_int_equal(image.load, 0x80400000);
	assert_int_equal(image.entry, 0x123456789a);
	expect_silence();
}

static void test_missing_image(void **state)
{
	struct fit fit;
	struct fit_image image;

	(void)state;
	assert_int_equal(find(&fit, "linuz", &image), ERR_NOENT);
	expect_message(
	    "/configurations/web: kernel = \"linuz\": no such image; have: linux, initrd");
	CHECK(fdt_del_node(tree, node_at("/images")));
	assert_int_equal(find(&fit, "linux", &image), ERR_NOENT);
	expect_message("have: none");
	CHECK(fdt_del_node(tree, node_at("/configurations")));
	assert_int_equal(open_tree(&fit), ERR_NOENT);
	expect_message("/configurations: missing");
}

/* A name matches as a whole, though libfdt would find linux@1 by linux. */
static void test_unit_addresses(void **state)
{
	struct fit fit;
	struct fit_image image;

	(void)state;
	set_bytes("/images", "pad", NULL, 0);
	add_node("/images", "flash@1");
	set_bytes("/images/flash@1", "data", data, 7);
	assert_int_equal(find(&fit, "flash", &image), ERR_NOENT);
	expect_message("flash@1");
	assert_int_equal(find(&fit, "flash@1", &image), 0);
	assert_int_equal(image.size, 7);
}

static void test_two_of_a_name(void **state)
{
	struct fit fit;
	struct fit_image image;

	(void)state;
	CHECK(fdt_set_name(tree, node_at("/images/initrd"), "linux"));
	assert_int_equal(find(&fit, "linux", &image), ERR_EXIST);
	expect_message("/images/linux: there are two");
}

static void test_bad_images(void **state)
{
	(void)state;
	set_string("/images/linux", "compression", "gzip");
	assert_int_equal(find_and_verify("linux"), ERR_NOSYS);
	expect_message("/images/linux: compression = \"gzip\": not supported");
	set_bytes("/images/linux", "compression", "none", 4);
	assert_int_equal(find_and_verify("linux"), ERR_INVAL);
	expect_message("compression: must be a string");
	set_string("/images/linux", "compression", "none");
	set_string("/images/linux", "arch", "arm64");
	assert_int_equal(find_and_verify("linux"), ERR_NOSYS);
	expect_message("arch = \"arm64\"");
	set_string("/images/linux", "arch", "riscv");
	set_bytes("/images/linux", "type", "a\0b", 4);
	assert_int_equal(find_and_verify("linux"), ERR_INVAL);
	expect_message("/images/linux: type");
	remove_property("/images/linux", "type");
	set_bytes("/images/linux", "load", "123", 3);
	assert_int_equal(find_and_verify("linux"), ERR_INVAL);
	expect_message("load and entry");
	remove_property("/images/linux", "load");
	set_bytes("/images/linux", "data", "", 0);
	assert_int_equal(find_and_verify("linux"), ERR_INVAL);
	expect_message("is empty");
	remove_property("/images/linux", "data");
	assert_int_equal(find_and_verify("linux"), ERR_INVAL);
	expect_message("exactly one of data");
	set_cell("/images/linux", "data-offset", 0);
	set_cell("/images/linux", "data-position", 0);
	assert_int_equal(find_and_verify("linux"), ERR_INVAL);
	expect_message("exactly one of data");
}

static void test_unknown_property(void **state)
{
	(void)state;
	set_string("/images/initrd", "compresion", "none");
	assert_int_equal(find_and_verify("initrd"), 0);
	expect_message("/images/initrd: compresion: unknown property");
}

/* A file of the tree and `extra` bytes behind it, in memory of exactly that size. */
static void *make_file(size_t extra, size_t *size)
{
	size_t tree_size = fdt_totalsize(tree);
	uint8_t *file;

	*size = tree_size + extra;
	file = malloc(*size);
	assert_non_null(file);
	memcpy(file, tree, tree_size);
	for (size_t i = 0; i < extra; i++)
		file[tree_size + i] = (uint8_t)(i + 1);
	return file;
}

static int find_external(size_t extra, struct fit_image *image, size_t *place)
{
	size_t size;
	void *file = make_file(extra, &size);
	struct fit fit;
	int error = fit_open(&fit, file, size);

	assert_int_equal(error, 0);
	error = fit_find_image(&fit, "/configurations/web", "kernel", "linux", image);
	*place = error ? 0 : (size_t)((const char *)image->data - (const char *)file);
	free(file);
	return error;
}

static void test_external_offset(void **state)
{
	struct fit_image image;
	size_t place;

	(void)state;
	remove_property("/images/linux", "data");
	set_cell("/images/linux", "data-offset", 8);
	set_cell("/images/linux", "data-size", 100);
	CHECK(fdt_pack(tree));
	/* The end of the tree is not aligned: offsets count from where it would be. */
	size_t end = align_up(fdt_totalsize(tree), 4);
	size_t pad = end - fdt_totalsize(tree);
	assert_int_equal(find_external(pad + 108, &image, &place), 0);
	assert_int_equal(place, end + 8);
	assert_int_equal(image.size, 100);
	assert_int_equal(find_external(pad + 107, &image, &place), ERR_RANGE);
	expect_message("/images/linux: its 100 bytes");
	assert_int_equal(find_external(0, &image, &place), ERR_RANGE);
}

static void test_external_position(void **state)
{
	struct fit_image image;
	size_t place, end;

	(void)state;
	remove_property("/images/linux", "data");
	set_cell("/images/linux", "data-size", 100);
	set_cell("/images/linux", "data-position", 0);
	CHECK(fdt_pack(tree));
	end = fdt_totalsize(tree);
	CHECK(fdt_setprop_inplace_u32(tree, node_at("/images/linux"), "data-position",
				      (uint32_t)end + 3));
	assert_int_equal(find_external(103, &image, &place), 0);
	assert_int_equal(place, end + 3);
	assert_int_equal(find_external(102, &image, &place), ERR_RANGE);
	/* Inside the tree. */
	CHECK(fdt_setprop_inplace_u32(tree, node_at("/images/linux"), "data-position",
				      (uint32_t)end - 1));
	assert_int_equal(find_external(200, &image, &place), ERR_RANGE);
}

static void test_external_overflow(void **state)
{
	static const uint32_t values[] = {0,          1,          100,       0x7fffffff,
					  0x80000000, 0xffffff00, 0xffffffff};
	struct fit_image image;
	size_t place;

	(void)state;
	remove_property("/images/linux", "data");
	set_cell("/images/linux", "data-size", 0);
	set_cell("/images/linux", "data-offset", 0);
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		for (unsigned j = 0; j < ARRAY_SIZE(values); j++) {
			uint64_t end = (uint64_t)values[i] + values[j];

			set_cell("/images/linux", "data-offset", values[i]);
			set_cell("/images/linux", "data-size", values[j]);
			int error = find_external(500, &image, &place);
			if (values[j] == 0)
				assert_true(error == ERR_INVAL || error == ERR_RANGE);
			else
				assert_int_equal(error, end <= 500 ? 0 : ERR_RANGE);
			messages[0] = '\0';
		}
	}
	set_bytes("/images/linux", "data-size", "12345678", 8);
	assert_int_equal(find_external(500, &image, &place), ERR_INVAL);
	expect_message("data-size: must be there and be one cell");
	remove_property("/images/linux", "data-size");
	assert_int_equal(find_external(500, &image, &place), ERR_INVAL);
}

static void test_hashes(void **state)
{
	(void)state;
	set_hash("/images/linux/hash-1", "crc32", HASH_CRC32);
	assert_int_equal(find_and_verify("linux"), 0);
	set_hash("/images/linux/hash-1", "sha1", HASH_SHA1);
	assert_int_equal(find_and_verify("linux"), 0);
	set_hash("/images/linux/hash-1", "sha256", HASH_SHA256);
	assert_int_equal(find_and_verify("linux"), 0);
	expect_silence();
}

static void test_wrong_hashes(void **state)
{
	static const char *const names[] = {"crc32", "sha1", "sha256"};

	(void)state;
	for (enum hash_algo algo = HASH_CRC32; algo <= HASH_SHA256; algo++) {
		for (size_t i = 0; i < hash_size(algo); i++) {
			uint8_t *value;

			set_hash("/images/linux/hash-1", names[algo], algo);
			value = fdt_getprop_w(tree, node_at("/images/linux/hash-1"), "value", NULL);
			value[i] ^= 0x10;
			assert_int_equal(find_and_verify("linux"), ERR_CORRUPT);
			expect_message("/images/linux: its data do not match hash-1");
		}
	}
}

static void test_every_hash_counts(void **state)
{
	(void)state;
	set_hash("/images/linux/hash-1", "crc32", HASH_CRC32);
	add_node("/images/linux", "hash@2");
	add_node("/images/linux", "hashed");
	set_hash("/images/linux/hash@2", "sha1", HASH_SHA1);
	set_hash("/images/linux/hashed", "sha256", HASH_SHA256);
	assert_int_equal(find_and_verify("linux"), 0);
	set_bytes("/images/linux/hash@2", "value", data, 20);
	assert_int_equal(find_and_verify("linux"), ERR_CORRUPT);
	expect_message("do not match hash@2");
	set_hash("/images/linux/hash@2", "sha1", HASH_SHA1);
	set_bytes("/images/linux/hash-1", "value", data, 4);
	assert_int_equal(find_and_verify("linux"), ERR_CORRUPT);
	expect_message("do not match hash-1");
}

static void test_hash_descriptions(void **state)
{
	(void)state;
	assert_int_equal(find_and_verify("linux"), ERR_INVAL);
	expect_message("/images/linux/hash-1: algo: missing");
	set_string("/images/linux/hash-1", "algo", "sha256");
	assert_int_equal(find_and_verify("linux"), 0);
	set_string("/images/linux/hash-1", "algo", "md5");
	assert_int_equal(find_and_verify("linux"), ERR_NOSYS);
	expect_message("/images/linux/hash-1: algo = \"md5\": unknown; use crc32, sha1 or sha256");
	set_hash("/images/linux/hash-1", "sha256", HASH_SHA256);
	for (size_t size = 0; size < 40; size++) {
		set_bytes("/images/linux/hash-1", "value", data, size);
		assert_int_equal(find_and_verify("linux"), size == 32 ? ERR_CORRUPT : ERR_INVAL);
		messages[0] = '\0';
	}
}

/* Steps are as many as the size asks for, and an image found right is not hashed again. */
static void test_steps(void **state)
{
	struct fit fit;
	struct fit_image image;
	unsigned steps;

	(void)state;
	set_hash("/images/linux/hash-1", "sha256", HASH_SHA256);
	assert_int_equal(find(&fit, "linux", &image), 0);
	assert_int_equal(verify(&fit, &image, &steps), 0);
	assert_true(steps >= DATA_SIZE / hash_step_size(HASH_SHA256));
	assert_int_equal(verify(&fit, &image, &steps), 0);
	assert_int_equal(steps, 0);
}

static void test_header(void **state)
{
	struct fit fit;
	size_t size;
	uint8_t *file = make_file(8, &size);

	(void)state;
	memmove(file + 4, file, size - 8);
	assert_int_equal(fit_open(&fit, file + 4, size - 8), ERR_INVAL);
	expect_message("multiple of 8");
	memset(file, 0, size);
	assert_int_equal(fit_open(&fit, file, size), ERR_CORRUPT);
	expect_message("not a flattened image tree");
	assert_int_equal(fit_open(&fit, file, 0), ERR_CORRUPT);
	memcpy(file, tree, size - 8);
	fdt_set_totalsize(file, 0xffffffff);
	assert_int_equal(fit_open(&fit, file, size), ERR_CORRUPT);
	expect_message("truncated");
	fdt_set_totalsize(file, 0xffffffff);
	assert_int_equal(fit_open(&fit, file, UINT64_C(0x100000000)), ERR_CORRUPT);
	free(file);
}

/* Cut off at every byte, with nothing behind it. */
static void test_truncated(void **state)
{
	size_t size;
	uint8_t *file;

	(void)state;
	CHECK(fdt_pack(tree));
	file = make_file(0, &size);
	for (size_t n = 0; n < size; n++) {
		uint8_t *part = malloc(n ? n : 1);
		struct fit fit;

		memcpy(part, file, n);
		assert_int_equal(fit_open(&fit, part, n), ERR_CORRUPT);
		/* And with a header that says so. */
		if (n >= sizeof(struct fdt_header)) {
			fdt_set_totalsize(part, (uint32_t)n);
			assert_int_equal(fit_open(&fit, part, n), ERR_CORRUPT);
		}
		messages[0] = '\0';
		free(part);
	}
	free(file);
}

/* Reads all that can be read of a file, whatever it holds. */
static void read_everything(const void *file, size_t size)
{
	struct fit fit;
	struct fit_image image;
	char names[64];
	int node;

	messages[0] = '\0';
	if (fit_open(&fit, file, size))
		return;
	fit_list_children(&fit, fit.images, NULL, names, sizeof(names));
	fdt_for_each_subnode(node, fit.fdt, fit.images)
	{
		unsigned steps;

		if (fit_find_image(&fit, "/", "kernel", fit_node_name(&fit, node), &image) == 0) {
			assert_true(
			    range_within((uintptr_t)image.data, image.size, (uintptr_t)file, size));
			verify(&fit, &image, &steps);
		}
	}
}

/* Every byte of the tree but the data, changed in several ways; the sanitizers look on. */
static void test_damaged(void **state)
{
	static const uint8_t changes[] = {0x01, 0x02, 0x04, 0x08, 0x80, 0xff};
	size_t size;
	uint8_t *file;

	(void)state;
	set_hash("/images/linux/hash-1", "sha256", HASH_SHA256);
	set_bytes("/images/linux", "data", data, 16);
	remove_property("/images/initrd", "data");
	set_cell("/images/initrd", "data-offset", 0);
	set_cell("/images/initrd", "data-size", 64);
	set_cell("/images/initrd", "load", 64);
	set_string("/images/initrd", "arch", "riscv");
	CHECK(fdt_pack(tree));
	file = make_file(80, &size);
	for (size_t at = 0; at < fdt_totalsize(tree); at++) {
		uint8_t saved = file[at];

		for (unsigned i = 0; i < sizeof(changes); i++) {
			file[at] = saved ^ changes[i];
			read_everything(file, size);
		}
		file[at] = saved;
	}
	srand(1);
	for (unsigned round = 0; round < 20000; round++) {
		memcpy(file, tree, fdt_totalsize(tree));
		for (int i = rand() % 8; i >= 0; i--)
			file[(size_t)rand() % fdt_totalsize(tree)] = (uint8_t)rand();
		read_everything(file, size);
	}
	free(file);
}

static void test_deep_nesting(void **state)
{
	static uint64_t deep[65536];
	struct fit fit;

	(void)state;
	CHECK(fdt_create(deep, sizeof(deep)));
	CHECK(fdt_finish_reservemap(deep));
	CHECK(fdt_begin_node(deep, ""));
	for (int i = 0; i < 10000; i++)
		CHECK(fdt_begin_node(deep, "images"));
	for (int i = 0; i < 10000; i++)
		CHECK(fdt_end_node(deep));
	CHECK(fdt_begin_node(deep, "configurations"));
	CHECK(fdt_end_node(deep));
	CHECK(fdt_end_node(deep));
	CHECK(fdt_finish(deep));
	assert_int_equal(fit_open(&fit, deep, sizeof(deep)), 0);
	assert_true(fit.configurations > 0);
	read_everything(deep, sizeof(deep));
}

static void test_list_cut_short(void **state)
{
	struct fit fit;
	char names[9];

	(void)state;
	assert_int_equal(open_tree(&fit), 0);
	fit_list_children(&fit, fit.images, NULL, names, sizeof(names));
	assert_string_equal(names, "linux, i");
	fit_list_children(&fit, fit.images, "a", names, sizeof(names));
	assert_string_equal(names, "none");
}

/* It says yes where opening does, and nothing else. */
static void test_peek(void **state)
{
	struct fit fit_peeked;
	static uint8_t copy[TREE_MAX + 8] __aligned(8);
	size_t size = fdt_totalsize(tree);

	(void)state;
	assert_true(fit_peek(&fit_peeked, tree, size));
	assert_int_equal(fit_peeked.configurations, node_at("/configurations"));
	assert_false(fit_peek(&fit_peeked, tree, size - 1));
	assert_false(fit_peek(&fit_peeked, tree, 3));
	memcpy(copy + 1, tree, size);
	assert_false(fit_peek(&fit_peeked, copy + 1, size));
	memcpy(copy, tree, size);
	fdt_set_version(copy, 15);
	assert_false(fit_peek(&fit_peeked, copy, size));
	memcpy(copy, tree, size);
	memset(copy + fdt_off_dt_struct(copy) + 8, 0xff, 4);
	assert_false(fit_peek(&fit_peeked, copy, size));
	memset(copy, 0, sizeof(copy));
	assert_false(fit_peek(&fit_peeked, copy, size));
	CHECK(fdt_del_node(tree, node_at("/configurations")));
	assert_false(fit_peek(&fit_peeked, tree, size));
	expect_silence();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_peek, build_tree),
	    cmocka_unit_test_setup(test_inline_image, build_tree),
	    cmocka_unit_test_setup(test_missing_image, build_tree),
	    cmocka_unit_test_setup(test_unit_addresses, build_tree),
	    cmocka_unit_test_setup(test_two_of_a_name, build_tree),
	    cmocka_unit_test_setup(test_bad_images, build_tree),
	    cmocka_unit_test_setup(test_unknown_property, build_tree),
	    cmocka_unit_test_setup(test_external_offset, build_tree),
	    cmocka_unit_test_setup(test_external_position, build_tree),
	    cmocka_unit_test_setup(test_external_overflow, build_tree),
	    cmocka_unit_test_setup(test_hashes, build_tree),
	    cmocka_unit_test_setup(test_wrong_hashes, build_tree),
	    cmocka_unit_test_setup(test_every_hash_counts, build_tree),
	    cmocka_unit_test_setup(test_hash_descriptions, build_tree),
	    cmocka_unit_test_setup(test_steps, build_tree),
	    cmocka_unit_test_setup(test_header, build_tree),
	    cmocka_unit_test_setup(test_truncated, build_tree),
	    cmocka_unit_test_setup(test_damaged, build_tree),
	    cmocka_unit_test_setup(test_deep_nesting, build_tree),
	    cmocka_unit_test_setup(test_list_cut_short, build_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
