/* SPDX-License-Identifier: Apache-2.0 */
#include "server/planning_load.h"

#include "server/fleet.h"
#include "server/store/assignment.h"
#include "server/store/state.h"

#include <malloc.h> /* malloc_trim */
#include <stdlib.h>
#include <string.h>

/* ---- helpers */

bool planning_map_set(struct planning_map *m, int64_t key, uint32_t index)
{
	FL_BUG_IF(key < 0 || key > INT32_MAX);
	if ((size_t)key >= m->n) {
		size_t n = (size_t)key * 2 + 64;
		uint32_t *wider = realloc(m->v, n * sizeof(*wider));

		if (wider == NULL)
			return false;
		memset(wider + m->n, 0, (n - m->n) * sizeof(*wider));
		m->v = wider;
		m->n = n;
	}
	m->v[key] = index + 1;
	return true;
}

uint32_t planning_map_get(const struct planning_map *m, int64_t key)
{
	return key < 0 || (size_t)key >= m->n || m->v[key] == 0 ? UNIVERSE_NONE : m->v[key] - 1;
}

bool planning_grow(void *array, uint32_t n, uint32_t *cap, size_t size)
{
	void *old, *wider;
	uint32_t wanted = *cap == 0 ? 64 : *cap * 2;

	if (n < *cap)
		return true;
	memcpy(&old, array, sizeof(old));
	wider = wanted > 1U << 30 ? NULL : realloc(old, wanted * size);
	if (wider == NULL)
		return false;
	memcpy(array, &wider, sizeof(wider));
	*cap = wanted;
	return true;
}

uint32_t planning_find(const struct planning_devices *d, int64_t no)
{
	size_t low = 0, high = d->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (d->no[middle] < no)
			low = middle + 1;
		else
			high = middle;
	}
	return low < d->n && d->no[low] == no ? (uint32_t)low : PLAN_NO_DEVICE;
}

static enum fl_code nomem(struct fl_err *err)
{
	return fl_fail(err, FL_NOMEM, "no memory to plan");
}

/* ---- devices */

static bool widen(void *array, size_t cap, size_t size)
{
	void *old, *wider;

	memcpy(&old, array, sizeof(old));
	wider = realloc(old, cap * size);
	if (wider == NULL)
		return false;
	memcpy(array, &wider, sizeof(wider));
	return true;
}

static bool devices_grow(struct planning_devices *d)
{
	size_t cap = d->cap == 0 ? 1024 : d->cap * 2;

	if (d->n < d->cap)
		return true;
	if (!widen(&d->no, cap, sizeof(*d->no)) ||
		!widen(&d->gateway_no, cap, sizeof(*d->gateway_no)) ||
		!widen(&d->state_id, cap, sizeof(*d->state_id)) ||
		!widen(&d->silent_s, cap, sizeof(*d->silent_s)) ||
		!widen(&d->flags, cap, sizeof(*d->flags)))
		return false;
	d->cap = cap;
	return true;
}

static void devices_fini(struct planning_devices *d)
{
	free(d->no);
	free(d->gateway_no);
	free(d->state_id);
	free(d->state);
	free(d->signature);
	free(d->gateway);
	free(d->stratum);
	free(d->held);
	free(d->zone);
	free(d->group);
	free(d->frozen);
	free(d->wave);
	free(d->silent_s);
	free(d->flags);
	*d = (struct planning_devices){ 0 };
}

/* Seconds since it last spoke. One that has enrolled and not polled since will poll as it was told to: it
 * counts as if it had been silent for so long. */
static uint32_t silence(const struct planning_loader *l, const struct device *d)
{
	struct fleet_device known = { 0 };
	int64_t seen = d->last_seen, now = l->store->now_ms / 1000, silent;

	if (l->rq->fleet != NULL && fleet_get(l->rq->fleet, d->no, &known) && known.seen_s > seen)
		seen = known.seen_s;
	if (seen == 0)
		return PLAN_NEVER_SEEN;
	silent = seen >= now ? 0 : now - seen;
	if (known.nonce == 0 && silent < l->rq->poll_s)
		silent = l->rq->poll_s;
	return (uint32_t)silent;
}

