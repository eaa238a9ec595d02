/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/opening.h"

#include "lib/civil.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DURATION_MAX_S (31LL * 24 * 3600)
#define MONDAY_S       1578268800LL /* 2020-01-06, a Monday: from where periods are counted */

void opening_rules_fini(struct opening_rules *r)
{
	free(r->rules);
	*r = (struct opening_rules){ 0 };
}

void opening_fini(struct opening_windows *w)
{
	opening_rules_fini(&w->delivery);
	opening_rules_fini(&w->turn);
	*w = (struct opening_windows){ 0 };
}

/* ---- reading */

struct raw_rule {
	const char *cron, *rrule, *from;
	int64_t duration_s;
};

static const struct fl_json_field rule_fields[] = {
	FL_FIELD(struct raw_rule, cron, "cron", STRING, .min = 1, .max = RECUR_TEXT_MAX - 1),
	FL_FIELD(struct raw_rule, rrule, "rrule", STRING, .min = 1, .max = RECUR_TEXT_MAX - 1),
	FL_FIELD(struct raw_rule, from, "from", STRING, .min = 1, .max = 19),
	FL_FIELD(struct raw_rule, duration_s, "duration_s", INT, .required = true, .min = 1,
		.max = DURATION_MAX_S),
};

/* "2026-01-05" or "2026-01-05T22:00", local. */
static enum fl_code read_from(const char *text, int64_t *out, struct fl_err *err)
{
	int year, month, day, hour = 0, minute = 0, n = 0, m = 0;
	bool fine = sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &n) == 3 && n == 10;

	if (fine && text[n] == 'T')
		fine = sscanf(text + n, "T%2d:%2d%n", &hour, &minute, &m) == 2 && m == 6;
	if (!fine || text[n + m] != '\0' || year < 2000 || month < 1 || month > 12 || day < 1 ||
		day > 31 || hour < 0 || hour > 23 || minute < 0 || minute > 59)
		return fl_fail(err, FL_INVALID, "from looks like 2026-01-05 or 2026-01-05T22:00");
	*out = fl_civil_number(year, month, day) * FL_DAY_S + hour * FL_HOUR_S + minute * 60;
	return FL_OK;
}

static enum fl_code read_rule(const json_t *object, struct opening_rule *r, struct fl_err *err)
{
	struct raw_rule raw = { 0 };
	const char *text;
	int64_t from = MONDAY_S;
	enum fl_code code =
		fl_json_read(object, rule_fields, FL_COUNT(rule_fields), FL_JSON_REJECT, &raw, err);

	if (code == FL_OK && (raw.cron != NULL) == (raw.rrule != NULL))
		code = fl_fail(err, FL_INVALID, "needs exactly one of cron and rrule");
	if (code == FL_OK && raw.from != NULL)
		code = read_from(raw.from, &from, err);
	if (code != FL_OK)
		return code;
	text = raw.cron != NULL ? raw.cron : raw.rrule;
	r->cron = raw.cron != NULL;
	r->duration_ms = raw.duration_s * 1000;
	(void)snprintf(r->text, sizeof(r->text), "%s", text);
	(void)snprintf(r->from, sizeof(r->from), "%s", raw.from != NULL ? raw.from : "");
	return (r->cron ? recur_cron : recur_rrule)(text, from, &r->recur, err);
}

enum fl_code opening_rules_read(const json_t *array, struct opening_rules *out, struct fl_err *err)
{
	struct opening_rules r = { .n = json_array_size(array) };

	if (r.n == 0 || r.n > OPENING_RULES_MAX)
		return fl_fail(err, FL_INVALID, "needs 1 to %d rules", OPENING_RULES_MAX);
	r.rules = calloc(r.n, sizeof(*r.rules));
	if (r.rules == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the rules of a window");
	for (size_t i = 0; i < r.n; i++) {
		if (read_rule(json_array_get(array, i), &r.rules[i], err) != FL_OK) {
			opening_rules_fini(&r);
			return fl_wrap(err, "[%zu]", i);
		}
	}
	*out = r;
	return FL_OK;
}

struct raw {
	json_t *delivery, *turn;
	const char *zone, *zone_of;
};

static const struct fl_json_field fields[] = {
	FL_FIELD(struct raw, delivery, "delivery", ARRAY, .min = 1, .max = OPENING_RULES_MAX),
	FL_FIELD(struct raw, turn, "switch", ARRAY, .min = 1, .max = OPENING_RULES_MAX),
	FL_FIELD(struct raw, zone, "zone", STRING, .min = 1, .max = FL_ZONE_NAME_MAX - 1),
	FL_FIELD(struct raw, zone_of, "zone_of", STRING, .min = 1, .max = OPENING_FIELD_MAX - 1),
};

static bool is_field(const char *name)
{
	return (strncmp(name, "attribute.", 10) == 0 && name[10] != '\0') ||
		(strncmp(name, "label.", 6) == 0 && name[6] != '\0');
}

static enum fl_code read_both(const struct raw *raw, struct opening_windows *w, struct fl_err *err)
{
	if (raw->delivery != NULL && opening_rules_read(raw->delivery, &w->delivery, err) != FL_OK)
		return fl_wrap(err, "delivery");
	if (raw->turn != NULL && opening_rules_read(raw->turn, &w->turn, err) != FL_OK)
		return fl_wrap(err, "switch");
	if (!opening_some(w))
		return fl_fail(err, FL_INVALID, "needs delivery or switch");
	if (raw->zone_of != NULL && !is_field(raw->zone_of))
		return fl_fail(
			err, FL_INVALID, "zone_of must be \"attribute.NAME\" or \"label.NAME\"");
	return FL_OK;
}

enum fl_code opening_read(const json_t *object, struct opening_windows *out, struct fl_err *err)
{
	struct raw raw = { .zone = "UTC" };
	struct opening_windows w = { 0 };
	enum fl_code code =
		fl_json_read(object, fields, FL_COUNT(fields), FL_JSON_REJECT, &raw, err);

