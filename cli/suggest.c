/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/suggest.h"

#include "cli/text.h"
#include "cli/value.h"
#include "lib/nearest.h"

#include <stdio.h>
#include <string.h>

#define NAMES_MAX 1000 /* one page */

/* Lists of things with names: the address of one goes on with its name. */
static const struct {
	const char *begin, *key;
} kinds[] = {
	{ "/api/v1/modules", "name" },
	{ "/api/v1/releases", "name" },
	{ "/api/v1/rollouts", "name" },
	{ "/api/v1/devices", "id" },
	{ "/api/v1/freezes", "name" },
	{ "/api/v1/channels", "name" },
	{ "/api/v1/webhooks", "name" },
};

/* The list that `path` names an element of ("/api/v1/modules/app/versions/1.0" -> "…/versions",
 * "1.0"); false if it is none. Names that are percent-encoded are not looked for. */
static bool split(const char *path, char **list, char **name, const char **key)
{
	const char *versions = strstr(path, "/versions/");
	size_t n;

	for (size_t i = 0; i < FL_COUNT(kinds); i++) {
		n = strlen(kinds[i].begin);
		if (strncmp(path, kinds[i].begin, n) != 0 || path[n] != '/')
			continue;
		*key = versions != NULL ? "version" : kinds[i].key;
		n = versions != NULL ? (size_t)(versions - path) + strlen("/versions") : n;
		*list = text_format("%.*s?limit=%d", (int)n, path, NAMES_MAX);
		*name = text_format("%.*s", (int)strcspn(path + n + 1, "/?"), path + n + 1);
		return strchr(*name, '%') == NULL;
	}
	return false;
}

static const char *nearest_of(const json_t *items, const char *key, const char *name)
{
	const char *names[NAMES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(items) && n < NAMES_MAX; i++) {
		names[n] = value_text(json_array_get(items, i), key);
		n += names[n] != NULL;
	}
	return fl_nearest(name, names, n);
}

void suggest_name(struct cli *cli, const char *path)
{
	API_AUTO_REPLY struct api_reply reply = { 0 };
	FL_AUTOFREE char *list = NULL, *name = NULL, *hint = NULL;
	struct fl_err ignored = { 0 };
	const char *key, *near;

	if (cli->globals.json || !split(path, &list, &name, &key))
		return;
	hint = text_format("%s", cli->api.hint);
	near = NULL;
	if (api_call(&cli->api, &(struct api_request){ .method = "GET", .path = list, .tries = 1 },
		    &reply, &ignored) == FL_OK)
		near = nearest_of(json_object_get(reply.json, "items"), key, name);
	if (near != NULL && strcmp(near, name) != 0)
		(void)snprintf(cli->api.hint, sizeof(cli->api.hint), "did you mean %.200s?", near);
	else
		(void)snprintf(cli->api.hint, sizeof(cli->api.hint), "%s", hint);
}
