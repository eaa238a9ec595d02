/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_MAX 5000

/* A fleet of groups. */
struct fleet {
	uint32_t size[N_MAX], stratum[N_MAX];
	uint64_t identity[N_MAX];
	uint16_t wave[N_MAX], out[N_MAX];
	bool early[N_MAX];
	struct slice_input in;
};

static struct fleet f;

static void singles(size_t n, uint32_t strata)
{
	memset(&f, 0, sizeof(f));
	for (size_t i = 0; i < n; i++) {
		f.size[i] = 1;
		f.stratum[i] = (uint32_t)(i * 7 % strata);
		f.identity[i] = i + 1;
	}
	f.in = (struct slice_input){ .n = n,
		.size = f.size,
		.stratum = f.stratum,
		.identity = f.identity,
		.n_strata = strata,
		.seed = 11 };
}

static void cut(const struct strategy_wave *waves, size_t n)
{
	f.in.waves = waves;
	f.in.n_waves = n;
	assert_int_equal(slice_waves(&f.in, f.out, NULL), FL_OK);
}

static uint32_t devices_of(uint16_t wave)
{
	uint32_t n = 0;

	for (size_t i = 0; i < f.in.n; i++)
		n += f.out[i] == wave ? f.size[i] : 0;
	return n;
}

static uint32_t devices_in(uint16_t wave, uint32_t stratum)
{
	uint32_t n = 0;

	for (size_t i = 0; i < f.in.n; i++)
		n += f.out[i] == wave && f.stratum[i] == stratum ? f.size[i] : 0;
	return n;
}

static const struct strategy_wave usual[] = { { .kind = WAVE_COUNT, .count = 5 },
	{ .kind = WAVE_PERCENT, .ppm = 10000 }, { .kind = WAVE_PERCENT, .ppm = 125000 },
	{ .kind = WAVE_PERCENT, .ppm = 1000000 } };

/* Behaviour: test devices come before all others, in the first waves that have room; the sizes stay
 * exact, and the others are served by their strata. */
static void early_ones_come_first(void **state)
{
	uint32_t early = 0, others = 0;

	(void)state;
	singles(1000, 4);
	for (size_t i = 0; i < 1000; i++)
		f.early[i] = f.stratum[i] == 2 && i % 5 == 0;
	f.in.early = f.early;
	cut(usual, 4);
	for (size_t i = 0; i < 1000; i++) {
		early += f.early[i];
		assert_true(!f.early[i] || f.out[i] <= 2);
		others += !f.early[i] && f.out[i] <= 1;
	}
	assert_int_equal(early, 50);
	assert_int_equal(others, 0); /* 5 + 10 places, all taken by the 50 */
	assert_int_equal(devices_of(0), 5);
	assert_int_equal(devices_of(1), 10);
	assert_int_equal(devices_of(2), 125);
	/* 35 of them are in wave 2; the 90 places left go to 250, 250, 200 and 250 devices. */
	assert_in_range(devices_in(2, 0), 23, 24);
	assert_in_range(devices_in(2, 2), 35 + 18, 35 + 19);
}

/* Behaviour: waves have exactly the sizes that were asked for; the last takes the rest. */
static void sizes_are_exact(void **state)
{
	(void)state;
	singles(1000, 1);
	cut(usual, 4);
	assert_int_equal(devices_of(0), 5);
	assert_int_equal(devices_of(1), 10);
	assert_int_equal(devices_of(2), 125);
	assert_int_equal(devices_of(3), 860);
	assert_int_equal(devices_of(SLICE_NO_WAVE), 0);
}

/* Behaviour: shares are rounded to the nearest device but never to none; what is not there is not
 * given out twice. */
static void small_fleets(void **state)
{
	(void)state;
	singles(3, 1);
	cut(usual + 1, 3);
	assert_int_equal(devices_of(0), 1);
	assert_int_equal(devices_of(1), 1);
	assert_int_equal(devices_of(2), 1);
	singles(1, 1);
	cut(usual, 4);
	assert_int_equal(devices_of(0), 1);
	singles(0, 0);
	cut(usual, 4);
}

