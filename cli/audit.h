/* SPDX-License-Identifier: Apache-2.0
 *
 * Exports of the audit trail, and whether a trail is whole.
 *
 * An export is one JSON object a line: {"fleetd_audit":1,"key":…,"checkpoint":…|null}, the events as
 * the API shows them, {"head":…}. */
#ifndef CLI_AUDIT_H
#define CLI_AUDIT_H

#include "cli/cli.h"

#include "lib/audit.h"

/* What shall be checked. All may be NULL. */
struct audit_check {
	const char *file;       /* an export; NULL: ask the server */
	const char *key_file;   /* the key that must have signed; NULL: the one that comes along */
	const char *since_file; /* an older export that the trail must go on from */
};

/* What was found. */
struct audit_result {
	int64_t first, last, lines; /* numbers of the events, and how many; 0: none */
	int64_t pruned;             /* events up to this one were pruned; 0: none */
	bool key_given;
	char keyid[FL_KEYID_LEN + 1];
};

/* Write an export to `out`. The lines are verified on their way. Errors as below. */
enum fl_code audit_export(
	struct cli *cli, FILE *out, struct audit_result *result, struct fl_err *err) FL_MUST_CHECK;
/* FL_OK when every line fits. FL_CORRUPT names the line that does not; FL_SIGNATURE; FL_NOT_FOUND,
 * FL_IO, FL_INVALID about files; those of the API. */
enum fl_code audit_verify(struct cli *cli, const struct audit_check *check,
	struct audit_result *result, struct fl_err *err) FL_MUST_CHECK;

#endif
