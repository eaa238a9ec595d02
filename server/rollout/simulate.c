/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/simulate.h"

#include "server/rollout/simulate_in.h"

#include <stdlib.h>
#include <sys/mman.h> /* madvise */
#include <string.h>

#define PAGE       2097152 /* a large one */
#define LOOK_EVERY 4096    /* facts between two looks at whether it was canceled */

/* ---- devices */

/* A request reaches fleetd. */
static void note_request(struct simulate_world *w)
{
	int64_t second = w->t_ms / 1000;

	if (second != w->second) {
		w->second = second;
		w->requests = 0;
	}
	if (++w->requests > w->out->peak_per_s)
		w->out->peak_per_s = w->requests;
}

/* The layer whose step a device may be given now, -1: none. Backward the uppermost. */
static int waiting_layer(const struct simulate_world *w, uint32_t device)
{
	const struct simulate_device *d = &w->device[device];

	if (d->back != 0)
		return 31 - __builtin_clz(d->back);
	return d->waiting == 0 ? -1 : __builtin_ctz(d->waiting);
}

/* How long a device that is ready to switch in `took` ms has to wait for its window. */
static int64_t turn_in(
	const struct simulate_world *w, uint32_t device, const struct engine_step *s, int64_t took)
{
	int64_t ready = simulate_wall(w) + took;

	return simulate_turn(w, device, s, ready) - ready;
}

/* Whether the order is the end of a gateway, whatever it brings. */
static bool gateway_dies(struct simulate_world *w, uint32_t device)
{
	return w->in->gateway_ppm > 0 && simulate_is_gateway(w, device) &&
		simulate_below(w, 1000000) < (uint64_t)w->in->gateway_ppm;
}

/* Draw how the installation ends, and when. */
static void begin_order(struct simulate_world *w, uint32_t device, int layer)
{
	const struct simulate_layer *y = simulate_layer_of(w, layer, device);
	struct simulate_device *d = &w->device[device];
	const struct engine_step *s = simulate_step(w, layer, device);
	uint64_t lot = simulate_below(w, 1000000);
	int64_t took = (int64_t)((0.5 + simulate_even(w)) * (double)y->install_ms);

	w->out->delivered++;
	w->out->bytes += y->bytes;
	w->out->bytes_full += y->bytes_full;
	d->layer = (uint8_t)layer;
	d->manifest = s->manifest;
	d->act = SIMULATE_REPORT;
	d->bricked = !s->back && (lot < (uint64_t)y->silent_ppm || gateway_dies(w, device));
	d->good = s->back || (lot >= (uint64_t)(y->fail_ppm + y->silent_ppm) && !d->bricked);
	d->harmed = d->harmed || !d->good;
	simulate_act_at(w, device, (w->t_ms + took + turn_in(w, device, s, took)) / 1000 + 1);
	if (!d->due)
		simulate_due_at(w, device, w->t_ms / 1000 + w->in->rules->install_ms / 1000 + 1);
}

/* What the limits of the strategy are held against, if it has some. */
static void add_load(const struct simulate_world *w, struct engine_fact *fact)
{
	if (!pace_has_rate(&w->in->rules->pace))
		return;
	engine_load(
		w->stages, (size_t)w->n_stages, engine_clock(&w->rollout, simulate_wall(w)), fact);
	fact->in_flight = w->in_flight;
}

static void poll(struct simulate_world *w, uint32_t device)
{
	int layer = waiting_layer(w, device);
	struct opening_hours hours;
	int64_t wall = simulate_wall(w), thaws;
	struct engine_fact fact = {
		.kind = FACT_POLLED, .in_flight = w->in_flight, .manifest = w->manifests + 1
	};

	if (layer < 0)
		return;
	simulate_look_around(w, device, layer, &fact);
	thaws = simulate_thaws(w, device, wall);
	if (fact.fit == ENGINE_FITS && thaws > wall)
		fact.fit = ENGINE_FROZEN;
	hours = simulate_hours(w, device, simulate_step(w, layer, device));
	fact.window = hours.offer;
	fact.install_window = hours.install;
	add_load(w, &fact);
	note_request(w);
	(void)simulate_give_step(w, simulate_stage_of(w, layer, device), device, &fact);
	if (w->out->broken != NULL)
		return;
	if (w->offer) {
		w->manifests++;
		begin_order(w, device, layer);
	} else if (w->keep && !w->device[device].acts) {
		/* what it asks while a freeze holds changes nothing */
		simulate_act_at(w, device, (simulate_next_poll(w, device) + thaws - wall) / 1000);
	}
}

