/* SPDX-License-Identifier: Apache-2.0
 *
 * Waves and stages: who goes when, what that costs, what cannot be taken back. */
#include "server/rollout/plan_build.h"

#include "server/rollout/slice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELLS_MAX (64U << 20) /* waves times classes */

/* One module of one class in one layer. */
struct change {
	uint32_t from, to; /* versions; UNIVERSE_NONE: absent */
	uint32_t pair;     /* of artifacts; BUILD_NONE: nothing to send, or nothing to start from */
	int64_t full;      /* bytes without a delta */
};

struct pair {
	uint32_t from, to;    /* artifacts of the universe */
	uint32_t layer, wave; /* the first stage that needs it */
	uint32_t devices;     /* 0: no stage needs it */
	int64_t delta;        /* bytes of the ready delta; -1: none */
	uint64_t stage;       /* last stage that counted it, + 1 */
	uint64_t turn;        /* of its first stage */
};

struct staging {
	struct plan_builder *b;
	struct plan *out;
	uint32_t *count;        /* per wave and class: devices */
	struct change *changes; /* owned */
	uint32_t n_changes, cap_changes;
	uint32_t *first;    /* per class and layer, + 1 */
	struct pair *pairs; /* owned */
	uint32_t n_pairs, cap_pairs;
};

/* ---- waves */

static bool is_update(const struct plan_builder *b, size_t device)
{
	uint32_t class = b->out->class_of[device];

	return class != BUILD_NONE && b->out->classes[class].kind == PLAN_UPDATE;
}

/* The groups that have something to update: arrays for the slicer, and root -> group. */
struct groups {
	struct slice_input in;
	uint32_t *of_root, *size, *stratum;
	uint64_t *identity;
	uint16_t *wave, *result;
	bool *early;
};

static bool allocate_groups(struct plan_builder *b, struct groups *g)
{
	size_t n = b->in->devices.n;

	g->of_root = build_get(b, n, sizeof(*g->of_root));
	g->size = build_get(b, n, sizeof(*g->size));
	g->stratum = build_get(b, n, sizeof(*g->stratum));
	g->identity = build_get(b, n, sizeof(*g->identity));
	g->wave = build_get(b, n, sizeof(*g->wave));
	g->result = build_get(b, n, sizeof(*g->result));
	g->early = build_get(b, n, sizeof(*g->early));
	return b->failure.code == FL_OK;
}

static void find_groups(struct plan_builder *b, struct groups *g)
{
	const struct plan_devices *d = &b->in->devices;

	memset(g->of_root, 0xff, d->n * sizeof(*g->of_root));
	for (size_t i = 0; i < d->n; i++) {
		uint32_t root = b->root_of[i], group = g->of_root[root];

		if (!is_update(b, i))
			continue;
		if (group == BUILD_NONE) {
			group = g->of_root[root] = (uint32_t)g->in.n++;
			g->stratum[group] = d->stratum[root];
			g->identity[group] = (uint64_t)d->no[root];
			g->wave[group] = SLICE_NO_WAVE;
			if (d->stratum[root] >= g->in.n_strata)
				g->in.n_strata = d->stratum[root] + 1;
		}
		g->size[group]++;
		if (d->wave != NULL && d->wave[i] < g->wave[group])
			g->wave[group] = d->wave[i];
		if ((d->flags[i] & PLAN_EARLY) != 0) {
			g->early[group] = true;
			g->in.early = g->early;
		}
	}
	g->in.size = g->size;
	g->in.stratum = g->stratum;
	g->in.identity = g->identity;
	g->in.wave = d->wave == NULL ? NULL : g->wave;
	g->in.seed = b->in->strategy->seed;
	g->in.waves = b->in->strategy->waves;
	g->in.n_waves = b->in->strategy->n_waves;
}

/* The last wave, if it is one by count or share, takes the rest. One that was given as a part must not
 * grow to the whole fleet unseen; what is lost by rounding shares is no matter. */
