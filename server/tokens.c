/* SPDX-License-Identifier: Apache-2.0 */
#include "server/tokens.h"

#include "lib/digest.h"
#include "lib/log.h"
#include "server/events.h"
#include "server/http/request.h"
#include "server/parts.h"
#include "server/rsql.h" /* RSQL_TEXT_MAX */
#include "server/server.h"
#include "server/store/batch.h"
#include "server/store/token.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_BYTES 32
#define PREFIX       "flt_"

/* What is known of one token. Immutable but for `revoked`. */
struct entry {
	int64_t id;
	uint8_t hash[TOKEN_HASH_BYTES];
	unsigned roles;
	int64_t expires_at; /* ms; 0: never */
	atomic_bool revoked;
	char *selector; /* NULL: everything */
	char name[STORE_NAME_MAX + 1];
};

struct tokens {
	pthread_rwlock_t lock;  /* of the array, not of the entries */
	struct entry **entries; /* by rising id */
	size_t n, cap;
	char first[TOKENS_TEXT_MAX]; /* the first admin's token until it was shown */
};

/* ---- roles */

static const struct {
	const char *name;
	unsigned bit;
} roles[] = {
	{ "viewer", WHO_VIEWER },
	{ "publisher", WHO_PUBLISHER },
	{ "operator", WHO_OPERATOR },
	{ "approver", WHO_APPROVER },
	{ "admin", WHO_ADMIN },
	{ "enroller", WHO_ENROLLER },
};

unsigned tokens_role_parse(const char *name)
{
	for (size_t i = 0; i < FL_COUNT(roles); i++)
		if (strcmp(roles[i].name, name) == 0)
			return roles[i].bit;
	return 0;
}

json_t *tokens_roles_json(unsigned bits)
{
	json_t *array = json_array();

	for (size_t i = 0; array != NULL && i < FL_COUNT(roles); i++)
		if ((bits & roles[i].bit) != 0 &&
			json_array_append_new(array, json_string(roles[i].name)) != 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

void tokens_roles_words(unsigned bits, struct fl_buf *out)
{
	unsigned left = bits & (WHO_ANY_ROLE | WHO_ENROLLER);

	for (size_t i = 0; i < FL_COUNT(roles); i++) {
		if ((left & roles[i].bit) == 0)
			continue;
		left &= ~roles[i].bit;
		fl_buf_printf(out, "%s%s", roles[i].name,
			left == 0                          ? ""
				: (left & (left - 1)) == 0 ? " or "
							   : ", ");
	}
}

/* ---- the text of a token */

static void hash_secret(const uint8_t secret[SECRET_BYTES], uint8_t out[TOKEN_HASH_BYTES])
{
	(void)crypto_generichash(out, TOKEN_HASH_BYTES, secret, SECRET_BYTES, NULL, 0);
}

static void write_text(int64_t id, const uint8_t secret[SECRET_BYTES], char out[TOKENS_TEXT_MAX])
{
	char digits[16];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdefghijklmnopqrstuvwxyz"[id % 36];
		id /= 36;
	} while (id > 0);
	size_t n = sizeof(PREFIX) - 1;
	memcpy(out, PREFIX, n);
	memcpy(out + n, digits + at, sizeof(digits) - at);
	n += sizeof(digits) - at;
	out[n++] = '_';
	fl_base64(secret, SECRET_BYTES, out + n);
}

static bool read_text(const char *text, int64_t *id, uint8_t secret[SECRET_BYTES])
{
	const char *c = text + sizeof(PREFIX) - 1;
	int64_t number = 0;

	if (strncmp(text, PREFIX, sizeof(PREFIX) - 1) != 0 || *c == '_' || *c == '0')
		return false;
	for (; *c != '_'; c++) {
		int digit = *c >= '0' && *c <= '9' ? *c - '0'
			: *c >= 'a' && *c <= 'z'   ? *c - 'a' + 10
						   : -1;

		if (digit < 0 || number > INT64_MAX / 36 - 36)
			return false;
		number = number * 36 + digit;
	}
	*id = number;
	return fl_unbase64_all(c + 1, secret, SECRET_BYTES);
}

/* ---- the set */

enum fl_code tokens_new(struct tokens **out, struct fl_err *err)
{
	struct tokens *t = calloc(1, sizeof(*t));

	if (t == NULL || pthread_rwlock_init(&t->lock, NULL) != 0) {
		free(t);
		return fl_fail(err, FL_NOMEM, "no memory for the tokens");
	}
	*out = t;
	return FL_OK;
}

static void entry_free(struct entry *e)
{
	if (e != NULL)
		free(e->selector);
	free(e);
}

void tokens_free(struct tokens *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++)
		entry_free(t->entries[i]);
	free(t->entries);
	(void)pthread_rwlock_destroy(&t->lock);
	fl_wipe(t->first, sizeof(t->first));
	free(t);
}

