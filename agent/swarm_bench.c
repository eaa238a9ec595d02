/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests a second. Everything costly (keys, sessions, and with --requests the requests themselves)
 * is made before the clock starts, so that what is measured is the server and the sockets. */
#include "agent/swarm.h"

#include "lib/clock.h"
#include "lib/delta/codec.h"
#include "lib/digest.h"
#include "lib/file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WARM_UP_MAX_US (600LL * 1000000)
#define PER_DEVICE     4 /* reports that one order takes: below */

static const char *const report_states[PER_DEVICE] = { "downloading", "downloaded", "installing",
	"installed" };

/* One request that is ready to go. */
struct shot {
	struct fl_bytes bytes; /* owned */
	uint64_t nonce;
};

struct bench {
	struct swarm *swarm;
	uint32_t *latencies_us;
	size_t n, cap;  /* of latencies */
	int64_t wanted; /* requests; 0: by time */
	int64_t errors, refused;
	struct exchange *idle; /* those that have had their answer */
	int64_t sent;
	int64_t begin_us, end_us;
	struct shot *shots; /* pre-built; NULL: built when sent */
	size_t n_shots;
	bool peer;                          /* answers of another server: they prove nothing */
	struct fl_buf codecs;               /* of offers */
	char (*digests)[FL_SHA256_HEX + 1]; /* owned; of --ask: the wanted one, then old ones */
	size_t n_digests;
};

static bool ready(const struct swarm *s)
{
	if (s->options.bench == SWARM_BENCH_REPORTS)
		return s->in_hand == s->n;
	return s->polled == s->n;
}

/* Enrol, open sessions; for reports also wait until every device holds an order. */
static enum fl_code warm_up(struct swarm *s, const volatile int *stop, struct fl_err *err)
{
	int64_t until = fl_clock_us(CLOCK_MONOTONIC) + WARM_UP_MAX_US;

	s->hold = true;
	while (!ready(s)) {
		if (*stop)
			return fl_fail(err, FL_STOPPED, "stopped before the measurement");
		if (fl_clock_us(CLOCK_MONOTONIC) > until)
			return fl_fail(err, FL_TIMEOUT,
				"%zu of %zu devices are ready; %zu have orders", s->polled, s->n,
				s->in_hand);
		swarm_turn(s, 100);
	}
	return FL_OK;
}

/* ---- building */

static enum fl_code build_report(
	struct device *d, size_t round, struct protocol_message *m, struct fl_err *err)
{
	FL_AUTO_JSON json_t *report = json_pack("{s:s, s:I, s:s, s:I, s:I, s:I}", "step",
		d->order->manifest.goal.step.id, "manifest", (json_int_t)d->accepted, "state",
		report_states[round % PER_DEVICE], "bytes", (json_int_t)1000, "saved",
		(json_int_t)9000, "time", (json_int_t)fl_clock_ms(CLOCK_REALTIME));
	enum fl_code code;

	if (report == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a report");
	code = protocol_report_body(m, report, &d->key, err);
	return code == FL_OK ? protocol_report(m, &d->session, d->accepted, 0, err) : code;
}

static enum fl_code build_ask(struct bench *b, int64_t i, struct device *d,
	struct protocol_message *m, struct fl_err *err)
{
	const char *have = b->digests[1 + (size_t)i % (b->n_digests - 1)];
	const struct protocol_wish wish = {
		.sha256 = b->digests[0],
		.have = &have,
		.n_have = 1,
		.codecs = (const char *)b->codecs.p,
		.memory = 256LL << 20,
	};

