/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /device/v1/enrol: a device registers itself with a token and proves that it has the key.
 *
 *   WORK   the body's form, the signature by the new key, the replay
 *   WRITE  token, device, key, event; the same key again changes nothing but the sessions
 */
#include "server/device/proof.h"
#include "server/device/replay.h"
#include "server/devices.h"
#include "server/events.h"
#include "server/fleet.h"
#include "server/http/handlers.h"
#include "server/rsql.h"
#include "server/server.h"
#include "server/store/device.h"
#include "server/tokens.h"
#include "server/trust.h"

#include <stdlib.h>
#include <string.h>

struct enrolment {
	const char *device, *public_text, *tier, *gateway; /* in rq->json */
	json_t *attributes, *installed;
	struct fl_public key;
	struct fl_buf attributes_text;
	bool has_installed;
	struct devices_installed set;
};

static void drop(void *state)
{
	struct enrolment *e = state;

	fl_buf_fini(&e->attributes_text);
}

/* ---- WRITE */

/* What the token gives: its labels over those that an operator set before. */
static enum fl_code take_token(
	struct request *rq, const char *labels_before, struct fl_buf *labels, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf given = { 0 };
	FL_AUTO_JSON json_t *patch = NULL;
	enum fl_code code = tokens_use(rq->store, rq->effects, rq->who.token_id, &given, err);

	if (code == FL_OK)
		code = fl_json_parse(fl_bytes(given.p, given.n), &patch, err);
	return code == FL_OK ? devices_merge("label", labels_before, patch, labels, err) : code;
}

/* A token with a selector enrols only devices that lie in it. */
static enum fl_code check_scope(struct request *rq, int64_t no, struct fl_err *err)
{
	RSQL_AUTO struct rsql *scope = NULL;
	bool inside = false;
	enum fl_code code;

	if (rq->who.selector == NULL)
		return FL_OK;
	code = rsql_parse(rq->who.selector, &scope, err);
	if (code == FL_OK)
		code = device_in_scope(rq->store, no, scope, &inside, err);
	if (code == FL_OK && !inside)
		return fl_fail(err, FL_FORBIDDEN, "this token does not enrol such devices");
	return code;
}

/* Make the device or complete one that was registered without a key. What an operator registered
 * (tier, gateway) stays as it is. */
static enum fl_code put_device(
	struct request *rq, const struct device *before, int64_t *no, struct fl_err *err)
{
	const struct enrolment *e = rq->state;
	bool is_new = before->id == NULL || before->retired_at != 0;
	FL_AUTO_BUF struct fl_buf labels = { 0 };
	enum device_outcome outcome;
	struct device_put put = {
		.id = e->device,
		.tier = is_new ? e->tier : NULL,
		.gateway = is_new ? e->gateway : NULL,
		.attributes = (const char *)e->attributes_text.p,
		.revive = true,
	};
	enum fl_code code = take_token(rq, is_new ? "{}" : before->labels, &labels, err);

	if (code == FL_OK && e->has_installed)
		code = state_intern(
			rq->store, e->set.entries, e->set.n, e->set.digest, &put.state_id, err);
	if (code != FL_OK)
		return code;
	put.labels = (const char *)labels.p;
	return device_put(rq->store, &put, no, &outcome, err);
}

static void reply(struct request *rq, unsigned status, int64_t no)
{
	const struct enrolment *e = rq->state;
	struct fl_bytes root = trust_root_text(rq->server->trust);
	struct fl_buf b = { 0 };

	fl_buf_str(&b, "{\"device\":");
	fl_buf_json(&b, e->device, strlen(e->device));
	fl_buf_printf(&b, ",\"no\":%lld,\"tenant\":", (long long)no);
	const struct settings *settings = rq->server->settings;
	fl_buf_json(&b, settings->tenant, strlen(settings->tenant));
	fl_buf_printf(&b, ",\"server_time\":%lld,\"root\":", (long long)rq->now_ms);
	fl_buf_add(&b, root.p, root.n);
	fl_buf_byte(&b, '}');
	reply_buf(rq, status, "application/json", &b);
}

/* Who has spoken when. */
struct spoke {
	int64_t no;
	uint32_t at_s;
};

static void note_spoke(struct server *server, const void *payload)
{
	const struct spoke *s = payload;

	fleet_seen(server->fleet, s->no, s->at_s);
}

/* The key of the device, its new epoch, the event. */
static enum fl_code give_key(struct request *rq, int64_t no, struct fl_err *err)
{
	const struct enrolment *e = rq->state;
	const struct events_line line = {
		.kind = EVENT_DEVICE_ENROLLED,
		.actor = rq->who.name,
		.subject = e->device,
		.data = json_pack("{s:s}", "keyid", e->key.keyid),
	};
	int64_t epoch = 0;
	enum fl_code code = events_write(rq->store, rq->effects, &line, err);

