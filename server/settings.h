/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of fleetd as one struct; the rows are in tbl/settings.h. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "lib/conf.h"

#include <stdbool.h>
#include <stdint.h>

/* One member per row. Sizes are bytes, durations milliseconds. Never changed once in use: a reload
 * makes a new struct. */
struct settings {
#define SETTING(type, name, ...) FL_CONF_MEMBER(type, name);
#include "server/tbl/settings.h"
#undef SETTING
};

/* The rows, in the order of the table; *n gets their number. Static. */
const struct fl_conf_row *settings_rows(size_t *n);

/* Fill `out` (caller's, lives as long as `c`) from defaults, the file at `path` (NULL: none), the
 * environment and the flags in argv, and check what the rows alone cannot. The flags are taken out
 * of argv. After a failure fl_conf_fini(c) is still due. Any thread. FL_INVALID, FL_IO. */
enum fl_code settings_load(struct fl_conf *c, struct settings *out, const char *path, int *argc,
	char **argv, struct fl_err *err) FL_MUST_CHECK;

/* Take the reloadable rows of `fresh` over a copy of `old` into `out` (zeroed, caller's; end it with
 * settings_fini). *fixed gets the name of a changed row that needs a restart, or NULL. FL_NOMEM. */
enum fl_code settings_merge(const struct settings *old, const struct settings *fresh,
	struct settings *out, const char **fixed, struct fl_err *err) FL_MUST_CHECK;

/* Free the strings of a merged struct. Safe twice. */
void settings_fini(struct settings *s);

/* Set level and format of the log from `s`; the values were checked by settings_load. */
void settings_apply_log(const struct settings *s);

#endif
