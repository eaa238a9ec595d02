/* SPDX-License-Identifier: Apache-2.0
 *
 * What the agent does in each state. Everything here may be done again after a kill. */
#include "agent/agent.h"

#include "agent/run.h"
#include "lib/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_MS 1000LL

/* ---- enrolling, idle, polling */

static enum fsm_state enrolling(struct agent *a)
{
	struct fl_err err = { 0 };
	const char *why = err.msg;

	a->last = talk_enrol(a, &err);
	if (a->last == FL_OK) {
		talk_works(a);
		return FSM_IDLE;
	}
	a->cycles++;
	fl_log_warning("the device cannot enrol yet", FL_S("why", why));
	agent_wait(a, talk_back_off(a));
	return FSM_ENROLLING;
}

/* The record says what shall run; look whether it does, as after a restored disk. */
static void mend_link(struct agent *a)
{
	struct fl_err err = { 0 };
	const char *why = err.msg;

	if (install_current(a->settings->install_dir) == a->s.good)
		return;
	fl_log_warning("current does not lead to the good generation; it is put right",
		FL_N("generation", a->s.good));
	if (install_switch(a->settings->install_dir, a->s.good, &err) != FL_OK)
		fl_log_error(
			"current cannot be put right; see that the install folder can be written",
			FL_S("why", why));
}

static enum fsm_state idle(struct agent *a)
{
	int64_t left;

	mend_link(a);
	left = a->poll_at - agent_mono_ms();
	if (left > 0)
		agent_wait(a, left);
	return *a->stop || agent_mono_ms() < a->poll_at ? FSM_IDLE : FSM_POLLING;
}

static void plan_poll(struct agent *a, int64_t wait_ms)
{
	a->poll_at = agent_mono_ms() + wait_ms;
}

static int64_t poll_interval_ms(const struct agent *a)
{
	int64_t set = a->settings->poll_interval;

	return set > 0 ? set : a->session.poll_interval_s * SECOND_MS;
}

/* Where polling ends without a new manifest. */
static enum fsm_state go_on(struct agent *a)
{
	a->cycles++;
	if (a->s.order == NULL)
		return FSM_IDLE;
	return a->s.wait.on != NULL ? FSM_WAITING : FSM_DOWNLOADING;
}

static enum fsm_state take_answer(struct agent *a, int64_t newest)
{
	struct fl_err err = { 0 };

	if (a->answer.status == 200 && newest > a->s.accepted) {
		const char *text = (const char *)a->answer.body.p;

		a->last = state_set(&a->s.offer, text, &err);
		return a->last == FL_OK ? FSM_VERIFYING : go_on(a);
	}
	if (a->answer.status == 200 && a->s.order == NULL && a->s.verdict.state != NULL) {
		a->cycles++;
		a->repeated = true;
		return FSM_REPORTING;
	}
	return go_on(a);
}

static enum fsm_state polling(struct agent *a)
{
	struct fl_err err = { 0 };
	const char *why = err.msg;
	int64_t newest = 0, wait;

	if (a->refused) {
		a->refused = false;
		plan_poll(a, poll_interval_ms(a));
		return go_on(a);
	}
	a->last = talk_reports(a, &err);
	if (a->last == FL_OK)
		a->last = talk_inventory(a, &err);
	if (a->last == FL_OK)
		a->last = talk_poll(a, &newest, &err);
	if (a->last != FL_OK) {
		fl_log_warning("the server cannot be asked", FL_S("why", why));
		plan_poll(a, talk_back_off(a));
		return go_on(a);
	}
	talk_works(a);
	wait = poll_interval_ms(a);
	if (a->answer.retry_after_s * SECOND_MS > wait)
		wait = a->answer.retry_after_s * SECOND_MS;
	plan_poll(a, wait);
	return take_answer(a, newest);
}

/* ---- verifying */

static const json_t *find_good(const struct agent *a, const char *name)
{
	json_t *entry;
	size_t i;

	json_array_foreach (a->s.good_modules, i, entry) {
		if (strcmp(json_string_value(json_object_get(entry, "module")), name) == 0)
			return entry;
	}
	return NULL;
}

