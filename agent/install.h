/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules and generations on the disk.
 *
 *   install_dir/modules/app/2.1.0-0123456789ab/module.wasm   bytes, once for each version
 *                                              module.json   what it is; written last
 *   install_dir/generations/17/app -> ../../modules/app/2.1.0-0123456789ab/module.wasm
 *   install_dir/generations/17.json                          what belongs together
 *   install_dir/current -> generations/17                    what runs; replaced in one rename
 *
 * DESIGN. Folders are filled under a temporary name, synced and renamed, so a folder is whole or
 * not there; everything may be done again. A switch is one rename of a link: all modules of a
 * generation change together. How the bytes of a kind are checked and placed is a row in the table
 * of installers: container and firmware join there. */
#ifndef AGENT_INSTALL_H
#define AGENT_INSTALL_H

#include "lib/json.h"

/* One kind of module. */
struct installer {
	const char *kind; /* as in manifests */
	const char *file; /* name of the bytes in the module's folder */
	/* Whether the artifact at `path` is one of this kind; FL_REFUSED with a sentence. */
	enum fl_code (*check)(const char *path, struct fl_err *err);
};

/* A module as records and generations hold it. Borrowed texts; sha256 NULL: no bytes of ours (it
 * came from the factory). */
struct module {
	const char *name, *version, *kind, *sha256;
	int64_t size;
};

/* The installer of a kind, NULL if this agent has none. */
const struct installer *install_find(const char *kind);

/* Read an entry of a list of modules. FL_INVALID: it is none, or its names could lead out of the
 * folders (letters, digits, and ._+- not in front are allowed). */
enum fl_code install_read(
	const json_t *entry, struct module *out, struct fl_err *err) FL_MUST_CHECK;

/* Where the bytes of `m` lie once it is installed; m->sha256 must not be NULL and its kind known. */
enum fl_code install_path(const char *dir, const struct module *m, char *out, size_t size,
	struct fl_err *err) FL_MUST_CHECK;
/* Put `m` with its bytes from the file `artifact` into its folder; one that is there already is
 * kept. FL_REFUSED: the bytes are not of its kind. FL_FULL, FL_IO. */
enum fl_code install_module(const char *dir, const struct module *m, const char *artifact,
	struct fl_err *err) FL_MUST_CHECK;

/* Make generation `number` of `modules` (array of entries), whose folders are there. */
enum fl_code install_generation(
	const char *dir, int64_t number, const json_t *modules, struct fl_err *err) FL_MUST_CHECK;
/* Let `current` lead to generation `number`; 0: to none. Durable when it returns. */
enum fl_code install_switch(const char *dir, int64_t number, struct fl_err *err) FL_MUST_CHECK;
/* The generation that `current` leads to; 0: none or something else. */
int64_t install_current(const char *dir);

/* Remove all generations but the two, and the module folders that neither `a` nor `b` (arrays)
 * names. What cannot be removed stays for the next time. */
void install_prune(
	const char *dir, int64_t good, int64_t previous, const json_t *a, const json_t *b);

/* Remove a file or folder with all in it. Links are not followed. */
enum fl_code install_remove(const char *path, struct fl_err *err) FL_MUST_CHECK;

/* Bytes that may still be written to the disk of `path`. */
enum fl_code install_space(const char *path, int64_t *out, struct fl_err *err) FL_MUST_CHECK;

#endif
