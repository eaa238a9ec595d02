/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/rollout_verbs.h"

#include "cli/cli.h"
#include "cli/stats.h"
#include "cli/text.h"
#include "cli/value.h"

#include <string.h>

/* All verbs share one struct; each command lists the rows that it takes. */
struct verb_options {
	const char *plan_digest, *at, *why, *stage, *in_flight, *verdict, *reporter;
	struct options_list causes;
	int64_t wave;
	bool accept_drift;
};

#define ROW(member, name_, kind, ...)                                        \
	{                                                                    \
		.name = name_, .type = OPTIONS_##kind,                       \
		.offset = offsetof(struct verb_options, member), __VA_ARGS__ \
	}

static bool backwards(const json_t *answer)
{
	const char *state = value_text(json_object_get(answer, "rollout"), "state");

	return state != NULL && strcmp(state, "rolling_back") == 0;
}

/* POST {rollout}/{verb}; `body` is taken. Says what the server did. */
static enum fl_code act(struct cli *cli, const char *verb, json_t *body, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/rollouts/{}/{}", cli_operand(cli, 0), verb);
	FL_AUTO_JSON json_t *given = body, *answer = NULL;
	const char *did, *until;
	int64_t may_switch;
	char devices[TEXT_SHORT], end[TEXT_SHORT];
	enum fl_code code;

	if (given == NULL)
		return fl_fail(err, FL_INVALID, "an option's value is not UTF-8");
	code = cli_send(cli, &(struct api_request){ .method = "POST", .path = path, .body = given },
		&answer, NULL, err);
	if (code != FL_OK || cli_json(cli, answer))
		return code;
	did = value_text(answer, "did");
	may_switch = value_int(answer, "may_still_switch");
	cli_say(cli, "%s", did != NULL ? did : "done");
	until = value_text(answer, "until");
	if (may_switch > 0)
		cli_say(cli, "%s may still switch, %s", text_plural(devices, may_switch, "device"),
			until != NULL ? text_until(end, until, time(NULL))
				: backwards(answer)
				? "when they ask for their way back"
				: "without a limit of time as long as its clocks stand still");
	return FL_OK;
}

/* ---- start */
static const struct options_row start_rows[] = {
	ROW(plan_digest, "plan", TEXT, .argument = "DIGEST",
		.help = "only if this is still the plan (from 'fleetctl plan show')"),
	ROW(at, "at", TEXT, .argument = "TIME",
		.help = "at that time and not now, as 2026-11-24T22:00:00+01:00; 'rollout pause' "
			"takes it back"),
	ROW(accept_drift, "accept-drift", FLAG,
		.help = "start although more of the fleet changed since planning than the strategy "
			"allows"),
	{ 0 },
};

static enum fl_code start(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct verb_options *o = options;
	json_t *body = json_pack("{s:s*, s:s*}", "plan_digest", o->plan_digest, "at", o->at);

	if (o->accept_drift)
		(void)json_object_set_new(body, "accept_drift", json_true());
	return act(cli, "start", body, err);
}

/* ---- approve, deny */
static const struct options_row approve_rows[] = {
	ROW(plan_digest, "plan", TEXT, .argument = "DIGEST",
		.help = "only if this is the plan (from 'fleetctl plan show'); without it, the one "
			"that is there now"),
	ROW(why, "why", TEXT, .argument = "TEXT", .help = "a remark, for the audit trail"),
	{ 0 },
};
static const struct options_row deny_rows[] = {
	ROW(plan_digest, "plan", TEXT, .argument = "DIGEST", .help = "only if this is the plan"),
	ROW(why, "why", TEXT, .argument = "TEXT", .help = "the reason; must be given"),
	{ 0 },
};

