/* SPDX-License-Identifier: Apache-2.0
 *
 * RSQL as SQL on a real database, compared with the evaluator over the same devices. */
#include "server/rsql.h"
#include "server/store/device.h"
#include "server/store/select.h"
#include "server/store/state.h"
#include "tests/lib/database.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEVICES 240

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* One device as both sides see it. */
struct known {
	char id[32];
	const char *gateway;
	json_t *attributes, *labels;
	struct rsql_installed installed[2];
	size_t n;
	struct rsql_subject subject;
};

struct world {
	struct test_database database;
	struct known devices[DEVICES];
};

static const char *const versions[] = { "1.0.0", "1.2.0", "1.10.0", "2.0.0-rc.1", "2.0.0",
	"2.0.0+b1", "2021-LTS" };
static const char *const attribute_values[] = { "\"RevA\"", "\"revb\"", "\"\"", "\"512\"", "512",
	"512.5", "-3", "true", "false", "\"true\"", "\"-3\"", "\"1.2.3\"", "\"50%_x\"", "\"a*b\"",
	"\"\\u00e9t\"", "\"12.\"", "\"123456789012345678\"", "0", "\"null\"", "\"a?[b]\"",
	"\"10.2.3\"" };

static json_t *some_attributes(unsigned *seed)
{
	static const char *const keys[] = { "hw", "mem", "a.b", "\xc3\xa9" };
	json_t *object = json_object();

	for (size_t i = 0; i < FL_COUNT(keys); i++) {
		const char *text = attribute_values[next_random(seed) % FL_COUNT(attribute_values)];

		if (next_random(seed) % 4 != 0)
			assert_int_equal(json_object_set_new(object, keys[i],
						 json_loads(text, JSON_DECODE_ANY, NULL)),
				0);
	}
	return object;
}

static void put(struct store *store, struct known *k, unsigned *seed)
{
	static const uint8_t key[DEVICE_KEY_BYTES] = { 1 };
	char *attributes = json_dumps(k->attributes, JSON_COMPACT | JSON_SORT_KEYS);
	char *labels = json_dumps(k->labels, JSON_COMPACT | JSON_SORT_KEYS);
	struct state_entry entries[2] = { 0 };
	struct device_put in = { .id = k->id,
		.tier = k->subject.tier,
		.gateway = k->gateway,
		.attributes = attributes,
		.labels = labels };
	enum device_outcome outcome;
	int64_t no = 0;

	for (size_t i = 0; i < k->n; i++)
		entries[i] =
			(struct state_entry){ k->installed[i].module, k->installed[i].version };
	assert_int_equal(state_put(store, entries, k->n, &in.state_id, NULL), FL_OK);
	in.public_key = k->subject.enrolled ? key : NULL;
	assert_int_equal(device_put(store, &in, &no, &outcome, NULL), FL_OK);
	assert_int_equal(outcome, DEVICE_CREATED);
	k->subject.last_seen = next_random(seed) % 3 == 0 ? 0 : 1700000000 + next_random(seed) % 3;
	if (k->subject.last_seen != 0)
		assert_int_equal(
			device_set_last_seen(store, no, k->subject.last_seen, NULL), FL_OK);
	free(attributes);
	free(labels);
}

static void make_device(struct world *w, size_t i, unsigned *seed)
{
	struct known *k = &w->devices[i];
	bool gateway = i < 4;

	(void)snprintf(k->id, sizeof(k->id), i % 3 == 0 ? "Dev-%zu" : "dev[%zu]*", i);
	k->attributes = some_attributes(seed);
	k->labels = json_pack("{s:s}", "ring", next_random(seed) % 2 == 0 ? "canary" : "Main");
	if (!gateway && next_random(seed) % 2 == 0)
		k->gateway = w->devices[next_random(seed) % 4].id;
	if (next_random(seed) % 4 != 0)
		k->installed[k->n++] = (struct rsql_installed){ "app",
			versions[next_random(seed) % FL_COUNT(versions)] };
	if (next_random(seed) % 2 != 0)
		k->installed[k->n++] = (struct rsql_installed){ "base",
			versions[next_random(seed) % FL_COUNT(versions)] };
	k->subject = (struct rsql_subject){ .id = k->id,
		.tier = gateway ? "gateway" : "device",
		.gateway = k->gateway,
		.enrolled = next_random(seed) % 2 == 0,
		.attributes = k->attributes,
		.labels = k->labels,
		.installed = k->installed,
		.n = k->n };
	put(&w->database.store, k, seed);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	unsigned seed = 7;

	assert_non_null(w);
	test_database_init(&w->database);
	for (size_t i = 0; i < DEVICES; i++)
		make_device(w, i, &seed);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < DEVICES; i++) {
		json_decref(w->devices[i].attributes);
		json_decref(w->devices[i].labels);
	}
	test_database_fini(&w->database);
	free(w);
	return 0;
}

