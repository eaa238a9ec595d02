/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/install.h"

#include "lib/digest.h"
#include "lib/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TAG_LEN 12 /* digits of the digest in a folder's name */

/* ---- kinds */

/* "\0asm" and the layer word: 1 for a core module, 0x1000d for a component (WebAssembly core
 * specification, 5.5.16; component model, Binary.md). */
static enum fl_code check_wasm(const char *path, struct fl_err *err)
{
	static const uint8_t core[8] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };
	static const uint8_t component[8] = { 0, 'a', 's', 'm', 0x0d, 0, 1, 0 };
	uint8_t head[8] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return fl_fail_errno(err, errno, "cannot open %s", path);
	n = read(fd, head, sizeof(head));
	(void)close(fd);
	if (n != (ssize_t)sizeof(head) ||
		(memcmp(head, core, 8) != 0 && memcmp(head, component, 8) != 0))
		return fl_fail(err, FL_REFUSED, "these bytes are no WebAssembly module");
	return FL_OK;
}

static enum fl_code check_nothing(const char *path, struct fl_err *err)
{
	(void)path;
	(void)err;
	return FL_OK;
}

static const struct installer installers[] = {
	{ "file", "content", check_nothing },
	{ "wasm", "module.wasm", check_wasm },
};

const struct installer *install_find(const char *kind)
{
	for (size_t i = 0; i < FL_COUNT(installers); i++) {
		if (strcmp(installers[i].kind, kind) == 0)
			return &installers[i];
	}
	return NULL;
}

/* ---- entries */

static bool safe_name(const char *s)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";
	size_t n = strlen(s);

	return n > 0 && n <= 128 && s[0] != '.' && s[0] != '-' && strspn(s, allowed) == n;
}

enum fl_code install_read(const json_t *entry, struct module *out, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct module, name, "module", STRING, .required = true),
		FL_FIELD(struct module, version, "version", STRING, .required = true),
		FL_FIELD(struct module, kind, "kind", STRING),
		FL_FIELD(struct module, sha256, "sha256", STRING),
		FL_FIELD(struct module, size, "size", INT),
	};
	uint8_t digest[FL_SHA256_LEN];
	struct module m = { .kind = "file" };
	enum fl_code code = fl_json_read(entry, fields, FL_COUNT(fields), FL_JSON_IGNORE, &m, err);

	if (code != FL_OK)
		return code;
	if (!safe_name(m.name) || !safe_name(m.version))
		return fl_fail(err, FL_INVALID,
			"module \"%.64s\" version \"%.64s\": not a name for a folder", m.name,
			m.version);
	if (m.sha256 != NULL && !fl_unhex(m.sha256, digest, sizeof(digest)))
		return fl_fail(err, FL_INVALID, "module %s: its digest is none", m.name);
	*out = m;
	return FL_OK;
}

/* ---- paths */

static enum fl_code join(char *out, size_t size, struct fl_err *err, const char *fmt, ...)
	FL_PRINTF(4, 5);

static enum fl_code join(char *out, size_t size, struct fl_err *err, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(out, size, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= size)
		return fl_fail(err, FL_INVALID, "a path under the install folder is too long");
	return FL_OK;
}

static enum fl_code folder_of(
	const char *dir, const struct module *m, char out[PATH_MAX], struct fl_err *err)
{
	FL_BUG_IF(m->sha256 == NULL);
	return join(out, PATH_MAX, err, "%s/modules/%s/%s-%.*s", dir, m->name, m->version, TAG_LEN,
		m->sha256);
}

enum fl_code install_path(
	const char *dir, const struct module *m, char *out, size_t size, struct fl_err *err)
{
	const struct installer *i = install_find(m->kind);
	char folder[PATH_MAX];
	enum fl_code code = folder_of(dir, m, folder, err);

	FL_BUG_IF(i == NULL);
	return code == FL_OK ? join(out, size, err, "%s/%s", folder, i->file) : code;
}