/* One wanted module as an entry; NULL with a sentence if this device cannot have it. */
static json_t *entry_of(
	const struct agent *a, const struct fl_manifest_module *m, struct fl_err *err)
{
	const json_t *had = find_good(a, m->module);
	const char *version =
		had == NULL ? NULL : json_string_value(json_object_get(had, "version"));

	if (m->sha256 == NULL && (version == NULL || strcmp(version, m->version) != 0)) {
		(void)fl_fail(err, FL_REFUSED, "%.64s %.64s has no bytes and is not here",
			m->module, m->version);
		return NULL;
	}
	if (m->sha256 == NULL)
		return json_incref((json_t *)had);
	if (install_find(m->kind) == NULL) {
		(void)fl_fail(err, FL_REFUSED, "this agent does not install kind %.32s", m->kind);
		return NULL;
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:I}", "module", m->module, "version", m->version,
		"kind", m->kind, "sha256", m->sha256, "size", (json_int_t)m->size);
}

/* The manifest's list is the whole list: what it does not name will not be there. */
static enum fl_code list_wanted(
	const struct agent *a, const struct fl_manifest *m, json_t *out, struct fl_err *err)
{
	for (size_t i = 0; i < m->goal.n_modules; i++) {
		json_t *entry = entry_of(a, &m->goal.modules[i], err);
		struct module read;
		enum fl_code code;

		if (entry == NULL)
			return FL_REFUSED;
		code = install_read(entry, &read, err);
		if (json_array_append_new(out, entry) != 0)
			return fl_fail(err, FL_NOMEM, "no memory for the order");
		if (code != FL_OK)
			return code;
	}
	return FL_OK;
}

static bool same_modules(const json_t *a, const json_t *b)
{
	static const char *const keys[] = { "module", "version", "sha256" };

	if (json_array_size(a) != json_array_size(b))
		return false;
	for (size_t i = 0; i < json_array_size(a); i++) {
		for (size_t k = 0; k < FL_COUNT(keys); k++) {
			const json_t *x = json_object_get(json_array_get(a, i), keys[k]);
			const json_t *y = json_object_get(json_array_get(b, i), keys[k]);

			if ((x == NULL) != (y == NULL) || (x != NULL && !json_equal(x, y)))
				return false;
		}
	}
	return true;
}

static enum fl_code check_offer(struct agent *a, struct fl_manifest *m, struct fl_err *err)
{
	const char *text = a->s.offer;
	struct fl_manifest_rules rules = { .tenant = a->settings->tenant,
		.device = a->s.device,
		.number = a->s.accepted,
		.now_ms = agent_now_ms(a) };
	enum fl_code code = talk_trust(a, err);

	if (code == FL_OK)
		code = fl_manifest_open(fl_bytes(text, strlen(text)), &a->root.manifest, m, err);
	return code == FL_OK ? fl_manifest_check(m, &rules, err) : code;
}

/* From here on the manifest is the order: its number and its step go into the record. */
static enum fsm_state accept(struct agent *a, const struct fl_manifest *m)
{
	FL_AUTO_JSON json_t *wanted = json_array();
	const struct fl_manifest_step *step = &m->goal.step;
	struct fl_err err = { 0 };
	enum fl_code code = state_set(&a->s.step, step->rollout == NULL ? NULL : step->id, &err);

	if (code != FL_OK || wanted == NULL)
		return FSM_VERIFYING; /* no memory: once more */
	a->s.accepted = m->head.number;
	a->corrupt = 0;
	code = list_wanted(a, m, wanted, &err);
	if (code != FL_OK) {
		agent_verdict(a, "rejected", "device", err.msg);
		return FSM_REPORTING;
	}
	json_decref(a->s.trial_modules);
	a->s.trial_modules = json_incref(wanted);
	if (same_modules(wanted, a->s.good_modules)) {
		agent_verdict(a, "confirmed", NULL, "");
		return FSM_REPORTING;
	}
	return FSM_DOWNLOADING;
}

static enum fsm_state verifying(struct agent *a)
{
	struct fl_manifest m = { 0 };
	struct fl_err err = { 0 };
	const char *why = err.msg;
	enum fsm_state next = FSM_POLLING;

