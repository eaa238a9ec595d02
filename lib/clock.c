/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/clock.h"

int64_t fl_clock_us(clockid_t clock)
{
	struct timespec t = { 0 };

	(void)clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t fl_clock_ms(clockid_t clock)
{
	return fl_clock_us(clock) / 1000;
}
