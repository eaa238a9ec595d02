/* SPDX-License-Identifier: Apache-2.0
 *
 * The devices' protocol from arbitrary bytes: an Authorization value, a Fleet-Mac value, a report. A
 * header that is read is written back the same; no MAC and no signature is ever right. */
#include "lib/wire.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void must(bool good)
{
	if (!good)
		abort();
}

static void check_auth(const char *text)
{
	struct fl_wire_auth auth;
	char again[FL_WIRE_AUTH_MAX];

	if (!fl_wire_auth_read(text, &auth))
		return;
	must(fl_wire_auth_write(again, &auth) == strlen(text));
	must(strcmp(again, text) == 0);
}

static void check_report(struct fl_bytes text)
{
	static const uint8_t key[FL_PUBLIC_LEN] = { 0x26, 0xb4, 0x0b };
	FL_AUTO_JSON json_t *body = NULL;
	struct fl_wire_report r;
	struct fl_err err;

	if (fl_json_parse(text, &body, &err) != FL_OK)
		return;
	if (fl_wire_report_read(body, &r, &err) == FL_OK) {
		must(r.manifest >= 0 && r.progress <= 100);
		must(!fl_wire_state_ends(r.state) || json_object_get(body, "signature") != NULL);
	}
	must(fl_wire_verify(body, key, &err) != FL_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const uint8_t key[FL_KEY_LEN] = "fuzz";
	struct fl_wire_answer answer = { .status = 204, .nonce = 1 };
	char *text = malloc(n + 1);
	struct fl_err err;

	fl_digest_init();
	must(text != NULL);
	if (n > 0)
		memcpy(text, p, n);
	text[n] = '\0';
	check_auth(text);
	must(fl_wire_answer_check(text, key, &answer, &err) == FL_SIGNATURE);
	check_report(fl_bytes(p, n));
	free(text);
	return 0;
}
