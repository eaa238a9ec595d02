/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds in a process of their own: they give a delta that decodes, keep their limits, and go when
 * they must. This program is its own worker. */
#include "server/delta_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/delta/codec.h"
#include "lib/file.h"
#include "tests/lib/wasm_build.h"

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
		.cpu_ms = 60000,
		.wall_ms = 60000,
	};
}

static struct delta_worker worker_with(int64_t memory)
{
	return (struct delta_worker){ .options = { .memory = memory, .stop_fd = -1 } };
}

/* One build in a process of its own. */
static enum fl_code run(const struct delta_build *b, struct fl_err *err)
{
	struct delta_worker w = worker_with(1LL << 30);
	enum fl_code code = delta_worker_run(&w, b, err);

	delta_worker_end(&w);
	return code;
}

static void empty(const struct delta_build *b)
{
	assert_int_equal(ftruncate(b->out_fd, 0), 0);
	assert_int_equal(lseek(b->out_fd, 0, SEEK_SET), 0);
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
	assert_int_equal(run(&b, &err), FL_OK);
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
	struct delta_worker w = worker_with(4 << 20);

	(void)state;
	assert_int_equal(delta_worker_run(&w, &b, NULL), FL_NOMEM);
	assert_int_equal(w.pid, 0);
	w.options.memory = 1LL << 30;
	empty(&b);
	assert_int_equal(delta_worker_run(&w, &b, NULL), FL_OK);
	delta_worker_end(&w);
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
	assert_int_equal(run(&b, NULL), FL_TIMEOUT);
	b.wall_ms = 60000;
	b.cpu_ms = 1000;
	assert_int_equal(run(&b, NULL), FL_TIMEOUT);
	close_build(&b);
	drop(old);
	drop(new);
}

static void a_build_can_be_stopped(void **state)
{
	/* A readable stop descriptor kills the build. */
	struct fl_bytes old = make_bytes(8 << 20, 1), new = make_bytes(8 << 20, 2);
	struct delta_build b = build_of(old, new);
	struct delta_worker w = worker_with(1LL << 30);

	(void)state;
	b.level = 19;
	w.options.stop_fd = eventfd(1, EFD_CLOEXEC);
	assert_int_equal(delta_worker_run(&w, &b, NULL), FL_STOPPED);
	assert_int_equal(w.pid, 0);
	(void)close(w.options.stop_fd);
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
	struct delta_worker w = worker_with(1LL << 30);
	struct fl_err err = { 0 };

	(void)state;
	b.codec = "nothing";
	assert_int_equal(run(&b, &err), FL_INVALID);
	assert_string_equal(err.msg, "there is no codec nothing");
	w.options.program = "/bin/false";
	assert_int_equal(delta_worker_run(&w, &b, &err), FL_INTERNAL);
	w.options.program = "/nonexistent";
	assert_int_equal(delta_worker_run(&w, &b, &err), FL_IO);
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
	assert_int_equal(run(&b, NULL), FL_OK);
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
	struct delta_worker w = worker_with(1LL << 30);
	int64_t cpu, wall;

	(void)state;
	b.level = 19;
	w.options.share = 50;
	w.options.background = true;
	cpu = children_ms();
	wall = clock_now_ms();
	assert_int_equal(delta_worker_run(&w, &b, NULL), FL_OK);
	delta_worker_end(&w);
	cpu = children_ms() - cpu;
	wall = clock_now_ms() - wall;
	/* it is looked at every 50 ms: that much may be too much at the end */
	assert_true(cpu * 100 <= (wall + 100) * 50 + 100 * 100);
	close_build(&b);
	drop(old);
	drop(new);
}

/* ---- builds in a row */

/* A module; `inserted` functions more than the first one. */
static struct fl_bytes make_module(unsigned inserted)
{
	struct fl_buf module = { 0 };

	wasm_build(
		&(struct wasm_recipe){ .seed = 3, .functions = 80, .inserted = inserted }, &module);
	return (struct fl_bytes){ module.p, module.n };
}

