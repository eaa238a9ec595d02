/* SPDX-License-Identifier: Apache-2.0
 *
 * The artifact offer: the cheapest way for this device to get an artifact.
 *
 * DESIGN. Among what is ready that form is taken which costs this device least and which it can
 * decode in its memory: a delta from something that it has, a chain of two where there is no direct
 * one, the artifact compressed, the artifact itself. What is missing is asked of the delta service;
 * for a quick form the request waits without a thread, in all at most delta_wait, looks again
 * whenever what it waits for is ready, and then takes the best there is. */
#include "server/http/handlers.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/delta/codec.h"
#include "server/blobs.h"
#include "server/delta_service.h"
#include "server/delta_wish.h"
#include "server/metrics.h"
#include "server/server.h"
#include "server/store/artifact.h"
#include "server/store/delta.h"

#define HAVE_MAX 8 /* artifacts that a device may name; more are not looked at */
/* below this a delta saves less than the HTTP headers cost */
#define WORTH_BYTES 512
#define CHAINS_MAX  8          /* second halves that are looked at */
#define GAIN_PART   2          /* a best tier saves about this part of a quick one */
#define RATE_MAX    1000000000 /* bytes a second */

/* One download of the way to the artifact. */
struct leg {
	int64_t delta_id; /* 0: the artifact itself */
	char codec[FL_CODEC_NAME_MAX];
	int64_t size, to_size;
	uint8_t sha256[BLOB_DIGEST], from[BLOB_DIGEST], to[BLOB_DIGEST];
	bool has_from;
};

/* What the device asked, and the best answer so far. */
struct offer {
	struct request *rq;
	struct artifact to;
	struct artifact have[HAVE_MAX];
	size_t n_have;
	struct delta_wish wish;
	bool chains; /* it can decode twice */

	struct leg last, first; /* the first of a chain */
	bool is_chain;
	int64_t cost;
	bool direct;  /* there is a delta from something that it has */
	bool waiting; /* something better is being built: */
	struct delta_pair wait_for;
};

/* ---- the question */

static enum fl_code add_have(struct offer *o, const char *hex, size_t n, struct fl_err *err)
{
	char text[2 * BLOB_DIGEST + 2];
	uint8_t sha256[BLOB_DIGEST];
	struct fl_err none = { 0 };
	enum fl_code code;

	n = n < sizeof(text) ? n : sizeof(text) - 1;
	memcpy(text, hex, n);
	text[n] = '\0';
	code = blobs_parse(text, sha256, err);
	if (code != FL_OK)
		return fl_wrap(err, "have");
	code = artifact_find(o->rq->store, sha256, &o->have[o->n_have], &none);
	if (code == FL_OK)
		o->n_have++;
	else if (code != FL_NOT_FOUND) /* bytes that we never saw are no use, and no fault */
		return fl_fail(err, code, "%s", none.msg);
	return FL_OK;
}

static enum fl_code parse_have(struct offer *o, struct fl_err *err)
{
	const char *p = request_query(o->rq, "have");
	enum fl_code code = FL_OK;

	while (p != NULL && *p != '\0' && o->n_have < HAVE_MAX && code == FL_OK) {
		size_t n = strcspn(p, ",");

		if (n > 0)
			code = add_have(o, p, n, err);
		p += n + (p[n] == ',');
	}
	return code;
}

static enum fl_code parse_wish(struct offer *o, struct fl_err *err)
{
	int64_t chain = 0;
	enum fl_code code =
		request_query_int(o->rq, "memory", 0, INT64_MAX, 0, &o->wish.memory, err);

	o->wish.codecs = request_query(o->rq, "codecs");
	if (code == FL_OK)
		code = request_query_int(o->rq, "rate", 0, RATE_MAX, 0, &o->wish.rate, err);
	if (code == FL_OK)
		code = request_query_int(o->rq, "speed", 1, 1000, 100, &o->wish.speed, err);
	if (code == FL_OK)
		code = request_query_int(o->rq, "chain", 0, 1, 0, &chain, err);
	o->chains = chain == 1;
	return code;
}

static enum fl_code parse(struct request *rq, struct offer *o, struct fl_err *err)
{
	uint8_t sha256[BLOB_DIGEST];
	enum fl_code code = blobs_parse(rq->param[0], sha256, err);

