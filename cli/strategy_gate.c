/* SPDX-License-Identifier: Apache-2.0
 *
 * --gate KIND[:KEY=VALUE,...]: the members of a strategy's gate, by the names of the API. */
#include "cli/strategy.h"

#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = { "sprt", "bayes", "stop", "external", "manual" };

static enum fl_code bad(const char *text, struct fl_err *err)
{
	return fl_fail(err, FL_INVALID,
		"--gate takes sprt, bayes, stop, external or manual, with :KEY=VALUE,... behind "
		"it, "
		"not \"%.60s\"",
		text);
}

/* A number where it is one, else a word. NULL if it is no UTF-8. */
static json_t *value_of(const char *text)
{
	char *end;
	double n = strtod(text, &end);

	if (end == text || *end != '\0')
		return json_string(text);
	return strpbrk(text, ".eE") == NULL ? json_integer(strtoll(text, NULL, 10)) : json_real(n);
}

/* KEY=VALUE,... into an object. */
static enum fl_code parse_members(const char *text, json_t *out, struct fl_err *err)
{
	FL_AUTOFREE char *copy = strdup(text);
	char *rest = copy, *member;

	while (copy != NULL && (member = strsep(&rest, ",")) != NULL) {
		char *value = strchr(member, '=');

		if (value == NULL || value == member)
			return bad(text, err);
		*value++ = '\0';
		if (json_object_set_new(out, member, value_of(value)) != 0)
			return bad(text, err);
	}
	return copy != NULL ? FL_OK : fl_fail(err, FL_NOMEM, "there is no memory for --gate");
}

static bool known(const char *text, size_t n)
{
	for (size_t i = 0; i < FL_COUNT(kinds); i++)
		if (strlen(kinds[i]) == n && strncmp(kinds[i], text, n) == 0)
			return true;
	return false;
}

static enum fl_code add_gate(json_t *gate, const char *text, struct fl_err *err)
{
	size_t n = strcspn(text, ":");
	FL_AUTOFREE char *kind = strndup(text, n);
	FL_AUTO_JSON json_t *members = json_object();
	json_t *stops;
	enum fl_code code = FL_OK;

	if (kind == NULL || !known(text, n))
		return bad(text, err);
	if (text[n] == ':')
		code = parse_members(text + n + 1, members, err);
	if (code != FL_OK)
		return code;
	if (strcmp(kind, "manual") == 0) {
		(void)json_object_set_new(gate, kind, json_true());
	} else if (strcmp(kind, "stop") == 0) {
		if (!json_is_array(json_object_get(gate, kind)))
			(void)json_object_set_new(gate, kind, json_array());
		stops = json_object_get(gate, kind);
		(void)json_array_append(stops, members);
	} else {
		(void)json_object_set(gate, kind, members);
	}
	return FL_OK;
}

enum fl_code strategy_gates(json_t *gate, const struct strategy_options *o, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < o->gates.n && code == FL_OK; i++)
		code = add_gate(gate, o->gates.v[i], err);
	if (o->hold_by.n > 0 && code == FL_OK) {
		json_t *by = json_array();

		for (size_t i = 0; i < o->hold_by.n; i++)
			(void)json_array_append_new(by, json_string(o->hold_by.v[i]));
		(void)json_object_set_new(gate, "strata", json_pack("{s:o}", "by", by));
	}
	if (o->carry)
		(void)json_object_set_new(gate, "carry", json_true());
	return code;
}
