/* SPDX-License-Identifier: Apache-2.0
 *
 * DESIGN. A check is a function with a name and what it counts, in the table at the end; each tells its
 * findings as it goes. Rollouts are read stage by stage in slices, so that memory does not grow with
 * the fleet. To add a check: a function and a row. */
#include "server/verify.h"

#include "server/blobs.h"
#include "server/events.h"
#include "server/kept_head.h"
#include "server/rollout/plan.h"
#include "server/store/artifact.h"
#include "server/store/check.h"
#include "server/store/job.h"
#include "server/store/rollout.h"
#include "server/store/stage.h"
#include "server/store/step.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SLICE 1000

struct verify {
	struct store *store;
	const struct verify_options *options;
	int64_t n;     /* things that the present check has looked at */
	int64_t wrong; /* findings so far */
};

static void finding(struct verify *v, const char *fmt, ...) FL_PRINTF(2, 3);

static void finding(struct verify *v, const char *fmt, ...)
{
	va_list ap;

	v->wrong++;
	fprintf(v->options->out, "  wrong: ");
	va_start(ap, fmt);
	vfprintf(v->options->out, fmt, ap);
	va_end(ap);
	fprintf(v->options->out, "\n");
}

static void found(void *arg, const char *text)
{
	finding(arg, "%s", text);
}

static enum fl_code verify_file(struct verify *v, struct fl_err *err)
{
	return check_file(v->store, found, v, &v->n, err);
}

static enum fl_code verify_manifests(struct verify *v, struct fl_err *err)
{
	return check_manifests(v->store, found, v, &v->n, err);
}

static enum fl_code verify_orders(struct verify *v, struct fl_err *err)
{
	return check_steps(v->store, found, v, &v->n, err);
}

static enum fl_code verify_events(struct verify *v, struct fl_err *err)
{
	enum fl_code code = events_verify(v->store, &v->n, err);

	if (code == FL_OK && v->options->data_dir != NULL)
		code = kept_head_verify(v->options->data_dir, v->store, err);
	if (code != FL_CORRUPT)
		return code;
	finding(v, "%s", err->msg);
	return FL_OK;
}

/* ---- rollouts */

/* Compare the kept sums of a stage with its steps, and look at each step. */
static enum fl_code verify_stage(
	struct verify *v, const char *name, const struct engine_stage *g, struct fl_err *err)
{
	struct engine_step *steps = calloc(SLICE, sizeof(*steps));
	struct figures_sums sums = { 0 };
	const char *what;
	int64_t after = 0;
	size_t n = SLICE;
	enum fl_code code = FL_OK;

	if (steps == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory to read steps");
	while (code == FL_OK && n == SLICE) {
		code = step_slice(v->store, g->id, after, steps, SLICE, &n, err);
		for (size_t i = 0; i < n && code == FL_OK; i++) {
			what = engine_check_step(g, &steps[i]);
			if (what != NULL)
				finding(v, "rollout %s, L%d.W%d, device %" PRId64 ": %s", name,
					g->layer, g->wave, steps[i].device_no, what);
			figures_add_step(&sums, &steps[i], 1);
			after = steps[i].device_no;
		}
		v->n += (int64_t)n;
	}
	if (code == FL_OK && !figures_equal(&sums, &g->sums, &what))
		finding(v, "rollout %s, L%d.W%d: the kept sums are not those of its steps: %s",
			name, g->layer, g->wave, what);
	free(steps);
	return code;
}

/* Each outstanding job has a row to go on from. */
static enum fl_code verify_jobs(
	struct verify *v, const char *name, const struct engine_stage *g, struct fl_err *err)
{
	static const char *const kinds[ENGINE_JOBS] = { "open", "attend", "reach", "cancel", "back",
		"retry", "review" };
	enum fl_code code = FL_OK;

