/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of a simulation: what is to be compared, on which fleet. */
#include "server/rollout/compare.h"

#include <stdlib.h>
#include <string.h>

#define DAYS_MAX  365
#define SEED_MAX  9007199254740991LL
#define HOURS_MAX (1000LL * 3600)
#define BYTES_MAX (1LL << 40)

static enum fl_code nomem(struct fl_err *err)
{
	return fl_fail(err, FL_NOMEM, "there is no memory for a simulation");
}

/* ---- strategies */

/* What is compared when nothing is said. */
static const char builtin[] =
	"[{\"name\":\"all at once\",\"strategy\":{\"waves\":[{\"percent\":100}]}},"
	"{\"name\":\"fixed waves\",\"strategy\":{\"waves\":[{\"percent\":1},{\"percent\":10},"
	"{\"percent\":100}]}},"
	"{\"name\":\"exponential\",\"strategy\":{\"waves\":[{\"percent\":1},{\"percent\":2},"
	"{\"percent\":4},{\"percent\":8},{\"percent\":16},{\"percent\":32},{\"percent\":100}]}},"
	"{\"name\":\"sequential test\",\"strategy\":{\"waves\":[{\"percent\":1},{\"percent\":10},"
	"{\"percent\":100}],\"max_in_flight\":100,\"gate\":{\"sprt\":{},\"carry\":true}}},"
	"{\"name\":\"layer by layer\",\"strategy\":{\"order\":\"layer_first\",\"waves\":["
	"{\"percent\":1},{\"percent\":10},{\"percent\":100}]}}]";

struct raw_strategy {
	const char *name;
	json_t *strategy;
};

static const struct fl_json_field strategy_fields[] = {
	FL_FIELD(struct raw_strategy, name, "name", STRING, .required = true, .min = 1, .max = 64),
	FL_FIELD(struct raw_strategy, strategy, "strategy", OBJECT),
};

static enum fl_code read_strategies(const json_t *given, struct compare *c, struct fl_err *err)
{
	FL_AUTO_JSON json_t *standard = given == NULL ? json_loads(builtin, 0, NULL) : NULL;
	const json_t *list = given != NULL ? given : standard;

	if (list == NULL)
		return nomem(err);
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct raw_strategy raw = { 0 };
		struct compare_strategy *s = &c->strategies[i];

		if (fl_json_read(json_array_get(list, i), strategy_fields,
			    FL_COUNT(strategy_fields), FL_JSON_REJECT, &raw, err) != FL_OK)
			return fl_wrap(err, "strategies[%zu]", i);
		c->n_strategies = i + 1;
		s->name = strdup(raw.name);
		if (s->name == NULL)
			return nomem(err);
		if (strategy_read(raw.strategy, c->seed, &s->strategy, err) != FL_OK)
			return fl_wrap(err, "strategies[%zu]", i);
	}
	return FL_OK;
}

/* ---- cases */

struct raw_case {
	const char *name;
	double fail, silent;
	int64_t install_s;
};

static const struct fl_json_field case_fields[] = {
	FL_FIELD(struct raw_case, name, "name", STRING, .required = true, .min = 1, .max = 64),
	FL_FIELD(struct raw_case, fail, "fail_percent", REAL),
	FL_FIELD(struct raw_case, silent, "silent_percent", REAL),
	FL_FIELD(struct raw_case, install_s, "install_s", INT, .min = 1, .max = HOURS_MAX),
};

static enum fl_code read_case(const json_t *json, struct compare_case *k, struct fl_err *err)
{
	struct raw_case raw = { .install_s = 120 };
	enum fl_code code =
		fl_json_read(json, case_fields, FL_COUNT(case_fields), FL_JSON_REJECT, &raw, err);

	if (code == FL_OK)
		code = strategy_share_read(raw.fail, true, "fail_percent", &k->fail_ppm, err);
	if (code == FL_OK)
		code = strategy_share_read(raw.silent, true, "silent_percent", &k->silent_ppm, err);
	if (code == FL_OK && k->fail_ppm + k->silent_ppm > STRATEGY_PPM)
		code = fl_fail(err, FL_INVALID, "more than 100 %% fail");
	k->install_ms = raw.install_s * 1000;
	if (code == FL_OK && (k->name = strdup(raw.name)) == NULL)
		code = nomem(err);
	return code;
}

static enum fl_code read_cases(const json_t *given, struct compare *c, struct fl_err *err)
{
	FL_AUTO_JSON json_t *standard = given != NULL
		? NULL
		: json_pack("[{s:s,s:f},{s:s,s:f},{s:s,s:f}]", "name", "good: 0.5 % fail",
			  "fail_percent", 0.5, "name", "bad: 10 % fail", "fail_percent", 10.0,
			  "name", "bad: 10 % are silent", "silent_percent", 10.0);
	const json_t *list = given != NULL ? given : standard;

