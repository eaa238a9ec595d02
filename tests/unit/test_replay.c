/* SPDX-License-Identifier: Apache-2.0 */
#include "server/device/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* A request is taken once, until its time has run out. */
static void test_once(void **state)
{
	struct replay *r = replay_new(64);

	(void)state;
	assert_non_null(r);
	assert_true(replay_note(r, "dev-1", "a", 1300, 1000));
	assert_false(replay_note(r, "dev-1", "a", 1300, 1000));
	assert_false(replay_note(r, "dev-1", "a", 1300, 1300));
	assert_true(replay_note(r, "dev-1", "a", 1600, 1301));
	replay_free(r);
}

/* Another device or another nonce is another request, however the two texts are cut. */
static void test_apart(void **state)
{
	struct replay *r = replay_new(64);

	(void)state;
	assert_non_null(r);
	assert_true(replay_note(r, "dev-1", "a", 1300, 1000));
	assert_true(replay_note(r, "dev-2", "a", 1300, 1000));
	assert_true(replay_note(r, "dev-1", "b", 1300, 1000));
	assert_true(replay_note(r, "dev-", "1\na", 1300, 1000));
	assert_false(replay_note(r, "dev-1", "b", 1300, 1000));
	replay_free(r);
}

/* A full table gives up what runs out first and keeps the rest: its memory is bounded. */
static void test_full(void **state)
{
	struct replay *r = replay_new(4); /* one bucket of four */
	char nonce[8];

	(void)state;
	assert_non_null(r);
	for (int i = 0; i < 5; i++) {
		assert_true(snprintf(nonce, sizeof(nonce), "%d", i) > 0);
		assert_true(replay_note(r, "dev", nonce, 1300 + i, 1000));
	}
	for (int i = 1; i < 5; i++) {
		assert_true(snprintf(nonce, sizeof(nonce), "%d", i) > 0);
		assert_false(replay_note(r, "dev", nonce, 1300 + i, 1000));
	}
	assert_true(replay_note(r, "dev", "0", 1300, 1000));
	replay_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_apart),
		cmocka_unit_test(test_full),
	};

	fl_digest_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
