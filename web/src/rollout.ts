// SPDX-License-Identifier: Apache-2.0
// One rollout: what can be done, the grid, the figures, the failures.

import { api, type Plan, type Rollout, type Stats, type Step } from './api'
import { h, notice, show } from './dom'
import { figuresTable } from './figures'
import { ago, count, words } from './format'
import { grid } from './grid'
import { everyWhile } from './live'
import { badge } from './state'

interface Verb {
  verb: string
  label: string
  states: string[]
  body: object
  question?: string
}

const VERBS: Verb[] = [
  { verb: 'start', label: 'Start', states: ['ready', 'scheduled'], body: {} },
  { verb: 'pause', label: 'Pause', states: ['running'], body: {} },
  { verb: 'resume', label: 'Resume', states: ['paused'], body: {} },
  { verb: 'promote', label: 'Promote', states: ['running', 'paused'], body: {}, question: 'Pass the open gate by hand?' },
  { verb: 'stop', label: 'Stop', states: ['running', 'paused'], body: { in_flight: 'finish' }, question: 'Stop for good? Confirmed devices keep the new versions.' },
  { verb: 'rollback', label: 'Roll back', states: ['running', 'paused', 'stopped', 'completed', 'failed'], body: {}, question: 'Take every device of this rollout back, in reverse order of layers?' },
]

async function act(name: string, v: Verb): Promise<void> {
  if (v.question && !window.confirm(v.question)) return
  try {
    notice(await api.verb(name, v.verb, v.body))
  } catch (error) {
    notice(error instanceof Error ? error.message : String(error), 'bad')
  }
}

function head(r: Rollout, mayAct: boolean): HTMLElement {
  const verbs = mayAct ? VERBS.filter((v) => v.states.includes(r.state)) : []
  return h('div', { class: 'title' },
    h('div', {},
      h('h1', {}, r.name, ' ', badge(r.state)),
      h('p', { class: 'quiet' }, `Release ${r.release} for `, r.selector ? h('code', {}, r.selector) : 'every device',
        ` · ${count(r.targets)} targets · created by ${r.created_by} ${ago(r.created_at)}`),
      r.reason && h('p', { class: 'reason' }, r.reason)),
    h('div', { class: 'verbs' }, verbs.map((v) =>
      h('button', { 'data-verb': v.verb, class: v.question ? 'grave' : 'main', onclick: () => void act(r.name, v) }, v.label))))
}

function failures(steps: Step[]): HTMLElement | false {
  return steps.length > 0 && h('section', {}, h('h2', {}, 'Failures'), h('div', { class: 'scroll card' }, h('table', { class: 'list' },
    h('thead', {}, h('tr', {}, ['Device', 'Stage', 'State', 'Cause', 'What it said', 'When'].map((t) => h('th', { scope: 'col' }, t)))),
    h('tbody', {}, steps.map((s) => h('tr', {}, h('th', { scope: 'row' }, s.device), h('td', {}, `L${s.layer}.W${s.wave}`),
      h('td', {}, words(s.state)), h('td', {}, s.cause), h('td', {}, s.detail), h('td', {}, ago(s.changed_at))))))))
}

function refusals(plan: Plan | null): HTMLElement | false {
  return plan !== null && plan.refusals.length > 0 && h('section', {}, h('h2', {}, 'Refused by the plan'),
    h('ul', { class: 'card' }, plan.refusals.map((r) => h('li', {}, h('b', {}, r.reason), ` (${count(r.devices)} devices) `, r.chain.join(' → ')))))
}

/** Failed steps are worth a request only when there are some. */
async function failedSteps(name: string, stats: Stats, signal: AbortSignal): Promise<Step[]> {
  const states = ['failed', 'timed_out', 'rollback_failed'].filter((state) => stats.stages.some((s) => (s.steps[state] ?? 0) > 0))
  const pages = await Promise.all(states.map((state) => api.steps(name, state, signal)))
  return pages.flatMap((p) => p.items).slice(0, 20)
}

export function rolloutPage(page: Element, name: string, mayAct: boolean, signal: AbortSignal): void {
  const top = h('div')
  const body = h('div', {}, h('p', { class: 'quiet' }, 'Loading…'))
  let plan: Plan | null = null
  let tag = ''
  show(page, h('p', {}, h('a', { href: '#/' }, '← Rollouts')), top, body)
  everyWhile(signal, 200, async () => {
    const fresh = await api.stats(name, tag, signal)
    tag = fresh.tag
    if (!fresh.stats) return
    const rollout = await api.rollout(name, signal)
    if (!plan && rollout.plan_digest) plan = await api.plan(name, signal)
    const failed = await failedSteps(name, fresh.stats, signal)
    show(top, head(rollout, mayAct))
    show(body, h('section', {}, grid(fresh.stats, plan)),
      h('section', {}, h('h2', {}, 'Figures by wave'), h('div', { class: 'card' }, figuresTable(fresh.stats))),
      refusals(plan), failures(failed))
  })
}
