/* SPDX-License-Identifier: Apache-2.0
 *
 * What a delta consists of: its streams with their sizes and how much of them was predicted. */
#include "lib/delta/wasm/component.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const streams[] = {
	[STREAM_LAYOUT] = "layout",
	[STREAM_COPIES] = "copies",
	[STREAM_EXTRAS] = "copies: extras",
	[STREAM_JUMPS] = "copies: jumps",
	[STREAM_RESIDUE_HIT] = "residue: unchanged",
	[STREAM_RESIDUE] = "residue: differences",
	[STREAM_RESIDUE_NEW] = "residue: new",
	[STREAM_PAIR_HIT] = "partners: expected",
	[STREAM_PAIR] = "partners",
	[STREAM_SURE] = "functions: moved",
	[STREAM_CODE_HIT] = "functions: begun by a copy",
	[STREAM_CODE_HOME] = "code: back from afar",
	[STREAM_CODE_COPY] = "code: copies",
	[STREAM_CODE_EXTRA] = "code: extras",
	[STREAM_CODE_JUMP] = "code: jumps",
	[STREAM_OP_HIT] = "instructions: copied",
	[STREAM_OP] = "instructions: other",
	[STREAM_OP_NEW] = "instructions: new",
	[STREAM_TYPE_HIT] = "types: expected",
	[STREAM_TYPE] = "types",
	[STREAM_EXPORT_HIT] = "exports: expected",
	[STREAM_EXPORT] = "exports",
	[STREAM_ELEMENT_HIT] = "elements: expected",
	[STREAM_ELEMENT] = "elements",
	[STREAM_NAME_INDEX_HIT] = "name indices: expected",
	[STREAM_NAME_INDEX] = "name indices",
	[STREAM_NAME_HIT] = "names: expected",
	[STREAM_NAME_LENGTH] = "names: lengths",
	[STREAM_NAME] = "names: new",
	[STREAM_DATA_HIT] = "data: unchanged",
	[STREAM_DATA_KIND] = "data: kinds",
	[STREAM_DATA] = "data: differences",
	[STREAM_DATA_NEW] = "data: new",
	[STREAM_PAD_HIT] = "padding: expected",
	[STREAM_PAD] = "padding",
};
_Static_assert(FL_COUNT(streams) == STREAM_IMM, "each stream has its name");

static const char *const kinds[WASM_IMM_MAX] = { "", "function indices", "type indices", "tables",
	"globals", "locals", "memories", "data indices", "element indices", "tags", "fields",
	"labels", "block types", "heap types", "alignments", "offsets", "i32", "i64", "counts",
	"f32", "f64", "lanes", "value types", "body padding", "raw bytes" };

static const char *const immediates[IMM_STREAMS] = { "expected", "other", "differences", "new" };

#define NAME_MAX_BYTES 64

/* The streams and what they are parts of. */
struct report {
	fl_codec_part_fn fn;
	void *ctx;
	const char *of; /* what all names begin with: which module of a component it is */
	struct coder_stats *stats;
	bool seen;                  /* decoded: symbols are counted */
	uint64_t whole;             /* bytes of what the streams share by their weights */
	double weight, done_weight; /* all of it, and of the streams so far */
	uint64_t done;              /* bytes of it so far */
};

static void emit(const struct report *r, struct fl_codec_part part)
{
	char name[NAME_MAX_BYTES];

	(void)snprintf(name, sizeof(name), "%s%s", r->of, part.name);
	part.name = name;
	r->fn(r->ctx, &part);
}

static void name_stream(unsigned stream, char *to, size_t n)
{
	if (stream < STREAM_IMM)
		(void)snprintf(to, n, "%s", streams[stream]);
	else
		(void)snprintf(to, n, "%s: %s", kinds[(stream - STREAM_IMM) / IMM_STREAMS],
			immediates[(stream - STREAM_IMM) % IMM_STREAMS]);
}