	if (check_offer(a, &m, &err) == FL_OK) {
		next = accept(a, &m);
	} else {
		a->refused = true;
		a->last = FL_SIGNATURE;
		fl_log_error("a manifest is refused; see that the server and its keys are the "
			     "right ones",
			FL_S("why", why));
	}
	fl_manifest_fini(&m);
	fl_manifest_fini(&a->order);
	return next;
}

/* ---- installing, switching */

static enum fl_code install_all(struct agent *a, struct fl_err *err)
{
	json_t *entry;
	size_t i;

	json_array_foreach (a->s.trial_modules, i, entry) {
		char artifact[AGENT_PATH_MAX];
		struct module m;
		enum fl_code code = install_read(entry, &m, err);

		if (code == FL_OK && m.sha256 != NULL) {
			code = fetch_artifact_path(a, m.sha256, artifact, err);
			if (code == FL_OK)
				code = install_module(a->settings->install_dir, &m, artifact, err);
		}
		if (code != FL_OK)
			return code;
	}
	return install_generation(a->settings->install_dir, a->s.trial, a->s.trial_modules, err);
}

static enum fsm_state installing(struct agent *a)
{
	struct fl_err err = { 0 };
	enum fl_code code = install_all(a, &err);

	if (code == FL_OK)
		return FSM_SWITCHING;
	agent_verdict(a, "failed", code == FL_REFUSED ? "release" : "device", err.msg);
	return FSM_REPORTING;
}

/* Environment of the commands: which generation, and where. */
struct surroundings {
	char install_dir[640], generation[64], state[64];
	const char *list[4];
};

static void surround(const struct agent *a, enum fsm_state state, struct surroundings *s)
{
	(void)snprintf(s->install_dir, sizeof(s->install_dir), "FLEET_INSTALL_DIR=%s",
		a->settings->install_dir);
	(void)snprintf(s->generation, sizeof(s->generation), "FLEET_GENERATION=%" PRId64,
		install_current(a->settings->install_dir));
	(void)snprintf(s->state, sizeof(s->state), "FLEET_STATE=%s", state_text(state));
	s->list[0] = s->install_dir;
	s->list[1] = s->generation;
	s->list[2] = s->state;
	s->list[3] = NULL;
}

enum fl_code steps_command(struct agent *a, const char *text, enum fsm_state state,
	struct fl_buf *output, struct fl_err *err)
{
	struct surroundings s;
	struct run run = { .command = text,
		.environ = s.list,
		.stop = a->stop,
		.timeout_ms = a->settings->command_timeout,
		.reasons = output != NULL };

	if (text[0] == '\0')
		return FL_OK;
	surround(a, state, &s);
	return run_command(&run, output, err);
}

static enum fl_code switch_to(struct agent *a, int64_t generation, struct fl_err *err)
{
	enum fl_code code = install_switch(a->settings->install_dir, generation, err);

	return code == FL_OK ? steps_command(a, a->settings->switch_command, a->s.now, NULL, err)
			     : code;
}

static enum fsm_state switching(struct agent *a)
{
	struct fl_err err = { 0 };
	enum fl_code code = switch_to(a, a->s.trial, &err);

	a->probation_until = 0;
	if (code == FL_OK)
		return FSM_CHECKING;
	if (code == FL_STOPPED)
		return FSM_SWITCHING;
	agent_verdict(a, "rolled_back",
		code == FL_REFUSED || code == FL_TIMEOUT ? "release" : "device", err.msg);
	return FSM_ROLLING_BACK;
}

/* ---- is it well? */

/* FL_OK, FL_STOPPED, or the verdict is spoken. */
static enum fl_code check_health(struct agent *a)
{
	FL_AUTO_BUF struct fl_buf said = { .max = 512 };
	struct fl_err err = { 0 };
	char detail[sizeof(a->s.verdict.detail)];
	enum fl_code code;

