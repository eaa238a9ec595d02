/* SPDX-License-Identifier: Apache-2.0
 *
 * DESIGN. Everything that can be refused without moving bytes is refused first: files are read and
 * hashed, the module is looked up, an existing version with other bytes is a conflict. Then the
 * bytes go by digest, and the version last: a version never names bytes that are not there. */
#include "cli/publish.h"

#include "cli/text.h"
#include "cli/upload.h"
#include "cli/value.h"
#include "lib/file.h"

#include <stdlib.h>
#include <string.h>

#define NOTES_MAX (64u * 1024)

static const char *const kinds[] = { "wasm", "container", "firmware", "file", NULL };
static const char *const tiers[] = { "device", "gateway", NULL };

#define ROW(member, name_, kind_, ...)                                          \
	{                                                                       \
		.name = name_, .type = OPTIONS_##kind_,                         \
		.offset = offsetof(struct publish_options, member), __VA_ARGS__ \
	}
const struct options_row publish_rows[] = {
	ROW(requires, "requires", LIST, .argument = "MODULE@RANGE",
		.help = "works only beside this module, on the same device or its gateway"),
	ROW(needs, "need", LIST, .argument = "NAME=RANGE",
		.help = "works only where the device offers this (runtime='>=1', memory='>=64')"),
	ROW(variants, "variant", LIST, .argument = "SELECTOR=FILE",
		.help = "bytes for the devices that SELECTOR matches; the first match counts, FILE "
			"of "
			"the command line last"),
	ROW(without_bytes, "without-bytes", FLAG,
		.help = "declare a version whose bytes are not here, as what the factory "
			"installed"),
	ROW(floor, "floor", FLAG, .help = "older versions must pass through this one"),
	ROW(no_downgrade, "no-downgrade", FLAG,
		.help = "there is no way back from this version (fuses, data migrations)"),
	ROW(backport, "backport", FLAG, .help = "allow a version below the newest one"),
	ROW(notes, "notes", TEXT, .argument = "TEXT", .help = "what is new in it"),
	ROW(notes_file, "notes-file", TEXT, .argument = "FILE", .help = "the same from a file"),
	ROW(signature, "signature", TEXT, .argument = "TEXT", .help = "the publisher's signature"),
	ROW(kind, "kind", CHOICE, .argument = "KIND", .choices = kinds,
		.help = "create the module if it is missing, of this kind"),
	ROW(tier, "tier", CHOICE, .argument = "TIER", .choices = tiers,
		.help = "where the module that is created runs"),
	ROW(description, "description", TEXT, .argument = "TEXT",
		.help = "what the module that is created is for"),
	{ 0 },
};

/* One variant as typed: the selector (NULL: everybody) and its file. */
struct variant {
	char *selector; /* owned */
	struct upload file;
};

struct variants {
	struct variant *v; /* owned */
	size_t n;
};

static void variants_fini(struct variants *variants)
{
	for (size_t i = 0; i < variants->n; i++)
		free(variants->v[i].selector);
	free(variants->v);
	*variants = (struct variants){ 0 };
}

/* "attribute.arch==arm64=app.wasm": the last '=' is the one before the file. */
static enum fl_code split_variant(const char *text, struct variant *out, struct fl_err *err)
{
	const char *equals = strrchr(text, '=');
	size_t n = equals == NULL ? 0 : (size_t)(equals - text);

	if (n == 0 || equals[1] == '\0' || strchr("=<>!", text[n - 1]) != NULL)
		return fl_fail(err, FL_INVALID,
			"--variant needs a selector and a file, as "
			"'attribute.arch==arm64=app-arm64.wasm', "
			"not \"%.100s\"",
			text);
	out->selector = text_format("%.*s", (int)n, text);
	out->file.path = equals + 1;
	return FL_OK;
}

static enum fl_code collect(const struct cli *cli, const struct publish_options *o,
	struct variants *out, struct fl_err *err)
{
	const char *plain = cli_operand(cli, 2);

	if (plain == NULL && o->variants.n == 0 && !o->without_bytes)
		return fl_fail(err, FL_INVALID,
			"no file is given; --without-bytes declares a version without one");
	if (o->without_bytes && (plain != NULL || o->variants.n > 0))
		return fl_fail(err, FL_INVALID, "--without-bytes and a file contradict each other");
	out->v = text_alloc(o->variants.n + 1, sizeof(*out->v));
	for (size_t i = 0; i < o->variants.n; i++) {
		enum fl_code code = split_variant(o->variants.v[i], &out->v[i], err);

		if (code != FL_OK)
			return code;
		out->n++;
	}
	if (plain != NULL)
		out->v[out->n++].file.path = plain;
	for (size_t i = 0; i < out->n; i++) {
		enum fl_code code = upload_hash(cli, &out->v[i].file, err);

		if (code != FL_OK)
			return code;
	}
	return FL_OK;
}

