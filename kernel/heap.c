/* SPDX-License-Identifier: MIT */

#include "kernel/heap.h"

static struct heap_node *meld(struct heap_node *a, struct heap_node *b)
{
	if (!a || !b)
		return a ? a : b;
	if (b->key < a->key) {
		struct heap_node *node = a;

		a = b;
		b = node;
	}
	b->prev = a;
	b->next = a->child;
	if (a->child)
		a->child->prev = b;
	a->child = b;
	return a;
}

/* Melds a list of siblings into one heap: pairs from the left, then all from the right. */
static struct heap_node *merge_pairs(struct heap_node *first)
{
	struct heap_node *pairs = NULL;

	while (first) {
		struct heap_node *a = first;
		struct heap_node *b = a->next;

		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}

	struct heap_node *root = NULL;

	while (pairs) {
		struct heap_node *next = pairs->next;

		pairs->next = NULL;
		root = meld(root, pairs);
		pairs = next;
	}
	return root;
}

void heap_insert(struct heap *heap, struct heap_node *node)
{
	node->child = node->next = node->prev = NULL;
	heap->root = heap->root ? meld(heap->root, node) : node;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
	struct heap_node *rest = node->child ? merge_pairs(node->child) : NULL;

	if (heap->root == node) {
		heap->root = rest;
	} else {
		if (node->prev->child == node)
			node->prev->child = node->next;
		else
			node->prev->next = node->next;
		if (node->next)
			node->next->prev = node->prev;
		heap->root = meld(heap->root, rest);
	}
	node->child = node->next = node->prev = NULL;
}
