/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A size from the environment, for terminals that do not know theirs. */
static size_t size_or(const char *variable, size_t otherwise)
{
	const char *text = getenv(variable);
	unsigned long n = text == NULL ? 0 : strtoul(text, NULL, 10);

	return n > 0 && n < 10000 ? n : otherwise;
}

static bool is_set(const char *variable)
{
	const char *value = getenv(variable);

	return value != NULL && value[0] != '\0';
}

struct terminal terminal_of(FILE *f)
{
	const char *term = getenv("TERM");
	bool smart = term != NULL && strcmp(term, "dumb") != 0 && term[0] != '\0';
	struct terminal t = { .tty = isatty(fileno(f)) == 1 };
	struct winsize size = { 0 };

	t.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	if (!t.tty)
		return t;
	t.moves = smart;
	t.colour = smart && !is_set("NO_COLOR");
	if (ioctl(fileno(f), TIOCGWINSZ, &size) != 0)
		size = (struct winsize){ 0 };
	t.width = size.ws_col > 0 ? size.ws_col : size_or("COLUMNS", 80);
	t.height = size.ws_row > 0 ? size.ws_row : size_or("LINES", 24);
	return t;
}

const char *terminal_on(const struct terminal *t, enum terminal_style style)
{
	static const char *const codes[TERMINAL_STYLE_MAX] = {
		[TERMINAL_PLAIN] = "",
		[TERMINAL_TITLE] = "\033[1m",
		[TERMINAL_GOOD] = "\033[32m",
		[TERMINAL_BUSY] = "\033[36m",
		[TERMINAL_WARN] = "\033[33m",
		[TERMINAL_BAD] = "\033[31m",
		[TERMINAL_BACK] = "\033[35m",
		[TERMINAL_DIM] = "\033[2m",
	};

	return t->colour ? codes[style] : "";
}

const char *terminal_off(const struct terminal *t)
{
	return t->colour ? "\033[0m" : "";
}
