/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of a registration in bulk: arbitrary bytes are taken or refused with a sentence; what is taken
 * has texts within their limits and a sorted set of modules. */
#include "server/api/bulk_line.h"

#include <sodium.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check(const struct bulk_line *line)
{
	FL_BUG_IF(devices_check_id(line->put.id, NULL) != FL_OK);
	FL_BUG_IF(line->put.labels != NULL && strlen(line->put.labels) > DEVICES_OBJECT_MAX);
	for (size_t i = 1; i < line->n_installed; i++)
		FL_BUG_IF(strcmp(line->installed[i - 1].module, line->installed[i].module) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct devices_installed scratch;
	FL_AUTO_ARENA struct fl_arena arena = { 0 };
	struct bulk_line line;
	struct fl_err err = { 0 };

	if (sodium_init() < 0)
		return 0;
	if (bulk_line_read((struct fl_bytes){ p, n }, &arena, &scratch, &line, &err) == FL_OK)
		check(&line);
	else
		FL_BUG_IF(err.msg[0] == '\0');
	return 0;
}
