/* SPDX-License-Identifier: Apache-2.0
 *
 * RSQL on arbitrary bytes: the parser ends, and what it took can be evaluated. */
#include "server/rsql.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct rsql_installed installed[] = { { "app", "1.2.0" } };
	FL_AUTO_JSON json_t *attributes =
		json_pack("{s:s, s:i, s:b}", "hw", "a*b", "mem", 512, "on", 1);
	const struct rsql_subject subject = { .id = "dev-1",
		.tier = "device",
		.attributes = attributes,
		.labels = attributes,
		.installed = installed,
		.n = 1 };
	FL_AUTOFREE char *text = malloc(n + 1);
	RSQL_AUTO struct rsql *r = NULL;
	struct fl_err err = { 0 };

	if (text == NULL)
		return 0;
	memcpy(text, p, n);
	text[n] = '\0';
	if (rsql_parse(text, &r, &err) == FL_OK)
		(void)rsql_matches(r, &subject);
	else
		FL_BUG_IF(err.msg[0] == '\0');
	return 0;
}
