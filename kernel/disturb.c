/* SPDX-License-Identifier: MIT */

#include "kernel/disturb.h"

#include "kernel/hart.h"
#include "kernel/platform.h"
#include "kernel/timer.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

#ifdef PILAE_DISTURB_INTERRUPTS

#define LATE_MS 1

/* IPIs that a hart has yet to send. It alone looks at them. */
static struct late {
	struct timer timer;
	uint64_t harts; /* by index */
} late[HARTS_MAX];

static uint64_t next_random(void)
{
	static uint64_t seed = 1; /* races only make it more random */

	seed = seed * 6364136223846793005 + 1442695040888963407;
	return seed >> 33;
}

static void send_now(const struct hart *hart)
{
	sbi_call(SBI_EXT_IPI, SBI_IPI_SEND_IPI, 1, hart->id, 0, 0, 0);
}

static void send_late_ones(struct timer *timer)
{
	struct late *mine = container_of(timer, struct late, timer);

	for (unsigned i = 0; i < hart_count(); i++) {
		if (mine->harts & BIT(i))
			send_now(hart_by_index(i));
	}
	mine->harts = 0;
}

static void send_later(const struct hart *hart, uint64_t random)
{
	struct late *mine = &late[this_hart()->index];

	if (!mine->harts) {
		timer_init(&mine->timer, send_late_ones);
		timer_set(&mine->timer, time_now() + random % (LATE_MS * platform.timebase / 1000));
	}
	mine->harts |= BIT(hart->index);
}

bool disturb_ipi(const struct hart *hart)
{
	uint64_t random = next_random(), kind = random % 4;

	random /= 4;
	if (kind == 0) {
		send_later(hart, random);
		return true;
	}
	if (kind == 1)
		send_now(hart); /* and again */
	if (kind == 2)
		send_now(hart_by_index((unsigned)(random % hart_count())));
	return false;
}

void disturb_interrupt(void (*external)(void))
{
	switch (next_random() % 8) {
	case 0:
		csr_set(CSR_SIP, BIT(IRQ_S_SOFT));
		break;
	case 1:
		/* At once; its handler sets it to what it should be. */
		if (this_hart()->has_sstc)
			csr_write(CSR_STIMECMP, 0);
		else
			sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, 0, 0, 0, 0, 0);
		break;
	case 2:
		/* As if another hart had claimed it. */
		if (external)
			external();
		break;
	default:
		break;
	}
}

#endif
