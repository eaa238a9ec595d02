/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/wasm/module.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t magic[8] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };

#define SECTIONS_MAX 4096

/* Make room for one more in the table whose address is `table`; false without memory. */
static bool grow(void *table, size_t n, size_t size)
{
	void *p;

	/* Room doubles at powers of two, so that no capacity needs to be kept. */
	if ((n & (n - 1)) != 0 || (n != 0 && n < 16))
		return true;
	memcpy(&p, table, sizeof(p));
	p = reallocarray(p, n == 0 ? 16 : 2 * n, size);
	if (p == NULL)
		return false;
	memcpy(table, &p, sizeof(p));
	return true;
}

/* Add one element to m->table; false without memory. */
#define ADD(m, table, n, ...)                                        \
	(grow(&(m)->table, (m)->n, sizeof(*(m)->table))              \
			? ((m)->table[(m)->n++] = __VA_ARGS__, true) \
			: false)

/* Read one that must have its shortest form, as nearly all of a module's tables do. */
static uint64_t plain(struct wasm_reader *r)
{
	unsigned pad = 0;
	uint64_t v = wasm_unsigned(r, &pad);

	if (pad != 0)
		r->bad = true;
	return v;
}

static uint64_t any(struct wasm_reader *r)
{
	unsigned pad = 0;

	return wasm_unsigned(r, &pad);
}

/* How the residue keeps the heads of data segments. */
enum { DATA_VERBATIM, DATA_COMPACT };

static void put(struct fl_buf *out, uint64_t v)
{
	uint8_t *at = fl_buf_reserve(out, WASM_LEB_MAX);

	if (at != NULL)
		out->n += (size_t)(wasm_put_unsigned(at, v, 0) - at);
}

/* ---- constant expressions */

static void skip_constant(struct wasm_reader *r, uint8_t op)
{
	unsigned pad;

	switch (op) {
	case 0x41: /* i32.const */
	case 0x42: /* i64.const */
	case 0xd0: /* ref.null */
		(void)wasm_signed(r, &pad);
		break;
	case 0x23: /* global.get */
	case 0xd2: /* ref.func */
		(void)wasm_unsigned(r, &pad);
		break;
	case 0x43: /* f32.const */
		(void)wasm_take(r, 4);
		break;
	case 0x44: /* f64.const */
		(void)wasm_take(r, 8);
		break;
	case 0x6a: /* add, sub, mul of i32 and i64 */
	case 0x6b:
	case 0x6c:
	case 0x7c:
	case 0x7d:
	case 0x7e:
		break;
	default:
		r->bad = true;
	}
}

/* Skip an expression to behind its end; its value if it is a single integer, else WASM_NO_ADDRESS. */
static uint64_t constant(struct wasm_reader *r)
{
	uint64_t value = WASM_NO_ADDRESS;
	struct wasm_reader first = *r;
	unsigned pad, n = 0;
	uint8_t op = wasm_byte(r);

	(void)wasm_byte(&first);
	if (op == 0x41)
		value = (uint32_t)wasm_signed(&first, &pad);
	else if (op == 0x42)
		value = (uint64_t)wasm_signed(&first, &pad);
	for (; op != 0x0b && !r->bad; op = wasm_byte(r), n++)
		skip_constant(r, op);
	return n == 1 && !r->bad ? value : WASM_NO_ADDRESS;
}

/* ---- splitting: what is not put into a table is copied to the residue */

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
	uint64_t n = plain(&s->r);

	keep(s);
	for (uint64_t i = 0; i < n && !s->r.bad; i++) {
		uint32_t type = (uint32_t)plain(&s->r);

		if (!ADD(s->m, function_types, n_functions, type))
			return false;
	}
	return true;
}

static bool split_exports(struct splitter *s)
{
	uint64_t n = any(&s->r);

	for (uint64_t i = 0; i < n && !s->r.bad; i++) {
		struct wasm_export export = { 0 };

		export.name = wasm_take(&s->r, any(&s->r));
		export.kind = wasm_byte(&s->r);
		keep(s);
		export.index = (uint32_t)plain(&s->r);
		skip(s);
		if (!ADD(s->m, exports, n_exports, export))
			return false;
	}
	keep(s);
	return true;
}

