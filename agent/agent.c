/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include "lib/clock.h"
#include "lib/digest.h"
#include "lib/file.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- time */

int64_t agent_mono_ms(void)
{
	return fl_clock_ms(CLOCK_BOOTTIME); /* goes on while the device sleeps */
}

int64_t agent_now_ms(const struct agent *a)
{
	return fl_clock_ms(CLOCK_REALTIME) + a->clock_skew_ms;
}

void agent_wait(const struct agent *a, int64_t ms)
{
	struct pollfd fd = { .fd = a->stop_fd, .events = POLLIN };
	int64_t until = agent_mono_ms() + ms, left;

	while (!*a->stop && (left = until - agent_mono_ms()) > 0)
		(void)poll(&fd, 1, left > 60000 ? 60000 : (int)left);
}

/* ---- paths */

enum fl_code agent_path(
	const struct agent *a, const char *name, char out[AGENT_PATH_MAX], struct fl_err *err)
{
	int n = snprintf(out, AGENT_PATH_MAX, "%s/%s", a->settings->state_dir, name);

	if (n < 0 || n >= AGENT_PATH_MAX)
		return fl_fail(err, FL_INVALID, "a path under the state folder is too long");
	return FL_OK;
}

enum fl_code agent_folder(const struct agent *a, const char *name, struct fl_err *err)
{
	char path[AGENT_PATH_MAX];
	enum fl_code code = agent_path(a, name, path, err);

	return code == FL_OK ? fl_file_mkdirs(path, 0700, err) : code;
}

/* ---- life */

static enum fl_code lock(struct agent *a, struct fl_err *err)
{
	char path[AGENT_PATH_MAX];
	enum fl_code code = agent_path(a, "lock", path, err);

