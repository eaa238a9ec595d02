/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate of a strategy as JSON: one member a kind. */
#include "server/rollout/strategy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT_MAX   1000000000LL
#define SECONDS_MAX (10LL * 366 * 24 * 3600)
#define PRIOR_MAX   1e6
#define DAY_S       86400

struct gate_rules strategy_gate_default(void)
{
	return (struct gate_rules){
		.kinds = 1u << GATE_SUCCESS | 1u << GATE_ERROR,
		.causes = 1u << CAUSE_RELEASE | 1u << CAUSE_UNKNOWN,
		.success_ppm = 950000,
		.error_ppm = 50000,
		.error_minimum = 1,
		.p0_ppm = 10000,
		.p1_ppm = 50000,
		.alpha_ppm = 50000,
		.beta_ppm = 100000,
		.prior_a_milli = 1000,
		.prior_b_milli = 1000,
		.limit_ppm = 50000,
		.pass_ppm = 50000,
		.fail_ppm = 950000,
		.external_ms = DAY_S * 1000LL,
		.strata_ppm = 10000,
	};
}

/* ---- reading: each kind into the rules, which hold its defaults */

struct raw {
	json_t *success, *error, *stop, *causes, *sprt, *bayes, *external, *strata;
	bool manual, carry;
};

static const struct fl_json_field gate_fields[] = {
	FL_FIELD(struct raw, success, "success", OBJECT),
	FL_FIELD(struct raw, error, "error", OBJECT),
	FL_FIELD(struct raw, stop, "stop", ARRAY, .min = 1, .max = GATE_STOPS_MAX),
	FL_FIELD(struct raw, sprt, "sprt", OBJECT),
	FL_FIELD(struct raw, bayes, "bayes", OBJECT),
	FL_FIELD(struct raw, external, "external", OBJECT),
	FL_FIELD(struct raw, strata, "strata", OBJECT),
	FL_FIELD(struct raw, manual, "manual", BOOL),
	FL_FIELD(struct raw, carry, "carry", BOOL),
	FL_FIELD(struct raw, causes, "causes", ARRAY, .min = 1, .max = CAUSE_MAX),
};

struct raw_threshold {
	double percent;
	int64_t minimum;
};

static const struct fl_json_field threshold_fields[] = {
	FL_FIELD(struct raw_threshold, percent, "percent", REAL),
	FL_FIELD(struct raw_threshold, minimum, "minimum", INT, .min = 0, .max = COUNT_MAX),
};

static enum fl_code read_threshold(
	const json_t *object, bool zero, int64_t *ppm, int64_t *minimum, struct fl_err *err)
{
	struct raw_threshold raw = { (double)*ppm / 10000, *minimum };
	enum fl_code code = fl_json_read(
		object, threshold_fields, FL_COUNT(threshold_fields), FL_JSON_REJECT, &raw, err);

	if (code == FL_OK)
		code = strategy_share_read(raw.percent, zero, "percent", ppm, err);
	if (code == FL_OK)
		*minimum = raw.minimum;
	return code;
}

static enum fl_code read_success(const json_t *object, struct gate_rules *g, struct fl_err *err)
{
	return read_threshold(object, false, &g->success_ppm, &g->success_minimum, err);
}

static enum fl_code read_error(const json_t *object, struct gate_rules *g, struct fl_err *err)
{
	enum fl_code code = read_threshold(object, true, &g->error_ppm, &g->error_minimum, err);

	return code == FL_OK && g->error_minimum < 1
		? fl_fail(err, FL_INVALID, "minimum must be at least 1")
		: code;
}

struct raw_stop {
	const char *type;
	double threshold;
	int64_t minimum;
};

static const struct fl_json_field stop_fields[] = {
	FL_FIELD(struct raw_stop, type, "type", STRING, .required = true),
	FL_FIELD(struct raw_stop, threshold, "threshold", REAL, .required = true),
	FL_FIELD(struct raw_stop, minimum, "min_executed", INT, .min = 1, .max = COUNT_MAX),
};

