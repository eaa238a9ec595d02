/* SPDX-License-Identifier: Apache-2.0 */
#include "server/webhook_target.h"

#include "lib/digest.h"
#include "server/events.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define BACK_OFF_FIRST_MS 1000
#define BACK_OFF_MOST_MS  600000

/* ---- addresses */

struct net4 {
	uint32_t net, bits;
};

/* IANA's special-purpose registry (RFC 6890): nothing of it is a public host. */
static const struct net4 special4[] = {
	{ 0x00000000, 8 },  /* this network */
	{ 0x0a000000, 8 },  /* private */
	{ 0x64400000, 10 }, /* shared by carriers */
	{ 0x7f000000, 8 },  /* loopback */
	{ 0xa9fe0000, 16 }, /* link-local, and metadata of clouds */
	{ 0xac100000, 12 }, /* private */
	{ 0xc0000000, 24 }, /* protocol assignments */
	{ 0xc0000200, 24 }, /* documentation */
	{ 0xc0586300, 24 }, /* 6to4 relays */
	{ 0xc0a80000, 16 }, /* private */
	{ 0xc6120000, 15 }, /* benchmarks */
	{ 0xc6336400, 24 }, /* documentation */
	{ 0xcb007100, 24 }, /* documentation */
	{ 0xe0000000, 3 },  /* multicast, reserved, broadcast */
};

static bool public4(uint32_t a)
{
	for (size_t i = 0; i < FL_COUNT(special4); i++)
		if ((a ^ special4[i].net) >> (32 - special4[i].bits) == 0)
			return false;
	return true;
}

static uint32_t big_endian(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool public6(const uint8_t a[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff },
			     nat64[12] = { 0, 0x64, 0xff, 0x9b };

	if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
		return public4(big_endian(a + 12));
	if (a[0] == 0x20 && a[1] == 0x02) /* 6to4 carries an IPv4 address */
		return public4(big_endian(a + 2));
	if ((a[0] & 0xe0) != 0x20) /* only 2000::/3 is global unicast */
		return false;
	/* 2001::/23 protocol assignments (Teredo among them), 2001:db8::/32 documentation */
	return !(a[0] == 0x20 && a[1] == 0x01 && (a[2] <= 0x01 || (a[2] == 0x0d && a[3] == 0xb8)));
}

bool webhook_address_allowed(const struct sockaddr *a, const struct webhook_limits *limits)
{
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;

	if (limits->private_nets)
		return a->sa_family == AF_INET || a->sa_family == AF_INET6;
	if (a->sa_family == AF_INET) {
		memcpy(&in4, a, sizeof(in4));
		return public4(ntohl(in4.sin_addr.s_addr));
	}
	if (a->sa_family != AF_INET6)
		return false;
	memcpy(&in6, a, sizeof(in6));
	return public6(in6.sin6_addr.s6_addr);
}

/* ---- targets */

static enum fl_code check_host(
	const char *host, const struct webhook_limits *limits, struct fl_err *err)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	char inner[64];
	size_t n = strlen(host);
	bool allowed = true;

	if (host[0] == '[' && n < sizeof(inner)) {
		(void)snprintf(inner, sizeof(inner), "%.*s", (int)(n - 2), host + 1);
		allowed = inet_pton(AF_INET6, inner, &in6.sin6_addr) == 1 &&
			webhook_address_allowed((const struct sockaddr *)&in6, limits);
	} else if (inet_pton(AF_INET, host, &in4.sin_addr) == 1) {
		allowed = webhook_address_allowed((const struct sockaddr *)&in4, limits);
	}
	if (allowed)
		return FL_OK;
	return fl_fail(err, FL_REFUSED,
		"%s is not a public address; the setting webhook_private allows such targets",
		host);
}

static bool has(CURLU *u, CURLUPart part)
{
	char *text = NULL;
	bool there = curl_url_get(u, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return there;
}

static enum fl_code check_parts(
	CURLU *u, const struct webhook_limits *limits, struct fl_buf *host, struct fl_err *err)
{
	char *scheme = NULL, *name = NULL;
	enum fl_code code = FL_OK;

	if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		curl_url_get(u, CURLUPART_HOST, &name, 0) != CURLUE_OK || name[0] == '\0')
		code = fl_fail(err, FL_INVALID, "\"url\" is no address of a host");
	else if (strcmp(scheme, "http") == 0 && !limits->http)
		code = fl_fail(err, FL_REFUSED,
			"\"url\" must begin with https; the setting webhook_http allows http");
	else if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
		code = fl_fail(err, FL_INVALID, "\"url\" must begin with https");
	else if (has(u, CURLUPART_USER) || has(u, CURLUPART_PASSWORD) || has(u, CURLUPART_FRAGMENT))
		code = fl_fail(err, FL_INVALID, "\"url\" takes no user, password or fragment");
	else
		code = check_host(name, limits, err);
	if (code == FL_OK && host != NULL)
		fl_buf_str(host, name);
	curl_free(scheme);
	curl_free(name);
	return code;
}

