/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/manual.h"

#include "cli/cli.h"
#include "cli/text.h"

#include <ctype.h>
#include <string.h>

/* Text that mdoc takes as it is: no control line, no escape, each sentence on its own line. */
static void add_text(struct fl_buf *b, const char *s, size_t n)
{
	bool begins = true;

	for (size_t i = 0; i < n; i++) {
		bool ends = i > 0 && s[i] == ' ' && strchr(".!?", s[i - 1]) != NULL;

		if (begins && (s[i] == '.' || s[i] == '\''))
			fl_buf_str(b, "\\&");
		if (s[i] == '\\')
			fl_buf_str(b, "\\e");
		else if (s[i] == '-')
			fl_buf_str(b, "\\-");
		else
			fl_buf_byte(b, ends ? '\n' : (uint8_t)s[i]);
		begins = ends;
	}
}

static void add_line(struct fl_buf *b, const char *s)
{
	add_text(b, s, strlen(s));
	fl_buf_byte(b, '\n');
}

/* A sentence from a line of help: capital letter (but not of a program's name), full stop. */
static void add_sentence(struct fl_buf *b, const char *s)
{
	FL_AUTOFREE char *sentence = text_format(
		"%c%s.", strncmp(s, "fleet", 5) == 0 ? s[0] : toupper((unsigned char)s[0]), s + 1);

	add_line(b, sentence);
}

static void add_prose(struct fl_buf *b, const char *prose)
{
	while (prose != NULL && *prose != '\0') {
		const char *end = strstr(prose, "\n\n");
		size_t n = end == NULL ? strlen(prose) : (size_t)(end - prose);

		fl_buf_str(b, ".Pp\n");
		add_text(b, prose, n);
		fl_buf_byte(b, '\n');
		prose += n + strspn(prose + n, "\n");
	}
}

static void add_option(struct fl_buf *b, const struct options_row *row)
{
	fl_buf_str(b, ".It ");
	if (row->letter != 0)
		fl_buf_printf(b, "Fl %c , ", row->letter);
	fl_buf_printf(b, "Fl \\-%s", row->name);
	if (row->argument != NULL)
		fl_buf_printf(b, " Ar %s", row->argument);
	fl_buf_byte(b, '\n');
	add_sentence(b, row->help);
	for (size_t i = 0; row->choices != NULL && row->choices[i] != NULL; i++)
		fl_buf_printf(b, "%s%s%s", i == 0 ? "One of\n.Cm " : "\n.Cm ", row->choices[i],
			row->choices[i + 1] != NULL ? " ," : " .\n");
	if (row->type == OPTIONS_LIST)
		fl_buf_str(b, "May be repeated.\n");
}

static void add_options(struct fl_buf *b, const struct options_row *rows)
{
	if (rows == NULL || rows->name == NULL)
		return;
	fl_buf_str(b, ".Bl -tag -width indent\n");
	for (; rows->name != NULL; rows++)
		add_option(b, rows);
	fl_buf_str(b, ".El\n");
}

static void add_operands(struct fl_buf *b, const char *operands)
{
	while (operands != NULL && *operands != '\0') {
		size_t n = strcspn(operands, " ");
		bool optional = operands[0] == '[';

		fl_buf_printf(b, " %sAr %.*s", optional ? "Op " : "", (int)(optional ? n - 2 : n),
			operands + optional);
		operands += n + strspn(operands + n, " ");
	}
}

static void add_command(struct fl_buf *b, const struct command *noun, const struct command *c)
{
	fl_buf_str(b, ".It Nm fleetctl Cm ");
	if (noun != NULL)
		fl_buf_printf(b, "%s ", noun->name);
	fl_buf_str(b, c->name);
	add_operands(b, c->operands);
	fl_buf_byte(b, '\n');
	add_sentence(b, c->help);
	add_prose(b, c->prose);
	add_options(b, c->options);
}

static enum fl_code find_noun(const char *name, const struct command **out, struct fl_err *err)
{
	struct command_path path;
	enum fl_code code = command_find(&name, 1, &path, err);

	if (code == FL_OK)
		*out = path.at[1];
	return code;
}

static enum fl_code commands(const char *name, struct fl_buf *b, struct fl_err *err)
{
	const struct command *noun;
	enum fl_code code = find_noun(name, &noun, err);

