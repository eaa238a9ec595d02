// SPDX-License-Identifier: Apache-2.0
// The table of waves with the figures of a rollout.

import type { Figures, Stats } from './api'
import { h } from './dom'
import { bytes, count, percent, seconds } from './format'

const COLUMNS: { title: string; hint: string; text: (f: Figures) => string }[] = [
  { title: 'Devices', hint: 'assigned to the wave', text: (f) => count(f.devices) },
  { title: 'Targets', hint: 'assigned, without those that need or can do nothing', text: (f) => count(f.targets) },
  { title: 'Confirmed', hint: 'run the new versions and passed their probation', text: (f) => count(f.confirmed) },
  { title: 'Failed', hint: 'failed or timed out after delivery', text: (f) => count(f.failed + f.timed_out) },
  { title: 'Completion', hint: 'confirmed / targets', text: (f) => percent(f.completion) },
  { title: 'Failure', hint: '(failed + timed out) / ended', text: (f) => percent(f.failure) },
  { title: 'Rollback', hint: 'taken back / switched', text: (f) => percent(f.rollback) },
  { title: 'Rollback failure', hint: 'failed rollbacks / ended rollbacks', text: (f) => percent(f.rollback_failure) },
  { title: 'Median', hint: 'delivery to confirmed', text: (f) => seconds(f.time_median_s) },
  { title: '95 %', hint: 'delivery to confirmed, 95th percentile', text: (f) => seconds(f.time_p95_s) },
  { title: 'Sent', hint: 'bytes', text: (f) => bytes(f.bytes_sent) },
  { title: 'Saved', hint: 'by deltas, against full artifacts', text: (f) => bytes(f.bytes_saved) },
]

function row(label: string, figures: Figures): HTMLElement {
  return h('tr', {}, h('th', { scope: 'row' }, label), COLUMNS.map((c) => h('td', {}, c.text(figures))))
}

export function figuresTable(stats: Stats): HTMLElement {
  return h('div', { class: 'scroll' }, h('table', { class: 'figures' },
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Wave'),
      COLUMNS.map((c) => h('th', { scope: 'col', title: c.hint }, c.title)))),
    h('tbody', {}, stats.waves.map((w) => row(String(w.wave), w))),
    h('tfoot', {}, row('All', stats.total))))
}
