/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts about this database: tenant, uuid, created_at and whatever a room must remember once. */
#ifndef STORE_INSTANCE_H
#define STORE_INSTANCE_H

#include "lib/buf.h"
#include "server/store/store.h"

/* Append the value of `key` to `out`. FL_NOT_FOUND (err untouched) when it was never set. */
enum fl_code instance_get(
	struct store *store, const char *key, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;
/* Set or replace `key`. Write lane. */
enum fl_code instance_put(
	struct store *store, const char *key, const char *value, struct fl_err *err) FL_MUST_CHECK;

#endif
