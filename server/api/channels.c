/* SPDX-License-Identifier: Apache-2.0
 *
 * Channels: which release devices shall have when no rollout holds them. A channel is about everybody's
 * devices: tokens with a selector may look, not change. */
#include "server/http/handlers.h"

#include "server/api/list.h"
#include "server/api/rollout_json.h"
#include "server/channels.h"
#include "server/devices.h"
#include "server/events.h"
#include "server/rollout/strategy.h"
#include "server/rsql.h"
#include "server/server.h"
#include "server/store/device.h"
#include "server/store/release.h"

#include <stdio.h>
#include <string.h>

#define IN_FLIGHT_MAX 1000000
#define RETRIES_MAX   1000

/* ---- as JSON */

static json_t *channel_json(const struct channel *c)
{
	return json_pack("{s:s, s:s, s:o, s:s, s:s, s:I, s:{s:o, s:I}, s:I, s:I, s:o, s:o, s:o, "
			 "s:s}",
		"name", c->name, "selector", c->selector, "release", list_text(c->release), "state",
		channel_state_text(c->state), "reason", c->reason, "max_in_flight",
		(json_int_t)c->max_in_flight, "error", "percent", strategy_share_json(c->error_ppm),
		"minimum", (json_int_t)c->error_minimum, "retries", (json_int_t)c->retries,
		"rollouts", (json_int_t)c->made, "looked_at", list_time(c->looked_at), "devices",
		c->looked_at == 0 ? json_null() : json_loads(c->look, 0, NULL), "created_at",
		list_time(c->created_at), "created_by", c->created_by);
}

/* A tag of what operators change: a look at the devices is none of it. */
static void channel_etag(const struct channel *c, char etag[ROLLOUT_ETAG])
{
	FL_AUTO_JSON json_t *json = channel_json(c);

	(void)json_object_del(json, "looked_at");
	(void)json_object_del(json, "devices");
	(void)json_object_del(json, "rollouts");
	rollout_etag(json, etag);
}

static enum fl_code reply_channel(struct request *rq, unsigned status, struct fl_err *err)
{
	struct channel c = { 0 };
	char etag[ROLLOUT_ETAG];
	enum fl_code code = channel_get(rq->store, rq->param[0], &c, err);

	if (code == FL_OK) {
		channel_etag(&c, etag);
		reply_header(rq, "ETag", "\"%s\"", etag);
		reply_json(rq, status, channel_json(&c));
	}
	channel_fini(&c);
	return code;
}

static enum fl_code add_channel(void *context, const struct channel *c, struct fl_err *err)
{
	return list_add_no(context, channel_json(c), c->id, err);
}

enum fl_code api_channels_list(struct request *rq, struct fl_err *err)
{
	struct list list = { 0 };
	int64_t after = 0;
	enum fl_code code = list_init(rq, &list, err);

	if (code == FL_OK)
		code = list_after(&list, &after, err);
	if (code == FL_OK)
		code = channel_each(rq->store, after, list.limit + 1, add_channel, &list, err);
	if (code == FL_OK)
		list_reply(rq, &list);
	list_fini(&list);
	return code;
}

enum fl_code api_channel_get(struct request *rq, struct fl_err *err)
{
	return reply_channel(rq, 200, err);
}

/* ---- creating and changing */

struct body {
	const char *selector, *release;
	json_t *error;
	int64_t max_in_flight, retries;
};

static const struct fl_json_field fields[] = {
	FL_FIELD(struct body, selector, "selector", STRING, .min = 0, .max = RSQL_TEXT_MAX),
	FL_FIELD(struct body, release, "release", STRING, .min = 0, .max = STORE_NAME_MAX),
	FL_FIELD(struct body, error, "error", OBJECT),
	FL_FIELD(struct body, max_in_flight, "max_in_flight", INT, .min = 1, .max = IN_FLIGHT_MAX),
	FL_FIELD(struct body, retries, "retries", INT, .min = 0, .max = RETRIES_MAX),
};

struct threshold {
	double percent;
	int64_t minimum;
};

static const struct fl_json_field threshold_fields[] = {
	FL_FIELD(struct threshold, percent, "percent", REAL),
	FL_FIELD(struct threshold, minimum, "minimum", INT, .min = 1, .max = IN_FLIGHT_MAX),
};

static enum fl_code read_error(const json_t *object, struct channel *c, struct fl_err *err)
{
	struct threshold t = { 10, 10 };
	enum fl_code code = FL_OK;

	if (object != NULL)
		code = fl_json_read(object, threshold_fields, FL_COUNT(threshold_fields),
			FL_JSON_REJECT, &t, err);
	if (code == FL_OK && !(t.percent >= 0 && t.percent < 100))
		code = fl_fail(
			err, FL_INVALID, "percent must be from 0 to below 100, not %g", t.percent);
	if (code != FL_OK)
		return fl_wrap(err, "error");
	c->error_ppm = (int64_t)(t.percent * 10000 + 0.5);
	c->error_minimum = t.minimum;
	return FL_OK;
}

