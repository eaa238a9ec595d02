/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/list.h"
#include "cli/text.h"
#include "cli/value.h"

#include <stdlib.h>
#include <string.h>

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
};

static const struct options_row ls_rows[] = {
	{ .name = "after",
		.type = OPTIONS_COUNT,
		.offset = offsetof(struct ls_options, after),
		.argument = "SEQ",
		.help = "only those behind this number" },
	LIST_ROWS(struct ls_options),
	{ 0 },
};

static enum fl_code ls(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct ls_options *o = options;
	FL_AUTOFREE char *path = text_format("/api/v1/events");

	if (o->after != OPTIONS_UNSET)
		api_query_int(&path, "after", o->after);
	return list_run(cli, path, &o->list, LIST_VIEW(columns, row, "events"), NULL, err);
}

/* ---- follow */
struct follow_options {
	int64_t after;
	int64_t count;
};

static const struct options_row follow_rows[] = {
	{ .name = "after",
		.type = OPTIONS_COUNT,
		.offset = offsetof(struct follow_options, after),
		.argument = "SEQ",
		.help = "begin behind this number (with the next one)" },
	{ .name = "count",
		.letter = 'n',
		.type = OPTIONS_COUNT,
		.offset = offsetof(struct follow_options, count),
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
static enum fl_code follow_once(struct cli *cli, struct stream *s, struct fl_err *err)
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

static enum fl_code follow(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct follow_options *o = options;
	struct stream s = { .cli = cli, .seq = o->after, .left = o->count };
	enum fl_code code;
	bool lost = false;

	for (;;) {
		code = follow_once(cli, &s, err);
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
	.examples = "fleetctl event ls --after 1200\n",
	.run = ls,
	.options = ls_rows,
	.options_size = sizeof(struct ls_options),
};
static const struct command cmd_follow = {
	.name = "follow",
	.help = "print events as they happen",
	.prose = "Goes on behind the last event when the connection breaks, so that none is "
		 "missed. With "
		 "--json each event is a line of its own.\n\n",
	.examples = "fleetctl event follow --after 0 --json | jq -r .kind\n",
	.run = follow,
	.options = follow_rows,
	.options_size = sizeof(struct follow_options),
};

const struct command cmd_event = {
	.name = "event",
	.help = "the audit trail: who did what, what the engine decided",
	.children = (const struct command *const[]){ &cmd_ls, &cmd_follow, NULL },
};
