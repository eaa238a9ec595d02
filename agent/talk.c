/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include "agent/random.h"
#include "agent/run.h"
#include "lib/digest.h"
#include "lib/file.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

#define BACKOFF_MS     1000
#define SKEW_MS        (120LL * 1000) /* less than this is left to NTP */
#define TOKEN_MAX      1024
#define ATTRIBUTES_MAX 16384

/* ---- attributes */

static enum fl_code add_attribute(
	void *ctx, const char *name, const char *value, struct fl_err *err)
{
	if (json_object_set_new(ctx, name, json_string(value)) != 0)
		return fl_fail(err, FL_INVALID, "attribute \"%.64s\" is not UTF-8", name);
	return FL_OK;
}

/* A command that fails costs its attributes, not the update. */
static void add_from_command(struct agent *a)
{
	const struct settings *s = a->settings;
	FL_AUTO_BUF struct fl_buf text = { .max = ATTRIBUTES_MAX };
	struct run run = {
		.command = s->attributes_command, .timeout_ms = s->command_timeout, .stop = a->stop
	};
	struct fl_err err = { 0 };
	enum fl_code code;

	if (s->attributes_command[0] == '\0')
		return;
	code = run_command(&run, &text, &err);
	if (code == FL_OK && text.n > 0)
		code = settings_pairs("attributes_command", (const char *)text.p, add_attribute,
			a->attributes, &err);
	if (code != FL_OK) {
		const char *why = err.msg;

		fl_log_warning("the attributes command gave nothing usable", FL_S("why", why));
	}
}

static enum fl_code read_attributes(struct agent *a, struct fl_err *err)
{
	json_decref(a->attributes);
	a->attributes = json_object();
	if (a->attributes == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the attributes");
	add_from_command(a);
	return settings_pairs(
		"attributes", a->settings->attributes, add_attribute, a->attributes, err);
}

/* ---- waits */

int64_t talk_back_off(struct agent *a)
{
	int64_t wait = BACKOFF_MS << (a->failures < 20 ? a->failures : 20);
	uint64_t random;

	a->failures++;
	if (wait > a->settings->backoff_max)
		wait = a->settings->backoff_max;
	fl_random(&random, sizeof(random));
	wait = wait / 2 + (int64_t)random_below(&random, (uint64_t)wait / 2 + 1);
	a->quiet_until = agent_mono_ms() + wait;
	return wait;
}

void talk_works(struct agent *a)
{
	a->failures = 0;
	a->quiet_until = 0;
}

/* ---- enrolment */

static enum fl_code read_token(const struct agent *a, struct fl_buf *token, struct fl_err *err)
{
	const char *path = a->settings->token_file;
	enum fl_code code;

	if (path[0] == '\0')
		return fl_fail(err, FL_INVALID,
			"this device is not enrolled; set token_file to a file with a "
			"token");
	code = fl_file_get(path, TOKEN_MAX, token, err);
	if (code != FL_OK)
		return code;
	while (token->n > 0 && token->p[token->n - 1] <= ' ')
		token->p[--token->n] = '\0';
	if (token->n == 0 || memchr(token->p, '\n', token->n) != NULL)
		return fl_fail(err, FL_INVALID, "%s holds no token", path);
	return FL_OK;
}

static enum fl_code keep_root(
	struct agent *a, const struct protocol_enrolment *e, struct fl_err *err)
{
	enum fl_code code = fl_root_first(fl_bytes(e->root, strlen(e->root)), &a->root, err);
	json_t *root = NULL;

