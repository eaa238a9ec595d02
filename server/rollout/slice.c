/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/slice.h"

#include "lib/arena.h"

#include <stdlib.h>
#include <string.h>

/* What is left to give away: per stratum its groups in shuffled order. */
struct slicing {
	const struct slice_input *in;
	uint16_t *wave_of;
	uint32_t *order; /* groups, stratum after stratum, each shuffled */
	uint32_t *early; /* groups that come before all others, shuffled; n_early */
	uint32_t n_early;
	uint32_t *first; /* n_strata + 1: where a stratum begins in order */
	uint32_t *next;  /* per stratum: groups before this are given away */
	uint64_t *left;  /* per stratum: devices not yet given away */
	uint64_t *seats; /* per stratum: of the current wave */
	struct remainder {
		uint64_t rest, tie;
		uint32_t stratum;
	} * remainders;
	uint64_t left_all;
	struct fl_arena arena;
};

/* Vigna's splitmix64: every bit of the result depends on every bit of x. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static bool allocate(struct slicing *s)
{
	size_t strata = (size_t)s->in->n_strata + 1;

	s->order = fl_arena_get(&s->arena, s->in->n, sizeof(*s->order));
	s->early = fl_arena_get(&s->arena, s->in->early != NULL ? s->in->n : 0, sizeof(*s->early));
	s->first = fl_arena_get(&s->arena, strata, sizeof(*s->first));
	s->next = fl_arena_get(&s->arena, strata, sizeof(*s->next));
	s->left = fl_arena_get(&s->arena, strata, sizeof(*s->left));
	s->seats = fl_arena_get(&s->arena, strata, sizeof(*s->seats));
	s->remainders = fl_arena_get(&s->arena, strata, sizeof(*s->remainders));
	return s->order != NULL && s->early != NULL && s->first != NULL && s->next != NULL &&
		s->left != NULL && s->seats != NULL && s->remainders != NULL;
}

/* ---- the shuffle: order by a keyed hash, by radix sort */

struct keyed {
	uint64_t key;
	uint32_t group;
};

/* One pass over the byte at `shift`; stable. */
static void radix_pass(const struct keyed *from, struct keyed *to, size_t n, unsigned shift)
{
	size_t count[257] = { 0 };

	for (size_t i = 0; i < n; i++)
		count[(from[i].key >> shift & 0xff) + 1]++;
	for (int b = 0; b < 256; b++)
		count[b + 1] += count[b];
	for (size_t i = 0; i < n; i++)
		to[count[from[i].key >> shift & 0xff]++] = from[i];
}

static bool shuffle(struct slicing *s)
{
	const struct slice_input *in = s->in;
	struct keyed *a = malloc((2 * in->n + 1) * sizeof(*a)), *b = a + in->n;
	uint64_t salt = mix(in->seed);

	if (a == NULL)
		return false;
	for (size_t i = 0; i < in->n; i++)
		a[i] = (struct keyed){ mix(in->identity[i] ^ salt), (uint32_t)i };
	for (unsigned shift = 0; shift < 64; shift += 8) {
		struct keyed *swap = a;

		radix_pass(a, b, in->n, shift);
		a = b;
		b = swap;
	}
	/* Eight passes: the result is where it began. */
	for (size_t i = 0; i < in->n; i++)
		s->first[in->stratum[a[i].group] + 1]++;
	for (uint32_t k = 0; k < in->n_strata; k++)
		s->first[k + 1] += s->first[k];
	memcpy(s->next, s->first, in->n_strata * sizeof(*s->next));
	for (size_t i = 0; i < in->n; i++)
		s->order[s->next[in->stratum[a[i].group]]++] = a[i].group;
	memcpy(s->next, s->first, in->n_strata * sizeof(*s->next));
	for (size_t i = 0; i < in->n && in->early != NULL; i++) {
		if (in->early[a[i].group])
			s->early[s->n_early++] = a[i].group;
	}
	free(a);
	return true;
}

/* ---- giving away */

static void give(struct slicing *s, uint32_t group, uint16_t wave)
{
	s->wave_of[group] = wave;
	s->left[s->in->stratum[group]] -= s->in->size[group];
	s->left_all -= s->in->size[group];
}

static int by_remainder(const void *pa, const void *pb)
{
	const struct remainder *a = pa, *b = pb;

	if (a->rest != b->rest)
		return a->rest > b->rest ? -1 : 1;
	return (a->tie > b->tie) - (a->tie < b->tie);
}

