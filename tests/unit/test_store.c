/* SPDX-License-Identifier: Apache-2.0
 *
 * Nouns of the registry on a real database: interned states, devices, tokens, kept answers. */
#include "server/store/device.h"
#include "server/store/idempotency.h"
#include "server/store/instance.h"
#include "server/store/state.h"
#include "server/store/token.h"
#include "tests/lib/database.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int set_up(void **state)
{
	struct test_database *t = malloc(sizeof(*t));

	assert_non_null(t);
	test_database_init(t);
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	test_database_fini(*state);
	free(*state);
	return 0;
}

static struct store *store_of(void **state)
{
	struct test_database *t = *state;

	return &t->store;
}

/* ---- states */

static void test_states_are_interned(void **state)
{
	/* The same set has one number whatever the order; other sets have others; nothing is 1. */
	struct store *s = store_of(state);
	struct state_entry ab[] = { { "b", "1.0.0" }, { "a", "2.0.0" } };
	struct state_entry ba[] = { { "a", "2.0.0" }, { "b", "1.0.0" } };
	struct state_entry other[] = { { "a", "1.0.0" }, { "b", "2.0.0" } };
	int64_t first = 0, again = 0, third = 0, empty = 0;

	assert_int_equal(state_put(s, ab, 2, &first, NULL), FL_OK);
	assert_int_equal(state_put(s, ba, 2, &again, NULL), FL_OK);
	assert_int_equal(state_put(s, other, 2, &third, NULL), FL_OK);
	assert_int_equal(state_put(s, NULL, 0, &empty, NULL), FL_OK);
	assert_int_equal(first, again);
	assert_int_not_equal(first, third);
	assert_int_equal(empty, STATE_EMPTY);
	assert_string_equal(ab[0].module, "a"); /* sorted in place */
}

static void test_a_module_is_installed_once(void **state)
{
	/* A set that names a module twice, or is too large, is refused. */
	struct state_entry twice[] = { { "a", "1.0.0" }, { "b", "1.0.0" }, { "a", "2.0.0" } };
	struct state_entry *many = calloc(STATE_ENTRIES_MAX + 1, sizeof(*many));
	struct fl_err err = { 0 };
	int64_t id = 0;

	assert_int_equal(state_put(store_of(state), twice, 3, &id, &err), FL_INVALID);
	assert_string_equal(err.msg, "module \"a\" is installed twice");
	assert_non_null(many);
	assert_int_equal(
		state_put(store_of(state), many, STATE_ENTRIES_MAX + 1, &id, &err), FL_INVALID);
	free(many);
	assert_int_equal(id, 0);
}

static enum fl_code count_version(void *context, const char *version, struct fl_err *err)
{
	int *n = context;

	(void)err;
	assert_true(strcmp(version, "1.0.0") == 0 || strcmp(version, "2.0.0") == 0);
	(*n)++;
	return FL_OK;
}

static void test_distinct_versions(void **state)
{
	/* The versions of a module over all states come once each. */
	struct store *s = store_of(state);
	struct state_entry sets[3][2] = { { { "a", "1.0.0" }, { "b", "9.0.0" } },
		{ { "a", "1.0.0" }, { "b", "8.0.0" } }, { { "a", "2.0.0" }, { "b", "8.0.0" } } };
	int64_t id;
	int n = 0;

	for (size_t i = 0; i < 3; i++)
		assert_int_equal(state_put(s, sets[i], 2, &id, NULL), FL_OK);
	assert_int_equal(state_each_version(s, "a", count_version, &n, NULL), FL_OK);
	assert_int_equal(n, 2);
}

/* ---- devices */

static enum device_outcome put(struct store *s, const struct device_put *in, int64_t *no)
{
	enum device_outcome outcome = DEVICE_UNCHANGED;
	struct fl_err err = { 0 };

	if (device_put(s, in, no, &outcome, &err) != FL_OK)
		fail_msg("%s", err.msg);
	return outcome;
}

static void test_upsert(void **state)
{
	/* What is left out stays, what is the same is unchanged, numbers are dense. */
	struct store *s = store_of(state);
	struct device d = { 0 };
	int64_t no = 0;

	assert_int_equal(put(s, &(struct device_put){ .id = "a", .labels = "{\"x\":1}" }, &no),
		DEVICE_CREATED);
	assert_int_equal(no, 1);
	assert_int_equal(put(s, &(struct device_put){ .id = "b" }, &no), DEVICE_CREATED);
	assert_int_equal(no, 2);
	assert_int_equal(put(s, &(struct device_put){ .id = "a" }, &no), DEVICE_UNCHANGED);
	assert_int_equal(no, 1);
	assert_int_equal(put(s, &(struct device_put){ .id = "a", .attributes = "{\"y\":2}" }, &no),
		DEVICE_CHANGED);
	assert_int_equal(device_get(s, "a", &d, NULL), FL_OK);
	assert_string_equal(d.labels, "{\"x\":1}");
	assert_string_equal(d.attributes, "{\"y\":2}");
	assert_int_equal(d.state_id, STATE_EMPTY);
	assert_null(d.public_key);
	device_fini(&d);
}

