/* SPDX-License-Identifier: Apache-2.0 */
#include "server/delta_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/delta/apply.h"
#include "lib/delta/codec.h"
#include "lib/file.h"

/* The worker's descriptors. It says what went wrong on its standard output. */
enum { WORKER_OLD = 3, WORKER_NEW, WORKER_OUT, WORKER_FDS };

#define NICE_QUICK      10
#define NICE_BACKGROUND 19
#define SHARE_MS        50 /* how often the worker's share of a core is looked at */

/* ---- in the worker */

/* Its arguments, in this order behind the flag. */
struct arguments {
	const char *codec;
	long level, memory, cpu_s, parent, nice;
	bool has_old;
};

bool delta_worker_asked(int argc, char *const *argv)
{
	return argc > 1 && strcmp(argv[1], DELTA_WORKER_FLAG) == 0;
}

static enum fl_code parse_arguments(
	int argc, char *const *argv, struct arguments *a, struct fl_err *err)
{
	if (argc != 9)
		return fl_fail(err, FL_INVALID, "%s is for fleetd itself", DELTA_WORKER_FLAG);
	*a = (struct arguments){
		.codec = argv[2],
		.level = strtol(argv[3], NULL, 10),
		.memory = strtol(argv[4], NULL, 10),
		.cpu_s = strtol(argv[5], NULL, 10),
		.parent = strtol(argv[6], NULL, 10),
		.has_old = strcmp(argv[7], "old") == 0,
		.nice = strtol(argv[8], NULL, 10),
	};
	return FL_OK;
}

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

static enum fl_code limit_all(const struct arguments *a, struct fl_err *err)
{
	rlim_t memory = data_now() + (rlim_t)a->memory, cpu = (rlim_t)a->cpu_s;
	enum fl_code code = limit(RLIMIT_DATA, memory, memory, err);

	if (code == FL_OK)
		code = limit(RLIMIT_CPU, cpu, cpu + 1, err);
	if (code == FL_OK)
		code = limit(RLIMIT_CORE, 0, 0, err);
	if (code != FL_OK)
		return code;
	(void)setpriority(PRIO_PROCESS, 0, (int)a->nice);
	/* nobody shall build for a server that has died; it may have died before this call */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != (pid_t)a->parent)
		return fl_fail(err, FL_STOPPED, "the server is gone");
	return FL_OK;
}

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
static enum fl_code state(const struct fl_codec *codec, uint64_t memory, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf data = { 0 };
	struct fl_bytes mapped;
	enum fl_code code = fl_apply_map(WORKER_OUT, &mapped, err);

	if (code != FL_OK)
		return code;
	fl_buf_add(&data, mapped.p, mapped.n);
	fl_apply_unmap(&mapped);
	if (!data.failed)
		codec->state_memory(&data, memory);
	code = fl_buf_check(&data, err);
	if (code != FL_OK)
		return code;
	if (lseek(WORKER_OUT, 0, SEEK_SET) != 0 || ftruncate(WORKER_OUT, 0) != 0)
		return fl_fail_errno(err, errno, "cannot write the delta again");
	return fl_file_write(WORKER_OUT, (struct fl_bytes){ data.p, data.n }, err);
}

static enum fl_code check(
	const struct fl_codec *codec, struct fl_bytes old, struct fl_bytes new, struct fl_err *err)
{
	struct fl_heap heap = { 0 };
	const struct fl_codec_limits limits = { .output_max = new.n, .heap = &heap };
	const int fd = WORKER_OUT;
	struct compared c = { new, 0 };
	const struct fl_sink sink = { compare, &c };
	struct fl_source data;
	enum fl_code code = fl_source_file(&fd, &data, err);

	if (code == FL_OK)
		code = codec->decode(old, &data, &limits, &sink, err);
	if (code == FL_OK && c.at != new.n)
		code = fl_fail(err, FL_CORRUPT, "the delta decodes to fewer bytes");
	if (code == FL_OK && codec->state_memory != NULL)
		code = state(codec, heap.peak, err);
	return code;
}

static enum fl_code build(const struct arguments *a, struct fl_err *err)
{
	const struct fl_codec *codec = fl_codec_find(a->codec);
	const int fd = WORKER_OUT;
	const struct fl_sink out = fl_sink_file(&fd);
	struct fl_bytes old = { 0 }, new = { 0 };
	enum fl_code code = FL_OK;

