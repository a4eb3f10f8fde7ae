/* SPDX-License-Identifier: MIT */

/* SBI 2.0, chapter 12: the debug console. */

#include "firmware/console.h"
#include "firmware/firmware.h"
#include "firmware/platform.h"

/* A call may do less than it was asked for, and says so: this much at most. */
#define BYTES_MAX 256

static struct sbi_ret write(uint64_t address, uint64_t count)
{
	uint64_t done = 0;
	uint8_t byte;

	for (; done < count; done++) {
		if (!access_physical_load(address + done, &byte))
			return (struct sbi_ret){SBI_ERR_FAILED, 0};
		if (!console_try_put(byte))
			break;
	}
	return (struct sbi_ret){SBI_SUCCESS, done};
}

static struct sbi_ret read(uint64_t address, uint64_t count)
{
	uint64_t done = 0;
	int byte;

	for (; done < count && (byte = console_get()) >= 0; done++) {
		if (!access_physical_store(address + done, (uint8_t)byte))
			return (struct sbi_ret){SBI_ERR_FAILED, 0};
	}
	return (struct sbi_ret){SBI_SUCCESS, done};
}

struct sbi_ret dbcn_call(struct fw_hart *hart)
{
	const uint64_t *x = hart->x;

	if (x[16] == SBI_DBCN_WRITE_BYTE) {
		console_put((uint8_t)x[10]);
		return (struct sbi_ret){SBI_SUCCESS, 0};
	}
	if (x[16] > SBI_DBCN_WRITE_BYTE)
		return (struct sbi_ret){SBI_ERR_NOT_SUPPORTED, 0};
	if (x[12] != 0 || !platform_is_ram(x[11], x[10]))
		return (struct sbi_ret){SBI_ERR_INVALID_PARAM, 0};
	return x[16] == SBI_DBCN_WRITE ? write(x[11], min_u64(x[10], BYTES_MAX))
				       : read(x[11], min_u64(x[10], BYTES_MAX));
}
