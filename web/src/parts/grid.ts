// SPDX-License-Identifier: Apache-2.0
// The live picture of a rollout: layers down, waves across, one cell a stage.

import { h, type Child, type Described } from '../base/dom'
import { count, percent, some, stageName, words } from '../base/format'
import type { Plan, Rollout, Stage, Stats } from '../base/types'
import { apartSteps, failedSteps, legend, stageBar } from './bar'
import { stateIcon, toneOf } from './state'
import { stageSentence, type Explained } from './sentence'

export function modulesOf(plan: Plan | null, layer: number): string {
  return plan?.layers.find((l) => l.layer === layer)?.units.map((u) => u.join(' + ')).join(', ') ?? ''
}

export function waveName(plan: Plan | null, wave: number): string {
  return plan?.waves.find((w) => w.wave === wave)?.name ?? ''
}

export const stageLink = (rollout: string, s: { layer: number; wave: number }): string =>
  `#/rollouts/${encodeURIComponent(rollout)}/${stageName(s.layer, s.wave)}`

function foot(stage: Stage, planned: number): Child {
  const bad = failedSteps(stage.steps)
  const apart = apartSteps(stage.steps)
  const back = stage.steps['rolled_back'] ?? 0
  if (stage.opened_at === null) return h('span', {}, some(planned, 'device'))
  return [
    stage.state.startsWith('roll') ? h('span', {}, `${count(back)} of ${count(stage.targets)} taken back`)
      : h('span', {}, `${count(stage.steps['confirmed'] ?? 0)} of ${count(stage.targets)} confirmed`),
    bad > 0 && h('span', { class: 'bad' }, `${count(bad)} failed`),
    apart > 0 && h('span', { title: 'not counted: nothing to do, not eligible, overtaken, called back or retired' }, `${count(apart)} apart`),
  ]
}

function cell(rollout: Rollout, stage: Stage | undefined, plan: Plan | null, wave: number, explained: Explained): Described {
  if (!stage) return h('td', { role: 'cell', key: `${wave}`, class: 'none' }, h('span', { class: 'quiet' }, 'nothing to do'))
  const planned = plan?.stages.find((s) => s.layer === stage.layer && s.wave === stage.wave)?.devices ?? 0
  const name = stageName(stage.layer, stage.wave)
  return h('td', { role: 'cell', key: `${wave}` },
    h('a', { class: `cell ${toneOf(stage.state)} ${stage.state}`, href: stageLink(rollout.name, stage), 'data-stage': name, 'data-state': stage.state },
      h('span', { class: 'wave-name' }, `Wave ${wave}`),
      h('span', { class: 'head' }, h('span', { class: 'state' }, stateIcon(stage.state), words(stage.state)), h('b', {}, percent(stage.completion))),
      stageBar(stage),
      h('span', { class: 'foot' }, foot(stage, planned)),
      h('span', { class: 'why', title: stage.gate.text }, stageSentence(rollout, stage, explained))))
}

/** The whole grid; `plan` names the layers' modules. */
export function grid(rollout: Rollout, stats: Stats, plan: Plan | null, explained: Explained): Described {
  const layers = [...new Set(stats.stages.map((s) => s.layer))].sort((a, b) => a - b)
  const stages = new Map(stats.stages.map((s) => [stageName(s.layer, s.wave), s]))
  return h('section', { class: 'stages' },
    h('div', { class: 'scroll grid-scroll', tabindex: stats.waves.length > 3 ? 0 : null, role: 'region', 'aria-label': 'Stages' },
      h('table', { class: 'grid', role: 'table', 'aria-label': 'Stages: layers by waves' },
        h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, h('td', { role: 'cell' }),
          stats.waves.map((w) => h('th', { scope: 'col', role: 'columnheader', key: `${w.wave}` },
            `Wave ${w.wave}`, ' ', h('small', {}, [waveName(plan, w.wave ?? 0), some(w.devices, 'device')].filter(Boolean).join(' · ')))))),
        h('tbody', { role: 'rowgroup' }, layers.map((layer) => h('tr', { role: 'row', key: `${layer}` },
          h('th', { scope: 'row', role: 'rowheader' }, `Layer ${layer}`, h('small', {}, modulesOf(plan, layer))),
          stats.waves.map((w) => cell(rollout, stages.get(stageName(layer, w.wave ?? 0)), plan, w.wave ?? 0, explained))))))),
    legend())
}

/** The same in the size of a word, for lists. */
export function smallGrid(stats: Stats): Described | null {
  const layers = [...new Set(stats.stages.map((s) => s.layer))].sort((a, b) => a - b)
  if (stats.stages.length === 0 || stats.waves.length > 14 || layers.length > 8) return null
  const stages = new Map(stats.stages.map((s) => [stageName(s.layer, s.wave), s]))
  return h('div', { class: 'small-grid', 'aria-hidden': 'true' }, layers.map((layer) => h('div', { key: `${layer}` }, stats.waves.map((w) => {
    const stage = stages.get(stageName(layer, w.wave ?? 0))
    return h('i', { key: `${w.wave}`, class: stage ? toneOf(stage.state) : 'idle', title: stage ? `${stageName(layer, w.wave ?? 0)} ${words(stage.state)}` : '' },
      stateIcon(stage?.state ?? 'skipped'))
  }))))
}
