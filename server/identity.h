/* SPDX-License-Identifier: Apache-2.0
 *
 * Who this server is: made at the first start, kept in the database, never changed. */
#ifndef IDENTITY_H
#define IDENTITY_H

#include <stdint.h>

#define IDENTITY_UUID_MAX 37

struct identity {
	char uuid[IDENTITY_UUID_MAX]; /* RFC 4122, version 4 */
	int64_t created_ms;           /* of the database */
	int64_t started_ms;           /* of this process */
};

#endif
