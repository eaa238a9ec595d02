/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/wasm/component.h"

#include <string.h>

#define MODULES_MAX 1024
#define DEPTH_MAX   16

static const uint8_t component_magic[8] = { 0, 'a', 's', 'm', 0x0d, 0, 1, 0 };
static const uint8_t module_magic[8] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };

enum { SECTION_MODULE = 1, SECTION_COMPONENT = 4 };

static bool begins_with(struct fl_bytes bytes, const uint8_t magic[8])
{
	return bytes.n >= 8 && memcmp(bytes.p, magic, 8) == 0;
}

bool wasm_is_component(struct fl_bytes bytes)
{
	return begins_with(bytes, component_magic);
}

/* ---- taking apart */

/* A component's core modules in their order, and all other bytes. */
struct parts {
	struct fl_bytes module[MODULES_MAX];
	size_t n;
	struct fl_buf rest;
};

static struct fl_bytes rest_of(const struct parts *p)
{
	return (struct fl_bytes){ p->rest.p, p->rest.n };
}

/* Note the modules of a component; false if it does not split. */
static bool find_modules(struct parts *p, struct fl_bytes bytes, unsigned depth)
{
	struct wasm_reader r = wasm_reader(bytes);

	(void)wasm_take(&r, sizeof(component_magic));
	while (wasm_left(&r) > 0 && !r.bad) {
		uint8_t id = wasm_byte(&r);
		unsigned pad;
		struct fl_bytes content = wasm_take(&r, wasm_unsigned(&r, &pad));

		if (id == SECTION_MODULE && begins_with(content, module_magic) &&
			p->n < MODULES_MAX)
			p->module[p->n++] = content;
		else if (id == SECTION_COMPONENT && depth < DEPTH_MAX &&
			wasm_is_component(content) && !find_modules(p, content, depth + 1))
			return false;
	}
	return !r.bad;
}

static enum fl_code take_apart(struct parts *p, struct fl_bytes bytes, struct fl_err *err)
{
	const uint8_t *from = bytes.p;

	if (!wasm_is_component(bytes) || !find_modules(p, bytes, 0))
		return fl_fail(err, FL_REFUSED, "the component does not split into sections");
	for (size_t i = 0; i < p->n; i++) {
		fl_buf_add(&p->rest, from, (size_t)(p->module[i].p - from));
		from = p->module[i].p + p->module[i].n;
	}
	fl_buf_add(&p->rest, from, (size_t)(bytes.p + bytes.n - from));
	return fl_buf_check(&p->rest, err);
}

static struct parts *parts_new(struct fl_heap *heap)
{
	struct parts *p = fl_heap_alloc(heap, 1, sizeof(*p));

	if (p != NULL)
		p->rest.heap = heap;
	return p;
}

static void parts_free(struct fl_heap *heap, struct parts *p)
{
	if (p != NULL)
		fl_buf_fini(&p->rest);
	fl_heap_free(heap, p);
}

/* ---- encoding */

static size_t distance(size_t a, size_t b)
{
	return a < b ? b - a : a - b;
}

/* The old module of the same place, or where their number changed the one of the most similar size. */
static size_t partner(const struct parts *old, const struct parts *new, size_t i)
{
	size_t best = i;

	if (old->n == new->n)
		return i;
	best = 0;
	for (size_t k = 1; k < old->n; k++)
		if (distance(old->module[k].n, new->module[i].n) <
			distance(old->module[best].n, new->module[i].n))
			best = k;
	return best;
}

static void put(struct fl_buf *out, uint64_t v)
{
	uint8_t *to = fl_buf_reserve(out, WASM_LEB_MAX);

	if (to != NULL)
		out->n += (size_t)(wasm_put_unsigned(to, v, 0) - to);
}

struct encoding {
	const struct parts *old, *new;
	const struct wasm_delta_options *options;
	struct fl_buf *out;
};

/* `new` are the parts of `whole`. */
static enum fl_code encode_parts(
	const struct encoding *e, struct fl_bytes whole, struct fl_err *err)
{
	const uint8_t *from = whole.p;
	const struct parts *old = e->old, *new = e->new;
	struct fl_buf *out = e->out;
	enum fl_code code = FL_OK;

	coder_write_piece(out, rest_of(new), rest_of(old), wasm_delta_level(e->options));
	put(out, new->n);
	for (size_t i = 0; i < new->n &&code == FL_OK; i++) {
		size_t k = partner(old, new, i);
		FL_AUTO_BUF struct fl_buf delta = { 0 };

		code = wasm_delta_encode_module(
			old->module[k], new->module[i], e->options, &delta, err);
		put(out, (uint64_t)(new->module[i].p - from));
		put(out, k);
		put(out, delta.n);
		fl_buf_add(out, delta.p, delta.n);
		out->failed |= delta.failed;
		from = new->module[i].p + new->module[i].n;
	}
	return code == FL_OK ? fl_buf_check(out, err) : code;
}

enum fl_code wasm_component_encode(struct fl_bytes old, struct fl_bytes new,
	const struct wasm_delta_options *options, struct fl_buf *out, struct fl_err *err)
{
	struct parts *o = parts_new(NULL), *n = parts_new(NULL);
	enum fl_code code = o == NULL || n == NULL
		? fl_fail(err, FL_NOMEM, "no memory for a component")
		: FL_OK;

	if (code == FL_OK)
		code = take_apart(o, old, err);
	if (code == FL_OK)
		code = take_apart(n, new, err);
	if (code == FL_OK && (o->n == 0 || n->n == 0))
		code = fl_fail(err, FL_REFUSED, "the component has no core module");
	if (code == FL_OK)
		code = encode_parts(&(struct encoding){ o, n, options, out }, new, err);
	parts_free(NULL, o);
	parts_free(NULL, n);
	return code;
}