	*o = (struct offer){ .rq = rq };
	if (code == FL_OK)
		code = parse_wish(o, err);
	if (code == FL_OK)
		code = artifact_find(rq->store, sha256, &o->to, err);
	return code == FL_OK ? parse_have(o, err) : code;
}

/* ---- the choice */

static bool is_whole(const struct offer *o, const struct delta *d)
{
	int64_t size;

	return blobs_size(o->rq->server->blobs, d->sha256, &size, NULL) == FL_OK && size == d->size;
}

/* Whether asking the service can make a delta that is not there. */
static bool can_be_built(const struct offer *o, const struct artifact *from)
{
	int64_t limit = o->rq->server->settings->delta_size;

	return o->to.size >= WORTH_BYTES && o->to.size <= limit &&
		(from == NULL || from->size <= limit);
}

static struct leg leg_of(const struct delta *d)
{
	struct leg l = {
		.delta_id = d->id,
		.size = d->size,
		.to_size = d->to_size,
		.has_from = d->from != 0,
	};

	memcpy(l.codec, d->codec, sizeof(l.codec));
	memcpy(l.sha256, d->sha256, sizeof(l.sha256));
	memcpy(l.from, d->from_sha256, sizeof(l.from));
	memcpy(l.to, d->to_sha256, sizeof(l.to));
	return l;
}

static int64_t cost_of(const struct offer *o, const struct delta *d)
{
	return delta_wish_cost(&o->wish, d->codec, d->size, d->to_size);
}

static bool is_usable(const struct offer *o, const struct delta *d)
{
	return d->state == DELTA_READY && delta_wish_takes(&o->wish, d) && is_whole(o, d);
}

static void take(struct offer *o, const struct delta *d)
{
	int64_t cost = cost_of(o, d);

	o->direct = o->direct || d->from != 0;
	if (cost >= o->cost)
		return;
	o->cost = cost;
	o->last = leg_of(d);
}

/* Look at the forms from one side (NULL: of the artifact alone); ask for what is missing. */
static enum fl_code consider(struct offer *o, const struct artifact *from, struct fl_err *err)
{
	const struct delta_pair pair = { from == NULL ? 0 : from->id, o->to.id };
	struct delta rows[DELTA_PAIR_MAX];
	delta_mask missing = delta_wish_tiers(&o->wish, from == NULL ? -1 : from->size, o->to.size);
	size_t n = 0;
	enum fl_code code;

	if (pair.from == pair.to)
		return FL_OK;
	code = delta_of_pair(o->rq->store, pair.from, pair.to, rows, &n, err);
	for (size_t i = 0; i < n && code == FL_OK; i++) {
		if (rows[i].state == DELTA_READY && !is_whole(o, &rows[i]))
			continue;
		if (delta_is_settled(&rows[i], o->rq->now_ms))
			missing &= ~delta_wish_tier(&rows[i]);
		if (!is_usable(o, &rows[i]))
			continue;
		take(o, &rows[i]);
		missing &= ~delta_wish_quick(); /* there is something: no need to wait */
	}
	/* a pair brings its target compressed along */
	if (from == NULL && o->waiting)
		missing &= ~delta_wish_quick();
	if (code == FL_OK && missing != 0 && can_be_built(o, from) &&
		delta_service_ask(o->rq->server->deltas, pair, missing, o->last.size / GAIN_PART)) {
		o->waiting = true;
		o->wait_for = pair;
	}
	return code;
}

/* ---- chains */

/* The cheapest usable delta of a pair into *out; false: there is none. */
static enum fl_code cheapest(struct offer *o, int64_t from, int64_t to, struct delta *out,
	bool *found, struct fl_err *err)
{
	struct delta rows[DELTA_PAIR_MAX];
	size_t n = 0;
	enum fl_code code = delta_of_pair(o->rq->store, from, to, rows, &n, err);

	*found = false;
	for (size_t i = 0; i < n && code == FL_OK; i++) {
		if (!is_usable(o, &rows[i]) || (*found && cost_of(o, &rows[i]) >= cost_of(o, out)))
			continue;
		*out = rows[i];
		*found = true;
	}
	return code;
}

/* From something that the device has to the beginning of `second`. */
static enum fl_code try_chain(struct offer *o, const struct delta *second, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < o->n_have && code == FL_OK; i++) {
		struct delta first;
		bool found = false;

