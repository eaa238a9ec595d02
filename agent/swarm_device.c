/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/swarm.h"

#include "agent/random.h"
#include "lib/clock.h"
#include "lib/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US    1000000LL
#define BACKOFF_US   (SECOND_US / 4)
#define FAILURES_MAX 7 /* 32 s */

void device_back_off(struct swarm *s, struct device *d)
{
	int64_t longest = BACKOFF_US << d->failures;

	if (d->failures < FAILURES_MAX)
		d->failures++;
	s->totals.failures++;
	swarm_wake(s, d, longest / 2 + (int64_t)random_below(&d->random, (uint64_t)longest / 2));
}

static int64_t interval_us(const struct swarm *s, const struct device *d)
{
	double seconds = s->options.poll_interval_s > 0 ? s->options.poll_interval_s
							: (double)d->session.poll_interval_s;

	return (int64_t)(seconds * 1e6);
}

/* A tenth more or less, so that the fleet does not fall into step. */
static void wait_for_poll(struct swarm *s, struct device *d, int64_t at_least_us)
{
	int64_t interval = interval_us(s, d);
	double part = d->polled ? 0.9 + 0.2 * random_unit(&d->random) : random_unit(&d->random);
	int64_t wait = (int64_t)((double)interval * part);

	swarm_wake(s, d, wait > at_least_us ? wait : at_least_us);
}

/* ---- requests */

