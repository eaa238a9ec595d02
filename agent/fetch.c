/* SPDX-License-Identifier: Apache-2.0
 *
 * Getting bytes: offers and downloads lie in state_dir/parts under the digest that was asked for or
 * offered, whole artifacts in state_dir/artifacts under theirs. A file in artifacts was checked
 * before it got its name; so what is there needs no second look after a kill. */
#include "agent/agent.h"

#include "lib/delta/apply.h"
#include "lib/digest.h"
#include "lib/file.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define OFFER_MAX 8192
#define HAVE_MAX  4
#define TRIES_MAX 3 /* downloads with a wrong digest, for one order */

/* ---- paths */

static enum fl_code part_path(const struct agent *a, const char *sha256, const char *suffix,
	char out[AGENT_PATH_MAX], struct fl_err *err)
{
	char name[FL_SHA256_HEX + 32];

	(void)snprintf(name, sizeof(name), "parts/%.64s%s", sha256, suffix);
	return agent_path(a, name, out, err);
}

enum fl_code fetch_artifact_path(
	const struct agent *a, const char *sha256, char out[AGENT_PATH_MAX], struct fl_err *err)
{
	char name[FL_SHA256_HEX + 32];

	(void)snprintf(name, sizeof(name), "artifacts/%.64s", sha256);
	return agent_path(a, name, out, err);
}

void fetch_clean(const struct agent *a)
{
	static const char *const folders[] = { "parts", "artifacts" };

	for (size_t i = 0; i < FL_COUNT(folders); i++) {
		char path[AGENT_PATH_MAX];

		if (agent_path(a, folders[i], path, NULL) == FL_OK &&
			install_remove(path, NULL) != FL_OK)
			fl_log_warning("old downloads cannot be removed; they cost space",
				FL_S("folder", folders[i]));
	}
}

/* ---- what is missing */

static bool is_installed(const struct agent *a, const struct module *m)
{
	char path[AGENT_PATH_MAX];

	return install_path(a->settings->install_dir, m, path, sizeof(path), NULL) == FL_OK &&
		access(path, R_OK) == 0;
}

static bool is_whole(const struct agent *a, const struct module *m)
{
	char path[AGENT_PATH_MAX];

	return fetch_artifact_path(a, m->sha256, path, NULL) == FL_OK && access(path, R_OK) == 0;
}

/* Whether bytes have to be got for this module of the trial. */
static bool is_missing(const struct agent *a, const struct module *m)
{
	return m->sha256 != NULL && !is_installed(a, m) && !is_whole(a, m);
}

/* Digests of the installed versions of this module, as sources of patches. */
static size_t list_have(
	const struct agent *a, const struct module *wanted, const char *have[HAVE_MAX])
{
	const json_t *lists[] = { a->s.good_modules, a->s.previous_modules };
	size_t n = 0;

	for (size_t l = 0; l < FL_COUNT(lists); l++) {
		json_t *entry;
		size_t i;

		json_array_foreach (lists[l], i, entry) {
			struct module m;

			if (n < HAVE_MAX && install_read(entry, &m, NULL) == FL_OK &&
				m.sha256 != NULL && strcmp(m.name, wanted->name) == 0 &&
				is_installed(a, &m))
				have[n++] = m.sha256;
		}
	}
	return n;
}

/* The installed module with this digest: where a patch starts from. */
static enum fl_code find_old(
	const struct agent *a, const char *sha256, char path[AGENT_PATH_MAX], struct fl_err *err)
{
	const json_t *lists[] = { a->s.good_modules, a->s.previous_modules };

	for (size_t l = 0; l < FL_COUNT(lists); l++) {
		json_t *entry;
		size_t i;

		json_array_foreach (lists[l], i, entry) {
			struct module m;

			if (install_read(entry, &m, NULL) == FL_OK && m.sha256 != NULL &&
				strcmp(m.sha256, sha256) == 0)
				return install_path(
					a->settings->install_dir, &m, path, AGENT_PATH_MAX, err);
		}
	}
	return fl_fail(err, FL_NOT_FOUND, "the bytes that the patch starts from are gone");
}

/* ---- offers */

static enum fl_code keep_offer(const struct agent *a, const struct module *m, struct fl_err *err)
{
	char path[AGENT_PATH_MAX];
	enum fl_code code = part_path(a, m->sha256, ".offer", path, err);

	if (code != FL_OK)
		return code;
	return fl_file_put(path, fl_bytes(a->answer.body.p, a->answer.body.n), 0600, err);
}

