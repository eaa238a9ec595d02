/* SPDX-License-Identifier: Apache-2.0
 *
 * What --help says, made from the tree. */
#include "cli/command.h"

#include "cli/text.h"

#include <string.h>

#define WIDTH  80
#define WIDEST 100

void command_usage(const struct command_path *path, bool full, struct fl_buf *b)
{
	const struct command *c = path->at[path->n - 1];

	for (size_t i = 0; i < path->n; i++)
		fl_buf_printf(b, "%s%s", i > 0 ? " " : "", path->at[i]->name);
	if (!full)
		return;
	if (c->children != NULL)
		fl_buf_str(b, " COMMAND");
	if (c->operands != NULL)
		fl_buf_printf(b, " %s", c->operands);
	if (c->options != NULL)
		fl_buf_str(b, " [OPTION...]");
}

/* Words of `text` filled into lines that begin at column `indent`; the first one is there already. */
static void fill(struct fl_buf *b, const char *text, size_t n, size_t indent, size_t width)
{
	size_t column = indent;

	for (size_t i = 0; i < n;) {
		size_t length = 0;

		while (i + length < n && text[i + length] != ' ' && text[i + length] != '\n')
			length++;
		if (column > indent && column + 1 + length > width) {
			fl_buf_printf(b, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent && length > 0) {
			fl_buf_byte(b, ' ');
			column++;
		}
		fl_buf_add(b, text + i, length);
		column += length;
		i += length + 1;
	}
	fl_buf_byte(b, '\n');
}

static void paragraphs(struct fl_buf *b, const char *prose, size_t width)
{
	while (prose != NULL && *prose != '\0') {
		const char *end = strstr(prose, "\n\n");
		size_t n = end == NULL ? strlen(prose) : (size_t)(end - prose);

		fl_buf_byte(b, '\n');
		fill(b, prose, n, 0, width);
		prose += n + strspn(prose + n, "\n");
	}
}

/* A name and its text: on one line if the name leaves room for it. */
static void item(struct fl_buf *b, const char *name, const char *text, size_t indent, size_t width)
{
	size_t n = strlen(name);

	fl_buf_printf(b, "  %s", name);
	if (n + 4 > indent)
		fl_buf_printf(b, "\n%*s", (int)indent, "");
	else
		fl_buf_printf(b, "%*s", (int)(indent - n - 2), "");
	fill(b, text, strlen(text), indent, width);
}

static size_t options_indent(const struct options_row *rows)
{
	size_t widest = 0;

	for (; rows != NULL && rows->name != NULL; rows++) {
		size_t n = strlen(rows->name) + 6;

		if (rows->argument != NULL)
			n += strlen(rows->argument) + 1;
		if (n > widest)
			widest = n;
	}
	return (widest > 26 ? 26 : widest) + 4;
}

static void add_choices(struct fl_buf *text, const struct options_row *row)
{
	for (size_t i = 0; row->choices != NULL && row->choices[i] != NULL; i++)
		fl_buf_printf(text, "%s%s", i == 0 ? ": " : ", ", row->choices[i]);
}

static void options(
	struct fl_buf *b, const char *title, const struct options_row *rows, size_t width)
{
	size_t indent = options_indent(rows);

	if (rows == NULL || rows->name == NULL)
		return;
	fl_buf_printf(b, "\n%s:\n", title);
	for (; rows->name != NULL; rows++) {
		FL_AUTO_BUF struct fl_buf name = { 0 }, text = { 0 };

		if (rows->letter != 0)
			fl_buf_printf(&name, "-%c, ", rows->letter);
		fl_buf_printf(&name, "%s--%s", rows->letter != 0 ? "" : "    ", rows->name);
		if (rows->argument != NULL)
			fl_buf_printf(&name, " %s", rows->argument);
		fl_buf_str(&text, rows->help);
		add_choices(&text, rows);
		if (rows->type == OPTIONS_LIST)
			fl_buf_str(&text, " (may be repeated)");
		text_check(&name);
		text_check(&text);
		item(b, (char *)name.p, (char *)text.p, indent, width);
	}
}

static void children(struct fl_buf *b, const struct command *c, size_t width)
{
	size_t indent = 0;

	if (c->children == NULL)
		return;
	for (size_t i = 0; c->children[i] != NULL; i++) {
		size_t n = strlen(c->children[i]->name);

		if (!c->children[i]->hidden && n > indent)
			indent = n;
	}
	fl_buf_str(b, "\nCommands:\n");
	for (size_t i = 0; c->children[i] != NULL; i++) {
		if (!c->children[i]->hidden)
			item(b, c->children[i]->name, c->children[i]->help, indent + 4, width);
	}
}

static void examples(struct fl_buf *b, const char *lines)
{
	if (lines == NULL)
		return;
	fl_buf_str(b, "\nExamples:\n");
	while (*lines != '\0') {
		size_t n = strcspn(lines, "\n");

		fl_buf_printf(b, "  %.*s\n", (int)n, lines);
		lines += n + (lines[n] == '\n');
	}
}

void command_help(const struct command_path *path, size_t width, struct fl_buf *b)
{
	const struct command *c = path->at[path->n - 1];

	if (width == 0)
		width = WIDTH;
	else if (width > WIDEST)
		width = WIDEST;
	command_usage(path, false, b);
	fl_buf_str(b, " - ");
	fill(b, c->help, strlen(c->help), 0, width);
	fl_buf_str(b, "\nUsage: ");
	command_usage(path, true, b);
	fl_buf_byte(b, '\n');
	paragraphs(b, c->prose, width);
	children(b, c, width);
	options(b, "Options", c->options, width);
	examples(b, c->examples);
	if (path->n > 1) {
		fl_buf_str(b, "\n'fleetctl --help' lists the options that every command takes.\n");
		return;
	}
	options(b, "Options of every command", command_globals, width);
	fl_buf_str(b,
		"\n'fleetctl COMMAND --help' says more about a command, fleetctl(1) about "
		"exit codes.\n");
}
