// SPDX-License-Identifier: Apache-2.0
// One rollout: how far it is, its plan, its devices. Each view has an address of its own.

import { api } from '../base/api'
import { h, show, type Child, type Described } from '../base/dom'
import { ago, clock, count, some } from '../base/format'
import { icon } from '../base/icon'
import { listen, once, refresher } from '../base/live'
import type { Decision, Event, Plan, Rollout, Stats, Step } from '../base/types'
import { decisionsTable } from '../parts/decisions'
import { comparing, diffView } from '../parts/diff'
import { figuresTable, headline } from '../parts/figures'
import { grid } from '../parts/grid'
import { planView } from '../parts/plan'
import { rolloutSentence, type Explained } from '../parts/sentence'
import { badge } from '../parts/state'
import { stepsTable } from '../parts/steps'
import { empty, loading } from '../parts/table'
import { timeline } from '../parts/timeline'
import { verbButtons } from '../parts/verbs'

const FAILED = ['failed', 'timed_out', 'rollback_failed', 'rolled_back', 'held']
const SHOWN = 12
const EXPLAINED = 6 // stages at once

export type View = 'progress' | 'plan' | 'decisions'

interface Known {
  rollout: Rollout
  stats: Stats
  plan: Plan | null
  failed: Step[]
  decisions: Decision[]
  explained: Explained
}

export const rolloutAddress = (name: string, view = ''): string => `#/rollouts/${encodeURIComponent(name)}${view ? `/${view}` : ''}`

/** Who has agreed with the plan, and how many are missing. */
function approvals(r: Rollout): Described | false {
  const given = r.approvals ?? []
  const needed = r.strategy.approvals ?? 0
  const agreed = given.filter((a) => a.agrees).length
  return (needed > 0 || given.length > 0) && h('ul', { class: 'approvals', 'aria-label': 'Approvals' },
    given.map((a) => h('li', { key: a.by, class: a.agrees ? 'good' : 'bad' }, h('span', { class: 'state' }, icon(a.agrees ? 'done' : 'failed'), a.agrees ? 'approved' : 'denied'),
      ` by ${a.by} ${ago(a.at)}`, a.why && h('span', { class: 'quiet' }, ` · ${a.why}`))),
    r.state === 'waiting_approval' && h('li', { key: 'missing', class: 'wait' }, h('span', { class: 'state' }, icon('person'), `${some(needed - agreed, 'approval')} missing`),
      r.strategy.approvers && r.strategy.approvers.length > 0 && h('span', { class: 'quiet' }, ` · of ${r.strategy.approvers.join(', ')}`)))
}

/** What it has of the fleet's slots, where there is a limit. */
function slots(stats: Stats | null): Described | false {
  const s = stats?.slots
  return s ? h('p', { class: 'quiet' }, `Slots of the fleet: ${count(s.fleet_in_flight)} of ${count(s.fleet_max)} in use, ${count(s.in_flight)} of them here; its share is ${count(s.share)}.`) : false
}

/** Name, state, what it waits for, and what can be done. */
export function rolloutHead(r: Rollout, stats: Stats | null, roles: string[], explained: Explained): Described {
  return h('header', { class: 'title' },
    h('div', {},
      h('h1', {}, r.name, ' ', badge(r.state)),
      h('p', { class: 'quiet' }, `Release ${r.release} to `, r.selector ? h('code', {}, r.selector) : 'every device',
        ` · made by ${r.created_by} `, h('time', { datetime: r.created_at, title: clock(r.created_at) }, ago(r.created_at))),
      r.reason && h('p', { class: 'reason' }, `Why: ${r.reason}`),
      h('p', { class: 'now' }, rolloutSentence(r, stats, explained)), slots(stats), approvals(r)),
    verbButtons(r, stats, roles))
}

/** Before the start there is no progress: its plan stands there in its place. */
const viewOf = (view: View, r: Rollout): View => (view === 'progress' && !r.started_at && r.plan_digest ? 'plan' : view)

export function tabs(name: string, current: View, started = true): Described {
  const tab = (view: View, text: string) =>
    h('a', { href: rolloutAddress(name, view === 'progress' ? '' : view), 'aria-current': view === current ? 'page' : null }, text)
  return h('nav', { class: 'tabs', 'aria-label': 'Views of this rollout' }, started && tab('progress', 'Progress'), tab('plan', 'Plan'), tab('decisions', 'Decisions'))
}

