/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/exe/refs.h"

static bool in_code(const struct exe_span *s, uint64_t a)
{
	return a >= s->code && a < s->code_end;
}

static bool in_all(const struct exe_span *s, uint64_t a)
{
	return a >= s->all && a < s->all_end;
}

/* Bits [from, from + n) of v. */
static uint32_t bits(uint32_t v, unsigned from, unsigned n)
{
	return v >> from & ((1U << n) - 1);
}

/* The low n bits of v as a signed number. */
static int64_t extend(uint64_t v, unsigned n)
{
	uint64_t sign = 1ULL << (n - 1);

	v &= (sign << 1) - 1;
	return (int64_t)((v ^ sign) - sign);
}

static bool fits(int64_t v, unsigned n)
{
	return v >= -(1LL << (n - 1)) && v < 1LL << (n - 1);
}

/* ---- x86-64: AMD64 Architecture Programmer's Manual, volume 3 */

/* Opcodes that are commonly followed by a ModRM byte with an address relative to RIP. */
static bool takes_modrm(const uint8_t *p, size_t i)
{
	static const uint8_t one[] = { 0x8b, 0x8d, 0x89, 0x88, 0x8a, 0x3b, 0x39, 0x38, 0x3a, 0x83,
		0x80, 0x81, 0xc7, 0xc6, 0xff, 0x63, 0x03, 0x2b, 0x85, 0xf6, 0xf7, 0x01, 0x29, 0x0b,
		0x23, 0x33 };

	if (i >= 2 && p[i - 2] == 0x0f)
		return true;
	for (size_t k = 0; k < sizeof(one); k++)
		if (p[i - 1] == one[k])
			return true;
	return false;
}

static void find_x86(const struct exe_code *c, exe_ref_fn fn, void *ctx)
{
	const uint8_t *p = c->bytes.p;

	for (size_t i = c->from; i + 5 <= c->to; i++) {
		bool call = p[i] == 0xe8 || p[i] == 0xe9;
		bool jump = p[i] >= 0x80 && p[i] <= 0x8f && i > c->from && p[i - 1] == 0x0f;
		bool data = (p[i] & 0xc7) == 0x05 && i > c->from && takes_modrm(p, i);
		struct exe_ref r = { .kind = EXE_REL32, .at = i + 1 };

		if (!call && !jump && !data)
			continue;
		r.place = c->address + (i + 5 - c->from);
		r.target = r.place + (uint64_t)extend(exe_u32(p + i + 1), 32);
		if (call || jump ? !in_code(c->span, r.target) : !in_all(c->span, r.target))
			continue;
		fn(ctx, &r);
		i += 4;
	}
}

/* ---- AArch64: Arm Architecture Reference Manual, C6.2 */

static int64_t adrp_pages(uint32_t w)
{
	return extend((uint64_t)bits(w, 5, 19) << 2 | bits(w, 29, 2), 21);
}

/* Scale of the low 12 bits in an ADD or a load or store with an unsigned offset that uses register
 * `base`; -1: it is neither. */
static int low_scale(uint32_t w, uint32_t base)
{
	if (bits(w, 5, 5) != base)
		return -1;
	if ((w & 0x7fc00000) == 0x11000000)
		return 0;
	if ((w & 0x3b000000) != 0x39000000)
		return -1;
	/* the 128-bit forms of vectors have size 0 and opc 1x */
	return (w & 0x04800000) == 0x04800000 && bits(w, 30, 2) == 0 ? 4 : (int)bits(w, 30, 2);
}

static struct exe_ref page_ref(const struct exe_code *c, size_t i, uint32_t w)
{
	uint64_t place = c->address + (i - c->from);
	struct exe_ref r = { .kind = EXE_A64_PAGE, .at = i, .place = place };

	r.target = (place & ~0xfffULL) + ((uint64_t)adrp_pages(w) << 12);
	for (size_t k = i + 4; k + 4 <= c->to && k <= i + 32; k += 4) {
		uint32_t next = exe_u32(c->bytes.p + k);
		int scale = low_scale(next, bits(w, 0, 5));

		if (scale < 0)
			continue;
		r.low = k;
		r.target += (uint64_t)bits(next, 10, 12) << scale;
		break;
	}
	return r;
}