/* ---- the comparison */

struct found {
	bool is[DEVICES + 1]; /* by number */
	int64_t n, last;
};

static enum fl_code note(void *context, const struct device *d, struct fl_err *err)
{
	struct found *f = context;

	(void)err;
	assert_true(d->no > f->last); /* in order */
	f->last = d->no;
	f->is[d->no] = true;
	f->n++;
	return FL_OK;
}

/* Both back ends must find the same devices; returns how many. */
static size_t compare(struct world *w, const char *text)
{
	RSQL_AUTO struct rsql *r = NULL;
	struct fl_err err = { 0 };
	struct found found = { 0 };
	size_t n = 0;
	int64_t counted = -1;

	if (rsql_parse(text, &r, &err) != FL_OK)
		fail_msg("%s: %s", text, err.msg);
	const struct device_filter f = { .where = r, .limit = -1 };
	if (device_select(&w->database.store, &f, note, &found, &err) != FL_OK ||
		device_count(&w->database.store, &f, &counted, &err) != FL_OK)
		fail_msg("%s: %s", text, err.msg);
	assert_int_equal(counted, found.n);
	for (size_t i = 0; i < DEVICES; i++) {
		bool wanted = rsql_matches(r, &w->devices[i].subject);

		n += wanted;
		if (wanted != found.is[i + 1])
			fail_msg("%s: %s is%s found by SQL", text, w->devices[i].id,
				wanted ? " not" : "");
	}
	return n;
}

static const char *const fields[] = { "id", "tier", "gateway", "enrolled", "last_seen",
	"attribute.hw", "attribute.mem", "attribute.a.b", "attribute.\xc3\xa9", "attribute.none",
	"label.ring", "installed.app", "installed.base", "installed.none" };
static const char *const ops[] = { "==", "!=", "<", "=le=", ">",
	"=ge=", "=in=", "=out=", "=is=", "=not=" };
static const char *const words[] = { "Dev-3", "dev*", "'dev[4]\\*'", "*", "''", "null", "'null'",
	"device", "gateway", "true", "false", "FALSE", "1700000001000", "'2023-11-14T22:13:21Z'",
	"RevA", "REVB", "rev*", "512", "512.0", "512.5", "-3", "5*", "60", "0", "1.2.3", "50%*",
	"'50%_x'", "a\\*b", "*t", "'\xc3\xa9t'", "canary", "*AI*", "1.2.0", "2.0.0", "2.0.0-rc.1",
	"2021-lts", "1.*", "12.", "123456789012345678", "a?[b]", "a?[*", "Dev-0", "9" };

/* A random comparison; false if it is refused. */
static bool random_term(unsigned *seed, struct fl_buf *b)
{
	const char *op = ops[next_random(seed) % FL_COUNT(ops)];
	RSQL_AUTO struct rsql *r = NULL;
	FL_AUTO_BUF struct fl_buf term = { 0 };

	fl_buf_printf(&term, "%s%s", fields[next_random(seed) % FL_COUNT(fields)], op);
	if (strcmp(op, "=in=") == 0 || strcmp(op, "=out=") == 0)
		fl_buf_printf(&term, "(%s,%s)", words[next_random(seed) % FL_COUNT(words)],
			words[next_random(seed) % FL_COUNT(words)]);
	else
		fl_buf_str(&term, words[next_random(seed) % FL_COUNT(words)]);
	if (rsql_parse((const char *)term.p, &r, NULL) != FL_OK)
		return false;
	fl_buf_add(b, term.p, term.n);
	return true;
}

static void add_term(unsigned *seed, struct fl_buf *b)
{
	while (!random_term(seed, b)) {
	}
}

