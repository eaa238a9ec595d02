/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/wasm/model.h"

#include <stdlib.h>

void model_fail(struct model *m, enum fl_code code, const char *why)
{
	if (m->failure == FL_OK)
		m->failure = fl_fail(m->err, code, "%s", why);
}

/* ---- old tokens */

const struct wasm_code *model_old(struct model *m, uint32_t place, size_t *index, uint32_t *left)
{
	const struct wasm_code *code = old_code_at(&m->old_code, place, index, left);

	if (code == NULL)
		model_fail(m, FL_NOMEM, "no memory to parse an old function");
	return code;
}

/* ---- output, collected to pieces that are worth a call */

#define PIECE 65536

static void hand_over(struct model *m, struct fl_bytes bytes)
{
	enum fl_code code;

	if (!model_ok(m) || bytes.n == 0)
		return;
	code = m->sink->write(m->sink->ctx, bytes, m->err);
	if (code != FL_OK)
		m->failure = code;
}

static void count_output(struct model *m, size_t n)
{
	if (n > m->limit - m->written)
		model_fail(m, FL_CORRUPT, "the delta gives more bytes than it says");
	else
		m->written += n;
}

void model_flush(struct model *m)
{
	if (m->out.failed)
		model_fail(m, FL_NOMEM, "no memory for the output of a delta");
	hand_over(m, (struct fl_bytes){ m->out.p, m->out.n });
	fl_buf_reset(&m->out);
}

void model_wrote(struct model *m, size_t before)
{
	count_output(m, m->out.n - before);
	if (m->out.n >= PIECE || m->out.failed)
		model_flush(m);
}

void model_write(struct model *m, struct fl_bytes bytes)
{
	size_t before = m->out.n;

	if (bytes.n < PIECE) {
		fl_buf_add(&m->out, bytes.p, bytes.n);
		model_wrote(m, before);
		return;
	}
	model_flush(m);
	count_output(m, bytes.n);
	hand_over(m, bytes);
}

void model_write_head(struct model *m, const struct wasm_section *s, uint64_t size)
{
	uint8_t head[1 + 2 * WASM_LEB_MAX] = { s->id };
	uint8_t *end = wasm_put_unsigned(head + 1, size, s->pad);

	model_write(m, (struct fl_bytes){ head, (size_t)(end - head) });
}

/* Decoding: a section that is complete by residue and tables. */
static void write_joined(struct model *m, size_t i)
{
	const struct wasm_section *s = &m->new->sections[i];
	FL_AUTO_BUF struct fl_buf joined = { .heap = m->heap };

	if (!s->structured) {
		model_write_head(m, s, s->residue_n);
		model_write(
			m, (struct fl_bytes){ m->new->residue.p + s->residue_at, s->residue_n });
		return;
	}
	if (wasm_section_join(m->new, i, &joined, m->err) != FL_OK) {
		model_fail(m, FL_NOMEM, "no memory for a section");
		return;
	}
	model_write_head(m, s, joined.n);
	model_write(m, (struct fl_bytes){ joined.p, joined.n });
}

static void code_section(struct model *m, size_t i)
{
	const struct wasm_section *s = &m->new->sections[i];

	if (s->structured && s->id == WASM_SECTION_CODE) {
		model_code(m, i);
		return;
	}
	if (s->structured && s->id == WASM_SECTION_DATA) {
		model_data(m, i);
		return;
	}
	if (s->structured && s->id == WASM_SECTION_CUSTOM)
		model_names(m);
	if (!m->encoding && model_ok(m))
		write_joined(m, i);
}

enum fl_code model_run(struct model *m, struct fl_err *err)
{
	static const uint8_t magic[8] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };

	m->err = err;
	m->slots.heap = m->addresses.heap = m->words.heap = m->heap;
	m->residue_copies.heap = m->data_copies.heap = m->out.heap = m->heap;
	model_tables(m);
	if (!m->encoding)
		model_write(m, (struct fl_bytes){ magic, sizeof(magic) });
	for (size_t i = 0; i < m->new->n_sections &&model_ok(m); i++)
		code_section(m, i);
	if (!m->encoding)
		model_flush(m);
	if (m->addresses.failed || m->slots.failed || m->words.failed)
		model_fail(m, FL_NOMEM, "no memory for the maps of a delta");
	if (m->failure == FL_OK && m->c->bad)
		model_fail(m, m->encoding ? FL_INTERNAL : FL_CORRUPT,
			m->encoding ? "the module cannot be described by the old one"
				    : "the delta is damaged, or made for another old module");
	return m->failure;
}

void model_fini(struct model *m)
{
	old_code_fini(&m->old_code);
	wasm_code_fini(&m->tokens);
	fl_heap_free(m->heap, m->partner);
	fl_heap_free(m->heap, m->function_map);
	fl_heap_free(m->heap, m->function_known);
	fl_heap_free(m->heap, m->old_of);
	fl_heap_free(m->heap, m->type_map);
	learned_fini(&m->slots);
	learned_fini(&m->addresses);
	learned_fini(&m->words);
	fl_heap_free(m->heap, m->intervals);
	wasm_copies_fini(&m->data_copies);
	wasm_copies_fini(&m->residue_copies);
	fl_heap_free(m->heap, m->bias_undo);
	fl_heap_free(m->heap, m->op);
	fl_heap_free(m->heap, m->aligned);
	fl_heap_free(m->heap, m->local.to);
	fl_heap_free(m->heap, m->local.before);
	fl_heap_free(m->heap, m->local.sure);
	fl_buf_fini(&m->out);
	model_free_names(m);
}
