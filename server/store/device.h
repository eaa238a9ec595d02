/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of devices.
 *
 * DESIGN. The narrow part is read a million times at start; the wide part (key, attributes, labels)
 * has a table of its own. Numbers are dense, handed out in order and never used again; outside of
 * the server a device has its id. A retired device keeps its row. Texts given to this file have been
 * validated by devices.h. */
#ifndef STORE_DEVICE_H
#define STORE_DEVICE_H

#include "server/store/store.h"

#include <stddef.h>

struct rsql;

#define DEVICE_KEY_BYTES 32

struct device {
	int64_t no;
	const char *id;
	bool gateway;       /* tier gateway, else device */
	int64_t gateway_no; /* the gateway that it is behind; 0: none */
	int64_t state_id;   /* store/state.h */
	int64_t manifest;   /* number of the newest manifest; 0: none yet */
	int64_t epoch;      /* sessions older than this are void */
	int64_t last_seen;  /* seconds since 1970; 0: never */
	int64_t retired_at; /* ms; 0: in service */
	/* the wide part; zero where a function says "narrow" */
	const uint8_t *public_key; /* Ed25519, 32 bytes; NULL: not enrolled */
	const char *attributes;    /* JSON object */
	const char *labels;        /* JSON object */
	int64_t created_at;
	int64_t changed_at;
	void *owned; /* see copy.h */
};

/* Called per row; the texts end with the call. Another code than FL_OK ends the loop. */
typedef enum fl_code (*device_fn)(void *context, const struct device *d, struct fl_err *err);

/* Free what device_get or device_by_no filled. Safe twice and on zeroed memory. */
void device_fini(struct device *d);
/* One device, wide, retired ones too; FL_NOT_FOUND with a sentence. device_fini it. */
enum fl_code device_get(
	struct store *store, const char *id, struct device *out, struct fl_err *err) FL_MUST_CHECK;
enum fl_code device_by_no(
	struct store *store, int64_t no, struct device *out, struct fl_err *err) FL_MUST_CHECK;
/* The number of a device; FL_NOT_FOUND with a sentence. */
enum fl_code device_no(
	struct store *store, const char *id, int64_t *no, struct fl_err *err) FL_MUST_CHECK;
/* Append the id of device `no` to `out`. FL_NOT_FOUND with a sentence. */
struct fl_buf;
enum fl_code device_id(
	struct store *store, int64_t no, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;
/* Every device by number, narrow, retired ones too: what is read at start. */
enum fl_code device_each(
	struct store *store, device_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;

/* Number, attributes and labels of the devices with numbers from `first` to `last`, by number, retired
 * ones too; the rest of the struct is zero. The cheapest way through many. */
enum fl_code device_each_profile(struct store *store, int64_t first, int64_t last, device_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;

/* Which devices a query is about. Zeroed: the first none. */
struct device_filter {
	const struct rsql *where; /* NULL: all */
	const struct rsql *scope; /* ANDed: the selector of the caller's token; NULL: all */
	bool retired;             /* retired ones too */
	int64_t after;            /* only numbers above this */
	int64_t until;            /* only numbers up to this; 0: no bound */
	int64_t limit;            /* rows; < 0: all */
};
/* The devices of `f` by number, wide. `where` and `scope` become one composed statement with bound
 * values; see select.h. */
enum fl_code device_select(struct store *store, const struct device_filter *f, device_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;
/* The same, narrow: cheaper where the expression does not read the wide part. */
enum fl_code device_select_narrow(struct store *store, const struct device_filter *f, device_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;
/* How many devices `f` has (its limit is ignored). */
enum fl_code device_count(struct store *store, const struct device_filter *f, int64_t *n,
	struct fl_err *err) FL_MUST_CHECK;
/* Whether the device lies in `scope` (NULL: always). */
enum fl_code device_in_scope(struct store *store, int64_t no, const struct rsql *scope,
	bool *inside, struct fl_err *err) FL_MUST_CHECK;
/* The highest number handed out; 0: no device yet. */
enum fl_code device_last_no(struct store *store, int64_t *no, struct fl_err *err) FL_MUST_CHECK;
/* The numbers of the devices behind a gateway, narrow, by number. */
enum fl_code device_each_behind(struct store *store, int64_t gateway_no, device_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;

/* What is to be true of a device afterwards; NULL or 0: leave as it is. */
struct device_put {
	const char *id;
	const char *tier;          /* "device" or "gateway"; new ones are "device" */
	const char *gateway;       /* id of its gateway; "": none */
	const char *attributes;    /* canonical JSON object, replaces all */
	const char *labels;        /* canonical JSON object, replaces all */
	int64_t state_id;          /* new ones have STATE_EMPTY */
	const uint8_t *public_key; /* 32 bytes */
	bool revive; /* a retired id may be taken again: it starts over, its epoch rises */
};
enum device_outcome {
	DEVICE_UNCHANGED,
	DEVICE_CHANGED,
	DEVICE_CREATED,
	DEVICE_REVIVED, /* it was retired; like created, with a higher epoch (device_epoch) */
};

/* Make or change a device; idempotent. *no and *outcome tell which. FL_REFUSED: unknown gateway, or
 * a chain of gateways; FL_CONFLICT: it has another key; FL_GONE: it is retired and `revive` is not
 * set. Write lane, as are all that follow. */
enum fl_code device_put(struct store *store, const struct device_put *in, int64_t *no,
	enum device_outcome *outcome, struct fl_err *err) FL_MUST_CHECK;
/* The epoch that sessions must have. */
enum fl_code device_epoch(
	struct store *store, int64_t no, int64_t *epoch, struct fl_err *err) FL_MUST_CHECK;
/* Store the key of a device that enrols (32 bytes) and raise its epoch; *epoch gets the new one.
 * The same key again raises it too: its older sessions end. FL_CONFLICT: it has another key. */
enum fl_code device_enrol(struct store *store, int64_t no, const uint8_t *public_key,
	int64_t *epoch, struct fl_err *err) FL_MUST_CHECK;
/* Point to another state; *before (may be NULL) gets the one it had. */
enum fl_code device_set_state(struct store *store, int64_t no, int64_t state_id, int64_t *before,
	struct fl_err *err) FL_MUST_CHECK;
/* Replace the attributes by a canonical JSON object; *changed (may be NULL): they differed. */
enum fl_code device_set_attributes(struct store *store, int64_t no, const char *attributes,
	bool *changed, struct fl_err *err) FL_MUST_CHECK;
/* The number of its newest manifest; it must rise (our defect otherwise). */
enum fl_code device_set_manifest(
	struct store *store, int64_t no, int64_t number, struct fl_err *err) FL_MUST_CHECK;
/* Keep when it was last seen, in seconds; never goes back. */
enum fl_code device_set_last_seen(
	struct store *store, int64_t no, int64_t seconds, struct fl_err *err) FL_MUST_CHECK;
/* Retire: the row stays, the epoch rises (*epoch), the key goes. Nothing happens to a retired one. */
enum fl_code device_retire(
	struct store *store, int64_t no, int64_t *epoch, struct fl_err *err) FL_MUST_CHECK;

#endif