static void report(struct simulate_world *w, uint32_t device)
{
	struct simulate_device *d = &w->device[device];
	const struct engine_step *s = simulate_step(w, d->layer, device);
	struct engine_fact fact = { .kind = FACT_REPORTED,
		.reported = d->good ? STEP_CONFIRMED : STEP_FAILED,
		.cause = d->good ? CAUSE_NONE : CAUSE_RELEASE,
		.manifest = d->manifest };

	d->act = SIMULATE_POLL;
	note_request(w);
	(void)simulate_give_step(w, simulate_stage_of(w, d->layer, device), device, &fact);
	if (s->state == STEP_CONFIRMED && (s->flags & ENGINE_LAST) != 0)
		d->done_s = (int32_t)(w->t_ms / 1000);
	if (!d->acts && waiting_layer(w, device) >= 0)
		simulate_act_at(w, device, simulate_next_poll(w, device) / 1000);
}

static void act(struct simulate_world *w, uint32_t device)
{
	struct simulate_device *d = &w->device[device];

	d->acts = false;
	d->dead = d->dead || (d->bricked && d->act == SIMULATE_REPORT);
	if (simulate_is_dead(w, device))
		return;
	if (d->act == SIMULATE_REPORT)
		report(w, device);
	else
		poll(w, device);
}

/* The deadline of a device's order may be over; the clock may have stood still, or it is another order
 * by now. */
static void look_at_deadline(struct simulate_world *w, uint32_t device)
{
	struct simulate_device *d = &w->device[device];
	const struct engine_step *s = simulate_step(w, d->layer, device);
	struct engine_fact fact = { .kind = FACT_INSTALL_DUE };
	struct window thawed = { 0 };
	int64_t wall = simulate_wall(w), due;

	d->due = false;
	if (d->act != SIMULATE_REPORT || s->deadline == 0)
		return;
	due = engine_wall(&w->rollout, s->deadline, wall);
	if (due <= wall) {
		fact.install_window = simulate_thaw_device(
			w, simulate_hours(w, device, s).install, device, &thawed);
		if (simulate_lost_with_gateway(w, device))
			fact.flags = ENGINE_WITH_GATEWAY;
		(void)simulate_give_step(w, simulate_stage_of(w, d->layer, device), device, &fact);
		window_fini(&thawed);
		/* the window was closed meanwhile: it has more time */
		due = engine_wall(&w->rollout, s->deadline, wall);
	}
	if (s->deadline != 0)
		simulate_due_at(w, device, (w->t_ms + due - wall) / 1000 + 1);
}

/* ---- time */

/* The virtual second of the next thing that a stage has due, INT64_MAX: none. */
static int64_t stages_due(const struct simulate_world *w)
{
	int64_t wall = simulate_wall(w), first = INT64_MAX;

	for (int i = 0; i < w->n_stages; i++) {
		const int64_t clocks[] = { w->stages[i].reach_at, w->stages[i].soak_until,
			w->stages[i].verdict_at };

		for (size_t k = 0; k < FL_COUNT(clocks); k++) {
			int64_t due = clocks[k] == 0
				? INT64_MAX
				: engine_wall(&w->rollout, clocks[k], wall) - wall + w->t_ms;

			first = due < first ? due : first;
		}
	}
	if (w->opens_at >= 0 && w->opens_at - wall + w->t_ms < first)
		first = w->opens_at - wall + w->t_ms;
	return first == INT64_MAX ? first : first / 1000 + 1;
}

