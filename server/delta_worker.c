/* SPDX-License-Identifier: Apache-2.0
 *
 * The builder's side: start, give, wait, judge, end. */
#include "server/delta_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "server/delta_task.h"

#define NICE_QUICK      10
#define NICE_BACKGROUND 19
#define SHARE_MS        50 /* how often the worker's share of a core is looked at */

/* ---- start and end */

static int spawn(const struct delta_worker_options *o, int socket, pid_t *pid)
{
	char memory[24], parent[24], nice[8];
	const char *program = o->program == NULL ? "/proc/self/exe" : o->program;
	const char *const arguments[] = { "fleetd", DELTA_WORKER_FLAG, memory, parent, nice, NULL };
	char *const environment[] = { NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t set;
	int failed;

	(void)snprintf(memory, sizeof(memory), "%lld", (long long)o->memory);
	(void)snprintf(parent, sizeof(parent), "%ld", (long)getpid());
	(void)snprintf(nice, sizeof(nice), "%d", o->background ? NICE_BACKGROUND : NICE_QUICK);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attributes);
	failed = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
	if (failed == 0)
		failed = posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
	if (failed == 0)
		failed = posix_spawn_file_actions_adddup2(&actions, socket, DELTA_TASK_FD);
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

static enum fl_code start(struct delta_worker *w, struct fl_err *err)
{
	int ends[2], theirs, failed;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return fl_fail_errno(err, errno, "cannot make a socket to a worker");
	/* above everything that the worker's own number could collide with */
	theirs = fcntl(ends[1], F_DUPFD_CLOEXEC, 16);
	(void)close(ends[1]);
	failed = theirs < 0 ? errno : spawn(&w->options, theirs, &w->pid);
	if (theirs >= 0)
		(void)close(theirs);
	if (failed != 0) {
		(void)close(ends[0]);
		w->pid = 0;
		return fl_fail_errno(err, failed, "cannot start a worker for deltas");
	}
	w->socket = ends[0];
	w->counts.processes++;
	if (clock_getcpuclockid(w->pid, &w->cpu) != 0)
		w->cpu = CLOCK_MONOTONIC; /* it has ended already: nothing to hold */
	return FL_OK;
}

/* Kill it, if it still runs; its status. */
static int reap(struct delta_worker *w)
{
	int status = 0;

	(void)kill(w->pid, SIGKILL);
	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	(void)close(w->socket);
	w->pid = 0;
	return status;
}

void delta_worker_end(struct delta_worker *w)
{
	if (w->pid != 0)
		(void)reap(w);
}

/* ---- which files it knows */

static struct delta_file file_of(int fd)
{
	struct stat is;

	if (fd < 0 || fstat(fd, &is) != 0)
		return (struct delta_file){ 0 };
	return (struct delta_file){ is.st_dev, is.st_ino };
}

/* Note the files of a build; true if one of them is of the build before. */
static bool note_files(struct delta_worker *w, const struct delta_build *b)
{
	const struct delta_file now[2] = { file_of(b->old_fd), file_of(b->new_fd) };
	bool known = false;

	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < 2; k++)
			known |= now[i].inode != 0 && now[i].inode == w->files[k].inode &&
				now[i].device == w->files[k].device;
	memcpy(w->files, now, sizeof(now));
	return known;
}

/* ---- give */

static enum fl_code give(
	const struct delta_worker *w, const struct delta_build *b, struct fl_err *err)
{
	const int fds[DELTA_TASK_FILES] = { b->out_fd, b->new_fd, b->old_fd };
	size_t bytes = (b->old_fd < 0 ? DELTA_TASK_OLD : DELTA_TASK_FILES) * sizeof(int);
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(fds))] = { 0 };
	struct delta_task task = { .level = b->level, .cpu_ms = b->cpu_ms };
	struct iovec what = { &task, sizeof(task) };
	struct msghdr m = { .msg_iov = &what,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = CMSG_SPACE(bytes) };
	struct cmsghdr *files = CMSG_FIRSTHDR(&m);

	(void)strncpy(task.codec, b->codec, sizeof(task.codec) - 1);
	files->cmsg_level = SOL_SOCKET;
	files->cmsg_type = SCM_RIGHTS;
	files->cmsg_len = CMSG_LEN(bytes);
	memcpy(CMSG_DATA(files), fds, bytes);
	if (sendmsg(w->socket, &m, MSG_NOSIGNAL) != (ssize_t)sizeof(task))
		return fl_fail(err, FL_INTERNAL, "the worker takes no build");
	return FL_OK;
}

/* ---- wait */

