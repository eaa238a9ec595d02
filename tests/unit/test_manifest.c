/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests: what the server seals the device reads; every member is bounded and signed; the rules
 * of refusal hold. */
#include "lib/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIGEST "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static struct fl_sign_key key;
static struct fl_role role;

static int set_up(void **state)
{
	(void)state;
	fl_sign_key_new(&key);
	role.n = 1;
	role.threshold = 1;
	role.keys[0] = key.public;
	return 0;
}

static struct fl_manifest_head head(void)
{
	return (struct fl_manifest_head){ .tenant = "default",
		.device = "dev-1",
		.number = 17,
		.issued_ms = 1000,
		.expires_ms = 2000 };
}

static void write_goal(struct fl_buf *out)
{
	static struct fl_manifest_module modules[] = {
		{ .module = "lib", .version = "1.0.0", .kind = "wasm" },
		{ .module = "app",
			.version = "2.1.0",
			.kind = "wasm",
			.sha256 = DIGEST,
			.size = 5,
			.media_type = "application/wasm" },
	};
	static const char *absent[] = { "old", "ancient" };
	static const char *unit[] = { "app" };
	struct fl_manifest_goal goal = { .modules = modules,
		.n_modules = 2,
		.absent = absent,
		.n_absent = 2,
		.step = { .rollout = "r",
			.stage = "L1.W2",
			.id = "12",
			.unit = unit,
			.n_unit = 1,
			.probation_s = 30 } };

	assert_int_equal(fl_manifest_goal_write(out, &goal, NULL), FL_OK);
}

static void seal(struct fl_buf *out)
{
	FL_AUTO_BUF struct fl_buf goal = { 0 };
	struct fl_manifest_head h = head();

	write_goal(&goal);
	assert_int_equal(fl_manifest_seal(out, &h, fl_bytes(goal.p, goal.n), &key, NULL), FL_OK);
}

/* A goal has one text: sorted, canonical, whatever the order of its parts. */
static void test_goal_text(void **state)
{
	FL_AUTO_BUF struct fl_buf goal = { 0 };

	(void)state;
	write_goal(&goal);
	assert_string_equal((char *)goal.p,
		"{\"absent\":[\"ancient\",\"old\"],\"modules\":[{\"kind\":\"wasm\",\"media_type\":"
		"\"application/wasm\",\"module\":\"app\",\"sha256\":\"" DIGEST
		"\",\"size\":5,\"version\":\"2.1.0\"},{\"kind\":\"wasm\",\"module\":\"lib\","
		"\"version\":\"1.0.0\"}],\"step\":{\"id\":\"12\",\"probation_s\":30,\"rollout\":"
		"\"r\",\"stage\":\"L1.W2\",\"unit\":[\"app\"]}}");
}

/* The device reads what the server sealed. */
static void test_round(void **state)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	const struct fl_manifest_module *app;
	struct fl_manifest m = { 0 };

	(void)state;
	seal(&text);
	assert_int_equal(fl_manifest_open(fl_bytes(text.p, text.n), &role, &m, NULL), FL_OK);
	assert_int_equal(m.head.number, 17);
	assert_string_equal(m.head.device, "dev-1");
	assert_int_equal(m.goal.n_modules, 2);
	app = fl_manifest_find(&m.goal, "app");
	assert_non_null(app);
	assert_string_equal(app->sha256, DIGEST);
	assert_int_equal(app->size, 5);
	assert_null(fl_manifest_find(&m.goal, "lib")->sha256);
	assert_null(fl_manifest_find(&m.goal, "old"));
	assert_string_equal(m.goal.absent[0], "ancient");
	assert_string_equal(m.goal.step.id, "12");
	assert_int_equal(m.goal.step.probation_s, 30);
	assert_string_equal(m.goal.step.unit[0], "app");
	fl_manifest_fini(&m);
	fl_manifest_fini(&m);
}

