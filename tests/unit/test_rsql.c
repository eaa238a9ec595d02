/* SPDX-License-Identifier: Apache-2.0
 *
 * RSQL: what is taken, what is refused and where, what matches. The back end in SQL is compared with
 * this one in test_select.c. */
#include "server/rsql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One device that all the tests of meaning look at. */
struct world {
	json_t *attributes, *labels;
	struct rsql_subject subject;
};

static const struct rsql_installed installed[] = { { "app", "1.10.0" }, { "base", "2.0.0-rc.1" },
	{ "factory", "2021-LTS" } };

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->attributes = json_pack("{s:s, s:i, s:s, s:b, s:s, s:f, s:s, s:s}", "hw", "RevB", "mem",
		512, "text_mem", "512", "arm", 1, "empty", "", "load", 0.5, "percent", "50%_x",
		"star", "a*b");
	w->labels = json_pack("{s:s}", "ring", "canary");
	w->subject = (struct rsql_subject){ .id = "Dev-1",
		.tier = "device",
		.gateway = "gw-1",
		.enrolled = true,
		.last_seen = 1700000000,
		.attributes = w->attributes,
		.labels = w->labels,
		.installed = installed,
		.n = FL_COUNT(installed) };
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	json_decref(w->attributes);
	json_decref(w->labels);
	free(w);
	return 0;
}

static void expect(const struct world *w, const char *text, bool wanted)
{
	RSQL_AUTO struct rsql *r = NULL;
	struct fl_err err = { 0 };

	if (rsql_parse(text, &r, &err) != FL_OK)
		fail_msg("%s: %s", text, err.msg);
	if (rsql_matches(r, &w->subject) != wanted)
		fail_msg("%s should%s match", text, wanted ? "" : " not");
}

/* Texts that the device matches. */
static const char *const matching[] = {
	"",
	"  ",
	"id==Dev-1",
	"id=='Dev-1'",
	"id==Dev*",
	"id==*",
	"id!=dev-1",
	"id=in=(a,Dev-1)",
	"id=out=(a,b)",
	"id=gt=Dev-0",
	"id<Dev-2",
	"ID==Dev-1",
	"tier==device",
	"tier!=gateway",
	"tier=in=(device,gateway)",
	"gateway==gw-1",
	"gateway==gw*",
	"gateway=not=null",
	"gateway=ne=null",
	"gateway!=''",
	"gateway=in=(x,gw-1)",
	"enrolled==true",
	"enrolled!=false",
	"last_seen==1700000000000",
	"last_seen=ge='2023-11-14T22:13:20Z'",
	"last_seen<='2023-11-14T23:13:20.000+01:00'",
	"last_seen=not=null",
	"last_seen>1699999999999",
	"attribute.hw==revb",
	"attribute.hw==REVB",
	"ATTRIBUTE.hw==rev*",
	"attribute.hw==*B",
	"attribute.hw==r*v*",
	"attribute.hw!=revc",
	"attribute.hw=in=(reva,revb)",
	"attribute.hw=gt=reva",
	"attribute.hw=not=null",
	"attribute.nothing=is=null",
	"attribute.nothing=eq=null",
	"attribute.nothing==''",
	"attribute.empty==''",
	"attribute.empty=not=null",
	"attribute.nothing!=1",
	"attribute.nothing=out=(1,2)",
	"attribute.nothing=in=('',x)",
	"attribute.empty==*",
	"attribute.mem==512",
	"attribute.mem==512.0",
	"attribute.mem=gt=511",
	"attribute.mem>=512",
	"attribute.mem<1000",
	"attribute.mem=in=(1,512)",
	"attribute.mem==*",
	"attribute.mem!=abc",
	"attribute.text_mem==512",
	"attribute.text_mem<1000",
	"attribute.text_mem>60",
	"attribute.text_mem!=512.0",
	"attribute.load<0.6",
	"attribute.load==0.5",
	"attribute.arm==true",
	"attribute.arm==TRUE",
	"attribute.arm!=false",
	"attribute.arm==t*",
	"attribute.percent==50%*",
	"attribute.percent=='50%_x'",
	"attribute.percent==50*_x",
	"attribute.star==a\\*b",
	"attribute.star=='a\\*b'",
	"attribute.star==a*b",
	"attribute.star!=a\\*c",
	"label.ring==canary",
	"label.ring=in=(canary)",
	"label.other=is=null",
	"installed.app==1.10.0",
	"installed.app>1.9.0",
	"installed.app=ge=1.10.0",
	"installed.app<2.0.0",
	"installed.app==1.*",
	"installed.app!=1.9.0",
	"installed.app==1.10.0+build",
	"installed.none==null",
	"installed.none=is=null",
	"installed.app!=null",
	"installed.none!=1.0.0",
	"installed.base<2.0.0",
	"installed.app=in=(1.9.0,1.10.0)",
	"installed.app=out=(1.9.0)",
	"installed.factory==2021-lts",
	"installed.factory==2021*",
	"id==x,tier==device",
	"id==x or tier==device",
	"id==x OR tier==device",
	"(id==x,tier==device);enrolled==true",
	"tier==device;enrolled==true",
	"tier==device and enrolled==true",
	"id==Dev-1,id==x;id==y",
	"(id==x or id==Dev-1) and (tier==device or tier==gateway)",
	"((((id==Dev-1))))",
	" id == Dev-1 ; tier == device ",
	"id==\"Dev-1\"",
	"attribute.hw=='Rev\\B'",
	"tier==device\n;\tenrolled==true",
};

