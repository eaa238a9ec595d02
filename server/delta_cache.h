/* SPDX-License-Identifier: Apache-2.0
 *
 * The space that derived blobs take: what was used when, what goes, what nobody wants.
 *
 * For the builders of delta_service.c: their threads may wait for the disk and the writer. */
#ifndef DELTA_CACHE_H
#define DELTA_CACHE_H

#include "server/delta_worker.h"
#include "server/store/store.h"

#include <pthread.h>

struct server;

#define DELTA_CACHE_USES 512

/* Uses of deltas that are not written yet. Any thread. */
struct delta_uses {
	pthread_mutex_t lock;
	size_t n;
	struct delta_use {
		int64_t id, uses;
	} at[DELTA_CACHE_USES];
};

/* What one builder works with. */
struct delta_context {
	struct server *server;
	struct db *reader; /* opened at first use */
	int stop_fd;       /* readable: the service stops */
	struct delta_worker worker;
};

/* Begin to read a snapshot; end with delta_context_seen, also after a failure. */
enum fl_code delta_context_look(
	struct delta_context *c, struct store *out, struct fl_err *err) FL_MUST_CHECK;
void delta_context_seen(struct store *view);
/* Close the reader, end the worker. Safe twice. */
void delta_context_fini(struct delta_context *c);

/* Count one use of a delta. When there is no room it is forgotten: uses order the cache, no more. */
void delta_cache_used(struct delta_uses *uses, int64_t id);
/* Write what was counted. */
void delta_cache_flush(struct delta_context *c, struct delta_uses *uses);
/* Remove the least recently used deltas until all together have at most `max` bytes. Returns how many
 * went. One thread at a time. */
int64_t delta_cache_trim(struct delta_context *c, int64_t max);
/* Unlink a blob unless a row wants it or somebody holds it. */
void delta_cache_discard(struct delta_context *c, const uint8_t sha256[32]);
/* After a start: unlink blobs that no row wants, delete rows of deltas whose blob is missing. */
void delta_cache_sweep(struct delta_context *c);

#endif
