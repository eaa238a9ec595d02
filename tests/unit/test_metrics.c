/* SPDX-License-Identifier: Apache-2.0 */
#include "server/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Counters add up, gauges are set, and the text form holds both with their types. */
static void figures_are_rendered(void **state)
{
	struct metrics *m = metrics_new();
	FL_AUTO_BUF struct fl_buf b = { 0 };

	(void)state;
	metrics_add(m, METRIC_REQUESTS, 2);
	metrics_add(m, METRIC_REQUESTS, 3);
	metrics_set(m, METRIC_WAL_BYTES, 4096);
	assert_int_equal(metrics_get(m, METRIC_REQUESTS), 5);
	metrics_render(m, &b);
	assert_int_equal(fl_buf_check(&b, NULL), FL_OK);
	assert_non_null(strstr(
		(char *)b.p, "# TYPE fleetd_requests_total counter\nfleetd_requests_total 5\n"));
	assert_non_null(
		strstr((char *)b.p, "# TYPE fleetd_wal_bytes gauge\nfleetd_wal_bytes 4096\n"));
	metrics_free(m);
}

/* Buckets are cumulative and the last one holds everything. */
static void durations_are_buckets(void **state)
{
	struct metrics *m = metrics_new();
	FL_AUTO_BUF struct fl_buf b = { 0 };

	(void)state;
	metrics_time(m, METRIC_COMMIT_SECONDS, 100);
	metrics_time(m, METRIC_COMMIT_SECONDS, 101);
	metrics_time(m, METRIC_COMMIT_SECONDS, 99000000);
	assert_int_equal(metrics_get(m, METRIC_COMMIT_SECONDS), 3);
	metrics_render(m, &b);
	assert_non_null(
		strstr((char *)b.p, "fleetd_commit_duration_seconds_bucket{le=\"0.0001\"} 1\n"));
	assert_non_null(
		strstr((char *)b.p, "fleetd_commit_duration_seconds_bucket{le=\"0.00025\"} 2\n"));
	assert_non_null(
		strstr((char *)b.p, "fleetd_commit_duration_seconds_bucket{le=\"10\"} 2\n"));
	assert_non_null(
		strstr((char *)b.p, "fleetd_commit_duration_seconds_bucket{le=\"+Inf\"} 3\n"));
	assert_non_null(strstr((char *)b.p, "fleetd_commit_duration_seconds_sum 99.000201\n"));
	metrics_free(m);
}

/* Without metrics every call does nothing. */
static void none_is_fine(void **state)
{
	(void)state;
	metrics_add(NULL, METRIC_REQUESTS, 1);
	metrics_set(NULL, METRIC_WAL_BYTES, 1);
	metrics_time(NULL, METRIC_COMMIT_SECONDS, 1);
	assert_int_equal(metrics_get(NULL, METRIC_REQUESTS), 0);
	metrics_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_are_rendered),
		cmocka_unit_test(durations_are_buckets),
		cmocka_unit_test(none_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