static bool add_device(const struct planning_loader *l, struct planning_devices *to,
	const struct device *d, unsigned flags)
{
	if (!devices_grow(to))
		return false;
	to->silent_s[to->n] = silence(l, d);
	to->no[to->n] = d->no;
	to->gateway_no[to->n] = d->gateway_no;
	to->state_id[to->n] = d->state_id;
	to->flags[to->n] = (uint8_t)(flags | (d->gateway ? PLAN_GATEWAY : 0));
	to->n++;
	return true;
}

static enum fl_code on_selected(void *context, const struct device *d, struct fl_err *err)
{
	struct planning_loader *l = context;
	struct assignment there;

	if (l->rq->after_no != 0) {
		enum fl_code code =
			assignment_find(l->store, l->rq->rollout_id, d->no, &there, err);

		if (code != FL_NOT_FOUND)
			return code;
	}
	l->gateways = l->gateways || d->gateway || d->gateway_no != 0;
	return add_device(l, &l->s->devices, d, PLAN_SELECTED) ? FL_OK : nomem(err);
}

/* The second look: everything that depends on something selected. */
struct neighbours {
	const struct planning_loader *l;
	struct planning_devices all;
	const struct planning_devices *selected;
	struct planning_map near; /* numbers of gateways that matter */
};

static enum fl_code on_neighbour(void *context, const struct device *d, struct fl_err *err)
{
	struct neighbours *x = context;
	bool selected = planning_find(x->selected, d->no) != PLAN_NO_DEVICE;

	if (!selected && planning_map_get(&x->near, d->no) == UNIVERSE_NONE &&
		(d->gateway_no == 0 || planning_map_get(&x->near, d->gateway_no) == UNIVERSE_NONE))
		return FL_OK;
	return add_device(x->l, &x->all, d, selected ? PLAN_SELECTED : 0) ? FL_OK : nomem(err);
}

static enum fl_code load_neighbours(struct planning_loader *l, struct fl_err *err)
{
	struct planning_devices *d = &l->s->devices;
	struct neighbours x = { .l = l, .selected = d };
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < d->n && code == FL_OK; i++) {
		bool ok = d->gateway_no[i] == 0 || planning_map_set(&x.near, d->gateway_no[i], 0);

		if (ok && (d->flags[i] & PLAN_GATEWAY) != 0)
			ok = planning_map_set(&x.near, d->no[i], 0);
		code = ok ? FL_OK : nomem(err);
	}
	if (code == FL_OK)
		code = device_select_narrow(
			l->store, &(struct device_filter){ .limit = -1 }, on_neighbour, &x, err);
	free(x.near.v);
	if (code == FL_OK) {
		devices_fini(d);
		*d = x.all;
	} else {
		devices_fini(&x.all);
	}
	return code;
}

static enum fl_code load_devices(
	struct planning_loader *l, struct device_filter *f, struct fl_err *err)
{
	struct planning_devices *d = &l->s->devices;
	enum fl_code code = device_select_narrow(l->store, f, on_selected, l, err);

	/* Everything selected has no neighbours. */
	if (code == FL_OK && l->gateways && (f->where != NULL || f->scope != NULL)) {
		code = load_neighbours(l, err);
		*f = (struct device_filter){ .limit = -1 };
	}
	if (code != FL_OK)
		return code;
	d->state = calloc(d->n + 1, sizeof(*d->state));
	d->signature = calloc(d->n + 1, sizeof(*d->signature));
	d->gateway = calloc(d->n + 1, sizeof(*d->gateway));
	d->stratum = calloc(d->n + 1, sizeof(*d->stratum));
	d->held = calloc(d->n + 1, sizeof(*d->held));
	if (d->state == NULL || d->signature == NULL || d->gateway == NULL || d->stratum == NULL ||
		d->held == NULL)
		return nomem(err);
	for (size_t i = 0; i < d->n; i++)
		d->gateway[i] =
			d->gateway_no[i] == 0 ? PLAN_NO_DEVICE : planning_find(d, d->gateway_no[i]);
	return FL_OK;
}

/* ---- states */

struct states {
	struct planning_loader *l;
	int64_t id; /* being read; 0: none yet */
	uint32_t versions[STATE_ENTRIES_MAX], n;
};

static bool end_state(struct states *x)
{
	struct planning_snapshot *s = x->l->s;
	uint32_t index;

	if (x->id == 0)
		return true;
	index = universe_state(&s->universe, x->versions, x->n);
	s->state_ids[index] = x->id;
	x->n = 0;
	return planning_map_set(&x->l->states, x->id, index);
}

