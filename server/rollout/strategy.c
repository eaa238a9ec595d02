/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/strategy.h"

#include <math.h> /* ceil */
#include <stdlib.h>
#include <string.h>

#define TEXT_(code, text) text,
static const char *const order_texts[] = { STRATEGY_ORDERS(TEXT_) };
static const char *const on_failure_texts[] = { STRATEGY_ON_FAILURES(TEXT_) };
static const char *const conflicts_texts[] = { STRATEGY_CONFLICTS(TEXT_) };
static const char *const joiners_texts[] = { STRATEGY_JOINERS(TEXT_) };
#undef TEXT_

#define SEED_MAX    9007199254740991LL /* 2^53 - 1 */
#define SECONDS_MAX (10LL * 366 * 24 * 3600)
#define COUNT_MAX   1000000000LL
#define FLEET_MAX   100000000LL /* waves by count are generated until they hold so many devices */
#define FACTOR_MIN  1.1         /* of generated waves: they must grow */
#define FACTOR_MAX  100.0

const char *strategy_order_text(enum strategy_order o)
{
	FL_BUG_IF((unsigned)o >= STRATEGY_ORDER_MAX);
	return order_texts[o];
}

const char *strategy_on_failure_text(enum strategy_on_failure f)
{
	FL_BUG_IF((unsigned)f >= STRATEGY_ON_FAILURE_MAX);
	return on_failure_texts[f];
}

const char *strategy_conflicts_text(enum strategy_conflicts c)
{
	FL_BUG_IF((unsigned)c >= STRATEGY_CONFLICTS_MAX);
	return conflicts_texts[c];
}

const char *strategy_joiners_text(enum strategy_joiners j)
{
	FL_BUG_IF((unsigned)j >= STRATEGY_JOINERS_MAX);
	return joiners_texts[j];
}

/* ---- reading */

/* The JSON as it stands; absent members keep the defaults put there before. */
struct raw {
	json_t *waves, *strata, *gate, *approvers, *pace, *retries, *rollback, *windows;
	const char *order, *on_failure, *conflicts, *early, *joiners;
	int64_t seed, soak_s, reach_s, install_s, probation_s, max_in_flight, approvals, priority;
	int64_t max_joiners;
	bool supersede;
	double max_drift;
};

static const struct fl_json_field strategy_fields[] = {
	FL_FIELD(struct raw, waves, "waves", ARRAY, .min = 1, .max = STRATEGY_WAVES_MAX),
	FL_FIELD(struct raw, order, "order", STRING),
	FL_FIELD(struct raw, early, "early", STRING, .min = 1, .max = 4096),
	FL_FIELD(struct raw, strata, "strata", ARRAY, .min = 0, .max = STRATEGY_STRATA_MAX),
	FL_FIELD(struct raw, seed, "seed", INT, .min = 0, .max = SEED_MAX),
	FL_FIELD(struct raw, gate, "gate", OBJECT),
	FL_FIELD(struct raw, soak_s, "soak_s", INT, .min = 0, .max = SECONDS_MAX),
	FL_FIELD(struct raw, reach_s, "reach_s", INT, .min = 1, .max = SECONDS_MAX),
	FL_FIELD(struct raw, install_s, "install_s", INT, .min = 1, .max = SECONDS_MAX),
	FL_FIELD(struct raw, probation_s, "probation_s", INT, .min = 0, .max = SECONDS_MAX),
	FL_FIELD(struct raw, on_failure, "on_failure", STRING),
	FL_FIELD(struct raw, conflicts, "conflicts", STRING),
	FL_FIELD(struct raw, joiners, "joiners", STRING),
	FL_FIELD(struct raw, max_joiners, "max_joiners", INT, .min = 0, .max = COUNT_MAX),
	FL_FIELD(struct raw, max_drift, "max_drift_percent", REAL),
	FL_FIELD(struct raw, max_in_flight, "max_in_flight", INT, .min = 0, .max = COUNT_MAX),
	FL_FIELD(struct raw, pace, "pace", OBJECT),
	FL_FIELD(struct raw, retries, "retries", ARRAY, .min = 0, .max = PACE_RETRIES_MAX),
	FL_FIELD(struct raw, rollback, "rollback", OBJECT),
	FL_FIELD(struct raw, windows, "windows", OBJECT),
	FL_FIELD(struct raw, priority, "priority", INT, .min = 0, .max = STRATEGY_PRIORITY_MAX),
	FL_FIELD(struct raw, supersede, "supersede", BOOL),
	FL_FIELD(struct raw, approvals, "approvals", INT, .min = 0, .max = STRATEGY_APPROVERS_MAX),
	FL_FIELD(
		struct raw, approvers, "approvers", ARRAY, .min = 0, .max = STRATEGY_APPROVERS_MAX),
};

