/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocked versions: which rollouts bring one to devices, and their pause. That no blocked version is
 * delivered, whatever the state of its rollout, is rollouts_goal.c. */
#include "server/rollouts_in.h"

#include "server/store/rollout.h"
#include "server/store/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct plan_item *item_of(const struct plan_set *set, const char *module)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (strcmp(set->items[i].module->name, module) == 0)
			return &set->items[i];
	return NULL;
}

/* Call fn for each version that the class gets at a stop and did not have at the one before. True ends
 * the walk. */
typedef bool (*arrival_fn)(void *context, const struct plan_item *item);

static bool each_arrival(
	const struct plan *p, const struct plan_class *class, arrival_fn fn, void *context)
{
	for (uint32_t l = 0; l < p->n_layers; l++) {
		const struct plan_set *from = &p->sets[class->sets[l]],
				      *to = &p->sets[class->sets[l + 1]];

		for (uint32_t i = 0; i < to->n; i++) {
			const struct plan_item *was = item_of(from, to->items[i].module->name);

			if ((was == NULL || strcmp(was->version, to->items[i].version) != 0) &&
				fn(context, &to->items[i]))
				return true;
		}
	}
	return false;
}

static bool in_plan(const struct plan *p, arrival_fn fn, void *context)
{
	for (uint32_t c = 0; c < p->n_classes; c++)
		if (p->classes[c].kind == PLAN_UPDATE &&
			each_arrival(p, &p->classes[c], fn, context))
			return true;
	return false;
}

/* ---- pausing */

static bool is_version(void *context, const struct plan_item *item)
{
	const struct rollouts_blocked *b = context;

	return strcmp(item->module->name, b->module) == 0 && strcmp(item->version, b->version) == 0;
}

static enum fl_code add_name(json_t *names, const char *name, struct fl_err *err)
{
	return json_array_append_new(names, json_string(name)) == 0
		? FL_OK
		: fl_fail(err, FL_NOMEM, "no memory for the names of rollouts");
}

static enum fl_code pause_it(const struct rollouts_lane *lane, int64_t id,
	struct rollouts_blocked *b, struct fl_err *err)
{
	char why[ENGINE_REASON_MAX];
	struct rollouts_verb verb = {
		.rollout_id = id, .actor = b->actor, .fact = { .kind = FACT_PAUSE, .text = why }
	};
	enum fl_code code;

	(void)snprintf(why, sizeof(why), "%.100s %.60s is blocked: %.80s", b->module, b->version,
		b->why[0] == '\0' ? "by hand" : b->why);
	code = rollouts_verb(lane->server, lane->store, lane->effects, &verb, err);
	b->may_switch += verb.may_switch;
	return code;
}

/* If the rollout brings the version: pause it if it is under way, name it if it could be started or
 * resumed. */
static enum fl_code look_at(
	const struct rollouts_lane *lane, int64_t id, void *blocked, struct fl_err *err)
{
	struct rollouts_blocked *b = blocked;
	struct rollouts_parsed *parsed;
	struct engine_rollout r;
	enum fl_code code = rollout_engine(lane->store, id, &r, err);
	bool runs = r.state == ROLLOUT_STARTING || r.state == ROLLOUT_RUNNING;
	bool waits = r.state == ROLLOUT_WAITING_APPROVAL || r.state == ROLLOUT_READY ||
		r.state == ROLLOUT_SCHEDULED ||
		(r.state == ROLLOUT_PAUSED && r.resume_to != ROLLOUT_ROLLING_BACK);

	if (code != FL_OK || (!runs && !waits))
		return code;
	code = rollouts_parsed_get(lane, id, &parsed, err);
	if (code != FL_OK || !in_plan(&parsed->plan, is_version, b))
		return code;
	code = add_name(runs ? b->paused : b->waiting, parsed->name, err);
	return code == FL_OK && runs ? pause_it(lane, id, b, err) : code;
}

enum fl_code rollouts_version_blocked(struct server *server, struct store *store,
	struct effects *effects, struct rollouts_blocked *b, struct fl_err *err)
{
	const struct rollouts_lane lane = { server, store, effects };
	size_t n = 0;

	return rollouts_each(&lane, rollout_open, look_at, b, &n, err);
}

/* ---- starting and resuming */

/* What a walk over a plan has found. */
struct look {
	struct store *store;
	json_t *seen; /* owned: "module@version" that were looked at */
	enum fl_code code;
	struct fl_err *err;
	bool found;
};

static bool is_blocked(void *context, const struct plan_item *item)
{
	struct look *l = context;
	struct version v = { 0 };
	struct fl_err none = { 0 };
	char name[STORE_NAME_MAX + STORE_VERSION_MAX + 2];

	(void)snprintf(name, sizeof(name), "%s@%s", item->module->name, item->version);
	if (json_object_get(l->seen, name) != NULL)
		return false;
	(void)json_object_set_new(l->seen, name, json_true());
	l->code = version_get(l->store, item->module->name, item->version, &v, &none);
	if (l->code == FL_OK && v.blocked_at != 0) {
		l->found = true;
		l->code = fl_fail(l->err, FL_REFUSED,
			"it brings %s %s, which is blocked%s%.100s; unblock it, or stop or roll "
			"back "
			"this rollout",
			v.module, v.version,
			v.blocked_why == NULL || v.blocked_why[0] == '\0' ? "" : ": ",
			v.blocked_why == NULL ? "" : v.blocked_why);
	} else if (l->code != FL_OK && l->code != FL_NOT_FOUND) {
		(void)fl_fail(l->err, l->code, "%s", none.msg);
		l->found = true;
	} else {
		l->code = FL_OK;
	}
	version_fini(&v);
	return l->found;
}

enum fl_code rollouts_check_blocked(struct server *server, struct store *store,
	struct effects *effects, int64_t rollout_id, struct fl_err *err)
{
	const struct rollouts_lane lane = { server, store, effects };
	struct look l = { .store = store, .seen = json_object(), .err = err };
	struct rollouts_parsed *parsed;
	enum fl_code code = rollouts_parsed_get(&lane, rollout_id, &parsed, err);

	if (code == FL_OK && in_plan(&parsed->plan, is_blocked, &l))
		code = l.code;
	json_decref(l.seen);
	return code;
}
