/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/wasm/adaptive.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Probabilities that a bit is 1 have 16 bits outside, 22 in a slot. The network works in the logistic
 * domain ln(p / (1 - p)), in units of 1/256. */
#define STRETCH_MAX   2815
#define SLOT_COUNT    1023 /* low bits of a slot: how often it was seen */
#define BIT_LIMIT     1000 /* seldom changing: hits and misses */
#define BYTE_LIMIT    160
#define REFINED_LIMIT 255
#define WEIGHT_START  18500 /* of 65536 */
#define WEIGHT_RATE   7     /* of the set that the caller chooses */
#define KNOWN_RATE    5     /* of the set that what is known chooses */
#define CONSTANT      16    /* the input that is always there */

/* The slots of hits come first, then those of bytes in sets of buckets, a bucket for each nibble of a
 * context: a tag, then the 15 nodes of its tree. */
#define BUCKET   16
#define WAYS     3 /* buckets of a set */
#define SET_HITS 16
#define SET      (SET_HITS + WAYS * BUCKET) /* slots that a set and its share of the hits take */
#define AGE_MAX  63         /* low bits of a tag: how often the bucket has stood back for another */
#define FRESH    (1u << 31) /* a slot that was never seen, one half; in memory all are kept XOR this */

#define TRUSTS     3 /* kinds of slots by how often they were seen; each has weights of its own */
#define INPUTS     (ADAPTIVE_CONTEXTS_MAX + 1) /* and a constant */
#define BIT_GROUPS 8
#define BYTE_SETS  (2 * 8) /* groups, and places of the bit */
#define NODES      32      /* of the trees of both nibbles */
#define STEPS      17      /* of a refinement: probabilities that it tells apart */

/* Weights of one network: of each input by its trust. */
struct weights {
	int32_t of[INPUTS * TRUSTS];
};

/* What a stream's symbols have of their own. */
struct stream {
	struct weights bit[BIT_GROUPS], bit_known[INPUTS];
	struct weights byte[BYTE_SETS], byte_known[INPUTS];
	uint32_t bit_refined[BIT_GROUPS][STEPS], byte_refined[NODES][STEPS]; /* as slots */
};

struct adaptive {
	struct fl_heap *heap;
	void *memory;
	uint32_t *hits, *buckets; /* in it, from the beginning of a cache line on */
	uint32_t sets;
	struct fl_buf *out; /* NULL: decoding */
	struct fl_bytes in;
	size_t in_bytes; /* that `in` had first */
	size_t overrun;
	uint32_t low, high, code;
	bool silent;
	struct stream *streams[ADAPTIVE_STREAMS]; /* NULL until they are used */
	struct stream *spare;                     /* where there is no memory for one */
};

/* In steps of a 4096th; behind them the lowest of these and the highest, in steps of 2^-22. */
static int16_t stretch_table[4096 + 2 * 1024];
static uint16_t squash_table[2 * STRETCH_MAX + 1];
static uint32_t rate_table[SLOT_COUNT + 1];

/* e^(-k/256) by repeated multiplication in fixed point: exact and equal everywhere. */
static void fill_tables(void)
{
	const uint64_t step = 2139111403; /* e^(-1/256) * 2^31 */
	uint64_t e = 1u << 31;
	int16_t *lowest = stretch_table + 4096, *highest = lowest + 1024;
	int k = -STRETCH_MAX, low = 1023;

	for (int i = 0; i <= STRETCH_MAX; i++, e = (e * step + (1u << 30)) >> 31) {
		uint64_t p = ((uint64_t)65536 << 31) / ((1u << 31) + e); /* squash of i/256 */

		for (; low >= 0 && (e << 23) / ((1u << 31) + e) <= 2 * (unsigned)low + 1; low--)
			lowest[low] = (int16_t)-i;
		if (p > 65535)
			p = 65535;
		squash_table[STRETCH_MAX + i] = (uint16_t)p;
		squash_table[STRETCH_MAX - i] = (uint16_t)(65536 - p == 0 ? 1 : 65536 - p);
	}
	squash_table[STRETCH_MAX] = 32768;
	for (; low >= 0; low--)
		lowest[low] = -STRETCH_MAX;
	for (int i = 0; i < 1024; i++)
		highest[i] = (int16_t)-lowest[1023 - i];
	for (int p = 0; p < 4096; p++) {
		while (k < STRETCH_MAX && squash_table[STRETCH_MAX + k] < p * 16 + 8)
			k++;
		stretch_table[p] = (int16_t)k;
	}
	for (unsigned n = 0; n <= SLOT_COUNT; n++)
		rate_table[n] = 655360 / (10 * n + 13); /* 1 / (n + 1.3) */
}