json_t *device_attributes(const struct swarm *s, const struct device *d)
{
	const struct swarm_options *o = &s->options;
	json_t *out = json_object();

	for (size_t i = 0; out != NULL && i < o->n_attributes; i++) {
		const struct swarm_attribute *a = &o->attributes[i];
		uint64_t state = o->seed ^ ((uint64_t)d->index * SWARM_RULES_MAX + i);
		double at = random_unit(&state);
		size_t v = 0;

		while (v + 1 < a->n && at >= a->values[v].fraction)
			at -= a->values[v++].fraction;
		if (json_object_set_new(out, a->name, json_string(a->values[v].text)) != 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

/* A gateway's devices are numbered in turn. */
static void gateway_of(const struct swarm *s, const struct device *d, char out[SWARM_ID_MAX])
{
	size_t gateway = (size_t)d->index % (size_t)s->options.gateways;

	swarm_id(s, &s->devices[gateway], out);
}

static enum fl_code build_enrol(struct swarm *s, struct device *d, struct protocol_message *m)
{
	FL_AUTO_JSON json_t *attributes = device_attributes(s, d);
	char id[SWARM_ID_MAX], gateway[SWARM_ID_MAX];
	struct protocol_device who = { .id = id,
		.tier = d->gateway ? "gateway" : "device",
		.attributes = attributes,
		.installed = d->installed };

	if (attributes == NULL)
		return FL_NOMEM;
	swarm_id(s, d, id);
	if (!d->gateway && s->options.gateways > 0) {
		gateway_of(s, d, gateway);
		who.gateway = gateway;
	}
	return protocol_enrol(
		m, &who, &d->key, s->options.token, fl_clock_ms(CLOCK_REALTIME) / 1000, NULL);
}

static enum fl_code build_inventory(struct swarm *s, struct device *d, struct protocol_message *m)
{
	FL_AUTO_JSON json_t *attributes = device_attributes(s, d);
	enum fl_code code;

	if (attributes == NULL)
		return FL_NOMEM;
	code = protocol_inventory_body(m, attributes, d->installed, NULL);
	if (code != FL_OK)
		return code;
	return protocol_inventory(m, &d->session, d->accepted, fl_clock_ms(CLOCK_REALTIME), NULL);
}

static enum fl_code build_report(struct device *d, struct protocol_message *m)
{
	enum fl_code code = protocol_report_body(m, json_array_get(d->outbox, 0), &d->key, NULL);

	if (code != FL_OK)
		return code;
	return protocol_report(m, &d->session, d->accepted, fl_clock_ms(CLOCK_REALTIME), NULL);
}

static enum fl_code build(struct swarm *s, struct device *d, struct exchange *x)
{
	char id[SWARM_ID_MAX];

	switch (x->asked) {
	case ASKED_ENROL:
		return build_enrol(s, d, &x->message);
	case ASKED_SESSION:
		swarm_id(s, d, id);
		return protocol_handshake(
			&x->message, id, &d->key, fl_clock_ms(CLOCK_REALTIME) / 1000, NULL);
	case ASKED_INVENTORY:
		return build_inventory(s, d, &x->message);
	case ASKED_REPORT:
		return build_report(d, &x->message);
	default:
		return protocol_poll(
			&x->message, &d->session, d->accepted, fl_clock_ms(CLOCK_REALTIME), NULL);
	}
}

static void ask(struct swarm *s, struct device *d, enum asked asked)
{
	struct exchange *x = swarm_exchange(s, d, asked);

	if (x != NULL && build(s, d, x) == FL_OK) {
		swarm_send(s, x);
		return;
	}
	if (x != NULL)
		swarm_release(s, x);
	device_back_off(s, d);
}

/* Whether the device is away now; then its timer is set for its return. */
static bool goes_away(struct swarm *s, struct device *d, int64_t now)
{
	const struct swarm_options *o = &s->options;
	double away_s, present_s;

	if (d->away_at_us == 0 || now < d->away_at_us)
		return false;
	away_s = -log(1 - random_unit(&d->random)) * o->offline_mean_s;
	present_s = -log(1 - random_unit(&d->random)) * o->offline_mean_s * (1 - o->offline) /
		o->offline;
	d->away_at_us = now + (int64_t)((away_s + present_s) * 1e6);
	swarm_wake(s, d, (int64_t)(away_s * 1e6));
	return true;
}

void device_turn(struct swarm *s, struct device *d)
{
	int64_t now = fl_clock_us(CLOCK_MONOTONIC);

	if (d->silent || goes_away(s, d, now))
		return;
	if (!d->enrolled && !d->gateway && s->gateways_enrolled < (size_t)s->options.gateways)
		swarm_wake(s, d, SECOND_US / 10);
	else if (!d->enrolled)
		ask(s, d, ASKED_ENROL);
	else if (!d->session_open || now >= d->session_until_us)
		ask(s, d, ASKED_SESSION);
	else if (json_array_size(d->outbox) > 0)
		ask(s, d, ASKED_REPORT);
	else if (d->inventory_due)
		ask(s, d, ASKED_INVENTORY);
	else if (d->order != NULL && !s->hold)
		order_turn(s, d);
	else
		ask(s, d, ASKED_POLL);
}

/* ---- answers */

static struct protocol_answer answer_of(const struct exchange *x)
{
	return (struct protocol_answer){
		.status = x->call.answer.status,
		.mac = x->call.answer.mac,
		.body = x->call.body,
	};
}

/* The first refusal is shown: the others are most likely the same. */
static void tell(
	struct swarm *s, const struct device *d, const char *what, const struct fl_err *err)
{
	char id[SWARM_ID_MAX];
	const char *name = id, *why = err->msg;

	if (s->totals.refused++ > 0)
		return;
	swarm_id(s, d, id);
	fl_log_warning(what, FL_S("device", name), FL_S("why", why));
}

static void enrolled(struct swarm *s, struct device *d, const struct exchange *x)
{
	struct protocol_answer a = answer_of(x);
	struct protocol_enrolment e = { 0 };
	struct fl_err err = { 0 };
	enum fl_code code = protocol_enrol_read(&a, &e, &err);
	struct fl_root root;

	if (code == FL_OK && !s->trusted) {
		code = fl_root_first(fl_bytes(e.root, strlen(e.root)), &root, &err);
		if (code == FL_OK)
			s->trust = root.manifest;
		s->trusted = code == FL_OK;
	}
	free(e.root);
	if (code != FL_OK) {
		tell(s, d, "a device is not let in", &err);
		device_back_off(s, d);
		return;
	}
	d->enrolled = true;
	d->failures = 0;
	s->totals.enrolled++;
	if (d->gateway)
		s->gateways_enrolled++;
	swarm_wake(s, d, 0);
}

static void session_came(struct swarm *s, struct device *d, const struct exchange *x)
{
	struct protocol_answer a = answer_of(x);
	struct fl_err err = { 0 };
	char id[SWARM_ID_MAX];
	struct protocol_party party = { .device = id, .key = &d->key, .trust = &s->trust };

	swarm_id(s, d, id);
	if (protocol_handshake_read(&x->message, &a, &party, &d->session, &err) != FL_OK) {
		tell(s, d, "a device gets no session", &err);
		device_back_off(s, d);
		return;
	}
	d->session_open = true;
	d->session_until_us =
		fl_clock_us(CLOCK_MONOTONIC) + d->session.expires_in_s * SECOND_US * 9 / 10;
	d->failures = 0;
	s->totals.sessions++;
	swarm_wake(s, d, 0);
}

static void polled(struct swarm *s, struct device *d, const struct exchange *x)
{
	const struct protocol_answer a = answer_of(x);
	bool had = d->order != NULL;

	s->totals.polls++;
	if (a.status == 200 && !protocol_holds(&a))
		order_accept(s, d, x->call.body);
	if (d->order != NULL && !had && !s->hold)
		swarm_wake(s, d, 0);
	else
		wait_for_poll(s, d, x->call.answer.retry_after_s * SECOND_US);
	if (!d->polled)
		s->polled++;
	d->polled = true;
}

/* The server has this report on its disk, or says that it will never take it. */
static void reported(struct swarm *s, struct device *d, const struct exchange *x)
{
	int status = x->call.answer.status;
	struct protocol_answer a = answer_of(x);
	struct fl_err err = { 0 };

	if (status == 429 || status >= 500) {
		device_back_off(s, d);
		return;
	}
	if (status == 204 || status == 200) {
		s->totals.reports++;
		swarm_journal(s, d, json_array_get(d->outbox, 0));
	} else if (protocol_problem(&a, &err) != FL_OK) {
		tell(s, d, "a report is refused", &err);
	}
	(void)json_array_remove(d->outbox, 0);
	if (json_array_size(d->outbox) == 0) {
		json_decref(fl_steal(&d->outbox));
		s->unsent--;
	}
	if (d->order == NULL && d->outbox == NULL)
		/* What comes next, the next layer say, comes soon. */
		swarm_wake(s, d,
			(int64_t)random_below(&d->random, (uint64_t)interval_us(s, d) / 4 + 1));
	else
		swarm_wake(s, d, 0);
}

static void inventory_taken(struct swarm *s, struct device *d, const struct exchange *x)
{
	int status = x->call.answer.status;
	struct protocol_answer a = answer_of(x);
	struct fl_err err = { 0 };

	if (status != 204 && status != 200) {
		(void)!protocol_problem(&a, &err);
		tell(s, d, "an inventory is refused", &err);
		device_back_off(s, d);
		return;
	}
	d->inventory_due = false;
	s->totals.inventories++;
	swarm_wake(s, d, 0);
}

static void believed(struct swarm *s, struct device *d, struct exchange *x)
{
	d->failures = 0;
	switch (x->asked) {
	case ASKED_POLL:
		if (x->call.answer.status == 200 || x->call.answer.status == 204)
			polled(s, d, x);
		else
			device_back_off(s, d);
		return;
	case ASKED_REPORT:
		reported(s, d, x);
		return;
	case ASKED_INVENTORY:
		inventory_taken(s, d, x);
		return;
	default:
		order_offered(s, d, x);
		return;
	}
}

static void under_session(struct swarm *s, struct device *d, struct exchange *x)
{
	struct protocol_answer a = answer_of(x);
	struct fl_err err = { 0 };
	int64_t newest;
	enum fl_code code =
		protocol_check(&x->message, &d->session, &a, d->accepted, &newest, &err);

	if (code == FL_OK) {
		believed(s, d, x);
		return;
	}
	if (code == FL_UNAUTHENTICATED)
		d->session_open = false;
	else if (code == FL_SIGNATURE)
		tell(s, d, "an answer is not believed", &err);
	device_back_off(s, d);
}

void device_answer(struct swarm *s, struct exchange *x)
{
	struct device *d = x->device;

	if (x->asked == ASKED_BYTES)
		order_bytes(s, d, x);
	else if (x->call.code != FL_OK)
		device_back_off(s, d);
	else if (x->asked == ASKED_ENROL)
		enrolled(s, d, x);
	else if (x->asked == ASKED_SESSION)
		session_came(s, d, x);
	else
		under_session(s, d, x);
	swarm_release(s, x);
}

/* ---- reports */

static json_t *make_report(
	const struct device *d, const char *state, const char *cause, const char *detail)
{
	const struct order *o = d->order;
	const char *step = o->manifest.goal.step.id;
	json_t *r;

	if (o->manifest.goal.step.rollout == NULL || step == NULL)
		return NULL; /* nobody waits for it */
	r = json_pack("{s:s, s:I, s:s, s:s*, s:s*, s:I, s:I, s:I}", "step", step, "manifest",
		(json_int_t)d->accepted, "state", state, "cause", cause, "detail", detail, "bytes",
		(json_int_t)o->bytes, "saved", (json_int_t)(o->saved > 0 ? o->saved : 0), "time",
		(json_int_t)fl_clock_ms(CLOCK_REALTIME));
	if (strcmp(state, "confirmed") == 0 || strcmp(state, "failed") == 0 ||
		strcmp(state, "rolled_back") == 0)
		(void)json_object_set(r, "installed", d->installed);
	return r;
}

void device_report(
	struct swarm *s, struct device *d, const char *state, const char *cause, const char *detail)
{
	json_t *report = make_report(d, state, cause, detail);

	if (report == NULL)
		return;
	if (d->outbox == NULL) {
		d->outbox = json_array();
		s->unsent++;
	}
	FL_BUG_IF(json_array_append_new(d->outbox, report) != 0);
}
