/* SPDX-License-Identifier: Apache-2.0
 *
 * A module as a whole, and what splitting and joining of its sections share. */
#include "lib/delta/wasm/module.h"

#include "lib/delta/wasm/module_parts.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t magic[8] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };

#define SECTIONS_MAX 4096

bool module_grow(struct fl_heap *heap, void *table, size_t n, size_t size)
{
	void *p;

	/* Room doubles at powers of two, so that no capacity needs to be kept. */
	if ((n & (n - 1)) != 0 || (n != 0 && n < 16))
		return true;
	memcpy(&p, table, sizeof(p));
	p = fl_heap_resize(heap, p, n == 0 ? 16 : 2 * n, size);
	if (p == NULL)
		return false;
	memcpy(table, &p, sizeof(p));
	return true;
}

bool module_room(struct wasm_module *m, void *table, uint64_t n, const struct module_row *row,
	struct wasm_reader *r)
{
	void *p;

	if (n > wasm_left(r) / row->bytes) {
		r->bad = true;
		return false;
	}
	memcpy(&p, table, sizeof(p));
	p = fl_heap_resize(m->heap, p, (size_t)n + 1, row->size);
	if (p == NULL)
		return false;
	memcpy(table, &p, sizeof(p));
	return true;
}

/* ---- constant expressions */

/* Behind prefix 0xfb. */
static void skip_reference(struct wasm_reader *r, uint64_t op)
{
	switch (op) {
	case 8: /* array.new_fixed: type, count */
		(void)module_any(r);
		(void)module_any(r);
		break;
	case 0: /* struct.new, struct.new_default, array.new, array.new_default: type */
	case 1:
	case 6:
	case 7:
		(void)module_any(r);
		break;
	case 26: /* any.convert_extern, extern.convert_any, ref.i31 */
	case 27:
	case 28:
		break;
	default:
		r->bad = true;
	}
}

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
	case 0xfb: /* structures, arrays, references */
		skip_reference(r, module_any(r));
		break;
	case 0xfd: /* v128.const */
		r->bad |= module_any(r) != 12;
		(void)wasm_take(r, 16);
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

/* ---- heads of segments */

uint64_t module_element_head(struct wasm_reader *r, uint32_t *slot)
{
	uint64_t flags = module_any(r);

	if (flags > 3)
		r->bad = true;
	if (flags == 2)
		(void)module_any(r); /* table */
	*slot = 0;
	if ((flags & 1) == 0) {
		uint64_t at = constant(r);

		*slot = at == WASM_NO_ADDRESS ? 0 : (uint32_t)at;
	}
	if (flags != 0)
		(void)wasm_byte(r); /* kind */
	return module_any(r);
}

void module_data_head(struct wasm_reader *r, struct wasm_data_segment *segment, bool *plain)
{
	unsigned pad = 0;
	uint64_t flags = wasm_unsigned(r, &pad);
	const uint8_t *expression = r->p;

	*plain &= pad == 0;
	if (flags > 2)
		r->bad = true;
	if (flags == 2)
		(void)module_any(r); /* memory */
	segment->address = flags == 1 ? WASM_NO_ADDRESS : constant(r);
	if (flags != 0 || segment->address == WASM_NO_ADDRESS || *expression != 0x41 ||
		(size_t)(r->p - expression) != 2 + wasm_leb_signed_size((int32_t)segment->address))
		*plain = false;
	module_data_size(r, wasm_unsigned(r, &pad), segment);
	*plain &= pad == 0;
}

/* ---- types and imports: only read, to know what indices mean */

/* A value type; references go on with a heap type. */
static void skip_value_type(struct wasm_reader *r)
{
	uint8_t byte = wasm_byte(r);
	unsigned pad;

	if (byte == 0x63 || byte == 0x64)
		(void)wasm_signed(r, &pad);
}

static void skip_value_types(struct wasm_reader *r)
{
	uint64_t n = module_any(r);

	for (uint64_t i = 0; i < n && !r->bad; i++)
		skip_value_type(r);
}

/* Of a structure or array: a storage type, whether it may change. */
static void skip_fields(struct wasm_reader *r, uint64_t n)
{
	for (uint64_t i = 0; i < n && !r->bad; i++) {
		skip_value_type(r);
		(void)wasm_byte(r);
	}
}

