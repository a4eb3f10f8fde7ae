/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_HEAP_H
#define KERNEL_HEAP_H

/*
 * Pairing heaps: what has the smallest key comes first, in any order among equals. Insertion is
 * O(1), removal O(log n) amortized; all links are in the nodes themselves. No locks of their own.
 */

#include "kernel/types.h"

struct heap_node {
	uint64_t key; /* not to be changed while it is in a heap */
	/* `prev` is the parent of a first child, else the sibling before it. */
	struct heap_node *child, *next, *prev;
};

struct heap {
	struct heap_node *root; /* the first; NULL: empty */
};

/* Puts in a node that is in no heap; its key is set. */
void heap_insert(struct heap *heap, struct heap_node *node);

/* Takes out a node, which is in this heap. */
void heap_remove(struct heap *heap, struct heap_node *node);

#endif
