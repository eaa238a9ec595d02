/* SPDX-License-Identifier: Apache-2.0
 *
 * Content-addressed files: blobs/sha256/ab/abcdef….
 *
 * DESIGN. A blob is either whole, verified and durable under its digest, or not there. It is written
 * to a private file in blobs/incoming, hashed on the way, synced, renamed, the folder synced. What a
 * cut upload leaves is kept as one part per digest (blobs/parts/<hex>, the longest) so that the
 * client can go on; parts nobody touched for a day are removed.
 *
 * The database says which blobs are wanted. Between file and row stands the digest's lock:
 *   to add:    blobs_hold, make the file, commit the row, blobs_release
 *   to remove: blobs_claim, delete the row, commit, blobs_remove, blobs_disclaim
 * A hold is shared and waits for a claim to end; a claim is refused while anybody holds. So a file
 * is never unlinked under a row that has just been written, and a crash in between leaves at worst a
 * file without a row, which blobs_sweep finds.
 *
 * Any thread; all but blob_upload_keep and _drop may wait for the disk: not the loop. */
#ifndef BLOBS_H
#define BLOBS_H

#include "lib/buf.h"

#include <sys/types.h>

#define BLOB_DIGEST 32                         /* bytes of a SHA-256 */
#define BLOB_MAX    (4LL * 1024 * 1024 * 1024) /* bytes of an artifact */

struct blobs;

/* Open the folder (made if missing) and turn what a crash left in incoming/ into parts or nothing.
 * FL_IO, FL_FULL. The caller owns *out. */
enum fl_code blobs_open(const char *folder, struct blobs **out, struct fl_err *err) FL_MUST_CHECK;
/* Forget the folder; no hold, claim or upload may be open. NULL is fine. */
void blobs_close(struct blobs *b);

/* ---- reading */

/* Open a blob for reading. FL_NOT_FOUND: there is none. The caller closes *fd; it stays
 * readable after a removal. */
enum fl_code blobs_get(struct blobs *b, const uint8_t sha256[BLOB_DIGEST], int *fd, int64_t *size,
	struct fl_err *err) FL_MUST_CHECK;
/* The size of a blob; FL_NOT_FOUND. */
enum fl_code blobs_size(struct blobs *b, const uint8_t sha256[BLOB_DIGEST], int64_t *size,
	struct fl_err *err) FL_MUST_CHECK;
/* Read a blob through and compare its digest: FL_OK, FL_NOT_FOUND, FL_CORRUPT, FL_IO. */
enum fl_code blobs_verify(
	struct blobs *b, const uint8_t sha256[BLOB_DIGEST], struct fl_err *err) FL_MUST_CHECK;
/* Read exactly 64 lower- or upper-case hex digits. FL_INVALID. */
enum fl_code blobs_parse(
	const char *hex, uint8_t sha256[BLOB_DIGEST], struct fl_err *err) FL_MUST_CHECK;
/* The lower-case hex form. */
void blobs_hex(const uint8_t sha256[BLOB_DIGEST], char hex[2 * BLOB_DIGEST + 1]);

/* ---- writing */

/* Bytes on their way in. One thread at a time. */
struct blob_upload;

/* How many bytes of an unfinished upload are kept; 0: none. */
int64_t blobs_received(struct blobs *b, const uint8_t sha256[BLOB_DIGEST]);
/* Begin to receive the blob `sha256` of `size` bytes, of which the first `offset` are already in its
 * part. offset 0 starts anew. Several uploads of the same digest may run side by side; the part
 * belongs to whom continues it. FL_CONFLICT: the part does not have `offset` bytes
 * (blobs_received says what it has); FL_TOO_LARGE; FL_FULL when the disk cannot take it; FL_IO. */
enum fl_code blobs_upload(struct blobs *b, const uint8_t sha256[BLOB_DIGEST], int64_t offset,
	int64_t size, struct blob_upload **out, struct fl_err *err) FL_MUST_CHECK;
