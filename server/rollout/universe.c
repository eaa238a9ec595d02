/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/universe.h"

#include "lib/buf.h"

#include <stdlib.h>
#include <string.h>

enum {
	MODULES,
	VERSIONS,
	REQUIREMENTS,
	NEEDS,
	VARIANTS,
	RANGES,
	PREDICATES,
	ARTIFACTS,
	STATES,
	INSTALLED
};

#define AT(u, kind, type, i) (&((struct type *)(u)->array[kind].p)[i])

/* Enough for every real registry; the indices stay far from UNIVERSE_NONE. */
#define ELEMENTS_MAX (1U << 28)

/* ---- memory */

static void fail_nomem(struct universe *u)
{
	if (u->failure.code == FL_OK)
		(void)fl_fail(&u->failure, FL_NOMEM, "no memory for the planner's universe");
}

/* A new zeroed element at the end of an array; NULL after a failure. */
static void *push(struct universe *u, int kind, size_t size)
{
	struct universe_array *a = &u->array[kind];
	void *p;

	FL_BUG_IF(u->sealed);
	if (u->failure.code != FL_OK)
		return NULL;
	if (a->n == a->cap) {
		uint32_t cap = a->cap == 0 ? 64 : a->cap * 2;

		p = cap > ELEMENTS_MAX ? NULL : realloc(a->p, cap * size);
		if (p == NULL) {
			fail_nomem(u);
			return NULL;
		}
		a->p = p;
		a->cap = cap;
	}
	p = (char *)a->p + a->n++ * size;
	memset(p, 0, size);
	return p;
}

static const char *copy(struct universe *u, const char *s, size_t n)
{
	const char *text = fl_arena_text(&u->arena, s, n);

	if (text == NULL)
		fail_nomem(u);
	return text != NULL ? text : "";
}

/* ---- interned texts: open addressing, twice the room that is needed */

enum name_kind { NAME_FREE, NAME_MODULE, NAME_VERSION, NAME_RANGE, NAME_PREDICATE };

struct name {
	const char *text;
	uint32_t n, kind, parent, index;
};

struct universe_index {
	struct name *slots;
	uint32_t used, cap; /* cap: a power of two */
};

/* FNV-1a over kind, parent and text. */
static uint32_t name_hash(const struct name *k)
{
	uint64_t h = 14695981039346656037ULL ^ k->kind ^ (uint64_t)k->parent << 8;

	for (uint32_t i = 0; i < k->n; i++)
		h = (h ^ (uint8_t)k->text[i]) * 1099511628211ULL;
	return (uint32_t)(h ^ h >> 32);
}

static struct name *name_slot(const struct universe_index *x, const struct name *k)
{
	for (uint32_t i = name_hash(k);; i++) {
		struct name *s = &x->slots[i & (x->cap - 1)];

		if (s->kind == NAME_FREE ||
			(s->kind == k->kind && s->parent == k->parent && s->n == k->n &&
				memcmp(s->text, k->text, k->n) == 0))
			return s;
	}
}

static bool index_grow(struct universe *u)
{
	struct universe_index *x = u->names;
	struct universe_index wider = { .cap = x == NULL || x->cap == 0 ? 256 : x->cap * 2 };

	if (x == NULL)
		x = u->names = calloc(1, sizeof(*x));
	wider.slots = x == NULL ? NULL : calloc(wider.cap, sizeof(*wider.slots));
	if (wider.slots == NULL) {
		fail_nomem(u);
		return false;
	}
	for (uint32_t i = 0; i < x->cap; i++) {
		if (x->slots[i].kind != NAME_FREE)
			*name_slot(&wider, &x->slots[i]) = x->slots[i];
	}
	free(x->slots);
	x->slots = wider.slots;
	x->cap = wider.cap;
	return true;
}

/* Find `key`; *fresh: it was added with key->index and a copy of its text. NULL after a failure. */
static struct name *intern(struct universe *u, struct name key, bool *fresh)
{
	struct name *s;

	*fresh = false;
	if (u->failure.code != FL_OK)
		return NULL;
	if ((u->names == NULL || u->names->used * 2 >= u->names->cap) && !index_grow(u))
		return NULL;
	s = name_slot(u->names, &key);
	if (s->kind != NAME_FREE)
		return s;
	key.text = copy(u, key.text, key.n);
	*s = key;
	u->names->used++;
	*fresh = true;
	return s;
}

void universe_fini(struct universe *u)
{
	for (size_t i = 0; i < FL_COUNT(u->array); i++)
		free(u->array[i].p);
	if (u->names != NULL)
		free(u->names->slots);
	free(u->names);
	free(u->sorted);
	fl_arena_fini(&u->arena);
	memset(u, 0, sizeof(*u));
}

