/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/api.h"

#include "cli/problem.h"
#include "cli/text.h"

#include <errno.h>
#include <sodium.h> /* randombytes_buf */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_S         10
#define ANSWER_S          60
#define STALLED_S         120 /* an upload or stream that moves nothing is given up */
#define ANSWER_MAX        (256u * 1024 * 1024)
#define BACK_OFF_MS       250
#define RETRY_AFTER_MAX_S 30
#define REFUSED_TRIES     3 /* where nobody listens, soon nobody will */

/* One attempt under way. */
struct attempt {
	const struct api_request *rq;
	struct api_reply *reply;
	CURL *curl;
	struct fl_buf body;
	int64_t sent; /* of the file */
	bool stopped; /* by the sink */
	char error[CURL_ERROR_SIZE];
	struct curl_slist *headers;
};

enum fl_code api_init(struct api *api, const struct profile *profile, struct fl_err *err)
{
	*api = (struct api){ .profile = profile };
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return fl_fail(err, FL_NOMEM, "libcurl does not start");
	api->curl = curl_easy_init();
	if (api->curl == NULL)
		return fl_fail(err, FL_NOMEM, "libcurl does not start");
	return FL_OK;
}

void api_fini(struct api *api)
{
	if (api->curl != NULL) {
		curl_easy_cleanup(api->curl);
		curl_global_cleanup();
	}
	json_decref(api->problem);
	free(api->missing);
	*api = (struct api){ 0 };
}

void api_reply_fini(struct api_reply *reply)
{
	json_decref(reply->json);
	*reply = (struct api_reply){ 0 };
}

void api_sleep_ms(int64_t ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

static void add_encoded(struct fl_buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			strchr("-._~", c) != NULL)
			fl_buf_byte(b, c);
		else
			fl_buf_printf(b, "%%%02X", c);
	}
}

char *api_path(const char *pattern, ...)
{
	struct fl_buf b = { 0 };
	va_list ap;

	va_start(ap, pattern);
	for (const char *p = pattern; *p != '\0'; p++) {
		if (p[0] == '{' && p[1] == '}') {
			add_encoded(&b, va_arg(ap, const char *));
			p++;
		} else {
			fl_buf_byte(&b, (uint8_t)*p);
		}
	}
	va_end(ap);
	text_check(&b);
	return fl_buf_take(&b);
}

void api_query(char **path, const char *name, const char *value)
{
	struct fl_buf b = { 0 };

	if (value == NULL)
		return;
	fl_buf_str(&b, *path);
	fl_buf_byte(&b, strchr(*path, '?') == NULL ? '?' : '&');
	fl_buf_str(&b, name);
	fl_buf_byte(&b, '=');
	add_encoded(&b, value);
	text_check(&b);
	free(*path);
	*path = fl_buf_take(&b);
}

void api_query_int(char **path, const char *name, int64_t value)
{
	FL_AUTOFREE char *text = text_format("%lld", (long long)value);

	api_query(path, name, text);
}

/* libcurl calls: bytes of the answer. */
static size_t on_body(char *bytes, size_t size, size_t n, void *cls)
{
	struct attempt *at = cls;
	long status = 0;

	n *= size;
	(void)curl_easy_getinfo(at->curl, CURLINFO_RESPONSE_CODE, &status);
	if (at->rq->sink != NULL && status >= 200 && status < 300) {
		at->stopped = !at->rq->sink(at->rq->sink_cls, bytes, n);
		return at->stopped ? 0 : n;
	}
	fl_buf_add(&at->body, bytes, n);
	return at->body.failed ? 0 : n;
}

/* The value of header `name`, without blanks around it; false if the line is another one. */
static bool header_is(const char *line, size_t n, const char *name, char *out, size_t room)
{
	size_t length = strlen(name);

	if (n <= length || strncasecmp(line, name, length) != 0 || line[length] != ':')
		return false;
	line += length + 1;
	n -= length + 1;
	while (n > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		n--;
	}
	while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r' || line[n - 1] == ' '))
		n--;
	if (n >= room)
		return false;
	memcpy(out, line, n);
	out[n] = '\0';
	return true;
}

