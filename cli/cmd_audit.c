/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/audit.h"
#include "cli/list.h"
#include "cli/text.h"
#include "cli/value.h"

#include "lib/envelope.h" /* fl_utc_read */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RECONNECT_MS 1000

static const struct table_column columns[] = {
	{ .title = "SEQ", .right = true },
	{ .title = "AT" },
	{ .title = "ACTOR", .cut = true },
	{ .title = "KIND" },
	{ .title = "SUBJECT", .cut = true },
	{ .title = "DATA", .cut = true },
};

static void row(struct table *t, const json_t *event)
{
	FL_AUTO_BUF struct fl_buf data = { 0 };

	value_pairs(&data, json_object_get(event, "data"), " ");
	table_addf(t, TERMINAL_PLAIN, "%lld", (long long)value_int(event, "seq"));
	table_add(t, value_text(event, "at"));
	table_add(t, value_text(event, "actor"));
	table_add(t, value_text(event, "kind"));
	table_add(t, value_text(event, "subject"));
	table_add(t, (char *)data.p);
}

/* ---- ls */
struct ls_options {
	struct list_options list;
	int64_t after;
	const char *subject, *kind, *actor;
	bool newest;
};

static const struct options_row ls_rows[] = {
	{ .name = "after",
		.type = OPTIONS_COUNT,
		.offset = offsetof(struct ls_options, after),
		.argument = "SEQ",
		.help = "only those behind this number" },
	{ .name = "subject",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct ls_options, subject),
		.argument = "NAME",
		.help = "only those about this module, device, rollout, ..." },
	{ .name = "kind",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct ls_options, kind),
		.argument = "KIND",
		.help = "only this kind, or group of kinds: rollout.state, rollout" },
	{ .name = "actor",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct ls_options, actor),
		.argument = "NAME",
		.help = "only what this token, device or fleetd did" },
	{ .name = "newest",
		.type = OPTIONS_FLAG,
		.offset = offsetof(struct ls_options, newest),
		.help = "the newest first" },
	LIST_ROWS(struct ls_options),
	{ 0 },
};

static enum fl_code ls(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct ls_options *o = options;
	FL_AUTOFREE char *path = text_format("/api/v1/events");

	if (o->after != OPTIONS_UNSET)
		api_query_int(&path, "after", o->after);
	if (o->subject != NULL)
		api_query(&path, "subject", o->subject);
	if (o->kind != NULL)
		api_query(&path, "kind", o->kind);
	if (o->actor != NULL)
		api_query(&path, "actor", o->actor);
	if (o->newest)
		api_query(&path, "order", "newest");
	return list_run(cli, path, &o->list, LIST_VIEW(columns, row, "events"), NULL, err);
}

/* ---- watch */
struct watch_options {
	int64_t after;
	int64_t count;
};

static const struct options_row watch_rows[] = {
	{ .name = "after",
		.type = OPTIONS_COUNT,
		.offset = offsetof(struct watch_options, after),
		.argument = "SEQ",
		.help = "begin behind this number (with the next one)" },
	{ .name = "count",
		.letter = 'n',
		.type = OPTIONS_COUNT,
		.offset = offsetof(struct watch_options, count),
		.argument = "N",
		.help = "end after N events" },
	{ 0 },
};

/* A stream of server-sent events while it is taken apart into lines. */
struct stream {
	const struct cli *cli;
	struct fl_buf line, data;
	char kind[64];
	int64_t seq;  /* the last one seen; -1: none */
	int64_t left; /* how many more to print; below 0: no end */
};

