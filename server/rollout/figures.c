/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/figures.h"

#include "server/rollout/engine.h"

#include <string.h>

#define FIRST_OCTAVE_MS 64
#define SUB             8 /* buckets an octave */
#define FORM            1 /* version of the encoding */

_Static_assert(sizeof(struct figures_sums) == FIGURES_N * sizeof(int64_t), "only int64_t members");

static const char *const names[] = {
	[offsetof(struct figures_sums, rows) / 8] = "rows",
	[offsetof(struct figures_sums, steps) / 8] = "steps by state",
	[offsetof(struct figures_sums, back) / 8] = "back",
	[offsetof(struct figures_sums, excluded) / 8] = "excluded",
	[offsetof(struct figures_sums, confirmed_last) / 8] = "confirmed_last",
	[offsetof(struct figures_sums, noop_last) / 8] = "noop_last",
	[offsetof(struct figures_sums, outcome_confirmed) / 8] = "outcome_confirmed",
	[offsetof(struct figures_sums, outcome_confirmed_last) / 8] = "outcome_confirmed_last",
	[offsetof(struct figures_sums, outcome_failed) / 8] = "outcome_failed",
	[offsetof(struct figures_sums, outcome_timed_out) / 8] = "outcome_timed_out",
	[offsetof(struct figures_sums, causes) / 8] = "causes",
	[offsetof(struct figures_sums, switched) / 8] = "switched",
	[offsetof(struct figures_sums, back_by_device) / 8] = "back_by_device",
	[offsetof(struct figures_sums, back_by_server) / 8] = "back_by_server",
	[offsetof(struct figures_sums, back_failed) / 8] = "back_failed",
	[offsetof(struct figures_sums, back_ended) / 8] = "back_ended",
	[offsetof(struct figures_sums, steps_switched) / 8] = "steps_switched",
	[offsetof(struct figures_sums, retried) / 8] = "retried",
	[offsetof(struct figures_sums, steps_back) / 8] = "steps_back",
	[offsetof(struct figures_sums, bytes_sent) / 8] = "bytes_sent",
	[offsetof(struct figures_sums, bytes_saved) / 8] = "bytes_saved",
	[offsetof(struct figures_sums, times) / 8] = "times",
};

/* The name of member i; an element of an array has that of the array. */
static const char *name_of(size_t i)
{
	if (i >= FL_COUNT(names))
		i = FL_COUNT(names) - 1;
	while (names[i] == NULL)
		i--;
	return names[i];
}

/* The bucket of a time. */
static size_t bucket(int64_t ms)
{
	size_t octave = 0;

	if (ms < FIRST_OCTAVE_MS)
		return 0;
	while (octave < FIGURES_OCTAVES - 1 && ms >= (int64_t)FIRST_OCTAVE_MS << (octave + 1))
		octave++;
	if (ms >= (int64_t)FIRST_OCTAVE_MS << (octave + 1))
		return FIGURES_BUCKETS - 1;
	return octave * SUB + (size_t)(ms * SUB / ((int64_t)FIRST_OCTAVE_MS << octave)) - SUB;
}

/* Where bucket i begins, in ms. */
static double begin(size_t i)
{
	return i == 0
		? 0
		: (double)((int64_t)FIRST_OCTAVE_MS << i / SUB) * (double)(SUB + i % SUB) / SUB;
}

/* The part of figures_of about outcomes. */
static void add_outcome(struct figures_sums *into, const struct engine_step *s, int64_t sign)
{
	switch (s->outcome) {
	case STEP_CONFIRMED:
		into->outcome_confirmed += sign;
		into->outcome_confirmed_last += (s->flags & ENGINE_LAST) != 0 ? sign : 0;
		into->times[bucket(s->took_ms)] += sign;
		break;
	case STEP_FAILED:
		into->outcome_failed += sign;
		into->causes[s->cause] += sign;
		break;
	case STEP_TIMED_OUT:
		into->outcome_timed_out += sign;
		into->causes[s->cause] += sign;
		break;
	default:
		break;
	}
}

/* What says whether the new version ran, and who took it back. */
static void add_switches(struct figures_sums *into, const struct engine_step *s, int64_t sign)
{
	bool switched = (s->flags & ENGINE_SWITCHED) != 0;
	bool first = switched && (s->flags & ENGINE_SWITCHED_BEFORE) == 0;
	bool by_device = (s->flags & ENGINE_BACK_BY_DEVICE) != 0;
	bool broken = (s->flags & ENGINE_BACK_BROKEN) != 0;
	bool back = s->state == STEP_ROLLED_BACK, failed = s->state == STEP_ROLLBACK_FAILED;

	into->switched += sign * first;
	into->back_by_device += sign * by_device;
	into->back_by_server +=
		sign * (back && first && !by_device && (s->flags & ENGINE_BACK_COUNTED) == 0);
	into->back_failed += sign * (failed + broken);
	into->back_ended += sign * (back + failed + by_device + broken);
	into->steps_switched += sign * switched;
	into->steps_back += sign * (switched && (by_device || back));
}

void figures_add_step(struct figures_sums *into, const struct engine_step *s, int sign)
{
	bool last = (s->flags & ENGINE_LAST) != 0;
	bool excluded = s->state == STEP_INELIGIBLE || s->state == STEP_SUPERSEDED ||
		s->state == STEP_CANCELED || s->state == STEP_REMOVED;

	into->rows += sign;
	into->steps[s->state] += sign;
	into->back += sign * (s->back && !step_ended(s->state));
	into->excluded += sign * (!s->back && excluded);
	into->confirmed_last += sign * (s->state == STEP_CONFIRMED && last);
	into->noop_last += sign * (s->state == STEP_NOOP && last);
	add_outcome(into, s, sign);
	add_switches(into, s, sign);
	into->bytes_sent += sign * s->sent;
	into->bytes_saved += sign * s->saved;
	into->retried += sign * (s->attempt > 1 ? s->attempt - 1 : 0);
}

