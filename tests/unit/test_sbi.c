/* SPDX-License-Identifier: MIT */
/* unit: sbi/sbi.c sbi/base.c sbi/time.c sbi/ipi.c sbi/rfence.c sbi/hsm.c sbi/dbcn.c sbi/srst.c sbi/legacy.c engine/vcpu.c */
#include "tests/unit/sbi_fixture.h"

static void test_base(void **state)
{
	(void)state;
	assert_int_equal(value_of(SBI_EXT_BASE, SBI_BASE_GET_SPEC_VERSION, 0), 0x02000000);
	/* Registered implementations are numbered from 0 up. */
	assert_true(value_of(SBI_EXT_BASE, SBI_BASE_GET_IMPL_ID, 0) > 1000);
	assert_true(value_of(SBI_EXT_BASE, SBI_BASE_GET_IMPL_VERSION, 0) > 0);
	for (uint64_t f = SBI_BASE_GET_MVENDORID; f <= SBI_BASE_GET_MIMPID; f++)
		assert_int_equal(value_of(SBI_EXT_BASE, f, 0), 0);
	assert_int_equal(call(SBI_EXT_BASE, 7, 0, 0, 0), SBI_ERR_NOT_SUPPORTED);
	assert_int_equal(call(SBI_EXT_BASE, UINT64_MAX, 0, 0, 0), SBI_ERR_NOT_SUPPORTED);
}

static void test_probe(void **state)
{
	static const uint64_t present[] = {
	    SBI_EXT_BASE,
	    SBI_EXT_TIME,
	    SBI_EXT_IPI,
	    SBI_EXT_RFENCE,
	    SBI_EXT_HSM,
	    SBI_EXT_SRST,
	    SBI_EXT_DBCN,
	    0,
	    1,
	    2,
	    3,
	    4,
	    5,
	    6,
	    7,
	    8,
	};
	static const uint64_t absent[] = {9,           15,         0x11,
					  SBI_EXT_PMU, UINT64_MAX, BIT(32) | SBI_EXT_HSM};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(present); i++)
		assert_true(value_of(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, present[i]) != 0);
	for (unsigned i = 0; i < ARRAY_SIZE(absent); i++)
		assert_int_equal(value_of(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, absent[i]), 0);
}

static void test_unknown(void **state)
{
	static const uint64_t ids[] = {9, 15, 0x11, SBI_EXT_PMU, UINT64_MAX, BIT(32) | SBI_EXT_HSM};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ids); i++)
		assert_int_equal(call(ids[i], 0, 0, 0, 0), SBI_ERR_NOT_SUPPORTED);
	assert_int_equal(call(SBI_EXT_TIME, 1, 0, 0, 0), SBI_ERR_NOT_SUPPORTED);
	assert_int_equal(call(SBI_EXT_IPI, 1, 1, 0, 0), SBI_ERR_NOT_SUPPORTED);
	assert_int_equal(call(SBI_EXT_HSM, 4, 0, 0, 0), SBI_ERR_NOT_SUPPORTED);
	assert_int_equal(call(SBI_EXT_SRST, 1, 0, 0, 0), SBI_ERR_NOT_SUPPORTED);
	assert_int_equal(call(SBI_EXT_DBCN, 3, 0, 0, 0), SBI_ERR_NOT_SUPPORTED);
	/* The HFENCE calls, and those after them. */
	for (uint64_t f = SBI_RFENCE_HFENCE_GVMA_VMID; f <= 7; f++)
		assert_int_equal(call(SBI_EXT_RFENCE, f, 1, 0, 0), SBI_ERR_NOT_SUPPORTED);
}

static void test_time(void **state)
{
	(void)state;
	assert_int_equal(call(SBI_EXT_TIME, 0, 12345, 0, 0), SBI_SUCCESS);
	assert_int_equal(timer_deadline, 12345);
	assert_int_equal(call(SBI_EXT_TIME, 0, UINT64_MAX, 0, 0), SBI_SUCCESS);
	assert_int_equal(timer_deadline, UINT64_MAX);
}

/* The harts that got a software interrupt are exactly those below `count` in the mask. */
static void check_ipis(unsigned count, uint64_t mask, uint64_t base)
{
	for (unsigned i = 0; i < HARTS; i++) {
		bool chosen =
		    base == UINT64_MAX || (i >= base && i - base < 64 && mask >> (i - base) & 1);
		bool expected = chosen && i < count && i != 3;

		assert_int_equal(vcpus[i].irq, expected ? 1U << IRQ_S_SOFT : 0);
		vcpus[i].irq = 0;
	}
}