static enum fl_code read_stop(const json_t *object, struct gate_stop *s, struct fl_err *err)
{
	struct raw_stop raw = { .minimum = 1 };
	enum fl_code code =
		fl_json_read(object, stop_fields, FL_COUNT(stop_fields), FL_JSON_REJECT, &raw, err);

	if (code == FL_OK && gate_type_parse(raw.type, &s->type, err) != FL_OK)
		code = fl_wrap(err, "type");
	if (code == FL_OK)
		code = strategy_share_read(raw.threshold, true, "threshold", &s->ppm, err);
	s->minimum = raw.minimum;
	return code;
}

static enum fl_code read_stops(const json_t *array, struct gate_rules *g, struct fl_err *err)
{
	g->n_stops = json_array_size(array);
	for (size_t i = 0; i < g->n_stops; i++)
		if (read_stop(json_array_get(array, i), &g->stops[i], err) != FL_OK)
			return fl_wrap(err, "stop[%zu]", i);
	return FL_OK;
}

/* A probability to parts per million: above 0 and at most `most`. */
static enum fl_code read_probability(
	double v, double most, const char *field, int64_t *ppm, struct fl_err *err)
{
	int64_t n = v > 0 && v <= most ? (int64_t)llround(v * STRATEGY_PPM) : 0;

	if (n < 1)
		return fl_fail(err, FL_INVALID,
			"%s must be at least 0.000001 and at most %g, not %g", field, most, v);
	*ppm = n;
	return FL_OK;
}

struct raw_sprt {
	double p0, p1, alpha, beta;
};

static const struct fl_json_field sprt_fields[] = {
	FL_FIELD(struct raw_sprt, p0, "p0_percent", REAL),
	FL_FIELD(struct raw_sprt, p1, "p1_percent", REAL),
	FL_FIELD(struct raw_sprt, alpha, "alpha", REAL),
	FL_FIELD(struct raw_sprt, beta, "beta", REAL),
};

static enum fl_code read_sprt(const json_t *object, struct gate_rules *g, struct fl_err *err)
{
	struct raw_sprt raw = { (double)g->p0_ppm / 10000, (double)g->p1_ppm / 10000,
		(double)g->alpha_ppm / STRATEGY_PPM, (double)g->beta_ppm / STRATEGY_PPM };
	enum fl_code code =
		fl_json_read(object, sprt_fields, FL_COUNT(sprt_fields), FL_JSON_REJECT, &raw, err);

	if (code == FL_OK)
		code = strategy_share_read(raw.p0, false, "p0_percent", &g->p0_ppm, err);
	if (code == FL_OK)
		code = strategy_share_read(raw.p1, false, "p1_percent", &g->p1_ppm, err);
	if (code == FL_OK)
		code = read_probability(raw.alpha, 0.5, "alpha", &g->alpha_ppm, err);
	if (code == FL_OK)
		code = read_probability(raw.beta, 0.5, "beta", &g->beta_ppm, err);
	if (code == FL_OK && (g->p0_ppm >= g->p1_ppm || g->p1_ppm >= STRATEGY_PPM))
		code = fl_fail(err, FL_INVALID,
			"p0_percent (%g) must be less than p1_percent (%g), and that less than 100",
			raw.p0, raw.p1);
	if (code == FL_OK && g->alpha_ppm == STRATEGY_PPM / 2 && g->beta_ppm == STRATEGY_PPM / 2)
		code = fl_fail(err, FL_INVALID, "alpha and beta are a coin's: nothing is tested");
	return code;
}

struct raw_bayes {
	double a, b, limit, pass, fail;
	int64_t minimum;
};

