/* SPDX-License-Identifier: Apache-2.0 */
#include "server/delta_wish.h"

#include <string.h>

#include "server/delta_tiers.h"

_Static_assert(DELTA_TIERS <= 8 * sizeof(delta_mask), "a bit for each tier");

/* Whether a comma-separated list has the name. */
static bool list_has(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; p != NULL; p = strchr(p, ','), p = p == NULL ? NULL : p + 1)
		if (strncmp(p, name, n) == 0 && (p[n] == ',' || p[n] == '\0'))
			return true;
	return false;
}

delta_mask delta_wish_quick(void)
{
	delta_mask mask = 0;

	for (size_t i = 0; i < DELTA_TIERS; i++)
		mask |= (delta_mask)delta_tiers[i].quick << i;
	return mask;
}

/* Row i's codec: delta_wish_check has seen that there is one. */
static const struct fl_codec *codec_of(size_t i)
{
	const struct fl_codec *codec = fl_codec_find(delta_tiers[i].codec);

	FL_BUG_IF(codec == NULL);
	return codec;
}

enum fl_code delta_wish_check(struct fl_err *err)
{
	int families = 0;

	for (size_t i = 0; i < DELTA_TIERS; i++) {
		const struct delta_tier *t = &delta_tiers[i];

		if (fl_codec_find(t->codec) == NULL)
			return fl_fail(err, FL_INTERNAL,
				"deltas shall be built with the codec %s, which this build does "
				"not have",
				t->codec);
		if (t->family > families + 1 ||
			(t->family != 0 && t->family <= families &&
				delta_tiers[i - 1].family != t->family))
			return fl_fail(err, FL_INTERNAL,
				"the codecs of family %d are not one behind the other", t->family);
		families = t->family > families ? t->family : families;
	}
	return FL_OK;
}

delta_mask delta_wish_with_old(void)
{
	delta_mask mask = 0;

	for (size_t i = 0; i < DELTA_TIERS; i++)
		mask |= (delta_mask)codec_of(i)->needs_old << i;
	return mask;
}

/* Whether row i begins a family, or has none. */
static bool is_first(size_t i)
{
	return delta_tiers[i].family == 0 || i == 0 ||
		delta_tiers[i - 1].family != delta_tiers[i].family;
}

delta_mask delta_wish_usual(void)
{
	delta_mask mask = 0;

	for (size_t i = 0; i < DELTA_TIERS; i++)
		if (!delta_tiers[i].quick && is_first(i))
			mask |= (delta_mask)1 << i;
	return mask;
}

delta_mask delta_wish_instead(size_t tier)
{
	size_t last = tier;

	while (last + 1 < DELTA_TIERS && !is_first(last + 1))
		last++;
	return last == tier ? 0 : (delta_mask)1 << last;
}

delta_mask delta_wish_tier(const struct delta *d)
{
	for (size_t i = 0; i < DELTA_TIERS; i++)
		if (delta_tiers[i].level == d->level && strcmp(delta_tiers[i].codec, d->codec) == 0)
			return (delta_mask)1 << i;
	return 0;
}

static bool fits(const struct delta_wish *w, const struct fl_codec *codec, int64_t from_size,
	int64_t to_size)
{
	uint64_t from = from_size < 0 ? 0 : (uint64_t)from_size;

	return w->memory == 0 ||
		codec->decode_memory(from, (uint64_t)to_size) <= (uint64_t)w->memory;
}

bool delta_wish_takes(const struct delta_wish *w, const struct delta *d)
{
	return list_has(w->codecs, d->codec) && (w->memory == 0 || d->memory <= w->memory);
}

/* Megabytes a second; 0: takes no time worth counting. */
static int64_t rate_of(const char *codec)
{
	for (size_t i = 0; i < DELTA_TIERS; i++)
		if (strcmp(delta_tiers[i].codec, codec) == 0)
			return delta_tiers[i].decode_rate;
	return 0;
}

int64_t delta_wish_cost(
	const struct delta_wish *w, const char *codec, int64_t size, int64_t to_size)
{
	int64_t decode = rate_of(codec), cost;

	if (w->rate == 0)
		return size;
	cost = size * 1000 / (w->rate < 1000 ? 1 : w->rate / 1000);
	/* bytes by megabytes a second are microseconds */
	return decode == 0 ? cost : cost + to_size / decode * 100 / (w->speed < 1 ? 1 : w->speed);
}

/* What a delta of row i will cost, as far as one can say before it is built. */
static int64_t expected_cost(const struct delta_wish *w, size_t i, int64_t to_size)
{
	const struct delta_tier *t = &delta_tiers[i];

	return delta_wish_cost(w, t->codec, to_size / 1000 * t->permille, to_size);
}

delta_mask delta_wish_tiers(const struct delta_wish *w, int64_t from_size, int64_t to_size)
{
	delta_mask mask = 0, best = 0; /* of the present family */
	int64_t least = 0;

	for (size_t i = 0; i < DELTA_TIERS; i++) {
		const struct fl_codec *codec = codec_of(i);
		int64_t cost = expected_cost(w, i, to_size);

		if (is_first(i)) {
			mask |= best;
			best = 0;
		}
		if (codec->needs_old != (from_size >= 0) || !list_has(w->codecs, codec->name) ||
			!fits(w, codec, from_size, to_size) || (best != 0 && cost >= least))
			continue;
		best = (delta_mask)1 << i;
		least = cost;
	}
	return mask | best;
}