/* ---- the builder */

uint32_t universe_module(struct universe *u, const char *name)
{
	bool fresh;
	struct name *s = intern(u,
		(struct name){ name, (uint32_t)strlen(name), NAME_MODULE, 0, u->array[MODULES].n },
		&fresh);
	struct universe_module *m;

	if (s == NULL)
		return 0;
	if (fresh && (m = push(u, MODULES, sizeof(*m))) != NULL) {
		m->name = s->text;
		m->kind = "";
	}
	return s->index;
}

void universe_publish_module(
	struct universe *u, uint32_t module, const char *kind, enum universe_tier tier)
{
	struct universe_module *m;

	if (u->failure.code != FL_OK)
		return;
	m = AT(u, MODULES, universe_module, module);
	m->published = true;
	m->kind = copy(u, kind, strlen(kind));
	m->tier = tier;
}

uint32_t universe_version(struct universe *u, uint32_t module, const char *text)
{
	bool fresh;
	struct name *s = intern(u,
		(struct name){
			text, (uint32_t)strlen(text), NAME_VERSION, module, u->array[VERSIONS].n },
		&fresh);
	struct universe_version *v;

	if (s == NULL)
		return 0;
	if (fresh && (v = push(u, VERSIONS, sizeof(*v))) != NULL) {
		v->text = s->text;
		v->module = module;
		v->valid = fl_semver_parse(s->text, &v->semver, NULL) == FL_OK;
	}
	return s->index;
}

void universe_publish_version(
	struct universe *u, uint32_t version, const struct universe_publication *p)
{
	struct universe_version *v;

	if (u->failure.code != FL_OK)
		return;
	v = AT(u, VERSIONS, universe_version, version);
	v->published = true;
	v->floor = p->floor;
	v->one_way = p->one_way;
	if (p->blocked != NULL)
		v->blocked = copy(u, p->blocked, strlen(p->blocked));
}

/* Find or add a range; `version` is for the sentence. */
static uint32_t add_range(struct universe *u, const char *text, uint32_t version)
{
	bool fresh;
	struct name *s = intern(u,
		(struct name){ text, (uint32_t)strlen(text), NAME_RANGE, 0, u->array[RANGES].n },
		&fresh);
	struct universe_range **slot, *r;

	if (s == NULL || !fresh)
		return s == NULL ? 0 : s->index;
	slot = push(u, RANGES, sizeof(*slot));
	r = fl_arena_get(&u->arena, 1, sizeof(*r));
	if (slot == NULL || r == NULL) {
		fail_nomem(u);
		return 0;
	}
	*slot = r;
	r->text = s->text;
	if (fl_range_parse(s->text, &r->range, &u->failure) != FL_OK) {
		const struct universe_version *v = AT(u, VERSIONS, universe_version, version);

		(void)fl_wrap(&u->failure, "%s %s requires",
			AT(u, MODULES, universe_module, v->module)->name, v->text);
	}
	return s->index;
}

void universe_require(struct universe *u, uint32_t version, uint32_t module, const char *range)
{
	uint32_t index = add_range(u, range, version);
	struct universe_requirement *r = push(u, REQUIREMENTS, sizeof(*r));

	if (r != NULL)
		*r = (struct universe_requirement){ version, module, index };
}

void universe_need(struct universe *u, uint32_t version, uint32_t predicate)
{
	struct universe_need *need = push(u, NEEDS, sizeof(*need));

	if (need != NULL)
		*need = (struct universe_need){ version, predicate };
}

void universe_variant(struct universe *u, uint32_t version, uint32_t predicate, uint32_t artifact)
{
	struct universe_variant *v = push(u, VARIANTS, sizeof(*v));

	if (v != NULL)
		*v = (struct universe_variant){ version, predicate, artifact };
}

uint32_t universe_selector(struct universe *u, const char *rsql)
{
	bool fresh;
	struct name *s = intern(u,
		(struct name){
			rsql, (uint32_t)strlen(rsql), NAME_PREDICATE, 0, u->array[PREDICATES].n },
		&fresh);
	struct universe_predicate *p;

	if (s == NULL)
		return 0;
	if (fresh && (p = push(u, PREDICATES, sizeof(*p))) != NULL)
		p->selector = s->text;
	return s->index;
}

