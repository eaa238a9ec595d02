/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of fleetd that makes or reads who this server is, and notes each start in the audit
 * trail. A database of another tenant is refused: its manifests would be refused by the devices. */
#include "config.h" /* PACKAGE_VERSION */

#include "server/identity.h"

#include "lib/digest.h"
#include "server/events.h"
#include "server/parts.h"
#include "server/server.h"
#include "server/store/batch.h"
#include "server/store/instance.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void make_uuid(char out[IDENTITY_UUID_MAX])
{
	uint8_t b[16];

	fl_random(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	(void)snprintf(out, IDENTITY_UUID_MAX,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		b[15]);
}

static enum fl_code note(struct store *store, struct effects *e, enum event_kind kind,
	const char *tenant, struct fl_err *err)
{
	return events_write(store, e,
		&(struct events_line){ .kind = kind,
			.actor = "fleetd",
			.subject = tenant,
			.data = json_pack("{s:s}", "version", PACKAGE_VERSION) },
		err);
}

static enum fl_code create(
	struct server *s, struct store *store, struct effects *e, struct fl_err *err)
{
	struct identity *who = s->identity;
	char created[24];

	make_uuid(who->uuid);
	who->created_ms = store->now_ms;
	(void)snprintf(created, sizeof(created), "%" PRId64, who->created_ms);
	enum fl_code code = instance_put(store, "uuid", who->uuid, err);
	if (code == FL_OK)
		code = instance_put(store, "created_at", created, err);
	if (code == FL_OK)
		code = instance_put(store, "tenant", s->settings->tenant, err);
	if (code == FL_OK)
		code = note(store, e, EVENT_SERVER_CREATED, s->settings->tenant, err);
	return code;
}

static enum fl_code read_all(struct server *s, struct store *store, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf uuid = { 0 }, created = { 0 }, tenant = { 0 };
	struct identity *who = s->identity;
	enum fl_code code = instance_get(store, "uuid", &uuid, err);

	if (code == FL_OK)
		code = instance_get(store, "created_at", &created, err);
	if (code == FL_OK)
		code = instance_get(store, "tenant", &tenant, err);
	if (code != FL_OK)
		return code;
	if (strcmp((const char *)tenant.p, s->settings->tenant) != 0)
		return fl_fail(err, FL_CONFLICT,
			"this database belongs to tenant \"%s\", the setting says \"%s\"; set "
			"tenant or use "
			"another data_dir",
			(const char *)tenant.p, s->settings->tenant);
	(void)snprintf(who->uuid, sizeof(who->uuid), "%s", (const char *)uuid.p);
	who->created_ms = strtoll((const char *)created.p, NULL, 10);
	return FL_OK;
}

static enum fl_code open_identity(
	struct server *s, struct store *store, struct effects *e, void *arg, struct fl_err *err)
{
	enum fl_code code = read_all(s, store, err);

	(void)arg;
	s->identity->started_ms = store->now_ms;
	if (code == FL_NOT_FOUND)
		code = create(s, store, e, err);
	if (code != FL_OK)
		return code;
	return note(store, e, EVENT_SERVER_STARTED, s->settings->tenant, err);
}

enum fl_code identity_up(struct server *s, struct fl_err *err)
{
	s->identity = calloc(1, sizeof(*s->identity));
	if (s->identity == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the identity of this server");
	enum fl_code code = database_run(s, open_identity, NULL, err);
	if (code != FL_OK)
		identity_down(s);
	return code;
}

void identity_down(struct server *s)
{
	free(s->identity);
	s->identity = NULL;
}
