/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/json.h"

#include "lib/nearest.h"

#include <stdlib.h>
#include <string.h>

enum fl_code fl_json_parse(struct fl_bytes text, json_t **out, struct fl_err *err)
{
	json_error_t why;
	json_t *value = json_loadb(
		(const char *)text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);

	if (value == NULL && json_error_code(&why) == json_error_out_of_memory)
		return fl_fail(err, FL_NOMEM, "no memory to parse JSON");
	if (value == NULL)
		return fl_fail(err, FL_INVALID, "not JSON: line %d column %d: %s", why.line,
			why.column, why.text);
	*out = value;
	return FL_OK;
}

static const char *const type_texts[] = {
	[FL_JSON_STRING] = "a string",
	[FL_JSON_INT] = "an integer",
	[FL_JSON_REAL] = "a number",
	[FL_JSON_BOOL] = "true or false",
	[FL_JSON_OBJECT] = "an object",
	[FL_JSON_ARRAY] = "an array",
	[FL_JSON_ANY] = "a value",
};

static bool type_fits(const json_t *value, enum fl_json_type type)
{
	switch (type) {
	case FL_JSON_STRING:
		return json_is_string(value);
	case FL_JSON_INT:
		return json_is_integer(value);
	case FL_JSON_REAL:
		return json_is_number(value);
	case FL_JSON_BOOL:
		return json_is_boolean(value);
	case FL_JSON_OBJECT:
		return json_is_object(value);
	case FL_JSON_ARRAY:
		return json_is_array(value);
	case FL_JSON_ANY:
		return true;
	}
	return false;
}

/* What min and max speak of: bytes of a string, elements of an array, the integer itself. */
static int64_t extent(const json_t *value)
{
	if (json_is_string(value))
		return (int64_t)json_string_length(value);
	if (json_is_array(value))
		return (int64_t)json_array_size(value);
	return json_integer_value(value);
}

static enum fl_code check_bounds(
	const json_t *value, const struct fl_json_field *f, struct fl_err *err)
{
	const char *what = json_is_string(value) ? " bytes"
		: json_is_array(value)           ? " elements"
						 : "";
	int64_t n = extent(value);

	if ((f->min == 0 && f->max == 0) || json_is_object(value) || json_is_real(value))
		return FL_OK;
	if (n < f->min || n > f->max)
		return fl_fail(err, FL_INVALID, "\"%s\" must be from %lld to %lld%s, not %lld",
			f->name, (long long)f->min, (long long)f->max, what, (long long)n);
	return FL_OK;
}

static void store(json_t *value, const struct fl_json_field *f, void *out)
{
	void *to = (char *)out + f->offset;

	switch (f->type) {
	case FL_JSON_STRING:
		*(const char **)to = json_string_value(value);
		break;
	case FL_JSON_INT:
		*(int64_t *)to = json_integer_value(value);
		break;
	case FL_JSON_REAL:
		*(double *)to = json_number_value(value);
		break;
	case FL_JSON_BOOL:
		*(bool *)to = json_is_true(value);
		break;
	case FL_JSON_OBJECT:
	case FL_JSON_ARRAY:
	case FL_JSON_ANY:
		*(json_t **)to = value;
		break;
	}
}

static enum fl_code read_field(
	const json_t *object, const struct fl_json_field *f, void *out, struct fl_err *err)
{
	json_t *value = json_object_get(object, f->name);
	enum fl_code code;

	if (value == NULL || json_is_null(value)) {
		if (f->required)
			return fl_fail(err, FL_INVALID, "\"%s\" is missing", f->name);
		return FL_OK;
	}
	if (!type_fits(value, f->type))
		return fl_fail(err, FL_INVALID, "\"%s\" must be %s", f->name, type_texts[f->type]);
	/* A NUL inside would end the C string early and let two different names look the same. */
	if (json_is_string(value) && strlen(json_string_value(value)) != json_string_length(value))
		return fl_fail(err, FL_INVALID, "\"%s\" holds a NUL character", f->name);
	code = check_bounds(value, f, err);
	if (code == FL_OK)
		store(value, f, out);
	return code;
}