static void tables(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, fill_tables);
}

uint32_t adaptive_sets(enum adaptive_size size, uint64_t bytes)
{
	static const uint32_t most[] = { 1u << 10, 1u << 12, 1u << 16 };
	uint64_t sets = bytes / ADAPTIVE_SET_BYTES;

	if (sets < ADAPTIVE_SETS_LEAST)
		sets = ADAPTIVE_SETS_LEAST;
	return sets < most[size] ? (uint32_t)sets : most[size];
}

#define LINE 64 /* bytes of a cache line */

static size_t table_bytes(uint32_t sets)
{
	return sets * (size_t)SET * sizeof(uint32_t) + LINE;
}

uint64_t adaptive_memory(uint32_t sets)
{
	return sizeof(struct adaptive) + (ADAPTIVE_STREAMS + 1) * sizeof(struct stream) +
		table_bytes(sets);
}

static uint8_t next_byte(struct adaptive *a)
{
	if (a->in.n == 0) {
		a->overrun++;
		return 0;
	}
	a->in.n--;
	return *a->in.p++;
}

static void fill_weights(struct weights *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < INPUTS * TRUSTS; k++)
			w[i].of[k] = WEIGHT_START;
}

/* At first a refinement changes nothing. */
static void fill_refined(uint32_t (*refined)[STEPS], size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (int k = 0; k < STEPS; k++)
			refined[i][k] = (uint32_t)squash_table[2 * STRETCH_MAX * k / (STEPS - 1)]
				<< 16;
}

static struct stream *new_stream(struct fl_heap *heap)
{
	struct stream *s = fl_heap_alloc(heap, 1, sizeof(*s));

	if (s == NULL)
		return NULL;
	fill_weights(s->bit, BIT_GROUPS);
	fill_weights(s->bit_known, INPUTS);
	fill_weights(s->byte, BYTE_SETS);
	fill_weights(s->byte_known, INPUTS);
	fill_refined(s->bit_refined, BIT_GROUPS);
	fill_refined(s->byte_refined, NODES);
	return s;
}

/* Most deltas use few of the streams. Without memory something else comes out, as the heap or `out` tell. */
static struct stream *stream_of(struct adaptive *a, unsigned stream)
{
	if (__builtin_expect(a->streams[stream] == NULL, 0)) {
		a->streams[stream] = new_stream(a->heap);
		if (a->streams[stream] == NULL && a->out != NULL)
			a->out->failed = true;
	}
	return a->streams[stream] != NULL ? a->streams[stream] : a->spare;
}

struct adaptive *adaptive_new(
	struct fl_heap *heap, uint32_t sets, struct fl_buf *out, struct fl_bytes in)
{
	struct adaptive *a = fl_heap_alloc(heap, 1, sizeof(*a));

	tables();
	if (a == NULL)
		return NULL;
	a->heap = heap;
	a->memory = fl_heap_alloc(heap, 1, table_bytes(sets));
	a->spare = new_stream(heap);
	if (a->memory == NULL || a->spare == NULL) {
		adaptive_free(a);
		return NULL;
	}
	a->sets = sets;
	a->hits = (uint32_t *)(((uintptr_t)a->memory + LINE - 1) & ~(uintptr_t)(LINE - 1));
	a->buckets = a->hits + (size_t)sets * SET_HITS;
	a->out = out;
	a->in = in;
	a->in_bytes = in.n;
	a->high = UINT32_MAX;
	if (out == NULL)
		for (int i = 0; i < 4; i++)
			a->code = a->code << 8 | next_byte(a);
	return a;
}

