/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/audit.h"

#include "cli/text.h"
#include "cli/value.h"

#include "lib/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE       1000
#define KEY_MAX    4096
#define TRIES      3 /* while others prune */
#define LINE_BYTES (4 * 1024 * 1024)

/* A check under way. */
struct walk {
	struct fl_audit_walk at;
	struct fl_public key;
	bool have_key;
	struct fl_audit_mark since; /* of an older export */
	bool have_since, since_met;
	struct fl_audit_mark kept; /* that the server has kept apart from the trail */
	bool have_kept;
	struct audit_result *result;
	FILE *out; /* where lines are copied to; NULL: nowhere */
};

/* ---- parts of a trail */

static enum fl_code take_key(struct walk *w, const json_t *key, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	if (!w->have_key)
		code = fl_public_read(key, &w->key, err);
	w->have_key = code == FL_OK;
	if (code == FL_OK)
		memcpy(w->result->keyid, w->key.keyid, sizeof(w->result->keyid));
	return code;
}

/* A mark must be of the same server as an older one that was given. */
static enum fl_code same_server(
	const struct walk *w, const struct fl_audit_mark *mark, struct fl_err *err)
{
	if (w->have_since && strcmp(w->since.uuid, mark->uuid) != 0)
		return fl_fail(err, FL_CORRUPT,
			"this is the trail of server %s; the older export is of server %s",
			mark->uuid, w->since.uuid);
	return FL_OK;
}

/* Whether the line that was reached agrees with what must be there. */
static enum fl_code meet(struct walk *w, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	if (w->have_kept && w->at.seq == w->kept.seq)
		code = fl_audit_agree(&w->at, &w->kept, err);
	if (code != FL_OK || !w->have_since || w->at.seq != w->since.seq)
		return code;
	w->since_met = true;
	return fl_audit_agree(&w->at, &w->since, err);
}

/* Begin behind the checkpoint, if there is one. */
static enum fl_code take_checkpoint(struct walk *w, const json_t *envelope, struct fl_err *err)
{
	struct fl_audit_mark mark;
	enum fl_code code;

	if (envelope == NULL || json_is_null(envelope))
		return meet(w, err);
	code = fl_audit_open(envelope, FL_AUDIT_CHECKPOINT, &w->key, &mark, err);
	if (code != FL_OK)
		return fl_wrap(err, "the checkpoint");
	code = same_server(w, &mark, err);
	if (code == FL_OK && w->have_since && w->since.seq < mark.seq)
		code = fl_fail(err, FL_REFUSED,
			"events up to %lld were pruned after the older export, which ends at %lld: "
			"verify a newer export",
			(long long)mark.seq, (long long)w->since.seq);
	w->at.seq = w->result->pruned = mark.seq;
	memcpy(w->at.hash, mark.hash, sizeof(w->at.hash));
	return code == FL_OK ? meet(w, err) : code;
}

static enum fl_code copy_line(const struct walk *w, const json_t *json, struct fl_err *err)
{
	if (w->out == NULL)
		return FL_OK;
	if (json_dumpf(json, w->out, JSON_COMPACT | JSON_SORT_KEYS) != 0 ||
		putc('\n', w->out) == EOF)
		return fl_fail_errno(err, errno, "cannot write the export");
	return FL_OK;
}

static enum fl_code take_event(struct walk *w, const json_t *event, struct fl_err *err)
{
	struct fl_audit_line line;
	enum fl_code code = fl_audit_line_read(event, &line, err);

	if (code == FL_OK)
		code = fl_audit_follow(&w->at, &line, err);
	if (code == FL_OK)
		code = meet(w, err);
	if (code == FL_OK)
		code = copy_line(w, event, err);
	if (code != FL_OK)
		return code;
	if (w->result->lines++ == 0)
		w->result->first = line.seq;
	w->result->last = line.seq;
	return FL_OK;
}

static enum fl_code read_head(const struct walk *w, const json_t *envelope,
	struct fl_audit_mark *head, struct fl_err *err)
{
	enum fl_code code = fl_audit_open(envelope, FL_AUDIT_HEAD, &w->key, head, err);

	if (code != FL_OK)
		return fl_wrap(err, "the head");
	return same_server(w, head, err);
}