static enum fl_code read_body(
	struct request *rq, struct channel *c, const char **release, struct fl_err *err)
{
	struct body b = { .selector = "", .max_in_flight = 100, .retries = 2 };
	enum fl_code code = list_unlimited(rq, "change channels", err);

	if (code == FL_OK)
		code = request_read(rq, fields, FL_COUNT(fields), &b, err);
	if (code == FL_OK)
		code = devices_check_name("channel", rq->param[0], err);
	if (code == FL_OK && b.selector[0] != '\0')
		code = rsql_check(b.selector, ~0u, err);
	if (code == FL_OK)
		code = read_error(b.error, c, err);
	c->name = rq->param[0];
	c->selector = b.selector;
	c->max_in_flight = b.max_in_flight;
	c->retries = b.retries;
	c->created_by = rq->who.name;
	*release = b.release;
	return code;
}

/* A release by name, "" for none. Where plans need approval nobody moves a channel alone. */
static enum fl_code find_release(
	struct request *rq, const char *name, int64_t *id, struct fl_err *err)
{
	struct release release = { 0 };
	int64_t before = *id;
	enum fl_code code = FL_OK;

	*id = 0;
	if (name[0] != '\0') {
		code = release_get(rq->store, name, &release, err);
		*id = release.id;
	}
	if (code == FL_NOT_FOUND)
		code = fl_fail(
			err, FL_REFUSED, "there is no release \"%.128s\"; create it first", name);
	release_fini(&release);
	if (code == FL_OK && *id != before && *id != 0 && rq->server->settings->approvals > 0)
		code = fl_fail(err, FL_REFUSED,
			"this server demands approvals: move the channel with a rollout");
	return code;
}

static enum fl_code note(struct request *rq, enum event_kind kind, json_t *data, struct fl_err *err)
{
	return events_write(rq->store, rq->effects,
		&(struct events_line){ .kind = kind,
			.actor = rq->who.name,
			.subject = rq->param[0],
			.data = data },
		err);
}

static json_t *event_data(const struct channel *c, const char *release)
{
	return json_pack("{s:s,s:s?,s:I}", "selector", c->selector, "release", release,
		"max_in_flight", (json_int_t)c->max_in_flight);
}

static enum fl_code create(
	struct request *rq, struct channel *wanted, const char *release, struct fl_err *err)
{
	enum fl_code code = list_if_match(rq, "", err);

	if (code == FL_OK && release != NULL)
		code = find_release(rq, release, &wanted->release_id, err);
	if (code == FL_OK)
		code = channel_add(rq->store, wanted, &wanted->id, err);
	if (code == FL_OK)
		code = note(rq, EVENT_CHANNEL_CREATED, event_data(wanted, release), err);
	return code == FL_OK ? reply_channel(rq, 201, err) : code;
}

/* A wider selector would bring the release to devices that nobody approved it for. */
static enum fl_code check_selector(const struct request *rq, const struct channel *there,
	const struct channel *wanted, struct fl_err *err)
{
	if (there->release_id == 0 || rq->server->settings->approvals == 0 ||
		strcmp(there->selector, wanted->selector) == 0)
		return FL_OK;
	return fl_fail(err, FL_REFUSED,
		"this server demands approvals, and the channel brings its release to all devices "
		"that match: delete it, create it with the other selector, and move it with a "
		"rollout");
}

/* Take what may change over from `wanted`; whether that is anything. */
static bool take_over(struct channel *there, const struct channel *wanted)
{
	bool same = strcmp(there->selector, wanted->selector) == 0 &&
		there->max_in_flight == wanted->max_in_flight &&
		there->error_ppm == wanted->error_ppm &&
		there->error_minimum == wanted->error_minimum && there->retries == wanted->retries;

	there->selector = wanted->selector;
	there->max_in_flight = wanted->max_in_flight;
	there->error_ppm = wanted->error_ppm;
	there->error_minimum = wanted->error_minimum;
	there->retries = wanted->retries;
	return !same;
}

static enum fl_code change(struct request *rq, struct channel *there, const struct channel *wanted,
	const char *release, struct fl_err *err)
{
	int64_t before = there->release_id;
	char etag[ROLLOUT_ETAG];
	bool changed;
	enum fl_code code;

	channel_etag(there, etag);
	code = list_if_match(rq, etag, err);
	if (code == FL_OK && release != NULL)
		code = find_release(rq, release, &there->release_id, err);
	if (code == FL_OK)
		code = check_selector(rq, there, wanted, err);
	if (code != FL_OK)
		return code;
	changed = take_over(there, wanted);
	if (there->release_id != before) {
		there->previous_release_id = before;
		code = channels_forgive(rq->store, there, err);
		changed = true;
	}
	if (code == FL_OK && changed)
		code = channel_put(rq->store, there, err);
	if (code == FL_OK && changed)
		code = note(rq, EVENT_CHANNEL_CHANGED, event_data(wanted, release), err);
	return code == FL_OK ? reply_channel(rq, 200, err) : code;
}

