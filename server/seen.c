/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes when devices were last seen from memory to their rows.
 *
 * DESIGN. A timer walks over the fleet, a window of numbers at a time, so that the whole fleet is
 * visited once in CYCLE_MS whatever its size: the writer has a few small batches a second instead of
 * a large one now and then. A window without news costs no write. A write that fails marks its
 * devices again. At the end (seen_down) what is left is written, as far as FINAL_MS goes: minutes of
 * last_seen may be lost, nothing else. The lanes' threads have ended by then (main.c), so this thread
 * writes. */
#include "server/fleet.h"
#include "server/http/lanes.h"
#include "server/parts.h"
#include "server/server.h"
#include "server/store/batch.h"
#include "server/store/device.h"

#include "lib/clock.h"
#include "lib/log.h"

#include <stdatomic.h>
#include <stdlib.h>

#define WINDOW   1024
#define CYCLE_MS 300000
#define TICK_MS  500   /* shortest */
#define IDLE_MS  30000 /* longest: a small fleet is current within this */
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
	_Atomic bool busy; /* the job is with the writer */
};

static void add_row(void *arg, int64_t no, uint32_t seen_s)
{
	struct seen *s = arg;

	s->rows[s->n].no = no;
	s->rows[s->n++].seen_s = seen_s;
}

static enum fl_code write_rows(struct seen *s, struct store *store, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < s->n && code == FL_OK; i++)
		code = device_set_last_seen(store, s->rows[i].no, s->rows[i].seen_s, err);
	return code;
}

static enum fl_code run(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	(void)e;
	return write_rows(fl_container(job, struct seen, job), store, err);
}

static void end(struct seen *s, bool failed)
{
	for (size_t i = 0; failed && i < s->n; i++)
		fleet_untake_seen(s->server->fleet, s->rows[i].no);
	atomic_store(&s->busy, false);
}

static void done(
	struct write_job *job, struct server *server, enum fl_code code, const struct fl_err *err)
{
	(void)server;
	(void)err;
	end(fl_container(job, struct seen, job), code != FL_OK);
}

/* Collect the news of the next window of numbers. */
static void next_window(struct seen *s)
{
	int64_t last = fleet_last_no(s->server->fleet),
		from = s->cursor >= last ? 1 : s->cursor + 1;
	int64_t to = from + WINDOW - 1 > last ? last : from + WINDOW - 1;

	s->n = 0;
	s->cursor = to;
	fleet_take_seen(s->server->fleet, from, to, add_row, s);
}

/* The caller has seen that the job is not with the writer. */
static void write_window(struct seen *s)
{
	next_window(s);
	if (s->n == 0)
		return;
	atomic_store(&s->busy, true);
	if (lanes_write(s->server, &s->job) != FL_OK)
		end(s, true);
}

static void tick(struct server *server, void *arg)
{
	struct seen *s = arg;
	int64_t windows = fleet_last_no(server->fleet) / WINDOW + 1;
	int64_t delay = CYCLE_MS / windows, times = 1;

	if (delay > IDLE_MS)
		delay = IDLE_MS;
	if (delay < TICK_MS) {
		times = (TICK_MS * windows + CYCLE_MS - 1) / CYCLE_MS;
		delay = TICK_MS;
	}
	for (; times > 0 && !atomic_load(&s->busy); times--)
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
	server->seen = s;
	loop_after(server, TICK_MS, tick, s);
	return FL_OK;
}

static enum fl_code write_last(struct server *server, struct store *store, struct effects *e,
	void *arg, struct fl_err *err)
{
	(void)server;
	(void)e;
	return write_rows(arg, store, err);
}

void seen_down(struct server *server)
{
	struct seen *s = server->seen;
	int64_t until = fl_clock_ms(CLOCK_REALTIME) + FINAL_MS;
	enum fl_code code = FL_OK;
	struct fl_err err = { 0 };

	if (s == NULL)
		return;
	s->cursor = 0;
	while (code == FL_OK && s->cursor < fleet_last_no(server->fleet) &&
		fl_clock_ms(CLOCK_REALTIME) < until) {
		next_window(s);
		if (s->n > 0)
			code = database_run(server, write_last, s, &err);
	}
	if (code != FL_OK)
		fl_log_warning(
			"when devices were last seen could not be written; it is minutes old",
			FL_S("why", (const char *)err.msg));
	free(s);
	server->seen = NULL;
}
