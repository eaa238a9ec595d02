/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "agent/http.h"

#include "lib/file.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define BODY_MAX   (1U << 20)
#define MESSAGE_MS 60000L
#define ETAG_MAX   256

struct http {
	CURL *curl;
	const struct settings *settings;
	const volatile int *stop;
	char base[512]; /* the server's address without a slash at its end */
};

/* ---- one transfer */

struct transfer {
	struct http *http;
	struct http_answer *answer; /* of a message; NULL in a download */
	/* a download */
	int fd;
	int64_t have, size; /* bytes on the disk; bytes in all */
	char etag[ETAG_MAX];
	bool judged; /* the status was looked at */
	enum fl_code code;
	int errnum;
};

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct transfer *t = ctx;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return *t->http->stop ? 1 : 0;
}

/* The value of the header `name` in `line`, without blanks around it; NULL if it is another one. */
static const char *value_of(char *line, size_t n, const char *name)
{
	size_t name_n = strlen(name);
	char *end = line + n, *value = line + name_n + 1;

	if (n <= name_n || strncasecmp(line, name, name_n) != 0 || line[name_n] != ':')
		return NULL;
	while (value < end && *value == ' ')
		value++;
	while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
		end--;
	*end = '\0';
	return value;
}

static size_t on_header(char *line, size_t unit, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	const char *value;

	(void)unit;
	if (n == 0)
		return n;
	if (t->answer != NULL && (value = value_of(line, n, FL_WIRE_ANSWER_HEADER)) != NULL &&
		strlen(value) < sizeof(t->answer->mac))
		memcpy(t->answer->mac, value, strlen(value) + 1);
	else if (t->answer != NULL && (value = value_of(line, n, "Retry-After")) != NULL)
		t->answer->retry_after_s = strtol(value, NULL, 10);
	else if (t->answer == NULL && (value = value_of(line, n, "ETag")) != NULL &&
		strlen(value) < sizeof(t->etag))
		memcpy(t->etag, value, strlen(value) + 1);
	return n;
}

static size_t on_body(char *p, size_t unit, size_t n, void *ctx)
{
	struct transfer *t = ctx;

	(void)unit;
	fl_buf_add(&t->answer->body, p, n);
	return t->answer->body.failed ? 0 : n;
}

static enum fl_code code_of_curl(CURLcode c, const struct transfer *t)
{
	if (t->code != FL_OK)
		return t->code;
	switch (c) {
	case CURLE_OK:
		return FL_OK;
	case CURLE_OPERATION_TIMEDOUT:
		return FL_TIMEOUT;
	case CURLE_ABORTED_BY_CALLBACK:
		return FL_STOPPED;
	case CURLE_OUT_OF_MEMORY:
		return FL_NOMEM;
	case CURLE_WRITE_ERROR:
		return FL_TOO_LARGE;
	default:
		return FL_NETWORK;
	}
}

static enum fl_code perform(
	struct http *h, struct transfer *t, const char *path, struct fl_err *err)
{
	char reason[CURL_ERROR_SIZE] = "", url[PROTOCOL_PATH_MAX + sizeof(h->base)];
	enum fl_code code;
	CURLcode c;

	(void)snprintf(url, sizeof(url), "%s%s", h->base, path);
	(void)curl_easy_setopt(h->curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, reason);
	(void)curl_easy_setopt(h->curl, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(h->curl, CURLOPT_HEADERDATA, t);
	(void)curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, t);
	(void)curl_easy_setopt(h->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)curl_easy_setopt(h->curl, CURLOPT_XFERINFODATA, t);
	(void)curl_easy_setopt(h->curl, CURLOPT_NOPROGRESS, 0L);
	c = curl_easy_perform(h->curl);
	(void)curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, NULL);
	code = code_of_curl(c, t);
	if (code == FL_OK)
		return FL_OK;
	if (t->errnum != 0)
		return fl_fail_errno(err, t->errnum, "cannot write the download");
	return fl_fail(
		err, code, "%s: %s", h->base, reason[0] != '\0' ? reason : curl_easy_strerror(c));
}

/* ---- set-up */

