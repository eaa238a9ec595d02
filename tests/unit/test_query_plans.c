/* SPDX-License-Identifier: Apache-2.0
 *
 * How SQLite reads what devices' requests and the timer ask: fleets are large, so that a wrong order of tables
 * costs seconds of the one writer. */
#include "server/store/freeze.h"
#include "server/store/rollout.h"
#include "server/store/sqlite_in.h"
#include "server/store/step.h"
#include "tests/lib/database.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A statement, and the first thing that it reads of a table that is large. */
struct reading {
	const char *name, *how;
};

static const struct reading readings[] = {
	{ "freeze_select_active", "SEARCH s USING INDEX freeze_span_by_until (until_at>?)" },
	{ "freeze_select_since", "SEARCH s USING INDEX freeze_span_by_until (until_at>?)" },
	{ "freeze_select_turned", "SEARCH s USING INDEX freeze_span_untold (from_at<?)" },
	{ "rollout_select_active", "SEARCH stage USING INDEX stage_by_due (due_at>?)" },
	{ "step_select_behind", "SEARCH s USING PRIMARY KEY (stage_id=? AND device_no=?)" },
	{ "step_select_count_behind", "SEARCH s USING INDEX step_by_device (device_no=?)" },
	{ "step_select_count_label",
		"SEARCH s USING INDEX step_by_deadline (stage_id=? AND deadline>?)" },
	{ "step_select_loss", "SEARCH d USING COVERING INDEX device_by_gateway (gateway_no=?)" },
	{ "step_select_orders_behind", "SEARCH s USING INDEX step_by_device (device_no=?)" },
};

static const char *text_of(const char *name)
{
	for (const struct db_sql *sql = __start_db_sql; sql < __stop_db_sql; sql++)
		if (strcmp(sql->name, name) == 0)
			return sql->text;
	fail_msg("there is no statement %s", name);
	return NULL;
}

static bool reads_so(struct db *db, const struct reading *r)
{
	char text[4096];
	sqlite3_stmt *plan = NULL;
	bool found = false;

	(void)snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", text_of(r->name));
	assert_int_equal(sqlite_prepare(db, text, r->name, &plan, NULL), FL_OK);
	while (sqlite3_step(plan) == SQLITE_ROW)
		found = found || strcmp((const char *)sqlite3_column_text(plan, 3), r->how) == 0;
	(void)sqlite3_finalize(plan);
	return found;
}

static enum fl_code ignore(void *context, const struct freeze *f, struct fl_err *err)
{
	(void)context;
	(void)f;
	(void)err;
	return FL_OK;
}

static void what_is_asked_often_reads_few_rows(void **unused)
{
	/* Steps of a stage, spans of freezes and stages that are over are many; none is read whole. */
	struct test_database t;
	int64_t n;

	(void)unused;
	test_database_init(&t);
	assert_int_equal(freeze_each_active(&t.store, ignore, NULL, NULL), FL_OK);
	assert_int_equal(rollout_newest(&t.store, &n, NULL), FL_OK);
	assert_int_equal(step_count_behind(&t.store, 1, &n, NULL), FL_OK);
	for (size_t i = 0; i < FL_COUNT(readings); i++)
		if (!reads_so(t.db, &readings[i]))
			fail_msg("%s does not %s", readings[i].name, readings[i].how);
	test_database_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_often_reads_few_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