/* The offer that an earlier try has kept. */
static enum fl_code kept_offer(const struct agent *a, const struct protocol_wish *wish,
	struct protocol_offer *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	char path[AGENT_PATH_MAX];
	enum fl_code code = part_path(a, wish->sha256, ".offer", path, err);

	if (code == FL_OK)
		code = fl_file_get(path, OFFER_MAX, &text, err);
	return code == FL_OK ? protocol_offer_read(fl_bytes(text.p, text.n), wish, out, err) : code;
}

static void forget_offer(const struct agent *a, const char *sha256)
{
	char path[AGENT_PATH_MAX];

	if (part_path(a, sha256, ".offer", path, NULL) == FL_OK)
		(void)unlink(path);
}

/* Ask until there is an offer; 202 says to wait while a patch is built. */
static enum fl_code ask_offer(struct agent *a, const struct module *m,
	const struct protocol_wish *wish, struct protocol_offer *out, struct fl_err *err)
{
	for (;;) {
		enum fl_code code = talk_ask(a, wish, err);

		if (code != FL_OK)
			return code;
		if (a->answer.status != 202)
			break;
		agent_wait(a, (a->answer.retry_after_s > 0 ? a->answer.retry_after_s : 1) * 1000);
		if (*a->stop)
			return fl_fail(err, FL_STOPPED, "stopped");
	}
	if (protocol_offer_read(fl_bytes(a->answer.body.p, a->answer.body.n), wish, out, err) !=
		FL_OK)
		return FL_INVALID;
	return keep_offer(a, m, err);
}

/* What is asked of the server for `m`; the codecs are still to be named. */
static struct protocol_wish wish_for(
	const struct agent *a, const struct module *m, const char *have[HAVE_MAX])
{
	return (struct protocol_wish){ .sha256 = m->sha256,
		.have = have,
		.n_have = list_have(a, m, have),
		.memory = a->settings->memory,
		.chain = a->s.full == 0 };
}

static enum fl_code get_offer(
	struct agent *a, const struct module *m, struct protocol_offer *out, struct fl_err *err)
{
	const char *have[HAVE_MAX];
	FL_AUTO_BUF struct fl_buf codecs = { 0 };
	struct protocol_wish wish = wish_for(a, m, have);
	enum fl_code code;

	fl_codec_names(&codecs, a->s.full == 0);
	if (fl_buf_check(&codecs, err) != FL_OK)
		return FL_NOMEM;
	wish.codecs = (const char *)codecs.p;
	if (kept_offer(a, &wish, out, NULL) == FL_OK)
		return FL_OK;
	code = ask_offer(a, m, &wish, out, err);
	if (code == FL_OK && out->legs[out->n - 1].to_size != m->size)
		code = fl_fail(err, FL_INVALID, "the offer says another size than the manifest");
	return code;
}

/* ---- downloads */

static enum fl_code check_digest(const char *path, const char *expected, struct fl_err *err)
{
	uint8_t sha256[FL_SHA256_LEN];
	char hex[FL_SHA256_HEX + 1];
	uint64_t size;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum fl_code code;

	if (fd < 0)
		return fl_fail_errno(err, errno, "cannot open %s", path);
	code = fl_apply_digest(fd, sha256, &size, err);
	(void)close(fd);
	if (code != FL_OK)
		return code;
	fl_hex(sha256, sizeof(sha256), hex);
	if (strcmp(hex, expected) != 0)
		return fl_fail(err, FL_CORRUPT, "the download has another digest than the offer");
	return FL_OK;
}

static enum fl_code download_leg(
	struct agent *a, const struct protocol_leg *leg, struct fl_err *err)
{
	char path[AGENT_PATH_MAX];
	enum fl_code code = part_path(a, leg->sha256, "", path, err);

	if (code == FL_OK)
		code = http_fetch(a->http, leg->url, leg->size, path, err);
	if (code == FL_OK)
		code = check_digest(path, leg->sha256, err);
	if (code == FL_CORRUPT || code == FL_NOT_FOUND)
		(void)unlink(path);
	return code;
}

/* Space for what is still to come: the download and what it becomes. */
static enum fl_code check_space(const struct agent *a, int64_t bytes, struct fl_err *err)
{
	int64_t space;
	enum fl_code code = install_space(a->settings->state_dir, &space, err);

	if (code != FL_OK || space - a->settings->reserve >= bytes)
		return code;
	return fl_fail(err, FL_FULL,
		"%" PRId64 " bytes are needed and %" PRId64 " to stay free, but only %" PRId64
		" are left",
		bytes, a->settings->reserve, space);
}

