/* SPDX-License-Identifier: Apache-2.0
 *
 * The model of a module's delta: what the new module is expected to be, from all that both sides know.
 *
 * DESIGN. One code for both directions: model_run codes the new module part by part. Encoding, `new`
 * is complete and `alignment` says which old token each new one is like; decoding, `new` is filled
 * as it goes and its sections leave for the sink in order. The order of parts:
 *
 *   layout, residue                      -> types, imports, sizes of all tables
 *   partners of functions                -> map of function indices
 *   function types, exports, elements    -> map of table slots
 *   copies of the data                   -> map of addresses
 *   section by section: code (learns addresses), data, names
 *
 * Nothing of the maps is sent: both sides derive them. */
#ifndef FL_WASM_MODEL_H
#define FL_WASM_MODEL_H

#include "lib/delta/codec.h"
#include "lib/delta/wasm/align.h"
#include "lib/delta/wasm/align_code.h"
#include "lib/delta/wasm/code.h"
#include "lib/delta/wasm/coder.h"
#include "lib/delta/wasm/learned.h"
#include "lib/delta/wasm/module.h"
#include "lib/delta/wasm/old_code.h"

#include <string.h>

#define MODEL_NONE UINT32_MAX

#define MODEL_SMALL_MIN (-512) /* constants from here to below the data are learned per function */
#define MODEL_SMALL_MAX 16384  /* at most; at least: */
#define MODEL_SMALL_TOP 1024
#define MODEL_SMALL     (MODEL_SMALL_MAX - MODEL_SMALL_MIN)
#define MODEL_GLOBALS   4096
#define MODEL_RECENT    24 /* locals */
#define MODEL_RANKS     (MODEL_RECENT + 4)
#define MODEL_OWNERS    2048
#define MODEL_FAR       1024 /* tokens of a far jump */

/* A block of the old memory that moved as a whole. */
struct model_interval {
	uint64_t old, new, n;
};

/* Bytes of new names, in pieces that never move. */
struct model_names {
	struct model_names *next;
	size_t n, cap;
	uint8_t bytes[];
};

/* What a function teaches about itself; forgotten at its end. */
struct model_local {
	uint32_t *to;     /* local index old -> new, MODEL_NONE */
	uint32_t *before; /* what `to` was before, MODEL_NONE */
	uint8_t *sure;    /* how often that held */
	size_t cap;
	uint32_t owner[MODEL_OWNERS]; /* new local -> the old one that last became it, MODEL_NONE */
	int64_t small[MODEL_SMALL];   /* constants old -> new */
	uint64_t small_known[MODEL_SMALL / 64];
	uint64_t branch, branch_shift;
	uint64_t shift;                /* of the last number that nothing foretold */
	uint32_t recent[MODEL_RECENT]; /* new locals, the last used first; MODEL_NONE */
};

/* Strings often lie in the order of their use: the next one begins where the last one ends. Its length
 * is the constant before or behind its address. */
struct model_text {
	uint64_t address, before, behind;
	uint64_t last; /* constant that is no address */
	uint64_t kind; /* of the last address: 1 behind, 2 before, 0 neither fits */
};

struct model {
	struct coder *c;
	struct fl_heap *heap; /* decoding: for all below, borrowed */
	const struct wasm_module *old;
	struct wasm_module *new;
	bool encoding;
	uint64_t limit; /* decoding: size of the new module */
	const struct fl_sink *sink;

	struct old_code old_code;

	struct wasm_code_alignment alignment; /* encoding: set up by the caller, borrowed */
	struct wasm_code tokens;              /* encoding: of the present function */

	uint32_t *partner;       /* old defined function of each new defined one, MODEL_NONE */
	uint32_t *function_map;  /* old function index -> new */
	uint8_t *function_known; /* 0 guessed, 1 by partner or import, 2 seen in use */
	uint32_t n_old_functions;
	uint32_t *old_of; /* new function index -> old, MODEL_NONE */
	uint32_t n_new_functions;
	uint32_t *type_map;
	uint32_t global_map[MODEL_GLOBALS];
	struct learned slots, addresses, words;
	struct model_interval *intervals;
	size_t n_intervals;
	uint64_t moved_last;          /* no block reaches behind it */
	uint64_t data_low, data_high; /* addresses of the old data */
	uint64_t small_max;           /* numbers from here on may be addresses */
	struct wasm_copies data_copies, residue_copies;
	uint8_t bias[1 << 16]; /* of an address's neighbourhood: moved like the nearest, or not */
	uint32_t *bias_undo;   /* index << 8 | value before */
	size_t n_bias_undo, cap_bias_undo;
	bool trying; /* encoding: what is learned may be undone */

