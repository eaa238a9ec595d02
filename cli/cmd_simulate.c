/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/simulate_chart.h"
#include "cli/simulate_curve.h"
#include "cli/simulate_plot.h"
#include "cli/text.h"
#include "cli/value.h"
#include "lib/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (64u * 1024)

struct simulate_options {
	const char *release, *selector, *plot;
	struct options_list strategies, cases, versions, links, zones;
	int64_t devices, layers, bytes, delta, behind, sites, runs, seed, days;
};

#define ROW(member, name_, kind, ...)                                            \
	{                                                                        \
		.name = name_, .type = OPTIONS_##kind,                           \
		.offset = offsetof(struct simulate_options, member), __VA_ARGS__ \
	}

static const struct options_row rows[] = {
	ROW(release, "release", TEXT, .argument = "RELEASE",
		.help = "on the real fleet, for this release"),
	ROW(selector, "selector", TEXT, .letter = 's', .argument = "RSQL",
		.help = "of the real fleet only devices that match (all)"),
	ROW(devices, "devices", COUNT, .argument = "N", .help = "on a described fleet (1000)"),
	ROW(layers, "layers", COUNT, .argument = "N", .help = "of so many layers (1)"),
	ROW(bytes, "bytes", COUNT, .argument = "N", .help = "per device and layer (0)"),
	ROW(delta, "delta", COUNT, .argument = "PERCENT",
		.help = "of these that a device gets with a delta (100)"),
	ROW(behind, "behind", COUNT, .argument = "N",
		.help = "devices behind each gateway (0: there are no gateways)"),
	ROW(sites, "sites", COUNT, .argument = "N",
		.help = "places that a label of max_unavailable tells apart (0)"),
	ROW(zones, "zone", LIST, .argument = "ZONE",
		.help = "time zone of some devices, for windows with zone_of; several times"),
	ROW(strategies, "strategy", LIST, .argument = "NAME[=FILE]",
		.help = "compare this strategy (JSON); several times. By name alone: \"all at "
			"once\", \"fixed waves\", \"exponential\", \"sequential test\", "
			"\"layer by layer\" (all five)"),
	ROW(cases, "case", LIST, .argument = "NAME:KEY=VALUE,...",
		.help = "suppose this of the release: fail_percent, silent_percent, "
			"gateways_silent_percent, install_s (a good and two bad ones)"),
	ROW(versions, "suppose", LIST, .argument = "VERSION:KEY=VALUE,...",
		.help = "suppose this of MODULE@VERSION, or of layer N, in every case: "
			"fail_percent, silent_percent, install_s"),
	ROW(links, "link", LIST, .argument = "KIND:KEY=VALUE,...",
		.help = "connection of devices: always, duty or random; percent, poll_s, on_s, "
			"off_s (of the real fleet as observed)"),
	ROW(runs, "runs", COUNT, .argument = "N", .help = "runs of each (20)"),
	ROW(seed, "seed", COUNT, .argument = "N", .help = "repeat the runs of this seed (1)"),
	ROW(days, "days", COUNT, .argument = "N", .help = "virtual days at most (30)"),
	ROW(plot, "plot", TEXT, .argument = "FILE",
		.help = "a picture too: as SVG, with - in the terminal"),
	{ 0 },
};

/* ---- the body */

/* "KEY=VALUE,..." into an object, numbers as numbers. */
static enum fl_code add_members(
	json_t *to, const char *text, const char *option, struct fl_err *err)
{
	FL_AUTOFREE char *copy = strdup(text);
	char *rest = copy, *member;

	while (copy != NULL && (member = strsep(&rest, ",")) != NULL) {
		char *value = strchr(member, '='), *end;
		double n;

		if (value == NULL || value == member)
			return fl_fail(err, FL_INVALID, "--%s: \"%.60s\" is not KEY=VALUE", option,
				member);
		*value++ = '\0';
		n = strtod(value, &end);
		if (end == value || *end != '\0')
			return fl_fail(
				err, FL_INVALID, "--%s: \"%.60s\" is no number", option, value);
		(void)json_object_set_new(to, member,
			strpbrk(value, ".eE") == NULL ? json_integer(strtoll(value, NULL, 10))
						      : json_real(n));
	}
	return copy != NULL ? FL_OK : fl_fail(err, FL_NOMEM, "there is no memory for --%s", option);
}

