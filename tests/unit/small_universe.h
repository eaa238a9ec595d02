/* SPDX-License-Identifier: Apache-2.0
 *
 * Universes, releases and devices in a few words, for the tests of the planner. */
#ifndef SMALL_UNIVERSE_H
#define SMALL_UNIVERSE_H

#include "lib/buf.h"
#include "server/rollout/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct small {
	struct universe u;
	struct resolve_entry entries[64];
	uint32_t n_entries;
	struct resolve_place places[16];
	uint32_t n_places;
	bool gateway;
	uint64_t signature; /* of every place */
	uint32_t artifacts;
};

/* Call fn for each piece of `text` between commas, without the blanks around it. */
static inline void small_each(const char *text, void (*fn)(struct small *s, char *piece, void *p),
	struct small *s, void *p)
{
	char copy[1024], *rest = NULL;

	assert_true(strlen(text) < sizeof(copy));
	memcpy(copy, text, strlen(text) + 1);
	for (char *piece = strtok_r(copy, ",", &rest); piece != NULL;
		piece = strtok_r(NULL, ",", &rest)) {
		char *end;

		piece += strspn(piece, " ");
		for (end = piece + strlen(piece); end > piece && end[-1] == ' '; end--)
			end[-1] = '\0';
		if (*piece != '\0')
			fn(s, piece, p);
	}
}

/* Split "app 1.0.0" at its first blank. */
static inline const char *small_split(char *piece)
{
	char *blank = strchr(piece, ' ');

	if (blank == NULL)
		return "";
	*blank = '\0';
	return blank + 1;
}

static inline uint32_t small_module(struct small *s, const char *name)
{
	uint32_t m = universe_module(&s->u, name);

	/* Names in capitals are a gateway's. */
	universe_publish_module(&s->u, m, "wasm", name[0] <= 'Z' ? TIER_GATEWAY : TIER_DEVICE);
	return m;
}

static inline void small_require(struct small *s, char *piece, void *p)
{
	const char *range = small_split(piece);

	universe_require(&s->u, *(uint32_t *)p, small_module(s, piece), range);
}

/* Publish "app 2.0.0" that requires "lib ^2, runtime >=1". A '!' behind the version: a floor; '#':
 * blocked; '$': no way down; '-': without bytes. */
static inline uint32_t small_publish(struct small *s, const char *what, const char *requires)
{
	char copy[256], *version;
	size_t n;
	struct universe_publication flags = { 0 };
	bool bytes = true;
	uint32_t v;
	uint8_t sha[32] = { 0 };

	assert_true(strlen(what) < sizeof(copy));
	memcpy(copy, what, strlen(what) + 1);
	version = (char *)small_split(copy);
	for (n = strlen(version); n > 0 && strchr("!#$-", version[n - 1]) != NULL;
		version[--n] = '\0') {
		flags.floor |= version[n - 1] == '!';
		flags.one_way |= version[n - 1] == '$';
		bytes = bytes && version[n - 1] != '-';
		if (version[n - 1] == '#')
			flags.blocked = "it burns";
	}
	v = universe_version(&s->u, small_module(s, copy), version);
	universe_publish_version(&s->u, v, &flags);
	small_each(requires, small_require, s, &v);
	sha[0] = (uint8_t)s->artifacts;
	sha[1] = (uint8_t)(s->artifacts >> 8);
	s->artifacts++;
	universe_variant(&s->u, v, UNIVERSE_ALWAYS,
		bytes ? universe_artifact(&s->u, sha, 1000 + s->artifacts, s->artifacts)
		      : UNIVERSE_NONE);
	return v;
}

struct small_list {
	uint32_t v[64], n;
};

static inline void small_install(struct small *s, char *piece, void *p)
{
	struct small_list *list = p;
	const char *version = small_split(piece);

	list->v[list->n++] = universe_version(&s->u, small_module(s, piece), version);
}