static void test_enrolment(void **state)
{
	/* A device takes its first key, the same again, never another; each raises its epoch. */
	struct store *s = store_of(state);
	const uint8_t key[DEVICE_KEY_BYTES] = { 1 }, other[DEVICE_KEY_BYTES] = { 2 };
	struct fl_err err = { 0 };
	enum device_outcome outcome;
	int64_t no = 0, epoch = 0;

	(void)put(s, &(struct device_put){ .id = "a" }, &no);
	assert_int_equal(device_enrol(s, no, key, &epoch, &err), FL_OK);
	assert_int_equal(epoch, 1);
	assert_int_equal(device_enrol(s, no, key, &epoch, &err), FL_OK);
	assert_int_equal(epoch, 2);
	assert_int_equal(device_enrol(s, no, other, &epoch, &err), FL_CONFLICT);
	assert_int_equal(device_put(s, &(struct device_put){ .id = "a", .public_key = other }, &no,
				 &outcome, &err),
		FL_CONFLICT);
	assert_int_equal(put(s, &(struct device_put){ .id = "a", .public_key = key }, &no),
		DEVICE_UNCHANGED);
}

static void test_retirement(void **state)
{
	/* A retired device loses key and sessions; only `revive` takes its id again, and it starts over. */
	struct store *s = store_of(state);
	const uint8_t key[DEVICE_KEY_BYTES] = { 1 };
	struct state_entry app = { "app", "1.0.0" };
	struct device_put in = { .id = "a", .labels = "{\"x\":1}", .public_key = key };
	struct device d = { 0 };
	struct fl_err err = { 0 };
	enum device_outcome outcome;
	int64_t no = 0, epoch = 0, after = 0;

	assert_int_equal(state_put(s, &app, 1, &in.state_id, NULL), FL_OK);
	(void)put(s, &in, &no);
	assert_int_equal(device_retire(s, no, &epoch, NULL), FL_OK);
	assert_int_equal(epoch, 1);
	assert_int_equal(device_retire(s, no, &epoch, NULL), FL_OK);
	assert_int_equal(epoch, 1);
	assert_int_equal(
		device_put(s, &(struct device_put){ .id = "a" }, &no, &outcome, &err), FL_GONE);
	assert_int_equal(
		put(s, &(struct device_put){ .id = "a", .revive = true }, &no), DEVICE_REVIVED);
	assert_int_equal(device_epoch(s, no, &after, NULL), FL_OK);
	assert_int_equal(after, 2);
	assert_int_equal(device_get(s, "a", &d, NULL), FL_OK);
	assert_string_equal(d.labels, "{}");
	assert_int_equal(d.state_id, STATE_EMPTY);
	assert_int_equal(d.retired_at, 0);
	assert_null(d.public_key);
	device_fini(&d);
}

static void test_gateways(void **state)
{
	/* A gateway is one, is known, and has none itself; what has devices behind it stays one. */
	struct store *s = store_of(state);
	const struct device_put wrong[] = {
		{ .id = "x", .gateway = "nobody" },
		{ .id = "x", .gateway = "d" },
		{ .id = "h", .tier = "gateway", .gateway = "g" },
		{ .id = "g", .tier = "device" },
		{ .id = "g", .gateway = "g" },
	};
	enum device_outcome outcome;
	int64_t no = 0, g = 0;

	(void)put(s, &(struct device_put){ .id = "g", .tier = "gateway" }, &g);
	(void)put(s, &(struct device_put){ .id = "d", .gateway = "g" }, &no);
	for (size_t i = 0; i < FL_COUNT(wrong); i++)
		assert_int_equal(device_put(s, &wrong[i], &no, &outcome, NULL), FL_REFUSED);
	assert_int_equal(device_no(s, "x", &no, NULL), FL_NOT_FOUND);
	assert_int_equal(
		put(s, &(struct device_put){ .id = "d", .gateway = "" }, &no), DEVICE_CHANGED);
	assert_int_equal(
		put(s, &(struct device_put){ .id = "g", .tier = "device" }, &no), DEVICE_CHANGED);
}

static void test_last_seen_never_goes_back(void **state)
{
	/* A flush that comes late does not undo a later one. */
	struct store *s = store_of(state);
	struct device d = { 0 };
	int64_t no = 0;

	(void)put(s, &(struct device_put){ .id = "a" }, &no);
	assert_int_equal(device_set_last_seen(s, no, 200, NULL), FL_OK);
	assert_int_equal(device_set_last_seen(s, no, 100, NULL), FL_OK);
	assert_int_equal(device_by_no(s, no, &d, NULL), FL_OK);
	assert_int_equal(d.last_seen, 200);
	device_fini(&d);
}

