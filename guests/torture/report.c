/* SPDX-License-Identifier: MIT */
#include "guests/torture/torture.h"

static uint32_t has_failed;

bool failed(void)
{
	return __atomic_load_n(&has_failed, __ATOMIC_RELAXED) != 0;
}

void fail(struct worker *w, const char *format_, ...)
{
	char text[PRINT_MAX];
	va_list args;

	if (__atomic_exchange_n(&has_failed, 1, __ATOMIC_SEQ_CST))
		return;
	va_start(args, format_);
	format_v(text, sizeof(text), format_, args);
	va_end(args);
	print("not ok torture: seed %lu, %lu workers, %u levels; worker %u, operation %lu:\n",
	      settings.seed, worker_count, settings.levels, w->index, w->done);
	print("not ok torture: %s\n", text);
	print("torture: worker %u did last (context %u, satp 0x%lx):\n", w->index, w->context,
	      csr_read(CSR_SATP));
	for (uint64_t i = w->traced < TRACE ? 0 : w->traced - TRACE; i < w->traced; i++) {
		const struct trace *t = &w->trace[i % TRACE];

		print("torture:   %s 0x%lx 0x%lx 0x%lx\n", t->what, t->a, t->b, t->c);
	}
}
