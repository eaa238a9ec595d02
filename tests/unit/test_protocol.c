/* SPDX-License-Identifier: Apache-2.0
 *
 * The device's side of the protocol: what it builds the server's side reads, and what the server
 * would not have said is not believed. */
#include "agent/protocol.h"

#include "lib/httpsig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define SHA_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static struct fl_sign_key key;
static struct protocol_message m;
static struct protocol_session session;

static int up(void **unused)
{
	uint8_t id[FL_WIRE_SESSION_LEN] = { 7 };

	(void)unused;
	fl_digest_init();
	fl_sign_key_new(&key);
	fl_base64(id, sizeof(id), session.id);
	fl_random(session.key, sizeof(session.key));
	return 0;
}

static int down(void **unused)
{
	(void)unused;
	protocol_message_fini(&m);
	fl_sign_key_fini(&key);
	return 0;
}

/* The value of a header of `m`; ends at its line's end. Owned by the caller. */
static char *header(const char *name)
{
	char start[64];
	const char *at;

	(void)snprintf(start, sizeof(start), "%s: ", name);
	at = strstr((const char *)m.headers.p, start);
	assert_non_null(at);
	at += strlen(start);
	return strndup(at, (size_t)(strstr(at, "\r\n") - at));
}

static const char *component(void *ctx, const char *name)
{
	if (strcmp(name, "@method") == 0)
		return m.method;
	if (strcmp(name, "@path") == 0)
		return m.path;
	return strcmp(name, "content-digest") == 0 ? ctx : NULL;
}

/* The server's look at the signature of `m`. */
static enum fl_code verify_signature(void)
{
	FL_AUTOFREE char *input = header("Signature-Input"), *digest = header("Content-Digest");
	FL_AUTOFREE char *signature = header("\nSignature");
	struct fl_httpsig s;

	assert_int_equal(fl_httpsig_read(input, signature, &s, NULL), FL_OK);
	assert_true(fl_httpsig_covers(&s, "@method") && fl_httpsig_covers(&s, "@path") &&
		fl_httpsig_covers(&s, "content-digest"));
	assert_string_equal(s.keyid, "d1");
	assert_int_equal(
		fl_content_digest_check(digest, fl_bytes(m.body.p, m.body.n), NULL), FL_OK);
	return fl_httpsig_verify(&s, key.public.key, component, digest, NULL);
}

static void an_enrolment_proves_its_key(void **unused)
{
	FL_AUTO_JSON json_t *attributes = json_object();
	FL_AUTO_JSON json_t *installed = json_array();
	FL_AUTO_JSON json_t *body = NULL;
	struct protocol_device device = {
		.id = "d1", .tier = "device", .attributes = attributes, .installed = installed
	};

	(void)unused;
	assert_int_equal(protocol_enrol(&m, &device, &key, "flt_x", 1000, NULL), FL_OK);
	assert_string_equal(m.path, "/device/v1/enrol");
	assert_non_null(strstr((const char *)m.headers.p, "Authorization: Bearer flt_x\r\n"));
	assert_int_equal(verify_signature(), FL_OK);
	assert_int_equal(fl_json_parse(fl_bytes(m.body.p, m.body.n), &body, NULL), FL_OK);
	assert_null(json_object_get(body, "gateway"));
	m.path[1] = 'D';
	assert_int_equal(verify_signature(), FL_SIGNATURE);
}