	for (int b = 0; b < ENGINE_JOBS && code == FL_OK; b++) {
		int64_t cursor;
		bool wanted = (g->jobs & 1u << b) != 0;

		code = job_get(v->store, kinds[b], g->id, &cursor, NULL, err);
		if ((code == FL_OK) != wanted && (code == FL_OK || code == FL_NOT_FOUND))
			finding(v, "rollout %s, L%d.W%d: the job \"%s\" is %s", name, g->layer,
				g->wave, kinds[b], wanted ? "lost" : "not wanted");
		if (code == FL_NOT_FOUND)
			code = FL_OK;
	}
	return code;
}

static enum fl_code verify_stages(struct verify *v, const struct rollout *r,
	const struct stage_list *list, struct fl_err *err)
{
	struct engine_rules rules = { .layers = (int)r->layers, .waves = (int)r->waves };
	struct engine_view view = { .rules = &rules,
		.rollout = &r->engine,
		.stages = list->stages,
		.now_ms = v->store->now_ms };
	const char *what;
	enum fl_code code = FL_OK;

	if (list->n != (size_t)rules.layers * (size_t)rules.waves) {
		finding(v, "rollout %s has %zu stages for %d layers and %d waves", r->name, list->n,
			rules.layers, rules.waves);
		return FL_OK;
	}
	what = engine_check_rollout(&view);
	if (what != NULL)
		finding(v, "rollout %s: %s", r->name, what);
	for (size_t i = 0; i < list->n && code == FL_OK; i++) {
		code = verify_stage(v, r->name, &list->stages[i], err);
		if (code == FL_OK)
			code = verify_jobs(v, r->name, &list->stages[i], err);
	}
	return code;
}

/* The plan can be read, and its digest is its own. */
static enum fl_code verify_plan(struct verify *v, const struct rollout *r, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	FL_AUTO_JSON json_t *json = NULL;
	struct plan plan = { 0 };
	enum fl_code code = FL_OK;

	if (!r->planned)
		return FL_OK;
	code = rollout_plan_text(v->store, r->engine.id, &text, err);
	if (code == FL_OK)
		code = fl_json_parse((struct fl_bytes){ text.p, text.n }, &json, err);
	if (code == FL_OK)
		code = plan_read(json, &plan, err);
	if (code == FL_OK && memcmp(plan.digest, r->plan_digest, sizeof(plan.digest)) != 0)
		finding(v, "rollout %s: its plan has another digest", r->name);
	plan_fini(&plan);
	if (code != FL_CORRUPT && code != FL_INVALID)
		return code;
	finding(v, "rollout %s: its plan cannot be read: %s", r->name, err->msg);
	return FL_OK;
}

static enum fl_code verify_rollouts(struct verify *v, struct fl_err *err)
{
	int64_t *ids = NULL;
	size_t n = 0;
	enum fl_code code = rollout_numbers(v->store, &ids, &n, err);

	for (size_t i = 0; i < n && code == FL_OK; i++) {
		struct rollout r = { 0 };
		struct stage_list list = { 0 };

		code = rollout_by_id(v->store, ids[i], &r, err);
		if (code == FL_OK)
			code = stage_list(v->store, ids[i], &list, err);
		if (code == FL_OK)
			code = verify_stages(v, &r, &list, err);
		if (code == FL_OK)
			code = verify_plan(v, &r, err);
		stage_list_fini(&list);
		rollout_fini(&r);
	}
	free(ids);
	return code;
}

/* ---- blobs */

struct blobs_check {
	struct verify *verify;
	struct blobs *blobs;
};

static enum fl_code verify_blob(void *context, const struct artifact *a, struct fl_err *err)
{
	struct blobs_check *c = context;
	struct fl_err why = { 0 };
	char hex[2 * BLOB_DIGEST + 1];
	int64_t size = 0;
	enum fl_code code = blobs_size(c->blobs, a->sha256, &size, &why);

	(void)err;
	c->verify->n++;
	blobs_hex(a->sha256, hex);
	if (code == FL_OK && size != a->size)
		finding(c->verify, "blob %s has %" PRId64 " bytes, not %" PRId64, hex, size,
			a->size);
	else if (code == FL_OK && c->verify->options->hash_blobs)
		code = blobs_verify(c->blobs, a->sha256, &why);
	if (code != FL_OK)
		finding(c->verify, "blob %s: %s", hex, why.msg);
	return FL_OK;
}

static enum fl_code verify_blobs(struct verify *v, struct fl_err *err)
{
	struct blobs_check c = { .verify = v };
	enum fl_code code;

	if (v->options->blobs_dir == NULL)
		return FL_OK;
	code = blobs_open(v->options->blobs_dir, &c.blobs, err);
	if (code == FL_OK)
		code = artifact_each(v->store, verify_blob, &c, err);
	blobs_close(c.blobs);
	return code;
}

/* ---- all of them */

static const struct {
	const char *name, *counts;
	enum fl_code (*run)(struct verify *v, struct fl_err *err);
} checks[] = {
	{ "database file and references", "tables", verify_file },
	{ "chain of the audit trail", "events", verify_events },
	{ "manifests", "manifests", verify_manifests },
	{ "orders of devices", "steps", verify_orders },
	{ "rollouts: sums, invariants, jobs, plans", "steps", verify_rollouts },
	{ "artifacts", "blobs", verify_blobs },
};

enum fl_code verify_run(
	struct store *store, const struct verify_options *o, int64_t *wrong, struct fl_err *err)
{
	struct verify v = { .store = store, .options = o };
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < FL_COUNT(checks) && code == FL_OK; i++) {
		int64_t before = v.wrong;

		v.n = 0;
		code = checks[i].run(&v, err);
		if (code == FL_OK)
			fprintf(o->out, "%-44s %10" PRId64 " %-9s %s\n", checks[i].name, v.n,
				checks[i].counts, v.wrong == before ? "ok" : "WRONG");
		else
			(void)fl_wrap(err, "%s", checks[i].name);
	}
	*wrong = v.wrong;
	return code;
}
