/* SPDX-License-Identifier: Apache-2.0 */
#include "server/api/bulk_scope.h"

#include <string.h>

static enum fl_code out_of_reach(const struct bulk_line *line, struct fl_err *err)
{
	return fl_fail(err, FL_FORBIDDEN,
		"device \"%s\" is, or would be, out of reach of your token", line->put.id);
}

static enum fl_code no_memory(struct fl_err *err)
{
	return fl_fail(err, FL_NOMEM, "no memory for a line");
}

/* The device as the line would make it. Texts are the line's, the row's or the arena's. */
struct after {
	struct fl_arena arena;
	struct fl_buf gateway;
	json_t *attributes, *labels;      /* owned */
	struct rsql_installed *installed; /* in the arena */
	size_t n;
};

static void after_fini(struct after *a)
{
	fl_arena_fini(&a->arena);
	fl_buf_fini(&a->gateway);
	json_decref(a->attributes);
	json_decref(a->labels);
}

static enum fl_code keep_installed(
	void *context, int64_t state_id, const struct state_entry *e, struct fl_err *err)
{
	struct after *a = context;
	struct rsql_installed *to = &a->installed[a->n];

	(void)state_id;
	FL_BUG_IF(a->n == STATE_ENTRIES_MAX);
	to->module = fl_arena_text(&a->arena, e->module, strlen(e->module));
	to->version = fl_arena_text(&a->arena, e->version, strlen(e->version));
	a->n++;
	return to->module == NULL || to->version == NULL ? no_memory(err) : FL_OK;
}

static enum fl_code make_installed(struct store *store, struct after *a,
	const struct bulk_line *line, const struct device *had, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	a->installed = fl_arena_get(&a->arena, STATE_ENTRIES_MAX, sizeof(*a->installed));
	if (a->installed == NULL)
		return no_memory(err);
	for (size_t i = 0; line->installs && code == FL_OK && i < line->n_installed; i++)
		code = keep_installed(a, 0, &line->installed[i], err);
	if (code == FL_OK && !line->installs && had != NULL)
		code = state_each(store, had->state_id, keep_installed, a, err);
	return code;
}

/* The id of the gateway that it would have; *out NULL: none. */
static enum fl_code make_gateway(struct store *store, struct after *a, const struct bulk_line *line,
	const struct device *had, const char **out, struct fl_err *err)
{
	if (line->put.gateway != NULL) {
		*out = line->put.gateway[0] == '\0' ? NULL : line->put.gateway;
		return FL_OK;
	}
	if (had == NULL || had->gateway_no == 0)
		return FL_OK;
	enum fl_code code = device_id(store, had->gateway_no, &a->gateway, err);
	*out = (const char *)a->gateway.p;
	return code;
}

/* The stored text of the line, else of the row, else {}. */
static json_t *object_of(const char *from_line, const char *from_row)
{
	return json_loads(from_line != NULL ? from_line
			: from_row != NULL  ? from_row
					    : "{}",
		0, NULL);
}

/* `had` is NULL for a device that is new or starts over. */
static enum fl_code check_after(struct store *store, const struct rsql *scope,
	const struct bulk_line *line, const struct device *had, struct fl_err *err)
{
	const struct device_put *put = &line->put;
	struct after a = { 0 };
	struct rsql_subject s = { .id = put->id,
		.tier = put->tier != NULL             ? put->tier
			: had != NULL && had->gateway ? "gateway"
						      : "device",
		.enrolled = put->public_key != NULL || (had != NULL && had->public_key != NULL),
		.last_seen = had == NULL ? 0 : had->last_seen };
	enum fl_code code = make_installed(store, &a, line, had, err);

	if (code == FL_OK)
		code = make_gateway(store, &a, line, had, &s.gateway, err);
	s.attributes = a.attributes =
		object_of(put->attributes, had == NULL ? NULL : had->attributes);
	s.labels = a.labels = object_of(put->labels, had == NULL ? NULL : had->labels);
	s.installed = a.installed;
	s.n = a.n;
	if (code == FL_OK && (s.attributes == NULL || s.labels == NULL))
		code = no_memory(err);
	if (code == FL_OK && !rsql_matches(scope, &s))
		code = out_of_reach(line, err);
	after_fini(&a);
	return code;
}

enum fl_code bulk_scope_check(struct store *store, const struct rsql *scope,
	const struct bulk_line *line, struct fl_err *err)
{
	struct device had = { 0 };
	struct fl_err none = { 0 };
	bool inside = true;

	if (scope == NULL)
		return FL_OK;
	enum fl_code code = device_get(store, line->put.id, &had, &none);
	bool found = code == FL_OK;
	if (code != FL_OK && code != FL_NOT_FOUND)
		return fl_fail(err, code, "%s", none.msg);
	code = found ? device_in_scope(store, had.no, scope, &inside, err) : FL_OK;
	if (code == FL_OK && !inside)
		code = out_of_reach(line, err);
	if (code == FL_OK)
		code = check_after(
			store, scope, line, found && had.retired_at == 0 ? &had : NULL, err);
	device_fini(&had);
	return code;
}
