/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate_plot.h"

#include "cli/simulate_curve.h"
#include "cli/text.h"
#include "cli/value.h"
#include "lib/file.h"

#include <string.h>

#define WIDTH  860
#define LEFT   220
#define BAR    14
#define ROW    42
#define PANEL  40 /* title of a panel */
#define LENGTH 480
#define CURVES 150 /* height of the curves of a panel */

/* Text as XML. */
static void add_text(struct fl_buf *b, const char *s)
{
	for (; s != NULL && *s != '\0'; s++) {
		if (*s == '<')
			fl_buf_str(b, "&lt;");
		else if (*s == '&')
			fl_buf_str(b, "&amp;");
		else if ((unsigned char)*s >= ' ')
			fl_buf_byte(b, (uint8_t)*s);
	}
}

static void add_bar(struct fl_buf *b, int y, double share, const char *colour, const char *label)
{
	double length = share > 0 ? share * LENGTH : 0;

	fl_buf_printf(b,
		"<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>"
		"<text x=\"%.1f\" y=\"%d\" font-size=\"11\">",
		LEFT, y, length, BAR, colour, LEFT + length + 6, y + BAR - 3);
	add_text(b, label);
	fl_buf_str(b, "</text>\n");
}

/* The largest value of a member over all results; at least a little. */
static double most(const json_t *results, const char *member)
{
	double m = 1e-9;

	for (size_t i = 0; i < json_array_size(results); i++) {
		double v = value_real(json_array_get(results, i), member);

		m = v > m ? v : m;
	}
	return m;
}

static void add_result(struct fl_buf *b, const json_t *r, const json_t *results, int y)
{
	double harmed = value_real(r, "harmed"), p95 = value_real(r, "p95_s");
	FL_AUTOFREE char *count = text_format("%.1f harmed", harmed);
	char time[TEXT_SHORT];
	FL_AUTOFREE char *until = text_format("%s", text_seconds(time, p95));

	fl_buf_printf(b, "<text x=\"%d\" y=\"%d\" font-size=\"12\" text-anchor=\"end\">", LEFT - 10,
		y + BAR + 4);
	add_text(b, value_text(r, "strategy"));
	fl_buf_str(b, "</text>\n");
	add_bar(b, y, harmed / most(results, "harmed"), "#c0392b", count);
	add_bar(b, y + BAR + 2, p95 / most(results, "p95_s"), "#2c6fbb", until);
}

/* ---- completion over time */

static void add_axis(struct fl_buf *b, const struct simulate_axis *a, int y)
{
	fl_buf_printf(b,
		"<path d=\"M%d %d v%d h%d\" fill=\"none\" stroke=\"#888\"/>"
		"<text x=\"%d\" y=\"%d\" font-size=\"11\" text-anchor=\"end\">100 %%</text>",
		LEFT, y, CURVES, LENGTH, LEFT - 6, y + 9);
	for (int i = 0; i <= 4; i++) {
		char text[TEXT_SHORT];

		fl_buf_printf(b,
			"<text x=\"%d\" y=\"%d\" font-size=\"11\" text-anchor=\"middle\">%s</text>",
			LEFT + LENGTH * i / 4, y + CURVES + 14,
			text_seconds(text, simulate_axis_time(a, i / 4.0)));
	}
	fl_buf_str(b, "\n");
}

static void add_curve(struct fl_buf *b, const json_t *result, const struct simulate_axis *a, int y,
	const char *colour)
{
	const json_t *curve = json_object_get(result, "curve");
	size_t n = json_array_size(curve);

	fl_buf_printf(b, "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"%s\" points=\"%d,%d",
		colour, LEFT, y + CURVES);
	for (size_t i = 0; i < n && json_is_number(json_array_get(curve, i)); i++)
		fl_buf_printf(b, " %.1f,%.1f",
			LEFT +
				LENGTH *
					simulate_axis_place(
						a, json_number_value(json_array_get(curve, i))),
			y + CURVES * (1 - (double)(i + 1) / (double)n));
	fl_buf_str(b, "\"/>\n");
}

static void add_curves(struct fl_buf *b, const struct simulate_results *r, size_t k, int y)
{
	static const char *const colours[] = { "#c0392b", "#2c6fbb", "#27913f", "#8e44ad",
		"#d68910", "#148f9c", "#7b4a2d", "#555555" };
	struct simulate_axis a = simulate_axis(r, k);

	if (a.to_s <= 0)
		return;
	add_axis(b, &a, y);
	for (size_t i = k, s = 0; i < r->n; i += r->cases, s++) {
		const json_t *result = json_array_get(r->rows, i);
		const char *colour = colours[s % FL_COUNT(colours)];

		add_curve(b, result, &a, y, colour);
		fl_buf_printf(b, "<text x=\"20\" y=\"%d\" font-size=\"12\" fill=\"%s\">",
			y + 24 + 16 * (int)s, colour);
		add_text(b, value_text(result, "strategy"));
		fl_buf_str(b, "</text>\n");
	}
}

/* What the curves of a case take: nothing if nobody was ever through. */
static int curves_height(const struct simulate_results *r, size_t k)
{
	return simulate_axis(r, k).to_s > 0 ? CURVES + ROW : 0;
}

static void draw(struct fl_buf *b, const json_t *answer)
{
	struct simulate_results r = simulate_results(answer);
	int y = 34, height = 34 + (int)r.cases * PANEL + (int)r.n * ROW + 10;

	for (size_t k = 0; k < r.cases; k++)
		height += curves_height(&r, k);
	fl_buf_printf(b,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"font-family=\"sans-serif\">\n<rect width=\"100%%\" height=\"100%%\" "
		"fill=\"white\"/>\n<text x=\"20\" y=\"22\" font-size=\"12\">red: devices harmed on "
		"average; blue: time until 95 %% of those that confirm have done so; curves: "
		"devices that are through, over time</text>\n",
		WIDTH, height);
	for (size_t k = 0; k < r.cases; k++) {
		fl_buf_printf(b, "<text x=\"20\" y=\"%d\" font-size=\"15\" font-weight=\"bold\">",
			y + 24);
		add_text(b, value_text(json_array_get(r.rows, k), "case"));
		fl_buf_str(b, "</text>\n");
		y += PANEL;
		for (size_t i = k; i < r.n; i += r.cases, y += ROW)
			add_result(b, json_array_get(r.rows, i), r.rows, y);
		add_curves(b, &r, k, y);
		y += curves_height(&r, k);
	}
	fl_buf_str(b, "</svg>\n");
}

enum fl_code simulate_plot(const json_t *answer, const char *path, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	enum fl_code code;

	draw(&b, answer);
	code = fl_buf_check(&b, err);
	if (code == FL_OK)
		code = fl_file_put(path, (struct fl_bytes){ b.p, b.n }, 0644, err);
	return code == FL_OK ? code : fl_wrap(err, "--plot %s", path);
}