void adaptive_free(struct adaptive *a)
{
	if (a == NULL)
		return;
	for (unsigned i = 0; i < ADAPTIVE_STREAMS; i++)
		fl_heap_free(a->heap, a->streams[i]);
	fl_heap_free(a->heap, a->spare);
	fl_heap_free(a->heap, a->memory);
	fl_heap_free(a->heap, a);
}

void adaptive_silent(struct adaptive *a, bool silent)
{
	a->silent = silent;
}

bool adaptive_is_silent(const struct adaptive *a)
{
	return a->silent;
}

double adaptive_position(const struct adaptive *a)
{
	size_t bytes = a->in_bytes - a->in.n + a->overrun;

	return 8 * (double)bytes - log2((double)(a->high - a->low) + 1);
}

bool adaptive_is_cut_off(const struct adaptive *a)
{
	return a->overrun > sizeof(a->code);
}

/* ---- the range coder: carryless, 32 bits */

static bool code_bit(struct adaptive *a, bool bit, uint32_t p)
{
	uint32_t range = a->high - a->low;
	uint32_t middle = a->low + (uint32_t)((uint64_t)range * p >> 16);

	if (a->silent)
		return bit;
	if (a->out == NULL)
		bit = a->code <= middle;
	if (bit)
		a->high = middle;
	else
		a->low = middle + 1;
	while (((a->low ^ a->high) & 0xff000000) == 0) {
		if (a->out != NULL)
			fl_buf_byte(a->out, (uint8_t)(a->high >> 24));
		else
			a->code = a->code << 8 | next_byte(a);
		a->low <<= 8;
		a->high = a->high << 8 | 255;
	}
	return bit;
}

void adaptive_flush(struct adaptive *a)
{
	/* The fewest bytes that lie in the range whatever follows: zeroes follow for free. */
	for (unsigned n = 0; n <= 4; n++) {
		uint64_t mask = UINT32_MAX >> (8 * n > 31 ? 31 : 8 * n);
		uint64_t v;

		if (n == 4)
			mask = 0;
		v = (a->low + mask) & ~mask & UINT64_MAX;
		if (v > a->high)
			continue;
		for (unsigned i = 0; i < n; i++)
			fl_buf_byte(a->out, (uint8_t)(v >> (24 - 8 * i)));
		return;
	}
}

/* ---- prediction */

/* Two networks look at the same slots: the caller chooses the weights of one, how many slots were
 * seen before those of the other. Not initialized: that would take longer than what it is for. */
struct mixing {
	int32_t input[INPUTS];
	uint32_t weight[INPUTS]; /* which of the weights is the input's */
	uint32_t *slot[INPUTS];
	uint32_t seen[INPUTS]; /* what is in them */
	unsigned n;            /* slots; behind them comes the constant */
	struct weights *chosen, *known;
	uint32_t (*refined)[STEPS];
	int32_t p_chosen, p_known; /* what each of them said */
	uint32_t *step;            /* of the refinement, that was nearest */
};

static inline int clamp(int64_t dot)
{
	return dot > STRETCH_MAX ? STRETCH_MAX : dot < -STRETCH_MAX ? -STRETCH_MAX : (int)dot;
}

/* A slot's opinion; at both ends in finer steps. */
static inline int32_t stretch(uint32_t slot)
{
	uint32_t p = slot >> 20, fine = 4096 + (p >> 11 << 10) + (slot >> 10 & 1023);

	return stretch_table[((p + 1) & 4095) < 2 ? fine : p];
}

static inline uint32_t in_range(uint32_t p)
{
	return p == 0 ? 1 : p > 65535 ? 65535 : p;
}

static inline uint32_t squash(int stretched)
{
	return in_range(squash_table[STRETCH_MAX + stretched]);
}

/* Look at the slots. How far one is to be believed: seldom seen, a few times, very often; one that was
 * never seen has no opinion. Returns how many have one. */