static void look_at_stages(struct simulate_world *w)
{
	struct engine_fact fact = { .kind = FACT_STAGE_DUE, .opened = simulate_has_opened(w) };

	for (int i = 0; i < w->n_stages && w->out->broken == NULL; i++) {
		fact.window = simulate_united(w, w->stages[i].wave);
		if (fact.opened || w->stages[i].reach_at != 0 || w->stages[i].soak_until != 0 ||
			w->stages[i].verdict_at != 0)
			simulate_give(w, i, &fact);
	}
}

/* Whoever was in a wheel for the time of an outage comes soon after it. */
static void move_on(
	struct simulate_world *w, struct simulate_wheel *wheel, const struct simulate_span *o)
{
	uint64_t within = (uint64_t)w->in->links[0].poll_ms;

	for (int64_t second = o->from_ms / 1000; second <= o->to_ms / 1000; second++) {
		uint32_t n = simulate_wheel_take(wheel, second, w->batch);

		for (uint32_t i = 0; i < n; i++)
			simulate_wheel_set(wheel, w->batch[i],
				(o->to_ms + (int64_t)simulate_below(w, within)) / 1000 + 1);
	}
}

/* fleetd comes back after an outage: whoever asked or reported meanwhile does so again. */
static void come_back(struct simulate_world *w, const struct simulate_span *o)
{
	struct engine_fact fact = { .kind = FACT_AWAY,
		.from = simulate_wall(w) - w->t_ms + o->from_ms,
		.grace_ms = w->in->links[0].poll_ms };

	w->t_ms = o->to_ms;
	move_on(w, &w->acts, o);
	move_on(w, &w->deadlines, o);
	simulate_give(w, -1, &fact);
}

/* The wall clock jumps; fleetd notices it as an absence, in either direction. */
static void jump(struct simulate_world *w)
{
	struct engine_fact fact = {
		.kind = FACT_AWAY, .from = simulate_wall(w), .grace_ms = w->in->links[0].poll_ms
	};

	w->jumped = w->in->jump_ms;
	simulate_give(w, -1, &fact);
}

/* Fetch the step that the device will act upon. */
static void fetch(struct simulate_world *w, uint32_t device)
{
	const struct simulate_device *d = &w->device[device];
	int layer = d->act == SIMULATE_REPORT ? d->layer : waiting_layer(w, device);
	const char *step = (const char *)simulate_step(w, layer < 0 ? 0 : layer, device);

	__builtin_prefetch(step, 1);
	__builtin_prefetch(step + 64, 1);
}

/* Everybody in a wheel whose second it is. What will be looked at soon is fetched: the rows of many
 * devices do not fit into a cache. */
static void visit(struct simulate_world *w, struct simulate_wheel *wheel, int64_t second,
	void (*fn)(struct simulate_world *w, uint32_t device))
{
	uint32_t n = simulate_wheel_take(wheel, second, w->batch);

	for (uint32_t i = 0; i < n && simulate_goes_on(w); i++) {
		if (i + 2 * SIMULATE_AHEAD < n)
			__builtin_prefetch(&w->device[w->batch[i + 2 * SIMULATE_AHEAD]], 1);
		if (i + SIMULATE_AHEAD < n)
			fetch(w, w->batch[i + SIMULATE_AHEAD]);
		fn(w, w->batch[i]);
	}
}

/* Everything of one second. */
static void turn(struct simulate_world *w, int64_t second, int64_t due)
{
	w->t_ms = second * 1000;
	if (w->in->jump_ms != 0 && w->jumped == 0 && w->t_ms >= w->in->jump_at_ms)
		jump(w);
	visit(w, &w->acts, second, act);
	visit(w, &w->deadlines, second, look_at_deadline);
	if (simulate_goes_on(w))
		simulate_count(w);
	if (simulate_goes_on(w) && second >= due)
		look_at_stages(w);
}

static bool stop_now(struct simulate_world *w, uint64_t *looked)
{
	const struct simulate_in *in = w->in;

	if (w->t_ms >= in->until_ms || w->out->facts >= in->facts_max)
		return true;
	if (in->canceled == NULL || w->out->facts < *looked)
		return false;
	*looked = w->out->facts + LOOK_EVERY;
	return in->canceled(in->arg);
}

