/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens: create, list, revoke. Only admins whose own token sees everything may do so, since a new
 * token may see everything. */
#include "server/http/handlers.h"

#include "server/api/idempotent.h"
#include "server/api/list.h"
#include "server/devices.h"
#include "server/store/token.h"
#include "server/tokens.h"

#include "lib/digest.h"

#include <stdlib.h>
#include <string.h>

/* ---- listing */

/* {} or what is stored, as a new reference. */
static json_t *labels_json(const char *labels)
{
	return labels == NULL ? json_object() : json_loads(labels, 0, NULL);
}

static json_t *token_json(const struct token *t)
{
	return json_pack("{s:I, s:s, s:o, s:s?, s:o, s:o, s:o, s:o, s:s, s:o}", "id",
		(json_int_t)t->id, "name", t->name, "roles", tokens_roles_json(t->roles),
		"selector", t->selector, "uses_left",
		t->uses_left < 0 ? json_null() : json_integer(t->uses_left), "labels",
		labels_json(t->labels), "expires_at", list_time(t->expires_at), "created_at",
		list_time(t->created_at), "created_by", t->created_by, "revoked_at",
		list_time(t->revoked_at));
}

static enum fl_code add_token(void *context, const struct token *t, struct fl_err *err)
{
	return list_add_no(context, token_json(t), t->id, err);
}

enum fl_code api_tokens_list(struct request *rq, struct fl_err *err)
{
	struct list l = { 0 };
	int64_t after = 0;
	enum fl_code code = list_unlimited(rq, "list tokens", err);

	if (code == FL_OK)
		code = list_init(rq, &l, err);
	if (code == FL_OK)
		code = list_after(&l, &after, err);
	if (code == FL_OK)
		code = token_each(rq->store, after, l.limit + 1, add_token, &l, err);
	if (code == FL_OK)
		list_reply(rq, &l);
	list_fini(&l);
	return code;
}

/* ---- creating */

struct body {
	const char *name;
	json_t *roles;
	const char *selector;
	int64_t uses;
	json_t *labels;
	int64_t expires_in_s;
};

static const struct fl_json_field fields[] = {
	FL_FIELD(struct body, name, "name", STRING, .required = true),
	FL_FIELD(struct body, roles, "roles", ARRAY, .required = true, .min = 1, .max = 6),
	FL_FIELD(struct body, selector, "selector", STRING),
	FL_FIELD(struct body, uses, "uses", INT, .min = 1, .max = 1000000000),
	FL_FIELD(struct body, labels, "labels", OBJECT),
	FL_FIELD(struct body, expires_in_s, "expires_in_s", INT, .min = 1, .max = 3155760000),
};

static enum fl_code read_roles(const json_t *array, unsigned *out, struct fl_err *err)
{
	const json_t *element;
	size_t i;

	json_array_foreach (array, i, element) {
		const char *name = json_string_value(element);
		unsigned bit = name == NULL ? 0 : tokens_role_parse(name);

		if (bit == 0)
			return fl_fail(err, FL_INVALID,
				"roles[%zu] must be viewer, publisher, operator, approver, admin "
				"or enroller",
				i);
		*out |= bit;
	}
	return FL_OK;
}

/* Check the body and put it into `spec`; `labels` holds what spec->labels points to. */
static enum fl_code read_spec(
	struct request *rq, struct tokens_spec *spec, struct fl_buf *labels, struct fl_err *err)
{
	struct body b = { .uses = -1 };
	enum fl_code code = request_read(rq, fields, FL_COUNT(fields), &b, err);

	if (code == FL_OK)
		code = devices_check_name("token", b.name, err);
	if (code == FL_OK)
		code = read_roles(b.roles, &spec->roles, err);
	if (code == FL_OK && b.selector != NULL)
		code = rsql_check(b.selector, ~0u, err);
	if (code == FL_OK && b.labels != NULL)
		code = devices_object("label", b.labels, labels, err);
	if (code != FL_OK)
		return code;
	if ((spec->roles & WHO_ENROLLER) == 0 && (b.uses >= 0 || b.labels != NULL))
		return fl_fail(err, FL_INVALID, "uses and labels belong to the role enroller");
	spec->name = b.name;
	spec->selector = b.selector == NULL || b.selector[strspn(b.selector, " ")] == '\0'
		? NULL
		: b.selector;
	spec->uses = b.uses;
	spec->labels = b.labels == NULL ? NULL : (const char *)labels->p;
	spec->expires_at = b.expires_in_s == 0 ? 0 : rq->now_ms + b.expires_in_s * 1000;
	spec->created_by = rq->who.name;
	return FL_OK;
}

static enum fl_code create(struct request *rq, const struct tokens_spec *spec, struct fl_err *err)
{
	char text[TOKENS_TEXT_MAX];
	struct token row = { 0 };
	int64_t id = 0;
	enum fl_code code = tokens_create(rq->store, rq->effects, spec, text, &id, err);

	if (code == FL_OK)
		code = token_get(rq->store, id, &row, err);
	if (code == FL_OK) {
		json_t *shown = token_json(&row);
		FL_AUTO_JSON json_t *kept = json_deep_copy(shown);
		if (json_object_set_new(shown, "token", json_string(text)) != 0) {
			json_decref(shown);
			shown = NULL;
		}
		code = idempotent_reply(rq, 201, shown, kept, err);
	}
	fl_wipe(text, sizeof(text));
	token_fini(&row);
	return code;
}

enum fl_code api_token_create(struct request *rq, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf labels = { 0 };
	struct tokens_spec spec = { 0 };
	bool replayed = false;
	enum fl_code code = list_unlimited(rq, "create tokens", err);

	if (code == FL_OK)
		code = read_spec(rq, &spec, &labels, err);
	if (code == FL_OK)
		code = idempotent_replay(rq, &replayed, err);
	if (code == FL_OK && !replayed)
		code = create(rq, &spec, err);
	return code;
}

/* ---- revoking */

enum fl_code api_token_revoke(struct request *rq, struct fl_err *err)
{
	char *end;
	int64_t id = strtoll(rq->param[0], &end, 10);
	enum fl_code code = list_unlimited(rq, "revoke tokens", err);

	if (code != FL_OK)
		return code;
	if (*end != '\0' || id <= 0)
		return fl_fail(err, FL_NOT_FOUND, "there is no token \"%s\"; use its number",
			rq->param[0]);
	code = tokens_revoke(rq->store, rq->effects, id, rq->who.name, err);
	if (code == FL_OK)
		reply_empty(rq, 204);
	return code;
}
