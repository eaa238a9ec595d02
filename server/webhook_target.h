/* SPDX-License-Identifier: Apache-2.0
 *
 * What webhooks may be sent to, which events they want, how a message is signed, when it is tried
 * again. Pure; any thread.
 *
 * Messages follow the Standard Webhooks specification: headers webhook-id, webhook-timestamp and
 * webhook-signature ("v1," and the base64 of HMAC-SHA256 over "id.timestamp.body"), a secret that is
 * shown as "whsec_" and base64. */
#ifndef WEBHOOK_TARGET_H
#define WEBHOOK_TARGET_H

#include "lib/json.h"

#include <sys/socket.h>

#define WEBHOOK_URL_MAX      2000
#define WEBHOOK_KINDS_MAX    64
#define WEBHOOK_SECRET_BYTES 32
#define WEBHOOK_SECRET_TEXT  51 /* "whsec_", 44 characters, NUL */

/* What the settings allow. */
struct webhook_limits {
	bool http;         /* addresses without TLS */
	bool private_nets; /* loopback, link-local, private and other special networks */
};

/* Whether `url` may be a target: https, a host, no user, no fragment. The host's addresses are looked
 * at when a connection is made (webhook_address_allowed); one written as digits already here. Appends
 * the host to `host` (NULL: not wanted), for logs and events: the rest may hold secrets. FL_INVALID;
 * FL_REFUSED names the setting that would allow it. */
enum fl_code webhook_url_check(const char *url, const struct webhook_limits *limits,
	struct fl_buf *host, struct fl_err *err) FL_MUST_CHECK;
/* Whether a connection to this address may be made: no special network, unless allowed. */
bool webhook_address_allowed(const struct sockaddr *a, const struct webhook_limits *limits);

/* Check an array of kinds: each is a row of tbl/events.h, or "prefix.*" of at least one. */
enum fl_code webhook_kinds_check(const json_t *kinds, struct fl_err *err) FL_MUST_CHECK;
/* Whether an event of this kind is wanted; an empty array wants all. */
bool webhook_wants(const json_t *kinds, const char *kind);

/* The secret of a webhook: derived from a secret of the server and the webhook's salt. */
void webhook_secret(
	const uint8_t server_secret[32], struct fl_bytes salt, uint8_t out[WEBHOOK_SECRET_BYTES]);
/* As it is shown. */
void webhook_secret_text(const uint8_t secret[WEBHOOK_SECRET_BYTES], char out[WEBHOOK_SECRET_TEXT]);
/* Append the value of webhook-signature. */
void webhook_sign(const uint8_t secret[WEBHOOK_SECRET_BYTES], const char *id, int64_t timestamp_s,
	struct fl_bytes body, struct fl_buf *out);

/* How long to wait after so many failures in a row (>= 1): doubling from 1 s to 10 min, less up to a
 * half of it, chosen by `random`. ms. */
int64_t webhook_back_off(int64_t failures, uint32_t random);

#endif
