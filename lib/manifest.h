/* SPDX-License-Identifier: Apache-2.0
 *
 * The manifest: the signed statement of what one device must run now.
 *
 * DESIGN. Its content has two parts. The goal (modules, absent, step) is the same for all devices of
 * one class in one stage: it is stored once, as canonical JSON. The head (device, number, times) is
 * the device's own. The server puts both together and signs when it sends; the device verifies,
 * reads strictly and checks the rules before it acts on anything. Unknown members are ignored. */
#ifndef FL_MANIFEST_H
#define FL_MANIFEST_H

#include "lib/envelope.h"

#define FL_MANIFEST_MODULES_MAX 256
#define FL_MANIFEST_NAME_MAX    256          /* bytes of any name in it */
#define FL_MANIFEST_SIZE_MAX    (256 * 1024) /* bytes of the envelope */

/* One module that shall run. Strings are borrowed. */
struct fl_manifest_module {
	const char *module;
	const char *version;
	const char *kind;       /* wasm, container, firmware, file */
	const char *sha256;     /* lower hex; NULL: keep what you have (declared without bytes) */
	const char *media_type; /* NULL: none */
	int64_t size;           /* bytes of the artifact; 0 without sha256 */
};

/* [from, until), ms since 1970. */
struct fl_manifest_span {
	int64_t from_ms, until_ms;
};
#define FL_MANIFEST_SPANS_MAX 32

/* Which step of a rollout this carries out. rollout == NULL: none. */
struct fl_manifest_step {
	const char *rollout;
	const char *stage; /* "L1.W2", for people */
	const char *id;    /* what reports name */
	const char **unit; /* the modules that switch together */
	size_t n_unit;
	int64_t probation_s;
	/* when it may be carried out: not outside of these, which follow each other; at any time without any */
	struct fl_manifest_span *spans;
	size_t n_spans;
};

/* When the step may be carried out: `now_ms` itself if it may now, -1 if it never may again. */
int64_t fl_manifest_opens(const struct fl_manifest_step *step, int64_t now_ms);

struct fl_manifest_goal {
	struct fl_manifest_module *modules; /* sorted by name */
	size_t n_modules;
	const char **absent; /* modules that must not be there */
	size_t n_absent;
	struct fl_manifest_step step;
};

struct fl_manifest_head {
	const char *tenant;
	const char *device;
	int64_t number;
	int64_t issued_ms;
	int64_t expires_ms;
};

/* A read manifest; everything in it lives until fl_manifest_fini. */
struct fl_manifest {
	struct fl_manifest_head head;
	struct fl_manifest_goal goal;
	json_t *content; /* owned: what the strings point into */
};

/* Append the goal as canonical JSON (an object with absent, modules and, if there is one, step).
 * Modules, absent and unit are sorted by name here. FL_INVALID if a limit is passed, a name comes
 * twice or is in both lists, a digest is none; FL_NOMEM. */
enum fl_code fl_manifest_goal_write(
	struct fl_buf *out, const struct fl_manifest_goal *goal, struct fl_err *err) FL_MUST_CHECK;

/* Append the envelope: head and a goal text of fl_manifest_goal_write, signed by `key`. About 60 µs:
 * work lane. FL_CORRUPT if the goal does not parse. */
enum fl_code fl_manifest_seal(struct fl_buf *out, const struct fl_manifest_head *head,
	struct fl_bytes goal, const struct fl_sign_key *key, struct fl_err *err) FL_MUST_CHECK;

/* Verify an envelope and read it. FL_SIGNATURE, FL_INVALID (what is wrong), FL_TOO_LARGE, FL_NOMEM;
 * `out` is untouched then. */
enum fl_code fl_manifest_open(struct fl_bytes envelope, const struct fl_role *role,
	struct fl_manifest *out, struct fl_err *err) FL_MUST_CHECK;
/* Read a signed part that is trusted already (a device's own stored copy). Same limits. Takes a
 * reference of its own to `content`. */
enum fl_code fl_manifest_read(
	json_t *content, struct fl_manifest *out, struct fl_err *err) FL_MUST_CHECK;
/* Free. Safe twice and on zeroed memory. */
void fl_manifest_fini(struct fl_manifest *m);

/* What a device holds against a manifest. */
struct fl_manifest_rules {
	const char *tenant;
	const char *device;
	int64_t number; /* the last accepted; the same again is fine */
	int64_t now_ms; /* 0: the device has no clock; expiry is not checked */
};
/* FL_REFUSED with the broken rule: other tenant, other device, lower number, expired. */
enum fl_code fl_manifest_check(const struct fl_manifest *m, const struct fl_manifest_rules *rules,
	struct fl_err *err) FL_MUST_CHECK;

/* The module of that name, NULL if it is not in the goal. */
const struct fl_manifest_module *fl_manifest_find(
	const struct fl_manifest_goal *goal, const char *module);

#endif
