/* SPDX-License-Identifier: Apache-2.0
 *
 * Splitting: what is not put into a table is copied to the residue. */
#include "lib/delta/wasm/module_parts.h"

#include <string.h>

struct splitter {
	struct wasm_module *m;
	struct wasm_reader r;
	const uint8_t *copied; /* up to here all is in tables or residue */
};

/* Everything since the last call goes to the residue. */
static void keep(struct splitter *s)
{
	fl_buf_add(&s->m->residue, s->copied, (size_t)(s->r.p - s->copied));
	s->copied = s->r.p;
}

static void skip(struct splitter *s)
{
	s->copied = s->r.p;
}

static bool split_functions(struct splitter *s)
{
	uint64_t n = module_plain(&s->r);

	keep(s);
	if (!MODULE_ROOM(s->m, function_types, n, 1, &s->r))
		return false;
	for (uint64_t i = 0; i < n; i++)
		s->m->function_types[s->m->n_functions++] = (uint32_t)module_plain(&s->r);
	return true;
}

static bool split_exports(struct splitter *s)
{
	uint64_t n = module_any(&s->r);

	if (!MODULE_ROOM(s->m, exports, n, 3, &s->r))
		return false;
	for (uint64_t i = 0; i < n && !s->r.bad; i++) {
		struct wasm_export export = { 0 };

		export.name = wasm_take(&s->r, module_any(&s->r));
		export.kind = wasm_byte(&s->r);
		keep(s);
		export.index = (uint32_t)module_plain(&s->r);
		skip(s);
		s->m->exports[s->m->n_exports++] = export;
	}
	keep(s);
	return true;
}

static bool split_elements(struct splitter *s)
{
	uint64_t n = module_any(&s->r);

	for (uint64_t i = 0; i < n && !s->r.bad; i++) {
		struct wasm_element_segment segment = { .first = (uint32_t)s->m->n_elements };
		uint64_t items = module_element_head(&s->r, &segment.slot);

		keep(s);
		if (!MODULE_ADD(s->m, element_segments, n_element_segments, segment))
			return false;
		for (uint64_t k = 0; k < items && !s->r.bad; k++) {
			uint32_t function = (uint32_t)module_plain(&s->r);

			if (!MODULE_ADD(s->m, elements, n_elements, function))
				return false;
		}
		skip(s);
	}
	keep(s);
	return true;
}

static bool split_code(struct splitter *s)
{
	uint64_t n = module_plain(&s->r);

	keep(s);
	if (!MODULE_ROOM(s->m, bodies, n, 1, &s->r))
		return false;
	for (uint64_t i = 0; i < n && !s->r.bad; i++) {
		unsigned pad = 0;
		struct wasm_body body;

		body.bytes = wasm_take(&s->r, wasm_unsigned(&s->r, &pad));
		body.size_pad = (uint8_t)pad;
		s->m->bodies[s->m->n_bodies++] = body;
	}
	skip(s);
	return true;
}

/* Usual heads, as distances from the end of the segment before. */
static void keep_compact(struct wasm_module *m)
{
	uint64_t end = 0;

	module_put(&m->residue, m->n_data);
	for (size_t i = 0; i < m->n_data; i++) {
		int64_t gap = (int64_t)(m->data[i].address - end);

		module_put(&m->residue, (uint64_t)gap << 1 ^ (uint64_t)(gap >> 63));
		module_put(&m->residue, m->data[i].n);
		end = m->data[i].address + m->data[i].n;
	}
}

static bool split_data(struct splitter *s)
{
	size_t start = s->m->residue.n;
	unsigned pad = 0;
	uint64_t n = wasm_unsigned(&s->r, &pad);
	bool plain = pad == 0;

	fl_buf_byte(&s->m->residue, DATA_VERBATIM);
	if (!MODULE_ROOM(s->m, data, n, 2, &s->r))
		return false;
	for (uint64_t i = 0; i < n && !s->r.bad; i++) {
		struct wasm_data_segment segment = { .at = (uint32_t)s->m->data_bytes };
		struct fl_bytes payload;

		module_data_head(&s->r, &segment, &plain);
		keep(s);
		payload = wasm_take(&s->r, segment.n);
		segment.bytes = payload.p;
		s->m->data_bytes += payload.n;
		skip(s);
		s->m->data[s->m->n_data++] = segment;
	}
	keep(s);
	if (plain && !s->r.bad && !s->m->residue.failed) {
		s->m->residue.n = start;
		fl_buf_byte(&s->m->residue, DATA_COMPACT);
		keep_compact(s->m);
	}
	return true;
}

