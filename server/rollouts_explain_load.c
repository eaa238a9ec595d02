/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollouts_explain_in.h"

#include "server/store/plan.h"

#include <stdlib.h>
#include <string.h>

void rollouts_explain_fini(struct rollouts_loaded *l)
{
	rollout_fini(&l->row);
	rollouts_parsed_free(l->parsed);
	stage_list_fini(&l->list);
	free(l->changes);
	free(l->has);
	free(l->steps);
	fl_buf_fini(&l->detail);
	fl_buf_fini(&l->reason);
	*l = (struct rollouts_loaded){ 0 };
}

enum fl_code rollouts_explain_load(
	const struct rollouts_lane *lane, int64_t id, struct rollouts_loaded *l, struct fl_err *err)
{
	struct fl_err none = { 0 };
	struct plan_row plan = { 0 };
	FL_AUTO_BUF struct fl_buf content = { 0 };
	enum fl_code code = rollout_by_id(lane->store, id, &l->row, err);

	if (code == FL_OK)
		code = stage_list(lane->store, id, &l->list, err);
	if (code != FL_OK)
		return code;
	l->part.in = (struct explain_rollout){
		.name = l->row.name, .rollout = &l->row.engine, .now_ms = lane->store->now_ms
	};
	code = plan_get(lane->store, id, &plan, &content, &none);
	if (code == FL_NOT_FOUND)
		return FL_OK;
	if (code != FL_OK)
		return fl_fail(err, code, "%s", none.msg);
	l->part.planned_ms = plan.created_at;
	code = rollouts_parsed_load(lane, id, &l->parsed, err);
	if (code != FL_OK)
		return code;
	code = rollouts_slots(lane, id, l->row.priority, &l->part.in.fleet, err);
	if (code != FL_OK)
		return code;
	l->part.in.rules = &l->parsed->rules;
	l->part.in.stages = l->list.n == 0 ? NULL : l->list.stages;
	if (l->list.n != (size_t)l->parsed->rules.layers * (size_t)l->parsed->rules.waves)
		return fl_fail(
			err, FL_CORRUPT, "rollout %s has %zu stages", l->row.name, l->list.n);
	return FL_OK;
}

void rollouts_explain_window(
	struct rollouts_loaded *l, const struct window *w, const struct fl_zone *zone)
{
	struct explain_rollout *in = &l->part.in;

	in->window = w;
	if (zone == NULL || window_is_open(w, in->now_ms))
		return;
	in->opens_ms = window_opens(w, in->now_ms);
	rollouts_windows_say(zone, in->opens_ms, l->opens);
	in->opens = l->opens;
}