	if (code == FL_OK)
		code = device_enrol(rq->store, no, e->key.key, &epoch, err);
	if (code == FL_OK) {
		struct spoke now = { no, (uint32_t)(rq->now_ms / 1000) };

		fleet_put(rq->effects, no, epoch, false);
		effects_after_commit(rq->effects, note_spoke, &now, sizeof(now));
	}
	return code;
}

static enum fl_code enrol(struct request *rq, struct fl_err *err)
{
	const struct enrolment *e = rq->state;
	struct device before = { 0 };
	enum fl_code code = device_get(rq->store, e->device, &before, err);
	bool again = code == FL_OK && before.retired_at == 0 && before.public_key != NULL;
	int64_t no = before.no;

	if (code == FL_NOT_FOUND)
		code = FL_OK;
	if (code == FL_OK && again && !fl_equal(before.public_key, e->key.key, FL_PUBLIC_LEN))
		code = fl_fail(err, FL_CONFLICT,
			"this device has enrolled with another key; retire it first if it was "
			"replaced");
	/* The same key again costs no use of the token: the first answer may have been lost. */
	if (code == FL_OK && !again)
		code = put_device(rq, &before, &no, err);
	if (code == FL_OK)
		code = check_scope(rq, no, err);
	if (code == FL_OK)
		code = give_key(rq, no, err);
	device_fini(&before);
	if (code == FL_OK)
		reply(rq, again ? 200 : 201, no);
	return code;
}

/* ---- WORK */

static enum fl_code read_body(struct request *rq, struct enrolment *e, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct enrolment, device, "device", STRING, .required = true, .min = 1,
			.max = STORE_ID_MAX),
		FL_FIELD(struct enrolment, public_text, "public_key", STRING, .required = true),
		FL_FIELD(struct enrolment, tier, "tier", STRING),
		FL_FIELD(struct enrolment, gateway, "gateway", STRING, .min = 1,
			.max = STORE_ID_MAX),
		FL_FIELD(struct enrolment, attributes, "attributes", OBJECT),
		FL_FIELD(struct enrolment, installed, "installed", ARRAY, .max = STATE_ENTRIES_MAX),
	};
	enum fl_code code = request_read(rq, fields, FL_COUNT(fields), e, err);

	if (code == FL_OK)
		code = devices_check_id(e->device, err);
	if (code != FL_OK)
		return code;
	if (!fl_unbase64_all(e->public_text, e->key.key, FL_PUBLIC_LEN) ||
		!fl_public_valid(e->key.key))
		return fl_fail(err, FL_INVALID, "\"public_key\" is no Ed25519 key in base64url");
	fl_public_name(&e->key);
	if (e->tier != NULL && strcmp(e->tier, "device") != 0 && strcmp(e->tier, "gateway") != 0)
		return fl_fail(err, FL_INVALID, "\"tier\" must be device or gateway");
	if (e->attributes != NULL)
		code = devices_object("attribute", e->attributes, &e->attributes_text, err);
	if (code == FL_OK && e->installed != NULL) {
		e->has_installed = true;
		code = devices_installed(e->installed, &e->set, err);
	}
	return code;
}

enum fl_code device_enrolment(struct request *rq, struct fl_err *err)
{
	struct enrolment *e = request_alloc(rq, sizeof(*e));
	struct fl_httpsig proof;
	enum fl_code code;

	if (e == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for an enrolment");
	memset(e, 0, sizeof(*e));
	rq->state = e;
	rq->drop = drop;
	code = proof_read(rq, &proof, err);
	if (code == FL_CLOCK) {
		proof_clock(rq);
		return FL_OK;
	}
	if (code == FL_OK)
		code = read_body(rq, e, err);
	if (code == FL_OK && strcmp(proof.keyid, e->device) != 0)
		code = fl_fail(err, FL_UNAUTHENTICATED, "keyid must be the id of the device");
	if (code == FL_OK)
		code = proof_verify(rq, &proof, e->key.key, err);
	if (code != FL_OK)
		return code;
	if (!replay_note(fleet_handshakes(rq->server->fleet), proof.keyid, proof.nonce,
		    proof.created + PROOF_WINDOW_S, rq->now_ms / 1000))
		return fl_fail(err, FL_NONCE, "this enrolment was sent before");
	request_then(rq, LANE_WRITE, enrol);
	return FL_OK;
}
