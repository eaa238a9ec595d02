/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes on their way in: a private file, hashed while it is written. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "lib/file.h"
#include "server/blobs_folder.h"

#define PIECE 65536
/* begin to write back early, so that the fsync at the end has little left to do */
#define FLUSH (8LL << 20)

int64_t blobs_received(struct blobs *b, const uint8_t sha256[BLOB_DIGEST])
{
	char part[BLOBS_PATH_MAX];
	struct stat st;

	blobs_folder_part(b, sha256, part);
	return stat(part, &st) == 0 ? st.st_size : 0;
}

/* Refuse now what the disk cannot take later. */
static enum fl_code check_space(const struct blobs *b, int64_t bytes, struct fl_err *err)
{
	struct statvfs fs;
	uint64_t left;

	if (statvfs(b->folder, &fs) != 0)
		return fl_fail_errno(err, errno, "cannot ask for the space left");
	left = (uint64_t)fs.f_bavail * fs.f_frsize;
	if ((uint64_t)bytes <= left)
		return FL_OK;
	return fl_fail(err, FL_FULL, "%lld bytes are to come and the disk has space for %llu",
		(long long)bytes, (unsigned long long)left);
}

/* Hash what an earlier upload left; the file's position moves behind it. */
static enum fl_code hash_part(struct blob_upload *u, int64_t offset, struct fl_err *err)
{
	uint8_t piece[PIECE];

	while (u->received < offset) {
		ssize_t n = read(u->fd, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fl_fail_errno(err, errno, "cannot read %s", u->path);
		if (n == 0)
			return fl_fail(err, FL_IO, "%s was cut", u->path);
		(void)gnutls_hash(u->hash, piece, (size_t)n);
		u->received += n;
	}
	return FL_OK;
}

/* Make the part a private file of ours: the rename decides between two who continue it. */
static enum fl_code take_part(struct blob_upload *u, int64_t offset, struct fl_err *err)
{
	struct blobs *b = u->blobs;
	char part[BLOBS_PATH_MAX];
	struct stat st;

	blobs_folder_part(b, u->sha256, part);
	if (rename(part, u->path) != 0)
		return fl_fail(err, FL_CONFLICT, "no part of these bytes is here; begin at 0");
	(void)close(u->fd);
	u->fd = open(u->path, O_RDWR | O_CLOEXEC);
	if (u->fd < 0 || fstat(u->fd, &st) != 0)
		return fl_fail_errno(err, errno, "cannot open %s", u->path);
	if (st.st_size == offset)
		return hash_part(u, offset, err);
	u->received = st.st_size; /* put it back as it was */
	return fl_fail(err, FL_CONFLICT, "%lld bytes of it are here, not %lld",
		(long long)st.st_size, (long long)offset);
}

static enum fl_code begin(struct blob_upload *u, int64_t offset, struct fl_err *err)
{
	char hex[BLOBS_HEX];
	enum fl_code code = check_space(u->blobs, u->size - offset, err);

