/* SPDX-License-Identifier: Apache-2.0
 *
 * Joining: the sections of a new module from residue and tables, whose sizes the residue tells. */
#include "lib/delta/wasm/module_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- scanning: sizes of tables from the residue */

static struct wasm_reader residue_of(const struct wasm_module *m, size_t i)
{
	return wasm_reader((struct fl_bytes){
		m->residue.p + m->sections[i].residue_at, m->sections[i].residue_n });
}

static bool scan_exports(struct wasm_module *m, struct wasm_reader *r)
{
	uint64_t n = module_any(r);

	if (!MODULE_ROOM(m, exports, n, 2, r))
		return false;
	for (uint64_t i = 0; i < n && !r->bad; i++) {
		struct wasm_export export = { 0 };

		export.name = wasm_take(r, module_any(r));
		export.kind = wasm_byte(r);
		m->exports[m->n_exports++] = export;
	}
	return true;
}

static bool scan_elements(struct wasm_module *m, struct wasm_reader *r, uint64_t limit)
{
	uint64_t n = module_any(r);

	for (uint64_t i = 0; i < n && !r->bad; i++) {
		struct wasm_element_segment segment = { .first = (uint32_t)m->n_elements };
		uint64_t items = module_element_head(r, &segment.slot);

		if (r->bad || items > limit - m->n_elements ||
			!MODULE_ADD(m, element_segments, n_element_segments, segment))
			return false;
		m->n_elements += (size_t)items;
	}
	m->elements = fl_heap_alloc(m->heap, m->n_elements + 1, sizeof(*m->elements));
	return m->elements != NULL;
}

/* The next head of a data segment in the residue. */
static void next_head(
	struct wasm_reader *r, bool compact, uint64_t end, struct wasm_data_segment *segment)
{
	bool plain = true;
	uint64_t gap;

	if (!compact) {
		module_data_head(r, segment, &plain);
		return;
	}
	gap = module_any(r);
	segment->address = (uint32_t)(end + (gap >> 1 ^ -(gap & 1)));
	module_data_size(r, module_any(r), segment);
}

static bool scan_data(struct wasm_module *m, struct wasm_reader *r, uint64_t limit)
{
	bool compact = wasm_byte(r) == DATA_COMPACT;
	uint64_t n = module_any(r), end = 0;

	if (!MODULE_ROOM(m, data, n, 2, r))
		return false;
	for (uint64_t i = 0; i < n && !r->bad; i++) {
		struct wasm_data_segment segment = { .at = (uint32_t)m->data_bytes };

		next_head(r, compact, end, &segment);
		if (r->bad || segment.n > limit - m->data_bytes)
			return false;
		m->data[m->n_data++] = segment;
		m->data_bytes += segment.n;
		end = segment.address + segment.n;
	}
	return true;
}

static bool scan_names(struct wasm_module *m, struct wasm_reader *r, uint64_t limit)
{
	(void)wasm_take(r, module_any(r));
	while (wasm_left(r) > 0 && !r->bad) {
		uint64_t n;

		if (wasm_byte(r) != 1) {
			(void)wasm_take(r, module_any(r));
			continue;
		}
		n = module_any(r);
		if (n > limit || m->names != NULL)
			return false;
		m->n_names = (size_t)n;
		m->names = fl_heap_alloc(m->heap, m->n_names + 1, sizeof(*m->names));
		if (m->names == NULL)
			return false;
	}
	return true;
}

/* Counts come once, and name no more than the output can hold. */
static bool scan_count(struct wasm_reader *r, size_t *n, uint64_t limit)
{
	uint64_t count = module_any(r);

	if (r->bad || count > limit || *n != 0)
		return false;
	*n = (size_t)count;
	return true;
}

static bool scan_functions(struct wasm_module *m, struct wasm_reader *r, uint64_t limit)
{
	if (m->function_types != NULL || !scan_count(r, &m->n_functions, limit))
		return false;
	m->function_types = fl_heap_alloc(m->heap, m->n_functions + 1, sizeof(*m->function_types));
	return m->function_types != NULL;
}

static bool scan_section(struct wasm_module *m, size_t i, uint64_t limit)
{
	struct wasm_reader r = residue_of(m, i);

	switch (m->sections[i].id) {
	case WASM_SECTION_FUNCTION:
		return scan_functions(m, &r, limit);
	case WASM_SECTION_EXPORT:
		return m->exports == NULL && scan_exports(m, &r) && !r.bad;
	case WASM_SECTION_ELEMENT:
		return m->elements == NULL && scan_elements(m, &r, limit) && !r.bad;
	case WASM_SECTION_CODE:
		return scan_count(&r, &m->n_bodies, limit); /* the model gives the bodies */
	case WASM_SECTION_DATA:
		return m->data == NULL && scan_data(m, &r, limit) && !r.bad;
	case WASM_SECTION_CUSTOM:
		return scan_names(m, &r, limit) && !r.bad;
	default:
		return false;
	}
}

