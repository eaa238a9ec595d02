/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fake_server.h"

#include "server/metrics.h"
#include "server/parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void up(struct fake_server *f)
{
	struct fl_err err = { 0 };

	if (database_up(&f->server, &err) != FL_OK)
		fail_msg("%s", err.msg);
}

void fake_server_init(struct fake_server *f)
{
	struct fl_err err = { 0 };
	char *argv[] = { (char *)(uintptr_t) "fleetd", (char *)(uintptr_t) "--data-dir", f->folder,
		NULL };
	int argc = 3;

	memset(f, 0, sizeof(*f));
	(void)snprintf(f->folder, sizeof(f->folder), "/tmp/fleetd-test.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	assert_int_equal(settings_load(&f->conf, &f->settings, NULL, &argc, argv, &err), FL_OK);
	f->server.settings = &f->settings;
	f->server.metrics = metrics_new();
	up(f);
}

void fake_server_restart(struct fake_server *f)
{
	database_down(&f->server);
	up(f);
}

void fake_server_fini(struct fake_server *f)
{
	static const char *const names[] = { "fleetd.db", "fleetd.db-wal", "fleetd.db-shm" };
	char path[128];

	database_down(&f->server);
	metrics_free(f->server.metrics);
	fl_conf_fini(&f->conf);
	for (size_t i = 0; i < FL_COUNT(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", f->folder, names[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(f->folder), 0);
}
