/* SPDX-License-Identifier: Apache-2.0
 *
 * The columns of the engine's rows and how they are read; for store/{rollout,stage,step}.c, which
 * join them. The tables are named r, g and s in every statement. */
#ifndef STORE_ROLLOUT_ROW_H
#define STORE_ROLLOUT_ROW_H

#include "server/rollout/engine.h"
#include "server/store/db.h"

#define ROLLOUT_ROW_COLUMNS                                                                      \
	"r.id, r.state, r.resume_to, r.pause, r.reason, r.back_wave, r.started_at, r.ended_at, " \
	"r.paused_at, r.stood_ms, r.clock_floor, r.start_at, r.start_anyway"
#define ROLLOUT_ROW_N 13

#define STAGE_ROW_COLUMNS                                                                        \
	"g.id, g.layer, g.wave, g.state, g.jobs, g.follow, g.cancel_in_flight, g.retry_causes, " \
	"g.delivered, g.counted_delivered, g.gate_tally, g.gate_decision, g.gate_text, "         \
	"g.verdict, g.verdict_said, g.verdict_at, g.back_place, g.back_ok, g.back_failed, "      \
	"g.reach_at, g.soak_until, g.opened_at, g.ended_at, g.sums, g.minute, "                  \
	"g.expected, g.reach_since, g.reach_since_at, g.soak_since, g.soak_since_at"
#define STAGE_ROW_N 30

#define STEP_ROW_COLUMNS                                                                   \
	"s.stage_id, s.device_no, s.class, s.state, s.back, s.flags, s.outcome, s.cause, " \
	"s.attempt, s.delivered, s.delivered_at, s.deadline, s.manifest, s.changed_at, "   \
	"s.took_ms, s.sent, s.saved, s.retry_at, s.had, s.since, s.since_at"
#define STEP_ROW_N 21

/* Read the columns from `first` on. FL_CORRUPT for what the engine does not know. */
enum fl_code rollout_row_engine(const struct db_rows *rows, int first, struct engine_rollout *out,
	struct fl_err *err) FL_MUST_CHECK;
enum fl_code rollout_row_stage(const struct db_rows *rows, int first, struct engine_stage *out,
	struct fl_err *err) FL_MUST_CHECK;
enum fl_code rollout_row_step(const struct db_rows *rows, int first, struct engine_step *out,
	struct fl_err *err) FL_MUST_CHECK;

#endif
