/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/wasm/delta.h"

#include "lib/delta/wasm/component.h"
#include "lib/delta/wasm/model.h"
#include "lib/delta/wasm/parses.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC     0xd7
#define VERSION   1
#define COMPONENT 8 /* beside the back end */

#define LEVEL_DEFAULT 19
#define SIZE_LIMIT    (1ull << 30) /* of a module: positions have 32 bits */
#define MEMORY_UNIT   65536u
#define DECODER_BASE  (16ull << 20) /* what decoding takes besides the new module and the model */

/* ---- sizes */

uint64_t wasm_delta_size_max(uint64_t new_size)
{
	return new_size + new_size / 8 + 65536;
}

/* How many sets the model of an adaptive back end has. */
static uint32_t model_sets(enum wasm_back_end back, uint64_t new_size)
{
	return adaptive_sets((enum adaptive_size)(back - WASM_ADAPTIVE_256K), new_size);
}

uint64_t wasm_delta_decode_memory(enum wasm_back_end back, uint64_t old_size, uint64_t new_size)
{
	uint64_t model = back == WASM_ZSTD ? 0 : adaptive_memory(model_sets(back, new_size));

	(void)old_size; /* it is mapped */
	return new_size + model + DECODER_BASE;
}

uint64_t wasm_delta_encode_memory(uint64_t old_size, uint64_t new_size)
{
	return 8 * (old_size + new_size) + (48ull << 20);
}

/* ---- the head */

static void write_head(struct fl_buf *out, const struct wasm_delta_head *h)
{
	uint8_t *to = fl_buf_reserve(out, 2 + 2 * WASM_LEB_MAX), *end;

	if (to == NULL)
		return;
	to[0] = MAGIC;
	to[1] = (uint8_t)(VERSION << 4 | (h->component ? COMPONENT : 0) | h->back);
	end = wasm_put_unsigned(to + 2, h->size, 0);
	end = wasm_put_unsigned(end, (h->memory + MEMORY_UNIT - 1) / MEMORY_UNIT, 0);
	out->n += (size_t)(end - to);
}

static enum fl_code read_head(struct wasm_reader *r, struct wasm_delta_head *h, struct fl_err *err)
{
	size_t bytes = wasm_left(r);
	unsigned magic = wasm_byte(r), kind = wasm_byte(r), pad = 0;

	h->back = (enum wasm_back_end)(kind & 7);
	h->component = (kind & COMPONENT) != 0;
	h->size = wasm_unsigned(r, &pad);
	h->memory = wasm_unsigned(r, &pad);
	if (r->bad || magic != MAGIC || kind >> 4 != VERSION || h->back > WASM_ADAPTIVE_16M ||
		h->memory > UINT64_MAX / MEMORY_UNIT)
		return fl_fail(err, FL_CORRUPT, "not a module's delta of version %d", VERSION);
	h->memory *= MEMORY_UNIT;
	h->bytes = bytes - wasm_left(r);
	return FL_OK;
}

void wasm_delta_state_memory(struct fl_buf *delta, uint64_t memory)
{
	struct wasm_reader r = wasm_reader((struct fl_bytes){ delta->p, delta->n });
	FL_AUTO_BUF struct fl_buf again = { 0 };
	struct wasm_delta_head h;

	FL_BUG_IF(read_head(&r, &h, NULL) != FL_OK);
	h.memory = memory * (sizeof(uint64_t) / sizeof(void *)) + WASM_DELTA_MARGIN;
	write_head(&again, &h);
	fl_buf_add(&again, r.p, wasm_left(&r));
	if (again.failed) {
		delta->failed = true;
		return;
	}
	fl_buf_reset(delta);
	fl_buf_add(delta, again.p, again.n);
}

uint64_t wasm_delta_stated_memory(struct fl_bytes delta)
{
	struct wasm_reader r = wasm_reader(delta);
	struct wasm_delta_head h;

	return read_head(&r, &h, NULL) == FL_OK ? h.memory : 0;
}

/* ---- encoding */

static bool sections_fit(const struct wasm_module *m)
{
	for (size_t i = 0; i < m->n_sections; i++)
		if (m->sections[i].pad > 4)
			return false;
	return true;
}

/* Prepare the coder that the options ask for. */
static enum fl_code start_encoding(struct coder *c, const struct wasm_delta_options *options,
	uint64_t new_size, struct fl_buf *out, struct fl_err *err)
{
	if (options->back == WASM_ZSTD) {
		coder_encode_plain(c);
		return FL_OK;
	}
	return coder_encode_adaptive(c, model_sets(options->back, new_size), out, err);
}

