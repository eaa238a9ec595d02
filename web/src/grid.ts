// SPDX-License-Identifier: Apache-2.0
// The live picture of a rollout: layers down, waves across, one cell a stage.

import type { Plan, Stage, Stats } from './api'
import { h } from './dom'
import { count, percent, words } from './format'
import { badge, toneOf } from './state'

/** The parts of a cell's bar, in drawing order: name, colour class, step states that it sums. */
const PARTS: { name: string; tone: string; states: string[] }[] = [
  { name: 'confirmed', tone: 'good', states: ['confirmed'] },
  { name: 'taken back', tone: 'back', states: ['rolled_back', 'held'] },
  { name: 'failed', tone: 'bad', states: ['failed', 'timed_out', 'rollback_failed'] },
  { name: 'under way', tone: 'busy', states: ['offered', 'waiting', 'downloading', 'downloaded', 'installing', 'rebooting', 'installed'] },
]

function sum(stage: Stage, states: string[]): number {
  return states.reduce((n, state) => n + (stage.steps[state] ?? 0), 0)
}

/** Segments drawn as SVG: their widths are geometry, so that no inline style is needed. */
function bar(stage: Stage): HTMLElement {
  const total = Math.max(stage.targets, 1)
  let x = 0
  const segments = PARTS.map((part) => {
    const n = sum(stage, part.states)
    const width = (100 * n) / total
    const segment = h('rect', { class: part.tone, x, y: 0, width, height: 8 }, h('title', {}, `${part.name}: ${count(n)}`))
    x += width
    return n > 0 && segment
  })
  return h('svg', { class: 'bar', viewBox: '0 0 100 8', preserveAspectRatio: 'none', role: 'img', 'aria-label': `${percent(stage.completion)} confirmed` },
    h('rect', { class: 'rest', x: 0, y: 0, width: 100, height: 8 }), segments)
}

function facts(stage: Stage): string {
  return Object.entries(stage.steps)
    .map(([state, n]) => `${count(n)} ${words(state)}`)
    .join(', ')
}

function cell(stage: Stage | undefined): HTMLElement {
  if (!stage) return h('td', { class: 'cell idle' }, h('span', { class: 'quiet' }, 'nothing to do'))
  const done = sum(stage, ['confirmed'])
  const bad = sum(stage, ['failed', 'timed_out', 'rollback_failed'])
  return h('td', { class: `cell ${toneOf(stage.state)}`, title: facts(stage) },
    h('div', { class: 'head' }, badge(stage.state), h('b', {}, percent(stage.completion))),
    bar(stage),
    h('div', { class: 'foot' },
      h('span', {}, `${count(done)} of ${count(stage.targets)}`),
      bad > 0 && h('span', { class: 'bad' }, `${count(bad)} failed`)),
    h('div', { class: 'gate' }, stage.gate.text))
}

/** The whole grid; `plan` names the layers' modules. */
export function grid(stats: Stats, plan: Plan | null): HTMLElement {
  const layers = [...new Set(stats.stages.map((s) => s.layer))].sort((a, b) => a - b)
  const find = (layer: number, wave: number) => stats.stages.find((s) => s.layer === layer && s.wave === wave)
  const units = (layer: number) =>
    plan?.layers.find((l) => l.layer === layer)?.units.map((u) => u.join(' + ')).join(', ') ?? ''
  return h('div', { class: 'scroll' }, h('table', { class: 'grid', 'aria-label': 'Stages: layers by waves' },
    h('thead', {}, h('tr', {}, h('td', {}), stats.waves.map((w) =>
      h('th', { scope: 'col' }, `Wave ${w.wave}`, h('small', {}, `${count(w.devices)} devices`))))),
    h('tbody', {}, layers.map((layer) => h('tr', {},
      h('th', { scope: 'row' }, `Layer ${layer}`, h('small', {}, units(layer))),
      stats.waves.map((w) => cell(find(layer, w.wave ?? 0))))))))
}