static void set_common(struct http *h)
{
	const struct settings *s = h->settings;

	curl_easy_reset(h->curl);
	(void)curl_easy_setopt(h->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(h->curl, CURLOPT_USERAGENT, "fleet-agent/" PACKAGE_VERSION);
	(void)curl_easy_setopt(h->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)s->connect_timeout);
	if (s->ca_file[0] != '\0')
		(void)curl_easy_setopt(h->curl, CURLOPT_CAINFO, s->ca_file);
}

enum fl_code http_new(struct http **out, const struct settings *settings, const volatile int *stop,
	struct fl_err *err)
{
	struct http *h;
	size_t n = strlen(settings->server);

	while (n > 0 && settings->server[n - 1] == '/')
		n--;
	if (n >= sizeof(h->base))
		return fl_fail(err, FL_INVALID, "server: the address is too long");
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return fl_fail(err, FL_NOMEM, "libcurl does not start");
	h = calloc(1, sizeof(*h));
	if (h != NULL)
		h->curl = curl_easy_init();
	if (h == NULL || h->curl == NULL) {
		free(h);
		return fl_fail(err, FL_NOMEM, "no memory for the connection");
	}
	h->settings = settings;
	h->stop = stop;
	memcpy(h->base, settings->server, n);
	*out = h;
	return FL_OK;
}

void http_free(struct http *h)
{
	if (h == NULL)
		return;
	curl_easy_cleanup(h->curl);
	curl_global_cleanup();
	free(h);
}

void http_answer_fini(struct http_answer *a)
{
	fl_buf_fini(&a->body);
	*a = (struct http_answer){ 0 };
}

/* ---- messages */

/* "Name: value\r\n" lines to curl's list; NULL without memory. */
static struct curl_slist *header_list(const struct fl_buf *lines)
{
	/* Expect would cost a round trip, and curl's own Content-Type is the wrong one. */
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");
	const char *p = (const char *)lines->p, *end = p + lines->n;

	while (list != NULL && p < end) {
		const char *stop = memmem(p, (size_t)(end - p), "\r\n", 2);
		FL_AUTOFREE char *line = strndup(p, (size_t)(stop - p));
		struct curl_slist *more = line == NULL ? NULL : curl_slist_append(list, line);

		if (more == NULL)
			curl_slist_free_all(list);
		list = more;
		p = stop + 2;
	}
	return list;
}

enum fl_code http_send(
	struct http *h, const struct protocol_message *m, struct http_answer *a, struct fl_err *err)
{
	struct transfer t = { .http = h, .answer = a, .fd = -1 };
	struct curl_slist *headers = header_list(&m->headers);
	enum fl_code code;
	long status = 0;

	if (headers == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a request");
	fl_buf_reset(&a->body);
	a->body.max = BODY_MAX;
	a->mac[0] = '\0';
	a->retry_after_s = 0;
	set_common(h);
	(void)curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, MESSAGE_MS);
	(void)curl_easy_setopt(h->curl, CURLOPT_CUSTOMREQUEST, m->method);
	(void)curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, on_body);
	if (m->body.n > 0) {
		(void)curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)m->body.n);
		(void)curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, m->body.p);
	}
	code = perform(h, &t, m->path, err);
	(void)curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
	a->status = (int)status;
	curl_slist_free_all(headers);
	return code;
}

/* ---- downloads */

/* Judge by the status, once, before the first byte is written. */
static bool judge(struct transfer *t)
{
	long status = 0;

	(void)curl_easy_getinfo(t->http->curl, CURLINFO_RESPONSE_CODE, &status);
	t->judged = true;
	if (status == 206)
		return true;
	if (status != 200)
		return false; /* an error's body, not the bytes */
	t->have = 0;          /* not what lies here: from the beginning */
	if (ftruncate(t->fd, 0) != 0 || lseek(t->fd, 0, SEEK_SET) != 0) {
		t->errnum = errno;
		t->code = FL_IO;
	}
	return true;
}

static size_t on_bytes(char *p, size_t unit, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	struct fl_err err = { 0 };

	(void)unit;
	if (!t->judged && !judge(t))
		t->judged = false;
	if (!t->judged)
		return n;
	if (t->have + (int64_t)n > t->size)
		t->code = FL_TOO_LARGE;
	if (t->code == FL_OK) {
		t->code = fl_file_write(t->fd, fl_bytes(p, n), &err);
		t->errnum = t->code == FL_OK ? 0 : errno;
	}
	if (t->code != FL_OK)
		return 0;
	t->have += (int64_t)n;
	return n;
}