		if (o->have[i].id != o->to.id)
			code = cheapest(o, o->have[i].id, second->from, &first, &found, err);
		if (code != FL_OK || !found || cost_of(o, &first) + cost_of(o, second) >= o->cost)
			continue;
		o->cost = cost_of(o, &first) + cost_of(o, second);
		o->first = leg_of(&first);
		o->last = leg_of(second);
		o->is_chain = true;
	}
	return code;
}

static enum fl_code consider_chains(struct offer *o, struct fl_err *err)
{
	struct delta seconds[CHAINS_MAX];
	size_t n = 0;
	enum fl_code code;

	if (!o->chains || o->direct || o->n_have == 0)
		return FL_OK;
	code = delta_towards(o->rq->store, o->to.id, seconds, CHAINS_MAX, &n, err);
	for (size_t i = 0; i < n && code == FL_OK; i++)
		if (is_usable(o, &seconds[i]))
			code = try_chain(o, &seconds[i], err);
	/* what is good enough is not waited for; the direct one comes all the same */
	if (o->is_chain && o->first.size + o->last.size < o->to.size / GAIN_PART)
		o->waiting = false;
	return code;
}

static enum fl_code choose(struct offer *o, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	o->last = (struct leg){ .codec = "identity", .size = o->to.size, .to_size = o->to.size };
	memcpy(o->last.sha256, o->to.sha256, sizeof(o->last.sha256));
	memcpy(o->last.to, o->to.sha256, sizeof(o->last.to));
	o->cost = delta_wish_cost(&o->wish, "identity", o->to.size, o->to.size);
	for (size_t i = 0; i < o->n_have && code == FL_OK; i++)
		code = consider(o, &o->have[i], err);
	if (code == FL_OK)
		code = consider(o, NULL, err);
	return code == FL_OK ? consider_chains(o, err) : code;
}

/* ---- the answer */

static json_t *render(const struct leg *l)
{
	char sha256[2 * BLOB_DIGEST + 1], to[2 * BLOB_DIGEST + 1], from[2 * BLOB_DIGEST + 1];
	json_t *j;

	blobs_hex(l->sha256, sha256);
	blobs_hex(l->to, to);
	j = json_pack("{ss,sI,ss,ss+,ss,sI}", "codec", l->codec, "size", (json_int_t)l->size,
		"sha256", sha256, "url", "/blobs/sha256/", sha256, "to", to, "to_size",
		(json_int_t)l->to_size);
	if (j != NULL && l->has_from) {
		blobs_hex(l->from, from);
		(void)json_object_set_new(j, "from", json_string(from));
	}
	return j;
}

static void count_use(const struct offer *o, const struct leg *l)
{
	if (l->delta_id != 0)
		delta_service_used(o->rq->server->deltas, l->delta_id);
}

static void reply_offer(const struct offer *o)
{
	json_t *j = render(&o->last);
	int64_t size = o->last.size;

	count_use(o, &o->last);
	if (o->is_chain) {
		count_use(o, &o->first);
		size += o->first.size;
		if (j != NULL)
			(void)json_object_set_new(j, "via", render(&o->first));
	}
	metrics_add(o->rq->server->metrics, METRIC_DELTA_SAVED, o->to.size - size);
	reply_json(o->rq, 200, j);
}

/* How long this request may still wait; the first call sets its deadline. -1: no memory to know. */
static int64_t wait_left(struct request *rq)
{
	int64_t *deadline = rq->state;

	if (deadline == NULL) {
		deadline = request_alloc(rq, sizeof(*deadline));
		if (deadline == NULL)
			return -1;
		*deadline = fl_clock_ms(CLOCK_MONOTONIC) + rq->server->settings->delta_wait;
		rq->state = deadline;
	}
	return *deadline - fl_clock_ms(CLOCK_MONOTONIC);
}

enum fl_code device_artifact(struct request *rq, struct fl_err *err)
{
	int64_t left = wait_left(rq);
	struct offer o;
	enum fl_code code = parse(rq, &o, err);

	if (code == FL_OK)
		code = choose(&o, err);
	if (code != FL_OK)
		return code;
	if (o.waiting && left > 0)
		request_park(rq, delta_service_topic(o.wait_for), left, LANE_READ, device_artifact);
	else
		reply_offer(&o);
	return FL_OK;
}
