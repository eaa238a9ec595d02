/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fl_buf_fini(struct fl_buf *b)
{
	fl_heap_free(b->heap, b->p);
	*b = (struct fl_buf){ .heap = b->heap };
}

void fl_buf_reset(struct fl_buf *b)
{
	b->n = 0;
	b->failed = false;
	if (b->p != NULL)
		b->p[0] = 0;
}

uint8_t *fl_buf_reserve(struct fl_buf *b, size_t n)
{
	size_t need, cap;
	uint8_t *p;

	if (b->failed || n > SIZE_MAX / 2 - b->n || (b->max != 0 && b->n + n > b->max)) {
		b->failed = true;
		return NULL;
	}
	need = b->n + n + 1;
	if (need <= b->cap)
		return b->p + b->n;
	cap = b->cap < 128 ? 256 : 2 * b->cap;
	if (cap < need)
		cap = need;
	p = fl_heap_resize(b->heap, b->p, cap, 1);
	if (p == NULL) {
		b->failed = true;
		return NULL;
	}
	b->p = p;
	b->cap = cap;
	return b->p + b->n;
}

void fl_buf_add(struct fl_buf *b, const void *p, size_t n)
{
	uint8_t *to = fl_buf_reserve(b, n);

	if (to == NULL)
		return;
	if (n != 0)
		memcpy(to, p, n);
	b->n += n;
	b->p[b->n] = 0;
}

void fl_buf_byte(struct fl_buf *b, uint8_t c)
{
	fl_buf_add(b, &c, 1);
}

void fl_buf_str(struct fl_buf *b, const char *s)
{
	fl_buf_add(b, s, strlen(s));
}

const char *fl_plural(int64_t n)
{
	return n == 1 ? "" : "s";
}

void fl_buf_printf(struct fl_buf *b, const char *fmt, ...)
{
	va_list ap;
	uint8_t *to;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	to = n < 0 ? NULL : fl_buf_reserve(b, (size_t)n);
	if (to == NULL) {
		b->failed = true;
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf((char *)to, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
}

/* RFC 8259 §7: quote, reverse solidus and the control characters must be escaped. */
void fl_buf_json(struct fl_buf *b, const char *s, size_t n)
{
	size_t from = 0;

	fl_buf_byte(b, '"');
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		fl_buf_add(b, s + from, i - from);
		if (c == '"' || c == '\\')
			fl_buf_printf(b, "\\%c", c);
		else
			fl_buf_printf(b, "\\u%04x", c);
		from = i + 1;
	}
	fl_buf_add(b, s + from, n - from);
	fl_buf_byte(b, '"');
}

void fl_buf_hex(struct fl_buf *b, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = p;
	uint8_t *to = fl_buf_reserve(b, 2 * n);

	if (to == NULL)
		return;
	for (size_t i = 0; i < n; i++) {
		*to++ = (uint8_t)digits[from[i] >> 4];
		*to++ = (uint8_t)digits[from[i] & 15];
	}
	b->n += 2 * n;
	b->p[b->n] = 0;
}

enum fl_code fl_buf_check(const struct fl_buf *b, struct fl_err *err)
{
	if (!b->failed)
		return FL_OK;
	return fl_fail(err, FL_NOMEM, "no memory for a buffer of more than %zu bytes", b->n);
}

char *fl_buf_take(struct fl_buf *b)
{
	char *p = b->failed ? NULL : (char *)b->p;

	if (b->failed)
		free(b->p);
	*b = (struct fl_buf){ 0 };
	return p;
}
