/* SPDX-License-Identifier: MIT */
/* SBI calls, of everything with everything, but for what ends the guest or this hart. */
#include "guests/chaos/chaos.h"

#include "guests/lib/nasty.h"

#define CALLS 256

struct call {
	uint64_t extension, function, a[5];
};

/* What must not be: an end, a sleep without an end, a start of a hart that may have stopped. */
static bool is_lethal(const struct call *call)
{
	switch ((uint32_t)call->extension) {
	case SBI_EXT_SHUTDOWN:
		return true;
	case SBI_EXT_SRST:
		return (uint32_t)call->function == SBI_SRST_RESET &&
		       (uint32_t)call->a[0] <= SBI_SRST_WARM_REBOOT;
	case SBI_EXT_SUSP:
		return (uint32_t)call->a[0] == 0;
	case SBI_EXT_HSM:
		if ((uint32_t)call->function == SBI_HSM_HART_START)
			return call->a[0] < machine.hart_count;
		return (uint32_t)call->function == SBI_HSM_HART_STOP ||
		       ((uint32_t)call->function == SBI_HSM_HART_SUSPEND &&
			!((uint32_t)call->a[0] & BITS(30, 0)));
	default:
		return false;
	}
}

/* Text that is printed has to be read by someone: little of it. */
static bool is_loud(struct worker *w, const struct call *call)
{
	uint32_t extension = (uint32_t)call->extension;

	return (extension == SBI_EXT_DBCN || extension == SBI_EXT_CONSOLE_PUTCHAR) &&
	       !one_in(w, 64);
}

static void make_call(struct worker *w, struct call *call)
{
	call->extension = nasty_extension(&w->random);
	if (one_in(w, 32))
		call->extension = value_any(w);
	if (one_in(w, 64))
		call->extension |= random_next(&w->random) << 32;
	call->function = one_in(w, 8) ? value_any(w) : random_below(w, 8);
	for (int i = 0; i < 5; i++)
		call->a[i] = one_in(w, 8) ? value_address(w) : value_any(w);
	if ((uint32_t)call->extension == SBI_EXT_DBCN) {
		call->a[0] = one_in(w, 4) ? call->a[0] : random_below(w, 64);
		call->a[1] = value_address(w);
	}
}

/* Legacy calls read masks through the caller's tables, and fault as it would. */
static bool skip_ecall(struct trap_frame *frame)
{
	if (frame->epc != (uint64_t)chaos_ecall)
		return false;
	frame->epc += 4;
	return true;
}

uint64_t sbi_turn(struct worker *w)
{
	struct call call;
	uint64_t done = 0;

	hart_self()->on_exception = skip_ecall;
	for (int i = 0; i < CALLS; i++) {
		make_call(w, &call);
		if (is_lethal(&call) || is_loud(w, &call))
			continue;
		chaos_call(call.extension, call.function, call.a[0], call.a[1], call.a[2],
			   call.a[3], call.a[4]);
		done++;
	}
	hart_self()->on_exception = NULL;
	return done;
}
