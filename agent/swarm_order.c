/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/swarm.h"

#include "agent/random.h"
#include "lib/clock.h"
#include "lib/delta/apply.h"
#include "lib/digest.h"
#include "lib/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND_US 1000000LL
#define SAMPLE    1024 /* bytes that are fetched without --decode */
#define TRIES_MAX 3
#define DATA_MAX  (512U << 20)
#define MEMORY    (256LL << 20) /* that a device says it has for decoding */

void order_drop(struct swarm *s, struct device *d)
{
	struct order *o = fl_steal(&d->order);

	if (o == NULL)
		return;
	fl_manifest_fini(&o->manifest);
	fl_buf_fini(&o->data);
	free(o);
	s->in_hand--;
}

/* ---- what shall run */

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static const json_t *installed_find(const struct device *d, const char *module)
{
	size_t i;
	json_t *entry;

	json_array_foreach (d->installed, i, entry) {
		const char *name = text_of(entry, "module");

		if (name != NULL && strcmp(name, module) == 0)
			return entry;
	}
	return NULL;
}

/* The goal's list is the whole list: what it does not name is gone afterwards. */
static json_t *make_target(
	struct swarm *s, const struct device *d, const struct fl_manifest_goal *g)
{
	json_t *set = json_array();

	for (size_t i = 0; i < g->n_modules; i++) {
		const struct fl_manifest_module *m = &g->modules[i];
		const json_t *had = m->sha256 == NULL ? installed_find(d, m->module) : NULL;
		json_t *entry = had != NULL ? json_incref((json_t *)had)
					    : json_pack("{s:s, s:s, s:s*}", "module", m->module,
						      "version", m->version, "sha256", m->sha256);

		if (json_array_append_new(set, entry) != 0) {
			json_decref(set);
			return NULL;
		}
	}
	return swarm_intern(s, set);
}

/* What one device meets must not hang on the order in which others ask. */
static double fate(const struct swarm *s, const struct device *d, const struct swarm_rule *r)
{
	uint64_t state = s->options.seed ^ ((uint64_t)d->index << 20);

	for (const char *p = r->module; *p != '\0'; p++)
		state = state * 0x100000001b3U ^ (uint8_t)*p;
	for (const char *p = r->version; *p != '\0'; p++)
		state = state * 0x100000001b3U ^ (uint8_t)*p;
	return random_unit(&state);
}

bool order_befalls(const struct swarm *s, const struct device *d, const struct swarm_rule *rules,
	size_t n, const json_t *target, const char **module)
{
	for (size_t i = 0; i < n; i++) {
		size_t at;
		json_t *entry;

		json_array_foreach (target, at, entry) {
			const char *name = text_of(entry, "module"),
				   *version = text_of(entry, "version");

			if (strcmp(name, rules[i].module) != 0 ||
				strcmp(version, rules[i].version) != 0)
				continue;
			if (fate(s, d, &rules[i]) >= rules[i].fraction)
				continue;
			*module = rules[i].module;
			return true;
		}
	}
	return false;
}

static enum fl_code open_manifest(
	struct swarm *s, struct device *d, struct fl_bytes envelope, struct fl_manifest *m)
{
	char id[SWARM_ID_MAX];
	struct fl_manifest_rules rules = {
		.device = id, .number = d->accepted, .now_ms = fl_clock_ms(CLOCK_REALTIME)
	};
	enum fl_code code = fl_manifest_open(envelope, &s->trust, m, NULL);

	if (code != FL_OK)
		return code;
	swarm_id(s, d, id);
	rules.tenant = m->head.tenant; /* a swarm serves any tenant */
	code = fl_manifest_check(m, &rules, NULL);
	if (code != FL_OK)
		fl_manifest_fini(m);
	return code;
}

void order_accept(struct swarm *s, struct device *d, struct fl_bytes envelope)
{
	struct fl_manifest m = { 0 };
	struct order *o;
	json_t *target;

	if (open_manifest(s, d, envelope, &m) != FL_OK) {
		s->totals.refused++;
		return;
	}
	target = make_target(s, d, &m.goal);
	if ((d->order != NULL && m.head.number == d->accepted) || target == NULL) {
		fl_manifest_fini(&m); /* the order that is in hand */
		return;
	}
	order_drop(s, d);
	o = calloc(1, sizeof(*o));
	FL_BUG_IF(o == NULL);
	o->manifest = m;
	o->target = target;
	d->order = o;
	d->accepted = m.head.number;
	s->in_hand++;
	s->totals.orders++;
	if (target != d->installed && !s->hold)
		device_report(s, d, "downloading", NULL, NULL);
}

/* ---- bytes */