static void a_handshake_opens_the_sealed_key(void **unused)
{
	uint8_t secret[FL_KEY_LEN], sealed[FL_KEY_LEN + FL_SEAL_EXTRA];
	char base64[FL_BASE64_LEN(sizeof(sealed)) + 1];
	FL_AUTO_BUF struct fl_buf text = { 0 };
	FL_AUTO_JSON json_t *body = NULL;
	struct protocol_answer a = { .status = 200 };
	struct protocol_session got = { 0 };
	struct fl_sign_key server, other;
	struct fl_role trust = { .n = 1, .threshold = 1 };
	struct protocol_party party = { .device = "d1", .key = &key, .trust = &trust };

	(void)unused;
	fl_sign_key_new(&server);
	fl_sign_key_new(&other);
	trust.keys[0] = server.public;
	fl_random(secret, sizeof(secret));
	assert_int_equal(
		fl_seal(key.public.key, fl_bytes(secret, sizeof(secret)), sealed, NULL), FL_OK);
	fl_base64(sealed, sizeof(sealed), base64);
	assert_int_equal(protocol_handshake(&m, "d1", &key, 1000, NULL), FL_OK);
	assert_int_equal(verify_signature(), FL_OK);
	body = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i}", "device", "d1", "nonce",
		m.proof, "session", session.id, "sealed_key", base64, "expires_in_s", 60,
		"poll_interval_s", 5, "manifest", 3, "server_time", 9);
	assert_int_equal(fl_wire_sign(body, &server, NULL), FL_OK);
	fl_json_write(&text, body);
	a.body = fl_bytes(text.p, text.n);
	assert_int_equal(protocol_handshake_read(&m, &a, &party, &got, NULL), FL_OK);
	assert_memory_equal(got.key, secret, sizeof(secret));
	assert_int_equal(got.poll_interval_s, 5);
	/* Sealed to another device: of no use here. */
	party.key = &other;
	assert_int_not_equal(protocol_handshake_read(&m, &a, &party, &got, NULL), FL_OK);
	party.key = &key;
	/* The answer to an earlier handshake; to another device; by a key that is not trusted. */
	assert_int_equal(protocol_handshake(&m, "d1", &key, 1000, NULL), FL_OK);
	assert_int_equal(protocol_handshake_read(&m, &a, &party, &got, NULL), FL_SIGNATURE);
	party.device = "d2";
	assert_int_equal(protocol_handshake_read(&m, &a, &party, &got, NULL), FL_SIGNATURE);
	trust.keys[0] = other.public;
	assert_int_equal(protocol_handshake_read(&m, &a, &party, &got, NULL), FL_SIGNATURE);
	fl_sign_key_fini(&server);
	fl_sign_key_fini(&other);
}

static void a_refused_handshake_tells_the_servers_clock(void **unused)
{
	static const char body[] = "{\"detail\":\"your clock is wrong\",\"server_time\":1234}";
	struct protocol_answer a = { .status = 401, .body = fl_bytes(body, sizeof(body) - 1) };
	struct fl_role trust = { 0 };
	struct protocol_party party = { .device = "d1", .key = &key, .trust = &trust };
	struct protocol_session got;
	struct fl_err err = { 0 };

	(void)unused;
	assert_int_equal(protocol_handshake_read(&m, &a, &party, &got, &err), FL_UNAUTHENTICATED);
	assert_int_equal(protocol_clock(&a), 1234);
	assert_non_null(strstr(err.msg, "your clock is wrong"));
	a.status = 200;
	assert_int_equal(protocol_clock(&a), 0);
}

/* An answer to `m` as the server under `number` would give it. */
static struct protocol_answer answer(
	int status, int64_t number, const char *body, char mac[FL_WIRE_ANSWER_MAX])
{
	struct protocol_answer a = {
		.status = status, .mac = mac, .body = fl_bytes(body, strlen(body))
	};
	struct fl_wire_answer wire = {
		.status = (unsigned)status, .nonce = m.nonce, .manifest = number, .body = a.body
	};

	(void)fl_wire_answer_write(mac, session.key, &wire);
	return a;
}

static void the_server_reads_what_a_poll_says(void **unused)
{
	struct fl_wire_request request = {
		.method = "GET", .path = "/device/v1/poll", .manifest = 4
	};
	uint8_t mac[FL_MAC_LEN];
	struct fl_wire_auth auth;
	FL_AUTOFREE char *value = NULL;

	(void)unused;
	assert_int_equal(protocol_poll(&m, &session, 4, 5000, NULL), FL_OK);
	value = header("Authorization");
	assert_true(fl_wire_auth_read(value, &auth));
	assert_int_equal(auth.manifest, 4);
	assert_int_equal(auth.nonce, m.nonce);
	request.nonce = auth.nonce;
	assert_true(fl_wire_request_mac(session.key, &request, mac));
	assert_memory_equal(mac, auth.mac, sizeof(mac));
}

static void nonces_rise_also_when_the_clock_does_not(void **unused)
{
	uint64_t last;

	(void)unused;
	assert_int_equal(protocol_poll(&m, &session, 4, 90000, NULL), FL_OK);
	last = m.nonce;
	assert_int_equal(protocol_poll(&m, &session, 4, 100, NULL), FL_OK);
	assert_true(m.nonce > last);
	last = m.nonce;
	assert_int_equal(protocol_poll(&m, &session, 4, 0, NULL), FL_OK);
	assert_true(m.nonce > last);
}

