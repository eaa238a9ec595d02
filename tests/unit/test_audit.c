/* SPDX-License-Identifier: Apache-2.0
 *
 * The chain of the audit trail: what is altered, removed or reordered is found; marks. */
#include "lib/audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LINES 5

struct trail {
	struct fl_audit_line lines[LINES];
	json_t *data;
};

static void make(struct trail *t)
{
	uint8_t before[FL_AUDIT_HASH] = { 0 };

	t->data = json_pack("{s:s, s:i}", "name", "\"\\ \xc3\xa9", "n", 7);
	for (int i = 0; i < LINES; i++) {
		t->lines[i] = (struct fl_audit_line){ .seq = i + 1,
			.at_ms = 1700000000123 + i,
			.actor = "admin",
			.kind = "module.created",
			.subject = "app",
			.data = t->data };
		assert_int_equal(
			fl_audit_hash(&t->lines[i], before, t->lines[i].hash, NULL), FL_OK);
		memcpy(before, t->lines[i].hash, sizeof(before));
	}
}

/* Follow the lines in this order; the sentence of the first that does not fit, or "". */
static const char *follow(const struct trail *t, const int *order, int n)
{
	static struct fl_err err;
	struct fl_audit_walk walk = { 0 };

	err = (struct fl_err){ 0 };
	for (int i = 0; i < n; i++) {
		struct fl_audit_walk there = walk;

		if (fl_audit_follow(&walk, &t->lines[order[i]], &err) != FL_OK) {
			assert_int_equal(err.code, FL_CORRUPT);
			assert_memory_equal(&walk, &there, sizeof(walk));
			break;
		}
	}
	return err.msg;
}

/* A whole chain is followed; a missing, doubled or moved line is named. */
static void test_order(void **state)
{
	struct trail t;

	(void)state;
	make(&t);
	assert_string_equal(follow(&t, (int[]){ 0, 1, 2, 3, 4 }, 5), "");
	assert_string_equal(follow(&t, (int[]){ 0, 1, 3, 4 }, 4), "event 3 is missing");
	assert_string_equal(follow(&t, (int[]){ 1, 2 }, 2), "event 1 is missing");
	assert_string_equal(
		follow(&t, (int[]){ 0, 1, 1 }, 3), "event 2 stands where event 3 belongs");
	assert_string_equal(follow(&t, (int[]){ 0, 2, 1 }, 3), "event 2 is missing");
	json_decref(t.data);
}

/* Each member of a line is covered by its hash, also when the forger computes that line's hash anew. */
static void test_alterations(void **state)
{
	struct trail t;
	json_t *other = json_object();

	(void)state;
	for (int what = 0; what < 7; what++) {
		struct fl_audit_line *l;

		make(&t);
		l = &t.lines[2];
		switch (what) {
		case 0:
			l->actor = "nobody";
			break;
		case 1:
			l->kind = "module.deleted";
			break;
		case 2:
			l->subject = "lib";
			break;
		case 3:
			l->data = other;
			break;
		case 4:
			l->at_ms++;
			break;
		case 5:
			l->hash[31] ^= 1;
			break;
		default:
			l->subject = "lib";
			assert_int_equal(fl_audit_hash(l, t.lines[1].hash, l->hash, NULL), FL_OK);
		}
		assert_non_null(strstr(follow(&t, (int[]){ 0, 1, 2, 3, 4 }, 5),
			what < 6 ? "event 3 was changed" : "event 4 was changed"));
		json_decref(t.data);
	}
	json_decref(other);
}

/* Two lines whose numbers are swapped too do not fit. */
static void test_swapped(void **state)
{
	struct trail t;

	(void)state;
	make(&t);
	t.lines[1].seq = 3;
	t.lines[2].seq = 2;
	assert_non_null(strstr(follow(&t, (int[]){ 0, 2, 1 }, 3), "event 2 was changed"));
	json_decref(t.data);
}

static void make_mark(struct fl_audit_mark *m)
{
	*m = (struct fl_audit_mark){ .kind = FL_AUDIT_HEAD,
		.seq = 5,
		.at_ms = 1700000000000,
		.tenant = "default",
		.uuid = "12345678-1234-4234-8234-123456789012" };
	memset(m->hash, 0xab, sizeof(m->hash));
}

