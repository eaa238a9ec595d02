/* SPDX-License-Identifier: Apache-2.0
 *
 * The codec table: what goes in comes out, a stock zstd agrees, and bad data cost nothing. */
#include "lib/delta/codec.h"

#include <setjmp.h>
#include <spawn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/delta/apply.h"
#include "lib/delta/trailer.h"
#include "lib/file.h"

/* Bytes that look like a module: runs of few symbols, reproducible. */
static struct fl_bytes make_bytes(size_t n, uint64_t seed)
{
	uint8_t *p = malloc(n == 0 ? 1 : n);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		p[i] = (uint8_t)(seed >> 58);
	}
	return (struct fl_bytes){ p, n };
}

/* `old` with some bytes changed and some inserted in the middle. */
static struct fl_bytes make_next(struct fl_bytes old)
{
	size_t half = old.n / 2;
	struct fl_bytes extra = make_bytes(777, 99);
	uint8_t *p = malloc(old.n + extra.n);

	assert_non_null(p);
	memcpy(p, old.p, half);
	memcpy(p + half, extra.p, extra.n);
	memcpy(p + half + extra.n, old.p + half, old.n - half);
	for (size_t i = 0; i < old.n; i += 4001)
		p[i] ^= 0x55;
	free((void *)(uintptr_t)extra.p);
	return (struct fl_bytes){ p, old.n + 777 };
}

static void drop(struct fl_bytes b)
{
	free((void *)(uintptr_t)b.p);
}

/* False if the codec is not for such bytes; then it has written nothing. */
static bool takes(
	const struct fl_codec *c, struct fl_bytes old, struct fl_bytes new, struct fl_buf *out)
{
	struct fl_sink sink = fl_sink_buf(out);
	struct fl_err err = { 0 };
	enum fl_code code = c->encode(old, new, 0, &sink, &err);

	if (code == FL_REFUSED)
		assert_int_equal(out->n, 0);
	else
		assert_int_equal(code, FL_OK);
	return code == FL_OK;
}

static void encode(
	const struct fl_codec *c, struct fl_bytes old, struct fl_bytes new, struct fl_buf *out)
{
	assert_true(takes(c, old, new, out));
}

static enum fl_code decode(const struct fl_codec *c, struct fl_bytes old, struct fl_bytes data,
	uint64_t output_max, struct fl_buf *out)
{
	const struct fl_codec_limits limits = { .output_max = output_max };
	struct fl_source source = fl_source_bytes(&data);
	struct fl_sink sink = fl_sink_buf(out);

	return c->decode(old, &source, &limits, &sink, NULL);
}

static void round_trip(const struct fl_codec *c, size_t old_size, size_t new_size)
{
	struct fl_bytes old = make_bytes(old_size, 1), new = make_bytes(new_size, 2);
	FL_AUTO_BUF struct fl_buf data = { 0 }, back = { 0 };

	if (takes(c, old, new, &data)) {
		assert_int_equal(
			decode(c, old, (struct fl_bytes){ data.p, data.n }, new.n, &back), FL_OK);
		assert_int_equal(back.n, new.n);
		if (new.n > 0)
			assert_memory_equal(back.p, new.p, new.n);
	}
	drop(old);
	drop(new);
}

static void every_codec_gives_back_what_it_took(void **state)
{
	/* A decoded delta equals the new bytes, for empty, tiny and larger files; codecs for special
	 * files refuse others. */
	static const size_t sizes[] = { 0, 1, 13, 255, 256, 65535, 65536, 300000 };

	(void)state;
	for (size_t i = 0; fl_codec_at(i) != NULL; i++)
		for (size_t a = 0; a < FL_COUNT(sizes); a++)
			for (size_t b = 0; b < FL_COUNT(sizes); b++)
				round_trip(fl_codec_at(i), sizes[a], sizes[b]);
}

static void names_find_their_codec(void **state)
{
	/* Each codec is found by its name, and nothing else is. */
	(void)state;
	for (size_t i = 0; fl_codec_at(i) != NULL; i++)
		assert_ptr_equal(fl_codec_find(fl_codec_at(i)->name), fl_codec_at(i));
	assert_null(fl_codec_find("zstd-pat"));
	assert_null(fl_codec_find(""));
}