static bool is_hits(unsigned stream)
{
	switch (stream) {
	case STREAM_RESIDUE_HIT:
	case STREAM_PAIR_HIT:
	case STREAM_SURE:
	case STREAM_CODE_HIT:
	case STREAM_CODE_HOME:
	case STREAM_OP_HIT:
	case STREAM_TYPE_HIT:
	case STREAM_EXPORT_HIT:
	case STREAM_ELEMENT_HIT:
	case STREAM_NAME_INDEX_HIT:
	case STREAM_NAME_HIT:
	case STREAM_DATA_HIT:
	case STREAM_PAD_HIT:
		return true;
	default:
		return stream >= STREAM_IMM && (stream - STREAM_IMM) % IMM_STREAMS == IMM_HIT;
	}
}

/* The part of what is shared that falls to a weight; all parts sum up to the whole. */
static uint64_t share(struct report *r, double weight)
{
	uint64_t end;

	r->done_weight += weight;
	end = r->weight > 0 ? (uint64_t)llround((double)r->whole * (r->done_weight / r->weight))
			    : 0;
	end = end > r->whole ? r->whole : end;
	weight = (double)(end - r->done);
	r->done = end;
	return (uint64_t)weight;
}

static double percent(uint64_t part, uint64_t all)
{
	return all == 0 ? 0 : 100 * (double)part / (double)all;
}

static void tell_stream(struct report *r, unsigned stream)
{
	const struct coder_stream_stats *s = &r->stats->of[stream];
	struct fl_codec_part part = { .count = s->symbols };
	char name[48];

	if (s->symbols == 0 && s->unpacked == 0)
		return;
	name_stream(stream, name, sizeof(name));
	part.name = name;
	part.bytes = s->packed != 0 ? s->packed
				    : share(r, s->unpacked != 0 ? (double)s->unpacked : s->bits);
	if (r->seen && is_hits(stream))
		(void)snprintf(part.note, sizeof(part.note), "%.2f %% as expected",
			percent(s->symbols - s->misses, s->symbols));
	else if (s->unpacked != 0)
		(void)snprintf(part.note, sizeof(part.note), "%llu unpacked",
			(unsigned long long)s->unpacked);
	emit(r, part);
}

/* A line about the module, which takes nothing in the delta. */
static void tell(const struct report *r, const char *name, uint64_t count, uint64_t of)
{
	struct fl_codec_part part = { .name = name, .count = of };

	(void)snprintf(part.note, sizeof(part.note), "%llu from the old module, %.2f %%",
		(unsigned long long)count, percent(count, of));
	if (of > 0)
		emit(r, part);
}

static void tell_head(const struct report *r, const struct wasm_delta_head *head)
{
	static const char *const backs[] = { "streams", "model of 256 KiB", "model of 1 MiB",
		"model of 16 MiB" };
	struct fl_codec_part part = { .name = "head", .bytes = head->bytes };

	(void)snprintf(part.note, sizeof(part.note), "%s, %llu bytes", backs[head->back],
		(unsigned long long)head->size);
	if (r->of[0] == '\0') {
		size_t n = strlen(part.note);

		(void)snprintf(part.note + n, sizeof(part.note) - n, " with %llu KiB of memory",
			(unsigned long long)(head->memory >> 10));
	}
	emit(r, part);
}

/* What the streams have in common: the first piece, or all that the coder read. */
static void find_shared(struct report *r, uint64_t coder_bytes)
{
	uint64_t longer = 0;

	for (unsigned i = 0; i < STREAM_MAX; i++) {
		const struct coder_stream_stats *s = &r->stats->of[i];

		longer += s->packed;
		if (s->packed == 0)
			r->weight += s->unpacked != 0 ? (double)s->unpacked : s->bits;
	}
	r->whole = coder_bytes - longer;
}

