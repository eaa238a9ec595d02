/* SPDX-License-Identifier: Apache-2.0 */
#include "server/devices.h"

#include <string.h>

/* ---- names */

static bool has_control(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return true;
	return false;
}

/* Whether `s` is UTF-8 (the shortest form, no surrogates): what jansson takes. */
static bool is_utf8(const char *s)
{
	FL_AUTO_JSON json_t *value = json_string(s);

	return value != NULL;
}

enum fl_code devices_check_id(const char *id, struct fl_err *err)
{
	size_t n = strlen(id);

	if (n == 0 || n > STORE_ID_MAX)
		return fl_fail(err, FL_INVALID, "a device's id has from 1 to %d bytes, not %zu",
			STORE_ID_MAX, n);
	if (has_control(id, n) || !is_utf8(id))
		return fl_fail(
			err, FL_INVALID, "a device's id is UTF-8 text without control characters");
	if (id[0] == ' ' || id[n - 1] == ' ')
		return fl_fail(err, FL_INVALID, "a device's id does not begin or end with a blank");
	if (strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
		return fl_fail(err, FL_INVALID, "\"%s\" cannot be a device's id", id);
	return FL_OK;
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

enum fl_code devices_check_name(const char *what, const char *name, struct fl_err *err)
{
	size_t n = strlen(name);
	size_t good = strspn(
		name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/@+-");

	if (n == 0 || n > STORE_NAME_MAX)
		return fl_fail(err, FL_INVALID, "the name of a %s has from 1 to %d bytes, not %zu",
			what, STORE_NAME_MAX, n);
	if (good != n || !(is_alnum(name[0]) || name[0] == '@'))
		return fl_fail(err, FL_INVALID,
			"the name of a %s consists of letters, digits and . _ / @ + - and begins "
			"with a "
			"letter, a digit or @",
			what);
	return FL_OK;
}

/* ---- attributes and labels */

static enum fl_code check_key(const char *what, const char *key, struct fl_err *err)
{
	size_t n = strlen(key);

	if (n == 0 || n > DEVICES_KEY_MAX)
		return fl_fail(err, FL_INVALID, "the name of a %s has from 1 to %d bytes, not %zu",
			what, DEVICES_KEY_MAX, n);
	if (has_control(key, n) || strpbrk(key, " \"'();,=!~<>\\") != NULL)
		return fl_fail(err, FL_INVALID,
			"%s \"%s\": a name holds no blanks and none of \"'();,=!~<>\\", what, key);
	return FL_OK;
}

static enum fl_code check_value(
	const char *what, const char *key, const json_t *value, struct fl_err *err)
{
	if (json_is_number(value) || json_is_boolean(value))
		return FL_OK;
	if (!json_is_string(value))
		return fl_fail(err, FL_INVALID, "%s \"%s\" must be a text, a number or a boolean",
			what, key);
	if (json_string_length(value) > DEVICES_VALUE_MAX)
		return fl_fail(err, FL_INVALID, "%s \"%s\" has more than %d bytes", what, key,
			DEVICES_VALUE_MAX);
	return FL_OK;
}

/* Check one member and set it in (or, if null, take it out of) `into`. */
static enum fl_code merge_member(
	const char *what, json_t *into, const char *key, json_t *value, struct fl_err *err)
{
	enum fl_code code = check_key(what, key, err);

	if (code != FL_OK)
		return code;
	if (json_is_null(value)) {
		(void)json_object_del(into, key);
		return FL_OK;
	}
	code = check_value(what, key, value, err);
	if (code == FL_OK && json_object_set(into, key, value) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for %ss", what);
	return code;
}

static int add_text(const char *text, size_t n, void *context)
{
	fl_buf_add(context, text, n);
	return 0;
}

/* Append the stored form of `object`. */
static enum fl_code write_object(
	const char *what, const json_t *object, struct fl_buf *out, struct fl_err *err)
{
	size_t before = out->n;

	if (json_object_size(object) > DEVICES_ATTRIBUTES_MAX)
		return fl_fail(err, FL_INVALID, "a device has at most %d %ss, not %zu",
			DEVICES_ATTRIBUTES_MAX, what, json_object_size(object));
	if (json_dump_callback(object, add_text, out, JSON_COMPACT | JSON_SORT_KEYS) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for %ss", what);
	if (out->n - before > DEVICES_OBJECT_MAX)
		return fl_fail(err, FL_INVALID,
			"all %ss of a device have at most %d bytes, not %zu", what,
			DEVICES_OBJECT_MAX, out->n - before);
	return fl_buf_check(out, err);
}

static enum fl_code merge(
	const char *what, json_t *into, const json_t *patch, struct fl_buf *out, struct fl_err *err)
{
	const char *key;
	json_t *value;

	if (!json_is_object(patch))
		return fl_fail(err, FL_INVALID, "%ss are an object", what);
	json_object_foreach ((json_t *)patch, key, value) {
		enum fl_code code = merge_member(what, into, key, value, err);
		if (code != FL_OK)
			return code;
	}
	return write_object(what, into, out, err);
}

enum fl_code devices_object(
	const char *what, const json_t *object, struct fl_buf *out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *into = json_object();

	if (into == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for %ss", what);
	return merge(what, into, object, out, err);
}

enum fl_code devices_merge(const char *what, const char *base, const json_t *patch,
	struct fl_buf *out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *into = NULL;
	struct fl_bytes text = { .p = (const uint8_t *)base, .n = strlen(base) };
	enum fl_code code = fl_json_parse(text, &into, err);

	return code != FL_OK ? code : merge(what, into, patch, out, err);
}

/* ---- installed sets */

static enum fl_code read_installed(
	const json_t *element, size_t at, struct state_entry *out, struct fl_err *err)
{
	const char *module = json_string_value(json_object_get(element, "module"));
	const char *version = json_string_value(json_object_get(element, "version"));

	if (module == NULL || version == NULL)
		return fl_fail(err, FL_INVALID,
			"installed[%zu] must be an object with texts \"module\" and \"version\"",
			at);
	enum fl_code code = devices_check_name("module", module, err);
	if (code != FL_OK)
		return fl_wrap(err, "installed[%zu]", at);
	size_t n = strlen(version);
	if (n == 0 || n > STORE_VERSION_MAX || has_control(version, n))
		return fl_fail(err, FL_INVALID,
			"installed[%zu]: a version has from 1 to %d bytes without control "
			"characters",
			at, STORE_VERSION_MAX);
	*out = (struct state_entry){ .module = module, .version = version };
	return FL_OK;
}

enum fl_code devices_installed(
	const json_t *array, struct devices_installed *out, struct fl_err *err)
{
	const json_t *element;
	size_t i;

	if (!json_is_array(array))
		return fl_fail(err, FL_INVALID, "installed is an array");
	if (json_array_size(array) > STATE_ENTRIES_MAX)
		return fl_fail(err, FL_INVALID, "a device has at most %d modules, not %zu",
			STATE_ENTRIES_MAX, json_array_size(array));
	out->n = 0;
	json_array_foreach (array, i, element) {
		enum fl_code code = read_installed(element, i, &out->entries[out->n++], err);
		if (code != FL_OK)
			return code;
	}
	return state_digest(out->entries, out->n, out->digest, err);
}
