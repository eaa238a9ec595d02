/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas as files, without a server: the files of `delta make`, `apply` and `inspect`. */
#ifndef CLI_DELTA_FILE_H
#define CLI_DELTA_FILE_H

#include "lib/delta/codec.h"
#include "lib/delta/trailer.h"

#include <stdint.h>

/* A file mapped for reading. Zeroed memory is a valid empty one. */
struct delta_file {
	int fd;
	const char *path;      /* borrowed */
	struct fl_bytes bytes; /* all of it */
};

/* Open and map. FL_NOT_FOUND, FL_IO. End with delta_file_close, also after a failure. */
enum fl_code delta_file_open(
	struct delta_file *f, const char *path, struct fl_err *err) FL_MUST_CHECK;
/* Safe twice. */
void delta_file_close(struct delta_file *f);

/* A delta's file, its codec and what its trailer says. */
struct delta_patch {
	struct delta_file file;
	struct fl_bytes data; /* without the trailer */
	const struct fl_codec *codec;
	struct fl_trailer trailer;
	bool has_trailer;
};

/* Open a delta. `codec` names its codec; NULL: the trailer or its first bytes say it. FL_INVALID: they
 * do not. End with delta_patch_close, also after a failure. */
enum fl_code delta_patch_open(struct delta_patch *p, const char *path, const char *codec,
	struct fl_err *err) FL_MUST_CHECK;
/* Safe twice. */
void delta_patch_close(struct delta_patch *p);

/* A file in the making: it gets its name when it is whole and on the disk. */
struct delta_output {
	char *part; /* owned; name while it is being made; NULL: none */
	const char *path;
	int fd;
};

/* Begin to write `path`. What an earlier try has left under the name of the part stays. */
enum fl_code delta_output_open(
	struct delta_output *o, const char *path, struct fl_err *err) FL_MUST_CHECK;
/* Replace what the part holds by `bytes`. */
enum fl_code delta_output_put(
	struct delta_output *o, struct fl_bytes bytes, struct fl_err *err) FL_MUST_CHECK;
/* fsync, rename, fsync of the folder. Closes it. */
enum fl_code delta_output_commit(struct delta_output *o, struct fl_err *err) FL_MUST_CHECK;
/* Close and, unless `keep`, remove what was not committed. Safe twice. */
void delta_output_close(struct delta_output *o, bool keep);

#endif
