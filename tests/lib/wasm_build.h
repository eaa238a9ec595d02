/* SPDX-License-Identifier: Apache-2.0
 *
 * WebAssembly modules made for tests: the same recipe, the same bytes. Two recipes that differ in one
 * field give modules that differ as two builds do: a function more shifts all indices behind it, data
 * that grow move all addresses. */
#ifndef TESTS_LIB_WASM_BUILD_H
#define TESTS_LIB_WASM_BUILD_H

#include "lib/buf.h"

struct wasm_recipe {
	uint64_t seed;
	unsigned functions;
	unsigned inserted;   /* functions put before the others */
	unsigned data_grown; /* bytes put before the data */
	unsigned changed;    /* every n-th function gets another body; 0: none */
	unsigned raw;        /* every n-th function has an opcode that nobody knows; 0: none */
	unsigned pad;        /* padding of the calls' indices */
	bool names;          /* with names of functions */
};

/* Append the module. */
void wasm_build(const struct wasm_recipe *recipe, struct fl_buf *out);

/* The next number of a sequence that is the same everywhere. */
uint64_t wasm_build_random(uint64_t *state);

#endif
