/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder of the blobs, as blobs.c and blob_upload.c share it; for them alone.
 *
 *   <folder>/sha256/<2 hex>/<64 hex>   blobs
 *   <folder>/parts/<64 hex>            the longest part of a cut upload
 *   <folder>/incoming/<64 hex>.<n>     uploads on their way, each its own
 *   <folder>/incoming/draft.<n>        derived bytes on their way
 *
 * All 256 folders are made at the start, so that no blob has to make (and sync) its own. */
#ifndef BLOBS_FOLDER_H
#define BLOBS_FOLDER_H

#include "server/blobs.h"

#include <pthread.h>

#include "lib/list.h"

#define BLOBS_PATH_MAX 4096
#define BLOBS_HEX      (2 * BLOB_DIGEST + 1)

struct blobs {
	char *folder;             /* owned */
	unsigned long next;       /* number of the next private file; atomic */
	pthread_mutex_t lock;     /* guards the rest */
	pthread_cond_t unclaimed; /* a claim has ended */
	struct fl_list locks;     /* of struct digest_lock: held or claimed digests, few */
};

struct blob_upload {
	struct blobs *blobs;
	uint8_t sha256[BLOB_DIGEST]; /* what it shall become */
	int64_t size, received, flushed;
	int fd;
	char path[BLOBS_PATH_MAX];
	void *hash; /* gnutls_hash_hd_t */
};

/* The path of a blob, of a part. `path` has BLOBS_PATH_MAX bytes; blobs_open has checked that all
 * fit. */
void blobs_folder_blob(const struct blobs *b, const uint8_t *sha256, char *path);
void blobs_folder_part(const struct blobs *b, const uint8_t *sha256, char *path);
/* A new private file in incoming/: `stem`.<n>. The caller owns *fd. FL_FULL, FL_IO. */
enum fl_code blobs_folder_private(
	struct blobs *b, const char *stem, char *path, int *fd, struct fl_err *err) FL_MUST_CHECK;
/* Make the file at `path` the part of `sha256` if it is longer than the one that is there, else
 * remove it. */
void blobs_folder_keep(const struct blobs *b, const char *path, const uint8_t *sha256);
/* Remove parts that nobody touched for a day. */
void blobs_folder_forget(const struct blobs *b);

#endif