	if (code != FL_OK)
		return code;
	fl_buf_str(b, ".Bl -tag -width indent\n");
	for (size_t i = 0; noun->children != NULL && noun->children[i] != NULL; i++)
		add_command(b, noun, noun->children[i]);
	if (noun->children == NULL)
		add_command(b, NULL, noun);
	fl_buf_str(b, ".El\n");
	return FL_OK;
}

static bool has_examples(const struct command *noun)
{
	bool any = noun->examples != NULL;

	for (size_t i = 0; noun->children != NULL && noun->children[i] != NULL; i++)
		any = any || noun->children[i]->examples != NULL;
	return any;
}

static void add_examples(struct fl_buf *b, const char *lines)
{
	while (lines != NULL && *lines != '\0') {
		size_t n = strcspn(lines, "\n");

		if (lines[0] != ' ') /* not the rest of the line before */
			fl_buf_str(b, "$ ");
		add_text(b, lines, n);
		fl_buf_byte(b, '\n');
		lines += n + (lines[n] == '\n');
	}
}

static enum fl_code examples(const char *name, struct fl_buf *b, struct fl_err *err)
{
	const struct command *noun = &command_root;
	enum fl_code code = name[0] == '\0' ? FL_OK : find_noun(name, &noun, err);

	if (code == FL_OK && !has_examples(noun))
		code = fl_fail(err, FL_INVALID, "%s has no examples", noun->name);
	if (code != FL_OK)
		return code;
	fl_buf_str(b, ".Bd -literal -offset indent\n");
	add_examples(b, noun->examples);
	for (size_t i = 0;
		noun != &command_root && noun->children != NULL && noun->children[i] != NULL; i++)
		add_examples(b, noun->children[i]->examples);
	fl_buf_str(b, ".Ed\n");
	return FL_OK;
}

static void nouns(struct fl_buf *b)
{
	fl_buf_str(b, ".Bl -tag -width completion\n");
	for (size_t i = 0; command_root.children[i] != NULL; i++) {
		const struct command *c = command_root.children[i];

		if (c->hidden)
			continue;
		fl_buf_printf(b, ".It Cm %s\n", c->name);
		add_sentence(b, c->help);
	}
	fl_buf_str(b, ".El\n");
}

/* The exit codes of the table of errors, each with all that it stands for. */
static void errors(struct fl_buf *b)
{
	fl_buf_str(b, ".It 0\nThe command did what it was asked.\n");
	for (int number = 1; number < 20; number++) {
		bool first = true;

		for (int code = 1; code < FL_CODE_MAX; code++) {
			if (fl_exit_code((enum fl_code)code) != number)
				continue;
			if (first)
				fl_buf_printf(b, ".It %d\n", number);
			add_sentence(b, fl_title((enum fl_code)code));
			first = false;
		}
	}
}

static void exits(struct fl_buf *b)
{
#define EXIT_ITEM(name, number, text)         \
	fl_buf_printf(b, ".It %d\n", number); \
	add_line(b, text ".");
	CLI_EXITS(EXIT_ITEM)
#undef EXIT_ITEM
}

static enum fl_code directive(const char *line, size_t n, struct fl_buf *out, struct fl_err *err)
{
	FL_AUTOFREE char *word = text_format("%.*s", (int)strcspn(line, " \n"), line);
	size_t at = strlen(word) + (line[strlen(word)] == ' ');
	FL_AUTOFREE char *argument = text_format("%.*s", (int)(n - at), line + at);

	if (strcmp(word, "commands") == 0)
		return commands(argument, out, err);
	if (strcmp(word, "examples") == 0)
		return examples(argument, out, err);
	if (strcmp(word, "nouns") == 0)
		nouns(out);
	else if (strcmp(word, "options") == 0)
		add_options(out, command_globals);
	else if (strcmp(word, "errors") == 0)
		errors(out);
	else if (strcmp(word, "exits") == 0)
		exits(out);
	else
		return fl_fail(err, FL_INVALID, "there is no directive @%s", word);
	return FL_OK;
}

enum fl_code manual_expand(const char *template, struct fl_buf *out, struct fl_err *err)
{
	static const char mark[] = ".\\\" @";

	for (const char *line = template; *line != '\0';) {
		size_t n = strcspn(line, "\n");

		if (strncmp(line, mark, sizeof(mark) - 1) == 0) {
			size_t skip = sizeof(mark) - 1;
			enum fl_code code = directive(line + skip, n - skip, out, err);

			if (code != FL_OK)
				return code;
		} else {
			fl_buf_add(out, line, n);
			fl_buf_byte(out, '\n');
		}
		line += n + (line[n] == '\n');
	}
	return FL_OK;
}
