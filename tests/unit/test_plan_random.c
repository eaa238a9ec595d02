/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole plans of random small fleets: gateways, floors, starts of all kinds. Whatever the planner
 * says, following it breaks nothing. */
#include "server/rollout/plan.h"

#include "tests/unit/small_universe.h"

#define ROUNDS   3000
#define MODULES  5
#define VERSIONS 4
#define DEVICES  40

struct fleet {
	struct small s;
	struct strategy strategy;
	struct plan_input in;
	struct plan plan;
	int64_t no[DEVICES];
	uint32_t state[DEVICES], zero[DEVICES], gateway[DEVICES];
	uint8_t flags[DEVICES];
};

static unsigned seed;

static int draw(int n)
{
	return rand_r(&seed) % n;
}

/* Modules A and B are gateways', c to e devices'. */
static const char *const names[MODULES] = { "A", "B", "c", "d", "e" };

static void make_software(struct fleet *f)
{
	FL_AUTO_BUF struct fl_buf release = { 0 };

	for (int k = 0; k < MODULES; k++) {
		for (int v = 1; v <= VERSIONS; v++) {
			FL_AUTO_BUF struct fl_buf requires = { 0 };
			char what[64];

			fl_buf_str(&requires, "");
			for (int r = 0; r < k; r++) {
				int low = draw(v + 1), high = v + draw(3);

				if (draw(3) == 0 && (k > 1 || r < 2))
					fl_buf_printf(&requires, "%s >=%d.0.0 <=%d.0.0,", names[r],
						low, high);
			}
			fl_buf_byte(&requires, '\0');
			(void)snprintf(what, sizeof(what), "%s %d.0.0%s", names[k], v,
				draw(5) == 0 ? "!" : "");
			small_publish(&f->s, what, (char *) requires.p);
		}
	}
	fl_buf_str(&release, "");
	for (int k = 0; k < MODULES; k++) {
		if (draw(4) > 0)
			fl_buf_printf(&release, "%s%s %d.0.0,", draw(4) == 0 ? "+" : "", names[k],
				VERSIONS - draw(2));
	}
	fl_buf_byte(&release, '\0');
	small_release(&f->s, (char *)release.p);
}

static void add_device(struct fleet *f, bool gateway, uint32_t behind)
{
	size_t i = f->in.devices.n++;
	FL_AUTO_BUF struct fl_buf installed = { 0 };

	fl_buf_str(&installed, "");
	for (int k = gateway ? 0 : 2; k < (gateway ? 2 : MODULES); k++) {
		int v = draw(VERSIONS + 1);

		if (v > 0)
			fl_buf_printf(&installed, "%s %d.0.0,", names[k], v);
	}
	fl_buf_byte(&installed, '\0');
	f->no[i] = (int64_t)i + 1;
	f->state[i] = small_state(&f->s, (char *)installed.p);
	f->gateway[i] = behind;
	f->flags[i] = (uint8_t)((gateway ? PLAN_GATEWAY : 0) | (draw(8) == 0 ? 0 : PLAN_SELECTED));
}

static void make(struct fleet *f)
{
	struct fl_err err;
	FL_AUTO_JSON json_t *strategy = json_pack("{s:[{s:i},{s:i},{s:i}],s:s}", "waves", "count",
		1 + draw(4), "percent", 1 + draw(50), "percent", 100, "conflicts", "leave_out");

	memset(f, 0, sizeof(*f));
	assert_int_equal(strategy_read(strategy, seed, &f->strategy, &err), FL_OK);
	make_software(f);
	for (int g = 0; g < 4; g++) {
		uint32_t gateway = (uint32_t)f->in.devices.n;

		add_device(f, true, PLAN_NO_DEVICE);
		for (int i = draw(4); i > 0; i--)
			add_device(f, false, gateway);
	}
	for (int i = 0; i < 6; i++)
		add_device(f, false, PLAN_NO_DEVICE);
	small_seal(&f->s);
	f->in.universe = &f->s.u;
	f->in.release = "random";
	f->in.entries = f->s.entries;
	f->in.n_entries = f->s.n_entries;
	f->in.strategy = &f->strategy;
	f->in.n_signatures = 1;
	f->in.devices.no = f->no;
	f->in.devices.state = f->state;
	f->in.devices.signature = f->in.devices.stratum = f->in.devices.held = f->zero;
	f->in.devices.gateway = f->gateway;
	f->in.devices.flags = f->flags;
	if (plan_make(&f->in, &f->plan, &err) != FL_OK)
		fail_msg("seed %u: %s", seed, err.msg);
}