static void print_event(const struct stream *s, const json_t *event)
{
	FL_AUTO_BUF struct fl_buf data = { 0 };
	const char *at = value_text(event, "at");
	const char *actor = value_text(event, "actor");
	const char *subject = value_text(event, "subject");
	const char *kind = value_text(event, "kind");

	if (strcmp(s->kind, "pruned") == 0) {
		cli_warn("events %lld to %lld were pruned and are not shown",
			(long long)value_int(event, "after") + 1,
			(long long)value_int(event, "through"));
		return;
	}
	if (strcmp(s->kind, "rewound") == 0) {
		cli_warn("there is no event %lld: the trail ends at %lld; what comes behind that "
			 "is shown",
			(long long)value_int(event, "after"), (long long)value_int(event, "head"));
		return;
	}
	if (s->cli->globals.json) { /* NDJSON: there is no end that could close one document */
		(void)json_dumpf(event, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
		(void)putchar('\n');
		return;
	}
	value_pairs(&data, json_object_get(event, "data"), " ");
	cli_say(s->cli, "%lld  %s  %s  %s  %s  %s", (long long)s->seq, at != NULL ? at : "-",
		kind != NULL ? kind : s->kind, subject != NULL ? subject : "-",
		actor != NULL ? actor : "-", data.n > 0 ? (char *)data.p : "");
}

/* An empty line ends an event. False when enough were seen. */
static bool end_event(struct stream *s)
{
	FL_AUTO_JSON json_t *event = NULL;

	if (s->data.n == 0)
		return true;
	if (fl_json_parse((struct fl_bytes){ s->data.p, s->data.n }, &event, NULL) == FL_OK) {
		if (value_int(event, "seq") >= 0)
			s->seq = value_int(event, "seq");
		print_event(s, event);
		if (s->left > 0)
			s->left--;
	}
	fl_buf_reset(&s->data);
	(void)fflush(stdout);
	return s->left != 0 && ferror(stdout) == 0;
}

static bool take_line(struct stream *s)
{
	const char *line = s->line.p == NULL ? "" : (const char *)s->line.p;

	if (line[0] == '\0' || line[0] == '\r')
		return end_event(s);
	if (strncmp(line, "id:", 3) == 0)
		s->seq = strtoll(line + 3, NULL, 10);
	else if (strncmp(line, "event:", 6) == 0)
		(void)snprintf(s->kind, sizeof(s->kind), "%s", line + 6 + strspn(line + 6, " "));
	else if (strncmp(line, "data:", 5) == 0)
		fl_buf_str(&s->data, line + 5);
	return true;
}

static bool on_bytes(void *cls, const char *bytes, size_t n)
{
	struct stream *s = cls;

	for (size_t i = 0; i < n; i++) {
		bool more = true;

		if (bytes[i] != '\n') {
			fl_buf_byte(&s->line, (uint8_t)bytes[i]);
			continue;
		}
		more = take_line(s);
		fl_buf_reset(&s->line);
		if (!more)
			return false;
	}
	text_check(&s->line);
	return true;
}

/* One connection; it ends when the server or the network ends it. */
static enum fl_code listen_once(struct cli *cli, struct stream *s, struct fl_err *err)
{
	API_AUTO_REPLY struct api_reply reply = { 0 };
	FL_AUTOFREE char *path = text_format("/api/v1/events");

	if (s->seq >= 0)
		api_query_int(&path, "after", s->seq);
	fl_buf_reset(&s->line);
	fl_buf_reset(&s->data);
	return cli_call(cli,
		&(struct api_request){ .method = "GET",
			.path = path,
			.accept = "text/event-stream",
			.sink = on_bytes,
			.sink_cls = s },
		&reply, err);
}

static enum fl_code watch(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct watch_options *o = options;
	struct stream s = { .cli = cli, .seq = o->after, .left = o->count };
	enum fl_code code;
	bool lost = false;

	for (;;) {
		code = listen_once(cli, &s, err);
		if (code == FL_STOPPED) {
			code = FL_OK;
			break;
		}
		if (code != FL_OK && code != FL_NETWORK && code != FL_UNAVAILABLE &&
			code != FL_TIMEOUT)
			break;
		if (code != FL_OK && s.seq < 0) /* never got through */
			break;
		if (code != FL_OK && !lost)
			cli_note(cli, "%s; trying again", err->msg);
		lost = code != FL_OK;
		api_sleep_ms(RECONNECT_MS);
	}
	fl_buf_fini(&s.line);
	fl_buf_fini(&s.data);
	return code;
}

static const struct command cmd_ls = {
	.name = "ls",
	.help = "list the audit trail, oldest first",
	.examples = "fleetctl audit ls --after 1200\n",
	.run = ls,
	.options = ls_rows,
	.options_size = sizeof(struct ls_options),
};
static const struct command cmd_watch = {
	.name = "watch",
	.help = "print events as they happen",
	.prose = "Goes on behind the last event when the connection breaks, so that none is "
		 "missed. With "
		 "--json each event is a line of its own.\n\n",
	.examples = "fleetctl audit watch --after 0 --json | jq -r .kind\n",
	.run = watch,
	.options = watch_rows,
	.options_size = sizeof(struct watch_options),
};

/* ---- export */

static enum fl_code export(struct cli *cli, const void *options, struct fl_err *err) {
	const char *path = cli_operand(cli, 0);
	FILE *out = path == NULL || strcmp(path, "-") == 0 ? stdout : fopen(path, "wx");
	struct audit_result r = { 0 };
	enum fl_code code;

	(void)options;
	if (out == NULL) return fl_fail_errno(err, errno, "%s cannot be made", path);
	code = audit_export(cli, out, &r, err);
	if (out == stdout ? fflush(out) != 0 : fclose(out) != 0)
		code = code != FL_OK ? code : fl_fail_errno(err, errno, "cannot write the export");
	if (code == FL_OK) cli_note(cli, "%lld events, up to %lld, with a head signed by %.16s",
		(long long)r.lines, (long long)r.last, r.keyid);
	else if (out != stdout)(void) remove(path);
	return code;
}

/* ---- verify */

struct verify_options {
	const char *key, *since;
};

static const struct options_row verify_rows[] = {
	{ .name = "key",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct verify_options, key),
		.argument = "FILE",
		.help = "the audit key, as `audit key` printed it" },
	{ .name = "since",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct verify_options, since),
		.argument = "FILE",
		.help = "an older export: the trail must go on from it" },
	{ 0 },
};

