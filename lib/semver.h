/* SPDX-License-Identifier: Apache-2.0
 *
 * Versions after semver.org 2.0.0 and ranges as npm users write them.
 *
 * DESIGN. Nothing here allocates: a parsed version or range points into the text that it was parsed
 * from, which must outlive it. All sizes are bounded, so that any text from outside may be given.
 *
 * Range grammar (node-semver's): alternatives joined by `||`; each is a hyphen range `A - B` or
 * comparators joined by blanks, all of which must hold. A comparator is an operator (none, =, <, <=,
 * >, >=, ~, ~>, ^) and a version that may be partial or end in wildcards (1, 1.2, 1.x, 1.2.*, *); a
 * leading `v` or `=` is allowed (~>=1 is ~1). The empty text is `*`, and an alternative that is `*` alone
 * makes the whole range `*`. Build metadata is accepted and ignored.
 * A pre-release satisfies a range only if an alternative that it satisfies names a pre-release of the
 * same major.minor.patch: ^1.2.3-beta.2 takes 1.2.3-beta.4 and 1.3.0, never 1.3.0-beta.1. */
#ifndef FL_SEMVER_H
#define FL_SEMVER_H

#include "lib/err.h"

#include <stdbool.h>
#include <stdint.h>

#define FL_SEMVER_TEXT_MAX   256                 /* bytes of one version */
#define FL_SEMVER_NUMBER_MAX 9007199254740991ULL /* 2^53 - 1, as in node-semver */
#define FL_RANGE_TEXT_MAX    512                 /* bytes of one range */
#define FL_RANGE_TESTS_MAX   64                  /* comparators after expansion, all alternatives */

/* A version. Compare with fl_semver_compare, never by bytes. */
struct fl_semver {
	uint64_t major, minor, patch;
	const char *pre;   /* what stands behind '-', borrowed from the text; not terminated */
	const char *build; /* what stands behind '+', likewise */
	uint16_t pre_n;    /* bytes; 0: no pre-release */
	uint16_t build_n;
};

/* Parse `text` as exactly one version: no blanks, no leading `v`, three numbers. FL_INVALID with a
 * sentence that says what is wrong. `out` borrows from `text`. */
enum fl_code fl_semver_parse(
	const char *text, struct fl_semver *out, struct fl_err *err) FL_MUST_CHECK;
/* Precedence: < 0, 0, > 0. Build metadata does not count. */
int fl_semver_compare(const struct fl_semver *a, const struct fl_semver *b);
/* The same, then by build metadata (part by part like a pre-release; none comes first): an order in
 * which two versions are equal only if their texts are. */
int fl_semver_order(const struct fl_semver *a, const struct fl_semver *b);

enum fl_range_op { FL_RANGE_EQ, FL_RANGE_LT, FL_RANGE_LE, FL_RANGE_GT, FL_RANGE_GE };

/* A range, expanded to plain comparisons. */
struct fl_range {
	uint8_t n; /* tests in use */
	struct fl_range_test {
		struct fl_semver version;
		uint8_t op;  /* enum fl_range_op */
		uint8_t set; /* alternative that it belongs to, from 0 */
		bool any;    /* `*`: holds for every version */
	} tests[FL_RANGE_TESTS_MAX];
};

/* Parse a range. FL_INVALID with what is wrong and where. `out` borrows from `text`. */
enum fl_code fl_range_parse(
	const char *text, struct fl_range *out, struct fl_err *err) FL_MUST_CHECK;
/* Whether `v` satisfies the range. */
bool fl_range_has(const struct fl_range *range, const struct fl_semver *v);

#endif