	if (codec == NULL)
		return fl_fail(err, FL_INVALID, "there is no codec %s", a->codec);
	if (a->has_old)
		code = fl_apply_map(WORKER_OLD, &old, err);
	if (code == FL_OK)
		code = fl_apply_map(WORKER_NEW, &new, err);
	/* said before it is tried: a limit that is hit on the way ends in many ways */
	if (code == FL_OK &&
		codec->encode_memory(old.n, new.n, (int)a->level) > (uint64_t)a->memory)
		code = fl_fail(err, FL_NOMEM,
			"the build needs %llu bytes of memory, %ld are allowed",
			(unsigned long long)codec->encode_memory(old.n, new.n, (int)a->level),
			a->memory);
	if (code == FL_OK)
		code = codec->encode(old, new, (int)a->level, &out, err);
	if (code == FL_OK)
		code = check(codec, old, new, err);
	fl_apply_unmap(&old);
	fl_apply_unmap(&new);
	return code;
}

int delta_worker_main(int argc, char *const *argv)
{
	struct fl_err err = { 0 };
	struct arguments a = { 0 };
	enum fl_code code = parse_arguments(argc, argv, &a, &err);

	if (code == FL_OK)
		code = limit_all(&a, &err);
	if (code == FL_OK)
		code = build(&a, &err);
	if (code != FL_OK)
		(void)printf("%s", err.msg);
	return (int)code;
}

/* ---- in the server */

/* One running worker. */
struct worker {
	pid_t pid;
	int said; /* reading end of its standard output */
	int64_t began_ms;
	clockid_t cpu; /* its processor time */
	bool held;     /* stopped: it was over its share */
};

/* Copies above everything that the worker's own numbers could collide with. */
static int move_up(int fd)
{
	return fd < 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : fcntl(fd, F_DUPFD_CLOEXEC, 16);
}

