/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/wasm/code.h"

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

static bool grow_ops(struct wasm_code *c)
{
	size_t cap = c->cap_ops == 0 ? 256 : c->cap_ops * 3 / 2;
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

static bool grow_imms(struct wasm_code *c)
{
	size_t cap = c->cap_imms == 0 ? 256 : c->cap_imms * 3 / 2;
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

enum fl_code wasm_code_op(struct wasm_code *c, unsigned op, struct fl_err *err)
{
	if ((c->n_ops == c->cap_ops && !grow_ops(c)) ||
		(c->n_imms + WASM_IMMS_MAX > c->cap_imms && !grow_imms(c)))
		return fl_fail(err, FL_NOMEM, "no memory for %zu instructions", c->n_ops);
	c->op[c->n_ops] = (uint16_t)op;
	c->first[c->n_ops++] = (uint32_t)c->n_imms;
	c->n_imms += wasm_ops[op].n_imms;
	c->first[c->n_ops] = (uint32_t)c->n_imms;
	return FL_OK;
}

/* ---- parsing: into c, or only counting when c is NULL */

struct parser {
	struct wasm_reader r;
	struct wasm_code *code; /* NULL: count only */
	size_t n;               /* tokens so far */
	bool no_memory;
	struct fl_err *err;
};

static void token(struct parser *p, unsigned op)
{
	p->n++;
	if (p->code != NULL && wasm_code_op(p->code, op, p->err) != FL_OK)
		p->no_memory = p->r.bad = true;
}

static uint64_t fixed(struct parser *p, unsigned n)
{
	struct fl_bytes b = wasm_take(&p->r, n);
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

/* Read one immediate of the last token. */
static uint64_t imm(struct parser *p, unsigned k, enum wasm_imm kind)
{
	unsigned pad = 0;
	uint64_t v;

	if (kind == WASM_IMM_F32 || kind == WASM_IMM_F64)
		v = fixed(p, kind == WASM_IMM_F32 ? 4 : 8);
	else if (!wasm_imm_is_leb(kind))
		v = wasm_byte(&p->r);
	else if (wasm_imm_is_signed(kind)) {
		v = (uint64_t)wasm_signed(&p->r, &pad);
		p->r.bad |= out_of_range(kind, (int64_t)v);
	} else {
		v = wasm_unsigned(&p->r, &pad);
		p->r.bad |= kind == WASM_IMM_ALIGN && v >= 64; /* multi-memory: kept raw */
	}
	if (p->code != NULL && !p->r.bad)
		wasm_code_imm(p->code, k, v, (uint8_t)pad);
	return v;
}

/* A token with its immediates; returns the last one. */
static uint64_t whole(struct parser *p, unsigned op)
{
	uint64_t last = 0;

	token(p, op);
	for (unsigned k = 0; k < wasm_ops[op].n_imms && !p->r.bad; k++)
		last = imm(p, k, wasm_ops[op].imms[k]);
	return last;
}

static bool is_reference(uint8_t type)
{
	return type == 0x63 || type == 0x64;
}

/* A type byte comes behind its count in locals, so look ahead for it. */
static void locals(struct parser *p)
{
	struct wasm_reader ahead = p->r;
	unsigned pad;

	(void)wasm_unsigned(&ahead, &pad);
	(void)whole(p,
		is_reference(wasm_byte(&ahead)) ? WASM_TOKEN_LOCALS_REFERENCE : WASM_TOKEN_LOCALS);
}

static void select_types(struct parser *p, uint64_t n)
{
	p->r.bad |= n > TYPES_MAX;
	for (uint64_t i = 0; i < n && !p->r.bad; i++) {
		struct wasm_reader ahead = p->r;

		(void)whole(p,
			is_reference(wasm_byte(&ahead)) ? WASM_TOKEN_SELECT_REFERENCE
							: WASM_TOKEN_SELECT);
	}
}

static void branches(struct parser *p, uint64_t n)
{
	p->r.bad |= n > BRANCHES_MAX;
	for (uint64_t i = 0; i <= n && !p->r.bad; i++)
		(void)whole(p, WASM_TOKEN_BRANCH);
}

static void catches(struct parser *p, uint64_t n)
{
	p->r.bad |= n > CATCHES_MAX;
	for (uint64_t i = 0; i < n && !p->r.bad; i++) {
		uint8_t clause = wasm_byte(&p->r);

		p->r.bad |= clause > 3;
		if (!p->r.bad)
			(void)whole(p, WASM_TOKEN_CATCH + clause);
	}
}

/* The next opcode as a token, WASM_TOKEN_MAX if it is not known. */
static unsigned opcode(struct parser *p)
{
	static const struct {
		uint8_t prefix;
		uint16_t base, size;
	} prefixes[] = {
		{ 0xfb, WASM_OP_FB, 0x20 },
		{ 0xfc, WASM_OP_FC, 0x20 },
		{ 0xfd, WASM_OP_FD, 0x200 },
		{ 0xfe, WASM_OP_FE, 0x50 },
	};
	unsigned byte = wasm_byte(&p->r), pad = 0;
	uint64_t sub;

	if (byte < 0xfb || byte > 0xfe)
		return wasm_ops[byte].known ? byte : WASM_TOKEN_MAX;
	sub = wasm_unsigned(&p->r, &pad);
	if (pad != 0 || sub >= prefixes[byte - 0xfb].size)
		return WASM_TOKEN_MAX;
	sub += prefixes[byte - 0xfb].base;
	return wasm_ops[sub].known ? (unsigned)sub : WASM_TOKEN_MAX;
}

static void instructions(struct parser *p)
{
	unsigned depth = 1;

	while (!p->r.bad && depth > 0) {
		unsigned op = opcode(p);
		uint64_t last;

		if (op == WASM_TOKEN_MAX) {
			p->r.bad = true;
			return;
		}
		last = whole(p, op);
		switch ((enum wasm_flow)wasm_ops[op].flow) {
		case WASM_FLOW_NONE:
			break;
		case WASM_FLOW_CATCHES:
			catches(p, last);
			depth++;
			break;
		case WASM_FLOW_OPEN:
			depth++;
			break;
		case WASM_FLOW_CLOSE:
			depth--;
			break;
		case WASM_FLOW_BRANCHES:
			branches(p, last);
			break;
		case WASM_FLOW_TYPES:
			select_types(p, last);
			break;
		}
	}
}

/* Whether the body was understood to its last byte. */
static bool parse(struct parser *p, unsigned size_pad)
{
	uint64_t groups;

	token(p, WASM_TOKEN_FUNCTION);
	groups = imm(p, 0, WASM_IMM_COUNT);
	if (p->code != NULL && !p->r.bad)
		wasm_code_imm(p->code, 1, size_pad, 0);
	p->r.bad |= groups > LOCALS_MAX;
	for (uint64_t i = 0; i < groups && !p->r.bad; i++)
		locals(p);
	if (!p->r.bad)
		instructions(p);
	return !p->r.bad && wasm_left(&p->r) == 0;
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
	struct parser p = { .r = wasm_reader(body), .code = c, .err = err };
	size_t n_ops = c->n_ops, n_imms = c->n_imms;

	if (parse(&p, size_pad))
		return FL_OK;
	if (p.no_memory)
		return FL_NOMEM;
	c->n_ops = n_ops;
	c->n_imms = n_imms;
	return parse_raw(c, body, size_pad, err);
}

size_t wasm_code_count(struct fl_bytes body)
{
	struct parser p = { .r = wasm_reader(body) };

	return parse(&p, 0) ? p.n : 1 + body.n;
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
	size = wasm_imm_is_signed(kind) ? wasm_leb_signed_size((int64_t)v)
					: wasm_leb_unsigned_size(v);
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
