/* SPDX-License-Identifier: Apache-2.0
 *
 * Message signatures from arbitrary headers: "Signature-Input\nSignature\nContent-Digest\nbody". What is
 * read has a base that ends with its parameters as they came, and never verifies. */
#include "lib/httpsig.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void must(bool good)
{
	if (!good)
		abort();
}

static const char *value_of(void *ctx, const char *component)
{
	(void)component;
	return ctx;
}

static void check_signature(const char *input, const char *signature)
{
	static const uint8_t key[FL_PUBLIC_LEN] = { 0x26, 0xb4, 0x0b };
	static char value[] = "value";
	FL_AUTO_BUF struct fl_buf base = { 0 };
	struct fl_httpsig s;
	struct fl_err err;
	size_t params;

	if (fl_httpsig_read(input, signature, &s, &err) != FL_OK)
		return;
	must(s.n_components <= FL_HTTPSIG_COMPONENTS_MAX);
	must(strstr(input, s.params) != NULL);
	must(fl_httpsig_base(&base, &s, value_of, value, &err) == FL_OK);
	params = strlen(s.params);
	must(base.n >= params && memcmp(base.p + base.n - params, s.params, params) == 0);
	must(fl_httpsig_verify(&s, key, value_of, value, &err) == FL_SIGNATURE);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *text = malloc(n + 1), *rest = text;
	char *part[3];
	struct fl_err err;

	fl_digest_init();
	must(text != NULL);
	if (n > 0)
		memcpy(text, p, n);
	text[n] = '\0';
	for (size_t i = 0; i < FL_COUNT(part); i++) {
		size_t len = strcspn(rest, "\n");

		part[i] = rest;
		rest += len;
		if (*rest != '\0')
			*rest++ = '\0';
	}
	check_signature(part[0], part[1]);
	(void)!fl_content_digest_check(part[2], fl_bytes(rest, strlen(rest)), &err);
	free(text);
	return 0;
}
