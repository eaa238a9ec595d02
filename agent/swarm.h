/* SPDX-License-Identifier: Apache-2.0
 *
 * fleet-swarm: many thousand devices in one process, over the agent's own protocol code.
 *
 * DESIGN. One thread. A device is a small record with one thing to do at a time: either a timer in
 * the heap or one exchange with the server. Requests go over a bounded pool of connections that all
 * devices share (pool.h). Keys, signatures and MACs are real; TLS is left out, since the swarm
 * measures and tests the server behind it. What happens to a device by chance (its attributes,
 * whether a version fails on it, cuts, absences) comes from the seed and its number alone, so a run
 * can be repeated. Sets of installed modules are interned: a fleet has few different ones.
 *
 *   swarm_options.c  the command line           swarm_device.c  what a device does next
 *   swarm.c          memory, timers, the loop   swarm_order.c   carrying out a manifest
 *   swarm_output.c   progress, summary, files   swarm_bench.c   requests per second */
#ifndef AGENT_SWARM_H
#define AGENT_SWARM_H

#include "agent/pool.h"
#include "agent/protocol.h"
#include "lib/manifest.h"

#include <stdio.h>

#define SWARM_RULES_MAX 32
#define SWARM_ID_MAX    64
#define SWARM_STEP_MAX  128

enum swarm_bench { SWARM_BENCH_NONE, SWARM_BENCH_POLLS, SWARM_BENCH_REPORTS, SWARM_BENCH_OFFERS };
enum swarm_until { SWARM_UNTIL_STOPPED, SWARM_UNTIL_IDLE, SWARM_UNTIL_COMPLETE };

/* "app@2.1.0=0.3": what befalls a part of the devices that install this version. */
struct swarm_rule {
	char module[128], version[128];
	double fraction;
};

/* "region=eu:0.5,us:0.5" */
struct swarm_attribute {
	char name[64];
	struct {
		char text[64];
		double fraction;
	} values[SWARM_RULES_MAX];
	size_t n;
};

struct swarm_options {
	const char *server, *token_file, *prefix, *state_file, *journal_file, *cache_dir;
	char own_cache[64];      /* a temporary cache, removed at the end; empty: none */
	char host[256], port[8]; /* out of `server` */
	char token[512];
	int64_t devices, gateways, first, connections;
	uint64_t seed;
	json_t *installed; /* owned array of {"module","version","sha256"?} */
	struct swarm_attribute attributes[SWARM_RULES_MAX];
	size_t n_attributes;
	struct swarm_rule fail[SWARM_RULES_MAX], silent[SWARM_RULES_MAX];
	size_t n_fail, n_silent;
	double offline;         /* part of the time that a device is away */
	double offline_mean_s;  /* of one absence */
	int64_t slow;           /* bytes a second; 0: as fast as it comes */
	double cut;             /* part of the downloads that are cut once */
	double poll_interval_s; /* 0: what the server says */
	bool decode, json;
	enum swarm_until until;
	double until_s; /* 0: no end by time */
	enum swarm_bench bench;
	int64_t bench_requests; /* 0: until_s decides */
	int64_t bench_rate;     /* requests a second; 0: as fast as they are answered */
	const char *ask_file;   /* of --bench offers: digests, the wanted one first */
	char peer[8];           /* port that gets the same requests afterwards; empty: none */
};

struct swarm;
struct device;
struct bench;

/* What an exchange asks. */
enum asked {
	ASKED_ENROL,
	ASKED_SESSION,
	ASKED_POLL,
	ASKED_INVENTORY,
	ASKED_REPORT,
	ASKED_OFFER,
	ASKED_BYTES,
	ASKED_MAX
};

/* One request under way; they are few (devices that wait for an answer) and used again. */
struct exchange {
	struct pool_call call;
	struct protocol_message message;
	struct device *device;
	struct swarm *swarm;
	enum asked asked;
	struct bench *bench; /* while it measures */
	size_t lane,
		shots; /* of it: which devices are its own, and how many requests it has started */
	struct exchange *next_free, *next_all; /* of a bench: next_free is the next that is idle */
};

/* An order that is being carried out. */
struct order {
	struct fl_manifest manifest;
	json_t *target; /* interned: what runs afterwards */
	size_t at;      /* module that is being fetched */
	struct protocol_leg offer;
	bool offered;         /* `offer` is about modules[at] */
	bool fetching_old;    /* what the patch starts from is on its way */
	bool without_old;     /* it cannot be had */
	int corrupt;          /* downloads with a wrong digest */
	bool cut_done;        /* this download was cut already */
	struct fl_buf data;   /* what came of the download (with --decode) */
	int64_t received;     /* of the download */
	int64_t until_us;     /* end of the probation */
	int64_t bytes, saved; /* sums for the reports */
	enum { ORDER_FETCH, ORDER_PROBATION } stage;
};

/* One simulated device. */
struct device {
	uint32_t index;
	bool gateway;
	bool enrolled, session_open;
	bool silent;        /* bricked: does nothing any more */
	bool inventory_due; /* the server does not know yet what runs */
	bool waiting;       /* an exchange is under way */
	bool polled;        /* has had an answer to a poll */
	uint8_t failures;   /* in a row; for the back-off */
	uint64_t random;
	struct fl_sign_key key;
	struct protocol_session session;
	int64_t session_until_us;
	int64_t due_us;     /* of its timer */
	int64_t away_at_us; /* next absence; 0: never */
	int64_t accepted;   /* manifest number */
	int64_t orders_done;
	json_t *installed;   /* interned, borrowed */
	struct order *order; /* NULL: none */
	json_t *outbox;      /* reports the server has not acknowledged; NULL: none */
};

