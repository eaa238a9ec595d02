/* SPDX-License-Identifier: Apache-2.0
 *
 * The store as the rest of fleetd sees it: a view of the database that a handler is handed.
 *
 * DESIGN. Each noun has its own pair of files (store/device.h, store/release.h …) with typed
 * functions that take `struct store *` first. In the read lane the view is one read snapshot; in the
 * write lane it is the batch's transaction under the request's own savepoint. Nobody outside of
 * store/ begins or commits anything, or sees the engine.
 *
 * Functions that write take the view of the write lane only (asserted) and may be run again. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "lib/err.h"

#include <stdbool.h>
#include <stdint.h>

struct db;
struct stage_cache;

struct store {
	struct db *db;
	struct stage_cache *stages; /* stage_cache.h: of the writer; NULL: stages are read */
	bool write;                 /* the write lane's view */
	int64_t now_ms; /* wall clock of this request or batch, ms since 1970; the only clock of store/ */
};

/* Names and limits that every noun shares. */
#define STORE_NAME_MAX    128  /* bytes of a module's, release's, rollout's name */
#define STORE_ID_MAX      256  /* bytes of a device's id */
#define STORE_VERSION_MAX 128  /* bytes of a semver version */
#define STORE_PAGE_MAX    1000 /* rows of one page */

#endif