static const char *const not_matching[] = {
	"id==dev-1",
	"id!=Dev-1",
	"id==Dev-",
	"id==dev*",
	"id=in=(a,b)",
	"id=out=(Dev-1)",
	"id>Dev-1",
	"id==''",
	"tier==gateway",
	"gateway=is=null",
	"gateway==''",
	"gateway==GW-1",
	"enrolled==false",
	"last_seen=is=null",
	"last_seen<1700000000000",
	"last_seen>1700000000000",
	"attribute.hw==rev",
	"attribute.hw!=revb",
	"attribute.hw=is=null",
	"attribute.hw==null",
	"attribute.hw==''",
	"attribute.hw=out=(revb)",
	"attribute.nothing==*",
	"attribute.nothing=not=null",
	"attribute.nothing<1",
	"attribute.nothing>a",
	"attribute.mem==5*",
	"attribute.mem==abc",
	"attribute.mem<abc",
	"attribute.mem>abc",
	"attribute.mem>512",
	"attribute.mem!=512.0",
	"attribute.text_mem==512.0",
	"attribute.text_mem<60",
	"attribute.arm==1",
	"attribute.arm==false",
	"attribute.Hw==revb",
	"attribute.percent==5__*",
	"attribute.star==a\\*",
	"label.ring==beta",
	"installed.app==1.9.0",
	"installed.app>1.10.0",
	"installed.app==null",
	"installed.none>0.0.1",
	"installed.none<9.0.0",
	"installed.none!=null",
	"installed.base==2.0.0",
	"installed.base>=2.0.0",
	"installed.factory>1.0.0",
	"installed.app=out=(1.10.0)",
	"installed.none=in=(1.0.0)",
	"id==x,id==y",
	"tier==device;id==x",
	"id==x;id==Dev-1,id==y",
	"(id==x,id==Dev-1);tier==gateway",
};

static void test_matching(void **state)
{
	/* Each text of the table means what it says about one device. */
	for (size_t i = 0; i < FL_COUNT(matching); i++)
		expect(*state, matching[i], true);
	for (size_t i = 0; i < FL_COUNT(not_matching); i++)
		expect(*state, not_matching[i], false);
}

