/* SPDX-License-Identifier: Apache-2.0
 *
 * The head of the audit trail, kept outside of the database.
 *
 * DESIGN. A chain shows what was altered in it or taken out of it, but not that its end was cut off.
 * So the head is signed and written to the file audit.head soon after each commit with events and at
 * the end, and the trail must contain what was kept there. What it does not contain any more is never
 * overwritten: it stays as evidence until somebody removes the file. */
#ifndef KEPT_HEAD_H
#define KEPT_HEAD_H

#include "lib/audit.h"

struct server;
struct store;

/* There are new events: keep their head soon. Any thread; without effect before the part is up. */
void kept_head_wake(struct server *s);

/* The head that the trail must contain, as a new reference to its envelope; null when none was kept
 * yet. Older than every snapshot of a reader. FL_CORRUPT when the file cannot be read. */
enum fl_code kept_head_json(struct server *s, json_t **out, struct fl_err *err) FL_MUST_CHECK;

/* For a server that does not run: whether the trail contains what was kept in this data directory. FL_OK
 * also when nothing was; FL_CORRUPT says what is missing. */
enum fl_code kept_head_verify(
	const char *data_dir, struct store *store, struct fl_err *err) FL_MUST_CHECK;

#endif
