/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_VIRTIO_FIXTURE_H
#define TESTS_UNIT_VIRTIO_FIXTURE_H

/*
 * A virtio device in a slot, as its guest's driver sees it: registers, rings, interrupts; and what
 * the device needs of the scheduler. For one source file of a test program.
 */

#include "tests/unit/ring_guest.h"

#include "device/virtio/mmio.h"
#include "kernel/hart.h"
#include "vmm/hooks.h"

#define R_MAGIC        0x000
#define R_VERSION      0x004
#define R_DEVICE_ID    0x008
#define R_VENDOR       0x00c
#define R_FEATURES     0x010
#define R_FEATURES_SEL 0x014
#define R_ACCEPTED     0x020
#define R_ACCEPTED_SEL 0x024
#define R_PAGE_SIZE    0x028
#define R_QUEUE_SEL    0x030
#define R_QUEUE_MAX    0x034
#define R_QUEUE_SIZE   0x038
#define R_QUEUE_ALIGN  0x03c
#define R_QUEUE_PFN    0x040
#define R_QUEUE_READY  0x044
#define R_NOTIFY       0x050
#define R_INTERRUPTS   0x060
#define R_ACK          0x064
#define R_STATUS       0x070
#define R_QUEUE_DESC   0x080
#define R_QUEUE_DRIVER 0x090
#define R_QUEUE_DEVICE 0x0a0
#define R_SHM_LENGTH   0x0b0
#define R_GENERATION   0x0fc
#define R_CONFIG       0x100

#define S_ACKNOWLEDGE 1
#define S_DRIVER      2
#define S_DRIVER_OK   4
#define S_FEATURES_OK 8
#define S_NEEDS_RESET 64
#define S_READY       (S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK)

#define JOBS_MAX   8
#define TIMERS_MAX 8

/* One for each guest; the interrupts' levels, too. */
#if RING_GUESTS > 1
static struct virtio_slot guest_slots[RING_GUESTS];
static bool guest_lines[RING_GUESTS];
#define slot guest_slots[ring_guest]
#define line guest_lines[ring_guest]
#else
static struct virtio_slot slot;
static bool line;
#define guest_slots (&slot)
#define guest_lines (&line)
#endif

static struct hart hart;
static unsigned quiesced;  /* how often vm_quiesced() was called */
static unsigned vcpu_work; /* and schedule_devices() */
static struct job *jobs[JOBS_MAX];
static unsigned job_count;
static uint64_t now; /* time passes when a test says so */
static struct timer *timers[TIMERS_MAX];
static unsigned wfi_trapped; /* how often schedule_trap_wfi() was called */

uint64_t time_now(void)
{
	return now;
}

void timer_init(struct timer *timer, void (*expired)(struct timer *timer))
{
	*timer = (struct timer){.expired = expired};
}

static inline bool is_set(const struct timer *timer)
{
	for (unsigned i = 0; i < TIMERS_MAX; i++) {
		if (timers[i] == timer)
			return true;
	}
	return false;
}

void timer_cancel(struct timer *timer)
{
	for (unsigned i = 0; i < TIMERS_MAX; i++) {
		if (timers[i] == timer)
			timers[i] = NULL;
	}
}

/* By one at a time, and once until it expires. */
void timer_set(struct timer *timer, uint64_t deadline)
{
	unsigned free = 0;

	preempt_point(); /* no lock is held */
	assert_false(is_set(timer));
	while (timers[free])
		assert_in_range(++free, 0, TIMERS_MAX - 1);
	timers[free] = timer;
	timer->node.key = deadline;
}

void timer_quiesce(void)
{
}

/* Its time comes. */
static inline void fire(struct timer *timer)
{
	assert_true(is_set(timer));
	now = max_u64(now, timer->node.key);
	timer_cancel(timer);
	timer->expired(timer);
}

void schedule_trap_wfi(void)
{
	wfi_trapped++;
}

struct hart *this_hart(void)
{
	return &hart;
}

void schedule_job(struct job *job, int (*step)(struct job *job))
{
	for (unsigned i = 0; i < job_count; i++)
		assert_ptr_not_equal(jobs[i], job);
	assert_in_range(job_count, 0, JOBS_MAX - 1);
	job->step = step;
	jobs[job_count++] = job;
}

