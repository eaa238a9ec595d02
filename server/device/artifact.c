/* SPDX-License-Identifier: Apache-2.0
 *
 * The artifact offer: the cheapest way for this device to get an artifact.
 *
 * DESIGN. Among what is ready the smallest form is taken that the device can decode in its memory:
 * a delta from something that it has, the artifact compressed, the artifact itself. What is missing
 * is asked of the delta service; the request waits for it without a thread, in all at most delta_wait,
 * looks again whenever something towards this artifact is ready, and then takes the best there is. */
#include "server/http/handlers.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "lib/delta/codec.h"
#include "server/blobs.h"
#include "server/delta_service.h"
#include "server/delta_tiers.h"
#include "server/server.h"
#include "server/store/artifact.h"
#include "server/store/delta.h"

#define HAVE_MAX 8 /* artifacts that a device may name; more are not looked at */
/* below this a delta saves less than the HTTP headers cost */
#define WORTH_BYTES 512

/* What the device asked, and the best answer so far. */
struct offer {
	struct request *rq;
	struct artifact to;
	struct artifact have[HAVE_MAX];
	size_t n_have;
	const char *codecs; /* comma-separated names; NULL: identity alone */
	uint64_t memory;    /* bytes for decoding; 0: enough */

	const char *codec;
	int64_t delta_id; /* 0: the artifact itself */
	int64_t size;
	uint8_t sha256[BLOB_DIGEST];
	const struct artifact *from; /* NULL: none */
	bool waiting;                /* something better is being built */
};

/* ---- the question */

/* Whether a comma-separated list has the name. */
static bool list_has(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; p != NULL; p = strchr(p, ','), p = p == NULL ? NULL : p + 1)
		if (strncmp(p, name, n) == 0 && (p[n] == ',' || p[n] == '\0'))
			return true;
	return false;
}

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

static enum fl_code parse(struct request *rq, struct offer *o, struct fl_err *err)
{
	uint8_t sha256[BLOB_DIGEST];
	int64_t memory = 0;
	enum fl_code code = blobs_parse(rq->param[0], sha256, err);

	*o = (struct offer){ .rq = rq, .codecs = request_query(rq, "codecs") };
	if (code == FL_OK)
		code = request_query_int(rq, "memory", 0, INT64_MAX, 0, &memory, err);
	if (code == FL_OK)
		code = artifact_find(rq->store, sha256, &o->to, err);
	if (code == FL_OK)
		code = parse_have(o, err);
	o->memory = (uint64_t)memory;
	return code;
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

static void take(struct offer *o, const struct delta *d, const struct artifact *from)
{
	o->codec = fl_codec_find(d->codec)->name;
	o->delta_id = d->id;
	o->size = d->size;
	memcpy(o->sha256, d->sha256, sizeof(o->sha256));
	o->from = from;
}

/* Look at one form; from NULL: of the artifact alone. */
static enum fl_code consider(
	struct offer *o, const char *codec, const struct artifact *from, struct fl_err *err)
{
	const struct delta_pair pair = { from == NULL ? 0 : from->id, o->to.id };
	struct delta d;
	enum fl_code code = delta_find(o->rq->store, pair.from, pair.to, codec, &d, err);
	bool missing = code == FL_NOT_FOUND;

	if (code != FL_OK && !missing)
		return code;
	if (!missing && d.state == DELTA_READY && is_whole(o, &d)) {
		if (d.size < o->size)
			take(o, &d, from);
		return FL_OK;
	}
	missing = missing || d.state == DELTA_READY ||
		(d.state == DELTA_FAILED && o->rq->now_ms - d.created_at > DELTA_RETRY_MS);
	/* a pair brings its target compressed along */
	if (missing && (from != NULL || !o->waiting) && can_be_built(o, from) &&
		delta_service_ask(o->rq->server->deltas, pair))
		o->waiting = true;
	return FL_OK;
}

static enum fl_code consider_tier(
	struct offer *o, const struct delta_tier *tier, struct fl_err *err)
{
	const struct fl_codec *codec = fl_codec_find(tier->codec);
	enum fl_code code = FL_OK;

	if (o->codecs == NULL || !list_has(o->codecs, codec->name))
		return FL_OK;
	for (size_t i = 0; i < (codec->needs_old ? o->n_have : 1) && code == FL_OK; i++) {
		const struct artifact *from = codec->needs_old ? &o->have[i] : NULL;
		uint64_t need = codec->decode_memory(
			from == NULL ? 0 : (uint64_t)from->size, (uint64_t)o->to.size);

		if ((o->memory == 0 || need <= o->memory) && (from == NULL || from->id != o->to.id))
			code = consider(o, codec->name, from, err);
	}
	return code;
}

/* The tiers whose codecs need old bytes, or the others. */
static enum fl_code consider_kind(struct offer *o, bool with_old, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < FL_COUNT(delta_tiers) && code == FL_OK; i++)
		if (fl_codec_find(delta_tiers[i].codec)->needs_old == with_old)
			code = consider_tier(o, &delta_tiers[i], err);
	return code;
}

static enum fl_code choose(struct offer *o, struct fl_err *err)
{
	enum fl_code code;

	o->codec = "identity";
	o->size = o->to.size;
	memcpy(o->sha256, o->to.sha256, sizeof(o->sha256));
	code = consider_kind(o, true, err);
	return code == FL_OK ? consider_kind(o, false, err) : code;
}

/* ---- the answer */

static void reply_offer(const struct offer *o)
{
	char sha256[2 * BLOB_DIGEST + 1], to[2 * BLOB_DIGEST + 1], from[2 * BLOB_DIGEST + 1];
	json_t *j;

	blobs_hex(o->sha256, sha256);
	blobs_hex(o->to.sha256, to);
	j = json_pack("{ss,sI,ss,ss+,ss,sI}", "codec", o->codec, "size", (json_int_t)o->size,
		"sha256", sha256, "url", "/blobs/sha256/", sha256, "to", to, "to_size",
		(json_int_t)o->to.size);
	if (j != NULL && o->from != NULL) {
		blobs_hex(o->from->sha256, from);
		(void)json_object_set_new(j, "from", json_string(from));
	}
	if (o->delta_id != 0)
		delta_service_used(o->rq->server->deltas, o->delta_id);
	reply_json(o->rq, 200, j);
}

static int64_t monotonic_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* How long this request may still wait; the first call sets its deadline. -1: no memory to know. */
static int64_t wait_left(struct request *rq)
{
	int64_t *deadline = rq->state;

	if (deadline == NULL) {
		deadline = request_alloc(rq, sizeof(*deadline));
		if (deadline == NULL)
			return -1;
		*deadline = monotonic_ms() + rq->server->settings->delta_wait;
		rq->state = deadline;
	}
	return *deadline - monotonic_ms();
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
		request_park(rq, TOPIC(TOPIC_DELTA, o.to.id), left, LANE_READ, device_artifact);
	else
		reply_offer(&o);
	return FL_OK;
}
