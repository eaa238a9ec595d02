/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/stats.h"

#include "cli/text.h"
#include "cli/value.h"

#include <string.h>

#define WIDE 150 /* all figures of a wave fit in one line */

static const struct {
	const char *state;
	enum terminal_style style;
	const char *glyph, *plain;
} looks[] = {
	{ "pending", TERMINAL_DIM, "·", "." },
	{ "running", TERMINAL_BUSY, "●", "*" },
	{ "soaking", TERMINAL_BUSY, "◐", "~" },
	{ "succeeded", TERMINAL_GOOD, "✔", "+" },
	{ "failed", TERMINAL_BAD, "✘", "x" },
	{ "inconclusive", TERMINAL_WARN, "?", "?" },
	{ "skipped", TERMINAL_DIM, "–", "-" },
	{ "rolling_back", TERMINAL_BACK, "↺", "<" },
	{ "rolled_back", TERMINAL_BACK, "↩", "=" },
	{ "draft", TERMINAL_DIM, "·", "." },
	{ "planning", TERMINAL_BUSY, "●", "*" },
	{ "waiting_approval", TERMINAL_WARN, "?", "?" },
	{ "denied", TERMINAL_BAD, "✘", "x" },
	{ "ready", TERMINAL_PLAIN, "○", "o" },
	{ "scheduled", TERMINAL_PLAIN, "○", "o" },
	{ "starting", TERMINAL_BUSY, "●", "*" },
	{ "paused", TERMINAL_WARN, "‖", "!" },
	{ "stopping", TERMINAL_WARN, "■", "!" },
	{ "stopped", TERMINAL_BAD, "■", "x" },
	{ "completed", TERMINAL_GOOD, "✔", "+" },
};

enum terminal_style stats_style(const char *state)
{
	for (size_t i = 0; state != NULL && i < FL_COUNT(looks); i++) {
		if (strcmp(looks[i].state, state) == 0)
			return looks[i].style;
	}
	return TERMINAL_PLAIN;
}

const char *stats_glyph(const char *state, bool utf8)
{
	for (size_t i = 0; state != NULL && i < FL_COUNT(looks); i++) {
		if (strcmp(looks[i].state, state) == 0)
			return utf8 ? looks[i].glyph : looks[i].plain;
	}
	return " ";
}

int64_t stats_steps(const json_t *stage, const char *state)
{
	int64_t n = value_int(json_object_get(stage, "steps"), state);

	return n < 0 ? 0 : n;
}

const char *stats_stage_name(char *out, const json_t *stage)
{
	(void)snprintf(
		out, 32, "L%d.W%d", (int)value_int(stage, "layer"), (int)value_int(stage, "wave"));
	return out;
}

enum fl_code stats_stage_parse(const char *text, int64_t *layer, int64_t *wave, struct fl_err *err)
{
	int l = -1, w = -1, end = 0;

	if (sscanf(text, "L%9d.W%9d%n", &l, &w, &end) != 2 || text[end] != '\0') {
		end = 0;
		if (sscanf(text, "%9d,%9d%n", &l, &w, &end) != 2 || text[end] != '\0')
			l = -1;
	}
	if (l < 0 || w < 0)
		return fl_fail(err, FL_INVALID,
			"\"%.40s\" is no stage; write L0.W1 or 0,1 (layer, wave)", text);
	*layer = l;
	*wave = w;
	return FL_OK;
}

/* ---- the table of waves: figures as columns, so that a narrow terminal gets them in parts */

enum kind { COUNT, SHARE, SECONDS, BYTES };

struct figure {
	const char *title, *key;
	enum kind kind;
};

static const struct figure figures[] = {
	{ "DEVICES", "devices", COUNT },
	{ "TARGETS", "targets", COUNT },
	{ "CONFIRMED", "confirmed", COUNT },
	{ "FAILED", "failed", COUNT },
	{ "TIMED OUT", "timed_out", COUNT },
	{ "COMPLETION", "completion", SHARE },
	{ "FAILURE", "failure", SHARE },
	{ "ROLLBACK", "rollback", SHARE },
	{ "BY DEVICE", "rolled_back_by_device", COUNT },
	{ "BY SERVER", "rolled_back_by_server", COUNT },
	{ "RB FAILURE", "rollback_failure", SHARE },
	{ "MEDIAN", "time_median_s", SECONDS },
	{ "P95", "time_p95_s", SECONDS },
	{ "SENT", "bytes_sent", BYTES },
	{ "SAVED", "bytes_saved", BYTES },
	{ "RETRIED", "retried", COUNT },
};
/* Where the parts begin that a terminal of 80 columns gets: how it went, what went back, how fast. */
static const size_t parts[] = { 0, 7, 11, FL_COUNT(figures) };

static void add_figure(struct table *t, const json_t *wave, const struct figure *f)
{
	char text[TEXT_SHORT];
	int64_t n = value_int(wave, f->key);
	double x = value_real(wave, f->key);

	switch (f->kind) {
	case COUNT:
		table_add(t, n < 0 ? NULL : text_count(text, n));
		break;
	case SHARE:
		table_add(t, text_share(text, x));
		break;
	case SECONDS:
		table_add(t, text_seconds(text, x));
		break;
	case BYTES:
		table_add(t, text_bytes(text, n));
		break;
	}
}