enum fl_code wasm_module_scan(struct wasm_module *m, uint64_t limit, struct fl_err *err)
{
	for (size_t i = 0; i < m->n_sections; i++) {
		const struct wasm_section *section = &m->sections[i];
		struct fl_bytes payload = { m->residue.p + section->residue_at,
			section->residue_n };

		if (section->structured && !scan_section(m, i, limit))
			return fl_fail(
				err, FL_CORRUPT, "section %zu of the new module is damaged", i);
		module_read_meaning(m, section->id, payload);
	}
	return FL_OK;
}

/* ---- joining */

static void copy(struct fl_buf *out, const uint8_t *from, const struct wasm_reader *to)
{
	fl_buf_add(out, from, (size_t)(to->p - from));
}

static void join_functions(const struct wasm_module *m, struct wasm_reader *r, struct fl_buf *out)
{
	fl_buf_add(out, r->p, wasm_left(r));
	for (size_t i = 0; i < m->n_functions; i++)
		module_put(out, m->function_types[i]);
}

static void join_exports(const struct wasm_module *m, struct wasm_reader *r, struct fl_buf *out)
{
	const uint8_t *from = r->p;

	(void)module_any(r);
	for (size_t i = 0; i < m->n_exports; i++) {
		(void)wasm_take(r, module_any(r));
		(void)wasm_byte(r);
		copy(out, from, r);
		module_put(out, m->exports[i].index);
		from = r->p;
	}
	fl_buf_add(out, from, (size_t)(r->end - from));
}

static void join_elements(const struct wasm_module *m, struct wasm_reader *r, struct fl_buf *out)
{
	const uint8_t *from = r->p;
	size_t at = 0;

	(void)module_any(r);
	for (size_t i = 0; i < m->n_element_segments; i++) {
		uint32_t slot;
		uint64_t items = module_element_head(r, &slot);

		copy(out, from, r);
		for (uint64_t k = 0; k < items && at < m->n_elements; k++)
			module_put(out, m->elements[at++]);
		from = r->p;
	}
	fl_buf_add(out, from, (size_t)(r->end - from));
}

static void join_name_map(const struct wasm_module *m, uint64_t n, struct fl_buf *out)
{
	uint64_t bytes = wasm_leb_unsigned_size(n);

	for (size_t i = 0; i < m->n_names; i++)
		bytes += wasm_leb_unsigned_size(m->names[i].index) +
			wasm_leb_unsigned_size(m->names[i].name.n) + m->names[i].name.n;
	module_put(out, bytes);
	module_put(out, n);
	for (size_t i = 0; i < m->n_names; i++) {
		module_put(out, m->names[i].index);
		module_put(out, m->names[i].name.n);
		fl_buf_add(out, m->names[i].name.p, m->names[i].name.n);
	}
}

static void join_names(const struct wasm_module *m, struct wasm_reader *r, struct fl_buf *out)
{
	const uint8_t *from = r->p;

	(void)wasm_take(r, module_any(r));
	while (wasm_left(r) > 0 && !r->bad) {
		uint8_t id = wasm_byte(r);

		if (id != 1) {
			(void)wasm_take(r, module_any(r));
			continue;
		}
		copy(out, from, r);
		join_name_map(m, module_any(r), out);
		from = r->p;
	}
	fl_buf_add(out, from, (size_t)(r->end - from));
}

enum fl_code wasm_section_join(
	const struct wasm_module *m, size_t i, struct fl_buf *out, struct fl_err *err)
{
	struct wasm_reader r = residue_of(m, i);

	if (!m->sections[i].structured)
		fl_buf_add(out, r.p, wasm_left(&r));
	else if (m->sections[i].id == WASM_SECTION_FUNCTION)
		join_functions(m, &r, out);
	else if (m->sections[i].id == WASM_SECTION_EXPORT)
		join_exports(m, &r, out);
	else if (m->sections[i].id == WASM_SECTION_ELEMENT)
		join_elements(m, &r, out);
	else
		join_names(m, &r, out);
	return fl_buf_check(out, err);
}

static void put_plain_head(struct fl_buf *out, const struct wasm_data_segment *segment)
{
	uint8_t head[2 + WASM_LEB_MAX] = { 0, 0x41 };
	uint8_t *end = wasm_put_signed(head + 2, (int32_t)segment->address, 0);

	*end++ = 0x0b;
	fl_buf_add(out, head, (size_t)(end - head));
	module_put(out, segment->n);
}

enum fl_code wasm_data_heads(const struct wasm_module *m, size_t section, struct fl_buf *out,
	uint32_t *ends, struct fl_err *err)
{
	struct wasm_reader r = residue_of(m, section);
	bool compact = wasm_byte(&r) == DATA_COMPACT;
	const uint8_t *from = r.p;

	(void)module_any(&r);
	copy(out, from, &r);
	for (size_t k = 0; k < m->n_data; k++) {
		struct wasm_data_segment segment;

		from = r.p;
		next_head(&r, compact, 0, &segment);
		if (compact)
			put_plain_head(out, &m->data[k]);
		else
			copy(out, from, &r);
		ends[k] = (uint32_t)out->n;
	}
	return fl_buf_check(out, err);
}