enum fl_code webhook_url_check(const char *url, const struct webhook_limits *limits,
	struct fl_buf *host, struct fl_err *err)
{
	CURLU *u;
	enum fl_code code;

	for (const char *c = url; *c != '\0'; c++)
		if (*c <= ' ' || *c == 0x7f)
			return fl_fail(err, FL_INVALID,
				"\"url\" holds blanks or bytes that must be percent-encoded");
	if (strlen(url) > WEBHOOK_URL_MAX)
		return fl_fail(err, FL_INVALID, "\"url\" is longer than %d bytes", WEBHOOK_URL_MAX);
	u = curl_url();
	if (u == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for an address");
	code = curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK
		? check_parts(u, limits, host, err)
		: fl_fail(err, FL_INVALID, "\"url\" is no address");
	curl_url_cleanup(u);
	return code == FL_OK && host != NULL ? fl_buf_check(host, err) : code;
}

/* ---- kinds */

static bool matches(const char *pattern, const char *kind)
{
	size_t n = strlen(pattern);

	if (n > 0 && pattern[n - 1] == '*')
		return strncmp(pattern, kind, n - 1) == 0;
	return strcmp(pattern, kind) == 0;
}

static bool matches_any(const char *pattern)
{
	const char *star = strchr(pattern, '*');

	if (star != NULL && (star == pattern || star[-1] != '.' || star[1] != '\0'))
		return false;
	for (int k = 0; k < EVENT_KIND_MAX; k++)
		if (matches(pattern, events_kind_text((enum event_kind)k)))
			return true;
	return false;
}

enum fl_code webhook_kinds_check(const json_t *kinds, struct fl_err *err)
{
	const json_t *element;
	size_t i;

	if (json_array_size(kinds) > WEBHOOK_KINDS_MAX)
		return fl_fail(
			err, FL_INVALID, "\"kinds\" has more than %d elements", WEBHOOK_KINDS_MAX);
	json_array_foreach (kinds, i, element) {
		const char *text = json_string_value(element);

		if (text == NULL || !matches_any(text))
			return fl_fail(err, FL_INVALID,
				"kinds[%zu] is neither a kind of event nor the beginning of one as "
				"\"rollout.*\"",
				i);
	}
	return FL_OK;
}

bool webhook_wants(const json_t *kinds, const char *kind)
{
	const json_t *element;
	size_t i;

	json_array_foreach (kinds, i, element) {
		const char *pattern = json_string_value(element);

		if (pattern != NULL && matches(pattern, kind))
			return true;
	}
	return json_array_size(kinds) == 0;
}

/* ---- signatures */

void webhook_secret(
	const uint8_t server_secret[32], struct fl_bytes salt, uint8_t out[WEBHOOK_SECRET_BYTES])
{
	uint8_t message[64] = "fleetd webhook 1";

	FL_BUG_IF(salt.n > 48);
	memcpy(message + 16, salt.p, salt.n);
	fl_derive(server_secret, fl_bytes(message, 16 + salt.n), out);
}

void webhook_secret_text(const uint8_t secret[WEBHOOK_SECRET_BYTES], char out[WEBHOOK_SECRET_TEXT])
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	fl_base64_std(&b, secret, WEBHOOK_SECRET_BYTES);
	(void)snprintf(out, WEBHOOK_SECRET_TEXT, "whsec_%s", b.failed ? "" : (const char *)b.p);
	if (b.p != NULL)
		fl_wipe(b.p, b.n);
}

void webhook_sign(const uint8_t secret[WEBHOOK_SECRET_BYTES], const char *id, int64_t timestamp_s,
	struct fl_bytes body, struct fl_buf *out)
{
	crypto_auth_hmacsha256_state state;
	uint8_t mac[crypto_auth_hmacsha256_BYTES];
	char time[24];

	(void)snprintf(time, sizeof(time), ".%" PRId64 ".", timestamp_s);

	(void)crypto_auth_hmacsha256_init(&state, secret, WEBHOOK_SECRET_BYTES);
	(void)crypto_auth_hmacsha256_update(&state, (const uint8_t *)id, strlen(id));
	(void)crypto_auth_hmacsha256_update(&state, (const uint8_t *)time, strlen(time));
	(void)crypto_auth_hmacsha256_update(&state, body.p, body.n);
	(void)crypto_auth_hmacsha256_final(&state, mac);
	fl_wipe(&state, sizeof(state));
	fl_buf_str(out, "v1,");
	fl_base64_std(out, mac, sizeof(mac));
}

/* ---- back-off */

int64_t webhook_back_off(int64_t failures, uint32_t random)
{
	int64_t ms = BACK_OFF_FIRST_MS;

	for (int64_t i = 1; i < failures && ms < BACK_OFF_MOST_MS; i++)
		ms *= 2;
	if (ms > BACK_OFF_MOST_MS)
		ms = BACK_OFF_MOST_MS;
	return ms - ((ms / 2 * (int64_t)random) >> 32);
}
