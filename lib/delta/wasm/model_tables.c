/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the model that come before the first instruction: layout, residue, and the maps of
 * types, table slots and addresses; that of functions is in model_partners.c. */
#include "lib/delta/wasm/model.h"

#include <stdlib.h>
#include <string.h>

static const struct wasm_align_options bytes_options = {
	.far_gain = 8, .near_gain = 8, .near = 0, .fill_gaps = false
};

void *model_table(struct model *m, size_t n, size_t size)
{
	void *p = fl_heap_alloc(m->heap, n + 1, size);

	if (p == NULL)
		model_fail(m, FL_NOMEM, "no memory for the tables of a delta");
	return p;
}

/* ---- lists of copies */

/* Code which of `old_n` symbols are copied; the lengths sum up to `new_n`. */
static void code_copies(struct model *m, struct wasm_copies *copies, uint64_t old_n, uint64_t new_n)
{
	struct coder *c = m->c;
	uint64_t done = 0, expected = 0, last_extra = 0;
	size_t cap = copies->n;

	for (size_t k = 0; done < new_n && model_ok(m); k++) {
		struct wasm_copy x = k < copies->n ? copies->list[k] : (struct wasm_copy){ 0 };
		uint64_t length, extra;

		length = coder_value(c, STREAM_COPIES, x.length, CONTEXT(last_extra));
		extra = coder_value(c, STREAM_EXTRAS, x.extra, CONTEXT(length < 40 ? length : 40));
		x.old = (uint32_t)(expected +
			(uint64_t)coder_signed(c, STREAM_JUMPS, (int64_t)x.old - (int64_t)expected,
				CONTEXT(last_extra < 40 ? last_extra : 40)));
		if (length > new_n - done || extra > new_n - done - length || length > old_n ||
			x.old > old_n - length || length + extra == 0) {
			c->bad = true;
			return;
		}
		x.length = (uint32_t)length;
		x.extra = (uint32_t)extra;
		if (!m->encoding) {
			if (k == cap) {
				size_t more = cap == 0 ? 64 : 2 * cap;
				struct wasm_copy *list =
					fl_heap_resize(copies->heap, copies->list, more, sizeof(x));

				if (list == NULL) {
					model_fail(
						m, FL_NOMEM, "no memory for the copies of a delta");
					return;
				}
				copies->list = list;
				cap = more;
			}
			copies->list[copies->n++] = x;
		}
		done += length + extra;
		expected = x.old + length;
		last_extra = extra;
	}
}

static void align(
	struct model *m, struct fl_bytes old, struct fl_bytes new, struct wasm_copies *out)
{
	enum fl_code code = wasm_align(old, new, &bytes_options, out, m->err);

	if (code != FL_OK)
		model_fail(m, code, "no memory to align");
}

/* ---- layout and residue */

static void code_layout(struct model *m)
{
	struct coder *c = m->c;
	struct wasm_module *new = m->new;
	int64_t old_n = (int64_t)m->old->n_sections;
	uint64_t n = (uint64_t)(old_n +
		coder_signed(c, STREAM_LAYOUT, (int64_t) new->n_sections - old_n, CONTEXT(0)));
	size_t residue = 0;

	if (n > 4096 || !model_ok(m)) {
		c->bad = true;
		return;
	}
	if (!m->encoding) {
		new->sections = model_table(m, (size_t)n, sizeof(*new->sections));
		new->n_sections = new->sections == NULL ? 0 : (size_t)n;
	}
	for (size_t i = 0; i < new->n_sections &&model_ok(m); i++) {
		struct wasm_section *s = &new->sections[i];
		const struct wasm_section *o = i < m->old->n_sections ? &m->old->sections[i] : NULL;
		unsigned what = (unsigned)(s->id | s->structured << 4 | s->pad << 5);
		unsigned was = o == NULL ? 0 : (unsigned)(o->id | o->structured << 4 | o->pad << 5);

		what = was ^ (unsigned)coder_value(c, STREAM_LAYOUT, what ^ was, CONTEXT(0));
		s->id = what & 15;
		s->structured = (what >> 4 & 1) != 0;
		s->pad = (uint8_t)(what >> 5);
		s->residue_at = residue;
		s->residue_n = (size_t)((int64_t)(o == NULL ? 0 : o->residue_n) +
			coder_signed(c, STREAM_LAYOUT,
				(int64_t)s->residue_n - (int64_t)(o == NULL ? 0 : o->residue_n),
				CONTEXT(1)));
		if (!m->encoding &&
			(s->residue_n > m->limit - residue || s->pad > 4 ||
				s->id >= WASM_SECTION_ID_MAX))
			c->bad = true;
		residue += s->residue_n;
	}
	if (!m->encoding && model_ok(m)) {
		if (fl_buf_reserve(&new->residue, residue) == NULL)
			model_fail(m, FL_NOMEM, "no memory for what is not code or data");
		new->residue.n = residue;
	}
}

