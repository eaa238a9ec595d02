/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/pace.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define PPM         1000000
#define MINUTE_MS   60000
#define RATE_MAX    1000000000LL
#define WAIT_MAX_MS (30LL * 24 * 3600 * 1000)
#define FACTOR_MIN  1.1
#define FACTOR_MAX  100.0

int64_t pace_per_minute(const struct pace_rules *r, int64_t notified, int64_t succeeded)
{
	int64_t limit = r->max_per_minute, rate = r->base_per_minute;
	int64_t steps = r->per_notified > 0 ? notified / r->per_notified
		: r->per_succeeded > 0      ? succeeded / r->per_succeeded
					    : 0;

	if (rate == 0)
		return limit;
	while (steps-- > 0 && rate < RATE_MAX && (limit == 0 || rate < limit)) {
		int64_t next = rate / PPM * r->factor_ppm + rate % PPM * r->factor_ppm / PPM;

		rate = next > rate ? next : rate + 1; /* a small rate rises too */
	}
	return limit != 0 && rate > limit ? limit : rate < RATE_MAX ? rate : RATE_MAX;
}

int64_t pace_wait_ms(const struct pace_rules *r, int64_t before, int64_t devices)
{
	for (int64_t minutes = 0; pace_has_rate(r); minutes++) {
		int64_t rate = pace_per_minute(r, before, before);

		if (r->base_per_minute == 0 || rate == r->max_per_minute || rate >= devices)
			return (minutes + (devices - 1) / rate) * MINUTE_MS;
		before += rate;
		devices -= rate;
	}
	return 0;
}

/* How many slots of the minute that ends in slot `now` are there still; the older ones are over. */
static int64_t slots_left(const struct pace_minute *m, int64_t now)
{
	int64_t ahead = now > m->newest ? now - m->newest : 0;

	return ahead < PACE_SLOTS ? PACE_SLOTS - ahead : 0;
}

int64_t pace_recent(const struct pace_minute *m, int64_t clock)
{
	int64_t sum = 0, left = slots_left(m, clock / PACE_SLOT_MS);

	for (int64_t slot = m->newest; left-- > 0 && slot >= 0; slot--)
		sum += m->n[slot % PACE_SLOTS];
	return sum;
}

void pace_note(struct pace_minute *m, int64_t clock)
{
	int64_t now = clock / PACE_SLOT_MS;

	assert(clock >= 0);
	if (slots_left(m, now) == 0)
		*m = (struct pace_minute){ .newest = now };
	while (m->newest < now)
		m->n[++m->newest % PACE_SLOTS] = 0;
	m->n[m->newest % PACE_SLOTS]++;
}

static bool tries(const struct pace_retry *r, enum step_state end, enum step_cause cause)
{
	unsigned bit = end == STEP_TIMED_OUT ? PACE_TIMED_OUT : PACE_FAILED;

	return (r->ends & bit) != 0 && (r->causes & 1u << cause) != 0;
}

int64_t pace_retry_after(
	const struct pace_rules *r, enum step_state end, enum step_cause cause, int64_t attempt)
{
	for (int i = 0; i < r->n_retries; i++) {
		const struct pace_retry *t = &r->retries[i];
		double wait = (double)t->backoff_ms;

		if (!tries(t, end, cause))
			continue;
		if (attempt >= t->attempts)
			return -1;
		for (int64_t k = 1; k < attempt && wait < (double)WAIT_MAX_MS; k++)
			wait *= (double)t->factor_ppm / PPM;
		return wait < (double)WAIT_MAX_MS ? (int64_t)wait : WAIT_MAX_MS;
	}
	return -1;
}

/* ---- reading */

struct raw {
	json_t *ramp, *unavailable;
	int64_t max_per_minute;
};

static const struct fl_json_field fields[] = {
	FL_FIELD(struct raw, max_per_minute, "max_per_minute", INT, .min = 0, .max = RATE_MAX),
	FL_FIELD(struct raw, ramp, "ramp", OBJECT),
	FL_FIELD(struct raw, unavailable, "max_unavailable", OBJECT),
};

