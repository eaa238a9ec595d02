/* SPDX-License-Identifier: Apache-2.0
 *
 * Content-addressed files: whole or not there, resumable on the way in, never unlinked in use. */
#include "server/blobs.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "lib/file.h"

struct world {
	char folder[64];
	struct blobs *blobs;
	uint8_t sha256[BLOB_DIGEST];
	uint8_t content[100000];
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	(void)snprintf(w->folder, sizeof(w->folder), "/tmp/test_blobs.XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	for (size_t i = 0; i < sizeof(w->content); i++)
		w->content[i] = (uint8_t)(i * 31 + i / 251);
	(void)crypto_hash_sha256(w->sha256, w->content, sizeof(w->content));
	assert_int_equal(blobs_open(w->folder, &w->blobs, NULL), FL_OK);
	*state = w;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	blobs_close(w->blobs);
	assert_int_equal(nftw(w->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(w);
	return 0;
}

static void reopen(struct world *w)
{
	blobs_close(w->blobs);
	assert_int_equal(blobs_open(w->folder, &w->blobs, NULL), FL_OK);
}

static size_t files_seen;

static int count_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)path;
	(void)st;
	(void)ftw;
	files_seen += kind == FTW_F;
	return 0;
}

/* Files anywhere below the folder. */
static size_t count_files(const struct world *w)
{
	files_seen = 0;
	assert_int_equal(nftw(w->folder, count_one, 8, FTW_PHYS), 0);
	return files_seen;
}

static struct blob_upload *begin(struct world *w, int64_t offset)
{
	struct blob_upload *u = NULL;

