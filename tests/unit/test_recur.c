/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules that recur: RRULE, most of them examples of RFC 5545, and cron. */
#include "server/rollout/recur.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static int64_t seconds(const char *text)
{
	struct tm tm = { 0 };

	assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
	return (int64_t)timegm(&tm);
}

struct text {
	char said[4096];
	int left;
};

static enum fl_code write_down(void *context, int64_t local_s, struct fl_err *err)
{
	struct text *t = context;
	time_t at = (time_t)local_s;
	size_t n = strlen(t->said);
	struct tm tm;

	if (t->left-- == 0)
		return fl_fail(err, FL_STOPPED, "enough");
	(void)gmtime_r(&at, &tm);
	(void)snprintf(t->said + n, sizeof(t->said) - n, "%s%02d%02d%02d %02d:%02d",
		n == 0 ? "" : ", ", tm.tm_year % 100, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		tm.tm_min);
	return FL_OK;
}

/* The first beginnings from 1997-09-02 09:00 on, as many as `expected` has. */
static void begins(bool cron, const char *rule, const char *expected)
{
	struct recur_span span = { seconds("1997-09-02 09:00"), seconds("2010-01-01 00:00") };
	struct text t = { .left = (int)(strlen(expected) + 2) / 14 };
	struct fl_err err = { 0 };
	struct recur r;
	enum fl_code code;

	assert_int_equal((cron ? recur_cron : recur_rrule)(rule, span.from, &r, &err), FL_OK);
	code = recur_each(&r, &span, write_down, &t, &err);
	assert_true(code == FL_OK || code == FL_STOPPED);
	assert_string_equal(t.said, expected);
}