static json_t *result_json(const struct audit_result *r)
{
	return json_pack("{s:b, s:I, s:I, s:I, s:s, s:b, s:I}", "whole", 1, "first",
		(json_int_t)r->first, "last", (json_int_t)r->last, "lines", (json_int_t)r->lines,
		"keyid", r->keyid, "key_given", (int)r->key_given, "pruned_through",
		(json_int_t)r->pruned);
}

static enum fl_code verify(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct verify_options *o = options;
	struct audit_check check = {
		.file = cli_operand(cli, 0), .key_file = o->key, .since_file = o->since
	};
	struct audit_result r = { 0 };
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = audit_verify(cli, &check, &r, err);

	if (code != FL_OK)
		return code;
	json = result_json(&r);
	if (cli_json(cli, json))
		return FL_OK;
	cli_say(cli, "whole: events %lld to %lld fit together, and the head is signed by %.16s",
		(long long)r.first, (long long)r.last, r.keyid);
	if (r.pruned > 0)
		cli_say(cli, "events up to %lld were pruned; a signed checkpoint stands for them",
			(long long)r.pruned);
	if (!r.key_given)
		cli_note(cli,
			"that key was named by %s itself; keep it with `fleetctl audit key` and "
			"give --key to be sure of the signer",
			check.file != NULL ? "the file" : "the server");
	return FL_OK;
}

/* ---- key */

static enum fl_code key(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTO_JSON json_t *head = NULL;
	enum fl_code code = cli_get(cli, "/api/v1/audit/head", &head, err);

	(void)options;
	if (code != FL_OK)
		return code;
	(void)json_dumpf(json_object_get(head, "key"), stdout, JSON_COMPACT | JSON_SORT_KEYS);
	(void)putchar('\n');
	return FL_OK;
}

/* ---- prune */

struct prune_options {
	const char *before;
};

