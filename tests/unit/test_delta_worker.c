/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds in a process of their own: they give a delta that decodes, keep their limits, and go when
 * they must. This program is its own worker. */
#include "server/delta_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/delta/codec.h"
#include "lib/file.h"

/* A file without a name that holds `bytes`. */
static int file_of(struct fl_bytes bytes)
{
	char path[] = "/tmp/test_delta_worker.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	assert_true(fd >= 0);
	(void)unlink(path);
	assert_int_equal(fl_file_write(fd, bytes, NULL), FL_OK);
	return fd;
}

static struct fl_bytes make_bytes(size_t n, uint64_t seed)
{
	uint8_t *p = malloc(n);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		p[i] = (uint8_t)(seed >> 57);
	}
	return (struct fl_bytes){ p, n };
}

static struct delta_build build_of(struct fl_bytes old, struct fl_bytes new)
{
	return (struct delta_build){
		.codec = "zstd-patch",
		.level = 3,
		.old_fd = file_of(old),
		.new_fd = file_of(new),
		.out_fd = file_of((struct fl_bytes){ 0 }),
		.memory = 1LL << 30,
		.cpu_ms = 60000,
		.wall_ms = 60000,
		.stop_fd = -1,
	};
}

static void close_build(const struct delta_build *b)
{
	(void)close(b->old_fd);
	(void)close(b->new_fd);
	(void)close(b->out_fd);
}

static void drop(struct fl_bytes b)
{
	free((void *)(uintptr_t)b.p);
}

static void a_build_gives_a_delta(void **state)
{
	/* What the worker wrote decodes to the new file. */
	struct fl_bytes old = make_bytes(1 << 20, 1), new = make_bytes(1 << 20, 1);
	struct delta_build b;
	FL_AUTO_BUF struct fl_buf out = { 0 };
	struct fl_sink sink = fl_sink_buf(&out);
	struct fl_codec_limits limits = { .output_max = new.n };
	struct fl_source data;
	struct fl_err err = { 0 };

	(void)state;
	((uint8_t *)(uintptr_t) new.p)[7777] ^= 1;
	b = build_of(old, new);
	assert_int_equal(delta_worker_run(&b, &err), FL_OK);
	assert_int_equal(fl_source_file(&b.out_fd, &data, NULL), FL_OK);
	assert_true(data.size < 2000);
	assert_int_equal(fl_codec_find(b.codec)->decode(old, &data, &limits, &sink, NULL), FL_OK);
	assert_int_equal(out.n, new.n);
	assert_memory_equal(out.p, new.p, new.n);
	close_build(&b);
	drop(old);
	drop(new);
}

static void a_build_stays_in_its_memory(void **state)
{
	/* A build that needs more memory than allowed is FL_NOMEM, and the next one works. */
	struct fl_bytes old = make_bytes(8 << 20, 1), new = make_bytes(8 << 20, 2);
	struct delta_build b = build_of(old, new);

	(void)state;
	b.memory = 4 << 20;
	assert_int_equal(delta_worker_run(&b, NULL), FL_NOMEM);
	b.memory = 1LL << 30;
	assert_int_equal(ftruncate(b.out_fd, 0), 0);
	assert_int_equal(lseek(b.out_fd, 0, SEEK_SET), 0);
	assert_int_equal(delta_worker_run(&b, NULL), FL_OK);
	close_build(&b);
	drop(old);
	drop(new);
}

static void a_build_stays_in_its_time(void **state)
{
	/* Level 19 of a large file does not end in 100 ms of wall clock nor in 1 s of processor time:
	 * both are FL_TIMEOUT. */
	struct fl_bytes old = make_bytes(24 << 20, 1), new = make_bytes(24 << 20, 2);
	struct delta_build b = build_of(old, new);

	(void)state;
	b.level = 19;
	b.wall_ms = 100;
	assert_int_equal(delta_worker_run(&b, NULL), FL_TIMEOUT);
	b.wall_ms = 60000;
	b.cpu_ms = 1000;
	assert_int_equal(delta_worker_run(&b, NULL), FL_TIMEOUT);
	close_build(&b);
	drop(old);
	drop(new);
}