	assert_int_equal(
		blobs_upload(w->blobs, w->sha256, offset, sizeof(w->content), &u, NULL), FL_OK);
	return u;
}

static void add(struct world *w, struct blob_upload *u, size_t from, size_t to)
{
	assert_int_equal(
		blob_upload_write(u, (struct fl_bytes){ w->content + from, to - from }, NULL),
		FL_OK);
}

static void an_upload_becomes_a_blob(void **state)
{
	/* The bytes are there under their digest, verified, and survive a new start. */
	struct world *w = *state;
	struct blob_upload *u = begin(w, 0);
	int64_t size;
	int fd;

	add(w, u, 0, 70000);
	assert_int_equal(blobs_get(w->blobs, w->sha256, &fd, &size, NULL), FL_NOT_FOUND);
	add(w, u, 70000, sizeof(w->content));
	assert_int_equal(blob_upload_finish(&u, NULL), FL_OK);
	assert_null(u);
	reopen(w);
	assert_int_equal(blobs_verify(w->blobs, w->sha256, NULL), FL_OK);
	assert_int_equal(blobs_get(w->blobs, w->sha256, &fd, &size, NULL), FL_OK);
	assert_int_equal(size, sizeof(w->content));
	(void)close(fd);
	assert_int_equal(count_files(w), 1);
}

static void a_wrong_digest_leaves_nothing(void **state)
{
	/* Neither blob nor part is left when the digest differs, also when a part was there before. */
	struct world *w = *state;
	struct blob_upload *u = begin(w, 0);

	add(w, u, 0, 1000);
	blob_upload_keep(&u);
	u = begin(w, 0);
	add(w, u, 0, sizeof(w->content) - 1);
	assert_int_equal(
		blob_upload_write(u, (struct fl_bytes){ (const uint8_t *)"?", 1 }, NULL), FL_OK);
	assert_int_equal(blob_upload_finish(&u, NULL), FL_CORRUPT);
	blob_upload_drop(&u);
	assert_int_equal(count_files(w), 0);
	assert_int_equal(blobs_received(w->blobs, w->sha256), 0);
}

static void a_cut_upload_goes_on(void **state)
{
	/* What came is kept, survives a new start, and is continued at exactly that place. */
	struct world *w = *state;
	struct blob_upload *u = begin(w, 0);

	add(w, u, 0, 60000);
	blob_upload_keep(&u);
	reopen(w);
	assert_int_equal(blobs_received(w->blobs, w->sha256), 60000);
	assert_int_equal(blobs_upload(w->blobs, w->sha256, 59999, sizeof(w->content), &u, NULL),
		FL_CONFLICT);
	assert_int_equal(blobs_received(w->blobs, w->sha256), 60000);
	u = begin(w, 60000);
	add(w, u, 60000, sizeof(w->content));
	assert_int_equal(blob_upload_finish(&u, NULL), FL_OK);
	assert_int_equal(blobs_verify(w->blobs, w->sha256, NULL), FL_OK);
	assert_int_equal(count_files(w), 1);
}

static void one_part_has_one_continuer(void **state)
{
	/* Of two who continue the same part the second is refused and may begin anew; both finish. */
	struct world *w = *state;
	struct blob_upload *u = begin(w, 0), *second = NULL;

	add(w, u, 0, 5);
	blob_upload_keep(&u);
	u = begin(w, 5);
	assert_int_equal(blobs_upload(w->blobs, w->sha256, 5, sizeof(w->content), &second, NULL),
		FL_CONFLICT);
	second = begin(w, 0);
	add(w, second, 0, sizeof(w->content));
	add(w, u, 5, sizeof(w->content));
	assert_int_equal(blob_upload_finish(&second, NULL), FL_OK);
	assert_int_equal(blob_upload_finish(&u, NULL), FL_OK);
	assert_int_equal(count_files(w), 1);
}

static void the_longest_part_is_kept(void **state)
{
	/* A shorter cut upload does not replace a longer one; a complete one is cut by a byte. */
	struct world *w = *state;
	struct blob_upload *a = begin(w, 0), *b = begin(w, 0);

	add(w, a, 0, 300);
	add(w, b, 0, 200);
	blob_upload_keep(&a);
	blob_upload_keep(&b);
	assert_int_equal(blobs_received(w->blobs, w->sha256), 300);
	a = begin(w, 0);
	add(w, a, 0, sizeof(w->content));
	blob_upload_keep(&a);
	assert_int_equal(blobs_received(w->blobs, w->sha256), sizeof(w->content) - 1);
	assert_int_equal(count_files(w), 1);
}

static void wrong_sizes_are_refused(void **state)
{
	/* Too large, too many and too few bytes each have their refusal. */
	struct world *w = *state;
	struct blob_upload *u = NULL;

	assert_int_equal(
		blobs_upload(w->blobs, w->sha256, 0, BLOB_MAX + 1, &u, NULL), FL_TOO_LARGE);
	assert_int_equal(blobs_upload(w->blobs, w->sha256, 11, 10, &u, NULL), FL_INVALID);
	u = begin(w, 0);
	add(w, u, 0, sizeof(w->content) - 1);
	assert_int_equal(blob_upload_finish(&u, NULL), FL_INVALID);
	assert_int_equal(
		blob_upload_write(u, (struct fl_bytes){ w->content, 2 }, NULL), FL_TOO_LARGE);
	blob_upload_drop(&u);
	assert_int_equal(count_files(w), 0);
}

static void put_file(const struct world *w, const char *name, const char *text)
{
	char path[200];
	struct fl_bytes bytes = { (const uint8_t *)text, strlen(text) };

	(void)snprintf(path, sizeof(path), "%s/%s", w->folder, name);
	assert_int_equal(fl_file_put(path, bytes, 0600, NULL), FL_OK);
}

static void a_crash_leaves_parts_only(void **state)
{
	/* At the next start uploads on their way are parts, drafts are gone. */
	struct world *w = *state;
	char name[200], hex[2 * BLOB_DIGEST + 1];

	blobs_hex(w->sha256, hex);
	(void)snprintf(name, sizeof(name), "incoming/%s.7", hex);
	put_file(w, name, "first bytes");
	(void)snprintf(name, sizeof(name), "incoming/%s.8", hex);
	put_file(w, name, "first");
	put_file(w, "incoming/draft.3", "half a delta");
	reopen(w);
	assert_int_equal(blobs_received(w->blobs, w->sha256), 11);
	assert_int_equal(count_files(w), 1);
}

static void old_parts_are_forgotten(void **state)
{
	/* A part that nobody continued for a day goes with the next upload. */
	struct world *w = *state;
	struct blob_upload *u = begin(w, 0);
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	char path[200], hex[2 * BLOB_DIGEST + 1];
	uint8_t other[BLOB_DIGEST] = { 1 };

	add(w, u, 0, 100);
	blob_upload_keep(&u);
	blobs_hex(w->sha256, hex);
	(void)snprintf(path, sizeof(path), "%s/parts/%s", w->folder, hex);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_int_equal(blobs_upload(w->blobs, other, 0, 1, &u, NULL), FL_OK);
	blob_upload_drop(&u);
	assert_int_equal(count_files(w), 0);
}

static void a_draft_becomes_a_blob_or_nothing(void **state)
{
	/* A finished draft is a blob under the digest of its bytes; a dropped one is gone. */
	struct world *w = *state;
	uint8_t sha256[BLOB_DIGEST];
	struct blob_draft d;
	int64_t size;

	assert_int_equal(blobs_draft(w->blobs, &d, NULL), FL_OK);
	assert_int_equal(
		fl_file_write(d.fd, (struct fl_bytes){ w->content, sizeof(w->content) }, NULL),
		FL_OK);
	assert_int_equal(blob_draft_digest(&d, sha256, &size, NULL), FL_OK);
	assert_memory_equal(sha256, w->sha256, BLOB_DIGEST);
	assert_int_equal(blob_draft_finish(w->blobs, &d, sha256, NULL), FL_OK);
	assert_int_equal(blobs_verify(w->blobs, w->sha256, NULL), FL_OK);
	assert_int_equal(blobs_draft(w->blobs, &d, NULL), FL_OK);
	blob_draft_drop(&d);
	blob_draft_drop(&d);
	assert_int_equal(count_files(w), 1);
}

static void damage_on_disk_is_seen(void **state)
{
	/* blobs_verify tells a blob whose bytes have changed. */
	struct world *w = *state;
	struct blob_upload *u = begin(w, 0);
	char name[200], hex[2 * BLOB_DIGEST + 1];

	add(w, u, 0, sizeof(w->content));
	assert_int_equal(blob_upload_finish(&u, NULL), FL_OK);
	blobs_hex(w->sha256, hex);
	(void)snprintf(name, sizeof(name), "sha256/%.2s/%s", hex, hex);
	put_file(w, name, "other bytes");
	assert_int_equal(blobs_verify(w->blobs, w->sha256, NULL), FL_CORRUPT);
}

static void *release_claim(void *arg)
{
	struct world *w = arg;

	assert_int_equal(blobs_remove(w->blobs, w->sha256, NULL), FL_OK);
	blobs_disclaim(w->blobs, w->sha256);
	return NULL;
}

static void nobody_unlinks_what_is_held(void **state)
{
	/* A claim is refused while somebody holds; a hold waits until the claim's removal is done. */
	struct world *w = *state;
	struct blob_upload *u;
	pthread_t remover;

	assert_int_equal(blobs_hold(w->blobs, w->sha256, NULL), FL_OK);
	assert_int_equal(blobs_hold(w->blobs, w->sha256, NULL), FL_OK);
	blobs_release(w->blobs, w->sha256);
	assert_false(blobs_claim(w->blobs, w->sha256));
	blobs_release(w->blobs, w->sha256);
	assert_true(blobs_claim(w->blobs, w->sha256));
	assert_false(blobs_claim(w->blobs, w->sha256));
	assert_int_equal(pthread_create(&remover, NULL, release_claim, w), 0);
	assert_int_equal(blobs_hold(w->blobs, w->sha256, NULL), FL_OK);
	u = begin(w, 0);
	add(w, u, 0, sizeof(w->content));
	assert_int_equal(blob_upload_finish(&u, NULL), FL_OK);
	blobs_release(w->blobs, w->sha256);
	assert_int_equal(pthread_join(remover, NULL), 0);
	assert_int_equal(blobs_verify(w->blobs, w->sha256, NULL), FL_OK);
}

static void digests_are_read_strictly(void **state)
{
	/* 64 hex digits in either case, nothing else. */
	struct world *w = *state;
	char hex[2 * BLOB_DIGEST + 3];
	uint8_t sha256[BLOB_DIGEST];

	blobs_hex(w->sha256, hex);
	assert_int_equal(blobs_parse(hex, sha256, NULL), FL_OK);
	assert_memory_equal(sha256, w->sha256, BLOB_DIGEST);
	for (size_t i = 0; i < 64; i++) {
		char saved = hex[i];

		for (int c = 1; c < 128; c++) {
			bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
				(c >= 'A' && c <= 'F');

			hex[i] = (char)c;
			assert_int_equal(
				blobs_parse(hex, sha256, NULL), digit ? FL_OK : FL_INVALID);
		}
		hex[i] = saved;
	}
	hex[64] = 'a';
	hex[65] = '\0';
	assert_int_equal(blobs_parse(hex, sha256, NULL), FL_INVALID);
	hex[63] = '\0';
	assert_int_equal(blobs_parse(hex, sha256, NULL), FL_INVALID);
	assert_int_equal(blobs_parse("", sha256, NULL), FL_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_upload_becomes_a_blob),
		TEST(a_wrong_digest_leaves_nothing),
		TEST(a_cut_upload_goes_on),
		TEST(one_part_has_one_continuer),
		TEST(the_longest_part_is_kept),
		TEST(wrong_sizes_are_refused),
		TEST(a_crash_leaves_parts_only),
		TEST(old_parts_are_forgotten),
		TEST(a_draft_becomes_a_blob_or_nothing),
		TEST(damage_on_disk_is_seen),
		TEST(nobody_unlinks_what_is_held),
		TEST(digests_are_read_strictly),
	};

	return cmocka_run_group_tests_name("blobs", tests, NULL, NULL);
}