static void send(unsigned count, uint64_t mask, uint64_t base, bool valid)
{
	assert_int_equal(call(SBI_EXT_IPI, 0, mask, base, 0),
			 valid ? SBI_SUCCESS : SBI_ERR_INVALID_PARAM);
	check_ipis(count, valid ? mask : 0, valid ? base : 0);
}

static void test_hart_masks(void **state)
{
	static const unsigned counts[] = {2, 4, 63, 64, 65, 127, 128, 512};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
		unsigned n = counts[i];

		set_up(n);
		/* -1 is everybody, whatever the mask; an empty mask is nobody, whatever the base.
		 */
		send(n, 0, UINT64_MAX, true);
		send(n, UINT64_MAX, UINT64_MAX, true);
		send(n, 0, 0, true);
		send(n, 0, n, true);
		send(n, 0, UINT64_MAX - 1, true);
		send(n, 1, 0, true);
		send(n, 1, n - 1, true);
		send(n, 1, n, false);
		send(n, 3, n - 1, false);
		send(n, 2, n - 2, true);
		send(n, BIT(63), n, false);
		send(n, UINT64_MAX, 0, n >= 64);
		send(n, UINT64_MAX, 1, n >= 65);
		send(n, n > 63 ? BIT(63) : BIT(n - 1), 0, true);
		if (n < 64)
			send(n, BIT(n), 0, false);
		if (n > 64) {
			send(n, UINT64_MAX, n - 64, true);
			send(n, UINT64_MAX, n - 63, false);
			send(n, UINT64_C(0x8000000000000001), n - 64, true);
		}
		/* Harts whose numbers wrap. */
		send(n, 1, UINT64_MAX - 1, false);
		send(n, 2, UINT64_MAX - 1, false);
		send(n, 4, UINT64_MAX - 1, false);
		send(n, 1, UINT64_C(1) << 32, false);
		send(n, 1, UINT64_C(1) << 63, false);
	}
}

/* The one fence that hart 0 was asked for. */
static struct fence taken(uint32_t kind)
{
	struct fence fences[FENCES_MAX];
	unsigned count;

	assert_int_equal(vcpus[0].requests, kind);
	assert_int_equal(vcpus[2].requests, 0);
	assert_int_equal(vcpus[3].requests, 0);
	vcpus[0].requests = 0;
	assert_false(vcpu_take_fences(&vcpus[0], fences, &count));
	assert_int_equal(count, kind == VCPU_FENCE_VMA);
	return fences[0];
}

static void check_fence(uint64_t function, uint64_t start, uint64_t size, const struct fence *want)
{
	struct fence fence;

	assert_int_equal(call5(SBI_EXT_RFENCE, function, 1, 0, start, size, 7), SBI_SUCCESS);
	fence = taken(VCPU_FENCE_VMA);
	assert_int_equal(fence.start, want->start);
	assert_int_equal(fence.size, want->size);
	assert_int_equal(fence.asid, function == SBI_RFENCE_SFENCE_VMA_ASID ? 7 : FENCE_ALL_ASIDS);
}

static void test_rfence(void **state)
{
	static const struct fence all = {0, UINT64_MAX, 0};

	(void)state;
	assert_int_equal(call(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, 1, 0, 0), SBI_SUCCESS);
	taken(VCPU_FENCE_I);
	for (uint64_t f = SBI_RFENCE_SFENCE_VMA; f <= SBI_RFENCE_SFENCE_VMA_ASID; f++) {
		check_fence(f, 0x1000, 0x2000, &(struct fence){0x1000, 0x2000, 0});
		check_fence(f, 0x1001, 1, &(struct fence){0x1001, 1, 0});
		check_fence(f, 0, 0, &all);
		check_fence(f, 0, UINT64_MAX, &all);
		check_fence(f, 0x5000, UINT64_MAX, &all);
		/* The last page of the address space. */
		check_fence(f, -UINT64_C(4096), 4096, &(struct fence){-UINT64_C(4096), 4096, 0});
		assert_int_equal(call5(SBI_EXT_RFENCE, f, 1, 0, -UINT64_C(4096), 4097, 0),
				 SBI_ERR_INVALID_ADDRESS);
		assert_int_equal(call5(SBI_EXT_RFENCE, f, 1, 0, UINT64_MAX, UINT64_MAX - 1, 0),
				 SBI_ERR_INVALID_ADDRESS);
	}
	for (uint64_t f = 0; f <= SBI_RFENCE_SFENCE_VMA_ASID; f++)
		assert_int_equal(call5(SBI_EXT_RFENCE, f, 0x11, 0, 0, 0, 0), SBI_ERR_INVALID_PARAM);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(vcpus[i].requests | vcpus[i].fence_count, 0);
}