/* The head of an element segment whose items are function indices; returns how many there are. */
static uint64_t element_head(struct wasm_reader *r, uint32_t *slot)
{
	uint64_t flags = any(r);

	if (flags > 3)
		r->bad = true;
	if (flags == 2)
		(void)any(r); /* table */
	*slot = 0;
	if ((flags & 1) == 0) {
		uint64_t at = constant(r);

		*slot = at == WASM_NO_ADDRESS ? 0 : (uint32_t)at;
	}
	if (flags != 0)
		(void)wasm_byte(r); /* kind */
	return any(r);
}

static bool split_elements(struct splitter *s)
{
	uint64_t n = any(&s->r);

	for (uint64_t i = 0; i < n && !s->r.bad; i++) {
		struct wasm_element_segment segment = { .first = (uint32_t)s->m->n_elements };
		uint64_t items = element_head(&s->r, &segment.slot);

		keep(s);
		if (!ADD(s->m, element_segments, n_element_segments, segment))
			return false;
		for (uint64_t k = 0; k < items && !s->r.bad; k++) {
			uint32_t function = (uint32_t)plain(&s->r);

			if (!ADD(s->m, elements, n_elements, function))
				return false;
		}
		skip(s);
	}
	keep(s);
	return true;
}

static bool split_code(struct splitter *s)
{
	uint64_t n = plain(&s->r);

	keep(s);
	for (uint64_t i = 0; i < n && !s->r.bad; i++) {
		unsigned pad = 0;
		struct wasm_body body;

		body.bytes = wasm_take(&s->r, wasm_unsigned(&s->r, &pad));
		body.size_pad = (uint8_t)pad;
		if (!ADD(s->m, bodies, n_bodies, body))
			return false;
	}
	skip(s);
	return true;
}

/* The head of a segment; `plain` stays true only for the usual one: active in memory 0 at a constant
 * address, all numbers in their shortest form. */
static void data_segment(struct wasm_reader *r, struct wasm_data_segment *segment, bool *plain)
{
	uint64_t flags = any(r);
	const uint8_t *expression = r->p;
	unsigned pad = 0;

	if (flags > 2)
		r->bad = true;
	if (flags == 2)
		(void)any(r); /* memory */
	segment->address = flags == 1 ? WASM_NO_ADDRESS : constant(r);
	if (flags != 0 || segment->address == WASM_NO_ADDRESS || *expression != 0x41 ||
		(size_t)(r->p - expression) != 2 + wasm_leb_signed_size((int32_t)segment->address))
		*plain = false;
	segment->n = (size_t)wasm_unsigned(r, &pad);
	*plain &= pad == 0;
}

