/* SPDX-License-Identifier: Apache-2.0
 *
 * Members of a tar archive (POSIX.1-2001 pax and GNU forms), to find the same path in another. Nothing
 * is trusted: a damaged archive has fewer members, or none. */
#ifndef FL_LAYER_TAR_H
#define FL_LAYER_TAR_H

#include "lib/buf.h"

#include <stdbool.h>

struct tar_member {
	uint64_t path; /* a hash of its path */
	size_t at, n;  /* its content */
};

/* Zeroed memory is a valid empty one. */
struct tar_list {
	struct tar_member *v; /* owned */
	size_t n, room;
};

/* Free what it owns. Safe twice. */
void tar_fini(struct tar_list *l);
/* All regular members with content, in order, as far as the archive is one. FL_NOMEM. */
enum fl_code tar_read(
	struct fl_bytes archive, struct tar_list *out, struct fl_err *err) FL_MUST_CHECK;
/* Put them in order of their paths, to be searched. */
void tar_sort(struct tar_list *l);
/* The member of a sorted list with this path, NULL if there is none. */
const struct tar_member *tar_find(const struct tar_list *l, uint64_t path);

#endif
