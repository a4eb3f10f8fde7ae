/* SPDX-License-Identifier: MIT */

/* `trace …`: recording what happens, and showing it (docs/tracing.md). */

#include "engine/vcpu.h"
#include "kernel/error.h"
#include "kernel/hart.h"
#include "kernel/platform.h"
#include "kernel/trace.h"
#include "kernel/trap.h"
#include "shell/commands.h"
#include "shell/print.h"
#include "shell/trace_words.h"
#include "vmm/vm.h"

#include <stdio.h>
#include <string.h>

#define RING_ORDER_MAX 7 /* 512 KiB a hart; less where memory is short */
#define SHOWN          40
#define DUMP_VERSION   1U

/* What may be asked for in `trace on`. */
static const struct {
	const char *name;
	uint32_t kinds;
} groups[] = {
    {"exits", BIT(TRACE_ENTER) | BIT(TRACE_SBI) | BIT(TRACE_ACCESS) | BIT(TRACE_WFI) |
		  BIT(TRACE_INTERRUPT) | BIT(TRACE_OTHER) | BIT(TRACE_TRAP)},
    {"sbi", BIT(TRACE_ENTER) | BIT(TRACE_SBI)},
    {"mmio", BIT(TRACE_ENTER) | BIT(TRACE_ACCESS) | BIT(TRACE_MMIO)},
    {"inject", BIT(TRACE_INJECT)},
    {"schedule", BIT(TRACE_TURN) | BIT(TRACE_TURN_END) | BIT(TRACE_WORK) | BIT(TRACE_WORK_END) |
		     BIT(TRACE_IDLE) | BIT(TRACE_IDLE_END) | BIT(TRACE_WAKE) | BIT(TRACE_MOVE)},
    {"ipi", BIT(TRACE_IPI)},
    {"all", BIT(TRACE_KINDS) - 1},
};

/* The kinds of one group. 0: there is no such group. */
static uint32_t find_group(const char *name, size_t length)
{
	for (unsigned i = 0; i < ARRAY_SIZE(groups); i++) {
		if (strlen(groups[i].name) == length && strncmp(groups[i].name, name, length) == 0)
			return groups[i].kinds;
	}
	shell_refuse("%.*s: nothing that can be traced; have: ", (int)length, name);
	for (unsigned i = 0; i < ARRAY_SIZE(groups); i++)
		shell_print("%s%s", i ? ", " : "", groups[i].name);
	shell_print("\n");
	return 0;
}

/* Names of groups with commas between them. 0: one of them is wrong. */
static uint32_t read_kinds(const char *word)
{
	uint32_t kinds = 0, group = 1;

	for (;;) {
		size_t length = strcspn(word, ",");

		group = find_group(word, length);
		kinds |= group;
		if (!group || word[length] == '\0')
			return group ? kinds : 0;
		word += length + 1;
	}
}

static uint64_t memory(unsigned order)
{
	return (PAGE_SIZE << order) * hart_count();
}

/* Memory for the rings that no VM is promised: as much of it as there is, up to what is useful. */
static bool get_memory(void)
{
	for (int order = RING_ORDER_MAX; order >= 0; order--) {
		if (!vm_commit_own(memory((unsigned)order)))
			continue;
		if (trace_allocate((unsigned)order) == 0)
			return true;
		vm_uncommit_own(memory((unsigned)order));
	}
	return false;
}

static void trace_on(const struct command_call *call)
{
	uint32_t kinds = read_kinds(call->word ? call->word : "all");

	if (!kinds)
		return;
	if (!trace_ring_bytes() && !get_memory()) {
		shell_refuse("trace: no memory left that is not promised to VMs\n");
		return;
	}
	trace_begin(kinds);
	shell_print("the last %llu records of each hart are kept\n",
		    (unsigned long long)trace_rings()->size);
}

static void trace_off(const struct command_call *call)
{
	(void)call;
	trace_stop();
}

static void trace_clear(const struct command_call *call)
{
	uint64_t bytes = trace_ring_bytes() * hart_count();

	(void)call;
	if (!bytes)
		return;
	trace_stop();
	trace_free();
	vm_uncommit_own(bytes);
}

static bool has_records(void)
{
	if (!trace_ring_bytes())
		shell_refuse("nothing has been recorded; `trace on` begins to\n");
	return trace_ring_bytes();
}

static const char *name_of(uint32_t who)
{
	const struct vm *vm = vm_by_number(who >> 16);

	return vm ? vm->config.name : "?";
}

static void show_record(const struct trace_record *record, unsigned hart)
{
	uint64_t ns = time_ticks_to_ns(record->time);
	char words[SHELL_PRINT_MAX / 2], who[VMCONFIG_NAME_MAX + 8] = "-";

	if (record->who)
		snprintf(who, sizeof(who), "%s/%u", name_of(record->who), record->who & 0xffff);
	trace_words(record, words, sizeof(words));
	shell_print("%6llu.%09llu  hart %-3llu %-12s %s\n", (unsigned long long)(ns / 1000000000),
		    (unsigned long long)(ns % 1000000000),
		    (unsigned long long)hart_by_index(hart)->id, who, words);
}

