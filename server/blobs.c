/* SPDX-License-Identifier: Apache-2.0 */
#include "server/blobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "lib/file.h"
#include "lib/log.h"
#include "server/blobs_folder.h"
#include "server/parts.h"
#include "server/server.h"

#define PIECE      65536
#define PART_AGE_S (24L * 60 * 60)
/* the longest name below the folder: /incoming/<64 hex>.<20 digits> */
#define BELOW_MAX 100

/* ---- names */

enum fl_code blobs_parse(const char *hex, uint8_t sha256[BLOB_DIGEST], struct fl_err *err)
{
	uint8_t out[BLOB_DIGEST] = { 0 };
	size_t n = strlen(hex);

	for (size_t i = 0; i < n && n == BLOBS_HEX - 1; i++) {
		unsigned c = (unsigned char)hex[i] | 0x20U;

		if (c >= '0' && c <= '9' && hex[i] == (char)c)
			c -= '0';
		else if (c >= 'a' && c <= 'f')
			c -= 'a' - 10;
		else
			n = 0;
		out[i / 2] = (uint8_t)((unsigned)out[i / 2] << 4 | (c & 15));
	}
	if (n != BLOBS_HEX - 1)
		return fl_fail(
			err, FL_INVALID, "a SHA-256 digest is 64 hex digits, not \"%.80s\"", hex);
	memcpy(sha256, out, sizeof(out));
	return FL_OK;
}

void blobs_hex(const uint8_t sha256[BLOB_DIGEST], char hex[BLOBS_HEX])
{
	for (size_t i = 0; i < BLOB_DIGEST; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", sha256[i]);
}

void blobs_folder_blob(const struct blobs *b, const uint8_t *sha256, char *path)
{
	char hex[BLOBS_HEX];

	blobs_hex(sha256, hex);
	(void)snprintf(path, BLOBS_PATH_MAX, "%s/sha256/%.2s/%s", b->folder, hex, hex);
}

void blobs_folder_part(const struct blobs *b, const uint8_t *sha256, char *path)
{
	char hex[BLOBS_HEX];

	blobs_hex(sha256, hex);
	(void)snprintf(path, BLOBS_PATH_MAX, "%s/parts/%s", b->folder, hex);
}

enum fl_code blobs_folder_private(
	struct blobs *b, const char *stem, char *path, int *fd, struct fl_err *err)
{
	unsigned long n = __atomic_fetch_add(&b->next, 1, __ATOMIC_RELAXED);

	(void)snprintf(path, BLOBS_PATH_MAX, "%s/incoming/%.64s.%lu", b->folder, stem, n);
	*fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (*fd < 0)
		return fl_fail_errno(err, errno, "cannot create %s", path);
	return FL_OK;
}

/* ---- what a crash or a cut upload leaves */

void blobs_folder_keep(const struct blobs *b, const char *path, const uint8_t *sha256)
{
	char part[BLOBS_PATH_MAX];
	struct stat new, old;

	blobs_folder_part(b, sha256, part);
	if (stat(path, &new) == 0 && new.st_size > 0 &&
		(stat(part, &old) != 0 || old.st_size < new.st_size) && rename(path, part) == 0)
		return;
	(void)unlink(path);
}

/* Call `each` for the entries of a folder. */
static enum fl_code each_entry(const char *folder,
	void (*each)(const struct blobs *b, const char *path, const char *name),
	const struct blobs *b, struct fl_err *err)
{
	DIR *dir = opendir(folder);
	struct dirent *e;

	if (dir == NULL)
		return fl_fail_errno(err, errno, "cannot open the folder %s", folder);
	while ((e = readdir(dir)) != NULL) {
		char path[BLOBS_PATH_MAX];

		if (e->d_name[0] != '.' &&
			snprintf(path, sizeof(path), "%s/%s", folder, e->d_name) <
				(int)sizeof(path))
			each(b, path, e->d_name);
	}
	(void)closedir(dir);
	return FL_OK;
}

static void recover_private(const struct blobs *b, const char *path, const char *name)
{
	char hex[BLOBS_HEX];
	uint8_t sha256[BLOB_DIGEST];

	(void)snprintf(hex, sizeof(hex), "%.64s", name);
	if (blobs_parse(hex, sha256, NULL) == FL_OK)
		blobs_folder_keep(b, path, sha256);
	else
		(void)unlink(path);
}

static void forget_part(const struct blobs *b, const char *path, const char *name)
{
	struct stat st;

	(void)b;
	if (stat(path, &st) != 0 || st.st_mtime + PART_AGE_S > time(NULL))
		return;
	(void)unlink(path);
	fl_log_info("an unfinished upload was not continued for a day; its part is removed",
		FL_S("sha256", name), FL_N("bytes", st.st_size));
}

void blobs_folder_forget(const struct blobs *b)
{
	char folder[BLOBS_PATH_MAX];

	(void)snprintf(folder, sizeof(folder), "%s/parts", b->folder);
	if (each_entry(folder, forget_part, b, NULL) != FL_OK)
		fl_log_warning(
			"old parts of uploads cannot be looked at", FL_S("folder", b->folder));
}

/* ---- the folder */

static enum fl_code make_folders(const struct blobs *b, struct fl_err *err)
{
	static const char *const names[] = { "sha256", "parts", "incoming" };
	char path[BLOBS_PATH_MAX];
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < FL_COUNT(names) && code == FL_OK; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", b->folder, names[i]);
		code = fl_file_mkdirs(path, 0700, err);
	}
	for (unsigned i = 0; i < 256 && code == FL_OK; i++) {
		(void)snprintf(path, sizeof(path), "%s/sha256/%02x", b->folder, i);
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			code = fl_fail_errno(err, errno, "cannot make the folder %s", path);
	}
	if (code == FL_OK)
		code = fl_file_sync_dir(path, err); /* of the last one: sha256/ itself */
	if (code == FL_OK) {
		(void)snprintf(path, sizeof(path), "%s/sha256", b->folder);
		code = fl_file_sync_dir(path, err);
	}
	return code;
}