/* A manifest without a step (a standing order) is fine. */
static void test_no_step(void **state)
{
	FL_AUTO_BUF struct fl_buf goal = { 0 }, text = { 0 };
	struct fl_manifest_goal g = { .n_modules = 0 };
	struct fl_manifest_head h = head();
	struct fl_manifest m = { 0 };

	(void)state;
	assert_int_equal(fl_manifest_goal_write(&goal, &g, NULL), FL_OK);
	assert_string_equal((char *)goal.p, "{\"absent\":[],\"modules\":[]}");
	assert_int_equal(fl_manifest_seal(&text, &h, fl_bytes(goal.p, goal.n), &key, NULL), FL_OK);
	assert_int_equal(fl_manifest_open(fl_bytes(text.p, text.n), &role, &m, NULL), FL_OK);
	assert_null(m.goal.step.rollout);
	assert_int_equal(m.goal.n_modules, 0);
	fl_manifest_fini(&m);
}

/* With any byte changed or the end cut off, the envelope is refused. */
static void test_tampered(void **state)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	struct fl_manifest m = { 0 };

	(void)state;
	seal(&text);
	for (size_t i = 0; i < text.n; i++) {
		assert_int_not_equal(fl_manifest_open(fl_bytes(text.p, i), &role, &m, NULL), FL_OK);
		text.p[i] ^= 1;
		assert_int_not_equal(
			fl_manifest_open(fl_bytes(text.p, text.n), &role, &m, NULL), FL_OK);
		text.p[i] ^= 1;
	}
	assert_int_equal(fl_manifest_open(fl_bytes(text.p, text.n), &role, &m, NULL), FL_OK);
	fl_manifest_fini(&m);
}

/* Goals that contradict themselves or pass a limit are never written. */
static void test_goal_refused(void **state)
{
	struct fl_manifest_module twice[] = { { "app", "1", "wasm", NULL, NULL, 0 },
		{ "app", "2", "wasm", NULL, NULL, 0 } };
	struct fl_manifest_module odd[] = { { "app", "1", "wasm", "ABC", NULL, 0 } };
	struct fl_manifest_module sized[] = { { "app", "1", "wasm", NULL, NULL, 7 } };
	struct fl_manifest_module unnamed[] = { { "", "1", "wasm", NULL, NULL, 0 } };
	const char *absent[] = { "app" };
	struct fl_manifest_goal bad[] = {
		{ .modules = twice, .n_modules = 2 },
		{ .modules = odd, .n_modules = 1 },
		{ .modules = sized, .n_modules = 1 },
		{ .modules = unnamed, .n_modules = 1 },
		{ .modules = twice, .n_modules = 1, .absent = absent, .n_absent = 1 },
		{ .step = { .rollout = "r", .stage = "s", .id = "1", .probation_s = -1 } },
	};

	(void)state;
	for (size_t i = 0; i < FL_COUNT(bad); i++) {
		FL_AUTO_BUF struct fl_buf out = { 0 };

		assert_int_equal(fl_manifest_goal_write(&out, &bad[i], NULL), FL_INVALID);
	}
}

/* Set `path` (a member, or "modules.member" of the first module) to `value` in a good manifest. */
static json_t *with(const char *member, const char *value)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	json_t *envelope, *content, *at;

	seal(&text);
	envelope = json_loadb((char *)text.p, text.n, 0, NULL);
	assert_non_null(envelope);
	content = json_incref(json_object_get(envelope, "signed"));
	json_decref(envelope);
	at = content;
	if (strncmp(member, "modules.", 8) == 0) {
		at = json_array_get(json_object_get(content, "modules"), 0);
		member += 8;
	} else if (strncmp(member, "step.", 5) == 0) {
		at = json_object_get(content, "step");
		member += 5;
	}
	if (value == NULL)
		json_object_del(at, member);
	else
		json_object_set_new(at, member, json_loads(value, JSON_DECODE_ANY, NULL));
	return content;
}