/* A mark opens with the key that sealed it only, as what it is only, and unchanged only. */
static void test_marks(void **state)
{
	struct fl_sign_key key, other;
	struct fl_audit_mark m, back;
	FL_AUTO_BUF struct fl_buf text = { 0 };
	json_t *json = NULL;

	(void)state;
	fl_sign_key_new(&key);
	fl_sign_key_new(&other);
	make_mark(&m);
	assert_int_equal(fl_audit_seal(&text, &m, &key, NULL), FL_OK);
	assert_int_equal(fl_json_parse(fl_bytes(text.p, text.n), &json, NULL), FL_OK);
	assert_int_equal(fl_audit_open(json, FL_AUDIT_HEAD, &key.public, &back, NULL), FL_OK);
	assert_memory_equal(&m, &back, sizeof(m));
	assert_int_equal(
		fl_audit_open(json, FL_AUDIT_CHECKPOINT, &key.public, &back, NULL), FL_INVALID);
	assert_int_equal(
		fl_audit_open(json, FL_AUDIT_HEAD, &other.public, &back, NULL), FL_SIGNATURE);
	assert_int_equal(
		json_object_set_new(json_object_get(json, "signed"), "seq", json_integer(4)), 0);
	assert_int_equal(
		fl_audit_open(json, FL_AUDIT_HEAD, &key.public, &back, NULL), FL_SIGNATURE);
	json_decref(json);
}

/* A walk agrees with a mark at its own number and hash, else the sentence says how not. */
static void test_agreement(void **state)
{
	struct fl_audit_walk walk = { .seq = 5 };
	struct fl_audit_mark m;
	struct fl_err err = { 0 };

	(void)state;
	make_mark(&m);
	memcpy(walk.hash, m.hash, sizeof(walk.hash));
	assert_int_equal(fl_audit_agree(&walk, &m, &err), FL_OK);
	walk.hash[0] ^= 1;
	assert_int_equal(fl_audit_agree(&walk, &m, &err), FL_CORRUPT);
	assert_non_null(strstr(err.msg, "written anew"));
	walk.seq = 3;
	assert_int_equal(fl_audit_agree(&walk, &m, &err), FL_CORRUPT);
	assert_non_null(strstr(err.msg, "the last 2 events are missing"));
	walk.seq = 6;
	assert_int_equal(fl_audit_agree(&walk, &m, &err), FL_CORRUPT);
	assert_non_null(strstr(err.msg, "stands behind"));
}

/* Lines are read as the API shows them, to the millisecond; anything else is no event. */
static void test_reading(void **state)
{
	static const char *const bad[] = { "2026-11-23T08:00:00Z", "2026-11-23T08:00:00.12Z",
		"2026-11-23T08:00:00.1234Z", "2026-13-23T08:00:00.123Z",
		"2026-11-23T08:00:00.1x3Z" };
	struct fl_audit_line l;
	char hex[65];
	json_t *e;

	(void)state;
	memset(hex, 'a', 64);
	hex[64] = '\0';
	e = json_pack("{s:i, s:s, s:s, s:s, s:s, s:{}, s:s}", "seq", 3, "at",
		"2026-11-23T08:00:00.123Z", "actor", "a", "kind", "k", "subject", "s", "data",
		"hash", hex);
	assert_int_equal(fl_audit_line_read(e, &l, NULL), FL_OK);
	assert_int_equal(l.at_ms, 1795420800123);
	assert_int_equal(l.hash[31], 0xaa);
	for (size_t i = 0; i < FL_COUNT(bad); i++) {
		(void)json_object_set_new(e, "at", json_string(bad[i]));
		assert_int_equal(fl_audit_line_read(e, &l, NULL), FL_CORRUPT);
	}
	(void)json_object_set_new(e, "at", json_string("2026-11-23T08:00:00.123Z"));
	(void)json_object_set_new(e, "more", json_true());
	assert_int_equal(fl_audit_line_read(e, &l, NULL), FL_CORRUPT);
	json_decref(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_alterations),
		cmocka_unit_test(test_swapped),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_agreement),
		cmocka_unit_test(test_reading),
	};

	fl_digest_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
