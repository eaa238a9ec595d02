/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings from a table: defaults, then a file, then the environment, then flags.
 *
 * DESIGN. A program lists its settings once as rows (X-macro in its tbl/settings.h) and owns one
 * struct that they fill. From the rows come the parser, --show-config, the difference on reload and
 * the manual. The file is `name = value` lines with '#' comments. An unknown name is an error that
 * gives the line and the nearest name. */
#ifndef FL_CONF_H
#define FL_CONF_H

#include "lib/buf.h"

enum fl_conf_type {
	FL_CONF_STRING,   /* char *, owned */
	FL_CONF_INT,      /* int64_t */
	FL_CONF_SIZE,     /* int64_t in bytes; takes KiB, MiB, GiB */
	FL_CONF_DURATION, /* int64_t in milliseconds; takes ms, s, min, h, d */
	FL_CONF_BOOL,     /* bool; yes, no, true, false, on, off */
};

struct fl_conf_row {
	const char *name; /* snake_case; flag --some-name, environment PREFIX_SOME_NAME */
	enum fl_conf_type type;
	size_t offset;     /* in the program's struct */
	const char *value; /* the default, as one would write it */
	int64_t min, max;  /* of numbers, in the base unit; 0, 0: no bounds; max 0: none above */
	bool reload;       /* SIGHUP takes a new value */
	bool secret;       /* shown as "(set)" or "(not set)" */
	const char *prose; /* for the manual: what it does, when to change it */
};

/* A program's SETTING as a member of its struct, and as a row. */
#define FL_CONF_MEMBER(type_, name_) FL_CONF_C_##type_ name_
#define FL_CONF_C_STRING             char *
#define FL_CONF_C_INT                int64_t
#define FL_CONF_C_SIZE               int64_t
#define FL_CONF_C_DURATION           int64_t
#define FL_CONF_C_BOOL               bool
#define FL_CONF_ROW(struct_, type_, name_, value_, min_, max_, reload_, secret_, prose_)         \
	{                                                                                        \
		.name = #name_, .type = FL_CONF_##type_, .offset = offsetof(struct_, name_),     \
		.value = value_, .min = min_, .max = max_, .reload = reload_, .secret = secret_, \
		.prose = prose_,                                                                 \
	}

struct fl_conf {
	const struct fl_conf_row *rows;
	size_t n;
	void *out;           /* the program's struct, zeroed before fl_conf_init */
	const char *prefix;  /* of environment variables, as "FLEETD" */
	uint8_t source[128]; /* per row: 0 default, 1 file, 2 environment, 3 flag */
};

/* Fill `out` with the defaults. A default that does not parse is our defect (aborts). */
void fl_conf_init(
	struct fl_conf *c, const struct fl_conf_row *rows, size_t n, void *out, const char *prefix);
/* Free the strings in `out`. Safe twice. */
void fl_conf_fini(struct fl_conf *c);
/* Set one by name; `where` is for the error ("fleetd.conf:12", "--port"). */
enum fl_code fl_conf_set(struct fl_conf *c, const char *name, const char *value, int source,
	const char *where, struct fl_err *err) FL_MUST_CHECK;
/* Read a file; `must_exist` false: a missing one is no error. */
enum fl_code fl_conf_file(
	struct fl_conf *c, const char *path, bool must_exist, struct fl_err *err) FL_MUST_CHECK;
/* Read PREFIX_NAME variables. */
enum fl_code fl_conf_env(struct fl_conf *c, struct fl_err *err) FL_MUST_CHECK;
/* Take `--name=value` and `--name value` (and `--name` for a bool) out of argv; what is left (not
 * a setting) is moved to the front and counted in *argc. Stops at "--". */
enum fl_code fl_conf_flags(
	struct fl_conf *c, int *argc, char **argv, struct fl_err *err) FL_MUST_CHECK;
/* Append all rows as a file that would give the same settings, each with its source as a comment. */
void fl_conf_show(const struct fl_conf *c, struct fl_buf *b);
/* Append the rows as mdoc list items for the manual page. */
void fl_conf_manual(const struct fl_conf *c, struct fl_buf *b);
#endif
