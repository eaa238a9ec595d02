/* SPDX-License-Identifier: Apache-2.0
 *
 * When something may happen: spans of time, sorted and apart from each other. Pure.
 *
 * A window knows the time from `from` to `until`; beyond that it counts as closed, and whoever made it
 * makes a newer one before then. Everywhere a window is asked for, NULL is the one that never closes. */
#ifndef ROLLOUT_WINDOW_H
#define ROLLOUT_WINDOW_H

#include "lib/err.h"

#include <stdbool.h>
#include <stdint.h>

/* [open, close), wall clock in ms. */
struct window_span {
	int64_t open, close;
};

struct window {
	struct window_span *spans; /* owned; sorted, with closed time between any two */
	size_t n, room;
	int64_t from, until; /* what is known */
};

/* Free. Safe twice and on zeroed memory. */
void window_fini(struct window *w);

/* Whether it is open. */
bool window_is_open(const struct window *w, int64_t at_ms);
/* When it opens: `at_ms` itself if it is open then; -1 if it does not open before `until`. */
int64_t window_opens(const struct window *w, int64_t at_ms);
/* When an open one closes; `at_ms` itself if it is closed then; INT64_MAX without a window. */
int64_t window_closes(const struct window *w, int64_t at_ms);
/* When it next goes from closed to open after `at_ms`, -1 if it does not. */
int64_t window_opens_again(const struct window *w, int64_t at_ms);
/* How long it is open from `from_ms` to `to_ms`; 0 if that is no span. */
int64_t window_open_time(const struct window *w, int64_t from_ms, int64_t to_ms);
/* The moment at which it has been open for `open_ms` since `from_ms`. When too little is known, `until`, or
 * `from_ms` if that is later: whoever waits looks again then. */
int64_t window_after(const struct window *w, int64_t from_ms, int64_t open_ms);

/* Open it from `open` to `close`, in any order and overlapping. Nothing happens for an empty span. FL_NOMEM. */
enum fl_code window_add(
	struct window *w, int64_t open, int64_t close, struct fl_err *err) FL_MUST_CHECK;
/* Close it from `close` to `open`. FL_NOMEM. */
enum fl_code window_cut(
	struct window *w, int64_t close, int64_t open, struct fl_err *err) FL_MUST_CHECK;
/* Open it where `other` is; what is known of it is what is known of the other one. FL_NOMEM. */
enum fl_code window_unite(
	struct window *w, const struct window *other, struct fl_err *err) FL_MUST_CHECK;
/* Close it where `other` is open. FL_NOMEM. */
enum fl_code window_cut_all(
	struct window *w, const struct window *other, struct fl_err *err) FL_MUST_CHECK;
/* Make `out` (zeroed) a copy; of NULL, one that is open from `from` to `until`. FL_NOMEM. */
enum fl_code window_copy(const struct window *w, int64_t from, int64_t until, struct window *out,
	struct fl_err *err) FL_MUST_CHECK;

#endif
