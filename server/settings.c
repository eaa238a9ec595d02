/* SPDX-License-Identifier: Apache-2.0 */
#include "server/settings.h"

#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

static const struct fl_conf_row rows[] = {
#define SETTING(...) FL_CONF_ROW(struct settings, __VA_ARGS__),
#include "server/tbl/settings.h"
#undef SETTING
};

const struct fl_conf_row *settings_rows(size_t *n)
{
	*n = FL_COUNT(rows);
	return rows;
}

static enum fl_code check_tenant(const char *tenant, struct fl_err *err)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t n = strlen(tenant);

	if (n == 0 || n > 64 || strspn(tenant, allowed) != n)
		return fl_fail(err, FL_INVALID,
			"tenant: \"%.80s\" is not a name; use 1 to 64 letters, digits, '.', '_', "
			"'-'",
			tenant);
	return FL_OK;
}

static enum fl_code check(const struct settings *s, struct fl_err *err)
{
	enum fl_log_level level;
	enum fl_code code = check_tenant(s->tenant, err);

	if (code != FL_OK)
		return code;
	if ((s->tls_certificate[0] == '\0') != (s->tls_key[0] == '\0'))
		return fl_fail(err, FL_INVALID, "tls_certificate and tls_key must be set together");
	if (s->data_dir[0] == '\0')
		return fl_fail(err, FL_INVALID, "data_dir is empty; name a folder");
	if (strcmp(s->log_format, "text") != 0 && strcmp(s->log_format, "json") != 0)
		return fl_fail(err, FL_INVALID, "log_format: \"%s\" is neither text nor json",
			s->log_format);
	code = fl_log_level_parse(s->log_level, &level, err);
	if (code != FL_OK)
		return fl_wrap(err, "log_level");
	return FL_OK;
}

enum fl_code settings_load(struct fl_conf *c, struct settings *out, const char *path, int *argc,
	char **argv, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	*out = (struct settings){ 0 };
	fl_conf_init(c, rows, FL_COUNT(rows), out, "FLEETD");
	if (path != NULL)
		code = fl_conf_file(c, path, true, err);
	if (code == FL_OK)
		code = fl_conf_env(c, err);
	if (code == FL_OK)
		code = fl_conf_flags(c, argc, argv, err);
	return code == FL_OK ? check(out, err) : code;
}

static bool same(const struct fl_conf_row *row, const void *a, const void *b)
{
	switch (row->type) {
	case FL_CONF_STRING:
		return strcmp(*(char *const *)a, *(char *const *)b) == 0;
	case FL_CONF_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case FL_CONF_INT:
	case FL_CONF_SIZE:
	case FL_CONF_DURATION:
		return *(const int64_t *)a == *(const int64_t *)b;
	}
	return true;
}

static enum fl_code copy(
	const struct fl_conf_row *row, const void *from, void *to, struct fl_err *err)
{
	if (row->type == FL_CONF_STRING) {
		char *text = strdup(*(char *const *)from);

		if (text == NULL)
			return fl_fail(err, FL_NOMEM, "no memory for the new settings");
		*(char **)to = text;
	} else if (row->type == FL_CONF_BOOL) {
		*(bool *)to = *(const bool *)from;
	} else {
		*(int64_t *)to = *(const int64_t *)from;
	}
	return FL_OK;
}

enum fl_code settings_merge(const struct settings *old, const struct settings *fresh,
	struct settings *out, const char **fixed, struct fl_err *err)
{
	const char *stays = NULL;

	for (size_t i = 0; i < FL_COUNT(rows); i++) {
		const void *before = (const char *)old + rows[i].offset;
		const void *after = (const char *)fresh + rows[i].offset;
		enum fl_code code = copy(&rows[i], rows[i].reload ? after : before,
			(char *)out + rows[i].offset, err);

		if (code != FL_OK) {
			settings_fini(out);
			return code;
		}
		if (!rows[i].reload && stays == NULL && !same(&rows[i], before, after))
			stays = rows[i].name;
	}
	*fixed = stays;
	return FL_OK;
}

void settings_fini(struct settings *s)
{
	for (size_t i = 0; i < FL_COUNT(rows); i++) {
		char **place = (char **)(void *)((char *)s + rows[i].offset);

		if (rows[i].type != FL_CONF_STRING)
			continue;
		free(*place);
		*place = NULL;
	}
}

void settings_apply_log(const struct settings *s)
{
	enum fl_log_level level = FL_LOG_INFO;

	FL_BUG_IF(fl_log_level_parse(s->log_level, &level, NULL) != FL_OK);
	fl_log_setup(level, strcmp(s->log_format, "json") == 0);
}
