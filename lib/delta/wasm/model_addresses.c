/* SPDX-License-Identifier: Apache-2.0
 *
 * The map of addresses: blocks of the old memory that moved, by the copies of the data. */
#include "lib/delta/wasm/model.h"

static bool address_of(const struct wasm_module *m, size_t at, uint64_t *address, uint64_t *left)
{
	size_t low = 0, high = m->n_data;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (m->data[middle].at <= at)
			low = middle;
		else
			high = middle;
	}
	if (m->n_data == 0 || m->data[low].address == WASM_NO_ADDRESS ||
		at - m->data[low].at >= m->data[low].n)
		return false;
	*address = m->data[low].address + (at - m->data[low].at);
	*left = m->data[low].n - (at - m->data[low].at);
	return true;
}

static void add_interval(struct model *m, const struct model_interval *x)
{
	size_t n = m->n_intervals;

	if ((n & (n - 1)) == 0) {
		struct model_interval *list =
			fl_heap_resize(m->heap, m->intervals, n == 0 ? 1 : 2 * n, sizeof(*list));

		if (list == NULL) {
			model_fail(m, FL_NOMEM, "no memory for the address map of a delta");
			return;
		}
		m->intervals = list;
	}
	m->intervals[m->n_intervals++] = *x;
}

/* One order on every machine: intervals may begin at the same old address. */
static bool is_before(const struct model_interval *x, const struct model_interval *y)
{
	if (x->old != y->old)
		return x->old < y->old;
	return x->new != y->new ? x->new < y->new : x->n < y->n;
}

static void sift(struct model_interval *list, size_t from, size_t n)
{
	struct model_interval x = list[from];

	for (size_t child = 2 * from + 1; child < n; child = 2 * from + 1) {
		if (child + 1 < n && is_before(&list[child], &list[child + 1]))
			child++;
		if (!is_before(&x, &list[child]))
			break;
		list[from] = list[child];
		from = child;
	}
	list[from] = x;
}

/* In place: qsort may take memory that nobody counts. */
static void sort_intervals(struct model_interval *list, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		sift(list, i, n);
	while (n-- > 1) {
		struct model_interval last = list[n];

		list[n] = list[0];
		list[0] = last;
		sift(list, 0, n);
	}
}

/* The last address of a block, held in range. */
static uint64_t last_of(const struct model_interval *x)
{
	return x->n > UINT64_MAX - x->old ? UINT64_MAX : x->old + x->n - 1;
}

/* Copies cut at the ends of segments give blocks of memory that moved. */
void model_map_addresses(struct model *m)
{
	size_t at = 0;

	for (size_t k = 0; k < m->data_copies.n && model_ok(m); k++) {
		const struct wasm_copy *x = &m->data_copies.list[k];

		for (uint32_t i = 0; i < x->length && model_ok(m);) {
			uint64_t old, new, old_left, new_left;
			struct model_interval interval;

			if (!address_of(m->old, x->old + i, &old, &old_left) ||
				!address_of(m->new, at + i, &new, &new_left)) {
				i++;
				continue;
			}
			interval = (struct model_interval){ old, new,
				least(x->length - i, least(old_left, new_left)) };
			add_interval(m, &interval);
			i += (uint32_t)interval.n;
		}
		at += x->length + x->extra;
	}
	sort_intervals(m->intervals, m->n_intervals);
	for (size_t i = 0; i < m->n_intervals; i++)
		m->moved_last = most(m->moved_last, last_of(&m->intervals[i]));
	m->data_low = UINT64_MAX;
	for (size_t i = 0; i < m->old->n_data; i++) {
		const struct wasm_data_segment *d = &m->old->data[i];

		if (d->address == WASM_NO_ADDRESS)
			continue;
		m->data_low = least(m->data_low, d->address);
		if (d->address + d->n > m->data_high)
			m->data_high = d->address + d->n;
	}
	m->small_max = m->data_low < MODEL_SMALL_TOP ? MODEL_SMALL_TOP
		: m->data_low > MODEL_SMALL_MAX      ? MODEL_SMALL_MAX
						     : m->data_low;
}

bool model_moved(const struct model *m, uint64_t old, uint64_t *new)
{
	size_t low = 0, high = m->n_intervals;

	if (old > m->moved_last)
		return false;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (m->intervals[middle].old <= old)
			low = middle + 1;
		else
			high = middle;
	}
	/* A longer block may begin before a shorter one. */
	for (unsigned tries = 0; tries < 4 && low > 0; tries++) {
		const struct model_interval *x = &m->intervals[--low];

		if (old - x->old < x->n) {
			*new = x->new + (old - x->old);
			return true;
		}
	}
	return false;
}