/* "lib@^1.2" or "runtime=>=1" into {"lib": "^1.2"}. */
static enum fl_code pairs(const struct options_list *list, char between, const char *option,
	json_t **out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *object = json_object();

	for (size_t i = 0; i < list->n; i++) {
		const char *at = strchr(list->v[i], between);
		FL_AUTOFREE char *name = NULL;

		if (at == NULL || at == list->v[i] || at[1] == '\0')
			return fl_fail(err, FL_INVALID,
				"--%s needs NAME%cRANGE, as '%s', not \"%.80s\"", option, between,
				between == '@' ? "lib@^1.2" : "runtime=>=1", list->v[i]);
		name = text_format("%.*s", (int)(at - list->v[i]), list->v[i]);
		if (json_object_get(object, name) != NULL)
			return fl_fail(err, FL_INVALID, "--%s names %s twice", option, name);
		if (json_object_set_new(object, name, json_string(at + 1)) != 0)
			return fl_fail(err, FL_INVALID, "--%s: \"%.80s\" is not UTF-8", option,
				list->v[i]);
	}
	*out = fl_steal(&object);
	return FL_OK;
}

static json_t *variants_json(const struct variants *variants)
{
	json_t *array = json_array();

	for (size_t i = 0; i < variants->n; i++) {
		json_t *one = json_pack("{s:s}", "sha256", variants->v[i].file.sha256);

		if (variants->v[i].selector != NULL)
			(void)json_object_set_new(
				one, "selector", json_string(variants->v[i].selector));
		(void)json_array_append_new(array, one);
	}
	if (variants->n == 0) /* fits every device, held by nobody */
		(void)json_array_append_new(array, json_object());
	return array;
}

static enum fl_code add_notes(json_t *body, const struct publish_options *o, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	enum fl_code code;

	if (o->notes != NULL && o->notes_file != NULL)
		return fl_fail(err, FL_INVALID, "--notes and --notes-file contradict each other");
	if (o->notes != NULL)
		fl_buf_str(&b, o->notes);
	if (o->notes_file != NULL) {
		code = fl_file_get(o->notes_file, NOTES_MAX, &b, err);
		if (code != FL_OK)
			return code;
	}
	if (b.n == 0)
		return FL_OK;
	if (json_object_set_new(body, "notes", json_stringn((char *)b.p, b.n)) != 0)
		return fl_fail(err, FL_INVALID, "the notes are not UTF-8");
	return FL_OK;
}

static enum fl_code version_body(const struct publish_options *o, const struct variants *variants,
	json_t **out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *body = json_object();
	FL_AUTO_JSON json_t *requires = NULL, *needs = NULL;
	enum fl_code code = pairs(&o->requires, '@', "requires", &requires, err);

	if (code == FL_OK)
		code = pairs(&o->needs, '=', "need", &needs, err);
	if (code != FL_OK)
		return code;
	(void)json_object_set_new(body, "variants", variants_json(variants));
	if (json_object_size(requires) > 0)
		(void)json_object_set(body, "requires", requires);
	if (json_object_size(needs) > 0)
		(void)json_object_set(body, "needs", needs);
	if (o->floor)
		(void)json_object_set_new(body, "floor", json_true());
	if (o->no_downgrade)
		(void)json_object_set_new(body, "downgrade", json_false());
	if (o->backport)
		(void)json_object_set_new(body, "backport", json_true());
	if (o->signature != NULL)
		(void)json_object_set_new(body, "signature", json_string(o->signature));
	code = add_notes(body, o, err);
	if (code == FL_OK)
		*out = fl_steal(&body);
	return code;
}

static enum fl_code create_module(
	struct cli *cli, const struct publish_options *o, const char *module, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/modules/{}", module);
	FL_AUTO_JSON json_t *body = json_pack("{s:s, s:s*, s:s*}", "kind", o->kind, "tier", o->tier,
		"description", o->description);
	enum fl_code code =
		cli_send(cli, &(struct api_request){ .method = "PUT", .path = path, .body = body },
			NULL, NULL, err);

	if (code == FL_OK)
		cli_note(cli, "module %s is created (%s)", module, o->kind);
	return code;
}

/* Whether the module is there; a missing one is fine only if --kind says how to make it. */
static enum fl_code find_module(struct cli *cli, const struct publish_options *o,
	const char *module, bool *there, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/modules/{}", module);
	FL_AUTO_JSON json_t *found = NULL;
	const char *kind;
	enum fl_code code = cli_get(cli, path, &found, err);

	*there = code == FL_OK;
	if (code == FL_NOT_FOUND && o->kind != NULL)
		return FL_OK;
	if (code == FL_NOT_FOUND) {
		(void)snprintf(cli->api.hint, sizeof(cli->api.hint),
			"--kind wasm (or container, firmware, file) creates it on the way");
		return fl_fail(err, FL_NOT_FOUND, "there is no module %s", module);
	}
	if (code != FL_OK)
		return code;
	kind = value_text(found, "kind");
	if (o->kind != NULL && kind != NULL && strcmp(kind, o->kind) != 0)
		return fl_fail(
			err, FL_CONFLICT, "module %s is of kind %s, not %s", module, kind, o->kind);
	return FL_OK;
}