static size_t on_header(char *line, size_t size, size_t n, void *cls)
{
	struct attempt *at = cls;
	char value[128];

	n *= size;
	if (header_is(line, n, "ETag", value, sizeof(value)))
		memcpy(at->reply->etag, value, sizeof(value));
	else if (header_is(line, n, "Retry-After", value, sizeof(value)))
		at->reply->retry_after_s = (int)strtol(value, NULL, 10);
	return n;
}

/* libcurl wants bytes of the file. */
static size_t on_read(char *to, size_t size, size_t n, void *cls)
{
	struct attempt *at = cls;
	int64_t left = at->rq->file_bytes - at->sent;
	size_t want = size * n;

	if (left < (int64_t)want)
		want = (size_t)left;
	n = fread(to, 1, want, at->rq->file);
	if (n < want) /* the file shrank: the server must not take it for the whole */
		return CURL_READFUNC_ABORT;
	at->sent += (int64_t)n;
	if (at->rq->progress != NULL)
		progress_update(at->rq->progress, at->rq->progress->first + at->sent);
	return n;
}

static int on_seek(void *cls, curl_off_t offset, int origin)
{
	struct attempt *at = cls;

	if (origin != SEEK_SET || fseeko(at->rq->file, (off_t)(offset - at->sent), SEEK_CUR) != 0)
		return CURL_SEEKFUNC_CANTSEEK;
	at->sent = offset;
	return CURL_SEEKFUNC_OK;
}

static void add_header(struct attempt *at, const char *name, const char *value)
{
	FL_AUTOFREE char *line = text_format("%s: %s", name, value);
	struct curl_slist *more = curl_slist_append(at->headers, line);

	if (more != NULL)
		at->headers = more;
}

static void set_headers(struct attempt *at, const struct api *api, const char *key)
{
	const struct api_request *rq = at->rq;
	FL_AUTOFREE char *wait = text_format("wait=%d", rq->wait_s);
	FL_AUTOFREE char *bearer =
		text_format("Bearer %s", api->profile->token != NULL ? api->profile->token : "");

	add_header(at, "Accept", rq->accept != NULL ? rq->accept : "application/json");
	if (api->profile->token != NULL)
		add_header(at, "Authorization", bearer);
	if (rq->etag != NULL)
		add_header(at, "If-None-Match", rq->etag);
	if (rq->wait_s > 0)
		add_header(at, "Prefer", wait);
	if (strcmp(rq->method, "POST") == 0)
		add_header(at, "Idempotency-Key", key);
	if (rq->range != NULL)
		add_header(at, "Content-Range", rq->range);
	if (rq->body != NULL || rq->file != NULL)
		add_header(at, "Content-Type", rq->body != NULL ? "application/json" : rq->type);
}

static void set_body(struct attempt *at, const char *json)
{
	const struct api_request *rq = at->rq;
	CURL *curl = at->curl;

	if (rq->file != NULL) {
		(void)curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		(void)curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
		(void)curl_easy_setopt(curl, CURLOPT_READDATA, at);
		(void)curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
		(void)curl_easy_setopt(curl, CURLOPT_SEEKDATA, at);
		(void)curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)rq->file_bytes);
		(void)curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
	} else if (json != NULL) {
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, json);
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(json));
	} else if (strcmp(rq->method, "POST") == 0 || strcmp(rq->method, "PUT") == 0) {
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
	}
}

static void set_limits(const struct attempt *at)
{
	CURL *curl = at->curl;

	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	if (at->rq->sink != NULL)
		return; /* a stream may rest as long as it likes */
	if (at->rq->file == NULL) {
		(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)(ANSWER_S + at->rq->wait_s));
		return;
	}
	(void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALLED_S);
}

static void set_up(struct attempt *at, const struct api *api, const char *url, const char *json)
{
	CURL *curl = at->curl;

	curl_easy_reset(curl); /* keeps the connection */
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "fleetctl");
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, at->error);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, at);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, at);
	if (api->profile->ca_file != NULL)
		(void)curl_easy_setopt(curl, CURLOPT_CAINFO, api->profile->ca_file);
	set_body(at, json);
	set_limits(at);
	(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, at->rq->method);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, at->headers);
}

static void read_answer(struct attempt *at)
{
	long status = 0;

	(void)curl_easy_getinfo(at->curl, CURLINFO_RESPONSE_CODE, &status);
	at->reply->status = (int)status;
	/* What is no JSON stays NULL: the caller sees an answer that fleetd does not give. */
	if (at->body.n > 0 &&
		fl_json_parse((struct fl_bytes){ at->body.p, at->body.n }, &at->reply->json,
			NULL) != FL_OK)
		at->reply->json = NULL;
}