struct raw_wave {
	int64_t count;
	double percent;
	const char *selector, *name;
};

static const struct fl_json_field wave_fields[] = {
	FL_FIELD(struct raw_wave, count, "count", INT, .min = 1, .max = COUNT_MAX),
	FL_FIELD(struct raw_wave, percent, "percent", REAL),
	FL_FIELD(struct raw_wave, selector, "selector", STRING, .min = 1, .max = 4096),
	FL_FIELD(struct raw_wave, name, "name", STRING, .min = 1, .max = 64),
};

enum fl_code strategy_share_read(
	double percent, bool zero, const char *field, int64_t *ppm, struct fl_err *err)
{
	int64_t v = percent >= 0 && percent <= 100 ? (int64_t)(percent * 10000 + 0.5) : -1;

	if (v < (zero ? 0 : 1))
		return fl_fail(err, FL_INVALID, "%s must be at least %s and at most 100, not %g",
			field, zero ? "0" : "0.0001", percent);
	*ppm = v;
	return FL_OK;
}

static enum fl_code read_word(
	const char *word, const char *const *texts, int n, int *out, struct fl_err *err)
{
	char all[128] = "";

	if (word == NULL)
		return FL_OK;
	for (int i = 0; i < n; i++) {
		size_t used = strlen(all);

		if (strcmp(word, texts[i]) == 0) {
			*out = i;
			return FL_OK;
		}
		(void)snprintf(
			all + used, sizeof(all) - used, "%s\"%s\"", i > 0 ? ", " : "", texts[i]);
	}
	return fl_fail(err, FL_INVALID, "must be one of %s, not \"%.32s\"", all, word);
}

static enum fl_code copy_text(const char *from, char **to, struct fl_err *err)
{
	if (from == NULL)
		return FL_OK;
	*to = strdup(from);
	return *to != NULL ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for the strategy");
}

static enum fl_code read_wave(const json_t *object, struct strategy_wave *w, struct fl_err *err)
{
	struct raw_wave raw = { 0 };
	enum fl_code code =
		fl_json_read(object, wave_fields, FL_COUNT(wave_fields), FL_JSON_REJECT, &raw, err);
	bool percent = json_is_number(json_object_get(object, "percent"));

	if (code != FL_OK)
		return code;
	if ((raw.count > 0) + percent + (raw.selector != NULL) != 1)
		return fl_fail(err, FL_INVALID, "needs exactly one of count, percent and selector");
	w->kind = raw.count > 0 ? WAVE_COUNT : percent ? WAVE_PERCENT : WAVE_SELECTOR;
	w->count = raw.count;
	if (percent)
		code = strategy_share_read(raw.percent, false, "percent", &w->ppm, err);
	if (code == FL_OK)
		code = copy_text(raw.selector, &w->selector, err);
	if (code == FL_OK)
		code = copy_text(raw.name, &w->name, err);
	return code;
}

/* Devices or parts per million, whichever the wave counts. */
static int64_t *wave_amount(struct strategy_wave *w)
{
	return w->kind == WAVE_COUNT ? &w->count : &w->ppm;
}

/* Each wave `factor` times the one before, until everything is in. */
static enum fl_code generate_waves(struct strategy *s, double factor, struct fl_err *err)
{
	enum strategy_wave_kind kind =
		s->n_waves == 0 ? WAVE_SELECTOR : s->waves[s->n_waves - 1].kind;
	int64_t all = kind == WAVE_COUNT ? FLEET_MAX : STRATEGY_PPM, given = 0, last;

