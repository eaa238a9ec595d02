/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of fleet-agent as one struct; the rows are in tbl/settings.h. */
#ifndef AGENT_SETTINGS_H
#define AGENT_SETTINGS_H

#include "lib/conf.h"

/* One member per row. Sizes are bytes, durations milliseconds. */
struct settings {
#define SETTING(type, name, ...) FL_CONF_MEMBER(type, name);
#include "agent/tbl/settings.h"
#undef SETTING
};

/* Fill `out` from defaults, the file at `path` (`must_exist` false: it may be missing), the
 * environment (FLEET_AGENT_…) and the flags in argv, which are taken out of it, and check what the
 * rows alone cannot. fl_conf_fini(c) is due also after a failure. FL_INVALID, FL_IO. */
enum fl_code settings_load(struct fl_conf *c, struct settings *out, const char *path,
	bool must_exist, int *argc, char **argv, struct fl_err *err) FL_MUST_CHECK;

/* Read "name=value,name=value" into pairs: calls `pair` for each, with texts that end with it.
 * FL_INVALID, what `pair` says. `what` is for the sentence. */
enum fl_code settings_pairs(const char *what, const char *text,
	enum fl_code (*pair)(void *ctx, const char *name, const char *value, struct fl_err *err),
	void *ctx, struct fl_err *err) FL_MUST_CHECK;

/* Append the rows as mdoc list items, for the manual page. */
void settings_manual(struct fl_buf *b);

#endif
