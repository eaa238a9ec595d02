/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/plan.h"

#include "cli/text.h"
#include "cli/value.h"

#include <string.h>

static const json_t *layer_of(const json_t *plan, int64_t layer)
{
	const json_t *layers = json_object_get(plan, "layers");

	for (size_t i = 0; i < json_array_size(layers); i++) {
		if (value_int(json_array_get(layers, i), "layer") == layer)
			return json_array_get(layers, i);
	}
	return NULL;
}

void plan_units(struct fl_buf *b, const json_t *plan, int64_t layer)
{
	const json_t *units = json_object_get(layer_of(plan, layer), "units");

	for (size_t u = 0; u < json_array_size(units); u++) {
		const json_t *unit = json_array_get(units, u);

		fl_buf_str(b, u > 0 ? ", " : "");
		for (size_t m = 0; m < json_array_size(unit); m++) {
			const char *module = json_string_value(json_array_get(unit, m));

			fl_buf_printf(b, "%s%s", m > 0 ? "+" : "", module != NULL ? module : "?");
		}
	}
	text_check(b);
}

static void title(const struct cli *cli, const char *text)
{
	(void)printf("\n%s%s%s\n", terminal_on(&cli->out, TERMINAL_TITLE), text,
		terminal_off(&cli->out));
}

static const struct {
	const char *key, *text;
	enum terminal_style style;
} kinds[] = {
	{ "update", "to update", TERMINAL_PLAIN },
	{ "noop", "have it already", TERMINAL_DIM },
	{ "incompatible", "incompatible", TERMINAL_WARN },
	{ "held", "held by another rollout", TERMINAL_WARN },
};

static void show_totals(struct table *t, const json_t *totals)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	char text[TEXT_SHORT];
	bool first = true;

	if (!json_is_object(totals))
		return;
	fl_buf_printf(&b, "%s", text_count(text, value_int(totals, "devices")));
	for (size_t i = 0; i < FL_COUNT(kinds); i++) {
		int64_t n = value_int(totals, kinds[i].key);

		if (n <= 0)
			continue;
		fl_buf_printf(
			&b, "%s %s %s", first ? ":" : ",", text_count(text, n), kinds[i].text);
		first = false;
	}
	text_check(&b);
	table_field(t, "devices", (char *)b.p);
}

static void show_head(const struct cli *cli, const json_t *plan)
{
	TABLE_AUTO struct table t = TABLE_FIELDS;
	FL_AUTOFREE char *seed = text_format("%lld", (long long)value_int(plan, "seed"));

	table_field(&t, "rollout", value_text(plan, "rollout"));
	table_field(&t, "release", value_text(plan, "release"));
	table_field(&t, "plan", value_text(plan, "digest"));
	table_field(&t, "order", value_text(plan, "order"));
	table_field(&t, "seed", value_int(plan, "seed") >= 0 ? seed : NULL);
	show_totals(&t, json_object_get(plan, "totals"));
	table_print(&t, &cli->out, stdout, false);
}

static void show_layers(const struct cli *cli, const json_t *plan)
{
	static const struct table_column columns[] = {
		{ .title = "LAYER", .right = true },
		{ .title = "UNITS", .cut = true },
	};
	TABLE_AUTO struct table t = { .columns = columns, .n_columns = FL_COUNT(columns) };
	const json_t *layers = json_object_get(plan, "layers");

	for (size_t i = 0; i < json_array_size(layers); i++) {
		int64_t layer = value_int(json_array_get(layers, i), "layer");
		FL_AUTO_BUF struct fl_buf units = { 0 };

		plan_units(&units, plan, layer);
		table_addf(&t, TERMINAL_PLAIN, "%lld", (long long)layer);
		table_add(&t, (char *)units.p);
	}
	if (t.n_cells == 0)
		return;
	title(cli, "Layers: what must be in place comes first");
	table_print(&t, &cli->out, stdout, false);
}

static void show_waves(const struct cli *cli, const json_t *plan)
{
	static const struct table_column columns[] = {
		{ .title = "WAVE", .right = true },
		{ .title = "DEVICES", .right = true },
		{ .title = "SHARE", .right = true },
		{ .title = "NAME", .cut = true },
	};
	TABLE_AUTO struct table t = { .columns = columns, .n_columns = FL_COUNT(columns) };
	const json_t *waves = json_object_get(plan, "waves");
	double all = 0;
	char text[TEXT_SHORT];

	for (size_t i = 0; i < json_array_size(waves); i++)
		all += value_real(json_array_get(waves, i), "devices");
	for (size_t i = 0; i < json_array_size(waves); i++) {
		const json_t *wave = json_array_get(waves, i);
		int64_t devices = value_int(wave, "devices");

		table_addf(&t, TERMINAL_PLAIN, "%lld", (long long)value_int(wave, "wave"));
		table_add(&t, text_count(text, devices));
		table_add(&t, text_share(text, all > 0 ? (double)devices / all : -1));
		table_add(&t, value_text(wave, "name"));
	}
	if (t.n_cells == 0)
		return;
	title(cli, "Waves: who comes when");
	table_print(&t, &cli->out, stdout, false);
}

