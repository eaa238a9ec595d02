/* SPDX-License-Identifier: Apache-2.0
 *
 * DESIGN. Two lists in one arena of chunks. `after` and `sums` are arrays of entries in the order in
 * which they were added; a mark is a pair of lengths, so undoing a request is a cut. Payloads of
 * undone entries stay in the arena until the batch ends. Merging the sums uses an open hash table of
 * (kind, key) that is cleared for each round. */
#include "server/effects.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES  65536
#define ROUNDS_MAX   64
#define TABLE_AT_MIN 256

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(16) uint8_t bytes[];
};

struct after {
	effect_fn fn;
	void *payload;
};

struct sum {
	const struct effect_sum *kind;
	int64_t key;
	void *payload;
};

/* One merged sum of a round. */
struct merged {
	const struct effect_sum *kind;
	int64_t key;
	void *payload;
};

struct effects {
	struct chunk *chunks; /* newest first */
	struct after *after;
	size_t n_after, cap_after;
	struct sum *sums;
	size_t n_sums, cap_sums;
	struct merged *merged; /* of the present round, in order of first appearance */
	size_t n_merged, cap_merged;
	uint32_t *table; /* index into merged + 1; 0: free */
	size_t table_size;
	bool failed; /* no memory since the last effects_check */
};

struct effects *effects_new(void)
{
	return calloc(1, sizeof(struct effects));
}

void effects_free(struct effects *e)
{
	if (e == NULL)
		return;
	while (e->chunks != NULL) {
		struct chunk *c = e->chunks;

		e->chunks = c->next;
		free(c);
	}
	free(e->after);
	free(e->sums);
	free(e->merged);
	free(e->table);
	free(e);
}

/* Keep one chunk of the usual size, so that a quiet server allocates nothing per batch. */
void effects_reset(struct effects *e)
{
	struct chunk *keep = NULL;

	while (e->chunks != NULL) {
		struct chunk *c = e->chunks;

		e->chunks = c->next;
		if (keep == NULL && c->size == CHUNK_BYTES)
			keep = c;
		else
			free(c);
	}
	if (keep != NULL) {
		keep->next = NULL;
		keep->used = 0;
	}
	e->chunks = keep;
	e->n_after = e->n_sums = e->n_merged = 0;
	e->failed = false;
}

static void *allocate(struct effects *e, size_t size)
{
	struct chunk *c = e->chunks;
	void *p;

	size = (size + 15) & ~(size_t)15;
	if (c == NULL || c->size - c->used < size) {
		size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;

		c = malloc(sizeof(*c) + room);
		if (c == NULL)
			return NULL;
		*c = (struct chunk){ .next = e->chunks, .size = room };
		e->chunks = c;
	}
	p = c->bytes + c->used;
	c->used += size;
	return p;
}

/* Make room for one more element in an array of `size`-byte elements. */
static bool grow(void **array, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap == 0 ? 64 : *cap * 2;
	void *p;

	if (n < *cap)
		return true;
	p = realloc(*array, want * size);
	if (p == NULL)
		return false;
	*array = p;
	*cap = want;
	return true;
}

static void *keep_copy(struct effects *e, const void *payload, size_t size)
{
	void *copy = allocate(e, size == 0 ? 1 : size);

	if (copy != NULL && size != 0)
		memcpy(copy, payload, size);
	return copy;
}

void effects_after_commit(struct effects *e, effect_fn fn, const void *payload, size_t size)
{
	void *copy = keep_copy(e, payload, size);

	if (copy == NULL ||
		!grow((void **)&e->after, e->n_after, &e->cap_after, sizeof(*e->after))) {
		e->failed = true;
		return;
	}
	e->after[e->n_after++] = (struct after){ .fn = fn, .payload = copy };
}

void effects_sum(struct effects *e, const struct effect_sum *kind, int64_t key, const void *payload)
{
	void *copy = keep_copy(e, payload, kind->size);

	if (copy == NULL || !grow((void **)&e->sums, e->n_sums, &e->cap_sums, sizeof(*e->sums))) {
		e->failed = true;
		return;
	}
	e->sums[e->n_sums++] = (struct sum){ .kind = kind, .key = key, .payload = copy };
}

