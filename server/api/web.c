/* SPDX-License-Identifier: Apache-2.0
 *
 * The dashboard's static files. The index is asked for anew each time and names the others, whose
 * names carry a hash of their content and which may therefore be kept for ever. */
#include "server/http/request.h"
#include "server/http/handlers.h"
#include "server/server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *suffix, *type;
} types[] = {
	{ ".css", "text/css; charset=utf-8" },
	{ ".html", "text/html; charset=utf-8" },
	{ ".js", "text/javascript; charset=utf-8" },
	{ ".svg", "image/svg+xml" },
};

static const char *type_of(const char *file)
{
	const char *suffix = strrchr(file, '.');

	for (size_t i = 0; suffix != NULL && i < FL_COUNT(types); i++) {
		if (strcmp(suffix, types[i].suffix) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}

/* Nothing but our own files and our own API; no frames, no plug-ins, no inline script or style. */
static void protect(struct request *rq)
{
	reply_header(rq, "Content-Security-Policy",
		"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
	reply_header(rq, "X-Content-Type-Options", "nosniff");
	reply_header(rq, "Referrer-Policy", "no-referrer");
	reply_header(rq, "Cross-Origin-Opener-Policy", "same-origin");
}

static enum fl_code send_file(
	struct request *rq, const char *file, bool immutable, struct fl_err *err)
{
	char path[PATH_MAX], etag[64];
	struct stat st;
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", rq->server->settings->web_dir, file) >=
		(int)sizeof(path))
		return fl_fail(err, FL_NOT_FOUND, "the dashboard has no file %.100s", file);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return fl_fail(err, FL_NOT_FOUND,
			"the dashboard has no file %.100s; is web_dir where `make install` put it?",
			file);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return fl_fail(err, FL_NOT_FOUND, "%.100s is not a file of the dashboard", file);
	}
	(void)snprintf(etag, sizeof(etag), "%llx-%llx", (unsigned long long)st.st_mtim.tv_sec,
		(unsigned long long)st.st_size);
	protect(rq);
	reply_file(rq,
		&(struct reply_file){ .fd = fd,
			.size = st.st_size,
			.etag = etag,
			.content_type = type_of(file),
			.immutable = immutable });
	return FL_OK;
}

enum fl_code web_index(struct request *rq, struct fl_err *err)
{
	reply_header(rq, "Cache-Control", "no-cache");
	return send_file(rq, "index.html", false, err);
}

enum fl_code web_asset(struct request *rq, struct fl_err *err)
{
	const char *file = rq->param[0];
	char path[PATH_MAX];

	if (strchr(file, '/') != NULL || file[0] == '.' || strlen(file) > NAME_MAX)
		return fl_fail(err, FL_NOT_FOUND, "the dashboard has no file %.100s", file);
	(void)snprintf(path, sizeof(path), "assets/%s", file);
	return send_file(rq, path, true, err);
}
