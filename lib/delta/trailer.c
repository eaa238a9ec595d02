/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/trailer.h"

#include <string.h>

#define FRAME_MAGIC 0x184D2A5DU
#define FIXED       (8 + 32 + 32 + 8 + 8 + 4 + 8) /* all but the name */

static const char end_mark[8] = { 'f', 'l', 'd', 'e', 'l', 't', 'a', '1' };

static void add_number(struct fl_buf *b, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fl_buf_byte(b, (uint8_t)(v >> (8 * i)));
}

static uint64_t number(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

void fl_trailer_add(struct fl_buf *b, const struct fl_trailer *t)
{
	size_t name = strlen(t->codec), all = FIXED + name;

	add_number(b, FRAME_MAGIC, 4);
	add_number(b, all - 8, 4);
	fl_buf_add(b, t->old_sha256, sizeof(t->old_sha256));
	fl_buf_add(b, t->new_sha256, sizeof(t->new_sha256));
	add_number(b, t->new_size, 8);
	add_number(b, t->memory, 8);
	fl_buf_add(b, t->codec, name);
	add_number(b, all, 4);
	fl_buf_add(b, end_mark, sizeof(end_mark));
}

enum fl_code fl_trailer_read(
	struct fl_bytes file, struct fl_trailer *out, size_t *bytes, struct fl_err *err)
{
	struct fl_trailer t = { 0 };
	const uint8_t *p;
	size_t all, name;

	if (file.n < FIXED || memcmp(file.p + file.n - 8, end_mark, 8) != 0)
		return FL_NOT_FOUND;
	all = (size_t)number(file.p + file.n - 12, 4);
	if (all < FIXED || all > file.n || all >= FIXED + sizeof(t.codec))
		return fl_fail(err, FL_CORRUPT, "the trailer says a length that it cannot have");
	p = file.p + file.n - all;
	name = all - FIXED;
	if (number(p, 4) != FRAME_MAGIC || number(p + 4, 4) != all - 8)
		return fl_fail(err, FL_CORRUPT, "the trailer does not begin where it should");
	memcpy(t.old_sha256, p + 8, 32);
	memcpy(t.new_sha256, p + 40, 32);
	t.new_size = number(p + 72, 8);
	t.memory = number(p + 80, 8);
	memcpy(t.codec, p + 88, name);
	*out = t;
	*bytes = all;
	return FL_OK;
}
