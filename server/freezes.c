/* SPDX-License-Identifier: Apache-2.0 */
#include "server/freezes.h"

#include "server/events.h"

#include "lib/civil.h"
#include "lib/envelope.h" /* fl_utc_write */
#include "lib/log.h"

#include <string.h>

#define AHEAD_MS \
	(400 * FL_DAY_S * INT64_C(1000)) /* a rule begins within this time, or is looked at again */
#define AGAIN_MS  (FL_HOUR_S * INT64_C(1000)) /* what could not be made is tried again then */
#define TURNS_MAX 256                         /* at once; the rest a second later */

/* ---- spans */

/* The same of one that recurs. */
static enum fl_code expand(const struct freeze *f, const struct opening_horizon *horizon,
	struct window *out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *every = json_loads(f->every, 0, NULL);
	struct opening_rules rules = { 0 };
	struct fl_zone *zone = NULL;
	enum fl_code code = opening_rules_read(every, &rules, err);

	if (code == FL_OK)
		code = fl_zone_load(f->zone, &zone, err);
	if (code == FL_OK)
		code = opening_expand(&rules, zone, horizon, out, err);
	fl_zone_free(zone);
	opening_rules_fini(&rules);
	return code == FL_OK ? FL_OK : fl_fail(err, FL_INVALID, "every: %s", err->msg);
}

enum fl_code freezes_expand(const struct freeze *f, const struct opening_horizon *horizon,
	struct window *out, struct fl_err *err)
{
	int64_t from = f->from_ms > horizon->from ? f->from_ms : horizon->from;
	int64_t until =
		f->until_ms != 0 && f->until_ms < horizon->until ? f->until_ms : horizon->until;
	enum fl_code code = FL_OK;

	if (f->every[0] != '\0')
		code = expand(f, &(struct opening_horizon){ from, until }, out, err);
	else
		code = window_add(out, from, until, err);
	out->from = horizon->from;
	out->until = horizon->until;
	return code;
}

/* Store the spans up to the first one that comes, and when the one behind it is to be made. */
static enum fl_code store_spans(struct store *store, int64_t id, const struct window *w,
	int64_t last_look, struct fl_err *err)
{
	int64_t due = 0;
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < w->n && due == 0 && code == FL_OK; i++) {
		const struct freeze_span span = { w->spans[i].open, w->spans[i].close,
			FREEZE_UNTOLD };

		code = freeze_add_span(store, id, &span, err);
		if (span.from_ms > store->now_ms)
			due = span.from_ms;
	}
	return code == FL_OK ? freeze_put_due(store, id, due != 0 ? due : last_look, err) : code;
}

/* Make the spans of a freeze that recurs from `from_ms` on; *some: there are any. */
static enum fl_code make_spans(struct store *store, const struct freeze *f, int64_t from_ms,
	bool *some, struct fl_err *err)
{
	int64_t now = store->now_ms, far = (from_ms > now ? from_ms : now) + AHEAD_MS;
	bool whole = f->until_ms != 0 && f->until_ms <= far;
	const struct opening_horizon horizon = { from_ms, whole ? f->until_ms : far };
	struct window w = { 0 };
	enum fl_code code = expand(f, &horizon, &w, err);

	*some = w.n > 0;
	if (code == FL_OK)
		code = store_spans(store, f->id, &w, whole ? 0 : far, err);
	window_fini(&w);
	return code;
}

/* ---- putting */

bool freezes_alike(const struct freeze *a, const struct freeze *b)
{
	return strcmp(a->selector, b->selector) == 0 && strcmp(a->every, b->every) == 0 &&
		strcmp(a->zone, b->zone) == 0;
}

/* The clocks of its devices stood still while it held, and are asked about that later on. */
static enum fl_code check_selector(struct store *store, const struct freeze *wanted,
	const struct freeze *there, struct fl_err *err)
{
	int64_t begun = 0;
	enum fl_code code = FL_OK;

	if (there->name == NULL || strcmp(wanted->selector, there->selector) == 0)
		return FL_OK;
	code = freeze_count_begun(store, there->id, &begun, err);
	if (code == FL_OK && begun > 0)
		code = fl_fail(err, FL_CONFLICT,
			"freeze \"%s\" has held for the devices of \"%s\" and keeps them; lift it "
			"and "
			"make one of another name",
			there->name, there->selector);
	return code;
}

