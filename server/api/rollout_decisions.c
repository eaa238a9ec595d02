/* SPDX-License-Identifier: Apache-2.0
 *
 * What the gates of a rollout decided, with the numbers that led to it. */
#include "server/http/handlers.h"

#include <stdio.h>
#include <string.h>

#include "server/api/list.h"
#include "server/store/decision.h"
#include "server/store/rollout.h"

static enum fl_code add_decision(void *context, const struct decision *d, struct fl_err *err)
{
	FL_AUTO_JSON json_t *numbers = NULL;
	char stage[32];
	enum fl_code code =
		fl_json_parse((struct fl_bytes){ (const uint8_t *)d->numbers, strlen(d->numbers) },
			&numbers, err);

	if (code != FL_OK)
		return code;
	snprintf(stage, sizeof(stage), "L%d.W%d", d->layer, d->wave);
	return list_add_no(context,
		json_pack("{s:I, s:o, s:s, s:s, s:s, s:O}", "id", (json_int_t)d->id, "at",
			list_time(d->at), "stage", stage, "state", d->state, "text", d->text,
			"numbers", numbers),
		d->id, err);
}

enum fl_code api_rollout_decisions(struct request *rq, struct fl_err *err)
{
	struct list list = { 0 };
	struct rollout r = { 0 };
	int64_t after = 0;
	enum fl_code code = list_init(rq, &list, err);

	if (code == FL_OK)
		code = list_after(&list, &after, err);
	if (code == FL_OK)
		code = rollout_get(rq->store, rq->param[0], &r, err);
	if (code == FL_OK)
		code = decision_each(
			rq->store, r.engine.id, after, list.limit + 1, add_decision, &list, err);
	if (code == FL_OK)
		list_reply(rq, &list);
	list_fini(&list);
	rollout_fini(&r);
	return code;
}