static void test_rfence_reaches_all(void **state)
{
	(void)state;
	assert_int_equal(call5(SBI_EXT_RFENCE, SBI_RFENCE_SFENCE_VMA, 0, UINT64_MAX, 0, 0, 0),
			 SBI_SUCCESS);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(vcpus[i].requests, i == 3 ? 0 : VCPU_FENCE_VMA);
}

static void test_hart_start(void **state)
{
	(void)state;
	assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_START, 4, PC, 9), SBI_ERR_INVALID_PARAM);
	assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_START, UINT64_MAX, PC, 9),
			 SBI_ERR_INVALID_PARAM);
	assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_START, BIT(32) | 3, PC, 9),
			 SBI_ERR_INVALID_PARAM);
	assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_START, 1, PC, 9),
			 SBI_ERR_ALREADY_AVAILABLE);
	assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_START, 2, PC, 9),
			 SBI_ERR_ALREADY_AVAILABLE);
	assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_START, 3, RAM_BASE - 4, 9),
			 SBI_ERR_INVALID_ADDRESS);
	assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_START, 3, RAM_BASE + RAM_SIZE, 9),
			 SBI_ERR_INVALID_ADDRESS);
	assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_START, 3, UINT64_MAX, 9),
			 SBI_ERR_INVALID_ADDRESS);
	assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_START, 3, RAM_BASE + 1, 9),
			 SBI_ERR_INVALID_ADDRESS);
	assert_int_equal(starts, 0);
	assert_null(reset);

	vcpus[3].irq = 2;
	vcpus[3].requests = VCPU_FENCE_I;
	assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_START, 3, RAM_BASE + 2, 9), SBI_SUCCESS);
	assert_ptr_equal(started, &vcpus[3]);
	assert_ptr_equal(reset, &vcpus[3]);
	assert_int_equal(reset_pc, RAM_BASE + 2);
	assert_int_equal(reset_argument, 9);
	assert_false(reset_resumed);
	assert_int_equal(vcpus[3].irq | vcpus[3].requests, 0);
	assert_int_equal(vcpus[3].hsm_state, SBI_HSM_STARTED);
	assert_int_equal(vm.active, 4);
	assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_START, 3, PC, 9),
			 SBI_ERR_ALREADY_AVAILABLE);
	assert_int_equal(starts, 1);
}

static void test_no_start_while_stopping(void **state)
{
	(void)state;
	vm.state = VM_STOPPING;
	assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_START, 3, PC, 0), SBI_ERR_FAILED);
	assert_int_equal(starts, 0);
	assert_int_equal(vm.active, 3);
}

static void test_hart_status(void **state)
{
	(void)state;
	for (uint32_t s = SBI_HSM_STARTED; s <= SBI_HSM_RESUME_PENDING; s++) {
		vcpus[2].hsm_state = s;
		assert_int_equal(value_of(SBI_EXT_HSM, SBI_HSM_HART_GET_STATUS, 2), s);
	}
	assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_GET_STATUS, 4, 0, 0),
			 SBI_ERR_INVALID_PARAM);
	assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_GET_STATUS, UINT64_MAX, 0, 0),
			 SBI_ERR_INVALID_PARAM);
	call(SBI_EXT_HSM, SBI_HSM_HART_STOP, 0, 0, 0);
	assert_int_equal(parks, 1);
	assert_int_equal(caller->hsm_state, SBI_HSM_STOP_PENDING);
}

