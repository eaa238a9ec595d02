/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/apply.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "lib/file.h"

#define PIECE 65536

/* A sink that hashes and counts what passes to the file. */
struct checked {
	int fd;
	uint64_t size;
	crypto_hash_sha256_state hash;
};

static enum fl_code write_checked(void *ctx, struct fl_bytes bytes, struct fl_err *err)
{
	struct checked *c = ctx;

	(void)crypto_hash_sha256_update(&c->hash, bytes.p, bytes.n);
	c->size += bytes.n;
	return fl_file_write(c->fd, bytes, err);
}

enum fl_code fl_apply_map(int fd, struct fl_bytes *out, struct fl_err *err)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) != 0)
		return fl_fail_errno(err, errno, "cannot look at the file");
	if (!S_ISREG(st.st_mode))
		return fl_fail(err, FL_IO, "only a regular file can be mapped");
	if (st.st_size == 0) {
		*out = (struct fl_bytes){ 0 };
		return FL_OK;
	}
	if ((uint64_t)st.st_size > SIZE_MAX / 2)
		return fl_fail(err, FL_TOO_LARGE, "the file is too large to be mapped");
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return fl_fail_errno(err, errno, "cannot map the file");
	*out = (struct fl_bytes){ p, (size_t)st.st_size };
	return FL_OK;
}

void fl_apply_unmap(struct fl_bytes *mapped)
{
	if (mapped->p != NULL)
		(void)munmap((void *)(uintptr_t)mapped->p, mapped->n);
	*mapped = (struct fl_bytes){ 0 };
}

static enum fl_code decode(
	const struct fl_apply *a, struct fl_bytes old, struct checked *to, struct fl_err *err)
{
	const struct fl_codec_limits limits = { a->size, a->memory_max };
	const struct fl_sink sink = { write_checked, to };
	struct fl_source data;
	enum fl_code code = fl_source_file(&a->data_fd, &data, err);

	if (code != FL_OK)
		return code;
	return a->codec->decode(old, &data, &limits, &sink, err);
}

enum fl_code fl_apply(const struct fl_apply *a, struct fl_err *err)
{
	uint8_t got[crypto_hash_sha256_BYTES];
	struct checked to = { .fd = a->out_fd };
	struct fl_bytes old = { 0 };
	enum fl_code code = FL_OK;

	if (a->codec->needs_old)
		code = fl_apply_map(a->old_fd, &old, err);
	if (code != FL_OK)
		return code;
	(void)crypto_hash_sha256_init(&to.hash);
	code = decode(a, old, &to, err);
	fl_apply_unmap(&old);
	if (code != FL_OK)
		return code;
	if (to.size != a->size)
		return fl_fail(err, FL_CORRUPT, "%llu bytes came out where %llu were expected",
			(unsigned long long)to.size, (unsigned long long)a->size);
	(void)crypto_hash_sha256_final(&to.hash, got);
	if (memcmp(got, a->sha256, sizeof(got)) != 0)
		return fl_fail(err, FL_CORRUPT, "the decoded bytes have another digest");
	return FL_OK;
}

enum fl_code fl_apply_digest(int fd, uint8_t sha256[32], uint64_t *size, struct fl_err *err)
{
	crypto_hash_sha256_state hash;
	uint8_t piece[PIECE];
	uint64_t at = 0;

	(void)crypto_hash_sha256_init(&hash);
	for (;;) {
		ssize_t n = pread(fd, piece, sizeof(piece), (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fl_fail_errno(err, errno, "cannot read the file");
		if (n == 0)
			break;
		(void)crypto_hash_sha256_update(&hash, piece, (size_t)n);
		at += (uint64_t)n;
	}
	(void)crypto_hash_sha256_final(&hash, sha256);
	*size = at;
	return FL_OK;
}
