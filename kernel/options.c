/* SPDX-License-Identifier: MIT */

#include "kernel/options.h"

#include "kernel/log.h"

#include <string.h>

static const char *next_word(const char *s, size_t *length)
{
	s += strspn(s, " \t\n");
	*length = strcspn(s, " \t\n");
	return s;
}

bool option_find(const char *command_line, const char *name, char *value, size_t size)
{
	size_t name_length = strlen(name);
	size_t length;
	bool found = false;

	for (const char *w = next_word(command_line, &length); length;
	     w = next_word(w + length, &length)) {
		if (length < name_length || strncmp(w, name, name_length) != 0 ||
		    (length > name_length && w[name_length] != '='))
			continue;

		size_t from = length > name_length ? name_length + 1 : length;
		size_t n = min_u64(length - from, size - 1);

		memcpy(value, w + from, n);
		value[n] = '\0';
		found = true;
	}
	return found;
}

static bool is_known(const char *word, size_t length, const char *const *known, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (strlen(known[i]) == length && strncmp(word, known[i], length) == 0)
			return true;
	}
	return false;
}

void option_warn_unknown(const char *command_line, const char *const *known, unsigned count)
{
	size_t length;

	for (const char *w = next_word(command_line, &length); length;
	     w = next_word(w + length, &length)) {
		size_t name = strcspn(w, "= \t\n");

		if (strncmp(w, "pilae.", 6) == 0 && !is_known(w, name, known, count))
			log_warn("command line: unknown option %.*s", (int)name, w);
	}
}
