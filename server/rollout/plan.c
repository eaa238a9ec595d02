/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/plan.h"

#include "server/rollout/plan_build.h"

#include <stdlib.h>
#include <string.h>

/* ---- devices -> kinds */

static bool same_kind(const struct plan_builder *b, uint32_t index, const void *key)
{
	const struct build_kind *a = &b->kinds[index], *k = key;

	return a->state == k->state && a->signature == k->signature && a->held == k->held &&
		a->flags == k->flags;
}

static uint32_t intern_kind(struct plan_builder *b, const struct build_kind *k)
{
	uint64_t hash =
		build_hash(build_hash((uint64_t)k->state << 32 | k->signature, k->held), k->flags);
	uint32_t slot, index = build_table_find(b, hash, same_kind, k, &slot);

	if (index != BUILD_NONE || slot == BUILD_NONE || !BUILD_GROW(b, kinds))
		return index;
	b->kinds[b->n_kinds] = *k;
	build_table_put(b, slot, hash, b->n_kinds);
	return b->n_kinds++;
}

static bool find_kinds(struct plan_builder *b)
{
	const struct plan_devices *d = &b->in->devices;

	b->kind_of = build_get(b, d->n, sizeof(*b->kind_of));
	for (size_t i = 0; i < d->n && b->failure.code == FL_OK; i++) {
		struct build_kind k = { d->state[i], d->signature[i], d->held[i],
			(uint8_t)(d->flags[i] & (PLAN_SELECTED | PLAN_GATEWAY)) };

		b->kind_of[i] = intern_kind(b, &k);
	}
	build_table_reset(b);
	return b->failure.code == FL_OK;
}

/* ---- kinds -> combos */

/* A gateway is nobody's device: chains of gateways end at the first. */
static bool find_roots(struct plan_builder *b)
{
	const struct plan_devices *d = &b->in->devices;

	b->root_of = build_get(b, d->n, sizeof(*b->root_of));
	b->members = build_get(b, d->n, sizeof(*b->members));
	b->combo_of = build_get(b, d->n, sizeof(*b->combo_of));
	if (b->failure.code != FL_OK)
		return false;
	for (size_t i = 0; i < d->n; i++) {
		bool alone = d->gateway[i] == PLAN_NO_DEVICE || (d->flags[i] & PLAN_GATEWAY) != 0;

		b->root_of[i] = alone ? (uint32_t)i : d->gateway[i];
		b->members[b->root_of[i]]++;
	}
	/* Behind something that is itself behind a gateway: alone. */
	for (size_t i = 0; i < d->n; i++) {
		uint32_t root = b->root_of[i];

		if (root == i || b->root_of[root] == root)
			continue;
		b->members[root]--;
		b->members[i]++;
		b->root_of[i] = (uint32_t)i;
	}
	return true;
}

/* A combo while it is being looked up. */
struct combo_key {
	const uint32_t *kinds;
	uint32_t n;
	bool gateway;
};

static bool same_combo(const struct plan_builder *b, uint32_t index, const void *key)
{
	const struct build_combo *c = &b->combos[index];
	const struct combo_key *k = key;

	if (c->n_places != k->n || c->gateway != k->gateway)
		return false;
	for (uint32_t i = 0; i < k->n; i++) {
		if (c->places[i].kind != k->kinds[i])
			return false;
	}
	return true;
}

