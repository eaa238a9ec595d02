/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/manifest.h"

#include <stdlib.h>
#include <string.h>

#define MANIFEST_TYPE   "manifest"
#define SPEC_VERSION    "1"
#define MODULE_SIZE_MAX (1LL << 50)

/* ---- the rules that both sides hold against a goal */

static enum fl_code check_name(const char *what, const char *name, struct fl_err *err)
{
	size_t n = strlen(name);

	if (n == 0 || n > FL_MANIFEST_NAME_MAX)
		return fl_fail(
			err, FL_INVALID, "a %s has from 1 to %d bytes", what, FL_MANIFEST_NAME_MAX);
	return FL_OK;
}

static enum fl_code check_module(const struct fl_manifest_module *m, struct fl_err *err)
{
	uint8_t digest[FL_SHA256_LEN];
	enum fl_code code = check_name("module's name", m->module, err);

	if (code == FL_OK)
		code = check_name("version", m->version, err);
	if (code == FL_OK)
		code = check_name("kind", m->kind, err);
	if (code == FL_OK && m->media_type != NULL)
		code = check_name("media type", m->media_type, err);
	if (code != FL_OK)
		return code;
	if (m->sha256 != NULL && !fl_unhex(m->sha256, digest, sizeof(digest)))
		return fl_fail(err, FL_INVALID, "module %s: \"sha256\" is no digest", m->module);
	if (m->size < 0 || m->size > MODULE_SIZE_MAX || (m->sha256 == NULL && m->size != 0))
		return fl_fail(err, FL_INVALID, "module %s: \"size\" is out of bounds", m->module);
	return FL_OK;
}

/* Both lists are sorted: neighbours tell of doubles. */
static enum fl_code check_names(const char *what, const char **names, size_t n, struct fl_err *err)
{
	for (size_t i = 0; i < n; i++) {
		enum fl_code code = check_name("module's name", names[i], err);

		if (code != FL_OK) {
			fl_wrap(err, "%s", what);
			return code;
		}
		if (i > 0 && strcmp(names[i - 1], names[i]) >= 0)
			return fl_fail(err, FL_INVALID, "%s: %s comes twice or out of order", what,
				names[i]);
	}
	return FL_OK;
}

static enum fl_code check_spans(const struct fl_manifest_step *s, struct fl_err *err)
{
	if (s->n_spans > FL_MANIFEST_SPANS_MAX)
		return fl_fail(
			err, FL_INVALID, "\"switch\" has at most %d spans", FL_MANIFEST_SPANS_MAX);
	for (size_t i = 0; i < s->n_spans; i++)
		if (s->spans[i].until_ms <= s->spans[i].from_ms ||
			(i > 0 && s->spans[i].from_ms < s->spans[i - 1].until_ms))
			return fl_fail(err, FL_INVALID, "the spans of \"switch\" are out of order");
	return FL_OK;
}

int64_t fl_manifest_opens(const struct fl_manifest_step *s, int64_t now_ms)
{
	for (size_t i = 0; i < s->n_spans; i++)
		if (now_ms < s->spans[i].until_ms)
			return now_ms < s->spans[i].from_ms ? s->spans[i].from_ms : now_ms;
	return s->n_spans == 0 ? now_ms : -1;
}

static enum fl_code check_step(const struct fl_manifest_step *s, struct fl_err *err)
{
	enum fl_code code;

	if (s->rollout == NULL)
		return FL_OK;
	code = check_name("rollout's name", s->rollout, err);
	if (code == FL_OK)
		code = check_name("stage", s->stage, err);
	if (code == FL_OK)
		code = check_name("step's id", s->id, err);
	if (code == FL_OK && (s->probation_s < 0 || s->probation_s > 365 * 86400))
		code = fl_fail(err, FL_INVALID, "\"probation_s\" is out of bounds");
	if (code == FL_OK)
		code = check_spans(s, err);
	return code == FL_OK ? check_names("unit", s->unit, s->n_unit, err) : code;
}

static enum fl_code check_modules(const struct fl_manifest_goal *g, struct fl_err *err)
{
	for (size_t i = 0; i < g->n_modules; i++) {
		enum fl_code code = check_module(&g->modules[i], err);

		if (code != FL_OK)
			return code;
		if (i > 0 && strcmp(g->modules[i - 1].module, g->modules[i].module) >= 0)
			return fl_fail(err, FL_INVALID, "modules: %s comes twice or out of order",
				g->modules[i].module);
	}
	return FL_OK;
}

static enum fl_code check_goal(const struct fl_manifest_goal *g, struct fl_err *err)
{
	enum fl_code code;