static void test_suspend(void **state)
{
	(void)state;
	assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_SUSPEND, 0, 1, 0), SBI_SUCCESS);
	assert_int_equal(suspends, 1);
	assert_int_equal(caller->hsm_state, SBI_HSM_SUSPENDED);
	vcpu_resume(caller);
	assert_int_equal(caller->hsm_state, SBI_HSM_STARTED);
	assert_null(reset);

	/* The type has 32 bits. */
	assert_int_equal(
	    call(SBI_EXT_HSM, SBI_HSM_HART_SUSPEND, UINT64_C(0xffffffff80000000), PC, 5),
	    SBI_SUCCESS);
	assert_int_equal(suspends, 2);
	vcpu_resume(caller);
	assert_ptr_equal(reset, caller);
	assert_int_equal(reset_pc, PC);
	assert_int_equal(reset_argument, 5);
	assert_true(reset_resumed);
	assert_int_equal(unloads, 1);
	assert_int_equal(loads, 1);
}

static void test_suspend_errors(void **state)
{
	static const uint32_t reserved[] = {1, 0x0fffffff, 0x80000001, 0x8fffffff};
	static const uint32_t of_platform[] = {0x10000000, 0x7fffffff, 0x90000000, 0xffffffff};
	static const uint64_t bad[] = {0, RAM_BASE - 2, RAM_BASE + RAM_SIZE, PC + 1, UINT64_MAX};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++)
		assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_SUSPEND, reserved[i], PC, 0),
				 SBI_ERR_INVALID_PARAM);
	for (unsigned i = 0; i < ARRAY_SIZE(of_platform); i++)
		assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_SUSPEND, of_platform[i], PC, 0),
				 SBI_ERR_INVALID_PARAM);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(call(SBI_EXT_HSM, SBI_HSM_HART_SUSPEND, 0x80000000, bad[i], 0),
				 SBI_ERR_INVALID_ADDRESS);
	assert_int_equal(suspends, 0);
	assert_int_equal(caller->hsm_state, SBI_HSM_STARTED);
}

static void check_reset(uint64_t type, uint64_t reason, int64_t error)
{
	assert_int_equal(call(SBI_EXT_SRST, 0, type, reason, 0), error);
}

static void test_system_reset(void **state)
{
	(void)state;
	check_reset(3, 0, SBI_ERR_INVALID_PARAM);
	check_reset(0xefffffff, 0, SBI_ERR_INVALID_PARAM);
	check_reset(0, 2, SBI_ERR_INVALID_PARAM);
	check_reset(0, 0xdfffffff, SBI_ERR_INVALID_PARAM);
	check_reset(0xf0000000, 0, SBI_ERR_INVALID_PARAM);
	check_reset(0xffffffff, 0, SBI_ERR_INVALID_PARAM);
	check_reset(0, 0xe0000000, SBI_ERR_INVALID_PARAM);
	check_reset(0, 0xffffffff, SBI_ERR_INVALID_PARAM);
	assert_int_equal(ends + crashes, 0);
	check_reset(SBI_SRST_SHUTDOWN, SBI_SRST_REASON_NONE, SBI_SUCCESS);
	assert_int_equal(end, VM_END_POWEROFF);
	check_reset(SBI_SRST_COLD_REBOOT, SBI_SRST_REASON_NONE, SBI_SUCCESS);
	assert_int_equal(end, VM_END_REBOOT);
	end = VM_END_POWEROFF;
	check_reset(SBI_SRST_WARM_REBOOT, SBI_SRST_REASON_FAILURE, SBI_SUCCESS);
	assert_int_equal(end, VM_END_REBOOT);
	assert_int_equal(ends, 3);
	check_reset(SBI_SRST_SHUTDOWN, SBI_SRST_REASON_FAILURE, SBI_SUCCESS);
	assert_int_equal(ends, 3);
	assert_int_equal(crashes, 1);
}

static void test_console_write(void **state)
{
	uint64_t done = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		ram[i] = (uint8_t)(i * 7);
	/* A call may write less than all. */
	while (done < 1000) {
		assert_int_equal(
		    call(SBI_EXT_DBCN, SBI_DBCN_WRITE, 1000 - done, RAM_BASE + done, 0),
		    SBI_SUCCESS);
		assert_in_range(caller->x[11], 1, 1000 - done);
		done += caller->x[11];
	}
	assert_int_equal(output_count, 1000);
	assert_memory_equal(output, ram, 1000);
	assert_int_equal(call(SBI_EXT_DBCN, SBI_DBCN_WRITE, 1, RAM_BASE + RAM_SIZE - 1, 0),
			 SBI_SUCCESS);
	assert_int_equal(call(SBI_EXT_DBCN, SBI_DBCN_WRITE, 0, RAM_BASE, 0), SBI_SUCCESS);
	assert_int_equal(caller->x[11], 0);
	gmem_error = ERR_NOMEM;
	assert_int_equal(call(SBI_EXT_DBCN, SBI_DBCN_WRITE, 1, RAM_BASE, 0), SBI_ERR_FAILED);
	output_count = 0;
	assert_int_equal(call(SBI_EXT_DBCN, SBI_DBCN_WRITE_BYTE, 0x12345678, 0, 0), SBI_SUCCESS);
	assert_int_equal(caller->x[11], 0);
	assert_int_equal(output_count, 1);
	assert_int_equal(output[0], 0x78);
}

