/* SPDX-License-Identifier: MIT */

#include "shell/completion.h"

#include <string.h>

static void keep_common(struct completion *completion, const char *word)
{
	unsigned n = 0;

	while (completion->common[n] && completion->common[n] == word[n])
		n++;
	completion->common[n] = '\0';
}

void completion_offer(struct completion *completion, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(word, completion->word, completion->length) != 0 || length >= COMPLETION_WORD)
		return;
	if (completion->count++ == 0)
		memcpy(completion->common, word, length + 1);
	else
		keep_common(completion, word);
	if (length + 2 > COMPLETION_SIZE - completion->list_length)
		return;
	memcpy(completion->list + completion->list_length, word, length);
	memcpy(completion->list + completion->list_length + length, "  ", 2);
	completion->list_length += (unsigned)length + 2;
}