/* A state, as "app 1.0.0, lib 1.0.0". */
static inline uint32_t small_state(struct small *s, const char *installed)
{
	struct small_list list = { .n = 0 };

	small_each(installed, small_install, s, &list);
	return universe_state(&s->u, list.v, list.n);
}

/* A place with these installed; the first is the gateway if s->gateway is set. */
static inline void small_place(struct small *s, const char *installed)
{
	s->places[s->n_places] = (struct resolve_place){ .state = small_state(s, installed),
		.signature = &s->signature,
		.tier = s->gateway && s->n_places == 0 ? TIER_GATEWAY : TIER_DEVICE };
	s->n_places++;
}

static inline void small_entry(struct small *s, char *piece, void *p)
{
	struct resolve_entry e = { .action = RESOLVE_UPDATE, .version = UNIVERSE_NONE };
	const char *version;

	(void)p;
	if (*piece == '+')
		e.action = RESOLVE_INSTALL;
	else if (*piece == '~')
		e.action = RESOLVE_ABSENT;
	piece += e.action != RESOLVE_UPDATE;
	version = small_split(piece);
	e.module = small_module(s, piece);
	if (e.action != RESOLVE_ABSENT)
		e.version = universe_version(&s->u, e.module, version);
	s->entries[s->n_entries++] = e;
}

/* The release, as "app 2.0.0, +new 1.0.0, ~old": update, install, absent. */
static inline void small_release(struct small *s, const char *entries)
{
	s->n_entries = 0;
	small_each(entries, small_entry, s, NULL);
}

static inline void small_seal(struct small *s)
{
	struct fl_err err;

	if (universe_seal(&s->u, &err) != FL_OK)
		fail_msg("%s", err.msg);
}

static inline struct resolve_problem small_problem(struct small *s)
{
	return (struct resolve_problem){ .universe = &s->u,
		.entries = s->entries,
		.n_entries = s->n_entries,
		.places = s->places,
		.n_places = s->n_places,
		.gateway = s->gateway };
}

static inline const char *small_text(const struct small *s, uint32_t version)
{
	return version == UNIVERSE_NONE ? "-" : s->u.versions[version].text;
}

/* The hops as "lib 1.0.0>2.0.0 | app 1.0.0>2.0.0 + x ->1.0.0": units between bars; with a gateway
 * "@0" names the place. A refusal: its sentence, then " / " and its chain. */
static inline void small_describe(
	const struct small *s, const struct resolve_result *r, struct fl_buf *b)
{
	if (r->outcome != RESOLVE_OK) {
		fl_buf_printf(b, "%s: %s",
			r->outcome == RESOLVE_CONFLICT ? "conflict" : "incompatible", r->reason);
		for (uint32_t i = 0; i < r->n_chain; i++)
			fl_buf_printf(b, " / %s", r->chain[i]);
		return;
	}
	for (uint32_t i = 0; i < r->n_hops; i++) {
		const struct resolve_hop *h = &r->hops[i];

		if (i > 0)
			fl_buf_str(b, h->unit == h[-1].unit ? " + " : " | ");
		fl_buf_str(b, s->u.modules[h->module].name);
		if (s->gateway)
			fl_buf_printf(b, "@%u", h->place);
		fl_buf_printf(b, " %s>%s", small_text(s, h->from), small_text(s, h->to));
	}
}

/* Resolve and compare with small_describe; ends the universe. */
static inline void small_expect(struct small *s, const char *wanted)
{
	struct resolve_problem p;
	struct resolve_result r = { 0 };
	struct fl_err err;
	FL_AUTO_BUF struct fl_buf b = { 0 };

	small_seal(s);
	p = small_problem(s);
	if (resolve(&p, &r, &err) != FL_OK)
		fail_msg("%s", err.msg);
	fl_buf_str(&b, "");
	small_describe(s, &r, &b);
	fl_buf_byte(&b, '\0');
	if (strcmp((char *)b.p, wanted) != 0)
		fail_msg("\n got:    %s\n wanted: %s", (char *)b.p, wanted);
	resolve_fini(&r);
	universe_fini(&s->u);
}

#endif
