/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/wasm/code.h"

#include "lib/delta/wasm/walk.h"

#include <stdlib.h>
#include <string.h>

#define BRANCHES_MAX 1000000
#define CATCHES_MAX  10000
#define TYPES_MAX    10
#define LOCALS_MAX   50000

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

/* Set immediate `k` of the last token. */
static inline void set_imm(struct wasm_code *c, unsigned k, uint64_t value, uint8_t pad)
{
	c->imm[c->first[c->n_ops - 1] + k] = value;
	c->pad[c->first[c->n_ops - 1] + k] = pad;
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

/* A memory index stands behind an alignment with bit 6, a heap type behind a reference as a block type:
 * both become one number with what is before them, which then must have its shortest form. */
static uint64_t with_memory(struct wasm_reader *r, uint64_t align)
{
	unsigned pad = 0;
	uint64_t memory = wasm_unsigned(r, &pad);

	r->bad |= align >= 128 || memory > UINT32_MAX || pad != 0;
	return align | memory << 7;
}

static uint64_t with_heap_type(struct wasm_reader *r, uint64_t byte)
{
	unsigned pad = 0;
	int64_t type = wasm_signed(r, &pad);

	r->bad |= pad != 0 || out_of_range(WASM_IMM_HEAP, type);
	return WASM_BLOCK_REFERENCE | ((uint64_t)type << 1 ^ (uint64_t)(type >> 63)) << 1 |
		(byte & 1);
}

static bool is_reference(uint8_t type)
{
	return type == 0x63 || type == 0x64;
}

void wasm_walk_number(struct wasm_reader *r, enum wasm_imm kind, struct wasm_number *n)
{
	n->pad = 0;
	if (kind == WASM_IMM_F32 || kind == WASM_IMM_F64) {
		n->v = fixed(r, kind == WASM_IMM_F32 ? 4 : 8);
	} else if (!wasm_imm_is_leb(kind)) {
		n->v = wasm_byte(r);
	} else if (kind == WASM_IMM_BLOCK && r->p < r->end && is_reference(*r->p)) {
		n->v = with_heap_type(r, wasm_byte(r));
	} else if (wasm_imm_is_signed(kind)) {
		n->v = (uint64_t)wasm_signed(r, &n->pad);
		r->bad |= out_of_range(kind, (int64_t)n->v);
	} else {
		n->v = wasm_unsigned(r, &n->pad);
		if (kind == WASM_IMM_ALIGN && n->v >= 64)
			n->v = with_memory(r, n->v);
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

/* ---- parsing */

struct parsing {
	struct wasm_code *code;
	unsigned size_pad;
	size_t end; /* stop when the code has so many tokens */
};

static inline bool parse_before(void *ctx, const struct wasm_walk *w)
{
	const struct parsing *p = ctx;

	(void)w;
	return p->code->n_ops < p->end;
}

static inline void parse_token(void *ctx, unsigned op)
{
	const struct parsing *p = ctx;

	add_op(p->code, op);
	if (op == WASM_TOKEN_FUNCTION)
		set_imm(p->code, 1, p->size_pad, 0);
}

static inline bool parse_imm(
	void *ctx, unsigned k, enum wasm_imm kind, const struct wasm_number *n, const uint8_t *end)
{
	const struct parsing *p = ctx;

	(void)kind;
	(void)end;
	set_imm(p->code, k, n->v, (uint8_t)n->pad);
	return true;
}

static const struct wasm_visitor parser = { parse_before, parse_token, parse_imm };

void wasm_code_parse_some(struct wasm_code *c, struct wasm_walk *w, unsigned size_pad, size_t n)
{
	struct parsing p = { c, size_pad, c->n_ops + n };

	(void)wasm_walk(w, &parser, &p);
}

void wasm_code_parse_raw(struct wasm_code *c, const struct wasm_body *body, size_t from, size_t n)
{
	for (size_t i = from; i < from + n; i++) {
		add_op(c, i == 0 ? WASM_TOKEN_RAW : WASM_TOKEN_RAW_BYTE);
		set_imm(c, 0, i == 0 ? body->bytes.n : body->bytes.p[i - 1], 0);
		if (i == 0)
			set_imm(c, 1, body->size_pad, 0);
	}
}

enum fl_code wasm_code_parse(struct wasm_code *c, const struct wasm_body *body, struct fl_err *err)
{
	struct parsing p = { c, body->size_pad, SIZE_MAX };
	struct wasm_walk w = wasm_walk_start(body->bytes);
	size_t n_ops = c->n_ops, n_imms = c->n_imms;

	if (!reserve(c, body->bytes.n))
		return fl_fail(err, FL_NOMEM, "no memory for %zu instructions", c->n_ops);
	if (wasm_walk(&w, &parser, &p))
		return FL_OK;
	c->n_ops = n_ops;
	c->n_imms = n_imms;
	wasm_code_parse_raw(c, body, 0, wasm_code_raw_count(body->bytes));
	return FL_OK;
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
	if (kind == WASM_IMM_ALIGN && (v & 64) != 0) {
		if (1 + pad > WASM_LEB_MAX)
			return NULL;
		to = wasm_put_unsigned(to, v & 127, pad);
		return wasm_put_unsigned(to, v >> 7, 0);
	}
	if (kind == WASM_IMM_BLOCK && (v & WASM_BLOCK_REFERENCE) != 0 && (int64_t)v > 0) {
		uint64_t type = (v & (WASM_BLOCK_REFERENCE - 1)) >> 1;

		*to++ = (uint8_t)(0x64 - (v & 1));
		return wasm_put_signed(to, (int64_t)(type >> 1 ^ -(type & 1)), 0);
	}
	size = wasm_imm_bytes(kind, v);
	if (size + pad > WASM_LEB_MAX)
		return NULL;
	return wasm_imm_is_signed(kind) ? wasm_put_signed(to, (int64_t)v, pad)
					: wasm_put_unsigned(to, v, pad);
}

/* Most bytes of one token: prefix, opcode and four immediates, some of two numbers. */
#define TOKEN_BYTES_MAX (3 + (WASM_IMMS_MAX - 1) * 2 * WASM_LEB_MAX)

bool wasm_code_put(struct fl_buf *out, unsigned op, const uint64_t *imm, const uint8_t *pad)
{
	uint8_t *start = fl_buf_reserve(out, TOKEN_BYTES_MAX), *at = start;
	const struct wasm_op *row = &wasm_ops[op];

	if (start == NULL || op == WASM_TOKEN_RAW)
		return start != NULL;
	at = put_op(at, op);
	for (unsigned k = 0; k < row->n_imms && at != NULL; k++)
		if (row->imms[k] != WASM_IMM_PAD)
			at = put_imm(at, (enum wasm_imm)row->imms[k], imm[k], pad[k]);
	if (at == NULL)
		return false;
	out->n += (size_t)(at - start);
	return true;
}

struct wasm_body_mark wasm_code_begin(struct fl_buf *out, size_t bytes, unsigned pad)
{
	struct wasm_body_mark mark = { .start = out->n };
	uint8_t *to = fl_buf_reserve(out, 2 * WASM_LEB_MAX);

	if (to != NULL)
		mark.size_bytes = (size_t)(wasm_put_unsigned(to, bytes, pad) - to);
	out->n += mark.size_bytes;
	return mark;
}

bool wasm_code_end(struct fl_buf *out, const struct wasm_body_mark *mark, uint64_t pad)
{
	size_t from = mark->start + mark->size_bytes, bytes = out->n - from, n;
	uint8_t size[WASM_LEB_MAX];

	if (out->failed || pad > WASM_LEB_MAX ||
		wasm_leb_unsigned_size(bytes) + pad > WASM_LEB_MAX ||
		fl_buf_reserve(out, WASM_LEB_MAX) == NULL)
		return false;
	n = (size_t)(wasm_put_unsigned(size, bytes, (unsigned)pad) - size);
	if (n != mark->size_bytes)
		memmove(out->p + mark->start + n, out->p + from, bytes);
	memcpy(out->p + mark->start, size, n);
	out->n = mark->start + n + bytes;
	return true;
}