static void test_console_read(void **state)
{
	(void)state;
	assert_int_equal(call(SBI_EXT_DBCN, SBI_DBCN_READ, 100, RAM_BASE, 0), SBI_SUCCESS);
	assert_int_equal(caller->x[11], 0);
	input = "typed";
	ram[4] = 0xee;
	assert_int_equal(call(SBI_EXT_DBCN, SBI_DBCN_READ, 4, RAM_BASE, 0), SBI_SUCCESS);
	assert_int_equal(caller->x[11], 4);
	assert_memory_equal(ram, "type\xee", 5);
	assert_int_equal(call(SBI_EXT_DBCN, SBI_DBCN_READ, 4, RAM_BASE, 0), SBI_SUCCESS);
	assert_int_equal(caller->x[11], 1);
	assert_int_equal(ram[0], 'd');
}

static void test_console_bad_buffers(void **state)
{
	static const struct {
		uint64_t size, low, high;
	} bad[] = {
	    {1, RAM_BASE - 1, 0},
	    {1, RAM_BASE + RAM_SIZE, 0},
	    {2, RAM_BASE + RAM_SIZE - 1, 0},
	    {RAM_SIZE + 1, RAM_BASE, 0},
	    {UINT64_MAX, RAM_BASE, 0},
	    {UINT64_MAX, RAM_BASE + 1, 0},
	    {1, RAM_BASE, 1},
	    {1, RAM_BASE, UINT64_MAX},
	    {1, UINT64_MAX, 0},
	    {2, UINT64_MAX, 0},
	};

	(void)state;
	input = "x";
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		for (uint64_t f = SBI_DBCN_WRITE; f <= SBI_DBCN_READ; f++)
			assert_int_equal(
			    call(SBI_EXT_DBCN, f, bad[i].size, bad[i].low, bad[i].high),
			    SBI_ERR_INVALID_PARAM);
	}
	assert_int_equal(output_count, 0);
	assert_string_equal(input, "x");
}

/* Legacy calls return in a0 alone. */
static int64_t legacy(uint64_t id, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	int64_t result = call5(id, UNTOUCHED, a0, a1, a2, a3, 0);

	assert_int_equal(caller->x[11], a1);
	assert_int_equal(caller->x[13], a3);
	return result;
}

static void test_legacy(void **state)
{
	(void)state;
	assert_int_equal(legacy(SBI_EXT_SET_TIMER, 99, 1, 2, 3), 0);
	assert_int_equal(timer_deadline, 99);
	assert_int_equal(legacy(SBI_EXT_CONSOLE_PUTCHAR, 'A', 1, 2, 3), 0);
	assert_int_equal(output_count, 1);
	assert_int_equal(output[0], 'A');
	assert_int_equal(legacy(SBI_EXT_CONSOLE_GETCHAR, 0, 1, 2, 3), -1);
	input = "\xfe";
	assert_int_equal(legacy(SBI_EXT_CONSOLE_GETCHAR, 0, 1, 2, 3), 0xfe);
	assert_int_equal(legacy(SBI_EXT_CLEAR_IPI, 0, 1, 2, 3), 1);
	assert_int_equal(legacy(SBI_EXT_CLEAR_IPI, 0, 1, 2, 3), 0);
	legacy(SBI_EXT_SHUTDOWN, 0, 1, 2, 3);
	assert_int_equal(ends, 1);
	assert_int_equal(end, VM_END_POWEROFF);
}

