/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's side: limits, builds, checks. */
#include "server/delta_worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/delta/apply.h"
#include "lib/delta/wasm/parses.h"
#include "lib/file.h"
#include "server/delta_task.h"

bool delta_worker_asked(int argc, char *const *argv)
{
	return argc > 1 && strcmp(argv[1], DELTA_WORKER_FLAG) == 0;
}

/* ---- limits */

/* Bytes of private writable memory that this process has now: instrumented builds begin with a lot. */
static rlim_t data_now(void)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	unsigned long pages = 0;

	if (fl_file_get("/proc/self/statm", 4096, &b, NULL) == FL_OK)
		(void)sscanf((const char *)b.p, "%*u %*u %*u %*u %*u %lu", &pages);
	return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static enum fl_code limit(__rlimit_resource_t what, rlim_t soft, rlim_t hard, struct fl_err *err)
{
	const struct rlimit r = { soft, hard };

	if (setrlimit(what, &r) != 0)
		return fl_fail_errno(err, errno, "cannot limit the worker");
	return FL_OK;
}

static enum fl_code limit_all(int64_t memory, pid_t parent, int nice, struct fl_err *err)
{
	rlim_t most = data_now() + (rlim_t)memory;
	enum fl_code code = limit(RLIMIT_DATA, most, most, err);

	if (code == FL_OK)
		code = limit(RLIMIT_CORE, 0, 0, err);
	if (code != FL_OK)
		return code;
	(void)setpriority(PRIO_PROCESS, 0, nice);
	/* nobody shall build for a server that has died; it may have died before this call */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		return fl_fail(err, FL_STOPPED, "the server is gone");
	return FL_OK;
}

/* Allow one build so much processor time, rounded up to whole seconds; a limit that the server itself has
 * stays. */
static enum fl_code limit_cpu(int64_t cpu_ms, struct fl_err *err)
{
	rlim_t most = (rlim_t)(fl_clock_ms(CLOCK_PROCESS_CPUTIME_ID) + cpu_ms + 999) / 1000;
	struct rlimit now;

	if (getrlimit(RLIMIT_CPU, &now) != 0)
		return fl_fail_errno(err, errno, "cannot limit the worker");
	return limit(RLIMIT_CPU, most < now.rlim_max ? most : now.rlim_max, now.rlim_max, err);
}

/* ---- files */

/* A file that is mapped from one build to the next. */
struct kept_file {
	struct stat is;
	struct fl_bytes bytes;
	bool used; /* by the present build */
};

struct worker {
	uint64_t memory;
	struct kept_file files[2];
	struct wasm_parses parses;
};

static struct kept_file *find_file(struct worker *w, const struct stat *is)
{
	for (size_t i = 0; i < FL_COUNT(w->files); i++)
		if (w->files[i].is.st_ino == is->st_ino && w->files[i].is.st_dev == is->st_dev)
			return &w->files[i];
	return NULL;
}

static void drop_file(struct worker *w, struct kept_file *f)
{
	wasm_parses_forget(&w->parses, f->bytes);
	fl_apply_unmap(&f->bytes);
	*f = (struct kept_file){ 0 };
}

/* Note which files the present build uses, and drop the others. fds[i] -1: there is none. */
static enum fl_code sort_files(
	struct worker *w, const int fds[2], struct stat is[2], struct fl_err *err)
{
	for (size_t i = 0; i < FL_COUNT(w->files); i++)
		w->files[i].used = false;
	for (size_t i = 0; i < 2; i++) {
		struct kept_file *f;

		if (fds[i] >= 0 && fstat(fds[i], &is[i]) != 0)
			return fl_fail_errno(err, errno, "cannot look at a file");
		f = fds[i] < 0 ? NULL : find_file(w, &is[i]);
		if (f != NULL)
			f->used = true;
	}
	for (size_t i = 0; i < FL_COUNT(w->files); i++)
		if (!w->files[i].used)
			drop_file(w, &w->files[i]);
	return FL_OK;
}

static enum fl_code open_file(
	struct worker *w, int fd, const struct stat *is, struct fl_bytes *out, struct fl_err *err)
{
	struct kept_file *f = find_file(w, is);
	enum fl_code code = FL_OK;

	if (f == NULL) {
		f = w->files[0].used ? &w->files[1] : &w->files[0];
		code = fl_apply_map(fd, &f->bytes, err);
		if (code == FL_OK)
			*f = (struct kept_file){ *is, f->bytes, true };
	}
	*out = f->bytes;
	return code;
}

/* Both sides of a build, mapped; those of the build before that it does not need are gone. */
static enum fl_code open_files(struct worker *w, const int fds[DELTA_TASK_FILES],
	struct fl_codec_files *out, struct fl_err *err)
{
	struct stat is[2] = { 0 };
	enum fl_code code = sort_files(w, fds + DELTA_TASK_NEW, is, err);

	*out = (struct fl_codec_files){ .parses = &w->parses };
	if (code == FL_OK)
		code = open_file(w, fds[DELTA_TASK_NEW], &is[0], &out->new, err);
	if (code == FL_OK && fds[DELTA_TASK_OLD] >= 0)
		code = open_file(w, fds[DELTA_TASK_OLD], &is[1], &out->old, err);
	return code;
}

/* ---- the check */

/* A sink that compares. */
struct compared {
	struct fl_bytes with;
	size_t at;
};

static enum fl_code compare(void *ctx, struct fl_bytes bytes, struct fl_err *err)
{
	struct compared *c = ctx;

	if (bytes.n > c->with.n - c->at || memcmp(bytes.p, c->with.p + c->at, bytes.n) != 0)
		return fl_fail(err, FL_CORRUPT, "the delta does not decode to the new bytes");
	c->at += bytes.n;
	return FL_OK;
}

