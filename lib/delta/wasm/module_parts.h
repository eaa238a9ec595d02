/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of a module share: module.c takes it apart and frees it, module_split.c fills its
 * tables, module_join.c gives its sections back. For them alone. */
#ifndef FL_WASM_MODULE_PARTS_H
#define FL_WASM_MODULE_PARTS_H

#include "lib/delta/wasm/module.h"

/* How the residue keeps the heads of data segments. */
enum { DATA_VERBATIM, DATA_COMPACT };

/* Bytes of an element in its table, and at least in the module. */
struct module_row {
	size_t size, bytes;
};

/* Make room for one more in the table of `n` elements whose address is `table`; false without memory. */
bool module_grow(struct fl_heap *heap, void *table, size_t n, size_t size);

/* Add one element to m->table; false without memory. */
#define MODULE_ADD(m, table, n, ...)                                      \
	(module_grow((m)->heap, &(m)->table, (m)->n, sizeof(*(m)->table)) \
			? ((m)->table[(m)->n++] = __VA_ARGS__, true)      \
			: false)

/* Give the table whose address is `table` room for `n` elements, each of which takes at least `bytes` of
 * what is left to read; bad if they cannot be there. False without memory, or bad. */
bool module_room(struct wasm_module *m, void *table, uint64_t n, const struct module_row *row,
	struct wasm_reader *r);

/* Room for the n elements of m->table that follow, which then take MODULE_NEXT. */
#define MODULE_ROOM(m, table, n, bytes, r) \
	module_room((m), &(m)->table, (n), \
		&(const struct module_row){ sizeof(*(m)->table), (bytes) }, (r))

/* Read one that must have its shortest form, as nearly all of a module's tables do. */
static inline uint64_t module_plain(struct wasm_reader *r)
{
	unsigned pad = 0;
	uint64_t v = wasm_unsigned(r, &pad);

	if (pad != 0)
		r->bad = true;
	return v;
}

static inline uint64_t module_any(struct wasm_reader *r)
{
	unsigned pad = 0;

	return wasm_unsigned(r, &pad);
}

static inline void module_put(struct fl_buf *out, uint64_t v)
{
	uint8_t *at = fl_buf_reserve(out, WASM_LEB_MAX);

	if (at != NULL)
		out->n += (size_t)(wasm_put_unsigned(at, v, 0) - at);
}

/* The head of an element segment whose items are function indices; returns how many there are. */
uint64_t module_element_head(struct wasm_reader *r, uint32_t *slot);
/* The head of a data segment; `plain` stays true only for the usual one: active in memory 0 at a
 * constant address, all numbers in their shortest form. */
void module_data_head(struct wasm_reader *r, struct wasm_data_segment *segment, bool *plain);

/* The size of its payload. */
static inline void module_data_size(
	struct wasm_reader *r, uint64_t n, struct wasm_data_segment *segment)
{
	segment->n = (uint32_t)n;
	r->bad |= n > UINT32_MAX;
}

/* Fill the tables from section `i`, or keep it whole in the residue. No memory shows in
 * m->residue.failed, or as a section that stays whole. */
void module_split_section(struct wasm_module *m, size_t i);
/* Types and imports are only read, to know what indices mean. */
void module_read_meaning(struct wasm_module *m, unsigned id, struct fl_bytes payload);

#endif