/* Bytes of a whole order, for the check of the disk and for the reports. */
struct sums {
	int64_t needed, bytes, saved;
};

typedef enum fl_code (*each_fn)(
	struct agent *a, const struct module *m, struct sums *sums, struct fl_err *err);

static enum fl_code each_missing(
	struct agent *a, each_fn each, struct sums *sums, struct fl_err *err)
{
	json_t *entry;
	size_t i;

	json_array_foreach (a->s.trial_modules, i, entry) {
		struct module m;
		enum fl_code code = install_read(entry, &m, err);

		if (code == FL_OK && is_missing(a, &m))
			code = each(a, &m, sums, err);
		if (code != FL_OK)
			return code;
	}
	return FL_OK;
}

static enum fl_code add_sums(
	struct agent *a, const struct module *m, struct sums *sums, struct fl_err *err)
{
	struct protocol_offer offer;
	enum fl_code code = get_offer(a, m, &offer, err);

	if (code != FL_OK)
		return code;
	sums->saved += m->size;
	for (size_t i = 0; i < offer.n; i++) {
		sums->needed += offer.legs[i].size + offer.legs[i].to_size;
		sums->bytes += offer.legs[i].size;
		sums->saved -= offer.legs[i].size;
	}
	return FL_OK;
}

static enum fl_code download_one(
	struct agent *a, const struct module *m, struct sums *sums, struct fl_err *err)
{
	struct protocol_offer offer;
	enum fl_code code = get_offer(a, m, &offer, err);

	(void)sums;
	for (size_t i = 0; code == FL_OK && i < offer.n; i++)
		code = download_leg(a, &offer.legs[i], err);
	if (code == FL_CORRUPT || code == FL_NOT_FOUND)
		forget_offer(a, m->sha256);
	return code;
}

static enum fl_code download_all(struct agent *a, struct sums *sums, struct fl_err *err)
{
	enum fl_code code = agent_folder(a, "parts", err);

	if (code == FL_OK)
		code = agent_folder(a, "artifacts", err);
	if (code == FL_OK)
		code = each_missing(a, add_sums, sums, err);
	if (code == FL_OK)
		code = check_space(a, sums->needed, err);
	return code == FL_OK ? each_missing(a, download_one, sums, err) : code;
}

static enum fsm_state give_up(struct agent *a, const char *cause, const struct fl_err *err)
{
	agent_verdict(a, "failed", cause, err->msg);
	return FSM_REPORTING;
}

enum fsm_state fetch_download(struct agent *a)
{
	struct fl_err err = { 0 };
	struct sums sums = { 0 };
	const char *why = err.msg;
	enum fsm_state next = wait_for(a, FSM_DOWNLOADING);

	if (next != FSM_DOWNLOADING || *a->stop)
		return next;
	switch (download_all(a, &sums, &err)) {
	case FL_OK:
		talk_works(a);
		a->s.bytes += sums.bytes;
		a->s.saved += sums.saved;
		return FSM_PATCHING;
	case FL_STOPPED:
		return FSM_DOWNLOADING;
	case FL_FULL:
	case FL_IO:
	case FL_NOMEM:
		return give_up(a, "device", &err);
	case FL_NOT_FOUND:
	case FL_INVALID:
	case FL_TOO_LARGE:
		return give_up(a, "server", &err);
	case FL_CORRUPT:
		if (++a->corrupt >= TRIES_MAX)
			return give_up(a, "network", &err);
		break;
	default:
		break;
	}
	fl_log_warning("the download stops and is resumed later", FL_S("why", why));
	agent_wait(a, talk_back_off(a));
	return FSM_POLLING;
}

/* ---- from downloads to artifacts */

static enum fl_code open_files(
	struct fl_apply *f, const char *old, const char *data, const char *out, struct fl_err *err)
{
	if (old[0] != '\0')
		f->old_fd = open(old, O_RDONLY | O_CLOEXEC);
	f->data_fd = open(data, O_RDONLY | O_CLOEXEC);
	f->out_fd = open(out, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if ((old[0] != '\0' && f->old_fd < 0) || f->data_fd < 0 || f->out_fd < 0)
		return fl_fail_errno(err, errno, "cannot open the files of a patch");
	return FL_OK;
}

static void close_files(const struct fl_apply *f)
{
	const int fds[] = { f->old_fd, f->data_fd, f->out_fd };

	for (size_t i = 0; i < FL_COUNT(fds); i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]);
	}
}

