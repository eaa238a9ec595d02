/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/swarm.h"

#include "agent/install.h" /* install_remove */
#include "agent/random.h"
#include "lib/clock.h"
#include "lib/digest.h"

#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CALL_TIMEOUT_MS 60000
#define BODY_MAX        (2U << 20)

void swarm_id(const struct swarm *s, const struct device *d, char out[SWARM_ID_MAX])
{
	const struct swarm_options *o = &s->options;
	long long number = o->first + d->index - (d->gateway ? 0 : o->gateways);

	(void)snprintf(out, SWARM_ID_MAX, d->gateway ? "%.32s-gw-%06lld" : "%.32s-%06lld",
		o->prefix, number);
}

/* ---- timers: a heap of devices by due_us */

static void heap_push(struct swarm *s, struct device *d)
{
	size_t i = s->heap_n++;

	while (i > 0 && s->heap[(i - 1) / 2]->due_us > d->due_us) {
		s->heap[i] = s->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	s->heap[i] = d;
}

static struct device *heap_pop(struct swarm *s)
{
	struct device *top = s->heap[0], *last = s->heap[--s->heap_n];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= s->heap_n)
			break;
		if (child + 1 < s->heap_n && s->heap[child + 1]->due_us < s->heap[child]->due_us)
			child++;
		if (s->heap[child]->due_us >= last->due_us)
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = last;
	return top;
}

void swarm_wake(struct swarm *s, struct device *d, int64_t delay_us)
{
	FL_BUG_IF(d->waiting || s->heap_n == s->n);
	d->due_us = fl_clock_us(CLOCK_MONOTONIC) + (delay_us > 0 ? delay_us : 0);
	heap_push(s, d);
}

/* ---- interned sets */

json_t *swarm_intern(struct swarm *s, json_t *set)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	json_t *found;

	if (set == NULL)
		return NULL;
	if (fl_json_canonical(&text, set, NULL) != FL_OK || text.failed || text.p == NULL) {
		json_decref(set);
		return NULL;
	}
	found = json_object_get(s->sets, (const char *)text.p);
	if (found != NULL) {
		json_decref(set);
		return found;
	}
	return json_object_set_new(s->sets, (const char *)text.p, set) == 0 ? set : NULL;
}

/* ---- exchanges */

static void exchange_done(struct pool_call *call)
{
	struct exchange *x = call->owner;

	x->device->waiting = false;
	device_answer(x->swarm, x);
}

struct exchange *swarm_exchange(struct swarm *s, struct device *d, enum asked asked)
{
	struct exchange *x = s->free_exchanges;

	if (x != NULL) {
		s->free_exchanges = x->next_free;
	} else {
		x = calloc(1, sizeof(*x));
		if (x == NULL)
			return NULL;
		x->next_all = s->all_exchanges;
		s->all_exchanges = x;
	}
	x->device = d;
	x->asked = asked;
	x->swarm = s;
	x->call.owner = x;
	x->call.done = exchange_done;
	x->call.piece = NULL;
	x->call.body_max = BODY_MAX;
	x->call.rate = 0;
	x->call.cut_after = -1;
	return x;
}

void swarm_release(struct swarm *s, struct exchange *x)
{
	x->next_free = s->free_exchanges;
	s->free_exchanges = x;
}

void swarm_send(struct swarm *s, struct exchange *x)
{
	const struct protocol_message *m = &x->message;
	struct fl_buf *b = &x->call.request;

	fl_buf_reset(b);
	fl_buf_printf(b, "%s %s HTTP/1.1\r\nHost: %s:%s\r\n", m->method, m->path, s->options.host,
		s->options.port);
	fl_buf_add(b, m->headers.p, m->headers.n);
	if (m->body.n > 0)
		fl_buf_printf(b, "Content-Length: %zu\r\n", m->body.n);
	fl_buf_str(b, "\r\n");
	fl_buf_add(b, m->body.p, m->body.n);
	x->device->waiting = true;
	pool_start(s->pool, &x->call);
}

/* ---- memory */

static enum fl_code make_pool(
	struct swarm *s, const char *port, struct pool **out, struct fl_err *err)
{
	const struct swarm_options *o = &s->options;
	struct pool_options p = { .connections = (size_t)o->connections,
		.timeout_ms = CALL_TIMEOUT_MS,
		.seed = o->seed };
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	int failed = getaddrinfo(o->host, port, &hints, &found);

	if (failed != 0)
		return fl_fail(err, FL_NETWORK, "%s:%s: %s", o->host, port, gai_strerror(failed));
	memcpy(&p.address, found->ai_addr, found->ai_addrlen);
	p.address_len = found->ai_addrlen;
	freeaddrinfo(found);
	return pool_new(out, &p, err);
}

enum fl_code swarm_change_port(struct swarm *s, const char *port, struct fl_err *err)
{
	struct pool *fresh = NULL;
	enum fl_code code = make_pool(s, port, &fresh, err);

	if (code != FL_OK)
		return code;
	pool_free(s->pool);
	s->pool = fresh;
	return FL_OK;
}

/* Keys come from the seed, so that a second run is the same fleet again. */
static void make_device(struct swarm *s, uint32_t index)
{
	struct device *d = &s->devices[index];
	uint8_t secret[FL_KEY_LEN] = "fleet-swarm", seed[32];
	char id[SWARM_ID_MAX];

	d->index = index;
	d->gateway = index < s->options.gateways;
	d->inventory_due = false; /* the enrolment says it */
	d->random = s->options.seed * 0x100000001b3U + index;
	(void)random_next(&d->random);
	swarm_id(s, d, id);
	for (size_t i = 0; i < 8; i++)
		secret[24 + i] = (uint8_t)(s->options.seed >> (8 * i));
	fl_derive(secret, fl_bytes(id, strlen(id)), seed);
	fl_sign_key_seed(&d->key, seed);
}

