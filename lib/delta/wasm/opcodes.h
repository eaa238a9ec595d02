/* SPDX-License-Identifier: Apache-2.0
 *
 * The instructions of WebAssembly as a delta sees them: a number, and the kinds of the immediates
 * behind it. After the binary format of the core specification 3.0 (chapter 5.4) with threads,
 * relaxed SIMD, exception handling (also its older form), tail calls, memory64, multi-memory, typed
 * references and GC.
 *
 * DESIGN. A body becomes tokens. Most tokens are instructions; prefixed ones are moved to ranges of
 * their own (WASM_OP_FC …). Lists of varying length inside of an instruction (locals, branch tables,
 * catch clauses, types of a select) become a token an element, so that each token has a fixed list of
 * immediates. A body that does not parse is kept as bytes: a WASM_TOKEN_RAW and a token a byte. */
#ifndef FL_WASM_OPCODES_H
#define FL_WASM_OPCODES_H

#include "lib/delta/wasm/leb.h"

/* What an immediate means; the predictor of each kind is its own. */
enum wasm_imm {
	WASM_IMM_END,      /* closes a list */
	WASM_IMM_FUNCTION, /* function index */
	WASM_IMM_TYPE,     /* type index */
	WASM_IMM_TABLE,
	WASM_IMM_GLOBAL,
	WASM_IMM_LOCAL,
	WASM_IMM_MEMORY,
	WASM_IMM_DATA,
	WASM_IMM_ELEMENT,
	WASM_IMM_TAG,
	WASM_IMM_FIELD,
	WASM_IMM_LABEL, /* depth of a branch */
	WASM_IMM_BLOCK, /* block type: signed 33 bits; 0x63 and 0x64 go on with a heap type */
	WASM_IMM_HEAP,  /* heap type: signed 33 bits */
	WASM_IMM_ALIGN, /* of a memory access; bit 6: a memory index follows */
	WASM_IMM_OFFSET,
	WASM_IMM_I32,        /* signed LEB */
	WASM_IMM_I64,        /* signed LEB */
	WASM_IMM_COUNT,      /* of what follows */
	WASM_IMM_F32,        /* 4 bytes */
	WASM_IMM_F64,        /* 8 bytes */
	WASM_IMM_LANE,       /* a byte: lane, flags, ordering */
	WASM_IMM_VALUE_TYPE, /* a byte */
	WASM_IMM_PAD,        /* padding of the body's size; not in the bytes of the body */
	WASM_IMM_RAW,        /* a byte of a body that does not parse */
	WASM_IMM_MAX
};

/* In a block type that is a reference: with its heap type, which needs 35 bits. */
#define WASM_BLOCK_REFERENCE ((uint64_t)1 << 40)

#define WASM_IMMS_MAX 5 /* of one token, with the closing WASM_IMM_END */

/* Tokens: plain opcodes are themselves. */
enum {
	WASM_OP_FC = 0x100,          /* saturating conversions, bulk memory, tables */
	WASM_OP_FD = 0x200,          /* SIMD */
	WASM_OP_FE = 0x400,          /* atomics */
	WASM_OP_FB = 0x480,          /* GC */
	WASM_TOKEN_FUNCTION = 0x500, /* begins a body: number of local groups, pad of the size */
	WASM_TOKEN_LOCALS,           /* a group of locals: count, type */
	WASM_TOKEN_LOCALS_REFERENCE, /* a group of locals of a reference type: count, byte, heap type */
	WASM_TOKEN_BRANCH,           /* an entry of br_table, the default too */
	WASM_TOKEN_SELECT,           /* a type of a typed select */
	WASM_TOKEN_SELECT_REFERENCE, /* likewise, a reference type */
	WASM_TOKEN_CATCH,            /* clauses of try_table, in the order of their bytes 0 to 3 */
	WASM_TOKEN_CATCH_REF,
	WASM_TOKEN_CATCH_ALL,
	WASM_TOKEN_CATCH_ALL_REF,
	WASM_TOKEN_RAW,      /* begins a body that does not parse: pad of the size, bytes */
	WASM_TOKEN_RAW_BYTE, /* one of them */
	WASM_TOKEN_MAX
};

/* What a token changes for the structure of the body. */
enum wasm_flow {
	WASM_FLOW_NONE,
	WASM_FLOW_OPEN,     /* opens a block */
	WASM_FLOW_CLOSE,    /* end, or the older delegate: closes one */
	WASM_FLOW_BRANCHES, /* count + 1 branch tokens follow */
	WASM_FLOW_TYPES,    /* count select tokens follow */
	WASM_FLOW_CATCHES,  /* opens a block; count catch tokens follow */
	WASM_FLOW_LOCALS,   /* begins a body; count groups of locals follow */
};

struct wasm_op {
	uint8_t imms[WASM_IMMS_MAX]; /* enum wasm_imm, closed by WASM_IMM_END */
	uint8_t n_imms;
	uint8_t flow; /* enum wasm_flow */
	bool known;
};

/* By token. Filled once by wasm_opcodes_init (any thread, any number of times). */
extern struct wasm_op wasm_ops[WASM_TOKEN_MAX];
void wasm_opcodes_init(void);

/* Whether an immediate is a LEB, which may be padded, and whether it is a signed one. */
static inline bool wasm_imm_is_leb(enum wasm_imm kind)
{
	return kind >= WASM_IMM_FUNCTION && kind <= WASM_IMM_COUNT;
}

static inline bool wasm_imm_is_signed(enum wasm_imm kind)
{
	return kind == WASM_IMM_BLOCK || kind == WASM_IMM_HEAP || kind == WASM_IMM_I32 ||
		kind == WASM_IMM_I64;
}

/* Bytes of a LEB of that kind in its shortest form. */
static inline unsigned wasm_imm_bytes(enum wasm_imm kind, uint64_t v)
{
	return wasm_imm_is_signed(kind) ? wasm_leb_signed_size((int64_t)v)
					: wasm_leb_unsigned_size(v);
}

/* The padding of `v` in the place of a number of `bytes` bytes with `pad` of padding: a padded one keeps
 * its length where it can. */
static inline unsigned wasm_pad_like(enum wasm_imm kind, unsigned pad, size_t bytes, uint64_t v)
{
	unsigned shortest = wasm_imm_bytes(kind, v);

	return pad == 0 || shortest >= bytes ? 0 : (unsigned)bytes - shortest;
}

#endif
