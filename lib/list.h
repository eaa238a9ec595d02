/* SPDX-License-Identifier: Apache-2.0
 *
 * Intrusive double-linked list. The length belongs to the list. */
#ifndef FL_LIST_H
#define FL_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct fl_link {
	struct fl_link *prev, *next; /* both NULL: in no list */
};

struct fl_list {
	struct fl_link head;
	size_t n;
};

#define fl_container(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Loop over a list; the body may remove the current element. */
#define fl_list_each(list, var)                                                \
	for (struct fl_link *var = (list)->head.next, *var##_next = var->next; \
		var != &(list)->head; var = var##_next, var##_next = var->next)

static inline void fl_list_init(struct fl_list *l)
{
	l->head.prev = l->head.next = &l->head;
	l->n = 0;
}

static inline void fl_list_push(struct fl_list *l, struct fl_link *e)
{
	e->prev = l->head.prev;
	e->next = &l->head;
	e->prev->next = e;
	l->head.prev = e;
	l->n++;
}

static inline void fl_list_push_first(struct fl_list *l, struct fl_link *e)
{
	e->prev = &l->head;
	e->next = l->head.next;
	e->next->prev = e;
	l->head.next = e;
	l->n++;
}

static inline void fl_list_remove(struct fl_list *l, struct fl_link *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	e->prev = e->next = NULL;
	l->n--;
}

static inline struct fl_link *fl_list_first(struct fl_list *l)
{
	return l->n == 0 ? NULL : l->head.next;
}

/* Remove and return the first element, NULL if empty. */
static inline struct fl_link *fl_list_shift(struct fl_list *l)
{
	struct fl_link *e = fl_list_first(l);

	if (e != NULL)
		fl_list_remove(l, e);
	return e;
}

static inline bool fl_link_used(const struct fl_link *e)
{
	return e->next != NULL;
}

#endif
