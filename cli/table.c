/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include "cli/text.h"

#include <stdlib.h>
#include <string.h>

#define GAP    2 /* blanks between columns */
#define NARROW 6 /* a column that may be cut is not cut below this */
#define LEAST  3 /* and any other one not below this */

static void drop_cells(struct table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i].text);
	free(t->cells);
	t->cells = NULL;
	t->n_cells = t->room = 0;
}

void table_fini(struct table *t)
{
	drop_cells(t);
	free(t->least);
	t->least = NULL;
}

static void add(struct table *t, enum terminal_style style, const char *text)
{
	FL_AUTO_BUF struct fl_buf clean = { 0 };
	struct table_cell *cell;

	text_clean(&clean, text == NULL || text[0] == '\0' ? "-" : text);
	text_check(&clean);
	if (t->n_cells == t->room) {
		t->room = t->room == 0 ? 64 : t->room * 2;
		t->cells = text_grow(t->cells, t->room, sizeof(*t->cells));
	}
	cell = &t->cells[t->n_cells++];
	cell->text = fl_buf_take(&clean);
	cell->width = text_width(cell->text);
	cell->style = style;
}

void table_add(struct table *t, const char *text)
{
	add(t, TERMINAL_PLAIN, text);
}

void table_addf(struct table *t, enum terminal_style style, const char *fmt, ...)
{
	FL_AUTOFREE char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = text_format("-");
	va_end(ap);
	add(t, style, text);
}

static bool has_titles(const struct table *t)
{
	return t->columns[0].title != NULL;
}

static void natural_widths(const struct table *t, size_t *widths)
{
	for (size_t c = 0; c < t->n_columns; c++)
		widths[c] = t->least != NULL ? t->least[c]
			: has_titles(t)      ? text_width(t->columns[c].title)
					     : 0;
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t *w = &widths[i % t->n_columns];

		if (t->cells[i].width > *w)
			*w = t->cells[i].width;
	}
}

void table_continue(struct table *t)
{
	size_t *widths = text_alloc(t->n_columns, sizeof(*widths));

	natural_widths(t, widths);
	drop_cells(t);
	free(t->least);
	t->least = widths;
}

/* How far the columns may shrink: first those that may be cut, then the others but the first, which
 * says what the row is about, then all. */
static size_t floor_of(const struct table *t, size_t c, int round)
{
	if (t->columns[c].cut)
		return round == 0 ? NARROW : LEAST;
	return round == 0 || (round == 1 && c == 0) ? SIZE_MAX : LEAST;
}

/* Take from the widest column again and again, until the row fits or nothing can give. */
static size_t shrink(const struct table *t, size_t *widths, size_t total, size_t limit, int round)
{
	while (total > limit) {
		size_t widest = t->n_columns;

		for (size_t c = 0; c < t->n_columns; c++) {
			if (widths[c] > floor_of(t, c, round) &&
				(widest == t->n_columns || widths[c] > widths[widest]))
				widest = c;
		}
		if (widest == t->n_columns)
			return total;
		widths[widest]--;
		total--;
	}
	return total;
}

static void fit(const struct table *t, size_t *widths, size_t limit)
{
	size_t total = (t->n_columns - 1) * GAP;

	natural_widths(t, widths);
	for (size_t c = 0; c < t->n_columns; c++)
		total += widths[c];
	if (limit == 0)
		return;
	for (int round = 0; round < 3; round++)
		total = shrink(t, widths, total, limit, round);
}

static void blanks(struct fl_buf *b, size_t n)
{
	while (n-- > 0)
		fl_buf_byte(b, ' ');
}

static void render_cell(const struct table *t, const struct terminal *terminal, struct fl_buf *b,
	size_t c, const struct table_cell *cell, size_t width)
{
	size_t shown = cell->width < width ? cell->width : width;
	bool styled = cell->style != TERMINAL_PLAIN && terminal->colour;

	if (c > 0)
		blanks(b, GAP);
	if (t->columns[c].right)
		blanks(b, width - shown);
	if (styled)
		fl_buf_str(b, terminal_on(terminal, cell->style));
	text_cut(b, cell->text, width, terminal->utf8);
	if (styled)
		fl_buf_str(b, terminal_off(terminal));
	if (!t->columns[c].right && c + 1 < t->n_columns)
		blanks(b, width - shown);
}

static void render_titles(const struct table *t, const struct terminal *terminal, struct fl_buf *b,
	const size_t *widths)
{
	for (size_t c = 0; c < t->n_columns; c++) {
		struct table_cell title = { (char *)t->columns[c].title,
			text_width(t->columns[c].title), TERMINAL_TITLE };

		render_cell(t, terminal, b, c, &title, widths[c]);
	}
	fl_buf_byte(b, '\n');
}

void table_render(const struct table *t, const struct terminal *terminal, struct fl_buf *b)
{
	FL_AUTOFREE size_t *widths = text_alloc(t->n_columns, sizeof(*widths));

	FL_BUG_IF(t->n_cells % t->n_columns != 0);
	fit(t, widths, terminal->width);
	if (has_titles(t) && t->least == NULL)
		render_titles(t, terminal, b, widths);
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t c = i % t->n_columns;

		render_cell(t, terminal, b, c, &t->cells[i], widths[c]);
		if (c + 1 == t->n_columns)
			fl_buf_byte(b, '\n');
	}
	text_check(b);
}

void table_print(const struct table *t, const struct terminal *terminal, FILE *f, bool first_only)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	if (first_only) {
		for (size_t i = 0; i < t->n_cells; i += t->n_columns) {
			fl_buf_str(&b, t->cells[i].text);
			fl_buf_byte(&b, '\n');
		}
		text_check(&b);
	} else {
		table_render(t, terminal, &b);
	}
	if (b.n > 0)
		(void)fwrite(b.p, 1, b.n, f);
}

const struct table_column table_field_columns[2] = { { .title = NULL },
	{ .title = NULL, .cut = true } };

void table_field(struct table *t, const char *name, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	table_addf(t, TERMINAL_DIM, "%s", name[0] != '\0' ? name : " ");
	table_add(t, value);
}
