/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum fl_code fl_file_write(int fd, struct fl_bytes bytes, struct fl_err *err)
{
	while (bytes.n > 0) {
		ssize_t n = write(fd, bytes.p, bytes.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fl_fail_errno(err, errno, "cannot write");
		bytes.p += n;
		bytes.n -= (size_t)n;
	}
	return FL_OK;
}

/* The folder part of `path`, "." when it has none. */
static enum fl_code dir_of(const char *path, char dir[PATH_MAX], struct fl_err *err)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash == NULL ? 0 : (size_t)(slash - path);

	if (n >= PATH_MAX)
		return fl_fail(err, FL_INVALID, "the path is too long: %.100s…", path);
	if (slash == NULL)
		memcpy(dir, ".", 2);
	else if (n == 0)
		memcpy(dir, ".", 2);
	else
		(void)snprintf(dir, PATH_MAX, "%.*s", (int)n, path);
	return FL_OK;
}

enum fl_code fl_file_sync_dir(const char *path, struct fl_err *err)
{
	char dir[PATH_MAX];
	enum fl_code code = dir_of(path, dir, err);
	int fd;

	if (code != FL_OK)
		return code;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fl_fail_errno(err, errno, "cannot open the folder %s", dir);
	if (fsync(fd) != 0)
		code = fl_fail_errno(err, errno, "cannot sync the folder %s", dir);
	(void)close(fd);
	return code;
}

enum fl_code fl_file_commit(int fd, const char *from, const char *to, struct fl_err *err)
{
	if (fsync(fd) != 0)
		return fl_fail_errno(err, errno, "cannot sync %s", from);
	if (rename(from, to) != 0)
		return fl_fail_errno(err, errno, "cannot rename %s to %s", from, to);
	return fl_file_sync_dir(to, err);
}

enum fl_code fl_file_put(const char *path, struct fl_bytes bytes, mode_t mode, struct fl_err *err)
{
	char temporary[PATH_MAX];
	enum fl_code code;
	int fd;

	if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
		return fl_fail(err, FL_INVALID, "the path is too long: %.100s…", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return fl_fail_errno(err, errno, "cannot create %s", temporary);
	code = fl_file_write(fd, bytes, err);
	if (code == FL_OK && fchmod(fd, mode) != 0)
		code = fl_fail_errno(err, errno, "cannot set the mode of %s", temporary);
	if (code == FL_OK)
		code = fl_file_commit(fd, temporary, path, err);
	if (code != FL_OK)
		(void)unlink(temporary);
	if (close(fd) != 0 && code == FL_OK)
		code = fl_fail_errno(err, errno, "cannot close %s", path);
	return code;
}

static enum fl_code read_all(
	int fd, const char *path, size_t max, struct fl_buf *b, struct fl_err *err)
{
	size_t start = b->n;

	for (;;) {
		uint8_t *to = fl_buf_reserve(b, 65536);
		ssize_t n;

		if (to == NULL)
			return fl_buf_check(b, err);
		n = read(fd, to, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fl_fail_errno(err, errno, "cannot read %s", path);
		if (n == 0)
			return FL_OK;
		b->n += (size_t)n;
		b->p[b->n] = 0;
		if (b->n - start > max)
			return fl_fail(err, FL_TOO_LARGE, "%s is larger than %zu bytes", path, max);
	}
}

enum fl_code fl_file_get(const char *path, size_t max, struct fl_buf *b, struct fl_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum fl_code code;

	if (fd < 0 && errno == ENOENT)
		return fl_fail(err, FL_NOT_FOUND, "there is no file %s", path);
	if (fd < 0)
		return fl_fail_errno(err, errno, "cannot open %s", path);
	code = read_all(fd, path, max, b, err);
	(void)close(fd);
	return code;
}

enum fl_code fl_file_mkdirs(const char *path, mode_t mode, struct fl_err *err)
{
	char part[PATH_MAX];
	size_t n = strlen(path);

	if (n >= sizeof(part))
		return fl_fail(err, FL_INVALID, "the path is too long: %.100s…", path);
	memcpy(part, path, n + 1);
	for (size_t i = 1; i < n; i++) {
		if (part[i] != '/')
			continue;
		part[i] = '\0';
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			return fl_fail_errno(err, errno, "cannot make the folder %s", part);
		part[i] = '/';
	}
	if (mkdir(part, mode) != 0 && errno != EEXIST)
		return fl_fail_errno(err, errno, "cannot make the folder %s", part);
	return FL_OK;
}
