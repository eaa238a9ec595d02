/* SPDX-License-Identifier: Apache-2.0
 *
 * "Did you mean …?" for misspelt names. */
#ifndef FL_NEAREST_H
#define FL_NEAREST_H

#include <stddef.h>

/* The one of `names[0..n)` nearest to `s` by edit distance (Wagner and Fischer, 1974); NULL if none
 * is near enough to be meant. */
const char *fl_nearest(const char *s, const char *const *names, size_t n);

#endif
