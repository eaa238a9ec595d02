/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/list.h"
#include "cli/text.h"
#include "cli/value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- ls */
struct ls_options {
	struct list_options list;
	const char *selector;
};

static const struct options_row ls_rows[] = {
	{ .name = "selector",
		.letter = 's',
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct ls_options, selector),
		.argument = "RSQL",
		.help = "only devices that match, as 'label.site==lab;installed.app<2.0.0'" },
	LIST_ROWS(struct ls_options),
	{ 0 },
};

static const struct table_column ls_columns[] = {
	{ .title = "DEVICE" },
	{ .title = "TIER" },
	{ .title = "GATEWAY", .cut = true },
	{ .title = "INSTALLED", .cut = true },
	{ .title = "LABELS", .cut = true },
	{ .title = "LAST SEEN" },
};

static void ls_row(struct table *t, const json_t *device)
{
	FL_AUTO_BUF struct fl_buf installed = { 0 }, labels = { 0 };
	const char *retired = value_text(device, "retired_at");
	char text[TEXT_SHORT];

	value_modules(&installed, json_object_get(device, "installed"));
	value_pairs(&labels, json_object_get(device, "labels"), " ");
	table_add(t, value_text(device, "id"));
	table_add(t, value_text(device, "tier"));
	table_add(t, value_text(device, "gateway"));
	table_add(t, (char *)installed.p);
	table_add(t, (char *)labels.p);
	if (retired != NULL)
		table_addf(t, TERMINAL_DIM, "retired");
	else if (value_text(device, "last_seen") == NULL)
		table_addf(t, TERMINAL_DIM, "never");
	else
		table_add(t, text_age(text, value_text(device, "last_seen"), time(NULL)));
}

static enum fl_code ls(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct ls_options *o = options;
	FL_AUTOFREE char *path = text_format("/api/v1/devices");

	api_query(&path, "q", o->selector);
	return list_run(cli, path, &o->list,
		LIST_VIEW(
			ls_columns, ls_row, o->selector != NULL ? "devices that match" : "devices"),
		NULL, err);
}

/* ---- show */
static const struct table_column step_columns[] = {
	{ .title = "ROLLOUT", .cut = true },
	{ .title = "STAGE" },
	{ .title = "STATE" },
	{ .title = "CAUSE" },
	{ .title = "CHANGED" },
};

static void show_steps(const struct cli *cli, const json_t *steps)
{
	TABLE_AUTO struct table t = { .columns = step_columns,
		.n_columns = FL_COUNT(step_columns) };
	char text[TEXT_SHORT];

	for (size_t i = 0; i < json_array_size(steps); i++) {
		const json_t *step = json_array_get(steps, i);
		const char *cause = value_text(step, "cause");

		table_add(&t, value_text(step, "rollout"));
		table_addf(&t, TERMINAL_PLAIN, "L%lld.W%lld", (long long)value_int(step, "layer"),
			(long long)value_int(step, "wave"));
		table_add(&t, value_text(step, "state"));
		table_add(&t, cause != NULL && strcmp(cause, "none") != 0 ? cause : NULL);
		table_add(&t, text_age(text, value_text(step, "changed_at"), time(NULL)));
	}
	if (t.n_cells == 0)
		return;
	(void)putchar('\n');
	table_print(&t, &cli->out, stdout, false);
}

static void field_pairs(struct table *t, const char *name, const json_t *object)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	value_pairs(&b, object, "  ");
	table_field(t, name, b.n > 0 ? (char *)b.p : NULL);
}