static void only_the_right_answer_is_believed(void **unused)
{
	char mac[FL_WIRE_ANSWER_MAX];
	struct protocol_answer a;
	int64_t newest = 0;

	(void)unused;
	assert_int_equal(protocol_poll(&m, &session, 4, 0, NULL), FL_OK);
	a = answer(200, 5, "{}", mac);
	assert_int_equal(protocol_check(&m, &session, &a, 4, &newest, NULL), FL_OK);
	assert_int_equal(newest, 5);
	a.status = 204;
	assert_int_equal(protocol_check(&m, &session, &a, 4, &newest, NULL), FL_SIGNATURE);
	a = answer(200, 5, "{}", mac);
	a.body = fl_bytes("[]", 2);
	assert_int_equal(protocol_check(&m, &session, &a, 4, &newest, NULL), FL_SIGNATURE);
	a.mac = NULL;
	assert_int_equal(protocol_check(&m, &session, &a, 4, &newest, NULL), FL_SIGNATURE);
	/* Of an older manifest than the device has: frozen in time. */
	a = answer(204, 3, "", mac);
	assert_int_equal(protocol_check(&m, &session, &a, 4, &newest, NULL), FL_SIGNATURE);
	/* To another request. */
	a = answer(204, 5, "", mac);
	assert_int_equal(protocol_poll(&m, &session, 4, 0, NULL), FL_OK);
	assert_int_equal(protocol_check(&m, &session, &a, 4, &newest, NULL), FL_SIGNATURE);
	assert_int_equal(newest, 5);
}

static void refusals_without_a_mac_change_nothing_but_the_session(void **unused)
{
	static const char nonce[] = "{\"type\":\"/problems/nonce\"}";
	struct protocol_answer a = { .status = 401 };
	int64_t newest = -1;

	(void)unused;
	assert_int_equal(protocol_check(&m, &session, &a, 4, &newest, NULL), FL_UNAUTHENTICATED);
	a.body = fl_bytes(nonce, sizeof(nonce) - 1);
	assert_int_equal(protocol_check(&m, &session, &a, 4, &newest, NULL), FL_NONCE);
	a.body = fl_bytes(NULL, 0);
	a.status = 503;
	assert_int_equal(protocol_check(&m, &session, &a, 4, &newest, NULL), FL_UNAVAILABLE);
	a.status = 429;
	assert_int_equal(protocol_check(&m, &session, &a, 4, &newest, NULL), FL_UNAVAILABLE);
	assert_int_equal(newest, -1);
}

static void ends_of_steps_are_signed_and_progress_is_not(void **unused)
{
	FL_AUTO_JSON json_t *end = json_pack("{s:s, s:i, s:s, s:[], s:i}", "step", "9", "manifest",
		4, "state", "confirmed", "installed", "time", 1);
	FL_AUTO_JSON json_t *progress = json_pack("{s:s, s:i, s:s, s:i}", "step", "9", "manifest",
		4, "state", "installing", "time", 1);
	FL_AUTO_JSON json_t *body = NULL;

	(void)unused;
	assert_int_equal(protocol_report_body(&m, end, &key, NULL), FL_OK);
	assert_int_equal(fl_json_parse(fl_bytes(m.body.p, m.body.n), &body, NULL), FL_OK);
	assert_int_equal(fl_wire_verify(body, key.public.key, NULL), FL_OK);
	/* What is kept stays as it was: the signature is made anew each time. */
	assert_null(json_object_get(end, "signature"));
	assert_int_equal(protocol_report_body(&m, progress, &key, NULL), FL_OK);
	assert_null(strstr((const char *)m.body.p, "signature"));
	(void)json_object_set_new(progress, "state", json_string("dancing"));
	assert_int_equal(protocol_report_body(&m, progress, &key, NULL), FL_INVALID);
}

/* An offer of SHA_B to a device that has SHA_A. */
static enum fl_code read_offer_into(struct protocol_offer *offer, const char *text, bool chain)
{
	static const char *const have[] = { SHA_A };
	struct protocol_wish wish = { .sha256 = SHA_B, .have = have, .n_have = 1, .chain = chain };

	return protocol_offer_read(fl_bytes(text, strlen(text)), &wish, offer, NULL);
}

static enum fl_code read_offer(const char *text)
{
	struct protocol_offer offer;

	return read_offer_into(&offer, text, false);
}

