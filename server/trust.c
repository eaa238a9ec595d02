/* SPDX-License-Identifier: Apache-2.0 */
#include "server/trust.h"

#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"
#include "server/parts.h"
#include "server/server.h"
#include "server/store/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 4096
/* A quick-start root is replaced by a person; until then it must not make devices deaf. */
#define QUICK_START_LIFE_MS (10LL * 365 * 86400 * 1000)

struct trust {
	struct fl_sign_key keys[TRUST_KEY_MAX];
	bool have[TRUST_KEY_MAX];
	uint8_t session_secret[FL_KEY_LEN];
	struct fl_buf root_text;
	struct fl_root root;
};

static const char *const names[] = {
#define NAME_OF(code, name) name,
	TRUST_KEYS(NAME_OF)
};

const struct fl_sign_key *trust_key(const struct trust *t, enum trust_key which)
{
	return t->have[which] ? &t->keys[which] : NULL;
}

const uint8_t *trust_session_secret(const struct trust *t)
{
	return t->session_secret;
}

struct fl_bytes trust_root_text(const struct trust *t)
{
	return fl_bytes(t->root_text.p, t->root_text.n);
}

const struct fl_root *trust_root(const struct trust *t)
{
	return &t->root;
}

/* ---- files */

static enum fl_code path_of(char out[PATH_BYTES], const char *dir, const char *name,
	const char *ending, struct fl_err *err)
{
	int n = snprintf(out, PATH_BYTES, "%s/%s%s", dir, name, ending);

	if (n < 0 || n >= PATH_BYTES)
		return fl_fail(err, FL_INVALID, "the path of the data directory is too long");
	return FL_OK;
}

static enum fl_code load_key(struct trust *t, const char *dir, size_t which, struct fl_err *err)
{
	char path[PATH_BYTES];
	enum fl_code code = path_of(path, dir, names[which], ".key", err);

	if (code == FL_OK)
		code = fl_sign_key_load(&t->keys[which], path, err);
	t->have[which] = code == FL_OK;
	return code;
}

/* Load it, or make it if an earlier start did not come so far. */
static enum fl_code make_key(struct trust *t, const char *dir, size_t which, struct fl_err *err)
{
	char path[PATH_BYTES];
	enum fl_code code = load_key(t, dir, which, err);

	if (code != FL_NOT_FOUND)
		return code;
	code = path_of(path, dir, names[which], ".key", err);
	if (code != FL_OK)
		return code;
	fl_sign_key_new(&t->keys[which]);
	code = fl_sign_key_save(&t->keys[which], path, err);
	t->have[which] = code == FL_OK;
	return code;
}

static enum fl_code session_secret(struct trust *t, const char *dir, bool make, struct fl_err *err)
{
	char path[PATH_BYTES];
	enum fl_code code = path_of(path, dir, "session", ".secret", err);

	if (code == FL_OK)
		code = fl_secret_load(t->session_secret, path, err);
	if (code != FL_NOT_FOUND || !make)
		return code;
	fl_random(t->session_secret, sizeof(t->session_secret));
	return fl_secret_save(t->session_secret, path, err);
}

static enum fl_code make_root(struct trust *t, const char *path, int64_t now_ms, struct fl_err *err)
{
	const struct fl_sign_key *signer = &t->keys[TRUST_ROOT];
	const struct fl_root_spec spec = {
		.root = &signer->public,
		.targets = &t->keys[TRUST_TARGETS].public,
		.snapshot = &t->keys[TRUST_SNAPSHOT].public,
		.timestamp = &t->keys[TRUST_TIMESTAMP].public,
		.manifest = &t->keys[TRUST_MANIFEST].public,
		.version = 1,
		.expires_ms = now_ms + QUICK_START_LIFE_MS,
		.quick_start = true,
	};
	FL_AUTO_BUF struct fl_buf text = { 0 };
	FL_AUTO_JSON json_t *content = NULL;
	enum fl_code code = fl_root_json(&spec, &content, err);

