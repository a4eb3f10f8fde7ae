/* SPDX-License-Identifier: MIT */
/* unit: vmm/image.c */
#include "tests/unit/fake_log.h"

#include <stdlib.h>

#include "kernel/error.h"
#include "vmm/image.h"

#define RAM      UINT64_C(0x80000000)
#define FDT_SIZE 10000

/* The kernel's file: the first bytes are in `file`, its size may be given as larger. */
static _Alignas(8) uint8_t file[8192];
static struct fit_image kernel, ramdisk;
static struct load_request request;
static struct load_plan plan;

static int setup(void **state)
{
	(void)state;
	messages[0] = '\0';
	memset(file, 0, sizeof(file));
	kernel =
	    (struct fit_image){.name = "linux", .data = file, .size = sizeof(file), .type = ""};
	ramdisk = (struct fit_image){.name = "initrd", .data = file, .size = 0x1234, .type = ""};
	request = (struct load_request){
	    .path = "/configurations/web",
	    .kernel = &kernel,
	    .fdt_size = FDT_SIZE,
	    .ram_base = RAM,
	    .ram_size = MIB(512),
	};
	return 0;
}

static void put16(size_t at, uint16_t value)
{
	memcpy(file + at, &value, sizeof(value));
}

static void put32(size_t at, uint32_t value)
{
	memcpy(file + at, &value, sizeof(value));
}

static void put64(size_t at, uint64_t value)
{
	memcpy(file + at, &value, sizeof(value));
}

static bool in_ram(uint64_t start, uint64_t size)
{
	return range_within(start, size, request.ram_base, request.ram_size);
}

/* What holds of every plan, whatever it was made from. */
static void check_plan(void)
{
	for (unsigned i = 0; i < plan.count; i++) {
		struct load_segment *a = &plan.segments[i];

		assert_true(a->size != 0);
		assert_true(in_ram(a->gpa.v, a->size));
		assert_false(ranges_overlap(a->gpa.v, a->size, plan.fdt.v, request.fdt_size));
		for (unsigned j = 0; j < i; j++)
			assert_false(ranges_overlap(a->gpa.v, a->size, plan.segments[j].gpa.v,
						    plan.segments[j].size));
		if (a->src)
			assert_true(range_within((uintptr_t)a->src, a->size, (uintptr_t)kernel.data,
						 kernel.size) ||
				    (a->src == ramdisk.data && a->size == ramdisk.size));
	}
	assert_true(in_ram(plan.fdt.v, request.fdt_size));
	assert_true(is_aligned(plan.fdt.v, PAGE_SIZE));
	assert_true(in_ram(plan.entry.v, 2));
	if (request.ramdisk) {
		assert_true(in_ram(plan.ramdisk.v, plan.ramdisk_size));
		assert_true(is_aligned(plan.ramdisk.v, PAGE_SIZE));
		assert_int_equal(plan.ramdisk_size, ramdisk.size);
	}
}

static void expect_plan(void)
{
	int error = image_plan(&plan, &request);

	if (error)
		fail_msg("error %d: %s", error, messages);
	assert_string_equal(messages, "");
	check_plan();
}

static void expect_error(int error, const char *message)
{
	messages[0] = '\0';
	assert_int_equal(image_plan(&plan, &request), error);
	expect_message(message);
}

static void expect_segment(unsigned index, const void *src, uint64_t gpa, uint64_t size)
{
	assert_true(index < plan.count);
	assert_ptr_equal(plan.segments[index].src, src);
	assert_int_equal(plan.segments[index].gpa.v, gpa);
	assert_int_equal(plan.segments[index].size, size);
}

static void make_linux(uint64_t text_offset, uint64_t image_size, uint64_t flags)
{
	put64(8, text_offset);
	put64(16, image_size);
	put64(24, flags);
	memcpy(file + 48, "RISCV\0\0\0RSC\x05", 12);
}

