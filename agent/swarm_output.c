/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/swarm.h"

#include "lib/clock.h"
#include "lib/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE_MAX     (1U << 30)
#define SHOW_EVERY_US 250000
#define SYNC_EVERY_US 200000
#define SWARM_VERSION 1

/* ---- the line of progress */

void swarm_progress(struct swarm *s, bool last)
{
	const struct swarm_totals *t = &s->totals;
	int64_t now = fl_clock_us(CLOCK_MONOTONIC);

	if (s->options.bench != SWARM_BENCH_NONE || (!last && now - s->shown_us < SHOW_EVERY_US) ||
		!isatty(STDERR_FILENO))
		return;
	s->shown_us = now;
	(void)fprintf(stderr,
		"\r\033[K%6.1f s  %zu devices, %" PRId64 " enrolled  polls %" PRId64
		"  orders %" PRId64 " (%zu in hand)  confirmed %" PRId64 "  failed %" PRId64
		"  %s%s",
		(double)(now - s->started_us) / 1e6, s->n, t->enrolled, t->polls, t->orders,
		s->in_hand, t->confirmed, t->failed, pool_down(s->pool) ? "server away" : "",
		last ? "\n" : "");
}

/* ---- the journal of acknowledged reports */

void swarm_journal(struct swarm *s, const struct device *d, const json_t *report)
{
	FL_AUTO_BUF struct fl_buf line = { 0 };
	FL_AUTO_JSON json_t *entry = NULL;
	char id[SWARM_ID_MAX];

	if (s->journal == NULL)
		return;
	swarm_id(s, d, id);
	entry = json_pack("{s:s, s:O, s:O, s:O, s:O}", "device", id, "step",
		json_object_get(report, "step"), "manifest", json_object_get(report, "manifest"),
		"state", json_object_get(report, "state"), "time", json_object_get(report, "time"));
	FL_BUG_IF(entry == NULL);
	fl_json_write(&line, entry);
	fl_buf_byte(&line, '\n');
	FL_BUG_IF(line.failed);
	(void)fwrite(line.p, 1, line.n, s->journal);
	s->journal_dirty = true;
}

void swarm_journal_sync(struct swarm *s, bool now)
{
	int64_t at = fl_clock_us(CLOCK_MONOTONIC);

	if (s->journal == NULL || !s->journal_dirty || (!now && at - s->journal_us < SYNC_EVERY_US))
		return;
	s->journal_us = at;
	s->journal_dirty = false;
	/* A journal that lies would make the test that reads it worthless. */
	FL_BUG_IF(fflush(s->journal) != 0 || fsync(fileno(s->journal)) != 0);
}

/* ---- the summary */

static void count(json_t *counts, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(counts, key));

	(void)json_object_set_new(counts, key, json_integer(n + 1));
}

/* {"app": {"1.0.0": 3, "2.0.0": 97}} over all devices. */
static json_t *count_versions(const struct swarm *s)
{
	json_t *out = json_object();

	for (size_t d = 0; d < s->n; d++) {
		json_t *entry;
		size_t i;

		json_array_foreach (s->devices[d].installed, i, entry) {
			const char *module = json_string_value(json_object_get(entry, "module"));
			const char *version = json_string_value(json_object_get(entry, "version"));
			json_t *counts = json_object_get(out, module);

			if (counts == NULL) {
				counts = json_object();
				(void)json_object_set_new(out, module, counts);
			}
			count(counts, version);
		}
	}
	return out;
}

static json_t *make_summary(const struct swarm *s)
{
	const struct swarm_totals *t = &s->totals;

	return json_pack(
		"{s:I, s:o, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:I, s:I}",
		"devices", (json_int_t)s->n, "versions", count_versions(s), "seconds",
		(double)(fl_clock_us(CLOCK_MONOTONIC) - s->started_us) / 1e6, "enrolled",
		(json_int_t)t->enrolled, "sessions", (json_int_t)t->sessions, "polls",
		(json_int_t)t->polls, "orders", (json_int_t)t->orders, "in_hand",
		(json_int_t)s->in_hand, "confirmed", (json_int_t)t->confirmed, "failed",
		(json_int_t)t->failed, "silent", (json_int_t)t->went_silent, "reports_acknowledged",
		(json_int_t)t->reports, "reports_waiting", (json_int_t)s->unsent,
		"exchanges_failed", (json_int_t)t->failures, "refused", (json_int_t)t->refused,
		"cuts", (json_int_t)t->cuts, "bytes", (json_int_t)t->bytes, "saved",
		(json_int_t)t->saved);
}