static enum fl_code run_model(
	const struct wasm_parsed_pair *pair, struct coder *c, struct fl_err *err)
{
	struct model *m = calloc(1, sizeof(*m));
	enum fl_code code;

	if (m == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a delta");
	m->c = c;
	m->encoding = true;
	m->old = pair->old;
	m->new = pair->new;
	m->alignment = pair->alignment;
	code = model_run(m, err);
	model_fini(m);
	free(m);
	return code;
}

/* Everything behind the head. */
static enum fl_code encode_pair(const struct wasm_parsed_pair *pair,
	const struct wasm_delta_options *options, struct fl_buf *out, struct fl_err *err)
{
	struct coder *c = calloc(1, sizeof(*c));
	enum fl_code code;

	if (c == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a delta");
	code = start_encoding(c, options, pair->new->bytes.n, out, err);
	if (code == FL_OK)
		code = run_model(pair, c, err);
	if (code == FL_OK)
		code = coder_finish(c, wasm_delta_level(options), out, err);
	coder_fini(c);
	free(c);
	return code;
}

int wasm_delta_level(const struct wasm_delta_options *options)
{
	return options->level > 0 ? options->level : LEVEL_DEFAULT;
}

static enum fl_code encode_module(struct fl_bytes old, struct fl_bytes new,
	const struct wasm_delta_options *options, struct fl_buf *out, struct fl_err *err)
{
	struct wasm_parses own = { 0 };
	struct wasm_parses *parses = options->parses != NULL ? options->parses : &own;
	struct wasm_parsed_pair pair;
	enum fl_code code;

	wasm_opcodes_init();
	/* Before there is a model, so that the memory of both does not add up. */
	code = wasm_parses_take(parses, old, new, &pair, err);
	if (code == FL_OK && !sections_fit(pair.new))
		code = fl_fail(err, FL_REFUSED, "a section's size has too much padding");
	if (code == FL_OK)
		code = encode_pair(&pair, options, out, err);
	wasm_parses_fini(&own);
	return code;
}

enum fl_code wasm_delta_encode(struct fl_bytes old, struct fl_bytes new,
	const struct wasm_delta_options *options, struct fl_buf *out, struct fl_err *err)
{
	const struct wasm_delta_head h = { .back = options->back,
		.component = wasm_is_component(old) && wasm_is_component(new),
		.size = new.n,
		.memory = wasm_delta_decode_memory(options->back, old.n, new.n) };

	if (new.n > SIZE_LIMIT || old.n > SIZE_LIMIT)
		return fl_fail(err, FL_TOO_LARGE, "a module's delta takes files of up to 1 GiB");
	write_head(out, &h);
	return h.component ? wasm_component_encode(old, new, options, out, err)
			   : encode_module(old, new, options, out, err);
}

enum fl_code wasm_delta_encode_module(struct fl_bytes old, struct fl_bytes new,
	const struct wasm_delta_options *options, struct fl_buf *out, struct fl_err *err)
{
	const struct wasm_delta_head h = { .back = options->back, .size = new.n };

	write_head(out, &h);
	return encode_module(old, new, options, out, err);
}

/* ---- decoding */

/* One decoding. */
struct decoding {
	struct wasm_delta_head head;
	struct coder *c;
	const struct fl_sink *out;
	struct wasm_delta_view *view; /* NULL: nobody looks */
	bool nested;                  /* a module of a component */
};

static void look(const struct model *m, struct wasm_delta_view *view)
{
	view->functions = m->new->n_bodies;
	view->moved = m->n_sure;
	view->tokens_copied = m->tokens_copied;
	view->tokens_new = m->tokens_new;
	for (size_t k = 0; k < m->data_copies.n; k++) {
		view->data_copied += m->data_copies.list[k].length;
		view->data_new += m->data_copies.list[k].extra;
	}
	coder_finish_stats(m->c);
}

static enum fl_code decode_modules(
	const struct decoding *d, const struct wasm_module *old, struct fl_err *err)
{
	struct fl_heap *heap = d->c->heap;
	struct wasm_module new = { .heap = heap, .residue.heap = heap };
	struct model *m = fl_heap_alloc(heap, 1, sizeof(*m));
	enum fl_code code;

	if (m == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a delta");
	m->c = d->c;
	m->heap = heap;
	m->old = old;
	m->new = &new;
	m->limit = d->head.size;
	m->sink = d->out;
	code = model_run(m, err);
	if (code == FL_OK && m->written != d->head.size)
		code = fl_fail(err, FL_CORRUPT, "the delta gives fewer bytes than it says");
	if (code == FL_OK && d->view != NULL)
		look(m, d->view);
	model_fini(m);
	fl_heap_free(heap, m);
	wasm_module_fini(&new);
	return code;
}

static enum fl_code start_decoding(struct coder *c, enum wasm_back_end back, struct fl_bytes data,
	uint64_t size, struct fl_err *err)
{
	/* Streams hold less than a few bytes for each byte that they stand for. */
	return back == WASM_ZSTD ? coder_decode_plain(c, data, 4 * size + 65536, err)
				 : coder_decode_adaptive(c, model_sets(back, size), data, err);
}

/* Refuse what is more than the caller allows before anything is allocated. */
static enum fl_code check_limits(
	const struct wasm_delta_head *h, const struct fl_codec_limits *limits, struct fl_err *err)
{
	if (h->size > limits->output_max || h->size > SIZE_LIMIT)
		return fl_fail(err, FL_CORRUPT, "the delta says %llu bytes, more than the offer",
			(unsigned long long)h->size);
	if (limits->memory_max != 0 && h->memory > limits->memory_max)
		return fl_fail(err, FL_TOO_LARGE,
			"decoding needs %llu bytes of memory, the limit is %llu",
			(unsigned long long)h->memory, (unsigned long long)limits->memory_max);
	return FL_OK;
}

/* Everything behind the head; `data` are the coder's bytes. */
static enum fl_code decode_body(
	const struct decoding *d, struct fl_bytes old, struct fl_bytes data, struct fl_err *err)
{
	struct wasm_module o = { .heap = d->c->heap };
	enum fl_code code = wasm_module_split(&o, old, err);

	if (code == FL_REFUSED)
		code = fl_fail(
			err, FL_CORRUPT, "the old bytes are not the module that the delta is for");
	if (code == FL_OK)
		code = start_decoding(d->c, d->head.back, data, d->head.size, err);
	if (code == FL_OK)
		code = decode_modules(d, &o, err);
	wasm_module_fini(&o);
	return code;
}

static enum fl_code decode_module(struct fl_heap *heap, struct decoding *d, struct fl_bytes old,
	struct fl_bytes data, struct fl_err *err)
{
	enum fl_code code;

	wasm_opcodes_init();
	d->c = fl_heap_alloc(heap, 1, sizeof(*d->c));
	if (d->c == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a delta");
	d->c->heap = heap;
	d->c->stats = d->view == NULL ? NULL : d->view->stats;
	code = decode_body(d, old, data, err);
	coder_fini(d->c);
	fl_heap_free(heap, d->c);
	return code;
}

static enum fl_code decode_on(struct fl_heap *heap, struct decoding *d, struct fl_bytes old,
	struct fl_bytes data, struct fl_err *err)
{
	const struct fl_codec_limits exact = { .output_max = d->head.size, .heap = heap };
	enum fl_code code;

	if (!d->nested)
		heap->limit = d->head.memory;
	code = d->head.component ? wasm_component_decode(old, data, &exact, d->out, err)
				 : decode_module(heap, d, old, data, err);
	/* Without memory a table may have stayed empty, and what came out be anything. */
	if (heap->over)
		code = fl_fail(err, FL_CORRUPT, "the delta takes more memory than it says");
	else if (heap->failed)
		code = fl_fail(err, FL_NOMEM, "no memory for a delta");
	return code;
}

static enum fl_code decode(struct decoding *d, struct fl_bytes old, struct fl_bytes data,
	const struct fl_codec_limits *limits, struct fl_err *err)
{
	struct fl_heap own = { 0 };
	struct wasm_reader r = wasm_reader(data);
	enum fl_code code = read_head(&r, &d->head, err);

	if (code == FL_OK)
		code = check_limits(&d->head, limits, err);
	/* Modules of a component keep to its limit, and are no components. */
	if (code == FL_OK && (d->nested ? d->head.component : d->head.memory == 0))
		code = fl_fail(err, FL_CORRUPT, "the delta's head makes no sense");
	if (code != FL_OK)
		return code;
	return decode_on(limits->heap != NULL ? limits->heap : &own, d, old,
		(struct fl_bytes){ r.p, wasm_left(&r) }, err);
}

enum fl_code wasm_delta_decode_module(struct fl_bytes old, struct fl_bytes data,
	const struct fl_codec_limits *limits, const struct fl_sink *out, struct fl_err *err)
{
	struct decoding d = { .out = out, .nested = true };

	return decode(&d, old, data, limits, err);
}

enum fl_code wasm_delta_decode(struct fl_bytes old, struct fl_bytes data,
	const struct fl_codec_limits *limits, const struct fl_sink *out, struct fl_err *err)
{
	struct decoding d = { .out = out };

	return decode(&d, old, data, limits, err);
}

/* ---- looking */

static enum fl_code drop(void *ctx, struct fl_bytes bytes, struct fl_err *err)
{
	(void)ctx;
	(void)bytes;
	(void)err;
	return FL_OK;
}

enum fl_code wasm_delta_view(struct fl_bytes old, struct fl_bytes data,
	const struct fl_codec_limits *limits, struct wasm_delta_view *view, struct fl_err *err)
{
	const struct fl_sink nowhere = { .write = drop };
	struct decoding d = { .out = &nowhere, .view = view, .nested = view->nested };

	return decode(&d, old, data, limits, err);
}

enum fl_code wasm_delta_unpack(struct fl_bytes data, struct wasm_delta_head *head,
	struct coder_stats *stats, struct fl_err *err)
{
	struct wasm_reader r = wasm_reader(data);
	struct coder *c;
	enum fl_code code = read_head(&r, head, err);

	if (code != FL_OK || head->back != WASM_ZSTD || head->component)
		return code;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a delta");
	c->stats = stats;
	code = start_decoding(
		c, WASM_ZSTD, (struct fl_bytes){ r.p, wasm_left(&r) }, head->size, err);
	coder_fini(c);
	free(c);
	return code;
}