/* A member that is missing, of another type or out of bounds makes the manifest invalid. */
static void test_strict(void **state)
{
	static const char *const bad[][2] = {
		{ "_type", "\"root\"" },
		{ "_type", NULL },
		{ "spec_version", "\"2\"" },
		{ "tenant", NULL },
		{ "device", "\"\"" },
		{ "number", "0" },
		{ "number", "\"17\"" },
		{ "expires", "-1" },
		{ "issued", NULL },
		{ "modules", "{}" },
		{ "modules", "[1]" },
		{ "absent", "[\"a\",\"a\"]" },
		{ "absent", "[\"b\",\"a\"]" },
		{ "absent", "[1]" },
		{ "absent", "[\"app\"]" },
		{ "modules.module", "\"zzz\"" },
		{ "modules.version", NULL },
		{ "modules.sha256", "\"00\"" },
		{ "modules.size", "-1" },
		{ "modules.size", "9e18" },
		{ "step.id", NULL },
		{ "step.unit", "[2]" },
		{ "step.probation_s", "99999999999" },
		{ "step.switch", "[1]" },
		{ "step.switch", "[[5,5]]" },
		{ "step.switch", "[[1,5],[4,9]]" },
		{ "step.switch", "[[1,\"5\"]]" },
	};

	(void)state;
	for (size_t i = 0; i < FL_COUNT(bad); i++) {
		json_t *content = with(bad[i][0], bad[i][1]);
		struct fl_manifest m = { 0 };

		assert_int_equal(fl_manifest_read(content, &m, NULL), FL_INVALID);
		assert_null(m.content);
		json_decref(content);
	}
}

/* The spans say when the step may be carried out. */
static void test_spans(void **state)
{
	struct fl_manifest_span spans[] = { { 10, 20 }, { 30, 40 } };
	struct fl_manifest_step s = { .spans = spans, .n_spans = 2 };
	json_t *content = with("step.switch", "[[10,20],[30,40]]");
	struct fl_manifest m = { 0 };

	(void)state;
	assert_int_equal(fl_manifest_opens(&s, 5), 10);
	assert_int_equal(fl_manifest_opens(&s, 10), 10);
	assert_int_equal(fl_manifest_opens(&s, 20), 30);
	assert_int_equal(fl_manifest_opens(&s, 40), -1);
	s.n_spans = 0;
	assert_int_equal(fl_manifest_opens(&s, 40), 40);
	assert_int_equal(fl_manifest_read(content, &m, NULL), FL_OK);
	json_decref(content);
	assert_int_equal(m.goal.step.n_spans, 2);
	assert_int_equal(m.goal.step.spans[1].from_ms, 30);
	fl_manifest_fini(&m);
}

/* Unknown members are ignored, wherever they stand. */
static void test_unknown(void **state)
{
	static const char *const more[] = { "new", "modules.new", "step.new" };

	(void)state;
	for (size_t i = 0; i < FL_COUNT(more); i++) {
		json_t *content = with(more[i], "[1]");
		struct fl_manifest m = { 0 };

		assert_int_equal(fl_manifest_read(content, &m, NULL), FL_OK);
		json_decref(content);
		assert_string_equal(m.head.tenant, "default");
		fl_manifest_fini(&m);
	}
}

/* Another tenant's, another device's, an older and an expired manifest are refused. */
static void test_rules(void **state)
{
	const struct fl_manifest m = { .head = head() };
	const struct fl_manifest_rules good = { "default", "dev-1", 17, 1999 };
	struct fl_manifest_rules r = good;

	(void)state;
	assert_int_equal(fl_manifest_check(&m, &good, NULL), FL_OK);
	r.tenant = "other";
	assert_int_equal(fl_manifest_check(&m, &r, NULL), FL_REFUSED);
	r = good;
	r.device = "dev-2";
	assert_int_equal(fl_manifest_check(&m, &r, NULL), FL_REFUSED);
	r = good;
	r.number = 18;
	assert_int_equal(fl_manifest_check(&m, &r, NULL), FL_REFUSED);
	r = good;
	r.now_ms = 2000;
	assert_int_equal(fl_manifest_check(&m, &r, NULL), FL_REFUSED);
	r.now_ms = 0;
	assert_int_equal(fl_manifest_check(&m, &r, NULL), FL_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goal_text),
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_no_step),
		cmocka_unit_test(test_tampered),
		cmocka_unit_test(test_goal_refused),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_rules),
	};

	fl_digest_init();
	return cmocka_run_group_tests(tests, set_up, NULL);
}