	if (kind == WAVE_SELECTOR)
		return fl_fail(err, FL_INVALID,
			"a factor needs a wave by count or percent before it, which it multiplies");
	if (!(factor >= FACTOR_MIN && factor <= FACTOR_MAX))
		return fl_fail(err, FL_INVALID, "factor must be from %g to %g, not %g", FACTOR_MIN,
			FACTOR_MAX, factor);
	for (size_t i = 0; i < s->n_waves; i++)
		given += s->waves[i].kind == kind ? *wave_amount(&s->waves[i]) : 0;
	last = *wave_amount(&s->waves[s->n_waves - 1]);
	while (given < all) {
		struct strategy_wave w = { .kind = kind };
		/* Rounded up: 2 devices times 1.1 are 3. */
		double next = ceil((double)last * factor);

		last = next < (double)(all - given) ? (int64_t)next : all - given;
		*wave_amount(&w) = last;
		given += last;
		if (s->n_waves == STRATEGY_WAVES_MAX)
			return fl_fail(err, FL_INVALID, "factor %g makes more than %d waves",
				factor, STRATEGY_WAVES_MAX);
		s->waves[s->n_waves++] = w;
	}
	return FL_OK;
}

static enum fl_code read_waves(const json_t *array, struct strategy *s, struct fl_err *err)
{
	size_t n = json_array_size(array);
	const json_t *factor = json_object_get(json_array_get(array, n - 1), "factor");

	s->waves = calloc(factor != NULL ? STRATEGY_WAVES_MAX : n, sizeof(*s->waves));
	if (s->waves == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for %zu waves", n);
	for (size_t i = 0; i < n - (factor != NULL); i++) {
		s->n_waves = i + 1;
		if (read_wave(json_array_get(array, i), &s->waves[i], err) != FL_OK)
			return fl_wrap(err, "waves[%zu]", i);
	}
	if (factor == NULL)
		return FL_OK;
	if (json_object_size(json_array_get(array, n - 1)) != 1 || !json_is_number(factor))
		return fl_fail(
			err, FL_INVALID, "waves[%zu]: factor must be a number, and alone", n - 1);
	if (generate_waves(s, json_number_value(factor), err) != FL_OK)
		return fl_wrap(err, "waves[%zu]", n - 1);
	return FL_OK;
}

/* One percent, ten percent, the rest. */
static enum fl_code default_waves(struct strategy *s, struct fl_err *err)
{
	static const int64_t shares[] = { 10000, 100000, 1000000 };

	s->waves = calloc(FL_COUNT(shares), sizeof(*s->waves));
	if (s->waves == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the waves");
	s->n_waves = FL_COUNT(shares);
	for (size_t i = 0; i < FL_COUNT(shares); i++)
		s->waves[i] = (struct strategy_wave){ .kind = WAVE_PERCENT, .ppm = shares[i] };
	return FL_OK;
}

static enum fl_code read_strata(const json_t *array, struct strategy *s, struct fl_err *err)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *name = json_string_value(json_array_get(array, i));
		enum fl_code code;

		if (name == NULL || strlen(name) > 128 ||
			(strncmp(name, "attribute.", 10) != 0 && strncmp(name, "label.", 6) != 0) ||
			strchr(name, '.')[1] == '\0')
			return fl_fail(err, FL_INVALID,
				"strata[%zu] must be \"attribute.NAME\" or \"label.NAME\"", i);
		code = copy_text(name, &s->strata[s->n_strata], err);
		if (code != FL_OK)
			return code;
		s->n_strata++;
	}
	return FL_OK;
}

/* Names of tokens. Those that do not exist are no error: they may come before the plan is read. */
static enum fl_code read_approvers(const struct raw *raw, struct strategy *s, struct fl_err *err)
{
	size_t n = json_array_size(raw->approvers);

	s->approvals = raw->approvals;
	for (size_t i = 0; i < n; i++) {
		const char *name = json_string_value(json_array_get(raw->approvers, i));
		enum fl_code code;

		if (name == NULL || name[0] == '\0' || strlen(name) > 128)
			return fl_fail(
				err, FL_INVALID, "approvers[%zu] must be the name of a token", i);
		if (strategy_has_approver(s, name) && s->n_approvers > 0)
			return fl_fail(err, FL_INVALID, "approvers[%zu]: \"%.128s\" is named twice",
				i, name);
		code = copy_text(name, &s->approvers[s->n_approvers], err);
		if (code != FL_OK)
			return code;
		s->n_approvers++;
	}
	if (n > 0 && s->approvals > (int64_t)n)
		return fl_fail(err, FL_INVALID,
			"approvals: %lld of the %zu approvers named can never agree",
			(long long)s->approvals, n);
	if (n > 0 && s->approvals == 0)
		return fl_fail(
			err, FL_INVALID, "approvals: say how many of the approvers must agree");
	return FL_OK;
}