	if (list == NULL)
		return nomem(err);
	for (size_t i = 0; i < json_array_size(list); i++) {
		c->n_cases = i + 1;
		if (read_case(json_array_get(list, i), &c->cases[i], err) != FL_OK)
			return fl_wrap(err, "cases[%zu]", i);
	}
	return FL_OK;
}

/* ---- connections */

struct raw_link {
	const char *kind;
	double percent;
	int64_t poll_s, on_s, off_s;
};

static const struct fl_json_field link_fields[] = {
	FL_FIELD(struct raw_link, kind, "kind", STRING, .required = true),
	FL_FIELD(struct raw_link, percent, "percent", REAL),
	FL_FIELD(struct raw_link, poll_s, "poll_s", INT, .min = 1, .max = HOURS_MAX),
	FL_FIELD(struct raw_link, on_s, "on_s", INT, .min = 1, .max = HOURS_MAX),
	FL_FIELD(struct raw_link, off_s, "off_s", INT, .min = 1, .max = HOURS_MAX),
};

static enum fl_code read_link(const json_t *json, struct compare *c, size_t i, struct fl_err *err)
{
	struct raw_link raw = {
		.percent = 100, .poll_s = c->links[0].poll_ms / 1000, .on_s = 3600, .off_s = 3600
	};
	struct simulate_link *l = &c->links[i];
	enum fl_code code =
		fl_json_read(json, link_fields, FL_COUNT(link_fields), FL_JSON_REJECT, &raw, err);

	if (code == FL_OK)
		code = strategy_share_read(raw.percent, false, "percent", &c->link_ppm[i], err);
	if (code != FL_OK)
		return code;
	if (strcmp(raw.kind, "always") == 0)
		l->kind = SIMULATE_ALWAYS;
	else if (strcmp(raw.kind, "duty") == 0)
		l->kind = SIMULATE_DUTY;
	else if (strcmp(raw.kind, "random") == 0)
		l->kind = SIMULATE_RANDOM;
	else
		return fl_fail(err, FL_INVALID,
			"kind must be \"always\", \"duty\" or \"random\", not \"%.32s\"", raw.kind);
	l->poll_ms = raw.poll_s * 1000;
	l->on_ms = raw.on_s * 1000;
	l->off_ms = raw.off_s * 1000;
	return FL_OK;
}

static enum fl_code read_links(
	const json_t *given, int64_t poll_ms, struct compare *c, struct fl_err *err)
{
	int64_t all = 0;

	c->links[0] = (struct simulate_link){ .kind = SIMULATE_ALWAYS,
		.poll_ms = poll_ms < 1000 ? 1000 : poll_ms };
	c->link_ppm[0] = STRATEGY_PPM;
	c->n_links = given == NULL ? 1 : json_array_size(given);
	for (size_t i = 0; i < json_array_size(given); i++)
		if (read_link(json_array_get(given, i), c, i, err) != FL_OK)
			return fl_wrap(err, "links[%zu]", i);
	for (size_t i = 0; i < c->n_links; i++)
		all += c->link_ppm[i];
	return all == STRATEGY_PPM
		? FL_OK
		: fl_fail(err, FL_INVALID, "links: their percents add up to %g, not 100",
			  (double)all / 10000);
}

/* ---- the fleet */

/* Spread the connections over the devices: by a hash, so that no wave has its own. */
static enum fl_code spread_links(struct compare *c, struct fl_err *err)
{
	c->link = calloc(c->devices + 1, sizeof(*c->link));
	if (c->link == NULL)
		return nomem(err);
	for (uint32_t d = 0; d < c->devices; d++) {
		uint64_t h = (d + c->seed * 7919) * 0x9e3779b97f4a7c15u;
		int64_t lot = (int64_t)((h >> 32) % STRATEGY_PPM);

		while (lot >= c->link_ppm[c->link[d]])
			lot -= c->link_ppm[c->link[d]++];
	}
	return FL_OK;
}

/* Cut a described fleet: the waves take their counts or shares, the last takes the rest. */
static enum fl_code cut(struct compare *c, struct compare_strategy *s, struct fl_err *err)
{
	int64_t next = 0, n = c->devices;

	s->wave = calloc(c->devices + 1, sizeof(*s->wave));
	if (s->wave == NULL)
		return nomem(err);
	for (size_t i = 0; i < s->strategy.n_waves && next < n; i++) {
		const struct strategy_wave *w = &s->strategy.waves[i];
		int64_t size = w->kind == WAVE_COUNT
			? w->count
			: (n * w->ppm + STRATEGY_PPM - 1) / STRATEGY_PPM;

		if (w->kind == WAVE_SELECTOR)
			return fl_fail(err, FL_INVALID,
				"a described fleet has no devices that a selector could match");
		if (i + 1 == s->strategy.n_waves || size > n - next)
			size = n - next;
		for (int64_t k = 0; k < size; k++)
			s->wave[next++] = (uint16_t)s->waves;
		s->waves++;
	}
	return FL_OK;
}