/* Take away what the spans of `there` say of the time that comes. */
static enum fl_code clear(struct store *store, const struct freeze *wanted,
	const struct freeze *there, bool goes_on, struct fl_err *err)
{
	if (there->name == NULL)
		return FL_OK;
	if (strcmp(wanted->selector, there->selector) != 0)
		return freeze_forget(store, there->id, 0, err); /* they are about others */
	return goes_on ? freeze_forget(store, there->id, store->now_ms + 1, err)
		       : freeze_cut(store, there->id, err);
}

enum fl_code freezes_put(struct store *store, const struct freeze *wanted,
	const struct freeze *there, struct fl_err *err)
{
	int64_t now = store->now_ms, from = wanted->from_ms > now ? wanted->from_ms : now;
	bool goes_on = there->name != NULL && there->span.from_ms != 0 &&
		there->span.from_ms <= now && wanted->from_ms <= there->span.from_ms &&
		freezes_alike(wanted, there);
	struct freeze f = *wanted;
	bool some = true;
	enum fl_code code = check_selector(store, wanted, there, err);

	if (goes_on)
		from = there->span.from_ms;
	if (code == FL_OK)
		code = freeze_put(store, wanted, &f.id, err);
	if (code == FL_OK)
		code = clear(store, wanted, there, goes_on, err);
	if (code == FL_OK && f.every[0] != '\0')
		code = make_spans(store, &f, from, &some, err);
	else if (code == FL_OK)
		code = freeze_add_span(store, f.id,
			&(struct freeze_span){
				from, f.until_ms, from <= now ? FREEZE_BEGUN : FREEZE_UNTOLD },
			err);
	return code == FL_OK && !some
		? fl_fail(err, FL_INVALID, "every: it never begins, as far as can be seen")
		: code;
}

/* ---- as time goes by */

/* What cannot be made, since its zone is no longer there, must not hold up everybody's deadlines. */
static enum fl_code go_on(struct store *store, const struct freeze *f, struct fl_err *err)
{
	int64_t from = f->span.from_ms == 0 ? f->from_ms : f->span.until_ms;
	struct fl_err why = { 0 };
	bool some;

	if (make_spans(store, f, from, &some, &why) == FL_OK)
		return FL_OK;
	fl_log_error("it cannot be seen when a freeze holds next", FL_S("freeze", f->name),
		FL_S("detail", why.msg));
	return freeze_put_due(store, f->id, store->now_ms + AGAIN_MS, err);
}

static enum fl_code make_due(struct store *store, struct fl_err *err)
{
	struct freeze f = { 0 };
	enum fl_code code;

	while ((code = freeze_due(store, &f, err)) == FL_OK) {
		code = go_on(store, &f, err);
		freeze_fini(&f);
		if (code != FL_OK)
			return code;
	}
	return code == FL_NOT_FOUND ? FL_OK : code;
}

static json_t *moment(int64_t ms)
{
	char text[21];

	if (ms == 0)
		return json_null();
	fl_utc_write(ms, text);
	return json_string(text);
}

static enum fl_code tell(
	struct store *store, struct effects *effects, const struct freeze *f, struct fl_err *err)
{
	bool begins = f->span.told == FREEZE_UNTOLD;
	enum fl_code code = freeze_tell(store, f, begins ? FREEZE_BEGUN : FREEZE_OVER, err);

	if (code != FL_OK)
		return code;
	return events_write(store, effects,
		&(struct events_line){ .kind = begins ? EVENT_FREEZE_BEGAN : EVENT_FREEZE_ENDED,
			.actor = "fleetd",
			.subject = f->name,
			.data = json_pack("{s:s, s:s, s:o, s:o}", "selector", f->selector, "why",
				f->why, "from", moment(f->span.from_ms), "until",
				moment(f->span.until_ms)) },
		err);
}

enum fl_code freezes_look(
	struct store *store, struct effects *effects, bool *turned, struct fl_err *err)
{
	struct freeze f = { 0 };
	enum fl_code code = make_due(store, err);

	*turned = false;
	for (int i = 0; i < TURNS_MAX && code == FL_OK; i++) {
		code = freeze_turned(store, &f, err);
		if (code != FL_OK)
			break;
		*turned = true;
		code = tell(store, effects, &f, err);
		freeze_fini(&f);
	}
	return code == FL_NOT_FOUND ? FL_OK : code;
}
