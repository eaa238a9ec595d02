/* SPDX-License-Identifier: Apache-2.0
 *
 * The digest of a plan: what is approved, and what a start refers to. */
#include "server/rollout/plan_build.h"

#include <sodium.h>

/* Little-endian, so that every machine gives the same digest. */
static uint8_t *put_number(uint8_t *p, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		*p++ = (uint8_t)(v >> (8 * i));
	return p;
}

static void digest_members(struct plan_builder *b)
{
	crypto_generichash_state h;
	uint8_t chunk[14 * 1024], *end = chunk;

	(void)crypto_generichash_init(&h, NULL, 0, sizeof(b->out->members));
	for (size_t i = 0; i < b->in->devices.n; i++) {
		if (b->out->class_of[i] == BUILD_NONE)
			continue;
		end = put_number(end, (uint64_t)b->in->devices.no[i], 8);
		end = put_number(end, b->out->wave_of[i], 2);
		end = put_number(end, b->out->class_of[i], 4);
		if (end == chunk + sizeof(chunk)) {
			(void)crypto_generichash_update(&h, chunk, sizeof(chunk));
			end = chunk;
		}
	}
	(void)crypto_generichash_update(&h, chunk, (size_t)(end - chunk));
	(void)crypto_generichash_final(&h, b->out->members, sizeof(b->out->members));
}

static bool digest_strategy(struct plan_builder *b)
{
	FL_AUTO_JSON json_t *json = strategy_json(b->in->strategy);
	FL_AUTO_BUF struct fl_buf text = { 0 };

	if (json == NULL)
		return build_nomem(b);
	fl_json_write(&text, json);
	if (fl_buf_check(&text, &b->failure) != FL_OK)
		return false;
	(void)crypto_hash_sha256(b->out->strategy, text.p, text.n);
	return true;
}

/* Members that tell of the moment, not of what will be done: other deltas in the cache, other polls. */
static void forget_moment(json_t *plan)
{
	static const char *const members[] = { "forecast", "bytes_delta", "deltas_to_build" };
	json_t *stage;
	size_t i;

	(void)json_object_del(plan, "forecast");
	json_array_foreach (json_object_get(plan, "stages"), i, stage) {
		for (size_t k = 0; k < FL_COUNT(members); k++)
			(void)json_object_del(stage, members[k]);
	}
}

static bool digest_plan(struct plan_builder *b)
{
	FL_AUTO_JSON json_t *json = plan_json(b->out);
	FL_AUTO_BUF struct fl_buf text = { 0 };

	if (json == NULL || json_object_del(json, "digest") != 0)
		return build_nomem(b);
	forget_moment(json);
	if (fl_json_canonical(&text, json, &b->failure) != FL_OK ||
		fl_buf_check(&text, &b->failure) != FL_OK)
		return false;
	(void)crypto_hash_sha256(b->out->digest, text.p, text.n);
	return true;
}

bool build_digest(struct plan_builder *b)
{
	digest_members(b);
	return digest_strategy(b) && digest_plan(b);
}
