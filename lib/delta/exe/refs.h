/* SPDX-License-Identifier: Apache-2.0
 *
 * Places in machine code and tables that name another place: branches, addresses, pointers.
 *
 * DESIGN. When a program is built again, most of its bytes move, and with them every such number
 * changes though nothing was written anew. Here each kind of number is a row: how to find it, and how
 * to write it for another place and another target. Finding is a guess from the bytes alone, no
 * disassembly; a wrong guess costs some bytes of a delta, never its correctness, since both sides
 * guess over the same old bytes.
 *
 * To add an instruction set: a scanner in refs_<name>.c, its row in exe_isas[], its machine number. */
#ifndef FL_EXE_REFS_H
#define FL_EXE_REFS_H

#include "lib/buf.h"

#include <stdbool.h>

enum exe_isa { EXE_X86_64, EXE_AARCH64, EXE_THUMB2, EXE_RISCV, EXE_ISA_MAX };

enum exe_kind {
	EXE_REL32,      /* i32 from the place that follows it (x86-64) or is it (tables) */
	EXE_A64_BRANCH, /* B, BL: 26 bits */
	EXE_A64_PAGE,   /* ADRP and what adds the low 12 bits */
	EXE_T2_BRANCH,  /* BL, BLX, B.W */
	EXE_RV_JAL,
	EXE_RV_PAIR, /* AUIPC and what adds the low 12 bits */
	EXE_ABS32,
	EXE_ABS64,
};

/* One such number. */
struct exe_ref {
	enum exe_kind kind;
	size_t at;       /* offset in the bytes */
	size_t low;      /* of the instruction with the low bits; 0: none */
	uint64_t place;  /* address from which it counts */
	uint64_t target; /* address that it names */
};

/* Addresses that make sense as targets. */
struct exe_span {
	uint64_t code, code_end; /* of branches */
	uint64_t all, all_end;   /* of anything */
};

typedef void (*exe_ref_fn)(void *ctx, const struct exe_ref *ref);

/* A piece of code: bytes[from..to) stands at `address`. */
struct exe_code {
	struct fl_bytes bytes;
	size_t from, to;
	uint64_t address;
	const struct exe_span *span;
};

/* Find the numbers in a piece of code, in order; none overlaps another. */
void exe_refs_find(enum exe_isa isa, const struct exe_code *code, exe_ref_fn fn, void *ctx);
/* Write the number for another place and target, where it fits; otherwise leave it. With both 0 all
 * numbers of a kind look the same. */
void exe_ref_write(uint8_t *bytes, const struct exe_ref *ref, uint64_t place, uint64_t target);

/* Little-endian numbers. */
static inline uint32_t exe_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t exe_u64(const uint8_t *p)
{
	return exe_u32(p) | (uint64_t)exe_u32(p + 4) << 32;
}
static inline uint32_t exe_u16(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}
static inline void exe_put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}
static inline void exe_put64(uint8_t *p, uint64_t v)
{
	exe_put32(p, (uint32_t)v);
	exe_put32(p + 4, (uint32_t)(v >> 32));
}

#endif
