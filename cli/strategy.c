/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/strategy.h"

#include "cli/text.h"
#include "cli/value.h"
#include "lib/file.h"

#include <stdlib.h>
#include <string.h>

#define FILE_MAX (64u * 1024)

const char *const strategy_orders[] = { "wave_first", "layer_first", "pipelined", NULL };
const char *const strategy_acts[] = { "pause", "stop", "rollback", NULL };
const char *const strategy_conflicts[] = { "refuse", "leave_out", NULL };
const char *const strategy_joiners[] = { "none", "last_wave", NULL };

/* "5" devices, "10%" of all, "x2" as many as before each time, or a selector. */
static enum fl_code parse_wave(const char *text, json_t **out, struct fl_err *err)
{
	char *end;
	double n = strtod(text, &end);
	bool number = end != text, times = text[0] == 'x' && text[1] >= '0' && text[1] <= '9';

	if (number && strcmp(end, "%") == 0 && n > 0 && n <= 100)
		*out = json_pack("{s:f}", "percent", n);
	else if (number && *end == '\0' && strspn(text, "0123456789") == strlen(text) && n >= 1)
		*out = json_pack("{s:I}", "count", (json_int_t)n);
	else if (times && strspn(text + 1, "0123456789.") == strlen(text + 1))
		*out = json_pack("{s:f}", "factor", strtod(text + 1, NULL));
	else if (!number && strpbrk(text, "=<>!") != NULL)
		*out = json_pack("{s:s}", "selector", text);
	else
		return fl_fail(err, FL_INVALID,
			"--wave takes 5 (devices), 10%%, x2 or an expression like "
			"label.canary==yes, "
			"not "
			"\"%.60s\"",
			text);
	return *out != NULL ? FL_OK
			    : fl_fail(err, FL_INVALID, "--wave \"%.60s\" is not UTF-8", text);
}

static enum fl_code add_waves(json_t *strategy, const struct options_list *list, struct fl_err *err)
{
	FL_AUTO_JSON json_t *waves = json_array();

	for (size_t i = 0; i < list->n; i++) {
		json_t *wave = NULL;
		enum fl_code code = parse_wave(list->v[i], &wave, err);

		if (code != FL_OK)
			return code;
		(void)json_array_append_new(waves, wave);
	}
	if (list->n > 0)
		(void)json_object_set(strategy, "waves", waves);
	return FL_OK;
}

static void add_list(json_t *object, const char *key, const struct options_list *list)
{
	json_t *array = list->n > 0 ? json_array() : NULL;

	for (size_t i = 0; i < list->n; i++)
		(void)json_array_append_new(array, json_string(list->v[i]));
	if (array != NULL)
		(void)json_object_set_new(object, key, array);
}

static void add_count(json_t *object, const char *key, int64_t n)
{
	if (n != OPTIONS_UNSET)
		(void)json_object_set_new(object, key, json_integer(n));
}

static void add_percent(json_t *object, const char *key, double n)
{
	if (n >= 0)
		(void)json_object_set_new(object, key, json_real(n));
}

static void add_text(json_t *object, const char *key, const char *text)
{
	if (text != NULL)
		(void)json_object_set_new(object, key, json_string(text));
}

/* The member `key` of `object`, made if it is missing. Borrowed. */
static json_t *inner(json_t *object, const char *key)
{
	if (!json_is_object(json_object_get(object, key)))
		(void)json_object_set_new(object, key, json_object());
	return json_object_get(object, key);
}

static enum fl_code add_gate(json_t *strategy, const struct strategy_options *o, struct fl_err *err)
{
	json_t *gate = inner(strategy, "gate");
	json_t *success = inner(gate, "success"), *error = inner(gate, "error");
	enum fl_code code = strategy_gates(gate, o, err);

	add_percent(success, "percent", o->success_percent);
	add_count(success, "minimum", o->success_minimum);
	add_percent(error, "percent", o->error_percent);
	add_count(error, "minimum", o->error_minimum);
	add_list(gate, "causes", &o->causes);
	if (json_object_size(success) == 0)
		(void)json_object_del(gate, "success");
	if (json_object_size(error) == 0)
		(void)json_object_del(gate, "error");
	if (json_object_size(gate) == 0)
		(void)json_object_del(strategy, "gate");
	return code;
}

/* "0 22 * * mon-fri/8h": a rule, and how long it stays open. */
static enum fl_code parse_window(const char *text, json_t **out, struct fl_err *err)
{
	const char *slash = strrchr(text, '/');
	bool rrule = strchr(text, '=') != NULL;
	int64_t length_s = 0;