/* The first absence of each comes anywhere in a period, as in a fleet that has long been running. */
static void plan_absence(struct swarm *s, struct device *d)
{
	const struct swarm_options *o = &s->options;
	double present_s = o->offline_mean_s * (1 - o->offline) / o->offline;

	d->away_at_us =
		s->started_us + (int64_t)(-log(1 - random_unit(&d->random)) * present_s * 1e6);
}

static enum fl_code make_devices(struct swarm *s, struct fl_err *err)
{
	json_t *set = swarm_intern(s, json_incref(s->options.installed));

	s->n = (size_t)(s->options.devices + s->options.gateways);
	s->devices = calloc(s->n, sizeof(*s->devices));
	s->heap = calloc(s->n, sizeof(*s->heap));
	if (s->devices == NULL || s->heap == NULL || set == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for %zu devices", s->n);
	for (size_t i = 0; i < s->n; i++) {
		make_device(s, (uint32_t)i);
		s->devices[i].installed = set;
		if (s->options.offline > 0)
			plan_absence(s, &s->devices[i]);
	}
	return FL_OK;
}

static enum fl_code make_cache(struct swarm *s, struct fl_err *err)
{
	const char *folder = getenv("TMPDIR");
	char *path = s->options.own_cache;

	(void)snprintf(path, sizeof(s->options.own_cache), "%.40s/fleet-swarm-XXXXXX",
		folder == NULL || strlen(folder) > 40 ? "/tmp" : folder);
	if (mkdtemp(path) == NULL) {
		path[0] = '\0';
		return fl_fail_errno(err, errno, "cannot make a folder for the artifacts");
	}
	s->options.cache_dir = path;
	return FL_OK;
}

enum fl_code swarm_init(struct swarm *s, struct swarm_options *options, struct fl_err *err)
{
	enum fl_code code;

	s->options = *options;
	options->installed = NULL; /* moved */
	s->started_us = fl_clock_us(CLOCK_MONOTONIC);
	s->sets = json_object();
	code = s->sets == NULL ? fl_fail(err, FL_NOMEM, "no memory") : make_devices(s, err);
	if (code == FL_OK && s->options.decode && s->options.cache_dir == NULL)
		code = make_cache(s, err);
	if (code == FL_OK && s->options.state_file != NULL)
		code = swarm_load(s, err);
	if (code == FL_OK && s->options.journal_file != NULL) {
		s->journal = fopen(s->options.journal_file, "ae");
		if (s->journal == NULL)
			code = fl_fail_errno(err, errno, "cannot open %s", s->options.journal_file);
	}
	if (code == FL_OK)
		code = make_pool(s, s->options.port, &s->pool, err);
	for (size_t i = 0; i < s->n && code == FL_OK; i++)
		swarm_wake(s, &s->devices[i], 0);
	return code;
}

void swarm_fini(struct swarm *s)
{
	for (size_t i = 0; s->devices != NULL && i < s->n; i++) {
		order_drop(s, &s->devices[i]);
		json_decref(s->devices[i].outbox);
		fl_sign_key_fini(&s->devices[i].key);
	}
	pool_free(s->pool);
	for (struct exchange *x = s->all_exchanges; x != NULL;) {
		struct exchange *next = x->next_all;

		protocol_message_fini(&x->message);
		fl_buf_fini(&x->call.request);
		free(x);
		x = next;
	}
	if (s->journal != NULL)
		(void)fclose(s->journal);
	json_decref(s->sets);
	if (s->options.own_cache[0] != '\0' && install_remove(s->options.own_cache, NULL) != FL_OK)
		(void)fprintf(stderr, "fleet-swarm: %s is left behind\n", s->options.own_cache);
	swarm_options_fini(&s->options);
	free(s->devices);
	free(s->heap);
	memset(s, 0, sizeof(*s));
}

/* ---- the loop */

void swarm_turn(struct swarm *s, int max_ms)
{
	int64_t now = fl_clock_us(CLOCK_MONOTONIC);
	int wait = max_ms;

	/* Not more than a batch, so that the sockets get their turn under a flood of timers. */
	for (int i = 0; i < 512 && s->heap_n > 0 && s->heap[0]->due_us <= now; i++)
		device_turn(s, heap_pop(s));
	if (s->heap_n > 0) {
		int64_t next = (s->heap[0]->due_us - now + 999) / 1000;

		wait = next < 0 ? 0 : next < wait ? (int)next : wait;
	}
	pool_run(s->pool, wait);
	swarm_journal_sync(s, false);
	swarm_progress(s, false);
}

static bool all_carried_out(const struct swarm *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->devices[i].orders_done == 0 && !s->devices[i].silent)
			return false;
	}
	return true;
}

static bool enough(const struct swarm *s)
{
	const struct swarm_options *o = &s->options;

	if (o->until_s > 0 &&
		(double)(fl_clock_us(CLOCK_MONOTONIC) - s->started_us) > o->until_s * 1e6)
		return true;
	if (o->until == SWARM_UNTIL_STOPPED || s->polled < s->n || s->in_hand > 0 || s->unsent > 0)
		return false;
	return o->until == SWARM_UNTIL_IDLE || all_carried_out(s);
}

void swarm_run(struct swarm *s, const volatile int *stop)
{
	while (!*stop && !enough(s))
		swarm_turn(s, 200);
	swarm_journal_sync(s, true);
	swarm_progress(s, true);
}