/* "WORD:KEY=VALUE,..." into objects with WORD as `key`. */
static enum fl_code add_objects(json_t *body, const char *name, const char *key, const char *option,
	const struct options_list *list, struct fl_err *err)
{
	FL_AUTO_JSON json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++) {
		const char *colon = strrchr(list->v[i], ':');
		size_t n = colon == NULL ? strlen(list->v[i]) : (size_t)(colon - list->v[i]);
		json_t *one = json_object();
		enum fl_code code = FL_OK;

		(void)json_array_append_new(array, one);
		if (json_object_set_new(one, key, json_stringn(list->v[i], n)) != 0)
			return fl_fail(err, FL_INVALID, "--%s is not UTF-8", option);
		if (colon != NULL)
			code = add_members(one, colon + 1, option, err);
		if (code != FL_OK)
			return code;
	}
	if (list->n > 0)
		(void)json_object_set(body, name, array);
	return FL_OK;
}

/* "MODULE@VERSION:KEY=VALUE,..." or "N:KEY=VALUE,...". */
static enum fl_code add_version(json_t *array, const char *text, struct fl_err *err)
{
	const char *at = strchr(text, '@'), *colon = strrchr(text, ':');
	json_t *one = json_object();
	char *end;
	int64_t layer = strtoll(text, &end, 10);

	(void)json_array_append_new(array, one);
	if (colon != NULL && at != NULL && at < colon && at > text) {
		(void)json_object_set_new(one, "module", json_stringn(text, (size_t)(at - text)));
		(void)json_object_set_new(
			one, "version", json_stringn(at + 1, (size_t)(colon - at - 1)));
	} else if (colon != NULL && end == colon && colon > text) {
		(void)json_object_set_new(one, "layer", json_integer(layer));
	} else {
		return fl_fail(err, FL_INVALID,
			"--suppose takes MODULE@VERSION:KEY=VALUE,... or LAYER:KEY=VALUE,..., not "
			"\"%.60s\"",
			text);
	}
	return add_members(one, colon + 1, "suppose", err);
}

static enum fl_code add_versions(json_t *body, const struct options_list *list, struct fl_err *err)
{
	FL_AUTO_JSON json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++) {
		enum fl_code code = add_version(array, list->v[i], err);

		if (code != FL_OK)
			return code;
	}
	if (list->n > 0)
		(void)json_object_set(body, "versions", array);
	return FL_OK;
}

/* One that the server knows. */
static enum fl_code add_known(json_t *array, const char *name, struct fl_err *err)
{
	static const char *const known[] = { "all at once", "fixed waves", "exponential",
		"sequential test", "layer by layer" };

	for (size_t i = 0; i < FL_COUNT(known); i++)
		if (strcmp(known[i], name) == 0)
			return json_array_append_new(array, json_pack("{s:s}", "name", name)) == 0
				? FL_OK
				: fl_fail(err, FL_NOMEM, "there is no memory for --strategy");
	return fl_fail(err, FL_INVALID,
		"--strategy: there is no \"%.60s\"; name a file as NAME=FILE, or one of: all at "
		"once, "
		"fixed waves, exponential, sequential test, layer by layer",
		name);
}

static enum fl_code add_strategy(json_t *array, const char *text, struct fl_err *err)
{
	const char *equals = strchr(text, '=');
	FL_AUTO_BUF struct fl_buf b = { 0 };
	FL_AUTO_JSON json_t *strategy = NULL;
	enum fl_code code;

	if (equals == NULL)
		return add_known(array, text, err);
	if (equals == text)
		return fl_fail(err, FL_INVALID, "--strategy takes NAME=FILE, not \"%.60s\"", text);
	code = fl_file_get(equals + 1, FILE_MAX, &b, err);
	if (code == FL_OK)
		code = fl_json_parse((struct fl_bytes){ b.p, b.n }, &strategy, err);
	if (code != FL_OK)
		return fl_wrap(err, "--strategy %.60s", text);
	return json_array_append_new(array,
		       json_pack("{s:s%, s:O}", "name", text, (size_t)(equals - text), "strategy",
			       strategy)) == 0
		? FL_OK
		: fl_fail(err, FL_INVALID, "--strategy \"%.60s\" is not UTF-8", text);
}

static enum fl_code add_strategies(
	json_t *body, const struct options_list *list, struct fl_err *err)
{
	FL_AUTO_JSON json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++) {
		enum fl_code code = add_strategy(array, list->v[i], err);

		if (code != FL_OK)
			return code;
	}
	if (list->n > 0)
		(void)json_object_set(body, "strategies", array);
	return FL_OK;
}

