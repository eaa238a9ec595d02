/* SPDX-License-Identifier: Apache-2.0
 *
 * Alignment of two files: a table of hashes over the old one, greedy matches over the new one that
 * bear some differences, the present shift tried first. */
#include "lib/delta/exe/map.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW   16 /* bytes that must agree for a match to begin */
#define STEP     4  /* of positions in the table: code of most machines is aligned so */
#define CHAIN    24 /* candidates looked at */
#define LOOK     32 /* a match ends where of so many bytes ... */
#define LOOK_MIN 16 /* ... not so many agree */
#define ENOUGH   512
#define NONE     UINT32_MAX

struct table {
	uint32_t *heads, *next; /* owned; of positions / STEP */
	unsigned shift;
};

static uint64_t hash_of(const uint8_t *p)
{
	return exe_u64(p) * 0x9e3779b97f4a7c15ULL ^ exe_u64(p + 8) * 0xc2b2ae3d27d4eb4fULL;
}

static uint32_t slot_of(const struct table *t, const uint8_t *p)
{
	return (uint32_t)((hash_of(p) * 0x9e3779b97f4a7c15ULL) >> t->shift);
}

static bool table_init(struct table *t, struct fl_bytes old)
{
	size_t n = old.n / STEP + 1;
	unsigned log = 10;

	while (log < 24 && (1ULL << log) < n)
		log++;
	t->shift = 64 - log;
	t->heads = malloc((sizeof(*t->heads)) << log);
	t->next = malloc(n * sizeof(*t->next));
	if (t->heads == NULL || t->next == NULL)
		return false;
	memset(t->heads, 0xff, sizeof(*t->heads) << log);
	for (size_t i = 0; i + WINDOW <= old.n; i += STEP) {
		uint32_t slot = slot_of(t, old.p + i);

		t->next[i / STEP] = t->heads[slot];
		t->heads[slot] = (uint32_t)(i / STEP);
	}
	return true;
}

/* Whether a window of zeros or of one repeated byte: it matches everywhere and says nothing. */
static bool is_flat(const uint8_t *p)
{
	return memcmp(p, p + 1, WINDOW - 1) == 0;
}

static size_t same(struct fl_bytes a, size_t i, struct fl_bytes b, size_t k, size_t most)
{
	size_t n = 0;

	while (n < most && i + n < a.n && k + n < b.n && a.p[i + n] == b.p[k + n])
		n++;
	return n;
}

/* The longest match of new at `k`; among equals the one nearest to `expected`. */
static size_t find(
	const struct table *t, struct fl_bytes old, struct fl_bytes new, size_t k, size_t expected)
{
	size_t best = SIZE_MAX, best_n = WINDOW - 1;
	uint32_t at = t->heads[slot_of(t, new.p + k)];

	for (int i = 0; i < CHAIN && at != NONE; i++, at = t->next[at]) {
		size_t o = (size_t)at * STEP, n = same(old, o, new, k, ENOUGH);
		size_t far = o > expected ? o - expected : expected - o;
		size_t best_far = best > expected ? best - expected : expected - best;

		if (n > best_n || (n == best_n && far < best_far)) {
			best = o;
			best_n = n;
		}
	}
	return best;
}

/* How far both go on together from (i, k), with differences. */
static size_t extend(struct fl_bytes a, size_t i, struct fl_bytes b, size_t k)
{
	size_t n = same(a, i, b, k, SIZE_MAX), good = n;

	for (;;) {
		size_t agree = 0, look = 0;

		while (look < LOOK && i + n + look < a.n && k + n + look < b.n) {
			agree += a.p[i + n + look] == b.p[k + n + look];
			look++;
		}
		if (look < LOOK || agree < LOOK_MIN)
			return good;
		n += look;
		n += same(a, i + n, b, k + n, SIZE_MAX);
		good = n;
	}
}

static bool add(struct exe_blocks *out, struct exe_block block)
{
	if (out->n == out->room) {
		size_t room = out->room == 0 ? 256 : 2 * out->room;
		struct exe_block *v = realloc(out->v, room * sizeof(*v));

		if (v == NULL)
			return false;
		out->v = v;
		out->room = room;
	}
	out->v[out->n++] = block;
	return true;
}

static bool align(
	const struct table *t, struct fl_bytes old, struct fl_bytes new, struct exe_blocks *out)
{
	size_t expected = 0, last = 0; /* where the last block ends, in old and new */

	for (size_t k = 0; k + WINDOW <= new.n;) {
		size_t here = expected + (k - last), at = SIZE_MAX, n;

		if (is_flat(new.p + k)) {
			k++;
			continue;
		}
		if (here < old.n && same(old, here, new, k, WINDOW) == WINDOW)
			at = here;
		else
			at = find(t, old, new, k, here);
		if (at == SIZE_MAX) {
			k++;
			continue;
		}
		n = extend(old, at, new, k);
		if (!add(out, (struct exe_block){ at, k, n }))
			return false;
		expected = at + n;
		k += n;
		last = k;
	}
	return true;
}

enum fl_code exe_align(
	struct fl_bytes old, struct fl_bytes new, struct exe_blocks *out, struct fl_err *err)
{
	struct table t = { 0 };
	bool done = table_init(&t, old) && align(&t, old, new, out);

	free(t.heads);
	free(t.next);
	return done ? FL_OK : fl_fail(err, FL_NOMEM, "no memory to align %zu bytes", new.n);
}
