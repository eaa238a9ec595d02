/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/explain.h"
#include "cli/list.h"
#include "cli/plan.h"
#include "cli/rollout_verbs.h"
#include "cli/stats.h"
#include "cli/strategy.h"
#include "cli/text.h"
#include "cli/value.h"
#include "cli/watch.h"

#include <string.h>
#include <time.h>

#define PLANNING_MAX_S   120
#define PLANNING_LOOK_MS 250

/* ---- ls */
struct ls_options {
	struct list_options list;
};

static const struct options_row ls_rows[] = { LIST_ROWS(struct ls_options), { 0 } };

static const struct table_column ls_columns[] = {
	{ .title = "ROLLOUT" },
	{ .title = "STATE" },
	{ .title = "RELEASE", .cut = true },
	{ .title = "DEVICES", .right = true },
	{ .title = "STAGES", .right = true },
	{ .title = "CREATED" },
	{ .title = "BY", .cut = true },
	{ .title = "REASON", .cut = true },
};

static void add_count(struct table *t, int64_t n)
{
	char text[TEXT_SHORT];

	table_add(t, n < 0 ? NULL : text_count(text, n));
}

/* "3x4": layers by waves. */
static void add_stages(struct table *t, int64_t layers, int64_t waves)
{
	if (layers < 0 || waves < 0)
		table_add(t, NULL);
	else
		table_addf(t, TERMINAL_PLAIN, "%lldx%lld", (long long)layers, (long long)waves);
}

static void ls_row(struct table *t, const json_t *rollout)
{
	const char *state = value_text(rollout, "state");
	char text[TEXT_SHORT];

	table_add(t, value_text(rollout, "name"));
	table_addf(t, stats_style(state), "%s", state != NULL ? state : "-");
	table_add(t, value_text(rollout, "release"));
	add_count(t, value_int(rollout, "targets"));
	add_stages(t, value_int(rollout, "layers"), value_int(rollout, "waves"));
	table_add(t, text_age(text, value_text(rollout, "created_at"), time(NULL)));
	table_add(t, value_text(rollout, "created_by"));
	table_add(t, value_text(rollout, "reason"));
}

static enum fl_code ls(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct ls_options *o = options;

	return list_run(cli, "/api/v1/rollouts", &o->list,
		LIST_VIEW(ls_columns, ls_row, "rollouts; 'fleetctl rollout create' makes one"),
		NULL, err);
}

/* ---- show */
/* Who agreed, who did not, each with what was said. */
static void show_approvals(struct table *t, const json_t *rollout)
{
	const json_t *list = json_object_get(rollout, "approvals");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		bool agrees = json_is_true(json_object_get(one, "agrees"));
		const char *by = value_text(one, "by"), *why = value_text(one, "why");
		FL_AUTOFREE char *text = text_format("%s%s%s", by != NULL ? by : "?",
			why != NULL && why[0] != '\0' ? ": " : "", why != NULL ? why : "");

		table_field(t, agrees ? "approved by" : "denied by", text);
	}
}

static void show_rollout(const struct cli *cli, const json_t *rollout)
{
	TABLE_AUTO struct table t = TABLE_FIELDS;
	const char *state = value_text(rollout, "state"),
		   *selector = value_text(rollout, "selector");
	const char *reason = value_text(rollout, "reason");
	time_t now = time(NULL);
	char text[TEXT_SHORT];

	table_field(&t, "rollout", value_text(rollout, "name"));
	table_addf(&t, TERMINAL_DIM, "state");
	table_addf(&t, stats_style(state), "%s", state != NULL ? state : "-");
	table_field(&t, "reason", reason);
	table_field(&t, "release", value_text(rollout, "release"));
	table_field(&t, "devices", selector == NULL || selector[0] == '\0' ? "all" : selector);
	if (value_int(rollout, "targets") >= 0)
		table_field(&t, "targets", text_count(text, value_int(rollout, "targets")));
	table_field(&t, "plan", value_text(rollout, "plan_digest"));
	strategy_show(&t, json_object_get(rollout, "strategy"));
	show_approvals(&t, rollout);
	table_field(&t, "created", text_age(text, value_text(rollout, "created_at"), now));
	table_field(&t, "by", value_text(rollout, "created_by"));
	if (value_text(rollout, "start_at") != NULL)
		table_field(&t, "starts", value_text(rollout, "start_at"));
	if (value_text(rollout, "started_at") != NULL)
		table_field(&t, "started", text_age(text, value_text(rollout, "started_at"), now));
	if (value_text(rollout, "ended_at") != NULL)
		table_field(&t, "ended", text_age(text, value_text(rollout, "ended_at"), now));
	table_print(&t, &cli->out, stdout, false);
}

