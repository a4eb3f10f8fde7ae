/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_LIST_H
#define KERNEL_LIST_H

/* Doubly linked lists through a node in the element; a list is a node that links to itself. */

#include "kernel/types.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name) {&(name), &(name)}

static inline void list_init(struct list *list)
{
	list->next = list->prev = list;
}

static inline bool list_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_insert_before(struct list *place, struct list *node)
{
	node->next = place;
	node->prev = place->prev;
	place->prev->next = node;
	place->prev = node;
}

static inline void list_push_back(struct list *list, struct list *node)
{
	list_insert_before(list, node);
}

static inline void list_push_front(struct list *list, struct list *node)
{
	list_insert_before(list->next, node);
}

/* Takes the node out and leaves it linked to itself, so that removing it twice is harmless. */
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#define list_for_each(pos, head) \
	for (struct list *pos = (head)->next; pos != (head); pos = pos->next)

#define list_entry(node, type, member) container_of(node, type, member)

#endif
