/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/until.h"

#include "cli/stats.h"
#include "cli/value.h"

#include <stdio.h>
#include <string.h>

enum fl_code until_parse(const char *text, struct until *out, struct fl_err *err)
{
	int n = -1, end = 0;

	*out = (struct until){ .kind = UNTIL_COMPLETE };
	if (text == NULL || strcmp(text, "complete") == 0)
		return FL_OK;
	if (strcmp(text, "stage") == 0) {
		out->kind = UNTIL_NEXT_STAGE;
		return FL_OK;
	}
	if (strncmp(text, "stage:", 6) == 0) {
		out->kind = UNTIL_STAGE;
		return stats_stage_parse(text + 6, &out->layer, &out->wave, err);
	}
	if (sscanf(text, "wave:%9d%n", &n, &end) == 1 && text[end] == '\0' && n >= 0) {
		out->kind = UNTIL_WAVE;
		out->wave = n;
		return FL_OK;
	}
	return fl_fail(err, FL_INVALID,
		"--until takes complete, stage, stage:L,W (layer, wave) or wave:N, not \"%.40s\"",
		text);
}

static bool is_one_of(const char *state, const char *const *states)
{
	for (size_t i = 0; state != NULL && states[i] != NULL; i++) {
		if (strcmp(state, states[i]) == 0)
			return true;
	}
	return false;
}

static const char *const passed[] = { "succeeded", "skipped", NULL };
static const char *const ended[] = { "succeeded", "skipped", "failed", "inconclusive",
	"rolled_back", NULL };
static const char *const lost[] = { "stopped", "failed", "rolled_back", "denied", NULL };
static const char *const person[] = { "paused", "waiting_approval", NULL };
static const char *const on_the_way_out[] = { "stopping", "rolling_back", NULL };

static bool concerns(const struct until *u, const json_t *stage)
{
	if (value_int(stage, "wave") != u->wave || (u->kind == UNTIL_NEXT_STAGE && !u->chosen))
		return false;
	return u->kind == UNTIL_WAVE || value_int(stage, "layer") == u->layer;
}

/* The first stage, wave by wave, that has not ended. */
static void choose(struct until *u, const json_t *stages)
{
	for (size_t i = 0; i < json_array_size(stages); i++) {
		const json_t *stage = json_array_get(stages, i);
		int64_t layer = value_int(stage, "layer"), wave = value_int(stage, "wave");

		if (is_one_of(value_text(stage, "state"), ended))
			continue;
		if (!u->chosen || wave < u->wave || (wave == u->wave && layer < u->layer)) {
			u->layer = layer;
			u->wave = wave;
			u->chosen = true;
		}
	}
}

enum fl_code until_judge(
	struct until *u, const json_t *stats, enum until_verdict *out, struct fl_err *err)
{
	const char *state = value_text(stats, "state");
	const json_t *stages = json_object_get(stats, "stages");
	size_t asked = 0, there = 0;
	bool inconclusive = false;

	if (u->kind == UNTIL_NEXT_STAGE && !u->chosen)
		choose(u, stages);
	for (size_t i = 0; i < json_array_size(stages); i++) {
		const json_t *stage = json_array_get(stages, i);
		const char *stage_state = value_text(stage, "state");

		inconclusive = inconclusive ||
			(stage_state != NULL && strcmp(stage_state, "inconclusive") == 0);
		if (u->kind == UNTIL_COMPLETE || !concerns(u, stage))
			continue;
		asked++;
		there += is_one_of(stage_state, passed);
	}
	if (asked == 0 && json_array_size(stages) > 0 &&
		(u->kind == UNTIL_WAVE || u->kind == UNTIL_STAGE))
		return fl_fail(err, FL_NOT_FOUND, "the rollout has no such %s",
			u->kind == UNTIL_WAVE ? "wave" : "stage");
	if ((state != NULL && strcmp(state, "completed") == 0) || (asked > 0 && there == asked))
		*out = UNTIL_REACHED;
	else if (is_one_of(state, lost))
		*out = UNTIL_FAILED;
	else if (is_one_of(state, person) || (inconclusive && !is_one_of(state, on_the_way_out)))
		*out = UNTIL_PERSON;
	else
		*out = UNTIL_GOING;
	return FL_OK;
}