	if (code == FL_OK)
		code = fl_json_parse(fl_bytes(e->root, strlen(e->root)), &root, err);
	if (code != FL_OK)
		return code;
	json_decref(a->s.root);
	a->s.root = root;
	a->s.no = e->no;
	a->trusted = true;
	return state_set(&a->s.device, a->settings->device, err);
}

static struct protocol_answer answer_of(const struct agent *a)
{
	return (struct protocol_answer){
		.status = a->answer.status,
		.mac = a->answer.mac,
		.body = { a->answer.body.p, a->answer.body.n },
	};
}

/* Modules as the server wants them: without what is only ours. */
static json_t *plain_modules(const json_t *modules)
{
	json_t *out = json_array(), *entry;
	size_t i;

	json_array_foreach (modules, i, entry) {
		json_t *row =
			json_pack("{s:O, s:O, s:O*}", "module", json_object_get(entry, "module"),
				"version", json_object_get(entry, "version"), "sha256",
				json_object_get(entry, "sha256"));

		if (json_array_append_new(out, row) != 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

enum fl_code talk_enrol(struct agent *a, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf token = { 0 };
	FL_AUTO_JSON json_t *modules = plain_modules(a->s.good_modules);
	const struct settings *s = a->settings;
	struct protocol_device device = { .id = s->device,
		.tier = s->tier,
		.gateway = s->gateway[0] == '\0' ? NULL : s->gateway,
		.installed = modules };
	struct protocol_enrolment e = { 0 };
	struct protocol_answer answer;
	enum fl_code code = read_token(a, &token, err);

	if (code == FL_OK)
		code = read_attributes(a, err);
	device.attributes = a->attributes;
	if (code == FL_OK)
		code = protocol_enrol(&a->message, &device, &a->key, (const char *)token.p,
			agent_now_ms(a) / 1000, err);
	if (code == FL_OK)
		code = http_send(a->http, &a->message, &a->answer, err);
	fl_wipe(token.p, token.n);
	if (code != FL_OK)
		return code;
	answer = answer_of(a);
	code = protocol_enrol_read(&answer, &e, err);
	if (code == FL_OK)
		code = keep_root(a, &e, err);
	free(e.root);
	return code;
}

enum fl_code talk_trust(struct agent *a, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	enum fl_code code;

	if (a->trusted)
		return FL_OK;
	fl_json_write(&text, a->s.root);
	code = fl_buf_check(&text, err);
	if (code == FL_OK)
		code = fl_root_first(fl_bytes(text.p, text.n), &a->root, err);
	a->trusted = code == FL_OK;
	return code;
}

/* ---- sessions */

/* Take the server's clock when ours is far off: a device without a clock has no other. */
static void set_clock(struct agent *a, int64_t server_ms)
{
	int64_t skew = server_ms - (agent_now_ms(a) - a->clock_skew_ms);

	if (server_ms == 0)
		return;
	a->clock_skew_ms = skew > SKEW_MS || skew < -SKEW_MS ? skew : 0;
}

/* *server_ms: the clock that a refusal tells, 0 otherwise. */
static enum fl_code shake_hands(struct agent *a, int64_t *server_ms, struct fl_err *err)
{
	struct protocol_party party = {
		.device = a->s.device, .key = &a->key, .trust = &a->root.manifest
	};
	struct protocol_answer answer;
	enum fl_code code =
		protocol_handshake(&a->message, a->s.device, &a->key, agent_now_ms(a) / 1000, err);

	if (code == FL_OK)
		code = http_send(a->http, &a->message, &a->answer, err);
	if (code != FL_OK)
		return code;
	answer = answer_of(a);
	*server_ms = protocol_clock(&answer);
	return protocol_handshake_read(&a->message, &answer, &party, &a->session, err);
}

enum fl_code talk_session(struct agent *a, struct fl_err *err)
{
	int64_t server_ms = 0;
	enum fl_code code;

	if (a->session_open)
		return FL_OK;
	code = talk_trust(a, err);
	if (code == FL_OK)
		code = read_attributes(a, err);
	if (code == FL_OK)
		code = shake_hands(a, &server_ms, err);
	if (code == FL_UNAUTHENTICATED && server_ms != 0) {
		set_clock(a, server_ms);
		if (a->clock_skew_ms != 0)
			code = shake_hands(a, &server_ms, err);
	}
	if (code != FL_OK)
		return code;
	set_clock(a, a->session.server_time_ms);
	a->session_open = true;
	return FL_OK;
}

/* Send a->message and believe the answer, or not. A lost session is made anew by the next call. */
static enum fl_code exchange(struct agent *a, int64_t *newest, struct fl_err *err)
{
	struct protocol_answer answer;
	enum fl_code code = http_send(a->http, &a->message, &a->answer, err);

	if (code != FL_OK)
		return code;
	answer = answer_of(a);
	code = protocol_check(&a->message, &a->session, &answer, a->s.accepted, newest, err);
	if (code == FL_UNAUTHENTICATED)
		a->session_open = false;
	return code;
}

/* `build` makes the message under the session there is; once more with a new one on a 401. */
static enum fl_code ask(struct agent *a,
	enum fl_code (*build)(struct agent *a, const void *what, struct fl_err *err),
	const void *what, int64_t *newest, struct fl_err *err)
{
	enum fl_code code = FL_UNAUTHENTICATED;

	for (int i = 0; i < 2 && (code == FL_UNAUTHENTICATED || code == FL_NONCE); i++) {
		code = talk_session(a, err);
		if (code == FL_OK)
			code = build(a, what, err);
		if (code == FL_OK)
			code = exchange(a, newest, err);
	}
	return code;
}

static enum fl_code check_status(const struct agent *a, struct fl_err *err)
{
	struct protocol_answer answer = answer_of(a);

	return answer.status >= 200 && answer.status < 300 ? FL_OK : protocol_problem(&answer, err);
}

/* ---- reports */

static enum fl_code build_report(struct agent *a, const void *what, struct fl_err *err)
{
	enum fl_code code = protocol_report_body(&a->message, what, &a->key, err);

	if (code != FL_OK)
		return code;
	return protocol_report(&a->message, &a->session, a->s.accepted, agent_now_ms(a), err);
}

/* An answer to a report or a poll says whether a freeze holds; one without a body leaves a poll's word. */
static void note_hold(struct agent *a, bool held)
{
	a->dirty = a->dirty || a->s.held != held;
	a->s.held = held;
}

static bool says_hold(const struct agent *a)
{
	const struct protocol_answer answer = answer_of(a);

	return protocol_holds(&answer);
}

/* What a final report says is installed, the server knows from then on. */
static void note_inventory(struct agent *a, const json_t *report);

enum fl_code talk_reports(struct agent *a, struct fl_err *err)
{
	while (json_array_size(a->s.outbox) > 0) {
		const json_t *report = json_array_get(a->s.outbox, 0);
		int64_t newest;
		enum fl_code code = ask(a, build_report, report, &newest, err);

		if (code != FL_OK)
			return code;
		code = check_status(a, err);
		if (code == FL_UNAVAILABLE || code == FL_BUSY)
			return code;
		if (code != FL_OK) {
			const char *why = err->msg;

			fl_log_warning("the server will never take a report; it is dropped",
				FL_S("why", why));
		} else {
			note_inventory(a, report);
			note_hold(a, says_hold(a));
		}
		(void)json_array_remove(a->s.outbox, 0);
		a->dirty = true;
	}
	return FL_OK;
}

/* ---- inventory */

/* Digest of attributes and modules, as 64 digits. */
static enum fl_code inventory_digest(const struct agent *a, const json_t *modules,
	char out[FL_SHA256_HEX + 1], struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	uint8_t sha256[FL_SHA256_LEN];
	enum fl_code code = fl_json_canonical(&text, a->attributes, err);

	if (code == FL_OK)
		code = fl_json_canonical(&text, modules, err);
	if (code == FL_OK)
		code = fl_buf_check(&text, err);
	if (code != FL_OK)
		return code;
	fl_sha256(fl_bytes(text.p, text.n), sha256);
	fl_hex(sha256, sizeof(sha256), out);
	return FL_OK;
}

static void note_inventory(struct agent *a, const json_t *report)
{
	const json_t *installed = json_object_get(report, "installed");
	char digest[FL_SHA256_HEX + 1];

	if (installed != NULL && a->s.inventory != NULL &&
		inventory_digest(a, installed, digest, NULL) == FL_OK &&
		state_set(&a->s.inventory, digest, NULL) != FL_OK)
		return; /* it is sent once more then */
}

static enum fl_code build_inventory(struct agent *a, const void *what, struct fl_err *err)
{
	enum fl_code code = protocol_inventory_body(&a->message, a->attributes, what, err);

	if (code != FL_OK)
		return code;
	return protocol_inventory(&a->message, &a->session, a->s.accepted, agent_now_ms(a), err);
}

enum fl_code talk_inventory(struct agent *a, struct fl_err *err)
{
	FL_AUTO_JSON json_t *modules = plain_modules(a->s.good_modules);
	char digest[FL_SHA256_HEX + 1];
	int64_t newest;
	enum fl_code code = modules == NULL ? fl_fail(err, FL_NOMEM, "no memory for the inventory")
					    : talk_session(a, err);

	if (code == FL_OK)
		code = inventory_digest(a, modules, digest, err);
	if (code != FL_OK || (a->s.inventory != NULL && strcmp(a->s.inventory, digest) == 0))
		return code;
	code = ask(a, build_inventory, modules, &newest, err);
	if (code == FL_OK)
		code = check_status(a, err);
	if (code != FL_OK)
		return code;
	a->dirty = true;
	return state_set(&a->s.inventory, digest, err);
}

/* ---- poll and offers */

static enum fl_code build_poll(struct agent *a, const void *what, struct fl_err *err)
{
	(void)what;
	return protocol_poll(&a->message, &a->session, a->s.accepted, agent_now_ms(a), err);
}

enum fl_code talk_poll(struct agent *a, int64_t *newest, struct fl_err *err)
{
	enum fl_code code = ask(a, build_poll, NULL, newest, err);

	if (code == FL_OK)
		code = check_status(a, err);
	if (code == FL_OK && a->answer.status == 200)
		note_hold(a, says_hold(a));
	return code;
}

static enum fl_code build_ask(struct agent *a, const void *what, struct fl_err *err)
{
	return protocol_ask(&a->message, &a->session, what, a->s.accepted, agent_now_ms(a), err);
}

enum fl_code talk_ask(struct agent *a, const struct protocol_wish *wish, struct fl_err *err)
{
	int64_t newest;
	enum fl_code code = ask(a, build_ask, wish, &newest, err);

	return code == FL_OK ? check_status(a, err) : code;
}