static void find_a64(const struct exe_code *c, exe_ref_fn fn, void *ctx)
{
	size_t low = 0; /* of the last pair: not looked at again */

	for (size_t i = c->from; i + 4 <= c->to; i += 4) {
		uint32_t w = exe_u32(c->bytes.p + i);
		struct exe_ref r = { .kind = EXE_A64_BRANCH, .at = i };

		if ((w & 0x7c000000) == 0x14000000) {
			r.place = c->address + (i - c->from);
			r.target = r.place + (uint64_t)(extend(w, 26) * 4);
			if (in_code(c->span, r.target))
				fn(ctx, &r);
		} else if ((w & 0x9f000000) == 0x90000000) {
			r = page_ref(c, i, w);
			if (r.low != 0 && r.low == low)
				r.low = 0;
			if (in_all(c->span, r.target))
				fn(ctx, &r);
			low = r.low;
		}
	}
}

static void write_page(uint8_t *p, const struct exe_ref *r, uint64_t place, uint64_t target)
{
	int64_t pages = (int64_t)(target >> 12) - (int64_t)(place >> 12);
	uint32_t w = exe_u32(p + r->at), low;
	int scale;

	if (!fits(pages, 21))
		return;
	if (r->low != 0) {
		low = exe_u32(p + r->low);
		scale = low_scale(low, bits(w, 0, 5));
		if (scale < 0 || (target & ((1ULL << scale) - 1)) != 0)
			return;
		low &= ~(0xfffU << 10);
		low |= (uint32_t)((target & 0xfff) >> scale) << 10;
		exe_put32(p + r->low, low);
	}
	w &= 0x9f00001f;
	w |= (uint32_t)(pages & 3) << 29 | (uint32_t)(pages >> 2 & 0x7ffff) << 5;
	exe_put32(p + r->at, w);
}

/* ---- Thumb-2: Arm Architecture Reference Manual, ARMv7-M, A7.7.12 and A7.7.18 */

static bool is_t2_branch(uint32_t first, uint32_t second)
{
	return (first & 0xf800) == 0xf000 &&
		((second & 0xd000) == 0xd000 || (second & 0xd000) == 0x9000 ||
			(second & 0xd001) == 0xc000);
}

static void find_t2(const struct exe_code *c, exe_ref_fn fn, void *ctx)
{
	for (size_t i = c->from; i + 4 <= c->to; i += 2) {
		uint32_t h = exe_u16(c->bytes.p + i), l = exe_u16(c->bytes.p + i + 2);
		struct exe_ref r = { .kind = EXE_T2_BRANCH, .at = i };
		uint32_t s = bits(h, 10, 1), v;

		if (is_t2_branch(h, l)) {
			v = s << 24 | (bits(l, 13, 1) ^ s ^ 1) << 23 |
				(bits(l, 11, 1) ^ s ^ 1) << 22 | bits(h, 0, 10) << 12 |
				bits(l, 0, 11) << 1;
			r.place = c->address + (i + 4 - c->from);
			r.target = r.place + (uint64_t)extend(v, 25);
			if (in_code(c->span, r.target)) {
				fn(ctx, &r);
				i += 2;
			}
		} else if (h >> 11 >= 0x1d) {
			i += 2; /* another instruction of 32 bits */
		}
	}
}

static void write_t2(uint8_t *p, int64_t distance)
{
	uint32_t v = (uint32_t)distance, s = v >> 24 & 1;
	uint32_t h = exe_u16(p), l = exe_u16(p + 2);

	if (!fits(distance, 25) || (distance & 1) != 0)
		return;
	h = (h & 0xf800) | s << 10 | bits(v, 12, 10);
	l = (l & 0xd000) | (bits(v, 23, 1) ^ s ^ 1) << 13 | (bits(v, 22, 1) ^ s ^ 1) << 11 |
		bits(v, 1, 11);
	exe_put32(p, h | l << 16);
}

/* ---- RISC-V: The RISC-V Instruction Set Manual, volume I, 2.4 and 2.5 */

static uint32_t rv_jal_bits(uint32_t v)
{
	return bits(v, 20, 1) << 31 | bits(v, 1, 10) << 21 | bits(v, 11, 1) << 20 |
		bits(v, 12, 8) << 12;
}

static int64_t rv_jal_distance(uint32_t w)
{
	return extend(bits(w, 31, 1) << 20 | bits(w, 12, 8) << 12 | bits(w, 20, 1) << 11 |
			bits(w, 21, 10) << 1,
		21);
}

/* Whether w adds a low part to register `base`: 1 as a load, ADDI or JALR does, 2 as a store does. */
static int rv_low_form(uint32_t w, uint32_t base)
{
	uint32_t op = bits(w, 0, 7), form = bits(w, 12, 3);

	if (bits(w, 15, 5) != base)
		return 0;
	if (op == 0x03 || op == 0x07 || ((op == 0x13 || op == 0x67) && form == 0))
		return 1;
	return op == 0x23 || op == 0x27 ? 2 : 0;
}