/* Where `id` is or belongs. The caller holds the lock. */
static size_t find(const struct tokens *t, int64_t id)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->entries[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct entry *entry_of(struct tokens *t, int64_t id)
{
	struct entry *e = NULL;

	(void)pthread_rwlock_rdlock(&t->lock);
	size_t at = find(t, id);
	if (at < t->n && t->entries[at]->id == id)
		e = t->entries[at];
	(void)pthread_rwlock_unlock(&t->lock);
	return e;
}

static struct entry *entry_new(const struct token *row)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->id = row->id;
	memcpy(e->hash, row->hash, sizeof(e->hash));
	e->roles = row->roles;
	e->expires_at = row->expires_at;
	atomic_init(&e->revoked, row->revoked_at != 0);
	(void)snprintf(e->name, sizeof(e->name), "%s", row->name);
	if (row->selector != NULL && (e->selector = strdup(row->selector)) == NULL) {
		entry_free(e);
		return NULL;
	}
	return e;
}

/* Make room for one more. The caller holds the lock for writing. */
static bool grow(struct tokens *t)
{
	size_t cap = t->cap == 0 ? 64 : t->cap * 2;
	struct entry **entries;

	if (t->n < t->cap)
		return true;
	entries = realloc(t->entries, cap * sizeof(*entries));
	if (entries == NULL)
		return false;
	t->entries = entries;
	t->cap = cap;
	return true;
}

static enum fl_code load_row(void *context, const struct token *row, struct fl_err *err)
{
	struct tokens *t = context;
	struct entry *e = grow(t) ? entry_new(row) : NULL;

	if (e == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the tokens");
	t->entries[t->n++] = e;
	return FL_OK;
}

enum fl_code tokens_load(struct tokens *t, struct store *store, struct fl_err *err)
{
	return token_each(store, 0, -1, load_row, t, err);
}

/* ---- authentication */

enum fl_code tokens_authenticate(struct tokens *t, const char *bearer, int64_t now_ms,
	struct principal *out, struct fl_err *err)
{
	uint8_t secret[SECRET_BYTES], hash[TOKEN_HASH_BYTES];
	const struct entry *e = NULL;
	int64_t id = 0;
	bool good = read_text(bearer, &id, secret);

