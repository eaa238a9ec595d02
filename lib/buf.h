/* SPDX-License-Identifier: Apache-2.0
 *
 * A growing byte buffer with a sticky failure, and bytes that somebody else owns.
 *
 * DESIGN. Appending never needs a check: after the first failed allocation, or once `max` would be
 * passed, the buffer is `failed` and later calls do nothing. The user asks once, at the end. */
#ifndef FL_BUF_H
#define FL_BUF_H

#include "lib/err.h"
#include "lib/heap.h"

#include <stdbool.h>
#include <stdint.h>

/* Borrowed bytes. */
struct fl_bytes {
	const uint8_t *p;
	size_t n;
};

/* Zeroed memory is a valid empty buffer without a limit. */
struct fl_buf {
	uint8_t *p;           /* owned; NUL-terminated behind n whenever p is not NULL */
	size_t n;             /* used */
	size_t cap;           /* allocated */
	size_t max;           /* append fails beyond this; 0 = no limit */
	struct fl_heap *heap; /* where the memory comes from, borrowed; NULL = malloc */
	bool failed;
};

/* What the buffer holds; until it is changed. */
static inline struct fl_bytes fl_buf_bytes(const struct fl_buf *b)
{
	return (struct fl_bytes){ b->p, b->n };
}

/* Free what `b` owns and zero it but for its heap. Safe twice and on zeroed memory. */
void fl_buf_fini(struct fl_buf *b);
/* Forget the content and the failure, keep the memory. */
void fl_buf_reset(struct fl_buf *b);
/* Make room for n more bytes and return where they go (then add to b->n), NULL if failed. */
uint8_t *fl_buf_reserve(struct fl_buf *b, size_t n);
void fl_buf_add(struct fl_buf *b, const void *p, size_t n);
void fl_buf_byte(struct fl_buf *b, uint8_t c);
void fl_buf_str(struct fl_buf *b, const char *s);
/* The end of a counted noun: "%lld device%s" with n and this. */
const char *fl_plural(int64_t n);
void fl_buf_printf(struct fl_buf *b, const char *fmt, ...) FL_PRINTF(2, 3);
/* Append `s` (valid UTF-8, n bytes) as a JSON string with its quotes. */
void fl_buf_json(struct fl_buf *b, const char *s, size_t n);
/* Append n bytes as lower-case hex. */
void fl_buf_hex(struct fl_buf *b, const void *p, size_t n);
/* FL_NOMEM with a sentence if an append failed, else FL_OK. */
enum fl_code fl_buf_check(const struct fl_buf *b, struct fl_err *err) FL_MUST_CHECK;
/* Hand the memory over to the caller (free() it); the buffer is empty afterwards. NULL if failed
 * or empty. Only without a heap. */
char *fl_buf_take(struct fl_buf *b);

/* Locals that clean up after themselves: FL_AUTO_BUF struct fl_buf b = { 0 }; */
#define FL_AUTO_BUF __attribute__((cleanup(fl_buf_fini)))

static inline void fl_free_cleanup(void *pp)
{
	__builtin_free(*(void **)pp);
}
/* FL_AUTOFREE char *s = …; is freed at the end of the scope. */
#define FL_AUTOFREE __attribute__((cleanup(fl_free_cleanup)))

/* Hand a pointer over: returns *pp and nulls it. */
#define fl_steal(pp)                                  \
	({                                            \
		__typeof__(*(pp)) fl_stolen_ = *(pp); \
		*(pp) = NULL;                         \
		fl_stolen_;                           \
	})

#define FL_COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif
