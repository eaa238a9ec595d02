/* SPDX-License-Identifier: Apache-2.0
 *
 * An executable file as pieces of code and tables with their addresses: ELF by its section headers, or
 * a bare image of firmware, all of it code. */
#ifndef FL_EXE_IMAGE_H
#define FL_EXE_IMAGE_H

#include "lib/delta/exe/refs.h"

enum exe_piece_kind {
	EXE_CODE,
	EXE_WORDS, /* may hold pointers */
	EXE_RELA,  /* relocations with an addend, 64 bits */
	EXE_REL,   /* relocations without, 32 bits */
	EXE_SYMBOLS,
	EXE_FRAMES,     /* .eh_frame */
	EXE_FRAME_TABLE /* .eh_frame_hdr */
};

struct exe_piece {
	enum exe_piece_kind kind;
	size_t from, to; /* in the file */
	uint64_t address;
};

#define EXE_PIECES_MAX 64

struct exe_image {
	struct fl_bytes bytes;
	enum exe_isa isa;
	bool wide; /* 64 bits */
	struct exe_span span;
	struct exe_piece pieces[EXE_PIECES_MAX];
	size_t n;
};

/* What is changed in the old bytes besides branches; bits of a delta's head. */
enum exe_what {
	EXE_WITH_TABLES = 1, /* relocations, symbols, frames */
	EXE_WITH_WORDS = 2,  /* words that look like pointers */
};

/* Take an ELF file apart; little-endian ones of a known machine. FL_REFUSED: it is none. */
enum fl_code exe_image_elf(
	struct fl_bytes bytes, struct exe_image *out, struct fl_err *err) FL_MUST_CHECK;
/* A bare image that stands at `base`. */
void exe_image_bare(struct fl_bytes bytes, enum exe_isa isa, uint64_t base, struct exe_image *out);
/* Guess what a bare image is from the vectors at its beginning (ARMv7-M, B1.5.3). FL_REFUSED. */
enum fl_code exe_image_guess(
	struct fl_bytes bytes, uint64_t *base, struct fl_err *err) FL_MUST_CHECK;

/* All numbers of the image that name places, piece by piece. */
void exe_image_refs(const struct exe_image *image, unsigned what, exe_ref_fn fn, void *ctx);
/* The address at which a byte of the file stands; UINT64_MAX: it is not loaded. */
uint64_t exe_image_address(const struct exe_image *image, size_t at);

#endif