/* Behaviour: every wave has each stratum's share, rounded up or down. */
static void strata_have_their_share(void **state)
{
	uint32_t of[7] = { 0 };

	(void)state;
	singles(1000, 7);
	for (size_t i = 0; i < f.in.n; i++)
		f.stratum[i] = i < 500 ? 0 : i < 800 ? 1 : i < 900 ? 2 : (uint32_t)(3 + i % 4);
	for (size_t i = 0; i < f.in.n; i++)
		of[f.stratum[i]]++;
	cut(usual, 4);
	for (uint16_t w = 0; w < 4; w++) {
		uint32_t n = devices_of(w);

		for (uint32_t k = 0; k < 7; k++) {
			double share = (double)n * of[k] / 1000, got = devices_in(w, k);

			/* The share is taken of what earlier waves left, which is off by less than one
			 * device per wave. */
			assert_true(got > share - 2 && got < share + 2);
		}
	}
	assert_int_equal(devices_in(2, 0) + devices_in(2, 1) >= 98, true);
	/* The first wave serves the whole fleet's strata: exact. */
	for (uint32_t k = 0; k < 7; k++) {
		double share = 5.0 * of[k] / 1000;

		assert_true(devices_in(0, k) >= (uint32_t)share &&
			devices_in(0, k) <= (uint32_t)share + 1);
	}
}

/* Behaviour: the same seed gives the same waves, in whatever order the devices are listed; another
 * seed starts with other machines. */
static void seed_decides(void **state)
{
	uint16_t first[N_MAX];
	uint32_t same = 0;

	(void)state;
	singles(1000, 3);
	cut(usual, 4);
	memcpy(first, f.out, sizeof(first));
	cut(usual, 4);
	assert_memory_equal(first, f.out, 1000 * sizeof(*first));
	for (size_t i = 0; i < 1000; i++) {
		f.identity[i] = 1000 - i;
		f.stratum[i] = (uint32_t)((999 - i) * 7 % 3);
	}
	cut(usual, 4);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(f.out[i], first[999 - i]);
	f.in.seed = 12;
	cut(usual, 4);
	for (size_t i = 0; i < 1000; i++)
		same += f.out[i] < 3 && first[999 - i] < 3;
	/* 140 of 1000 twice: 20 are expected by chance. */
	assert_true(same < 50);
}

/* Behaviour: no machine is favoured: over many seeds each comes about equally often into the first
 * wave. */
static void nobody_is_favoured(void **state)
{
	static const struct strategy_wave half[] = { { .kind = WAVE_PERCENT, .ppm = 500000 },
		{ .kind = WAVE_PERCENT, .ppm = 500000 } };
	uint32_t first[40] = { 0 };

	(void)state;
	singles(40, 1);
	for (uint64_t seed = 0; seed < 2000; seed++) {
		f.in.seed = seed;
		cut(half, 2);
		for (int i = 0; i < 40; i++)
			first[i] += f.out[i] == 0;
	}
	/* Five standard deviations of a fair coin thrown 2000 times. */
	for (int i = 0; i < 40; i++)
		assert_true(first[i] > 1000 - 112 && first[i] < 1000 + 112);
}

/* Behaviour: a selector's wave takes what it names, whole groups, before any other wave. */
static void selectors_come_first(void **state)
{
	static const struct strategy_wave waves[] = { { .kind = WAVE_COUNT, .count = 10 },
		{ .kind = WAVE_SELECTOR }, { .kind = WAVE_PERCENT, .ppm = 1000000 } };

	(void)state;
	singles(100, 2);
	memset(f.wave, 0xff, sizeof(f.wave));
	for (size_t i = 0; i < 30; i++)
		f.wave[i] = 1;
	f.in.wave = f.wave;
	cut(waves, 3);
	for (size_t i = 0; i < 30; i++)
		assert_int_equal(f.out[i], 1);
	assert_int_equal(devices_of(0), 10);
	assert_int_equal(devices_of(1), 30);
	assert_int_equal(devices_of(2), 60);
}