static enum fl_code approve(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct verb_options *o = options;
	FL_AUTOFREE char *path = api_path("/api/v1/rollouts/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *rollout = NULL;
	const char *digest = o->plan_digest;

	if (digest == NULL) {
		enum fl_code code = cli_get(cli, path, &rollout, err);

		if (code != FL_OK)
			return code;
		digest = value_text(rollout, "plan_digest");
	}
	if (digest == NULL)
		return fl_fail(err, FL_CONFLICT, "rollout %s has no plan yet", cli_operand(cli, 0));
	return act(cli, "approve", json_pack("{s:s, s:s*}", "plan_digest", digest, "why", o->why),
		err);
}

static enum fl_code deny(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct verb_options *o = options;

	if (o->why == NULL)
		return fl_fail(err, FL_INVALID, "say why: --why TEXT");
	return act(cli, "deny",
		json_pack("{s:s*, s:s}", "plan_digest", o->plan_digest, "why", o->why), err);
}

/* ---- pause, resume */
static const struct options_row pause_rows[] = {
	ROW(why, "why", TEXT, .argument = "TEXT", .help = "the reason, for the audit trail"),
	{ 0 },
};

static enum fl_code pause_(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct verb_options *o = options;

	return act(cli, "pause", json_pack("{s:s*}", "why", o->why), err);
}

static enum fl_code resume(struct cli *cli, const void *options, struct fl_err *err)
{
	(void)options;
	return act(cli, "resume", json_object(), err);
}

/* ---- promote */
static const struct options_row promote_rows[] = {
	ROW(stage, "stage", TEXT, .argument = "STAGE",
		.help = "this stage, as L0.W1 (the one whose gate waits for a person)"),
	{ 0 },
};

/* The stage that --stage names as the API writes it; NULL if it was not given. */
static enum fl_code stage_of(const struct verb_options *o, char **name, struct fl_err *err)
{
	int64_t layer, wave;
	enum fl_code code = FL_OK;

	if (o->stage != NULL)
		code = stats_stage_parse(o->stage, &layer, &wave, err);
	if (o->stage != NULL && code == FL_OK)
		*name = text_format("L%lld.W%lld", (long long)layer, (long long)wave);
	return code;
}

static enum fl_code promote(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *name = NULL;
	enum fl_code code = stage_of(options, &name, err);

	return code == FL_OK ? act(cli, "promote", json_pack("{s:s*}", "stage", name), err) : code;
}

/* ---- verdict */
static const char *const verdicts[] = { "pass", "fail", "inconclusive", NULL };
static const struct options_row verdict_rows[] = {
	ROW(stage, "stage", TEXT, .argument = "STAGE", .help = "which stage, as L0.W1"),
	ROW(verdict, "verdict", CHOICE, .argument = "WORD", .choices = verdicts,
		.help = "what was found"),
	ROW(why, "why", TEXT, .argument = "TEXT", .help = "the reason, for the audit trail"),
	ROW(reporter, "reporter", TEXT, .argument = "NAME",
		.help = "who found it (the name of the token)"),
	{ 0 },
};

static enum fl_code verdict(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct verb_options *o = options;
	FL_AUTOFREE char *name = NULL;
	enum fl_code code = stage_of(o, &name, err);

	if (code == FL_OK && (name == NULL || o->verdict == NULL))
		code = fl_fail(err, FL_INVALID,
			"say of which stage, and what: --stage L0.W1 --verdict pass");
	if (code != FL_OK)
		return code;
	return act(cli, "verdict",
		json_pack("{s:s, s:s, s:s*, s:s*}", "stage", name, "verdict", o->verdict, "why",
			o->why, "reporter", o->reporter),
		err);
}

/* ---- release */
static enum fl_code release(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/rollouts/{}/release", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *body = json_pack("{s:s}", "stratum", cli_operand(cli, 1)),
			    *answer = NULL;
	enum fl_code code;

	(void)options;
	if (body == NULL)
		return fl_fail(err, FL_INVALID, "the stratum is not UTF-8");
	code = cli_send(cli, &(struct api_request){ .method = "POST", .path = path, .body = body },
		&answer, NULL, err);
	if (code != FL_OK || cli_json(cli, answer))
		return code;
	cli_say(cli, "%s",
		json_is_true(json_object_get(answer, "changed"))
			? "released: its devices are offered the release again"
			: "it was not held; nothing changed");
	return FL_OK;
}

/* ---- stop */
static const char *const in_flight[] = { "finish", "cancel", NULL };
static const struct options_row stop_rows[] = {
	ROW(in_flight, "in-flight", CHOICE, .argument = "ACT", .choices = in_flight,
		.help = "what happens to devices that are at it"),
	{ 0 },
};

static enum fl_code stop(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct verb_options *o = options;

	return act(cli, "stop", json_pack("{s:s*}", "in_flight", o->in_flight), err);
}

/* ---- rollback */
static const struct options_row rollback_rows[] = {
	ROW(wave, "wave", COUNT, .argument = "N", .help = "only this wave (all)"),
	{ 0 },
};

static enum fl_code rollback(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct verb_options *o = options;
	json_t *body = json_object();

	if (o->wave != OPTIONS_UNSET)
		(void)json_object_set_new(body, "wave", json_integer(o->wave));
	return act(cli, "rollback", body, err);
}

/* ---- retry */
static const struct options_row retry_rows[] = {
	ROW(causes, "cause", LIST, .argument = "CAUSE",
		.help = "only failures of this cause: release, device, network, server, unknown"),
	{ 0 },
};

static enum fl_code retry(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct verb_options *o = options;
	json_t *body = json_object();
	json_t *causes = o->causes.n > 0 ? json_array() : NULL;

	for (size_t i = 0; i < o->causes.n; i++)
		(void)json_array_append_new(causes, json_string(o->causes.v[i]));
	if (causes != NULL)
		(void)json_object_set_new(body, "causes", causes);
	return act(cli, "retry", body, err);
}

#define VERB(name_, run_, rows_)                                             \
	.name = name_, .operands = "ROLLOUT", .run = run_, .options = rows_, \
	.options_size = sizeof(struct verb_options)

const struct command rollout_start = {
	VERB("start", start, start_rows),
	.help = "begin to deliver",
	.prose =
		"With --at it is scheduled: its devices are compared with what they were when it "
		"was "
		"planned at that time, and if it cannot start then, it goes back to ready and says "
		"why.\n\n",
	.examples = "fleetctl rollout start november\n"
		    "fleetctl rollout start november --at 2026-11-24T22:00:00+01:00\n",
};
const struct command rollout_approve = {
	VERB("approve", approve, approve_rows),
	.help = "agree with the plan of a rollout",
	.prose = "When as many approvers agree as the strategy or the server demands, the rollout "
		 "is ready, "
		 "and starts if it was created with --start. What is approved is the plan's "
		 "digest, which "
		 "covers the strategy and the devices too. Who created the rollout cannot approve "
		 "it unless "
		 "the server's setting approve_own allows it.\n\n",
	.examples = "fleetctl plan show november\n"
		    "fleetctl rollout approve november\n",
};
const struct command rollout_deny = {
	VERB("deny", deny, deny_rows),
	.help = "disagree with the plan: the rollout never starts",
	.examples = "fleetctl rollout deny november --why 'not in the week of the fair'\n",
};
const struct command rollout_pause = {
	VERB("pause", pause_, pause_rows),
	.help = "deliver nothing more until it is resumed",
	.prose = "Devices that have begun to switch finish. Deadlines stand still.\n\n",
};
const struct command rollout_resume = {
	VERB("resume", resume, NULL),
	.help = "go on after a pause",
};
const struct command rollout_promote = {
	VERB("promote", promote, promote_rows),
	.help = "pass the gate of a stage by hand",
	.prose = "Without --stage it is the one stage whose gate has failed, is inconclusive, or "
		 "has all but a person's word; where no gate waits, nothing changes.\n\n",
};
const struct command rollout_verdict = {
	VERB("verdict", verdict, verdict_rows),
	.help = "say what CI or monitoring found of a stage",
	.prose = "For a stage whose gate waits for a verdict from outside (--gate external). pass "
		 "lets "
		 "the other kinds of its gate decide, fail fails it at once, inconclusive pauses "
		 "the "
		 "rollout, as does none in time.\n\n",
	.examples = "fleetctl rollout verdict november --stage L0.W0 --verdict fail "
		    "--why 'p99 latency doubled'\n",
};
const struct command rollout_stop = {
	VERB("stop", stop, stop_rows),
	.help = "end it for good; what is confirmed stays",
};
const struct command rollout_rollback = {
	VERB("rollback", rollback, rollback_rows),
	.help = "take devices back to what they had",
	.prose = "In reverse order of the layers. It is a mass change itself: it begins with a "
		 "small part and "
		 "pauses at its own error threshold. Devices that are silent now go back when they "
		 "return.\n\n",
};
const struct command rollout_release = {
	.name = "release",
	.operands = "ROLLOUT STRATUM",
	.run = release,
	.help = "offer the release again to a stratum that is held",
	.examples = "fleetctl rollout release november attribute.hw==rev2\n",
};
const struct command rollout_retry = {
	VERB("retry", retry, retry_rows),
	.help = "try failed devices again",
};