static void add_wave(struct table *t, const json_t *wave, const char *name, size_t from, size_t to)
{
	table_add(t, name);
	for (size_t i = from; i < to; i++)
		add_figure(t, wave, &figures[i]);
}

static void show_part(const struct cli *cli, const json_t *stats, size_t from, size_t to)
{
	struct table_column columns[FL_COUNT(figures) + 1] = { { .title = "WAVE", .right = true } };
	TABLE_AUTO struct table t = { .columns = columns, .n_columns = to - from + 1 };
	const json_t *waves = json_object_get(stats, "waves");

	for (size_t i = from; i < to; i++)
		columns[i - from + 1] =
			(struct table_column){ .title = figures[i].title, .right = true };
	for (size_t i = 0; i < json_array_size(waves); i++) {
		const json_t *wave = json_array_get(waves, i);
		FL_AUTOFREE char *name = text_format("%lld", (long long)value_int(wave, "wave"));

		add_wave(&t, wave, name, from, to);
	}
	if (json_is_object(json_object_get(stats, "total")))
		add_wave(&t, json_object_get(stats, "total"), "all", from, to);
	table_print(&t, &cli->out, stdout, false);
}

/* ---- the table of stages, and what their gates say */

static void add_stage(struct table *t, const json_t *stage)
{
	const char *state = value_text(stage, "state");
	char text[TEXT_SHORT];

	table_add(t, stats_stage_name(text, stage));
	table_addf(t, stats_style(state), "%s", state != NULL ? state : "-");
	table_add(t, text_count(text, value_int(stage, "targets")));
	table_add(t, text_share(text, value_real(stage, "completion")));
	table_add(t, text_share(text, value_real(stage, "failure")));
	table_add(t, text_share(text, value_real(stage, "rollback")));
	table_add(t, text_bytes(text, value_int(stage, "bytes_sent")));
	table_add(t, text_bytes(text, value_int(stage, "bytes_saved")));
}

/* The sentences are long: they have a table of their own, without the stages that nothing is said of. */
static void add_gate(struct table *t, const json_t *stage)
{
	const char *gate = value_text(json_object_get(stage, "gate"), "text");
	FL_AUTO_BUF struct fl_buf steps = { 0 };
	char text[TEXT_SHORT];

	value_pairs(&steps, json_object_get(stage, "steps"), " ");
	if (steps.n == 0 && (gate == NULL || gate[0] == '\0'))
		return;
	table_add(t, stats_stage_name(text, stage));
	table_add(t, (char *)steps.p);
	table_add(t, gate);
}

static void show_stages(const struct cli *cli, const json_t *stats)
{
	static const struct table_column figure_columns[] = {
		{ .title = "STAGE" },
		{ .title = "STATE" },
		{ .title = "TARGETS", .right = true },
		{ .title = "COMPLETION", .right = true },
		{ .title = "FAILURE", .right = true },
		{ .title = "ROLLBACK", .right = true },
		{ .title = "SENT", .right = true },
		{ .title = "SAVED", .right = true },
	};
	static const struct table_column gate_columns[] = { { .title = "STAGE" },
		{ .title = "STEPS", .cut = true }, { .title = "GATE", .cut = true } };
	TABLE_AUTO struct table t = { .columns = figure_columns,
		.n_columns = FL_COUNT(figure_columns) };
	TABLE_AUTO struct table gates = { .columns = gate_columns,
		.n_columns = FL_COUNT(gate_columns) };
	const json_t *stages = json_object_get(stats, "stages");

	for (size_t i = 0; i < json_array_size(stages); i++) {
		add_stage(&t, json_array_get(stages, i));
		add_gate(&gates, json_array_get(stages, i));
	}
	if (t.n_cells > 0)
		table_print(&t, &cli->out, stdout, false);
	if (gates.n_cells > 0) {
		(void)putchar('\n');
		table_print(&gates, &cli->out, stdout, false);
	}
}

/* Only with a limit of the fleet. */
static void show_slots(const struct cli *cli, const json_t *stats)
{
	const json_t *s = json_object_get(stats, "slots");

	if (json_is_object(s))
		cli_say(cli,
			"slots of the fleet: %lld of %lld in use, %lld of them here; share %lld\n",
			(long long)value_int(s, "fleet_in_flight"),
			(long long)value_int(s, "fleet_max"), (long long)value_int(s, "in_flight"),
			(long long)value_int(s, "share"));
}

void stats_show(const struct cli *cli, const json_t *stats, bool stages)
{
	if (cli->globals.quiet)
		return;
	show_slots(cli, stats);
	if (cli->out.width == 0 || cli->out.width >= WIDE) {
		show_part(cli, stats, 0, FL_COUNT(figures));
	} else {
		for (size_t i = 0; i + 1 < FL_COUNT(parts); i++) {
			if (i > 0)
				(void)putchar('\n');
			show_part(cli, stats, parts[i], parts[i + 1]);
		}
	}
	if (!stages)
		return;
	(void)putchar('\n');
	show_stages(cli, stats);
}
