/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http/file_reply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>
#include <sodium.h>

#include "server/http/file_ranges.h"

#define BOUNDARY_BYTES 16
#define BLOCK          65536

/* ---- multipart/byteranges: texts and pieces of the file in turn, by position */

/* One part: its header, then a piece of the file. The last one has the closing line and no piece. */
struct part {
	uint64_t at;         /* where its header begins in the body */
	size_t text, text_n; /* its header in `texts` */
	struct file_range range;
};

struct multipart {
	int fd;
	struct fl_buf texts;
	uint64_t size; /* of the body */
	size_t n;
	struct part parts[FILE_RANGES_MAX + 1];
};

static void free_multipart(void *cls)
{
	struct multipart *m = cls;

	fl_buf_fini(&m->texts);
	(void)close(m->fd);
	free(m);
}

/* The part that has the byte at `pos`. */
static const struct part *part_at(const struct multipart *m, uint64_t pos)
{
	size_t i = m->n - 1;

	while (i > 0 && m->parts[i].at > pos)
		i--;
	return &m->parts[i];
}

static ssize_t read_multipart(void *cls, uint64_t pos, char *to, size_t max)
{
	struct multipart *m = cls;
	const struct part *p = part_at(m, pos);
	uint64_t inside = pos - p->at;
	size_t n;
	ssize_t got;

	if (inside < p->text_n) {
		n = p->text_n - (size_t)inside;
		n = n < max ? n : max;
		memcpy(to, m->texts.p + p->text + inside, n);
		return (ssize_t)n;
	}
	inside -= p->text_n;
	n = (uint64_t)p->range.length - inside < max ? (size_t)((uint64_t)p->range.length - inside)
						     : max;
	do
		got = pread(m->fd, to, n, p->range.first + (off_t)inside);
	while (got < 0 && errno == EINTR);
	return got > 0 ? got : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void add_part(struct multipart *m, struct file_range range, const char *fmt, ...)
	FL_PRINTF(3, 4);
static void add_part(struct multipart *m, struct file_range range, const char *fmt, ...)
{
	struct part *p = &m->parts[m->n++];
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	*p = (struct part){ m->size, m->texts.n, strlen(text), range };
	fl_buf_str(&m->texts, text);
	m->size += p->text_n + (uint64_t)range.length;
}

/* ---- the response */

static enum fl_code no_memory(struct fl_err *err)
{
	return fl_fail(err, FL_NOMEM, "no memory for an answer with a file");
}

/* Takes fd over. */
static struct MHD_Response *make_multipart(
	int fd, const struct reply_file *f, const struct file_ranges *ranges)
{
	struct multipart *m = calloc(1, sizeof(*m));
	uint8_t chance[BOUNDARY_BYTES];
	char boundary[2 * BOUNDARY_BYTES + 1], type[100];
	struct MHD_Response *r = NULL;

	if (m == NULL) {
		(void)close(fd);
		return NULL;
	}
	m->fd = fd;
	/* lower-case hex (some clients compare boundaries with case folded), and unknown beforehand,
	 * so that no file can contain it on purpose */
	randombytes_buf(chance, sizeof(chance));
	(void)sodium_bin2hex(boundary, sizeof(boundary), chance, sizeof(chance));
	for (size_t i = 0; i < ranges->n; i++) {
		struct file_range at = ranges->at[i];

		add_part(m, at,
			"%s--%s\r\nContent-Type: %s\r\nContent-Range: bytes %" PRId64 "-%" PRId64
			"/%" PRId64 "\r\n\r\n",
			i == 0 ? "" : "\r\n", boundary, f->content_type, at.first,
			at.first + at.length - 1, f->size);
	}
	add_part(m, (struct file_range){ 0 }, "\r\n--%s--\r\n", boundary);
	(void)snprintf(type, sizeof(type), "multipart/byteranges; boundary=%s", boundary);
	if (!m->texts.failed)
		r = MHD_create_response_from_callback(
			m->size, BLOCK, read_multipart, m, free_multipart);
	if (r == NULL)
		free_multipart(m);
	else if (MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) != MHD_YES) {
		MHD_destroy_response(r);
		r = NULL;
	}
	return r;
}

static bool add(struct MHD_Response *r, const char *name, const char *fmt, ...) FL_PRINTF(3, 4);
static bool add(struct MHD_Response *r, const char *name, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return MHD_add_response_header(r, name, text) == MHD_YES;
}

