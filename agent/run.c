/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run.h"

#include "lib/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLICE_MS 200 /* a stop is noticed after this time at the latest */

static void child(const struct run *r, int out) __attribute__((noreturn));

static void child(const struct run *r, int out)
{
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	(void)setpgid(0, 0);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	if (null >= 0)
		(void)dup2(null, STDIN_FILENO);
	(void)dup2(out >= 0 ? out : STDERR_FILENO, STDOUT_FILENO);
	if (r->reasons)
		(void)dup2(STDOUT_FILENO, STDERR_FILENO);
	for (const char *const *e = r->environ; e != NULL && *e != NULL; e++)
		(void)putenv((char *)*e);
	(void)execl("/bin/sh", "sh", "-c", r->command, (char *)NULL);
	_exit(127);
}

/* Pass it on to the log, and keep the end of it. */
static void keep_end(struct fl_buf *output, const uint8_t *chunk, size_t n)
{
	ssize_t passed = write(STDERR_FILENO, chunk, n);

	(void)passed; /* without a log there is nowhere to say so */
	if (n > output->max) {
		chunk += n - output->max;
		n = output->max;
	}
	if (output->n + n > output->max) {
		size_t drop = output->n + n - output->max;

		drop = drop < output->n ? drop : output->n;
		memmove(output->p, output->p + drop, output->n - drop);
		output->n -= drop;
	}
	fl_buf_add(output, chunk, n);
}

/* Take what the command prints; false at its end of file. */
static bool take_output(const struct run *r, int fd, struct fl_buf *output)
{
	uint8_t chunk[512];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0)
		return false;
	if (r->reasons)
		keep_end(output, chunk, (size_t)n);
	else if (output->max == 0 || output->n + (size_t)n <= output->max)
		fl_buf_add(output, chunk, (size_t)n);
	return true;
}

/* Wait for the end of the process (pidfd), feeding `output`. */
static enum fl_code wait_for(
	const struct run *r, int pid_fd, int out, struct fl_buf *output, struct fl_err *err)
{
	int64_t until = fl_clock_ms(CLOCK_MONOTONIC) + r->timeout_ms;
	struct pollfd fds[2] = { { .fd = pid_fd, .events = POLLIN },
		{ .fd = out, .events = POLLIN } };

	for (;;) {
		int64_t left = until - fl_clock_ms(CLOCK_MONOTONIC);

		if (*r->stop)
			return fl_fail(err, FL_STOPPED, "stopped while a command ran");
		if (left <= 0)
			return fl_fail(err, FL_TIMEOUT, "the command ran longer than %lld ms",
				(long long)r->timeout_ms);
		if (poll(fds, 2, left < SLICE_MS ? (int)left : SLICE_MS) < 0 && errno != EINTR)
			return fl_fail_errno(err, errno, "cannot wait for the command");
		if (fds[1].revents != 0 && !take_output(r, out, output))
			fds[1].fd = -1;
		if (fds[0].revents != 0)
			break;
	}
	while (fds[1].fd >= 0 && poll(&fds[1], 1, 0) > 0 && take_output(r, out, output))
		;
	return FL_OK;
}

void run_last_line(const struct fl_buf *output, char *out, size_t room)
{
	size_t end = output->n, begin;

	while (end > 0 && output->p[end - 1] <= ' ')
		end--;
	for (begin = end; begin > 0 && output->p[begin - 1] != '\n'; begin--)
		;
	if (end - begin >= room)
		end = begin + room - 1;
	for (; begin < end; begin++)
		*out++ = output->p[begin] < ' ' || output->p[begin] > '~' ? '?'
									  : (char)output->p[begin];
	*out = '\0';
}

static enum fl_code judge(
	const struct run *r, int status, const struct fl_buf *output, struct fl_err *err)
{
	char said[160] = "";

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return FL_OK;
	if (r->reasons)
		run_last_line(output, said, sizeof(said));
	return fl_fail(err, FL_REFUSED, "%s%sthe command %s %d", said, said[0] != '\0' ? "; " : "",
		WIFEXITED(status) ? "ended with status" : "was ended by signal",
		WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static enum fl_code supervise(
	const struct run *r, pid_t pid, int out, struct fl_buf *output, struct fl_err *err)
{
	int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	enum fl_code code;
	int status = 0;

	(void)setpgid(pid, pid); /* whoever is first */
	if (pid_fd < 0)
		code = fl_fail_errno(err, errno, "cannot watch the command");
	else
		code = wait_for(r, pid_fd, out, output, err);
	/* Whatever it left behind in its group must not outlive it. The pid is not free for others
	 * before waitpid. */
	(void)kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid_fd >= 0)
		(void)close(pid_fd);
	return code == FL_OK ? judge(r, status, output, err) : code;
}

enum fl_code run_command(const struct run *r, struct fl_buf *output, struct fl_err *err)
{
	int pipes[2] = { -1, -1 };
	enum fl_code code;
	pid_t pid;

	if (output != NULL && pipe2(pipes, O_CLOEXEC) != 0)
		return fl_fail_errno(err, errno, "cannot make a pipe");
	pid = fork();
	if (pid == 0)
		child(r, pipes[1]);
	if (pipes[1] >= 0)
		(void)close(pipes[1]);
	if (pid < 0)
		code = fl_fail_errno(err, errno, "cannot start a process");
	else
		code = supervise(r, pid, pipes[0], output, err);
	if (pipes[0] >= 0)
		(void)close(pipes[0]);
	return code;
}
