/* SPDX-License-Identifier: Apache-2.0
 *
 * A preloaded library that moves the wall clock of a program: the file $TEST_CLOCK holds by how many ms, as
 * eight bytes, and may change at any time. Other clocks are left alone. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t still;
static _Atomic int64_t *moved = &still;

static void __attribute__((constructor)) begin(void)
{
	const char *path = getenv("TEST_CLOCK");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	void *page;

	if (fd < 0)
		return;
	page = mmap(NULL, sizeof(*moved), PROT_READ, MAP_SHARED, fd, 0);
	if (page != MAP_FAILED)
		moved = page;
	(void)close(fd);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);
	int64_t ns;

	if (rc != 0 || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
		return rc;
	ns = t->tv_nsec + atomic_load(moved) % 1000 * 1000000;
	t->tv_sec += atomic_load(moved) / 1000 + (ns >= 1000000000) - (ns < 0);
	t->tv_nsec = ns - 1000000000 * ((ns >= 1000000000) - (ns < 0));
	return rc;
}

time_t time(time_t *out)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &t);
	if (out != NULL)
		*out = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *out, void *zone)
{
	struct timespec t = { 0 };

	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	out->tv_sec = t.tv_sec;
	out->tv_usec = t.tv_nsec / 1000;
	return 0;
}