/* Bytes of a residue change as their neighbours do: what moved carries into the next digits. */
struct residue_history {
	uint8_t change[4];
	uint8_t last_change;
	uint32_t changed; /* the last bytes, one bit each */
};

/* Old bytes at `at`: those before and behind it tell what it may be. */
static uint64_t around(const struct wasm_module *m, size_t at, int from, int to)
{
	uint64_t v = 1;

	for (int i = from; i <= to; i++) {
		size_t k = at + (size_t)(int64_t)i;

		v = v << 8 | (k < m->residue.n ? m->residue.p[k] : 0);
	}
	return v;
}

static uint8_t residue_byte(
	struct model *m, size_t at, uint8_t new, uint64_t i, struct residue_history *h)
{
	uint64_t recent = h->changed & 0xf;
	uint64_t two = (uint64_t)h->change[0] << 8 | h->change[1];
	uint8_t change, old = m->old->residue.p[at];

	if (coder_hit(m->c, STREAM_RESIDUE_HIT, new == old,
		    CONTEXT(context(old, recent), context(i < 3 ? i : 3, two),
			    context(around(m->old, at, -1, 0), h->change[0]),
			    context(around(m->old, at, 0, 2), recent),
			    context(around(m->old, at, -3, 0), recent),
			    context(around(m->old, at, -2, 3), h->changed & 3),
			    context(h->changed & 0xffff, 7),
			    context(around(m->old, at, 0, 3), h->last_change),
			    context(around(m->old, at, 1, 3), h->changed & 0xff))))
		change = 0;
	else
		change = coder_byte(m->c, STREAM_RESIDUE, (uint8_t)(new - old),
			CONTEXT(old, context(two, h->change[2]), h->last_change,
				context(h->last_change, h->change[0]),
				context(around(m->old, at, 0, 3), 9),
				context(around(m->old, at, -1, 2), recent),
				context(around(m->old, at, -3, 0), 8),
				context(around(m->old, at, 1, 3), two),
				context(around(m->old, at, 0, 1), h->last_change)));
	memmove(h->change + 1, h->change, 3);
	h->change[0] = change;
	h->changed = h->changed << 1 | (change != 0);
	if (change != 0)
		h->last_change = change;
	return (uint8_t)(old + change);
}

static void code_residue(struct model *m)
{
	const uint8_t *old = m->old->residue.p;
	uint8_t *new = m->new->residue.p;
	size_t n = m->new->residue.n, at = 0;
	struct residue_history h = { 0 };

	if (m->encoding)
		align(m, (struct fl_bytes){ old, m->old->residue.n }, (struct fl_bytes){ new, n },
			&m->residue_copies);
	code_copies(m, &m->residue_copies, m->old->residue.n, n);
	for (size_t k = 0; k < m->residue_copies.n && model_ok(m); k++) {
		const struct wasm_copy *x = &m->residue_copies.list[k];

		for (uint32_t i = 0; i < x->length; i++, at++)
			new[at] = residue_byte(m, x->old + i, new[at], i, &h);
		for (uint32_t i = 0; i < x->extra; i++, at++)
			new[at] = coder_byte(m->c, STREAM_RESIDUE_NEW, new[at],
				CONTEXT(at > 0 ? new[at - 1] : 0,
					context(around(m->new, at, -4, -1), 1),
					context(around(m->new, at, -6, -1), 2),
					context(around(m->new, at, -4, -4), 3)));
	}
	if (!m->encoding && model_ok(m)) {
		enum fl_code code = wasm_module_scan(m->new, m->limit, m->err);

		if (code != FL_OK)
			model_fail(m, code, "the residue does not fit the layout");
	}
}

