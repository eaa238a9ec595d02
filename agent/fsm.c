/* SPDX-License-Identifier: Apache-2.0
 *
 *   enrolling
 *      |
 *    idle <-----------------------------------------------+
 *      |                                                  |
 *    polling --(nothing)--> idle                          |
 *      |    \--(asked again)------------------------> reporting
 *    verifying --(refused)--> polling                  ^  ^  ^
 *      |    \--(fulfilled, or not for this device)-----+  |  |
 *    downloading <--> polling (network gone)              |  |
 *      |    ^                                             |  |
 *    patching (patch bad: fetch the full one)             |  |
 *      |    \--(not now)--> waiting <--> polling          |  |
 *      |    <---------------- |  <--(not now) downloading |  |
 *    installing --(cannot: nothing was switched)----------+  |
 *      |                                                     |
 *    switching ----------------+                             |
 *      |                       v                             |
 *    checking ---(ill)---> rolling_back ---------------------+
 *      |                       ^                             |
 *    probation --(ill)---------+                             |
 *      |                                                     |
 *    confirmed ----------------------------------------------+
 */
#include "agent/fsm.h"

#include <stdlib.h>
#include <string.h>

/* ---- actions: the record only */

static enum fl_code drop_offer(struct state *s, struct fl_err *err)
{
	return state_set(&s->offer, NULL, err);
}

/* Numbers are never used twice: what lies there of an older attempt cannot be taken for this one. */
static void new_attempt(struct state *s)
{
	s->trial = ++s->last;
	s->wait = (struct waits){ 0 };
	s->whole = false;
	s->starts = s->full = s->bytes = s->saved = 0;
}

/* steps.c has put number, step and the wanted modules into the record while it checked. */
static enum fl_code accept_order(struct state *s, struct fl_err *err)
{
	s->verdict = (struct verdict){ 0 };
	free(s->order);
	s->order = fl_steal(&s->offer);
	new_attempt(s);
	return state_report(s, "downloading", false, err);
}

/* The order ends: its verdict goes to the outbox, its number stays. */
static enum fl_code close_order(struct state *s, struct fl_err *err)
{
	enum fl_code code;

	FL_BUG_IF(s->verdict.state == NULL);
	code = state_report(s, s->verdict.state, true, err);
	if (code != FL_OK)
		return code;
	free(fl_steal(&s->order));
	free(fl_steal(&s->offer));
	s->trial = 0;
	s->wait = (struct waits){ 0 };
	s->whole = false;
	(void)json_array_clear(s->trial_modules);
	return FL_OK;
}

/* Nothing was switched: what runs is still the good generation. */
static enum fl_code give_up(struct state *s, struct fl_err *err)
{
	s->trial = 0;
	return close_order(s, err);
}

static enum fl_code repeat_verdict(struct state *s, struct fl_err *err)
{
	return state_report(s, s->verdict.state, true, err);
}

static enum fl_code note_downloaded(struct state *s, struct fl_err *err)
{
	return state_report(s, "downloaded", false, err);
}

static enum fl_code wait_to_download(struct state *s, struct fl_err *err)
{
	s->whole = false;
	return state_report(s, "waiting", false, err);
}

static enum fl_code wait_to_switch(struct state *s, struct fl_err *err)
{
	s->whole = true;
	return state_report(s, "waiting", false, err);
}

static enum fl_code note_downloading(struct state *s, struct fl_err *err)
{
	s->wait = (struct waits){ 0 };
	return state_report(s, "downloading", false, err);
}

static enum fl_code note_installing(struct state *s, struct fl_err *err)
{
	s->wait = (struct waits){ 0 };
	s->whole = false;
	return state_report(s, "installing", false, err);
}

static enum fl_code note_installed(struct state *s, struct fl_err *err)
{
	s->starts = 0;
	return state_report(s, "installed", false, err);
}

static enum fl_code want_full(struct state *s, struct fl_err *err)
{
	(void)err;
	s->full++;
	return FL_OK;
}

/* The trial becomes the good generation. */
static enum fl_code make_good(struct state *s, struct fl_err *err)
{
	json_t *old = s->previous_modules;

	(void)err;
	s->previous = s->good;
	s->previous_modules = s->good_modules;
	s->good = s->trial;
	s->good_modules = s->trial_modules;
	s->trial = 0;
	(void)json_array_clear(old);
	s->trial_modules = old;
	s->verdict = (struct verdict){ .state = "confirmed" };
	return FL_OK;
}

