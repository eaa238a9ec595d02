/* SPDX-License-Identifier: Apache-2.0 */
#include "server/write_wait.h"

#include <pthread.h>

#include "server/http/lanes.h"

struct waiting {
	struct write_job job;
	write_wait_fn fn;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool has_ended;
	enum fl_code code;
	struct fl_err err;
};

static enum fl_code run(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	struct waiting *w = fl_container(job, struct waiting, job);

	return w->fn(store, e, w->arg, err);
}

static void done(
	struct write_job *job, struct server *server, enum fl_code code, const struct fl_err *err)
{
	struct waiting *w = fl_container(job, struct waiting, job);

	(void)server;
	(void)pthread_mutex_lock(&w->lock);
	w->code = code;
	if (code != FL_OK && err != NULL)
		w->err = *err;
	w->has_ended = true;
	(void)pthread_cond_signal(&w->ended);
	(void)pthread_mutex_unlock(&w->lock);
}

enum fl_code write_wait(struct server *s, write_wait_fn fn, void *arg, struct fl_err *err)
{
	struct waiting w = {
		.job = { .run = run, .done = done, .internal = true },
		.fn = fn,
		.arg = arg,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.ended = PTHREAD_COND_INITIALIZER,
	};

	if (lanes_write(s, &w.job) != FL_OK)
		return fl_fail(err, FL_UNAVAILABLE, "the server stops");
	(void)pthread_mutex_lock(&w.lock);
	while (!w.has_ended)
		(void)pthread_cond_wait(&w.ended, &w.lock);
	(void)pthread_mutex_unlock(&w.lock);
	(void)pthread_cond_destroy(&w.ended);
	(void)pthread_mutex_destroy(&w.lock);
	if (w.code != FL_OK)
		return fl_fail(err, w.code, "%s", w.err.msg);
	return FL_OK;
}
