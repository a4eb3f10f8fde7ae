/* SPDX-License-Identifier: MIT */

#include "vmm/report_text.h"

#include "engine/exit.h"
#include "engine/vcpu.h"
#include "kernel/error.h"
#include "riscv/csr.h"
#include "vmm/gvmem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct line {
	char text[REPORT_WIDTH + 1];
	unsigned length;
};

/* What does not fit is cut off. */
static void __printf(2, 3) add(struct line *line, const char *format, ...)
{
	size_t room = sizeof(line->text) - line->length;
	va_list arguments;

	va_start(arguments, format);

	int length = vsnprintf(line->text + line->length, room, format, arguments);

	va_end(arguments);
	if (length > 0)
		line->length += (unsigned)min_u64((uint64_t)length, room - 1);
}

#define TITLE_WIDTH 10

static void begin(struct line *line, const char *title)
{
	line->length = 0;
	add(line, "  %-8s", title);
}

static void put(const struct report_sink *sink, const struct line *line)
{
	sink->put(sink->context, line->text);
}

/* A list that goes on on the next line where it does not fit. */
struct list_text {
	const struct report_sink *sink;
	unsigned lines, lines_max;
	struct line line;
};

static void begin_list(struct list_text *list, const struct report_sink *sink, const char *title,
		       unsigned lines_max)
{
	*list = (struct list_text){.sink = sink, .lines = 1, .lines_max = lines_max};
	begin(&list->line, title);
}

/* false: there was no room for it. */
static bool add_item(struct list_text *list, const struct line *item)
{
	bool first = list->line.length == TITLE_WIDTH;

	if (!first && list->line.length + 2 + item->length > REPORT_WIDTH) {
		if (list->lines == list->lines_max)
			return false;
		put(list->sink, &list->line);
		list->lines++;
		begin(&list->line, "");
		first = true;
	}
	add(&list->line, "%s%s", first ? "" : ", ", item->text);
	return true;
}

static unsigned end_list(struct list_text *list, const char *if_empty)
{
	if (list->line.length == TITLE_WIDTH)
		add(&list->line, "%s", if_empty);
	put(list->sink, &list->line);
	return list->lines;
}

const char *report_register_name(unsigned n)
{
	static const char names[32][5] = {
	    "zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
	    "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
	    "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
	};

	return names[n % 32];
}

void report_cause(uint64_t scause, char *text, size_t size)
{
	static const char *const exceptions[] = {
	    [EXC_INSN_MISALIGNED] = "instruction address misaligned",
	    [EXC_INSN_ACCESS] = "instruction access fault",
	    [EXC_ILLEGAL_INSN] = "illegal instruction",
	    [EXC_BREAKPOINT] = "breakpoint",
	    [EXC_LOAD_MISALIGNED] = "load address misaligned",
	    [EXC_LOAD_ACCESS] = "load access fault",
	    [EXC_STORE_MISALIGNED] = "store address misaligned",
	    [EXC_STORE_ACCESS] = "store access fault",
	    [EXC_ECALL_U] = "ecall from U-mode",
	    [EXC_ECALL_S] = "ecall from S-mode",
	    [EXC_INSN_PAGE] = "instruction page fault",
	    [EXC_LOAD_PAGE] = "load page fault",
	    [EXC_STORE_PAGE] = "store page fault",
	    [EXC_SOFTWARE_CHECK] = "software check",
	    [EXC_HARDWARE_ERROR] = "hardware error",
	};
	static const char *const interrupts[] = {
	    [IRQ_S_SOFT] = "software interrupt",
	    [IRQ_S_TIMER] = "timer interrupt",
	    [IRQ_S_EXT] = "external interrupt",
	};
	uint64_t number = scause & ~SCAUSE_INTERRUPT;
	const char *word = NULL;

	if (scause & SCAUSE_INTERRUPT)
		word = number < ARRAY_SIZE(interrupts) ? interrupts[number] : NULL;
	else
		word = number < ARRAY_SIZE(exceptions) ? exceptions[number] : NULL;
	snprintf(text, size, "%s (%s%llu)", word ? word : "unknown",
		 scause & SCAUSE_INTERRUPT ? "interrupt " : "", (unsigned long long)number);
	/* The words say it already. */
	if (word && scause & SCAUSE_INTERRUPT)
		snprintf(text, size, "%s (%llu)", word, (unsigned long long)number);
}

