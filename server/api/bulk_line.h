/* SPDX-License-Identifier: Apache-2.0
 *
 * One line of a registration in bulk: {"id",tier?,gateway?,attributes?,labels?,installed?,
 * public_key?}, checked and put into the form that is stored. */
#ifndef API_BULK_LINE_H
#define API_BULK_LINE_H

#include "lib/arena.h"
#include "lib/buf.h"
#include "server/devices.h"
#include "server/store/device.h"

#define BULK_LINE_MAX 65536 /* bytes */

/* Everything lives in the arena that it was read into. */
struct bulk_line {
	int64_t number;        /* from 1 */
	struct device_put put; /* but for state_id */
	bool installs;         /* it states an installed set */
	struct state_entry *installed;
	size_t n_installed;
	uint8_t digest[STATE_DIGEST_BYTES];
};

/* Read a line (without its newline). `scratch` is memory for the reader's use. FL_INVALID says what is
 * wrong with it; FL_NOMEM. Any thread. */
enum fl_code bulk_line_read(struct fl_bytes text, struct fl_arena *arena,
	struct devices_installed *scratch, struct bulk_line *out, struct fl_err *err) FL_MUST_CHECK;

#endif
