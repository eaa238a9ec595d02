/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/settings.h"

#include "agent/window.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct fl_conf_row rows[] = {
#define SETTING(...) FL_CONF_ROW(struct settings, __VA_ARGS__),
#include "agent/tbl/settings.h"
#undef SETTING
};

static enum fl_code check_pair(void *ctx, const char *name, const char *value, struct fl_err *err)
{
	(void)ctx;
	(void)name;
	(void)value;
	(void)err;
	return FL_OK;
}

enum fl_code settings_pairs(const char *what, const char *text,
	enum fl_code (*pair)(void *ctx, const char *name, const char *value, struct fl_err *err),
	void *ctx, struct fl_err *err)
{
	FL_AUTOFREE char *copy = strdup(text);
	enum fl_code code = FL_OK;
	char *rest = copy, *item;

	if (copy == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for %s", what);
	while (code == FL_OK && (item = strsep(&rest, ",\n")) != NULL) {
		char *equals = strchr(item, '=');

		while (*item == ' ')
			item++;
		if (*item == '\0')
			continue;
		if (equals == NULL || equals == item)
			return fl_fail(
				err, FL_INVALID, "%s: \"%.64s\" is not name=value", what, item);
		*equals = '\0';
		code = pair(ctx, item, equals + 1, err);
	}
	return code;
}

static enum fl_code check_paths(const struct settings *s, struct fl_err *err)
{
	if (s->state_dir[0] != '/' || s->install_dir[0] != '/')
		return fl_fail(err, FL_INVALID, "state_dir and install_dir must be absolute paths");
	if (strlen(s->state_dir) > 512 || strlen(s->install_dir) > 512)
		return fl_fail(err, FL_INVALID, "state_dir and install_dir: at most 512 bytes");
	return FL_OK;
}

static enum fl_code check(const struct settings *s, struct fl_err *err)
{
	struct window window;
	enum fl_log_level level;
	enum fl_code code = check_paths(s, err);

	if (code != FL_OK)
		return code;
	if (strncmp(s->server, "https://", 8) != 0 && strncmp(s->server, "http://", 7) != 0)
		return fl_fail(err, FL_INVALID,
			"server: \"%.80s\" is no address; set it as in server = "
			"https://fleet.example",
			s->server);
	if (strcmp(s->tier, "device") != 0 && strcmp(s->tier, "gateway") != 0)
		return fl_fail(
			err, FL_INVALID, "tier: \"%.80s\" is neither device nor gateway", s->tier);
	if (strcmp(s->log_format, "text") != 0 && strcmp(s->log_format, "json") != 0)
		return fl_fail(err, FL_INVALID, "log_format: \"%.80s\" is neither text nor json",
			s->log_format);
	code = settings_pairs("attributes", s->attributes, check_pair, NULL, err);
	if (code == FL_OK)
		code = settings_pairs("factory", s->factory, check_pair, NULL, err);
	if (code == FL_OK && window_parse(s->switch_window, &window, err) != FL_OK)
		code = fl_wrap(err, "switch_window");
	if (code == FL_OK)
		code = fl_log_level_parse(s->log_level, &level, err);
	return code;
}

/* The host name is what most fleets use as an id anyway. */
static enum fl_code default_device(struct fl_conf *c, const struct settings *s, struct fl_err *err)
{
	char name[256] = "";

	if (s->device[0] != '\0')
		return FL_OK;
	if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
		return fl_fail(err, FL_INVALID, "device: the machine has no name; set device = ID");
	return fl_conf_set(c, "device", name, 0, "the host name", err);
}

enum fl_code settings_load(struct fl_conf *c, struct settings *out, const char *path,
	bool must_exist, int *argc, char **argv, struct fl_err *err)
{
	enum fl_code code;

	*out = (struct settings){ 0 };
	fl_conf_init(c, rows, FL_COUNT(rows), out, "FLEET_AGENT");
	code = fl_conf_file(c, path, must_exist, err);
	if (code == FL_OK)
		code = fl_conf_env(c, err);
	if (code == FL_OK)
		code = fl_conf_flags(c, argc, argv, err);
	if (code == FL_OK)
		code = default_device(c, out, err);
	return code == FL_OK ? check(out, err) : code;
}

void settings_manual(struct fl_buf *b)
{
	struct settings defaults = { 0 };
	struct fl_conf conf = { 0 };

	fl_conf_init(&conf, rows, FL_COUNT(rows), &defaults, "FLEET_AGENT");
	fl_conf_manual(&conf, b);
	fl_conf_fini(&conf);
}
