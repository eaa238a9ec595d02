/* SPDX-License-Identifier: Apache-2.0
 *
 * Delta builds in a process of their own: `fleetd --delta-worker`.
 *
 * DESIGN. A builder starts it (posix_spawn of /proc/self/exe: no thread's state is carried over) with one
 * end of a socket. It limits itself, then takes one build after the other (delta_task.h): it encodes,
 * decodes what it encoded, compares, and answers. Builds in a row that have a file in common are made by
 * one process, which uses again what it found out about that file; that also saves its start, which
 * takes as long as a quick delta of a small file. It ends when the next build shares nothing with the
 * last, when there is none, and after every failure; what failed in a process that had built before,
 * for want of memory or by a crash, is tried again in a new one. */
#ifndef DELTA_WORKER_H
#define DELTA_WORKER_H

#include "lib/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define DELTA_WORKER_FLAG "--delta-worker"

/* What to build. */
struct delta_build {
	const char *codec;
	int level;
	int old_fd, new_fd; /* regular files that never change; old_fd -1 where there is none */
	int out_fd;         /* empty, opened for reading and writing */
	int64_t cpu_ms;
	int64_t wall_ms;
};

/* How a builder wants its builds done. */
struct delta_worker_options {
	const char *program; /* NULL: /proc/self/exe */
	int64_t memory;      /* bytes of heap */
	int64_t share; /* percent of a core; 100 or 0: no limit. Above it the worker is stopped and
			* continued by signals, again and again */
	bool background; /* the lowest priority */
	int stop_fd;     /* an eventfd or pipe: readable means kill the build; -1: none */
};

struct delta_worker_counts {
	int64_t processes;      /* started */
	int64_t parsed, reused; /* modules that builds parsed, and found parsed */
};

/* A builder's process, if one is there. Zeroed but for its options: none yet. For one thread, which must
 * outlive it: the process dies with it. */
struct delta_worker {
	struct delta_worker_options options;
	struct delta_worker_counts counts; /* since the caller zeroed them */
	pid_t pid;                         /* 0: there is none */
	int socket;
	clockid_t cpu; /* its processor time */
	struct delta_file {
		dev_t device;
		ino_t inode; /* 0: none */
	} files[2];          /* of its last build */
};

/* main() calls this first: true if this process is a worker. */
bool delta_worker_asked(int argc, char *const *argv);
/* The worker's main(); its exit status is an enum fl_code. */
int delta_worker_main(int argc, char *const *argv);

/* Run one build and wait for it. FL_OK: out_fd holds a delta that decodes to new. FL_REFUSED (not for this
 * codec), FL_TIMEOUT, FL_NOMEM, FL_STOPPED, FL_CORRUPT (did not decode to the same), FL_INTERNAL (it
 * crashed), FL_FULL, FL_IO. */
enum fl_code delta_worker_run(
	struct delta_worker *w, const struct delta_build *build, struct fl_err *err) FL_MUST_CHECK;
/* End the process, if there is one. */
void delta_worker_end(struct delta_worker *w);

#endif