/* One build under way. */
struct watch {
	int64_t began_ms, deadline_ms;
	int64_t cpu_ms; /* of the worker, at the beginning */
	bool held;      /* stopped: it was over its share */
};

/* Hold a worker that has had more than its share so far; let it go on when that is made up for. */
static void keep_share(const struct delta_worker *w, struct watch *watch)
{
	int64_t used = fl_clock_ms(w->cpu) - watch->cpu_ms;
	int64_t since = fl_clock_ms(CLOCK_MONOTONIC) - watch->began_ms;
	bool over = w->cpu != CLOCK_MONOTONIC && used * 100 > since * w->options.share;

	if (over == watch->held)
		return;
	(void)kill(w->pid, over ? SIGSTOP : SIGCONT);
	watch->held = over;
}

/* How long to wait for the worker's answer before it is looked at again. */
static int wait_ms(const struct delta_worker *w, struct watch *watch, int64_t left)
{
	bool limited = w->options.share > 0 && w->options.share < 100;

	if (limited)
		keep_share(w, watch);
	if (limited && left > SHARE_MS)
		return SHARE_MS;
	return (int)(left < 1000000 ? left : 1000000);
}

/* Wait for the answer. FL_TIMEOUT, FL_STOPPED, FL_IO; answer->code FL_INTERNAL: the worker has died. */
static enum fl_code listen_to(const struct delta_worker *w, const struct delta_build *b,
	struct delta_answer *answer, struct fl_err *err)
{
	struct watch watch = { .began_ms = fl_clock_ms(CLOCK_MONOTONIC),
		.cpu_ms = w->cpu == CLOCK_MONOTONIC ? 0 : fl_clock_ms(w->cpu) };
	struct pollfd fds[2] = { { w->socket, POLLIN, 0 }, { w->options.stop_fd, POLLIN, 0 } };

	watch.deadline_ms = watch.began_ms + b->wall_ms;
	for (;;) {
		int64_t left = watch.deadline_ms - fl_clock_ms(CLOCK_MONOTONIC);

		if (left <= 0)
			return fl_fail(err, FL_TIMEOUT, "the build took longer than %lld s",
				(long long)b->wall_ms / 1000);
		if (poll(fds, 2, wait_ms(w, &watch, left)) < 0 && errno != EINTR)
			return fl_fail_errno(err, errno, "cannot wait for a worker");
		if (fds[1].revents != 0)
			return fl_fail(err, FL_STOPPED, "the server stops");
		if (fds[0].revents != 0)
			break;
	}
	if (recv(w->socket, answer, sizeof(*answer), 0) != (ssize_t)sizeof(*answer))
		answer->code = FL_INTERNAL;
	if (watch.held) /* its answer was on the way */
		(void)kill(w->pid, SIGCONT);
	return FL_OK;
}

/* ---- judge */

/* Why a worker died that was not killed for its time. */
static enum fl_code judge(int status, struct fl_err *err)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		return fl_fail(err, FL_TIMEOUT, "the build took too much processor time");
	return fl_fail(err, FL_INTERNAL, "the worker ended with %s %d",
		WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* One build in the process that is there, or a new one. */
static enum fl_code run_once(
	struct delta_worker *w, const struct delta_build *b, struct fl_err *err)
{
	struct delta_answer answer = { .code = FL_INTERNAL };
	enum fl_code code = w->pid == 0 ? start(w, err) : FL_OK;
	int status;

	if (code != FL_OK)
		return code;
	code = give(w, b, err);
	if (code == FL_OK)
		code = listen_to(w, b, &answer, err);
	if (code == FL_OK && (answer.code == FL_OK || answer.code == FL_REFUSED)) {
		w->counts.parsed += answer.parsed;
		w->counts.reused += answer.reused;
		return answer.code == FL_OK ? FL_OK : fl_fail(err, FL_REFUSED, "%s", answer.text);
	}
	status = reap(w);
	if (code != FL_OK)
		return code;
	return answer.text[0] != '\0' ? fl_fail(err, answer.code, "%s", answer.text)
				      : judge(status, err);
}

enum fl_code delta_worker_run(
	struct delta_worker *w, const struct delta_build *b, struct fl_err *err)
{
	bool shared = note_files(w, b), again;
	enum fl_code code;

	if (!shared)
		delta_worker_end(w);
	again = w->pid != 0;
	code = run_once(w, b, err);
	if (!again || (code != FL_NOMEM && code != FL_INTERNAL))
		return code;
	/* what it kept of the builds before may be why */
	if (lseek(b->out_fd, 0, SEEK_SET) != 0 || ftruncate(b->out_fd, 0) != 0)
		return fl_fail_errno(err, errno, "cannot build a delta again");
	return run_once(w, b, err);
}