static void show_device(const struct cli *cli, const json_t *device)
{
	TABLE_AUTO struct table t = TABLE_FIELDS;
	FL_AUTO_BUF struct fl_buf installed = { 0 };
	char text[TEXT_SHORT];

	value_modules(&installed, json_object_get(device, "installed"));
	table_field(&t, "device", value_text(device, "id"));
	table_field(&t, "tier", value_text(device, "tier"));
	table_field(&t, "gateway", value_text(device, "gateway"));
	table_field(&t, "installed", installed.n > 0 ? (char *)installed.p : "nothing known");
	field_pairs(&t, "attributes", json_object_get(device, "attributes"));
	field_pairs(&t, "labels", json_object_get(device, "labels"));
	table_field(&t, "manifest", text_count(text, value_int(device, "manifest")));
	table_field(&t, "enrolled", value_bool(device, "enrolled") ? "yes" : "no");
	table_field(&t, "last seen",
		value_text(device, "last_seen") == NULL
			? "never"
			: text_age(text, value_text(device, "last_seen"), time(NULL)));
	table_field(&t, "created", text_age(text, value_text(device, "created_at"), time(NULL)));
	if (value_text(device, "retired_at") != NULL)
		table_field(&t, "retired",
			text_age(text, value_text(device, "retired_at"), time(NULL)));
	table_print(&t, &cli->out, stdout, false);
	show_steps(cli, json_object_get(device, "steps"));
}

static enum fl_code show(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/devices/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *device = NULL;
	enum fl_code code = cli_get(cli, path, &device, err);

	(void)options;
	if (code == FL_OK && !cli_json(cli, device))
		show_device(cli, device);
	return code;
}

/* ---- label */
struct label_options {
	const char *gateway;
	bool no_gateway;
};

static const struct options_row label_rows[] = {
	{ .name = "gateway",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct label_options, gateway),
		.argument = "DEVICE",
		.help = "put the device behind this gateway" },
	{ .name = "no-gateway",
		.type = OPTIONS_FLAG,
		.offset = offsetof(struct label_options, no_gateway),
		.help = "the device stands behind no gateway" },
	{ 0 },
};

/* "site=lab" sets, "site-" removes. */
static enum fl_code parse_labels(const struct cli *cli, json_t *labels, struct fl_err *err)
{
	for (size_t i = 1; i < cli->n_operands; i++) {
		const char *text = cli->operands[i];
		size_t length = strlen(text);
		size_t n = strcspn(text, "=");
		bool remove = text[n] == '\0' && length > 1 && text[length - 1] == '-';
		FL_AUTOFREE char *key = text_format("%.*s", (int)(remove ? length - 1 : n), text);

		if (n == 0 || (text[n] == '\0' && !remove))
			return fl_fail(err, FL_INVALID,
				"\"%.80s\" is no label; KEY=VALUE sets one, KEY- removes it", text);
		if (json_object_set_new(
			    labels, key, remove ? json_null() : json_string(text + n + 1)) != 0)
			return fl_fail(err, FL_INVALID, "the label \"%.80s\" is not UTF-8", text);
	}
	return FL_OK;
}