static void cache_path(const struct swarm *s, const char *sha256, char out[PATH_MAX])
{
	(void)snprintf(out, PATH_MAX, "%s/%s", s->options.cache_dir, sha256);
}

static bool cached(const struct swarm *s, const char *sha256)
{
	char path[PATH_MAX];

	cache_path(s, sha256, path);
	return access(path, R_OK) == 0;
}

static const struct fl_manifest_module *wanted(const struct order *o)
{
	return &o->manifest.goal.modules[o->at];
}

/* Digests of installed versions of the wanted module, that a delta may start from. */
static size_t list_have(
	const struct swarm *s, const struct device *d, const char **have, size_t max)
{
	size_t n = 0, i;
	json_t *entry;

	json_array_foreach (d->installed, i, entry) {
		const char *sha256 = text_of(entry, "sha256"), *name = text_of(entry, "module");

		if (sha256 != NULL && n < max && name != NULL &&
			strcmp(name, wanted(d->order)->module) == 0 &&
			(!d->order->without_old || cached(s, sha256)))
			have[n++] = sha256;
	}
	return n;
}

static void ask_offer(struct swarm *s, struct device *d)
{
	const char *have[FL_MANIFEST_MODULES_MAX];
	FL_AUTO_BUF struct fl_buf codecs = { 0 };
	struct protocol_wish wish = {
		.sha256 = wanted(d->order)->sha256, .have = have, .memory = MEMORY
	};
	struct exchange *x = swarm_exchange(s, d, ASKED_OFFER);

	wish.n_have = list_have(s, d, have, FL_COUNT(have));
	fl_codec_names(&codecs, true);
	wish.codecs = (const char *)codecs.p;
	if (x != NULL && !codecs.failed &&
		protocol_ask(&x->message, &d->session, &wish, d->accepted,
			fl_clock_ms(CLOCK_REALTIME), NULL) == FL_OK) {
		swarm_send(s, x);
		return;
	}
	if (x != NULL)
		swarm_release(s, x);
	device_back_off(s, d);
}

/* The order cannot be carried out; the device stays as it is. */
static void give_up(struct swarm *s, struct device *d, const char *cause, const char *detail)
{
	/* Ill after the switch: it has taken itself back. */
	bool back = d->order->stage == ORDER_PROBATION;

	device_report(s, d, back ? "rolled_back" : "failed", cause, detail);
	s->totals.failed++;
	d->orders_done++;
	order_drop(s, d);
	swarm_wake(s, d, 0);
}

void order_offered(struct swarm *s, struct device *d, const struct exchange *x)
{
	const char *have[FL_MANIFEST_MODULES_MAX];
	struct order *o = d->order;
	struct protocol_wish wish = { .have = have };
	struct protocol_offer offer;
	int status = x->call.answer.status;

	if (status == 202) {
		int64_t wait = x->call.answer.retry_after_s;

		swarm_wake(s, d, (wait > 0 ? wait : 1) * SECOND_US);
		return;
	}
	if (status == 404 || status == 410) {
		give_up(s, d, "server", "the server does not have the artifact");
		return;
	}
	wish.sha256 = wanted(o)->sha256;
	wish.n_have = list_have(s, d, have, FL_COUNT(have));
	if (status != 200 || protocol_offer_read(x->call.body, &wish, &offer, NULL) != FL_OK) {
		device_back_off(s, d);
		return;
	}
	o->offer = offer.legs[0]; /* no chain was asked for */
	o->offered = true;
	o->cut_done = false;
	o->received = 0;
	fl_buf_reset(&o->data);
	swarm_wake(s, d, 0);
}

/* Pool callback: a piece of a download. */
static void order_piece(struct pool_call *call, struct fl_bytes piece)
{
	struct exchange *x = call->owner;
	struct order *o = x->device->order;
	int status = call->answer.status;

	if (status != 200 && status != 206)
		return;
	if (status == 200 && call->received == 0 && o->received > 0) {
		o->received = 0; /* the server starts from the beginning */
		fl_buf_reset(&o->data);
	}
	o->received += (int64_t)piece.n;
	if (x->swarm->options.decode)
		fl_buf_add(&o->data, piece.p, piece.n);
}

static int64_t wanted_bytes(const struct swarm *s, const struct order *o)
{
	return s->options.decode || o->offer.size < SAMPLE ? o->offer.size : SAMPLE;
}

static void begin_fetch(struct exchange *x, const char *path)
{
	x->message.method = "GET";
	memcpy(x->message.path, path, strlen(path) + 1);
	fl_buf_reset(&x->message.body);
	fl_buf_reset(&x->message.headers);
	x->call.piece = order_piece;
	x->device->order->data.max = DATA_MAX;
}