	if (g->n_modules > FL_MANIFEST_MODULES_MAX || g->n_absent > FL_MANIFEST_MODULES_MAX ||
		g->step.n_unit > FL_MANIFEST_MODULES_MAX)
		return fl_fail(err, FL_INVALID, "a manifest names at most %d modules",
			FL_MANIFEST_MODULES_MAX);
	code = check_modules(g, err);
	if (code == FL_OK)
		code = check_names("absent", g->absent, g->n_absent, err);
	if (code == FL_OK)
		code = check_step(&g->step, err);
	for (size_t i = 0; code == FL_OK && i < g->n_absent; i++) {
		if (fl_manifest_find(g, g->absent[i]) != NULL)
			code = fl_fail(
				err, FL_INVALID, "%s shall both run and be absent", g->absent[i]);
	}
	return code;
}

static int by_module(const void *a, const void *b)
{
	const struct fl_manifest_module *x = a, *y = b;

	return strcmp(x->module, y->module);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const struct fl_manifest_module *fl_manifest_find(
	const struct fl_manifest_goal *goal, const char *module)
{
	const struct fl_manifest_module key = { .module = module };

	if (goal->n_modules == 0)
		return NULL;
	return bsearch(&key, goal->modules, goal->n_modules, sizeof(key), by_module);
}

/* ---- writing */

static json_t *names_json(const char **names, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(array, json_string(names[i])) != 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *module_json(const struct fl_manifest_module *m)
{
	if (m->sha256 == NULL)
		return json_pack("{s:s, s:s, s:s, s:s*}", "module", m->module, "version",
			m->version, "kind", m->kind, "media_type", m->media_type);
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s*}", "module", m->module, "version",
		m->version, "kind", m->kind, "sha256", m->sha256, "size", (json_int_t)m->size,
		"media_type", m->media_type);
}

