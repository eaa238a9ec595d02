/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of webhooks and of their deliveries.
 *
 * DESIGN. The audit trail is the outbox: a webhook has a cursor into it, the number of the last event
 * that it has dealt with. So an event costs the writer nothing more however many webhooks there are,
 * and what was not delivered before a crash is found again. Deliveries are the record of what came of
 * events; the newest WEBHOOK_KEPT numbers are kept. Functions that change are for the write lane. */
#ifndef STORE_WEBHOOK_H
#define STORE_WEBHOOK_H

#include "server/store/store.h"

#define WEBHOOK_SALT_BYTES 24
#define WEBHOOK_KEPT       10000

struct webhook {
	int64_t id;
	const char *name;
	const char *url;
	const char *kinds;    /* JSON array of kinds and "prefix.*"; empty: every kind */
	const char *selector; /* RSQL: events about one device only if it matches; NULL: every */
	uint8_t salt[WEBHOOK_SALT_BYTES]; /* its secret is made from this (webhook_target.h) */
	bool enabled;
	int64_t created_at;
	const char *created_by;
	/* kept by webhook_settle */
	int64_t cursor;         /* events up to this number are done */
	int64_t attempts;       /* failed in a row */
	int64_t retry_at;       /* ms; 0: at once */
	int64_t failing_since;  /* ms; 0: it is not */
	const char *last_error; /* "" when it is not failing */
	int64_t delivered, dead;
	void *owned; /* see copy.h */
};

/* Called per row; the texts end with the call. Another code than FL_OK ends the loop. */
typedef enum fl_code (*webhook_fn)(void *context, const struct webhook *w, struct fl_err *err);

/* Free what webhook_get filled. Safe twice and on zeroed memory. */
void webhook_fini(struct webhook *w);
/* FL_CONFLICT: the name is taken. created_at is set. */
enum fl_code webhook_add(struct store *store, const struct webhook *w, int64_t *id,
	struct fl_err *err) FL_MUST_CHECK;
/* By name; FL_NOT_FOUND with a sentence. webhook_fini it. */
enum fl_code webhook_get(struct store *store, const char *name, struct webhook *out,
	struct fl_err *err) FL_MUST_CHECK;
/* Those with ids above `after`, by id; limit < 0: all. */
enum fl_code webhook_each(struct store *store, int64_t after, int64_t limit, webhook_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;
/* Set url, kinds, selector, salt and enabled of webhook w->id; what failed is tried at once. */
enum fl_code webhook_change(
	struct store *store, const struct webhook *w, struct fl_err *err) FL_MUST_CHECK;
/* Put the cursor: events above it are delivered (again). */
enum fl_code webhook_move(
	struct store *store, int64_t id, int64_t cursor, struct fl_err *err) FL_MUST_CHECK;
/* Delete it with its deliveries. */
enum fl_code webhook_delete(struct store *store, int64_t id, struct fl_err *err) FL_MUST_CHECK;
/* The lowest cursor of the enabled ones, INT64_MAX without any: events above it must stay. */
enum fl_code webhook_least_cursor(
	struct store *store, int64_t *out, struct fl_err *err) FL_MUST_CHECK;

enum webhook_outcome {
	WEBHOOK_PASSED,    /* none of the events up to `seq` is for it */
	WEBHOOK_DELIVERED, /* the target took it */
	WEBHOOK_FAILED,    /* it is tried again at retry_at */
	WEBHOOK_DEAD,      /* it is given up */
};

/* What came of an event. */
struct webhook_settle {
	int64_t webhook_id;
	int64_t from; /* the cursor when it began: if it was moved meanwhile nothing is written */
	int64_t seq;
	enum webhook_outcome outcome;
	int64_t retry_at;
	int64_t status; /* HTTP; 0: none came */
	int64_t took_ms;
	const char *error; /* why not; NULL or "" when it was delivered */
	bool disable;      /* the target does not want any more */
};
/* Write it down and move on. */
enum fl_code webhook_settle(
	struct store *store, const struct webhook_settle *s, struct fl_err *err) FL_MUST_CHECK;

/* One delivery as recorded. */
struct webhook_delivery {
	int64_t seq;
	const char *state; /* waiting, delivered, dead */
	int64_t attempts, status, took_ms, at;
	const char *error;
	const char *kind, *subject; /* of the event; NULL: it was pruned */
};
typedef enum fl_code (*webhook_delivery_fn)(
	void *context, const struct webhook_delivery *d, struct fl_err *err);
/* Which ones. */
struct webhook_deliveries {
	int64_t webhook_id;
	int64_t before; /* numbers below this; 0: the newest */
	int64_t limit;
	const char *state; /* NULL: all */
};
/* Newest first. */
enum fl_code webhook_each_delivery(struct store *store, const struct webhook_deliveries *which,
	webhook_delivery_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;

#endif