static void a_build_can_be_stopped(void **state)
{
	/* A readable stop descriptor kills the build. */
	struct fl_bytes old = make_bytes(8 << 20, 1), new = make_bytes(8 << 20, 2);
	struct delta_build b = build_of(old, new);

	(void)state;
	b.level = 19;
	b.stop_fd = eventfd(1, EFD_CLOEXEC);
	assert_int_equal(delta_worker_run(&b, NULL), FL_STOPPED);
	(void)close(b.stop_fd);
	close_build(&b);
	drop(old);
	drop(new);
}

static void failures_come_back_with_their_sentence(void **state)
{
	/* The worker's own code and sentence reach the server; a program that is no worker, or none at
	 * all, is a clean failure. */
	struct fl_bytes old = make_bytes(10, 1), new = make_bytes(10, 2);
	struct delta_build b = build_of(old, new);
	struct fl_err err = { 0 };

	(void)state;
	b.codec = "nothing";
	assert_int_equal(delta_worker_run(&b, &err), FL_INVALID);
	assert_string_equal(err.msg, "there is no codec nothing");
	b.program = "/bin/false";
	assert_int_equal(delta_worker_run(&b, &err), FL_INTERNAL);
	b.program = "/nonexistent";
	assert_int_equal(delta_worker_run(&b, &err), FL_IO);
	close_build(&b);
	drop(old);
	drop(new);
}

static void full_artifacts_need_no_old_file(void **state)
{
	/* A codec without an old file is built with none. */
	struct fl_bytes new = make_bytes(100000, 2);
	struct delta_build b = build_of(new, new);
	struct fl_source data;

	(void)state;
	(void)close(b.old_fd);
	b.old_fd = -1;
	b.codec = "zstd";
	assert_int_equal(delta_worker_run(&b, NULL), FL_OK);
	assert_int_equal(fl_source_file(&b.out_fd, &data, NULL), FL_OK);
	assert_true(data.size > 0 && data.size < new.n);
	close_build(&b);
	drop(new);
}

/* Milliseconds of a clock, and of the processor in children that have ended. */
static int64_t clock_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t children_ms(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_CHILDREN, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
		(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

static void a_share_of_a_core_is_kept(void **state)
{
	/* With half a core a build takes at least twice as long as it computes, and ends all the same. */
	struct fl_bytes old = make_bytes(1 << 20, 1), new = make_bytes(1 << 20, 2);
	struct delta_build b = build_of(old, new);
	int64_t cpu, wall;

	(void)state;
	b.level = 19;
	b.share = 50;
	b.background = true;
	cpu = children_ms();
	wall = clock_now_ms();
	assert_int_equal(delta_worker_run(&b, NULL), FL_OK);
	cpu = children_ms() - cpu;
	wall = clock_now_ms() - wall;
	/* it is looked at every 50 ms: that much may be too much at the end */
	assert_true(cpu * 100 <= (wall + 100) * 50 + 100 * 100);
	close_build(&b);
	drop(old);
	drop(new);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_share_of_a_core_is_kept),
		cmocka_unit_test(a_build_gives_a_delta),
		cmocka_unit_test(a_build_stays_in_its_memory),
		cmocka_unit_test(a_build_stays_in_its_time),
		cmocka_unit_test(a_build_can_be_stopped),
		cmocka_unit_test(failures_come_back_with_their_sentence),
		cmocka_unit_test(full_artifacts_need_no_old_file),
	};

	if (delta_worker_asked(argc, argv))
		return delta_worker_main(argc, argv);
	return cmocka_run_group_tests_name("delta_worker", tests, NULL, NULL);
}
