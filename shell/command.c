/* SPDX-License-Identifier: MIT */

#include "shell/command.h"

#include "shell/print.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define JSON       "--json"
#define TAKES_NAME (COMMAND_NAME | COMMAND_NEW_NAME)
#define HELP_WIDTH 24 /* columns of the commands, before what they do */

struct words {
	unsigned count; /* may be one too many */
	char *at[COMMAND_WORDS_MAX + 1];
};

static void split(char *line, struct words *words)
{
	words->count = 0;
	for (char *s = line; words->count <= COMMAND_WORDS_MAX;) {
		s += strspn(s, " \t");
		if (*s == '\0')
			return;
		words->at[words->count++] = s;
		s += strcspn(s, " \t");
		if (*s != '\0')
			*s++ = '\0';
	}
}

/* Whether `name` begins with the `length` bytes at `prefix`. */
static bool begins(const char *name, const char *prefix, size_t length)
{
	return strncmp(name, prefix, length) == 0;
}

/* The command that a word names, alone by its beginning; how many do goes to *count. */
static const struct command *find(const struct command *table, const char *word, size_t length,
				  unsigned *count)
{
	const struct command *found = NULL;

	*count = 0;
	for (const struct command *c = table; c->name; c++) {
		if (!begins(c->name, word, length))
			continue;
		if (c->name[length] == '\0') {
			*count = 1;
			return c;
		}
		found = c;
		++*count;
	}
	return *count == 1 ? found : NULL;
}

/* The names of a table's commands that begin with `prefix`. */
static void print_names(const struct command *table, const char *prefix)
{
	const char *separator = "";

	for (const struct command *c = table; c->name; c++) {
		if (!begins(c->name, prefix, strlen(prefix)))
			continue;
		shell_print("%s%s", separator, c->name);
		separator = ", ";
	}
	shell_print("\n");
}

static const struct command *look_up(const struct command *table, const char *word)
{
	unsigned count;
	const struct command *command = find(table, word, strlen(word), &count);

	if (!command) {
		shell_refuse("%.64s: %s: ", word,
			     count ? "may be one of" : "no such command; have");
		print_names(table, count ? word : "");
	}
	return command;
}

/* `group` is the name of the command's group, or empty. */
static void print_use(const char *group, const struct command *command, char *use, size_t size)
{
	snprintf(use, size, "%s%s%s%s%s%s%s", group, *group ? " " : "", command->name,
		 command->takes & TAKES_NAME ? " NAME" : "",
		 command->takes & COMMAND_NUMBERS  ? " [NUMBER [NUMBER]]"
		 : command->takes & COMMAND_NUMBER ? " [NUMBER]"
						   : "",
		 command->takes & COMMAND_WORD ? " [WORD]" : "",
		 command->takes & COMMAND_JSON ? " [" JSON "]" : "");
}

static void tell_expected(const char *group, const struct command *command)
{
	char use[SHELL_PRINT_MAX / 2];

	print_use(group, command, use, sizeof(use));
	shell_refuse("expected: %s\n", use);
}

static bool is_vm(const char *name)
{
	const char *other;

	for (unsigned i = 0; (other = command_vm_name(i)) != NULL; i++) {
		if (strcmp(name, other) == 0)
			return true;
	}
	return false;
}

static void tell_no_vm(const char *name)
{
	const char *other;

	shell_refuse("%.64s: no such VM; have: ", name);
	for (unsigned i = 0; (other = command_vm_name(i)) != NULL; i++)
		shell_print("%s%s", i ? ", " : "", other);
	shell_print("%s\n", command_vm_name(0) ? "" : "none");
}

static bool is_new_name(const char *name)
{
	const char *other;
	int at = 0;

	while ((other = command_new_name(&at)) != NULL && strcmp(name, other) != 0)
		;
	return other;
}

static void tell_not_described(const char *name)
{
	const char *other, *separator = "";
	int at = 0;

	shell_refuse("%.64s: the system does not describe it; it has besides: ", name);
	while ((other = command_new_name(&at)) != NULL) {
		shell_print("%s%s", separator, other);
		separator = ", ";
	}
	shell_print("%s\n", *separator ? "" : "none");
}

/* The value of a digit, up to 15; else more. */
static unsigned digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A') + 10;
	return UINT_MAX;
}

/* Reads a number: decimal, or with 0x. false if it is none, or above 64 bits. */
static bool read_number(const char *word, uint64_t *number)
{
	unsigned base = word[0] == '0' && (word[1] == 'x' || word[1] == 'X') ? 16 : 10;
	uint64_t value = 0;

	if (base == 16)
		word += 2;
	if (*word == '\0')
		return false;
	for (; *word; word++) {
		if (digit(*word) >= base || __builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit(*word), &value))
			return false;
	}
	*number = value;
	return true;
}

