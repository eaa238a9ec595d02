/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/rollout_row.h"

#include <inttypes.h>
#include <stdio.h>

/* Copy a text column into an array. */
#define TAKE_TEXT(to, rows, column) snprintf(to, sizeof(to), "%s", db_text(rows, column))

enum fl_code rollout_row_engine(
	const struct db_rows *rows, int first, struct engine_rollout *out, struct fl_err *err)
{
	const char *state = db_text(rows, first + 1), *resume_to = db_text(rows, first + 2);

	*out = (struct engine_rollout){
		.id = db_int(rows, first),
		.pause = (enum engine_pause)db_int(rows, first + 3),
		.back_wave = (int)db_int(rows, first + 5),
		.started_at = db_int(rows, first + 6),
		.ended_at = db_int(rows, first + 7),
		.paused_at = db_int(rows, first + 8),
		.stood_ms = db_int(rows, first + 9),
		.clock_floor = db_int(rows, first + 10),
		.start_at = db_int(rows, first + 11),
		.start_anyway = db_int(rows, first + 12) != 0,
	};
	TAKE_TEXT(out->reason, rows, first + 4);
	if (rollout_state_parse(state, &out->state, err) != FL_OK ||
		rollout_state_parse(resume_to, &out->resume_to, err) != FL_OK)
		return fl_fail(err, FL_CORRUPT, "rollout %" PRId64 " has the unknown state \"%s\"",
			out->id, state);
	return FL_OK;
}

enum fl_code rollout_row_stage(
	const struct db_rows *rows, int first, struct engine_stage *out, struct fl_err *err)
{
	const char *state = db_text(rows, first + 3);

	*out = (struct engine_stage){
		.id = db_int(rows, first),
		.layer = (int)db_int(rows, first + 1),
		.wave = (int)db_int(rows, first + 2),
		.jobs = (unsigned)db_int(rows, first + 4),
		.follow = db_int(rows, first + 5) != 0,
		.cancel_in_flight = db_int(rows, first + 6) != 0,
		.retry_causes = (unsigned)db_int(rows, first + 7),
		.delivered = db_int(rows, first + 8),
		.counted_delivered = db_int(rows, first + 9),
		.decision = (enum gate_decision)db_int(rows, first + 11),
		.verdict = (enum gate_verdict)db_int(rows, first + 13),
		.verdict_at = db_int(rows, first + 15),
		.back_place = db_int(rows, first + 16),
		.back_ok = db_int(rows, first + 17),
		.back_failed = db_int(rows, first + 18),
		.reach_at = db_int(rows, first + 19),
		.soak_until = db_int(rows, first + 20),
		.opened_at = db_int(rows, first + 21),
		.ended_at = db_int(rows, first + 22),
		.expected = db_int(rows, first + 25),
		.reach = { db_int(rows, first + 26), db_int(rows, first + 27) },
		.soak = { db_int(rows, first + 28), db_int(rows, first + 29) },
	};
	TAKE_TEXT(out->text, rows, first + 12);
	TAKE_TEXT(out->said, rows, first + 14);
	if (stage_state_parse(state, &out->state, err) != FL_OK)
		return fl_fail(err, FL_CORRUPT, "stage %" PRId64 " has the unknown state \"%s\"",
			out->id, state);
	if (out->decision > GATE_INCONCLUSIVE || out->verdict >= VERDICT_MAX)
		return fl_fail(
			err, FL_CORRUPT, "the gate of stage %" PRId64 " is unknown", out->id);
	if (figures_decode_vector(
		    db_bytes(rows, first + 10), (int64_t *)&out->tally, GATE_TALLY_N, err) != FL_OK)
		return fl_wrap(err, "gate of stage %" PRId64, out->id);
	if (figures_decode_vector(db_bytes(rows, first + 24), (int64_t *)&out->minute,
		    PACE_MINUTE_N, err) != FL_OK)
		return fl_wrap(err, "offers of stage %" PRId64, out->id);
	return figures_decode(db_bytes(rows, first + 23), &out->sums, err);
}

enum fl_code rollout_row_step(
	const struct db_rows *rows, int first, struct engine_step *out, struct fl_err *err)
{
	int64_t state = db_int(rows, first + 3), outcome = db_int(rows, first + 6);
	int64_t cause = db_int(rows, first + 7);

	if (state < 0 || state >= STEP_STATE_MAX || outcome < 0 || outcome >= STEP_STATE_MAX ||
		cause < 0 || cause >= CAUSE_MAX)
		return fl_fail(err, FL_CORRUPT,
			"the step of device %" PRId64 " in stage %" PRId64 " has an unknown state",
			db_int(rows, first + 1), db_int(rows, first));
	*out = (struct engine_step){
		.stage_id = db_int(rows, first),
		.device_no = db_int(rows, first + 1),
		.class = (int)db_int(rows, first + 2),
		.state = (enum step_state)state,
		.back = db_int(rows, first + 4) != 0,
		.flags = (unsigned)db_int(rows, first + 5),
		.outcome = (enum step_state)outcome,
		.cause = (enum step_cause)cause,
		.attempt = (int)db_int(rows, first + 8),
		.delivered = db_int(rows, first + 9),
		.delivered_at = db_int(rows, first + 10),
		.deadline = db_int(rows, first + 11),
		.manifest = db_int(rows, first + 12),
		.changed_at = db_int(rows, first + 13),
		.took_ms = db_int(rows, first + 14),
		.sent = db_int(rows, first + 15),
		.saved = db_int(rows, first + 16),
		.retry_at = db_int(rows, first + 17),
		.had = db_int(rows, first + 18),
		.term = { db_int(rows, first + 19), db_int(rows, first + 20) },
	};
	return FL_OK;
}
