/* SPDX-License-Identifier: Apache-2.0
 *
 * One encoding or decoding as a process of its own, so that its time and memory can be taken beside
 * those of other programs:
 *
 *   delta-code encode CODEC[/LEVEL] OLD NEW DELTA
 *   delta-code decode CODEC[/LEVEL] OLD DELTA NEW SIZE
 *
 * prints the most bytes that it had in memory. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/delta/apply.h"
#include "lib/file.h"

static int complain(const char *what, const struct fl_err *err)
{
	(void)fprintf(stderr, "delta-code: %s: %s\n", what, err->msg);
	return fl_exit_code(err->code);
}

static enum fl_code map(const char *path, struct fl_bytes *bytes, struct fl_err *err)
{
	int fd = open(path, O_RDONLY);
	enum fl_code code = fl_apply_map(fd, bytes, err);

	(void)close(fd);
	return code;
}

/* The most bytes that this process had in memory. What wait4 tells of it counts the parent's too. */
static long long peak(void)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	const char *line = NULL;
	long long kib = 0;

	if (fl_file_get("/proc/self/status", 1 << 16, &b, NULL) == FL_OK)
		line = strstr((const char *)b.p, "VmHWM:");
	if (line != NULL)
		kib = strtoll(line + sizeof("VmHWM:") - 1, NULL, 10);
	return kib * 1024;
}

/* "zstd/19" -> the codec and its level; without one 0, its default. */
static const struct fl_codec *codec_of(char *name, int *level)
{
	char *slash = strchr(name, '/');

	*level = slash == NULL ? 0 : (int)strtol(slash + 1, NULL, 10);
	if (slash != NULL)
		*slash = '\0';
	return fl_codec_find(name);
}

int main(int n, char **arguments)
{
	int level = 0;
	bool encoding = n == 6 && strcmp(arguments[1], "encode") == 0;
	bool decoding = n == 7 && strcmp(arguments[1], "decode") == 0;
	const struct fl_codec *codec = n > 2 ? codec_of(arguments[2], &level) : NULL;
	struct fl_bytes old = { 0 }, from = { 0 };
	struct fl_source source = fl_source_bytes(&from);
	struct fl_codec_limits limits = { 0 };
	struct fl_err err = { 0 };
	struct fl_sink sink;
	int to;

	if (codec == NULL || (!encoding && !decoding)) {
		(void)fputs("usage: delta-code encode CODEC[/LEVEL] OLD NEW DELTA\n"
			    "       delta-code decode CODEC[/LEVEL] OLD DELTA NEW SIZE\n",
			stderr);
		return 2;
	}
	if (map(arguments[3], &old, &err) != FL_OK || map(arguments[4], &from, &err) != FL_OK)
		return complain("cannot read", &err);
	source.size = from.n;
	to = open(arguments[5], O_WRONLY | O_CREAT | O_TRUNC, 0600);
	sink = fl_sink_file(&to);
	if (encoding) {
		if (codec->encode(old, from, level, &sink, &err) != FL_OK)
			return complain(arguments[4], &err);
	} else {
		limits.output_max = strtoull(arguments[6], NULL, 10);
		if (codec->decode(old, &source, &limits, &sink, &err) != FL_OK)
			return complain(arguments[4], &err);
	}
	(void)printf("%lld\n", peak());
	fl_apply_unmap(&old);
	fl_apply_unmap(&from);
	return close(to) == 0 ? 0 : 1;
}
