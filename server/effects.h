/* SPDX-License-Identifier: Apache-2.0
 *
 * What a handler in the write lane wants to happen outside of the database.
 *
 * DESIGN. Handlers change no shared memory. They add effects; the batch runner (store/batch.c)
 *  1. drops a request's effects with its savepoint when the request is refused,
 *  2. before COMMIT merges those of one kind and key over the whole batch and applies each once
 *     inside the transaction (kept counters, gate decisions),
 *  3. after COMMIT runs the others, in order, on the writer thread (attention, wake-ups, caches).
 * If COMMIT fails nothing of 3 happens. Memory comes from one arena per batch. */
#ifndef EFFECTS_H
#define EFFECTS_H

#include "lib/err.h"
#include "server/store/store.h"

#include <stddef.h>

struct server;
struct effects;

/* Runs after COMMIT on the writer thread; must not fail, must not block. `payload` is the copy. */
typedef void (*effect_fn)(struct server *server, const void *payload);

/* Copy `size` bytes of `payload` (a multiple of 8 aligned) and run fn after COMMIT. Out of memory
 * makes the request fail with FL_NOMEM at its end: no check is needed here. */
void effects_after_commit(struct effects *e, effect_fn fn, const void *payload, size_t size);

/* A kind of change that is summed over the batch and applied once per key before COMMIT. */
struct effect_sum {
	size_t size;                                  /* of its payload */
	void (*add)(void *into, const void *payload); /* payloads start from zeroed memory */
	/* Runs inside the transaction under a savepoint of its own; may add more effects (also sums:
	 * they are applied in a further round). A failure fails the whole batch. */
	enum fl_code (*apply)(struct server *server, struct store *store, struct effects *e,
		int64_t key, const void *sum, struct fl_err *err);
};

/* Add `payload` (kind->size bytes) to the sum of (kind, key). */
void effects_sum(
	struct effects *e, const struct effect_sum *kind, int64_t key, const void *payload);

/* ---- for store/batch.c only */

/* NULL without memory. One object serves all batches. */
struct effects *effects_new(void);
void effects_free(struct effects *e);
/* Forget everything, keep the memory. */
void effects_reset(struct effects *e);
/* A place to come back to. */
struct effects_mark {
	size_t after, sums;
};
/* The present place; what is added after it is dropped by effects_undo, in the same batch. */
struct effects_mark effects_mark(const struct effects *e);
void effects_undo(struct effects *e, struct effects_mark mark);
/* FL_NOMEM once if something could not be added since the last call. */
enum fl_code effects_check(struct effects *e, struct fl_err *err) FL_MUST_CHECK;
/* Merge what was summed and apply each (kind, key) once, in rounds until nothing new comes. */
enum fl_code effects_apply_sums(struct effects *e, struct server *server, struct store *store,
	struct fl_err *err) FL_MUST_CHECK;
/* Run the effects on memory in the order in which they were added. */
void effects_run_after(struct effects *e, struct server *server);

#endif
