/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that are whole or not there: temporary name, fsync, rename, fsync of the directory. */
#ifndef FL_FILE_H
#define FL_FILE_H

#include "lib/buf.h"

#include <sys/types.h>

/* Replace `path` by `bytes` with `mode`, durably. Nothing is left behind on failure. */
enum fl_code fl_file_put(
	const char *path, struct fl_bytes bytes, mode_t mode, struct fl_err *err) FL_MUST_CHECK;
/* Append the file's content to `b`; at most `max` bytes, else FL_TOO_LARGE. FL_NOT_FOUND. */
enum fl_code fl_file_get(
	const char *path, size_t max, struct fl_buf *b, struct fl_err *err) FL_MUST_CHECK;
/* fsync the directory that holds `path`. */
enum fl_code fl_file_sync_dir(const char *path, struct fl_err *err) FL_MUST_CHECK;
/* fsync `fd`, rename `from` to `to` (same directory tree), fsync the directory of `to`. */
enum fl_code fl_file_commit(
	int fd, const char *from, const char *to, struct fl_err *err) FL_MUST_CHECK;
/* Make `path` and its parents, mode for the last. An existing directory is fine. */
enum fl_code fl_file_mkdirs(const char *path, mode_t mode, struct fl_err *err) FL_MUST_CHECK;
/* Write all of `bytes` at the current position. */
enum fl_code fl_file_write(int fd, struct fl_bytes bytes, struct fl_err *err) FL_MUST_CHECK;

#endif
