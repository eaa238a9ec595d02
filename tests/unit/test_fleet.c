/* SPDX-License-Identifier: Apache-2.0 */
#include "server/fleet.h"
#include "server/parts.h"
#include "server/store/batch.h"
#include "server/store/device.h"
#include "server/store/manifest.h"
#include "server/store/state.h"
#include "tests/lib/fake_server.h"

#include "lib/digest.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NONCES 20000

static int set_up(void **state)
{
	struct fake_server *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fake_server_init(f);
	assert_int_equal(fleet_up(&f->server, NULL), FL_OK);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fake_server *f = *state;

	fleet_down(&f->server);
	fake_server_fini(f);
	free(f);
	return 0;
}

/* The database as a new start finds it, and what the fleet makes of it. */
static void restart(struct fake_server *f)
{
	fleet_down(&f->server);
	fake_server_restart(f);
	assert_int_equal(fleet_up(&f->server, NULL), FL_OK);
}

/* ---- what runs in transactions */

static enum fl_code add_device(
	struct server *s, struct store *store, struct effects *e, void *arg, struct fl_err *err)
{
	const struct device_put put = { .id = arg };
	enum device_outcome outcome;
	int64_t no = 0;
	enum fl_code code = device_put(store, &put, &no, &outcome, err);

	(void)s;
	if (code == FL_OK)
		fleet_put(e, no, 0, false);
	return code;
}

static enum fl_code add_and_refuse(
	struct server *s, struct store *store, struct effects *e, void *arg, struct fl_err *err)
{
	enum fl_code code = add_device(s, store, e, arg, err);

	return code == FL_OK ? fl_fail(err, FL_REFUSED, "no") : code;
}

static enum fl_code retire(
	struct server *s, struct store *store, struct effects *e, void *arg, struct fl_err *err)
{
	int64_t no = *(int64_t *)arg, epoch = 0;
	enum fl_code code = device_retire(store, no, &epoch, err);

	(void)s;
	if (code == FL_OK)
		fleet_put(e, no, epoch, true);
	return code;
}

static enum fl_code set_attention(
	struct server *s, struct store *store, struct effects *e, void *arg, struct fl_err *err)
{
	(void)s;
	(void)store;
	(void)err;
	fleet_attention(e, 1, *(bool *)arg);
	return FL_OK;
}

static enum fl_code issue(
	struct server *s, struct store *store, struct effects *e, void *arg, struct fl_err *err)
{
	struct manifest_row *row = arg;
	enum fl_code code = manifest_goal(store, fl_bytes("{}", 2), &row->goal_id, err);

	(void)s;
	return code == FL_OK ? fleet_issue(store, e, row, err) : code;
}

static enum fl_code issue_and_refuse(
	struct server *s, struct store *store, struct effects *e, void *arg, struct fl_err *err)
{
	enum fl_code code = issue(s, store, e, arg, err);

	return code == FL_OK ? fl_fail(err, FL_REFUSED, "no") : code;
}

static void run(struct fake_server *f, database_fn fn, void *arg)
{
	assert_int_equal(database_run(&f->server, fn, arg, NULL), FL_OK);
}

/* ---- the tests */

/* A device is there after the commit that made it, and not after a refusal. */
static void test_put(void **state)
{
	struct fake_server *f = *state;
	struct fleet_device d;

	assert_false(fleet_get(f->server.fleet, 1, &d));
	assert_int_equal(
		database_run(&f->server, add_and_refuse, (char *)"dev-0", NULL), FL_REFUSED);
	assert_false(fleet_get(f->server.fleet, 1, &d));
	run(f, add_device, (char *)"dev-1");
	assert_true(fleet_get(f->server.fleet, 1, &d));
	assert_false(d.retired || d.attention);
	assert_int_equal(d.manifest, 0);
	assert_int_equal(fleet_last_no(f->server.fleet), 1);
}

/* Numbers that no device has are answered, whatever they are. */
static void test_unknown(void **state)
{
	static const int64_t numbers[] = { INT64_MIN, -1, 0, 2, 4096, 1LL << 28, INT64_MAX };
	struct fake_server *f = *state;
	struct fleet_device d;

	run(f, add_device, (char *)"dev-1");
	for (size_t i = 0; i < FL_COUNT(numbers); i++) {
		assert_false(fleet_get(f->server.fleet, numbers[i], &d));
		assert_false(fleet_take_nonce(f->server.fleet, numbers[i], 1, 1));
		fleet_seen(f->server.fleet, numbers[i], 1);
	}
}

/* A nonce is taken once and only upwards; a new epoch begins anew. */
static void test_nonce(void **state)
{
	struct fake_server *f = *state;
	struct fleet_device d;
	int64_t no = 1;

	run(f, add_device, (char *)"dev-1");
	assert_false(fleet_take_nonce(f->server.fleet, 1, 0, 100));
	assert_true(fleet_take_nonce(f->server.fleet, 1, 5, 100));
	assert_false(fleet_take_nonce(f->server.fleet, 1, 5, 100));
	assert_false(fleet_take_nonce(f->server.fleet, 1, 4, 100));
	assert_true(fleet_take_nonce(f->server.fleet, 1, UINT64_MAX, 101));
	assert_true(fleet_get(f->server.fleet, 1, &d));
	assert_int_equal(d.seen_s, 101);
	run(f, retire, &no);
	assert_true(fleet_get(f->server.fleet, 1, &d));
	assert_true(d.retired);
	assert_int_equal(d.epoch, 1);
	assert_int_equal(d.nonce, 0);
}

struct racer {
	struct fleet *fleet;
	int taken;
};

static void *race(void *arg)
{
	struct racer *r = arg;

	for (uint64_t nonce = 1; nonce <= NONCES; nonce++)
		r->taken += fleet_take_nonce(r->fleet, 1, nonce, 100);
	return NULL;
}

