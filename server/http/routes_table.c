/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of tbl/routes.h with their handlers. Apart from routes.c, so that the tree can be tested
 * without linking every handler. */
#include "server/http/routes.h"

#include "server/http/handlers.h"

static const struct route rows[] = {
#define ROUTE(method, path, who, limit, lane, handler, summary) \
	{ METHOD_##method, path, who, limit, LANE_##lane, handler, #handler, summary },
#include "server/tbl/routes.h"
#undef ROUTE
};

static const struct {
	unsigned bit;
	const char *text;
} who_texts[] = {
	{ WHO_VIEWER, "viewer" },
	{ WHO_PUBLISHER, "publisher" },
	{ WHO_OPERATOR, "operator" },
	{ WHO_APPROVER, "approver" },
	{ WHO_ADMIN, "admin" },
	{ WHO_ENROLLER, "enroller" },
	{ WHO_DEVICE, "device session" },
	{ WHO_DEVICE_KEY, "device key" },
};

const struct route *routes_table(size_t *n)
{
	*n = FL_COUNT(rows);
	return rows;
}

static void add_who(struct fl_buf *b, unsigned who)
{
	const char *separator = "";

	if (who == WHO_ANYONE)
		fl_buf_str(b, "anyone");
	for (size_t i = 0; i < FL_COUNT(who_texts); i++) {
		if ((who & who_texts[i].bit) == 0)
			continue;
		fl_buf_printf(b, "%s%s", separator, who_texts[i].text);
		separator = ", ";
	}
}

void routes_manual(struct fl_buf *b)
{
	for (size_t i = 0; i < FL_COUNT(rows); i++) {
		fl_buf_printf(b, ".It Ic %s %s\n%s.\n(", routes_method_text(rows[i].method),
			rows[i].path, rows[i].summary);
		add_who(b, rows[i].who);
		if (rows[i].body_limit > 0)
			fl_buf_printf(
				b, "; body up to %lld KiB", (long long)(rows[i].body_limit / 1024));
		fl_buf_str(b, ")\n");
	}
}
