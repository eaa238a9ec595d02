/* SPDX-License-Identifier: Apache-2.0
 *
 * A strategy as a person reads it. Members that this version does not know are shown as they are. */
#include "cli/strategy.h"

#include "cli/text.h"
#include "cli/value.h"

#include <string.h>

static void add_wave(struct fl_buf *b, const json_t *wave)
{
	const char *selector = value_text(wave, "selector"), *name = value_text(wave, "name");

	if (name != NULL)
		fl_buf_printf(b, "%s: ", name);
	if (selector != NULL)
		fl_buf_str(b, selector);
	else if (value_real(wave, "percent") >= 0)
		fl_buf_printf(b, "%g %%", value_real(wave, "percent"));
	else
		fl_buf_printf(b, "%lld", (long long)value_int(wave, "count"));
}

static void show_waves(struct table *t, const json_t *waves)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	for (size_t i = 0; i < json_array_size(waves); i++) {
		fl_buf_str(&b, i > 0 ? ", then " : "");
		add_wave(&b, json_array_get(waves, i));
	}
	text_check(&b);
	table_field(t, "waves", (char *)b.p);
}

/* Words as they are, objects as their members. */
static void show_array(struct table *t, const char *name, const json_t *array)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *value = json_array_get(array, i);
		const char *word = json_string_value(value);

		fl_buf_str(&b, i == 0 ? "" : json_is_object(value) ? "; " : ", ");
		if (json_is_object(value))
			value_pairs(&b, value, ", ");
		else
			fl_buf_str(&b, word != NULL ? word : "?");
	}
	text_check(&b);
	table_field(t, name, (char *)b.p);
}

/* Kinds beside the thresholds, with their parameters as --gate takes them. */
static void show_kinds(struct table *t, const json_t *gate)
{
	static const char *const kinds[] = { "sprt", "bayes", "stop", "external", "manual",
		"strata", "carry" };

	for (size_t i = 0; i < FL_COUNT(kinds); i++) {
		const json_t *kind = json_object_get(gate, kinds[i]);
		FL_AUTO_BUF struct fl_buf b = { 0 };

		if (kind == NULL || json_is_false(kind))
			continue;
		if (json_is_true(kind))
			fl_buf_str(&b, "yes");
		else if (json_is_object(kind))
			value_pairs(&b, kind, ", ");
		for (size_t k = 0; k < json_array_size(kind); k++) {
			fl_buf_str(&b, k > 0 ? "; " : "");
			value_pairs(&b, json_array_get(kind, k), ", ");
		}
		text_check(&b);
		table_field(t, kinds[i], (char *)b.p);
	}
}

static void show_gate(struct table *t, const json_t *gate)
{
	const json_t *success = json_object_get(gate, "success");
	const json_t *error = json_object_get(gate, "error");
	int64_t least = value_int(success, "minimum");
	FL_AUTOFREE char *of = least > 0 ? text_format("at least %lld devices", (long long)least)
					 : text_format("all devices of the stage");
	FL_AUTOFREE char *passes =
		text_format("%g %% of %s confirmed", value_real(success, "percent"), of);
	FL_AUTOFREE char *fails = text_format("more than %g %% of at least %lld failed",
		value_real(error, "percent"), (long long)value_int(error, "minimum"));

	if (json_is_object(success))
		table_field(t, "passes with", passes);
	if (json_is_object(error))
		table_field(t, "fails with", fails);
	show_kinds(t, gate);
	show_array(t, "counted causes", json_object_get(gate, "causes"));
}

/* Members of which 0 means that there is none. */
static bool is_limit(const char *key)
{
	return strcmp(key, "max_in_flight") == 0 || strcmp(key, "max_per_minute") == 0 ||
		strcmp(key, "max_joiners") == 0;
}

static void add_value(struct fl_buf *b, const char *key, const json_t *value)
{
	char text[TEXT_SHORT];
	size_t n = strlen(key);

	if (json_is_string(value))
		fl_buf_str(b, json_string_value(value));
	else if (is_limit(key) && json_integer_value(value) == 0)
		fl_buf_str(b, "no limit");
	else if (n > 2 && strcmp(key + n - 2, "_s") == 0 && json_is_number(value))
		fl_buf_str(b, text_seconds(text, json_number_value(value)));
	else if (json_is_real(value))
		fl_buf_printf(b, "%g", json_real_value(value));
	else
		fl_json_write(b, value);
}

/* "soak_s" is shown under "soak", "max_in_flight" under "max in flight". */
static char *words_of(const char *prefix, const char *key)
{
	size_t n = strlen(key);
	bool seconds = n > 2 && strcmp(key + n - 2, "_s") == 0;
	char *name = text_format("%s%.*s", prefix, (int)(seconds ? n - 2 : n), key);

	for (char *p = name; *p != '\0'; p++)
		*p = *p == '_' ? ' ' : *p;
	return name;
}

static void show_member(struct table *t, const char *prefix, const char *key, const json_t *value)
{
	FL_AUTOFREE char *name = words_of(prefix, key);
	FL_AUTO_BUF struct fl_buf b = { 0 };

	if (json_is_array(value)) {
		show_array(t, name, value);
		return;
	}
	add_value(&b, key, value);
	text_check(&b);
	table_field(t, name, (char *)b.p);
}

/* The members of an object stand under its name: "pace max per minute", "rollback first". */
static void show_object(struct table *t, const char *prefix, const char *key, const json_t *object)
{
	FL_AUTOFREE char *name = words_of(prefix, key);
	FL_AUTOFREE char *deeper = text_format("%s ", name);
	const char *member;
	json_t *value;

	json_object_foreach ((json_t *)object, member, value) {
		if (json_is_object(value))
			show_object(t, deeper, member, value);
		else
			show_member(t, deeper, member, value);
	}
}

void strategy_show(struct table *t, const json_t *strategy)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)strategy, key, value) {
		if (strcmp(key, "waves") == 0)
			show_waves(t, value);
		else if (strcmp(key, "gate") == 0)
			show_gate(t, value);
		else if (json_is_object(value))
			show_object(t, "", key, value);
		else
			show_member(t, "", key, value);
	}
}
