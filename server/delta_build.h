/* SPDX-License-Identifier: Apache-2.0
 *
 * What a builder does with one pair: look, build, keep. */
#ifndef DELTA_BUILD_H
#define DELTA_BUILD_H

#include "server/delta_cache.h"
#include "server/delta_service.h"

/* How the builds of one pair ended. */
struct delta_outcome {
	int64_t built, useless, failed;
};

/* Build what is missing of the wanted tiers, and write how it ended. Whatever is known already costs a
 * read. Failures are logged and remembered, never returned: who waits gets the full
 * artifact. Builder threads. */
void delta_build_pair(struct delta_context *c, const struct delta_options *o,
	const struct delta_want *want, struct delta_outcome *outcome);

#endif