static void fetch(struct swarm *s, struct device *d)
{
	struct order *o = d->order;
	struct exchange *x = swarm_exchange(s, d, ASKED_BYTES);
	int64_t end = wanted_bytes(s, o);

	if (x == NULL) {
		device_back_off(s, d);
		return;
	}
	begin_fetch(x, o->offer.url);
	if (o->received > 0 || end < o->offer.size)
		fl_buf_printf(&x->message.headers, "Range: bytes=%" PRId64 "-%" PRId64 "\r\n",
			o->received, end - 1);
	x->call.rate = s->options.slow;
	if (!o->cut_done && random_unit(&d->random) < s->options.cut)
		x->call.cut_after = (int64_t)random_below(&d->random, (uint64_t)end);
	swarm_send(s, x);
}

/* A patch starts from what the device left the factory with: the first one that needs it fetches
 * it for all, uncounted, since a real device would have it. */
static void fetch_old(struct swarm *s, struct device *d)
{
	struct exchange *x = swarm_exchange(s, d, ASKED_BYTES);
	char path[PROTOCOL_PATH_MAX];

	if (x == NULL) {
		device_back_off(s, d);
		return;
	}
	(void)snprintf(path, sizeof(path), "/blobs/sha256/%s", d->order->offer.from);
	d->order->fetching_old = true;
	begin_fetch(x, path);
	swarm_send(s, x);
}

/* Decode into the cache; what is there already was decoded from the same bytes. */
static enum fl_code decode(
	const struct swarm *s, const struct order *o, const char *data_path, struct fl_err *err)
{
	char from[PATH_MAX], to_path[PATH_MAX], part[PATH_MAX + 8];
	uint8_t sha256[FL_SHA256_LEN];
	const struct protocol_leg *offer = &o->offer;
	struct fl_apply a = { .codec = fl_codec_find(offer->codec),
		.old_fd = -1,
		.data_fd = -1,
		.out_fd = -1,
		.size = (uint64_t)offer->to_size,
		.sha256 = sha256 };
	enum fl_code code = FL_IO;

	cache_path(s, offer->from, from);
	(void)snprintf(part, sizeof(part), "%s.part", data_path);
	if (a.codec == NULL || !fl_unhex(wanted(o)->sha256, sha256, sizeof(sha256)))
		return fl_fail(err, FL_INVALID, "unknown codec %s", offer->codec);
	if (offer->from[0] != '\0')
		a.old_fd = open(from, O_RDONLY | O_CLOEXEC);
	a.data_fd = open(data_path, O_RDONLY | O_CLOEXEC);
	a.out_fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (a.data_fd >= 0 && a.out_fd >= 0 && (a.old_fd >= 0 || offer->from[0] == '\0'))
		code = fl_apply(&a, err);
	cache_path(s, wanted(o)->sha256, to_path);
	if (code == FL_OK && rename(part, to_path) != 0)
		code = fl_fail_errno(err, errno, "cannot rename %s", part);
	if (code != FL_OK)
		(void)unlink(part);
	for (size_t i = 0; i < 3; i++) {
		int fd = i == 0 ? a.old_fd : i == 1 ? a.data_fd : a.out_fd;

		if (fd >= 0)
			(void)close(fd);
	}
	return code;
}

/* Check the digest of what came; into the cache if it is not there. */
static enum fl_code keep_download(
	const struct swarm *s, const struct order *o, const char *expected, struct fl_err *err)
{
	char path[PATH_MAX], hex[FL_SHA256_HEX + 1];
	struct fl_bytes data = { o->data.p, o->data.n };
	uint8_t sha256[FL_SHA256_LEN];

	fl_sha256(data, sha256);
	fl_hex(sha256, sizeof(sha256), hex);
	if (strcmp(hex, expected) != 0)
		return fl_fail(err, FL_CORRUPT, "the download has another digest");
	if (cached(s, hex))
		return FL_OK;
	cache_path(s, hex, path);
	return fl_file_put(path, data, 0644, err);
}

/* Whole download: its digest, then what it decodes to. */
static enum fl_code check_download(const struct swarm *s, const struct order *o, struct fl_err *err)
{
	char path[PATH_MAX];
	enum fl_code code = keep_download(s, o, o->offer.sha256, err);

	if (code != FL_OK || cached(s, wanted(o)->sha256))
		return code;
	cache_path(s, o->offer.sha256, path);
	return decode(s, o, path, err);
}

static void old_came(struct swarm *s, struct device *d, const struct exchange *x)
{
	struct order *o = d->order;

	o->fetching_old = false;
	if (x->call.code != FL_OK || x->call.answer.status != 200 ||
		keep_download(s, o, o->offer.from, NULL) != FL_OK) {
		o->without_old = true; /* then without a patch */
		o->offered = false;
	}
	o->received = 0;
	fl_buf_reset(&o->data);
	swarm_wake(s, d, 0);
}

