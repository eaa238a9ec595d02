/* SPDX-License-Identifier: Apache-2.0
 *
 * Which pair is built next.
 *
 * DESIGN. A pair is queued at most once for each speed (single flight): who asks again adds his tiers
 * and himself to the job that is there. Four places:
 *   ASKED     quick tiers that devices wait for, in the order in which they came
 *   WARMED    quick tiers that plans announced, by rank, then in the order in which they came
 *   IMPROVED  best tiers, by rank, then by devices times the bytes that each may save
 *   RUNNING   taken by a builder
 * Ranks say which stage of a plan needs a pair: a lower one first; 0 for those who ask now. The first
 * two places feed the quick builders, the third the background ones while no device waits for its turn:
 * what processors a storm leaves are for it. Each place is bounded; a better
 * one in IMPROVED displaces the worst.
 *
 * Not locked: its owner does that (delta_service.c). */
#ifndef DELTA_QUEUE_H
#define DELTA_QUEUE_H

#include "lib/list.h"
#include "server/delta_wish.h"

#define DELTA_QUEUE_BUCKETS 1024

/* A pair of artifacts by their keys in the store; from 0: the full artifact, compressed. */
struct delta_pair {
	int64_t from, to;
};

enum delta_place { DELTA_ASKED, DELTA_WARMED, DELTA_IMPROVED, DELTA_RUNNING, DELTA_PLACE_MAX };

/* What somebody wants built. */
struct delta_want {
	struct delta_pair pair;
	delta_mask tiers;       /* all quick or all not */
	enum delta_place place; /* ASKED, WARMED or IMPROVED */
	uint32_t rank;
	int64_t devices; /* that need it */
	int64_t gain;    /* bytes that each may save, an estimate */
};

struct delta_job {
	struct fl_link link;    /* of its place's list */
	struct delta_job *next; /* of its bucket */
	struct delta_want want;
	delta_mask again; /* tiers asked for while it was running */
	bool background;  /* not quick */
};

/* Zeroed memory with delta_queue_init is an empty one. */
struct delta_queue {
	struct fl_list lists[DELTA_PLACE_MAX];
	struct delta_job *buckets[DELTA_QUEUE_BUCKETS];
	size_t max[DELTA_PLACE_MAX]; /* jobs in a place; RUNNING has no limit */
};

/* Begin with limits for asked and for each other kind of job. */
void delta_queue_init(struct delta_queue *q, size_t asked, size_t others);
/* Free all jobs. Safe twice. */
void delta_queue_fini(struct delta_queue *q);
/* Put it in, or add it to the job that is there. NULL: no room or no memory. Borrowed until
 * delta_queue_done. */
struct delta_job *delta_queue_put(struct delta_queue *q, const struct delta_want *want);
/* The job of a pair; NULL if there is none. */
struct delta_job *delta_queue_find(struct delta_queue *q, struct delta_pair pair, bool background);
/* Whether delta_queue_take would find something. */
bool delta_queue_has(const struct delta_queue *q, bool background);
/* Take the next one: it is RUNNING then. NULL: there is none. */
struct delta_job *delta_queue_take(struct delta_queue *q, bool background);
/* Take this one, wherever it waits. */
void delta_queue_run(struct delta_queue *q, struct delta_job *j);
/* A running job has ended; it is queued again with what was asked meanwhile, or freed. */
void delta_queue_done(struct delta_queue *q, struct delta_job *j);
/* Copy up to `max` jobs, running ones first, then in the order of places; returns how many. */
size_t delta_queue_list(const struct delta_queue *q, struct delta_want *out, size_t max);

#endif