static enum fl_code put_now(struct request *rq, struct fl_err *err)
{
	struct channel wanted = { 0 }, there = { 0 };
	struct fl_err none = { 0 };
	const char *release;
	enum fl_code found, code = read_body(rq, &wanted, &release, err);

	if (code != FL_OK)
		return code;
	found = channel_get(rq->store, rq->param[0], &there, &none);
	if (found == FL_OK)
		code = change(rq, &there, &wanted, release, err);
	else if (found == FL_NOT_FOUND)
		code = create(rq, &wanted, release, err);
	else
		code = fl_fail(err, found, "%s", none.msg);
	channel_fini(&there);
	return code;
}

/* ---- one channel per device */

struct overlap {
	struct store *store;
	const char *name;    /* of the channel that is wanted */
	struct rsql *wanted; /* its selector; NULL: every device */
	char device[STORE_ID_MAX + 1];
};

static enum fl_code on_common(void *context, const struct device *d, struct fl_err *err)
{
	struct overlap *o = context;

	(void)err;
	(void)snprintf(o->device, sizeof(o->device), "%s", d->id);
	return FL_OK;
}

static enum fl_code compare_channel(void *context, const struct channel *c, struct fl_err *err)
{
	struct overlap *o = context;
	RSQL_AUTO struct rsql *other = NULL;
	enum fl_code code = FL_OK;

	if (strcmp(c->name, o->name) == 0)
		return FL_OK;
	if (c->selector[0] != '\0')
		code = rsql_parse(c->selector, &other, err);
	if (code == FL_OK)
		code = device_select_narrow(o->store,
			&(struct device_filter){ .where = other, .scope = o->wanted, .limit = 1 },
			on_common, o, err);
	if (code == FL_OK && o->device[0] != '\0')
		code = fl_fail(err, FL_CONFLICT,
			"device %.80s would belong to the channels %.80s and %.80s: a device has "
			"one",
			o->device, o->name, c->name);
	return code;
}

/* Read first: a look through all devices must not hold up the writer. */
enum fl_code api_channel_put(struct request *rq, struct fl_err *err)
{
	struct overlap o = { .store = rq->store, .name = rq->param[0] };
	struct channel wanted = { 0 };
	const char *release;
	enum fl_code code = read_body(rq, &wanted, &release, err);

	if (code == FL_OK && wanted.selector[0] != '\0')
		code = rsql_parse(wanted.selector, &o.wanted, err);
	if (code == FL_OK)
		code = channel_each(rq->store, 0, -1, compare_channel, &o, err);
	rsql_free(o.wanted);
	if (code == FL_OK)
		request_then(rq, LANE_WRITE, put_now);
	return code;
}

/* ---- verbs */

static enum fl_code load_to_change(struct request *rq, struct channel *c, struct fl_err *err)
{
	char etag[ROLLOUT_ETAG];
	enum fl_code code = list_unlimited(rq, "change channels", err);

	if (code == FL_OK)
		code = channel_get(rq->store, rq->param[0], c, err);
	if (code != FL_OK)
		return code;
	channel_etag(c, etag);
	return list_if_match(rq, etag, err);
}

enum fl_code api_channel_delete(struct request *rq, struct fl_err *err)
{
	struct channel c = { 0 };
	enum fl_code code = load_to_change(rq, &c, err);

	if (code == FL_OK)
		code = channel_delete(rq->store, c.id, err);
	if (code == FL_OK)
		code = note(rq, EVENT_CHANNEL_DELETED, NULL, err);
	if (code == FL_OK)
		reply_empty(rq, 204);
	channel_fini(&c);
	return code;
}

enum fl_code api_channel_verb(struct request *rq, struct fl_err *err)
{
	bool pause = strcmp(rq->param[1], "pause") == 0;
	struct channel c = { 0 };
	enum fl_code code;

	if (!pause && strcmp(rq->param[1], "resume") != 0)
		return fl_fail(
			err, FL_NOT_FOUND, "\"%.40s\" is no verb: pause or resume", rq->param[1]);
	code = load_to_change(rq, &c, err);
	if (code == FL_OK && (pause ? c.state == CHANNEL_PAUSED : c.state == CHANNEL_ON)) {
		channel_fini(&c);
		return reply_channel(rq, 200, err);
	}
	if (code == FL_OK && pause) {
		c.state = CHANNEL_PAUSED;
		c.reason = "";
	} else if (code == FL_OK) {
		code = channels_forgive(rq->store, &c, err);
	}
	if (code == FL_OK)
		code = channel_put(rq->store, &c, err);
	if (code == FL_OK)
		code = note(
			rq, EVENT_CHANNEL_CHANGED, json_pack("{s:s}", "verb", rq->param[1]), err);
	channel_fini(&c);
	return code == FL_OK ? reply_channel(rq, 200, err) : code;
}