static inline unsigned look(struct mixing *m)
{
	unsigned known = 0;

	for (unsigned i = 0; i < m->n; i++) {
		uint32_t slot = *m->slot[i] ^ FRESH, count = slot & SLOT_COUNT, seen = count != 0;

		m->seen[i] = slot;
		m->weight[i] = i * TRUSTS + (count > 2) + (count > 60);
		m->input[i] = stretch(slot) * (int32_t)seen;
		known += seen;
	}
	m->weight[m->n] = m->n * TRUSTS;
	m->input[m->n] = CONSTANT;
	return known;
}

/* What became of such predictions in the past, between two steps. */
static inline uint32_t refine(struct mixing *m, int stretched)
{
	unsigned at = (unsigned)(stretched + STRETCH_MAX) * (STEPS - 1) * 32 / STRETCH_MAX;
	unsigned k = at / 64, part = at % 64;
	uint32_t *row = *m->refined;

	if (k == STEPS - 1) {
		k--;
		part = 64;
	}
	m->step = &row[part < 32 ? k : k + 1];
	return ((row[k] >> 10) * (64 - part) + (row[k + 1] >> 10) * part) >> 12;
}

/* The probability of a 1; `known` is the first of the sets of the second network. */
static inline uint32_t predict(struct mixing *m, struct weights *known)
{
	int64_t dot_chosen = 0, dot_known = 0;
	int a, b;

	m->known = &known[look(m)];
	for (unsigned i = 0; i <= m->n; i++) {
		int64_t input = m->input[i];

		dot_chosen += m->chosen->of[m->weight[i]] * input;
		dot_known += m->known->of[m->weight[i]] * input;
	}
	a = clamp(dot_chosen >> 16);
	b = clamp(dot_known >> 16);
	m->p_chosen = (int32_t)squash(a);
	m->p_known = (int32_t)squash(b);
	a = (a + b) / 2;
	return in_range((squash(a) + refine(m, a)) / 2);
}

static inline uint32_t moved(uint32_t slot, bool bit, uint32_t rate, uint32_t limit)
{
	int64_t target = bit ? (1 << 22) - 1 : 0, now = slot >> 10;
	uint32_t count = slot & SLOT_COUNT;

	now += ((target - now) * (int64_t)rate) >> 16;
	return (uint32_t)now << 10 | (count + (count < limit));
}

/* Weights wrap: damaged data may ask for anything. */
static inline void learn_weight(int32_t *weight, int32_t change)
{
	*weight = (int32_t)((uint32_t)*weight + (uint32_t)change);
}

static inline void learn_weights(const struct mixing *m, int32_t chosen_error, int32_t known_error)
{
	int32_t *chosen = m->chosen->of, *known = m->known->of;
	int32_t chosen_step = chosen_error * WEIGHT_RATE, known_step = known_error * KNOWN_RATE;

	for (unsigned i = 0, n = m->n; i < n; i++) {
		int32_t input = m->input[i];
		uint32_t k = m->weight[i];

		learn_weight(&chosen[k], (chosen_step * input) >> 16);
		learn_weight(&known[k], (known_step * input) >> 16);
	}
	learn_weight(&chosen[m->weight[m->n]], chosen_error >> 7);
	learn_weight(&known[m->weight[m->n]], known_error >> 7);
}

static inline void learn(struct mixing *m, bool bit, uint32_t limit)
{
	int32_t target = bit ? 65535 : 0;

	if (m->p_chosen != target || m->p_known != target)
		learn_weights(m, target - m->p_chosen, target - m->p_known);
	for (unsigned i = 0; i < m->n; i++)
		*m->slot[i] =
			moved(m->seen[i], bit, rate_table[m->seen[i] & SLOT_COUNT], limit) ^ FRESH;
	*m->step = moved(*m->step, bit, rate_table[(*m->step & SLOT_COUNT) + 2], REFINED_LIMIT);
}

static uint32_t hash(uint64_t x)
{
	x *= 0x9e3779b97f4a7c15u;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9u;
	return (uint32_t)(x >> 32);
}

