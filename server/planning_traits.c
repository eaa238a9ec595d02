/* SPDX-License-Identifier: Apache-2.0
 *
 * From attributes and labels to signatures (which predicates of the universe a device meets) and
 * strata. One pass over the wide rows; equal texts in a row of devices are read once. */
#include "server/planning_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_SIZE     4096 /* texts kept; a power of two */
#define SIGNATURES_MAX 4096
#define STRATA_MAX     1000
#define DENSE          3 /* of so many numbers one is meant */

/* What a text of attributes and labels came to. */
struct cached {
	char *text; /* attributes, NUL, labels; owned */
	size_t n;
	uint32_t signature, stratum;
};

struct traits {
	struct planning_loader *l;
	struct rsql **selectors; /* per predicate; NULL: a need. Owned */
	size_t words;            /* of a signature */
	uint64_t *bits;          /* of the current device; owned */
	struct cached *cache;    /* owned */
	char **strata;           /* values, joined; owned */
	uint32_t n_strata, cap_strata;
	size_t at; /* where the next device stands */
};

static enum fl_code nomem(struct fl_err *err)
{
	return fl_fail(err, FL_NOMEM, "no memory to plan");
}

/* ---- values */

/* Append the value of a key as text; false: there is none. */
static bool add_value(struct fl_buf *b, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (value == NULL || json_is_null(value))
		return false;
	if (json_is_string(value))
		fl_buf_add(b, json_string_value(value), json_string_length(value));
	else
		fl_json_write(b, value);
	return true;
}

bool planning_add_value(const struct planning_traits *t, const char *field, struct fl_buf *b)
{
	const char *dot = strchr(field, '.');

	return add_value(b, dot - field == 5 ? t->labels : t->attributes, dot + 1);
}

static bool meets_need(const struct universe_predicate *p, const json_t *attributes)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	if (!add_value(&b, attributes, p->attribute))
		return false;
	fl_buf_byte(&b, '\0');
	return !b.failed && predicate_meets((const char *)b.p, p->range);
}

static void find_bits(struct traits *t, const json_t *attributes)
{
	const struct universe *u = &t->l->s->universe;
	struct rsql_subject subject = { .id = "", .tier = "", .attributes = attributes };

	memset(t->bits, 0, t->words * sizeof(*t->bits));
	for (uint32_t i = 0; i < u->n_predicates; i++) {
		bool meets = t->selectors[i] != NULL ? rsql_matches(t->selectors[i], &subject)
						     : meets_need(&u->predicates[i], attributes);

		if (meets)
			t->bits[i / 64] |= 1ULL << (i % 64);
	}
}

/* ---- interning: there are few of both */

static enum fl_code intern_signature(struct traits *t, uint32_t *out, struct fl_err *err)
{
	struct planning_snapshot *s = t->l->s;
	size_t size = t->words * sizeof(*t->bits);

	for (uint32_t i = 0; i < s->in.n_signatures; i++) {
		if (memcmp(s->signatures + i * t->words, t->bits, size) == 0) {
			*out = i;
			return FL_OK;
		}
	}
	if (s->in.n_signatures == SIGNATURES_MAX)
		return fl_fail(err, FL_REFUSED,
			"the devices differ in more than %d ways for the variants' selectors and "
			"the "
			"needs: narrow the rollout's selector",
			SIGNATURES_MAX);
	if (!planning_grow(&s->signatures, s->in.n_signatures, &t->l->cap_signatures, size + 1))
		return nomem(err);
	memcpy(s->signatures + s->in.n_signatures * t->words, t->bits, size);
	*out = s->in.n_signatures++;
	return FL_OK;
}

static enum fl_code intern_stratum(
	struct traits *t, const char *text, uint32_t *out, struct fl_err *err)
{
	for (uint32_t i = 0; i < t->n_strata; i++) {
		if (strcmp(t->strata[i], text) == 0) {
			*out = i;
			return FL_OK;
		}
	}
	if (t->n_strata == STRATA_MAX)
		return fl_fail(err, FL_REFUSED,
			"the strata have more than %d values: choose attributes that divide the "
			"fleet into "
			"fewer parts",
			STRATA_MAX);
	if (!planning_grow(&t->strata, t->n_strata, &t->cap_strata, sizeof(*t->strata)) ||
		(t->strata[t->n_strata] = strdup(text)) == NULL)
		return nomem(err);
	*out = t->n_strata++;
	return FL_OK;
}

static enum fl_code find_stratum(
	struct traits *t, const struct planning_traits *of, uint32_t *out, struct fl_err *err)
{
	const struct strategy *s = t->l->rq->strategy;
	FL_AUTO_BUF struct fl_buf b = { 0 };

	for (size_t i = 0; i < s->n_strata; i++) {
		/* What a device does not have is a value of its own. */
		if (!planning_add_value(of, s->strata[i], &b))
			fl_buf_byte(&b, 1);
		fl_buf_byte(&b, 2);
	}
	fl_buf_byte(&b, '\0');
	return b.failed ? nomem(err) : intern_stratum(t, (const char *)b.p, out, err);
}

