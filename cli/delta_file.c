/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/delta_file.h"

#include "cli/text.h"
#include "lib/delta/apply.h"
#include "lib/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum fl_code delta_file_open(struct delta_file *f, const char *path, struct fl_err *err)
{
	enum fl_code code;

	*f = (struct delta_file){ .fd = open(path, O_RDONLY | O_CLOEXEC), .path = path };
	if (f->fd < 0 && errno == ENOENT)
		return fl_fail(err, FL_NOT_FOUND, "there is no file %s", path);
	if (f->fd < 0)
		return fl_fail_errno(err, errno, "cannot read %s", path);
	code = fl_apply_map(f->fd, &f->bytes, err);
	return code == FL_OK ? FL_OK : fl_wrap(err, "%s", path);
}

void delta_file_close(struct delta_file *f)
{
	fl_apply_unmap(&f->bytes);
	if (f->path != NULL && f->fd >= 0)
		(void)close(f->fd);
	*f = (struct delta_file){ .fd = -1 };
}

enum fl_code delta_patch_open(
	struct delta_patch *p, const char *path, const char *codec, struct fl_err *err)
{
	size_t behind = 0;
	enum fl_code code;

	*p = (struct delta_patch){ .file = { .fd = -1 } };
	code = delta_file_open(&p->file, path, err);
	if (code != FL_OK)
		return code;
	code = fl_trailer_read(p->file.bytes, &p->trailer, &behind, err);
	if (code != FL_OK && code != FL_NOT_FOUND)
		return fl_wrap(err, "%s", path);
	p->has_trailer = code == FL_OK;
	p->data = (struct fl_bytes){ p->file.bytes.p, p->file.bytes.n - behind };
	if (codec != NULL)
		p->codec = fl_codec_find(codec);
	else if (p->has_trailer)
		p->codec = fl_codec_find(p->trailer.codec);
	else
		p->codec = fl_codec_guess(p->data, true);
	if (p->codec == NULL)
		return fl_fail(err, FL_INVALID,
			"%s does not say what it is; name its codec with --codec", path);
	return FL_OK;
}

void delta_patch_close(struct delta_patch *p)
{
	delta_file_close(&p->file);
}

enum fl_code delta_output_open(struct delta_output *o, const char *path, struct fl_err *err)
{
	*o = (struct delta_output){ .part = text_format("%s.part", path), .path = path };
	o->fd = open(o->part, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (o->fd >= 0)
		return FL_OK;
	(void)fl_fail_errno(err, errno, "cannot create %s", o->part);
	free(o->part);
	o->part = NULL;
	return err == NULL ? FL_IO : err->code;
}

enum fl_code delta_output_put(struct delta_output *o, struct fl_bytes bytes, struct fl_err *err)
{
	if (ftruncate(o->fd, 0) != 0)
		return fl_fail_errno(err, errno, "cannot empty %s", o->part);
	return fl_file_write(o->fd, bytes, err);
}

enum fl_code delta_output_commit(struct delta_output *o, struct fl_err *err)
{
	enum fl_code code = fl_file_commit(o->fd, o->part, o->path, err);

	delta_output_close(o, code == FL_OK);
	return code;
}

void delta_output_close(struct delta_output *o, bool keep)
{
	if (o->part == NULL)
		return;
	(void)close(o->fd);
	if (!keep)
		(void)unlink(o->part);
	free(o->part);
	o->part = NULL;
}