static void run(struct simulate_world *w)
{
	int64_t second = 0, due = 0;
	uint64_t looked = 0;

	while (simulate_goes_on(w)) {
		if (w->due_changed)
			due = stages_due(w);
		w->due_changed = false;
		int64_t acts = simulate_wheel_next(&w->acts, second);
		int64_t deadlines = simulate_wheel_next(&w->deadlines, second);

		second = acts < deadlines ? acts : deadlines;
		second = due < second ? due : second;
		if (w->outage < w->in->n_outages &&
			second * 1000 >= w->in->outages[w->outage].from_ms) {
			come_back(w, &w->in->outages[w->outage]);
			second = w->in->outages[w->outage++].to_ms / 1000;
			continue;
		}
		turn(w, second, due);
		second++;
		if (stop_now(w, &looked)) {
			w->out->cut = true;
			return;
		}
	}
}

/* ---- the whole */

/* Zeroed rows that are visited in no order: on few large pages, since looking pages up would take longer
 * than the engine. */
static void *make_rows(size_t n, size_t size)
{
	size_t align = n * size < PAGE ? 64 : PAGE;
	size_t all = (n * size + align - 1) / align * align;
	void *rows = aligned_alloc(align, all);

	if (rows == NULL)
		return NULL;
	if (align == PAGE)
		(void)madvise(rows, all, MADV_HUGEPAGE);
	return memset(rows, 0, n * size);
}

static bool allocate(struct simulate_world *w)
{
	size_t n = (size_t)w->n_stages, devices = w->in->devices;

	w->stages = calloc(n, sizeof(*w->stages));
	w->changes = calloc(n, sizeof(*w->changes));
	w->changed = calloc(n, sizeof(*w->changed));
	w->start = calloc(n, sizeof(*w->start));
	w->sums = calloc(n, sizeof(*w->sums));
	w->dirty = calloc(n, sizeof(*w->dirty));
	w->order = calloc(n, sizeof(*w->order));
	w->steps = make_rows(devices * (size_t)w->in->rules->layers + 1, sizeof(*w->steps));
	w->device = make_rows(devices + 1, sizeof(*w->device));
	w->batch = calloc(devices + 1, sizeof(*w->batch));
	w->members = calloc(devices + 1, sizeof(*w->members));
	w->first = calloc((size_t)w->in->rules->waves + 2, sizeof(*w->first));
	return w->stages != NULL && w->changes != NULL && w->changed != NULL && w->start != NULL &&
		w->sums != NULL && w->dirty != NULL && w->order != NULL && w->steps != NULL &&
		w->device != NULL && w->batch != NULL && w->members != NULL && w->first != NULL &&
		simulate_groups_init(w) && simulate_wheel_init(&w->acts, w->in->devices) &&
		simulate_wheel_init(&w->deadlines, w->in->devices);
}

static void release(struct simulate_world *w)
{
	for (int i = 0; i < w->n_stages && w->order != NULL; i++)
		free(w->order[i].device);
	free(w->order);
	free(w->stages);
	free(w->changes);
	free(w->changed);
	free(w->start);
	free(w->sums);
	free(w->dirty);
	free(w->steps);
	free(w->device);
	free(w->batch);
	free(w->members);
	free(w->first);
	simulate_groups_fini(w);
	simulate_hours_fini(w);
	simulate_wheel_fini(&w->acts);
	simulate_wheel_fini(&w->deadlines);
}

/* The devices of each wave, side by side. */
static void list_members(struct simulate_world *w)
{
	for (uint32_t d = 0; d < w->in->devices; d++)
		w->first[w->in->wave[d] + 1]++;
	for (int i = 0; i < w->in->rules->waves; i++)
		w->first[i + 1] += w->first[i];
	for (uint32_t d = 0; d < w->in->devices; d++)
		w->members[w->first[w->in->wave[d]]++] = d;
	for (int i = w->in->rules->waves; i > 0; i--)
		w->first[i] = w->first[i - 1];
	w->first[0] = 0;
}

/* Make the world, without anybody in it. */
static bool prepare(struct simulate_world *w)
{
	if (!allocate(w))
		return false;
	list_members(w);
	return simulate_hours_init(w);
}

