/* SPDX-License-Identifier: Apache-2.0
 *
 * What the other end of a stream can show: a person's terminal, or a file or pipe.
 *
 * Colour only on a terminal that has it, and never with NO_COLOR (no-color.org). Glyphs beyond
 * ASCII only where the locale says UTF-8. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include "lib/buf.h"

#include <stdio.h>

struct terminal {
	bool tty;
	bool colour;
	bool utf8;
	bool moves;           /* the cursor can be moved: lines may be redrawn in place */
	size_t width, height; /* 0 when it is no terminal: no limit */
};

/* Meanings, not colours; terminal.c says how each looks. */
enum terminal_style {
	TERMINAL_PLAIN,
	TERMINAL_TITLE,
	TERMINAL_GOOD,
	TERMINAL_BUSY,
	TERMINAL_WARN,
	TERMINAL_BAD,
	TERMINAL_BACK, /* on its way back */
	TERMINAL_DIM,
	TERMINAL_STYLE_MAX
};

/* Look at a stream and the environment. The size is the one of now. */
struct terminal terminal_of(FILE *f);
/* The control sequence that begins a style, "" without colour. */
const char *terminal_on(const struct terminal *t, enum terminal_style style);
/* The one that ends any style. */
const char *terminal_off(const struct terminal *t);

#endif