static const struct options_row prune_rows[] = {
	{ .name = "before",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct prune_options, before),
		.argument = "WHEN",
		.help = "a time as 2026-01-02T03:04:05Z, or an age as 365d" },
	{ 0 },
};

/* A time as it is, an age as the time so long ago. */
static enum fl_code read_before(const char *text, char out[21], struct fl_err *err)
{
	int64_t ms = 0, age_s = 0;

	if (text == NULL)
		return fl_fail(err, FL_INVALID, "say which events shall go: --before WHEN");
	if (fl_utc_read(text, &ms, NULL) != FL_OK) {
		enum fl_code code = text_duration_parse(text, &age_s, err);

		if (code != FL_OK)
			return code;
		ms = ((int64_t)time(NULL) - age_s) * 1000;
	}
	if (ms < 0)
		return fl_fail(
			err, FL_INVALID, "\"%.40s\" is longer ago than there are times", text);
	fl_utc_write(ms, out);
	return FL_OK;
}

static enum fl_code prune(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct prune_options *o = options;
	char before[21];
	int64_t pruned = 0;
	bool more = true;
	FL_AUTO_JSON json_t *answer = NULL;
	enum fl_code code = read_before(o->before, before, err);

	while (code == FL_OK && more) {
		FL_AUTO_JSON json_t *body = json_pack("{s:s}", "before", before);

		json_decref(answer);
		answer = NULL;
		code = cli_send(cli,
			&(struct api_request){
				.method = "POST", .path = "/api/v1/audit/prune", .body = body },
			&answer, NULL, err);
		if (code == FL_OK)
			pruned += value_int(answer, "pruned");
		more = value_bool(answer, "more");
	}
	if (code != FL_OK)
		return code;
	(void)json_object_set_new(answer, "pruned", json_integer(pruned));
	if (!cli_json(cli, answer))
		cli_say(cli, "%lld events older than %s were pruned", (long long)pruned, before);
	return FL_OK;
}

static const struct command cmd_export = {
	.name = "export",
	.operands = "[FILE]",
	.help = "write the whole trail with its signed head",
	.prose = "The file has one JSON object a line: first the key and the newest checkpoint, "
		 "then the "
		 "events, at last the signed head. Without FILE it goes to standard output.\n\n",
	.examples = "fleetctl audit export 2026-11.ndjson\n",
	.run = export,
};
static const struct command cmd_verify = {
	.name = "verify",
	.operands = "[FILE]",
	.help = "find any event that was altered, removed or reordered",
	.prose = "Follows the chain of hashes from the beginning (or the newest checkpoint) and "
		 "compares "
		 "its end with the signed head and with the one that the server has kept apart. "
		 "With FILE, an export, no server is asked.\n\n"
		 "Whoever holds the audit key could write another history: keep an export "
		 "elsewhere from time "
		 "to time and give it with --since.\n\n",
	.examples = "fleetctl audit verify --key audit.pub --since 2026-10.ndjson\n"
		    "fleetctl audit verify 2026-11.ndjson --key audit.pub\n",
	.run = verify,
	.options = verify_rows,
	.options_size = sizeof(struct verify_options),
};
static const struct command cmd_key = {
	.name = "key",
	.help = "print the public key that signs heads of the trail",
	.examples = "fleetctl audit key > audit.pub\n",
	.run = key,
};
static const struct command cmd_prune = {
	.name = "prune",
	.help = "delete old events; a signed checkpoint stands for them",
	.prose = "Events that a webhook has not delivered yet stay.\n\n",
	.examples = "fleetctl audit export old.ndjson && fleetctl audit prune --before 365d\n",
	.run = prune,
	.options = prune_rows,
	.options_size = sizeof(struct prune_options),
};

const struct command cmd_audit = {
	.name = "audit",
	.help = "the audit trail: who did what, what the engine decided",
	.children = (const struct command *const[]){ &cmd_ls, &cmd_watch, &cmd_export, &cmd_verify,
		&cmd_key, &cmd_prune, NULL },
};