void report_satp(uint64_t satp, char *text, size_t size)
{
	uint64_t mode = satp >> ATP_MODE_SHIFT;
	uint64_t table = (satp & BITS(43, 0)) << PAGE_SHIFT;

	if (mode == ATP_MODE_BARE)
		snprintf(text, size, "bare");
	else if (mode < ATP_MODE_SV39 || mode > ATP_MODE_SV57)
		snprintf(text, size, "%016llx, of no mode", (unsigned long long)satp);
	else
		snprintf(text, size, "Sv%u, ASID %llu, table %llx",
			 39 + 9 * (unsigned)(mode - ATP_MODE_SV39),
			 (unsigned long long)SATP_ASID(satp), (unsigned long long)table);
}

const char *report_memory_error(int error)
{
	switch (error) {
	case ERR_FAULT:
		return "not mapped";
	case ERR_CORRUPT:
		return "not mapped, as a page table is in no RAM";
	case ERR_NOENT:
		return "never touched, so not backed";
	default:
		return "not in RAM";
	}
}

/* pc and the registers, in three columns. */
unsigned report_text_registers(const struct report_sink *sink, const struct vcpu_state *state)
{
	struct line line;

	for (unsigned row = 0; row < 11; row++) {
		line.length = 0;
		add(&line, "  ");
		for (unsigned n = row; n < 32; n += 11)
			add(&line, "%s%3s %016llx", n == row ? "" : "  ",
			    n ? report_register_name(n) : "pc",
			    (unsigned long long)(n ? state->x[n] : state->pc));
		put(sink, &line);
	}
	return 11;
}

static void add_extension(struct line *line, const char *name, uint64_t field)
{
	static const char *const words[] = {"off", "initial", "clean", "dirty"};

	add(line, " %s=%s", name, words[field & 3]);
}

static void add_status(struct line *line, uint64_t sstatus)
{
	add(line, "%016llx: SPP=%c", (unsigned long long)sstatus,
	    sstatus & SSTATUS_SPP ? 'S' : 'U');
	if (sstatus & SSTATUS_SIE)
		add(line, " SIE");
	if (sstatus & SSTATUS_SPIE)
		add(line, " SPIE");
	if (sstatus & SSTATUS_SUM)
		add(line, " SUM");
	if (sstatus & SSTATUS_MXR)
		add(line, " MXR");
	add_extension(line, "FS", sstatus >> SSTATUS_FS_SHIFT);
	add_extension(line, "VS", sstatus >> SSTATUS_VS_SHIFT);
}

unsigned report_text_csrs(const struct report_sink *sink, const struct vcpu_state *state)
{
	struct line line;
	char words[48];

	begin(&line, "sstatus");
	add_status(&line, state->sstatus);
	put(sink, &line);

	begin(&line, "scause");
	report_cause(state->scause, words, sizeof(words));
	add(&line, "%s, sepc %016llx", words, (unsigned long long)state->sepc);
	put(sink, &line);

	begin(&line, "satp");
	report_satp(state->satp, words, sizeof(words));
	add(&line, "%s, stval %llx", words, (unsigned long long)state->stval);
	put(sink, &line);

	begin(&line, "stvec");
	add(&line, "%llx, sscratch %llx, sie %llx, sip %llx", (unsigned long long)state->stvec,
	    (unsigned long long)state->sscratch, (unsigned long long)state->sie,
	    (unsigned long long)state->sip);
	put(sink, &line);
	return 4;
}

static int read_parcel(const struct vm *vm, const struct vcpu_state *state, uint64_t address,
		       uint16_t *parcel)
{
	return gvmem_read(vm, state->satp, GVA(address), parcel, sizeof(*parcel));
}

#define PARCELS_BEFORE 9
#define PARCELS_BEHIND 9

/* In parcels, as nobody knows where an instruction begins there. False if there are none. */
static bool put_code_before(const struct report_sink *sink, const struct vm *vm,
			    const struct vcpu_state *state)
{
	uint64_t room = (state->pc & (PAGE_SIZE - 1)) / 2;
	uint64_t first = state->pc - 2 * min_u64(room, PARCELS_BEFORE);
	struct line line;
	uint16_t parcel;

	if (first == state->pc)
		return false;
	begin(&line, "code");
	add(&line, "%016llx:", (unsigned long long)first);
	for (uint64_t a = first; a != state->pc; a += 2) {
		if (read_parcel(vm, state, a, &parcel) != 0)
			return false;
		add(&line, " %04x", parcel);
	}
	put(sink, &line);
	return true;
}

static void put_code_behind(const struct report_sink *sink, const struct vm *vm,
			    const struct vcpu_state *state, const char *title)
{
	struct line line;
	uint16_t low, high;

	begin(&line, title);
	add(&line, "%016llx:", (unsigned long long)state->pc);
	for (unsigned n = 0; n < PARCELS_BEHIND; n++) {
		uint64_t address = state->pc + 2 * (uint64_t)n;

		if (read_parcel(vm, state, address, &low) != 0)
			break;
		/* Unpriv., 1.5: the lowest two bits are both set in one of 32 bits or more. */
		if ((low & 3) == 3 && n + 1 < PARCELS_BEHIND &&
		    read_parcel(vm, state, address + 2, &high) == 0) {
			add(&line, " %04x%04x", high, low);
			n++;
		} else {
			add(&line, " %04x", low);
		}
	}
	put(sink, &line);
}