/* ---- devices */

static enum fl_code read_texts(
	struct traits *t, const struct device *d, struct cached *c, struct fl_err *err)
{
	FL_AUTO_JSON json_t *attributes = json_loads(d->attributes, 0, NULL);
	FL_AUTO_JSON json_t *labels = json_loads(d->labels, 0, NULL);
	enum fl_code code;

	find_bits(t, attributes);
	code = intern_signature(t, &c->signature, err);
	return code == FL_OK
		? find_stratum(t, &(struct planning_traits){ attributes, labels }, &c->stratum, err)
		: code;
}

static uint32_t text_hash(const char *a, size_t n, uint32_t h)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)a[i]) * 16777619U;
	return h;
}

/* The entry of the cache for this device, filled. */
static enum fl_code look_up(
	struct traits *t, const struct device *d, struct cached **out, struct fl_err *err)
{
	size_t na = strlen(d->attributes) + 1, nl = strlen(d->labels) + 1;
	uint32_t h = text_hash(d->labels, nl, text_hash(d->attributes, na, 2166136261U));
	struct cached *c = &t->cache[(h ^ h >> 16) & (CACHE_SIZE - 1)];
	char *text;

	*out = c;
	if (c->text != NULL && c->n == na + nl && memcmp(c->text, d->attributes, na) == 0 &&
		memcmp(c->text + na, d->labels, nl) == 0)
		return FL_OK;
	text = realloc(c->text, na + nl);
	if (text == NULL)
		return nomem(err);
	memcpy(text, d->attributes, na);
	memcpy(text + na, d->labels, nl);
	c->text = text;
	c->n = na + nl;
	return read_texts(t, d, c, err);
}

static enum fl_code on_device(void *context, const struct device *d, struct fl_err *err)
{
	struct traits *t = context;
	struct planning_devices *devices = &t->l->s->devices;
	struct cached *c;
	enum fl_code code;

	/* Both loops are ordered by number, and come from one snapshot. */
	while (t->at < devices->n && devices->no[t->at] < d->no)
		t->at++;
	if (t->at == devices->n || devices->no[t->at] != d->no)
		return FL_OK;
	code = look_up(t, d, &c, err);
	if (code == FL_OK) {
		devices->signature[t->at] = c->signature;
		devices->stratum[t->at] = c->stratum;
	}
	return code;
}

/* ---- all together */

static enum fl_code parse_selectors(struct traits *t, struct fl_err *err)
{
	const struct universe *u = &t->l->s->universe;
	enum fl_code code = FL_OK;

	t->selectors = calloc((size_t)u->n_predicates + 1, sizeof(*t->selectors));
	t->words = ((size_t)u->n_predicates + 63) / 64;
	t->bits = calloc(t->words + 1, sizeof(*t->bits));
	t->cache = calloc(CACHE_SIZE, sizeof(*t->cache));
	if (t->selectors == NULL || t->bits == NULL || t->cache == NULL)
		return nomem(err);
	for (uint32_t i = 0; i < u->n_predicates && code == FL_OK; i++) {
		if (u->predicates[i].selector != NULL)
			code = rsql_parse(u->predicates[i].selector, &t->selectors[i], err);
	}
	return code;
}

static void traits_fini(struct traits *t)
{
	for (uint32_t i = 0; t->selectors != NULL && i < t->l->s->universe.n_predicates; i++)
		rsql_free(t->selectors[i]);
	for (uint32_t i = 0; i < t->n_strata; i++)
		free(t->strata[i]);
	for (uint32_t i = 0; t->cache != NULL && i < CACHE_SIZE; i++)
		free(t->cache[i].text);
	free(t->strata);
	free(t->selectors);
	free(t->bits);
	free(t->cache);
}

/* Whether most devices between the first and the last are meant: then no selector is asked again. */
static bool is_dense(const struct planning_devices *d)
{
	return d->n > 0 && (size_t)(d->no[d->n - 1] - d->no[0]) < d->n * DENSE;
}

enum fl_code planning_load_traits(
	struct planning_loader *l, const struct device_filter *filter, struct fl_err *err)
{
	const struct planning_devices *d = &l->s->devices;
	struct traits t = { .l = l };
	enum fl_code code = FL_OK;

	/* Nobody asks: one signature, one stratum. */
	if (l->s->universe.n_predicates > 0 || l->rq->strategy->n_strata > 0) {
		code = parse_selectors(&t, err);
		if (code == FL_OK && is_dense(d))
			code = device_each_profile(
				l->store, d->no[0], d->no[d->n - 1], on_device, &t, err);
		else if (code == FL_OK)
			code = device_select(l->store, filter, on_device, &t, err);
		traits_fini(&t);
	}
	return code;
}
