/* SPDX-License-Identifier: Apache-2.0
 *
 * A SQLite VFS over the real one whose writes and syncs of the write-ahead log fail on demand. */
#ifndef TESTS_LIB_FAULT_VFS_H
#define TESTS_LIB_FAULT_VFS_H

enum fault { FAULT_NONE, FAULT_SYNC, FAULT_WRITE_FULL, FAULT_WRITE_ERROR };

/* Make it the default of this process. Call once, before the first connection. */
void fault_vfs_install(void);
/* From the call number `after` on (0: the next one), `fault` happens until it is set to none. Not
 * thread-safe: one connection writes. */
void fault_vfs_set(enum fault fault, int after);

#endif
