/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON at the edges: parse bytes, read an object into a struct by a table of fields, render.
 * Everything rests on jansson; nobody digs in json_t by hand where a table can say it. */
#ifndef FL_JSON_H
#define FL_JSON_H

#include "lib/buf.h"

#include <jansson.h>

/* What a field must be, and the C type at its offset. */
enum fl_json_type {
	FL_JSON_STRING, /* const char *, borrowed from the JSON value */
	FL_JSON_INT,    /* int64_t */
	FL_JSON_REAL,   /* double; an integer is taken too */
	FL_JSON_BOOL,   /* bool */
	FL_JSON_OBJECT, /* json_t *, borrowed */
	FL_JSON_ARRAY,  /* json_t *, borrowed */
	FL_JSON_ANY,    /* json_t *, borrowed */
};

/* One field of an object. A field that is absent or null leaves its place in the struct as it was. */
struct fl_json_field {
	const char *name;
	enum fl_json_type type;
	size_t offset;
	bool required;
	int64_t min; /* of an integer; shortest string in bytes, fewest elements */
	int64_t max; /* likewise; 0 and 0: no bounds */
};

/* A field spec: FL_FIELD(struct x, member, "name", STRING, .required = true, .max = 64) */
#define FL_FIELD(type_, member_, name_, kind_, ...)                                         \
	{                                                                                   \
		.name = name_, .type = FL_JSON_##kind_, .offset = offsetof(type_, member_), \
		__VA_ARGS__                                                                 \
	}

/* What to do with keys that the table does not have. */
enum fl_json_unknown { FL_JSON_REJECT, FL_JSON_IGNORE };

/* Parse one JSON text of any type. Duplicate keys and text behind it are refused. `*out` is a new
 * reference. FL_INVALID with line and column; FL_NOMEM. */
enum fl_code fl_json_parse(struct fl_bytes text, json_t **out, struct fl_err *err) FL_MUST_CHECK;

/* Read `object` into `out` (a struct) by `fields`. Strings and values in `out` live as long as
 * `object`. FL_INVALID names the field, what is wrong with it and, for an unknown key, the nearest
 * known one. */
enum fl_code fl_json_read(const json_t *object, const struct fl_json_field *fields, size_t n,
	enum fl_json_unknown unknown, void *out, struct fl_err *err) FL_MUST_CHECK;

/* Append the compact text of `value` to `b`. */
void fl_json_write(struct fl_buf *b, const json_t *value);

/* Append canonical JSON (keys sorted, no blanks, integers only, only '"' and '\' escaped), the form
 * that TUF signs (securesystemslib's OLPC canonical JSON). FL_INVALID on a real number. */
enum fl_code fl_json_canonical(
	struct fl_buf *b, const json_t *value, struct fl_err *err) FL_MUST_CHECK;

static inline void fl_json_cleanup(json_t **j)
{
	json_decref(*j);
}
/* FL_AUTO_JSON json_t *j = …; drops its reference at the end of the scope. */
#define FL_AUTO_JSON __attribute__((cleanup(fl_json_cleanup)))

#endif