uint32_t universe_attribute(struct universe *u, const char *attribute, const char *range)
{
	size_t n = strlen(attribute) + 1 + strlen(range);
	FL_AUTOFREE char *key = malloc(n + 1);
	struct universe_predicate *p;
	struct name *s;
	bool fresh;

	if (key == NULL) {
		fail_nomem(u);
		return 0;
	}
	/* One text with a NUL between the two, which neither may hold. */
	memcpy(key, attribute, strlen(attribute) + 1);
	memcpy(key + strlen(attribute) + 1, range, strlen(range) + 1);
	s = intern(u, (struct name){ key, (uint32_t)n, NAME_PREDICATE, 1, u->array[PREDICATES].n },
		&fresh);
	if (s == NULL)
		return 0;
	if (fresh && (p = push(u, PREDICATES, sizeof(*p))) != NULL) {
		p->attribute = s->text;
		p->range = s->text + strlen(s->text) + 1;
	}
	return s->index;
}

uint32_t universe_artifact(struct universe *u, const uint8_t sha256[32], int64_t size, int64_t id)
{
	uint32_t index = u->array[ARTIFACTS].n;
	struct universe_artifact *a = push(u, ARTIFACTS, sizeof(*a));

	if (a != NULL) {
		memcpy(a->sha256, sha256, sizeof(a->sha256));
		a->size = size;
		a->id = id;
	}
	return index;
}

uint32_t universe_state(struct universe *u, const uint32_t *versions, uint32_t n)
{
	uint32_t index = u->array[STATES].n;
	struct universe_state *s = push(u, STATES, sizeof(*s));

	if (s == NULL)
		return 0;
	s->first = u->array[INSTALLED].n;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t *place = push(u, INSTALLED, sizeof(*place));

		if (place != NULL)
			*place = versions[i];
	}
	if (u->failure.code == FL_OK)
		AT(u, STATES, universe_state, index)->n = n;
	return index;
}

/* ---- sealing */

/* Elements whose first member is the version that they belong to: stable sort by it, ranges in
 * first[] and n[] of n_versions. */
static bool group(struct universe *u, int kind, size_t size, size_t first_at, size_t n_at)
{
	struct universe_array *a = &u->array[kind];
	struct universe_version *versions = u->array[VERSIONS].p;
	uint32_t n = u->array[VERSIONS].n, next = 0;
	char *sorted = malloc((size_t)a->cap * size + 1), *from = a->p;

	if (sorted == NULL)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		++*(uint32_t *)(void *)((char *)&versions[*(uint32_t *)(void *)(from + i * size)] +
			n_at);
	for (uint32_t v = 0; v < n; v++) {
		uint32_t *count = (uint32_t *)(void *)((char *)&versions[v] + n_at);

		*(uint32_t *)(void *)((char *)&versions[v] + first_at) = next;
		next += *count;
		*count = 0;
	}
	for (uint32_t i = 0; i < a->n; i++) {
		char *v = (char *)&versions[*(uint32_t *)(void *)(from + i * size)];
		uint32_t place =
			*(uint32_t *)(void *)(v + first_at) + (*(uint32_t *)(void *)(v + n_at))++;

		memcpy(sorted + place * size, from + i * size, size);
	}
	free(a->p);
	a->p = sorted;
	return true;
}

#define GROUP(u, kind, type, first, n)                                                \
	group(u, kind, sizeof(struct type), offsetof(struct universe_version, first), \
		offsetof(struct universe_version, n))

static int by_module_and_order(const void *pa, const void *pb, void *p)
{
	const struct universe *u = p;
	const struct universe_version *a = &u->versions[*(const uint32_t *)pa];
	const struct universe_version *b = &u->versions[*(const uint32_t *)pb];

	if (a->module != b->module)
		return a->module < b->module ? -1 : 1;
	if (a->valid != b->valid)
		return a->valid ? 1 : -1;
	return a->valid ? fl_semver_order(&a->semver, &b->semver) : strcmp(a->text, b->text);
}

static bool sort_versions(struct universe *u)
{
	u->sorted = malloc(((size_t)u->n_versions + 1) * sizeof(*u->sorted));
	if (u->sorted == NULL)
		return false;
	for (uint32_t i = 0; i < u->n_versions; i++)
		u->sorted[i] = i;
	qsort_r(u->sorted, u->n_versions, sizeof(*u->sorted), by_module_and_order, u);
	for (uint32_t i = u->n_versions; i-- > 0;) {
		struct universe_module *m = &u->modules[u->versions[u->sorted[i]].module];

		m->first = i;
		m->n++;
	}
	return true;
}

static int by_module(const void *pa, const void *pb, void *p)
{
	const struct universe *u = p;
	uint32_t a = u->versions[*(const uint32_t *)pa].module;
	uint32_t b = u->versions[*(const uint32_t *)pb].module;

	return (a > b) - (a < b);
}