/* Totals for people and for the summary. */
struct swarm_totals {
	int64_t enrolled, sessions, polls, inventories, orders, confirmed, failed, went_silent;
	int64_t reports, failures, received, bytes, saved, cuts, refused;
};

struct swarm {
	struct swarm_options options;
	struct pool *pool;
	struct device *devices;
	size_t n;
	struct device **heap; /* by due_us */
	size_t heap_n;
	struct exchange *free_exchanges, *all_exchanges;
	size_t in_hand; /* orders */
	size_t unsent;  /* devices with reports to acknowledge */
	size_t polled;  /* devices that have polled at least once */
	size_t gateways_enrolled;
	json_t *sets;         /* canonical text -> array; owns all interned sets */
	struct fl_role trust; /* who may sign manifests; from the first enrolment */
	bool trusted;
	struct swarm_totals totals;
	FILE *journal;
	bool journal_dirty;
	int64_t started_us, journal_us, shown_us;
	bool hold; /* bench: orders are kept, not carried out */
};

/* ---- swarm_options.c */

/* Read the command line into zeroed `o`. FL_INVALID says what is wrong. Sets *done when all that was
 * asked was help or the version. */
enum fl_code swarm_options_read(struct swarm_options *o, int argc, char **argv, bool *done,
	struct fl_err *err) FL_MUST_CHECK;
void swarm_options_fini(struct swarm_options *o);

/* ---- swarm.c */

/* Make devices, timers and connections; `options` is moved in. Fini also on failure. */
enum fl_code swarm_init(
	struct swarm *s, struct swarm_options *options, struct fl_err *err) FL_MUST_CHECK;
void swarm_fini(struct swarm *s);
/* Run until the options or *stop say enough. */
void swarm_run(struct swarm *s, const volatile int *stop);
/* One turn: due timers, sockets, files; at most max_ms long when nothing happens. */
void swarm_turn(struct swarm *s, int max_ms);
/* From here on talk to another port of the server's host, over new connections. Nothing is under way. */
enum fl_code swarm_change_port(struct swarm *s, const char *port, struct fl_err *err) FL_MUST_CHECK;
/* Wake `d` in `delay_us`. It must have neither a timer nor an exchange. */
void swarm_wake(struct swarm *s, struct device *d, int64_t delay_us);
/* The one array equal to `set` (an array of modules, stolen); NULL without memory. */
json_t *swarm_intern(struct swarm *s, json_t *set);
/* An exchange for `d` to build a request in, then swarm_send. NULL without memory. */
struct exchange *swarm_exchange(struct swarm *s, struct device *d, enum asked asked);
/* Render x->message into the call and queue it. */
void swarm_send(struct swarm *s, struct exchange *x);
/* Give an exchange back. */
void swarm_release(struct swarm *s, struct exchange *x);
/* Write the id of device `index` ("swarm-000007", gateways "swarm-gw-000001"). */
void swarm_id(const struct swarm *s, const struct device *d, char out[SWARM_ID_MAX]);

/* ---- swarm_device.c */

/* Do the next thing: called when the timer is due. */
void device_turn(struct swarm *s, struct device *d);
/* An exchange is over: believe the answer or back off. Releases `x`. */
void device_answer(struct swarm *s, struct exchange *x);
/* Wait longer each time, with jitter. */
void device_back_off(struct swarm *s, struct device *d);
/* Add a report about the order in hand to the outbox. `state` is static. */
void device_report(struct swarm *s, struct device *d, const char *state, const char *cause,
	const char *detail);
/* The device's attributes; a new object. */
json_t *device_attributes(const struct swarm *s, const struct device *d);

/* ---- swarm_order.c */

/* Take a manifest envelope; refused ones are counted and dropped. */
void order_accept(struct swarm *s, struct device *d, struct fl_bytes envelope);
/* Go on with the order in hand: ask, fetch, install, wait, report. */
void order_turn(struct swarm *s, struct device *d);
/* An answer to ASKED_OFFER, already believed. */
void order_offered(struct swarm *s, struct device *d, const struct exchange *x);
/* An answer to ASKED_BYTES, also a failed one. */
void order_bytes(struct swarm *s, struct device *d, const struct exchange *x);
/* Forget the order in hand. */
void order_drop(struct swarm *s, struct device *d);
/* Whether one of `rules` befalls this device with this version; by seed and number alone. */
bool order_befalls(const struct swarm *s, const struct device *d, const struct swarm_rule *rules,
	size_t n, const json_t *target, const char **module);

/* ---- swarm_output.c */

/* The line of progress on a terminal, at most four a second. */
void swarm_progress(struct swarm *s, bool last);
/* The summary on stdout, JSON or for people. */
enum fl_code swarm_summary(const struct swarm *s, struct fl_err *err) FL_MUST_CHECK;
/* One acknowledged report into the journal. */
void swarm_journal(struct swarm *s, const struct device *d, const json_t *report);
/* Bring the journal to the disk when it is time (`now`: at once). */
void swarm_journal_sync(struct swarm *s, bool now);
/* The state of all devices to or from --state FILE. */
enum fl_code swarm_save(const struct swarm *s, struct fl_err *err) FL_MUST_CHECK;
enum fl_code swarm_load(struct swarm *s, struct fl_err *err) FL_MUST_CHECK;

/* ---- swarm_bench.c */

/* Enrol, open sessions, then measure; prints one JSON object. */
enum fl_code swarm_bench(
	struct swarm *s, const volatile int *stop, struct fl_err *err) FL_MUST_CHECK;

#endif
