/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void window_fini(struct window *w)
{
	free(w->spans);
	*w = (struct window){ 0 };
}

/* ---- asking */

/* The first span that closes after `at`; n if there is none. */
static size_t span_after(const struct window *w, int64_t at)
{
	size_t low = 0, high = w->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (w->spans[middle].close > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

bool window_is_open(const struct window *w, int64_t at_ms)
{
	size_t i;

	if (w == NULL)
		return true;
	i = span_after(w, at_ms);
	return i < w->n && w->spans[i].open <= at_ms;
}

int64_t window_opens(const struct window *w, int64_t at_ms)
{
	return window_is_open(w, at_ms) ? at_ms : window_opens_again(w, at_ms);
}

int64_t window_closes(const struct window *w, int64_t at_ms)
{
	if (w == NULL)
		return INT64_MAX;
	return window_is_open(w, at_ms) ? w->spans[span_after(w, at_ms)].close : at_ms;
}

int64_t window_opens_again(const struct window *w, int64_t at_ms)
{
	size_t i;

	if (w == NULL)
		return -1;
	i = span_after(w, at_ms);
	if (i < w->n && w->spans[i].open <= at_ms)
		i++;
	return i < w->n ? w->spans[i].open : -1;
}

int64_t window_open_time(const struct window *w, int64_t from_ms, int64_t to_ms)
{
	int64_t sum = 0;

	if (w == NULL)
		return to_ms > from_ms ? to_ms - from_ms : 0;
	for (size_t i = span_after(w, from_ms); i < w->n && w->spans[i].open < to_ms; i++) {
		int64_t open = w->spans[i].open > from_ms ? w->spans[i].open : from_ms;
		int64_t close = w->spans[i].close < to_ms ? w->spans[i].close : to_ms;

		sum += close - open;
	}
	return sum;
}

int64_t window_after(const struct window *w, int64_t from_ms, int64_t open_ms)
{
	if (w == NULL || open_ms <= 0)
		return from_ms + (open_ms > 0 ? open_ms : 0);
	for (size_t i = span_after(w, from_ms); i < w->n; i++) {
		int64_t open = w->spans[i].open > from_ms ? w->spans[i].open : from_ms;

		if (w->spans[i].close - open >= open_ms)
			return open + open_ms;
		open_ms -= w->spans[i].close - open;
	}
	return w->until > from_ms ? w->until : from_ms;
}

/* ---- making */

static enum fl_code make_room(struct window *w, struct fl_err *err)
{
	size_t room = w->room == 0 ? 16 : 2 * w->room;
	struct window_span *spans;

	if (w->n < w->room)
		return FL_OK;
	spans = realloc(w->spans, room * sizeof(*spans));
	if (spans == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for a maintenance window");
	w->spans = spans;
	w->room = room;
	return FL_OK;
}

/* Put `with` (0 or 1 spans) in place of n spans from `at` on; there is room. */
static void replace(struct window *w, size_t at, size_t n, const struct window_span *with)
{
	size_t more = with != NULL;

	assert(at + n <= w->n && w->n - n + more <= w->room);
	if (at + n < w->n)
		memmove(&w->spans[at + more], &w->spans[at + n],
			(w->n - at - n) * sizeof(*w->spans));
	if (with != NULL)
		w->spans[at] = *with;
	w->n = w->n - n + more;
}

enum fl_code window_add(struct window *w, int64_t open, int64_t close, struct fl_err *err)
{
	struct window_span whole = { open, close };
	size_t first, n = 0;

	if (close <= open)
		return FL_OK;
	if (make_room(w, err) != FL_OK)
		return FL_NOMEM;
	first = span_after(w, open - 1); /* one that ends where this begins is joined too */
	while (first + n < w->n && w->spans[first + n].open <= close) {
		const struct window_span *s = &w->spans[first + n++];

		whole.open = s->open < whole.open ? s->open : whole.open;
		whole.close = s->close > whole.close ? s->close : whole.close;
	}
	replace(w, first, n, &whole);
	return FL_OK;
}

enum fl_code window_cut(struct window *w, int64_t close, int64_t open, struct fl_err *err)
{
	size_t i;

	if (open <= close)
		return FL_OK;
	if (make_room(w, err) != FL_OK)
		return FL_NOMEM;
	i = span_after(w, close);
	while (i < w->n && w->spans[i].open < open) {
		struct window_span s = w->spans[i];

		replace(w, i, 1, NULL);
		if (s.open < close)
			replace(w, i++, 0, &(struct window_span){ s.open, close });
		if (s.close > open)
			replace(w, i++, 0, &(struct window_span){ open, s.close });
	}
	return FL_OK;
}

enum fl_code window_unite(struct window *w, const struct window *other, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	w->from = other->from;
	w->until = other->until;
	for (size_t i = 0; i < other->n && code == FL_OK; i++)
		code = window_add(w, other->spans[i].open, other->spans[i].close, err);
	return code;
}

enum fl_code window_cut_all(struct window *w, const struct window *other, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < other->n && code == FL_OK; i++)
		code = window_cut(w, other->spans[i].open, other->spans[i].close, err);
	return code;
}

enum fl_code window_copy(
	const struct window *w, int64_t from, int64_t until, struct window *out, struct fl_err *err)
{
	struct window copy = { .from = from, .until = until };

	if (w == NULL) {
		enum fl_code code = window_add(&copy, from, until, err);

		if (code == FL_OK)
			*out = copy;
		return code;
	}
	copy = (struct window){ .n = w->n, .room = w->n + 1, .from = w->from, .until = w->until };
	copy.spans = malloc(copy.room * sizeof(*copy.spans));
	if (copy.spans == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for a maintenance window");
	if (w->n > 0)
		memcpy(copy.spans, w->spans, w->n * sizeof(*copy.spans));
	*out = copy;
	return FL_OK;
}