static void an_offer_must_be_what_was_asked_for(void **unused)
{
#define OFFER(from, sha, url, to)                                                      \
	"{\"codec\":\"zstd-patch\",\"from\":\"" from "\",\"size\":5,\"sha256\":\"" sha \
	"\",\"url\":\"" url "\",\"to\":\"" to "\",\"to_size\":9}"
	(void)unused;
	assert_int_equal(read_offer(OFFER(SHA_A, SHA_C, "/blobs/x", SHA_B)), FL_OK);
	assert_int_equal(read_offer(OFFER(SHA_C, SHA_C, "/blobs/x", SHA_B)), FL_INVALID);
	assert_int_equal(read_offer(OFFER(SHA_A, "c", "/blobs/x", SHA_B)), FL_INVALID);
	assert_int_equal(read_offer(OFFER(SHA_A, SHA_C, "/blobs/x", SHA_C)), FL_INVALID);
	assert_int_equal(read_offer(OFFER(SHA_A, SHA_C, "http://evil/", SHA_B)), FL_INVALID);
	assert_int_equal(read_offer(OFFER(SHA_A, SHA_C, "//evil/", SHA_B)), FL_INVALID);
	assert_int_equal(read_offer(OFFER(SHA_A, SHA_C, "/x y", SHA_B)), FL_INVALID);
	assert_int_equal(read_offer("{}"), FL_INVALID);
	assert_int_equal(read_offer("no json"), FL_INVALID);
#undef OFFER
}

static void two_deltas_must_fit_together(void **unused)
{
	/* The first leads from what is here to where the second begins; only who asked gets two. */
#define LEG(from, to)                                                                   \
	"\"codec\":\"zstd-patch\",\"from\":\"" from "\",\"size\":5,\"sha256\":\"" SHA_C \
	"\",\"url\":\"/blobs/x\",\"to\":\"" to "\",\"to_size\":9"
#define TWO(middle, from, to) "{\"via\":{" LEG(SHA_A, middle) "}," LEG(from, to) "}"
	struct protocol_offer offer = { 0 };

	(void)unused;
	assert_int_equal(read_offer_into(&offer, TWO(SHA_C, SHA_C, SHA_B), true), FL_OK);
	assert_int_equal(offer.n, 2);
	assert_string_equal(offer.legs[0].from, SHA_A);
	assert_string_equal(offer.legs[0].to, SHA_C);
	assert_string_equal(offer.legs[1].to, SHA_B);
	assert_int_equal(read_offer_into(&offer, TWO(SHA_C, SHA_C, SHA_B), false), FL_INVALID);
	assert_int_equal(read_offer_into(&offer, TWO(SHA_B, SHA_C, SHA_B), true), FL_INVALID);
	assert_int_equal(read_offer_into(&offer, TWO(SHA_C, SHA_C, SHA_C), true), FL_INVALID);
	assert_int_equal(
		read_offer_into(&offer, "{\"via\":{}," LEG(SHA_A, SHA_B) "}", true), FL_INVALID);
	assert_int_equal(
		read_offer_into(&offer, "{\"via\":3," LEG(SHA_A, SHA_B) "}", true), FL_INVALID);
	assert_int_equal(read_offer_into(&offer, "{" LEG(SHA_A, SHA_B) "}", true), FL_OK);
	assert_int_equal(offer.n, 1);
#undef TWO
#undef LEG
}

static void an_address_holds_as_many_digests_as_fit(void **unused)
{
	const char *have[100];
	struct protocol_wish wish = {
		.sha256 = SHA_B, .have = have, .n_have = 100, .codecs = "zstd", .memory = 1
	};

	(void)unused;
	for (size_t i = 0; i < FL_COUNT(have); i++)
		have[i] = SHA_A;
	assert_int_equal(protocol_ask(&m, &session, &wish, 1, 0, NULL), FL_OK);
	assert_true(strlen(m.path) < PROTOCOL_PATH_MAX);
	assert_string_equal(m.path + strlen(m.path) - FL_SHA256_HEX, SHA_A);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_enrolment_proves_its_key),
		cmocka_unit_test(a_handshake_opens_the_sealed_key),
		cmocka_unit_test(a_refused_handshake_tells_the_servers_clock),
		cmocka_unit_test(the_server_reads_what_a_poll_says),
		cmocka_unit_test(nonces_rise_also_when_the_clock_does_not),
		cmocka_unit_test(only_the_right_answer_is_believed),
		cmocka_unit_test(refusals_without_a_mac_change_nothing_but_the_session),
		cmocka_unit_test(ends_of_steps_are_signed_and_progress_is_not),
		cmocka_unit_test(an_offer_must_be_what_was_asked_for),
		cmocka_unit_test(two_deltas_must_fit_together),
		cmocka_unit_test(an_address_holds_as_many_digests_as_fit),
	};

	return cmocka_run_group_tests_name("protocol", tests, up, down);
}
