/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/grid.h"

#include "cli/plan.h"
#include "cli/stats.h"
#include "cli/text.h"
#include "cli/value.h"

#include <string.h>

#define NAME_LEAST 8
#define NAME_MOST  24
#define CELL_LEAST 10
#define CELL_MOST  20
#define GAP        2

/* Where the columns are, and which waves fit. */
struct layout {
	int64_t layers, waves;
	size_t name, cell; /* widths */
	int64_t first, shown;
};

/* A line under construction: text with styles, cut at the terminal's width. */
struct line {
	const struct terminal *t;
	struct fl_buf *b;
	size_t used;
	size_t *lines;
};

static void put(struct line *l, enum terminal_style style, size_t width, const char *text)
{
	FL_AUTO_BUF struct fl_buf cut = { 0 };
	size_t room = l->t->width > l->used ? l->t->width - l->used : 0;
	size_t n = text_width(text);

	if (width == 0) /* as long as it is */
		width = n;
	if (width > room)
		width = room;
	if (width == 0)
		return;
	text_cut(&cut, text, width, l->t->utf8);
	text_check(&cut);
	fl_buf_str(l->b, terminal_on(l->t, style));
	fl_buf_add(l->b, cut.p, cut.n);
	fl_buf_str(l->b, terminal_off(l->t));
	for (; n < width; n++)
		fl_buf_byte(l->b, ' ');
	l->used += width;
}

static void putf(struct line *l, enum terminal_style style, size_t width, const char *fmt, ...)
	FL_PRINTF(4, 5);
static void putf(struct line *l, enum terminal_style style, size_t width, const char *fmt, ...)
{
	FL_AUTOFREE char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = text_format("%s", "");
	va_end(ap);
	put(l, style, width, text);
}

static void end_line(struct line *l)
{
	fl_buf_byte(l->b, '\n');
	l->used = 0;
	(*l->lines)++;
}

static const json_t *stage_at(const json_t *stats, int64_t layer, int64_t wave)
{
	const json_t *stages = json_object_get(stats, "stages");

	for (size_t i = 0; i < json_array_size(stages); i++) {
		const json_t *stage = json_array_get(stages, i);

		if (value_int(stage, "layer") == layer && value_int(stage, "wave") == wave)
			return stage;
	}
	return NULL;
}

static bool is(const char *state, const char *word)
{
	return state != NULL && strcmp(state, word) == 0;
}

/* The wave where something happens: it must be in sight. */
static int64_t busy_wave(const json_t *stats)
{
	const json_t *stages = json_object_get(stats, "stages");
	int64_t last = 0;

	for (size_t i = 0; i < json_array_size(stages); i++) {
		const json_t *stage = json_array_get(stages, i);
		const char *state = value_text(stage, "state");

		if (is(state, "running") || is(state, "soaking") || is(state, "rolling_back"))
			return value_int(stage, "wave");
		if (state != NULL && !is(state, "pending") && value_int(stage, "wave") > last)
			last = value_int(stage, "wave");
	}
	return last;
}

static size_t name_width(const struct grid *g, int64_t layers)
{
	size_t widest = NAME_LEAST;

	for (int64_t layer = 0; layer < layers; layer++) {
		FL_AUTO_BUF struct fl_buf units = { 0 };

		plan_units(&units, g->plan, layer);
		if (units.n > 0 && text_width((char *)units.p) > widest)
			widest = text_width((char *)units.p);
	}
	return widest > NAME_MOST ? NAME_MOST : widest;
}

static struct layout lay_out(const struct grid *g, const struct terminal *t)
{
	const json_t *stages = json_object_get(g->stats, "stages");
	struct layout l = { 0 };
	size_t room;
	int64_t busy = busy_wave(g->stats);

	for (size_t i = 0; i < json_array_size(stages); i++) {
		const json_t *stage = json_array_get(stages, i);

		if (value_int(stage, "layer") >= l.layers)
			l.layers = value_int(stage, "layer") + 1;
		if (value_int(stage, "wave") >= l.waves)
			l.waves = value_int(stage, "wave") + 1;
	}
	l.name = name_width(g, l.layers);
	room = t->width > l.name + CELL_LEAST ? t->width - l.name : CELL_LEAST + GAP;
	l.shown = (int64_t)(room / (CELL_LEAST + GAP));
	if (l.shown > l.waves)
		l.shown = l.waves;
	if (l.shown < 1)
		l.shown = 1;
	l.cell = room / (size_t)l.shown > GAP ? room / (size_t)l.shown - GAP : 1;
	if (l.cell > CELL_MOST)
		l.cell = CELL_MOST;
	l.first = busy >= l.shown ? busy - l.shown + 1 : 0;
	return l;
}