	if (a->s.starts > a->settings->restarts) {
		(void)snprintf(detail, sizeof(detail),
			"the agent was started %" PRId64 " times in the trial", a->s.starts);
		agent_verdict(a, "rolled_back", "release", detail);
		return FL_REFUSED;
	}
	code = steps_command(a, a->settings->health_command, a->s.now, &said, &err);
	if (code != FL_OK && code != FL_STOPPED)
		agent_verdict(a, "rolled_back", "release", err.msg);
	return code;
}

static enum fsm_state checking(struct agent *a)
{
	enum fl_code code = check_health(a);

	if (code == FL_STOPPED)
		return FSM_CHECKING;
	a->probation_until = 0;
	return code == FL_OK ? FSM_PROBATION : FSM_ROLLING_BACK;
}

static int64_t probation_ms(struct agent *a)
{
	const struct fl_manifest *order = agent_order(a, NULL);

	if (order == NULL || order->goal.step.rollout == NULL)
		return a->settings->probation;
	return order->goal.step.probation_s * SECOND_MS;
}

/* A restart begins the probation anew: what was seen before proves nothing about this start. */
static enum fsm_state probation(struct agent *a)
{
	int64_t now = agent_mono_ms(), left;
	enum fl_code code;

	if (a->probation_until == 0)
		a->probation_until = now + probation_ms(a);
	left = a->probation_until - now;
	if (left > 0)
		agent_wait(a,
			left < a->settings->health_interval ? left : a->settings->health_interval);
	if (*a->stop)
		return FSM_PROBATION;
	code = check_health(a);
	if (code == FL_STOPPED)
		return FSM_PROBATION;
	if (code != FL_OK)
		return FSM_ROLLING_BACK;
	return agent_mono_ms() < a->probation_until ? FSM_PROBATION : FSM_CONFIRMED;
}

/* ---- the ends */

static void prune(const struct agent *a)
{
	install_prune(a->settings->install_dir, a->s.good, a->s.previous, a->s.good_modules,
		a->s.previous_modules);
	fetch_clean(a);
}

static enum fsm_state confirmed(struct agent *a)
{
	prune(a);
	return FSM_REPORTING;
}

static enum fsm_state rolling_back(struct agent *a)
{
	struct fl_err err = { 0 };
	enum fl_code code = install_switch(a->settings->install_dir, a->s.good, &err);
	const char *why = err.msg;

	if (code != FL_OK) {
		agent_verdict(a, "rollback_failed", "device", err.msg);
		return FSM_REPORTING;
	}
	code = steps_command(a, a->settings->switch_command, a->s.now, NULL, &err);
	if (code == FL_STOPPED)
		return FSM_ROLLING_BACK;
	if (code != FL_OK)
		fl_log_error("the switch command fails also on the way back", FL_S("why", why));
	return FSM_REPORTING;
}

static enum fsm_state reporting(struct agent *a)
{
	struct fl_err err = { 0 };
	const char *why = err.msg;

	prune(a);
	a->last = talk_reports(a, &err);
	if (a->last == FL_OK)
		a->last = talk_inventory(a, &err);
	if (a->last != FL_OK) {
		fl_log_warning("the reports are kept for the next poll", FL_S("why", why));
		plan_poll(a, talk_back_off(a));
	} else if (!a->repeated) {
		plan_poll(a, 0); /* the next layer may wait already */
	}
	a->repeated = false;
	return FSM_IDLE;
}

/* ---- the table */

static const steps_fn works[FSM_STATE_MAX] = {
	[FSM_ENROLLING] = enrolling,
	[FSM_IDLE] = idle,
	[FSM_POLLING] = polling,
	[FSM_VERIFYING] = verifying,
	[FSM_DOWNLOADING] = fetch_download,
	[FSM_PATCHING] = fetch_patch,
	[FSM_WAITING] = wait_work,
	[FSM_INSTALLING] = installing,
	[FSM_SWITCHING] = switching,
	[FSM_CHECKING] = checking,
	[FSM_PROBATION] = probation,
	[FSM_CONFIRMED] = confirmed,
	[FSM_ROLLING_BACK] = rolling_back,
	[FSM_REPORTING] = reporting,
};

steps_fn steps_of(enum fsm_state s)
{
	FL_BUG_IF((unsigned)s >= FSM_STATE_MAX || works[s] == NULL);
	return works[s];
}