struct raw_ramp {
	int64_t base, notified, succeeded;
	double factor;
};

static const struct fl_json_field ramp_fields[] = {
	FL_FIELD(struct raw_ramp, base, "base_per_minute", INT, .required = true, .min = 1,
		.max = RATE_MAX),
	FL_FIELD(struct raw_ramp, factor, "increment_factor", REAL),
	FL_FIELD(struct raw_ramp, notified, "notified", INT, .min = 1, .max = RATE_MAX),
	FL_FIELD(struct raw_ramp, succeeded, "succeeded", INT, .min = 1, .max = RATE_MAX),
};

struct raw_unavailable {
	const char *by;
	int64_t devices;
};

static const struct fl_json_field unavailable_fields[] = {
	FL_FIELD(struct raw_unavailable, by, "by", STRING, .required = true, .min = 1,
		.max = PACE_GROUP_MAX),
	FL_FIELD(struct raw_unavailable, devices, "devices", INT, .required = true, .min = 1,
		.max = RATE_MAX),
};

struct raw_retry {
	json_t *causes;
	const char *type;
	int64_t attempts, backoff_s;
	double factor;
};

static const struct fl_json_field retry_fields[] = {
	FL_FIELD(struct raw_retry, type, "type", STRING),
	FL_FIELD(struct raw_retry, causes, "causes", ARRAY, .min = 1, .max = CAUSE_MAX),
	FL_FIELD(struct raw_retry, attempts, "attempts", INT, .required = true, .min = 2,
		.max = 100),
	FL_FIELD(
		struct raw_retry, backoff_s, "backoff_s", INT, .min = 0, .max = WAIT_MAX_MS / 1000),
	FL_FIELD(struct raw_retry, factor, "factor", REAL),
};

static enum fl_code read_factor(double v, double least, int64_t *ppm, struct fl_err *err)
{
	if (!(v >= least && v <= FACTOR_MAX))
		return fl_fail(err, FL_INVALID, "the factor must be %g to %g, not %g", least,
			FACTOR_MAX, v);
	*ppm = (int64_t)(v * PPM + 0.5);
	return FL_OK;
}

static enum fl_code read_ramp(const json_t *object, struct pace_rules *out, struct fl_err *err)
{
	struct raw_ramp raw = { .factor = 2 };
	enum fl_code code =
		fl_json_read(object, ramp_fields, FL_COUNT(ramp_fields), FL_JSON_REJECT, &raw, err);

	if (code == FL_OK)
		code = read_factor(raw.factor, FACTOR_MIN, &out->factor_ppm, err);
	if (code == FL_OK && (raw.notified != 0) == (raw.succeeded != 0))
		code = fl_fail(err, FL_INVALID,
			"needs one of notified and succeeded: after so many more devices the rate "
			"rises");
	if (code != FL_OK)
		return fl_wrap(err, "ramp");
	out->base_per_minute = raw.base;
	out->per_notified = raw.notified;
	out->per_succeeded = raw.succeeded;
	return FL_OK;
}

static enum fl_code read_unavailable(
	const json_t *object, struct pace_rules *out, struct fl_err *err)
{
	struct raw_unavailable raw = { 0 };
	enum fl_code code = fl_json_read(object, unavailable_fields, FL_COUNT(unavailable_fields),
		FL_JSON_REJECT, &raw, err);

	if (code == FL_OK && strcmp(raw.by, "gateway") == 0) {
		out->group = PACE_GATEWAY;
	} else if (code == FL_OK && strncmp(raw.by, "label.", 6) == 0 && raw.by[6] != '\0') {
		out->group = PACE_LABEL;
		(void)snprintf(out->label, sizeof(out->label), "%s", raw.by + 6);
	} else if (code == FL_OK) {
		code = fl_fail(err, FL_INVALID, "by must be \"gateway\" or \"label.NAME\"");
	}
	out->max_unavailable = raw.devices;
	return code == FL_OK ? code : fl_wrap(err, "max_unavailable");
}

