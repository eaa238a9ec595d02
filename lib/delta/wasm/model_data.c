/* SPDX-License-Identifier: Apache-2.0
 *
 * Data segments, whose words are often addresses, and the names of functions. */
#include "lib/delta/wasm/model.h"

#include <stdlib.h>
#include <string.h>

#define RECENT 16    /* differences of words that are kept */
#define PIECE  65536 /* of payloads, worth to be handed on */

#define NAMES_PIECE 16384 /* bytes of names that are allocated together */

/* What a changed word may have become. */
enum word_kind { WORD_ADDRESS, WORD_SLOT, WORD_LIKE_BEFORE, WORD_BYTES, WORD_RECENT };

struct data_state {
	uint32_t recent[RECENT];
	uint64_t last_kind, before_last_kind;
	uint8_t kind_at[256]; /* by the neighbourhood of the old word */
	bool changed;
	uint32_t states;             /* of the last words, four bits each */
	uint32_t moved;              /* which of the last words that may be moved addresses were */
	uint32_t last_word;          /* the last whose bytes were told */
	size_t segment, old_segment; /* the last used ones */

	/* decoding: payloads on their way, and where they go */
	struct fl_buf payload, heads;
	uint32_t *ends;    /* of the heads before each payload */
	size_t begun;      /* segments whose heads are written */
	size_t head_bytes; /* written */
	size_t written;    /* bytes of payloads */
};

/* ---- places among all payloads in a row */

/* The segment that has place `at`; *hint is where it may be. */
static const struct wasm_data_segment *segment_at(
	const struct wasm_module *m, size_t at, size_t *hint)
{
	size_t low = 0, high = m->n_data;

	if (at - m->data[*hint].at < m->data[*hint].n)
		return &m->data[*hint];
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (m->data[middle].at <= at)
			low = middle;
		else
			high = middle;
	}
	*hint = low;
	return &m->data[low];
}

static uint8_t byte_at(const struct wasm_module *m, size_t at, size_t *hint)
{
	const struct wasm_data_segment *d = segment_at(m, at, hint);

	return d->bytes[at - d->at];
}

