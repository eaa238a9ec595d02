/* SPDX-License-Identifier: Apache-2.0
 *
 * DESIGN. One long poll after the other: the server answers when a figure changed or the wait is
 * over (304). Each new answer is drawn (terminal) or compared with the one before, each difference
 * one line (pipe, CI). A connection that breaks is taken up again for two minutes: a server that is
 * restarted does not end a pipeline. */
#include "cli/watch.h"

#include "cli/grid.h"
#include "cli/stats.h"
#include "cli/text.h"
#include "cli/until.h"
#include "cli/value.h"

#include "lib/clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAIT_TERMINAL_S 2 /* the clock on the picture goes on */
#define WAIT_PIPE_S     25
#define LOST_MAX_MS     (2 * 60 * 1000)
#define LOST_PAUSE_MS   1000
#define ETA_AFTER_S     3   /* no pace is known before */
#define LEAST_PAUSE_MS  200 /* between answers: a busy rollout changes all the time */

const struct options_row watch_rows[] = {
	{ .name = "until",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct watch_options, until),
		.argument = "WHAT",
		.help = "wait for complete, wave:N, stage:L,W (layer, wave), or stage: the next "
			"one to end (complete)" },
	{ .name = "timeout",
		.type = OPTIONS_DURATION,
		.offset = offsetof(struct watch_options, timeout_s),
		.argument = "DURATION",
		.help = "give up after this time (never)" },
	{ 0 },
};

struct watch {
	struct cli *cli;
	const char *rollout;
	struct until until;
	int64_t timeout_s;
	json_t *stats, *before, *plan; /* owned; NULL: not known yet */
	char etag[128];
	int64_t began_ms, lost_ms; /* lost_ms: since when there is no answer, 0: there is */
	double began_done;         /* progress when the plan was seen, */
	int64_t planned_ms;        /* and when that was */
	int64_t progress;          /* tenths of completion that were told */
	bool live;
	size_t drawn; /* lines on the screen */
};

static double watched_s(const struct watch *w)
{
	return (double)(fl_clock_ms(CLOCK_MONOTONIC) - w->began_ms) / 1000;
}

/* ---- on a terminal */

/* The share of all steps of the plan that have ended well; below 0 without a plan. Unlike the
 * completion it also counts devices that are half way through the layers. */
static double progress_of(const struct watch *w)
{
	const json_t *planned = json_object_get(w->plan, "stages");
	const json_t *stages = json_object_get(w->stats, "stages");
	double all = 0, done = 0;

	for (size_t i = 0; i < json_array_size(planned); i++)
		all += value_real(json_array_get(planned, i), "devices");
	for (size_t i = 0; i < json_array_size(stages); i++)
		done += (double)(stats_steps(json_array_get(stages, i), "confirmed") +
			stats_steps(json_array_get(stages, i), "noop"));
	return all > 0 ? done / all : -1;
}

/* Time left at the pace seen so far; below 0 if there is none. */
static double eta_s(const struct watch *w)
{
	const char *state = value_text(w->stats, "state");
	double done = progress_of(w), moved = done - w->began_done;
	double elapsed_s = (double)(fl_clock_ms(CLOCK_MONOTONIC) - w->planned_ms) / 1000;

	if (state == NULL || strcmp(state, "running") != 0 || done < 0 || done >= 1 || moved <= 0 ||
		elapsed_s < ETA_AFTER_S)
		return -1;
	return elapsed_s * (1 - done) / moved;
}

/* What the person who looks on may want to know. */
static char *note_of(const struct watch *w)
{
	const char *state = value_text(w->stats, "state");

	if (w->lost_ms != 0)
		return text_format("no answer from the server; trying again");
	if (state != NULL && strcmp(state, "ready") == 0)
		return text_format("it begins with: fleetctl rollout start %s", w->rollout);
	return NULL;
}

static void draw(struct watch *w)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	FL_AUTOFREE char *note = note_of(w);
	struct grid g = { .stats = w->stats,
		.plan = w->plan,
		.eta_s = eta_s(w),
		.watched_s = watched_s(w),
		.note = note };

	w->cli->out = terminal_of(stdout); /* the window may have a new size */
	if (w->drawn > 0)
		fl_buf_printf(&b, "\033[%zuA\r\033[J", w->drawn);
	w->drawn = grid_render(&g, &w->cli->out, &b);
	(void)fwrite(b.p, 1, b.n, stdout);
	(void)fflush(stdout);
}

/* ---- elsewhere: one line a change */

