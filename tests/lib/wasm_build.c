/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/wasm_build.h"

#include <stdio.h>
#include <string.h>

#include "lib/delta/wasm/code.h"

#define DATA_AT 1024

uint64_t wasm_build_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15U;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
	x = (x ^ x >> 27) * 0x94d049bb133111ebU;
	return x ^ x >> 31;
}

static void put(struct fl_buf *b, uint64_t v, unsigned pad)
{
	uint8_t *to = fl_buf_reserve(b, 2 * WASM_LEB_MAX);

	b->n += (size_t)(wasm_put_unsigned(to, v, pad) - to);
}

static void put_signed(struct fl_buf *b, int64_t v)
{
	uint8_t *to = fl_buf_reserve(b, WASM_LEB_MAX);

	b->n += (size_t)(wasm_put_signed(to, v, 0) - to);
}

static void put_string(struct fl_buf *b, const char *s)
{
	put(b, strlen(s), 0);
	fl_buf_str(b, s);
}

static void section(struct fl_buf *out, uint8_t id, const struct fl_buf *payload)
{
	fl_buf_byte(out, id);
	put(out, payload->n, 0);
	fl_buf_add(out, payload->p, payload->n);
}

/* ---- bodies that look like a compiler's */

struct body {
	const struct wasm_recipe *recipe;
	uint64_t state;
	struct fl_buf *out;
};

static void one_access(struct body *b, uint64_t r)
{
	put(b->out, 0x20, 0); /* local.get, i32.load, local.set */
	put(b->out, r % 7, 0);
	fl_buf_byte(b->out, 0x28);
	put(b->out, 2, 0);
	put(b->out, r % 40 * 4, 0);
	put(b->out, 0x21, 0);
	put(b->out, r / 7 % 7, 0);
}

static void one_call(struct body *b, uint64_t r)
{
	const struct wasm_recipe *c = b->recipe;

	fl_buf_byte(b->out, 0x41); /* i32.const: an address */
	put_signed(b->out, (int64_t)(DATA_AT + c->data_grown + r / 8 % 64 * 16));
	fl_buf_byte(b->out, 0x10);
	put(b->out, 2 + c->inserted + r % c->functions, c->pad);
}

static void one_block(struct body *b, uint64_t r)
{
	static const uint8_t table[] = { 0x02, 0x40, 0x20, 1, 0x0e, 2, 0, 0, 0, 0x0b };

	fl_buf_add(b->out, table, sizeof(table));
	fl_buf_byte(b->out, 0x41);
	put_signed(b->out, (int64_t)(r % 5000) - 100);
	fl_buf_byte(b->out, 0x1a);
}

static void code_body(struct body *b, bool raw)
{
	unsigned n = 4 + (unsigned)(wasm_build_random(&b->state) % 40);

	put(b->out, 1, 0);
	put(b->out, 6, 0);
	fl_buf_byte(b->out, 0x7f);
	for (unsigned i = 0; i < n; i++) {
		uint64_t r = wasm_build_random(&b->state);

		if (r % 3 == 0)
			one_access(b, r / 3);
		else if (r % 3 == 1)
			one_call(b, r / 3);
		else
			one_block(b, r / 3);
	}
	if (raw)
		fl_buf_byte(b->out, 0xf0);
	fl_buf_byte(b->out, 0x0b);
}

static bool every(unsigned n, unsigned i)
{
	return n != 0 && i % n == n - 1;
}

static void code_section(const struct wasm_recipe *c, struct fl_buf *to)
{
	put(to, c->functions + c->inserted, 0);
	for (unsigned i = 0; i < c->functions + c->inserted; i++) {
		FL_AUTO_BUF struct fl_buf bytes = { 0 };
		bool old = i >= c->inserted;
		unsigned number = old ? i - c->inserted : 1000000 + i;
		struct body b = { c, c->seed * 1000003 + number, &bytes };

		if (old && every(c->changed, number))
			b.state += 77;
		code_body(&b, old && every(c->raw, number));
		put(to, bytes.n, 0);
		fl_buf_add(to, bytes.p, bytes.n);
	}
}

/* ---- the other sections */

