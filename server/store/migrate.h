/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbered migrations, embedded into the binary, each in a transaction of its own and recorded by
 * name and hash. */
#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include "lib/err.h"

struct db;

/* One file of schema/<engine>/. */
struct migration {
	const char *name;   /* "0001-base" */
	const char *sql;    /* its text */
	const char *sha256; /* of the text, lower hex */
};

/* The embedded migrations in order; the last has a NULL name. Generated from schema/sqlite. */
extern const struct migration migrate_sqlite[];

/* Bring `db` (opened with DB_BARE) to the newest of `list`. FL_CONFLICT when the database was made by
 * a newer fleetd, or when the text of an applied migration has changed; the sentence says what to do.
 * FL_FULL, FL_IO. Nothing is left half done. */
enum fl_code migrate_run(
	struct db *db, const struct migration *list, struct fl_err *err) FL_MUST_CHECK;

#endif
