/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes when devices were last seen from memory to their rows.
 *
 * DESIGN. A timer walks over the fleet, a window of numbers at a time, so that the whole fleet is
 * visited once in CYCLE_MS whatever its size: the writer has a few small batches a second instead of
 * a large one now and then. A window without news costs no write. A write that fails marks its
 * devices again. At the end (seen_down) what is left is written, as far as FINAL_MS goes: minutes of
 * last_seen may be lost, nothing else. */
#include "server/fleet.h"
#include "server/http/lanes.h"
#include "server/parts.h"
#include "server/server.h"
#include "server/store/batch.h"
#include "server/store/device.h"

#include <pthread.h>
#include <stdlib.h>

#define WINDOW   1024
#define CYCLE_MS 300000
#define TICK_MS  500 /* shortest */
#define FINAL_MS 2000

struct seen {
	struct write_job job;
	struct server *server;
	int64_t cursor; /* the last number visited */
	struct {
		int64_t no;
		uint32_t seen_s;
	} rows[WINDOW];
	size_t n;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	bool busy;   /* under lock: the job is with the writer */
	bool failed; /* under lock: the last one was */
};

static void add_row(void *arg, int64_t no, uint32_t seen_s)
{
	struct seen *s = arg;

	s->rows[s->n].no = no;
	s->rows[s->n++].seen_s = seen_s;
}

static enum fl_code run(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	struct seen *s = fl_container(job, struct seen, job);
	enum fl_code code = FL_OK;

	(void)e;
	for (size_t i = 0; i < s->n && code == FL_OK; i++)
		code = device_set_last_seen(store, s->rows[i].no, s->rows[i].seen_s, err);
	return code;
}

static void end(struct seen *s, bool failed)
{
	if (failed) {
		for (size_t i = 0; i < s->n; i++)
			fleet_untake_seen(s->server->fleet, s->rows[i].no);
	}
	pthread_mutex_lock(&s->lock);
	s->busy = false;
	s->failed = failed;
	pthread_cond_signal(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

static void done(
	struct write_job *job, struct server *server, enum fl_code code, const struct fl_err *err)
{
	(void)server;
	(void)err;
	end(fl_container(job, struct seen, job), code != FL_OK);
}

/* Collect the next window and hand it to the writer. The caller has seen that it is idle. */
static void write_window(struct seen *s)
{
	int64_t last = fleet_last_no(s->server->fleet),
		from = s->cursor >= last ? 1 : s->cursor + 1;
	int64_t to = from + WINDOW - 1 > last ? last : from + WINDOW - 1;

	s->n = 0;
	s->cursor = to;
	fleet_take_seen(s->server->fleet, from, to, add_row, s);
	if (s->n == 0)
		return;
	pthread_mutex_lock(&s->lock);
	s->busy = true;
	pthread_mutex_unlock(&s->lock);
	if (lanes_write(s->server, &s->job) != FL_OK)
		end(s, true);
}

static bool is_busy(struct seen *s)
{
	bool busy;

	pthread_mutex_lock(&s->lock);
	busy = s->busy;
	pthread_mutex_unlock(&s->lock);
	return busy;
}

static void tick(struct server *server, void *arg)
{
	struct seen *s = arg;
	int64_t windows = fleet_last_no(server->fleet) / WINDOW + 1;
	int64_t delay = CYCLE_MS / windows, times = 1;

	if (delay < TICK_MS) {
		times = (TICK_MS * windows + CYCLE_MS - 1) / CYCLE_MS;
		delay = TICK_MS;
	}
	for (; times > 0 && !is_busy(s); times--)
		write_window(s);
	loop_after(server, delay, tick, s);
}

enum fl_code seen_up(struct server *server, struct fl_err *err)
{
	struct seen *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the times of devices");
	s->server = server;
	s->job = (struct write_job){ .run = run, .done = done, .internal = true };
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	server->seen = s;
	loop_after(server, TICK_MS, tick, s);
	return FL_OK;
}

/* Wait for the job with the writer; false if it failed. */
static bool wait_idle(struct seen *s)
{
	bool good;

	pthread_mutex_lock(&s->lock);
	while (s->busy)
		pthread_cond_wait(&s->idle, &s->lock);
	good = !s->failed;
	pthread_mutex_unlock(&s->lock);
	return good;
}

void seen_down(struct server *server)
{
	struct seen *s = server->seen;
	int64_t until = database_now_ms() + FINAL_MS;

	if (s == NULL)
		return;
	(void)wait_idle(s);
	s->cursor = 0;
	while (s->cursor < fleet_last_no(server->fleet) && database_now_ms() < until) {
		write_window(s);
		if (!wait_idle(s))
			break;
	}
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->lock);
	free(s);
	server->seen = NULL;
}
