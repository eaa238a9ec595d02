/* SPDX-License-Identifier: Apache-2.0 */
#include "server/fleet.h"

#include "lib/log.h"
#include "server/device/replay.h"
#include "server/parts.h"
#include "server/rollouts.h"
#include "server/server.h"
#include "server/store/batch.h"
#include "server/store/device.h"
#include "server/store/manifest.h"

#include <stdatomic.h>
#include <stdlib.h>

#define CHUNK      4096
#define HANDSHAKES 65536
#define CHUNKS_MAX 65536 /* 268 million devices; the table costs no memory until it is used */

enum { EXISTS = 1, RETIRED = 2, ATTENTION = 4, SEEN = 8 /* seen_s is not written yet */ };

struct slot {
	_Atomic uint64_t nonce;
	_Atomic int64_t manifest;
	_Atomic uint32_t epoch;
	_Atomic uint32_t seen_s;
	_Atomic uint32_t flags;
	uint32_t unused;
};
_Static_assert(sizeof(struct slot) == 32, "a million devices take 32 MB");

struct fleet {
	_Atomic int64_t last_no;
	_Atomic uint32_t silent_s;   /* who has not spoken for longer than this was silent */
	_Atomic uint64_t n_returned; /* how often somebody silent has spoken again */
	struct replay *handshakes;
	struct slot *_Atomic chunks[CHUNKS_MAX];
};

/* ---- slots */

static struct slot *find_slot(const struct fleet *f, int64_t no)
{
	struct slot *chunk;

	if (no < 1 || no >= (int64_t)CHUNK * CHUNKS_MAX)
		return NULL;
	chunk = atomic_load_explicit(&f->chunks[no / CHUNK], memory_order_acquire);
	if (chunk == NULL)
		return NULL;
	chunk += no % CHUNK;
	/* Acquire: who sees EXISTS sees the fields that were set before it. */
	if ((atomic_load_explicit(&chunk->flags, memory_order_acquire) & EXISTS) == 0)
		return NULL;
	return chunk;
}

/* The place of a device that may be new. NULL without memory, or when it is out of bounds. */
static struct slot *make_slot(struct fleet *f, int64_t no)
{
	struct slot *chunk;

	if (no < 1 || no >= (int64_t)CHUNK * CHUNKS_MAX)
		return NULL;
	chunk = atomic_load_explicit(&f->chunks[no / CHUNK], memory_order_acquire);
	if (chunk == NULL) {
		chunk = calloc(CHUNK, sizeof(*chunk));
		if (chunk == NULL)
			return NULL;
		atomic_store_explicit(&f->chunks[no / CHUNK], chunk, memory_order_release);
	}
	if (no > atomic_load(&f->last_no))
		atomic_store(&f->last_no, no);
	return chunk + no % CHUNK;
}

static void set_flag(struct slot *s, uint32_t flag, bool on)
{
	if (on)
		atomic_fetch_or_explicit(&s->flags, flag, memory_order_release);
	else
		atomic_fetch_and_explicit(&s->flags, ~flag, memory_order_release);
}

bool fleet_get(const struct fleet *f, int64_t no, struct fleet_device *out)
{
	const struct slot *s = find_slot(f, no);
	uint32_t flags;

	if (s == NULL)
		return false;
	flags = atomic_load_explicit(&s->flags, memory_order_relaxed);
	*out = (struct fleet_device){
		.manifest = atomic_load_explicit(&s->manifest, memory_order_relaxed),
		.nonce = atomic_load_explicit(&s->nonce, memory_order_relaxed),
		.epoch = atomic_load_explicit(&s->epoch, memory_order_relaxed),
		.seen_s = atomic_load_explicit(&s->seen_s, memory_order_relaxed),
		.retired = (flags & RETIRED) != 0,
		.attention = (flags & ATTENTION) != 0,
	};
	return true;
}

struct replay *fleet_handshakes(const struct fleet *f)
{
	return f->handshakes;
}

int64_t fleet_last_no(const struct fleet *f)
{
	return atomic_load(&f->last_no);
}

/* ---- who spoke */

static void note_seen(struct fleet *f, struct slot *s, uint32_t now_s)
{
	uint32_t before = atomic_load_explicit(&s->seen_s, memory_order_relaxed);

	if (before >= now_s)
		return;
	atomic_store_explicit(&s->seen_s, now_s, memory_order_relaxed);
	if (now_s - before > atomic_load_explicit(&f->silent_s, memory_order_relaxed))
		atomic_fetch_add_explicit(&f->n_returned, 1, memory_order_relaxed);
	if ((atomic_load_explicit(&s->flags, memory_order_relaxed) & SEEN) == 0)
		set_flag(s, SEEN, true);
}

bool fleet_take_nonce(struct fleet *f, int64_t no, uint64_t nonce, uint32_t now_s)
{
	struct slot *s = find_slot(f, no);
	uint64_t before;

	if (s == NULL)
		return false;
	before = atomic_load_explicit(&s->nonce, memory_order_relaxed);
	do {
		if (nonce <= before)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&s->nonce, &before, nonce, memory_order_relaxed, memory_order_relaxed));
	note_seen(f, s, now_s);
	return true;
}

void fleet_seen(struct fleet *f, int64_t no, uint32_t now_s)
{
	struct slot *s = find_slot(f, no);

	if (s != NULL)
		note_seen(f, s, now_s);
}

