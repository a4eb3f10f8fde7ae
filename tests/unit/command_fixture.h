/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_COMMAND_FIXTURE_H
#define TESTS_UNIT_COMMAND_FIXTURE_H

/*
 * Commands as they are typed: a line goes through shell/command.c to a table, and what is printed
 * comes back. And what docs/shell.md says of them. For one source file of a test program, which is
 * linked with shell/command.c, shell/print.c and shell/completion.c.
 */

#include "tests/unit/fake_kernel.h"

#include "shell/commands.h"
#include "shell/print.h"

static const struct command *typed_at; /* the table */
static char printed[1 << 20];
static size_t printed_length;
static unsigned refused;

/* Names that complete an argument, where the test is not linked with those of shell/cmd_vm.c. */
static const char *vm_to_complete;

__attribute__((weak)) const char *command_vm_name(unsigned index)
{
	return index == 0 ? vm_to_complete : NULL;
}

__attribute__((weak)) const char *command_new_name(int *at)
{
	(void)at;
	return NULL;
}

void shell_write(const char *text, unsigned length)
{
	assert_true(printed_length + length < sizeof(printed));
	memcpy(printed + printed_length, text, length);
	printed_length += length;
	printed[printed_length] = '\0';
	preempt_point();
}

void shell_fail(void)
{
	refused++;
}

/* Runs a line; what it prints is whole lines of what a terminal only shows. */
static const char *run(const char *text)
{
	char line[256];

	printed_length = refused = 0;
	printed[0] = '\0';
	assert_true(strlen(text) < sizeof(line));
	strcpy(line, text);
	command_run(typed_at, line);
	assert_true(printed_length == 0 || printed[printed_length - 1] == '\n');
	for (const char *c = printed; *c; c++)
		assert_true((*c >= ' ' && *c <= '~') || *c == '\n' || *c == '\t');
	return printed;
}

/* Commands that do what they are to do, and such as say that they do not. */
#define expect(text, output)                            \
	do {                                            \
		assert_string_equal(run(text), output); \
		assert_int_equal(refused, 0);           \
	} while (0)
#define expect_refusal(text, output)                    \
	do {                                            \
		assert_string_equal(run(text), output); \
		assert_int_equal(refused, 1);           \
	} while (0)

static inline void expect_part(const char *part)
{
	if (!strstr(printed, part))
		fail_msg("\"%s\" is not in \"%s\"", part, printed);
}

/*
 * A value of JSON in `text`: where it ends; NULL if it is none (RFC 8259). Numbers have no sign,
 * point or exponent.
 */
static const char *skip_json(const char *text);

static inline const char *skip_space(const char *text)
{
	return text + strspn(text, " \n");
}

static inline const char *skip_string(const char *text)
{
	if (*text++ != '"')
		return NULL;
	for (; *text != '"'; text++) {
		if (*text < ' ' || *text > '~')
			return NULL;
		if (*text == '\\' && *++text == 'u') {
			if (strspn(text + 1, "0123456789abcdef") < 4)
				return NULL;
			text += 4;
		}
	}
	return text + 1;
}

static inline const char *skip_members(const char *text, char end)
{
	text = skip_space(text + 1);
	while (*text != end) {
		if (end == '}') {
			text = skip_string(text);
			if (!text || *(text = skip_space(text)) != ':')
				return NULL;
			text = skip_space(text + 1);
		}
		text = skip_json(text);
		if (!text)
			return NULL;
		text = skip_space(text);
		if (*text == ',' && *(text = skip_space(text + 1)) == end)
			return NULL;
	}
	return text + 1;
}

static inline const char *skip_json(const char *text)
{
	if (*text == '[')
		return skip_members(text, ']');
	if (*text == '{')
		return skip_members(text, '}');
	if (*text == '"')
		return skip_string(text);
	if (strncmp(text, "true", 4) == 0)
		return text + 4;
	if (strncmp(text, "false", 5) == 0)
		return text + 5;
	return strspn(text, "0123456789") ? text + strspn(text, "0123456789") : NULL;
}

/* One array of objects, in JSON, and nothing else. */
static inline const char *run_json(const char *text)
{
	const char *end;

	run(text);
	assert_int_equal(refused, 0);
	end = skip_json(printed);
	if (printed[0] != '[' || !end || strcmp(end, "\n") != 0)
		fail_msg("no JSON: \"%s\"", printed);
	return printed;
}

/* docs/shell.md, as it is in the tree where the tests run. */
static inline const char *documentation(void)
{
	static char text[65536];
	FILE *file = fopen("docs/shell.md", "r");
	size_t length;

	assert_non_null(file);
	length = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[length] = '\0';
	return text;
}

/* What the table of commands there has between its backticks for this one, or NULL. */
static inline const char *documented(const char *group, const char *name)
{
	static char line[128];
	char begin[64];
	size_t length = (size_t)snprintf(begin, sizeof(begin), "\n| `%s%s", group, name);
	const char *at = documentation();

	while ((at = strstr(at, begin)) != NULL && at[length] != ' ' && at[length] != '`')
		at += length;
	if (!at)
		return NULL;
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(at + 4, "`"), at + 4);
	return line;
}

static inline bool takes_json(const char *group, const char *name)
{
	const char *list = strstr(documentation(), "\n`vm list`, "), *end;
	char word[64];
	const char *at;

	assert_non_null(list);
	end = strstr(list, "`--json`");
	snprintf(word, sizeof(word), "`%s%s`", group, name);
	at = strstr(list, word);
	return at && at < end;
}

/* Each command of the table is there, with what it takes. `group`: its word and a space. */
static inline void check_documented(const struct command *table, const char *group)
{
	for (; table->name; table++) {
		const char *line;

		if (table->group)
			continue;
		line = documented(group, table->name);
		if (!line)
			fail_msg("docs/shell.md has no %s%s", group, table->name);
		assert_int_equal(strstr(line, " NAME") != NULL,
				 (table->takes & (COMMAND_NAME | COMMAND_NEW_NAME)) != 0);
		assert_int_equal(
		    strstr(line, " [") || strstr(line, " ADDRESS"),
		    (table->takes & (COMMAND_NUMBER | COMMAND_NUMBERS | COMMAND_WORD)) != 0);
		assert_int_equal(takes_json(group, table->name),
				 (table->takes & COMMAND_JSON) != 0);
	}
}

#endif
