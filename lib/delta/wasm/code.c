/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/wasm/code.h"

#include "lib/delta/wasm/walk.h"

#include <stdlib.h>
#include <string.h>

#define BRANCHES_MAX 1000000
#define CATCHES_MAX  10000
#define TYPES_MAX    10
#define LOCALS_MAX   50000

void wasm_code_reset(struct wasm_code *c)
{
	c->n_ops = c->n_imms = 0;
}

void wasm_code_fini(struct wasm_code *c)
{
	free(c->op);
	free(c->first);
	free(c->imm);
	free(c->pad);
	*c = (struct wasm_code){ 0 };
}

static bool grow_ops(struct wasm_code *c, size_t least)
{
	size_t cap = c->cap_ops * 3 / 2 < least ? least : c->cap_ops * 3 / 2;
	uint16_t *op = realloc(c->op, cap * sizeof(*op));
	uint32_t *first;

	if (op == NULL)
		return false;
	c->op = op;
	first = realloc(c->first, (cap + 1) * sizeof(*first));
	if (first == NULL)
		return false;
	c->first = first;
	c->cap_ops = cap;
	return true;
}

static bool grow_imms(struct wasm_code *c, size_t least)
{
	size_t cap = c->cap_imms * 3 / 2 < least ? least : c->cap_imms * 3 / 2;
	uint64_t *imm = realloc(c->imm, cap * sizeof(*imm));
	uint8_t *pad;

	if (imm == NULL)
		return false;
	c->imm = imm;
	pad = realloc(c->pad, cap);
	if (pad == NULL)
		return false;
	c->pad = pad;
	c->cap_imms = cap;
	return true;
}

/* Room for the tokens of a body of so many bytes: the first one and its padding take none of them,
 * each other token and immediate one or more. */
static bool reserve(struct wasm_code *c, size_t bytes)
{
	size_t ops = c->n_ops + bytes + 1, imms = c->n_imms + bytes + WASM_IMMS_MAX;

	return (ops <= c->cap_ops || grow_ops(c, ops)) &&
		(imms <= c->cap_imms || grow_imms(c, imms));
}

static inline void add_op(struct wasm_code *c, unsigned op)
{
	c->op[c->n_ops] = (uint16_t)op;
	c->first[c->n_ops++] = (uint32_t)c->n_imms;
	c->n_imms += wasm_ops[op].n_imms;
	c->first[c->n_ops] = (uint32_t)c->n_imms;
}

enum fl_code wasm_code_op(struct wasm_code *c, unsigned op, struct fl_err *err)
{
	if ((c->n_ops == c->cap_ops && !grow_ops(c, 256)) ||
		(c->n_imms + WASM_IMMS_MAX > c->cap_imms && !grow_imms(c, 256)))
		return fl_fail(err, FL_NOMEM, "no memory for %zu instructions", c->n_ops);
	add_op(c, op);
	return FL_OK;
}

/* ---- walking: what is seldom */

static uint64_t fixed(struct wasm_reader *r, unsigned n)
{
	struct fl_bytes b = wasm_take(r, n);
	uint64_t v = 0;

	for (size_t i = b.n; i-- > 0;)
		v = v << 8 | b.p[i];
	return v;
}

static bool out_of_range(enum wasm_imm kind, int64_t v)
{
	if (kind == WASM_IMM_I32)
		return v > INT32_MAX || v < INT32_MIN;
	return (kind == WASM_IMM_BLOCK || kind == WASM_IMM_HEAP) &&
		(v >= 1LL << 32 || v < -(1LL << 32));
}

void wasm_walk_number(struct wasm_reader *r, enum wasm_imm kind, struct wasm_number *n)
{
	n->pad = 0;
	if (kind == WASM_IMM_F32 || kind == WASM_IMM_F64) {
		n->v = fixed(r, kind == WASM_IMM_F32 ? 4 : 8);
	} else if (!wasm_imm_is_leb(kind)) {
		n->v = wasm_byte(r);
	} else if (wasm_imm_is_signed(kind)) {
		n->v = (uint64_t)wasm_signed(r, &n->pad);
		r->bad |= out_of_range(kind, (int64_t)n->v);
	} else {
		n->v = wasm_unsigned(r, &n->pad);
		r->bad |= kind == WASM_IMM_ALIGN && n->v >= 64; /* multi-memory: kept raw */
	}
}

