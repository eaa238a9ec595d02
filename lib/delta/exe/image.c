/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers of formats: System V ABI, gABI 4.1 ("ELF Header", "Sections"); Linux Standard Base Core,
 * 10.6 (.eh_frame, .eh_frame_hdr). */
#include "lib/delta/exe/image.h"

#include <elf.h>
#include <string.h>

/* ---- sections */

/* One section header, of either width. */
struct section {
	uint32_t type;
	uint64_t flags, address, offset, size;
	const char *name; /* "" if there is none */
};

struct sections {
	struct fl_bytes bytes;
	bool wide;
	uint64_t at; /* of the headers */
	unsigned n, each, names;
};

static struct section header_at(const struct sections *s, unsigned i)
{
	const uint8_t *p = s->bytes.p + s->at + (uint64_t)i * s->each;
	struct section h = { .type = exe_u32(p + 4), .name = "" };

	if (s->wide) {
		h.flags = exe_u64(p + 8);
		h.address = exe_u64(p + 16);
		h.offset = exe_u64(p + 24);
		h.size = exe_u64(p + 32);
	} else {
		h.flags = exe_u32(p + 8);
		h.address = exe_u32(p + 12);
		h.offset = exe_u32(p + 16);
		h.size = exe_u32(p + 20);
	}
	return h;
}

static bool lies_in_file(const struct sections *s, const struct section *h)
{
	return h->type != SHT_NOBITS && h->offset <= s->bytes.n &&
		h->size <= s->bytes.n - h->offset;
}

static struct section section_at(const struct sections *s, unsigned i)
{
	struct section h = header_at(s, i), names = header_at(s, s->names);
	uint32_t name = exe_u32(s->bytes.p + s->at + (uint64_t)i * s->each);
	const char *text;

	if (!lies_in_file(s, &names) || name >= names.size)
		return h;
	text = (const char *)s->bytes.p + names.offset + name;
	if (memchr(text, 0, names.size - name) != NULL)
		h.name = text;
	return h;
}

static enum fl_code find_sections(struct fl_bytes b, struct sections *s, struct fl_err *err)
{
	const uint8_t *p = b.p;
	uint64_t size;

	if (b.n < sizeof(Elf64_Ehdr) || memcmp(p, ELFMAG, SELFMAG) != 0 ||
		p[EI_DATA] != ELFDATA2LSB ||
		(p[EI_CLASS] != ELFCLASS64 && p[EI_CLASS] != ELFCLASS32))
		return fl_fail(err, FL_REFUSED, "not a little-endian ELF file");
	*s = (struct sections){ .bytes = b, .wide = p[EI_CLASS] == ELFCLASS64 };
	s->at = s->wide ? exe_u64(p + 40) : exe_u32(p + 32);
	p += s->wide ? 58 : 46;
	s->each = exe_u16(p);
	s->n = exe_u16(p + 2);
	s->names = exe_u16(p + 4);
	size = (uint64_t)s->n * s->each;
	if (s->each != (s->wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr)) || s->names >= s->n ||
		s->at > b.n || size > b.n - s->at)
		return fl_fail(err, FL_REFUSED, "the ELF file has no section headers");
	return FL_OK;
}

/* ---- pieces */

static bool find_isa(unsigned machine, enum exe_isa *out)
{
	switch (machine) {
	case EM_X86_64:
		*out = EXE_X86_64;
		return true;
	case EM_AARCH64:
		*out = EXE_AARCH64;
		return true;
	case EM_ARM:
		*out = EXE_THUMB2;
		return true;
	case EM_RISCV:
		*out = EXE_RISCV;
		return true;
	default:
		return false;
	}
}

static bool find_kind(const struct sections *s, const struct section *h, enum exe_piece_kind *out)
{
	bool loaded = (h->flags & SHF_ALLOC) != 0;

	if (h->type == SHT_SYMTAB || h->type == SHT_DYNSYM)
		*out = EXE_SYMBOLS;
	else if (!loaded)
		return false;
	else if ((h->flags & SHF_EXECINSTR) != 0)
		*out = EXE_CODE;
	else if (h->type == SHT_RELA && s->wide)
		*out = EXE_RELA;
	else if (h->type == SHT_REL && !s->wide)
		*out = EXE_REL;
	else if (strcmp(h->name, ".eh_frame") == 0)
		*out = EXE_FRAMES;
	else if (strcmp(h->name, ".eh_frame_hdr") == 0)
		*out = EXE_FRAME_TABLE;
	else if (h->type == SHT_PROGBITS || h->type == SHT_INIT_ARRAY ||
		h->type == SHT_FINI_ARRAY || h->type == SHT_DYNAMIC)
		*out = EXE_WORDS;
	else
		return false;
	return true;
}