/* Back on the good generation, or stuck on the trial: steps.c has said which in the verdict. In the
 * second case the report names what runs; idle goes on trying to repair the link. */
static enum fl_code end_trial(struct state *s, struct fl_err *err)
{
	if (strcmp(s->verdict.state, "rollback_failed") != 0)
		s->trial = 0;
	return close_order(s, err);
}

/* ---- edges */

static const struct fsm_edge edges[] = {
	{ FSM_ENROLLING, FSM_IDLE, "the server knows this device's key", NULL },
	{ FSM_IDLE, FSM_POLLING, "it is time to ask the server", NULL },
	{ FSM_POLLING, FSM_IDLE, "there is nothing new, or nobody to ask", NULL },
	{ FSM_POLLING, FSM_VERIFYING, "a manifest came", NULL },
	{ FSM_POLLING, FSM_DOWNLOADING, "the order in hand still stands", NULL },
	{ FSM_POLLING, FSM_WAITING, "the order in hand still waits", NULL },
	{ FSM_POLLING, FSM_REPORTING, "the end of a finished order is asked for again",
		repeat_verdict },
	{ FSM_VERIFYING, FSM_POLLING, "the manifest is refused", drop_offer },
	{ FSM_VERIFYING, FSM_DOWNLOADING, "the manifest is signed, new and for this device",
		accept_order },
	{ FSM_VERIFYING, FSM_REPORTING, "the order is fulfilled already, or cannot be here",
		give_up },
	{ FSM_DOWNLOADING, FSM_POLLING, "the network is gone: ask whether the order still stands",
		NULL },
	{ FSM_DOWNLOADING, FSM_PATCHING, "every missing byte lies on the disk", note_downloaded },
	{ FSM_DOWNLOADING, FSM_WAITING, "the device may not download now", wait_to_download },
	{ FSM_DOWNLOADING, FSM_REPORTING, "the bytes cannot be had", give_up },
	{ FSM_PATCHING, FSM_DOWNLOADING, "a patch did not decode: the full artifact is fetched",
		want_full },
	{ FSM_PATCHING, FSM_INSTALLING, "every artifact has its digest", note_installing },
	{ FSM_PATCHING, FSM_WAITING, "every artifact has its digest; the device may not switch now",
		wait_to_switch },
	{ FSM_PATCHING, FSM_REPORTING, "an artifact could not be made from its download", give_up },
	{ FSM_WAITING, FSM_POLLING, "it is time to ask whether the order still stands", NULL },
	{ FSM_WAITING, FSM_DOWNLOADING, "the device may download", note_downloading },
	{ FSM_WAITING, FSM_INSTALLING, "the device may switch", note_installing },
	{ FSM_INSTALLING, FSM_SWITCHING, "every module of the stage lies in its folder", NULL },
	{ FSM_INSTALLING, FSM_REPORTING, "a module could not be installed; nothing was switched",
		give_up },
	{ FSM_SWITCHING, FSM_CHECKING, "the new generation is the current one", note_installed },
	{ FSM_SWITCHING, FSM_ROLLING_BACK, "the switch failed", NULL },
	{ FSM_CHECKING, FSM_PROBATION, "the health command succeeded", NULL },
	{ FSM_CHECKING, FSM_ROLLING_BACK, "the health command failed", NULL },
	{ FSM_PROBATION, FSM_CONFIRMED, "the device stayed healthy to the end of the probation",
		make_good },
	{ FSM_PROBATION, FSM_ROLLING_BACK, "the device fell ill during the probation", NULL },
	{ FSM_CONFIRMED, FSM_REPORTING, "the new generation is kept", close_order },
	{ FSM_ROLLING_BACK, FSM_REPORTING, "the way back is gone to its end", end_trial },
	{ FSM_REPORTING, FSM_IDLE, "the reports are with the server, or kept for the next poll",
		NULL },
};

const struct fsm_edge *fsm_edges(size_t *n)
{
	*n = FL_COUNT(edges);
	return edges;
}

const struct fsm_edge *fsm_find(enum fsm_state from, enum fsm_state to)
{
	for (size_t i = 0; i < FL_COUNT(edges); i++) {
		if (edges[i].from == from && edges[i].to == to)
			return &edges[i];
	}
	return NULL;
}

bool fsm_quiet(const struct fsm_edge *e)
{
	return (e->from == FSM_IDLE && e->to == FSM_POLLING) ||
		(e->from == FSM_POLLING && e->to == FSM_IDLE) ||
		(e->from == FSM_WAITING && e->to == FSM_POLLING) ||
		(e->from == FSM_POLLING && e->to == FSM_WAITING);
}

