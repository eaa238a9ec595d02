/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/codec.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/delta/codec_table.h"
#include "lib/file.h"

static const struct fl_codec *const codecs[] = {
	&fl_codec_wasm_16m,
	&fl_codec_wasm_1m,
	&fl_codec_wasm_256k,
	&fl_codec_wasm,
	&fl_codec_layer_patch,
	&fl_codec_exe_patch,
	&fl_codec_zstd_patch,
	&fl_codec_zstd,
	&fl_codec_identity,
};

const struct fl_codec *fl_codec_at(size_t i)
{
	return i < FL_COUNT(codecs) ? codecs[i] : NULL;
}

enum fl_code fl_codec_encode(const struct fl_codec *codec, const struct fl_codec_files *files,
	int level, const struct fl_sink *out, struct fl_err *err)
{
	return codec->encode_next != NULL ? codec->encode_next(files, level, out, err)
					  : codec->encode(files->old, files->new, level, out, err);
}

const struct fl_codec *fl_codec_find(const char *name)
{
	for (size_t i = 0; i < FL_COUNT(codecs); i++)
		if (strcmp(codecs[i]->name, name) == 0)
			return codecs[i];
	return NULL;
}

void fl_codec_names(struct fl_buf *b, bool with_old)
{
	for (size_t i = 0; i < FL_COUNT(codecs); i++)
		if (with_old || !codecs[i]->needs_old)
			fl_buf_printf(b, "%s%s", b->n > 0 ? "," : "", codecs[i]->name);
}

/* First bytes of data: wasm-delta, exe-patch and layer-patch have one of their own, version and kind
 * in the second; a zstd frame has four (RFC 8878, 3.1.1). */
const struct fl_codec *fl_codec_guess(struct fl_bytes data, bool has_old)
{
	static const uint8_t zstd[4] = { 0x28, 0xb5, 0x2f, 0xfd };

	if (data.n >= 4 && memcmp(data.p, zstd, 4) == 0)
		return fl_codec_find(has_old ? "zstd-patch" : "zstd");
	if (data.n < 2 || !has_old)
		return NULL;
	switch (data.p[0]) {
	case 0xd7:
		return fl_codec_find("wasm-delta");
	case 0xd8:
		return fl_codec_find("exe-patch");
	case 0xd9:
		return fl_codec_find("layer-patch");
	default:
		return NULL;
	}
}

/* ---- sources and sinks */

static enum fl_code read_bytes(void *ctx, uint64_t offset, void *to, size_t n, struct fl_err *err)
{
	const struct fl_bytes *bytes = ctx;

	if (offset > bytes->n || n > bytes->n - offset)
		return fl_fail(err, FL_CORRUPT, "the data end before %llu + %zu bytes",
			(unsigned long long)offset, n);
	if (n > 0)
		memcpy(to, bytes->p + offset, n);
	return FL_OK;
}

struct fl_source fl_source_bytes(const struct fl_bytes *bytes)
{
	return (struct fl_source){ bytes->n, read_bytes, (void *)(uintptr_t)bytes };
}

static enum fl_code read_file(void *ctx, uint64_t offset, void *to, size_t n, struct fl_err *err)
{
	const int *fd = ctx;
	uint8_t *p = to;

	while (n > 0) {
		ssize_t got = pread(*fd, p, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fl_fail_errno(err, errno, "cannot read the encoded file");
		if (got == 0)
			return fl_fail(
				err, FL_CORRUPT, "the encoded file was cut while it was read");
		p += got;
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	return FL_OK;
}

enum fl_code fl_source_file(const int *fd, struct fl_source *out, struct fl_err *err)
{
	struct stat st;

	if (fstat(*fd, &st) != 0)
		return fl_fail_errno(err, errno, "cannot look at the encoded file");
	if (!S_ISREG(st.st_mode))
		return fl_fail(err, FL_IO, "the encoded bytes are not in a regular file");
	*out = (struct fl_source){ (uint64_t)st.st_size, read_file, (void *)(uintptr_t)fd };
	return FL_OK;
}

static enum fl_code write_buf(void *ctx, struct fl_bytes bytes, struct fl_err *err)
{
	struct fl_buf *b = ctx;

	fl_buf_add(b, bytes.p, bytes.n);
	return fl_buf_check(b, err);
}

struct fl_sink fl_sink_buf(struct fl_buf *b)
{
	return (struct fl_sink){ write_buf, b };
}

static enum fl_code write_file(void *ctx, struct fl_bytes bytes, struct fl_err *err)
{
	const int *fd = ctx;

	return fl_file_write(*fd, bytes, err);
}

struct fl_sink fl_sink_file(const int *fd)
{
	return (struct fl_sink){ write_file, (void *)(uintptr_t)fd };
}
