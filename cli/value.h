/* SPDX-License-Identifier: Apache-2.0
 *
 * Members of the API's JSON, with something sensible where they are absent. */
#ifndef CLI_VALUE_H
#define CLI_VALUE_H

#include "lib/json.h"
#include "lib/words.h"

/* A string; NULL if it is absent, null or something else. Borrowed. */
const char *value_text(const json_t *object, const char *key);
/* A state, in words; "?" if it is absent. Returns `out`. */
const char *value_words(const json_t *object, const char *key, char out[FL_WORDS]);
/* A number; -1 if it is absent, null or something else. */
int64_t value_int(const json_t *object, const char *key);
double value_real(const json_t *object, const char *key);
/* true only for true. */
bool value_bool(const json_t *object, const char *key);
/* Elements of an array member, 0 if it is none. */
size_t value_count(const json_t *object, const char *key);

/* Append "a=1 b=x" of an object's members, sorted by key. Works for nested objects' compact JSON
 * too. */
void value_pairs(struct fl_buf *b, const json_t *object, const char *between);
/* Append "app@2.1.0, lib@1.0.0" of an array of {"module","version"}. */
void value_modules(struct fl_buf *b, const json_t *array);

#endif