	if (slash == NULL || text_duration_parse(slash + 1, &length_s, NULL) != FL_OK)
		return fl_fail(err, FL_INVALID,
			"a window is a rule and its length, as '0 22 * * mon-fri/8h', not "
			"\"%.60s\"",
			text);
	*out = json_pack("{s:s%, s:I}", rrule ? "rrule" : "cron", text, (size_t)(slash - text),
		"duration_s", (json_int_t)length_s);
	return *out != NULL ? FL_OK : fl_fail(err, FL_INVALID, "a window is not UTF-8");
}

enum fl_code strategy_windows(const struct options_list *list, json_t **out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *rules = json_array();

	for (size_t i = 0; i < list->n; i++) {
		json_t *rule = NULL;
		enum fl_code code = parse_window(list->v[i], &rule, err);

		if (code != FL_OK)
			return code;
		(void)json_array_append_new(rules, rule);
	}
	*out = json_incref(rules);
	return FL_OK;
}

void strategy_windows_text(const json_t *windows, struct fl_buf *out)
{
	char length[TEXT_SHORT];

	for (size_t i = 0; i < json_array_size(windows); i++) {
		const json_t *w = json_array_get(windows, i);
		const char *cron = value_text(w, "cron");

		fl_buf_printf(out, "%s%s for %s", i > 0 ? ", " : "",
			cron != NULL ? cron : value_text(w, "rrule"),
			text_seconds(length, (double)value_int(w, "duration_s")));
	}
}

static enum fl_code add_rules(
	json_t *windows, const char *key, const struct options_list *list, struct fl_err *err)
{
	json_t *rules = NULL;
	enum fl_code code = strategy_windows(list, &rules, err);

	if (code == FL_OK && list->n > 0)
		(void)json_object_set(windows, key, rules);
	json_decref(rules);
	return code;
}

static enum fl_code add_windows(
	json_t *strategy, const struct strategy_options *o, struct fl_err *err)
{
	json_t *windows = inner(strategy, "windows");
	enum fl_code code = add_rules(windows, "delivery", &o->windows, err);

	if (code == FL_OK)
		code = add_rules(windows, "switch", &o->switch_windows, err);
	add_text(windows, "zone", o->zone);
	add_text(windows, "zone_of", o->zone_of);
	if (json_object_size(windows) == 0)
		(void)json_object_del(strategy, "windows");
	return code;
}

static enum fl_code read_file(const char *path, json_t **out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = fl_file_get(path, FILE_MAX, &b, err);

	if (code == FL_OK)
		code = fl_json_parse((struct fl_bytes){ b.p, b.n }, &json, err);
	if (code != FL_OK)
		return fl_wrap(err, "--strategy %s", path);
	if (!json_is_object(json))
		return fl_fail(err, FL_INVALID, "--strategy %s: not a JSON object", path);
	*out = fl_steal(&json);
	return FL_OK;
}

enum fl_code strategy_body(const struct strategy_options *o, json_t **out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *strategy = o->file == NULL ? json_object() : NULL;
	enum fl_code code = FL_OK;

	if (o->release == NULL)
		return fl_fail(
			err, FL_INVALID, "say what the devices shall get: --release RELEASE");
	if (o->file != NULL)
		code = read_file(o->file, &strategy, err);
	if (code == FL_OK)
		code = add_waves(strategy, &o->waves, err);
	if (code != FL_OK)
		return code;
	add_list(strategy, "strata", &o->strata);
	add_text(strategy, "early", o->early);
	add_count(strategy, "seed", o->seed);
	add_text(strategy, "order", o->order);
	add_text(strategy, "on_failure", o->on_failure);
	add_text(strategy, "conflicts", o->conflicts);
	add_text(strategy, "joiners", o->joiners);
	add_count(strategy, "max_joiners", o->max_joiners);
	add_count(strategy, "soak_s", o->soak_s);
	add_count(strategy, "reach_s", o->reach_s);
	add_count(strategy, "install_s", o->install_s);
	add_count(strategy, "probation_s", o->probation_s);
	add_count(strategy, "max_in_flight", o->max_in_flight);
	add_count(inner(strategy, "pace"), "max_per_minute", o->max_per_minute);
	if (json_object_size(json_object_get(strategy, "pace")) == 0)
		(void)json_object_del(strategy, "pace");
	add_percent(strategy, "max_drift_percent", o->max_drift_percent);
	add_count(strategy, "priority", o->priority);
	if (o->supersede)
		(void)json_object_set_new(strategy, "supersede", json_true());
	add_count(strategy, "approvals", o->approvals);
	add_list(strategy, "approvers", &o->approvers);
	code = add_windows(strategy, o, err);
	if (code == FL_OK)
		code = add_gate(strategy, o, err);
	if (code != FL_OK)
		return code;
	*out = json_pack("{s:s, s:s, s:O}", "release", o->release, "selector",
		o->selector != NULL ? o->selector : "", "strategy", strategy);
	if (*out == NULL)
		return fl_fail(err, FL_INVALID, "the release or --selector is not UTF-8");
	add_text(*out, "channel", o->channel);
	return FL_OK;
}