/* ---- decoding */

/* The old component of a delta. */
static enum fl_code take_apart_old(struct parts *p, struct fl_bytes old, struct fl_err *err)
{
	enum fl_code code = take_apart(p, old, err);

	return code == FL_REFUSED
		? fl_fail(err, FL_CORRUPT,
			  "the old bytes are not the component that the delta is for")
		: code;
}

/* A core module of the delta; `old` stays as it is if nobody has the old component. */
struct followed {
	struct fl_bytes old, delta;
};

static enum fl_code read_followed(
	struct wasm_reader *r, const struct parts *old, struct followed *m, struct fl_err *err)
{
	unsigned pad;
	uint64_t partner = wasm_unsigned(r, &pad);

	m->delta = wasm_take(r, wasm_unsigned(r, &pad));
	if (r->bad || (old != NULL && partner >= old->n))
		return fl_fail(err, FL_CORRUPT, "a module of the component has no old one");
	if (old != NULL)
		m->old = old->module[partner];
	return FL_OK;
}

/* A component that is being put together. */
struct joining {
	const struct parts *old;
	struct fl_buf rest;
	size_t done;   /* bytes of the rest that are written */
	uint64_t left; /* bytes of the output that may still come */
	const struct fl_sink *out;
};

static enum fl_code write_counted(void *ctx, struct fl_bytes bytes, struct fl_err *err)
{
	struct joining *j = ctx;

	if (bytes.n > j->left)
		return fl_fail(err, FL_CORRUPT, "the delta gives more bytes than it says");
	j->left -= bytes.n;
	return j->out->write(j->out->ctx, bytes, err);
}

static enum fl_code write_rest(struct joining *j, uint64_t n, struct fl_err *err)
{
	struct fl_bytes bytes = { j->rest.p + j->done, (size_t)n };

	if (n > j->rest.n - j->done)
		return fl_fail(err, FL_CORRUPT, "a module stands behind the end of its component");
	j->done += (size_t)n;
	return n == 0 ? FL_OK : write_counted(j, bytes, err);
}

static enum fl_code join_module(struct joining *j, struct wasm_reader *r,
	const struct fl_codec_limits *limits, struct fl_err *err)
{
	const struct fl_sink sink = { write_counted, j };
	struct fl_codec_limits rest = { .output_max = j->left, .heap = limits->heap };
	struct followed m;
	enum fl_code code = read_followed(r, j->old, &m, err);

	return code == FL_OK ? wasm_delta_decode_module(m.old, m.delta, &rest, &sink, err) : code;
}

static enum fl_code join(struct joining *j, struct wasm_reader *r,
	const struct fl_codec_limits *limits, struct fl_err *err)
{
	unsigned pad;
	uint64_t most = j->left, n;
	enum fl_code code = coder_read_piece(r, &j->rest, rest_of(j->old), &most, err);

	n = wasm_unsigned(r, &pad);
	if (code == FL_OK && (r->bad || n > MODULES_MAX))
		code = fl_fail(err, FL_CORRUPT, "a component's delta is damaged");
	for (uint64_t i = 0; i < n && code == FL_OK; i++) {
		code = write_rest(j, wasm_unsigned(r, &pad), err);
		if (code == FL_OK)
			code = join_module(j, r, limits, err);
	}
	if (code == FL_OK)
		code = write_rest(j, j->rest.n - j->done, err);
	if (code == FL_OK && (r->bad || wasm_left(r) != 0 || j->left != 0))
		code = fl_fail(err, FL_CORRUPT, "a component's delta is damaged");
	return code;
}

enum fl_code wasm_component_decode(struct fl_bytes old, struct fl_bytes data,
	const struct fl_codec_limits *limits, const struct fl_sink *out, struct fl_err *err)
{
	struct parts *o = parts_new(limits->heap);
	struct joining j = {
		.old = o, .rest.heap = limits->heap, .left = limits->output_max, .out = out
	};
	struct wasm_reader r = wasm_reader(data);
	enum fl_code code = o == NULL ? fl_fail(err, FL_NOMEM, "no memory for a component")
				      : take_apart_old(o, old, err);

	if (code == FL_OK)
		code = join(&j, &r, limits, err);
	fl_buf_fini(&j.rest);
	parts_free(limits->heap, o);
	return code;
}

/* ---- looking */

static enum fl_code tell_modules(const struct parts *old, struct wasm_reader *r,
	wasm_component_fn fn, void *ctx, struct fl_err *err)
{
	unsigned pad;
	uint64_t size = wasm_unsigned(r, &pad), n;
	enum fl_code code = FL_OK;

	(void)wasm_take(r, (size & 1) != 0 ? wasm_unsigned(r, &pad) : size >> 1); /* the rest */
	n = wasm_unsigned(r, &pad);
	for (uint64_t i = 0; i < n && code == FL_OK; i++) {
		struct followed m = { 0 };

		(void)wasm_unsigned(r, &pad); /* how far it is from the one before */
		code = read_followed(r, old, &m, err);
		if (code == FL_OK)
			code = fn(ctx, m.old, m.delta, err);
	}
	return code;
}

enum fl_code wasm_component_each(struct fl_bytes old, struct fl_bytes data, wasm_component_fn fn,
	void *ctx, struct fl_err *err)
{
	struct parts *o = old.n == 0 ? NULL : parts_new(NULL);
	struct wasm_reader r = wasm_reader(data);
	enum fl_code code = FL_OK;

	if (old.n > 0)
		code = o == NULL ? fl_fail(err, FL_NOMEM, "no memory for a component")
				 : take_apart_old(o, old, err);
	if (code == FL_OK)
		code = tell_modules(o, &r, fn, ctx, err);
	parts_free(NULL, o);
	return code;
}