/* A bad text, and what the refusal must say. */
static const struct bad {
	const char *text, *says;
} bad[] = {
	{ "id", "column 3: an operator is missing" },
	{ "id==", "column 5: a value is missing" },
	{ "==x", "column 1: a field is missing" },
	{ ";", "column 1: a field is missing" },
	{ "id==a;", "column 7: a comparison is missing" },
	{ "id==a,,id==b", "column 7: a field is missing" },
	{ "attributx.hw==x", "did you mean \"attribute\"?" },
	{ "installeq.app==1.0.0", "did you mean \"installed\"?" },
	{ "zzzzz==1", "there is no field \"zzzzz\"; there are id, tier" },
	{ "attribute==x", "write attribute.<key>" },
	{ "attribute.==x", "write attribute.<key>" },
	{ "id.x==1", "write id with nothing behind it" },
	{ "id=lq=x", "did you mean \"=l" },
	{ "id=x", "column 3: \"=\" alone is no operator; did you mean \"==\"?" },
	{ "id=x", "is no operator" },
	{ "id~x", "is no operator" },
	{ "id===x", "column 5: a value is missing" },
	{ "id==a b", "column 7: expected ';' (and) or ',' (or)" },
	{ "id==a)", "column 6: no parenthesis is open" },
	{ "(id==a", "column 1: this parenthesis is never closed" },
	{ "(id==a;(tier==device)", "column 1: this parenthesis is never closed" },
	{ "()", "column 2: a field is missing" },
	{ "id=='abc", "column 5: the closing quote is missing" },
	{ "id=='abc\\", "column 5: the closing quote is missing" },
	{ "id=in=a", "column 7: a list is missing" },
	{ "id=in=()", "column 8: a value is missing" },
	{ "id=in=(a", "column 9: the list wants" },
	{ "id=in=(a,)", "column 10: a value is missing" },
	{ "tier==server", "tier is device or gateway" },
	{ "tier<device", "column 5: tier cannot be compared in this way" },
	{ "enrolled==yes", "enrolled is true or false" },
	{ "enrolled=in=(true)", "cannot be compared in this way" },
	{ "last_seen<yesterday", "a time is milliseconds" },
	{ "last_seen<'2026-13-01T00:00:00Z'", "a time is milliseconds" },
	{ "last_seen<'2026-12-01'", "a time is milliseconds" },
	{ "last_seen<'2026-12-01T00:00:0x1Z'", "a time is milliseconds" },
	{ "last_seen=in=(1)", "cannot be compared in this way" },
	{ "installed.app<1.2", "only semver versions such as 1.2.0 have an order" },
	{ "installed.app<null", "only semver versions" },
	{ "installed.app==''", "a version is missing" },
	{ "\xc3\xa9\xc3\xa9==x", "column 1: there is no field" },
	{ "id=='\xc3\xa9' id", "column 9: expected" },
	{ "id==\x01", "a control character" },
	{ "id==\xff", "UTF-8" },
	{ "((((((((((((((((((id==a))))))))))))))))))",
		"column 17: the parentheses are nested too deeply" },
};

static void test_refusals(void **state)
{
	/* A bad text is refused with the column and with what would be right. */
	(void)state;
	for (size_t i = 0; i < FL_COUNT(bad); i++) {
		RSQL_AUTO struct rsql *r = NULL;
		struct fl_err err = { 0 };

		if (rsql_parse(bad[i].text, &r, &err) != FL_INVALID)
			fail_msg("%s was taken", bad[i].text);
		if (strstr(err.msg, bad[i].says) == NULL)
			fail_msg("%s: \"%s\" lacks \"%s\"", bad[i].text, err.msg, bad[i].says);
		assert_null(r);
	}
}

/* `n` times `part`, joined by `joint`, as a new text. */
static char *repeat(const char *part, const char *joint, size_t n)
{
	struct fl_buf b = { 0 };

	for (size_t i = 0; i < n; i++) {
		fl_buf_str(&b, i == 0 ? "" : joint);
		fl_buf_str(&b, part);
	}
	return fl_buf_take(&b);
}