/* Four bytes, which may cross segments. */
static uint32_t word_at(const struct wasm_module *m, size_t at, size_t *hint)
{
	const struct wasm_data_segment *d = segment_at(m, at, hint);
	uint8_t b[4];

	if (at - d->at + 4 <= d->n)
		memcpy(b, d->bytes + (at - d->at), 4);
	else
		for (unsigned i = 0; i < 4; i++)
			b[i] = byte_at(m, at + i, hint);
	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* ---- words */

static uint32_t moved_word(const struct model *m, uint32_t old)
{
	uint64_t new;

	if (learned_get(&m->addresses, old, &new) || model_moved(m, old, &new))
		return (uint32_t) new;
	return (uint32_t)learned_near(&m->addresses, old);
}

static void keep_difference(struct data_state *s, uint32_t difference)
{
	unsigned i = 0;

	while (i < RECENT - 1 && s->recent[i] != difference)
		i++;
	memmove(s->recent + 1, s->recent, i * sizeof(s->recent[0]));
	s->recent[0] = difference;
}

static unsigned kind_of(
	const struct data_state *s, const uint32_t guess[3], uint32_t old, uint32_t v)
{
	for (unsigned k = 0; k < 3; k++)
		if (guess[k] == v)
			return k;
	for (unsigned i = 0; i < RECENT; i++)
		if (old + s->recent[i] == v)
			return WORD_RECENT + i;
	return WORD_BYTES;
}

static uint32_t word_bytes(struct model *m, struct data_state *s, uint32_t old, uint32_t v)
{
	uint32_t result = 0;

	for (unsigned i = 0; i < 4; i++) {
		uint8_t o = (uint8_t)(old >> (8 * i));
		uint64_t new = result;
		uint8_t d = coder_byte(m->c, STREAM_DATA, (uint8_t)((v >> (8 * i)) - o),
			CONTEXT(i, context(i, o), context(context(i, new), o),
				context(i, s->last_word >> (8 * i) & 0xff), context(i, new)));

		result |= (uint32_t)(uint8_t)(o + d) << (8 * i);
	}
	s->last_word = result;
	return result;
}

static uint32_t changed_word(struct model *m, struct data_state *s, uint32_t old, uint32_t v)
{
	uint64_t slot = old, like = old, agree;
	uint8_t *at = &s->kind_at[old >> 10 & 255];
	uint32_t guess[3];
	unsigned kind;

	(void)learned_get(&m->slots, old, &slot);
	if (!learned_get(&m->words, old, &like))
		like = learned_near(&m->words, old);
	guess[0] = moved_word(m, old);
	guess[1] = (uint32_t)slot;
	guess[2] = (uint32_t)like;
	agree = (uint64_t)(guess[0] == old) + (uint64_t)(guess[1] == old) * 2 +
		(uint64_t)(guess[2] == old) * 4 + (uint64_t)(guess[0] == guess[2]) * 8;
	kind = coder_byte(m->c, STREAM_DATA_KIND, (uint8_t)kind_of(s, guess, old, v),
		CONTEXT(context(s->last_kind, agree), context(s->last_kind, s->before_last_kind),
			*at, context(s->states & 0xff, agree), context(guess[0] - old, agree),
			context(context(s->last_kind, s->before_last_kind), agree)));
	if (kind < 3)
		v = guess[kind];
	else if (kind == WORD_BYTES)
		v = word_bytes(m, s, old, v);
	else
		v = old + s->recent[(kind - WORD_RECENT) % RECENT];
	s->before_last_kind = s->last_kind;
	s->last_kind = *at = (uint8_t)kind;
	keep_difference(s, v - old);
	if (old >= 256)
		learned_put(&m->words, old, v);
	return v;
}

static void put_word(struct fl_buf *out, uint32_t v)
{
	const uint8_t b[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
		(uint8_t)(v >> 24) };

	fl_buf_add(out, b, 4);
}

static uint64_t word_state(const struct model *m, uint32_t old)
{
	uint64_t new;

	if (old < 256)
		return old != 0;
	if (model_moved(m, old, &new))
		return new != old ? 3 : 2;
	return learned_get(&m->slots, old, &new) ? 4 : 5;
}

/* One aligned word of a copy; `new` is its place among all new data. */
static void code_word(struct model *m, struct data_state *s, uint32_t old, size_t new, uint32_t i)
{
	uint64_t state = coder_is_plain(m->c) ? 0 : word_state(m, old);
	uint32_t v = 0;
	bool hit;

	if (m->encoding)
		v = word_at(m->new, new, &s->segment);
	hit = coder_hit(m->c, STREAM_DATA_HIT, v == old,
		CONTEXT(state, old, (i / 4 < 3 ? i / 4 : 3) + 8u * s->changed + 16u * (i / 4 & 1),
			context(state, s->moved & 15),
			context(context(state, s->moved & 255), s->states & 0xff),
			context(state, s->states & 0xffff), context(state, old >> 12)));
	s->states = s->states << 4 | (uint32_t)state;
	if (state == 3)
		s->moved = s->moved << 1 | !hit;
	if (hit)
		v = old;
	else
		v = changed_word(m, s, old, v);
	s->changed = !hit;
	if (!m->encoding)
		put_word(&s->payload, v);
}

static void code_data_byte(struct model *m, struct data_state *s, uint8_t old, size_t new)
{
	uint8_t v = m->encoding ? byte_at(m->new, new, &s->segment) : 0;

	if (coder_hit(m->c, STREAM_DATA_HIT, v == old, CONTEXT(9, old, 9)))
		v = old;
	else
		v = (uint8_t)(old +
			coder_byte(m->c, STREAM_DATA, (uint8_t)(v - old), CONTEXT(9, old)));
	if (!m->encoding)
		fl_buf_byte(&s->payload, v);
}

/* The address of place `at` among the new data. */
static uint64_t new_address(const struct model *m, struct data_state *s, size_t at)
{
	const struct wasm_data_segment *d = segment_at(m->new, at, &s->segment);

	return (d->address == WASM_NO_ADDRESS ? 0 : d->address) + (at - d->at);
}

static size_t equal_bytes(const uint8_t *a, const uint8_t *b, size_t n)
{
	size_t i = 0;

	while (i + 64 <= n && memcmp(a + i, b + i, 64) == 0)
		i += 64;
	while (i < n && a[i] == b[i])
		i++;
	return i;
}

/* Unchanged words from place `i` of a copy on, all at once where the coder needs no contexts. Returns
 * their bytes. */
static uint32_t code_equal_words(
	struct model *m, struct data_state *s, const struct wasm_copy *x, size_t at, uint32_t i)
{
	const struct wasm_data_segment *o = segment_at(m->old, x->old + i, &s->old_segment);
	const struct wasm_data_segment *n = segment_at(m->new, at + i, &s->segment);
	const uint8_t *old = o->bytes + (x->old + i - o->at);
	uint64_t bytes =
		least(x->length - i, least(o->at + o->n - (x->old + i), n->at + n->n - (at + i)));

	if (!coder_is_plain(m->c))
		return 0;
	if (m->encoding)
		bytes = equal_bytes(old, n->bytes + (at + i - n->at), (size_t)bytes);
	bytes = 4 * coder_hits(m->c, STREAM_DATA_HIT, bytes / 4);
	if (!m->encoding)
		fl_buf_add(&s->payload, old, (size_t)bytes);
	if (bytes > 0)
		s->changed = false;
	return (uint32_t)bytes;
}

/* Decoding: hand payloads to the sink, each behind the head of its segment. */
static void write_payload(struct model *m, struct data_state *s)
{
	const struct wasm_module *new = m->new;
	size_t done = 0;

	do {
		size_t end = new->data_bytes, n;

		for (; s->begun < new->n_data &&new->data[s->begun].at == s->written; s->begun++) {
			model_write(m,
				(struct fl_bytes){ s->heads.p + s->head_bytes,
					s->ends[s->begun] - s->head_bytes });
			s->head_bytes = s->ends[s->begun];
		}
		if (s->begun < new->n_data)
			end = new->data[s->begun].at;
		n = (size_t)least(end - s->written, s->payload.n - done);
		if (n > 0)
			model_write(m, (struct fl_bytes){ s->payload.p + done, n });
		done += n;
		s->written += n;
	} while (done < s->payload.n);
	if (s->payload.failed)
		model_fail(m, FL_NOMEM, "no memory for the data of a module");
	fl_buf_reset(&s->payload);
}

static void code_data_copy(
	struct model *m, struct data_state *s, const struct wasm_copy *x, size_t at)
{
	for (uint32_t i = 0; i < x->length && model_ok(m);) {
		uint32_t n = 1;

		if (i + 4 > x->length || (new_address(m, s, at + i) & 3) != 0) {
			code_data_byte(m, s, byte_at(m->old, x->old + i, &s->old_segment), at + i);
		} else if ((n = code_equal_words(m, s, x, at, i)) == 0) {
			n = 4;
			code_word(m, s, word_at(m->old, x->old + i, &s->old_segment), at + i, i);
		}
		i += n;
		if (s->payload.n >= PIECE)
			write_payload(m, s);
	}
}

static void code_data_new(struct model *m, struct data_state *s, uint32_t n, size_t at)
{
	uint64_t before = 0; /* the last eight bytes */

	for (uint32_t i = 0; i < n && model_ok(m); i++) {
		uint64_t place = new_address(m, s, at + i) & 3, word = before & 0xffffffff;
		uint8_t v = m->encoding ? byte_at(m->new, at + i, &s->segment) : 0;

		v = coder_byte(m->c, STREAM_DATA_NEW, v,
			CONTEXT(before & 0xff, context(word, 1),
				context(place, before >> 24 & 0xff),
				context(place + 4, before >> 24 & 0xff00ff),
				context(before & 0xffffffffff, 5),
				context(before & 0xffffffffffff, 6)));
		before = before << 8 | v;
		if (!m->encoding)
			fl_buf_byte(&s->payload, v);
		if (s->payload.n >= PIECE)
			write_payload(m, s);
	}
}

/* Decoding: the head of the section, and all that stands between the payloads. */
static void begin_section(struct model *m, struct data_state *s, size_t section)
{
	s->ends = fl_heap_alloc(m->heap, m->new->n_data + 1, sizeof(*s->ends));
	if (s->ends == NULL ||
		wasm_data_heads(m->new, section, &s->heads, s->ends, m->err) != FL_OK)
		model_fail(m, FL_NOMEM, "no memory for the heads of data segments");
	else
		model_write_head(m, &m->new->sections[section], s->heads.n + m->new->data_bytes);
}

static void code_data(struct model *m, struct data_state *s)
{
	size_t at = 0;

	for (size_t k = 0; k < m->data_copies.n && model_ok(m); k++) {
		const struct wasm_copy *x = &m->data_copies.list[k];

		code_data_copy(m, s, x, at);
		code_data_new(m, s, x->extra, at + x->length);
		at += x->length + x->extra;
	}
	if (m->words.failed)
		model_fail(m, FL_NOMEM, "no memory for the data of a module");
}

void model_data(struct model *m, size_t section)
{
	struct data_state s = { .payload.heap = m->heap, .heads.heap = m->heap };

	if (!m->encoding)
		begin_section(m, &s, section);
	if (model_ok(m))
		code_data(m, &s);
	if (!m->encoding && model_ok(m)) {
		write_payload(m, &s);
		model_write(
			m, (struct fl_bytes){ s.heads.p + s.head_bytes, s.heads.n - s.head_bytes });
	}
	fl_buf_fini(&s.payload);
	fl_buf_fini(&s.heads);
	fl_heap_free(m->heap, s.ends);
}

/* ---- names */

static size_t common_front(struct fl_bytes a, struct fl_bytes b)
{
	size_t n = 0;

	while (n < a.n && n < b.n && a.p[n] == b.p[n])
		n++;
	return n;
}

static size_t common_back(struct fl_bytes a, struct fl_bytes b, size_t front)
{
	size_t n = 0;

	while (n + front < a.n && n + front < b.n && a.p[a.n - 1 - n] == b.p[b.n - 1 - n])
		n++;
	return n;
}

/* Room for a new name of n bytes, which stays where it is until the end: names refer to each other. */
static uint8_t *room_for_name(struct model *m, uint64_t n)
{
	struct model_names *names = m->names;

	if (names == NULL || n > names->cap - names->n) {
		size_t cap = n > NAMES_PIECE ? (size_t)n : NAMES_PIECE;

		names = fl_heap_alloc(m->heap, 1, sizeof(*names) + cap);
		if (names == NULL) {
			model_fail(m, FL_NOMEM, "no memory for names");
			return NULL;
		}
		names->next = m->names;
		names->cap = cap;
		m->names = names;
	}
	names->n += (size_t)n;
	return names->bytes + names->n - n;
}

void model_free_names(struct model *m)
{
	struct model_names *next;

	for (struct model_names *names = m->names; names != NULL; names = next) {
		next = names->next;
		fl_heap_free(m->heap, names);
	}
	m->names = NULL;
}

/* A name beside the one it is like: how much of both ends they share, and what lies between. */
static struct fl_bytes code_name(struct model *m, struct fl_bytes name, struct fl_bytes like)
{
	size_t front = common_front(like, name), back = common_back(like, name, front);
	uint64_t f = front, b = back, n = name.n - front - back;
	uint8_t *to;

	f = coder_value(m->c, STREAM_NAME_LENGTH, f, CONTEXT(0, context(0, like.n)));
	b = coder_value(m->c, STREAM_NAME_LENGTH, b, CONTEXT(1, context(1, f)));
	n = coder_value(m->c, STREAM_NAME_LENGTH, n, CONTEXT(2, context(2, like.n - f - b)));
	if (f > like.n || b > like.n - f || (!m->encoding && n > m->limit)) {
		m->c->bad = true;
		return name;
	}
	to = room_for_name(m, f + n + b);
	if (to == NULL)
		return name;
	if (f > 0)
		memcpy(to, like.p, f);
	for (uint64_t i = f; i < f + n && model_ok(m); i++) {
		uint8_t at = i < like.n ? like.p[i] : 0;
		uint8_t one = i > 0 ? to[i - 1] : 0, two = i > 1 ? to[i - 2] : 0;
		uint8_t v = m->encoding ? name.p[i] : 0;

		to[i] = coder_byte(m->c, STREAM_NAME, v,
			CONTEXT(context(one, two), context(at, one),
				context(i - f < 20 ? i - f : 20, n < 40 ? n : 40)));
	}
	if (b > 0)
		memcpy(to + f + n, like.p + like.n - b, b);
	return (struct fl_bytes){ to, f + n + b };
}

/* Old names by old function index; NULL without memory. */
static struct fl_bytes *names_of_old(struct model *m)
{
	struct fl_bytes *names =
		fl_heap_alloc(m->heap, (size_t)m->n_old_functions + 1, sizeof(*names));

	if (names == NULL) {
		model_fail(m, FL_NOMEM, "no memory for names");
		return NULL;
	}
	for (size_t i = 0; i < m->old->n_names; i++)
		if (m->old->names[i].index < m->n_old_functions)
			names[m->old->names[i].index] = m->old->names[i].name;
	return names;
}

static void code_names(struct model *m, const struct fl_bytes *old_names)
{
	struct fl_bytes last = { 0 };
	uint32_t expected = 0;

	for (size_t i = 0; i < m->new->n_names &&model_ok(m); i++) {
		struct wasm_name *name = &m->new->names[i];
		struct fl_bytes like = { 0 };
		uint32_t old;

		if (coder_hit(m->c, STREAM_NAME_INDEX_HIT, name->index == expected, CONTEXT(0)))
			name->index = expected;
		else
			name->index = (uint32_t)coder_value(
				m->c, STREAM_NAME_INDEX, name->index, CONTEXT(0));
		expected = name->index + 1;
		old = name->index < m->n_new_functions ? m->old_of[name->index] : MODEL_NONE;
		if (old != MODEL_NONE)
			like = old_names[old];
		if (like.p == NULL ||
			!coder_hit(m->c, STREAM_NAME_HIT,
				like.n == name->name.n && memcmp(like.p, name->name.p, like.n) == 0,
				CONTEXT(0)))
			like = code_name(m, name->name, like.p != NULL ? like : last);
		if (!m->encoding)
			name->name = like;
		last = name->name;
	}
}

void model_names(struct model *m)
{
	struct fl_bytes *old_names = names_of_old(m);

	if (old_names != NULL)
		code_names(m, old_names);
	fl_heap_free(m->heap, old_names);
}