static int spawn(const struct delta_build *b, const int fds[WORKER_FDS], pid_t *pid)
{
	char level[16], memory[24], cpu[24], parent[24], nice[8];
	const char *program = b->program == NULL ? "/proc/self/exe" : b->program;
	const char *const arguments[] = { "fleetd", DELTA_WORKER_FLAG, b->codec, level, memory, cpu,
		parent, b->old_fd < 0 ? "none" : "old", nice, NULL };
	char *const environment[] = { NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t set;
	int failed;

	(void)snprintf(level, sizeof(level), "%d", b->level);
	(void)snprintf(memory, sizeof(memory), "%lld", (long long)b->memory);
	(void)snprintf(cpu, sizeof(cpu), "%lld", (long long)(b->cpu_ms + 999) / 1000);
	(void)snprintf(parent, sizeof(parent), "%ld", (long)getpid());
	(void)snprintf(nice, sizeof(nice), "%d", b->background ? NICE_BACKGROUND : NICE_QUICK);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attributes);
	failed = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	for (int i = STDOUT_FILENO; i < WORKER_FDS && failed == 0; i++)
		if (i != STDERR_FILENO)
			failed = posix_spawn_file_actions_adddup2(&actions, fds[i], i);
	/* no signal that somebody blocked or ignored here, and none from a terminal */
	(void)sigemptyset(&set);
	(void)posix_spawnattr_setsigmask(&attributes, &set);
	(void)sigfillset(&set);
	(void)posix_spawnattr_setsigdefault(&attributes, &set);
	(void)posix_spawnattr_setflags(&attributes,
		POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	if (failed == 0)
		failed = posix_spawn(pid, program, &actions, &attributes,
			(char *const *)(uintptr_t)arguments, environment);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	return failed;
}

static enum fl_code start(const struct delta_build *b, struct worker *w, struct fl_err *err)
{
	int fds[WORKER_FDS] = { -1, -1, -1, -1, -1, -1 }, ends[2], failed = 0;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return fl_fail_errno(err, errno, "cannot make a pipe to a worker");
	fds[STDOUT_FILENO] = move_up(ends[1]);
	fds[WORKER_OLD] = move_up(b->old_fd);
	fds[WORKER_NEW] = move_up(b->new_fd);
	fds[WORKER_OUT] = move_up(b->out_fd);
	(void)close(ends[1]);
	if (fds[STDOUT_FILENO] < 0 || fds[WORKER_OLD] < 0 || fds[WORKER_NEW] < 0 ||
		fds[WORKER_OUT] < 0)
		failed = errno;
	else
		failed = spawn(b, fds, &w->pid);
	for (int i = 0; i < WORKER_FDS; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	if (failed != 0) {
		(void)close(ends[0]);
		return fl_fail_errno(err, failed, "cannot start a worker for deltas");
	}
	w->said = ends[0];
	w->began_ms = fl_clock_ms(CLOCK_MONOTONIC);
	if (clock_getcpuclockid(w->pid, &w->cpu) != 0)
		w->cpu = CLOCK_MONOTONIC; /* it has ended already: nothing to hold */
	return FL_OK;
}

/* Hold a worker that has had more than its share so far; let it go on when that is made up for. */
static void keep_share(const struct delta_build *b, struct worker *w)
{
	int64_t used = fl_clock_ms(w->cpu), since = fl_clock_ms(CLOCK_MONOTONIC) - w->began_ms;
	bool over = w->cpu != CLOCK_MONOTONIC && used * 100 > since * b->share;

	if (over == w->held)
		return;
	(void)kill(w->pid, over ? SIGSTOP : SIGCONT);
	w->held = over;
}

/* How long to wait for the worker's next word. */
static int wait_ms(const struct delta_build *b, struct worker *w, int64_t left)
{
	bool limited = b->share > 0 && b->share < 100;

	if (limited)
		keep_share(b, w);
	if (limited && left > SHARE_MS)
		return SHARE_MS;
	return (int)(left < 1000000 ? left : 1000000);
}

/* Read what the worker says until it ends. FL_TIMEOUT, FL_STOPPED: it must be killed. */
static enum fl_code listen_to(
	const struct delta_build *b, struct worker *w, char *text, size_t room, struct fl_err *err)
{
	int64_t deadline = fl_clock_ms(CLOCK_MONOTONIC) + b->wall_ms;
	size_t used = 0;

	for (;;) {
		struct pollfd fds[2] = { { w->said, POLLIN, 0 }, { b->stop_fd, POLLIN, 0 } };
		int64_t left = deadline - fl_clock_ms(CLOCK_MONOTONIC);
		char rest[64];
		ssize_t n;

		if (left <= 0)
			return fl_fail(err, FL_TIMEOUT, "the build took longer than %lld s",
				(long long)b->wall_ms / 1000);
		if (poll(fds, 2, wait_ms(b, w, left)) < 0 && errno != EINTR)
			return fl_fail_errno(err, errno, "cannot wait for a worker");
		if (fds[1].revents != 0)
			return fl_fail(err, FL_STOPPED, "the server stops");
		if (fds[0].revents == 0)
			continue;
		/* what does not fit is read and dropped, so that the worker never waits for us */
		if (used < room - 1)
			n = read(w->said, text + used, room - 1 - used);
		else
			n = read(w->said, rest, sizeof(rest));
		if (n == 0)
			return FL_OK;
		if (n > 0 && used < room - 1)
			used += (size_t)n;
		text[used] = '\0';
	}
}

static enum fl_code judge(int status, const char *said, struct fl_err *err)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return FL_OK;
	if (WIFEXITED(status) && WEXITSTATUS(status) < FL_CODE_MAX && said[0] != '\0')
		return fl_fail(err, (enum fl_code)WEXITSTATUS(status), "%s", said);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		return fl_fail(err, FL_TIMEOUT, "the build took too much processor time");
	return fl_fail(err, FL_INTERNAL, "the worker ended with %s %d",
		WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

enum fl_code delta_worker_run(const struct delta_build *b, struct fl_err *err)
{
	struct worker w = { 0 };
	char said[FL_ERR_MSG_MAX] = "";
	enum fl_code code = start(b, &w, err);
	int status = 0;

	if (code != FL_OK)
		return code;
	code = listen_to(b, &w, said, sizeof(said), err);
	if (code != FL_OK)
		(void)kill(w.pid, SIGKILL);
	while (waitpid(w.pid, &status, 0) < 0 && errno == EINTR)
		continue;
	(void)close(w.said);
	return code == FL_OK ? judge(status, said, err) : code;
}
