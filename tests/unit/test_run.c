/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands of the agent: their verdict, their limit of time, nothing left of them. */
#include "agent/run.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static volatile int stop;

static enum fl_code run(const char *command, int64_t timeout_ms, struct fl_buf *output)
{
	static const char *const names[] = { "FLEET_GENERATION=17", NULL };
	struct run r = {
		.command = command, .environ = names, .timeout_ms = timeout_ms, .stop = &stop
	};

	return run_command(&r, output, NULL);
}

static void the_exit_status_is_the_verdict(void **unused)
{
	(void)unused;
	assert_int_equal(run("exit 0", 10000, NULL), FL_OK);
	assert_int_equal(run("exit 3", 10000, NULL), FL_REFUSED);
	assert_int_equal(run("kill -TERM $$", 10000, NULL), FL_REFUSED);
	assert_int_equal(run("/no/such/program 2>/dev/null", 10000, NULL), FL_REFUSED);
}

static void it_gets_the_environment_and_no_input(void **unused)
{
	(void)unused;
	assert_int_equal(run("test \"$FLEET_GENERATION\" = 17", 10000, NULL), FL_OK);
	assert_int_equal(run("! read line", 10000, NULL), FL_OK);
}

static void its_output_is_taken_up_to_the_limit(void **unused)
{
	FL_AUTO_BUF struct fl_buf all = { 0 }, some = { .max = 5000 };

	(void)unused;
	assert_int_equal(run("echo a=1; echo b=2", 10000, &all), FL_OK);
	assert_string_equal((const char *)all.p, "a=1\nb=2\n");
	assert_int_equal(run("head -c 100000 /dev/zero", 10000, &some), FL_OK);
	assert_true(some.n <= 5000 && !some.failed);
}

static void a_health_command_says_why_it_fails(void **unused)
{
	FL_AUTO_BUF struct fl_buf said = { .max = 64 };
	struct run r = { .timeout_ms = 10000, .stop = &stop, .reasons = true };
	struct fl_err err = { 0 };

	(void)unused;
	r.command = "echo fine; echo 'no\\tvoltage' >&2; echo; exit 3";
	assert_int_equal(run_command(&r, &said, &err), FL_REFUSED);
	assert_string_equal(err.msg, "no?voltage; the command ended with status 3");
	fl_buf_reset(&said);
	r.command = "printf '%0600d7\\n' 0; exit 1"; /* only its end is kept */
	assert_int_equal(run_command(&r, &said, &err), FL_REFUSED);
	assert_int_equal(strlen(err.msg), 63 + strlen("; the command ended with status 1"));
	assert_non_null(strstr(err.msg, "07; the command ended with status 1"));
	fl_buf_reset(&said);
	r.command = "exit 1";
	assert_int_equal(run_command(&r, &said, &err), FL_REFUSED);
	assert_string_equal(err.msg, "the command ended with status 1");
}

static void one_that_hangs_is_killed_with_its_children(void **unused)
{
	FL_AUTO_BUF struct fl_buf pid = { 0 };
	char check[128];

	(void)unused;
	assert_int_equal(run("sleep 1000 & echo $!; wait", 200, &pid), FL_TIMEOUT);
	assert_non_null(pid.p);
	/* Gone, or only waiting to be collected by whoever has inherited it. */
	(void)snprintf(check, sizeof(check),
		"! grep -v '^State:.*Z' /proc/%ld/status 2>/dev/null | grep '^State:'",
		strtol((const char *)pid.p, NULL, 10));
	assert_int_equal(run(check, 10000, NULL), FL_OK);
}

static void a_child_left_behind_does_not_hold_it_up(void **unused)
{
	FL_AUTO_BUF struct fl_buf out = { 0 };

	(void)unused;
	assert_int_equal(run("sleep 1000 & echo done", 60000, &out), FL_OK);
	assert_string_equal((const char *)out.p, "done\n");
}

static void a_stop_ends_it(void **unused)
{
	(void)unused;
	stop = 1;
	assert_int_equal(run("sleep 1000", 60000, NULL), FL_STOPPED);
	stop = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_exit_status_is_the_verdict),
		cmocka_unit_test(it_gets_the_environment_and_no_input),
		cmocka_unit_test(its_output_is_taken_up_to_the_limit),
		cmocka_unit_test(a_health_command_says_why_it_fails),
		cmocka_unit_test(one_that_hangs_is_killed_with_its_children),
		cmocka_unit_test(a_child_left_behind_does_not_hold_it_up),
		cmocka_unit_test(a_stop_ends_it),
	};

	return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
