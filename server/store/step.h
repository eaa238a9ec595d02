/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of steps: one device in one stage. The hot path of reports: step_view reads the step, its stage
 * and its rollout in one row. */
#ifndef STORE_STEP_H
#define STORE_STEP_H

#include "server/rollout/engine.h"
#include "server/rollout/owner.h"
#include "server/store/store.h"

/* What a fact about a step sees. */
struct step_view {
	struct engine_rollout rollout;
	struct engine_stage stage;
	struct engine_step step;
};

/* One step with its stage and rollout. FL_NOT_FOUND (err untouched). */
enum fl_code step_view(struct store *store, int64_t stage_id, int64_t device_no,
	struct step_view *out, struct fl_err *err) FL_MUST_CHECK;
/* One step. FL_NOT_FOUND (err untouched). */
enum fl_code step_get(struct store *store, int64_t stage_id, int64_t device_no,
	struct engine_step *out, struct fl_err *err) FL_MUST_CHECK;

/* Where a step that has not ended, or waits for a silent device, is. */
struct step_place {
	int64_t stage_id, rollout_id, manifest;
	int layer, wave;
	enum step_state state;
	bool back;
};
/* Those of a device, at most `max`: what it can be asked to do. Backward before forward; the upper
 * layer first backward, the lower first forward; older rollouts first. */
enum fl_code step_open(struct store *store, int64_t device_no, struct step_place *out, size_t max,
	size_t *n, struct fl_err *err) FL_MUST_CHECK;

/* A step of a device that was delivered, in any rollout. */
struct step_past {
	struct owner_order order;
	int64_t stage_id;
	int64_t had; /* as in struct engine_step */
	int layer, class;
};
/* At most `max` of a device, the newest order first. */
enum fl_code step_past(struct store *store, int64_t device_no, struct step_past *out, size_t max,
	size_t *n, struct fl_err *err) FL_MUST_CHECK;

/* Steps of a device in the stages of one wave of a rollout above (`upper`) or below a layer. */
struct step_side {
	int64_t rollout_id, device_no;
	int wave, layer;
	bool upper;
};

/* The device's own steps on that side, at most `max` of them into `out`; *n says how many.
 * Any thread with a connection of its own; FL_INTERNAL when the database fails. */
enum fl_code step_beside(struct store *store, const struct step_side *side, struct engine_step *out,
	size_t max, size_t *n, struct fl_err *err) FL_MUST_CHECK;
/* The same for every device behind the gateway side->device_no. */
enum fl_code step_behind(struct store *store, const struct step_side *side, struct engine_step *out,
	size_t max, size_t *n, struct fl_err *err) FL_MUST_CHECK;

/* Call fn for each order that the devices behind a gateway were given by a rollout above a layer; the
 * rollout's state in it is not set. An error of fn ends it. */
typedef enum fl_code (*step_order_fn)(
	void *context, const struct owner_order *order, struct fl_err *err);
enum fl_code step_orders_behind(struct store *store, const struct step_side *side, step_order_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;

/* How many devices behind the same gateway as this one hold an order; 0 without a gateway. */
enum fl_code step_count_behind(
	struct store *store, int64_t device_no, int64_t *n, struct fl_err *err) FL_MUST_CHECK;
/* Devices of a rollout with the same value of a label as one of them. */
struct step_group {
	int64_t rollout_id, device_no;
	const char *label; /* its name */
};
/* How many of them hold an order; 0 if the device does not have the label. */
enum fl_code step_count_label(struct store *store, const struct step_group *group, int64_t *n,
	struct fl_err *err) FL_MUST_CHECK;

/* Up to `max` steps of a stage with devices above `after`, by device. */
enum fl_code step_slice(struct store *store, int64_t stage_id, int64_t after,
	struct engine_step *out, size_t max, size_t *n, struct fl_err *err) FL_MUST_CHECK;
/* Up to `max` steps of a stage whose deadline is at or before `clock`, the earliest first. */
enum fl_code step_due(struct store *store, int64_t stage_id, int64_t clock, struct engine_step *out,
	size_t max, size_t *n, struct fl_err *err) FL_MUST_CHECK;
/* The earliest deadline in a stage; 0: none. */
enum fl_code step_next_due(
	struct store *store, int64_t stage_id, int64_t *clock, struct fl_err *err) FL_MUST_CHECK;
/* The latest one; 0: none. */
enum fl_code step_last_due(
	struct store *store, int64_t stage_id, int64_t *clock, struct fl_err *err) FL_MUST_CHECK;
/* Take the outcomes of a stage behind tally->cursor in the order of delivery, up to the first that is
 * open. Those of devices that were lost together with their gateway, and its own, count once. */
enum fl_code step_tally(struct store *store, int64_t stage_id, const struct gate_rules *rules,
	struct gate_tally *tally, struct fl_err *err) FL_MUST_CHECK;

/* A device that a stage may need a row for. */
struct step_candidate {
	int64_t device_no;
	int class;
	bool retired;
	bool busy; /* it has another step that has not ended */
};
/* Up to `max` devices of a wave with numbers above `after`, by number. */
enum fl_code step_candidates(struct store *store, int64_t rollout_id, int wave, int64_t after,
	struct step_candidate *out, size_t max, size_t *n, struct fl_err *err) FL_MUST_CHECK;

/* Call fn for each device that has a step which may be delivered or is in flight. */
typedef void (*step_device_fn)(void *arg, int64_t device_no);
enum fl_code step_waiting(
	struct store *store, step_device_fn fn, void *arg, struct fl_err *err) FL_MUST_CHECK;

/* One line of the list of steps. */
struct step_line {
	const char *device; /* id; ends with the call */
	const char
		*detail; /* of its last report about the step, "" without one; ends with the call */
	int layer, wave;
	struct engine_step step;
};
typedef enum fl_code (*step_line_fn)(void *context, const struct step_line *l, struct fl_err *err);
struct step_filter {
	int64_t rollout_id;
	int layer, wave;                   /* -1: any */
	int state;                         /* enum step_state; -1: any */
	int64_t after_stage, after_device; /* where the last page ended */
	int64_t limit;
};
/* By stage and device. */
enum fl_code step_lines(struct store *store, const struct step_filter *f, step_line_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;

/* Insert; *added is false if there is a row already. Write lane, as is what follows. */
enum fl_code step_add(struct store *store, const struct engine_step *s, bool *added,
	struct fl_err *err) FL_MUST_CHECK;
/* Write what the engine changed. */
enum fl_code step_put(
	struct store *store, const struct engine_step *s, struct fl_err *err) FL_MUST_CHECK;

#endif
