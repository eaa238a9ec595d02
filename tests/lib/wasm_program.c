/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/wasm_program.h"

#include <string.h>

#include "lib/delta/wasm/code.h"
#include "tests/lib/wasm_build.h"

#define SMALL 0xc0 /* numbers of statements below this are meant as they are */

/* ---- tokens */

/* A number for an immediate: what a statement says, then others that follow from it. */
static uint64_t next_number(uint64_t *state)
{
	uint64_t v = *state;

	if (v < SMALL) {
		*state = v + 1;
		return v;
	}
	v = wasm_build_random(state);
	return v >> (wasm_build_random(state) % 64);
}

static uint64_t any_immediate(uint64_t *state, enum wasm_imm kind)
{
	uint64_t v = next_number(state);

	switch (kind) {
	case WASM_IMM_I32:
		return (uint64_t)(int64_t)(int32_t)v;
	case WASM_IMM_BLOCK: /* also references to heap types */
		return v % 5 == 0 ? WASM_BLOCK_REFERENCE | v % 100000 : v % 64;
	case WASM_IMM_HEAP:
		return v % 64;
	case WASM_IMM_ALIGN: /* also with memory indices */
		return v % 3 == 0 ? 64 | v % 5 | v % 1000 << 7 : v % 5;
	case WASM_IMM_VALUE_TYPE:
		return 0x70 + v % 16;
	case WASM_IMM_F32:
		return (uint32_t)v;
	case WASM_IMM_LANE:
		return (uint8_t)v;
	default:
		return v;
	}
}

/* Append a token; its last immediate is `count` if that is what it means. */
static void add_token(struct fl_buf *out, uint64_t *state, unsigned op, uint64_t count)
{
	uint64_t imm[WASM_IMMS_MAX];
	const uint8_t pad[WASM_IMMS_MAX] = { 0 };

	for (unsigned k = 0; k < wasm_ops[op].n_imms; k++) {
		enum wasm_imm kind = wasm_ops[op].imms[k];

		imm[k] = kind == WASM_IMM_COUNT ? count : any_immediate(state, kind);
	}
	(void)!wasm_code_put(out, op, imm, pad);
}

/* The elements of the list that an instruction begins. */
static void add_list(struct fl_buf *out, uint64_t *state, unsigned flow, uint64_t count)
{
	for (uint64_t i = 0; i < count + (flow == WASM_FLOW_BRANCHES); i++) {
		if (flow == WASM_FLOW_BRANCHES)
			add_token(out, state, WASM_TOKEN_BRANCH, 0);
		else if (flow == WASM_FLOW_TYPES)
			add_token(out, state, WASM_TOKEN_SELECT, 0);
		else
			add_token(out, state, WASM_TOKEN_CATCH + i % 4, 0);
	}
}

/* A body, and how many blocks are open in it; 0: there is none. */
struct body {
	struct fl_buf bytes;
	unsigned depth;
};

static void begin_body(struct body *b, uint64_t *state)
{
	add_token(&b->bytes, state, WASM_TOKEN_FUNCTION, 1);
	add_token(&b->bytes, state, WASM_TOKEN_LOCALS, 3);
	b->depth = 1;
}

static void add_instruction(struct body *b, uint64_t *state, unsigned op)
{
	uint64_t count = wasm_build_random(&(uint64_t){ *state }) % 5;
	unsigned flow = wasm_ops[op].flow;

	if (flow == WASM_FLOW_CLOSE && b->depth < 2)
		return;
	add_token(&b->bytes, state, op, count);
	b->depth += flow == WASM_FLOW_OPEN || flow == WASM_FLOW_CATCHES;
	b->depth -= flow == WASM_FLOW_CLOSE;
	if (flow >= WASM_FLOW_BRANCHES)
		add_list(&b->bytes, state, flow, count);
}

static void end_body(struct body *b)
{
	for (; b->depth > 0; b->depth--)
		fl_buf_byte(&b->bytes, 0x0b);
}