static enum fl_code show(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/rollouts/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *rollout = NULL;
	enum fl_code code = cli_get(cli, path, &rollout, err);

	(void)options;
	if (code == FL_OK && !cli_json(cli, rollout))
		show_rollout(cli, rollout);
	return code;
}

/* ---- create */
struct create_options {
	struct strategy_options strategy;
	bool start, no_wait;
};

static const struct options_row create_rows[] = {
	STRATEGY_ROWS(struct create_options),
	{ .name = "start",
		.type = OPTIONS_FLAG,
		.offset = offsetof(struct create_options, start),
		.help = "start as soon as it is planned" },
	{ .name = "no-wait",
		.type = OPTIONS_FLAG,
		.offset = offsetof(struct create_options, no_wait),
		.help = "do not wait for the plan" },
	{ 0 },
};

static bool has_state(const json_t *rollout, const char *state)
{
	const char *now = value_text(rollout, "state");

	return now != NULL && strcmp(now, state) == 0;
}

/* Wait until the plan is there; *rollout is replaced by newer ones. */
static enum fl_code wait_planned(
	struct cli *cli, const char *path, json_t **rollout, struct fl_err *err)
{
	for (int looks = 0; has_state(*rollout, "planning") || has_state(*rollout, "draft");
		looks++) {
		json_t *newer = NULL;
		enum fl_code code;

		if (looks >= PLANNING_MAX_S * 1000 / PLANNING_LOOK_MS)
			return fl_fail(err, FL_TIMEOUT,
				"the rollout is created, but still being planned after %d s; "
				"'fleetctl "
				"rollout show %s' tells when it is ready",
				PLANNING_MAX_S, cli_operand(cli, 0));
		api_sleep_ms(PLANNING_LOOK_MS);
		code = cli_get(cli, path, &newer, err);
		if (code != FL_OK)
			return code;
		json_decref(*rollout);
		*rollout = newer;
	}
	return FL_OK;
}

static void say_created(const struct cli *cli, const json_t *rollout, bool created)
{
	const char *name = cli_operand(cli, 0);
	char devices[TEXT_SHORT], waves[TEXT_SHORT], layers[TEXT_SHORT], words[FL_WORDS];

	cli_say(cli, "rollout %s %s: %s", name, created ? "is created" : "was created before",
		value_words(rollout, "state", words));
	if (value_int(rollout, "waves") > 0)
		cli_say(cli, "%s, %s, %s",
			text_plural(devices, value_int(rollout, "targets"), "device"),
			text_plural(waves, value_int(rollout, "waves"), "wave"),
			text_plural(layers, value_int(rollout, "layers"), "layer"));
	if (!has_state(rollout, "ready") && !has_state(rollout, "waiting_approval"))
		return;
	cli_say(cli, "look: fleetctl plan show %s", name);
	if (value_int(rollout, "targets") == 0)
		return;
	if (has_state(rollout, "waiting_approval")) {
		cli_say(cli, "then an approver: fleetctl rollout approve %s", name);
		return;
	}
	cli_say(cli, "go:   fleetctl rollout start %s", name);
}

/* What its reader should notice. Best effort: the rollout is created all the same. */
static void say_notes(struct cli *cli, const char *path)
{
	FL_AUTOFREE char *plan_path = text_format("%s/plan", path);
	FL_AUTO_JSON json_t *plan = NULL;
	struct fl_err none = { 0 };

	if (!cli->globals.quiet && cli_get(cli, plan_path, &plan, &none) == FL_OK)
		plan_show_notes(cli, plan);
}

