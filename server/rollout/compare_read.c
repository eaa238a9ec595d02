/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of a simulation: what is to be compared, on which fleet. */
#include "server/rollout/compare_in.h"

#include <stdlib.h>
#include <string.h>

#define DAYS_MAX   365
#define SEED_MAX   9007199254740991LL
#define HOURS_MAX  (1000LL * 3600)
#define BYTES_MAX  (1LL << 40)
#define INSTALL_MS 120000

enum fl_code compare_nomem(struct fl_err *err)
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

/* One of ours by its name, NULL: there is none. Borrowed from the list of them. */
static json_t *builtin_strategy(const json_t *ours, const char *name)
{
	size_t i;
	json_t *one;

	json_array_foreach (ours, i, one)
		if (strcmp(json_string_value(json_object_get(one, "name")), name) == 0)
			return json_object_get(one, "strategy");
	return NULL;
}

/* A strategy that is only named is one of ours, or says nothing but its name. */
static enum fl_code read_strategy(const json_t *json, const json_t *ours, uint64_t seed,
	struct compare_strategy *s, struct fl_err *err)
{
	struct raw_strategy raw = { 0 };
	enum fl_code code = fl_json_read(
		json, strategy_fields, FL_COUNT(strategy_fields), FL_JSON_REJECT, &raw, err);

	if (code != FL_OK)
		return code;
	if (raw.strategy == NULL)
		raw.strategy = builtin_strategy(ours, raw.name);
	s->name = strdup(raw.name);
	return s->name == NULL ? compare_nomem(err)
			       : strategy_read(raw.strategy, seed, &s->strategy, err);
}

static enum fl_code read_strategies(const json_t *given, struct compare *c, struct fl_err *err)
{
	FL_AUTO_JSON json_t *ours = json_loads(builtin, 0, NULL);
	const json_t *list = given != NULL ? given : ours;

	if (ours == NULL)
		return compare_nomem(err);
	for (size_t i = 0; i < json_array_size(list); i++) {
		enum fl_code code = read_strategy(
			json_array_get(list, i), ours, c->seed, &c->strategies[i], err);

		c->n_strategies = i + 1;
		if (code != FL_OK)
			return fl_wrap(err, "strategies[%zu]", i);
	}
	return FL_OK;
}

/* ---- cases */

struct raw_case {
	const char *name;
	double fail, silent, gateways;
	int64_t install_s;
};

static const struct fl_json_field case_fields[] = {
	FL_FIELD(struct raw_case, name, "name", STRING, .required = true, .min = 1, .max = 64),
	FL_FIELD(struct raw_case, fail, "fail_percent", REAL),
	FL_FIELD(struct raw_case, silent, "silent_percent", REAL),
	FL_FIELD(struct raw_case, gateways, "gateways_silent_percent", REAL),
	FL_FIELD(struct raw_case, install_s, "install_s", INT, .min = 1, .max = HOURS_MAX),
};

static enum fl_code read_case(const json_t *json, struct compare_case *k, struct fl_err *err)
{
	struct raw_case raw = { 0 };
	enum fl_code code =
		fl_json_read(json, case_fields, FL_COUNT(case_fields), FL_JSON_REJECT, &raw, err);

	if (code == FL_OK)
		code = strategy_share_read(raw.fail, true, "fail_percent", &k->fail_ppm, err);
	if (code == FL_OK)
		code = strategy_share_read(raw.silent, true, "silent_percent", &k->silent_ppm, err);
	if (code == FL_OK)
		code = strategy_share_read(
			raw.gateways, true, "gateways_silent_percent", &k->gateway_ppm, err);
	if (code == FL_OK && k->fail_ppm + k->silent_ppm > STRATEGY_PPM)
		code = fl_fail(err, FL_INVALID, "more than 100 %% fail");
	k->install_ms = raw.install_s * 1000;
	if (code == FL_OK && (k->name = strdup(raw.name)) == NULL)
		code = compare_nomem(err);
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
		return compare_nomem(err);
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

/* ---- versions */

struct raw_version {
	const char *module, *version;
	int64_t layer, install_s;
	double fail, silent;
};

static const struct fl_json_field version_fields[] = {
	FL_FIELD(struct raw_version, module, "module", STRING, .min = 1, .max = 256),
	FL_FIELD(struct raw_version, version, "version", STRING, .min = 1, .max = 256),
	FL_FIELD(struct raw_version, layer, "layer", INT, .min = 0, .max = COMPARE_LAYERS_MAX - 1),
	FL_FIELD(struct raw_version, fail, "fail_percent", REAL),
	FL_FIELD(struct raw_version, silent, "silent_percent", REAL),
	FL_FIELD(struct raw_version, install_s, "install_s", INT, .min = 1, .max = HOURS_MAX),
};

static enum fl_code read_version(const json_t *json, struct compare_version *v, struct fl_err *err)
{
	struct raw_version raw = { .layer = -1 };
	enum fl_code code = fl_json_read(
		json, version_fields, FL_COUNT(version_fields), FL_JSON_REJECT, &raw, err);

