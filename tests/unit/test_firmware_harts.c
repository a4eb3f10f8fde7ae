/* SPDX-License-Identifier: MIT */
/* unit: firmware/console.c firmware/hsm.c firmware/ipi.c */
/* libs: -lpthread */

/* Harts of Pilae's firmware that start, stop, wait and are halted while others ask something of
 * them. Each hart but the first is a thread; its S-mode is a function of the test. What is lost
 * ends the test by its alarm. */

#include "firmware/console.h"
#include "firmware/fences.h"
#include "firmware/firmware.h"
#include "firmware/platform.h"
#include "riscv/tlb.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HARTS     4
#define STUCK     100 /* seconds */
#define ENTRY     0x80400000
#define LSR       5
#define LSR_EMPTY 0x20

struct fw_hart fw_harts[FW_HARTS_MAX];
uint64_t harts_present, harts_arrived;
struct platform platform;

enum { FIRST, ENTERED, FROM_RESET, HALTED, ENDED };

static uint32_t msip[HARTS];
static uint8_t uart[8];
static _Thread_local uint64_t mip, mie;
static _Thread_local unsigned self;
static _Thread_local jmp_buf top;
static _Thread_local void (*after_reset)(void);

static bool enough, ended, halted[HARTS], in_s_mode[HARTS];
static unsigned errors, stops;
static void (*program)(struct fw_hart *hart);

/* What S-mode has written to its page tables, and what a hart has in its TLB of that. */
static uint64_t version, cached[HARTS];

#define load(what)         __atomic_load_n(&(what), __ATOMIC_SEQ_CST)
#define store(what, value) __atomic_store_n(&(what), value, __ATOMIC_SEQ_CST)
#define count(what)        __atomic_add_fetch(&(what), 1, __ATOMIC_SEQ_CST)

struct fw_hart *this_hart(void)
{
	return &fw_harts[self];
}

static void flush(void)
{
	store(cached[self], load(version));
}

void tlb_flush_all(void)
{
	flush();
}

void tlb_flush_asid(uint64_t asid)
{
	(void)asid;
	flush();
}

void tlb_flush_page_all(uint64_t va)
{
	(void)va;
	flush();
}

void tlb_flush_page(uint64_t va, uint64_t asid)
{
	(void)va;
	(void)asid;
	flush();
}

void hfence(unsigned funct7, uint64_t address, uint64_t id)
{
	(void)funct7;
	(void)address;
	(void)id;
}

void hfence_address(unsigned funct7, uint64_t address)
{
	hfence(funct7, address, 0);
}

void hfence_id(unsigned funct7, uint64_t id)
{
	hfence(funct7, 0, id);
}

void hfence_all(unsigned funct7)
{
	hfence(funct7, 0, 0);
}

void fence_i(void)
{
}

