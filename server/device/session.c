/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /device/v1/session: the handshake.
 *
 *   FAST   headers, digest, window: what can be refused for nothing is refused here
 *   READ   the device's key by its id
 *   WORK   the signature, the replay, the sealed session key, the server's own signature
 *
 * No row is written: the session's key is derived from its id, so a restart keeps all sessions. */
#include "lib/wire.h"
#include "server/device/proof.h"
#include "server/device/replay.h"
#include "server/fleet.h"
#include "server/http/handlers.h"
#include "server/server.h"
#include "server/store/device.h"
#include "server/trust.h"

#include <string.h>

struct handshake {
	struct fl_httpsig proof;
	uint8_t public_key[FL_PUBLIC_LEN];
	int64_t no;
	uint32_t epoch;
};

/* The same for every reason: a stranger learns nothing of which devices there are. */
static enum fl_code refuse(struct fl_err *err)
{
	return fl_fail(err, FL_UNAUTHENTICATED, "there is no enrolled device with this id and key");
}

struct answer {
	char session[FL_WIRE_SESSION_TEXT + 1];
	char sealed[FL_BASE64_LEN(FL_KEY_LEN + FL_SEAL_EXTRA) + 1];
};

static enum fl_code make_session(
	const struct request *rq, const struct handshake *h, struct answer *out, struct fl_err *err)
{
	const struct fl_wire_session s = {
		.device_no = (uint64_t)h->no,
		.epoch = h->epoch,
		.issued = (uint32_t)(rq->now_ms / 1000 - FL_WIRE_EPOCH_S),
	};
	uint8_t raw[FL_WIRE_SESSION_LEN], key[FL_KEY_LEN], sealed[FL_KEY_LEN + FL_SEAL_EXTRA];
	enum fl_code code;

	fl_wire_session_pack(&s, raw);
	fl_wire_session_key(trust_session_secret(rq->server->trust), raw, key);
	code = fl_seal(h->public_key, fl_bytes(key, sizeof(key)), sealed, err);
	fl_wipe(key, sizeof(key));
	fl_base64(raw, sizeof(raw), out->session);
	fl_base64(sealed, sizeof(sealed), out->sealed);
	return code;
}

static enum fl_code prove(struct request *rq, struct fl_err *err)
{
	const struct settings *settings = rq->server->settings;
	struct handshake *h = rq->state;
	int64_t now_s = rq->now_ms / 1000;
	struct fleet_device device;
	struct answer a;
	json_t *body;

	if (proof_verify(rq, &h->proof, h->public_key, NULL) != FL_OK)
		return refuse(err);
	if (!replay_note(fleet_handshakes(rq->server->fleet), h->proof.keyid, h->proof.nonce,
		    h->proof.created + PROOF_WINDOW_S, now_s))
		return fl_fail(err, FL_NONCE, "this handshake was made before");
	if (!fleet_get(rq->server->fleet, h->no, &device) || device.retired)
		return refuse(err);
	enum fl_code code = make_session(rq, h, &a, err);
	if (code != FL_OK)
		return code;
	fleet_seen(rq->server->fleet, h->no, (uint32_t)now_s);
	body = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "device", h->proof.keyid,
		"nonce", h->proof.nonce, "session", a.session, "sealed_key", a.sealed,
		"expires_in_s", (json_int_t)(settings->session_life / 1000), "poll_interval_s",
		(json_int_t)(settings->poll_interval / 1000), "manifest",
		(json_int_t)device.manifest, "server_time", (json_int_t)rq->now_ms);
	code = fl_wire_sign(body, trust_key(rq->server->trust, TRUST_MANIFEST), err);
	if (code != FL_OK) {
		json_decref(body);
		return code;
	}
	reply_json(rq, 200, body);
	return FL_OK;
}

static enum fl_code find_key(struct request *rq, struct fl_err *err)
{
	struct handshake *h = rq->state;
	struct device d = { 0 };
	enum fl_code code = device_get(rq->store, h->proof.keyid, &d, err);

	if (code == FL_NOT_FOUND ||
		(code == FL_OK && (d.public_key == NULL || d.retired_at != 0))) {
		device_fini(&d);
		return refuse(err);
	}
	if (code != FL_OK)
		return code;
	memcpy(h->public_key, d.public_key, sizeof(h->public_key));
	h->no = d.no;
	h->epoch = (uint32_t)d.epoch;
	device_fini(&d);
	request_then(rq, LANE_WORK, prove);
	return FL_OK;
}

struct body {
	const char *device;
};

enum fl_code device_session(struct request *rq, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct body, device, "device", STRING, .required = true, .min = 1,
			.max = STORE_ID_MAX),
	};
	struct handshake *h = request_alloc(rq, sizeof(*h));
	struct body body = { 0 };
	enum fl_code code;

	if (h == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a handshake");
	code = proof_read(rq, &h->proof, err);
	if (code == FL_CLOCK) {
		proof_clock(rq);
		return FL_OK;
	}
	if (code == FL_OK)
		code = request_read(rq, fields, FL_COUNT(fields), &body, err);
	if (code != FL_OK)
		return code;
	if (strcmp(body.device, h->proof.keyid) != 0)
		return fl_fail(err, FL_UNAUTHENTICATED, "keyid must be the id of the device");
	rq->state = h;
	request_then(rq, LANE_READ, find_key);
	return FL_OK;
}
