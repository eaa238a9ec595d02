/* SPDX-License-Identifier: Apache-2.0
 *
 * One delta build in a process of its own: `fleetd --delta-worker`.
 *
 * The service starts it (posix_spawn of /proc/self/exe: no thread's state is carried over) with three
 * open files. It limits itself, encodes, decodes what it encoded, compares, and exits. */
#ifndef DELTA_WORKER_H
#define DELTA_WORKER_H

#include "lib/err.h"

#include <stdbool.h>
#include <stdint.h>

#define DELTA_WORKER_FLAG "--delta-worker"

/* What to build. */
struct delta_build {
	const char *program; /* NULL: /proc/self/exe */
	const char *codec;
	int level;
	int old_fd, new_fd; /* regular files; old_fd -1 where there is none */
	int out_fd;         /* empty, opened for reading and writing */
	int64_t memory;     /* bytes of heap */
	int64_t cpu_ms;
	int64_t wall_ms;
	int64_t share; /* percent of a core; 100 or 0: no limit. Above it the worker is stopped and
			  * continued by signals, again and again */
	bool background; /* the lowest priority */
	int stop_fd;     /* an eventfd or pipe: readable means kill the build; -1: none */
};

/* main() calls this first: true if this process is a worker. */
bool delta_worker_asked(int argc, char *const *argv);
/* The worker's main(); its exit status is 0 when built and compared, otherwise
 * an enum fl_code. */
int delta_worker_main(int argc, char *const *argv);

/* Run one build and wait for it. The calling thread must outlive it (the worker dies with it).
 * FL_OK: out_fd holds a delta that decodes to new. FL_TIMEOUT, FL_NOMEM, FL_STOPPED, FL_CORRUPT (did
 * not decode to the same), FL_INTERNAL (it crashed), FL_FULL, FL_IO. */
enum fl_code delta_worker_run(const struct delta_build *build, struct fl_err *err) FL_MUST_CHECK;

#endif
