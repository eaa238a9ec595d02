// SPDX-License-Identifier: Apache-2.0
// All rollouts, newest first.

import { api, type Rollout } from './api'
import { h, show } from './dom'
import { ago, count } from './format'
import { badge } from './state'
import { everyWhile } from './live'

function row(r: Rollout): HTMLElement {
  const to = `#/rollouts/${encodeURIComponent(r.name)}`
  return h('tr', {},
    h('th', { scope: 'row' }, h('a', { href: to }, r.name)),
    h('td', {}, badge(r.state), r.reason && h('div', { class: 'quiet' }, r.reason)),
    h('td', {}, r.release),
    h('td', {}, r.selector ? h('code', {}, r.selector) : 'every device'),
    h('td', { class: 'number' }, count(r.targets)),
    h('td', { class: 'number' }, `${r.layers} × ${r.waves}`),
    h('td', {}, ago(r.started_at ?? r.created_at)))
}

function table(rollouts: Rollout[]): HTMLElement {
  if (rollouts.length === 0)
    return h('p', { class: 'empty card' }, 'No rollout yet. Begin with ', h('code', {}, 'fleetctl rollout create NAME --release RELEASE'), '.')
  return h('div', { class: 'scroll card' }, h('table', { class: 'list' },
    h('thead', {}, h('tr', {}, ['Rollout', 'State', 'Release', 'Devices', 'Targets', 'Layers × waves', 'Since'].map((t) => h('th', { scope: 'col' }, t)))),
    h('tbody', {}, rollouts.map(row))))
}

export function rolloutsPage(page: Element, signal: AbortSignal): void {
  const box = h('section')
  show(page, h('h1', {}, 'Rollouts'), box)
  everyWhile(signal, 3000, async () => show(box, table((await api.rollouts(signal)).items)))
}
