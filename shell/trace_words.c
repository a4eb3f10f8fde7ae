/* SPDX-License-Identifier: MIT */

#include "shell/trace_words.h"

#include "riscv/csr.h"
#include "riscv/sbi.h"

#include <stdio.h>

typedef unsigned long long number;

static const char *interrupt_name(unsigned irq)
{
	switch (irq) {
	case IRQ_S_SOFT:
		return "software";
	case IRQ_S_TIMER:
		return "timer";
	case IRQ_S_EXT:
		return "external";
	default:
		return "unknown";
	}
}

static const char *extension_name(uint64_t id)
{
	static const struct {
		uint64_t id;
		const char *name;
	} names[] = {
	    {SBI_EXT_BASE, "BASE"},
	    {SBI_EXT_TIME, "TIME"},
	    {SBI_EXT_IPI, "IPI"},
	    {SBI_EXT_RFENCE, "RFENCE"},
	    {SBI_EXT_HSM, "HSM"},
	    {SBI_EXT_SRST, "SRST"},
	    {SBI_EXT_DBCN, "DBCN"},
	    {SBI_EXT_CONSOLE_PUTCHAR, "console_putchar"},
	    {SBI_EXT_CONSOLE_GETCHAR, "console_getchar"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].id == id)
			return names[i].name;
	}
	return "extension";
}

static const char *access_name(unsigned detail)
{
	static const char *const names[] = {"fetch from", "load from", "store to", "access to"};

	return names[detail & 3];
}

static const char *mode_name(unsigned mode)
{
	static const char *const names[] = {"it waits for the next", "in the guest",
					    "it is blocked", "it is parked"};

	return mode < ARRAY_SIZE(names) ? names[mode] : "?";
}

static void trap_words(const struct trace_record *record, char *text, size_t size)
{
	static const char *const causes[] = {
	    [EXC_ILLEGAL_INSN] = "illegal instruction",
	    [EXC_BREAKPOINT] = "breakpoint",
	    [EXC_ECALL_U] = "ecall",
	    [EXC_INSN_PAGE] = "fetch page fault",
	    [EXC_LOAD_PAGE] = "load page fault",
	    [EXC_STORE_PAGE] = "store page fault",
	};
	unsigned cause = record->detail;

	if (cause & 0x8000)
		snprintf(text, size, "trap: %s interrupt of the host",
			 interrupt_name(cause & 0xfff));
	else if (cause < ARRAY_SIZE(causes) && causes[cause])
		snprintf(text, size, "trap: %s at 0x%llx, 0x%llx", causes[cause], (number)record->b,
			 (number)record->a);
	else
		snprintf(text, size, "trap: cause %u at 0x%llx, 0x%llx", cause, (number)record->b,
			 (number)record->a);
}

static void access_words(const struct trace_record *record, char *text, size_t size)
{
	snprintf(text, size, "%s 0x%llx%s%s", access_name(record->detail), (number)record->a,
		 record->detail & TRACE_ACCESS_WALK ? ", by a page-table walk" : "",
		 record->detail & TRACE_ACCESS_RAM ? ": RAM not backed yet" : "");
}

/* Kinds that have nothing to add. */
static const char *simple_words(unsigned kind)
{
	switch (kind) {
	case TRACE_START:
		return "recording begins";
	case TRACE_ENTER:
		return "enters the guest";
	case TRACE_WFI:
		return "waits for an interrupt";
	case TRACE_OTHER:
		return "other exit";
	case TRACE_TURN:
		return "turn begins";
	case TRACE_WORK:
		return "jobs begin";
	case TRACE_WORK_END:
		return "jobs end";
	case TRACE_IDLE:
		return "idle";
	case TRACE_IDLE_END:
		return "not idle any more";
	case TRACE_WAKE:
		return "is woken";
	default:
		return "?";
	}
}

void trace_words(const struct trace_record *record, char *text, size_t size)
{
	switch (record->kind) {
	case TRACE_SBI:
		snprintf(text, size, "SBI call %s 0x%llx, function %llu", extension_name(record->a),
			 (number)record->a, (number)record->b);
		break;
	case TRACE_ACCESS:
	case TRACE_MMIO:
		access_words(record, text, size);
		break;
	case TRACE_INTERRUPT:
		snprintf(text, size, "%s interrupt of the host", interrupt_name(record->detail));
		break;
	case TRACE_TRAP:
		trap_words(record, text, size);
		break;
	case TRACE_INJECT:
		snprintf(text, size, "is given %s %s interrupt",
			 record->detail == IRQ_S_EXT ? "an" : "a", interrupt_name(record->detail));
		break;
	case TRACE_TURN_END:
		snprintf(text, size, "turn ends: %s", mode_name(record->detail));
		break;
	case TRACE_MOVE:
		snprintf(text, size, "moves to hart %llu", (number)record->a);
		break;
	case TRACE_IPI:
		snprintf(text, size, "IPI to hart %llu, reason %u", (number)record->a,
			 record->detail);
		break;
	default:
		snprintf(text, size, "%s", simple_words(record->kind));
		break;
	}
}
