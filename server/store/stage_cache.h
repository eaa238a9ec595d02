/* SPDX-License-Identifier: Apache-2.0
 *
 * Stages of rollouts in memory, for the writer: a rollout may have ten thousand, and almost every batch asks
 * for all of them.
 *
 * DESIGN. An entry is what the running transaction sees. stage_list hands out borrowed rows, stage_put and
 * its like write both the table and the entry, and whatever is rolled back takes with it the entries that
 * were changed since the last COMMIT: they are read again. Entries are freed only between transactions and
 * their parts, so that borrowed rows live as long as the job that asked for them. Writer thread only. */
#ifndef STORE_STAGE_CACHE_H
#define STORE_STAGE_CACHE_H

#include "server/store/stage.h"

#define STAGE_CACHE_MAX 20000 /* stages in all, about 60 MB */

/* NULL without memory. */
struct stage_cache *stage_cache_new(void);
/* NULL is fine. */
void stage_cache_free(struct stage_cache *c);

/* ---- for store/batch.c: between jobs */

/* The transaction is durable: keep what it changed, forget the longest unused ones above the limit. */
void stage_cache_commit(struct stage_cache *c);
/* It, or one of its parts, was rolled back: forget what it changed. */
void stage_cache_undo(struct stage_cache *c);

/* ---- for store/stage.c */

/* The stages of a rollout, borrowed until the job ends; NULL: they are not here. */
const struct stage_list *stage_cache_get(struct stage_cache *c, int64_t rollout_id);
/* Keep a list; true: it was taken over. Not one that is too large, or without consecutive numbers. */
bool stage_cache_add(struct stage_cache *c, int64_t rollout_id, const struct stage_list *l);
/* The row of a stage, to be changed together with the table's; NULL: it is not here. */
struct engine_stage *stage_cache_stage(struct stage_cache *c, int64_t stage_id);
/* So many more devices are assigned to the stages of a wave. */
void stage_cache_join(struct stage_cache *c, int64_t rollout_id, int64_t wave, int64_t devices);
/* Forget a rollout. */
void stage_cache_drop(struct stage_cache *c, int64_t rollout_id);

#endif