	*out = (struct principal){ 0 };
	if (good) {
		hash_secret(secret, hash);
		fl_wipe(secret, sizeof(secret));
		e = entry_of(t, id);
		good = e != NULL && fl_equal(e->hash, hash, sizeof(hash)) &&
			!atomic_load(&e->revoked) && (e->expires_at == 0 || e->expires_at > now_ms);
	}
	if (!good)
		return fl_fail(err, FL_UNAUTHENTICATED,
			"this token is unknown, expired or revoked; ask an admin for another");
	out->roles = e->roles;
	out->token_id = e->id;
	out->selector = e->selector;
	memcpy(out->name, e->name, strlen(e->name) + 1);
	return FL_OK;
}

enum fl_code tokens_auth(struct request *rq, const char *bearer, struct fl_err *err)
{
	return tokens_authenticate(rq->server->tokens, bearer, rq->now_ms, &rq->who, err);
}

/* ---- changes */

/* What an effect carries of a new token. */
struct added {
	int64_t id;
	int64_t expires_at;
	unsigned roles;
	bool limited; /* has a selector */
	uint8_t hash[TOKEN_HASH_BYTES];
	char name[STORE_NAME_MAX + 1];
	char selector[RSQL_TEXT_MAX + 1];
};

static void insert(struct tokens *t, struct entry *e)
{
	size_t at = find(t, e->id);

	FL_BUG_IF(at < t->n && t->entries[at]->id == e->id);
	memmove(&t->entries[at + 1], &t->entries[at], (t->n - at) * sizeof(struct entry *));
	t->entries[at] = e;
	t->n++;
}

/* After COMMIT. */
static void add_entry(struct server *server, const void *payload)
{
	struct tokens *t = server->tokens;
	const struct added *a = payload;
	struct token row = { .id = a->id,
		.name = a->name,
		.roles = a->roles,
		.selector = a->limited ? a->selector : NULL,
		.expires_at = a->expires_at };

	memcpy(row.hash, a->hash, sizeof(row.hash));
	struct entry *e = entry_new(&row);
	(void)pthread_rwlock_wrlock(&t->lock);
	if (e != NULL && grow(t))
		insert(t, fl_steal(&e));
	(void)pthread_rwlock_unlock(&t->lock);
	if (e != NULL || entry_of(t, a->id) == NULL)
		fl_log_error("a new token works only after a restart of fleetd: no memory",
			FL_S("token", a->name));
	entry_free(e);
}

static enum fl_code created_event(struct store *store, struct effects *e, int64_t id,
	const struct tokens_spec *spec, struct fl_err *err)
{
	json_t *names = tokens_roles_json(spec->roles);
	json_t *data = json_pack("{s:I, s:o, s:s?, s:o}", "id", (json_int_t)id, "roles", names,
		"selector", spec->selector, "expires_at",
		spec->expires_at == 0 ? json_null() : json_integer(spec->expires_at));

	if (data == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for an event");
	return events_write(store, e,
		&(struct events_line){ .kind = EVENT_TOKEN_CREATED,
			.actor = spec->created_by,
			.subject = spec->name,
			.data = data },
		err);
}

enum fl_code tokens_create(struct store *store, struct effects *e, const struct tokens_spec *spec,
	char text[TOKENS_TEXT_MAX], int64_t *id, struct fl_err *err)
{
	uint8_t secret[SECRET_BYTES];
	struct token row = { .name = spec->name,
		.roles = spec->roles,
		.selector = spec->selector,
		.uses_left = spec->uses,
		.labels = spec->labels,
		.expires_at = spec->expires_at,
		.created_by = spec->created_by };

	fl_random(secret, sizeof(secret));
	hash_secret(secret, row.hash);
	enum fl_code code = token_add(store, &row, id, err);
	if (code == FL_OK)
		code = created_event(store, e, *id, spec, err);
	if (code == FL_OK) {
		struct added a = { .id = *id,
			.expires_at = row.expires_at,
			.roles = row.roles,
			.limited = row.selector != NULL };
		memcpy(a.hash, row.hash, sizeof(a.hash));
		(void)snprintf(a.name, sizeof(a.name), "%s", spec->name);
		(void)snprintf(a.selector, sizeof(a.selector), "%s",
			spec->selector == NULL ? "" : spec->selector);
		effects_after_commit(e, add_entry, &a, sizeof(a));
		write_text(*id, secret, text);
	}
	fl_wipe(secret, sizeof(secret));
	return code;
}

/* After COMMIT. */
static void void_entry(struct server *server, const void *payload)
{
	int64_t id;

	memcpy(&id, payload, sizeof(id));
	struct entry *e = entry_of(server->tokens, id);
	if (e != NULL)
		atomic_store(&e->revoked, true);
}

enum fl_code tokens_revoke(
	struct store *store, struct effects *e, int64_t id, const char *actor, struct fl_err *err)
{
	struct token row = { 0 };
	int64_t others = 0;
	enum fl_code code = token_get(store, id, &row, err);

	if (code != FL_OK || row.revoked_at != 0)
		goto out;
	if ((row.roles & WHO_ADMIN) != 0 && row.selector == NULL) {
		code = token_count(store, WHO_ADMIN, id, &others, err);
		if (code == FL_OK && others == 0)
			code = fl_fail(err, FL_REFUSED,
				"\"%s\" is the last admin token; create another one first",
				row.name);
	}
	if (code == FL_OK)
		code = token_revoke(store, id, err);
	if (code == FL_OK)
		code = events_write(store, e,
			&(struct events_line){
				.kind = EVENT_TOKEN_REVOKED, .actor = actor, .subject = row.name },
			err);
	if (code == FL_OK)
		effects_after_commit(e, void_entry, &id, sizeof(id));
out:
	token_fini(&row);
	return code;
}

enum fl_code tokens_use(struct store *store, struct effects *e, int64_t id, struct fl_buf *labels,
	struct fl_err *err)
{
	struct token row = { 0 };
	int64_t left = -1;
	enum fl_code code = token_use(store, id, &left, err);

	if (code == FL_OK)
		code = token_get(store, id, &row, err);
	if (code == FL_OK) {
		fl_buf_str(labels, row.labels == NULL ? "{}" : row.labels);
		code = fl_buf_check(labels, err);
	}
	if (code == FL_OK && left == 0)
		effects_after_commit(e, void_entry, &id, sizeof(id));
	token_fini(&row);
	return code;
}

/* ---- start and stop */

static enum fl_code first_admin(
	struct server *s, struct store *store, struct effects *e, void *arg, struct fl_err *err)
{
	const struct tokens_spec spec = {
		.name = "admin", .roles = WHO_ADMIN, .uses = -1, .created_by = "fleetd"
	};
	int64_t n = 0, id;
	enum fl_code code = token_count(store, WHO_ADMIN, 0, &n, err);

	(void)arg;
	if (code != FL_OK || n > 0)
		return code;
	return tokens_create(store, e, &spec, s->tokens->first, &id, err);
}

static enum fl_code load(
	struct server *s, struct store *store, struct effects *e, void *arg, struct fl_err *err)
{
	(void)e;
	(void)arg;
	return tokens_load(s->tokens, store, err);
}

enum fl_code tokens_up(struct server *s, struct fl_err *err)
{
	enum fl_code code = tokens_new(&s->tokens, err);

	if (code == FL_OK)
		code = database_run(s, load, NULL, err);
	if (code == FL_OK)
		code = database_run(s, first_admin, NULL, err);
	if (code != FL_OK)
		tokens_down(s);
	return code;
}

void tokens_down(struct server *s)
{
	tokens_free(s->tokens);
	s->tokens = NULL;
}

const char *tokens_first(const struct server *s)
{
	return s->tokens->first[0] == '\0' ? NULL : s->tokens->first;
}

void tokens_forget_first(struct server *s)
{
	fl_wipe(s->tokens->first, sizeof(s->tokens->first));
}
