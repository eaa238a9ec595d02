/* SPDX-License-Identifier: Apache-2.0
 *
 * Registration in bulk: a stream of lines (NDJSON), each an idempotent upsert.
 *
 * DESIGN. A piece of the body is read in the work lane into lines; these go to the writer in slices,
 * each a job of its own with its event. So memory holds one piece, the writer is never kept long, and
 * what was committed stays: whoever was cut off sends all of it again. A bad line is counted, named
 * and left out.
 *
 *   piece (WORK): lines -> write_slice (WRITE) -> committed (WORK) -> write_slice … -> next piece
 *
 * write_slice may be run again: it begins its counts anew, and `committed` alone adds them up. */
#include "server/http/handlers.h"

#include "server/api/bulk_line.h"
#include "server/api/bulk_scope.h"
#include "server/api/list.h"
#include "server/events.h"
#include "server/fleet.h"
#include "server/server.h"

#include <stdlib.h>
#include <string.h>

#define SLICE      512 /* lines of one write: some milliseconds */
#define ERRORS_MAX 100 /* bad lines named */

struct counts {
	int64_t created, changed, unchanged, refused;
};

/* A bad line. */
struct refusal {
	int64_t line;
	char detail[FL_ERR_MSG_MAX];
};

struct refusals {
	struct refusal first[ERRORS_MAX];
	size_t n;
};

struct bulk {
	struct fl_buf carry; /* the beginning of a line whose end has not come */
	bool skipping;       /* the rest of a line that is too long */
	bool ended;
	int64_t line; /* lines seen so far */
	/* the good lines of this piece */
	struct fl_arena arena;
	struct bulk_line *lines; /* owned */
	size_t n, cap;
	size_t from, to; /* the slice that is being written: [from, to) */
	struct counts slice, total;
	struct refusals slice_refused, refused;
	struct devices_installed scratch;
};

static void drop(void *state)
{
	struct bulk *b = state;

	fl_buf_fini(&b->carry);
	fl_arena_fini(&b->arena);
	free(b->lines);
	free(b);
}

static void refuse(struct counts *counts, struct refusals *to, int64_t line, const char *detail)
{
	counts->refused++;
	if (to->n == ERRORS_MAX)
		return;
	struct refusal *r = &to->first[to->n++];
	r->line = line;
	(void)snprintf(r->detail, sizeof(r->detail), "%s", detail);
}

/* ---- the answer */

/* A sentence that was cut may end inside of a character: then only its ASCII is shown. */
static json_t *sentence(const char *detail)
{
	json_t *text = json_string(detail);
	char ascii[FL_ERR_MSG_MAX];
	size_t n = 0;

	if (text != NULL)
		return text;
	for (const char *c = detail; *c != '\0'; c++)
		ascii[n++] = (unsigned char)*c < 0x80 ? *c : '?';
	return json_stringn(ascii, n);
}

