/* SPDX-License-Identifier: Apache-2.0
 *
 * `fleetd --verify`: whether what is stored fits together. Reads only; fleetd must not run on the
 * same data meanwhile (the caller holds the data directory's lock). */
#ifndef VERIFY_H
#define VERIFY_H

#include "lib/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct store;

struct verify_options {
	const char *blobs_dir; /* where the artifacts are; NULL: not looked at */
	const char *data_dir;  /* where the head of the audit trail is kept; NULL: not looked at */
	bool hash_blobs;       /* read and hash each blob, instead of comparing its size */
	FILE *out;             /* one line per check: what was looked at, how many, what is wrong */
};

/* Check the database, the rollouts (sums equal steps, invariants), manifests, blobs and the chain of
 * events. *wrong gets the number of findings; each is printed. An error means that a check could not
 * be carried out. */
enum fl_code verify_run(struct store *store, const struct verify_options *o, int64_t *wrong,
	struct fl_err *err) FL_MUST_CHECK;

#endif
