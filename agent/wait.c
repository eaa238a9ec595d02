/* SPDX-License-Identifier: Apache-2.0
 *
 * Orders that have to wait: for the device's window, or for what the ready command says. */
#include "agent/agent.h"

#include "agent/run.h"
#include "agent/window.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND_MS 1000

/* Put what is waited for into the record; the first word of `detail` may name it. */
static void note(struct agent *a, const char *on, const char *detail)
{
	struct waits *w = &a->s.wait;
	char word[16];

	(void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(detail, " :,;"), detail);
	w->on = state_wait_word(word) != NULL ? state_wait_word(word) : on;
	(void)snprintf(w->detail, sizeof(w->detail), "%s", detail);
	a->waited = true;
}

static bool is_free(struct agent *a)
{
	if (a->s.held)
		note(a, "window", "a freeze holds: the server says when it ends");
	return !a->s.held;
}

/* Whether the order may be carried out now, by the window that it carries. */
static bool in_order_window(struct agent *a)
{
	const struct fl_manifest *order = agent_order(a, NULL);
	int64_t now = agent_now_ms(a),
		opens = order == NULL ? now : fl_manifest_opens(&order->goal.step, now);
	char when[21], detail[64];

	if (opens == now)
		return true;
	if (opens >= 0)
		fl_utc_write(opens, when);
	(void)snprintf(detail, sizeof(detail), "window opens %s", opens < 0 ? "no more" : when);
	note(a, "window", detail);
	return false;
}

static bool in_window(struct agent *a)
{
	time_t now = (time_t)(agent_now_ms(a) / SECOND_MS);
	char next[16], detail[64];
	struct window w;
	struct tm local;

	/* it was checked at the start */
	if (window_parse(a->settings->switch_window, &w, NULL) != FL_OK ||
		localtime_r(&now, &local) == NULL || window_open(&w, &local))
		return true;
	window_next(&w, &local, next);
	(void)snprintf(detail, sizeof(detail), "window opens %s, it is %02d:%02d here", next,
		local.tm_hour, local.tm_min);
	note(a, "window", detail);
	return false;
}

/* Ask the ready command. FL_OK, FL_STOPPED, or another code: it is to wait. */
static enum fl_code ask(struct agent *a, enum fsm_state next)
{
	FL_AUTO_BUF struct fl_buf said = { .max = 512 };
	struct fl_err err = { 0 };
	char detail[sizeof(a->s.wait.detail)];
	enum fl_code code = steps_command(a, a->settings->ready_command, next, &said, &err);

	if (code == FL_OK || code == FL_STOPPED)
		return code;
	run_last_line(&said, detail, sizeof(detail));
	note(a, "consent", detail[0] != '\0' ? detail : err.msg);
	return code;
}

enum fsm_state wait_for(struct agent *a, enum fsm_state next)
{
	switch (ask(a, next)) {
	case FL_STOPPED:
		return a->s.now;
	case FL_OK:
		return next == FSM_DOWNLOADING || (is_free(a) && in_order_window(a) && in_window(a))
			? next
			: FSM_WAITING;
	default:
		return FSM_WAITING;
	}
}

enum fsm_state wait_work(struct agent *a)
{
	const char *before = a->s.wait.on;
	int64_t left = a->poll_at - agent_mono_ms();
	enum fsm_state next;

	if (left <= 0)
		return FSM_POLLING;
	next = wait_for(a, a->s.whole ? FSM_INSTALLING : FSM_DOWNLOADING);
	if (next != FSM_WAITING)
		return next;
	if (strcmp(before, a->s.wait.on) != 0) {
		a->s.now_ms = agent_now_ms(a);
		a->dirty = state_report(&a->s, "waiting", false, NULL) == FL_OK;
	}
	agent_wait(a, left < a->settings->ready_interval ? left : a->settings->ready_interval);
	return FSM_WAITING;
}
