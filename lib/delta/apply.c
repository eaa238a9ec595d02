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
	const struct fl_apply *apply;
	uint64_t size; /* that passed */
	uint64_t have; /* bytes of the file that an earlier try has left */
	crypto_hash_sha256_state hash;
};

/* Whether the file has these bytes at `at` already. */
static bool has_bytes(int fd, uint64_t at, struct fl_bytes bytes)
{
	uint8_t piece[4096];

	for (size_t done = 0; done < bytes.n;) {
		size_t n = bytes.n - done < sizeof(piece) ? bytes.n - done : sizeof(piece);
		ssize_t got = pread(fd, piece, n, (off_t)(at + done));

		if (got != (ssize_t)n || memcmp(piece, bytes.p + done, n) != 0)
			return false;
		done += n;
	}
	return true;
}

static enum fl_code write_at(int fd, uint64_t at, struct fl_bytes bytes, struct fl_err *err)
{
	while (bytes.n > 0) {
		ssize_t n = pwrite(fd, bytes.p, bytes.n, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fl_fail_errno(err, errno, "cannot write");
		at += (uint64_t)n;
		bytes.p += n;
		bytes.n -= (size_t)n;
	}
	return FL_OK;
}

static enum fl_code write_checked(void *ctx, struct fl_bytes bytes, struct fl_err *err)
{
	struct checked *c = ctx;
	const struct fl_apply *a = c->apply;
	enum fl_code code = FL_OK;

	if (bytes.n > a->size - c->size)
		return fl_fail(err, FL_CORRUPT, "more bytes came out than were expected");
	(void)crypto_hash_sha256_update(&c->hash, bytes.p, bytes.n);
	if (c->size + bytes.n > c->have || !has_bytes(a->out_fd, c->size, bytes))
		code = write_at(a->out_fd, c->size, bytes, err);
	c->size += bytes.n;
	if (code == FL_OK && a->go_on != NULL && !a->go_on(a->ctx, c->size))
		code = fl_fail(err, FL_STOPPED, "stopped");
	return code;
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
	const struct fl_codec_limits limits = { .output_max = a->size,
		.memory_max = a->memory_max };
	const struct fl_sink sink = { write_checked, to };
	struct fl_source data;
	enum fl_code code = fl_source_file(&a->data_fd, &data, err);

	if (code != FL_OK)
		return code;
	if (a->data_size != 0 && a->data_size < data.size)
		data.size = a->data_size;
	return a->codec->decode(old, &data, &limits, &sink, err);
}

/* What an earlier try has left; without `resume` nothing may be left. */
static enum fl_code begin(const struct fl_apply *a, struct checked *to, struct fl_err *err)
{
	struct stat st;

	*to = (struct checked){ .apply = a };
	(void)crypto_hash_sha256_init(&to->hash);
	if (!a->resume)
		return FL_OK;
	if (fstat(a->out_fd, &st) != 0)
		return fl_fail_errno(err, errno, "cannot look at the half-written file");
	to->have = (uint64_t)st.st_size;
	return FL_OK;
}

static enum fl_code end(const struct fl_apply *a, struct checked *to, struct fl_err *err)
{
	uint8_t got[crypto_hash_sha256_BYTES];

	if (to->size != a->size)
		return fl_fail(err, FL_CORRUPT, "%llu bytes came out where %llu were expected",
			(unsigned long long)to->size, (unsigned long long)a->size);
	(void)crypto_hash_sha256_final(&to->hash, got);
	if (memcmp(got, a->sha256, sizeof(got)) != 0)
		return fl_fail(err, FL_CORRUPT, "the decoded bytes have another digest");
	if (to->have > a->size && ftruncate(a->out_fd, (off_t)a->size) != 0)
		return fl_fail_errno(err, errno, "cannot cut the file");
	return FL_OK;
}

enum fl_code fl_apply(const struct fl_apply *a, struct fl_err *err)
{
	struct checked to;
	struct fl_bytes old = { 0 };
	enum fl_code code = begin(a, &to, err);

	if (code == FL_OK && a->codec->needs_old)
		code = fl_apply_map(a->old_fd, &old, err);
	if (code != FL_OK)
		return code;
	code = decode(a, old, &to, err);
	fl_apply_unmap(&old);
	return code == FL_OK ? end(a, &to, err) : code;
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