static enum fl_code refuse_unknown(
	const json_t *object, const struct fl_json_field *fields, size_t n, struct fl_err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)object, key, value) {
		const char *names[64];
		const char *near;
		size_t i;

		for (i = 0; i < n && strcmp(fields[i].name, key) != 0; i++)
			;
		if (i < n)
			continue;
		for (i = 0; i < n && i < FL_COUNT(names); i++)
			names[i] = fields[i].name;
		near = fl_nearest(key, names, i);
		return fl_fail(err, FL_INVALID, "unknown key \"%.64s\"%s%s%s", key,
			near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	}
	return FL_OK;
}

enum fl_code fl_json_read(const json_t *object, const struct fl_json_field *fields, size_t n,
	enum fl_json_unknown unknown, void *out, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	if (!json_is_object(object))
		return fl_fail(err, FL_INVALID, "a JSON object is expected");
	if (unknown == FL_JSON_REJECT)
		code = refuse_unknown(object, fields, n, err);
	for (size_t i = 0; i < n && code == FL_OK; i++)
		code = read_field(object, &fields[i], out, err);
	return code;
}

static int add_text(const char *text, size_t n, void *b)
{
	fl_buf_add(b, text, n);
	return ((struct fl_buf *)b)->failed ? -1 : 0;
}

void fl_json_write(struct fl_buf *b, const json_t *value)
{
	if (json_dump_callback(value, add_text, b, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
		b->failed = true;
}

static void canonical_string(struct fl_buf *b, const char *s, size_t n)
{
	fl_buf_byte(b, '"');
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '"' || s[i] == '\\')
			fl_buf_byte(b, '\\');
		fl_buf_byte(b, (uint8_t)s[i]);
	}
	fl_buf_byte(b, '"');
}

static enum fl_code canonical_object(struct fl_buf *b, const json_t *object, struct fl_err *err);

static enum fl_code canonical_array(struct fl_buf *b, const json_t *array, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	fl_buf_byte(b, '[');
	for (size_t i = 0; i < json_array_size(array) && code == FL_OK; i++) {
		if (i > 0)
			fl_buf_byte(b, ',');
		code = fl_json_canonical(b, json_array_get(array, i), err);
	}
	fl_buf_byte(b, ']');
	return code;
}

enum fl_code fl_json_canonical(struct fl_buf *b, const json_t *value, struct fl_err *err)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return canonical_object(b, value, err);
	case JSON_ARRAY:
		return canonical_array(b, value, err);
	case JSON_STRING:
		canonical_string(b, json_string_value(value), json_string_length(value));
		return FL_OK;
	case JSON_INTEGER:
		fl_buf_printf(b, "%lld", (long long)json_integer_value(value));
		return FL_OK;
	case JSON_REAL:
		return fl_fail(err, FL_INVALID, "canonical JSON has no real numbers");
	case JSON_TRUE:
	case JSON_FALSE:
	case JSON_NULL:
		fl_buf_str(b,
			json_is_null(value)           ? "null"
				: json_is_true(value) ? "true"
						      : "false");
		return FL_OK;
	}
	return fl_fail(err, FL_INVALID, "not a JSON value");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Keys in the order of their bytes, which for UTF-8 is the order of their code points. */
static enum fl_code canonical_object(struct fl_buf *b, const json_t *object, struct fl_err *err)
{
	size_t n = json_object_size(object), i = 0;
	FL_AUTOFREE const char **keys = malloc((n + 1) * sizeof(*keys));
	enum fl_code code = FL_OK;
	const char *key;
	json_t *value;

	if (keys == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to sort %zu keys", n);
	json_object_foreach ((json_t *)object, key, value)
		keys[i++] = key;
	qsort(keys, n, sizeof(*keys), by_name);
	fl_buf_byte(b, '{');
	for (i = 0; i < n && code == FL_OK; i++) {
		if (i > 0)
			fl_buf_byte(b, ',');
		canonical_string(b, keys[i], strlen(keys[i]));
		fl_buf_byte(b, ':');
		code = fl_json_canonical(b, json_object_get(object, keys[i]), err);
	}
	fl_buf_byte(b, '}');
	return code;
}