static enum fl_code add_zones(json_t *body, const struct options_list *list, struct fl_err *err)
{
	FL_AUTO_JSON json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++)
		if (json_array_append_new(array, json_string(list->v[i])) != 0)
			return fl_fail(err, FL_INVALID, "--zone is not UTF-8");
	if (list->n > 0)
		(void)json_object_set(body, "zones", array);
	return FL_OK;
}

static enum fl_code make_body(const struct simulate_options *o, json_t **out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *body =
		json_pack("{s:s*, s:s*}", "release", o->release, "selector", o->selector);
	const struct {
		const char *name;
		int64_t n;
	} counts[] = { { "devices", o->devices }, { "layers", o->layers }, { "bytes", o->bytes },
		{ "delta_percent", o->delta }, { "behind", o->behind }, { "sites", o->sites },
		{ "runs", o->runs }, { "seed", o->seed }, { "days", o->days } };
	enum fl_code code;

	if (body == NULL)
		return fl_fail(err, FL_INVALID, "an option's value is not UTF-8");
	for (size_t i = 0; i < FL_COUNT(counts); i++)
		if (counts[i].n != OPTIONS_UNSET)
			(void)json_object_set_new(body, counts[i].name, json_integer(counts[i].n));
	code = add_strategies(body, &o->strategies, err);
	if (code == FL_OK)
		code = add_objects(body, "cases", "name", "case", &o->cases, err);
	if (code == FL_OK)
		code = add_versions(body, &o->versions, err);
	if (code == FL_OK)
		code = add_objects(body, "links", "kind", "link", &o->links, err);
	if (code == FL_OK)
		code = add_zones(body, &o->zones, err);
	*out = fl_steal(&body);
	return code;
}

/* ---- the answer */

static void add_count(struct table *t, double n)
{
	if (n < 0)
		table_add(t, NULL);
	else
		table_addf(t, TERMINAL_PLAIN, "%.*f", n > 0 && n < 9.95 ? 1 : 0, n);
}

static void add_share(struct table *t, double share)
{
	double percent = round(share * 100);

	if (share < 0)
		table_add(t, NULL);
	else if (share > 0 && percent < 1)
		table_add(t, "<1%");
	else /* never round to a perfect figure that is none */
		table_addf(t, TERMINAL_PLAIN, "%.0f%%", share < 1 && percent > 99 ? 99 : percent);
}

/* In few letters, so that all columns fit a terminal. */
struct unit {
	double size;
	const char *sign;
};
static const struct unit times[] = { { 86400, "d" }, { 3600, "h" }, { 60, "m" }, { 1, "s" } };
static const struct unit sizes[] = { { 1099511627776, "T" }, { 1073741824, "G" }, { 1048576, "M" },
	{ 1024, "K" }, { 1, "B" } };

static void add_amount(struct table *t, double v, const struct unit *units)
{
	const struct unit *u = units;

	while (u->size > 1 && v < u->size)
		u++;
	if (v < 0)
		table_add(t, NULL);
	else
		table_addf(t, TERMINAL_PLAIN, "%.*f%s", u->size > 1 && v / u->size < 9.95 ? 1 : 0,
			v / u->size, u->sign);
}

static void result_row(struct table *t, const json_t *r)
{
	table_add(t, value_text(r, "strategy"));
	add_share(t, value_real(r, "passed"));
	add_share(t, value_real(r, "stopped"));
	add_share(t, value_real(r, "completion"));
	add_count(t, value_real(r, "harmed"));
	add_amount(t, value_real(r, "mean_s"), times);
	add_amount(t, value_real(r, "p95_s"), times);
	add_amount(t, value_real(r, "max_s"), times);
	add_amount(t, value_real(r, "bytes"), sizes);
	add_amount(t, value_real(r, "bytes_full"), sizes);
	table_addf(t, TERMINAL_PLAIN, "%lld", (long long)value_int(r, "peak_requests_s"));
}

