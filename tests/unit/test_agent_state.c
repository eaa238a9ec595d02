/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent's record: what is saved comes back, what is damaged is refused, reports are kept. */
#include "agent/state.h"

#include "lib/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/fleet-test-state-XXXXXX";
static char path[64];

static int up(void **unused)
{
	(void)unused;
	if (mkdtemp(folder) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/state.json", folder);
	return 0;
}

static int down(void **unused)
{
	(void)unused;
	(void)unlink(path);
	return rmdir(folder); /* also says that no temporary file was left */
}

static void fill(struct state *s)
{
	memset(s, 0, sizeof(*s));
	assert_int_equal(state_init(s, NULL), FL_OK);
	s->now = FSM_PROBATION;
	s->no = 12;
	s->accepted = 17;
	s->good = 4;
	s->previous = 3;
	s->trial = 5;
	s->starts = 1;
	s->bytes = 1000;
	s->saved = 9000;
	s->wait = (struct waits){ .on = state_wait_word("consent"), .detail = "nobody asked" };
	s->whole = true;
	s->verdict = (struct verdict){ .state = "failed", .cause = "release", .detail = "ill" };
	s->root = json_pack("{s:{}}", "signed");
	assert_int_equal(state_set(&s->device, "d-1", NULL), FL_OK);
	assert_int_equal(state_set(&s->order, "{\"signed\":{}}", NULL), FL_OK);
	assert_int_equal(state_set(&s->step, "9", NULL), FL_OK);
	(void)json_array_append_new(
		s->good_modules, json_pack("{s:s, s:s}", "module", "app", "version", "1.0.0"));
}

static void what_is_saved_comes_back(void **unused)
{
	struct state a, b = { 0 };
	struct fl_err err = { 0 };

	(void)unused;
	fill(&a);
	assert_int_equal(state_report(&a, "installed", false, &err), FL_OK);
	assert_int_equal(state_save(&a, path, &err), FL_OK);
	assert_int_equal(state_init(&b, NULL), FL_OK);
	assert_int_equal(state_load(&b, path, &err), FL_OK);
	assert_int_equal(b.now, FSM_PROBATION);
	assert_string_equal(b.wait.on, "consent");
	assert_string_equal(b.wait.detail, "nobody asked");
	assert_true(b.whole);
	assert_int_equal(b.no, 12);
	assert_int_equal(b.accepted, 17);
	assert_int_equal(b.trial, 5);
	assert_int_equal(b.saved, 9000);
	assert_string_equal(b.device, "d-1");
	assert_string_equal(b.order, a.order);
	assert_null(b.offer);
	assert_string_equal(b.verdict.state, "failed");
	assert_string_equal(b.verdict.cause, "release");
	assert_string_equal(b.verdict.detail, "ill");
	assert_true(json_equal(a.good_modules, b.good_modules));
	assert_true(json_equal(a.outbox, b.outbox));
	assert_true(json_equal(a.root, b.root));
	state_fini(&a);
	state_fini(&b);
	state_fini(&b); /* safe twice */
}

/* Write `text` as the record and say what loading it gives. */
static enum fl_code load_text(const char *text)
{
	struct fl_bytes bytes = { (const uint8_t *)text, strlen(text) };
	struct state s = { 0 };
	enum fl_code code;

	assert_int_equal(fl_file_put(path, bytes, 0600, NULL), FL_OK);
	assert_int_equal(state_init(&s, NULL), FL_OK);
	code = state_load(&s, path, NULL);
	state_fini(&s);
	return code;
}

static void a_damaged_or_newer_record_is_refused(void **unused)
{
#define REST                                                                        \
	"\"accepted\":1,\"good\":0,\"previous\":0,\"trial\":0,\"good_modules\":[]," \
	"\"previous_modules\":[],\"trial_modules\":[],\"outbox\":[]}"
	(void)unused;
	assert_int_equal(load_text("{\"version\":1,\"state\":\"idle\"," REST), FL_OK);
	assert_int_equal(load_text("{\"version\":2,\"state\":\"idle\"," REST), FL_CORRUPT);
	assert_int_equal(load_text("{\"version\":1,\"state\":\"dreaming\"," REST), FL_CORRUPT);
	assert_int_equal(load_text("{\"version\":1,\"state\":\"idle\"}"), FL_CORRUPT);
	assert_int_equal(load_text("{\"version\":1,\"sta"), FL_CORRUPT);
	assert_int_equal(load_text(""), FL_CORRUPT);
#undef REST
}

static void a_missing_record_is_told_apart(void **unused)
{
	struct state s = { 0 };

	(void)unused;
	(void)unlink(path);
	assert_int_equal(state_init(&s, NULL), FL_OK);
	assert_int_equal(state_load(&s, path, NULL), FL_NOT_FOUND);
	state_fini(&s);
}

static const char *word_at(const struct state *s, size_t i)
{
	return json_string_value(json_object_get(json_array_get(s->outbox, i), "state"));
}

static void newer_progress_takes_the_place_of_older_but_ends_stay(void **unused)
{
	struct state s;

	(void)unused;
	fill(&s);
	assert_int_equal(state_report(&s, "failed", true, NULL), FL_OK);
	assert_int_equal(state_set(&s.step, "10", NULL), FL_OK);
	assert_int_equal(state_report(&s, "downloading", false, NULL), FL_OK);
	assert_int_equal(state_report(&s, "installed", false, NULL), FL_OK);
	assert_int_equal(json_array_size(s.outbox), 2);
	assert_string_equal(word_at(&s, 0), "failed");
	assert_string_equal(word_at(&s, 1), "installed");
	state_fini(&s);
}

static void the_outbox_is_bounded_and_drops_the_oldest(void **unused)
{
	struct state s;

	(void)unused;
	fill(&s);
	for (int i = 0; i < STATE_OUTBOX_MAX + 5; i++) {
		char step[16];

		(void)snprintf(step, sizeof(step), "%d", i);
		assert_int_equal(state_set(&s.step, step, NULL), FL_OK);
		assert_int_equal(state_report(&s, "failed", true, NULL), FL_OK);
	}
	assert_int_equal(json_array_size(s.outbox), STATE_OUTBOX_MAX);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(s.outbox, 0), "step")), "5");
	state_fini(&s);
}

static void without_a_waiting_step_nothing_is_reported(void **unused)
{
	struct state s;

	(void)unused;
	fill(&s);
	assert_int_equal(state_set(&s.step, NULL, NULL), FL_OK);
	assert_int_equal(state_report(&s, "failed", true, NULL), FL_OK);
	assert_int_equal(json_array_size(s.outbox), 0);
	state_fini(&s);
}

static void a_failed_save_keeps_the_old_record(void **unused)
{
	char nowhere[96];
	struct state s;

	(void)unused;
	(void)snprintf(nowhere, sizeof(nowhere), "%s/none/state.json", folder);
	fill(&s);
	assert_int_equal(state_save(&s, nowhere, NULL), FL_IO);
	state_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_saved_comes_back),
		cmocka_unit_test(a_damaged_or_newer_record_is_refused),
		cmocka_unit_test(a_missing_record_is_told_apart),
		cmocka_unit_test(newer_progress_takes_the_place_of_older_but_ends_stay),
		cmocka_unit_test(the_outbox_is_bounded_and_drops_the_oldest),
		cmocka_unit_test(without_a_waiting_step_nothing_is_reported),
		cmocka_unit_test(a_failed_save_keeps_the_old_record),
	};

	return cmocka_run_group_tests_name("state", tests, up, down);
}
