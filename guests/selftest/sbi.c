/* SPDX-License-Identifier: MIT */
/* The extensions BASE, TIME, IPI, RFENCE and SRST, and the registers around any call. */
#include "guests/selftest/sbi.h"

static void base_version(void)
{
	struct sbi_ret ret = sbi0(SBI_EXT_BASE, SBI_BASE_GET_SPEC_VERSION);

	expect_eq(ret.error, 0, "error");
	expect_eq(ret.value >> 31, 0, "reserved bits");
	expect(ret.value >> 24 >= (machine.opensbi ? 1 : 2), "version 0x%lx", ret.value);
}

static void base_ids(void)
{
	for (uint64_t f = SBI_BASE_GET_IMPL_ID; f <= SBI_BASE_GET_MIMPID; f++)
		if (f != SBI_BASE_PROBE_EXTENSION)
			expect_eq(sbi0(SBI_EXT_BASE, f).error, 0, "function %lu", f);
}

static void base_probe(void)
{
	static const uint32_t there[] = {SBI_EXT_BASE,
					 SBI_EXT_TIME,
					 SBI_EXT_IPI,
					 SBI_EXT_RFENCE,
					 SBI_EXT_HSM,
					 SBI_EXT_SRST,
					 SBI_EXT_SET_TIMER,
					 SBI_EXT_CONSOLE_PUTCHAR,
					 SBI_EXT_CONSOLE_GETCHAR,
					 SBI_EXT_SHUTDOWN,
					 SBI_EXT_SEND_IPI,
					 SBI_EXT_REMOTE_FENCE_I};
	static const uint32_t absent[] = {0x09,       0x0f,       0x11,
					  0x08000000, 0x08ffffff, 0x0a000001,
					  0x7fffffff, 0xffffffff, 0x12345678};

	for (size_t i = 0; i < ARRAY_SIZE(there); i++) {
		struct sbi_ret ret = sbi1(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, there[i]);

		expect(ret.error == 0 && ret.value != 0, "0x%x is not there", there[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
		struct sbi_ret ret =
		    sbi1(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, (uint64_t)(int32_t)absent[i]);

		expect(ret.error == 0 && ret.value == 0, "0x%x is there", absent[i]);
	}
	if (machine.sbi_version >= SBI_VERSION_2_0)
		expect_eq(sbi1(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, SBI_EXT_DBCN).value, 1,
			  "DBCN");
}

static void unknown_functions(void)
{
	static const uint32_t extensions[] = {SBI_EXT_BASE,   SBI_EXT_TIME, SBI_EXT_IPI,
					      SBI_EXT_RFENCE, SBI_EXT_HSM,  SBI_EXT_SRST};
	static const uint32_t functions[] = {7,      8,          63,         64,
					     0x1000, 0x7fffffff, 0x80000000, 0xffffffff};

	for (size_t e = 0; e < ARRAY_SIZE(extensions); e++)
		for (size_t f = 0; f < ARRAY_SIZE(functions); f++)
			expect_eq(sbi0(extensions[e], (uint64_t)(int32_t)functions[f]).error,
				  SBI_ERR_NOT_SUPPORTED, "extension 0x%x function 0x%x",
				  extensions[e], functions[f]);
}

static void unknown_extensions(void)
{
	static const uint32_t extensions[] = {0x09,       0x0a,       0x0f,       0x11,
					      0x1000,     0x08000000, 0x08ffffff, 0x0a000000,
					      0x12345678, 0x7fffffff, 0x80000000, 0xffffffff};

	for (size_t e = 0; e < ARRAY_SIZE(extensions); e++)
		for (uint64_t f = 0; f < 3; f++)
			expect_eq(sbi0((uint64_t)(int32_t)extensions[e], f).error,
				  SBI_ERR_NOT_SUPPORTED, "extension 0x%x", extensions[e]);
}

static bool timer_pending(void)
{
	return irq_pending(IRQ_S_TIMER);
}

static void time_set(void)
{
	expect_eq(sbi1(SBI_EXT_TIME, 0, ~UINT64_C(0)).error, 0, "never");
	expect(!timer_pending(), "pending after never");
	expect_eq(sbi1(SBI_EXT_TIME, 0, 0).error, 0, "0");
	expect(wait_until(timer_pending(), 100), "not pending after 0");
	expect_eq(sbi1(SBI_EXT_TIME, 0, time_now() + machine.timebase * 1000).error, 0, "far");
	expect(!timer_pending(), "pending after far");
	expect_eq(sbi1(SBI_EXT_TIME, 0, time_now()).error, 0, "now");
	expect(wait_until(timer_pending(), 100), "not pending after now");
	expect_eq(sbi1(SBI_EXT_TIME, 0, INT64_MAX).error, 0, "2^63-1");
	expect(!timer_pending(), "pending after 2^63-1");
	expect_eq(sbi1(SBI_EXT_TIME, 0, BIT(63)).error, 0, "2^63");
	expect(!timer_pending(), "pending after 2^63");
	expect_eq(sbi1(SBI_EXT_TIME, 0, time_now() + machine.timebase / 1000).error, 0, "1 ms");
	expect(wait_until(timer_pending(), 100), "not pending after 1 ms");
}

static bool soft_pending(void)
{
	return csr_read(CSR_SIP) & BIT(IRQ_S_SOFT);
}

static void expect_ipi(uint64_t mask, uint64_t base, bool arrives, const char *what)
{
	csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
	expect_eq(sbi2(SBI_EXT_IPI, 0, mask, base).error, 0, "%s", what);
	if (arrives)
		expect(wait_until(soft_pending(), 100), "%s: did not arrive", what);
	else
		expect(!soft_pending(), "%s: arrived", what);
	csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
}

static void ipi_send(void)
{
	uint64_t me = hart_self()->id;

	expect_ipi(BIT(me), 0, true, "self");
	expect_ipi(1, me, true, "self by base");
	expect_ipi(0, 0, false, "empty mask");
	expect_ipi(0, me, false, "empty mask with base");
	expect_ipi(0, ~UINT64_C(0), true, "base -1, mask 0");
	expect_ipi(~UINT64_C(0), ~UINT64_C(0), true, "base -1, mask all");
	expect_ipi(BIT(40), ~UINT64_C(0), true, "base -1, mask absent");
}

static void ipi_absent(void)
{
	for (size_t i = 0; i < absent_mask_count; i++) {
		const struct absent_mask *absent = &absent_masks[i];
		int64_t error = sbi2(SBI_EXT_IPI, 0, absent->mask, absent->base).error;

		if (machine.opensbi && error == 0) {
			test_skip("this firmware ignores absent harts");
			return;
		}
		expect_eq(error, SBI_ERR_INVALID_PARAM, "mask 0x%lx base 0x%lx", absent->mask,
			  absent->base);
	}
	/* Absent harts are told before anything is sent. */
	expect(!soft_pending(), "an IPI was sent all the same");
}

const struct absent_mask absent_masks[] = {
    {1, 4096},
    {BIT(63), 4096},
    {1, BIT(62)},
    {BIT(63), BIT(63)},
    {1, -UINT64_C(2)},
    {2, -UINT64_C(2)},
    {3, UINT64_C(0x7fffffff)},
    {BIT(63), 1000},
    {1, 512},
    {BIT(62), -UINT64_C(62)},
};
const size_t absent_mask_count = ARRAY_SIZE(absent_masks);

/* Harts that the tree has, but that cannot be started, are absent as well. */
static void harts_named(void)
{
	for (size_t i = 0; i < machine.hart_count; i++) {
		uint64_t id = harts[i].id;
		int64_t want = hart_status(i) < 0 ? SBI_ERR_INVALID_PARAM : SBI_SUCCESS;

		if (machine.opensbi && want) {
			test_skip("this firmware ignores absent harts");
			return;
		}
		expect_eq(sbi2(SBI_EXT_IPI, 0, 1, id).error, want, "IPI to hart %lu", id);
		for (uint64_t f = SBI_RFENCE_FENCE_I; f <= SBI_RFENCE_SFENCE_VMA_ASID; f++)
			expect_eq(sbi5(SBI_EXT_RFENCE, f, 1, id, 0, 0, 0).error, want,
				  "function %lu for hart %lu", f, id);
	}
	/* All of them are those that are there. */
	expect_ipi(0, ~UINT64_C(0), true, "all");
	expect_eq(sbi5(SBI_EXT_RFENCE, SBI_RFENCE_SFENCE_VMA, 0, ~UINT64_C(0), 0, 0, 0).error, 0,
		  "a fence for all");
}

static const struct {
	uint64_t start, size;
} ranges[] = {
    {0, 0},
    {0, ~UINT64_C(0)},
    {0x80200000, 0x1000},
    {0x80200123, 0x10},
    {0, 0x200000},
    {0x80000000, BIT(40)},
    {0, BIT(63)},
    {~UINT64_C(0) << 38, BIT(38) - 1},
    {BIT(39), 0x1000},
    {BIT(62), 0x5000},
    {0x80200000, 0},
    {0x1000, ~UINT64_C(0)},
    {-UINT64_C(0x1000), 0xfff},
};

static void rfence_self(void)
{
	uint64_t me = hart_self()->id;

	expect_eq(sbi2(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, BIT(me), 0).error, 0, "fence.i");
	expect_eq(sbi2(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, 0, 0).error, 0, "fence.i of none");
	expect_eq(sbi2(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, 0, ~UINT64_C(0)).error, 0,
		  "fence.i of all");
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		uint64_t start = ranges[i].start, size = ranges[i].size;

		expect_eq(
		    sbi5(SBI_EXT_RFENCE, SBI_RFENCE_SFENCE_VMA, BIT(me), 0, start, size, 0).error,
		    0, "sfence 0x%lx+0x%lx", start, size);
		expect_eq(
		    sbi5(SBI_EXT_RFENCE, SBI_RFENCE_SFENCE_VMA, 0, ~UINT64_C(0), start, size, 0)
			.error,
		    0, "sfence of all 0x%lx+0x%lx", start, size);
		expect_eq(
		    sbi5(SBI_EXT_RFENCE, SBI_RFENCE_SFENCE_VMA_ASID, BIT(me), 0, start, size, 5)
			.error,
		    0, "sfence of ASID 0x%lx+0x%lx", start, size);
	}
}

/* The range is not valid when its end lies beyond 2^64; an exact 2^64 may be either. */
static void rfence_wrap(void)
{
	uint64_t me = hart_self()->id;
	static const uint64_t starts[] = {-UINT64_C(0x1000), BIT(63), 0x2000};
	static const uint64_t sizes[] = {0x3000, BIT(63) + 0x1000, -UINT64_C(0x1000)};

	for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
		for (uint64_t f = SBI_RFENCE_SFENCE_VMA; f <= SBI_RFENCE_SFENCE_VMA_ASID; f++) {
			int64_t error =
			    sbi5(SBI_EXT_RFENCE, f, BIT(me), 0, starts[i], sizes[i], 0).error;

			if (machine.opensbi && error == 0) {
				test_skip("this firmware accepts ranges that wrap");
				return;
			}
			expect_eq(error, SBI_ERR_INVALID_ADDRESS, "0x%lx+0x%lx", starts[i],
				  sizes[i]);
		}
}

static void rfence_absent(void)
{
	for (size_t i = 0; i < absent_mask_count; i++)
		for (uint64_t f = SBI_RFENCE_FENCE_I; f <= SBI_RFENCE_SFENCE_VMA_ASID; f++) {
			int64_t error = sbi5(SBI_EXT_RFENCE, f, absent_masks[i].mask,
					     absent_masks[i].base, 0, 0, 0)
					    .error;

			if (machine.opensbi && error == 0) {
				test_skip("this firmware ignores absent harts");
				return;
			}
			expect_eq(error, SBI_ERR_INVALID_PARAM,
				  "function %lu mask 0x%lx base 0x%lx", f, absent_masks[i].mask,
				  absent_masks[i].base);
		}
}

static void rfence_hfence(void)
{
	bool h = machine_has("h");

	for (uint64_t f = SBI_RFENCE_HFENCE_GVMA_VMID; f <= SBI_RFENCE_HFENCE_VVMA; f++)
		expect_eq(sbi5(SBI_EXT_RFENCE, f, BIT(hart_self()->id), 0, 0, 0, 1).error,
			  h ? 0 : SBI_ERR_NOT_SUPPORTED, "function %lu", f);
}

static void srst_invalid(void)
{
	/* Those that are reserved, and those of platforms and implementations. */
	static const uint32_t types[] = {3, 4, 0x7fffffff, 0xefffffff, 0xf0000000, 0xffffffff};
	static const uint32_t reasons[] = {2,          3,          0xdfffffff, 0xe0000000,
					   0xefffffff, 0xf0000000, 0xffffffff};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		expect_eq(sbi2(SBI_EXT_SRST, 0, types[i], 0).error, SBI_ERR_INVALID_PARAM,
			  "type 0x%x", types[i]);
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		expect_eq(sbi2(SBI_EXT_SRST, 0, 0, reasons[i]).error, SBI_ERR_INVALID_PARAM,
			  "reason 0x%x", reasons[i]);
}

/* One call with all registers known; only a0 and a1 may change, a1 not in a legacy call. */
static void expect_preserved(uint64_t extension, uint64_t function, uint64_t arg0, uint64_t arg1)
{
	uint64_t x[32];
	const struct trap_frame *trap;

	for (uint64_t i = 0; i < 32; i++)
		x[i] = UINT64_C(0xa5a5000000000000) | i << 32 | (extension & 0xffff);
	x[10] = arg0;
	x[11] = arg1;
	x[12] = x[13] = x[14] = x[15] = 0;
	x[16] = function;
	x[17] = extension;
	csr_set(CSR_SSTATUS, SSTATUS_SUM);
	trap = insn_exec(INSN_ECALL, x, false);
	csr_clear(CSR_SSTATUS, SSTATUS_SUM);
	expect(insn_completed(), "0x%lx/%lu: cause %lu", extension, function, trap->cause);
	expect(trap->status & SSTATUS_SUM, "0x%lx/%lu: sstatus 0x%lx", extension, function,
	       trap->status);
	for (int i = 1; i < 32; i++)
		if (i != 10 && (i != 11 || extension < 0x10))
			expect_eq(trap->x[i], x[i], "0x%lx/%lu: x%d", extension, function, i);
}

static void registers(void)
{
	uint64_t mask = BIT(hart_self()->id);

	expect_preserved(SBI_EXT_BASE, SBI_BASE_GET_SPEC_VERSION, 0, 0);
	expect_preserved(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, SBI_EXT_HSM, 0);
	expect_preserved(SBI_EXT_BASE, 77, 0, 0);
	expect_preserved(SBI_EXT_TIME, 0, ~UINT64_C(0), 0);
	expect_preserved(SBI_EXT_TIME, 0, 0, 0);
	expect_preserved(SBI_EXT_IPI, 0, mask, 0);
	expect_preserved(SBI_EXT_IPI, 0, 0, ~UINT64_C(0));
	expect_preserved(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, mask, 0);
	expect_preserved(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, 0, ~UINT64_C(0));
	expect_preserved(SBI_EXT_RFENCE, SBI_RFENCE_SFENCE_VMA, mask, 0);
	expect_preserved(SBI_EXT_RFENCE, SBI_RFENCE_HFENCE_VVMA, mask, 0);
	expect_preserved(SBI_EXT_HSM, SBI_HSM_HART_GET_STATUS, hart_self()->id, 0);
	expect_preserved(SBI_EXT_HSM, SBI_HSM_HART_START, hart_self()->id, 0);
	expect_preserved(SBI_EXT_SRST, 0, 99, 0);
	/* OpenSBI 1.5 locks itself out where it has Smepmp and there are no bytes. */
	if (!machine.opensbi) {
		expect_preserved(SBI_EXT_DBCN, SBI_DBCN_WRITE, 0, machine.heap);
		expect_preserved(SBI_EXT_DBCN, SBI_DBCN_READ, 0, machine.heap);
	}
	expect_preserved(SBI_EXT_SET_TIMER, 0, ~UINT64_C(0), 0);
	expect_preserved(SBI_EXT_CONSOLE_GETCHAR, 0, 0, 0);
	expect_preserved(SBI_EXT_CLEAR_IPI, 0, 0, 0);
	expect_preserved(0x12345678, 1, 2, 3);
}

static void csrs_kept(void)
{
	csr_write(CSR_SEPC, 0x123456788);
	csr_write(CSR_SCAUSE, 13);
	csr_write(CSR_STVAL, 0xabcdef);
	csr_write(CSR_SIE, BIT(IRQ_S_TIMER) | BIT(IRQ_S_SOFT));
	sbi2(SBI_EXT_IPI, 0, BIT(hart_self()->id), 0);
	sbi2(SBI_EXT_RFENCE, 0, BIT(hart_self()->id), 0);
	sbi1(SBI_EXT_TIME, 0, 0);
	sbi0(SBI_EXT_BASE, 0);
	sbi0(0x7777777, 0);
	expect_eq(csr_read(CSR_SEPC), 0x123456788, "sepc");
	expect_eq(csr_read(CSR_SCAUSE), 13, "scause");
	expect_eq(csr_read(CSR_STVAL), 0xabcdef, "stval");
	expect_eq(csr_read(CSR_SIE), BIT(IRQ_S_TIMER) | BIT(IRQ_S_SOFT), "sie");
	expect_eq(csr_read(CSR_SSCRATCH), hart_self(), "sscratch");
}

static void fp_registers(void)
{
	uint64_t before[33], after[33];

	for (uint64_t i = 0; i < 32; i++)
		before[i] = UINT64_C(0x3ff0123400000000) + (i << 40) + i;
	before[32] = 0x41;
	csr_set(CSR_SSTATUS, SSTATUS_FS);
	fp_load(before);
	sbi0(SBI_EXT_BASE, 0);
	sbi1(SBI_EXT_TIME, 0, ~UINT64_C(0));
	sbi2(SBI_EXT_RFENCE, 0, BIT(hart_self()->id), 0);
	sbi2(SBI_EXT_IPI, 0, 0, ~UINT64_C(0));
	sbi1(SBI_EXT_CONSOLE_GETCHAR, 0, 0);
	fp_save(after);
	for (int i = 0; i < 33; i++)
		expect_eq(after[i], before[i], "f%d", i);
}

/* The firmware's memory, natively: the first page, and (of Pilae's) the last word. */
static const uint64_t firmware_places[] = {0x80000000, 0x80000ff8, 0x8003fff8};

static bool in_guest(void)
{
	if (!machine.native)
		test_skip("a guest has none");
	return !machine.native;
}

static void firmware_memory(void)
{
	if (in_guest())
		return;
	for (size_t i = 0; i < ARRAY_SIZE(firmware_places); i++)
		for (int user = 0; user < 2; user++) {
			uint64_t place = firmware_places[i];

			insn_exec2(0x00053583, place, 0, user); /* ld a1, (a0) */
			expect_trap(EXC_LOAD_ACCESS, place, "load at 0x%lx", place);
			insn_exec2(0x00b53023, place, 0, user); /* sd a1, (a0) */
			expect_trap(EXC_STORE_ACCESS, place, "store at 0x%lx", place);
			trap_exec(place, NULL, user);
			expect_trap(EXC_INSN_ACCESS, place, "fetch at 0x%lx", place);
			/* Into the word at its end, from the one behind (of Pilae's). */
			insn_exec2(0x00053583, place + 5, 0, user);
			expect_eq(hart_self()->trap.cause, EXC_LOAD_ACCESS, "ld at 0x%lx",
				  place + 5);
			insn_exec2(0x00b53023, place + 5, 0, user);
			expect_eq(hart_self()->trap.cause, EXC_STORE_ACCESS, "sd at 0x%lx",
				  place + 5);
		}
}

static void firmware_named(void)
{
	if (in_guest())
		return;
	for (size_t i = 0; i < ARRAY_SIZE(firmware_places); i++) {
		uint64_t place = firmware_places[i];

		expect_eq(sbi3(SBI_EXT_DBCN, SBI_DBCN_WRITE, 8, place, 0).error,
			  SBI_ERR_INVALID_PARAM, "write of 0x%lx", place);
		expect_eq(sbi3(SBI_EXT_DBCN, SBI_DBCN_READ, 8, place, 0).error,
			  SBI_ERR_INVALID_PARAM, "read to 0x%lx", place);
		expect_eq(
		    sbi3(SBI_EXT_HSM, SBI_HSM_HART_SUSPEND, SBI_HSM_SUSPEND_NON_RETENTIVE, place, 0)
			.error,
		    SBI_ERR_INVALID_ADDRESS, "resume at 0x%lx", place);
		if (machine.hart_count > 1)
			expect_eq(
			    sbi3(SBI_EXT_HSM, SBI_HSM_HART_START, harts[1].id, place, 0).error,
			    SBI_ERR_INVALID_ADDRESS, "start at 0x%lx", place);
	}
}

#define SBI_IMPL_FIRMWARE 0x50696c66 /* Pilae's */
#define SBI_EXT_FIRMWARE  0x0a696c66
#define INSN_RDTIME       0xc0102573 /* rdtime a0 */

static int64_t delegate_illegal(uint64_t value)
{
	return sbi1(SBI_EXT_FIRMWARE, 0, value).error;
}

static void delegate_otherwise(void *argument)
{
	int64_t *was = argument;

	*was = (int64_t)sbi1(SBI_EXT_FIRMWARE, 0, 0).value;
	sbi1(SBI_EXT_FIRMWARE, 0, !*was);
}

/* What a hart has asked for is over when it stops. */
static void firmware_stopped(void)
{
	int64_t first = 99, second = 99;

	if (machine.sbi_impl != SBI_IMPL_FIRMWARE || machine.hart_count < 2) {
		test_skip("another firmware, or one hart");
		return;
	}
	expect_eq(hart_run(1, delegate_otherwise, &first), 0, "start");
	expect(hart_join(1, 3000), "did not stop");
	expect_eq(hart_run(1, delegate_otherwise, &second), 0, "second start");
	expect(hart_join(1, 3000), "did not stop again");
	expect_eq(first, machine_has("zicntr"), "at first");
	expect_eq(second, first, "after it was stopped");
}

/* Pilae's firmware gives illegal instructions away, and takes them back. */
static void firmware_delegation(void)
{
	if (machine.sbi_impl != SBI_IMPL_FIRMWARE) {
		test_skip("another firmware");
		return;
	}
	expect_eq(delegate_illegal(2), SBI_ERR_INVALID_PARAM, "2");
	expect_eq(sbi1(SBI_EXT_FIRMWARE, 1, 1).error, SBI_ERR_NOT_SUPPORTED, "function 1");
	expect_eq(delegate_illegal(1), 0, "given away");
	insn_exec2(INSN_RDTIME, 0, 0, false);
	if (!machine_has("zicntr"))
		expect_trap(EXC_ILLEGAL_INSN, INSN_RDTIME, "rdtime");
	expect_eq(delegate_illegal(0), 0, "taken back");
	insn_exec2(INSN_RDTIME, 0, 0, false);
	expect(insn_completed(), "rdtime: cause %lu", hart_self()->trap.cause);
	/* What is not emulated comes all the same. */
	insn_exec2(0xffffffff, 0, 0, false);
	expect_eq(hart_self()->trap.cause, EXC_ILLEGAL_INSN, "cause of no instruction");
	expect_eq(hart_self()->trap.epc, insn_address(), "its sepc");
	if (machine_has("zicntr"))
		delegate_illegal(1);
}

static const struct test tests[] = {
    {"base-version", base_version},
    {"base-ids", base_ids},
    {"base-probe", base_probe},
    {"unknown-functions", unknown_functions},
    {"unknown-extensions", unknown_extensions},
    {"time-set", time_set},
    {"ipi-send", ipi_send},
    {"ipi-absent", ipi_absent},
    {"harts-named", harts_named},
    {"rfence-self", rfence_self},
    {"rfence-wrap", rfence_wrap},
    {"rfence-absent", rfence_absent},
    {"rfence-hfence", rfence_hfence},
    {"srst-invalid", srst_invalid},
    {"registers", registers},
    {"csrs-kept", csrs_kept},
    {"fp-registers", fp_registers},
    {"firmware-memory", firmware_memory},
    {"firmware-named", firmware_named},
    {"firmware-delegation", firmware_delegation},
    {"firmware-stopped", firmware_stopped},
};
TEST_GROUP(sbi, tests);
