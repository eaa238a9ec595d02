/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/words.h"

#include <stdio.h>
#include <string.h>

const char *fl_words(const char *state, char out[FL_WORDS])
{
	if (strcmp(state, "waiting_approval") == 0)
		state = "waiting for approval";
	(void)snprintf(out, FL_WORDS, "%s", state);
	for (char *c = out; *c != '\0'; c++)
		if (*c == '_')
			*c = ' ';
	return out;
}