bool strategy_has_approver(const struct strategy *s, const char *name)
{
	for (size_t i = 0; i < s->n_approvers; i++) {
		if (strcmp(s->approvers[i], name) == 0)
			return true;
	}
	return s->n_approvers == 0;
}

static enum fl_code read_words(const struct raw *raw, struct strategy *s, struct fl_err *err)
{
	int order = (int)s->order, on_failure = (int)s->on_failure, conflicts = (int)s->conflicts;
	int joiners = (int)s->joiners;

	if (read_word(raw->order, order_texts, STRATEGY_ORDER_MAX, &order, err) != FL_OK)
		return fl_wrap(err, "order");
	if (read_word(raw->on_failure, on_failure_texts, STRATEGY_ON_FAILURE_MAX, &on_failure,
		    err) != FL_OK)
		return fl_wrap(err, "on_failure");
	if (read_word(raw->conflicts, conflicts_texts, STRATEGY_CONFLICTS_MAX, &conflicts, err) !=
		FL_OK)
		return fl_wrap(err, "conflicts");
	if (read_word(raw->joiners, joiners_texts, STRATEGY_JOINERS_MAX, &joiners, err) != FL_OK)
		return fl_wrap(err, "joiners");
	if (joiners == JOINERS_LAST_WAVE && s->waves[s->n_waves - 1].kind == WAVE_SELECTOR)
		return fl_fail(err, FL_INVALID,
			"joiners: the last wave must be one that takes the rest, as "
			"{\"percent\":100}");
	s->joiners = (enum strategy_joiners)joiners;
	s->order = (enum strategy_order)order;
	s->on_failure = (enum strategy_on_failure)on_failure;
	s->conflicts = (enum strategy_conflicts)conflicts;
	return FL_OK;
}

static enum fl_code read_raw(
	const json_t *object, struct raw *raw, struct strategy *s, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	if (object != NULL)
		code = fl_json_read(object, strategy_fields, FL_COUNT(strategy_fields),
			FL_JSON_REJECT, raw, err);
	if (code == FL_OK)
		code = raw->waves != NULL ? read_waves(raw->waves, s, err) : default_waves(s, err);
	if (code == FL_OK)
		code = copy_text(raw->early, &s->early, err);
	if (code == FL_OK)
		code = read_strata(raw->strata, s, err);
	if (code == FL_OK)
		code = read_approvers(raw, s, err);
	if (code == FL_OK && raw->gate != NULL) {
		code = strategy_gate_read(raw->gate, &s->gate, err);
		if (code != FL_OK)
			(void)fl_wrap(err, "gate");
	}
	if (code == FL_OK)
		code = read_words(raw, s, err);
	if (code == FL_OK)
		code = strategy_share_read(
			raw->max_drift, true, "max_drift_percent", &s->max_drift_ppm, err);
	if (code == FL_OK)
		code = pace_read(&(struct pace_members){ raw->pace, raw->retries, raw->rollback },
			&s->pace, err);
	if (code == FL_OK && raw->windows != NULL &&
		opening_read(raw->windows, &s->windows, err) != FL_OK)
		code = fl_wrap(err, "windows");
	return code;
}

enum fl_code strategy_read(
	const json_t *object, uint64_t seed, struct strategy *out, struct fl_err *err)
{
	struct raw raw = { .seed = (int64_t)(seed & SEED_MAX),
		.reach_s = 604800,
		.install_s = 3600,
		.probation_s = 30,
		.max_drift = 2 };
	struct strategy s = { .gate = strategy_gate_default() };

	if (read_raw(object, &raw, &s, err) != FL_OK) {
		enum fl_code code = fl_wrap(err, "strategy");

		strategy_fini(&s);
		return code;
	}
	if (raw.install_s <= raw.probation_s) {
		strategy_fini(&s);
		return fl_fail(err, FL_INVALID,
			"strategy: install_s (%lld) must be more than probation_s (%lld), before "
			"which no device confirms",
			(long long)raw.install_s, (long long)raw.probation_s);
	}
	s.seed = (uint64_t)raw.seed;
	s.soak_ms = raw.soak_s * 1000;
	s.reach_ms = raw.reach_s * 1000;
	s.install_ms = raw.install_s * 1000;
	s.probation_ms = raw.probation_s * 1000;
	s.max_in_flight = raw.max_in_flight;
	s.priority = raw.priority;
	s.supersede = raw.supersede;
	s.max_joiners = raw.max_joiners;
	*out = s;
	return FL_OK;
}