static void test_linux(void **state)
{
	(void)state;
	make_linux(MIB(2), MIB(20) + 4, 0);
	expect_plan();
	assert_int_equal(plan.count, 2);
	expect_segment(0, file, RAM + MIB(2), sizeof(file));
	expect_segment(1, NULL, RAM + MIB(2) + sizeof(file), MIB(20) + 4 - sizeof(file));
	assert_int_equal(plan.entry.v, RAM + MIB(2));
	/* As `virt` has it. */
	assert_int_equal(plan.fdt.v, RAM + MIB(510));
	/* An EFI program as well; load and entry are for flat binaries. */
	memcpy(file, "MZ", 2);
	kernel.has_load = kernel.has_entry = true;
	kernel.load = kernel.entry = RAM + MIB(64);
	expect_plan();
	assert_int_equal(plan.entry.v, RAM + MIB(2));
	/* Without .bss. */
	make_linux(0, 0, 0);
	expect_plan();
	assert_int_equal(plan.count, 1);
	assert_int_equal(plan.entry.v, RAM);
}

static void test_linux_limits(void **state)
{
	(void)state;
	request.ram_size = MIB(32);
	make_linux(MIB(2), MIB(30), 0);
	expect_plan();
	make_linux(MIB(2), MIB(30) + 1, 0);
	expect_error(ERR_TOO_LARGE, "kernel = \"linux\": needs 30721 KiB at 0x80200000, but RAM is "
				    "the 32768 KiB at 0x80000000");
	make_linux(MIB(2), UINT64_MAX, 0);
	expect_error(ERR_TOO_LARGE, "/configurations/web");
	make_linux(MIB(34), MIB(1), 0);
	expect_error(ERR_RANGE, "needs 1024 KiB");
	make_linux(UINT64_MAX - RAM, MIB(1), 0);
	expect_error(ERR_RANGE, "kernel");
	make_linux(UINT64_MAX - RAM + 1, MIB(1), 0);
	expect_error(ERR_INVAL, "text_offset");
	make_linux(MIB(2) + 1, MIB(1), 0);
	expect_error(ERR_RANGE, "its entry, 0x80200001, is odd");
	make_linux(MIB(2), MIB(1), 1);
	expect_error(ERR_NOSYS, "big-endian");
}

/* All that can be free of RAM is not enough for the device tree. */
static void test_no_room(void **state)
{
	(void)state;
	request.ram_size = MIB(4);
	make_linux(0, MIB(4), 0);
	expect_error(ERR_TOO_LARGE, "no room for the device tree's 9 KiB");
	make_linux(0, MIB(4) - 3 * PAGE_SIZE, 0);
	expect_plan();
	assert_int_equal(plan.fdt.v, RAM + MIB(4) - 3 * PAGE_SIZE);
	make_linux(0, MIB(4) - 2 * PAGE_SIZE, 0);
	expect_error(ERR_TOO_LARGE, "no room");
}

static void test_flat(void **state)
{
	(void)state;
	expect_plan();
	assert_int_equal(plan.count, 1);
	expect_segment(0, file, RAM + MIB(2), sizeof(file));
	assert_int_equal(plan.entry.v, RAM + MIB(2));
	kernel.has_load = true;
	kernel.load = RAM + 0x1000;
	expect_plan();
	expect_segment(0, file, RAM + 0x1000, sizeof(file));
	assert_int_equal(plan.entry.v, RAM + 0x1000);
	kernel.has_entry = true;
	kernel.entry = RAM + 0x1010;
	expect_plan();
	assert_int_equal(plan.entry.v, RAM + 0x1010);
	kernel.entry = RAM - 2;
	expect_error(ERR_RANGE, "its entry, 0x7ffffffe, is odd or outside RAM");
	kernel.entry = RAM + 0x1011;
	expect_error(ERR_RANGE, "is odd");
	kernel.entry = RAM + MIB(512);
	expect_error(ERR_RANGE, "outside RAM");
	kernel.has_entry = false;
	kernel.load = 0;
	expect_error(ERR_RANGE, "at 0, but RAM");
	kernel.load = UINT64_MAX - 1;
	expect_error(ERR_RANGE, "needs");
	kernel.load = RAM + MIB(512) - sizeof(file) + 2;
	expect_error(ERR_TOO_LARGE, "needs");
	kernel.load -= 2;
	expect_plan();
}