static void type_section(struct fl_buf *to)
{
	static const uint8_t types[] = { 2, 0x60, 1, 0x7f, 0, 0x60, 0, 0 };

	fl_buf_add(to, types, sizeof(types));
}

static void import_section(struct fl_buf *to)
{
	put(to, 2, 0);
	for (unsigned i = 0; i < 2; i++) {
		put_string(to, "env");
		put_string(to, i == 0 ? "read" : "write");
		fl_buf_byte(to, 0);
		put(to, 0, 0);
	}
}

static void function_section(const struct wasm_recipe *c, struct fl_buf *to)
{
	put(to, c->functions + c->inserted, 0);
	for (unsigned i = 0; i < c->functions + c->inserted; i++)
		put(to, i < c->inserted ? 1 : (i - c->inserted) % 5 == 0, 0);
}

static void export_section(const struct wasm_recipe *c, struct fl_buf *to)
{
	put(to, 2, 0);
	put_string(to, "memory");
	put(to, 2, 0);
	put(to, 0, 0);
	put_string(to, "start");
	put(to, 0, 0);
	put(to, 2 + c->inserted, 0);
}

static void element_section(const struct wasm_recipe *c, struct fl_buf *to)
{
	static const uint8_t head[] = { 1, 0, 0x41, 1, 0x0b };

	fl_buf_add(to, head, sizeof(head));
	put(to, c->functions / 2, 0);
	for (unsigned i = 0; i < c->functions / 2; i++)
		put(to, 2 + c->inserted + i * 2, 0);
}

static void data_section(const struct wasm_recipe *c, struct fl_buf *to)
{
	uint64_t state = c->seed;

	put(to, 1, 0);
	fl_buf_byte(to, 0);
	fl_buf_byte(to, 0x41);
	put_signed(to, DATA_AT);
	fl_buf_byte(to, 0x0b);
	put(to, c->data_grown + 1024, 0);
	for (unsigned i = 0; i < c->data_grown; i++)
		fl_buf_byte(to, (uint8_t)(i * 7));
	for (unsigned i = 0; i < 256; i++) {
		uint64_t r = wasm_build_random(&state);
		uint64_t word = r % 4 == 0 ? DATA_AT + c->data_grown + r / 4 % 1024 : r % 997;

		for (unsigned k = 0; k < 4; k++)
			fl_buf_byte(to, (uint8_t)(word >> (8 * k)));
	}
}

static void name_section(const struct wasm_recipe *c, struct fl_buf *to)
{
	FL_AUTO_BUF struct fl_buf map = { 0 };

	put(&map, c->functions + c->inserted, 0);
	for (unsigned i = 0; i < c->functions + c->inserted; i++) {
		char name[40];

		if (i < c->inserted)
			(void)snprintf(name, sizeof(name), "fresh::item%u", i);
		else
			(void)snprintf(name, sizeof(name), "module%u::work%u",
				(i - c->inserted) % 9, i - c->inserted);
		put(&map, 2 + i, 0);
		put_string(&map, name);
	}
	put_string(to, "name");
	fl_buf_byte(to, 1);
	put(to, map.n, 0);
	fl_buf_add(to, map.p, map.n);
}

void wasm_build(const struct wasm_recipe *c, struct fl_buf *out)
{
	static const uint8_t magic[] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };
	FL_AUTO_BUF struct fl_buf types = { 0 }, imports = { 0 }, functions = { 0 },
				  exports = { 0 };
	FL_AUTO_BUF struct fl_buf elements = { 0 }, code = { 0 }, data = { 0 }, names = { 0 };

	type_section(&types);
	import_section(&imports);
	function_section(c, &functions);
	export_section(c, &exports);
	element_section(c, &elements);
	code_section(c, &code);
	data_section(c, &data);
	fl_buf_add(out, magic, sizeof(magic));
	section(out, 1, &types);
	section(out, 2, &imports);
	section(out, 3, &functions);
	section(out, 7, &exports);
	section(out, 9, &elements);
	section(out, 10, &code);
	section(out, 11, &data);
	if (c->names) {
		name_section(c, &names);
		section(out, 0, &names);
	}
}
