/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/layer/pack.h"

#include <stdlib.h>
#include <string.h>

#include <zlib.h>
#define ZSTD_STATIC_LINKING_ONLY /* estimates of memory */
#include <zstd.h>

#include "lib/delta/layer/track.h"

#define PIECE          65536
#define ZSTD_LEVEL     19 /* above it nobody packs layers */
#define GZIP_MAX       9
#define EXPANDS_MAX    1032 /* times: what deflate reaches at most */
#define INFLATE_MEMORY (64U << 10)
#define TRAILER        8 /* of gzip: checksum and size */
#define FHCRC          2 /* RFC 1952 2.3.1: bits of FLG */
#define FEXTRA         4
#define FNAME          8
#define FCOMMENT       16

/* ---- opening */

enum pack_kind pack_guess(struct fl_bytes b)
{
	static const uint8_t gzip[3] = { 0x1f, 0x8b, 8 }, zstd[4] = { 0x28, 0xb5, 0x2f, 0xfd };

	if (b.n > 18 && memcmp(b.p, gzip, sizeof(gzip)) == 0)
		return PACK_GZIP;
	return b.n > 8 && memcmp(b.p, zstd, sizeof(zstd)) == 0 ? PACK_ZSTD : PACK_NONE;
}

/* Room for what a stream says that it holds, if that can be true: nothing is copied while it grows. */
static void expect(struct fl_buf *out, struct fl_bytes packed, uint64_t size)
{
	uint64_t room = size + PIECE;

	if (size / EXPANDS_MAX <= packed.n && (out->max == 0 || room <= out->max - out->n))
		(void)fl_buf_reserve(out, (size_t)room);
}