/* ---- types of functions */

/* Types are few: of equal ones the first counts. */
static void map_types(struct model *m)
{
	for (size_t o = 0; o < m->old->n_types; o++) {
		m->type_map[o] = (uint32_t)o;
		for (size_t tries = 0; tries < m->new->n_types; tries++) {
			size_t n = (o + tries) % m->new->n_types;

			if (model_equal(m->old->types[o], m->new->types[n])) {
				m->type_map[o] = (uint32_t)n;
				break;
			}
		}
	}
}

static uint32_t expected_type(const struct model *m, size_t f)
{
	uint32_t partner = f < m->new->n_bodies ? m->partner[f] : MODEL_NONE, type;

	if (partner == MODEL_NONE || partner >= m->old->n_functions)
		return 0;
	type = m->old->function_types[partner];
	return type < m->old->n_types ? m->type_map[type] : type;
}

static void code_types(struct model *m)
{
	uint32_t last = 0;

	for (size_t f = 0; f < m->new->n_functions &&model_ok(m); f++) {
		uint32_t *type = &m->new->function_types[f], expected = expected_type(m, f);
		bool alone = f >= m->new->n_bodies || m->partner[f] == MODEL_NONE;

		if (coder_hit(m->c, STREAM_TYPE_HIT, *type == expected, CONTEXT(alone)))
			*type = expected;
		else
			*type = (uint32_t)coder_value(
				m->c, STREAM_TYPE, *type, CONTEXT(last, alone));
		last = *type;
	}
}

/* ---- exports and elements */

static const struct wasm_export *old_export(
	const struct model *m, const struct wasm_export *e, size_t *at)
{
	for (size_t tries = 0; tries < m->old->n_exports; tries++) {
		size_t o = (*at + tries) % m->old->n_exports;

		if (m->old->exports[o].kind == e->kind &&
			model_equal(m->old->exports[o].name, e->name)) {
			*at = o + 1;
			return &m->old->exports[o];
		}
	}
	return NULL;
}

static void code_exports(struct model *m)
{
	uint32_t last[256] = { 0 }, shift[256] = { 0 };
	size_t at = 0;

	for (size_t i = 0; i < m->new->n_exports &&model_ok(m); i++) {
		struct wasm_export *e = &m->new->exports[i];
		const struct wasm_export *o = old_export(m, e, &at);
		uint32_t expected = last[e->kind] + 1;

		if (o != NULL)
			expected = e->kind == 0 ? model_function(m, o->index)
						: o->index + shift[e->kind];
		if (coder_hit(m->c, STREAM_EXPORT_HIT, e->index == expected,
			    CONTEXT(e->kind, o != NULL)))
			e->index = expected;
		else
			e->index = expected +
				(uint32_t)coder_signed(m->c, STREAM_EXPORT,
					(int32_t)(e->index - expected), CONTEXT(e->kind));
		last[e->kind] = e->index;
		if (o == NULL)
			continue;
		shift[e->kind] = e->index - o->index;
		if (e->kind == 0 && o->index < m->n_old_functions) {
			m->function_map[o->index] = e->index;
			m->function_known[o->index] = 2;
		}
	}
}

/* The table slot that element `i` is loaded to. */
static uint32_t slot_of(const struct wasm_module *m, size_t i)
{
	uint32_t slot = 0, first = 0;

	for (size_t k = 0; k < m->n_element_segments && m->element_segments[k].first <= i; k++) {
		slot = m->element_segments[k].slot;
		first = m->element_segments[k].first;
	}
	return slot + (uint32_t)i - first;
}

