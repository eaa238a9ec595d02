/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas on demand: builds what devices ask for and plans announce, each pair once.
 *
 * DESIGN. Who needs a pair asks; the answer comes from the store (store/delta.h) once it is built.
 * The queue (delta_queue.h) holds each pair at most once for each speed: quick tiers for devices that
 * wait and for what plans announce, and the best tiers for later. A few builder threads take quick
 * jobs, others the background ones, so that a slow build never stands in the way of a quick one. For
 * each pair a builder
 *   1. reads what the store knows (sizes, limits, what is done already),
 *   2. gives it to a child process (delta_worker.h) with limits on memory, processor share and time,
 *      and wall clock, that encodes into a draft, decodes it again and compares,
 *   3. makes the draft a blob, writes the row - ready, useless (not smaller than what is there) or
 *      failed - and wakes those who wait for the pair (delta_service_topic).
 * No row is written before its blob is durable, so a kill at any instruction leaves no half delta.
 * The full artifact compressed is a pair with from = 0. Which codecs with which levels are tried
 * comes from the table of delta_tiers.h.
 * A builder's process lives as long as its jobs come one behind the other and have a file in common, as
 * those of a release do: it keeps what it parsed of both modules, and which instructions of a pair come from
 * which, for the builds that follow. Nothing parsed is kept on disk: of a module of 10 to 18 MB it is
 * made in a few dozen milliseconds, of a build of 0.3 to 6 s, and would have to be verified when it is
 * read back. A suffix array there is none to keep: the alignment uses an index of short runs, quicker
 * to build than to load (lib/delta/wasm/align.h).
 *
 * The sum of all derived blobs is limited; the least recently used go first. */
#ifndef DELTA_SERVICE_H
#define DELTA_SERVICE_H

#include "server/delta_queue.h"

struct server;
struct delta_service;

struct delta_options {
	int64_t size_max;   /* largest artifact, either side, for which a delta is built; bytes */
	int64_t cache_max;  /* all derived blobs together; bytes */
	int64_t builders;   /* quick builds side by side */
	int64_t background; /* builds of the best tiers side by side; 0: only quick ones */
	int64_t queue_max;  /* asked pairs that wait; of each other kind 16 times as many */
	int64_t worker_memory; /* heap of one build; bytes */
	int64_t worker_cpu_ms; /* processor time of one build */
	int64_t worker_ms; /* wall clock of one quick build; in the background ten times as much, and
			    * as much more as `share` is less than all */
	int64_t share;     /* percent of a core that one background build may take; 1 to 100 */
	const char *worker; /* program for builds; NULL: /proc/self/exe */
};

/* Start the builders, and sweep blobs that no row wants. Needs s->lanes, s->blobs, s->settings.
 * FL_NOMEM, FL_UNAVAILABLE. The caller owns *out. */
enum fl_code delta_service_start(struct server *s, const struct delta_options *o,
	struct delta_service **out, struct fl_err *err) FL_MUST_CHECK;
/* Kill running builds, stop the builders; returns when they have ended. Before the lanes stop. NULL
 * is fine. */
void delta_service_stop(struct delta_service *d);

/* A device needs this pair in these tiers (of it the store knows nothing yet), each of which may save
 * it `gain` bytes. Quick ones are queued in front of warmed ones, the others by what they save. True:
 * a quick one is under way, a wake-up on delta_service_topic(pair) will come. False: nothing to
 * wait for: there is no quick one among them, the queue is full, or the service stops. Any thread,
 * does not block. */
bool delta_service_ask(
	struct delta_service *d, struct delta_pair pair, delta_mask tiers, int64_t gain);

/* What a request waits on until a quick delta of the pair is ready or known not to pay. One topic for each
 * pair: who waits for one is not woken by all the others. */
uint64_t delta_service_topic(struct delta_pair pair);

/* A pair that a plan will need. */
struct delta_need {
	struct delta_pair pair;
	uint32_t rank;   /* which come first; from 1 */
	int64_t devices; /* how many */
	int64_t gain;    /* bytes that the best tier may save each; an estimate */
};
/* Have pairs built before they are asked for, in the tiers that devices have asked for so far. Those
 * that are ready or known to be useless cost nothing, nor do those of an artifact with itself. Returns
 * how many were taken (the queue is bounded; what is left is built when devices ask). Any thread, does
 * not block. */
size_t delta_service_warm(struct delta_service *d, const struct delta_need *needs, size_t n);
/* A rollout begins its way back: have its reverse deltas built before everything that plans announced,
 * once for each rollout. A builder reads the plan. Any thread, does not block. */
void delta_service_turn(struct delta_service *d, int64_t rollout);
/* Copy up to `max` jobs that wait or run, running ones first; returns how many. Any thread. */
size_t delta_service_list(struct delta_service *d, struct delta_want *out, size_t max);
/* The delta `id` has been offered once more; written behind, in bulk. Any thread. */
void delta_service_used(struct delta_service *d, int64_t id);

/* Figures since the start; any thread. */
struct delta_figures {
	int64_t waiting, warming, improving, building; /* now */
	int64_t built, useless, failed;                /* builds that ended */
	int64_t processes;                             /* started for them */
	int64_t parsed,
		reused;  /* modules that builds parsed, and found parsed by the build before */
	int64_t refused; /* asked for while the queue was full */
	int64_t evicted; /* derived blobs removed for space */
};
struct delta_figures delta_service_figures(struct delta_service *d);

#endif