static int by_second(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void sum_up(struct simulate_world *w)
{
	struct simulate_out *o = w->out;
	int64_t *times = calloc(w->in->devices + 1, sizeof(*times));
	double sum = 0;
	size_t n = 0;

	w->nomem = w->nomem || times == NULL;
	o->state = w->rollout.state;
	o->ended_ms = w->t_ms;
	o->targets = w->in->devices;
	memcpy(o->reason, w->rollout.reason, sizeof(o->reason));
	o->passed = true;
	for (int i = 0; i < w->n_stages; i++) {
		o->passed = o->passed && w->stages[i].state == STAGE_SUCCEEDED;
		o->failures += w->stages[i].tally.failures - w->stages[i].tally.carried_failures;
	}
	for (uint32_t d = 0; d < w->in->devices; d++) {
		o->harmed += w->device[d].harmed || simulate_is_dead(w, d);
		if (w->device[d].done_s < 0 || times == NULL)
			continue;
		times[n++] = w->device[d].done_s;
		sum += (double)w->device[d].done_s;
	}
	o->confirmed = (int64_t)n;
	if (n > 0)
		qsort(times, n, sizeof(*times), by_second);
	o->mean_s = n > 0 ? sum / (double)n : 0;
	o->p95_s = n > 0 ? (double)times[(n - 1) * 95 / 100] : 0;
	o->max_s = n > 0 ? (double)times[n - 1] : 0;
	for (size_t i = 0; i < SIMULATE_CURVE; i++) {
		size_t needed = ((i + 1) * w->in->devices + SIMULATE_CURVE - 1) / SIMULATE_CURVE;

		o->reached_s[i] = needed > n ? -1 : needed == 0 ? 0 : (double)times[needed - 1];
	}
	free(times);
}

static void begin(struct simulate_world *w)
{
	w->rollout = (struct engine_rollout){
		.id = 1, .state = ROLLOUT_READY, .back_wave = ENGINE_ALL_WAVES
	};
	for (int i = 0; i < w->n_stages; i++)
		w->stages[i] = (struct engine_stage){ .id = i + 1,
			.wave = i / w->in->rules->layers,
			.layer = i % w->in->rules->layers,
			.state = STAGE_PENDING };
	for (uint32_t d = 0; d < w->in->devices; d++) {
		w->device[d] = (struct simulate_device){ .done_s = -1,
			.class = w->in->class == NULL ? 0 : w->in->class[d],
			.wave = w->in->wave[d] };
		for (int l = 0; l < w->in->rules->layers; l++)
			w->stages[simulate_stage_of(w, l, d)].expected +=
				!simulate_layer_of(w, l, d)->absent;
	}
	simulate_give(w, -1, &(struct engine_fact){ .kind = FACT_START });
}

enum fl_code simulate(const struct simulate_in *in, struct simulate_out *out, struct fl_err *err)
{
	struct simulate_world w = { .in = in,
		.out = out,
		.chance = in->seed * 0x9e3779b97f4a7c15u + 0x6a09e667f3bcc909u,
		.second = -1 };
	enum fl_code code = FL_OK;

	*out = (struct simulate_out){ .stopped_ms = -1 };
	if (in->devices > SIMULATE_DEVICES_MAX || in->rules->layers > SIMULATE_LAYERS_MAX ||
		(int64_t)in->rules->layers * in->rules->waves > SIMULATE_STAGES_MAX)
		return fl_fail(err, FL_REFUSED,
			"at most %d devices, %d layers and %d stages can be simulated",
			SIMULATE_DEVICES_MAX, SIMULATE_LAYERS_MAX, SIMULATE_STAGES_MAX);
	w.n_stages = in->rules->layers * in->rules->waves;
	w.chance |= 1;
	if (prepare(&w)) {
		begin(&w);
		run(&w);
		sum_up(&w);
	} else {
		w.nomem = true;
	}
	if (w.nomem)
		code = fl_fail(err, FL_NOMEM, "there is no memory for a simulation");
	release(&w);
	return code;
}
