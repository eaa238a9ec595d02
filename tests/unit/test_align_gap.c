/* SPDX-License-Identifier: Apache-2.0
 *
 * The alignment of gaps: eight cells at a time come to the decisions that one at a time comes to. */
#include "lib/delta/wasm/align_gap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH_MAX 70
#define OPEN       5

/* What of one cell depends on those around it. */
struct cell {
	int best, run;
};

static uint8_t decide(struct cell *cell, const struct cell *up, const struct cell *left,
	const struct cell *before, bool equal)
{
	int fresh = before->best - OPEN, kept = up->best > left->best ? up->best : left->best;
	uint8_t decision = before->run >= fresh ? ALIGN_GAP_GOES_ON : 0;

	cell->run = (before->run > fresh ? before->run : fresh) + (equal ? 1 : -1);
	cell->best = cell->run > kept ? cell->run : kept;
	if (cell->run > kept)
		return decision | ALIGN_GAP_COPY;
	return left->best > up->best ? decision | ALIGN_GAP_SKIP_OLD : decision;
}

static void check(struct fl_bytes old, struct fl_bytes new)
{
	static struct cell cells[LENGTH_MAX + 1][LENGTH_MAX + 1];
	int32_t won = -1;
	uint8_t *decisions = align_gap(old, new, &won);

	assert_non_null(decisions);
	for (size_t i = 0; i <= new.n; i++)
		for (size_t j = 0; j <= old.n; j++) {
			cells[i][j] = (struct cell){ 0, INT16_MIN / 2 };
			if (i > 0 && j > 0)
				assert_int_equal(decisions[i * (old.n + 1) + j],
					decide(&cells[i][j], &cells[i - 1][j], &cells[i][j - 1],
						&cells[i - 1][j - 1],
						old.p[j - 1] == new.p[i - 1]));
		}
	assert_int_equal(won, cells[new.n][old.n].best);
	free(decisions);
}

static void fill(uint8_t *to, size_t n, unsigned symbols)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)((unsigned)random() % symbols);
}

/* Random texts of any length, of few symbols and of many, decide cell by cell as the rule says. */
static void test_random(void **state)
{
	uint8_t old[LENGTH_MAX], new[LENGTH_MAX];

	(void)state;
	srandom(1);
	for (int round = 0; round < 200; round++) {
		struct fl_bytes o = { old, 1 + (size_t)random() % LENGTH_MAX };
		struct fl_bytes n = { new, 1 + (size_t)random() % LENGTH_MAX };

		fill(old, o.n, round % 2 == 0 ? 2 : 256);
		fill(new, n.n, round % 2 == 0 ? 2 : 256);
		check(o, n);
	}
}

/* Long copies of each other with pieces missing and doubled, whose alignment wins nearly all of them. */
static void test_copies(void **state)
{
	uint8_t old[LENGTH_MAX], new[LENGTH_MAX];

	(void)state;
	srandom(2);
	for (size_t cut = 0; cut < 30; cut++) {
		fill(old, LENGTH_MAX, 256);
		memcpy(new, old + cut, LENGTH_MAX - cut);
		memcpy(new + LENGTH_MAX - cut, old, cut);
		check((struct fl_bytes){ old, LENGTH_MAX }, (struct fl_bytes){ new, LENGTH_MAX });
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