/* ---- invariants, by state */

static const char *broken_enrolling(const struct state *s)
{
	if (s->order != NULL || s->offer != NULL || s->trial != 0)
		return "an order before enrolment";
	return NULL;
}

static const char *broken_idle(const struct state *s)
{
	if (s->root == NULL || s->device == NULL)
		return "idle without being enrolled";
	if (s->order != NULL || s->offer != NULL || s->trial != 0)
		return "idle with an order in hand";
	return NULL;
}

static const char *broken_polling(const struct state *s)
{
	if (s->root == NULL || s->device == NULL)
		return "polling without being enrolled";
	if ((s->order != NULL) != (s->trial != 0))
		return "an order without a generation for it, or the other way round";
	return NULL;
}

static const char *broken_verifying(const struct state *s)
{
	if (s->offer == NULL)
		return "nothing to verify";
	return s->root == NULL ? "nothing to verify against" : NULL;
}

static const char *broken_working(const struct state *s)
{
	if (s->order == NULL || s->offer != NULL)
		return "work without an accepted order";
	if (s->trial <= s->good || s->trial <= s->previous)
		return "the trial would overwrite a generation that is kept";
	if (s->verdict.state != NULL)
		return "a verdict before the end";
	return s->now != FSM_WAITING && s->wait.on != NULL ? "it waits and works" : NULL;
}

static const char *broken_waiting(const struct state *s)
{
	return s->wait.on == NULL ? "it waits for nothing" : broken_working(s);
}

static const char *broken_confirmed(const struct state *s)
{
	if (s->order == NULL || s->trial != 0 || s->good == 0)
		return "confirmed without a good generation";
	if (s->verdict.state == NULL || strcmp(s->verdict.state, "confirmed") != 0)
		return "confirmed without the verdict";
	return NULL;
}

static const char *broken_rolling_back(const struct state *s)
{
	if (s->order == NULL || s->trial == 0)
		return "rolling back without a trial";
	if (s->verdict.state == NULL || strcmp(s->verdict.state, "confirmed") == 0)
		return "rolling back without a failure";
	return NULL;
}

static const char *(*const invariants[FSM_STATE_MAX])(const struct state *s) = {
	[FSM_ENROLLING] = broken_enrolling,
	[FSM_IDLE] = broken_idle,
	[FSM_POLLING] = broken_polling,
	[FSM_VERIFYING] = broken_verifying,
	[FSM_DOWNLOADING] = broken_working,
	[FSM_PATCHING] = broken_working,
	[FSM_WAITING] = broken_waiting,
	[FSM_INSTALLING] = broken_working,
	[FSM_SWITCHING] = broken_working,
	[FSM_CHECKING] = broken_working,
	[FSM_PROBATION] = broken_working,
	[FSM_CONFIRMED] = broken_confirmed,
	[FSM_ROLLING_BACK] = broken_rolling_back,
	[FSM_REPORTING] = broken_idle,
};

const char *fsm_broken(const struct state *s)
{
	FL_BUG_IF((unsigned)s->now >= FSM_STATE_MAX);
	if (s->good < 0 || s->previous < 0 || s->trial < 0 ||
		(s->good != 0 && s->good == s->previous))
		return "the numbers of the generations are mixed up";
	return invariants[s->now](s);
}

enum fl_code fsm_move(struct state *s, enum fsm_state to, struct fl_err *err)
{
	const struct fsm_edge *e = fsm_find(s->now, to);
	enum fl_code code;

	FL_BUG_IF(e == NULL);
	code = e->action == NULL ? FL_OK : e->action(s, err);
	if (code != FL_OK)
		return code;
	s->now = to;
	FL_BUG_IF(fsm_broken(s) != NULL);
	return FL_OK;
}

void fsm_graph(struct fl_buf *b)
{
	fl_buf_str(b, "digraph \"fleet-agent\" {\n\tnode [shape=box, style=rounded];\n");
	for (size_t i = 0; i < FL_COUNT(edges); i++)
		fl_buf_printf(b, "\t%s -> %s [label=\"%s\"];\n", state_text(edges[i].from),
			state_text(edges[i].to), edges[i].why);
	fl_buf_str(b, "}\n");
}

void fsm_manual(struct fl_buf *b)
{
	for (size_t i = 0; i < FL_COUNT(edges); i++)
		fl_buf_printf(b, ".It Cm %s No to Cm %s\n%s.\n", state_text(edges[i].from),
			state_text(edges[i].to), edges[i].why);
}