static void a_patch_reaches_far_back(void **state)
{
	/* Long-distance matching finds old bytes that lie 20 MiB back: the patch of a shifted file
	 * is a small part of it. */
	struct fl_bytes old = make_bytes(20 << 20, 7), new = make_next(old);
	const struct fl_codec *c = fl_codec_find("zstd-patch");
	FL_AUTO_BUF struct fl_buf data = { 0 }, back = { 0 };

	(void)state;
	encode(c, old, new, &data);
	assert_true(data.n < new.n / 20);
	assert_int_equal(decode(c, old, (struct fl_bytes){ data.p, data.n }, new.n, &back), FL_OK);
	assert_int_equal(back.n, new.n);
	assert_memory_equal(back.p, new.p, new.n);
	drop(old);
	drop(new);
}

static void cut_data_are_refused(void **state)
{
	/* A delta that lacks bytes at its end, or has some behind it, is FL_CORRUPT. */
	struct fl_bytes old = make_bytes(9000, 1), new = make_next(old);

	(void)state;
	for (size_t i = 0; fl_codec_at(i) != NULL; i++) {
		const struct fl_codec *c = fl_codec_at(i);
		FL_AUTO_BUF struct fl_buf data = { 0 }, back = { 0 };

		if (strcmp(c->name, "identity") == 0)
			continue; /* any bytes are its data; the offer's size and digest decide */
		if (!takes(c, old, new, &data))
			continue;
		for (size_t n = 0; n < data.n; n++) {
			fl_buf_reset(&back);
			assert_int_equal(
				decode(c, old, (struct fl_bytes){ data.p, n }, new.n, &back),
				FL_CORRUPT);
		}
		fl_buf_byte(&data, 0);
		assert_int_equal(decode(c, old, (struct fl_bytes){ data.p, data.n }, new.n, &back),
			FL_CORRUPT);
	}
	drop(old);
	drop(new);
}

static void damaged_data_stay_in_their_limits(void **state)
{
	/* With any one byte changed a decoder ends, and never writes more than the stated size. */
	struct fl_bytes old = make_bytes(3000, 1), new = make_next(old);

	(void)state;
	for (size_t i = 0; fl_codec_at(i) != NULL; i++) {
		const struct fl_codec *c = fl_codec_at(i);
		FL_AUTO_BUF struct fl_buf data = { 0 }, back = { 0 };

		if (!takes(c, old, new, &data))
			continue;
		for (size_t at = 0; at < data.n; at++) {
			uint8_t saved = data.p[at];

			for (unsigned bit = 0; bit < 8; bit++) {
				data.p[at] = (uint8_t)(saved ^ (1U << bit));
				fl_buf_reset(&back);
				(void)decode(
					c, old, (struct fl_bytes){ data.p, data.n }, new.n, &back);
				assert_true(back.n <= new.n);
			}
			data.p[at] = saved;
		}
	}
	drop(old);
	drop(new);
}

static void too_much_output_is_refused(void **state)
{
	/* Data that hold more than the offer says are FL_CORRUPT before that much is written. */
	struct fl_bytes old = make_bytes(100, 1), new = make_bytes(200000, 2);

	(void)state;
	for (size_t i = 0; fl_codec_at(i) != NULL; i++) {
		FL_AUTO_BUF struct fl_buf data = { 0 }, back = { 0 };

		if (!takes(fl_codec_at(i), old, new, &data))
			continue;
		assert_int_equal(decode(fl_codec_at(i), old, (struct fl_bytes){ data.p, data.n },
					 new.n - 1, &back),
			FL_CORRUPT);
		assert_true(back.n < new.n);
	}
	drop(old);
	drop(new);
}