enum fl_code blobs_open(const char *folder, struct blobs **out, struct fl_err *err)
{
	struct blobs *b = calloc(1, sizeof(*b));
	char path[BLOBS_PATH_MAX];
	enum fl_code code = FL_OK;

	if (b == NULL || (b->folder = strdup(folder)) == NULL) {
		free(b);
		return fl_fail(err, FL_NOMEM, "no memory for the blobs");
	}
	(void)pthread_mutex_init(&b->lock, NULL);
	(void)pthread_cond_init(&b->unclaimed, NULL);
	fl_list_init(&b->locks);
	if (strlen(folder) + BELOW_MAX > BLOBS_PATH_MAX)
		code = fl_fail(
			err, FL_INVALID, "the path of the blobs is too long: %.100s…", folder);
	if (code == FL_OK)
		code = make_folders(b, err);
	if (code == FL_OK) {
		(void)snprintf(path, sizeof(path), "%s/incoming", b->folder);
		code = each_entry(path, recover_private, b, err);
	}
	if (code != FL_OK) {
		blobs_close(b);
		return code;
	}
	blobs_folder_forget(b);
	*out = b;
	return FL_OK;
}

void blobs_close(struct blobs *b)
{
	if (b == NULL)
		return;
	FL_BUG_IF(b->locks.n != 0);
	(void)pthread_cond_destroy(&b->unclaimed);
	(void)pthread_mutex_destroy(&b->lock);
	free(b->folder);
	free(b);
}

enum fl_code blobs_up(struct server *s, struct fl_err *err)
{
	char folder[BLOBS_PATH_MAX];

	(void)snprintf(folder, sizeof(folder), "%s/blobs", s->settings->data_dir);
	return blobs_open(folder, &s->blobs, err);
}

void blobs_down(struct server *s)
{
	blobs_close(s->blobs);
	s->blobs = NULL;
}

/* ---- reading */

enum fl_code blobs_get(struct blobs *b, const uint8_t sha256[BLOB_DIGEST], int *fd, int64_t *size,
	struct fl_err *err)
{
	char path[BLOBS_PATH_MAX], hex[BLOBS_HEX];
	struct stat st;
	int opened;