static const struct fl_json_field bayes_fields[] = {
	FL_FIELD(struct raw_bayes, a, "prior_a", REAL),
	FL_FIELD(struct raw_bayes, b, "prior_b", REAL),
	FL_FIELD(struct raw_bayes, limit, "limit_percent", REAL),
	FL_FIELD(struct raw_bayes, pass, "pass_below", REAL),
	FL_FIELD(struct raw_bayes, fail, "fail_above", REAL),
	FL_FIELD(struct raw_bayes, minimum, "minimum", INT, .min = 0, .max = COUNT_MAX),
};

static enum fl_code read_prior(double v, const char *field, int64_t *milli, struct fl_err *err)
{
	if (!(v >= 0.001 && v <= PRIOR_MAX))
		return fl_fail(err, FL_INVALID, "%s must be at least 0.001 and at most %g, not %g",
			field, PRIOR_MAX, v);
	*milli = (int64_t)llround(v * 1000);
	return FL_OK;
}

static enum fl_code read_bayes(const json_t *object, struct gate_rules *g, struct fl_err *err)
{
	struct raw_bayes raw = { (double)g->prior_a_milli / 1000, (double)g->prior_b_milli / 1000,
		(double)g->limit_ppm / 10000, (double)g->pass_ppm / STRATEGY_PPM,
		(double)g->fail_ppm / STRATEGY_PPM, g->bayes_minimum };
	enum fl_code code = fl_json_read(
		object, bayes_fields, FL_COUNT(bayes_fields), FL_JSON_REJECT, &raw, err);

	if (code == FL_OK)
		code = read_prior(raw.a, "prior_a", &g->prior_a_milli, err);
	if (code == FL_OK)
		code = read_prior(raw.b, "prior_b", &g->prior_b_milli, err);
	if (code == FL_OK)
		code = strategy_share_read(raw.limit, false, "limit_percent", &g->limit_ppm, err);
	if (code == FL_OK)
		code = read_probability(raw.pass, 1, "pass_below", &g->pass_ppm, err);
	if (code == FL_OK)
		code = read_probability(raw.fail, 1, "fail_above", &g->fail_ppm, err);
	if (code == FL_OK && (g->limit_ppm == STRATEGY_PPM || g->pass_ppm >= g->fail_ppm))
		code = fl_fail(err, FL_INVALID,
			"pass_below (%g) must be less than fail_above (%g), and limit_percent less "
			"than 100",
			raw.pass, raw.fail);
	g->bayes_minimum = raw.minimum;
	return code;
}

static enum fl_code read_external(const json_t *object, struct gate_rules *g, struct fl_err *err)
{
	int64_t within_s = g->external_ms / 1000;
	static const struct fl_json_field fields[] = {
		{ .name = "within_s", .type = FL_JSON_INT, .min = 1, .max = SECONDS_MAX },
	};
	enum fl_code code =
		fl_json_read(object, fields, FL_COUNT(fields), FL_JSON_REJECT, &within_s, err);

	g->external_ms = within_s * 1000;
	return code;
}

struct raw_strata {
	json_t *by;
	double alpha;
};

static const struct fl_json_field strata_fields[] = {
	FL_FIELD(
		struct raw_strata, by, "by", ARRAY, .required = true, .min = 1, .max = GATE_BY_MAX),
	FL_FIELD(struct raw_strata, alpha, "alpha", REAL),
};

static enum fl_code read_strata(const json_t *object, struct gate_rules *g, struct fl_err *err)
{
	struct raw_strata raw = { .alpha = (double)g->strata_ppm / STRATEGY_PPM };
	enum fl_code code = fl_json_read(
		object, strata_fields, FL_COUNT(strata_fields), FL_JSON_REJECT, &raw, err);