	if (code == FL_OK)
		code = read_both(&raw, &w, err);
	if (code != FL_OK) {
		opening_fini(&w);
		return code;
	}
	(void)snprintf(w.zone, sizeof(w.zone), "%s", raw.zone);
	(void)snprintf(w.zone_of, sizeof(w.zone_of), "%s", raw.zone_of != NULL ? raw.zone_of : "");
	*out = w;
	return FL_OK;
}

/* ---- writing */

json_t *opening_rules_json(const struct opening_rules *r)
{
	json_t *out = json_array();

	for (size_t i = 0; i < r->n; i++) {
		const struct opening_rule *rule = &r->rules[i];
		json_t *one = json_pack("{s:s,s:I,s:s*}", rule->cron ? "cron" : "rrule", rule->text,
			"duration_s", (json_int_t)(rule->duration_ms / 1000), "from",
			rule->from[0] != '\0' ? rule->from : NULL);

		if (json_array_append_new(out, one) != 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

json_t *opening_json(const struct opening_windows *w)
{
	if (!opening_some(w))
		return NULL;
	return json_pack("{s:o*,s:o*,s:s,s:s*}", "delivery",
		w->delivery.n > 0 ? opening_rules_json(&w->delivery) : NULL, "switch",
		w->turn.n > 0 ? opening_rules_json(&w->turn) : NULL, "zone", w->zone, "zone_of",
		w->zone_of[0] != '\0' ? w->zone_of : NULL);
}

/* ---- expanding */

struct expansion {
	const struct fl_zone *zone;
	const struct opening_horizon *horizon;
	int64_t duration_ms;
	struct window *out;
};

static enum fl_code add(void *context, int64_t local_s, struct fl_err *err)
{
	struct expansion *x = context;
	int64_t open = fl_zone_utc(x->zone, local_s) * 1000, close = open + x->duration_ms;

	if (x->out->n >= OPENING_SPANS_MAX)
		return fl_fail(err, FL_REFUSED,
			"the window opens more than %d times in what is looked ahead",
			OPENING_SPANS_MAX);
	return window_add(x->out, open > x->horizon->from ? open : x->horizon->from,
		close < x->horizon->until ? close : x->horizon->until, err);
}

enum fl_code opening_expand(const struct opening_rules *r, const struct fl_zone *zone,
	const struct opening_horizon *horizon, struct window *out, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	out->from = horizon->from;
	out->until = horizon->until;
	for (size_t i = 0; i < r->n && code == FL_OK; i++) {
		struct expansion x = { zone, horizon, r->rules[i].duration_ms, out };
		/* no zone is farther than a day from UTC */
		struct recur_span span = {
			(horizon->from - x.duration_ms) / 1000 - FL_DAY_S,
			horizon->until / 1000 + FL_DAY_S,
		};

		code = recur_each(&r->rules[i].recur, &span, add, &x, err);
	}
	return code;
}

enum fl_code opening_make(const struct opening_windows *w, const struct fl_zone *zone,
	const struct opening_horizon *horizon, struct opening_made *out, struct fl_err *err)
{
	enum fl_code code = opening_expand(&w->delivery, zone, horizon, &out->delivery, err);

	return code == FL_OK ? opening_expand(&w->turn, zone, horizon, &out->turn, err) : code;
}

void opening_made_fini(struct opening_made *m)
{
	window_fini(&m->delivery);
	window_fini(&m->turn);
}

struct opening_hours opening_hours(const struct opening_windows *w, const struct opening_made *made)
{
	struct opening_hours hours = { .offer = w->delivery.n > 0 ? &made->delivery : NULL,
		.turn = w->turn.n > 0 ? &made->turn : NULL };

	hours.install = hours.turn != NULL ? hours.turn : hours.offer;
	return hours;
}