static enum fl_code take_head(
	const struct walk *w, const struct fl_audit_mark *head, struct fl_err *err)
{
	enum fl_code code = fl_audit_agree(&w->at, head, err);

	if (code == FL_OK && w->have_kept && w->kept.seq > head->seq)
		code = fl_fail(err, FL_CORRUPT,
			"the last %lld events are missing: the server has kept a head behind event "
			"%lld, the trail ends at %lld",
			(long long)(w->kept.seq - head->seq), (long long)w->kept.seq,
			(long long)head->seq);
	if (code == FL_OK && w->have_since && !w->since_met)
		code = fl_fail(err, FL_CORRUPT,
			"the trail ends at %lld, before the older export, which ends at %lld: its "
			"newest events are missing",
			(long long)head->seq, (long long)w->since.seq);
	return code;
}

/* ---- files */

static enum fl_code load_key(struct walk *w, const char *path, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = FL_OK;

	if (path == NULL)
		return FL_OK;
	code = fl_file_get(path, KEY_MAX, &text, err);
	if (code == FL_OK)
		code = fl_json_parse(fl_bytes(text.p, text.n), &json, err);
	if (code == FL_OK)
		code = take_key(w, json, err);
	w->result->key_given = code == FL_OK;
	return code == FL_OK ? FL_OK : fl_wrap(err, "key %s", path);
}

/* A line of an export, parsed; *json stays NULL at the end of the file. */
static enum fl_code next_line(
	FILE *f, int64_t *number, char **line, json_t **json, struct fl_err *err)
{
	size_t room = 0;
	ssize_t n;

	free(*line);
	*line = NULL;
	json_decref(*json);
	*json = NULL;
	n = getline(line, &room, f);
	if (n < 0 && ferror(f) != 0)
		return fl_fail_errno(
			err, errno, "cannot read on behind line %lld", (long long)*number);
	if (n < 0)
		return FL_OK;
	++*number;
	if (n > LINE_BYTES)
		return fl_fail(err, FL_CORRUPT, "line %lld is too long", (long long)*number);
	enum fl_code code = fl_json_parse(fl_bytes(*line, (size_t)n), json, err);
	if (code != FL_OK) {
		struct fl_err why = *err;

		code = fl_fail(
			err, FL_CORRUPT, "line %lld is no JSON: %s", (long long)*number, why.msg);
	}
	return code;
}

static enum fl_code take_first_line(struct walk *w, const json_t *json, struct fl_err *err)
{
	enum fl_code code;

	if (value_int(json, "fleetd_audit") != 1)
		return fl_fail(err, FL_INVALID,
			"this is no export that `fleetctl audit export` has written");
	code = take_key(w, json_object_get(json, "key"), err);
	return code == FL_OK ? take_checkpoint(w, json_object_get(json, "checkpoint"), err) : code;
}

/* The whole file; *head gets its signed head. */
static enum fl_code walk_file(
	struct walk *w, FILE *f, struct fl_audit_mark *head, struct fl_err *err)
{
	char *line = NULL;
	json_t *json = NULL;
	int64_t number = 0;
	bool ended = false;
	enum fl_code code = next_line(f, &number, &line, &json, err);

	if (code == FL_OK)
		code = take_first_line(w, json, err);
	while (code == FL_OK && (code = next_line(f, &number, &line, &json, err)) == FL_OK &&
		json != NULL) {
		const json_t *envelope = json_object_get(json, "head");

		if (ended)
			code = fl_fail(err, FL_CORRUPT, "line %lld stands behind the head",
				(long long)number);
		else if (envelope != NULL)
			code = read_head(w, envelope, head, err);
		else
			code = take_event(w, json, err);
		ended = ended || envelope != NULL;
	}
	if (code == FL_OK && !ended)
		code = fl_fail(err, FL_CORRUPT,
			"the file has no signed head at its end: its last lines are missing");
	if (code == FL_OK)
		code = take_head(w, head, err);
	free(line);
	json_decref(json);
	return code;
}

static enum fl_code verify_file(
	struct walk *w, const char *path, struct fl_audit_mark *head, struct fl_err *err)
{
	FILE *f = fopen(path, "r");
	enum fl_code code;

	if (f == NULL)
		return fl_fail(err, FL_NOT_FOUND, "%s cannot be opened: %s", path, strerror(errno));
	code = walk_file(w, f, head, err);
	(void)fclose(f);
	return code == FL_OK ? FL_OK : fl_wrap(err, "%s", path);
}

/* The older export must be whole itself. */
static enum fl_code load_since(struct walk *w, const char *path, struct fl_err *err)
{
	struct audit_result none = { 0 };
	struct walk older = { .key = w->key, .have_key = w->have_key, .result = &none };
	enum fl_code code = FL_OK;

	if (path == NULL)
		return FL_OK;
	code = verify_file(&older, path, &w->since, err);
	w->have_since = code == FL_OK;
	if (code == FL_OK && !w->have_key) {
		/* the signer of old must be the signer of today */
		w->key = older.key;
		w->have_key = true;
		memcpy(w->result->keyid, w->key.keyid, sizeof(w->result->keyid));
	}
	return code;
}

