/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/problem.h"

#include "cli/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* The last part of a problem's type, "/problems/not-found" -> NOT_FOUND; else by the status. */
static enum fl_code code_of(const char *type, int status)
{
	const char *name = type == NULL ? NULL : strrchr(type, '/');

	for (int code = 1; name != NULL && code < FL_CODE_MAX; code++) {
		if (strcmp(name + 1, fl_problem_type((enum fl_code)code)) == 0)
			return (enum fl_code)code;
	}
	for (int code = 1; code < FL_CODE_MAX; code++) {
		if (fl_http_status((enum fl_code)code) == status)
			return (enum fl_code)code;
	}
	return status >= 500 ? FL_INTERNAL : FL_INVALID;
}

/* Which list shows what exists, for each part of the API. The longer path comes first. */
static const struct {
	const char *prefix, *hint;
} lists[] = {
	{ "/api/v1/modules/",
		"'fleetctl module ls' lists the modules, 'fleetctl version ls MODULE' the "
		"versions of one" },
	{ "/api/v1/releases/", "'fleetctl release ls' lists the releases" },
	{ "/api/v1/devices/", "'fleetctl device ls' lists the devices" },
	{ "/api/v1/rollouts/", "'fleetctl rollout ls' lists the rollouts" },
	{ "/api/v1/tokens/", "'fleetctl token ls' lists the tokens" },
	{ "/api/v1/freezes/", "'fleetctl freeze ls' lists the freezes" },
	{ "/api/v1/channels/", "'fleetctl channel ls' lists the channels" },
	{ "/api/v1/webhooks/", "'fleetctl webhook ls' lists the webhooks" },
};

static const char *where_to_look(const char *path)
{
	for (size_t i = 0; i < FL_COUNT(lists); i++) {
		if (strncmp(path, lists[i].prefix, strlen(lists[i].prefix)) == 0)
			return lists[i].hint;
	}
	return "";
}

/* What a person can do about a failure of this kind. */
static const char *next_step(const struct api *api, enum fl_code code, const struct api_request *rq)
{
	switch (code) {
	case FL_UNAUTHENTICATED:
		return api->profile->token == NULL
			? "no token was sent; run 'fleetctl login' or set FLEETCTL_TOKEN"
			: "the token is unknown, expired or revoked; run 'fleetctl login' with a "
			  "new one";
	case FL_FORBIDDEN:
		return "'fleetctl whoami' shows what this token may do";
	case FL_NOT_FOUND:
		return where_to_look(rq->path);
	case FL_UNAVAILABLE:
	case FL_BUSY:
	case FL_NOMEM:
		return "the server is busy or starting; try again in a moment";
	case FL_FULL:
		return "free space on the server, then run the same command again";
	default:
		return "";
	}
}

/* The server's list of single mistakes, the first of them. */
static void add_members(const json_t *problem, struct fl_err *err)
{
	const json_t *first = json_array_get(json_object_get(problem, "errors"), 0);
	const char *detail = json_string_value(json_object_get(first, "detail"));
	size_t n = strlen(err->msg);

	if (detail != NULL && strstr(err->msg, detail) == NULL)
		(void)snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", detail);
}

static void finish_sentence(struct fl_err *err)
{
	size_t n = strlen(err->msg);

	while (n > 0 && (err->msg[n - 1] == '.' || isspace((unsigned char)err->msg[n - 1])))
		err->msg[--n] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (iscntrl((unsigned char)err->msg[i]))
			err->msg[i] = ' ';
	}
}

static enum fl_code no_problem_document(
	struct api *api, const struct api_reply *reply, struct fl_err *err)
{
	bool moved = reply->status >= 300 && reply->status < 400;

	(void)snprintf(api->hint, sizeof(api->hint), "%s",
		moved ? "give the final address with --server (perhaps with https://)"
		      : "is this the address of fleetd itself, without a path behind the host?");
	return fl_fail(err, moved ? FL_INVALID : code_of(NULL, reply->status),
		"%s answered with status %d and without the reason that fleetd gives",
		api->profile->server, reply->status);
}

enum fl_code problem_of_reply(struct api *api, const struct api_request *rq,
	const struct api_reply *reply, struct fl_err *err)
{
	const char *type = json_string_value(json_object_get(reply->json, "type"));
	const char *title = json_string_value(json_object_get(reply->json, "title"));
	const char *detail = json_string_value(json_object_get(reply->json, "detail"));
	const char *instance = json_string_value(json_object_get(reply->json, "instance"));
	enum fl_code code = code_of(type, reply->status);

	if (detail == NULL && title == NULL)
		return no_problem_document(api, reply, err);
	json_decref(api->problem);
	api->problem = json_incref(reply->json);
	(void)fl_fail(err, code, "%s", detail != NULL && detail[0] != '\0' ? detail : title);
	if (err != NULL) {
		add_members(reply->json, err);
		finish_sentence(err);
	}
	(void)snprintf(api->hint, sizeof(api->hint), "%s", next_step(api, code, rq));
	if (reply->status >= 500 && fl_exit_code(code) == fl_exit_code(FL_INTERNAL) &&
		instance != NULL)
		(void)snprintf(api->hint, sizeof(api->hint),
			"the server's log tells more about request %s", instance);
	return code;
}

static enum fl_code tls_problem(
	struct api *api, CURLcode result, const char *why, struct fl_err *err)
{
	if (result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE) {
		(void)snprintf(api->hint, sizeof(api->hint),
			"name the authority that signed the server's certificate with --ca FILE");
		return fl_fail(err, FL_NETWORK, "cannot trust %s: %s", api->profile->server, why);
	}
	(void)snprintf(api->hint, sizeof(api->hint),
		"does the server speak TLS? if not, write http:// in --server");
	return fl_fail(err, FL_NETWORK, "no TLS connection with %s: %s", api->profile->server, why);
}

enum fl_code problem_of_curl(
	struct api *api, CURLcode result, const char *detail, struct fl_err *err)
{
	const char *why = detail != NULL && detail[0] != '\0' ? detail : curl_easy_strerror(result);
	const char *server = api->profile->server;

	(void)snprintf(api->hint, sizeof(api->hint),
		"is fleetd running there? --server or FLEETCTL_SERVER names another address");
	switch (result) {
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		(void)snprintf(api->hint, sizeof(api->hint),
			"write it like https://fleet.example.com:8470");
		return fl_fail(err, FL_INVALID, "\"%s\" is not the address of a server", server);
	case CURLE_COULDNT_RESOLVE_HOST:
		return fl_fail(err, FL_NETWORK, "the host of %s is not known", server);
	case CURLE_COULDNT_CONNECT:
		return fl_fail(err, FL_NETWORK, "nobody answers at %s", server);
	case CURLE_OPERATION_TIMEDOUT:
		return fl_fail(err, FL_TIMEOUT, "%s did not answer in time", server);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CONNECT_ERROR:
		return tls_problem(api, result, why, err);
	case CURLE_OUT_OF_MEMORY:
		return fl_fail(err, FL_NOMEM, "no memory for the call");
	default:
		return fl_fail(err, FL_NETWORK, "the connection with %s broke: %s", server, why);
	}
}