static void widen(uint64_t *from, uint64_t *to, const struct section *h)
{
	if (h->size > UINT64_MAX - h->address)
		return;
	*from = h->address < *from ? h->address : *from;
	*to = h->address + h->size > *to ? h->address + h->size : *to;
}

enum fl_code exe_image_elf(struct fl_bytes bytes, struct exe_image *out, struct fl_err *err)
{
	struct sections s;
	enum fl_code code = find_sections(bytes, &s, err);
	struct exe_image m = { .bytes = bytes };

	if (code != FL_OK)
		return code;
	if (!find_isa(exe_u16(bytes.p + 18), &m.isa))
		return fl_fail(err, FL_REFUSED, "the ELF file is for another machine");
	m.wide = s.wide;
	m.span = (struct exe_span){ UINT64_MAX, 0, UINT64_MAX, 0 };
	for (unsigned i = 1; i < s.n && m.n < EXE_PIECES_MAX; i++) {
		struct section h = section_at(&s, i);
		enum exe_piece_kind kind;

		if ((h.flags & SHF_ALLOC) != 0 && h.address != 0 && (h.flags & SHF_TLS) == 0)
			widen(&m.span.all, &m.span.all_end, &h);
		if (!lies_in_file(&s, &h) || !find_kind(&s, &h, &kind))
			continue;
		if (kind == EXE_CODE)
			widen(&m.span.code, &m.span.code_end, &h);
		m.pieces[m.n++] = (struct exe_piece){ kind, (size_t)h.offset,
			(size_t)(h.offset + h.size), h.address };
	}
	if (m.span.code_end == 0)
		return fl_fail(err, FL_REFUSED, "the ELF file has no code");
	*out = m;
	return FL_OK;
}

void exe_image_bare(struct fl_bytes bytes, enum exe_isa isa, uint64_t base, struct exe_image *out)
{
	*out = (struct exe_image){
		.bytes = bytes,
		.isa = isa,
		.span = { base, base + bytes.n, base, base + bytes.n },
		.pieces = { { EXE_CODE, 0, bytes.n, base }, { EXE_WORDS, 0, bytes.n, base } },
		.n = 2,
	};
}

enum fl_code exe_image_guess(struct fl_bytes bytes, uint64_t *base, struct fl_err *err)
{
	uint32_t stack, reset;

	if (bytes.n < 1024)
		return fl_fail(err, FL_REFUSED, "too short for an image of firmware");
	stack = exe_u32(bytes.p);
	reset = exe_u32(bytes.p + 4);
	/* RAM lies between 0x1... and 0x3..., flash below, the reset vector has the Thumb bit */
	if (stack < 0x10000000 || stack >= 0x40000000 || (stack & 3) != 0 || (reset & 1) == 0 ||
		reset >= 0x20000000)
		return fl_fail(err, FL_REFUSED, "not an executable");
	*base = reset & ~0xffffU;
	return FL_OK;
}

/* ---- numbers in tables */

static void add_words(
	const struct exe_image *m, const struct exe_piece *p, exe_ref_fn fn, void *ctx)
{
	size_t step = m->wide ? 8 : 4;

	for (size_t i = p->from + (step - p->address % step) % step; i + step <= p->to; i += step) {
		struct exe_ref r = { .kind = m->wide ? EXE_ABS64 : EXE_ABS32, .at = i };

		r.target = m->wide ? exe_u64(m->bytes.p + i) : exe_u32(m->bytes.p + i);
		if (r.target >= m->span.all && r.target < m->span.all_end)
			fn(ctx, &r);
	}
}

/* 64 bits: offset, info, addend; 32 bits: offset, info. */
static void add_relocations(
	const struct exe_image *m, const struct exe_piece *p, exe_ref_fn fn, void *ctx)
{
	size_t step = p->kind == EXE_RELA ? 24 : 8;

	for (size_t i = p->from; i + step <= p->to; i += step) {
		struct exe_ref r = { .kind = m->wide ? EXE_ABS64 : EXE_ABS32, .at = i };

		r.target = m->wide ? exe_u64(m->bytes.p + i) : exe_u32(m->bytes.p + i);
		fn(ctx, &r);
		if (p->kind != EXE_RELA)
			continue;
		r.at = i + 16;
		r.target = exe_u64(m->bytes.p + i + 16);
		if (r.target >= m->span.all && r.target < m->span.all_end)
			fn(ctx, &r);
	}
}