void wasm_program_any_body(uint64_t seed, struct fl_buf *out)
{
	uint64_t state = seed + SMALL;
	struct body b = { 0 };

	wasm_opcodes_init();
	begin_body(&b, &state);
	for (unsigned op = 0; op < WASM_TOKEN_FUNCTION; op++)
		if (wasm_ops[op].known && wasm_ops[op].flow != WASM_FLOW_CLOSE)
			add_instruction(&b, &state, op);
	end_body(&b);
	fl_buf_add(out, b.bytes.p, b.bytes.n);
	fl_buf_fini(&b.bytes);
}

/* ---- sections */

/* Vectors of a module in the order of their sections; the last two are custom sections. */
enum part { TYPES, IMPORTS, FUNCTIONS, EXPORTS, ELEMENTS, CODE, DATA, NAMES, DEBUG, PARTS };

struct vector {
	struct fl_buf bytes;
	unsigned n;
};

struct maker {
	struct vector part[PARTS];
	struct body body;
};

static void put(struct fl_buf *b, uint64_t v)
{
	uint8_t *to = fl_buf_reserve(b, WASM_LEB_MAX);

	b->n += (size_t)(wasm_put_unsigned(to, v, 0) - to);
}

static void put_bytes(struct fl_buf *b, const struct fl_buf *bytes)
{
	put(b, bytes->n);
	fl_buf_add(b, bytes->p, bytes->n);
}

static void put_name(struct fl_buf *b, uint8_t v)
{
	put(b, 2);
	fl_buf_byte(b, (uint8_t)('a' + v / 16));
	fl_buf_byte(b, (uint8_t)('a' + v % 16));
}

/* `{ 0, i32.const v, end }`: active segments. */
static void put_segment(struct fl_buf *b, uint8_t v)
{
	const uint8_t head[] = { 0, 0x41, v & 0x3f, 0x0b };

	fl_buf_add(b, head, sizeof(head));
}

static void add_type(struct fl_buf *b, uint8_t v)
{
	const uint8_t function[] = { 0x60, 1, 0x7f, 0 }, structure[] = { 0x5f, 1, 0x7f, 1 },
		      array[] = { 0x5e, 0x63, v & 0x3f, 0 },
		      group[] = { 0x4e, 1, 0x50, 1, v & 0x3f, 0x60, 0, 0 };

	if (v % 4 == 0)
		fl_buf_add(b, group, sizeof(group));
	else
		fl_buf_add(b, v % 4 == 1 ? function : v % 4 == 2 ? structure : array, 4);
}

static void add_import(struct fl_buf *b, uint8_t v)
{
	put_name(b, v / 16);
	put_name(b, v);
	fl_buf_byte(b, 0);
	put(b, v % 8);
}

static void add_export(struct fl_buf *b, uint8_t v)
{
	put_name(b, v);
	fl_buf_byte(b, v % 4);
	put(b, v);
}

static void add_elements(struct fl_buf *b, uint8_t v)
{
	put_segment(b, v);
	put(b, v % 4);
	for (unsigned i = 0; i < v % 4; i++)
		put(b, v + i);
}

static void add_data(struct fl_buf *b, uint8_t v)
{
	put_segment(b, v);
	put(b, v % 32);
	for (unsigned i = 0; i < v % 32; i++)
		fl_buf_byte(b, i % 4 == 0 ? v : 0);
}

static void end_function(struct maker *m)
{
	if (m->body.depth == 0)
		return;
	end_body(&m->body);
	put_bytes(&m->part[CODE].bytes, &m->body.bytes);
	fl_buf_reset(&m->body.bytes);
}

static void begin_function(struct maker *m, uint8_t v)
{
	end_function(m);
	put(&m->part[FUNCTIONS].bytes, v % 8);
	m->part[FUNCTIONS].n++;
	m->part[CODE].n++;
	begin_body(&m->body, &(uint64_t){ v });
}

