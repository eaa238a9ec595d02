/* SPDX-License-Identifier: Apache-2.0
 *
 * What both sides (management and devices' own protocol) may say about a device, checked and put
 * into the one form that is stored.
 *
 * DESIGN. Pure but for devices_* functions that say so. An attribute or label is a text, a number
 * or a boolean under a key without blanks and without the reserved characters of RSQL. Stored as a
 * canonical object: keys sorted, no blanks, null left out. */
#ifndef DEVICES_H
#define DEVICES_H

#include "lib/json.h"
#include "server/store/state.h"

#define DEVICES_KEY_MAX        128   /* bytes of an attribute's or label's key */
#define DEVICES_VALUE_MAX      1024  /* bytes of a text value */
#define DEVICES_ATTRIBUTES_MAX 256   /* keys of one device */
#define DEVICES_OBJECT_MAX     16384 /* bytes of the stored object */

/* FL_INVALID unless `id` has 1 to STORE_ID_MAX bytes of UTF-8 without control characters, does not
 * begin or end with a blank and is not "." or "..". */
enum fl_code devices_check_id(const char *id, struct fl_err *err) FL_MUST_CHECK;
/* FL_INVALID unless `name` (of a module, release, rollout, token; `what` for the sentence) has 1 to
 * STORE_NAME_MAX of [A-Za-z0-9._/@+-] and begins with a letter, a digit or '@'. */
enum fl_code devices_check_name(
	const char *what, const char *name, struct fl_err *err) FL_MUST_CHECK;
/* Check an object of attributes or labels (`what` for the sentence) and append its stored form. */
enum fl_code devices_object(const char *what, const json_t *object, struct fl_buf *out,
	struct fl_err *err) FL_MUST_CHECK;
/* The stored form of `base` (a stored object) with the members of `patch` set, null ones removed. */
enum fl_code devices_merge(const char *what, const char *base, const json_t *patch,
	struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;

/* An installed set as a device or an operator states it. Texts are borrowed from the JSON value. */
struct devices_installed {
	struct state_entry entries[STATE_ENTRIES_MAX]; /* sorted by module */
	size_t n;
	uint8_t digest[STATE_DIGEST_BYTES];
};
/* Read `[{"module","version",…}]` (other members are ignored: they are the reader's). FL_INVALID
 * names the element. Pass to state_intern. */
enum fl_code devices_installed(
	const json_t *array, struct devices_installed *out, struct fl_err *err) FL_MUST_CHECK;

#endif
