/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/plan_diff.h"

#include "lib/buf.h"

#include <stdlib.h>
#include <string.h>

/* The differences found so far. */
struct diff {
	json_t *found;
	bool failed;
};

/* Note a difference: `what` (printf) with both sides, NULL: a side does not have it. */
static void note(struct diff *d, const json_t *a, const json_t *b, const char *fmt, ...)
	FL_PRINTF(4, 5);

static void note(struct diff *d, const json_t *a, const json_t *b, const char *fmt, ...)
{
	char what[512];
	va_list ap;
	json_t *row;

	if (a == b || (a != NULL && b != NULL && json_equal(a, b)))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	row = json_pack("{s:s,s:O?,s:O?}", "what", what, "a", a, "b", b);
	if (row == NULL || json_array_append_new(d->found, row) != 0)
		d->failed = true;
}

/* What is told by itself, or is of the moment when the plan was made. */
static bool is_skipped(const char *key)
{
	static const char *const skipped[] = { "order", "seed", "forecast", "bytes_delta",
		"deltas_to_build" };

	for (size_t i = 0; i < FL_COUNT(skipped); i++)
		if (strcmp(key, skipped[i]) == 0)
			return true;
	return false;
}

/* Members of both objects, in a's order, then b's. */
static void compare_members(struct diff *d, const json_t *a, const json_t *b, const char *prefix)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)a, key, value) {
		if (!is_skipped(key))
			note(d, value, json_object_get(b, key), "%s%s", prefix, key);
	}
	json_object_foreach ((json_t *)b, key, value) {
		if (!is_skipped(key) && json_object_get(a, key) == NULL)
			note(d, NULL, value, "%s%s", prefix, key);
	}
}

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void compare_layers(struct diff *d, const json_t *a, const json_t *b)
{
	size_t na = json_array_size(a), nb = json_array_size(b);

	for (size_t i = 0; i < (na > nb ? na : nb); i++)
		note(d, json_object_get(json_array_get(a, i), "units"),
			json_object_get(json_array_get(b, i), "units"), "layer %zu", i);
}

/* What the operator calls a wave; NULL: nothing. */
static const json_t *wave_name(const json_t *wave)
{
	const json_t *name = json_object_get(wave, "name");

	return json_string_length(name) > 0 ? name : NULL;
}

static void compare_waves(struct diff *d, const json_t *a, const json_t *b)
{
	size_t na = json_array_size(a), nb = json_array_size(b);

	for (size_t i = 0; i < (na > nb ? na : nb); i++) {
		const json_t *x = json_array_get(a, i), *y = json_array_get(b, i);

		note(d, json_object_get(x, "devices"), json_object_get(y, "devices"),
			"wave %zu: devices", i);
		note(d, wave_name(x), wave_name(y), "wave %zu: name", i);
	}
}

/* The stage of the same place; NULL. */
static const json_t *stage_at(const json_t *stages, const json_t *like)
{
	for (size_t i = 0; i < json_array_size(stages); i++) {
		const json_t *s = json_array_get(stages, i);

		if (number(s, "layer") == number(like, "layer") &&
			number(s, "wave") == number(like, "wave"))
			return s;
	}
	return NULL;
}

static void compare_stage(struct diff *d, const json_t *a, const json_t *b)
{
	const json_t *at = a != NULL ? a : b;
	char prefix[64];

	(void)snprintf(prefix, sizeof(prefix),
		"stage L%lld.W%lld: ", (long long)number(at, "layer"),
		(long long)number(at, "wave"));
	if (a != NULL && b != NULL)
		compare_members(d, a, b, prefix);
	else
		note(d, json_object_get(a, "devices"), json_object_get(b, "devices"), "%sdevices",
			prefix);
}

