/* SPDX-License-Identifier: Apache-2.0
 *
 * Clocks as numbers. CLOCK_MONOTONIC is for waits and durations, since nobody sets it; CLOCK_REALTIME, from
 * 1970 in UTC, for what is stored and shown. */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include <stdint.h>
#include <time.h>

/* What a clock of clock_gettime(2) shows; 0 if there is no such clock. Any thread. */
int64_t fl_clock_ms(clockid_t clock);
int64_t fl_clock_us(clockid_t clock);

#endif