static void sort_states(struct universe *u)
{
	for (uint32_t i = 0; i < u->n_states; i++) {
		uint32_t *v = u->installed + u->states[i].first, n = u->states[i].n;

		if (n > 0)
			qsort_r(v, n, sizeof(*v), by_module, u);
		for (uint32_t k = 1; k < n && u->failure.code == FL_OK; k++) {
			if (u->versions[v[k]].module == u->versions[v[k - 1]].module)
				(void)fl_fail(&u->failure, FL_INVALID,
					"a device has %s installed twice: %s and %s",
					u->modules[u->versions[v[k]].module].name,
					u->versions[v[k - 1]].text, u->versions[v[k]].text);
		}
	}
}

static void publish_arrays(struct universe *u)
{
	u->modules = u->array[MODULES].p;
	u->versions = u->array[VERSIONS].p;
	u->requirements = u->array[REQUIREMENTS].p;
	u->needs = u->array[NEEDS].p;
	u->variants = u->array[VARIANTS].p;
	u->ranges = u->array[RANGES].p;
	u->predicates = u->array[PREDICATES].p;
	u->artifacts = u->array[ARTIFACTS].p;
	u->states = u->array[STATES].p;
	u->installed = u->array[INSTALLED].p;
	u->n_modules = u->array[MODULES].n;
	u->n_versions = u->array[VERSIONS].n;
	u->n_ranges = u->array[RANGES].n;
	u->n_predicates = u->array[PREDICATES].n;
	u->n_artifacts = u->array[ARTIFACTS].n;
	u->n_states = u->array[STATES].n;
}

enum fl_code universe_seal(struct universe *u, struct fl_err *err)
{
	FL_BUG_IF(u->sealed);
	if (u->failure.code == FL_OK &&
		(!GROUP(u, REQUIREMENTS, universe_requirement, first_requirement, n_requirements) ||
			!GROUP(u, NEEDS, universe_need, first_need, n_needs) ||
			!GROUP(u, VARIANTS, universe_variant, first_variant, n_variants)))
		fail_nomem(u);
	if (u->failure.code == FL_OK) {
		publish_arrays(u);
		if (!sort_versions(u))
			fail_nomem(u);
		else
			sort_states(u);
	}
	if (u->failure.code != FL_OK)
		return fl_fail(err, u->failure.code, "%s", u->failure.msg);
	u->sealed = true;
	return FL_OK;
}

/* ---- questions */

uint32_t universe_installed(const struct universe *u, uint32_t state, uint32_t module)
{
	const struct universe_state *s = &u->states[state];
	uint32_t low = 0, high = s->n;

	while (low < high) {
		uint32_t middle = (low + high) / 2, v = u->installed[s->first + middle];

		if (u->versions[v].module == module)
			return v;
		if (u->versions[v].module < module)
			low = middle + 1;
		else
			high = middle;
	}
	return UNIVERSE_NONE;
}

uint32_t universe_find(const struct universe *u, const char *name)
{
	struct name key = { name, (uint32_t)strlen(name), NAME_MODULE, 0, 0 };
	const struct name *s = u->names == NULL ? NULL : name_slot(u->names, &key);

	return s == NULL || s->kind == NAME_FREE ? UNIVERSE_NONE : s->index;
}

bool universe_in_range(const struct universe *u, uint32_t version, uint32_t range)
{
	return version != UNIVERSE_NONE && u->versions[version].valid &&
		fl_range_has(&u->ranges[range]->range, &u->versions[version].semver);
}

/* ---- needs of a device */

/* Complete "1" and "1.2" to three numbers. */
static bool value_version(const char *value, char out[FL_SEMVER_TEXT_MAX + 1], struct fl_semver *v)
{
	static const char *const rest[] = { ".0.0", ".0" };
	size_t n = strlen(value);
	size_t dots = 0;

	if (n + 4 > FL_SEMVER_TEXT_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		dots += value[i] == '.';
	memcpy(out, value, n + 1);
	if (dots < 2 && strspn(value, "0123456789.") == n)
		memcpy(out + n, rest[dots], strlen(rest[dots]) + 1);
	return fl_semver_parse(out, v, NULL) == FL_OK;
}

static bool has_word(const char *value, const char *word)
{
	static const char separators[] = ", []\"";
	size_t n = strlen(word);

	for (const char *s = value + strspn(value, separators); *s != '\0';) {
		size_t length = strcspn(s, separators);

		if (length == n && memcmp(s, word, n) == 0)
			return true;
		s += length;
		s += strspn(s, separators);
	}
	return strcmp(value, word) == 0;
}

bool predicate_meets(const char *value, const char *range)
{
	char text[FL_SEMVER_TEXT_MAX + 1];
	struct fl_semver v;
	struct fl_range r;

	if (value == NULL)
		return false;
	if (strcmp(range, "*") == 0)
		return true;
	if (value_version(value, text, &v) && fl_range_parse(range, &r, NULL) == FL_OK)
		return fl_range_has(&r, &v);
	return has_word(value, range);
}