static void tell_streams(struct report *r, const struct wasm_delta_head *head, uint64_t coder_bytes)
{
	struct fl_codec_part rest = { .name = "directory" };

	find_shared(r, coder_bytes);
	if (head->back == WASM_ZSTD)
		r->weight = (double)r->stats->shared_unpacked;
	for (unsigned i = 0; i < STREAM_MAX; i++)
		tell_stream(r, i);
	rest.bytes = r->whole - r->done;
	if (head->back != WASM_ZSTD)
		rest.name = r->seen ? "end" : "coded";
	if (!r->seen && head->back != WASM_ZSTD)
		(void)snprintf(rest.note, sizeof(rest.note), "the old module shows its streams");
	if (rest.bytes > 0)
		emit(r, rest);
}

/* One module's delta; `head` is read, without the old module its streams too. */
static enum fl_code inspect_module(struct report *r, const struct wasm_delta_head *head,
	struct fl_bytes old, struct fl_bytes data, struct fl_err *err)
{
	const struct fl_codec_limits limits = { .output_max = UINT64_MAX };
	struct wasm_delta_view view = { .stats = r->stats, .nested = r->of[0] != '\0' };
	enum fl_code code = FL_OK;

	r->seen = old.n > 0;
	if (r->seen)
		code = wasm_delta_view(old, data, &limits, &view, err);
	if (code != FL_OK)
		return code;
	tell_head(r, head);
	tell_streams(r, head, data.n - head->bytes);
	tell(r, "functions that only moved", view.moved, view.functions);
	tell(r, "instructions of the others", view.tokens_copied,
		view.tokens_copied + view.tokens_new);
	tell(r, "bytes of data", view.data_copied, view.data_copied + view.data_new);
	return FL_OK;
}

/* The modules of a component. */
struct modules {
	const struct report *whole;
	unsigned n;
	uint64_t bytes; /* of their deltas */
};

static enum fl_code inspect(
	struct report *r, struct fl_bytes old, struct fl_bytes data, struct fl_err *err);

static enum fl_code inspect_nested(
	void *ctx, struct fl_bytes old, struct fl_bytes data, struct fl_err *err)
{
	struct modules *m = ctx;
	char of[NAME_MAX_BYTES];
	struct report r = { .fn = m->whole->fn, .ctx = m->whole->ctx, .of = of };

	m->bytes += data.n;
	(void)snprintf(of, sizeof(of), "module %u: ", ++m->n);
	return inspect(&r, old, data, err);
}

static enum fl_code inspect_component(const struct report *r, const struct wasm_delta_head *head,
	struct fl_bytes old, struct fl_bytes data, struct fl_err *err)
{
	struct modules m = { .whole = r };
	const struct fl_bytes body = { data.p + head->bytes, data.n - head->bytes };
	enum fl_code code;

	tell_head(r, head);
	code = wasm_component_each(old, body, inspect_nested, &m, err);
	if (code == FL_OK)
		emit(r,
			(struct fl_codec_part){
				.name = "around the modules", .bytes = body.n - m.bytes });
	return code;
}

static enum fl_code inspect(
	struct report *r, struct fl_bytes old, struct fl_bytes data, struct fl_err *err)
{
	struct wasm_delta_head head;
	enum fl_code code;

	r->stats = calloc(1, sizeof(*r->stats));
	if (r->stats == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to look into a delta");
	code = wasm_delta_unpack(data, &head, r->stats, err);
	if (code == FL_OK)
		code = head.component && r->of[0] == '\0'
			? inspect_component(r, &head, old, data, err)
			: inspect_module(r, &head, old, data, err);
	free(r->stats);
	return code;
}

enum fl_code wasm_delta_inspect(struct fl_bytes old, struct fl_bytes data, fl_codec_part_fn fn,
	void *ctx, struct fl_err *err)
{
	return inspect(&(struct report){ .fn = fn, .ctx = ctx, .of = "" }, old, data, err);
}
