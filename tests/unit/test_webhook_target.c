/* SPDX-License-Identifier: Apache-2.0
 *
 * What webhooks may be sent to, which events they want, signatures, back-off. */
#include "server/webhook_target.h"

#include "lib/digest.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool allowed(const char *text, bool private_nets)
{
	const struct webhook_limits limits = { .private_nets = private_nets };
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, text, &in4.sin_addr) == 1)
		return webhook_address_allowed((const struct sockaddr *)&in4, &limits);
	assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	return webhook_address_allowed((const struct sockaddr *)&in6, &limits);
}

/* Only public addresses may be connected to, in whatever form they hide a special one; the setting
 * allows the others. */
static void test_addresses(void **state)
{
	static const char *const special[] = { "127.0.0.1", "127.255.255.254", "0.0.0.0",
		"10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
		"100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.19.255.255",
		"198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1",
		"::", "fe80::1", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
		"2002:7f00:1::", "2001::1", "2001:db8::1", "100::1", "::127.0.0.1" };
	static const char *const public[] = { "1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.0",
		"100.63.255.255", "100.128.0.0", "169.253.0.1", "192.0.1.1", "198.17.255.255",
		"198.20.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1",
		"::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::" };
	const struct sockaddr unix_socket = { .sa_family = AF_UNIX };
	const struct webhook_limits all = { true, true };

	(void)state;
	for (size_t i = 0; i < FL_COUNT(special); i++) {
		if (allowed(special[i], false))
			fail_msg("%s must not be allowed", special[i]);
		assert_true(allowed(special[i], true));
	}
	for (size_t i = 0; i < FL_COUNT(public); i++)
		if (!allowed(public[i], false))
			fail_msg("%s must be allowed", public[i]);
	assert_false(webhook_address_allowed(&unix_socket, &all));
}

/* Addresses of targets are refused with what is wrong and, if there is one, the setting that helps. */
static void test_urls(void **state)
{
	static const struct {
		const char *url;
		enum fl_code code, code_if_all;
	} rows[] = {
		{ "https://example.com/hook?x=1", FL_OK, FL_OK },
		{ "https://example.com:8443", FL_OK, FL_OK },
		{ "http://example.com/", FL_REFUSED, FL_OK },
		{ "https://127.0.0.1/", FL_REFUSED, FL_OK },
		{ "https://2130706433/", FL_REFUSED, FL_OK },
		{ "https://0x7f.1/", FL_REFUSED, FL_OK },
		{ "https://[::1]/", FL_REFUSED, FL_OK },
		{ "https://[::ffff:10.0.0.1]/", FL_REFUSED, FL_OK },
		{ "https://8.8.8.8/", FL_OK, FL_OK },
		{ "https://[2606:4700::1111]/", FL_OK, FL_OK },
		{ "file:///etc/passwd", FL_INVALID, FL_INVALID },
		{ "ftp://example.com/", FL_INVALID, FL_INVALID },
		{ "gopher://example.com/", FL_INVALID, FL_INVALID },
		{ "https://user@example.com/", FL_INVALID, FL_INVALID },
		{ "https://:word@example.com/", FL_INVALID, FL_INVALID },
		{ "https://example.com/#part", FL_INVALID, FL_INVALID },
		{ "https://example.com/a b", FL_INVALID, FL_INVALID },
		{ "https://example.com/\r\nX: y", FL_INVALID, FL_INVALID },
		{ "example.com", FL_INVALID, FL_INVALID },
		{ "https://", FL_INVALID, FL_INVALID },
		{ "", FL_INVALID, FL_INVALID },
	};
	const struct webhook_limits none = { 0 }, all = { true, true };
	FL_AUTO_BUF struct fl_buf host = { 0 };

	(void)state;
	for (size_t i = 0; i < FL_COUNT(rows); i++) {
		struct fl_err err = { 0 };

		if (webhook_url_check(rows[i].url, &none, NULL, &err) != rows[i].code ||
			webhook_url_check(rows[i].url, &all, NULL, NULL) != rows[i].code_if_all)
			fail_msg("%s: %s", rows[i].url, err.msg);
		if (rows[i].code == FL_REFUSED)
			assert_non_null(strstr(err.msg, "the setting webhook_"));
	}
	assert_int_equal(
		webhook_url_check("https://example.com/secret", &none, &host, NULL), FL_OK);
	assert_string_equal((const char *)host.p, "example.com");
}

/* Kinds are those of the table, or beginnings that end with a dot and a star. */
static void test_kinds(void **state)
{
	json_t *kinds = json_pack("[s, s]", "rollout.*", "gate.decided"), *none = json_array();
	static const char *const bad[] = { "rollout", "*", "roll*", "nothing.*", "rollout.*x", "" };

	(void)state;
	assert_int_equal(webhook_kinds_check(kinds, NULL), FL_OK);
	assert_int_equal(webhook_kinds_check(none, NULL), FL_OK);
	for (size_t i = 0; i < FL_COUNT(bad); i++) {
		json_t *one = json_pack("[s]", bad[i]);

		assert_int_equal(webhook_kinds_check(one, NULL), FL_INVALID);
		json_decref(one);
	}
	assert_true(webhook_wants(kinds, "rollout.state"));
	assert_true(webhook_wants(kinds, "gate.decided"));
	assert_false(webhook_wants(kinds, "stage.state"));
	assert_true(webhook_wants(none, "stage.state"));
	json_decref(kinds);
	json_decref(none);
}

/* The signature is HMAC-SHA256 over id, time and body, as Standard Webhooks has it. */
static void test_signature(void **state)
{
	static const char body[] = "{\"test\": 2432232314}";
	uint8_t secret[WEBHOOK_SECRET_BYTES], again[WEBHOOK_SECRET_BYTES];
	char text[WEBHOOK_SECRET_TEXT];
	FL_AUTO_BUF struct fl_buf signature = { 0 };

	(void)state;
	/* HMAC-SHA256 computed with Python's hmac over the same bytes */
	memset(secret, 7, sizeof(secret));
	webhook_sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
		fl_bytes(body, sizeof(body) - 1), &signature);
	assert_string_equal(
		(const char *)signature.p, "v1,YO/ulmd+VFtlnbodv7yLOOsS6RlBZ48h++gXZrGOpZo=");
	webhook_secret(secret, fl_bytes("a", 1), again);
	webhook_secret_text(again, text);
	assert_int_equal(strlen(text), WEBHOOK_SECRET_TEXT - 1);
	assert_memory_equal(text, "whsec_", 6);
	webhook_secret(secret, fl_bytes("b", 1), secret);
	assert_memory_not_equal(secret, again, sizeof(secret));
}

/* Delays double up to ten minutes and are spread over a half. */
static void test_back_off(void **state)
{
	(void)state;
	assert_int_equal(webhook_back_off(1, 0), 1000);
	assert_int_equal(webhook_back_off(2, 0), 2000);
	assert_int_equal(webhook_back_off(4, 0), 8000);
	assert_int_equal(webhook_back_off(1000000, 0), 600000);
	for (int64_t n = 1; n < 20; n++) {
		int64_t least = webhook_back_off(n, UINT32_MAX), most = webhook_back_off(n, 0);

		assert_true(least >= most / 2 && least < most);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_signature),
		cmocka_unit_test(test_back_off),
	};

	fl_digest_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