static void print_for_people(const json_t *summary)
{
	const char *key, *module, *version;
	json_t *value, *versions, *n;

	json_object_foreach ((json_t *)summary, key, value) {
		if (json_is_integer(value))
			(void)printf(
				"%-22s %" JSON_INTEGER_FORMAT "\n", key, json_integer_value(value));
	}
	json_object_foreach (json_object_get(summary, "versions"), module, versions) {
		json_object_foreach (versions, version, n)
			(void)printf("%-22s %-16s %" JSON_INTEGER_FORMAT "\n", module, version,
				json_integer_value(n));
	}
}

enum fl_code swarm_summary(const struct swarm *s, struct fl_err *err)
{
	FL_AUTO_JSON json_t *summary = make_summary(s);

	if (summary == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the summary");
	if (!s->options.json) {
		print_for_people(summary);
		return FL_OK;
	}
	if (json_dumpf(summary, stdout, JSON_INDENT(1)) != 0 || printf("\n") < 0)
		return fl_fail(err, FL_IO, "cannot write the summary");
	return FL_OK;
}

/* ---- --state FILE: {"version":1,"sets":[…],"devices":[[accepted, index of its set],…]} */

static json_t *make_state(const struct swarm *s)
{
	json_t *sets = json_array(), *devices = json_array(), *set;
	FL_AUTO_JSON json_t *places = json_object(); /* canonical text -> index */
	const char *text;

	json_object_foreach (s->sets, text, set) {
		(void)json_object_set_new(
			places, text, json_integer((json_int_t)json_array_size(sets)));
		(void)json_array_append(sets, set);
	}
	for (size_t i = 0; i < s->n; i++) {
		json_int_t place = 0;

		json_object_foreach (s->sets, text, set) {
			if (set == s->devices[i].installed)
				place = json_integer_value(json_object_get(places, text));
		}
		(void)json_array_append_new(
			devices, json_pack("[I, I]", (json_int_t)s->devices[i].accepted, place));
	}
	return json_pack(
		"{s:i, s:o, s:o}", "version", SWARM_VERSION, "sets", sets, "devices", devices);
}

enum fl_code swarm_save(const struct swarm *s, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	FL_AUTO_JSON json_t *j = NULL;

	if (s->options.state_file == NULL)
		return FL_OK;
	j = make_state(s);
	if (j == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the state");
	fl_json_write(&text, j);
	if (fl_buf_check(&text, err) != FL_OK)
		return FL_NOMEM;
	return fl_file_put(s->options.state_file, fl_bytes(text.p, text.n), 0600, err);
}

struct kept {
	int64_t version;
	json_t *sets, *devices;
};

static enum fl_code take_state(struct swarm *s, const struct kept *k, struct fl_err *err)
{
	if (k->version != SWARM_VERSION)
		return fl_fail(err, FL_INVALID, "it is of version %lld", (long long)k->version);
	if (json_array_size(k->devices) != s->n)
		return fl_fail(err, FL_INVALID, "it is of %zu devices, not %zu",
			json_array_size(k->devices), s->n);
	for (size_t i = 0; i < s->n; i++) {
		const json_t *entry = json_array_get(k->devices, i);
		size_t place = (size_t)json_integer_value(json_array_get(entry, 1));
		json_t *set = swarm_intern(s, json_incref(json_array_get(k->sets, place)));

		if (set == NULL)
			return fl_fail(err, FL_INVALID, "device %zu has no set of modules", i);
		s->devices[i].accepted = json_integer_value(json_array_get(entry, 0));
		s->devices[i].installed = set;
	}
	return FL_OK;
}

enum fl_code swarm_load(struct swarm *s, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct kept, version, "version", INT, .required = true),
		FL_FIELD(struct kept, sets, "sets", ARRAY, .required = true),
		FL_FIELD(struct kept, devices, "devices", ARRAY, .required = true),
	};
	FL_AUTO_BUF struct fl_buf text = { 0 };
	FL_AUTO_JSON json_t *j = NULL;
	struct kept k = { 0 };
	enum fl_code code = fl_file_get(s->options.state_file, STATE_MAX, &text, err);

	if (code == FL_NOT_FOUND)
		return FL_OK;
	if (code == FL_OK)
		code = fl_json_parse(fl_bytes(text.p, text.n), &j, err);
	if (code == FL_OK)
		code = fl_json_read(j, fields, FL_COUNT(fields), FL_JSON_IGNORE, &k, err);
	if (code == FL_OK)
		code = take_state(s, &k, err);
	if (code != FL_OK)
		(void)fl_wrap(err, "the state file %s", s->options.state_file);
	return code;
}