/* Encoding: where an old element that becomes `function` is nearest to `at`; old elements when none. */
static size_t nearest_element(const struct model *m, uint32_t function, size_t at)
{
	size_t n = m->old->n_elements;

	for (size_t d = 1; d < 2048; d++) {
		if (at + d < n && model_function(m, m->old->elements[at + d]) == function)
			return at + d;
		if (d <= at && at - d < n &&
			model_function(m, m->old->elements[at - d]) == function)
			return at - d;
	}
	return n;
}

static void code_elements(struct model *m)
{
	const struct wasm_module *old = m->old;
	uint32_t last = 0;
	size_t at = 0; /* in the old elements: the one expected next */

	for (size_t i = 0; i < m->new->n_elements &&model_ok(m); i++) {
		uint32_t *e = &m->new->elements[i];
		bool follows = at < old->n_elements;
		uint32_t expected = follows ? model_function(m, old->elements[at]) : last + 1;

		if (coder_hit(m->c, STREAM_ELEMENT_HIT, *e == expected, CONTEXT(follows))) {
			*e = expected;
		} else {
			size_t jump = m->encoding ? nearest_element(m, *e, at) : 0;
			int64_t distance = jump < old->n_elements ? (int64_t)jump - (int64_t)at : 0;

			distance = coder_signed(m->c, STREAM_ELEMENT, distance, CONTEXT(1));
			follows = distance != 0;
			if (!follows) {
				*e = last +
					(uint32_t)coder_signed(m->c, STREAM_ELEMENT,
						(int32_t)(*e - last), CONTEXT(2));
				/* a new one; the expected one may still come */
			} else {
				at = (size_t)((int64_t)at + distance);
				if (at >= old->n_elements) {
					m->c->bad = true;
					return;
				}
				*e = model_function(m, old->elements[at]);
			}
		}
		if (follows) {
			learned_put(&m->slots, slot_of(old, at), slot_of(m->new, i));
			at++;
		}
		last = *e;
	}
}

/* ---- the data */

/* All payloads of a module's data in a row. */
static bool flatten(struct model *m, const struct wasm_module *from, struct fl_buf *to)
{
	if (fl_buf_reserve(to, from->data_bytes) == NULL) {
		model_fail(m, FL_NOMEM, "no memory for the data of a module");
		return false;
	}
	for (size_t i = 0; i < from->n_data; i++)
		fl_buf_add(to, from->data[i].bytes, from->data[i].n);
	return true;
}

static void align_data(struct model *m)
{
	FL_AUTO_BUF struct fl_buf old = { 0 }, new = { 0 };

	if (flatten(m, m->old, &old) && flatten(m, m->new, &new))
		align(m, (struct fl_bytes){ old.p, old.n }, (struct fl_bytes){ new.p, new.n },
			&m->data_copies);
}

/* ---- all of it */

static bool make_tables(struct model *m)
{
	m->n_old_functions = (uint32_t)(m->old->n_imports + m->old->n_bodies);
	m->n_new_functions = (uint32_t)(m->new->n_imports + m->new->n_bodies);
	m->partner = model_table(m, m->new->n_bodies, sizeof(*m->partner));
	m->function_map = model_table(m, m->n_old_functions, sizeof(*m->function_map));
	m->function_known = model_table(m, m->n_old_functions, 1);
	m->old_of = model_table(m, m->n_new_functions, sizeof(*m->old_of));
	m->type_map = model_table(m, m->old->n_types, sizeof(*m->type_map));
	for (uint32_t g = 0; g < MODEL_GLOBALS; g++)
		m->global_map[g] = g;
	return model_ok(m);
}

void model_tables(struct model *m)
{
	code_layout(m);
	if (model_ok(m))
		code_residue(m);
	if (!model_ok(m) || !make_tables(m))
		return;
	if (old_code_count(&m->old_code, m->old, m->err) != FL_OK)
		model_fail(m, FL_NOMEM, "no memory for the functions of a delta");
	model_partners(m);
	map_types(m);
	code_types(m);
	code_exports(m);
	code_elements(m);
	if (m->encoding)
		align_data(m);
	if (model_ok(m))
		code_copies(m, &m->data_copies, m->old->data_bytes, m->new->data_bytes);
	if (model_ok(m))
		model_map_addresses(m);
}