/* One type: of a function, structure or array, perhaps below other types. */
static void skip_type(struct wasm_reader *r)
{
	uint8_t form = wasm_byte(r);

	if (form == 0x50 || form == 0x4f) { /* a sub type, a final one: its super types */
		for (uint64_t n = module_any(r); n > 0 && !r->bad; n--)
			(void)module_any(r);
		form = wasm_byte(r);
	}
	if (form == 0x60) {
		skip_value_types(r);
		skip_value_types(r);
	} else if (form == 0x5f) {
		skip_fields(r, module_any(r));
	} else if (form == 0x5e) {
		skip_fields(r, 1);
	} else {
		r->bad = true;
	}
}

static void read_types(struct wasm_module *m, struct fl_bytes payload)
{
	struct wasm_reader r = wasm_reader(payload);
	uint64_t groups = module_any(&r);

	for (uint64_t i = 0; i < groups && !r.bad; i++) {
		uint64_t n = 1;

		if (wasm_left(&r) > 0 && *r.p == 0x4e) { /* types that may name each other */
			(void)wasm_byte(&r);
			n = module_any(&r);
		}
		for (uint64_t k = 0; k < n && !r.bad; k++) {
			const uint8_t *start = r.p;

			skip_type(&r);
			if (r.bad ||
				!MODULE_ADD(m, types, n_types,
					(struct fl_bytes){ start, (size_t)(r.p - start) }))
				return;
		}
	}
}

/* Bit 0: a maximum follows; bit 3: the size of a page does. */
static void skip_limits(struct wasm_reader *r)
{
	uint64_t flags = module_any(r);

	(void)module_any(r);
	if ((flags & 1) != 0)
		(void)module_any(r);
	if ((flags & 8) != 0)
		(void)module_any(r);
}

static void skip_import(struct wasm_reader *r, uint8_t kind)
{
	switch (kind) {
	case 0: /* function: type */
		(void)module_any(r);
		break;
	case 1: /* table: reference type, limits */
		skip_value_type(r);
		skip_limits(r);
		break;
	case 2: /* memory */
		skip_limits(r);
		break;
	case 3: /* global: type, mutability */
		skip_fields(r, 1);
		break;
	case 4: /* tag: attribute, type */
		(void)wasm_byte(r);
		(void)module_any(r);
		break;
	default:
		r->bad = true;
	}
}

static void read_imports(struct wasm_module *m, struct fl_bytes payload)
{
	struct wasm_reader r = wasm_reader(payload);
	uint64_t n = module_any(&r);

	for (uint64_t i = 0; i < n && !r.bad; i++) {
		struct fl_bytes name = { .p = r.p };
		uint8_t kind;

		(void)wasm_take(&r, module_any(&r));
		(void)wasm_take(&r, module_any(&r));
		name.n = (size_t)(r.p - name.p);
		kind = wasm_byte(&r);
		skip_import(&r, kind);
		if (!r.bad && kind == 0 && !MODULE_ADD(m, imports, n_imports, name))
			return;
	}
}

void module_read_meaning(struct wasm_module *m, unsigned id, struct fl_bytes payload)
{
	if (id == WASM_SECTION_TYPE)
		read_types(m, payload);
	else if (id == WASM_SECTION_IMPORT)
		read_imports(m, payload);
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
		if (!MODULE_ADD(m, sections, n_sections, section))
			return fl_fail(err, FL_NOMEM, "no memory for the sections of a module");
	}
	return FL_OK;
}

enum fl_code wasm_module_split(struct wasm_module *m, struct fl_bytes bytes, struct fl_err *err)
{
	enum fl_code code;

	m->bytes = bytes;
	m->residue.heap = m->heap;
	if (bytes.n < sizeof(magic) || memcmp(bytes.p, magic, sizeof(magic)) != 0)
		return fl_fail(err, FL_REFUSED, "not a WebAssembly core module of version 1");
	code = find_sections(m, err);
	for (size_t i = 0; i < m->n_sections && code == FL_OK; i++) {
		module_split_section(m, i);
		code = fl_buf_check(&m->residue, err);
	}
	return code;
}

void wasm_module_fini(struct wasm_module *m)
{
	fl_heap_free(m->heap, m->sections);
	fl_buf_fini(&m->residue);
	fl_heap_free(m->heap, m->types);
	fl_heap_free(m->heap, m->imports);
	fl_heap_free(m->heap, m->function_types);
	fl_heap_free(m->heap, m->exports);
	fl_heap_free(m->heap, m->elements);
	fl_heap_free(m->heap, m->element_segments);
	fl_heap_free(m->heap, m->bodies);
	fl_heap_free(m->heap, m->data);
	fl_heap_free(m->heap, m->names);
	*m = (struct wasm_module){ .heap = m->heap };
}