/* ---- removing */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	return (type == FTW_DP ? rmdir(path) : unlink(path)) == 0 || errno == ENOENT ? 0 : -1;
}

enum fl_code install_remove(const char *path, struct fl_err *err)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
		return fl_fail_errno(err, errno, "cannot remove %s", path);
	return FL_OK;
}

/* ---- modules */

static enum fl_code copy_bytes(int from, int to, struct fl_err *err)
{
	uint8_t chunk[65536];
	ssize_t n;

	while ((n = read(from, chunk, sizeof(chunk))) != 0) {
		enum fl_code code;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fl_fail_errno(err, errno, "cannot read the artifact");
		code = fl_file_write(to, fl_bytes(chunk, (size_t)n), err);
		if (code != FL_OK)
			return code;
	}
	return fsync(to) == 0 ? FL_OK : fl_fail_errno(err, errno, "cannot sync the module");
}

/* A second name for the file where that works, a copy on another file system. */
static enum fl_code place(const char *artifact, const char *to, struct fl_err *err)
{
	enum fl_code code;
	int in, out;

	if (link(artifact, to) == 0)
		return FL_OK;
	if (errno != EXDEV && errno != EPERM && errno != EMLINK)
		return fl_fail_errno(err, errno, "cannot place %s", to);
	in = open(artifact, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return fl_fail_errno(err, errno, "cannot open %s", artifact);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	code = out < 0 ? fl_fail_errno(err, errno, "cannot create %s", to)
		       : copy_bytes(in, out, err);
	(void)close(in);
	if (out >= 0)
		(void)close(out);
	return code;
}

static enum fl_code describe(const char *folder, const struct module *m, struct fl_err *err)
{
	char path[PATH_MAX];
	FL_AUTO_BUF struct fl_buf text = { 0 };
	FL_AUTO_JSON json_t *j =
		json_pack("{s:s, s:s, s:s, s:s, s:I}", "module", m->name, "version", m->version,
			"kind", m->kind, "sha256", m->sha256, "size", (json_int_t)m->size);
	enum fl_code code = join(path, sizeof(path), err, "%s/module.json", folder);

	if (j == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to describe a module");
	fl_json_write(&text, j);
	if (code == FL_OK)
		code = fl_buf_check(&text, err);
	return code == FL_OK ? fl_file_put(path, fl_bytes(text.p, text.n), 0644, err) : code;
}

/* Rename a filled folder to its name; one that is there from an earlier try is as good. */
static enum fl_code publish(const char *from, const char *to, struct fl_err *err)
{
	if (rename(from, to) != 0) {
		if (errno != EEXIST && errno != ENOTEMPTY)
			return fl_fail_errno(err, errno, "cannot rename %s", from);
		return install_remove(from, err);
	}
	return fl_file_sync_dir(to, err);
}

static enum fl_code fill(const char *folder, const struct module *m, const struct installer *i,
	const char *artifact, struct fl_err *err)
{
	char path[PATH_MAX];
	enum fl_code code = install_remove(folder, err);

	if (code == FL_OK)
		code = fl_file_mkdirs(folder, 0755, err);
	if (code == FL_OK)
		code = join(path, sizeof(path), err, "%s/%s", folder, i->file);
	if (code == FL_OK)
		code = place(artifact, path, err);
	return code == FL_OK ? describe(folder, m, err) : code;
}

enum fl_code install_module(
	const char *dir, const struct module *m, const char *artifact, struct fl_err *err)
{
	const struct installer *i = install_find(m->kind);
	char folder[PATH_MAX], part[PATH_MAX], done[PATH_MAX];
	enum fl_code code = folder_of(dir, m, folder, err);

	if (i == NULL)
		return fl_fail(err, FL_REFUSED, "this agent does not install kind %s", m->kind);
	if (code == FL_OK)
		code = join(done, sizeof(done), err, "%s/module.json", folder);
	if (code == FL_OK && access(done, F_OK) == 0)
		return FL_OK;
	if (code == FL_OK)
		code = i->check(artifact, err);
	if (code == FL_OK)
		code = join(part, sizeof(part), err, "%s/modules/%s/.new", dir, m->name);
	if (code == FL_OK)
		code = fill(part, m, i, artifact, err);
	return code == FL_OK ? publish(part, folder, err) : code;
}

/* ---- generations */

/* current/app is the bytes of app themselves, whatever they are called in their folder. */
static enum fl_code link_module(const char *folder, const struct module *m, struct fl_err *err)
{
	const struct installer *i = install_find(m->kind);
	char path[PATH_MAX], target[PATH_MAX];
	enum fl_code code = join(path, sizeof(path), err, "%s/%s", folder, m->name);

