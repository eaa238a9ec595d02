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

static void show_words(struct table *t, const char *name, const json_t *array)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *word = json_string_value(json_array_get(array, i));

		fl_buf_printf(&b, "%s%s", i > 0 ? ", " : "", word != NULL ? word : "?");
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
	show_words(t, "counted causes", json_object_get(gate, "causes"));
}

/* "soak_s" is shown as a duration under "soak". */
static void show_duration(struct table *t, const char *key, const json_t *value)
{
	FL_AUTOFREE char *name = text_format("%.*s", (int)strlen(key) - 2, key);
	char text[TEXT_SHORT];

	table_field(t, name, text_seconds(text, json_number_value(value)));
}

static void show_other(struct table *t, const char *key, const json_t *value)
{
	FL_AUTOFREE char *name = text_format("%s", key);
	FL_AUTO_BUF struct fl_buf b = { 0 };

	for (char *p = name; *p != '\0'; p++)
		*p = *p == '_' ? ' ' : *p;
	if (json_is_string(value))
		fl_buf_str(&b, json_string_value(value));
	else if (json_is_real(value))
		fl_buf_printf(&b, "%g", json_real_value(value));
	else
		fl_json_write(&b, value);
	text_check(&b);
	table_field(t, name, (char *)b.p);
}

void strategy_show(struct table *t, const json_t *strategy)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)strategy, key, value) {
		size_t n = strlen(key);

		if (strcmp(key, "waves") == 0)
			show_waves(t, value);
		else if (strcmp(key, "gate") == 0)
			show_gate(t, value);
		else if (json_is_array(value))
			show_words(t, key, value);
		else if (n > 2 && strcmp(key + n - 2, "_s") == 0 && json_is_number(value))
			show_duration(t, key, value);
		else
			show_other(t, key, value);
	}
}
