/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/state.h"

#include "lib/file.h"

#include <stdlib.h>
#include <string.h>

#define STATE_FILE_MAX (8U << 20)

static const char *const state_texts[FSM_STATE_MAX] = {
#define FSM_TEXT_(code, text) [FSM_##code] = text,
	FSM_STATES(FSM_TEXT_)
#undef FSM_TEXT_
};

/* Words that a verdict may hold, so that a loaded one points at static text again. */
static const char *const verdict_words[] = { "confirmed", "failed", "rejected", "rolled_back",
	"rollback_failed", "release", "device", "network", "server", "unknown" };

const char *state_text(enum fsm_state s)
{
	FL_BUG_IF((unsigned)s >= FSM_STATE_MAX);
	return state_texts[s];
}

enum fl_code state_set(char **owned, const char *value, struct fl_err *err)
{
	char *copy = value == NULL ? NULL : strdup(value);

	if (value != NULL && copy == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the agent's record");
	free(*owned);
	*owned = copy;
	return FL_OK;
}

enum fl_code state_init(struct state *s, struct fl_err *err)
{
	s->now = FSM_ENROLLING;
	s->good_modules = json_array();
	s->previous_modules = json_array();
	s->trial_modules = json_array();
	s->outbox = json_array();
	if (s->good_modules == NULL || s->previous_modules == NULL || s->trial_modules == NULL ||
		s->outbox == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the agent's record");
	return FL_OK;
}

void state_fini(struct state *s)
{
	free(s->device);
	free(s->offer);
	free(s->order);
	free(s->step);
	free(s->inventory);
	json_decref(s->root);
	json_decref(s->good_modules);
	json_decref(s->previous_modules);
	json_decref(s->trial_modules);
	json_decref(s->outbox);
	memset(s, 0, sizeof(*s));
}

/* ---- the file */

enum fl_code state_save(const struct state *s, const char *path, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	FL_AUTO_JSON json_t *j = json_pack("{s:i, s:s, s:s?, s:I, s:O?, s:I, s:s?, s:s?, s:s?, "
					   "s:s?, s:s?, s:s, s:I, s:I, s:I, s:I, s:O, s:O, s:O, "
					   "s:I, s:I, s:I, s:I, s:O, s:s?, s:s?, s:s, s:b, s:b}",
		"version", STATE_VERSION, "state", state_text(s->now), "device", s->device, "no",
		(json_int_t)s->no, "root", s->root, "accepted", (json_int_t)s->accepted, "offer",
		s->offer, "order", s->order, "step", s->step, "verdict", s->verdict.state, "cause",
		s->verdict.cause, "detail", s->verdict.detail, "good", (json_int_t)s->good,
		"previous", (json_int_t)s->previous, "trial", (json_int_t)s->trial, "last",
		(json_int_t)s->last, "good_modules", s->good_modules, "previous_modules",
		s->previous_modules, "trial_modules", s->trial_modules, "starts",
		(json_int_t)s->starts, "full", (json_int_t)s->full, "bytes", (json_int_t)s->bytes,
		"saved", (json_int_t)s->saved, "outbox", s->outbox, "inventory", s->inventory,
		"wait", s->wait.on, "wait_detail", s->wait.detail, "whole", s->whole, "held",
		s->held);

	if (j == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to write the agent's record");
	fl_json_write(&text, j);
	fl_buf_byte(&text, '\n');
	if (fl_buf_check(&text, err) != FL_OK)
		return FL_NOMEM;
	return fl_file_put(path, (struct fl_bytes){ text.p, text.n }, 0600, err);
}

/* The file as it is read, strings still borrowed from the JSON. */
struct record {
	int64_t version, no, accepted, good, previous, trial, last, starts, full, bytes, saved;
	const char *state, *device, *offer, *order, *step, *verdict, *cause, *detail, *inventory;
	const char *wait, *wait_detail;
	bool whole, held;
	json_t *root, *good_modules, *previous_modules, *trial_modules, *outbox;
};

static const struct fl_json_field fields[] = {
	FL_FIELD(struct record, version, "version", INT, .required = true),
	FL_FIELD(struct record, state, "state", STRING, .required = true),
	FL_FIELD(struct record, device, "device", STRING, .max = 255),
	FL_FIELD(struct record, no, "no", INT),
	FL_FIELD(struct record, root, "root", OBJECT),
	FL_FIELD(struct record, accepted, "accepted", INT, .required = true, .max = INT64_MAX),
	FL_FIELD(struct record, offer, "offer", STRING),
	FL_FIELD(struct record, order, "order", STRING),
	FL_FIELD(struct record, step, "step", STRING),
	FL_FIELD(struct record, verdict, "verdict", STRING),
	FL_FIELD(struct record, cause, "cause", STRING),
	FL_FIELD(struct record, detail, "detail", STRING, .max = 255),
	FL_FIELD(struct record, good, "good", INT, .required = true, .max = INT64_MAX),
	FL_FIELD(struct record, previous, "previous", INT, .required = true, .max = INT64_MAX),
	FL_FIELD(struct record, trial, "trial", INT, .required = true, .max = INT64_MAX),
	FL_FIELD(struct record, last, "last", INT),
	FL_FIELD(struct record, good_modules, "good_modules", ARRAY, .required = true),
	FL_FIELD(struct record, previous_modules, "previous_modules", ARRAY, .required = true),
	FL_FIELD(struct record, trial_modules, "trial_modules", ARRAY, .required = true),
	FL_FIELD(struct record, starts, "starts", INT),
	FL_FIELD(struct record, full, "full", INT),
	FL_FIELD(struct record, bytes, "bytes", INT),
	FL_FIELD(struct record, saved, "saved", INT),
	FL_FIELD(struct record, outbox, "outbox", ARRAY, .required = true),
	FL_FIELD(struct record, inventory, "inventory", STRING),
	FL_FIELD(struct record, wait, "wait", STRING),
	FL_FIELD(struct record, wait_detail, "wait_detail", STRING, .max = 159),
	FL_FIELD(struct record, whole, "whole", BOOL),
	FL_FIELD(struct record, held, "held", BOOL),
};

static const char *verdict_word(const char *text)
{
	for (size_t i = 0; text != NULL && i < FL_COUNT(verdict_words); i++) {
		if (strcmp(text, verdict_words[i]) == 0)
			return verdict_words[i];
	}
	return NULL;
}

const char *state_wait_word(const char *text)
{
	static const char *const words[] = { "window", "consent", "network", "battery" };

	for (size_t i = 0; text != NULL && i < FL_COUNT(words); i++) {
		if (strcmp(text, words[i]) == 0)
			return words[i];
	}
	return NULL;
}

static void take_array(json_t **to, json_t *from)
{
	json_decref(*to);
	*to = json_incref(from);
}

static enum fl_code take_strings(struct state *s, const struct record *r, struct fl_err *err)
{
	enum fl_code code = state_set(&s->device, r->device, err);

	if (code == FL_OK)
		code = state_set(&s->offer, r->offer, err);
	if (code == FL_OK)
		code = state_set(&s->order, r->order, err);
	if (code == FL_OK)
		code = state_set(&s->step, r->step, err);
	if (code == FL_OK)
		code = state_set(&s->inventory, r->inventory, err);
	return code;
}

static enum fl_code take_record(struct state *s, const struct record *r, struct fl_err *err)
{
	size_t i;

	for (i = 0; i < FSM_STATE_MAX && strcmp(state_texts[i], r->state) != 0; i++)
		;
	if (i == FSM_STATE_MAX)
		return fl_fail(err, FL_CORRUPT, "unknown state \"%.32s\"", r->state);
	s->now = (enum fsm_state)i;
	s->no = r->no;
	s->accepted = r->accepted;
	s->good = r->good;
	s->previous = r->previous;
	s->trial = r->trial;
	s->last = r->last;
	s->starts = r->starts;
	s->full = r->full;
	s->bytes = r->bytes;
	s->saved = r->saved;
	s->verdict.state = verdict_word(r->verdict);
	s->verdict.cause = verdict_word(r->cause);
	if (r->detail != NULL)
		memcpy(s->verdict.detail, r->detail, strlen(r->detail) + 1);
	s->wait.on = state_wait_word(r->wait);
	if (r->wait_detail != NULL)
		memcpy(s->wait.detail, r->wait_detail, strlen(r->wait_detail) + 1);
	s->whole = r->whole;
	s->held = r->held;
	json_decref(s->root);
	s->root = json_incref(r->root);
	take_array(&s->good_modules, r->good_modules);
	take_array(&s->previous_modules, r->previous_modules);
	take_array(&s->trial_modules, r->trial_modules);
	take_array(&s->outbox, r->outbox);
	return take_strings(s, r, err);
}

enum fl_code state_load(struct state *s, const char *path, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	FL_AUTO_JSON json_t *j = NULL;
	struct record r = { 0 };
	enum fl_code code = fl_file_get(path, STATE_FILE_MAX, &text, err);

	if (code != FL_OK)
		return code;
	code = fl_json_parse((struct fl_bytes){ text.p, text.n }, &j, err);
	if (code == FL_OK)
		code = fl_json_read(j, fields, FL_COUNT(fields), FL_JSON_IGNORE, &r, err);
	if (code == FL_OK && r.version != STATE_VERSION)
		code = fl_fail(err, FL_CORRUPT, "version %lld; this agent reads version %d",
			(long long)r.version, STATE_VERSION);
	if (code == FL_OK)
		code = take_record(s, &r, err);
	if (code == FL_INVALID)
		code = err == NULL ? FL_CORRUPT : (err->code = FL_CORRUPT);
	if (code != FL_OK)
		(void)fl_wrap(err, "the agent's record %s", path);
	return code;
}

/* ---- reports */

static bool is_progress_of(const json_t *report, const char *step)
{
	const char *of = json_string_value(json_object_get(report, "step"));

	return json_object_get(report, "installed") == NULL && of != NULL && strcmp(of, step) == 0;
}

/* Progress that is overtaken says nothing; ends of steps are never dropped for it. */
static void drop_progress(struct state *s)
{
	for (size_t i = json_array_size(s->outbox); i-- > 0;) {
		if (is_progress_of(json_array_get(s->outbox, i), s->step))
			(void)json_array_remove(s->outbox, i);
	}
}

static int add_installed(json_t *list, const json_t *module)
{
	static const char *const keys[] = { "module", "version", "sha256" };
	json_t *entry = json_object();

	for (size_t i = 0; entry != NULL && i < FL_COUNT(keys); i++) {
		json_t *value = json_object_get(module, keys[i]);

		if (value != NULL && json_object_set(entry, keys[i], value) != 0)
			goto out;
	}
	return json_array_append_new(list, entry);
out:
	json_decref(entry);
	return -1;
}

/* The verdict and what runs now: with an open trial that could not be left that is the trial. */
static int add_end(const struct state *s, json_t *report)
{
	const json_t *runs = s->trial != 0 ? s->trial_modules : s->good_modules;
	json_t *list = json_array();
	size_t i;
	json_t *module;

	json_array_foreach (runs, i, module) {
		if (add_installed(list, module) != 0) {
			json_decref(list);
			return -1;
		}
	}
	if (json_object_set_new(report, "installed", list) != 0)
		return -1;
	if (s->verdict.cause != NULL &&
		json_object_set_new(report, "cause", json_string(s->verdict.cause)) != 0)
		return -1;
	if (s->verdict.detail[0] != '\0' &&
		json_object_set_new(report, "detail", json_string(s->verdict.detail)) != 0)
		return -1;
	return 0;
}

/* What it waits for. */
static int add_wait(const struct state *s, json_t *report)
{
	if (json_object_set_new(report, "wait", json_string(s->wait.on)) != 0)
		return -1;
	return s->wait.detail[0] == '\0'
		? 0
		: json_object_set_new(report, "detail", json_string(s->wait.detail));
}

enum fl_code state_report(struct state *s, const char *word, bool final, struct fl_err *err)
{
	FL_AUTO_JSON json_t *report = NULL;

	if (s->step == NULL)
		return FL_OK;
	report = json_pack("{s:s, s:I, s:s, s:I, s:I, s:I}", "step", s->step, "manifest",
		(json_int_t)s->accepted, "state", word, "bytes", (json_int_t)s->bytes, "saved",
		(json_int_t)(s->saved > 0 ? s->saved : 0), "time", (json_int_t)s->now_ms);
	if (report == NULL || (final && add_end(s, report) != 0) ||
		(strcmp(word, "waiting") == 0 && add_wait(s, report) != 0))
		return fl_fail(err, FL_NOMEM, "no memory for a report");
	drop_progress(s);
	while (json_array_size(s->outbox) >= STATE_OUTBOX_MAX)
		(void)json_array_remove(s->outbox, 0); /* a year of silence: the oldest go */
	if (json_array_append(s->outbox, report) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for a report");
	return FL_OK;
}
