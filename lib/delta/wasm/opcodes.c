/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/wasm/opcodes.h"

#include "lib/err.h"

#include <pthread.h>

struct wasm_op wasm_ops[WASM_TOKEN_MAX];

/* Immediates as letters, so that the table below can be read beside the specification. */
static const uint8_t letters[128] = {
	['f'] = WASM_IMM_FUNCTION,
	['t'] = WASM_IMM_TYPE,
	['T'] = WASM_IMM_TABLE,
	['g'] = WASM_IMM_GLOBAL,
	['l'] = WASM_IMM_LOCAL,
	['m'] = WASM_IMM_MEMORY,
	['d'] = WASM_IMM_DATA,
	['e'] = WASM_IMM_ELEMENT,
	['x'] = WASM_IMM_TAG,
	['i'] = WASM_IMM_FIELD,
	['L'] = WASM_IMM_LABEL,
	['B'] = WASM_IMM_BLOCK,
	['h'] = WASM_IMM_HEAP,
	['a'] = WASM_IMM_ALIGN,
	['o'] = WASM_IMM_OFFSET,
	['n'] = WASM_IMM_COUNT,
	['3'] = WASM_IMM_I32,
	['6'] = WASM_IMM_I64,
	['4'] = WASM_IMM_F32,
	['8'] = WASM_IMM_F64,
	['b'] = WASM_IMM_LANE,
	['v'] = WASM_IMM_VALUE_TYPE,
	['p'] = WASM_IMM_PAD,
	['r'] = WASM_IMM_RAW,
};

struct row {
	uint16_t first, last;
	const char *imms;
	enum wasm_flow flow;
};

#define FC(op) (WASM_OP_FC + (op))
#define FD(op) (WASM_OP_FD + (op))
#define FE(op) (WASM_OP_FE + (op))
#define FB(op) (WASM_OP_FB + (op))