	uint16_t *op;      /* of the present function */
	uint32_t *aligned; /* old place + 1 of tokens whose immediates are predicted */
	size_t n_op, cap_op;
	uint32_t next_old; /* where the last copy of code ended */
	uint64_t size_pad; /* of the present function */
	uint32_t home;     /* where it ended before a far jump */
	bool away;         /* since such a jump */
	uint64_t body;     /* number of the present function */
	struct model_local local;
	uint64_t last[WASM_IMM_MAX], before_last[WASM_IMM_MAX]; /* values per kind */
	uint8_t last_pad[WASM_IMM_MAX];
	struct model_text text;
	unsigned run;              /* aligned tokens in a row */
	struct fl_buf out;         /* bytes on their way to the sink; encoding, of one function */
	struct model_names *names; /* the bytes of new names */
	uint64_t written;          /* those in `out` too */
	uint64_t n_sure, tokens_copied, tokens_new; /* functions that moved; tokens of the others */
	enum fl_code failure;                       /* of the sink, or no memory */
	struct fl_err *err;
};

/* Code everything. `m` is set up by codec_wasm.c. FL_CORRUPT, FL_NOMEM, failures of the sink. */
enum fl_code model_run(struct model *m, struct fl_err *err) FL_MUST_CHECK;
void model_fini(struct model *m);

/* ---- between the parts of the model */

static inline uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline bool model_equal(struct fl_bytes a, struct fl_bytes b)
{
	return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

/* Note a failure; coding goes on with harmless values until the next check. */
void model_fail(struct model *m, enum fl_code code, const char *why);
static inline bool model_ok(const struct model *m)
{
	return m->failure == FL_OK && !m->c->bad;
}
/* The old token at `place`: its code and index there; *left tokens follow in the same function. */
const struct wasm_code *model_old(struct model *m, uint32_t place, size_t *index, uint32_t *left);
/* Make the map of addresses from the copies of the data. */
void model_map_addresses(struct model *m);
/* Where an address of the old memory went, by the copies of the data. */
bool model_moved(const struct model *m, uint64_t old, uint64_t *new);
/* The new index of an old function. */
static inline uint32_t model_function(const struct model *m, uint64_t old)
{
	return old < m->n_old_functions ? m->function_map[old] : (uint32_t)old;
}
/* Decoding: hand bytes to the sink, some time before model_flush. */
void model_write(struct model *m, struct fl_bytes bytes);
/* What was appended to m->out since it held `before` bytes is such. */
void model_wrote(struct model *m, size_t before);
void model_flush(struct model *m);
/* Likewise the id and size of a section. */
void model_write_head(struct model *m, const struct wasm_section *s, uint64_t size);

/* Whole logarithm of a length, in steps of a half. */
static inline unsigned model_length_class(uint32_t n)
{
	unsigned log = 31 - (unsigned)__builtin_clz(n | 1);

	return 2 * log + (log > 0 && (n >> (log - 1) & 1) != 0);
}
/* Memory for n + 1 elements, zeroed, for those parts; NULL and a failure without it. */
void *model_table(struct model *m, size_t n, size_t size);
/* The old partners of the new functions, and what follows from them for their indices. */
void model_partners(struct model *m);
/* The tokens of function `f`: they are then those of the present one, with the places of their old ones. */
void model_ops(struct model *m, size_t f);
/* Likewise those of old function `f`, coded as if all were new. */
void model_ops_of_old(struct model *m, uint32_t f);
/* The parts in their order: layout to address map; the code; the data; the names. */
void model_tables(struct model *m);
void model_code(struct model *m, size_t section);
void model_data(struct model *m, size_t section);
void model_names(struct model *m);
void model_free_names(struct model *m);
/* Append to m->out what the old body of `partner` becomes where everything moves as expected, and learn
 * from that; one that did not parse stays as it is. False: it is not as `expected` (NULL: any), or
 * m->out.failed; then half of it may have been appended and learned. */
bool model_move_body(struct model *m, uint32_t partner, const struct fl_bytes *expected);
/* How many calls and addresses of an old body (few of each count) have no certain successor yet. */
unsigned model_doubts(const struct model *m, uint32_t partner);
/* Encoding: whether function `f` is its moved partner. What was learned stays learned if so. */
bool model_is_sure(struct model *m, size_t f, uint32_t partner);
/* What a number that is expected to move if it is an address becomes; that it did is learned. */
uint64_t model_moved_number(struct model *m, enum wasm_imm kind, uint64_t old);
static inline void model_remember_text(struct model_text *x, uint64_t v, bool address)
{
	if (address) {
		x->address = v;
		x->before = x->last;
		x->behind = 0;
	} else {
		x->last = v;
		if (x->behind == 0)
			x->behind = v;
	}
}
/* Note the value of an immediate, for those that follow. */
static inline void model_remember(struct model *m, enum wasm_imm kind, uint64_t v)
{
	if (kind == WASM_IMM_I32 && (int64_t)v > 0)
		model_remember_text(&m->text, v, v >= m->small_max);
	m->before_last[kind] = m->last[kind];
	m->last[kind] = v;
}
/* Immediate `k` of token `t` of the present function; `old` is the one at its old place, or NULL.
 * Encoding, `v` is it. Returns it. */
uint64_t model_immediate(struct model *m, size_t t, unsigned k, uint64_t v, const uint64_t *old);

#endif