static bool refuse_short_waves(struct plan_builder *b, const uint32_t *devices)
{
	const struct strategy *s = b->in->strategy;
	uint64_t all = 0, asked = 0, rounding = 0;
	char text[200];

	for (size_t w = 0; w < s->n_waves; w++)
		all += devices[w];
	for (size_t w = 0; w < s->n_waves; w++) {
		const struct strategy_wave *wave = &s->waves[w];

		asked += wave->kind == WAVE_SELECTOR ? devices[w] : slice_wave_size(wave, all);
		rounding += wave->kind == WAVE_PERCENT ? 1 + all / 1000 : 0;
	}
	if (s->waves[s->n_waves - 1].kind == WAVE_SELECTOR || asked + rounding >= all)
		return true;
	(void)snprintf(text, sizeof(text),
		"the waves ask for %llu of %llu devices: narrow the rollout's selector, or end the "
		"waves with {\"percent\":100}, which takes the rest",
		(unsigned long long)asked, (unsigned long long)all);
	return build_refuse(b, text, NULL, (uint32_t)(all - asked));
}

/* Give the devices their waves; waves without devices fall away. */
static bool number_waves(struct plan_builder *b, const struct groups *g)
{
	const struct strategy *s = b->in->strategy;
	struct plan *p = b->out;
	uint16_t *renumbered = build_get(b, s->n_waves, sizeof(*renumbered));
	uint32_t *devices = build_get(b, s->n_waves, sizeof(*devices)), left = 0;

	p->waves = build_out(b, s->n_waves, sizeof(*p->waves));
	p->wave_of = build_out(b, b->in->devices.n, sizeof(*p->wave_of));
	if (b->failure.code != FL_OK)
		return false;
	for (size_t i = 0; i < g->in.n; i++) {
		if (g->result[i] == SLICE_NO_WAVE)
			left += g->size[i];
		else
			devices[g->result[i]] += g->size[i];
	}
	for (size_t w = 0; w < s->n_waves; w++) {
		if (devices[w] == 0)
			continue;
		renumbered[w] = (uint16_t)p->n_waves;
		p->waves[p->n_waves++] = (struct plan_wave){
			build_text(b, s->waves[w].name != NULL ? s->waves[w].name : ""), devices[w]
		};
	}
	for (size_t i = 0; i < b->in->devices.n; i++) {
		uint16_t w = is_update(b, i) ? g->result[g->of_root[b->root_of[i]]] : SLICE_NO_WAVE;

		p->wave_of[i] = w == SLICE_NO_WAVE ? PLAN_NO_WAVE : renumbered[w];
	}
	if (left > 0)
		return build_refuse(b,
			"devices match no wave's selector: narrow the rollout's selector, or end "
			"the waves with {\"percent\":100}",
			NULL, left);
	return refuse_short_waves(b, devices);
}

static bool make_waves(struct plan_builder *b)
{
	struct groups g = { 0 };

	if (!allocate_groups(b, &g))
		return false;
	find_groups(b, &g);
	return slice_waves(&g.in, g.result, &b->failure) == FL_OK && number_waves(b, &g);
}

/* ---- changes and pairs */

/* The builder's table compares by callback on the builder; the staging hangs on no global. */
struct pair_key {
	const struct staging *s;
	uint32_t from, to;
};

static bool same_pair(const struct plan_builder *b, uint32_t index, const void *key)
{
	const struct pair_key *k = key;
	const struct pair *p = &k->s->pairs[index];

	(void)b;
	return p->from == k->from && p->to == k->to;
}

static uint32_t intern_pair(struct staging *s, uint32_t from, uint32_t to)
{
	struct pair_key key = { s, from, to };
	uint64_t hash = build_hash((uint64_t)from << 32 | to, 1);
	uint32_t slot, index = build_table_find(s->b, hash, same_pair, &key, &slot);
	void *wider;

	if (index != BUILD_NONE)
		return index;
	wider = slot == BUILD_NONE
		? NULL
		: build_grow(s->b, s->pairs, s->n_pairs, &s->cap_pairs, sizeof(*s->pairs));
	if (wider == NULL)
		return BUILD_NONE;
	s->pairs = wider;
	s->pairs[s->n_pairs] = (struct pair){ .from = from, .to = to, .delta = -1 };
	build_table_put(s->b, slot, hash, s->n_pairs);
	return s->n_pairs++;
}

static bool add_change(
	struct staging *s, struct change c, uint32_t from_artifact, uint32_t to_artifact)
{
	void *wider =
		build_grow(s->b, s->changes, s->n_changes, &s->cap_changes, sizeof(*s->changes));