static const struct row rows[] = {
	{ 0x00, 0x01, "", WASM_FLOW_NONE },      /* unreachable, nop */
	{ 0x02, 0x04, "B", WASM_FLOW_OPEN },     /* block, loop, if */
	{ 0x05, 0x05, "", WASM_FLOW_NONE },      /* else */
	{ 0x06, 0x06, "B", WASM_FLOW_OPEN },     /* try */
	{ 0x07, 0x08, "x", WASM_FLOW_NONE },     /* catch, throw */
	{ 0x09, 0x09, "L", WASM_FLOW_NONE },     /* rethrow */
	{ 0x0a, 0x0a, "", WASM_FLOW_NONE },      /* throw_ref */
	{ 0x0b, 0x0b, "", WASM_FLOW_CLOSE },     /* end */
	{ 0x0c, 0x0d, "L", WASM_FLOW_NONE },     /* br, br_if */
	{ 0x0e, 0x0e, "n", WASM_FLOW_BRANCHES }, /* br_table */
	{ 0x0f, 0x0f, "", WASM_FLOW_NONE },      /* return */
	{ 0x10, 0x10, "f", WASM_FLOW_NONE },     /* call */
	{ 0x11, 0x11, "tT", WASM_FLOW_NONE },    /* call_indirect */
	{ 0x12, 0x12, "f", WASM_FLOW_NONE },     /* return_call */
	{ 0x13, 0x13, "tT", WASM_FLOW_NONE },    /* return_call_indirect */
	{ 0x14, 0x15, "t", WASM_FLOW_NONE },     /* call_ref, return_call_ref */
	{ 0x18, 0x18, "L", WASM_FLOW_CLOSE },    /* delegate */
	{ 0x19, 0x1b, "", WASM_FLOW_NONE },      /* catch_all, drop, select */
	{ 0x1c, 0x1c, "n", WASM_FLOW_TYPES },    /* select with types */
	{ 0x1f, 0x1f, "Bn", WASM_FLOW_CATCHES }, /* try_table */
	{ 0x20, 0x22, "l", WASM_FLOW_NONE },     /* local.get, set, tee */
	{ 0x23, 0x24, "g", WASM_FLOW_NONE },     /* global.get, set */
	{ 0x25, 0x26, "T", WASM_FLOW_NONE },     /* table.get, set */
	{ 0x28, 0x3e, "ao", WASM_FLOW_NONE },    /* loads and stores */
	{ 0x3f, 0x40, "m", WASM_FLOW_NONE },     /* memory.size, grow */
	{ 0x41, 0x41, "3", WASM_FLOW_NONE },     /* i32.const */
	{ 0x42, 0x42, "6", WASM_FLOW_NONE },     /* i64.const */
	{ 0x43, 0x43, "4", WASM_FLOW_NONE },     /* f32.const */
	{ 0x44, 0x44, "8", WASM_FLOW_NONE },     /* f64.const */
	{ 0x45, 0xc4, "", WASM_FLOW_NONE },      /* arithmetic */
	{ 0xd0, 0xd0, "h", WASM_FLOW_NONE },     /* ref.null */
	{ 0xd1, 0xd1, "", WASM_FLOW_NONE },      /* ref.is_null */
	{ 0xd2, 0xd2, "f", WASM_FLOW_NONE },     /* ref.func */
	{ 0xd3, 0xd4, "", WASM_FLOW_NONE },      /* ref.eq, ref.as_non_null */
	{ 0xd5, 0xd6, "L", WASM_FLOW_NONE },     /* br_on_null, br_on_non_null */

	{ FC(0), FC(7), "", WASM_FLOW_NONE },     /* saturating truncation */
	{ FC(8), FC(8), "dm", WASM_FLOW_NONE },   /* memory.init */
	{ FC(9), FC(9), "d", WASM_FLOW_NONE },    /* data.drop */
	{ FC(10), FC(10), "mm", WASM_FLOW_NONE }, /* memory.copy */
	{ FC(11), FC(11), "m", WASM_FLOW_NONE },  /* memory.fill */
	{ FC(12), FC(12), "eT", WASM_FLOW_NONE }, /* table.init */
	{ FC(13), FC(13), "e", WASM_FLOW_NONE },  /* elem.drop */
	{ FC(14), FC(14), "TT", WASM_FLOW_NONE }, /* table.copy */
	{ FC(15), FC(17), "T", WASM_FLOW_NONE },  /* table.grow, size, fill */
	{ FC(19), FC(22), "", WASM_FLOW_NONE },   /* wide arithmetic */

	{ FD(0x00), FD(0x0b), "ao", WASM_FLOW_NONE }, /* loads and the store */
	{ FD(0x0c), FD(0x0d), "88", WASM_FLOW_NONE }, /* v128.const, shuffle */
	{ FD(0x0e), FD(0x14), "", WASM_FLOW_NONE },
	{ FD(0x15), FD(0x22), "b", WASM_FLOW_NONE }, /* lanes */
	{ FD(0x23), FD(0x53), "", WASM_FLOW_NONE },
	{ FD(0x54), FD(0x5b), "aob", WASM_FLOW_NONE }, /* loads and stores of a lane */
	{ FD(0x5c), FD(0x5d), "ao", WASM_FLOW_NONE },  /* loads with zeroes */
	{ FD(0x5e), FD(0x1ff), "", WASM_FLOW_NONE },

	{ FE(0x00), FE(0x02), "ao", WASM_FLOW_NONE }, /* notify, wait */
	{ FE(0x03), FE(0x03), "b", WASM_FLOW_NONE },  /* fence */
	{ FE(0x10), FE(0x4e), "ao", WASM_FLOW_NONE },

	{ FB(0), FB(1), "t", WASM_FLOW_NONE },      /* struct.new, new_default */
	{ FB(2), FB(5), "ti", WASM_FLOW_NONE },     /* struct.get, get_s, get_u, set */
	{ FB(6), FB(7), "t", WASM_FLOW_NONE },      /* array.new, new_default */
	{ FB(8), FB(8), "tn", WASM_FLOW_NONE },     /* array.new_fixed */
	{ FB(9), FB(9), "td", WASM_FLOW_NONE },     /* array.new_data */
	{ FB(10), FB(10), "te", WASM_FLOW_NONE },   /* array.new_elem */
	{ FB(11), FB(14), "t", WASM_FLOW_NONE },    /* array.get, get_s, get_u, set */
	{ FB(15), FB(15), "", WASM_FLOW_NONE },     /* array.len */
	{ FB(16), FB(16), "t", WASM_FLOW_NONE },    /* array.fill */
	{ FB(17), FB(17), "tt", WASM_FLOW_NONE },   /* array.copy */
	{ FB(18), FB(18), "td", WASM_FLOW_NONE },   /* array.init_data */
	{ FB(19), FB(19), "te", WASM_FLOW_NONE },   /* array.init_elem */
	{ FB(20), FB(23), "h", WASM_FLOW_NONE },    /* ref.test, ref.cast, with and without null */
	{ FB(24), FB(25), "bLhh", WASM_FLOW_NONE }, /* br_on_cast, br_on_cast_fail */
	{ FB(26), FB(30), "", WASM_FLOW_NONE },     /* conversions, i31 */

	{ WASM_TOKEN_FUNCTION, WASM_TOKEN_FUNCTION, "np", WASM_FLOW_LOCALS },
	{ WASM_TOKEN_LOCALS, WASM_TOKEN_LOCALS, "nv", WASM_FLOW_NONE },
	{ WASM_TOKEN_LOCALS_REFERENCE, WASM_TOKEN_LOCALS_REFERENCE, "nvh", WASM_FLOW_NONE },
	{ WASM_TOKEN_BRANCH, WASM_TOKEN_BRANCH, "L", WASM_FLOW_NONE },
	{ WASM_TOKEN_SELECT, WASM_TOKEN_SELECT, "v", WASM_FLOW_NONE },
	{ WASM_TOKEN_SELECT_REFERENCE, WASM_TOKEN_SELECT_REFERENCE, "vh", WASM_FLOW_NONE },
	{ WASM_TOKEN_CATCH, WASM_TOKEN_CATCH_REF, "xL", WASM_FLOW_NONE },
	{ WASM_TOKEN_CATCH_ALL, WASM_TOKEN_CATCH_ALL_REF, "L", WASM_FLOW_NONE },
	{ WASM_TOKEN_RAW, WASM_TOKEN_RAW, "np", WASM_FLOW_NONE },
	{ WASM_TOKEN_RAW_BYTE, WASM_TOKEN_RAW_BYTE, "r", WASM_FLOW_NONE },
};

static void fill(const struct row *row)
{
	for (unsigned op = row->first; op <= row->last; op++) {
		struct wasm_op *to = &wasm_ops[op];

		to->known = true;
		to->flow = (uint8_t)row->flow;
		for (const char *c = row->imms; *c != '\0'; c++) {
			FL_BUG_IF(to->n_imms + 1 >= WASM_IMMS_MAX);
			to->imms[to->n_imms++] = letters[(unsigned char)*c];
		}
	}
}

static void fill_all(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		fill(&rows[i]);
}

void wasm_opcodes_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, fill_all);
}
