/* SPDX-License-Identifier: Apache-2.0
 *
 * Who takes part in a plan, wave by wave: to be read before it is approved. */
#include "server/http/handlers.h"

#include "server/api/list.h"
#include "server/store/assignment.h"
#include "server/store/device.h"
#include "server/store/plan.h"
#include "server/store/rollout.h"

#include <inttypes.h>
#include <stdio.h>

#define SLICE 256

/* The page in the making. */
struct members {
	struct store *store;
	const struct rsql *scope;
	struct list list;
};

static enum fl_code add_member(struct members *m, const struct assignment *a, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf id = { 0 };
	char key[64];
	bool inside = false;
	enum fl_code code = device_in_scope(m->store, a->device_no, m->scope, &inside, err);

	(void)snprintf(key, sizeof(key), "%" PRId64 ":%" PRId64, a->wave, a->device_no);
	if (code == FL_OK && !inside) {
		list_skip(&m->list, key);
		return FL_OK;
	}
	if (code == FL_OK)
		code = device_id(m->store, a->device_no, &id, err);
	if (code == FL_OK)
		code = fl_buf_check(&id, err);
	if (code != FL_OK)
		return code;
	return list_add(&m->list,
		json_pack("{s:o,s:I,s:I}", "device", json_stringn((const char *)id.p, id.n), "wave",
			(json_int_t)a->wave, "class", (json_int_t)a->class),
		key, err);
}

/* Devices of the wave behind `after`, until the page is full or the wave at its end. */
static enum fl_code add_wave(
	struct members *m, int64_t rollout_id, struct assignment after, struct fl_err *err)
{
	struct assignment found[SLICE];
	size_t n = SLICE;
	enum fl_code code = FL_OK;

	while (n == SLICE && m->list.rows <= m->list.limit && code == FL_OK) {
		code = assignment_slice(m->store, rollout_id, &after, found, SLICE, &n, err);
		for (size_t i = 0; i < n && m->list.rows <= m->list.limit && code == FL_OK; i++)
			code = add_member(m, &found[i], err);
		if (n > 0)
			after = found[n - 1];
	}
	return code;
}

/* Of which waves, and behind what. */
static enum fl_code read_place(struct request *rq, const struct list *list, int64_t *last,
	struct assignment *after, struct fl_err *err)
{
	int64_t wave = -1;
	enum fl_code code = request_query_int(rq, "wave", 0, INT32_MAX, -1, &wave, err);

	*after = (struct assignment){ .wave = wave < 0 ? 0 : wave };
	if (wave >= 0)
		*last = wave;
	if (code == FL_OK && list->after[0] != '\0' &&
		sscanf(list->after, "%" SCNd64 ":%" SCNd64, &after->wave, &after->device_no) != 2)
		code = fl_fail(err, FL_INVALID, "\"cursor\" is of another list");
	return code;
}

static enum fl_code add_all(
	struct request *rq, struct members *m, const struct rollout *r, struct fl_err *err)
{
	struct assignment after;
	int64_t last = (int64_t)r->waves - 1;
	enum fl_code code = read_place(rq, &m->list, &last, &after, err);

	while (code == FL_OK && after.wave <= last && m->list.rows <= m->list.limit) {
		code = add_wave(m, r->engine.id, after, err);
		after = (struct assignment){ .wave = after.wave + 1 };
	}
	return code;
}

enum fl_code api_plan_devices(struct request *rq, struct fl_err *err)
{
	RSQL_AUTO struct rsql *scope = NULL;
	struct members m = { .store = rq->store };
	struct rollout r = { 0 };
	int64_t id = 0;
	enum fl_code code = list_init(rq, &m.list, err);

	if (code == FL_OK)
		code = list_scope(rq, &scope, err);
	m.scope = scope;
	if (code == FL_OK)
		code = plan_find(rq->store, rq->param[0], &id, err);
	if (code == FL_OK)
		code = rollout_by_id(rq->store, id, &r, err);
	if (code == FL_OK)
		code = add_all(rq, &m, &r, err);
	if (code == FL_OK)
		list_reply(rq, &m.list);
	list_fini(&m.list);
	rollout_fini(&r);
	return code;
}