	FL_BUG_IF(i == NULL);
	if (code == FL_OK)
		code = join(target, sizeof(target), err, "../../modules/%s/%s-%.*s/%s", m->name,
			m->version, TAG_LEN, m->sha256, i->file);
	if (code == FL_OK && symlink(target, path) != 0)
		code = fl_fail_errno(err, errno, "cannot link %s", path);
	return code;
}

static enum fl_code link_modules(const char *folder, const json_t *modules, struct fl_err *err)
{
	json_t *entry;
	size_t i;

	json_array_foreach (modules, i, entry) {
		struct module m;
		enum fl_code code = install_read(entry, &m, err);

		if (code == FL_OK && m.sha256 != NULL)
			code = link_module(folder, &m, err);
		if (code != FL_OK)
			return code;
	}
	return FL_OK;
}

static enum fl_code write_list(
	const char *dir, int64_t number, const json_t *modules, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	char path[PATH_MAX];
	enum fl_code code =
		join(path, sizeof(path), err, "%s/generations/%" PRId64 ".json", dir, number);

	fl_buf_str(&text, "{\"modules\":");
	fl_json_write(&text, modules);
	fl_buf_str(&text, "}\n");
	if (code == FL_OK)
		code = fl_buf_check(&text, err);
	return code == FL_OK ? fl_file_put(path, fl_bytes(text.p, text.n), 0644, err) : code;
}

enum fl_code install_generation(
	const char *dir, int64_t number, const json_t *modules, struct fl_err *err)
{
	char folder[PATH_MAX], part[PATH_MAX];
	enum fl_code code =
		join(folder, sizeof(folder), err, "%s/generations/%" PRId64, dir, number);

	if (code == FL_OK)
		code = join(part, sizeof(part), err, "%s/generations/.new", dir);
	if (code == FL_OK)
		code = install_remove(part, err);
	if (code == FL_OK)
		code = fl_file_mkdirs(part, 0755, err);
	if (code == FL_OK)
		code = link_modules(part, modules, err);
	if (code == FL_OK)
		code = write_list(dir, number, modules, err);
	return code == FL_OK ? publish(part, folder, err) : code;
}

/* ---- the switch */

enum fl_code install_switch(const char *dir, int64_t number, struct fl_err *err)
{
	char link_path[PATH_MAX], fresh[PATH_MAX], target[64], folder[PATH_MAX];
	enum fl_code code = join(link_path, sizeof(link_path), err, "%s/current", dir);

