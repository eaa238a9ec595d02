/* SPDX-License-Identifier: Apache-2.0 */
#include "server/device/auth.h"

#include "lib/wire.h"
#include "server/fleet.h"
#include "server/http/request.h"
#include "server/server.h"
#include "server/trust.h"

#include <string.h>

/* One sentence for every reason: a stranger learns nothing of which devices there are. */
static enum fl_code refuse(struct fl_err *err)
{
	return fl_fail(err, FL_UNAUTHENTICATED,
		"the session is unknown or has ended; make a new one at /device/v1/session");
}

/* Whether the session may still be used; `d` gets the device. */
static bool in_force(
	const struct request *rq, const struct fl_wire_session *session, struct fleet_device *d)
{
	const struct settings *settings = rq->server->settings;
	int64_t issued_s = FL_WIRE_EPOCH_S + (int64_t)session->issued;

	return session->device_no <= INT64_MAX &&
		fleet_get(rq->server->fleet, (int64_t)session->device_no, d) && !d->retired &&
		d->epoch == session->epoch &&
		rq->now_ms / 1000 < issued_s + settings->session_life / 1000;
}

enum fl_code device_auth_mac(struct request *rq, struct fl_err *err)
{
	const char *header = request_header(rq, FL_WIRE_AUTH_HEADER);
	struct fl_wire_session session;
	struct fl_wire_auth auth;
	struct fleet_device device;
	uint8_t key[FL_KEY_LEN], mac[FL_MAC_LEN];

	if (header == NULL || !fl_wire_auth_read(header, &auth))
		return refuse(err);
	fl_wire_session_unpack(auth.session, &session);
	if (!in_force(rq, &session, &device))
		return refuse(err);
	fl_wire_session_key(trust_session_secret(rq->server->trust), auth.session, key);
	const struct fl_wire_request request = {
		.method = rq->method,
		.path = rq->target,
		.nonce = auth.nonce,
		.manifest = auth.manifest,
		.body = rq->body,
	};
	if (!fl_wire_request_mac(key, &request, mac) || !fl_equal(mac, auth.mac, sizeof(mac))) {
		fl_wipe(key, sizeof(key));
		return refuse(err);
	}
	if (!fleet_take_nonce(rq->server->fleet, (int64_t)session.device_no, auth.nonce,
		    (uint32_t)(rq->now_ms / 1000))) {
		fl_wipe(key, sizeof(key));
		return fl_fail(err, FL_NONCE, "the nonce must be above the last one");
	}
	rq->who.roles = WHO_DEVICE;
	rq->who.device_no = (int64_t)session.device_no;
	rq->who.nonce = auth.nonce;
	rq->who.manifest = auth.manifest;
	memcpy(rq->who.session_key, key, sizeof(key));
	fl_wipe(key, sizeof(key));
	return FL_OK;
}

void device_auth_answer(struct request *rq, unsigned status, struct fl_bytes body)
{
	struct fl_wire_answer answer = { .status = status, .nonce = rq->who.nonce, .body = body };
	char text[FL_WIRE_ANSWER_MAX];
	struct fleet_device device;

	if (fleet_get(rq->server->fleet, rq->who.device_no, &device))
		answer.manifest = device.manifest;
	fl_wire_answer_write(text, rq->who.session_key, &answer);
	reply_header(rq, FL_WIRE_ANSWER_HEADER, "%s", text);
}
