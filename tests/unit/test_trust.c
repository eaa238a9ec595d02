/* SPDX-License-Identifier: Apache-2.0 */
#include "server/trust.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/file.h"

#define NOW_MS 1700000000000

struct fixture {
	char folder[32];
	char keys[48];
};

static const char *const files[] = { "root.key", "targets.key", "snapshot.key", "timestamp.key",
	"manifest.key", "audit.key", "session.secret", "root.json" };

static const char *path_of(const struct fixture *f, const char *name)
{
	static char path[96];

	assert_true(snprintf(path, sizeof(path), "%s/%s", f->keys, name) < (int)sizeof(path));
	return path;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	memcpy(f->folder, "/tmp/test_trust-XXXXXX", sizeof("/tmp/test_trust-XXXXXX"));
	assert_non_null(mkdtemp(f->folder));
	assert_true(snprintf(f->keys, sizeof(f->keys), "%s/keys", f->folder) > 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < FL_COUNT(files); i++)
		(void)unlink(path_of(f, files[i]));
	(void)rmdir(f->keys);
	assert_int_equal(rmdir(f->folder), 0);
	free(f);
	return 0;
}

static struct trust *open_trust(const struct fixture *f)
{
	struct trust *t = NULL;

	assert_int_equal(trust_open(f->keys, NOW_MS, &t, NULL), FL_OK);
	assert_non_null(t);
	return t;
}

static void expect_refusal(const struct fixture *f, enum fl_code want)
{
	struct trust *t = NULL;

	assert_int_equal(trust_open(f->keys, NOW_MS, &t, NULL), want);
	assert_null(t);
}

/* The first start makes every key, for its owner alone, and a root that is marked quick-start and
 * names the key of manifests. */
static void test_first_start(void **state)
{
	const struct fixture *f = *state;
	struct trust *t = open_trust(f);
	const struct fl_root *root = trust_root(t);
	struct stat st;

	for (size_t i = 0; i + 1 < FL_COUNT(files); i++) {
		assert_int_equal(stat(path_of(f, files[i]), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	assert_int_equal(stat(f->keys, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_true(root->quick_start);
	assert_int_equal(root->version, 1);
	assert_true(root->expires_ms > NOW_MS);
	assert_string_equal(
		root->manifest.keys[0].keyid, trust_key(t, TRUST_MANIFEST)->public.keyid);
	trust_close(t);
}

/* A later start has the same keys, secret and root. */
static void test_second_start(void **state)
{
	struct trust *a = open_trust(*state), *b = open_trust(*state);

	for (int i = 0; i < TRUST_KEY_MAX; i++)
		assert_memory_equal(trust_key(a, (enum trust_key)i),
			trust_key(b, (enum trust_key)i), sizeof(struct fl_sign_key));
	assert_memory_equal(trust_session_secret(a), trust_session_secret(b), FL_KEY_LEN);
	assert_int_equal(trust_root_text(a).n, trust_root_text(b).n);
	assert_memory_equal(trust_root_text(a).p, trust_root_text(b).p, trust_root_text(a).n);
	trust_close(a);
	trust_close(b);
}

/* A first start that was cut off before its end goes on with the keys that it made. */
static void test_cut_off(void **state)
{
	const struct fixture *f = *state;
	struct trust *t = open_trust(f);
	char keyid[FL_KEYID_LEN + 1];

	memcpy(keyid, trust_key(t, TRUST_MANIFEST)->public.keyid, sizeof(keyid));
	trust_close(t);
	assert_int_equal(unlink(path_of(f, "root.json")), 0);
	assert_int_equal(unlink(path_of(f, "audit.key")), 0);
	t = open_trust(f);
	assert_string_equal(keyid, trust_key(t, TRUST_MANIFEST)->public.keyid);
	assert_non_null(trust_key(t, TRUST_AUDIT));
	trust_close(t);
}

/* The root's key may be kept elsewhere. */
static void test_offline_root(void **state)
{
	const struct fixture *f = *state;
	struct trust *t = open_trust(f);

	trust_close(t);
	assert_int_equal(unlink(path_of(f, "root.key")), 0);
	t = open_trust(f);
	assert_null(trust_key(t, TRUST_ROOT));
	assert_non_null(trust_key(t, TRUST_MANIFEST));
	trust_close(t);
}

/* Once there is a root, a missing key or secret is not silently replaced. */
static void test_missing(void **state)
{
	static const char *const needed[] = { "manifest.key", "audit.key", "session.secret" };
	const struct fixture *f = *state;

	for (size_t i = 0; i < FL_COUNT(needed); i++) {
		char kept[96];

		trust_close(open_trust(f));
		assert_true(snprintf(kept, sizeof(kept), "%s/kept", f->folder) > 0);
		assert_int_equal(rename(path_of(f, needed[i]), kept), 0);
		expect_refusal(f, FL_NOT_FOUND);
		assert_int_equal(rename(kept, path_of(f, needed[i])), 0);
	}
}

/* A key that others may read, a foreign manifest key and a damaged root stop the start. */
static void test_refused(void **state)
{
	const struct fixture *f = *state;
	struct fl_sign_key other;

	trust_close(open_trust(f));
	assert_int_equal(chmod(path_of(f, "manifest.key"), 0644), 0);
	expect_refusal(f, FL_FORBIDDEN);
	fl_sign_key_new(&other);
	assert_int_equal(fl_sign_key_save(&other, path_of(f, "manifest.key"), NULL), FL_OK);
	expect_refusal(f, FL_CORRUPT);
	assert_int_equal(
		fl_file_put(path_of(f, "root.json"), fl_bytes("{}", 2), 0644, NULL), FL_OK);
	expect_refusal(f, FL_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_second_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cut_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_offline_root, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_missing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
	};

	fl_digest_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