struct effects_mark effects_mark(const struct effects *e)
{
	return (struct effects_mark){ .after = e->n_after, .sums = e->n_sums };
}

void effects_undo(struct effects *e, struct effects_mark mark)
{
	FL_BUG_IF(mark.after > e->n_after || mark.sums > e->n_sums);
	e->n_after = mark.after;
	e->n_sums = mark.sums;
	e->failed = false;
}

enum fl_code effects_check(struct effects *e, struct fl_err *err)
{
	bool failed = e->failed;

	e->failed = false;
	return failed ? fl_fail(err, FL_NOMEM, "no memory for the effects of a request") : FL_OK;
}

/* ---- sums */

static size_t hash(const struct effect_sum *kind, int64_t key)
{
	uint64_t h = (uint64_t)(uintptr_t)kind ^ ((uint64_t)key * 0x9e3779b97f4a7c15u);

	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9u;
	return (size_t)(h ^ h >> 32);
}

/* A cleared table with at least twice as many places as there can be keys. */
static bool clear_table(struct effects *e, size_t keys)
{
	size_t want = TABLE_AT_MIN;

	while (want < keys * 2)
		want *= 2;
	if (want > e->table_size) {
		uint32_t *p = realloc(e->table, want * sizeof(*p));

		if (p == NULL)
			return false;
		e->table = p;
		e->table_size = want;
	}
	memset(e->table, 0, e->table_size * sizeof(*e->table));
	e->n_merged = 0;
	return true;
}

/* The merged sum of (kind, key), made with a zeroed payload when it is new; NULL without memory. */
static struct merged *merged_of(struct effects *e, const struct effect_sum *kind, int64_t key)
{
	size_t mask = e->table_size - 1;
	size_t at = hash(kind, key) & mask;
	void *zeroed;

	for (; e->table[at] != 0; at = (at + 1) & mask) {
		struct merged *m = &e->merged[e->table[at] - 1];

		if (m->kind == kind && m->key == key)
			return m;
	}
	zeroed = allocate(e, kind->size);
	if (zeroed == NULL ||
		!grow((void **)&e->merged, e->n_merged, &e->cap_merged, sizeof(*e->merged)))
		return NULL;
	memset(zeroed, 0, kind->size);
	e->merged[e->n_merged] = (struct merged){ .kind = kind, .key = key, .payload = zeroed };
	e->table[at] = (uint32_t)++e->n_merged;
	return &e->merged[e->n_merged - 1];
}

static enum fl_code merge(struct effects *e, struct fl_err *err)
{
	if (!clear_table(e, e->n_sums))
		return fl_fail(err, FL_NOMEM, "no memory for the sums of a batch");
	for (size_t i = 0; i < e->n_sums; i++) {
		struct merged *m = merged_of(e, e->sums[i].kind, e->sums[i].key);

		if (m == NULL)
			return fl_fail(err, FL_NOMEM, "no memory for the sums of a batch");
		m->kind->add(m->payload, e->sums[i].payload);
	}
	e->n_sums = 0;
	return FL_OK;
}

enum fl_code effects_apply_sums(
	struct effects *e, struct server *server, struct store *store, struct fl_err *err)
{
	for (int round = 0; e->n_sums > 0; round++) {
		enum fl_code code = merge(e, err);
		size_t n = e->n_merged;

		FL_BUG_IF(round > ROUNDS_MAX);
		for (size_t i = 0; i < n && code == FL_OK; i++) {
			struct merged m = e->merged[i];

			code = m.kind->apply(server, store, e, m.key, m.payload, err);
			if (code == FL_OK)
				code = effects_check(e, err);
		}
		if (code != FL_OK)
			return code;
	}
	return FL_OK;
}

void effects_run_after(struct effects *e, struct server *server)
{
	for (size_t i = 0; i < e->n_after; i++)
		e->after[i].fn(server, e->after[i].payload);
	e->n_after = 0;
}
