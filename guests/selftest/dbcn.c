/* SPDX-License-Identifier: MIT */
/* The debug console extension. Everything it prints is a line of its own. */
#include "guests/selftest/sbi.h"

#define LONG_WRITE 4200 /* more than a page */

static char buffer[8192] __aligned(4096);

static bool absent(void)
{
	bool there = sbi1(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, SBI_EXT_DBCN).value != 0;

	if (!there && machine.sbi_version < SBI_VERSION_2_0)
		test_skip("no DBCN before SBI 2.0");
	else if (!there)
		test_fail("not there");
	return !there;
}

static void write_all(const char *text, size_t length)
{
	while (length > 0) {
		struct sbi_ret ret = sbi3(SBI_EXT_DBCN, SBI_DBCN_WRITE, length, (uint64_t)text, 0);

		expect_eq(ret.error, 0, "error");
		expect(ret.value <= length, "wrote %lu of %lu", ret.value, length);
		if (test_failed())
			return;
		text += ret.value;
		length -= ret.value;
	}
}

static void write_lines(void)
{
	if (absent())
		return;
	memcpy(buffer + 1, "dbcn: misaligned\n", 17);
	write_all(buffer + 1, 17);
	memcpy(buffer + 4096 - 7, "dbcn: across a page\n", 20);
	write_all(buffer + 4096 - 7, 20);
	/* OpenSBI 1.5 locks itself out here where it has Smepmp. */
	if (!machine.opensbi)
		expect_eq(sbi3(SBI_EXT_DBCN, SBI_DBCN_WRITE, 0, (uint64_t)buffer, 0).error, 0,
			  "no bytes");
}

static void write_long(void)
{
	if (absent())
		return;
	memset(buffer, '.', LONG_WRITE);
	buffer[LONG_WRITE - 1] = '\n';
	memcpy(buffer, "dbcn: long", 10);
	write_all(buffer, LONG_WRITE);
}

static void write_byte(void)
{
	if (absent())
		return;
	for (const char *s = "dbcn: byte\n"; *s; s++) {
		struct sbi_ret ret = sbi1(SBI_EXT_DBCN, SBI_DBCN_WRITE_BYTE, (uint8_t)*s);

		expect_eq(ret.error, 0, "error");
		expect_eq(ret.value, 0, "value");
	}
}

static void bad_memory(void)
{
	uint64_t end = machine.ram_base + machine.ram_size;
	const struct {
		uint64_t length, low, high;
	} bad[] = {
	    {1, (uint64_t)buffer, 1},
	    {1, (uint64_t)buffer, ~UINT64_C(0)},
	    {1, (uint64_t)buffer, BIT(63)},
	    {16, end - 8, 0},
	    {1, end, 0},
	    {~UINT64_C(0), (uint64_t)buffer, 0},
	    {-(uint64_t)buffer, (uint64_t)buffer, 0},
	    {-(uint64_t)buffer + 0x80000000, (uint64_t)buffer, 0},
	    {BIT(63), (uint64_t)buffer, 0},
	    {1, 0, 0},
	    {4, NOWHERE, 0},
	    {4, UART_BASE, 0},
	    {4, PLIC_BASE, 0},
	    {4, ~UINT64_C(0) - 1, 0},
	    {4, BIT(56), 0},
	    {4, BIT(63), 0},
	};

	if (absent())
		return;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		for (uint64_t f = SBI_DBCN_WRITE; f <= SBI_DBCN_READ; f++) {
			int64_t error;

			/* The firmware lets S-mode name any address of the memory map. */
			if (machine.opensbi && bad[i].high == 0)
				continue;
			error = sbi3(SBI_EXT_DBCN, f, bad[i].length, bad[i].low, bad[i].high).error;
			if (machine.opensbi && error == SBI_ERR_FAILED)
				continue;
			expect_eq(error, SBI_ERR_INVALID_PARAM,
				  "function %lu, %lu bytes at 0x%lx:%lx", f, bad[i].length,
				  bad[i].high, bad[i].low);
		}
}

static void read_nothing(void)
{
	struct sbi_ret ret;

	if (absent())
		return;
	for (int i = 0; i < 1000; i++)
		if (sbi3(SBI_EXT_DBCN, SBI_DBCN_READ, sizeof(buffer), (uint64_t)buffer, 0).value ==
		    0)
			break;
	memset(buffer, 0x5a, sizeof(buffer));
	ret = sbi3(SBI_EXT_DBCN, SBI_DBCN_READ, 100, (uint64_t)buffer, 0);
	expect_eq(ret.error, 0, "error");
	expect_eq(ret.value, 0, "bytes");
	for (size_t i = 0; i < 100; i++)
		expect_eq(buffer[i], 0x5a, "byte %lu of the buffer", i);
	if (machine.opensbi)
		return;
	ret = sbi3(SBI_EXT_DBCN, SBI_DBCN_READ, 0, (uint64_t)buffer, 0);
	expect(ret.error == 0 && ret.value == 0, "read of 0 bytes");
}

static void unknown(void)
{
	if (absent())
		return;
	for (uint64_t f = 3; f < 10; f++)
		expect_eq(sbi3(SBI_EXT_DBCN, f, 1, (uint64_t)buffer, 0).error,
			  SBI_ERR_NOT_SUPPORTED, "function %lu", f);
	expect_eq(sbi3(SBI_EXT_DBCN, ~UINT64_C(0), 1, (uint64_t)buffer, 0).error,
		  SBI_ERR_NOT_SUPPORTED, "function -1");
}

static const struct test tests[] = {
    {"write", write_lines},     {"write-long", write_long},     {"write-byte", write_byte},
    {"bad-memory", bad_memory}, {"read-nothing", read_nothing}, {"unknown", unknown},
};
TEST_GROUP(dbcn, tests);
