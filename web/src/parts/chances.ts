// SPDX-License-Identifier: Apache-2.0
// Operating characteristics: what the gates of a plan would do with a release of which some devices
// fail, before anything is delivered.

import { h, type Described } from '../base/dom'
import { percent, stageName } from '../base/format'
import type { Chance, Plan } from '../base/types'
import { plot } from './plot'

const few = (n: number | undefined): string => (n === undefined ? '-' : n < 9.95 ? n.toFixed(1) : Math.round(n).toLocaleString('en'))

const ROWS: { title: string; hint: string; text: (c: Chance) => string }[] = [
  { title: 'Passes every gate', hint: 'failures are reported as they happen', text: (c) => percent(c.pass) },
  { title: 'Devices that fail until then', hint: 'expected', text: (c) => few(c.harmed) },
  { title: 'Passes, if failures are silent', hint: 'failing devices say nothing until their deadline', text: (c) => percent(c.pass_silent) },
  { title: 'Devices that fail, if silent', hint: 'expected', text: (c) => few(c.harmed_silent) },
]

const badness = (c: Chance): string => `${c.failure_percent} %`

function whole(chances: Chance[]): Described {
  return h('div', { class: 'scroll card', tabindex: 0, role: 'region', 'aria-label': 'The whole rollout' }, h('table', { class: 'figures chances' },
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Of all devices would fail'), chances.map((c) => h('th', { scope: 'col' }, badness(c))))),
    h('tbody', {}, ROWS.map((r) => h('tr', { key: r.title }, h('th', { scope: 'row', title: r.hint }, r.title), chances.map((c) => h('td', {}, r.text(c))))))))
}

function stages(gates: NonNullable<Plan['gates']>): Described {
  return h('details', {}, h('summary', {}, 'Chance to pass each stage'), h('div', { class: 'scroll card', tabindex: 0, role: 'region', 'aria-label': 'Each stage' }, h('table', { class: 'figures chances' },
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Stage'), h('th', { scope: 'col' }, 'Devices'), gates.whole.map((c) => h('th', { scope: 'col' }, badness(c))))),
    h('tbody', {}, gates.stages.map((s) => h('tr', { key: stageName(s.layer, s.wave) }, h('th', { scope: 'row' }, stageName(s.layer, s.wave), !s.exact && h('small', {}, ' about')),
      h('td', {}, String(s.devices)), s.chances.map((c) => h('td', { title: `expected sample ${few(c.sample)}, expected failed devices ${few(c.harmed)}` }, percent(c.pass)))))))),
  gates.truncated && h('p', { class: 'quiet' }, 'There are more stages; fleetctl plan show lists them.'))
}

function curve(chances: Chance[]): Described {
  return plot({
    label: 'Chance that a release passes every gate, by the share of devices that it would break',
    x: chances.map(badness), xTitle: 'of all devices would fail', top: 1, ticks: [0, 0.25, 0.5, 0.75, 1], text: (y) => percent(y),
    lines: [{ name: 'failures reported', look: 'a', values: chances.map((c) => c.pass) }, { name: 'failures silent', look: 'b', values: chances.map((c) => c.pass_silent) }],
  })
}

export function chancesView(plan: Plan): Described | false {
  const gates = plan.gates
  return gates !== undefined && gates.whole.length > 0 && h('section', { key: 'chances' }, h('h2', {}, 'What its gates would do with a bad release'),
    h('div', { class: 'columns' }, h('div', {}, whole(gates.whole), stages(gates)), curve(gates.whole)),
    h('ul', { class: 'quiet demands' }, gates.demands.map((d) => h('li', { key: d.text }, d.text))))
}
