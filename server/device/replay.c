/* SPDX-License-Identifier: Apache-2.0 */
#include "server/device/replay.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAYS      4
#define TAG_BYTES FL_MAC_LEN
/* An id and a nonce (their lengths are checked before) fit. */
#define REPLAY_TEXT_MAX 512

struct place {
	uint8_t tag[TAG_BYTES];
	int64_t until_s; /* 0: free */
};

struct replay {
	pthread_mutex_t lock;
	uint8_t key[FL_MAC_KEY]; /* of the tags: nobody outside can aim at a bucket */
	size_t buckets;          /* a power of two */
	struct place places[];
};

struct replay *replay_new(size_t n)
{
	size_t buckets = 1;
	struct replay *r;

	while (buckets * WAYS < n)
		buckets *= 2;
	r = calloc(1, sizeof(*r) + buckets * WAYS * sizeof(r->places[0]));
	if (r == NULL)
		return NULL;
	pthread_mutex_init(&r->lock, NULL);
	fl_random(r->key, sizeof(r->key));
	r->buckets = buckets;
	return r;
}

void replay_free(struct replay *r)
{
	if (r == NULL)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* The place for a tag: where it is, else a free or outlived one, else the one that runs out first. */
static struct place *find(struct place *bucket, const uint8_t *tag, int64_t now_s, bool *there)
{
	struct place *best = bucket;

	for (size_t i = 0; i < WAYS; i++) {
		struct place *p = &bucket[i];

		if (p->until_s >= now_s && p->until_s != 0 && memcmp(p->tag, tag, TAG_BYTES) == 0) {
			*there = true;
			return p;
		}
		if (p->until_s < best->until_s)
			best = p;
	}
	*there = false;
	return best;
}

bool replay_note(
	struct replay *r, const char *who, const char *nonce, int64_t until_s, int64_t now_s)
{
	char text[REPLAY_TEXT_MAX];
	int len = snprintf(text, sizeof(text), "%s\n%s", who, nonce);
	size_t n = len < 0 || (size_t)len >= sizeof(text) ? sizeof(text) - 1 : (size_t)len;
	uint8_t tag[TAG_BYTES];
	uint64_t hash;
	struct place *p;
	bool there;

	fl_mac(r->key, fl_bytes(text, n), tag);
	memcpy(&hash, tag, sizeof(hash));
	pthread_mutex_lock(&r->lock);
	p = find(&r->places[(hash & (r->buckets - 1)) * WAYS], tag, now_s, &there);
	if (!there) {
		memcpy(p->tag, tag, TAG_BYTES);
		p->until_s = until_s;
	}
	pthread_mutex_unlock(&r->lock);
	return !there;
}
