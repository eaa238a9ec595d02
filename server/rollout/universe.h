/* SPDX-License-Identifier: Apache-2.0
 *
 * What the planner knows of software: modules, versions, what they require, need and are made of, and
 * the distinct sets that devices have installed. Pure data, built once per plan, then read only.
 *
 * DESIGN. Everything is an index: modules, versions, ranges, predicates, artifacts, states. Names are
 * interned. The builder never needs a check: the first failure sticks and universe_seal tells it.
 * A version that devices report but nobody published is there too, without requirements or bytes.
 * What depends on a device (a variant's selector, a need of its runtime or memory) is a *predicate*:
 * the loader evaluates each distinct one once over the fleet; the bits of a device are its
 * *signature*. Devices of equal state and signature are alike to the planner. */
#ifndef ROLLOUT_UNIVERSE_H
#define ROLLOUT_UNIVERSE_H

#include "lib/arena.h"
#include "lib/semver.h"

#define UNIVERSE_NONE   UINT32_MAX /* no version (absent), no artifact */
#define UNIVERSE_ALWAYS UINT32_MAX /* the predicate that every device meets */

enum universe_tier { TIER_DEVICE, TIER_GATEWAY };

struct universe_module {
	const char *name;
	const char *kind; /* "wasm" …; "" when it was never published */
	enum universe_tier tier;
	bool published;
	uint32_t first, n; /* its versions in universe.sorted, lowest first; set by universe_seal */
};

struct universe_version {
	const char *text;
	struct fl_semver semver; /* of text; only if `valid` */
	const char *blocked;     /* why it is blocked; NULL: it is not */
	uint32_t module;
	uint32_t first_requirement, n_requirements; /* in universe.requirements */
	uint32_t first_need, n_needs;               /* in universe.needs */
	uint32_t first_variant, n_variants;         /* in universe.variants, in their order */
	bool valid;                                 /* the text is a semver version */
	bool published;                             /* false: only reported by devices */
	bool floor;                                 /* must be passed through */
	bool one_way;                               /* `downgrade: no` */
};

struct universe_requirement {
	uint32_t version; /* whose */
	uint32_t module;  /* on the same device, or on its gateway */
	uint32_t range;
};

struct universe_need {
	uint32_t version, predicate;
};

struct universe_variant {
	uint32_t version, predicate;
	uint32_t artifact; /* UNIVERSE_NONE: declared without bytes */
};

struct universe_range {
	const char *text;
	struct fl_range range;
};

/* Something that a device meets or not: exactly one of selector and attribute is given. */
struct universe_predicate {
	const char *selector;  /* RSQL; NULL: a need */
	const char *attribute; /* a need: this attribute of the device … */
	const char *range;     /* … lies in this (predicate_meets) */
};

struct universe_artifact {
	uint8_t sha256[32];
	int64_t size;
	int64_t id; /* the store's key */
};

struct universe_state {
	uint32_t first, n; /* in universe.installed, ordered by module; one version per module */
};

/* A growing array; internal to the universe's builder. */
struct universe_array {
	void *p;
	uint32_t n, cap;
};

struct universe {
	/* read freely after universe_seal */
	struct universe_module *modules;
	struct universe_version *versions;
	struct universe_requirement *requirements;
	struct universe_need *needs;
	struct universe_variant *variants;
	struct universe_range **ranges;
	struct universe_predicate *predicates;
	struct universe_artifact *artifacts;
	struct universe_state *states;
	uint32_t *installed; /* versions of the states */
	uint32_t *sorted;    /* versions by module, then by fl_semver_order; invalid ones first */
	uint32_t n_modules, n_versions, n_ranges, n_predicates, n_artifacts, n_states;
	/* the builder's own */
	struct fl_arena arena;
	struct universe_array array[10];
	struct universe_index *names; /* interned modules, versions, ranges, predicates */
	struct fl_err failure;        /* the first one */
	bool sealed;
};

/* Free everything. Safe twice and on zeroed memory, which is a valid empty universe. */
void universe_fini(struct universe *u);

/* The builder. Texts are copied. Each returns an index that stays valid; after a failure any. */

/* Find or add a module by name. */
uint32_t universe_module(struct universe *u, const char *name);
/* Say that the module is published. */
void universe_publish_module(
	struct universe *u, uint32_t module, const char *kind, enum universe_tier tier);
/* Find or add a version; it is unpublished until universe_publish_version. */
uint32_t universe_version(struct universe *u, uint32_t module, const char *text);
struct universe_publication {
	bool floor, one_way;
	const char *blocked; /* NULL: not blocked */
};
void universe_publish_version(
	struct universe *u, uint32_t version, const struct universe_publication *p);
/* A range that does not parse is a failure that names the version. */
void universe_require(struct universe *u, uint32_t version, uint32_t module, const char *range);
void universe_need(struct universe *u, uint32_t version, uint32_t predicate);
/* Add the next variant of a version. */
void universe_variant(struct universe *u, uint32_t version, uint32_t predicate, uint32_t artifact);
/* Find or add a predicate: a selector … */
uint32_t universe_selector(struct universe *u, const char *rsql);
/* … or a need. */
uint32_t universe_attribute(struct universe *u, const char *attribute, const char *range);
/* Add an artifact; the caller gives each once. */
uint32_t universe_artifact(struct universe *u, const uint8_t sha256[32], int64_t size, int64_t id);
/* Add a state: what devices have installed, in any order. */
uint32_t universe_state(struct universe *u, const uint32_t *versions, uint32_t n);

/* End of building: sort, check. FL_NOMEM; FL_INVALID (a range, two versions of one module in a state). */
enum fl_code universe_seal(struct universe *u, struct fl_err *err) FL_MUST_CHECK;

/* Whether a device whose attribute has the text `value` (NULL: it has none) meets a need with this
 * range. `*`: it has any. A value of up to three numbers joined by dots, or a semver version, is
 * compared as a version: 1.2 is 1.2.0, 128 is 128.0.0 (so that ">=64 <=512" means what it says).
 * Otherwise the range is a word that must be the value or, in a list (joined by commas, blanks or as a
 * JSON array), one of its parts. */
bool predicate_meets(const char *value, const char *range);

/* The version of `module` in a state, UNIVERSE_NONE if it is not installed. Sealed only. */
uint32_t universe_installed(const struct universe *u, uint32_t state, uint32_t module);
/* Find a module by name, UNIVERSE_NONE. */
uint32_t universe_find(const struct universe *u, const char *name);
/* Whether `version` (may be UNIVERSE_NONE) lies in range `range`. */
bool universe_in_range(const struct universe *u, uint32_t version, uint32_t range);

#endif