/* Behaviour: with a selector at the end, what it does not name is in no wave. */
static void last_selector_leaves_the_rest(void **state)
{
	static const struct strategy_wave waves[] = { { .kind = WAVE_COUNT, .count = 10 },
		{ .kind = WAVE_SELECTOR } };

	(void)state;
	singles(100, 1);
	memset(f.wave, 0xff, sizeof(f.wave));
	f.wave[7] = 1;
	f.in.wave = f.wave;
	cut(waves, 2);
	assert_int_equal(devices_of(0), 10);
	assert_int_equal(devices_of(1), 1);
	assert_int_equal(devices_of(SLICE_NO_WAVE), 89);
}

/* Behaviour: a group is never divided; single devices fill the gaps so that sizes stay exact. */
static void groups_stay_whole(void **state)
{
	static const struct strategy_wave waves[] = { { .kind = WAVE_COUNT, .count = 50 },
		{ .kind = WAVE_COUNT, .count = 200 }, { .kind = WAVE_PERCENT, .ppm = 1000000 } };

	(void)state;
	singles(1000, 3);
	for (size_t i = 0; i < 100; i++)
		f.size[i] = 2 + (uint32_t)i % 30;
	cut(waves, 3);
	assert_int_equal(devices_of(0), 50);
	assert_int_equal(devices_of(1), 200);
}

/* Behaviour: a wave into which no group fits gets one, the smallest. */
static void too_small_a_wave(void **state)
{
	static const struct strategy_wave waves[] = { { .kind = WAVE_COUNT, .count = 2 },
		{ .kind = WAVE_PERCENT, .ppm = 1000000 } };

	(void)state;
	singles(3, 1);
	f.size[0] = 5;
	f.size[1] = 4;
	f.size[2] = 6;
	cut(waves, 2);
	assert_int_equal(f.out[1], 0);
	assert_int_equal(devices_of(0), 4);
}

/* Behaviour: on random fleets every group is in exactly one wave and no wave is larger than asked. */
static void random_fleets(void **state)
{
	unsigned seed = 5;

	(void)state;
	for (int round = 0; round < 400; round++) {
		struct strategy_wave waves[5] = { 0 };
		uint32_t total = 0, most = 0;
		size_t n = 1 + (size_t)(rand_r(&seed) % 300);

		singles(n, 1 + (uint32_t)(rand_r(&seed) % 9));
		f.in.seed = (uint64_t)rand_r(&seed);
		for (size_t i = 0; i < n; i++) {
			if (rand_r(&seed) % 4 == 0)
				f.size[i] = 1 + (uint32_t)(rand_r(&seed) % 12);
			f.stratum[i] = (uint32_t)rand_r(&seed) % f.in.n_strata;
			total += f.size[i];
			most = f.size[i] > most ? f.size[i] : most;
		}
		for (int w = 0; w < 5; w++) {
			waves[w].kind = WAVE_COUNT;
			waves[w].count = 1 + rand_r(&seed) % 80;
		}
		cut(waves, 5);
		assert_int_equal(devices_of(SLICE_NO_WAVE), 0);
		for (uint16_t w = 0; w < 4; w++) {
			uint32_t got = devices_of(w), asked = (uint32_t)waves[w].count;

			total -= got;
			assert_true(got <= asked || got <= most);
			assert_true(got > 0 || total == 0);
			/* Smaller only if nothing that fits is left. */
			for (size_t i = 0; i < n && got < asked; i++)
				assert_false(f.out[i] > w && f.size[i] <= asked - got);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_exact),
		cmocka_unit_test(early_ones_come_first),
		cmocka_unit_test(small_fleets),
		cmocka_unit_test(strata_have_their_share),
		cmocka_unit_test(seed_decides),
		cmocka_unit_test(nobody_is_favoured),
		cmocka_unit_test(selectors_come_first),
		cmocka_unit_test(last_selector_leaves_the_rest),
		cmocka_unit_test(groups_stay_whole),
		cmocka_unit_test(too_small_a_wave),
		cmocka_unit_test(random_fleets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