static void test_legacy_masks(void **state)
{
	(void)state;
	set_up(130);
	words[0] = BIT(0) | BIT(3) | BIT(63);
	words[1] = BIT(63);
	words[2] = ~UINT64_C(1); /* harts 129 and, which are none, 130 to 191 */
	assert_int_equal(legacy(SBI_EXT_SEND_IPI, 0x1000, 1, 2, 3), 0);
	assert_int_equal(caller->pc, PC + 4);
	assert_int_equal(word_reads, 3);
	for (unsigned i = 0; i < HARTS; i++) {
		bool expected = i == 0 || i == 63 || i == 127 || i == 129;

		assert_int_equal(word_addresses[min_u64(i, 2)], 0x1000 + 8 * min_u64(i, 2));
		assert_int_equal(vcpus[i].irq, expected ? 1U << IRQ_S_SOFT : 0);
		vcpus[i].irq = 0;
	}
	/* No vector: everybody. */
	assert_int_equal(legacy(SBI_EXT_SEND_IPI, 0, 1, 2, 3), 0);
	check_ipis(130, 0, UINT64_MAX);
}

static void test_legacy_mask_faults(void **state)
{
	(void)state;
	set_up(65);
	words[0] = words[1] = 1;
	for (unsigned i = 0; i < 2; i++) {
		word_error = i ? ERR_FAULT : ERR_AGAIN;
		word_reads = 0;
		legacy(SBI_EXT_SEND_IPI, 0x1000, 1, 2, 3);
		/* Nothing happened, and the ECALL will be repeated or has its fault. */
		assert_int_equal(caller->pc, PC);
		assert_int_equal(caller->x[10], 0x1000);
		assert_int_equal(memory_exits, i);
		check_ipis(65, 0, 0);
	}
}

static void test_legacy_fences(void **state)
{
	struct fence fence;

	(void)state;
	words[0] = 1;
	assert_int_equal(legacy(SBI_EXT_REMOTE_FENCE_I, 0x1000, 1, 2, 3), 0);
	taken(VCPU_FENCE_I);
	assert_int_equal(legacy(SBI_EXT_REMOTE_SFENCE_VMA, 0x1000, 0x5000, 0x2000, 3), 0);
	fence = taken(VCPU_FENCE_VMA);
	assert_int_equal(fence.start, 0x5000);
	assert_int_equal(fence.size, 0x2000);
	assert_int_equal(fence.asid, FENCE_ALL_ASIDS);
	assert_int_equal(legacy(SBI_EXT_REMOTE_SFENCE_VMA_ASID, 0x1000, 0x5000, 0x2000, 3), 0);
	fence = taken(VCPU_FENCE_VMA);
	assert_int_equal(fence.start, 0x5000);
	assert_int_equal(fence.asid, 3);
	/* Everything, and what makes no sense. */
	for (unsigned i = 0; i < 3; i++) {
		static const uint64_t ranges[][2] = {{0, 0}, {0, UINT64_MAX}, {UINT64_MAX, 0x1000}};

		legacy(SBI_EXT_REMOTE_SFENCE_VMA_ASID, 0x1000, ranges[i][0], ranges[i][1], 3);
		fence = taken(VCPU_FENCE_VMA);
		assert_int_equal(fence.start, 0);
		assert_int_equal(fence.size, UINT64_MAX);
		assert_int_equal(fence.asid, 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_base, setup),
	    cmocka_unit_test_setup(test_probe, setup),
	    cmocka_unit_test_setup(test_unknown, setup),
	    cmocka_unit_test_setup(test_time, setup),
	    cmocka_unit_test_setup(test_hart_masks, setup),
	    cmocka_unit_test_setup(test_rfence, setup),
	    cmocka_unit_test_setup(test_rfence_reaches_all, setup),
	    cmocka_unit_test_setup(test_hart_start, setup),
	    cmocka_unit_test_setup(test_no_start_while_stopping, setup),
	    cmocka_unit_test_setup(test_hart_status, setup),
	    cmocka_unit_test_setup(test_suspend, setup),
	    cmocka_unit_test_setup(test_suspend_errors, setup),
	    cmocka_unit_test_setup(test_system_reset, setup),
	    cmocka_unit_test_setup(test_console_write, setup),
	    cmocka_unit_test_setup(test_console_read, setup),
	    cmocka_unit_test_setup(test_console_bad_buffers, setup),
	    cmocka_unit_test_setup(test_legacy, setup),
	    cmocka_unit_test_setup(test_legacy_masks, setup),
	    cmocka_unit_test_setup(test_legacy_mask_faults, setup),
	    cmocka_unit_test_setup(test_legacy_fences, setup),
	};

	return cmocka_run_group_tests_name("sbi", tests, NULL, NULL);
}