	if (code == FL_OK)
		code = join(fresh, sizeof(fresh), err, "%s/.current.new", dir);
	if (code == FL_OK)
		code = join(folder, sizeof(folder), err, "%s/generations/%" PRId64, dir, number);
	if (code != FL_OK)
		return code;
	if (number == 0) {
		if (unlink(link_path) != 0 && errno != ENOENT)
			return fl_fail_errno(err, errno, "cannot remove %s", link_path);
		return fl_file_sync_dir(link_path, err);
	}
	if (access(folder, F_OK) != 0)
		return fl_fail_errno(err, errno, "generation %" PRId64 " is not there", number);
	(void)snprintf(target, sizeof(target), "generations/%" PRId64, number);
	if (unlink(fresh) != 0 && errno != ENOENT)
		return fl_fail_errno(err, errno, "cannot remove %s", fresh);
	if (symlink(target, fresh) != 0)
		return fl_fail_errno(err, errno, "cannot link %s", fresh);
	if (rename(fresh, link_path) != 0)
		return fl_fail_errno(err, errno, "cannot switch %s", link_path);
	return fl_file_sync_dir(link_path, err);
}

int64_t install_current(const char *dir)
{
	static const char prefix[] = "generations/";
	char path[PATH_MAX], target[64];
	ssize_t n;

	if (join(path, sizeof(path), NULL, "%s/current", dir) != FL_OK)
		return 0;
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= (ssize_t)sizeof(prefix) - 1 || memcmp(target, prefix, sizeof(prefix) - 1) != 0)
		return 0;
	target[n] = '\0';
	return strtoll(target + sizeof(prefix) - 1, NULL, 10);
}

/* ---- what is not needed any more */

/* Call `drop` for each entry of a folder; "." and ".." apart. */
static void each_entry(
	const char *path, void (*drop)(void *ctx, const char *path, const char *name), void *ctx)
{
	DIR *d = opendir(path);
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			drop(ctx, path, e->d_name);
	}
	(void)closedir(d);
}

struct keep {
	const char *dir;
	int64_t good, previous;
	const json_t *lists[2];
	const char *module; /* whose versions are being looked at */
};

static void drop_path(const char *folder, const char *name)
{
	char path[PATH_MAX];

	if (join(path, sizeof(path), NULL, "%s/%s", folder, name) == FL_OK &&
		install_remove(path, NULL) != FL_OK)
		return; /* the next time */
}

static void drop_generation(void *ctx, const char *folder, const char *name)
{
	const struct keep *k = ctx;
	int64_t number = strtoll(name, NULL, 10);

	if (number == 0 || (number != k->good && number != k->previous))
		drop_path(folder, name);
}

static bool listed(const struct keep *k, const char *name)
{
	for (size_t l = 0; l < FL_COUNT(k->lists); l++) {
		json_t *entry;
		size_t i;

		json_array_foreach (k->lists[l], i, entry) {
			char expected[PATH_MAX];
			struct module m;

			if (install_read(entry, &m, NULL) != FL_OK || m.sha256 == NULL ||
				strcmp(m.name, k->module) != 0)
				continue;
			(void)snprintf(expected, sizeof(expected), "%s-%.*s", m.version, TAG_LEN,
				m.sha256);
			if (strcmp(expected, name) == 0)
				return true;
		}
	}
	return false;
}

static void drop_version(void *ctx, const char *folder, const char *name)
{
	if (!listed(ctx, name))
		drop_path(folder, name);
}

static void drop_versions(void *ctx, const char *folder, const char *name)
{
	struct keep *k = ctx;
	char path[PATH_MAX];

	if (join(path, sizeof(path), NULL, "%s/%s", folder, name) != FL_OK)
		return;
	k->module = name;
	each_entry(path, drop_version, k);
	(void)rmdir(path); /* only if nothing is left of it */
}

void install_prune(
	const char *dir, int64_t good, int64_t previous, const json_t *a, const json_t *b)
{
	struct keep k = { .dir = dir, .good = good, .previous = previous, .lists = { a, b } };
	char path[PATH_MAX];

	if (join(path, sizeof(path), NULL, "%s/generations", dir) == FL_OK)
		each_entry(path, drop_generation, &k);
	if (join(path, sizeof(path), NULL, "%s/modules", dir) == FL_OK)
		each_entry(path, drop_versions, &k);
}

enum fl_code install_space(const char *path, int64_t *out, struct fl_err *err)
{
	struct statvfs v;

	if (statvfs(path, &v) != 0)
		return fl_fail_errno(err, errno, "cannot look at the disk of %s", path);
	*out = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
	return FL_OK;
}
