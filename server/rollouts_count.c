/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums and gates: once per commit and stage. What the requests of a batch add is summed by the
 * effects (effects.h); here the stage's row is brought up to date, the outcomes behind the gate's
 * cursor are taken in the order of delivery, and the engine hears that it may judge. */
#include "server/rollouts_in.h"

#include "server/server.h"
#include "server/store/job.h"

struct counted {
	struct figures_sums delta;
	uint64_t done; /* bits of enum engine_job */
	bool review;   /* a stratum is held */
};

static void add(void *into, const void *payload)
{
	struct counted *to = into;
	const struct counted *from = payload;

	figures_add(&to->delta, &from->delta, 1);
	to->done |= from->done;
	to->review = to->review || from->review;
}

/* Whether the job was begun again in the same batch that ended it. */
static enum fl_code begun_again(
	struct store *store, enum engine_job job, int64_t stage_id, bool *again, struct fl_err *err)
{
	int64_t cursor;
	enum fl_code code = job_get(store, rollouts_job_kind(job), stage_id, &cursor, NULL, err);

	*again = code == FL_OK;
	return code == FL_NOT_FOUND ? FL_OK : code;
}

/* Tell the engine which jobs are done, and that the sums are right. */
static enum fl_code tell(struct rollouts_scene *s, int i, uint64_t done, struct fl_err *err)
{
	struct engine_fact fact = { .kind = FACT_JOB_DONE };
	enum fl_code code = FL_OK;

	for (int b = 0; b < ENGINE_JOBS && code == FL_OK; b++) {
		bool again = false;

		if ((done & 1u << b) == 0)
			continue;
		fact.job = (enum engine_job)(1u << b);
		code = begun_again(s->lane->store, fact.job, s->list.stages[i].id, &again, err);
		if (code == FL_OK && !again)
			code = rollouts_scene_fact(s, i, &fact, NULL, err);
	}
	fact = (struct engine_fact){ .kind = FACT_COUNTED };
	return code == FL_OK ? rollouts_scene_fact(s, i, &fact, NULL, err) : code;
}

static enum fl_code bring_up_to_date(
	struct rollouts_scene *s, int i, const struct counted *c, struct fl_err *err)
{
	struct engine_stage *g = &s->list.stages[i];
	bool gated = g->state == STAGE_RUNNING || g->state == STAGE_SOAKING;

	s->broken = engine_count(g, &c->delta);
	s->dirty[i] = true;
	/* while failed devices are taken up again their old outcomes do not count */
	if (s->broken != NULL || !gated || ((g->jobs & ~c->done) & ENGINE_RETRY) != 0)
		return FL_OK;
	return step_tally(s->lane->store, g->id, &s->parsed->rules.gate, &g->tally, err);
}

/* Devices end in a layer without going on to the next: the gates above may wait for nobody any more. */
static void wake_upper(const struct rollouts_scene *s, int i)
{
	int layers = s->parsed->rules.layers;
	const struct engine_stage *wave = &s->list.stages[i / layers * layers];

	for (int k = i % layers + 1; k < layers; k++)
		if (engine_starves(&wave[k], wave))
			rollouts_count(s->lane->effects, wave[k].id, NULL, 0);
}

static enum fl_code apply(struct server *server, struct store *store, struct effects *e,
	int64_t key, const void *sum, struct fl_err *err)
{
	const struct counted *c = sum;
	struct rollouts_lane lane = { server, store, e };
	struct rollouts_scene s = { 0 };
	int64_t rollout_id = 0;
	int layer, wave, i = -1;
	enum fl_code code = stage_place(store, key, &rollout_id, &layer, &wave, err);

	if (code == FL_OK)
		code = rollouts_scene_load(&lane, rollout_id, &s, err);
	if (code == FL_OK && (i = rollouts_scene_index(&s, key)) >= 0)
		code = bring_up_to_date(&s, i, c, err);
	if (code == FL_OK && i >= 0 && s.broken == NULL)
		code = tell(&s, i, c->done, err);
	if (code == FL_OK && i >= 0 && c->review && s.broken == NULL)
		code = rollouts_scene_fact(
			&s, -1, &(struct engine_fact){ .kind = FACT_REVIEW }, NULL, err);
	if (code == FL_OK && i >= 0 && s.broken == NULL)
		wake_upper(&s, i);
	if (code == FL_OK && s.broken != NULL)
		/* the batch of all the others must not fail for it */
		rollouts_broken(server, rollout_id, s.broken);
	else if (code == FL_OK)
		code = rollouts_scene_store(&s, err);
	rollouts_scene_fini(&s);
	return code;
}

static const struct effect_sum counted_kind = { sizeof(struct counted), add, apply };

void rollouts_count(
	struct effects *e, int64_t stage_id, const struct figures_sums *delta, unsigned done)
{
	struct counted c = { .done = done };

	if (delta != NULL)
		c.delta = *delta;
	effects_sum(e, &counted_kind, stage_id, &c);
}

void rollouts_count_review(struct effects *e, int64_t stage_id)
{
	effects_sum(e, &counted_kind, stage_id, &(struct counted){ .review = true });
}
