/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate_chart.h"

#include "cli/simulate_curve.h"
#include "cli/text.h"
#include "cli/value.h"

#define NAME_WIDTH 18
#define WIDTH_MIN  20
#define WIDTH_MAX  100
#define LEVELS     8

/* From nobody to everybody. */
static const char *const blocks[LEVELS + 1] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
static const char *const plain[LEVELS + 1] = { " ", ".", ":", "-", "=", "+", "*", "%", "#" };

static size_t plot_width(const struct terminal *t)
{
	size_t width = t->width == 0 ? 80 : t->width, rest = NAME_WIDTH + 10;

	if (width < rest + WIDTH_MIN)
		return WIDTH_MIN;
	return width - rest > WIDTH_MAX ? WIDTH_MAX : width - rest;
}

static void add_line(struct fl_buf *b, const struct terminal *t, const json_t *result,
	const struct simulate_axis *a, size_t width)
{
	const char *name = value_text(result, "strategy");
	char text[TEXT_SHORT];

	fl_buf_str(b, "  ");
	text_cut(b, name, NAME_WIDTH, t->utf8);
	for (size_t i = text_width(name); i < NAME_WIDTH + 1; i++)
		fl_buf_byte(b, ' ');
	fl_buf_str(b, terminal_on(t, TERMINAL_GOOD));
	for (size_t i = 0; i < width; i++) {
		double at = simulate_axis_time(a, (double)i / (double)(width - 1));
		/* what is through by the end of the column */
		double share = simulate_share_at(result, at * (1 + 1e-9));

		fl_buf_str(b, (t->utf8 ? blocks : plain)[(size_t)(share * LEVELS + 0.5)]);
	}
	fl_buf_str(b, terminal_off(t));
	fl_buf_printf(b, " %s\n", text_share(text, value_real(result, "completion")));
}

static void add_times(struct fl_buf *b, const struct simulate_axis *a, size_t width)
{
	size_t at = 0;

	fl_buf_printf(b, "  %*s ", NAME_WIDTH, "after");
	for (int part = 0; part <= 2; part++) {
		char text[TEXT_SHORT];
		const char *time = text_seconds(text, simulate_axis_time(a, part / 2.0));
		size_t n = text_width(time), place = (size_t)part * (width - 1) / 2;
		size_t begin = part == 0 ? 0 : part == 1 ? place - n / 2 : width - n;

		for (; at < begin; at++)
			fl_buf_byte(b, ' ');
		fl_buf_str(b, time);
		at += n;
	}
	fl_buf_str(b, "\n");
}

void simulate_chart(const json_t *answer, const struct terminal *t, struct fl_buf *b)
{
	struct simulate_results r = simulate_results(answer);
	size_t width = plot_width(t);

	for (size_t k = 0; k < r.cases; k++) {
		struct simulate_axis a = simulate_axis(&r, k);

		fl_buf_str(b, terminal_on(t, TERMINAL_TITLE));
		text_clean(b, value_text(json_array_get(r.rows, k), "case"));
		fl_buf_printf(b, "%s: devices that are through\n", terminal_off(t));
		if (a.to_s <= 0) {
			fl_buf_str(b, "  none ever\n\n");
			continue;
		}
		for (size_t i = k; i < r.n; i += r.cases)
			add_line(b, t, json_array_get(r.rows, i), &a, width);
		add_times(b, &a, width);
		fl_buf_str(b, "\n");
	}
	text_check(b);
}
