/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the sender of webhooks; included by webhook*.c only. All on the sender's thread, apart from
 * what is atomic and the job's functions. */
#ifndef WEBHOOKS_IN_H
#define WEBHOOKS_IN_H

#include "server/webhooks.h"

#include "server/http/lanes.h"
#include "server/rsql.h"
#include "server/store/webhook.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

#define WEBHOOKS_ERROR_MAX 300

enum hook_state {
	HOOK_FREE,
	HOOK_SENDING, /* a transfer is under way */
	HOOK_SAVING,  /* its outcome is with the writer */
};

/* One webhook. */
struct hook {
	struct fl_link link;
	struct webhooks *all;
	bool there;        /* its row was seen in this turn */
	_Atomic int state; /* the writer moves it from SAVING to FREE */
	/* from the row of this turn */
	int64_t id, cursor, attempts, retry_at, created_at;
	bool enabled;
	char *name, *url, *kinds_text, *selector_text; /* owned */
	json_t *kinds;                                 /* owned */
	struct rsql *selector;                         /* owned; NULL: every device */
	uint8_t salt[WEBHOOK_SALT_BYTES];
	int64_t scanned;    /* events up to this one are not for it */
	int64_t rest_until; /* nothing before this, ms: the writer was busy */
	/* the event under way */
	int64_t seq, at;
	struct fl_buf body;
	CURL *easy;
	struct curl_slist *headers;
	size_t received;
	bool forbidden; /* its address may not be connected to */
	char curl_error[CURL_ERROR_SIZE];
	/* its outcome, while SAVING the writer's */
	struct write_job job;
	struct webhook_settle settle;
	char error[WEBHOOKS_ERROR_MAX];
};

struct webhooks {
	struct server *server;
	pthread_t thread;
	CURLM *multi;
	struct db *db;
	atomic_bool stop, news;
	struct fl_list hooks;
	int64_t now_ms; /* of this turn */
	int64_t due_ms; /* when the next turn is due at the latest */
};

/* ---- webhook_send.c */

/* Begin the transfer of hook->body. False when libcurl has no memory. */
bool webhook_send(struct hook *h);
/* Drop the transfer, if there is one. */
void webhook_send_end(struct hook *h);
/* Take the transfers that have ended; each hook's `settle` and `error` are filled and `done` is called. */
void webhook_collect(struct webhooks *w, void (*done)(struct hook *h));

#endif
