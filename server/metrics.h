/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters, gauges and histograms; the rows are in tbl/metrics.h. All functions may be called on any
 * thread and never block; `m` may be NULL (tests): then they do nothing. */
#ifndef METRICS_H
#define METRICS_H

#include "lib/buf.h"

enum metric {
#define METRIC(kind, NAME, name, help) METRIC_##NAME,
#include "server/tbl/metrics.h"
#undef METRIC
	METRIC_MAX
};

struct metrics;

/* The caller owns the result; NULL without memory. */
struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* Add to a counter (n >= 0) or a gauge. */
void metrics_add(struct metrics *m, enum metric which, int64_t n);
/* Set a gauge. */
void metrics_set(struct metrics *m, enum metric which, int64_t value);
/* Count one duration in a SECONDS row. */
void metrics_time(struct metrics *m, enum metric which, int64_t microseconds);
/* The present value of a counter or gauge, the count of a SECONDS row. */
int64_t metrics_get(const struct metrics *m, enum metric which);

/* Append everything in the Prometheus text format 0.0.4. */
void metrics_render(const struct metrics *m, struct fl_buf *b);
/* Append the rows as mdoc list items for fleetd(8). */
void metrics_manual(struct fl_buf *b);

#endif