static void builds_with_a_file_in_common_need_one_process(void **state)
{
	/* Two forms of one pair, then another old version of the same new one: one process, which parses
	 * each module once; a pair that shares nothing gets a process of its own. */
	struct fl_bytes versions[5];
	struct delta_worker w = worker_with(1LL << 30);
	struct delta_build b[3];

	(void)state;
	for (unsigned i = 0; i < FL_COUNT(versions); i++)
		versions[i] = make_module(i);
	b[0] = build_of(versions[0], versions[4]);
	b[1] = build_of(versions[1], versions[4]);
	b[2] = build_of(versions[2], versions[3]);
	(void)close(b[1].new_fd);
	b[1].new_fd = b[0].new_fd;
	b[0].codec = "wasm-delta-256k";
	assert_int_equal(delta_worker_run(&w, &b[0], NULL), FL_OK);
	empty(&b[0]);
	b[0].codec = b[1].codec = b[2].codec = "wasm-delta";
	assert_int_equal(delta_worker_run(&w, &b[0], NULL), FL_OK);
	assert_int_equal(delta_worker_run(&w, &b[1], NULL), FL_OK);
	assert_int_equal(w.counts.processes, 1);
	assert_int_equal(w.counts.parsed, 3);
	assert_int_equal(w.counts.reused, 3);
	assert_int_equal(delta_worker_run(&w, &b[2], NULL), FL_OK);
	assert_int_equal(w.counts.processes, 2);
	assert_int_equal(w.counts.parsed, 5);
	delta_worker_end(&w);
	delta_worker_end(&w);
	b[1].new_fd = -1;
	for (unsigned i = 0; i < FL_COUNT(b); i++)
		close_build(&b[i]);
	for (unsigned i = 0; i < FL_COUNT(versions); i++)
		drop(versions[i]);
}

static void each_of_many_builds_has_its_whole_time(void **state)
{
	/* Builds in a row may take a second of processor time each, whatever those before them took: one process
	 * makes more than a second of them. */
	struct fl_bytes old = make_bytes(1 << 20, 1), new = make_bytes(1 << 20, 2);
	struct delta_build b = build_of(old, new);
	struct delta_worker w = worker_with(1LL << 30);

	(void)state;
	b.level = 9;
	b.cpu_ms = 1000;
	do {
		empty(&b);
		assert_int_equal(delta_worker_run(&w, &b, NULL), FL_OK);
	} while (fl_clock_ms(w.cpu) < 1100);
	assert_int_equal(w.counts.processes, 1);
	delta_worker_end(&w);
	close_build(&b);
	drop(old);
	drop(new);
}

static void a_refusal_goes_on_and_a_crash_is_tried_again(void **state)
{
	/* A codec that is not for these files leaves the process as it is. One that dies between two builds
	 * costs nothing: the second is made by a new one. What fails in a new process fails. */
	struct fl_bytes old = make_module(0), new = make_module(1);
	struct delta_build b = build_of(old, new);
	struct delta_worker w = worker_with(1LL << 30);
	pid_t first;

	(void)state;
	assert_int_equal(delta_worker_run(&w, &b, NULL), FL_OK);
	first = w.pid;
	empty(&b);
	b.codec = "exe-patch";
	assert_int_equal(delta_worker_run(&w, &b, NULL), FL_REFUSED);
	assert_int_equal(w.pid, first);
	assert_int_equal(kill(first, SIGKILL), 0);
	empty(&b);
	b.codec = "wasm-delta";
	assert_int_equal(delta_worker_run(&w, &b, NULL), FL_OK);
	assert_int_not_equal(w.pid, first);
	assert_int_equal(w.counts.processes, 2);
	delta_worker_end(&w);
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
		cmocka_unit_test(builds_with_a_file_in_common_need_one_process),
		cmocka_unit_test(each_of_many_builds_has_its_whole_time),
		cmocka_unit_test(a_refusal_goes_on_and_a_crash_is_tried_again),
	};

	if (delta_worker_asked(argc, argv))
		return delta_worker_main(argc, argv);
	return cmocka_run_group_tests_name("delta_worker", tests, NULL, NULL);
}