	if (wider == NULL)
		return false;
	s->changes = wider;
	c.pair = BUILD_NONE;
	if (to_artifact != UNIVERSE_NONE && to_artifact != from_artifact) {
		c.full = s->b->u->artifacts[to_artifact].size;
		if (from_artifact != UNIVERSE_NONE)
			c.pair = intern_pair(s, from_artifact, to_artifact);
	}
	s->changes[s->n_changes++] = c;
	return s->b->failure.code == FL_OK;
}

/* What differs between two sets, both ordered by module name. */
static bool compare_sets(struct staging *s, const struct build_set *x, const struct build_set *y)
{
	const struct plan_builder *b = s->b;
	uint32_t i = 0, k = 0;

	while (i < x->n || k < y->n) {
		uint32_t nx =
			i < x->n ? b->names[b->u->versions[x->versions[i]].module] : UINT32_MAX;
		uint32_t ny =
			k < y->n ? b->names[b->u->versions[y->versions[k]].module] : UINT32_MAX;
		bool in_x = nx <= ny, in_y = ny <= nx, ok = true;

		if (in_x && in_y && x->versions[i] != y->versions[k])
			ok = add_change(s, (struct change){ x->versions[i], y->versions[k], 0, 0 },
				x->artifacts[i], y->artifacts[k]);
		else if (in_x && !in_y)
			ok = add_change(s, (struct change){ x->versions[i], UNIVERSE_NONE, 0, 0 },
				x->artifacts[i], UNIVERSE_NONE);
		else if (in_y && !in_x)
			ok = add_change(s, (struct change){ UNIVERSE_NONE, y->versions[k], 0, 0 },
				UNIVERSE_NONE, y->artifacts[k]);
		if (!ok)
			return false;
		i += in_x;
		k += in_y;
	}
	return true;
}

static bool find_changes(struct staging *s)
{
	struct plan_builder *b = s->b;
	uint32_t layers = b->n_layers;

	s->first = build_get(b, (size_t)b->n_classes * layers + 1, sizeof(*s->first));
	for (uint32_t c = 0; c < b->n_classes && b->failure.code == FL_OK; c++) {
		const uint32_t *sets = b->classes[c].sets;

		for (uint32_t l = 0; l < layers; l++) {
			if (sets[l] != sets[l + 1] &&
				!compare_sets(s, &b->sets[sets[l]], &b->sets[sets[l + 1]]))
				return false;
			s->first[(size_t)c * layers + l + 1] = s->n_changes;
		}
	}
	for (uint32_t i = 0; i < b->in->n_deltas && b->failure.code == FL_OK; i++) {
		const struct plan_delta *d = &b->in->deltas[i];
		struct pair_key key = { s, d->from, d->to };
		uint32_t slot, pair;

		pair = build_table_find(
			b, build_hash((uint64_t)d->from << 32 | d->to, 1), same_pair, &key, &slot);
		/* A delta that is not smaller would not be offered. */
		if (pair != BUILD_NONE && d->size < b->u->artifacts[d->to].size &&
			(s->pairs[pair].delta < 0 || d->size < s->pairs[pair].delta))
			s->pairs[pair].delta = d->size;
	}
	build_table_reset(b);
	return b->failure.code == FL_OK;
}

/* ---- stages */

/* Why a change cannot be taken back; NULL: it can. */
static const char *no_way_back(const struct plan_builder *b, const struct change *c,
	uint32_t from_artifact, char *text, size_t size)
{
	const struct universe *u = b->u;
	const struct universe_version *to = c->to == UNIVERSE_NONE ? NULL : &u->versions[c->to];
	const struct universe_version *from =
		c->from == UNIVERSE_NONE ? NULL : &u->versions[c->from];

	if (to != NULL && to->one_way && from != NULL)
		(void)snprintf(text, size, "%s %s allows no way back", u->modules[to->module].name,
			to->text);
	else if (from != NULL && from->blocked != NULL)
		(void)snprintf(
			text, size, "%s %s is blocked", u->modules[from->module].name, from->text);
	else if (from != NULL && from_artifact == UNIVERSE_NONE)
		(void)snprintf(text, size, "the bytes of %s %s are not here",
			u->modules[from->module].name, from->text);
	else
		return NULL;
	return text;
}