static void trace_show(const struct command_call *call)
{
	static struct trace_cursor cursor;
	uint64_t most = call->number_count ? call->numbers[0] : SHOWN;
	bool was_on = trace_is_recording();
	const struct trace_record *record;
	unsigned hart;

	if (!has_records())
		return;
	trace_stop();
	trace_cursor_init(&cursor, trace_rings(), hart_count());
	while (most-- > 0 && trace_cursor_back(&cursor))
		preempt_point();
	while ((record = trace_cursor_next(&cursor, &hart)) != NULL)
		show_record(record, hart);
	if (was_on)
		trace_go_on();
}

/*
 * A line of the dump, in one piece, so that nothing comes between: after the mark a sum of its
 * bytes.
 */
static void dump_line(const char *text)
{
	uint8_t sum = 0;

	for (const char *s = text; *s; s++)
		sum = (uint8_t)(sum + (uint8_t)*s);
	shell_print("pilae-trace %02x %s\n", sum, text);
}

/* A record, without the zeroes at its end: time since the one before, kind, and so on, in hex. */
static int print_record(char *text, size_t size, const struct trace_record *record, uint64_t *time)
{
	const uint64_t fields[] = {record->time - *time, record->kind, record->detail,
				   record->who,          record->a,    record->b};
	unsigned count = ARRAY_SIZE(fields);
	int length = 0;

	*time = record->time;
	while (count > 2 && fields[count - 1] == 0)
		count--;
	for (unsigned i = 0; i < count; i++)
		length += snprintf(text + length, size - (size_t)length, "%s%llx", i ? "," : " ",
				   (unsigned long long)fields[i]);
	return length;
}

#define RECORD_TEXT_MAX \
	64 /* of one: 2 * 16 + 16 + 8 + 4 + 2 + 6 digits and commas, nearly always */
#define LINE_TEXT_MAX 200

static void dump_ring(const struct trace_ring *ring, unsigned index)
{
	uint64_t count = trace_ring_count(ring), time = 0;
	char line[SHELL_PRINT_MAX];
	int length = 0;

	snprintf(line, sizeof(line), "hart %u id=%llu records=%llu lost=%llu", index,
		 (unsigned long long)hart_by_index(index)->id, (unsigned long long)count,
		 (unsigned long long)trace_ring_lost(ring));
	dump_line(line);
	for (uint64_t i = 0; i < count; i++) {
		if (length == 0)
			length = snprintf(line, sizeof(line), "r %u", index);
		length += print_record(line + length, sizeof(line) - (size_t)length,
				       trace_ring_at(ring, i), &time);
		if (length > LINE_TEXT_MAX - RECORD_TEXT_MAX || i == count - 1) {
			dump_line(line);
			length = 0;
		}
	}
}

static void dump_vms(void)
{
	char line[SHELL_PRINT_MAX];
	const struct vm *vm;

	for (vm = vm_next(NULL); vm; vm = vm_next(vm)) {
		snprintf(line, sizeof(line), "vm %u vcpus=%u name=%s", vm->number, vm->config.vcpus,
			 vm->config.name);
		dump_line(line);
	}
}

static void trace_dump(const struct command_call *call)
{
	bool was_on = trace_is_recording();
	char line[SHELL_PRINT_MAX];
	uint64_t count = 0;

	(void)call;
	if (!has_records())
		return;
	trace_stop();
	for (unsigned i = 0; i < hart_count(); i++)
		count += trace_ring_count(&trace_rings()[i]);
	snprintf(line, sizeof(line), "begin version=%u timebase=%llu harts=%u records=%llu",
		 DUMP_VERSION, (unsigned long long)platform.timebase, hart_count(),
		 (unsigned long long)count);
	dump_line(line);
	dump_vms();
	for (unsigned i = 0; i < hart_count(); i++)
		dump_ring(&trace_rings()[i], i);
	snprintf(line, sizeof(line), "end records=%llu", (unsigned long long)count);
	dump_line(line);
	if (was_on)
		trace_go_on();
}

const struct command trace_commands[] = {
    {"on", "record: exits, sbi, mmio, inject, schedule, ipi, all", NULL, COMMAND_WORD, trace_on},
    {"off", "stop recording; what there is can be shown", NULL, 0, trace_off},
    {"show", "the last 40 records, or so many", NULL, COMMAND_NUMBER, trace_show},
    {"dump", "all records, for tools/trace2json", NULL, 0, trace_dump},
    {"clear", "stop, forget all, give the memory back", NULL, 0, trace_clear},
    {NULL, NULL, NULL, 0, NULL},
};