static void add_symbols(
	const struct exe_image *m, const struct exe_piece *p, exe_ref_fn fn, void *ctx)
{
	size_t step = m->wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);

	for (size_t i = p->from; i + step <= p->to; i += step) {
		struct exe_ref r = { .kind = m->wide ? EXE_ABS64 : EXE_ABS32,
			.at = i + (m->wide ? 8 : 4) };

		r.target = m->wide ? exe_u64(m->bytes.p + r.at) : exe_u32(m->bytes.p + r.at);
		if (r.target >= m->span.all && r.target < m->span.all_end)
			fn(ctx, &r);
	}
}

static void add_relative(
	const struct exe_image *m, size_t at, uint64_t place, exe_ref_fn fn, void *ctx)
{
	struct exe_ref r = { .kind = EXE_REL32, .at = at, .place = place };

	r.target = place + (uint64_t)(int64_t)(int32_t)exe_u32(m->bytes.p + at);
	if (r.target >= m->span.all && r.target < m->span.all_end)
		fn(ctx, &r);
}

/* Each entry that is no head of others begins with the address of a function, relative to itself. */
static void add_frames(
	const struct exe_image *m, const struct exe_piece *p, exe_ref_fn fn, void *ctx)
{
	for (size_t i = p->from; i + 12 <= p->to;) {
		uint32_t length = exe_u32(m->bytes.p + i);

		if (length < 4 || length > p->to - i - 4)
			break;
		if (exe_u32(m->bytes.p + i + 4) != 0 && length >= 8)
			add_relative(m, i + 8, p->address + (i + 8 - p->from), fn, ctx);
		i += 4 + length;
	}
}

/* A table of pairs (function, frame), both relative to the beginning of the section. */
static void add_frame_table(
	const struct exe_image *m, const struct exe_piece *p, exe_ref_fn fn, void *ctx)
{
	const uint8_t *b = m->bytes.p + p->from;

	if (p->to - p->from < 12 || b[0] != 1 || b[1] != 0x1b || b[2] != 0x03 || b[3] != 0x3b)
		return;
	add_relative(m, p->from + 4, p->address + 4, fn, ctx);
	for (size_t i = p->from + 12; i + 4 <= p->to; i += 4)
		add_relative(m, i, p->address, fn, ctx);
}

/* ---- all */

static void add_piece(
	const struct exe_image *m, const struct exe_piece *p, exe_ref_fn fn, void *ctx)
{
	const struct exe_code code = { m->bytes, p->from, p->to, p->address, &m->span };

	switch (p->kind) {
	case EXE_CODE:
		exe_refs_find(m->isa, &code, fn, ctx);
		break;
	case EXE_WORDS:
		add_words(m, p, fn, ctx);
		break;
	case EXE_RELA:
	case EXE_REL:
		add_relocations(m, p, fn, ctx);
		break;
	case EXE_SYMBOLS:
		add_symbols(m, p, fn, ctx);
		break;
	case EXE_FRAMES:
		add_frames(m, p, fn, ctx);
		break;
	case EXE_FRAME_TABLE:
		add_frame_table(m, p, fn, ctx);
		break;
	}
}

void exe_image_refs(const struct exe_image *image, unsigned what, exe_ref_fn fn, void *ctx)
{
	for (size_t i = 0; i < image->n; i++) {
		const struct exe_piece *p = &image->pieces[i];
		unsigned needs = p->kind == EXE_CODE ? 0
			: p->kind == EXE_WORDS       ? EXE_WITH_WORDS
						     : EXE_WITH_TABLES;

		if ((what & needs) == needs)
			add_piece(image, p, fn, ctx);
	}
}

uint64_t exe_image_address(const struct exe_image *image, size_t at)
{
	for (size_t i = 0; i < image->n; i++) {
		const struct exe_piece *p = &image->pieces[i];

		if (at >= p->from && at < p->to && p->kind != EXE_SYMBOLS)
			return p->address + (at - p->from);
	}
	return UINT64_MAX;
}