static void test_all_terms(void **state)
{
	/* Every field with every operator and word finds the same devices in SQL and in memory. */
	size_t hits = 0;

	for (size_t f = 0; f < FL_COUNT(fields); f++)
		for (size_t o = 0; o < FL_COUNT(ops); o++)
			for (size_t v = 0; v < FL_COUNT(words); v++) {
				bool list =
					strcmp(ops[o], "=in=") == 0 || strcmp(ops[o], "=out=") == 0;
				RSQL_AUTO struct rsql *r = NULL;
				char text[128];

				(void)snprintf(text, sizeof(text), list ? "%s%s(%s)" : "%s%s%s",
					fields[f], ops[o], words[v]);
				if (rsql_parse(text, &r, NULL) == FL_OK)
					hits += compare(*state, text) > 0;
			}
	assert_true(hits > 1000);
}

static void test_random_trees(void **state)
{
	/* Random trees of comparisons find the same devices in SQL and in memory. */
	unsigned seed = 99;
	size_t some = 0;

	for (size_t round = 0; round < 600; round++) {
		FL_AUTO_BUF struct fl_buf b = { 0 };
		unsigned n = 1 + next_random(&seed) % 4;

		for (unsigned i = 0; i < n; i++) {
			if (i > 0)
				fl_buf_str(&b, next_random(&seed) % 2 == 0 ? ";" : " or ");
			bool paired = next_random(&seed) % 3 == 0;
			fl_buf_str(&b, paired ? "(" : "");
			add_term(&seed, &b);
			if (paired) {
				fl_buf_str(&b, next_random(&seed) % 2 == 0 ? " and " : ",");
				add_term(&seed, &b);
				fl_buf_str(&b, ")");
			}
		}
		size_t found = compare(*state, (const char *)b.p);
		some += found > 0 && found < DEVICES;
	}
	assert_true(some > 200);
}

static void test_largest(void **state)
{
	/* The largest expressions that the parser takes are no problem for the engine. */
	static const char *const terms[] = { "attribute.mem<-3.5", "attribute.mem=in=(1,'',a)",
		"installed.app!=1.0.0", "gateway=out=(a,b)" };

	for (size_t t = 0; t < FL_COUNT(terms); t++) {
		FL_AUTO_BUF struct fl_buf b = { 0 };

		for (size_t i = 0; i < RSQL_TERMS_MAX; i++)
			fl_buf_printf(&b, "%s%s", i == 0 ? "" : i % 2 == 0 ? ";" : ",", terms[t]);
		(void)compare(*state, (const char *)b.p);
	}
}

static void test_injection(void **state)
{
	/* Whatever stands in a value or a key is a value, never SQL. */
	(void)compare(*state, "id=='\\'; DROP TABLE device; --'");
	(void)compare(*state, "attribute.x/**/--==\"'; DROP TABLE device\"");
	(void)compare(*state, "installed.$1==$2");
	assert_int_equal(compare(*state, ""), DEVICES);
}

static void test_paging(void **state)
{
	/* Pages in order of the number cover a selection once, and the scope narrows it. */
	struct world *w = *state;
	RSQL_AUTO struct rsql *r = NULL, *scope = NULL;
	struct found all = { 0 }, paged = { 0 };

	assert_int_equal(rsql_parse("label.ring==canary", &r, NULL), FL_OK);
	assert_int_equal(rsql_parse("tier==device", &scope, NULL), FL_OK);
	struct device_filter f = { .where = r, .scope = scope, .limit = -1 };
	assert_int_equal(device_select_narrow(&w->database.store, &f, note, &all, NULL), FL_OK);
	f.limit = 7;
	for (int64_t before = -1; before != paged.n; f.after = paged.last) {
		before = paged.n;
		assert_int_equal(device_select(&w->database.store, &f, note, &paged, NULL), FL_OK);
		assert_true(paged.n - before <= 7);
	}
	assert_memory_equal(all.is, paged.is, sizeof(all.is));
	for (int64_t no = 1; no <= 4; no++) {
		bool inside = true;
		assert_false(paged.is[no]); /* the gateways lie outside */
		assert_int_equal(
			device_in_scope(&w->database.store, no, scope, &inside, NULL), FL_OK);
		assert_false(inside);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_terms),
		cmocka_unit_test(test_random_trees),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_injection),
		cmocka_unit_test(test_paging),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