	if (code == FL_OK)
		code = fl_envelope_seal(&text, content, &signer, 1, err);
	if (code == FL_OK)
		code = fl_file_put(path, fl_bytes(text.p, text.n), 0644, err);
	return code;
}

/* ---- first and later starts */

static enum fl_code make_all(struct trust *t, const char *dir, int64_t now_ms, struct fl_err *err)
{
	char path[PATH_BYTES];
	enum fl_code code = path_of(path, dir, "root", ".json", err);

	for (size_t i = 0; i < TRUST_KEY_MAX && code == FL_OK; i++)
		code = make_key(t, dir, i, err);
	if (code == FL_OK)
		code = session_secret(t, dir, true, err);
	if (code == FL_OK)
		code = make_root(t, path, now_ms, err);
	if (code == FL_OK)
		code = fl_file_get(path, FL_ENVELOPE_MAX, &t->root_text, err);
	return code;
}

static enum fl_code load_all(struct trust *t, const char *dir, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < TRUST_KEY_MAX && code == FL_OK; i++) {
		code = load_key(t, dir, i, err);
		if (code == FL_NOT_FOUND && i == TRUST_ROOT)
			code = FL_OK; /* it belongs offline */
	}
	return code == FL_OK ? session_secret(t, dir, false, err) : code;
}

/* The manifests that are signed here must be believed by those who trust the root. */
static enum fl_code check_root(struct trust *t, struct fl_err *err)
{
	const struct fl_role *role = &t->root.manifest;
	enum fl_code code = fl_root_first(trust_root_text(t), &t->root, err);

	if (code != FL_OK) {
		fl_wrap(err, "keys/root.json");
		return code;
	}
	for (size_t i = 0; i < role->n; i++) {
		if (strcmp(role->keys[i].keyid, t->keys[TRUST_MANIFEST].public.keyid) == 0)
			return FL_OK;
	}
	return fl_fail(err, FL_CORRUPT,
		"keys/manifest.key is not the key that keys/root.json names; restore both from one "
		"backup");
}

enum fl_code trust_open(
	const char *keys_dir, int64_t now_ms, struct trust **out, struct fl_err *err)
{
	struct trust *t = calloc(1, sizeof(*t));
	char path[PATH_BYTES];
	enum fl_code code = path_of(path, keys_dir, "root", ".json", err);

	if (t == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the keys");
	if (code == FL_OK)
		code = fl_file_mkdirs(keys_dir, 0700, err);
	if (code == FL_OK) {
		code = fl_file_get(path, FL_ENVELOPE_MAX, &t->root_text, err);
		if (code == FL_OK)
			code = load_all(t, keys_dir, err);
		else if (code == FL_NOT_FOUND)
			code = make_all(t, keys_dir, now_ms, err);
	}
	if (code == FL_OK)
		code = check_root(t, err);
	if (code != FL_OK) {
		trust_close(t);
		return code;
	}
	*out = t;
	return FL_OK;
}

void trust_close(struct trust *t)
{
	if (t == NULL)
		return;
	fl_buf_fini(&t->root_text);
	fl_wipe(t, sizeof(*t));
	free(t);
}

enum fl_code trust_up(struct server *s, struct fl_err *err)
{
	const struct settings *settings = s->settings;
	char dir[PATH_BYTES];
	enum fl_code code = path_of(dir, settings->data_dir, "keys", "", err);

	if (code == FL_OK)
		code = trust_open(dir, fl_clock_ms(CLOCK_REALTIME), &s->trust, err);
	if (code == FL_OK && s->trust->root.quick_start)
		fl_log_info("the root of trust is a quick-start one: its key lies on this machine; "
			    "replace it before you rely on it",
			FL_S("data_dir", settings->data_dir));
	return code;
}

void trust_down(struct server *s)
{
	trust_close(s->trust);
	s->trust = NULL;
}
