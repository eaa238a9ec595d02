// SPDX-License-Identifier: Apache-2.0
// The figures of a rollout: the headline, and the table of waves. As the design defines them.

import { h, type Described } from '../base/dom'
import { bytes, count, percent, seconds } from '../base/format'
import type { Figures, Plan, Stats } from '../base/types'
import { waveName } from './grid'

const COLUMNS: { title: string; hint: string; text: (f: Figures) => string; bad?: (f: Figures) => boolean }[] = [
  { title: 'Devices', hint: 'assigned to the wave', text: (f) => count(f.devices) },
  { title: 'Targets', hint: 'assigned, without those that need nothing or cannot take part', text: (f) => count(f.targets) },
  { title: 'Confirmed', hint: 'ran the new versions through their probation', text: (f) => count(f.confirmed) },
  { title: 'Failed', hint: 'failed or timed out after delivery', text: (f) => count(f.failed + f.timed_out), bad: (f) => f.failed + f.timed_out > 0 },
  { title: 'Completion', hint: 'confirmed / targets', text: (f) => percent(f.completion) },
  { title: 'Failure', hint: '(failed + timed out) / (confirmed + failed + timed out)', text: (f) => percent(f.failure), bad: (f) => (f.failure ?? 0) > 0 },
  { title: 'Rollback', hint: 'taken back / switched', text: (f) => percent(f.rollback) },
  { title: 'Rollback failure', hint: 'rollbacks that failed / rollbacks that ended', text: (f) => percent(f.rollback_failure), bad: (f) => (f.rollback_failure ?? 0) > 0 },
  { title: 'Median', hint: 'from delivery to confirmed', text: (f) => seconds(f.time_median_s) },
  { title: '95th', hint: 'from delivery to confirmed, 95th percentile', text: (f) => seconds(f.time_p95_s) },
  { title: 'Sent', hint: 'bytes that went to devices', text: (f) => bytes(f.bytes_sent) },
  { title: 'Saved', hint: 'by deltas, against full artifacts', text: (f) => bytes(f.bytes_saved) },
]

function row(label: string, name: string, figures: Figures): Described {
  return h('tr', { key: label }, h('th', { scope: 'row' }, label, name && h('small', {}, ` ${name}`)),
    COLUMNS.map((c) => h('td', { class: c.bad?.(figures) ? 'bad' : null }, c.text(figures))))
}

export function figuresTable(stats: Stats, plan: Plan | null): Described {
  return h('div', { class: 'scroll card', tabindex: 0, role: 'region', 'aria-label': 'Figures by wave' }, h('table', { class: 'figures' },
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Wave'),
      COLUMNS.map((c) => h('th', { scope: 'col', title: c.hint }, c.title)))),
    h('tbody', {}, stats.waves.map((w) => row(String(w.wave), waveName(plan, w.wave ?? 0), w))),
    h('tfoot', {}, row('All', '', stats.total))))
}

function tile(name: string, value: string, note: string, tone = ''): Described {
  return h('div', { class: `tile ${tone}`, key: name }, h('dt', {}, name), h('dd', {}, h('b', {}, value), h('small', {}, note)))
}

/** The figures that one looks for first. */
export function headline(f: Figures): Described {
  const failed = f.failed + f.timed_out
  const back = f.rolled_back_by_device + f.rolled_back_by_server
  const whole = f.bytes_sent + f.bytes_saved
  return h('dl', { class: 'tiles' },
    tile('Completion', percent(f.completion), `${count(f.confirmed)} of ${count(f.targets)} confirmed`),
    tile('Failure', percent(f.failure), `${count(failed)} failed`, failed > 0 ? 'bad' : ''),
    tile('Rollback', percent(f.rollback), back === 0 ? 'none taken back' : `${count(f.rolled_back_by_device)} by device, ${count(f.rolled_back_by_server)} by server`, back > 0 ? 'back' : ''),
    tile('Time', seconds(f.time_median_s), `median; 95th ${seconds(f.time_p95_s)}`),
    tile('Sent', bytes(f.bytes_sent), whole === 0 ? 'nothing yet' : `${bytes(f.bytes_saved)} saved by deltas (${percent(f.bytes_saved / whole)})`))
}