	return protocol_ask(m, &d->session, &wish, d->accepted, 0, err);
}

/* The digests of --ask. */
static enum fl_code read_digests(struct bench *b, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	const char *path = b->swarm->options.ask_file, *p;
	enum fl_code code = fl_file_get(path, 16 << 20, &text, err);

	if (code != FL_OK)
		return code;
	b->digests = calloc(text.n / (FL_SHA256_HEX + 1) + 1, sizeof(*b->digests));
	if (b->digests == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the digests of %s", path);
	for (p = (const char *)text.p;
		p != NULL && strcspn(p, "\n") == FL_SHA256_HEX && p[FL_SHA256_HEX] == '\n';
		p += FL_SHA256_HEX + 1)
		memcpy(b->digests[b->n_digests++], p, FL_SHA256_HEX);
	if (b->n_digests < 2 || *p != '\0')
		return fl_fail(err, FL_INVALID, "%s has not two digests or more, one a line", path);
	fl_codec_names(&b->codecs, true);
	return fl_buf_check(&b->codecs, err);
}

/* The i-th request into m: the devices in turn, each with rising nonces. */
static enum fl_code build(
	struct bench *b, int64_t i, struct protocol_message *m, struct fl_err *err)
{
	struct swarm *s = b->swarm;
	struct device *d = &s->devices[(size_t)i % s->n];

	if (s->options.bench == SWARM_BENCH_REPORTS)
		return build_report(d, (size_t)i / s->n, m, err);
	if (s->options.bench == SWARM_BENCH_OFFERS)
		return build_ask(b, i, d, m, err);
	return protocol_poll(m, &d->session, d->accepted, 0, err);
}

static void render(const struct swarm *s, const struct protocol_message *m, struct fl_buf *b)
{
	fl_buf_printf(b, "%s %s HTTP/1.1\r\nHost: %s:%s\r\n", m->method, m->path, s->options.host,
		s->options.port);
	fl_buf_add(b, m->headers.p, m->headers.n);
	if (m->body.n > 0)
		fl_buf_printf(b, "Content-Length: %zu\r\n", m->body.n);
	fl_buf_str(b, "\r\n");
	fl_buf_add(b, m->body.p, m->body.n);
}

static enum fl_code prepare(struct bench *b, struct fl_err *err)
{
	struct protocol_message m = { 0 };
	enum fl_code code = FL_OK;

	b->n_shots = (size_t)b->wanted;
	b->shots = calloc(b->n_shots, sizeof(*b->shots));
	if (b->shots == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for %zu requests", b->n_shots);
	for (size_t i = 0; i < b->n_shots && code == FL_OK; i++) {
		struct fl_buf text = { 0 };

		code = build(b, (int64_t)i, &m, err);
		if (code == FL_OK) {
			render(b->swarm, &m, &text);
			code = fl_buf_check(&text, err);
		}
		b->shots[i].nonce = m.nonce;
		b->shots[i].bytes.n = text.n;
		b->shots[i].bytes.p = (uint8_t *)fl_buf_take(&text);
	}
	protocol_message_fini(&m);
	return code;
}

/* ---- measuring */

/* Whether request i is not to be sent any more. */
static bool over(const struct bench *b, int64_t i)
{
	if (b->wanted > 0)
		return i >= b->wanted;
	return (double)(fl_clock_us(CLOCK_MONOTONIC) - b->begin_us) >=
		b->swarm->options.until_s * 1e6;
}

static void note(struct bench *b, const struct pool_call *call)
{
	if (b->n == b->cap) {
		size_t cap = b->cap == 0 ? 65536 : b->cap * 2;
		uint32_t *more = realloc(b->latencies_us, cap * sizeof(*more));

		if (more == NULL)
			return;
		b->latencies_us = more;
		b->cap = cap;
	}
	b->latencies_us[b->n++] = (uint32_t)(call->ended_us - call->sent_us);
}

static void send_due(struct bench *b);

static void hit(struct pool_call *call)
{
	struct exchange *x = call->owner;
	struct bench *b = x->bench;
	const struct protocol_answer a = {
		.status = call->answer.status, .mac = call->answer.mac, .body = call->body
	};
	int64_t newest;

	if (call->code != FL_OK || (a.status != 204 && a.status != 200)) {
		b->errors++;
	} else {
		note(b, call);
		/* Every 64th answer is checked: enough to see a wrong server, too few to be seen. */
		if ((b->n & 63) == 0 && !b->peer &&
			protocol_check(&x->message, &x->device->session, &a, 0, &newest, NULL) !=
				FL_OK)
			b->refused++;
	}
	b->end_us = fl_clock_us(CLOCK_MONOTONIC);
	x->next_free = b->idle;
	b->idle = x;
	send_due(b);
}

/* Which request x sends next. Each connection has devices of its own and asks for one after the other:
 * two requests of a device under way at once could overtake each other, and the server takes the second
 * for a replay. Below 0: it has no device. */
static int64_t next_shot(const struct bench *b, const struct exchange *x)
{
	size_t n = b->swarm->n, lanes = (size_t)b->swarm->options.connections;
	size_t own = x->lane < n ? (n - x->lane + lanes - 1) / lanes : 0;

	return own == 0 ? -1 : (int64_t)(x->shots / own * n + x->lane + x->shots % own * lanes);
}

static void shoot(struct bench *b, struct exchange *x)
{
	int64_t i = next_shot(b, x);

	if (i < 0 || over(b, i))
		return;
	x->shots++;
	b->sent++;
	x->device = &b->swarm->devices[(size_t)i % b->swarm->n];
	if (b->shots != NULL) {
		x->message.nonce = b->shots[i].nonce;
		fl_buf_reset(&x->call.request);
		fl_buf_add(&x->call.request, b->shots[i].bytes.p, b->shots[i].bytes.n);
	} else if (build(b, i, &x->message, NULL) == FL_OK) {
		fl_buf_reset(&x->call.request);
		render(b->swarm, &x->message, &x->call.request);
	}
	pool_start(b->swarm->pool, &x->call);
}

/* How long until the next request is due, in milliseconds; 0: now. */
static int wait_ms(const struct bench *b)
{
	int64_t rate = b->swarm->options.bench_rate,
		left = rate == 0
		? 0
		: b->begin_us + b->sent * 1000000 / rate - fl_clock_us(CLOCK_MONOTONIC);

	if (b->idle == NULL || left > 100000)
		return 100;
	return left <= 0 ? 0 : (int)(left / 1000) + 1;
}

/* Idle ones send what is due; one that has nothing more to send is idle no more. */
static void send_due(struct bench *b)
{
	while (b->idle != NULL && wait_ms(b) == 0) {
		struct exchange *x = b->idle;

		b->idle = x->next_free;
		shoot(b, x);
	}
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double percentile_ms(const struct bench *b, double part)
{
	return b->n == 0 ? 0 : b->latencies_us[(size_t)((double)(b->n - 1) * part)] / 1000.0;
}

static enum fl_code print(struct bench *b, struct fl_err *err)
{
	static const char *const names[] = { [SWARM_BENCH_POLLS] = "polls",
		[SWARM_BENCH_REPORTS] = "reports",
		[SWARM_BENCH_OFFERS] = "offers" };
	double seconds = (double)(b->end_us - b->begin_us) / 1e6;
	FL_AUTO_JSON json_t *j = NULL;

	if (b->n > 0)
		qsort(b->latencies_us, b->n, sizeof(*b->latencies_us), by_size);
	j = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "bench",
		b->peer ? "peer" : names[b->swarm->options.bench], "begin_us",
		(json_int_t)b->begin_us, "end_us", (json_int_t)b->end_us, "devices",
		(json_int_t)b->swarm->n, "connections", (json_int_t)b->swarm->options.connections,
		"requests", (json_int_t)b->n, "errors", (json_int_t)b->errors, "mac_errors",
		(json_int_t)b->refused, "seconds", seconds, "per_second",
		seconds > 0 ? (double)b->n / seconds : 0, "p50_ms", percentile_ms(b, 0.5), "p99_ms",
		percentile_ms(b, 0.99), "max_ms", percentile_ms(b, 1));
	if (j == NULL || json_dumpf(j, stdout, JSON_INDENT(1)) != 0 || printf("\n") < 0)
		return fl_fail(err, FL_IO, "cannot write the figures");
	return FL_OK;
}

static enum fl_code measure(struct bench *b, const volatile int *stop, struct fl_err *err)
{
	struct swarm *s = b->swarm;

	b->begin_us = b->end_us = fl_clock_us(CLOCK_MONOTONIC);
	for (size_t i = 0; i < (size_t)s->options.connections; i++) {
		struct exchange *x = swarm_exchange(s, &s->devices[0], ASKED_POLL);

		if (x == NULL)
			return fl_fail(err, FL_NOMEM, "no memory for a connection");
		x->bench = b;
		x->lane = i;
		x->call.done = hit;
		x->next_free = b->idle;
		b->idle = x;
	}
	send_due(b);
	while (!*stop && (pool_busy(s->pool) > 0 || b->idle != NULL)) {
		pool_run(s->pool, wait_ms(b));
		send_due(b);
	}
	b->idle = NULL;
	return print(b, err);
}

/* An exchange under way would come back into the measurement. */
static void drain(struct swarm *s)
{
	s->heap_n = 0;
	while (pool_busy(s->pool) > 0) {
		pool_run(s->pool, 100);
		s->heap_n = 0;
	}
}

/* The same requests again, to another server. */
static enum fl_code measure_peer(struct bench *b, const volatile int *stop, struct fl_err *err)
{
	enum fl_code code = swarm_change_port(b->swarm, b->swarm->options.peer, err);

	b->peer = true;
	b->n = 0;
	b->sent = 0;
	b->errors = b->refused = 0;
	return code == FL_OK ? measure(b, stop, err) : code;
}

enum fl_code swarm_bench(struct swarm *s, const volatile int *stop, struct fl_err *err)
{
	struct bench b = { .swarm = s, .wanted = s->options.bench_requests };
	enum fl_code code;

	if (s->options.bench == SWARM_BENCH_REPORTS &&
		(b.wanted == 0 || b.wanted > (int64_t)s->n * PER_DEVICE))
		b.wanted = (int64_t)s->n * PER_DEVICE; /* there are no more to send */
	code = s->options.bench == SWARM_BENCH_OFFERS ? read_digests(&b, err) : FL_OK;
	if (code == FL_OK)
		code = warm_up(s, stop, err);
	if (code == FL_OK)
		drain(s);
	if (code == FL_OK && b.wanted > 0)
		code = prepare(&b, err);
	if (code == FL_OK)
		code = measure(&b, stop, err);
	if (code == FL_OK && s->options.peer[0] != '\0')
		code = measure_peer(&b, stop, err);
	for (size_t i = 0; i < b.n_shots && b.shots != NULL; i++)
		free((void *)b.shots[i].bytes.p);
	free(b.shots);
	free(b.digests);
	fl_buf_fini(&b.codecs);
	free(b.latencies_us);
	return code;
}