/* A table of strategies in one case. */
static void show_case(const struct cli *cli, const struct simulate_results *r, size_t k)
{
	static const struct table_column columns[] = {
		{ .title = "STRATEGY", .cut = true },
		{ .title = "PASS", .right = true },
		{ .title = "STOP", .right = true },
		{ .title = "DONE", .right = true },
		{ .title = "HARM", .right = true },
		{ .title = "MEAN", .right = true },
		{ .title = "P95", .right = true },
		{ .title = "LAST", .right = true },
		{ .title = "BYTES", .right = true },
		{ .title = "FULL", .right = true },
		{ .title = "RQ/S", .right = true },
	};
	TABLE_AUTO struct table t = { .columns = columns, .n_columns = FL_COUNT(columns) };
	FL_AUTO_BUF struct fl_buf title = { 0 };

	fl_buf_printf(&title, "%s%s", k == 0 ? "" : "\n", terminal_on(&cli->out, TERMINAL_TITLE));
	text_clean(&title, value_text(json_array_get(r->rows, k), "case"));
	fl_buf_printf(&title, "%s\n", terminal_off(&cli->out));
	(void)fwrite(title.p, 1, title.n, stdout);
	for (size_t i = k; i < r->n; i += r->cases)
		result_row(&t, json_array_get(r->rows, i));
	table_print(&t, &cli->out, stdout, false);
}

static void show_results(const struct cli *cli, const json_t *answer)
{
	struct simulate_results r = simulate_results(answer);

	for (size_t k = 0; k < r.cases; k++)
		show_case(cli, &r, k);
}

static void show_chart(const struct cli *cli, const json_t *answer)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	fl_buf_str(&b, "\n");
	simulate_chart(answer, &cli->out, &b);
	(void)fwrite(b.p, 1, b.n, stdout);
}

/* What is known of how devices are connected. */
static void say_connections(const struct cli *cli, const json_t *answer)
{
	const char *kind = value_text(answer, "connections");
	char never[TEXT_SHORT], devices[TEXT_SHORT];

	if (kind == NULL || strcmp(kind, "observed") != 0)
		return;
	cli_say(cli, "devices ask as they did so far; %s of %s never spoke",
		text_count(never, value_int(answer, "never_seen")),
		text_count(devices, value_int(answer, "devices")));
}

static enum fl_code run(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct simulate_options *o = options;
	FL_AUTO_JSON json_t *body = NULL, *answer = NULL;
	char devices[TEXT_SHORT], facts[TEXT_SHORT];
	bool in_terminal = o->plot != NULL && strcmp(o->plot, "-") == 0;
	enum fl_code code = make_body(o, &body, err);

	if (code == FL_OK)
		code = cli_send(cli,
			&(struct api_request){
				.method = "POST", .path = "/api/v1/simulations", .body = body },
			&answer, NULL, err);
	if (code == FL_OK && o->plot != NULL && !in_terminal)
		code = simulate_plot(answer, o->plot, err);
	if (code != FL_OK || cli_json(cli, answer))
		return code;
	if (!cli->globals.quiet)
		show_results(cli, answer);
	if (in_terminal)
		show_chart(cli, answer);
	cli_say(cli, "%s devices, seed %lld, %s facts given to the engine%s",
		text_count(devices, value_int(answer, "devices")),
		(long long)value_int(answer, "seed"), text_count(facts, value_int(answer, "facts")),
		json_is_true(json_object_get(answer, "complete"))
			? ""
			: "; the time was over before all runs were done");
	say_connections(cli, answer);
	return FL_OK;
}

const struct command cmd_simulate = {
	.name = "simulate",
	.help = "compare strategies on a virtual clock, before the start",
	.prose =
		"The engine that will run the rollout runs it many times with devices that are "
		"made up: on a described fleet, or with --release on the real one. The same seed "
		"gives the same answer. Interrupted, it ends on the server too.\n\n"
		"PASS: runs in which every gate passed. STOP: in which a gate failed; of a good "
		"release these are false stops. DONE: devices that have confirmed it. HARM: "
		"devices "
		"that got a version that fails on them, or are behind a gateway that never answers "
		"again, until the end or the stop. MEAN, P95, LAST: from the start to a device's "
		"last confirmation (s, m, h, d). BYTES: that devices get, FULL: without deltas. "
		"RQ/S: requests "
		"in the busiest second, without polls that have nothing to do.\n\n",
	.examples = "fleetctl simulate --devices 5000 --layers 3\n"
		    "fleetctl simulate --release 2026.11 --strategy mine=strategy.json --case "
		    "'bricks:silent_percent=10' --plot out.svg\n"
		    "fleetctl simulate --release 2026.11 --suppose app@2.1.0:fail_percent=8,"
		    "install_s=600 --plot -\n"
		    "fleetctl simulate --link always:percent=60 --link "
		    "duty:percent=40,on_s=3600,off_s=82800\n",
	.run = run,
	.options = rows,
	.options_size = sizeof(struct simulate_options),
};