unsigned report_text_code(const struct report_sink *sink, const struct vm *vm,
			  const struct vcpu_state *state)
{
	struct line line;
	uint16_t parcel;
	int error = read_parcel(vm, state, state->pc, &parcel);

	if (error) {
		begin(&line, "code");
		add(&line, "none at pc: %s", report_memory_error(error));
		put(sink, &line);
		return 1;
	}

	bool before = put_code_before(sink, vm, state);

	put_code_behind(sink, vm, state, before ? "  pc ->" : "code ->");
	return before ? 2 : 1;
}

#define CALLERS_MAX 6

/* The frame that *frame points to: its return address, and the caller's frame, further up. */
static bool next_frame(const struct vm *vm, const struct vcpu_state *state, uint64_t *frame,
		       uint64_t *ra)
{
	uint64_t saved[2]; /* s0, ra */
	uint16_t parcel;

	if (*frame < sizeof(saved) || *frame & 7)
		return false;
	if (gvmem_read(vm, state->satp, GVA(*frame - sizeof(saved)), saved, sizeof(saved)) != 0)
		return false;
	*ra = saved[1];
	if (*ra & 1 || read_parcel(vm, state, *ra, &parcel) != 0)
		return false;
	/* So a chain in a circle ends too. */
	*frame = saved[0] > *frame ? saved[0] : 0;
	return true;
}

unsigned report_text_stack(const struct report_sink *sink, const struct vm *vm,
			   const struct vcpu_state *state)
{
	uint64_t frame = state->x[8], ra;
	struct list_text list;

	begin_list(&list, sink, "callers", 2);
	for (unsigned n = 0; n < CALLERS_MAX && next_frame(vm, state, &frame, &ra); n++) {
		struct line item = {.length = 0};

		add(&item, "%llx", (unsigned long long)ra);
		add_item(&list, &item);
	}
	return end_list(&list, "unknown: s0 is no frame pointer");
}

static bool is_letter(char c)
{
	c |= 0x20;
	return c >= 'a' && c <= 'z';
}

/* Extensions have up to four letters for a number; the oldest calls are plain numbers. */
static void add_call(struct line *line, uint64_t extension, uint64_t function)
{
	char name[5] = "";
	unsigned length = 0;
	bool is_name = extension > UINT8_MAX && extension <= UINT32_MAX;

	for (unsigned i = 0; i < 4 && is_name; i++) {
		char c = (char)(extension >> (24 - 8 * i) & 0xff);

		if (c != 0 || length > 0)
			name[length++] = c;
		is_name = length == 0 || is_letter(c);
	}
	if (is_name)
		add(line, "SBI %s %llu", name, (unsigned long long)function);
	else
		add(line, "SBI 0x%llx", (unsigned long long)extension);
}

static void add_exit(struct line *line, const struct exit_note *note)
{
	static const char *const kinds[] = {"fetch", "load", "store"};
	uint64_t more = note->what >> EXIT_NOTE_SHIFT;

	switch ((enum exit_reason)(note->what & BITS(EXIT_NOTE_SHIFT - 1, 0))) {
	case EXIT_SBI:
		add_call(line, note->detail, more);
		break;
	case EXIT_ACCESS:
		add(line, "%s %llx", more < ARRAY_SIZE(kinds) ? kinds[more] : "?",
		    (unsigned long long)note->detail);
		break;
	case EXIT_WFI:
		add(line, "WFI");
		break;
	case EXIT_WRS:
		add(line, "WRS");
		break;
	case EXIT_INTERRUPT:
		add(line, "interrupt");
		break;
	default:
		add(line, "engine");
		break;
	}
	add(line, " @%llx", (unsigned long long)note->pc);
}

unsigned report_text_exits(const struct report_sink *sink, const struct vcpu *vcpu, unsigned lines)
{
	uint64_t count = min_u64(vcpu->exit_count, EXIT_NOTES);
	struct list_text list;
	bool fits = true;

	begin_list(&list, sink, "exits", lines);
	for (uint64_t i = 1; i <= count && fits; i++) {
		struct line item = {.length = 0};

		add_exit(&item, &vcpu->exits[(vcpu->exit_count - i) % EXIT_NOTES]);
		fits = add_item(&list, &item);
	}
	return end_list(&list, "none");
}
