/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens in memory and the audit trail: what a presented text opens, while others change the set, and
 * a chain of events that shows what was done to it. */
#include "server/tokens.h"

#include "server/events.h"
#include "server/http/request.h"
#include "server/server.h"
#include "server/store/token.h"
#include "tests/lib/database.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1700000000000

struct world {
	struct test_database database;
	struct server server;
	struct effects *effects;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_true(sodium_init() >= 0);
	test_database_init(&w->database);
	w->effects = effects_new();
	assert_non_null(w->effects);
	assert_int_equal(tokens_new(&w->server.tokens, NULL), FL_OK);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	tokens_free(w->server.tokens);
	effects_free(w->effects);
	test_database_fini(&w->database);
	free(w);
	return 0;
}

/* What the batch runner does after COMMIT. */
static void commit(struct world *w)
{
	test_database_commit(&w->database);
	effects_run_after(w->effects, &w->server);
	effects_reset(w->effects);
}

static int64_t create(struct world *w, const struct tokens_spec *spec, char text[TOKENS_TEXT_MAX])
{
	struct fl_err err = { 0 };
	int64_t id = 0;

	if (tokens_create(&w->database.store, w->effects, spec, text, &id, &err) != FL_OK)
		fail_msg("%s", err.msg);
	return id;
}

static enum fl_code present(
	struct world *w, const char *text, int64_t now_ms, struct principal *out)
{
	return tokens_authenticate(w->server.tokens, text, now_ms, out, NULL);
}

static void test_life(void **state)
{
	/* A token opens from its commit to its revocation's commit, and what it opens is what was said. */
	struct world *w = *state;
	const struct tokens_spec spec = { .name = "ci",
		.roles = WHO_PUBLISHER | WHO_VIEWER,
		.selector = "label.r==eu",
		.uses = -1,
		.created_by = "test" };
	char text[TOKENS_TEXT_MAX];
	struct principal who;
	int64_t id = create(w, &spec, text);

	assert_int_equal(present(w, text, NOW, &who), FL_UNAUTHENTICATED);
	commit(w);
	assert_int_equal(present(w, text, NOW, &who), FL_OK);
	assert_int_equal(who.token_id, id);
	assert_int_equal(who.roles, WHO_PUBLISHER | WHO_VIEWER);
	assert_string_equal(who.name, "ci");
	assert_string_equal(who.selector, "label.r==eu");
	const char *borrowed = who.selector;
	assert_int_equal(tokens_revoke(&w->database.store, w->effects, id, "test", NULL), FL_OK);
	assert_int_equal(present(w, text, NOW, &who), FL_OK);
	commit(w);
	assert_int_equal(present(w, text, NOW, &who), FL_UNAUTHENTICATED);
	assert_int_equal(who.roles, 0);
	assert_string_equal(borrowed, "label.r==eu"); /* a request may still hold it */
}

static void test_dropped_effects(void **state)
{
	/* A creation that is rolled back never opens anything. */
	struct world *w = *state;
	const struct tokens_spec spec = {
		.name = "x", .roles = WHO_ADMIN, .uses = -1, .created_by = "t"
	};
	char text[TOKENS_TEXT_MAX];
	struct principal who;

	(void)create(w, &spec, text);
	effects_reset(w->effects);
	commit(w);
	assert_int_equal(present(w, text, NOW, &who), FL_UNAUTHENTICATED);
}

static void test_expiry_and_uses(void **state)
{
	/* A token ends at its time; an enrolment token with its last use; both survive a load. */
	struct world *w = *state;
	const struct tokens_spec shorter = { .name = "short",
		.roles = WHO_VIEWER,
		.uses = -1,
		.expires_at = NOW + 1000,
		.created_by = "t" };
	const struct tokens_spec once = { .name = "once",
		.roles = WHO_ENROLLER,
		.uses = 1,
		.labels = "{\"a\":1}",
		.created_by = "t" };
	char first[TOKENS_TEXT_MAX], second[TOKENS_TEXT_MAX];
	struct fl_buf labels = { 0 };
	struct principal who;

	(void)create(w, &shorter, first);
	int64_t id = create(w, &once, second);
	commit(w);
	assert_int_equal(present(w, first, NOW + 999, &who), FL_OK);
	assert_int_equal(present(w, first, NOW + 1000, &who), FL_UNAUTHENTICATED);
	assert_int_equal(tokens_use(&w->database.store, w->effects, id, &labels, NULL), FL_OK);
	assert_string_equal((const char *)labels.p, "{\"a\":1}");
	commit(w);
	assert_int_equal(present(w, second, NOW, &who), FL_UNAUTHENTICATED);
	fl_buf_fini(&labels);

	struct tokens *loaded = NULL;
	assert_int_equal(tokens_new(&loaded, NULL), FL_OK);
	assert_int_equal(tokens_load(loaded, &w->database.store, NULL), FL_OK);
	assert_int_equal(tokens_authenticate(loaded, first, NOW, &who, NULL), FL_OK);
	assert_int_equal(
		tokens_authenticate(loaded, first, NOW + 1000, &who, NULL), FL_UNAUTHENTICATED);
	tokens_free(loaded);
}