static json_t *modules_json(const struct fl_manifest_goal *g)
{
	json_t *array = json_array();

	for (size_t i = 0; i < g->n_modules; i++) {
		if (json_array_append_new(array, module_json(&g->modules[i])) != 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

/* Pairs of moments; NULL: none. */
static json_t *spans_json(const struct fl_manifest_step *s)
{
	json_t *array = s->n_spans == 0 ? NULL : json_array();

	for (size_t i = 0; i < s->n_spans; i++)
		(void)json_array_append_new(array,
			json_pack("[I, I]", (json_int_t)s->spans[i].from_ms,
				(json_int_t)s->spans[i].until_ms));
	return array;
}

static json_t *goal_json(const struct fl_manifest_goal *g)
{
	json_t *goal = json_pack("{s:o, s:o}", "modules", modules_json(g), "absent",
		names_json(g->absent, g->n_absent));
	const struct fl_manifest_step *s = &g->step;
	json_t *step;

	if (goal == NULL || s->rollout == NULL)
		return goal;
	step = json_pack("{s:s, s:s, s:s, s:o, s:I, s:o*}", "rollout", s->rollout, "stage",
		s->stage, "id", s->id, "unit", names_json(s->unit, s->n_unit), "probation_s",
		(json_int_t)s->probation_s, "switch", spans_json(s));
	if (json_object_set_new(goal, "step", step) != 0) {
		json_decref(goal);
		return NULL;
	}
	return goal;
}

enum fl_code fl_manifest_goal_write(
	struct fl_buf *out, const struct fl_manifest_goal *goal, struct fl_err *err)
{
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code;

	if (goal->n_modules > 0)
		qsort(goal->modules, goal->n_modules, sizeof(*goal->modules), by_module);
	if (goal->n_absent > 0)
		qsort(goal->absent, goal->n_absent, sizeof(*goal->absent), by_name);
	if (goal->step.n_unit > 0)
		qsort(goal->step.unit, goal->step.n_unit, sizeof(*goal->step.unit), by_name);
	code = check_goal(goal, err);
	if (code != FL_OK) {
		fl_wrap(err, "manifest");
		return code;
	}
	json = goal_json(goal);
	if (json == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a manifest");
	code = fl_json_canonical(out, json, err);
	return code == FL_OK ? fl_buf_check(out, err) : code;
}

static int set_head(json_t *content, const struct fl_manifest_head *h)
{
	int bad = json_object_set_new(content, "_type", json_string(MANIFEST_TYPE));

	bad |= json_object_set_new(content, "spec_version", json_string(SPEC_VERSION));
	bad |= json_object_set_new(content, "tenant", json_string(h->tenant));
	bad |= json_object_set_new(content, "device", json_string(h->device));
	bad |= json_object_set_new(content, "number", json_integer(h->number));
	bad |= json_object_set_new(content, "issued", json_integer(h->issued_ms));
	bad |= json_object_set_new(content, "expires", json_integer(h->expires_ms));
	return bad;
}

enum fl_code fl_manifest_seal(struct fl_buf *out, const struct fl_manifest_head *head,
	struct fl_bytes goal, const struct fl_sign_key *key, struct fl_err *err)
{
	FL_AUTO_JSON json_t *content = NULL;
	enum fl_code code = fl_json_parse(goal, &content, err);

	if (code == FL_INVALID || (code == FL_OK && !json_is_object(content)))
		return fl_fail(err, FL_CORRUPT, "a stored goal is damaged");
	if (code != FL_OK)
		return code;
	if (set_head(content, head) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for a manifest");
	return fl_envelope_seal(out, content, &key, 1, err);
}

/* ---- reading */

struct content_fields {
	struct fl_manifest_head head;
	const char *type, *spec_version;
	json_t *modules, *absent, *step;
};

#define HEAD(member, name, kind, ...) \
	FL_FIELD(struct content_fields, head.member, name, kind, .required = true, __VA_ARGS__)

static enum fl_code read_content(
	const json_t *content, struct content_fields *f, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct content_fields, type, "_type", STRING, .required = true),
		FL_FIELD(struct content_fields, spec_version, "spec_version", STRING,
			.required = true),
		HEAD(tenant, "tenant", STRING, .min = 1, .max = FL_MANIFEST_NAME_MAX),
		HEAD(device, "device", STRING, .min = 1, .max = FL_MANIFEST_NAME_MAX),
		HEAD(number, "number", INT, .min = 1, .max = INT64_MAX),
		HEAD(issued_ms, "issued", INT, .min = 0, .max = INT64_MAX),
		HEAD(expires_ms, "expires", INT, .min = 0, .max = INT64_MAX),
		FL_FIELD(struct content_fields, modules, "modules", ARRAY, .required = true,
			.max = FL_MANIFEST_MODULES_MAX),
		FL_FIELD(struct content_fields, absent, "absent", ARRAY, .required = true,
			.max = FL_MANIFEST_MODULES_MAX),
		FL_FIELD(struct content_fields, step, "step", OBJECT),
	};
	enum fl_code code = fl_json_read(content, fields, FL_COUNT(fields), FL_JSON_IGNORE, f, err);

	if (code != FL_OK)
		return code;
	if (strcmp(f->type, MANIFEST_TYPE) != 0)
		return fl_fail(err, FL_INVALID, "it is of type \"%.32s\"", f->type);
	if (strcmp(f->spec_version, SPEC_VERSION) != 0)
		return fl_fail(err, FL_INVALID,
			"this program does not know version \"%.32s\" of it", f->spec_version);
	return FL_OK;
}

static enum fl_code read_names(
	const json_t *array, const char ***out, size_t *n, struct fl_err *err)
{
	size_t want = json_array_size(array);
	const char **names = calloc(want + 1, sizeof(*names));

	if (names == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a manifest");
	*out = names; /* the manifest owns it from here on */
	for (size_t i = 0; i < want; i++) {
		const json_t *name = json_array_get(array, i);

		if (!json_is_string(name))
			return fl_fail(err, FL_INVALID, "a list of names holds something else");
		names[i] = json_string_value(name);
	}
	*n = want;
	return FL_OK;
}

static enum fl_code read_modules(
	const json_t *array, struct fl_manifest_goal *g, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct fl_manifest_module, module, "module", STRING, .required = true),
		FL_FIELD(struct fl_manifest_module, version, "version", STRING, .required = true),
		FL_FIELD(struct fl_manifest_module, kind, "kind", STRING, .required = true),
		FL_FIELD(struct fl_manifest_module, sha256, "sha256", STRING),
		FL_FIELD(struct fl_manifest_module, media_type, "media_type", STRING),
		FL_FIELD(struct fl_manifest_module, size, "size", INT),
	};
	size_t n = json_array_size(array);
	enum fl_code code = FL_OK;

	g->modules = calloc(n + 1, sizeof(*g->modules));
	if (g->modules == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a manifest");
	for (size_t i = 0; i < n && code == FL_OK; i++)
		code = fl_json_read(json_array_get(array, i), fields, FL_COUNT(fields),
			FL_JSON_IGNORE, &g->modules[i], err);
	g->n_modules = n;
	return code;
}

struct step_fields {
	struct fl_manifest_step s;
	json_t *unit, *spans;
};

static enum fl_code read_spans(
	const json_t *array, struct fl_manifest_step *out, struct fl_err *err)
{
	size_t n = json_array_size(array);

	if (n == 0)
		return FL_OK;
	out->spans = calloc(n, sizeof(*out->spans));
	if (out->spans == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a manifest");
	for (size_t i = 0; i < n; i++) {
		const json_t *pair = json_array_get(array, i);
		const json_t *from = json_array_get(pair, 0), *until = json_array_get(pair, 1);

		if (!json_is_integer(from) || !json_is_integer(until))
			return fl_fail(err, FL_INVALID, "\"switch\" holds pairs of moments");
		out->spans[out->n_spans++] = (struct fl_manifest_span){ json_integer_value(from),
			json_integer_value(until) };
	}
	return FL_OK;
}

static enum fl_code read_step(
	const json_t *object, struct fl_manifest_step *out, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct step_fields, s.rollout, "rollout", STRING, .required = true),
		FL_FIELD(struct step_fields, s.stage, "stage", STRING, .required = true),
		FL_FIELD(struct step_fields, s.id, "id", STRING, .required = true),
		FL_FIELD(struct step_fields, s.probation_s, "probation_s", INT, .required = true),
		FL_FIELD(struct step_fields, unit, "unit", ARRAY, .required = true,
			.max = FL_MANIFEST_MODULES_MAX),
		FL_FIELD(struct step_fields, spans, "switch", ARRAY, .max = FL_MANIFEST_SPANS_MAX),
	};
	struct step_fields f = { 0 };
	enum fl_code code;

	if (object == NULL)
		return FL_OK;
	code = fl_json_read(object, fields, FL_COUNT(fields), FL_JSON_IGNORE, &f, err);
	if (code != FL_OK) {
		fl_wrap(err, "step");
		return code;
	}
	*out = f.s;
	code = read_names(f.unit, &out->unit, &out->n_unit, err);
	return code == FL_OK ? read_spans(f.spans, out, err) : code;
}

enum fl_code fl_manifest_read(json_t *content, struct fl_manifest *out, struct fl_err *err)
{
	struct content_fields f = { 0 };
	struct fl_manifest m = { .content = json_incref(content) };
	enum fl_code code = read_content(content, &f, err);

	m.head = f.head;
	if (code == FL_OK)
		code = read_modules(f.modules, &m.goal, err);
	if (code == FL_OK)
		code = read_names(f.absent, &m.goal.absent, &m.goal.n_absent, err);
	if (code == FL_OK)
		code = read_step(f.step, &m.goal.step, err);
	if (code == FL_OK)
		code = check_goal(&m.goal, err);
	if (code != FL_OK) {
		fl_manifest_fini(&m);
		fl_wrap(err, "manifest");
		return code;
	}
	*out = m;
	return FL_OK;
}

enum fl_code fl_manifest_open(struct fl_bytes envelope, const struct fl_role *role,
	struct fl_manifest *out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *content = NULL;
	enum fl_code code;

	if (envelope.n > FL_MANIFEST_SIZE_MAX)
		return fl_fail(err, FL_TOO_LARGE, "a manifest has at most %d bytes, not %zu",
			FL_MANIFEST_SIZE_MAX, envelope.n);
	code = fl_envelope_open(envelope, role, &content, err);
	return code == FL_OK ? fl_manifest_read(content, out, err) : code;
}

void fl_manifest_fini(struct fl_manifest *m)
{
	free(m->goal.modules);
	free(m->goal.absent);
	free(m->goal.step.unit);
	free(m->goal.step.spans);
	json_decref(m->content);
	memset(m, 0, sizeof(*m));
}

enum fl_code fl_manifest_check(
	const struct fl_manifest *m, const struct fl_manifest_rules *r, struct fl_err *err)
{
	const struct fl_manifest_head *h = &m->head;

	if (strcmp(h->tenant, r->tenant) != 0)
		return fl_fail(err, FL_REFUSED, "the manifest is of tenant %s, not %s", h->tenant,
			r->tenant);
	if (strcmp(h->device, r->device) != 0)
		return fl_fail(err, FL_REFUSED, "the manifest is for device %s, not %s", h->device,
			r->device);
	if (h->number < r->number)
		return fl_fail(err, FL_REFUSED,
			"the manifest %lld is older than %lld, which is here", (long long)h->number,
			(long long)r->number);
	if (r->now_ms > 0 && h->expires_ms <= r->now_ms)
		return fl_fail(
			err, FL_REFUSED, "the manifest %lld has expired", (long long)h->number);
	return FL_OK;
}
