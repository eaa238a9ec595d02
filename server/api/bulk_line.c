/* SPDX-License-Identifier: Apache-2.0 */
#include "server/api/bulk_line.h"

#include "lib/digest.h"
#include "lib/sign.h"

#include <string.h>

struct body {
	const char *id, *tier, *gateway, *public_key;
	json_t *attributes, *labels, *installed;
};

static const struct fl_json_field fields[] = {
	FL_FIELD(struct body, id, "id", STRING, .required = true),
	FL_FIELD(struct body, tier, "tier", STRING),
	FL_FIELD(struct body, gateway, "gateway", STRING, .min = 1, .max = STORE_ID_MAX),
	FL_FIELD(struct body, attributes, "attributes", OBJECT),
	FL_FIELD(struct body, labels, "labels", OBJECT),
	FL_FIELD(struct body, installed, "installed", ARRAY),
	FL_FIELD(struct body, public_key, "public_key", STRING),
};

static enum fl_code no_memory(struct fl_err *err)
{
	return fl_fail(err, FL_NOMEM, "no memory for a line");
}

/* Copy a text (NULL stays NULL) to the arena. */
static enum fl_code keep(
	struct fl_arena *arena, const char *s, const char **out, struct fl_err *err)
{
	*out = s == NULL ? NULL : fl_arena_text(arena, s, strlen(s));
	return s != NULL && *out == NULL ? no_memory(err) : FL_OK;
}

static enum fl_code keep_object(struct fl_arena *arena, const char *what, const json_t *object,
	const char **out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	if (object == NULL)
		return FL_OK;
	enum fl_code code = devices_object(what, object, &b, err);
	return code != FL_OK ? code : keep(arena, (const char *)b.p, out, err);
}

static enum fl_code keep_key(
	struct fl_arena *arena, const char *text, const uint8_t **out, struct fl_err *err)
{
	uint8_t *key;

	if (text == NULL)
		return FL_OK;
	key = fl_arena_get(arena, 1, DEVICE_KEY_BYTES);
	if (key == NULL)
		return no_memory(err);
	if (!fl_unbase64_all(text, key, DEVICE_KEY_BYTES) || !fl_public_valid(key))
		return fl_fail(err, FL_INVALID,
			"\"public_key\" must be an Ed25519 key as 43 characters of base64url");
	*out = key;
	return FL_OK;
}

static enum fl_code keep_installed(struct fl_arena *arena, const json_t *array,
	struct devices_installed *scratch, struct bulk_line *out, struct fl_err *err)
{
	if (array == NULL)
		return FL_OK;
	enum fl_code code = devices_installed(array, scratch, err);
	if (code != FL_OK)
		return code;
	out->installed = fl_arena_get(arena, scratch->n, sizeof(*out->installed));
	if (out->installed == NULL)
		return no_memory(err);
	for (size_t i = 0; i < scratch->n && code == FL_OK; i++) {
		code = keep(arena, scratch->entries[i].module, &out->installed[i].module, err);
		if (code == FL_OK)
			code = keep(arena, scratch->entries[i].version, &out->installed[i].version,
				err);
	}
	memcpy(out->digest, scratch->digest, sizeof(out->digest));
	out->n_installed = scratch->n;
	out->installs = true;
	return code;
}

static enum fl_code check(const struct body *b, struct fl_err *err)
{
	if (b->tier != NULL && strcmp(b->tier, "device") != 0 && strcmp(b->tier, "gateway") != 0)
		return fl_fail(
			err, FL_INVALID, "\"tier\" is device or gateway, not \"%.40s\"", b->tier);
	return devices_check_id(b->id, err);
}

/* "gateway": null takes the device out from behind its gateway; left out, it stays. */
static enum fl_code keep_gateway(struct fl_arena *arena, const json_t *line, const struct body *b,
	const char **out, struct fl_err *err)
{
	return keep(
		arena, json_is_null(json_object_get(line, "gateway")) ? "" : b->gateway, out, err);
}

static enum fl_code read_body(const json_t *line, struct fl_arena *arena,
	struct devices_installed *scratch, struct bulk_line *out, struct fl_err *err)
{
	struct body b = { 0 };
	struct device_put *put = &out->put;
	enum fl_code code = fl_json_read(line, fields, FL_COUNT(fields), FL_JSON_REJECT, &b, err);

	if (code == FL_OK)
		code = check(&b, err);
	if (code == FL_OK)
		code = keep(arena, b.id, &put->id, err);
	if (code == FL_OK)
		code = keep(arena, b.tier, &put->tier, err);
	if (code == FL_OK)
		code = keep_gateway(arena, line, &b, &put->gateway, err);
	if (code == FL_OK)
		code = keep_object(arena, "attribute", b.attributes, &put->attributes, err);
	if (code == FL_OK)
		code = keep_object(arena, "label", b.labels, &put->labels, err);
	if (code == FL_OK)
		code = keep_key(arena, b.public_key, &put->public_key, err);
	if (code == FL_OK)
		code = keep_installed(arena, b.installed, scratch, out, err);
	put->revive = true;
	return code;
}

enum fl_code bulk_line_read(struct fl_bytes text, struct fl_arena *arena,
	struct devices_installed *scratch, struct bulk_line *out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *line = NULL;
	enum fl_code code = fl_json_parse(text, &line, err);

	if (code != FL_OK)
		return code;
	if (!json_is_object(line))
		return fl_fail(err, FL_INVALID, "a line is one JSON object");
	*out = (struct bulk_line){ 0 };
	return read_body(line, arena, scratch, out, err);
}
