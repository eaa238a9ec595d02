/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas on demand: builds what devices ask for and plans announce, each pair once.
 *
 * DESIGN. Who needs a pair asks; the answer comes from the store (store/delta.h) once it is built.
 * Asked pairs wait in a bounded queue, warmed ones in a second one that is served when the first is
 * empty; a pair that is in a queue or being built is not queued again (single flight). A few builder
 * threads take pairs, and for each
 *   1. read what the store knows (sizes, limits, whether it is done already),
 *   2. run `fleetd --delta-worker` on it (delta_worker.h): a child process with limits on memory,
 *      processor time and wall clock that encodes into a draft, decodes it again and compares,
 *   3. make the draft a blob, write the row - ready, useless (not smaller than the full artifact
 *      compressed) or failed - and wake those who wait on TOPIC(TOPIC_DELTA, to).
 * No row is written before its blob is durable, so a kill at any instruction leaves no half delta.
 * The full artifact compressed is a pair with from = 0. Which codec with which level is tried comes
 * from the table of delta_tiers.h.
 *
 * The sum of all derived blobs is limited; the least recently used go first. */
#ifndef DELTA_SERVICE_H
#define DELTA_SERVICE_H

#include "lib/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;
struct delta_service;

struct delta_options {
	int64_t size_max;  /* largest artifact, either side, for which a delta is built; bytes */
	int64_t cache_max; /* all derived blobs together; bytes */
	int64_t builders;  /* builds side by side */
	int64_t queue_max; /* asked pairs that wait; warmed ones may be 16 times as many */
	int64_t worker_memory; /* heap of one build; bytes */
	int64_t worker_cpu_ms; /* processor time of one build */
	int64_t worker_ms;     /* wall clock of one build */
	const char *worker;    /* program for builds; NULL: /proc/self/exe */
};

/* A pair of artifacts by their keys in the store; from 0: the full artifact, compressed. */
struct delta_pair {
	int64_t from, to;
};

/* Start the builders, and sweep blobs that no row wants. Needs s->lanes, s->blobs, s->settings.
 * FL_NOMEM, FL_UNAVAILABLE. The caller owns *out. */
enum fl_code delta_service_start(struct server *s, const struct delta_options *o,
	struct delta_service **out, struct fl_err *err) FL_MUST_CHECK;
/* Kill running builds, stop the builders; returns when they have ended. Before the lanes stop. NULL
 * is fine. */
void delta_service_stop(struct delta_service *d);

/* Somebody waits for this pair: queue it in front of warmed ones unless it is under way. True: a
 * wake-up on TOPIC(TOPIC_DELTA, pair.to) will come. False: the queue is full, or the service stops;
 * take the full artifact. Any thread, does not block. */
bool delta_service_ask(struct delta_service *d, struct delta_pair pair);
/* Pairs that a plan will need, in the order in which it needs them, each once or more. Those that are
 * ready or known to be useless cost nothing, nor do those of an artifact with itself. Returns how
 * many were taken (the queue is bounded; what is left is built when devices ask). Any thread, does
 * not block. */
size_t delta_service_warm(struct delta_service *d, const struct delta_pair *pairs, size_t n);
/* The delta `id` has been offered once more; written behind, in bulk. Any thread. */
void delta_service_used(struct delta_service *d, int64_t id);

/* Figures since the start; any thread. */
struct delta_figures {
	int64_t waiting, warming, building; /* now */
	int64_t built, useless, failed;     /* builds that ended */
	int64_t refused;                    /* asked for while the queue was full */
	int64_t evicted;                    /* derived blobs removed for space */
};
struct delta_figures delta_service_figures(struct delta_service *d);

#endif
