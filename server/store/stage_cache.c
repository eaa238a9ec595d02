/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/stage_cache.h"

#include "lib/list.h"

#include <stdlib.h>

struct entry {
	struct fl_link link;
	int64_t rollout_id;
	struct stage_list list; /* owned */
	bool changed;           /* since the last COMMIT */
};

struct stage_cache {
	struct fl_list entries; /* the last one was used last */
	struct fl_list dropped; /* somebody may still look at them */
	size_t stages;          /* of all entries */
};

struct stage_cache *stage_cache_new(void)
{
	struct stage_cache *c = calloc(1, sizeof(*c));

	if (c != NULL) {
		fl_list_init(&c->entries);
		fl_list_init(&c->dropped);
	}
	return c;
}

static void free_entry(struct entry *e)
{
	free(e->list.stages);
	free(e->list.assigned);
	free(e);
}

static void free_dropped(struct stage_cache *c)
{
	while (c->dropped.n > 0)
		free_entry(fl_container(fl_list_shift(&c->dropped), struct entry, link));
}

static void drop(struct stage_cache *c, struct entry *e)
{
	fl_list_remove(&c->entries, &e->link);
	c->stages -= e->list.n;
	fl_list_push(&c->dropped, &e->link);
}

void stage_cache_free(struct stage_cache *c)
{
	if (c == NULL)
		return;
	fl_list_each (&c->entries, link)
		drop(c, fl_container(link, struct entry, link));
	free_dropped(c);
	free(c);
}

/* ---- transactions */

void stage_cache_commit(struct stage_cache *c)
{
	fl_list_each (&c->entries, link) {
		struct entry *e = fl_container(link, struct entry, link);

		e->changed = false;
		if (c->stages > STAGE_CACHE_MAX)
			drop(c, e);
	}
	free_dropped(c);
}

void stage_cache_undo(struct stage_cache *c)
{
	fl_list_each (&c->entries, link) {
		struct entry *e = fl_container(link, struct entry, link);

		if (e->changed)
			drop(c, e);
	}
	free_dropped(c);
}

/* ---- entries */

static struct entry *find(struct stage_cache *c, int64_t rollout_id)
{
	fl_list_each (&c->entries, link) {
		struct entry *e = fl_container(link, struct entry, link);

		if (e->rollout_id == rollout_id)
			return e;
	}
	return NULL;
}

const struct stage_list *stage_cache_get(struct stage_cache *c, int64_t rollout_id)
{
	struct entry *e = find(c, rollout_id);

	if (e == NULL)
		return NULL;
	fl_list_remove(&c->entries, &e->link);
	fl_list_push(&c->entries, &e->link);
	return &e->list;
}

static bool consecutive(const struct stage_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->stages[i].id != l->stages[0].id + (int64_t)i)
			return false;
	return l->n > 0;
}

bool stage_cache_add(struct stage_cache *c, int64_t rollout_id, const struct stage_list *l)
{
	struct entry *e;

	FL_BUG_IF(find(c, rollout_id) != NULL);
	if (l->n > STAGE_CACHE_MAX || !consecutive(l) || (e = calloc(1, sizeof(*e))) == NULL)
		return false;
	e->rollout_id = rollout_id;
	e->list = *l;
	c->stages += l->n;
	fl_list_push(&c->entries, &e->link);
	return true;
}

struct engine_stage *stage_cache_stage(struct stage_cache *c, int64_t stage_id)
{
	fl_list_each (&c->entries, link) {
		struct entry *e = fl_container(link, struct entry, link);
		int64_t i = stage_id - e->list.stages[0].id;

		if (i < 0 || i >= (int64_t)e->list.n)
			continue;
		e->changed = true;
		return &e->list.stages[i];
	}
	return NULL;
}

void stage_cache_join(struct stage_cache *c, int64_t rollout_id, int64_t wave, int64_t devices)
{
	struct entry *e = find(c, rollout_id);

	if (e == NULL)
		return;
	e->changed = true;
	for (size_t i = 0; i < e->list.n; i++)
		if (e->list.stages[i].wave == wave)
			e->list.assigned[i] += devices;
}

void stage_cache_drop(struct stage_cache *c, int64_t rollout_id)
{
	struct entry *e = find(c, rollout_id);

	if (e != NULL)
		drop(c, e);
}