static void head(struct line *l, const struct grid *g)
{
	const char *state = value_text(g->stats, "state");
	const char *reason = value_text(g->stats, "reason");
	char text[TEXT_SHORT];

	put(l, TERMINAL_TITLE, 0,
		value_text(g->stats, "rollout") != NULL ? value_text(g->stats, "rollout") : "?");
	put(l, TERMINAL_PLAIN, 0, "  ");
	putf(l, stats_style(state), 0, "%s %s", stats_glyph(state, l->t->utf8),
		state != NULL ? state : "?");
	if (reason != NULL && reason[0] != '\0')
		putf(l, stats_style(state), 0, ": %s", reason);
	putf(l, TERMINAL_DIM, 0, "  watched for %s", text_seconds(text, g->watched_s));
	end_line(l);
}

static void wave_titles(struct line *l, const struct grid *g, const struct layout *lay)
{
	const json_t *waves = json_object_get(g->stats, "waves");
	int64_t end = lay->first + lay->shown;
	char text[TEXT_SHORT];

	end_line(l);
	put(l, TERMINAL_PLAIN, lay->name, "");
	for (int64_t w = lay->first; w < end; w++) {
		put(l, TERMINAL_PLAIN, GAP, "");
		putf(l, TERMINAL_TITLE, lay->cell, "wave %lld", (long long)w);
	}
	end_line(l);
	putf(l, TERMINAL_DIM, lay->name, lay->shown < lay->waves ? "%lld waves" : "%.0lld",
		(long long)(lay->shown < lay->waves ? lay->waves : 0));
	for (int64_t w = lay->first; w < end; w++) {
		int64_t n = value_int(json_array_get(waves, (size_t)w), "devices");

		put(l, TERMINAL_PLAIN, GAP, "");
		putf(l, TERMINAL_DIM, lay->cell, "%s %s", n < 0 ? "?" : text_count(text, n),
			n == 1 ? "device" : "devices");
	}
	end_line(l);
}

/* What a cell says beside its glyph: how far it is, in the direction it goes. */
static void cell_text(struct fl_buf *b, const json_t *stage)
{
	const char *state = value_text(stage, "state");
	int64_t confirmed = stats_steps(stage, "confirmed"),
		back = stats_steps(stage, "rolled_back");
	int64_t bad = stats_steps(stage, "failed") + stats_steps(stage, "timed_out");
	int64_t targets = value_int(stage, "targets");

	if (is(state, "pending") || is(state, "skipped") || stage == NULL)
		return;
	if (is(state, "rolling_back") || is(state, "rolled_back"))
		fl_buf_printf(b, " %lld back", (long long)back);
	else
		fl_buf_printf(b, " %lld/%lld", (long long)confirmed,
			(long long)(targets < 0 ? 0 : targets));
	if (is(state, "soaking"))
		fl_buf_str(b, " soak");
	else if (bad > 0)
		fl_buf_printf(b, " %lld bad", (long long)bad);
}

static void layer_row(struct line *l, const struct grid *g, const struct layout *lay, int64_t layer)
{
	FL_AUTO_BUF struct fl_buf units = { 0 };

	plan_units(&units, g->plan, layer);
	if (units.n > 0)
		put(l, TERMINAL_PLAIN, lay->name, (char *)units.p);
	else
		putf(l, TERMINAL_PLAIN, lay->name, "layer %lld", (long long)layer);
	for (int64_t w = lay->first; w < lay->first + lay->shown; w++) {
		const json_t *stage = stage_at(g->stats, layer, w);
		const char *state = value_text(stage, "state");
		FL_AUTO_BUF struct fl_buf text = { 0 };

		fl_buf_str(&text, stats_glyph(state, l->t->utf8));
		cell_text(&text, stage);
		text_check(&text);
		put(l, TERMINAL_PLAIN, GAP, "");
		put(l, stats_style(state), lay->cell, (char *)text.p);
	}
	end_line(l);
}