void strategy_fini(struct strategy *s)
{
	for (size_t i = 0; i < s->n_waves; i++) {
		free(s->waves[i].selector);
		free(s->waves[i].name);
	}
	free(s->waves);
	free(s->early);
	opening_fini(&s->windows);
	for (size_t i = 0; i < s->n_strata; i++)
		free(s->strata[i]);
	for (size_t i = 0; i < s->n_approvers; i++)
		free(s->approvers[i]);
	*s = (struct strategy){ 0 };
}

/* ---- writing */

json_t *strategy_share_json(int64_t ppm)
{
	return ppm % 10000 == 0 ? json_integer(ppm / 10000) : json_real((double)ppm / 10000);
}

static json_t *wave_json(const struct strategy_wave *w)
{
	json_t *out = json_object();
	int failed = 0;

	if (w->kind == WAVE_COUNT)
		failed |= json_object_set_new(out, "count", json_integer(w->count));
	else if (w->kind == WAVE_PERCENT)
		failed |= json_object_set_new(out, "percent", strategy_share_json(w->ppm));
	else
		failed |= json_object_set_new(out, "selector", json_string(w->selector));
	if (w->name != NULL)
		failed |= json_object_set_new(out, "name", json_string(w->name));
	if (failed == 0)
		return out;
	json_decref(out);
	return NULL;
}

static json_t *waves_json(const struct strategy *s)
{
	json_t *out = json_array();
	int failed = 0;

	for (size_t i = 0; i < s->n_waves; i++)
		failed |= json_array_append_new(out, wave_json(&s->waves[i]));
	if (failed == 0)
		return out;
	json_decref(out);
	return NULL;
}

static json_t *texts_json(char *const *texts, size_t n)
{
	json_t *out = json_array();
	int failed = 0;

	for (size_t i = 0; i < n; i++)
		failed |= json_array_append_new(out, json_string(texts[i]));
	if (failed == 0)
		return out;
	json_decref(out);
	return NULL;
}

json_t *strategy_json(const struct strategy *s)
{
	return json_pack("{s:o,s:s,s:o,s:I,s:o,s:I,s:I,s:I,s:I,s:s,s:s,s:o,s:I,s:o,s:o,s:o,s:I,s:o,"
			 "s:s,s:I,s:I,s:b,s:s*,s:o*}",
		"waves", waves_json(s), "order", strategy_order_text(s->order), "strata",
		texts_json(s->strata, s->n_strata), "seed", (json_int_t)s->seed, "gate",
		strategy_gate_json(&s->gate), "soak_s", (json_int_t)(s->soak_ms / 1000), "reach_s",
		(json_int_t)(s->reach_ms / 1000), "install_s", (json_int_t)(s->install_ms / 1000),
		"probation_s", (json_int_t)(s->probation_ms / 1000), "on_failure",
		strategy_on_failure_text(s->on_failure), "conflicts",
		strategy_conflicts_text(s->conflicts), "max_drift_percent",
		strategy_share_json(s->max_drift_ppm), "max_in_flight",
		(json_int_t)s->max_in_flight, "pace", pace_json(&s->pace), "retries",
		pace_retries_json(&s->pace), "rollback", pace_rollback_json(&s->pace), "approvals",
		(json_int_t)s->approvals, "approvers", texts_json(s->approvers, s->n_approvers),
		"joiners", strategy_joiners_text(s->joiners), "max_joiners",
		(json_int_t)s->max_joiners, "priority", (json_int_t)s->priority, "supersede",
		(int)s->supersede, "early", s->early, "windows", opening_json(&s->windows));
}