/* Something that is no instruction. */
static void add_other(struct maker *m, unsigned what, uint8_t v)
{
	static void (*const add[])(struct fl_buf *, uint8_t) = { [TYPES] = add_type,
		[IMPORTS] = add_import,
		[EXPORTS] = add_export,
		[ELEMENTS] = add_elements,
		[DATA] = add_data,
		[NAMES] = put_name,
		[DEBUG] = fl_buf_byte };
	enum part p = what % PARTS;

	if (p == FUNCTIONS) {
		begin_function(m, v);
	} else if (p == CODE) {
		if (m->body.depth > 0) /* a body that nobody understands from here on */
			fl_buf_byte(&m->body.bytes, 0xf0);
	} else {
		if (p == NAMES)
			put(&m->part[p].bytes, m->part[p].n);
		add[p](&m->part[p].bytes, v);
		m->part[p].n++;
	}
}

static void statement(struct maker *m, const uint8_t *p)
{
	unsigned what = (unsigned)(p[0] << 8 | p[1]) % (WASM_TOKEN_FUNCTION + 256);

	if (what >= WASM_TOKEN_FUNCTION || m->body.depth == 0) {
		add_other(m, what % WASM_TOKEN_FUNCTION, p[2]);
		return;
	}
	while (!wasm_ops[what].known)
		what = (what + 1) % WASM_TOKEN_FUNCTION;
	add_instruction(&m->body, &(uint64_t){ p[2] }, what);
}

static void put_section(struct fl_buf *out, enum part p, const struct vector *v)
{
	static const uint8_t ids[PARTS] = { 1, 2, 3, 7, 9, 10, 11, 0, 0 };
	FL_AUTO_BUF struct fl_buf payload = { 0 }, map = { 0 };

	if (v->n == 0)
		return;
	if (p != DEBUG)
		put(&map, v->n);
	fl_buf_add(&map, v->bytes.p, v->bytes.n);
	if (p == NAMES) {
		fl_buf_add(&payload, "\4name\1", 6);
		put(&payload, map.n);
	} else if (p == DEBUG) {
		fl_buf_add(&payload, "\13.debug_line", 12);
	}
	fl_buf_add(&payload, map.p, map.n);
	fl_buf_byte(out, ids[p]);
	put_bytes(out, &payload);
}

void wasm_program_build(struct fl_bytes program, struct fl_buf *out)
{
	struct maker m = { 0 };

	wasm_opcodes_init();
	for (size_t i = 0; i + WASM_STATEMENT <= program.n; i += WASM_STATEMENT)
		statement(&m, program.p + i);
	end_function(&m);
	fl_buf_add(out, "\0asm\1\0\0\0", 8);
	for (enum part p = 0; p < PARTS; p++) {
		put_section(out, p, &m.part[p]);
		fl_buf_fini(&m.part[p].bytes);
	}
	fl_buf_fini(&m.body.bytes);
}

/* ---- edits */

/* Statements [from, to) of a program. */
static void add_statements(struct fl_buf *out, struct fl_bytes program, size_t from, size_t to)
{
	fl_buf_add(out, program.p + from * WASM_STATEMENT, (to - from) * WASM_STATEMENT);
}

/* One edit at a statement; what stands there comes out changed, or behind something new. */
static void edit(struct fl_buf *out, struct fl_bytes program, size_t at, const uint8_t *e)
{
	size_t n = program.n / WASM_STATEMENT, from = e[2] % n, length = e[1] / 16u;
	const uint8_t body[WASM_STATEMENT] = { WASM_TOKEN_FUNCTION >> 8, FUNCTIONS, e[2] };

	if (e[1] % 4 == 0) /* gone */
		return;
	if (e[1] % 4 == 1)
		add_statements(out, program, from, from + length < n ? from + length : n);
	if (e[1] % 4 == 2)
		fl_buf_add(out, body, sizeof(body));
	add_statements(out, program, at, at + 1);
	if (e[1] % 4 == 3)
		out->p[out->n - 1] = e[2];
}

void wasm_program_edit(struct fl_bytes program, struct fl_bytes edits, struct fl_buf *out)
{
	size_t n = program.n / WASM_STATEMENT;

	for (size_t at = 0; at < n; at++) {
		const uint8_t *found = NULL;

		for (size_t i = 0; i + WASM_EDIT <= edits.n && found == NULL; i += WASM_EDIT)
			if (edits.p[i] % n == at)
				found = edits.p + i;
		if (found != NULL)
			edit(out, program, at, found);
		else
			add_statements(out, program, at, at + 1);
	}
}