	blobs_folder_blob(b, sha256, path);
	opened = open(path, O_RDONLY | O_CLOEXEC);
	if (opened < 0 && errno == ENOENT) {
		blobs_hex(sha256, hex);
		return fl_fail(err, FL_NOT_FOUND, "there are no bytes with the digest %s", hex);
	}
	if (opened < 0 || fstat(opened, &st) != 0) {
		enum fl_code code = fl_fail_errno(err, errno, "cannot open %s", path);

		if (opened >= 0)
			(void)close(opened);
		return code;
	}
	*fd = opened;
	*size = st.st_size;
	return FL_OK;
}

enum fl_code blobs_size(
	struct blobs *b, const uint8_t sha256[BLOB_DIGEST], int64_t *size, struct fl_err *err)
{
	char path[BLOBS_PATH_MAX];
	struct stat st;

	blobs_folder_blob(b, sha256, path);
	if (stat(path, &st) == 0) {
		*size = st.st_size;
		return FL_OK;
	}
	if (errno == ENOENT)
		return fl_fail(err, FL_NOT_FOUND, "there is no blob of that digest");
	return fl_fail_errno(err, errno, "cannot look at %s", path);
}

enum fl_code blobs_settle(struct blobs *b, const uint8_t sha256[BLOB_DIGEST], struct fl_err *err)
{
	char path[BLOBS_PATH_MAX];

	blobs_folder_blob(b, sha256, path);
	return fl_file_sync_dir(path, err);
}