/* A plan with refusals leaves a rollout that can never start. */
static enum fl_code check_planned(struct cli *cli, const json_t *rollout, struct fl_err *err)
{
	const char *reason = value_text(rollout, "reason");

	if (!has_state(rollout, "failed") && !has_state(rollout, "denied"))
		return FL_OK;
	(void)snprintf(cli->api.hint, sizeof(cli->api.hint),
		"'fleetctl plan show %s' tells what is refused", cli_operand(cli, 0));
	return fl_fail(err, FL_REFUSED, "the rollout cannot be carried out: %s",
		reason != NULL && reason[0] != '\0' ? reason : "its plan has refusals");
}

static enum fl_code create(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct create_options *o = options;
	FL_AUTOFREE char *path = api_path("/api/v1/rollouts/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *body = NULL, *rollout = NULL;
	int status = 0;
	enum fl_code code = strategy_body(&o->strategy, &body, err);

	if (code != FL_OK)
		return code;
	(void)json_object_set_new(body, "start", json_string(o->start ? "auto" : "manual"));
	code = cli_send(cli, &(struct api_request){ .method = "PUT", .path = path, .body = body },
		&rollout, &status, err);
	if (code == FL_OK && !o->no_wait)
		code = wait_planned(cli, path, &rollout, err);
	if (code != FL_OK)
		return code;
	if (!cli_json(cli, rollout)) {
		say_created(cli, rollout, status == 201);
		if (!o->no_wait)
			say_notes(cli, path);
	}
	return check_planned(cli, rollout, err);
}

/* ---- stats */
struct stats_options {
	bool stages;
};

static const struct options_row stats_rows[] = {
	{ .name = "stages",
		.type = OPTIONS_FLAG,
		.offset = offsetof(struct stats_options, stages),
		.help = "the stages too, with their steps and gates" },
	{ 0 },
};

static enum fl_code stats(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct stats_options *o = options;
	FL_AUTOFREE char *path = api_path("/api/v1/rollouts/{}/stats", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *figures = NULL;
	enum fl_code code = cli_get(cli, path, &figures, err);

	if (code == FL_OK && !cli_json(cli, figures))
		stats_show(cli, figures, o->stages);
	return code;
}

/* ---- steps */
struct steps_options {
	struct list_options list;
	const char *state, *stage;
	int64_t wave, layer;
};

static const struct options_row steps_rows[] = {
	{ .name = "state",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct steps_options, state),
		.argument = "STATE",
		.help = "only steps in this state, as failed or timed_out" },
	{ .name = "stage",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct steps_options, stage),
		.argument = "STAGE",
		.help = "only this stage, as L0.W1" },
	{ .name = "wave",
		.type = OPTIONS_COUNT,
		.offset = offsetof(struct steps_options, wave),
		.argument = "N",
		.help = "only this wave" },
	{ .name = "layer",
		.type = OPTIONS_COUNT,
		.offset = offsetof(struct steps_options, layer),
		.argument = "N",
		.help = "only this layer" },
	LIST_ROWS(struct steps_options),
	{ 0 },
};

static const struct table_column step_columns[] = {
	{ .title = "DEVICE" },
	{ .title = "STAGE" },
	{ .title = "STATE" },
	{ .title = "CAUSE" },
	{ .title = "TRY", .right = true },
	{ .title = "DELIVERED" },
	{ .title = "CHANGED" },
	{ .title = "DETAIL", .cut = true },
};

static void step_row(struct table *t, const json_t *step)
{
	const char *state = value_text(step, "state"), *cause = value_text(step, "cause");
	char text[TEXT_SHORT];

	table_add(t, value_text(step, "device"));
	table_add(t, stats_stage_name(text, step));
	table_addf(t,
		state != NULL && strcmp(state, "confirmed") == 0 ? TERMINAL_GOOD
								 : stats_style(state),
		"%s", state != NULL ? state : "-");
	table_add(t, cause != NULL && strcmp(cause, "none") != 0 ? cause : NULL);
	add_count(t, value_int(step, "attempt"));
	table_add(t, text_age(text, value_text(step, "delivered_at"), time(NULL)));
	table_add(t, text_age(text, value_text(step, "changed_at"), time(NULL)));
	table_add(t, value_text(step, "detail"));
}