static json_t *refusals_json(const struct refusals *r)
{
	json_t *array = json_array();

	for (size_t i = 0; i < r->n; i++)
		if (json_array_append_new(array,
			    json_pack("{s:I, s:o}", "line", (json_int_t)r->first[i].line, "detail",
				    sentence(r->first[i].detail))) != 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static enum fl_code answer(struct request *rq)
{
	const struct bulk *b = rq->state;

	reply_json(rq, 200,
		json_pack("{s:I, s:I, s:I, s:I, s:o}", "created", (json_int_t)b->total.created,
			"changed", (json_int_t)b->total.changed, "unchanged",
			(json_int_t)b->total.unchanged, "refused", (json_int_t)b->total.refused,
			"errors", refusals_json(&b->refused)));
	return FL_OK;
}

/* ---- writing */

static enum fl_code put_line(struct request *rq, const struct rsql *scope, struct bulk_line *line,
	enum device_outcome *outcome, struct fl_err *err)
{
	struct device_put put = line->put;
	int64_t no = 0, epoch = 0;
	enum fl_code code = bulk_scope_check(rq->store, scope, line, err);

	if (code == FL_OK && line->installs)
		code = state_intern(rq->store, line->installed, line->n_installed, line->digest,
			&put.state_id, err);
	if (code == FL_OK)
		code = device_put(rq->store, &put, &no, outcome, err);
	if (code == FL_OK && *outcome == DEVICE_REVIVED)
		code = device_epoch(rq->store, no, &epoch, err);
	if (code == FL_OK && *outcome >= DEVICE_CREATED)
		fleet_put(rq->effects, no, epoch, false);
	if (code == FL_OK && *outcome == DEVICE_CHANGED)
		fleet_attention(rq->effects, no, true); /* it may be in another time zone now */
	return code;
}

static void count(struct counts *c, enum device_outcome outcome)
{
	c->created += outcome >= DEVICE_CREATED;
	c->changed += outcome == DEVICE_CHANGED;
	c->unchanged += outcome == DEVICE_UNCHANGED;
}

/* What is the line's own fault; anything else ends the request. */
static bool is_refusal(enum fl_code code)
{
	return code == FL_INVALID || code == FL_REFUSED || code == FL_CONFLICT ||
		code == FL_FORBIDDEN;
}

static enum fl_code committed(struct request *rq, struct fl_err *err);

static enum fl_code write_slice(struct request *rq, struct fl_err *err)
{
	struct bulk *b = rq->state;
	RSQL_AUTO struct rsql *scope = NULL;
	enum fl_code parsed = list_scope(rq, &scope, err);

	if (parsed != FL_OK)
		return parsed;
	b->slice = (struct counts){ 0 };
	b->slice_refused.n = 0;
	b->to = b->n - b->from > SLICE ? b->from + SLICE : b->n;
	for (size_t i = b->from; i < b->to; i++) {
		enum device_outcome outcome = DEVICE_UNCHANGED;
		enum fl_code code = put_line(rq, scope, &b->lines[i], &outcome, err);

		if (is_refusal(code))
			refuse(&b->slice, &b->slice_refused, b->lines[i].number, err->msg);
		else if (code != FL_OK)
			return fl_wrap(err, "line %lld", (long long)b->lines[i].number);
		else
			count(&b->slice, outcome);
	}
	request_then(rq, LANE_WORK, committed);
	if (b->slice.created + b->slice.changed == 0)
		return FL_OK;
	return events_write(rq->store, rq->effects,
		&(struct events_line){ .kind = EVENT_DEVICES_REGISTERED,
			.actor = rq->who.name,
			.subject = rq->server->settings->tenant,
			.data = json_pack("{s:I, s:I}", "created", (json_int_t)b->slice.created,
				"changed", (json_int_t)b->slice.changed) },
		err);
}

/* The slice is durable: count it and go on. */
static enum fl_code committed(struct request *rq, struct fl_err *err)
{
	struct bulk *b = rq->state;
	const struct refusals *bad = &b->slice_refused;

	(void)err;
	b->total.created += b->slice.created;
	b->total.changed += b->slice.changed;
	b->total.unchanged += b->slice.unchanged;
	for (size_t i = 0; i < bad->n; i++)
		refuse(&b->total, &b->refused, bad->first[i].line, bad->first[i].detail);
	b->total.refused += b->slice.refused - (int64_t)bad->n;
	b->from = b->to;
	if (b->from < b->n) {
		request_then(rq, LANE_WRITE, write_slice);
		return FL_OK;
	}
	b->from = b->to = b->n = 0;
	fl_arena_fini(&b->arena);
	return b->ended ? answer(rq) : FL_OK;
}

/* ---- reading */

static struct bulk_line *next_line(struct bulk *b)
{
	if (b->n == b->cap) {
		size_t cap = b->cap == 0 ? 1024 : b->cap * 2;
		struct bulk_line *lines = realloc(b->lines, cap * sizeof(*lines));

		if (lines == NULL)
			return NULL;
		b->lines = lines;
		b->cap = cap;
	}
	return &b->lines[b->n];
}

static bool blank(struct fl_bytes text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != ' ' && text.p[i] != '\t' && text.p[i] != '\r')
			return false;
	return true;
}

/* One whole line without its newline. */
static enum fl_code take_line(struct bulk *b, struct fl_bytes text, struct fl_err *err)
{
	struct fl_err why = { 0 };
	struct bulk_line *line;

	b->line++;
	if (blank(text))
		return FL_OK;
	if (text.n > BULK_LINE_MAX) {
		refuse(&b->total, &b->refused, b->line, "the line is longer than 64 KiB");
		return FL_OK;
	}
	line = next_line(b);
	if (line == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the lines");
	enum fl_code code = bulk_line_read(text, &b->arena, &b->scratch, line, &why);
	line->number = b->line;
	if (code == FL_OK)
		b->n++;
	else if (code == FL_NOMEM)
		return fl_fail(err, code, "line %lld: %s", (long long)b->line, why.msg);
	else
		refuse(&b->total, &b->refused, b->line, why.msg);
	return FL_OK;
}

/* Keep the beginning of a line for the next piece, as much as a line may have. */
static enum fl_code carry(struct bulk *b, struct fl_bytes rest, struct fl_err *err)
{
	if (b->skipping)
		return FL_OK;
	if (b->carry.n + rest.n > BULK_LINE_MAX) {
		b->skipping = true;
		b->line++;
		refuse(&b->total, &b->refused, b->line, "the line is longer than 64 KiB");
		fl_buf_reset(&b->carry);
		return FL_OK;
	}
	fl_buf_add(&b->carry, rest.p, rest.n);
	return fl_buf_check(&b->carry, err);
}

/* The end of the line that was carried over. */
static enum fl_code finish_carried(struct bulk *b, struct fl_bytes end, struct fl_err *err)
{
	if (b->skipping) {
		b->skipping = false;
		return FL_OK;
	}
	fl_buf_add(&b->carry, end.p, end.n);
	enum fl_code code = fl_buf_check(&b->carry, err);
	if (code == FL_OK)
		code = take_line(b, (struct fl_bytes){ b->carry.p, b->carry.n }, err);
	fl_buf_reset(&b->carry);
	return code;
}

static enum fl_code receive(struct request *rq, struct fl_bytes bytes, struct fl_err *err)
{
	struct bulk *b = rq->state;
	enum fl_code code = FL_OK;

	while (bytes.n > 0 && code == FL_OK) {
		const uint8_t *newline = memchr(bytes.p, '\n', bytes.n);
		struct fl_bytes line = { bytes.p,
			newline == NULL ? bytes.n : (size_t)(newline - bytes.p) };
		size_t step = line.n + (newline != NULL);

		if (newline == NULL)
			code = carry(b, line, err);
		else if (b->skipping || b->carry.n > 0)
			code = finish_carried(b, line, err);
		else
			code = take_line(b, line, err);
		bytes.p += step;
		bytes.n -= step;
	}
	if (code == FL_OK && b->n > 0)
		request_then(rq, LANE_WRITE, write_slice);
	return code;
}

static enum fl_code finish(struct request *rq, struct fl_err *err)
{
	struct bulk *b = rq->state;

	b->ended = true;
	if (b->carry.n > 0) {
		enum fl_code code = finish_carried(b, (struct fl_bytes){ 0 }, err);
		if (code != FL_OK)
			return code;
	}
	if (b->n == 0)
		return answer(rq);
	request_then(rq, LANE_WRITE, write_slice);
	return FL_OK;
}

enum fl_code api_devices_bulk(struct request *rq, struct fl_err *err)
{
	static const struct request_stream stream = { LANE_WORK, receive, finish };

	rq->state = calloc(1, sizeof(struct bulk));
	if (rq->state == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a registration in bulk");
	rq->drop = drop;
	request_stream(rq, &stream);
	return FL_OK;
}