void fence_memory_before_output(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void fence_output_before_memory(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void wfi(void)
{
	if (load(ended))
		longjmp(top, ENDED);
	sched_yield();
}

uint64_t csr_read(unsigned csr)
{
	if (csr == CSR_MIE)
		return mie;
	return csr == CSR_MIP ? mip | (load(msip[self]) ? BIT(IRQ_M_SOFT) : 0) : 0;
}

void csr_write(unsigned csr, uint64_t value)
{
	(void)csr;
	(void)value;
}

uint64_t csr_swap(unsigned csr, uint64_t value)
{
	(void)csr;
	(void)value;
	return 0;
}

void csr_set(unsigned csr, uint64_t bits)
{
	*(csr == CSR_MIE ? &mie : &mip) |= bits;
}

/* Others get their turn, in the middle of what a hart does. */
void csr_clear(unsigned csr, uint64_t bits)
{
	sched_yield();
	*(csr == CSR_MIE ? &mie : &mip) &= ~bits;
}

bool platform_is_code(uint64_t address)
{
	return address == ENTRY;
}

uint64_t hart_first_mstatus(void)
{
	return 0;
}

/* What is given up is given up before another hart can start this one. */
static void expect_started(void)
{
	if (load(fw_harts[self].state) != SBI_HSM_STARTED)
		count(errors);
}

void hart_delegate(struct fw_hart *hart)
{
	assert_ptr_equal(hart, this_hart());
	expect_started();
}

void pmu_reset(struct fw_hart *hart)
{
	assert_ptr_equal(hart, this_hart());
	expect_started();
	count(stops);
}

void hart_reset_stack(void (*function)(void))
{
	after_reset = function;
	longjmp(top, FROM_RESET);
}

void hart_enter(uint64_t id, uint64_t argument, uint64_t address, uint64_t mstatus)
{
	if (id != self || argument != id + 1000 || address != ENTRY || mstatus)
		count(errors);
	flush();
	longjmp(top, ENTERED);
}

void hart_halt(void)
{
	store(halted[self], true);
	longjmp(top, HALTED);
}

static void call_hsm(struct fw_hart *hart, uint64_t function)
{
	hart->x[16] = function;
	hsm_call(hart);
}

static void *run_hart(void *argument)
{
	struct fw_hart *hart = argument;

	self = (unsigned)hart->id;
	mie = BIT(IRQ_M_SOFT);
	switch (setjmp(top)) {
	case FIRST:
		hart_wait();
	case ENTERED:
		store(in_s_mode[self], true);
		program(hart);
		store(in_s_mode[self], false);
		call_hsm(hart, SBI_HSM_HART_STOP);
		break;
	case FROM_RESET:
		after_reset();
		break;
	default:
		break;
	}
	return NULL;
}

/* As S-mode, which machine-level interrupts interrupt. */
static void go_on(struct fw_hart *hart)
{
	if (load(msip[self]))
		interrupts_serve(hart);
	else
		sched_yield();
}

static pthread_t threads[HARTS];

static void begin(void (*run)(struct fw_hart *hart))
{
	program = run;
	for (unsigned i = 1; i < HARTS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_hart, &fw_harts[i]), 0);
}

static void end(void)
{
	store(ended, true);
	for (unsigned i = 1; i < HARTS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(errors, 0);
}

static int64_t start(uint64_t id)
{
	struct fw_hart *hart = &fw_harts[0];

	hart->x[10] = id;
	hart->x[11] = ENTRY;
	hart->x[12] = id + 1000;
	hart->x[16] = SBI_HSM_HART_START;
	return hsm_call(hart).error;
}

/* When it has stopped. */
static void start_again(uint64_t id)
{
	while (start(id) != SBI_SUCCESS)
		go_on(&fw_harts[0]);
}

static int setup(void **state)
{
	(void)state;
	alarm(STUCK);
	memset(fw_harts, 0, sizeof(fw_harts));
	memset(msip, 0, sizeof(msip));
	memset(halted, 0, sizeof(halted));
	memset(in_s_mode, 0, sizeof(in_s_mode));
	memset(cached, 0, sizeof(cached));
	for (unsigned i = 0; i < HARTS; i++) {
		fw_harts[i].id = i;
		fw_harts[i].bit = BIT(i);
		fw_harts[i].msip = (uint64_t)(uintptr_t)&msip[i];
		fw_harts[i].state = i ? SBI_HSM_STOPPED : SBI_HSM_STARTED;
	}
	harts_present = BIT(HARTS) - 1;
	platform = (struct platform){.uart = (uint64_t)(uintptr_t)uart};
	enough = ended = false;
	errors = stops = 0;
	version = 0;
	mip = 0;
	mie = BIT(IRQ_M_SOFT);
	return 0;
}

static void test_errors(void **state)
{
	struct fw_hart *hart = &fw_harts[0];

	(void)state;
	harts_present = 5;
	assert_int_equal(start(0), SBI_ERR_ALREADY_AVAILABLE);
	assert_int_equal(start(1), SBI_ERR_INVALID_PARAM);
	assert_int_equal(start(64), SBI_ERR_INVALID_PARAM);
	assert_int_equal(start(~UINT64_C(0)), SBI_ERR_INVALID_PARAM);
	hart->x[10] = 2;
	hart->x[11] = ENTRY + 2;
	assert_int_equal(hsm_call(hart).error, SBI_ERR_INVALID_ADDRESS);
	assert_int_equal(fw_harts[2].state, SBI_HSM_STOPPED);
	/* Being started by another, and asked to by another: once. */
	fw_harts[2].state = SBI_HSM_RESUME_PENDING;
	assert_int_equal(start(2), SBI_ERR_ALREADY_AVAILABLE);
	hart->x[16] = SBI_HSM_HART_GET_STATUS;
	assert_int_equal(hsm_call(hart).value, SBI_HSM_START_PENDING);
	fw_harts[2].state = SBI_HSM_STOPPED;
	assert_int_equal(start(2), SBI_SUCCESS);
	assert_int_equal(fw_harts[2].state, SBI_HSM_START_PENDING);
	assert_int_equal(msip[2], 1);
	for (uint64_t type = 1; type < UINT64_C(1) << 32; type += 0x7ffffff) {
		hart->x[10] = type;
		hart->x[16] = SBI_HSM_HART_SUSPEND;
		assert_int_equal(hsm_call(hart).error, SBI_ERR_INVALID_PARAM);
	}
}

/* Waits for the IPI that follows its start. */
static void await_ipi(struct fw_hart *hart)
{
	while (!(mip & BIT(IRQ_S_SOFT)))
		go_on(hart);
}

/* One that is started while it still stops must not take back what it is sent from then on. */
static void test_ipi_after_start(void **state)
{
	(void)state;
	begin(await_ipi);
	for (unsigned i = 0; i < 20000; i++) {
		start_again(1 + i % 3);
		ipi_send(BIT(1 + i % 3));
	}
	while (load(stops) != 20000)
		sched_yield();
	end();
}

/* What hart has asked of the others is done: no S-mode sees what was there before. */
static void check_fence(struct fw_hart *hart, uint64_t set)
{
	uint64_t now = count(version);

	hart->fence = (struct fence){.function = SBI_RFENCE_SFENCE_VMA, .size = ~UINT64_C(0)};
	if (rfence_call(hart, set) != SBI_SUCCESS)
		count(errors);
	for (unsigned i = 0; i < HARTS; i++) {
		if (set >> i & 1 && load(in_s_mode[i]) && load(cached[i]) < now)
			count(errors);
	}
}

/* Hart 3 fences the others without end; they come and go. */
static void fence_or_leave(struct fw_hart *hart)
{
	while (self == 3 && !load(enough)) {
		check_fence(hart, 7);
		go_on(hart);
	}
	for (unsigned turn = 0; self != 3 && turn < load(version) % 4; turn++)
		go_on(hart);
}

static void test_fences_meanwhile(void **state)
{
	(void)state;
	store(in_s_mode[0], true);
	begin(fence_or_leave);
	start_again(3);
	for (unsigned i = 0; i < 2000; i++) {
		start_again(1 + i % 2);
		check_fence(&fw_harts[0], i % 3 ? 6 : 0xe);
	}
	store(enough, true);
	/* It may wait for others still. */
	while (load(in_s_mode[3]))
		go_on(&fw_harts[0]);
	end();
}

static void print(struct fw_hart *hart)
{
	(void)hart;
	console_put('x');
}

/* The console has no room, and gets none before another hart's fence is done. */
static void test_console_waits(void **state)
{
	(void)state;
	memset(uart, 0, sizeof(uart));
	begin(print);
	start_again(1);
	while (!load(in_s_mode[1]))
		sched_yield();
	check_fence(&fw_harts[0], 2);
	assert_int_equal(load(uart[0]), 0);
	assert_int_equal(load(stops), 0);
	store(uart[LSR], LSR_EMPTY);
	while (load(stops) != 1)
		sched_yield();
	assert_int_equal(load(uart[0]), 'x');
	end();
}

static void go_on_always(struct fw_hart *hart)
{
	while (!load(ended))
		go_on(hart);
}

/* In S-mode, stopped, and waiting for the fence of another that has been halted. */
static void test_halt(void **state)
{
	(void)state;
	begin(go_on_always);
	start_again(1);
	start_again(2);
	if (!setjmp(top))
		harts_halt(&fw_harts[0]);
	for (unsigned i = 0; i < HARTS; i++) {
		while (!load(halted[i]))
			sched_yield();
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_errors, setup),
	    cmocka_unit_test_setup(test_ipi_after_start, setup),
	    cmocka_unit_test_setup(test_fences_meanwhile, setup),
	    cmocka_unit_test_setup(test_console_waits, setup),
	    cmocka_unit_test_setup(test_halt, setup),
	};

	return cmocka_run_group_tests_name("firmware harts", tests, NULL, NULL);
}
