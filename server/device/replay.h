/* SPDX-License-Identifier: Apache-2.0
 *
 * Remembers the signed requests of the last minutes, so that none is taken twice.
 *
 * DESIGN. A table of fixed size, filled by verified requests only: strangers cannot fill it. Four
 * places per bucket; when all are taken the one that runs out first is given up, which a device
 * could only notice by replaying its own request, and gain nothing: what a session answer holds is
 * sealed to the device. Thread-safe. */
#ifndef DEVICE_REPLAY_H
#define DEVICE_REPLAY_H

#include "lib/digest.h"

struct replay;

/* Room for `n` requests (rounded up to a power of two, at least 4). NULL without memory. */
struct replay *replay_new(size_t n);
void replay_free(struct replay *r);

/* Note a request of `who` with this nonce, to be remembered until `until_s`; false if it is there
 * already. */
bool replay_note(
	struct replay *r, const char *who, const char *nonce, int64_t until_s, int64_t now_s);

#endif
