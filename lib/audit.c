/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/audit.h"

#include <string.h>

/* ---- the chain */

enum fl_code fl_audit_hash(const struct fl_audit_line *line, const uint8_t before[FL_AUDIT_HASH],
	uint8_t out[FL_AUDIT_HASH], struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	FL_AUTO_JSON json_t *json = json_pack("{s:s, s:I, s:O, s:s, s:I, s:s}", "actor",
		line->actor, "at", (json_int_t)line->at_ms, "data", line->data, "kind", line->kind,
		"seq", (json_int_t)line->seq, "subject", line->subject);

	if (json == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for an event (or a text is not UTF-8)");
	fl_buf_add(&b, before, FL_AUDIT_HASH);
	enum fl_code code = fl_json_canonical(&b, json, err);
	if (code == FL_OK)
		code = fl_buf_check(&b, err);
	if (code == FL_OK)
		fl_sha256(fl_bytes(b.p, b.n), out);
	return code;
}

/* "2026-11-23T08:00:00.123Z" in ms since 1970. */
static enum fl_code read_time(const char *text, int64_t *out, struct fl_err *err)
{
	char whole[24];
	int64_t ms = 0;

	if (strlen(text) != 24 || text[19] != '.' || text[23] != 'Z' ||
		strspn(text + 20, "0123456789") != 3)
		return fl_fail(err, FL_CORRUPT, "\"%.40s\" is no time with milliseconds", text);
	(void)memcpy(whole, text, 19);
	(void)memcpy(whole + 19, "Z", 2);
	enum fl_code code = fl_utc_read(whole, &ms, err);
	if (code == FL_OK)
		*out = ms + (text[20] - '0') * 100 + (text[21] - '0') * 10 + (text[22] - '0');
	return code;
}

void fl_audit_time(int64_t ms, char out[FL_AUDIT_TIME])
{
	int part = (int)(ms % 1000);

	fl_utc_write(ms, out);
	out[19] = '.';
	out[20] = (char)('0' + part / 100);
	out[21] = (char)('0' + part / 10 % 10);
	out[22] = (char)('0' + part % 10);
	out[23] = 'Z';
	out[24] = '\0';
}

enum fl_code fl_audit_line_read(const json_t *event, struct fl_audit_line *out, struct fl_err *err)
{
	struct {
		int64_t seq;
		const char *at, *actor, *kind, *subject, *hash;
		json_t *data;
	} f = { 0 };
	const struct fl_json_field fields[] = {
		FL_FIELD(__typeof__(f), seq, "seq", INT, .required = true, .min = 1,
			.max = INT64_MAX),
		FL_FIELD(__typeof__(f), at, "at", STRING, .required = true),
		FL_FIELD(__typeof__(f), actor, "actor", STRING, .required = true),
		FL_FIELD(__typeof__(f), kind, "kind", STRING, .required = true),
		FL_FIELD(__typeof__(f), subject, "subject", STRING, .required = true),
		FL_FIELD(__typeof__(f), data, "data", OBJECT, .required = true),
		FL_FIELD(__typeof__(f), hash, "hash", STRING, .required = true),
	};
	struct fl_audit_line line = { 0 };
	struct fl_err why = { 0 };

	if (fl_json_read(event, fields, FL_COUNT(fields), FL_JSON_REJECT, &f, &why) != FL_OK)
		return fl_fail(err, FL_CORRUPT, "this is no event: %s", why.msg);
	if (!fl_unhex(f.hash, line.hash, sizeof(line.hash)))
		return fl_fail(err, FL_CORRUPT, "event %lld has no hash", (long long)f.seq);
	if (read_time(f.at, &line.at_ms, &why) != FL_OK)
		return fl_fail(err, FL_CORRUPT, "event %lld: %s", (long long)f.seq, why.msg);
	line.seq = f.seq;
	line.actor = f.actor;
	line.kind = f.kind;
	line.subject = f.subject;
	line.data = f.data;
	*out = line;
	return FL_OK;
}

enum fl_code fl_audit_follow(
	struct fl_audit_walk *walk, const struct fl_audit_line *line, struct fl_err *err)
{
	uint8_t hash[FL_AUDIT_HASH];
	long long next = (long long)walk->seq + 1, seq = (long long)line->seq;

	if (seq < next)
		return fl_fail(
			err, FL_CORRUPT, "event %lld stands where event %lld belongs", seq, next);
	if (seq > next)
		return fl_fail(err, FL_CORRUPT, "event %lld is missing", next);
	enum fl_code code = fl_audit_hash(line, walk->hash, hash, err);
	if (code == FL_NOMEM)
		return code;
	if (code != FL_OK || memcmp(hash, line->hash, sizeof(hash)) != 0)
		return fl_fail(err, FL_CORRUPT,
			"event %lld was changed after it was written, or the one before it was",
			seq);
	walk->seq = line->seq;
	memcpy(walk->hash, hash, sizeof(hash));
	return FL_OK;
}

/* ---- marks */

static const char *type_of(enum fl_audit_kind kind)
{
	return kind == FL_AUDIT_HEAD ? "fleetd-audit-head" : "fleetd-audit-checkpoint";
}

enum fl_code fl_audit_seal(struct fl_buf *out, const struct fl_audit_mark *mark,
	const struct fl_sign_key *key, struct fl_err *err)
{
	char hex[FL_SHA256_HEX + 1];

	fl_hex(mark->hash, sizeof(mark->hash), hex);
	FL_AUTO_JSON json_t *content = json_pack("{s:s, s:I, s:s, s:I, s:s, s:s}", "_type",
		type_of(mark->kind), "at", (json_int_t)mark->at_ms, "hash", hex, "seq",
		(json_int_t)mark->seq, "tenant", mark->tenant, "uuid", mark->uuid);
	if (content == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a mark of the audit trail");
	return fl_envelope_seal(out, content, &key, 1, err);
}

static enum fl_code read_mark(const json_t *content, enum fl_audit_kind kind,
	struct fl_audit_mark *out, struct fl_err *err)
{
	struct {
		const char *type, *hash, *tenant, *uuid;
		int64_t at, seq;
	} f = { 0 };
	const struct fl_json_field fields[] = {
		FL_FIELD(__typeof__(f), type, "_type", STRING, .required = true),
		FL_FIELD(__typeof__(f), at, "at", INT, .required = true),
		FL_FIELD(__typeof__(f), hash, "hash", STRING, .required = true),
		FL_FIELD(__typeof__(f), seq, "seq", INT, .required = true, .min = 0,
			.max = INT64_MAX),
		FL_FIELD(__typeof__(f), tenant, "tenant", STRING, .required = true, .min = 1,
			.max = FL_AUDIT_NAME - 1),
		FL_FIELD(__typeof__(f), uuid, "uuid", STRING, .required = true, .min = 36,
			.max = 36),
	};
	struct fl_audit_mark mark = { .kind = kind };
	enum fl_code code =
		fl_json_read(content, fields, FL_COUNT(fields), FL_JSON_REJECT, &f, err);

	if (code != FL_OK)
		return code;
	if (strcmp(f.type, type_of(kind)) != 0)
		return fl_fail(err, FL_INVALID, "this is a %.40s, not a %s", f.type, type_of(kind));
	if (!fl_unhex(f.hash, mark.hash, sizeof(mark.hash)))
		return fl_fail(err, FL_INVALID, "a mark of the audit trail has no hash");
	mark.seq = f.seq;
	mark.at_ms = f.at;
	memcpy(mark.tenant, f.tenant, strlen(f.tenant));
	memcpy(mark.uuid, f.uuid, strlen(f.uuid));
	*out = mark;
	return FL_OK;
}

enum fl_code fl_audit_open(const json_t *envelope, enum fl_audit_kind kind,
	const struct fl_public *key, struct fl_audit_mark *out, struct fl_err *err)
{
	struct fl_role role = { .keys = { *key }, .n = 1, .threshold = 1 };
	FL_AUTO_BUF struct fl_buf text = { 0 };
	FL_AUTO_JSON json_t *content = NULL;

	fl_json_write(&text, envelope);
	enum fl_code code = fl_buf_check(&text, err);
	if (code == FL_OK)
		code = fl_envelope_open(fl_bytes(text.p, text.n), &role, &content, err);
	return code == FL_OK ? read_mark(content, kind, out, err) : code;
}

enum fl_code fl_audit_agree(
	const struct fl_audit_walk *walk, const struct fl_audit_mark *mark, struct fl_err *err)
{
	if (walk->seq < mark->seq)
		return fl_fail(err, FL_CORRUPT,
			"the last %lld events are missing: the signed mark stands at %lld, the "
			"trail ends at %lld",
			(long long)(mark->seq - walk->seq), (long long)mark->seq,
			(long long)walk->seq);
	if (walk->seq > mark->seq)
		return fl_fail(err, FL_CORRUPT,
			"event %lld stands behind the signed mark, which says that %lld is the "
			"last",
			(long long)walk->seq, (long long)mark->seq);
	if (memcmp(walk->hash, mark->hash, sizeof(mark->hash)) != 0)
		return fl_fail(err, FL_CORRUPT,
			"the trail was written anew: event %lld does not have the hash that was "
			"signed",
			(long long)mark->seq);
	return FL_OK;
}