static bool not_stopped(void *ctx, uint64_t done)
{
	const struct agent *a = ctx;

	(void)done;
	return *a->stop == 0;
}

/* What a leg starts from, makes, and writes on the way. */
struct leg_paths {
	char old[AGENT_PATH_MAX], data[AGENT_PATH_MAX], part[AGENT_PATH_MAX], out[AGENT_PATH_MAX];
};

/* What is between two legs lies among the parts. */
static enum fl_code middle_path(
	const struct agent *a, const char *sha256, char out[AGENT_PATH_MAX], struct fl_err *err)
{
	return part_path(a, sha256, ".middle", out, err);
}

static enum fl_code find_paths(const struct agent *a, const struct protocol_offer *offer, size_t i,
	struct leg_paths *p, struct fl_err *err)
{
	const struct protocol_leg *leg = &offer->legs[i];
	enum fl_code code = part_path(a, leg->sha256, "", p->data, err);

	p->old[0] = '\0';
	if (code == FL_OK && i > 0)
		code = middle_path(a, leg->from, p->old, err);
	else if (code == FL_OK && leg->from[0] != '\0')
		code = find_old(a, leg->from, p->old, err);
	if (code == FL_OK)
		code = part_path(a, leg->to, ".out", p->part, err);
	if (code != FL_OK)
		return code;
	return i + 1 < offer->n ? middle_path(a, leg->to, p->out, err)
				: fetch_artifact_path(a, leg->to, p->out, err);
}

/* A stop leaves the half-written file: the next start goes on with it. */
static enum fl_code decode(struct agent *a, const struct protocol_leg *leg,
	const struct leg_paths *p, struct fl_err *err)
{
	uint8_t sha256[FL_SHA256_LEN];
	struct fl_apply f = { .codec = fl_codec_find(leg->codec),
		.old_fd = -1,
		.data_fd = -1,
		.out_fd = -1,
		.size = (uint64_t)leg->to_size,
		.sha256 = sha256,
		.memory_max = (uint64_t)a->settings->memory,
		.resume = true,
		.go_on = not_stopped,
		.ctx = a };
	enum fl_code code;

	if (f.codec == NULL || !fl_unhex(leg->to, sha256, sizeof(sha256)))
		return fl_fail(err, FL_CORRUPT, "the offer is in an unknown codec %s", leg->codec);
	code = open_files(&f, p->old, p->data, p->part, err);
	if (code == FL_OK)
		code = fl_apply(&f, err);
	if (code == FL_OK)
		code = fl_file_commit(f.out_fd, p->part, p->out, err);
	else if (f.out_fd >= 0 && code != FL_STOPPED)
		(void)unlink(p->part);
	close_files(&f);
	return code;
}

/* One leg after the other; what an earlier try has made whole is not made again. */
static enum fl_code decode_all(
	struct agent *a, const struct protocol_offer *offer, struct fl_err *err)
{
	struct leg_paths p;
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < offer->n && code == FL_OK; i++) {
		code = find_paths(a, offer, i, &p, err);
		if (code == FL_OK && access(p.out, R_OK) != 0)
			code = decode(a, &offer->legs[i], &p, err);
	}
	if (code == FL_OK && offer->n > 1)
		(void)unlink(p.old); /* the middle: its space may be short */
	return code;
}

static enum fl_code patch_one(
	struct agent *a, const struct module *m, struct sums *sums, struct fl_err *err)
{
	const char *have[HAVE_MAX];
	const struct protocol_wish wish = wish_for(a, m, have);
	struct protocol_offer offer;
	enum fl_code code = kept_offer(a, &wish, &offer, err);

	(void)sums;
	if (code == FL_OK)
		code = decode_all(a, &offer, err);
	if (code != FL_OK && code != FL_STOPPED)
		forget_offer(a, m->sha256);
	return code;
}

enum fsm_state fetch_patch(struct agent *a)
{
	struct fl_err err = { 0 };
	const char *why = err.msg;

	switch (each_missing(a, patch_one, NULL, &err)) {
	case FL_OK:
		return wait_for(a, FSM_INSTALLING);
	case FL_STOPPED:
		return FSM_PATCHING;
	case FL_FULL:
	case FL_IO:
		return give_up(a, "device", &err);
	default:
		break;
	}
	if (a->s.full > 0)
		return give_up(a, "device", &err);
	fl_log_warning("a patch is of no use; the full artifact is fetched", FL_S("why", why));
	return FSM_DOWNLOADING;
}
