/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/wasm/parses.h"

#include <stdlib.h>

/* ---- one module */

static bool is_of(const struct wasm_parse *p, struct fl_bytes file)
{
	return file.p != NULL && p->module.bytes.p == file.p && p->module.bytes.n == file.n;
}

static void forget(struct wasm_parse *p)
{
	wasm_module_fini(&p->module);
	wasm_symbols_fini(&p->symbols);
	*p = (struct wasm_parse){ 0 };
}

static enum fl_code find_symbols(struct wasm_parse *p, struct fl_err *err)
{
	if (p->symbols.bytes.p != NULL)
		return FL_OK;
	wasm_symbols_fini(&p->symbols); /* they may have been dropped */
	return wasm_symbols_of(&p->symbols, &p->module, err);
}

/* ---- a pair */

static void forget_alignment(struct wasm_parses *p)
{
	free(p->from);
	p->from = NULL;
}

/* Have `file` in one of the two places. */
static enum fl_code split(
	struct wasm_parses *p, size_t place, struct fl_bytes file, struct fl_err *err)
{
	if (is_of(&p->of[place], file)) {
		p->reused++;
		return FL_OK;
	}
	forget_alignment(p);
	forget(&p->of[place]);
	p->made++;
	return wasm_module_split(&p->of[place].module, file, err);
}

static enum fl_code align(
	struct wasm_parses *p, struct wasm_parse *old, struct wasm_parse *new, struct fl_err *err)
{
	enum fl_code code;

	if (p->from != NULL && &p->of[p->from_old] == old)
		return FL_OK;
	forget_alignment(p);
	code = find_symbols(old, err);
	if (code == FL_OK)
		code = find_symbols(new, err);
	if (code == FL_OK)
		code = wasm_align_code(&old->symbols, &new->symbols, &p->from, err);
	p->from_old = (size_t)(old - p->of);
	if (!p->keeps) {
		wasm_symbols_drop(&old->symbols);
		wasm_symbols_drop(&new->symbols);
	}
	return code;
}

enum fl_code wasm_parses_take(struct wasm_parses *p, struct fl_bytes old, struct fl_bytes new,
	struct wasm_parsed_pair *out, struct fl_err *err)
{
	/* each side where it is already, the other one beside it */
	size_t o = is_of(&p->of[1], old) || is_of(&p->of[0], new) ? 1 : 0, n = 1 - o;
	enum fl_code code = split(p, o, old, err);

	if (code == FL_OK)
		code = split(p, n, new, err);
	if (code == FL_OK)
		code = align(p, &p->of[o], &p->of[n], err);
	if (code != FL_OK) {
		wasm_parses_fini(p);
		return code;
	}
	*out = (struct wasm_parsed_pair){ &p->of[o].module, &p->of[n].module,
		{ p->from, p->of[n].symbols.start } };
	return FL_OK;
}

void wasm_parses_forget(struct wasm_parses *p, struct fl_bytes file)
{
	for (size_t i = 0; i < FL_COUNT(p->of); i++) {
		const uint8_t *at = p->of[i].module.bytes.p;

		if (at == NULL || at < file.p || at >= file.p + file.n)
			continue;
		forget(&p->of[i]);
		forget_alignment(p);
	}
}

void wasm_parses_fini(struct wasm_parses *p)
{
	forget_alignment(p);
	for (size_t i = 0; i < FL_COUNT(p->of); i++)
		forget(&p->of[i]);
}