static enum fl_code steps(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct steps_options *o = options;
	FL_AUTOFREE char *path = api_path("/api/v1/rollouts/{}/steps", cli_operand(cli, 0));
	int64_t layer = o->layer, wave = o->wave;
	enum fl_code code = FL_OK;

	if (o->stage != NULL)
		code = stats_stage_parse(o->stage, &layer, &wave, err);
	if (code != FL_OK)
		return code;
	if (layer >= 0)
		api_query_int(&path, "layer", layer);
	if (wave >= 0)
		api_query_int(&path, "wave", wave);
	api_query(&path, "state", o->state);

	return list_run(cli, path, &o->list, LIST_VIEW(step_columns, step_row, "steps like that"),
		NULL, err);
}

/* ---- decisions */
struct decisions_options {
	struct list_options list;
};

static const struct options_row decisions_rows[] = {
	LIST_ROWS(struct decisions_options),
	{ 0 },
};

static const struct table_column decision_columns[] = {
	{ .title = "WHEN" },
	{ .title = "STAGE" },
	{ .title = "STATE" },
	{ .title = "CONFIRMED", .right = true },
	{ .title = "FAILED", .right = true },
	{ .title = "WHY", .cut = true },
};

static void decision_row(struct table *t, const json_t *decision)
{
	const json_t *numbers = json_object_get(decision, "numbers");
	const char *state = value_text(decision, "state");
	char text[TEXT_SHORT];

	table_add(t, text_age(text, value_text(decision, "at"), time(NULL)));
	table_add(t, value_text(decision, "stage"));
	table_addf(t, stats_style(state), "%s", state != NULL ? state : "-");
	add_count(t, value_int(numbers, "successes"));
	add_count(t, value_int(numbers, "failures"));
	table_add(t, value_text(decision, "text"));
}

static enum fl_code decisions(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct decisions_options *o = options;
	FL_AUTOFREE char *path = api_path("/api/v1/rollouts/{}/decisions", cli_operand(cli, 0));

	return list_run(cli, path, &o->list, LIST_VIEW(decision_columns, decision_row, "decisions"),
		NULL, err);
}

static const struct command cmd_ls = {
	.name = "ls",
	.help = "list the rollouts",
	.run = ls,
	.options = ls_rows,
	.options_size = sizeof(struct ls_options),
};
static const struct command cmd_show = {
	.name = "show",
	.operands = "ROLLOUT",
	.help = "show a rollout's state and strategy",
	.run = show,
};
static const struct command cmd_create = {
	.name = "create",
	.operands = "ROLLOUT",
	.help = "plan a release for a part of the fleet",
	.prose = STRATEGY_PROSE
	"Waits until the plan is there; nothing reaches a device before 'rollout start' (or with "
	"--start). The same call again changes nothing; the same name with other content is "
	"refused "
	"(exit code 6).\n\n",
	.examples = "fleetctl rollout create november --release 2026.11 --wave 5 --wave 10% --wave "
		    "100%\n"
		    "fleetctl rollout create doubling --release 2026.11 --wave 1% --wave x2\n"
		    "fleetctl rollout create canary --release 2026.11 --selector label.canary==yes "
		    "--wave 100% \\\n"
		    "    --success 99 --error 1 --soak 1h --on-failure rollback --start\n",
	.run = create,
	.options = create_rows,
	.options_size = sizeof(struct create_options),
};
static const struct command cmd_watch = {
	.name = "watch",
	.operands = "ROLLOUT",
	.help = "follow a rollout until something is reached",
	.prose = "On a terminal: the grid of layers and waves, drawn in place. Elsewhere: one line "
		 "for each "
		 "change. With --json: the figures at the end.\n\n"
		 "Ends with 0 when what --until says is reached, 20 when the rollout failed, or "
		 "was stopped, "
		 "denied or rolled back, 21 when a person must decide (paused, inconclusive, "
		 "waiting for "
		 "approval), 22 when the time is over. A connection that breaks is taken up "
		 "again.\n\n",
	.examples = "fleetctl rollout watch november\n"
		    "fleetctl rollout watch november --until wave:0 --timeout 30min\n",
	.run = watch_run,
	.options = watch_rows,
	.options_size = sizeof(struct watch_options),
};
static const struct command cmd_stats = {
	.name = "stats",
	.operands = "ROLLOUT",
	.help = "show the figures of each wave",
	.prose = "Each device counts once, with its last attempt. Completion: confirmed of "
		 "targets. Failure: "
		 "failed and timed out, of those that ended. Rollback: taken back, of those that "
		 "switched; "
		 "RB FAILURE: of the rollbacks, those that failed. Times are from delivery to "
		 "confirmed. A "
		 "figure without a base is '-'.\n\n",
	.examples = "fleetctl rollout stats november --stages\n",
	.run = stats,
	.options = stats_rows,
	.options_size = sizeof(struct stats_options),
};
static const struct command cmd_steps = {
	.name = "steps",
	.operands = "ROLLOUT",
	.help = "list what each device does in each stage",
	.examples = "fleetctl rollout steps november --state failed\n",
	.run = steps,
	.options = steps_rows,
	.options_size = sizeof(struct steps_options),
};