static int64_t rv_low(uint32_t w, int form)
{
	return form == 1 ? extend(bits(w, 20, 12), 12)
			 : extend(bits(w, 25, 7) << 5 | bits(w, 7, 5), 12);
}

static bool rv_pair(const struct exe_code *c, size_t i, struct exe_ref *r)
{
	uint32_t w = exe_u32(c->bytes.p + i), next;
	int form;

	if (bits(w, 0, 7) != 0x17 || i + 8 > c->to)
		return false;
	next = exe_u32(c->bytes.p + i + 4);
	form = rv_low_form(next, bits(w, 7, 5));
	*r = (struct exe_ref){ .kind = EXE_RV_PAIR, .at = i, .low = i + 4 };
	r->place = c->address + (i - c->from);
	r->target = r->place + (uint64_t)extend(w & 0xfffff000, 32);
	if (form != 0)
		r->target += (uint64_t)rv_low(next, form);
	return form != 0 && in_all(c->span, r->target);
}

static void find_rv(const struct exe_code *c, exe_ref_fn fn, void *ctx)
{
	for (size_t i = c->from; i + 4 <= c->to;) {
		uint32_t w = exe_u32(c->bytes.p + i);
		struct exe_ref r = { .kind = EXE_RV_JAL, .at = i };
		size_t step = bits(w, 0, 2) == 3 ? 4 : 2;

		if (bits(w, 0, 7) == 0x6f) {
			r.place = c->address + (i - c->from);
			r.target = r.place + (uint64_t)rv_jal_distance(w);
			if (in_code(c->span, r.target))
				fn(ctx, &r);
		} else if (step == 4 && rv_pair(c, i, &r)) {
			fn(ctx, &r);
			step = 8;
		}
		i += step;
	}
}

static void write_rv_pair(uint8_t *p, const struct exe_ref *r, int64_t distance)
{
	uint32_t w = exe_u32(p + r->at), next = exe_u32(p + r->low);
	int64_t low = extend((uint64_t)distance, 12), high = distance - low;
	uint32_t l = (uint32_t)low & 0xfff;

	if (!fits(high, 32))
		return;
	exe_put32(p + r->at, (w & 0xfff) | ((uint32_t)high & 0xfffff000));
	if (rv_low_form(next, bits(w, 7, 5)) == 1)
		next = (next & 0xfffff) | l << 20;
	else
		next = (next & 0x01fff07f) | l >> 5 << 25 | (l & 31) << 7;
	exe_put32(p + r->low, next);
}

/* ---- all */

void exe_refs_find(enum exe_isa isa, const struct exe_code *code, exe_ref_fn fn, void *ctx)
{
	static void (*const find[EXE_ISA_MAX])(const struct exe_code *, exe_ref_fn, void *) = {
		[EXE_X86_64] = find_x86,
		[EXE_AARCH64] = find_a64,
		[EXE_THUMB2] = find_t2,
		[EXE_RISCV] = find_rv,
	};

	find[isa](code, fn, ctx);
}

void exe_ref_write(uint8_t *bytes, const struct exe_ref *ref, uint64_t place, uint64_t target)
{
	int64_t distance = (int64_t)(target - place);
	uint8_t *p = bytes + ref->at;

	switch (ref->kind) {
	case EXE_REL32:
		if (fits(distance, 32))
			exe_put32(p, (uint32_t)distance);
		break;
	case EXE_A64_BRANCH:
		if (fits(distance, 28) && (distance & 3) == 0)
			exe_put32(p,
				(exe_u32(p) & 0xfc000000) |
					((uint32_t)(distance >> 2) & 0x3ffffff));
		break;
	case EXE_A64_PAGE:
		write_page(bytes, ref, place, target);
		break;
	case EXE_T2_BRANCH:
		write_t2(p, distance);
		break;
	case EXE_RV_JAL:
		if (fits(distance, 21) && (distance & 1) == 0)
			exe_put32(p, (exe_u32(p) & 0xfff) | rv_jal_bits((uint32_t)distance));
		break;
	case EXE_RV_PAIR:
		write_rv_pair(bytes, ref, distance);
		break;
	case EXE_ABS32:
		if (target <= UINT32_MAX)
			exe_put32(p, (uint32_t)target);
		break;
	case EXE_ABS64:
		exe_put64(p, target);
		break;
	}
}
