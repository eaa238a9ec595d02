/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/upload.h"

#include "cli/text.h"
#include "cli/value.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK          (256u * 1024)
#define LARGE          (32 * 1024 * 1024) /* hashing less than this takes no time */
#define IDLE_TRIES     5                  /* attempts in a row that move nothing */
#define FIRST_PAUSE_MS 500

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

static enum fl_code open_file(struct upload *u, FILE **out, struct fl_err *err)
{
	struct stat st;
	FILE *f = fopen(u->path, "rbe");

	if (f == NULL && errno == ENOENT)
		return fl_fail(err, FL_NOT_FOUND, "there is no file %s", u->path);
	if (f == NULL || fstat(fileno(f), &st) != 0) {
		enum fl_code code = fl_fail_errno(err, errno, "cannot read %s", u->path);

		if (f != NULL)
			(void)fclose(f);
		return code;
	}
	if (!S_ISREG(st.st_mode) || st.st_size == 0) {
		(void)fclose(f);
		return fl_fail(err, FL_INVALID, "%s is %s", u->path,
			S_ISREG(st.st_mode) ? "empty" : "not a regular file");
	}
	u->bytes = st.st_size;
	*out = f;
	return FL_OK;
}

enum fl_code upload_hash(const struct cli *cli, struct upload *u, struct fl_err *err)
{
	FL_AUTOFREE uint8_t *chunk = text_alloc(1, CHUNK);
	FL_AUTOFREE char *label = text_format("reading %s", base_name(u->path));
	crypto_hash_sha256_state state;
	unsigned char digest[crypto_hash_sha256_BYTES];
	struct progress bar;
	FILE *f;
	int64_t done = 0;
	size_t n;
	enum fl_code code = open_file(u, &f, err);

	if (code != FL_OK)
		return code;
	progress_begin(&bar, cli->globals.quiet || u->bytes < LARGE, label, 0, u->bytes);
	(void)crypto_hash_sha256_init(&state);
	while ((n = fread(chunk, 1, CHUNK, f)) > 0) {
		(void)crypto_hash_sha256_update(&state, chunk, n);
		done += (int64_t)n;
		progress_update(&bar, done);
	}
	progress_end(&bar);
	(void)crypto_hash_sha256_final(&state, digest);
	(void)sodium_bin2hex(u->sha256, sizeof(u->sha256), digest, sizeof(digest));
	if (ferror(f) != 0)
		code = fl_fail(err, FL_IO, "cannot read %s", u->path);
	u->bytes = done;
	(void)fclose(f);
	return code;
}

/* What the server has of it: *have is u->bytes if all. */
static enum fl_code ask(struct cli *cli, const struct upload *u, int64_t *have, struct fl_err *err)
{
	API_AUTO_REPLY struct api_reply reply = { 0 };
	FL_AUTOFREE char *path = api_path("/api/v1/artifacts/{}", u->sha256);
	enum fl_code code =
		cli_call(cli, &(struct api_request){ .method = "GET", .path = path }, &reply, err);
	int64_t received = value_int(reply.json, "received");

	if (code == FL_OK)
		*have = u->bytes;
	else if (code == FL_NOT_FOUND)
		*have = received > 0 && received <= u->bytes ? received : 0;
	else
		return code;
	return FL_OK;
}

/* Send what is missing behind the first `have` bytes, once. */
static enum fl_code send_rest(struct cli *cli, struct upload *u, int64_t have, struct fl_err *err)
{
	API_AUTO_REPLY struct api_reply reply = { 0 };
	FL_AUTOFREE char *path = api_path("/api/v1/artifacts/{}", u->sha256);
	FL_AUTOFREE char *range = text_format("bytes %lld-%lld/%lld", (long long)have,
		(long long)u->bytes - 1, (long long)u->bytes);
	FL_AUTOFREE char *label = text_format("sending %s", base_name(u->path));
	struct progress bar;
	struct api_request rq = { .method = "PUT",
		.path = path,
		.file_bytes = u->bytes - have,
		.type = "application/octet-stream",
		.range = have > 0 ? range : NULL,
		.progress = &bar };
	enum fl_code code = open_file(u, &rq.file, err);

	if (code != FL_OK)
		return code;
	if (fseeko(rq.file, (off_t)have, SEEK_SET) != 0)
		code = fl_fail_errno(err, errno, "cannot read %s", u->path);
	progress_begin(&bar, cli->globals.quiet, label, have, u->bytes);
	if (code == FL_OK)
		code = cli_call(cli, &rq, &reply, err);
	progress_end(&bar);
	(void)fclose(rq.file);
	return code;
}

/* Failures after which another attempt may do better. A conflict is one when it is about where to
 * go on: somebody else sends the same bytes, or a part was dropped. */
static bool worth_another(const struct cli *cli, enum fl_code code)
{
	return code == FL_NETWORK || code == FL_UNAVAILABLE || code == FL_BUSY ||
		code == FL_TIMEOUT ||
		(code == FL_CONFLICT && json_object_get(cli->api.problem, "received") != NULL);
}

enum fl_code upload_send(struct cli *cli, struct upload *u, struct fl_err *err)
{
	int64_t have = 0, before = -1;
	int idle = 0;

	for (;;) {
		enum fl_code code = ask(cli, u, &have, err);

		if (code != FL_OK || have == u->bytes)
			return code;
		idle = have > before ? 0 : idle + 1;
		if (before >= 0)
			cli_note(cli, "the upload of %s broke off; going on at byte %lld", u->path,
				(long long)have);
		before = have;
		code = send_rest(cli, u, have, err);
		if (code == FL_OK) {
			u->sent = true;
			return FL_OK;
		}
		if (!worth_another(cli, code) || idle + 1 >= IDLE_TRIES)
			return fl_wrap(err, "cannot send %s", u->path);
		api_sleep_ms((int64_t)FIRST_PAUSE_MS << idle);
	}
}
