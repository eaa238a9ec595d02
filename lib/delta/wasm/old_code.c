/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/wasm/old_code.h"

#include "lib/delta/wasm/walk.h"

struct old_code_window {
	uint32_t place; /* of its first token */
	struct wasm_code code;
	uint16_t op[OLD_CODE_WINDOW];
	uint32_t first[OLD_CODE_WINDOW + 1];
	uint64_t imm[OLD_CODE_WINDOW * WASM_IMMS_MAX];
	uint8_t pad[OLD_CODE_WINDOW * WASM_IMMS_MAX];
};

void old_code_fini(struct old_code *o)
{
	struct fl_heap *heap = o->module == NULL ? NULL : o->module->heap;

	for (size_t i = 0; o->windows != NULL && i < OLD_CODE_WINDOWS; i++)
		fl_heap_free(heap, o->windows[i]);
	fl_heap_free(heap, o->windows);
	fl_heap_free(heap, o->points);
	fl_heap_free(heap, o->start);
	*o = (struct old_code){ 0 };
}

/* ---- counting */

struct counting {
	struct old_code *o;
	const uint8_t *body;
	uint32_t start, n;
	bool no_memory;
};

static bool add_point(struct counting *c, const struct wasm_walk *w)
{
	struct old_code *o = c->o;

	if (o->n_points == o->cap_points) {
		size_t cap = o->cap_points == 0 ? 64 : o->cap_points * 3 / 2;
		struct old_code_point *points =
			fl_heap_resize(o->module->heap, o->points, cap, sizeof(*points));

		c->no_memory = points == NULL;
		if (points == NULL)
			return false;
		o->points = points;
		o->cap_points = cap;
	}
	o->points[o->n_points++] = (struct old_code_point){ c->start + c->n,
		(uint32_t)(w->r.p - c->body), w->list.op, (uint32_t)w->list.left };
	return true;
}

static inline bool count_before(void *ctx, const struct wasm_walk *w)
{
	struct counting *c = ctx;

	return c->n % OLD_CODE_WINDOW != 0 || c->n == 0 || add_point(c, w);
}

static inline void count_token(void *ctx, unsigned op)
{
	(void)op;
	((struct counting *)ctx)->n++;
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

static void count_body(struct counting *c, struct fl_bytes body)
{
	static const struct wasm_visitor visitor = { count_before, count_token, count_imm };
	struct wasm_walk w = wasm_walk_start(body);
	size_t points = c->o->n_points;

	c->body = body.p;
	c->n = 0;
	if (wasm_walk(&w, &visitor, c))
		return;
	c->o->n_points = points;
	c->n = (uint32_t)wasm_code_raw_count(body);
}

enum fl_code old_code_count(
	struct old_code *o, const struct wasm_module *module, struct fl_err *err)
{
	struct counting c = { .o = o };

	*o = (struct old_code){ .module = module };
	o->start = fl_heap_alloc(module->heap, module->n_bodies + 1, sizeof(*o->start));
	o->windows =
		fl_heap_alloc(module->heap, OLD_CODE_WINDOWS, sizeof(struct old_code_window *));
	c.no_memory = o->start == NULL || o->windows == NULL;
	for (size_t f = 0; f < module->n_bodies && !c.no_memory; f++) {
		count_body(&c, module->bodies[f].bytes);
		c.start += c.n;
		o->start[f + 1] = c.start;
	}
	return c.no_memory ? fl_fail(err, FL_NOMEM, "no memory for the functions of a module")
			   : FL_OK;
}

/* ---- windows */

uint32_t old_code_body(struct old_code *o, uint32_t place)
{
	uint32_t low = 0, high = (uint32_t)o->module->n_bodies, f = o->last;

	if (f < high && o->start[f] <= place && place < o->start[f + 1])
		return f;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (o->start[middle] <= place)
			low = middle;
		else
			high = middle;
	}
	return o->last = low;
}

/* The point at `place`, the first token of a window that is not the first one. */
static const struct old_code_point *point_at(const struct old_code *o, uint32_t place)
{
	size_t low = 0, high = o->n_points;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (o->points[middle].place <= place)
			low = middle;
		else
			high = middle;
	}
	FL_BUG_IF(o->points[low].place != place);
	return &o->points[low];
}

static void parse_window(
	const struct old_code *o, struct old_code_window *window, uint32_t f, uint32_t place)
{
	const struct wasm_body *body = &o->module->bodies[f];
	uint32_t done = place - o->start[f], n = o->start[f + 1] - place;
	struct wasm_walk w = wasm_walk_start(body->bytes);

	window->place = place;
	window->code = (struct wasm_code){
		.op = window->op, .first = window->first, .imm = window->imm, .pad = window->pad
	};
	if (n > OLD_CODE_WINDOW)
		n = OLD_CODE_WINDOW;
	if (old_code_is_raw(o, f)) {
		wasm_code_parse_raw(&window->code, body, done, n);
		return;
	}
	if (done > 0) {
		const struct old_code_point *point = point_at(o, place);

		w.r.p += point->offset;
		w.depth = UINT32_MAX / 2; /* not known: the count tells the end */
		w.list = (struct wasm_walk_list){ point->list_op, point->list_left };
	}
	wasm_code_parse_some(&window->code, &w, body->size_pad, n);
}

const struct wasm_code *old_code_at(
	struct old_code *o, uint32_t place, size_t *index, uint32_t *left)
{
	uint32_t f = old_code_body(o, place), from;
	struct old_code_window **window;

	*left = o->start[f + 1] - place;
	*index = (place - o->start[f]) % OLD_CODE_WINDOW;
	from = place - (uint32_t)*index;
	if (*left > OLD_CODE_WINDOW - *index)
		*left = (uint32_t)(OLD_CODE_WINDOW - *index);
	window = &o->windows[(from * 0x9e3779b1u) >> 16 & (OLD_CODE_WINDOWS - 1)];
	if (*window == NULL) {
		*window = fl_heap_alloc(o->module->heap, 1, sizeof(**window));
		if (*window == NULL)
			return NULL;
	} else if ((*window)->place == from) {
		return &(*window)->code;
	}
	parse_window(o, *window, f, from);
	return &(*window)->code;
}