static void end(struct fleet *f)
{
	plan_fini(&f->plan);
	universe_fini(&f->s.u);
	strategy_fini(&f->strategy);
}

/* ---- what a device has */

/* The version of a module at a stop of a device: before the first layer for neighbours. */
static uint32_t has(struct fleet *f, size_t device, uint32_t stop, uint32_t module)
{
	const struct plan_set *set;
	uint32_t class = f->plan.class_of[device];

	if (class == UINT32_MAX)
		return universe_installed(&f->s.u, f->state[device], module);
	set = &f->plan.sets[f->plan.classes[class].sets[stop]];
	for (uint32_t i = 0; i < set->n; i++) {
		if (strcmp(set->items[i].module->name, f->s.u.modules[module].name) != 0)
			continue;
		for (uint32_t k = 0; k < f->s.u.modules[module].n; k++) {
			uint32_t version = f->s.u.sorted[f->s.u.modules[module].first + k];

			if (strcmp(f->s.u.versions[version].text, set->items[i].version) == 0)
				return version;
		}
	}
	return UNIVERSE_NONE;
}

/* What `device` sees of a module when it is at `stop` and its gateway at `gateway_stop`. */
static uint32_t sees(
	struct fleet *f, size_t device, uint32_t stop, uint32_t gateway_stop, uint32_t module)
{
	bool gateway = f->s.u.modules[module].tier == TIER_GATEWAY &&
		(f->flags[device] & PLAN_GATEWAY) == 0;

	if (!gateway)
		return has(f, device, stop, module);
	return f->gateway[device] == PLAN_NO_DEVICE
		? UNIVERSE_NONE
		: has(f, f->gateway[device], gateway_stop, module);
}

static bool works(struct fleet *f, size_t device, uint32_t stop, uint32_t gateway_stop,
	const struct universe_requirement *r)
{
	return universe_in_range(&f->s.u, sees(f, device, stop, gateway_stop, r->module), r->range);
}

/* What a device runs at a stop works with what its gateway runs at another, if it was put there by us
 * or worked at the start. */
static void check_device(struct fleet *f, size_t device, uint32_t stop, uint32_t gateway_stop)
{
	const struct universe *u = &f->s.u;

	for (uint32_t m = 0; m < u->n_modules; m++) {
		uint32_t now = has(f, device, stop, m), before = has(f, device, 0, m);

		if (now == UNIVERSE_NONE)
			continue;
		for (uint32_t k = 0; k < u->versions[now].n_requirements; k++) {
			const struct universe_requirement *r =
				&u->requirements[u->versions[now].first_requirement + k];

			if ((now != before || works(f, device, 0, 0, r)) &&
				!works(f, device, stop, gateway_stop, r))
				fail_msg("seed %u: device %zu, stop %u, gateway's %u: %s %s is "
					 "broken",
					seed, device, stop, gateway_stop, u->modules[m].name,
					u->versions[now].text);
		}
	}
}

/* While layer l of a wave runs, or is taken back, each device has done it or not yet. */
static void check_stops(struct fleet *f)
{
	for (size_t i = 0; i < f->in.devices.n; i++) {
		for (uint32_t l = 0; l < f->plan.n_layers; l++) {
			check_device(f, i, l, l);
			check_device(f, i, l, l + 1);
			check_device(f, i, l + 1, l);
			check_device(f, i, l + 1, l + 1);
		}
	}
}