/* Split n seats in proportion to what is left of each stratum, by largest remainder (Hamilton). */
static void split_seats(struct slicing *s, uint64_t n, uint16_t wave)
{
	uint64_t given = 0;

	for (uint32_t k = 0; k < s->in->n_strata; k++) {
		uint64_t share = s->left_all == 0 ? 0 : n * s->left[k];

		s->seats[k] = s->left_all == 0 ? 0 : share / s->left_all;
		given += s->seats[k];
		s->remainders[k] = (struct remainder){
			.rest = s->left_all == 0 ? 0 : share % s->left_all,
			/* Equal remainders must not favour the same stratum in every wave. */
			.tie = mix(s->in->seed ^ mix((uint64_t)wave << 32 | k)),
			.stratum = k
		};
	}
	qsort(s->remainders, s->in->n_strata, sizeof(*s->remainders), by_remainder);
	for (uint32_t i = 0; given < n && i < s->in->n_strata; i++, given++)
		s->seats[s->remainders[i].stratum]++;
}

/* Give groups of one stratum to the wave while they fit into `room`; returns what is left of it. */
static uint64_t fill(struct slicing *s, uint32_t stratum, uint64_t room, uint16_t wave)
{
	bool skipped = false;

	for (uint32_t i = s->next[stratum]; i < s->first[stratum + 1] && room > 0; i++) {
		uint32_t group = s->order[i];

		if (s->wave_of[group] == SLICE_NO_WAVE && s->in->size[group] <= room) {
			room -= s->in->size[group];
			give(s, group, wave);
		}
		skipped = skipped || s->wave_of[group] == SLICE_NO_WAVE;
		if (!skipped)
			s->next[stratum] = i + 1;
	}
	return room;
}

/* The smallest group that is left: for a wave into which none fits. */
static uint32_t smallest(const struct slicing *s)
{
	uint32_t best = UINT32_MAX;

	for (uint32_t k = 0; k < s->in->n_strata; k++) {
		for (uint32_t i = s->next[k]; i < s->first[k + 1]; i++) {
			uint32_t group = s->order[i];

			if (s->wave_of[group] == SLICE_NO_WAVE &&
				(best == UINT32_MAX || s->in->size[group] < s->in->size[best]))
				best = group;
		}
	}
	return best;
}

/* Give early groups to the wave while they fit into `room`; returns what is left of it. */
static uint64_t fill_early(struct slicing *s, uint64_t room, uint16_t wave)
{
	for (uint32_t i = 0; i < s->n_early && room > 0; i++) {
		uint32_t group = s->early[i];

		if (s->wave_of[group] == SLICE_NO_WAVE && s->in->size[group] <= room) {
			room -= s->in->size[group];
			give(s, group, wave);
		}
	}
	return room;
}

static void fill_wave(struct slicing *s, uint64_t n, uint16_t wave)
{
	uint64_t room = 0, seats;

	n = n < s->left_all ? n : s->left_all;
	if (n == 0)
		return;
	seats = fill_early(s, n, wave);
	split_seats(s, seats, wave);
	for (uint32_t k = 0; k < s->in->n_strata; k++)
		room += fill(s, k, s->seats[k], wave);
	/* Groups are not divided: what did not fit in its own stratum's share goes to the others. */
	for (uint32_t k = 0; k < s->in->n_strata && room > 0; k++)
		room = fill(s, k, room, wave);
	if (room == n)
		give(s, smallest(s), wave);
}

static void fill_rest(struct slicing *s, uint16_t wave)
{
	for (size_t i = 0; i < s->in->n; i++) {
		if (s->wave_of[i] == SLICE_NO_WAVE)
			give(s, (uint32_t)i, wave);
	}
}

/* Half a device and more counts as one, and a share is at least one device. */
uint64_t slice_wave_size(const struct strategy_wave *w, uint64_t all)
{
	uint64_t n;

	if (w->kind == WAVE_COUNT)
		return (uint64_t)w->count;
	n = (all * (uint64_t)w->ppm + STRATEGY_PPM / 2) / STRATEGY_PPM;
	return n > 0 ? n : 1;
}

enum fl_code slice_waves(const struct slice_input *in, uint16_t *wave_of, struct fl_err *err)
{
	struct slicing s = { .in = in, .wave_of = wave_of };
	uint64_t all = 0;

	memset(wave_of, 0xff, in->n * sizeof(*wave_of));
	if (!allocate(&s) || !shuffle(&s)) {
		fl_arena_fini(&s.arena);
		return fl_fail(err, FL_NOMEM, "no memory to slice %zu groups into waves", in->n);
	}
	for (size_t i = 0; i < in->n; i++) {
		s.left[in->stratum[i]] += in->size[i];
		all += in->size[i];
	}
	s.left_all = all;
	/* Selectors first: a device that one names is in no other wave. */
	for (size_t i = 0; i < in->n && in->wave != NULL; i++) {
		if (in->wave[i] != SLICE_NO_WAVE)
			give(&s, (uint32_t)i, in->wave[i]);
	}
	for (size_t w = 0; w < in->n_waves; w++) {
		if (in->waves[w].kind == WAVE_SELECTOR)
			continue;
		if (w + 1 == in->n_waves)
			fill_rest(&s, (uint16_t)w);
		else
			fill_wave(&s, slice_wave_size(&in->waves[w], all), (uint16_t)w);
	}
	fl_arena_fini(&s.arena);
	return FL_OK;
}
