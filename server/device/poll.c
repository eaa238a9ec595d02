/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /device/v1/poll: the hottest request of all.
 *
 *   FAST   nothing new: 204, from memory
 *   WRITE  the device has attention: the engine decides, and writes the offer
 *   READ   its newest manifest is not here yet, but written: find it
 *   WORK   sign it and send it
 */
#include "lib/manifest.h"
#include "server/fleet.h"
#include "server/http/handlers.h"
#include "server/rollouts.h"
#include "server/server.h"
#include "server/store/device.h"
#include "server/store/manifest.h"
#include "server/trust.h"

struct order {
	struct manifest_row row;
	struct fl_buf goal;
	char *device;
};

static void drop(void *state)
{
	fl_buf_fini(&((struct order *)state)->goal);
}

static enum fl_code sign_and_send(struct request *rq, struct fl_err *err)
{
	const struct settings *settings = rq->server->settings;
	const struct order *o = rq->state;
	struct fl_manifest_head head = {
		.tenant = settings->tenant,
		.device = o->device,
		.number = o->row.number,
		.issued_ms = o->row.issued_ms,
		.expires_ms = o->row.expires_ms,
	};
	struct fl_buf text = { 0 };
	enum fl_code code;

	/* An order that has outlived its date and is still the newest stands: it is dated anew. */
	if (head.expires_ms <= rq->now_ms)
		head.expires_ms = rq->now_ms + MANIFEST_LIFE_MS;
	code = fl_manifest_seal(&text, &head, fl_bytes(o->goal.p, o->goal.n),
		trust_key(rq->server->trust, TRUST_MANIFEST), err);
	if (code != FL_OK) {
		fl_buf_fini(&text);
		return code;
	}
	reply_buf(rq, 200, "application/json", &text);
	return FL_OK;
}

/* Load what sign_and_send needs; any lane with a store. May run again after a failed batch. */
static enum fl_code load_order(struct request *rq, struct fl_err *err)
{
	struct order *o = rq->state != NULL ? rq->state : request_alloc(rq, sizeof(*o));
	struct device d = { 0 };
	enum fl_code code;

	if (o == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a manifest");
	if (rq->state == NULL)
		*o = (struct order){ 0 };
	rq->state = o;
	rq->drop = drop;
	fl_buf_reset(&o->goal);
	code = manifest_get(rq->store, rq->who.device_no, &o->row, err);
	if (code == FL_NOT_FOUND) {
		reply_empty(rq, 204);
		return FL_OK;
	}
	if (code == FL_OK)
		code = manifest_goal_text(rq->store, o->row.goal_id, &o->goal, err);
	if (code == FL_OK)
		code = device_by_no(rq->store, rq->who.device_no, &d, err);
	if (code != FL_OK)
		return code;
	o->device = request_strdup(rq, d.id);
	device_fini(&d);
	if (o->device == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a manifest");
	request_then(rq, LANE_WORK, sign_and_send);
	return FL_OK;
}

static enum fl_code decide(struct request *rq, struct fl_err *err)
{
	struct rollouts_offer offer = { 0 };
	struct fleet_device device;
	enum fl_code code =
		rollouts_poll(rq->server, rq->store, rq->effects, rq->who.device_no, &offer, err);

	if (code != FL_OK)
		return code;
	if (offer.answer == ROLLOUTS_HOLD && rq->who.manifest >= offer.manifest) {
		reply_json(rq, 200, json_pack("{s:b}", "hold", 1));
		return FL_OK;
	}
	if (offer.answer != ROLLOUTS_NOTHING ||
		(fleet_get(rq->server->fleet, rq->who.device_no, &device) &&
			device.manifest > rq->who.manifest))
		return load_order(rq, err);
	reply_empty(rq, 204);
	return FL_OK;
}

enum fl_code device_poll(struct request *rq, struct fl_err *err)
{
	struct fleet_device device;

	if (!fleet_get(rq->server->fleet, rq->who.device_no, &device))
		return fl_fail(err, FL_UNAUTHENTICATED, "the device is not known any more");
	if (device.attention)
		request_then(rq, LANE_WRITE, decide);
	else if (device.manifest > rq->who.manifest)
		request_then(rq, LANE_READ, load_order);
	else
		reply_empty(rq, 204);
	return FL_OK;
}
