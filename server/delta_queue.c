/* SPDX-License-Identifier: Apache-2.0 */
#include "server/delta_queue.h"

#include <stdlib.h>

void delta_queue_init(struct delta_queue *q, size_t asked, size_t others)
{
	*q = (struct delta_queue){ 0 };
	for (size_t i = 0; i < DELTA_PLACE_MAX; i++) {
		fl_list_init(&q->lists[i]);
		q->max[i] = i == DELTA_ASKED ? asked : i == DELTA_RUNNING ? SIZE_MAX : others;
	}
}

/* ---- by pair */

static struct delta_job **bucket_of(struct delta_queue *q, struct delta_pair pair)
{
	uint64_t h = (uint64_t)pair.from * 0x9e3779b97f4a7c15ULL ^ (uint64_t)pair.to;

	return &q->buckets[(h * 0x9e3779b97f4a7c15ULL) >> 54];
}

struct delta_job *delta_queue_find(struct delta_queue *q, struct delta_pair pair, bool background)
{
	struct delta_job *j = *bucket_of(q, pair);

	while (j != NULL &&
		(j->want.pair.from != pair.from || j->want.pair.to != pair.to ||
			j->background != background))
		j = j->next;
	return j;
}

static void drop(struct delta_queue *q, struct delta_job *j)
{
	struct delta_job **at = bucket_of(q, j->want.pair);

	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	fl_list_remove(&q->lists[j->want.place], &j->link);
	free(j);
}

void delta_queue_fini(struct delta_queue *q)
{
	for (size_t i = 0; i < DELTA_PLACE_MAX; i++)
		while (fl_list_first(&q->lists[i]) != NULL)
			drop(q, fl_container(fl_list_first(&q->lists[i]), struct delta_job, link));
}

/* ---- order */

static int64_t weight(const struct delta_want *w)
{
	int64_t gain = w->gain < 1 ? 1 : w->gain, devices = w->devices < 1 ? 1 : w->devices;

	return gain > INT64_MAX / devices ? INT64_MAX : gain * devices;
}

/* Whether `a` must be built before `b`, which came earlier. */
static bool before(const struct delta_want *a, const struct delta_want *b)
{
	if (a->place == DELTA_ASKED)
		return false;
	if (a->rank != b->rank)
		return a->rank < b->rank;
	return a->place == DELTA_IMPROVED && weight(a) > weight(b);
}

static const struct delta_want *want_of(const struct fl_link *link)
{
	return &fl_container(link, const struct delta_job, link)->want;
}

/* The next one of a place: lists keep the order of arrival, ranks and weights change. */
static struct delta_job *first_of(const struct delta_queue *q, enum delta_place place)
{
	const struct fl_list *l = &q->lists[place];
	struct fl_link *best = NULL;

	for (struct fl_link *e = l->head.next; e != &l->head; e = e->next) {
		if (best == NULL || before(want_of(e), want_of(best)))
			best = e;
		if (place == DELTA_ASKED)
			break;
	}
	return best == NULL ? NULL : fl_container(best, struct delta_job, link);
}

static struct delta_job *worst_of(const struct delta_queue *q, enum delta_place place)
{
	const struct fl_list *l = &q->lists[place];
	struct fl_link *worst = l->head.next;

	for (struct fl_link *e = l->head.next; e != &l->head; e = e->next)
		if (before(want_of(worst), want_of(e)))
			worst = e;
	return fl_container(worst, struct delta_job, link);
}

/* ---- what others call */

/* Make room in a place for `want`; false: what is there comes first. */
static bool make_room(struct delta_queue *q, const struct delta_want *want)
{
	struct delta_job *worst;

	if (q->lists[want->place].n < q->max[want->place])
		return true;
	if (want->place != DELTA_IMPROVED || q->lists[want->place].n == 0)
		return false;
	worst = worst_of(q, want->place);
	if (!before(want, &worst->want))
		return false;
	drop(q, worst);
	return true;
}

static void move(struct delta_queue *q, struct delta_job *j, enum delta_place place)
{
	fl_list_remove(&q->lists[j->want.place], &j->link);
	fl_list_push(&q->lists[place], &j->link);
	j->want.place = place;
}

/* One more who wants a job that is there. */
static void join(struct delta_queue *q, struct delta_job *j, const struct delta_want *want)
{
	if (j->want.place == DELTA_RUNNING) {
		j->again |= want->tiers & ~j->want.tiers;
		return;
	}
	j->want.tiers |= want->tiers;
	j->want.devices += want->devices;
	j->want.rank = want->rank < j->want.rank ? want->rank : j->want.rank;
	j->want.gain = want->gain > j->want.gain ? want->gain : j->want.gain;
	if (want->place < j->want.place && q->lists[want->place].n < q->max[want->place])
		move(q, j, want->place);
}

struct delta_job *delta_queue_put(struct delta_queue *q, const struct delta_want *want)
{
	bool background = want->place == DELTA_IMPROVED;
	struct delta_job *j = delta_queue_find(q, want->pair, background), **bucket;

	if (j != NULL) {
		join(q, j, want);
		return j;
	}
	if (!make_room(q, want))
		return NULL;
	j = calloc(1, sizeof(*j));
	if (j == NULL)
		return NULL;
	bucket = bucket_of(q, want->pair);
	j->want = *want;
	j->background = background;
	j->next = *bucket;
	*bucket = j;
	fl_list_push(&q->lists[want->place], &j->link);
	return j;
}

bool delta_queue_has(const struct delta_queue *q, bool background)
{
	if (background)
		return q->lists[DELTA_IMPROVED].n > 0 && q->lists[DELTA_ASKED].n == 0;
	return q->lists[DELTA_ASKED].n + q->lists[DELTA_WARMED].n > 0;
}

struct delta_job *delta_queue_take(struct delta_queue *q, bool background)
{
	struct delta_job *j = NULL;

	if (delta_queue_has(q, background))
		j = first_of(q, background ? DELTA_IMPROVED : DELTA_ASKED);
	if (j == NULL && !background)
		j = first_of(q, DELTA_WARMED);
	if (j != NULL)
		move(q, j, DELTA_RUNNING);
	return j;
}

void delta_queue_run(struct delta_queue *q, struct delta_job *j)
{
	move(q, j, DELTA_RUNNING);
}

void delta_queue_done(struct delta_queue *q, struct delta_job *j)
{
	FL_BUG_IF(j->want.place != DELTA_RUNNING);
	if (j->again == 0) {
		drop(q, j);
		return;
	}
	j->want.tiers = j->again;
	j->again = 0;
	move(q, j, j->background ? DELTA_IMPROVED : DELTA_ASKED);
}

size_t delta_queue_list(const struct delta_queue *q, struct delta_want *out, size_t max)
{
	static const enum delta_place order[] = { DELTA_RUNNING, DELTA_ASKED, DELTA_WARMED,
		DELTA_IMPROVED };
	size_t n = 0;

	for (size_t i = 0; i < FL_COUNT(order); i++) {
		const struct fl_list *l = &q->lists[order[i]];

		for (const struct fl_link *e = l->head.next; e != &l->head && n < max; e = e->next)
			out[n++] = *want_of(e);
	}
	return n;
}