/* Add the next bytes. After a failure only blob_upload_drop is left. FL_TOO_LARGE beyond the size. */
enum fl_code blob_upload_write(
	struct blob_upload *u, struct fl_bytes bytes, struct fl_err *err) FL_MUST_CHECK;
/* All bytes that came so far. */
int64_t blob_upload_received(const struct blob_upload *u);
/* Make it a blob; the caller holds the digest. FL_CORRUPT: the digest is another (nothing is kept);
 * FL_INVALID: bytes are missing. Then only blob_upload_drop is left. Frees and nulls *u on FL_OK. */
enum fl_code blob_upload_finish(struct blob_upload **u, struct fl_err *err) FL_MUST_CHECK;
/* Bring the name of a blob that is there to the disk once more: an earlier upload may have failed at
 * just that, and acknowledged nothing. Not on the loop thread. FL_IO. */
enum fl_code blobs_settle(
	struct blobs *b, const uint8_t sha256[BLOB_DIGEST], struct fl_err *err) FL_MUST_CHECK;
/* Keep what came as the part of this digest, if it is more than the part that is there; the way out
 * of a cut connection. Frees and nulls *u. Also for NULL. */
void blob_upload_keep(struct blob_upload **u);
/* Leave nothing behind. Frees and nulls *u. Also for NULL. */
void blob_upload_drop(struct blob_upload **u);

/* A private file of ours for derived bytes (deltas) that become a blob once they are right. */
struct blob_draft {
	int fd; /* open for reading and writing, close-on-exec */
	char path[4096];
};
/* Make an empty draft. End with blob_draft_finish or blob_draft_drop. */
enum fl_code blobs_draft(struct blobs *b, struct blob_draft *out, struct fl_err *err) FL_MUST_CHECK;
/* Hash a draft from its start: the digest that it would have. */
enum fl_code blob_draft_digest(const struct blob_draft *d, uint8_t sha256[BLOB_DIGEST],
	int64_t *size, struct fl_err *err) FL_MUST_CHECK;
/* Make it the blob of that digest (as blob_draft_digest gave it); the caller holds the digest.
 * Closes the file; removed on failure. */
enum fl_code blob_draft_finish(struct blobs *b, struct blob_draft *d,
	const uint8_t sha256[BLOB_DIGEST], struct fl_err *err) FL_MUST_CHECK;
/* Close and remove. Safe twice. */
void blob_draft_drop(struct blob_draft *d);

/* ---- the digest's lock, and removal */

/* Keep `sha256` from being removed until blobs_release; waits for a removal that is going on. Holds
 * are counted. FL_NOMEM. */
enum fl_code blobs_hold(
	struct blobs *b, const uint8_t sha256[BLOB_DIGEST], struct fl_err *err) FL_MUST_CHECK;
void blobs_release(struct blobs *b, const uint8_t sha256[BLOB_DIGEST]);
/* Try to be the one who removes `sha256`: false when somebody holds or claims it (or no memory). */
bool blobs_claim(struct blobs *b, const uint8_t sha256[BLOB_DIGEST]);
void blobs_disclaim(struct blobs *b, const uint8_t sha256[BLOB_DIGEST]);
/* Unlink a claimed blob whose row's deletion is committed. A missing file is fine. */
enum fl_code blobs_remove(
	struct blobs *b, const uint8_t sha256[BLOB_DIGEST], struct fl_err *err) FL_MUST_CHECK;

/* Walk all blobs: `each` gets a digest and its file's size; stops at the first failure. */
typedef enum fl_code (*blobs_each_fn)(
	void *arg, const uint8_t sha256[BLOB_DIGEST], int64_t size, struct fl_err *err);
enum fl_code blobs_each(
	struct blobs *b, blobs_each_fn each, void *arg, struct fl_err *err) FL_MUST_CHECK;

#endif