/* Usual heads, as distances from the end of the segment before. */
static void keep_compact(struct wasm_module *m)
{
	uint64_t end = 0;

	put(&m->residue, m->n_data);
	for (size_t i = 0; i < m->n_data; i++) {
		int64_t gap = (int64_t)(m->data[i].address - end);

		put(&m->residue, (uint64_t)gap << 1 ^ (uint64_t)(gap >> 63));
		put(&m->residue, m->data[i].n);
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
	for (uint64_t i = 0; i < n && !s->r.bad; i++) {
		struct wasm_data_segment segment = { .at = s->m->data_bytes };
		struct fl_bytes payload;

		data_segment(&s->r, &segment, &plain);
		keep(s);
		payload = wasm_take(&s->r, segment.n);
		segment.bytes = payload.p;
		s->m->data_bytes += payload.n;
		skip(s);
		if (!ADD(s->m, data, n_data, segment))
			return false;
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
	uint64_t n = plain(&s->r);

	keep(s);
	for (uint64_t i = 0; i < n && !s->r.bad; i++) {
		struct wasm_name name;

		name.index = (uint32_t)plain(&s->r);
		name.name = wasm_take(&s->r, plain(&s->r));
		if (!ADD(s->m, names, n_names, name))
			return false;
	}
	skip(s);
	return true;
}

/* The custom section "name": the map of function names goes into the table, other subsections stay. */
static bool split_names(struct splitter *s)
{
	struct fl_bytes title = wasm_take(&s->r, any(&s->r));

	if (title.n != 4 || memcmp(title.p, "name", 4) != 0)
		return false;
	while (wasm_left(&s->r) > 0 && !s->r.bad) {
		uint8_t id = wasm_byte(&s->r);
		struct fl_bytes content;
		const uint8_t *end;

		keep(s);
		if (id != 1) {
			content = wasm_take(&s->r, any(&s->r));
			keep(s);
			continue;
		}
		/* The size follows from the names; the map must fill it. */
		content = wasm_take(&s->r, plain(&s->r));
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

/* A table is filled by one section only: a second of its kind stays whole. */
static bool split_structure(struct splitter *s, unsigned id, const struct mark *before)
{
	switch (id) {
	case WASM_SECTION_FUNCTION:
		return before->functions == 0 && split_functions(s);
	case WASM_SECTION_EXPORT:
		return before->exports == 0 && split_exports(s);
	case WASM_SECTION_ELEMENT:
		return before->element_segments == 0 && split_elements(s);
	case WASM_SECTION_CODE:
		return before->bodies == 0 && split_code(s);
	case WASM_SECTION_DATA:
		return before->data == 0 && split_data(s);
	case WASM_SECTION_CUSTOM:
		return before->names == 0 && split_names(s);
	default:
		return false;
	}
}

static void read_types(struct wasm_module *m, struct fl_bytes payload);
static void read_imports(struct wasm_module *m, struct fl_bytes payload);

/* Whether the section's payload comes back from what splitting made of it. */
static bool joins(struct wasm_module *m, size_t i)
{
	const struct wasm_section *section = &m->sections[i];
	FL_AUTO_BUF struct fl_buf again = { 0 };
	struct fl_err err;

	if (section->id == WASM_SECTION_CODE || section->id == WASM_SECTION_DATA)
		return true; /* their tables are slices of the payload itself */
	return wasm_section_join(m, i, &again, &err) == FL_OK && again.n == section->payload.n &&
		memcmp(again.p, section->payload.p, again.n) == 0;
}

static void split_section(struct wasm_module *m, size_t i)
{
	struct wasm_section *section = &m->sections[i];
	struct splitter s = {
		.m = m, .r = wasm_reader(section->payload), .copied = section->payload.p
	};
	struct mark before = mark_of(m);

	section->residue_at = before.residue;
	section->structured =
		split_structure(&s, section->id, &before) && !s.r.bad && wasm_left(&s.r) == 0;
	section->residue_n = m->residue.n - before.residue;
	if (section->structured)
		section->structured = joins(m, i);
	if (!section->structured) {
		undo(m, &before);
		fl_buf_add(&m->residue, section->payload.p, section->payload.n);
		section->residue_n = section->payload.n;
	}
	if (section->id == WASM_SECTION_TYPE)
		read_types(m, section->payload);
	else if (section->id == WASM_SECTION_IMPORT)
		read_imports(m, section->payload);
}

/* ---- types and imports: only read, to know what indices mean */

static void read_types(struct wasm_module *m, struct fl_bytes payload)
{
	struct wasm_reader r = wasm_reader(payload);
	uint64_t n = any(&r);

	for (uint64_t i = 0; i < n && !r.bad; i++) {
		const uint8_t *start = r.p;

		if (wasm_byte(&r) !=
			0x60) /* other than a plain function type: indices stay numbers */
			return;
		for (int side = 0; side < 2; side++)
			(void)wasm_take(&r, any(&r));
		if (r.bad ||
			!ADD(m, types, n_types, (struct fl_bytes){ start, (size_t)(r.p - start) }))
			return;
	}
}

static void skip_limits(struct wasm_reader *r)
{
	uint64_t flags = any(r);

	(void)any(r);
	if ((flags & 1) != 0)
		(void)any(r);
}

static void skip_import(struct wasm_reader *r, uint8_t kind)
{
	switch (kind) {
	case 0: /* function: type */
		(void)any(r);
		break;
	case 1: /* table: reference type, limits */
		(void)wasm_byte(r);
		skip_limits(r);
		break;
	case 2: /* memory */
		skip_limits(r);
		break;
	case 3: /* global: type, mutability */
		(void)wasm_take(r, 2);
		break;
	case 4: /* tag: attribute, type */
		(void)wasm_byte(r);
		(void)any(r);
		break;
	default:
		r->bad = true;
	}
}

static void read_imports(struct wasm_module *m, struct fl_bytes payload)
{
	struct wasm_reader r = wasm_reader(payload);
	uint64_t n = any(&r);

	for (uint64_t i = 0; i < n && !r.bad; i++) {
		struct fl_bytes name = { .p = r.p };
		uint8_t kind;

		(void)wasm_take(&r, any(&r));
		(void)wasm_take(&r, any(&r));
		name.n = (size_t)(r.p - name.p);
		kind = wasm_byte(&r);
		skip_import(&r, kind);
		if (!r.bad && kind == 0 && !ADD(m, imports, n_imports, name))
			return;
	}
}

/* ---- the whole module */

static enum fl_code find_sections(struct wasm_module *m, struct fl_err *err)
{
	struct wasm_reader r = wasm_reader(m->bytes);

	(void)wasm_take(&r, sizeof(magic));
	while (wasm_left(&r) > 0) {
		struct wasm_section section = { .id = wasm_byte(&r) };
		unsigned pad = 0;

		section.payload = wasm_take(&r, wasm_unsigned(&r, &pad));
		section.pad = (uint8_t)pad;
		if (r.bad || section.id >= WASM_SECTION_ID_MAX || m->n_sections >= SECTIONS_MAX)
			return fl_fail(err, FL_REFUSED, "the module does not split into sections");
		if (!ADD(m, sections, n_sections, section))
			return fl_fail(err, FL_NOMEM, "no memory for the sections of a module");
	}
	return FL_OK;
}

enum fl_code wasm_module_split(struct wasm_module *m, struct fl_bytes bytes, struct fl_err *err)
{
	enum fl_code code;

	m->bytes = bytes;
	if (bytes.n < sizeof(magic) || memcmp(bytes.p, magic, sizeof(magic)) != 0)
		return fl_fail(err, FL_REFUSED, "not a WebAssembly core module of version 1");
	code = find_sections(m, err);
	for (size_t i = 0; i < m->n_sections && code == FL_OK; i++) {
		split_section(m, i);
		code = fl_buf_check(&m->residue, err);
	}
	return code;
}

void wasm_module_fini(struct wasm_module *m)
{
	free(m->sections);
	fl_buf_fini(&m->residue);
	free(m->types);
	free(m->imports);
	free(m->function_types);
	free(m->exports);
	free(m->elements);
	free(m->element_segments);
	free(m->bodies);
	free(m->data);
	free(m->names);
	*m = (struct wasm_module){ 0 };
}

/* ---- scanning: sizes of tables from the residue */

static struct wasm_reader residue_of(const struct wasm_module *m, size_t i)
{
	return wasm_reader((struct fl_bytes){
		m->residue.p + m->sections[i].residue_at, m->sections[i].residue_n });
}

static bool scan_exports(struct wasm_module *m, struct wasm_reader *r)
{
	uint64_t n = any(r);

	for (uint64_t i = 0; i < n && !r->bad; i++) {
		struct wasm_export export = { 0 };

		export.name = wasm_take(r, any(r));
		export.kind = wasm_byte(r);
		if (r->bad || !ADD(m, exports, n_exports, export))
			return false;
	}
	return true;
}

static bool scan_elements(struct wasm_module *m, struct wasm_reader *r, uint64_t limit)
{
	uint64_t n = any(r);

	for (uint64_t i = 0; i < n && !r->bad; i++) {
		struct wasm_element_segment segment = { .first = (uint32_t)m->n_elements };
		uint64_t items = element_head(r, &segment.slot);

		if (r->bad || items > limit - m->n_elements ||
			!ADD(m, element_segments, n_element_segments, segment))
			return false;
		m->n_elements += (size_t)items;
	}
	m->elements = calloc(m->n_elements + 1, sizeof(*m->elements));
	return m->elements != NULL;
}

/* The next head of a data segment in the residue. */
static void next_head(
	struct wasm_reader *r, bool compact, uint64_t end, struct wasm_data_segment *segment)
{
	bool plain = true;
	uint64_t gap;

	if (!compact) {
		data_segment(r, segment, &plain);
		return;
	}
	gap = any(r);
	segment->address = (uint32_t)(end + (gap >> 1 ^ -(gap & 1)));
	segment->n = (size_t)any(r);
}

static bool scan_data(struct wasm_module *m, struct wasm_reader *r, uint64_t limit)
{
	bool compact = wasm_byte(r) == DATA_COMPACT;
	uint64_t n = any(r), end = 0;

	for (uint64_t i = 0; i < n && !r->bad; i++) {
		struct wasm_data_segment segment = { .at = m->data_bytes };

		next_head(r, compact, end, &segment);
		if (r->bad || segment.n > limit - m->data_bytes || !ADD(m, data, n_data, segment))
			return false;
		m->data_bytes += segment.n;
		end = segment.address + segment.n;
	}
	return true;
}

static bool scan_names(struct wasm_module *m, struct wasm_reader *r, uint64_t limit)
{
	(void)wasm_take(r, any(r));
	while (wasm_left(r) > 0 && !r->bad) {
		uint64_t n;

		if (wasm_byte(r) != 1) {
			(void)wasm_take(r, any(r));
			continue;
		}
		n = any(r);
		if (n > limit || m->names != NULL)
			return false;
		m->n_names = (size_t)n;
		m->names = calloc(m->n_names + 1, sizeof(*m->names));
		if (m->names == NULL)
			return false;
	}
	return true;
}

static bool scan_counted(void *table, size_t *n, size_t size, struct wasm_reader *r, uint64_t limit)
{
	uint64_t count = any(r);
	void *p;

	memcpy(&p, table, sizeof(p));
	if (r->bad || count > limit || p != NULL)
		return false;
	p = calloc((size_t)count + 1, size);
	memcpy(table, &p, sizeof(p));
	*n = (size_t)count;
	return p != NULL;
}

static bool scan_section(struct wasm_module *m, size_t i, uint64_t limit)
{
	struct wasm_reader r = residue_of(m, i);

	switch (m->sections[i].id) {
	case WASM_SECTION_FUNCTION:
		return scan_counted(
			&m->function_types, &m->n_functions, sizeof(uint32_t), &r, limit);
	case WASM_SECTION_EXPORT:
		return m->exports == NULL && scan_exports(m, &r) && !r.bad;
	case WASM_SECTION_ELEMENT:
		return m->elements == NULL && scan_elements(m, &r, limit) && !r.bad;
	case WASM_SECTION_CODE:
		return scan_counted(&m->bodies, &m->n_bodies, sizeof(struct wasm_body), &r, limit);
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
		if (section->id == WASM_SECTION_TYPE)
			read_types(m, payload);
		else if (section->id == WASM_SECTION_IMPORT)
			read_imports(m, payload);
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
		put(out, m->function_types[i]);
}

static void join_exports(const struct wasm_module *m, struct wasm_reader *r, struct fl_buf *out)
{
	const uint8_t *from = r->p;

	(void)any(r);
	for (size_t i = 0; i < m->n_exports; i++) {
		(void)wasm_take(r, any(r));
		(void)wasm_byte(r);
		copy(out, from, r);
		put(out, m->exports[i].index);
		from = r->p;
	}
	fl_buf_add(out, from, (size_t)(r->end - from));
}

static void join_elements(const struct wasm_module *m, struct wasm_reader *r, struct fl_buf *out)
{
	const uint8_t *from = r->p;
	size_t at = 0;

	(void)any(r);
	for (size_t i = 0; i < m->n_element_segments; i++) {
		uint32_t slot;
		uint64_t items = element_head(r, &slot);

		copy(out, from, r);
		for (uint64_t k = 0; k < items && at < m->n_elements; k++)
			put(out, m->elements[at++]);
		from = r->p;
	}
	fl_buf_add(out, from, (size_t)(r->end - from));
}

static void join_name_map(const struct wasm_module *m, uint64_t n, struct fl_buf *out)
{
	FL_AUTO_BUF struct fl_buf map = { 0 };

	put(&map, n);
	for (size_t i = 0; i < m->n_names; i++) {
		put(&map, m->names[i].index);
		put(&map, m->names[i].name.n);
		fl_buf_add(&map, m->names[i].name.p, m->names[i].name.n);
	}
	put(out, map.n);
	fl_buf_add(out, map.p, map.n);
	out->failed |= map.failed;
}

static void join_names(const struct wasm_module *m, struct wasm_reader *r, struct fl_buf *out)
{
	const uint8_t *from = r->p;

	(void)wasm_take(r, any(r));
	while (wasm_left(r) > 0 && !r->bad) {
		uint8_t id = wasm_byte(r);

		if (id != 1) {
			(void)wasm_take(r, any(r));
			continue;
		}
		copy(out, from, r);
		join_name_map(m, any(r), out);
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
	put(out, segment->n);
}

enum fl_code wasm_data_heads(const struct wasm_module *m, size_t section, struct fl_buf *out,
	uint32_t *ends, struct fl_err *err)
{
	struct wasm_reader r = residue_of(m, section);
	bool compact = wasm_byte(&r) == DATA_COMPACT;
	const uint8_t *from = r.p;

	(void)any(&r);
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
