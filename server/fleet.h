/* SPDX-License-Identifier: Apache-2.0
 *
 * All devices in memory: what a poll needs, so that it costs no SQL.
 *
 * DESIGN. A device is 32 bytes in a chunk of 4096, found by its dense number; a chunk is allocated
 * when its first device appears and stays. Every field is an atomic of its own: loop threads read
 * and note who was seen; all else is changed by the writer thread, by effects after COMMIT, or at
 * start before there are other threads. Loaded from the narrow rows at start (fleet_up, parts.h). */
#ifndef FLEET_H
#define FLEET_H

#include "server/effects.h"
#include "server/store/store.h"

struct server;
struct fleet;
struct manifest_row;
struct replay;

/* What is known of one device. A snapshot: the fields may be of different moments. */
struct fleet_device {
	int64_t manifest; /* number of its newest manifest; 0: none */
	uint64_t nonce;   /* greatest seen since the start; 0: none */
	uint32_t epoch;   /* sessions of another epoch are void */
	uint32_t seen_s;  /* when it last spoke, seconds since 1970; 0: never */
	bool retired;
	bool attention; /* something may be waiting: its poll goes to the write lane */
};

/* Look a device up. False if there is none of this number. Any thread. */
bool fleet_get(const struct fleet *f, int64_t no, struct fleet_device *out);

/* Take a nonce: true if it is greater than all before, which it then replaces. The device counts as
 * seen at `now_s`. Any thread. */
bool fleet_take_nonce(struct fleet *f, int64_t no, uint64_t nonce, uint32_t now_s);
/* The device has spoken in another way (session). Any thread. */
void fleet_seen(struct fleet *f, int64_t no, uint32_t now_s);

/* How often a device has spoken after a silence of more than `silent_s` seconds, which is what counts as
 * one from now on; before the first call nothing does. Any thread. */
uint64_t fleet_returned(struct fleet *f, uint32_t silent_s);

/* The handshakes of the last minutes (device/replay.h); borrowed. Any thread. */
struct replay *fleet_handshakes(const struct fleet *f);

/* Numbers run from 1 to this. Any thread. */
int64_t fleet_last_no(const struct fleet *f);

/* ---- effects: what is true after COMMIT. Write lane. */

/* A device is new, or its epoch or retirement changed. */
void fleet_put(struct effects *e, int64_t no, int64_t epoch, bool retired);
/* Something may be waiting for it, or no longer is. */
void fleet_attention(struct effects *e, int64_t no, bool on);
/* Issue the device's next manifest: store_manifest row (store/manifest.h) now, its number in memory
 * after COMMIT. row->number is set. Write lane. FL_FULL and other errors of the store. */
enum fl_code fleet_issue(struct store *store, struct effects *e, struct manifest_row *row,
	struct fl_err *err) FL_MUST_CHECK;

/* ---- last_seen, for seen.c */

/* Call fn for each device from number `from` to `to` whose seen_s changed since the last such call,
 * and take the change back. Any thread, one at a time. */
typedef void (*fleet_seen_fn)(void *arg, int64_t no, uint32_t seen_s);
void fleet_take_seen(struct fleet *f, int64_t from, int64_t to, fleet_seen_fn fn, void *arg);
/* The write of it failed: note it again. */
void fleet_untake_seen(struct fleet *f, int64_t no);

#endif