static enum fl_code parse_repeated(
	const char *part, const char *joint, size_t n, struct fl_err *err)
{
	FL_AUTOFREE char *text = repeat(part, joint, n);
	RSQL_AUTO struct rsql *r = NULL;

	return rsql_parse(text, &r, err);
}

static void test_limits(void **state)
{
	/* The limits on comparisons, values and length hold exactly. */
	struct fl_err err = { 0 };
	FL_AUTOFREE char *values = repeat("v", ",", RSQL_VALUES_MAX + 1);
	FL_AUTO_BUF struct fl_buf list = { 0 };
	RSQL_AUTO struct rsql *r = NULL;

	(void)state;
	assert_int_equal(parse_repeated("id==a", ";", RSQL_TERMS_MAX, &err), FL_OK);
	assert_int_equal(parse_repeated("id==a", ";", RSQL_TERMS_MAX + 1, &err), FL_INVALID);
	assert_non_null(strstr(err.msg, "more than 64 comparisons"));
	assert_int_equal(parse_repeated("id==a", ",", RSQL_TERMS_MAX + 1, &err), FL_INVALID);
	fl_buf_printf(&list, "id=in=(%.*s)", 2 * RSQL_VALUES_MAX - 1, values);
	assert_int_equal(rsql_parse((const char *)list.p, &r, &err), FL_OK);
	fl_buf_reset(&list);
	fl_buf_printf(&list, "id=in=(%s)", values);
	assert_int_equal(rsql_check((const char *)list.p, ~0u, &err), FL_INVALID);
	assert_non_null(strstr(err.msg, "too many values"));
	assert_int_equal(parse_repeated(" ", "", RSQL_TEXT_MAX, &err), FL_OK);
	assert_int_equal(parse_repeated(" ", "", RSQL_TEXT_MAX + 1, &err), FL_INVALID);
}

static void test_check_fields(void **state)
{
	/* A selector of a variant may speak of attributes only. */
	struct fl_err err = { 0 };

	(void)state;
	assert_int_equal(rsql_check("attribute.hw==a", 1u << RSQL_ATTRIBUTE, &err), FL_OK);
	assert_int_equal(
		rsql_check("attribute.hw==a;id==b", 1u << RSQL_ATTRIBUTE, &err), FL_INVALID);
	assert_string_equal(err.msg, "id cannot be used in this selector");
}

/* A small generator: the same texts in every run. */
static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void test_mangled(void **state)
{
	/* Good texts with bytes changed, dropped or doubled parse or fail, and touch nothing else. */
	const struct world *w = *state;
	unsigned seed = 1;
	size_t taken = 0;

	for (size_t round = 0; round < 20000; round++) {
		const char *from = matching[next_random(&seed) % FL_COUNT(matching)];
		size_t n = strlen(from);
		FL_AUTOFREE char *text = calloc(1, n + 2);
		RSQL_AUTO struct rsql *r = NULL;

		assert_non_null(text);
		memcpy(text, from, n);
		if (n > 0) {
			size_t at = next_random(&seed) % n;
			unsigned how = next_random(&seed) % 3;
			if (how == 0)
				text[at] = "()'\"\\*;,=!<>. a1\x80"[next_random(&seed) % 17];
			else if (how == 1)
				memmove(text + at, text + at + 1, n - at);
			else
				memmove(text + at + 1, text + at, n - at);
		}
		if (rsql_parse(text, &r, NULL) == FL_OK) {
			taken++;
			(void)rsql_matches(r, &w->subject);
		}
	}
	assert_in_range(taken, 1000, 19000); /* both ways are taken often */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_matching, set_up, tear_down),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_check_fields),
		cmocka_unit_test_setup_teardown(test_mangled, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