/* The digest of an open file, from its start. */
static enum fl_code hash_file(
	int fd, uint8_t sha256[BLOB_DIGEST], int64_t *size, struct fl_err *err)
{
	gnutls_hash_hd_t hash;
	uint8_t piece[PIECE];
	int64_t at = 0;
	ssize_t n;

	if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for a digest");
	while ((n = pread(fd, piece, sizeof(piece), at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		(void)gnutls_hash(hash, piece, (size_t)n);
		at += n;
	}
	if (n < 0) {
		gnutls_hash_deinit(hash, NULL);
		return fl_fail_errno(err, errno, "cannot read the file");
	}
	gnutls_hash_deinit(hash, sha256);
	*size = at;
	return FL_OK;
}

enum fl_code blobs_verify(struct blobs *b, const uint8_t sha256[BLOB_DIGEST], struct fl_err *err)
{
	uint8_t got[BLOB_DIGEST];
	int64_t size;
	int fd;
	enum fl_code code = blobs_get(b, sha256, &fd, &size, err);

	if (code != FL_OK)
		return code;
	code = hash_file(fd, got, &size, err);
	(void)close(fd);
	if (code == FL_OK && memcmp(got, sha256, BLOB_DIGEST) != 0) {
		char hex[BLOBS_HEX];

		blobs_hex(sha256, hex);
		code = fl_fail(err, FL_CORRUPT, "the blob %s is damaged on disk", hex);
	}
	return code;
}

static enum fl_code each_in(
	struct blobs *b, const char *folder, blobs_each_fn each, void *arg, struct fl_err *err)
{
	DIR *dir = opendir(folder);
	enum fl_code code = FL_OK;
	struct dirent *e;

	(void)b;
	if (dir == NULL)
		return fl_fail_errno(err, errno, "cannot open the folder %s", folder);
	while (code == FL_OK && (e = readdir(dir)) != NULL) {
		uint8_t sha256[BLOB_DIGEST];
		struct stat st;

		if (blobs_parse(e->d_name, sha256, NULL) == FL_OK &&
			fstatat(dirfd(dir), e->d_name, &st, 0) == 0)
			code = each(arg, sha256, st.st_size, err);
	}
	(void)closedir(dir);
	return code;
}

enum fl_code blobs_each(struct blobs *b, blobs_each_fn each, void *arg, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	for (unsigned i = 0; i < 256 && code == FL_OK; i++) {
		char folder[BLOBS_PATH_MAX];

		(void)snprintf(folder, sizeof(folder), "%s/sha256/%02x", b->folder, i);
		code = each_in(b, folder, each, arg, err);
	}
	return code;
}

/* ---- drafts */

enum fl_code blobs_draft(struct blobs *b, struct blob_draft *out, struct fl_err *err)
{
	_Static_assert(sizeof(out->path) == BLOBS_PATH_MAX, "one length of paths");
	return blobs_folder_private(b, "draft", out->path, &out->fd, err);
}

enum fl_code blob_draft_digest(
	const struct blob_draft *d, uint8_t sha256[BLOB_DIGEST], int64_t *size, struct fl_err *err)
{
	return hash_file(d->fd, sha256, size, err);
}

enum fl_code blob_draft_finish(struct blobs *b, struct blob_draft *d,
	const uint8_t sha256[BLOB_DIGEST], struct fl_err *err)
{
	char path[BLOBS_PATH_MAX];
	enum fl_code code;

	blobs_folder_blob(b, sha256, path);
	code = fl_file_commit(d->fd, d->path, path, err);
	if (code == FL_OK)
		d->path[0] = '\0';
	blob_draft_drop(d);
	return code;
}

void blob_draft_drop(struct blob_draft *d)
{
	if (d->path[0] != '\0')
		(void)unlink(d->path);
	d->path[0] = '\0';
	if (d->fd >= 0)
		(void)close(d->fd);
	d->fd = -1;
}

/* ---- the digest's lock */

#define CLAIMED (-1)

struct digest_lock {
	struct fl_link link;
	uint8_t sha256[BLOB_DIGEST];
	long holds; /* how many, or CLAIMED */
};

static struct digest_lock *find_lock(struct blobs *b, const uint8_t *sha256)
{
	fl_list_each (&b->locks, e) {
		struct digest_lock *l = fl_container(e, struct digest_lock, link);

		if (memcmp(l->sha256, sha256, BLOB_DIGEST) == 0)
			return l;
	}
	return NULL;
}

static bool add_lock(struct blobs *b, const uint8_t *sha256, long holds)
{
	struct digest_lock *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return false;
	memcpy(l->sha256, sha256, BLOB_DIGEST);
	l->holds = holds;
	fl_list_push(&b->locks, &l->link);
	return true;
}

static void drop_lock(struct blobs *b, struct digest_lock *l)
{
	fl_list_remove(&b->locks, &l->link);
	free(l);
}

enum fl_code blobs_hold(struct blobs *b, const uint8_t sha256[BLOB_DIGEST], struct fl_err *err)
{
	enum fl_code code = FL_OK;
	struct digest_lock *l;

	(void)pthread_mutex_lock(&b->lock);
	while ((l = find_lock(b, sha256)) != NULL && l->holds == CLAIMED)
		(void)pthread_cond_wait(&b->unclaimed, &b->lock);
	if (l != NULL)
		l->holds++;
	else if (!add_lock(b, sha256, 1))
		code = fl_fail(err, FL_NOMEM, "no memory for a lock");
	(void)pthread_mutex_unlock(&b->lock);
	return code;
}

void blobs_release(struct blobs *b, const uint8_t sha256[BLOB_DIGEST])
{
	struct digest_lock *l;

	(void)pthread_mutex_lock(&b->lock);
	l = find_lock(b, sha256);
	FL_BUG_IF(l == NULL || l->holds == CLAIMED);
	if (--l->holds == 0)
		drop_lock(b, l);
	(void)pthread_mutex_unlock(&b->lock);
}

bool blobs_claim(struct blobs *b, const uint8_t sha256[BLOB_DIGEST])
{
	bool claimed;

	(void)pthread_mutex_lock(&b->lock);
	claimed = find_lock(b, sha256) == NULL && add_lock(b, sha256, CLAIMED);
	(void)pthread_mutex_unlock(&b->lock);
	return claimed;
}

void blobs_disclaim(struct blobs *b, const uint8_t sha256[BLOB_DIGEST])
{
	struct digest_lock *l;

	(void)pthread_mutex_lock(&b->lock);
	l = find_lock(b, sha256);
	FL_BUG_IF(l == NULL || l->holds != CLAIMED);
	drop_lock(b, l);
	(void)pthread_cond_broadcast(&b->unclaimed);
	(void)pthread_mutex_unlock(&b->lock);
}

enum fl_code blobs_remove(struct blobs *b, const uint8_t sha256[BLOB_DIGEST], struct fl_err *err)
{
	char path[BLOBS_PATH_MAX];

	blobs_folder_blob(b, sha256, path);
	if (unlink(path) != 0 && errno != ENOENT)
		return fl_fail_errno(err, errno, "cannot remove %s", path);
	return FL_OK;
}