unsigned wasm_walk_prefixed(struct wasm_reader *r, uint8_t prefix)
{
	static const struct {
		uint16_t base, size;
	} prefixes[] = {
		{ WASM_OP_FB, 0x20 },
		{ WASM_OP_FC, 0x20 },
		{ WASM_OP_FD, 0x200 },
		{ WASM_OP_FE, 0x50 },
	};
	unsigned pad = 0;
	uint64_t sub = wasm_unsigned(r, &pad);

	if (r->bad || pad != 0 || sub >= prefixes[prefix - 0xfb].size)
		return WASM_TOKEN_MAX;
	sub += prefixes[prefix - 0xfb].base;
	return wasm_ops[sub].known ? (unsigned)sub : WASM_TOKEN_MAX;
}

static bool is_reference(uint8_t type)
{
	return type == 0x63 || type == 0x64;
}

unsigned wasm_walk_element(struct wasm_reader *r, unsigned list)
{
	struct wasm_reader ahead = *r;
	unsigned clause, pad;

	switch (list) {
	case WASM_TOKEN_LOCALS: /* the type comes behind the count */
		(void)wasm_unsigned(&ahead, &pad);
		return is_reference(wasm_byte(&ahead)) ? WASM_TOKEN_LOCALS_REFERENCE : list;
	case WASM_TOKEN_SELECT:
		return is_reference(wasm_byte(&ahead)) ? WASM_TOKEN_SELECT_REFERENCE : list;
	case WASM_TOKEN_CATCH:
		clause = wasm_byte(r);
		return r->bad || clause > 3 ? WASM_TOKEN_MAX : list + clause;
	default:
		return list;
	}
}

void wasm_walk_begin(
	struct wasm_walk_list *list, enum wasm_flow flow, uint64_t count, struct wasm_reader *r)
{
	static const struct {
		unsigned op;
		uint64_t max;
	} lists[] = {
		[WASM_FLOW_BRANCHES] = { WASM_TOKEN_BRANCH, BRANCHES_MAX },
		[WASM_FLOW_TYPES] = { WASM_TOKEN_SELECT, TYPES_MAX },
		[WASM_FLOW_CATCHES] = { WASM_TOKEN_CATCH, CATCHES_MAX },
		[WASM_FLOW_LOCALS] = { WASM_TOKEN_LOCALS, LOCALS_MAX },
	};

	if (flow < WASM_FLOW_BRANCHES)
		return;
	r->bad |= count > lists[flow].max;
	list->op = lists[flow].op;
	list->left = count + (flow == WASM_FLOW_BRANCHES); /* the default */
}

/* ---- parsing and counting */

struct parsing {
	struct wasm_code *code;
	unsigned size_pad;
};

static inline void parse_token(void *ctx, unsigned op)
{
	const struct parsing *p = ctx;

	add_op(p->code, op);
	if (op == WASM_TOKEN_FUNCTION)
		wasm_code_imm(p->code, 1, p->size_pad, 0);
}

static inline bool parse_imm(
	void *ctx, unsigned k, enum wasm_imm kind, const struct wasm_number *n, const uint8_t *end)
{
	const struct parsing *p = ctx;

	(void)kind;
	(void)end;
	wasm_code_imm(p->code, k, n->v, (uint8_t)n->pad);
	return true;
}

static enum fl_code parse_raw(
	struct wasm_code *c, struct fl_bytes body, unsigned size_pad, struct fl_err *err)
{
	enum fl_code code = wasm_code_op(c, WASM_TOKEN_RAW, err);

	if (code != FL_OK)
		return code;
	wasm_code_imm(c, 0, body.n, 0);
	wasm_code_imm(c, 1, size_pad, 0);
	for (size_t i = 0; i < body.n; i++) {
		code = wasm_code_op(c, WASM_TOKEN_RAW_BYTE, err);
		if (code != FL_OK)
			return code;
		wasm_code_imm(c, 0, body.p[i], 0);
	}
	return FL_OK;
}

enum fl_code wasm_code_parse(
	struct wasm_code *c, struct fl_bytes body, unsigned size_pad, struct fl_err *err)
{
	static const struct wasm_visitor visitor = { parse_token, parse_imm };
	struct parsing p = { c, size_pad };
	size_t n_ops = c->n_ops, n_imms = c->n_imms;

	if (!reserve(c, body.n))
		return fl_fail(err, FL_NOMEM, "no memory for %zu instructions", c->n_ops);
	if (wasm_walk(body, &visitor, &p))
		return FL_OK;
	c->n_ops = n_ops;
	c->n_imms = n_imms;
	return parse_raw(c, body, size_pad, err);
}

static inline void count_token(void *ctx, unsigned op)
{
	(void)op;
	++*(size_t *)ctx;
}

static inline bool count_imm(
	void *ctx, unsigned k, enum wasm_imm kind, const struct wasm_number *n, const uint8_t *end)
{
	(void)ctx;
	(void)k;
	(void)kind;
	(void)n;
	(void)end;
	return true;
}

