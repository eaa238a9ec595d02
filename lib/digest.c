/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/digest.h"

#include <stdlib.h>
#include <string.h>

void fl_digest_init(void)
{
	FL_BUG_IF(sodium_init() < 0);
}

/* ---- SHA-256, BLAKE2b */

void fl_sha256(struct fl_bytes bytes, uint8_t out[FL_SHA256_LEN])
{
	crypto_hash_sha256(out, bytes.p, bytes.n);
}

void fl_sha256_init(struct fl_sha256 *h)
{
	crypto_hash_sha256_init(&h->state);
}

void fl_sha256_add(struct fl_sha256 *h, struct fl_bytes bytes)
{
	crypto_hash_sha256_update(&h->state, bytes.p, bytes.n);
}

void fl_sha256_end(struct fl_sha256 *h, uint8_t out[FL_SHA256_LEN])
{
	crypto_hash_sha256_final(&h->state, out);
}

_Static_assert(crypto_shorthash_siphashx24_BYTES == FL_MAC_LEN &&
		crypto_shorthash_siphashx24_KEYBYTES == FL_MAC_KEY,
	"SipHash-2-4 with 128 bits");

void fl_blake2b(struct fl_bytes bytes, uint8_t out[FL_BLAKE2_LEN])
{
	crypto_generichash(out, FL_BLAKE2_LEN, bytes.p, bytes.n, NULL, 0);
}

void fl_mac(const uint8_t key[FL_MAC_KEY], struct fl_bytes text, uint8_t out[FL_MAC_LEN])
{
	crypto_shorthash_siphashx24(out, text.p, text.n, key);
}

/* The secret goes in front instead of into BLAKE2b's key, which takes a block of its own: half the
 * time, and as good, since the secret's length is fixed and BLAKE2b cannot be extended. */
void fl_derive(const uint8_t secret[FL_KEY_LEN], struct fl_bytes message, uint8_t out[FL_KEY_LEN])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, FL_KEY_LEN);
	crypto_generichash_update(&state, secret, FL_KEY_LEN);
	crypto_generichash_update(&state, message.p, message.n);
	crypto_generichash_final(&state, out, FL_KEY_LEN);
	fl_wipe(&state, sizeof(state));
}

/* ---- secrets */

bool fl_equal(const void *a, const void *b, size_t n)
{
	return sodium_memcmp(a, b, n) == 0;
}

void fl_wipe(void *p, size_t n)
{
	sodium_memzero(p, n);
}

void fl_random(void *p, size_t n)
{
	randombytes_buf(p, n);
}

/* ---- hex */

void fl_hex(const void *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *in = p;

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[in[i] >> 4];
		*out++ = digits[in[i] & 15];
	}
	*out = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool fl_unhex(const char *text, void *out, size_t n)
{
	uint8_t *to = out;

	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(text[2 * i]);
		int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);

		if (low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return text[2 * n] == '\0';
}

/* ---- base64 */

static const char url_letters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void fl_base64(const void *p, size_t n, char *out)
{
	const uint8_t *in = p;

	for (; n >= 3; n -= 3, in += 3) {
		uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];

		*out++ = url_letters[v >> 18];
		*out++ = url_letters[v >> 12 & 63];
		*out++ = url_letters[v >> 6 & 63];
		*out++ = url_letters[v & 63];
	}
	if (n > 0) {
		uint32_t v = (uint32_t)in[0] << 16 | (n == 2 ? (uint32_t)in[1] << 8 : 0);

		*out++ = url_letters[v >> 18];
		*out++ = url_letters[v >> 12 & 63];
		if (n == 2)
			*out++ = url_letters[v >> 6 & 63];
	}
	*out = '\0';
}

/* Value of a letter plus one; 0: none of the alphabet. */
#define RUN5(first, v)                                                              \
	[first] = v, [first + 1] = v + 1, [first + 2] = v + 2, [first + 3] = v + 3, \
	[first + 4] = v + 4
#define RUN26(first, v)                                                   \
	RUN5(first, v), RUN5(first + 5, v + 5), RUN5(first + 10, v + 10), \
		RUN5(first + 15, v + 15), RUN5(first + 20, v + 20), [first + 25] = v + 25
static const uint8_t url_values[256] = {
	RUN26('A', 1),
	RUN26('a', 27),
	RUN5('0', 53),
	RUN5('5', 58),
	['-'] = 63,
	['_'] = 64,
};

bool fl_unbase64(const char *text, void *out, size_t n)
{
	const uint8_t *in = (const uint8_t *)text;
	uint8_t *to = out;
	uint32_t bits = 0;
	unsigned have = 0;

	while (n > 0) {
		uint32_t v = url_values[*in];

		/* A NUL is no letter, so this never reads behind the end. */
		if (v == 0)
			return false;
		in++;
		bits = bits << 6 | (v - 1);
		have += 6;
		if (have >= 8) {
			have -= 8;
			*to++ = (uint8_t)(bits >> have);
			n--;
		}
	}
	return (bits & ((1u << have) - 1)) == 0;
}

bool fl_unbase64_all(const char *text, void *out, size_t n)
{
	return strlen(text) == FL_BASE64_LEN(n) && fl_unbase64(text, out, n);
}

void fl_base64_std(struct fl_buf *b, const void *p, size_t n)
{
	size_t size = sodium_base64_encoded_len(n, sodium_base64_VARIANT_ORIGINAL);
	char *to = (char *)fl_buf_reserve(b, size);

	if (to == NULL)
		return;
	sodium_bin2base64(to, size, p, n, sodium_base64_VARIANT_ORIGINAL);
	b->n += size - 1;
}

bool fl_unbase64_std(const char *text, size_t len, void *out, size_t n)
{
	const char *end;
	size_t got;

	if (len != (n + 2) / 3 * 4)
		return false;
	return sodium_base642bin(
		       out, n, text, len, NULL, &got, &end, sodium_base64_VARIANT_ORIGINAL) == 0 &&
		got == n && end == text + len;
}