static bool take_number(const struct command *command, const char *word, struct command_call *call)
{
	unsigned most = command->takes & COMMAND_NUMBERS  ? COMMAND_NUMBERS_MAX
			: command->takes & COMMAND_NUMBER ? 1
							  : 0;

	if (call->number_count == most || call->word ||
	    !read_number(word, &call->numbers[call->number_count]))
		return false;
	call->number_count++;
	return true;
}

static bool take_word(const struct command *command, const char *word, struct command_call *call)
{
	if (!(command->takes & COMMAND_WORD) || call->word || (word[0] >= '0' && word[0] <= '9'))
		return false;
	call->word = word;
	return true;
}

/* Takes one argument; false if it is none that the command has. */
static bool take_argument(const struct command *command, const char *word,
			  struct command_call *call)
{
	if (command->takes & COMMAND_JSON && strcmp(word, JSON) == 0 && !call->json) {
		call->json = true;
		return true;
	}
	if (word[0] == '-')
		return false;
	if (command->takes & TAKES_NAME && !call->vm) {
		call->vm = word;
		return true;
	}
	return take_number(command, word, call) || take_word(command, word, call);
}

static void call_command(const char *group, const struct command *command,
			 const struct words *words, unsigned first)
{
	struct command_call call = {.vm = NULL};

	for (unsigned i = first; i < words->count; i++) {
		if (!take_argument(command, words->at[i], &call)) {
			shell_print("%.64s: not understood; ", words->at[i]);
			tell_expected(group, command);
			return;
		}
	}
	if (command->takes & TAKES_NAME && !call.vm)
		tell_expected(group, command);
	else if (call.vm && command->takes & COMMAND_NAME && !is_vm(call.vm))
		tell_no_vm(call.vm);
	else if (call.vm && command->takes & COMMAND_NEW_NAME && is_vm(call.vm))
		shell_refuse("%s: there is a VM of this name already\n", call.vm);
	else if (call.vm && command->takes & COMMAND_NEW_NAME && !is_new_name(call.vm))
		tell_not_described(call.vm);
	else
		command->run(&call);
}

static void run_group(const struct command *group, const struct words *words)
{
	const struct command *command;

	if (words->count == 1) {
		shell_refuse("%s: expected one of: ", group->name);
		print_names(group->group, "");
		return;
	}
	command = look_up(group->group, words->at[1]);
	if (command)
		call_command(group->name, command, words, 2);
}

void command_run(const struct command *table, char *line)
{
	struct words words;
	const struct command *command;

	split(line, &words);
	if (words.count == 0)
		return;
	if (words.count > COMMAND_WORDS_MAX) {
		shell_refuse("too many words: a command has at most %u\n", COMMAND_WORDS_MAX);
		return;
	}
	command = look_up(table, words.at[0]);
	if (command && command->group)
		run_group(command, &words);
	else if (command)
		call_command("", command, &words, 1);
}

static void offer_names(const struct command *table, struct completion *completion)
{
	for (const struct command *c = table; c->name; c++)
		completion_offer(completion, c->name);
}

static void offer_arguments(const struct command *command, struct completion *completion)
{
	const char *name;
	int at = 0;

	if (command->takes & COMMAND_JSON)
		completion_offer(completion, JSON);
	for (unsigned i = 0; command->takes & COMMAND_NAME && (name = command_vm_name(i)); i++)
		completion_offer(completion, name);
	while (command->takes & COMMAND_NEW_NAME && (name = command_new_name(&at)))
		completion_offer(completion, name);
}

void command_complete(const struct command *table, const char *text, unsigned length,
		      struct completion *completion)
{
	const struct command *command = NULL;
	const char *end = text + length - completion->length;
	unsigned count;

	/* The words before the one that is completed say what it may be. */
	for (const char *s = text; s < end;) {
		const char *word = s;

		while (s < end && *s != ' ')
			s++;
		if (s > word && table) {
			command = find(table, word, (size_t)(s - word), &count);
			if (!command)
				return;
			table = command->group;
		}
		while (s < end && *s == ' ')
			s++;
	}
	if (table)
		offer_names(table, completion);
	else if (command)
		offer_arguments(command, completion);
}

static void help_line(const char *group, const struct command *command)
{
	char use[SHELL_PRINT_MAX / 2];

	print_use(group, command, use, sizeof(use));
	shell_print("  %-*s %s\n", HELP_WIDTH, use, command->help);
}

void command_help(const struct command *table)
{
	for (const struct command *c = table; c->name; c++) {
		for (const struct command *sub = c->group; sub && sub->name; sub++)
			help_line(c->name, sub);
		if (!c->group)
			help_line("", c);
	}
}
