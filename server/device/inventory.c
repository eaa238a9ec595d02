/* SPDX-License-Identifier: Apache-2.0
 *
 * PUT /device/v1/inventory: what a device is and runs, in its own words. What it leaves out stays as
 * it was. */
#include "server/devices.h"
#include "server/fleet.h"
#include "server/http/handlers.h"
#include "server/planning.h"
#include "server/store/device.h"
#include "server/store/state.h"

struct inventory {
	json_t *attributes, *installed;
};

static enum fl_code put_attributes(struct request *rq, const json_t *object, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	bool changed = false;
	enum fl_code code = devices_object("attribute", object, &text, err);

	if (code == FL_OK)
		code = fl_buf_check(&text, err);
	if (code != FL_OK)
		return code;
	code = device_set_attributes(
		rq->store, rq->who.device_no, (const char *)text.p, &changed, err);
	if (code == FL_OK && changed) {
		fleet_attention(rq->effects, rq->who.device_no, true); /* another time zone? */
		planning_changed(rq->effects);
	}
	return code;
}

static enum fl_code put_installed(struct request *rq, const json_t *array, struct fl_err *err)
{
	struct devices_installed set;
	int64_t state_id = 0;
	enum fl_code code = devices_installed(array, &set, err);

	if (code == FL_OK)
		code = state_intern(rq->store, set.entries, set.n, set.digest, &state_id, err);
	if (code != FL_OK)
		return code;
	return planning_set_state(rq->store, rq->effects, rq->who.device_no, state_id, err);
}

enum fl_code device_inventory(struct request *rq, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct inventory, attributes, "attributes", OBJECT),
		FL_FIELD(struct inventory, installed, "installed", ARRAY, .max = STATE_ENTRIES_MAX),
	};
	struct inventory in = { 0 };
	enum fl_code code = request_read(rq, fields, FL_COUNT(fields), &in, err);

	if (code == FL_OK && in.attributes != NULL)
		code = put_attributes(rq, in.attributes, err);
	if (code == FL_OK && in.installed != NULL)
		code = put_installed(rq, in.installed, err);
	if (code == FL_OK)
		reply_empty(rq, 204);
	return code;
}