static enum fl_code judge(struct api *api, struct attempt *at, CURLcode result, struct fl_err *err)
{
	if (at->stopped)
		return fl_fail(err, FL_STOPPED, "the stream was ended");
	if (result == CURLE_ABORTED_BY_CALLBACK && at->rq->file != NULL)
		return fl_fail(err, FL_IO, "the file changed while it was sent");
	if (at->body.failed)
		return fl_fail(err, FL_TOO_LARGE, "the answer is larger than fleetctl takes");
	/* A refusal may come, and the connection end, before all of a body was sent. */
	read_answer(at);
	if (at->reply->status >= 300 && at->reply->status != 304 && at->reply->json != NULL)
		return problem_of_reply(api, at->rq, at->reply, err);
	if (result != CURLE_OK)
		return problem_of_curl(api, result, at->error, err);
	if (at->reply->status >= 300 && at->reply->status != 304)
		return problem_of_reply(api, at->rq, at->reply, err);
	if (at->body.n > 0 && at->reply->json == NULL)
		return fl_fail(
			err, FL_NETWORK, "%s does not answer like fleetd", api->profile->server);
	return FL_OK;
}

static enum fl_code try_once(struct api *api, const struct api_request *rq, const char *key,
	struct api_reply *reply, struct fl_err *err)
{
	struct attempt at = { .rq = rq, .reply = reply, .curl = api->curl, .body.max = ANSWER_MAX };
	FL_AUTOFREE char *url = text_format("%s%s", api->profile->server, rq->path);
	char *json = rq->body == NULL ? NULL : json_dumps(rq->body, JSON_COMPACT);
	enum fl_code code;

	api_reply_fini(reply);
	set_headers(&at, api, key);
	set_up(&at, api, url, json);
	code = judge(api, &at, curl_easy_perform(api->curl), err);
	curl_slist_free_all(at.headers);
	fl_buf_fini(&at.body);
	free(json);
	return code;
}

/* How long to wait before the next attempt; below 0: do not repeat. A file cannot be sent again
 * from here: its owner knows where to go on. */
static int64_t pause_ms(
	const struct api_request *rq, const struct api_reply *reply, enum fl_code code, int attempt)
{
	int tries = rq->tries > 0 ? rq->tries : API_TRIES;
	int64_t back_off = (int64_t)BACK_OFF_MS << (attempt - 1);

	if (rq->file != NULL || rq->sink != NULL || attempt >= tries)
		return -1;
	if (reply->status == 503 || reply->status == 429) {
		if (reply->retry_after_s > RETRY_AFTER_MAX_S)
			return -1;
		return reply->retry_after_s > 0 ? (int64_t)reply->retry_after_s * 1000 : back_off;
	}
	if (reply->status == 0 && code == FL_NETWORK && attempt < REFUSED_TRIES)
		return back_off;
	return -1;
}

/* "Idempotency-Key" of this call: the same for all its attempts. */
static void make_key(char out[33])
{
	uint8_t random[16];

	randombytes_buf(random, sizeof(random));
	(void)sodium_bin2hex(out, 33, random, sizeof(random));
}

enum fl_code api_call(
	struct api *api, const struct api_request *rq, struct api_reply *reply, struct fl_err *err)
{
	char key[33];

	make_key(key);
	json_decref(api->problem);
	api->problem = NULL;
	free(api->missing);
	api->missing = NULL;
	for (int attempt = 1;; attempt++) {
		enum fl_code code;
		int64_t wait_ms;

		api->hint[0] = '\0';
		code = try_once(api, rq, key, reply, err);
		if (code == FL_OK)
			return FL_OK;
		if (reply->status == 404)
			api->missing = text_format("%s", rq->path);
		wait_ms = pause_ms(rq, reply, code, attempt);
		if (wait_ms < 0)
			return code;
		if (!api->quiet && wait_ms >= 1000)
			(void)fprintf(stderr, "fleetctl: %s; trying again in %lld s\n", err->msg,
				(long long)(wait_ms / 1000));
		api_sleep_ms(wait_ms);
	}
}