static enum fl_code on_state(
	void *context, int64_t state_id, const struct state_entry *e, struct fl_err *err)
{
	struct states *x = context;
	struct universe *u = &x->l->s->universe;

	/* In the map with any index: some device has it. */
	if (planning_map_get(&x->l->states, state_id) == UNIVERSE_NONE)
		return FL_OK;
	if (state_id != x->id && !end_state(x))
		return nomem(err);
	x->id = state_id;
	FL_BUG_IF(x->n == STATE_ENTRIES_MAX);
	x->versions[x->n++] = universe_version(u, universe_module(u, e->module), e->version);
	return FL_OK;
}

static enum fl_code load_states(struct planning_loader *l, struct fl_err *err)
{
	struct planning_devices *d = &l->s->devices;
	struct states x = { .l = l };
	uint32_t distinct = 0;
	enum fl_code code;

	for (size_t i = 0; i < d->n; i++) {
		if (planning_map_get(&l->states, d->state_id[i]) != UNIVERSE_NONE)
			continue;
		distinct++;
		if (!planning_map_set(&l->states, d->state_id[i], 0))
			return nomem(err);
	}
	l->s->state_ids = calloc((size_t)distinct + 1, sizeof(*l->s->state_ids));
	if (l->s->state_ids == NULL)
		return nomem(err);
	code = state_each(l->store, 0, on_state, &x, err);
	if (code == FL_OK && !end_state(&x))
		code = nomem(err);
	/* It has no entry, so the loop does not see it. */
	if (code == FL_OK && planning_map_get(&l->states, STATE_EMPTY) != UNIVERSE_NONE) {
		x.id = STATE_EMPTY;
		code = end_state(&x) ? FL_OK : nomem(err);
	}
	for (size_t i = 0; i < d->n && code == FL_OK; i++)
		d->state[i] = planning_map_get(&l->states, d->state_id[i]);
	return code;
}

/* ---- waves by selector */

struct wave {
	struct planning_devices *d;
	uint16_t wave;
};

static enum fl_code on_wave(void *context, const struct device *device, struct fl_err *err)
{
	struct wave *x = context;
	uint32_t i = planning_find(x->d, device->no);

	(void)err;
	if (i != PLAN_NO_DEVICE && x->d->wave[i] == PLAN_NO_WAVE)
		x->d->wave[i] = x->wave;
	return FL_OK;
}

static enum fl_code load_waves(struct planning_loader *l, struct fl_err *err)
{
	const struct strategy *s = l->rq->strategy;
	struct planning_devices *d = &l->s->devices;
	enum fl_code code = FL_OK;

	for (size_t w = 0; w < s->n_waves && code == FL_OK; w++) {
		RSQL_AUTO struct rsql *where = NULL;
		struct wave x = { d, (uint16_t)w };

		if (s->waves[w].kind != WAVE_SELECTOR)
			continue;
		if (d->wave == NULL) {
			d->wave = malloc((d->n + 1) * sizeof(*d->wave));
			if (d->wave == NULL)
				return nomem(err);
			memset(d->wave, 0xff, (d->n + 1) * sizeof(*d->wave));
		}
		code = rsql_parse(s->waves[w].selector, &where, err);
		if (code != FL_OK)
			return fl_wrap(err, "strategy: waves[%zu]: selector", w);
		code = device_select_narrow(l->store,
			&(struct device_filter){ .where = where, .limit = -1 }, on_wave, &x, err);
	}
	return code;
}

static enum fl_code on_early(void *context, const struct device *device, struct fl_err *err)
{
	struct planning_devices *d = context;
	uint32_t i = planning_find(d, device->no);

	(void)err;
	if (i != PLAN_NO_DEVICE)
		d->flags[i] |= PLAN_EARLY;
	return FL_OK;
}

/* Test devices, which come before all others. */
static enum fl_code load_early(struct planning_loader *l, struct fl_err *err)
{
	RSQL_AUTO struct rsql *where = NULL;

	if (l->rq->strategy->early == NULL)
		return FL_OK;
	if (rsql_parse(l->rq->strategy->early, &where, err) != FL_OK)
		return fl_wrap(err, "strategy: early");
	return device_select_narrow(l->store,
		&(struct device_filter){ .where = where, .limit = -1 }, on_early, &l->s->devices,
		err);
}