static void rules_of_the_rfc(void **unused)
{
	static const char *const cases[][2] = {
		{ "FREQ=DAILY;COUNT=2", "970902 09:00, 970903 09:00" },
		{ "FREQ=DAILY;INTERVAL=10;COUNT=5",
			"970902 09:00, 970912 09:00, 970922 09:00, 971002 09:00, 971012 09:00" },
		{ "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",
			"970903 09:00, 970905 09:00, 970915 09:00, 970917 09:00, 970919 09:00" },
		{ "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
			"970902 09:00, 970907 09:00, 970916 09:00, 970921 09:00" },
		{ "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
			"970902 09:00, 970914 09:00, 970916 09:00, 970928 09:00" },
		{ "FREQ=MONTHLY;COUNT=10;BYDAY=1FR", "970905 09:00, 971003 09:00, 971107 09:00" },
		{ "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
			"970907 09:00, 970928 09:00, 971102 09:00, 971130 09:00" },
		{ "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO", "970922 09:00, 971020 09:00, 971117 09:00" },
		{ "FREQ=MONTHLY;BYMONTHDAY=-3", "970928 09:00, 971029 09:00, 971128 09:00" },
		{ "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
			"970930 09:00, 971001 09:00, 971031 09:00, 971101 09:00" },
		{ "FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3",
			"990102 09:00, 990202 09:00, 990302 09:00, 010102 09:00" },
		{ "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
			"000101 09:00, 000409 09:00, 000718 09:00, 030101 09:00" },
		{ "FREQ=YEARLY;BYDAY=20MO", "980518 09:00, 990517 09:00, 000515 09:00" },
		{ "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "980511 09:00, 990517 09:00, 000515 09:00" },
		{ "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
			"980213 09:00, 980313 09:00, 981113 09:00, 990813 09:00, 001013 09:00" },
		{ "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
			"971104 09:00, 011106 09:00, 051108 09:00" },
		{ "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3",
			"970904 09:00, 971007 09:00, 971106 09:00" },
		{ "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
			"970929 09:00, 971030 09:00, 971127 09:00" },
		{ "FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T170000Z",
			"970902 09:00, 970902 12:00, 970902 15:00" },
		{ "FREQ=DAILY;BYHOUR=9,10;BYMINUTE=0,20",
			"970902 09:00, 970902 09:20, 970902 10:00, 970902 10:20, 970903 09:00" },
		{ "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5",
			"970915 09:00, 970930 09:00, 971015 09:00, 971030 09:00, 971115 09:00" },
		{ "freq=weekly;byday=sa", "970906 09:00, 970913 09:00" },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		begins(false, cases[i][0], cases[i][1]);
}

static void rules_of_cron(void **unused)
{
	static const char *const cases[][2] = {
		{ "0 22 * * mon-fri",
			"970902 22:00, 970903 22:00, 970904 22:00, 970905 22:00, "
			"970908 22:00" },
		{ "30 2 1 * *", "971001 02:30, 971101 02:30" },
		{ "*/20 1,3 * * sun", "970907 01:00, 970907 01:20, 970907 01:40, 970907 03:00" },
		{ "0 0 13 * fri", "970905 00:00, 970912 00:00, 970913 00:00" }, /* either */
		{ "0 0 * 2 7", "980201 00:00, 980208 00:00" },
		{ "0 4 * * fri-sun", "970905 04:00, 970906 04:00, 970907 04:00, 970912 04:00" },
		{ "15/30 0 29 FEB *", "000229 00:15, 000229 00:45, 040229 00:15" },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		begins(true, cases[i][0], cases[i][1]);
}

static void a_rule_may_never_begin(void **unused)
{
	struct recur_span span = { seconds("2026-01-01 00:00"), seconds("2027-02-01 00:00") };
	struct text t = { .left = 1 };
	struct recur r;

	(void)unused;
	assert_int_equal(recur_cron("0 0 31 2 *", 0, &r, NULL), FL_OK);
	assert_int_equal(recur_each(&r, &span, write_down, &t, NULL), FL_OK);
	assert_string_equal(t.said, "");
	assert_int_equal(recur_rrule("FREQ=DAILY;UNTIL=20250101", 0, &r, NULL), FL_OK);
	assert_int_equal(recur_each(&r, &span, write_down, &t, NULL), FL_OK);
	assert_string_equal(t.said, "");
}

static void what_is_no_rule_is_refused(void **unused)
{
	static const char *const rrules[] = { "", "DAILY", "BYDAY=MO", "FREQ=SECONDLY",
		"FREQ=DAILY;BYHOUR=24", "FREQ=DAILY;BYHOUR=", "FREQ=DAILY;BYHOUR=1,",
		"FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;FOO=1", "FREQ=DAILY;FREQ=DAILY",
		"FREQ=WEEKLY;BYDAY=2MO", "FREQ=WEEKLY;BYDAY=XX", "FREQ=WEEKLY;BYDAY=MOO",
		"FREQ=MONTHLY;BYDAY=0MO", "FREQ=MONTHLY;BYWEEKNO=1", "FREQ=DAILY;UNTIL=tomorrow",
		"FREQ=DAILY;COUNT=2;UNTIL=20260101", "FREQ=MONTHLY;BYMONTHDAY=0",
		"RSCALE=HEBREW;FREQ=YEARLY", "FREQ=DAILY;", "FREQ=DAILY;BYSECOND=1",
		"FREQ=DAILY;WKST=M" };
	static const char *const crons[] = { "", "* * * *", "* * * * * *", "60 * * * *",
		"* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-3 * * * *", "*/0 * * * *",
		"a * * * *", "1, * * * *", "1--2 * * * *", "-1 * * * *", "@daily" };
	struct recur r;

	(void)unused;
	for (size_t i = 0; i < sizeof(rrules) / sizeof(rrules[0]); i++)
		assert_int_equal(recur_rrule(rrules[i], 0, &r, NULL), FL_INVALID);
	for (size_t i = 0; i < sizeof(crons) / sizeof(crons[0]); i++)
		assert_int_equal(recur_cron(crons[i], 0, &r, NULL), FL_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_of_the_rfc),
		cmocka_unit_test(rules_of_cron),
		cmocka_unit_test(a_rule_may_never_begin),
		cmocka_unit_test(what_is_no_rule_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
