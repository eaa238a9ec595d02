/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/copy.h"

#include <stdlib.h>
#include <string.h>

enum fl_code copy_texts(void **owned, const char **slots[], size_t n, struct fl_err *err)
{
	size_t total = 1;

	for (size_t i = 0; i < n; i++)
		total += *slots[i] == NULL ? 0 : strlen(*slots[i]) + 1;
	char *block = malloc(total);
	if (block == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a row of %zu bytes", total);
	*owned = block;
	for (size_t i = 0; i < n; i++) {
		if (*slots[i] == NULL)
			continue;
		size_t length = strlen(*slots[i]) + 1;
		memcpy(block, *slots[i], length);
		*slots[i] = block;
		block += length;
	}
	return FL_OK;
}