	if (code != FL_OK)
		return code;
	a->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (a->lock_fd < 0)
		return fl_fail_errno(err, errno, "cannot open %s", path);
	if (flock(a->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return fl_fail(err, FL_CONFLICT, "another fleet-agent runs on %s; stop it first",
			a->settings->state_dir);
	return FL_OK;
}

static enum fl_code add_factory(void *ctx, const char *name, const char *value, struct fl_err *err)
{
	json_t *entry = json_pack("{s:s, s:s}", "module", name, "version", value);

	if (json_array_append_new(ctx, entry) != 0)
		return fl_fail(err, FL_INVALID, "factory: \"%.64s\" is not UTF-8", name);
	return FL_OK;
}

static enum fl_code load_record(struct agent *a, struct fl_err *err)
{
	char path[AGENT_PATH_MAX];
	enum fl_code code = agent_path(a, "state.json", path, err);

	if (code == FL_OK)
		code = state_init(&a->s, err);
	if (code != FL_OK)
		return code;
	code = state_load(&a->s, path, err);
	if (code == FL_NOT_FOUND) {
		code = settings_pairs(
			"factory", a->settings->factory, add_factory, a->s.good_modules, err);
		return code == FL_OK ? state_save(&a->s, path, err) : code;
	}
	if (code == FL_OK && fsm_broken(&a->s) != NULL)
		code = fl_fail(
			err, FL_CORRUPT, "the agent's record %s: %s", path, fsm_broken(&a->s));
	return code;
}

static enum fl_code load_key(struct agent *a, struct fl_err *err)
{
	char path[AGENT_PATH_MAX];
	enum fl_code code = agent_path(a, "device.key", path, err);

	if (code == FL_OK)
		code = fl_sign_key_load(&a->key, path, err);
	if (code != FL_NOT_FOUND)
		return code;
	if (a->s.now != FSM_ENROLLING)
		return fl_fail(err, FL_NOT_FOUND,
			"the key %s is gone; restore it, or remove the state folder and enrol anew",
			path);
	fl_sign_key_new(&a->key);
	return fl_sign_key_save(&a->key, path, err);
}

static enum fl_code save(struct agent *a, struct fl_err *err)
{
	char path[AGENT_PATH_MAX];
	enum fl_code code = agent_path(a, "state.json", path, err);

	if (code == FL_OK)
		code = state_save(&a->s, path, err);
	a->dirty = a->dirty && code != FL_OK;
	return code;
}

/* A start in the middle of a trial may be the trial's fault. */
static enum fl_code count_start(struct agent *a, struct fl_err *err)
{
	if (a->s.now != FSM_CHECKING && a->s.now != FSM_PROBATION)
		return FL_OK;
	a->s.starts++;
	return save(a, err);
}

enum fl_code agent_init(struct agent *a, const struct settings *settings, const volatile int *stop,
	int stop_fd, struct fl_err *err)
{
	enum fl_code code;

	a->settings = settings;
	a->stop = stop;
	a->stop_fd = stop_fd;
	a->lock_fd = -1;
	a->session.poll_interval_s = 60;
	code = fl_file_mkdirs(settings->state_dir, 0700, err);
	if (code == FL_OK)
		code = fl_file_mkdirs(settings->install_dir, 0755, err);
	if (code == FL_OK)
		code = lock(a, err);
	if (code == FL_OK)
		code = load_record(a, err);
	if (code == FL_OK)
		code = load_key(a, err);
	if (code == FL_OK)
		code = count_start(a, err);
	return code == FL_OK ? http_new(&a->http, settings, stop, err) : code;
}

void agent_fini(struct agent *a)
{
	http_free(a->http);
	http_answer_fini(&a->answer);
	protocol_message_fini(&a->message);
	fl_manifest_fini(&a->order);
	json_decref(a->attributes);
	state_fini(&a->s);
	fl_sign_key_fini(&a->key);
	fl_wipe(&a->session, sizeof(a->session));
	if (a->lock_fd >= 0)
		(void)close(a->lock_fd);
	memset(a, 0, sizeof(*a));
	a->lock_fd = -1;
}

/* ---- the order in hand */

const struct fl_manifest *agent_order(struct agent *a, struct fl_err *err)
{
	if (a->order.content != NULL)
		return &a->order;
	if (a->s.order == NULL || talk_trust(a, err) != FL_OK ||
		fl_manifest_open(fl_bytes(a->s.order, strlen(a->s.order)), &a->root.manifest,
			&a->order, err) != FL_OK)
		return NULL;
	return &a->order;
}

void agent_verdict(struct agent *a, const char *state, const char *cause, const char *detail)
{
	struct verdict *v = &a->s.verdict;
	int n;

	*v = (struct verdict){ .state = state, .cause = cause };
	n = snprintf(v->detail, sizeof(v->detail), "%s", detail);
	/* A sentence that was cut may end inside a character: back to a whole one. */
	if (n >= (int)sizeof(v->detail)) {
		size_t end = sizeof(v->detail) - 1;

		while (end > 0 && ((uint8_t)v->detail[end - 1] & 0xc0) == 0x80)
			end--;
		if (end > 0 && ((uint8_t)v->detail[end - 1] & 0x80) != 0)
			end--;
		v->detail[end] = '\0';
	}
}

/* ---- one edge a turn */

static void die(void) __attribute__((noreturn));

static void die(void)
{
	(void)kill(getpid(), SIGKILL);
	abort();
}

/* Progress is told on the way; what cannot be sent now stays in the record. */
static enum fl_code tell_progress(struct agent *a, struct fl_err *err)
{
	struct fl_err why = { 0 };

	if (json_array_size(a->s.outbox) == 0 || agent_mono_ms() < a->quiet_until ||
		a->s.now == FSM_REPORTING || *a->stop)
		return FL_OK;
	if (talk_reports(a, &why) != FL_OK)
		(void)talk_back_off(a);
	return a->dirty ? save(a, err) : FL_OK;
}

static void log_edge(const struct agent *a, const struct fsm_edge *e)
{
	enum fl_log_level level = fsm_quiet(e) ? FL_LOG_DEBUG : FL_LOG_INFO;

	fl_log_(level, e->why, FL_S("from", state_text(e->from)), FL_S("to", state_text(e->to)),
		FL_N("manifest", a->s.accepted));
}

static enum fl_code take_edge(struct agent *a, enum fsm_state to, struct fl_err *err)
{
	const struct fsm_edge *e = fsm_find(a->s.now, to);
	enum fl_code code;

	FL_BUG_IF(e == NULL);
	log_edge(a, e);
	a->edges++;
	a->s.now_ms = agent_now_ms(a);
	code = fsm_move(&a->s, to, err);
	if (code != FL_OK)
		return code;
	if (a->edges == a->kill.before_save)
		die();
	if (!fsm_quiet(e) || a->dirty)
		code = save(a, err);
	if (code == FL_OK && a->edges == a->kill.after_save)
		die();
	return code;
}

enum fl_code agent_turn(struct agent *a, struct fl_err *err)
{
	enum fsm_state from = a->s.now, to = steps_of(from)(a);
	enum fl_code code;

	if (to != from) {
		code = take_edge(a, to, err);
		return code == FL_OK ? tell_progress(a, err) : code;
	}
	return a->dirty ? save(a, err) : FL_OK;
}
