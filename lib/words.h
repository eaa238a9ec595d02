/* SPDX-License-Identifier: Apache-2.0
 *
 * Words of the wire as people read them. */
#ifndef LIB_WORDS_H
#define LIB_WORDS_H

#define FL_WORDS 40

/* A state's text as it stands in a sentence: "rolling back", "waiting for approval". Returns `out`. */
const char *fl_words(const char *state, char out[FL_WORDS]);

#endif
