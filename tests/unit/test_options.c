/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include "lib/buf.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct values {
	bool flag, other;
	const char *text, *choice;
	struct options_list list;
	int64_t count, duration;
	double percent;
};

static const char *const colours[] = { "red", "green", NULL };
static const struct options_row rows[] = {
	{ .name = "flag",
		.letter = 'f',
		.type = OPTIONS_FLAG,
		.offset = offsetof(struct values, flag) },
	{ .name = "other",
		.letter = 'o',
		.type = OPTIONS_FLAG,
		.offset = offsetof(struct values, other) },
	{ .name = "text",
		.letter = 't',
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct values, text),
		.argument = "TEXT" },
	{ .name = "colour",
		.type = OPTIONS_CHOICE,
		.offset = offsetof(struct values, choice),
		.argument = "COLOUR",
		.choices = colours },
	{ .name = "list",
		.letter = 'l',
		.type = OPTIONS_LIST,
		.offset = offsetof(struct values, list),
		.argument = "X" },
	{ .name = "count",
		.letter = 'n',
		.type = OPTIONS_COUNT,
		.offset = offsetof(struct values, count),
		.argument = "N" },
	{ .name = "for",
		.type = OPTIONS_DURATION,
		.offset = offsetof(struct values, duration),
		.argument = "DURATION" },
	{ .name = "share",
		.type = OPTIONS_PERCENT,
		.offset = offsetof(struct values, percent),
		.argument = "PERCENT" },
	{ 0 },
};

#define WORDS_MAX 16

/* One parse: the values, what is left as operands, and the error. */
struct parsed {
	struct values values;
	const char *operands[WORDS_MAX];
	size_t n;
	struct options_words words;
	struct fl_err err;
	enum fl_code code;
};

static void parse(struct parsed *p, bool stop, const char *const *argv)
{
	struct options_set set = { rows, &p->values };

	*p = (struct parsed){ 0 };
	options_clear(&set);
	p->words = (struct options_words){ .v = argv, .operands = p->operands };
	while (argv[p->words.n] != NULL)
		p->words.n++;
	p->code = options_parse(&set, 1, &p->words, stop, &p->err);
	p->n = p->words.n_operands;
}

static void done(struct parsed *p)
{
	options_fini(&(struct options_set){ rows, &p->values });
}

#define PARSE(p, ...) parse(p, false, (const char *const[]){ __VA_ARGS__, NULL })

static void every_type_is_read(void **state)
{
	/* Each type lands in its field, in both forms, and operands keep their order. */
	struct parsed p;

	(void)state;
	PARSE(&p, "a", "--flag", "--text=x=y", "b", "--list", "1", "--list=2", "--count", "7",
		"--for", "1h30min", "--share=12.5%", "--colour", "green", "-");
	assert_int_equal(p.code, FL_OK);
	assert_true(p.values.flag && !p.values.other);
	assert_string_equal(p.values.text, "x=y");
	assert_string_equal(p.values.choice, "green");
	assert_int_equal(p.values.list.n, 2);
	assert_string_equal(p.values.list.v[1], "2");
	assert_int_equal(p.values.count, 7);
	assert_int_equal(p.values.duration, 5400);
	assert_true(p.values.percent > 12.4 && p.values.percent < 12.6);
	assert_int_equal(p.n, 3);
	assert_string_equal(p.operands[1], "b");
	assert_string_equal(p.operands[2], "-");
	done(&p);
}

static void absent_is_told_from_zero(void **state)
{
	/* What is not given is unset, not 0. */
	struct parsed p;

	(void)state;
	PARSE(&p, "a");
	assert_int_equal(p.values.count, OPTIONS_UNSET);
	assert_int_equal(p.values.duration, OPTIONS_UNSET);
	assert_true(p.values.percent < 0);
	assert_null(p.values.text);
	PARSE(&p, "--count=0", "--share", "0", "--text=");
	assert_int_equal(p.code, FL_OK);
	assert_int_equal(p.values.count, 0);
	assert_true(p.values.percent >= 0);
	assert_string_equal(p.values.text, "");
	done(&p);
}

static void letters_can_be_joined(void **state)
{
	/* -fo is -f -o; a value follows its letter with or without a blank. */
	struct parsed p;

	(void)state;
	PARSE(&p, "-fo", "-n5", "-t", "x", "-fl1");
	assert_int_equal(p.code, FL_OK);
	assert_true(p.values.flag && p.values.other);
	assert_int_equal(p.values.count, 5);
	assert_string_equal(p.values.text, "x");
	assert_string_equal(p.values.list.v[0], "1");
	done(&p);
}

static void two_dashes_end_the_options(void **state)
{
	/* Behind "--" everything is an operand. */
	struct parsed p;

	(void)state;
	PARSE(&p, "--flag", "--", "--other", "-n");
	assert_int_equal(p.code, FL_OK);
	assert_false(p.values.other);
	assert_int_equal(p.n, 2);
	assert_string_equal(p.operands[0], "--other");
}

static void stop_leaves_the_operand(void **state)
{
	/* With `stop` parsing ends before the first operand, to be continued by another table. */
	struct parsed p;

	(void)state;
	parse(&p, true, (const char *const[]){ "--flag", "verb", "--other", NULL });
	assert_int_equal(p.code, FL_OK);
	assert_int_equal(p.n, 0);
	assert_string_equal(p.words.v[p.words.next], "verb");
	assert_false(p.values.other);
}

struct mistake {
	const char *words[3];
	const char *says;
};

static void mistakes_are_named(void **state)
{
	/* Each mistake is FL_INVALID with the option's name and what it takes. */
	static const struct mistake mistakes[] = {
		{ { "--flga" }, "there is no option --flga; did you mean --flag?" },
		{ { "--col" }, "did you mean --colour?" },
		{ { "--xyzzyplugh" }, "there is no option --xyzzyplugh" },
		{ { "-z" }, "there is no option -z" },
		{ { "--flag=1" }, "--flag takes no value" },
		{ { "--text" }, "--text needs a value: --text TEXT" },
		{ { "-t" }, "--text needs a value" },
		{ { "--colour", "gren" }, "--colour cannot be \"gren\"; did you mean \"green\"?" },
		{ { "--colour", "#0000ff" }, "it takes one of red, green" },
		{ { "--count", "-1" }, "--count takes a number from 0 up" },
		{ { "--count", "1x" }, "not \"1x\"" },
		{ { "--count", "99999999999999999999" }, "--count takes a number" },
		{ { "--for", "1 week" }, "--for: \"1 week\" is not a duration" },
		{ { "--share", "101" }, "--share takes a percentage from 0 to 100" },
		{ { "--share", "nan" }, "--share takes a percentage" },
		{ { "--share", "" }, "--share takes a percentage" },
	};

	(void)state;
	for (size_t i = 0; i < FL_COUNT(mistakes); i++) {
		struct parsed p;

		parse(&p, false,
			(const char *const[]){ mistakes[i].words[0], mistakes[i].words[1], NULL });
		assert_int_equal(p.code, FL_INVALID);
		if (strstr(p.err.msg, mistakes[i].says) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", p.err.msg, mistakes[i].says);
		done(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_read),
		cmocka_unit_test(absent_is_told_from_zero),
		cmocka_unit_test(letters_can_be_joined),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(stop_leaves_the_operand),
		cmocka_unit_test(mistakes_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
