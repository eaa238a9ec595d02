/* SPDX-License-Identifier: Apache-2.0
 *
 * A WebAssembly module taken apart, so that each part can be predicted by what is known of it.
 *
 * DESIGN. Six kinds of sections are structured: functions (types), exports, elements, code, data, and
 * the function names of the custom section "name". Their indices, bodies and payloads go into tables;
 * everything else of the module, byte for byte, is the *residue*. Splitting is checked by joining at
 * once: a section that does not come back exactly stays whole in the residue.
 *
 * The encoder splits both modules. The decoder splits the old one; of the new one it decodes first
 * the layout and the residue, then wasm_module_scan finds how large the tables are, the model fills
 * them, and wasm_section_join gives the sections' bytes. */
#ifndef FL_WASM_MODULE_H
#define FL_WASM_MODULE_H

#include "lib/delta/wasm/leb.h"

enum wasm_section_id {
	WASM_SECTION_CUSTOM = 0,
	WASM_SECTION_TYPE = 1,
	WASM_SECTION_IMPORT = 2,
	WASM_SECTION_FUNCTION = 3,
	WASM_SECTION_EXPORT = 7,
	WASM_SECTION_ELEMENT = 9,
	WASM_SECTION_CODE = 10,
	WASM_SECTION_DATA = 11,
	WASM_SECTION_ID_MAX = 14, /* the first that does not exist */
};

struct wasm_section {
	uint8_t id;
	uint8_t pad; /* of its size */
	bool structured;
	struct fl_bytes payload; /* in the module's bytes; none in a decoder's new module */
	size_t residue_at, residue_n;
};

struct wasm_export {
	struct fl_bytes name;
	uint8_t kind; /* 0 is a function */
	uint32_t index;
};

struct wasm_body {
	struct fl_bytes bytes; /* behind its size */
	uint8_t size_pad;
};

/* Function indices of all element segments in a row; each segment begins at `first` in them and is
 * loaded to table slot `slot`. */
struct wasm_element_segment {
	uint32_t first, slot;
};

#define WASM_NO_ADDRESS UINT64_MAX

/* A data segment: n bytes at `at` of all payloads in a row, loaded to `address`. */
struct wasm_data_segment {
	uint32_t at, n;
	uint64_t address;     /* WASM_NO_ADDRESS: passive or not constant */
	const uint8_t *bytes; /* of the module; NULL in a decoder's new one */
};

struct wasm_name {
	uint32_t index;
	struct fl_bytes name;
};

struct wasm_module {
	struct fl_heap *heap; /* for all below, borrowed; NULL: malloc's */
	struct fl_bytes bytes;
	struct wasm_section *sections;
	size_t n_sections;
	struct fl_buf residue;
	struct fl_bytes *types; /* their encodings */
	size_t n_types;
	struct fl_bytes *imports; /* of functions: module and field names as they are encoded */
	size_t n_imports;
	uint32_t *function_types; /* of defined functions */
	size_t n_functions;
	struct wasm_export *exports;
	size_t n_exports;
	uint32_t *elements;
	size_t n_elements;
	struct wasm_element_segment *element_segments;
	size_t n_element_segments;
	struct wasm_body *bodies;
	size_t n_bodies;
	struct wasm_data_segment *data;
	size_t n_data, data_bytes;
	struct wasm_name *names;
	size_t n_names;
};

/* Split `bytes` (borrowed by `m`, which is zeroed but for its heap). FL_REFUSED: not a core module of version 1, or
 * its sections do not fill it; FL_NOMEM. */
enum fl_code wasm_module_split(
	struct wasm_module *m, struct fl_bytes bytes, struct fl_err *err) FL_MUST_CHECK;
void wasm_module_fini(struct wasm_module *m);

/* Find the tables' sizes and what the residue tells, in a decoder's new module whose sections (id,
 * pad, structured, residue) and residue are there. Allocates the tables. FL_CORRUPT, FL_NOMEM; FL_CORRUPT
 * too when the tables would be larger than `limit` bytes of output could ever need. */
enum fl_code wasm_module_scan(
	struct wasm_module *m, uint64_t limit, struct fl_err *err) FL_MUST_CHECK;

/* Append the payload of section `i` from residue and tables; not for structured code and data, whose
 * bytes the model gives: of a data section wasm_data_heads makes what stands between the payloads. */
enum fl_code wasm_section_join(const struct wasm_module *m, size_t i, struct fl_buf *out,
	struct fl_err *err) FL_MUST_CHECK;

/* Append what a structured data section has besides the payloads: the count and the heads of all
 * segments; ends[k] (of m->n_data) is where the bytes before payload k end. */
enum fl_code wasm_data_heads(const struct wasm_module *m, size_t section, struct fl_buf *out,
	uint32_t *ends, struct fl_err *err) FL_MUST_CHECK;

#endif
