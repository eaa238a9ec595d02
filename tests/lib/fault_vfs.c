/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fault_vfs.h"

#include <sqlite3.h>
#include <string.h>

static sqlite3_vfs vfs; /* ours: a copy of the real one with another xOpen */
static sqlite3_vfs *real;
static sqlite3_io_methods methods; /* of the log's file: a copy with failing parts */
static const sqlite3_io_methods *real_methods;
static enum fault present;
static int left; /* good calls before it begins */

void fault_vfs_set(enum fault fault, int after)
{
	present = fault;
	left = after;
}

static int happens(enum fault fault)
{
	if (present != fault)
		return 0;
	return left-- <= 0;
}

static int fail_sync(sqlite3_file *file, int flags)
{
	if (happens(FAULT_SYNC))
		return SQLITE_IOERR_FSYNC;
	return real_methods->xSync(file, flags);
}

static int fail_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at)
{
	if (happens(FAULT_WRITE_FULL))
		return SQLITE_FULL;
	if (happens(FAULT_WRITE_ERROR))
		return SQLITE_IOERR_WRITE;
	return real_methods->xWrite(file, bytes, n, at);
}

static int open_file(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *out)
{
	int rc = real->xOpen(real, name, file, flags, out);

	(void)self;
	if (rc != SQLITE_OK || (flags & SQLITE_OPEN_WAL) == 0)
		return rc;
	real_methods = file->pMethods;
	methods = *file->pMethods;
	methods.xSync = fail_sync;
	methods.xWrite = fail_write;
	file->pMethods = &methods;
	return rc;
}

void fault_vfs_install(void)
{
	real = sqlite3_vfs_find(NULL);
	vfs = *real;
	vfs.zName = "fault";
	vfs.xOpen = open_file;
	vfs.pNext = NULL;
	(void)sqlite3_vfs_register(&vfs, 1);
}