static enum fl_code read_pace(const json_t *object, struct pace_rules *out, struct fl_err *err)
{
	struct raw raw = { 0 };
	enum fl_code code =
		fl_json_read(object, fields, FL_COUNT(fields), FL_JSON_REJECT, &raw, err);

	if (code == FL_OK && raw.ramp != NULL)
		code = read_ramp(raw.ramp, out, err);
	if (code == FL_OK && raw.unavailable != NULL)
		code = read_unavailable(raw.unavailable, out, err);
	out->max_per_minute = raw.max_per_minute;
	return code;
}

static enum fl_code read_type(const char *type, unsigned *ends, struct fl_err *err)
{
	*ends = PACE_FAILED | PACE_TIMED_OUT;
	if (type == NULL || strcmp(type, "all") == 0)
		return FL_OK;
	*ends = strcmp(type, "failed") == 0 ? PACE_FAILED : PACE_TIMED_OUT;
	if (*ends == PACE_TIMED_OUT && strcmp(type, "timed_out") != 0)
		return fl_fail(err, FL_INVALID,
			"type must be failed, timed_out or all, not \"%.32s\"", type);
	return FL_OK;
}

static enum fl_code read_causes(const json_t *array, unsigned *causes, struct fl_err *err)
{
	*causes = array == NULL ? ~0u : 0;
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *word = json_string_value(json_array_get(array, i));
		enum step_cause cause;

		if (word == NULL || step_cause_parse(word, &cause, NULL) != FL_OK ||
			cause == CAUSE_NONE)
			return fl_fail(err, FL_INVALID,
				"causes[%zu] must be release, device, network, server or unknown",
				i);
		*causes |= 1u << cause;
	}
	return FL_OK;
}

static enum fl_code read_retry(const json_t *object, struct pace_retry *out, struct fl_err *err)
{
	struct raw_retry raw = { .backoff_s = 60, .factor = 2 };
	enum fl_code code = fl_json_read(
		object, retry_fields, FL_COUNT(retry_fields), FL_JSON_REJECT, &raw, err);

	if (code == FL_OK)
		code = read_type(raw.type, &out->ends, err);
	if (code == FL_OK)
		code = read_causes(raw.causes, &out->causes, err);
	if (code == FL_OK)
		code = read_factor(raw.factor, 1, &out->factor_ppm, err);
	out->attempts = raw.attempts;
	out->backoff_ms = raw.backoff_s * 1000;
	return code;
}

struct raw_rollback {
	int64_t first, minimum;
	double percent;
	bool windows, pace;
};

static const struct fl_json_field rollback_fields[] = {
	FL_FIELD(struct raw_rollback, first, "first", INT, .min = 1, .max = RATE_MAX),
	FL_FIELD(struct raw_rollback, percent, "error_percent", REAL),
	FL_FIELD(struct raw_rollback, windows, "windows", BOOL),
	FL_FIELD(struct raw_rollback, pace, "pace", BOOL),
	FL_FIELD(struct raw_rollback, minimum, "error_minimum", INT, .min = 1, .max = RATE_MAX),
};

static enum fl_code read_rollback(const json_t *object, struct pace_rules *out, struct fl_err *err)
{
	struct raw_rollback raw = { .first = 10, .percent = 10, .minimum = 1 };
	enum fl_code code = FL_OK;

	if (object != NULL)
		code = fl_json_read(object, rollback_fields, FL_COUNT(rollback_fields),
			FL_JSON_REJECT, &raw, err);
	if (code == FL_OK && !(raw.percent >= 0 && raw.percent <= 100))
		code = fl_fail(
			err, FL_INVALID, "error_percent must be 0 to 100, not %g", raw.percent);
	if (code != FL_OK)
		return fl_wrap(err, "rollback");
	out->back_first = raw.first;
	out->back_error_ppm = (int64_t)(raw.percent * PPM / 100 + 0.5);
	out->back_error_minimum = raw.minimum;
	out->back_windows = raw.windows;
	out->back_pace = raw.pace;
	return FL_OK;
}

