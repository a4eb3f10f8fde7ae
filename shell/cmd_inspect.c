/* SPDX-License-Identifier: MIT */

/* The commands that look into VMs, `vm regs|dump|mem`, and `log`. */

#include "kernel/error.h"
#include "kernel/log.h"
#include "kernel/trap.h"
#include "shell/commands.h"
#include "shell/print.h"
#include "vmm/gmem.h"
#include "vmm/gvmem.h"
#include "vmm/vm.h"

#include <stdio.h>
#include <string.h>

#define DUMP_DEFAULT 128
#define DUMP_MAX     KIB(64)
#define DUMP_LINE    16

/* The VM that is to be looked into; NULL: it has none of what there is to see, and this is told. */
static struct vm *find_built(const struct command_call *call)
{
	struct vm *vm = vm_by_name(call->vm);

	if (vm->vcpus)
		return vm;
	shell_refuse("%s: it does not run, so nothing is kept of it\n", call->vm);
	return NULL;
}

/* The vCPU of the command; NULL if there is none, and this is told. */
static struct vcpu *find_vcpu(const struct command_call *call)
{
	const struct vm *vm = find_built(call);
	uint64_t number = call->number_count > 0 ? call->numbers[0] : 0;

	if (!vm)
		return NULL;
	if (number >= vm->config.vcpus) {
		shell_refuse("%llu: no such vCPU; %s has %u, numbered from 0\n",
			     (unsigned long long)number, call->vm, vm->config.vcpus);
		return NULL;
	}
	return vm->vcpus[number];
}

static void put_line(void *context, const char *line)
{
	(void)context;
	shell_print("%s\n", line);
}

static const struct report_sink terminal = {put_line, NULL};

/* As text: numbers of JSON are often taken for floating point, which has 53 bits. */
static void json_hex(struct shell_json *json, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
	shell_json_string(json, name, text);
}

static void regs_json(struct vcpu *vcpu)
{
	struct vcpu_state state;
	struct shell_json json;

	report_capture(vcpu, &state);
	shell_json_begin(&json);
	shell_json_object(&json);
	shell_json_number(&json, "vcpu", vcpu->id);
	shell_json_string(&json, "state", report_vcpu_word(vcpu));
	shell_json_string(&json, "mode", state.user ? "U" : "S");
	json_hex(&json, "pc", state.pc);
	for (unsigned n = 1; n < 32; n++)
		json_hex(&json, report_register_name(n), state.x[n]);
	json_hex(&json, "sstatus", state.sstatus);
	json_hex(&json, "sie", state.sie);
	json_hex(&json, "sip", state.sip);
	json_hex(&json, "stvec", state.stvec);
	json_hex(&json, "sscratch", state.sscratch);
	json_hex(&json, "sepc", state.sepc);
	json_hex(&json, "scause", state.scause);
	json_hex(&json, "stval", state.stval);
	json_hex(&json, "satp", state.satp);
	shell_json_end(&json);
}

void inspect_regs(const struct command_call *call)
{
	struct vcpu *vcpu = find_vcpu(call);

	if (vcpu && call->json)
		regs_json(vcpu);
	else if (vcpu)
		report_registers(vcpu, &terminal);
}

void inspect_dump(const struct command_call *call)
{
	struct vcpu *vcpu = find_vcpu(call);

	if (vcpu)
		report_dump(vcpu, &terminal);
}

/* What `vm mem` shows. */
struct range_call {
	const struct vm *vm;
	bool is_virtual;
	uint64_t satp; /* of its vCPU 0 */
	uint64_t address, count;
	struct shell_json json;
};

static int read_piece(const struct range_call *range, uint64_t address, uint8_t *bytes,
		      uint64_t size)
{
	return range->is_virtual ? gvmem_read(range->vm, range->satp, GVA(address), bytes, size)
				 : gmem_peek(range->vm, GPA(address), bytes, size);
}

/* Two digits; snprintf() would take long. */
static char *put_hex(char *text, uint8_t byte)
{
	static const char digits[] = "0123456789abcdef";

	*text++ = digits[byte >> 4];
	*text++ = digits[byte & 15];
	return text;
}

static void print_bytes(uint64_t address, const uint8_t *bytes, unsigned size)
{
	char hex[3 * DUMP_LINE + 2], text[DUMP_LINE + 1];
	char *at = hex;

	for (unsigned i = 0; i < size; i++) {
		if (i == DUMP_LINE / 2)
			*at++ = ' ';
		*at++ = ' ';
		at = put_hex(at, bytes[i]);
		text[i] = bytes[i] >= ' ' && bytes[i] < 0x7f ? (char)bytes[i] : '.';
	}
	*at = '\0';
	text[size] = '\0';
	shell_print("%016llx: %-*s  %s\n", (unsigned long long)address, (int)sizeof(hex) - 1, hex,
		    text);
}

