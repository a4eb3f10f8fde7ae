/* SPDX-License-Identifier: MIT */

/* SBI 2.0, chapter 12: the debug console. */

#include "sbi/sbi.h"
#include "vmm/gmem.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"

/* A call may do less than it was asked for, and says so: this much at most. */
#define BYTES_MAX 256

/* All of the buffer has to be RAM, though only a part of it is used. */
static int64_t check_buffer(const struct vcpu *vcpu, uint64_t *count)
{
	uint64_t size = sbi_argument(vcpu, 0);
	uint64_t high = sbi_argument(vcpu, 2);

	if (high != 0 || !vm_is_ram(vm_of(vcpu), GPA(sbi_argument(vcpu, 1)), size))
		return SBI_ERR_INVALID_PARAM;
	*count = min_u64(size, BYTES_MAX);
	return SBI_SUCCESS;
}

static int64_t write(struct vcpu *vcpu, uint64_t *value)
{
	uint8_t bytes[BYTES_MAX];
	uint64_t count;
	int64_t error = check_buffer(vcpu, &count);

	if (error)
		return error;
	if (gmem_read(vm_of(vcpu), GPA(sbi_argument(vcpu, 1)), bytes, count) != 0)
		return SBI_ERR_FAILED;
	*value = count ? console_output(vm_of(vcpu), bytes, (unsigned)count) : 0;
	return SBI_SUCCESS;
}

static int64_t read(struct vcpu *vcpu, uint64_t *value)
{
	uint64_t address = sbi_argument(vcpu, 1);
	uint64_t count, done = 0;
	int64_t error = check_buffer(vcpu, &count);
	uint8_t byte;

	if (error)
		return error;
	for (; done < count && machine_console_take(vm_of(vcpu), &byte); done++) {
		if (gmem_write(vm_of(vcpu), GPA(address + done), &byte, 1) != 0)
			return SBI_ERR_FAILED;
	}
	*value = done;
	return SBI_SUCCESS;
}

static int64_t call(struct vcpu *vcpu, uint64_t *value)
{
	uint8_t byte = (uint8_t)sbi_argument(vcpu, 0);

	switch (sbi_function(vcpu)) {
	case SBI_DBCN_WRITE:
		return write(vcpu, value);
	case SBI_DBCN_READ:
		return read(vcpu, value);
	case SBI_DBCN_WRITE_BYTE:
		console_output(vm_of(vcpu), &byte, 1);
		return SBI_SUCCESS;
	default:
		return SBI_ERR_NOT_SUPPORTED;
	}
}

const struct sbi_extension sbi_dbcn = {SBI_EXT_DBCN, call};
