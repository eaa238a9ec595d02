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

delta_mask delta_wish_with_old(void)
{
	delta_mask mask = 0;

	for (size_t i = 0; i < DELTA_TIERS; i++) {
		const struct fl_codec *codec = fl_codec_find(delta_tiers[i].codec);

		mask |= (delta_mask)(codec != NULL && codec->needs_old) << i;
	}
	return mask;
}

delta_mask delta_wish_usual(void)
{
	delta_mask mask = 0;
	uint32_t families = 0;

	for (size_t i = 0; i < DELTA_TIERS; i++) {
		uint32_t family = delta_tiers[i].family == 0 ? 0 : 1U << delta_tiers[i].family;

		if (delta_tiers[i].quick || (families & family) != 0 ||
			fl_codec_find(delta_tiers[i].codec) == NULL)
			continue;
		mask |= (delta_mask)1 << i;
		families |= family;
	}
	return mask;
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

delta_mask delta_wish_tiers(const struct delta_wish *w, int64_t from_size, int64_t to_size)
{
	delta_mask mask = 0;
	uint32_t families = 0;

	for (size_t i = 0; i < DELTA_TIERS; i++) {
		const struct delta_tier *tier = &delta_tiers[i];
		const struct fl_codec *codec = fl_codec_find(tier->codec);
		uint32_t family = tier->family == 0 ? 0 : 1U << tier->family;

		if (codec == NULL || codec->needs_old != (from_size >= 0) ||
			(families & family) != 0 || !list_has(w->codecs, codec->name) ||
			!fits(w, codec, from_size, to_size))
			continue;
		families |= family;
		mask |= (delta_mask)1 << i;
	}
	return mask;
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