size_t wasm_code_count(struct fl_bytes body)
{
	static const struct wasm_visitor visitor = { count_token, count_imm };
	size_t n = 0;

	return wasm_walk(body, &visitor, &n) ? n : wasm_code_raw_count(body);
}

/* ---- emitting */

static uint8_t *put_op(uint8_t *to, unsigned op)
{
	if (op < 0x100) {
		*to++ = (uint8_t)op;
	} else if (op < WASM_OP_FD) {
		*to++ = 0xfc;
		to = wasm_put_unsigned(to, op - WASM_OP_FC, 0);
	} else if (op < WASM_OP_FE) {
		*to++ = 0xfd;
		to = wasm_put_unsigned(to, op - WASM_OP_FD, 0);
	} else if (op < WASM_OP_FB) {
		*to++ = 0xfe;
		to = wasm_put_unsigned(to, op - WASM_OP_FE, 0);
	} else if (op < WASM_TOKEN_FUNCTION) {
		*to++ = 0xfb;
		to = wasm_put_unsigned(to, op - WASM_OP_FB, 0);
	} else if (op >= WASM_TOKEN_CATCH && op <= WASM_TOKEN_CATCH_ALL_REF) {
		*to++ = (uint8_t)(op - WASM_TOKEN_CATCH);
	}
	return to;
}

/* Write one immediate; NULL when value and padding do not fit. */
static uint8_t *put_imm(uint8_t *to, enum wasm_imm kind, uint64_t v, unsigned pad)
{
	unsigned size;

	if (kind == WASM_IMM_F32 || kind == WASM_IMM_F64) {
		for (unsigned i = 0; i < (kind == WASM_IMM_F32 ? 4u : 8u); i++)
			*to++ = (uint8_t)(v >> (8 * i));
		return to;
	}
	if (!wasm_imm_is_leb(kind)) {
		*to = (uint8_t)v;
		return to + 1;
	}
	size = wasm_imm_bytes(kind, v);
	if (size + pad > WASM_LEB_MAX)
		return NULL;
	return wasm_imm_is_signed(kind) ? wasm_put_signed(to, (int64_t)v, pad)
					: wasm_put_unsigned(to, v, pad);
}

/* Most bytes of one token: prefix, opcode and four immediates. */
#define TOKEN_BYTES_MAX (3 + (WASM_IMMS_MAX - 1) * WASM_LEB_MAX)

static enum fl_code emit_tokens(
	const struct wasm_code *c, size_t from, size_t to, struct fl_buf *out, struct fl_err *err)
{
	for (size_t t = from; t < to; t++) {
		unsigned op = c->op[t];
		uint8_t *start = fl_buf_reserve(out, TOKEN_BYTES_MAX), *at = start;

		if (start == NULL)
			return fl_buf_check(out, err);
		at = put_op(at, op);
		for (unsigned k = 0; k < wasm_ops[op].n_imms; k++) {
			uint32_t i = c->first[t] + k;

			if (wasm_ops[op].imms[k] == WASM_IMM_PAD || op == WASM_TOKEN_RAW)
				continue;
			at = put_imm(at, wasm_ops[op].imms[k], c->imm[i], c->pad[i]);
			if (at == NULL)
				return fl_fail(
					err, FL_CORRUPT, "an integer is padded beyond its size");
		}
		out->n += (size_t)(at - start);
	}
	return FL_OK;
}

enum fl_code wasm_code_emit(
	const struct wasm_code *c, size_t from, size_t to, struct fl_buf *out, struct fl_err *err)
{
	uint8_t size[WASM_LEB_MAX + 1];
	size_t start = out->n, body_bytes, size_bytes;
	uint64_t pad = c->imm[c->first[from] + 1];
	enum fl_code code = emit_tokens(c, from, to, out, err);

	if (code != FL_OK)
		return code;
	body_bytes = out->n - start;
	if (pad > WASM_LEB_MAX || wasm_leb_unsigned_size(body_bytes) + pad > WASM_LEB_MAX)
		return fl_fail(err, FL_CORRUPT, "a body's size is padded beyond its size");
	/* The size is known only now: move the body up and put it before. */
	size_bytes = (size_t)(wasm_put_unsigned(size, body_bytes, (unsigned)pad) - size);
	if (fl_buf_reserve(out, size_bytes) == NULL)
		return fl_buf_check(out, err);
	memmove(out->p + start + size_bytes, out->p + start, body_bytes);
	memcpy(out->p + start, size, size_bytes);
	out->n += size_bytes;
	return FL_OK;
}