/* Less than a header of any kind. */
static void test_tiny(void **state)
{
	(void)state;
	for (size_t size = 1; size < 64; size++) {
		kernel.data = file + sizeof(file) - size;
		kernel.size = size;
		expect_plan();
	}
	request.ram_size = MIB(2);
	expect_error(ERR_TOO_LARGE, "needs 1 KiB at 0x80200000");
}

static void test_packed(void **state)
{
	static const struct {
		const char *magic;
		size_t at, length;
		const char *message;
	} cases[] = {
	    {"\x1f\x8b\x08", 0, 3,
	     "kernel = \"linux\": is compressed with gzip: unpack it with gunzip"},
	    {"\x28\xb5\x2f\xfd", 0, 4, "zstd"},
	    {"\xfd\x37zXZ", 0, 5, "xz"},
	    {"BZh9", 0, 4, "bzip2"},
	    {"\x02\x21\x4c\x18", 0, 4, "lz4"},
	    {"MZ\0\0zimg", 0, 8, "EFI"},
	    {"\x27\x05\x19\x56", 0, 4, "uImage"},
	    {"\xd0\x0d\xfe\xed", 0, 4, "FIT"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(file, 0, 64);
		memcpy(file + cases[i].at, cases[i].magic, cases[i].length);
		expect_error(ERR_NOSYS, cases[i].message);
	}
}

/* An ELF program of `count` segments at file offset 64, all empty. */
static void make_elf(uint16_t type, uint64_t entry, uint16_t count)
{
	memset(file, 0, sizeof(file));
	memcpy(file, "\177ELF\2\1\1", 7);
	put16(16, type);
	put16(18, 243);
	put32(20, 1);
	put64(24, entry);
	put64(32, 64);
	put16(54, 56);
	put16(56, count);
}

static void set_segment(unsigned index, uint64_t offset, uint64_t vaddr, uint64_t paddr,
			uint64_t filesz, uint64_t memsz)
{
	size_t at = 64 + 56 * index;

	put32(at, 1);
	put32(at + 4, 5);
	put64(at + 8, offset);
	put64(at + 16, vaddr);
	put64(at + 24, paddr);
	put64(at + 32, filesz);
	put64(at + 40, memsz);
}

static void test_elf(void **state)
{
	(void)state;
	for (uint16_t type = 2; type <= 3; type++) {
		make_elf(type, RAM + 0x10, 4);
		set_segment(0, 4096, RAM, RAM, 512, 512);
		set_segment(1, 5000, RAM + 0x1000, RAM + 0x1000, 100, 4096);
		put32(64 + 56 * 2, 6); /* not one to be loaded */
		set_segment(3, 0, RAM + 0x8000, RAM + 0x8000, 0, 64);
		expect_plan();
		assert_int_equal(plan.count, 4);
		expect_segment(0, file + 4096, RAM, 512);
		expect_segment(1, file + 5000, RAM + 0x1000, 100);
		expect_segment(2, NULL, RAM + 0x1000 + 100, 3996);
		expect_segment(3, NULL, RAM + 0x8000, 64);
		assert_int_equal(plan.entry.v, RAM + 0x10);
	}
}

static void test_elf_virtual_entry(void **state)
{
	uint64_t linked = UINT64_C(0xffffffff80000000);

	(void)state;
	make_elf(2, linked + 0x2004, 2);
	set_segment(0, 4096, linked, RAM + MIB(2), 0x1000, 0x1000);
	set_segment(1, 4096, linked + 0x2000, RAM + MIB(4), 0x1000, 0x1000);
	expect_plan();
	assert_int_equal(plan.entry.v, RAM + MIB(4) + 4);
	put64(24, RAM + MIB(2) + 8);
	expect_plan();
	assert_int_equal(plan.entry.v, RAM + MIB(2) + 8);
	put64(24, linked + 0x1000);
	expect_error(ERR_RANGE, "its entry, 0xffffffff80001000");
	put64(24, linked + 0x2003);
	expect_error(ERR_RANGE, "is odd");
}

static void test_bad_elf(void **state)
{
	static const struct {
		size_t at;
		uint16_t value;
		const char *message;
	} cases[] = {
	    {4, 0x0101, "not for 64-bit RISC-V"},
	    {4, 0x0202, "not for 64-bit RISC-V"},
	    {18, 62, "not for 64-bit RISC-V"},
	    {16, 1, "not a program"},
	    {16, 4, "not a program"},
	    {54, 32, "program headers"},
	    {56, 0, "program headers"},
	    {56, 65, "program headers"},
	    {56, 0xffff, "program headers"},
	    {38, 0xffff, "truncated"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		make_elf(2, RAM, 1);
		set_segment(0, 4096, RAM, RAM, 512, 512);
		expect_plan();
		put16(cases[i].at, cases[i].value);
		expect_error(ERR_NOSYS, cases[i].message);
	}
	make_elf(2, RAM, 1);
	expect_error(ERR_NOSYS, "nothing to load");
	set_segment(0, 4096, RAM, RAM, 513, 512);
	expect_error(ERR_NOSYS, "larger in the file than in memory");
	set_segment(0, sizeof(file) - 511, RAM, RAM, 512, 512);
	expect_error(ERR_NOSYS, "a segment lies behind its end");
	set_segment(0, UINT64_MAX - 100, RAM, RAM, 512, 512);
	expect_error(ERR_NOSYS, "a segment lies behind its end");
	set_segment(0, 0, RAM, RAM, 0, UINT64_MAX);
	expect_error(ERR_TOO_LARGE, "needs 18014398509481984 KiB");
	set_segment(0, 0, RAM, UINT64_MAX - 10, 0, 512);
	expect_error(ERR_RANGE, "needs 1 KiB at 0xfffffffffffffff5");
	set_segment(0, 0, 0, 0, 0, 512);
	expect_error(ERR_RANGE, "needs 1 KiB at 0,");
	make_elf(2, RAM, 2);
	set_segment(0, 0, RAM, RAM, 0, 512);
	set_segment(1, 0, RAM, RAM + 511, 0, 512);
	expect_error(ERR_INVAL, "two of its segments overlap at 0x800001ff");
	for (size_t size = 4; size < 64 + 56; size++) {
		make_elf(2, RAM, 1);
		set_segment(0, 0, RAM, RAM, 0, 512);
		kernel.size = size;
		expect_error(ERR_NOSYS, "truncated");
	}
}

static void test_many_segments(void **state)
{
	(void)state;
	make_elf(2, RAM, 64);
	for (unsigned i = 0; i < LOAD_SEGMENTS_MAX - 1; i++)
		set_segment(i, 0, RAM + 512 * i, RAM + 512 * i, 0, 512);
	request.ramdisk = &ramdisk;
	expect_plan();
	assert_int_equal(plan.count, LOAD_SEGMENTS_MAX);
	set_segment(63, 0, RAM + MIB(1), RAM + MIB(1), 0, 512);
	expect_error(ERR_INVAL, "too many segments");
}

static void test_ramdisk(void **state)
{
	(void)state;
	make_linux(MIB(2), MIB(20), 0);
	request.ramdisk = &ramdisk;
	expect_plan();
	/* As `virt` has it. */
	assert_int_equal(plan.ramdisk.v, RAM + MIB(2) + MIB(256));
	expect_segment(2, file, RAM + MIB(2) + MIB(256), 0x1234);
	request.ram_size = GIB(8);
	expect_plan();
	assert_int_equal(plan.ramdisk.v, RAM + MIB(2) + MIB(512));
	assert_int_equal(plan.fdt.v, RAM + GIB(1) - MIB(2));
	/* A kernel that reaches beyond the usual place. */
	make_linux(MIB(2), MIB(600) + 1, 0);
	expect_plan();
	assert_int_equal(plan.ramdisk.v, RAM + MIB(602) + PAGE_SIZE);
	/* More than fits there: below the device tree, or above. */
	make_linux(MIB(2), MIB(20), 0);
	ramdisk.size = MIB(700);
	expect_plan();
	assert_int_equal(plan.ramdisk.v, RAM + GIB(1) - MIB(702));
	ramdisk.size = GIB(2);
	expect_plan();
	assert_int_equal(plan.ramdisk.v, RAM + GIB(6));
	ramdisk.size = GIB(8);
	expect_error(ERR_TOO_LARGE, "ramdisk = \"initrd\": is too large for the VM: 8388608 KiB");
	ramdisk.size = UINT64_MAX;
	expect_error(ERR_TOO_LARGE, "too large");
}

/* Without a kernel it starts in flash; the rest is where it always is. */
static void test_no_kernel(void **state)
{
	(void)state;
	request.kernel = NULL;
	request.ramdisk = &ramdisk;
	assert_int_equal(image_plan(&plan, &request), 0);
	assert_int_equal(plan.entry.v, 0x20000000);
	assert_int_equal(plan.count, 1);
	assert_true(in_ram(plan.fdt.v, FDT_SIZE) && in_ram(plan.ramdisk.v, ramdisk.size));
	assert_false(ranges_overlap(plan.fdt.v, FDT_SIZE, plan.ramdisk.v, ramdisk.size));
}

/* Random kernels and ramdisks in random RAM: a plan is sound, or there is none. */
static void test_random(void **state)
{
	unsigned plans = 0;

	(void)state;
	srand(3);
	request.ramdisk = &ramdisk;
	for (unsigned round = 0; round < 200000; round++) {
		uint64_t unit = round % 2 ? PAGE_SIZE : 1234;

		messages[0] = '\0';
		request.ram_base = MIB(2) * (unsigned)(rand() % 8);
		request.ram_size = MIB(2) * (unsigned)(1 + rand() % 16);
		request.fdt_size = 1 + (unsigned)rand() % MIB(1);
		ramdisk.size = 1 + (unsigned)rand() % MIB(12);
		make_elf(2, request.ram_base + (unsigned)(rand() % 8192) * unit, 3);
		for (unsigned i = 0; i < 3; i++) {
			uint64_t size = 1 + (unsigned)rand() % MIB(3);
			uint64_t file_size = min_u64(size, (unsigned)rand() % 4096);

			set_segment(i, (unsigned)rand() % 4096, UINT64_MAX - MIB(5),
				    request.ram_base + (unsigned)(rand() % 8192) * unit, file_size,
				    size);
		}
		if (image_plan(&plan, &request) == 0) {
			check_plan();
			plans++;
		} else {
			assert_true(messages[0]);
		}
	}
	assert_true(plans > 10000);
}

/* Random damage to a kernel's header, in memory of exactly its size. */
static void test_damaged(void **state)
{
	uint8_t *copy = malloc(300);

	(void)state;
	assert_non_null(copy);
	srand(4);
	kernel.data = copy;
	kernel.size = 300;
	for (unsigned round = 0; round < 100000; round++) {
		if (round % 2) {
			make_elf(2, RAM, 2);
			set_segment(0, 200, RAM, RAM, 100, 200);
			set_segment(1, 200, RAM + 0x1000, RAM + 0x1000, 10, 200);
		} else {
			make_linux(MIB(2), MIB(3), 0);
		}
		memcpy(copy, file, 300);
		for (int i = rand() % 4; i >= 0; i--)
			copy[rand() % 180] ^= (uint8_t)(1 << rand() % 8);
		messages[0] = '\0';
		if (image_plan(&plan, &request) == 0)
			check_plan();
		else
			assert_true(messages[0]);
	}
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_linux, setup),
	    cmocka_unit_test_setup(test_linux_limits, setup),
	    cmocka_unit_test_setup(test_no_room, setup),
	    cmocka_unit_test_setup(test_flat, setup),
	    cmocka_unit_test_setup(test_tiny, setup),
	    cmocka_unit_test_setup(test_packed, setup),
	    cmocka_unit_test_setup(test_elf, setup),
	    cmocka_unit_test_setup(test_elf_virtual_entry, setup),
	    cmocka_unit_test_setup(test_bad_elf, setup),
	    cmocka_unit_test_setup(test_many_segments, setup),
	    cmocka_unit_test_setup(test_ramdisk, setup),
	    cmocka_unit_test_setup(test_no_kernel, setup),
	    cmocka_unit_test_setup(test_random, setup),
	    cmocka_unit_test_setup(test_damaged, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