/* Devices that update end with what the release says; no version goes down; the others stay. */
static void check_ends(struct fleet *f)
{
	const struct plan *p = &f->plan;

	for (size_t i = 0; i < f->in.devices.n; i++) {
		uint32_t class = p->class_of[i];
		bool updates = class != UINT32_MAX && p->classes[class].kind == PLAN_UPDATE;

		assert_int_equal(class == UINT32_MAX, (f->flags[i] & PLAN_SELECTED) == 0);
		assert_int_equal(p->wave_of[i] != PLAN_NO_WAVE, updates);
		if (class != UINT32_MAX && !updates)
			assert_int_equal(
				p->classes[class].sets[0], p->classes[class].sets[p->n_layers]);
		for (uint32_t e = 0; e < f->in.n_entries && updates; e++) {
			uint32_t module = f->in.entries[e].module;

			if (has(f, i, 0, module) != UNIVERSE_NONE)
				assert_int_equal(
					has(f, i, p->n_layers, module), f->in.entries[e].version);
		}
		for (uint32_t l = 0; l < p->n_layers && updates; l++) {
			for (uint32_t m = 0; m < f->s.u.n_modules; m++) {
				uint32_t a = has(f, i, l, m), b = has(f, i, l + 1, m);

				if (a != UNIVERSE_NONE && a != b)
					assert_true(b != UNIVERSE_NONE &&
						fl_semver_compare(&f->s.u.versions[a].semver,
							&f->s.u.versions[b].semver) < 0);
			}
		}
	}
}

/* No floor is jumped over. */
static void check_floors(struct fleet *f)
{
	const struct universe *u = &f->s.u;

	for (uint32_t v = 0; v < u->n_versions; v++) {
		for (size_t i = 0; i < f->in.devices.n && u->versions[v].floor; i++) {
			for (uint32_t l = 0; l < f->plan.n_layers; l++) {
				uint32_t a = has(f, i, l, u->versions[v].module);
				uint32_t b = has(f, i, l + 1, u->versions[v].module);

				if (a == UNIVERSE_NONE || b == UNIVERSE_NONE)
					continue;
				assert_false(fl_semver_compare(&u->versions[a].semver,
						     &u->versions[v].semver) < 0 &&
					fl_semver_compare(&u->versions[v].semver,
						&u->versions[b].semver) < 0);
			}
		}
	}
}

/* Groups are in one wave, and the figures add up. */
static void check_figures(struct fleet *f)
{
	const struct plan *p = &f->plan;

	for (uint32_t w = 0; w < p->n_waves; w++) {
		uint32_t devices = 0;

		for (size_t i = 0; i < f->in.devices.n; i++)
			devices += p->wave_of[i] == w;
		assert_int_equal(p->waves[w].devices, devices);
		for (uint32_t l = 0; l < p->n_layers; l++) {
			uint32_t changing = 0;

			for (size_t i = 0; i < f->in.devices.n; i++)
				changing += p->wave_of[i] == w &&
					plan_class_changes(p, p->class_of[i], l);
			assert_int_equal(plan_stage(p, l, w)->devices, changing);
		}
	}
	for (size_t i = 0; i < f->in.devices.n; i++) {
		uint32_t gateway = f->gateway[i];

		if (gateway != PLAN_NO_DEVICE && p->wave_of[i] != PLAN_NO_WAVE &&
			p->wave_of[gateway] != PLAN_NO_WAVE)
			assert_int_equal(p->wave_of[i], p->wave_of[gateway]);
	}
}

/* Behaviour: at every stop of every plan, forwards and backwards, with any device of a stage ahead of
 * any other, nothing that runs is broken; floors are passed; what is promised is reached. */
static void breaks_nothing(void **state)
{
	static struct fleet f;
	uint32_t updated = 0, left = 0, deep = 0;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		seed = round;
		make(&f);
		check_stops(&f);
		check_ends(&f);
		check_floors(&f);
		check_figures(&f);
		updated += f.plan.totals[PLAN_UPDATE];
		left += f.plan.totals[PLAN_INCOMPATIBLE];
		deep += f.plan.n_layers > 3;
		end(&f);
	}
	/* Else these fleets would be too easy. */
	assert_true(updated > ROUNDS * 3 && left > ROUNDS && deep > ROUNDS / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(breaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
