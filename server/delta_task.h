/* SPDX-License-Identifier: Apache-2.0
 *
 * What a builder and its worker say to each other: one packet there with the open files, one back. Both
 * are of one program, so these are plain structs. */
#ifndef DELTA_TASK_H
#define DELTA_TASK_H

#include "lib/delta/codec.h"
#include "lib/err.h"

#define DELTA_TASK_FD 3 /* the worker's end of the socket */

/* The files come in this order; the old one is last because it may be missing. */
enum delta_task_file { DELTA_TASK_OUT, DELTA_TASK_NEW, DELTA_TASK_OLD, DELTA_TASK_FILES };

struct delta_task {
	char codec[FL_CODEC_NAME_MAX];
	int level;
	int64_t cpu_ms;
};

struct delta_answer {
	enum fl_code code;
	int64_t parsed, reused; /* modules */
	char text[FL_ERR_MSG_MAX];
};

#endif
