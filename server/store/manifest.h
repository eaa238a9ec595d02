/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests in the store: interned goals, and the newest manifest of each device.
 *
 * DESIGN. A goal is the part that many devices share, as canonical JSON from fl_manifest_goal_write;
 * a manifest row says which goal a device has under which number. Signatures are not stored: the
 * text is made and signed anew from these rows whenever it is sent. */
#ifndef STORE_MANIFEST_H
#define STORE_MANIFEST_H

#include "lib/buf.h"
#include "server/store/store.h"

/* The newest manifest of a device. */
struct manifest_row {
	int64_t device_no;
	int64_t number; /* only rises, per device */
	int64_t goal_id;
	int64_t stage_id; /* whose step it carries out; 0: none */
	int64_t issued_ms;
	int64_t expires_ms;
};

/* How long a manifest is valid: it is signed anew with each delivery, the row is not renewed. */
#define MANIFEST_LIFE_MS (90LL * 86400 * 1000)

/* The number of a goal's text, stored if it is new. Write lane. */
enum fl_code manifest_goal(struct store *store, struct fl_bytes goal, int64_t *goal_id,
	struct fl_err *err) FL_MUST_CHECK;
/* Append a goal's text to `out`. FL_NOT_FOUND. */
enum fl_code manifest_goal_text(
	struct store *store, int64_t goal_id, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;

/* Replace a device's manifest by the next one: row->number becomes one above the device's, issued_ms
 * now, expires_ms MANIFEST_LIFE_MS later if it is 0; the device's row gets the number too. Callers
 * use fleet_issue (fleet.h), which also tells the fleet. Write lane. */
enum fl_code manifest_issue(
	struct store *store, struct manifest_row *row, struct fl_err *err) FL_MUST_CHECK;
/* The newest manifest of a device. FL_NOT_FOUND (err untouched) if it never had one. */
enum fl_code manifest_get(struct store *store, int64_t device_no, struct manifest_row *out,
	struct fl_err *err) FL_MUST_CHECK;

#endif