/* Take a module back that was made for a version which was then refused. */
static void delete_module(struct cli *cli, const char *module)
{
	FL_AUTOFREE char *path = api_path("/api/v1/modules/{}", module);
	FL_AUTO_JSON json_t *problem = json_incref(cli->api.problem);
	FL_AUTOFREE char *hint = text_format("%s", cli->api.hint);

	/* The refusal of the version is what is told, whatever becomes of this. */
	if (cli_send(cli, &(struct api_request){ .method = "DELETE", .path = path }, NULL, NULL,
		    &(struct fl_err){ 0 }) == FL_OK)
		cli_note(cli, "module %s is deleted again", module);
	json_decref(cli->api.problem);
	cli->api.problem = fl_steal(&problem);
	(void)snprintf(cli->api.hint, sizeof(cli->api.hint), "%s", hint);
}

static const char *digest_of(const json_t *version, size_t i)
{
	const json_t *variant = json_array_get(json_object_get(version, "variants"), i);

	return value_text(json_object_get(variant, "artifact"), "sha256");
}

/* An existing version with other bytes can never become this one: say so before anything moves. */
static enum fl_code check_existing(
	struct cli *cli, const struct variants *variants, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path(
		"/api/v1/modules/{}/versions/{}", cli_operand(cli, 0), cli_operand(cli, 1));
	FL_AUTO_JSON json_t *version = NULL;
	enum fl_code code = cli_get(cli, path, &version, err);

	if (code == FL_NOT_FOUND)
		return FL_OK;
	if (code != FL_OK)
		return code;
	for (size_t i = 0; i < variants->n; i++) {
		const char *stored = digest_of(version, i);
		const char *mine = variants->v[i].file.sha256;

		if (variants->n != value_count(version, "variants") || stored == NULL ||
			strcmp(stored, mine) != 0)
			return fl_fail(err, FL_CONFLICT,
				"%s %s exists with other bytes (%.12s, not %.12s); a version never "
				"changes: publish these under a new number",
				cli_operand(cli, 0), cli_operand(cli, 1),
				stored != NULL ? stored : "none", mine);
	}
	return FL_OK;
}

static enum fl_code send_all(struct cli *cli, struct variants *variants, struct fl_err *err)
{
	enum fl_code code = FL_OK;
	char text[TEXT_SHORT];

	for (size_t i = 0; i < variants->n && code == FL_OK; i++) {
		struct upload *u = &variants->v[i].file;

		code = upload_send(cli, u, err);
		if (code == FL_OK && !cli->globals.json)
			cli_say(cli, "%s  sha256 %.12s  %s  %s", u->path, u->sha256,
				text_bytes(text, u->bytes),
				u->sent ? "uploaded" : "was there already");
	}
	return code;
}

static enum fl_code put_version(
	struct cli *cli, const char *path, const json_t *body, struct fl_err *err)
{
	FL_AUTO_JSON json_t *version = NULL;
	int status = 0;
	enum fl_code code =
		cli_send(cli, &(struct api_request){ .method = "PUT", .path = path, .body = body },
			&version, &status, err);

	if (code != FL_OK || cli_json(cli, version))
		return code;
	cli_say(cli, "%s %s %s", cli_operand(cli, 0), cli_operand(cli, 1),
		status == 201 ? "is published" : "was published before; nothing has changed");
	return FL_OK;
}

/* The module if it is missing, then the version. */
static enum fl_code publish(struct cli *cli, const struct publish_options *o, bool there,
	const json_t *body, struct fl_err *err)
{
	const char *module = cli_operand(cli, 0);
	FL_AUTOFREE char *path =
		api_path("/api/v1/modules/{}/versions/{}", module, cli_operand(cli, 1));
	enum fl_code code = there ? FL_OK : create_module(cli, o, module, err);

	if (code != FL_OK)
		return code;
	code = put_version(cli, path, body, err);
	if (code != FL_OK && !there)
		delete_module(cli, module);
	return code;
}

enum fl_code publish_run(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct publish_options *o = options;
	__attribute__((cleanup(variants_fini))) struct variants variants = { 0 };
	FL_AUTO_JSON json_t *body = NULL;
	bool there = false;
	enum fl_code code = collect(cli, o, &variants, err);

	if (code == FL_OK)
		code = version_body(o, &variants, &body, err);
	if (code == FL_OK)
		code = find_module(cli, o, cli_operand(cli, 0), &there, err);
	if (code == FL_OK && there)
		code = check_existing(cli, &variants, err);
	if (code == FL_OK)
		code = send_all(cli, &variants, err);
	if (code == FL_OK)
		code = publish(cli, o, there, body, err);
	return code;
}