/* Two threads that try the same nonces never both take one. */
static void test_nonce_race(void **state)
{
	struct fake_server *f = *state;
	struct racer racers[2] = { { f->server.fleet, 0 }, { f->server.fleet, 0 } };
	pthread_t threads[2];

	run(f, add_device, (char *)"dev-1");
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(racers[0].taken + racers[1].taken <= NONCES);
	assert_false(fleet_take_nonce(f->server.fleet, 1, NONCES, 100));
	assert_true(fleet_take_nonce(f->server.fleet, 1, NONCES + 1, 100));
}

/* Attention is an effect: on and off after the commit. */
static void test_attention(void **state)
{
	struct fake_server *f = *state;
	struct fleet_device d;
	bool on = true, off = false;

	run(f, add_device, (char *)"dev-1");
	run(f, set_attention, &on);
	assert_true(fleet_get(f->server.fleet, 1, &d) && d.attention);
	run(f, set_attention, &off);
	assert_true(fleet_get(f->server.fleet, 1, &d) && !d.attention);
}

/* Each manifest has the next number, in the store and in memory; a refused one leaves no trace. */
static void test_issue(void **state)
{
	struct fake_server *f = *state;
	struct manifest_row row = { .device_no = 1, .stage_id = 7 };
	struct fleet_device d;
	int64_t goal_id;

	run(f, add_device, (char *)"dev-1");
	run(f, issue, &row);
	assert_int_equal(row.number, 1);
	assert_true(row.expires_ms > row.issued_ms);
	goal_id = row.goal_id;
	assert_int_equal(database_run(&f->server, issue_and_refuse, &row, NULL), FL_REFUSED);
	assert_true(fleet_get(f->server.fleet, 1, &d));
	assert_int_equal(d.manifest, 1);
	run(f, issue, &row);
	assert_int_equal(row.number, 2);
	assert_int_equal(row.goal_id, goal_id);
	restart(f);
	assert_true(fleet_get(f->server.fleet, 1, &d));
	assert_int_equal(d.manifest, 2);
}

static enum fl_code check_row(
	struct server *s, struct store *store, struct effects *e, void *arg, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf goal = { 0 };
	struct manifest_row row;

	(void)s;
	(void)e;
	(void)arg;
	assert_int_equal(manifest_get(store, 1, &row, err), FL_OK);
	assert_int_equal(row.number, 1);
	assert_int_equal(row.stage_id, 0);
	assert_int_equal(row.expires_ms, 99);
	assert_int_equal(manifest_goal_text(store, row.goal_id, &goal, err), FL_OK);
	assert_string_equal((char *)goal.p, "{}");
	assert_int_equal(manifest_get(store, 2, &row, err), FL_NOT_FOUND);
	assert_int_equal(manifest_goal_text(store, 99, &goal, err), FL_NOT_FOUND);
	return FL_OK;
}

/* The row of a manifest comes back as it was issued. */
static void test_row(void **state)
{
	struct manifest_row row = { .device_no = 1, .expires_ms = 99 };

	run(*state, add_device, (char *)"dev-1");
	run(*state, issue, &row);
	run(*state, check_row, NULL);
}

/* A start finds devices, epochs and retirements as they were; nonces begin anew. */
static void test_load(void **state)
{
	struct fake_server *f = *state;
	struct fleet_device d;
	int64_t no = 2;

	run(f, add_device, (char *)"dev-1");
	run(f, add_device, (char *)"dev-2");
	run(f, retire, &no);
	assert_true(fleet_take_nonce(f->server.fleet, 1, 9, 100));
	restart(f);
	assert_true(fleet_get(f->server.fleet, 1, &d));
	assert_false(d.retired);
	assert_int_equal(d.nonce, 0);
	assert_true(fleet_get(f->server.fleet, 2, &d));
	assert_true(d.retired);
	assert_int_equal(d.epoch, 1);
	assert_int_equal(fleet_last_no(f->server.fleet), 2);
}

struct seen {
	int n;
	int64_t no;
	uint32_t seen_s;
};

static void on_seen(void *arg, int64_t no, uint32_t seen_s)
{
	struct seen *s = arg;

	s->n++;
	s->no = no;
	s->seen_s = seen_s;
}

/* Who was seen is told once, and again when the write of it failed or when it was seen again. */
static void test_seen(void **state)
{
	struct fake_server *f = *state;
	struct seen s = { 0 };

	run(f, add_device, (char *)"dev-1");
	run(f, add_device, (char *)"dev-2");
	fleet_seen(f->server.fleet, 2, 500);
	fleet_take_seen(f->server.fleet, 1, 1, on_seen, &s);
	assert_int_equal(s.n, 0);
	fleet_take_seen(f->server.fleet, 1, 9, on_seen, &s);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.no, 2);
	assert_int_equal(s.seen_s, 500);
	fleet_take_seen(f->server.fleet, 1, 9, on_seen, &s);
	assert_int_equal(s.n, 1);
	fleet_untake_seen(f->server.fleet, 2);
	fleet_take_seen(f->server.fleet, 1, 9, on_seen, &s);
	assert_int_equal(s.n, 2);
	fleet_seen(f->server.fleet, 2, 499); /* the clock went back: not news */
	fleet_take_seen(f->server.fleet, 1, 9, on_seen, &s);
	assert_int_equal(s.n, 2);
	fleet_seen(f->server.fleet, 2, 501);
	fleet_take_seen(f->server.fleet, 1, 9, on_seen, &s);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.seen_s, 501);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_put, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unknown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nonce, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nonce_race, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_attention, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_issue, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_row, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_load, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_seen, set_up, tear_down),
	};

	fl_digest_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
