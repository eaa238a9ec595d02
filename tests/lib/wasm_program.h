/* SPDX-License-Identifier: Apache-2.0
 *
 * WebAssembly modules from any bytes: for fuzzers and random tests.
 *
 * DESIGN. Every three bytes are a statement: it begins a body, adds an instruction of any kind that the
 * parser knows to the present one, or something to another section. So whatever the bytes are, a module
 * comes out that splits and parses, and bytes that differ a little give modules that do. */
#ifndef TESTS_LIB_WASM_PROGRAM_H
#define TESTS_LIB_WASM_PROGRAM_H

#include "lib/buf.h"

/* Bytes of a statement, and of an edit. */
#define WASM_STATEMENT 3
#define WASM_EDIT      3

/* Append the module of a program, whose last incomplete statement counts for nothing. */
void wasm_program_build(struct fl_bytes program, struct fl_buf *out);

/* Append the program with edits: each is a place, what to do there (delete, change, repeat another
 * statement, or begin a body), and a number for that; a byte each. */
void wasm_program_edit(struct fl_bytes program, struct fl_bytes edits, struct fl_buf *out);

/* Append one body of random instructions, all that the parser knows, from its count of locals to its
 * end. */
void wasm_program_any_body(uint64_t seed, struct fl_buf *out);

#endif