	if (code != FL_OK)
		return code;
	if (gnutls_hash_init((gnutls_hash_hd_t *)&u->hash, GNUTLS_DIG_SHA256) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for a digest");
	blobs_hex(u->sha256, hex);
	code = blobs_folder_private(u->blobs, hex, u->path, &u->fd, err);
	if (code != FL_OK)
		u->path[0] = '\0';
	else if (offset > 0)
		code = take_part(u, offset, err);
	return code;
}

enum fl_code blobs_upload(struct blobs *b, const uint8_t sha256[BLOB_DIGEST], int64_t offset,
	int64_t size, struct blob_upload **out, struct fl_err *err)
{
	struct blob_upload *u;
	enum fl_code code;

	if (size > BLOB_MAX)
		return fl_fail(err, FL_TOO_LARGE, "an artifact may have up to %lld bytes, not %lld",
			(long long)BLOB_MAX, (long long)size);
	if (offset < 0 || size < 0 || offset > size)
		return fl_fail(err, FL_INVALID, "the upload begins behind its end");
	blobs_folder_forget(b);
	u = calloc(1, sizeof(*u));
	if (u == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for an upload");
	u->blobs = b;
	u->fd = -1;
	u->size = size;
	memcpy(u->sha256, sha256, BLOB_DIGEST);
	code = begin(u, offset, err);
	if (code != FL_OK) {
		if (u->received > 0)
			blob_upload_keep(&u);
		else
			blob_upload_drop(&u);
		return code;
	}
	*out = u;
	return FL_OK;
}

enum fl_code blob_upload_write(struct blob_upload *u, struct fl_bytes bytes, struct fl_err *err)
{
	enum fl_code code;

	if ((uint64_t)bytes.n > (uint64_t)(u->size - u->received))
		return fl_fail(err, FL_TOO_LARGE, "more than the stated %lld bytes came",
			(long long)u->size);
	code = fl_file_write(u->fd, bytes, err);
	if (code != FL_OK)
		return fl_wrap(err, "upload");
	(void)gnutls_hash(u->hash, bytes.p, bytes.n);
	u->received += (int64_t)bytes.n;
	if (u->received - u->flushed >= FLUSH) {
		(void)sync_file_range(
			u->fd, u->flushed, u->received - u->flushed, SYNC_FILE_RANGE_WRITE);
		u->flushed = u->received;
	}
	return FL_OK;
}

int64_t blob_upload_received(const struct blob_upload *u)
{
	return u->received;
}

/* The part that an upload of these bytes left earlier has become worthless. */
static void remove_part(const struct blob_upload *u)
{
	char part[BLOBS_PATH_MAX];

	blobs_folder_part(u->blobs, u->sha256, part);
	(void)unlink(part);
}

static enum fl_code check_digest(const struct blob_upload *u, struct fl_err *err)
{
	uint8_t got[BLOB_DIGEST];
	char hex[BLOBS_HEX];

	gnutls_hash_output(u->hash, got);
	if (memcmp(got, u->sha256, BLOB_DIGEST) == 0)
		return FL_OK;
	remove_part(u);
	blobs_hex(got, hex);
	return fl_fail(err, FL_CORRUPT, "the bytes that came have the digest %s", hex);
}

enum fl_code blob_upload_finish(struct blob_upload **up, struct fl_err *err)
{
	struct blob_upload *u = *up;
	char path[BLOBS_PATH_MAX];
	enum fl_code code;

	if (u->received != u->size)
		return fl_fail(err, FL_INVALID, "%lld bytes came, %lld were announced",
			(long long)u->received, (long long)u->size);
	code = check_digest(u, err);
	if (code != FL_OK)
		return code;
	blobs_folder_blob(u->blobs, u->sha256, path);
	code = fl_file_commit(u->fd, u->path, path, err);
	if (code != FL_OK)
		return code;
	u->path[0] = '\0';
	remove_part(u);
	blob_upload_drop(up);
	return FL_OK;
}

void blob_upload_keep(struct blob_upload **up)
{
	struct blob_upload *u = *up;

	if (u == NULL)
		return;
	/* a part is never the whole: a request that continues it has at least one byte */
	if (u->path[0] != '\0' && u->received == u->size && u->size > 0 &&
		ftruncate(u->fd, u->size - 1) != 0)
		u->received = 0;
	if (u->path[0] != '\0' && u->received > 0) {
		blobs_folder_keep(u->blobs, u->path, u->sha256);
		u->path[0] = '\0';
	}
	blob_upload_drop(up);
}

void blob_upload_drop(struct blob_upload **up)
{
	struct blob_upload *u = *up;

	if (u == NULL)
		return;
	if (u->path[0] != '\0')
		(void)unlink(u->path);
	if (u->fd >= 0)
		(void)close(u->fd);
	if (u->hash != NULL)
		gnutls_hash_deinit(u->hash, NULL);
	free(u);
	*up = NULL;
}