static void test_altered_texts(void **state)
{
	/* No text but the very one opens: every single changed character is noticed. */
	struct world *w = *state;
	const struct tokens_spec spec = {
		.name = "x", .roles = WHO_VIEWER, .uses = -1, .created_by = "t"
	};
	char text[TOKENS_TEXT_MAX];
	struct principal who;

	(void)create(w, &spec, text);
	commit(w);
	for (size_t i = 0; text[i] != '\0'; i++) {
		char was = text[i];

		for (const char *c = "aZ0_-. \x01"; *c != '\0'; c++) {
			text[i] = *c;
			assert_int_equal(present(w, text, NOW, &who),
				*c == was ? FL_OK : FL_UNAUTHENTICATED);
		}
		text[i] = '\0';
		assert_int_equal(present(w, text, NOW, &who), FL_UNAUTHENTICATED);
		text[i] = was;
	}
	assert_int_equal(present(w, text, NOW, &who), FL_OK);
}

/* ---- threads */

struct reader {
	struct world *world;
	const char *text;
	atomic_bool stop;
	atomic_int opened, refused;
};

static void *read_on(void *arg)
{
	struct reader *r = arg;
	struct principal who;

	while (!atomic_load(&r->stop)) {
		bool good = present(r->world, r->text, NOW, &who) == FL_OK;
		atomic_fetch_add(good ? &r->opened : &r->refused, 1);
	}
	return NULL;
}

static void test_loops_read_while_the_writer_adds(void **state)
{
	/* A valid token opens at any moment while hundreds of others come. */
	struct world *w = *state;
	char text[TOKENS_TEXT_MAX], other[TOKENS_TEXT_MAX], name[32];
	const struct tokens_spec first = {
		.name = "first", .roles = WHO_VIEWER, .uses = -1, .created_by = "t"
	};
	struct reader reader = { .world = w, .text = text };
	pthread_t thread;

	(void)create(w, &first, text);
	commit(w);
	assert_int_equal(pthread_create(&thread, NULL, read_on, &reader), 0);
	for (int i = 0; i < 300; i++) {
		struct tokens_spec spec = {
			.name = name, .roles = WHO_VIEWER, .uses = -1, .created_by = "t"
		};

		(void)snprintf(name, sizeof(name), "t%d", i);
		(void)create(w, &spec, other);
		if (i % 20 == 0)
			commit(w);
	}
	commit(w);
	while (atomic_load(&reader.opened) == 0)
		sched_yield();
	atomic_store(&reader.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(atomic_load(&reader.refused), 0);
}

/* ---- the audit trail */

static void write_event(struct world *w, const char *subject, json_t *data)
{
	const struct events_line line = {
		.kind = EVENT_MODULE_CREATED, .actor = "a", .subject = subject, .data = data
	};

	assert_int_equal(events_write(&w->database.store, w->effects, &line, NULL), FL_OK);
}

static void test_chain(void **state)
{
	/* The chain verifies, numbers have no gap, and a line out of order or altered is named. */
	struct world *w = *state;
	struct store *s = &w->database.store;
	struct event forged = {
		.actor = "a", .kind = "module.created", .subject = "z", .data = "{}"
	};
	struct fl_err err = { 0 };
	int64_t n = -1;

	assert_int_equal(events_verify(s, &n, &err), FL_OK);
	assert_int_equal(n, 0);
	write_event(w, "x", NULL);
	write_event(w, "y \"\xc3\xa9\"", json_pack("{s:[i,b,n], s:s}", "b", 1, 1, "a", "\\"));
	assert_int_equal(events_verify(s, &n, &err), FL_OK);
	assert_int_equal(n, 2);
	forged.seq = 4;
	assert_int_equal(event_add(s, &forged, NULL), FL_OK);
	assert_int_equal(events_verify(s, &n, &err), FL_CORRUPT);
	assert_string_equal(err.msg, "event 3 is missing");
	forged.seq = 3;
	assert_int_equal(event_add(s, &forged, NULL), FL_OK);
	assert_int_equal(events_verify(s, &n, &err), FL_CORRUPT);
	assert_non_null(strstr(err.msg, "event 3 was changed after it was written"));
	assert_int_equal(n, 2);
}

static void test_kinds(void **state)
{
	/* Each kind has a text of its own and what its subject is. */
	(void)state;
	for (int i = 0; i < EVENT_KIND_MAX; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(events_kind_text((enum event_kind)i),
				events_kind_text((enum event_kind)k));
	assert_int_equal(events_subject("device.retired"), EVENT_OF_DEVICE);
	assert_int_equal(events_subject("release.created"), EVENT_OF_RELEASE);
	assert_int_equal(events_subject("from.the.future"), EVENT_OF_SERVER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_life),
		TEST(test_dropped_effects),
		TEST(test_expiry_and_uses),
		TEST(test_altered_texts),
		TEST(test_loops_read_while_the_writer_adds),
		TEST(test_chain),
		cmocka_unit_test(test_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
