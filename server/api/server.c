/* SPDX-License-Identifier: Apache-2.0
 *
 * The server itself: health, figures, who it is, what the caller may do. */
#include "config.h" /* PACKAGE_VERSION */

#include "server/http/handlers.h"

#include "server/api/list.h"
#include "server/blobs.h" /* BLOB_MAX */
#include "server/http/http.h"
#include "server/identity.h"
#include "server/metrics.h"
#include "server/server.h"
#include "server/store/batch.h"
#include "server/store/state.h"
#include "server/tokens.h"
#include "server/trust.h"

enum fl_code api_healthz(struct request *rq, struct fl_err *err)
{
	(void)err;
	reply_json(rq, 200, json_pack("{s:s}", "status", "ok"));
	return FL_OK;
}

enum fl_code api_readyz(struct request *rq, struct fl_err *err)
{
	if (database_broken(rq->server->database))
		return fl_fail(
			err, FL_UNAVAILABLE, "the database has failed; fleetd is about to stop");
	if (http_stopping(rq->server))
		return fl_fail(err, FL_UNAVAILABLE, "fleetd is about to stop");
	reply_json(rq, 200, json_pack("{s:s}", "status", "ready"));
	return FL_OK;
}

enum fl_code api_metrics(struct request *rq, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	(void)err;
	metrics_render(rq->server->metrics, &b);
	reply_buf(rq, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
	return FL_OK;
}

static json_t *limits(void)
{
	return json_pack("{s:I, s:i, s:i, s:i, s:i, s:i}", "artifact_bytes", (json_int_t)BLOB_MAX,
		"page", STORE_PAGE_MAX, "device_id_bytes", STORE_ID_MAX, "name_bytes",
		STORE_NAME_MAX, "installed_modules", STATE_ENTRIES_MAX, "selector_bytes",
		RSQL_TEXT_MAX);
}

enum fl_code api_server_get(struct request *rq, struct fl_err *err)
{
	const struct server *s = rq->server;
	const struct fl_root *root = trust_root(s->trust);

	(void)err;
	reply_json(rq, 200,
		json_pack("{s:s, s:s, s:s, s:o, s:o, s:I, s:s, s:b, s:o}", "version",
			PACKAGE_VERSION, "tenant", s->settings->tenant, "uuid", s->identity->uuid,
			"created_at", list_time(s->identity->created_ms), "started_at",
			list_time(s->identity->started_ms), "poll_interval_s",
			(json_int_t)(s->settings->poll_interval / 1000), "root_keyid",
			root->root.keys[0].keyid, "quick_start_root", (int)root->quick_start,
			"limits", limits()));
	return FL_OK;
}

enum fl_code api_whoami(struct request *rq, struct fl_err *err)
{
	(void)err;
	reply_json(rq, 200,
		json_pack("{s:s, s:o, s:s?}", "name", rq->who.name, "roles",
			tokens_roles_json(rq->who.roles), "selector", rq->who.selector));
	return FL_OK;
}
