/* SPDX-License-Identifier: Apache-2.0
 *
 * How long the planner thinks: 1,000,000 devices with 20 modules in 6 layers, 60 distinct sets of what
 * is installed, 12 strata, 3 waves; then a tenth and a hundredth of that. Prints `name value unit`. */
#include "server/rollout/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MODULES  20
#define LAYERS   6
#define VERSIONS 4
#define STATES   60

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "plan_time: %s\n", what);
		exit(1);
	}
}

/* Module m lies in layer m % LAYERS and requires two of the layer below. */
static void publish(struct universe *u, uint32_t m, uint32_t v)
{
	char text[32], range[16];
	uint8_t sha[32] = { (uint8_t)m, (uint8_t)v };
	uint32_t version;

	(void)snprintf(text, sizeof(text), "%u.0.0", v + 1);
	version = universe_version(u, m, text);
	universe_publish_version(u, version, &(struct universe_publication){ 0 });
	universe_variant(u, version, UNIVERSE_ALWAYS,
		universe_artifact(u, sha, 1000000 + m, (int64_t)(m * VERSIONS + v + 1)));
	(void)snprintf(range, sizeof(range), ">=%u", v + 1);
	for (uint32_t k = 0; k < MODULES && m % LAYERS > 0; k++) {
		if (k % LAYERS == m % LAYERS - 1 && (k / LAYERS == m / LAYERS || k < LAYERS))
			universe_require(u, version, k, range);
	}
}

static void build(struct universe *u, struct resolve_entry *entries)
{
	for (uint32_t m = 0; m < MODULES; m++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "module-%02u", m);
		(void)universe_module(u, name);
		universe_publish_module(u, m, "wasm", TIER_DEVICE);
	}
	for (uint32_t m = 0; m < MODULES; m++) {
		for (uint32_t v = 0; v < VERSIONS; v++)
			publish(u, m, v);
		entries[m] =
			(struct resolve_entry){ m, m * VERSIONS + VERSIONS - 1, RESOLVE_UPDATE };
	}
	/* Lower modules are never older than what requires them. */
	for (uint32_t s = 0; s < STATES; s++) {
		uint32_t installed[MODULES];

		for (uint32_t m = 0; m < MODULES; m++)
			installed[m] =
				m * VERSIONS + (s % 6 >= m % LAYERS ? 1 + s % 2 : 0) + (s / 12 > m);
		(void)universe_state(u, installed, MODULES);
	}
	must(universe_seal(u, NULL) == FL_OK, "the universe is not sound");
}

/* n devices, spread over states and strata. */
static struct plan_devices devices(size_t n)
{
	int64_t *no = calloc(n, sizeof(*no));
	uint32_t *numbers = calloc(n, 5 * sizeof(*numbers));
	uint8_t *flags = calloc(n, 1);

	must(no != NULL && numbers != NULL && flags != NULL, "no memory");
	for (size_t i = 0; i < n; i++) {
		no[i] = (int64_t)i + 1;
		numbers[i] = (uint32_t)(i * 2654435761U % STATES);
		numbers[2 * n + i] = PLAN_NO_DEVICE;
		numbers[3 * n + i] = (uint32_t)(i * 40503 % 12);
		flags[i] = PLAN_SELECTED;
	}
	return (struct plan_devices){ .n = n,
		.no = no,
		.state = numbers,
		.signature = numbers + n,
		.gateway = numbers + 2 * n,
		.stratum = numbers + 3 * n,
		.held = numbers + 4 * n,
		.flags = flags };
}

static double measure(struct plan_input *in, size_t n)
{
	struct timespec begin, end;
	struct plan p = { 0 };
	struct fl_err err = { 0 };

	in->devices = devices(n);
	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	if (plan_make(in, &p, &err) != FL_OK)
		must(false, err.msg);
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	must(p.n_layers == LAYERS && p.totals[PLAN_UPDATE] == n && p.n_refusals == 0,
		"the plan is not the one that was meant");
	plan_fini(&p);
	free((void *)(uintptr_t)in->devices.no);
	free((void *)(uintptr_t)in->devices.state);
	free((void *)(uintptr_t)in->devices.flags);
	return (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
}

int main(void)
{
	struct universe u = { 0 };
	struct resolve_entry entries[MODULES];
	struct strategy strategy = { 0 };
	struct plan_input in = { .universe = &u,
		.release = "bench",
		.entries = entries,
		.n_entries = MODULES,
		.strategy = &strategy,
		.n_signatures = 1 };

	build(&u, entries);
	must(strategy_read(NULL, 1, &strategy, NULL) == FL_OK, "no strategy");
	printf("plan_think_10k_s %.4f s\n", measure(&in, 10000));
	printf("plan_think_100k_s %.4f s\n", measure(&in, 100000));
	printf("plan_think_1m_s %.4f s\n", measure(&in, 1000000));
	strategy_fini(&strategy);
	universe_fini(&u);
	return 0;
}