static enum fl_code check_size(struct compare *c, int64_t devices, int layers, struct fl_err *err)
{
	if (devices > COMPARE_DEVICES_MAX || layers > COMPARE_LAYERS_MAX ||
		devices * layers > 5LL * COMPARE_DEVICES_MAX)
		return fl_fail(err, FL_REFUSED,
			"at most %d devices and %d layers can be simulated (%d layers with all "
			"devices)",
			COMPARE_DEVICES_MAX, COMPARE_LAYERS_MAX, 5);
	c->devices = (uint32_t)devices;
	c->layers = layers;
	return FL_OK;
}

enum fl_code compare_fleet(struct compare *c, size_t i, uint16_t *wave, uint32_t devices, int waves,
	int layers, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	FL_BUG_IF(i >= c->n_strategies || c->strategies[i].wave != NULL);
	c->strategies[i].wave = wave;
	c->strategies[i].waves = waves;
	if (i == 0)
		code = check_size(c, devices, layers, err);
	else if (devices != c->devices || layers != c->layers)
		code = fl_fail(err, FL_REFUSED,
			"the strategies plan for different devices: %u and %u", c->devices,
			devices);
	if (code == FL_OK && i == 0)
		code = spread_links(c, err);
	return code;
}

/* ---- the body */

struct raw {
	const char *release, *selector;
	json_t *strategies, *cases, *links;
	int64_t devices, layers, runs, seed, days, bytes;
};

static const struct fl_json_field fields[] = {
	FL_FIELD(struct raw, release, "release", STRING, .min = 1, .max = 256),
	FL_FIELD(struct raw, selector, "selector", STRING, .min = 0, .max = 4096),
	FL_FIELD(struct raw, devices, "devices", INT, .min = 1, .max = COMPARE_DEVICES_MAX),
	FL_FIELD(struct raw, layers, "layers", INT, .min = 1, .max = COMPARE_LAYERS_MAX),
	FL_FIELD(struct raw, bytes, "bytes", INT, .min = 0, .max = BYTES_MAX),
	FL_FIELD(struct raw, strategies, "strategies", ARRAY, .min = 1,
		.max = COMPARE_STRATEGIES_MAX),
	FL_FIELD(struct raw, cases, "cases", ARRAY, .min = 1, .max = COMPARE_CASES_MAX),
	FL_FIELD(struct raw, links, "links", ARRAY, .min = 1, .max = COMPARE_LINKS_MAX),
	FL_FIELD(struct raw, runs, "runs", INT, .min = 1, .max = COMPARE_RUNS_MAX),
	FL_FIELD(struct raw, seed, "seed", INT, .min = 0, .max = SEED_MAX),
	FL_FIELD(struct raw, days, "days", INT, .min = 1, .max = DAYS_MAX),
};

static enum fl_code describe(const struct raw *raw, struct compare *c, struct fl_err *err)
{
	enum fl_code code = check_size(c, raw->devices, (int)raw->layers, err);

	for (size_t i = 0; i < c->n_strategies && code == FL_OK; i++) {
		code = cut(c, &c->strategies[i], err);
		if (code != FL_OK)
			return fl_wrap(err, "strategies[%zu]", i);
	}
	return code == FL_OK ? spread_links(c, err) : code;
}

enum fl_code compare_read(
	const json_t *body, int64_t poll_ms, struct compare *c, struct fl_err *err)
{
	struct raw raw = { .devices = 1000, .layers = 1, .runs = 20, .seed = 1, .days = 30 };
	enum fl_code code = fl_json_read(body, fields, FL_COUNT(fields), FL_JSON_REJECT, &raw, err);

	if (code != FL_OK)
		return code;
	c->runs = raw.runs;
	c->seed = (uint64_t)raw.seed;
	c->until_ms = raw.days * 86400000;
	c->bytes = raw.bytes;
	code = read_strategies(raw.strategies, c, err);
	if (code == FL_OK)
		code = read_cases(raw.cases, c, err);
	if (code == FL_OK)
		code = read_links(raw.links, poll_ms, c, err);
	if (code != FL_OK || raw.release == NULL)
		return code == FL_OK ? describe(&raw, c, err) : code;
	c->release = strdup(raw.release);
	c->selector = strdup(raw.selector == NULL ? "" : raw.selector);
	return c->release == NULL || c->selector == NULL ? nomem(err) : FL_OK;
}
