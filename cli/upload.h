/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes on their way to the server: named by their digest, sent once, resumed where they broke. */
#ifndef CLI_UPLOAD_H
#define CLI_UPLOAD_H

#include "cli/cli.h"

struct upload {
	const char *path; /* of the file; borrowed */
	char sha256[65];  /* hex */
	int64_t bytes;
	bool sent; /* false after upload_send(): the server had it already */
};

/* Read the file and compute digest and size, with a bar if it is large. FL_NOT_FOUND, FL_IO,
 * FL_INVALID for what is no regular file or empty. */
enum fl_code upload_hash(const struct cli *cli, struct upload *u, struct fl_err *err) FL_MUST_CHECK;

/* See to it that the server holds the bytes of a hashed file. Goes on where an earlier attempt, of
 * this or another call, ended; gives up when several attempts in a row moved nothing. */
enum fl_code upload_send(struct cli *cli, struct upload *u, struct fl_err *err) FL_MUST_CHECK;

#endif