static uint32_t start_artifact(const struct plan_builder *b, uint32_t set, uint32_t version)
{
	const struct build_set *s = &b->sets[set];

	for (uint32_t i = 0; i < s->n; i++) {
		if (s->versions[i] == version)
			return s->artifacts[i];
	}
	return UNIVERSE_NONE;
}

/* Why a class cannot go back over a layer; NULL: it can. */
static const char *class_no_way_back(
	const struct staging *s, uint32_t class, uint32_t layer, char *text, size_t size)
{
	const struct plan_builder *b = s->b;
	size_t at = (size_t) class * b->n_layers + layer;

	for (uint32_t i = s->first[at]; i < s->first[at + 1]; i++) {
		const struct change *c = &s->changes[i];
		uint32_t artifact = start_artifact(b, b->classes[class].sets[layer], c->from);

		if (no_way_back(b, c, artifact, text, size) != NULL)
			return text;
	}
	return NULL;
}

/* When a stage's turn comes: stages of which the strategy opens neither first have the same. */
static uint64_t turn_of(const struct staging *s, const struct plan_stage *stage)
{
	uint64_t layer = stage->layer, wave = stage->wave;

	switch (s->b->in->strategy->order) {
	case ORDER_LAYER_FIRST:
		return layer * s->out->n_waves + wave;
	case ORDER_PIPELINED:
		return layer + wave;
	default:
		return wave * s->b->n_layers + layer;
	}
}

/* `devices` of a stage need the pair. */
static void need_pair(
	const struct staging *s, struct pair *p, const struct plan_stage *stage, uint32_t devices)
{
	uint64_t turn = turn_of(s, stage);

	if (p->devices == 0 || turn < p->turn) {
		p->turn = turn;
		p->layer = stage->layer;
		p->wave = stage->wave;
	}
	p->devices += devices;
}

/* What one device of a class gets in a layer, with the deltas that are ready. */
static bool sum_class_bytes(struct staging *s)
{
	size_t n = (size_t)s->b->n_classes * s->b->n_layers;
	int64_t *bytes = build_out(s->b, n + 1, sizeof(*bytes));

	for (size_t at = 0; at < n && bytes != NULL; at++)
		for (uint32_t i = s->first[at]; i < s->first[at + 1]; i++) {
			const struct change *c = &s->changes[i];
			int64_t delta = c->pair == BUILD_NONE ? -1 : s->pairs[c->pair].delta;

			bytes[at] += delta >= 0 ? delta : c->full;
		}
	s->out->class_bytes = bytes;
	return bytes != NULL;
}

/* Add the part of one class to a stage. */
static void add_class(struct staging *s, struct plan_stage *stage, uint32_t class, uint32_t devices,
	bool *any_delta)
{
	const struct plan_builder *b = s->b;
	size_t at = (size_t) class * b->n_layers + stage->layer;
	uint64_t mark = (uint64_t)stage->wave * b->n_layers + stage->layer + 1;

	if (s->first[at] == s->first[at + 1])
		return;
	stage->devices += devices;
	stage->bytes_delta += s->out->class_bytes[at] * devices;
	for (uint32_t i = s->first[at]; i < s->first[at + 1]; i++) {
		const struct change *c = &s->changes[i];
		struct pair *pair = c->pair == BUILD_NONE ? NULL : &s->pairs[c->pair];
		bool ready = pair != NULL && pair->delta >= 0;

		stage->bytes_full += c->full * devices;
		*any_delta = *any_delta || ready;
		if (pair == NULL)
			continue;
		need_pair(s, pair, stage, devices);
		if (!ready && pair->stage != mark) {
			stage->deltas_to_build++;
			stage->build_bytes += c->full;
		}
		pair->stage = mark;
	}
}

static bool count_devices(struct staging *s)
{
	struct plan *p = s->out;
	uint64_t cells = (uint64_t)p->n_waves * p->n_classes;

	if (cells > CELLS_MAX) {
		(void)fl_fail(&s->b->failure, FL_REFUSED,
			"%u waves with %u kinds of devices are too much for one plan", p->n_waves,
			p->n_classes);
		return false;
	}
	s->count = build_get(s->b, cells, sizeof(*s->count));
	for (size_t i = 0; i < s->b->in->devices.n && s->count != NULL; i++) {
		if (p->wave_of[i] != PLAN_NO_WAVE)
			s->count[(size_t)p->wave_of[i] * p->n_classes + p->class_of[i]]++;
	}
	return s->count != NULL;
}

