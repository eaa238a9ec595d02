/* SPDX-License-Identifier: Apache-2.0
 *
 * What is still being built; goes away with the last of it. */
#include "server/verify.h"

__attribute__((weak)) enum fl_code verify_run(
	struct store *store, const struct verify_options *o, int64_t *wrong, struct fl_err *err)
{
	(void)store;
	(void)o;
	(void)wrong;
	return fl_fail(err, FL_UNAVAILABLE, "not built yet");
}