	if (code == FL_OK)
		code = read_probability(raw.alpha, 0.5, "alpha", &g->strata_ppm, err);
	for (size_t i = 0; i < json_array_size(raw.by) && code == FL_OK; i++) {
		const char *field = json_string_value(json_array_get(raw.by, i));
		bool known = field != NULL &&
			(strcmp(field, "gateway") == 0 ||
				(strncmp(field, "attribute.", 10) == 0 && field[10] != '\0') ||
				(strncmp(field, "label.", 6) == 0 && field[6] != '\0'));

		if (!known || strlen(field) >= GATE_FIELD_MAX || strchr(field, '"') != NULL)
			return fl_fail(err, FL_INVALID,
				"by[%zu] must be \"attribute.NAME\", \"label.NAME\" or \"gateway\"",
				i);
		(void)snprintf(g->by[g->n_by++], GATE_FIELD_MAX, "%s", field);
	}
	return code;
}

static enum fl_code read_causes(const json_t *array, unsigned *causes, struct fl_err *err)
{
	unsigned bits = 0;

	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *word = json_string_value(json_array_get(array, i));
		enum step_cause cause;

		if (word == NULL)
			return fl_fail(err, FL_INVALID, "causes[%zu] must be a string", i);
		if (step_cause_parse(word, &cause, err) != FL_OK)
			return fl_wrap(err, "causes[%zu]", i);
		if (cause == CAUSE_NONE)
			return fl_fail(err, FL_INVALID, "causes[%zu]: \"none\" is no failure", i);
		bits |= 1U << cause;
	}
	*causes = bits;
	return FL_OK;
}

/* Thresholds stand unless a sequential test does in their place. A stage must not have failed and
 * succeeded by the same outcomes: a threshold that is not given follows the other one. */
static enum fl_code settle(const struct raw *raw, struct gate_rules *g, struct fl_err *err)
{
	bool tested = raw->sprt != NULL || raw->bayes != NULL;

	g->kinds = 0;
	g->kinds |= raw->success != NULL || !tested ? 1u << GATE_SUCCESS : 0;
	g->kinds |= raw->error != NULL || !tested ? 1u << GATE_ERROR : 0;
	g->kinds |= raw->stop != NULL ? 1u << GATE_STOP : 0;
	g->kinds |= raw->sprt != NULL ? 1u << GATE_SPRT : 0;
	g->kinds |= raw->bayes != NULL ? 1u << GATE_BAYES : 0;
	g->kinds |= raw->external != NULL ? 1u << GATE_EXTERNAL : 0;
	g->kinds |= raw->manual ? 1u << GATE_MANUAL : 0;
	g->carry = raw->carry;
	if (!gate_has(g, GATE_SUCCESS) || !gate_has(g, GATE_ERROR) ||
		g->success_ppm + g->error_ppm >= STRATEGY_PPM)
		return FL_OK;
	if (raw->error == NULL)
		g->error_ppm = STRATEGY_PPM - g->success_ppm;
	else if (raw->success == NULL)
		g->success_ppm = STRATEGY_PPM - g->error_ppm;
	else
		return fl_fail(err, FL_INVALID,
			"success.percent (%g) and error.percent (%g) contradict each other: "
			"together they must reach 100",
			(double)g->success_ppm / 10000, (double)g->error_ppm / 10000);
	return FL_OK;
}

enum fl_code strategy_gate_read(const json_t *object, struct gate_rules *g, struct fl_err *err)
{
	struct raw raw = { 0 };
	enum fl_code code =
		fl_json_read(object, gate_fields, FL_COUNT(gate_fields), FL_JSON_REJECT, &raw, err);
	const struct {
		const char *name;
		const json_t *json;
		enum fl_code (*read)(const json_t *, struct gate_rules *, struct fl_err *);
	} parts[] = {
		{ "success", raw.success, read_success },
		{ "error", raw.error, read_error },
		{ "sprt", raw.sprt, read_sprt },
		{ "bayes", raw.bayes, read_bayes },
		{ "external", raw.external, read_external },
		{ "strata", raw.strata, read_strata },
	};