uint64_t fleet_returned(struct fleet *f, uint32_t silent_s)
{
	atomic_store_explicit(&f->silent_s, silent_s, memory_order_relaxed);
	return atomic_load_explicit(&f->n_returned, memory_order_relaxed);
}

void fleet_take_seen(struct fleet *f, int64_t from, int64_t to, fleet_seen_fn fn, void *arg)
{
	for (int64_t no = from; no <= to; no++) {
		struct slot *s = find_slot(f, no);

		if (s == NULL ||
			(atomic_load_explicit(&s->flags, memory_order_relaxed) & SEEN) == 0)
			continue;
		/* The flag first: whoever speaks in between sets it again. */
		set_flag(s, SEEN, false);
		fn(arg, no, atomic_load_explicit(&s->seen_s, memory_order_relaxed));
	}
}

void fleet_untake_seen(struct fleet *f, int64_t no)
{
	struct slot *s = find_slot(f, no);

	if (s != NULL)
		set_flag(s, SEEN, true);
}

/* ---- effects */

struct put {
	int64_t no;
	uint32_t epoch;
	uint32_t retired;
};

static void apply_put(struct server *server, const void *payload)
{
	const struct put *p = payload;
	struct slot *s = make_slot(server->fleet, p->no);

	if (s == NULL) {
		fl_log_error("no memory for a device: its sessions are refused until fleetd is "
			     "started again",
			FL_N("device_no", p->no));
		return;
	}
	/* A new epoch means new sessions, whose nonces begin anew. */
	if (atomic_load(&s->epoch) != p->epoch)
		atomic_store(&s->nonce, 0);
	atomic_store(&s->epoch, p->epoch);
	set_flag(s, RETIRED, p->retired != 0);
	set_flag(s, EXISTS, true);
}

void fleet_put(struct effects *e, int64_t no, int64_t epoch, bool retired)
{
	const struct put p = { no, (uint32_t)epoch, retired };

	effects_after_commit(e, apply_put, &p, sizeof(p));
}

struct attention {
	int64_t no;
	int64_t on;
};

static void apply_attention(struct server *server, const void *payload)
{
	const struct attention *a = payload;
	struct slot *s = find_slot(server->fleet, a->no);

	if (s != NULL)
		set_flag(s, ATTENTION, a->on != 0);
}

void fleet_attention(struct effects *e, int64_t no, bool on)
{
	const struct attention a = { no, on };

	effects_after_commit(e, apply_attention, &a, sizeof(a));
}

struct issued {
	int64_t no;
	int64_t number;
};

static void apply_issued(struct server *server, const void *payload)
{
	const struct issued *i = payload;
	struct slot *s = find_slot(server->fleet, i->no);

	if (s != NULL)
		atomic_store_explicit(&s->manifest, i->number, memory_order_relaxed);
}

enum fl_code fleet_issue(
	struct store *store, struct effects *e, struct manifest_row *row, struct fl_err *err)
{
	enum fl_code code = manifest_issue(store, row, err);
	struct issued i = { row->device_no, row->number };

	if (code == FL_OK)
		effects_after_commit(e, apply_issued, &i, sizeof(i));
	return code;
}

/* ---- start and end */

static enum fl_code load_one(void *context, const struct device *d, struct fl_err *err)
{
	struct slot *s = make_slot(context, d->no);

	if (s == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for device number %lld", (long long)d->no);
	atomic_store_explicit(&s->manifest, d->manifest, memory_order_relaxed);
	atomic_store_explicit(&s->epoch, (uint32_t)d->epoch, memory_order_relaxed);
	atomic_store_explicit(&s->seen_s, (uint32_t)d->last_seen, memory_order_relaxed);
	atomic_store_explicit(
		&s->flags, EXISTS | (d->retired_at != 0 ? RETIRED : 0), memory_order_relaxed);
	return FL_OK;
}

static void load_attention(void *arg, int64_t no)
{
	struct slot *s = find_slot(arg, no);

	if (s != NULL)
		set_flag(s, ATTENTION, true);
}

static enum fl_code load(struct server *server, struct store *store, struct effects *e, void *arg,
	struct fl_err *err)
{
	enum fl_code code = device_each(store, load_one, arg, err);

	(void)server;
	(void)e;
	return code == FL_OK ? rollouts_waiting(store, load_attention, arg, err) : code;
}

enum fl_code fleet_up(struct server *s, struct fl_err *err)
{
	enum fl_code code;

	s->fleet = calloc(1, sizeof(*s->fleet));
	if (s->fleet == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the fleet");
	atomic_init(&s->fleet->silent_s, UINT32_MAX);
	s->fleet->handshakes = replay_new(HANDSHAKES);
	code = s->fleet->handshakes == NULL ? fl_fail(err, FL_NOMEM, "no memory for the fleet")
					    : database_run(s, load, s->fleet, err);
	if (code != FL_OK)
		fleet_down(s);
	return code;
}

void fleet_down(struct server *s)
{
	if (s->fleet == NULL)
		return;
	for (size_t i = 0; i < CHUNKS_MAX; i++)
		free(atomic_load_explicit(&s->fleet->chunks[i], memory_order_relaxed));
	replay_free(s->fleet->handshakes);
	free(s->fleet);
	s->fleet = NULL;
}
