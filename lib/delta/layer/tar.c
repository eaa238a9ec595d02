/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/layer/tar.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 512

/* Fields of a header block (POSIX.1-2017, pax, "ustar Interchange Format"). */
enum { NAME = 0, SIZE = 124, TYPE = 156, MAGIC = 257, PREFIX = 345 };

void tar_fini(struct tar_list *l)
{
	free(l->v);
	*l = (struct tar_list){ 0 };
}

/* ---- paths: FNV-1a */

static uint64_t hash(uint64_t h, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return h;
}

static uint64_t hash_path(const uint8_t *p, size_t n)
{
	/* "./a" and "a" are one */
	if (n > 2 && p[0] == '.' && p[1] == '/') {
		p += 2;
		n -= 2;
	}
	return hash(0xcbf29ce484222325ULL, p, n);
}

static uint64_t header_path(const uint8_t *block)
{
	uint8_t path[100 + 155 + 1];
	size_t n = 0, prefix = strnlen((const char *)block + PREFIX, 155),
	       name = strnlen((const char *)block + NAME, 100);

	if (prefix > 0 && memcmp(block + MAGIC, "ustar\0", 6) == 0) {
		memcpy(path, block + PREFIX, prefix);
		path[prefix] = '/';
		n = prefix + 1;
	}
	memcpy(path + n, block + NAME, name);
	return hash_path(path, n + name);
}

/* "LENGTH path=VALUE\n" among the records of a pax header; 0: none of them. */
static uint64_t pax_path(const uint8_t *p, size_t n)
{
	uint64_t found = 0;

	while (n > 0) {
		size_t length = 0, digits = 0;

		while (digits < n && digits < 10 && p[digits] >= '0' && p[digits] <= '9')
			length = 10 * length + (size_t)(p[digits++] - '0');
		if (length <= digits + 1 || length > n || p[digits] != ' ')
			return found;
		if (length > digits + 7 && memcmp(p + digits + 1, "path=", 5) == 0)
			found = hash_path(p + digits + 6, length - digits - 7);
		p += length;
		n -= length;
	}
	return found;
}

/* ---- members */

/* Octal digits, or GNU's base 256 for large files. */
static bool read_size(const uint8_t *p, size_t *out)
{
	uint64_t v = 0;

	if (p[0] == 0x80) {
		for (int i = 4; i < 12; i++)
			v = v << 8 | p[i];
	} else {
		for (int i = 0; i < 12 && p[i] != 0 && p[i] != ' '; i++) {
			if (p[i] < '0' || p[i] > '7')
				return false;
			v = v << 3 | (uint64_t)(p[i] - '0');
		}
	}
	*out = (size_t)v;
	return v <= SIZE_MAX / 2;
}

static enum fl_code add(struct tar_list *l, struct tar_member m, struct fl_err *err)
{
	if (l->n == l->room) {
		size_t room = l->room == 0 ? 64 : 2 * l->room;
		struct tar_member *v = realloc(l->v, room * sizeof(*v));

		if (v == NULL)
			return fl_fail(err, FL_NOMEM, "no memory for the members of an archive");
		l->v = v;
		l->room = room;
	}
	l->v[l->n++] = m;
	return FL_OK;
}

enum fl_code tar_read(struct fl_bytes archive, struct tar_list *out, struct fl_err *err)
{
	uint64_t longer = 0; /* the path that an extra header gives the next member */
	size_t at = 0;

	while (at + BLOCK <= archive.n && memcmp(archive.p + at + MAGIC, "ustar", 5) == 0) {
		const uint8_t *block = archive.p + at;
		enum fl_code code = FL_OK;
		size_t n;

		at += BLOCK;
		if (!read_size(block + SIZE, &n) || n > archive.n - at)
			break;
		switch (block[TYPE]) {
		case 'L':
			longer = hash_path(
				archive.p + at, n > 0 && archive.p[at + n - 1] == 0 ? n - 1 : n);
			break;
		case 'x':
			longer = pax_path(archive.p + at, n);
			break;
		case '0':
		case 0:
			if (n > 0)
				code = add(out,
					(struct tar_member){
						longer != 0 ? longer : header_path(block), at, n },
					err);
			longer = 0;
			break;
		default:
			longer = 0;
			break;
		}
		if (code != FL_OK)
			return code;
		n = (n + BLOCK - 1) / BLOCK * BLOCK;
		at = n > archive.n - at ? archive.n : at + n;
	}
	return FL_OK;
}

static int by_path(const void *a, const void *b)
{
	const struct tar_member *x = a, *y = b;

	return x->path != y->path ? (x->path > y->path) - (x->path < y->path)
				  : (x->at > y->at) - (x->at < y->at);
}

void tar_sort(struct tar_list *l)
{
	if (l->n > 0)
		qsort(l->v, l->n, sizeof(*l->v), by_path);
}

const struct tar_member *tar_find(const struct tar_list *l, uint64_t path)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->v[middle].path < path)
			low = middle + 1;
		else
			high = middle;
	}
	return low < l->n && l->v[low].path == path ? &l->v[low] : NULL;
}
