/* SPDX-License-Identifier: Apache-2.0 */
#include "server/metrics.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

enum kind { COUNTER, GAUGE, SECONDS };

struct row {
	enum kind kind;
	const char *name, *help;
};

static const struct row rows[] = {
#define METRIC(kind, NAME, name, help) { kind, name, help },
#include "server/tbl/metrics.h"
#undef METRIC
};

/* Upper bounds in microseconds; what lies above is counted in +Inf alone. */
static const int64_t bounds[] = { 100, 250, 500, 1000, 2500, 5000, 7500, 10000, 15000, 25000, 50000,
	100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000 };

/* One row's figures. A cache line each, so that threads that count different things do not meet. */
struct cell {
	_Atomic int64_t value; /* counter, gauge; of SECONDS the sum in microseconds */
	_Atomic int64_t
		*buckets; /* of SECONDS: FL_COUNT(bounds) and one for +Inf, not cumulative */
} __attribute__((aligned(64)));

struct metrics {
	struct cell cells[METRIC_MAX];
};

struct metrics *metrics_new(void)
{
	struct metrics *m = aligned_alloc(64, sizeof(*m));

	if (m == NULL)
		return NULL;
	*m = (struct metrics){ 0 };
	for (size_t i = 0; i < METRIC_MAX; i++) {
		if (rows[i].kind != SECONDS)
			continue;
		m->cells[i].buckets = calloc(FL_COUNT(bounds) + 1, sizeof(*m->cells[i].buckets));
		if (m->cells[i].buckets == NULL) {
			metrics_free(m);
			return NULL;
		}
	}
	return m;
}

void metrics_free(struct metrics *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < METRIC_MAX; i++)
		free(m->cells[i].buckets);
	free(m);
}

void metrics_add(struct metrics *m, enum metric which, int64_t n)
{
	if (m != NULL)
		atomic_fetch_add_explicit(&m->cells[which].value, n, memory_order_relaxed);
}

void metrics_set(struct metrics *m, enum metric which, int64_t value)
{
	if (m != NULL)
		atomic_store_explicit(&m->cells[which].value, value, memory_order_relaxed);
}

void metrics_time(struct metrics *m, enum metric which, int64_t microseconds)
{
	size_t i = 0;

	if (m == NULL)
		return;
	FL_BUG_IF(rows[which].kind != SECONDS);
	while (i < FL_COUNT(bounds) && microseconds > bounds[i])
		i++;
	atomic_fetch_add_explicit(&m->cells[which].buckets[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->cells[which].value, microseconds, memory_order_relaxed);
}

int64_t metrics_get(const struct metrics *m, enum metric which)
{
	int64_t sum = 0;

	if (m == NULL)
		return 0;
	if (rows[which].kind != SECONDS)
		return atomic_load_explicit(&m->cells[which].value, memory_order_relaxed);
	for (size_t i = 0; i <= FL_COUNT(bounds); i++)
		sum += atomic_load_explicit(&m->cells[which].buckets[i], memory_order_relaxed);
	return sum;
}

static void render_seconds(const struct metrics *m, size_t which, struct fl_buf *b)
{
	const struct cell *cell = &m->cells[which];
	int64_t sum = 0;

	for (size_t i = 0; i < FL_COUNT(bounds); i++) {
		sum += atomic_load_explicit(&cell->buckets[i], memory_order_relaxed);
		fl_buf_printf(b, "%s_bucket{le=\"%g\"} %" PRId64 "\n", rows[which].name,
			(double)bounds[i] / 1e6, sum);
	}
	sum += atomic_load_explicit(&cell->buckets[FL_COUNT(bounds)], memory_order_relaxed);
	fl_buf_printf(b, "%s_bucket{le=\"+Inf\"} %" PRId64 "\n", rows[which].name, sum);
	fl_buf_printf(b, "%s_sum %.6f\n", rows[which].name,
		(double)atomic_load_explicit(&cell->value, memory_order_relaxed) / 1e6);
	fl_buf_printf(b, "%s_count %" PRId64 "\n", rows[which].name, sum);
}

static const char *kind_text(enum kind kind)
{
	return kind == COUNTER ? "counter" : kind == GAUGE ? "gauge" : "histogram";
}

void metrics_render(const struct metrics *m, struct fl_buf *b)
{
	for (size_t i = 0; i < METRIC_MAX; i++) {
		fl_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", rows[i].name, rows[i].help,
			rows[i].name, kind_text(rows[i].kind));
		if (rows[i].kind == SECONDS)
			render_seconds(m, i, b);
		else
			fl_buf_printf(b, "%s %" PRId64 "\n", rows[i].name,
				metrics_get(m, (enum metric)i));
	}
}

void metrics_manual(struct fl_buf *b)
{
	for (size_t i = 0; i < METRIC_MAX; i++)
		fl_buf_printf(b, ".It Ic %s\n%s.\n(%s)\n", rows[i].name, rows[i].help,
			kind_text(rows[i].kind));
}