static uint32_t intern_combo(struct plan_builder *b, const struct combo_key *k)
{
	uint64_t hash = build_hash(k->n, k->gateway);
	uint32_t slot, index;

	for (uint32_t i = 0; i < k->n; i++)
		hash = build_hash(hash, k->kinds[i]);
	index = build_table_find(b, hash, same_combo, k, &slot);
	if (index != BUILD_NONE || slot == BUILD_NONE || !BUILD_GROW(b, combos))
		return index;
	b->combos[b->n_combos] =
		(struct build_combo){ .places = build_get(b, k->n, sizeof(struct build_place)),
			.n_places = k->n,
			.gateway = k->gateway,
			.cluster = BUILD_NONE };
	for (uint32_t i = 0; i < k->n && b->failure.code == FL_OK; i++)
		b->combos[b->n_combos].places[i] = (struct build_place){ .kind = k->kinds[i],
			.selected = (b->kinds[k->kinds[i]].flags & PLAN_SELECTED) != 0,
			.outcome = PLAN_NOOP,
			.reason = BUILD_NONE,
			.class = BUILD_NONE };
	build_table_put(b, slot, hash, b->n_combos);
	return b->n_combos++;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The devices behind each gateway, side by side: list[first[g]] … */
static uint32_t *list_members(struct plan_builder *b, uint32_t *first)
{
	size_t n = b->in->devices.n;
	uint32_t *list = build_get(b, n, sizeof(*list));

	if (list == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		first[i + 1] = first[i] + b->members[i];
	for (size_t i = 0; i < n; i++)
		list[first[b->root_of[i]]++] = (uint32_t)i;
	for (size_t i = n; i-- > 0;)
		first[i + 1] = first[i];
	first[0] = 0;
	return list;
}

/* The combo of a gateway with devices: its kind, then theirs, ascending and each once. */
static uint32_t group_combo(
	struct plan_builder *b, uint32_t root, const uint32_t *list, uint32_t n, uint32_t *kinds)
{
	struct combo_key key = { kinds, 1, true };
	uint32_t used = 1;

	kinds[0] = b->kind_of[root];
	for (uint32_t i = 0; i < n; i++) {
		if (list[i] != root)
			kinds[used++] = b->kind_of[list[i]];
	}
	qsort(kinds + 1, used - 1, sizeof(*kinds), by_number);
	for (uint32_t i = 1; i < used; i++) {
		if (key.n == 1 || kinds[i] != kinds[key.n - 1])
			kinds[key.n++] = kinds[i];
	}
	return intern_combo(b, &key);
}

static bool find_combos(struct plan_builder *b)
{
	size_t n = b->in->devices.n;
	uint32_t *first = build_get(b, n + 1, sizeof(*first)), *list, *kinds, *single;

	kinds = build_get(b, n + 1, sizeof(*kinds));
	single = build_get(b, b->n_kinds, sizeof(*single));
	list = first == NULL ? NULL : list_members(b, first);
	if (b->failure.code != FL_OK)
		return false;
	memset(single, 0xff, b->n_kinds * sizeof(*single));
	for (uint32_t i = 0; i < n && b->failure.code == FL_OK; i++) {
		uint32_t kind = b->kind_of[i];

		if (b->root_of[i] != i)
			continue;
		if (b->members[i] > 1) {
			b->combo_of[i] = group_combo(b, i, list + first[i], b->members[i], kinds);
			continue;
		}
		if (single[kind] == BUILD_NONE)
			single[kind] = intern_combo(b, &(struct combo_key){ &kind, 1, false });
		b->combo_of[i] = single[kind];
	}
	build_table_reset(b);
	return b->failure.code == FL_OK;
}

/* ---- resolving a combo */

static uint32_t add_reason(struct plan_builder *b, const char *text, const struct resolve_result *r)
{
	bool conflict = r != NULL && r->outcome == RESOLVE_CONFLICT;
	struct build_reason *reason;

	for (uint32_t i = 0; i < b->n_reasons; i++) {
		if (b->reasons[i].conflict == conflict && strcmp(b->reasons[i].text, text) == 0)
			return i;
	}
	if (!BUILD_GROW(b, reasons))
		return BUILD_NONE;
	reason = &b->reasons[b->n_reasons];
	*reason = (struct build_reason){ .text = build_text(b, text), .conflict = conflict };
	reason->n_chain = r == NULL ? 0 : r->n_chain;
	reason->chain = build_out(b, reason->n_chain, sizeof(*reason->chain));
	for (uint32_t i = 0; i < reason->n_chain && b->failure.code == FL_OK; i++)
		reason->chain[i] = build_text(b, r->chain[i]);
	return b->n_reasons++;
}

/* Give a place up: it stays as it is. */
static void give_up(struct plan_builder *b, struct build_combo *c, struct resolve_place *places,
	const struct resolve_result *r)
{
	uint32_t place = r->place;

	/* The trouble may show at one that stays anyway; then whoever still moves is the cause. */
	for (uint32_t i = 0; i < c->n_places && places[place].fixed; i++)
		place = i;
	FL_BUG_IF(places[place].fixed);
	places[place].fixed = true;
	c->places[place].outcome = PLAN_INCOMPATIBLE;
	c->places[place].reason = add_reason(b, r->reason, r);
}

/* Hold back the places whose changes another rollout stands in the way of. */
static bool hold(struct plan_builder *b, struct build_combo *c, struct resolve_place *places,
	const struct resolve_result *r)
{
	bool any = false;

	for (uint32_t i = 0; i < r->n_hops; i++) {
		uint32_t place = r->hops[i].place;
		const struct plan_hold *h = &b->in->holds[b->kinds[c->places[place].kind].held];
		char text[512];

		if (b->kinds[c->places[place].kind].held == 0 || places[place].fixed)
			continue;
		for (uint32_t k = 0; k < h->n_modules; k++) {
			if (h->modules[k] != r->hops[i].module || places[place].fixed)
				continue;
			(void)snprintf(text, sizeof(text), "rollout %s is changing %s", h->rollout,
				b->u->modules[h->modules[k]].name);
			places[place].fixed = any = true;
			c->places[place].outcome = PLAN_HELD;
			c->places[place].reason = add_reason(b, text, NULL);
		}
	}
	return any;
}

static bool same_node(const struct plan_builder *b, uint32_t index, const void *key)
{
	const struct build_node *a = &b->nodes[index], *k = key;

	return a->gateway == k->gateway && a->module == k->module && a->to == k->to &&
		a->owner == k->owner;
}

static uint32_t intern_node(struct plan_builder *b, struct build_node k)
{
	uint64_t hash = build_hash((uint64_t)k.module << 32 | k.to, k.gateway);
	uint32_t slot, index = build_table_find(b, hash, same_node, &k, &slot);

	if (index != BUILD_NONE || slot == BUILD_NONE || !BUILD_GROW(b, nodes))
		return index;
	b->nodes[b->n_nodes] = k;
	build_table_put(b, slot, hash, b->n_nodes);
	return b->n_nodes++;
}

/* Where a hop of the resolver's answer went. */
struct moved {
	uint32_t place, hop;
};

static bool add_order(struct plan_builder *b, uint32_t combo, struct moved x, struct moved y)
{
	if (!BUILD_GROW(b, orders))
		return false;
	b->orders[b->n_orders++] = (struct build_order){ combo, x.place, x.hop, y.place, y.hop };
	return true;
}

/* Count the hops of each place and make room for them. */
static void make_room(struct plan_builder *b, struct build_combo *c, const struct resolve_result *r)
{
	for (uint32_t i = 0; i < r->n_hops; i++)
		c->places[r->hops[i].place].n_hops++;
	for (uint32_t p = 0; p < c->n_places; p++) {
		c->places[p].hops = build_get(b, c->places[p].n_hops, sizeof(struct build_hop));
		if (c->places[p].n_hops > 0)
			c->places[p].outcome = PLAN_UPDATE;
		c->places[p].n_hops = 0;
	}
}

/* Take over a solution. */
static bool keep_hops(struct plan_builder *b, uint32_t combo, const struct resolve_result *r,
	const struct resolve_place *places)
{
	struct build_combo *c = &b->combos[combo];
	struct moved *moved = build_get(b, r->n_hops, sizeof(*moved));

	make_room(b, c, r);
	for (uint32_t i = 0; i < r->n_hops && b->failure.code == FL_OK; i++) {
		const struct resolve_hop *h = &r->hops[i];
		struct build_place *p = &c->places[h->place];
		struct build_node node = { places[h->place].tier == TIER_GATEWAY, h->module, h->to,
			0 };

		moved[i] = (struct moved){ h->place, p->n_hops };
		p->hops[p->n_hops++] =
			(struct build_hop){ h->module, h->from, h->to, intern_node(b, node) };
		/* One unit: each before the other. */
		if (i > 0 && h->unit == r->hops[i - 1].unit &&
			(!add_order(b, combo, moved[i - 1], moved[i]) ||
				!add_order(b, combo, moved[i], moved[i - 1])))
			return false;
	}
	for (uint32_t i = 0; i < r->n_orders && b->failure.code == FL_OK; i++)
		(void)add_order(b, combo, moved[r->orders[i].before], moved[r->orders[i].after]);
	return b->failure.code == FL_OK;
}

static bool resolve_combo(struct plan_builder *b, uint32_t combo, struct resolve_place *places)
{
	struct build_combo *c = &b->combos[combo];
	struct resolve_problem p = { .universe = b->u,
		.entries = b->in->entries,
		.n_entries = b->in->n_entries,
		.places = places,
		.n_places = c->n_places,
		.gateway = c->gateway };
	size_t words = ((size_t)b->u->n_predicates + 63) / 64;

	for (uint32_t i = 0; i < c->n_places; i++) {
		const struct build_kind *k = &b->kinds[c->places[i].kind];

		places[i] = (struct resolve_place){ .state = k->state,
			.signature = words == 0 ? NULL : b->in->signatures + k->signature * words,
			.tier = (c->gateway && i == 0) || (k->flags & PLAN_GATEWAY) != 0
				? TIER_GATEWAY
				: TIER_DEVICE,
			.fixed = !c->places[i].selected };
	}
	/* Each turn gives at least one place up. */
	for (uint32_t turn = 0; turn <= c->n_places; turn++) {
		struct resolve_result r = { 0 };
		bool again = resolve(&p, &r, &b->failure) == FL_OK;

		if (again && r.outcome != RESOLVE_OK)
			give_up(b, c, places, &r);
		else if (again && !hold(b, c, places, &r))
			again = keep_hops(b, combo, &r, places) && false;
		resolve_fini(&r);
		if (!again)
			return b->failure.code == FL_OK;
	}
	FL_BUG_IF(true);
}

static bool resolve_combos(struct plan_builder *b)
{
	uint32_t most = 0;
	struct resolve_place *places;

	for (uint32_t i = 0; i < b->n_combos; i++)
		most = b->combos[i].n_places > most ? b->combos[i].n_places : most;
	places = build_get(b, most, sizeof(*places));
	for (uint32_t i = 0; i < b->n_combos && b->failure.code == FL_OK; i++)
		(void)resolve_combo(b, i, places);
	build_table_reset(b);
	return b->failure.code == FL_OK;
}

/* ---- classes of devices */

static uint32_t place_of(
	const struct plan_builder *b, const struct build_combo *c, uint32_t device, uint32_t root)
{
	uint32_t low = 1, high = c->n_places, kind = b->kind_of[device];

	if (device == root)
		return 0;
	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (c->places[middle].kind < kind)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Count device i to what becomes of its place. */
static void count(struct plan_builder *b, uint32_t i, const struct build_place *p)
{
	struct plan_class *class = &b->out->classes[p->class];
	struct build_reason *reason = p->reason == BUILD_NONE ? NULL : &b->reasons[p->reason];

	if (class->devices++ == 0)
		class->example_no = b->in->devices.no[i];
	if (reason != NULL && reason->devices++ == 0)
		reason->example_no = b->in->devices.no[i];
	b->out->totals[p->outcome]++;
}

static bool classify(struct plan_builder *b)
{
	size_t n = b->in->devices.n;

	b->out->class_of = build_out(b, n, sizeof(*b->out->class_of));
	if (b->out->class_of == NULL)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t root = b->root_of[i];
		const struct build_combo *c = &b->combos[b->combo_of[root]];
		const struct build_place *p = &c->places[place_of(b, c, i, root)];

		b->out->class_of[i] = p->class;
		if (p->class != BUILD_NONE)
			count(b, i, p);
	}
	return true;
}

static bool begin(struct plan_builder *b)
{
	b->out->release = build_text(b, b->in->release);
	b->out->order = b->in->strategy->order;
	b->out->seed = b->in->strategy->seed;
	if (b->in->devices.n >= PLAN_NO_DEVICE / 2) {
		(void)fl_fail(&b->failure, FL_REFUSED, "too many devices for one plan");
		return false;
	}
	return b->failure.code == FL_OK;
}

enum fl_code plan_make(const struct plan_input *in, struct plan *out, struct fl_err *err)
{
	struct plan_builder b = { .in = in, .u = in->universe, .out = out };

	if (begin(&b) && find_kinds(&b) && find_roots(&b) && find_combos(&b) &&
		resolve_combos(&b) && build_layers(&b) && build_classes(&b) && classify(&b) &&
		build_conflicts(&b) && build_stages(&b) && build_remarks(&b))
		(void)build_digest(&b);
	for (uint32_t i = 0; i < b.n_clusters; i++)
		free(b.clusters[i].edges);
	free(b.kinds);
	free(b.combos);
	free(b.nodes);
	free(b.reasons);
	free(b.clusters);
	free(b.orders);
	free(b.sets);
	free(b.classes);
	build_table_reset(&b);
	fl_arena_fini(&b.arena);
	if (b.failure.code != FL_OK)
		return fl_fail(err, b.failure.code, "%s", b.failure.msg);
	return FL_OK;
}

void plan_fini(struct plan *p)
{
	fl_arena_fini(&p->arena);
	memset(p, 0, sizeof(*p));
}

/* ---- questions */

static const char *const kind_texts[] = { "update", "noop", "incompatible", "held" };

const char *plan_kind_text(enum plan_kind k)
{
	FL_BUG_IF((unsigned)k >= PLAN_KIND_MAX);
	return kind_texts[k];
}

bool plan_class_changes(const struct plan *p, uint32_t class, uint32_t layer)
{
	FL_BUG_IF(class >= p->n_classes || layer >= p->n_layers);
	return p->classes[class].sets[layer] != p->classes[class].sets[layer + 1];
}

const struct plan_set *plan_class_before(const struct plan *p, uint32_t class, uint32_t layer)
{
	FL_BUG_IF(class >= p->n_classes || layer >= p->n_layers);
	return &p->sets[p->classes[class].sets[layer]];
}

const struct plan_set *plan_class_after(const struct plan *p, uint32_t class, uint32_t layer)
{
	FL_BUG_IF(class >= p->n_classes || layer >= p->n_layers);
	return &p->sets[p->classes[class].sets[layer + 1]];
}

const struct plan_stage *plan_stage(const struct plan *p, uint32_t layer, uint32_t wave)
{
	FL_BUG_IF(wave >= p->n_waves || layer >= p->n_layers);
	return &p->stages[(size_t)wave * p->n_layers + layer];
}