	if (code != FL_OK)
		return code;
	for (size_t i = 0; i < FL_COUNT(parts); i++)
		if (parts[i].json != NULL && parts[i].read(parts[i].json, g, err) != FL_OK)
			return fl_wrap(err, "%s", parts[i].name);
	if (raw.stop != NULL)
		code = read_stops(raw.stop, g, err);
	if (code == FL_OK && raw.causes != NULL)
		code = read_causes(raw.causes, &g->causes, err);
	return code == FL_OK ? settle(&raw, g, err) : code;
}

/* ---- writing */

static json_t *threshold_json(int64_t ppm, int64_t minimum)
{
	return json_pack(
		"{s:o,s:I}", "percent", strategy_share_json(ppm), "minimum", (json_int_t)minimum);
}

static json_t *stops_json(const struct gate_rules *g)
{
	json_t *out = json_array();
	int failed = 0;

	for (size_t i = 0; i < g->n_stops; i++)
		failed |= json_array_append_new(out,
			json_pack("{s:s,s:o,s:I}", "type", gate_type_text(g->stops[i].type),
				"threshold", strategy_share_json(g->stops[i].ppm), "min_executed",
				(json_int_t)g->stops[i].minimum));
	if (failed == 0)
		return out;
	json_decref(out);
	return NULL;
}

static json_t *kind_json(const struct gate_rules *g, enum gate_kind kind)
{
	switch (kind) {
	case GATE_SUCCESS:
		return threshold_json(g->success_ppm, g->success_minimum);
	case GATE_ERROR:
		return threshold_json(g->error_ppm, g->error_minimum);
	case GATE_STOP:
		return stops_json(g);
	case GATE_SPRT:
		return json_pack("{s:o,s:o,s:f,s:f}", "p0_percent", strategy_share_json(g->p0_ppm),
			"p1_percent", strategy_share_json(g->p1_ppm), "alpha",
			(double)g->alpha_ppm / STRATEGY_PPM, "beta",
			(double)g->beta_ppm / STRATEGY_PPM);
	case GATE_BAYES:
		return json_pack("{s:f,s:f,s:o,s:f,s:f,s:I}", "prior_a",
			(double)g->prior_a_milli / 1000, "prior_b", (double)g->prior_b_milli / 1000,
			"limit_percent", strategy_share_json(g->limit_ppm), "pass_below",
			(double)g->pass_ppm / STRATEGY_PPM, "fail_above",
			(double)g->fail_ppm / STRATEGY_PPM, "minimum",
			(json_int_t)g->bayes_minimum);
	case GATE_EXTERNAL:
		return json_pack("{s:I}", "within_s", (json_int_t)(g->external_ms / 1000));
	default:
		return json_true();
	}
}

static json_t *strata_json(const struct gate_rules *g)
{
	FL_AUTO_JSON json_t *by = json_array();
	int failed = 0;

	for (int i = 0; i < g->n_by; i++)
		failed |= json_array_append_new(by, json_string(g->by[i]));
	return failed != 0
		? NULL
		: json_pack("{s:O,s:f}", "by", by, "alpha", (double)g->strata_ppm / STRATEGY_PPM);
}

json_t *strategy_gate_json(const struct gate_rules *g)
{
	FL_AUTO_JSON json_t *out = json_object(), *causes = json_array();
	int failed = 0;

	for (int k = 0; k < GATE_KIND_MAX; k++)
		if (gate_has(g, (enum gate_kind)k))
			failed |= json_object_set_new(out, gate_kind_text((enum gate_kind)k),
				kind_json(g, (enum gate_kind)k));
	if (g->n_by > 0)
		failed |= json_object_set_new(out, "strata", strata_json(g));
	if (g->carry)
		failed |= json_object_set_new(out, "carry", json_true());
	for (int i = 0; i < CAUSE_MAX; i++)
		if ((g->causes & 1U << i) != 0)
			failed |= json_array_append_new(
				causes, json_string(step_cause_text((enum step_cause)i)));
	failed |= json_object_set(out, "causes", causes);
	return failed == 0 ? fl_steal(&out) : NULL;
}