static void stage_row(struct table *t, const json_t *plan, const json_t *stage)
{
	FL_AUTO_BUF struct fl_buf units = { 0 };
	int64_t layer = value_int(stage, "layer"), no_way_back = value_int(stage, "no_way_back");
	int64_t full = value_int(stage, "bytes_full"), delta = value_int(stage, "bytes_delta");
	char text[TEXT_SHORT];

	plan_units(&units, plan, layer);
	table_addf(t, TERMINAL_PLAIN, "L%lld.W%lld", (long long)layer,
		(long long)value_int(stage, "wave"));
	table_add(t, (char *)units.p);
	table_add(t, text_count(text, value_int(stage, "devices")));
	table_add(t, text_bytes(text, full));
	table_add(t, text_bytes(text, delta));
	table_add(t,
		text_share(text, full > 0 && delta >= 0 ? 1 - (double)delta / (double)full : -1));
	table_add(t, text_count(text, value_int(stage, "deltas_to_build")));
	table_addf(t, no_way_back > 0 ? TERMINAL_WARN : TERMINAL_PLAIN, "%s",
		no_way_back > 0 ? text_count(text, no_way_back) : "-");
}

static void show_stages(const struct cli *cli, const json_t *plan)
{
	static const struct table_column columns[] = {
		{ .title = "STAGE" },
		{ .title = "MODULES", .cut = true },
		{ .title = "DEVICES", .right = true },
		{ .title = "FULL", .right = true },
		{ .title = "WITH DELTAS", .right = true },
		{ .title = "SAVED", .right = true },
		{ .title = "TO BUILD", .right = true },
		{ .title = "NO WAY BACK", .right = true },
	};
	TABLE_AUTO struct table t = { .columns = columns, .n_columns = FL_COUNT(columns) };
	const json_t *stages = json_object_get(plan, "stages");

	for (size_t i = 0; i < json_array_size(stages); i++)
		stage_row(&t, plan, json_array_get(stages, i));
	if (t.n_cells == 0)
		return;
	title(cli, "Stages: each opens when the one before has passed its gate");
	table_print(&t, &cli->out, stdout, false);
}

static void forecast_row(struct table *t, const json_t *stage)
{
	const json_t *f = json_object_get(stage, "forecast");
	int64_t never = value_int(f, "never_seen");
	char text[TEXT_SHORT];

	table_addf(t, TERMINAL_PLAIN, "L%lld.W%lld", (long long)value_int(stage, "layer"),
		(long long)value_int(stage, "wave"));
	table_add(t, text_seconds(text, value_real(f, "time_s")));
	table_add(t, text_seconds(text, value_real(f, "time_max_s")));
	table_add(t, text_seconds(text, value_real(f, "reach_p95_s")));
	table_addf(t, never > 0 ? TERMINAL_WARN : TERMINAL_PLAIN, "%s",
		never > 0 ? text_count(text, never) : "-");
	table_add(t, text_count(text, value_int(f, "peak_offers_s")));
	table_add(t, text_bytes(text, value_int(f, "peak_bytes_s")));
	table_add(t,
		value_real(f, "downtime_s") < 0 ? NULL
						: text_seconds(text, value_real(f, "downtime_s")));
	table_add(t, text_seconds(text, value_real(f, "build_s")));
}

static void show_forecast(const struct cli *cli, const json_t *plan)
{
	static const struct table_column columns[] = {
		{ .title = "STAGE" },
		{ .title = "TIME", .right = true },
		{ .title = "AT MOST", .right = true },
		{ .title = "95 % ASK", .right = true },
		{ .title = "UNSEEN", .right = true },
		{ .title = "OFFERS/S", .right = true },
		{ .title = "BYTES/S", .right = true },
		{ .title = "DOWN", .right = true },
		{ .title = "BUILD", .right = true },
	};
	TABLE_AUTO struct table t = { .columns = columns, .n_columns = FL_COUNT(columns) };
	const json_t *stages = json_object_get(plan, "stages");
	const json_t *whole = json_object_get(plan, "forecast");
	char time[TEXT_SHORT], most[TEXT_SHORT];

	if (json_array_size(stages) == 0 || !json_is_object(whole))
		return;
	for (size_t i = 0; i < json_array_size(stages); i++)
		forecast_row(&t, json_array_get(stages, i));
	title(cli, "Forecast: from the polls of the fleet and the rollouts that have been");
	table_print(&t, &cli->out, stdout, false);
	(void)printf("All of it: %s, at most %s%s\n",
		text_seconds(time, value_real(whole, "time_s")),
		text_seconds(most, value_real(whole, "time_max_s")),
		json_is_true(json_object_get(whole, "observed"))
			? ""
			: " (a guess: no rollout has been observed yet)");
}

