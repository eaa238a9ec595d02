/* SPDX-License-Identifier: Apache-2.0
 *
 * What `fleetd --verify` asks the database about itself. Reads only. */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H

#include "server/store/store.h"

/* Called per finding: a sentence, which ends with the call. */
typedef void (*check_fn)(void *arg, const char *finding);

/* The engine's own check of its file; references that lead nowhere. *n counts what was looked at
 * (tables). */
enum fl_code check_file(
	struct store *store, check_fn fn, void *arg, int64_t *n, struct fl_err *err) FL_MUST_CHECK;
/* Each device's newest manifest has the number that the device's row says, and a goal that is there;
 * *n counts the manifests. */
enum fl_code check_manifests(
	struct store *store, check_fn fn, void *arg, int64_t *n, struct fl_err *err) FL_MUST_CHECK;
/* A step in flight is carried out by a manifest that was issued; a rollout's stages have the devices
 * that are assigned; no device has orders of two rollouts at once; *n counts the steps. */
enum fl_code check_steps(
	struct store *store, check_fn fn, void *arg, int64_t *n, struct fl_err *err) FL_MUST_CHECK;

#endif
