/* SPDX-License-Identifier: Apache-2.0
 *
 * A progress bar for what takes long, on a terminal only; elsewhere it prints nothing. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli/terminal.h"

#include <stdint.h>

struct progress {
	struct terminal terminal;
	bool on;
	const char *label; /* borrowed: "uploading app.wasm" */
	int64_t total;     /* bytes */
	int64_t first;     /* bytes that were there when it began */
	int64_t began_ms, drawn_ms;
};

/* Begin a bar on stderr, or nothing if `quiet` or stderr is no terminal. `first` bytes of `total`
 * are done already (a resumed upload). */
void progress_begin(
	struct progress *p, bool quiet, const char *label, int64_t first, int64_t total);
/* So many bytes are done. Draws at most ten times a second. */
void progress_update(struct progress *p, int64_t done);
/* Remove the bar. */
void progress_end(struct progress *p);

#endif