static void take_job(unsigned n)
{
	job_count--;
	for (; n < job_count; n++)
		jobs[n] = jobs[n + 1];
}

void schedule_cancel_job(struct job *job)
{
	for (unsigned i = 0; i < job_count; i++) {
		if (jobs[i] == job) {
			take_job(i);
			return;
		}
	}
}

void schedule_devices(void)
{
	vcpu_work++;
}

void vm_quiesced(struct vm *vm)
{
	assert_non_null(ram_of(vm));
	quiesced++;
}

static void set_line(struct irq_line *of, bool level)
{
	uintptr_t guest = (uintptr_t)of->controller;

	assert_false(spin_trylock(&guest_slots[guest].device->lock));
	guest_lines[guest] = level;
}

static inline struct irq_line test_line(void)
{
	return (struct irq_line){set_line, (void *)(uintptr_t)ring_guest, 1};
}

/* What the boot hart does: a step of the oldest job; false if there is none. */
static inline bool run_job(void)
{
	struct job *job = job_count ? jobs[0] : NULL;

	if (!job)
		return false;
	take_job(0);
	if (job->step(job) == ERR_AGAIN)
		jobs[job_count++] = job;
	return true;
}

/* What the vCPU does on its way back into the guest, and the boot hart then. */
static inline void run_all(void)
{
	if (vcpu_work) {
		vcpu_work = 0;
		for (unsigned i = 0; i < RING_GUESTS; i++) {
			if (guest_slots[i].device)
				virtio_device_work(guest_slots[i].device);
		}
	}
	while (run_job())
		;
}

static inline uint64_t rd_sized(uint64_t offset, unsigned size)
{
	uint64_t value = ~UINT64_C(0);

	assert_int_equal(slot.mmio.ops->read(&slot.mmio, offset, size, &value), 0);
	return value;
}

static inline uint32_t rd(uint64_t offset)
{
	return (uint32_t)rd_sized(offset, 4);
}

static inline int try_wr(uint64_t offset, unsigned size, uint64_t value)
{
	return slot.mmio.ops->write(&slot.mmio, offset, size, value);
}

static inline void wr(uint64_t offset, uint32_t value)
{
	assert_int_equal(try_wr(offset, 4, value), 0);
}

/* The test has readied `device`. */
static inline void plug(struct virtio_device *device)
{
	line = false;
	quiesced = vcpu_work = job_count = 0;
	hart.reschedule = 0;
	virtio_slot_init(&slot, 0, device);
	unlocked[0] = &device->lock;
}

static inline void accept_features(uint64_t features)
{
	wr(R_ACCEPTED_SEL, 0);
	wr(R_ACCEPTED, (uint32_t)features);
	wr(R_ACCEPTED_SEL, 1);
	wr(R_ACCEPTED, (uint32_t)(features >> 32));
}

static inline void set_address(uint64_t offset, uint64_t address)
{
	wr(offset, (uint32_t)address);
	wr(offset + 4, (uint32_t)(address >> 32));
}

static inline struct ring_driver set_queue(unsigned queue, uint64_t base, uint32_t size)
{
	struct ring_driver driver = driver_init(base, size);

	wr(R_QUEUE_SEL, queue);
	wr(R_QUEUE_SIZE, size);
	set_address(R_QUEUE_DESC, driver.place.descriptors);
	set_address(R_QUEUE_DRIVER, driver.place.available);
	set_address(R_QUEUE_DEVICE, driver.place.used);
	wr(R_QUEUE_READY, 1);
	return driver;
}

/* As a driver begins, up to its queues; then finish_setup(). */
static inline void begin_setup(uint64_t features)
{
	wr(R_STATUS, 0);
	wr(R_STATUS, S_ACKNOWLEDGE);
	wr(R_STATUS, S_ACKNOWLEDGE | S_DRIVER);
	accept_features(features);
	wr(R_STATUS, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK);
	assert_int_equal(rd(R_STATUS), S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK);
}

static inline void finish_setup(void)
{
	wr(R_STATUS, S_READY);
	run_all();
}

#endif
