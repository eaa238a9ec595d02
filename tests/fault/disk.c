/* SPDX-License-Identifier: Apache-2.0
 *
 * A preloaded library that makes the disk fail: writes and syncs of files whose path contains
 * $FAULT_PATH, while the file $FAULT_CONTROL says so. Its text is "KIND AFTER": KIND is none, sync
 * (EIO), full (ENOSPC, after half of the bytes) or write (EIO); AFTER is the number of calls of that
 * kind that still go well. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char text[64]; /* the control's text when it was last read */
static char kind[16];
static long left;

static bool is_meant(int fd)
{
	const char *part = getenv("FAULT_PATH");
	char link[64], path[4096];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0 || part == NULL)
		return false;
	path[n] = '\0';
	return strstr(path, part) != NULL;
}

/* A changed control begins anew; the same one goes on counting. */
static void read_control(void)
{
	const char *path = getenv("FAULT_CONTROL");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	char now[sizeof(text)] = "";
	ssize_t n;

	if (fd < 0)
		return;
	n = read(fd, now, sizeof(now) - 1);
	(void)close(fd);
	if (n <= 0 || strcmp(now, text) == 0)
		return;
	memcpy(text, now, sizeof(text));
	left = 0;
	(void)sscanf(now, "%15s %ld", kind, &left);
}

static bool happens(const char *what, int fd)
{
	bool yes;

	if (!is_meant(fd))
		return false;
	(void)pthread_mutex_lock(&lock);
	read_control();
	yes = strcmp(kind, what) == 0 && left-- <= 0;
	(void)pthread_mutex_unlock(&lock);
	return yes;
}

static int fail_sync(const char *name, int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

	if (happens("sync", fd)) {
		errno = EIO;
		return -1;
	}
	return real(fd);
}

int fsync(int fd)
{
	return fail_sync("fsync", fd);
}

int fdatasync(int fd)
{
	return fail_sync("fdatasync", fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
	ssize_t (*real)(int, const void *, size_t, off64_t) =
		(ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");

	if (happens("write", fd)) {
		errno = EIO;
		return -1;
	}
	if (happens("full", fd)) {
		(void)real(fd, bytes, n / 2, at);
		errno = ENOSPC;
		return -1;
	}
	return real(fd, bytes, n, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
	return pwrite64(fd, bytes, n, at);
}