/* Steps of all stages, by state, in the order in which a device passes them. */
static void counters(struct line *l, const json_t *stats)
{
	static const char *const states[] = { "queued", "offered", "waiting", "downloading",
		"downloaded", "installing", "rebooting", "installed", "confirmed", "failed",
		"timed_out", "rejected", "unreached", "rolled_back", "rollback_failed", "held" };
	const json_t *stages = json_object_get(stats, "stages");
	char text[TEXT_SHORT];

	for (size_t s = 0; s < FL_COUNT(states); s++) {
		int64_t n = 0;
		bool bad = strstr(states[s], "failed") != NULL || is(states[s], "timed_out");

		for (size_t i = 0; i < json_array_size(stages); i++)
			n += stats_steps(json_array_get(stages, i), states[s]);
		if (n > 0)
			putf(l,
				bad                                  ? TERMINAL_BAD
					: is(states[s], "confirmed") ? TERMINAL_GOOD
								     : TERMINAL_PLAIN,
				0, "%s %s  ", states[s], text_count(text, n));
	}
	if (l->used == 0)
		put(l, TERMINAL_DIM, 0, "no device is at it yet");
	end_line(l);
}

static void totals(struct line *l, const struct grid *g)
{
	const json_t *total = json_object_get(g->stats, "total");
	char text[TEXT_SHORT];
	double failure = value_real(total, "failure");

	putf(l, TERMINAL_PLAIN, 0, "completion %s",
		text_share(text, value_real(total, "completion")));
	putf(l, failure > 0 ? TERMINAL_BAD : TERMINAL_PLAIN, 0, "   failure %s",
		text_share(text, failure));
	if (value_real(total, "rollback") > 0)
		putf(l, TERMINAL_BACK, 0, "   taken back %s",
			text_share(text, value_real(total, "rollback")));
	putf(l, TERMINAL_PLAIN, 0, "   sent %s", text_bytes(text, value_int(total, "bytes_sent")));
	putf(l, TERMINAL_PLAIN, 0, "   saved %s",
		text_bytes(text, value_int(total, "bytes_saved")));
	if (g->eta_s >= 0)
		putf(l, TERMINAL_PLAIN, 0, "   about %s left", text_seconds(text, g->eta_s));
	end_line(l);
}

/* What the gates of the open stages say. */
static void gates(struct line *l, const json_t *stats)
{
	const json_t *stages = json_object_get(stats, "stages");

	for (size_t i = 0; i < json_array_size(stages); i++) {
		const json_t *stage = json_array_get(stages, i);
		const char *state = value_text(stage, "state");
		const char *says = value_text(json_object_get(stage, "gate"), "text");
		char name[32];

		if (says == NULL || says[0] == '\0' || is(state, "pending") ||
			is(state, "succeeded") || is(state, "skipped") || is(state, "rolled_back"))
			continue;
		putf(l, stats_style(state), 0, "%s ", stats_stage_name(name, stage));
		put(l, TERMINAL_PLAIN, 0, says);
		end_line(l);
	}
}

/* Keep the first `most` lines: what scrolled away could not be redrawn. */
static size_t keep_lines(struct fl_buf *b, size_t start, size_t lines, size_t most)
{
	size_t kept = 0, at = start;

	if (most == 0 || lines <= most)
		return lines;
	while (at < b->n && kept < most)
		kept += b->p[at++] == '\n';
	b->n = at;
	b->p[at] = '\0';
	return kept;
}

size_t grid_render(const struct grid *g, const struct terminal *t, struct fl_buf *b)
{
	struct layout lay = lay_out(g, t);
	size_t lines = 0, start = b->n;
	struct line l = { .t = t, .b = b, .lines = &lines };

	head(&l, g);
	if (lay.waves > 0) {
		wave_titles(&l, g, &lay);
		for (int64_t layer = 0; layer < lay.layers; layer++)
			layer_row(&l, g, &lay, layer);
		end_line(&l);
		counters(&l, g->stats);
		totals(&l, g);
		gates(&l, g->stats);
	}
	if (g->note != NULL) {
		put(&l, TERMINAL_WARN, 0, g->note);
		end_line(&l);
	}
	text_check(b);
	return keep_lines(b, start, lines, t->height > 1 ? t->height - 1 : 0);
}
