/*
 * list - intrusive doubly linked lists; a node that is in no list points at itself or NULL.
 *
 * The head is a node too. list_remove() of a node in no list is harmless.
 */
#ifndef COMMON_LIST_H
#define COMMON_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *list)
{
	list->next = list->prev = list;
}

static inline bool list_linked(const struct list *node)
{
	return node->next && node->next != node;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

static inline void list_remove(struct list *node)
{
	if (node->next) {
		node->next->prev = node->prev;
		node->prev->next = node->next;
	}
	node->next = node->prev = NULL;
}

/* At the end; leaves the list it was in. */
static inline void list_append(struct list *head, struct list *node)
{
	list_remove(node);
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* NULL when empty. */
static inline struct list *list_first(struct list *head)
{
	return head->next == head ? NULL : head->next;
}

#define LIST_OWNER(node, type, member)                                                             \
	({                                                                                         \
		struct list *node_ = (node);                                                       \
		node_ ? (type *)((char *)node_ - offsetof(type, member)) : NULL;                   \
	})

/* The body may remove node. */
#define LIST_EACH(node, head)                                                                      \
	for (struct list *node = (head)->next, *next_##node = node->next; node != (head);          \
	     node = next_##node, next_##node = node->next)

#endif
