/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /device/v1/report: how a step goes on, or how it ended.
 *
 *   FAST   read; progress goes straight to WRITE
 *   READ   an end: the device's key
 *   WORK   its signature
 *   WRITE  the report's row, the installed set, the engine
 */
#include "lib/wire.h"
#include "server/devices.h"
#include "server/http/handlers.h"
#include "server/planning.h"
#include "server/rollouts.h"
#include "server/store/device.h"
#include "server/store/state.h"

#include <string.h>

struct report {
	struct fl_wire_report wire; /* texts in rq->json */
	int64_t stage_id;
	enum step_state state;
	enum step_cause cause;
	uint8_t public_key[FL_PUBLIC_LEN];
};

/* The step's id in a manifest is the number of its stage. */
static enum fl_code read_step(const char *text, int64_t *out, struct fl_err *err)
{
	int64_t v = 0;

	for (const char *p = text; *p != '\0'; p++) {
		if (*p < '0' || *p > '9' || v > (INT64_MAX - 9) / 10)
			return fl_fail(err, FL_INVALID, "\"step\" is no id of a step");
		v = v * 10 + (*p - '0');
	}
	*out = v;
	return FL_OK;
}

static enum fl_code read_report(const struct request *rq, struct report *r, struct fl_err *err)
{
	enum fl_code code;

	if (rq->json == NULL)
		return fl_fail(err, FL_INVALID, "a JSON body is needed");
	code = fl_wire_report_read(rq->json, &r->wire, err);
	r->stage_id = 0;
	r->cause = CAUSE_NONE;
	if (code == FL_OK && r->wire.step != NULL)
		code = read_step(r->wire.step, &r->stage_id, err);
	if (code == FL_OK)
		code = step_state_parse(fl_wire_state_text(r->wire.state), &r->state, err);
	if (code == FL_OK && r->wire.cause != NULL)
		code = step_cause_parse(r->wire.cause, &r->cause, err);
	return code;
}

/* What runs now, as a signed report says it. */
static enum fl_code put_installed(struct request *rq, int64_t *state_id, struct fl_err *err)
{
	const struct report *r = rq->state;
	struct devices_installed set;
	enum fl_code code = devices_installed(r->wire.installed, &set, err);

	if (code == FL_OK)
		code = state_intern(rq->store, set.entries, set.n, set.digest, state_id, err);
	if (code != FL_OK)
		return code;
	return planning_set_state(rq->store, rq->effects, rq->who.device_no, *state_id, err);
}

static enum fl_code store_report(struct request *rq, struct fl_err *err)
{
	const struct report *r = rq->state;
	struct rollouts_report said = {
		.device_no = rq->who.device_no,
		.stage_id = r->stage_id,
		.manifest = r->wire.manifest,
		.state = r->state,
		.cause = r->cause,
		.detail = r->wire.detail != NULL ? r->wire.detail : r->wire.wait,
		.sent = r->wire.bytes < 0 ? 0 : r->wire.bytes,
		.saved = r->wire.saved < 0 ? 0 : r->wire.saved,
	};
	bool hold = false;
	enum fl_code code = FL_OK;

	if (fl_wire_state_ends(r->wire.state) && r->wire.installed != NULL)
		code = put_installed(rq, &said.state_id, err);
	if (code == FL_OK)
		code = rollouts_report(rq->server, rq->store, rq->effects, &said, err);
	if (code == FL_OK && !fl_wire_state_ends(r->wire.state))
		code = rollouts_holds(rq->store, rq->effects, rq->who.device_no, &hold, err);
	if (code == FL_OK && hold)
		reply_json(rq, 200, json_pack("{s:b}", "hold", 1));
	else if (code == FL_OK)
		reply_empty(rq, 204);
	return code;
}

static enum fl_code verify(struct request *rq, struct fl_err *err)
{
	const struct report *r = rq->state;
	enum fl_code code = fl_wire_verify(rq->json, r->public_key, err);

	/* Not 401: the session is good, a new one would not help the device. */
	if (code == FL_SIGNATURE)
		return fl_fail(err, FL_REFUSED, "the report's signature does not verify");
	if (code == FL_OK)
		request_then(rq, LANE_WRITE, store_report);
	return code;
}

static enum fl_code find_key(struct request *rq, struct fl_err *err)
{
	struct report *r = rq->state;
	struct device d = { 0 };
	enum fl_code code = device_by_no(rq->store, rq->who.device_no, &d, err);

	if (code == FL_OK && d.public_key == NULL)
		code = fl_fail(err, FL_UNAUTHENTICATED, "the device has no key any more");
	if (code == FL_OK) {
		memcpy(r->public_key, d.public_key, sizeof(r->public_key));
		request_then(rq, LANE_WORK, verify);
	}
	device_fini(&d);
	return code;
}

enum fl_code device_report(struct request *rq, struct fl_err *err)
{
	struct report *r = request_alloc(rq, sizeof(*r));
	enum fl_code code;

	if (r == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a report");
	code = read_report(rq, r, err);
	if (code != FL_OK)
		return code;
	rq->state = r;
	if (fl_wire_state_ends(r->wire.state))
		request_then(rq, LANE_READ, find_key);
	else
		request_then(rq, LANE_WRITE, store_report);
	return FL_OK;
}