/* ---- the server */

static enum fl_code take_page(
	struct walk *w, const json_t *items, int64_t until, struct fl_err *err)
{
	const json_t *event;
	size_t i;
	enum fl_code code = FL_OK;

	if (json_array_size(items) == 0)
		return fl_fail(err, FL_CORRUPT, "event %lld is missing", (long long)w->at.seq + 1);
	json_array_foreach (items, i, event) {
		if (code != FL_OK || w->at.seq >= until)
			break;
		code = take_event(w, event, err);
	}
	return code;
}

static enum fl_code take_kept(struct walk *w, const json_t *envelope, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	w->have_kept = envelope != NULL && !json_is_null(envelope);
	if (w->have_kept)
		code = fl_audit_open(envelope, FL_AUDIT_HEAD, &w->key, &w->kept, err);
	return code == FL_OK ? FL_OK : fl_wrap(err, "the kept head");
}

/* From the checkpoint to the head that `answer` tells. */
static enum fl_code walk_server(
	struct cli *cli, struct walk *w, const json_t *answer, struct fl_err *err)
{
	struct fl_audit_mark head;
	enum fl_code code = take_key(w, json_object_get(answer, "key"), err);

	if (code == FL_OK)
		code = take_kept(w, json_object_get(answer, "kept"), err);
	if (code == FL_OK)
		code = take_checkpoint(w, json_object_get(answer, "checkpoint"), err);
	if (code == FL_OK)
		code = read_head(w, json_object_get(answer, "head"), &head, err);
	if (code == FL_OK && w->out != NULL) {
		FL_AUTO_JSON json_t *first = json_pack("{s:i, s:O, s:O}", "fleetd_audit", 1, "key",
			json_object_get(answer, "key"), "checkpoint",
			json_object_get(answer, "checkpoint"));
		code = copy_line(w, first, err);
	}
	while (code == FL_OK && w->at.seq < head.seq) {
		FL_AUTOFREE char *path = text_format("/api/v1/events");
		FL_AUTO_JSON json_t *page = NULL;

		api_query_int(&path, "after", w->at.seq);
		api_query_int(&path, "limit", PAGE);
		code = cli_get(cli, path, &page, err);
		if (code == FL_OK)
			code = take_page(w, json_object_get(page, "items"), head.seq, err);
	}
	if (code == FL_OK)
		code = take_head(w, &head, err);
	if (code == FL_OK && w->out != NULL) {
		FL_AUTO_JSON json_t *last =
			json_pack("{s:O}", "head", json_object_get(answer, "head"));
		code = copy_line(w, last, err);
	}
	return code;
}

/* Others may prune while we read: then the newest checkpoint is another one, and we begin again. */
static enum fl_code verify_server(struct cli *cli, const struct walk *begin, struct fl_err *err)
{
	FL_AUTO_JSON json_t *before = NULL;
	enum fl_code code = FL_CORRUPT;

	for (int i = 0; i < TRIES && code == FL_CORRUPT; i++) {
		FL_AUTO_JSON json_t *answer = NULL;
		struct walk w = *begin;
		struct fl_err failed = { 0 };
		bool keyed = begin->result->key_given;

		if (cli_get(cli, "/api/v1/audit/head", &answer, &failed) != FL_OK)
			return fl_fail(err, failed.code, "%s", failed.msg);
		if (i > 0 &&
			(w.out != NULL ||
				json_equal(json_object_get(answer, "checkpoint"), before)))
			break;
		*w.result = (struct audit_result){ .key_given = keyed };
		code = walk_server(cli, &w, answer, err);
		json_decref(before);
		before = json_incref(json_object_get(answer, "checkpoint"));
	}
	return code;
}

/* ---- both */

enum fl_code audit_verify(struct cli *cli, const struct audit_check *check,
	struct audit_result *result, struct fl_err *err)
{
	struct walk w = { .result = result };
	struct fl_audit_mark head;
	enum fl_code code = load_key(&w, check->key_file, err);

	if (code == FL_OK)
		code = load_since(&w, check->since_file, err);
	if (code != FL_OK)
		return code;
	return check->file != NULL ? verify_file(&w, check->file, &head, err)
				   : verify_server(cli, &w, err);
}

enum fl_code audit_export(
	struct cli *cli, FILE *out, struct audit_result *result, struct fl_err *err)
{
	struct walk w = { .result = result, .out = out };

	return verify_server(cli, &w, err);
}