static enum fl_code label(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct label_options *o = options;
	FL_AUTOFREE char *path = api_path("/api/v1/devices/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *body = json_object();
	FL_AUTO_JSON json_t *device = NULL;
	json_t *labels = json_object();
	enum fl_code code = parse_labels(cli, labels, err);

	(void)json_object_set_new(body, "labels", labels);
	if (code == FL_OK && cli->n_operands == 1 && o->gateway == NULL && !o->no_gateway)
		code = fl_fail(
			err, FL_INVALID, "say what to change: KEY=VALUE, KEY- or --gateway DEVICE");
	if (code != FL_OK)
		return code;
	if (cli->n_operands == 1)
		(void)json_object_del(body, "labels");
	if (o->gateway != NULL || o->no_gateway)
		(void)json_object_set_new(
			body, "gateway", o->no_gateway ? json_null() : json_string(o->gateway));
	code = cli_send(cli, &(struct api_request){ .method = "PATCH", .path = path, .body = body },
		&device, NULL, err);
	if (code == FL_OK && !cli_json(cli, device)) {
		FL_AUTO_BUF struct fl_buf b = { 0 };

		value_pairs(&b, json_object_get(device, "labels"), " ");
		cli_say(cli, "%s  %s", cli_operand(cli, 0),
			b.n > 0 ? (char *)b.p : "has no labels");
	}
	return code;
}

/* ---- retire */
static enum fl_code retire(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTO_JSON json_t *answers = json_array();

	(void)options;
	for (size_t i = 0; i < cli->n_operands; i++) {
		FL_AUTOFREE char *path = api_path("/api/v1/devices/{}", cli->operands[i]);
		json_t *answer = NULL;
		enum fl_code code =
			cli_send(cli, &(struct api_request){ .method = "DELETE", .path = path },
				&answer, NULL, err);

		if (code != FL_OK)
			return code;
		(void)json_array_append_new(answers, answer != NULL ? answer : json_null());
		cli_say(cli, "%s is retired", cli->operands[i]);
	}
	(void)cli_json(cli, cli->n_operands == 1 ? json_array_get(answers, 0) : answers);
	return FL_OK;
}

/* ---- import */

/* The size of a body must be known before it is sent: what comes from a pipe is copied to a file
 * that has no name. */
static enum fl_code spool(FILE **out, struct fl_err *err)
{
	FILE *f = tmpfile();
	char chunk[65536];
	size_t n;

	if (f == NULL)
		return fl_fail_errno(err, errno, "cannot make a temporary file");
	while ((n = fread(chunk, 1, sizeof(chunk), stdin)) > 0) {
		if (fwrite(chunk, 1, n, f) != n) {
			enum fl_code code =
				fl_fail_errno(err, errno, "cannot write a temporary file");

			(void)fclose(f);
			return code;
		}
	}
	rewind(f);
	*out = f;
	return FL_OK;
}

static enum fl_code open_import(const char *path, FILE **out, int64_t *bytes, struct fl_err *err)
{
	struct stat st;
	enum fl_code code = FL_OK;

	if (path == NULL || strcmp(path, "-") == 0) {
		code = spool(out, err);
	} else {
		*out = fopen(path, "rbe");
		if (*out == NULL)
			code = errno == ENOENT
				? fl_fail(err, FL_NOT_FOUND, "there is no file %s", path)
				: fl_fail_errno(err, errno, "cannot read %s", path);
	}
	if (code != FL_OK)
		return code;
	if (fstat(fileno(*out), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
		(void)fclose(*out);
		*out = NULL;
		return fl_fail(err, FL_INVALID,
			"there is nothing to import: give NDJSON, one device a line");
	}
	*bytes = st.st_size;
	return FL_OK;
}

/* Lines that the server refused; with any, the command fails though the others are stored. */
static enum fl_code show_import(const struct cli *cli, const json_t *answer, struct fl_err *err)
{
	const json_t *errors = json_object_get(answer, "errors");
	int64_t refused = value_int(answer, "refused");
	char a[TEXT_SHORT], b[TEXT_SHORT], c[TEXT_SHORT];

	if (!cli_json(cli, answer)) {
		cli_say(cli, "%s created, %s changed, %s unchanged",
			text_count(a, value_int(answer, "created")),
			text_count(b, value_int(answer, "changed")),
			text_count(c, value_int(answer, "unchanged")));
		for (size_t i = 0; i < json_array_size(errors); i++) {
			const json_t *one = json_array_get(errors, i);
			const char *detail = value_text(one, "detail");

			cli_note(cli, "line %lld: %s", (long long)value_int(one, "line"),
				detail != NULL ? detail : "refused");
		}
	}
	if (refused > 0)
		return fl_fail(err, FL_REFUSED,
			"%lld line%s refused; the other lines are stored; correct and send those "
			"again",
			(long long)refused, refused == 1 ? " was" : "s were");
	return FL_OK;
}

static enum fl_code import(struct cli *cli, const void *options, struct fl_err *err)
{
	API_AUTO_REPLY struct api_reply reply = { 0 };
	struct progress bar;
	struct api_request rq = { .method = "POST",
		.path = "/api/v1/devices",
		.type = "application/x-ndjson",
		.progress = &bar };
	enum fl_code code = open_import(cli_operand(cli, 0), &rq.file, &rq.file_bytes, err);

	(void)options;
	if (code != FL_OK)
		return code;
	progress_begin(&bar, cli->globals.quiet, "importing devices", 0, rq.file_bytes);
	code = cli_call(cli, &rq, &reply, err);
	progress_end(&bar);
	(void)fclose(rq.file);
	return code == FL_OK ? show_import(cli, reply.json, err) : code;
}

/* ---- reports */
struct reports_options {
	struct list_options list;
};

static const struct options_row reports_rows[] = { LIST_ROWS(struct reports_options), { 0 } };

static const struct table_column report_columns[] = {
	{ .title = "AT" },
	{ .title = "STATE" },
	{ .title = "CAUSE" },
	{ .title = "STEP", .right = true },
	{ .title = "DETAIL", .cut = true },
};

static void report_row(struct table *t, const json_t *report)
{
	const char *cause = value_text(report, "cause");

	table_add(t, value_text(report, "at"));
	table_add(t, value_text(report, "state"));
	table_add(t, cause != NULL && strcmp(cause, "none") != 0 ? cause : NULL);
	table_add(t, value_text(report, "step"));
	table_add(t, value_text(report, "detail"));
}

static enum fl_code reports(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct reports_options *o = options;
	FL_AUTOFREE char *path = api_path("/api/v1/devices/{}/reports", cli_operand(cli, 0));

	return list_run(cli, path, &o->list,
		LIST_VIEW(report_columns, report_row, "reports of this device"), NULL, err);
}

static const struct command cmd_ls = {
	.name = "ls",
	.help = "list devices",
	.prose =
		"--selector takes RSQL over id, tier, gateway, enrolled, last_seen, attribute.KEY, "
		"label.KEY "
		"and installed.MODULE; ';' is and, ',' is or.\n\n",
	.examples = "fleetctl device ls --selector 'attribute.hw==rev-c;installed.app<2.0.0'\n"
		    "fleetctl device ls --all --quiet | wc -l\n",
	.run = ls,
	.options = ls_rows,
	.options_size = sizeof(struct ls_options),
};
static const struct command cmd_show = {
	.name = "show",
	.operands = "DEVICE",
	.help = "show one device: what it has and what it is at",
	.run = show,
};
static const struct command cmd_label = {
	.name = "label",
	.operands = "DEVICE [LABEL...]",
	.help = "set or remove labels, or the gateway",
	.prose = "KEY=VALUE sets a label, KEY- removes it; others stay.\n\n",
	.examples = "fleetctl device label dev-17 site=lab canary=yes old-\n",
	.run = label,
	.options = label_rows,
	.options_size = sizeof(struct label_options),
};
static const struct command cmd_retire = {
	.name = "retire",
	.operands = "DEVICE...",
	.help = "take devices out of the fleet",
	.prose = "A retired device gets nothing any more and leaves running rollouts as "
		 "removed.\n\n",
	.run = retire,
};
static const struct command cmd_import = {
	.name = "import",
	.operands = "[FILE]",
	.help = "register or change many devices (NDJSON)",
	.prose = "FILE (standard input without one) holds one JSON object a line: {\"id\", "
		 "\"tier\", "
		 "\"gateway\", \"attributes\", \"labels\", \"installed\", \"public_key\"}; only id "
		 "is needed. "
		 "Lines are stored one by one: refused lines are named, the others stay (exit code "
		 "7). The "
		 "same lines again change nothing.\n\n",
	.examples = "fleetctl device import factory.ndjson\n"
		    "echo '{\"id\":\"dev-1\",\"labels\":{\"site\":\"lab\"}}' | fleetctl device "
		    "import\n",
	.run = import,
};
static const struct command cmd_reports = {
	.name = "reports",
	.operands = "DEVICE",
	.help = "list what a device reported",
	.run = reports,
	.options = reports_rows,
	.options_size = sizeof(struct reports_options),
};

const struct command cmd_device = {
	.name = "device",
	.help = "the devices of the fleet",
	.children = (const struct command *const[]){ &cmd_ls, &cmd_show, &cmd_label, &cmd_retire,
		&cmd_import, &cmd_reports, NULL },
};
