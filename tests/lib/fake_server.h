/* SPDX-License-Identifier: Apache-2.0
 *
 * A struct server with settings, metrics and a database in a temporary folder, without threads. */
#ifndef TESTS_LIB_FAKE_SERVER_H
#define TESTS_LIB_FAKE_SERVER_H

#include "server/server.h"

struct fake_server {
	struct server server;
	struct fl_conf conf;
	struct settings settings;
	char folder[64];
};

/* Make it; the database is open (store/batch.h). Fails the test when it cannot. */
void fake_server_init(struct fake_server *f);
/* Close the database and open it again, as a new start would. */
void fake_server_restart(struct fake_server *f);
/* Close everything and remove the folder. */
void fake_server_fini(struct fake_server *f);

#endif