/* ---- tokens */

static int64_t add_token(struct store *s, const char *name, unsigned roles, int64_t uses)
{
	const struct token t = {
		.name = name, .roles = roles, .uses_left = uses, .created_by = "test"
	};
	int64_t id = 0;

	assert_int_equal(token_add(s, &t, &id, NULL), FL_OK);
	return id;
}

static void test_uses(void **state)
{
	/* An enrolment token serves exactly as often as it says; one without a limit for ever. */
	struct store *s = store_of(state);
	int64_t limited = add_token(s, "two", 1, 2), free_for_all = add_token(s, "any", 1, -1),
		left = 0;

	assert_int_equal(token_use(s, limited, &left, NULL), FL_OK);
	assert_int_equal(left, 1);
	assert_int_equal(token_use(s, limited, &left, NULL), FL_OK);
	assert_int_equal(left, 0);
	assert_int_equal(token_use(s, limited, &left, NULL), FL_FORBIDDEN);
	assert_int_equal(token_use(s, free_for_all, &left, NULL), FL_OK);
	assert_int_equal(left, -1);
	assert_int_equal(token_revoke(s, free_for_all, NULL), FL_OK);
	assert_int_equal(token_use(s, free_for_all, &left, NULL), FL_FORBIDDEN);
}

static void test_token_count(void **state)
{
	/* Only what is in force, unlimited and of the role counts. */
	struct store *s = store_of(state);
	const struct token scoped = { .name = "scoped",
		.roles = 4,
		.uses_left = -1,
		.selector = "id==a",
		.created_by = "test" };
	const struct token expired = { .name = "expired",
		.roles = 4,
		.uses_left = -1,
		.expires_at = 1,
		.created_by = "test" };
	int64_t id = 0, n = -1;
	int64_t good = add_token(s, "good", 4, -1), revoked = add_token(s, "revoked", 4, -1);

	(void)add_token(s, "other role", 2, -1);
	assert_int_equal(token_add(s, &scoped, &id, NULL), FL_OK);
	assert_int_equal(token_add(s, &expired, &id, NULL), FL_OK);
	assert_int_equal(token_add(s, &expired, &id, NULL), FL_CONFLICT);
	assert_int_equal(token_revoke(s, revoked, NULL), FL_OK);
	assert_int_equal(token_count(s, 4, 0, &n, NULL), FL_OK);
	assert_int_equal(n, 1);
	assert_int_equal(token_count(s, 4, good, &n, NULL), FL_OK);
	assert_int_equal(n, 0);
}

/* ---- kept answers */

static void test_kept_answers_age(void **state)
{
	/* An answer is kept a day, per token, and an outlived one is replaced and in time removed. */
	struct store *s = store_of(state);
	struct idempotency row = { .token_id = 1, .key = "k", .status = 201 }, found;
	struct fl_buf b = { 0 };

	assert_int_equal(idempotency_put(s, &row, "first", NULL), FL_OK);
	assert_int_equal(idempotency_get(s, 2, "k", &found, &b, NULL), FL_NOT_FOUND);
	assert_int_equal(idempotency_get(s, 1, "k", &found, &b, NULL), FL_OK);
	assert_string_equal((const char *)b.p, "first");
	assert_int_equal(found.status, 201);
	s->now_ms += IDEMPOTENCY_LIFE_MS;
	assert_int_equal(idempotency_get(s, 1, "k", &found, &b, NULL), FL_NOT_FOUND);
	row.key = "other";
	assert_int_equal(idempotency_put(s, &row, "second", NULL), FL_OK);
	s->now_ms -= IDEMPOTENCY_LIFE_MS;
	assert_int_equal(idempotency_get(s, 1, "k", &found, &b, NULL), FL_NOT_FOUND); /* pruned */
	fl_buf_fini(&b);
}

static void test_instance(void **state)
{
	/* A fact is set, replaced and read; one that was never set is not found. */
	struct store *s = store_of(state);
	struct fl_buf b = { 0 };

	assert_int_equal(instance_get(s, "colour", &b, NULL), FL_NOT_FOUND);
	assert_int_equal(instance_put(s, "colour", "red", NULL), FL_OK);
	assert_int_equal(instance_put(s, "colour", "blue", NULL), FL_OK);
	assert_int_equal(instance_get(s, "colour", &b, NULL), FL_OK);
	assert_string_equal((const char *)b.p, "blue");
	fl_buf_fini(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_states_are_interned),
		TEST(test_a_module_is_installed_once),
		TEST(test_distinct_versions),
		TEST(test_upsert),
		TEST(test_enrolment),
		TEST(test_retirement),
		TEST(test_gateways),
		TEST(test_last_seen_never_goes_back),
		TEST(test_uses),
		TEST(test_token_count),
		TEST(test_kept_answers_age),
		TEST(test_instance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