/* ---- all together */

static void write_input(struct planning_snapshot *s, const struct planning_request *rq)
{
	const struct planning_devices *d = &s->devices;

	s->in.universe = &s->universe;
	s->in.release = s->release;
	s->in.entries = s->entries;
	s->in.strategy = rq->strategy;
	s->in.signatures = s->signatures;
	s->in.holds = s->holds;
	s->in.deltas = s->deltas;
	s->in.devices = (struct plan_devices){ .n = d->n,
		.no = d->no,
		.state = d->state,
		.signature = d->signature,
		.gateway = d->gateway,
		.stratum = d->stratum,
		.held = d->held,
		.wave = d->wave,
		.silent_s = d->silent_s,
		.flags = d->flags,
		.group = d->group,
		.zone = d->zone,
		.frozen = d->frozen };
	s->in.freezes = s->freezes;
	s->in.zones = (const char *const *)s->zones;
}

static enum fl_code load(struct planning_loader *l, struct fl_err *err)
{
	struct device_filter f = { .limit = -1, .after = l->rq->after_no };
	enum fl_code code = device_last_no(l->store, &l->s->newest_no, err);

	if (code == FL_OK && l->rq->selector[0] != '\0')
		code = rsql_parse(l->rq->selector, &l->selector, err);
	if (code == FL_OK && l->rq->scope != NULL)
		code = rsql_parse(l->rq->scope, &l->scope, err);
	f.where = l->selector;
	f.scope = l->scope;
	if (code == FL_OK)
		code = planning_load_software(l, err);
	if (code == FL_OK)
		code = load_devices(l, &f, err);
	if (code == FL_OK && l->rq->channel_id != 0)
		code = planning_load_channel(l, err);
	if (code == FL_OK)
		code = load_states(l, err);
	if (code == FL_OK)
		code = planning_load_holds(l, err);
	if (code == FL_OK)
		code = universe_seal(&l->s->universe, err);
	if (code == FL_OK)
		code = planning_load_traits(l, &f, err);
	if (code == FL_OK)
		code = planning_load_values(l, err);
	if (code == FL_OK)
		code = load_waves(l, err);
	if (code == FL_OK)
		code = load_early(l, err);
	if (code == FL_OK)
		code = planning_load_deltas(l, err);
	if (code == FL_OK)
		code = planning_load_history(l, err);
	return code;
}

enum fl_code planning_load(struct store *store, const struct planning_request *rq,
	struct planning_snapshot **out, struct fl_err *err)
{
	struct planning_loader l = { .store = store, .rq = rq, .s = calloc(1, sizeof(*l.s)) };
	enum fl_code code;

	if (l.s == NULL)
		return nomem(err);
	l.s->release = strdup(rq->release);
	code = l.s->release == NULL ? nomem(err) : load(&l, err);
	rsql_free(l.selector);
	rsql_free(l.scope);
	free(l.modules.v);
	free(l.versions.v);
	free(l.artifacts.v);
	free(l.states.v);
	if (code != FL_OK) {
		planning_free(l.s);
		return code;
	}
	write_input(l.s, rq);
	*out = l.s;
	return FL_OK;
}

const struct plan_input *planning_input(const struct planning_snapshot *s)
{
	return &s->in;
}

const struct planning_left_out *planning_left_out(const struct planning_snapshot *s)
{
	return &s->left_out;
}

int64_t planning_newest_no(const struct planning_snapshot *s)
{
	return s->newest_no;
}

int64_t planning_state_id(const struct planning_snapshot *s, uint32_t state)
{
	return s->state_ids[state];
}

void planning_free(struct planning_snapshot *s)
{
	if (s == NULL)
		return;
	universe_fini(&s->universe);
	devices_fini(&s->devices);
	for (uint32_t i = 0; i < s->in.n_zones; i++)
		free(s->zones[i]);
	free(s->zones);
	for (uint32_t i = 0; i < s->in.n_freezes; i++)
		window_fini(&s->freezes[i]);
	free(s->freezes);
	free(s->state_ids);
	free(s->signatures);
	free(s->holds);
	free(s->deltas);
	free(s->entries);
	free(s->release);
	fl_arena_fini(&s->arena);
	free(s);
	/* A million devices are some 60 MB, which the allocator would keep for the next plan. */
	(void)malloc_trim(0);
}
