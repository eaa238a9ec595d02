/* SPDX-License-Identifier: Apache-2.0
 *
 * DESIGN. Which decision is best depends on noise, so branches would be guessed wrong: eight cells of a row are
 * computed at a time, in the vectors that compilers have for any machine, but for what passes from cell to cell. Scores have 16 bits: they are at
 * most the symbols of the shorter side. */
#include "lib/delta/wasm/align_gap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Vectors are passed between functions of this file alone. */
#pragma GCC diagnostic ignored "-Wpsabi"

#define OPEN  5               /* a new piece must win this much */
#define NEVER (INT16_MIN / 2) /* score of what cannot be */
#define LANES 8

/* Machines without vectors warn that they would pass one differently; only these functions pass any. */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef int16_t lanes __attribute__((vector_size(LANES * sizeof(int16_t))));
typedef uint8_t lane_bytes __attribute__((vector_size(LANES)));

static inline lanes load(const int16_t *from)
{
	lanes v;

	memcpy(&v, from, sizeof(v));
	return v;
}

static inline void store(int16_t *to, lanes v)
{
	memcpy(to, &v, sizeof(v));
}

static inline lanes larger(lanes a, lanes b)
{
	lanes is = a > b;

	return (a & is) | (b & ~is);
}

/* Of the new symbols so far with the first j old ones: what their best alignment wins, and the best of those
 * that end in a copy. All of these have room for LANES more. */
struct rows {
	int16_t *old; /* the old symbols */
	int16_t *best, *run;
	int16_t *best_before, *run_before; /* without the last new symbol */
};

static inline bool any(lanes v)
{
	uint64_t parts[2];

	memcpy(parts, &v, sizeof(parts));
	return (parts[0] | parts[1]) != 0;
}

/* Nothing wins less than `best` or a number before it does; returns what the last one wins then. */
static int16_t pass_on(int16_t *to, int16_t best)
{
	for (size_t j = 0; j < LANES; j++)
		to[j] = best = to[j] > best ? to[j] : best;
	return best;
}

/* Score a new symbol. */
static void score(const struct rows *r, size_t n, int16_t symbol)
{
	int16_t best = 0; /* without the last old symbol */

	for (size_t j = 1; j <= n; j += LANES) {
		lanes on = load(r->run_before + j - 1), fresh = load(r->best_before + j - 1) - OPEN;
		lanes equal = load(r->old + j - 1) == symbol; /* -1 or 0 */
		lanes run = larger(on, fresh) - equal - equal - 1, up = load(r->best_before + j);

		store(r->run + j, run);
		if (any(run > up)) {
			store(r->best + j, larger(run, up));
			best = pass_on(r->best + j, best);
		} else { /* as before, where each wins what the one before it does */
			store(r->best + j, larger(up, (lanes){ 0 } + best));
			best = r->best[j + LANES - 1];
		}
	}
}

/* The decisions that led to these scores; LANES more of them are overwritten. */
static void decide(const struct rows *r, size_t n, uint8_t *decisions)
{
	for (size_t j = 1; j <= n; j += LANES) {
		lanes on = load(r->run_before + j - 1), fresh = load(r->best_before + j - 1) - OPEN;
		lanes up = load(r->best_before + j), left = load(r->best + j - 1);
		lanes copy = load(r->run + j) > larger(up, left);
		lanes decision = ((on >= fresh) & ALIGN_GAP_GOES_ON) | (copy & ALIGN_GAP_COPY) |
			((left > up) & ~copy & ALIGN_GAP_SKIP_OLD);
		lane_bytes bytes = __builtin_convertvector(decision, lane_bytes);

		memcpy(decisions + j, &bytes, sizeof(bytes));
	}
}

/* The rows lie in `memory`, each of `width` numbers; in front of the first new and old symbol nothing wins. */
static struct rows rows_in(int16_t *memory, size_t width, struct fl_bytes old)
{
	struct rows r = { memory, memory + width, memory + 2 * width, memory + 3 * width,
		memory + 4 * width };

	for (size_t j = 0; j < width; j++) {
		r.old[j] = j < old.n ? old.p[j] : -1;
		r.best[j] = r.best_before[j] = 0;
		r.run[j] = r.run_before[j] = NEVER;
	}
	return r;
}

uint8_t *align_gap(struct fl_bytes old, struct fl_bytes new, int32_t *won)
{
	size_t width = old.n + 1 + LANES;
	uint8_t *decisions = malloc((new.n + 1) * (old.n + 1) + LANES);
	int16_t *memory = malloc(5 * width * sizeof(*memory));
	struct rows r;

	assert(old.n < ALIGN_GAP_SHORT || new.n < ALIGN_GAP_SHORT);
	if (decisions == NULL || memory == NULL) {
		free(decisions);
		free(memory);
		return NULL;
	}
	r = rows_in(memory, width, old);
	for (size_t i = 1; i <= new.n; i++) {
		struct rows next = { r.old, r.best_before, r.run_before, r.best, r.run };

		score(&r, old.n, new.p[i - 1]);
		decide(&r, old.n, decisions + i * (old.n + 1));
		r = next;
	}
	*won = r.best_before[old.n];
	free(memory);
	return decisions;
}