function progress(k: Known, events: Event[]): Child {
  return [
    headline(k.stats.total),
    grid(k.rollout, k.stats, k.plan, k.explained),
    h('section', {}, h('h2', {}, 'Figures by wave'), figuresTable(k.stats, k.plan)),
    h('div', { class: 'columns' },
      events.length > 0 && h('section', { key: 'events' }, h('h2', {}, 'What happened ', h('small', {}, h('a', { href: `#/audit?subject=${encodeURIComponent(k.rollout.name)}` }, 'all of it'))),
        h('div', { class: 'card' }, timeline(events))),
      k.failed.length > 0 && h('section', { key: 'failed' }, h('h2', {}, 'Failures'), stepsTable(k.rollout.name, k.failed, 'Failures'))),
  ]
}

function decisions(k: Known): Child {
  return k.decisions.length === 0 ? empty('No gate has decided yet.', 'Each decision is kept here with the numbers that led to it.')
    : decisionsTable(k.decisions, (stage) => rolloutAddress(k.rollout.name, stage))
}

/** What the open stages wait for, in the server's words. */
async function explainOpen(name: string, stats: Stats, signal: AbortSignal): Promise<Explained> {
  const open = stats.stages.filter((s) => s.state === 'running').slice(0, EXPLAINED)
  const said = await Promise.all(open.map((s) => api.explainStage(name, s.layer, s.wave, signal)))
  return new Map(said.map((e) => [e.stage, e.summary]))
}

/** Failed steps are worth a request only when there are some. */
async function failedSteps(name: string, stats: Stats, signal: AbortSignal): Promise<Step[]> {
  const states = FAILED.filter((state) => stats.stages.some((s) => (s.steps[state] ?? 0) > 0))
  const pages = await Promise.all(states.map((state) => api.steps(name, { state, limit: 3 * SHOWN }, signal)))
  // of those that are back again, the ones that had failed before
  return pages.flatMap((p) => p.items).filter((s) => !['rolled_back', 'held'].includes(s.state) || s.cause !== 'none').sort((a, b) => b.changed_at.localeCompare(a.changed_at)).slice(0, SHOWN)
}

export function rolloutPage(page: Element, name: string, view: View, roles: string[], signal: AbortSignal): void {
  let known: Known | null = null
  let events: Event[] = []
  const compared = comparing()
  let tag = ''

  function draw(): void {
    if (!known) return
    const shown = viewOf(view, known.rollout)
    show(page, h('p', { class: 'crumbs' }, h('a', { href: '#/' }, 'Rollouts'), ' / ', name),
      rolloutHead(known.rollout, known.stats, roles, known.explained), tabs(name, shown, known.rollout.started_at !== null),
      shown === 'plan' ? [planView(known.plan, known.rollout), known.plan && diffView(name, compared, signal, draw)] : shown === 'decisions' ? decisions(known) : progress(known, events))
  }
  async function turn(): Promise<void> {
    const fresh = await api.stats(name, tag, signal)
    tag = fresh.tag
    if (fresh.stats) {
      const rollout = await api.rollout(name, signal)
      const plan = known?.plan ?? (rollout.plan_digest ? await api.plan(name, signal) : null)
      const explained = await explainOpen(name, fresh.stats, signal)
      known = { rollout, explained, stats: fresh.stats, plan, failed: await failedSteps(name, fresh.stats, signal), decisions: view === 'decisions' ? (await api.decisions(name, signal)).items : [] }
    }
    draw()
  }
  const ours = (e: Event) => e.subject === name && /^(rollout|stage|gate|invariant)\./.test(e.kind)
  const keep = (more: Event[]) => {
    const all = new Map([...events, ...more].map((e) => [e.seq, e]))
    events = [...all.values()].sort((a, b) => b.seq - a.seq).slice(0, SHOWN)
    draw()
  }
  show(page, loading())
  const refresh = refresher(signal, 1000, turn)
  once(signal, async () => keep((await api.events({ subject: name, order: 'newest', limit: 2 * SHOWN }, signal)).items.filter(ours)))
  // what changes without changing a figure: an approval, a plan that is ready
  const again = async () => {
    const rollout = await api.rollout(name, signal)
    if (known) known = { ...known, rollout }
    draw()
  }
  listen(signal, (e) => {
    if (!ours(e)) return
    keep([e])
    refresh()
    if (e.kind.startsWith('rollout.')) once(signal, again)
  })
  // what is left of a soak changes by itself
  const ticking = window.setInterval(draw, 1000)
  signal.addEventListener('abort', () => window.clearInterval(ticking), { once: true })
}
