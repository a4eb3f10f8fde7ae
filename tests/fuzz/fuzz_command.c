/* SPDX-License-Identifier: MIT */
/* unit: shell/command.c shell/print.c shell/completion.c */

/*
 * A line of the shell: a command that runs has what its table says, and nothing else; all that is
 * printed is what may go to a terminal. What is offered to complete the line makes it longer.
 */
#include "tests/fuzz/fenced.h"

#include "shell/command.h"
#include "shell/print.h"

#define LINE_MAX_HERE 1024

static unsigned ran, refused, printed;
static unsigned takes; /* of the command that ran */

void shell_fail(void)
{
	refused++;
}

void shell_write(const char *text, unsigned length)
{
	printed += length;
	check(memchr(text, '\0', length) == NULL);
}

const char *command_vm_name(unsigned index)
{
	static const char *const names[] = {"web", "west", "db"};

	return index < ARRAY_SIZE(names) ? names[index] : NULL;
}

const char *command_new_name(int *at)
{
	static const char *const names[] = {"mail", "mailer", "old"};

	return *at < (int)ARRAY_SIZE(names) ? names[(*at)++] : NULL;
}

static bool is_among(const char *name, bool described)
{
	const char *other;
	int at = 0;

	for (unsigned i = 0; (other = described ? command_new_name(&at) : command_vm_name(i));
	     i++) {
		if (strcmp(name, other) == 0)
			return true;
	}
	return false;
}

static void check_call(const struct command_call *call)
{
	unsigned most = takes & COMMAND_NUMBERS ? COMMAND_NUMBERS_MAX : !!(takes & COMMAND_NUMBER);

	ran++;
	check(!call->json || takes & COMMAND_JSON);
	check(!call->word || takes & COMMAND_WORD);
	check(call->number_count <= most);
	check(!call->vm == !(takes & (COMMAND_NAME | COMMAND_NEW_NAME)));
	if (call->vm)
		check(is_among(call->vm, takes & COMMAND_NEW_NAME));
}

/* One function for each of what commands take. */
#define RUN(name, what)                                         \
	static void run_##name(const struct command_call *call) \
	{                                                       \
		takes = what;                                   \
		check_call(call);                               \
	}

RUN(none, 0)
RUN(json, COMMAND_JSON)
RUN(name, COMMAND_NAME | COMMAND_JSON | COMMAND_NUMBER)
RUN(new_name, COMMAND_NEW_NAME)
RUN(numbers, COMMAND_NAME | COMMAND_NUMBERS | COMMAND_WORD)
RUN(word, COMMAND_WORD | COMMAND_NUMBER | COMMAND_JSON)

static const struct command vm_group[] = {
    {"list", "", NULL, COMMAND_JSON, run_json},
    {"stop", "", NULL, COMMAND_NAME | COMMAND_JSON | COMMAND_NUMBER, run_name},
    {"start", "", NULL, COMMAND_NAME | COMMAND_JSON | COMMAND_NUMBER, run_name},
    {"define", "", NULL, COMMAND_NEW_NAME, run_new_name},
    {"mem", "", NULL, COMMAND_NAME | COMMAND_NUMBERS | COMMAND_WORD, run_numbers},
    {NULL, NULL, NULL, 0, NULL},
};

static const struct command table[] = {
    {"vm", "", vm_group, 0, NULL},
    {"help", "", NULL, 0, run_none},
    {"trace", "", NULL, COMMAND_WORD | COMMAND_NUMBER | COMMAND_JSON, run_word},
    {NULL, NULL, NULL, 0, NULL},
};

static void complete(const char *text, unsigned length)
{
	struct completion completion = {.word = text + length};

	while (completion.word > text && completion.word[-1] != ' ')
		completion.word--;
	completion.length = (unsigned)(text + length - completion.word);
	if (completion.length >= COMPLETION_WORD)
		return;
	command_complete(table, text, length, &completion);
	check(completion.list_length <= COMPLETION_SIZE);
	check(!completion.count ||
	      strncmp(completion.common, completion.word, completion.length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t text[LINE_MAX_HERE];
	char *line;

	if (size >= sizeof(text) || (size && memchr(data, '\0', size)))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	line = fenced_copy(text, size + 1, 1);
	for (unsigned length = 0; length <= size && length < 64; length++)
		complete(line, length);
	ran = refused = printed = 0;
	command_run(table, line);
	/* It runs, or is refused in words, or there is nothing in it. */
	check(ran + refused <= 1 && !refused == !printed);
	return 0;
}
