/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include "cli/text.h"

#include <locale.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct table_column columns[] = {
	{ .title = "NAME" },
	{ .title = "SIZE", .right = true },
	{ .title = "NOTES", .cut = true },
};

static char *render(const struct table *t, size_t width, bool colour)
{
	struct terminal terminal = { .width = width, .colour = colour, .utf8 = true };
	struct fl_buf b = { 0 };

	table_render(t, &terminal, &b);
	return fl_buf_take(&b);
}

static void add_row(struct table *t, const char *name, const char *size, const char *notes)
{
	table_add(t, name);
	table_add(t, size);
	table_add(t, notes);
}

static void columns_are_aligned(void **state)
{
	/* Columns are as wide as their widest cell, numbers stand to the right, no blanks at the end. */
	TABLE_AUTO struct table t = { .columns = columns, .n_columns = 3 };
	FL_AUTOFREE char *text = NULL;

	(void)state;
	add_row(&t, "application", "12 KiB", "first");
	add_row(&t, "lib", "3 B", "");
	text = render(&t, 0, false);
	assert_string_equal(text,
		"NAME           SIZE  NOTES\n"
		"application  12 KiB  first\n"
		"lib             3 B  -\n");
}

static void the_notes_are_cut_first(void **state)
{
	/* What may be cut is cut, with an ellipsis; the rest stays whole as long as there is room. */
	TABLE_AUTO struct table t = { .columns = columns, .n_columns = 3 };
	FL_AUTOFREE char *text = NULL;

	(void)state;
	add_row(&t, "application", "12 KiB", "a long story about it");
	text = render(&t, 30, false);
	assert_string_equal(text,
		"NAME           SIZE  NOTES\n"
		"application  12 KiB  a long s…\n");
}

static void every_width_is_kept(void **state)
{
	/* From 13 columns up no line is wider than the terminal, also with wide and combining characters. */
	TABLE_AUTO struct table t = { .columns = columns, .n_columns = 3 };

	(void)state;
	add_row(&t, "application", "1234567 KiB", "部品の説明、長い");
	add_row(&t, "e\xcc\x81tude", "1 B", "short");
	for (size_t width = 13; width < 60; width++) {
		FL_AUTOFREE char *text = render(&t, width, false);

		for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
			*end = '\0';
			assert_true(text_width(line) <= width);
		}
	}
}

static void control_characters_do_not_pass(void **state)
{
	/* What could command a terminal is shown as '?' (bytes, C1 codes, direction overrides), a line break as a blank. */
	TABLE_AUTO struct table t = { .columns = columns, .n_columns = 3 };
	FL_AUTOFREE char *text = NULL;

	(void)state;
	add_row(&t, "a\033[31mb", "1\n2", "x\xc2\x9by\xe2\x80\xaez\xff");
	text = render(&t, 0, false);
	assert_non_null(strstr(text, "a?[31mb"));
	assert_non_null(strstr(text, "1 2"));
	assert_non_null(strstr(text, "x?y?z"));
}

static void styles_only_with_colour(void **state)
{
	/* Styles are control sequences around the text, and only where there is colour. */
	TABLE_AUTO struct table t = TABLE_FIELDS;
	FL_AUTOFREE char *plain = NULL, *coloured = NULL;

	(void)state;
	table_addf(&t, TERMINAL_PLAIN, "state");
	table_addf(&t, TERMINAL_BAD, "%s", "failed");
	table_field(&t, "left out", NULL);
	plain = render(&t, 0, false);
	coloured = render(&t, 0, true);
	assert_string_equal(plain, "state  failed\n");
	assert_string_equal(coloured, "state  \033[31mfailed\033[0m\n");
}

static void figures_read_well(void **state)
{
	/* Sizes, times, shares and counts as a person writes them; what is not known is "-". */
	char out[TEXT_SHORT];

	(void)state;
	assert_string_equal(text_bytes(out, 0), "0 B");
	assert_string_equal(text_bytes(out, 1023), "1023 B");
	assert_string_equal(text_bytes(out, 1024), "1.0 KiB");
	assert_string_equal(text_bytes(out, 1048575), "1.0 MiB");
	assert_string_equal(text_bytes(out, INT64_MAX), "8192 PiB");
	assert_string_equal(text_bytes(out, -1), "-");
	assert_string_equal(text_seconds(out, 0), "0 s");
	assert_string_equal(text_seconds(out, 0.25), "250 ms");
	assert_string_equal(text_seconds(out, 12.4), "12 s");
	assert_string_equal(text_seconds(out, 3599.6), "1 h");
	assert_string_equal(text_seconds(out, 90000), "1 d 1 h");
	assert_string_equal(text_seconds(out, -1), "-");
	assert_string_equal(text_share(out, 0), "0 %");
	assert_string_equal(text_share(out, 0.0001), "<0.1 %");
	assert_string_equal(text_share(out, 0.985), "98.5 %");
	assert_string_equal(text_share(out, 0.99999), ">99.9 %");
	assert_string_equal(text_share(out, 1), "100 %");
	assert_string_equal(text_share(out, -1), "-");
	assert_string_equal(text_count(out, 1234567), "1,234,567");
	assert_string_equal(text_count(out, 999), "999");
	assert_string_equal(text_count(out, -123), "-123");
}

static void times_and_durations_are_parsed(void **state)
{
	/* RFC 3339 in UTC, ages of it, and durations with units; nothing else. */
	static const char *const bad[] = { "", "x", "-5s", "5 s", "1x", "s", "1h30",
		"9223372036854775807d" };
	char out[TEXT_SHORT];
	int64_t n = 0;

	(void)state;
	assert_int_equal(text_time_parse("2026-11-23T08:00:00.123Z", &n, NULL), FL_OK);
	assert_int_equal(n, 1795420800);
	assert_int_equal(text_time_parse("2026-11-23 08:00", &n, NULL), FL_INVALID);
	assert_string_equal(text_age(out, "2026-11-23T08:00:00Z", 1795420830), "30 s ago");
	assert_string_equal(text_age(out, "2026-11-23T08:00:00Z", 1795420800 + 1219), "20 min ago");
	assert_string_equal(text_age(out, "2026-11-23T08:00:00Z", 1795420800 + 7500), "2 h ago");
	assert_string_equal(
		text_age(out, "2026-11-23T08:00:00Z", 1795420800 - 3 * 86400), "in 3 d");
	assert_string_equal(text_age(out, "2026-11-23T08:00:00Z", 1795420740), "in 1 min");
	assert_string_equal(text_age(out, NULL, 0), "-");
	assert_int_equal(text_duration_parse("1h30min", &n, NULL), FL_OK);
	assert_int_equal(n, 5400);
	assert_int_equal(text_duration_parse("90", &n, NULL), FL_OK);
	assert_int_equal(n, 90);
	for (size_t i = 0; i < FL_COUNT(bad); i++)
		assert_int_equal(text_duration_parse(bad[i], &n, NULL), FL_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_aligned),
		cmocka_unit_test(the_notes_are_cut_first),
		cmocka_unit_test(every_width_is_kept),
		cmocka_unit_test(control_characters_do_not_pass),
		cmocka_unit_test(styles_only_with_colour),
		cmocka_unit_test(figures_read_well),
		cmocka_unit_test(times_and_durations_are_parsed),
	};

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