static bool split_name_map(struct splitter *s)
{
	uint64_t n = module_plain(&s->r);

	keep(s);
	if (!MODULE_ROOM(s->m, names, n, 2, &s->r))
		return false;
	for (uint64_t i = 0; i < n && !s->r.bad; i++) {
		struct wasm_name name;

		name.index = (uint32_t)module_plain(&s->r);
		name.name = wasm_take(&s->r, module_plain(&s->r));
		s->m->names[s->m->n_names++] = name;
	}
	skip(s);
	return true;
}

/* The custom section "name": the map of function names goes into the table, other subsections stay. With a
 * second such map the section stays whole. */
static bool split_names(struct splitter *s)
{
	struct fl_bytes title = wasm_take(&s->r, module_any(&s->r));
	bool mapped = false;

	if (title.n != 4 || memcmp(title.p, "name", 4) != 0)
		return false;
	while (wasm_left(&s->r) > 0 && !s->r.bad) {
		uint8_t id = wasm_byte(&s->r);
		struct fl_bytes content;
		const uint8_t *end;

		keep(s);
		if (id != 1) {
			content = wasm_take(&s->r, module_any(&s->r));
			keep(s);
			continue;
		}
		if (mapped)
			return false;
		mapped = true;
		/* The size follows from the names; the map must fill it. */
		content = wasm_take(&s->r, module_plain(&s->r));
		end = s->r.p;
		s->r.p = s->copied = content.p;
		if (!split_name_map(s) || s->r.p != end)
			return false;
	}
	keep(s);
	return true;
}

/* What splitting of one section may have changed, to undo it. */
struct mark {
	size_t residue, functions, exports, elements, element_segments, bodies, data, data_bytes,
		names;
};

static struct mark mark_of(const struct wasm_module *m)
{
	return (struct mark){ m->residue.n, m->n_functions, m->n_exports, m->n_elements,
		m->n_element_segments, m->n_bodies, m->n_data, m->data_bytes, m->n_names };
}

static void undo(struct wasm_module *m, const struct mark *mark)
{
	m->residue.n = mark->residue;
	m->n_functions = mark->functions;
	m->n_exports = mark->exports;
	m->n_elements = mark->elements;
	m->n_element_segments = mark->element_segments;
	m->n_bodies = mark->bodies;
	m->n_data = mark->data;
	m->data_bytes = mark->data_bytes;
	m->n_names = mark->names;
}

/* A table is filled by one section only: a second of its kind stays whole, even if the first was empty. */
static bool is_first(const struct wasm_module *m, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (m->sections[k].structured && m->sections[k].id == m->sections[i].id)
			return false;
	return true;
}

static bool split_structure(struct splitter *s, unsigned id)
{
	switch (id) {
	case WASM_SECTION_FUNCTION:
		return split_functions(s);
	case WASM_SECTION_EXPORT:
		return split_exports(s);
	case WASM_SECTION_ELEMENT:
		return split_elements(s);
	case WASM_SECTION_CODE:
		return split_code(s);
	case WASM_SECTION_DATA:
		return split_data(s);
	case WASM_SECTION_CUSTOM:
		return split_names(s);
	default:
		return false;
	}
}

/* Whether the section's payload comes back from what splitting made of it. */
static bool joins(struct wasm_module *m, size_t i)
{
	const struct wasm_section *section = &m->sections[i];
	FL_AUTO_BUF struct fl_buf again = { .heap = m->heap };
	struct fl_err err;

	if (section->id == WASM_SECTION_CODE || section->id == WASM_SECTION_DATA)
		return true; /* their tables are slices of the payload itself */
	return wasm_section_join(m, i, &again, &err) == FL_OK && again.n == section->payload.n &&
		memcmp(again.p, section->payload.p, again.n) == 0;
}

void module_split_section(struct wasm_module *m, size_t i)
{
	struct wasm_section *section = &m->sections[i];
	struct splitter s = {
		.m = m, .r = wasm_reader(section->payload), .copied = section->payload.p
	};
	struct mark before = mark_of(m);

	section->residue_at = before.residue;
	section->structured = is_first(m, i) && split_structure(&s, section->id) && !s.r.bad &&
		wasm_left(&s.r) == 0;
	section->residue_n = m->residue.n - before.residue;
	if (section->structured)
		section->structured = joins(m, i);
	if (!section->structured) {
		undo(m, &before);
		fl_buf_add(&m->residue, section->payload.p, section->payload.n);
		section->residue_n = section->payload.n;
	}
	module_read_meaning(m, section->id, section->payload);
}