/* One piece of the file; takes fd over. */
static struct MHD_Response *make_single(
	int fd, const struct reply_file *f, const struct file_range *at, bool partial)
{
	struct MHD_Response *r = MHD_create_response_from_fd_at_offset64(
		(uint64_t)at->length, fd, (uint64_t)at->first);
	bool good;

	if (r == NULL) {
		(void)close(fd);
		return NULL;
	}
	good = add(r, MHD_HTTP_HEADER_CONTENT_TYPE, "%s", f->content_type);
	if (good && partial)
		good = add(r, MHD_HTTP_HEADER_CONTENT_RANGE,
			"bytes %" PRId64 "-%" PRId64 "/%" PRId64, at->first,
			at->first + at->length - 1, f->size);
	if (!good) {
		MHD_destroy_response(r);
		r = NULL;
	}
	return r;
}

static bool add_common(struct MHD_Response *r, const struct reply_file *f)
{
	char digest[sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL)];
	bool good = add(r, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");

	if (f->etag != NULL)
		good = good && add(r, MHD_HTTP_HEADER_ETAG, "\"%s\"", f->etag);
	if (f->immutable)
		good = good &&
			add(r, MHD_HTTP_HEADER_CACHE_CONTROL,
				"public, max-age=31536000, immutable");
	if (f->sha256 != NULL) {
		(void)sodium_bin2base64(
			digest, sizeof(digest), f->sha256, 32, sodium_base64_VARIANT_ORIGINAL);
		good = good && add(r, "Repr-Digest", "sha-256=:%s:", digest); /* RFC 9530 */
	}
	return good;
}

/* RFC 9110 13.2.2 in its order; there is no Last-Modified, so dates never match. */
static enum fl_code check_conditions(
	struct request *rq, const struct reply_file *f, unsigned *status, struct fl_err *err)
{
	const char *match = request_header(rq, MHD_HTTP_HEADER_IF_MATCH);
	const char *none = request_header(rq, MHD_HTTP_HEADER_IF_NONE_MATCH);

	if (f->etag == NULL)
		return FL_OK;
	if (match != NULL && !file_ranges_has_tag(match, f->etag, false))
		return fl_fail(err, FL_PRECONDITION, "the entity tag is \"%s\"", f->etag);
	if (none != NULL && file_ranges_has_tag(none, f->etag, true))
		*status = MHD_HTTP_NOT_MODIFIED;
	return FL_OK;
}

static enum file_ranges_verdict choose_ranges(
	struct request *rq, const struct reply_file *f, struct file_ranges *ranges)
{
	const char *only_if = request_header(rq, MHD_HTTP_HEADER_IF_RANGE);

	if (strcmp(rq->method, MHD_HTTP_METHOD_HEAD) ==
		0) /* RFC 9110 14.2: ranges are defined for GET alone */
		return FILE_RANGES_WHOLE;
	if (only_if != NULL &&
		(f->etag == NULL || *only_if != '"' ||
			!file_ranges_has_tag(only_if, f->etag, false)))
		return FILE_RANGES_WHOLE;
	return file_ranges_parse(request_header(rq, MHD_HTTP_HEADER_RANGE), f->size, ranges);
}

/* The response without the headers that all have; takes f->fd over. */
static enum fl_code make_body(struct request *rq, const struct reply_file *f, unsigned *status,
	struct MHD_Response **out, struct fl_err *err)
{
	struct file_range whole = { 0, f->size };
	struct file_ranges ranges;
	enum file_ranges_verdict verdict = FILE_RANGES_WHOLE;

	if (*status ==
		MHD_HTTP_NOT_MODIFIED) { /* Content-Length is that of 200; MHD sends no body */
		*out = make_single(f->fd, f, &whole, false);
		return *out == NULL ? no_memory(err) : FL_OK;
	}
	verdict = choose_ranges(rq, f, &ranges);
	if (verdict == FILE_RANGES_NONE) {
		(void)close(f->fd);
		return fl_fail(err, FL_RANGE, "the file has %" PRId64 " bytes", f->size);
	}
	*status = verdict == FILE_RANGES_SOME ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK;
	if (verdict == FILE_RANGES_WHOLE)
		*out = make_single(f->fd, f, &whole, false);
	else if (ranges.n == 1)
		*out = make_single(f->fd, f, &ranges.at[0], true);
	else
		*out = make_multipart(f->fd, f, &ranges);
	return *out == NULL ? no_memory(err) : FL_OK;
}

enum fl_code file_reply_make(struct request *rq, const struct reply_file *f, unsigned *status,
	struct MHD_Response **out, struct fl_err *err)
{
	struct MHD_Response *made = NULL;
	unsigned code_of_answer = MHD_HTTP_OK;
	enum fl_code code = check_conditions(rq, f, &code_of_answer, err);

	if (code != FL_OK) {
		(void)close(f->fd);
		return code;
	}
	code = make_body(rq, f, &code_of_answer, &made, err);
	if (code != FL_OK)
		return code;
	if (!add_common(made, f)) {
		MHD_destroy_response(made);
		return no_memory(err);
	}
	*status = code_of_answer;
	*out = made;
	return FL_OK;
}