static void show_bytes(struct range_call *range, bool json, uint64_t address, const uint8_t *bytes,
		       unsigned size)
{
	char text[2 * DUMP_LINE + 1];
	char *at = text;

	if (!json) {
		print_bytes(address, bytes, size);
		return;
	}
	for (unsigned i = 0; i < size; i++)
		at = put_hex(at, bytes[i]);
	*at = '\0';
	shell_json_object(&range->json);
	json_hex(&range->json, "address", address);
	shell_json_string(&range->json, "bytes", text);
}

static void show_hole(struct range_call *range, bool json, uint64_t address, uint64_t size,
		      int error)
{
	if (!json) {
		shell_print("%016llx: %llu bytes %s\n", (unsigned long long)address,
			    (unsigned long long)size, report_memory_error(error));
		return;
	}
	shell_json_object(&range->json);
	json_hex(&range->json, "address", address);
	shell_json_number(&range->json, "count", size);
	shell_json_string(&range->json, "missing", report_memory_error(error));
}

/* How many bytes from `address` on lie in pages that cannot be read for the same reason. */
static uint64_t hole_size(const struct range_call *range, uint64_t address, uint64_t count,
			  int error)
{
	uint64_t size = 0;
	uint8_t byte;

	while (size < count && read_piece(range, address + size, &byte, 1) == error) {
		uint64_t next = PAGE_SIZE - ((address + size) & (PAGE_SIZE - 1));

		size += min_u64(next, count - size);
		preempt_point();
	}
	return size;
}

static void show_range(struct range_call *range, bool json)
{
	uint8_t bytes[DUMP_LINE];
	uint64_t done = 0;

	while (done < range->count) {
		uint64_t address = range->address + done;
		uint64_t size = min_u64(DUMP_LINE - address % DUMP_LINE, range->count - done);
		int error = read_piece(range, address, bytes, size);

		if (!error) {
			show_bytes(range, json, address, bytes, (unsigned)size);
		} else {
			size = hole_size(range, address, range->count - done, error);
			/* It can be read by now. */
			if (size == 0)
				continue;
			show_hole(range, json, address, size, error);
		}
		done += size;
	}
}

/* Whether the command's words make a range; what is wrong is told. */
static bool parse_range(const struct command_call *call, struct range_call *range)
{
	if (call->number_count == 0) {
		shell_refuse("expected: vm mem NAME ADDRESS [COUNT] [virtual]\n");
		return false;
	}
	if (call->word && strcmp(call->word, "virtual") != 0) {
		shell_refuse("%s: not understood; expected virtual, or nothing\n", call->word);
		return false;
	}
	range->is_virtual = call->word;
	range->address = call->numbers[0];
	range->count = call->number_count > 1 ? call->numbers[1] : DUMP_DEFAULT;
	if (range->count == 0 || range->count > DUMP_MAX) {
		shell_refuse("%llu: not a number of bytes to show; expected 1 to %llu\n",
			     (unsigned long long)range->count, (unsigned long long)DUMP_MAX);
		return false;
	}
	/* No range goes on from the last address to the first. */
	range->count = min_u64(range->count - 1, UINT64_MAX - range->address) + 1;
	return true;
}

void inspect_mem(const struct command_call *call)
{
	struct range_call range;
	struct vcpu_state state;

	if (!parse_range(call, &range))
		return;
	range.vm = find_built(call);
	if (!range.vm)
		return;
	report_capture(range.vm->vcpus[0], &state);
	range.satp = state.satp;
	if (call->json)
		shell_json_begin(&range.json);
	show_range(&range, call->json);
	if (call->json)
		shell_json_end(&range.json);
}

void inspect_log(const struct command_call *call)
{
	static char line[LOG_LINE_MAX];
	uint64_t position = 0;
	struct shell_json json;

	if (call->json)
		shell_json_begin(&json);
	while (log_next(&position, line, sizeof(line))) {
		if (call->json) {
			shell_json_object(&json);
			shell_json_string(&json, "message", line);
		} else {
			/* Longer than shell_print() takes. */
			shell_write(line, (unsigned)strlen(line));
			shell_write("\n", 1);
		}
	}
	if (call->json)
		shell_json_end(&json);
}
