/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/value.h"

#include "cli/text.h"

#include <stdlib.h>
#include <string.h>

const char *value_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

const char *value_words(const json_t *object, const char *key, char out[FL_WORDS])
{
	const char *state = value_text(object, key);

	return fl_words(state != NULL ? state : "?", out);
}

int64_t value_int(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? (int64_t)json_number_value(value) : -1;
}

double value_real(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : -1;
}

bool value_bool(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

size_t value_count(const json_t *object, const char *key)
{
	return json_array_size(json_object_get(object, key));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void value_pairs(struct fl_buf *b, const json_t *object, const char *between)
{
	size_t n = json_object_size(object), i = 0;
	FL_AUTOFREE const char **keys = text_alloc(n, sizeof(*keys));
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)object, key, value)
		keys[i++] = key;
	qsort(keys, n, sizeof(*keys), by_name);
	for (i = 0; i < n; i++) {
		value = json_object_get(object, keys[i]);
		fl_buf_printf(b, "%s%s=", i > 0 ? between : "", keys[i]);
		if (json_is_string(value))
			fl_buf_str(b, json_string_value(value));
		else
			fl_json_write(b, value);
	}
	text_check(b);
}

void value_modules(struct fl_buf *b, const json_t *array)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *entry = json_array_get(array, i);
		const char *module = value_text(entry, "module");
		const char *version = value_text(entry, "version");

		fl_buf_printf(b, "%s%s", i > 0 ? ", " : "", module != NULL ? module : "?");
		if (version != NULL)
			fl_buf_printf(b, "@%s", version);
	}
	text_check(b);
}
