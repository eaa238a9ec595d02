/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of modules: named units of software. */
#ifndef STORE_MODULE_H
#define STORE_MODULE_H

#include "server/store/store.h"

struct module {
	int64_t id;
	const char *name;
	const char *kind; /* wasm, container, firmware, file */
	const char *tier; /* device, gateway */
	const char *description;
	int64_t created_at;
	void *owned; /* see copy.h */
};

/* Called per row; the texts end with the call. Another code than FL_OK ends the loop. */
typedef enum fl_code (*module_fn)(void *context, const struct module *m, struct fl_err *err);

/* Free what module_get filled. Safe twice and on zeroed memory. */
void module_fini(struct module *m);
/* One module by name; FL_NOT_FOUND with a sentence. module_fini it. */
enum fl_code module_get(struct store *store, const char *name, struct module *out,
	struct fl_err *err) FL_MUST_CHECK;
/* Insert (id, created_at ignored); FL_CONFLICT if the name is taken. Write lane. */
enum fl_code module_add(
	struct store *store, const struct module *m, int64_t *id, struct fl_err *err) FL_MUST_CHECK;
/* Change the description. Write lane. */
enum fl_code module_describe(
	struct store *store, int64_t id, const char *description, struct fl_err *err) FL_MUST_CHECK;
/* Delete a module; FL_CONFLICT when it has versions or is named by a release. Write lane. */
enum fl_code module_delete(
	struct store *store, const struct module *m, struct fl_err *err) FL_MUST_CHECK;
/* Up to `limit` modules with names above `after` ("" from the start), by name. limit < 0: all. */
enum fl_code module_each(struct store *store, const char *after, int64_t limit, module_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;

#endif
