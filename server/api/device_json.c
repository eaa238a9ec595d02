/* SPDX-License-Identifier: Apache-2.0 */
#include "server/api/device_json.h"

#include "lib/digest.h"
#include "server/api/list.h"
#include "server/fleet.h"
#include "server/server.h"
#include "server/store/device_step.h"
#include "server/store/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STEPS_MAX 100

void device_json_fini(struct device_json *j)
{
	json_decref(j->states);
	json_decref(j->gateways);
	j->states = j->gateways = NULL;
}

/* The place of `key` in a cache that is made at first use; NULL without memory. */
static json_t *cached(json_t **cache, const char *key)
{
	if (*cache == NULL)
		*cache = json_object();
	return json_object_get(*cache, key);
}

static enum fl_code no_memory(struct fl_err *err)
{
	return fl_fail(err, FL_NOMEM, "no memory for a device");
}

static enum fl_code add_entry(
	void *context, int64_t state_id, const struct state_entry *e, struct fl_err *err)
{
	(void)state_id;
	if (json_array_append_new(context,
		    json_pack("{s:s, s:s}", "module", e->module, "version", e->version)) != 0)
		return no_memory(err);
	return FL_OK;
}

/* The installed set of a state, borrowed from the cache. */
static enum fl_code installed_of(
	struct device_json *j, int64_t state_id, json_t **out, struct fl_err *err)
{
	char key[24];

	(void)snprintf(key, sizeof(key), "%" PRId64, state_id);
	*out = cached(&j->states, key);
	if (*out != NULL)
		return FL_OK;
	FL_AUTO_JSON json_t *array = json_array();
	enum fl_code code = state_each(j->rq->store, state_id, add_entry, array, err);
	if (code == FL_OK && json_object_set(j->states, key, array) != 0)
		code = no_memory(err);
	if (code == FL_OK)
		*out = array;
	return code;
}

/* The id of a gateway, or null; borrowed from the cache. */
static enum fl_code gateway_of(struct device_json *j, int64_t no, json_t **out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf id = { 0 };
	char key[24];

	(void)snprintf(key, sizeof(key), "%" PRId64, no);
	*out = no == 0 ? json_null() : cached(&j->gateways, key);
	if (*out != NULL)
		return FL_OK;
	enum fl_code code = device_id(j->rq->store, no, &id, err);
	if (code == FL_OK &&
		json_object_set_new(j->gateways, key, json_string((const char *)id.p)) != 0)
		code = no_memory(err);
	if (code == FL_OK)
		*out = json_object_get(j->gateways, key);
	return code;
}

/* When it was last seen: memory knows better than the row. */
static int64_t last_seen_ms(const struct device_json *j, const struct device *d)
{
	const struct fleet *fleet = j->rq->server->fleet;
	struct fleet_device known;

	if (fleet != NULL && fleet_get(fleet, d->no, &known) && known.seen_s > d->last_seen)
		return (int64_t)known.seen_s * 1000;
	return d->last_seen * 1000;
}

enum fl_code device_json_of(
	struct device_json *j, const struct device *d, json_t **out, struct fl_err *err)
{
	json_t *installed = NULL, *gateway = NULL;
	enum fl_code code = installed_of(j, d->state_id, &installed, err);

	if (code == FL_OK)
		code = gateway_of(j, d->gateway_no, &gateway, err);
	if (code != FL_OK)
		return code;
	*out = json_pack("{s:s, s:I, s:s, s:O, s:o, s:o, s:O, s:I, s:b, s:o, s:o, s:o, s:o}", "id",
		d->id, "no", (json_int_t)d->no, "tier", d->gateway ? "gateway" : "device",
		"gateway", gateway, "attributes", json_loads(d->attributes, 0, NULL), "labels",
		json_loads(d->labels, 0, NULL), "installed", installed, "manifest",
		(json_int_t)d->manifest, "enrolled", d->public_key != NULL, "last_seen",
		list_time(last_seen_ms(j, d)), "retired_at", list_time(d->retired_at), "created_at",
		list_time(d->created_at), "changed_at", list_time(d->changed_at));
	return *out == NULL ? no_memory(err) : FL_OK;
}

static enum fl_code add_step(void *context, const struct device_step *s, struct fl_err *err)
{
	if (json_array_append_new(context,
		    json_pack("{s:s, s:I, s:I, s:s, s:s, s:o}", "rollout", s->rollout, "layer",
			    (json_int_t)s->layer, "wave", (json_int_t)s->wave, "state",
			    step_state_text(s->state), "cause", step_cause_text(s->cause),
			    "changed_at", list_time(s->changed_at))) != 0)
		return no_memory(err);
	return FL_OK;
}

enum fl_code device_json_full(
	struct device_json *j, const struct device *d, json_t **out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *steps = json_array();
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = device_json_of(j, d, &json, err);

	if (code == FL_OK)
		code = device_step_each(j->rq->store, d->no, STEPS_MAX, add_step, steps, err);
	if (code == FL_OK && json_object_set(json, "steps", steps) != 0)
		code = no_memory(err);
	if (code == FL_OK)
		*out = fl_steal(&json);
	return code;
}

void device_json_etag(const struct device *d, char out[17])
{
	uint8_t digest[FL_SHA256_LEN];
	struct fl_sha256 h;

	fl_sha256_init(&h);
	fl_sha256_add(&h, fl_bytes(&d->gateway_no, sizeof(d->gateway_no)));
	fl_sha256_add(&h, fl_bytes(d->labels, strlen(d->labels)));
	fl_sha256_end(&h, digest);
	fl_hex(digest, 8, out);
}