/* ---- strata */
static const struct table_column stratum_columns[] = {
	{ .title = "STRATUM" },
	{ .title = "CONFIRMED", .right = true },
	{ .title = "FAILED", .right = true },
	{ .title = "STATE" },
	{ .title = "WHY", .cut = true },
};

static enum fl_code strata(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/rollouts/{}/strata", cli_operand(cli, 0));
	TABLE_AUTO struct table t = { .columns = stratum_columns,
		.n_columns = FL_COUNT(stratum_columns) };
	FL_AUTO_JSON json_t *answer = NULL;
	const json_t *items;
	enum fl_code code = cli_get(cli, path, &answer, err);

	(void)options;
	items = json_object_get(answer, "items");
	if (code != FL_OK || cli_json(cli, items))
		return code;
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *s = json_array_get(items, i);
		const char *state = value_text(s, "state");

		table_add(&t, value_text(s, "stratum"));
		add_count(&t, value_int(s, "successes"));
		add_count(&t, value_int(s, "failures"));
		table_addf(&t,
			state != NULL && strcmp(state, "held") == 0 ? TERMINAL_WARN
								    : TERMINAL_PLAIN,
			"%s", state != NULL ? state : "-");
		table_add(&t, value_text(s, "why"));
	}
	if (t.n_cells > 0)
		table_print(&t, &cli->out, stdout, false);
	else
		cli_say(cli, "no strata are watched, or nothing has ended yet");
	return FL_OK;
}

static const struct command cmd_strata = {
	.name = "strata",
	.operands = "ROLLOUT",
	.help = "show where its failures lie, and which strata are held",
	.run = strata,
};

static const struct command cmd_decisions = {
	.name = "decisions",
	.operands = "ROLLOUT",
	.help = "list what the gates decided, and why",
	.prose = "With --json: the numbers that led to each decision, and the vote of each kind of "
		 "gate.\n\n",
	.examples = "fleetctl rollout decisions november --json | jq '.[].numbers.votes'\n",
	.run = decisions,
	.options = decisions_rows,
	.options_size = sizeof(struct decisions_options),
};

const struct command cmd_rollout = {
	.name = "rollout",
	.help = "bring a release to devices: create, start, watch, roll back",
	.children = (const struct command *const[]){ &cmd_ls, &cmd_show, &cmd_create,
		&rollout_approve, &rollout_deny, &rollout_start, &cmd_watch, &rollout_pause,
		&rollout_resume, &rollout_promote, &rollout_verdict, &rollout_stop,
		&rollout_rollback, &rollout_retry, &explain_stage, &cmd_stats, &cmd_steps,
		&cmd_decisions, &cmd_strata, &rollout_release, NULL },
};