static void memory_limits_are_kept(void **state)
{
	/* A frame whose window is above the memory limit is FL_TOO_LARGE; decode_memory is enough. */
	struct fl_bytes old = make_bytes(1 << 20, 1), new = make_bytes(3 << 20, 2);
	const struct fl_codec *c = fl_codec_find("zstd-patch");
	struct fl_codec_limits limits = { .output_max = new.n, .memory_max = 1 << 20 };
	FL_AUTO_BUF struct fl_buf data = { 0 }, back = { 0 };
	struct fl_bytes bytes;
	struct fl_source source;
	struct fl_sink sink = fl_sink_buf(&back);

	(void)state;
	encode(c, old, new, &data);
	bytes = (struct fl_bytes){ data.p, data.n };
	source = fl_source_bytes(&bytes);
	assert_int_equal(c->decode(old, &source, &limits, &sink, NULL), FL_TOO_LARGE);
	assert_int_equal(back.n, 0);
	limits.memory_max = c->decode_memory(old.n, new.n);
	assert_int_equal(c->decode(old, &source, &limits, &sink, NULL), FL_OK);
	drop(old);
	drop(new);
}

static void a_giant_window_is_refused(void **state)
{
	/* A header that claims a window of 2 GiB for a small content allocates nothing. */
	static const uint8_t frame[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00 };
	FL_AUTO_BUF struct fl_buf back = { 0 };

	(void)state;
	assert_int_equal(decode(fl_codec_find("zstd"), (struct fl_bytes){ 0 },
				 (struct fl_bytes){ frame, sizeof(frame) }, 1000, &back),
		FL_CORRUPT);
}

/* ---- with files and the zstd program */

struct files {
	char dir[64];
	char old[128], new[128], data[128], out[128];
};

static void files_set_up(struct files *f, struct fl_bytes old, struct fl_bytes new)
{
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_codec.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->old, sizeof(f->old), "%s/old", f->dir);
	(void)snprintf(f->new, sizeof(f->new), "%s/new", f->dir);
	(void)snprintf(f->data, sizeof(f->data), "%s/data", f->dir);
	(void)snprintf(f->out, sizeof(f->out), "%s/out", f->dir);
	assert_int_equal(fl_file_put(f->old, old, 0600, NULL), FL_OK);
	assert_int_equal(fl_file_put(f->new, new, 0600, NULL), FL_OK);
}

static void files_tear_down(struct files *f)
{
	(void)unlink(f->old);
	(void)unlink(f->new);
	(void)unlink(f->data);
	(void)unlink(f->out);
	assert_int_equal(rmdir(f->dir), 0);
}

static void assert_file(const char *path, struct fl_bytes bytes)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	assert_int_equal(fl_file_get(path, 1 << 30, &b, NULL), FL_OK);
	assert_int_equal(b.n, bytes.n);
	assert_memory_equal(b.p, bytes.p, bytes.n);
}

/* Run the zstd program; its exit status. */
static int run_zstd(const char *const *arguments)
{
	posix_spawn_file_actions_t quiet;
	int status;
	pid_t child;

	(void)posix_spawn_file_actions_init(&quiet);
	(void)posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&child, "zstd", &quiet, NULL, (char *const *)(uintptr_t)arguments,
		    environ) != 0)
		status = 127;
	else if (waitpid(child, &status, 0) == child && WIFEXITED(status))
		status = WEXITSTATUS(status);
	(void)posix_spawn_file_actions_destroy(&quiet);
	return status;
}

static void need_zstd(void)
{
	if (run_zstd((const char *[]){ "zstd", "--version", NULL }) != 0)
		skip(); /* this machine lacks the program */
}

static void name_old(const struct files *f, char option[200])
{
	(void)snprintf(option, 200, "--patch-from=%s", f->old);
}