	if (code == FL_OK &&
		((raw.module == NULL) != (raw.version == NULL) ||
			(raw.module == NULL) == (raw.layer < 0)))
		code = fl_fail(err, FL_INVALID, "name a module and its version, or a layer");
	if (code == FL_OK)
		code = strategy_share_read(raw.fail, true, "fail_percent", &v->fail_ppm, err);
	if (code == FL_OK)
		code = strategy_share_read(raw.silent, true, "silent_percent", &v->silent_ppm, err);
	if (code != FL_OK)
		return code;
	v->layer = (int)raw.layer;
	v->install_ms = raw.install_s * 1000;
	v->module = raw.module == NULL ? NULL : strdup(raw.module);
	v->version = raw.version == NULL ? NULL : strdup(raw.version);
	return (v->module == NULL) == (raw.module == NULL) &&
			(v->version == NULL) == (raw.version == NULL)
		? FL_OK
		: compare_nomem(err);
}

static enum fl_code read_versions(const json_t *given, struct compare *c, struct fl_err *err)
{
	for (size_t i = 0; i < json_array_size(given); i++) {
		c->n_versions = i + 1;
		if (read_version(json_array_get(given, i), &c->versions[i], err) != FL_OK)
			return fl_wrap(err, "versions[%zu]", i);
	}
	return FL_OK;
}

/* ---- zones */

static enum fl_code read_zones(const json_t *given, struct compare *c, struct fl_err *err)
{
	for (size_t i = 0; i < json_array_size(given); i++) {
		const char *name = json_string_value(json_array_get(given, i));

		if (name == NULL)
			return fl_fail(err, FL_INVALID, "zones[%zu] is the name of no zone", i);
		c->zones[i] = strdup(name);
		if (c->zones[i] == NULL)
			return compare_nomem(err);
		c->n_zones = i + 1;
	}
	return FL_OK;
}

/* ---- the body */

struct raw {
	const char *release, *selector;
	json_t *strategies, *cases, *versions, *links, *zones;
	int64_t devices, layers, behind, sites, runs, seed, days, bytes;
	double delta;
};

static const struct fl_json_field fields[] = {
	FL_FIELD(struct raw, release, "release", STRING, .min = 1, .max = 256),
	FL_FIELD(struct raw, selector, "selector", STRING, .min = 0, .max = 4096),
	FL_FIELD(struct raw, devices, "devices", INT, .min = 1, .max = COMPARE_DEVICES_MAX),
	FL_FIELD(struct raw, layers, "layers", INT, .min = 1, .max = COMPARE_LAYERS_MAX),
	FL_FIELD(struct raw, bytes, "bytes", INT, .min = 0, .max = BYTES_MAX),
	FL_FIELD(struct raw, delta, "delta_percent", REAL),
	FL_FIELD(struct raw, behind, "behind", INT, .min = 0, .max = COMPARE_DEVICES_MAX),
	FL_FIELD(struct raw, sites, "sites", INT, .min = 0, .max = COMPARE_DEVICES_MAX),
	FL_FIELD(struct raw, zones, "zones", ARRAY, .min = 0, .max = COMPARE_ZONES_MAX),
	FL_FIELD(struct raw, strategies, "strategies", ARRAY, .min = 1,
		.max = COMPARE_STRATEGIES_MAX),
	FL_FIELD(struct raw, cases, "cases", ARRAY, .min = 1, .max = COMPARE_CASES_MAX),
	FL_FIELD(struct raw, versions, "versions", ARRAY, .min = 1, .max = COMPARE_VERSIONS_MAX),
	FL_FIELD(struct raw, links, "links", ARRAY, .min = 1, .max = COMPARE_LINKS_MAX),
	FL_FIELD(struct raw, runs, "runs", INT, .min = 1, .max = COMPARE_RUNS_MAX),
	FL_FIELD(struct raw, seed, "seed", INT, .min = 0, .max = SEED_MAX),
	FL_FIELD(struct raw, days, "days", INT, .min = 1, .max = DAYS_MAX),
};

enum fl_code compare_read(
	const json_t *body, int64_t poll_ms, struct compare *c, struct fl_err *err)
{
	struct raw raw = {
		.devices = 1000, .layers = 1, .runs = 20, .seed = 1, .days = 30, .delta = 100
	};
	enum fl_code code = fl_json_read(body, fields, FL_COUNT(fields), FL_JSON_REJECT, &raw, err);

	if (code != FL_OK)
		return code;
	c->runs = raw.runs;
	c->seed = (uint64_t)raw.seed;
	c->until_ms = raw.days * 86400000;
	c->bytes = raw.bytes;
	c->behind = raw.behind;
	c->sites = raw.sites;
	c->install_ms = INSTALL_MS;
	c->observe = raw.links == NULL;
	c->poll_ms = poll_ms;
	code = strategy_share_read(raw.delta, true, "delta_percent", &c->delta_ppm, err);
	if (code == FL_OK)
		code = read_zones(raw.zones, c, err);
	if (code == FL_OK)
		code = read_strategies(raw.strategies, c, err);
	if (code == FL_OK)
		code = read_cases(raw.cases, c, err);
	if (code == FL_OK)
		code = read_versions(raw.versions, c, err);
	if (code == FL_OK)
		code = read_links(raw.links, poll_ms, c, err);
	if (code != FL_OK || raw.release == NULL)
		return code == FL_OK ? compare_described(c, raw.devices, raw.layers, err) : code;
	c->release = strdup(raw.release);
	c->selector = strdup(raw.selector == NULL ? "" : raw.selector);
	return c->release == NULL || c->selector == NULL ? compare_nomem(err) : FL_OK;
}