enum fl_code pace_read(const struct pace_members *m, struct pace_rules *out, struct fl_err *err)
{
	*out = (struct pace_rules){ 0 };
	if (m->pace != NULL && read_pace(m->pace, out, err) != FL_OK)
		return fl_wrap(err, "pace");
	if (json_array_size(m->retries) > PACE_RETRIES_MAX)
		return fl_fail(err, FL_INVALID, "retries: at most %d rules", PACE_RETRIES_MAX);
	for (size_t i = 0; i < json_array_size(m->retries); i++) {
		if (read_retry(json_array_get(m->retries, i), &out->retries[i], err) != FL_OK)
			return fl_wrap(err, "retries[%zu]", i);
		out->n_retries++;
	}
	return read_rollback(m->rollback, out, err);
}

/* ---- writing */

static json_t *factor_json(int64_t ppm)
{
	return ppm % PPM == 0 ? json_integer(ppm / PPM) : json_real((double)ppm / PPM);
}

json_t *pace_json(const struct pace_rules *r)
{
	char by[PACE_GROUP_MAX + 8];
	json_t *ramp = NULL, *unavailable = NULL;

	if (r->base_per_minute != 0)
		ramp = json_pack("{s:I,s:o,s:I}", "base_per_minute", (json_int_t)r->base_per_minute,
			"increment_factor", factor_json(r->factor_ppm),
			r->per_notified != 0 ? "notified" : "succeeded",
			(json_int_t)(r->per_notified != 0 ? r->per_notified : r->per_succeeded));
	(void)snprintf(
		by, sizeof(by), "%s%s", r->group == PACE_LABEL ? "label." : "gateway", r->label);
	if (r->group != PACE_NO_GROUP)
		unavailable =
			json_pack("{s:s,s:I}", "by", by, "devices", (json_int_t)r->max_unavailable);
	return json_pack("{s:I,s:o*,s:o*}", "max_per_minute", (json_int_t)r->max_per_minute, "ramp",
		ramp, "max_unavailable", unavailable);
}

static json_t *retry_json(const struct pace_retry *r)
{
	json_t *causes = json_array();
	const char *type = r->ends == PACE_FAILED ? "failed"
		: r->ends == PACE_TIMED_OUT       ? "timed_out"
						  : "all";

	for (int c = CAUSE_NONE + 1; c < CAUSE_MAX; c++)
		if ((r->causes & 1u << c) != 0)
			(void)json_array_append_new(
				causes, json_string(step_cause_text((enum step_cause)c)));
	return json_pack("{s:s,s:o,s:I,s:I,s:o}", "type", type, "causes", causes, "attempts",
		(json_int_t)r->attempts, "backoff_s", (json_int_t)(r->backoff_ms / 1000), "factor",
		factor_json(r->factor_ppm));
}

json_t *pace_retries_json(const struct pace_rules *r)
{
	json_t *out = json_array();

	for (int i = 0; i < r->n_retries; i++)
		if (json_array_append_new(out, retry_json(&r->retries[i])) != 0) {
			json_decref(out);
			return NULL;
		}
	return out;
}

json_t *pace_rollback_json(const struct pace_rules *r)
{
	int64_t ppm = r->back_error_ppm;

	return json_pack("{s:I,s:o,s:I,s:b,s:b}", "first", (json_int_t)r->back_first,
		"error_percent",
		ppm % 10000 == 0 ? json_integer(ppm / 10000) : json_real((double)ppm / 10000),
		"error_minimum", (json_int_t)r->back_error_minimum, "windows", (int)r->back_windows,
		"pace", (int)r->back_pace);
}
