/* SPDX-License-Identifier: MIT */
#ifndef SHELL_COMPLETION_H
#define SHELL_COMPLETION_H

/* What the word that is being typed may go on as. */

#include "kernel/types.h"

#define COMPLETION_WORD 256 /* with the terminator */
#define COMPLETION_SIZE 512

/* How the word before the cursor may go on. */
struct completion {
	const char *word; /* as it was typed: `length` bytes */
	unsigned length;
	unsigned count;               /* words that were offered and fit */
	char common[COMPLETION_WORD]; /* with what they all begin */
	char list[COMPLETION_SIZE];   /* all of them, as far as there is room */
	unsigned list_length;
};

/* Offers a word, shorter than COMPLETION_WORD; one that does not begin as the word typed is
 * dropped. */
void completion_offer(struct completion *completion, const char *word);

#endif