static void tell(const struct watch *w, const char *fmt, ...) FL_PRINTF(2, 3);
static void tell(const struct watch *w, const char *fmt, ...)
{
	FL_AUTOFREE char *text = NULL;
	time_t now = time(NULL);
	char stamp[32];
	struct tm tm;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = text_format("%s", "");
	va_end(ap);
	(void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	cli_say(w->cli, "%s %s", stamp, text);
	(void)fflush(stdout);
}

static bool same_text(const json_t *a, const json_t *b, const char *key)
{
	const char *x = value_text(a, key), *y = value_text(b, key);

	return x == y || (x != NULL && y != NULL && strcmp(x, y) == 0);
}

static void tell_rollout(const struct watch *w)
{
	const char *state = value_text(w->stats, "state"), *reason = value_text(w->stats, "reason");

	if (same_text(w->stats, w->before, "state") && same_text(w->stats, w->before, "reason"))
		return;
	tell(w, "rollout %s %s%s%s", w->rollout, state != NULL ? state : "?",
		reason != NULL && reason[0] != '\0' ? ": " : "", reason != NULL ? reason : "");
}

/* 1, 2, 5, 10, 20, 50…: the last of these that n has reached. A failing fleet must not fill the log. */
static int64_t landmark(int64_t n)
{
	int64_t mark = 1;

	while (mark * 10 <= n)
		mark *= 10;
	return n < 1 ? 0 : n >= mark * 5 ? mark * 5 : n >= mark * 2 ? mark * 2 : mark;
}

/* What there is to say of a stage in this state beside its name; NULL if nothing. */
static char *figures_of_stage(const json_t *stage, const char *state)
{
	const char *says = value_text(json_object_get(stage, "gate"), "text");
	int64_t targets = value_int(stage, "targets");
	bool decided = strcmp(state, "running") != 0 && says != NULL && says[0] != '\0';

	if (strcmp(state, "skipped") == 0 || strncmp(state, "roll", 4) == 0)
		return NULL;
	return text_format("%lld of %lld confirmed, %lld failed%s%s",
		(long long)stats_steps(stage, "confirmed"), (long long)(targets < 0 ? 0 : targets),
		(long long)(stats_steps(stage, "failed") + stats_steps(stage, "timed_out")),
		decided ? "; " : "", decided ? says : "");
}

static void tell_stage(const struct watch *w, const json_t *stage, const json_t *before)
{
	const char *state = value_text(stage, "state");
	int64_t bad = stats_steps(stage, "failed") + stats_steps(stage, "timed_out");
	int64_t bad_before = stats_steps(before, "failed") + stats_steps(before, "timed_out");
	FL_AUTOFREE char *figures = NULL;
	char name[32];

	if (state == NULL || (before == NULL && strcmp(state, "pending") == 0) ||
		(same_text(stage, before, "state") && landmark(bad) <= landmark(bad_before)))
		return;
	figures = figures_of_stage(stage, state);
	tell(w, "stage %s %s%s%s", stats_stage_name(name, stage), state,
		figures != NULL ? ": " : "", figures != NULL ? figures : "");
}

static void tell_progress(struct watch *w)
{
	double done = value_real(json_object_get(w->stats, "total"), "completion");
	int64_t tenths = done < 0 ? 0 : (int64_t)(done * 10);
	char a[TEXT_SHORT], b[TEXT_SHORT];

	if (tenths <= w->progress)
		return;
	w->progress = tenths;
	tell(w, "completion %s, failure %s", text_share(a, done),
		text_share(b, value_real(json_object_get(w->stats, "total"), "failure")));
}

static void tell_changes(struct watch *w)
{
	const json_t *stages = json_object_get(w->stats, "stages");
	const json_t *old = json_object_get(w->before, "stages");

	tell_rollout(w);
	for (size_t i = 0; i < json_array_size(stages); i++)
		tell_stage(w, json_array_get(stages, i), json_array_get(old, i));
	tell_progress(w);
}

/* ---- the loop */

static int wait_s(const struct watch *w)
{
	int64_t wait = w->live ? WAIT_TERMINAL_S : WAIT_PIPE_S;
	int64_t left = w->timeout_s - (fl_clock_ms(CLOCK_MONOTONIC) - w->began_ms) / 1000;

	if (w->timeout_s != OPTIONS_UNSET && left < wait)
		wait = left < 1 ? 1 : left;
	return (int)wait;
}

static void take(struct watch *w, struct api_reply *reply)
{
	if (reply->status == 304 || reply->json == NULL)
		return;
	json_decref(w->before);
	w->before = w->stats;
	w->stats = fl_steal(&reply->json);
	memcpy(w->etag, reply->etag, sizeof(w->etag));
	if (w->before == NULL) {
		double done = value_real(json_object_get(w->stats, "total"), "completion");

		w->progress = done < 0 ? 0 : (int64_t)(done * 10);
	}
}

/* The names of the layers; a rollout that is still being planned has none yet. */
static void fetch_plan(struct watch *w)
{
	API_AUTO_REPLY struct api_reply reply = { 0 };
	FL_AUTOFREE char *path = api_path("/api/v1/rollouts/{}/plan", w->rollout);
	struct fl_err err = { 0 };

	if (w->plan != NULL || !w->live || value_count(w->stats, "stages") == 0)
		return;
	if (cli_call(w->cli, &(struct api_request){ .method = "GET", .path = path, .tries = 1 },
		    &reply, &err) != FL_OK)
		return;
	w->plan = fl_steal(&reply.json);
	w->planned_ms = fl_clock_ms(CLOCK_MONOTONIC);
	w->began_done = progress_of(w);
}

static void show(struct watch *w, bool changed)
{
	if (w->live && w->stats != NULL)
		draw(w);
	else if (changed && !w->cli->globals.json && !w->cli->globals.quiet)
		tell_changes(w);
}

/* No answer: bear it for a while. */
static enum fl_code bear(struct watch *w, enum fl_code code, const struct fl_err *err)
{
	bool passing = code == FL_NETWORK || code == FL_UNAVAILABLE || code == FL_TIMEOUT ||
		code == FL_BUSY;

	if (!passing || w->stats == NULL) /* never got through: say so at once */
		return code;
	if (w->lost_ms == 0) {
		w->lost_ms = fl_clock_ms(CLOCK_MONOTONIC);
		if (!w->live)
			cli_note(w->cli, "%s; trying again", err->msg);
	}
	if (fl_clock_ms(CLOCK_MONOTONIC) - w->lost_ms > LOST_MAX_MS)
		return code;
	show(w, false);
	api_sleep_ms(LOST_PAUSE_MS);
	return FL_OK;
}

static enum fl_code poll_once(struct watch *w, struct fl_err *err)
{
	API_AUTO_REPLY struct api_reply reply = { 0 };
	FL_AUTOFREE char *path = api_path("/api/v1/rollouts/{}/stats", w->rollout);
	bool again = w->stats != NULL && w->etag[0] != '\0';
	int64_t asked_ms = fl_clock_ms(CLOCK_MONOTONIC);
	struct api_request rq = { .method = "GET",
		.path = path,
		.tries = w->stats != NULL ? 1 : 0,
		.etag = again ? w->etag : NULL,
		.wait_s = again ? wait_s(w) : 0 };
	enum fl_code code = cli_call(w->cli, &rq, &reply, err);

	if (code != FL_OK)
		return bear(w, code, err);
	w->lost_ms = 0;
	take(w, &reply);
	fetch_plan(w);
	show(w, reply.status != 304);
	if (fl_clock_ms(CLOCK_MONOTONIC) - asked_ms < LEAST_PAUSE_MS)
		api_sleep_ms(LEAST_PAUSE_MS);
	return FL_OK;
}

static bool time_over(const struct watch *w)
{
	return w->timeout_s != OPTIONS_UNSET &&
		fl_clock_ms(CLOCK_MONOTONIC) - w->began_ms >= w->timeout_s * 1000;
}

/* Poll until there is a verdict; UNTIL_GOING when the time is over. */
static enum fl_code wait_for(struct watch *w, enum until_verdict *verdict, struct fl_err *err)
{
	for (;;) {
		enum fl_code code = poll_once(w, err);

		if (code == FL_OK && w->lost_ms == 0)
			code = until_judge(&w->until, w->stats, verdict, err);
		if (code != FL_OK)
			return code;
		if (*verdict != UNTIL_GOING || time_over(w))
			return FL_OK;
	}
}

/* What a person can do now. */
static void next_steps(const struct watch *w)
{
	const char *state = value_text(w->stats, "state");

	if (state != NULL && strcmp(state, "waiting_approval") == 0) {
		cli_note(w->cli, "the rollout waits for approval");
		return;
	}
	cli_note(w->cli,
		"the rollout needs a person: look with 'fleetctl rollout stats %s --stages' and "
		"'fleetctl rollout steps %s --state failed', then 'fleetctl rollout resume', "
		"'promote', 'rollback' or 'stop'",
		w->rollout, w->rollout);
}

static void conclude(const struct watch *w, enum until_verdict verdict)
{
	const char *state = value_text(w->stats, "state");
	char text[TEXT_SHORT];

	switch (verdict) {
	case UNTIL_REACHED:
		return;
	case UNTIL_FAILED:
		w->cli->exit_code = CLI_EXIT_FAILED;
		cli_note(w->cli, "rollout %s ended: %s", w->rollout, state != NULL ? state : "?");
		return;
	case UNTIL_PERSON:
		w->cli->exit_code = CLI_EXIT_PERSON;
		next_steps(w);
		return;
	case UNTIL_GOING:
		w->cli->exit_code = CLI_EXIT_TIME_OVER;
		cli_note(w->cli, "not reached within %s; the rollout goes on (%s)",
			text_seconds(text, (double)w->timeout_s), state != NULL ? state : "?");
		if (state != NULL && strcmp(state, "ready") == 0)
			cli_note(w->cli, "it was never started: fleetctl rollout start %s",
				w->rollout);
		return;
	}
}

enum fl_code watch_run(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct watch_options *o = options;
	struct watch w = { .cli = cli,
		.rollout = cli_operand(cli, 0),
		.timeout_s = o->timeout_s,
		.live = cli->out.moves && !cli->globals.json && !cli->globals.quiet,
		.began_ms = fl_clock_ms(CLOCK_MONOTONIC) };
	enum until_verdict verdict = UNTIL_GOING;
	enum fl_code code = until_parse(o->until, &w.until, err);

	if (code == FL_OK)
		code = wait_for(&w, &verdict, err);
	if (code == FL_OK) {
		(void)cli_json(cli, w.stats);
		conclude(&w, verdict);
	}
	json_decref(w.stats);
	json_decref(w.before);
	json_decref(w.plan);
	return code;
}