static void compare_stages(struct diff *d, const json_t *a, const json_t *b)
{
	for (size_t i = 0; i < json_array_size(a); i++)
		compare_stage(d, json_array_get(a, i), stage_at(b, json_array_get(a, i)));
	for (size_t i = 0; i < json_array_size(b); i++) {
		if (stage_at(a, json_array_get(b, i)) == NULL)
			compare_stage(d, NULL, json_array_get(b, i));
	}
}

static bool members_equal(const json_t *a, const json_t *b, const char *const *keys, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!json_equal(json_object_get(a, keys[i]), json_object_get(b, keys[i])))
			return false;
	return true;
}

/* The class that goes the same way; else, as gateways and devices may start alike, the first that starts
 * there and is not what another class of `its` goes. NULL: there is none. */
static const json_t *class_like(const json_t *classes, const json_t *its, const json_t *like)
{
	static const char *const keys[] = { "kind", "from", "reason", "to" };
	const json_t *found = NULL;

	for (size_t i = 0; i < json_array_size(classes); i++) {
		const json_t *c = json_array_get(classes, i);

		if (members_equal(c, like, keys, 4))
			return c;
		if (found == NULL && members_equal(c, like, keys, 3) &&
			(its == NULL || class_like(its, NULL, c) == like))
			found = c;
	}
	return found;
}

/* "update from app 1.0.0, lib 1.2.0" */
static void class_name(struct fl_buf *b, const json_t *class)
{
	const json_t *from = json_object_get(class, "from");

	fl_buf_str(b, json_string_value(json_object_get(class, "kind")));
	for (size_t i = 0; i < json_array_size(from); i++) {
		const json_t *item = json_array_get(from, i);

		fl_buf_printf(b, "%s%s %s", i == 0 ? " from " : ", ",
			json_string_value(json_object_get(item, "module")),
			json_string_value(json_object_get(item, "version")));
	}
	fl_buf_byte(b, '\0');
}

static void compare_class(struct diff *d, const json_t *a, const json_t *b)
{
	FL_AUTO_BUF struct fl_buf name = { 0 };

	class_name(&name, a != NULL ? a : b);
	if (name.failed) {
		d->failed = true;
		return;
	}
	note(d, json_object_get(a, "devices"), json_object_get(b, "devices"), "%.400s: devices",
		(const char *)name.p);
	if (a != NULL && b != NULL)
		note(d, json_object_get(a, "to"), json_object_get(b, "to"), "%.400s: to",
			(const char *)name.p);
}

static void compare_classes(struct diff *d, const json_t *a, const json_t *b)
{
	for (size_t i = 0; i < json_array_size(a); i++)
		compare_class(d, json_array_get(a, i), class_like(b, a, json_array_get(a, i)));
	for (size_t i = 0; i < json_array_size(b); i++) {
		if (class_like(a, b, json_array_get(b, i)) == NULL)
			compare_class(d, NULL, json_array_get(b, i));
	}
}

json_t *plan_diff(
	const json_t *a, const json_t *b, const json_t *strategy_a, const json_t *strategy_b)
{
	static const char *const plain[] = { "release", "order", "seed", "refusals", "notes" };
	struct diff d = { .found = json_array() };

	for (size_t i = 0; i < FL_COUNT(plain); i++)
		note(&d, json_object_get(a, plain[i]), json_object_get(b, plain[i]), "%s",
			plain[i]);
	compare_members(&d, strategy_a, strategy_b, "strategy: ");
	compare_members(&d, json_object_get(a, "totals"), json_object_get(b, "totals"), "totals: ");
	compare_layers(&d, json_object_get(a, "layers"), json_object_get(b, "layers"));
	compare_waves(&d, json_object_get(a, "waves"), json_object_get(b, "waves"));
	compare_stages(&d, json_object_get(a, "stages"), json_object_get(b, "stages"));
	compare_classes(&d, json_object_get(a, "classes"), json_object_get(b, "classes"));
	if (!d.failed)
		return d.found;
	json_decref(d.found);
	return NULL;
}
