/* SPDX-License-Identifier: Apache-2.0
 *
 * Run a shell command with a limit of time, killed with everything that it started. */
#ifndef AGENT_RUN_H
#define AGENT_RUN_H

#include "lib/buf.h"

/* How to run it. Borrowed. */
struct run {
	const char *command;        /* for /bin/sh -c */
	const char *const *environ; /* "NAME=value" to add, NULL at the end */
	int64_t timeout_ms;
	const volatile int *stop; /* becomes non-zero when the agent shall end */
	bool reasons; /* `output` takes the end of all that it prints, errors too; the stderr as well */
};

/* Run to the end. The command gets a process group of its own, no input, and its output goes to
 * `output` (at most output->max bytes; NULL: to the agent's stderr). FL_REFUSED with r->reasons: the
 * sentence begins with the last line that it printed. When time is over, on a stop, and
 * after its end the whole group is killed. FL_OK: exit status 0. FL_REFUSED: another one, or a
 * signal. FL_TIMEOUT, FL_STOPPED, FL_IO, FL_NOMEM. */
enum fl_code run_command(
	const struct run *r, struct fl_buf *output, struct fl_err *err) FL_MUST_CHECK;

/* The last line in `output` that is not empty, as plain text, at most room - 1 bytes; empty if none. */
void run_last_line(const struct fl_buf *output, char *out, size_t room);

#endif
