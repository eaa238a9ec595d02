/* SPDX-License-Identifier: Apache-2.0
 *
 * Ranges and entity tags as RFC 9110 writes them, and as bad clients do. */
#include "server/http/file_ranges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* "whole", "none", or the ranges as "first+length first+length". */
static const char *parse(const char *range, int64_t size)
{
	static char text[20000];
	static struct file_ranges r;
	size_t n = 0;

	switch (file_ranges_parse(range, size, &r)) {
	case FILE_RANGES_WHOLE:
		return "whole";
	case FILE_RANGES_NONE:
		return "none";
	case FILE_RANGES_SOME:
		break;
	}
	for (size_t i = 0; i < r.n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%lld+%lld", i == 0 ? "" : " ",
			(long long)r.at[i].first, (long long)r.at[i].length);
	return text;
}

static void the_examples_of_the_rfc_hold(void **state)
{
	/* RFC 9110 14.1.2, on a file of 10000 bytes. */
	(void)state;
	assert_string_equal(parse("bytes=0-499", 10000), "0+500");
	assert_string_equal(parse("bytes=500-999", 10000), "500+500");
	assert_string_equal(parse("bytes=-500", 10000), "9500+500");
	assert_string_equal(parse("bytes=9500-", 10000), "9500+500");
	assert_string_equal(parse("bytes=0-0,-1", 10000), "0+1 9999+1");
	assert_string_equal(
		parse("bytes= 0-999, 4500-5499, -1000", 10000), "0+1000 4500+1000 9000+1000");
	assert_string_equal(parse("bytes=500-600,601-999", 10000), "500+500");
	assert_string_equal(parse("bytes=500-700,601-999", 10000), "500+500");
}

static void ends_are_cut_to_the_file(void **state)
{
	/* A last position behind the end is the end; a longer suffix is the whole. */
	(void)state;
	assert_string_equal(parse("bytes=5-100", 10), "5+5");
	assert_string_equal(parse("bytes=-100", 10), "0+10");
	assert_string_equal(parse("bytes=0-", 10), "0+10");
	assert_string_equal(parse("bytes=9-99999999999999999999999999", 10), "9+1");
}

static void ranges_outside_are_not_satisfiable(void **state)
{
	/* Only if no range has a byte of the file is it 416. */
	(void)state;
	assert_string_equal(parse("bytes=10-", 10), "none");
	assert_string_equal(parse("bytes=-0", 10), "none");
	assert_string_equal(parse("bytes=10-20,30-40", 10), "none");
	assert_string_equal(parse("bytes=99999999999999999999-", 10), "none");
	assert_string_equal(parse("bytes=10-20,3-4", 10), "3+2");
}

static void what_is_no_range_is_ignored(void **state)
{
	/* Other units and bad syntax give the whole file, and so does any range of an empty file. */
	static const char *const bad[] = { "bytes", "bytes=", "bytes=,", "bytes=a-b", "bytes=1",
		"bytes=5-2", "bytes=1-2-3", "bytes=--1", "bytes=1-2 3-4", "bytes=1-2;3-4",
		"items=0-1", "bytes 0-1", "bytes=-", "bytes=0x1-2", "bytes=+1-2", "byte=0-1", "" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_string_equal(parse(bad[i], 10), "whole");
	assert_string_equal(parse(NULL, 10), "whole");
	assert_string_equal(parse("bytes=0-0", 0), "whole");
	assert_string_equal(parse("BYTES=,, 1-2 ,", 10), "1+2");
}

static void no_byte_is_sent_twice(void **state)
{
	/* Overlapping ranges are joined whatever their order; the others keep theirs. */
	(void)state;
	assert_string_equal(parse("bytes=0-,0-,0-,0-", 10), "0+10");
	assert_string_equal(parse("bytes=8-9,0-1,4-5", 10), "8+2 0+2 4+2");
	assert_string_equal(parse("bytes=0-1,8-9,1-4,5-8", 10), "0+10");
	assert_string_equal(parse("bytes=6-7,0-1,2-3", 10), "6+2 0+4");
}

static void the_number_of_ranges_is_limited(void **state)
{
	/* 150 ranges are served, 151 give the whole file. */
	char text[4000] = "bytes=";
	size_t n = strlen(text);
	const char *got;

	(void)state;
	for (int i = 0; i < FILE_RANGES_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%d-%d,", 10 * i, 10 * i + 3);
	got = parse(text, 100000);
	assert_string_equal(got + strlen(got) - 6, "1490+4");
	(void)snprintf(text + n, sizeof(text) - n, "5000-5001");
	assert_string_equal(parse(text, 100000), "whole");
}

static void tags_are_compared(void **state)
{
	/* Strong and weak comparison of RFC 9110 8.8.3.2, lists, the star, and nonsense. */
	(void)state;
	assert_true(file_ranges_has_tag("\"abc\"", "abc", false));
	assert_true(file_ranges_has_tag("\"x\", \"abc\"", "abc", false));
	assert_true(file_ranges_has_tag("*", "abc", false));
	assert_false(file_ranges_has_tag("W/\"abc\"", "abc", false));
	assert_true(file_ranges_has_tag("W/\"abc\"", "abc", true));
	assert_true(file_ranges_has_tag(",, W/\"x\" ,W/\"abc\"", "abc", true));
	assert_false(file_ranges_has_tag("\"abcd\", \"ab\"", "abc", true));
	assert_false(file_ranges_has_tag("abc", "abc", true));
	assert_false(file_ranges_has_tag("\"abc", "abc", true));
	assert_false(file_ranges_has_tag("", "abc", true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_rfc_hold),
		cmocka_unit_test(ends_are_cut_to_the_file),
		cmocka_unit_test(ranges_outside_are_not_satisfiable),
		cmocka_unit_test(what_is_no_range_is_ignored),
		cmocka_unit_test(no_byte_is_sent_twice),
		cmocka_unit_test(the_number_of_ranges_is_limited),
		cmocka_unit_test(tags_are_compared),
	};

	return cmocka_run_group_tests_name("file_ranges", tests, NULL, NULL);
}
