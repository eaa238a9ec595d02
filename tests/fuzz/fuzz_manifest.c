/* SPDX-License-Identifier: Apache-2.0
 *
 * Envelopes, roots and manifests from arbitrary bytes. Nothing unsigned is ever taken; a content that
 * is read goes out and comes back the same. */
#include "lib/manifest.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct fl_sign_key key;
static struct fl_role role;

static void set_up(void)
{
	static const uint8_t seed[32] = "fuzz";

	if (role.n == 1)
		return;
	fl_digest_init();
	fl_sign_key_seed(&key, seed);
	role = (struct fl_role){ .n = 1, .threshold = 1 };
	role.keys[0] = key.public;
}

static void must(bool good)
{
	if (!good)
		abort();
}

/* Seal what was read, open it, and write its goal again. */
static void round_trip(struct fl_manifest *m)
{
	FL_AUTO_BUF struct fl_buf goal = { 0 }, envelope = { 0 }, again = { 0 };
	struct fl_manifest back = { 0 };
	struct fl_err err;

	must(fl_manifest_goal_write(&goal, &m->goal, &err) == FL_OK);
	must(fl_manifest_seal(&envelope, &m->head, fl_bytes(goal.p, goal.n), &key, &err) == FL_OK);
	if (envelope.n > FL_MANIFEST_SIZE_MAX)
		return;
	must(fl_manifest_open(fl_bytes(envelope.p, envelope.n), &role, &back, &err) == FL_OK);
	must(fl_manifest_goal_write(&again, &back.goal, &err) == FL_OK);
	must(goal.n == again.n && memcmp(goal.p, again.p, goal.n) == 0);
	must(back.head.number == m->head.number);
	fl_manifest_fini(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	FL_AUTO_JSON json_t *value = NULL;
	struct fl_manifest m = { 0 };
	struct fl_root root;
	struct fl_err err;

	set_up();
	must(fl_manifest_open(fl_bytes(p, n), &role, &m, &err) != FL_OK);
	(void)!fl_root_first(fl_bytes(p, n), &root, &err);
	if (fl_json_parse(fl_bytes(p, n), &value, &err) != FL_OK)
		return 0;
	if (fl_manifest_read(value, &m, &err) == FL_OK) {
		round_trip(&m);
		fl_manifest_fini(&m);
	}
	return 0;
}