static uint32_t last_word(struct fl_bytes b)
{
	const uint8_t *p = b.p + b.n - 4;

	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static enum fl_code open_gzip(struct fl_bytes b, struct fl_buf *out, struct fl_err *err)
{
	z_stream z = { 0 };
	int result = inflateInit2(&z, 16 + MAX_WBITS);

	if (result != Z_OK)
		return fl_fail(err, FL_NOMEM, "no memory to unpack");
	expect(out, b, last_word(b));
	while (result == Z_OK) {
		size_t rest = b.n - (size_t)(z.next_in == NULL ? 0 : z.next_in - b.p);
		uint8_t *to = fl_buf_reserve(out, PIECE);

		if (to == NULL)
			break;
		z.next_in = (uint8_t *)(uintptr_t)(b.p + (b.n - rest));
		z.avail_in = (uInt)(rest < UINT32_MAX ? rest : UINT32_MAX);
		z.next_out = to;
		z.avail_out = PIECE;
		result = inflate(&z, Z_NO_FLUSH);
		out->n += PIECE - z.avail_out;
		if (result == Z_BUF_ERROR || (result == Z_OK && z.avail_out == PIECE && rest == 0))
			break;
	}
	b.n -= (size_t)(z.next_in - b.p);
	(void)inflateEnd(&z);
	if (out->failed)
		return fl_fail(err, FL_TOO_LARGE, "the layer is too large unpacked");
	if (result != Z_STREAM_END || b.n != 0)
		return fl_fail(err, FL_REFUSED, "the layer is not one whole gzip stream");
	return FL_OK;
}

static enum fl_code open_zstd(struct fl_bytes b, struct fl_buf *out, struct fl_err *err)
{
	ZSTD_DCtx *c = ZSTD_createDCtx();
	ZSTD_inBuffer in = { b.p, b.n, 0 };
	size_t left = 1;

	if (c == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to unpack");
	while (left != 0 && !ZSTD_isError(left)) {
		uint8_t *to = fl_buf_reserve(out, PIECE);
		ZSTD_outBuffer o = { to, PIECE, 0 };

		if (to == NULL)
			break;
		left = ZSTD_decompressStream(c, &o, &in);
		out->n += o.pos;
		if (left != 0 && o.pos == 0 && in.pos == in.size)
			break;
	}
	(void)ZSTD_freeDCtx(c);
	if (out->failed)
		return fl_fail(err, FL_TOO_LARGE, "the layer is too large unpacked");
	if (left != 0 || in.pos != in.size)
		return fl_fail(err, FL_REFUSED, "the layer is not one whole zstd frame");
	return FL_OK;
}

enum fl_code pack_open(struct fl_bytes bytes, struct fl_buf *out, struct fl_err *err)
{
	switch (pack_guess(bytes)) {
	case PACK_GZIP:
		return open_gzip(bytes, out, err);
	case PACK_ZSTD:
		return open_zstd(bytes, out, err);
	default:
		return FL_OK;
	}
}

uint64_t pack_open_memory(struct fl_bytes bytes)
{
	size_t n = ZSTD_estimateDStreamSize_fromFrame(bytes.p, bytes.n);

	if (pack_guess(bytes) != PACK_ZSTD)
		return INFLATE_MEMORY;
	return ZSTD_isError(n) ? 0 : n; /* then it does not open */
}

/* ---- packing */

struct packer {
	const struct pack *pack;
	const struct fl_sink *to;
	z_stream z;
	bool z_open;
	uint32_t crc, size;
	struct track_writer *track;
	ZSTD_CCtx *zstd;
	uint8_t piece[PIECE];
};

static enum fl_code give(struct packer *k, size_t n, struct fl_err *err)
{
	return n == 0 ? FL_OK : k->to->write(k->to->ctx, (struct fl_bytes){ k->piece, n }, err);
}

static enum fl_code begin_gzip(struct packer *k, struct fl_err *err)
{
	const struct pack *p = k->pack;

	if (p->level < 1 || p->level > GZIP_MAX || p->detail < 1 || p->detail > GZIP_MAX)
		return fl_fail(err, FL_CORRUPT, "these are no settings of gzip");
	if (deflateInit2(&k->z, p->level, Z_DEFLATED, -MAX_WBITS, p->detail, Z_DEFAULT_STRATEGY) !=
		Z_OK)
		return fl_fail(err, FL_NOMEM, "no memory to pack");
	k->z_open = true;
	return k->to->write(k->to->ctx, (struct fl_bytes){ p->head, p->head_n }, err);
}

static enum fl_code begin_track(struct packer *k, struct fl_err *err)
{
	const struct pack *p = k->pack;
	enum fl_code code =
		track_begin((struct fl_bytes){ p->track.p, p->track.n }, k->to, &k->track, err);

	if (code != FL_OK)
		return code;
	return k->to->write(k->to->ctx, (struct fl_bytes){ p->head, p->head_n }, err);
}

static enum fl_code begin_zstd(struct packer *k, uint64_t size, struct fl_err *err)
{
	const struct pack *p = k->pack;
	size_t result;

	if (p->level < 1 || p->level > ZSTD_LEVEL)
		return fl_fail(err, FL_CORRUPT, "these are no settings of zstd");
	if (p->version != ZSTD_versionNumber())
		return fl_fail(err, FL_REFUSED, "zstd %u is needed, this is %u", p->version,
			ZSTD_versionNumber());
	k->zstd = ZSTD_createCCtx();
	if (k->zstd == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to pack");
	result = ZSTD_CCtx_setParameter(k->zstd, ZSTD_c_compressionLevel, p->level);
	if (!ZSTD_isError(result))
		result = ZSTD_CCtx_setParameter(
			k->zstd, ZSTD_c_checksumFlag, (p->detail & PACK_CHECKSUM) != 0);
	if (!ZSTD_isError(result) && (p->detail & PACK_THREADED) != 0)
		result = ZSTD_CCtx_setParameter(k->zstd, ZSTD_c_nbWorkers, 1);
	if (!ZSTD_isError(result) && (p->detail & PACK_PLEDGED) != 0)
		result = ZSTD_CCtx_setPledgedSrcSize(k->zstd, size);
	return ZSTD_isError(result) ? fl_fail(err, FL_CORRUPT, "these are no settings of zstd")
				    : FL_OK;
}

enum fl_code packer_begin(const struct pack *p, uint64_t size, const struct fl_sink *to,
	struct packer **out, struct fl_err *err)
{
	struct packer *k = calloc(1, sizeof(*k));
	enum fl_code code = FL_OK;

	if (k == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to pack");
	k->pack = p;
	k->to = to;
	k->crc = (uint32_t)crc32(0, NULL, 0);
	if (p->kind == PACK_GZIP)
		code = begin_gzip(k, err);
	else if (p->kind == PACK_ZSTD)
		code = begin_zstd(k, size, err);
	else if (p->kind == PACK_TRACK)
		code = begin_track(k, err);
	if (code == FL_OK)
		*out = k;
	else
		packer_end(k);
	return code;
}

static enum fl_code run_gzip(struct packer *k, int flush, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	do {
		k->z.next_out = k->piece;
		k->z.avail_out = PIECE;
		(void)deflate(&k->z, flush);
		code = give(k, PIECE - k->z.avail_out, err);
	} while (code == FL_OK && k->z.avail_out == 0);
	return code;
}

static enum fl_code run_zstd(
	struct packer *k, struct fl_bytes bytes, ZSTD_EndDirective end, struct fl_err *err)
{
	ZSTD_inBuffer in = { bytes.p, bytes.n, 0 };
	enum fl_code code = FL_OK;
	size_t left;

	do {
		ZSTD_outBuffer o = { k->piece, PIECE, 0 };

		left = ZSTD_compressStream2(k->zstd, &o, &in, end);
		if (ZSTD_isError(left))
			return fl_fail(err, FL_CORRUPT, "zstd: %s", ZSTD_getErrorName(left));
		code = give(k, o.pos, err);
	} while (code == FL_OK && (end == ZSTD_e_end ? left != 0 : in.pos < in.size));
	return code;
}

/* At most 2^30 bytes. */
static enum fl_code write_gzip(struct packer *k, struct fl_bytes bytes, struct fl_err *err)
{
	k->crc = (uint32_t)crc32(k->crc, bytes.p, (uInt)bytes.n);
	k->size += (uint32_t)bytes.n;
	if (k->pack->kind == PACK_TRACK)
		return track_write(k->track, bytes, err);
	k->z.next_in = (uint8_t *)(uintptr_t)bytes.p;
	k->z.avail_in = (uInt)bytes.n;
	return run_gzip(k, Z_NO_FLUSH, err);
}

enum fl_code packer_write(struct packer *k, struct fl_bytes bytes, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	if (k->pack->kind == PACK_ZSTD)
		return run_zstd(k, bytes, ZSTD_e_continue, err);
	if (k->pack->kind == PACK_NONE)
		return bytes.n == 0 ? FL_OK : k->to->write(k->to->ctx, bytes, err);
	while (bytes.n > 0 && code == FL_OK) {
		size_t n = bytes.n < 1U << 30 ? bytes.n : 1U << 30;

		code = write_gzip(k, (struct fl_bytes){ bytes.p, n }, err);
		bytes.p += n;
		bytes.n -= n;
	}
	return code;
}

static enum fl_code finish_gzip(struct packer *k, struct fl_err *err)
{
	enum fl_code code;

	if (k->pack->kind == PACK_TRACK) {
		code = track_finish(k->track, err);
	} else {
		k->z.avail_in = 0;
		code = run_gzip(k, Z_FINISH, err);
	}
	for (int i = 0; i < 4; i++) {
		k->piece[i] = (uint8_t)(k->crc >> (8 * i));
		k->piece[4 + i] = (uint8_t)(k->size >> (8 * i));
	}
	return code == FL_OK ? give(k, TRAILER, err) : code;
}

enum fl_code packer_finish(struct packer *k, struct fl_err *err)
{
	if (k->pack->kind == PACK_NONE)
		return FL_OK;
	return k->pack->kind == PACK_ZSTD ? run_zstd(k, (struct fl_bytes){ 0 }, ZSTD_e_end, err)
					  : finish_gzip(k, err);
}

void packer_end(struct packer *k)
{
	if (k == NULL)
		return;
	if (k->z_open)
		(void)deflateEnd(&k->z);
	(void)ZSTD_freeCCtx(k->zstd);
	track_end(k->track);
	free(k);
}

void pack_fini(struct pack *p)
{
	fl_buf_fini(&p->track);
}

uint64_t pack_memory(const struct pack *p, uint64_t size)
{
	uint64_t tables = 16 * size;

	if (p->kind == PACK_NONE)
		return 0;
	if (p->kind == PACK_GZIP)
		return sizeof(struct packer) + (1U << 20);
	if (p->kind == PACK_TRACK)
		return sizeof(struct packer) + track_memory() + p->track.n;
	tables = tables < (96U << 20) ? tables : 96U << 20;
	/* a thread works on jobs of up to four windows, with a copy of each */
	if ((p->detail & PACK_THREADED) != 0)
		tables += 3 * (size < (32U << 20) ? size : 32U << 20);
	return sizeof(struct packer) + tables + (4U << 20);
}

/* ---- finding */

/* A sink that only compares. */
struct wanted {
	struct fl_bytes bytes;
	size_t at;
};

static enum fl_code compare(void *ctx, struct fl_bytes bytes, struct fl_err *err)
{
	struct wanted *w = ctx;

	if (bytes.n > w->bytes.n - w->at || memcmp(bytes.p, w->bytes.p + w->at, bytes.n) != 0)
		return fl_fail(err, FL_REFUSED, "it differs");
	w->at += bytes.n;
	return FL_OK;
}

/* Whether these settings make the packed bytes. */
static enum fl_code try(
	const struct pack *p, struct fl_bytes packed, struct fl_bytes raw, struct fl_err *err)
{
	struct wanted w = { packed, 0 };
	const struct fl_sink sink = { compare, &w };
	struct packer *k = NULL;
	enum fl_code code = packer_begin(p, raw.n, &sink, &k, err);
	size_t at = 0;

	while (code == FL_OK && at < raw.n) {
		size_t n = raw.n - at < PIECE ? raw.n - at : PIECE;

		code = packer_write(k, (struct fl_bytes){ raw.p + at, n }, err);
		at += n;
	}
	if (code == FL_OK)
		code = packer_finish(k, err);
	packer_end(k);
	if (code == FL_OK && w.at != packed.n)
		code = fl_fail(err, FL_REFUSED, "it differs");
	return code;
}

/* RFC 1952 2.3: the header up to the compressed blocks. */
static bool take_head(struct fl_bytes b, struct pack *p)
{
	size_t n = 10;

	if ((b.p[3] & (FHCRC | FEXTRA | FCOMMENT)) != 0)
		return false;
	if ((b.p[3] & FNAME) != 0)
		while (n < b.n && n < PACK_HEAD_MAX && b.p[n++] != 0)
			continue;
	if (n >= b.n || n >= PACK_HEAD_MAX)
		return false;
	memcpy(p->head, b.p, n);
	p->head_n = n;
	return true;
}

static enum fl_code find_gzip(
	struct fl_bytes packed, struct fl_bytes raw, struct pack *p, struct fl_err *err)
{
	/* the usual ones first; 9 is what some tools take for memLevel */
	static const uint8_t levels[] = { 6, 9, 1, 5, 7, 8, 4, 3, 2 };
	enum fl_code code = FL_REFUSED;

	if (!take_head(packed, p))
		return fl_fail(err, FL_REFUSED, "the gzip header has unusual fields");
	for (p->detail = 8; p->detail <= 9; p->detail++) {
		for (size_t i = 0; i < sizeof(levels); i++) {
			p->level = levels[i];
			code = try(p, packed, raw, err);
			if (code != FL_REFUSED)
				return code;
		}
	}
	return code;
}

void pack_track(struct fl_bytes packed, struct fl_buf *track)
{
	struct pack p = { 0 };
	size_t used, before = track->n;

	if (pack_guess(packed) != PACK_GZIP || !take_head(packed, &p))
		return;
	packed.p += p.head_n;
	packed.n -= p.head_n;
	if (track_read(packed, track, &used, NULL) != FL_OK || used + TRAILER != packed.n)
		track->n = before;
	track->failed = false;
}

static enum fl_code find_track(
	struct fl_bytes packed, struct fl_bytes raw, struct pack *p, struct fl_err *err)
{
	p->kind = PACK_TRACK;
	p->level = p->detail = 0;
	pack_track(packed, &p->track);
	if (p->track.n == 0)
		return fl_fail(err, FL_REFUSED, "the gzip stream cannot be followed");
	return try(p, packed, raw, err);
}

static enum fl_code find_zstd(
	struct fl_bytes packed, struct fl_bytes raw, struct pack *p, struct fl_err *err)
{
	bool sized = ZSTD_getFrameContentSize(packed.p, packed.n) != ZSTD_CONTENTSIZE_UNKNOWN;
	enum fl_code code = FL_REFUSED;

	p->version = ZSTD_versionNumber();
	/* RFC 8878 3.1.1.1.1: the bit of the checksum */
	p->detail =
		(uint8_t)((packed.p[4] >> 2 & 1 ? PACK_CHECKSUM : 0) | (sized ? PACK_PLEDGED : 0));
	for (int threaded = 0; threaded < 2; threaded++, p->detail |= PACK_THREADED) {
		for (p->level = 1; p->level <= ZSTD_LEVEL; p->level++) {
			code = try(p, packed, raw, err);
			if (code != FL_REFUSED)
				return code;
		}
	}
	return code;
}

enum fl_code pack_find(
	struct fl_bytes packed, struct fl_bytes raw, struct pack *out, struct fl_err *err)
{
	struct pack p = { .kind = pack_guess(packed) };
	enum fl_code code = FL_OK;

	if (p.kind == PACK_GZIP)
		code = find_gzip(packed, raw, &p, err);
	if (code == FL_REFUSED)
		code = find_track(packed, raw, &p, err);
	else if (p.kind == PACK_ZSTD)
		code = find_zstd(packed, raw, &p, err);
	if (code == FL_OK) {
		*out = p;
		return FL_OK;
	}
	pack_fini(&p);
	/* a track that does not lead back is no damage of ours */
	if (code != FL_REFUSED && code != FL_CORRUPT)
		return code;
	return fl_fail(err, FL_REFUSED,
		"the settings of the layer's compressor cannot be found; use the layer as it is "
		"uncompressed");
}
