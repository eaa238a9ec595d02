/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/profile.h"

#include "cli/text.h"
#include "lib/file.h"
#include "lib/json.h"

#include <sodium.h> /* sodium_memzero */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX  (1024 * 1024)
#define TOKEN_MAX 4096

static char *copy(const char *s)
{
	return s == NULL ? NULL : text_format("%s", s);
}

static void forget(char **secret)
{
	if (*secret != NULL)
		sodium_memzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

void profile_fini(struct profile *p)
{
	forget(&p->token);
	free(p->name);
	free(p->server);
	free(p->ca_file);
	*p = (struct profile){ 0 };
}

static const char *from_env(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

enum fl_code profile_path(char **out, struct fl_err *err)
{
	const char *base = from_env("XDG_CONFIG_HOME");
	const char *home = from_env("HOME");

	if (base == NULL && home == NULL)
		return fl_fail(err, FL_INVALID,
			"neither XDG_CONFIG_HOME nor HOME says where profiles are kept");
	if (base != NULL)
		*out = text_format("%s/fleetctl/config", base);
	else
		*out = text_format("%s/.config/fleetctl/config", home);
	return FL_OK;
}

static void warn_if_open(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
		(void)fprintf(stderr,
			"fleetctl: warning: others can read the tokens in %s; run: chmod 600 %s\n",
			path, path);
}

/* The stored file as JSON; an empty one if there is none. */
static enum fl_code read_store(json_t **out, struct fl_err *err)
{
	FL_AUTOFREE char *path = NULL;
	FL_AUTO_BUF struct fl_buf text = { 0 };
	enum fl_code code;

	if (profile_path(&path, NULL) != FL_OK) {
		*out = json_object();
		return FL_OK;
	}
	code = fl_file_get(path, FILE_MAX, &text, err);
	if (code == FL_NOT_FOUND) {
		*out = json_object();
		return FL_OK;
	}
	if (code != FL_OK)
		return code;
	warn_if_open(path);
	code = fl_json_parse((struct fl_bytes){ text.p, text.n }, out, err);
	if (code == FL_OK && !json_is_object(*out)) {
		json_decref(*out);
		*out = NULL;
		code = fl_fail(err, FL_INVALID, "not a JSON object");
	}
	sodium_memzero(text.p, text.n);
	if (code != FL_OK)
		return fl_wrap(err, "%s is damaged; repair or remove it", path);
	return FL_OK;
}

static enum fl_code write_store(const json_t *store, struct fl_err *err)
{
	FL_AUTOFREE char *path = NULL;
	FL_AUTOFREE char *folder = NULL;
	char *text;
	enum fl_code code = profile_path(&path, err);

	if (code != FL_OK)
		return code;
	folder = text_format("%.*s", (int)(strrchr(path, '/') - path), path);
	code = fl_file_mkdirs(folder, 0700, err);
	if (code != FL_OK)
		return code;
	text = json_dumps(store, JSON_INDENT(2) | JSON_SORT_KEYS);
	if (text == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to write the profiles");
	code = fl_file_put(
		path, (struct fl_bytes){ (const uint8_t *)text, strlen(text) }, 0600, err);
	sodium_memzero(text, strlen(text));
	free(text);
	return code;
}

/* The stored profile called `name`, or the current one; NULL if there is none. `*name` becomes its
 * name, borrowed from the store. */
static json_t *stored(json_t *store, const char **name)
{
	if (*name == NULL)
		*name = json_string_value(json_object_get(store, "current"));
	return *name == NULL ? NULL : json_object_get(json_object_get(store, "profiles"), *name);
}

static const char *member(const json_t *profile, const char *key)
{
	return json_string_value(json_object_get(profile, key));
}

/* "fleet.example.com:8470/" -> "https://fleet.example.com:8470". */
static char *tidy_server(const char *server)
{
	size_t n = strlen(server);

	while (n > 0 && server[n - 1] == '/')
		n--;
	return text_format(
		"%s%.*s", strstr(server, "://") == NULL ? "https://" : "", (int)n, server);
}

static bool token_fits(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < TOKEN_MAX &&
		strspn(s,
			"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			"abcdefghijklmnopqrstuvwxyz_-.~+/=") == n;
}

static enum fl_code read_stdin(struct fl_buf *b, struct fl_err *err)
{
	b->max = TOKEN_MAX;
	for (int c = getchar(); c != EOF && c != '\n'; c = getchar())
		fl_buf_byte(b, (uint8_t)c);
	if (b->failed)
		return fl_fail(err, FL_INVALID, "what was read is too long for a token");
	return FL_OK;
}

enum fl_code profile_read_token(const char *file, char **out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	enum fl_code code;

	if (strcmp(file, "-") == 0)
		code = read_stdin(&b, err);
	else
		code = fl_file_get(file, TOKEN_MAX, &b, err);
	if (code != FL_OK)
		return fl_wrap(err, "cannot read the token");
	if (b.n > 0)
		b.p[strcspn((char *)b.p, " \t\r\n")] = '\0';
	if (b.n == 0 || !token_fits((char *)b.p))
		code = fl_fail(err, FL_INVALID, "%s holds no token; one looks like flt_1_…",
			strcmp(file, "-") == 0 ? "standard input" : file);
	else
		*out = copy((char *)b.p);
	if (b.p != NULL)
		sodium_memzero(b.p, b.n);
	return code;
}

static enum fl_code load_server(struct profile *p, const struct profile_flags *flags,
	const json_t *from, struct fl_err *err)
{
	const char *server = flags->server != NULL ? flags->server : from_env("FLEETCTL_SERVER");

	if (server == NULL)
		server = member(from, "server");
	if (server == NULL)
		return fl_fail(err, FL_INVALID,
			"no server is known; run: fleetctl login URL (or set "
			"FLEETCTL_SERVER)");
	p->server = tidy_server(server);
	return FL_OK;
}

static enum fl_code load_token(struct profile *p, const struct profile_flags *flags,
	const json_t *from, struct fl_err *err)
{
	const char *token = from_env("FLEETCTL_TOKEN");
	const char *home = member(from, "server");

	if (flags->token_file != NULL)
		return profile_read_token(flags->token_file, &p->token, err);
	/* A stored token goes to nobody but the server that it was stored for. */
	if (token == NULL && home != NULL && strcmp(home, p->server) == 0)
		token = member(from, "token");
	if (token != NULL && !token_fits(token))
		return fl_fail(
			err, FL_INVALID, "FLEETCTL_TOKEN holds no token; one looks like flt_1_…");
	p->token = copy(token);
	return FL_OK;
}

enum fl_code profile_load(struct profile *p, const struct profile_flags *flags, struct fl_err *err)
{
	FL_AUTO_JSON json_t *store = NULL;
	const char *name = flags->name != NULL ? flags->name : from_env("FLEETCTL_PROFILE");
	bool asked = name != NULL;
	const char *ca = flags->ca_file != NULL ? flags->ca_file : from_env("FLEETCTL_CA_FILE");
	json_t *from;
	enum fl_code code = read_store(&store, err);

	if (code != FL_OK)
		return code;
	from = stored(store, &name);
	if (from == NULL && asked && flags->server == NULL && from_env("FLEETCTL_SERVER") == NULL)
		return fl_fail(err, FL_NOT_FOUND,
			"there is no profile \"%s\"; run: fleetctl login URL --profile %s", name,
			name);
	p->name = copy(name);
	code = load_server(p, flags, from, err);
	if (code != FL_OK)
		return code;
	p->ca_file = copy(ca != NULL ? ca : member(from, "ca_file"));
	return load_token(p, flags, from, err);
}

enum fl_code profile_save(const struct profile *p, struct fl_err *err)
{
	FL_AUTO_JSON json_t *store = NULL;
	const char *name = p->name != NULL ? p->name : "default";
	json_t *profiles;
	enum fl_code code = read_store(&store, err);

	if (code != FL_OK)
		return code;
	if (!json_is_object(json_object_get(store, "profiles")))
		(void)json_object_set_new(store, "profiles", json_object());
	profiles = json_object_get(store, "profiles");
	(void)json_object_set_new(profiles, name,
		json_pack("{s:s, s:s*, s:s*}", "server", p->server, "token", p->token, "ca_file",
			p->ca_file));
	(void)json_object_set_new(store, "current", json_string(name));
	return write_store(store, err);
}

enum fl_code profile_remove(const char *name, char **removed, struct fl_err *err)
{
	FL_AUTO_JSON json_t *store = NULL;
	const char *current;
	enum fl_code code = read_store(&store, err);

	if (code != FL_OK)
		return code;
	if (stored(store, &name) == NULL && name == NULL)
		return fl_fail(err, FL_NOT_FOUND, "nobody is logged in: no profile is stored");
	if (stored(store, &name) == NULL)
		return fl_fail(err, FL_NOT_FOUND, "there is no profile \"%s\"", name);
	*removed = copy(name);
	(void)json_object_del(json_object_get(store, "profiles"), *removed);
	current = json_string_value(json_object_get(store, "current"));
	if (current != NULL && strcmp(current, *removed) == 0)
		(void)json_object_del(store, "current");
	return write_store(store, err);
}