/* Where the last try ended; the tag of what it was part of. */
static enum fl_code open_part(struct transfer *t, const char *to, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf tag = { 0 };
	char tag_path[PATH_MAX];
	struct stat st;

	(void)snprintf(tag_path, sizeof(tag_path), "%s.etag", to);
	t->fd = open(to, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (t->fd < 0 || fstat(t->fd, &st) != 0)
		return fl_fail_errno(err, errno, "cannot open %s", to);
	if (st.st_size > t->size || fl_file_get(tag_path, ETAG_MAX - 1, &tag, NULL) != FL_OK)
		st.st_size = st.st_size == t->size ? t->size : 0;
	if (tag.n > 0)
		memcpy(t->etag, tag.p, tag.n + 1);
	if (ftruncate(t->fd, st.st_size) != 0 || lseek(t->fd, 0, SEEK_END) < 0)
		return fl_fail_errno(err, errno, "cannot shorten %s", to);
	t->have = st.st_size;
	return FL_OK;
}

static struct curl_slist *range_headers(const struct transfer *t)
{
	struct curl_slist *list = NULL;
	char line[ETAG_MAX + 64];

	if (t->have == 0)
		return NULL;
	(void)snprintf(line, sizeof(line), "Range: bytes=%" PRId64 "-", t->have);
	list = curl_slist_append(list, line);
	(void)snprintf(line, sizeof(line), "If-Range: %s", t->etag);
	return t->etag[0] == '\0' ? list : curl_slist_append(list, line);
}

static enum fl_code refusal(long status, const char *path, struct fl_err *err)
{
	enum fl_code code = status == 404 || status == 410 ? FL_NOT_FOUND : FL_UNAVAILABLE;

	return fl_fail(err, code, "the server answered %ld for %.80s", status, path);
}

/* After the transfer: is it whole, and safe? */
static enum fl_code settle(struct transfer *t, const char *path, const char *to, struct fl_err *err)
{
	long status = 0;

	(void)curl_easy_getinfo(t->http->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 416) {
		(void)unlink(to); /* what lies here is not a beginning of it */
		return fl_fail(err, FL_NETWORK, "the download has to begin again");
	}
	if (status != 200 && status != 206)
		return refusal(status, path, err);
	if (t->have < t->size)
		return fl_fail(err, FL_NETWORK, "the download ended at %" PRId64 " of %" PRId64,
			t->have, t->size);
	if (fsync(t->fd) != 0)
		return fl_fail_errno(err, errno, "cannot sync %s", to);
	return FL_OK;
}

static enum fl_code transfer_rest(
	struct http *h, struct transfer *t, const char *path, const char *to, struct fl_err *err)
{
	struct curl_slist *headers = range_headers(t);
	char tag_path[PATH_MAX];
	enum fl_code code;

	set_common(h);
	(void)curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, on_bytes);
	(void)curl_easy_setopt(h->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	(void)curl_easy_setopt(
		h->curl, CURLOPT_LOW_SPEED_TIME, (long)((h->settings->stall_timeout + 999) / 1000));
	code = perform(h, t, path, err);
	curl_slist_free_all(headers);
	(void)snprintf(tag_path, sizeof(tag_path), "%s.etag", to);
	if (code == FL_OK)
		return settle(t, path, to, err);
	if (code == FL_TOO_LARGE)
		(void)unlink(to);
	else if (t->etag[0] != '\0' &&
		fl_file_put(tag_path, fl_bytes(t->etag, strlen(t->etag)), 0600, NULL) != FL_OK)
		(void)unlink(tag_path); /* then the next try begins at the beginning */
	return code;
}

enum fl_code http_fetch(
	struct http *h, const char *path, int64_t size, const char *to, struct fl_err *err)
{
	struct transfer t = { .http = h, .fd = -1, .size = size };
	enum fl_code code = open_part(&t, to, err);

	if (code == FL_OK && t.have < size)
		code = transfer_rest(h, &t, path, to, err);
	else if (code == FL_OK && fsync(t.fd) != 0)
		code = fl_fail_errno(err, errno, "cannot sync %s", to);
	if (t.fd >= 0)
		(void)close(t.fd);
	return code;
}
