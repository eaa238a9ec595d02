/* SPDX-License-Identifier: Apache-2.0
 *
 * fleet-swarm: main. */
#include "agent/swarm.h"

#include "lib/digest.h"

#include <signal.h>
#include <sys/resource.h>

static volatile int stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

/* One descriptor a connection and some for files. */
static void raise_limit(int64_t connections)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_cur < (rlim_t)connections + 64)
		limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static enum fl_code run(struct swarm_options *options, struct fl_err *err)
{
	struct swarm s = { 0 };
	enum fl_code code = swarm_init(&s, options, err);

	if (code == FL_OK && s.options.bench != SWARM_BENCH_NONE) {
		code = swarm_bench(&s, &stop, err);
	} else if (code == FL_OK) {
		swarm_run(&s, &stop);
		code = swarm_summary(&s, err);
		if (code == FL_OK)
			code = swarm_save(&s, err);
	}
	swarm_fini(&s);
	return code;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct swarm_options options = { 0 };
	struct fl_err err = { 0 };
	enum fl_code code;
	bool done;

	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	fl_digest_init();
	code = swarm_options_read(&options, argc, argv, &done, &err);
	if (code == FL_OK && !done) {
		raise_limit(options.connections);
		code = run(&options, &err);
	}
	swarm_options_fini(&options);
	if (code != FL_OK)
		(void)fprintf(stderr, "fleet-swarm: %s\n", err.msg);
	return fl_exit_code(code);
}