/* One layer's switches of a class: "lib@1.4.0", "app@2.1.0, plugin@3.0.0". */
static void add_steps(struct fl_buf *b, const json_t *to)
{
	bool first = true;

	for (size_t i = 0; i < json_array_size(to); i++) {
		const json_t *layer = json_array_get(to, i);

		if (json_array_size(layer) == 0)
			continue;
		fl_buf_str(b, first ? "" : ", then ");
		value_modules(b, layer);
		first = false;
	}
	text_check(b);
}

static void class_row(struct table *t, const json_t *class)
{
	FL_AUTO_BUF struct fl_buf from = { 0 }, to = { 0 };
	const char *kind = value_text(class, "kind");
	const char *reason = value_text(class, "reason");
	enum terminal_style style = TERMINAL_PLAIN;
	const char *text = kind;
	char count[TEXT_SHORT];

	for (size_t i = 0; i < FL_COUNT(kinds); i++) {
		if (kind != NULL && strcmp(kind, kinds[i].key) == 0) {
			style = kinds[i].style;
			text = kinds[i].text;
		}
	}
	value_modules(&from, json_object_get(class, "from"));
	add_steps(&to, json_object_get(class, "to"));
	table_add(t, text_count(count, value_int(class, "devices")));
	table_addf(t, style, "%s", text != NULL ? text : "-");
	table_add(t, (char *)from.p);
	table_add(t, reason != NULL && reason[0] != '\0' ? reason : (char *)to.p);
	table_add(t, value_text(class, "example"));
}

static void show_classes(const struct cli *cli, const json_t *plan)
{
	static const struct table_column columns[] = {
		{ .title = "DEVICES", .right = true },
		{ .title = "KIND" },
		{ .title = "FROM", .cut = true },
		{ .title = "TO, OR WHY NOT", .cut = true },
		{ .title = "AS", .cut = true },
	};
	TABLE_AUTO struct table t = { .columns = columns, .n_columns = FL_COUNT(columns) };
	const json_t *classes = json_object_get(plan, "classes");

	for (size_t i = 0; i < json_array_size(classes); i++)
		class_row(&t, json_array_get(classes, i));
	if (t.n_cells == 0)
		return;
	title(cli, "Classes: devices that go the same way");
	table_print(&t, &cli->out, stdout, false);
}

/* "(10 devices, as gw-7)" after a refusal. */
static void add_whom(struct fl_buf *b, const json_t *refusal)
{
	int64_t devices = value_int(refusal, "devices");
	const char *example = value_text(refusal, "example");
	char text[TEXT_SHORT];

	if (devices <= 0)
		return;
	fl_buf_printf(b, " (%s device%s%s%s)", text_count(text, devices), fl_plural(devices),
		example != NULL ? ", as " : "", example != NULL ? example : "");
}

/* A sentence on a line of its own behind a mark. */
static void print_line(
	const struct cli *cli, enum terminal_style style, const char *mark, struct fl_buf *line)
{
	FL_AUTO_BUF struct fl_buf clean = { 0 };

	text_check(line);
	text_clean(&clean, (char *)line->p);
	text_check(&clean);
	(void)printf("  %s%s%s %s\n", terminal_on(&cli->out, style), mark, terminal_off(&cli->out),
		(char *)clean.p);
}

/* Refusals are read, not compared: sentences, not a table. */
static void show_refusals(const struct cli *cli, const json_t *plan)
{
	const json_t *refusals = json_object_get(plan, "refusals");

	if (json_array_size(refusals) == 0)
		return;
	title(cli, "Refused: the rollout cannot start like this");
	for (size_t i = 0; i < json_array_size(refusals); i++) {
		const json_t *one = json_array_get(refusals, i);
		const json_t *chain = json_object_get(one, "chain");
		const char *reason = value_text(one, "reason");
		FL_AUTO_BUF struct fl_buf line = { 0 };

		fl_buf_printf(&line, "%s", reason != NULL ? reason : "no reason given");
		add_whom(&line, one);
		for (size_t c = 0; c < json_array_size(chain); c++) {
			const char *link = json_string_value(json_array_get(chain, c));

			fl_buf_printf(
				&line, "%s%s", c == 0 ? ": " : " -> ", link != NULL ? link : "?");
		}
		print_line(cli, TERMINAL_BAD, cli->out.utf8 ? "✘" : "x", &line);
	}
}

void plan_show_notes(const struct cli *cli, const json_t *plan)
{
	const json_t *notes = json_object_get(plan, "notes");

	for (size_t i = 0; i < json_array_size(notes); i++) {
		const char *text = json_string_value(json_array_get(notes, i));
		FL_AUTO_BUF struct fl_buf line = { 0 };

		fl_buf_str(&line, text != NULL ? text : "?");
		print_line(cli, TERMINAL_WARN, "!", &line);
	}
}

void plan_show(const struct cli *cli, const json_t *plan)
{
	if (cli_json(cli, plan) || cli->globals.quiet)
		return;
	show_head(cli, plan);
	plan_show_notes(cli, plan);
	show_layers(cli, plan);
	show_waves(cli, plan);
	show_stages(cli, plan);
	plan_show_gates(cli, plan);
	show_forecast(cli, plan);
	show_classes(cli, plan);
	show_refusals(cli, plan);
}