bool adaptive_bit(struct adaptive *a, unsigned stream, bool bit, const uint64_t *contexts,
	unsigned n, unsigned group)
{
	struct stream *s = stream_of(a, stream);
	struct mixing m;

	m.n = n;
	m.chosen = &s->bit[group];
	m.refined = &s->bit_refined[group];
	for (unsigned i = 0; i < n; i++) {
		uint32_t h = hash(contexts[i] + stream * 0x100000001b3u + i);

		m.slot[i] = &a->hits[(uint64_t)h * (a->sets * SET_HITS) >> 32];
	}
	bit = code_bit(a, bit, predict(&m, s->bit_known));
	learn(&m, bit, BIT_LIMIT);
	return bit;
}

/* Whether the bucket belongs to the context that has this tag. */
static bool is_tagged(const uint32_t *bucket, uint32_t tag)
{
	return (bucket[0] & ~(uint32_t)AGE_MAX) == tag;
}

/* What a bucket is worth: how often it was used, halved for each four times that it stood back since. */
static uint32_t worth(const uint32_t *bucket)
{
	return (bucket[1] & SLOT_COUNT) << 4 >> ((bucket[0] & AGE_MAX) / 4);
}

/* Take over the bucket of the set that is worth least. */
static uint32_t *take_over(uint32_t *set, uint32_t tag)
{
	uint32_t *taken = set;

	for (unsigned i = 1; i < WAYS; i++)
		if (worth(set + i * BUCKET) < worth(taken))
			taken = set + i * BUCKET;
	for (unsigned i = 0; i < WAYS; i++)
		set[i * BUCKET] += (set[i * BUCKET] & AGE_MAX) < AGE_MAX;
	memset(taken, 0, BUCKET * sizeof(*taken));
	taken[0] = tag;
	return taken;
}

static uint32_t *set_of(const struct adaptive *a, uint32_t h)
{
	return &a->buckets[((uint64_t)h * a->sets >> 32) * (WAYS * BUCKET)];
}

/* A bucket is a cache line: have those of a set on their way before they are looked at. */
static void prefetch(const struct adaptive *a, uint32_t h)
{
	const uint32_t *set = set_of(a, h);

	for (unsigned i = 0; i < WAYS; i++)
		__builtin_prefetch(set + i * BUCKET, 1);
}

/* The bucket of a context's nibble. */
static uint32_t *bucket(struct adaptive *a, uint32_t h)
{
	uint32_t *set = set_of(a, h);
	uint32_t tag = h * (AGE_MAX + 1);

	for (unsigned i = 0; i < WAYS; i++)
		if (is_tagged(set + i * BUCKET, tag)) {
			set[i * BUCKET] = tag;
			return set + i * BUCKET;
		}
	return take_over(set, tag);
}

uint8_t adaptive_byte(struct adaptive *a, unsigned stream, uint8_t byte, const uint64_t *contexts,
	unsigned n, unsigned group)
{
	uint32_t base[INPUTS], *buckets[INPUTS];
	struct stream *s = stream_of(a, stream);
	struct mixing m;
	unsigned done = 1;

	m.n = n;
	for (unsigned i = 0; i < n; i++) {
		base[i] = hash(contexts[i] + stream * 0x100000001b3u + i + 77);
		prefetch(a, base[i]);
	}
	for (unsigned shift = 8; shift-- > 0;) {
		unsigned node =
			shift >= 4 ? done : (done & ((1u << (3 - shift)) - 1)) | 1u << (3 - shift);
		bool bit;

		m.chosen = &s->byte[group * 8 + shift];
		m.refined = &s->byte_refined[shift >= 4 ? node : 16 + node];
		if (shift == 3)
			for (unsigned i = 0; i < n; i++) {
				base[i] = hash(base[i] + (uint64_t)done * 0x10001);
				prefetch(a, base[i]);
			}
		if (shift == 7 || shift == 3)
			for (unsigned i = 0; i < n; i++)
				buckets[i] = bucket(a, base[i]);
		for (unsigned i = 0; i < n; i++)
			m.slot[i] = &buckets[i][node];
		bit = code_bit(a, byte >> shift & 1, predict(&m, s->byte_known));
		learn(&m, bit, BYTE_LIMIT);
		done = done << 1 | bit;
	}
	return (uint8_t)done;
}