static void the_zstd_program_decodes_our_patches(void **state)
{
	/* `zstd -d --patch-from=OLD` turns our zstd-patch into the new file; also where new is larger
	 * than old. */
	struct fl_bytes old = make_bytes(3 << 20, 5), new = make_next(old);
	FL_AUTO_BUF struct fl_buf data = { 0 };
	char option[200];
	struct files f;

	(void)state;
	need_zstd();
	files_set_up(&f, old, new);
	encode(fl_codec_find("zstd-patch"), old, new, &data);
	assert_int_equal(
		fl_file_put(f.data, (struct fl_bytes){ data.p, data.n }, 0600, NULL), FL_OK);
	name_old(&f, option);
	assert_int_equal(
		run_zstd((const char *[]){ "zstd", "-q", "-d", option, f.data, "-o", f.out, NULL }),
		0);
	assert_file(f.out, new);
	files_tear_down(&f);
	drop(old);
	drop(new);
}

static void we_decode_patches_of_the_zstd_program(void **state)
{
	/* fl_apply turns what `zstd --patch-from=OLD` made into the new file, digest checked; a wrong
	 * digest or size is FL_CORRUPT. */
	struct fl_bytes old = make_bytes(3 << 20, 5), new = make_next(old);
	uint8_t sha256[32];
	char option[200];
	uint64_t size;
	struct files f;
	struct fl_apply a = { .codec = fl_codec_find("zstd-patch"), .sha256 = sha256 };

	(void)state;
	need_zstd();
	files_set_up(&f, old, new);
	name_old(&f, option);
	assert_int_equal(run_zstd((const char *[]){ "zstd", "-q", "-9", "--long=27", option, f.new,
				 "-o", f.data, NULL }),
		0);
	a.old_fd = open(f.old, O_RDONLY);
	a.data_fd = open(f.data, O_RDONLY);
	a.out_fd = open(f.new, O_RDONLY);
	assert_int_equal(fl_apply_digest(a.out_fd, sha256, &size, NULL), FL_OK);
	(void)close(a.out_fd);
	a.size = size;
	a.out_fd = open(f.out, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(fl_apply(&a, NULL), FL_OK);
	assert_file(f.out, new);
	a.size++;
	assert_int_equal(fl_apply(&a, NULL), FL_CORRUPT);
	a.size--;
	sha256[31] ^= 1;
	assert_int_equal(fl_apply(&a, NULL), FL_CORRUPT);
	(void)close(a.old_fd);
	(void)close(a.data_fd);
	(void)close(a.out_fd);
	files_tear_down(&f);
	drop(old);
	drop(new);
}

static void a_patch_for_another_file_is_refused(void **state)
{
	/* fl_apply over the wrong old file never gives FL_OK. */
	struct fl_bytes old = make_bytes(100000, 5), new = make_next(old),
			other = make_bytes(100000, 6);
	FL_AUTO_BUF struct fl_buf data = { 0 };
	uint8_t sha256[32];
	uint64_t size;
	struct files f;
	struct fl_apply a = {
		.codec = fl_codec_find("zstd-patch"), .size = new.n, .sha256 = sha256
	};

	(void)state;
	files_set_up(&f, other, new);
	encode(a.codec, old, new, &data);
	assert_int_equal(
		fl_file_put(f.data, (struct fl_bytes){ data.p, data.n }, 0600, NULL), FL_OK);
	a.old_fd = open(f.old, O_RDONLY);
	a.data_fd = open(f.data, O_RDONLY);
	a.out_fd = open(f.new, O_RDWR);
	assert_int_equal(fl_apply_digest(a.out_fd, sha256, &size, NULL), FL_OK);
	assert_int_equal(fl_apply(&a, NULL), FL_CORRUPT);
	(void)close(a.old_fd);
	(void)close(a.data_fd);
	(void)close(a.out_fd);
	files_tear_down(&f);
	drop(old);
	drop(new);
	drop(other);
}

/* Stops after half of the bytes. */
static bool half_way(void *ctx, uint64_t done)
{
	const struct fl_apply *a = ctx;

	return done < a->size / 2;
}

static void applying_goes_on_where_it_stopped(void **state)
{
	/* A stop leaves the first half; the next try writes only what is missing or differs, and cuts what
	 * is too much. */
	struct fl_bytes old = make_bytes(1 << 20, 5), new = make_next(old);
	FL_AUTO_BUF struct fl_buf data = { 0 };
	uint8_t sha256[32];
	uint64_t size;
	struct files f;
	struct fl_apply a = { .codec = fl_codec_find("zstd-patch"),
		.size = new.n,
		.sha256 = sha256,
		.resume = true,
		.go_on = half_way };

	(void)state;
	a.ctx = &a;
	files_set_up(&f, old, new);
	encode(a.codec, old, new, &data);
	assert_int_equal(
		fl_file_put(f.data, (struct fl_bytes){ data.p, data.n }, 0600, NULL), FL_OK);
	a.old_fd = open(f.old, O_RDONLY);
	a.data_fd = open(f.data, O_RDONLY);
	a.out_fd = open(f.new, O_RDONLY);
	assert_int_equal(fl_apply_digest(a.out_fd, sha256, &size, NULL), FL_OK);
	(void)close(a.out_fd);
	a.out_fd = open(f.out, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(fl_apply(&a, NULL), FL_STOPPED);
	a.go_on = NULL;
	assert_int_equal(pwrite(a.out_fd, "damage", 6, 70000), 6);
	assert_int_equal(fl_apply(&a, NULL), FL_OK);
	assert_file(f.out, new);
	assert_int_equal(pwrite(a.out_fd, "too much", 8, (off_t) new.n), 8);
	assert_int_equal(fl_apply(&a, NULL), FL_OK);
	assert_file(f.out, new);
	(void)close(a.out_fd);
	/* what is right is not written again: a file that cannot be written to will do */
	a.out_fd = open(f.out, O_RDONLY);
	assert_int_equal(fl_apply(&a, NULL), FL_OK);
	(void)close(a.old_fd);
	(void)close(a.data_fd);
	(void)close(a.out_fd);
	files_tear_down(&f);
	drop(old);
	drop(new);
}

static void a_trailer_comes_back(void **state)
{
	/* What was added is read, wherever it stands; bytes without one have none; a damaged one is
	 * FL_CORRUPT. */
	const struct fl_trailer t = { .old_sha256 = { 1 },
		.new_sha256 = { 2 },
		.new_size = 1ULL << 40,
		.memory = 77,
		.codec = "wasm-delta-256k" };
	FL_AUTO_BUF struct fl_buf b = { 0 };
	struct fl_trailer got;
	size_t n = 0;

	(void)state;
	fl_buf_str(&b, "delta");
	assert_int_equal(
		fl_trailer_read((struct fl_bytes){ b.p, b.n }, &got, &n, NULL), FL_NOT_FOUND);
	fl_trailer_add(&b, &t);
	assert_int_equal(fl_trailer_read((struct fl_bytes){ b.p, b.n }, &got, &n, NULL), FL_OK);
	assert_int_equal(b.n - n, 5);
	assert_memory_equal(&got, &t, sizeof(t));
	for (size_t cut = 1; cut < b.n; cut++)
		assert_int_equal(
			fl_trailer_read((struct fl_bytes){ b.p + cut, b.n - cut }, &got, &n, NULL),
			cut <= 5                      ? FL_OK
				: b.n - cut < 88 + 12 ? FL_NOT_FOUND
						      : FL_CORRUPT);
	b.p[6] ^= 1;
	assert_int_equal(
		fl_trailer_read((struct fl_bytes){ b.p, b.n }, &got, &n, NULL), FL_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_codec_gives_back_what_it_took),
		cmocka_unit_test(names_find_their_codec),
		cmocka_unit_test(a_patch_reaches_far_back),
		cmocka_unit_test(cut_data_are_refused),
		cmocka_unit_test(damaged_data_stay_in_their_limits),
		cmocka_unit_test(too_much_output_is_refused),
		cmocka_unit_test(memory_limits_are_kept),
		cmocka_unit_test(a_giant_window_is_refused),
		cmocka_unit_test(the_zstd_program_decodes_our_patches),
		cmocka_unit_test(we_decode_patches_of_the_zstd_program),
		cmocka_unit_test(a_patch_for_another_file_is_refused),
		cmocka_unit_test(applying_goes_on_where_it_stopped),
		cmocka_unit_test(a_trailer_comes_back),
	};

	return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