static bool make_stages(struct staging *s)
{
	struct plan *p = s->out;
	size_t n = (size_t)p->n_waves * p->n_layers;
	const char **why = build_get(s->b, p->n_classes, p->n_layers * sizeof(*why));

	p->stages = build_out(s->b, n, sizeof(*p->stages));
	if (p->stages == NULL || why == NULL)
		return false;
	for (uint32_t c = 0; c < p->n_classes; c++) {
		for (uint32_t l = 0; l < p->n_layers; l++) {
			char text[512];

			if (class_no_way_back(s, c, l, text, sizeof(text)) != NULL)
				why[(size_t)c * p->n_layers + l] = "";
		}
	}
	for (size_t i = 0; i < n; i++) {
		struct plan_stage *stage = &p->stages[i];
		const uint32_t *count = s->count + i / p->n_layers * p->n_classes;
		bool any_delta = false;

		stage->layer = (uint32_t)(i % p->n_layers);
		stage->wave = (uint32_t)(i / p->n_layers);
		for (uint32_t c = 0; c < p->n_classes; c++) {
			if (count[c] == 0)
				continue;
			add_class(s, stage, c, count[c], &any_delta);
			if (why[(size_t)c * p->n_layers + stage->layer] != NULL)
				stage->no_way_back += count[c];
		}
		if (!any_delta)
			stage->bytes_delta = -1;
	}
	return true;
}

static int by_turn(const void *pa, const void *pb)
{
	const struct pair *a = pa, *b = pb;

	if (a->turn != b->turn)
		return a->turn < b->turn ? -1 : 1;
	if (a->layer != b->layer)
		return a->layer < b->layer ? -1 : 1;
	if (a->devices != b->devices)
		return a->devices > b->devices ? -1 : 1;
	return a->from != b->from ? (a->from > b->from) - (a->from < b->from)
				  : (a->to > b->to) - (a->to < b->to);
}

static bool write_pairs(struct staging *s)
{
	struct plan *p = s->out;

	p->pairs = build_out(s->b, s->n_pairs, sizeof(*p->pairs));
	if (p->pairs == NULL)
		return false;
	if (s->n_pairs > 0)
		qsort(s->pairs, s->n_pairs, sizeof(*s->pairs), by_turn);
	for (uint32_t i = 0; i < s->n_pairs; i++) {
		const struct pair *from = &s->pairs[i];

		if (from->devices > 0)
			p->pairs[p->n_pairs++] = (struct plan_pair){ s->b->artifacts[from->from],
				s->b->artifacts[from->to], from->layer, from->wave, from->devices };
	}
	return true;
}

/* ---- no way back */

/* Per layer: how many devices cannot go back over it, and the first reason. */
static bool note_no_way_back(struct staging *s)
{
	struct plan *p = s->out;

	for (uint32_t l = 0; l < p->n_layers && s->b->failure.code == FL_OK; l++) {
		char why[512] = "", text[640];
		uint32_t devices = 0;

		for (uint32_t w = 0; w < p->n_waves; w++)
			devices += plan_stage(p, l, w)->no_way_back;
		for (uint32_t c = 0; c < p->n_classes && devices > 0 && why[0] == '\0'; c++)
			(void)(p->classes[c].kind == PLAN_UPDATE &&
				class_no_way_back(s, c, l, why, sizeof(why)));
		if (devices == 0)
			continue;
		(void)snprintf(text, sizeof(text),
			"after layer %u there is no way back for %u device%s: %s", l, devices,
			fl_plural(devices), why);
		(void)build_note(s->b, text);
	}
	return s->b->failure.code == FL_OK;
}

bool build_stages(struct plan_builder *b)
{
	struct staging s = { .b = b, .out = b->out };
	bool ok = make_waves(b) && find_changes(&s) && sum_class_bytes(&s) && count_devices(&s) &&
		make_stages(&s) && build_forecast(b) && write_pairs(&s) && note_no_way_back(&s);

	free(s.changes);
	free(s.pairs);
	return ok;
}