void figures_add(struct figures_sums *into, const struct figures_sums *sums, int sign)
{
	int64_t *to = (int64_t *)into;
	const int64_t *from = (const int64_t *)sums;

	for (size_t i = 0; i < FIGURES_N; i++)
		to[i] += sign * from[i];
}

bool figures_sound(const struct figures_sums *sums, const char **what)
{
	const int64_t *v = (const int64_t *)sums;
	int64_t states = 0;

	for (size_t i = 0; i < FIGURES_N; i++) {
		if (v[i] < 0) {
			*what = name_of(i);
			return false;
		}
	}
	for (size_t i = 0; i < STEP_STATE_MAX; i++)
		states += sums->steps[i];
	*what = "rows";
	return states == sums->rows;
}

bool figures_equal(const struct figures_sums *a, const struct figures_sums *b, const char **what)
{
	const int64_t *x = (const int64_t *)a, *y = (const int64_t *)b;

	for (size_t i = 0; i < FIGURES_N; i++) {
		if (x[i] != y[i]) {
			*what = name_of(i);
			return false;
		}
	}
	return true;
}

double figures_time(const struct figures_sums *sums, double share)
{
	double n = (double)sums->outcome_confirmed, before = 0;
	size_t last = 0;

	if (n <= 0)
		return -1;
	for (size_t i = 0; i < FIGURES_BUCKETS; i++) {
		double here = (double)sums->times[i];

		if (here > 0 && before + here >= share * n)
			return (begin(i) +
				       (begin(i + 1) - begin(i)) * (share * n - before) / here) /
				1000;
		before += here;
		last = here > 0 ? i : last;
	}
	return begin(last + 1) / 1000;
}

/* n / of, below 0 where there is nothing to divide by. */
static double ratio(int64_t n, int64_t of)
{
	return of <= 0 ? -1 : (double)n / (double)of;
}

void figures_derive(const struct figures_sums *s, int64_t devices, enum figures_scope scope,
	struct figures *out)
{
	bool stage = scope == FIGURES_STAGE;
	int64_t good = stage ? s->outcome_confirmed : s->outcome_confirmed_last;
	int64_t bad = s->outcome_failed + s->outcome_timed_out;

	*out = (struct figures){
		.devices = devices,
		.targets = devices - s->excluded - (stage ? s->steps[STEP_NOOP] : s->noop_last),
		.confirmed = stage ? s->steps[STEP_CONFIRMED] : s->confirmed_last,
		.failed = s->outcome_failed,
		.timed_out = s->outcome_timed_out,
		.back_by_device = s->back_by_device,
		.back_by_server = s->back_by_server,
		.failure = ratio(bad, good + bad),
		.rollback = stage ? ratio(s->steps_back, s->steps_switched)
				  : ratio(s->back_by_device + s->back_by_server, s->switched),
		.rollback_failure = ratio(s->back_failed, s->back_ended),
		.time_median_s = figures_time(s, 0.5),
		.time_p95_s = figures_time(s, 0.95),
		.bytes_sent = s->bytes_sent,
		.bytes_saved = s->bytes_saved,
		.retried = s->retried,
	};
	out->completion = ratio(out->confirmed, out->targets);
}

/* Append v, seven bits a byte, lowest first. */
static void put_number(struct fl_buf *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		fl_buf_byte(out, (uint8_t)(v | 0x80));
	fl_buf_byte(out, (uint8_t)v);
}

/* Form: a byte FORM, then numbers; 0 is followed by how many more zeros there are. */
void figures_encode_vector(const int64_t *v, size_t n, struct fl_buf *out)
{
	fl_buf_byte(out, FORM);
	for (size_t i = 0; i < n;) {
		size_t zeros = 0;

		FL_BUG_IF(v[i] < 0);
		put_number(out, (uint64_t)v[i++]);
		if (v[i - 1] != 0)
			continue;
		for (; i < n && v[i] == 0; i++)
			zeros++;
		put_number(out, zeros);
	}
}

void figures_encode(const struct figures_sums *sums, struct fl_buf *out)
{
	figures_encode_vector((const int64_t *)sums, FIGURES_N, out);
}

/* Take one number off *bytes. False at the end or if it is too large. */
static bool take_number(struct fl_bytes *bytes, int64_t *out)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 63; shift += 7) {
		uint8_t c;

		if (bytes->n == 0)
			return false;
		c = *bytes->p++;
		bytes->n--;
		v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80) {
			*out = (int64_t)v;
			return true;
		}
	}
	return false;
}

enum fl_code figures_decode_vector(struct fl_bytes bytes, int64_t *v, size_t n, struct fl_err *err)
{
	memset(v, 0, n * sizeof(*v));
	if (bytes.n == 0)
		return FL_OK;
	if (*bytes.p != FORM)
		return fl_fail(
			err, FL_CORRUPT, "a stage's sums have the unknown form %d", *bytes.p);
	bytes.p++;
	bytes.n--;
	for (size_t i = 0; i < n;) {
		int64_t zeros = 0;

		if (!take_number(&bytes, &v[i]) || (v[i++] == 0 && !take_number(&bytes, &zeros)) ||
			(size_t)zeros > n - i)
			return fl_fail(err, FL_CORRUPT, "a stage's sums are cut short");
		i += (size_t)zeros;
	}
	return FL_OK;
}

enum fl_code figures_decode(struct fl_bytes bytes, struct figures_sums *out, struct fl_err *err)
{
	return figures_decode_vector(bytes, (int64_t *)out, FIGURES_N, err);
}
