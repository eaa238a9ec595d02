/* SPDX-License-Identifier: Apache-2.0
 *
 * Strategies and plans, parsed once. A plan never changes once its rollout is ready; one that is made
 * anew before that is dropped by rollouts_planned. */
#include "server/rollouts_in.h"

#include "server/rollout/rules.h"
#include "server/server.h"
#include "server/store/rollout.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_MAX 256 /* parsed rollouts */

void rollouts_parsed_free(struct rollouts_parsed *p)
{
	if (p == NULL)
		return;
	free(p->name);
	rollouts_windows_free(p);
	strategy_fini(&p->strategy);
	plan_fini(&p->plan);
	free(p);
}

void rollouts_parsed_drop(struct rollouts *r, int64_t rollout_id)
{
	fl_list_each (&r->parsed, link) {
		struct rollouts_parsed *p = fl_container(link, struct rollouts_parsed, link);

		if (p->id == rollout_id || rollout_id == 0) {
			fl_list_remove(&r->parsed, link);
			rollouts_parsed_free(p);
		}
	}
}

/* Room for one more: the one that was not used for the longest time goes. */
static void make_room(struct rollouts *r)
{
	struct rollouts_parsed *oldest = NULL;

	if (r->parsed.n < KEPT_MAX)
		return;
	fl_list_each (&r->parsed, link) {
		struct rollouts_parsed *p = fl_container(link, struct rollouts_parsed, link);

		if (oldest == NULL || p->used < oldest->used)
			oldest = p;
	}
	fl_list_remove(&r->parsed, &oldest->link);
	rollouts_parsed_free(oldest);
}

static enum fl_code parse_plan(struct store *store, struct rollouts_parsed *p, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = rollout_plan_text(store, p->id, &text, err);

	if (code == FL_OK)
		code = fl_json_parse((struct fl_bytes){ text.p, text.n }, &json, err);
	if (code == FL_OK)
		code = plan_read(json, &p->plan, err);
	return code;
}

static enum fl_code parse(
	const struct rollouts_lane *lane, struct rollouts_parsed *p, struct fl_err *err)
{
	struct rollout row = { 0 };
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = rollout_by_id(lane->store, p->id, &row, err);

	if (code == FL_OK && (p->name = strdup(row.name)) == NULL)
		code = fl_fail(err, FL_NOMEM, "there is no memory for a rollout's plan");
	if (code == FL_OK)
		code = fl_json_parse(
			(struct fl_bytes){ (const uint8_t *)row.strategy, strlen(row.strategy) },
			&json, err);
	if (code == FL_OK)
		code = strategy_read(json, 0, &p->strategy, err);
	if (code == FL_OK)
		code = parse_plan(lane->store, p, err);
	rollout_fini(&row);
	if (code == FL_OK)
		p->rules = rules_make(&p->strategy, (int)p->plan.n_layers, (int)p->plan.n_waves,
			lane->server->settings->poll_interval);
	return code;
}

enum fl_code rollouts_parsed_load(const struct rollouts_lane *lane, int64_t rollout_id,
	struct rollouts_parsed **out, struct fl_err *err)
{
	struct rollouts_parsed *p = calloc(1, sizeof(*p));
	enum fl_code code;

	if (p == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for a rollout's plan");
	p->id = rollout_id;
	fl_list_init(&p->zones);
	code = parse(lane, p, err);
	if (code == FL_OK)
		*out = p;
	else
		rollouts_parsed_free(p);
	return code;
}

enum fl_code rollouts_parsed_get(const struct rollouts_lane *lane, int64_t rollout_id,
	struct rollouts_parsed **out, struct fl_err *err)
{
	struct rollouts *r = lane->server->rollouts;
	struct rollouts_parsed *p;
	enum fl_code code;

	fl_list_each (&r->parsed, link) {
		p = fl_container(link, struct rollouts_parsed, link);
		if (p->id == rollout_id) {
			p->used = ++r->uses;
			*out = p;
			return FL_OK;
		}
	}
	code = rollouts_parsed_load(lane, rollout_id, &p, err);
	if (code != FL_OK)
		return code;
	make_room(r);
	p->used = ++r->uses;
	fl_list_push(&r->parsed, &p->link);
	*out = p;
	return FL_OK;
}

enum fl_code rollouts_borrow(const struct rollouts_lane *lane, int64_t rollout_id,
	struct rollouts_borrowed *out, struct fl_err *err)
{
	out->owned = lane->effects == NULL;
	return out->owned ? rollouts_parsed_load(lane, rollout_id, &out->parsed, err)
			  : rollouts_parsed_get(lane, rollout_id, &out->parsed, err);
}

void rollouts_borrowed_fini(struct rollouts_borrowed *b)
{
	if (b->owned)
		rollouts_parsed_free(b->parsed);
	*b = (struct rollouts_borrowed){ 0 };
}
