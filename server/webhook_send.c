/* SPDX-License-Identifier: Apache-2.0
 *
 * One message of a webhook over libcurl. No redirects, no proxies, no cookies; the address is looked at
 * when the connection is made, so that a name cannot lead to another one later. */
#include "server/webhooks_in.h"

#include "server/identity.h"
#include "server/server.h"
#include "server/trust.h"

#include "lib/digest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config.h"

#define ANSWER_MAX        65536 /* bytes of an answer that are read at all; all are dropped */
#define RETRY_AFTER_MAX_S 3600

static curl_socket_t open_socket(void *cls, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct hook *h = cls;
	struct webhook_limits limits;

	(void)purpose;
	webhooks_limits(h->all->server, &limits);
	if (!webhook_address_allowed(&address->addr, &limits)) {
		h->forbidden = true;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t drop_answer(char *bytes, size_t size, size_t n, void *cls)
{
	struct hook *h = cls;

	(void)bytes;
	h->received += size * n;
	return h->received > ANSWER_MAX ? 0 : size * n;
}

static bool add_header(struct hook *h, const char *name, const char *value)
{
	FL_AUTO_BUF struct fl_buf line = { 0 };
	struct curl_slist *longer;

	fl_buf_printf(&line, "%s: %s", name, value);
	longer = line.failed ? NULL : curl_slist_append(h->headers, (const char *)line.p);
	if (longer == NULL)
		return false;
	h->headers = longer;
	return true;
}

static bool make_headers(struct hook *h)
{
	const struct server *s = h->all->server;
	uint8_t secret[WEBHOOK_SECRET_BYTES];
	FL_AUTO_BUF struct fl_buf signature = { 0 };
	char id[64], time[24];

	(void)snprintf(id, sizeof(id), "%s_%" PRId64, s->identity->uuid, h->seq);
	(void)snprintf(time, sizeof(time), "%" PRId64, h->all->now_ms / 1000);
	webhook_secret(trust_session_secret(s->trust), fl_bytes(h->salt, sizeof(h->salt)), secret);
	webhook_sign(secret, id, h->all->now_ms / 1000, fl_bytes(h->body.p, h->body.n), &signature);
	fl_wipe(secret, sizeof(secret));
	return !signature.failed && add_header(h, "Content-Type", "application/json") &&
		add_header(h, "webhook-id", id) && add_header(h, "webhook-timestamp", time) &&
		add_header(h, "webhook-signature", (const char *)signature.p) &&
		add_header(h, "Expect", "");
}

static bool set_options(struct hook *h)
{
	const struct settings *s = h->all->server->settings;
	CURL *c = h->easy;
	CURLcode bad = CURLE_OK;

	bad |= curl_easy_setopt(c, CURLOPT_URL, h->url);
	bad |= curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, s->webhook_http ? "https,http" : "https");
	bad |= curl_easy_setopt(c, CURLOPT_PROXY, "");
	bad |= curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	bad |= curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)s->webhook_timeout);
	bad |= curl_easy_setopt(c, CURLOPT_USERAGENT, "fleetd/" PACKAGE_VERSION);
	bad |= curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)h->body.n);
	bad |= curl_easy_setopt(c, CURLOPT_POSTFIELDS, (const char *)h->body.p);
	bad |= curl_easy_setopt(c, CURLOPT_HTTPHEADER, h->headers);
	bad |= curl_easy_setopt(c, CURLOPT_ERRORBUFFER, h->curl_error);
	bad |= curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	bad |= curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, h);
	bad |= curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop_answer);
	bad |= curl_easy_setopt(c, CURLOPT_WRITEDATA, h);
	bad |= curl_easy_setopt(c, CURLOPT_PRIVATE, h);
	if (s->webhook_ca[0] != '\0')
		bad |= curl_easy_setopt(c, CURLOPT_CAINFO, s->webhook_ca);
	return bad == CURLE_OK;
}

bool webhook_send(struct hook *h)
{
	h->easy = curl_easy_init();
	h->received = 0;
	h->forbidden = false;
	h->curl_error[0] = '\0';
	if (h->easy != NULL && make_headers(h) && set_options(h) &&
		curl_multi_add_handle(h->all->multi, h->easy) == CURLM_OK)
		return true;
	webhook_send_end(h);
	return false;
}

void webhook_send_end(struct hook *h)
{
	if (h->easy != NULL) {
		(void)curl_multi_remove_handle(h->all->multi, h->easy);
		curl_easy_cleanup(h->easy);
	}
	curl_slist_free_all(h->headers);
	h->easy = NULL;
	h->headers = NULL;
}

/* ---- what came of it */

/* When to try again: as the target says, or later and later. */
static int64_t retry_at(const struct hook *h, int64_t status)
{
	curl_off_t after_s = 0;
	int64_t delay = webhook_back_off(h->attempts + 1, randombytes_random());

	if ((status == 429 || status == 503) &&
		curl_easy_getinfo(h->easy, CURLINFO_RETRY_AFTER, &after_s) == CURLE_OK &&
		after_s > 0)
		delay = (after_s > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : (int64_t)after_s) * 1000;
	return h->all->now_ms + delay;
}

static void explain(struct hook *h, CURLcode result, int64_t status)
{
	if (h->forbidden)
		(void)snprintf(h->error, sizeof(h->error),
			"the target's name leads to an address that is not public; the setting "
			"webhook_private allows such targets");
	else if (status != 0 && (result == CURLE_OK || result == CURLE_WRITE_ERROR))
		(void)snprintf(h->error, sizeof(h->error), "the target answered %" PRId64, status);
	else
		(void)snprintf(h->error, sizeof(h->error), "%s",
			h->curl_error[0] != '\0' ? h->curl_error : curl_easy_strerror(result));
}

static void settle(struct hook *h, CURLcode result)
{
	long status = 0;
	curl_off_t took_us = 0;

	(void)curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(h->easy, CURLINFO_TOTAL_TIME_T, &took_us);
	h->settle.seq = h->seq;
	h->settle.status = status;
	h->settle.took_ms = (int64_t)took_us / 1000;
	h->settle.disable = false;
	h->error[0] = '\0';
	if (status >= 200 && status < 300 && (result == CURLE_OK || result == CURLE_WRITE_ERROR)) {
		h->settle.outcome = WEBHOOK_DELIVERED;
		return;
	}
	explain(h, result, status);
	h->settle.outcome = WEBHOOK_FAILED;
	h->settle.retry_at = retry_at(h, status);
	h->settle.disable = status == 410; /* Standard Webhooks: the target wants no more */
}

void webhook_collect(struct webhooks *w, void (*done)(struct hook *h))
{
	CURLMsg *m;
	int left = 0;

	while ((m = curl_multi_info_read(w->multi, &left)) != NULL) {
		void *cls = NULL;
		CURLcode result = m->data.result;
		struct hook *h;

		if (m->msg != CURLMSG_DONE ||
			curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&cls) !=
				CURLE_OK)
			continue;
		h = cls;
		settle(h, result);
		webhook_send_end(h);
		done(h);
	}
}