static void next_module(struct swarm *s, struct device *d)
{
	struct order *o = d->order;

	o->bytes += o->offer.size;
	o->saved += o->offer.to_size - o->offer.size;
	s->totals.bytes += o->offer.size;
	s->totals.saved += o->offer.to_size - o->offer.size;
	o->offered = false;
	o->at++;
	d->failures = 0;
	swarm_wake(s, d, 0);
}

void order_bytes(struct swarm *s, struct device *d, const struct exchange *x)
{
	struct order *o = d->order;
	int status = x->call.answer.status;
	struct fl_err err = { 0 };

	s->totals.received += x->call.received;
	if (o->fetching_old) {
		old_came(s, d, x);
		return;
	}
	if (x->call.cut_after >= 0 && x->call.code != FL_OK) {
		o->cut_done = true;
		s->totals.cuts++;
		swarm_wake(s, d, SECOND_US / 10);
		return;
	}
	if (x->call.code != FL_OK || status == 429 || status >= 500) {
		device_back_off(s, d);
		return;
	}
	if ((status != 200 && status != 206) || o->data.failed) {
		give_up(s, d, "server", "the server does not give the bytes that it offered");
		return;
	}
	if (o->received < wanted_bytes(s, o)) {
		swarm_wake(s, d, 0);
		return;
	}
	if (s->options.decode && check_download(s, o, &err) != FL_OK) {
		s->totals.refused++;
		o->offered = false; /* from the beginning */
		if (++o->corrupt >= TRIES_MAX)
			give_up(s, d, "network", err.msg);
		else
			device_back_off(s, d);
		return;
	}
	next_module(s, d);
}

/* ---- the road of an order */

/* Bricked: it takes what it knows with it. */
static void fall_silent(struct swarm *s, struct device *d)
{
	d->silent = true;
	s->totals.went_silent++;
	order_drop(s, d);
	if (d->outbox != NULL) {
		json_decref(fl_steal(&d->outbox));
		s->unsent--;
	}
	d->orders_done++;
}

static void switch_over(struct swarm *s, struct device *d)
{
	struct order *o = d->order;
	const char *module;
	double part = 1;

	if (order_befalls(s, d, s->options.silent, s->options.n_silent, o->target, &module)) {
		fall_silent(s, d);
		return;
	}
	if (order_befalls(s, d, s->options.fail, s->options.n_fail, o->target, &module))
		part = random_unit(&d->random);
	o->stage = ORDER_PROBATION;
	o->until_us = fl_clock_us(CLOCK_MONOTONIC) +
		(int64_t)(part * 1e6 * (double)o->manifest.goal.step.probation_s);
	device_report(s, d, "installed", NULL, NULL);
	swarm_wake(s, d, 0);
}

static void end(struct swarm *s, struct device *d)
{
	struct order *o = d->order;
	const char *module;
	bool new = o->target != d->installed;

	if (new &&order_befalls(s, d, s->options.fail, s->options.n_fail, o->target, &module)) {
		char detail[256];

		(void)snprintf(detail, sizeof(detail), "the health command failed with %s", module);
		give_up(s, d, "release", detail);
		return;
	}
	d->installed = o->target;
	if (o->manifest.goal.step.rollout == NULL)
		d->inventory_due = new; /* nobody waits for a report that would say it */
	device_report(s, d, "confirmed", NULL, NULL);
	s->totals.confirmed++;
	d->orders_done++;
	order_drop(s, d);
	swarm_wake(s, d, 0);
}

static bool here_already(const struct device *d, const struct fl_manifest_module *m)
{
	const json_t *had = installed_find(d, m->module);
	const char *sha256 = had == NULL ? NULL : text_of(had, "sha256");

	return m->sha256 == NULL || (sha256 != NULL && strcmp(sha256, m->sha256) == 0);
}

void order_turn(struct swarm *s, struct device *d)
{
	struct order *o = d->order;
	int64_t left;

	if (o->stage == ORDER_PROBATION) {
		left = o->until_us - fl_clock_us(CLOCK_MONOTONIC);
		if (left > 0)
			swarm_wake(s, d, left);
		else
			end(s, d);
		return;
	}
	while (o->at < o->manifest.goal.n_modules && here_already(d, wanted(o)))
		o->at++;
	if (o->at < o->manifest.goal.n_modules) {
		if (!o->offered)
			ask_offer(s, d);
		else if (s->options.decode && o->offer.from[0] != '\0' && !cached(s, o->offer.from))
			fetch_old(s, d);
		else if (o->offer.size == 0)
			next_module(s, d);
		else
			fetch(s, d);
	} else if (o->target == d->installed) {
		end(s, d);
	} else {
		switch_over(s, d);
	}
}
