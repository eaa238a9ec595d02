/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoders on modules of any instructions: the first byte chooses the adaptive coder's model, the next the
 * number of edits, then come the edits and the program of the old module; the edited one is the new
 * module's. With the highest bit of the first byte both are damaged by an edit. Both back ends refuse, or
 * the deltas of both decode to the very bytes within the memory that they state. */
#include "tests/fuzz/delta_inputs.h"
#include "tests/lib/wasm_program.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void damage(struct fl_buf *module, const uint8_t *e)
{
	module->p[((size_t)e[0] << 8 | e[1]) % module->n] ^= e[2];
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char *const adaptive[] = { "wasm-delta-256k", "wasm-delta-1m",
		"wasm-delta-16m" };
	FL_AUTO_BUF struct fl_buf edited = { 0 }, old = { 0 }, new = { 0 };
	struct fl_bytes edits, program, from, to;

	if (n < 2 || n < 2 + WASM_EDIT * (size_t)p[1])
		return 0;
	edits = (struct fl_bytes){ p + 2, WASM_EDIT * (size_t)p[1] };
	program = (struct fl_bytes){ edits.p + edits.n, n - 2 - edits.n };
	wasm_program_edit(program, edits, &edited);
	wasm_program_build(program, &old);
	wasm_program_build((struct fl_bytes){ edited.p, edited.n }, &new);
	if (p[0] >= 0x80 && edits.n > 0) {
		damage(&old, edits.p);
		damage(&new, edits.p + edits.n - WASM_EDIT);
	}
	from = (struct fl_bytes){ old.p, old.n };
	to = (struct fl_bytes){ new.p, new.n };
	FL_BUG_IF(fuzz_round_trip(fl_codec_find("wasm-delta"), from, to) !=
		fuzz_round_trip(
			fl_codec_find(adaptive[p[0] % 128 < 3 ? p[0] % 128 : 0]), from, to));
	return 0;
}
