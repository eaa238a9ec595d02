// SPDX-License-Identifier: Apache-2.0
// One stage: what its gate has seen, and its devices by state.

import { api } from '../base/api'
import { h, show, type Child, type Described } from '../base/dom'
import { clock, count, percent, some, stageName, words } from '../base/format'
import { listen, refresher } from '../base/live'
import type { Decision, Page, Plan, Rollout, Stage, StageExplanation, Stats, Step } from '../base/types'
import { legend, stageBar } from '../parts/bar'
import { decisionsTable } from '../parts/decisions'
import { explanation } from '../parts/explain'
import { modulesOf, waveName } from '../parts/grid'
import { badge, stateText } from '../parts/state'
import { deviceLink, stepsTable } from '../parts/steps'
import { empty, loading } from '../parts/table'
import { rolloutAddress } from './rollout'

interface Known {
  rollout: Rollout
  stage: Stage
  plan: Plan | null
  steps: Step[]
  planned: Page<{ device: string }> | null // who is in the wave, as long as the stage has no steps
  decisions: Decision[]
  explained: StageExplanation
}

function facts(k: Known): [string, Child][] {
  const { stage } = k
  const g = stage.gate
  return [
    ['Gate', `${g.decision}${g.text ? `: ${g.text}` : ''}`],
    ['Counted', g.counted === 0 ? 'no outcome yet' : `${count(g.counted)} in the order of delivery: ${count(g.successes)} succeeded, ${count(g.failures)} failed`],
    ...(g.verdict && g.verdict !== 'none' ? [['Verdict', `${g.verdict}${g.said ? `, ${g.said}` : ''}`] as [string, Child]] : []),
    ['Completion', percent(stage.completion)],
    ['Failure', percent(stage.failure)],
    ['Rollback', percent(stage.rollback)],
    ['Opened', clock(stage.opened_at)],
    ...(stage.soak_until ? [['Soaks until', clock(stage.soak_until)] as [string, Child]] : []),
    ['Ended', clock(stage.ended_at)],
  ]
}

function filters(k: Known, state: string, choose: (state: string) => void): Described {
  const total = Object.values(k.stage.steps).reduce((n, m) => n + m, 0)
  const one = (value: string, text: Child, n: number) =>
    h('button', { key: value, class: 'filter', 'aria-pressed': String(state === value), onclick: () => choose(value) }, text, h('b', {}, count(n)))
  return h('div', { class: 'filters', role: 'group', 'aria-label': 'Devices by state' },
    one('', 'all', total), Object.entries(k.stage.steps).map(([s, n]) => one(s, stateText(s), n)))
}

/** Who will be in it. */
function planned(wave: number, p: Page<{ device: string }>): Child {
  return [
    h('p', { class: 'quiet' }, `The steps of this stage are made when it opens. In wave ${wave} ${p.items.length === 1 ? 'is' : 'are'} `, p.next === null ? some(p.items.length, 'device') : `more than ${count(p.items.length)} devices`, '; those that change nothing in this layer pass over it:'),
    h('ul', { class: 'card names' }, p.items.map((m) => h('li', { key: m.device }, deviceLink(m.device)))),
  ]
}

export function stagePage(page: Element, name: string, layer: number, wave: number, signal: AbortSignal): void {
  let known: Known | null = null
  let state = ''
  let tag = ''
  const title = stageName(layer, wave)

  function draw(k: Known): void {
    const modules = modulesOf(k.plan, layer)
    show(page,
      h('p', { class: 'crumbs' }, h('a', { href: '#/' }, 'Rollouts'), ' / ', h('a', { href: rolloutAddress(name) }, name), ' / ', title),
      h('header', { class: 'title' }, h('div', {}, h('h1', {}, title, ' ', badge(k.stage.state)),
        h('p', { class: 'quiet' }, `Layer ${layer}${modules ? ` (${modules})` : ''} of wave ${wave} ${waveName(k.plan, wave)}`),
        explanation(k.explained.lines))),
      stageBar(k.stage), legend(),
      h('dl', { class: 'card facts' }, facts(k).map(([term, text]) => [h('dt', {}, term), h('dd', {}, text)])),
      k.decisions.length > 0 && h('section', { key: 'decisions' }, h('h2', {}, 'Decisions'), decisionsTable(k.decisions, (s) => rolloutAddress(name, s))),
      h('section', {}, h('h2', {}, 'Devices'), filters(k, state, (s) => ((state = s), (tag = ''), void load())),
        k.steps.length > 0 ? stepsTable(name, k.steps, 'Devices of this stage')
          : k.planned && !state ? planned(wave, k.planned)
            : empty(state ? `No device is ${words(state)}.` : 'The steps of this stage are made when it opens.')))
  }
  async function keep(stats: Stats): Promise<void> {
    const stage = stats.stages.find((s) => s.layer === layer && s.wave === wave)
    if (!stage) return show(page, empty(`There is no stage ${title} in ${name}.`, h('a', { href: rolloutAddress(name) }, 'Its stages')))
    const rollout = await api.rollout(name, signal)
    const plan = known?.plan ?? (rollout.plan_digest ? await api.plan(name, signal) : null)
    const steps = (await api.steps(name, { layer, wave, state, limit: 200 }, signal)).items
    const ahead = steps.length === 0 && plan ? known?.planned ?? await api.planDevices(name, wave, signal) : null
    const decisions = (await api.decisions(name, signal)).items.filter((d) => d.stage === title)
    const explained = await api.explainStage(name, layer, wave, signal)
    known = { rollout, stage, plan, steps, planned: ahead, decisions, explained }
    draw(known)
  }
  async function load(): Promise<void> {
    const fresh = await api.stats(name, tag, signal)
    tag = fresh.tag
    if (fresh.stats) await keep(fresh.stats)
    else if (known) draw(known)
  }
  show(page, loading())
  const refresh = refresher(signal, 1000, load)
  listen(signal, (e) => e.subject === name && refresh())
}