/* Let the data say what decoding them was seen to take. */
static enum fl_code state(
	const struct fl_codec *codec, int out_fd, uint64_t memory, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf data = { 0 };
	struct fl_bytes mapped;
	enum fl_code code = fl_apply_map(out_fd, &mapped, err);

	if (code != FL_OK)
		return code;
	fl_buf_add(&data, mapped.p, mapped.n);
	fl_apply_unmap(&mapped);
	if (!data.failed)
		codec->state_memory(&data, memory);
	code = fl_buf_check(&data, err);
	if (code != FL_OK)
		return code;
	if (lseek(out_fd, 0, SEEK_SET) != 0 || ftruncate(out_fd, 0) != 0)
		return fl_fail_errno(err, errno, "cannot write the delta again");
	return fl_file_write(out_fd, (struct fl_bytes){ data.p, data.n }, err);
}

static enum fl_code check(const struct fl_codec *codec, const struct fl_codec_files *files,
	const int out_fd, struct fl_err *err)
{
	struct fl_heap heap = { 0 };
	const struct fl_codec_limits limits = { .output_max = files->new.n, .heap = &heap };
	struct compared c = { files->new, 0 };
	const struct fl_sink sink = { compare, &c };
	struct fl_source data;
	enum fl_code code = fl_source_file(&out_fd, &data, err);

	if (code == FL_OK)
		code = codec->decode(files->old, &data, &limits, &sink, err);
	if (code == FL_OK && c.at != files->new.n)
		code = fl_fail(err, FL_CORRUPT, "the delta decodes to fewer bytes");
	if (code == FL_OK && codec->state_memory != NULL)
		code = state(codec, out_fd, heap.peak, err);
	return code;
}

/* ---- builds */

/* Said before it is tried: a limit that is hit on the way ends in many ways. */
static enum fl_code check_memory(const struct worker *w, const struct fl_codec *codec,
	const struct fl_codec_files *files, int level, struct fl_err *err)
{
	uint64_t need = codec->encode_memory(files->old.n, files->new.n, level);

	if (need <= w->memory)
		return FL_OK;
	return fl_fail(err, FL_NOMEM, "the build needs %llu bytes of memory, %llu are allowed",
		(unsigned long long)need, (unsigned long long)w->memory);
}

static enum fl_code build(struct worker *w, const struct delta_task *task,
	const int fds[DELTA_TASK_FILES], struct fl_err *err)
{
	const struct fl_codec *codec = fl_codec_find(task->codec);
	const struct fl_sink out = fl_sink_file(&fds[DELTA_TASK_OUT]);
	struct fl_codec_files files;
	enum fl_code code = limit_cpu(task->cpu_ms, err);

	if (codec == NULL)
		return fl_fail(err, FL_INVALID, "there is no codec %s", task->codec);
	if (code == FL_OK)
		code = open_files(w, fds, &files, err);
	if (code == FL_OK)
		code = check_memory(w, codec, &files, task->level, err);
	if (code == FL_OK)
		code = fl_codec_encode(codec, &files, task->level, &out, err);
	if (code == FL_OK)
		code = check(codec, &files, fds[DELTA_TASK_OUT], err);
	return code;
}

/* ---- tasks */

/* The next task; false: the builder wants no more. */
static bool receive(struct delta_task *task, int fds[DELTA_TASK_FILES])
{
	struct iovec what = { task, sizeof(*task) };
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(DELTA_TASK_FILES * sizeof(int))];
	struct msghdr m = { .msg_iov = &what,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room) };
	ssize_t n;
	struct cmsghdr *files;

	memset(fds, 0xff, DELTA_TASK_FILES * sizeof(int));
	do
		n = recvmsg(DELTA_TASK_FD, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	files = CMSG_FIRSTHDR(&m);
	/* cut short: files that the builder sent are not there */
	if (n != (ssize_t)sizeof(*task) || files == NULL || (m.msg_flags & MSG_CTRUNC) != 0)
		return false;
	memcpy(fds, CMSG_DATA(files), files->cmsg_len - CMSG_LEN(0));
	return true;
}

static void serve(struct worker *w, const struct delta_task *task, const int fds[DELTA_TASK_FILES])
{
	struct fl_err err = { 0 };
	struct delta_answer a = { .code = build(w, task, fds, &err) };

	a.parsed = (int64_t)w->parses.made;
	a.reused = (int64_t)w->parses.reused;
	w->parses.made = w->parses.reused = 0;
	memcpy(a.text, err.msg, sizeof(a.text));
	/* without the builder there is nobody to tell; the next receive ends this process */
	(void)send(DELTA_TASK_FD, &a, sizeof(a), MSG_NOSIGNAL);
	for (size_t i = 0; i < DELTA_TASK_FILES; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}

/* Its arguments behind the flag: memory in bytes, the server's process, its own niceness. */
int delta_worker_main(int argc, char *const *argv)
{
	struct worker w = { .parses.keeps = true };
	struct delta_task task;
	int fds[DELTA_TASK_FILES];
	enum fl_code code;

	if (argc != 5) {
		(void)fprintf(stderr, "%s is for fleetd itself\n", DELTA_WORKER_FLAG);
		return FL_INVALID;
	}
	w.memory = strtoull(argv[2], NULL, 10);
	code = limit_all((int64_t)w.memory, (pid_t)strtol(argv[3], NULL, 10),
		(int)strtol(argv[4], NULL, 10), NULL);
	while (code == FL_OK && receive(&task, fds))
		serve(&w, &task, fds);
	wasm_parses_fini(&w.parses);
	return (int)code;
}
